//! The ledger's rows. An endpoint's deliveries are not a row each:
//!
//! - a **lot** lists events that an endpoint is owed, in the order of the outbox. It is written when events are handed out, before
//!   anything is sent, and never changed; it takes a byte or two a delivery.
//! - the **frontier** says up to where an endpoint's lots have been claimed.
//! - a **lease** lists what a sender has claimed and not reported. What a sender that is gone leaves in its lease may have been
//!   sent: it is sent again, with the same id.
//! - a **waiting** row is a delivery that failed and is tried again, or that somebody asked for.
//! - the **attempt log** has a row for each bundle of results of an endpoint; **dead letters** are what was given up.
//!
//! What is in a lot before the frontier, and neither leased, waiting nor dead, was delivered. All of it changes in one
//! batch with what it follows from, so a crash leaves a true ledger. Where handing out stands is the position of the group
//! [`outbox::WEBHOOKS`](crate::service::outbox::WEBHOOKS).
//!
//! | shelf | key | value |
//! |---|---|---|
//! | endpoints | endpoint, `e` | [`Endpoint`] |
//! | endpoints | endpoint, `s` | its signing secrets, sealed ([`secret`](super::secret)) |
//! | deliveries | endpoint, first event | the lot: each event's distance from the one before |
//! | delivery state | `f`, endpoint | the frontier |
//! | delivery state | `h`, endpoint | [`Health`] |
//! | delivery state | `l`, worker | the lease |
//! | due | endpoint, event | [`WaitingRow`] |
//! | dead letters | endpoint, event | [`DeadLetter`] |
//! | attempts | endpoint, milliseconds, number | a list of [`Attempt`] |

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Attempt, Class, DeadLetter, Endpoint, EndpointId, Millis};
use crate::model::Shelf;
use crate::service::rows::{decode, encode};
use crate::service::{Context, StoreError};
use crate::store::Write;

/// The version of all of these rows.
const VERSION: u8 = 1;

/// Rows that one page of a scan reads.
pub(super) const PAGE: usize = 512;

/// Events in a lot, at most.
pub const LOT_EVENTS_MAX: usize = 512;

/// Up to where an endpoint's lots have been claimed: the lot that begins with `lot`, before the entry number `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Frontier {
    /// The first event of the lot.
    pub lot: u64,
    /// How many of its entries have been claimed.
    pub index: u32,
}

/// A delivery that waits for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRow {
    /// Attempts made, over the whole life of the delivery.
    pub attempts: u32,
    /// Those of them that were made before somebody asked for it again: the schedule begins anew behind them.
    pub before: u32,
    /// When it is tried next.
    pub next: Millis,
    /// What became of the last attempt.
    pub class: Option<Class>,
    /// The last answer's status.
    pub status: Option<u16>,
    /// Whether somebody asked for it.
    pub manual: bool,
}

/// What is remembered of how an endpoint answers. Written when it changes for the worse or the better, not at each answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Since when nothing was delivered although it was tried; `None`: the last answer was good, or there was none.
    pub failing_since: Option<Millis>,
    /// What became of the last failed attempt.
    pub class: Option<Class>,
    /// The last bad answer's status.
    pub status: Option<u16>,
    /// How often the breaker has opened since the last success.
    pub opened: u32,
    /// When the owner was told that it fails.
    pub told: Option<Millis>,
    /// When something was delivered last.
    pub delivered: Option<Millis>,
}

/// What a sender has claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// Until when it holds; a sender inside the server holds its own as long as the server runs.
    pub until: Option<Millis>,
    /// Endpoint, event, number of the attempt, attempts before a resend, manual.
    pub held: Vec<Held>,
}

/// One claimed delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Where to.
    pub endpoint: EndpointId,
    /// Which event.
    pub event: u64,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// See [`WaitingRow::before`].
    pub before: u32,
    /// See [`WaitingRow::manual`].
    pub manual: bool,
}

pub(super) fn endpoint_key(id: EndpointId) -> Vec<u8> {
    [&id.0.to_be_bytes()[..], b"e"].concat()
}

pub(super) fn secrets_key(id: EndpointId) -> Vec<u8> {
    [&id.0.to_be_bytes()[..], b"s"].concat()
}

/// The key of an endpoint's row about one event: a lot by its first, a waiting row, a dead letter.
pub(super) fn event_key(id: EndpointId, event: u64) -> Vec<u8> {
    [id.0.to_be_bytes(), event.to_be_bytes()].concat()
}

pub(super) fn state_key(kind: u8, id: EndpointId) -> Vec<u8> {
    [&[kind][..], &id.0.to_be_bytes()].concat()
}

