//! What goes wrong with brokers and processes, on the mock cluster: nothing is lost, and order holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kalends::bus::kafka::{KafkaConsumer, KafkaPublisher, Layout, ensure};
use kalends::bus::relay::{self, Outbox, Source};
use kalends::bus::{BusError, Consumer, record};
use kalends::model::Event;
use kalends::service::outbox;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::sync::watch;

use super::bench::{Kafka, membership, settings};
use crate::contract::Bench;
use crate::support;

const TOPIC: &str = "kalends.changes";

fn cluster() -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let cluster = MockCluster::new(3).expect("it starts");
    cluster.create_topic(TOPIC, 4, 3).expect("it is made");
    cluster
}

/// Everything in the topic, each partition in its order: so many different events at least, in so many records at least.
async fn read_all(brokers: &str, at_least: usize, records: usize) -> Vec<Event> {
    let mut reader =
        KafkaConsumer::new(&settings(brokers), &membership("reader", TOPIC, "nowhere")).expect("it is made");
    let started = Instant::now();
    let mut events: Vec<Event> = Vec::new();
    let mut quiet = 0;
    let is_whole = |events: &[Event]| distinct(events) >= at_least && events.len() >= records;
    while !(is_whole(&events) && quiet >= 3) && started.elapsed() < Duration::from_secs(120) {
        let taken = reader.next(1_000, Duration::from_millis(300)).await.unwrap_or_default();
        quiet = if taken.is_empty() { quiet + 1 } else { 0 };
        events.extend(taken.iter().map(|one| record::decode(&one.payload).expect("an event")));
    }
    reader.close().await;
    events
}

fn distinct(events: &[Event]) -> usize {
    events.iter().map(|event| event.seq).collect::<std::collections::BTreeSet<_>>().len()
}

/// A calendar's events, each seen for the first time, stand in order.
fn assert_order(events: &[Event]) {
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for event in events.iter().filter(|event| seen.insert(event.seq)) {
        let before = newest.insert(event.collection.0, event.seq).unwrap_or(0);
        assert!(before < event.seq, "{before} before {}", event.seq);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_fail_lose_nothing() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as TOO_FEW, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as MOVED,
    };
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let (context, calendars) = support::context(10).await;
    support::change(&context, &calendars, 3_000).await;
    let bench = Arc::new(relay_bench(&brokers, context));
    let running = tokio::spawn(run_relay(Arc::clone(&bench), 3_000));
    cluster.request_errors(RDKafkaApiKey::Produce, &[MOVED, TOO_FEW, MOVED]);
    cluster.broker_down(1).expect("it goes down");
    tokio::time::sleep(Duration::from_millis(800)).await;
    cluster.broker_up(1).expect("it comes up");
    running.await.expect("it carries all over");
    let events = read_all(&brokers, 3_000, 3_000).await;
    assert_eq!(distinct(&events), 3_000);
    assert_order(&events);
}

/// The broker has forgotten the producer: librdkafka cannot go on with it, so it is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_failed_for_good_is_made_anew() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let (context, calendars) = support::context(10).await;
    support::change(&context, &calendars, 500).await;
    let bench = Arc::new(relay_bench(&brokers, context));
    run_relay(Arc::clone(&bench), 500).await;
    support::change(&bench.context, &calendars, 500).await;
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fatal; 2]);
    run_relay(bench, 1_000).await;
    let events = read_all(&brokers, 1_000, 1_000).await;
    assert_eq!(distinct(&events), 1_000);
    assert_order(&events);
}

/// The relay ends between publishing and storing its position: what it published comes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_repeats_and_does_not_skip() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let (context, calendars) = support::context(5).await;
    support::change(&context, &calendars, 200).await;
    let bench = relay_bench(&brokers, context);
    let (_stop, mut stopped) = watch::channel(false);
    let mut source = Dying(Outbox::new(Arc::clone(&bench.context), outbox::RELAY));
    let mut publisher = KafkaPublisher::new(settings(&brokers), TOPIC);
    let died = relay::run(&mut source, &mut publisher, &mut stopped).await;
    assert_eq!(died, Err(BusError::Config("dead".to_owned())));
    run_relay(Arc::new(bench), 200).await;
    let events = read_all(&brokers, 200, 400).await;
    assert_eq!((events.len(), distinct(&events)), (400, 200));
    assert_order(&events);
}

struct Dying(Outbox);

