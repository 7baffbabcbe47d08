//! The journal under crashes, power cuts and damage.

use proptest::prelude::*;

use super::super::{Fault, Faulty, Memory};
use super::file::{FILE, PAGE_BYTES};
use super::record::{BLOCK_BYTES, HEAD_BYTES, records_in, seal};
use super::*;
use crate::store::StoreError;

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

/// A journal with three records that the engine has not taken, and where each ends in the file.
fn three_records(dir: &Path, memory: &Arc<Memory>) -> (Journaled, Vec<usize>) {
    let journaled = Journaled::open(memory.clone(), dir).expect("it opens");
    let mut ends = Vec::new();
    for (key, size) in [(1, 10), (2, 700), (3, 200)] {
        write(&journaled, &changes(&[(1, Some(key.into())), (key, Some(size))]));
        ends.push(PAGE_BYTES + usize::try_from(journaled.journal.lock().end).expect("small"));
    }
    assert!(rows(&**memory).is_empty(), "the engine takes it later");
    (journaled, ends)
}

/// Opens a journal of these bytes in front of an engine with the same rows as `memory`.
fn opened(bytes: &[u8], memory: &Memory) -> Result<Vec<(Vec<u8>, usize)>, StoreError> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(FILE), bytes).expect("written");
    let copy = copy_of(memory);
    let journaled = Journaled::open(copy.clone(), dir.path());
    if journaled.is_err() {
        assert_eq!(std::fs::read(dir.path().join(FILE)).expect("a journal"), bytes, "what is damaged stays as it is");
        assert_eq!(rows(&*copy), rows(memory), "the engine takes nothing of it");
    }
    journaled.map(|journaled| rows(&journaled))
}

fn records(file: &[u8]) -> Result<Vec<Changes>, usize> {
    records_in(&file[PAGE_BYTES..], u64::from_le_bytes(*file[8..].first_chunk().expect("a header")))
}

#[test]
fn a_last_record_that_is_cut_off_counts_for_nothing_and_those_before_it_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    let (journaled, ends) = three_records(dir.path(), &memory);
    let two = vec![(vec![1], 2), (vec![2], 700)];
    let whole = std::fs::read(dir.path().join(FILE)).expect("a journal");
    let used = ends[1] + HEAD_BYTES + 2 * 9 + 3 + 200;
    for cut in ends[1]..used {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        let mut flipped = whole.clone();
        flipped[cut] ^= 1 << (cut % 8);
        for (what, bytes) in [("cut", torn), ("flipped", flipped)] {
            assert_eq!(records(&bytes).map(|records| records.len()), Ok(2), "{what} at {cut}");
            // Opening makes files durable: some are enough.
            if cut % 16 == 0 {
                assert_eq!(opened(&bytes, &memory).as_ref(), Ok(&two), "{what} at {cut}");
            }
        }
    }
    let three = vec![(vec![1], 3), (vec![2], 700), (vec![3], 200)];
    assert_eq!(opened(&whole, &memory).as_ref(), Ok(&three));
    let journaled = crash(journaled, &memory, dir.path(), true);
    assert_eq!(rows(&journaled), three);
}

