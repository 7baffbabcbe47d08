//! From a path to the thing at it, as far as the actor may know of it (invariant A1).

use std::sync::{Arc, OnceLock};

use super::{Context, Directory, Error};
use crate::access::{Actor, decide};
use crate::base::{CollectionId, PrincipalId};
use crate::model::{
    Ace, Collection, CollectionKind, Object, Path, Principal, Privilege, Privileges, TrailingSlash, UserName,
};

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Resource {
    /// One of the fixed collections: `/`, `/dav/`, `/dav/principals/`, `/dav/calendars/`, `/dav/files/`.
    Fixed(Path),
    /// A principal.
    Principal(Arc<Principal>),
    /// A home, calendar or plain collection.
    Collection(Node),
    /// A calendar object or file.
    Object(Node, Box<Object>),
}

/// A collection, and what the actor may do with it and its members.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is.
    pub path: Path,
    /// The collection.
    pub collection: Arc<Collection>,
    /// What the actor may do.
    pub privileges: Privileges,
    /// The collections whose grants it inherits, from the nearest up, each with its path.
    inherited: Vec<(Path, Arc<Collection>)>,
    /// The collections that it lies in, from the nearest up.
    pub above: Vec<CollectionId>,
    /// Whether the actor may know that it exists.
    known: bool,
    /// [`Path::href`] of `path`, once somebody wants it.
    href: OnceLock<String>,
}

impl Node {
    fn root(path: Path, collection: Arc<Collection>, actor: Actor) -> Self {
        let privileges = decide(actor, collection.owner, [collection.acl.as_slice()]);
        let known = !privileges.is_empty();
        Self { path, collection, privileges, inherited: Vec::new(), above: Vec::new(), known, href: OnceLock::new() }
    }

    /// The node of a collection inside this one.
    pub fn below(&self, collection: Arc<Collection>, actor: Actor) -> Option<Self> {
        let path = self.path.member(&collection.name)?.with_slash(TrailingSlash::Yes);
        let mut inherited = vec![(self.path.clone(), Arc::clone(&self.collection))];
        inherited.extend(self.inherited.iter().cloned());
        let lists =
            [collection.acl.as_slice()].into_iter().chain(inherited.iter().map(|(_, above)| above.acl.as_slice()));
        let privileges = decide(actor, collection.owner, lists);
        let above = [self.collection.id].into_iter().chain(self.above.iter().copied()).collect();
        // What is granted on a folder is no leave to know the names of those in it: that takes DAV:read, or a grant on them.
        let known = match collection.kind {
            CollectionKind::Plain if !self.privileges.has(Privilege::Read) => {
                !decide(actor, collection.owner, [collection.acl.as_slice()]).is_empty()
            }
            _ => !privileges.is_empty(),
        };
        Some(Self { path, collection, privileges, inherited, above, known, href: OnceLock::new() })
    }

    /// Its href: [`Path::href`] of its path. A listing writes it once for every member.
    pub fn href(&self) -> &str {
        self.href.get_or_init(|| self.path.href())
    }

    /// The grants that it inherits, from the nearest up, each list with the path of the collection that it stands on.
    pub fn inherited(&self) -> impl Iterator<Item = (&Path, &[Ace])> {
        self.inherited.iter().map(|(path, above)| (path, above.acl.as_slice()))
    }

    /// Whether the actor may know that it exists: any privilege is enough.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Demands a privilege on it.
    ///
    /// # Errors
    /// [`Error::needs`] if the actor may know of it and lacks the privilege, [`Error::NotFound`] if the actor may not.
    pub fn require(&self, privilege: Privilege) -> Result<(), Error> {
        match (self.privileges.has(privilege), self.is_known()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::needs(privilege, &self.path)),
            (false, false) => Err(Error::NotFound),
        }
    }
}

