//! An audit and a listing read in small windows find what one over everything finds.

use super::super::super::listing::{Wanted, deliveries_by};
use super::super::super::{
    Attempt, Class, DeadLetter, EndpointId, Frontier, Lease, NewEndpoint, Owner, SERVER, WaitingRow, add,
};
use super::*;
use crate::access::Actor;
use crate::base::{FixedClock, Limits, PrincipalId};
use crate::model::{Collection, CollectionKind, EventKind};
use crate::store::{Batch, Draft, Engine, Options, Store, Write};

/// Changes that are made, ten a second.
const EVENTS: u64 = 400;
/// When the first is made.
const BEGIN: i64 = 1_000_000;

/// A context with events 1 to [`EVENTS`], of which the endpoint is owed nine in ten.
async fn told() -> (Context, Endpoint) {
    let options = Options { dir: "".into(), engine: Engine::Memory, cache_bytes: 1, tombstones_max: 10 };
    let mut context = Context::new(Store::open(&options).expect("memory opens"), Limits::default());
    context.clock = std::sync::Arc::new(FixedClock::new(Utc(BEGIN)));
    let id = context.store.next_collection_id();
    let calendar = Collection::new(id, None, "c", PrincipalId(1), CollectionKind::Plain, Utc(0));
    let batch = Batch { writes: vec![Write::CreateCollection(calendar)], ..Batch::default() };
    context.store.commit(batch).await.expect("it is made");
    let new = NewEndpoint::new(Owner::Server, "https://example.org/");
    let (endpoint, _) = add(&context, Actor::System, new).await.expect("added");
    for event in 0..EVENTS {
        let kind = EventKind::CalendarUpdated { name: "c".to_owned() };
        let events = vec![Draft { owner: PrincipalId(1), collection: id, kind }];
        let at = Utc(BEGIN + i64::try_from(event / 10).expect("small"));
        context.store.commit(Batch { at, events, ..Batch::default() }).await.expect("written");
    }
    let mut writes = ledger_of(endpoint.id);
    while !writes.is_empty() {
        let some = writes.split_off(writes.len().saturating_sub(100));
        context.store.commit(Batch { writes: some, ..Batch::default() }).await.expect("written");
    }
    (context, endpoint)
}

/// Every kind of fate, each many times, with answers' texts; attempts hours after their events and in no order.
fn ledger_of(id: EndpointId) -> Vec<Write> {
    let owed: Vec<u64> = (1..=EVENTS).filter(|event| event % 10 != 0).collect();
    let mut writes: Vec<Write> = owed.chunks(50).filter_map(|lot| ledger::put_lot(id, lot)).collect();
    writes.push(ledger::put_frontier(id, Frontier { lot: owed[300], index: 20 }));
    let held = ledger::Held { endpoint: id, event: 332, attempt: 1, before: 0, manual: false };
    writes.push(ledger::put_lease(SERVER, &Lease { until: None, held: vec![held] }));
    for event in owed.iter().copied().filter(|event| *event <= 331) {
        let made = u64::from(event % 7 == 0) + u64::from(event % 11 == 0) * 3 + 1;
        for attempt in 1..=made {
            let class = match (attempt == made, event % 13) {
                (true, 0) => Class::Superseded,
                (true, 1 | 2) | (false, 3..) => Class::ServerError,
                (false, _) => Class::Timeout,
                (true, _) => Class::Delivered,
            };
            let began = (BEGIN + i64::try_from(event / 10).expect("small")) * 1_000
                + i64::try_from(attempt * 7_000 + event * 31 % 900).expect("small");
            let attempt = u32::try_from(attempt).expect("small");
            let (status, next, detail) = (Some(200), None, format!("answer {attempt} to {event}: {}", "x".repeat(500)));
            let row = Attempt {
                event,
                attempt,
                started: Millis(began),
                elapsed_ms: 5,
                class,
                status,
                next,
                manual: false,
                detail,
            };
            writes.push(ledger::put_attempts(id, Millis(began + 5), u32::try_from(event).expect("small"), &[row]));
        }
        let attempts = u32::try_from(made).expect("small");
        let class = Class::ServerError;
        if event % 13 == 1 {
            let letter =
                DeadLetter { at: Millis(BEGIN), attempts, class, status: None, reason: format!("as {event} was") };
            writes.push(ledger::put_dead(id, event, &letter));
        } else if event % 13 == 2 {
            let next = Millis(BEGIN);
            let row = WaitingRow { attempts, before: 0, next, class: Some(class), status: None, manual: false };
            writes.push(ledger::put_waiting(id, event, &row));
        }
    }
    writes
}

