//! The one thread that writes (invariant S2). It takes all batches that wait, applies them as one change of the
//! engine, makes that durable once and then answers everybody. It never waits for more: while one group is made
//! durable, the next gathers by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot};

use super::dir::{self, Options};
use super::group::{Group, Terms};
use super::keys::{self, MEMBER_TABLES, Table};
use super::kv::{Changes, Kv};
use super::{Batch, Commit, CommitError, StoreError, Write, rows, writes};
use crate::base::{CollectionId, LockToken};
use crate::model::Lock;
use std::ops::ControlFlow;

/// How many batches become durable together at most.
const GROUP_BATCHES_MAX: usize = 128;
/// How many bytes of content a group holds at most, beyond its first batch.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many writers can wait in the queue before further ones wait outside of it.
const QUEUE_MAX: usize = 1024;
/// How many rows of deleted collections are removed at a time.
const PURGE_ROWS: usize = 2_000;

/// What the committer and the readers share.
pub(super) struct Shared {
    engine: Arc<dyn Kv>,
    /// Held by readers for reading, and for writing only while changes are applied: a batch is seen whole or not at all.
    gate: RwLock<()>,
    terms: Terms,
    locks: RwLock<BTreeMap<LockToken, Lock>>,
    /// The number of the newest durable event.
    durable: AtomicU64,
    /// Why no writes are taken any more.
    failed: Mutex<Option<String>>,
    /// Where the free space is looked at.
    space: Option<dir::Space>,
}

impl Shared {
    /// Reads what is kept in memory and begins a new epoch, durably.
    pub(super) fn open(engine: Arc<dyn Kv>, options: &Options) -> Result<Self, StoreError> {
        let mut shared = Self {
            engine,
            gate: RwLock::new(()),
            terms: Terms { epoch: 0, tombstones_max: options.tombstones_max },
            locks: RwLock::default(),
            durable: AtomicU64::new(0),
            failed: Mutex::new(None),
            space: dir::Space::of(options),
        };
        dir::check_format(shared.counter(keys::FORMAT)?)?;
        shared.terms.epoch = shared.counter(keys::EPOCH)? + 1;
        let opening = Changes::from([
            (keys::meta(keys::EPOCH), Some(rows::encode(&shared.terms.epoch))),
            (keys::meta(keys::FORMAT), Some(rows::encode(&dir::FORMAT))),
        ]);
        shared.engine.apply(&opening)?;
        shared.engine.sync()?;
        shared.durable = AtomicU64::new(shared.counter(keys::EVENTS)?);
        shared.locks = RwLock::new(shared.stored_locks()?);
        Ok(shared)
    }

    /// A counter of the meta table; zero before its first use.
    pub(super) fn counter(&self, name: &str) -> Result<u64, StoreError> {
        self.engine.get(&keys::meta(name))?.map_or(Ok(0), |row| rows::decode(&row, "counters"))
    }

    /// The engine, for as long as no change is applied.
    pub(super) fn read(&self) -> (&dyn Kv, RwLockReadGuard<'_, ()>) {
        (&*self.engine, self.gate.read())
    }

