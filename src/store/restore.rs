//! Filling an empty data directory with the rows of a snapshot.

use std::sync::Arc;

use super::dir::{self, DirLock, Marker, Options};
use super::kv::{Changes, Kv};
use super::{Row, Store, StoreError};

/// A data directory being filled. Until [`Restore::finish`] it counts as empty.
pub struct Restore {
    // Closed before the lock is given free.
    engine: Arc<dyn Kv>,
    marker: Marker,
    options: Options,
    _lock: DirLock,
}

impl Store {
    /// Begins to fill the directory of `options`, in which no store may be.
    ///
    /// # Errors
    /// If there is a store in the directory, or it cannot be written.
    pub fn restore(options: &Options) -> Result<Restore, StoreError> {
        let lock = DirLock::take(&options.dir)?;
        let marker = match Marker::read(&options.dir)? {
            None => dir::first_marker(options)?,
            Some(marker) if !marker.ready && marker.engine == options.engine => marker,
            Some(_) => {
                let dir = options.dir.display();
                return Err(StoreError::Format(format!("{dir} has data already; restore into an empty directory")));
            }
        };
        dir::remove_others(&options.dir, "")?;
        let engine = dir::open_engine(marker.engine, &options.dir.join(&marker.name), options.cache_bytes)?;
        Ok(Restore { engine, marker, options: options.clone(), _lock: lock })
    }
}

impl Restore {
    /// Takes some rows, in any order.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn add(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        let changes: Changes = rows.into_iter().map(|row| (row.key, Some(row.value))).collect();
        self.engine.apply(&changes)
    }

    /// Makes the directory a store with the rows taken, durably.
    ///
    /// # Errors
    /// If they cannot be made durable, or are of a later format.
    pub fn finish(self) -> Result<(), StoreError> {
        dir::check_format(super::shared::counter(&*self.engine, super::keys::FORMAT)?)?;
        self.engine.sync()?;
        self.marker.opened().write(&self.options.dir)
    }
}
