//! Conditional requests: If-Match and its kin (RFC 9110 §13) and If (RFC 4918 §10.4), as values. The edge parses the headers;
//! use-cases evaluate them on the very state that their batch then asserts, so that nothing can change in between.

use std::collections::HashMap;

use super::locks::Locks;
use super::tree::{self, Node, Resource};
use super::{Context, Error};
use crate::access::Actor;
use crate::base::{ETag, LockToken, Secret, Utc};
use crate::model::{Collection, Object, Path, Privilege, SyncToken};
use crate::store::Assert;

/// Stands between the tag of a state and the name of a representation of it other than the stored bytes.
const VARIANT_MARK: char = '-';

/// Everything that a request demands of the state before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// If-Match.
    pub if_match: Option<Tags>,
    /// If-None-Match.
    pub if_none_match: Option<Tags>,
    /// If-Modified-Since; for reading only.
    pub modified_since: Option<Utc>,
    /// If-Unmodified-Since.
    pub unmodified_since: Option<Utc>,
    /// If.
    pub state: Option<If>,
}

/// The value of If-Match or If-None-Match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    /// A list.
    Of(Vec<Tag>),
}

/// An entity tag as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// `W/`
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: String,
}

/// The If header: true if one of its lists is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct If(pub Vec<List>);

/// A list of conditions, true if all of them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Of which resource it speaks.
    pub about: About,
    /// The conditions; never none.
    pub all: Vec<Condition>,
}

/// The resource of a [`List`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The one that the request is for.
    Request,
    /// The one of this tag.
    Path(Path),
    /// Something that is none of ours; it has no state.
    Elsewhere,
}

/// A single condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether `Not` stands before it.
    pub negated: bool,
    /// What must hold.
    pub is: State,
}

/// What a [`Condition`] tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A lock with this token holds on the resource, or the collection's sync-token is this one (RFC 6578 §5).
    /// `DAV:no-lock` and foreign tokens never are.
    Locked(LockToken),
    /// Its tag is this one.
    Tagged(Tag),
}

/// The validators of something that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// What stands between the quotes of its ETag; `None` if it has none.
    pub tag: Option<String>,
    /// When it last changed.
    pub modified: Utc,
}

impl Validators {
    /// Of what is there, and has none or shows none.
    pub const UNKNOWN: Self = Self { tag: None, modified: Utc::MIN };

    /// Those of an object.
    pub fn of_object(object: &Object) -> Self {
        Self { tag: Some(opaque(object.etag)), modified: object.modified }
    }

    /// Those of another representation of the same state: a strong tag stands for one sequence of bytes (RFC 9110 §8.8.1),
    /// but whichever of them a writer has seen, it has seen this state. An empty name changes nothing.
    #[must_use]
    pub fn of_variant(mut self, name: &str) -> Self {
        if let Some(tag) = self.tag.as_mut().filter(|_| !name.is_empty()) {
            tag.push(VARIANT_MARK);
            tag.push_str(name);
        }
        self
    }

    /// Those of a collection. Only calendars have a representation, and so a tag.
    pub fn of_collection(collection: &Collection) -> Self {
        let tag = collection.calendar().map(|_| opaque(collection_tag(collection)));
        Self { tag, modified: collection.modified }
    }
}

/// The tag of a calendar's own representation (all its objects in one stream): another with each revision.
pub fn collection_tag(collection: &Collection) -> ETag {
    ETag::of(collection.sync_token().to_string().as_bytes())
}

/// A tag without its quotes.
pub fn opaque(tag: ETag) -> String {
    let mut text = tag.to_string();
    text.pop();
    text.remove(0);
    text
}

impl Conditions {
    /// The lock tokens that were submitted: all in the If header, whatever its lists evaluate to (RFC 4918 §10.4.1).
    pub fn tokens(&self) -> Vec<LockToken> {
        let lists = self.state.iter().flat_map(|state| &state.0);
        let tokens = lists.flat_map(|list| &list.all).filter_map(|condition| match &condition.is {
            State::Locked(token) => Some(token.clone()),
            State::Tagged(_) => None,
        });
        tokens.collect()
    }

    /// Whether `state` (`None`: nothing is there) is what If-Match, If-Unmodified-Since and If-None-Match demand of a
    /// resource that is to be written.
    ///
    /// # Errors
    /// [`Error::StateChanged`].
    pub fn check(&self, state: Option<&Validators>) -> Result<(), Error> {
        if self.still(state) && self.none_match(state) { Ok(()) } else { Err(Error::StateChanged) }
    }

    /// The part of [`Conditions::check`] that holds for reading as well: If-Match and If-Unmodified-Since.
    pub fn still(&self, state: Option<&Validators>) -> bool {
        match (&self.if_match, self.unmodified_since) {
            (Some(Tags::Any), _) => state.is_some(),
            (Some(Tags::Of(tags)), _) => {
                let own = state.and_then(|state| state.tag.as_deref());
                own.is_some_and(|own| tags.iter().any(|tag| !tag.weak && tag.is_of(own)))
            }
            (None, Some(date)) => state.is_none_or(|state| state.modified <= date),
            (None, None) => true,
        }
    }

    fn none_match(&self, state: Option<&Validators>) -> bool {
        match (&self.if_none_match, state) {
            (None, _) | (_, None) => true,
            (Some(Tags::Any), Some(_)) => false,
            (Some(Tags::Of(tags)), Some(state)) => {
                !state.tag.as_deref().is_some_and(|own| tags.iter().any(|tag| tag.is_of(own)))
            }
        }
    }

