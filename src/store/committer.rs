//! The one thread that writes (invariant S2). It takes all batches that wait, applies them as one change of the
//! engine, makes that durable once and then answers everybody. It never waits for more: while one group is made
//! durable, the next gathers by itself. Between groups it does, in small steps, what can wait: removing the rows of
//! deleted collections, and rewriting the engine's files.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::dir::Engine;
use super::group::{Group, Outcome};
use super::keys::{self, MEMBER_TABLES, Table};
use super::kv::{Changes, Kv, io_error};
use super::rewrite::{self, Bloat, Rewrite, Rewritten};
use super::shared::Shared;
use super::{Batch, Commit, CommitError, StoreError, Write, rows, writes};
use crate::base::CollectionId;

/// How many batches become durable together at most.
const GROUP_BATCHES_MAX: usize = 128;
/// How many bytes of content a group holds at most, beyond its first batch.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many writers can wait in the queue before further ones wait outside of it.
const QUEUE_MAX: usize = 1024;
/// How many rows of deleted collections are removed at a time.
const PURGE_ROWS: usize = 2_000;

/// What looks at the engine while nothing is written.
type Look = Box<dyn FnOnce(&dyn Kv) + Send>;

/// What the thread can be asked for.
enum Job {
    /// To commit a batch.
    Commit(Batch, oneshot::Sender<Result<Commit, CommitError>>),
    /// To rewrite all rows into new files of this engine.
    Rewrite(Engine, oneshot::Sender<Result<Rewritten, StoreError>>),
    /// To let somebody look at one state of all rows.
    Look(Look),
}

/// The handle of the thread. Dropping it waits for the thread to finish what was queued.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let timer = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| io_error("starting the timer of the thread that writes", &error))?;
        let thread = std::thread::Builder::new()
            .name("kalends-commit".to_owned())
            .spawn(move || Worker::new(&shared, waiting, timer).run())
            .map_err(|error| io_error("starting the thread that writes", &error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Commit(batch, answer)).await?;
        answered.await.map_err(|_| stopped())?
    }

    pub(super) async fn rewrite(&self, engine: Engine) -> Result<Rewritten, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Rewrite(engine, answer)).await?;
        answered.await.map_err(|_| stopped())?
    }

    /// Runs `look` on one state of all rows. Writers wait meanwhile; readers do not.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Kv) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let look = move |kv: &dyn Kv| {
            // Whoever no longer waits has gone away.
            let _ = answer.send(look(kv));
        };
        self.send(Job::Look(Box::new(look))).await?;
        answered.await.map_err(|_| stopped())?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())
    }
}

fn stopped() -> StoreError {
    StoreError::ReadOnly("the thread that writes has stopped; restart the server".to_owned())
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

/// A batch that waits, and where its answer goes.
type Waiting = (Batch, oneshot::Sender<Result<Commit, CommitError>>);

/// What the thread knows.
struct Worker<'a> {
    shared: &'a Shared,
    waiting: mpsc::Receiver<Job>,
    /// Whether there may be rows of deleted collections.
    garbage: bool,
    /// The rewriting under way.
    rewrite: Option<Rewrite>,
    /// When it is time to look at the size of the files again.
    gauge: rewrite::Gauge,
    /// Measures how long nobody comes.
    timer: tokio::runtime::Runtime,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared, waiting: mpsc::Receiver<Job>, timer: tokio::runtime::Runtime) -> Self {
        Self { shared, waiting, garbage: true, rewrite: None, gauge: rewrite::Gauge::default(), timer }
    }

    fn run(mut self) {
        while let Ok(job) = self.next_job() {
            match job {
                Some(Job::Commit(batch, answer)) => self.commit((batch, answer)),
                Some(job) => self.serve(job),
                None => {}
            }
            self.background_step();
        }
        if let Some(rewrite) = self.rewrite.take() {
            rewrite.abandon(stopped());
        }
    }

    /// The next job; none if nobody waits and there is something else to do. The error is the end.
    fn next_job(&mut self) -> Result<Option<Job>, TryRecvError> {
        let idle = !self.garbage && self.rewrite.is_none() && !self.gauge.due();
        match self.gauge.finding() {
            Bloat::Fine if idle => self.waiting.blocking_recv().map(Some).ok_or(TryRecvError::Disconnected),
            Bloat::Some if idle => self.next_job_or_idle(),
            _ => match self.waiting.try_recv() {
                Ok(job) => Ok(Some(job)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(TryRecvError::Disconnected),
            },
        }
    }

    /// The next job; or, if nobody comes for a while, none and a rewriting begun.
    fn next_job_or_idle(&mut self) -> Result<Option<Job>, TryRecvError> {
        let waiting = &mut self.waiting;
        match self.timer.block_on(async { tokio::time::timeout(rewrite::IDLE, waiting.recv()).await }) {
            Ok(job) => job.map(Some).ok_or(TryRecvError::Disconnected),
            Err(_) => {
                self.begin_rewrite();
                Ok(None)
            }
        }
    }

    fn begin_rewrite(&mut self) {
        self.gauge.reset();
        let same = self.shared.engine().kind();
        self.rewrite = Rewrite::begin(self.shared, same, None);
    }

    /// Does a job that is no batch.
    fn serve(&mut self, job: Job) {
        match job {
            Job::Commit(batch, answer) => self.commit((batch, answer)),
            Job::Look(look) => look(&*self.shared.engine()),
            Job::Rewrite(engine, answer) => match &mut self.rewrite {
                Some(rewrite) => rewrite.join(engine, answer),
                None => self.rewrite = Rewrite::begin(self.shared, engine, Some(answer)),
            },
        }
    }

    /// Commits a batch together with those that wait behind it.
    fn commit(&mut self, first: Waiting) {
        let mut bytes = content_bytes(&first.0);
        let mut batches = vec![first];
        let mut other = None;
        while batches.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
            match self.waiting.try_recv() {
                Ok(Job::Commit(batch, answer)) => {
                    bytes += content_bytes(&batch);
                    batches.push((batch, answer));
                }
                Ok(job) => {
                    other = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit_group(batches);
        if let Some(job) = other {
            self.serve(job);
        }
    }

    fn commit_group(&mut self, batches: Vec<Waiting>) {
        let engine = self.shared.engine();
        let mut group = Group::new(&*engine, &self.shared.rows, self.shared.terms, self.shared.durable_events());
        let mut answers = Vec::with_capacity(batches.len());
        for (batch, answer) in batches {
            self.garbage |= batch.writes.iter().any(|write| matches!(write, Write::DeleteCollection(_)));
            let outcome = writes::run(&mut group, &batch);
            answers.push((answer, outcome, Tally::of(&batch)));
        }
        let done = self.persist(&group.finish());
        for (answer, outcome, tally) in answers {
            let outcome = match (&done, outcome) {
                (Err(error), Ok(_)) => Err(CommitError::Store(error.clone())),
                (_, outcome) => outcome,
            };
            tally.count(&outcome);
            // Whoever no longer waits has gone away; the batch is committed all the same.
            let _ = answer.send(outcome);
        }
    }

    fn persist(&mut self, outcome: &Outcome) -> Result<(), StoreError> {
        if let Err(error) = self.shared.persist(outcome) {
            self.distrust(&error);
            return Err(error);
        }
        self.gauge.wrote(&outcome.changes);
        self.rewrite = self.rewrite.take().and_then(|rewrite| rewrite.follow(&outcome.changes));
        Ok(())
    }

    /// After a failure: the engine may hold changes that nobody was told of. A copy of it that was begun before would
    /// hold those of them that it has yet to copy, and not the others.
    fn distrust(&mut self, error: &StoreError) {
        if self.shared.takes_writes().is_err()
            && let Some(rewrite) = self.rewrite.take()
        {
            rewrite.abandon(error.clone());
        }
    }

    /// A little of what can wait.
    fn background_step(&mut self) {
        if self.garbage {
            self.garbage = self.purge();
        }
        if self.rewrite.is_none() && self.gauge.due() {
            self.gauge.look(self.shared);
        }
        if self.rewrite.is_none() && self.gauge.finding() == Bloat::Much {
            self.begin_rewrite();
        }
        self.rewrite = self.rewrite.take().and_then(|rewrite| rewrite.step(self.shared));
    }

    /// Removes some rows of deleted collections. Says whether there may be more.
    fn purge(&mut self) -> bool {
        let removed = purge_changes(&*self.shared.engine()).and_then(|changes| match changes {
            Some(changes) => {
                let outcome = Outcome { changes, newest_event: self.shared.durable_events(), ..Outcome::default() };
                self.persist(&outcome).map(|()| true)
            }
            None => Ok(false),
        });
        removed.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "store.purge.failed: the next deletion or start tries again");
            false
        })
    }
}

