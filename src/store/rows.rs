//! What rows hold: a version byte, then postcard. The version is that of the table's rows; a row of another
//! version is refused until there is code that reads it.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StoreError;
use crate::base::{CollectionId, ETag, Revision, Utc};
use crate::model::{ChangeKind, Collection, Index, Object, StoredProperty};

/// The version of all rows today.
const VERSION: u8 = 1;

/// A collection, and where the parent's log speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CollectionRow {
    /// The collection. Lent to readers as it is.
    #[serde(serialize_with = "write_shared", deserialize_with = "read_shared")]
    pub collection: Arc<Collection>,
    /// The revision of its entry in the parent's log; zero if it has no parent.
    pub entry: Revision,
}

impl CollectionRow {
    /// The collection, to be changed. Whoever was lent it keeps what there was.
    pub(super) fn change(&mut self) -> &mut Collection {
        Arc::make_mut(&mut self.collection)
    }
}

fn write_shared<S: Serializer>(collection: &Arc<Collection>, serializer: S) -> Result<S::Ok, S::Error> {
    collection.serialize(serializer)
}

fn read_shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Collection>, D::Error> {
    Collection::deserialize(deserializer).map(Arc::new)
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

/// The error for an object whose bytes are not there.
pub(super) fn lost_bytes(id: CollectionId) -> StoreError {
    StoreError::Corrupt(format!("an object of collection {id} has lost its bytes"))
}

/// The error for a key that is none.
pub(super) fn bad_key(what: &str) -> StoreError {
    StoreError::Corrupt(format!("a key of {what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PrincipalId;
    use crate::ical::ComponentKind;
    use crate::model::{CalendarSettings, CollectionKind, Event, EventKind, IndexRow};
    use crate::recur::Span;

    fn hex(row: &[u8]) -> String {
        row.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn sample_object() -> Object {
        let row = IndexRow {
            uid: "u1".to_owned(),
            kind: ComponentKind::Todo,
            span: Some(Span { start: Utc(60), end: None }),
            recurring: true,
            alarms: false,
        };
        Object {
            name: "a.ics".to_owned(),
            etag: ETag([7; 16]),
            size: 300,
            content_type: None,
            content_language: Some("de".to_owned()),
            created: Utc(1),
            modified: Utc(2),
            revision: Revision(3),
            properties: Vec::new(),
            index: Some(Index::Row(row)),
        }
    }

    /// Rows on disk look like this. If this fails, a type in `model` has changed, and with it the format: data written
    /// before can no longer be read. Raise the version and read both.
    #[test]
    fn the_format_stays_what_it_is() {
        let object = sample_object();
        let kind = CollectionKind::Calendar(CalendarSettings::default());
        let mut collection = Collection::new(CollectionId(5), Some(CollectionId(4)), "c", PrincipalId(1), kind, Utc(1));
        collection.epochs = vec![(9, Revision(8))];
        let event = Event {
            seq: 1,
            at: Utc(2),
            actor: None,
            owner: PrincipalId(1),
            collection: CollectionId(5),
            revision: Revision(8),
            kind: EventKind::CalendarDeleted { name: "c".to_owned() },
        };
        assert_eq!(
            hex(&encode_object(&object)),
            "0107070707070707070707070707070707ac020001026465020403000100027531010178000100"
        );
        assert_eq!(
            hex(&encode(&CollectionRow { collection: Arc::new(collection), entry: Revision(6) })),
            "01050104016301011f0000000000020200000109080000000000000006"
        );
        assert_eq!(hex(&encode(&event)), "01010400010508050163");
        assert_eq!(hex(&encode_entry(ChangeKind::Collection, "c")), "01010163");
        assert_eq!(decode_object("a.ics", &encode_object(&object)).ok(), Some(object));
    }

    #[test]
    fn rows_of_another_version_or_cut_off_are_errors() {
        let row = encode_object(&sample_object());
        for end in 0..row.len() {
            assert!(decode_object("a.ics", &row[..end]).is_err(), "{end} bytes");
        }
        let mut later = row.to_vec();
        later[0] = 2;
        assert!(matches!(decode_object("a.ics", &later), Err(StoreError::Format(_))));
    }
}
