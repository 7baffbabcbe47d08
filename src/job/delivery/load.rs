//! From the ledger into the plan, and what is old out of the ledger.

use super::{Dispatcher, calendars};
use crate::base::CollectionId;
use crate::service::webhooks::{Endpoint, EndpointId, Entry, SigningSecrets, ledger, removal, secret};
use crate::service::{Context, Error, outbox};

/// Lots and rows that are read at once.
const PAGE: usize = 256;
/// Lots that are read at once when their turn has come. While changes come one by one, a lot holds one: read singly, a backlog of them
/// would go out with one message a round.
const LOTS_AHEAD: usize = 128;
/// Entries of those lots after which no further one is taken.
const ENTRIES_AHEAD: usize = 1_024;

impl Dispatcher {
    /// All that is in the ledger.
    pub(super) async fn load(&mut self) -> Result<(), Error> {
        for endpoint in ledger::all_endpoints(&self.context).await? {
            self.load_endpoint(endpoint).await?;
        }
        let leases = ledger::leases(&self.context).await?;
        for (worker, lease) in leases {
            let numbers: Vec<u64> = lease.held.iter().map(|held| held.event).collect();
            let calendars = calendars(&self.context, &mut self.events, &numbers).await?;
            let calendar = |held: &ledger::Held| calendars.get(&held.event).copied().unwrap_or(CollectionId(0));
            let times = self.times();
            self.plan.known_lease(&worker, &lease, calendar, times);
        }
        Ok(())
    }

    async fn load_endpoint(&mut self, endpoint: Endpoint) -> Result<(), Error> {
        let id = endpoint.id;
        secret::seal(&self.context, id).await?;
        let Some(secrets) = secret::secrets(&self.context, id).await? else { return Ok(()) };
        let secrets = usable(id, secrets);
        let health = ledger::health(&self.context, id).await?;
        let frontier = ledger::frontier(&self.context, id).await?;
        let times = self.times();
        self.plan.add(endpoint, secrets, health, frontier, times);
        self.load_waiting(id).await?;
        let mut first = frontier.lot;
        loop {
            let (lots, more) = ledger::lots(&self.context, id, first, PAGE).await?;
            for lot in lots {
                first = lot.first().map_or(first, |first| first + 1);
                let entries = self.entries(id, lot).await?;
                self.plan.known_lot(id, entries);
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn load_waiting(&mut self, id: EndpointId) -> Result<(), Error> {
        let mut first = 0;
        loop {
            let (rows, more) = ledger::waiting(&self.context, id, first, PAGE).await?;
            let numbers: Vec<u64> =
                if self.plan.is_in_order(id) { rows.iter().map(|row| row.0).collect() } else { Vec::new() };
            let calendars = calendars(&self.context, &mut self.events, &numbers).await?;
            let times = self.times();
            for (event, row) in rows {
                first = event.saturating_add(1);
                let calendar = calendars.get(&event).copied().unwrap_or(CollectionId(0));
                self.plan.known_waiting(id, event, row, calendar, times);
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn entries(&mut self, id: EndpointId, lot: Vec<u64>) -> Result<Vec<Entry>, Error> {
        if !self.plan.is_in_order(id) {
            return Ok(lot.into_iter().map(|event| (event, CollectionId(0))).collect());
        }
        let calendars = calendars(&self.context, &mut self.events, &lot).await?;
        Ok(lot.into_iter().map(|event| (event, calendars.get(&event).copied().unwrap_or(CollectionId(0)))).collect())
    }

    /// Reads the lots whose turn has come.
    pub(super) async fn read_lots(&mut self, now: u64) -> Result<(), Error> {
        for (id, first) in self.plan.unread(now) {
            let (lots, _) = ledger::lots(&self.context, id, first, LOTS_AHEAD).await?;
            if lots.first().and_then(|lot| lot.first()) != Some(&first) {
                self.plan.read(id, first, None);
                continue;
            }
            let mut ahead = 0;
            for lot in lots {
                let Some(begin) = lot.first().copied() else { continue };
                ahead += lot.len();
                let entries = self.entries(id, lot).await?;
                self.plan.read(id, begin, Some(entries));
                if ahead >= ENTRIES_AHEAD {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What management changed in the store.
    pub(super) async fn follow_changes(&mut self) -> Result<(), Error> {
        for id in self.context.webhooks.take_changed() {
            let found = ledger::endpoint(&self.context, id).await?;
            let secrets = secret::secrets(&self.context, id).await?;
            let (Some(endpoint), Some(secrets)) = (found, secrets) else {
                self.plan.remove(id);
                continue;
            };
            let health = ledger::health(&self.context, id).await?;
            if self.plan.endpoints().any(|known| known.id == id && known.order != endpoint.order) {
                // What waits is kept in another way for each order, so it is read anew. What is under way may go twice.
                self.plan.remove(id);
            }
            if self.plan.update(endpoint.clone(), usable(id, secrets), health) {
                self.load_waiting(id).await?;
            } else {
                self.load_endpoint(endpoint).await?;
            }
        }
        Ok(())
    }
}

/// Secrets, and a word in the log of those that cannot be used.
fn usable(id: EndpointId, secrets: secret::Found) -> Option<SigningSecrets> {
    let secrets = secrets.open();
    if secrets.is_none() {
        tracing::error!(
            endpoint = %id,
            "webhook.secret.locked: nothing is sent; put the former key back, or rotate the endpoint's secret"
        );
    }
    secrets
}

/// Removes what is older than it is to be kept: events, attempts, dead letters, lots of events that are no longer there.
pub(super) async fn sweep(context: &Context) -> Result<(), Error> {
    let keep_seconds = context.webhooks.settings.retention_days.saturating_mul(86_400);
    outbox::trim(context, keep_seconds).await?;
    let oldest = context.store.events(0, 1).await?.rows.first().map_or(u64::MAX, |event| event.seq);
    let before = context.clock.now().plus(-i64::try_from(keep_seconds).unwrap_or(i64::MAX));
    removal::sweep(context).await?;
    for endpoint in ledger::all_endpoints(context).await? {
        ledger::sweep(context, endpoint.id, before.into(), oldest).await?;
    }
    Ok(())
}
