//! What one object is busy with (RFC 4791 §7.10).

use std::ops::ControlFlow;

use super::availability::unavailable;
use super::periods::clip;
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, ComponentKind, Period, PeriodEnd, Property};
use crate::recur::{Budget, BudgetExceeded, Series};
use crate::zone::{Zone, Zones};

/// Reading a stored period costs about as much as so many candidate dates.
const PERIOD_STEPS: u64 = 4;

/// What `object` contributes to the busy time of `window`, not yet merged: opaque events that are not cancelled, and
/// the periods of stored VFREEBUSYs (RFC 4791 §7.10), and the time outside of a VAVAILABILITY's AVAILABLEs (RFC 7953 §5; for
/// more than one such object see [`unavailable`]). Clipped to the window.
///
/// An object whose recurrence cannot be understood contributes nothing.
///
/// # Errors
/// [`BudgetExceeded`] if its recurrences are more than `budget` allows.
pub fn contributions(
    object: &CalendarObject,
    window: Interval,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Vec<BusyPeriod>, BudgetExceeded> {
    match object.kind {
        ComponentKind::Event if busy_types(object).iter().all(Option::is_none) => Ok(Vec::new()),
        ComponentKind::Event => match Series::new(object, floating) {
            Ok(series) => contributions_of_series(object, &series, window, budget),
            Err(_) => Ok(Vec::new()),
        },
        ComponentKind::FreeBusy => {
            let zones = Zones::of(&object.calendar, floating);
            let mut stored = Vec::new();
            for component in object.calendar.children("VFREEBUSY") {
                stored.extend(clip(stored_periods(component, &zones, budget)?, window));
            }
            Ok(stored)
        }
        ComponentKind::Availability => unavailable(&[object], window, floating, budget),
        ComponentKind::Todo | ComponentKind::Journal => Ok(Vec::new()),
    }
}

/// As [`contributions`] of an event whose `series` is already compiled.
///
/// Occurrences that follow each other without a gap become one period at once, and only periods are taken off the
/// budget's instances: an event of every second is busy all day, which takes steps but no room.
///
/// # Errors
/// [`BudgetExceeded`] if its recurrences are more than `budget` allows.
pub fn contributions_of_series(
    object: &CalendarObject,
    series: &Series,
    window: Interval,
    budget: &mut Budget,
) -> Result<Vec<BusyPeriod>, BudgetExceeded> {
    let kinds = busy_types(object);
    if kinds.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let mut periods: Vec<BusyPeriod> = Vec::new();
    let mut kept = Budget { steps: 0, instances: budget.instances };
    let mut within = Ok(());
    budget.instances = u64::MAX;
    let walked = series.each(window, budget, |occurrence, component| {
        let kind = kinds.get(component).copied().flatten();
        let Some((interval, kind)) = occurrence.intersection(window).zip(kind) else {
            return ControlFlow::Continue(());
        };
        if interval.start < interval.end && !extend_last(&mut periods, BusyPeriod { interval, kind }) {
            within = kept.take_instance();
        }
        if within.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    budget.instances = kept.instances;
    walked.and(within)?;
    Ok(periods)
}

/// Adds `next` to `periods`; whether it went on the last one, since that is of its kind and there is no gap.
fn extend_last(periods: &mut Vec<BusyPeriod>, next: BusyPeriod) -> bool {
    match periods.last_mut() {
        Some(last)
            if last.kind == next.kind
                && last.interval.start <= next.interval.start
                && next.interval.start <= last.interval.end =>
        {
            last.interval.end = last.interval.end.max(next.interval.end);
            true
        }
        _ => {
            periods.push(next);
            false
        }
    }
}

/// For each component of the object how busy it makes.
fn busy_types(object: &CalendarObject) -> Vec<Option<BusyType>> {
    object.calendar.components.iter().map(busy_type).collect()
}

/// The table of RFC 4791 §7.10.
fn busy_type(component: &Component) -> Option<BusyType> {
    let free = !component.is("VEVENT")
        || component.value_is("TRANSP", "TRANSPARENT")
        || component.value_is("STATUS", "CANCELLED");
    let tentative = component.value_is("STATUS", "TENTATIVE");
    match (free, tentative) {
        (true, _) => None,
        (false, true) => Some(BusyType::Tentative),
        (false, false) => Some(BusyType::Busy),
    }
}

fn stored_periods(freebusy: &Component, zones: &Zones, budget: &mut Budget) -> Result<Vec<BusyPeriod>, BudgetExceeded> {
    let mut all = Vec::new();
    for property in freebusy.all("FREEBUSY") {
        let Some(kind) = fbtype(property) else { continue };
        let periods = property.periods().unwrap_or_default();
        let steps = PERIOD_STEPS.saturating_mul(periods.len() as u64);
        budget.steps = budget.steps.checked_sub(steps).ok_or(BudgetExceeded)?;
        all.extend(periods.iter().map(|period| BusyPeriod { interval: interval_of(period, zones), kind }));
    }
    Ok(all)
}

/// FBTYPE (RFC 5545 §3.2.9): BUSY by default and for what we don't know.
fn fbtype(property: &Property) -> Option<BusyType> {
    let is = |kind| property.param_is("FBTYPE", kind);
    if is("FREE") {
        None
    } else if is("BUSY-TENTATIVE") {
        Some(BusyType::Tentative)
    } else if is("BUSY-UNAVAILABLE") {
        Some(BusyType::Unavailable)
    } else {
        Some(BusyType::Busy)
    }
}

/// The absolute time of a period. Those of FREEBUSY are in UTC (RFC 5545 §3.8.2.6), where a day has 24 hours.
fn interval_of(period: &Period, zones: &Zones) -> Interval {
    let start = zones.to_utc(&period.start);
    let end: Utc = match &period.end {
        PeriodEnd::At(end) => zones.to_utc(end),
        PeriodEnd::After(length) => start.plus(length.days.saturating_mul(86_400).saturating_add(length.seconds)),
    };
    Interval::new(start, end)
}
