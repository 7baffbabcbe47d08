//! WebDAV locks (RFC 4918 §6).

use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, LockToken, PrincipalId, Utc};

/// A write lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its token.
    pub token: LockToken,
    /// Who took it, and alone may use it.
    pub principal: PrincipalId,
    /// The collection that is locked or holds the locked member.
    pub collection: CollectionId,
    /// The member's name; `None` if the collection itself is locked.
    pub member: Option<String>,
    /// Exclusive or shared.
    pub scope: LockScope,
    /// The locked resource alone or all below it.
    pub depth: LockDepth,
    /// DAV:owner as the client sent it: the inside of the element.
    pub owner: Option<String>,
    /// When it ends.
    pub expires: Utc,
}

/// DAV:lockscope (RFC 4918 §14.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockScope {
    /// Nobody else may lock it.
    Exclusive,
    /// Others may take shared locks.
    Shared,
}

/// The Depth of a lock (RFC 4918 §9.10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockDepth {
    /// The resource alone.
    Zero,
    /// It and everything below.
    Infinity,
}
