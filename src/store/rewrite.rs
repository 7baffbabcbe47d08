//! Rewriting: all rows copied into new files, of the same engine to give back the space of what was deleted and
//! replaced, or of another one to move to it. It runs in small steps between the groups of the committer; what is
//! written meanwhile goes into both. The old files are the truth until one rename makes the new ones so (see `dir`).

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::dir::{self, Engine, Marker};
use super::keys::{self, Key, Table};
use super::kv::{Changes, Kv, Memory, io_error};
use super::rows::{self, CollectionRow};
use super::shared::Shared;
use super::{Store, StoreError};

/// How many bytes a step copies.
const STEP_BYTES: usize = 512 * 1024;
/// After how many written bytes the files' size is looked at again.
const GAUGE_BYTES: u64 = 16 * 1024 * 1024;
/// Files of this size, and so many times the rows' own, are rewritten when nobody has written for a while …
const IDLE_BLOAT: (u64, u64) = (16 * 1024 * 1024, 2);
/// … and of this size at once.
const BLOAT: (u64, u64) = (128 * 1024 * 1024, 6);
/// How long nobody writes before it counts as a while.
pub(super) const IDLE: Duration = Duration::from_secs(3);
/// What an object takes beside its bytes: its row, its UID and its log entry, with their keys.
const OBJECT_ROWS_BYTES: u64 = 400;

/// What a rewriting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// How many rows there are.
    pub rows: u64,
    /// The bytes of the old files.
    pub bytes_before: u64,
    /// The bytes of the new files.
    pub bytes_after: u64,
}

type Answer = oneshot::Sender<Result<Rewritten, StoreError>>;

/// A rewriting under way.
pub(super) struct Rewrite {
    target: Arc<dyn Kv>,
    marker: Marker,
    path: PathBuf,
    /// The first key not yet copied.
    next: Key,
    rows: u64,
    answers: Vec<Answer>,
}

impl Store {
    /// Copies all rows into new files, which gives back the space of what was deleted or replaced. Writers and readers
    /// go on meanwhile.
    ///
    /// # Errors
    /// If there is no space for the copy or the storage fails; the old files are then kept.
    pub async fn compact(&self) -> Result<Rewritten, StoreError> {
        let engine = self.0.shared.read().kind();
        self.0.committer.rewrite(engine).await
    }

    /// Copies all rows into files of another engine. Afterwards the directory is that engine's: this store goes on with
    /// it, and the next opening has to ask for it.
    ///
    /// # Errors
    /// As for [`Store::compact`].
    pub async fn migrate(&self, to: Engine) -> Result<Rewritten, StoreError> {
        self.0.committer.rewrite(to).await
    }

    /// The bytes that the store's files take.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.0.shared.read().disk_bytes()
    }
}

impl Rewrite {
    /// Makes the new files. `None` if that cannot be done, which is told to `answer` or to the log.
    pub(super) fn begin(shared: &Shared, engine: Engine, answer: Option<Answer>) -> Option<Self> {
        match Self::prepare(shared, engine) {
            Ok(rewrite) => Some(Self { answers: answer.into_iter().collect(), ..rewrite }),
            Err(error) => {
                report(&error);
                answer.map(|answer| answer.send(Err(error)));
                None
            }
        }
    }

    fn prepare(shared: &Shared, engine: Engine) -> Result<Self, StoreError> {
        shared.takes_writes()?;
        let dir = &shared.options.dir;
        let in_memory = shared.engine().kind() == Engine::Memory || engine == Engine::Memory;
        let Some(living) = (if in_memory { None } else { Marker::read(dir)? }) else {
            return Err(StoreError::Format("a store in memory has no files to rewrite".to_owned()));
        };
        dir::remove_others(dir, &living.name)?;
        let marker = living.successor(engine);
        let path = dir.join(&marker.name);
        let target = dir::open_engine(engine, &path, shared.options.cache_bytes)?;
        Ok(Self { target, marker, path, next: Key::new(), rows: 0, answers: Vec::new() })
    }

    /// One more asks for what is already under way.
    pub(super) fn join(&mut self, engine: Engine, answer: Answer) {
        if engine == self.marker.engine {
            self.answers.push(answer);
            return;
        }
        let busy = StoreError::InUse("the files are being rewritten; try again when that is done".to_owned());
        // Whoever no longer waits has gone away.
        let _ = answer.send(Err(busy));
    }

    /// Takes in what was just written, as far as it lies in the part already copied.
    pub(super) fn follow(self, changes: &Changes) -> Option<Self> {
        let copied: Changes = changes.range(..self.next.clone()).map(|(key, row)| (key.clone(), row.clone())).collect();
        if copied.is_empty() {
            return Some(self);
        }
        match self.target.apply(&copied) {
            Ok(()) => Some(self),
            Err(error) => {
                self.abandon(error);
                None
            }
        }
    }

    /// Copies some more rows, and after the last puts the new files in the place of the old.
    pub(super) fn step(mut self, shared: &Shared) -> Option<Self> {
        match self.copy(shared) {
            Ok(true) => Some(self),
            Ok(false) => {
                self.finish(shared);
                None
            }
            Err(error) => {
                self.abandon(error);
                None
            }
        }
    }

