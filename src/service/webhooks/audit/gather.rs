//! Reads what an audit needs from the ledger.
//!
//! What is owed, claimed, waiting and dead is read first and the attempts after it, so that what is delivered meanwhile shows up as
//! delivered, never as lost.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::super::ledger;
use super::super::overview::calendar_label;
use super::super::{Attempt, Class, Endpoint, EndpointId, Millis, TEST_EVENTS, webhook_id};
use super::{Audit, End, Fate, Report, Story, Try};
use crate::base::{CollectionId, Utc};
use crate::model::Event;
use crate::service::{Context, StoreError, outbox};

/// Rows that are read at a time.
const PAGE: usize = 1_000;

/// What an audit of one endpoint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What it was told.
    pub report: Report,
}

/// How the deliveries of an endpoint stand.
pub(in super::super) struct Standing {
    /// The events that it is owed by themselves or because somebody asked for them.
    pub(in super::super) known: BTreeSet<u64>,
    /// The first of those owed by themselves that nobody has claimed yet.
    unclaimed: u64,
    owed: HashSet<u64>,
    held: HashSet<u64>,
    waiting: HashMap<u64, Option<Class>>,
    dead: HashMap<u64, String>,
}

impl Standing {
    /// Reads it.
    pub(in super::super) async fn read(context: &Context, id: EndpointId) -> Result<Self, StoreError> {
        let mut standing = Self {
            known: BTreeSet::new(),
            unclaimed: u64::MAX,
            owed: HashSet::new(),
            held: HashSet::new(),
            waiting: HashMap::new(),
            dead: HashMap::new(),
        };
        standing.read_lots(context, id).await?;
        for (_, lease) in ledger::leases(context).await? {
            standing.held.extend(lease.held.iter().filter(|held| held.endpoint == id).map(|held| held.event));
        }
        standing.read_waiting(context, id).await?;
        standing.read_dead(context, id).await?;
        let all = [&standing.owed, &standing.held].into_iter().flatten();
        standing.known.extend(all.chain(standing.waiting.keys()).chain(standing.dead.keys()));
        Ok(standing)
    }

