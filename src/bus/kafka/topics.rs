//! Topics: made if they are missing and that is wanted, and otherwise used as they are.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Settings, bus_error};
use crate::bus::BusError;

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How a topic is made if it is missing. One that is there is never changed: it may be another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whether to make it at all.
    pub create: bool,
    /// In how many partitions.
    pub partitions: u16,
    /// On how many brokers each; zero leaves that to the brokers.
    pub replication: u16,
    /// How long records are kept, in hours; zero leaves that to the brokers.
    pub retention_hours: u64,
}

/// Sees to it that `topic` is there, and says how many partitions it has.
///
/// # Errors
/// [`BusError::Config`] if it is missing and not to be made, or must not be made; [`BusError::Unavailable`] if the brokers cannot
/// be reached.
pub async fn ensure(settings: &Settings, topic: &str, layout: Layout) -> Result<usize, BusError> {
    if let Some(partitions) = partitions(settings, topic).await? {
        return Ok(partitions);
    }
    if !layout.create {
        return Err(BusError::Config(format!(
            "there is no topic {topic}: have it made, or set [bus.kafka] create_topics = true"
        )));
    }
    create(settings, topic, layout).await?;
    tracing::info!(topic, partitions = layout.partitions, "bus.topic_made");
    // The brokers need a moment until all of them know it.
    for _ in 0..50 {
        if let Some(partitions) = partitions(settings, topic).await? {
            return Ok(partitions);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(BusError::Unavailable(format!("the topic {topic} was made and does not appear")))
}

/// How many partitions `topic` has; `None` if it is not there.
async fn partitions(settings: &Settings, topic: &str) -> Result<Option<usize>, BusError> {
    // A consumer asks without having the topic made by asking.
    let config = settings.client(&[("allow.auto.create.topics", "false")]);
    let topic = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(Some(&topic), ANSWER)?;
        let found = metadata.topics().iter().find(|known| known.name() == topic);
        Ok(found.filter(|known| known.error().is_none()).map(|known| known.partitions().len()))
    });
    let found = asked.await.map_err(|error| BusError::Broken(error.to_string()))?;
    found.map(|count| count.filter(|count| *count > 0)).map_err(|error| bus_error(&error))
}

async fn create(settings: &Settings, topic: &str, layout: Layout) -> Result<(), BusError> {
    let admin: AdminClient<DefaultClientContext> = settings.client(&[]).create().map_err(|error| bus_error(&error))?;
    let replication = match layout.replication {
        0 => -1,
        count => i32::from(count),
    };
    let retention = (layout.retention_hours > 0).then(|| (layout.retention_hours * 3_600_000).to_string());
    let mut new = NewTopic::new(topic, i32::from(layout.partitions), TopicReplication::Fixed(replication));
    if let Some(retention) = &retention {
        new = new.set("retention.ms", retention);
    }
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    let results = admin.create_topics([&new], &options).await.map_err(|error| bus_error(&error))?;
    match results.into_iter().next() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(BusError::Config(format!(
            "the brokers do not make the topic {topic} ({code}): have it made, or change [bus.kafka] partitions and replication"
        ))),
        _ => Ok(()),
    }
}
