//! Change notifications: Graph rings for the whole mailbox, we pull. One subscription, which also brings what Graph says of its life:
//! that it ends early, that it is gone, that notifications were lost.

use http::Method;
use serde_json::{Value, json};

use super::{base, immutable_ids, mailbox, reason};
use crate::base::Utc;
use crate::outbound;
use crate::provider::api;
use crate::provider::fields::{FieldError, Fields};
use crate::provider::{Account, AccountSecrets, Channel, Delivered, Delivery, Effect, Task, TaskDone};

/// What a subscription watches, as the runner calls it.
const MAILBOX: &str = "mailbox";
/// How long one is asked to live: ten minutes less than Graph allows for events.
const SUBSCRIPTION_SECONDS: i64 = (10_080 - 10) * 60;
/// How long to wait after Graph refused one: polls go on.
const REFUSED_SECONDS: u64 = 3_600;
/// The longest validation token that is given back.
const VALIDATION_BYTES_MAX: usize = 4_096;

/// A notification, or the handshake of a new subscription.
pub(super) fn deliver(account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
    if let Some(token) = delivery.parameter("validationToken") {
        return handshake(token);
    }
    if !api::is_post(delivery) {
        return Delivered::new(405, "ignored", Effect::Nothing);
    }
    match read(secrets, &delivery.body) {
        Ok(bell) => bell.answer(account),
        Err(Unread { error, proven: true }) => Delivered::malformed(400, error.to_string()),
        // Anybody can send this: what keeps it would keep anything.
        Err(Unread { error, proven: false }) => Delivered::unreadable(400, &error.to_string()),
    }
}

/// The token as it is, as plain text: never as something that a browser would run.
fn handshake(token: String) -> Delivered {
    if token.len() > VALIDATION_BYTES_MAX {
        return Delivered::unreadable(400, &format!("validationToken: is longer than {VALIDATION_BYTES_MAX} bytes"));
    }
    Delivered::new(200, "handshake", Effect::Nothing).with_body("text/plain", token)
}

/// What the items of a notification add up to.
#[derive(Debug, Default)]
struct Bell {
    rings: bool,
    forged: usize,
    lost: Vec<String>,
    ending: Vec<String>,
}

/// Why a notification cannot be read, and whether an item that carries our secret proves that it is Graph's.
struct Unread {
    error: FieldError,
    proven: bool,
}

impl From<FieldError> for Unread {
    fn from(error: FieldError) -> Self {
        Self { error, proven: false }
    }
}

fn read(secrets: &AccountSecrets, body: &[u8]) -> Result<Bell, Unread> {
    let value: Value = serde_json::from_slice(body).map_err(|_| FieldError::new("body", "is no JSON"))?;
    let fields = Fields::of(&value)?;
    if !fields.has("value") {
        return Err(fields.bad("value", "is missing").into());
    }
    let (mut bell, mut proven) = (Bell::default(), false);
    for item in fields.objects("value")? {
        let state = item.text("clientState").map_err(|error| Unread { error, proven })?.unwrap_or_default();
        if secrets.hook_is(state.as_bytes()) {
            proven = true;
            bell.take(&item).map_err(|error| Unread { error, proven })?;
        } else {
            bell.forged += 1;
        }
    }
    Ok(bell)
}

impl Bell {
    fn take(&mut self, item: &Fields<'_>) -> Result<(), FieldError> {
        let id = item.required("subscriptionId")?.to_owned();
        match item.filled("lifecycleEvent")? {
            Some("reauthorizationRequired") => self.ending.push(id),
            Some("subscriptionRemoved") => {
                self.lost.push(id);
                self.rings = true;
            }
            // `missed`, a change, and whatever will be thought of later.
            _ => self.rings = true,
        }
        Ok(())
    }

    /// 202 for all that can be read: a forged item is dropped, and whoever sent it is told nothing.
    fn answer(self, account: &Account) -> Delivered {
        let pull = if self.rings { account.calendars_or(super::CALENDAR) } else { Vec::new() };
        if !self.lost.is_empty() || !self.ending.is_empty() {
            let effect = Effect::Channels { lost: self.lost, ending: self.ending, pull };
            return Delivered::new(202, "lifecycle", effect);
        }
        match (self.rings, self.forged) {
            (true, _) => Delivered::new(202, "pull", Effect::Pull(pull)),
            (false, 0) => Delivered::new(202, "ignored", Effect::Nothing),
            (false, _) => Delivered::new(202, "forged", Effect::Nothing),
        }
    }
}

/// The next thing to be done about the subscription: renewed when half of its life is over. One that should have ended is renewed too,
/// so that nothing is lost in between; Graph says if it is gone.
pub(super) fn due(account: &Account, channels: &[Channel], hook_url: Option<&str>, now: Utc) -> Option<Task> {
    let is_wanted = hook_url.is_some() && account.options.get("push").map(String::as_str) != Some("off");
    let ours = channels.iter().filter(|channel| is_wanted && channel.calendar == MAILBOX);
    let best = ours.max_by_key(|channel| (channel.expires, &channel.id));
    if let Some(other) = channels.iter().find(|channel| Some(*channel) != best) {
        return Some(Task::Close(other.clone()));
    }
    match best {
        None => is_wanted.then(|| Task::Open { calendar: MAILBOX.to_owned() }),
        Some(channel) => {
            let half = channel.expires.0.saturating_sub(channel.since.0) / 2;
            (now.0 >= channel.expires.0 - half).then(|| Task::Renew(channel.clone()))
        }
    }
}

