//! Filters and calendar data as clients ask for them: the examples of RFC 4791 §7.8 over the calendar of its Appendix
//! B, and the tables of §9.9 row by row.

use kalends::base::{Interval, Limits, Utc};
use kalends::filter::{
    Collation, CompFilter, CompRequest, CompTest, DataRequest, NoValue, ParamFilter, PropFilter, PropTest,
    RecurrenceRequest, RowFacts, TextMatch, ValueMatch, Verdict, check, matches, matches_series, plan, render, span_of,
};
use kalends::ical::{CalendarObject, parse_utc};
use kalends::recur::{Budget, Series};
use kalends::zone::Zone;

fn budget() -> Budget {
    Budget { steps: 10_000_000, instances: 100_000 }
}

fn object(text: &str) -> CalendarObject {
    CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("the test's own data is valid")
}

/// A VCALENDAR around `lines`.
fn calendar(lines: &str) -> CalendarObject {
    let body: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    object(&format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\n{body}END:VCALENDAR\r\n"))
}

/// One component with UID and DTSTAMP, and `lines`.
fn one(name: &str, lines: &str) -> CalendarObject {
    calendar(&format!("BEGIN:{name}\nUID:1@example.com\nDTSTAMP:20260101T000000Z\n{lines}\nEND:{name}"))
}

fn utc(text: &str) -> Utc {
    match text {
        "-" => Utc::MIN,
        "+" => Utc::MAX,
        _ => parse_utc(text).expect("a time in UTC"),
    }
}

/// `20260101T000000Z/20260102T000000Z`; `-` and `+` leave an end open.
fn range(text: &str) -> Interval {
    let (start, end) = text.split_once('/').expect("start/end");
    Interval::new(utc(start), utc(end))
}

fn comp(name: &str, time_range: Option<&str>, props: Vec<PropFilter>, comps: Vec<CompFilter>) -> CompFilter {
    CompFilter { name: name.into(), test: CompTest::All { time_range: time_range.map(range), props, comps } }
}

fn no_comp(name: &str) -> CompFilter {
    CompFilter { name: name.into(), test: CompTest::IsNotDefined }
}

fn in_calendar(inner: CompFilter) -> CompFilter {
    comp("VCALENDAR", None, vec![], vec![inner])
}

fn timed(name: &str, window: &str) -> CompFilter {
    in_calendar(comp(name, Some(window), vec![], vec![]))
}

fn prop(name: &str, value: Option<ValueMatch>, params: Vec<ParamFilter>) -> PropFilter {
    PropFilter { name: name.into(), test: PropTest::All { value, params } }
}

fn no_prop(name: &str) -> PropFilter {
    PropFilter { name: name.into(), test: PropTest::IsNotDefined }
}

fn text(text: &str, negate: bool) -> TextMatch {
    TextMatch { text: text.into(), collation: Collation::AsciiCasemap, negate }
}

fn says(name: &str, value: &str) -> PropFilter {
    prop(name, Some(ValueMatch::Text(text(value, false))), vec![])
}

fn dated(name: &str, window: &str) -> PropFilter {
    prop(name, Some(ValueMatch::TimeRange(range(window))), vec![])
}

fn passes_in(filter: &CompFilter, object: &CalendarObject, zone: &Zone) -> bool {
    assert_eq!(check(filter), Ok(()));
    let found = matches(filter, object, zone, &mut budget()).expect("within the budget");
    let series = Series::new(object, zone).expect("a series");
    let same = matches_series(filter, object, &series, zone, &mut budget()).expect("within the budget");
    assert_eq!(found, same);
    let recurring = series.is_recurring() || object.calendar.components.len() > 1;
    let facts = RowFacts { kind: object.kind, uid: &object.uid, span: span_of(object, &series), recurring };
    match plan(filter).verdict(facts) {
        Verdict::Unsure => {}
        verdict => assert_eq!(found, verdict == Verdict::Yes, "{filter:?} is planned as {verdict:?} for {facts:?}"),
    }
    found
}

fn passes(filter: &CompFilter, object: &CalendarObject) -> bool {
    passes_in(filter, object, &Zone::utc())
}

mod rfc4791 {
    use super::*;

    const NAMES: [&str; 8] = ["abcd1", "abcd2", "abcd3", "abcd4", "abcd5", "abcd6", "abcd7", "abcd8"];

    fn file(name: &str) -> String {
        let path = format!("{}/tests/data/rfc4791/{name}.ics", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the file is part of the repository")
    }

    /// The members of Appendix B's calendar that pass.
    fn query(inner: CompFilter) -> Vec<&'static str> {
        let filter = in_calendar(inner);
        NAMES.into_iter().filter(|name| passes(&filter, &object(&file(name)))).collect()
    }

    fn data(request: &DataRequest, name: &str) -> String {
        let stored = file(name);
        render(request, &object(&stored), &stored, &Zone::utc(), &mut budget()).expect("within the budget")
    }

    fn asked(name: &str, props: &[&str], comps: Vec<CompRequest>) -> CompRequest {
        let props = props.iter().map(|p| ((*p).to_owned(), NoValue::Whole)).collect();
        CompRequest { name: name.into(), props: Some(props), comps: Some(comps) }
    }

    fn from_begin<'a>(text: &'a str, name: &str) -> &'a str {
        &text[text.find(&format!("BEGIN:{name}")).expect(name)..]
    }

    // clause 4791/7.8-a
    // clause 4791/9.6-a
    #[test]
    fn s7_8_1_partial_retrieval_of_events_by_time_range() {
        let window = Some("20060104T000000Z/20060105T000000Z");
        assert_eq!(query(comp("VEVENT", window, vec![], vec![])), ["abcd2", "abcd3"]);
        let wanted =
            ["SUMMARY", "UID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXRULE", "EXDATE", "RECURRENCE-ID"];
        let comps = vec![asked("VEVENT", &wanted, vec![]), asked("VTIMEZONE", &[], vec![])];
        let request = DataRequest { comp: Some(asked("VCALENDAR", &["VERSION"], comps)), ..DataRequest::default() };
        let partial = data(&request, "abcd2");
        assert!(
            partial
                .starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nLAST-MODIFIED:20040110T032845Z\r\n")
        );
        assert!(partial.contains("BEGIN:DAYLIGHT\r\nDTSTART:20000404T020000\r\n"));
        assert_eq!(
            from_begin(&partial, "VEVENT"),
            "BEGIN:VEVENT\r\nDTSTART;TZID=US/Eastern:20060102T120000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=5\r\n\
             SUMMARY:Event #2\r\nUID:00959BC664CA650E933C892C@example.com\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nDTSTART;TZID=US/Eastern:20060104T140000\r\nDURATION:PT1H\r\n\
             RECURRENCE-ID;TZID=US/Eastern:20060104T120000\r\nSUMMARY:Event #2 bis\r\n\
             UID:00959BC664CA650E933C892C@example.com\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nDTSTART;TZID=US/Eastern:20060106T140000\r\nDURATION:PT1H\r\n\
             RECURRENCE-ID;TZID=US/Eastern:20060106T120000\r\nSUMMARY:Event #2 bis bis\r\n\
             UID:00959BC664CA650E933C892C@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
    }

    #[test]
    fn s7_8_2_partial_retrieval_of_recurring_events() {
        let window = "20060103T000000Z/20060105T000000Z";
        assert_eq!(query(comp("VEVENT", Some(window), vec![], vec![])), ["abcd2", "abcd3"]);
        let request = DataRequest { recurrence: RecurrenceRequest::Limit(range(window)), ..DataRequest::default() };
        let limited = data(&request, "abcd2");
        assert!(limited.contains("SUMMARY:Event #2 bis\r\n") && limited.contains("RRULE:FREQ=DAILY;COUNT=5\r\n"));
        assert!(!limited.contains("bis bis") && limited.contains("BEGIN:VTIMEZONE"));
        assert_eq!(data(&request, "abcd3"), file("abcd3"));
    }

    #[test]
    fn s7_8_3_expanded_retrieval_of_recurring_events() {
        let window = "20060103T000000Z/20060105T000000Z";
        let request = DataRequest { recurrence: RecurrenceRequest::Expand(range(window)), ..DataRequest::default() };
        // The RFC's answer lacks the Z of its times (erratum): its text asks for UTC.
        assert_eq!(
            data(&request, "abcd2"),
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp.//CalDAV Client//EN\r\n\
             BEGIN:VEVENT\r\nDTSTAMP:20060206T001121Z\r\nDTSTART:20060103T170000Z\r\nRECURRENCE-ID:20060103T170000Z\r\n\
             DURATION:PT1H\r\nSUMMARY:Event #2\r\nUID:00959BC664CA650E933C892C@example.com\r\nEND:VEVENT\r\n\
             BEGIN:VEVENT\r\nDTSTAMP:20060206T001121Z\r\nDTSTART:20060104T190000Z\r\nRECURRENCE-ID:20060104T170000Z\r\n\
             DURATION:PT1H\r\nSUMMARY:Event #2 bis\r\nUID:00959BC664CA650E933C892C@example.com\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\n"
        );
        let single = data(&request, "abcd3");
        assert!(single.contains("DTSTART:20060104T150000Z\r\nDURATION:PT1H\r\n"));
        assert!(!single.contains("RECURRENCE-ID") && !single.contains("VTIMEZONE"));
    }

    #[test]
    fn s7_8_4_partial_retrieval_of_stored_free_busy_components() {
        let window = "20060102T000000Z/20060103T000000Z";
        assert_eq!(query(comp("VFREEBUSY", Some(window), vec![], vec![])), ["abcd8"]);
        let request = DataRequest { limit_freebusy: Some(range(window)), ..DataRequest::default() };
        let limited = data(&request, "abcd8");
        let periods: Vec<&str> = limited.lines().filter(|line| line.starts_with("FREEBUSY")).collect();
        assert_eq!(periods, ["FREEBUSY;FBTYPE=BUSY-TENTATIVE:20060102T100000Z/20060102T120000Z"]);
        assert!(limited.contains("DTEND:20060108T000000Z\r\n"));
    }

    #[test]
    fn s7_8_5_retrieval_of_to_dos_by_alarm_time_range() {
        let alarm = |window| comp("VTODO", None, vec![], vec![comp("VALARM", Some(window), vec![], vec![])]);
        let window = "20060106T100000Z/20060107T100000Z";
        assert!(passes(&in_calendar(alarm(window)), &object(&file("alarm-of-7.8.5"))));
        // Of those in Appendix B both are due on days, and go off ten minutes before midnight.
        assert_eq!(query(alarm(window)), [""; 0]);
        assert_eq!(query(alarm("20060105T235000Z/20060105T235001Z")), ["abcd5"]);
        assert_eq!(query(alarm("20060103T000000Z/20060104T000000Z")), ["abcd4"]);
    }

    #[test]
    fn s7_8_6_retrieval_of_event_by_uid() {
        let uid = TextMatch {
            text: "DC6C50A017428C5216A2F1CD@example.com".into(),
            collation: Collation::Octet,
            negate: false,
        };
        let filter = comp("VEVENT", None, vec![prop("UID", Some(ValueMatch::Text(uid)), vec![])], vec![]);
        assert_eq!(query(filter), ["abcd3"]);
    }

    #[test]
    fn s7_8_7_retrieval_of_events_by_partstat() {
        let attendee = |partstat: &str, value: &str| {
            let partstat = ParamFilter { name: "PARTSTAT".into(), test: Some(Some(text(partstat, false))) };
            comp(
                "VEVENT",
                None,
                vec![prop("ATTENDEE", Some(ValueMatch::Text(text(value, false))), vec![partstat])],
                vec![],
            )
        };
        assert_eq!(query(attendee("NEEDS-ACTION", "mailto:lisa@example.com")), ["abcd3"]);
        // Both must hold of one ATTENDEE.
        assert_eq!(query(attendee("NEEDS-ACTION", "mailto:cyrus@example.com")), [""; 0]);
    }

    #[test]
    fn s7_8_8_retrieval_of_events_only() {
        assert_eq!(query(comp("VEVENT", None, vec![], vec![])), ["abcd1", "abcd2", "abcd3"]);
        assert_eq!(data(&DataRequest::default(), "abcd2"), file("abcd2"));
    }

    #[test]
    fn s7_8_9_retrieval_of_all_pending_to_dos() {
        let not_cancelled = prop("STATUS", Some(ValueMatch::Text(text("CANCELLED", true))), vec![]);
        let filter = comp("VTODO", None, vec![no_prop("COMPLETED"), not_cancelled], vec![]);
        assert_eq!(query(filter), ["abcd4", "abcd5"]);
    }

    // clause 4791/7.7-a
    #[test]
    fn s7_8_10_properties_nobody_knows_can_be_asked_for() {
        assert_eq!(query(comp("VEVENT", None, vec![says("X-ABC-GUID", "ABC")], vec![])), [""; 0]);
        assert_eq!(query(comp("VEVENT", None, vec![says("X-ABC-GUID", "e1cx5dr")], vec![])), ["abcd3"]);
        let all = CompFilter {
            name: "VCALENDAR".into(),
            test: CompTest::All { time_range: None, props: vec![], comps: vec![] },
        };
        assert_eq!(NAMES.iter().filter(|name| passes(&all, &object(&file(name)))).count(), 8);
    }

    #[test]
    fn events_without_an_alarm_and_calendars_without_a_zone() {
        assert_eq!(query(comp("VTODO", None, vec![], vec![no_comp("VALARM")])), ["abcd6", "abcd7"]);
        assert_eq!(query(no_comp("VTIMEZONE")), ["abcd4", "abcd5", "abcd6", "abcd7", "abcd8"]);
        let zone = comp("VTIMEZONE", None, vec![says("TZID", "eastern")], vec![comp("DAYLIGHT", None, vec![], vec![])]);
        assert_eq!(query(zone), ["abcd1", "abcd2", "abcd3"]);
    }
}

