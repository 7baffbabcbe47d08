//! The feed that a receiver compares its state with.

use serde_json::Value;

use crate::sockets::request;
use crate::{PASSWORD, ask, endpoint, put, server};

/// All pages from `since` on, `limit` entries each: (href, tag or none), and where to go on.
fn walk(
    server: &crate::sockets::TestServer,
    id: &str,
    since: &str,
    limit: u32,
) -> (Vec<(String, Option<String>)>, String) {
    let (mut since, mut entries) = (since.to_owned(), Vec::new());
    for _ in 0..100 {
        let said = ask(server, "anna", "GET", &format!("/webhooks/{id}/state?since={since}&limit={limit}"), None);
        assert_eq!(said.status, 200, "{said:?}");
        for entry in said.body["entries"].as_array().expect("entries") {
            assert_eq!(entry["deleted"] == Value::Bool(true), entry["etag"].is_null(), "{entry}");
            let href = entry["href"].as_str().expect("an href");
            entries
                .push((href.rsplit('/').next().expect("a name").to_owned(), entry["etag"].as_str().map(str::to_owned)));
        }
        since = said.body["next"].as_str().expect("a place to go on").to_owned();
        if said.body["more"] == Value::Bool(false) {
            return (entries, since);
        }
    }
    panic!("it does not end");
}

#[test]
fn pages_name_everything_and_later_only_what_changed() {
    let server = server();
    let id = endpoint(&server, "anna");
    let tags: Vec<_> = (0..7).map(|n| (format!("e{n}.ics"), Some(put(&server, &format!("e{n}"), "x")))).collect();
    for limit in [1, 3, 100] {
        let (mut entries, next) = walk(&server, &id, "", limit);
        entries.sort();
        assert_eq!(entries, tags, "limit {limit}");
        assert_eq!(walk(&server, &id, &next, limit).0, [], "nothing has changed since");
    }
    let (_, next) = walk(&server, &id, "", 100);
    let changed = put(&server, "e3", "changed");
    let gone = request("DELETE", "/dav/calendars/anna/default/e5.ics").login("anna", PASSWORD).send(server.address);
    assert_eq!(gone.status, 204);
    let (mut entries, _) = walk(&server, &id, &next, 1);
    entries.sort();
    assert_eq!(entries, [("e3.ics".to_owned(), Some(changed)), ("e5.ics".to_owned(), None)]);
}

#[test]
fn only_the_endpoints_calendars_are_in_it() {
    let server = server();
    let made = request("MKCALENDAR", "/dav/calendars/anna/work/").login("anna", PASSWORD).send(server.address);
    assert_eq!(made.status, 201);
    let body = r#"{"url": "https://example.com/hook", "calendars": ["work"]}"#;
    let said = ask(&server, "anna", "POST", "/webhooks", Some(body));
    assert_eq!(said.body["calendars"], serde_json::json!(["anna/work"]), "{said:?}");
    put(&server, "private", "x");
    let id = said.body["id"].as_str().expect("an id");
    assert_eq!(walk(&server, id, "", 100).0, []);
}