impl Source for Dying {
    async fn next(&mut self, after: Option<u64>, max: usize, wait: Duration) -> Result<Vec<Event>, BusError> {
        self.0.next(after, max, wait).await
    }

    async fn done(&mut self, _: u64) -> Result<(), BusError> {
        Err(BusError::Config("dead".to_owned()))
    }
}

/// A topic of somebody else's is used as it is; one that is missing is not made unless that is wanted.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_there_is_used_as_it_is() {
    let cluster = cluster();
    let settings = settings(&cluster.bootstrap_servers());
    let layout = Layout { create: true, partitions: 12, replication: 1, retention_hours: 1 };
    assert_eq!(ensure(&settings, TOPIC, layout).await, Ok(4));
    let missing = ensure(&settings, "missing", Layout { create: false, ..layout }).await;
    assert!(matches!(missing, Err(BusError::Config(why)) if why.contains("there is no topic missing")));
}

/// A relay over this context.
fn relay_bench(brokers: &str, context: Arc<kalends::service::Context>) -> RelayBench {
    RelayBench { context, brokers: brokers.to_owned() }
}

struct RelayBench {
    context: Arc<kalends::service::Context>,
    brokers: String,
}

/// Has a new relay carry over events until `count` are.
async fn run_relay(bench: Arc<RelayBench>, count: u64) {
    let (stop, mut stopped) = watch::channel(false);
    let mut source = Outbox::new(Arc::clone(&bench.context), outbox::RELAY);
    let mut publisher = KafkaPublisher::new(settings(&bench.brokers), TOPIC);
    let watching = async {
        let started = Instant::now();
        while outbox::join(&bench.context, outbox::RELAY).await.expect("it joins").position < count {
            assert!(started.elapsed() < Duration::from_secs(120), "the relay does not come to an end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _ = stop.send(true);
    };
    let (ran, ()) = tokio::join!(relay::run(&mut source, &mut publisher, &mut stopped), watching);
    ran.expect("it runs");
}

/// A member that is silent loses its partitions, and the other one gets what the first had in hand.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_member_had_in_hand_comes_to_another() {
    let cluster = cluster();
    for topic in ["lost.changes", "lost.dead"] {
        cluster.create_topic(topic, 6, 3).expect("it is made");
    }
    let brokers = cluster.bootstrap_servers();
    let mut bench = Kafka::new(&brokers, "lost.changes", "lost.dead").await;
    bench.publish(300).await;
    let mut first = bench.join("g").await;
    let mut taken = Vec::new();
    while taken.len() < 300 {
        taken.extend(first.next(300, Duration::from_millis(300)).await.expect("they come"));
    }
    let mut second = bench.join("g").await;
    let started = Instant::now();
    let mut again = Vec::new();
    while again.is_empty() && started.elapsed() < Duration::from_secs(60) {
        // The first one still looks for more, and so takes part in the rebalance; it has acknowledged nothing.
        let _ = first.next(1, Duration::from_millis(50)).await;
        again = second.next(300, Duration::from_millis(100)).await.unwrap_or_default();
    }
    assert!(!again.is_empty(), "the second one has got partitions");
    let positions: Vec<_> = taken.iter().map(|one| one.position).collect();
    assert!(matches!(first.ack(&positions).await, Err(BusError::Lost(_))), "what was taken away is not acknowledged");
    first.close().await;
    second.close().await;
}

/// A paused member that is given its partitions anew still says how much lies in them.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_known_to_who_is_paused_over_a_rebalance() {
    let cluster = cluster();
    for topic in ["paused.changes", "paused.dead"] {
        cluster.create_topic(topic, 6, 3).expect("it is made");
    }
    let mut bench = Kafka::new(&cluster.bootstrap_servers(), "paused.changes", "paused.dead").await;
    bench.publish(300).await;
    let mut first = bench.join("g").await;
    first.set_paused(true).expect("it pauses");
    let mut second = bench.join("g").await;
    second.set_paused(true).expect("it pauses");
    let started = Instant::now();
    let mut behind = 0;
    while behind != 300 && started.elapsed() < Duration::from_secs(60) {
        for member in [&mut first, &mut second] {
            // It may have been given a few before it was paused; they are in hand, and count.
            let _ = member.next(1, Duration::from_millis(50)).await;
        }
        behind = first.lag().await.records + second.lag().await.records;
    }
    assert_eq!(behind, 300);
    first.close().await;
    second.close().await;
}
