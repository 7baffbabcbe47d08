//! Layer 2: busy time (RFC 4791 §7.10, RFC 7953) as bitmask days and as exact periods (invariants F1–F4).
//!
//! [`contributions`] says what one object is busy with; [`CalendarMask`] holds what a whole calendar is busy with in a
//! range of days, as bits; [`common_free`] finds meetings on many masks; [`vfreebusy`] writes the answer. Not here:
//! who may ask (`access`), which calendars count and how long a mask stays valid (`service`).

mod availability;
mod contributions;
mod mask;
mod periods;
mod search;
mod text;

pub use availability::unavailable;
pub use contributions::{contributions, contributions_of_series};
pub use mask::{Answer, CalendarMask, DAY_SLOTS, DayMask, SLOT_SECONDS, periods_of};
pub use periods::merge;
pub use search::{Blocking, common_free, free_slots};
pub use text::{BusyTime, vfreebusy, vfreebusy_component};

use crate::base::Interval;

/// FBTYPE (RFC 5545 §3.2.9), FREE left out: free is what nothing covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusyType {
    /// BUSY
    Busy,
    /// BUSY-UNAVAILABLE
    Unavailable,
    /// BUSY-TENTATIVE
    Tentative,
}

/// A stretch of busy time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusyPeriod {
    /// From when to when.
    pub interval: Interval,
    /// Which kind.
    pub kind: BusyType,
}