/// As records are whose last change does not fill them up.
fn unfilled(changes: &Changes, generation: u64) -> Vec<u8> {
    let mut record = vec![0; HEAD_BYTES];
    for (key, row) in changes {
        let row_bytes = row.as_ref().map_or(u32::MAX, |row| u32::try_from(row.len()).expect("small"));
        record.extend_from_slice(&u32::try_from(key.len()).expect("small").to_le_bytes());
        record.extend_from_slice(&row_bytes.to_le_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(row.as_deref().unwrap_or_default());
    }
    let body_bytes = (record.len() - HEAD_BYTES) as u64;
    record[8..16].copy_from_slice(&body_bytes.to_le_bytes());
    record.resize(record.len().next_multiple_of(64), 0);
    seal(&mut record, generation);
    record
}

#[test]
fn records_fill_blocks_and_those_that_do_not_are_read_as_well() {
    for size in (0..30).chain(4_000..4_200).chain(8_100..8_200) {
        let written = changes(&[(1, Some(size)), (2, None)]);
        let mut record = Record::of(&written);
        let bytes = record.bytes();
        assert_eq!((bytes.len() % BLOCK_BYTES, bytes.len()), (0, record_bytes(&written)), "{size}");
        assert_eq!(bytes.as_ptr().align_offset(BLOCK_BYTES), 0);
        seal(bytes, 7);
        assert_eq!(records_in(bytes, 7), Ok(vec![written]), "{size}");
    }
    let (first, second) = (changes(&[(1, Some(10)), (0, None)]), changes(&[(2, Some(5_000))]));
    assert_eq!(records_in(&[unfilled(&first, 7), unfilled(&second, 7)].concat(), 7), Ok(vec![first, second]));
}

#[test]
fn a_record_written_ahead_is_applied_at_the_next_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    let journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
    write(&journaled, &changes(&[(1, Some(10))]));
    journaled.write_ahead(&changes(&[(1, None), (2, Some(20))])).expect("it is written");
    assert_eq!(rows(&crash(journaled, &memory, dir.path(), true)), [(vec![2], 20)]);
}

/// Whoever goes on without a record in the middle forgets what was acknowledged, and takes back what the engine has of it.
#[test]
fn damage_before_other_records_or_in_the_header_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    let (journaled, ends) = three_records(dir.path(), &memory);
    let whole = std::fs::read(dir.path().join(FILE)).expect("a journal");
    let refused = |bytes: &[u8], what: &str| match opened(bytes, &memory) {
        Err(StoreError::Corrupt(text)) => assert!(text.contains(FILE) && text.contains("restore"), "{what}: {text}"),
        other => panic!("{what}: {other:?}"),
    };
    for at in (0..32).chain((PAGE_BYTES..ends[1]).step_by(61)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes, &format!("flipped at {at}"));
    }
    let mut lost = whole.clone();
    lost[..PAGE_BYTES].fill(0);
    refused(&lost, "the first page is gone");
    for length in [ends[0], ends[2], FILE_BYTES - 1] {
        refused(&whole[..length], &format!("cut to {length}"));
    }
    drop(journaled);
}

#[test]
fn a_journal_whose_making_was_cut_off_is_made_again() {
    for length in [0, 1, PAGE_BYTES, FILE_BYTES - 1, FILE_BYTES] {
        assert_eq!(opened(&vec![0; length], &Memory::default()), Ok(Vec::new()), "{length}");
    }
}

/// The process may end when the engine has taken the records and the journal does not say so yet.
#[test]
fn records_that_the_engine_has_taken_change_nothing_when_they_come_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    let (journaled, _) = three_records(dir.path(), &memory);
    let path = dir.path().join(FILE);
    let left = std::fs::read(&path).expect("a journal");
    journaled.checkpoint(&mut journaled.journal.lock()).expect("the engine takes it");
    let three = vec![(vec![1], 3), (vec![2], 700), (vec![3], 200)];
    let mut journaled = journaled;
    for _ in 0..3 {
        std::mem::forget(journaled);
        std::fs::write(&path, &left).expect("written");
        memory.power_cut();
        journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
        assert_eq!(rows(&journaled), three);
    }
    write(&journaled, &changes(&[(1, None)]));
    assert_eq!(rows(&crash(journaled, &memory, dir.path(), true)), three[1..]);
}