/// Rows of the tables of RFC 4791 §9.9: the component's lines, and for each window whether it overlaps.
fn check_rows(name: &str, rows: &[(&str, &[(&str, bool)])]) {
    for (lines, windows) in rows {
        let object = one(name, lines);
        for (window, expected) in *windows {
            assert_eq!(passes(&timed(name, window), &object), *expected, "{name} with {lines:?} in {window}");
        }
    }
}

// clause 4791/9.9-b
#[test]
fn table_of_vevent() {
    check_rows(
        "VEVENT",
        &[
            (
                "DTSTART:20260110T100000Z\nDTEND:20260110T110000Z",
                &[
                    ("20260110T110000Z/20260110T120000Z", false),
                    ("20260110T105959Z/20260110T120000Z", true),
                    ("20260110T090000Z/20260110T100000Z", false),
                    ("20260110T090000Z/20260110T100001Z", true),
                    ("-/20260110T100001Z", true),
                    ("20260110T110000Z/+", false),
                    ("20260110T105959Z/+", true),
                ],
            ),
            (
                "DTSTART:20260110T100000Z\nDURATION:PT1H",
                &[("20260110T110000Z/20260110T120000Z", false), ("20260110T103000Z/20260110T104000Z", true)],
            ),
            (
                "DTSTART:20260110T100000Z\nDURATION:PT0S",
                &[
                    ("20260110T100000Z/20260110T110000Z", true),
                    ("20260110T100001Z/20260110T110000Z", false),
                    ("20260110T090000Z/20260110T100000Z", false),
                ],
            ),
            (
                "DTSTART:20260110T100000Z",
                &[
                    ("20260110T100000Z/20260110T110000Z", true),
                    ("20260110T100001Z/20260110T110000Z", false),
                    ("20260110T090000Z/20260110T100000Z", false),
                ],
            ),
            (
                "DTSTART;VALUE=DATE:20260110",
                &[
                    ("20260110T235959Z/20260111T120000Z", true),
                    ("20260111T000000Z/20260111T120000Z", false),
                    ("20260109T000000Z/20260110T000000Z", false),
                ],
            ),
        ],
    );
}

