//! Collections: what is in them, making them, and granting access to them.

use std::sync::Arc;

use super::again::{self, ATTEMPTS_MAX};
use super::conditions::Conditions;
use super::locks::{self, Locks};
use super::properties::{Instruction, Outcome, set_on, updated};
use super::tree::{self, Node, Resource};
use super::{Context, Error, index, objects, resources};
use crate::access::Actor;
use crate::model::{
    Ace, CalendarSettings, Collection, CollectionKind, EventKind, Object, Path, Precondition, Privilege, TrailingSlash,
};
use crate::store::{Assert, Batch, CommitError, Draft, Page, Write};

/// A page of the objects in a collection, by name from behind `after`, without their bytes.
///
/// # Errors
/// Without DAV:read on the collection; of the store.
pub async fn objects(context: &Context, node: &Node, after: Option<&str>, limit: usize) -> Result<Page<Object>, Error> {
    node.require(Privilege::Read)?;
    Ok(context.store.objects(node.collection.id, after, limit).await?)
}

/// All objects of a calendar by name, without their bytes, from its index; `None` where that is not worth keeping in memory for a
/// listing, and [`objects`] reads them in pages.
///
/// # Errors
/// Without DAV:read on the collection; of the store.
pub async fn listed(context: &Context, node: &Node) -> Result<Option<Vec<Arc<Object>>>, Error> {
    node.require(Privilege::Read)?;
    match index::of_listed(context, &node.collection).await? {
        Some(index) => Ok(Some(index.read().await.listed())),
        None => Ok(None),
    }
}

/// A collection that is to be made.
#[derive(Debug, Clone)]
pub struct New {
    /// What it is to be.
    pub kind: NewKind,
    /// Its properties.
    pub instructions: Vec<Instruction>,
    /// What must hold before.
    pub conditions: Conditions,
}

/// What a new collection is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKind {
    /// A calendar, with what its resource type says beyond that.
    Calendar(CalendarSettings),
    /// A plain collection.
    Plain,
}

/// Makes a collection at `path` with all of its properties, or none (RFC 4791 §5.3.1, RFC 4918 §9.3, RFC 5689).
///
/// # Errors
/// DAV:resource-must-be-null or [`Error::MethodNotAllowed`] if something is there, CALDAV:calendar-collection-location-ok,
/// [`Error::ParentMissing`], conditions, locks, missing DAV:bind, quota.
pub async fn create(context: &Context, actor: Actor, path: &Path, new: &New) -> Result<Outcome, Error> {
    let locks = locks::read(context).await?;
    new.conditions.require(context, actor, path, &locks).await?;
    must_be_null(context, actor, path, &new.kind).await?;
    let (parent, name) = place(context, actor, path, new).await?;
    check_parent(context, actor, &parent, &locks, new).await?;
    objects::check_name(context, name)?;
    let id = context.store.next_collection_id();
    let now = context.clock.now();
    let kind = match &new.kind {
        NewKind::Calendar(settings) => CollectionKind::Calendar(settings.clone()),
        NewKind::Plain => CollectionKind::Plain,
    };
    let parent_id = parent.collection.id;
    let empty = Collection::new(id, Some(parent_id), name, parent.collection.owner, kind, now);
    let collection = match set_on(&context.limits, empty, &new.instructions) {
        Ok(collection) => collection,
        Err(refused) => return Ok(Outcome::Refused(refused)),
    };
    let created = EventKind::CalendarCreated { name: name.to_owned() };
    let event = Draft { owner: collection.owner, collection: id, kind: created };
    let batch = Batch {
        at: now,
        actor: actor.principal(),
        asserts: vec![Assert::CollectionPresent(parent_id), Assert::NameFree(parent_id, name.to_owned())],
        events: collection.calendar().map(|_| event).into_iter().collect(),
        writes: vec![Write::CreateCollection(collection)],
    };
    match context.store.commit(batch).await {
        Ok(_) => Ok(Outcome::Done),
        Err(CommitError::Failed { assert: Assert::NameFree(..), .. }) => Err(taken(&new.kind)),
        Err(CommitError::Failed { .. }) => Err(Error::ParentMissing),
        Err(error) => Err(error.into()),
    }
}

