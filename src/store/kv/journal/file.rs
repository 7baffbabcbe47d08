//! The journal's file: a header in a page of its own, and the records behind it.
//!
//! The header names the generation whose records count. It is written, durably, before the first record of a generation is:
//! a power cut may leave any sectors of the last write and not the others, so that without it an old first record could
//! come to light again where a new one was to cover it, alone, and take back what the records behind it did.
//!
//! All is written in whole blocks, past the page cache: that halves what the kernel does for a record.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::super::{Changes, io_error};
use super::record::{BLOCK_BYTES, Record, SUM_BYTES, records_in, seal, sum_of};
use crate::store::StoreError;

/// The file's name in the engine's directory.
pub(super) const FILE: &str = "journal";
/// The room for records: one group that is larger is not journaled.
pub(super) const RECORD_BYTES: usize = 1024 * 1024;
/// A page, so that no write of a record touches the header.
pub(super) const PAGE_BYTES: usize = BLOCK_BYTES;
/// The file's size.
pub(super) const FILE_BYTES: usize = PAGE_BYTES + RECORD_BYTES;

/// The name that a damaged one gets when it is given up; if it is taken, with `-2`, `-3` and so on.
const ASIDE_FILE: &str = "journal.damaged";
/// What there is to do where one is damaged or missing.
const GO_ON: &str = "keep a copy of the directory, then restore the newest backup, or run `kalends verify --without-journal` \
                     to go on without what was written in the last moments";

const MAGIC: [u8; 8] = *b"kalends1";
/// The magic bytes, the generation and their checksum.
const HEADER_BYTES: usize = 16 + SUM_BYTES;

pub(super) struct Journal {
    pub(super) file: File,
    path: PathBuf,
    /// What tells the records since the last checkpoint from older ones.
    generation: u64,
    /// Where the next record is written, counted from the first.
    pub(super) end: u64,
    /// Whether the changes that are applied next are in it.
    pub(super) is_ahead: bool,
    /// Whether changes were applied that were not in it, and the engine was not made durable since.
    pub(super) is_behind: bool,
    /// Whether something failed: what the disk holds of the engine and of this file is not known then, and what this file
    /// holds may be all that is left of what was acknowledged.
    pub(super) has_failed: bool,
}

impl Journal {
    /// Opens the journal in `dir`, making it if it was never used; with what it holds. The caller begins a generation before it
    /// writes.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<Changes>), StoreError> {
        let path = dir.join(FILE);
        let failed = |error: std::io::Error| io_error(&format!("opening {}", path.display()), &error);
        let held = read(&path)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let (generation, records) = match held {
            Some(held) => held,
            None => {
                // Written now, so that later writes find their place on the disk ready.
                let made = file.set_len(0).and_then(|()| file.write_all_at(&vec![0; FILE_BYTES], 0));
                made.and_then(|()| file.sync_all()).and_then(|()| File::open(dir)?.sync_all()).map_err(failed)?;
                (0, Vec::new())
            }
        };
        // Where that cannot be, the page cache stays between.
        let _ = rustix::fs::fcntl_setfl(&file, OFlags::DIRECT);
        Ok((Self { file, path, generation, end: 0, is_ahead: false, is_behind: false, has_failed: false }, records))
    }

    /// Writes a record behind the others, durably.
    pub(super) fn append(&mut self, record: &mut Record) -> Result<(), StoreError> {
        let bytes = record.bytes();
        seal(bytes, self.generation);
        self.write(bytes, PAGE_BYTES as u64 + self.end, "writing")?;
        self.end += bytes.len() as u64;
        self.is_ahead = true;
        Ok(())
    }

    /// The engine has taken what the file holds, durably: from here on, durably, none of its records counts.
    pub(super) fn begin_anew(&mut self) -> Result<(), StoreError> {
        // By chance, so that nobody can have stored what looks like a record of it.
        self.generation = self.generation.wrapping_add(getrandom::u64().unwrap_or_default() | 1);
        let mut page = Record::blank();
        let header = &mut page.bytes()[..HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&self.generation.to_le_bytes());
        let sum = sum_of([&header[..16], &[]]);
        header[16..].copy_from_slice(&sum);
        self.write(page.bytes(), 0, "emptying")?;
        (self.end, self.is_behind) = (0, false);
        Ok(())
    }

    /// Writes blocks, durably.
    fn write(&self, blocks: &[u8], at: u64, doing: &str) -> Result<(), StoreError> {
        let written = match self.file.write_all_at(blocks, at) {
            // A disk whose blocks are larger than ours.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => self.write_cached(blocks, at),
            done => done,
        };
        let done = written.and_then(|()| self.file.sync_data());
        done.map_err(|error| io_error(&format!("{doing} {}", self.path.display()), &error))
    }

    /// Writes through the page cache, from here on.
    fn write_cached(&self, blocks: &[u8], at: u64) -> std::io::Result<()> {
        rustix::fs::fcntl_setfl(&self.file, OFlags::empty())?;
        self.file.write_all_at(blocks, at)
    }
}

