//! What rows hold: a version byte, then postcard. The version is that of the table's rows; a row of another
//! version is refused until there is code that reads it.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::base::{ETag, Revision, Utc};
use crate::model::{ChangeKind, Collection, Index, Object, StoredProperty};

/// The version of all rows today.
const VERSION: u8 = 1;

/// A collection, and where the parent's log speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CollectionRow {
    /// The collection.
    pub collection: Collection,
    /// The revision of its entry in the parent's log; zero if it has no parent.
    pub entry: Revision,
}

/// What an object's row holds, in this order. The name is in the key.
type ObjectFields = (ETag, u64, Option<String>, Option<String>, Utc, Utc, Revision, Vec<StoredProperty>, Option<Index>);

/// Writes a row.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Bytes {
    postcard::to_extend(value, vec![VERSION]).expect("plain data is always encodable into memory").into()
}

/// Reads a row; `what` names it in the error.
pub(super) fn decode<T: DeserializeOwned>(row: &[u8], what: &str) -> Result<T, StoreError> {
    match row.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest)
            .map_err(|error| StoreError::Corrupt(format!("a row of {what} cannot be read ({error})"))),
        Some((version, _)) => Err(StoreError::Format(format!(
            "a row of {what} has the version {version}, and this program knows {VERSION} alone; start the newer program"
        ))),
        None => Err(StoreError::Corrupt(format!("a row of {what} is empty"))),
    }
}

pub(super) fn encode_object(object: &Object) -> Bytes {
    encode(&(
        object.etag,
        object.size,
        &object.content_type,
        &object.content_language,
        object.created,
        object.modified,
        object.revision,
        &object.properties,
        &object.index,
    ))
}

pub(super) fn decode_object(name: &str, row: &[u8]) -> Result<Object, StoreError> {
    let fields: ObjectFields = decode(row, "objects")?;
    let (etag, size, content_type, content_language, created, modified, revision, properties, index) = fields;
    Ok(Object {
        name: name.to_owned(),
        etag,
        size,
        content_type,
        content_language,
        created,
        modified,
        revision,
        properties,
        index,
    })
}

/// Writes an entry of the log of what is there. Deletions have a log of their own.
pub(super) fn encode_entry(kind: ChangeKind, name: &str) -> Bytes {
    encode(&(kind, name))
}

pub(super) fn decode_entry(row: &[u8]) -> Result<(ChangeKind, String), StoreError> {
    decode(row, "a change log")
}

/// The error for a key that is none.
pub(super) fn bad_key(what: &str) -> StoreError {
    StoreError::Corrupt(format!("a key of {what} cannot be read"))
}
