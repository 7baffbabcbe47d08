//! The rules, one by one.

use kalends::base::{Interval, Limits, Utc};
use kalends::ical::CalendarObject;
use kalends::merge::{
    Absorbed, Answer, Content, DeletePolicy, End, Field, Generation, Instance, Mention, MentionKind, Orphan, Part,
    Person, Presence, Provider, Recurrence, Response, Role, SourceId, SourceRecord, Status, Sweep, Version, Why, keys,
    summary, to_ical,
};
use kalends::zone::Zone;

use crate::world::*;

const ZOOM: &str = "https://us06web.zoom.us/j/84512345678?pwd=inventedPwd.1";

fn whole(source: SourceId, version: Version, content: Content) -> SourceRecord {
    SourceRecord::whole(source, version, content)
}

fn series(role: Role) -> Content {
    let rules = vec!["FREQ=WEEKLY;COUNT=6;BYDAY=TU".to_owned()];
    Content {
        recurrence: Some(Recurrence { rules, ..Recurrence::default() }),
        ..event(role, "m1@google.com", "Sync", berlin("20261103T100000"), 1800)
    }
}

fn instance(series: &str, original: &str) -> Part {
    Part::Instance { series: series.to_owned(), original_start: berlin(original), orphan: Orphan::Waits }
}

fn moved() -> SourceRecord {
    let content = Content {
        part: Some(instance("m1", "20261117T100000")),
        recurrence: None,
        start: Some(berlin("20261118T150000")),
        ..series(Role::Attendee)
    };
    whole(google("m1_1117"), version(1, 20), content)
}

fn cancelled() -> SourceRecord {
    let part = Some(instance("m1", "20261124T100000"));
    let content = Content { part, presence: Some(Presence::Deleted), ..Content::default() };
    SourceRecord::partial(google("m1_1124"), Version::of_generation(Generation(1)), content)
}

#[test]
fn exceptions_wait_for_their_series_and_are_part_of_it_then() {
    let mut world = World::of(&[]);
    world.take(moved());
    world.take(cancelled());
    assert_eq!(world.meetings(), []);
    assert_eq!(world.all().iter().flat_map(|one| one.parked().cloned().collect::<Vec<_>>()).count(), 2);
    world.take(whole(google("m1"), version(1, 10), series(Role::Attendee)));
    let meeting = world.only();
    let json = summary(&meeting);
    assert_eq!(json["moved"]["2026-11-17T09:00:00Z"][0], "2026-11-18T14:00:00Z");
    assert_eq!(json["cancelled_instances"], serde_json::json!(["2026-11-24T09:00:00Z"]));
    let instances = json["instances_utc"].as_array().expect("a list");
    assert_eq!(instances.len(), 5);
    assert_eq!(instances[2][1], "2026-11-18T14:30:00Z");
    assert_eq!(json["duration_s"], 1800);
}

/// What an API's exception does not list it has from its series; one that comes as an event of its own lacks what it lacks.
#[test]
fn an_exception_has_the_link_of_its_series_where_its_source_means_it() {
    let link =
        |content: Content| Content { join_url: Some("https://meet.google.com/abc-defg-hij".to_owned()), ..content };
    for (source, orphan, inherits) in [
        (google as fn(&str) -> SourceId, Orphan::Waits, true),
        (microsoft, Orphan::Waits, true),
        (feed, Orphan::Stands, false),
    ] {
        for own in [None, Some("https://meet.google.com/xyz-defg-hij")] {
            let mut world = World::of(&[]);
            world.take(whole(source("m1"), version(1, 10), link(series(Role::Attendee))));
            let part = Part::Instance { series: "m1".to_owned(), original_start: berlin("20261117T100000"), orphan };
            let content = Content {
                part: Some(part),
                recurrence: None,
                join_url: own.map(str::to_owned),
                ..series(Role::Attendee)
            };
            world.take(whole(source("m1_1117"), version(1, 20), content));
            let meeting = world.only();
            let Some(Instance::Changed(_, event)) = meeting.instances.values().next() else { panic!("an exception") };
            let expected = own.map(str::to_owned).or_else(|| meeting.event.join_url.clone().filter(|_| inherits));
            assert_eq!(event.join_url, expected, "{:?}", source("x").provider);
        }
    }
}

