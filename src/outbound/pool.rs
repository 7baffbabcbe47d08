//! Connections that wait for the next request to the same target.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::Sender;
use super::{Reach, Target};

/// Targets with waiting connections beyond which the pool is swept at each return.
const TARGETS_MAX: usize = 1_024;

/// What a connection may be used for: it was checked for this reach, this host and this port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    https: bool,
    host: String,
    port: u16,
    reach: Reach,
}

impl Key {
    pub fn new(target: &Target, reach: Reach) -> Self {
        Self { https: target.is_https(), host: target.host().to_owned(), port: target.port(), reach }
    }
}

struct Idle {
    sender: Sender,
    until: Instant,
}

/// The waiting connections.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

impl Pool {
    /// The connection that was used last, if one is still good.
    pub fn take(&self, key: &Key) -> Option<Sender> {
        let mut pool = self.idle.lock();
        let waiting = pool.get_mut(key)?;
        let now = Instant::now();
        while let Some(idle) = waiting.pop() {
            if idle.until > now && idle.sender.is_ready() {
                return Some(idle.sender);
            }
        }
        pool.remove(key);
        None
    }

    /// Keeps a connection for the next request.
    pub fn put(&self, key: Key, sender: Sender, keep: Duration, max: usize) {
        if sender.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut pool = self.idle.lock();
        if pool.len() >= TARGETS_MAX {
            sweep(&mut pool, now);
        }
        let waiting = pool.entry(key).or_default();
        if waiting.len() >= max {
            waiting.retain(|idle| idle.until > now && !idle.sender.is_closed());
        }
        if waiting.len() < max {
            waiting.push(Idle { sender, until: now + keep });
        }
    }

    /// Closes those that have waited for too long.
    pub fn sweep(&self) {
        sweep(&mut self.idle.lock(), Instant::now());
    }
}

fn sweep(pool: &mut HashMap<Key, Vec<Idle>>, now: Instant) {
    pool.retain(|_, waiting| {
        waiting.retain(|idle| idle.until > now && !idle.sender.is_closed());
        !waiting.is_empty()
    });
}
