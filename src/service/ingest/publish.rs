//! From meetings to objects: what is written where, and what is left as it is because nothing visible has changed.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::apply::Person;
use super::kept::{MeetingRow, Reads, meeting_key, object_key, written};
use super::outcome::{Change, ChangeKind};
use crate::access::Actor;
use crate::base::{CollectionId, ETag};
use crate::merge::{self, Meeting, Policy, Provider, SourceRecord};
use crate::model::{Object, Path, Shelf};
use crate::service::objects::{self, Content};
use crate::service::providers::{self, AccountKey};
use crate::service::resources::{Doomed, Removal};
use crate::service::tree::{self, Node};
use crate::service::{Context, Error, locks};
use crate::store::{Assert, Draft, Write};

/// A meeting, and the records it was made of.
pub(super) struct Resolved {
    pub(super) meeting: Meeting,
    pub(super) members: Vec<SourceRecord>,
}

/// What is to be written of meetings.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) asserts: Vec<Assert>,
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<Draft>,
    pub(super) changes: Vec<Change>,
}

/// By which rules a meeting of these records is resolved: the addresses are those of the user and of the accounts that the
/// records come from, so that they follow from the records alone.
///
/// # Errors
/// The store's.
pub(super) async fn policy(context: &Context, person: &Person, records: &[&SourceRecord]) -> Result<Policy, Error> {
    let mut addresses = person.emails.clone();
    let sources: BTreeSet<(Provider, &str)> =
        records.iter().map(|record| (record.source.provider, record.source.account.as_str())).collect();
    for (provider, name) in sources {
        if let Some(account) = account(context, person, provider, name).await? {
            addresses.extend(account.addresses);
        }
    }
    Ok(Policy { addresses, delete: context.providers.settings.delete })
}

async fn account(
    context: &Context,
    person: &Person,
    provider: Provider,
    name: &str,
) -> Result<Option<providers::Account>, Error> {
    let Ok(key) = AccountKey::new(provider, name) else { return Ok(None) };
    match providers::account(context, &key).await {
        Ok(account) if account.owner == person.id => Ok(Some(account)),
        Err(providers::ProviderError::Store(error)) => Err(error.into()),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// What follows from `meetings`, which are all that is left of those called `before`.
///
/// # Errors
/// The store's.
pub(super) async fn plan(
    context: &Context,
    person: &Person,
    reads: &mut Reads<'_>,
    before: BTreeSet<String>,
    meetings: Vec<Resolved>,
) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let present: BTreeSet<String> = meetings.iter().map(|one| one.meeting.key.clone()).collect();
    for key in before.difference(&present) {
        let Some(row) = reads.meeting(person.id, key).await? else { continue };
        let mut planner = Planner { context, person, plan: &mut plan };
        planner.remove(key, row.object).await?;
        plan.writes.extend(reads.write::<MeetingRow>(Shelf::Meetings, meeting_key(person.id, key), None));
    }
    for one in meetings {
        let key = one.meeting.key.clone();
        let old = reads.meeting(person.id, &key).await?;
        let row = Planner { context, person, plan: &mut plan }.publish(old, one).await?;
        plan.writes.extend(reads.write(Shelf::Meetings, meeting_key(person.id, &key), Some(&row)));
    }
    Ok(plan)
}

struct Planner<'a> {
    context: &'a Context,
    person: &'a Person,
    plan: &'a mut Plan,
}

