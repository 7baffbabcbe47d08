//! A group of batches on the way to the engine: what the engine holds, covered by what the group has changed so
//! far. A batch that fails leaves nothing of itself; a row that several batches change is written once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::cache::RowCache;
use super::keys::{self, Key, Table};
use super::kv::{Changes, Kv, Visit, scan_over};
use super::rows::{self, CollectionRow};
use super::{CommitError, StoreError};
use crate::base::{CollectionId, PrincipalId, Revision, Utc};

/// How many openings a collection remembers its changes in.
const EPOCHS_MAX: usize = 64;

/// What is the same for every batch of an opening.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Which opening of the store this is.
    pub epoch: u64,
    /// How many deletions a change log remembers.
    pub tombstones_max: u64,
}

/// The batches applied together.
pub(super) struct Group<'a> {
    kv: &'a dyn Kv,
    rows: &'a RowCache,
    pub(super) terms: Terms,
    changes: Changes,
    /// What the engine was asked for. Asserting and writing ask for the same rows, and the answers stay the same for as long as
    /// the group is not applied.
    asked: RefCell<HashMap<Key, Option<Bytes>>>,
    /// Collections that the group has looked at; `None` is a deleted one. Written as rows at its end, since each
    /// batch changes them again.
    collections: HashMap<CollectionId, Option<CollectionRow>>,
    /// Those of them that it has changed.
    dirty: HashSet<CollectionId>,
    /// The number of the newest event.
    pub(super) seq: u64,
    undo: Undo,
    /// The time of the batch under way.
    pub(super) at: Utc,
}

/// What a group comes to.
#[derive(Default)]
pub(super) struct Outcome {
    /// All changes, to be applied.
    pub changes: Changes,
    /// The collections that are among them and not deleted.
    pub collections: Vec<(CollectionId, CollectionRow)>,
    /// The number of the newest event with them.
    pub newest_event: u64,
}

/// What the batch under way has replaced in the group.
#[derive(Default)]
struct Undo {
    /// In the order in which it was replaced.
    changes: Vec<(Key, Option<Option<Bytes>>)>,
    collections: BTreeMap<CollectionId, Option<Option<CollectionRow>>>,
    seq: u64,
}

impl<'a> Group<'a> {
    pub(super) fn new(kv: &'a dyn Kv, rows: &'a RowCache, terms: Terms, seq: u64) -> Self {
        Self {
            kv,
            rows,
            terms,
            changes: Changes::new(),
            asked: RefCell::default(),
            collections: HashMap::new(),
            dirty: HashSet::new(),
            seq,
            undo: Undo::default(),
            at: Utc::default(),
        }
    }

    /// Begins a batch that happens at `at`.
    pub(super) fn begin(&mut self, at: Utc) {
        self.undo = Undo { seq: self.seq, ..Undo::default() };
        self.at = at;
    }

