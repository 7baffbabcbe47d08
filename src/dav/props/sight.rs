//! What properties show beyond the resource itself: who asks, and what has to be read beforehand so that values can be
//! written without waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Asked, Needs, Property, Row, Target};
use crate::access::Actor;
use crate::base::{PrincipalId, Utc};
use crate::model::{AcePrincipal, Principal, UserName};
use crate::service::locks::{self, Held, Locks};
use crate::service::{Context, Error, directory};

/// Who looks, and what is loaded for it. One for a request.
pub struct Sight {
    /// The server.
    pub context: Arc<Context>,
    /// Who asks.
    pub actor: Actor,
    /// The principal of who asks.
    pub viewer: Option<Arc<Principal>>,
    /// The time of the request.
    pub now: Utc,
    needs: Vec<Needs>,
    locks: Option<Locks<'static>>,
    names: BTreeMap<PrincipalId, Option<UserName>>,
    used: BTreeMap<PrincipalId, u64>,
}

impl Sight {
    /// The sight of `actor` on what is `asked`.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn new(context: &Arc<Context>, actor: Actor, asked: &Asked) -> Result<Self, Error> {
        let needs = match asked {
            Asked::Names => super::rows().map(|row| row.needs).collect(),
            Asked::All(included) => allprop_needs().chain(included.iter().map(needs_of)).collect(),
            Asked::These(these) => these.iter().map(needs_of).collect(),
        };
        let mut sight = Self {
            context: context.clone(),
            actor,
            viewer: directory::of_actor(context, actor).await?,
            now: context.clock.now(),
            needs,
            locks: None,
            names: BTreeMap::new(),
            used: BTreeMap::new(),
        };
        if sight.needs.contains(&Needs::Locks) {
            sight.locks = Some(locks::show(context).await?);
        }
        Ok(sight)
    }

    /// Loads what the values of `target`, and of the objects in it, take.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn prepare(&mut self, target: Target<'_>) -> Result<(), Error> {
        let Some(node) = target.node() else { return Ok(()) };
        let owner = node.collection.owner;
        if self.needs.contains(&Needs::Usage) && !self.used.contains_key(&owner) {
            self.used.insert(owner, directory::usage(&self.context, owner).await?);
        }
        if self.needs.contains(&Needs::Names) {
            let lists = [node.collection.acl.as_slice()].into_iter().chain(node.inherited().map(|(_, acl)| acl));
            let users = lists.flatten().filter_map(|ace| match ace.principal {
                AcePrincipal::User(id) => Some(id),
                _ => None,
            });
            for id in users.collect::<Vec<_>>() {
                if !self.names.contains_key(&id) {
                    self.names.insert(id, directory::name_of(&self.context, id).await?);
                }
            }
        }
        Ok(())
    }

    /// The name of a principal in an access control list; `None` for one that is gone.
    pub fn name_of(&self, id: PrincipalId) -> Option<&UserName> {
        self.names.get(&id)?.as_ref()
    }

    /// The bytes that a user has stored.
    pub fn used(&self, owner: PrincipalId) -> u64 {
        self.used.get(&owner).copied().unwrap_or_default()
    }

    /// The locks that hold on `target`.
    pub fn locks_on(&self, target: Target<'_>) -> Vec<Held> {
        match (&self.locks, target.node()) {
            (Some(locks), Some(node)) => locks.held(node, target.object().map(|object| object.name.as_str()), self.now),
            _ => Vec::new(),
        }
    }
}

fn allprop_needs() -> impl Iterator<Item = Needs> {
    super::rows().filter(|row| row.listing == super::Listing::Allprop).map(|row: &Row| row.needs)
}

fn needs_of(property: &Property) -> Needs {
    match property {
        Property::Live(row) => row.needs,
        Property::Dead(_) => Needs::Nothing,
    }
}
