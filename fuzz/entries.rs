// One function for each fuzz target: they take any bytes, and panic if something does not hold that must.

#![allow(dead_code, reason = "each target uses one of them")]

use kalends::base::{Interval, Limits, Utc};
use kalends::dav::{if_header as dav_if_header, report};
use kalends::ical::{self, CalendarObject};
use kalends::merge::Generation;
use kalends::model::Path;
use kalends::provider::google::event as google_event;
use kalends::provider::microsoft::event as microsoft_event;
use kalends::recur::{Budget, Series};
use kalends::xml::{self, ns};
use kalends::zone::Zone;
use kalends::{filter as filters, freebusy};

/// Small enough that a run is quick; large enough that every limit can be reached.
fn budget() -> Budget {
    Budget { steps: 20_000, instances: 200 }
}

fn month() -> Interval {
    Interval::new(Utc(1_767_225_600), Utc(1_769_904_000))
}

/// What is parsed is written so that it is parsed as the same.
pub fn ical(bytes: &[u8]) {
    let limits = Limits::default();
    let _ = ical::parse_stream(bytes, &limits);
    let Ok(calendar) = ical::parse(bytes, &limits) else { return };
    let text = calendar.to_ics();
    let again = ical::parse(text.as_bytes(), &limits).expect("what is written can be read");
    assert_eq!(again.to_ics(), text, "written twice, it is the same");
    let _ = ical::split(&calendar);
    if let Ok(object) = CalendarObject::of(calendar, &limits) {
        compute(&object);
    }
}

/// Everything that is computed of an object ends, within its budget, without a panic.
fn compute(object: &CalendarObject) {
    let zone = Zone::named("Europe/Berlin").expect("a zone");
    let _ = freebusy::contributions(object, month(), &zone, &mut budget());
    let Ok(series) = Series::new(object, &zone) else { return };
    let _ = series.span();
    if let Ok(found) = series.occurrences(month(), &mut budget()) {
        assert!(found.is_sorted_by_key(|one| one.interval.start), "occurrences come in order");
        let touches = series.touches(month(), &mut budget());
        assert!(touches != Ok(found.is_empty()), "what touches a window has occurrences in it");
    }
}

/// What is parsed is written so that it is parsed as the same.
pub fn xml(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(root) = xml::parse(bytes, &limits) else { return };
    let text = root.to_xml();
    let again = xml::parse(text.as_bytes(), &Limits { xml_attributes_max: u64::MAX, ..limits });
    assert_eq!(again.as_ref(), Ok(&root), "{text}");
}

/// Filters are refused, or decide about an object within their budget.
pub fn filter(bytes: &[u8]) {
    let Ok(root) = xml::parse(bytes, &Limits::default()) else { return };
    let zone = Zone::utc();
    let object = CalendarObject::parse(SAMPLE.as_bytes(), &Limits::default()).expect("the sample is an object");
    if let Some(data) = root.child(ns::DAV, "prop").and_then(|prop| prop.child(ns::CALDAV, "calendar-data"))
        && let Ok(request) = report::data_request(data)
    {
        let _ = filters::render(&request, &object, SAMPLE, &zone, &mut budget());
    }
    let element = root.child(ns::CALDAV, "filter").unwrap_or(&root);
    if let Ok(filter) = report::filter(element, &Limits::default()) {
        let _ = filters::plan(&filter);
        let _ = filters::matches(&filter, &object, &zone, &mut budget());
    }
}

const SAMPLE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\n\
    DTSTART:20260101T090000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY\r\nSUMMARY:Title\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.c\r\n\
    BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:d\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// The lines of an event: start, rules, dates.
pub fn recur(bytes: &[u8]) {
    let Ok(lines) = std::str::from_utf8(bytes) else { return };
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\n{}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        lines.trim_end()
    );
    if let Ok(object) = CalendarObject::parse(text.as_bytes(), &Limits::default()) {
        compute(&object);
    }
}

/// A path is parsed from its href as the same.
pub fn href(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = Path::parse(text) {
        let again = Path::parse(&path.href()).expect("an href is a path");
        assert!(again.same_place(&path), "{path:?} becomes {again:?}");
        let clean = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']);
        assert!(path.name().is_none_or(clean), "{path:?}");
    }
}

/// jCal becomes iCalendar that can be read.
pub fn jcal(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(calendar) = ical::parse_jcal(bytes, &limits) else { return };
    let text = calendar.to_ics();
    ical::parse(text.as_bytes(), &limits).expect("what is made of jCal can be read");
    let _ = ical::to_jcal(&calendar);
}

/// The header is read to its end or refused.
pub fn if_header(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = dav_if_header::parse(text, "http://localhost");
    }
}

/// What Google's API answers is read or refused, field by field; what can be read says the same each time.
pub fn google(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    let listing = google_event::Listing {
        account: "a@b.example",
        calendar: "primary",
        generation: Generation(3),
        zone: Zone::named("Europe/Berlin"),
        reminders: vec![10],
    };
    for item in items(&value, "items") {
        match google_event::map(item, &listing) {
            Ok(mapped) => assert_eq!(google_event::map(item, &listing), Ok(mapped)),
            Err(error) => assert!(!error.field.is_empty(), "an error names its field"),
        }
    }
}

/// What Microsoft's API answers is read or refused, field by field; what can be read says the same each time.
pub fn microsoft(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    let mailbox = microsoft_event::Mailbox {
        account: "a@b.example",
        calendar: "primary",
        generation: Generation(3),
        address: Some("a@b.example"),
    };
    for item in items(&value, "value") {
        match microsoft_event::map(item, &mailbox) {
            Ok(mapped) => assert_eq!(microsoft_event::map(item, &mailbox), Ok(mapped)),
            Err(error) => assert!(!error.field.is_empty(), "an error names its field"),
        }
    }
}

/// The items of a page; or the value itself, a single item.
fn items<'a>(page: &'a serde_json::Value, name: &str) -> Vec<&'a serde_json::Value> {
    let inside = page.get(name).and_then(serde_json::Value::as_array);
    inside.map_or_else(|| vec![page], |items| items.iter().collect())
}
