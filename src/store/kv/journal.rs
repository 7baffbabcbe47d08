//! A journal in front of an engine whose own way to durability is dear (each of sled's atomic writes wakes all of its threads twice, and
//! each flush once more): changes are written to a file of fixed size and made durable there, which is one small write in
//! place, and stay in memory, where readers find them. Now and then, at a checkpoint, the engine takes all that have
//! come together as one write of its own, durably, and the journal begins anew: what was changed many times is
//! written there once. What the journal holds when it is opened goes the same way.
//!
//! Changes that are applied without being written ahead (while files are rewritten, and more at once than the journal takes) go to the
//! engine itself; before that the journal is emptied, or an older record would cover them at the next opening.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};

use super::{Changes, Kv, Visit, io_error, scan_over};
use crate::store::{Engine, StoreError};

/// The file's name in the engine's directory.
const FILE: &str = "journal";
/// The file's size: one group that is larger is not journaled.
const JOURNAL_BYTES: usize = 1024 * 1024;
/// After how many journaled bytes the engine takes them.
const CHECKPOINT_BYTES: u64 = 512 * 1024;

/// What a record begins with: its generation, its length and its checksum.
const HEAD_BYTES: usize = 8 + 8 + SUM_BYTES;
const SUM_BYTES: usize = 16;
/// The length that stands for a deletion.
const DELETED: u32 = u32::MAX;

/// An engine with a journal.
pub(in crate::store) struct Journaled {
    engine: Arc<dyn Kv>,
    journal: Mutex<Journal>,
    /// What the engine has not taken yet. It holds what the journal's records of this generation do.
    recent: RwLock<Changes>,
}

struct Journal {
    file: File,
    path: PathBuf,
    /// What tells the records since the last checkpoint from older ones.
    generation: u64,
    /// Where the next record is written.
    end: u64,
    /// Whether there is no record in the file, of whatever generation.
    is_empty: bool,
    /// Whether the changes that are applied next are in it.
    is_ahead: bool,
    /// Whether changes were applied that were not in it, and the engine was not made durable since.
    is_behind: bool,
}

impl Journaled {
    /// Opens the journal in `dir`; `engine` takes what it holds.
    pub(in crate::store) fn open(engine: Arc<dyn Kv>, dir: &Path) -> Result<Self, StoreError> {
        let (journal, records) = Journal::open(dir)?;
        let recent = RwLock::new(records.into_iter().flatten().collect());
        let opened = Self { engine, journal: Mutex::new(journal), recent };
        opened.step_aside(&mut opened.journal.lock())?;
        Ok(opened)
    }

    /// The engine takes what it has not taken yet, durably; the journal begins anew.
    fn checkpoint(&self, journal: &mut Journal) -> Result<(), StoreError> {
        {
            // Readers go on: what the engine has of this already is covered by the same.
            let recent = self.recent.read_recursive();
            if !recent.is_empty() {
                self.engine.apply(&recent)?;
            }
            self.engine.sync()?;
        }
        self.recent.write().clear();
        journal.begin_anew();
        Ok(())
    }

    /// Prepares for changes that are not journaled.
    fn step_aside(&self, journal: &mut Journal) -> Result<(), StoreError> {
        if !journal.is_empty {
            self.checkpoint(journal)?;
            journal.empty()?;
        }
        Ok(())
    }
}

impl Kv for Journaled {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let recent = self.recent.read_recursive();
        match recent.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.engine.get(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan_over(&*self.engine, &self.recent.read_recursive(), (from, to), visit)
    }

    fn write_ahead(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        let mut record = record_of(changes);
        if record.len() > JOURNAL_BYTES {
            return self.step_aside(&mut journal);
        }
        if journal.is_behind || journal.end + record.len() as u64 > JOURNAL_BYTES as u64 {
            self.checkpoint(&mut journal)?;
        }
        journal.append(&mut record)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        if std::mem::take(&mut journal.is_ahead) {
            self.recent.write().extend(changes.iter().map(|(key, row)| (key.clone(), row.clone())));
            return Ok(());
        }
        self.step_aside(&mut journal)?;
        journal.is_behind = true;
        self.engine.apply(changes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        if journal.is_behind || journal.end >= CHECKPOINT_BYTES {
            self.checkpoint(&mut journal)?;
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.engine.disk_bytes()? + JOURNAL_BYTES as u64)
    }

    fn kind(&self) -> Engine {
        self.engine.kind()
    }
}

impl Drop for Journaled {
    /// At rest the engine's files alone hold everything. If this fails, or it is not known whether the last changes were to be
    /// applied, the next opening does it.
    fn drop(&mut self) {
        let journal = &mut *self.journal.lock();
        if !journal.is_ahead {
            let _ = self.step_aside(journal);
        }
    }
}

impl Journal {
    fn open(dir: &Path) -> Result<(Self, Vec<Changes>), StoreError> {
        let path = dir.join(FILE);
        let failed = |error: std::io::Error| io_error(&format!("opening {}", path.display()), &error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(JOURNAL_BYTES)];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        if length < JOURNAL_BYTES {
            // Written now, so that later writes find their place on the disk ready.
            file.write_all_at(&vec![0; JOURNAL_BYTES - length], length as u64).map_err(failed)?;
            file.sync_all().and_then(|()| File::open(dir)?.sync_all()).map_err(failed)?;
        }
        let records = records_in(&bytes);
        let is_empty = records.is_empty();
        // Never the number of an older record that is still somewhere in the file.
        let generation = getrandom::u64().unwrap_or_default() >> 1 | 1;
        Ok((Self { file, path, generation, end: 0, is_empty, is_ahead: false, is_behind: false }, records))
    }

