//! COPY and MOVE (RFC 4918 §9.8, §9.9; RFC 4791 §5.3.2.1, RFC 3744 appendix B): one batch, all or nothing.

use super::duplicate::{self, Duplicate};
use super::{Doomed, Removal, calendar_event, doomed};
use crate::access::Actor;
use crate::base::{ETag, LockToken, Revision, Utc};
use crate::model::{
    Collection, CollectionKind, EventKind, Index, Object, Path, Precondition, Privilege, TrailingSlash,
};
use crate::service::again::{self, ATTEMPTS_MAX};
use crate::service::conditions::Conditions;
use crate::service::ingest::{self, local::Knowledge};
use crate::service::locks::{self, Locks};
use crate::service::objects::{self, Content, Fidelity};
use crate::service::tree::{self, Node, Resource};
use crate::service::{Context, Error, providers};
use crate::store::{Assert, Batch, Write};

/// How much of a collection is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The collection and its properties, without members.
    Zero,
    /// All of it.
    Infinity,
}

/// Whether what is at the destination may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Yes.
    Allowed,
    /// No.
    Refused,
}

/// Where something goes, and how.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The destination.
    pub to: Path,
    /// For COPY of collections.
    pub depth: Depth,
    /// Whether it may replace something.
    pub overwrite: Overwrite,
    /// What must hold of the source before.
    pub conditions: Conditions,
}

/// What became of a [`Transfer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Whether there was nothing at the destination.
    pub created: bool,
    /// Where it is now.
    pub path: Path,
    /// Its tag, if it is an object whose bytes are those of the source.
    pub etag: Option<ETag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Copy,
    Move,
}

/// Copies what is at `from`, with its dead properties and without its locks and grants.
///
/// # Errors
/// [`Error::Forbidden`] onto or into itself, [`Error::ParentMissing`], [`Error::StateChanged`] where something is and may not be
/// replaced, locks, privileges, and for calendars the preconditions of RFC 4791 §5.3.2.1.
pub async fn copy(context: &Context, actor: Actor, from: &Path, transfer: &Transfer) -> Result<Transferred, Error> {
    run(context, actor, from, transfer, Method::Copy).await
}

/// Moves what is at `from`. A calendar or collection of the same user keeps its id, and with it its change log.
///
/// # Errors
/// As [`copy`].
pub async fn relocate(context: &Context, actor: Actor, from: &Path, transfer: &Transfer) -> Result<Transferred, Error> {
    run(context, actor, from, transfer, Method::Move).await
}

async fn run(
    context: &Context,
    actor: Actor,
    from: &Path,
    transfer: &Transfer,
    method: Method,
) -> Result<Transferred, Error> {
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let locks = locks::read(context).await?;
        let source = source(context, actor, from, method).await?;
        not_itself(from, transfer, method)?;
        let target = target(context, actor, &source, &transfer.to, method).await?;
        transfer.conditions.require(context, actor, from, &locks).await?;
        if target.existing.is_some() && transfer.overwrite == Overwrite::Refused {
            return Err(Error::StateChanged);
        }
        target.may_be_written(method)?;
        let tokens = transfer.conditions.tokens();
        let mut job = Job { context, actor, locks: &locks, tokens: &tokens, method, removal: Removal::default() };
        let etag = match job.plan(&source, &target, transfer.depth).await {
            // Somebody else changed the source in between: look again.
            Err(Error::StateChanged) => continue,
            planned => planned?,
        };
        if let Some(Doomed::Collection(_, node)) = &target.existing {
            // What is replaced may be what the client's conditions speak of.
            job.removal.asserts.extend(transfer.conditions.hold_on(&node.collection));
        }
        let Removal { asserts, writes, events } = job.removal;
        let batch = Batch { at: context.clock.now(), actor: actor.principal(), asserts, writes, events };
        match context.store.commit(batch).await {
            Ok(_) => {
                if method == Method::Move && matches!(source, Doomed::Collection(..)) {
                    providers::note_names(context).await;
                }
                return Ok(Transferred { created: target.existing.is_none(), path: target.path, etag });
            }
            Err(error) => objects::failed(error, &target.parent)?,
        }
    }
    Err(Error::StateChanged)
}

