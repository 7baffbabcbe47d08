//! Calendar data rendered as asked (RFC 4791 §9.6): parts, expansions, limits.

use kalends::base::{Interval, Limits};
use kalends::filter::{CompRequest, DataRequest, NoValue, RecurrenceRequest, render};
use kalends::ical::{CalendarObject, parse_utc};
use kalends::recur::Budget;
use kalends::zone::Zone;

fn range(text: &str) -> Interval {
    let (start, end) = text.split_once('/').expect("start/end");
    Interval::new(parse_utc(start).expect("a time"), parse_utc(end).expect("a time"))
}

fn calendar(lines: &str) -> String {
    let body: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\n{body}END:VCALENDAR\r\n")
}

fn one(name: &str, lines: &str) -> String {
    calendar(&format!("BEGIN:{name}\nUID:1\nDTSTAMP:20260101T000000Z\n{lines}\nEND:{name}"))
}

fn rendered(request: &DataRequest, stored: &str, zone: &Zone) -> String {
    let object = CalendarObject::parse(stored.as_bytes(), &Limits::default()).expect("the test's own data is valid");
    let mut budget = Budget { steps: 10_000_000, instances: 100_000 };
    let text = render(request, &object, stored, zone, &mut budget).expect("within the budget");
    let empty = !text.contains("UID:");
    assert!(
        request.comp.is_some() || empty || CalendarObject::parse(text.as_bytes(), &Limits::default()).is_ok(),
        "{text}"
    );
    text
}