fn lease_key(worker: &str) -> Vec<u8> {
    [b"l", worker.as_bytes()].concat()
}

fn attempts_key(id: EndpointId, at: Millis, number: u32) -> Vec<u8> {
    let at = u64::try_from(at.0).unwrap_or(0);
    [&id.0.to_be_bytes()[..], &at.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The number behind the endpoint in a key.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(8..16)?.first_chunk()?))
}

fn bad_key(what: &str) -> StoreError {
    StoreError::Corrupt(format!("a key of {what} cannot be read"))
}

/// What the key and bytes of one row are, for writing.
pub(super) fn put_endpoint(endpoint: &Endpoint) -> Write {
    Write::PutRow(Shelf::Endpoints, endpoint_key(endpoint.id), encode(VERSION, endpoint))
}

pub(super) fn decode_endpoint(row: &[u8]) -> Result<Endpoint, StoreError> {
    decode(VERSION, row, "endpoints")
}

/// A lot: events in growing order.
pub fn put_lot(id: EndpointId, events: &[u64]) -> Option<Write> {
    let first = *events.first()?;
    let mut before = first;
    let steps: Vec<u64> = events.iter().map(|event| event - std::mem::replace(&mut before, *event)).collect();
    Some(Write::PutRow(Shelf::Deliveries, event_key(id, first), encode(VERSION, &steps)))
}

fn decode_lot(first: u64, row: &[u8]) -> Result<Vec<u64>, StoreError> {
    let steps: Vec<u64> = decode(VERSION, row, "deliveries")?;
    let mut event = first;
    Ok(steps
        .into_iter()
        .map(|step| {
            event = event.saturating_add(step);
            event
        })
        .collect())
}

pub(super) fn put_waiting(id: EndpointId, event: u64, row: &WaitingRow) -> Write {
    Write::PutRow(Shelf::Due, event_key(id, event), encode(VERSION, row))
}

pub(super) fn delete_waiting(id: EndpointId, event: u64) -> Write {
    Write::DeleteRow(Shelf::Due, event_key(id, event))
}

pub(super) fn put_dead(id: EndpointId, event: u64, letter: &DeadLetter) -> Write {
    Write::PutRow(Shelf::DeadLetters, event_key(id, event), encode(VERSION, letter))
}

pub(super) fn delete_dead(id: EndpointId, event: u64) -> Write {
    Write::DeleteRow(Shelf::DeadLetters, event_key(id, event))
}

pub(super) fn put_frontier(id: EndpointId, frontier: Frontier) -> Write {
    Write::PutRow(Shelf::DeliveryState, state_key(b'f', id), encode(VERSION, &frontier))
}

pub(super) fn put_health(id: EndpointId, health: &Health) -> Write {
    Write::PutRow(Shelf::DeliveryState, state_key(b'h', id), encode(VERSION, health))
}

pub(super) fn put_lease(worker: &str, lease: &Lease) -> Write {
    if lease.held.is_empty() {
        Write::DeleteRow(Shelf::DeliveryState, lease_key(worker))
    } else {
        Write::PutRow(Shelf::DeliveryState, lease_key(worker), encode(VERSION, lease))
    }
}

pub(super) fn put_attempts(id: EndpointId, at: Millis, number: u32, attempts: &[Attempt]) -> Write {
    Write::PutRow(Shelf::Attempts, attempts_key(id, at, number), encode(VERSION, attempts))
}

/// The row of an endpoint, and the bytes it was read from.
pub(super) async fn read_endpoint(context: &Context, id: EndpointId) -> Result<Option<(Endpoint, Bytes)>, StoreError> {
    match context.store.row(Shelf::Endpoints, &endpoint_key(id)).await? {
        Some(row) => Ok(Some((decode_endpoint(&row)?, row))),
        None => Ok(None),
    }
}

/// Every endpoint there is, by id.
///
/// # Errors
/// The store's.
pub async fn all_endpoints(context: &Context) -> Result<Vec<Endpoint>, StoreError> {
    let mut found = Vec::new();
    let mut range = Shelf::whole();
    loop {
        let page = context.store.rows(Shelf::Endpoints, range, PAGE).await?;
        for (key, row) in &page.rows {
            if key.last() == Some(&b'e') {
                found.push(decode_endpoint(row)?);
            }
        }
        match next_range(&page.rows, &Shelf::whole()).filter(|_| page.more) {
            Some(next) => range = next,
            None => return Ok(found),
        }
    }
}

