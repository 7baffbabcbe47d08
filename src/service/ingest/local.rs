//! A client's PUT, DELETE and MOVE of a meeting's object: they become records of the provider `local`, in the batch that does them.
//!
//! The bytes that the client has put are stored as they came if they say what the meeting now is. If they do not (the
//! client had not seen a change, or changed what is not its to change), the meeting is stored and the answer has no ETag,
//! so that the client reads it again.

use bytes::Bytes;

use super::apply::{Person, Transaction};
use super::kept::{MeetingRow, object_key, read, written};
use crate::base::{CollectionId, ETag, PrincipalId, Utc};
use crate::ical::CalendarObject;
use crate::merge::{self, Face, Generation, Meeting, Policy, SourceRecord, Version};
use crate::model::{Object, Shelf};
use crate::service::objects::{Content, Fidelity};
use crate::service::tree::Node;
use crate::service::{Context, Error};
use crate::store::{Assert, Write};

/// What goes along in the batch of a client's write.
#[derive(Debug, Default)]
pub(in crate::service) struct Along {
    /// What must hold.
    pub(in crate::service) asserts: Vec<Assert>,
    /// The rows.
    pub(in crate::service) writes: Vec<Write>,
}

/// A client's PUT of a meeting's object.
#[derive(Debug)]
pub(in crate::service) struct Edited {
    /// What is stored.
    pub(in crate::service) content: Content,
    /// What goes along.
    pub(in crate::service) along: Along,
}

/// Whether the client has proved that it knows the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Knowledge {
    /// By the tag of what is there.
    Present,
    /// Not: it may have been away.
    Unknown,
}

/// The meeting that the object `name` shows, if it shows one.
///
/// # Errors
/// The store's.
async fn meeting_of(
    context: &Context,
    collection: CollectionId,
    name: &str,
) -> Result<Option<(PrincipalId, String)>, Error> {
    let row = context.store.row(Shelf::MeetingObjects, &object_key(collection, name)).await?;
    Ok(row.map(|row| read(&row, "objects of meetings")).transpose()?)
}

/// What a PUT of `content` over a meeting's object comes to; `None` if the object shows no meeting.
///
/// # Errors
/// The store's.
pub(in crate::service) async fn put(
    context: &Context,
    node: &Node,
    before: &Object,
    content: &Content,
    knowledge: Knowledge,
) -> Result<Option<Edited>, Error> {
    let Some((owner, key)) = meeting_of(context, node.collection.id, &before.name).await? else { return Ok(None) };
    let person = Person::load(context, owner).await?;
    let edit = Edit { context, key: &key, node, content, knowledge };
    Transaction::new(context, &person).edit(&edit).await
}

/// A client's edit, on its way.
pub(super) struct Edit<'a> {
    pub(super) context: &'a Context,
    pub(super) key: &'a str,
    pub(super) node: &'a Node,
    pub(super) content: &'a Content,
    pub(super) knowledge: Knowledge,
}

/// A meeting with and without the edits made here.
pub(super) struct Layers {
    /// As the sources have it.
    pub(super) sourced: Meeting,
    /// As it is shown.
    pub(super) shown: Meeting,
    /// By which rules.
    pub(super) policy: Policy,
}

impl Edit<'_> {
    fn object(&self) -> Option<CalendarObject> {
        CalendarObject::parse(&self.content.bytes, &self.context.limits).ok()
    }

    fn edits(&self, layers: &Layers, version: Version) -> Vec<SourceRecord> {
        let Some(object) = self.object() else { return Vec::new() };
        // A value that cannot be read changes nothing.
        merge::edits(&layers.shown, &layers.sourced, &object, &layers.policy.addresses, version).unwrap_or_default()
    }

    /// What the client has changed.
    pub(super) fn records(&self, layers: &Layers, row: &MeetingRow, now: Utc) -> Vec<SourceRecord> {
        let edits = self.edits(layers, version(row, now));
        match self.knowledge {
            Knowledge::Present => edits,
            Knowledge::Unknown => {
                let seen: Face = row.faces.iter().flatten().copied().collect();
                edits.into_iter().filter_map(|edit| merge::unseen(edit, &seen)).collect()
            }
        }
    }

    /// What is stored when the meeting is shown as in `layers`: the client's bytes, if they say so.
    pub(super) fn stored(&self, layers: &Layers, row: &mut MeetingRow) -> Content {
        let face = Bytes::from(merge::to_ical(&layers.shown));
        row.published = Some(ETag::of(&face));
        let says_so = self.edits(layers, Version::default()).is_empty();
        let content = match self.node.collection.calendar() {
            Some(settings) if !says_so => {
                super::super::objects::calendar_content(&self.context.limits, settings, face, None).ok()
            }
            _ => None,
        };
        let content = match content {
            Some(content) => Content { fidelity: Fidelity::Converted, ..content },
            None => self.content.clone(),
        };
        row.etag = Some(content.etag);
        content
    }
}

/// Edits of one object are put in order by the clock, and within a second by a counter.
pub(super) fn version(row: &MeetingRow, now: Utc) -> Version {
    Version::new(Generation(0), now.0.saturating_mul(1_000), row.edits)
}

/// A client's DELETE of an object, or its MOVE to where meetings are not kept: the meeting stays deleted until something material
/// changes.
///
/// # Errors
/// The store's.
pub(in crate::service) async fn delete(context: &Context, node: &Node, object: &Object) -> Result<Along, Error> {
    let Some((owner, key)) = meeting_of(context, node.collection.id, &object.name).await? else {
        return Ok(Along::default());
    };
    let person = Person::load(context, owner).await?;
    let mut along = Transaction::new(context, &person).delete(&key).await?;
    along.writes.push(Write::DeleteRow(Shelf::MeetingObjects, object_key(node.collection.id, &object.name)));
    Ok(along)
}

/// A client's MOVE of an object within the user's calendars: the meeting lies there from now on.
///
/// # Errors
/// The store's.
pub(in crate::service) async fn relocate(
    context: &Context,
    from: (&Node, &Object),
    to: (&Node, &str),
) -> Result<Along, Error> {
    let (node, object) = from;
    let Some((owner, key)) = meeting_of(context, node.collection.id, &object.name).await? else {
        return Ok(Along::default());
    };
    if to.0.collection.owner != owner || to.0.collection.calendar().is_none() {
        return delete(context, node, object).await;
    }
    let person = Person::load(context, owner).await?;
    let place = (to.0.collection.id, to.1.to_owned());
    let mut along = Transaction::new(context, &person).relocate(&key, place.clone()).await?;
    along.writes.push(Write::DeleteRow(Shelf::MeetingObjects, object_key(node.collection.id, &object.name)));
    let row = written(&(owner, key));
    along.writes.push(Write::PutRow(Shelf::MeetingObjects, object_key(place.0, &place.1), row));
    Ok(along)
}
