//! What the adapters of Google and Microsoft make of every recorded payload, and of payloads that are broken.

use std::path::PathBuf;

use kalends::base::Utc;
use kalends::ical::DateOrTime;
use kalends::merge::{
    Answer, AttendeeKind, Content, End, Generation, Instance, Part, Policy, Presence, Response, Role, SourceRecord,
    Status, Transparency, Version, Visibility, join, resolve,
};
use kalends::provider::fields::Fields;
use kalends::provider::google::event::{self as google, Listing};
use kalends::provider::microsoft::event::{self as microsoft, Mailbox};
use kalends::provider::microsoft::recurrence::{ShortMonths, Start, rule};
use kalends::zone::Zone;
use serde_json::{Value, json};

pub fn sample(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a sample is JSON")
}

fn listing() -> Listing<'static> {
    Listing {
        account: "mara@northwind.example",
        calendar: "primary",
        generation: Generation(7),
        zone: Zone::named("Europe/Berlin"),
        reminders: vec![10],
    }
}

fn mailbox() -> Mailbox<'static> {
    Mailbox {
        account: "mara.lindqvist@contoso.example",
        calendar: "primary",
        generation: Generation(7),
        address: Some("mara.lindqvist@contoso.example"),
    }
}

fn of_google(value: &Value) -> SourceRecord {
    match google::map(value, &listing()).expect("it can be read") {
        google::Mapped::Record(record) => *record,
        google::Mapped::Skipped(why) => panic!("skipped: it {why}"),
    }
}

fn google_sample(name: &str) -> SourceRecord {
    of_google(&sample(&format!("google/{name}.json")))
}

fn of_microsoft(value: &Value) -> Vec<SourceRecord> {
    match microsoft::map(value, &mailbox()).expect("it can be read") {
        microsoft::Mapped::Records(records) => records,
        other => panic!("{other:?}"),
    }
}

fn microsoft_sample(name: &str) -> SourceRecord {
    of_microsoft(&sample(&format!("microsoft/{name}.json"))).remove(0)
}

fn berlin(text: &str) -> DateOrTime {
    DateOrTime::parse(text, Some("Europe/Berlin")).expect("a time")
}

fn date(text: &str) -> DateOrTime {
    DateOrTime::parse(text, None).expect("a date")
}

fn times(content: &Content) -> (Option<DateOrTime>, Option<End>) {
    (content.start.clone(), content.end.clone())
}

fn between(start: DateOrTime, end: DateOrTime) -> (Option<DateOrTime>, Option<End>) {
    (Some(start), Some(End::At(end)))
}

fn instance(record: &SourceRecord) -> (&str, &DateOrTime) {
    match &record.content.part {
        Some(Part::Instance { series, original_start, .. }) => (series, original_start),
        other => panic!("{other:?}"),
    }
}

#[test]
fn google_single() {
    let record = google_sample("event_single");
    let content = &record.content;
    assert_eq!(record.source.to_string(), "google:7f3kq0b9single1");
    assert_eq!(record.source.calendar, "primary");
    let version = record.whole.expect("it says all");
    assert_eq!(
        Version { tie: 0, ..version },
        Version::new(Generation(7), 1_794_227_411_412_000, 3_588_454_822_824_000)
    );
    assert_eq!(times(content), between(berlin("20261110T150000"), berlin("20261110T154500")));
    assert_eq!(content.uid.as_deref(), Some("7f3kq0b9single1@google.com"));
    assert_eq!(content.title.as_deref(), Some("Budget check-in"));
    assert_eq!(content.description.as_deref(), Some("Agenda:\n1. Q4"));
    assert_eq!(content.location.as_deref(), Some("Room Spree"));
    assert_eq!(content.join_url.as_deref(), Some("https://meet.google.com/abc-defg-hij"));
    assert_eq!(content.role, Some(Role::Attendee));
    assert_eq!(content.sequence, Some(1));
    assert_eq!(content.reminders, Some(vec![10]));
    assert_eq!(content.answer, Some(Answer { address: "mara@northwind.example".into(), response: Response::Accepted }));
    let kinds: Vec<AttendeeKind> = content.attendees.iter().flatten().map(|one| one.kind).collect();
    let all = [AttendeeKind::Required, AttendeeKind::Chair, AttendeeKind::Resource, AttendeeKind::Optional];
    assert_eq!(kinds, all);
    assert!(
        content.recurrence.as_ref().is_some_and(|recurrence| recurrence.is_empty()),
        "it says that it is no series"
    );
}

