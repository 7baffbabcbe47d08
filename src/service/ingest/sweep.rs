//! Whole listings: what they did not name is gone, when they end and when it comes late.

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::apply::{Input, Person, settle_all};
use super::kept::{account_key, owner_key, read, read_record, scope_key, written};
use crate::base::PrincipalId;
use crate::merge::{Generation, Scope, Sweep};
use crate::model::Shelf;
use crate::service::again::{self, ATTEMPTS_MAX};
use crate::service::providers::Account;
use crate::service::{Context, Error, StoreError};
use crate::store::{Assert, Batch, CommitError, Write};

/// Records looked at together.
const PAGE: usize = 1_000;
/// How many listings of a part of the time are remembered for a calendar.
const WINDOWS_MAX: usize = 8;
/// Pages that the pages of one pull are remembered for.
const PAGES_MAX: u32 = 100_000;

/// Takes in the end of a whole listing, all pages of which have been applied: what it did not name is gone. The listing is
/// remembered, so that what comes later and is older is met by it too.
///
/// # Errors
/// As [`super::apply`].
pub async fn sweep(context: &Context, account: &Account, sweep: &Sweep) -> Result<Outcome, Error> {
    let person = Person::load(context, account.owner).await?;
    let mut outcome = Outcome::default();
    if !remember(context, person.id, sweep).await? {
        return Ok(outcome);
    }
    let prefix = scope_key(person.id, &sweep.scope);
    let range = Shelf::prefix(&prefix);
    let mut from = range.start.clone();
    loop {
        let page = context.store.rows(Shelf::Records, from..range.end.clone(), PAGE).await?;
        let mut inputs = Vec::new();
        for (_, row) in &page.rows {
            let kept = read_record(row)?;
            if kept.record.swept(sweep).is_some() {
                inputs.push(Input::Swept(kept.record.source.clone(), sweep.clone()));
            }
        }
        outcome.add(settle_all(context, &person, inputs).await?);
        match page.rows.last() {
            Some((key, _)) if page.more => from = [key.as_slice(), &[0]].concat(),
            _ => break,
        }
    }
    outcome.measure(account.key.provider.name());
    Ok(outcome)
}

/// Writes a listing down. Says whether it judges anything that an earlier one did not.
async fn remember(context: &Context, owner: PrincipalId, sweep: &Sweep) -> Result<bool, Error> {
    let key = scope_key(owner, &sweep.scope);
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let seen = context.store.row(Shelf::Sweeps, &key).await?;
        let mut sweeps: Vec<Sweep> = match &seen {
            Some(row) => read(row, "sweeps")?,
            None => Vec::new(),
        };
        if sweeps.iter().any(|known| covers(known, sweep)) {
            // Written and perhaps not carried through, if a crash came in between: going over it again costs little.
            return Ok(sweeps.contains(sweep));
        }
        sweeps.retain(|known| !covers(sweep, known));
        sweeps.push(sweep.clone());
        let surplus = sweeps.len().saturating_sub(WINDOWS_MAX);
        sweeps.drain(..surplus);
        let batch = Batch {
            at: context.clock.now(),
            asserts: vec![Assert::RowIs(Shelf::Sweeps, key.clone(), seen)],
            writes: vec![Write::PutRow(Shelf::Sweeps, key.clone(), written(&sweeps))],
            ..Batch::default()
        };
        match context.store.commit(batch).await {
            Ok(_) => return Ok(true),
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(CommitError::Failed { .. }) => {}
        }
    }
    Err(Error::StateChanged)
}

/// Whether all that `later` judges, `one` judges as well.
fn covers(one: &Sweep, later: &Sweep) -> bool {
    let wider = match (one.window, later.window) {
        (None, _) => true,
        (Some(one), Some(later)) => one.start <= later.start && later.end <= one.end,
        (Some(_), None) => false,
    };
    one.scope == later.scope && one.generation >= later.generation && wider
}

