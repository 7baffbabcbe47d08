//! RECUR values as text (RFC 5545 §3.3.10, RFC 7529 §4): strict about what would be guessed at,
//! lenient about what is seen in the wild and means one thing only.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::civil;

/// FREQ, from the finest to the coarsest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frequency {
    /// SECONDLY
    Secondly,
    /// MINUTELY
    Minutely,
    /// HOURLY
    Hourly,
    /// DAILY
    Daily,
    /// WEEKLY
    Weekly,
    /// MONTHLY
    Monthly,
    /// YEARLY
    Yearly,
}

/// UNTIL: the last moment (inclusive) at which the rule may yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// A DATE: the whole of that day still counts. The day number.
    Day(i64),
    /// A local second in the zone of DTSTART.
    Local(i64),
    /// A UTC second.
    Utc(i64),
}

/// SKIP (RFC 7529 §4.1): what becomes of a date that its month does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Skip {
    /// It is left out.
    #[default]
    Omit,
    /// It becomes the last day of the month.
    Backward,
    /// It becomes the first day of the next month.
    Forward,
}

/// Why a text is no rule that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("RRULE: {0}")]
pub struct InvalidRule(pub String);

/// A parsed recurrence rule. Sets of small numbers are bitmasks; an empty one is a part that was not given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// FREQ
    pub freq: Frequency,
    /// INTERVAL, at least 1 and at most [`Rule::INTERVAL_MAX`].
    pub interval: i64,
    /// COUNT, at least 1; DTSTART is the first.
    pub count: Option<u64>,
    /// UNTIL
    pub until: Option<Until>,
    /// BYSECOND: bits 0 to 59 (a leap second counts as 59, RFC 5545 §3.3.5).
    pub seconds: u64,
    /// BYMINUTE: bits 0 to 59.
    pub minutes: u64,
    /// BYHOUR: bits 0 to 23.
    pub hours: u64,
    /// BYDAY without an ordinal: bit 0 is Monday.
    pub weekdays: u32,
    /// BYDAY with an ordinal: ordinal and weekday (Monday is 0).
    pub nth_weekdays: Vec<(i32, u32)>,
    /// BYMONTHDAY counted from the start: bit 0 is the 1st.
    pub month_days: u32,
    /// BYMONTHDAY counted from the end: bit 0 is the last.
    pub month_days_back: u32,
    /// BYYEARDAY
    pub year_days: Vec<i32>,
    /// BYWEEKNO
    pub weeks: Vec<i32>,
    /// BYMONTH: bit 0 is January.
    pub months: u32,
    /// BYSETPOS
    pub positions: Vec<i32>,
    /// WKST: Monday is 0.
    pub week_start: u32,
    /// SKIP
    pub skip: Skip,
}

impl Rule {
    /// An INTERVAL beyond this is as good as this: the second occurrence lies behind the year 9999.
    pub const INTERVAL_MAX: i64 = 400_000_000_000;

    /// A rule of nothing but its frequency.
    pub fn every(freq: Frequency) -> Self {
        Self {
            freq,
            interval: 1,
            count: None,
            until: None,
            seconds: 0,
            minutes: 0,
            hours: 0,
            weekdays: 0,
            nth_weekdays: Vec::new(),
            month_days: 0,
            month_days_back: 0,
            year_days: Vec::new(),
            weeks: Vec::new(),
            months: 0,
            positions: Vec::new(),
            week_start: 0,
            skip: Skip::Omit,
        }
    }