fn expanded(stored: &str, window: &str) -> Vec<String> {
    let request = DataRequest { recurrence: RecurrenceRequest::Expand(range(window)), ..DataRequest::default() };
    let text = rendered(&request, stored, &Zone::utc());
    for gone in ["RRULE", "RDATE", "EXDATE", "VTIMEZONE", "TZID"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    instances(&text)
}

/// For each component its lines that tell a time, joined.
fn instances(text: &str) -> Vec<String> {
    let told = ["DTSTART", "DTEND", "DUE", "DURATION", "RECURRENCE-ID", "X-"];
    let parts = text.split("BEGIN:V").skip(2).map(|part| {
        let lines = part.lines().filter(|line| told.iter().any(|name| line.starts_with(name)));
        lines.collect::<Vec<_>>().join(" ")
    });
    parts.collect()
}

// clause 4791/9.6.5-a
#[test]
fn zoned_instances_come_in_utc() {
    let stored = one(
        "VEVENT",
        "DTSTART;TZID=Europe/Berlin:20260327T100000\nDTEND;TZID=Europe/Berlin:20260327T113000
        RRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=Europe/Berlin:20260328T100000\nX-SEEN;TZID=Europe/Berlin:20260101T120000",
    );
    assert_eq!(
        expanded(&stored, "20260327T000000Z/20260330T000000Z"),
        [
            "DTSTART:20260327T090000Z RECURRENCE-ID:20260327T090000Z DTEND:20260327T103000Z X-SEEN:20260101T110000Z",
            "DTSTART:20260329T080000Z RECURRENCE-ID:20260329T080000Z DTEND:20260329T093000Z X-SEEN:20260101T110000Z",
        ]
    );
}

#[test]
fn all_day_instances_stay_days() {
    let stored = one("VEVENT", "DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260107\nRRULE:FREQ=WEEKLY");
    assert_eq!(
        expanded(&stored, "20260113T000000Z/20260120T000000Z"),
        [
            "DTSTART;VALUE=DATE:20260112 RECURRENCE-ID;VALUE=DATE:20260112 DTEND;VALUE=DATE:20260114",
            "DTSTART;VALUE=DATE:20260119 RECURRENCE-ID;VALUE=DATE:20260119 DTEND;VALUE=DATE:20260121",
        ]
    );
    let plain = one("VEVENT", "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY");
    assert_eq!(
        expanded(&plain, "20260301T000000Z/20260302T000000Z"),
        ["DTSTART;VALUE=DATE:20260301 RECURRENCE-ID;VALUE=DATE:20260301"]
    );
}

#[test]
fn floating_instances_stay_floating() {
    let stored = one("VEVENT", "DTSTART:20260105T090000\nDTEND:20260105T100000\nRRULE:FREQ=DAILY");
    assert_eq!(
        expanded(&stored, "20260110T000000Z/20260111T000000Z"),
        ["DTSTART:20260110T090000 RECURRENCE-ID:20260110T090000 DTEND:20260110T100000"]
    );
}

#[test]
fn a_floating_end_follows_the_zone_of_its_start() {
    let stored =
        one("VEVENT", "DTSTART;TZID=America/New_York:20260105T090000\nDTEND:20260105T100000\nRRULE:FREQ=DAILY");
    assert_eq!(
        expanded(&stored, "20260110T000000Z/20260111T000000Z"),
        ["DTSTART:20260110T140000Z RECURRENCE-ID:20260110T140000Z DTEND:20260110T150000Z"]
    );
}

#[test]
fn to_dos_and_journals_expand_too() {
    let todo = one(
        "VTODO",
        "DTSTART;TZID=America/New_York:20260105T090000\nDUE;TZID=America/New_York:20260105T170000\nRRULE:FREQ=DAILY",
    );
    assert_eq!(
        expanded(&todo, "20260107T000000Z/20260108T000000Z"),
        ["DTSTART:20260107T140000Z RECURRENCE-ID:20260107T140000Z DUE:20260107T220000Z"]
    );
    let due = one("VTODO", "DUE;TZID=America/New_York:20260107T170000");
    assert_eq!(expanded(&due, "20260107T000000Z/20260108T000000Z"), ["DUE:20260107T220000Z"]);
    let undated = one("VTODO", "SUMMARY:Some day\nX-A:1");
    assert_eq!(expanded(&undated, "20260107T000000Z/20260108T000000Z"), ["X-A:1"]);
    let journal = one("VJOURNAL", "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY");
    assert_eq!(
        expanded(&journal, "20260112T000000Z/20260113T000000Z"),
        ["DTSTART;VALUE=DATE:20260112 RECURRENCE-ID;VALUE=DATE:20260112"]
    );
}

#[test]
fn a_length_that_utc_cannot_tell_becomes_an_end() {
    // A day by the clock is 23 hours when summer time begins.
    let days = one("VEVENT", "DTSTART;TZID=Europe/Berlin:20260327T120000\nDURATION:P1D\nRRULE:FREQ=DAILY");
    assert_eq!(
        expanded(&days, "20260327T120000Z/20260329T090000Z"),
        [
            "DTSTART:20260327T110000Z RECURRENCE-ID:20260327T110000Z DURATION:P1D",
            "DTSTART:20260328T110000Z DTEND:20260329T100000Z RECURRENCE-ID:20260328T110000Z",
        ]
    );
    let period = one("VEVENT", "DTSTART:20260105T090000Z\nDURATION:PT1H\nRDATE;VALUE=PERIOD:20260106T090000Z/PT3H");
    assert_eq!(
        expanded(&period, "20260105T000000Z/20260107T000000Z"),
        [
            "DTSTART:20260105T090000Z RECURRENCE-ID:20260105T090000Z DURATION:PT1H",
            "DTSTART:20260106T090000Z DTEND:20260106T120000Z RECURRENCE-ID:20260106T090000Z",
        ]
    );
}

const SERIES: &str = "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T100000Z\nDTEND:20260105T110000Z
    RRULE:FREQ=DAILY;COUNT=30\nSUMMARY:Standup\nEND:VEVENT
    BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID:20260107T100000Z\nDTSTART:20260207T150000Z
    DTEND:20260207T160000Z\nSUMMARY:Moved\nEND:VEVENT
    BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260120T100000Z
    DTSTART:20260120T120000Z\nDTEND:20260120T140000Z\nSUMMARY:Later\nEND:VEVENT";

#[test]
fn overrides_are_expanded_where_they_are_now() {
    let stored = calendar(SERIES);
    assert_eq!(
        expanded(&stored, "20260106T000000Z/20260108T000000Z"),
        ["DTSTART:20260106T100000Z RECURRENCE-ID:20260106T100000Z DTEND:20260106T110000Z"]
    );
    assert_eq!(
        expanded(&stored, "20260207T000000Z/20260208T000000Z"),
        ["DTSTART:20260207T150000Z RECURRENCE-ID:20260107T100000Z DTEND:20260207T160000Z"]
    );
    assert_eq!(
        expanded(&stored, "20260121T000000Z/20260122T000000Z"),
        ["DTSTART:20260121T120000Z RECURRENCE-ID:20260121T100000Z DTEND:20260121T140000Z"]
    );
    assert_eq!(expanded(&stored, "20270101T000000Z/20270102T000000Z"), [""; 0]);
}

// clause 4791/9.6.6-a
#[test]
fn limit_recurrence_set_keeps_what_matters_in_the_window() {
    let stored = calendar(SERIES);
    for (window, moved, later) in [
        ("20260106T000000Z/20260107T000000Z", false, false),
        ("20260107T000000Z/20260108T000000Z", true, false),
        ("20260207T000000Z/20260208T000000Z", true, false),
        ("20260120T000000Z/20260120T110000Z", false, true),
        ("20260125T123000Z/20260125T124500Z", false, true),
        ("20270101T000000Z/20270201T000000Z", false, false),
    ] {
        let request = DataRequest { recurrence: RecurrenceRequest::Limit(range(window)), ..DataRequest::default() };
        let text = rendered(&request, &stored, &Zone::utc());
        assert!(text.contains("SUMMARY:Standup"), "{window}");
        assert_eq!((text.contains("SUMMARY:Moved"), text.contains("SUMMARY:Later")), (moved, later), "{window}");
    }
}

/// A RECURRENCE-ID may name its instance in another form than DTSTART's.
#[test]
fn limits_know_the_instance_that_a_recurrence_id_names_in_any_form() {
    for id in [
        "TZID=Europe/Berlin:20260107T090000",
        "VALUE=DATE:20260107",
        "X-NO=TZID:20260107T090000",
        "X-IN=UTC:20260107T080000Z",
    ] {
        let stored = calendar(&format!(
            "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin:20260105T090000
            RRULE:FREQ=DAILY;COUNT=5\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z
            RECURRENCE-ID;{id}\nDTSTART:20260207T090000Z\nSUMMARY:Moved\nEND:VEVENT"
        ));
        for (window, kept) in
            [("20260107T000000Z/20260108T000000Z", true), ("20260108T000000Z/20260109T000000Z", false)]
        {
            let request = DataRequest { recurrence: RecurrenceRequest::Limit(range(window)), ..DataRequest::default() };
            let text = rendered(&request, &stored, &Zone::utc());
            assert_eq!(text.contains("SUMMARY:Moved"), kept, "{id} {window}");
        }
    }
}

// clause 4791/9.6.7-a
#[test]
fn limit_freebusy_set_keeps_values_and_not_only_properties() {
    let stored = one(
        "VFREEBUSY",
        "DTSTART:20260101T000000Z\nDTEND:20260201T000000Z
        FREEBUSY:20260105T100000Z/PT1H,20260106T100000Z/20260106T110000Z,20260107T100000Z/PT1H\nFREEBUSY;FBTYPE=FREE:20260110T100000Z/PT1H",
    );
    let window = range("20260105T110000Z/20260107T100000Z");
    let request = DataRequest { limit_freebusy: Some(window), ..DataRequest::default() };
    let text = rendered(&request, &stored, &Zone::utc());
    let kept: Vec<&str> = text.lines().filter(|line| line.starts_with("FREEBUSY")).collect();
    assert_eq!(kept, ["FREEBUSY:20260106T100000Z/20260106T110000Z"]);
}

fn comp(name: &str, props: Option<&[(&str, NoValue)]>, comps: Option<Vec<CompRequest>>) -> CompRequest {
    let own = |list: &[(&str, NoValue)]| list.iter().map(|(name, novalue)| ((*name).to_owned(), *novalue)).collect();
    CompRequest { name: name.into(), props: props.map(own), comps }
}

// clause 4791/9.6-a
#[test]
fn parts_are_those_asked_for_as_they_were_written() {
    let stored = one(
        "VEVENT",
        "DTSTART:20260105T100000Z\nsummary;LANGUAGE=en:A\\, b\nATTENDEE;CN=\"x, y\":mailto:x@example.com\nATTENDEE:mailto:z@example.com
        BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER:-PT5M\nEND:VALARM",
    );
    let part = |request: CompRequest| {
        let request = DataRequest { comp: Some(request), ..DataRequest::default() };
        rendered(&request, &stored, &Zone::utc())
    };
    let event = comp("VEVENT", Some(&[("SUMMARY", NoValue::Whole), ("ATTENDEE", NoValue::NameOnly)]), Some(vec![]));
    assert_eq!(
        part(comp("VCALENDAR", Some(&[]), Some(vec![event]))),
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nsummary;LANGUAGE=en:A\\, b\r\nATTENDEE;CN=\"x, y\":\r\nATTENDEE:\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let no_alarms = part(comp("VCALENDAR", None, Some(vec![comp("VEVENT", None, Some(vec![]))])));
    assert!(no_alarms.contains("PRODID") && no_alarms.contains("UID:1") && !no_alarms.contains("VALARM"));
    let only_alarms = comp("VEVENT", Some(&[]), None);
    let only_alarms = part(comp("VCALENDAR", Some(&[]), Some(vec![only_alarms])));
    assert!(only_alarms.contains("TRIGGER:-PT5M") && !only_alarms.contains("UID:1"));
    assert_eq!(part(comp("VCALENDAR", Some(&[]), Some(vec![]))), stored);
}

#[test]
fn parts_of_expansions() {
    let stored = one("VEVENT", "DTSTART:20260105T100000Z\nRRULE:FREQ=DAILY\nSUMMARY:x");
    let request = DataRequest {
        comp: Some(comp(
            "VCALENDAR",
            Some(&[]),
            Some(vec![comp("VEVENT", Some(&[("DTSTART", NoValue::Whole)]), Some(vec![]))]),
        )),
        recurrence: RecurrenceRequest::Expand(range("20260110T000000Z/20260112T000000Z")),
        ..DataRequest::default()
    };
    assert_eq!(
        rendered(&request, &stored, &Zone::utc()),
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20260110T100000Z\r\nEND:VEVENT\r\n\
         BEGIN:VEVENT\r\nDTSTART:20260111T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
}

#[test]
fn too_many_instances_are_an_error_and_not_a_long_wait() {
    let stored = one("VEVENT", "DTSTART:20260105T100000Z\nRRULE:FREQ=SECONDLY");
    let object = CalendarObject::parse(stored.as_bytes(), &Limits::default()).expect("valid");
    let window = range("20260105T000000Z/20270105T000000Z");
    let request = DataRequest { recurrence: RecurrenceRequest::Expand(window), ..DataRequest::default() };
    let mut budget = Budget { steps: 10_000_000, instances: 10_000 };
    assert!(render(&request, &object, &stored, &Zone::utc(), &mut budget).is_err());
}
