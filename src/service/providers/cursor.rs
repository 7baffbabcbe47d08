//! Where each of an account's calendars stands: the number of its last pull, and from where the next one continues.

use serde::{Deserialize, Serialize};

use super::kept::prefix;
use super::{AccountKey, ProviderError};
use crate::model::Shelf;
use crate::service::rows::{decode, encode};
use crate::service::{Context, StoreError};
use crate::store::{Assert, Batch, Write};

/// The version of these rows.
const VERSION: u8 = 1;
/// Calendars of an account that are read at a time.
const PAGE: usize = 1_000;
/// Tries when somebody else wrote the row in between.
const TRIES: usize = 20;

/// Where a calendar of an account stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the pull that was started last; the next one has a larger one.
    pub generation: u64,
    /// The number of the pull that left `position`. An earlier one that ends later changes nothing.
    pub position_generation: u64,
    /// From where the next pull continues; `None` lists all.
    pub position: Option<String>,
}

fn row_key(key: &AccountKey, calendar: &str) -> Vec<u8> {
    let mut bytes = prefix(key);
    bytes.extend_from_slice(calendar.as_bytes());
    bytes
}

/// Where the calendar stands.
///
/// # Errors
/// The store's.
pub async fn cursor(context: &Context, key: &AccountKey, calendar: &str) -> Result<Cursor, StoreError> {
    match context.store.row(Shelf::Cursors, &row_key(key, calendar)).await? {
        None => Ok(Cursor::default()),
        Some(row) => decode(VERSION, &row, "cursors"),
    }
}

/// All calendars of the account that were ever pulled, and where they stand.
///
/// # Errors
/// The store's.
pub async fn cursors(context: &Context, key: &AccountKey) -> Result<Vec<(String, Cursor)>, StoreError> {
    let prefix = prefix(key);
    let page = context.store.rows(Shelf::Cursors, Shelf::prefix(&prefix), PAGE).await?;
    let read = |(row_key, row): &(Vec<u8>, bytes::Bytes)| {
        let calendar = String::from_utf8_lossy(&row_key[prefix.len()..]).into_owned();
        Ok((calendar, decode(VERSION, row, "cursors")?))
    };
    page.rows.iter().map(read).collect()
}

/// Begins a pull: takes the next number, durably, so that a pull after a crash is a later one.
///
/// # Errors
/// The store's, or [`ProviderError::Changed`].
pub async fn begin_pull(context: &Context, key: &AccountKey, calendar: &str) -> Result<Cursor, ProviderError> {
    change(context, key, calendar, |cursor| cursor.generation += 1).await
}

/// Ends the pull `generation`: the next one continues at `position` (`None`: lists all). An earlier pull that ends later
/// changes nothing.
///
/// # Errors
/// The store's, or [`ProviderError::Changed`].
pub async fn finish_pull(
    context: &Context,
    key: &AccountKey,
    calendar: &str,
    generation: u64,
    position: Option<String>,
) -> Result<Cursor, ProviderError> {
    change(context, key, calendar, |cursor| {
        cursor.generation = cursor.generation.max(generation);
        if generation >= cursor.position_generation {
            cursor.position_generation = generation;
            cursor.position.clone_from(&position);
        }
    })
    .await
}

/// Forgets where all calendars of the account stand; the numbers stay, so that what is read again is newer. Pulls that are
/// under way leave no position either.
///
/// # Errors
/// The store's, or [`ProviderError::Changed`].
pub async fn forget_cursors(context: &Context, key: &AccountKey) -> Result<(), ProviderError> {
    for (calendar, _) in cursors(context, key).await? {
        forget_cursor(context, key, &calendar).await?;
    }
    Ok(())
}

/// The same for one calendar.
///
/// # Errors
/// The store's, or [`ProviderError::Changed`].
pub async fn forget_cursor(context: &Context, key: &AccountKey, calendar: &str) -> Result<(), ProviderError> {
    change(context, key, calendar, |cursor| {
        cursor.generation += 1;
        cursor.position_generation = cursor.generation;
        cursor.position = None;
    })
    .await?;
    Ok(())
}

async fn change(
    context: &Context,
    key: &AccountKey,
    calendar: &str,
    edit: impl Fn(&mut Cursor),
) -> Result<Cursor, ProviderError> {
    let row_key = row_key(key, calendar);
    for _ in 0..TRIES {
        let seen = context.store.row(Shelf::Cursors, &row_key).await?;
        let mut cursor: Cursor = match &seen {
            None => Cursor::default(),
            Some(row) => decode(VERSION, row, "cursors")?,
        };
        let before = cursor.clone();
        edit(&mut cursor);
        if cursor == before && seen.is_some() {
            return Ok(cursor);
        }
        let batch = Batch {
            at: context.clock.now(),
            asserts: vec![Assert::RowIs(Shelf::Cursors, row_key.clone(), seen)],
            writes: vec![Write::PutRow(Shelf::Cursors, row_key.clone(), encode(VERSION, &cursor))],
            ..Batch::default()
        };
        match context.store.commit(batch).await.map_err(ProviderError::from) {
            Err(ProviderError::Changed) => {}
            other => return other.map(|_| cursor),
        }
    }
    Err(ProviderError::Changed)
}
