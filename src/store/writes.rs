//! What the writes of a batch do to the rows.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::group::Group;
use super::keys::{self, Table};
use super::rows::{self, CollectionRow};
use super::{Assert, Batch, Commit, CommitError, StoreError, Write, asserts};
use crate::base::{CollectionId, Revision};
use crate::model::{ChangeKind, Collection, Event, Lock, Object, Principal};

/// How deep collections may lie in each other before the rows must be wrong.
const DEPTH_MAX: usize = 256;
/// How many deletions a change log forgets at once, after the setting was lowered.
const PRUNE_MAX: u64 = 100;
/// How many events a batch removes at most; the next one goes on.
const TRIM_MAX: usize = 10_000;

/// Does a whole batch, or nothing of it.
pub(super) fn run(group: &mut Group<'_>, batch: &Batch) -> Result<Commit, CommitError> {
    group.begin(batch.at);
    let done = attempt(group, batch);
    if done.is_err() {
        group.roll_back();
    }
    done
}

fn attempt(group: &mut Group<'_>, batch: &Batch) -> Result<Commit, CommitError> {
    asserts::before(group, &batch.asserts)?;
    let revisions = revisions_before_deletion(group, batch)?;
    for write in &batch.writes {
        apply(group, write)?;
    }
    asserts::after(group, &batch.asserts)?;
    record_events(group, batch, &revisions)?;
    Ok(Commit { collections: group.changed() })
}

fn apply(group: &mut Group<'_>, write: &Write) -> Result<(), CommitError> {
    match write {
        Write::PutObject(id, object, bytes) => put_object(group, *id, object, Some(bytes)),
        Write::PutObjectRow(id, object) => put_object(group, *id, object, None),
        Write::Reindex(id, object) => reindex(group, *id, object),
        Write::DeleteObject(id, name) => delete_object(group, *id, name),
        Write::CreateCollection(collection) => create_collection(group, collection),
        Write::UpdateCollection(collection) => update_collection(group, collection),
        Write::MoveCollection(id, parent, name) => move_collection(group, *id, *parent, name),
        Write::DeleteCollection(id) => delete_collection(group, *id),
        Write::PutPrincipal(principal) => Ok(put_principal(group, principal)?),
        Write::DeletePrincipal(id) => {
            if let Some(row) = group.get(&keys::principal(*id))? {
                let principal: Principal = rows::decode(&row, "principals")?;
                group.delete(keys::principal_name(&principal.name));
            }
            group.delete(keys::principal(*id));
            group.delete(keys::credentials(*id));
            Ok(())
        }
        Write::PutCredentials(id, credentials) => {
            group.put(keys::credentials(*id), rows::encode(credentials));
            Ok(())
        }
        Write::PutLock(lock) => {
            group.put(keys::lock(&lock.token), rows::encode(lock));
            Ok(())
        }
        Write::DeleteLock(token) => {
            group.delete(keys::lock(token));
            Ok(())
        }
        Write::TrimEvents(up_to) => Ok(trim_events(group, *up_to)?),
        Write::PutRow(shelf, key, row) => Ok(set_row(group, keys::row(*shelf, key), Some(row))?),
        Write::DeleteRow(shelf, key) => Ok(set_row(group, keys::row(*shelf, key), None)?),
    }
}

/// Stores or deletes a service's row, and counts its bytes: without them nobody could tell live data from what the
/// engine's files have no more use for.
fn set_row(group: &mut Group<'_>, key: Vec<u8>, row: Option<&Bytes>) -> Result<(), StoreError> {
    let old = group.get(&key)?;
    if old.is_none() && row.is_none() {
        return Ok(());
    }
    let bytes = |row: &Bytes| (key.len() + row.len()) as u64;
    let (more, less) = (row.map_or(0, bytes), old.as_ref().map_or(0, bytes));
    if more != less {
        group.count_service_bytes(more, less)?;
    }
    match row {
        Some(row) => group.put(key, row.clone()),
        None => group.delete(key),
    }
    Ok(())
}

fn failed(assert: Assert) -> CommitError {
    CommitError::Failed { assert, found: None }
}

fn object(group: &Group<'_>, id: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
    let row = group.get(&keys::member(Table::Objects, id, name))?;
    row.map(|row| rows::decode_object(name, &row)).transpose()
}