#[test]
fn google_series_and_what_becomes_of_its_instances() {
    let master = google_sample("event_recurring_master");
    let recurrence = master.content.recurrence.expect("it recurs");
    assert_eq!(recurrence.rules, ["FREQ=WEEKLY;COUNT=6;BYDAY=TU"]);
    assert_eq!(recurrence.exdates, [berlin("20261201T100000")]);
    let moved = google_sample("event_exception_moved");
    assert_eq!(instance(&moved), ("sync7f3kmaster", &berlin("20261117T100000")));
    assert_eq!(times(&moved.content), between(berlin("20261118T150000"), berlin("20261118T153000")));
    let cancelled = google_sample("event_exception_cancelled_minimal");
    assert_eq!(instance(&cancelled), ("sync7f3kmaster", &berlin("20261124T100000")));
    assert_eq!(cancelled.content.presence, Some(Presence::Deleted));
    assert_eq!(cancelled.version().generation, Generation(7));
    assert!(cancelled.version() > moved.version(), "what has no version of its own is as new as its pull");
    let day = google_sample("event_exception_cancelled_allday_minimal");
    assert_eq!(instance(&day), ("bday1", &date("20261124")));
}

#[test]
fn google_split_is_a_series_of_its_own() {
    let split = google_sample("event_this_and_following_new_master");
    assert_eq!(split.content.part, Some(Part::Event));
    assert_eq!(split.content.uid.as_deref(), Some("sync7f3kmaster_R20261201T090000@google.com"));
    assert_eq!(split.content.start, Some(berlin("20261201T110000")));
}

#[test]
fn google_deletion_is_a_tombstone_of_its_pull() {
    let gone = google_sample("event_deleted_minimal");
    assert_eq!((gone.whole, gone.content.presence), (None, Some(Presence::Deleted)));
    assert_eq!(gone.generation(), Generation(7));
    assert_eq!(gone.content.part, None);
}

#[test]
fn google_kinds_of_events() {
    let offsite = google_sample("event_all_day");
    assert_eq!(times(&offsite.content), between(date("20261112"), date("20261114")));
    assert_eq!(offsite.content.transparency, Some(Transparency::Transparent));
    assert_eq!(offsite.content.role, Some(Role::Organiser));
    assert_eq!(offsite.content.answer.map(|answer| answer.response), Some(Response::Accepted));
    let away = google_sample("event_out_of_office");
    assert_eq!(away.content.transparency, Some(Transparency::Opaque));
    let home = google::map(&sample("google/event_working_location.json"), &listing());
    assert_eq!(home, Ok(google::Mapped::Skipped("keeps nobody busy")));
    let private = google_sample("event_private_as_seen_by_freebusy_reader");
    assert_eq!(private.content.visibility, Some(Visibility::Private));
    assert_eq!(
        (private.content.title, private.content.attendees),
        (None, None),
        "it says nothing, not that there is nothing"
    );
    let foreign = google_sample("event_outlook_organised_seen_in_google");
    assert_eq!(foreign.content.role, Some(Role::Attendee));
    assert!(foreign.content.uid.is_some_and(|uid| uid.starts_with("040000008200E00074C5B7101A82E008")));
}

#[test]
fn google_times_in_every_form() {
    let at = |start: Value| {
        let mut event = sample("google/event_single.json");
        event["end"] = json!(null);
        event["start"] = start;
        of_google(&event).content.start.expect("a start").to_string()
    };
    assert_eq!(at(json!({"dateTime": "2026-11-10T15:00:00+01:00"})), "20261110T150000", "the calendar's zone");
    assert_eq!(at(json!({"dateTime": "2026-11-10T09:00:00", "timeZone": "America/New_York"})), "20261110T090000");
    assert_eq!(at(json!({"dateTime": "2026-11-10T14:00:00Z", "timeZone": "Nowhere/Land"})), "20261110T140000Z");
    assert_eq!(at(json!({"dateTime": "2026-11-10T15:00:00+01:00", "timeZone": "America/New_York"})), "20261110T090000");
}

