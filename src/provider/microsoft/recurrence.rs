//! Graph's patterned recurrence as a RECUR value (RFC 5545 §3.3.10): all six patterns, all three ranges.
//!
//! Where Outlook and RFC 5545 differ: for the days 29 to 31 Outlook takes the last day of a month that is shorter, a plain BYMONTHDAY
//! leaves that month out. See [`ShortMonths`].

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::base::Utc;
use crate::provider::fields::{FieldError, Fields};
use crate::zone::Zone;

/// Outlook's own limits are lower; more than that is a mistake.
const INTERVAL_MAX: i64 = 999;
/// As [`INTERVAL_MAX`]: Exchange stores at most 999 occurrences of a numbered series.
const COUNT_MAX: i64 = 100_000;

/// What becomes of the 29th to the 31st in a month that has no such day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortMonths {
    /// Its last day, as Outlook shows it: `BYMONTHDAY=28,29,30,31;BYSETPOS=-1`.
    LastDay,
    /// Nothing, as a plain `BYMONTHDAY=31` has it.
    Skipped,
}

/// What the rule is written for: UNTIL has the form of DTSTART.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// A whole day.
    AllDay(NaiveDate),
    /// A local time in a zone.
    Timed(NaiveDateTime, &'a Zone),
}

impl Start<'_> {
    fn date(&self) -> NaiveDate {
        match self {
            Self::AllDay(date) => *date,
            Self::Timed(local, _) => local.date(),
        }
    }
}

/// The RECUR value of the field `recurrence` (patternedRecurrence).
///
/// # Errors
/// If a field that the pattern or the range needs is missing or makes no sense; named by its path.
pub fn rule(recurrence: &Fields<'_>, start: &Start<'_>, short: ShortMonths) -> Result<String, FieldError> {
    let pattern = recurrence.inner("pattern")?.ok_or_else(|| recurrence.bad("pattern", "is missing"))?;
    let range = recurrence.inner("range")?.ok_or_else(|| recurrence.bad("range", "is missing"))?;
    let mut parts = pattern_parts(&pattern, start, short)?;
    parts.extend(range_part(&range, start)?);
    Ok(parts.join(";"))
}

fn pattern_parts(pattern: &Fields<'_>, start: &Start<'_>, short: ShortMonths) -> Result<Vec<String>, FieldError> {
    let kind = pattern.required("type")?;
    let kind = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind));
    let kind = *kind.ok_or_else(|| pattern.bad("type", "is no pattern that we know"))?;
    let frequency = match kind {
        "daily" => "DAILY",
        "weekly" => "WEEKLY",
        "absoluteMonthly" | "relativeMonthly" => "MONTHLY",
        _ => "YEARLY",
    };
    let mut parts = vec![format!("FREQ={frequency}")];
    match interval(pattern)? {
        1 => {}
        interval => parts.push(format!("INTERVAL={interval}")),
    }
    match kind {
        "weekly" => {
            parts.push(format!("BYDAY={}", days(pattern)?));
            parts.push(format!("WKST={}", first_day(pattern)?));
        }
        "absoluteMonthly" => parts.push(month_day(day_of_month(pattern, start)?, None, short)),
        "relativeMonthly" => parts.push(relative(pattern)?),
        "absoluteYearly" => {
            let month = month(pattern, start)?;
            parts.push(format!("BYMONTH={month}"));
            parts.push(month_day(day_of_month(pattern, start)?, Some(month), short));
        }
        "relativeYearly" => {
            parts.push(format!("BYMONTH={}", month(pattern, start)?));
            parts.push(relative(pattern)?);
        }
        _ => {}
    }
    Ok(parts)
}

const KINDS: [&str; 6] = ["daily", "weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly"];

fn interval(pattern: &Fields<'_>) -> Result<i64, FieldError> {
    match pattern.whole("interval")?.unwrap_or(1) {
        // Unused fields hold 0.
        0 => Ok(1),
        interval @ 1..=INTERVAL_MAX => Ok(interval),
        other => Err(pattern.bad("interval", format!("{other} is not between 1 and {INTERVAL_MAX}"))),
    }
}

