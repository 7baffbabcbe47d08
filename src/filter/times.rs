//! The tables of RFC 4791 §9.9: when a component overlaps a time-range. To the letter, with `start` and `end` of the
//! range; instances come with their effective start and end.

use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, ComponentKind, DateOrTime, Duration, Period, PeriodEnd};
use crate::recur::{Series, Span};
use crate::zone::Zones;

/// Whether an instance that `component` describes overlaps `range`.
pub(super) fn instance_overlaps(component: &Component, instance: Interval, range: Interval) -> bool {
    match component.is("VTODO") {
        true => !is_undated(component) && todo_overlaps(component, instance, range),
        false => event_overlaps(instance, range),
    }
}

/// A second more on both sides: some conditions include ends that merely touch the range, and instances have to be looked
/// for there as well.
pub(super) fn widened(range: Interval) -> Interval {
    Interval::new(range.start.plus(-1), range.end.plus(1))
}

/// The table of VEVENT and of VJOURNAL, for an instance. One of no length counts where it stands: that is the row of a
/// DTSTART alone, and the only sensible reading of a DTEND that equals DTSTART, which the RFC forbids.
pub(super) fn event_overlaps(instance: Interval, range: Interval) -> bool {
    if instance.start == instance.end {
        return point_in(instance.start, range);
    }
    range.start < instance.end && range.end > instance.start
}

/// `(start <= point AND end > point)`: alarms, and the date properties.
pub(super) fn point_in(point: Utc, range: Interval) -> bool {
    range.start <= point && range.end > point
}

/// The rows of VTODO's table that have DTSTART or DUE, for an instance of `todo`.
pub(super) fn todo_overlaps(todo: &Component, instance: Interval, range: Interval) -> bool {
    let has = |name| todo.property(name).is_some();
    let (start, end) = (range.start, range.end);
    let (dtstart, due) = (instance.start, instance.end);
    match (has("DTSTART"), has("DURATION"), has("DUE")) {
        (true, _, true) => (start < due || start <= dtstart) && (end > dtstart || end >= due),
        (true, true, false) => start <= due && (end > dtstart || end >= due),
        (true, false, false) => start <= dtstart && end > dtstart,
        (false, ..) => start < due && end >= due,
    }
}

/// Whether the VTODO has no place in time of its own, so that [`undated_todo_overlaps`] is asked and not its instances.
pub(super) fn is_undated(todo: &Component) -> bool {
    todo.property("DTSTART").is_none() && todo.property("DUE").is_none()
}

/// The rows of VTODO's table that have neither DTSTART nor DUE.
pub(super) fn undated_todo_overlaps(todo: &Component, range: Interval, zones: &Zones) -> bool {
    let (start, end) = (range.start, range.end);
    match (time_of(todo, "COMPLETED", zones), time_of(todo, "CREATED", zones)) {
        (Some(completed), Some(created)) => {
            (start <= created || start <= completed) && (end >= created || end >= completed)
        }
        (Some(completed), None) => start <= completed && end >= completed,
        (None, Some(created)) => end > created,
        (None, None) => true,
    }
}

/// The table of VFREEBUSY.
pub(super) fn freebusy_overlaps(freebusy: &Component, range: Interval, zones: &Zones) -> bool {
    match (time_of(freebusy, "DTSTART", zones), end_of(freebusy, zones)) {
        (Some(dtstart), Some(dtend)) => range.start <= dtend && range.end > dtstart,
        _ => stored_periods(freebusy, zones).any(|period| period_overlaps(period, range)),
    }
}

/// The condition of a FREEBUSY value: `(start < period-end AND end > period-start)`.
pub(super) fn period_overlaps(period: Interval, range: Interval) -> bool {
    range.start < period.end && range.end > period.start
}

/// The table of VAVAILABILITY (RFC 7953 §7.2.1): open where it says nothing.
pub(super) fn availability_overlaps(availability: &Component, range: Interval, zones: &Zones) -> bool {
    let (start, end) = availability_ends(availability, zones);
    end.is_none_or(|end| range.start < end) && start.is_none_or(|start| range.end > start)
}

