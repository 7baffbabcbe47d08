//! Exchanges with a fake of Google Calendar's API.

use kalends::merge::{Presence, SourceRecord};
use kalends::provider::{Effect, Provider};
use serde_json::{Value, json};

use crate::exchange::{Ended, Exchange, HOOK};
use crate::fakes::google::{Google, error};
use crate::fakes::{Fake, Fault, Reply, post};
use crate::mapping::sample;

fn event(name: &str) -> Value {
    sample(&format!("google/{name}.json"))
}

fn world() -> (Fake<Google>, Exchange) {
    let fake = Fake::start(Google::new);
    let exchange = Exchange::new(Provider::Google, "mara@northwind.example", &fake.url());
    (fake, exchange)
}

/// A calendar with a series whose exceptions are listed before it, a single event and a day.
fn filled() -> (Fake<Google>, Exchange) {
    let (fake, exchange) = world();
    for name in [
        "event_exception_moved",
        "event_exception_cancelled_minimal",
        "event_single",
        "event_all_day",
        "event_working_location",
        "event_recurring_master",
    ] {
        fake.state().put(event(name));
    }
    (fake, exchange)
}

const LIVE: [&str; 4] = ["7f3kq0b9single1", "allday001", "sync7f3kmaster", "sync7f3kmaster_20261117T090000Z"];

fn start(record: &SourceRecord) -> String {
    record.content.start.as_ref().expect("a start").to_string()
}

#[tokio::test]
async fn the_first_sync_reads_all_pages_and_the_next_ones_only_changes() {
    let (fake, mut exchange) = filled();
    fake.state().page_size = 2;
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live(), LIVE);
    assert_eq!(exchange.record("sync7f3kmaster_20261124T090000Z").presence(), Presence::Deleted);
    let pages = fake.count("list") - 1;
    assert_eq!(pages, 3, "the first try had no token yet; a cancelled instance is not in a full listing of this fake");
    let mut moved = event("event_single");
    moved["start"] = json!({"dateTime": "2026-11-10T16:00:00+01:00", "timeZone": "Europe/Berlin"});
    moved["end"] = json!({"dateTime": "2026-11-10T16:45:00+01:00", "timeZone": "Europe/Berlin"});
    moved["updated"] = json!("2026-11-10T08:00:00.000Z");
    fake.state().put(moved);
    fake.state().delete("allday001");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(fake.count("list"), 5, "one page");
    assert_eq!(start(exchange.record("7f3kq0b9single1")), "20261110T160000");
    assert_eq!(exchange.record("allday001").presence(), Presence::Deleted);
    let (cursor, before) = (exchange.cursor.clone(), exchange.records.clone());
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!((exchange.cursor, exchange.records), (cursor, before), "nothing new");
}

#[tokio::test]
async fn this_and_following_arrives_as_two_series() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    let mut old = event("event_recurring_master");
    old["recurrence"] = json!(["RRULE:FREQ=WEEKLY;UNTIL=20261130T225959Z;BYDAY=TU"]);
    old["updated"] = json!("2026-11-20T10:00:00.000Z");
    fake.state().put(old);
    fake.state().put(event("event_this_and_following_new_master"));
    assert_eq!(exchange.pull().await, Ended::Done);
    let rules = |id: &str| exchange.record(id).content.recurrence.clone().expect("it recurs").rules;
    assert_eq!(rules("sync7f3kmaster"), ["FREQ=WEEKLY;UNTIL=20261130T225959Z;BYDAY=TU"]);
    assert_eq!(rules("sync7f3kmaster_R20261201T090000"), ["FREQ=WEEKLY;COUNT=2;BYDAY=TU"]);
}

#[tokio::test]
async fn a_sync_token_that_is_gone_lists_all_again_and_sweeps_what_is_not_there() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    fake.state().purge("7f3kq0b9single1");
    fake.state().forget_tokens();
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.generation, 3, "the listing after the 410 is another pull");
    assert_eq!(exchange.record("7f3kq0b9single1").presence(), Presence::Unlisted);
    assert_eq!(exchange.live(), LIVE[1..]);
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(fake.count("token"), 1);
}

#[tokio::test]
async fn an_access_token_that_ended_is_refreshed_once_and_a_grant_that_was_revoked_ends_it() {
    let (fake, mut exchange) = filled();
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!((fake.count("token"), fake.count("list")), (1, 1));
    fake.state().oauth.expire();
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!((fake.count("token"), fake.count("list")), (2, 3));
    exchange.now = exchange.now.plus(3_400);
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!(fake.count("token"), 3, "five minutes early");
    fake.state().oauth.revoked = true;
    fake.state().oauth.expire();
    let Ended::Broken(reason) = exchange.pull().await else { panic!("it goes on") };
    assert!(reason.contains("revoked") && reason.contains("invalid_grant"), "{reason}");
    assert_eq!(exchange.live(), LIVE, "the data stays");
}