// clause 4791/9.9-c
#[test]
fn table_of_vtodo() {
    check_rows(
        "VTODO",
        &[
            (
                "DTSTART:20260110T100000Z\nDURATION:PT1H",
                &[
                    ("20260110T110000Z/20260110T120000Z", true),
                    ("20260110T110001Z/20260110T120000Z", false),
                    ("20260110T090000Z/20260110T100000Z", false),
                    ("20260110T090000Z/20260110T100001Z", true),
                ],
            ),
            (
                "DTSTART:20260110T100000Z\nDUE:20260110T110000Z",
                &[
                    ("20260110T110000Z/20260110T120000Z", false),
                    ("20260110T105959Z/20260110T120000Z", true),
                    ("20260110T090000Z/20260110T100000Z", false),
                    ("20260110T090000Z/20260110T100001Z", true),
                ],
            ),
            (
                "DTSTART:20260110T100000Z\nDUE:20260110T100000Z",
                &[("20260110T100000Z/20260110T110000Z", true), ("20260110T090000Z/20260110T100000Z", true)],
            ),
            (
                "DTSTART:20260110T100000Z",
                &[("20260110T100000Z/20260110T110000Z", true), ("20260110T090000Z/20260110T100000Z", false)],
            ),
            (
                "DUE:20260110T100000Z",
                &[
                    ("20260110T100000Z/20260110T110000Z", false),
                    ("20260110T095959Z/20260110T110000Z", true),
                    ("20260110T090000Z/20260110T100000Z", true),
                    ("20260110T090000Z/20260110T095959Z", false),
                ],
            ),
            (
                "CREATED:20260105T000000Z\nCOMPLETED:20260110T100000Z",
                &[
                    ("20260106T000000Z/20260107T000000Z", true),
                    ("20260110T100000Z/20260111T000000Z", true),
                    ("20260110T100001Z/20260111T000000Z", false),
                    ("20260104T000000Z/20260105T000000Z", true),
                    ("20260104T000000Z/20260104T235959Z", false),
                ],
            ),
            (
                "COMPLETED:20260110T100000Z",
                &[
                    ("20260110T100000Z/20260111T000000Z", true),
                    ("20260109T000000Z/20260110T100000Z", true),
                    ("20260110T100001Z/20260111T000000Z", false),
                    ("20260109T000000Z/20260110T095959Z", false),
                ],
            ),
            (
                "CREATED:20260110T100000Z",
                &[
                    ("20260109T000000Z/20260110T100000Z", false),
                    ("20260109T000000Z/20260110T100001Z", true),
                    ("20300101T000000Z/+", true),
                ],
            ),
            ("SUMMARY:Some day", &[("20260110T100000Z/20260110T110000Z", true), ("-/19700101T000000Z", true)]),
        ],
    );
}

