//! Layer 2: busy time (RFC 4791 §7.10, RFC 7953) as bitmask days and as exact periods (invariants F1–F4).

use crate::base::{Interval, Utc};
use crate::ical::CalendarObject;
use crate::recur::{Budget, BudgetExceeded};
use crate::zone::Zone;

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

/// What `object` contributes to the busy time of `window`, not yet merged: opaque events that are not cancelled, and
/// the periods of stored VFREEBUSYs (RFC 4791 §7.10). Clipped to the window.
///
/// # Errors
/// [`BudgetExceeded`] if its recurrences are more than `budget` allows.
pub fn contributions(
    object: &CalendarObject,
    window: Interval,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Vec<BusyPeriod>, BudgetExceeded> {
    let _ = (object, window, floating, budget);
    todo!()
}

/// Merges periods: within a kind overlapping and touching ones become one, and where kinds overlap the stronger one
/// wins (BUSY over BUSY-UNAVAILABLE over BUSY-TENTATIVE). Sorted by start.
pub fn merge(periods: Vec<BusyPeriod>) -> Vec<BusyPeriod> {
    let _ = periods;
    todo!()
}

/// The VCALENDAR with one VFREEBUSY that answers a free-busy-query (RFC 4791 §7.10): DTSTAMP is `now`, and
/// one FREEBUSY property for each kind.
pub fn vfreebusy(window: Interval, periods: &[BusyPeriod], now: Utc) -> String {
    let _ = (window, periods, now);
    todo!()
}
