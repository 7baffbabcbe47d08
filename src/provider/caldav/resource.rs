//! A calendar object resource as records: its master and each override.

use std::borrow::Cow;

use crate::base::Limits;
use crate::ical::{Component, DateOrTime, parse_stream};
use crate::merge::{
    Answer, Content, Orphan, Part, Presence, Provider, Role, SourceId, SourceRecord, Version, further, known_time,
    read_event,
};
use crate::provider::{Account, PullState, ranges};
use crate::zone::{Zone, Zones};

/// The source object that a resource is.
pub fn source(account: &Account, collection: &str, href: &str) -> SourceId {
    SourceId::new(Provider::Caldav, &account.key.name, href).in_calendar(collection)
}

/// The records of the resource `href` of `collection` (both paths). What cannot be read says that it is still there.
pub fn records(account: &Account, pull: &PullState, collection: &str, href: &str, data: &str) -> Vec<SourceRecord> {
    let own = source(account, collection, href);
    let version = Version::new(pull.generation, 0, 0);
    let calendars = parse_stream(data.as_bytes(), &Limits::default()).unwrap_or_default();
    let mut records: Vec<SourceRecord> = Vec::new();
    let mut has_master = false;
    for calendar in &calendars {
        let zones = Zones::of(calendar, &Zone::utc());
        for told in told(calendar, pull.dates_max) {
            let Some(record) = record(account, pull, &own, &told, &zones) else { continue };
            has_master |= record.source == own;
            records.push(record);
        }
    }
    if !has_master {
        // Says that overrides of an older pull are none any more, and nothing else.
        let content = Content { presence: Some(Presence::Live), role: Some(Role::Caldav), ..Content::default() };
        records.push(SourceRecord::partial(own, version, content));
    }
    records
}

/// A VEVENT, and from where on it belongs to the rest of a series that has become one of its own.
struct Told<'a> {
    event: Cow<'a, Component>,
    from: Option<DateOrTime>,
}

/// The events of `calendar`, those with ranges as several series without.
fn told(calendar: &Component, dates_max: u64) -> Vec<Told<'_>> {
    let events: Vec<&Component> = calendar.children("VEVENT").collect();
    let mut steps = ranges::STEPS_MAX;
    let stretches = ranges::apart(calendar, &events, &Zone::utc(), dates_max, &mut steps);
    if stretches.is_empty() {
        return events.into_iter().map(|event| Told { event: Cow::Borrowed(event), from: None }).collect();
    }
    let told = stretches.into_iter().flat_map(|stretch| {
        let from = stretch.from;
        let events = std::iter::once(stretch.master).chain(stretch.overrides);
        events.map(move |event| Told { event: Cow::Owned(event), from: from.clone() })
    });
    told.collect()
}

fn record(account: &Account, pull: &PullState, own: &SourceId, told: &Told<'_>, zones: &Zones) -> Option<SourceRecord> {
    let mut content = read_event(&told.event, zones).ok().filter(|content| content.start.is_some())?;
    let mut series = own.id.clone();
    if let Some(from) = &told.from {
        series = ranges::name(&format!("{}#", own.id), from, zones);
        content.uid = content.uid.filter(|uid| !uid.is_empty()).map(|uid| ranges::name(&uid, from, zones));
    }
    let (id, part) = match (told.event.recurrence_id().ok()?, &told.from) {
        (None, None) => (series, Part::Event),
        (None, Some(from)) => (series, Part::Rest { series: own.id.clone(), original_start: known_time(from, zones) }),
        (Some(original), _) => {
            let id = format!("{series}#{}", zones.to_utc(&original));
            (id, Part::Instance { series, original_start: known_time(&original, zones), orphan: Orphan::Stands })
        }
    };
    let is_mine = |email: &str| account.addresses.iter().any(|address| address.eq_ignore_ascii_case(email));
    let organises = content.organizer.as_ref().is_none_or(|person| person.email.is_empty() || is_mine(&person.email));
    let mine = content.attendees.iter().flatten().find(|one| is_mine(&one.person.email));
    let answer = mine.map(|one| Answer { address: one.person.email.clone(), response: one.response });
    let role = if organises { Role::Organiser } else { Role::Caldav };
    let further = further(&told.event, zones, &account.addresses, pull.further_bytes_max);
    let content = Content { role: Some(role), part: Some(part), answer, further, ..content };
    Some(SourceRecord::whole(own.sibling(&id), Version::new(pull.generation, 0, 0), content))
}