/// From behind the last row to the end of the range.
pub(super) fn next_range(rows: &[(Vec<u8>, Bytes)], range: &Range<Vec<u8>>) -> Option<Range<Vec<u8>>> {
    let mut start = rows.last()?.0.clone();
    start.push(0);
    Some(start..range.end.clone())
}

/// Up to where the endpoint's lots have been claimed.
///
/// # Errors
/// The store's.
pub async fn frontier(context: &Context, id: EndpointId) -> Result<Frontier, StoreError> {
    let row = context.store.row(Shelf::DeliveryState, &state_key(b'f', id)).await?;
    row.map_or(Ok(Frontier::default()), |row| decode(VERSION, &row, "frontiers"))
}

/// What is remembered of how the endpoint answers.
///
/// # Errors
/// The store's.
pub async fn health(context: &Context, id: EndpointId) -> Result<Health, StoreError> {
    let row = context.store.row(Shelf::DeliveryState, &state_key(b'h', id)).await?;
    row.map_or(Ok(Health::default()), |row| decode(VERSION, &row, "endpoints' health"))
}

/// All leases, by worker.
///
/// # Errors
/// The store's.
pub async fn leases(context: &Context) -> Result<Vec<(String, Lease)>, StoreError> {
    let page = context.store.rows(Shelf::DeliveryState, Shelf::prefix(b"l"), 10_000).await?;
    page.rows
        .iter()
        .map(|(key, row)| Ok((String::from_utf8_lossy(&key[1..]).into_owned(), decode(VERSION, row, "leases")?)))
        .collect()
}

/// Lots of the endpoint from the one that begins with `first`, in order; and whether there are more behind.
///
/// # Errors
/// The store's.
pub async fn lots(
    context: &Context,
    id: EndpointId,
    first: u64,
    limit: usize,
) -> Result<(Vec<Vec<u64>>, bool), StoreError> {
    let range = event_key(id, first)..Shelf::prefix(&id.0.to_be_bytes()).end;
    let page = context.store.rows(Shelf::Deliveries, range, limit).await?;
    let lots: Result<Vec<_>, StoreError> = page
        .rows
        .iter()
        .map(|(key, row)| decode_lot(number_of(key).ok_or_else(|| bad_key("deliveries"))?, row))
        .collect();
    Ok((lots?, page.more))
}

/// The waiting deliveries of an endpoint from event `first`, in order of events; and whether there are more.
///
/// # Errors
/// The store's.
pub async fn waiting(
    context: &Context,
    id: EndpointId,
    first: u64,
    limit: usize,
) -> Result<(Vec<(u64, WaitingRow)>, bool), StoreError> {
    rows_of(context, Shelf::Due, id, first, limit, "waiting deliveries").await
}

/// The dead letters of an endpoint from event `first`, in order of events; and whether there are more.
///
/// # Errors
/// The store's.
pub async fn dead_letters(
    context: &Context,
    id: EndpointId,
    first: u64,
    limit: usize,
) -> Result<(Vec<(u64, DeadLetter)>, bool), StoreError> {
    rows_of(context, Shelf::DeadLetters, id, first, limit, "dead letters").await
}

pub(super) async fn waiting_row(
    context: &Context,
    id: EndpointId,
    event: u64,
) -> Result<Option<WaitingRow>, StoreError> {
    let row = context.store.row(Shelf::Due, &event_key(id, event)).await?;
    row.map(|row| decode(VERSION, &row, "waiting deliveries")).transpose()
}

pub(super) async fn dead_letter(
    context: &Context,
    id: EndpointId,
    event: u64,
) -> Result<Option<DeadLetter>, StoreError> {
    let row = context.store.row(Shelf::DeadLetters, &event_key(id, event)).await?;
    row.map(|row| decode(VERSION, &row, "dead letters")).transpose()
}

async fn rows_of<T: serde::de::DeserializeOwned>(
    context: &Context,
    shelf: Shelf,
    id: EndpointId,
    first: u64,
    limit: usize,
    what: &str,
) -> Result<(Vec<(u64, T)>, bool), StoreError> {
    let range = event_key(id, first)..Shelf::prefix(&id.0.to_be_bytes()).end;
    let page = context.store.rows(shelf, range, limit).await?;
    let rows: Result<Vec<_>, StoreError> = page
        .rows
        .iter()
        .map(|(key, row)| Ok((number_of(key).ok_or_else(|| bad_key(what))?, decode(VERSION, row, what)?)))
        .collect();
    Ok((rows?, page.more))
}

