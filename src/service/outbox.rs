//! The outbox as a queue: groups of consumers, each with a position that is stored, so that a crash repeats and never
//! skips (invariant D1). The events themselves are written by the store with the changes they tell of.
//!
//! A group is there from its first [`join`] on; events stay until every group has passed them ([`trim`]). What a group
//! cannot handle is buried with the reason ([`bury`]) and can be looked at and put back. A group that is paused is given
//! nothing.

use serde::{Deserialize, Serialize};

use super::{Context, StoreError, rows};
use crate::base::Utc;
use crate::model::{Event, Shelf};
use crate::store::{Batch, CommitError, Write};

/// The group that writes the ledger of webhook deliveries from the outbox.
pub const WEBHOOKS: &str = "webhooks";
/// The group that carries events to Kafka.
pub const RELAY: &str = "relay";

const ROW_VERSION: u8 = 1;
/// How many rows of groups or of the buried are read at once.
const ROWS_MAX: usize = 1_000;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The number of the last event whose effect is durable.
    pub position: u64,
    /// Whether it is given nothing for now.
    pub paused: bool,
}

/// How far behind a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Events behind its position.
    pub events: u64,
    /// When the first of them happened.
    pub oldest: Option<Utc>,
}

/// An event that a group could not handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buried {
    /// The group.
    pub group: String,
    /// The event.
    pub event: Event,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up.
    pub at: Utc,
}

/// Where `group` stands; `None` if it never joined.
///
/// # Errors
/// The store's.
pub async fn standing(context: &Context, group: &str) -> Result<Option<Standing>, StoreError> {
    let found = context.store.rows_at(Shelf::Bus, &[&group_key(group), &paused_key(group)]).await?;
    let [position, paused] = found.as_slice() else { return Ok(None) };
    let Some(position) = position else { return Ok(None) };
    let position = rows::decode(ROW_VERSION, position, "the bus's groups")?;
    Ok(Some(Standing { position, paused: paused.is_some() }))
}

/// All groups by name.
///
/// # Errors
/// The store's.
pub async fn groups(context: &Context) -> Result<Vec<(String, Standing)>, StoreError> {
    let page = context.store.rows(Shelf::Bus, Shelf::prefix(b"g/"), ROWS_MAX).await?;
    let mut groups = Vec::with_capacity(page.rows.len());
    for (key, _) in page.rows {
        let name = String::from_utf8_lossy(key.get(2..).unwrap_or_default()).into_owned();
        if let Some(standing) = standing(context, &name).await? {
            groups.push((name, standing));
        }
    }
    Ok(groups)
}

/// Makes `group` one that events are kept for, from the first event there is, and says where it stands.
///
/// # Errors
/// The store's.
pub async fn join(context: &Context, group: &str) -> Result<Standing, StoreError> {
    match standing(context, group).await? {
        Some(standing) => Ok(standing),
        None => {
            write(context, vec![put(group, 0)]).await?;
            standing(context, group).await.map(Option::unwrap_or_default)
        }
    }
}

/// Forgets all groups but these: nobody waits for the others any more.
///
/// # Errors
/// The store's.
pub async fn keep_only(context: &Context, wanted: &[&str]) -> Result<(), StoreError> {
    let gone: Vec<Write> = groups(context)
        .await?
        .into_iter()
        .filter(|(name, _)| !wanted.contains(&name.as_str()))
        .map(|(name, _)| Write::DeleteRow(Shelf::Bus, group_key(&name)))
        .collect();
    if gone.is_empty() { Ok(()) } else { write(context, gone).await }
}

/// The write that moves `group` to `position`, for the batch with the effect itself. Only the group's one consumer may
/// write it.
pub fn put(group: &str, position: u64) -> Write {
    Write::PutRow(Shelf::Bus, group_key(group), rows::encode(ROW_VERSION, &position))
}

/// Moves `group` forward to `position`; never back.
///
/// # Errors
/// The store's.
pub async fn advance(context: &Context, group: &str, position: u64) -> Result<(), StoreError> {
    let standing = standing(context, group).await?.unwrap_or_default();
    if position <= standing.position {
        return Ok(());
    }
    write(context, vec![put(group, position)]).await
}

