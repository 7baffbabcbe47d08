//! Edits made here by a client: a source of their own, field by field. An edit remembers the value that it replaced, and holds as
//! long as the sources still say that value: so no clocks are compared, and a newer move is not undone by an offline client
//! that changed only the title.

use super::content::hash;
use super::join::Kind;
use super::meeting::Why;
use super::resolve::View;
use super::{Attendee, Content, End, Event, Field, Instance, Meeting, Part, Recurrence, SourceRecord, further, time};
use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::zone::Zone;

/// What a client can change.
pub(super) const EDITABLE: &[Field] = &[
    Field::Title,
    Field::Description,
    Field::Location,
    Field::Start,
    Field::End,
    Field::Recurrence,
    Field::Status,
    Field::Transparency,
    Field::Visibility,
    Field::Answer,
    Field::Reminders,
    Field::Categories,
];

/// Lays the edits of the group over `meeting`. Whether it is still there.
pub(super) fn overlay(view: &mut View<'_>, meeting: &mut Meeting) -> bool {
    let edits: Vec<&SourceRecord> =
        view.members.iter().filter(|record| record.kind() == Kind::Local).copied().collect();
    let material = material(&meeting.event, &meeting.recurrence);
    for edit in edits {
        match &edit.content.part {
            Some(Part::Instance { original_start, .. }) => {
                let key = time::key_of(original_start, &Zone::utc());
                overlay_instance(view, meeting, edit, key, original_start);
            }
            _ if !edit.is_live() => {
                if edit.over.get(&Field::Presence) == Some(&material) {
                    return false;
                }
                view.leave_out(edit, Why::Overtaken);
            }
            _ => overlay_event(view, meeting, edit),
        }
    }
    true
}

/// A hash of what is material: a meeting that was deleted here comes back when this changes.
pub(super) fn material(event: &Event, recurrence: &Recurrence) -> u64 {
    hash(&(&event.start, &event.end, recurrence))
}

fn overlay_event(view: &mut View<'_>, meeting: &mut Meeting, edit: &SourceRecord) {
    let mut recurrence = meeting.recurrence.clone();
    let mut event = meeting.event.clone();
    apply(view, &mut event, Some(&mut recurrence), edit, None);
    meeting.event = event;
    if recurrence != meeting.recurrence {
        // The exceptions belonged to the old rule.
        let series = super::instances::series_of(&meeting.event.start, &meeting.event.end, &recurrence);
        meeting.recurrence = recurrence;
        let is_kept = |key: &Utc| {
            let window = crate::base::Interval::new(*key, key.plus(1));
            let found = series.as_ref().and_then(|series| super::instances::at(series, window));
            found.is_some_and(|found| found.iter().any(|(other, _)| other == key))
        };
        meeting.instances.retain(|key, _| is_kept(key));
    }
}

fn overlay_instance(view: &mut View<'_>, meeting: &mut Meeting, edit: &SourceRecord, key: Utc, original: &DateOrTime) {
    let original = super::instances::form(&meeting.event.start, key, original);
    let Some(now) = instance_at(meeting, key, &original) else { return };
    if !edit.is_live() {
        if edit.over.get(&Field::Presence) == Some(&material(&now, &Recurrence::default())) {
            meeting.instances.insert(key, Instance::Cancelled(original));
        } else {
            view.leave_out(edit, Why::Overtaken);
        }
        return;
    }
    let mut event = now;
    if apply(view, &mut event, None, edit, Some(key)) {
        meeting.instances.insert(key, Instance::Changed(original, Box::new(event)));
    }
}

/// The instance with this original start as it is; `None` if it is cancelled or not there.
pub(super) fn instance_at(meeting: &Meeting, key: Utc, original: &DateOrTime) -> Option<Event> {
    match meeting.instances.get(&key) {
        Some(Instance::Changed(_, event)) => Some((**event).clone()),
        Some(Instance::Cancelled(_)) => None,
        None => {
            let length = time::seconds_between(&meeting.event.start, &meeting.event.end);
            let end = time::end_of(original, Some(&End::After(length)));
            Some(Event { start: original.clone(), end, ..meeting.event.clone() })
        }
    }
}

