//! One state of all rows, read in pieces while writers go on: for backups. What a writer replaces before the snapshot has
//! got there is kept for it; so its cost is what changes meanwhile, on every engine.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::keys::Key;
use super::kv::{Changes, Kv};
use super::shared::Shared;
use super::{Store, StoreError};

/// A row of any table, as the engines hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Bytes,
}

/// All rows as they were when the snapshot was taken.
pub struct Snapshot {
    shared: Arc<Shared>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The first key not yet read; `None` when all are.
    next: Option<Key>,
    /// What was there under keys that were written since.
    kept: BTreeMap<Key, Option<Bytes>>,
}

/// The snapshots being read.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Vec<Weak<Mutex<State>>>>);

impl Snapshots {
    /// Keeps for every snapshot what `changes` are about to replace. Called while nobody reads.
    pub(super) fn keep(&self, kv: &dyn Kv, changes: &Changes) -> Result<(), StoreError> {
        let mut snapshots = self.0.lock();
        snapshots.retain(|snapshot| snapshot.strong_count() > 0);
        for snapshot in snapshots.iter().filter_map(Weak::upgrade) {
            let mut state = snapshot.lock();
            let Some(next) = state.next.clone() else { continue };
            for (key, _) in changes.range(next..) {
                if !state.kept.contains_key(key) {
                    state.kept.insert(key.clone(), kv.get(key)?);
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// The state of all rows right now.
    pub fn snapshot(&self) -> Snapshot {
        let shared = Arc::clone(&self.0.shared);
        let state = Arc::new(Mutex::new(State { next: Some(Key::new()), kept: BTreeMap::new() }));
        // While the engine is held for reading no change is half applied.
        let engine = shared.read();
        shared.snapshots.0.lock().push(Arc::downgrade(&state));
        drop(engine);
        Snapshot { shared, state }
    }
}

impl Snapshot {
    /// The next rows in the order of their keys, about `bytes_max` bytes of them; none at the end.
    ///
    /// # Errors
    /// If the storage fails or is damaged.
    pub fn next_rows(&mut self, bytes_max: usize) -> Result<Vec<Row>, StoreError> {
        loop {
            // All rows of a piece can be newer than the snapshot: an empty piece is not yet the end.
            match self.piece(bytes_max)? {
                Some(rows) if rows.is_empty() => {}
                piece => return Ok(piece.unwrap_or_default()),
            }
        }
    }

    fn piece(&self, bytes_max: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let engine = self.shared.read();
        let mut state = self.state.lock();
        let Some(from) = state.next.clone() else { return Ok(None) };
        let mut read: BTreeMap<Key, Bytes> = BTreeMap::new();
        let mut bytes = 0;
        let mut end = None;
        engine.scan(&from, &[u8::MAX], &mut |key, value| {
            if bytes >= bytes_max {
                end = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            bytes += key.len() + value.len();
            read.insert(key.to_vec(), Bytes::copy_from_slice(value));
            Ok(ControlFlow::Continue(()))
        })?;
        let later = end.as_ref().map_or_else(BTreeMap::new, |end| state.kept.split_off(end));
        for (key, value) in std::mem::replace(&mut state.kept, later) {
            match value {
                Some(value) => read.insert(key, value),
                None => read.remove(&key),
            };
        }
        state.next = end;
        Ok(Some(read.into_iter().map(|(key, value)| Row { key, value }).collect()))
    }
}
