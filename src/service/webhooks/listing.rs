//! Deliveries one by one, the newest first: what each tells, how it stands, what was tried.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::audit::{Fate, Keep, Log, Side, Sought, Story, Window, event, first_since, tries_of};
use super::ledger;
use super::overview::calendar_label;
use super::{Endpoint, EventType, Hearing, Millis, TEST_EVENTS, second_of, test_id, webhook_id};
use crate::base::{CollectionId, Utc};
use crate::model::{Event, EventKind, Path, UserName};
use crate::service::{Context, StoreError};

/// Deliveries that are looked at at a time.
const WINDOW: usize = 10_000;

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
/// Memory: a window of deliveries without texts, and the page with its texts, however long the log is. Where few of many are wanted (those that
/// were left out), it takes a walk of the log for each window.
///
/// # Errors
/// The store's.
pub async fn deliveries(
    context: &Context,
    endpoint: &Endpoint,
    wanted: &Wanted,
) -> Result<(Vec<Told>, Option<u64>), StoreError> {
    deliveries_by(context, endpoint, wanted, WINDOW.max(wanted.limit.saturating_add(1))).await
}

/// The same with windows of that size.
pub(super) async fn deliveries_by(
    context: &Context,
    endpoint: &Endpoint,
    wanted: &Wanted,
    most: usize,
) -> Result<(Vec<Told>, Option<u64>), StoreError> {
    let span = wanted.since.unwrap_or(Utc::MIN)..Utc::MAX;
    let sought = Sought::of(wanted.fate);
    let (mut found, mut labels) = (Vec::new(), HashMap::new());
    let mut before = Some(wanted.before.unwrap_or(u64::MAX));
    while let Some(end) = before {
        let mut window = Window::new(0..end, Side::Highest, most);
        window.read_standing(context, endpoint.id, sought).await?;
        window.read_log(context, endpoint.id, &span, sought, Keep::Last).await?;
        let (marks, next) = window.end();
        for (number, mark) in marks.into_iter().rev() {
            if wanted.fate.is_some_and(|wanted| wanted != mark.fate()) {
                continue;
            }
            let event = event(context, number).await?;
            let changed = event.as_ref().map(|event| event.at);
            if wanted.until.is_some_and(|until| changed.is_some_and(|at| at >= until)) {
                continue;
            }
            if wanted.since.is_some_and(|since| changed.is_some_and(|at| at < since)) {
                return with_texts(context, endpoint, &span, found, None).await;
            }
            if found.len() >= wanted.limit {
                let next = found.last().map(|told: &Told| told.event);
                return with_texts(context, endpoint, &span, found, next).await;
            }
            let calendar = match &event {
                Some(event) if !EventType::of(&event.kind).is_of_endpoint() => {
                    label(context, event.collection, &mut labels).await?
                }
                _ => String::new(),
            };
            let mut told = told(endpoint, number, event, calendar);
            (told.story.fate, told.story.reason) = (mark.fate(), mark.reason());
            found.push(told);
        }
        before = next;
    }
    with_texts(context, endpoint, &span, found, None).await
}

/// Reads what is said of the page's deliveries alone.
async fn with_texts(
    context: &Context,
    endpoint: &Endpoint,
    span: &Range<Utc>,
    mut found: Vec<Told>,
    next: Option<u64>,
) -> Result<(Vec<Told>, Option<u64>), StoreError> {
    let events: BTreeSet<u64> = found.iter().map(|told| told.event).collect();
    let mut tries = tries_of(context, endpoint.id, span, &events).await?;
    for told in &mut found {
        told.story.attempts = tries.remove(&told.event).unwrap_or_default();
        told.next = ledger::waiting_row(context, endpoint.id, told.event).await?.map(|row| row.next);
        if told.story.fate == Fate::Dead {
            let letter = ledger::dead_letter(context, endpoint.id, told.event).await?;
            told.story.reason = letter.map(|letter| letter.reason);
        }
    }
    Ok((found, next))
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
        event: number,
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
    let is_it = |number: &u64| *number >= TEST_EVENTS && test_id(endpoint, *number) == message;
    let (waiting, _) = ledger::waiting(context, endpoint.id, TEST_EVENTS, 1_000).await?;
    if let Some((number, _)) = waiting.into_iter().find(|(number, _)| is_it(number)) {
        return Ok(Some(number));
    }
    let mut log = Log::new(endpoint.id, &(Utc::MIN..Utc::MAX));
    while let Some(attempts) = log.next(context).await? {
        if let Some(number) = attempts.iter().map(|attempt| attempt.event).find(is_it) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Whether the endpoint may hear of it, or was told: an id is made of numbers that can be guessed, and proves nothing.
async fn is_its(context: &Context, endpoint: &Endpoint, event: &Event) -> Result<bool, StoreError> {
    if Hearing::default().would_hear(context, endpoint, event).await?.is_some() {
        return Ok(true);
    }
    let mut window = Window::new(event.seq..event.seq.saturating_add(1), Side::Lowest, 1);
    window.read_standing(context, endpoint.id, Sought::All).await?;
    window.read_log(context, endpoint.id, &(Utc::MIN..Utc::MAX), Sought::All, Keep::Last).await?;
    Ok(!window.end().0.is_empty())
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
