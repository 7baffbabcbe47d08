//! Resources of every kind: deleting, copying and moving them with all that is below (RFC 4918 §9.6, §9.8, §9.9), and listing
//! what is in a collection.

mod duplicate;
mod transfer;

use super::again::{self, ATTEMPTS_MAX};
use super::conditions::{Conditions, Validators};
use super::ingest::local::Along;
use super::locks::{self, Locks};
use super::objects;
use super::tree::{self, Node, Resource};
use super::{Context, Error, ingest};
use crate::access::Actor;
use crate::base::{LockToken, Secret};
use crate::model::{Collection, CollectionKind, EventKind, Object, Path, Privilege};
use crate::store::{Assert, Batch, Draft, Write};
pub(super) use duplicate::room_for_collections;
pub use transfer::{Depth, Overwrite, Transfer, Transferred, copy, relocate};

/// Deletes the object or collection at `path`, and everything below.
///
/// # Errors
/// [`Error::Forbidden`] for homes, roots and principals; DAV:lock-token-submitted, [`Error::Members`] for locks below;
/// missing privileges; [`Error::StateChanged`].
pub async fn delete(context: &Context, actor: Actor, path: &Path, conditions: &Conditions) -> Result<(), Error> {
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let locks = locks::read(context).await?;
        let doomed = doomed(context, actor, path).await?;
        conditions.check(Some(&doomed.validators()))?;
        conditions.check_if(context, actor, path, &locks).await?;
        let mut removal = Removal::default();
        removal.add(context, actor, &locks, &doomed, &conditions.tokens()).await?;
        if let Doomed::Collection(_, node) = &doomed {
            removal.asserts.extend(conditions.hold_on(&node.collection));
        }
        let Removal { asserts, writes, events } = removal;
        let batch = Batch { at: context.clock.now(), actor: actor.principal(), asserts, writes, events };
        match context.store.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(error) => objects::failed(error, doomed.node())?,
        }
    }
    Err(Error::StateChanged)
}

/// Something that can be taken away.
#[derive(Debug, Clone)]
pub(super) enum Doomed {
    /// The object in the collection of the node.
    Object(Node, Box<Object>),
    /// The collection of the second node, in that of the first.
    Collection(Node, Box<Node>),
}

impl Doomed {
    /// The collection that it lies in.
    pub(super) fn node(&self) -> &Node {
        match self {
            Self::Object(parent, _) | Self::Collection(parent, _) => parent,
        }
    }

    fn validators(&self) -> Validators {
        match self {
            Self::Object(_, object) => Validators::of_object(object),
            Self::Collection(_, node) => Validators::of_collection(&node.collection),
        }
    }
}

/// What stands at `path`, if it can be taken away and the actor may do it.
pub(super) async fn doomed(context: &Context, actor: Actor, path: &Path) -> Result<Doomed, Error> {
    match tree::resolve(context, actor, path).await? {
        Resource::Fixed(_) | Resource::Principal(_) => {
            Err(Error::Forbidden("this belongs to the server; it stays where it is".into()))
        }
        Resource::Object(node, object) => {
            node.require(Privilege::Unbind)?;
            Ok(Doomed::Object(node, object))
        }
        Resource::Collection(node) if node.collection.parent.is_none() => {
            Err(Error::Forbidden("a user's home and files stay as long as the user does".into()))
        }
        Resource::Collection(node) => {
            let parent = above(context, actor, &node).await?;
            if !parent.privileges.has(Privilege::Unbind) {
                return Err(Error::needs(Privilege::Unbind, &parent.path));
            }
            Ok(Doomed::Collection(parent, Box::new(node)))
        }
    }
}

/// The collection above a known one. Who knows a calendar knows that it lies in a home.
pub(super) async fn above(context: &Context, actor: Actor, node: &Node) -> Result<Node, Error> {
    let path = node.path.parent().ok_or(Error::NotFound)?;
    tree::collection(context, actor, &path).await.map_err(|error| match error {
        Error::NotFound => Error::needs(Privilege::Unbind, &path),
        error => error,
    })
}