    async fn read_lots(&mut self, context: &Context, id: EndpointId) -> Result<(), StoreError> {
        let frontier = ledger::frontier(context, id).await?;
        let mut first = 0;
        loop {
            let (lots, more) = ledger::lots(context, id, first, PAGE).await?;
            for lot in lots {
                let Some(begin) = lot.first().copied() else { continue };
                first = begin.saturating_add(1);
                let claimed = match begin.cmp(&frontier.lot) {
                    std::cmp::Ordering::Less => lot.len(),
                    std::cmp::Ordering::Equal => usize::try_from(frontier.index).unwrap_or(usize::MAX),
                    std::cmp::Ordering::Greater => 0,
                };
                if let Some(event) = lot.get(claimed) {
                    self.unclaimed = self.unclaimed.min(*event);
                }
                self.owed.extend(lot);
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn read_waiting(&mut self, context: &Context, id: EndpointId) -> Result<(), StoreError> {
        let mut from = 0;
        loop {
            let (rows, more) = ledger::waiting(context, id, from, PAGE).await?;
            from = rows.last().map_or(u64::MAX, |(event, _)| event.saturating_add(1));
            self.waiting.extend(rows.into_iter().map(|(event, row)| (event, row.class)));
            if !more {
                return Ok(());
            }
        }
    }

    async fn read_dead(&mut self, context: &Context, id: EndpointId) -> Result<(), StoreError> {
        let mut from = 0;
        loop {
            let (rows, more) = ledger::dead_letters(context, id, from, PAGE).await?;
            from = rows.last().map_or(u64::MAX, |(event, _)| event.saturating_add(1));
            self.dead.extend(rows.into_iter().map(|(event, letter)| (event, letter.reason)));
            if !more {
                return Ok(());
            }
        }
    }

    /// What became of a delivery, given its attempts; and why it was given up, or failed last.
    pub(in super::super) fn fate(&self, event: u64, attempts: &[Try]) -> (Fate, Option<String>) {
        if let Some(reason) = self.dead.get(&event) {
            return (Fate::Dead, Some(reason.clone()));
        }
        if let Some(class) = self.waiting.get(&event) {
            return (Fate::Waiting, class.map(|class| class.name().to_owned()));
        }
        let unclaimed = event >= self.unclaimed && self.owed.contains(&event) && attempts.is_empty();
        if self.held.contains(&event) || unclaimed {
            return (Fate::Waiting, None);
        }
        match attempts.last().map(|attempt| attempt.class) {
            Some(Class::Superseded) => (Fate::Superseded, None),
            _ => (Fate::Delivered, None),
        }
    }
}

/// What `endpoint` was told of changes made in `range`, and of earlier ones that were being sent in it. Test messages have no part in it.
///
/// # Errors
/// The store's.
pub async fn audit(
    context: &Context,
    endpoint: Endpoint,
    range: Range<Utc>,
    limit: usize,
) -> Result<Audited, StoreError> {
    let standing = Standing::read(context, endpoint.id).await?;
    let mut tries = tries(context, endpoint.id, &range).await?;
    let first = first_since(context, range.start).await?;
    let mut audit = Audit::new(limit);
    let mut labels = HashMap::new();
    // Those that are older and were tried in the range, one by one; then the range's own, page by page.
    let older: Vec<u64> = tries.range(..first.min(TEST_EVENTS)).map(|(event, _)| *event).collect();
    for number in older {
        let attempts = tries.remove(&number).unwrap_or_default();
        if let Some(event) = event(context, number).await? {
            audit.take(&story(context, &endpoint, &standing, &event, attempts, &mut labels).await?);
        }
    }
    let mut after = first.saturating_sub(1);
    loop {
        let page = context.store.events(after, PAGE).await?;
        for event in page.rows {
            after = event.seq;
            if event.at >= range.end {
                return Ok(Audited { endpoint, report: audit.end() });
            }
            let attempts = tries.remove(&event.seq);
            if event.at >= range.start && (attempts.is_some() || standing.known.contains(&event.seq)) {
                let attempts = attempts.unwrap_or_default();
                audit.take(&story(context, &endpoint, &standing, &event, attempts, &mut labels).await?);
            }
        }
        if !page.more {
            return Ok(Audited { endpoint, report: audit.end() });
        }
    }
}

async fn story(
    context: &Context,
    endpoint: &Endpoint,
    standing: &Standing,
    event: &Event,
    attempts: Vec<Try>,
    labels: &mut HashMap<CollectionId, String>,
) -> Result<Story, StoreError> {
    let calendar = match labels.get(&event.collection) {
        Some(label) => label.clone(),
        None => {
            let label = calendar_label(context, event.collection).await?;
            labels.insert(event.collection, label.clone());
            label
        }
    };
    let (fate, reason) = standing.fate(event.seq, &attempts);
    let webhook_id = webhook_id(endpoint.id, event);
    let changed_ms = Millis::from(event.at).0;
    Ok(Story { webhook_id, calendar, sequence: event.revision.0, changed_ms, fate, reason, attempts })
}

/// How many events have not been handed out to endpoints yet.
///
/// # Errors
/// The store's.
pub async fn behind(context: &Context) -> Result<u64, StoreError> {
    let newest = *context.store.newest_event().borrow();
    let standing = outbox::standing(context, outbox::WEBHOOKS).await?;
    Ok(standing.map_or(0, |standing| newest.saturating_sub(standing.position)))
}

/// The attempts that began in `range`, by event.
///
/// # Errors
/// The store's.
pub(in super::super) async fn tries(
    context: &Context,
    id: EndpointId,
    range: &Range<Utc>,
) -> Result<BTreeMap<u64, Vec<Try>>, StoreError> {
    let (from, to) = (Millis::from(range.start), Millis::from(range.end));
    let (mut found, mut after): (BTreeMap<u64, Vec<Try>>, _) = (BTreeMap::new(), None);
    loop {
        let (attempts, next) = ledger::attempts(context, id, from, after).await?;
        for attempt in attempts.into_iter().filter(|attempt| attempt.started < to) {
            found.entry(attempt.event).or_default().push(of_attempt(attempt));
        }
        match next {
            Some(key) => after = Some(key),
            None => break,
        }
    }
    found.values_mut().for_each(|attempts| attempts.sort_by_key(|attempt| attempt.number));
    Ok(found)
}

fn of_attempt(attempt: Attempt) -> Try {
    let end = match attempt.class {
        Class::Delivered => End::Taken,
        Class::Timeout | Class::Lost | Class::Network => End::NoAnswer,
        Class::Unreachable | Class::Tls | Class::Blocked | Class::Expired | Class::Superseded => End::NotSent,
        Class::Throttled | Class::ServerError | Class::Refused | Class::Moved | Class::Gone => End::Refused,
    };
    Try {
        number: attempt.attempt,
        began_ms: attempt.started.0,
        ended_ms: attempt.started.plus(u64::from(attempt.elapsed_ms)).0,
        end,
        class: attempt.class,
        status: attempt.status,
        detail: attempt.detail,
    }
}

/// The event with that number, if it is kept.
///
/// # Errors
/// The store's.
pub(in super::super) async fn event(context: &Context, number: u64) -> Result<Option<Event>, StoreError> {
    let Some(before) = number.checked_sub(1).filter(|_| number < TEST_EVENTS) else { return Ok(None) };
    let page = context.store.events(before, 1).await?;
    Ok(page.rows.into_iter().find(|event| event.seq == number))
}

/// The number of the first event since `since` that is kept: events are in the order of time.
pub(in super::super) async fn first_since(context: &Context, since: Utc) -> Result<u64, StoreError> {
    let Some((length, _)) = context.store.outbox()? else { return Ok(TEST_EVENTS) };
    let Some(oldest) = context.store.events(0, 1).await?.rows.into_iter().next() else { return Ok(TEST_EVENTS) };
    let (mut low, mut high) = (oldest.seq, oldest.seq.saturating_add(length));
    while low < high {
        let middle = low + (high - low) / 2;
        match event(context, middle).await? {
            Some(found) if found.at >= since => high = middle,
            _ => low = middle + 1,
        }
    }
    Ok(low)
}
