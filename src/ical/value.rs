//! Typed values of properties (RFC 5545 §3.3), without any zone arithmetic.
//!
//! Reading is liberal in what is harmless: surrounding blanks, lower-case letters, a leap second, a DATE without
//! `VALUE=DATE`. Writing gives the one canonical form.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::parse::shorten;
use crate::base::{Utc, write_date, write_date_time};

/// A DATE or DATE-TIME (RFC 5545 §3.3.4, §3.3.5) in one of its four forms. This, and not an
/// absolute time, is what an event is stored as (invariant T1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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

/// Why a value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// The physical line of the property; 0 where the value stood alone.
    pub line: u32,
    /// What is wrong with which value.
    pub message: String,
}

impl ValueError {
    pub(super) fn new(value: &str, message: &str) -> Self {
        Self { line: 0, message: format!("{:?} {message}", shorten(value)) }
    }

    /// The same, said of the property `name` on `line`.
    pub(super) fn of(self, name: &str, line: u32) -> Self {
        Self { line, message: format!("{}: {}", shorten(name), self.message) }
    }
}

impl DateOrTime {
    /// The DATE or DATE-TIME that `value` is, by its form; `tzid` gives the zone of a local time.
    ///
    /// # Errors
    /// If it is neither, or no such day or time exists.
    pub fn parse(value: &str, tzid: Option<&str>) -> Result<Self, ValueError> {
        let value = value.trim();
        let bad = || ValueError::new(value, "is no date (YYYYMMDD) and no time (YYYYMMDDTHHMMSS)");
        let bytes = value.as_bytes();
        let date = date_of(bytes.get(..8).ok_or_else(bad)?).ok_or_else(bad)?;
        let (time, utc) = match &bytes[8..] {
            [] => return Ok(Self::Date(date)),
            [b'T' | b't', time @ .., b'Z' | b'z'] => (time, true),
            [b'T' | b't', time @ ..] => (time, false),
            _ => return Err(bad()),
        };
        let local = date.and_time(time_of(time).ok_or_else(bad)?);
        Ok(match tzid {
            _ if utc => Self::Utc(local),
            Some(tzid) if !tzid.is_empty() => Self::Zoned(local, tzid.to_owned()),
            _ => Self::Floating(local),
        })
    }

    /// Whether it is a DATE.
    pub fn is_date(&self) -> bool {
        matches!(self, Self::Date(_))
    }

    /// Its day, as written.
    pub fn date(&self) -> NaiveDate {
        self.local().date()
    }

    /// Its day and time as written; midnight for a DATE.
    pub fn local(&self) -> NaiveDateTime {
        match self {
            Self::Date(date) => date.and_time(NaiveTime::MIN),
            Self::Floating(local) | Self::Utc(local) | Self::Zoned(local, _) => *local,
        }
    }

    /// The TZID of a zoned time.
    pub fn tzid(&self) -> Option<&str> {
        match self {
            Self::Zoned(_, tzid) => Some(tzid),
            _ => None,
        }
    }

    /// Another time in the same form and zone; for a DATE, the day of `local`.
    #[must_use]
    pub fn at(&self, local: NaiveDateTime) -> Self {
        match self {
            Self::Date(_) => Self::Date(local.date()),
            Self::Floating(_) => Self::Floating(local),
            Self::Utc(_) => Self::Utc(local),
            Self::Zoned(_, tzid) => Self::Zoned(local, tzid.clone()),
        }
    }

    /// What it means beside `start`, the DTSTART of its component. Both must be of one form (RFC 5545 §3.8.2.2), so that with a
    /// floating time a TZID or Z was forgotten: the clock that is meant is the start's.
    #[must_use]
    pub fn beside(&self, start: &Self) -> Self {
        match (self, start) {
            (Self::Floating(local), Self::Zoned(..) | Self::Utc(_)) => start.at(*local),
            _ => self.clone(),
        }
    }
}