/// Stores an object, with other bytes or with those it has.
fn put_object(group: &mut Group<'_>, id: CollectionId, new: &Object, bytes: Option<&Bytes>) -> Result<(), CommitError> {
    let old = object(group, id, &new.name)?;
    let mut row = new.clone();
    match (bytes, &old) {
        (Some(bytes), _) => row.size = bytes.len() as u64,
        (None, Some(old)) => (row.size, row.etag) = (old.size, old.etag),
        (None, None) => return Err(failed(Assert::ObjectPresent(id, new.name.clone()))),
    }
    let owner = group.collection_mut(id)?.collection.owner;
    if old.is_none() && group.has_child(id, &new.name)? {
        return Err(failed(Assert::NameFree(id, new.name.clone())));
    }
    let (old_revision, old_size) = old.as_ref().map_or((None, 0), |old| (Some(old.revision), old.size));
    row.revision = record_presence(group, id, &new.name, ChangeKind::Object, old_revision)?;
    index_uid(group, id, old.as_ref(), &row);
    group.put(keys::member(Table::Objects, id, &row.name), rows::encode_object(&row));
    if let Some(bytes) = bytes {
        group.put(keys::member(Table::Bytes, id, &row.name), bytes.clone());
    }
    let counted = group.collection_mut(id)?.change();
    counted.objects += u64::from(old.is_none());
    counted.bytes = (counted.bytes + row.size).saturating_sub(old_size);
    group.count_bytes(owner, row.size, old_size)?;
    propagate(group, id)
}

fn reindex(group: &mut Group<'_>, id: CollectionId, new: &Object) -> Result<(), CommitError> {
    let Some(old) = object(group, id, &new.name)? else {
        return Err(failed(Assert::ObjectPresent(id, new.name.clone())));
    };
    let row = Object { index: new.index.clone(), ..old.clone() };
    index_uid(group, id, Some(&old), &row);
    group.put(keys::member(Table::Objects, id, &row.name), rows::encode_object(&row));
    Ok(())
}

/// Keeps the row that finds an object by its UID. Of two with the same UID the later one has it: a batch that renames
/// an object by putting and then deleting passes through such a state.
fn index_uid(group: &mut Group<'_>, id: CollectionId, old: Option<&Object>, new: &Object) {
    let before = old.and_then(Object::uid);
    if let Some(uid) = before.filter(|uid| Some(*uid) != new.uid()) {
        group.delete(keys::member(Table::Uids, id, uid));
    }
    if let Some(uid) = new.uid() {
        group.put(keys::member(Table::Uids, id, uid), rows::encode(&new.name));
    }
}

fn delete_object(group: &mut Group<'_>, id: CollectionId, name: &str) -> Result<(), CommitError> {
    let Some(old) = object(group, id, name)? else { return Ok(()) };
    if let Some(uid) = old.uid() {
        let key = keys::member(Table::Uids, id, uid);
        let holder: Option<String> = group.get(&key)?.map(|row| rows::decode(&row, "UIDs")).transpose()?;
        if holder.as_deref() == Some(name) {
            group.delete(key);
        }
    }
    group.delete(keys::member(Table::Objects, id, name));
    group.delete(keys::member(Table::Bytes, id, name));
    let counted = group.collection_mut(id)?.change();
    counted.objects = counted.objects.saturating_sub(1);
    counted.bytes = counted.bytes.saturating_sub(old.size);
    let owner = counted.owner;
    group.count_bytes(owner, 0, old.size)?;
    record_absence(group, id, name, old.revision)?;
    propagate(group, id)
}

/// Counts and logs that a member was made or changed; `before` is the revision of its entry up to now.
fn record_presence(
    group: &mut Group<'_>,
    id: CollectionId,
    name: &str,
    kind: ChangeKind,
    before: Option<Revision>,
) -> Result<Revision, CommitError> {
    let revision = group.bump(id)?;
    match before {
        Some(before) => group.delete(keys::log(Table::Log, id, before)),
        None => forget_deletion(group, id, name)?,
    }
    group.put(keys::log(Table::Log, id, revision), rows::encode_entry(kind, name));
    Ok(revision)
}

/// A name that comes back has no deletion any more: the log tells of each member once.
fn forget_deletion(group: &mut Group<'_>, id: CollectionId, name: &str) -> Result<(), CommitError> {
    if group.collection_mut(id)?.collection.tombstones == 0 {
        return Ok(());
    }
    let key = keys::member(Table::Deleted, id, name);
    if let Some(row) = group.get(&key)? {
        group.delete(keys::log(Table::Tombstones, id, rows::decode(&row, "deletions")?));
        group.delete(key);
        let collection = group.collection_mut(id)?.change();
        collection.tombstones = collection.tombstones.saturating_sub(1);
    }
    Ok(())
}

/// Counts and logs that a member is gone; `before` is the revision of its entry up to now.
fn record_absence(group: &mut Group<'_>, id: CollectionId, name: &str, before: Revision) -> Result<(), CommitError> {
    let revision = group.bump(id)?;
    group.delete(keys::log(Table::Log, id, before));
    group.put(keys::log(Table::Tombstones, id, revision), rows::encode(name));
    group.put(keys::member(Table::Deleted, id, name), rows::encode(&revision));
    let most = group.terms.tombstones_max;
    let collection = group.collection_mut(id)?.change();
    collection.tombstones += 1;
    let surplus = collection.tombstones.saturating_sub(most).min(PRUNE_MAX);
    prune(group, id, surplus)
}