#[tokio::test]
async fn an_audit_in_windows_is_the_audit_of_all() {
    let (context, endpoint) = told().await;
    for range in [Utc(0)..Utc::MAX, Utc(BEGIN + 15)..Utc(BEGIN + 30), Utc(BEGIN + 39)..Utc::MAX] {
        let whole = audit_by(&context, endpoint.clone(), range.clone(), 1_000, 1_000_000).await.expect("read").report;
        for most in [1, 7, 100] {
            let part = audit_by(&context, endpoint.clone(), range.clone(), 1_000, most).await.expect("read").report;
            assert_eq!(part, whole, "windows of {most}");
        }
        let shown = &whole.more_than_once.first;
        assert!(shown.iter().flat_map(|one| &one.story.attempts).all(|attempt| attempt.detail.len() > 500));
        let dead = whole.not_delivered.first.iter().filter(|one| one.story.fate == Fate::Dead);
        assert!(dead.into_iter().all(|one| one.story.reason == Some(format!("as {} was", one.story.event))));
        assert!(whole.out_of_order.first.iter().all(|late| late.webhook_id.starts_with("msg_")));
    }
    let all = audit(&context, endpoint, Utc(0)..Utc::MAX, 5).await.expect("read").report;
    let owed = (1..=EVENTS).filter(|event| event % 10 != 0);
    let tried = |event: &u64| *event <= 331;
    let count = |fate: fn(u64) -> bool| owed.clone().filter(tried).filter(|event| fate(*event)).count() as u64;
    assert_eq!(all.deliveries, owed.clone().count() as u64);
    assert_eq!((all.dead, all.superseded), (count(|event| event % 13 == 1), count(|event| event % 13 == 0)));
    // Those behind the 20 that were claimed of the seventh lot, and the one that is held.
    let unclaimed = owed.clone().filter(|event| !tried(event)).count() as u64;
    assert!(all.waiting > count(|event| event % 13 == 2) && all.waiting <= count(|event| event % 13 == 2) + unclaimed);
    assert!(all.more_than_once.total > 0 && all.out_of_order.total > 0 && all.not_delivered.first.len() == 5);
}

#[tokio::test]
async fn a_listing_in_windows_is_the_listing_of_all() {
    let (context, endpoint) = told().await;
    let fates = [None, Some(Fate::Delivered), Some(Fate::Waiting), Some(Fate::Dead), Some(Fate::Superseded)];
    for fate in fates {
        for (since, before) in [(None, None), (Some(Utc(BEGIN + 20)), Some(350))] {
            let wanted = Wanted { fate, since, until: None, before, limit: 17 };
            let whole = deliveries_by(&context, &endpoint, &wanted, 1_000_000).await.expect("read");
            assert!(!whole.0.is_empty(), "{fate:?}");
            assert!(whole.0.iter().all(|told| fate.is_none_or(|fate| told.story.fate == fate)));
            for most in [1, 5, 40] {
                let part = deliveries_by(&context, &endpoint, &wanted, most).await.expect("read");
                assert_eq!(part, whole, "{fate:?} in windows of {most}");
            }
        }
    }
    // Page by page, each once.
    let (mut seen, mut before) = (BTreeSet::new(), None);
    loop {
        let wanted = Wanted { before, limit: 50, ..Wanted::default() };
        let (page, next) = deliveries_by(&context, &endpoint, &wanted, 60).await.expect("read");
        assert!(page.iter().all(|told| seen.insert(told.event)));
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len() as u64, (1..=EVENTS).filter(|event| event % 10 != 0).count() as u64);
}
