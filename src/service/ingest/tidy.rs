//! Ageing: what has waited too long for another record, and what has been gone for long enough to be forgotten.

use std::collections::BTreeSet;

use super::Outcome;
use super::apply::{Input, Person, settle_all};
use super::closure::Records;
use bytes::Bytes;

use super::kept::{Kept, Reads, Wait, read_record, record_key, waiting_end, waiting_key, written_record};
use crate::base::{PrincipalId, Utc};
use crate::merge::{Scope, SourceId};
use crate::model::Shelf;
use crate::service::{Context, Error};
use crate::store::{Assert, Batch, CommitError, Write};

/// After so many seconds the series that an exception waits for is asked for.
const FETCH_AFTER: i64 = 3_600;
/// After so many seconds what still waits is dropped.
const DROP_AFTER: i64 = 7 * 86_400;
/// Tombstones are kept for so many seconds.
const KEEP_GONE: i64 = 30 * 86_400;
/// Records looked at in one go; the next goes on.
const AT_ONCE: usize = 1_000;

/// What [`tidy`] did and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Records that waited in vain and were dropped.
    pub dropped: u64,
    /// Tombstones that were forgotten.
    pub forgotten: u64,
    /// Where series are missing that exceptions have waited for: these calendars are to be listed whole.
    pub fetch: BTreeSet<(PrincipalId, Scope)>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Records that wait for another, at most as many as were counted.
    pub parked: u64,
    /// Since when the oldest waits.
    pub oldest: Option<Utc>,
    /// Tombstones that are kept.
    pub gone: u64,
}

/// Looks at what has waited long enough: exceptions without their series and tombstones. To be called now and then.
///
/// # Errors
/// The store's.
pub async fn tidy(context: &Context) -> Result<Tidied, Error> {
    let now = context.clock.now();
    let mut tidied = Tidied::default();
    for (owner, kept, _) in due(context, Wait::Parked, now.plus(-FETCH_AFTER)).await? {
        let since = kept.parked.unwrap_or(now);
        if since <= now.plus(-DROP_AFTER) {
            tidied.dropped += forget(context, owner, &kept.record.source).await?;
        } else {
            tidied.fetch.insert((owner, kept.record.source.scope()));
        }
    }
    for (owner, kept, seen) in due(context, Wait::Gone, now.plus(-KEEP_GONE)).await? {
        if is_all_gone(context, owner, &kept.record.source).await? {
            tidied.forgotten += forget(context, owner, &kept.record.source).await?;
        } else {
            keep_longer(context, owner, kept, seen, now).await?;
        }
    }
    metrics::counter!("kalends_ingest_parked_dropped_total").increment(tidied.dropped);
    metrics::counter!("kalends_ingest_tombstones_forgotten_total").increment(tidied.forgotten);
    let waiting = waiting(context).await?;
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!("kalends_ingest_parked").set(waiting.parked as f64);
    Ok(tidied)
}

/// What waits, counted up to a bound.
///
/// # Errors
/// The store's.
pub async fn waiting(context: &Context) -> Result<Waiting, Error> {
    const COUNTED_MAX: usize = 100_000;
    let parked = context.store.rows(Shelf::Parked, Shelf::prefix(&[Wait::Parked as u8]), COUNTED_MAX).await?.rows;
    let gone = context.store.rows(Shelf::Parked, Shelf::prefix(&[Wait::Gone as u8]), COUNTED_MAX).await?.rows;
    let oldest = parked.first().and_then(|(key, _)| Some(Utc(i64::from_be_bytes(*key.get(1..9)?.first_chunk()?))));
    Ok(Waiting { parked: parked.len() as u64, oldest, gone: gone.len() as u64 })
}

/// Records of a kind that were marked at `until` or before.
async fn due(context: &Context, kind: Wait, until: Utc) -> Result<Vec<(PrincipalId, Kept, Bytes)>, Error> {
    let range = vec![kind as u8]..waiting_end(kind, until);
    let mut found = Vec::new();
    for (key, _) in context.store.rows(Shelf::Parked, range, AT_ONCE).await?.rows {
        let Some(record) = key.get(9..) else { continue };
        let owner = record.first_chunk::<8>().map(|bytes| PrincipalId(u64::from_be_bytes(*bytes)));
        match (owner, context.store.row(Shelf::Records, record).await?) {
            (Some(owner), Some(row)) => found.push((owner, read_record(&row)?, row)),
            // The record went with its user or account.
            _ => {
                let writes = vec![Write::DeleteRow(Shelf::Parked, key)];
                context.store.commit(Batch { at: context.clock.now(), writes, ..Batch::default() }).await?;
            }
        }
    }
    Ok(found)
}

async fn forget(context: &Context, owner: PrincipalId, source: &SourceId) -> Result<u64, Error> {
    let person = Person::load(context, owner).await?;
    let _: Outcome = settle_all(context, &person, vec![Input::Forgotten(source.clone())]).await?;
    Ok(1)
}

/// Whether nothing that hangs together with a record is there any more: a tombstone that still keeps a meeting away stays.
async fn is_all_gone(context: &Context, owner: PrincipalId, source: &SourceId) -> Result<bool, Error> {
    let (mut reads, mut records) = (Reads::new(context), Records::new(owner));
    records.load(&mut reads, source).await?;
    records.close(context, &mut reads).await?;
    let gone = records.kept().all(|kept| !kept.record.is_live());
    Ok(gone)
}

/// Marks a tombstone anew.
async fn keep_longer(context: &Context, owner: PrincipalId, kept: Kept, seen: Bytes, now: Utc) -> Result<(), Error> {
    let source = kept.record.source.clone();
    let after = Kept { gone: Some(now), ..kept.clone() };
    let key = record_key(owner, &source);
    let mut writes = vec![
        Write::PutRow(Shelf::Records, key.clone(), written_record(&after)),
        Write::PutRow(Shelf::Parked, waiting_key(Wait::Gone, now, owner, &source), Bytes::new()),
    ];
    let old = kept.gone.map(|at| Write::DeleteRow(Shelf::Parked, waiting_key(Wait::Gone, at, owner, &source)));
    writes.extend(old);
    let asserts = vec![Assert::RowIs(Shelf::Records, key, Some(seen))];
    match context.store.commit(Batch { at: now, asserts, writes, ..Batch::default() }).await {
        // Somebody else has changed it: it is looked at again.
        Ok(_) | Err(CommitError::Failed { .. }) => Ok(()),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}
