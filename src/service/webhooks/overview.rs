//! One endpoint at a glance: what waits for it, what was given up, since when it fails and with what.

use super::ledger::{self, Health};
use super::secret::{self, Found};
use super::{BreakerState, Endpoint, Millis, Owner};
use crate::base::{CollectionId, Utc};
use crate::service::{Context, StoreError};

/// Rows that are read at a time.
const PAGE: usize = 1_000;

/// One endpoint at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whose it is; `None` for the administrator's own.
    pub user: Option<String>,
    /// The calendars it hears of, as `USER/CALENDAR`.
    pub calendars: Vec<String>,
    /// How it answers.
    pub health: Health,
    /// Deliveries not yet done: never tried, under way, or to be tried again.
    pub waiting: u64,
    /// When the oldest change was made that is waiting.
    pub oldest: Option<Utc>,
    /// When the next of those that failed is tried again.
    pub next: Option<Millis>,
    /// Deliveries given up.
    pub dead: u64,
    /// How the dispatcher has it; `None` where none runs, as beside the server.
    pub breaker: Option<BreakerState>,
    /// Until when messages are signed with the former secret as well.
    pub former_secret_until: Option<Utc>,
    /// Whether its secrets were sealed under a key that is not here: nothing can be sent.
    pub secret_locked: bool,
}

/// The overview of `endpoint`.
///
/// # Errors
/// The store's.
pub async fn overview(context: &Context, endpoint: Endpoint) -> Result<Overview, StoreError> {
    let id = endpoint.id;
    let user = match endpoint.owner {
        Owner::User(owner) => {
            Some(context.store.principal(owner).await?.map_or(String::new(), |user| user.name.to_string()))
        }
        Owner::Server => None,
    };
    let mut calendars = Vec::with_capacity(endpoint.calendars.len());
    for calendar in &endpoint.calendars {
        calendars.push(calendar_label(context, *calendar).await?);
    }
    let (unclaimed, first_unclaimed) = unclaimed(context, &endpoint).await?;
    let held: Vec<u64> = ledger::leases(context)
        .await?
        .iter()
        .flat_map(|(_, lease)| lease.held.iter().filter(|held| held.endpoint == id).map(|held| held.event))
        .collect();
    let (mut from, mut retried, mut next, mut oldest) = (0, 0, None::<Millis>, first_unclaimed);
    loop {
        let (rows, more) = ledger::waiting(context, id, from, PAGE).await?;
        for (event, row) in &rows {
            from = event.saturating_add(1);
            retried += 1;
            next = Some(next.map_or(row.next, |known| known.min(row.next)));
            oldest = Some(oldest.map_or(*event, |known: u64| known.min(*event)));
        }
        if !more {
            break;
        }
    }
    let oldest = held.iter().copied().chain(oldest).min();
    let secrets = secret::secrets(context, id).await?;
    Ok(Overview {
        user,
        calendars,
        health: ledger::health(context, id).await?,
        waiting: unclaimed + held.len() as u64 + retried,
        oldest: match oldest {
            Some(event) => changed_at(context, event).await?,
            None => None,
        },
        next,
        dead: dead(context, &endpoint).await?,
        breaker: context.webhooks.standing(id).map(|standing| standing.breaker),
        secret_locked: secrets == Some(Found::Locked),
        former_secret_until: secrets.and_then(Found::open).and_then(|secrets| secrets.former.map(|(_, until)| until)),
        endpoint,
    })
}

/// How many deliveries nobody has claimed yet, and the first of them.
async fn unclaimed(context: &Context, endpoint: &Endpoint) -> Result<(u64, Option<u64>), StoreError> {
    let frontier = ledger::frontier(context, endpoint.id).await?;
    let (mut count, mut first, mut from) = (0, None, frontier.lot);
    loop {
        let (lots, more) = ledger::lots(context, endpoint.id, from, PAGE).await?;
        for lot in &lots {
            let Some(begin) = lot.first().copied() else { continue };
            from = begin.saturating_add(1);
            let claimed = if begin == frontier.lot { usize::try_from(frontier.index).unwrap_or(usize::MAX) } else { 0 };
            let left = lot.get(claimed..).unwrap_or_default();
            count += left.len() as u64;
            first = first.or(left.first().copied());
        }
        if !more {
            return Ok((count, first));
        }
    }
}

async fn dead(context: &Context, endpoint: &Endpoint) -> Result<u64, StoreError> {
    let (mut count, mut from) = (0, 0);
    loop {
        let (rows, more) = ledger::dead_letters(context, endpoint.id, from, PAGE).await?;
        count += rows.len() as u64;
        match rows.last() {
            Some((event, _)) if more => from = event.saturating_add(1),
            _ => return Ok(count),
        }
    }
}

/// When the change with that number was made; `None` if it is no longer kept, or is a test.
async fn changed_at(context: &Context, event: u64) -> Result<Option<Utc>, StoreError> {
    let Some(before) = event.checked_sub(1).filter(|_| event < super::TEST_EVENTS) else { return Ok(None) };
    let page = context.store.events(before, 1).await?;
    Ok(page.rows.into_iter().find(|found| found.seq == event).map(|found| found.at))
}

/// `USER/CALENDAR`; a number for what is gone.
///
/// # Errors
/// The store's.
pub async fn calendar_label(context: &Context, id: CollectionId) -> Result<String, StoreError> {
    let gone = format!("gone/{id}");
    let Some(collection) = context.store.collection(id).await? else { return Ok(gone) };
    let owner = context.store.principal(collection.owner).await?;
    Ok(owner.map_or(gone, |owner| format!("{}/{}", owner.name, collection.name)))
}
