//! What a write is made of.

use bytes::Bytes;

use crate::base::{CollectionId, ETag, LockToken, PrincipalId, Revision, Secret, Utc};
use crate::model::{Collection, Credentials, EventKind, Lock, Object, Principal, Shelf, UserName};

/// One write: all of it is there after a crash, or none (invariant S1).
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// When it happens: becomes `modified` of the collections it changes, and the events' time.
    pub at: Utc,
    /// On whose behalf; recorded in events.
    pub actor: Option<PrincipalId>,
    /// What must hold, checked in order, right before it is applied and with no other write between.
    pub asserts: Vec<Assert>,
    /// What is written, in order: a later write sees the earlier ones.
    pub writes: Vec<Write>,
    /// What the outbox hears of it.
    pub events: Vec<Draft>,
}

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assert {
    /// The object is there and has this tag.
    ObjectIs(CollectionId, String, ETag),
    /// The object is there and nothing of it has changed since this revision, neither its bytes nor its properties: it is
    /// what its reader saw.
    ObjectAt(CollectionId, String, Revision),
    /// The object is there.
    ObjectPresent(CollectionId, String),
    /// Neither an object nor a collection has this name there.
    NameFree(CollectionId, String),
    /// No object of the collection but the one called as the third says has this UID.
    UidFree(CollectionId, String, Option<String>),
    /// The collection is there.
    CollectionPresent(CollectionId),
    /// The collection is there with this revision: it is what its reader saw.
    CollectionAt(CollectionId, Revision),
    /// The collection is there under the same name, and its own fields (what [`Write::UpdateCollection`] replaces) are what their
    /// reader saw, whatever has become of its members. Secret, since failed assertions are told in errors.
    CollectionIs(Secret<Box<Collection>>),
    /// The collection has neither objects nor collections in it.
    CollectionEmpty(CollectionId),
    /// The collection holds fewer objects than this.
    ObjectsBelow(CollectionId, u64),
    /// After the batch the principal's bytes are at most this many.
    UsageAtMost(PrincipalId, u64),
    /// No principal has this name.
    PrincipalFree(UserName),
    /// The principal is there.
    PrincipalPresent(PrincipalId),
    /// The principal is what its reader saw. Secret, since failed assertions are told in errors.
    PrincipalIs(Secret<Box<Principal>>),
    /// The principal is there and can log in with what its reader saw.
    CredentialsAre(PrincipalId, Credentials),
    /// The service's row is what its reader saw; `None`: there is none. Where it fails, the error has `None` in its
    /// place: rows hold users' content and secrets, and errors are told.
    RowIs(Shelf, Vec<u8>, Option<Bytes>),
}

/// A single write.
#[derive(Debug, Clone)]
pub enum Write {
    /// Stores an object with its bytes, in place of the one with that name. `object.revision` is set by the store.
    /// Counts as a change of its collection and of all collections above.
    PutObject(CollectionId, Object, Bytes),
    /// Replaces what is known of an object (properties, index) and keeps its bytes. A change.
    PutObjectRow(CollectionId, Object),
    /// The same for derived fields only (re-indexing): no change, no revision.
    Reindex(CollectionId, Object),
    /// Deletes an object. A change. Nothing happens if there is none.
    DeleteObject(CollectionId, String),
    /// Makes a collection. A change of its parent.
    CreateCollection(Collection),
    /// Replaces a collection's own fields (properties, kind, grants); what the store counts stays. A change of it and of
    /// all above.
    UpdateCollection(Collection),
    /// Gives a collection another name or parent; its id, members and change log go with it. A change of both parents.
    MoveCollection(CollectionId, CollectionId, String),
    /// Deletes a collection with all that is in and below it. A change of its parent.
    DeleteCollection(CollectionId),
    /// Stores a principal.
    PutPrincipal(Principal),
    /// Deletes a principal and its credentials; its collections are deleted by writes of their own.
    DeletePrincipal(PrincipalId),
    /// Stores what a principal can log in with.
    PutCredentials(PrincipalId, Credentials),
    /// Stores a lock.
    PutLock(Lock),
    /// Removes a lock.
    DeleteLock(LockToken),
    /// Removes events up to this number: everybody who asked has heard of them.
    TrimEvents(u64),
    /// Stores a service's row in place of the one under that key. No change of any collection.
    PutRow(Shelf, Vec<u8>, Bytes),
    /// Deletes a service's row. Nothing happens if there is none.
    DeleteRow(Shelf, Vec<u8>),
}

/// An event to be: the store fills in number, time, actor and revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whose collection it is.
    pub owner: PrincipalId,
    /// Which collection.
    pub collection: CollectionId,
    /// What happened.
    pub kind: EventKind,
}

/// What became of a committed batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// The collections that the batch changed, as they were right after it.
    pub collections: Vec<(CollectionId, Revision)>,
}

/// Why a batch was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// This assertion does not hold; nothing was changed. For [`Assert::UidFree`] the name of the object that has the UID.
    #[error("the state is not what the write expects: {assert:?}")]
    Failed {
        /// The assertion.
        assert: Assert,
        /// What was found, where a name helps.
        found: Option<String>,
    },
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store's own troubles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("the data directory is in use: {0}")]
    InUse(String),
    /// No space left to write.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The operating system failed a read or write.
    #[error("the storage failed: {0}")]
    Io(String),
    /// What was read is not what was written.
    #[error("the data is damaged: {0}")]
    Corrupt(String),
    /// The data was written by a later version, or by another engine.
    #[error("the data cannot be opened: {0}")]
    Format(String),
    /// The store was closed, or a failed write has made it read-only.
    #[error("the store takes no writes: {0}")]
    ReadOnly(String),
}
