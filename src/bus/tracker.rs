//! What a consumer has in hand, and how far it may say that everything is done.

use std::collections::{BTreeMap, BTreeSet};

use super::Position;
use crate::base::Utc;

/// The records in hand, by partition. Records may be acknowledged in any order; a partition is done up to the first
/// one that is not.
#[derive(Debug, Default)]
pub struct Tracker {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    in_hand: BTreeMap<i64, Utc>,
    acked: BTreeSet<i64>,
    /// The last offset up to which all are done.
    done: Option<i64>,
}

impl Tracker {
    /// A record was given out.
    pub fn give(&mut self, position: Position, at: Utc) {
        self.partitions.entry(position.partition).or_default().in_hand.insert(position.offset, at);
    }

    /// A record is done. `false` if it is not in hand: its partition was taken away meanwhile.
    pub fn done(&mut self, position: Position) -> bool {
        let Some(partition) = self.partitions.get_mut(&position.partition) else { return false };
        if partition.in_hand.remove(&position.offset).is_none() {
            return false;
        }
        partition.acked.insert(position.offset);
        let first_open = partition.in_hand.keys().next().copied().unwrap_or(i64::MAX);
        let open = partition.acked.split_off(&first_open);
        if let Some(last) = std::mem::replace(&mut partition.acked, open).last() {
            partition.done = Some(*last);
        }
        true
    }

    /// The last offset of each partition up to which all are done and that was not asked for before.
    pub fn take_done(&mut self) -> Vec<Position> {
        let done = |(partition, state): (&i32, &mut Partition)| {
            state.done.take().map(|offset| Position { partition: *partition, offset })
        };
        self.partitions.iter_mut().filter_map(done).collect()
    }

    /// These partitions belong to somebody else now.
    pub fn forget(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.partitions.remove(&partition);
        }
    }

    /// The first record in hand of each partition: where to go on if all are to come again.
    pub fn first_in_hand(&self) -> Vec<Position> {
        let first = |(partition, state): (&i32, &Partition)| {
            state.in_hand.keys().next().map(|offset| Position { partition: *partition, offset: *offset })
        };
        self.partitions.iter().filter_map(first).collect()
    }

    /// How many records are in hand, and the time of the oldest.
    pub fn in_hand(&self) -> (usize, Option<Utc>) {
        let count = self.partitions.values().map(|partition| partition.in_hand.len()).sum();
        (count, self.partitions.values().flat_map(|partition| partition.in_hand.values().copied()).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> Position {
        Position { partition, offset }
    }

    #[test]
    fn a_partition_is_done_up_to_the_first_record_that_is_not() {
        let mut tracker = Tracker::default();
        for offset in [3, 4, 5, 9] {
            tracker.give(at(0, offset), Utc(offset));
        }
        tracker.give(at(1, 1), Utc(100));
        assert!(tracker.done(at(0, 5)) && tracker.done(at(0, 4)));
        assert_eq!(tracker.take_done(), [], "3 is still open");
        assert!(tracker.done(at(0, 3)));
        assert_eq!(tracker.take_done(), [at(0, 5)]);
        assert_eq!(tracker.take_done(), [], "once");
        assert!(!tracker.done(at(0, 3)), "it is no longer in hand");
        assert_eq!(tracker.in_hand(), (2, Some(Utc(9))));
        assert_eq!(tracker.first_in_hand(), [at(0, 9), at(1, 1)]);
    }

    #[test]
    fn what_is_taken_away_is_not_done() {
        let mut tracker = Tracker::default();
        tracker.give(at(0, 1), Utc(1));
        tracker.give(at(1, 1), Utc(1));
        tracker.forget([0]);
        assert!(!tracker.done(at(0, 1)));
        assert!(tracker.done(at(1, 1)));
        assert_eq!(tracker.take_done(), [at(1, 1)]);
    }
}