    /// Whether it says which days by more than its frequency, its interval and BYMONTH.
    pub(super) fn names_days(&self) -> bool {
        self.weekdays != 0
            || !self.nth_weekdays.is_empty()
            || self.month_days != 0
            || self.month_days_back != 0
            || !self.year_days.is_empty()
            || !self.weeks.is_empty()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidRule> {
        let list = |low, high| numbers(name, value, low, high);
        match name {
            "INTERVAL" => self.interval = number(name, value)?.min(Self::INTERVAL_MAX as u64) as i64,
            "COUNT" => self.count = Some(number(name, value)?),
            "UNTIL" => self.until = Some(until(value)?),
            "BYSECOND" => self.seconds = mask(list(0, 60)?.into_iter().map(|s| s.min(59))),
            "BYMINUTE" => self.minutes = mask(list(0, 59)?),
            "BYHOUR" => self.hours = mask(list(0, 23)?),
            "BYDAY" => (self.weekdays, self.nth_weekdays) = weekdays(value)?,
            "BYMONTHDAY" => {
                let days = signed(name, value, 31)?;
                self.month_days = mask(days.iter().filter(|d| **d > 0).map(|d| d - 1)) as u32;
                self.month_days_back = mask(days.iter().filter(|d| **d < 0).map(|d| -d - 1)) as u32;
            }
            "BYYEARDAY" => self.year_days = signed(name, value, 366)?,
            "BYWEEKNO" => self.weeks = signed(name, value, 53)?,
            "BYMONTH" => self.months = mask(list(1, 12)?.into_iter().map(|m| m - 1)) as u32,
            "BYSETPOS" => self.positions = signed(name, value, 366)?,
            "WKST" => self.week_start = weekday(value)?,
            "SKIP" => self.skip = skip(value)?,
            "RSCALE" if value == "GREGORIAN" => {}
            "RSCALE" => return refuse(format!("RSCALE={} is not supported, only GREGORIAN is", brief(value))),
            "FREQ" => {}
            _ if name.starts_with("X-") => {}
            _ => return refuse(format!("{} is no part of a rule", brief(name))),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), InvalidRule> {
        if self.nth_weekdays.is_empty() {
            return Ok(());
        }
        if self.freq < Frequency::Monthly {
            return refuse("BYDAY with a number (as in 1MO) needs FREQ=MONTHLY or FREQ=YEARLY".into());
        }
        if !self.weeks.is_empty() {
            return refuse("BYDAY with a number (as in 1MO) cannot stand beside BYWEEKNO".into());
        }
        Ok(())
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    /// Parses the value of an RRULE. Case, a trailing `;` and parts that begin with `X-` do not matter.
    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let upper = text.trim().to_ascii_uppercase();
        let parts = || upper.split(';').map(str::trim).filter(|part| !part.is_empty());
        let freq = parts().find_map(|part| part.strip_prefix("FREQ=")).ok_or(InvalidRule("it has no FREQ".into()))?;
        let mut rule = Self::every(frequency(freq)?);
        let mut seen: Vec<&str> = Vec::with_capacity(4);
        for part in parts() {
            let Some((name, value)) = part.split_once('=') else {
                return refuse(format!("{} is not NAME=VALUE", brief(part)));
            };
            if seen.contains(&name) {
                return refuse(format!("{} stands there twice", brief(name)));
            }
            if seen.len() == 32 {
                return refuse("it has more than 32 parts".into());
            }
            seen.push(name);
            rule.set(name, value)?;
        }
        rule.check()?;
        Ok(rule)
    }
}

fn refuse<T>(why: String) -> Result<T, InvalidRule> {
    Err(InvalidRule(why))
}

/// A value as an error text may show it.
fn brief(value: &str) -> String {
    value.chars().take(24).collect()
}

fn bad<T>(name: &str, value: &str) -> Result<T, InvalidRule> {
    refuse(format!("{name}={} is not valid", brief(value)))
}

fn frequency(value: &str) -> Result<Frequency, InvalidRule> {
    Ok(match value {
        "SECONDLY" => Frequency::Secondly,
        "MINUTELY" => Frequency::Minutely,
        "HOURLY" => Frequency::Hourly,
        "DAILY" => Frequency::Daily,
        "WEEKLY" => Frequency::Weekly,
        "MONTHLY" => Frequency::Monthly,
        "YEARLY" => Frequency::Yearly,
        _ => return bad("FREQ", value),
    })
}

fn skip(value: &str) -> Result<Skip, InvalidRule> {
    Ok(match value {
        "OMIT" => Skip::Omit,
        "BACKWARD" => Skip::Backward,
        "FORWARD" => Skip::Forward,
        _ => return bad("SKIP", value),
    })
}

/// A whole number of at least 1; one too large to hold is the largest there is.
fn number(name: &str, value: &str) -> Result<u64, InvalidRule> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse().unwrap_or(u64::MAX) {
        n if digits && n > 0 => Ok(n),
        _ => bad(name, value),
    }
}

/// How many numbers a list may have: each of them once, with and without a sign.
const LIST_MAX: usize = 2 * 366 + 1;

fn numbers(name: &str, value: &str, low: i32, high: i32) -> Result<Vec<i32>, InvalidRule> {
    let mut list = Vec::with_capacity(4);
    for item in value.split(',') {
        match item.trim().parse::<i32>() {
            Ok(n) if (low..=high).contains(&n) && list.len() < LIST_MAX => list.push(n),
            _ => return bad(name, item),
        }
    }
    Ok(list)
}

/// Numbers from -`high` to `high`, none of them 0.
fn signed(name: &str, value: &str, high: i32) -> Result<Vec<i32>, InvalidRule> {
    let list = numbers(name, value, -high, high)?;
    if list.contains(&0) {
        return bad(name, "0");
    }
    Ok(list)
}

fn mask(numbers: impl IntoIterator<Item = i32>) -> u64 {
    numbers.into_iter().fold(0, |mask, n| mask | 1 << n)
}

fn weekday(value: &str) -> Result<u32, InvalidRule> {
    const NAMES: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    match NAMES.iter().position(|name| *name == value) {
        Some(day) => Ok(day as u32),
        None => refuse(format!("{} is no weekday", brief(value))),
    }
}

fn weekdays(value: &str) -> Result<(u32, Vec<(i32, u32)>), InvalidRule> {
    let (mut plain, mut nth) = (0, Vec::new());
    for item in value.split(',').map(str::trim) {
        let split = item.len().saturating_sub(2);
        if !item.is_char_boundary(split) {
            return bad("BYDAY", item);
        }
        let (ordinal, name) = item.split_at(split);
        let day = weekday(name)?;
        match ordinal {
            "" => plain |= 1 << day,
            _ => match ordinal.parse::<i32>() {
                Ok(n) if n != 0 && n.abs() <= 53 && nth.len() < LIST_MAX => nth.push((n, day)),
                _ => return bad("BYDAY", item),
            },
        }
    }
    Ok((plain, nth))
}

fn until(value: &str) -> Result<Until, InvalidRule> {
    let (text, utc) = match value.strip_suffix('Z') {
        Some(text) => (text, true),
        None => (value, false),
    };
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let Some(date) = parse_date(date) else { return bad("UNTIL", value) };
    let Some(time) = time else { return Ok(Until::Day(civil::day_of(date))) };
    let Some(time) = parse_time(time) else { return bad("UNTIL", value) };
    let second = civil::second_of(NaiveDateTime::new(date, time));
    Ok(if utc { Until::Utc(second) } else { Until::Local(second) })
}

fn digits(text: &str, len: usize) -> Option<u32> {
    (text.len() == len && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let n = digits(text, 8)?;
    NaiveDate::from_ymd_opt((n / 10_000) as i32, n / 100 % 100, n % 100).filter(|_| n >= 1_01_01)
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    let n = digits(text, 6)?;
    NaiveTime::from_hms_opt(n / 10_000, n / 100 % 100, (n % 100).min(59)).filter(|_| n % 100 <= 60)
}