/// Breaks one field of a good payload, and expects an error that names it.
fn breaks(read: impl Fn(&Value) -> Option<String>, good: &Value, cases: &[(&str, Value, &str)]) {
    assert_eq!(read(good), None);
    for (pointer, bad, named) in cases {
        let mut broken = good.clone();
        match broken.pointer_mut(pointer) {
            Some(place) => *place = bad.clone(),
            None => broken[pointer.trim_start_matches('/')] = bad.clone(),
        }
        let error = read(&broken).unwrap_or_else(|| panic!("{pointer} = {bad} is taken"));
        assert!(error.starts_with(named), "{pointer} = {bad}: {error}");
        assert!(!error.contains("Budget") && !error.contains("handover"), "{error}");
    }
}

#[test]
fn google_broken_fields_are_named() {
    let read = |value: &Value| google::map(value, &listing()).err().map(|error| error.to_string());
    breaks(
        read,
        &sample("google/event_single.json"),
        &[
            ("/id", json!(null), "id: is missing"),
            ("/id", json!(12), "id: is a number"),
            ("/start", json!(null), "start: is missing"),
            ("/start", json!("2026-11-10"), "start: is a text"),
            ("/start/dateTime", json!("2026-13-10T15:00:00Z"), "start.dateTime: \"2026-13-10T15:00:00Z\""),
            ("/start/dateTime", json!("9999-12-31T00:00:00Z"), "start.dateTime: the year 9999"),
            ("/start/dateTime", json!("0001-01-01T00:00:00Z"), "start.dateTime: the year 1"),
            ("/end/dateTime", json!("2026-11-10T14:00:00+01:00"), "end: is before start"),
            ("/end", json!({"date": "2026-11-12"}), "end: is a date where start is a time"),
            ("/updated", json!("yesterday"), "updated: the value is no time"),
            ("/status", json!(["confirmed"]), "status: is a list"),
            ("/attendees", json!({"email": "x"}), "attendees: is an object"),
            ("/attendees/2", json!(true), "attendees[2]: is true or false"),
            ("/attendees/1/email", json!(1), "attendees[1].email: is a number"),
            ("/sequence", json!("1"), "sequence: is a text"),
            ("/summary", json!({"text": "Budget"}), "summary: is an object"),
            ("/recurrence", json!(["RRULE:FREQ=SOMETIMES"]), "recurrence[0]: is no recurrence rule"),
            ("/recurrence", json!(["EXDATE:yesterday"]), "recurrence[0]: has no dates"),
            ("/recurrence", json!(["DTSTART:20261110T100000Z"]), "recurrence[0]: is none of"),
            ("/recurrence", json!(["nothing"]), "recurrence[0]: is no content line"),
            ("/recurringEventId", json!("master"), "originalStartTime: is missing"),
            ("/conferenceData/entryPoints", json!(7), "conferenceData.entryPoints: is a number"),
        ],
    );
    for value in [json!(null), json!([]), json!("x"), json!(1)] {
        assert!(google::map(&value, &listing()).is_err(), "{value}");
    }
}

#[test]
fn microsoft_single() {
    let record = microsoft_sample("event_single_teams");
    let content = &record.content;
    assert_eq!(record.source.to_string(), "microsoft:AAkALgImmutable0001");
    let version = record.whole.expect("it says all");
    assert_eq!(Version { tie: 0, ..version }, Version::new(Generation(7), 17_939_592_001_234_567, 0));
    assert_eq!(times(content), between(berlin("20261110T110000"), berlin("20261110T120000")));
    assert_eq!(content.role, Some(Role::Attendee));
    assert_eq!(content.answer.as_ref().map(|answer| answer.response), Some(Response::Accepted));
    assert_eq!(content.organizer.as_ref().map(|who| who.email.as_str()), Some("petra.klein@contoso.example"));
    assert!(
        content.join_url.as_deref().is_some_and(|url| url.starts_with("https://teams.microsoft.com/l/meetup-join/"))
    );
    let kinds: Vec<AttendeeKind> = content.attendees.iter().flatten().map(|one| one.kind).collect();
    assert_eq!(kinds, [AttendeeKind::Required, AttendeeKind::Optional, AttendeeKind::Resource]);
    assert_eq!(content.reminders, Some(vec![15]));
}

