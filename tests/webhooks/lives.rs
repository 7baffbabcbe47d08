//! Ends and beginnings of the server, and endpoints that must not disturb each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kalends::service::webhooks::{Class, NewEndpoint, ledger};

use crate::house::{House, quick};
use crate::receiver::{Act, GOOD, Receiver};

#[tokio::test]
async fn killed_between_sending_and_writing_down_it_comes_again_with_the_same_id() {
    let mut house = House::new(quick(&[0, 50, 50])).await;
    let receiver = Receiver::start(|n, _| if n == 0 { Act::Hang } else { GOOD }).await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    receiver.wait_for(1).await;
    house.kill().await;
    house.put("u2", "made while nobody delivered").await;
    house.start();
    let seen = receiver.wait_for(3).await;
    let mut times = BTreeMap::new();
    for one in &seen {
        *times.entry((one.uid().to_owned(), one.id.clone())).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 2, "{times:?}");
    assert_eq!(times.values().sum::<i32>(), 3, "{times:?}");
    let attempts = house.wait_for_attempts(id, 3).await;
    let lost: Vec<_> = attempts.iter().filter(|attempt| attempt.class == Class::Lost).collect();
    assert_eq!(lost.len(), 1, "the ledger knows which may have come twice: {attempts:?}");
}

#[tokio::test]
async fn ended_well_and_started_again_nothing_comes_twice() {
    let mut house = House::new(quick(&[0, 50, 50])).await;
    let receiver = Receiver::start(|_, _| Act::Late(Duration::from_millis(20))).await;
    let id = house.endpoint(&receiver).await;
    for round in 0..4 {
        for n in 0..10 {
            house.put(&format!("u{round}-{n}"), "x").await;
        }
        house.stop().await;
        house.start();
    }
    receiver.wait_for(40).await;
    house.wait_for_attempts(id, 40).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.count(), 40);
}

#[tokio::test]
async fn many_crashes_lose_nothing() {
    let mut house = House::new(quick(&[0, 20, 20, 20, 20, 20, 20])).await;
    let receiver =
        Receiver::start(|n, _| if n % 7 == 3 { Act::Answer(500, "") } else { Act::Late(Duration::from_millis(3)) })
            .await;
    house.endpoint(&receiver).await;
    for round in 0..8 {
        for n in 0..20 {
            house.put(&format!("u{round}-{n}"), "x").await;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
        house.kill().await;
        house.start();
    }
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let mut ids = BTreeMap::new();
        for one in receiver.seen() {
            ids.entry(one.uid().to_owned()).or_insert_with(std::collections::BTreeSet::new).insert(one.id);
        }
        assert!(ids.values().all(|ids| ids.len() == 1), "one id for one event");
        if ids.len() == 160 {
            break;
        }
        assert!(Instant::now() < end, "{} of 160", ids.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_dead_endpoint_with_much_due_does_not_hold_up_a_good_one() {
    let house = House::new(quick(&[0, 50, 50, 50, 50])).await;
    let (dead, good) = (Receiver::start(|_, _| Act::Hang).await, Receiver::good().await);
    let dead_id = house.endpoint(&dead).await;
    // Ten thousand events at once, from one file of many: the outbox alone matters here.
    house.many(10_000).await;
    dead.wait_for(4).await;
    house.endpoint(&good).await;
    // Nobody gives up on the dead one within this test: whoever waited for it would wait in vain.
    house.put("good", "x").await;
    good.wait_for(1).await;
    let begun = Instant::now();
    let waits =
        || house.context().webhooks.standing(dead_id).map_or(0, |one| one.pending + one.waiting + one.in_flight);
    // What it says is renewed four times a second.
    while waits() < 10_001 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} wait", waits());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_ledger_is_small() {
    let mut house = House::silent(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    let new = house.new_endpoint(&receiver.url()).await;
    let id = house.add(NewEndpoint { ..new }).await.0.id;
    house.many(2_000).await;
    house.start();
    receiver.wait_for(2_000).await;
    let (lots, _) = ledger::lots(house.context(), id, 0, 1_000).await.expect("the store reads");
    assert_eq!(lots.iter().map(Vec::len).sum::<usize>(), 2_000);
    assert!(lots.len() <= 10, "{} rows", lots.len());
}
