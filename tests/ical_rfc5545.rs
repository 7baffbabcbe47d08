//! The examples of RFC 5545 itself: the components of §3.6 and the objects of §3.4 and §4.

use std::path::PathBuf;

use kalends::base::Limits;
use kalends::ical::{CalendarObject, Component, Duration, InvalidKind, parse, parse_stream, split};

fn read(name: &str) -> Vec<Component> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc5545").join(name);
    parse_stream(&std::fs::read(path).expect(name), &Limits::default()).expect(name)
}

#[test]
fn every_component_is_an_object() {
    let calendars = read("components.ics");
    let objects = split(&calendars[0]);
    assert_eq!(objects.len(), 10);
    for (uid, object) in objects {
        let object = CalendarObject::of(object, &Limits::default()).expect(&uid);
        assert_eq!((object.uid, object.master, object.overrides.len()), (uid, Some(0), 0));
    }
}

#[test]
fn the_calendars_of_section_4() {
    let refused: Vec<_> = read("calendars.ics")
        .into_iter()
        .map(|calendar| CalendarObject::of(calendar, &Limits::default()).err().map(|e| e.kind))
        .collect();
    // The fourth has a METHOD, the last, a published VFREEBUSY, no UID: neither can be stored (RFC 4791 §4.1).
    let stored_never = Some(InvalidKind::CalendarObjectResource);
    assert_eq!(refused, [None, None, None, stored_never, None, None, stored_never]);
}

#[test]
fn writing_keeps_them() {
    for calendar in read("calendars.ics").iter().chain(&read("components.ics")) {
        assert_eq!(parse(calendar.to_ics().as_bytes(), &Limits::default()).as_ref(), Ok(calendar));
    }
}

#[test]
fn their_values() {
    let calendars = read("calendars.ics");
    let conference = &calendars[1].components[0];
    assert_eq!(
        conference.text("DESCRIPTION").as_deref(),
        Some("Networld+Interop Conference and Exhibit\nAtlanta World Congress Center\nAtlanta, Georgia")
    );
    let review = calendars[2].children("VEVENT").next().expect("VEVENT");
    let start = review.date("DTSTART").expect("date").expect("there");
    assert_eq!((start.tzid(), start.to_string().as_str()), (Some("America/New_York"), "19980312T083000"));
    let attendee = review.property("ATTENDEE").expect("ATTENDEE");
    assert!(attendee.param_is("CUTYPE", "group"));
    assert_eq!(attendee.value, "mailto:employee-A@example.com");
    let alarm = calendars[4].components[0].children("VALARM").next().expect("VALARM");
    assert_eq!(alarm.integer("REPEAT"), Ok(Some(4)));
    assert_eq!(alarm.duration("DURATION"), Ok(Some(Duration::of_seconds(3600))));
    let journal = &calendars[5].components[0];
    assert_eq!(journal.property("CATEGORIES").map(|c| c.texts().len()), Some(3));
    let components = read("components.ics");
    let busy: Vec<_> = components[0].children("VFREEBUSY").flat_map(|c| c.all("FREEBUSY")).collect();
    let counts: Vec<_> = busy.iter().map(|p| p.periods().map(|p| p.len())).collect();
    assert_eq!(counts, [Ok(3), Ok(1), Ok(1), Ok(1)]);
}
