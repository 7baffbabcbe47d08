//! Reads what an audit needs from the ledger, window by window.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use super::super::ledger;
use super::super::overview::calendar_label;
use super::super::{Endpoint, EventType, Millis, TEST_EVENTS, webhook_id};
use super::window::{Keep, Mark, Side, Sought, Window, tries_of};
use super::{Audit, Fate, Report, Story};
use crate::base::{CollectionId, Utc};
use crate::model::Event;
use crate::service::{Context, StoreError, outbox};

/// Events that are read at a time.
const PAGE: usize = 64;
/// Deliveries that are looked at at a time.
const WINDOW: usize = 100_000;

/// What an audit of one endpoint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What it was told.
    pub report: Report,
}

/// What `endpoint` was told of changes made in `range`, and of earlier ones that were being sent in it. Test messages have no part in it.
///
/// Memory: a window of deliveries without texts, 32 bytes for each message that arrived (to tell their order), and what the listings name, which is
/// all that texts are read for. However much the receiver answered, and however long the log is, no more.
///
/// # Errors
/// The store's.
pub async fn audit(
    context: &Context,
    endpoint: Endpoint,
    range: Range<Utc>,
    limit: usize,
) -> Result<Audited, StoreError> {
    audit_by(context, endpoint, range, limit, WINDOW).await
}

/// The same with windows of that size.
async fn audit_by(
    context: &Context,
    endpoint: Endpoint,
    range: Range<Utc>,
    limit: usize,
    most: usize,
) -> Result<Audited, StoreError> {
    let first = first_since(context, range.start).await?;
    let mut audit = Audit::new(limit);
    let mut stories = Stories { context, endpoint: &endpoint, labels: HashMap::new(), page: VecDeque::new() };
    // Those that are older and were tried in the range; then the range's own.
    let mut from = Some(0);
    while let Some(start) = from {
        let mut window = Window::new(start..first.min(TEST_EVENTS), Side::Lowest, most);
        window.read_log(context, endpoint.id, &range, Sought::All, Keep::Last).await?;
        window.read_standing(context, endpoint.id, Sought::Known).await?;
        window.read_log(context, endpoint.id, &range, Sought::Known, Keep::Tries).await?;
        let (found, next) = window.end();
        for (number, mark) in found {
            if let Some(event) = stories.event(number).await? {
                audit.take(&stories.story(&event, mark).await?);
            }
        }
        from = next;
    }
    let mut from = Some(first);
    'own: while let Some(start) = from {
        let mut window = Window::new(start..TEST_EVENTS, Side::Lowest, most);
        window.read_standing(context, endpoint.id, Sought::All).await?;
        window.read_log(context, endpoint.id, &range, Sought::All, Keep::Tries).await?;
        let (found, next) = window.end();
        for (number, mark) in found {
            let Some(event) = stories.event(number).await? else { continue };
            if event.at >= range.end {
                break 'own;
            }
            if event.at >= range.start {
                audit.take(&stories.story(&event, mark).await?);
            }
        }
        from = next;
    }
    let mut report = audit.end();
    name(&mut stories, &mut report, &range).await?;
    Ok(Audited { endpoint, report })
}

/// Reads the texts of what the listings name.
async fn name(stories: &mut Stories<'_>, report: &mut Report, range: &Range<Utc>) -> Result<(), StoreError> {
    let (context, endpoint) = (stories.context, stories.endpoint);
    let repeated = report.more_than_once.first.iter_mut().map(|one| &mut one.story);
    let missing = report.not_delivered.first.iter_mut().map(|one| &mut one.story);
    let mut told: Vec<&mut Story> = repeated.chain(missing).collect();
    let events: BTreeSet<u64> = told.iter().map(|story| story.event).collect();
    let texts = tries_of(context, endpoint.id, range, &events).await?;
    for story in &mut told {
        let known = texts.get(&story.event).map(Vec::as_slice).unwrap_or_default();
        for attempt in &mut story.attempts {
            let same = known.iter().find(|one| one.number == attempt.number && one.began_ms == attempt.began_ms);
            attempt.detail = same.map(|one| one.detail.clone()).unwrap_or_default();
        }
        if story.fate == Fate::Dead {
            let letter = ledger::dead_letter(context, endpoint.id, story.event).await?;
            story.reason = letter.map(|letter| letter.reason);
        }
    }
    for late in &mut report.out_of_order.first {
        if let Some(event) = event(context, late.event).await? {
            late.webhook_id = webhook_id(endpoint.id, &event);
        }
    }
    Ok(())
}

/// Makes stories of marks. Events are asked for in growing order.
struct Stories<'a> {
    context: &'a Context,
    endpoint: &'a Endpoint,
    labels: HashMap<CollectionId, String>,
    page: VecDeque<Event>,
}

impl Stories<'_> {
    /// The event with that number, if it is kept.
    async fn event(&mut self, number: u64) -> Result<Option<Event>, StoreError> {
        while self.page.front().is_some_and(|event| event.seq < number) {
            self.page.pop_front();
        }
        if self.page.is_empty() {
            let before = number.saturating_sub(1);
            self.page = self.context.store.events(before, PAGE).await?.rows.into();
        }
        let is_it = self.page.front().is_some_and(|event| event.seq == number);
        Ok(if is_it { self.page.pop_front() } else { None })
    }

    async fn story(&mut self, event: &Event, mark: Mark) -> Result<Story, StoreError> {
        let calendar = match self.labels.get(&event.collection) {
            _ if EventType::of(&event.kind).is_of_endpoint() => String::new(),
            Some(label) => label.clone(),
            None => {
                let label = calendar_label(self.context, event.collection).await?;
                self.labels.insert(event.collection, label.clone());
                label
            }
        };
        Ok(Story {
            event: event.seq,
            webhook_id: webhook_id(self.endpoint.id, event),
            calendar,
            sequence: event.revision.0,
            changed_ms: Millis::from(event.at).0,
            fate: mark.fate(),
            reason: mark.reason(),
            attempts: mark.tries,
        })
    }
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

#[cfg(test)]
mod tests;
