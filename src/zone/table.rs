//! A zone as a sorted table of changes of its offset.

use crate::rule::civil::{self, DAY};

/// Tables are made up to here (2129-01-01T00:00:00Z). Later years look at one of the 28 before it.
pub(super) const TABLE_END: i64 = 58_074 * DAY;
/// The first of the 28 years (no leap year left out, so all 14 kinds of year are among them).
pub(super) const CYCLE_FIRST: i64 = 2101;

/// One change: from `at` (UTC seconds) on, `offset` seconds east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub at: i64,
    pub offset: i32,
}

/// All offsets of a zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    name: Option<String>,
    /// When each change happens, in UTC seconds.
    at: Vec<i64>,
    /// The first local second that the offset behind each change holds for: times in a gap still take the
    /// offset before it, and so do times that happen twice (RFC 5545 §3.3.5).
    wall: Vec<i64>,
    /// The offset before the first change, then the one behind each.
    offsets: Vec<i32>,
    change_max: i64,
    repeats: bool,
}

impl Table {
    /// The zone that has the offset `initial` before the first of `changes`, which are in order.
    pub fn new(name: Option<String>, initial: i32, changes: Vec<Change>) -> Self {
        let mut table = Self {
            name,
            at: Vec::with_capacity(changes.len()),
            wall: Vec::with_capacity(changes.len()),
            offsets: vec![initial],
            change_max: 0,
            repeats: false,
        };
        let mut before = initial;
        for Change { at, offset } in changes {
            if offset == before {
                continue;
            }
            let wall = at + i64::from(before.max(offset));
            table.at.push(at);
            table.wall.push(wall.max(table.wall.last().copied().unwrap_or(wall)));
            table.offsets.push(offset);
            table.change_max = table.change_max.max(i64::from((offset - before).abs()));
            before = offset;
        }
        let cycle_start = civil::days(CYCLE_FIRST, 1, 1) * DAY;
        table.repeats = table.at.last().is_some_and(|at| *at >= cycle_start);
        table
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub fn change_max(&self) -> i64 {
        self.change_max
    }

    /// The offset at the UTC second `utc`.
    pub fn offset_at(&self, utc: i64) -> i32 {
        let utc = self.folded(utc);
        self.offsets[self.at.partition_point(|at| *at <= utc)]
    }

    /// The offset that the local second `local` is to be read with.
    pub fn offset_at_local(&self, local: i64) -> i32 {
        let local = self.folded(local);
        self.offsets[self.wall.partition_point(|wall| *wall <= local)]
    }

    /// Each change with the offset before it.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = (i32, Change)> {
        let behind = self.at.iter().zip(&self.offsets[1..]);
        self.offsets.iter().zip(behind).map(|(before, (at, offset))| (*before, Change { at: *at, offset: *offset }))
    }

    /// `second` moved from beyond the table's end into a year of the same kind, whose clocks change on the same days.
    fn folded(&self, second: i64) -> i64 {
        if second < TABLE_END || !self.repeats {
            return second;
        }
        let (year, _, _) = civil::civil(second.div_euclid(DAY));
        let first = civil::days(year, 1, 1);
        let alike = (CYCLE_FIRST..CYCLE_FIRST + 28).find(|candidate| {
            civil::is_leap(*candidate) == civil::is_leap(year)
                && civil::weekday(civil::days(*candidate, 1, 1)) == civil::weekday(first)
        });
        second - (first - civil::days(alike.unwrap_or(CYCLE_FIRST), 1, 1)) * DAY
    }
}