    /// Whether a reader has this already: 304 (RFC 9110 §13.2.2).
    pub fn is_fresh(&self, state: &Validators) -> bool {
        match (&self.if_none_match, self.modified_since) {
            (Some(Tags::Any), _) => true,
            // Another representation of the same state is not what the reader has.
            (Some(Tags::Of(tags)), _) => tags.iter().any(|tag| Some(tag.opaque.as_str()) == state.tag.as_deref()),
            (None, Some(date)) => state.modified <= date,
            (None, None) => false,
        }
    }

    /// All of [`Conditions::check`] and the If header, on whatever stands at `path`.
    ///
    /// # Errors
    /// [`Error::StateChanged`], and those of the store.
    pub async fn require(&self, context: &Context, actor: Actor, path: &Path, locks: &Locks<'_>) -> Result<(), Error> {
        if *self == Self::default() {
            return Ok(());
        }
        let place = Place::at(context, actor, path).await?;
        self.check(place.validators.as_ref())?;
        self.check_if(context, actor, path, locks).await
    }

    /// What must still hold of `collection` when a change of its own fields is committed. Its members may change meanwhile, unless
    /// the client asked for a state of it: busy calendars could not be renamed otherwise.
    pub(super) fn hold_on(&self, collection: &Collection) -> Vec<Assert> {
        let itself = Assert::CollectionIs(Secret::new(Box::new(collection.clone())));
        let whole = self.speak_of_a_state().then(|| Assert::CollectionAt(collection.id, collection.revision));
        std::iter::once(itself).chain(whole).collect()
    }

    /// Whether they demand more than that something is there or not, and that it is locked so.
    fn speak_of_a_state(&self) -> bool {
        let tags = [&self.if_match, &self.if_none_match].into_iter().any(|tags| matches!(tags, Some(Tags::Of(_))));
        let mut named = self.state.iter().flat_map(|state| &state.0).flat_map(|list| &list.all);
        tags || self.unmodified_since.is_some()
            || named.any(|condition| match &condition.is {
                State::Tagged(_) => true,
                State::Locked(token) => SyncToken::parse(&token.0).is_some(),
            })
    }

    /// The If header alone, `path` being what the request is for.
    ///
    /// # Errors
    /// [`Error::StateChanged`], and those of the store.
    pub async fn check_if(&self, context: &Context, actor: Actor, path: &Path, locks: &Locks<'_>) -> Result<(), Error> {
        let Some(If(lists)) = &self.state else { return Ok(()) };
        let elsewhere = Place::default();
        // A header has room for thousands of lists, most often of one resource.
        let mut places: HashMap<&Path, Place> = HashMap::new();
        for list in lists {
            let about = match &list.about {
                About::Request => Some(path),
                About::Path(path) => Some(path),
                About::Elsewhere => None,
            };
            if let Some(path) = about
                && !places.contains_key(path)
            {
                places.insert(path, Place::at(context, actor, path).await?);
            }
            let place = about.and_then(|path| places.get(path)).unwrap_or(&elsewhere);
            if list.all.iter().all(|condition| place.satisfies(condition, locks)) {
                return Ok(());
            }
        }
        Err(Error::StateChanged)
    }
}

impl Tag {
    /// Whether it names the state with the tag `own`, in this representation or another.
    fn is_of(&self, own: &str) -> bool {
        let variant = self.opaque.strip_prefix(own);
        variant.is_some_and(|variant| variant.is_empty() || variant.starts_with(VARIANT_MARK))
    }
}

/// What stands at a path, as far as conditions go.
#[derive(Default)]
struct Place {
    /// The collection, and the member's name if it is one. A member that is not there yet is in the scope of its
    /// collection's deep locks.
    spot: Option<(Node, Option<String>)>,
    validators: Option<Validators>,
}

impl Place {
    async fn at(context: &Context, actor: Actor, path: &Path) -> Result<Self, Error> {
        match tree::resolve(context, actor, path).await {
            Ok(Resource::Object(node, object)) => {
                let validators = Some(Validators::of_object(&object));
                Ok(Self { spot: Some((node, Some(object.name))), validators })
            }
            // Whoever may not read it must not ask by conditions what state it is in.
            Ok(Resource::Collection(node)) if !node.privileges.has(Privilege::Read) => {
                Ok(Self { spot: Some((node, None)), validators: Some(Validators::UNKNOWN) })
            }
            Ok(Resource::Collection(node)) => {
                let validators = Some(Validators::of_collection(&node.collection));
                Ok(Self { spot: Some((node, None)), validators })
            }
            Ok(Resource::Fixed(_) | Resource::Principal(_)) => {
                Ok(Self { spot: None, validators: Some(Validators::UNKNOWN) })
            }
            Err(Error::Store(error)) => Err(error.into()),
            Err(_) => Self::missing(context, actor, path).await,
        }
    }

    async fn missing(context: &Context, actor: Actor, path: &Path) -> Result<Self, Error> {
        match tree::parent(context, actor, path).await {
            Ok(node) => Ok(Self { spot: Some((node, path.name().map(str::to_owned))), validators: None }),
            Err(Error::Store(error)) => Err(error.into()),
            Err(_) => Ok(Self::default()),
        }
    }

    fn satisfies(&self, condition: &Condition, locks: &Locks<'_>) -> bool {
        let holds = match &condition.is {
            State::Locked(token) => self.spot.as_ref().is_some_and(|(node, member)| {
                let synced = member.is_none() && node.collection.sync_token().to_string() == token.0;
                synced || locks.has(node, member.as_deref(), token)
            }),
            State::Tagged(tag) => {
                let own = self.validators.as_ref().and_then(|validators| validators.tag.as_deref());
                own.is_some_and(|own| tag.is_of(own))
            }
        };
        holds != condition.negated
    }
}
