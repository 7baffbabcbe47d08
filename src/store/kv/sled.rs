//! sled 0.34.7 with what it needs beside it to be safe: see `docs/decisions/0003-the-store.md`.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Changes, Kv, Visit, io_error};
use crate::store::{Engine, StoreError};

/// How often, and how long apart, opening is tried while background threads of an earlier opening by this same
/// process still hold sled's own lock. Other processes were kept out before.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// File systems' clocks are no coarser.
const CLOCK_TICK: Duration = Duration::from_secs(1);

/// One sled tree in a directory of its own.
pub(in crate::store) struct Sled {
    db: ::sled::Db,
    /// The directory, open for `syncfs`.
    dir: File,
    /// Where sled keeps large values, one file each.
    blobs: PathBuf,
    /// When the last of those that are durable was made; `None` where that cannot be told.
    durable: Mutex<Option<SystemTime>>,
}

impl Sled {
    /// Opens or makes the tree in `dir`.
    pub(in crate::store) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| io_error(&format!("making {}", dir.display()), &error))?;
        forget_unfinished(dir)?;
        let config = ::sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match guarded(dir, || config.open()) {
                Err(StoreError::InUse(_)) if tries < OPEN_TRIES => tries += 1,
                done => break done?,
            }
            sleep(OPEN_PAUSE);
        };
        let blobs = dir.join("blobs");
        let dir = File::open(dir).map_err(|error| io_error(&format!("opening {}", dir.display()), &error))?;
        Ok(Self { db, dir, blobs, durable: Mutex::new(None) })
    }

    /// Makes large values durable before the log that names them. sled never syncs them, and after a power cut it skips
    /// entries of its log whose file is not there: half of a batch would be left.
    fn sync_blobs(&self) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| io_error("making sled's large values durable", &error);
        let made = match std::fs::metadata(&self.blobs).and_then(|meta| meta.modified()) {
            Ok(made) => made,
            // There never was a large value.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut durable = self.durable.lock();
        if *durable == Some(made) {
            return Ok(());
        }
        rustix::fs::syncfs(&self.dir).map_err(|error| failed(error.into()))?;
        // One made in the same tick of the file system's clock would go unnoticed: only a time long over is remembered.
        let over = made.elapsed().is_ok_and(|elapsed| elapsed > CLOCK_TICK);
        *durable = over.then_some(made);
        Ok(())
    }
}

/// Removes what sled was writing into `dir` when an earlier opening was cut off. sled sums its log up at each opening, in a
/// file that is renamed when it is whole; one that never was, for a kill or a full disk, it takes for the newest and then
/// gives up on all of the data.
fn forget_unfinished(dir: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| io_error(&format!("tidying {}", dir.display()), &error);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

impl Kv for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = guarded(Path::new("sled"), || self.db.get(key))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let mut rows = self.db.range::<&[u8], _>(from..to);
        while let Some((key, value)) = guarded(Path::new("sled"), || rows.next().transpose())? {
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut batch = ::sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_ref()),
                None => batch.remove(key.as_slice()),
            }
        }
        guarded(Path::new("sled"), || self.db.apply_batch(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.sync_blobs()?;
        guarded(Path::new("sled"), || self.db.flush())?;
        // sled syncs its log without the file's metadata: an acknowledged flush is lost in a power cut without this.
        rustix::fs::syncfs(&self.dir).map_err(|error| io_error("making sled's files durable", &error.into()))
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        guarded(Path::new("sled"), || self.db.size_on_disk())
    }

    fn kind(&self) -> Engine {
        Engine::Sled
    }
}

/// Runs `work`. sled panics where it finds its files damaged; that becomes an error like any other.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> ::sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(sled_error(&error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(StoreError::Corrupt(format!(
                "sled gave up on {}: {}; keep a copy of the directory, then restore the newest backup",
                dir.display(),
                text.unwrap_or("no reason given")
            )))
        }
    }
}

fn sled_error(error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(io) if io.kind() == std::io::ErrorKind::WouldBlock => StoreError::InUse(io.to_string()),
        // sled reports a lock held by others with the kind `Other` and this text.
        ::sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => StoreError::InUse(io.to_string()),
        ::sled::Error::Io(io) => io_error("sled", io),
        ::sled::Error::Corruption { .. } => StoreError::Corrupt(format!(
            "sled found a damaged page ({error}); keep a copy of the directory, then restore the newest backup"
        )),
        other => StoreError::Io(format!("sled: {other}")),
    }
}