/// Demands that nothing is at `path` yet, as far as the actor may know.
async fn must_be_null(context: &Context, actor: Actor, path: &Path, kind: &NewKind) -> Result<(), Error> {
    match tree::resolve(context, actor, path).await {
        Ok(Resource::Fixed(_) | Resource::Principal(_)) => {
            Err(Error::MethodNotAllowed("a resource of the server's own"))
        }
        Ok(_) => Err(taken(kind)),
        Err(Error::Store(error)) => Err(error.into()),
        Err(Error::Unauthenticated) => Err(Error::Unauthenticated),
        Err(_) => Ok(()),
    }
}

fn taken(kind: &NewKind) -> Error {
    match kind {
        NewKind::Calendar(_) => Error::precondition(
            Precondition::ResourceMustBeNull,
            "there is something at this path already; choose another name",
        ),
        NewKind::Plain => Error::MethodNotAllowed("what is there already"),
    }
}

/// The collection that the new one is to lie in, and its name there. Calendars lie in homes and nowhere else, and homes hold
/// nothing else.
async fn place<'a>(context: &Context, actor: Actor, path: &'a Path, new: &New) -> Result<(Node, &'a str), Error> {
    let fits = match (&new.kind, path) {
        (NewKind::Calendar(_), Path::Calendar(..)) => true,
        (NewKind::Plain, Path::File(_, segments, _)) => !segments.is_empty(),
        _ => false,
    };
    let node = tree::parent(context, actor, path).await;
    match (node, path.name()) {
        (Ok(node), Some(name)) if fits => Ok((node, name)),
        // Only whoever may know of the parent hears that the place is wrong.
        (Ok(_), _) | (Err(Error::ParentMissing), _) if !fits => Err(match new.kind {
            NewKind::Calendar(_) => Error::precondition(
                Precondition::CalendarCollectionLocationOk,
                "calendars are made right below a calendar home: /dav/calendars/{user}/{name}/",
            ),
            NewKind::Plain => Error::Forbidden("a home holds calendars, and calendars hold no collections".into()),
        }),
        (Err(error), _) => Err(error),
        (Ok(_), _) => Err(Error::NotFound),
    }
}

async fn check_parent(
    context: &Context,
    actor: Actor,
    parent: &Node,
    locks: &Locks<'_>,
    new: &New,
) -> Result<(), Error> {
    parent.require(Privilege::Bind)?;
    locks.check(actor, parent, None, &new.conditions.tokens())?;
    if parent.above.len() as u64 >= context.limits.path_depth_max {
        return Err(Error::Forbidden("collections are nested too deep here (limit path_depth_max)".into()));
    }
    resources::room_for_collections(context, &parent.collection, 1).await
}

/// Replaces the grants on the collection at `path` (RFC 3744 §8.1).
///
/// # Errors
/// Conditions and locks, missing DAV:write-acl, DAV:limited-number-of-aces, resources without a list of their own.
pub async fn set_acl(
    context: &Context,
    actor: Actor,
    path: &Path,
    acl: &[Ace],
    conditions: &Conditions,
) -> Result<(), Error> {
    if acl.len() as u64 > context.limits.aces_max {
        let message = format!("a list takes {} entries at most (limit aces_max)", context.limits.aces_max);
        return Err(Error::precondition(Precondition::LimitedNumberOfAces, message));
    }
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let locks = locks::read(context).await?;
        conditions.require(context, actor, path, &locks).await?;
        let node = grantable(context, actor, path).await?;
        node.require(Privilege::WriteAcl)?;
        locks.check(actor, &node, None, &conditions.tokens())?;
        let Node { collection, .. } = node;
        let batch = Batch {
            at: context.clock.now(),
            actor: actor.principal(),
            asserts: conditions.hold_on(&collection),
            events: updated(&collection).into_iter().collect(),
            writes: vec![Write::UpdateCollection(Collection { acl: acl.to_vec(), ..Collection::clone(&collection) })],
        };
        match context.store.commit(batch).await {
            Ok(_) => return Ok(()),
            // Somebody else changed the collection in between: look again.
            Err(CommitError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::StateChanged)
}

/// The collection at `path`, if grants can stand on it.
async fn grantable(context: &Context, actor: Actor, path: &Path) -> Result<Node, Error> {
    match tree::resolve(context, actor, &path.clone().with_slash(TrailingSlash::Yes)).await? {
        Resource::Collection(node) => Ok(node),
        Resource::Object(..) => {
            Err(Error::Forbidden("access is granted on collections; grant it on this one's".into()))
        }
        Resource::Fixed(_) | Resource::Principal(_) => {
            Err(Error::Forbidden("the access to this resource is fixed".into()))
        }
    }
}