/// The value as it stands behind the colon: `20240110`, `20240110T090000` or `20240110T090000Z`. The TZID
/// is a parameter; [`super::Property::with_date`] sets it.
impl fmt::Display for DateOrTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(16);
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl DateOrTime {
    /// Writes it as a value of iCalendar behind what is in `out`.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Date(date) => write_date(*date, out),
            Self::Floating(local) | Self::Zoned(local, _) => write_date_time(*local, out),
            Self::Utc(local) => {
                write_date_time(*local, out);
                out.push('Z');
            }
        }
    }
}

fn number_of(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, d| {
        let digit = d.is_ascii_digit().then(|| u32::from(d - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

fn date_of(bytes: &[u8]) -> Option<NaiveDate> {
    let [y @ .., _, _, _, _] = bytes else { return None };
    let year = i32::try_from(number_of(y)?).ok().filter(|year| *year >= 1)?;
    NaiveDate::from_ymd_opt(year, number_of(&bytes[4..6])?, number_of(&bytes[6..8])?)
}

fn time_of(bytes: &[u8]) -> Option<NaiveTime> {
    if bytes.len() != 6 {
        return None;
    }
    // A leap second is the second before it to whoever knows none (RFC 5545 §3.3.5).
    let second = match number_of(&bytes[4..])? {
        60 => 59,
        second => second,
    };
    NaiveTime::from_hms_opt(number_of(&bytes[..2])?, number_of(&bytes[2..4])?, second)
}

/// The point in time that `value` names, which must be in UTC (form #2), as the attributes of
/// CALDAV:time-range and CALDAV:expand are.
///
/// # Errors
/// If it is anything else.
pub fn parse_utc(value: &str) -> Result<Utc, ValueError> {
    match DateOrTime::parse(value, None)? {
        DateOrTime::Utc(at) => Ok(Utc::from_naive(at)),
        _ => Err(ValueError::new(value, "is no time in UTC (YYYYMMDDTHHMMSSZ)")),
    }
}

impl Duration {
    /// Ten thousand years: the calendar has no more.
    const DAYS_MAX: i64 = 3_652_500;

    /// The DURATION that `value` is.
    ///
    /// # Errors
    /// If it is none, or longer than ten thousand years.
    pub fn parse(value: &str) -> Result<Self, ValueError> {
        let value = value.trim();
        let bad = || ValueError::new(value, "is no duration (P1W, P1DT2H, PT15M)");
        let (negative, unsigned) = match value.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let [b'P' | b'p', parts @ ..] = unsigned else { return Err(bad()) };
        let length = Self::of_parts(parts).ok_or_else(bad)?;
        Ok(if negative { -length } else { length })
    }

    /// Sums up `nW`, `nD`, and behind a `T`: `nH`, `nM`, `nS`. At least one of them must be there.
    fn of_parts(parts: &[u8]) -> Option<Self> {
        let mut length = Self::default();
        let (mut number, mut in_time, mut found) = (None, false, false);
        for byte in parts {
            if byte.is_ascii_digit() {
                let so_far: i64 = number.unwrap_or_default();
                number = Some(so_far.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?);
                continue;
            }
            if byte.eq_ignore_ascii_case(&b'T') && number.is_none() && !in_time {
                in_time = true;
                continue;
            }
            length.add(number.take()?, byte.to_ascii_uppercase(), in_time)?;
            found = true;
        }
        let in_range = length.days <= Self::DAYS_MAX && length.seconds <= Self::DAYS_MAX * 86_400;
        (found && number.is_none() && in_range).then_some(length)
    }

    fn add(&mut self, number: i64, unit: u8, in_time: bool) -> Option<()> {
        let (sum, seconds_or_days) = match (unit, in_time) {
            (b'W', false) => (&mut self.days, 7),
            (b'D', false) => (&mut self.days, 1),
            (b'H', true) => (&mut self.seconds, 3600),
            (b'M', true) => (&mut self.seconds, 60),
            (b'S', true) => (&mut self.seconds, 1),
            _ => return None,
        };
        *sum = sum.checked_add(number.checked_mul(seconds_or_days)?)?;
        Some(())
    }

    /// A duration of exact seconds.
    pub fn of_seconds(seconds: i64) -> Self {
        Self { days: 0, seconds }
    }

    /// Whether it goes backwards.
    pub fn is_negative(self) -> bool {
        self.days < 0 || self.seconds < 0
    }
}

impl std::ops::Neg for Duration {
    type Output = Self;

    fn neg(self) -> Self {
        Self { days: self.days.saturating_neg(), seconds: self.seconds.saturating_neg() }
    }
}

/// As RFC 5545 §3.3.6 writes it: `P1W`, `-PT15M`, `P1DT2H`, `PT0S`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.days.unsigned_abs(), self.seconds.unsigned_abs());
        f.write_str(if self.is_negative() { "-P" } else { "P" })?;
        match (days, seconds) {
            (0, 0) => return f.write_str("T0S"),
            (1.., 0) if days % 7 == 0 => return write!(f, "{}W", days / 7),
            (0, _) => {}
            _ => write!(f, "{days}D")?,
        }
        if seconds == 0 {
            return Ok(());
        }
        f.write_str("T")?;
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        // The grammar has no seconds right behind hours.
        if minutes > 0 || (hours > 0 && rest > 0) {
            write!(f, "{minutes}M")?;
        }
        if rest > 0 {
            write!(f, "{rest}S")?;
        }
        Ok(())
    }
}

impl Period {
    /// The PERIOD that `value` is; `tzid` gives the zone of local times.
    ///
    /// # Errors
    /// If it is none, or its length is negative.
    pub fn parse(value: &str, tzid: Option<&str>) -> Result<Self, ValueError> {
        let Some((start, end)) = value.split_once('/') else {
            return Err(ValueError::new(value, "is no period (START/END or START/DURATION)"));
        };
        let start = DateOrTime::parse(start, tzid)?;
        let end = if end.contains(['P', 'p']) {
            PeriodEnd::After(Duration::parse(end)?)
        } else {
            PeriodEnd::At(DateOrTime::parse(end, tzid)?)
        };
        match &end {
            PeriodEnd::After(length) if length.is_negative() => {
                Err(ValueError::new(value, "is a period of negative length"))
            }
            _ => Ok(Self { start, end }),
        }
    }
}

/// `START/END` or `START/DURATION`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            PeriodEnd::At(end) => write!(f, "{}/{end}", self.start),
            PeriodEnd::After(length) => write!(f, "{}/{length}", self.start),
        }
    }
}