/// Which pages of a pull have been applied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Pages {
    seen: Vec<u32>,
    last: Option<(u32, Sweep)>,
}

/// Notes that a page of a pull has been applied, where pages can come in any order (a bus, a replay). `listing` comes with the
/// last page of a whole listing; it is given back, once, when all pages up to that one are there.
///
/// # Errors
/// The store's.
pub async fn page(
    context: &Context,
    account: &Account,
    scope: &Scope,
    generation: Generation,
    number: u32,
    listing: Option<&Sweep>,
) -> Result<Option<Sweep>, Error> {
    let mut key = scope_key(account.owner, scope);
    // No calendar's name begins so: the key is not that of another calendar's sweeps.
    key.extend_from_slice(&[0xff]);
    key.extend_from_slice(&generation.0.to_be_bytes());
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let seen = context.store.row(Shelf::Sweeps, &key).await?;
        let mut pages: Pages = match &seen {
            Some(row) => read(row, "pages")?,
            None => Pages::default(),
        };
        let before = pages.clone();
        if let Err(place) = pages.seen.binary_search(&number)
            && number <= PAGES_MAX
        {
            pages.seen.insert(place, number);
        }
        if let Some(listing) = listing {
            pages.last = Some((number, listing.clone()));
        }
        let whole = pages.last.as_ref().filter(|(last, _)| (1..=*last).all(|page| pages.seen.contains(&page)));
        let done = whole.map(|(_, sweep)| sweep.clone());
        if pages == before {
            return Ok(done);
        }
        let batch = Batch {
            at: context.clock.now(),
            asserts: vec![Assert::RowIs(Shelf::Sweeps, key.clone(), seen)],
            writes: vec![Write::PutRow(Shelf::Sweeps, key.clone(), written(&pages))],
            ..Batch::default()
        };
        match context.store.commit(batch).await {
            Ok(_) => return Ok(done),
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(CommitError::Failed { .. }) => {}
        }
    }
    Err(Error::StateChanged)
}

/// Forgets all that an account has said, as if it had never been there: for an account that is removed.
///
/// # Errors
/// As [`super::apply`].
pub async fn forget_account(context: &Context, account: &Account) -> Result<Outcome, Error> {
    let person = Person::load(context, account.owner).await?;
    let prefix = account_key(person.id, account.key.provider, &account.key.name);
    let mut outcome = Outcome::default();
    loop {
        let page = context.store.rows(Shelf::Records, Shelf::prefix(&prefix), PAGE).await?;
        let forgotten = |(_, row): &(Vec<u8>, bytes::Bytes)| {
            let kept = read_record(row)?;
            Ok(Input::Forgotten(kept.record.source))
        };
        let inputs = page.rows.iter().map(forgotten).collect::<Result<Vec<_>, Error>>()?;
        outcome.add(settle_all(context, &person, inputs).await?);
        if !page.more {
            break;
        }
    }
    let sweeps = context.store.rows(Shelf::Sweeps, Shelf::prefix(&prefix), PAGE).await?;
    let writes = sweeps.rows.into_iter().map(|(key, _)| Write::DeleteRow(Shelf::Sweeps, key)).collect();
    context.store.commit(Batch { at: context.clock.now(), writes, ..Batch::default() }).await?;
    Ok(outcome)
}

/// Forgets every row of a user who is being removed: the writes, to go into the batch that removes the user.
///
/// # Errors
/// The store's.
pub(in crate::service) async fn forget_user(context: &Context, owner: PrincipalId) -> Result<Vec<Write>, StoreError> {
    let mut writes = Vec::new();
    for shelf in [Shelf::Records, Shelf::Joins, Shelf::Meetings, Shelf::Sweeps] {
        let range = Shelf::prefix(&owner_key(owner));
        let page = context.store.rows(shelf, range, usize::MAX).await?;
        writes.extend(page.rows.into_iter().map(|(key, _)| Write::DeleteRow(shelf, key)));
    }
    Ok(writes)
}
