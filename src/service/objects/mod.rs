//! Calendar objects and files: storing and reading them (RFC 4918 §9.4, §9.7; RFC 4791 §5.3.2; RFC 5995).
//! Deleting, copying and moving is in [`super::resources`].
//!
//! [`put`] reads the state, checks everything on it, and asserts in its batch that the state is still that one; if another
//! writer was faster it starts again. So a condition is never checked on one state and used on another.

mod content;
mod row;
mod stream;

pub use content::{Content, calendar_content, file_content};
pub use row::{MAX_DATE_TIME, MIN_DATE_TIME, index_of, index_of_bytes};
pub use stream::CalendarStream;

use std::sync::Arc;

use bytes::Bytes;

use super::again::{self, ATTEMPTS_MAX};
use super::conditions::{Conditions, Tags, Validators};
use super::ingest::{
    self,
    local::{Along, Knowledge},
};
use super::locks;
use super::tree::{self, Node, Resource};
use super::{Context, Error, random_uuid};
use crate::access::Actor;
use crate::base::{ETag, Revision};
use crate::model::{CollectionKind, EventKind, Index, Object, Path, Precondition, Principal, Privilege, TrailingSlash};
use crate::store::{Assert, Batch, CommitError, Draft, Write};

/// What is to be stored.
#[derive(Debug, Clone, Default)]
pub struct Put {
    /// The bytes.
    pub bytes: Bytes,
    /// Content-Type, as it was sent.
    pub content_type: Option<String>,
    /// Content-Language, as it was sent.
    pub content_language: Option<String>,
    /// What must hold before.
    pub conditions: Conditions,
}

/// What became of a [`Put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// Whether there was nothing before.
    pub created: bool,
    /// The tag of what is stored now.
    pub etag: ETag,
    /// Where.
    pub path: Path,
    /// Whether what is stored is what was sent; if not, no ETag may be told (RFC 4791 §5.3.4).
    pub stored: Fidelity,
}

/// Whether bytes are stored as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// Byte for byte.
    AsSent,
    /// In another form: jCal as iCalendar.
    Converted,
}

/// Stores a calendar object or a file at `path`. Storing what is there already changes nothing: no revision,
/// no event, the same tag.
///
/// # Errors
/// Every precondition of RFC 4791 §5.3.2.1 by name, [`Error::StateChanged`], locks, privileges, quota,
/// [`Error::ParentMissing`], [`Error::MethodNotAllowed`] on collections.
pub async fn put(context: &Context, actor: Actor, path: &Path, put: Put) -> Result<PutOutcome, Error> {
    let (node, name) = target(context, actor, path).await?;
    may_write_there(&node)?;
    let content = content_for(context, &node, put.bytes, put.content_type, put.content_language);
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let attempt = Attempt { context, actor, path, node: &node, name: &name, conditions: &put.conditions };
        if let Some(outcome) = attempt.run(&content).await? {
            return Ok(outcome);
        }
    }
    Err(Error::StateChanged)
}

/// Adds a member to the collection at `path` under a name that the server chooses (RFC 5995): `slug` as far as it is
/// usable, else the UID, else a random one.
///
/// # Errors
/// As [`put`].
pub async fn add(
    context: &Context,
    actor: Actor,
    path: &Path,
    put: Put,
    slug: Option<&str>,
) -> Result<PutOutcome, Error> {
    let node = match tree::resolve(context, actor, path).await? {
        Resource::Collection(node) if node.collection.kind != CollectionKind::Home => node,
        _ => return Err(Error::MethodNotAllowed("what is neither a calendar nor a plain collection")),
    };
    node.require(Privilege::Bind)?;
    let content = content_for(context, &node, put.bytes, put.content_type, put.content_language)?;
    put.conditions.require(context, actor, path, &locks::show(context).await?).await?;
    let conditions = Conditions {
        if_none_match: Some(super::conditions::Tags::Any),
        state: put.conditions.state,
        ..Conditions::default()
    };
    let content = Ok(content);
    let calendar = node.collection.calendar().is_some();
    let suggested = slug.map(sanitize).filter(|name| !name.is_empty()).or_else(|| name_of_uid(&content));
    let names = suggested.map(|stem| file_name(stem, calendar)).into_iter();
    for name in names.chain((0..8).map(|_| file_name(random_uuid(), calendar))) {
        let Some(target) = node.path.member(&name) else { continue };
        let attempt = Attempt { context, actor, path: &target, node: &node, name: &name, conditions: &conditions };
        match attempt.run(&content).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) | Err(Error::StateChanged | Error::MethodNotAllowed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::StateChanged)
}

