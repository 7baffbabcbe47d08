//! Everything that an attempt can come to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kalends::access::Actor;
use kalends::api::Problem;
use kalends::model::{Shelf, UserName};
use kalends::service::webhooks::{self, Class, EndpointId, EndpointState, NewEndpoint, Owner, ledger};
use kalends::service::{Error, accounts};
use kalends::store::{Batch, Write};

use crate::house::{House, quick};
use crate::receiver::{Act, GOOD, Receiver};

/// The first attempt's class, status and time against a receiver that acts so, of a sender who waits for `time`.
async fn first(act: fn() -> Act, time: Duration) -> (Class, Option<u16>, Duration, String) {
    let house = House::patient(quick(&[0, 3_600_000]), time).await;
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
    // Those who are given up on are given up on soon; for the others there is time, so that a slow machine is no silent receiver.
    let (short, long) = (Duration::from_millis(700), Duration::from_secs(5));
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
        let time = if class == Class::Timeout { short } else { long };
        let (found, answered, took, detail) = first(act, time).await;
        assert_eq!((found, answered), (class, status), "{detail}");
        assert!(took < Duration::from_secs(40), "{class:?} took {took:?}");
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
        ("retry-after: 4\r\n", true),
        ("retry-after: soon\r\n", false),
        ("retry-after: -5\r\n", false),
        ("retry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n", false),
        ("", false),
    ] {
        let house = House::new(quick(&[0, 20, 20, 20])).await;
        let receiver = Receiver::start(move |n, _| if n == 0 { Act::Answer(429, header) } else { GOOD }).await;
        let id = house.endpoint(&receiver).await;
        house.put("u1", "x").await;
        let throttled = house.wait_for_attempts(id, 1).await.remove(0);
        let planned =
            throttled.next.expect("it is tried again").0 - throttled.started.0 - i64::from(throttled.elapsed_ms);
        assert_eq!(planned >= 3_900, held, "{header}: tried again after {planned} ms");
        house.put("u2", "x").await;
        let seen = receiver.wait_for(3).await;
        if held {
            let rest = seen[1].at - seen[0].at;
            assert!(rest >= Duration::from_millis(3_900), "{header}: asked again after {rest:?}");
        }
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

#[tokio::test]
async fn tests_of_a_paused_endpoint_are_bounded() {
    let house = House::silent(quick(&[0])).await;
    let id = house.add(house.new_endpoint("http://127.0.0.1:1/").await).await.0.id;
    let most = house.context().limits.webhook_tests_max;
    webhooks::pause(house.context(), Actor::System, id).await.expect("paused");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..most + 30 {
        let context = Arc::clone(&house.app.context);
        all.spawn(async move { webhooks::test(&context, Actor::System, id).await });
    }
    let (sent, refused): (Vec<_>, Vec<_>) = all.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(sent.len() as u64, most, "however many ask at once");
    assert!(
        refused
            .iter()
            .all(|answer| matches!(answer, Err(Error::TooManyWait(why)) if why.contains("webhook_tests_max")))
    );
    let refused = webhooks::test(house.context(), Actor::System, id).await.expect_err("it is full");
    assert_eq!(Problem::from(refused).status.as_u16(), 429, "over HTTP");
    let other = house.add(house.new_endpoint("http://127.0.0.1:1/").await).await.0.id;
    webhooks::test(house.context(), Actor::System, other).await.expect("each endpoint has its own");
}

/// How many rows of the endpoint there are, wherever.
async fn rows_of(house: &House, id: EndpointId) -> usize {
    let mut count = 0;
    for shelf in
        [Shelf::Endpoints, Shelf::Deliveries, Shelf::Due, Shelf::Attempts, Shelf::DeliveryState, Shelf::DeadLetters]
    {
        let page = house.context().store.rows(shelf, Shelf::whole(), 10_000).await.expect("the store reads");
        let id = id.0.to_be_bytes();
        count += page.rows.iter().filter(|(key, _)| key.starts_with(&id) || key.get(1..9) == Some(&id)).count();
    }
    count
}

#[tokio::test]
async fn with_a_user_go_the_endpoints_and_all_that_is_known_of_them() {
    let mut house = House::new(quick(&[0])).await;
    let receiver = Receiver::start(|n, _| if n == 0 { Act::Answer(500, "") } else { GOOD }).await;
    let id = house.endpoint(&receiver).await;
    let server = NewEndpoint { owner: Owner::Server, ..house.new_endpoint(&receiver.url()).await };
    let others = house.add(server).await.0.id;
    for n in 0..4 {
        house.put(&format!("u{n}"), "x").await;
    }
    house.wait_for_attempts(id, 4).await;
    house.wait_for_attempts(others, 4).await;
    webhooks::pause(house.context(), Actor::System, id).await.expect("paused");
    webhooks::test(house.context(), Actor::System, id).await.expect("one waits");
    let before = rows_of(&house, id).await;
    assert!(before >= 5, "{before}");
    accounts::remove(house.context(), &UserName::new("alice").expect("a name")).await.expect("removed");
    house.stop().await;
    webhooks::removal::sweep(house.context()).await.expect("swept");
    assert_eq!(rows_of(&house, id).await, 0);
    assert!(rows_of(&house, others).await > 0, "what is not hers stays");
    assert!(webhooks::endpoint(house.context(), Actor::System, others).await.is_ok());
}

/// What a crash leaves between an endpoint's own rows and its ledger, and an endpoint whose user went before they went together.
#[tokio::test]
async fn what_is_left_of_endpoints_that_are_gone_is_swept() {
    let house = House::silent(quick(&[0])).await;
    let id = house.add(house.new_endpoint("http://127.0.0.1:1/").await).await.0.id;
    let stays = house.add(house.new_endpoint("http://127.0.0.1:1/").await).await.0.id;
    for id in [id, stays] {
        webhooks::test(house.context(), Actor::System, id).await.expect("one waits");
    }
    let row = [&id.0.to_be_bytes()[..], b"e"].concat();
    let half = Batch { writes: vec![Write::DeleteRow(Shelf::Endpoints, row)], ..Batch::default() };
    house.context().store.commit(half).await.expect("written");
    webhooks::removal::sweep(house.context()).await.expect("swept");
    let left = ledger::waiting(house.context(), id, 0, 10).await.expect("read").0;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(ledger::waiting(house.context(), stays, 0, 10).await.expect("read").0.len(), 1);
    let bob = house.user("bob").await;
    let orphan = NewEndpoint { owner: Owner::User(bob), ..house.new_endpoint("http://127.0.0.1:1/").await };
    let orphan = house.add(orphan).await.0.id;
    let gone = Batch { writes: vec![Write::DeletePrincipal(bob)], ..Batch::default() };
    house.context().store.commit(gone).await.expect("written");
    webhooks::removal::sweep(house.context()).await.expect("swept");
    assert_eq!(rows_of(&house, orphan).await, 0);
}
