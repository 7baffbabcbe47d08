//! Ranges (RANGE=THISANDFUTURE, RFC 5545 §3.2.13) in what a feed or an upstream server tells: a series with one becomes several
//! without, since few clients know the parameter and would show all but its first instance at their old time.

use crate::base::Limits;
use crate::ical::{CalendarObject, Component, DateOrTime, Property, new_calendar};
use crate::recur::{Stretch, stretches};
use crate::zone::{Zone, Zones};

/// Whether an override holds for all later instances too.
pub fn is_range(event: &Component) -> bool {
    event.property("RECURRENCE-ID").is_some_and(|id| id.param_is("RANGE", "THISANDFUTURE"))
}

/// Taking all of a download apart may take so many steps.
pub const STEPS_MAX: u64 = 4_000_000;
/// So many characters of what all objects share (their zones) count as a step.
const STEP: u64 = 64;

/// The series that `events`, all of one UID of `calendar`, are without ranges; none if they have none, no rule of theirs can be
/// followed, or it is more work than the `steps` that are left for the download (then a range counts as one instance).
/// Of a series that no rule describes, `dates_max` instances are written out.
pub fn apart(
    calendar: &Component,
    events: &[&Component],
    floating: &Zone,
    dates_max: u64,
    steps: &mut u64,
) -> Vec<Stretch> {
    if !events.iter().any(|event| is_range(event)) {
        return Vec::new();
    }
    if *steps == 0 {
        return Vec::new();
    }
    // Every object has the zones of all.
    let zones: usize = calendar.children("VTIMEZONE").map(|zone| zone.to_ics().len()).sum();
    let Some(left) = steps.checked_sub(1 + zones as u64 / STEP) else {
        *steps = 0;
        return Vec::new();
    };
    *steps = left;
    let uid = events.iter().find_map(|event| event.property("UID")).cloned();
    let mut whole = new_calendar();
    whole.components.extend(calendar.children("VTIMEZONE").cloned());
    whole.components.extend(events.iter().map(|event| {
        let mut event = (*event).clone();
        // Some have none, and an object needs one.
        event.set(Property::new("UID", "one"));
        event
    }));
    let dates_max = usize::try_from(dates_max).unwrap_or(usize::MAX);
    let object = CalendarObject::of(whole, &Limits::default()).map_err(|error| error.to_string());
    let mut found = object.and_then(|object| stretches(&object, floating, dates_max, steps)).unwrap_or_default();
    for event in found.iter_mut().flat_map(|one| std::iter::once(&mut one.master).chain(&mut one.overrides)) {
        event.remove("UID");
        event.properties.extend(uid.clone());
    }
    found
}

/// What the rest of `series` from the instance with the original start `from` on is called: the same for whoever has that series.
pub fn name(series: &str, from: &DateOrTime, zones: &Zones) -> String {
    match from {
        DateOrTime::Date(_) => format!("{series}_R{from}"),
        _ => format!("{series}_R{}", zones.to_utc(from)),
    }
}
