//! Typed identifiers, so that a calendar's id cannot be passed for a principal's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// A principal (a user of this server). Never given out twice.
    PrincipalId
}
number_id! {
    /// A collection: a home, a calendar or a plain WebDAV collection. Never given out twice, so it
    /// is also the collection's incarnation: a calendar made under the name of a deleted one has
    /// another id, and sync-tokens of the old one are refused.
    CollectionId
}
number_id! {
    /// A collection's revision: grows by one with each change to it (invariant Y1). Zero is the
    /// collection just made.
    Revision
}

/// The URI of a WebDAV lock, `urn:uuid:…` (RFC 4918 §6.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockToken(pub String);

impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