#[test]
fn the_object_is_valid_and_says_what_the_summary_says() {
    let mut world = World::of(&["mara@northwind.example"]);
    world.take(moved());
    world.take(cancelled());
    let master = Content { join_url: Some("https://meet.google.com/pro-duct-syn".into()), ..series(Role::Attendee) };
    world.take(whole(google("m1"), version(1, 10), master));
    let text = to_ical(&world.only());
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("valid");
    assert_eq!((object.uid.as_str(), object.overrides.len(), object.timezones().count()), ("m1@google.com", 1, 1));
    let unfolded = text.replace("\r\n ", "");
    for line in [
        "EXDATE;TZID=Europe/Berlin:20261124T100000",
        "RECURRENCE-ID;TZID=Europe/Berlin:20261117T100000",
        "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO:https://meet.google.com/pro-duct-syn",
        "ORGANIZER:mailto:jonas@northwind.example",
        "RRULE:FREQ=WEEKLY;COUNT=6;BYDAY=TU",
    ] {
        assert!(unfolded.contains(&format!("{line}\r\n")), "{line} in {unfolded}");
    }
    let series = kalends::recur::Series::new(&object, &Zone::utc()).expect("a series");
    let window = Interval::new(Utc(1_790_000_000), Utc(1_800_000_000));
    let mut budget = kalends::recur::Budget { steps: 100_000, instances: 100 };
    assert_eq!(series.occurrences(window, &mut budget).expect("few").len(), 5);
}

#[test]
fn a_series_without_the_instance_drops_its_exception() {
    let mut world = World::of(&[]);
    world.take(moved());
    let rules = vec!["FREQ=WEEKLY;COUNT=6;BYDAY=WE".to_owned()];
    let recurrence = Some(Recurrence { rules, ..Recurrence::default() });
    let content = Content { start: Some(berlin("20261104T100000")), recurrence, ..series(Role::Attendee) };
    world.take(whole(google("m1"), version(2, 30), content));
    assert!(world.only().instances.is_empty());
    assert!(world.all()[0].explanation.left_out.iter().any(|one| one.why == Why::NoSuchInstance));
}

#[test]
fn a_delete_before_its_create_wins_by_generation_and_a_restore_wins_later() {
    let content = || event(Role::Organiser, "m4@google.com", "1:1", utc("20261110T150000Z"), 1800);
    let mut world = World::of(&[]);
    world.take(SourceRecord::tombstone(google("m4"), Version::of_generation(Generation(3))));
    assert_eq!(world.take(whole(google("m4"), version(2, 50), content())), Some(Absorbed::Stale));
    assert_eq!(world.meetings(), []);
    world.take(whole(google("m4"), version(4, 60), content()));
    assert_eq!(world.only().event.title, "1:1");
}

#[test]
fn partial_updates_keep_what_was_newer() {
    let mut world = World::of(&[]);
    let moved = Content { start: Some(utc("20261110T133000Z")), ..Content::default() };
    world.take(SourceRecord::partial(zoom("84512345678"), Version::of_stamp(2), moved));
    assert_eq!(world.meetings(), []);
    let created = Content { uid: None, ..event(Role::Zoom, "", "Call", utc("20261110T130000Z"), 2700) };
    world.take(SourceRecord::partial(zoom("84512345678"), Version::of_stamp(1), created));
    let meeting = world.only();
    assert_eq!((meeting.event.start.clone(), meeting.event.title.as_str()), (berlin("20261110T143000"), "Call"));
    assert_eq!(meeting.event.end, berlin("20261110T151500"));
    let gone = Content { presence: Some(Presence::Deleted), ..Content::default() };
    world.take(SourceRecord::partial(zoom("84512345678"), Version::of_stamp(3), gone));
    assert_eq!(world.meetings(), []);
}

fn called() -> World {
    let mut world = World::of(&["mara@northwind.example"]);
    let content = Content {
        location: Some(ZOOM.into()),
        ..event(Role::Organiser, "m3@google.com", "Customer call", berlin("20261110T143000"), 2700)
    };
    world.take(whole(google("m3"), version(1, 10), content));
    let content = Content {
        uid: None,
        join_url: Some(ZOOM.into()),
        ..event(Role::Zoom, "", "Customer call - Initech", utc("20261110T133000Z"), 2700)
    };
    world.take(SourceRecord::partial(zoom("84512345678"), Version::of_stamp(1), content));
    world
}

