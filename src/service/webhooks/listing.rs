//! Deliveries one by one, the newest first: what each tells, how it stands, what was tried.

use std::collections::{BTreeSet, HashMap};

use super::audit::{Fate, Standing, Story, event, first_since, tries};
use super::ledger;
use super::overview::calendar_label;
use super::{Endpoint, EventType, Hearing, Millis, TEST_EVENTS, second_of, test_id, webhook_id};
use crate::base::{CollectionId, Utc};
use crate::model::{Event, EventKind, Path, UserName};
use crate::service::{Context, StoreError};

/// A delivery with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number: the event's place in the outbox, or a test's own.
    pub event: u64,
    /// How it stands, and what was tried.
    pub story: Story,
    /// What happened; `None` for what is no longer kept.
    pub kind: Option<EventType>,
    /// Where the object, or the calendar, is.
    pub path: Option<Path>,
    /// When the change was made.
    pub changed: Option<Utc>,
    /// When it is sent, of one that failed or was asked for.
    pub next: Option<Millis>,
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only those that stand so.
    pub fate: Option<Fate>,
    /// Only changes made from here on.
    pub since: Option<Utc>,
    /// Only changes made before.
    pub until: Option<Utc>,
    /// Only numbers below this one: the place where an earlier page ended.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// The deliveries of an endpoint that are wanted, the newest first (tests before all); and the place to go on from, if there are more.
///
/// # Errors
/// The store's.
pub async fn deliveries(
    context: &Context,
    endpoint: &Endpoint,
    wanted: &Wanted,
) -> Result<(Vec<Told>, Option<u64>), StoreError> {
    let standing = Standing::read(context, endpoint.id).await?;
    let mut tries = tries(context, endpoint.id, &(wanted.since.unwrap_or(Utc::MIN)..Utc::MAX)).await?;
    let before = wanted.before.unwrap_or(u64::MAX);
    let numbers: BTreeSet<u64> =
        standing.known.range(..before).chain(tries.range(..before).map(|(event, _)| event)).copied().collect();
    let mut found: Vec<Told> = Vec::new();
    let mut labels = HashMap::new();
    for number in numbers.into_iter().rev() {
        let attempts = tries.remove(&number).unwrap_or_default();
        let (fate, reason) = standing.fate(number, &attempts);
        if wanted.fate.is_some_and(|wanted| wanted != fate) {
            continue;
        }
        let event = event(context, number).await?;
        let changed = event.as_ref().map(|event| event.at);
        if wanted.until.is_some_and(|until| changed.is_some_and(|at| at >= until)) {
            continue;
        }
        if wanted.since.is_some_and(|since| changed.is_some_and(|at| at < since)) {
            break;
        }
        if found.len() >= wanted.limit {
            let next = found.last().map(|told| told.event);
            return Ok((found, next));
        }
        let calendar = match &event {
            Some(event) => label(context, event.collection, &mut labels).await?,
            None => String::new(),
        };
        let mut told = told(endpoint, number, event, calendar);
        (told.story.fate, told.story.reason, told.story.attempts) = (fate, reason, attempts);
        told.next = ledger::waiting_row(context, endpoint.id, number).await?.map(|row| row.next);
        found.push(told);
    }
    Ok((found, None))
}

async fn label(
    context: &Context,
    id: CollectionId,
    labels: &mut HashMap<CollectionId, String>,
) -> Result<String, StoreError> {
    if let Some(label) = labels.get(&id) {
        return Ok(label.clone());
    }
    let label = calendar_label(context, id).await?;
    labels.insert(id, label.clone());
    Ok(label)
}

fn told(endpoint: &Endpoint, number: u64, event: Option<Event>, calendar: String) -> Told {
    let webhook_id = match &event {
        Some(event) => webhook_id(endpoint.id, event),
        None => test_id(endpoint, number),
    };
    let story = Story {
        webhook_id,
        sequence: event.as_ref().map_or(0, |event| event.revision.0),
        changed_ms: event.as_ref().map_or(0, |event| Millis::from(event.at).0),
        fate: Fate::Waiting,
        reason: None,
        attempts: Vec::new(),
        calendar,
    };
    let path = event.as_ref().and_then(|event| path(&story.calendar, &event.kind));
    let kind = match &event {
        Some(event) => Some(EventType::of(&event.kind)),
        None => (number >= TEST_EVENTS).then_some(EventType::Test),
    };
    Told { event: number, story, kind, path, changed: event.map(|event| event.at), next: None }
}

/// The number of the delivery with that `webhook-id`: of any event that is kept, or of a test that was sent. `None` if there is none.
///
/// # Errors
/// The store's.
pub async fn find(context: &Context, endpoint: &Endpoint, message: &str) -> Result<Option<u64>, StoreError> {
    let Some(at) = second_of(message) else { return Ok(None) };
    let mut after = first_since(context, at).await?.saturating_sub(1);
    loop {
        let page = context.store.events(after, 1_000).await?;
        for event in page.rows.iter().take_while(|event| event.at == at) {
            if webhook_id(endpoint.id, event) == message {
                return Ok(is_its(context, endpoint, event).await?.then_some(event.seq));
            }
        }
        match page.rows.last() {
            Some(last) if page.more && last.at == at => after = last.seq,
            _ => break,
        }
    }
    if at != endpoint.created {
        return Ok(None);
    }
    let tries = tries(context, endpoint.id, &(Utc::MIN..Utc::MAX)).await?;
    let sent = tries.range(TEST_EVENTS..).map(|(number, _)| *number);
    Ok(sent
        .chain(ledger::waiting(context, endpoint.id, TEST_EVENTS, 1_000).await?.0.into_iter().map(|(number, _)| number))
        .find(|number| test_id(endpoint, *number) == message))
}

/// Whether the endpoint may hear of it, or was told: an id is made of numbers that can be guessed, and proves nothing.
async fn is_its(context: &Context, endpoint: &Endpoint, event: &Event) -> Result<bool, StoreError> {
    if Hearing::default().would_hear(context, endpoint, event).await?.is_some() {
        return Ok(true);
    }
    Ok(Standing::read(context, endpoint.id).await?.known.contains(&event.seq)
        || tries(context, endpoint.id, &(Utc::MIN..Utc::MAX)).await?.contains_key(&event.seq))
}

fn path(calendar: &str, kind: &EventKind) -> Option<Path> {
    let (user, calendar) = calendar.split_once('/')?;
    let calendar = Path::Calendar(UserName::new(user).ok()?, calendar.to_owned());
    match kind {
        EventKind::ObjectCreated { name, .. }
        | EventKind::ObjectUpdated { name, .. }
        | EventKind::ObjectDeleted { name, .. } => calendar.member(name),
        _ => Some(calendar),
    }
}
