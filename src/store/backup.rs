//! Backups: all rows of a snapshot as one stream of bytes, and back.
//!
//! ```text
//! kalends-backup 1\n
//! row:  key length (4 bytes, big-endian), value length (4 bytes), key, value
//! end:  4 bytes 0xff, the number of rows (8 bytes), SHA-256 of everything before it (32 bytes)
//! ```
//!
//! A file that was cut off, or changed in one bit, is refused before anything is restored from it.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::kv::io_error;
use super::{Options, Row, Snapshot, Store, StoreError};

/// What stands at the beginning of a backup: its format.
const HEAD: &[u8] = b"kalends-backup 1\n";
/// What all formats' heads begin with.
const NAME: &[u8] = b"kalends-backup ";
/// In the place of a key's length: the rows are over.
const END: u32 = u32::MAX;
/// Rows are written in pieces of about so many bytes.
const PIECE_BYTES: usize = 512 * 1024;
/// Rows are restored in changes of about so many bytes.
const CHANGE_BYTES: usize = 4 * 1024 * 1024;
/// No key and no value is longer: a length beyond it is damage, not data.
const PART_BYTES_MAX: u32 = 1 << 30;

/// A backup being written: a snapshot as a stream of bytes.
pub struct Backup {
    snapshot: Snapshot,
    digest: Sha256,
    rows: u64,
    bytes: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Rows,
    Done,
}

/// What is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupSize {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Store {
    /// Begins a backup of the state of right now. Writers and readers go on meanwhile.
    pub fn backup(&self) -> Backup {
        Backup { snapshot: self.snapshot(), digest: Sha256::new(), rows: 0, bytes: 0, state: State::Head }
    }
}

impl Backup {
    /// The next bytes of the file, about half a megabyte; `None` at its end.
    ///
    /// # Errors
    /// If the storage fails or is damaged, or a row is too long for the format (1 GiB).
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut piece = Vec::new();
        match self.state {
            State::Done => return Ok(None),
            State::Head => {
                piece.extend_from_slice(HEAD);
                self.state = State::Rows;
            }
            State::Rows => {
                let rows = self.snapshot.next_rows(PIECE_BYTES)?;
                if rows.is_empty() {
                    return Ok(Some(self.end()));
                }
                for row in &rows {
                    piece.extend_from_slice(&length(row.key.len())?);
                    piece.extend_from_slice(&length(row.value.len())?);
                    piece.extend_from_slice(&row.key);
                    piece.extend_from_slice(&row.value);
                }
                self.rows += rows.len() as u64;
            }
        }
        self.digest.update(&piece);
        self.bytes += piece.len() as u64;
        Ok(Some(piece))
    }

    fn end(&mut self) -> Vec<u8> {
        let mut piece = END.to_be_bytes().to_vec();
        piece.extend_from_slice(&self.rows.to_be_bytes());
        self.digest.update(&piece);
        piece.extend_from_slice(&std::mem::take(&mut self.digest).finalize());
        self.bytes += piece.len() as u64;
        self.state = State::Done;
        piece
    }

    /// What was given out so far.
    pub fn size(&self) -> BackupSize {
        BackupSize { rows: self.rows, bytes: self.bytes }
    }
}

fn length(length: usize) -> Result<[u8; 4], StoreError> {
    match u32::try_from(length) {
        Ok(length) if length <= PART_BYTES_MAX => Ok(length.to_be_bytes()),
        _ => Err(StoreError::Format(format!("a row of {length} bytes is too long for a backup"))),
    }
}

/// Checks `file` from its beginning to its end, then fills the directory of `options`, in which no store may be.
///
/// # Errors
/// If the file is no backup, of a later format, cut off or damaged: nothing is written then. Else as [`Store::restore`].
pub fn restore_backup(file: &mut (impl Read + Seek), options: &Options) -> Result<BackupSize, StoreError> {
    let checked = read_backup(file, |_| Ok(()))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| reading(&error))?;
    let mut restore = Store::restore(options)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let restored = read_backup(file, |row| {
        bytes += row.key.len() + row.value.len();
        rows.push(row);
        if bytes >= CHANGE_BYTES {
            bytes = 0;
            restore.add(std::mem::take(&mut rows))?;
        }
        Ok(())
    })?;
    if restored != checked {
        return Err(damaged("it has changed while it was read"));
    }
    restore.add(rows)?;
    restore.finish()?;
    Ok(restored)
}

