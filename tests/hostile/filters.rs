//! Filters and windows: absurd ones over series that never end, and grammars turned inside out.

use super::objects::event;
use super::server::{CALENDAR, Case, Server, Want, request, status};

/// Windows, as attributes.
const WINDOWS: &[&str] = &[
    "start=\"00010101T000000Z\" end=\"99991231T235959Z\"",
    "start=\"20260101T000000Z\" end=\"99991231T235959Z\"",
    "start=\"00000101T000000Z\"",
    "end=\"99991231T235959Z\"",
    "start=\"99991231T235959Z\"",
    "start=\"20260102T000000Z\" end=\"20260101T000000Z\"",
    "start=\"20260101T000000Z\" end=\"20260101T000000Z\"",
    "start=\"20269999T000000Z\" end=\"20270101T000000Z\"",
    "start=\"-20260101T000000Z\"",
    "start=\"999990101T000000Z\"",
    "start=\"20260101T000000\" end=\"20260102T000000\"",
    "start=\"20260101\"",
    "start=\"\" end=\"\"",
    "",
    "start=\"now\"",
    "start=\"20260101T000000Z\" end=\"20270101T000000Z\"",
];

/// Stores series that take work.
pub fn prepare(server: &Server) {
    let rules = [
        ("seconds", "DTSTART:19700101T000000Z\r\nDURATION:PT1S\r\nRRULE:FREQ=SECONDLY\r\n"),
        ("never", "DTSTART:20260228T000000Z\r\nRRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30\r\n"),
        ("rare", "DTSTART:20000229T000000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=TU\r\n"),
        ("minutes", "DTSTART;TZID=Europe/Berlin:19700101T000000\r\nDURATION:PT30S\r\nRRULE:FREQ=MINUTELY\r\n"),
        ("old", "DTSTART;VALUE=DATE:19000101\r\nRRULE:FREQ=DAILY\r\n"),
        ("long", "DTSTART:20200101T000000Z\r\nDURATION:P3000D\r\nRRULE:FREQ=HOURLY\r\n"),
    ];
    for (name, lines) in rules {
        let alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT5M\r\nREPEAT:1000\r\nDURATION:PT1S\r\nEND:VALARM\r\n";
        let body = event(name, &format!("{lines}{alarm}"));
        let answer = server.send(&request("PUT", &format!("{CALENDAR}{name}.ics"), &[], body.as_bytes()));
        assert!(matches!(status(&answer), Some(201 | 403)), "{name}: {}", String::from_utf8_lossy(&answer));
    }
}

fn query(prop: &str, filter: &str) -> String {
    format!(
        "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/>{prop}</D:prop>\
         {filter}</C:calendar-query>"
    )
}

fn components(inside: &str) -> String {
    format!(
        "<C:filter><C:comp-filter name=\"VCALENDAR\"><C:comp-filter name=\"VEVENT\">{inside}</C:comp-filter></C:comp-filter>\
         </C:filter>"
    )
}

fn windows() -> Vec<(String, String)> {
    let mut reports = Vec::new();
    for (at, window) in WINDOWS.iter().enumerate() {
        let range = format!("<C:time-range {window}/>");
        let all = components("");
        let mut add = |name: &str, body: String| reports.push((format!("{name}, window {at}"), body));
        add("events", query("", &components(&range)));
        add("property", query("", &components(&format!("<C:prop-filter name=\"DTSTART\">{range}</C:prop-filter>"))));
        add("alarm", query("", &components(&format!("<C:comp-filter name=\"VALARM\">{range}</C:comp-filter>"))));
        add("expand", query(&format!("<C:calendar-data><C:expand {window}/></C:calendar-data>"), &all));
        let limit = format!("<C:calendar-data><C:limit-recurrence-set {window}/></C:calendar-data>");
        add("limit-recurrence-set", query(&limit, &all));
        let limit = format!("<C:calendar-data><C:limit-freebusy-set {window}/></C:calendar-data>");
        add("limit-freebusy-set", query(&limit, &all));
        let busy = "C:free-busy-query xmlns:C=\"urn:ietf:params:xml:ns:caldav\"";
        add("free-busy", format!("<{busy}>{range}</C:free-busy-query>"));
    }
    reports
}

