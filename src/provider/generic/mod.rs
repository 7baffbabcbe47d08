//! Anyone else: events in a plain JSON shape, one or a batch, posted to `/ingest/events` (or to the account's hook, with its
//! bearer token). `docs/providers.md` has the shape.

mod event;
mod post;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::json::{Wrong, parse};
use super::{Account, AccountSecrets, Adapter, Delivered, Delivery, Effect};
use crate::base::Limits;
use crate::merge::SourceRecord;

pub use post::{Posted, account_of, bearer_account, post};

/// The adapter of the plain form.
#[derive(Debug, Clone, Copy)]
pub struct Generic;

impl Adapter for Generic {
    /// For the account's own hook: all events of the body or none.
    fn deliver(&self, account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
        let token = delivery.header("authorization").and_then(bearer);
        if !token.is_some_and(|token| secrets.hook_is(token.as_bytes())) {
            return Delivered::forged();
        }
        let items = match items(&delivery.body, &Limits::default()) {
            Ok(items) => items,
            Err(wrong) => return Delivered::malformed(400, wrong.to_string()),
        };
        let records: Result<Vec<SourceRecord>, Wrong> =
            items.iter().map(|item| event::record(&account.key.name, &item.value, &item.path)).collect();
        match records {
            Ok(records) => Delivered::new(202, "records", Effect::Records(records))
                .with_body("application/json", json!({ "accepted": items.len() }).to_string()),
            Err(wrong) => Delivered::malformed(400, wrong.to_string()),
        }
    }
}

/// The token of `Authorization: Bearer`.
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// One event of a body, and where it lies in it.
pub(super) struct Item {
    pub(super) value: Value,
    /// `` for a single one, `events[3]` in a batch.
    pub(super) path: String,
}

/// The events of a body: an object that is one, a list of them, or an object with a list `events`.
pub(super) fn items(body: &[u8], limits: &Limits) -> Result<Vec<Item>, Wrong> {
    let value = parse(body)?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut map) if map.contains_key("events") => match map.remove("events") {
            Some(Value::Array(list)) => list,
            _ => return Err(Wrong { field: "events".to_owned(), problem: "must be a list".to_owned() }),
        },
        Value::Object(_) => return Ok(vec![Item { value, path: String::new() }]),
        _ => {
            return Err(Wrong {
                field: "(the body)".to_owned(),
                problem: "must be an event or a list of them".to_owned(),
            });
        }
    };
    if list.len() as u64 > limits.ingest_events_max {
        let problem = format!("has more than {} entries (limit ingest_events_max)", limits.ingest_events_max);
        return Err(Wrong { field: "events".to_owned(), problem });
    }
    let item = |(index, value)| Item { value, path: format!("events[{index}]") };
    Ok(list.into_iter().enumerate().map(item).collect())
}
