//! Layer 4: the store. One contract ([`Store`], [`Batch`]) over small key-value engines (`memory`, `sled`, `fjall`).
//!
//! - One write is one [`Batch`]: assertions, rows, change-log entries and outbox events become durable together
//!   or not at all (invariant S1). One committer gathers the batches of concurrent writers, applies them in order, makes
//!   them durable once and then answers all (S2).
//! - The store never parses what it keeps (S6).
//! - Reads see every applied batch whole or not at all. They may see one that is not durable yet: nobody was
//!   promised it, and the epoch in a sync-token keeps such a state from being taken for a later one (see
//!   [`crate::model::SyncToken`]). The outbox alone is read up to the last durable event.
//!
//! Inside: [`kv`] holds the engines, `keys` and `rows` say what is where, `group`, `asserts` and `writes` turn batches into
//! changes of rows, `committer` makes them durable, `read` answers, `snapshot`, `backup`, `restore` and
//! `rewrite` copy all rows, `dir` is the data directory.

mod asserts;
mod backup;
mod batch;
mod cache;
mod check;
mod committer;
mod dir;
mod group;
mod keys;
pub mod kv;
mod read;
mod restore;
mod rewrite;
mod rows;
mod shared;
mod snapshot;
mod writes;

pub use backup::{Backup, BackupSize, restore_backup};
pub use batch::{Assert, Batch, Commit, CommitError, Draft, StoreError, Write};
pub use check::Finding;
pub use dir::{Engine, Options, free_bytes, give_up_journal};
pub use restore::Restore;
pub use rewrite::Rewritten;
pub use snapshot::{Row, Snapshot};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{CollectionId, PrincipalId};
use committer::Committer;
use kv::Kv;
use shared::Shared;

/// The store. Cheap to clone; all clones are one. When the last one is dropped, what waits is written and the
/// directory is given free.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    // Dropped first: the committer's thread ends before the lock on the directory does.
    committer: Committer,
    shared: Arc<Shared>,
    next_collection: AtomicU64,
    next_principal: AtomicU64,
    _lock: Option<dir::DirLock>,
}

/// How a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// The bytes of the engine's files.
    pub disk_bytes: u64,
    /// The bytes free on their disk; `None` for a store in memory.
    pub free_bytes: Option<u64>,
    /// Whether writes are taken: not after one that could not be made durable.
    pub writable: bool,
}

/// A page of a listing in the order of names, and whether there is more behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether the listing goes on.
    pub more: bool,
}

impl Store {
    /// Opens the store, repairing nothing silently.
    ///
    /// # Errors
    /// In words for the administrator: who holds the directory, what is damaged, what to do.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        match options.engine {
            Engine::Memory => Self::start(Arc::new(kv::Memory::default()), options, None),
            Engine::Sled | Engine::Fjall => {
                let lock = dir::DirLock::take(&options.dir)?;
                let engine = dir::open(options)?;
                Self::start(engine, options, Some(lock))
            }
        }
    }

    /// Opens a store on an engine that the caller made: for tests that make it fail or lose power.
    ///
    /// # Errors
    /// If the engine cannot be read or written.
    pub fn open_on(engine: Arc<dyn Kv>, options: &Options) -> Result<Self, StoreError> {
        Self::start(engine, options, None)
    }

    fn start(engine: Arc<dyn Kv>, options: &Options, lock: Option<dir::DirLock>) -> Result<Self, StoreError> {
        let shared = Shared::open(engine, options)?;
        let next_collection = AtomicU64::new(shared.counter(keys::COLLECTIONS)? + 1);
        let next_principal = AtomicU64::new(shared.counter(keys::PRINCIPALS)? + 1);
        let shared = Arc::new(shared);
        let committer = Committer::start(Arc::clone(&shared))?;
        Ok(Self(Arc::new(Inner { committer, shared, next_collection, next_principal, _lock: lock })))
    }

    /// Applies `batch` and waits until it is durable.
    ///
    /// # Errors
    /// [`CommitError::Failed`] names the first assertion that does not hold; nothing was changed. A write into a
    /// collection that is not there, or onto a name that is taken, fails as the assertion that would have forbidden it.
    /// [`CommitError::Store`] if it could not be made durable.
    pub async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.0.committer.commit(batch).await
    }

    /// Ids for new rows, never given out before by this process and larger than any committed.
    pub fn next_collection_id(&self) -> CollectionId {
        CollectionId(self.0.next_collection.fetch_add(1, Ordering::Relaxed))
    }

    /// See [`Store::next_collection_id`].
    pub fn next_principal_id(&self) -> PrincipalId {
        PrincipalId(self.0.next_principal.fetch_add(1, Ordering::Relaxed))
    }
}
