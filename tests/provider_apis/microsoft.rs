//! Exchanges with a fake of Microsoft Graph.

use kalends::merge::{Part, Presence, SourceRecord, Status};
use kalends::provider::{Effect, Provider};
use serde_json::{Value, json};

use crate::exchange::{Ended, Exchange, HOOK};
use crate::fakes::microsoft::{Microsoft, error};
use crate::fakes::{Fake, Fault, Reply, post};
use crate::mapping::sample;

fn event(name: &str) -> Value {
    sample(&format!("microsoft/{name}.json"))
}

fn world() -> (Fake<Microsoft>, Exchange) {
    let fake = Fake::start(Microsoft::new);
    let exchange = Exchange::new(Provider::Microsoft, "mara.lindqvist@contoso.example", &fake.url());
    (fake, exchange)
}

const SERIES: &str = "AAkALgSeriesMaster01";
const CANCELLED: &str = "OID.AAkALgSeriesMaster01.2026-11-24";
const LIVE: [&str; 4] = ["AAkALgAllDay", "AAkALgException1117", "AAkALgImmutable0001", SERIES];

/// A mailbox with a bare occurrence and an exception before their series, whose cancelled day only a `GET` tells.
fn filled() -> (Fake<Microsoft>, Exchange) {
    let (fake, exchange) = world();
    fake.state().list(event("event_occurrence_bare_as_in_delta"));
    for name in ["event_exception_moved", "event_series_master", "event_single_teams", "event_all_day"] {
        fake.state().put(event(name));
    }
    fake.state().detail(event("event_series_master_select_exceptions"));
    (fake, exchange)
}

fn start(record: &SourceRecord) -> String {
    record.content.start.as_ref().expect("a start").to_string()
}

#[tokio::test]
async fn the_first_round_reads_all_pages_and_each_series_once_more() {
    let (fake, mut exchange) = filled();
    fake.state().page_size = 2;
    exchange.upkeep().await;
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live(), LIVE);
    assert_eq!(exchange.record(CANCELLED).presence(), Presence::Deleted);
    assert!(
        matches!(&exchange.record(CANCELLED).content.part, Some(Part::Instance { series, .. }) if series == SERIES)
    );
    assert_eq!((fake.count("delta"), fake.count("item")), (3, 1));
    for (_, asked) in fake.state().record.calls.iter().filter(|(kind, _)| ["delta", "item"].contains(kind)) {
        assert!(asked.header("prefer").is_some_and(|prefer| prefer.contains("IdType=\"ImmutableId\"")), "{asked:?}");
    }
    let mut moved = event("event_single_teams");
    moved["start"]["dateTime"] = json!("2026-11-10T13:00:00.0000000");
    moved["end"]["dateTime"] = json!("2026-11-10T14:00:00.0000000");
    moved["lastModifiedDateTime"] = json!("2026-11-10T06:59:50.0000000Z");
    fake.state().put(moved);
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(start(exchange.record("AAkALgImmutable0001")), "20261110T130000");
    assert_eq!((fake.count("delta"), fake.count("item")), (4, 1));
    let (cursor, before) = (exchange.cursor.clone(), exchange.records.clone());
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!((exchange.cursor, exchange.records), (cursor, before), "nothing new");
}

#[tokio::test]
async fn what_delta_calls_removed_is_asked_for_before_it_is_gone() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    fake.state().leave_window("AAkALgAllDay");
    fake.state().delete("AAkALgImmutable0001");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.record("AAkALgAllDay").presence(), Presence::Live, "it only left the window");
    assert_eq!(exchange.record("AAkALgImmutable0001").presence(), Presence::Deleted);
}

#[tokio::test]
async fn a_series_that_is_not_listed_is_fetched_for_its_occurrences() {
    let (fake, mut exchange) = world();
    fake.state().detail(event("event_series_master_select_exceptions"));
    fake.state().list(event("event_occurrence_bare_as_in_delta"));
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live(), [SERIES], "the occurrence gives nothing of its own");
    fake.state().delete(SERIES);
    fake.state().list(event("event_occurrence_bare_as_in_delta"));
    assert_eq!(exchange.pull().await, Ended::Done);
    assert!(exchange.live().is_empty(), "404: the series is gone");
}

