//! Which events have come back through a bus that lies outside (Kafka): delivery hands out no event before.
//!
//! Partitions run ahead of each other, so events come back in any order; what is written down is a mark up to which all have come
//! and the ranges above it. That row is durable before offsets are committed (invariant D3). An event that does not come
//! back although later ones did was lost on the way (a topic kept too short, a dead letter): after a while it is
//! delivered from the outbox all the same, where it never was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Context, StoreError, outbox, rows};
use crate::model::Shelf;
use crate::store::{Batch, CommitError, Write};

const KEY: &[u8] = b"a";
const ROW_VERSION: u8 = 1;
/// Ranges above the mark that are kept; beyond, the oldest gap is closed.
const RANGES_MAX: usize = 100_000;

/// What has come: all up to the mark, and these ranges above it, in order, none touching another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Arrived {
    mark: u64,
    above: Vec<(u64, u64)>,
}

impl Arrived {
    /// Takes in numbers, in any order and any number of times.
    fn add(&mut self, numbers: &[u64]) {
        self.merge(numbers.iter().map(|number| (*number, *number)).collect());
    }

    /// All up to here need not come any more.
    fn pass(&mut self, number: u64) {
        self.mark = self.mark.max(number);
        self.merge(Vec::new());
    }

    fn merge(&mut self, mut ranges: Vec<(u64, u64)>) {
        ranges.append(&mut self.above);
        ranges.sort_unstable();
        for (first, last) in ranges {
            let end = self.above.last().map_or(self.mark, |range| range.1);
            if last <= end {
                continue;
            }
            if first <= end.saturating_add(1) {
                match self.above.last_mut() {
                    Some(range) => range.1 = last,
                    None => self.mark = last,
                }
            } else {
                self.above.push((first, last));
            }
        }
    }

    /// Takes what is missing below the first range for come. Says how many those were.
    fn close_gap(&mut self) -> u64 {
        if self.above.is_empty() {
            return 0;
        }
        let (first, last) = self.above.remove(0);
        let missing = first - self.mark - 1;
        self.mark = last;
        missing
    }
}

/// Keeps the row and tells delivery how far it may go.
pub struct Gate {
    context: Arc<Context>,
    state: Mutex<State>,
    gap_max: Duration,
}

struct State {
    arrived: Arrived,
    /// Since when something above the mark waits for it to move.
    blocked: Option<Instant>,
}

impl Gate {
    /// Opens the gate where it stood, or behind what was delivered already.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(context: Arc<Context>, gap_max: Duration) -> Result<Self, StoreError> {
        let row = context.store.row(Shelf::Bus, KEY).await?;
        let mut arrived: Arrived = match row {
            Some(row) => rows::decode(ROW_VERSION, &row, "arrived events")?,
            None => Arrived::default(),
        };
        let delivered = outbox::standing(&context, outbox::WEBHOOKS).await?.unwrap_or_default().position;
        arrived.pass(delivered);
        context.webhooks.set_ceiling(Some(arrived.mark));
        let blocked = (!arrived.above.is_empty()).then(Instant::now);
        Ok(Self { context, state: Mutex::new(State { arrived, blocked }), gap_max })
    }

    /// Up to here all have come.
    pub async fn mark(&self) -> u64 {
        self.state.lock().await.arrived.mark
    }

    /// These events have come. When it returns, that is durable.
    ///
    /// # Errors
    /// The store's; nothing was taken in.
    pub async fn arrived(&self, numbers: &[u64]) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        let mut next = state.arrived.clone();
        next.add(numbers);
        while next.above.len() > RANGES_MAX {
            report_gap(next.close_gap());
        }
        self.take_over(&mut state, next).await
    }

    /// Closes a gap that stays. To be called from time to time.
    ///
    /// # Errors
    /// The store's.
    pub async fn tend(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        if state.blocked.is_none_or(|since| since.elapsed() < self.gap_max) {
            return Ok(());
        }
        let mut next = state.arrived.clone();
        report_gap(next.close_gap());
        self.take_over(&mut state, next).await
    }

    async fn take_over(&self, state: &mut State, next: Arrived) -> Result<(), StoreError> {
        if next == state.arrived {
            return Ok(());
        }
        let row = rows::encode(ROW_VERSION, &next);
        let writes = vec![Write::PutRow(Shelf::Bus, KEY.to_vec(), row)];
        let batch = Batch { at: self.context.clock.now(), writes, ..Batch::default() };
        match self.context.store.commit(batch).await {
            Ok(_) | Err(CommitError::Failed { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
        let moved = next.mark > state.arrived.mark;
        state.blocked = match (next.above.is_empty(), moved) {
            (true, _) => None,
            (false, true) => Some(Instant::now()),
            (false, false) => state.blocked.or_else(|| Some(Instant::now())),
        };
        state.arrived = next;
        if moved {
            self.context.webhooks.set_ceiling(Some(state.arrived.mark));
        }
        Ok(())
    }
}

fn report_gap(missing: u64) {
    if missing > 0 {
        tracing::error!(
            missing,
            "bus.gap_closed: events did not come back through the topic; delivered from the outbox"
        );
        metrics::counter!("kalends_bus_gaps_total").increment(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_moves_when_all_below_have_come() {
        let mut arrived = Arrived::default();
        arrived.add(&[3, 2, 5, 5, 9]);
        assert_eq!(arrived, Arrived { mark: 0, above: vec![(2, 3), (5, 5), (9, 9)] });
        arrived.add(&[1, 4]);
        assert_eq!(arrived, Arrived { mark: 5, above: vec![(9, 9)] });
        arrived.add(&[2, 9, 7, 8]);
        assert_eq!(arrived, Arrived { mark: 5, above: vec![(7, 9)] });
        assert_eq!(arrived.close_gap(), 1);
        assert_eq!(arrived, Arrived { mark: 9, above: vec![] });
        assert_eq!(arrived.close_gap(), 0);
        arrived.add(&[12, 13, 15]);
        arrived.pass(12);
        assert_eq!(arrived, Arrived { mark: 13, above: vec![(15, 15)] });
    }

    #[test]
    fn any_order_ends_in_the_same() {
        let mut numbers: Vec<u64> = (1..=500).collect();
        let mut seed = 7_u64;
        for _ in 0..20 {
            for index in (1..numbers.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                numbers.swap(index, usize::try_from(seed >> 33).unwrap_or(0) % (index + 1));
            }
            let mut arrived = Arrived::default();
            for part in numbers.chunks(7) {
                arrived.add(part);
                arrived.add(part);
            }
            assert_eq!(arrived, Arrived { mark: 500, above: vec![] });
        }
    }
}
