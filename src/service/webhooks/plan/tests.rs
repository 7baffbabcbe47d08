//! The plan with a simulated clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::{PrincipalId, Secret, Utc};
use crate::model::Shelf;
use crate::service::webhooks::{Detail, EndpointState, Order, Owner, Rate, Schedule};

const CALENDAR: CollectionId = CollectionId(7);

fn endpoint(id: u64, order: Order) -> Endpoint {
    Endpoint {
        id: EndpointId(id),
        owner: Owner::Server,
        url: "https://example.org/".to_owned(),
        description: String::new(),
        calendars: Vec::new(),
        events: Vec::new(),
        order,
        latest_only: false,
        detail: Detail::Full,
        payload_version: 1,
        allow_private: false,
        headers: Vec::new(),
        rate: Rate { per_second: 1_000, burst: 1_000, in_flight_max: 4 },
        state: EndpointState::Active,
        created: Utc(0),
        after: 0,
    }
}

fn plan(delays_ms: &[u64], endpoints: &[Endpoint]) -> Plan {
    let schedule = Schedule { delays_ms: delays_ms.to_vec(), ..Schedule::default() };
    let mut plan = Plan::new(WebhookSettings { schedule, ..WebhookSettings::default() });
    for endpoint in endpoints {
        let secrets = SigningSecrets { current: Secret::new(vec![1]), former: None };
        plan.add(endpoint.clone(), Some(secrets), Health::default(), Frontier::default(), at(1));
    }
    plan
}

fn at(now: u64) -> Times {
    Times { now, wall: Millis(1_000_000_000_000 + i64::try_from(now).expect("small")) }
}

fn entries(numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    numbers.map(|number| (number, CALENDAR)).collect()
}

fn outcome(claim: &Claim, class: Class, times: Times) -> Outcome {
    Outcome {
        endpoint: claim.held.endpoint,
        event: claim.held.event,
        attempt: claim.held.attempt,
        started: times.wall,
        elapsed_ms: 1,
        class,
        status: None,
        retry_after_ms: None,
        detail: String::new(),
    }
}

