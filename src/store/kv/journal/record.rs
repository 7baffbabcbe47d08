//! A record of the journal: changes with what tells a whole one from one that is torn or of an older generation.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::super::Changes;

/// What a record begins with: its generation, its length and its checksum.
pub(super) const HEAD_BYTES: usize = 8 + 8 + SUM_BYTES;
pub(super) const SUM_BYTES: usize = 16;
/// Records begin at multiples of this.
const ALIGNED_BYTES: usize = 64;
/// What records are filled up to, so that no write of one touches another, and each can go past the page cache.
pub(super) const BLOCK_BYTES: usize = 4096;
/// What a change in a record begins with: the lengths of its key and of its row.
const CHANGE_BYTES: usize = 4 + 4;
/// The length that stands for a deletion.
const DELETED: u32 = u32::MAX;
/// What the key of a record's last change begins with if that change only fills the record up: the deletion of a row that there
/// cannot be, since the keys of all rows are smaller.
const FILLER: u8 = u8::MAX;

/// A record on its way to the file: whole blocks, which begin at a bound of blocks in memory as well.
pub(super) struct Record {
    buffer: Vec<u8>,
    start: usize,
}

impl Record {
    /// A record of `changes`, not yet sealed.
    pub(super) fn of(changes: &Changes) -> Self {
        let length = record_bytes(changes);
        let mut record = Self::with_room_for(length);
        let buffer = &mut record.buffer;
        buffer.resize(record.start + HEAD_BYTES, 0);
        for (key, row) in changes {
            let row_bytes = row.as_ref().map_or(DELETED, |row| length_of(row));
            buffer.extend_from_slice(&length_of(key).to_le_bytes());
            buffer.extend_from_slice(&row_bytes.to_le_bytes());
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(row.as_deref().unwrap_or_default());
        }
        if let Some(filler) = (record.start + length - buffer.len()).checked_sub(CHANGE_BYTES) {
            buffer.extend_from_slice(&u32::try_from(filler).unwrap_or(0).to_le_bytes());
            buffer.extend_from_slice(&DELETED.to_le_bytes());
            buffer.resize(record.start + length, FILLER);
        }
        let body_bytes = (length - HEAD_BYTES) as u64;
        record.bytes()[8..16].copy_from_slice(&body_bytes.to_le_bytes());
        record
    }

    /// A block that is no record.
    pub(super) fn blank() -> Self {
        let mut blank = Self::with_room_for(BLOCK_BYTES);
        blank.buffer.resize(blank.start + BLOCK_BYTES, 0);
        blank
    }

    fn with_room_for(length: usize) -> Self {
        let mut buffer: Vec<u8> = Vec::with_capacity(length + BLOCK_BYTES);
        let start = buffer.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        buffer.resize(start, 0);
        Self { buffer, start }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }
}

/// How long the record of `changes` is: as many blocks as hold it, and what fills them up, which is nothing or a whole change.
pub(super) fn record_bytes(changes: &Changes) -> usize {
    let of_row = |(key, row): (&Vec<u8>, &Option<Bytes>)| CHANGE_BYTES + key.len() + row.as_ref().map_or(0, Bytes::len);
    let length = HEAD_BYTES + changes.iter().map(of_row).sum::<usize>();
    let blocks = length.next_multiple_of(BLOCK_BYTES);
    if blocks == length { length } else { (length + CHANGE_BYTES).next_multiple_of(BLOCK_BYTES) }
}

/// One that is larger than this makes the record larger than the journal.
fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(DELETED - 1)
}

/// Fills in of what generation a record is, and its checksum.
pub(super) fn seal(record: &mut [u8], generation: u64) {
    record[..8].copy_from_slice(&generation.to_le_bytes());
    let sum = sum_of([&record[..16], &record[HEAD_BYTES..]]);
    record[16..HEAD_BYTES].copy_from_slice(&sum);
}

/// The checksum of `parts`, one behind the other.
pub(super) fn sum_of(parts: [&[u8]; 2]) -> [u8; SUM_BYTES] {
    let digest = Sha256::new().chain_update(parts[0]).chain_update(parts[1]).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// The records of `generation`, as far as they are whole. A last one that is not whole was never made durable, and nobody was
/// told of it. The error is where one is not whole although others are behind it: they would never have been written.
pub(super) fn records_in(bytes: &[u8], generation: u64) -> Result<Vec<Changes>, usize> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((changes, behind)) = first_record(rest, generation) {
        records.push(changes);
        rest = behind;
    }
    let at = bytes.len() - rest.len();
    let mut behind = (0..rest.len()).step_by(ALIGNED_BYTES);
    if behind.any(|from| first_record(&rest[from..], generation).is_some()) { Err(at) } else { Ok(records) }
}

fn first_record(bytes: &[u8], generation: u64) -> Option<(Changes, &[u8])> {
    let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..at + 8)?.first_chunk()?));
    if number(0)? != generation {
        return None;
    }
    let body_bytes = usize::try_from(number(8)?).ok()?;
    let record_bytes = HEAD_BYTES.checked_add(body_bytes)?;
    let (record, rest) = bytes.split_at_checked(record_bytes.checked_next_multiple_of(ALIGNED_BYTES)?)?;
    if record[16..HEAD_BYTES] != sum_of([&record[..16], &record[HEAD_BYTES..]]) {
        return None;
    }
    Some((changes_in(&record[HEAD_BYTES..record_bytes])?, rest))
}

fn changes_in(mut body: &[u8]) -> Option<Changes> {
    let mut changes = Changes::new();
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<CHANGE_BYTES>()?;
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
        let fills_up = row.is_none() && key.first().is_none_or(|first| *first == FILLER);
        if !fills_up {
            changes.insert(key.to_vec(), row);
        }
        body = rest;
    }
    Some(changes)
}