/// What taking things away adds to a batch.
#[derive(Debug, Default)]
pub(super) struct Removal {
    pub(super) asserts: Vec<Assert>,
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<Draft>,
}

impl Removal {
    /// Adds `doomed`, its locks and those of all below; a meeting's object becomes a deletion of the meeting by a client.
    pub(super) async fn add(
        &mut self,
        context: &Context,
        actor: Actor,
        locks: &Locks<'_>,
        doomed: &Doomed,
        tokens: &[LockToken],
    ) -> Result<(), Error> {
        self.take_away(context, actor, locks, doomed, tokens).await?;
        if let Doomed::Object(node, object) = doomed {
            self.along(ingest::local::delete(context, node, object).await?);
        }
        Ok(())
    }

    /// Adds what goes along.
    pub(super) fn along(&mut self, along: Along) {
        self.asserts.extend(along.asserts);
        self.writes.extend(along.writes);
    }

    /// The same as [`Removal::add`], whatever the object shows.
    pub(super) async fn take_away(
        &mut self,
        context: &Context,
        actor: Actor,
        locks: &Locks<'_>,
        doomed: &Doomed,
        tokens: &[LockToken],
    ) -> Result<(), Error> {
        locks.check(actor, doomed.node(), None, tokens)?;
        match doomed {
            Doomed::Object(node, object) => {
                let id = node.collection.id;
                locks.check(actor, node, Some(&object.name), tokens)?;
                self.asserts.push(Assert::ObjectAt(id, object.name.clone(), object.revision));
                self.writes.push(Write::DeleteObject(id, object.name.clone()));
                let own = locks.rooted_at(id, &object.name).map(|lock| Write::DeleteLock(lock.token.clone()));
                self.writes.extend(own);
                self.events.extend(deleted_event(node, object));
            }
            Doomed::Collection(_, node) => {
                locks.check(actor, node, None, tokens)?;
                let below = locks.check_tree(context, actor, node, tokens).await?;
                let id = node.collection.id;
                self.asserts.push(Assert::CollectionIs(Secret::new(Box::new(Collection::clone(&node.collection)))));
                self.writes.push(Write::DeleteCollection(id));
                let own = locks.rooted_on(id).map(|lock| lock.token.clone());
                self.writes.extend(own.chain(below).map(Write::DeleteLock));
                self.events.extend(calendar_event(&node.collection, |name| EventKind::CalendarDeleted { name }));
            }
        }
        Ok(())
    }
}

/// The event of deleting `object` from a calendar; files have none.
pub(super) fn deleted_event(node: &Node, object: &Object) -> Option<Draft> {
    object.index.as_ref()?;
    let (name, uid) = (object.name.clone(), object.uid().map(str::to_owned));
    let kind = EventKind::ObjectDeleted { name, uid, before: object.etag };
    Some(Draft { owner: node.collection.owner, collection: node.collection.id, kind })
}

/// An event of a calendar; other collections have none.
pub(super) fn calendar_event(collection: &Collection, kind: impl FnOnce(String) -> EventKind) -> Option<Draft> {
    collection.calendar()?;
    Some(Draft { owner: collection.owner, collection: collection.id, kind: kind(collection.name.clone()) })
}

/// The first members of a collection by name, collections before objects, as far as the actor may know of them.
///
/// # Errors
/// Of the store only.
pub async fn members(context: &Context, actor: Actor, node: &Node, limit: usize) -> Result<Vec<Path>, Error> {
    let children = tree::children(context, actor, node).await?;
    let mut members: Vec<Path> = children.into_iter().take(limit).map(|child| child.path).collect();
    if node.privileges.has(Privilege::Read) && node.collection.kind != CollectionKind::Home {
        let objects = context.store.objects(node.collection.id, None, limit - members.len()).await?;
        members.extend(objects.rows.iter().filter_map(|object| node.path.member(&object.name)));
    }
    Ok(members)
}