/// What is to be copied or moved.
async fn source(context: &Context, actor: Actor, from: &Path, method: Method) -> Result<Doomed, Error> {
    if method == Method::Move {
        let source = doomed(context, actor, from).await?;
        if let Doomed::Collection(_, node) = &source {
            node.require(Privilege::Read)?;
        }
        return Ok(source);
    }
    match tree::resolve(context, actor, from).await? {
        Resource::Object(node, object) => Ok(Doomed::Object(node, object)),
        Resource::Collection(node) if node.collection.parent.is_some() => {
            node.require(Privilege::Read)?;
            // Only the node itself is looked at when it is copied.
            Ok(Doomed::Collection(node.clone(), Box::new(node)))
        }
        _ => Err(Error::Forbidden("homes, roots and principals cannot be copied".into())),
    }
}

fn not_itself(from: &Path, transfer: &Transfer, method: Method) -> Result<(), Error> {
    let to = &transfer.to;
    let into_itself = from.contains(to) && !(method == Method::Copy && transfer.depth == Depth::Zero);
    if from.same_place(to) || into_itself || to.contains(from) {
        return Err(Error::Forbidden("source and destination lie in each other".into()));
    }
    Ok(())
}

/// Where it goes.
struct Target {
    path: Path,
    parent: Node,
    name: String,
    existing: Option<Doomed>,
}

impl Target {
    /// RFC 3744, appendix B.
    fn may_be_written(&self, method: Method) -> Result<(), Error> {
        match (&self.existing, method) {
            (Some(Doomed::Object(..)), Method::Copy) => {
                self.parent.require(Privilege::WriteContent)?;
                self.parent.require(Privilege::WriteProperties)
            }
            (Some(_), _) => {
                self.parent.require(Privilege::Unbind)?;
                self.parent.require(Privilege::Bind)
            }
            (None, _) => self.parent.require(Privilege::Bind),
        }
    }

    /// That nothing has come to this place since, if there was nothing.
    fn free(&self) -> Option<Assert> {
        self.existing.is_none().then(|| Assert::NameFree(self.parent.collection.id, self.name.clone()))
    }
}

/// Whoever may not read must not learn from the answer whether a name is taken (invariant F4): all that is needed whether or
/// not it is, before anything is looked at.
fn may_write_blindly(parent: &Node, source: &Doomed, method: Method) -> Result<(), Error> {
    if parent.privileges.has(Privilege::Read) {
        return Ok(());
    }
    parent.require(Privilege::Bind)?;
    match (source, method) {
        (Doomed::Object(..), Method::Copy) => {
            parent.require(Privilege::WriteContent)?;
            parent.require(Privilege::WriteProperties)
        }
        _ => parent.require(Privilege::Unbind),
    }
}

async fn target(context: &Context, actor: Actor, source: &Doomed, to: &Path, method: Method) -> Result<Target, Error> {
    fits(source, to)?;
    let name = to.name().ok_or(Error::NotFound)?.to_owned();
    objects::check_name(context, &name)?;
    objects::check_depth(context, to)?;
    let parent = tree::parent(context, actor, to).await?;
    may_write_blindly(&parent, source, method)?;
    let id = parent.collection.id;
    let slash = if matches!(source, Doomed::Object(..)) { TrailingSlash::No } else { TrailingSlash::Yes };
    let path = to.clone().with_slash(slash);
    let existing = match context.store.object(id, &name).await? {
        Some(object) => Some(Doomed::Object(parent.clone(), Box::new(object))),
        None => {
            let child = context.store.child(id, &name).await?.and_then(|child| parent.below(child, actor));
            child.map(|child| Doomed::Collection(parent.clone(), Box::new(child)))
        }
    };
    Ok(Target { path, parent, name, existing })
}

/// Whether a thing of this kind can be at such a path at all.
fn fits(source: &Doomed, to: &Path) -> Result<(), Error> {
    let is_file = matches!(to, Path::File(_, segments, _) if !segments.is_empty());
    let forbidden = |why: &str| Err(Error::Forbidden(why.into()));
    match source {
        Doomed::Object(..) if is_file || matches!(to, Path::Object(..)) => Ok(()),
        Doomed::Object(..) => forbidden("objects go into calendars and below /dav/files only"),
        Doomed::Collection(_, node) => match node.collection.kind {
            CollectionKind::Calendar(_) if matches!(to, Path::Calendar(..)) => Ok(()),
            CollectionKind::Calendar(_) => Err(Error::precondition(
                Precondition::CalendarCollectionLocationOk,
                "a calendar can only lie in a calendar home",
            )),
            _ if is_file => Ok(()),
            _ => forbidden("plain collections lie below /dav/files only"),
        },
    }
}

