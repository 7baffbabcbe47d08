//! Write locks (RFC 4918 §6, §7): what is locked by whom, whether a write may pass, taking, refreshing and giving back.
//!
//! Every use-case that writes does it in this order: [`read`] the locks, [`Locks::check`] all that it will change, commit,
//! and only then drop the [`Locks`]. While they are held no lock is granted, so a lock that was not there when a
//! write was checked is not there either when the write is committed.

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::conditions::Conditions;
use super::tree::{self, Node, Resource};
use super::{Context, Error};
use crate::access::Actor;
use crate::base::{CollectionId, ETag, LockToken, Utc};
use crate::model::{Lock, LockDepth, LockScope, Object, Path, Precondition, Privilege};
use crate::store::{Assert, Batch, CommitError, Write};

/// The locks of a moment, which lasts as long as this value. Never read them again while you hold one: it would wait
/// for a LOCK that waits for you.
pub struct Locks<'a> {
    rows: Vec<Lock>,
    _gate: Option<RwLockReadGuard<'a, ()>>,
}

/// A lock that holds on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The lock.
    pub lock: Lock,
    /// DAV:lockroot: where it was taken.
    pub root: Path,
    /// The seconds that it still has.
    pub seconds: u64,
}

/// The live locks, for a write.
///
/// # Errors
/// Of the store only.
pub async fn read(context: &Context) -> Result<Locks<'_>, Error> {
    let gate = context.lock_gate.read().await;
    Ok(Locks { rows: live(context).await?, _gate: Some(gate) })
}

/// The live locks, for showing them (DAV:lockdiscovery). Good for no write.
///
/// # Errors
/// Of the store only.
pub async fn show(context: &Context) -> Result<Locks<'static>, Error> {
    Ok(Locks { rows: live(context).await?, _gate: None })
}

async fn live(context: &Context) -> Result<Vec<Lock>, Error> {
    let now = context.clock.now();
    Ok(context.store.locks().await?.into_iter().filter(|lock| lock.expires > now).collect())
}

impl Locks<'_> {
    /// The locks that hold on the collection of `node` or, if `member` is given, on the object of that name in it: its own and
    /// those of Depth infinity above it.
    pub fn on<'a>(&'a self, node: &'a Node, member: Option<&'a str>) -> impl Iterator<Item = &'a Lock> {
        self.rows.iter().filter(move |lock| holds(lock, node, member))
    }

    /// As [`Locks::on`], with what DAV:lockdiscovery tells of each.
    pub fn held(&self, node: &Node, member: Option<&str>, now: Utc) -> Vec<Held> {
        let held = |lock: &Lock| {
            let seconds = u64::try_from(lock.expires.0.saturating_sub(now.0)).unwrap_or(0);
            Some(Held { lock: lock.clone(), root: root_of(lock, node)?, seconds })
        };
        self.on(node, member).filter_map(held).collect()
    }

    /// Whether `actor`, who submitted `tokens`, may change the object `member` of the collection of `node`, or, without
    /// `member`, the collection itself: its properties, or which members it has (RFC 4918 §7.4: locks of either depth
    /// protect both).
    ///
    /// # Errors
    /// DAV:lock-token-submitted (423) with the lock's root.
    pub fn check(&self, actor: Actor, node: &Node, member: Option<&str>, tokens: &[LockToken]) -> Result<(), Error> {
        if actor == Actor::System || self.rows.is_empty() {
            return Ok(());
        }
        let mut locked = self.on(node, member).peekable();
        let Some(first) = locked.peek().copied() else { return Ok(()) };
        // An exclusive lock stands alone; of shared ones the actor's own is enough.
        if locked.any(|lock| passes(lock, actor, tokens)) {
            return Ok(());
        }
        Err(locked_error(root_of(first, node).unwrap_or_else(|| node.path.clone())))
    }

    /// The locks taken on the collection itself.
    pub fn rooted_on(&self, collection: CollectionId) -> impl Iterator<Item = &Lock> {
        self.rows.iter().filter(move |lock| lock.collection == collection && lock.member.is_none())
    }

    /// The locks taken on the object `name` in `collection` itself.
    pub fn rooted_at<'a>(&'a self, collection: CollectionId, name: &'a str) -> impl Iterator<Item = &'a Lock> {
        self.rows.iter().filter(move |lock| lock.collection == collection && lock.member.as_deref() == Some(name))
    }

    /// Whether the lock `token` is one of those that hold on `node` or its `member`.
    pub fn has(&self, node: &Node, member: Option<&str>, token: &LockToken) -> bool {
        self.on(node, member).any(|lock| lock.token == *token)
    }

    /// Whether there is any lock.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether everything rooted below the collection may be taken away by `actor` with `tokens`, and which locks go with it.
    ///
    /// # Errors
    /// [`Error::Members`] with each locked resource in the way.
    pub async fn check_tree(
        &self,
        context: &Context,
        actor: Actor,
        node: &Node,
        tokens: &[LockToken],
    ) -> Result<Vec<LockToken>, Error> {
        let (mut gone, mut blocked) = (Vec::new(), Vec::new());
        for lock in &self.rows {
            let Some(root) = root_below(context, lock, node).await? else { continue };
            gone.push(lock.token.clone());
            if actor != Actor::System && !self.rows.iter().any(|own| same_root(own, lock) && passes(own, actor, tokens))
            {
                blocked.push((root.clone(), locked_error(root)));
            }
        }
        blocked.dedup_by(|a, b| a.0 == b.0);
        if blocked.is_empty() { Ok(gone) } else { Err(Error::Members(blocked)) }
    }
}

