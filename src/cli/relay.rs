//! `relay`: carries events to Kafka and providers' events from it. A process of its own, since librdkafka can take its
//! process down; the server starts it and starts it again (`supervise`).

use std::path::Path;

use super::args::Relay;
use super::config::Config;

/// Without Kafka there is nothing to carry.
#[cfg(not(feature = "kafka"))]
pub(super) async fn relay(_: &Path, config: &Config, _: Relay) -> Result<(), String> {
    config.kafka.check()?;
    Err("this kalends was built without Kafka: there is nothing to carry; build it with `--features kafka`".to_owned())
}

#[cfg(feature = "kafka")]
pub(super) use carry::{consume, layout, membership, relay};

#[cfg(feature = "kafka")]
mod carry {
    use std::time::Duration;

    use tokio::sync::watch;

    use super::super::args::Direction;
    use super::super::config::KafkaConfig;
    use super::super::link::Link;
    use super::super::supervise::begin;
    use super::{Config, Path, Relay};
    use crate::base::Secret;
    use crate::bus::consume::{self, Handler, Later, Refused, Terms};
    use crate::bus::kafka::{KafkaConsumer, KafkaPublisher, Layout, Membership, Settings, ensure};
    use crate::bus::{BusError, Delivery, pause, relay};

    /// How long to wait before a consumer is made anew.
    const ANEW: Duration = Duration::from_secs(2);

    /// Carries until a signal ends it.
    ///
    /// # Errors
    /// Why it cannot start or go on, for the administrator.
    pub(in super::super) async fn relay(data: &Path, config: &Config, arguments: Relay) -> Result<(), String> {
        let kafka = &config.kafka;
        if kafka.brokers.is_none() {
            return Err("there is nothing to carry: [bus.kafka] brokers is not set".to_owned());
        }
        let mut stopping = begin(config, arguments.metrics_listen.as_deref(), arguments.parent).await?;
        tracing::info!(topic = kafka.topic, ingest = kafka.ingest.topic, "relay.begins");
        let out = async {
            match arguments.only {
                Some(Direction::In) => Ok(()),
                _ => out(data, kafka, stopping.receiver()).await,
            }
        };
        let ingest = async {
            match (arguments.only, &kafka.ingest.topic) {
                (Some(Direction::Out), _) | (_, None) => Ok(()),
                (_, Some(topic)) => ingest(data, kafka, topic, stopping.receiver()).await,
            }
        };
        let done = tokio::try_join!(out, ingest).map(|_| ());
        stopping.end();
        done
    }

    async fn out(data: &Path, kafka: &KafkaConfig, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let settings = settings(kafka)?;
        let Some(partitions) = there(&settings, &kafka.topic, layout(kafka), &mut stop).await? else { return Ok(()) };
        tracing::info!(topic = kafka.topic, partitions, "relay.topic");
        let mut publisher = KafkaPublisher::new(settings, &kafka.topic);
        let mut source = Link::of_relay(data);
        relay::run(&mut source, &mut publisher, &mut stop).await.map_err(|error| error.to_string())
    }

    async fn ingest(
        data: &Path,
        kafka: &KafkaConfig,
        topic: &str,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let group = &kafka.ingest.group;
        let mut handler = Ingest { link: Link::new(data), group: group.clone() };
        let membership = membership(kafka, topic, group, None);
        let terms = Terms { tries_max: kafka.ingest.tries_max, batch: 100, ..Terms::default() };
        let never = Layout { create: false, ..layout(kafka) };
        consume(kafka, &membership, never, &mut handler, terms, &mut stop).await
    }

    /// Gives the server providers' events.
    struct Ingest {
        link: Link,
        group: String,
    }

    impl Handler for Ingest {
        async fn handle(&mut self, batch: &[Delivery]) -> Result<Vec<Refused>, Later> {
            let payloads = batch.iter().map(|delivery| delivery.payload.clone()).collect();
            self.link.ingest(payloads).await.map_err(|error| Later(error.to_string()))
        }

        async fn paused(&mut self) -> bool {
            self.link.paused(&self.group).await.unwrap_or(false)
        }
    }

    /// How the cluster is reached.
    fn settings(kafka: &KafkaConfig) -> Result<Settings, String> {
        Ok(Settings {
            brokers: kafka.brokers.clone().unwrap_or_default(),
            client_id: kafka.client_id.clone(),
            properties: Secret::new(kafka.librdkafka()?),
        })
    }

    /// How our own topics are made.
    pub(in super::super) fn layout(kafka: &KafkaConfig) -> Layout {
        Layout {
            create: kafka.create_topics,
            partitions: kafka.partitions,
            replication: kafka.replication,
            retention_hours: kafka.retention_hours,
        }
    }

    /// A member of `group` on `topic`.
    pub(in super::super) fn membership(
        kafka: &KafkaConfig,
        topic: &str,
        group: &str,
        instance: Option<String>,
    ) -> Membership {
        Membership {
            group: group.to_owned(),
            topic: topic.to_owned(),
            dead_topic: kafka.dead_letter_topic.clone(),
            instance,
            session_timeout: Duration::from_secs(kafka.session_timeout_seconds),
            poll_interval_max: Duration::from_secs(kafka.poll_interval_max_seconds.max(kafka.session_timeout_seconds)),
        }
    }

    /// Consumes until `stop` says so, with a new client whenever one has broken.
    pub(in super::super) async fn consume(
        kafka: &KafkaConfig,
        membership: &Membership,
        layout: Layout,
        handler: &mut impl Handler,
        terms: Terms,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        let settings = settings(kafka)?;
        let dead = self::layout(kafka);
        if there(&settings, &membership.topic, layout, stop).await?.is_none()
            || there(&settings, &membership.dead_topic, dead, stop).await?.is_none()
        {
            return Ok(());
        }
        while !*stop.borrow() {
            let mut consumer = KafkaConsumer::new(&settings, membership).map_err(|error| error.to_string())?;
            let ran = consume::run(&mut consumer, handler, terms, stop).await;
            consumer.close().await;
            match ran {
                Ok(()) => return Ok(()),
                Err(BusError::Config(why)) => return Err(why),
                Err(error) => tracing::error!(error = %error, group = membership.group, "bus.consumer_made_anew"),
            }
            pause(ANEW, stop).await;
        }
        Ok(())
    }

    /// Waits until the brokers can be asked for `topic`; `None` if it is time to end before.
    async fn there(
        settings: &Settings,
        topic: &str,
        layout: Layout,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<usize>, String> {
        while !*stop.borrow() {
            match ensure(settings, topic, layout).await {
                Ok(partitions) => return Ok(Some(partitions)),
                Err(BusError::Config(why)) => return Err(why),
                Err(error) => tracing::warn!(error = %error, topic, "bus.waiting_for_brokers"),
            }
            pause(ANEW, stop).await;
        }
        Ok(None)
    }
}
