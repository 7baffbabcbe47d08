//! CALDAV:limit-recurrence-set (RFC 4791 §9.6.6) and CALDAV:limit-freebusy-set (§9.6.7).

use std::collections::HashSet;

use super::times::{instance_overlaps, interval_of, period_overlaps, widened};
use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, Override, Period, Property};
use crate::recur::{Budget, BudgetExceeded, Series};
use crate::zone::{Zone, Zones};

/// The calendar with its master and only those overrides that have, or replace, an instance in `window`.
pub(super) fn limited_overrides(
    object: &CalendarObject,
    series: &Series,
    window: Interval,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Component, BudgetExceeded> {
    let mut calendar = object.calendar.clone();
    if object.overrides.is_empty() {
        return Ok(calendar);
    }
    let current: HashSet<usize> = instances_in(object, series, window, budget)?.map(|(_, index)| index).collect();
    let originals = original_starts(object, window, floating, budget)?;
    let replaces = |own: &Override| {
        let from = series.key_of(&own.recurrence_id);
        if own.this_and_future { originals.last().is_some_and(|last| *last >= from) } else { originals.contains(&from) }
    };
    let outside = |index: &usize| {
        let own = object.overrides.iter().find(|o| o.index == *index);
        own.is_some_and(|own| !current.contains(index) && !replaces(own))
    };
    let kept = (0..).zip(calendar.components).filter(|(index, _)| !outside(index)).map(|(_, component)| component);
    calendar.components = kept.collect();
    Ok(calendar)
}

/// The starts of the instances that the master alone, without any override, would have in `window`. In order.
fn original_starts(
    object: &CalendarObject,
    window: Interval,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<Vec<Utc>, BudgetExceeded> {
    if object.master.is_none() {
        return Ok(Vec::new());
    }
    let bare = CalendarObject { overrides: Vec::new(), ..object.clone() };
    match Series::new(&bare, floating) {
        Ok(series) => Ok(instances_in(&bare, &series, window, budget)?.map(|(start, _)| start).collect()),
        Err(_) => Ok(Vec::new()),
    }
}

/// The instances that overlap `window` by the tables of §9.9: their starts, and which component describes them.
fn instances_in<'a>(
    object: &'a CalendarObject,
    series: &Series,
    window: Interval,
    budget: &mut Budget,
) -> Result<impl Iterator<Item = (Utc, usize)> + 'a, BudgetExceeded> {
    let instances = series.occurrences(widened(window), budget)?.into_iter();
    let kept = instances.filter(move |o| {
        let component = object.calendar.components.get(o.component);
        component.is_some_and(|component| instance_overlaps(component, o.interval, window))
    });
    Ok(kept.map(|o| (o.interval.start, o.component)))
}

/// Leaves out of the VFREEBUSYs in `calendar` the FREEBUSY values that do not overlap `window`.
pub(super) fn limited_freebusy(calendar: &mut Component, window: Interval, zones: &Zones) {
    for freebusy in calendar.components.iter_mut().filter(|c| c.is("VFREEBUSY")) {
        let properties = std::mem::take(&mut freebusy.properties);
        freebusy.properties = properties.into_iter().filter_map(|p| limited_periods(p, window, zones)).collect();
    }
}

fn limited_periods(mut property: Property, window: Interval, zones: &Zones) -> Option<Property> {
    if !property.is("FREEBUSY") {
        return Some(property);
    }
    let overlaps = |raw: &&str| Period::parse(raw, None).is_ok_and(|p| period_overlaps(interval_of(&p, zones), window));
    let kept: Vec<&str> = property.value.split(',').filter(overlaps).collect();
    if kept.is_empty() {
        return None;
    }
    property.value = kept.join(",");
    Some(property)
}
