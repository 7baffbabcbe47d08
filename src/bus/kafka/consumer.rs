//! A member of a group of consumers. Offsets are committed by hand, after the effect is durable. When partitions are taken
//! away, what was in hand of them is dropped: the new owner gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientContext, Message, Offset, Statistics, TopicPartitionList};

use super::client::{Settings, bus_error};
use super::producer::DeadLetters;
use crate::base::{Clock, SystemClock, Utc};
use crate::bus::{BusError, Consumer, Dead, Delivery, Lag, Position, Tracker};

/// How long a broker may take for a commit's neighbour calls.
const ANSWER: Duration = Duration::from_secs(10);

const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // A group without offsets, or with expired ones, begins at the oldest record: what it does is idempotent.
    ("auto.offset.reset", "earliest"),
    ("allow.auto.create.topics", "false"),
    ("statistics.interval.ms", "2000"),
    ("heartbeat.interval.ms", "3000"),
];

/// Of which group, on which topic.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Where what cannot be handled goes.
    pub dead_topic: String,
    /// A name that stays over restarts, so that a restart within the session's time moves no partitions.
    pub instance: Option<String>,
    /// After so long without a sign of life the member is taken for dead.
    pub session_timeout: Duration,
    /// After so long without asking for records, too.
    pub poll_interval_max: Duration,
}

/// What the callbacks of librdkafka write and the consumer reads.
struct Watch {
    group: String,
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracker: Tracker,
    assigned: BTreeSet<i32>,
    paused: bool,
    /// Partition to the offset behind the last one acknowledged by us.
    acked: BTreeMap<i32, i64>,
    /// Partition to (committed, end of the log), as the last statistics say.
    ends: BTreeMap<i32, (i64, i64)>,
    /// Since when records are known that nobody has read.
    behind_since: Option<Utc>,
}

impl State {
    fn behind(&self) -> u64 {
        let of = |(partition, (committed, end)): (&i32, &(i64, i64))| {
            let done = self.acked.get(partition).map_or(*committed, |acked| (*acked).max(*committed));
            u64::try_from(end - done).unwrap_or(0)
        };
        self.ends.iter().filter(|(partition, _)| self.assigned.contains(partition)).map(of).sum()
    }

    /// Remembers since when there is something that nobody has read, once more is known of the ends.
    fn look_behind(&mut self) {
        self.behind_since = (self.behind() > 0).then(|| self.behind_since.unwrap_or_else(|| SystemClock.now()));
    }
}

impl ClientContext for Watch {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        use rdkafka::config::RDKafkaLogLevel as Level;
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => tracing::warn!(facility, message, "kafka"),
            _ => tracing::debug!(facility, message, "kafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(group = self.group, error = %error, reason, "kafka.error");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let mut state = self.state.lock();
        for partition in topic.partitions.values().filter(|partition| partition.partition >= 0) {
            // Negative numbers mean that it is not known yet.
            let known = [partition.committed_offset, partition.lo_offset].into_iter().find(|offset| *offset >= 0);
            if partition.hi_offset >= 0 {
                state.ends.insert(partition.partition, (known.unwrap_or(0), partition.hi_offset));
            }
        }
        state.look_behind();
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        metrics::counter!("kalends_bus_rebalances_total", "group" => self.group.clone()).increment(1);
        if let Rebalance::Revoke(list) = rebalance {
            let partitions = numbers(list);
            tracing::info!(group = self.group, ?partitions, "bus.partitions_taken_away");
            let mut state = self.state.lock();
            state.tracker.forget(partitions.iter().copied());
            for partition in partitions {
                state.assigned.remove(&partition);
                state.acked.remove(&partition);
                state.ends.remove(&partition);
            }
        }
    }

    fn post_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            let partitions = numbers(list);
            tracing::info!(group = self.group, ?partitions, "bus.partitions_given");
            let mut state = self.state.lock();
            state.assigned.extend(partitions);
            if state.paused && client.pause(list).is_err() {
                tracing::warn!(group = self.group, "bus.not_paused");
            }
        }
    }
}