    /// Copies some rows. Says whether there are more.
    fn copy(&mut self, shared: &Shared) -> Result<bool, StoreError> {
        let mut changes = Changes::new();
        let mut bytes = 0;
        let mut end = None;
        shared.engine().scan(&self.next, &[u8::MAX], &mut |key, value| {
            if bytes >= STEP_BYTES {
                end = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            bytes += key.len() + value.len();
            changes.insert(key.to_vec(), Some(Bytes::copy_from_slice(value)));
            Ok(ControlFlow::Continue(()))
        })?;
        shared.has_space_for(&changes)?;
        self.rows += changes.len() as u64;
        self.target.apply(&changes)?;
        let more = end.is_some();
        self.next = end.unwrap_or_else(|| vec![u8::MAX]);
        Ok(more)
    }

    /// Makes the new files durable, closes them and opens them again: so they are known to be readable before they become the truth,
    /// and the memory is given back that sled takes for all that it writes.
    fn open_anew(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.target.sync()?;
        drop(std::mem::replace(&mut self.target, Arc::new(Memory::default())));
        self.target = dir::open_engine(self.marker.engine, &self.path, shared.options.cache_bytes)?;
        Ok(())
    }

    fn finish(mut self, shared: &Shared) {
        let dir = &shared.options.dir;
        let bytes_before = match self.open_anew(shared).and_then(|()| shared.engine().disk_bytes()) {
            Ok(bytes) => bytes,
            Err(error) => return self.abandon(error),
        };
        if let Err(error) = self.marker.write(dir) {
            // Whether the rename will be found after a crash is not known. Both files hold all rows up to here, so
            // either may become the truth; but no write may go into one of them alone.
            shared.fail(&error);
            return self.answer(&Err(error));
        }
        drop(shared.replace_engine(Arc::clone(&self.target)));
        let done = dir::remove_others(dir, &self.marker.name).and_then(|()| {
            let bytes_after = self.target.disk_bytes()?;
            Ok(Rewritten { rows: self.rows, bytes_before, bytes_after })
        });
        if let Ok(done) = &done {
            tracing::info!(rows = done.rows, bytes_before, bytes_after = done.bytes_after, "store.rewrite.done");
        }
        self.answer(&done);
    }

    /// Gives up; the old files stay.
    pub(super) fn abandon(self, error: StoreError) {
        report(&error);
        let Self { target, path, answers, .. } = self;
        drop(target);
        if let Err(error) = fs::remove_dir_all(&path) {
            report(&io_error(&format!("removing {}; the next start does it", path.display()), &error));
        }
        answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone()))));
    }

    fn answer(self, done: &Result<Rewritten, StoreError>) {
        // Whoever no longer waits has gone away.
        self.answers.into_iter().for_each(|answer| drop(answer.send(done.clone())));
    }
}

fn report(error: &StoreError) {
    tracing::warn!(error = %error, "store.rewrite.failed: the files stay as they are");
}

/// Notices when sled's files hold much more than the rows do. fjall compacts by itself.
#[derive(Debug)]
pub(super) struct Gauge {
    written: u64,
    finding: Bloat,
}

/// What there is to rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bloat {
    /// Nothing worth it.
    Fine,
    /// Something, when there is time.
    Some,
    /// Too much to wait.
    Much,
}

impl Default for Gauge {
    /// Due at once: at the start.
    fn default() -> Self {
        Self { written: GAUGE_BYTES, finding: Bloat::Fine }
    }
}

impl Gauge {
    /// Counts what was written.
    pub(super) fn wrote(&mut self, changes: &Changes) {
        let bytes: usize = changes.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Bytes::len)).sum();
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// Whether it is time to look.
    pub(super) fn due(&self) -> bool {
        self.written >= GAUGE_BYTES
    }

    /// What was found when it was last looked.
    pub(super) fn finding(&self) -> Bloat {
        self.finding
    }

    /// Forgets what was found: it is being seen to.
    pub(super) fn reset(&mut self) {
        self.finding = Bloat::Fine;
    }

    /// Looks at the files.
    pub(super) fn look(&mut self, shared: &Shared) {
        self.written = 0;
        self.finding = bloat(shared).unwrap_or_else(|error| {
            report(&error);
            Bloat::Fine
        });
    }
}

fn bloat(shared: &Shared) -> Result<Bloat, StoreError> {
    let engine = shared.engine();
    if engine.kind() != Engine::Sled || shared.takes_writes().is_err() {
        return Ok(Bloat::Fine);
    }
    let (disk, live) = (engine.disk_bytes()?, live_bytes(&*engine)?);
    let exceeds = |(floor, times): (u64, u64)| disk > live.saturating_mul(times).saturating_add(floor);
    Ok(match (exceeds(BLOAT), exceeds(IDLE_BLOAT)) {
        (true, _) => Bloat::Much,
        (false, true) => Bloat::Some,
        (false, false) => Bloat::Fine,
    })
}

/// About how many bytes the rows have.
fn live_bytes(kv: &dyn Kv) -> Result<u64, StoreError> {
    let services = kv.get(&keys::meta(keys::SERVICE_BYTES))?;
    let mut bytes: u64 = services.map_or(Ok(0), |row| rows::decode(&row, "counters"))?;
    let (from, to) = keys::table(Table::Collections);
    kv.scan(&from, &to, &mut |_, row| {
        let CollectionRow { collection, .. } = rows::decode(row, "collections")?;
        let members = collection.objects.saturating_add(collection.tombstones);
        bytes += collection.bytes + members.saturating_mul(OBJECT_ROWS_BYTES);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(bytes)
}
