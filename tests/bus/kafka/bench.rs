//! Kafka as a transport under test: changes of a store, carried over by the relay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kalends::base::{CollectionId, Secret};
use kalends::bus::Consumer;
use kalends::bus::kafka::{KafkaConsumer, KafkaPublisher, Layout, Membership, Settings, ensure};
use kalends::bus::relay::{self, Outbox};
use kalends::service::{Context, outbox};
use tokio::sync::watch;

use crate::contract::Bench;
use crate::support;

pub fn settings(brokers: &str) -> Settings {
    // Small waits, so that faults show within a test's time.
    let properties = [("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "200"), ("retry.backoff.ms", "50")];
    Settings {
        brokers: brokers.to_owned(),
        client_id: "kalends-test".to_owned(),
        properties: Secret::new(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()),
    }
}

pub fn membership(group: &str, topic: &str, dead_topic: &str) -> Membership {
    Membership {
        group: group.to_owned(),
        topic: topic.to_owned(),
        dead_topic: dead_topic.to_owned(),
        instance: None,
        session_timeout: Duration::from_secs(10),
        poll_interval_max: Duration::from_secs(60),
    }
}

pub struct Kafka {
    pub context: Arc<Context>,
    pub settings: Settings,
    calendars: Vec<CollectionId>,
    topic: String,
    dead_topic: String,
    published: usize,
}

impl Kafka {
    pub async fn new(brokers: &str, topic: &str, dead_topic: &str) -> Self {
        let (context, calendars) = support::context(20).await;
        let settings = settings(brokers);
        let layout = Layout { create: true, partitions: 6, replication: 0, retention_hours: 1 };
        for topic in [topic, dead_topic] {
            assert_eq!(ensure(&settings, topic, layout).await, Ok(6));
        }
        let (topic, dead_topic) = (topic.to_owned(), dead_topic.to_owned());
        Self { context, settings, calendars, topic, dead_topic, published: 0 }
    }

    /// Has the relay carry over everything there is.
    pub async fn relay(&self) {
        let (stop, mut stopped) = watch::channel(false);
        let mut source = Outbox::new(Arc::clone(&self.context), outbox::RELAY);
        let mut publisher = KafkaPublisher::new(self.settings.clone(), &self.topic);
        let running = relay::run(&mut source, &mut publisher, &mut stopped);
        let watching = async {
            while outbox::join(&self.context, outbox::RELAY).await.expect("it joins").position < self.published as u64 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let _ = stop.send(true);
        };
        let (ran, ()) = tokio::join!(running, watching);
        ran.expect("the relay runs");
    }
}

impl Bench for Kafka {
    type Consumer = KafkaConsumer;

    async fn publish(&mut self, count: usize) {
        support::change(&self.context, &self.calendars, count).await;
        self.published += count;
        self.relay().await;
    }

    async fn join(&mut self, group: &str) -> KafkaConsumer {
        KafkaConsumer::new(&self.settings, &membership(group, &self.topic, &self.dead_topic)).expect("it is made")
    }

    async fn leave(&mut self, member: KafkaConsumer) {
        member.close().await;
    }

    async fn dead_letters(&mut self, group: &str, count: usize) -> Vec<String> {
        let membership = membership("who-looks", &self.dead_topic, "nowhere");
        let mut reader = KafkaConsumer::new(&self.settings, &membership).expect("it is made");
        let mut reasons = Vec::new();
        // Until it has joined, and then long enough to see everything.
        let (started, mut rounds) = (Instant::now(), 0);
        while rounds < 15 || reasons.len() < count {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "of {count} there are {} after {rounds} rounds",
                reasons.len()
            );
            rounds += usize::from(!reader.assigned().is_empty());
            for letter in reader.next(100, Duration::from_millis(200)).await.unwrap_or_default() {
                let header =
                    |name: &str| letter.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                assert_eq!(header("kalends-dead-topic").as_deref(), Some(self.topic.as_bytes()));
                assert!(header("kalends-event").is_some(), "its own headers are kept");
                if header("kalends-dead-group").as_deref() == Some(group.as_bytes()) {
                    let reason = header("kalends-dead-reason").expect("it has one");
                    reasons.push(String::from_utf8_lossy(&reason).into_owned());
                }
            }
        }
        reader.close().await;
        reasons
    }

    fn published(&self) -> usize {
        self.published
    }
}