/// Forgets the `count` oldest deletions. A token of the revision at which one happened has seen it, so the
/// floor is that revision and not the next.
fn prune(group: &mut Group<'_>, id: CollectionId, count: u64) -> Result<(), CommitError> {
    if count == 0 {
        return Ok(());
    }
    let mut oldest: Vec<(Revision, String)> = Vec::new();
    group.scan(&keys::within(Table::Tombstones, id.0), &mut |key, row| {
        oldest
            .push((keys::revision_of(key).ok_or_else(|| rows::bad_key("deletions"))?, rows::decode(row, "deletions")?));
        Ok(if oldest.len() as u64 == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    for (revision, name) in oldest {
        group.delete(keys::log(Table::Tombstones, id, revision));
        group.delete(keys::member(Table::Deleted, id, &name));
        let collection = group.collection_mut(id)?.change();
        collection.tombstones = collection.tombstones.saturating_sub(1);
        collection.log_floor = collection.log_floor.max(revision);
    }
    Ok(())
}

/// Tells all collections above of a change in `id`: a home's revision moves with everything below it.
fn propagate(group: &mut Group<'_>, mut id: CollectionId) -> Result<(), CommitError> {
    for _ in 0..DEPTH_MAX {
        let row = group.collection_mut(id)?;
        let Some(parent) = row.collection.parent else { return Ok(()) };
        let (name, before) = (row.collection.name.clone(), row.entry);
        let entry = record_presence(group, parent, &name, ChangeKind::Collection, Some(before))?;
        group.collection_mut(id)?.entry = entry;
        id = parent;
    }
    Err(StoreError::Corrupt(format!("collection {id} lies in a circle of collections")).into())
}

fn create_collection(group: &mut Group<'_>, new: &Collection) -> Result<(), CommitError> {
    let taken = match new.parent {
        Some(parent) => !asserts::name_free(group, parent, &new.name)?,
        None => false,
    };
    if taken || group.collection(new.id)?.is_some() {
        return Err(failed(Assert::NameFree(new.parent.unwrap_or(new.id), new.name.clone())));
    }
    group.raise(keys::COLLECTIONS, new.id.0)?;
    let epoch = group.terms.epoch;
    let collection = Arc::new(Collection {
        revision: Revision(0),
        epoch,
        epochs: vec![(epoch, Revision(0))],
        log_floor: Revision(0),
        tombstones: 0,
        objects: 0,
        bytes: 0,
        ..new.clone()
    });
    group.set_collection(new.id, Some(CollectionRow { collection, entry: Revision(0) }));
    match new.parent {
        Some(parent) => enter(group, new.id, parent, &new.name),
        None => Ok(()),
    }
}

/// Makes a collection a member of `parent` and tells those above.
fn enter(group: &mut Group<'_>, id: CollectionId, parent: CollectionId, name: &str) -> Result<(), CommitError> {
    group.put(keys::member(Table::Children, parent, name), rows::encode(&id));
    let entry = record_presence(group, parent, name, ChangeKind::Collection, None)?;
    group.collection_mut(id)?.entry = entry;
    propagate(group, parent)
}

/// Takes a collection out of its parent and tells those above.
fn leave(group: &mut Group<'_>, parent: CollectionId, name: &str, entry: Revision) -> Result<(), CommitError> {
    group.delete(keys::member(Table::Children, parent, name));
    record_absence(group, parent, name, entry)?;
    propagate(group, parent)
}

fn update_collection(group: &mut Group<'_>, new: &Collection) -> Result<(), CommitError> {
    let collection = group.collection_mut(new.id)?.change();
    collection.kind.clone_from(&new.kind);
    collection.acl.clone_from(&new.acl);
    collection.properties.clone_from(&new.properties);
    collection.display_name.clone_from(&new.display_name);
    group.bump(new.id)?;
    propagate(group, new.id)
}

fn move_collection(
    group: &mut Group<'_>,
    id: CollectionId,
    parent: CollectionId,
    name: &str,
) -> Result<(), CommitError> {
    let CollectionRow { collection: before, entry } = group.collection_mut(id)?.clone();
    let Some(old_parent) = before.parent else { return Err(failed(Assert::CollectionPresent(id))) };
    if !asserts::name_free(group, parent, name)? || lies_in(group, parent, id)? {
        return Err(failed(Assert::NameFree(parent, name.to_owned())));
    }
    leave(group, old_parent, &before.name, entry)?;
    let owner = group.collection_mut(parent)?.collection.owner;
    let moved = group.collection_mut(id)?.change();
    moved.parent = Some(parent);
    name.clone_into(&mut moved.name);
    if owner != before.owner {
        for below in subtree(group, id)? {
            let collection = group.collection_mut(below)?.change();
            let (giver, bytes) = (std::mem::replace(&mut collection.owner, owner), collection.bytes);
            group.count_bytes(giver, 0, bytes)?;
            group.count_bytes(owner, bytes, 0)?;
        }
    }
    enter(group, id, parent, name)
}

/// Whether `id` is `above` or lies below it.
fn lies_in(group: &mut Group<'_>, mut id: CollectionId, above: CollectionId) -> Result<bool, CommitError> {
    for _ in 0..DEPTH_MAX {
        if id == above {
            return Ok(true);
        }
        match group.collection_mut(id)?.collection.parent {
            Some(parent) => id = parent,
            None => return Ok(false),
        }
    }
    Err(StoreError::Corrupt(format!("collection {id} lies in a circle of collections")).into())
}

/// A collection and all below it, those above first.
fn subtree(group: &Group<'_>, id: CollectionId) -> Result<Vec<CollectionId>, CommitError> {
    let mut found = vec![id];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        group.scan(&keys::within(Table::Children, parent.0), &mut |_, row| {
            found.push(rows::decode(row, "children")?);
            Ok(ControlFlow::Continue(()))
        })?;
        next += 1;
    }
    Ok(found)
}

fn delete_collection(group: &mut Group<'_>, id: CollectionId) -> Result<(), CommitError> {
    let Some(row) = group.collection(id)? else { return Ok(()) };
    let (parent, name, entry) = (row.collection.parent, row.collection.name.clone(), row.entry);
    for gone in subtree(group, id)? {
        let Some(row) = group.collection(gone)?.cloned() else { continue };
        if let Some(above) = row.collection.parent {
            group.delete(keys::member(Table::Children, above, &row.collection.name));
        }
        group.count_bytes(row.collection.owner, 0, row.collection.bytes)?;
        group.set_collection(gone, None);
        // The members' rows cannot be reached any more; they are removed in small steps later.
        group.put(keys::garbage(gone), Bytes::new());
        delete_locks_in(group, gone)?;
    }
    match parent {
        Some(parent) => leave(group, parent, &name, entry),
        None => Ok(()),
    }
}

fn delete_locks_in(group: &mut Group<'_>, id: CollectionId) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    group.scan(&keys::table(Table::Locks), &mut |key, row| {
        let lock: Lock = rows::decode(row, "locks")?;
        if lock.collection == id {
            gone.push(key.to_vec());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    gone.into_iter().for_each(|key| group.delete(key));
    Ok(())
}

fn put_principal(group: &mut Group<'_>, new: &Principal) -> Result<(), StoreError> {
    if let Some(row) = group.get(&keys::principal(new.id))? {
        let old: Principal = rows::decode(&row, "principals")?;
        group.delete(keys::principal_name(&old.name));
    }
    group.raise(keys::PRINCIPALS, new.id.0)?;
    group.put(keys::principal(new.id), rows::encode(new));
    group.put(keys::principal_name(&new.name), rows::encode(&new.id));
    Ok(())
}

fn trim_events(group: &mut Group<'_>, up_to: u64) -> Result<(), StoreError> {
    let mut old = Vec::new();
    let range = (keys::event(0), keys::behind(keys::event(up_to)));
    group.scan(&range, &mut |key, _| {
        old.push(key.to_vec());
        Ok(if old.len() == TRIM_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    old.into_iter().for_each(|key| group.delete(key));
    Ok(())
}

/// The revisions of the collections that the batch has events of: a deleted one has none to read afterwards.
fn revisions_before_deletion(
    group: &mut Group<'_>,
    batch: &Batch,
) -> Result<Vec<(CollectionId, Revision)>, StoreError> {
    let mut revisions = Vec::new();
    for draft in &batch.events {
        if let Some(row) = group.collection(draft.collection)? {
            revisions.push((draft.collection, row.collection.revision));
        }
    }
    Ok(revisions)
}

fn record_events(group: &mut Group<'_>, batch: &Batch, before: &[(CollectionId, Revision)]) -> Result<(), CommitError> {
    if batch.events.is_empty() {
        return Ok(());
    }
    for draft in &batch.events {
        let revision = match group.collection(draft.collection)? {
            Some(row) => row.collection.revision,
            None => before
                .iter()
                .find(|(id, _)| *id == draft.collection)
                .map_or(Revision(0), |(_, last)| Revision(last.0 + 1)),
        };
        group.seq += 1;
        let event = Event {
            seq: group.seq,
            at: batch.at,
            actor: batch.actor,
            owner: draft.owner,
            collection: draft.collection,
            revision,
            kind: draft.kind.clone(),
        };
        group.put(keys::event(event.seq), rows::encode(&event));
    }
    let newest = group.seq;
    Ok(group.raise(keys::EVENTS, newest)?)
}
