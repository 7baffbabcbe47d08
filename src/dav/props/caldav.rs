//! The properties of calendars and homes: RFC 4791 §5.2, RFC 6638 §9.1 (schedule-calendar-transp), RFC 7809 §5.2
//! (calendar-timezone-id), RFC 7953 §7.2.4 (calendar-availability).

use super::Value::{Missing, Written};
use super::webdav::text_of;
use super::{Change, Kinds, Reader, Row, Sight, Target, Value};
use crate::base::Utc;
use crate::ical;
use crate::model::{CalendarSettings, Components};
use crate::xml::{Writer, ns};
use crate::zone::Zone;

/// Where the limits on calendar objects are shown.
const CALENDARS: Kinds = Kinds::CALENDAR.or(Kinds::HOME);

/// The table.
pub const ROWS: &[Row] = &[
    Row::new(ns::CALDAV, "calendar-description", Kinds::CALENDAR, nothing).change(Change::Always),
    Row::new(ns::CALDAV, "calendar-timezone", Kinds::CALENDAR, calendar_timezone).change(Change::Always),
    Row::new(ns::CALDAV, "calendar-timezone-id", Kinds::CALENDAR, calendar_timezone_id).change(Change::Always),
    Row::new(ns::CALDAV, "supported-calendar-component-set", Kinds::CALENDAR, component_set)
        .change(Change::AtCreation)
        .read(Reader::Anybody),
    Row::new(ns::CALDAV, "supported-calendar-data", CALENDARS, supported_calendar_data).read(Reader::Anybody),
    Row::new(ns::CALDAV, "supported-collation-set", CALENDARS, supported_collation_set).read(Reader::Anybody),
    Row::new(ns::CALDAV, "max-resource-size", CALENDARS, max_resource_size).read(Reader::Anybody),
    Row::new(ns::CALDAV, "min-date-time", CALENDARS, min_date_time).read(Reader::Anybody),
    Row::new(ns::CALDAV, "max-date-time", CALENDARS, max_date_time).read(Reader::Anybody),
    Row::new(ns::CALDAV, "max-instances", CALENDARS, max_instances).read(Reader::Anybody),
    Row::new(ns::CALDAV, "max-attendees-per-instance", CALENDARS, max_attendees).read(Reader::Anybody),
    Row::new(ns::CALDAV, "schedule-calendar-transp", Kinds::CALENDAR, schedule_calendar_transp).change(Change::Always),
    Row::new(ns::CALDAV, "calendar-availability", CALENDARS, nothing).change(Change::Always),
    Row::new(ns::CS, "allowed-calendar-component-set", Kinds::HOME, allowed_component_set).read(Reader::Anybody),
];

/// A property that is there only if it was set.
fn nothing(_: &Sight, _: Target<'_>, _: &mut Writer) -> Value {
    Missing
}

fn settings(target: Target<'_>) -> Option<&CalendarSettings> {
    target.node()?.collection.calendar()
}

/// The zone set by value comes as it was set; one set by its identifier is written out (RFC 7809 §3.1.5).
fn calendar_timezone(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let Some(settings) = settings(target) else { return Missing };
    let by_id = || {
        let id = settings.timezone_id.as_deref()?;
        let zone = Zone::named(id)?.vtimezone(id, sight.now);
        Some(ical::new_calendar().with_component(zone).to_ics())
    };
    text_of(settings.timezone.clone().or_else(by_id).as_deref(), writer)
}

fn calendar_timezone_id(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let Some(settings) = settings(target) else { return Missing };
    let by_value = || tzid(settings.timezone.as_deref()?, sight);
    let id = settings.timezone_id.clone().or_else(by_value);
    text_of(id.as_deref(), writer)
}

/// The TZID of a VCALENDAR text with one VTIMEZONE.
fn tzid(text: &str, sight: &Sight) -> Option<String> {
    let calendar = ical::parse(text.as_bytes(), &sight.context.limits).ok()?;
    let zone = calendar.components.iter().find(|component| component.is("VTIMEZONE"))?;
    Some(zone.property("TZID")?.text().into_owned())
}

fn component_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match settings(target) {
        Some(settings) => {
            write_components(writer, settings.components);
            Written
        }
        None => Missing,
    }
}

fn allowed_component_set(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    write_components(writer, Components::ALL);
    Written
}

fn write_components(writer: &mut Writer, components: Components) {
    for kind in components.iter() {
        writer.open(ns::CALDAV, "comp").attribute("name", kind.name()).close();
    }
}

fn supported_calendar_data(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    for media_type in ["text/calendar", "application/calendar+json"] {
        writer.open(ns::CALDAV, "calendar-data").attribute("content-type", media_type);
        writer.attribute("version", "2.0").close();
    }
    Written
}

fn supported_collation_set(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    for collation in ["i;ascii-casemap", "i;octet", "i;unicode-casemap"] {
        writer.element(ns::CALDAV, "supported-collation", collation);
    }
    Written
}

fn max_resource_size(sight: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    text_of(Some(&sight.context.limits.resource_bytes_max.to_string()), writer)
}

fn min_date_time(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    text_of(Some(&Utc::MIN.to_string()), writer)
}

fn max_date_time(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    text_of(Some(&Utc::MAX.to_string()), writer)
}

fn max_instances(sight: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    text_of(Some(&sight.context.limits.instances_max.to_string()), writer)
}

fn max_attendees(sight: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    text_of(Some(&sight.context.limits.attendees_max.to_string()), writer)
}

fn schedule_calendar_transp(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match settings(target) {
        Some(settings) => {
            writer.empty(ns::CALDAV, if settings.transparent { "transparent" } else { "opaque" });
            Written
        }
        None => Missing,
    }
}