#[test]
fn ten_thousand_due_at_a_dead_endpoint_leave_room_for_one_at_a_good_one() {
    let mut plan = plan(&[0, 5_000], &[endpoint(1, Order::Any), endpoint(2, Order::Any)]);
    plan.owe(EndpointId(1), &entries(1..=10_000));
    let first = plan.claim(SERVER, 512, at(2));
    assert_eq!(first.len(), 4, "no more than may be in flight");
    plan.owe(EndpointId(2), &entries(10_001..=10_001));
    let then = plan.claim(SERVER, 512, at(3));
    assert_eq!(then.iter().map(|claim| claim.held.endpoint.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_clock_set_back_by_an_hour_holds_nothing_up_and_one_set_forward_hurries_nothing() {
    let row =
        |next: i64| WaitingRow { attempts: 1, before: 0, next: Millis(next), class: None, status: None, manual: false };
    let mut back = plan(&[0, 5_000], &[endpoint(1, Order::Any)]);
    let times = Times { now: 10, wall: Millis(50_000_000) };
    // Written down when the clock stood an hour later.
    back.known_waiting(EndpointId(1), 5, row(50_000_000 + 3_600_000 + 5_000), CALENDAR, times);
    let longest = back.settings.schedule.longest_ms();
    assert!(back.claim(SERVER, 9, times).is_empty());
    assert_eq!(back.claim(SERVER, 9, Times { now: 10 + longest, wall: times.wall }).len(), 1);
    let mut running = plan(&[0, 5_000], &[endpoint(1, Order::Any)]);
    running.owe(EndpointId(1), &entries(1..=1));
    let claim = running.claim(SERVER, 9, at(10)).remove(0);
    running.report(SERVER, vec![outcome(&claim, Class::ServerError, at(20))], at(20));
    let jumped = Times { now: 30, wall: Millis(at(20).wall.0 + 3_600_000) };
    assert!(running.claim(SERVER, 9, jumped).is_empty(), "a clock set forward makes nothing due");
    let jumped = Times { now: 6_100, wall: Millis(at(20).wall.0 - 3_600_000) };
    assert_eq!(running.claim(SERVER, 9, jumped).len(), 1, "a clock set back holds nothing up");
}

#[test]
fn a_worker_that_is_silent_loses_its_claims_to_the_next() {
    let mut plan = plan(&[0, 5_000], &[endpoint(1, Order::Any)]);
    plan.owe(EndpointId(1), &entries(1..=2));
    let claims = plan.claim("one", 9, at(10));
    assert_eq!((claims.len(), plan.claim("two", 9, at(11)).len()), (2, 0), "nothing is claimed twice");
    let over = at(10 + 90_000);
    plan.end_leases(over);
    let again = plan.claim("two", 9, over);
    assert_eq!(again.iter().map(|claim| claim.held.attempt).collect::<Vec<_>>(), [2, 2]);
    // The first one's late word, while the other is at it, changes nothing.
    plan.report("one", vec![outcome(&claims[0], Class::Delivered, over)], over);
    assert_eq!(plan.in_flight(), 2);
    plan.report("two", again.iter().map(|claim| outcome(claim, Class::Delivered, over)).collect(), over);
    assert_eq!(plan.in_flight(), 0);
}

fn of_owner(id: u64, owner: u64) -> Endpoint {
    let rate = Rate { per_second: 100_000, burst: 100_000, in_flight_max: 256 };
    Endpoint { owner: Owner::User(PrincipalId(owner)), rate, ..endpoint(id, Order::Any) }
}

/// Claims for five seconds, and nothing is ever answered.
fn claimed_slowly(plan: &mut Plan, from: u64) -> BTreeMap<Owner, usize> {
    let mut counts = BTreeMap::new();
    for round in 0..50 {
        for claim in plan.claim(SERVER, 512, at(from + round * 101)) {
            *counts.entry(claim.endpoint.owner).or_default() += 1;
        }
    }
    counts
}

#[test]
fn however_many_slow_endpoints_an_owner_has_there_is_room_for_the_next_one() {
    let one: Vec<Endpoint> = (1..=100).map(|id| of_owner(id, 1)).collect();
    let mut plan = plan(&[0, 5_000], &[one, vec![of_owner(200, 2), of_owner(300, 3)]].concat());
    for id in 1..=100 {
        plan.owe(EndpointId(id), &entries(1..=500));
    }
    let alone = claimed_slowly(&mut plan, 2);
    assert_eq!(alone.values().sum::<usize>(), FLIGHTS_MAX / 2, "one alone takes half of all");
    plan.owe(EndpointId(200), &entries(1..=2_000));
    plan.owe(EndpointId(300), &entries(1..=1));
    let now = 10_000;
    let soon = plan.claim(SERVER, 512, at(now));
    assert!(soon.iter().all(|claim| claim.held.endpoint.0 >= 200), "nothing more for the first");
    assert!(soon.iter().any(|claim| claim.held.endpoint.0 == 300), "and the others at once");
    assert!(plan.wakes_at(now).is_some_and(|at| at > now), "it does not spin for those who have to wait");
}

#[test]
fn an_owner_of_many_endpoints_gets_no_more_turns_than_an_owner_of_one() {
    let one: Vec<Endpoint> = (1..=50).map(|id| of_owner(id, 1)).collect();
    let mut plan = plan(&[0, 5_000], &[one, vec![of_owner(200, 2)]].concat());
    plan.settings.in_flight_max = 8;
    for id in (1..=50).chain([200]) {
        plan.owe(EndpointId(id), &entries(1..=500));
    }
    let counts = claimed_slowly(&mut plan, 2);
    let (first, second) = (counts[&Owner::User(PrincipalId(1))], counts[&Owner::User(PrincipalId(2))]);
    assert_eq!((first, second), (200, 200));
}

#[test]
fn a_claim_whose_answer_was_lost_comes_again_although_its_worker_goes_on() {
    let mut plan = plan(&[0, 5_000], &[endpoint(1, Order::Any)]);
    plan.owe(EndpointId(1), &entries(1..=100));
    let lost: Vec<u64> = plan.claim("one", 2, at(10)).iter().map(|claim| claim.held.event).collect();
    // It never hears of them. What it claims later is delivered, all the time.
    for second in 1..90 {
        let now = at(10 + second * 1_000);
        plan.end_leases(now);
        let claims = plan.claim("one", 1, now);
        plan.report("one", claims.iter().map(|claim| outcome(claim, Class::Delivered, now)).collect(), now);
        assert_eq!(plan.in_flight(), 2, "after {second} s");
    }
    let over = at(10 + 90_000);
    plan.end_leases(over);
    let again: Vec<u64> = plan.claim("one", 2, over).iter().map(|claim| claim.held.event).collect();
    assert_eq!(again, lost);
}

#[test]
fn lots_that_memory_did_not_keep_are_read_many_at_once() {
    let mut plan = plan(&[0, 5_000], &[endpoint(1, Order::Any)]);
    for event in 1..=5_000 {
        plan.owe(EndpointId(1), &entries(event..=event));
    }
    let mut sent = Vec::new();
    let mut send = |plan: &mut Plan, now: u64| {
        let claims = plan.claim(SERVER, 512, at(now));
        sent.extend(claims.iter().map(|claim| claim.held.event));
        plan.report(SERVER, claims.iter().map(|claim| outcome(claim, Class::Delivered, at(now))).collect(), at(now));
        claims.len()
    };
    let mut now = 10;
    while send(&mut plan, now) > 0 {
        now += 1_000;
    }
    let (_, first) = plan.unread(now).remove(0);
    for event in first..first + 4 {
        plan.read(EndpointId(1), event, Some(entries(event..=event)));
    }
    assert_eq!(send(&mut plan, now), 4, "all that were read go together");
    while let Some((_, first)) = plan.unread(now).pop() {
        plan.read(EndpointId(1), first, Some(entries(first..=first)));
        now += 1_000;
        send(&mut plan, now);
    }
    assert_eq!(sent, (1..=5_000).collect::<Vec<_>>());
}

#[test]
fn an_endpoint_whose_secret_cannot_be_opened_is_owed_and_sent_nothing() {
    let mut plan = plan(&[0, 5_000], &[]);
    plan.add(endpoint(1, Order::Any), None, Health::default(), Frontier::default(), at(1));
    plan.owe(EndpointId(1), &entries(1..=3));
    assert!(plan.claim(SERVER, 9, at(2)).is_empty());
    assert_eq!(plan.wakes_at(2), None, "and nobody waits for it");
    let secrets = SigningSecrets { current: Secret::new(vec![1]), former: None };
    assert!(plan.update(endpoint(1, Order::Any), Some(secrets), Health::default()));
    assert_eq!(plan.claim(SERVER, 9, at(3)).len(), 3, "its new secret signs what it was owed");
}

#[test]
fn what_a_throttled_endpoint_asks_for_holds_all_of_it() {
    let mut plan = plan(&[0, 5_000, 5_000], &[endpoint(1, Order::Any)]);
    plan.owe(EndpointId(1), &entries(1..=9));
    let claims = plan.claim(SERVER, 1, at(10));
    let throttled = Outcome { retry_after_ms: Some(60_000), ..outcome(&claims[0], Class::Throttled, at(20)) };
    plan.report(SERVER, vec![throttled], at(20));
    assert!(plan.claim(SERVER, 9, at(60_000)).is_empty());
    assert!(!plan.claim(SERVER, 9, at(60_021)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever receivers do: every delivery ends once, delivered or as a dead letter; no delivery has more attempts than the
    /// schedule has pauses; nothing is sent before its time; in order means in order.
    #[test]
    fn every_delivery_ends_once_and_keeps_to_the_schedule(
        in_order in any::<bool>(),
        count in 1_u64..40,
        fates in prop::collection::vec(0_u8..10, 1..400),
    ) {
        let delays = [0, 100, 1_000, 10_000];
        let order = if in_order { Order::InOrder } else { Order::Any };
        let mut plan = plan(&delays, &[endpoint(1, order)]);
        plan.owe(EndpointId(1), &entries(1..=count));
        let (mut now, mut fates) = (10, fates.into_iter().cycle());
        let mut tried: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let (mut delivered, mut dead, mut last) = (Vec::new(), Vec::new(), 0);
        for _ in 0..100_000 {
            let claims = plan.claim(SERVER, 512, at(now));
            for claim in &claims {
                let times = tried.entry(claim.held.event).or_default();
                prop_assert_eq!(claim.held.attempt as usize, times.len() + 1);
                if let Some(before) = times.last() {
                    prop_assert!(now - before >= delays[times.len()] * 8 / 10);
                }
                times.push(now);
                if in_order {
                    prop_assert!(claim.held.event >= last, "{} behind {last}", claim.held.event);
                    last = claim.held.event;
                }
            }
            for claim in &claims {
                let class = match fates.next() {
                    Some(0..=6) | None => Class::Delivered,
                    Some(7) => Class::ServerError,
                    Some(8) => Class::Timeout,
                    Some(_) => Class::Refused,
                };
                plan.report(SERVER, vec![outcome(claim, class, at(now))], at(now));
                if class == Class::Delivered {
                    delivered.push(claim.held.event);
                }
            }
            for write in plan.writes(at(now).wall) {
                if let Write::PutRow(Shelf::DeadLetters, key, _) = write {
                    dead.extend(ledger::number_of(&key));
                }
            }
            match plan.wakes_at(now) {
                Some(next) => now = next.max(now + 1),
                None => break,
            }
        }
        prop_assert!(tried.values().all(|times| times.len() <= delays.len()));
        let mut ended: Vec<u64> = delivered.into_iter().chain(dead).collect();
        ended.sort_unstable();
        prop_assert_eq!(ended, (1..=count).collect::<Vec<_>>());
    }
}
