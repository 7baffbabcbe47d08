use serde_json::{Value, json};

use super::*;
use crate::base::Limits;
use crate::ical::{Component, InvalidKind, Property, parse};

fn ics(lines: &str) -> Component {
    let text = format!("BEGIN:VCALENDAR\n{lines}\nEND:VCALENDAR\n");
    parse(text.as_bytes(), &Limits::default()).expect("test data")
}

fn line(content: &str) -> Property {
    ics(content).properties.remove(0)
}

fn back(jcal: &Value) -> Component {
    from_jcal(jcal, &Limits::default()).expect("jCal")
}

/// RFC 7265, appendix B.1, word for word.
#[test]
fn rfc_example_1() {
    let calendar = ics("CALSCALE:GREGORIAN\nPRODID:-//Example Inc.//Example Calendar//EN\nVERSION:2.0\nBEGIN:VEVENT\n\
        DTSTAMP:20080205T191224Z\nDTSTART:20081006\nSUMMARY:Planning meeting\nUID:4088E990AD89CB3DBB484909\nEND:VEVENT");
    let jcal = json!([
        "vcalendar",
        [
            ["calscale", {}, "text", "GREGORIAN"],
            ["prodid", {}, "text", "-//Example Inc.//Example Calendar//EN"],
            ["version", {}, "text", "2.0"]
        ],
        [[
            "vevent",
            [
                ["dtstamp", {}, "date-time", "2008-02-05T19:12:24Z"],
                ["dtstart", {}, "date", "2008-10-06"],
                ["summary", {}, "text", "Planning meeting"],
                ["uid", {}, "text", "4088E990AD89CB3DBB484909"]
            ],
            []
        ]]
    ]);
    assert_eq!(to_jcal(&calendar), jcal);
    let read = back(&jcal);
    assert_eq!(read.components[0].property("DTSTART"), Some(&line("DTSTART;VALUE=DATE:20081006")));
    assert_eq!(to_jcal(&read), jcal);
}

/// RFC 7265, appendix B.2 (its iCalendar; the RFC's JSON leaves out a property here and there).
#[test]
fn rfc_example_2() {
    let calendar = ics("VERSION:2.0\nPRODID:-//Example Corp.//Example Client//EN\nBEGIN:VTIMEZONE\n\
        LAST-MODIFIED:20040110T032845Z\nTZID:US/Eastern\nBEGIN:DAYLIGHT\nDTSTART:20000404T020000\n\
        RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4\nTZNAME:EDT\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0400\nEND:DAYLIGHT\n\
        END:VTIMEZONE\nBEGIN:VEVENT\nDTSTAMP:20060206T001121Z\nDTSTART;TZID=US/Eastern:20060102T120000\nDURATION:PT1H\n\
        RRULE:FREQ=DAILY;COUNT=5\nRDATE;TZID=US/Eastern;VALUE=PERIOD:20060102T150000/PT2H\nSUMMARY:Event #2\n\
        DESCRIPTION:one hour\\, with an additional meeting\\nPlease bring\nUID:00959BC664CA650E933C892C@example.com\n\
        END:VEVENT");
    let jcal = to_jcal(&calendar);
    assert_eq!(
        jcal[2][0],
        json!(["vtimezone",
            [
                ["last-modified", {}, "date-time", "2004-01-10T03:28:45Z"],
                ["tzid", {}, "text", "US/Eastern"]
            ],
            [["daylight",
                [
                    ["dtstart", {}, "date-time", "2000-04-04T02:00:00"],
                    ["rrule", {}, "recur", {"freq": "YEARLY", "byday": "1SU", "bymonth": 4}],
                    ["tzname", {}, "text", "EDT"],
                    ["tzoffsetfrom", {}, "utc-offset", "-05:00"],
                    ["tzoffsetto", {}, "utc-offset", "-04:00"]
                ],
                []]]
        ])
    );
    let event = &jcal[2][1][1];
    assert_eq!(event[1], json!(["dtstart", {"tzid": "US/Eastern"}, "date-time", "2006-01-02T12:00:00"]));
    assert_eq!(event[3], json!(["rrule", {}, "recur", {"freq": "DAILY", "count": 5}]));
    assert_eq!(event[4], json!(["rdate", {"tzid": "US/Eastern"}, "period", ["2006-01-02T15:00:00", "PT2H"]]));
    assert_eq!(event[6], json!(["description", {}, "text", "one hour, with an additional meeting\nPlease bring"]));
    let read = back(&jcal);
    assert_eq!(to_jcal(&read), jcal);
    assert_eq!(read.components[0], calendar.components[0]);
}

