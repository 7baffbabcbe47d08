//! What changed: entries of a collection's change log, and events in the outbox.

use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, ETag, PrincipalId, Revision, Utc};

/// The last change of one member of a collection. The log holds one entry a member: the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The collection's revision that it made.
    pub revision: Revision,
    /// The member.
    pub name: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// An object was made or changed (content or properties).
    Object,
    /// A collection was made or changed, its members included.
    Collection,
    /// The member is gone.
    Deleted,
}

/// An event in the outbox: written with the change itself (invariant D1), read by whoever tells others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the outbox, growing. Set by the store.
    pub seq: u64,
    /// When.
    pub at: Utc,
    /// Who did it; `None` for the server itself.
    pub actor: Option<PrincipalId>,
    /// Whose collection it is.
    pub owner: PrincipalId,
    /// Which collection: the one with the object, or the one made, changed or deleted.
    pub collection: CollectionId,
    /// The collection's revision after the change: per entity, later events have larger ones. Set by the store.
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
}

/// What an [`Event`] tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A calendar object was stored under a free name.
    ObjectCreated {
        /// Its name.
        name: String,
        /// Its UID.
        uid: Option<String>,
        /// Its tag.
        etag: ETag,
    },
    /// A calendar object's bytes were replaced by others.
    ObjectUpdated {
        /// Its name.
        name: String,
        /// Its UID.
        uid: Option<String>,
        /// Its tag.
        etag: ETag,
        /// The tag it had before.
        before: ETag,
    },
    /// A calendar object was deleted.
    ObjectDeleted {
        /// Its name.
        name: String,
        /// Its UID.
        uid: Option<String>,
        /// The tag it had.
        before: ETag,
    },
    /// A calendar was made.
    CalendarCreated {
        /// Its name.
        name: String,
    },
    /// A calendar's properties or grants changed.
    CalendarUpdated {
        /// Its name.
        name: String,
    },
    /// A calendar was deleted with all in it.
    CalendarDeleted {
        /// Its name.
        name: String,
    },
    /// An account at a provider stopped working until somebody acts: its grant was revoked, its calendar is gone.
    AccountBroken {
        /// Which: `google/anna@example.com`.
        account: String,
        /// Why, in our words.
        reason: String,
    },
    /// Something is to be known of an endpoint of webhooks itself. Its owner's other endpoints may hear of it.
    EndpointNews {
        /// Which: `ep_5XBP26PVZB9ZE`.
        endpoint: String,
        /// What.
        news: EndpointNews,
        /// Why, in our words; may be empty.
        reason: String,
    },
}

/// What is to be known of an endpoint of webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointNews {
    /// It fails: several attempts in a row came to nothing.
    Failing,
    /// It works again.
    Recovered,
    /// Nothing is sent to it any more until somebody resumes it.
    Disabled,
    /// A message to it was given up: the first since it worked.
    Exhausted,
}
