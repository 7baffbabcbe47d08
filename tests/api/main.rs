//! The JSON API: what `openapi.json` says is what is there, and every answer is as it says; bad input is named by its field and changes
//! nothing; nobody sees what is not theirs.

mod bad_input;
mod described;
mod people;
mod schema;
#[path = "../sockets/mod.rs"]
mod sockets;
mod state;

use kalends::base::{Limits, Secret};
use kalends::model::UserName;
use kalends::server::Options;
use kalends::service::accounts::{self, NewUser};
use serde_json::Value;
use sockets::{TestServer, request};

pub(crate) const PASSWORD: &str = "a-long-password";

/// A server with `anna` and `bert`, and `root`, who administers it. Nothing is sent by it: there is no dispatcher.
pub(crate) fn server() -> TestServer {
    let server = TestServer::start(Limits::default(), Options::default());
    server.user("anna", PASSWORD);
    server.user("bert", PASSWORD);
    let root = NewUser {
        name: UserName::new("root").expect("a name"),
        display_name: None,
        emails: Vec::new(),
        password: Some(Secret::new(PASSWORD.to_owned())),
        admin: true,
    };
    server.runtime.block_on(accounts::create(&server.context, root)).expect("the administrator is made");
    server
}

/// An answer with its body as JSON, null if there is none.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: Value,
}

pub(crate) fn ask(server: &TestServer, user: &str, method: &str, path: &str, body: Option<&str>) -> Said {
    let mut sending = request(method, &format!("/api/v1{path}"));
    if !user.is_empty() {
        sending = sending.login(user, PASSWORD);
    }
    if let Some(body) = body {
        sending = sending.header("Content-Type", "application/json").body(body);
    }
    let answer = sending.send(server.address);
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    Said { status: answer.status, kind, body: serde_json::from_str(&answer.body).unwrap_or(Value::Null) }
}

/// A new endpoint of `user`: its id.
pub(crate) fn endpoint(server: &TestServer, user: &str) -> String {
    let said = ask(server, user, "POST", "/webhooks", Some(r#"{"url": "https://example.com/hook"}"#));
    assert_eq!(said.status, 201, "{said:?}");
    said.body["id"].as_str().expect("an id").to_owned()
}

/// Stores an event in a calendar of anna's.
pub(crate) fn put(server: &TestServer, name: &str, summary: &str) -> String {
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\nBEGIN:VEVENT\r\nUID:{name}\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20260105T100000Z\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let path = format!("/dav/calendars/anna/default/{name}.ics");
    let sending = request("PUT", &path).login("anna", PASSWORD).header("Content-Type", "text/calendar").body(text);
    let answer = sending.send(server.address);
    assert!(matches!(answer.status, 201 | 204), "{answer:?}");
    answer.header("etag").expect("a tag").to_owned()
}
