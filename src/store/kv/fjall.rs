//! fjall: the second embedded engine, durable without help.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use bytes::Bytes;

use super::{Changes, Kv, Visit, io_error};
use crate::store::{Engine, StoreError};

/// How often, and how long apart, opening is tried while background threads of an earlier opening by this same
/// process still hold fjall's own lock. Other processes were kept out before.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// One fjall keyspace in a directory of its own.
pub(in crate::store) struct Fjall {
    db: Database,
    rows: Keyspace,
}

impl Fjall {
    /// Opens or makes the keyspace in `dir`.
    pub(in crate::store) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| io_error(&format!("making {}", dir.display()), &error))?;
        let mut tries = 0;
        let db = loop {
            match Database::builder(dir).cache_size(cache_bytes).open() {
                Err(::fjall::Error::Locked) if tries < OPEN_TRIES => tries += 1,
                done => break done.map_err(|error| fjall_error(&error))?,
            }
            sleep(OPEN_PAUSE);
        };
        let rows = db.keyspace("rows", KeyspaceCreateOptions::default).map_err(|error| fjall_error(&error))?;
        Ok(Self { db, rows })
    }
}

impl Kv for Fjall {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.rows.get(key).map_err(|error| fjall_error(&error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        for row in self.rows.range::<&[u8], _>(from..to) {
            let (key, value) = row.into_inner().map_err(|error| fjall_error(&error))?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.rows, key.as_slice(), value.as_ref()),
                None => batch.remove(&self.rows, key.as_slice()),
            }
        }
        batch.commit().map_err(|error| fjall_error(&error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(|error| fjall_error(&error))
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.disk_space().map_err(|error| fjall_error(&error))
    }

    fn kind(&self) -> Engine {
        Engine::Fjall
    }
}

fn fjall_error(error: &::fjall::Error) -> StoreError {
    match error {
        ::fjall::Error::Io(io) => io_error("fjall", io),
        ::fjall::Error::Locked => StoreError::InUse("fjall's own lock is held".to_owned()),
        ::fjall::Error::InvalidVersion(version) => {
            StoreError::Format(format!("fjall's files have the version {version:?}, which this program does not know"))
        }
        ::fjall::Error::JournalRecovery(_)
        | ::fjall::Error::InvalidTrailer
        | ::fjall::Error::InvalidTag(_)
        | ::fjall::Error::Decompress(_)
        | ::fjall::Error::Unrecoverable => StoreError::Corrupt(format!(
            "fjall found damage ({error}); keep a copy of the directory, then restore the newest backup"
        )),
        other => StoreError::Io(format!("fjall: {other}")),
    }
}
