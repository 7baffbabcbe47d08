//! The index and the masks against plain evaluation of every object, over random edits.

use super::*;
use kalends::base::{Interval, Utc};
use kalends::filter::{CompFilter, CompTest};
use kalends::freebusy;
use kalends::ical::CalendarObject;
use kalends::model::{Index, UserName};
use kalends::recur::Budget;
use kalends::service::verify::{self, Repair};
use kalends::store::{Batch, Write};
use kalends::zone::Zone;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An edit: which of a few names, and which event is stored there (none: it is deleted).
#[derive(Debug, Clone)]
struct Edit {
    name: usize,
    event: Option<String>,
}

/// Zones that change the clock north and south of the equator, by an hour and by half of one, and those that lie
/// between the hours.
const ZONES: [&str; 7] = [
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Asia/Kolkata",
];

/// How a series departs from its rule one period after its start.
#[derive(Debug, Clone, Copy)]
enum Departure {
    None,
    Moved,
    Future,
}

/// The text of an event that starts at `at`, read in UTC, as local time or in the zone `form` names.
fn written(
    uid: &str,
    at: i64,
    form: usize,
    rule: (&str, i64),
    length: &str,
    state: &str,
    departure: Departure,
) -> String {
    let value = |at: i64| {
        let utc = Utc(at).to_string();
        let local = utc.trim_end_matches('Z');
        match form {
            0 => format!(":{utc}"),
            1 => format!(":{local}"),
            2 => format!(":{}T000000Z", &utc[..8]),
            form => format!(";TZID={}:{local}", ZONES[form % ZONES.len()]),
        }
    };
    let component = |lines: String| {
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n{lines}DURATION:{length}\r\n{state}END:VEVENT\r\n"
        )
    };
    let (rule, period) = rule;
    let next = at + period;
    let other = match departure {
        _ if period == 0 => String::new(),
        Departure::None => String::new(),
        Departure::Moved => {
            component(format!("RECURRENCE-ID{}\r\nDTSTART{}\r\n", value(next), value(next + 86_400 + 5_400)))
        }
        Departure::Future => {
            component(format!("RECURRENCE-ID;RANGE=THISANDFUTURE{}\r\nDTSTART{}\r\n", value(next), value(next + 7_200)))
        }
    };
    let master = component(format!("DTSTART{}\r\n{rule}", value(at)));
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Tests//EN\r\n{master}{other}END:VCALENDAR\r\n")
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // Each with the distance of the first two occurrences, where it is the same for every start.
    let rule = prop_oneof![
        3 => Just(("", 0)),
        1 => Just(("RRULE:FREQ=WEEKLY;BYDAY=MO,TH\r\n", 0)),
        1 => Just(("RRULE:FREQ=WEEKLY\r\n", 7 * 86_400)),
        1 => Just(("RRULE:FREQ=MONTHLY;COUNT=30\r\n", 0)),
        1 => Just(("RRULE:FREQ=DAILY;INTERVAL=3;UNTIL=20270301T000000Z\r\n", 3 * 86_400)),
        1 => Just(("RRULE:FREQ=YEARLY\r\n", 0)),
    ];
    let state = prop_oneof![
        4 => Just(""),
        1 => Just("STATUS:TENTATIVE\r\n"),
        1 => Just("TRANSP:TRANSPARENT\r\n"),
        1 => Just("STATUS:CANCELLED\r\n"),
    ];
    // From 2024 to 2027, any minute; within a slot, over midnight, over a month.
    let start = 1_704_067_200i64..1_830_297_600;
    let length = prop::sample::select(vec!["PT1H", "PT25M", "PT40M1S", "PT11H", "P1D", "P45D"]);
    let departure = prop::sample::select(vec![Departure::None, Departure::Moved, Departure::Future]);
    let event = (start, rule, length, state, 0usize..10, departure);
    let edit = (0usize..6, prop::option::weighted(0.85, event)).prop_map(|(name, event)| Edit {
        name,
        event: event.map(|(at, rule, length, state, form, departure)| {
            written(&format!("uid-{name}"), at - at % 60, form, rule, length, state, departure)
        }),
    });
    prop::collection::vec(edit, 1..25)
}

/// 48 calendars, or as many as PROPTEST_CASES says.
fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let given = ProptestConfig::default();
    ProptestConfig { cases: if asked { given.cases } else { 48 }, ..given }
}