#[test]
fn a_call_joins_its_event_and_leaves_without_taking_it_along() {
    let mut world = called();
    let mention = Content {
        mention: Some(Mention { channel: "C0SALES01".into(), kind: MentionKind::Link }),
        description: Some(format!("today <{ZOOM}>")),
        ..Content::default()
    };
    world.take(whole(slack("C0SALES01:1"), Version::of_stamp(1), mention));
    let actual = Content {
        started: Some(Utc(1_794_317_460)),
        ended: Some(Utc(1_794_319_964)),
        role: Some(Role::Zoom),
        ..Content::default()
    };
    world.take(SourceRecord::partial(zoom("84512345678"), Version::of_stamp(5), actual));
    let json = summary(&world.only());
    assert_eq!(json["title"], "Customer call");
    assert_eq!(json["join_url"], ZOOM);
    assert_eq!(json["sources"], serde_json::json!(["google:m3", "slack:mention:C0SALES01", "zoom:84512345678"]));
    assert_eq!(json["actual"]["ended"], "2026-11-10T14:12:44Z");
    assert_eq!(json["my_response"], serde_json::Value::Null);
    world.take(SourceRecord::tombstone(zoom("84512345678"), Version::of_stamp(9)));
    assert_eq!(world.only().event.join_url, None);
}

#[test]
fn a_call_whose_event_is_deleted_does_not_come_back_as_an_event() {
    let mut world = called();
    world.take(SourceRecord::tombstone(google("m3"), Version::of_generation(Generation(2))));
    assert_eq!(world.meetings(), []);
}

#[test]
fn personal_rooms_join_nothing() {
    let mut world = World::of(&[]);
    for (id, at) in [("a", "20261110T143000"), ("b", "20261110T143000")] {
        let content = Content {
            location: Some("https://us06web.zoom.us/j/8451234567".into()),
            ..event(Role::Organiser, &format!("{id}@google.com"), id, berlin(at), 2700)
        };
        world.take(whole(google(id), version(1, 10), content));
    }
    let room = Content { personal_room: Some(true), ..Content::default() };
    world.take(SourceRecord::partial(zoom("8451234567"), Version::of_stamp(1), room));
    assert_eq!(world.meetings().len(), 2);
}

#[test]
fn two_uids_with_a_one_time_id_at_the_same_start_are_one() {
    let mut world = called();
    let content = Content {
        location: Some(ZOOM.into()),
        ..event(Role::Feed, "20261109T080001Z-84512345678@host", "Customer call", berlin("20261110T143000"), 2700)
    };
    world.take(whole(feed("x"), version(1, 0), content));
    assert_eq!(world.only().uid, "m3@google.com");
}

#[test]
fn answers_of_all_addresses_add_up() {
    let mut world = World::of(&["mara@northwind.example", "mara.lindqvist@contoso.example"]);
    let copy = |address: &str, response| Content {
        answer: Some(Answer { address: address.into(), response }),
        ..event(Role::Attendee, "m6@google.com", "All-hands", berlin("20261110T153000"), 3600)
    };
    let accepted = copy("mara@northwind.example", Response::Accepted);
    world.take(whole(google("m6"), version(4, 10), accepted));
    let none = copy("mara.lindqvist@contoso.example", Response::NeedsAction);
    world.take(whole(microsoft("AAkM6"), version(9, 99), none));
    assert_eq!(summary(&world.only())["my_response"], "accepted");
}

#[test]
fn the_organisers_provider_decides_between_copies() {
    let uid = "040000008200E00074C5B7101A82E0080000000050A1B2C3D4E5DA010000000000000000100000000F1E2D3C4B5A69788796A5B4C3D2E1F0";
    let mut world = World::of(&[]);
    let old = event(Role::Attendee, &uid.to_lowercase(), "Design", utc("20261110T100000Z"), 3600);
    world.take(whole(google("_m2"), version(9, 99), old));
    let zone = Some("W. Europe Standard Time".to_owned());
    let new = Content { zone, ..event(Role::Attendee, uid, "Design", utc("20261110T120000Z"), 3600) };
    world.take(whole(microsoft("AAkM2"), version(1, 1), new));
    let meeting = world.only();
    assert_eq!((meeting.uid.as_str(), meeting.event.start.clone()), (uid, berlin("20261110T130000")));
}

