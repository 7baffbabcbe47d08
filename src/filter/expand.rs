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
    if !expands(object) {
        return Ok(object.calendar.clone());
    }
    let zones = series.zones();
    let recurring = series.is_recurring() || !object.overrides.is_empty();
    let mut calendar = Component {
        name: object.calendar.name.clone(),
        properties: object.calendar.properties.clone(),
        components: undated(object, window, zones),
        line: object.calendar.line,
    };
    for occurrence in series.occurrences(widened(window), budget)? {
        let Some(component) = object.calendar.components.get(occurrence.component) else { continue };
        if instance_overlaps(component, occurrence.interval, window) {
            calendar.components.push(instance(component, &occurrence, recurring, zones));
        }
    }
    Ok(calendar)
}

/// The text of what [`expanded`] gives. Of all the instances that a component describes only the times differ, so the rest is
/// written once and copied.
pub(super) fn expanded_text(
    object: &CalendarObject,
    series: &Series,
    window: Interval,
    budget: &mut Budget,
) -> Result<String, BudgetExceeded> {
    let calendar = &object.calendar;
    if !expands(object) {
        return Ok(calendar.to_ics());
    }
    let zones = series.zones();
    let recurring = series.is_recurring() || !object.overrides.is_empty();
    let mut out = String::with_capacity(1024);
    calendar.write_begin(&mut out);
    calendar.properties.iter().for_each(|property| property.write_ics(&mut out));
    undated(object, window, zones).iter().for_each(|component| component.write_ics(&mut out));
    let mut templates: Vec<(usize, Template<'_>)> = Vec::new();
    for occurrence in series.occurrences(widened(window), budget)? {
        let Some(component) = calendar.components.get(occurrence.component) else { continue };
        if !instance_overlaps(component, occurrence.interval, window) {
            continue;
        }
        if !keeps_duration(component, &occurrence, zones) {
            instance(component, &occurrence, recurring, zones).write_ics(&mut out);
            continue;
        }
        let at = templates.iter().position(|(of, _)| *of == occurrence.component).unwrap_or_else(|| {
            templates.push((occurrence.component, Template::of(component, recurring, zones)));
            templates.len() - 1
        });
        templates[at].1.write(&occurrence, zones, &mut out);
    }
    calendar.write_end(&mut out);
    Ok(out)
}

/// Stored free-busy time and availability stay as they are.
fn expands(object: &CalendarObject) -> bool {
    !matches!(object.kind, ComponentKind::FreeBusy | ComponentKind::Availability)
}

/// The text of a component's instances: what [`instance`] makes of one whose length its DURATION still tells.
struct Template<'a> {
    component: &'a Component,
    pieces: Vec<Piece<'a>>,
}

enum Piece<'a> {
    /// The same in all of them.
    Text(String),
    Start,
    RecurrenceId,
    /// DTEND or DUE.
    End(&'a Property),
}

impl<'a> Template<'a> {
    fn of(component: &'a Component, recurring: bool, zones: &Zones) -> Self {
        let mut template = Self { component, pieces: Vec::new() };
        template.text(|text| component.write_begin(text));
        let is_start = |property: &Property| property.is("DTSTART") || property.is("DUE");
        let mut identified = !recurring;
        if recurring && !component.properties.iter().any(is_start) {
            template.pieces.push(Piece::RecurrenceId);
            identified = true;
        }
        for property in &component.properties {
            if property.is("DTSTART") {
                template.pieces.push(Piece::Start);
            } else if property.is("DTEND") || property.is("DUE") {
                template.pieces.push(Piece::End(property));
            } else if !listed(&RECURRENCE, &property.name) {
                template.text(|text| without_zone(property.clone(), zones).write_ics(text));
            }
            if !identified && is_start(property) {
                template.pieces.push(Piece::RecurrenceId);
                identified = true;
            }
        }
        for inner in &component.components {
            template.text(|text| without_zones(inner.clone(), zones).write_ics(text));
        }
        template.text(|text| component.write_end(text));
        template
    }

    /// Adds to the text at its end.
    fn text(&mut self, write: impl FnOnce(&mut String)) {
        let mut text = match self.pieces.pop() {
            Some(Piece::Text(text)) => text,
            other => {
                self.pieces.extend(other);
                String::new()
            }
        };
        write(&mut text);
        self.pieces.push(Piece::Text(text));
    }

