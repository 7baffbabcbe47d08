//! Who hears of which event: what an endpoint asked for, and what its owner may read, then and there.

use std::collections::HashMap;

use super::{Endpoint, EventType, Owner};
use crate::access::{Actor, decide};
use crate::base::{CollectionId, PrincipalId};
use crate::model::{CollectionKind, Event, EventKind, Privilege, Privileges};
use crate::service::{Context, StoreError};

/// Collections on the way up from a calendar, at most.
const DEPTH_MAX: usize = 64;

/// Answers the question for many events in a row, and remembers what it looked up. Made anew now and then: it does not see what changes.
#[derive(Default)]
pub struct Hearing {
    found: HashMap<(PrincipalId, CollectionId), Option<Privileges>>,
    /// What an owner could last do in a calendar, for the news that it is gone.
    remembered: HashMap<(PrincipalId, CollectionId), Privileges>,
}

/// Entries of what is remembered of calendars that may be deleted.
const REMEMBERED_MAX: usize = 100_000;

impl Hearing {
    /// Forgets what may have changed, and keeps what is needed for calendars that are gone.
    pub fn refresh(&mut self) {
        let fresh = self.found.drain().filter_map(|(key, privileges)| Some((key, privileges?)));
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.extend(fresh);
        }
    }

    /// The type under which the endpoint hears of the event; `None` if it does not.
    ///
    /// # Errors
    /// The store's.
    pub async fn hears(
        &mut self,
        context: &Context,
        endpoint: &Endpoint,
        event: &Event,
    ) -> Result<Option<EventType>, StoreError> {
        if event.seq <= endpoint.after {
            return Ok(None);
        }
        self.would_hear(context, endpoint, event).await
    }

    /// The same for an event of any age: for replaying what was before the endpoint.
    ///
    /// # Errors
    /// The store's.
    pub async fn would_hear(
        &mut self,
        context: &Context,
        endpoint: &Endpoint,
        event: &Event,
    ) -> Result<Option<EventType>, StoreError> {
        let kind = EventType::of(&event.kind);
        if let EventKind::EndpointNews { endpoint: about, .. } = &event.kind {
            // Its owner alone, and never by the endpoint that it is about.
            let hears =
                endpoint.wants(kind) && endpoint.owner.principal() == event.owner && *about != endpoint.id.to_string();
            return Ok(hears.then_some(kind));
        }
        let busy = kind.is_of_object() && endpoint.wants(EventType::FreebusyChanged);
        if !endpoint.hears_of(event.collection) || !(endpoint.wants(kind) || busy) {
            return Ok(None);
        }
        let privileges = self.privileges(context, endpoint.owner, event).await?;
        Ok(match kind {
            _ if endpoint.wants(kind) && privileges.has(Privilege::Read) => Some(kind),
            _ if busy && privileges.has(Privilege::ReadFreeBusy) => Some(EventType::FreebusyChanged),
            _ => None,
        })
    }

    async fn privileges(&mut self, context: &Context, owner: Owner, event: &Event) -> Result<Privileges, StoreError> {
        let Owner::User(user) = owner else { return Ok(Privileges::ALL) };
        // What concerns an account is its owner's alone.
        if user == event.owner {
            return Ok(Privileges::ALL);
        }
        if matches!(event.kind, EventKind::AccountBroken { .. }) {
            return Ok(Privileges::NONE);
        }
        let key = (user, event.collection);
        let found = match self.found.get(&key) {
            Some(found) => *found,
            None => {
                let found = of_collection(context, user, event.collection).await?;
                self.found.insert(key, found);
                found
            }
        };
        Ok(found.or_else(|| self.remembered.get(&key).copied()).unwrap_or(Privileges::NONE))
    }
}

/// What the user may do in a calendar; `None` if it is gone.
async fn of_collection(
    context: &Context,
    user: PrincipalId,
    id: CollectionId,
) -> Result<Option<Privileges>, StoreError> {
    let Some(collection) = context.store.collection(id).await? else { return Ok(None) };
    // One who was removed reads nothing, whatever access lists still say.
    let is_user = context.store.principal(user).await?.is_some();
    if !is_user || !matches!(collection.kind, CollectionKind::Calendar(_)) {
        return Ok(Some(Privileges::NONE));
    }
    let (owner, mut parent) = (collection.owner, collection.parent);
    let mut lists = vec![collection];
    for _ in 0..DEPTH_MAX {
        let Some(above) = parent else { break };
        let Some(above) = context.store.collection(above).await? else { break };
        parent = above.parent;
        lists.push(above);
    }
    Ok(Some(decide(Actor::User(user), owner, lists.iter().map(|collection| collection.acl.as_slice()))))
}
