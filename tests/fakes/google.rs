//! A fake of Google Calendar's API: events.list with paging and sync tokens, push channels, OAuth. Enforces what the true one does.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Api, Asked, Oauth, Record, Reply};

/// One calendar (`primary`), its channels and its tokens.
pub struct Google {
    pub record: Record,
    pub oauth: Oauth,
    pub page_size: usize,
    /// In the order in which they are listed, each with the number of its last change.
    events: Vec<(u64, Value)>,
    changes: u64,
    /// Sync tokens below this are gone.
    forgotten: u64,
    pub channels: Vec<Channel>,
    /// Seconds that a channel lives.
    pub channel_seconds: i64,
    /// What the fake takes for now, in seconds since 1970.
    pub now: i64,
}

#[derive(Debug, Clone)]
pub struct Channel {
    pub id: String,
    pub resource: String,
    pub token: String,
    pub address: String,
    pub expires: i64,
    messages: u64,
}

impl Google {
    pub fn new(_: SocketAddr) -> Self {
        Self {
            record: Record::default(),
            oauth: Oauth::new(false),
            page_size: 250,
            events: Vec::new(),
            changes: 0,
            forgotten: 0,
            channels: Vec::new(),
            channel_seconds: 604_800,
            now: 1_795_348_800,
        }
    }

    /// Adds the event, or replaces the one with its id.
    pub fn put(&mut self, event: Value) {
        self.changes += 1;
        match self.events.iter_mut().find(|(_, known)| known["id"] == event["id"]) {
            Some(known) => *known = (self.changes, event),
            None => self.events.push((self.changes, event)),
        }
    }

    /// Deletes it: what is left is its id.
    pub fn delete(&mut self, id: &str) {
        self.put(json!({"id": id, "status": "cancelled"}));
    }

    /// Forgets it altogether: a full listing no longer has it.
    pub fn purge(&mut self, id: &str) {
        self.events.retain(|(_, event)| event["id"] != id);
    }

    /// All sync tokens given so far are no longer taken.
    pub fn forget_tokens(&mut self) {
        self.changes += 1;
        self.forgotten = self.changes;
    }

    /// The headers of the next notification of each channel, with where it goes.
    pub fn bells(&mut self, state: &str) -> Vec<(String, Vec<(String, String)>)> {
        let bell = |channel: &mut Channel| {
            channel.messages += 7;
            let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let headers = vec![
                header("X-Goog-Channel-ID", &channel.id),
                header("X-Goog-Channel-Token", &channel.token),
                header("X-Goog-Resource-ID", &channel.resource),
                header(
                    "X-Goog-Resource-URI",
                    "https://www.googleapis.com/calendar/v3/calendars/primary/events?alt=json",
                ),
                header("X-Goog-Resource-State", state),
                header("X-Goog-Message-Number", &channel.messages.to_string()),
            ];
            (channel.address.clone(), headers)
        };
        self.channels.iter_mut().map(bell).collect()
    }

    fn list(&self, asked: &Asked) -> Reply {
        let right = asked.parameter("singleEvents") == Some("false") && asked.parameter("showDeleted") == Some("true");
        if !right {
            return error(400, "invalid", "the parameters of a token must stay as they were");
        }
        let since = match asked.parameter("syncToken").map(|token| token.strip_prefix('S').unwrap_or("").parse()) {
            None => 0,
            Some(Ok(since)) if since >= self.forgotten => since,
            Some(_) => {
                return error(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.");
            }
        };
        let full = asked.parameter("syncToken").is_none();
        let changed: Vec<&Value> = self
            .events
            .iter()
            .filter(|(at, event)| *at > since || full && event["status"] != "cancelled")
            .map(|(_, event)| event)
            .collect();
        let from = match asked.parameter("pageToken").map(|token| token.strip_prefix('P').unwrap_or("").parse()) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => return error(400, "invalid", "no such page"),
        };
        let to = changed.len().min(from + self.page_size);
        let mut body = json!({
            "kind": "calendar#events", "timeZone": "Europe/Berlin", "accessRole": "owner",
            "items": changed.get(from..to).unwrap_or_default(),
        });
        if to < changed.len() {
            body["nextPageToken"] = json!(format!("P{to}"));
        } else {
            body["nextSyncToken"] = json!(format!("S{}", self.changes));
        }
        Reply::json(200, &body)
    }

    fn watch(&mut self, asked: &Asked) -> Reply {
        let body = asked.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        if body["type"] != "web_hook" || text("id").is_empty() || text("address").is_empty() {
            return error(400, "required", "Required");
        }
        if self.channels.iter().any(|channel| channel.id == text("id")) {
            return error(400, "channelIdNotUnique", "Channel id not unique");
        }
        let channel = Channel {
            id: text("id"),
            resource: format!("resource-{}", self.channels.len() + 1),
            token: text("token"),
            address: text("address"),
            expires: self.now + self.channel_seconds,
            messages: 1,
        };
        let answer = json!({"kind": "api#channel", "id": channel.id, "resourceId": channel.resource, "token": channel.token,
            "expiration": (channel.expires * 1000).to_string()});
        self.channels.push(channel);
        Reply::json(200, &answer)
    }

    fn stop(&mut self, asked: &Asked) -> Reply {
        let body = asked.json();
        let before = self.channels.len();
        self.channels.retain(|channel| body["id"] != channel.id || body["resourceId"] != channel.resource);
        match self.channels.len() < before {
            true => Reply::empty(204),
            false => error(404, "notFound", "Channel not found"),
        }
    }
}

pub fn error(status: u16, reason: &str, message: &str) -> Reply {
    let inner = json!({"domain": "calendar", "reason": reason, "message": message});
    Reply::json(status, &json!({"error": {"errors": [inner], "code": status, "message": message}}))
}

impl Api for Google {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, asked: &Asked) -> &'static str {
        match asked.path.as_str() {
            "/token" => "token",
            "/calendars/primary/events" => "list",
            "/calendars/primary/events/watch" => "watch",
            "/channels/stop" => "stop",
            _ => "unknown",
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        match (asked.method.as_str(), self.kind(asked)) {
            ("POST", "token") => self.oauth.answer(asked),
            _ if !self.oauth.allows(asked) => error(401, "authError", "Invalid Credentials"),
            ("GET", "list") => self.list(asked),
            ("POST", "watch") => self.watch(asked),
            ("POST", "stop") => self.stop(asked),
            _ => error(404, "notFound", "Not Found"),
        }
    }
}
