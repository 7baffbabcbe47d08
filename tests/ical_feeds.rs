//! Whole feeds, as Google, Outlook and others publish them: read as a stream, split into objects, joined again.

use std::path::PathBuf;

use kalends::base::Limits;
use kalends::ical::{CalendarObject, InvalidKind, join, parse_stream, split};

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/feeds").join(name);
    std::fs::read(path).expect(name)
}

fn objects(name: &str) -> Vec<CalendarObject> {
    let calendars = parse_stream(&read(name), &Limits::default()).expect(name);
    let parts = calendars.iter().flat_map(split);
    parts.map(|(uid, part)| CalendarObject::of(part, &Limits::default()).expect(&uid)).collect()
}

#[test]
fn a_google_export() {
    let objects = objects("google_export.ics");
    let shapes: Vec<_> =
        objects.iter().map(|o| (o.master.is_some(), o.overrides.len(), o.timezones().count())).collect();
    assert_eq!(shapes, [(true, 1, 1), (true, 0, 0)]);
}

#[test]
fn an_outlook_feed_names_zones_that_it_does_not_define() {
    let objects = objects("outlook_published.ics");
    let zones: Vec<_> = objects.iter().map(|o| o.timezones().count()).collect();
    assert_eq!(zones, [0, 1]);
    assert_eq!((objects[1].master, objects[1].overrides.len()), (None, 1));
}

#[test]
fn a_zoom_invitation_and_a_club_s_feed() {
    assert_eq!(objects("zoom_invite.ics").len(), 1);
    let club = objects("rfc7986_refresh.ics");
    assert_eq!(club[0].uid, "row-1@club.example", "the UID of the feed itself is not that of its events");
}

#[test]
fn events_without_a_uid_are_named_and_refused() {
    let calendars = parse_stream(&read("minimal_no_uid_no_dtstamp.ics"), &Limits::default()).expect("a stream");
    let (uid, part) = split(&calendars[0]).remove(0);
    let refusal = CalendarObject::of(part, &Limits::default()).expect_err("no UID");
    assert_eq!((uid.as_str(), refusal.kind, refusal.line), ("", InvalidKind::CalendarObjectResource, 2));
}

#[test]
fn a_download_that_was_cut_is_refused() {
    let refusal = parse_stream(&read("truncated.ics"), &Limits::default()).expect_err("cut");
    assert_eq!((refusal.kind, refusal.line), (InvalidKind::CalendarData, 4));
}

#[test]
fn what_is_joined_splits_into_the_same() {
    for name in ["google_export.ics", "outlook_published.ics", "zoom_invite.ics"] {
        let before = objects(name);
        let joined = join(before.iter().map(|o| &o.calendar));
        let after: Vec<_> = split(&joined).into_iter().map(|(_, part)| part.components).collect();
        let expected: Vec<_> = before.into_iter().map(|o| o.calendar.components).collect();
        assert_eq!(after, expected, "{name}");
    }
}