#[tokio::test]
async fn an_occurrence_that_is_removed_has_the_series_read_again() {
    let (fake, mut exchange) = world();
    let bare = event("event_occurrence_bare_as_in_delta");
    let id = bare["id"].as_str().expect("an id").to_owned();
    fake.state().list(bare.clone());
    fake.state().put(event("event_series_master"));
    fake.state().put(event("event_single_teams"));
    assert_eq!(exchange.pull().await, Ended::Done);
    assert!(exchange.live().contains(&SERIES) && !exchange.records.values().any(|one| one.source.id == CANCELLED));
    fake.state().detail(event("event_series_master_select_exceptions"));
    let before = fake.count("item");
    fake.state().delete(&id);
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.record(CANCELLED).presence(), Presence::Deleted);
    assert_eq!(fake.count("item"), before + 2, "the occurrence, and the series");
    fake.state().delete(SERIES);
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(fake.count("item"), before + 3, "a series that is removed is no occurrence of another");
    fake.state().delete("AAkALgImmutable0001");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(fake.count("item"), before + 4, "and is not asked for any more");
    assert!(exchange.live().iter().all(|id| id.contains("Exception")));
}

#[tokio::test]
async fn what_is_removed_costs_a_series_only_if_it_was_one_of_it() {
    let (fake, mut exchange) = world();
    let of = |name: &str, id: &str, series: Option<&str>| {
        let mut item = event(name);
        item["id"] = json!(id);
        if let Some(series) = series {
            item["seriesMasterId"] = json!(series);
        }
        item
    };
    for series in ["A", "B", "C"] {
        fake.state().put(of("event_series_master", series, None));
        for day in 0..20 {
            fake.state().list(of("event_occurrence_bare_as_in_delta", &format!("{series}{day}"), Some(series)));
        }
    }
    fake.state().put(of("event_exception_moved", "A-moved", Some("A")));
    for single in ["single-1", "single-2", "single-3"] {
        fake.state().put(of("event_single_teams", single, None));
    }
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(fake.count("item"), 3, "each series");
    let read = |from: usize| -> Vec<String> {
        let state = fake.state();
        let items = state.record.calls.iter().filter(|(kind, _)| *kind == "item");
        items.skip(from).map(|(_, asked)| asked.path.rsplit('/').next().unwrap_or_default().to_owned()).collect()
    };
    for (removed, asked) in [
        ("single-1", vec!["single-1"]),
        ("B7", vec!["B7", "B"]),
        ("A-moved", vec!["A-moved", "A"]),
        ("nobody-knows", vec!["nobody-knows", "A", "B", "C"]),
        ("C", vec!["C"]),
        ("C3", vec!["C3", "A", "B"]),
    ] {
        let before = fake.count("item");
        fake.state().delete(removed);
        assert_eq!(exchange.pull().await, Ended::Done);
        assert_eq!(read(before), asked, "{removed}");
    }
    // A series goes with its instances, whatever the order in which they are asked for.
    for id in ["B", "B0", "B1", "B2"] {
        fake.state().delete(id);
    }
    let before = fake.count("item");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(read(before), ["B", "B0", "B1", "B2"]);
    // A cursor from before items were remembered: as good as if nobody knew them.
    let cursor = exchange.cursor.take().expect("a cursor");
    exchange.cursor = cursor.rsplit_once('#').map(|(earlier, _)| earlier.to_owned());
    let before = fake.count("item");
    fake.state().delete("single-2");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(read(before), ["single-2", "A"]);
}

#[tokio::test]
async fn a_cursor_of_an_earlier_version_begins_a_full_round() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    let cursor = exchange.cursor.clone().expect("a cursor");
    let (with_series, _) = cursor.rsplit_once('#').expect("the items");
    let (earlier, series) = with_series.rsplit_once('#').expect("the series");
    assert_eq!(series, SERIES);
    exchange.cursor = Some(earlier.to_owned());
    exchange.pull().await;
    assert_eq!((exchange.cursor.as_deref(), exchange.live()), (Some(cursor.as_str()), LIVE.to_vec()));
    let windows =
        fake.state().record.calls.iter().filter(|(_, asked)| asked.parameter("startDateTime").is_some()).count();
    assert_eq!(windows, 3, "the first was asked for twice since there was no token yet");
}

