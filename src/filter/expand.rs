//! CALDAV:expand (RFC 4791 §9.6.5): each instance a component of its own, in UTC, without recurrence properties and
//! without time zones. All-day instances stay dates, floating ones stay floating: neither refers to a zone.

use super::check::listed;
use super::times::{after, instance_overlaps, is_undated, undated_todo_overlaps, widened};
use crate::base::Interval;
use crate::ical::{CalendarObject, Component, ComponentKind, DateOrTime, Property};
use crate::recur::{Budget, BudgetExceeded, Occurrence, Series};
use crate::zone::Zones;

/// What an expanded component no longer has. RECURRENCE-ID is written anew.
const RECURRENCE: [&str; 5] = ["RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"];

/// The calendar with an own component for each instance that overlaps `window`, in order of their starts. Stored free-busy
/// time and availability do not expand; their objects stay as they are.
pub(super) fn expanded(
    object: &CalendarObject,
    series: &Series,
    window: Interval,
    budget: &mut Budget,
) -> Result<Component, BudgetExceeded> {
    let mut calendar = object.calendar.clone();
    if matches!(object.kind, ComponentKind::FreeBusy | ComponentKind::Availability) {
        return Ok(calendar);
    }
    let zones = series.zones();
    let recurring = series.is_recurring() || !object.overrides.is_empty();
    calendar.components = undated(object, window, zones);
    for occurrence in series.occurrences(widened(window), budget)? {
        let Some(component) = object.calendar.components.get(occurrence.component) else { continue };
        if instance_overlaps(component, occurrence.interval, window) {
            calendar.components.push(instance(component, &occurrence, recurring, zones));
        }
    }
    Ok(calendar)
}

/// To-dos with no time of their own are in no series and still overlap ranges.
fn undated(object: &CalendarObject, window: Interval, zones: &Zones) -> Vec<Component> {
    let todos = object.calendar.components.iter().filter(|c| c.is("VTODO") && is_undated(c));
    todos.filter(|c| undated_todo_overlaps(c, window, zones)).cloned().map(|c| without_zones(c, zones)).collect()
}

/// The component of one instance.
fn instance(component: &Component, o: &Occurrence, recurring: bool, zones: &Zones) -> Component {
    let keeps_duration = keeps_duration(component, o, zones);
    let mut own = Component { properties: Vec::with_capacity(component.properties.len() + 1), ..component.clone() };
    for property in &component.properties {
        if property.is("DTSTART") {
            own.properties.push(Property::with_date("DTSTART", &absolute(&o.start, zones)));
        } else if property.is("DTEND") || property.is("DUE") {
            own.properties.push(Property::with_date(&property.name, &end_of(component, property, o)));
        } else if !(listed(&RECURRENCE, &property.name) || property.is("DURATION") && !keeps_duration) {
            own.properties.push(property.clone());
        }
    }
    if recurring {
        insert_behind_start(&mut own, Property::with_date("RECURRENCE-ID", &absolute(&o.recurrence_id, zones)));
    }
    if !keeps_duration {
        add_end(&mut own, o);
    }
    without_zones(own, zones)
}

/// Whether the component's DURATION, or that it has none, still tells the instance's length once its start is in UTC. It does not
/// if the clock changes within a length of days, or if an RDATE gave the instance a length of its own.
fn keeps_duration(component: &Component, o: &Occurrence, zones: &Zones) -> bool {
    let has_end = component.property("DTEND").is_some() || component.property("DUE").is_some();
    match component.duration("DURATION").ok().flatten() {
        _ if has_end || o.start.is_date() => true,
        Some(length) => after(&absolute(&o.start, zones), length, zones) == o.interval.end,
        None => component.property("DURATION").is_some() || o.interval.start == o.interval.end,
    }
}

fn add_end(own: &mut Component, o: &Occurrence) {
    let name = if own.is("VTODO") { "DUE" } else { "DTEND" };
    insert_behind_start(own, Property::with_date(name, &DateOrTime::Utc(o.interval.end.naive())));
}

fn insert_behind_start(own: &mut Component, property: Property) {
    let start = own.properties.iter().position(|p| p.is("DTSTART") || p.is("DUE"));
    own.properties.insert(start.map_or(0, |at| at + 1), property);
}

/// The DTEND or DUE of an instance, in the form of `property`: as far from its start as the component's end is from
/// the component's start.
fn end_of(component: &Component, property: &Property, o: &Occurrence) -> DateOrTime {
    let written = property.date().ok();
    let start = component.date("DTSTART").ok().flatten();
    match (written, start) {
        (Some(end @ (DateOrTime::Date(_) | DateOrTime::Floating(_))), Some(start)) => {
            let local = o.start.local().checked_add_signed(end.local() - start.local());
            end.at(local.unwrap_or(o.start.local()))
        }
        (Some(end @ (DateOrTime::Date(_) | DateOrTime::Floating(_))), None) => end,
        _ => DateOrTime::Utc(o.interval.end.naive()),
    }
}

/// Times of a zone become times in UTC; dates and floating times stay.
fn absolute(date: &DateOrTime, zones: &Zones) -> DateOrTime {
    match date {
        DateOrTime::Zoned(..) => DateOrTime::Utc(zones.to_utc(date).naive()),
        other => other.clone(),
    }
}

/// The component, and what is inside of it, with no reference to a time zone.
fn without_zones(mut component: Component, zones: &Zones) -> Component {
    for property in component.properties.iter_mut().filter(|p| p.param("TZID").is_some()) {
        if let Ok(dates) = property.dates() {
            let absolute: Vec<String> = dates.iter().map(|date| absolute(date, zones).to_string()).collect();
            property.value = absolute.join(",");
        }
        property.remove_param("TZID");
    }
    component.components = component.components.into_iter().map(|inner| without_zones(inner, zones)).collect();
    component
}
