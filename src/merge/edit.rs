//! What a client's PUT of a meeting's object changed, as local edits.

use std::collections::{BTreeMap, BTreeSet};

use super::local::{EDITABLE, content_of, instance_at, local_edit};
use super::{
    Content, End, Event, Field, Instance, Meeting, Presence, Recurrence, SourceRecord, Version, instances, read_event,
    time,
};
use crate::base::Utc;
use crate::ical::{CalendarObject, Component, DateOrTime, ValueError};
use crate::zone::{Zone, Zones};

/// The edits that make `put` of `shown`, the meeting as the client had it: only what differs becomes an edit, instance by
/// instance and field by field, so that whatever the sources changed meanwhile stays. `sourced` is the meeting as the sources
/// have it now ([`super::Resolved::sourced`]), `addresses` the person's in lower case, `version` our own clock.
///
/// # Errors
/// If `put` has a value that cannot be read.
pub fn edits(
    shown: &Meeting,
    sourced: &Meeting,
    put: &CalendarObject,
    addresses: &BTreeSet<String>,
    version: Version,
) -> Result<Vec<SourceRecord>, ValueError> {
    let zones = Zones::of(&put.calendar, &Zone::utc());
    let mut found = Vec::new();
    let mut excluded: BTreeMap<Utc, DateOrTime> = BTreeMap::new();
    if let Some(master) = put.master() {
        let mut content = normal(read_event(master, &zones)?, addresses);
        if let Some(recurrence) = &mut content.recurrence {
            for date in std::mem::take(&mut recurrence.exdates) {
                excluded.insert(time::key_of(&date, &Zone::utc()), date);
            }
        }
        let before = content_of(&shown.event, Some(&shown.recurrence));
        found.extend(edit(sourced, None, &before, &content, version));
    }
    let mut overridden = BTreeSet::new();
    for place in &put.overrides {
        let Some(component) = put.component(place) else { continue };
        let original = super::known_time(&place.recurrence_id, &zones);
        let key = time::key_of(&original, &Zone::utc());
        overridden.insert(key);
        found.extend(instance_edit(shown, sourced, component, key, &zones, addresses, version)?);
    }
    for (key, original) in &excluded {
        let original = instances::form(&shown.event.start, *key, original);
        if instance_at(shown, *key, &original).is_some() && !overridden.contains(key) {
            found.push(removal(sourced, Some(&original), version));
        }
    }
    Ok(found)
}

/// The edit that a DELETE is.
pub fn removal(sourced: &Meeting, instance: Option<&DateOrTime>, version: Version) -> SourceRecord {
    let content = Content { presence: Some(Presence::Deleted), ..Content::default() };
    local_edit(sourced, instance, version, content, &[Field::Presence])
}

fn instance_edit(
    shown: &Meeting,
    sourced: &Meeting,
    component: &Component,
    key: Utc,
    zones: &Zones,
    addresses: &BTreeSet<String>,
    version: Version,
) -> Result<Option<SourceRecord>, ValueError> {
    let mut content = normal(read_event(component, zones)?, addresses);
    content.recurrence = None;
    let written = component.recurrence_id()?.unwrap_or_else(|| shown.event.start.clone());
    let original = instances::form(&shown.event.start, key, &super::known_time(&written, zones));
    if shown.alone.is_some() {
        let before = content_of(&shown.event, None);
        return Ok(edit(sourced, None, &before, &content, version));
    }
    let before: Event = match shown.instances.get(&key) {
        Some(Instance::Changed(_, event)) => (**event).clone(),
        _ => match instance_at(shown, key, &original) {
            Some(event) => event,
            None => return Ok(None),
        },
    };
    Ok(edit(sourced, Some(&original), &content_of(&before, None), &content, version))
}

fn edit(
    sourced: &Meeting,
    instance: Option<&DateOrTime>,
    before: &Content,
    after: &Content,
    version: Version,
) -> Option<SourceRecord> {
    let differs = |field: &&Field| after.says(**field) && before.hash_of(**field) != after.hash_of(**field);
    let fields: Vec<Field> = EDITABLE.iter().filter(differs).copied().collect();
    let mut content = Content::default();
    fields.iter().for_each(|field| content.copy(*field, after));
    (!fields.is_empty()).then(|| local_edit(sourced, instance, version, content, &fields))
}

/// What was read in the form in which a meeting has it, so that only true differences differ.
fn normal(mut content: Content, addresses: &BTreeSet<String>) -> Content {
    if let Some(start) = content.start.take() {
        let start = time::in_zone(&start, content.zone.as_deref());
        content.end = Some(End::At(time::end_of(&start, content.end.as_ref())));
        content.start = Some(start);
    }
    if let Some(recurrence) = content.recurrence.as_mut().filter(|recurrence| recurrence.is_empty()) {
        *recurrence = Recurrence { exdates: std::mem::take(&mut recurrence.exdates), ..Recurrence::default() };
    }
    let mine = content.attendees.iter().flatten().filter(|one| addresses.contains(&one.person.email.to_lowercase()));
    let response = mine.map(|one| one.response).max();
    content.answer = response.map(|response| super::Answer { address: String::new(), response });
    content
}