/// Pauses or resumes `group`, which need not have joined: a group of Kafka's has its position there, and asks here
/// whether it is paused.
///
/// # Errors
/// The store's.
pub async fn set_paused(context: &Context, group: &str, paused: bool) -> Result<(), StoreError> {
    let key = paused_key(group);
    let mark = rows::encode(ROW_VERSION, &context.clock.now());
    let row = if paused { Write::PutRow(Shelf::Bus, key, mark) } else { Write::DeleteRow(Shelf::Bus, key) };
    write(context, vec![row]).await
}

/// Whether `group` is paused.
///
/// # Errors
/// The store's.
pub async fn paused(context: &Context, group: &str) -> Result<bool, StoreError> {
    Ok(context.store.row(Shelf::Bus, &paused_key(group)).await?.is_some())
}

/// How far behind `standing` is.
///
/// # Errors
/// The store's.
pub async fn lag(context: &Context, standing: Standing) -> Result<Lag, StoreError> {
    let Some(first) = context.store.events(standing.position, 1).await?.rows.pop() else { return Ok(Lag::default()) };
    let (waiting, _) = context.store.outbox()?.unwrap_or((0, first.at));
    let oldest_seq = context.store.events(0, 1).await?.rows.first().map_or(first.seq, |event| event.seq);
    let passed = first.seq.saturating_sub(oldest_seq);
    Ok(Lag { events: waiting.saturating_sub(passed), oldest: Some(first.at) })
}

/// Removes events that every group has passed and that are older than `keep_seconds`. Without any group all wait for
/// the first.
///
/// # Errors
/// The store's.
pub async fn trim(context: &Context, keep_seconds: u64) -> Result<(), StoreError> {
    let Some(passed) = groups(context).await?.iter().map(|(_, standing)| standing.position).min() else {
        return Ok(());
    };
    let before = Utc(context.clock.now().0.saturating_sub_unsigned(keep_seconds));
    let up_to = last_before(context, passed, before).await?;
    if up_to == 0 {
        return Ok(());
    }
    write(context, vec![Write::TrimEvents(up_to)]).await
}

/// The number of the last event up to `passed` that happened before `before`; zero if none did. Events' times grow with
/// their numbers, but for a clock that was set back: such an event stays a little longer or shorter.
async fn last_before(context: &Context, passed: u64, before: Utc) -> Result<u64, StoreError> {
    let Some(first) = context.store.events(0, 1).await?.rows.pop() else { return Ok(0) };
    let (mut low, mut high) = (first.seq.saturating_sub(1), passed);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let old = context.store.events(middle - 1, 1).await?.rows.first().is_some_and(|event| event.at < before);
        if old { low = middle } else { high = middle - 1 }
    }
    Ok(if low < first.seq { 0 } else { low })
}

/// Keeps an event that `group` cannot handle, with the reason.
///
/// # Errors
/// The store's.
pub async fn bury(context: &Context, buried: &Buried) -> Result<(), StoreError> {
    let key = buried_key(&buried.group, buried.event.seq);
    write(context, vec![Write::PutRow(Shelf::Bus, key, rows::encode(ROW_VERSION, buried))]).await
}

/// The oldest of what was buried, of one group or of all.
///
/// # Errors
/// The store's.
pub async fn buried(context: &Context, group: Option<&str>, limit: usize) -> Result<Vec<Buried>, StoreError> {
    let prefix = group.map_or_else(|| b"x/".to_vec(), |group| format!("x/{group}/").into_bytes());
    let page = context.store.rows(Shelf::Bus, Shelf::prefix(&prefix), limit.min(ROWS_MAX)).await?;
    page.rows.iter().map(|(_, row)| rows::decode(ROW_VERSION, row, "the bus's dead letters")).collect()
}

/// Forgets what was buried: it has been handled after all.
///
/// # Errors
/// The store's.
pub async fn unbury(context: &Context, group: &str, seq: u64) -> Result<(), StoreError> {
    write(context, vec![Write::DeleteRow(Shelf::Bus, buried_key(group, seq))]).await
}

fn group_key(group: &str) -> Vec<u8> {
    format!("g/{group}").into_bytes()
}

fn paused_key(group: &str) -> Vec<u8> {
    format!("p/{group}").into_bytes()
}