/// `POST /subscriptions`.
pub(super) fn open(
    account: &Account,
    secrets: &AccountSecrets,
    hook_url: Option<&str>,
    now: Utc,
) -> Result<outbound::Request, String> {
    let hook_url = hook_url.ok_or("this server has no public URL: set [providers] hook_url")?;
    let state = secrets.hook.as_ref().ok_or("there is no hook secret: add the account again")?;
    let body = json!({
        "changeType": "created,updated,deleted",
        "notificationUrl": hook_url,
        "lifecycleNotificationUrl": hook_url,
        "resource": format!("{}/events", mailbox(account)),
        "expirationDateTime": expiration(now),
        "clientState": state.expose(),
        "latestSupportedTlsVersion": "v1_2",
    });
    let url = format!("{}/subscriptions", base(account));
    Ok(immutable_ids(api::request(Method::POST, &url, secrets, Some(&body))?, None))
}

fn expiration(now: Utc) -> String {
    now.plus(SUBSCRIPTION_SECONDS).naive().format("%Y-%m-%dT%H:%M:%S.0000000Z").to_string()
}

/// What the answer to [`open`] means.
pub(super) fn opened(answer: &outbound::Answer, now: Utc) -> TaskDone {
    match answer.status.as_u16() {
        200 | 201 => channel(answer, now).unwrap_or_else(refused),
        _ => trouble(answer, now),
    }
}

/// `PATCH /subscriptions/{id}`.
pub(super) fn renew(
    account: &Account,
    secrets: &AccountSecrets,
    channel: &Channel,
    now: Utc,
) -> Result<outbound::Request, String> {
    let body = json!({"expirationDateTime": expiration(now)});
    api::request(Method::PATCH, &url_of(account, channel), secrets, Some(&body))
}

/// What the answer to [`renew`] means. One that is gone is opened anew.
pub(super) fn renewed(channel: &Channel, answer: &outbound::Answer, now: Utc) -> TaskDone {
    match answer.status.as_u16() {
        200 => match self::channel(answer, now) {
            Ok(TaskDone::Channel(renewed)) if renewed.id == channel.id => TaskDone::Channel(renewed),
            Ok(_) => refused("Microsoft renewed another subscription".to_owned()),
            Err(reason) => refused(reason),
        },
        404 | 410 => TaskDone::Gone,
        _ => trouble(answer, now),
    }
}

/// `DELETE /subscriptions/{id}`.
pub(super) fn close(
    account: &Account,
    secrets: &AccountSecrets,
    channel: &Channel,
) -> Result<outbound::Request, String> {
    api::request(Method::DELETE, &url_of(account, channel), secrets, None)
}

/// What the answer to [`close`] means. One that Graph will not end ends by itself.
pub(super) fn closed(answer: &outbound::Answer, now: Utc) -> TaskDone {
    match answer.status.as_u16() {
        401 | 429 | 500.. => trouble(answer, now),
        _ => TaskDone::Done,
    }
}

fn url_of(account: &Account, channel: &Channel) -> String {
    format!("{}/subscriptions/{}", base(account), api::segment(&channel.id))
}

fn channel(answer: &outbound::Answer, now: Utc) -> Result<TaskDone, String> {
    let value = api::body(answer)?;
    let read = || {
        let fields = Fields::of(&value)?;
        let id = fields.required("id")?.to_owned();
        let expires = fields.stamp("expirationDateTime")?.map_or(now.plus(SUBSCRIPTION_SECONDS), |stamp| stamp.utc());
        if expires <= now {
            return Err(fields.bad("expirationDateTime", "is over already"));
        }
        let expires = expires.min(now.plus(4 * SUBSCRIPTION_SECONDS));
        Ok(TaskDone::Channel(Channel { id, resource: None, calendar: MAILBOX.to_owned(), since: now, expires }))
    };
    read().map_err(|error: FieldError| error.to_string())
}

fn refused(reason: String) -> TaskDone {
    TaskDone::Wait { seconds: Some(REFUSED_SECONDS), reason }
}

/// Without a subscription polls go on, so that no refusal breaks the account.
fn trouble(answer: &outbound::Answer, now: Utc) -> TaskDone {
    let status = answer.status.as_u16();
    if status == 401 {
        return TaskDone::Refresh;
    }
    let least = (!matches!(status, 408 | 429 | 500..)).then_some(REFUSED_SECONDS);
    let reason = format!("Microsoft answered {status} ({}) about the subscription", reason(answer));
    TaskDone::Wait { seconds: api::retry_after(answer, now).max(least), reason }
}