fn days(pattern: &Fields<'_>) -> Result<String, FieldError> {
    let names = pattern.texts("daysOfWeek")?;
    let days: Result<Vec<_>, _> = names
        .iter()
        .map(|name| day(name).ok_or_else(|| pattern.bad("daysOfWeek", "holds what is no weekday")))
        .collect();
    let mut days = days?;
    days.sort_by_key(|day| ORDER.iter().position(|known| known == day));
    days.dedup();
    if days.is_empty() { Err(pattern.bad("daysOfWeek", "is empty")) } else { Ok(days.join(",")) }
}

const ORDER: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

fn day(name: &str) -> Option<&'static str> {
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    names.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|at| ORDER[at])
}

fn first_day(pattern: &Fields<'_>) -> Result<&'static str, FieldError> {
    match pattern.filled("firstDayOfWeek")? {
        None => Ok("SU"),
        Some(name) => day(name).ok_or_else(|| pattern.bad("firstDayOfWeek", "is no weekday")),
    }
}

fn day_of_month(pattern: &Fields<'_>, start: &Start<'_>) -> Result<u32, FieldError> {
    match pattern.whole("dayOfMonth")?.unwrap_or(0) {
        0 => Ok(start.date().day()),
        day @ 1..=31 => Ok(u32::try_from(day).unwrap_or(31)),
        other => Err(pattern.bad("dayOfMonth", format!("{other} is no day of a month"))),
    }
}

fn month(pattern: &Fields<'_>, start: &Start<'_>) -> Result<u32, FieldError> {
    match pattern.whole("month")?.unwrap_or(0) {
        0 => Ok(start.date().month()),
        month @ 1..=12 => Ok(u32::try_from(month).unwrap_or(12)),
        other => Err(pattern.bad("month", format!("{other} is no month"))),
    }
}

/// BYMONTHDAY for `day` of every month, or of `month`, where only February's length changes.
fn month_day(day: u32, month: Option<u32>, short: ShortMonths) -> String {
    let varies = day >= 29 && month.is_none_or(|month| month == 2);
    if short == ShortMonths::Skipped || !varies {
        return format!("BYMONTHDAY={day}");
    }
    let last = if month.is_some() { 29 } else { day };
    let days: Vec<String> = (28..=last).map(|day| day.to_string()).collect();
    format!("BYMONTHDAY={};BYSETPOS=-1", days.join(","))
}

fn relative(pattern: &Fields<'_>) -> Result<String, FieldError> {
    let position = match pattern.filled("index")?.unwrap_or("first") {
        "first" => 1,
        "second" => 2,
        "third" => 3,
        "fourth" => 4,
        "last" => -1,
        _ => return Err(pattern.bad("index", "is not first, second, third, fourth or last")),
    };
    Ok(format!("BYDAY={};BYSETPOS={position}", days(pattern)?))
}

fn range_part(range: &Fields<'_>, start: &Start<'_>) -> Result<Option<String>, FieldError> {
    match range.required("type")? {
        "noEnd" => Ok(None),
        "numbered" => match range.whole("numberOfOccurrences")?.unwrap_or(0) {
            count @ 1..=COUNT_MAX => Ok(Some(format!("COUNT={count}"))),
            other => Err(range.bad("numberOfOccurrences", format!("{other} is not between 1 and {COUNT_MAX}"))),
        },
        "endDate" => {
            let last = range.day("endDate")?.ok_or_else(|| range.bad("endDate", "is missing"))?;
            if last < start.date() {
                return Err(range.bad("endDate", format!("{last} is before the first occurrence")));
            }
            Ok(Some(format!("UNTIL={}", until(last, start))))
        }
        _ => Err(range.bad("type", "is not noEnd, numbered or endDate")),
    }
}

/// The last second of the day `last` where the series is at home: the end date is inclusive.
fn until(last: NaiveDate, start: &Start<'_>) -> String {
    match start {
        Start::AllDay(_) => last.format("%Y%m%d").to_string(),
        Start::Timed(_, zone) => {
            let next = last.succ_opt().unwrap_or(last).and_time(NaiveTime::MIN);
            let end = next - TimeDelta::seconds(1);
            let end: Utc = zone.to_utc(end);
            end.to_string()
        }
    }
}
