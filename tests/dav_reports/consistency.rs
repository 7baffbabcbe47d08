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

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let rule = prop_oneof![
        3 => Just(String::new()),
        1 => Just("RRULE:FREQ=WEEKLY;BYDAY=MO,TH\r\n".to_owned()),
        1 => Just("RRULE:FREQ=MONTHLY;COUNT=30\r\n".to_owned()),
        1 => Just("RRULE:FREQ=DAILY;INTERVAL=3;UNTIL=20270301T000000Z\r\n".to_owned()),
        1 => Just("RRULE:FREQ=YEARLY\r\n".to_owned()),
    ];
    let state = prop_oneof![
        4 => Just(""),
        1 => Just("STATUS:TENTATIVE\r\n"),
        1 => Just("TRANSP:TRANSPARENT\r\n"),
        1 => Just("STATUS:CANCELLED\r\n"),
    ];
    // From 2024 to 2027, any minute.
    let start = 1_704_067_200i64..1_830_297_600;
    let event = (start, rule, state, 0usize..3).prop_map(|(start, rule, state, form)| {
        let utc = Utc(start - start % 60).to_string();
        let start = match form {
            0 => utc,
            1 => utc.trim_end_matches('Z').to_owned(),
            _ => format!("{}T000000Z", &utc[..8]),
        };
        (start, format!("{rule}{state}"))
    });
    let edit = (0usize..6, prop::option::weighted(0.85, event)).prop_map(|(name, event)| Edit {
        name,
        event: event.map(|(start, extra)| super::event(&format!("uid-{name}"), &start, &extra)),
    });
    prop::collection::vec(edit, 1..25)
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
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

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