/// The answer for a lock in the way.
fn locked_error(root: Path) -> Error {
    let message = format!("{} is locked; submit its lock token, or wait until it is unlocked", root.href());
    Error::precondition(Precondition::LockTokenSubmitted(root), message)
}

fn passes(lock: &Lock, actor: Actor, tokens: &[LockToken]) -> bool {
    actor.principal() == Some(lock.principal) && tokens.contains(&lock.token)
}

fn same_root(a: &Lock, b: &Lock) -> bool {
    a.collection == b.collection && a.member == b.member
}

fn holds(lock: &Lock, node: &Node, member: Option<&str>) -> bool {
    let own = lock.collection == node.collection.id && lock.member.as_deref() == member;
    let deep = lock.depth == LockDepth::Infinity && lock.member.is_none();
    let of_parent = member.is_some() && lock.collection == node.collection.id;
    own || (deep && (of_parent || node.above.contains(&lock.collection)))
}

/// Where a lock that holds on something in `node` was taken.
fn root_of(lock: &Lock, node: &Node) -> Option<Path> {
    if lock.collection == node.collection.id {
        return match &lock.member {
            None => Some(node.path.clone()),
            Some(name) => node.path.member(name),
        };
    }
    let up = node.above.iter().position(|id| *id == lock.collection)?;
    (0..=up).try_fold(node.path.clone(), |path, _| path.parent())
}

/// Where `lock` was taken, if that is strictly below the collection of `node`.
async fn root_below(context: &Context, lock: &Lock, node: &Node) -> Result<Option<Path>, Error> {
    let mut names: Vec<String> = lock.member.iter().cloned().collect();
    let mut at = lock.collection;
    for _ in 0..=context.limits.path_depth_max {
        if at == node.collection.id {
            let below = names.iter().rev().try_fold(node.path.clone(), |path, name| path.member(name));
            return Ok(below.filter(|_| !names.is_empty()));
        }
        let Some(collection) = context.store.collection(at).await? else { return Ok(None) };
        let Some(parent) = collection.parent else { return Ok(None) };
        names.push(collection.name.clone());
        at = parent;
    }
    Ok(None)
}

/// What a client asks a lock to be (RFC 4918 §9.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Exclusive or shared.
    pub scope: LockScope,
    /// How deep.
    pub depth: LockDepth,
    /// The inside of DAV:owner.
    pub owner: Option<String>,
    /// For how many seconds, `None` for as long as possible.
    pub seconds: Option<u64>,
}

/// A lock that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its token.
    pub token: LockToken,
    /// All locks that now hold on the resource.
    pub held: Vec<Held>,
    /// Whether an empty resource was made to be locked (RFC 4918 §9.10.4).
    pub created: bool,
}

/// The spot that a lock is about: a collection, or a member of one that may not be there yet.
struct Spot {
    node: Node,
    member: Option<String>,
    exists: bool,
}

