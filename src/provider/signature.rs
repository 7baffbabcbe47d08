//! Signatures of deliveries: HMAC-SHA256 over `v0:{timestamp}:{raw body}`, as Zoom and Slack both make them, within five
//! minutes of our clock.

use ring::hmac;

use super::{AccountSecrets, Delivery};

/// How far a delivery's time may be from ours, in seconds, before and after.
const CLOCK_SECONDS_MAX: i64 = 300;

/// What became of looking at a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is the provider's, of this minute.
    True,
    /// It is missing or wrong.
    Forged,
    /// It is right or wrong, and too old or from the future: a replay.
    Stale,
}

/// Verifies the delivery's signature with the account's hook secret.
pub(super) fn verify(
    secrets: &AccountSecrets,
    delivery: &Delivery,
    signature_header: &str,
    timestamp_header: &str,
) -> Proof {
    let (Some(signature), Some(timestamp), Some(secret)) =
        (delivery.header(signature_header), delivery.header(timestamp_header), &secrets.hook)
    else {
        return Proof::Forged;
    };
    let Some(given) = signature.strip_prefix("v0=").and_then(unhex) else { return Proof::Forged };
    let Ok(seconds) = timestamp.parse::<i64>() else { return Proof::Forged };
    let message = [b"v0:", timestamp.as_bytes(), b":", &delivery.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    if hmac::verify(&key, &message, &given).is_err() {
        return Proof::Forged;
    }
    if seconds.abs_diff(delivery.at.0) > CLOCK_SECONDS_MAX.unsigned_abs() { Proof::Stale } else { Proof::True }
}

/// The HMAC-SHA256 of `text`, in hex.
pub(super) fn hmac_hex(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