/// What a batch changes, for the metrics.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    put: u64,
    deleted: u64,
    collections: u64,
}

impl Tally {
    fn of(batch: &Batch) -> Self {
        let mut tally = Self::default();
        for write in &batch.writes {
            match write {
                Write::PutObject(..) | Write::PutObjectRow(..) => tally.put += 1,
                Write::DeleteObject(..) => tally.deleted += 1,
                Write::CreateCollection(_)
                | Write::UpdateCollection(_)
                | Write::MoveCollection(..)
                | Write::DeleteCollection(_) => tally.collections += 1,
                _ => {}
            }
        }
        tally
    }

    fn count(self, outcome: &Result<Commit, CommitError>) {
        let name = match outcome {
            Ok(_) => "done",
            Err(CommitError::Failed { .. }) => "refused",
            Err(CommitError::Store(_)) => "failed",
        };
        metrics::counter!("kalends_store_batches_total", "outcome" => name).increment(1);
        if outcome.is_err() {
            return;
        }
        for (kind, number) in [("put", self.put), ("delete", self.deleted), ("collection", self.collections)] {
            if number > 0 {
                metrics::counter!("kalends_changes_total", "kind" => kind).increment(number);
            }
        }
    }
}

fn content_bytes(batch: &Batch) -> usize {
    let content = |write: &Write| match write {
        Write::PutObject(_, _, bytes) | Write::PutRow(_, _, bytes) => bytes.len(),
        _ => 0,
    };
    batch.writes.iter().map(content).sum()
}

/// The next rows to remove; none if no deleted collection has any.
fn purge_changes(kv: &dyn Kv) -> Result<Option<Changes>, StoreError> {
    let Some(id) = first_garbage(kv)? else { return Ok(None) };
    let mut changes = Changes::new();
    for table in MEMBER_TABLES {
        let (from, to) = keys::within(table, id.0);
        if changes.len() >= PURGE_ROWS {
            break;
        }
        kv.scan(&from, &to, &mut |key, _| {
            changes.insert(key.to_vec(), None);
            Ok(if changes.len() >= PURGE_ROWS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    if changes.len() < PURGE_ROWS {
        changes.insert(keys::garbage(id), None);
    }
    Ok(Some(changes))
}

fn first_garbage(kv: &dyn Kv) -> Result<Option<CollectionId>, StoreError> {
    let mut first = None;
    let (from, to) = keys::table(Table::Garbage);
    kv.scan(&from, &to, &mut |key, _| {
        first = Some(CollectionId(keys::number_of(key).ok_or_else(|| rows::bad_key("deleted collections"))?));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}
