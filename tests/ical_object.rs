//! What a calendar object resource may be (RFC 4791 §4.1, §5.3.2.1), rule by rule.

use kalends::base::Limits;
use kalends::ical::{CalendarObject, ComponentKind, DateOrTime, Invalid, InvalidKind};

use InvalidKind::{Attendees, CalendarComponent, CalendarData, CalendarObjectResource, Instances, ResourceSize};

const DTSTART: &str = "DTSTART:20240110T090000Z";

fn calendar(content: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//t//EN\n{content}\nEND:VCALENDAR\n")
}

fn parse(content: &str) -> Result<CalendarObject, Invalid> {
    CalendarObject::parse(calendar(content).as_bytes(), &Limits::default())
}

fn component(name: &str, lines: &[&str]) -> String {
    format!("BEGIN:{name}\nUID:u\n{}\nEND:{name}", lines.join("\n"))
}

fn event(lines: &[&str]) -> String {
    component("VEVENT", &[&[DTSTART], lines].concat())
}

fn refused(content: &str) -> InvalidKind {
    parse(content).expect_err(content).kind
}

#[test]
fn a_series_with_its_overrides() {
    let moved = event(&["RECURRENCE-ID:20240111T090000Z"]);
    let onwards = event(&["RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20240113T100000"]);
    let object =
        parse(&[&moved, &event(&["RRULE:FREQ=DAILY"]), &onwards].map(String::as_str).join("\n")).expect("series");
    assert_eq!((object.uid.as_str(), object.kind, object.master), ("u", ComponentKind::Event, Some(1)));
    let overrides: Vec<_> = object.overrides.iter().map(|o| (o.index, o.this_and_future)).collect();
    assert_eq!(overrides, [(0, false), (2, true)]);
    assert!(matches!(&object.overrides[1].recurrence_id, DateOrTime::Zoned(_, tzid) if tzid == "Europe/Berlin"));
    assert!(object.master().is_some_and(|m| m.property("RRULE").is_some()));
    assert_eq!(object.members().count(), 3);
}

#[test]
fn overrides_alone_are_an_object() {
    let object = parse(&event(&["RECURRENCE-ID:20240111T090000Z"])).expect("invited to one instance");
    assert_eq!((object.master, object.overrides.len()), (None, 1));
}

#[test]
fn each_kind_is_taken() {
    for (content, kind) in [
        (component("VTODO", &["SUMMARY:x"]), ComponentKind::Todo),
        (component("VJOURNAL", &["SUMMARY:x"]), ComponentKind::Journal),
        (component("VFREEBUSY", &["FREEBUSY:20240102T100000Z/PT1H"]), ComponentKind::FreeBusy),
        (component("VAVAILABILITY", &["BUSYTYPE:BUSY"]), ComponentKind::Availability),
        (component("vevent", &[DTSTART]), ComponentKind::Event),
    ] {
        assert_eq!(parse(&content).expect(&content).kind, kind);
    }
}

#[test]
fn one_object_is_one_uid_and_one_kind() {
    let other_uid = event(&[]).replace("UID:u", "UID:v");
    let no_uid = event(&[]).replace("UID:u\n", "");
    let empty_uid = event(&[]).replace("UID:u", "UID: ");
    let twice = ["RECURRENCE-ID:20240111T090000Z"];
    for content in [
        String::new(),
        component("VTIMEZONE", &["TZID:x"]),
        no_uid,
        empty_uid,
        event(&[]) + "\n" + &other_uid,
        event(&[]) + "\n" + &component("VTODO", &["RECURRENCE-ID:20240111T090000Z"]),
        event(&[]) + "\n" + &event(&[]),
        event(&twice) + "\n" + &event(&twice),
        format!("METHOD:PUBLISH\n{}", event(&[])),
    ] {
        assert_eq!(refused(&content), CalendarObjectResource, "{content}");
    }
    assert_eq!(refused(&component("VPOLL", &["SUMMARY:x"])), CalendarComponent);
}

#[test]
fn what_would_make_answers_wrong_is_refused() {
    for lines in [
        &["DTSTART:20240111T090000Z"][..],
        &["DTEND:20240110T100000Z", "DTEND:20240110T110000Z"],
        &["DTEND:20240110T100000Z", "DURATION:PT1H"],
        &["DTEND;VALUE=DATE:20240111"],
        &["DTEND:20240110"],
        &["DTEND:soon"],
        &["DURATION:-PT1H"],
        &["DURATION:1 hour"],
        &["RRULE:FREQ=NEVER"],
        &["EXDATE:20240110T090000Z,never"],
        &["RDATE;VALUE=PERIOD:20240110T090000Z"],
        &["RECURRENCE-ID:x"],
        &["STATUS:CONFIRMED", "STATUS:CANCELLED"],
        &["BEGIN:VEVENT", "END:VEVENT"],
        &["END;X=1:VEVENT"],
        &["BEGIN:VALARM", "BEGIN:VTODO", "END:VTODO", "END:VALARM"],
    ] {
        assert_eq!(refused(&event(lines)), CalendarData, "{lines:?}");
    }
    for content in [
        component("VEVENT", &["SUMMARY:no start"]),
        component("VTODO", &["DUE:20240101T000000Z", "DURATION:PT1H", DTSTART]),
        component("VFREEBUSY", &["FREEBUSY:20240102T100000Z"]),
        component("VAVAILABILITY", &["BEGIN:AVAILABLE", "UID:v", "END:AVAILABLE"]),
        format!("CALSCALE:CHINESE\n{}", event(&[])),
        format!("VERSION:1.0\n{}", event(&[])),
    ] {
        assert_eq!(refused(&content), CalendarData, "{content}");
    }
}

