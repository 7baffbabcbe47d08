//! Slack: the signed Events API. Slack has no calendar; what counts, in order of worth:
//!
//! 1. Message metadata of the type `kalends_meeting`, which our own app (or a workflow) writes: a meeting with a key, a
//!    revision and times. It creates, changes and cancels meetings.
//! 2. Links and call blocks in messages: mentions of a meeting that is known otherwise. Never a meeting of their own, since
//!    no time in a text can be trusted.
//!
//! Retries carry the same event; they change nothing, because the records are the same. Slack is never asked.

mod meeting;
mod mention;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::json::{Fields, Wrong, parse};
use super::signature::{Proof, verify};
use super::{Account, AccountSecrets, Adapter, Delivered, Delivery, Effect};

/// Slack's adapter.
#[derive(Debug, Clone, Copy)]
pub struct Slack;

impl Adapter for Slack {
    fn deliver(&self, account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
        if verify(secrets, delivery, "x-slack-signature", "x-slack-request-timestamp") != Proof::True {
            return Delivered::forged();
        }
        let is_form =
            delivery.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            return command();
        }
        match read(account, delivery) {
            Ok(delivered) => delivered,
            Err(wrong) => {
                let mut delivered = Delivered::malformed(400, wrong.to_string());
                // It would be the same the next time.
                delivered.headers.push(("x-slack-no-retry", "1".to_owned()));
                delivered
            }
        }
    }
}

/// A slash command or a button: there is none that we take.
fn command() -> Delivered {
    let text = "Kalends takes no commands here. Meetings come from messages with kalends_meeting metadata.";
    let body = json!({ "response_type": "ephemeral", "text": text }).to_string();
    Delivered::new(200, "command", Effect::Nothing).with_body("application/json", body)
}

fn read(account: &Account, delivery: &Delivery) -> Result<Delivered, Wrong> {
    let body = parse(&delivery.body)?;
    let envelope = Fields::of(&body)?;
    let answered = |class, effect| Ok(Delivered::new(200, class, effect));
    match envelope.needed_text("type")?.as_str() {
        "url_verification" => {
            let challenge = envelope.needed_text("challenge")?;
            Ok(Delivered::new(200, "handshake", Effect::Nothing).with_body("text/plain; charset=utf-8", challenge))
        }
        "event_callback" => event(account, &envelope.needed_object("event")?),
        "app_rate_limited" => answered("rate_limited", Effect::Nothing),
        _ => answered("ignored", Effect::Nothing),
    }
}

fn event(account: &Account, event: &Fields<'_>) -> Result<Delivered, Wrong> {
    let kind = event.needed_text("type")?;
    let records = match kind.as_str() {
        "message_metadata_posted" => meeting::said(account, event, "metadata", 0)?,
        "message_metadata_updated" => meeting::said(account, event, "metadata", 1)?,
        "message_metadata_deleted" => meeting::said(account, event, "previous_metadata", 2)?,
        "message" => mention::records(account, event)?,
        "app_uninstalled" | "tokens_revoked" => {
            let reason = "the app was removed from the Slack workspace, or its tokens were revoked".to_owned();
            return Ok(Delivered::new(200, "broken", Effect::Broken(reason)));
        }
        _ => Vec::new(),
    };
    if records.is_empty() {
        return Ok(Delivered::new(200, "ignored", Effect::Nothing));
    }
    Ok(Delivered::new(200, "records", Effect::Records(records)))
}

/// A Slack time (`1794290700.000100`) in microseconds.
fn micros(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = format!("{fraction:0<6}");
    let micros = fraction.get(..6)?.parse::<i64>().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}