#[test]
fn microsoft_series_with_exceptions_and_cancelled_days() {
    let master = microsoft_sample("event_series_master");
    let rules = master.content.recurrence.expect("it recurs").rules;
    assert_eq!(rules, ["FREQ=WEEKLY;BYDAY=TU;WKST=MO;COUNT=6"]);
    assert_eq!(master.content.start, Some(berlin("20261103T090000")));
    let records = of_microsoft(&sample("microsoft/event_series_master_select_exceptions.json"));
    assert_eq!(records.len(), 2, "the bare exception comes by itself");
    assert_eq!(records[1].source.id, "OID.AAkALgSeriesMaster01.2026-11-24");
    assert_eq!(instance(&records[1]), ("AAkALgSeriesMaster01", &berlin("20261124T090000")));
    assert_eq!(records[1].content.presence, Some(Presence::Deleted));
    let moved = microsoft_sample("event_exception_moved");
    assert_eq!(instance(&moved), ("AAkALgSeriesMaster01", &berlin("20261117T090000")));
    assert_eq!(times(&moved.content), between(berlin("20261118T150000"), berlin("20261118T151500")));
    let mut whole_day = sample("microsoft/event_exception_moved.json");
    whole_day["isAllDay"] = json!(true);
    for (name, day) in [("start", "2026-11-18"), ("end", "2026-11-19")] {
        whole_day[name] = json!({"dateTime": format!("{day}T00:00:00.0000000"), "timeZone": "UTC"});
    }
    let Ok(microsoft::Mapped::Records(whole_day)) = microsoft::map(&whole_day, &mailbox()) else {
        panic!("an exception")
    };
    assert_eq!(instance(&whole_day[0]), instance(&moved), "a day in a series of times is the same instance");
    assert_eq!(times(&whole_day[0].content), between(date("20261118"), date("20261119")));
    let bare = microsoft::map(&sample("microsoft/event_occurrence_bare_as_in_delta.json"), &mailbox());
    assert_eq!(
        bare,
        Ok(microsoft::Mapped::Occurrence { id: "AAkALgOcc1110".into(), series: "AAkALgSeriesMaster01".into() })
    );
    let removed = microsoft::map(&sample("microsoft/removed.json"), &mailbox());
    assert_eq!(removed, Ok(microsoft::Mapped::Removed("AAkALgGone".into())));
}

/// The instances that differ, of the series `series` and the exception of which Graph says that it was at `original`: where they were
/// and when they are now.
fn differing(series: &Value, is_all_day: bool, original: &str) -> Vec<(DateOrTime, Option<DateOrTime>)> {
    let mut exception = sample("microsoft/event_exception_moved.json");
    exception["isAllDay"] = json!(is_all_day);
    exception["originalStart"] = json!(original);
    for name in ["originalStartTimeZone", "originalEndTimeZone"] {
        exception[name] = json!("Pacific Standard Time");
    }
    let (start, end) = if is_all_day { ("12-01T00", "12-02T00") } else { ("12-01T18", "12-01T19") };
    for (name, at) in [("start", start), ("end", end)] {
        exception[name] = json!({"dateTime": format!("2026-{at}:00:00.0000000"), "timeZone": "UTC"});
    }
    let records = [of_microsoft(series), of_microsoft(&exception)].concat();
    let records: Vec<&SourceRecord> = records.iter().collect();
    let groups = join(&records);
    assert_eq!(groups.len(), 1);
    let meeting = resolve(&records, &groups, &groups[0], &Policy::default()).meeting.expect("a meeting");
    let shown = |instance: &Instance| match instance {
        Instance::Changed(original, event) => (original.clone(), Some(event.start.clone())),
        Instance::Cancelled(original) => (original.clone(), None),
    };
    meeting.instances.values().map(shown).collect()
}

/// A series of the Pacific coast in winter: of times that are midnight in UTC, or of days.
fn pacific(is_all_day: bool, pattern: Value) -> Value {
    let mut series = sample("microsoft/event_series_master.json");
    series["isAllDay"] = json!(is_all_day);
    for name in ["originalStartTimeZone", "originalEndTimeZone"] {
        series[name] = json!("Pacific Standard Time");
    }
    let (start, end) = if is_all_day { ("11-24T00", "11-25T00") } else { ("11-24T16", "11-24T17") };
    for (name, at) in [("start", start), ("end", end)] {
        series[name] = json!({"dateTime": format!("2026-{at}:00:00.0000000"), "timeZone": "Pacific Standard Time"});
    }
    series["recurrence"]["pattern"] = pattern;
    series["recurrence"]["range"] = json!({
        "type": "numbered", "startDate": "2026-11-24", "numberOfOccurrences": 20,
        "recurrenceTimeZone": "Pacific Standard Time",
    });
    series
}

