//! Who is told what: signatures, payloads, access, filters, order.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kalends::access::Actor;
use kalends::base::Secret;
use kalends::model::{Ace, AcePrincipal, Path, Privilege};
use kalends::service::collections;
use kalends::service::conditions::Conditions;
use kalends::service::webhooks::{self, Detail, EventType, NewEndpoint, Order, Owner};
use kalends::webhook::verify;

use crate::house::{FAST, House, quick};
use crate::receiver::{Act, GOOD, Receiver};

fn raw(secret: &Secret<String>) -> Vec<u8> {
    STANDARD.decode(secret.expose().strip_prefix("whsec_").expect("the prefix")).expect("base64")
}

#[tokio::test]
async fn a_change_is_told_once_signed_and_in_full() {
    let house = House::new(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    let new =
        NewEndpoint { headers: vec![("x-tenant".into(), "7".into())], ..house.new_endpoint(&receiver.url()).await };
    let (endpoint, secret) = house.add(new).await;
    house.put("u1", "Lunch").await;
    house.put("u1", "Late lunch").await;
    house.delete("u1").await;
    let seen = receiver.wait_for(3).await;
    let mut kinds: Vec<_> = seen.iter().map(|one| (one.sequence(), one.kind().to_owned())).collect();
    kinds.sort();
    assert_eq!(
        kinds.iter().map(|kind| kind.1.as_str()).collect::<Vec<_>>(),
        ["event.created", "event.updated", "event.deleted"]
    );
    for one in &seen {
        assert!(verify(&raw(&secret), &one.id, one.timestamp, &one.raw, &one.signature), "{one:?}");
        assert!(one.headers.contains(&("x-tenant".into(), "7".into())), "{one:?}");
        assert!(one.headers.iter().any(|(name, value)| name == "user-agent" && value.starts_with("Kalends/")));
        let data = &one.body["data"];
        assert_eq!(
            (data["uid"].as_str(), data["calendar"].as_str()),
            (Some("u1"), Some("/dav/calendars/alice/default/"))
        );
        assert!(data["sync_token"].as_str().is_some_and(|token| token.starts_with("urn:kalends:sync:")));
    }
    house.wait_for_attempts(endpoint.id, 3).await;
    assert_eq!(receiver.count(), 3, "each once");
    let ids: std::collections::BTreeSet<_> = seen.iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn private_events_are_told_thin() {
    let house = House::new(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    house.endpoint(&receiver).await;
    house.put_with("open", "SUMMARY:Lunch").await;
    house.put_with("private", "SUMMARY:Doctor\r\nCLASS:PRIVATE").await;
    house.put_with("confidential", "SUMMARY:Doctor\r\nCLASS:CONFIDENTIAL").await;
    house.put_with("odd", "SUMMARY:Doctor\r\nCLASS:X-WHATEVER").await;
    house.put_with("long", &format!("SUMMARY:{}", "y".repeat(60_000))).await;
    for one in receiver.wait_for(5).await {
        let text = String::from_utf8_lossy(&one.raw).into_owned();
        assert!(!text.contains("Doctor"), "{text}");
        assert_eq!(text.contains("Lunch"), one.uid() == "open", "{text}");
        assert!(text.len() <= 16 * 1024);
    }
}

#[tokio::test]
async fn an_endpoint_hears_of_what_its_owner_may_read_then() {
    let house = House::new(quick(&[0, 50])).await;
    let (receiver, busy, own) = (Receiver::good().await, Receiver::good().await, Receiver::good().await);
    // When alice hears of a change, it has been decided who else does.
    house.endpoint(&own).await;
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    let new = NewEndpoint { allow_private: true, rate: FAST, ..NewEndpoint::new(Owner::User(bob), receiver.url()) };
    house.add(new.clone()).await;
    let types = vec![EventType::FreebusyChanged];
    house.add(NewEndpoint { url: busy.url(), events: types, ..new }).await;
    house.put("secret", "before").await;
    own.wait_for_uid("secret").await;
    let calendar = Path::parse("/dav/calendars/alice/default/").expect("a path");
    let grant = async |privilege| {
        let acl = [Ace { principal: AcePrincipal::User(bob), grant: Privilege::set(privilege) }];
        collections::set_acl(house.context(), Actor::User(alice), &calendar, &acl, &Conditions::default())
            .await
            .expect("granted");
    };
    grant(Privilege::ReadFreeBusy).await;
    house.put("busy", "between").await;
    own.wait_for_uid("busy").await;
    let told = busy.wait_for(1).await;
    assert_eq!(told[0].kind(), "freebusy.changed");
    assert!(!String::from_utf8_lossy(&told[0].raw).contains("busy.ics") && told[0].uid().is_empty(), "{told:?}");
    grant(Privilege::Read).await;
    house.put("shared", "after").await;
    receiver.wait_for_uid("shared").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let heard: Vec<_> = receiver.seen().iter().map(|one| (one.kind().to_owned(), one.uid().to_owned())).collect();
    assert!(heard.iter().all(|(kind, uid)| kind == "calendar.updated" || uid == "shared"), "{heard:?}");
}

#[tokio::test]
async fn filters_say_what_is_told() {
    let house = House::new(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    let new = house.new_endpoint(&receiver.url()).await;
    house.add(NewEndpoint { events: vec![EventType::EventDeleted], detail: Detail::Thin, ..new.clone() }).await;
    let nowhere = kalends::base::CollectionId(999_999);
    let other = Receiver::good().await;
    house.add(NewEndpoint { url: other.url(), calendars: vec![nowhere], ..new }).await;
    house.put("u1", "x").await;
    house.delete("u1").await;
    let seen = receiver.wait_for(1).await;
    assert_eq!(seen[0].kind(), "event.deleted");
    assert_eq!((receiver.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn rotation_signs_with_both_secrets() {
    let house = House::new(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    let new = house.new_endpoint(&receiver.url()).await;
    let (endpoint, old) = house.add(new).await;
    let new = webhooks::rotate(house.context(), Actor::System, endpoint.id).await.expect("rotated");
    house.put("u1", "x").await;
    let seen = &receiver.wait_for(1).await[0];
    for secret in [&old, &new] {
        assert!(verify(&raw(secret), &seen.id, seen.timestamp, &seen.raw, &seen.signature));
    }
    assert_eq!(seen.signature.split(' ').count(), 2);
    assert!(!format!("{old:?}{new:?}").contains("whsec_"));
}

#[tokio::test]
async fn in_order_means_one_at_a_time_for_each_calendar() {
    let house = House::new(quick(&[0, 30, 30, 30, 30])).await;
    // Every third request fails at first: what comes after it must wait.
    let receiver = Receiver::start(|n, _| if n % 3 == 0 { Act::Answer(500, "") } else { GOOD }).await;
    let new = house.new_endpoint(&receiver.url()).await;
    let id = house.add(NewEndpoint { order: Order::InOrder, ..new }).await.0.id;
    for n in 0..20 {
        house.put(&format!("u{n}"), "x").await;
    }
    house.wait_for_attempts(id, 29).await;
    let sequences: Vec<u64> = receiver.seen().iter().map(|one| one.sequence()).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
}

/// What waits when the order is changed goes first.
#[tokio::test]
async fn an_endpoint_that_comes_to_be_in_order_forgets_nothing_that_waits() {
    let house = House::new(quick(&[0, 300, 300])).await;
    let receiver = Receiver::start(|n, _| if n == 0 { Act::Answer(500, "") } else { GOOD }).await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    house.wait_for_attempts(id, 1).await;
    let changes = webhooks::Changes { order: Some(Order::InOrder), ..webhooks::Changes::default() };
    webhooks::change(house.context(), Actor::System, id, changes).await.expect("it is changed");
    house.put("u2", "x").await;
    let seen = receiver.wait_for(3).await;
    let uids: Vec<_> = seen.iter().map(|one| one.body["data"]["uid"].clone()).collect();
    assert_eq!(uids, ["u1", "u1", "u2"]);
}

#[tokio::test]
async fn latest_only_leaves_out_what_was_overtaken() {
    let mut house = House::silent(quick(&[0, 30])).await;
    let receiver = Receiver::good().await;
    let new = house.new_endpoint(&receiver.url()).await;
    let id = house.add(NewEndpoint { latest_only: true, ..new }).await.0.id;
    for n in 0..10 {
        house.put("u1", &format!("version {n}")).await;
    }
    house.start();
    house.wait_for_attempts(id, 10).await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].body["data"]["summary"], "version 9");
}

#[tokio::test]
async fn a_test_and_a_resend_come_through() {
    let house = House::new(quick(&[0, 50])).await;
    let receiver = Receiver::good().await;
    let id = house.endpoint(&receiver).await;
    house.put("u1", "x").await;
    let first = receiver.wait_for(1).await[0].clone();
    let event = house.wait_for_attempts(id, 1).await[0].event;
    webhooks::resend(house.context(), Actor::System, id, &[event]).await.expect("asked for");
    let again = receiver.wait_for(2).await[1].clone();
    assert_eq!((&again.id, &again.raw), (&first.id, &first.raw), "the same id and the same text");
    webhooks::test(house.context(), Actor::System, id).await.expect("asked for");
    assert_eq!(receiver.wait_for(3).await[2].kind(), "webhook.test");
    assert!(house.wait_for_attempts(id, 3).await.iter().skip(1).all(|attempt| attempt.manual));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let house = House::silent(quick(&[0])).await;
    let bob = Actor::User(house.user("bob").await);
    let good = house.new_endpoint("https://example.org/").await;
    let refused = async |actor, new: NewEndpoint| {
        webhooks::add(house.context(), actor, new).await.expect_err("refused").to_string()
    };
    assert!(refused(bob, good.clone()).await.contains("not allowed"));
    let own = NewEndpoint { owner: Owner::User(house.user("bob").await), ..good.clone() };
    assert!(refused(bob, own).await.contains("allow_private"));
    let header = |name: &str, value: &str| NewEndpoint { headers: vec![(name.into(), value.into())], ..good.clone() };
    for (new, word) in [
        (header("Webhook-Id", "x"), "Webhook-Id"),
        (header("host", "x"), "host"),
        (header("bad name", "x"), "headers"),
        (header("x-ok", "a\r\nb: c"), "x-ok"),
        (NewEndpoint { events: vec![EventType::Test], ..good.clone() }, "events"),
        (NewEndpoint { description: "\u{7}".into(), ..good.clone() }, "description"),
        (
            NewEndpoint { rate: kalends::service::webhooks::Rate { per_second: 0, ..FAST }, ..good.clone() },
            "per_second",
        ),
    ] {
        let text = refused(Actor::System, new).await;
        assert!(text.contains(word), "{text}");
    }
    assert!(webhooks::endpoints(house.context(), Actor::System).await.expect("listed").is_empty());
}

const NEWS: [EventType; 4] = [
    EventType::EndpointFailing,
    EventType::EndpointRecovered,
    EventType::EndpointDisabled,
    EventType::EndpointExhausted,
];

#[tokio::test]
async fn an_owners_other_endpoint_hears_that_one_fails_and_works_again() {
    let house = House::new(quick(&[0, 5, 5, 5, 5, 5])).await;
    let failing = Receiver::start(|n, _| if n < 4 { Act::Answer(500, "") } else { GOOD }).await;
    let (listener, stranger) = (Receiver::good().await, Receiver::good().await);
    let id = house.endpoint(&failing).await;
    let hears = NewEndpoint { events: NEWS.to_vec(), ..house.new_endpoint(&listener.url()).await };
    house.add(hears.clone()).await;
    let bobs = Owner::User(house.user("bob").await);
    house.add(NewEndpoint { owner: bobs, url: stranger.url(), ..hears }).await;
    house.put("u1", "x").await;
    let seen = listener.wait_for(2).await;
    let mut kinds: Vec<_> = seen.iter().map(|one| one.kind().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["webhook.endpoint.failing", "webhook.endpoint.recovered"]);
    assert!(seen.iter().all(|one| one.body["data"]["endpoint"] == id.to_string().as_str()), "{seen:?}");
    assert_eq!((stranger.count(), failing.count()), (0, 5), "nobody else hears of it, nor the one itself");
}

/// Two that fail and hear of each other: one word about each change that was lost, and none about the words.
#[tokio::test]
async fn endpoints_that_fail_do_not_tell_of_each_other_for_ever() {
    let house = House::new(quick(&[0, 5])).await;
    let bad = Receiver::start(|_, _| Act::Answer(500, "")).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let events = [&NEWS[..], &[EventType::EventCreated]].concat();
        ids.push(house.add(NewEndpoint { events, ..house.new_endpoint(&bad.url()).await }).await.0.id);
    }
    house.put("u1", "x").await;
    for id in ids {
        // Two of the change, two of what became of the other's.
        house.wait_for_attempts(id, 4).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = house.context().store.events(0, 100).await.expect("the store reads").rows;
    let news = told.iter().filter(|event| EventType::of(&event.kind).is_of_endpoint()).count();
    assert_eq!(news, 2, "{told:?}");
}