/// Reads a backup to its end, giving each row to `take`, and compares its checksum.
fn read_backup(
    file: &mut impl Read,
    mut take: impl FnMut(Row) -> Result<(), StoreError>,
) -> Result<BackupSize, StoreError> {
    let mut input = Summed { file: io::BufReader::with_capacity(1 << 20, file), digest: Sha256::new(), bytes: 0 };
    let head = input.take(HEAD.len())?;
    if head != HEAD {
        return Err(foreign(&head));
    }
    let mut rows: u64 = 0;
    loop {
        let key = input.number()?;
        if key == END {
            break;
        }
        let value = input.number()?;
        if key > PART_BYTES_MAX || value > PART_BYTES_MAX {
            return Err(damaged("a length in it is impossible"));
        }
        let key = input.take(key as usize)?;
        take(Row { key, value: Bytes::from(input.take(value as usize)?) })?;
        rows += 1;
    }
    let counted = input.take(8)?;
    let expected = std::mem::take(&mut input.digest).finalize();
    let sum = input.take(expected.len())?;
    if sum[..] != expected[..] || counted != rows.to_be_bytes() {
        return Err(damaged("its checksum does not match"));
    }
    let size = BackupSize { rows, bytes: input.bytes };
    match input.file.read(&mut [0]) {
        Ok(0) => Ok(size),
        Ok(_) => Err(damaged("there is something behind its end")),
        Err(error) => Err(reading(&error)),
    }
}

/// Reads and sums.
struct Summed<R> {
    file: io::BufReader<R>,
    digest: Sha256,
    bytes: u64,
}

impl<R: Read> Summed<R> {
    /// The next `length` bytes. Memory grows with what is there, not with what a damaged length promises.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut part = Vec::new();
        self.file.by_ref().take(length as u64).read_to_end(&mut part).map_err(|error| reading(&error))?;
        if part.len() < length {
            return Err(damaged("it is cut off"));
        }
        self.digest.update(&part);
        self.bytes += length as u64;
        Ok(part)
    }

    fn number(&mut self) -> Result<u32, StoreError> {
        let mut number = [0; 4];
        number.copy_from_slice(&self.take(4)?);
        Ok(u32::from_be_bytes(number))
    }
}

fn reading(error: &io::Error) -> StoreError {
    io_error("reading the backup", error)
}

fn damaged(how: &str) -> StoreError {
    StoreError::Corrupt(format!("the backup is damaged: {how}; take another one, nothing was restored from this one"))
}

fn foreign(head: &[u8]) -> StoreError {
    if head.starts_with(NAME) {
        let format = String::from_utf8_lossy(&head[NAME.len()..]).trim().to_owned();
        return StoreError::Format(format!("the backup has the format {format}, and this program knows 1 alone"));
    }
    StoreError::Format("the file is no backup made by `kalends backup`".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::store::Engine;
    use crate::store::kv::{Changes, Kv as _, Memory};
    use std::sync::Arc;

    fn options(dir: &std::path::Path) -> Options {
        Options { dir: dir.to_owned(), engine: Engine::Fjall, cache_bytes: 1 << 20, tombstones_max: 5 }
    }

    fn written() -> Vec<u8> {
        let memory = Memory::default();
        let rows: Changes = (0..100_u8).map(|n| (vec![b'Z', n], Some(Bytes::from(vec![n; 9_000])))).collect();
        memory.apply(&rows).expect("memory takes it");
        let store = Store::open_on(Arc::new(memory), &options("unused".as_ref())).expect("it opens");
        let mut backup = store.backup();
        let mut bytes = Vec::new();
        while let Some(piece) = backup.next_piece().expect("memory reads") {
            bytes.extend(piece);
        }
        assert_eq!(backup.size().bytes, bytes.len() as u64);
        bytes
    }

    #[test]
    fn every_damage_is_noticed_before_anything_is_written() {
        let bytes = written();
        let mut broken: Vec<Vec<u8>> = [0, 5, HEAD.len(), HEAD.len() + 3, 5_000, bytes.len() - 1]
            .iter()
            .map(|length| bytes[..*length].to_vec())
            .collect();
        for at in [0, 20, 30, 5_000, bytes.len() - 41, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            broken.push(changed);
        }
        broken.push([&bytes[..], b"x"].concat());
        for (number, bytes) in broken.into_iter().enumerate() {
            let dir = tempfile::tempdir().expect("a directory");
            let error = restore_backup(&mut Cursor::new(bytes), &options(dir.path()));
            assert!(error.is_err(), "damage {number}");
            assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0, "damage {number}");
        }
    }

    #[test]
    fn what_is_restored_makes_the_same_backup() {
        let bytes = written();
        let dir = tempfile::tempdir().expect("a directory");
        let size = restore_backup(&mut Cursor::new(bytes.clone()), &options(dir.path())).expect("it is whole");
        assert_eq!(size.bytes, bytes.len() as u64);
        assert!(restore_backup(&mut Cursor::new(bytes), &options(dir.path())).is_err(), "there is a store now");
        let store = Store::open(&options(dir.path())).expect("it opens");
        let mut snapshot = store.snapshot();
        let mut found = 0;
        loop {
            let rows = snapshot.next_rows(1 << 16).expect("it reads");
            if rows.is_empty() {
                break;
            }
            found += rows.iter().filter(|row| row.key[0] == b'Z' && row.value[..] == vec![row.key[1]; 9_000]).count();
        }
        assert_eq!(found, 100);
    }
}