/// A page of an endpoint's attempts that were written down from `since` on, oldest first, and where to go on. The page is of rows,
/// each with the results of one moment.
///
/// # Errors
/// The store's.
pub async fn attempts(
    context: &Context,
    id: EndpointId,
    since: Millis,
    after: Option<Vec<u8>>,
) -> Result<(Vec<Attempt>, Option<Vec<u8>>), StoreError> {
    attempts_page(context, id, since, after, PAGE).await
}

/// The same with pages of at most `rows` rows.
pub(super) async fn attempts_page(
    context: &Context,
    id: EndpointId,
    since: Millis,
    after: Option<Vec<u8>>,
    rows: usize,
) -> Result<(Vec<Attempt>, Option<Vec<u8>>), StoreError> {
    let start = after.map_or_else(
        || attempts_key(id, since, 0),
        |mut key| {
            key.push(0);
            key
        },
    );
    let range = start..Shelf::prefix(&id.0.to_be_bytes()).end;
    let page = context.store.rows(Shelf::Attempts, range, rows).await?;
    let mut found = Vec::new();
    for (_, row) in &page.rows {
        found.extend(decode::<Vec<Attempt>>(VERSION, row, "attempts")?);
    }
    let last = page.rows.last().map(|(key, _)| key.clone()).filter(|_| page.more);
    Ok((found, last))
}

/// The endpoint's row.
///
/// # Errors
/// The store's.
pub async fn endpoint(context: &Context, id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
    Ok(read_endpoint(context, id).await?.map(|(endpoint, _)| endpoint))
}

/// Removes an endpoint's attempts and dead letters from before `before`, and its lots that hold events before `oldest` alone and were
/// claimed to their end.
///
/// # Errors
/// The store's.
pub async fn sweep(
    context: &Context,
    id: EndpointId,
    before: Millis,
    oldest: u64,
) -> Result<(), crate::service::Error> {
    let start = id.0.to_be_bytes().to_vec();
    loop {
        let old = start.clone()..attempts_key(id, before, 0);
        let (keys, more) = keys_of(context, Shelf::Attempts, old, PAGE).await?;
        delete(context, Shelf::Attempts, keys).await?;
        if !more {
            break;
        }
    }
    let mut first = 0;
    loop {
        let (letters, more) = dead_letters(context, id, first, PAGE).await?;
        first = letters.last().map_or(first, |(event, _)| event.saturating_add(1));
        let old = letters.into_iter().filter(|(_, letter)| letter.at < before).map(|(event, _)| event_key(id, event));
        delete(context, Shelf::DeadLetters, old.collect()).await?;
        if !more {
            break;
        }
    }
    let claimed = frontier(context, id).await?.lot;
    loop {
        let (lots, more) = lots(context, id, 0, PAGE).await?;
        let old = |lot: &&Vec<u64>| {
            lot.first().is_some_and(|first| *first < claimed) && lot.last().is_some_and(|last| *last < oldest)
        };
        let keys: Vec<_> = lots.iter().take_while(old).filter_map(|lot| Some(event_key(id, *lot.first()?))).collect();
        let all = keys.len() == lots.len();
        delete(context, Shelf::Deliveries, keys).await?;
        if !(more && all) {
            return Ok(());
        }
    }
}

async fn delete(context: &Context, shelf: Shelf, keys: Vec<Vec<u8>>) -> Result<(), crate::service::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let writes = keys.into_iter().map(|key| Write::DeleteRow(shelf, key)).collect();
    context.store.commit(crate::store::Batch { at: context.clock.now(), writes, ..Default::default() }).await?;
    Ok(())
}

/// Keys of all rows of an endpoint on a shelf, at most `limit`.
pub(super) async fn keys_of(
    context: &Context,
    shelf: Shelf,
    range: Range<Vec<u8>>,
    limit: usize,
) -> Result<(Vec<Vec<u8>>, bool), StoreError> {
    let page = context.store.rows(shelf, range, limit).await?;
    Ok((page.rows.into_iter().map(|(key, _)| key).collect(), page.more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_comes_back_and_is_small() {
        let events: Vec<u64> = (1_000_000..1_000_400).filter(|n| n % 7 != 0).collect();
        let Some(Write::PutRow(_, key, row)) = put_lot(EndpointId(5), &events) else { panic!("a row") };
        assert_eq!(number_of(&key), Some(1_000_000));
        assert_eq!(decode_lot(1_000_000, &row).ok(), Some(events.clone()));
        assert!(row.len() < events.len() + 8, "{} bytes for {} deliveries", row.len(), events.len());
        assert!(put_lot(EndpointId(5), &[]).is_none());
    }
}
