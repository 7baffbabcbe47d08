//! Points and stretches of absolute time.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use serde::{Deserialize, Serialize};

/// Seconds in a UTC day.
const DAY_SECONDS: i64 = 86_400;

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
        f.write_str(ascii(&self.stamp()))
    }
}

impl Utc {
    /// Writes it as iCalendar does behind what is in `out`.
    pub fn write(self, out: &mut String) {
        out.push_str(ascii(&self.stamp()));
    }

    /// The ASCII characters that iCalendar writes for it.
    pub fn stamp(self) -> [u8; 16] {
        let local = self.naive();
        let mut stamp = *b"00000000T000000Z";
        stamp[..8].copy_from_slice(&date_stamp(local.date()));
        stamp[9..15].copy_from_slice(&time_stamp(local.hour(), local.minute(), local.second()));
        stamp
    }
}

/// [`Utc::stamp`] for times of which many are of the same day as the one before: its date is worked out once.
pub(crate) struct Stamps {
    day: i64,
    stamp: [u8; 16],
}

impl Stamps {
    pub fn new() -> Self {
        Self { day: i64::MIN, stamp: [0; 16] }
    }

    /// The stamp of `time`.
    #[inline]
    pub fn of(&mut self, time: Utc) -> [u8; 16] {
        let time = time.clamp(Utc::MIN, Utc::MAX);
        let day = time.0.div_euclid(DAY_SECONDS);
        if day == self.day {
            let second = u32::try_from(time.0.rem_euclid(DAY_SECONDS)).expect("a day has 86,400 seconds");
            self.stamp[9..15].copy_from_slice(&time_stamp(second / 3600, second / 60 % 60, second % 60));
        } else {
            (self.day, self.stamp) = (day, time.stamp());
        }
        self.stamp
    }
}

/// Writes `20261122T155700` behind what is in `out`. Answers are full of times: this is several times faster than formatting.
pub(crate) fn write_date_time(local: NaiveDateTime, out: &mut String) {
    write_date(local.date(), out);
    out.push('T');
    out.push_str(ascii(&time_stamp(local.hour(), local.minute(), local.second())));
}

/// Writes `20261122` behind what is in `out`. A year has at least four digits.
pub(crate) fn write_date(date: NaiveDate, out: &mut String) {
    match date.year() {
        0..=9999 => out.push_str(ascii(&date_stamp(date))),
        year => out.push_str(&format!("{year:04}{:02}{:02}", date.month(), date.day())),
    }
}

/// The digits of a date in the years 0 to 9999.
#[inline]
fn date_stamp(date: NaiveDate) -> [u8; 8] {
    let year = date.year().unsigned_abs();
    let ([a, b], [c, d]) = (two_digits(year / 100), two_digits(year));
    let ([e, f], [g, h]) = (two_digits(date.month()), two_digits(date.day()));
    [a, b, c, d, e, f, g, h]
}

#[inline]
fn time_stamp(hour: u32, minute: u32, second: u32) -> [u8; 6] {
    let ([a, b], [c, d], [e, f]) = (two_digits(hour), two_digits(minute), two_digits(second));
    [a, b, c, d, e, f]
}

/// The last two digits of `number`.
#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    let [low, ..] = (number % 100).to_le_bytes();
    [b'0' + low / 10, b'0' + low % 10]
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn formatted(time: Utc) -> String {
        time.naive().format("%Y%m%dT%H%M%SZ").to_string()
    }

    proptest! {
        #[test]
        fn times_are_written_as_they_are_formatted(
            times in prop::collection::vec(prop_oneof![Utc::MIN.0..=Utc::MAX.0, 0..200_000_i64], 1..20),
        ) {
            let mut stamps = Stamps::new();
            for time in times.into_iter().map(Utc) {
                prop_assert_eq!(time.to_string(), formatted(time));
                let stamp = stamps.of(time);
                prop_assert_eq!(ascii(&stamp), formatted(time));
            }
        }
    }

    #[test]
    fn the_first_and_last_times_are_written_and_what_is_beyond_them_as_they() {
        let mut stamps = Stamps::new();
        for (seconds, text) in
            [(i64::MIN, "00010101T000000Z"), (-1, "19691231T235959Z"), (i64::MAX, "99991231T235959Z")]
        {
            assert_eq!(Utc(seconds).to_string(), text);
            assert_eq!(ascii(&stamps.of(Utc(seconds))), text);
        }
    }

    #[test]
    fn a_year_of_five_digits_is_written_whole() {
        let mut out = String::new();
        write_date(NaiveDate::from_ymd_opt(12_026, 3, 4).unwrap(), &mut out);
        assert_eq!(out, "120260304");
    }
}
