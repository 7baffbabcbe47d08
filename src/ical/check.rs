//! What must hold inside a component for computed answers to be right (RFC 5545 §3.6): values that can be
//! read, properties that stand once, ends that fit their starts, bounds on what costs work.

use super::parse::shorten;
use super::rule::check_rule;
use super::{Component, ComponentKind, Invalid, InvalidKind, Property};
use crate::base::Limits;

/// Properties that tell when, who or what state, and so must not say it twice. RFC 5545 allows SUMMARY and others
/// only once too, but nobody is hurt if they are repeated: the first one counts.
const ONCE: &[&str] = &[
    "UID",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "RECURRENCE-ID",
    "COMPLETED",
    "ORGANIZER",
    "SEQUENCE",
    "STATUS",
    "TRANSP",
];

/// Components that never stand inside another one of these: one that does was not closed, or would be hidden.
const NEVER_INSIDE: &[&str] = &["VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "VTIMEZONE"];

/// Checks a component of an object of `kind`.
pub(super) fn check_component(component: &Component, kind: ComponentKind, limits: &Limits) -> Result<(), Invalid> {
    check_once(component)?;
    check_values(component, limits)?;
    check_times(component, kind)?;
    check_attendees(component, limits)?;
    if component.children("AVAILABLE").count() as u64 > limits.availables_max {
        return Err(data(
            component.line,
            format!("it has more than {} AVAILABLEs (limit availables_max)", limits.availables_max),
        ));
    }
    let mut inside: Vec<&Component> = component.components.iter().collect();
    while let Some(inner) = inside.pop() {
        if NEVER_INSIDE.iter().any(|name| inner.is(name)) {
            let message = format!("{} stands inside {}", shorten(&inner.name), shorten(&component.name));
            return Err(data(inner.line, message));
        }
        if kind == ComponentKind::Availability && inner.is("AVAILABLE") {
            check_once(inner)?;
            check_values(inner, limits)?;
            check_times(inner, ComponentKind::Event)?;
        }
        inside.extend(&inner.components);
    }
    Ok(())
}

fn data(line: u32, message: impl Into<String>) -> Invalid {
    Invalid::new(InvalidKind::CalendarData, line, message)
}

fn check_once(component: &Component) -> Result<(), Invalid> {
    let mut seen = [false; ONCE.len()];
    for property in &component.properties {
        let Some(at) = ONCE.iter().position(|name| property.is(name)) else { continue };
        if std::mem::replace(&mut seen[at], true) {
            return Err(data(property.line, format!("{} stands twice in {}", ONCE[at], shorten(&component.name))));
        }
    }
    Ok(())
}

/// Properties whose value is one date or time.
const DATES: &[&str] = &["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "COMPLETED", "CREATED"];

/// Reads every value that something is computed from.
fn check_values(component: &Component, limits: &Limits) -> Result<(), Invalid> {
    let mut dates: u64 = 0;
    for property in &component.properties {
        if DATES.iter().any(|name| property.is(name)) {
            property.date()?;
        } else if property.is("DURATION") {
            check_duration(property)?;
        } else if property.is("EXDATE") {
            property.dates()?;
        } else if property.is("RDATE") {
            dates = dates.saturating_add(count_dates(property)?);
            check_instances(dates, property, limits)?;
        } else if property.is("FREEBUSY") {
            property.periods()?;
        } else if property.is("RRULE") || property.is("EXRULE") {
            let count = check_rule(property)?;
            check_instances(count.unwrap_or_default(), property, limits)?;
        }
    }
    Ok(())
}

fn check_duration(property: &Property) -> Result<(), Invalid> {
    if property.duration()?.is_negative() {
        return Err(data(property.line, "DURATION is negative; it lasts from DTSTART forwards"));
    }
    Ok(())
}

fn count_dates(rdate: &Property) -> Result<u64, Invalid> {
    let count = if rdate.value_is("PERIOD") { rdate.periods()?.len() } else { rdate.dates()?.len() };
    Ok(count as u64)
}

fn check_instances(count: u64, property: &Property, limits: &Limits) -> Result<(), Invalid> {
    if count <= limits.instances_max {
        return Ok(());
    }
    let message = format!(
        "{} makes {count} instances; the limit instances_max is {}",
        shorten(&property.name),
        limits.instances_max
    );
    Err(Invalid::new(InvalidKind::Instances, property.line, message))
}

/// Whether start, end and duration go together (RFC 5545 §3.6.1, §3.6.2).
fn check_times(component: &Component, kind: ComponentKind) -> Result<(), Invalid> {
    let start = component.date("DTSTART")?;
    if start.is_none() && kind == ComponentKind::Event {
        return Err(data(component.line, format!("{} has no DTSTART", shorten(&component.name))));
    }
    let end_name = if kind == ComponentKind::Todo { "DUE" } else { "DTEND" };
    let Some(end) = component.property(end_name) else { return Ok(()) };
    if component.property("DURATION").is_some() {
        return Err(data(end.line, format!("{end_name} and DURATION stand together; keep one of them")));
    }
    // To-dos with a day as start and a time as due (or the other way) are common, and their tables
    // (RFC 4791 §9.9) work with it.
    let Some(start) = start.filter(|_| kind != ComponentKind::Todo) else { return Ok(()) };
    if start.is_date() != end.date()?.is_date() {
        return Err(data(end.line, format!("DTSTART and {end_name} are not both dates or both times")));
    }
    Ok(())
}

fn check_attendees(component: &Component, limits: &Limits) -> Result<(), Invalid> {
    let count = component.all("ATTENDEE").count() as u64;
    if count <= limits.attendees_max {
        return Ok(());
    }
    let message = format!("it has {count} attendees; the limit attendees_max is {}", limits.attendees_max);
    Err(Invalid::new(InvalidKind::Attendees, component.line, message))
}
