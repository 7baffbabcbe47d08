//! Zoom: signed webhooks. Zoom is never asked; a meeting is what its events say, field by field.
//!
//! `meeting.created` carries all fields, `meeting.updated` those that changed, each with the event's own time
//! (`event_ts`); the newest of each field wins, so they may come in any order and more than once. A deletion is a field too.
//! `started` and `ended` are notes beside the plan and never move it. Meetings without a calendar time (types 3 and 4, personal
//! rooms) have no start here and join nothing.

mod event;
mod recurrence;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::json::{Fields, Wrong, parse};
use super::signature::{Proof, hmac_hex, verify};
use super::{Account, AccountSecrets, Adapter, Delivered, Delivery, Effect};

/// Zoom's adapter.
#[derive(Debug, Clone, Copy)]
pub struct Zoom;

impl Adapter for Zoom {
    fn deliver(&self, account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
        match verify(secrets, delivery, "x-zm-signature", "x-zm-request-timestamp") {
            Proof::True => {}
            Proof::Forged => return Delivered::forged(),
            Proof::Stale => return Delivered::new(401, "forged", Effect::Nothing),
        }
        match read(account, secrets, delivery) {
            Ok(delivered) => delivered,
            Err(wrong) => Delivered::malformed(400, wrong.to_string()),
        }
    }
}

fn read(account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Result<Delivered, Wrong> {
    let body = parse(&delivery.body)?;
    let envelope = Fields::of(&body)?;
    let event = envelope.needed_text("event")?;
    let answered = |class, effect| Ok(Delivered::new(200, class, effect));
    match event.as_str() {
        "endpoint.url_validation" => handshake(&envelope, secrets),
        "meeting.created"
        | "meeting.updated"
        | "meeting.deleted"
        | "meeting.permanently_deleted"
        | "meeting.recovered"
        | "meeting.started"
        | "meeting.ended" => {
            let records = event::records(account, &event, &envelope, sent(delivery))?;
            answered("records", Effect::Records(records))
        }
        "app_deauthorized" => {
            answered("broken", Effect::Broken("the app was removed from the Zoom account".to_owned()))
        }
        _ => answered("ignored", Effect::Nothing),
    }
}

/// When Zoom sent it, by its own signed clock, in milliseconds: for events that lack their time.
fn sent(delivery: &Delivery) -> i64 {
    let seconds = delivery.header("x-zm-request-timestamp").and_then(|text| text.parse::<i64>().ok());
    seconds.unwrap_or(0).saturating_mul(1_000)
}

/// Proves that we know the secret (repeated by Zoom every three days).
fn handshake(envelope: &Fields<'_>, secrets: &AccountSecrets) -> Result<Delivered, Wrong> {
    let plain = envelope.needed_object("payload")?.needed_text("plainToken")?;
    let secret = secrets.hook.as_ref().map_or("", |secret| secret.expose().as_str());
    let body = json!({ "plainToken": plain, "encryptedToken": hmac_hex(secret, &plain) }).to_string();
    Ok(Delivered::new(200, "handshake", Effect::Nothing).with_body("application/json", body))
}