/// Content lines whose jCal leads back to the same line, with examples from RFC 7265 §3 and §5.
#[test]
fn lines_and_their_jcal() {
    let cases = [
        ("CATEGORIES:Meetings,Work\\, hard", json!(["categories", {}, "text", "Meetings", "Work, hard"])),
        ("GEO:37.386013;-122.082932", json!(["geo", {}, "float", [37.386013, -122.082932]])),
        ("REQUEST-STATUS:2.0;Success", json!(["request-status", {}, "text", ["2.0", "Success"]])),
        (
            "REQUEST-STATUS:3.7;Invalid calendar user;ATTENDEE:mailto:jsmith@example.org",
            json!([
                "request-status",
                {},
                "text",
                ["3.7", "Invalid calendar user", "ATTENDEE:mailto:jsmith@example.org"]
            ]),
        ),
        (
            "ATTENDEE;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:jsmith@example.org",
            json!(["attendee", {"partstat": "ACCEPTED", "role": "REQ-PARTICIPANT", "rsvp": "TRUE"},
                "cal-address", "mailto:jsmith@example.org"]),
        ),
        (
            "ATTENDEE;DELEGATED-TO=\"mailto:jdoe@example.org\",\"mailto:jq@example.org\":mailto:js@example.org",
            json!(["attendee", {"delegated-to": ["mailto:jdoe@example.org", "mailto:jq@example.org"]},
                "cal-address", "mailto:js@example.org"]),
        ),
        (
            "ATTENDEE;CN=a ^'b^' ^^ c:mailto:x@y",
            json!(["attendee", {"cn": "a \"b\" ^ c"}, "cal-address", "mailto:x@y"]),
        ),
        (
            "ATTACH;VALUE=BINARY;ENCODING=BASE64:SGVsbG8gV29ybGQh",
            json!(["attach", {"encoding": "BASE64"}, "binary", "SGVsbG8gV29ybGQh"]),
        ),
        ("X-NON-SMOKING;VALUE=BOOLEAN:TRUE", json!(["x-non-smoking", {}, "boolean", true])),
        ("X-GRADE;VALUE=FLOAT:1.3", json!(["x-grade", {}, "float", 1.3])),
        ("PERCENT-COMPLETE:95", json!(["percent-complete", {}, "integer", 95])),
        ("DTSTAMP:20121017T120000Z", json!(["dtstamp", {}, "date-time", "2012-10-17T12:00:00Z"])),
        ("DURATION:P1D", json!(["duration", {}, "duration", "P1D"])),
        (
            "FREEBUSY;FBTYPE=FREE:19970308T160000Z/P1D,19970309T160000Z/19970309T170000Z",
            json!(["freebusy", {"fbtype": "FREE"}, "period",
                ["1997-03-08T16:00:00Z", "P1D"], ["1997-03-09T16:00:00Z", "1997-03-09T17:00:00Z"]]),
        ),
        (
            "RRULE:FREQ=YEARLY;BYDAY=-1SU,2MO;BYMONTH=10;COUNT=5",
            json!(["rrule", {}, "recur", {"freq": "YEARLY", "count": 5, "byday": ["-1SU", "2MO"], "bymonth": 10}]),
        ),
        (
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=1,15,-1;INTERVAL=2;UNTIL=20131001",
            json!(["rrule", {}, "recur",
                {"freq": "MONTHLY", "interval": 2, "bymonthday": [1, 15, -1], "until": "2013-10-01"}]),
        ),
        ("EXDATE;VALUE=DATE:20240101,20240102", json!(["exdate", {}, "date", "2024-01-01", "2024-01-02"])),
        ("X-TIME;VALUE=TIME:123000", json!(["x-time", {}, "time", "12:30:00"])),
        ("X-TIME;VALUE=TIME:123000Z", json!(["x-time", {}, "time", "12:30:00Z"])),
        (
            "TZURL:http://example.org/tz/Europe-Berlin.ics",
            json!(["tzurl", {}, "uri", "http://example.org/tz/Europe-Berlin.ics"]),
        ),
        ("TZOFFSETTO:+1245", json!(["tzoffsetto", {}, "utc-offset", "+12:45"])),
        ("X-COMPLAINT-DEADLINE:20110512T120000Z", json!(["x-complaint-deadline", {}, "unknown", "20110512T120000Z"])),
        (
            "X-COFFEE-DATA:Stenophylla;Guinea\\,Africa",
            json!(["x-coffee-data", {}, "unknown", "Stenophylla;Guinea\\,Africa"]),
        ),
        ("DTSTART;VALUE=DATE;X-SLACK=30.3:20110512", json!(["dtstart", {"x-slack": "30.3"}, "date", "2011-05-12"])),
        ("X-FUTURE;VALUE=X-KIND:raw\\,", json!(["x-future", {}, "x-kind", "raw\\,"])),
        ("CREATED:yesterday", json!(["created", {}, "unknown", "yesterday"])),
        ("RRULE:\"", json!(["rrule", {}, "unknown", "\""])),
        ("RRULE:FREQ=YEARLY;X=a=b", json!(["rrule", {}, "unknown", "FREQ=YEARLY;X=a=b"])),
        ("RRULE:FREQ=YEARLY;BYMONTH=5L", json!(["rrule", {}, "recur", {"freq": "YEARLY", "bymonth": "5L"}])),
    ];
    for (content, jcal) in cases {
        assert_eq!(to_jcal(&ics(content))[1][0], jcal, "{content}");
        let read = back(&json!(["vcalendar", [jcal], []]));
        assert_eq!(read.properties[0], line(content), "{content}");
    }
}