// clause 4791/9.9-d
#[test]
fn table_of_vjournal() {
    check_rows(
        "VJOURNAL",
        &[
            (
                "DTSTART:20260110T100000Z",
                &[("20260110T100000Z/20260110T110000Z", true), ("20260110T100001Z/20260110T110000Z", false)],
            ),
            (
                "DTSTART;VALUE=DATE:20260110",
                &[("20260110T235959Z/20260111T110000Z", true), ("20260111T000000Z/20260111T110000Z", false)],
            ),
            ("SUMMARY:Undated", &[("-/20300101T000000Z", false)]),
        ],
    );
}

// clause 4791/9.9-e
#[test]
fn table_of_vfreebusy() {
    check_rows(
        "VFREEBUSY",
        &[
            (
                "DTSTART:20260110T100000Z\nDTEND:20260110T110000Z\nFREEBUSY:20260201T100000Z/PT1H",
                &[
                    ("20260110T110000Z/20260110T120000Z", true),
                    ("20260110T110001Z/20260110T120000Z", false),
                    ("20260110T090000Z/20260110T100000Z", false),
                    ("20260201T100000Z/20260201T110000Z", false),
                ],
            ),
            (
                "FREEBUSY;FBTYPE=FREE:20260110T100000Z/PT1H,20260112T100000Z/20260112T110000Z",
                &[
                    ("20260110T105959Z/20260110T120000Z", true),
                    ("20260110T110000Z/20260110T120000Z", false),
                    ("20260112T000000Z/20260113T000000Z", true),
                ],
            ),
            (
                "DTSTART;TZID=America/New_York:20260110T050000\nDTEND:20260110T060000",
                &[("20260110T105959Z/20260110T120000Z", true), ("20260110T110001Z/20260110T120000Z", false)],
            ),
            ("COMMENT:Nothing", &[("-/20300101T000000Z", false)]),
        ],
    );
}