/// Devices that fail: the first takes no byte, the second takes all and cannot say that they are durable.
#[test]
fn a_journal_that_cannot_be_written_fails_the_write_and_keeps_what_was_acknowledged() {
    for (device, full) in [("/dev/full", true), ("/dev/null", false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Arc::new(Memory::default());
        let (journaled, _) = three_records(dir.path(), &memory);
        let failing = std::fs::OpenOptions::new().write(true).open(device).expect("a device");
        let file = std::mem::replace(&mut journaled.journal.lock().file, failing);
        let failed = journaled.write_ahead(&changes(&[(4, Some(1))]));
        assert!(matches!(&failed, Err(StoreError::Full(_))) == full, "{device}: {failed:?}");
        assert!(matches!(&failed, Err(StoreError::Io(_))) != full, "{device}: {failed:?}");
        let three = vec![(vec![1], 3), (vec![2], 700), (vec![3], 200)];
        assert_eq!(rows(&journaled), three, "reads go on");
        // Nor can a checkpoint say that the journal begins anew; the engine has taken everything then.
        assert!(journaled.checkpoint(&mut journaled.journal.lock()).is_err());
        assert_eq!(rows(&journaled), three);
        drop(file);
        assert_eq!(rows(&crash(journaled, &memory, dir.path(), true)), three);
    }
}

#[test]
fn an_engine_that_fails_at_a_checkpoint_loses_nothing() {
    for fault in [Fault::Apply, Fault::Sync] {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Arc::new(Memory::default());
        let faulty = Arc::new(Faulty::new(memory.clone()));
        let journaled = Journaled::open(faulty.clone(), dir.path()).expect("it opens");
        write(&journaled, &changes(&[(1, Some(10)), (2, Some(20))]));
        faulty.fail(fault, StoreError::Io("the disk is gone".to_owned()));
        assert!(journaled.checkpoint(&mut journaled.journal.lock()).is_err());
        assert_eq!(rows(&journaled), [(vec![1], 10), (vec![2], 20)], "reads go on");
        assert_eq!(rows(&crash(journaled, &memory, dir.path(), true)), [(vec![1], 10), (vec![2], 20)]);
    }
}

/// Asked again, an engine whose files could not be made durable may say that they are: the kernel forgets what it could not
/// write. Then the journal alone has what was acknowledged.
#[test]
fn after_a_failure_the_end_leaves_the_journal_as_it_is() {
    for fault in [Fault::Apply, Fault::Sync] {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Arc::new(Memory::default());
        let faulty = Arc::new(Faulty::new(memory.clone()));
        let journaled = Journaled::open(faulty.clone(), dir.path()).expect("it opens");
        write(&journaled, &changes(&[(1, Some(10)), (2, Some(20))]));
        faulty.fail(fault, StoreError::Io("the disk is gone".to_owned()));
        assert!(journaled.checkpoint(&mut journaled.journal.lock()).is_err());
        faulty.heal();
        let before = std::fs::read(dir.path().join(FILE)).expect("a journal");
        drop(journaled);
        assert_eq!(std::fs::read(dir.path().join(FILE)).expect("a journal"), before, "{fault:?}");
        // What the engine was told to make durable after its failure is not.
        let reopened = Journaled::open(Arc::new(Memory::default()), dir.path()).expect("it opens");
        assert_eq!(rows(&reopened), [(vec![1], 10), (vec![2], 20)], "{fault:?}");
    }
}

/// The same where changes went to the engine without a record, and there was one before it failed.
#[test]
fn a_failure_of_unjournaled_changes_is_remembered_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let faulty = Arc::new(Faulty::new(Arc::new(Memory::default())));
    let journaled = Journaled::open(faulty.clone(), dir.path()).expect("it opens");
    write(&journaled, &changes(&[(1, Some(10))]));
    faulty.fail(Fault::Apply, StoreError::Io("the disk is gone".to_owned()));
    assert!(journaled.write_ahead(&changes(&[(2, Some(RECORD_BYTES))])).is_err());
    faulty.heal();
    drop(journaled);
    assert_eq!(rows(&Journaled::open(Arc::new(Memory::default()), dir.path()).expect("it opens")), [(vec![1], 10)]);
}

