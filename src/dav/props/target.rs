//! What properties are about.

use crate::model::{CollectionKind, Object, Path, Principal, Privileges, StoredProperty, UserName};
use crate::service::tree::{self, Node, Resource};

use super::Sight;
use crate::xml::{Writer, ns};

/// A set of kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// The fixed collections.
    pub const FIXED: Self = Self(1);
    /// Principals.
    pub const PRINCIPAL: Self = Self(2);
    /// Calendar homes.
    pub const HOME: Self = Self(4);
    /// Calendars.
    pub const CALENDAR: Self = Self(8);
    /// Plain collections.
    pub const PLAIN: Self = Self(16);
    /// Calendar objects.
    pub const OBJECT: Self = Self(32);
    /// Files.
    pub const FILE: Self = Self(64);
    /// All of them.
    pub const ALL: Self = Self(127);
    /// Each alone.
    pub const EACH: [Self; 7] =
        [Self::FIXED, Self::PRINCIPAL, Self::HOME, Self::CALENDAR, Self::PLAIN, Self::OBJECT, Self::FILE];
    /// What holds members and is a user's.
    pub const COLLECTIONS: Self = Self::HOME.or(Self::CALENDAR).or(Self::PLAIN);
    /// What has bytes.
    pub const CONTENT: Self = Self::OBJECT.or(Self::FILE);
    /// What belongs to a user.
    pub const OWNED: Self = Self::COLLECTIONS.or(Self::CONTENT);

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all kinds of `other` are in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A resource whose properties are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A fixed collection.
    Fixed(&'a Path),
    /// A principal.
    Principal(&'a Principal),
    /// A collection of a user.
    Collection(&'a Node),
    /// An object, and the collection that it lies in.
    Object(&'a Node, &'a Object),
}

impl<'a> From<&'a Resource> for Target<'a> {
    fn from(resource: &'a Resource) -> Self {
        match resource {
            Resource::Fixed(path) => Self::Fixed(path),
            Resource::Principal(principal) => Self::Principal(principal),
            Resource::Collection(node) => Self::Collection(node),
            Resource::Object(parent, object) => Self::Object(parent, object),
        }
    }
}

impl<'a> Target<'a> {
    /// Its kind.
    pub fn kind(self) -> Kinds {
        match self {
            Self::Fixed(_) => Kinds::FIXED,
            Self::Principal(_) => Kinds::PRINCIPAL,
            Self::Collection(node) => match node.collection.kind {
                CollectionKind::Home => Kinds::HOME,
                CollectionKind::Calendar(_) => Kinds::CALENDAR,
                CollectionKind::Plain => Kinds::PLAIN,
            },
            Self::Object(parent, _) if parent.collection.calendar().is_some() => Kinds::OBJECT,
            Self::Object(..) => Kinds::FILE,
        }
    }

    /// Where it is.
    pub fn path(self) -> Path {
        match self {
            Self::Fixed(path) => path.clone(),
            Self::Principal(principal) => Path::Principal(principal.name.clone()),
            Self::Collection(node) => node.path.clone(),
            // Only collections have objects in them, so the path has a level below it.
            Self::Object(parent, object) => parent.path.member(&object.name).unwrap_or_else(|| parent.path.clone()),
        }
    }

    /// Writes DAV:href with where it is.
    pub fn write_href(self, writer: &mut Writer) {
        writer.open(ns::DAV, "href");
        match self {
            Self::Fixed(_) | Self::Principal(_) => writer.text(&self.path().href()),
            Self::Collection(node) => writer.text(node.href()),
            Self::Object(parent, object) => {
                Path::encoded(&object.name).fold(writer.text(parent.href()), |writer, piece| writer.text(piece))
            }
        };
        writer.close();
    }

    /// The collection itself, or the one that the object lies in.
    pub fn node(self) -> Option<&'a Node> {
        match self {
            Self::Collection(node) | Self::Object(node, _) => Some(node),
            Self::Fixed(_) | Self::Principal(_) => None,
        }
    }

    /// The object, if it is one.
    pub fn object(self) -> Option<&'a Object> {
        match self {
            Self::Object(_, object) => Some(object),
            _ => None,
        }
    }

    /// The properties that clients have set on it.
    pub fn stored(self) -> &'a [StoredProperty] {
        match self {
            Self::Fixed(_) => &[],
            Self::Principal(principal) => &principal.properties,
            Self::Collection(node) => &node.collection.properties,
            Self::Object(_, object) => &object.properties,
        }
    }

    /// The user whose it is.
    pub fn owner(self) -> Option<&'a UserName> {
        match self {
            Self::Fixed(_) => None,
            Self::Principal(principal) => Some(&principal.name),
            Self::Collection(node) | Self::Object(node, _) => tree::owner_of(&node.path),
        }
    }

    /// What the one who asks may do with it. Fixed collections can be read by every user, and so can principals
    /// by those who may see them; a principal's own user may change its properties.
    pub fn privileges(self, sight: &Sight) -> Privileges {
        use crate::model::Privilege as P;
        let read = P::Read.set().union(P::ReadCurrentUserPrivilegeSet.set());
        match self {
            Self::Fixed(_) => read,
            Self::Principal(principal) if sight.actor.principal() == Some(principal.id) => {
                read.union(P::WriteProperties.set()).union(P::ReadAcl.set())
            }
            Self::Principal(_) => read,
            Self::Collection(node) | Self::Object(node, _) => node.privileges,
        }
    }
}
