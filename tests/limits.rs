//! Limits of requests (invariant B1): each is made small, run into, and must be told by its name, with the status that the table
//! says. Whoever is told the name can raise it, and the metrics count by it.

mod common;

use std::sync::Arc;

use common::{Answer, TestApp};
use kalends::base::{LIMITS, limit_named_in};

const CALENDAR: &str = "/dav/calendars/alice/default/";
const OBJECT: &str = "/dav/calendars/alice/default/a.ics";
const FILES: &str = "/dav/files/alice/";

/// A limit, what it is set to, and the request that is too much for it.
struct Row {
    limit: &'static str,
    value: u64,
    method: &'static str,
    path: String,
    body: String,
}

fn row(limit: &'static str, value: u64, method: &'static str, path: impl Into<String>, body: impl Into<String>) -> Row {
    Row { limit, value, method, path: path.into(), body: body.into() }
}

fn event(lines: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:limits-test-uid\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20261201T090000Z\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn propfind(names: usize) -> String {
    let names: String = (0..names).map(|i| format!("<p{i} xmlns=\"urn:x\"/>")).collect();
    format!("<propfind xmlns=\"DAV:\"><prop>{names}</prop></propfind>")
}

fn proppatch(names: usize, value: &str) -> String {
    let names: String = (0..names).map(|i| format!("<p{i} xmlns=\"urn:x\">{value}</p{i}>")).collect();
    format!("<propertyupdate xmlns=\"DAV:\"><set><prop>{names}</prop></set></propertyupdate>")
}

fn rows() -> Vec<Row> {
    let alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:d\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n";
    let attendees =
        "ATTENDEE:mailto:a@example.com\r\nATTENDEE:mailto:b@example.com\r\nATTENDEE:mailto:c@example.com\r\n";
    let attendees = format!("ORGANIZER:mailto:o@example.com\r\n{attendees}");
    let caldav = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"";
    let multiget = format!(
        "<C:calendar-multiget {caldav}><D:prop><D:getetag/></D:prop>{}</C:calendar-multiget>",
        format!("<D:href>{OBJECT}</D:href>").repeat(3)
    );
    let query = format!(
        "<C:calendar-query {caldav}><D:prop><D:getetag/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\">\
         <C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"UID\"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
    );
    let window = |end: &str| {
        format!(
            "<C:free-busy-query {caldav}><C:time-range start=\"20261201T000000Z\" end=\"{end}\"/></C:free-busy-query>"
        )
    };
    vec![
        row("xml_depth_max", 3, "PROPFIND", CALENDAR, "<a><b><c><d/></c></b></a>"),
        row("xml_elements_max", 3, "PROPFIND", CALENDAR, propfind(5)),
        row("xml_attributes_max", 2, "PROPFIND", CALENDAR, "<a b='1' c='2' d='3'/>"),
        row("xml_namespace_bytes_max", 9, "PROPFIND", CALENDAR, "<a xmlns='urn:of-more-than-nine'/>"),
        row("resource_bytes_max", 50, "PUT", OBJECT, event("")),
        row("line_bytes_max", 30, "PUT", OBJECT, event("SUMMARY:a title that is longer than that\r\n")),
        row("component_depth_max", 2, "PUT", OBJECT, event(alarm)),
        row("components_max", 2, "PUT", OBJECT, event(alarm)),
        row("parts_max", 4, "PUT", OBJECT, event("")),
        row("uid_bytes_max", 5, "PUT", OBJECT, event("")),
        row("instances_max", 5, "PUT", OBJECT, event("RRULE:FREQ=DAILY;COUNT=6\r\n")),
        row("instances_max", 5, "PUT", OBJECT, event("RRULE:FREQ=DAILY;UNTIL=20270101T000000Z\r\n")),
        row("attendees_max", 2, "PUT", OBJECT, event(&attendees)),
        row("filter_conditions_max", 2, "REPORT", CALENDAR, query.clone()),
        row("multiget_hrefs_max", 2, "REPORT", CALENDAR, multiget),
        row("query_window_days_max", 2, "REPORT", CALENDAR, window("20261204T000000Z")),
        row("objects_max", 0, "PUT", OBJECT, event("")),
        row("quota_bytes_max", 10, "PUT", OBJECT, event("")),
        row("collections_max", 1, "MKCALENDAR", "/dav/calendars/alice/more/", ""),
        row("properties_asked_max", 4, "PROPFIND", CALENDAR, propfind(5)),
        row("properties_asked_max", 4, "PROPPATCH", CALENDAR, proppatch(5, "x")),
        row("properties_listed_max", 4, "PROPFIND", CALENDAR, propfind(5)),
        row("properties_listed_max", 0, "REPORT", CALENDAR, query),
        row("property_names_bytes_max", 24, "PROPFIND", CALENDAR, propfind(5)),
        row("name_bytes_max", 20, "PUT", format!("{CALENDAR}{}.ics", "n".repeat(20)), event("")),
        row("path_depth_max", 0, "PUT", format!("{FILES}file.txt"), "text"),
        row(
            "locks_max",
            0,
            "LOCK",
            CALENDAR,
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>",
        ),
    ]
}

async fn answered(row: &Row) -> Answer {
    let mut app = TestApp::with_users().await;
    let context = Arc::get_mut(&mut app.context).expect("nobody else holds it");
    assert!(context.limits.set(row.limit, row.value), "{} is a limit", row.limit);
    app.send(Some("alice"), row.method, &row.path, &[], row.body.clone()).await
}

#[tokio::test]
async fn who_runs_into_a_limit_is_told_its_name() {
    let mut wrong = Vec::new();
    for row in rows() {
        let answer = answered(&row).await;
        let status = LIMITS.iter().find(|limit| limit.name == row.limit).map(|limit| &limit.error[..3]);
        let right = Some(answer.status.to_string().as_str()) == status;
        if !right || limit_named_in(&answer.text()) != Some(row.limit) {
            wrong.push(format!("{} {}: {} {}", row.limit, row.method, answer.status, answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each of many members would repeat is bounded; of a single resource more can be asked.
#[tokio::test]
async fn a_thousand_properties_can_be_asked_of_one_and_not_of_many() {
    let app = TestApp::with_users().await;
    let long = format!("<propfind xmlns=\"DAV:\"><prop><{} xmlns=\"urn:x\"/></prop></propfind>", "p".repeat(100_000));
    for (depth, body, status) in [
        ("0", propfind(1_000), 207),
        ("0", propfind(1_001), 400),
        ("1", propfind(256), 207),
        ("1", propfind(257), 403),
        ("1", long.clone(), 403),
        ("0", long, 207),
    ] {
        let answer = app.send(Some("alice"), "PROPFIND", CALENDAR, &[("depth", depth)], body).await;
        assert_eq!(answer.status, status, "{depth}");
        assert_eq!(answer.text().contains("number-of-matches-within-limits"), status == 403);
    }
}

/// What is stored costs whoever asks for it: an event of each minute makes ten thousand periods of busy time a week, and a filter with
/// texts has to be held against each object.
#[tokio::test]
async fn answers_over_what_is_stored_are_bounded_too() {
    let caldav = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"";
    let busy = |end: &str| {
        format!(
            "<C:free-busy-query {caldav}><C:time-range start=\"20261201T000000Z\" end=\"{end}\"/></C:free-busy-query>"
        )
    };
    let query = format!(
        "<C:calendar-query {caldav}><D:prop><D:getetag/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\">\
         <C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"SUMMARY\"><C:text-match collation=\"i;unicode-casemap\">{}\
         </C:text-match></C:prop-filter></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>",
        "long ".repeat(10_000)
    );
    let minutely = event("DURATION:PT30S\r\nSUMMARY:s\r\nRRULE:FREQ=MINUTELY\r\n");
    for (limit, value, body) in [
        ("expand_instances_max", 100, busy("20270101T000000Z")),
        ("expand_instances_max", 100, busy("20261201T110000Z")),
        ("recurrence_steps_max", 1_000, query),
    ] {
        let mut app = TestApp::with_users().await;
        assert_eq!(app.send(Some("alice"), "PUT", OBJECT, &[], minutely.clone()).await.status, 201);
        let context = Arc::get_mut(&mut app.context).expect("nobody else holds it");
        assert!(context.limits.set(limit, value));
        let answer = app.send(Some("alice"), "REPORT", CALENDAR, &[("Depth", "1")], body).await;
        assert_eq!(answer.status, 403, "{limit}: {}", answer.text());
        assert!(answer.text().contains("number-of-matches-within-limits") && answer.text().contains(limit));
    }
}

/// The answer to a property that is too much is a multistatus: its text is in the property's own part.
#[tokio::test]
async fn properties_that_are_too_much_are_refused_in_their_own_part() {
    for (limit, value, body) in
        [("property_bytes_max", 100, proppatch(1, &"x".repeat(200))), ("properties_max", 2, proppatch(3, "x"))]
    {
        let answer = answered(&row(limit, value, "PROPPATCH", CALENDAR, body)).await;
        assert_eq!(answer.status, 207);
        assert!(answer.text().contains("507") && answer.text().contains(limit), "{}", answer.text());
    }
}