#[test]
fn a_type_that_is_no_name_is_none() {
    for content in ["X-A;VALUE=a b:1", "X-A;VALUE=:1", "X-A;VALUE:1"] {
        assert_eq!(to_jcal(&ics(content))[1][0], json!(["x-a", {}, "unknown", "1"]), "{content}");
    }
}

#[test]
fn what_is_not_binary_is_not_base64() {
    let jcal = to_jcal(&ics("DESCRIPTION;ENCODING=BASE64:SGVsbG8="));
    assert_eq!(jcal[1][0], json!(["description", {}, "text", "Hello"]));
}

#[test]
fn the_rfcs_period_as_a_string_is_read() {
    let read = back(&json!(["vcalendar", [["rdate", {}, "period", "2006-01-02T15:00:00/PT2H"]], []]));
    assert_eq!(read.properties[0], line("RDATE;VALUE=PERIOD:20060102T150000/PT2H"));
}

#[test]
fn json_that_is_no_jcal() {
    let refused = |jcal: Value| from_jcal(&jcal, &Limits::default()).expect_err("no jCal").kind;
    for jcal in [
        json!(null),
        json!(["vevent", [], []]),
        json!(["vcalendar", []]),
        json!(["vcalendar", [], [], []]),
        json!(["vcalendar", [["begin", {}, "text", "VEVENT"]], []]),
        json!(["vcalendar", [["end", {}, "text", "VCALENDAR"]], []]),
        json!(["vcalendar", [["x-a\r\nEND", {}, "unknown", "1"]], []]),
        json!(["vcalendar", [["x-a", {}, "unknown", "1\r\nEND:VCALENDAR"]], []]),
        json!(["vcalendar", [["x-a", {"b\n": "c"}, "unknown", "1"]], []]),
        json!(["vcalendar", [["x-a", {"b": 1}, "unknown", "1"]], []]),
        json!(["vcalendar", [["summary", {}, "text"]], []]),
        json!(["vcalendar", [["summary", {}, "text", 1]], []]),
        json!(["vcalendar", [["dtstart", {}, "date-time", "20240110T090000"]], []]),
        json!(["vcalendar", [["dtstart", {}, "date", "2024-01-10T09:00:00"]], []]),
        json!(["vcalendar", [["priority", {}, "integer", 1.5]], []]),
        json!(["vcalendar", [["rrule", {}, "recur", {"freq": "DAILY;COUNT=1"}]], []]),
    ] {
        assert_eq!(refused(jcal), InvalidKind::CalendarData);
    }
    let deep = (0..20).fold(json!(["x", [], []]), |inner, _| json!(["vcalendar", [], [inner]]));
    assert_eq!(refused(deep), InvalidKind::CalendarData);
    assert_eq!(parse_jcal(b"[1,\n2", &Limits::default()).expect_err("cut off").line, 2);
}
