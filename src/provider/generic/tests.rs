use serde_json::json;

use super::*;
use crate::ical::DateOrTime;
use crate::merge::{Absorbed, Part};

fn read(value: &Value) -> Result<SourceRecord, Wrong> {
    event::record("acct", value, "")
}

fn event_of(changes: &[(&str, Value)]) -> Value {
    let mut event = json!({
        "provider": "crm", "op": "created", "id": "42", "start": "2026-11-10T13:00:00Z", "end": "2026-11-10T14:00:00Z",
        "title": "Call", "updated_at": "2026-11-01T09:00:00.250Z",
    });
    for (name, value) in changes {
        event[*name] = value.clone();
    }
    event
}

#[test]
fn an_event_is_a_record_with_the_senders_version() {
    let record = read(&event_of(&[])).expect("an event");
    assert_eq!((record.source.id.as_str(), record.source.account.as_str()), ("crm:42", "acct"));
    assert_eq!(record.version().stamp, 1_793_523_600_250);
    assert_eq!(record.content.title.as_deref(), Some("Call"));
    let versioned = read(&event_of(&[("version", json!(7))])).expect("an event");
    assert_eq!(versioned.version().stamp, 7);
    let mut newer = read(&event_of(&[("version", json!(8)), ("op", json!("deleted"))])).expect("a deletion");
    assert_eq!(newer.absorb(&versioned), Absorbed::Stale);
    assert!(!newer.is_live());
}

#[test]
fn times_are_dates_points_or_local() {
    let start = |text: &str| {
        read(&event_of(&[("start", json!(text)), ("end", Value::Null), ("time_zone", json!("Europe/Berlin"))]))
    };
    assert!(matches!(start("2026-11-10").expect("a date").content.start, Some(DateOrTime::Date(_))));
    assert!(matches!(start("2026-11-10T14:00:00").expect("local").content.start, Some(DateOrTime::Zoned(..))));
    let DateOrTime::Utc(at) = start("2026-11-10T14:00:00+01:00").expect("a point").content.start.expect("a start")
    else {
        panic!("a point")
    };
    assert_eq!(at.to_string(), "2026-11-10 13:00:00");
}

#[test]
fn an_exception_names_its_series() {
    let exception = event_of(&[("series_id", json!("s")), ("original_start", json!("2026-11-10T09:00:00Z"))]);
    let record = read(&exception).expect("an exception");
    let Some(Part::Instance { series, .. }) = record.content.part else { panic!("an exception") };
    assert_eq!(series, "crm:s");
}

#[test]
fn complaints_name_the_field() {
    let cases: &[(&str, Value)] = &[
        ("provider", Value::Null),
        ("provider", json!(["x"])),
        ("op", json!("exploded")),
        ("op", Value::Null),
        ("id", Value::Null),
        ("id", json!("")),
        ("id", json!("x".repeat(600))),
        ("start", Value::Null),
        ("start", json!("soon")),
        ("start", json!(7)),
        ("start", json!("2026-11-10T14:00:00")),
        ("start", json!("+292277026-01-01T00:00:00Z")),
        ("start", json!("0001-01-01")),
        ("end", json!("2026-11-10T12:00:00Z")),
        ("end", json!("2026-11-11")),
        ("title", json!({})),
        ("updated_at", Value::Null),
        ("updated_at", json!("yesterday")),
        ("version", json!("7")),
        ("version", json!(-1)),
        ("series_id", json!("s")),
        ("time_zone", json!("Mars/Olympus")),
        ("rrule", json!("FREQ=SOMETIMES")),
        ("attendees", json!("anna")),
        ("organizer", json!("no address")),
        ("status", json!("maybe")),
        ("busy", json!("yes")),
        ("surprise", json!(1)),
    ];
    for (name, value) in cases {
        let wrong = read(&event_of(&[(name, value.clone())])).expect_err(name);
        let field = if *name == "series_id" { "original_start" } else { name };
        assert_eq!(wrong.field, field, "{value}");
        assert!(wrong.to_string().starts_with(&format!("`{field}` ")));
    }
}

#[test]
fn bodies_are_one_a_list_or_an_object_with_a_list() {
    let limits = Limits { ingest_events_max: 2, ..Limits::default() };
    let count = |body: Value| items(body.to_string().as_bytes(), &limits).map(|items| items.len());
    assert_eq!(count(event_of(&[])), Ok(1));
    assert_eq!(count(json!([1, 2])), Ok(2));
    assert_eq!(count(json!({ "events": [] })), Ok(0));
    assert_eq!(count(json!([1, 2, 3])).map_err(|wrong| wrong.field), Err("events".to_owned()));
    assert_eq!(count(json!("x")).map_err(|wrong| wrong.field), Err("(the body)".to_owned()));
    assert_eq!(count(json!({ "events": 1 })).map_err(|wrong| wrong.field), Err("events".to_owned()));
    assert_eq!(bearer("Bearer abc"), Some("abc"));
    assert_eq!(bearer("Basic abc"), None);
}
