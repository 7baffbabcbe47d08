//! Layer 2: which occurrences a calendar object has in a window (RFC 5545 §3.8.5, RFC 7529): RRULE, RDATE,
//! EXDATE, overrides and THISANDFUTURE. Bounded by the window, not by the age of the series (T4).
//!
//! - [`Series::new`] compiles an object; [`Series::occurrences`], [`Series::each`] and [`Series::touches`] look
//!   into a window, [`Series::span`] tells from when to when there can be anything at all.
//! - [`split`] makes two objects of one ("this and following"); [`stretches`] takes RANGE=THISANDFUTURE apart.
//!
//! How a rule finds its days is in [`crate::rule`], what a TZID means in [`crate::zone`]. An instance is known by
//! its *key*: the absolute time of the start that the rule gave it, before any override moved it.

mod compile;
mod expand;
mod length;
mod split;
mod stretch;
#[cfg(test)]
mod tests;

pub use crate::rule::{Budget, BudgetExceeded};
pub use compile::Series;
pub use split::split;
pub use stretch::{Stretch, stretches};

use crate::base::{Interval, Utc};
use crate::ical::DateOrTime;

/// One occurrence of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// From when to when. For a VEVENT by the rules of RFC 5545 §3.6.1 (a DATE without an end lasts a day, a
    /// DATE-TIME without one has no length); for a VTODO from DTSTART to DUE (or DURATION), a point at
    /// whichever of them there is; for a VJOURNAL its day or point.
    pub interval: Interval,
    /// Its RECURRENCE-ID: the start that the rule gave it, before any override moved it, in the
    /// form of the master's DTSTART.
    pub recurrence_id: DateOrTime,
    /// The start as local time in the form of its component's DTSTART.
    pub start: DateOrTime,
    /// Which component of `calendar.components` describes it: the master or an override.
    pub component: usize,
}

/// Checks that `value` is an RRULE value that can be followed.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn check_rule(value: &str) -> Result<(), String> {
    value.parse::<crate::rule::Rule>().map(|_| ()).map_err(|error| error.to_string())
}

/// The span in which an object can have anything: from its first start to its last end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The start of the first occurrence.
    pub start: Utc,
    /// The end of the last; `None` if the series never ends.
    pub end: Option<Utc>,
}
