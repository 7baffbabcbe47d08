//! Dead letters: true deliveries that cannot be read and will not come again in a better form. Kept for people to look
//! at, bounded; one that comes again is counted, not kept twice.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::kept::prefix;
use super::{AccountKey, ProviderError};
use crate::base::Utc;
use crate::model::Shelf;
use crate::service::rows::{decode, encode};
use crate::service::{Context, StoreError};
use crate::store::{Batch, Write};

/// The version of these rows.
const VERSION: u8 = 1;
/// How much of a body is kept, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A delivery that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Whose hook it came to.
    pub account: String,
    /// When it came first.
    pub first: Utc,
    /// When it came last.
    pub last: Utc,
    /// How often it came.
    pub times: u64,
    /// What is wrong with it, naming the field; no content.
    pub reason: String,
    /// The body, its beginning if it is long.
    pub body: Vec<u8>,
    /// How long the body was.
    pub body_bytes: u64,
}

/// Keeps a delivery to the account's hook that cannot be used.
///
/// # Errors
/// The store's.
pub async fn bury(context: &Context, key: &AccountKey, reason: &str, body: &[u8]) -> Result<(), ProviderError> {
    let hash = Sha256::digest(body);
    let row_key = [prefix(key).as_slice(), &hash[..16]].concat();
    let now = context.clock.now();
    let before = match context.store.row(Shelf::IngestLog, &row_key).await? {
        Some(row) => Some(decode::<DeadLetter>(VERSION, &row, "dead letters")?),
        None => None,
    };
    let (first, times) = before.as_ref().map_or((now, 1), |letter| (letter.first, letter.times + 1));
    let letter = DeadLetter {
        account: key.to_string(),
        first,
        last: now,
        times,
        reason: reason.to_owned(),
        body: body[..body.len().min(BODY_BYTES_MAX)].to_vec(),
        body_bytes: body.len() as u64,
    };
    let mut writes = vec![Write::PutRow(Shelf::IngestLog, row_key, encode(VERSION, &letter))];
    if before.is_none() {
        writes.extend(overflow(context, key).await?.map(|oldest| Write::DeleteRow(Shelf::IngestLog, oldest)));
    }
    metrics::counter!("kalends_ingest_dead_letters_total", "provider" => key.provider.name()).increment(1);
    context.store.commit(Batch { at: now, writes, ..Batch::default() }).await?;
    Ok(())
}

/// The account's oldest dead letter, if it has as many as it may.
async fn overflow(context: &Context, key: &AccountKey) -> Result<Option<Vec<u8>>, StoreError> {
    let max = usize::try_from(context.limits.ingest_dead_letters_max).unwrap_or(usize::MAX);
    let letters = read(context, &prefix(key), max).await?;
    if letters.len() < max {
        return Ok(None);
    }
    Ok(letters.into_iter().min_by_key(|(_, letter)| letter.last).map(|(row_key, _)| row_key))
}

async fn read(context: &Context, prefix: &[u8], max: usize) -> Result<Vec<(Vec<u8>, DeadLetter)>, StoreError> {
    let range = if prefix.is_empty() { Shelf::whole() } else { Shelf::prefix(prefix) };
    let page = context.store.rows(Shelf::IngestLog, range, max).await?;
    let decoded = |(key, row): (Vec<u8>, Bytes)| Ok((key, decode(VERSION, &row, "dead letters")?));
    page.rows.into_iter().map(decoded).collect()
}

/// Dead letters of one account or of all, the newest first, at most `max`.
///
/// # Errors
/// The store's.
pub async fn dead_letters(
    context: &Context,
    key: Option<&AccountKey>,
    max: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let prefix = key.map(prefix).unwrap_or_default();
    let mut letters: Vec<DeadLetter> =
        read(context, &prefix, max).await?.into_iter().map(|(_, letter)| letter).collect();
    letters.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.account.cmp(&b.account)));
    Ok(letters)
}

/// Forgets the dead letters of one account or of all, at most `max`; returns how many.
///
/// # Errors
/// The store's.
pub async fn forget_dead_letters(
    context: &Context,
    key: Option<&AccountKey>,
    max: usize,
) -> Result<usize, ProviderError> {
    let prefix = key.map(prefix).unwrap_or_default();
    let keys: Vec<Vec<u8>> = read(context, &prefix, max).await?.into_iter().map(|(row_key, _)| row_key).collect();
    let count = keys.len();
    let writes = keys.into_iter().map(|row_key| Write::DeleteRow(Shelf::IngestLog, row_key)).collect();
    context.store.commit(Batch { at: context.clock.now(), writes, ..Batch::default() }).await?;
    Ok(count)
}