/// Takes a lock.
///
/// # Errors
/// DAV:no-conflicting-lock, [`Error::Members`] for conflicts below, missing privileges, [`Error::ParentMissing`].
pub async fn lock(
    context: &Context,
    actor: Actor,
    path: &Path,
    wanted: &Wanted,
    conditions: &Conditions,
) -> Result<Granted, Error> {
    let gate = context.lock_gate.write().await;
    let locks = Locks { rows: live(context).await?, _gate: None };
    let spot = spot(context, actor, path).await?;
    conditions.require(context, actor, path, &locks).await?;
    allowed(&locks, actor, &spot, conditions)?;
    no_conflict(context, &locks, &spot, wanted).await?;
    let principal = actor.principal().ok_or_else(|| Error::Forbidden("only users take locks".into()))?;
    let mine = locks.rows.iter().filter(|lock| lock.principal == principal).count();
    if mine as u64 >= context.limits.locks_max {
        return Err(Error::InsufficientStorage(format!(
            "you hold {mine} locks; give some of them back (limit locks_max)"
        )));
    }
    let now = context.clock.now();
    let lock = Lock {
        token: new_token(),
        principal,
        collection: spot.node.collection.id,
        member: spot.member.clone(),
        scope: wanted.scope,
        depth: wanted.depth,
        owner: wanted.owner.clone(),
        expires: expiry(context, wanted.seconds, now),
    };
    store(context, actor, &spot, &lock, &gate).await?;
    let now_held = Locks { rows: live(context).await?, _gate: None };
    let held = now_held.held(&spot.node, spot.member.as_deref(), now);
    Ok(Granted { token: lock.token, held, created: !spot.exists })
}

async fn spot(context: &Context, actor: Actor, path: &Path) -> Result<Spot, Error> {
    match tree::resolve(context, actor, path).await {
        Ok(Resource::Collection(node)) => Ok(Spot { node, member: None, exists: true }),
        Ok(Resource::Object(node, object)) => Ok(Spot { node, member: Some(object.name), exists: true }),
        Ok(Resource::Fixed(_) | Resource::Principal(_)) => Err(Error::MethodNotAllowed("this resource")),
        Err(Error::NotFound) => {
            let node = tree::parent(context, actor, path).await?;
            let name = path.name().ok_or(Error::NotFound)?;
            if !matches!(path, Path::File(..)) {
                let why = "an empty resource is no calendar object; PUT it first, then lock it";
                return Err(Error::Forbidden(why.into()));
            }
            super::objects::check_name(context, name)?;
            super::objects::check_depth(context, path)?;
            Ok(Spot { member: Some(name.to_owned()), exists: false, node })
        }
        Err(error) => Err(error),
    }
}

/// Whether the actor may lock there at all (RFC 3744 appendix B), and may make the resource if it is missing.
fn allowed(locks: &Locks<'_>, actor: Actor, spot: &Spot, conditions: &Conditions) -> Result<(), Error> {
    if spot.exists {
        return spot.node.require(Privilege::WriteContent);
    }
    spot.node.require(Privilege::Bind)?;
    locks.check(actor, &spot.node, None, &conditions.tokens())
}

async fn no_conflict(context: &Context, locks: &Locks<'_>, spot: &Spot, wanted: &Wanted) -> Result<(), Error> {
    let conflicts = |lock: &Lock| wanted.scope == LockScope::Exclusive || lock.scope == LockScope::Exclusive;
    let error = |root: Path| {
        let message = format!("{} holds a lock that conflicts with the one asked for", root.href());
        Error::precondition(Precondition::NoConflictingLock(root), message)
    };
    if let Some(lock) = locks.on(&spot.node, spot.member.as_deref()).find(|lock| conflicts(lock)) {
        return Err(error(root_of(lock, &spot.node).unwrap_or_else(|| spot.node.path.clone())));
    }
    if spot.member.is_some() || wanted.depth == LockDepth::Zero {
        return Ok(());
    }
    let mut below = Vec::new();
    for lock in locks.rows.iter().filter(|lock| conflicts(lock)) {
        if let Some(root) = root_below(context, lock, &spot.node).await? {
            below.push((root.clone(), error(root)));
        }
    }
    if below.is_empty() { Ok(()) } else { Err(Error::Members(below)) }
}

