//! When a record's event is: absolute times, and times in the zone that its source names.

use super::{Content, End, SourceRecord};
use crate::base::{Interval, Utc};
use crate::ical::DateOrTime;
use crate::zone::Zone;

/// A day in seconds.
pub(super) const DAY: i64 = 86_400;

/// The absolute time of `value`, what has no zone being read in `floating`.
pub(super) fn instant(value: &DateOrTime, floating: &Zone) -> Utc {
    match value {
        DateOrTime::Utc(local) => Utc::from_naive(*local),
        DateOrTime::Zoned(local, tzid) => Zone::named(tzid).as_ref().unwrap_or(floating).to_utc(*local),
        DateOrTime::Date(_) | DateOrTime::Floating(_) => floating.to_utc(value.local()),
    }
}

/// What tells instances of a series apart: the original start as a point in time; of a date, its first second in UTC.
pub(super) fn key_of(original: &DateOrTime, floating: &Zone) -> Utc {
    match original {
        DateOrTime::Date(_) => Utc::from_naive(original.local()),
        _ => instant(original, floating),
    }
}

/// `value` as it is kept: a local time in an IANA zone where the zone is known. A time in UTC moves into `zone`.
pub(super) fn in_zone(value: &DateOrTime, zone: Option<&str>) -> DateOrTime {
    match value {
        DateOrTime::Date(_) | DateOrTime::Floating(_) => value.clone(),
        DateOrTime::Utc(local) => match zone.and_then(Zone::named) {
            Some(zone) => zoned(&zone, Utc::from_naive(*local)),
            None => value.clone(),
        },
        DateOrTime::Zoned(local, tzid) => match Zone::named(tzid) {
            Some(zone) => match zone.iana_name() {
                Some("UTC") | None => zoned(&zone, zone.to_utc(*local)),
                Some(name) => DateOrTime::Zoned(*local, name.to_owned()),
            },
            // Nobody knows the zone: the time is as it stands for whoever looks (T2).
            None => DateOrTime::Floating(*local),
        },
    }
}

/// The point `utc` as a local time in `zone`; in UTC where the zone has no name or is UTC.
pub(super) fn zoned(zone: &Zone, utc: Utc) -> DateOrTime {
    match zone.iana_name() {
        Some("UTC") | None => DateOrTime::Utc(utc.naive()),
        Some(name) => DateOrTime::Zoned(zone.to_local(utc), name.to_owned()),
    }
}

/// From when to when `content` says the event, or the first of the series, is. A call that has no planned time: its real one.
pub(super) fn interval(content: &Content, floating: &Zone) -> Option<Interval> {
    let Some(start) = &content.start else {
        let started = content.started?;
        return Some(Interval::new(started, content.ended.unwrap_or(started)));
    };
    let from = instant(start, floating);
    let to = match &content.end {
        Some(End::At(end)) => instant(end, floating),
        Some(End::After(seconds)) => from.plus(*seconds),
        None if start.is_date() => from.plus(DAY),
        None => from,
    };
    Some(Interval::new(from, to))
}

/// The span that a series or an event can lie in: a rule is taken as endless.
pub(super) fn span(content: &Content, floating: &Zone) -> Option<Interval> {
    let first = interval(content, floating)?;
    let recurs = content.recurrence.as_ref().is_some_and(|recurrence| !recurrence.is_empty());
    Some(if recurs { Interval::new(first.start, Utc::MAX) } else { first })
}

/// Whether `record` may have anything in `window`: what has no time of its own may.
pub(super) fn may_touch(record: &SourceRecord, window: Interval) -> bool {
    let span = span(&record.content, &Zone::utc());
    span.is_none_or(|span| span.start < window.end && (window.start < span.end || span.start >= window.start))
}

/// The end that `end` is for something that starts at `start`, in the form of the start and not before it. Without an end a day
/// lasts a day and a time no time (RFC 5545 §3.6.1).
pub(super) fn end_of(start: &DateOrTime, end: Option<&End>) -> DateOrTime {
    let utc = Zone::utc();
    let from = instant(start, &utc);
    let to = match end {
        Some(End::After(seconds)) => from.plus((*seconds).max(0)),
        Some(End::At(at)) => instant(at, &utc).max(from),
        None => from,
    };
    match start {
        DateOrTime::Date(first) => {
            let days = (to.0 - from.0 + DAY - 1).div_euclid(DAY).max(1);
            let last = first.checked_add_days(chrono::Days::new(days.unsigned_abs()));
            DateOrTime::Date(last.unwrap_or(*first))
        }
        DateOrTime::Utc(_) => DateOrTime::Utc(to.naive()),
        DateOrTime::Floating(_) => DateOrTime::Floating(to.naive()),
        DateOrTime::Zoned(_, tzid) => match Zone::named(tzid) {
            Some(zone) => DateOrTime::Zoned(zone.to_local(to), tzid.clone()),
            None => DateOrTime::Zoned(to.naive(), tzid.clone()),
        },
    }
}

/// The length in seconds, exact.
pub(super) fn seconds_between(start: &DateOrTime, end: &DateOrTime) -> i64 {
    let utc = Zone::utc();
    instant(end, &utc).0 - instant(start, &utc).0
}
