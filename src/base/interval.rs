//! Points and stretches of absolute time.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use serde::{Deserialize, Serialize};

/// A point in time: seconds since 1970-01-01T00:00:00Z. iCalendar knows nothing finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Utc(pub i64);

impl Utc {
    /// The earliest point we compute with: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800);
    /// The latest point we compute with: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// This point moved by `seconds`, held between [`Utc::MIN`] and [`Utc::MAX`].
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds)).clamp(Self::MIN, Self::MAX)
    }

    /// The point as a date and time in UTC.
    pub fn naive(self) -> NaiveDateTime {
        DateTime::from_timestamp(self.clamp(Self::MIN, Self::MAX).0, 0)
            .expect("the years 1 to 9999 are in chrono's range")
            .naive_utc()
    }

    /// The point that `naive`, read as UTC, names.
    pub fn from_naive(naive: NaiveDateTime) -> Self {
        Self(naive.and_utc().timestamp()).clamp(Self::MIN, Self::MAX)
    }
}

/// Written as iCalendar writes UTC: `20261122T155700Z` (RFC 5545 §3.3.5, form #2).
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(16);
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl Utc {
    /// Writes it as iCalendar does behind what is in `out`.
    pub fn write(self, out: &mut String) {
        write_date_time(self.naive(), out);
        out.push('Z');
    }
}

/// Writes `20261122T155700` behind what is in `out`. Answers are full of times: this is several times faster than formatting.
pub(crate) fn write_date_time(local: NaiveDateTime, out: &mut String) {
    write_date(local.date(), out);
    out.push('T');
    let time = local.time();
    [time.hour(), time.minute(), time.second()].into_iter().for_each(|number| push_two(number, out));
}

/// Writes `20261122` behind what is in `out`. A year has at least four digits.
pub(crate) fn write_date(date: NaiveDate, out: &mut String) {
    match u32::try_from(date.year()) {
        Ok(year @ 0..=9999) => [year / 100, year % 100].into_iter().for_each(|number| push_two(number, out)),
        _ => out.push_str(&format!("{:04}", date.year())),
    }
    push_two(date.month(), out);
    push_two(date.day(), out);
}

fn push_two(number: u32, out: &mut String) {
    let digit = |digit: u32| char::from_digit(digit % 10, 10).unwrap_or('0');
    out.push(digit(number / 10));
    out.push(digit(number));
}

/// A half-open stretch of time, `start` included and `end` excluded. `start <= end`; an interval
/// of no length is a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// The first second in it.
    pub start: Utc,
    /// The first second no longer in it.
    pub end: Utc,
}

impl Interval {
    /// All of the time that we compute with.
    pub const ALL: Self = Self { start: Utc::MIN, end: Utc::MAX };

    /// The interval from `start` to `end`; an `end` before `start` makes a point at `start`.
    pub fn new(start: Utc, end: Utc) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Whether the two share at least one second. Points share nothing; the rules that let a
    /// point match a range (RFC 4791 §9.9) are in `filter`.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The part that both have, if there is one.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }

    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        self.end.0 - self.start.0
    }
}