/// Of each partition: committed, or its begin where nothing is, and its end.
fn ends_of(
    client: &StreamConsumer<Watch>,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    let committed = client.committed_offsets(list, ANSWER)?;
    let ends = committed.elements().into_iter().map(|element| {
        let (begin, end) = client.fetch_watermarks(topic, element.partition(), ANSWER)?;
        let done = if let Offset::Offset(offset) = element.offset() { offset } else { begin };
        Ok((element.partition(), (done, end)))
    });
    ends.collect()
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect()
}

/// A consumer of a topic. It joins its group with the first call of [`Consumer::next`].
pub struct KafkaConsumer {
    client: Arc<StreamConsumer<Watch>>,
    watch: Arc<Watch>,
    dead: DeadLetters,
}

impl KafkaConsumer {
    /// A new member.
    ///
    /// # Errors
    /// [`BusError::Config`] if librdkafka does not take the settings.
    pub fn new(settings: &Settings, membership: &Membership) -> Result<Self, BusError> {
        let mut config = settings.client(CONSUMER);
        config
            .set("group.id", &membership.group)
            .set("session.timeout.ms", membership.session_timeout.as_millis().to_string())
            .set("max.poll.interval.ms", membership.poll_interval_max.as_millis().to_string());
        if let Some(instance) = &membership.instance {
            config.set("group.instance.id", instance);
        }
        let watch = Watch { group: membership.group.clone(), topic: membership.topic.clone(), state: Mutex::default() };
        let client: StreamConsumer<Watch> = config.create_with_context(watch).map_err(|error| bus_error(&error))?;
        client.subscribe(&[&membership.topic]).map_err(|error| bus_error(&error))?;
        let watch = Arc::clone(client.context());
        let dead = DeadLetters::new(settings.clone(), &membership.dead_topic);
        Ok(Self { client: Arc::new(client), watch, dead })
    }

    /// Leaves the group.
    pub async fn close(self) {
        // It waits for the brokers.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// The partitions that this member has.
    pub fn assigned(&self) -> Vec<i32> {
        self.watch.state.lock().assigned.iter().copied().collect()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StreamConsumer<Watch>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, BusError> {
        let client = Arc::clone(&self.client);
        let done = tokio::task::spawn_blocking(move || call(&client)).await;
        done.map_err(|error| BusError::Broken(error.to_string()))?.map_err(|error| bus_error(&error))
    }

    /// Asks the broker for the ends of partitions that were given while the member is paused: it fetches nothing, so no statistics
    /// know them, and a backlog would pass for none.
    async fn ask_for_ends(&self) -> Result<(), BusError> {
        let unknown: Vec<i32> = {
            let state = self.watch.state.lock();
            let unknown = state.assigned.iter().filter(|partition| !state.ends.contains_key(partition)).copied();
            if state.paused { unknown.collect() } else { Vec::new() }
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let topic = self.watch.topic.clone();
        let ends = self.blocking(move |client| ends_of(client, &topic, &unknown)).await?;
        let mut state = self.watch.state.lock();
        for (partition, ends) in ends {
            if state.assigned.contains(&partition) {
                state.ends.entry(partition).or_insert(ends);
            }
        }
        state.look_behind();
        Ok(())
    }

    fn list(&self, positions: &[Position], add: i64) -> Result<TopicPartitionList, BusError> {
        let mut list = TopicPartitionList::new();
        for Position { partition, offset } in positions {
            list.add_partition_offset(&self.watch.topic, *partition, Offset::Offset(offset + add))
                .map_err(|error| bus_error(&error))?;
        }
        Ok(list)
    }

    fn take(&self, message: &BorrowedMessage<'_>) -> Delivery {
        let delivery = delivery(message);
        self.watch.state.lock().tracker.give(delivery.position, delivery.at);
        delivery
    }
}

fn delivery(message: &BorrowedMessage<'_>) -> Delivery {
    let bytes = |part: Option<&[u8]>| Bytes::copy_from_slice(part.unwrap_or_default());
    let header = |header: rdkafka::message::Header<'_, &[u8]>| (header.key.to_owned(), bytes(header.value));
    let now = || SystemClock.now().0;
    Delivery {
        position: Position { partition: message.partition(), offset: message.offset() },
        key: bytes(message.key()),
        payload: bytes(message.payload()),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        at: Utc(message.timestamp().to_millis().map_or_else(now, |millis| millis.div_euclid(1000))),
    }
}

/// Errors that librdkafka reports in passing and mends itself.
fn passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::PartitionEOF | Code::NoOffset)
    )
}