/// Writes the lock, the empty resource if there is none, and removes locks that have expired.
async fn store(
    context: &Context,
    actor: Actor,
    spot: &Spot,
    lock: &Lock,
    _gate: &RwLockWriteGuard<'_, ()>,
) -> Result<(), Error> {
    let now = context.clock.now();
    let id = spot.node.collection.id;
    let expired = context.store.locks().await?.into_iter().filter(|lock| lock.expires <= now);
    let mut writes: Vec<Write> = expired.map(|lock| Write::DeleteLock(lock.token)).collect();
    let mut asserts = vec![Assert::CollectionPresent(id)];
    match (&spot.member, spot.exists) {
        (None, _) => {}
        (Some(name), true) => asserts.push(Assert::ObjectPresent(id, name.clone())),
        (Some(name), false) => {
            asserts.push(Assert::NameFree(id, name.clone()));
            asserts.push(Assert::ObjectsBelow(id, context.limits.objects_max));
            writes.push(Write::PutObject(id, empty_file(name, now), bytes::Bytes::new()));
        }
    }
    writes.push(Write::PutLock(lock.clone()));
    let batch = Batch { at: now, actor: actor.principal(), asserts, writes, events: Vec::new() };
    context.store.commit(batch).await.map(|_| ()).map_err(|error| match error {
        CommitError::Failed { assert: Assert::ObjectsBelow(..), .. } => {
            Error::precondition(Precondition::QuotaNotExceeded, "the collection is full (limit objects_max)")
        }
        other => other.into(),
    })
}

fn empty_file(name: &str, now: Utc) -> Object {
    Object {
        name: name.to_owned(),
        etag: ETag::of(b""),
        size: 0,
        content_type: None,
        content_language: None,
        created: now,
        modified: now,
        revision: crate::base::Revision(0),
        properties: Vec::new(),
        index: None,
    }
}

/// Refreshes the lock `token`, which must hold on `path`.
///
/// # Errors
/// [`Error::LockGone`] (412 with DAV:lock-token-matches-request-uri) if it does not, or is not the actor's.
pub async fn refresh(
    context: &Context,
    actor: Actor,
    path: &Path,
    token: &LockToken,
    seconds: Option<u64>,
) -> Result<Vec<Held>, Error> {
    let _gate = context.lock_gate.write().await;
    let locks = Locks { rows: live(context).await?, _gate: None };
    let (node, member) = place(context, actor, path).await?;
    let known = locks.on(&node, member.as_deref()).find(|lock| lock.token == *token);
    let Some(lock) = known.filter(|lock| Some(lock.principal) == actor.principal()) else {
        return Err(Error::LockGone);
    };
    let now = context.clock.now();
    let refreshed = Lock { expires: expiry(context, seconds, now), ..lock.clone() };
    let writes = vec![Write::PutLock(refreshed)];
    context.store.commit(Batch { at: now, actor: actor.principal(), writes, ..Batch::default() }).await?;
    Ok(Locks { rows: live(context).await?, _gate: None }.held(&node, member.as_deref(), now))
}

/// Gives the lock `token` back. Its owner may, and whoever has DAV:unlock.
///
/// # Errors
/// DAV:lock-token-matches-request-uri (409) if no such lock holds on `path`, missing privileges.
pub async fn unlock(context: &Context, actor: Actor, path: &Path, token: &LockToken) -> Result<(), Error> {
    let _gate = context.lock_gate.write().await;
    let locks = Locks { rows: live(context).await?, _gate: None };
    let (node, member) = place(context, actor, path).await?;
    let Some(lock) = locks.on(&node, member.as_deref()).find(|lock| lock.token == *token) else {
        let message = "no lock with this token holds here; look at DAV:lockdiscovery";
        return Err(Error::precondition(Precondition::LockTokenMatchesRequestUri, message));
    };
    if actor.principal() != Some(lock.principal) {
        node.require(Privilege::Unlock)?;
    }
    let writes = vec![Write::DeleteLock(token.clone())];
    context
        .store
        .commit(Batch { at: context.clock.now(), actor: actor.principal(), writes, ..Batch::default() })
        .await?;
    Ok(())
}

/// The collection, or the collection and the member in it, that stand at `path`.
async fn place(context: &Context, actor: Actor, path: &Path) -> Result<(Node, Option<String>), Error> {
    match tree::resolve(context, actor, path).await? {
        Resource::Collection(node) => Ok((node, None)),
        Resource::Object(node, object) => Ok((node, Some(object.name))),
        Resource::Fixed(_) | Resource::Principal(_) => Err(Error::MethodNotAllowed("this resource")),
    }
}

/// When a lock for `seconds` ends: never later than the limit allows.
fn expiry(context: &Context, seconds: Option<u64>, now: Utc) -> Utc {
    let max = context.limits.lock_seconds_max;
    now.plus(i64::try_from(seconds.unwrap_or(max).clamp(1, max.max(1))).unwrap_or(i64::MAX))
}

/// `urn:uuid:` and a random UUID (RFC 4918 §6.5, RFC 4122 §4.4).
fn new_token() -> LockToken {
    LockToken(format!("urn:uuid:{}", super::random_uuid()))
}
