//! Where things are: the one parsed form of every path below `/`.

use super::UserName;

/// A resource's place. Parsed once from a request's target, and written once into every href.
/// Segments are decoded; the writer encodes them again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Path {
    /// `/`
    Root,
    /// `/dav/`
    Dav,
    /// `/dav/principals/`
    Principals,
    /// `/dav/principals/{user}/`
    Principal(UserName),
    /// `/dav/calendars/`
    Homes,
    /// `/dav/calendars/{user}/`
    Home(UserName),
    /// `/dav/calendars/{user}/{calendar}/`
    Calendar(UserName, String),
    /// `/dav/calendars/{user}/{calendar}/{name}`
    Object(UserName, String, String),
    /// `/dav/files/`
    FileRoots,
    /// `/dav/files/{user}/{segment}/…`: the segments below the user's root, none for the root itself.
    /// `true` if the path ended with a slash.
    File(UserName, Vec<String>, TrailingSlash),
}

/// Whether a path ended with a slash: for files it is what the client meant, for all else it follows from the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrailingSlash {
    /// `…/`
    Yes,
    /// `…`
    No,
}

/// Why a path is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No resource is ever there: 404.
    #[error("there is nothing at this path")]
    NotFound,
    /// It is malformed: 400.
    #[error("the path is malformed: {0}")]
    Malformed(&'static str),
}

impl Path {
    /// Parses the path of a request target or an href (no scheme, host or query). Percent escapes are
    /// decoded once; `%40` and `@` are the same. A missing trailing slash on a collection is accepted.
    ///
    /// # Errors
    /// [`PathError::Malformed`] for `.`/`..` segments, empty segments inside, encoded slashes, NUL and other control
    /// characters other than those legal in a name, and broken UTF-8; [`PathError::NotFound`] for what lies elsewhere.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let _ = path;
        todo!()
    }

    /// The href: absolute path, percent-encoded, collections with a trailing slash.
    pub fn href(&self) -> String {
        todo!()
    }

    /// The path of the collection that this one lies in.
    pub fn parent(&self) -> Option<Self> {
        todo!()
    }

    /// Its last segment, where it has one of its own.
    pub fn name(&self) -> Option<&str> {
        todo!()
    }

    /// The member called `name` of this collection.
    pub fn member(&self, name: &str) -> Option<Self> {
        let _ = name;
        todo!()
    }
}