#[tokio::test]
async fn a_delta_link_that_is_gone_begins_a_full_round_and_sweeps_its_window() {
    let (fake, mut exchange) = filled();
    let mut old = event("event_single_teams");
    old["id"] = json!("AAkALgLongAgo");
    old["start"]["dateTime"] = json!("2020-11-10T11:00:00.0000000");
    old["end"]["dateTime"] = json!("2020-11-10T12:00:00.0000000");
    fake.state().put(old);
    exchange.pull().await;
    for id in ["AAkALgLongAgo", "AAkALgImmutable0001"] {
        fake.state().purge(id);
    }
    fake.state().forget_tokens();
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.generation, 3);
    assert_eq!(exchange.record("AAkALgImmutable0001").presence(), Presence::Unlisted);
    assert_eq!(exchange.record("AAkALgLongAgo").presence(), Presence::Live, "nobody asked for its time");
    assert_eq!(exchange.record(CANCELLED).presence(), Presence::Deleted, "cancelled days stay cancelled");
}

#[tokio::test]
async fn the_window_moves_on_when_it_is_a_month_old() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    exchange.now = exchange.now.plus(29 * 86_400);
    fake.state().oauth.expire();
    exchange.pull().await;
    exchange.now = exchange.now.plus(2 * 86_400);
    fake.state().oauth.expire();
    assert_eq!(exchange.pull().await, Ended::Done);
    let windows =
        fake.state().record.calls.iter().filter(|(_, asked)| asked.parameter("startDateTime").is_some()).count();
    assert_eq!(windows, 4, "two full rounds, each asked for twice since the token had ended");
    assert_eq!(exchange.live(), LIVE);
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_grant_that_was_revoked_ends_it() {
    let (fake, mut exchange) = filled();
    for round in 1..=3 {
        fake.state().oauth.expire();
        assert_eq!(exchange.pull().await, Ended::Done);
        assert_eq!(fake.count("token"), round);
        let kept = exchange.secrets.refresh_token.as_ref().map(|token| token.expose().clone());
        assert_eq!(kept, Some(format!("refresh-{round}")));
    }
    fake.state().oauth.revoked = true;
    fake.state().oauth.expire();
    let Ended::Broken(reason) = exchange.pull().await else { panic!("it goes on") };
    assert!(reason.contains("revoked"), "{reason}");
    assert_eq!(exchange.live(), LIVE, "the data stays");
}

#[tokio::test]
async fn throttled_or_cut_off_it_waits_and_the_cursor_stays() {
    let (fake, mut exchange) = filled();
    exchange.upkeep().await;
    exchange.pull().await;
    let cursor = exchange.cursor.clone();
    fake.state().put(event("event_from_google_organiser"));
    let throttled = event("error_429");
    let reply = Reply::json(429, &throttled["body"]);
    for (kind, fault, seconds) in [
        ("delta", Fault::Instead(reply.clone().header("Retry-After", "13")), Some(13)),
        ("item", Fault::Instead(reply.clone().header("Retry-After", "13")), Some(13)),
        ("delta", Fault::Instead(error(503, "serviceNotAvailable", "x")), None),
        ("delta", Fault::Cut(0), None),
        ("delta", Fault::Cut(400), None),
        ("item", Fault::Cut(100), None),
    ] {
        fake.state().record.fail(kind, fault);
        let Ended::Wait(wait, reason) = exchange.pull().await else { panic!("it goes on") };
        assert_eq!((wait, &exchange.cursor), (seconds, &cursor), "{reason}");
    }
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live().len(), 5);
    fake.state().record.fail("delta", Fault::Instead(error(403, "ErrorAccessDenied", "x")));
    assert!(matches!(exchange.pull().await, Ended::Broken(_)));
}

#[tokio::test]
async fn a_link_to_another_server_is_not_followed() {
    let (fake, mut exchange) = filled();
    exchange.upkeep().await;
    for name in ["@odata.nextLink", "@odata.deltaLink"] {
        let page = json!({"value": [], name: "https://graph.microsoft.com.evil.example/v1.0/me/calendarView/delta?$skiptoken=x"});
        fake.state().record.fail("delta", Fault::Instead(Reply::json(200, &page)));
        let Ended::Wait(_, reason) = exchange.pull().await else { panic!("it follows {name}") };
        assert!(reason.starts_with(name), "{reason}");
    }
    exchange.cursor = Some("https://evil.example/delta?$deltatoken=x".to_owned());
    let account = exchange.account.clone();
    let state = kalends::provider::PullState {
        generation: kalends::merge::Generation(9),
        calendar: "primary".into(),
        page: 1,
        cursor: exchange.cursor.clone(),
        next: None,
        started: exchange.now,
        dates_max: 1_000,
        series_max: 1_000,
        items_max: 1_000,
        further_bytes_max: 65_536,
    };
    let adapter = kalends::provider::adapter(Provider::Microsoft).expect("an adapter");
    assert!(adapter.request(&account, &exchange.secrets, &state).is_err());
}

