//! Requests that are known by a key of the sender's: sent again, they get the answer of the first time.

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
/// How long an answer is kept, in seconds.
const KEPT_SECONDS: i64 = 86_400;
/// Rows read at once when old ones are forgotten: each holds a whole answer.
const TIDY_PAGE: usize = 20;

/// The answer to a request with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// When it was given.
    pub at: Utc,
    /// SHA-256 of the request's body: another body under the same key is a mistake of the sender's.
    pub request: [u8; 32],
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

fn row_key(account: &AccountKey, key: &str) -> Vec<u8> {
    let hash = Sha256::digest(key.as_bytes());
    [prefix(account).as_slice(), &hash].concat()
}

/// The answer that a request of the account with this key got before, within a day.
///
/// # Errors
/// The store's.
pub async fn remembered(context: &Context, account: &AccountKey, key: &str) -> Result<Option<Remembered>, StoreError> {
    let Some(row) = context.store.row(Shelf::Idempotency, &row_key(account, key)).await? else { return Ok(None) };
    let found: Remembered = decode(VERSION, &row, "idempotency keys")?;
    Ok(Some(found).filter(|found| context.clock.now().0 - found.at.0 <= KEPT_SECONDS))
}

/// Remembers an answer.
///
/// # Errors
/// The store's.
pub async fn remember(
    context: &Context,
    account: &AccountKey,
    key: &str,
    answer: &Remembered,
) -> Result<(), ProviderError> {
    let writes = vec![Write::PutRow(Shelf::Idempotency, row_key(account, key), encode(VERSION, answer))];
    context.store.commit(Batch { at: context.clock.now(), writes, ..Batch::default() }).await?;
    Ok(())
}

/// Forgets the answers that are older than a day.
///
/// # Errors
/// The store's.
pub async fn forget_old_answers(context: &Context) -> Result<usize, ProviderError> {
    let now = context.clock.now();
    let is_old = |row: &[u8]| {
        decode::<Remembered>(VERSION, row, "idempotency keys").is_ok_and(|found| now.0 - found.at.0 > KEPT_SECONDS)
    };
    let (mut old, mut range) = (Vec::new(), Shelf::whole());
    loop {
        let page = context.store.rows(Shelf::Idempotency, range.clone(), TIDY_PAGE).await?;
        if let Some((last, _)) = page.rows.last() {
            range.start = [last.as_slice(), &[0]].concat();
        }
        old.extend(page.rows.into_iter().filter(|(_, row)| is_old(row)).map(|(key, _)| key));
        if !page.more {
            break;
        }
    }
    let count = old.len();
    if count > 0 {
        let writes = old.into_iter().map(|key| Write::DeleteRow(Shelf::Idempotency, key)).collect();
        context.store.commit(Batch { at: now, writes, ..Batch::default() }).await?;
    }
    Ok(count)
}