    /// Writes a record behind the others, durably.
    fn append(&mut self, record: &mut [u8]) -> Result<(), StoreError> {
        seal(record, self.generation);
        let write = self.file.write_all_at(record, self.end).and_then(|()| self.file.sync_data());
        write.map_err(|error| io_error(&format!("writing {}", self.path.display()), &error))?;
        self.end += record.len() as u64;
        (self.is_empty, self.is_ahead) = (false, true);
        Ok(())
    }

    /// The engine has taken what it holds, durably: the next record is the first of a new generation.
    fn begin_anew(&mut self) {
        self.generation += 1;
        (self.end, self.is_behind) = (0, false);
    }

    /// Takes the records of the file, durably.
    fn empty(&mut self) -> Result<(), StoreError> {
        let write = self.file.write_all_at(&[0; HEAD_BYTES], 0).and_then(|()| self.file.sync_data());
        write.map_err(|error| io_error(&format!("emptying {}", self.path.display()), &error))?;
        (self.end, self.is_empty) = (0, true);
        Ok(())
    }
}

/// A record of `changes`, not yet sealed.
fn record_of(changes: &Changes) -> Vec<u8> {
    let of_row = |(key, row): (&Vec<u8>, &Option<Bytes>)| 8 + key.len() + row.as_ref().map_or(0, Bytes::len);
    let mut record = Vec::with_capacity(HEAD_BYTES + changes.iter().map(of_row).sum::<usize>());
    record.resize(HEAD_BYTES, 0);
    for (key, row) in changes {
        let row_bytes = row.as_ref().map_or(DELETED, |row| length_of(row));
        record.extend_from_slice(&length_of(key).to_le_bytes());
        record.extend_from_slice(&row_bytes.to_le_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(row.as_deref().unwrap_or_default());
    }
    record
}

/// One that is larger than this makes the record larger than the journal.
fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(DELETED - 1)
}

/// Fills in what a record begins with.
fn seal(record: &mut [u8], generation: u64) {
    let body_bytes = (record.len() - HEAD_BYTES) as u64;
    record[..8].copy_from_slice(&generation.to_le_bytes());
    record[8..16].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = sum_of(record);
    record[16..HEAD_BYTES].copy_from_slice(&sum);
}

/// The checksum of all of a record but the checksum.
fn sum_of(record: &[u8]) -> [u8; SUM_BYTES] {
    let digest = Sha256::new().chain_update(&record[..16]).chain_update(&record[HEAD_BYTES..]).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// The records in a journal: those of the first one's generation, as far as they are whole.
fn records_in(mut bytes: &[u8]) -> Vec<Changes> {
    let mut records = Vec::new();
    let mut first = None;
    while let Some((generation, changes, rest)) = first_record(bytes) {
        if *first.get_or_insert(generation) != generation {
            break;
        }
        records.push(changes);
        bytes = rest;
    }
    records
}

fn first_record(bytes: &[u8]) -> Option<(u64, Changes, &[u8])> {
    let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..at + 8)?.first_chunk()?));
    let (generation, body_bytes) = (number(0)?, usize::try_from(number(8)?).ok()?);
    let (record, rest) = bytes.split_at_checked(HEAD_BYTES.checked_add(body_bytes)?)?;
    if generation == 0 || record[16..HEAD_BYTES] != sum_of(record) {
        return None;
    }
    Some((generation, changes_in(&record[HEAD_BYTES..])?, rest))
}

