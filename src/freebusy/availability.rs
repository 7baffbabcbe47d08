//! Availability (RFC 7953 §5): within the time that a VAVAILABILITY speaks of, one is busy outside of its AVAILABLEs.

use super::periods::{subtract, union};
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, DateOrTime, Duration, available_objects};
use crate::recur::{Budget, BudgetExceeded, Series};
use crate::zone::{Zone, Zones};

/// One VAVAILABILITY, computed.
struct Layer {
    /// From 1, the highest, to 9; 10 where nothing or 0 is said, which is the lowest.
    priority: i64,
    kind: BusyType,
    range: Interval,
    available: Vec<Interval>,
}

/// The busy time that all VAVAILABILITYs of `objects` together leave in `window` (RFC 7953 §5): those of a higher PRIORITY
/// replace the lower ones for the time they speak of; among equals all busy time is laid out first and all
/// available time is cut out after it. Clipped to the window. Events are laid over it afterwards, by [`super::merge`].
///
/// # Errors
/// [`BudgetExceeded`] if their recurrences are more than `budget` allows.
pub fn unavailable(
    objects: &[&CalendarObject],
    window: Interval,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Vec<BusyPeriod>, BudgetExceeded> {
    let mut layers = Vec::new();
    for object in objects {
        let zones = Zones::of(&object.calendar, floating);
        for availability in object.calendar.children("VAVAILABILITY") {
            layers.extend(layer(&object.calendar, availability, window, &zones, floating, budget)?);
        }
    }
    // Lowest priority first: what comes later is painted over it.
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.priority));
    Ok(layers.chunk_by(|a, b| a.priority == b.priority).fold(Vec::new(), |below, equals| paint(&below, equals)))
}

/// `equals` laid over `below`.
fn paint(below: &[BusyPeriod], equals: &[Layer]) -> Vec<BusyPeriod> {
    let spoken_of = union(equals.iter().map(|layer| layer.range));
    let available = union(equals.iter().flat_map(|layer| layer.available.iter().copied()));
    let mut painted = cut_out(below.iter().copied(), &spoken_of);
    let busy = equals.iter().map(|layer| BusyPeriod { interval: layer.range, kind: layer.kind });
    painted.extend(cut_out(busy, &available));
    painted
}

fn cut_out(periods: impl Iterator<Item = BusyPeriod>, holes: &[Interval]) -> Vec<BusyPeriod> {
    let rest = |p: BusyPeriod| {
        let parts = subtract(&[p.interval], holes);
        parts.into_iter().map(move |interval| BusyPeriod { interval, kind: p.kind })
    };
    periods.flat_map(rest).collect()
}

fn layer(
    calendar: &Component,
    availability: &Component,
    window: Interval,
    zones: &Zones,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Option<Layer>, BudgetExceeded> {
    let Some(range) = range_of(availability, zones).intersection(window) else { return Ok(None) };
    let mut available = Vec::new();
    for object in available_objects(calendar, availability) {
        let Ok(series) = Series::new(&object, floating) else { continue };
        for occurrence in series.occurrences(range, budget)? {
            let endless = object.calendar.components.get(occurrence.component).is_some_and(has_no_end);
            let end = if endless { range.end } else { occurrence.interval.end };
            available.extend(Interval::new(occurrence.interval.start, end).intersection(range));
        }
    }
    let priority = availability.integer("PRIORITY").ok().flatten().filter(|p| (1..=9).contains(p)).unwrap_or(10);
    Ok(Some(Layer { priority, kind: busy_type(availability), range, available: union(available.into_iter()) }))
}

/// BUSYTYPE (RFC 7953 §3.2).
fn busy_type(availability: &Component) -> BusyType {
    if availability.value_is("BUSYTYPE", "BUSY") {
        BusyType::Busy
    } else if availability.value_is("BUSYTYPE", "BUSY-TENTATIVE") {
        BusyType::Tentative
    } else {
        BusyType::Unavailable
    }
}

/// The time that a VAVAILABILITY speaks of; open where it has no DTSTART, and where it has neither DTEND nor DURATION.
fn range_of(availability: &Component, zones: &Zones) -> Interval {
    let start = availability.date("DTSTART").ok().flatten();
    let beside = |end: DateOrTime| start.as_ref().map_or_else(|| end.clone(), |start| end.beside(start));
    let end = availability.date("DTEND").ok().flatten().map(|end| zones.to_utc(&beside(end)));
    let length = availability.duration("DURATION").ok().flatten();
    let from = start.as_ref().map_or(Utc::MIN, |start| zones.to_utc(start));
    let after = || Some(after(start.as_ref()?, length?, zones));
    Interval::new(from, end.or_else(after).unwrap_or(Utc::MAX))
}

/// `start` moved by `length`: its days by the calendar, its seconds by the clock.
fn after(start: &DateOrTime, length: Duration, zones: &Zones) -> Utc {
    let days = chrono::TimeDelta::try_days(length.days).unwrap_or_default();
    let local = start.local().checked_add_signed(days).unwrap_or(start.local());
    zones.to_utc(&start.at(local)).plus(length.seconds)
}

/// An AVAILABLE that says when it starts and not when it ends goes on for as long as its VAVAILABILITY does.
fn has_no_end(available: &Component) -> bool {
    available.property("DTEND").is_none()
        && available.property("DURATION").is_none()
        && available.property("RRULE").is_none()
}