fn buried_key(group: &str, seq: u64) -> Vec<u8> {
    let mut key = format!("x/{group}/").into_bytes();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

async fn write(context: &Context, writes: Vec<Write>) -> Result<(), StoreError> {
    let batch = Batch { at: context.clock.now(), writes, ..Batch::default() };
    match context.store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Store(error)) => Err(error),
        // There are no assertions that could fail.
        Err(CommitError::Failed { .. }) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{CollectionId, FixedClock, Limits, PrincipalId};
    use crate::model::{Collection, CollectionKind, EventKind};
    use crate::store::{Draft, Engine, Options, Store};

    async fn context(events: u64) -> Context {
        let options = Options { dir: "".into(), engine: Engine::Memory, cache_bytes: 1, tombstones_max: 10 };
        let mut context = Context::new(Store::open(&options).expect("memory opens"), Limits::default());
        context.clock = Arc::new(FixedClock::new(Utc(1_000_000)));
        let id = context.store.next_collection_id();
        let calendar = Collection::new(id, None, "c", PrincipalId(1), CollectionKind::Plain, Utc(0));
        let batch = Batch { writes: vec![Write::CreateCollection(calendar)], ..Batch::default() };
        context.store.commit(batch).await.expect("it is made");
        for at in 1..=events {
            let kind = EventKind::CalendarUpdated { name: "c".to_owned() };
            let draft = Draft { owner: PrincipalId(1), collection: CollectionId(id.0), kind };
            let batch = Batch { at: Utc(i64::try_from(at).expect("small")), events: vec![draft], ..Batch::default() };
            context.store.commit(batch).await.expect("it is told");
        }
        context
    }

    async fn left(context: &Context) -> Vec<u64> {
        let page = context.store.events(0, 100).await.expect("they are read");
        page.rows.iter().map(|event| event.seq).collect()
    }

    #[tokio::test]
    async fn events_stay_until_every_group_has_passed_them_and_their_time_is_over() {
        let context = context(10).await;
        trim(&context, 0).await.expect("trimmed");
        assert_eq!(left(&context).await.len(), 10, "without any group all wait");
        join(&context, "a").await.expect("joined");
        join(&context, "b").await.expect("joined");
        advance(&context, "a", 8).await.expect("moved");
        trim(&context, 0).await.expect("trimmed");
        assert_eq!(left(&context).await.len(), 10, "b has seen none");
        advance(&context, "b", 5).await.expect("moved");
        advance(&context, "b", 3).await.expect("never back");
        trim(&context, 1_000_000 - 4).await.expect("trimmed");
        assert_eq!(left(&context).await, [4, 5, 6, 7, 8, 9, 10], "what happened before 4 is old");
        trim(&context, 0).await.expect("trimmed");
        assert_eq!(left(&context).await, [6, 7, 8, 9, 10]);
        keep_only(&context, &["a"]).await.expect("b is gone");
        trim(&context, 0).await.expect("trimmed");
        assert_eq!(left(&context).await, [9, 10]);
    }

    #[tokio::test]
    async fn lag_counts_what_is_behind_the_position() {
        let context = context(10).await;
        let joined = join(&context, "a").await.expect("joined");
        assert_eq!(lag(&context, joined).await.expect("read"), Lag { events: 10, oldest: Some(Utc(1)) });
        advance(&context, "a", 7).await.expect("moved");
        let moved = standing(&context, "a").await.expect("read").expect("there");
        assert_eq!(lag(&context, moved).await.expect("read"), Lag { events: 3, oldest: Some(Utc(8)) });
        let all = Standing { position: 10, paused: false };
        assert_eq!(lag(&context, all).await.expect("read"), Lag::default());
    }

    #[tokio::test]
    async fn what_is_buried_keeps_its_reason_and_pausing_keeps_the_position() {
        let context = context(2).await;
        set_paused(&context, "a", true).await.expect("paused before it joins");
        assert_eq!(join(&context, "a").await.expect("joined"), Standing { position: 0, paused: true });
        advance(&context, "a", 1).await.expect("moved");
        assert_eq!(standing(&context, "a").await.expect("read"), Some(Standing { position: 1, paused: true }));
        set_paused(&context, "a", false).await.expect("resumed");
        assert_eq!(standing(&context, "a").await.expect("read"), Some(Standing { position: 1, paused: false }));
        let event = context.store.events(1, 1).await.expect("read").rows.remove(0);
        let one = Buried { group: "a".to_owned(), event, reason: "odd".to_owned(), tries: 3, at: Utc(5) };
        bury(&context, &one).await.expect("kept");
        assert_eq!(buried(&context, Some("a"), 9).await.expect("read"), std::slice::from_ref(&one));
        assert_eq!(buried(&context, Some("b"), 9).await.expect("read"), []);
        unbury(&context, "a", one.event.seq).await.expect("gone");
        assert_eq!(buried(&context, None, 9).await.expect("read"), []);
    }
}