fn changes_in(mut body: &[u8]) -> Option<Changes> {
    let mut changes = Changes::new();
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<8>()?;
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.first_chunk()?));
        let (key_bytes, row_bytes) = (number(head)?, number(&head[4..])?);
        let (key, rest) = rest.split_at_checked(key_bytes as usize)?;
        let (row, rest) = match row_bytes {
            DELETED => (None, rest),
            row_bytes => {
                let (row, rest) = rest.split_at_checked(row_bytes as usize)?;
                (Some(Bytes::copy_from_slice(row)), rest)
            }
        };
        changes.insert(key.to_vec(), row);
        body = rest;
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Memory;
    use super::*;

    fn changes(rows: &[(u8, Option<usize>)]) -> Changes {
        let row = |size: &usize| Bytes::from(vec![b'x'; *size]);
        rows.iter().map(|(key, size)| (vec![*key], size.as_ref().map(row))).collect()
    }

    fn rows(kv: &dyn Kv) -> Vec<(Vec<u8>, usize)> {
        let mut rows = Vec::new();
        let scanned = kv.scan(&[0], &[u8::MAX], &mut |key, row| {
            rows.push((key.to_vec(), row.len()));
            Ok(std::ops::ControlFlow::Continue(()))
        });
        assert!(scanned.is_ok());
        rows
    }

    /// Opens the journal as after a crash: what the last one would do at its end does not happen.
    fn crash(journaled: Journaled, memory: &Arc<Memory>, dir: &Path, power: bool) -> Journaled {
        std::mem::forget(journaled);
        if power {
            memory.power_cut();
        }
        let memory: Arc<dyn Kv> = memory.clone();
        Journaled::open(memory, dir).expect("it opens")
    }

    fn write(journaled: &Journaled, changes: &Changes) {
        journaled.write_ahead(changes).and_then(|()| journaled.apply(changes)).expect("it is written");
        journaled.sync().expect("it is durable");
    }

    #[test]
    fn a_record_that_is_cut_off_counts_for_nothing_and_those_before_it_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Arc::new(Memory::default());
        let journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
        write(&journaled, &changes(&[(1, Some(10))]));
        assert!(rows(&*memory).is_empty(), "the engine takes it later");
        let first_end = journaled.journal.lock().end;
        journaled.write_ahead(&changes(&[(1, None), (2, Some(20))])).expect("it is written");
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).expect("a journal");
        let end = usize::try_from(journaled.journal.lock().end).expect("small");
        for cut in usize::try_from(first_end).expect("small")..end {
            let mut bytes = whole.clone();
            bytes[cut] ^= 1;
            assert_eq!(records_in(&bytes), [changes(&[(1, Some(10))])], "{cut}");
        }
        let journaled = crash(journaled, &memory, dir.path(), true);
        assert_eq!(rows(&journaled), [(vec![2], 20)], "what was written ahead is applied");
    }

    #[test]
    fn at_rest_the_engine_has_everything() {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Arc::new(Memory::default());
        write(&Journaled::open(memory.clone(), dir.path()).expect("it opens"), &changes(&[(1, Some(10))]));
        memory.power_cut();
        assert_eq!(rows(&*memory), [(vec![1], 10)]);
        assert!(records_in(&std::fs::read(dir.path().join(FILE)).expect("a journal")).is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Small changes, or ones that the journal cannot take.
        Write(Vec<(u8, Option<usize>)>),
        /// Changes without a record, made durable.
        Bare(u8, usize),
        Crash {
            power: bool,
        },
        Close,
    }

    fn step() -> impl Strategy<Value = Step> {
        let size = prop_oneof![9 => 0..3_000_usize, 2 => 100_000..300_000_usize, 1 => Just(JOURNAL_BYTES)];
        let row = (0..12_u8, proptest::option::weighted(0.8, size));
        prop_oneof![
            8 => proptest::collection::vec(row, 1..4).prop_map(Step::Write),
            1 => (0..12_u8, 0..100_usize).prop_map(|(key, size)| Step::Bare(key, size)),
            2 => any::<bool>().prop_map(|power| Step::Crash { power }),
            1 => Just(Step::Close),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever was acknowledged is there after every crash, and nothing else.
        #[test]
        fn what_was_made_durable_survives(steps in proptest::collection::vec(step(), 1..60)) {
            let dir = tempfile::tempdir().expect("a directory");
            let memory = Arc::new(Memory::default());
            let mut journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
            let plain = Memory::default();
            for step in steps {
                match step {
                    Step::Write(rows) => {
                        let changes = changes(&rows);
                        write(&journaled, &changes);
                        plain.apply(&changes).expect("memory");
                    }
                    Step::Bare(key, size) => {
                        let changes = changes(&[(key, Some(size))]);
                        journaled.apply(&changes).and_then(|()| journaled.sync()).expect("it is written");
                        plain.apply(&changes).expect("memory");
                    }
                    Step::Crash { power } => journaled = crash(journaled, &memory, dir.path(), power),
                    Step::Close => {
                        drop(journaled);
                        memory.power_cut();
                        journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
                    }
                }
                prop_assert_eq!(rows(&journaled), rows(&plain));
            }
        }
    }
}
