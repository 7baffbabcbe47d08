//! What the committer and the readers share: the engine behind its gate, and what is kept in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use super::cache::RowCache;
use super::dir::{self, Options};
use super::group::{Outcome, Terms};
use super::keys::{self, Table};
use super::kv::{Changes, Kv};
use super::snapshot::Snapshots;
use super::{StoreError, rows};
use crate::base::{Clock as _, LockToken, SystemClock};
use crate::model::Lock;

/// The store's common state.
pub(super) struct Shared {
    /// The engine. Readers hold it for reading; it is held for writing only while changes are applied, so that a batch is
    /// seen whole or not at all, and while another engine takes its place.
    engine: RwLock<Arc<dyn Kv>>,
    pub(super) terms: Terms,
    pub(super) options: Options,
    pub(super) snapshots: Snapshots,
    /// Rows that are read all the time. Used only while the engine is held.
    pub(super) rows: RowCache,
    locks: RwLock<BTreeMap<LockToken, Lock>>,
    /// The number of the newest durable event.
    durable: AtomicU64,
    /// The same, for those who wait for events.
    bell: watch::Sender<u64>,
    /// Why no writes are taken any more.
    failed: Mutex<Option<String>>,
    /// Where the free space is looked at.
    space: Option<dir::Space>,
}

impl Shared {
    /// Reads what is kept in memory and begins a new epoch, durably.
    pub(super) fn open(engine: Arc<dyn Kv>, options: &Options) -> Result<Self, StoreError> {
        dir::check_format(counter(&*engine, keys::FORMAT)?)?;
        let epoch = next_epoch(counter(&*engine, keys::EPOCH)?);
        let opening = Changes::from([
            (keys::meta(keys::EPOCH), Some(rows::encode(&epoch))),
            (keys::meta(keys::FORMAT), Some(rows::encode(&dir::FORMAT))),
        ]);
        engine.apply(&opening)?;
        engine.sync()?;
        let durable = counter(&*engine, keys::EVENTS)?;
        Ok(Self {
            terms: Terms { epoch, tombstones_max: options.tombstones_max },
            options: options.clone(),
            snapshots: Snapshots::default(),
            rows: RowCache::default(),
            locks: RwLock::new(stored_locks(&*engine)?),
            durable: AtomicU64::new(durable),
            bell: watch::Sender::new(durable),
            failed: Mutex::new(None),
            space: dir::Space::of(options),
            engine: RwLock::new(engine),
        })
    }

    /// The engine, held for reading: no change is applied meanwhile.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Arc<dyn Kv>> {
        self.engine.read()
    }

    /// The engine, for the thread that alone applies changes.
    pub(super) fn engine(&self) -> Arc<dyn Kv> {
        Arc::clone(&self.engine.read())
    }

    /// Puts another engine in the place of the present one, which is returned. It must hold the same rows.
    pub(super) fn replace_engine(&self, engine: Arc<dyn Kv>) -> Arc<dyn Kv> {
        std::mem::replace(&mut *self.engine.write(), engine)
    }

    /// A counter of the meta table; zero before its first use.
    pub(super) fn counter(&self, name: &str) -> Result<u64, StoreError> {
        counter(&**self.read(), name)
    }

    /// The number of the newest durable event.
    pub(super) fn durable_events(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The locks, by token.
    pub(super) fn locks(&self) -> Vec<Lock> {
        self.locks.read().values().cloned().collect()
    }

    /// Why no writes are taken, if none are.
    pub(super) fn takes_writes(&self) -> Result<(), StoreError> {
        match &*self.failed.lock() {
            Some(reason) => Err(StoreError::ReadOnly(reason.clone())),
            None => Ok(()),
        }
    }

    /// Applies the changes and makes them durable. If either fails nobody can say what the disk holds: no further
    /// write is taken until the store is opened again.
    pub(super) fn persist(&self, outcome: &Outcome) -> Result<(), StoreError> {
        self.takes_writes()?;
        if outcome.changes.is_empty() {
            return Ok(());
        }
        self.has_space_for(&outcome.changes)?;
        let begun = Instant::now();
        let done = self.make_durable(outcome);
        metrics::histogram!("kalends_store_commit_seconds").record(begun.elapsed());
        match &done {
            Ok(()) => self.announce(outcome.newest_event),
            Err(error) => self.fail(error),
        }
        done
    }

    /// Events up to this one are durable.
    fn announce(&self, newest_event: u64) {
        if self.durable.swap(newest_event, Ordering::AcqRel) != newest_event {
            self.bell.send_replace(newest_event);
        }
    }

    /// Hears of the newest durable event.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    fn make_durable(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let engine = self.engine();
        let begun = Instant::now();
        engine.write_ahead(&outcome.changes)?;
        let ahead = begun.elapsed();
        self.apply(outcome)?;
        let begun = Instant::now();
        let synced = engine.sync();
        metrics::histogram!("kalends_store_sync_seconds").record(ahead + begun.elapsed());
        synced
    }

    /// Refuses changes that the disk may not have room for.
    pub(super) fn has_space_for(&self, changes: &Changes) -> Result<(), StoreError> {
        self.space.as_ref().map_or(Ok(()), |space| space.check(changes))
    }

    /// The bytes free on the store's disk, if it has one.
    pub(super) fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.space.as_ref().map(dir::Space::free).transpose()
    }

    /// Takes no further writes, because of `error`.
    pub(super) fn fail(&self, error: &StoreError) {
        tracing::error!(error = %error, "store.write.failed: no more writes are taken; remove the cause, then restart");
        let reason = format!("an earlier write failed ({error}); restart the server when the cause is removed");
        *self.failed.lock() = Some(reason);
    }

    fn apply(&self, Outcome { changes, collections, .. }: &Outcome) -> Result<(), StoreError> {
        let engine = self.engine.write();
        self.snapshots.keep(&**engine, changes)?;
        self.rows.forget(changes);
        engine.apply(changes)?;
        self.rows.remember(collections);
        self.follow_locks(changes)
    }

    /// Takes changes of locks into the copy in memory.
    fn follow_locks(&self, changes: &Changes) -> Result<(), StoreError> {
        let (from, to) = keys::table(Table::Locks);
        for (key, row) in changes.range(from..to) {
            match row {
                Some(row) => {
                    let lock: Lock = rows::decode(row, "locks")?;
                    self.locks.write().insert(lock.token.clone(), lock);
                }
                None => {
                    let token = LockToken(String::from_utf8_lossy(&key[1..]).into_owned());
                    self.locks.write().remove(&token);
                }
            }
        }
        Ok(())
    }
}

/// A number that no opening had, not even one that a restored backup knows nothing of: hence the clock.
fn next_epoch(last: u64) -> u64 {
    let now = u64::try_from(SystemClock.now().0).unwrap_or(0);
    now.max(last.saturating_add(1))
}

/// A counter of the meta table; zero before its first use.
pub(super) fn counter(kv: &dyn Kv, name: &str) -> Result<u64, StoreError> {
    kv.get(&keys::meta(name))?.map_or(Ok(0), |row| rows::decode(&row, "counters"))
}

fn stored_locks(kv: &dyn Kv) -> Result<BTreeMap<LockToken, Lock>, StoreError> {
    let mut locks = BTreeMap::new();
    let (from, to) = keys::table(Table::Locks);
    kv.scan(&from, &to, &mut |_, row| {
        let lock: Lock = rows::decode(row, "locks")?;
        locks.insert(lock.token.clone(), lock);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(locks)
}
