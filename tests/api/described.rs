//! The description and the thing described are the same.

use std::collections::BTreeSet;

use kalends::api::{OPENAPI, ROUTES};
use serde_json::Value;

use crate::{Said, ask, endpoint, put, schema, server};

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("it is JSON")
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, calls)| {
            calls.as_object().expect("calls").keys().map(|method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let known = ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, known);
    let operations: BTreeSet<&str> = paths
        .values()
        .flat_map(|calls| calls.as_object().expect("calls").values())
        .map(|call| call["operationId"].as_str().expect("an operationId"))
        .collect();
    assert_eq!(operations.len(), ROUTES.len(), "each has a name of its own");
}

/// Checks an answer against what is said of it.
fn as_described(document: &Value, method: &str, template: &str, said: &Said) {
    let at = format!("{method} {template} -> {}", said.status);
    let responses = &document["paths"][template][method.to_ascii_lowercase()]["responses"];
    let response = match responses.get(said.status.to_string()) {
        Some(response) => response,
        None if said.status >= 400 => &responses["default"],
        None => panic!("{at} is not described: {said:?}"),
    };
    match response.get("content").and_then(Value::as_object).and_then(|content| content.iter().next()) {
        Some((kind, content)) => {
            assert_eq!(&said.kind, kind, "{at}");
            let wrong = schema::check(document, &content["schema"], &said.body, "");
            assert!(wrong.is_empty(), "{at}: {wrong:#?}\n{said:?}");
        }
        None => assert_eq!(said.body, Value::Null, "{at}"),
    }
}

#[test]
fn every_answer_is_as_described() {
    let (server, document) = (server(), document());
    let (one, two) = (endpoint(&server, "anna"), endpoint(&server, "anna"));
    put(&server, "a", "first");
    let said = ask(&server, "anna", "POST", &format!("/webhooks/{one}/test"), None);
    let message = said.body["webhook_id"].as_str().expect("an id").to_owned();
    let since = "since=2020-01-01T00:00:00Z";
    let calls: &[(&str, &str, &str, &str)] = &[
        ("GET", "/openapi.json", "", ""),
        ("GET", "/webhooks", "", ""),
        (
            "POST",
            "/webhooks",
            "",
            r#"{"url": "https://example.com/x", "calendars": ["default"], "events": ["event.created"], "in_order": true, "description": "d"}"#,
        ),
        ("POST", "/webhooks", "", r#"{"url": 1}"#),
        ("GET", "/webhooks/{id}", "", ""),
        ("PATCH", "/webhooks/{id}", "", r#"{"url": "https://example.com/y", "calendars": []}"#),
        ("POST", "/webhooks/{id}/pause", "", ""),
        ("POST", "/webhooks/{id}/resume", "", ""),
        ("POST", "/webhooks/{id}/rotate", "", ""),
        ("POST", "/webhooks/{id}/test", "", ""),
        ("GET", "/webhooks/{id}/deliveries", "?limit=5", ""),
        ("GET", "/webhooks/{id}/deliveries", "?state=waiting", ""),
        ("POST", "/webhooks/{id}/deliveries/{message}/resend", "", ""),
        ("POST", "/webhooks/{id}/recover", "", r#"{"since": "2020-01-01T00:00:00Z"}"#),
        ("POST", "/webhooks/{id}/replay", "", &format!(r#"{{"from": "{two}"}}"#)),
        ("GET", "/webhooks/{id}/dead", "", ""),
        ("GET", "/webhooks/{id}/audit", &format!("?{since}"), ""),
        ("GET", "/webhooks/{id}/audit", "", ""),
        ("GET", "/webhooks/{id}/state", "", ""),
        ("DELETE", "/webhooks/{id}", "", ""),
        ("GET", "/webhooks/{id}", "", ""),
    ];
    let mut called = BTreeSet::new();
    for (method, template, query, body) in calls {
        let path = template.replace("{id}", &one).replace("{message}", &message);
        let said = ask(&server, "anna", method, &format!("{path}{query}"), Some(*body).filter(|body| !body.is_empty()));
        as_described(&document, method, template, &said);
        if said.status < 300 {
            called.insert((*method, *template));
        }
    }
    for (method, template, _) in ROUTES {
        assert!(called.contains(&(*method, *template)), "{method} {template} was not called, or failed");
    }
}

#[test]
fn the_secret_is_shown_once() {
    let server = server();
    let id = endpoint(&server, "anna");
    for path in ["/webhooks".to_owned(), format!("/webhooks/{id}"), format!("/webhooks/{id}/deliveries")] {
        let said = ask(&server, "anna", "GET", &path, None);
        assert!(!said.body.to_string().contains("whsec_"), "{said:?}");
    }
    let rotated = ask(&server, "anna", "POST", &format!("/webhooks/{id}/rotate"), None);
    assert!(rotated.body["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{rotated:?}");
}