/// The thing at `path`.
///
/// # Errors
/// [`Error::Unauthenticated`] for nobody, [`Error::NotFound`] for what is not there or what the actor may not know of,
/// [`Error::needs`] for a member of a collection that the actor may know of and not read (whether or not it is there).
pub async fn resolve(context: &Context, actor: Actor, path: &Path) -> Result<Resource, Error> {
    if actor == Actor::Anonymous {
        return Err(Error::Unauthenticated);
    }
    match path {
        Path::Root | Path::Dav | Path::Principals | Path::Homes | Path::FileRoots => Ok(Resource::Fixed(path.clone())),
        Path::Principal(user) => {
            let principal = context.store.principal_named(user).await?;
            let visible = sees(context, actor, principal.as_deref()).await?;
            principal.filter(|_| visible).map(Resource::Principal).ok_or(Error::NotFound)
        }
        Path::Home(_) | Path::Calendar(..) => Ok(Resource::Collection(collection(context, actor, path).await?)),
        Path::Object(..) => member(context, actor, path).await,
        Path::File(_, segments, _) if segments.is_empty() => {
            Ok(Resource::Collection(collection(context, actor, path).await?))
        }
        Path::File(..) => member(context, actor, path).await,
    }
}

/// The collection at `path`, which must name one: a home, a calendar or a plain collection.
///
/// # Errors
/// As [`resolve`]; a home is known to whoever may know of a calendar in it.
pub async fn collection(context: &Context, actor: Actor, path: &Path) -> Result<Node, Error> {
    if actor == Actor::Anonymous {
        return Err(Error::Unauthenticated);
    }
    let node = walk(context, actor, path).await?;
    let known = node.as_ref().is_some_and(Node::is_known)
        || (matches!(path, Path::Home(_)) && knows_a_child(context, actor, node.as_ref()).await?);
    node.filter(|_| known).ok_or(Error::NotFound)
}

/// The collection that the thing at `path` lies in or would lie in.
///
/// # Errors
/// [`Error::ParentMissing`] if there is none and the actor may know that, [`Error::NotFound`] else.
pub async fn parent(context: &Context, actor: Actor, path: &Path) -> Result<Node, Error> {
    let above = path.parent().ok_or(Error::NotFound)?;
    if !matches!(above, Path::Home(_) | Path::Calendar(..) | Path::File(..)) {
        return Err(Error::NotFound);
    }
    match collection(context, actor, &above).await {
        // Whoever may make things in the home may know that a calendar is missing there.
        Err(Error::NotFound) => match owner_of(path) {
            Some(user) if is_user(context, actor, user).await? => Err(Error::ParentMissing),
            _ => Err(Error::NotFound),
        },
        other => other,
    }
}

/// The collections in `node` that the actor may know of, by name.
///
/// # Errors
/// Of the store only.
pub async fn children(context: &Context, actor: Actor, node: &Node) -> Result<Vec<Node>, Error> {
    let children = context.store.children(node.collection.id).await?;
    Ok(children.into_iter().filter_map(|child| node.below(child, actor)).filter(Node::is_known).collect())
}

/// The principal of that name, whoever asks: for use-cases that have decided already.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn principal(context: &Context, user: &UserName) -> Result<Arc<Principal>, Error> {
    context.store.principal_named(user).await?.ok_or(Error::NotFound)
}

/// Whether `actor` may know that `other` is a user of this server: itself, whoever granted it something, and
/// everybody where the directory is open.
///
/// # Errors
/// Of the store only.
pub async fn may_see(context: &Context, actor: Actor, other: &Principal) -> Result<bool, Error> {
    sees(context, actor, Some(other)).await
}

/// As [`may_see`], in the same steps where there is no such user.
async fn sees(context: &Context, actor: Actor, other: Option<&Principal>) -> Result<bool, Error> {
    match actor {
        Actor::System => return Ok(true),
        Actor::Anonymous => return Ok(false),
        Actor::User(id) if other.is_some_and(|other| id == other.id) => return Ok(true),
        Actor::User(_) if context.directory == Directory::Open => return Ok(true),
        Actor::User(_) => {}
    }
    let home = context.store.collection(other.map_or(NOWHERE, |other| other.home)).await?;
    let home = home.zip(other).map(|(home, other)| Node::root(Path::Home(other.name.clone()), home, actor));
    Ok(home.as_ref().is_some_and(Node::is_known) || knows_a_child(context, actor, home.as_ref()).await?)
}