fn name_of_uid(content: &Result<Content, Error>) -> Option<String> {
    let uid = content.as_ref().ok()?.index.as_ref().and_then(|index| match index {
        Index::Row(row) => Some(row.uid.as_str()),
        Index::Broken { .. } => None,
    })?;
    let safe = sanitize(uid);
    (safe == uid).then_some(safe)
}

/// What can be used of a client's suggestion for a name (RFC 5023 §9.7).
fn sanitize(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | ' ');
    let name: String = text.chars().filter(|c| kept(*c)).take(60).collect();
    name.trim_matches(|c: char| c == '.' || c == ' ').to_owned()
}

fn file_name(stem: String, calendar: bool) -> String {
    if calendar && !stem.to_ascii_lowercase().ends_with(".ics") { format!("{stem}.ics") } else { stem }
}

/// The collection that `path` is a member of, and the member's name.
async fn target(context: &Context, actor: Actor, path: &Path) -> Result<(Node, String), Error> {
    match path {
        Path::Object(..) | Path::File(_, _, TrailingSlash::No) if path.name().is_some() => {}
        // Whether or not it is there, nothing that is no collection can be stored there.
        Path::Calendar(..) => {
            let node = tree::parent(context, actor, path).await?;
            node.require(Privilege::Bind)?;
            return match tree::collection(context, actor, path).await {
                Err(Error::NotFound) => {
                    Err(Error::Forbidden("a home holds calendars only; make one with MKCALENDAR".into()))
                }
                Err(error) => Err(error),
                Ok(_) => Err(Error::MethodNotAllowed("a collection")),
            };
        }
        _ => {
            match tree::resolve(context, actor, path).await {
                Err(Error::NotFound) => drop(tree::parent(context, actor, path).await?),
                other => drop(other?),
            }
            return Err(Error::MethodNotAllowed("a collection, or a path that ends with a slash"));
        }
    }
    if matches!(path, Path::File(_, segments, _) if segments.is_empty()) {
        tree::resolve(context, actor, path).await?;
        return Err(Error::MethodNotAllowed("a collection"));
    }
    let node = tree::parent(context, actor, path).await?;
    let name = path.name().ok_or(Error::NotFound)?.to_owned();
    check_name(context, &name)?;
    check_depth(context, path)?;
    Ok((node, name))
}

/// Whoever may not read must not learn from the answer whether a name is taken (invariant F4).
fn may_write_there(node: &Node) -> Result<(), Error> {
    let may = |privilege| node.privileges.has(privilege);
    match node.collection.kind {
        CollectionKind::Home => Err(Error::Forbidden("a home holds calendars only".into())),
        _ if may(Privilege::Read) || (may(Privilege::Bind) && may(Privilege::WriteContent)) => Ok(()),
        _ => node.require(Privilege::Bind).and_then(|()| node.require(Privilege::WriteContent)),
    }
}

/// Whether a name is one that a member can have.
///
/// # Errors
/// [`Error::Forbidden`] if it is too long.
pub fn check_name(context: &Context, name: &str) -> Result<(), Error> {
    let max = context.limits.name_bytes_max;
    if name.len() as u64 > max {
        return Err(Error::Forbidden(format!(
            "the last segment of the path is longer than {max} bytes (limit name_bytes_max)"
        )));
    }
    Ok(())
}

/// Whether a path below a user's files is not too deep.
///
/// # Errors
/// [`Error::Forbidden`] if it is.
pub fn check_depth(context: &Context, path: &Path) -> Result<(), Error> {
    let max = context.limits.path_depth_max;
    match path {
        Path::File(_, segments, _) if segments.len() as u64 > max => {
            Err(Error::Forbidden(format!("the path has more than {max} segments (limit path_depth_max)")))
        }
        _ => Ok(()),
    }
}

fn content_for(
    context: &Context,
    node: &Node,
    bytes: Bytes,
    content_type: Option<String>,
    content_language: Option<String>,
) -> Result<Content, Error> {
    match node.collection.calendar() {
        Some(settings) => calendar_content(&context.limits, settings, bytes, content_type.as_deref()),
        None => file_content(&context.limits, bytes, content_type, content_language),
    }
}

/// One go at a write.
struct Attempt<'a> {
    context: &'a Context,
    actor: Actor,
    path: &'a Path,
    node: &'a Node,
    name: &'a str,
    conditions: &'a Conditions,
}