/// A batch in the making.
struct Job<'a> {
    context: &'a Context,
    actor: Actor,
    locks: &'a Locks<'a>,
    tokens: &'a [LockToken],
    method: Method,
    removal: Removal,
}

impl Job<'_> {
    async fn plan(&mut self, source: &Doomed, target: &Target, depth: Depth) -> Result<Option<ETag>, Error> {
        match source {
            Doomed::Object(node, object) => self.object(node, object, target).await,
            Doomed::Collection(parent, node) => {
                self.collection(parent, node, target, depth).await?;
                Ok(None)
            }
        }
    }

    async fn object(&mut self, node: &Node, object: &Object, target: &Target) -> Result<Option<ETag>, Error> {
        let (from, to) = (node.collection.id, target.parent.collection.id);
        let (now, bytes) = self.context.store.content(from, &object.name).await?.ok_or(Error::NotFound)?;
        if now.revision != object.revision {
            return Err(Error::StateChanged);
        }
        let mut content = self.content(object, bytes, &target.parent)?;
        let before = self.make_room(target, Keep::Object).await?;
        // A UID cannot be in the way of its own object; whatever else has it is.
        let renamed = self.method == Method::Move && from == to;
        if !renamed || before.is_some() {
            objects::same_uid(before.as_ref(), &content, &target.path)?;
        }
        if let Some(before) = &before
            && let Some(edited) =
                ingest::local::put(self.context, &target.parent, before, &content, Knowledge::Unknown).await?
        {
            content = edited.content;
            self.removal.along(edited.along);
        }
        let now = self.context.clock.now();
        let stored = self.stored(object, &content, &target.name, now);
        if self.method == Method::Move {
            let moved = Doomed::Object(node.clone(), Box::new(object.clone()));
            self.removal.take_away(self.context, self.actor, self.locks, &moved, self.tokens).await?;
            let to = (&target.parent, target.name.as_str());
            self.removal.along(ingest::local::relocate(self.context, (node, object), to).await?);
        } else {
            self.removal.asserts.push(Assert::ObjectAt(from, object.name.clone(), object.revision));
        }
        if let Some(uid) = stored.uid() {
            let but = if renamed { &object.name } else { &target.name };
            self.removal.asserts.push(Assert::UidFree(to, uid.to_owned(), Some(but.clone())));
        }
        self.bounds(target, before.is_none());
        self.removal.events.extend(objects::stored_event(&target.parent, before.as_ref(), &stored));
        self.removal.writes.push(Write::PutObject(to, stored, content.bytes));
        Ok((content.fidelity == Fidelity::AsSent).then_some(content.etag))
    }

    fn bounds(&mut self, target: &Target, is_new: bool) {
        let (limits, parent) = (&self.context.limits, &target.parent.collection);
        if is_new {
            self.removal.asserts.push(Assert::ObjectsBelow(parent.id, limits.objects_max));
        }
        self.removal.asserts.push(Assert::CollectionPresent(parent.id));
        self.removal.asserts.push(Assert::UsageAtMost(parent.owner, limits.quota_bytes_max));
    }

    fn stored(&self, object: &Object, content: &Content, name: &str, now: Utc) -> Object {
        Object {
            name: name.to_owned(),
            etag: content.etag,
            size: content.bytes.len() as u64,
            content_type: content.content_type.clone(),
            content_language: content.content_language.clone(),
            created: if self.method == Method::Move { object.created } else { now },
            // Whoever has seen another resource under this name must not think that it is that one (RFC 4918 §8.8).
            modified: now,
            revision: Revision(0),
            properties: object.properties.clone(),
            index: content.index.clone(),
        }
    }

    /// The content of `object` as its new collection takes it.
    fn content(&self, object: &Object, bytes: bytes::Bytes, parent: &Node) -> Result<Content, Error> {
        let limits = &self.context.limits;
        match (parent.collection.calendar(), &object.index) {
            // Moved or copied among calendars: it was checked when it came in.
            (Some(settings), Some(Index::Row(row))) if settings.components.contains(row.kind) => Ok(Content {
                bytes,
                etag: object.etag,
                content_type: None,
                content_language: None,
                index: object.index.clone(),
                fidelity: Fidelity::AsSent,
            }),
            (Some(settings), _) => objects::calendar_content(limits, settings, bytes, object.content_type.as_deref()),
            (None, index) => {
                let own = || object.content_type.clone();
                let content_type = index.as_ref().map_or_else(own, |_| Some("text/calendar; charset=utf-8".to_owned()));
                objects::file_content(limits, bytes, content_type, object.content_language.clone())
            }
        }
    }

    /// Takes away what is at the destination, but for an object that an object replaces, which is given back.
    async fn make_room(&mut self, target: &Target, keep: Keep) -> Result<Option<Object>, Error> {
        let parent = &target.parent;
        self.removal.asserts.extend(target.free());
        match &target.existing {
            None => self.locks.check(self.actor, parent, None, self.tokens)?,
            Some(Doomed::Object(_, object)) if keep == Keep::Object => {
                self.locks.check(self.actor, parent, Some(&object.name), self.tokens)?;
                if self.method == Method::Move {
                    self.locks.check(self.actor, parent, None, self.tokens)?;
                }
                let at = Assert::ObjectAt(parent.collection.id, object.name.clone(), object.revision);
                self.removal.asserts.push(at);
                return Ok(Some((**object).clone()));
            }
            Some(existing) => {
                self.removal.add(self.context, self.actor, self.locks, existing, self.tokens).await?;
            }
        }
        Ok(None)
    }

    async fn collection(&mut self, parent: &Node, node: &Node, target: &Target, depth: Depth) -> Result<(), Error> {
        self.make_room(target, Keep::Nothing).await?;
        let (own, there) = (&node.collection, &target.parent.collection);
        self.removal.asserts.push(Assert::CollectionPresent(there.id));
        if self.method == Method::Move && own.owner == there.owner {
            return self.rename(parent, node, target).await;
        }
        let duplicate = Duplicate { context: self.context, depth, at: self.context.clock.now() };
        duplicate.add(own, there, &target.name, &mut self.removal).await?;
        self.removal.asserts.push(Assert::UsageAtMost(there.owner, self.context.limits.quota_bytes_max));
        if self.method == Method::Move {
            let moved = Doomed::Collection(parent.clone(), Box::new(node.clone()));
            self.removal.add(self.context, self.actor, self.locks, &moved, self.tokens).await?;
        }
        Ok(())
    }

    /// Another name or parent for the same collection. Its locks stay behind (RFC 4918 §7.6).
    async fn rename(&mut self, parent: &Node, node: &Node, target: &Target) -> Result<(), Error> {
        let id = node.collection.id;
        self.locks.check(self.actor, parent, None, self.tokens)?;
        self.locks.check(self.actor, node, None, self.tokens)?;
        let below = self.locks.check_tree(self.context, self.actor, node, self.tokens).await?;
        let own = self.locks.rooted_on(id).map(|lock| lock.token.clone());
        self.removal.writes.extend(own.chain(below).map(Write::DeleteLock));
        duplicate::deep_enough(self.context, &node.collection, &target.path).await?;
        // Two collections that go into each other at once would both be lost: no move but this one above them.
        self.removal.asserts.push(match node.collection.kind {
            CollectionKind::Plain => Assert::CollectionAt(parent.collection.id, parent.collection.revision),
            _ => Assert::CollectionPresent(id),
        });
        self.removal.asserts.push(Assert::CollectionPresent(id));
        self.removal.writes.push(Write::MoveCollection(id, target.parent.collection.id, target.name.clone()));
        let renamed = Collection { name: target.name.clone(), ..Collection::clone(&node.collection) };
        self.removal.events.extend(calendar_event(&renamed, |name| EventKind::CalendarUpdated { name }));
        Ok(())
    }
}

/// What [`Job::make_room`] leaves in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// An object, which keeps its locks: its place in the calendar is only filled anew.
    Object,
    /// Nothing.
    Nothing,
}
