//! Recorded facts: addresses and URLs that must or must not be called, and signatures made by others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kalends::base::{Secret, Utc};
use kalends::outbound::{Policy, Ports, Reach, Target, Zone};
use kalends::service::webhooks::SigningSecrets;
use kalends::webhook::sign;
use serde_json::Value;

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value[key].as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

fn may_be_called(url: &str) -> bool {
    let policy = Policy { ports: Ports::Only(vec![443, 8443]), ..Policy::default() };
    Target::parse(url).and_then(|target| target.check(&policy, Reach::Public)).is_ok()
}

#[test]
fn addresses_and_urls() {
    let vectors: Value = serde_json::from_str(include_str!("../data/webhooks/ssrf_addresses.json")).expect("JSON");
    let zone = |address: &str| Zone::of(address.parse().expect("an address"));
    for address in list(&vectors, "refuse") {
        assert_ne!(zone(address), Zone::Public, "{address}");
    }
    for address in list(&vectors, "allow") {
        assert_eq!(zone(address), Zone::Public, "{address}");
    }
    for url in list(&vectors, "urls_refuse") {
        assert!(!may_be_called(url), "{url}");
    }
    for url in list(&vectors, "urls_allow") {
        assert!(may_be_called(url), "{url}");
    }
}

#[test]
fn names_of_private_networks() {
    for name in ["localhost", "LOCALHOST.", "a.localhost", "printer.local", "x.internal", "nas.home.arpa"] {
        assert!(!may_be_called(&format!("https://{name}/")), "{name}");
    }
    for name in ["notlocalhost.example", "local.example", "internal.example", "mylocal.dev"] {
        assert!(may_be_called(&format!("https://{name}/")), "{name}");
    }
}

#[test]
fn signatures() {
    let vectors: Value = serde_json::from_str(include_str!("../data/webhooks/webhook_signatures.json")).expect("JSON");
    for vector in vectors.as_array().expect("a list") {
        let mut secrets = list(vector, "secrets").into_iter().map(|text| {
            let raw = STANDARD.decode(text.strip_prefix("whsec_").expect("its prefix")).expect("base64");
            Secret::new(raw)
        });
        let current = secrets.next().expect("a secret");
        let secrets = SigningSecrets { current, former: secrets.next().map(|former| (former, Utc(i64::MAX))) };
        let timestamp = vector["timestamp"].as_i64().expect("a number");
        let (id, body) = (vector["id"].as_str().expect("an id"), vector["body"].as_str().expect("a body"));
        let signed = sign(&secrets, Utc(timestamp), id, timestamp, body.as_bytes());
        assert_eq!(signed, vector["webhook-signature"], "{id}");
    }
}
