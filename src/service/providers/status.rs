//! How accounts fare. Counted in memory and written down now and then, so that a delivery costs no extra write; a crash
//! forgets the last few seconds of counting, nothing else.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::kept::{Part, put_part, row_key};
use super::{AccountKey, ProviderError};
use crate::base::Utc;
use crate::model::Shelf;
use crate::service::rows::{decode, encode};
use crate::service::{Context, StoreError};

/// The version of these rows.
const VERSION: u8 = 1;

/// What became of what an account said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records that were newer and were stored.
    pub applied: u64,
    /// Records older than what was known.
    pub stale: u64,
    /// Records that were known already.
    pub duplicate: u64,
    /// Records that wait for another.
    pub parked: u64,
    /// Deletions.
    pub tombstoned: u64,
    /// Records that were newer and changed nothing visible.
    pub noise: u64,
    /// Deliveries to the hook.
    pub deliveries: u64,
    /// Deliveries whose proof was wrong.
    pub forged: u64,
    /// Deliveries that could not be read.
    pub malformed: u64,
    /// Pulls that were finished.
    pub pulls: u64,
}

/// How an account fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// When a true delivery came last.
    pub delivered: Option<Utc>,
    /// When a pull was finished last.
    pub pulled: Option<Utc>,
    /// What failed last, when; until something works again.
    pub error: Option<(Utc, String)>,
    /// Failures in a row.
    pub failures: u32,
    /// When the runner looks at it next.
    pub next_try: Option<Utc>,
    /// What became of what it said.
    pub counts: Counts,
}

/// Statuses that are newer than their rows.
#[derive(Debug, Default)]
pub(super) struct Statuses(Mutex<BTreeMap<AccountKey, Held>>);

#[derive(Debug)]
struct Held {
    status: Status,
    dirty: bool,
}

/// How the account fares.
///
/// # Errors
/// The store's.
pub async fn status(context: &Context, key: &AccountKey) -> Result<Status, StoreError> {
    if let Some(held) = context.providers.statuses.0.lock().get(key) {
        return Ok(held.status.clone());
    }
    match context.store.row(Shelf::Accounts, &row_key(key, Part::Status)).await? {
        None => Ok(Status::default()),
        Some(row) => decode(VERSION, &row, "statuses"),
    }
}

/// Changes how the account fares, in memory.
///
/// # Errors
/// The store's, where the row had to be read first.
pub async fn note(context: &Context, key: &AccountKey, edit: impl FnOnce(&mut Status)) -> Result<(), StoreError> {
    let known = context.providers.statuses.0.lock().contains_key(key);
    let stored = if known { None } else { Some(status(context, key).await?) };
    let mut statuses = context.providers.statuses.0.lock();
    let held = statuses.entry(key.clone()).or_insert_with(|| Held { status: stored.unwrap_or_default(), dirty: false });
    edit(&mut held.status);
    held.dirty = true;
    Ok(())
}

/// Somebody mended the account.
pub(super) async fn mended(context: &Context, key: &AccountKey) {
    let _ = note(context, key, |status| (status.error, status.failures, status.next_try) = (None, 0, None)).await;
}

/// Forgets the account's status.
pub(super) fn forget(context: &Context, key: &AccountKey) {
    context.providers.statuses.0.lock().remove(key);
}

/// Writes down what changed since the last time.
///
/// # Errors
/// The store's.
pub async fn flush_status(context: &Context) -> Result<(), ProviderError> {
    let dirty: Vec<(AccountKey, Status)> = {
        let mut statuses = context.providers.statuses.0.lock();
        let changed = statuses.iter_mut().filter(|(_, held)| held.dirty);
        changed
            .map(|(key, held)| {
                held.dirty = false;
                (key.clone(), held.status.clone())
            })
            .collect()
    };
    for (key, status) in dirty {
        match put_part(context, &key, Part::Status, encode(VERSION, &status)).await {
            Err(ProviderError::NoSuchAccount(_)) => forget(context, &key),
            // Changed at the same moment: the next time.
            Err(ProviderError::Changed) => {
                if let Some(held) = context.providers.statuses.0.lock().get_mut(&key) {
                    held.dirty = true;
                }
            }
            other => other?,
        }
    }
    Ok(())
}
