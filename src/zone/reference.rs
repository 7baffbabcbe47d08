//! Time zones by reference (RFC 7809 §3.1.3): calendar data with the VTIMEZONEs that a reader wants, and no others.
//!
//! Not here: who wants what (the header field CalDAV-Timezones is read in `dav`), and what a TZID means ([`Zones`](super::Zones)).

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Zone, iana};
use crate::base::Utc;
use crate::ical::{Component, DateOrTime, Property, used_tzids};
use crate::rule::civil;

/// The properties whose times decide when something is.
const TIMES: [&str; 6] = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE", "EXDATE"];

/// Which VTIMEZONEs a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timezones {
    /// Those that were stored.
    #[default]
    AsStored,
    /// One for each TZID that is named (`CalDAV-Timezones: T`).
    All,
    /// One for each TZID that is named and that is no IANA name (`CalDAV-Timezones: F`).
    NonStandard,
}

/// Whether `tzid` is exactly an IANA name (or alias), so that whoever has zone data at all knows it. Names that we alone
/// can resolve (Windows', prefixed ones, other cases) are not.
pub fn is_standard(tzid: &str) -> bool {
    iana::time_zone(tzid).is_some_and(|zone| zone.iana_name() == Some(tzid))
}

/// `calendar` (a VCALENDAR) with the VTIMEZONEs that are `wanted`; borrowed if it has them already. Those that are missing are
/// written for all times in it. A TZID that nobody knows stays without.
pub fn with_timezones(calendar: &Component, wanted: Timezones) -> Cow<'_, Component> {
    with_timezones_since(calendar, wanted, earliest(calendar))
}

/// As [`with_timezones`], but what is written is right from the year before `since` on: for parts of a longer stream, in
/// which a VTIMEZONE serves later parts too.
pub fn with_timezones_since(calendar: &Component, wanted: Timezones, since: Utc) -> Cow<'_, Component> {
    let unwanted = |zone: &Component| {
        wanted == Timezones::NonStandard && zone.is("VTIMEZONE") && zone.text("TZID").is_some_and(|id| is_standard(&id))
    };
    let missing = missing(calendar, wanted, since);
    if missing.is_empty() && !calendar.components.iter().any(unwanted) {
        return Cow::Borrowed(calendar);
    }
    let kept = calendar.components.iter().filter(|component| !unwanted(component)).cloned();
    let components = missing.into_iter().chain(kept).collect();
    Cow::Owned(Component { components, properties: calendar.properties.clone(), ..Component::new(&calendar.name) })
}

/// The VTIMEZONEs that are wanted and not there, as far as anybody knows them.
fn missing(calendar: &Component, wanted: Timezones, since: Utc) -> Vec<Component> {
    if wanted == Timezones::AsStored {
        return Vec::new();
    }
    let defined = defined(calendar);
    let needed = used_tzids(&[calendar])
        .into_iter()
        .filter(|tzid| !defined.contains(tzid.as_str()) && (wanted == Timezones::All || !is_standard(tzid)));
    needed.filter_map(|tzid| Some(Zone::named(&tzid)?.vtimezone(&tzid, since))).collect()
}

fn defined(calendar: &Component) -> HashSet<Cow<'_, str>> {
    calendar.children("VTIMEZONE").filter_map(|zone| zone.text("TZID")).collect()
}

/// The first TZID that a time in `calendar` is given in though neither we know it nor a VTIMEZONE there defines it: nobody
/// can tell when that time is. One at times that are in UTC or all day long does not matter.
pub fn unknown_tzid(calendar: &Component) -> Option<String> {
    let defined = defined(calendar);
    let members = calendar.components.iter().filter(|component| !component.is("VTIMEZONE"));
    let times = members.flat_map(times);
    let mut tzids = times.filter(|property| is_zoned(property)).filter_map(Property::tzid);
    tzids.find(|tzid| !defined.contains(tzid) && Zone::named(tzid).is_none()).map(Cow::into_owned)
}

fn is_zoned(property: &Property) -> bool {
    let mut items = property.value.split(',').map(str::trim);
    items.any(|item| item.contains('T') && !item.split('/').next().unwrap_or(item).ends_with('Z'))
}

/// The times of `component` and of what is directly inside it: deeper than an alarm or an AVAILABLE, nothing has any.
fn times(component: &Component) -> impl Iterator<Item = &Property> {
    let inside = component.components.iter().flat_map(|inner| &inner.properties);
    let all = component.properties.iter().chain(inside);
    all.filter(|property| TIMES.iter().any(|name| property.is(name)))
}

/// When the first time in `calendar` is, to the day; 1970 if there is none.
fn earliest(calendar: &Component) -> Utc {
    let members = calendar.components.iter().filter(|component| !component.is("VTIMEZONE"));
    let dates = members.flat_map(times).flat_map(|property| property.dates().unwrap_or_default());
    dates.map(|date: DateOrTime| Utc(civil::second_of(date.local()))).min().unwrap_or(Utc(0))
}