#[test]
fn table_of_vavailability() {
    check_rows(
        "VAVAILABILITY",
        &[
            (
                "DTSTART:20260110T100000Z\nDTEND:20260110T110000Z",
                &[("20260110T105959Z/20260110T120000Z", true), ("20260110T110000Z/20260110T120000Z", false)],
            ),
            (
                "DTSTART:20260110T100000Z",
                &[("20300110T110000Z/20300110T120000Z", true), ("20260110T090000Z/20260110T100000Z", false)],
            ),
            (
                "DTSTART;TZID=America/New_York:20260110T050000\nDTEND:20260110T060000",
                &[("20260110T105959Z/20260110T120000Z", true), ("20260110T110001Z/20260110T120000Z", false)],
            ),
            ("DTEND:20260110T100000Z", &[("-/20000101T000000Z", true), ("20260110T100000Z/+", false)]),
            ("SUMMARY:Always", &[("20300110T110000Z/20300110T120000Z", true)]),
        ],
    );
    let nine_to_five = calendar(
        "BEGIN:VAVAILABILITY\nUID:1\nDTSTAMP:20260101T000000Z\nBEGIN:AVAILABLE\nUID:2\nDTSTAMP:20260101T000000Z
        DTSTART:20260105T090000Z\nDTEND:20260105T170000Z\nRRULE:FREQ=DAILY\nEND:AVAILABLE\nEND:VAVAILABILITY",
    );
    let available =
        |w| in_calendar(comp("VAVAILABILITY", None, vec![], vec![comp("AVAILABLE", Some(w), vec![], vec![])]));
    assert!(passes(&available("20260201T120000Z/20260201T130000Z"), &nine_to_five));
    assert!(!passes(&available("20260201T170000Z/20260202T090000Z"), &nine_to_five));
}

