//! A fake of Microsoft Graph's calendar: calendarView/delta with next and delta links, single events, subscriptions with their handshake, OAuth.
//! Enforces what the true one does.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Api, Asked, Oauth, Record, Reply, post};

/// One mailbox, its subscriptions and its tokens.
pub struct Microsoft {
    pub record: Record,
    pub oauth: Oauth,
    pub page_size: usize,
    origin: String,
    /// What delta rounds list, each with the number of its last change: masters, exceptions, singles, bare occurrences.
    listed: Vec<(u64, Value)>,
    /// What `GET /events/{id}` answers.
    items: Vec<Value>,
    changes: u64,
    forgotten: u64,
    pub subscriptions: Vec<Subscription>,
    pub now: i64,
    pub subscription_seconds: i64,
}

#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: String,
    pub url: String,
    pub lifecycle_url: String,
    pub client_state: String,
    pub expires: i64,
}

impl Microsoft {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            record: Record::default(),
            oauth: Oauth::new(true),
            page_size: 50,
            origin: format!("http://{address}"),
            listed: Vec::new(),
            items: Vec::new(),
            changes: 0,
            forgotten: 0,
            subscriptions: Vec::new(),
            now: 1_795_348_800,
            subscription_seconds: 10_080 * 60,
        }
    }

    /// Adds the item, or replaces the one with its id; `GET` gives the same.
    pub fn put(&mut self, item: Value) {
        self.items.retain(|known| known["id"] != item["id"]);
        self.items.push(item.clone());
        self.list(item);
    }

    /// An item that delta lists, and that `GET` knows as it was or not at all: a bare occurrence, or one of a stale list.
    pub fn list(&mut self, item: Value) {
        self.changes += 1;
        match self.listed.iter_mut().find(|(_, known)| known["id"] == item["id"]) {
            Some(known) => *known = (self.changes, item),
            None => self.listed.push((self.changes, item)),
        }
    }

    /// What `GET` answers for it, other than what delta lists: a master with its cancelled occurrences.
    pub fn detail(&mut self, item: Value) {
        self.items.retain(|known| known["id"] != item["id"]);
        self.items.push(item);
    }

    /// Deletes it.
    pub fn delete(&mut self, id: &str) {
        self.items.retain(|known| known["id"] != id);
        self.list(json!({"@odata.type": "#microsoft.graph.event", "id": id, "@removed": {"reason": "deleted"}}));
    }

    /// It left the window: delta says removed, `GET` still has it.
    pub fn leave_window(&mut self, id: &str) {
        self.list(json!({"id": id, "@removed": {"reason": "changed"}}));
    }

    /// Forgets it altogether: a full round no longer has it.
    pub fn purge(&mut self, id: &str) {
        self.items.retain(|known| known["id"] != id);
        self.listed.retain(|(_, known)| known["id"] != id);
    }

    pub fn forget_tokens(&mut self) {
        self.changes += 1;
        self.forgotten = self.changes;
    }

    /// The notifications that each subscription gets, with where they go.
    pub fn bells(&self, id: &str) -> Vec<(String, String)> {
        let bell = |subscription: &Subscription| {
            let value = json!({"subscriptionId": subscription.id, "clientState": subscription.client_state, "changeType": "updated",
                "resource": format!("Users/u/Events/{id}"), "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": id},
                "subscriptionExpirationDateTime": "2026-12-16T07:00:00.0000000Z", "tenantId": "84bd0000-0000-4000-8000-000000000001"});
            (subscription.url.clone(), json!({"value": [value, value]}).to_string())
        };
        self.subscriptions.iter().map(bell).collect()
    }

    /// A lifecycle notification for each subscription; `subscriptionRemoved` removes it.
    pub fn lifecycle(&mut self, event: &str) -> Vec<(String, String)> {
        let bell = |subscription: &Subscription| {
            let value = json!({"subscriptionId": subscription.id, "clientState": subscription.client_state, "lifecycleEvent": event,
                "subscriptionExpirationDateTime": "2026-12-16T07:00:00.0000000Z", "tenantId": "84bd0000-0000-4000-8000-000000000001"});
            (subscription.lifecycle_url.clone(), json!({"value": [value]}).to_string())
        };
        let bells = self.subscriptions.iter().map(bell).collect();
        if event == "subscriptionRemoved" {
            self.subscriptions.clear();
        }
        bells
    }

    fn delta(&self, asked: &Asked) -> Reply {
        if !asked.header("prefer").is_some_and(|prefer| prefer.contains("IdType=\"ImmutableId\"")) {
            return error(400, "ErrorInvalidRequest", "this mailbox is read with immutable ids");
        }
        let number = |text: &str| text.parse::<u64>().ok();
        let (since, from) = match (asked.parameter("$deltatoken"), asked.parameter("$skiptoken")) {
            (Some(token), None) => (token.strip_prefix('D').and_then(number), Some(0)),
            (None, Some(token)) => match token.strip_prefix('K').and_then(|token| token.split_once('-')) {
                Some((since, from)) => (number(since), number(from)),
                None => (None, None),
            },
            (None, None) if asked.parameter("startDateTime").is_some() && asked.parameter("endDateTime").is_some() => {
                (Some(0), Some(0))
            }
            _ => (None, None),
        };
        let (Some(since), Some(from)) = (since, from) else {
            return error(400, "ErrorInvalidRequest", "a window or a token is needed");
        };
        if since > 0 && since < self.forgotten {
            let fresh = format!("{}/me/calendarView/delta?startDateTime=x&endDateTime=y", self.origin);
            let gone = error(410, "SyncStateNotFound", "The sync state generation is not found; restart the sync.");
            return gone.header("location", fresh);
        }
        let changed: Vec<&Value> = self
            .listed
            .iter()
            .filter(|(at, item)| *at > since && (since > 0 || item.get("@removed").is_none()))
            .map(|(_, item)| item)
            .collect();
        let from = usize::try_from(from).expect("small");
        let to = changed.len().min(from + self.page_size);
        let mut body = json!({"value": changed.get(from..to).unwrap_or_default()});
        let link = |token: String| json!(format!("{}/me/calendarView/delta?{token}", self.origin));
        if to < changed.len() {
            body["@odata.nextLink"] = link(format!("$skiptoken=K{since}-{to}"));
        } else {
            body["@odata.deltaLink"] = link(format!("$deltatoken=D{}", self.changes));
        }
        Reply::json(200, &body)
    }

    fn item(&self, asked: &Asked) -> Reply {
        let id = asked.path.rsplit('/').next().unwrap_or_default();
        match self.items.iter().find(|item| item["id"] == id) {
            Some(item) => Reply::json(200, item),
            None => error(404, "ErrorItemNotFound", "The specified object was not found in the store."),
        }
    }

    fn subscribe(&mut self, asked: &Asked) -> Reply {
        let body = asked.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (url, lifecycle_url) = (text("notificationUrl"), text("lifecycleNotificationUrl"));
        if url.is_empty() || text("resource").is_empty() || text("clientState").len() > 128 {
            return error(400, "InvalidRequest", "a notificationUrl and a resource are needed");
        }
        for url in [&url, &lifecycle_url] {
            let join = if url.contains('?') { '&' } else { '?' };
            let probe = format!("{url}{join}validationToken=Validation%3A+Testing+%3Creply%26%22url%3E+1");
            let answer = post(&probe, &[("Content-Type".to_owned(), "text/plain".to_owned())], "");
            if answer != (200, "Validation: Testing <reply&\"url> 1".to_owned()) {
                return error(400, "ValidationError", "Subscription validation request failed.");
            }
        }
        let id =
            format!("subscription-{}", self.changes + self.subscriptions.len() as u64 + self.record.calls.len() as u64);
        let expires = self.now + self.subscription_seconds;
        let answer = json!({"id": id, "resource": text("resource"), "changeType": text("changeType"),
            "clientState": text("clientState"), "notificationUrl": url, "expirationDateTime": stamp(expires)});
        self.subscriptions.push(Subscription { id, url, lifecycle_url, client_state: text("clientState"), expires });
        Reply::json(201, &answer)
    }

    fn subscription(&mut self, asked: &Asked) -> Reply {
        let id = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        let expires = self.now + self.subscription_seconds;
        let Some(at) = self.subscriptions.iter().position(|known| known.id == id) else {
            return error(404, "ResourceNotFound", "The object was not found.");
        };
        if asked.method == "DELETE" {
            self.subscriptions.remove(at);
            return Reply::empty(204);
        }
        self.subscriptions[at].expires = expires;
        Reply::json(200, &json!({"id": id, "expirationDateTime": stamp(expires)}))
    }
}

fn stamp(seconds: i64) -> String {
    let at = chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

impl Api for Microsoft {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, asked: &Asked) -> &'static str {
        let path = asked.path.as_str();
        match path {
            "/token" => "token",
            "/me/calendarView/delta" => "delta",
            "/subscriptions" => "subscribe",
            _ if path.starts_with("/me/calendar/events/") => "item",
            _ if path.starts_with("/subscriptions/") => "subscription",
            _ => "unknown",
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        match (asked.method.as_str(), self.kind(asked)) {
            ("POST", "token") => self.oauth.answer(asked),
            _ if !self.oauth.allows(asked) => {
                error(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
            }
            ("GET", "delta") => self.delta(asked),
            ("GET", "item") => self.item(asked),
            ("POST", "subscribe") => self.subscribe(asked),
            ("PATCH" | "DELETE", "subscription") => self.subscription(asked),
            _ => error(404, "ResourceNotFound", "Not Found"),
        }
    }
}