#[test]
fn at_rest_the_engine_has_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    write(&Journaled::open(memory.clone(), dir.path()).expect("it opens"), &changes(&[(1, Some(10))]));
    memory.power_cut();
    assert_eq!(rows(&*memory), [(vec![1], 10)]);
    let left = std::fs::read(dir.path().join(FILE)).expect("a journal");
    assert_eq!(opened(&left, &Memory::default()), Ok(Vec::new()), "and the journal nothing");
}

/// A map in memory with the same rows, all durable.
fn copy_of(memory: &Memory) -> Arc<Memory> {
    let copy = Memory::default();
    let mut all = Changes::new();
    let scanned = memory.scan(&[0], &[u8::MAX], &mut |key, row| {
        all.insert(key.to_vec(), Some(Bytes::copy_from_slice(row)));
        Ok(std::ops::ControlFlow::Continue(()))
    });
    scanned.and_then(|()| copy.apply(&all)).and_then(|()| copy.sync()).expect("memory");
    Arc::new(copy)
}

/// What a power cut may leave of a write that makes `after` of `before`: sectors of it, in whatever order.
fn torn(before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    let sectors = |n: usize| n * 512..((n + 1) * 512).min(after.len());
    let written: Vec<usize> =
        (0..after.len().div_ceil(512)).filter(|n| before[sectors(*n)] != after[sectors(*n)]).collect();
    let with = |which: &dyn Fn(usize) -> bool| {
        let mut bytes = before.to_vec();
        written.iter().filter(|n| which(**n)).for_each(|n| bytes[sectors(*n)].copy_from_slice(&after[sectors(*n)]));
        bytes
    };
    let cuts = |cut: usize| [with(&|n| n < cut), with(&|n| n > cut), with(&|n| n != cut), with(&|n| n == cut)];
    written.iter().flat_map(|cut| cuts(*cut)).collect()
}

#[test]
fn a_record_torn_over_older_ones_brings_none_of_them_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(Memory::default());
    let journaled = Journaled::open(memory.clone(), dir.path()).expect("it opens");
    // The older generation begins with a record so small that a sector of the newer one could leave it whole.
    write(&journaled, &changes(&[(1, Some(10))]));
    write(&journaled, &changes(&[(1, Some(20)), (2, Some(3_000))]));
    journaled.checkpoint(&mut journaled.journal.lock()).expect("the engine takes it");
    let path = dir.path().join(FILE);
    let before = std::fs::read(&path).expect("a journal");
    let last = Changes::from([(vec![3], Some(Bytes::from(vec![b'y'; 5_000])))]);
    journaled.write_ahead(&last).expect("it is written");
    let after = std::fs::read(&path).expect("a journal");
    let told = vec![(vec![1], 20), (vec![2], 3_000)];
    let with_last = [told.clone(), vec![(vec![3], 5_000)]].concat();
    let states = torn(&before, &after);
    assert!(states.len() > 3);
    for (number, state) in states.into_iter().enumerate() {
        let found = opened(&state, &memory).expect("it opens");
        assert!(found == told || found == with_last, "{number}: {found:?}");
    }
}

/// Each may hold the only copy of what was acknowledged.
#[test]
fn no_damaged_journal_takes_the_place_of_one_before() {
    let (dir, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for (damage, name) in [("one", "journal.damaged"), ("two", "journal.damaged-2"), ("three", "journal.damaged-3")] {
        std::fs::write(dir.path().join(FILE), damage).expect("written");
        assert_eq!(Journaled::put_aside(dir.path(), to.path()), Ok(Some(to.path().join(name))));
        assert!(!dir.path().join(FILE).exists());
    }
    for (damage, name) in [("one", "journal.damaged"), ("two", "journal.damaged-2"), ("three", "journal.damaged-3")] {
        assert_eq!(std::fs::read_to_string(to.path().join(name)).expect("kept"), damage);
    }
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
    let size = prop_oneof![9 => 0..3_000_usize, 2 => 100_000..300_000_usize, 1 => Just(RECORD_BYTES)];
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
