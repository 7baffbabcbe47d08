//! Engines: ordered maps from keys to values that can apply a list of changes atomically and make it durable.
//! They know nothing of what the rows mean; that is written once, above.

mod faulty;
mod fjall;
mod memory;
mod sled;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

pub use self::faulty::{Fault, Faulty};
pub(super) use self::fjall::Fjall;
pub use self::memory::Memory;
pub(super) use self::sled::Sled;
use super::{Engine, StoreError};

/// The changes of one atomic write: a value to put, or `None` to delete.
pub type Changes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// What a scan does with each row; it breaks off by returning `Break`.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// An engine. One thread applies and syncs; many read.
pub trait Kv: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// If the storage fails or is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Visits the rows from `from` (included) to `to` (excluded), in order.
    ///
    /// # Errors
    /// If the storage fails or is damaged, and what `visit` returned.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Applies all of `changes` or, over a crash, none. Readers may see a part of them until this returns: whoever
    /// needs more keeps them out.
    ///
    /// # Errors
    /// If the storage fails; what is applied then is not known before the next opening.
    fn apply(&self, changes: &Changes) -> Result<(), StoreError>;

    /// Makes what was applied survive a power cut.
    ///
    /// # Errors
    /// If the storage fails; what is durable then is not known before the next opening.
    fn sync(&self) -> Result<(), StoreError>;

    /// The bytes that it takes on disk.
    ///
    /// # Errors
    /// If the storage fails.
    fn disk_bytes(&self) -> Result<u64, StoreError>;

    /// Which engine it is.
    fn kind(&self) -> Engine;
}

/// The error in words for an operating system's error while doing `what`.
pub(super) fn io_error(what: &str, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{what}: {error}; free some space, then restart"))
        }
        _ => StoreError::Io(format!("{what}: {error}")),
    }
}