fn availability_ends(availability: &Component, zones: &Zones) -> (Option<Utc>, Option<Utc>) {
    let dtstart = availability.date("DTSTART").ok().flatten();
    let duration = availability.duration("DURATION").ok().flatten();
    let by_duration = || Some(after(dtstart.as_ref()?, duration?, zones));
    let end = end_of(availability, zones).or_else(by_duration);
    (dtstart.as_ref().map(|start| zones.to_utc(start)), end)
}

/// The absolute time of the first property called `name`; `None` if it is missing or unreadable.
pub(super) fn time_of(component: &Component, name: &str, zones: &Zones) -> Option<Utc> {
    component.date(name).ok().flatten().map(|date| zones.to_utc(&date))
}

/// The absolute time of DTEND, which stands beside DTSTART.
fn end_of(component: &Component, zones: &Zones) -> Option<Utc> {
    let end = component.date("DTEND").ok().flatten()?;
    let start = component.date("DTSTART").ok().flatten();
    Some(zones.to_utc(&start.map_or(end.clone(), |start| end.beside(&start))))
}

fn stored_periods<'a>(freebusy: &'a Component, zones: &'a Zones) -> impl Iterator<Item = Interval> + 'a {
    let periods = freebusy.properties.iter().filter(|p| p.is("FREEBUSY")).filter_map(|p| p.periods().ok());
    periods.flatten().map(|period| interval_of(&period, zones))
}

/// The absolute time of a period. Its length, if it is given by one, is in days of 24 hours: the periods that stand in a
/// calendar by themselves are in UTC (RFC 5545 §3.8.2.6).
pub fn interval_of(period: &Period, zones: &Zones) -> Interval {
    let start = zones.to_utc(&period.start);
    let end = match &period.end {
        PeriodEnd::At(end) => zones.to_utc(&end.beside(&period.start)),
        PeriodEnd::After(length) => start.plus(seconds_of(*length)),
    };
    Interval::new(start, end)
}

/// A duration with days of 24 hours.
pub(super) fn seconds_of(length: Duration) -> i64 {
    length.days.saturating_mul(86_400).saturating_add(length.seconds)
}

/// `start` moved by `length`: its days by the calendar, its seconds by the clock (RFC 5545 §3.3.6).
pub(super) fn after(start: &DateOrTime, length: Duration, zones: &Zones) -> Utc {
    let moved = chrono::TimeDelta::try_days(length.days).and_then(|days| start.local().checked_add_signed(days));
    match (moved, start) {
        (Some(local), DateOrTime::Date(_)) => zones.to_utc(&DateOrTime::Floating(local)).plus(length.seconds),
        (Some(local), _) => zones.to_utc(&start.at(local)).plus(length.seconds),
        (None, _) => zones.to_utc(start).plus(seconds_of(length)),
    }
}

/// The span of everything in `object` that a time-range without alarms can ask for, and that busy time can come from: what
/// an index row keeps. `None` if it has no place in time: an undated to-do, or availability without bounds.
pub fn span_of(object: &CalendarObject, series: &Series) -> Option<Span> {
    let components = &object.calendar.components;
    match object.kind {
        ComponentKind::Event | ComponentKind::Journal => series.span(),
        ComponentKind::Todo if components.iter().any(|c| c.is("VTODO") && is_undated(c)) => None,
        ComponentKind::Todo => series.span(),
        ComponentKind::FreeBusy => hull(object.calendar.children("VFREEBUSY"), series.zones()),
        ComponentKind::Availability => {
            let ends = object.calendar.children("VAVAILABILITY").map(|c| availability_ends(c, series.zones()));
            ends.map(|(start, end)| Span { start: start.unwrap_or(Utc::MIN), end }).reduce(join)
        }
    }
}

fn hull<'a>(freebusys: impl Iterator<Item = &'a Component>, zones: &Zones) -> Option<Span> {
    let whole = |c: &Component| Some(Interval::new(time_of(c, "DTSTART", zones)?, end_of(c, zones)?));
    let parts = freebusys.flat_map(|c| whole(c).into_iter().chain(stored_periods(c, zones)).collect::<Vec<_>>());
    parts.map(|i| Span { start: i.start, end: Some(i.end) }).reduce(join)
}

fn join(a: Span, b: Span) -> Span {
    Span { start: a.start.min(b.start), end: a.end.zip(b.end).map(|(a, b)| a.max(b)) }
}