impl Planner<'_> {
    /// Publishes a meeting where it is to lie, if it looks different from what was published there.
    async fn publish(&mut self, old: Option<MeetingRow>, one: Resolved) -> Result<MeetingRow, Error> {
        let face: Bytes = merge::to_ical(&one.meeting).into();
        let published = Some(ETag::of(&face));
        let sources = one.members.iter().map(|record| record.source.clone()).collect();
        let was = old.clone().unwrap_or_default();
        let node = self.place(&was, &one.members).await?;
        let is_there = node.as_ref().map(|node| node.collection.id) == was.object.as_ref().map(|(id, _)| *id);
        if old.is_some() && is_there && was.published == published {
            return Ok(MeetingRow { sources, ..was });
        }
        let mut row = MeetingRow { sources, ..was.clone() };
        if !is_there {
            self.remove(&one.meeting.key, was.object).await?;
            (row.object, row.placed) = (None, false);
        }
        (row.published, row.etag) = (published, None);
        if let Some(node) = node {
            self.store(&node, &mut row, &one, face).await?;
        }
        Ok(row)
    }

    /// The calendar that a meeting of these records lies in: where a client has put it, else that of the account whose copy
    /// counts most. `None` if there is no such calendar.
    async fn place(&self, was: &MeetingRow, members: &[SourceRecord]) -> Result<Option<Node>, Error> {
        if was.placed
            && let Some((id, _)) = &was.object
            && let Some(node) = self.node_of(*id).await?
        {
            return Ok(Some(node));
        }
        let mut order: Vec<_> = members.iter().filter(|one| one.source.provider != Provider::Local).collect();
        order.sort_by_key(|one| (!one.is_live(), one.content.role, &one.source));
        for record in order {
            let source = &record.source;
            let Some(account) = account(self.context, self.person, source.provider, &source.account).await? else {
                continue;
            };
            if let Some(id) = account.collection
                && let Some(node) = self.node_of(id).await?
            {
                return Ok(Some(node));
            }
        }
        match &was.object {
            Some((id, _)) => self.node_of(*id).await,
            None => Ok(None),
        }
    }

    async fn node_of(&self, id: CollectionId) -> Result<Option<Node>, Error> {
        match self.context.store.collection(id).await? {
            Some(found) if found.parent == Some(self.person.home) => self.node_named(&found.name).await,
            _ => Ok(None),
        }
    }

    async fn node_named(&self, name: &str) -> Result<Option<Node>, Error> {
        let path = Path::Calendar(self.person.name.clone(), name.to_owned());
        match tree::collection(self.context, Actor::System, &path).await {
            Ok(node) => Ok(Some(node)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores the face of a meeting as its object.
    async fn store(&mut self, node: &Node, row: &mut MeetingRow, one: &Resolved, face: Bytes) -> Result<(), Error> {
        let meeting: &Meeting = &one.meeting;
        let Some(content) = self.content(node, meeting, face) else { return Ok(()) };
        let id = node.collection.id;
        let name = match row.object.take() {
            Some((_, name)) => name,
            // An object that a client stored before the meeting was known here: the meeting takes its place.
            None => match self.context.store.name_of_uid(id, &meeting.uid).await? {
                Some(name) => name,
                None => object_name(&meeting.key),
            },
        };
        let before = self.context.store.object(id, &name).await?;
        row.remember(merge::face(meeting).into_iter().collect());
        row.etag = Some(content.etag);
        row.object = Some((id, name.clone()));
        self.index(id, &name, &meeting.key);
        if before.as_ref().is_some_and(|before| before.etag == content.etag) {
            return Ok(());
        }
        self.put(node, &name, before.as_ref(), &content);
        let kind = if before.is_none() { ChangeKind::Created } else { ChangeKind::Updated };
        self.plan.changes.push(Change { meeting: meeting.key.clone(), collection: id, name, kind });
        Ok(())
    }

    /// The face as content; `None`, with a warning, for what the calendar does not take: the records are kept all the same. What its
    /// sources say besides may be too much of it: then the meeting goes without.
    fn content(&self, node: &Node, meeting: &Meeting, face: Bytes) -> Option<Content> {
        let settings = node.collection.calendar()?;
        let taken = |face| objects::calendar_content(&self.context.limits, settings, face, None);
        match taken(face).or_else(|_| taken(merge::to_ical(&meeting.plain()).into())) {
            Ok(content) => Some(content),
            Err(error) => {
                tracing::warn!(error = %error, collection = node.collection.id.0, "ingest.not_published");
                metrics::counter!("kalends_ingest_unpublished_total").increment(1);
                None
            }
        }
    }

    fn put(&mut self, node: &Node, name: &str, before: Option<&Object>, content: &Content) {
        let batch = objects::storing(self.context, Actor::System, node, name, before, content);
        self.plan.asserts.extend(batch.asserts);
        self.plan.writes.extend(batch.writes);
        self.plan.events.extend(batch.events);
    }

    fn index(&mut self, collection: CollectionId, name: &str, key: &str) {
        let row = written(&(self.person.id, key));
        self.plan.writes.push(Write::PutRow(Shelf::MeetingObjects, object_key(collection, name), row));
    }

    /// Takes a meeting's object away, if it is still there.
    async fn remove(&mut self, key: &str, object: Option<(CollectionId, String)>) -> Result<(), Error> {
        let Some((id, name)) = object else { return Ok(()) };
        self.plan.writes.push(Write::DeleteRow(Shelf::MeetingObjects, object_key(id, &name)));
        let (Some(node), Some(object)) = (self.node_of(id).await?, self.context.store.object(id, &name).await?) else {
            return Ok(());
        };
        let locks = locks::show(self.context).await?;
        let doomed = Doomed::Object(node, Box::new(object));
        let mut removal = Removal::default();
        removal.take_away(self.context, Actor::System, &locks, &doomed, &[]).await?;
        self.plan.asserts.extend(removal.asserts);
        self.plan.writes.extend(removal.writes);
        self.plan.events.extend(removal.events);
        let change = Change { meeting: key.to_owned(), collection: id, name, kind: ChangeKind::Deleted };
        self.plan.changes.push(change);
        Ok(())
    }
}

/// The name of a meeting's object: it follows from the meeting's key alone.
fn object_name(key: &str) -> String {
    let hash = ETag::of(key.as_bytes());
    let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.ics")
}