#[tokio::test]
async fn throttled_it_waits_as_it_is_told_and_asks_once() {
    let (fake, mut exchange) = filled();
    exchange.upkeep().await;
    let throttled = |name: &str| {
        let recorded = event(name);
        let reply = Reply::json(recorded["status"].as_u64().expect("a status") as u16, &recorded["body"]);
        let after = recorded["headers"]["retry-after"].as_str();
        Fault::Instead(after.map_or(reply.clone(), |after| reply.header("retry-after", after)))
    };
    for (fault, seconds) in [
        (throttled("error_429"), Some(7)),
        (throttled("error_403_rate_limit"), None),
        (throttled("error_403_quota_daily_do_not_hammer"), Some(3_600)),
        (Fault::Instead(error(503, "backendError", "Backend Error")), None),
        (Fault::Instead(error(429, "x", "x").header("retry-after", "99999999999999")), Some(86_400)),
    ] {
        let before = fake.count("list");
        fake.state().record.fail("list", fault);
        let Ended::Wait(wait, reason) = exchange.pull().await else { panic!("it goes on") };
        assert_eq!(wait, seconds, "{reason}");
        assert_eq!(fake.count("list"), before + 1);
        assert_eq!(exchange.cursor, None);
    }
    fake.state().record.fail("list", throttled("error_403_forbidden_not_retryable"));
    assert!(matches!(exchange.pull().await, Ended::Broken(_)));
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live(), LIVE);
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_page_leaves_the_cursor_where_it_was() {
    let (fake, mut exchange) = filled();
    exchange.upkeep().await;
    exchange.pull().await;
    let cursor = exchange.cursor.clone();
    fake.state().page_size = 1;
    for name in ["event_out_of_office", "event_outlook_organised_seen_in_google"] {
        fake.state().put(event(name));
    }
    for bytes in [0, 1, 300, 700] {
        fake.state().record.fail("list", Fault::Cut(bytes));
        assert!(matches!(exchange.pull().await, Ended::Wait(None, _)), "cut after {bytes}");
        assert_eq!(exchange.cursor, cursor);
    }
    fake.state().record.fail("list", Fault::Instead(Reply { body: "<html>".into(), ..Reply::empty(200) }));
    assert!(matches!(exchange.pull().await, Ended::Wait(None, _)), "a page of some proxy");
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.live().len(), 6);
    assert_ne!(exchange.cursor, cursor);
}

#[tokio::test]
async fn a_broken_event_costs_only_itself() {
    let (fake, mut exchange) = filled();
    exchange.pull().await;
    let mut broken = event("event_single");
    broken["start"] = json!({"dateTime": "tomorrow"});
    fake.state().put(broken);
    fake.state().put(json!({"status": "confirmed", "summary": "no id"}));
    fake.state().forget_tokens();
    assert_eq!(exchange.pull().await, Ended::Done);
    assert_eq!(exchange.problems.len(), 2, "{:?}", exchange.problems);
    assert!(exchange.problems.iter().any(|problem| problem.contains("start.dateTime")), "{:?}", exchange.problems);
    assert!(exchange.problems.iter().any(|problem| problem.ends_with("id: is missing")), "{:?}", exchange.problems);
    assert_eq!(exchange.live(), LIVE, "what was known of it stays");
    assert_eq!(start(exchange.record("7f3kq0b9single1")), "20261110T150000");
}

#[tokio::test]
async fn channels_ring_are_proved_and_are_replaced_before_they_end() {
    let (fake, mut exchange) = filled();
    let delivered = exchange.hook();
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!(exchange.channels.len(), 1);
    let watch = fake.state().record.calls.iter().find(|(kind, _)| *kind == "watch").expect("a channel").1.json();
    assert_eq!((&watch["token"], &watch["address"]), (&json!(HOOK), &json!(exchange.hook_url)));
    for (state, class) in [("sync", "handshake"), ("exists", "pull"), ("not_exists", "pull"), ("add", "ignored")] {
        let (url, headers) = fake.state().bells(state).remove(0);
        assert_eq!(post(&url, &headers, "").0, 200, "{state}");
        let last = delivered.lock().expect("no panic").pop().expect("a delivery");
        assert_eq!(last.class, class, "{state}");
        assert_eq!(matches!(&last.effect, Effect::Pull(calendars) if calendars == &["primary"]), class == "pull");
    }
    let (url, mut headers) = fake.state().bells("exists").remove(0);
    for token in ["", "forged", "kalends-hook-secret-2"] {
        headers[1].1 = token.to_owned();
        assert_eq!(post(&url, &headers, "").0, 401, "{token:?}");
    }
    let old = exchange.channels[0].clone();
    exchange.now = exchange.now.plus(5 * 86_400);
    exchange.upkeep().await;
    assert_eq!(exchange.channels, std::slice::from_ref(&old), "nothing is due");
    exchange.now = exchange.now.plus(86_400 + 3_600);
    fake.state().now = exchange.now.0;
    fake.state().record.fail("watch", Fault::Instead(error(403, "rateLimitExceeded", "x")));
    assert!(matches!(exchange.upkeep().await, Ended::Wait(None, _)));
    assert_eq!(exchange.channels, std::slice::from_ref(&old), "the old one is kept until there is another");
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert_eq!(exchange.channels.len(), 1);
    assert_ne!(exchange.channels[0].id, old.id);
    let at_google: Vec<String> = fake.state().channels.iter().map(|channel| channel.id.clone()).collect();
    assert_eq!(at_google, [exchange.channels[0].id.clone()], "the old one was stopped");
    exchange.hook_url = None;
    assert_eq!(exchange.upkeep().await, Ended::Done);
    assert!(exchange.channels.is_empty() && fake.state().channels.is_empty(), "no public URL, no channel");
}