/// What the file at `path` holds: its generation and records; `None` if it is not there or was never used.
fn read(path: &Path) -> Result<Option<(u64, Vec<Changes>)>, StoreError> {
    let failed = |error: std::io::Error| io_error(&format!("reading {}", path.display()), &error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(FILE_BYTES)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    match generation_in(&bytes) {
        Some(generation) => match records_in(&bytes[PAGE_BYTES..], generation) {
            Ok(records) => Ok(Some((generation, records))),
            Err(at) => Err(damaged(path, PAGE_BYTES + at)),
        },
        None if is_unused(&bytes) => Ok(None),
        None => Err(damaged(path, 0)),
    }
}

/// Refuses a directory whose journal was in use once and is not there any more, or holds nothing.
pub(super) fn expect(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE);
    if read(&path)?.is_some() {
        return Ok(());
    }
    let (shown, how) = (path.display(), if path.exists() { "empty" } else { "missing" });
    Err(StoreError::Corrupt(format!(
        "{shown} is {how}: what was written last may have been in it alone; put the file back that was there, or {GO_ON}"
    )))
}

/// Puts the journal in `dir` aside, if there is one and it is damaged, into `to`. It says under which name.
pub(super) fn put_aside(dir: &Path, to: &Path) -> Result<Option<PathBuf>, StoreError> {
    let path = dir.join(FILE);
    let failed = |error: std::io::Error| io_error(&format!("renaming {}", path.display()), &error);
    match read(&path) {
        Ok(Some(_)) => {
            let path = path.display();
            Err(StoreError::Format(format!("{path} is whole: nothing that was written has to be given up")))
        }
        Ok(None) => Ok(None),
        Err(StoreError::Corrupt(_)) => {
            let aside = free_name(to).map_err(failed)?;
            let renamed = std::fs::rename(&path, &aside).and_then(|()| File::open(to)?.sync_all());
            renamed.and_then(|()| File::open(dir)?.sync_all()).map_err(failed)?;
            Ok(Some(aside))
        }
        Err(error) => Err(error),
    }
}

/// The first name in `dir` for a damaged journal that no other has: that one may hold the only copy of what was acknowledged.
fn free_name(dir: &Path) -> std::io::Result<PathBuf> {
    let mut path = dir.join(ASIDE_FILE);
    let mut number = 1;
    loop {
        match path.symlink_metadata() {
            Ok(_) => number += 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
        path = dir.join(format!("{ASIDE_FILE}-{number}"));
    }
}

/// What the header of a whole file says.
fn generation_in(bytes: &[u8]) -> Option<u64> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let whole = header[..8] == MAGIC && header[16..] == sum_of([&header[..16], &[]]) && bytes.len() == FILE_BYTES;
    whole.then(|| u64::from_le_bytes(*header[8..].first_chunk().expect("24 bytes")))
}

/// Whether a file was made and never used: then its header was not written, and it may not even be whole.
fn is_unused(bytes: &[u8]) -> bool {
    let looked_at = if bytes.len() == FILE_BYTES { FILE_BYTES } else { HEADER_BYTES.min(bytes.len()) };
    bytes[..looked_at].iter().all(|byte| *byte == 0)
}

fn damaged(path: &Path, at: usize) -> StoreError {
    let path = path.display();
    StoreError::Corrupt(format!("{path} is damaged at byte {at}: what was written last may be missing; {GO_ON}"))
}
