//! Engines: ordered maps from keys to values that can apply a list of changes atomically and make it durable.
//! They know nothing of what the rows mean; that is written once, above.

mod faulty;
mod fjall;
mod journal;
mod memory;
mod sled;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

pub use self::faulty::{Fault, Faulty};
pub(super) use self::fjall::Fjall;
pub(super) use self::journal::Journaled;
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

    /// Makes it survive a power cut that `changes` are applied next: if a crash comes before they are durable otherwise, the next
    /// opening applies them. An engine that has no way of its own for that does nothing here, and its `sync` after
    /// applying does it.
    ///
    /// # Errors
    /// If the storage fails; whether they will be applied at the next opening is not known before that.
    fn write_ahead(&self, _changes: &Changes) -> Result<(), StoreError> {
        Ok(())
    }

    /// Applies all of `changes` or, over a crash, none. Readers may see a part of them until this returns: whoever
    /// needs more keeps them out.
    ///
    /// # Errors
    /// If the storage fails; what is applied then is not known before the next opening.
    fn apply(&self, changes: &Changes) -> Result<(), StoreError>;

    /// Makes what was applied survive a power cut, if [`Kv::write_ahead`] did not do so.
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

/// Visits the rows of `kv` from `from` to `to` as they are when `over` is applied to them.
pub(super) fn scan_over(
    kv: &dyn Kv,
    over: &Changes,
    (from, to): (&[u8], &[u8]),
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    if from >= to {
        return Ok(());
    }
    let mut over = over.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).peekable();
    if over.peek().is_none() {
        return kv.scan(from, to, visit);
    }
    let mut broken = false;
    kv.scan(from, to, &mut |key, value| {
        if emit_before(&mut over, key, visit)?.is_break() {
            broken = true;
            return Ok(ControlFlow::Break(()));
        }
        let flow = match over.next_if(|(covering, _)| covering.as_slice() == key) {
            Some((key, Some(value))) => visit(key, value)?,
            Some((_, None)) => ControlFlow::Continue(()),
            None => visit(key, value)?,
        };
        broken = flow.is_break();
        Ok(flow)
    })?;
    if !broken {
        for (key, value) in over {
            let Some(value) = value else { continue };
            if visit(key, value)?.is_break() {
                break;
            }
        }
    }
    Ok(())
}

/// Visits the covering rows that come before the engine's next one.
fn emit_before<'c>(
    over: &mut Peekable<impl Iterator<Item = (&'c Vec<u8>, &'c Option<Bytes>)>>,
    next: &[u8],
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    while let Some((key, value)) = over.next_if(|(key, _)| key.as_slice() < next) {
        if let Some(value) = value
            && visit(key, value)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
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
