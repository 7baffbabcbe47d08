//! How rows are found: every key begins with one byte for its table, so that all tables share one tree and a
//! batch over several of them is one atomic write. Numbers are big-endian, so that keys sort as the numbers do;
//! a name or UID is always the last part, so that nothing has to be escaped.
//!
//! | table | key behind the byte | value |
//! |---|---|---|
//! | `M` meta | name | counters |
//! | `P` principals | principal | [`crate::model::Principal`] |
//! | `N` names of principals | user name | principal |
//! | `S` credentials | principal | [`crate::model::Credentials`] |
//! | `U` usage | principal | bytes |
//! | `C` collections | collection | collection, its log entry in the parent |
//! | `H` children | collection, name | collection |
//! | `O` objects | collection, name | object without name and bytes |
//! | `B` bytes | collection, name | the client's bytes |
//! | `I` UIDs | collection, UID | name |
//! | `L` log of what is there | collection, revision | kind, name |
//! | `T` log of what is gone | collection, revision | name |
//! | `D` the gone by name | collection, name | revision |
//! | `E` outbox | number | [`crate::model::Event`] |
//! | `K` locks | token | [`crate::model::Lock`] |
//! | `R` rows of services | shelf ([`crate::model::Shelf`]), the service's key | the service's bytes |
//! | `G` deleted collections whose rows are still to be removed | collection | nothing |

use crate::base::{CollectionId, LockToken, PrincipalId, Revision};
use crate::model::{Shelf, UserName};

/// A row's key.
pub(super) type Key = Vec<u8>;

/// What a key's first byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Table {
    Meta = b'M',
    Principals = b'P',
    PrincipalNames = b'N',
    Credentials = b'S',
    Usage = b'U',
    Collections = b'C',
    Children = b'H',
    Objects = b'O',
    Bytes = b'B',
    Uids = b'I',
    Log = b'L',
    Tombstones = b'T',
    Deleted = b'D',
    Events = b'E',
    Locks = b'K',
    Rows = b'R',
    Garbage = b'G',
}

/// The tables with rows of a collection's members: what is left to remove when the collection is gone.
pub(super) const MEMBER_TABLES: [Table; 6] =
    [Table::Objects, Table::Bytes, Table::Uids, Table::Log, Table::Tombstones, Table::Deleted];

/// The opening counter.
pub(super) const EPOCH: &str = "epoch";
/// The largest collection id ever committed.
pub(super) const COLLECTIONS: &str = "collections";
/// The largest principal id ever committed.
pub(super) const PRINCIPALS: &str = "principals";
/// The number of the newest event ever committed.
pub(super) const EVENTS: &str = "events";
/// The bytes of all rows of services, keys included.
pub(super) const SERVICE_BYTES: &str = "service-bytes";
/// The format of all rows.
pub(super) const FORMAT: &str = "format";

fn key(table: Table, number: u64, rest: &[u8]) -> Key {
    let mut key = Vec::with_capacity(9 + rest.len());
    key.push(table as u8);
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

fn text_key(table: Table, text: &str) -> Key {
    let mut key = Vec::with_capacity(1 + text.len());
    key.push(table as u8);
    key.extend_from_slice(text.as_bytes());
    key
}

pub(super) fn meta(name: &str) -> Key {
    text_key(Table::Meta, name)
}

pub(super) fn principal(id: PrincipalId) -> Key {
    key(Table::Principals, id.0, &[])
}

pub(super) fn principal_name(name: &UserName) -> Key {
    text_key(Table::PrincipalNames, name.as_str())
}

pub(super) fn credentials(id: PrincipalId) -> Key {
    key(Table::Credentials, id.0, &[])
}

pub(super) fn usage(id: PrincipalId) -> Key {
    key(Table::Usage, id.0, &[])
}

pub(super) fn collection(id: CollectionId) -> Key {
    key(Table::Collections, id.0, &[])
}

/// A row of one member: of the tables `H`, `O`, `B`, `I` and `D`.
pub(super) fn member(table: Table, id: CollectionId, name: &str) -> Key {
    key(table, id.0, name.as_bytes())
}

/// A row of a collection's log: `L` or `T`.
pub(super) fn log(table: Table, id: CollectionId, revision: Revision) -> Key {
    key(table, id.0, &revision.0.to_be_bytes())
}

pub(super) fn event(seq: u64) -> Key {
    key(Table::Events, seq, &[])
}

pub(super) fn lock(token: &LockToken) -> Key {
    text_key(Table::Locks, &token.0)
}

pub(super) fn garbage(id: CollectionId) -> Key {
    key(Table::Garbage, id.0, &[])
}

/// A row of a service.
pub(super) fn row(shelf: Shelf, rest: &[u8]) -> Key {
    let mut key = Vec::with_capacity(2 + rest.len());
    key.extend_from_slice(&[Table::Rows as u8, shelf as u8]);
    key.extend_from_slice(rest);
    key
}

/// The service's part of the key of a row of its.
pub(super) fn service_key(key: &[u8]) -> &[u8] {
    key.get(2..).unwrap_or_default()
}

/// The byte of the shelf in a service's key.
pub(super) fn shelf_byte(key: &[u8]) -> u8 {
    key.get(1).copied().unwrap_or(0)
}

/// The first key behind all rows of a shelf.
pub(super) fn shelf_end(shelf: Shelf) -> Key {
    vec![Table::Rows as u8, shelf as u8 + 1]
}

/// From the first key of a table to the first behind it.
pub(super) fn table(table: Table) -> (Key, Key) {
    (vec![table as u8], vec![table as u8 + 1])
}

/// From the first key of a table that begins with `number` to the first behind those.
pub(super) fn within(table: Table, number: u64) -> (Key, Key) {
    let end = number.checked_add(1).map_or_else(|| vec![table as u8 + 1], |next| key(table, next, &[]));
    (key(table, number, &[]), end)
}

/// The first key behind `key`.
pub(super) fn behind(mut key: Key) -> Key {
    key.push(0);
    key
}

/// The number behind the table's byte.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(1..9)?.first_chunk()?))
}

/// The revision in a log's key.
pub(super) fn revision_of(key: &[u8]) -> Option<Revision> {
    Some(Revision(u64::from_be_bytes(*key.get(9..17)?.first_chunk()?)))
}

/// The name or UID at the end of a member's key.
pub(super) fn name_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(9..)?).ok()
}