/// Refusing these would lose events that every client can show.
#[test]
fn what_is_only_untidy_is_taken() {
    for lines in [
        &["DTEND:20240110T080000Z"][..],
        &["DTEND:20240110T090000Z"],
        &["DTSTAMP:garbage", "LAST-MODIFIED:garbage"],
        &["SUMMARY:a", "SUMMARY:b"],
        &["DTEND;TZID=No/Such_Zone:20240110T100000"],
        &["STATUS:WEIRD", "TRANSP:MAYBE", "PRIORITY:99", "SEQUENCE:x"],
        &["RRULE:FREQ=DAILY;", "RRULE:FREQ=WEEKLY"],
        &["EXDATE:"],
        &["BEGIN:VALARM", "TRIGGER:nonsense", "END:VALARM"],
        &["BEGIN:X-ANYTHING", "DTSTART:nonsense", "END:X-ANYTHING"],
    ] {
        parse(&event(lines)).expect("untidy");
    }
    let bare = format!("BEGIN:VCALENDAR\n{}\nEND:VCALENDAR", event(&[]));
    CalendarObject::parse(bare.as_bytes(), &Limits::default()).expect("no VERSION, no PRODID, no last line end");
    parse(&component("VTODO", &["DTSTART;VALUE=DATE:20240101", "DUE:20240102T120000Z"])).expect("mixed to-do");
    parse(&component("VTODO", &["DUE:20240102T120000Z", "RRULE:FREQ=DAILY"])).expect("to-do without start");
}

#[test]
fn bounds() {
    let limits = Limits { resource_bytes_max: 400, instances_max: 10, attendees_max: 2, ..Limits::default() };
    let refused = |lines: &[&str]| {
        let content = calendar(&event(lines));
        CalendarObject::parse(content.as_bytes(), &limits).err().map(|e| e.kind)
    };
    assert_eq!(refused(&["RRULE:FREQ=DAILY;COUNT=10"]), None);
    assert_eq!(refused(&["RRULE:FREQ=DAILY;COUNT=11"]), Some(Instances));
    assert_eq!(
        refused(&[
            "RDATE:20240101,20240102,20240103,20240104,20240105,20240106",
            "RDATE:20240107,20240108,20240109,20240110,20240111"
        ]),
        Some(Instances)
    );
    assert_eq!(refused(&["ATTENDEE:mailto:a", "ATTENDEE:mailto:b"]), None);
    assert_eq!(refused(&["ATTENDEE:mailto:a", "ATTENDEE:mailto:b", "ATTENDEE:mailto:c"]), Some(Attendees));
    let none = Limits { availables_max: 0, ..Limits::default() };
    let available = component("VAVAILABILITY", &["BEGIN:AVAILABLE", "UID:v", DTSTART, "END:AVAILABLE"]);
    let refusal = CalendarObject::parse(calendar(&available).as_bytes(), &none).expect_err("too many");
    assert_eq!(refusal.kind, CalendarData);
    let short = Limits { uid_bytes_max: 0, ..Limits::default() };
    let refusal = CalendarObject::parse(calendar(&event(&[])).as_bytes(), &short).expect_err("UID too long");
    assert_eq!(refusal.kind, CalendarObjectResource);
    assert_eq!(refused(&[&format!("SUMMARY:{}", "x".repeat(400))]), Some(ResourceSize));
}

#[test]
fn bounds_of_the_text() {
    let refused = |limits: Limits, content: &str| {
        CalendarObject::parse(calendar(content).as_bytes(), &limits).expect_err("beyond a bound").kind
    };
    let few = || Limits { components_max: 3, parts_max: 20, line_bytes_max: 100, ..Limits::default() };
    let alarm = "BEGIN:VALARM\nEND:VALARM\n".repeat(2);
    assert_eq!(refused(few(), &event(&[alarm.trim()])), CalendarData);
    assert_eq!(refused(few(), &event(&["A:"; 30])), CalendarData);
    assert_eq!(refused(few(), &event(&[&format!("A{}:", ";B=,".repeat(10))])), CalendarData);
    assert_eq!(refused(few(), &event(&[&format!("A:{}", "x\n ".repeat(120))])), CalendarData);
}

#[test]
fn refusals_say_where_and_what() {
    let refusal = parse(&event(&["DTEND:soon"])).expect_err("bad end");
    assert_eq!(refusal.to_string(), "line 7: DTEND: \"soon\" is no date (YYYYMMDD) and no time (YYYYMMDDTHHMMSS)");
    let refusal = parse(&event(&["SUMMARY:one", " more", "COMMENT no colon"])).expect_err("no colon");
    assert_eq!(refusal.line, 9);
}
