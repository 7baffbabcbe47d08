//! What the recorded feeds and resources mean, and the habits of their producers.

use kalends::merge::{Instance, Provider, Visibility, summary};

use crate::fakes::{Api, Asked, Fake, Record, Reply};
use crate::puller::{Ended, Puller, sample};

#[derive(Debug, Default)]
struct Still {
    record: Record,
    body: Vec<u8>,
}

impl Api for Still {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, _asked: &Asked) -> &'static str {
        "feed"
    }

    fn answer(&mut self, _asked: &Asked) -> Reply {
        let body = String::from_utf8(self.body.clone()).expect("these are");
        Reply { body, ..Reply::empty(200) }
    }
}

fn pulled(body: &str) -> Puller {
    let fake = Fake::start(|_| Still { body: body.as_bytes().to_vec(), ..Still::default() });
    let mut puller = Puller::new(Provider::Ics, None, vec![format!("{}/x.ics", fake.url())]);
    assert!(matches!(puller.pull(), Ended::Done(_)));
    puller
}

#[test]
fn googles_export_is_a_series_with_its_exceptions() {
    let puller = pulled(&sample("ics/google_export.ics"));
    let meetings = puller.world.meetings();
    assert_eq!(meetings.len(), 2);
    let series = meetings.iter().find(|meeting| meeting.is_series()).expect("a series");
    let json = summary(series);
    assert_eq!(json["cancelled_instances"], serde_json::json!(["2026-11-24T09:00:00Z"]));
    assert_eq!(json["moved"]["2026-11-17T09:00:00Z"][0], "2026-11-18T14:00:00Z");
    assert_eq!(json["instances_utc"].as_array().map(Vec::len), Some(5));
    let single = meetings.iter().find(|meeting| !meeting.is_series()).expect("a single one");
    assert_eq!(summary(single)["join_url"], "https://meet.google.com/abc-defg-hij");
}

#[test]
fn exchanges_zones_are_windows_and_overrides_stand_alone() {
    let puller = pulled(&sample("ics/outlook_published.ics"));
    let meetings = puller.world.meetings();
    let review = meetings.iter().find(|one| one.event.title.starts_with("Design")).expect("the review");
    assert_eq!(summary(review)["instances_utc"][0][0], "2026-11-10T10:00:00Z");
    assert_eq!(review.event.start.tzid(), Some("Europe/Berlin"));
    let alone = meetings.iter().find(|one| one.event.title == "Busy").expect("the override");
    assert_eq!(alone.alone.as_ref().and_then(|at| at.tzid()), Some("Europe/Paris"));
    assert_eq!(alone.event.visibility, Visibility::Private);
    assert_eq!(meetings.len(), 2);
}

#[test]
fn zooms_feed_is_the_same_meeting_at_each_download() {
    let first = sample("ics/zoom_invite.ics");
    let puller = pulled(&first);
    let one = puller.world.only();
    let second = pulled(&first.replace("20261109T080001Z", "20261110T090002Z"));
    assert_eq!(second.world.only().event.title, one.event.title);
    let ids: Vec<&str> = puller.world.records.keys().map(|source| source.id.as_str()).collect();
    let again: Vec<&str> = second.world.records.keys().map(|source| source.id.as_str()).collect();
    assert_eq!((ids.as_slice(), again.as_slice()), (["zoom-84512345678"].as_slice(), ["zoom-84512345678"].as_slice()));
    assert_eq!(one.event.reminders, [10]);
}

#[test]
fn events_without_uids_get_stable_ones() {
    let body = sample("ics/minimal_no_uid_no_dtstamp.ics");
    let twice = body.replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\nSUMMARY:School holiday\nDTSTART;VALUE=DATE:20261116\nEND:VEVENT\nEND:VCALENDAR",
    );
    let puller = pulled(&twice);
    assert_eq!(puller.world.meetings().len(), 2);
    let one = pulled(&format!("\u{feff}{}", body.replace("\r\n", "\n")));
    let meeting = one.world.only();
    assert_eq!((meeting.event.start.is_date(), summary(&meeting)["duration_s"].as_i64()), (true, Some(86_400)));
}

#[test]
fn one_uid_on_ten_birthdays_makes_ten_events() {
    let event = |day: u32| {
        format!("BEGIN:VEVENT\nUID:same\nSUMMARY:Birthday {day}\nDTSTART;VALUE=DATE:202612{day}\nEND:VEVENT\n")
    };
    let days: String = (10..20).map(event).collect();
    assert_eq!(pulled(&format!("BEGIN:VCALENDAR\n{days}END:VCALENDAR")).world.meetings().len(), 10);
    let versions = "BEGIN:VEVENT\nUID:v\nSEQUENCE:2\nSUMMARY:New\nDTSTART:20261201T090000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:v\nSEQUENCE:1\nSUMMARY:New\nDTSTART:20261202T090000Z\nEND:VEVENT\n";
    let meeting = pulled(&format!("BEGIN:VCALENDAR\n{versions}END:VCALENDAR")).world.only();
    assert_eq!(meeting.event.start.to_string(), "20261201T090000Z");
}

#[test]
fn an_event_that_cannot_be_read_leaves_the_others() {
    let body = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nSUMMARY:A\nDTSTART:20261301T250000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:b\nSUMMARY:B\nDTSTART;TZID=Nowhere/Land:20261201T090000\nEND:VEVENT\nEND:VCALENDAR";
    let meeting = pulled(body).world.only();
    assert_eq!((meeting.event.title.as_str(), meeting.event.start.tzid()), ("B", None));
    assert!(!meeting.instances.values().any(|one| matches!(one, Instance::Cancelled(_))));
}