/// Trap: without CALDAV:timezone or calendar-timezone, all-day and floating values are where UTC has them; with it, where it
/// says.
#[test]
fn all_day_and_floating_events_are_where_their_reader_is() {
    let new_york = Zone::named("America/New_York").expect("a zone everybody knows");
    let day = one("VEVENT", "DTSTART;VALUE=DATE:20260110");
    let floating = one("VEVENT", "DTSTART:20260110T230000\nDURATION:PT1H");
    for (window, object, in_utc, in_new_york) in [
        ("20260111T000000Z/20260111T050000Z", &day, false, true),
        ("20260110T000000Z/20260110T050000Z", &day, true, false),
        ("20260110T230000Z/20260111T000000Z", &floating, true, false),
        ("20260111T040000Z/20260111T050000Z", &floating, false, true),
    ] {
        let filter = timed("VEVENT", window);
        assert_eq!(passes(&filter, object), in_utc, "{window}");
        assert_eq!(passes_in(&filter, object, &new_york), in_new_york, "{window}");
    }
}

const SERIES: &str = "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T100000Z\nDTEND:20260105T110000Z
    RRULE:FREQ=DAILY\nEXDATE:20260108T100000Z\nSUMMARY:Standup\nEND:VEVENT
    BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID:20260110T100000Z\nDTSTART:20260120T150000Z
    DTEND:20260120T160000Z\nSUMMARY:Moved\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT";

/// Trap 24: occurrences are tested, overrides where they are now, excluded ones not at all.
#[test]
fn a_series_is_where_its_occurrences_are() {
    let series = calendar(SERIES);
    for (window, expected) in [
        ("20260106T100000Z/20260106T101000Z", true),
        ("20260106T110000Z/20260107T100000Z", false),
        ("20260108T000000Z/20260109T000000Z", false),
        ("20260110T000000Z/20260111T000000Z", false),
        ("20260120T153000Z/20260120T154000Z", true),
        ("20460106T103000Z/20460106T104000Z", true),
        ("20260104T000000Z/20260105T100000Z", false),
        ("20460106T113000Z/+", true),
    ] {
        assert_eq!(passes(&timed("VEVENT", window), &series), expected, "{window}");
    }
}

// clause 4791/9.7.1-a
#[test]
fn what_one_comp_filter_asks_holds_of_one_component() {
    let series = calendar(SERIES);
    let named = |name, window| in_calendar(comp("VEVENT", Some(window), vec![says("SUMMARY", name)], vec![]));
    assert!(passes(&named("moved", "20260120T150000Z/20260120T160000Z"), &series));
    assert!(!passes(&named("standup", "20260120T150000Z/20260120T160000Z"), &series));
    assert!(!passes(&named("moved", "20260106T000000Z/20260107T000000Z"), &series));
    assert!(passes(&named("standup", "20300101T000000Z/+"), &series));
    assert!(!passes(&named("moved", "20260121T000000Z/+"), &series));
    let with_alarm =
        |window| in_calendar(comp("VEVENT", Some(window), vec![], vec![comp("VALARM", None, vec![], vec![])]));
    assert!(passes(&with_alarm("20260120T150000Z/20260120T160000Z"), &series));
    assert!(!passes(&with_alarm("20260106T000000Z/20260107T000000Z"), &series));
}

#[test]
fn a_future_override_takes_its_instances_with_it() {
    let series = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T100000Z\nDTEND:20260105T110000Z
        RRULE:FREQ=DAILY\nSUMMARY:Old\nEND:VEVENT
        BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260110T100000Z
        DTSTART:20260110T150000Z\nDTEND:20260110T160000Z\nSUMMARY:New\nEND:VEVENT",
    );
    let named = |name, window| in_calendar(comp("VEVENT", Some(window), vec![says("SUMMARY", name)], vec![]));
    for (name, window, expected) in [
        ("old", "20260109T000000Z/20260110T000000Z", true),
        ("new", "20260109T000000Z/20260110T000000Z", false),
        ("new", "20260401T153000Z/20260401T154000Z", true),
        ("old", "20260401T000000Z/20260501T000000Z", false),
        // Nothing is ever found, and nothing is searched for to the end of time.
        ("old", "20260401T000000Z/+", false),
        ("old", "-/+", true),
    ] {
        assert_eq!(passes(&named(name, window), &series), expected, "{name} in {window}");
    }
}

#[test]
fn a_long_instance_outlasts_its_replacement() {
    let series = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260101T000000Z\nDTEND:20260131T000000Z
        RRULE:FREQ=DAILY\nSUMMARY:Old\nEND:VEVENT
        BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260102T000000Z
        DTSTART:20260102T000000Z\nDTEND:20260102T010000Z\nSUMMARY:New\nEND:VEVENT",
    );
    let old = |window| in_calendar(comp("VEVENT", Some(window), vec![says("SUMMARY", "old")], vec![]));
    assert!(passes(&old("20260130T230000Z/20260131T010000Z"), &series));
    assert!(!passes(&old("20260131T000000Z/20260301T000000Z"), &series));
}

