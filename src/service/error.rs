//! Why a use-case did not do what was asked.

use crate::model::{Path, Precondition, Privilege};
use crate::store::{CommitError, StoreError};

/// Why a use-case did not do what was asked. Nothing was changed. Texts are for people and hold nothing that the
/// actor may not know.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or the actor may not know of it: the two are never told apart (invariant A1).
    #[error("there is nothing here, or you may not see it")]
    NotFound,
    /// It takes a login.
    #[error("this takes a login")]
    Unauthenticated,
    /// The actor may know of the thing, and may not do this. For what is missing of privileges use
    /// [`Error::needs`].
    #[error("this is not allowed: {0}")]
    Forbidden(String),
    /// A condition that an RFC names is broken.
    #[error("{message}")]
    Precondition {
        /// Which.
        condition: Box<Precondition>,
        /// What is wrong, with which value, and what to do.
        message: String,
    },
    /// The method makes no sense on this kind of resource.
    #[error("this cannot be done with {0}")]
    MethodNotAllowed(&'static str),
    /// A collection on the way there is missing (RFC 4918 §9.3.1 and others).
    #[error("the collection that it would lie in is not there")]
    ParentMissing,
    /// The resource is not in the state that the request demands (If-Match, If-None-Match, If).
    #[error("the resource is not in the state that the request expects; read it again")]
    StateChanged,
    /// It is larger than the limit.
    #[error("{what} is larger than {max} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The media type is not one that is understood here.
    #[error("the media type is not understood here: {0}")]
    UnsupportedMediaType(String),
    /// It could not be done because of these, which lie below what was asked for. Nothing was changed.
    #[error("{} resources stand in the way", .0.len())]
    Members(Vec<(Path, Error)>),
    /// The lock to refresh does not hold on the resource, or is not the actor's (RFC 4918 §9.10.6).
    #[error("no lock of yours with this token holds here; it may have expired: lock again")]
    LockGone,
    /// There is no room for it.
    #[error("there is no room for it: {0}")]
    InsufficientStorage(String),
    /// So many of these wait already.
    #[error("{0}")]
    TooManyWait(String),
    /// The destination is on another server, or where nothing of ours can be.
    #[error("the destination is not on this server: {0}")]
    ForeignDestination(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// A broken condition and what to say of it.
    pub fn precondition(condition: Precondition, message: impl Into<String>) -> Self {
        Self::Precondition { condition: Box::new(condition), message: message.into() }
    }

    /// DAV:need-privileges: `privilege` is missing on `path` (RFC 3744 §7.1.1).
    pub fn needs(privilege: Privilege, path: &Path) -> Self {
        Self::precondition(
            Precondition::NeedPrivileges(vec![(path.clone(), privilege)]),
            format!("the privilege {privilege:?} is missing on {}", path.href()),
        )
    }
}

/// A failed assertion means that the state changed between reading and writing, or that the caller's condition does not
/// hold. Use-cases that know better what an assertion stood for map it themselves, before this.
impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed { .. } => Self::StateChanged,
            CommitError::Store(error) => Self::Store(error),
        }
    }
}
