//! The data directory: who has it open, which engine wrote it, and which of its directories is the living one.
//!
//! ```text
//! kalends.lock     held by the process that has the store open; tells which
//! kalends.store    format, engine, the name of the engine's directory, and whether a journal is in it
//! sled-1/          the engine's own files
//! ```
//!
//! Compaction and migration write a new engine directory and then replace `kalends.store`: that one rename is the moment at
//! which the new one becomes the truth. Whatever else a crash leaves behind is removed at the next opening.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock, statvfs};

use super::StoreError;
use super::kv::{Changes, Fjall, Journaled, Kv, Sled, io_error};

/// The format of the rows that this program writes.
pub(super) const FORMAT: u64 = 1;
/// Space that must stay free: an engine that runs out of it in the middle of a write has to be restarted.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// How many times that must be there for a look at it to be good for [`SPACE_LOOK`]: more than others can write meanwhile.
const PLENTY: u64 = 64;
const SPACE_LOOK: Duration = Duration::from_millis(250);

const LOCK_FILE: &str = "kalends.lock";
const MARKER_FILE: &str = "kalends.store";

/// Which engine keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// sled: the default.
    Sled,
    /// fjall.
    Fjall,
    /// Memory alone: for tests; gone with the process.
    Memory,
}

impl Engine {
    /// Its name in the configuration and in the data directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }

    /// The engine of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sled, Self::Fjall, Self::Memory].into_iter().find(|engine| engine.name() == name)
    }
}

/// Where and how to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; made if missing. Unused by [`Engine::Memory`].
    pub dir: PathBuf,
    /// The engine. A directory written by the other one is refused with a hint at `kalends migrate`.
    pub engine: Engine,
    /// The page cache, in bytes.
    pub cache_bytes: u64,
    /// How many deletions each change log remembers (limit `tombstones_max`).
    pub tombstones_max: u64,
}

/// The lock on a data directory, held until dropped.
#[derive(Debug)]
pub(super) struct DirLock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl DirLock {
    /// Takes the lock, making the directory if it is missing.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        if dir.exists() && !dir.is_dir() {
            return Err(StoreError::Io(format!("{} is no directory; name another with --data", dir.display())));
        }
        fs::create_dir_all(dir).map_err(|error| io_error(&format!("making {}", dir.display()), &error))?;
        let path = dir.join(LOCK_FILE);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                let path = path.display();
                StoreError::Io(format!("locking {path}: {error}; run this as the user whom the server runs as"))
            }
            _ => io_error(&format!("locking {}", path.display()), &error),
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse(holder(dir, &path))),
            Err(error) => return Err(failed(error.into())),
        }
        let who = format!("process {}, running since {}\n", std::process::id(), now());
        file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(failed)?;
        Ok(Self(file))
    }
}

fn holder(dir: &Path, lock: &Path) -> String {
    let who = fs::read_to_string(lock).unwrap_or_default();
    let who = if who.trim().is_empty() { "another process" } else { who.trim() };
    format!("{} is held by {who}; stop it first, or use another directory", dir.display())
}

fn now() -> String {
    use crate::base::Clock as _;
    format!("{} UTC", crate::base::SystemClock.now().naive())
}

/// What `kalends.store` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) engine: Engine,
    /// The engine's directory.
    pub(super) name: String,
    /// Whether the engine was opened in it once. Until then nothing in it counts.
    pub(super) ready: bool,
    /// Whether the engine's directory has a journal since. One that was made before there were journals gets it at its
    /// next opening.
    pub(super) journaled: bool,
}

impl Marker {
    /// Reads it; `None` if there is none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(MARKER_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&format!("reading {}", path.display()), &error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, StoreError> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let format = value("format").and_then(|format| format.parse().ok());
        let broken = || StoreError::Corrupt(format!("{} does not say what is in the directory", path.display()));
        check_format(format.ok_or_else(broken)?)?;
        let engine = value("engine").ok_or_else(broken)?;
        let engine = Engine::named(engine)
            .ok_or_else(|| StoreError::Format(format!("its engine `{engine}` is not known to this program")))?;
        let name = value("directory").filter(|name| is_engine_dir(name)).ok_or_else(broken)?.to_owned();
        let (ready, journaled) = (value("state") == Some("ready"), value("journal") == Some("yes"));
        Ok(Self { engine, name, ready, journaled })
    }

    /// What follows it after a rewriting into files of `engine`.
    pub(super) fn successor(&self, engine: Engine) -> Self {
        let number = self.name.rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        let name = format!("{}-{}", engine.name(), number.wrapping_add(1));
        Self { engine, name, ready: true, journaled: false }.opened()
    }

    /// The same, when the engine was opened in its directory.
    pub(super) fn opened(self) -> Self {
        Self { ready: true, journaled: self.engine == Engine::Sled, ..self }
    }

    /// Replaces what `kalends.store` says, durably.
    pub(super) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let state = if self.ready { "ready" } else { "new" };
        let journal = if self.journaled { "journal yes\n" } else { "" };
        let (engine, name) = (self.engine.name(), &self.name);
        let text = format!("format {FORMAT}\nengine {engine}\ndirectory {name}\nstate {state}\n{journal}");
        let path = dir.join(MARKER_FILE);
        let draft = dir.join(format!("{MARKER_FILE}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|error| io_error(&format!("writing {}", path.display()), &error))
    }
}

