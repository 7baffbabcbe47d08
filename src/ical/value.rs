//! Typed values of properties (RFC 5545 §3.3), without any zone arithmetic.

use chrono::{NaiveDate, NaiveDateTime};

/// A DATE or DATE-TIME (RFC 5545 §3.3.4, §3.3.5) in one of its four forms. This, and not an
/// absolute time, is what an event is stored as (invariant T1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DateOrTime {
    /// A whole day, in whatever zone the reader is.
    Date(NaiveDate),
    /// A local time in whatever zone the reader is (form #1).
    Floating(NaiveDateTime),
    /// A time in UTC (form #2).
    Utc(NaiveDateTime),
    /// A local time in the zone that the TZID names (form #3).
    Zoned(NaiveDateTime, String),
}

/// A DURATION (RFC 5545 §3.3.6). Weeks and days are nominal (they keep the time of day over a change of
/// the clock), hours, minutes and seconds are exact. Both have the same sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Duration {
    /// Nominal days; a week is seven.
    pub days: i64,
    /// Exact seconds.
    pub seconds: i64,
}

/// A PERIOD (RFC 5545 §3.3.9).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Period {
    /// When it starts.
    pub start: DateOrTime,
    /// When it ends, or how long it is.
    pub end: PeriodEnd,
}

/// The second half of a [`Period`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeriodEnd {
    /// The explicit end.
    At(DateOrTime),
    /// The length.
    After(Duration),
}
