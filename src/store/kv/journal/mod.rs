//! A journal in front of an engine whose own way to durability is dear (each of sled's atomic writes wakes all of its threads twice, and
//! each flush once more): changes are written to a file of fixed size and made durable there, which is one small write in
//! place, and stay in memory, where readers find them. Now and then, at a checkpoint, the engine takes all that have
//! come together as one write of its own, durably, and the journal begins anew: what was changed many times is
//! written there once. What the journal holds when it is opened goes the same way.
//!
//! Changes that are applied without being written ahead (while files are rewritten, and more at once than the journal takes) go to the
//! engine itself; before that the journal is emptied, or an older record would cover them at the next opening.

mod file;
mod record;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::file::{FILE_BYTES, Journal, RECORD_BYTES};
use self::record::{Record, record_bytes};
use super::{Changes, Kv, Visit, scan_over};
use crate::store::{Engine, StoreError};

/// After how many journaled bytes the engine takes them.
const CHECKPOINT_BYTES: u64 = 1000 * 1024;

/// An engine with a journal.
pub(in crate::store) struct Journaled {
    engine: Arc<dyn Kv>,
    journal: Mutex<Journal>,
    /// What the engine has not taken yet. It holds what the journal's records of this generation do.
    recent: RwLock<Changes>,
}

impl Journaled {
    /// Opens the journal in `dir`; `engine` takes what it holds.
    pub(in crate::store) fn open(engine: Arc<dyn Kv>, dir: &Path) -> Result<Self, StoreError> {
        let (journal, records) = Journal::open(dir)?;
        let recent = RwLock::new(records.into_iter().flatten().collect());
        let opened = Self { engine, journal: Mutex::new(journal), recent };
        opened.checkpoint(&mut opened.journal.lock())?;
        Ok(opened)
    }

    /// Refuses `dir` if the journal that is known to have been in it is missing, or was emptied by others.
    pub(in crate::store) fn expect(dir: &Path) -> Result<(), StoreError> {
        file::expect(dir)
    }

    /// Puts the damaged journal in `dir`, if there is one, aside into `to`, and says under which name. One that is whole is
    /// refused.
    pub(in crate::store) fn put_aside(dir: &Path, to: &Path) -> Result<Option<PathBuf>, StoreError> {
        file::put_aside(dir, to)
    }

    /// The engine takes what it has not taken yet, durably; the journal begins anew.
    fn checkpoint(&self, journal: &mut Journal) -> Result<(), StoreError> {
        // Until it has come to its end.
        let failed_before = std::mem::replace(&mut journal.has_failed, true);
        {
            // Readers go on: what the engine has of this already is covered by the same.
            let recent = self.recent.read_recursive();
            if !recent.is_empty() {
                self.engine.apply(&recent)?;
            }
            if !recent.is_empty() || journal.is_behind {
                self.engine.sync()?;
            }
        }
        self.recent.write().clear();
        journal.begin_anew()?;
        journal.has_failed = failed_before;
        Ok(())
    }

    /// Prepares for changes that are not journaled.
    fn step_aside(&self, journal: &mut Journal) -> Result<(), StoreError> {
        if journal.end > 0 { self.checkpoint(journal) } else { Ok(()) }
    }
}

impl Kv for Journaled {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let recent = self.recent.read_recursive();
        match recent.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.engine.get(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_over(&*self.engine, &self.recent.read_recursive(), (from, to), visit)
    }

    fn write_ahead(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        if record_bytes(changes) > RECORD_BYTES {
            return self.step_aside(&mut journal);
        }
        let mut record = Record::of(changes);
        if journal.is_behind || journal.end + record.bytes().len() as u64 > RECORD_BYTES as u64 {
            self.checkpoint(&mut journal)?;
        }
        journal.append(&mut record).inspect_err(|_| journal.has_failed = true)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        if std::mem::take(&mut journal.is_ahead) {
            self.recent.write().extend(changes.iter().map(|(key, row)| (key.clone(), row.clone())));
            return Ok(());
        }
        self.step_aside(&mut journal)?;
        journal.is_behind = true;
        self.engine.apply(changes).inspect_err(|_| journal.has_failed = true)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        if journal.is_behind || journal.end >= CHECKPOINT_BYTES {
            self.checkpoint(&mut journal)?;
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.engine.disk_bytes()? + FILE_BYTES as u64)
    }

    fn kind(&self) -> Engine {
        self.engine.kind()
    }
}

impl Drop for Journaled {
    /// At rest the engine's files alone hold everything. If something failed, now or before, or it is not known whether the last
    /// changes were to be applied, the next opening does it: an engine that could not make durable what it took may say that
    /// it did when it is asked again.
    fn drop(&mut self) {
        let journal = &mut *self.journal.lock();
        if !journal.is_ahead && !journal.has_failed {
            let _ = self.step_aside(journal);
        }
    }
}