impl Attempt<'_> {
    /// `None` if another writer came in between.
    async fn run(&self, content: &Result<Content, Error>) -> Result<Option<PutOutcome>, Error> {
        let (context, id) = (self.context, self.node.collection.id);
        let locks = locks::read(context).await?;
        let existing = context.store.object(id, self.name).await?;
        if existing.is_none() && context.store.child(id, self.name).await?.is_some() {
            return Err(Error::MethodNotAllowed("a collection"));
        }
        self.may(existing.as_ref())?;
        self.conditions.check(existing.as_ref().map(Validators::of_object).as_ref())?;
        self.conditions.check_if(context, self.actor, self.path, &locks).await?;
        let tokens = self.conditions.tokens();
        locks.check(self.actor, self.node, Some(self.name), &tokens)?;
        if existing.is_none() {
            locks.check(self.actor, self.node, None, &tokens)?;
        }
        let mut content = content.as_ref().map_err(Clone::clone)?.clone();
        let batch = match &existing {
            Some(before) if is_same(before, &content) => self.confirm(before),
            Some(before) => {
                same_uid(Some(before), &content, self.path)?;
                let edited = ingest::local::put(context, self.node, before, &content, self.knowledge()).await?;
                let mut along = Along::default();
                if let Some(edited) = edited {
                    (content, along) = (edited.content, edited.along);
                }
                self.batch(Some(before), &content, along)?
            }
            None => self.batch(None, &content, Along::default())?,
        };
        match context.store.commit(batch).await {
            Ok(_) => Ok(Some(PutOutcome {
                created: existing.is_none(),
                etag: content.etag,
                path: self.path.clone(),
                stored: content.fidelity,
            })),
            Err(error) => failed(error, self.node).map(|()| None),
        }
    }

    fn may(&self, existing: Option<&Object>) -> Result<(), Error> {
        match existing {
            None => self.node.require(Privilege::Bind),
            Some(_) if self.node.privileges.has(Privilege::WriteContent) => Ok(()),
            Some(_) => Err(Error::needs(Privilege::WriteContent, self.path)),
        }
    }

    /// Nothing to write. But what was read may not be durable yet, and the answer promises that it is.
    fn confirm(&self, before: &Object) -> Batch {
        let assert = Assert::ObjectIs(self.node.collection.id, before.name.clone(), before.etag);
        Batch { at: self.context.clock.now(), asserts: vec![assert], ..Batch::default() }
    }

    fn batch(&self, before: Option<&Object>, content: &Content, along: Along) -> Result<Batch, Error> {
        same_uid(before, content, self.path)?;
        let mut batch = storing(self.context, self.actor, self.node, self.name, before, content);
        batch.asserts.extend(along.asserts);
        batch.writes.extend(along.writes);
        Ok(batch)
    }

    /// Whoever names the tag of what is there has seen it.
    fn knowledge(&self) -> Knowledge {
        match self.conditions.if_match {
            Some(Tags::Of(_)) => Knowledge::Present,
            _ => Knowledge::Unknown,
        }
    }
}

/// The batch that stores `content` as the member `name` of `node`, over `before` or where nothing is.
pub(super) fn storing(
    context: &Context,
    actor: Actor,
    node: &Node,
    name: &str,
    before: Option<&Object>,
    content: &Content,
) -> Batch {
    let (now, limits) = (context.clock.now(), &context.limits);
    let collection = &node.collection;
    let object = Object {
        name: name.to_owned(),
        etag: content.etag,
        size: content.bytes.len() as u64,
        content_type: content.content_type.clone(),
        content_language: content.content_language.clone(),
        created: before.map_or(now, |before| before.created),
        modified: now,
        revision: Revision(0),
        properties: before.map(|before| before.properties.clone()).unwrap_or_default(),
        index: content.index.clone(),
    };
    let mut asserts = vec![Assert::CollectionPresent(collection.id)];
    asserts.extend(state_assert(collection.id, name, before));
    if before.is_none() {
        asserts.push(Assert::ObjectsBelow(collection.id, limits.objects_max));
    }
    if let Some(uid) = object.uid() {
        asserts.push(Assert::UidFree(collection.id, uid.to_owned(), Some(name.to_owned())));
    }
    asserts.push(Assert::UsageAtMost(collection.owner, limits.quota_bytes_max));
    let events = stored_event(node, before, &object).into_iter().collect();
    let writes = vec![Write::PutObject(collection.id, object, content.bytes.clone())];
    Batch { at: now, actor: actor.principal(), asserts, writes, events }
}

/// Whether storing `content` over `before` would change nothing at all.
fn is_same(before: &Object, content: &Content) -> bool {
    before.etag == content.etag
        && before.content_type == content.content_type
        && before.content_language == content.content_language
        && before.index == content.index
}