#[test]
fn a_whole_listing_takes_away_what_it_does_not_name_in_any_order() {
    let content = || event(Role::Feed, "row@club.example", "Training", berlin("20261111T180000"), 7200);
    let sweep = Sweep { scope: feed("").scope(), generation: Generation(2), window: None };
    let old = || whole(feed("row"), version(1, 0), content());
    let listed = || whole(feed("row"), version(2, 0), content());
    for (arrivals, left) in [
        (vec![Arrival::from(old()), Arrival::Sweep(sweep.clone())], 0),
        (vec![Arrival::Sweep(sweep.clone()), Arrival::from(old())], 0),
        (vec![Arrival::from(old()), Arrival::Sweep(sweep.clone()), Arrival::from(listed())], 1),
        (vec![Arrival::from(listed()), Arrival::Sweep(sweep), Arrival::from(old())], 1),
    ] {
        let mut world = World::of(&[]);
        for arrival in arrivals {
            world.take(arrival);
        }
        assert_eq!(world.meetings().len(), left);
    }
}

#[test]
fn the_two_delete_policies() {
    let mut world = World::of(&[]);
    let content = |role| event(role, "d@google.com", "D", berlin("20261111T180000"), 7200);
    world.take(whole(google("d"), version(1, 0), content(Role::Organiser)));
    world.take(whole(microsoft("d"), version(1, 0), content(Role::Attendee)));
    world.take(SourceRecord::tombstone(google("d"), Version::of_generation(Generation(2))));
    assert_eq!(world.meetings(), []);
    world.policy.delete = DeletePolicy::LastCopy;
    assert_eq!(world.meetings().len(), 1);
    let cancelled = Content { status: Some(Status::Cancelled), ..content(Role::Attendee) };
    world.take(whole(microsoft("d"), version(2, 0), cancelled));
    assert_eq!(world.meetings(), []);
}

fn edited(world: &World, change: impl Fn(&mut Content), fields: &[Field]) -> SourceRecord {
    let all = world.all();
    let meeting = all.iter().find_map(|one| one.sourced()).expect("a meeting");
    let mut content = Content::default();
    change(&mut content);
    kalends::merge::local_edit(meeting, None, Version::of_stamp(1), content, fields)
}

#[test]
fn an_edit_here_holds_until_the_source_changes_that_field() {
    let mut world = called();
    let edit = edited(&world, |content| content.title = Some("Mine".into()), &[Field::Title]);
    world.take(edit);
    assert_eq!(world.only().event.title, "Mine");
    let mut again = edited(&world, |content| content.title = Some("Mine too".into()), &[Field::Title]);
    again.versions.values_mut().for_each(|version| version.stamp += 1);
    world.take(again);
    assert_eq!(world.only().event.title, "Mine too");
    let later = |title: &str, start| Content {
        location: Some(ZOOM.into()),
        ..event(Role::Organiser, "m3@google.com", title, berlin(start), 2700)
    };
    world.take(whole(google("m3"), version(2, 20), later("Customer call", "20261110T160000")));
    let meeting = world.only();
    assert_eq!((meeting.event.title.as_str(), meeting.event.start.clone()), ("Mine too", berlin("20261110T160000")));
    world.take(whole(google("m3"), version(3, 30), later("Theirs", "20261110T160000")));
    assert_eq!(world.only().event.title, "Theirs");
}

#[test]
fn a_delete_here_holds_until_something_material_changes() {
    let mut world = called();
    let edit = edited(&world, |content| content.presence = Some(Presence::Deleted), &[Field::Presence]);
    world.take(edit);
    assert_eq!(world.meetings(), []);
    let later = |title: &str, start| Content {
        location: Some(ZOOM.into()),
        ..event(Role::Organiser, "m3@google.com", title, berlin(start), 2700)
    };
    world.take(whole(google("m3"), version(2, 20), later("Renamed", "20261110T143000")));
    assert_eq!(world.meetings(), []);
    world.take(whole(google("m3"), version(3, 30), later("Renamed", "20261110T150000")));
    assert_eq!(world.only().event.title, "Renamed");
}

