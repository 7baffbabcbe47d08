//! The end of endpoints: removed by whoever manages them, or with the user whose they are.
//!
//! The endpoint's own rows go in one batch; from then on it is not there. Its ledger follows in pieces, since it may be long. What a
//! crash in between leaves, or a dispatcher that was just writing, [`sweep`] finds later.

use super::kept::{endpoint, write};
use super::{EndpointId, Owner, ledger, secret};
use crate::access::Actor;
use crate::base::PrincipalId;
use crate::model::Shelf;
use crate::service::{Context, Error, StoreError};
use crate::store::Write;

/// The shelves with rows whose keys begin with the endpoint.
const LEDGER: [Shelf; 4] = [Shelf::Due, Shelf::Deliveries, Shelf::DeadLetters, Shelf::Attempts];
/// The kinds of rows of delivery state that end with the endpoint.
const STATES: &[u8] = b"fh";
/// Rows that are deleted at a time.
const PAGE: usize = 1_000;

/// Removes an endpoint with all that is known of its deliveries.
///
/// # Errors
/// As [`endpoint`].
pub async fn remove(context: &Context, actor: Actor, id: EndpointId) -> Result<(), Error> {
    endpoint(context, actor, id).await?;
    write(context, actor, own_rows(id)).await?;
    forget(context, id).await
}

/// A user's endpoints, and the writes that take them away together with the user. When those are durable, [`forget`] each.
///
/// # Errors
/// The store's.
pub async fn of_user(context: &Context, user: PrincipalId) -> Result<(Vec<EndpointId>, Vec<Write>), StoreError> {
    let all = ledger::all_endpoints(context).await?;
    let ids: Vec<_> = all.iter().filter(|one| one.owner == Owner::User(user)).map(|one| one.id).collect();
    let writes = ids.iter().flat_map(|id| own_rows(*id)).collect();
    Ok((ids, writes))
}

/// Forgets the deliveries of an endpoint that is not there any more, and tells the dispatcher.
///
/// # Errors
/// The store's.
pub async fn forget(context: &Context, id: EndpointId) -> Result<(), Error> {
    context.webhooks.changed(id);
    for shelf in LEDGER {
        empty(context, shelf, id).await?;
    }
    Ok(())
}

/// Removes endpoints whose user is gone, and rows of endpoints that are gone.
///
/// # Errors
/// The store's.
pub async fn sweep(context: &Context) -> Result<(), Error> {
    for endpoint in ledger::all_endpoints(context).await? {
        if let Owner::User(user) = endpoint.owner
            && context.store.principal(user).await?.is_none()
        {
            remove(context, Actor::System, endpoint.id).await?;
        }
    }
    for shelf in LEDGER {
        sweep_shelf(context, shelf, Vec::new(), Vec::new(), 0).await?;
    }
    for kind in STATES {
        let range = Shelf::prefix(&[*kind]);
        sweep_shelf(context, Shelf::DeliveryState, range.start, range.end, 1).await?;
    }
    Ok(())
}

/// Looks at one row of each endpoint in the range of keys: `before` bytes, then the endpoint.
async fn sweep_shelf(
    context: &Context,
    shelf: Shelf,
    start: Vec<u8>,
    end: Vec<u8>,
    before: usize,
) -> Result<(), Error> {
    let mut from = start;
    loop {
        let page = context.store.rows(shelf, from..end.clone(), 1).await?;
        let Some((key, _)) = page.rows.first() else { return Ok(()) };
        let prefix = key.get(..before + 8).unwrap_or(key).to_vec();
        if let Some(id) = prefix.last_chunk().map(|id| EndpointId(u64::from_be_bytes(*id)))
            && ledger::endpoint(context, id).await?.is_none()
        {
            empty_range(context, shelf, &prefix).await?;
        }
        from = Shelf::prefix(&prefix).end;
        if !page.more || from.is_empty() {
            return Ok(());
        }
    }
}

/// The rows without which there is no endpoint.
fn own_rows(id: EndpointId) -> Vec<Write> {
    let states = STATES.iter().map(|kind| Write::DeleteRow(Shelf::DeliveryState, ledger::state_key(*kind, id)));
    secret::delete(id).into_iter().chain(states).collect()
}

async fn empty(context: &Context, shelf: Shelf, id: EndpointId) -> Result<(), Error> {
    empty_range(context, shelf, &id.0.to_be_bytes()).await
}

async fn empty_range(context: &Context, shelf: Shelf, prefix: &[u8]) -> Result<(), Error> {
    loop {
        let (keys, more) = ledger::keys_of(context, shelf, Shelf::prefix(prefix), PAGE).await?;
        if !keys.is_empty() {
            let writes = keys.into_iter().map(|key| Write::DeleteRow(shelf, key)).collect();
            write(context, Actor::System, writes).await?;
        }
        if !more {
            return Ok(());
        }
    }
}