/// The seconds east of UTC that the UTC-OFFSET `value` names (RFC 5545 §3.3.14): `+0100`, `-053000`; `+01:00` too.
///
/// # Errors
/// If it is none, or a day or more.
pub fn parse_offset(value: &str) -> Result<i32, ValueError> {
    let bad = || ValueError::new(value, "is no UTC offset (+HHMM)");
    let plain = value.trim().replace(':', "");
    let (sign, digits) = match plain.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(bad()),
    };
    if digits.len() != 4 && digits.len() != 6 {
        return Err(bad());
    }
    let part = |at: usize| number_of(digits.get(at..at + 2).unwrap_or(b"0")).ok_or_else(bad);
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err(bad());
    }
    i32::try_from(hours * 3600 + minutes * 60 + seconds).map(|east| sign * east).map_err(|_| bad())
}

/// `seconds` east of UTC as a UTC-OFFSET.
pub fn format_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let east = seconds.unsigned_abs();
    let (hours, minutes, rest) = (east / 3600, east / 60 % 60, east % 60);
    match rest {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_in_their_four_forms() {
        for (value, tzid, written) in [
            ("19970714", None, "19970714"),
            ("19980118T230000", None, "19980118T230000"),
            ("19980119T070000Z", Some("Europe/Berlin"), "19980119T070000Z"),
            ("19980119T020000", Some("America/New_York"), "19980119T020000"),
            (" 19970630t235960z ", None, "19970630T235959Z"),
        ] {
            assert_eq!(DateOrTime::parse(value, tzid).expect(value).to_string(), written);
        }
        assert_eq!(DateOrTime::parse("19980119T020000", Some("X")).expect("zoned").tzid(), Some("X"));
        assert!(matches!(DateOrTime::parse("19980119T020000", Some("")), Ok(DateOrTime::Floating(_))));
    }

    #[test]
    fn dates_that_are_none() {
        for value in [
            "",
            "2024",
            "2024-01-10T09:00",
            "20240230",
            "20241301",
            "00000101",
            "20240110T",
            "20240110T0900",
            "20240110T250000",
            "20240110T096000",
            "20240110Z",
            "20240110T090000+0100",
            "2024011é",
            "+2024101",
        ] {
            assert!(DateOrTime::parse(value, None).is_err(), "{value}");
        }
    }

    #[test]
    fn durations() {
        for (value, days, seconds, written) in [
            ("P15DT5H0M20S", 15, 18_020, "P15DT5H0M20S"),
            ("P7W", 49, 0, "P7W"),
            ("-PT15M", 0, -900, "-PT15M"),
            ("+PT1H", 0, 3600, "PT1H"),
            ("PT0S", 0, 0, "PT0S"),
            ("P0D", 0, 0, "PT0S"),
            ("-P0DT0H15M0S", 0, -900, "-PT15M"),
            ("p1w2d", 9, 0, "P9D"),
            ("PT90M", 0, 5400, "PT1H30M"),
        ] {
            let length = Duration::parse(value).expect(value);
            assert_eq!((length.days, length.seconds), (days, seconds), "{value}");
            assert_eq!(length.to_string(), written);
        }
        for value in ["", "P", "PT", "1D", "P1H", "PT1D", "PTT1H", "P1", "P-1D", "P99999999999999999999D", "P9999999D"]
        {
            assert!(Duration::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn periods_and_offsets() {
        for value in ["19970101T180000Z/19970102T070000Z", "19970101T180000Z/PT5H30M"] {
            assert_eq!(Period::parse(value, None).expect(value).to_string(), value);
        }
        for value in ["19970101T180000Z", "19970101T180000Z/-PT1H", "/", "x/y"] {
            assert!(Period::parse(value, None).is_err(), "{value}");
        }
        for (value, seconds) in [("-0500", -18_000), ("+0100", 3600), ("+053015", 19_815), ("+05:30", 19_800)] {
            assert_eq!(parse_offset(value).expect(value), seconds);
        }
        for value in ["0500", "+5", "+2400", "+0060", "", "+01000", "+éé"] {
            assert!(parse_offset(value).is_err(), "{value}");
        }
        assert_eq!(format_offset(-18_000), "-0500");
        assert_eq!(format_offset(19_815), "+053015");
    }

    #[test]
    fn points_are_in_utc() {
        assert_eq!(parse_utc("19700102T000000Z").expect("UTC"), Utc(86_400));
        assert!(parse_utc("19700102T000000").is_err());
        assert!(parse_utc("19700102").is_err());
    }

    proptest! {
        #[test]
        fn durations_round_trip(days in -100_000i64..100_000, seconds in 0i64..1_000_000) {
            let length = Duration { days, seconds: if days < 0 { -seconds } else { seconds } };
            prop_assert_eq!(Duration::parse(&length.to_string()), Ok(length));
        }

        #[test]
        fn no_value_panics(value in ".{0,40}") {
            let _ = (DateOrTime::parse(&value, None), Duration::parse(&value), Period::parse(&value, None));
            let _ = (parse_offset(&value), parse_utc(&value));
        }
    }
}
