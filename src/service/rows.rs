//! Rows that services keep on a [`Shelf`](crate::model::Shelf): a version byte, then postcard. Each kind of row has
//! its own version; a row of another one is refused until there is code that reads it.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Writes a row in `version`.
pub fn encode<T: Serialize + ?Sized>(version: u8, value: &T) -> Bytes {
    postcard::to_extend(value, vec![version]).expect("plain data is always encodable into memory").into()
}

/// Reads a row that must be of `version`; `what` names it in the error.
///
/// # Errors
/// [`StoreError::Format`] for another version, [`StoreError::Corrupt`] for what cannot be read.
pub fn decode<T: DeserializeOwned>(version: u8, row: &[u8], what: &str) -> Result<T, StoreError> {
    match row.split_first() {
        Some((found, rest)) if *found == version => postcard::from_bytes(rest)
            .map_err(|error| StoreError::Corrupt(format!("a row of {what} cannot be read ({error})"))),
        Some((found, _)) => Err(StoreError::Format(format!(
            "a row of {what} has the version {found}, and this program knows {version} alone; start the newer program"
        ))),
        None => Err(StoreError::Corrupt(format!("a row of {what} is empty"))),
    }
}

/// As [`decode`]; a row of the version before is read as the `Old` that it was then.
///
/// # Errors
/// As [`decode`].
pub fn decode_since<Old: DeserializeOwned, T: DeserializeOwned + From<Old>>(
    version: u8,
    row: &[u8],
    what: &str,
) -> Result<T, StoreError> {
    match row.first() {
        Some(found) if is_before(*found, 1, version) => decode::<Old>(*found, row, what).map(T::from),
        _ => decode(version, row, what),
    }
}

/// As [`decode_since`]; a row of two versions before is read as the `Older` that it was then.
///
/// # Errors
/// As [`decode`].
pub fn decode_since_older<Older: DeserializeOwned, Old: DeserializeOwned, T>(
    version: u8,
    row: &[u8],
    what: &str,
) -> Result<T, StoreError>
where
    T: DeserializeOwned + From<Old> + From<Older>,
{
    match row.first() {
        Some(found) if is_before(*found, 2, version) => decode::<Older>(*found, row, what).map(T::from),
        _ => decode_since::<Old, T>(version, row, what),
    }
}

fn is_before(found: u8, versions: u8, version: u8) -> bool {
    found.checked_add(versions) == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_other_versions_are_refused() {
        let row = encode(3, &(7_u64, "x".to_owned()));
        assert_eq!(decode::<(u64, String)>(3, &row, "tests").ok(), Some((7, "x".to_owned())));
        assert!(matches!(decode::<(u64, String)>(2, &row, "tests"), Err(StoreError::Format(_))));
        assert!(matches!(decode::<(u64, String)>(3, &row[..2], "tests"), Err(StoreError::Corrupt(_))));
        assert!(matches!(decode::<(u64, String)>(3, &[], "tests"), Err(StoreError::Corrupt(_))));
        assert_eq!(decode_since::<u32, u64>(4, &encode(3, &7_u32), "tests").ok(), Some(7));
        assert_eq!(decode_since::<u32, u64>(4, &encode(4, &7_u64), "tests").ok(), Some(7));
        assert!(matches!(decode_since::<u32, u64>(4, &encode(2, &7_u32), "tests"), Err(StoreError::Format(_))));
    }
}
