//! The index row of a calendar object (invariants S4 and S5): derived from its text alone, so that it can be made again.

use crate::base::{Interval, Limits, Utc};
use crate::filter::span_of;
use crate::ical::{self, CalendarObject, Component, Property, rule_parts};
use crate::model::{Index, IndexRow, Precondition};
use crate::recur::{Budget, Series, Span};
use crate::service::Error;
use crate::zone::Zone;

/// CALDAV:min-date-time (RFC 4791 §5.2.6): the earliest time that a calendar object may have.
pub const MIN_DATE_TIME: Utc = Utc::MIN;
/// CALDAV:max-date-time (RFC 4791 §5.2.7): the latest.
pub const MAX_DATE_TIME: Utc = Utc::MAX;

/// How far a reader's zone can move a floating or all-day value from its reading in UTC: zones go from -12 to +14 hours.
const FLOATING_SLACK: i64 = 26 * 3600;
/// How far a change of its zone's rules can move a local time.
const ZONED_SLACK: i64 = 24 * 3600;
/// In how many pieces a long series is counted, so that its occurrences are never all in memory.
const COUNT_PIECES: i64 = 64;

/// The row of `object`.
///
/// # Errors
/// CALDAV:valid-calendar-data for a rule or date that means nothing, CALDAV:min-date-time, CALDAV:max-date-time,
/// CALDAV:max-instances.
pub fn index_of(object: &CalendarObject, limits: &Limits) -> Result<IndexRow, Error> {
    check_years(object)?;
    let series =
        Series::new(object, &Zone::utc()).map_err(|why| Error::precondition(Precondition::ValidCalendarData, why))?;
    let span = span_of(object, &series);
    check_instances(object, &series, span, limits)?;
    let slack = slack_of(object);
    Ok(IndexRow {
        uid: object.uid.clone(),
        kind: object.kind,
        span: span.map(|span| Span { start: span.start.plus(-slack), end: span.end.map(|end| end.plus(slack)) }),
        recurring: series.is_recurring() || !object.overrides.is_empty(),
        alarms: object.members().any(|member| member.children("VALARM").next().is_some()),
    })
}

/// The index of stored bytes, whatever they are (invariant B2).
pub fn index_of_bytes(bytes: &[u8], limits: &Limits) -> Index {
    let broken = |reason: String| Index::Broken { reason, uid: uid_of(bytes, limits) };
    match CalendarObject::parse(bytes, limits) {
        Err(error) => broken(error.to_string()),
        Ok(object) => match index_of(&object, limits) {
            Ok(row) => Index::Row(row),
            Err(error) => broken(error.to_string()),
        },
    }
}

/// The UID of what is no valid object, if any can be read.
fn uid_of(bytes: &[u8], limits: &Limits) -> Option<String> {
    let calendar = ical::parse(bytes, limits).ok()?;
    let uids = calendar.components.iter().filter_map(|component| component.text("UID"));
    uids.into_iter().next().map(std::borrow::Cow::into_owned)
}

/// The properties that place a component in time.
fn times(component: &Component) -> impl Iterator<Item = &Property> {
    const NAMES: [&str; 6] = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE", "EXDATE"];
    component.properties.iter().filter(|property| NAMES.iter().any(|name| property.is(name)))
}

/// How far the span must be widened, by the loosest of the object's times.
fn slack_of(object: &CalendarObject) -> i64 {
    let slack = |property: &Property| match property.param("TZID") {
        Some(_) => ZONED_SLACK,
        None if property.value.ends_with(['Z', 'z']) => 0,
        None => FLOATING_SLACK,
    };
    object.members().flat_map(times).map(slack).max().unwrap_or(0)
}

/// The year 0000 can be written, and lies before the earliest time; the year 9999 is the last that can.
fn check_years(object: &CalendarObject) -> Result<(), Error> {
    let early = |property: &Property| property.value.starts_with("0000");
    if object.members().flat_map(times).any(early) {
        let message = format!("dates before {MIN_DATE_TIME} are not taken");
        return Err(Error::precondition(Precondition::MinDateTime, message));
    }
    Ok(())
}

/// Refuses a series with an end that has more occurrences than the limit (RFC 4791 §5.2.8). What cannot have so many is
/// not counted.
fn check_instances(object: &CalendarObject, series: &Series, span: Option<Span>, limits: &Limits) -> Result<(), Error> {
    let Some(Span { start, end: Some(end) }) = span else { return Ok(()) };
    let days = u64::try_from((end.0 - start.0) / 86_400 + 2).unwrap_or(u64::MAX);
    let daily = object.members().flat_map(|member| member.all("RRULE")).map(|rule| per_day(&rule.value)).max();
    if days.saturating_mul(daily.unwrap_or(0)) <= limits.instances_max {
        return Ok(());
    }
    let mut budget = Budget { steps: limits.recurrence_steps_max, instances: limits.instances_max };
    let piece = ((end.0 - start.0) / COUNT_PIECES).max(1);
    let mut from = start;
    while from < end {
        let to = from.plus(piece);
        if series.occurrences(Interval::new(from, to), &mut budget).is_err() {
            let message =
                format!("a series with an end has at most {} occurrences (limit instances_max)", limits.instances_max);
            return Err(Error::precondition(Precondition::MaxInstances, message));
        }
        from = to;
    }
    Ok(())
}

/// More occurrences a day than this a rule cannot have.
fn per_day(rule: &str) -> u64 {
    let (mut base, mut factor) = (1, 1_u64);
    for (name, value) in rule_parts(rule) {
        let count = value.split(',').count() as u64;
        match (name.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
            ("FREQ", "SECONDLY") => base = 86_400,
            ("FREQ", "MINUTELY") => base = 1_440,
            ("FREQ", "HOURLY") => base = 24,
            ("BYSECOND" | "BYMINUTE" | "BYHOUR", _) => factor = factor.saturating_mul(count),
            _ => {}
        }
    }
    86_400.min(factor.saturating_mul(base))
}
