//! The storm through Kafka: the outbox is carried to a topic by the relay that the server starts, two workers read it as a group
//! and send, one of them comes late and one goes in the middle (two rebalances), and the server is killed as ever, as often the relay
//! alone. What must be true afterwards is the same.
//!
//! The cluster is librdkafka's mock, in this process; `KALENDS_TEST_BROKERS` names another one. `KALENDS_STORM_KILL_WORKERS=1` ends
//! the worker by SIGKILL instead of SIGTERM: what it had claimed is then sent again when its lease ends.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;

use crate::changes::{Client, Load};
use crate::load::Dice;
use crate::place::{self, Sea};
use crate::receivers::Manner;
use crate::{CALENDARS, FLEET, check, number};

/// Ends the relay that the server has started, and nothing else, by SIGKILL.
fn kill_relay(sea: &Sea) {
    let begun = Instant::now();
    let relay = loop {
        if let Some(relay) = sea.children().into_iter().find(|(_, command)| command.contains("relay")) {
            break relay.0;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the server starts its relay");
        std::thread::sleep(Duration::from_millis(10));
    };
    let pid = rustix::process::Pid::from_raw(relay).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}

/// A worker process. Killed when dropped.
struct Worker(Child);

impl Worker {
    fn start(sea: &Sea) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(sea.place.data.join("worker.log"));
        let mut command = sea.place.command();
        command.args(["worker", "--in-flight", "256"]).stdout(Stdio::null()).stderr(log.expect("a log can be written"));
        Self(command.spawn().expect("it runs"))
    }

    fn end(&mut self) {
        if number("KALENDS_STORM_KILL_WORKERS", 0) == 0 {
            let signal = rustix::process::Signal::TERM;
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).expect("it lives");
        } else {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_lost_through_kafka_with_two_workers_and_a_rebalance() {
    let (changes, kills) = (number("KALENDS_STORM_CHANGES", 300), number("KALENDS_STORM_KILLS", 1));
    let cluster = MockCluster::new(3).expect("it starts");
    let run = std::process::id();
    let (topic, dead) = (format!("changes-{run}"), format!("dead-{run}"));
    let brokers = std::env::var("KALENDS_TEST_BROKERS").unwrap_or_else(|_| {
        for name in [&topic, &dead] {
            cluster.create_topic(name, 6, 3).expect("it is made");
        }
        cluster.bootstrap_servers()
    });
    let mut sea = Sea::make(CALENDARS, place::STORM);
    // The relay's end is told as the error that it is.
    sea.harmless = Some("relay.ended");
    sea.kill();
    let settings = [
        ("KALENDS_BUS_KAFKA_BROKERS", brokers.as_str()),
        ("KALENDS_BUS_KAFKA_TOPIC", &topic),
        ("KALENDS_BUS_KAFKA_DEAD_LETTER_TOPIC", &dead),
        ("KALENDS_BUS_KAFKA_SESSION_TIMEOUT_SECONDS", "10"),
        ("KALENDS_WEBHOOKS_SEND", "workers"),
    ];
    sea.place.settings.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    sea.start();
    let manners: Vec<Manner> = FLEET.iter().flat_map(|(manner, count)| std::iter::repeat_n(*manner, *count)).collect();
    for (at, manner) in manners.iter().enumerate() {
        let heard = if at == 0 { sea.calendars.clone() } else { vec![sea.calendars[at % CALENDARS].clone()] };
        sea.add(*manner, &heard);
    }
    let load = Load::new("anna", &sea.place.password, changes);
    load.serve_at(Some(sea.address()));
    let begun = Instant::now();
    let mut first = Worker::start(&sea);
    let mut writing = Vec::new();
    for number in 0..crate::number("KALENDS_STORM_CLIENTS", 8) {
        let client = Client {
            load: load.clone(),
            user: "anna".to_owned(),
            calendars: sea.calendars.clone(),
            number,
            names: 20,
            pace: Duration::from_millis(crate::number("KALENDS_STORM_PACE_MS", 0)),
        };
        writing.push(sea.runtime.spawn(client.run()));
    }
    let reach = |count: u64| {
        while (load.count() as u64) < count.min(changes - 1) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    reach(changes / 4);
    let mut second = Worker::start(&sea);
    let mut dice = Dice(u64::from(run));
    for kill in 1..=kills {
        let at = |halves: u64| changes / 4 + changes * halves / (4 * (kills + 1));
        reach(at(2 * kill - 1) + dice.below(20));
        kill_relay(&sea);
        reach(at(2 * kill) + dice.below(20));
        load.serve_at(None);
        sea.kill();
        sea.start();
        load.serve_at(Some(sea.address()));
    }
    reach(changes * 3 / 4);
    // The group has both members by now, or is just dealing out anew: the more so when one goes.
    std::thread::sleep(Duration::from_secs(4));
    first.end();
    sea.wait_for_all(writing);
    load.faultless();
    let (written, made) = (begun.elapsed(), load.made());
    let truth = check::Truth::read(&sea);
    check::settle(&sea, &truth, Duration::from_secs(number("KALENDS_STORM_SECONDS", 180)));
    check::everything(&sea, &truth, &made);
    let deliveries: usize = sea.endpoints.iter().map(|endpoint| endpoint.receiver.effects()).sum();
    eprintln!(
        "through Kafka: {} changes acknowledged in {written:.1?} with {kills} kills of the server and {kills} of the relay; {deliveries} messages took effect at {} endpoints after {:.1?}",
        made.len(),
        sea.endpoints.len(),
        begun.elapsed(),
    );
    nothing_is_behind(&sea);
    second.end();
    let log = std::fs::read_to_string(sea.place.data.join("worker.log")).expect("they log");
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
}

/// An effect is durable before its offset is committed. What the leaving worker had in hand between the two comes again to
/// the other one, once the group has dealt out anew: it is late by that, not lost.
fn nothing_is_behind(sea: &Sea) {
    let begun = Instant::now();
    loop {
        let status = sea.json(&["bus", "status", "--json"]);
        if status.as_array().is_some_and(|groups| groups.iter().all(|group| group["lag_records"] == 0)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody takes the rest: {status}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Providers' events from a topic: taken in once however often they come; what cannot be read goes to the dead letters.
#[test]
fn events_of_providers_come_in_through_a_topic() {
    let cluster = MockCluster::new(1).expect("it starts");
    for name in ["in.changes", "in.dead", "in.meetings"] {
        cluster.create_topic(name, 2, 1).expect("it is made");
    }
    let mut sea = Sea::make(1, place::STORM);
    sea.place.done(&["provider", "add", "generic", "--user", "anna", "--calendar", "c0", "--name", "meetings"]);
    sea.kill();
    let settings = [
        ("KALENDS_BUS_KAFKA_BROKERS", cluster.bootstrap_servers()),
        ("KALENDS_BUS_KAFKA_TOPIC", "in.changes".to_owned()),
        ("KALENDS_BUS_KAFKA_DEAD_LETTER_TOPIC", "in.dead".to_owned()),
        ("KALENDS_BUS_KAFKA_INGEST_TOPIC", "in.meetings".to_owned()),
        ("KALENDS_BUS_KAFKA_INGEST_ACCOUNT", "generic/meetings".to_owned()),
    ];
    sea.place.settings.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    sea.start();
    let event = |id: &str, title: &str| {
        format!(
            r#"{{"provider":"generic","op":"created","id":"{id}","start":"2027-01-05T09:00:00Z","end":"2027-01-05T10:00:00Z","title":"{title}","updated_at":"2027-01-01T00:00:00Z","version":1}}"#
        )
    };
    let payloads = [event("m1", "One"), event("m1", "One"), "{\"op\":".to_owned(), event("m2", "Two")];
    sea.runtime.block_on(async {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let producer: rdkafka::producer::FutureProducer = config.create().expect("a producer");
        for payload in &payloads {
            let record = rdkafka::producer::FutureRecord::to("in.meetings").key("k").payload(payload);
            producer.send(record, Duration::from_secs(10)).await.expect("it is taken");
        }
    });
    let begun = Instant::now();
    let exported = loop {
        let text = sea.place.done(&["export", "anna/c0"]);
        if text.contains("SUMMARY:Two") {
            break text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come in: {text}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(exported.matches("BEGIN:VEVENT").count(), 2, "each once: {exported}");
}
