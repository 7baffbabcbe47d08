//! The engine for tests: a map in memory that can lose power.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Changes, Kv, Visit};
use crate::store::{Engine, StoreError};

/// A map in memory. It remembers what was not yet synced, so that tests can cut its power.
#[derive(Debug, Default)]
pub struct Memory(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Vec<u8>, Bytes>,
    /// What each change since the last sync replaced, oldest first.
    unsynced: Vec<(Vec<u8>, Option<Bytes>)>,
}

impl State {
    fn set(&mut self, key: &[u8], value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => self.rows.insert(key.to_vec(), value),
            None => self.rows.remove(key),
        }
    }
}

impl Memory {
    /// Loses all that was not synced.
    pub fn power_cut(&self) {
        let mut state = self.0.write();
        for (key, before) in std::mem::take(&mut state.unsynced).into_iter().rev() {
            state.set(&key, before);
        }
    }
}

impl Kv for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.read().rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let state = self.0.read();
        for (key, value) in state.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut state = self.0.write();
        for (key, value) in changes {
            let before = state.set(key, value.clone());
            state.unsynced.push((key.clone(), before));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.0.write().unsynced.clear();
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.0.read().rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }

    fn kind(&self) -> Engine {
        Engine::Memory
    }
}