fn alarm(window: &str, parent: &str) -> CompFilter {
    in_calendar(comp(parent, None, vec![], vec![comp("VALARM", Some(window), vec![], vec![])]))
}

// clause 4791/9.9-f
/// Trap 19.
#[test]
fn alarms_go_off_when_their_triggers_say() {
    let event = |alarm: &str| {
        one(
            "VEVENT",
            &format!(
                "DTSTART:20260110T100000Z\nDTEND:20260110T110000Z\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\n{alarm}\nEND:VALARM"
            ),
        )
    };
    for (lines, window, expected) in [
        ("TRIGGER:-PT15M", "20260110T094500Z/20260110T094501Z", true),
        ("TRIGGER:-PT15M", "20260110T094501Z/20260110T120000Z", false),
        ("TRIGGER:-PT15M", "20260110T090000Z/20260110T094500Z", false),
        ("TRIGGER:PT5M", "20260110T100500Z/20260110T100501Z", true),
        ("TRIGGER;RELATED=END:-PT5M", "20260110T105500Z/20260110T105501Z", true),
        ("TRIGGER;RELATED=END:PT5M", "20260110T110500Z/20260110T110501Z", true),
        ("TRIGGER;RELATED=START:-P1D", "20260109T100000Z/20260109T100001Z", true),
        ("TRIGGER;VALUE=DATE-TIME:20260101T080000Z", "20260101T080000Z/20260101T090000Z", true),
        ("TRIGGER;VALUE=DATE-TIME:20260101T080000Z", "20260110T000000Z/20260111T000000Z", false),
        ("TRIGGER:-PT15M\nREPEAT:2\nDURATION:PT5M", "20260110T095000Z/20260110T095001Z", true),
        ("TRIGGER:-PT15M\nREPEAT:2\nDURATION:PT5M", "20260110T095501Z/20260110T120000Z", false),
        ("TRIGGER:-PT15M\nREPEAT:2\nDURATION:PT5M", "20260110T094501Z/20260110T094959Z", false),
        ("TRIGGER;VALUE=DATE-TIME:20260101T080000Z\nREPEAT:4\nDURATION:PT1H", "20260101T120000Z/+", true),
        ("TRIGGER;VALUE=DATE-TIME:20260101T080000Z\nREPEAT:4\nDURATION:PT1H", "20260101T120001Z/+", false),
        ("TRIGGER:-PT15M\nREPEAT:4000000000\nDURATION:PT1S", "20990110T094501Z/20990110T094502Z", true),
    ] {
        assert_eq!(passes(&alarm(window, "VEVENT"), &event(lines)), expected, "{lines:?} in {window}");
    }
}

#[test]
fn alarms_follow_the_instances_of_a_series() {
    let series = one(
        "VEVENT",
        "DTSTART;TZID=Europe/Berlin:20260301T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY
        BEGIN:VALARM\nACTION:AUDIO\nTRIGGER:-P1D\nEND:VALARM",
    );
    // The day before, at the same time of day: also over the change of the clock on 29 March.
    assert!(passes(&alarm("20260327T090000Z/20260327T090001Z", "VEVENT"), &series));
    assert!(passes(&alarm("20260328T090000Z/20260328T090001Z", "VEVENT"), &series));
    assert!(!passes(&alarm("20260328T080000Z/20260328T080001Z", "VEVENT"), &series));
    assert!(passes(&alarm("20260329T080000Z/20260329T080001Z", "VEVENT"), &series));
    assert!(!passes(&alarm("20260101T000000Z/20260228T090000Z", "VEVENT"), &series));
}

#[test]
fn alarms_of_to_dos() {
    let alarmed = |dates: &str, trigger: &str| {
        one("VTODO", &format!("{dates}\nBEGIN:VALARM\nACTION:AUDIO\n{trigger}\nEND:VALARM"))
    };
    for (dates, trigger, window, expected) in [
        ("DUE:20260110T100000Z", "TRIGGER;RELATED=END:-PT10M", "20260110T095000Z/20260110T095001Z", true),
        ("DUE:20260110T100000Z", "TRIGGER:-PT10M", "20260110T095000Z/20260110T095001Z", true),
        (
            "DTSTART:20260109T100000Z\nDUE:20260110T100000Z",
            "TRIGGER;RELATED=END:-PT10M",
            "20260110T095000Z/20260110T095001Z",
            true,
        ),
        ("DTSTART:20260109T100000Z\nDUE:20260110T100000Z", "TRIGGER:-PT10M", "20260109T095000Z/20260109T095001Z", true),
        ("SUMMARY:x", "TRIGGER:-PT10M", "-/+", false),
        ("SUMMARY:x", "TRIGGER;VALUE=DATE-TIME:20260110T095000Z", "20260110T095000Z/20260110T095001Z", true),
    ] {
        assert_eq!(
            passes(&alarm(window, "VTODO"), &alarmed(dates, trigger)),
            expected,
            "{dates:?} {trigger} in {window}"
        );
    }
}