impl Consumer for KafkaConsumer {
    fn group(&self) -> &str {
        &self.watch.group
    }

    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut taken = Vec::new();
        while taken.len() < max {
            // Once there is one, only those that lie ready are taken with it.
            let until = if taken.is_empty() { deadline } else { tokio::time::Instant::now() };
            match tokio::time::timeout_at(until, self.client.recv()).await {
                Err(_) => break,
                Ok(Ok(message)) => taken.push(self.take(&message)),
                Ok(Err(error)) if passing(&error) => {
                    tracing::info!(group = self.group(), error = %error, "bus.passing_trouble");
                }
                Ok(Err(KafkaError::MessageConsumptionFatal(code))) => return Err(BusError::Broken(code.to_string())),
                Ok(Err(error)) if taken.is_empty() => return Err(bus_error(&error)),
                Ok(Err(_)) => break,
            }
        }
        // A rebalance among the calls above has taken records away again.
        let state = self.watch.state.lock();
        taken.retain(|delivery| state.assigned.contains(&delivery.position.partition));
        Ok(taken)
    }

    async fn ack(&mut self, done: &[Position]) -> Result<(), BusError> {
        let (lost, committed) = {
            let mut state = self.watch.state.lock();
            let lost = done.iter().filter(|position| !state.tracker.done(**position)).count();
            (lost, state.tracker.take_done())
        };
        if !committed.is_empty() {
            let list = self.list(&committed, 1)?;
            self.blocking(move |client| client.commit(&list, CommitMode::Sync)).await?;
            let mut state = self.watch.state.lock();
            for Position { partition, offset } in committed {
                state.acked.insert(partition, offset + 1);
            }
            state.behind_since = (state.behind() > 0).then(|| state.behind_since).flatten();
        }
        match lost {
            0 => Ok(()),
            lost => Err(BusError::Lost(format!("{lost} of {} come again", done.len()))),
        }
    }

    async fn bury(&mut self, delivery: &Delivery, dead: &Dead) -> Result<(), BusError> {
        let Watch { group, topic, .. } = &*self.watch;
        self.dead.bury(topic, group, delivery, dead).await
    }

    async fn rewind(&mut self) -> Result<(), BusError> {
        let first = {
            let mut state = self.watch.state.lock();
            let first = state.tracker.first_in_hand();
            state.tracker.forget(first.iter().map(|position| position.partition));
            first
        };
        if first.is_empty() {
            return Ok(());
        }
        let list = self.list(&first, 0)?;
        match self.blocking(move |client| client.seek_partitions(list, ANSWER)).await {
            Ok(_) => Ok(()),
            // They belong to somebody else by now, who begins at the committed offset anyway.
            Err(BusError::Lost(_)) => Ok(()),
            Err(error) => Err(BusError::Broken(error.to_string())),
        }
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), BusError> {
        {
            let mut state = self.watch.state.lock();
            if state.paused == paused {
                return Ok(());
            }
            state.paused = paused;
        }
        let change = || {
            let assigned = self.client.assignment()?;
            if paused { self.client.pause(&assigned) } else { self.client.resume(&assigned) }
        };
        tracing::warn!(group = self.watch.group, paused, "bus.paused");
        change().map_err(|error| bus_error(&error))
    }

    async fn lag(&self) -> Lag {
        if let Err(error) = self.ask_for_ends().await {
            tracing::info!(group = self.watch.group, error = %error, "bus.ends_unknown");
        }
        let state = self.watch.state.lock();
        let (in_hand, oldest) = state.tracker.in_hand();
        let records = state.behind().max(in_hand as u64);
        Lag { records, oldest: if records == 0 { None } else { oldest.or(state.behind_since) } }
    }
}