fn expected_names(objects: &BTreeMap<String, String>, window: Interval) -> Vec<String> {
    let time = CompFilter {
        name: "VEVENT".into(),
        test: CompTest::All { time_range: Some(window), props: Vec::new(), comps: Vec::new() },
    };
    let filter = CompFilter {
        name: "VCALENDAR".into(),
        test: CompTest::All { time_range: None, props: Vec::new(), comps: vec![time] },
    };
    let passes = |text: &String| {
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("a valid event");
        kalends::filter::matches(&filter, &object, &Zone::utc(), &mut budget()).expect("within the budget")
    };
    objects.iter().filter(|(_, text)| passes(text)).map(|(name, _)| name.clone()).collect()
}

fn expected_busy(objects: &BTreeMap<String, String>, window: Interval) -> String {
    let periods = objects.values().flat_map(|text| {
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("a valid event");
        freebusy::contributions(&object, window, &Zone::utc(), &mut budget()).expect("within the budget")
    });
    freebusy::vfreebusy(window, &freebusy::merge(periods.collect()), Utc(1_795_348_800))
}

fn budget() -> Budget {
    Budget { steps: 10_000_000, instances: 100_000 }
}

async fn check(app: &TestApp, objects: &BTreeMap<String, String>, window: Interval) {
    let (start, end) = (window.start.to_string(), window.end.to_string());
    let body = query_body(&window_filter("VEVENT", &start, &end), "");
    let listing = Listing::of(&report(app, CALENDAR, &body).await);
    assert_eq!(listing.names(), expected_names(objects, window), "{start} {end}");
    let body = format!(
        r#"<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="{start}" end="{end}"/></C:free-busy-query>"#
    );
    let answer = report(app, CALENDAR, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let busy = |text: &str| {
        let unfolded = text.replace("\r\n ", "");
        unfolded.lines().filter(|line| line.starts_with("FREEBUSY")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(busy(&answer.text()), busy(&expected_busy(objects, window)), "{start} {end}");
}

/// Invariant S5: rows that were computed anew are used at once, by a server that goes on.
#[tokio::test]
async fn rebuilt_rows_are_seen_at_once() {
    let app = TestApp::with_users().await;
    put(&app, "a.ics", &event("a", "20261201T090000Z", "")).await;
    let store = &app.context.store;
    let alice = store.principal_named(&UserName::new("alice").expect("a name")).await.expect("read").expect("alice");
    let calendar = store.child(alice.home, "default").await.expect("read").expect("a calendar");
    let mut object = store.object(calendar.id, "a.ics").await.expect("read").expect("the event");
    object.index = Some(Index::Broken { reason: "an older version could not read it".into(), uid: None });
    let writes = vec![Write::Reindex(calendar.id, object)];
    store.commit(Batch { at: app.context.clock.now(), writes, ..Batch::default() }).await.expect("written");
    let body = query_body(&window_filter("VEVENT", "20261201T000000Z", "20261202T000000Z"), "");
    assert!(Listing::of(&report(&app, CALENDAR, &body).await).names().is_empty());
    let report_of = verify::verify(&app.context, Repair::Index, |_, _| {}).await.expect("verified");
    assert_eq!(report_of.rebuilt, 1);
    assert_eq!(Listing::of(&report(&app, CALENDAR, &body).await).names(), ["a.ics"]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn answers_equal_plain_evaluation(edits in edits(), windows in prop::collection::vec((1_704_067_200i64..1_830_297_600, 1i64..60 * 86_400), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let app = TestApp::with_users().await;
            let mut objects = BTreeMap::new();
            for (n, edit) in edits.into_iter().enumerate() {
                let name = format!("{}.ics", edit.name);
                match edit.event {
                    Some(text) => {
                        put(&app, &name, &text).await;
                        objects.insert(name, text);
                    }
                    None if objects.remove(&name).is_some() => delete(&app, &name).await,
                    None => {}
                }
                // Ask in between, so that what was placed before has to follow the changes.
                if n % 3 == 0 {
                    let (start, length) = windows[n % windows.len()];
                    check(&app, &objects, Interval::new(Utc(start), Utc(start + length))).await;
                }
            }
            for (start, length) in windows {
                check(&app, &objects, Interval::new(Utc(start), Utc(start + length))).await;
            }
        });
    }
}