    /// Takes back all that the batch under way has done.
    pub(super) fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        for (key, before) in undo.changes.into_iter().rev() {
            match before {
                Some(before) => self.changes.insert(key, before),
                None => self.changes.remove(&key),
            };
        }
        for (id, before) in undo.collections {
            match before {
                Some(before) => self.collections.insert(id, before),
                None => self.collections.remove(&id),
            };
        }
        self.seq = undo.seq;
    }

    /// The collections that the batch under way has changed and not deleted, with their revisions.
    pub(super) fn changed(&self) -> Vec<(CollectionId, Revision)> {
        let revision = |id: &CollectionId| Some((*id, self.collections.get(id)?.as_ref()?.collection.revision));
        self.undo.collections.keys().filter_map(revision).collect()
    }

    /// What all its batches come to.
    pub(super) fn finish(mut self) -> Outcome {
        let mut collections = Vec::with_capacity(self.dirty.len());
        for (id, row) in self.collections.into_iter().filter(|(id, _)| self.dirty.contains(id)) {
            self.changes.insert(keys::collection(id), row.as_ref().map(rows::encode));
            collections.extend(row.map(|row| (id, row)));
        }
        Outcome { changes: self.changes, collections, newest_event: self.seq }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.ask(key),
        }
    }

    fn ask(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(known) = self.asked.borrow().get(key) {
            return Ok(known.clone());
        }
        let row = self.kv.get(key)?;
        self.asked.borrow_mut().insert(key.to_vec(), row.clone());
        Ok(row)
    }

    /// Whether there is a collection called `name` in `parent`.
    pub(super) fn has_child(&self, parent: CollectionId, name: &str) -> Result<bool, StoreError> {
        match self.changes.get(&keys::member(Table::Children, parent, name)) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.rows.child(self.kv, parent, name)?.is_some()),
        }
    }

    pub(super) fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(key)?.is_some())
    }

    pub(super) fn put(&mut self, key: Key, value: Bytes) {
        self.set(key, Some(value));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.set(key, None);
    }

    fn set(&mut self, key: Key, value: Option<Bytes>) {
        let before = self.changes.insert(key.clone(), value);
        self.undo.changes.push((key, before));
    }

    /// Visits the rows as the group has left them. Collections' own rows are not among those it knows.
    pub(super) fn scan(&self, (from, to): &(Key, Key), visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_over(self.kv, &self.changes, (from, to), visit)
    }

    /// The collection as the group has left it.
    pub(super) fn collection(&mut self, id: CollectionId) -> Result<Option<&CollectionRow>, StoreError> {
        self.load(id)?;
        Ok(self.collections.get(&id).and_then(Option::as_ref))
    }

    /// The collection, to be changed.
    ///
    /// # Errors
    /// If there is none: a write into it cannot be done.
    pub(super) fn collection_mut(&mut self, id: CollectionId) -> Result<&mut CollectionRow, CommitError> {
        self.load(id)?;
        self.dirty.insert(id);
        let row = self.collections.get_mut(&id).and_then(Option::as_mut).ok_or_else(|| missing(id))?;
        self.undo.collections.entry(id).or_insert_with(|| Some(Some(row.clone())));
        Ok(row)
    }

    /// Puts or deletes a collection.
    pub(super) fn set_collection(&mut self, id: CollectionId, row: Option<CollectionRow>) {
        self.dirty.insert(id);
        let before = self.collections.insert(id, row);
        self.undo.collections.entry(id).or_insert(before);
    }

    fn load(&mut self, id: CollectionId) -> Result<(), StoreError> {
        if !self.collections.contains_key(&id)
            && let Some(row) = self.rows.collection(self.kv, id)?
        {
            self.collections.insert(id, Some(row));
        }
        Ok(())
    }

    /// Counts a change of a collection: its revision grows by one.
    pub(super) fn bump(&mut self, id: CollectionId) -> Result<Revision, CommitError> {
        let (at, epoch) = (self.at, self.terms.epoch);
        let collection = self.collection_mut(id)?.change();
        collection.revision.0 += 1;
        collection.modified = at;
        collection.epoch = epoch;
        let revision = collection.revision;
        match collection.epochs.last_mut() {
            Some((last, reached)) if *last == epoch => *reached = revision,
            _ => collection.epochs.push((epoch, revision)),
        }
        let surplus = collection.epochs.len().saturating_sub(EPOCHS_MAX);
        collection.epochs.drain(..surplus);
        Ok(revision)
    }

    pub(super) fn usage(&self, owner: PrincipalId) -> Result<u64, StoreError> {
        self.get(&keys::usage(owner))?.map_or(Ok(0), |row| rows::decode(&row, "usage"))
    }

    /// Counts bytes that came and bytes that went.
    pub(super) fn count_bytes(&mut self, owner: PrincipalId, more: u64, less: u64) -> Result<(), StoreError> {
        let used = self.usage(owner)?.saturating_add(more).saturating_sub(less);
        match used {
            0 => self.delete(keys::usage(owner)),
            used => self.put(keys::usage(owner), rows::encode(&used)),
        }
        Ok(())
    }

    /// The same for rows of services, all together.
    pub(super) fn count_service_bytes(&mut self, more: u64, less: u64) -> Result<(), StoreError> {
        let key = keys::meta(keys::SERVICE_BYTES);
        let now: u64 = self.get(&key)?.map_or(Ok(0), |row| rows::decode(&row, "counters"))?;
        self.put(key, rows::encode(&now.saturating_add(more).saturating_sub(less)));
        Ok(())
    }

    /// Keeps the largest number given out of a kind.
    pub(super) fn raise(&mut self, counter: &str, to: u64) -> Result<(), StoreError> {
        let key = keys::meta(counter);
        let now: u64 = self.get(&key)?.map_or(Ok(0), |row| rows::decode(&row, "counters"))?;
        if to > now {
            self.put(key, rows::encode(&to));
        }
        Ok(())
    }
}

fn missing(id: CollectionId) -> CommitError {
    CommitError::Failed { assert: super::Assert::CollectionPresent(id), found: None }
}
