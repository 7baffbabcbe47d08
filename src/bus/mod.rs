//! Layer 6: the bus. It carries events of changes from the outbox to whoever acts on them, and events of providers in.
//!
//! The contract, which every transport keeps and `tests/bus` proves on each:
//! - Events of one key (a calendar) come in the order in which they were published.
//! - A consumer belongs to a group; each event is given to one member of a group at a time.
//! - [`Consumer::ack`] is called when the effect is durable. What was not acknowledged comes again, to this member or to
//!   another, after a crash, a lost connection or a rebalance: at least once, never skipped.
//! - What cannot be handled is buried with its reason ([`Consumer::bury`]) and no longer stands in the way.
//! - [`Consumer::lag`] says how far behind the group is, in records and in seconds; a paused consumer takes nothing and keeps
//!   its place.
//!
//! Two transports: [`embedded`], where the outbox itself is the queue and no other process is needed, and `kafka` (cargo
//! feature `kafka`). [`relay`] carries the outbox to a topic, [`consume`] drives a consumer, [`record`] is what an event
//! looks like on the wire. Who runs where: `docs/decisions/0010-kafka-in-processes-of-its-own.md`.

pub mod consume;
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod record;
pub mod relay;
mod tracker;

pub use tracker::Tracker;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::base::Utc;

/// Where a record lies: its partition and its place in it. Places of one partition grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The place in it.
    pub offset: i64,
}

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it lies.
    pub position: Position,
    /// The key it was published with: records with the same key stay in order.
    pub key: Bytes,
    /// What it says.
    pub payload: Bytes,
    /// Names and values beside it.
    pub headers: Vec<(String, Bytes)>,
    /// When what it tells of happened.
    pub at: Utc,
}

/// How far behind a consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Records that are not acknowledged.
    pub records: u64,
    /// When what the oldest of them tells of happened; `None` if there are none, or if it was not read yet.
    pub oldest: Option<Utc>,
}

/// Why a bus did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// It cannot be reached, or not now: try again.
    #[error("the bus cannot be reached: {0}")]
    Unavailable(String),
    /// The records belong to another member now: drop the work in hand, its new owner does it.
    #[error("the records were given to another consumer: {0}")]
    Lost(String),
    /// This client cannot go on: make a new one.
    #[error("the client of the bus has to be made anew: {0}")]
    Broken(String),
    /// The administrator has to change something first.
    #[error("{0}")]
    Config(String),
}

/// A member of a group of consumers.
pub trait Consumer: Send {
    /// The group's name.
    fn group(&self) -> &str;

    /// The next records, in order per key, at most `max`; empty if none came within `wait`. They stay in hand until they
    /// are acknowledged.
    fn next(&mut self, max: usize, wait: Duration) -> impl Future<Output = Result<Vec<Delivery>, BusError>> + Send;

    /// Says that the effects of these are durable. What it returns without an error does not come again.
    fn ack(&mut self, done: &[Position]) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Keeps what cannot be handled where people find it, durably, with the reason. It still has to be acknowledged.
    fn bury(&mut self, delivery: &Delivery, dead: &Dead) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Gives back what is in hand: it comes again from [`Consumer::next`].
    fn rewind(&mut self) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Stops or starts giving out records. The place is kept.
    fn set_paused(&mut self, paused: bool) -> Result<(), BusError>;

    /// How far behind it is.
    fn lag(&self) -> impl Future<Output = Lag> + Send;
}

/// Why something was buried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// What was wrong, without users' content.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
}

/// Waits, or until `stop` says that it is time to end.
pub async fn pause(wait: Duration, stop: &mut tokio::sync::watch::Receiver<bool>) {
    let ending = async {
        // Whoever could say so is gone: it is time as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let _ = tokio::time::timeout(wait, ending).await;
}
