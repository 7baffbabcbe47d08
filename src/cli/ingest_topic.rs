//! Providers' events that come over the bus: each is taken in as if it had been posted to `/ingest/events`.

use bytes::Bytes;
use serde_json::Value;

use crate::bus::BusError;
use crate::merge::Provider;
use crate::provider::generic;
use crate::service::Context;
use crate::service::providers::{self, AccountKey, ProviderError};

/// Takes in the payload of one record for the generic account `account`. Done twice it does nothing the second time: a
/// record's version decides (invariant I2). What comes back says why it cannot be taken in.
///
/// # Errors
/// [`BusError::Unavailable`]: try again; [`BusError::Config`]: there is no such account.
pub(super) async fn take_in(context: &Context, account: &str, payload: &Bytes) -> Result<Option<String>, BusError> {
    let name = account.strip_prefix("generic/").unwrap_or(account);
    let key = AccountKey::new(Provider::Generic, name).map_err(|error| unknown(&error))?;
    let found = match providers::account(context, &key).await {
        Ok(found) => found,
        Err(error @ ProviderError::NoSuchAccount(_)) => return Err(unknown(&error)),
        Err(error) => return Err(BusError::Unavailable(error.to_string())),
    };
    let limit = context.limits.ingest_body_bytes_max;
    if payload.len() as u64 > limit {
        return Ok(Some(format!("it has {} bytes; ingest_body_bytes_max allows {limit}", payload.len())));
    }
    match generic::post(context, &found, None, payload).await {
        Ok(posted) if posted.status == 503 => Err(BusError::Unavailable("the account is paused".to_owned())),
        Ok(posted) => Ok(refusal(posted.status, &posted.body)),
        Err(error) => Err(BusError::Unavailable(error.to_string())),
    }
}

fn unknown(error: &impl std::fmt::Display) -> BusError {
    BusError::Config(format!("[bus.kafka.ingest] account: {error}"))
}

/// What is wrong, by the answer's own words: the field and the message, of the whole or of the first event that was refused.
fn refusal(status: u16, body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let results = body.get("results").and_then(Value::as_array).into_iter().flatten();
    let error = std::iter::once(&body).chain(results).find_map(|one| one.get("error"));
    match error {
        Some(error) => {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(format!("{}: {}", text("field"), text("message")))
        }
        None if status != 200 => Some(format!("it was refused ({status})")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_refusal_names_the_field() {
        let whole = r#"{"error":{"field":"start","message":"is missing"}}"#;
        assert_eq!(refusal(400, whole).as_deref(), Some("start: is missing"));
        let one = r#"{"results":[{"index":0,"result":"applied"},{"index":1,"result":"error","error":{"field":"op","message":"unknown"}}],"errors":1}"#;
        assert_eq!(refusal(200, one).as_deref(), Some("op: unknown"));
        assert_eq!(refusal(200, r#"{"results":[{"result":"duplicate"}],"errors":0}"#), None);
        assert_eq!(refusal(413, "").as_deref(), Some("it was refused (413)"));
    }
}
