//! A calendar object resource as records: its master and each override.

use crate::base::Limits;
use crate::ical::{Component, parse_stream};
use crate::merge::{
    Answer, Content, Orphan, Part, Presence, Provider, Role, SourceId, SourceRecord, Version, known_time, read_event,
};
use crate::provider::{Account, PullState};
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
        for event in calendar.children("VEVENT") {
            let Some(record) = record(account, &own, version, event, &zones) else { continue };
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

fn record(
    account: &Account,
    own: &SourceId,
    version: Version,
    event: &Component,
    zones: &Zones,
) -> Option<SourceRecord> {
    let content = read_event(event, zones).ok().filter(|content| content.start.is_some())?;
    let (id, part) = match event.recurrence_id().ok()? {
        None => (own.id.clone(), Part::Event),
        Some(original) => {
            let part = Part::Instance {
                series: own.id.clone(),
                original_start: known_time(&original, zones),
                orphan: Orphan::Stands,
            };
            (format!("{}#{}", own.id, zones.to_utc(&original)), part)
        }
    };
    let is_mine = |email: &str| account.addresses.iter().any(|address| address.eq_ignore_ascii_case(email));
    let organises = content.organizer.as_ref().is_none_or(|person| person.email.is_empty() || is_mine(&person.email));
    let mine = content.attendees.iter().flatten().find(|one| is_mine(&one.person.email));
    let answer = mine.map(|one| Answer { address: one.person.email.clone(), response: one.response });
    let role = if organises { Role::Organiser } else { Role::Caldav };
    let content = Content { role: Some(role), part: Some(part), answer, ..content };
    Some(SourceRecord::whole(own.sibling(&id), version, content))
}
