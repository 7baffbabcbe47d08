//! Everything that an attempt can come to.

use std::time::{Duration, Instant};

use kalends::access::Actor;
use kalends::service::webhooks::{self, Class, EndpointState, NewEndpoint, ledger};

use crate::house::{House, quick};
use crate::receiver::{Act, GOOD, Receiver};

/// The first attempt's class, status and time against a receiver that acts so.
async fn first(act: fn() -> Act) -> (Class, Option<u16>, Duration, String) {
    let house = House::new(quick(&[0, 3_600_000])).await;
    let receiver = Receiver::start(move |_, _| act()).await;
    let id = house.endpoint(&receiver).await;
    let begun = Instant::now();
    house.put("u1", "x").await;
    let attempt = house.wait_for_attempts(id, 1).await.remove(0);
    assert_eq!(receiver.count(), 1, "one request for one attempt");
    (attempt.class, attempt.status, begun.elapsed(), attempt.detail)
}

#[tokio::test]
async fn every_ending_has_its_class_and_its_bound() {
    let soon = Duration::from_secs(5);
    for (act, class, status) in [
        ((|| GOOD) as fn() -> Act, Class::Delivered, Some(204)),
        (|| Act::Answer(200, ""), Class::Delivered, Some(200)),
        (|| Act::DripBody, Class::Delivered, Some(200)),
        (|| Act::Endless, Class::Delivered, Some(200)),
        (|| Act::DripHead, Class::Timeout, None),
        (|| Act::Hang, Class::Timeout, None),
        (|| Act::Close, Class::Network, None),
        (|| Act::Babble, Class::Network, None),
        (|| Act::Answer(500, ""), Class::ServerError, Some(500)),
        (|| Act::Answer(404, ""), Class::Refused, Some(404)),
        (|| Act::Answer(429, ""), Class::Throttled, Some(429)),
    ] {
        let (found, answered, took, detail) = first(act).await;
        assert_eq!((found, answered), (class, status), "{detail}");
        assert!(took < soon, "{class:?} took {took:?}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inside = Receiver::good().await;
    let location: &'static str = format!("location: {}\r\n", inside.url()).leak();
    let house = House::new(quick(&[0, 20, 20, 20, 20])).await;
    let receiver = Receiver::start(move |_, _| Act::Answer(301, location)).await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    let attempts = house.wait_for_attempts(id, 3).await;
    assert!(attempts.iter().all(|attempt| attempt.class == Class::Moved && attempt.detail.contains("the URL moved")));
    assert_eq!(inside.count(), 0, "nobody went there");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.count(), 3, "three tries, then a dead letter");
    let (dead, _) = ledger::dead_letters(house.context(), id, 0, 10).await.expect("the store reads");
    assert_eq!((dead.len(), dead[0].1.attempts), (1, 3));
    let until = house.context().clock.now().plus(10);
    let again =
        webhooks::recover(house.context(), Actor::System, id, kalends::base::Utc(0), until).await.expect("asked for");
    assert_eq!(again, 1);
    let attempts = house.wait_for_attempts(id, 6).await;
    assert_eq!(
        attempts.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6],
        "they go on counting"
    );
}

#[tokio::test]
async fn an_end_comes_after_the_schedule() {
    let house = House::new(quick(&[0, 10, 10, 10])).await;
    let receiver = Receiver::start(|_, _| Act::Answer(500, "")).await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    house.wait_for_attempts(id, 4).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.count(), 4);
    let (dead, _) = ledger::dead_letters(house.context(), id, 0, 10).await.expect("the store reads");
    assert_eq!((dead.len(), dead[0].1.class), (1, Class::ServerError));
}

#[tokio::test]
async fn gone_disables_and_resuming_sends_what_waits() {
    let house = House::new(quick(&[0, 10, 10, 10])).await;
    let receiver = Receiver::start(|n, _| if n == 0 { Act::Answer(410, "") } else { GOOD }).await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    house.wait_for_attempts(id, 1).await;
    let state = async || webhooks::endpoint(house.context(), Actor::System, id).await.expect("it is there").state;
    while !matches!(state().await, EndpointState::Disabled { .. }) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.put("u2", "x").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.count(), 1, "nothing is sent to it");
    webhooks::resume(house.context(), Actor::System, id).await.expect("resumed");
    let uids: Vec<_> = receiver.wait_for(3).await.iter().map(|one| one.uid().to_owned()).collect();
    assert!(uids.contains(&"u1".to_owned()) && uids.contains(&"u2".to_owned()), "{uids:?}");
}

#[tokio::test]
async fn retry_after_holds_the_whole_endpoint_and_nonsense_does_not() {
    for (header, held) in [
        ("retry-after: 2\r\n", true),
        ("retry-after: soon\r\n", false),
        ("retry-after: -5\r\n", false),
        ("retry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n", false),
        ("", false),
    ] {
        let house = House::new(quick(&[0, 20, 20, 20])).await;
        let receiver = Receiver::start(move |n, _| if n == 0 { Act::Answer(429, header) } else { GOOD }).await;
        let id = house.endpoint(&receiver).await;
        house.put("u1", "x").await;
        house.wait_for_attempts(id, 1).await;
        house.put("u2", "x").await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(receiver.count() == 1, held, "{header}");
        receiver.wait_for(3).await;
    }
}

#[tokio::test]
async fn no_tls_where_tls_should_be() {
    let house = House::new(quick(&[0, 3_600_000])).await;
    let receiver = Receiver::good().await;
    let new = house.new_endpoint("").await;
    let id = house.add(NewEndpoint { url: format!("https://{}/", receiver.address), ..new }).await.0.id;
    house.put("u1", "x").await;
    let attempt = house.wait_for_attempts(id, 1).await.remove(0);
    assert!(matches!(attempt.class, Class::Tls | Class::Unreachable), "{attempt:?}");
}