#[test]
fn microsoft_exceptions_at_midnight_in_utc_find_their_instance() {
    let daily = json!({"type": "daily", "interval": 1});
    let pacific_time = |text: &str| DateOrTime::parse(text, Some("America/Los_Angeles")).expect("a time");
    let midnight = "2026-12-02T00:00:00Z";
    let times = pacific(false, daily.clone());
    let was = pacific_time("20261201T160000");
    assert_eq!(differing(&times, true, midnight), [(was.clone(), Some(date("20261201")))]);
    let moved = pacific_time("20261201T100000");
    assert_eq!(differing(&times, false, midnight), [(was, Some(moved.clone()))]);
    let days = pacific(true, daily);
    assert_eq!(differing(&days, true, midnight), [(date("20261202"), Some(date("20261201")))]);
    assert_eq!(differing(&days, false, midnight), [(date("20261202"), Some(moved))]);
    let tuesdays = json!({"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"], "firstDayOfWeek": "monday"});
    let tuesdays = pacific(true, tuesdays);
    for is_all_day in [true, false] {
        assert_eq!(differing(&tuesdays, is_all_day, midnight), [], "there is none on this Wednesday");
    }
}

#[test]
fn microsoft_kinds_of_events() {
    let day = microsoft_sample("event_all_day");
    assert_eq!(times(&day.content), between(date("20261112"), date("20261114")));
    assert_eq!(day.content.transparency, Some(Transparency::Transparent));
    assert_eq!(day.content.role, Some(Role::Organiser));
    let cancelled = microsoft_sample("event_cancelled_by_organiser");
    assert_eq!(cancelled.content.status, Some(Status::Cancelled));
    let custom = microsoft_sample("event_custom_timezone");
    assert_eq!(times(&custom.content), between(date("20261111T080000Z"), date("20261111T083000Z")));
    let nameless = microsoft_sample("event_null_icaluid");
    assert_eq!(nameless.content.uid, None);
    let foreign = microsoft_sample("event_from_google_organiser");
    assert_eq!(foreign.content.uid.as_deref(), Some("sync7f3kmaster@google.com"));
    assert_eq!(foreign.content.zone.as_deref(), Some("Europe/Berlin"));
    let mut draft = sample("microsoft/event_single_teams.json");
    draft["isDraft"] = json!(true);
    assert_eq!(microsoft::map(&draft, &mailbox()), Ok(microsoft::Mapped::Skipped("not sent yet")));
}

#[test]
fn microsoft_zones_of_every_kind() {
    let at = |dated: &str, zone: Value, original: Value| {
        let mut event = sample("microsoft/event_single_teams.json");
        event["end"] = json!(null);
        event["start"] = json!({"dateTime": dated, "timeZone": zone});
        event["originalStartTimeZone"] = original;
        let start = of_microsoft(&event).remove(0).content.start.expect("a start");
        format!("{start} {}", start.tzid().unwrap_or("-"))
    };
    let windows = json!("Romance Standard Time");
    assert_eq!(at("2026-07-10T09:00:00.0000000", json!("UTC"), windows.clone()), "20260710T110000 Europe/Paris");
    assert_eq!(at("2026-07-10T09:00:00.0000000", windows, json!(null)), "20260710T090000 Europe/Paris");
    assert_eq!(at("2026-07-10T09:00:00", json!("UTC"), json!("tzone://Microsoft/Utc")), "20260710T090000Z -");
    assert_eq!(at("2026-07-10T09:00:00", json!("UTC"), json!("Customised Time")), "20260710T090000Z -");
    assert_eq!(at("2026-07-10T09:00:00", json!(null), json!("Asia/Kathmandu")), "20260710T144500 Asia/Kathmandu");
}