fn grammars() -> Vec<(&'static str, String)> {
    let deep = format!("{}{}", "<C:comp-filter name=\"X\">".repeat(55), "</C:comp-filter>".repeat(55));
    let text = |attributes: &str, text: &str| {
        components(&format!(
            "<C:prop-filter name=\"SUMMARY\"><C:text-match {attributes}>{text}</C:text-match></C:prop-filter>"
        ))
    };
    let many = |one: &str, count: usize| components(&one.repeat(count));
    let hrefs = |one: &str, count: usize| {
        format!(
            "<C:calendar-multiget xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><C:calendar-data/>\
             </D:prop>{}</C:calendar-multiget>",
            format!("<D:href>{one}</D:href>").repeat(count)
        )
    };
    let sync = |inside: &str| {
        format!("<D:sync-collection xmlns:D=\"DAV:\">{inside}<D:prop><D:getetag/></D:prop></D:sync-collection>")
    };
    let expand = format!(
        "<D:expand-property xmlns:D=\"DAV:\">{}{}</D:expand-property>",
        "<D:property name=\"owner\"><D:property name=\"principal-URL\">".repeat(30),
        "</D:property></D:property>".repeat(30)
    );
    let zone = |text: &str| query("", &format!("{}<C:timezone>{text}</C:timezone>", components("")));
    vec![
        ("no filter", query("", "")),
        ("two filters", query("", &components("").repeat(2))),
        ("empty filter", query("", "<C:filter/>")),
        ("filter on something else", query("", "<C:filter><C:comp-filter name=\"VEVENT\"/></C:filter>")),
        ("without a name", query("", "<C:filter><C:comp-filter/></C:filter>")),
        ("deep", query("", &format!("<C:filter><C:comp-filter name=\"VCALENDAR\">{deep}</C:comp-filter></C:filter>"))),
        ("prop-filters by the thousand", query("", &many("<C:prop-filter name=\"SUMMARY\"/>", 30_000))),
        (
            "param-filters by the thousand",
            query(
                "",
                &components(&format!(
                    "<C:prop-filter name=\"DTSTART\">{}</C:prop-filter>",
                    "<C:param-filter name=\"TZID\"/>".repeat(30_000)
                )),
            ),
        ),
        ("time-ranges by the thousand", query("", &many("<C:time-range start=\"20260101T000000Z\"/>", 10_000))),
        (
            "comp-filters by the thousand",
            query(
                "",
                &many(
                    "<C:comp-filter name=\"VALARM\"><C:time-range start=\"00010101T000000Z\" end=\"99991231T000000Z\"/></C:comp-filter>",
                    5_000,
                ),
            ),
        ),
        ("contradiction", query("", &components("<C:is-not-defined/><C:time-range start=\"20260101T000000Z\"/>"))),
        ("collation that nobody knows", query("", &text("collation=\"i;evil\"", "x"))),
        ("negated nonsense", query("", &text("negate-condition=\"perhaps\"", "x"))),
        ("match of megabytes", query("", &text("", &"x".repeat(5_000_000)))),
        ("match of nothing", query("", &text("", ""))),
        (
            "match of letters that fold",
            query("", &text("collation=\"i;unicode-casemap\"", &"ß\u{130}\u{3a3}".repeat(100_000))),
        ),
        (
            "data of everything",
            query(
                &format!(
                    "<C:calendar-data>{}</C:calendar-data>",
                    "<C:comp name=\"VCALENDAR\"><C:allprop/><C:allcomp/></C:comp>".repeat(1_000)
                ),
                &components(""),
            ),
        ),
        (
            "data deep",
            query(
                &format!(
                    "<C:calendar-data>{}{}</C:calendar-data>",
                    "<C:comp name=\"VCALENDAR\">".repeat(55),
                    "</C:comp>".repeat(55)
                ),
                &components(""),
            ),
        ),
        (
            "data in another form",
            query("<C:calendar-data content-type=\"application/evil\" version=\"9\"/>", &components("")),
        ),
        (
            "expanded twice",
            query(
                "<C:calendar-data><C:expand start=\"20260101T000000Z\" end=\"20260102T000000Z\"/><C:limit-recurrence-set start=\"20260101T000000Z\" end=\"20260102T000000Z\"/></C:calendar-data>",
                &components(""),
            ),
        ),
        ("zone of garbage", zone("garbage")),
        ("zone of a bomb", zone(&"BEGIN:VCALENDAR\r\n".repeat(100_000))),
        ("zone id of a path", query("", &format!("{}<C:timezone-id>../../etc/passwd</C:timezone-id>", components("")))),
        (
            "zone id of megabytes",
            query("", &format!("{}<C:timezone-id>{}</C:timezone-id>", components(""), "x".repeat(2_000_000))),
        ),
        ("hrefs to nothing", hrefs("/dav/calendars/mallory/default/none.ics", 20_000)),
        ("hrefs to one", hrefs("/dav/calendars/mallory/default/old.ics", 2_000)),
        ("hrefs elsewhere", hrefs("http://127.0.0.1:1/x", 1_000)),
        ("hrefs of dots", hrefs("/dav/calendars/mallory/default/../../bob/x", 10)),
        ("hrefs of escapes", hrefs("%2e%2e%2f%00%ff", 10)),
        ("hrefs of megabytes", hrefs(&format!("/dav/calendars/mallory/default/{}", "x".repeat(1_000_000)), 3)),
        ("hrefs with markup", hrefs("&lt;script&gt;]]&gt;", 10)),
        ("no hrefs", hrefs("", 0)),
        ("token of another", sync("<D:sync-token>http://evil/1</D:sync-token><D:sync-level>1</D:sync-level>")),
        ("token of megabytes", sync(&format!("<D:sync-token>{}</D:sync-token>", "9".repeat(1_000_000)))),
        ("level of the future", sync("<D:sync-token/><D:sync-level>99</D:sync-level>")),
        (
            "limit of nothing",
            sync("<D:sync-token/><D:sync-level>1</D:sync-level><D:limit><D:nresults>0</D:nresults></D:limit>"),
        ),
        (
            "limit beyond numbers",
            sync(
                "<D:sync-token/><D:sync-level>1</D:sync-level><D:limit><D:nresults>99999999999999999999</D:nresults></D:limit>",
            ),
        ),
        ("expansion in circles", expand),
        (
            "expansion of many",
            format!(
                "<D:expand-property xmlns:D=\"DAV:\">{}</D:expand-property>",
                "<D:property name=\"owner\"><D:property name=\"owner\"/></D:property>".repeat(30_000)
            ),
        ),
        (
            "expansion of names with markup",
            "<D:expand-property xmlns:D=\"DAV:\"><D:property name=\"&gt;&lt;evil\"/></D:expand-property>".into(),
        ),
        ("search for nothing", "<D:principal-property-search xmlns:D=\"DAV:\"/>".into()),
        (
            "search by the thousand",
            format!(
                "<D:principal-property-search xmlns:D=\"DAV:\">{}</D:principal-property-search>",
                "<D:property-search><D:prop><D:displayname/></D:prop><D:match>m</D:match></D:property-search>"
                    .repeat(10_000)
            ),
        ),
        ("report that nobody knows", "<evil xmlns=\"DAV:\"/>".into()),
    ]
}

pub fn cases() -> Vec<Case> {
    let windows = windows().into_iter();
    let grammars = grammars().into_iter().map(|(name, body)| (name.to_owned(), body));
    windows
        .chain(grammars)
        .map(|(name, body)| {
            let depth = if body.contains("principal-property-search") { "0" } else { "1" };
            let bytes = request("REPORT", CALENDAR, &[("Depth", depth)], body.as_bytes());
            Case { name, bytes, want: Want::Answer }
        })
        .collect()
}