#[test]
fn an_instance_alone_stands_where_its_source_says_that_there_is_no_more() {
    let part = Part::Instance { series: "s".into(), original_start: berlin("20261117T090000"), orphan: Orphan::Stands };
    let content = Content {
        part: Some(part),
        end: Some(End::After(900)),
        organizer: Some(Person::default()),
        ..event(Role::Feed, "alone@x", "Busy", berlin("20261118T150000"), 900)
    };
    let mut world = World::of(&[]);
    world.take(whole(feed("alone@x#20261117"), version(1, 0), content));
    let meeting = world.only();
    assert_eq!(meeting.alone, Some(berlin("20261117T090000")));
    assert!(!meeting.instances.values().any(|one| matches!(one, Instance::Cancelled(_))));
    let object = CalendarObject::parse(to_ical(&meeting).as_bytes(), &Limits::default()).expect("valid");
    assert_eq!((object.master, object.overrides.len()), (None, 1));
}

#[test]
fn a_slack_meeting_lives_by_its_key_and_takes_its_call() {
    let mut world = World::of(&["mara@northwind.example"]);
    let join = "https://us06web.zoom.us/j/89900112233?pwd=inv.3";
    let content = Content {
        uid: None,
        join_url: Some(join.into()),
        meeting_key: Some("inc".into()),
        attendees: Some(vec![kalends::merge::Attendee {
            person: Person::of("Mara@northwind.example"),
            response: Response::NeedsAction,
            kind: kalends::merge::AttendeeKind::Required,
        }]),
        ..event(Role::Slack, "", "Incident bridge", utc("20261110T160000Z"), 5400)
    };
    world.take(whole(slack("inc"), Version::new(Generation(0), 2, 1), content));
    let actual = Content { started: Some(Utc(1_794_326_460)), role: Some(Role::Zoom), ..Content::default() };
    world.take(SourceRecord::partial(zoom("89900112233"), Version::of_stamp(5), actual));
    let json = summary(&world.only());
    assert_eq!(json["sources"], serde_json::json!(["slack:inc", "zoom:89900112233"]));
    assert_eq!((&json["start_local"], &json["tz"]), (&"2026-11-10T17:00:00".into(), &BERLIN.into()));
    assert_eq!((&json["my_response"], &json["join_url"]), (&"needs-action".into(), &join.into()));
    assert_eq!(world.records.len(), 2);
    let found = keys(&world.records[&zoom("89900112233")]);
    let led = keys(&world.records[&slack("inc")]);
    assert!(!found.follows.is_disjoint(&led.emits) && !led.follows.is_disjoint(&found.emits));
    assert_eq!(Provider::of("slack"), Some(Provider::Slack));
}

/// The records that a client's PUT of `text` makes.
fn put(world: &World, text: &str) -> Vec<SourceRecord> {
    let all = world.all();
    let resolved = all.iter().find(|one| one.meeting.is_some()).expect("a meeting");
    let (shown, sourced) = (resolved.meeting.as_ref().expect("it is there"), resolved.sourced().expect("so is this"));
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("valid");
    kalends::merge::edits(shown, sourced, &object, &world.policy.addresses, Version::of_stamp(1)).expect("readable")
}

#[test]
fn a_put_is_only_what_it_changed() {
    let mut world = World::of(&["mara@northwind.example"]);
    world.take(moved());
    world.take(cancelled());
    world.take(whole(google("m1"), version(1, 10), series(Role::Attendee)));
    let text = to_ical(&world.only());
    assert_eq!(put(&world, &text), [], "the same again changes nothing");
    let with_title = text.replace("SUMMARY:Sync", "SUMMARY:Mine");
    let first = with_title.replacen("DTSTAMP", "EXDATE;TZID=Europe/Berlin:20261201T100000\r\nDTSTAMP", 1);
    let made = put(&world, &first);
    assert_eq!(made.len(), 3, "the series' title, the override's title, an instance taken away: {made:#?}");
    for record in made {
        world.take(record);
    }
    let meeting = world.only();
    assert_eq!(meeting.event.title, "Mine");
    let titles: Vec<&str> = meeting
        .instances
        .values()
        .filter_map(|one| match one {
            Instance::Changed(_, event) => Some(event.title.as_str()),
            Instance::Cancelled(_) => None,
        })
        .collect();
    assert_eq!((titles, meeting.instances.len()), (vec!["Mine"], 3));
    let again = to_ical(&meeting);
    assert_eq!(put(&world, &again), []);
}
