//! The order of what one source said: which of two states of the same object is the newer one.
//!
//! Each provider can be trusted for something else; all of it fits into one totally ordered key. Our own clock and the
//! time of arrival are never part of it (except for edits made here, whose source is this server).

use serde::{Deserialize, Serialize};

/// Our counter of pulls of one calendar, given when a pull STARTS: a pull that began earlier and ended later keeps its lower
/// number, and that is how its late answers are told from fresh ones. 0 for what was not pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// How new a state is. Compared only between states of the same source object; the parts in the order in which they count:
///
/// | provider | generation | stamp | rank |
/// |---|---|---|---|
/// | Google | of the pull | `updated` in µs | number in the etag |
/// | Microsoft | of the delta round | `lastModifiedDateTime` in 100 ns | 0 |
/// | Zoom (a field each) | 0 | `event_ts` in ms | 1 for a deletion, else 0 |
/// | Slack | 0 | `rev` | posted 0, updated 1, deleted 2 |
/// | feed | of the fetch | 0 | 0 |
/// | CalDAV | of the synchronisation | 0 | 0 |
/// | generic | 0 | `version`, else `updated_at` in ms | 1 for a deletion, else 0 |
/// | local edit | 0 | our clock in ms | a counter |
///
/// The stamp is also what is compared between two copies at the same provider (two accounts of one person).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Version {
    /// The pull it came with.
    pub generation: Generation,
    /// The provider's own time or number.
    pub stamp: i64,
    /// What decides within one stamp.
    pub rank: u64,
    /// A hash of the content, so that the order is total: set by [`super::SourceRecord::whole`] and `partial`.
    pub tie: u64,
}

impl Version {
    /// A version; its tie is set when it meets its content.
    pub fn new(generation: Generation, stamp: i64, rank: u64) -> Self {
        Self { generation, stamp, rank, tie: 0 }
    }

    /// The version of what says nothing but that an object is gone: it is as new as the pull it came with and newer than
    /// anything else of that pull.
    pub fn of_generation(generation: Generation) -> Self {
        Self { generation, stamp: i64::MAX, rank: u64::MAX, tie: 0 }
    }

    /// The version of what is not pulled: a webhook's own time or number.
    pub fn of_stamp(stamp: i64) -> Self {
        Self::new(Generation(0), stamp, 0)
    }

    /// The same with another rank.
    #[must_use]
    pub fn ranked(self, rank: u64) -> Self {
        Self { rank, ..self }
    }
}