    /// The number of the newest durable event.
    pub(super) fn durable_events(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The locks, by token.
    pub(super) fn locks(&self) -> Vec<Lock> {
        self.locks.read().values().cloned().collect()
    }

    fn stored_locks(&self) -> Result<BTreeMap<LockToken, Lock>, StoreError> {
        let mut locks = BTreeMap::new();
        let (from, to) = keys::table(Table::Locks);
        self.engine.scan(&from, &to, &mut |_, row| {
            let lock: Lock = rows::decode(row, "locks")?;
            locks.insert(lock.token.clone(), lock);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(locks)
    }

    /// Why no writes are taken, if none are.
    fn refuse(&self) -> Result<(), StoreError> {
        match &*self.failed.lock() {
            Some(reason) => Err(StoreError::ReadOnly(reason.clone())),
            None => Ok(()),
        }
    }

    /// Applies the changes and makes them durable. If either fails nobody can say what the disk holds: no further
    /// write is taken until the store is opened again.
    fn persist(&self, changes: &Changes, newest_event: u64) -> Result<(), StoreError> {
        self.refuse()?;
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(space) = &self.space {
            space.check(changes)?;
        }
        let done = self.apply(changes).and_then(|()| self.engine.sync());
        match &done {
            Ok(()) => self.durable.store(newest_event, Ordering::Release),
            Err(error) => {
                let reason = format!("an earlier write failed ({error}); restart the server when the cause is removed");
                tracing::error!(error = %error, "store.write.failed: no further writes are taken; restart when the cause is removed");
                *self.failed.lock() = Some(reason);
            }
        }
        done
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let _alone = self.gate.write();
        self.engine.apply(changes)?;
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

/// A batch that waits, and where its answer goes.
struct Job {
    batch: Batch,
    answer: oneshot::Sender<Result<Commit, CommitError>>,
}

/// The handle of the thread. Dropping it waits for the thread to finish what was queued.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("kalends-commit".to_owned())
            .spawn(move || run(&shared, waiting))
            .map_err(|error| super::kv::io_error("starting the thread that writes", &error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || StoreError::ReadOnly("the thread that writes has stopped; restart the server".to_owned());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Job { batch, answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut waiting: mpsc::Receiver<Job>) {
    let mut garbage = true;
    loop {
        let first = if garbage {
            match waiting.try_recv() {
                Ok(job) => Some(job),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => return,
            }
        } else {
            match waiting.blocking_recv() {
                Some(job) => Some(job),
                None => return,
            }
        };
        match first {
            Some(first) => garbage |= commit_group(shared, gather(first, &mut waiting)),
            None => garbage = purge(shared),
        }
    }
}

/// All batches that wait, within a group's bounds.
fn gather(first: Job, waiting: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = content_bytes(&first.batch);
    let mut jobs = vec![first];
    while jobs.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(job) = waiting.try_recv() else { break };
        bytes += content_bytes(&job.batch);
        jobs.push(job);
    }
    jobs
}

fn content_bytes(batch: &Batch) -> usize {
    let content = |write: &Write| match write {
        Write::PutObject(_, _, bytes) => bytes.len(),
        _ => 0,
    };
    batch.writes.iter().map(content).sum()
}

/// Commits the jobs and answers them. Says whether there may now be rows to remove.
fn commit_group(shared: &Shared, jobs: Vec<Job>) -> bool {
    let mut group = Group::new(&*shared.engine, shared.terms, shared.durable_events());
    let mut answers = Vec::with_capacity(jobs.len());
    let mut garbage = false;
    for job in jobs {
        garbage |= job.batch.writes.iter().any(|write| matches!(write, Write::DeleteCollection(_)));
        answers.push((job.answer, writes::run(&mut group, &job.batch)));
    }
    let (changes, newest_event) = group.finish();
    let done = shared.persist(&changes, newest_event);
    for (answer, outcome) in answers {
        let outcome = match (&done, outcome) {
            (Err(error), Ok(_)) => Err(CommitError::Store(error.clone())),
            (_, outcome) => outcome,
        };
        // Whoever no longer waits has gone away; the batch is committed all the same.
        let _ = answer.send(outcome);
    }
    garbage
}

/// Removes some rows of deleted collections. Says whether there are more.
fn purge(shared: &Shared) -> bool {
    match purge_step(shared) {
        Ok(more) => more,
        Err(error) => {
            tracing::warn!(error = %error, "store.purge.failed: the next deletion or start tries again");
            false
        }
    }
}

fn purge_step(shared: &Shared) -> Result<bool, StoreError> {
    let Some(id) = first_garbage(shared)? else { return Ok(false) };
    let mut changes = Changes::new();
    for table in MEMBER_TABLES {
        let (from, to) = keys::within(table, id.0);
        if changes.len() >= PURGE_ROWS {
            break;
        }
        shared.engine.scan(&from, &to, &mut |key, _| {
            changes.insert(key.to_vec(), None);
            Ok(if changes.len() >= PURGE_ROWS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    if changes.len() < PURGE_ROWS {
        changes.insert(keys::garbage(id), None);
    }
    shared.persist(&changes, shared.durable_events())?;
    Ok(true)
}

fn first_garbage(shared: &Shared) -> Result<Option<CollectionId>, StoreError> {
    let mut first = None;
    let (from, to) = keys::table(Table::Garbage);
    shared.engine.scan(&from, &to, &mut |key, _| {
        first = Some(CollectionId(keys::number_of(key).ok_or_else(|| rows::bad_key("deleted collections"))?));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}
