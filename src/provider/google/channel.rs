//! Push channels (`events.watch`): Google rings, we pull. A channel cannot be renewed: another one is opened before it ends, and then it
//! is stopped; in between both ring, which costs nothing, since bursts collapse into one pull.

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::{base, reason};
use crate::base::Utc;
use crate::outbound;
use crate::provider::api;
use crate::provider::fields::Fields;
use crate::provider::{Account, AccountSecrets, Channel, Delivered, Delivery, Effect, Task, TaskDone};

/// How long a channel is asked to live: as long as Google lets it.
const CHANNEL_SECONDS: u32 = 604_800;
/// Another channel is opened when this part of the old one's life is left: a day of a week.
const LEFT: i64 = 7;
/// How long to wait after Google refused a channel: polls go on.
const REFUSED_SECONDS: u64 = 3_600;

/// A notification: no body, all of it is in the headers. The token is the proof, whichever channel it came by: one that was
/// just replaced may still ring.
pub(super) fn deliver(account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
    let token = delivery.header("x-goog-channel-token").unwrap_or_default();
    if !api::is_post(delivery) || !secrets.hook_is(token.as_bytes()) {
        return Delivered::forged();
    }
    match delivery.header("x-goog-resource-state") {
        Some("sync") => Delivered::new(200, "handshake", Effect::Nothing),
        Some("exists" | "not_exists") => Delivered::new(200, "pull", Effect::Pull(rung(account, delivery))),
        Some(_) => Delivered::new(200, "ignored", Effect::Nothing),
        None => Delivered::malformed(400, "x-goog-resource-state: is missing"),
    }
}

/// The calendar whose channel rang; all of them where that cannot be told.
fn rung(account: &Account, delivery: &Delivery) -> Vec<String> {
    let ours = account.calendars_or(super::CALENDAR);
    let uri = delivery.header("x-goog-resource-uri").unwrap_or_default();
    let after = uri.split("/calendars/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let named = percent_decode_str(after).decode_utf8_lossy();
    match ours.iter().find(|calendar| **calendar == named) {
        Some(calendar) => vec![calendar.clone()],
        None => ours,
    }
}

/// The next thing to be done about channels.
pub(super) fn due(account: &Account, channels: &[Channel], hook_url: Option<&str>, now: Utc) -> Option<Task> {
    let hook_url = hook_url.filter(|_| account.options.get("push").map(String::as_str) != Some("off"));
    let wanted = if hook_url.is_some() { account.calendars_or(super::CALENDAR) } else { Vec::new() };
    let best = |calendar: &str| {
        let of_it = channels.iter().filter(|channel| channel.calendar == calendar);
        of_it.max_by_key(|channel| (channel.expires, &channel.id))
    };
    let lacks = |calendar: &&String| best(calendar).is_none_or(|channel| ends_soon(channel, now));
    if let Some(calendar) = wanted.iter().find(lacks) {
        return Some(Task::Open { calendar: calendar.clone() });
    }
    let is_kept = |channel: &Channel| wanted.contains(&channel.calendar) && best(&channel.calendar) == Some(channel);
    channels.iter().find(|channel| !is_kept(channel)).map(|channel| Task::Close(channel.clone()))
}

fn ends_soon(channel: &Channel, now: Utc) -> bool {
    let life = channel.expires.0.saturating_sub(channel.since.0).max(0);
    now.0 >= channel.expires.0 - life / LEFT
}

/// `events.watch`.
pub(super) fn open(
    account: &Account,
    secrets: &AccountSecrets,
    calendar: &str,
    hook_url: Option<&str>,
    id: &str,
) -> Result<outbound::Request, String> {
    let address = hook_url.ok_or("this server has no public URL: set [providers] hook_url")?;
    let token = secrets.hook.as_ref().ok_or("there is no hook secret: add the account again")?;
    let url = format!("{}/calendars/{}/events/watch", base(account), api::segment(calendar));
    let body = json!({"id": id, "type": "web_hook", "address": address, "token": token.expose(),
        "params": {"ttl": CHANNEL_SECONDS.to_string()}});
    api::request(Method::POST, &url, secrets, Some(&body))
}

/// What the answer to [`open`] means. Without a channel polls go on, so that no refusal breaks the account.
pub(super) fn opened(calendar: &str, answer: &outbound::Answer, now: Utc) -> TaskDone {
    match answer.status.as_u16() {
        200 | 201 => channel(calendar, &answer.body, now)
            .unwrap_or_else(|reason| TaskDone::Wait { seconds: Some(REFUSED_SECONDS), reason }),
        401 => TaskDone::Refresh,
        status => {
            let why = reason(answer);
            let is_busy = matches!(status, 429 | 500..) || why.to_ascii_lowercase().contains("ratelimit");
            let least = (!is_busy).then_some(REFUSED_SECONDS);
            let reason = format!("Google opened no push channel: {status} ({why})");
            TaskDone::Wait { seconds: api::retry_after(answer, now).max(least), reason }
        }
    }
}

fn channel(calendar: &str, body: &Bytes, now: Utc) -> Result<TaskDone, String> {
    let value = serde_json::from_slice(body).map_err(|_| "the channel's answer is no JSON".to_owned())?;
    let fields = Fields::of(&value).map_err(|error| error.to_string())?;
    let read = || {
        let id = fields.required("id")?.to_owned();
        let resource = Some(fields.required("resourceId")?.to_owned());
        // Milliseconds since 1970, as a text.
        let expires = match fields.filled("expiration")? {
            Some(text) => text.trim().parse::<i64>().map_err(|_| fields.bad("expiration", "is no number"))? / 1_000,
            None => now.plus(i64::from(CHANNEL_SECONDS)).0,
        };
        if expires <= now.0 {
            return Err(fields.bad("expiration", "is over already"));
        }
        let expires = Utc(expires).min(now.plus(2 * i64::from(CHANNEL_SECONDS)));
        Ok(TaskDone::Channel(Channel { id, resource, calendar: calendar.to_owned(), since: now, expires }))
    };
    read().map_err(|error: crate::provider::fields::FieldError| error.to_string())
}

/// `channels.stop`.
pub(super) fn close(
    account: &Account,
    secrets: &AccountSecrets,
    channel: &Channel,
) -> Result<outbound::Request, String> {
    let url = format!("{}/channels/stop", base(account));
    let body = json!({"id": channel.id, "resourceId": channel.resource});
    api::request(Method::POST, &url, secrets, Some(&body))
}

/// What the answer to [`close`] means. A channel that Google will not stop ends by itself.
pub(super) fn closed(answer: &outbound::Answer, now: Utc) -> TaskDone {
    match answer.status.as_u16() {
        401 => TaskDone::Refresh,
        429 | 500.. => {
            let reason = "Google did not stop a push channel".to_owned();
            TaskDone::Wait { seconds: api::retry_after(answer, now), reason }
        }
        _ => TaskDone::Done,
    }
}
