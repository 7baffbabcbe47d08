//! Layer 4: the store. One contract ([`Store`], [`Batch`]) over small key-value engines (`memory`, `sled`, `fjall`).
//!
//! - One write is one [`Batch`]: assertions, rows, change-log entries and outbox events become durable together
//!   or not at all (invariant S1). One committer gathers the batches of concurrent writers, applies them in order, makes
//!   them durable once and then answers all (S2).
//! - The store never parses what it keeps (S6).
//! - Reads see every applied batch whole or not at all. They may see one that is not durable yet: nobody was
//!   promised it, and the epoch in a sync-token keeps such a state from being taken for a later one (see
//!   [`crate::model::SyncToken`]). The outbox alone is read up to the last durable event.

mod batch;

pub use batch::{Assert, Batch, Commit, CommitError, Draft, StoreError, Write};

use std::path::PathBuf;

use bytes::Bytes;

use crate::base::{CollectionId, PrincipalId, Revision};
use crate::model::{Change, Collection, Credentials, Event, Lock, Object, Principal, UserName};

/// Which engine keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// sled: the default.
    Sled,
    /// fjall.
    Fjall,
    /// Memory alone: for tests; gone with the process.
    Memory,
}

/// Where and how to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; made if missing. Unused by [`Engine::Memory`].
    pub dir: PathBuf,
    /// The engine. A directory written by the other one is refused with a hint at `kalends migrate`.
    pub engine: Engine,
    /// The page cache, in bytes.
    pub cache_bytes: u64,
    /// How many deletions each change log remembers (limit `tombstones_max`).
    pub tombstones_max: u64,
}

/// The store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store;

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
        let _ = options;
        todo!()
    }

    /// Applies `batch` and waits until it is durable.
    ///
    /// # Errors
    /// [`CommitError::Failed`] names the first assertion that does not hold; nothing was changed. [`CommitError::Store`]
    /// if it could not be made durable.
    pub async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let _ = batch;
        todo!()
    }

    /// Ids for new rows, never given out before by this process and larger than any committed.
    pub fn next_collection_id(&self) -> CollectionId {
        todo!()
    }

    /// See [`Store::next_collection_id`].
    pub fn next_principal_id(&self) -> PrincipalId {
        todo!()
    }

    /// The principal with that id.
    pub async fn principal(&self, id: PrincipalId) -> Result<Option<Principal>, StoreError> {
        let _ = id;
        todo!()
    }

    /// The principal of that name.
    pub async fn principal_named(&self, name: &UserName) -> Result<Option<Principal>, StoreError> {
        let _ = name;
        todo!()
    }

    /// All principals by name, from behind `after`.
    pub async fn principals(&self, after: Option<&UserName>, limit: usize) -> Result<Page<Principal>, StoreError> {
        let _ = (after, limit);
        todo!()
    }

    /// What the principal can log in with.
    pub async fn credentials(&self, id: PrincipalId) -> Result<Option<Credentials>, StoreError> {
        let _ = id;
        todo!()
    }

    /// The bytes that a principal's collections hold together (RFC 4331).
    pub async fn usage(&self, id: PrincipalId) -> Result<u64, StoreError> {
        let _ = id;
        todo!()
    }

    /// The collection with that id.
    pub async fn collection(&self, id: CollectionId) -> Result<Option<Collection>, StoreError> {
        let _ = id;
        todo!()
    }

    /// The collection called `name` in `parent`.
    pub async fn child(&self, parent: CollectionId, name: &str) -> Result<Option<Collection>, StoreError> {
        let _ = (parent, name);
        todo!()
    }

    /// The collections in `parent`, by name.
    pub async fn children(&self, parent: CollectionId) -> Result<Vec<Collection>, StoreError> {
        let _ = parent;
        todo!()
    }

    /// An object without its bytes.
    pub async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
        let _ = (collection, name);
        todo!()
    }

    /// An object with its bytes, of one and the same state.
    pub async fn content(&self, collection: CollectionId, name: &str) -> Result<Option<(Object, Bytes)>, StoreError> {
        let _ = (collection, name);
        todo!()
    }

    /// The objects of a collection by name, from behind `after`, without their bytes.
    pub async fn objects(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Object>, StoreError> {
        let _ = (collection, after, limit);
        todo!()
    }

    /// The name of the object that has `uid`.
    pub async fn name_of_uid(&self, collection: CollectionId, uid: &str) -> Result<Option<String>, StoreError> {
        let _ = (collection, uid);
        todo!()
    }

    /// The change log of a collection behind `since`, oldest first: each member once, with its last change (Y2).
    /// Costs what changed, not what is there (Y3). From revision 0 it lists every member.
    pub async fn changes(
        &self,
        collection: CollectionId,
        since: Revision,
        limit: usize,
    ) -> Result<Page<Change>, StoreError> {
        let _ = (collection, since, limit);
        todo!()
    }

    /// Every lock there is, expired ones too until they are removed. Few, and kept in memory.
    pub async fn locks(&self) -> Result<Vec<Lock>, StoreError> {
        todo!()
    }

    /// Durable events behind `after`, in order.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page<Event>, StoreError> {
        let _ = (after, limit);
        todo!()
    }
}
