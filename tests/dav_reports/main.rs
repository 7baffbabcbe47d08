//! The reports from outside: calendar-query, calendar-multiget, free-busy-query (RFC 4791 §7.8-7.10) and
//! sync-collection (RFC 6578), through the dispatcher.

#[path = "../common/mod.rs"]
mod common;
mod consistency;
mod freebusy;
mod query;
mod sync;

use common::{Answer, TestApp};
use kalends::base::Limits;
use kalends::xml::{self, Element, ns};

const CALENDAR: &str = "/dav/calendars/alice/default/";

/// An event of one hour, or a series with `extra` lines such as an RRULE.
fn event(uid: &str, start: &str, extra: &str) -> String {
    let body = format!(
        "UID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:About {uid}\r\n{extra}"
    );
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Tests//EN\r\nBEGIN:VEVENT\r\n{body}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

async fn put(app: &TestApp, name: &str, text: &str) {
    let path = format!("{CALENDAR}{name}");
    let answer = app.send(Some("alice"), "PUT", &path, &[("content-type", "text/calendar")], text.to_owned()).await;
    assert!(matches!(answer.status, 201 | 204), "PUT {name}: {} {}", answer.status, answer.text());
}

async fn delete(app: &TestApp, name: &str) {
    let answer = app.send(Some("alice"), "DELETE", &format!("{CALENDAR}{name}"), &[], "").await;
    assert_eq!(answer.status, 204, "DELETE {name}: {}", answer.text());
}

async fn report(app: &TestApp, path: &str, body: &str) -> Answer {
    app.send(Some("alice"), "REPORT", path, &[("depth", "1")], body.to_owned()).await
}

/// A multistatus, taken apart.
struct Listing {
    /// Of each DAV:response: the href's last segment, its own status if it has one, and the element.
    responses: Vec<(String, Option<u16>, Element)>,
    token: Option<String>,
}

impl Listing {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = xml::parse(&answer.body, &Limits::default()).expect("the answer is XML");
        assert!(root.is(ns::DAV, "multistatus"));
        let responses = root.children().filter(|child| child.is(ns::DAV, "response")).map(|response| {
            let href = response.child(ns::DAV, "href").expect("every response has an href").text();
            let name = href.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
            let status = response.child(ns::DAV, "status").map(|status| status_of(&status.text()));
            (name, status, response.clone())
        });
        let token = root.child(ns::DAV, "sync-token").map(Element::text);
        Self { responses: responses.collect(), token }
    }

    fn names(&self) -> Vec<&str> {
        self.responses.iter().map(|(name, ..)| name.as_str()).collect()
    }

    fn data(&self, name: &str) -> String {
        let (.., response) = self.responses.iter().find(|(other, ..)| other == name).expect("the response is there");
        find(response, ns::CALDAV, "calendar-data").expect("it has calendar data").text()
    }
}

fn status_of(line: &str) -> u16 {
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line")
}

fn find<'a>(element: &'a Element, namespace: &str, local: &str) -> Option<&'a Element> {
    element
        .children()
        .find_map(|child| if child.is(namespace, local) { Some(child) } else { find(child, namespace, local) })
}

/// The precondition in an error's body: its local name.
fn condition(answer: &Answer) -> String {
    let root = xml::parse(&answer.body, &Limits::default()).expect("an error is XML");
    assert!(root.is(ns::DAV, "error"), "{}", answer.text());
    let mut children = root.children();
    let condition = children.next().expect("an error names its condition").name.local.clone();
    assert!(children.next().is_none(), "and no other element: {}", answer.text());
    assert!(answer.text().trim_end().ends_with("-->"), "and a text for people behind it: {}", answer.text());
    condition
}

fn query_body(filter: &str, data: &str) -> String {
    format!(
        r#"<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/>{data}</D:prop><C:filter><C:comp-filter name="VCALENDAR">{filter}</C:comp-filter></C:filter></C:calendar-query>"#
    )
}

fn window_filter(component: &str, start: &str, end: &str) -> String {
    format!(r#"<C:comp-filter name="{component}"><C:time-range start="{start}" end="{end}"/></C:comp-filter>"#)
}