#[test]
fn microsoft_broken_fields_are_named() {
    let read = |value: &Value| microsoft::map(value, &mailbox()).err().map(|error| error.to_string());
    breaks(
        read,
        &sample("microsoft/event_series_master_select_exceptions.json"),
        &[
            ("/id", json!(""), "id: is missing"),
            ("/start", json!(null), "start: is missing"),
            (
                "/start/dateTime",
                json!("2026-02-30T10:00:00"),
                "start.dateTime: \"2026-02-30T10:00:00\" is no local time",
            ),
            ("/start/dateTime", json!("0001-01-01T00:00:00"), "start.dateTime: the year 1"),
            ("/start/timeZone", json!("Customised Time"), "start.timeZone: is a zone that nobody knows"),
            ("/end/dateTime", json!("2026-11-02T09:00:00"), "end: is before start"),
            ("/lastModifiedDateTime", json!(null), "lastModifiedDateTime: is missing"),
            ("/isAllDay", json!("no"), "isAllDay: is a text"),
            ("/attendees/0/emailAddress", json!([]), "attendees[0].emailAddress: is a list"),
            ("/recurrence/pattern", json!(null), "recurrence.pattern: is missing"),
            ("/recurrence/pattern/type", json!("hourly"), "recurrence.pattern.type: is no pattern"),
            ("/recurrence/pattern/interval", json!(-1), "recurrence.pattern.interval: -1"),
            ("/recurrence/pattern/daysOfWeek", json!([]), "recurrence.pattern.daysOfWeek: is empty"),
            (
                "/recurrence/pattern/daysOfWeek",
                json!(["someday"]),
                "recurrence.pattern.daysOfWeek: holds what is no weekday",
            ),
            ("/recurrence/range/type", json!("forever"), "recurrence.range.type: is not"),
            ("/recurrence/range/numberOfOccurrences", json!(0), "recurrence.range.numberOfOccurrences: 0"),
            ("/cancelledOccurrences/0", json!("OID.x.soon"), "cancelledOccurrences[0]: does not end in a day"),
            ("/seriesMasterId", json!("AAk"), "originalStart: is missing"),
        ],
    );
}

/// Each pattern gives the instances of the table; where Outlook differs for short months, both readings are shown.
#[test]
fn microsoft_patterns_give_the_instances_of_the_table() {
    let table = sample("vectors/graph_recurrence_to_rrule.json");
    let zone = Zone::named(table["tz"].as_str().expect("a zone")).expect("known");
    for case in table["cases"].as_array().expect("cases") {
        let what = case["what"].as_str().expect("a name");
        let local = case["dtstart_local"].as_str().and_then(|text| text.parse().ok()).expect("a start");
        let fields = Fields::of(case).expect("an object");
        let read =
            |short| rule(&fields, &Start::Timed(local, &zone), short).unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected: Vec<String> = texts(&case["first_instances_utc"]);
        assert_eq!(instances(local, &read(ShortMonths::Skipped), expected.len()), expected, "{what}");
        let as_outlook = instances(local, &read(ShortMonths::LastDay), 4);
        match what {
            what if what.starts_with("31st") => {
                assert_eq!(as_outlook[1], "2026-11-30T08:00:00Z");
                assert_eq!(as_outlook[2], "2026-12-31T08:00:00Z");
            }
            what if what.starts_with("yearly 29") => assert_eq!(as_outlook[1], "2029-02-28T08:00:00Z"),
            _ => assert_eq!(as_outlook[..3.min(expected.len())], expected[..3.min(expected.len())], "{what}"),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn instances(local: chrono::NaiveDateTime, rule: &str, count: usize) -> Vec<String> {
    use kalends::base::{Interval, Limits};
    use kalends::ical::CalendarObject;
    use kalends::recur::{Budget, Series};
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART;TZID=Europe/Berlin:{}\r\nRRULE:{rule}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        local.format("%Y%m%dT%H%M%S")
    );
    let object =
        CalendarObject::parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|why| panic!("{rule}: {why}"));
    let series = Series::new(&object, &Zone::utc()).expect("a series");
    let window = Interval::new(Utc(1_790_000_000), Utc(2_100_000_000));
    let mut budget = Budget { steps: 1_000_000, instances: 100_000 };
    let found = series.occurrences(window, &mut budget).expect("within the budget");
    let starts = found.iter().map(|one| one.interval.start.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string());
    starts.take(count).collect()
}

#[test]
fn microsoft_day_at_the_end_is_a_day_where_the_series_is() {
    let mut event = sample("microsoft/event_all_day.json");
    event["type"] = json!("seriesMaster");
    event["recurrence"] = json!({
        "pattern": {"type": "absoluteYearly", "interval": 1, "month": 11, "dayOfMonth": 12, "daysOfWeek": []},
        "range": {"type": "endDate", "startDate": "2026-11-12", "endDate": "2028-11-12", "recurrenceTimeZone": "UTC"}
    });
    let rules = of_microsoft(&event).remove(0).content.recurrence.expect("it recurs").rules;
    assert_eq!(rules, ["FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=12;UNTIL=20281112"]);
}