/// An object must not be overwritten with one of another UID (RFC 4791 §5.3.2.1), unless it is broken.
pub(super) fn same_uid(before: Option<&Object>, content: &Content, path: &Path) -> Result<(), Error> {
    let (Some(before), Some(Index::Row(row))) = (before.and_then(Object::row), &content.index) else { return Ok(()) };
    if before.uid == row.uid {
        return Ok(());
    }
    let message = "another UID is stored under this name; a UID cannot change, so store it under another name";
    Err(Error::precondition(Precondition::NoUidConflict(path.clone()), message))
}

/// The assertion that a member is what was read.
pub(super) fn state_assert(
    collection: crate::base::CollectionId,
    name: &str,
    before: Option<&Object>,
) -> Option<Assert> {
    Some(match before {
        Some(before) => Assert::ObjectAt(collection, name.to_owned(), before.revision),
        None => Assert::NameFree(collection, name.to_owned()),
    })
}

/// The event of storing `object` in a calendar; files have none.
pub(super) fn stored_event(node: &Node, before: Option<&Object>, object: &Object) -> Option<Draft> {
    object.index.as_ref()?;
    let (name, uid, etag) = (object.name.clone(), object.uid().map(str::to_owned), object.etag);
    let kind = match before {
        None => EventKind::ObjectCreated { name, uid, etag },
        Some(before) => EventKind::ObjectUpdated { name, uid, etag, before: before.etag },
    };
    Some(Draft { owner: node.collection.owner, collection: node.collection.id, kind })
}

/// What a commit's failure means for a write into the collection of `node`. `Ok` if it is worth another go.
pub(super) fn failed(error: CommitError, node: &Node) -> Result<(), Error> {
    let CommitError::Failed { assert, found } = error else { return Err(error.into()) };
    match assert {
        Assert::ObjectIs(..)
        | Assert::ObjectAt(..)
        | Assert::NameFree(..)
        | Assert::ObjectPresent(..)
        | Assert::CollectionAt(..)
        | Assert::CollectionIs(..)
        | Assert::RowIs(..) => Ok(()),
        Assert::CollectionPresent(_) => Err(Error::ParentMissing),
        Assert::UidFree(..) => {
            // Names of members are for those who may read.
            let name = found.filter(|_| node.privileges.has(Privilege::Read));
            let other = name.and_then(|name| node.path.member(&name)).unwrap_or_else(|| node.path.clone());
            let message = format!("the UID is already used at {}; change what is there", other.href());
            Err(Error::precondition(Precondition::NoUidConflict(other), message))
        }
        Assert::ObjectsBelow(_, max) => Err(Error::precondition(
            Precondition::QuotaNotExceeded,
            format!("the collection holds {max} objects (limit objects_max)"),
        )),
        Assert::UsageAtMost(_, max) => {
            let message = format!("the {max} bytes that a user may store would be exceeded (limit quota_bytes_max)");
            Err(Error::precondition(Precondition::QuotaNotExceeded, message))
        }
        Assert::CollectionEmpty(_)
        | Assert::PrincipalFree(_)
        | Assert::PrincipalPresent(_)
        | Assert::PrincipalIs(_)
        | Assert::CredentialsAre(..) => Err(Error::StateChanged),
    }
}

/// What was found for reading.
pub enum Found {
    /// An object with its bytes, of one and the same state.
    Object(Arc<Object>, Bytes, Node),
    /// A collection.
    Collection(Node),
    /// A principal.
    Principal(Arc<Principal>),
    /// One of the fixed collections.
    Fixed(Path),
}

/// What stands at `path`, for GET.
///
/// # Errors
/// As [`tree::resolve`]; reading a collection takes DAV:read.
pub async fn get(context: &Context, actor: Actor, path: &Path) -> Result<Found, Error> {
    if let (Path::Object(..), Some(above), Some(name)) = (path, path.parent(), path.name())
        && actor != Actor::Anonymous
    {
        let node = tree::collection(context, actor, &above).await?;
        node.require(Privilege::Read)?;
        let found = context.store.kept_content(node.collection.id, name).await?;
        let (object, bytes) = found.ok_or(Error::NotFound)?;
        return Ok(Found::Object(object, bytes, node));
    }
    match tree::resolve(context, actor, path).await? {
        Resource::Fixed(path) => Ok(Found::Fixed(path)),
        Resource::Principal(principal) => Ok(Found::Principal(principal)),
        Resource::Collection(node) => Ok(Found::Collection(node)),
        Resource::Object(node, object) => {
            let content = context.store.kept_content(node.collection.id, &object.name).await?;
            let (object, bytes) = content.ok_or(Error::NotFound)?;
            Ok(Found::Object(object, bytes, node))
        }
    }
}
