//! Writing to topics. The producer is idempotent and keeps order; when it has failed for good it is made anew and what
//! was not acknowledged is sent again, so records may come twice and never go missing.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer, PurgeConfig};

use super::client::{Settings, bus_error};
use crate::bus::relay::Publisher;
use crate::bus::{BusError, Dead, Delivery, Position, record};
use crate::model::Event;
use crate::service::webhooks::EventType;

/// How long a full queue is waited for before it is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    // A record that cannot be sent stops those behind it, so that none overtakes.
    ("enable.gapless.guarantee", "true"),
    ("acks", "all"),
    // As Java clients do it, so that a key lies in one partition whoever writes.
    ("partitioner", "murmur2_random"),
    ("compression.type", "lz4"),
    ("linger.ms", "2"),
    ("message.timeout.ms", "30000"),
];

fn producer(settings: &Settings) -> Result<FutureProducer, BusError> {
    settings.client(PRODUCER).create().map_err(|error| bus_error(&error))
}

/// Publishes events to a topic.
pub struct KafkaPublisher {
    settings: Settings,
    topic: String,
    producer: Option<FutureProducer>,
}

impl KafkaPublisher {
    /// A publisher to `topic`.
    pub fn new(settings: Settings, topic: &str) -> Self {
        Self { settings, topic: topic.to_owned(), producer: None }
    }

    /// The producer, made anew if there is none.
    fn producer(&mut self) -> Result<FutureProducer, BusError> {
        match &self.producer {
            Some(producer) => Ok(producer.clone()),
            None => {
                let made = producer(&self.settings)?;
                self.producer = Some(made.clone());
                Ok(made)
            }
        }
    }

    /// Gives the producer up: what it still holds is dropped, and comes again from the outbox.
    async fn rebuild(&mut self, producer: FutureProducer, why: &KafkaError) {
        let fatal = producer.client().fatal_error().map(|(code, _)| code.to_string());
        tracing::warn!(why = %why, fatal, "relay.producer_made_anew");
        metrics::counter!("kalends_bus_producer_rebuilds_total").increment(1);
        self.producer = None;
        // Ending it waits for its threads.
        let _ = tokio::task::spawn_blocking(move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            drop(producer);
        })
        .await;
    }
}

impl Publisher for KafkaPublisher {
    async fn publish(&mut self, events: &[Event]) -> Result<usize, BusError> {
        let producer = self.producer()?;
        let (mut sent, mut failure) = (Vec::with_capacity(events.len()), None);
        for event in events {
            match enqueue(&producer, &self.topic, event).await {
                Ok(delivery) => sent.push(delivery),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut durable = 0;
        for delivery in sent {
            match delivery.await {
                Ok(Ok(_)) => durable += 1,
                Ok(Err((error, _))) => {
                    failure = Some(error);
                    break;
                }
                Err(_) => {
                    failure = Some(KafkaError::Canceled);
                    break;
                }
            }
        }
        match failure {
            None => Ok(durable),
            Some(error) => {
                self.rebuild(producer, &error).await;
                if durable > 0 { Ok(durable) } else { Err(BusError::Unavailable(error.to_string())) }
            }
        }
    }
}

/// Puts an event into the producer's queue; waits while that is full, which is how a cluster that is down holds the relay
/// back.
async fn enqueue(producer: &FutureProducer, topic: &str, event: &Event) -> Result<DeliveryFuture, KafkaError> {
    let (key, payload) = (record::key(event), record::encode(event));
    let headers = OwnedHeaders::new()
        .insert(Header { key: "kalends-event", value: Some(&event.seq.to_string()) })
        .insert(Header { key: "kalends-type", value: Some(EventType::of(&event.kind).name()) });
    let made = FutureRecord::to(topic)
        .key(&key)
        .payload(payload.as_ref())
        .timestamp(event.at.0.saturating_mul(1000))
        .headers(headers);
    let mut waiting = made;
    loop {
        match producer.send_result(waiting) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => waiting = back,
            Err((error, _)) => return Err(error),
        }
        tokio::time::sleep(QUEUE_PAUSE).await;
    }
}

/// The topic of dead letters.
pub struct DeadLetters {
    settings: Settings,
    topic: String,
    producer: Option<FutureProducer>,
}

impl DeadLetters {
    /// Dead letters go to `topic`.
    pub fn new(settings: Settings, topic: &str) -> Self {
        Self { settings, topic: topic.to_owned(), producer: None }
    }

    /// Writes a record there as it was, with where it came from and why it is dead in its headers, and waits until the
    /// brokers have it.
    ///
    /// # Errors
    /// If they do not take it.
    pub async fn bury(&mut self, from: &str, group: &str, delivery: &Delivery, dead: &Dead) -> Result<(), BusError> {
        let producer = match &self.producer {
            Some(producer) => producer.clone(),
            None => self.producer.insert(producer(&self.settings)?).clone(),
        };
        let headers = dead_headers(from, group, delivery, dead);
        let made = FutureRecord::to(&self.topic).key(delivery.key.as_ref()).payload(delivery.payload.as_ref());
        match producer.send(made.headers(headers), Duration::from_secs(5)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                self.producer = None;
                Err(BusError::Unavailable(format!("the dead letter was not taken: {error}")))
            }
        }
    }
}

fn dead_headers(from: &str, group: &str, delivery: &Delivery, dead: &Dead) -> OwnedHeaders {
    let Position { partition, offset } = delivery.position;
    let ours = [
        ("kalends-dead-topic", from.to_owned()),
        ("kalends-dead-partition", partition.to_string()),
        ("kalends-dead-offset", offset.to_string()),
        ("kalends-dead-group", group.to_owned()),
        ("kalends-dead-reason", dead.reason.clone()),
        ("kalends-dead-tries", dead.tries.to_string()),
    ];
    let mut headers = OwnedHeaders::new();
    for (key, value) in &delivery.headers {
        headers = headers.insert(Header { key, value: Some(value.as_ref()) });
    }
    for (key, value) in &ours {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    headers
}