    fn write(&self, o: &Occurrence, zones: &Zones, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Start => write_date("DTSTART", &absolute(&o.start, zones), out),
                Piece::RecurrenceId => write_date("RECURRENCE-ID", &absolute(&o.recurrence_id, zones), out),
                Piece::End(property) => write_date(&property.name, &end_of(self.component, property, o), out),
            }
        }
    }
}

/// Writes the line of a date or time that is in no zone. It is too short to be folded.
fn write_date(name: &str, date: &DateOrTime, out: &mut String) {
    out.push_str(name);
    out.push_str(if date.is_date() { ";VALUE=DATE:" } else { ":" });
    date.write(out);
    out.push_str("\r\n");
}

/// To-dos with no time of their own are in no series and still overlap ranges.
fn undated(object: &CalendarObject, window: Interval, zones: &Zones) -> Vec<Component> {
    let todos = object.calendar.components.iter().filter(|c| c.is("VTODO") && is_undated(c));
    todos.filter(|c| undated_todo_overlaps(c, window, zones)).cloned().map(|c| without_zones(c, zones)).collect()
}

/// The component of one instance.
fn instance(component: &Component, o: &Occurrence, recurring: bool, zones: &Zones) -> Component {
    let keeps_duration = keeps_duration(component, o, zones);
    let mut own = Component {
        name: component.name.clone(),
        properties: Vec::with_capacity(component.properties.len() + 1),
        components: component.components.clone(),
        line: component.line,
    };
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
        // Read by the clock of the start, which is in UTC now.
        (Some(DateOrTime::Floating(_)), Some(DateOrTime::Zoned(..) | DateOrTime::Utc(_))) => {
            DateOrTime::Utc(o.interval.end.naive())
        }
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
    component.properties = component.properties.into_iter().map(|property| without_zone(property, zones)).collect();
    component.components = component.components.into_iter().map(|inner| without_zones(inner, zones)).collect();
    component
}

fn without_zone(mut property: Property, zones: &Zones) -> Property {
    if property.param("TZID").is_some() {
        if let Ok(dates) = property.dates() {
            let absolute: Vec<String> = dates.iter().map(|date| absolute(date, zones).to_string()).collect();
            property.value = absolute.join(",");
        }
        property.remove_param("TZID");
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Limits, Utc};
    use crate::zone::Zone;

    const EVENTS: [&str; 6] = [
        "DTSTART;TZID=Europe/Berlin:20261020T090000\r\nDTEND;TZID=Europe/Berlin:20261020T100000\r\nRRULE:FREQ=DAILY;COUNT=20\r\nEXDATE;TZID=Europe/Berlin:20261022T090000\r\nX-AT;TZID=Europe/Berlin:20261020T083000",
        "DTSTART;TZID=Europe/Berlin:20261024T220000\r\nDURATION:P1D\r\nRRULE:FREQ=DAILY;COUNT=4\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nDESCRIPTION:x\r\nEND:VALARM",
        "DTEND;VALUE=DATE:20261028\r\nDTSTART;VALUE=DATE:20261026\r\nRRULE:FREQ=WEEKLY;COUNT=3",
        "DTSTART:20261026T120000\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nRDATE;VALUE=PERIOD:20261029T100000Z/PT3H",
        "DTSTART:20261026T120000Z\r\nDTEND:20261026T130000Z",
        "DTSTART:20261026T120000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=5\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID:20261028T120000Z\r\nDTSTART:20261028T150000Z\r\nDURATION:PT2H",
    ];

    #[test]
    fn the_text_is_that_of_the_components() {
        let window = Interval::new(Utc(1_792_900_000), Utc(1_792_900_000 + 20 * 86_400));
        for event in EVENTS {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:a long summary that has to be folded since it is longer than one line may be\r\n{event}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("an object");
            let series = Series::new(&object, &Zone::utc()).expect("a series");
            let mut budget = Budget { steps: 100_000, instances: 1_000 };
            let components = expanded(&object, &series, window, &mut budget.clone()).map(|calendar| calendar.to_ics());
            let written = expanded_text(&object, &series, window, &mut budget);
            assert!(components.as_ref().is_ok_and(|text| text.contains("BEGIN:VEVENT")), "{event}");
            assert_eq!(written.ok(), components.ok(), "{event}");
        }
    }
}