// clause 4791/9.9-g
#[test]
fn properties_with_time_ranges() {
    let event = one(
        "VEVENT",
        "DTSTART:20260110T100000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3\nLAST-MODIFIED:20250101T000000Z",
    );
    let todo = one("VTODO", "DTSTART:20260110T100000Z\nDURATION:PT1H\nCOMPLETED:20260111T120000Z");
    for (object, parent, name, window, expected) in [
        (&event, "VEVENT", "DTSTART", "20260117T100000Z/20260117T100001Z", true),
        (&event, "VEVENT", "DTSTART", "20260117T100001Z/20260120T000000Z", false),
        (&event, "VEVENT", "DTEND", "20260110T110000Z/20260110T110001Z", true),
        (&event, "VEVENT", "DTEND", "20260110T100000Z/20260110T110000Z", false),
        (&event, "VEVENT", "DUE", "-/+", false),
        (&event, "VEVENT", "LAST-MODIFIED", "20250101T000000Z/20250101T000001Z", true),
        (&event, "VEVENT", "LAST-MODIFIED", "20240101T000000Z/20250101T000000Z", false),
        (&event, "VEVENT", "DTSTAMP", "20260101T000000Z/20260101T000001Z", true),
        (&event, "VEVENT", "CREATED", "-/+", false),
        (&todo, "VTODO", "DUE", "20260110T110000Z/20260110T110001Z", true),
        (&todo, "VTODO", "COMPLETED", "20260111T120000Z/20260111T120001Z", true),
    ] {
        let filter = in_calendar(comp(parent, None, vec![dated(name, window)], vec![]));
        assert_eq!(passes(&filter, object), expected, "{name} in {window}");
    }
}

// clause 4791/9.7.2-a
// clause 4791/9.7.3-a
// clause 4791/9.7.5-a
#[test]
fn text_is_matched_decoded_and_parameters_too() {
    let event = one(
        "VEVENT",
        "DTSTART:20260110T100000Z\nSUMMARY;LANGUAGE=de:Kaffee\\, Kuchen\\; Äpfel\nCATEGORIES:WORK,LUNCH\nCATEGORIES:HOME
        ATTENDEE;CN=\"Doe, ^'Jo^'\";MEMBER=\"mailto:a@x.org\",\"mailto:b@x.org\":mailto:jo@x.org",
    );
    let param = |name: &str, test| ParamFilter { name: name.into(), test };
    let has = |p: PropFilter| passes(&in_calendar(comp("VEVENT", None, vec![p], vec![])), &event);
    assert!(has(says("summary", "KUCHEN; ")));
    assert!(has(says("CATEGORIES", "lunch")) && has(says("CATEGORIES", "home")));
    let unicode = TextMatch { text: "äPFEL".into(), collation: Collation::UnicodeCasemap, negate: false };
    assert!(has(prop("SUMMARY", Some(ValueMatch::Text(unicode)), vec![])));
    assert!(!has(says("SUMMARY", "äpfel")));
    // One property that does not say it is enough; a missing one does not say anything.
    assert!(has(prop("CATEGORIES", Some(ValueMatch::Text(text("work", true))), vec![])));
    assert!(!has(prop("COMMENT", Some(ValueMatch::Text(text("work", true))), vec![])));
    assert!(has(prop("ATTENDEE", None, vec![param("CN", Some(Some(text("doe, \"jo\"", false))))])));
    assert!(has(prop("ATTENDEE", None, vec![param("MEMBER", Some(Some(text("b@x.org", false))))])));
    assert!(!has(prop("ATTENDEE", None, vec![param("MEMBER", Some(Some(text("b@x.org", true))))])));
    assert!(has(prop("ATTENDEE", None, vec![param("cn", Some(None)), param("ROLE", None)])));
    assert!(!has(prop("ATTENDEE", None, vec![param("ROLE", Some(Some(text("x", true))))])));
    assert!(has(no_prop("LOCATION")) && !has(no_prop("Attendee")));
}
