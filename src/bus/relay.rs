//! Carries the outbox to a topic, in order. The position in the outbox is stored after the topic has the events: a crash
//! repeats, never skips (invariant D1).

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{BusError, pause};
use crate::base::{Clock, SystemClock};
use crate::model::Event;
use crate::service::Context;
use crate::service::outbox;

/// How many events are taken at once.
pub const BATCH: usize = 1_000;
/// How long to wait for events before looking around.
const WAIT: Duration = Duration::from_millis(500);
/// The first wait after something failed; doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often the outbox is looked at while nothing is in it.
const POLL: Duration = Duration::from_millis(20);

/// Where events come from: the outbox, in this process or in the server's.
pub trait Source: Send {
    /// The next events behind `after`, in order; empty if none came within `wait` or the relay is paused.
    fn next(
        &mut self,
        after: Option<u64>,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Event>, BusError>> + Send;

    /// Stores that all up to this number are carried over.
    fn done(&mut self, seq: u64) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// Where events go.
pub trait Publisher: Send {
    /// Publishes events in order and says how many of them, from the first on, are durable there. Fewer than all is no
    /// loss: the rest comes again.
    fn publish(&mut self, events: &[Event]) -> impl Future<Output = Result<usize, BusError>> + Send;
}

/// Carries events over until `stop` says so.
///
/// # Errors
/// [`BusError::Config`] alone; everything else is waited out.
pub async fn run(
    source: &mut impl Source,
    publisher: &mut impl Publisher,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), BusError> {
    // None: behind what is stored as carried over.
    let mut after = None;
    let mut delay = RETRY;
    while !*stop.borrow() {
        let trouble = match step(source, publisher, &mut after).await {
            Ok(()) => {
                delay = RETRY;
                continue;
            }
            Err(trouble @ BusError::Config(_)) => return Err(trouble),
            Err(trouble) => trouble,
        };
        // Whatever was done and not stored comes again.
        after = None;
        tracing::warn!(trouble = %trouble, again_in_ms = delay.as_millis() as u64, "relay.waiting");
        metrics::counter!("kalends_bus_relay_failures_total").increment(1);
        pause(delay, stop).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
    Ok(())
}

async fn step(
    source: &mut impl Source,
    publisher: &mut impl Publisher,
    after: &mut Option<u64>,
) -> Result<(), BusError> {
    let events = source.next(*after, BATCH, WAIT).await?;
    let now = SystemClock.now().0;
    metrics::gauge!("kalends_bus_relay_seen_seconds").set(now as f64);
    let age = events.first().map_or(0, |event| (now - event.at.0).max(0));
    metrics::gauge!("kalends_bus_relay_oldest_seconds").set(age as f64);
    if events.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let published = publisher.publish(&events).await?;
    let Some(last) = published.checked_sub(1).and_then(|index| events.get(index)) else {
        return Err(BusError::Unavailable("nothing could be published".to_owned()));
    };
    source.done(last.seq).await?;
    metrics::counter!("kalends_bus_relay_published_total").increment(published as u64);
    metrics::histogram!("kalends_bus_relay_seconds").record(started.elapsed().as_secs_f64());
    *after = Some(last.seq);
    Ok(())
}

/// The outbox of this process.
pub struct Outbox {
    context: Arc<Context>,
    group: String,
}

impl Outbox {
    /// The outbox, read as `group`.
    pub fn new(context: Arc<Context>, group: &str) -> Self {
        Self { context, group: group.to_owned() }
    }
}

impl Source for Outbox {
    async fn next(&mut self, after: Option<u64>, max: usize, wait: Duration) -> Result<Vec<Event>, BusError> {
        let failed = |error: crate::service::StoreError| BusError::Unavailable(error.to_string());
        let deadline = Instant::now() + wait;
        loop {
            let standing = outbox::join(&self.context, &self.group).await.map_err(failed)?;
            if !standing.paused {
                let page = self.context.store.events(after.unwrap_or(standing.position), max).await.map_err(failed)?;
                if !page.rows.is_empty() {
                    return Ok(page.rows);
                }
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn done(&mut self, seq: u64) -> Result<(), BusError> {
        let moved = outbox::advance(&self.context, &self.group, seq).await;
        moved.map_err(|error| BusError::Unavailable(error.to_string()))
    }
}
