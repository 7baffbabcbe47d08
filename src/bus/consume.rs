//! Drives a consumer: takes records, has them handled, acknowledges them when their effect is durable, buries what
//! cannot be handled after a few tries, and tells the metrics how it goes.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{BusError, Consumer, Dead, Delivery, Position, pause};
use crate::base::{Clock, SystemClock};

/// How a consumer is driven.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Records taken at once.
    pub batch: usize,
    /// How long to wait for records before looking around.
    pub wait: Duration,
    /// After so many tries a record is buried.
    pub tries_max: u32,
    /// How long to wait before the first retry; doubled up to [`Terms::retry_max`].
    pub retry: Duration,
    /// The longest wait between retries.
    pub retry_max: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            batch: 500,
            wait: Duration::from_millis(500),
            tries_max: 3,
            retry: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// A record that could not be handled: its index in the batch, and why, without users' content.
pub type Refused = (usize, String);

/// The whole batch has to wait: what it needs is not there now. Not the records' fault, so no try is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later(pub String);

/// What is done with records. It may be given the same record again, and must not do it twice.
pub trait Handler: Send {
    /// Makes the effect of all of `batch` durable, in order, and names those that are to blame themselves.
    fn handle(&mut self, batch: &[Delivery]) -> impl Future<Output = Result<Vec<Refused>, Later>> + Send;

    /// Whether an administrator has paused the group.
    fn paused(&mut self) -> impl Future<Output = bool> + Send;
}

/// Takes and handles records until `stop` says so.
///
/// # Errors
/// [`BusError::Broken`] and [`BusError::Config`]: the consumer has to be made anew, or the configuration mended. Everything else is
/// waited out.
pub async fn run(
    consumer: &mut impl Consumer,
    handler: &mut impl Handler,
    terms: Terms,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), BusError> {
    let mut gauges = Gauges::new(consumer.group());
    let mut delay = terms.retry;
    while !*stop.borrow() {
        consumer.set_paused(handler.paused().await)?;
        gauges.look(consumer).await;
        let trouble = match step(consumer, handler, terms, &mut gauges).await {
            Ok(()) => {
                delay = terms.retry;
                continue;
            }
            Err(trouble @ (BusError::Broken(_) | BusError::Config(_))) => return Err(trouble),
            Err(trouble) => trouble,
        };
        tracing::warn!(group = consumer.group(), trouble = %trouble, again_in_ms = delay.as_millis() as u64, "bus.waiting");
        consumer.rewind().await?;
        pause(delay, stop).await;
        delay = (delay * 2).min(terms.retry_max);
    }
    Ok(())
}

/// One batch, from taking it to acknowledging it.
async fn step(
    consumer: &mut impl Consumer,
    handler: &mut impl Handler,
    terms: Terms,
    gauges: &mut Gauges,
) -> Result<(), BusError> {
    let batch = consumer.next(terms.batch, terms.wait).await?;
    if batch.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let mut refused = attempt(handler, &batch).await?;
    for _ in 1..terms.tries_max {
        if refused.is_empty() {
            break;
        }
        tokio::time::sleep(terms.retry).await;
        let again: Vec<Delivery> = refused.iter().map(|(delivery, _)| delivery.clone()).collect();
        refused = attempt(handler, &again).await?;
    }
    for (delivery, reason) in refused {
        bury(consumer, &delivery, Dead { reason, tries: terms.tries_max }).await?;
    }
    metrics::histogram!("kalends_bus_handler_seconds", "group" => gauges.group.clone())
        .record(started.elapsed().as_secs_f64());
    let done: Vec<Position> = batch.iter().map(|delivery| delivery.position).collect();
    match consumer.ack(&done).await {
        Ok(()) => gauges.acked(),
        Err(BusError::Lost(why)) => tracing::info!(group = consumer.group(), why, "bus.taken_away"),
        Err(error) => return Err(error),
    }
    metrics::counter!("kalends_bus_records_total", "group" => gauges.group.clone()).increment(done.len() as u64);
    Ok(())
}

/// Has `batch` handled and says what was refused.
async fn attempt(handler: &mut impl Handler, batch: &[Delivery]) -> Result<Vec<(Delivery, String)>, BusError> {
    let refused = handler.handle(batch).await.map_err(|Later(why)| BusError::Unavailable(why))?;
    let of = |(index, reason): Refused| batch.get(index).map(|delivery| (delivery.clone(), reason));
    Ok(refused.into_iter().filter_map(of).collect())
}

async fn bury(consumer: &mut impl Consumer, delivery: &Delivery, dead: Dead) -> Result<(), BusError> {
    consumer.bury(delivery, &dead).await?;
    let Position { partition, offset } = delivery.position;
    let group = consumer.group().to_owned();
    tracing::error!(group, partition, offset, tries = dead.tries, reason = dead.reason, "bus.dead_letter");
    metrics::counter!("kalends_bus_dead_letters_total", "group" => group).increment(1);
    Ok(())
}

/// What the metrics are told of a group, about once a second.
struct Gauges {
    group: String,
    looked: Option<Instant>,
    acked: Instant,
}

impl Gauges {
    const PAUSE: Duration = Duration::from_secs(1);

    fn new(group: &str) -> Self {
        // From the start on, so that an alert on a missing series is right.
        metrics::counter!("kalends_bus_dead_letters_total", "group" => group.to_owned()).increment(0);
        metrics::counter!("kalends_bus_rebalances_total", "group" => group.to_owned()).increment(0);
        Self { group: group.to_owned(), looked: None, acked: Instant::now() }
    }

    fn acked(&mut self) {
        self.acked = Instant::now();
    }

    async fn look(&mut self, consumer: &impl Consumer) {
        if self.looked.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        self.looked = Some(Instant::now());
        let lag = consumer.lag().await;
        if lag.records == 0 {
            self.acked = Instant::now();
        }
        let age = lag.oldest.map_or(0, |oldest| (SystemClock.now().0 - oldest.0).max(0));
        let set = |name: &'static str, value: f64| metrics::gauge!(name, "group" => self.group.clone()).set(value);
        set("kalends_bus_consumer_lag_records", lag.records as f64);
        set("kalends_bus_oldest_unprocessed_seconds", age as f64);
        set("kalends_bus_last_commit_age_seconds", self.acked.elapsed().as_secs_f64());
        metrics::gauge!("kalends_bus_consumer_seen_seconds", "group" => self.group.clone())
            .set(SystemClock.now().0 as f64);
    }
}
