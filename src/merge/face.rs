//! The values that a meeting has shown, to know them again: a client that was away puts a whole object, and what it never saw
//! changed it did not change.

use std::collections::BTreeSet;

use super::local::{EDITABLE, content_of};
use super::{Content, Field, Instance, Meeting, Part, SourceRecord, time};
use crate::base::Utc;
use crate::zone::Zone;

/// Values by instance (its original start; `None`: the event itself) and field, hashed.
pub type Face = BTreeSet<(Option<Utc>, Field, u64)>;

/// The values of `meeting` that a client can change.
pub fn face(meeting: &Meeting) -> Face {
    let of = |instance: Option<Utc>, content: &Content| -> Vec<(Option<Utc>, Field, u64)> {
        let said = EDITABLE.iter().filter(|field| content.says(**field));
        said.map(|field| (instance, *field, content.hash_of(*field))).collect()
    };
    let event = of(None, &content_of(&meeting.event, Some(&meeting.recurrence)));
    let instances = meeting.instances.iter().flat_map(|(key, instance)| match instance {
        Instance::Changed(_, event) => of(Some(*key), &content_of(event, None)),
        Instance::Cancelled(_) => Vec::new(),
    });
    event.into_iter().chain(instances).collect()
}

/// What is left of an edit without the values in `seen`, which were shown earlier and come from a client that was away;
/// `None` if nothing is.
pub fn unseen(mut edit: SourceRecord, seen: &Face) -> Option<SourceRecord> {
    let instance = match &edit.content.part {
        Some(Part::Instance { original_start, .. }) => Some(time::key_of(original_start, &Zone::utc())),
        _ => None,
    };
    let nothing = Content::default();
    for field in EDITABLE {
        if edit.versions.contains_key(field) && seen.contains(&(instance, *field, edit.content.hash_of(*field))) {
            edit.versions.remove(field);
            edit.over.remove(field);
            edit.content.copy(*field, &nothing);
        }
    }
    let says = |field: &Field| EDITABLE.contains(field) || (*field == Field::Presence && !edit.is_live());
    edit.versions.keys().any(says).then_some(edit)
}
