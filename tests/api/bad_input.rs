//! Bad input: the field is named, and nothing has changed.

use crate::{ask, endpoint, server};

#[test]
fn the_field_is_named_and_nothing_changes() {
    let server = server();
    let id = endpoint(&server, "anna");
    let before = ask(&server, "anna", "GET", "/webhooks", None).body;
    let one = format!("/webhooks/{id}");
    let url = r#""url": "https://example.com/""#;
    let cases: Vec<(&str, String, String, &str)> = vec![
        ("POST", "/webhooks".into(), "{}".into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": 7}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "nowhere"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "ftp://example.com/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "http://example.com/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "https://a:b@example.com/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "https://127.0.0.1/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "https://2130706433/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "https://[::ffff:10.0.0.1]/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), r#"{"url": "https://example.com:22/"}"#.into(), "url"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"calendars\": \"default\"}}"), "calendars"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"calendars\": [\"none\"]}}"), "calendars"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"calendars\": [\"bert/default\"]}}"), "calendars"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"events\": [\"event.exploded\"]}}"), "events"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"in_order\": \"maybe\"}}"), "in_order"),
        ("POST", "/webhooks".into(), format!("{{{url}, \"evnets\": []}}"), "evnets"),
        ("POST", "/webhooks?user=anna".into(), format!("{{{url}}}"), "user"),
        ("PATCH", one.clone(), r#"{"url": "https://10.0.0.1/"}"#.into(), "url"),
        ("PATCH", one.clone(), r#"{"description": "new", "events": ["nothing"]}"#.into(), "events"),
        ("PATCH", one.clone(), r#"{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#.into(), "secret"),
        ("PATCH", one.clone(), r#"{"user": "bert"}"#.into(), "user"),
        ("GET", format!("{one}/deliveries?state=lost"), String::new(), "state"),
        ("GET", format!("{one}/deliveries?limit=0"), String::new(), "limit"),
        ("GET", format!("{one}/deliveries?limit=10000"), String::new(), "limit"),
        ("GET", format!("{one}/deliveries?before=x"), String::new(), "before"),
        ("GET", format!("{one}/deliveries?limit=1&limit=2"), String::new(), "limit"),
        ("GET", format!("{one}/audit"), String::new(), "since"),
        ("GET", format!("{one}/audit?since=yesterday"), String::new(), "since"),
        ("GET", format!("{one}/state?since=x"), String::new(), "since"),
        ("POST", format!("{one}/recover"), r#"{"since": "2026-13-01T00:00:00Z"}"#.into(), "since"),
        (
            "POST",
            format!("{one}/recover"),
            r#"{"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}"#.into(),
            "until",
        ),
        ("POST", format!("{one}/replay"), r#"{"from": "none"}"#.into(), "from"),
        ("POST", format!("{one}/pause"), r#"{"for": "ever"}"#.into(), "for"),
    ];
    for (method, path, body, field) in cases {
        let said = ask(&server, "anna", method, &path, Some(body.as_str()).filter(|body| !body.is_empty()));
        assert_eq!(said.kind, "application/problem+json", "{method} {path} {body}: {said:?}");
        assert_eq!((said.status, said.body["field"].as_str()), (422, Some(field)), "{method} {path} {body}: {said:?}");
        let detail = said.body["detail"].as_str().unwrap_or_default();
        assert!(detail.len() > 10, "{method} {path} {body}: it says what is wrong: {said:?}");
        let after = ask(&server, "anna", "GET", "/webhooks", None).body;
        assert_eq!(after, before, "{method} {path} {body}: nothing changes");
    }
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    let server = server();
    for body in ["{", "[]", "url=https://example.com/", "\u{0}"] {
        let said = ask(&server, "anna", "POST", "/webhooks", Some(body));
        assert_eq!(
            (said.status, said.body["type"].as_str()),
            (400, Some("urn:kalends:problem:invalid-json")),
            "{said:?}"
        );
    }
    let long = format!("{{\"url\": \"https://example.com/{}\"}}", "x".repeat(70_000));
    assert_eq!(ask(&server, "anna", "POST", "/webhooks", Some(&long)).status, 413);
}
