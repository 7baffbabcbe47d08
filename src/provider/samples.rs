//! For tests of adapters: accounts, and recorded deliveries from `tests/data/providers`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Account, AccountKey, AccountSecrets, AccountState, Adapter, Delivered, Delivery, Effect, Provider};
use crate::base::{PrincipalId, Secret, Utc};
use crate::merge::SourceRecord;

/// The secret of the recorded deliveries.
fn secret(provider: Provider) -> &'static str {
    match provider {
        Provider::Zoom => "kalends-test-zoom-secret-token",
        Provider::Slack => "kalends-test-slack-signing-secret",
        _ => "name:token",
    }
}

pub(super) fn account(provider: Provider, name: &str) -> Account {
    Account {
        key: AccountKey::new(provider, name).expect("a name"),
        owner: PrincipalId(1),
        calendar: "default".to_owned(),
        addresses: vec!["mara@northwind.example".to_owned()],
        calendars: Vec::new(),
        base_url: None,
        token_url: None,
        client_id: None,
        options: BTreeMap::new(),
        poll_seconds: 300,
        state: AccountState::Active,
        created: Utc(0),
        collection: None,
    }
}

pub(super) fn secrets(provider: Provider) -> AccountSecrets {
    AccountSecrets { hook: Some(Secret::new(secret(provider).to_owned())), ..AccountSecrets::default() }
}

/// A file of `tests/data/providers`.
pub(super) fn file(path: &str) -> Value {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers").join(path);
    let text = std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// A recorded delivery, arriving within the second in which it was signed.
pub(super) fn delivery(recorded: &Value) -> Delivery {
    let recorded = recorded.get("request").unwrap_or(recorded);
    let headers: Vec<(String, String)> = recorded["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
        .collect();
    let signed = headers.iter().find(|(name, _)| name.ends_with("-request-timestamp")).expect("a time");
    let at = Utc(signed.1.parse().expect("seconds"));
    let body = recorded["body_raw"].as_str().expect("a body").to_owned().into();
    Delivery { method: "POST".to_owned(), query: None, headers, body, at }
}

/// A delivery of this body, signed as Zoom and Slack sign.
pub(super) fn signed(provider: Provider, body: &str) -> Delivery {
    let prefix = if provider == Provider::Zoom { "x-zm" } else { "x-slack" };
    let hex = super::signature::hmac_hex(secret(provider), &format!("v0:1794290000:{body}"));
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (format!("{prefix}-request-timestamp"), "1794290000".to_owned()),
        (format!("{prefix}-signature"), format!("v0={hex}")),
    ];
    Delivery { method: "POST".to_owned(), query: None, headers, body: body.to_owned().into(), at: Utc(1_794_290_000) }
}

pub(super) fn deliver(adapter: &dyn Adapter, provider: Provider, delivery: &Delivery) -> Delivered {
    adapter.deliver(&account(provider, "acct"), &secrets(provider), delivery)
}

/// The records of a recorded delivery.
pub(super) fn records(adapter: &dyn Adapter, provider: Provider, path: &str) -> Vec<SourceRecord> {
    let delivered = deliver(adapter, provider, &delivery(&file(path)));
    match delivered.effect {
        Effect::Records(records) => records,
        other => panic!("{path}: {other:?}"),
    }
}