/// Lays the fields of `edit` over `event`, those that nobody has changed since. Whether any was.
fn apply(
    view: &mut View<'_>,
    event: &mut Event,
    mut recurrence: Option<&mut Recurrence>,
    edit: &SourceRecord,
    instance: Option<Utc>,
) -> bool {
    let base = content_of(event, recurrence.as_deref());
    let mut applied = false;
    for field in EDITABLE.iter().filter(|field| edit.content.says(**field)) {
        if edit.over.get(field) != Some(&base.hash_of(*field)) {
            continue;
        }
        set(event, recurrence.as_deref_mut(), *field, &edit.content, &view.policy.addresses);
        match field {
            Field::Location => event.further = further::without_place(&event.further),
            Field::Start => event.further = further::without_fixed_alarms(&event.further),
            Field::Reminders if event.reminders.is_empty() => {
                event.further = further::without_alarms(&event.further);
            }
            _ => {}
        }
        view.decide(*field, instance, edit, "edited here, and not changed at the source since");
        applied = true;
    }
    if !applied {
        view.leave_out(edit, Why::Overtaken);
    }
    event.end = time::end_of(&event.start, Some(&End::At(event.end.clone())));
    applied
}

/// What an edit is compared with: the event as content.
pub(super) fn content_of(event: &Event, recurrence: Option<&Recurrence>) -> Content {
    Content {
        title: Some(event.title.clone()),
        description: Some(event.description.clone()),
        location: Some(event.location.clone()),
        start: Some(event.start.clone()),
        end: Some(End::At(event.end.clone())),
        recurrence: recurrence.cloned(),
        status: Some(event.status),
        transparency: Some(event.transparency),
        visibility: Some(event.visibility),
        answer: event.response.map(|response| super::Answer { address: String::new(), response }),
        reminders: Some(event.reminders.clone()),
        categories: Some(event.categories.clone()),
        ..Content::default()
    }
}

fn set(
    event: &mut Event,
    recurrence: Option<&mut Recurrence>,
    field: Field,
    edit: &Content,
    addresses: &std::collections::BTreeSet<String>,
) {
    macro_rules! copy {
        ($($variant:ident $name:ident),*) => {
            match field {
                $(Field::$variant => if let Some(value) = &edit.$name { event.$name.clone_from(value) },)*
                Field::End => if let Some(End::At(end)) = &edit.end { event.end.clone_from(end) },
                Field::Recurrence => if let (Some(mine), Some(theirs)) = (recurrence, &edit.recurrence) { mine.clone_from(theirs) },
                Field::Answer => if let Some(answer) = &edit.answer { respond(event, answer.response, addresses) },
                _ => {}
            }
        };
    }
    copy!(
        Title title, Description description, Location location, Start start, Status status,
        Transparency transparency, Visibility visibility, Reminders reminders, Categories categories
    );
}

fn respond(event: &mut Event, response: super::Response, addresses: &std::collections::BTreeSet<String>) {
    event.response = Some(response);
    let mine = |one: &&mut Attendee| addresses.contains(&one.person.email.to_lowercase());
    event.attendees.iter_mut().filter(mine).for_each(|one| one.response = response);
}

/// An edit made here: `content` holds the new values of `fields`, which replace what `meeting` (or its instance with the original
/// start `instance`) says, `meeting` being what the sources say ([`super::Resolved::sourced`]). `version` orders the edits of one object among each other: our own clock.
pub fn local_edit(
    meeting: &Meeting,
    instance: Option<&DateOrTime>,
    version: super::Version,
    content: Content,
    fields: &[Field],
) -> SourceRecord {
    let none = Recurrence::default();
    let (id, part, event, recurrence) = match instance {
        None => (meeting.key.clone(), Part::Event, meeting.event.clone(), &meeting.recurrence),
        Some(original) => {
            let key = time::key_of(original, &Zone::utc());
            let event = instance_at(meeting, key, original).unwrap_or_else(|| meeting.event.clone());
            let part = Part::Instance {
                series: meeting.key.clone(),
                original_start: original.clone(),
                orphan: super::Orphan::Waits,
            };
            (format!("{}#{key}", meeting.key), part, event, &none)
        }
    };
    let base = content_of(&event, instance.is_none().then_some(recurrence));
    let over = fields.iter().map(|field| match field {
        Field::Presence => (*field, material(&event, recurrence)),
        _ => (*field, base.hash_of(*field)),
    });
    let over = over.collect();
    let content = Content { role: Some(super::Role::Local), part: Some(part), ..content };
    let said: Vec<Field> = fields.iter().copied().chain([Field::Role, Field::Part]).collect();
    let source = super::SourceId::new(super::Provider::Local, "", &id);
    SourceRecord { over, ..SourceRecord::of_fields(source, version, content, &said) }
}