#[tokio::test]
async fn an_event_that_the_organiser_cancelled_is_cancelled() {
    let (fake, mut exchange) = world();
    fake.state().put(event("event_cancelled_by_organiser"));
    exchange.pull().await;
    assert_eq!(exchange.record("AAkALgCancelled1").content.status, Some(Status::Cancelled));
}

#[tokio::test]
async fn a_broken_item_costs_only_itself() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    let mut broken = event("event_single_teams");
    broken["start"]["dateTime"] = json!(17);
    fake.state().put(broken);
    fake.state().list(json!({"type": "occurrence", "id": "lost"}));
    fake.state().forget_tokens();
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.problems.len(), 2, "{:?}", exchange.problems);
    assert!(exchange.problems.iter().any(|problem| problem.contains("start.dateTime: is a number")));
    assert_eq!(start(exchange.record("AAkALgImmutable0001")), "20261110T110000", "what was known of it stays");
}

#[tokio::test]
async fn subscriptions_shake_hands_ring_are_renewed_and_come_back() {
    let (fake, mut exchange) = filled();
    let delivered = exchange.hook();
    let last = || delivered.lock().expect("no panic").pop().expect("a delivery");
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!((last().class, last().class, exchange.channels.len()), ("handshake", "handshake", 1));
    let made = fake.state().record.calls.iter().find(|(kind, _)| *kind == "subscribe").expect("one").1.json();
    assert_eq!((&made["clientState"], &made["resource"]), (&json!(HOOK), &json!("/me/events")));
    let (url, body) = fake.state().bells("AAkALgImmutable0001").remove(0);
    assert_eq!(post(&url, &[], &body).0, 202);
    assert!(matches!(last().effect, Effect::Pull(calendars) if calendars == ["primary"]));
    let forged = event("notification_forged_client_state")["body"].to_string();
    assert_eq!(post(&url, &[], &forged).0, 202, "whoever forges is told nothing");
    let dropped = last();
    assert!(dropped.class == "forged" && matches!(dropped.effect, Effect::Nothing));
    for (body, named) in
        [("{", "body: is no JSON"), ("{}", "value: is missing"), ("{\"value\": [3]}", "value[0]: is a number")]
    {
        let (status, text) = post(&url, &[], body);
        assert_eq!(status, 400);
        assert!(text.starts_with(named), "{text}");
    }
    delivered.lock().expect("no panic").clear();
    let first = exchange.channels[0].clone();
    exchange.now = exchange.now.plus(4 * 86_400);
    fake.state().now = exchange.now.0;
    fake.state().oauth.expire();
    exchange.secrets.access_token = None;
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!(exchange.channels[0].id, first.id, "renewed at half of its life");
    assert!(exchange.channels[0].expires > first.expires);
    for (event, lost, ending) in [("reauthorizationRequired", 0, 1), ("subscriptionRemoved", 1, 0)] {
        let (url, body) = fake.state().lifecycle(event).remove(0);
        assert_eq!(post(&url, &[], &body).0, 202);
        let Effect::Channels { lost: gone, ending: renewed, pull } = last().effect else { panic!("{event}") };
        assert_eq!((gone.len(), renewed.len(), pull.len()), (lost, ending, lost), "{event}");
    }
    exchange.now = exchange.now.plus(4 * 86_400);
    exchange.secrets.access_token = None;
    fake.state().now = exchange.now.0;
    assert_eq!(exchange.upkeep().await, Ended::Done, "the renewal finds it gone and another is opened");
    assert_eq!((exchange.channels.len(), fake.state().subscriptions.len()), (1, 1));
    assert_ne!(exchange.channels[0].id, first.id);
    let (url, body) = fake.state().lifecycle("missed").remove(0);
    assert_eq!(post(&url, &[], &body).0, 202);
    assert!(matches!(delivered.lock().expect("no panic").pop().expect("a delivery").effect, Effect::Pull(_)));
}
