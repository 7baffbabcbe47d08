//! Who sees what.

use crate::sockets::request;
use crate::{PASSWORD, ask, endpoint, server};

const CALLS: &[(&str, &str)] = &[
    ("GET", ""),
    ("PATCH", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/rotate"),
    ("POST", "/test"),
    ("GET", "/deliveries"),
    ("POST", "/deliveries/msg_1/resend"),
    ("POST", "/recover"),
    ("POST", "/replay"),
    ("GET", "/dead"),
    ("GET", "/audit?since=2020-01-01T00:00:00Z"),
    ("GET", "/state"),
    ("DELETE", ""),
];

#[test]
fn without_a_login_there_is_the_description_alone() {
    let server = server();
    assert_eq!(ask(&server, "", "GET", "/openapi.json", None).status, 200);
    let id = endpoint(&server, "anna");
    for (method, rest) in CALLS {
        assert_eq!(ask(&server, "", method, &format!("/webhooks/{id}{rest}"), None).status, 401, "{method} {rest}");
    }
    assert_eq!(ask(&server, "", "GET", "/webhooks", None).status, 401);
}

#[test]
fn what_is_not_ones_own_is_not_there() {
    let server = server();
    let id = endpoint(&server, "anna");
    for (method, rest) in CALLS {
        let theirs = ask(&server, "bert", method, &format!("/webhooks/{id}{rest}"), None);
        let nobodys = ask(&server, "bert", method, &format!("/webhooks/{}{rest}", "0".repeat(id.len())), None);
        assert_eq!((theirs.status, theirs.body.clone()), (404, nobodys.body), "{method} {rest}: {theirs:?}");
    }
    assert_eq!(ask(&server, "bert", "GET", "/webhooks", None).body, serde_json::json!([]));
    let own = endpoint(&server, "bert");
    let body = format!(r#"{{"from": "{id}"}}"#);
    let said = ask(&server, "bert", "POST", &format!("/webhooks/{own}/replay"), Some(&body));
    assert_eq!(said.body["field"], "from", "what another's endpoint was sent stays there: {said:?}");
    assert_eq!(ask(&server, "anna", "GET", &format!("/webhooks/{id}"), None).status, 200, "it is still there");
}

#[test]
fn an_administrator_sees_all_and_makes_for_others() {
    let server = server();
    let id = endpoint(&server, "anna");
    assert_eq!(ask(&server, "root", "GET", &format!("/webhooks/{id}"), None).status, 200);
    let body = r#"{"url": "http://127.0.0.1:9/hook", "user": "bert", "allow_private": true}"#;
    let made = ask(&server, "root", "POST", "/webhooks", Some(body));
    assert_eq!((made.status, made.body["user"].as_str()), (201, Some("bert")), "{made:?}");
    assert_eq!(ask(&server, "root", "GET", "/webhooks", None).body.as_array().map(Vec::len), Some(2));
    assert_eq!(ask(&server, "root", "GET", "/webhooks?user=bert", None).body.as_array().map(Vec::len), Some(1));
    for (field, body) in [
        ("user", r#"{"url": "https://example.com/", "user": "bert"}"#),
        ("allow_private", r#"{"url": "https://example.com/", "allow_private": true}"#),
    ] {
        let said = ask(&server, "anna", "POST", "/webhooks", Some(body));
        assert_eq!((said.status, said.body["field"].as_str()), (403, Some(field)), "{said:?}");
    }
}

#[test]
fn a_page_of_another_site_gets_nothing_done() {
    let server = server();
    let id = endpoint(&server, "anna");
    let rotate = request("POST", &format!("/api/v1/webhooks/{id}/rotate")).login("anna", PASSWORD);
    let answer = rotate.header("Sec-Fetch-Site", "cross-site").send(server.address);
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[test]
fn methods_and_paths_that_are_not_there_are_named() {
    let server = server();
    let answer = request("PUT", "/api/v1/webhooks").login("anna", PASSWORD).send(server.address);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
    for path in ["", "/", "/webhook", "/webhooks/", "/webhooks/a/b/c/d/e"] {
        let said = ask(&server, "anna", "GET", path, None);
        assert_eq!((said.status, said.kind.as_str()), (404, "application/problem+json"), "{path}");
    }
}