/// The path of a collection by its id, for hrefs of things that were found otherwise.
///
/// # Errors
/// [`Error::NotFound`] if it or something above it is gone.
pub async fn path_of(context: &Context, collection: &Collection) -> Result<Path, Error> {
    let owner = context.store.principal(collection.owner).await?.ok_or(Error::NotFound)?;
    let mut names = Vec::new();
    let mut current = Arc::new(collection.clone());
    while let Some(parent) = current.parent {
        names.push(current.name.clone());
        current = context.store.collection(parent).await?.ok_or(Error::NotFound)?;
    }
    let root = match current.kind {
        CollectionKind::Home => Path::Home(owner.name.clone()),
        CollectionKind::Calendar(_) | CollectionKind::Plain => {
            Path::File(owner.name.clone(), Vec::new(), TrailingSlash::Yes)
        }
    };
    let below = |path: Path, name: String| path.member(&name).ok_or(Error::NotFound);
    Ok(names.into_iter().rev().try_fold(root, below)?.with_slash(TrailingSlash::Yes))
}

async fn member(context: &Context, actor: Actor, path: &Path) -> Result<Resource, Error> {
    let (Some(above), Some(name)) = (path.parent(), path.name()) else { return Err(Error::NotFound) };
    let parent = collection(context, actor, &above).await?;
    parent.require(Privilege::Read)?;
    if let Some(object) = context.store.object(parent.collection.id, name).await? {
        return Ok(Resource::Object(parent, Box::new(object)));
    }
    let child = context.store.child(parent.collection.id, name).await?.ok_or(Error::NotFound)?;
    parent.below(child, actor).map(Resource::Collection).ok_or(Error::NotFound)
}

/// No collection has it: looked up in the place of one that is missing, so that what is missing takes the same steps as what
/// is there and may not be known.
const NOWHERE: CollectionId = CollectionId(u64::MAX);

/// Goes down from the user's root to the collection at `path`, whatever the actor may know of it.
async fn walk(context: &Context, actor: Actor, path: &Path) -> Result<Option<Node>, Error> {
    let Some(user) = owner_of(path) else { return Ok(None) };
    let owner = context.store.principal_named(user).await?;
    let (root, root_path, segments) = match path {
        Path::Home(_) | Path::Calendar(..) => {
            let root = owner.as_ref().map(|owner| owner.home);
            let segments = if let Path::Calendar(_, calendar) = path { vec![calendar] } else { Vec::new() };
            (root, Path::Home(user.clone()), segments)
        }
        Path::File(_, segments, _) => {
            let root = owner.as_ref().map(|owner| owner.files);
            (root, Path::File(user.clone(), Vec::new(), TrailingSlash::Yes), segments.iter().collect())
        }
        _ => return Ok(None),
    };
    let root = context.store.collection(root.unwrap_or(NOWHERE)).await?;
    let mut node = root.map(|root| Node::root(root_path, root, actor));
    for segment in segments {
        let above = node.as_ref().map_or(NOWHERE, |node| node.collection.id);
        let child = context.store.child(above, segment).await?;
        node = node.zip(child).and_then(|(node, child)| node.below(child, actor));
    }
    Ok(node)
}

/// The user in whose rooms a path lies.
pub fn owner_of(path: &Path) -> Option<&UserName> {
    match path {
        Path::Principal(user)
        | Path::Home(user)
        | Path::Calendar(user, _)
        | Path::Object(user, ..)
        | Path::File(user, ..) => Some(user),
        Path::Root | Path::Dav | Path::Principals | Path::Homes | Path::FileRoots => None,
    }
}

async fn is_user(context: &Context, actor: Actor, user: &UserName) -> Result<bool, Error> {
    let id = |id: PrincipalId| async move { context.store.principal(id).await };
    match actor {
        Actor::System => Ok(true),
        Actor::Anonymous => Ok(false),
        Actor::User(user_id) => Ok(id(user_id).await?.is_some_and(|principal| principal.name == *user)),
    }
}

async fn knows_a_child(context: &Context, actor: Actor, home: Option<&Node>) -> Result<bool, Error> {
    let children = context.store.children(home.map_or(NOWHERE, |home| home.collection.id)).await?;
    Ok(home
        .is_some_and(|home| children.into_iter().any(|child| home.below(child, actor).is_some_and(|c| c.is_known()))))
}