/// Whether a name in the data directory is one that we give to engines' directories.
fn is_engine_dir(name: &str) -> bool {
    let number = ["sled-", "fjall-"].iter().find_map(|engine| name.strip_prefix(engine));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The engines' directories in the data directory, by name.
pub(super) fn engine_dirs(dir: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |error: std::io::Error| io_error(&format!("listing {}", dir.display()), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().filter(|name| is_engine_dir(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Removes the engines' directories other than `living`: what a compaction or first start that was cut off has left.
pub(super) fn remove_others(dir: &Path, living: &str) -> Result<(), StoreError> {
    for name in engine_dirs(dir)?.into_iter().filter(|name| name != living) {
        let path = dir.join(name);
        fs::remove_dir_all(&path).map_err(|error| io_error(&format!("removing {}", path.display()), &error))?;
    }
    Ok(())
}

/// Refuses a format that is newer than what this program knows.
pub(super) fn check_format(format: u64) -> Result<(), StoreError> {
    if format > FORMAT {
        return Err(StoreError::Format(format!(
            "it has format {format} and this program knows formats up to {FORMAT}; start the newer program"
        )));
    }
    Ok(())
}

/// Opens the directory's engine. The caller holds the lock.
pub(super) fn open(options: &Options) -> Result<Arc<dyn Kv>, StoreError> {
    let dir = &options.dir;
    let marker = match Marker::read(dir)? {
        Some(marker) => marker,
        None => first_marker(options)?,
    };
    if marker.engine != options.engine {
        let (wrote, asked) = (marker.engine.name(), options.engine.name());
        return Err(StoreError::Format(format!(
            "{} was written by the engine {wrote} and the configuration asks for {asked}; run `kalends migrate --to {asked}`, or set `engine = \"{wrote}\"`",
            dir.display()
        )));
    }
    let path = dir.join(&marker.name);
    if marker.ready && !path.is_dir() {
        return Err(missing(&path));
    }
    if marker.ready && marker.journaled {
        Journaled::expect(&path)?;
    }
    remove_others(dir, if marker.ready { &marker.name } else { "" })?;
    let engine = open_engine(marker.engine, &path, options.cache_bytes)?;
    if !marker.ready {
        engine.sync()?;
    }
    let opened = marker.clone().opened();
    if opened != marker {
        opened.write(dir)?;
    }
    Ok(engine)
}

/// Gives up the journal of the store in `dir`, which is damaged or missing: with what was written in the last moments, if that
/// was in it alone. The next opening begins a new one. It says where a damaged one was put.
///
/// # Errors
/// If the store is open, has no journal, or one that is whole: nothing is done then.
pub fn give_up_journal(dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    let _lock = DirLock::take(dir)?;
    let Some(marker) = Marker::read(dir)?.filter(|marker| marker.ready && marker.engine == Engine::Sled) else {
        return Err(StoreError::Format(format!("{} has no journal to give up", dir.display())));
    };
    let path = dir.join(&marker.name);
    if !path.is_dir() {
        return Err(missing(&path));
    }
    // Not beside it: the engine's directory goes when its files are rewritten.
    let aside = Journaled::put_aside(&path, dir)?;
    Marker { journaled: false, ..marker }.write(dir)?;
    Ok(aside)
}

fn missing(path: &Path) -> StoreError {
    StoreError::Corrupt(format!("{} is missing: put it back, or restore the newest backup", path.display()))
}

/// Begins a new data directory.
pub(super) fn first_marker(options: &Options) -> Result<Marker, StoreError> {
    if let Some(name) = engine_dirs(&options.dir)?.first() {
        let dir = options.dir.display();
        return Err(StoreError::Corrupt(format!(
            "{dir} has data in {name} and no file {MARKER_FILE} that says what it is; restore that file or the newest backup"
        )));
    }
    let marker =
        Marker { engine: options.engine, name: format!("{}-1", options.engine.name()), ready: false, journaled: false };
    marker.write(&options.dir)?;
    Ok(marker)
}

/// Opens an engine in a directory of its own.
pub(super) fn open_engine(engine: Engine, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Kv>, StoreError> {
    Ok(match engine {
        Engine::Sled => Arc::new(Journaled::open(Arc::new(Sled::open(path, cache_bytes)?), path)?),
        Engine::Fjall => Arc::new(Fjall::open(path, cache_bytes)?),
        Engine::Memory => Arc::new(super::kv::Memory::default()),
    })
}

/// The bytes free for us on the disk of `dir`.
///
/// # Errors
/// The operating system's.
pub fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let stat = statvfs(dir).map_err(|error| io_error("asking for the free space", &error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Looks at the free space before writes: refusing one beforehand is harmless, failing in the middle is not. While there is plenty, one
/// look is good for a moment.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    /// When somebody looked, and what is left of what was found then.
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Space {
    /// The space of the store's directory; `None` if it has none.
    pub(super) fn of(options: &Options) -> Option<Self> {
        (options.engine != Engine::Memory).then(|| Self { dir: options.dir.clone(), seen: Mutex::new(None) })
    }

    /// The bytes that are free.
    pub(super) fn free(&self) -> Result<u64, StoreError> {
        free_bytes(&self.dir)
    }

    /// Refuses changes that would leave less than the reserve.
    pub(super) fn check(&self, changes: &Changes) -> Result<(), StoreError> {
        let bytes: usize = changes.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, bytes::Bytes::len)).sum();
        let needed = RESERVE_BYTES.saturating_add(bytes as u64);
        let mut seen = self.seen.lock();
        if let Some((at, left)) = &mut *seen
            && at.elapsed() < SPACE_LOOK
            && *left >= needed.saturating_mul(PLENTY)
        {
            *left -= bytes as u64;
            return Ok(());
        }
        let free = self.free()?;
        *seen = Some((Instant::now(), free));
        if free < needed {
            let dir = self.dir.display();
            return Err(StoreError::Full(format!("{dir} has {free} bytes left; free some space and try again")));
        }
        Ok(())
    }
}
