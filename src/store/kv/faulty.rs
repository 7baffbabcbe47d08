//! An engine that fails when told to: for tests of what happens then.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Changes, Kv, Visit};
use crate::store::{Engine, StoreError};

/// What an engine does that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writing ahead fails: a journal that cannot be written or made durable.
    Ahead,
    /// The next apply fails, and applies nothing.
    Apply,
    /// The next sync fails.
    Sync,
    /// Reads fail.
    Read,
}

/// An engine in front of another one.
pub struct Faulty {
    inner: Arc<dyn Kv>,
    plan: Mutex<Option<(Fault, StoreError)>>,
    kind: Engine,
}

impl Faulty {
    /// An engine that does what `inner` does until told otherwise.
    pub fn new(inner: Arc<dyn Kv>) -> Self {
        Self { plan: Mutex::new(None), kind: inner.kind(), inner }
    }

    /// The same, passing for another kind of engine: rows in memory that are rewritten like files.
    #[must_use]
    pub fn posing_as(self, kind: Engine) -> Self {
        Self { kind, ..self }
    }

    /// From now on `fault` happens, with this error.
    pub fn fail(&self, fault: Fault, error: StoreError) {
        *self.plan.lock() = Some((fault, error));
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        *self.plan.lock() = None;
    }

    fn meet(&self, fault: Fault) -> Result<(), StoreError> {
        match &*self.plan.lock() {
            Some((planned, error)) if *planned == fault => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl Kv for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.meet(Fault::Read)?;
        self.inner.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.meet(Fault::Read)?;
        self.inner.scan(from, to, visit)
    }

    fn write_ahead(&self, changes: &Changes) -> Result<(), StoreError> {
        self.meet(Fault::Ahead)?;
        self.inner.write_ahead(changes)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.meet(Fault::Apply)?;
        self.inner.apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.meet(Fault::Sync)?;
        self.inner.sync()
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.inner.disk_bytes()
    }

    fn kind(&self) -> Engine {
        self.kind
    }
}
