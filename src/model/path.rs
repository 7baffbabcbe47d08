//! Where things are: the one parsed form of every path below `/`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

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

/// What stays as it is in a segment: RFC 3986's unreserved characters and `@`, which user names have.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

impl Path {
    /// Parses the path of a request target or an href (no scheme, host or query). Percent escapes are
    /// decoded once; `%40` and `@` are the same. A missing trailing slash on a collection is accepted.
    ///
    /// # Errors
    /// [`PathError::Malformed`] for `.` and `..` segments, empty segments inside, encoded slashes, NUL and
    /// broken UTF-8; [`PathError::NotFound`] for what lies elsewhere.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let inside = path.strip_prefix('/').ok_or(PathError::Malformed("it does not begin with a slash"))?;
        let (inside, slash) = match inside.strip_suffix('/') {
            Some(rest) => (rest, TrailingSlash::Yes),
            None => (inside, TrailingSlash::No),
        };
        if inside.is_empty() {
            return if path == "/" { Ok(Self::Root) } else { Err(PathError::Malformed("it has an empty segment")) };
        }
        let segments = inside.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
        Self::of_segments(segments, slash)
    }

    fn of_segments(segments: Vec<Cow<'_, str>>, slash: TrailingSlash) -> Result<Self, PathError> {
        let mut segments = segments.into_iter();
        if segments.next().as_deref() != Some("dav") {
            return Err(PathError::NotFound);
        }
        let Some(room) = segments.next() else { return Ok(Self::Dav) };
        let user = segments.next().map(|name| UserName::new(&name).map_err(|_| PathError::NotFound)).transpose()?;
        let rest: Vec<String> = segments.map(Cow::into_owned).collect();
        match (room.as_ref(), user, rest.len()) {
            ("principals", None, 0) => Ok(Self::Principals),
            ("principals", Some(user), 0) => Ok(Self::Principal(user)),
            ("calendars", None, 0) => Ok(Self::Homes),
            ("calendars", Some(user), _) => Self::below_home(user, rest),
            ("files", None, 0) => Ok(Self::FileRoots),
            ("files", Some(user), _) => Ok(Self::File(user, rest, slash)),
            _ => Err(PathError::NotFound),
        }
    }

    fn below_home(user: UserName, rest: Vec<String>) -> Result<Self, PathError> {
        let mut rest = rest.into_iter();
        match (rest.next(), rest.next(), rest.next()) {
            (None, ..) => Ok(Self::Home(user)),
            (Some(calendar), None, _) => Ok(Self::Calendar(user, calendar)),
            (Some(calendar), Some(name), None) => Ok(Self::Object(user, calendar, name)),
            _ => Err(PathError::NotFound),
        }
    }

    /// The href: absolute path, percent-encoded, collections with a trailing slash.
    pub fn href(&self) -> String {
        let mut href = String::with_capacity(64);
        match self {
            Self::Root => href.push('/'),
            Self::Dav => href.push_str("/dav/"),
            Self::Principals => href.push_str("/dav/principals/"),
            Self::Principal(user) => push(&mut href, "/dav/principals/", [user.as_str()], true),
            Self::Homes => href.push_str("/dav/calendars/"),
            Self::Home(user) => push(&mut href, "/dav/calendars/", [user.as_str()], true),
            Self::Calendar(user, calendar) => {
                push(&mut href, "/dav/calendars/", [user.as_str(), calendar.as_str()], true);
            }
            Self::Object(user, calendar, name) => {
                push(&mut href, "/dav/calendars/", [user.as_str(), calendar.as_str(), name.as_str()], false);
            }
            Self::FileRoots => href.push_str("/dav/files/"),
            Self::File(user, segments, slash) => {
                let all = std::iter::once(user.as_str()).chain(segments.iter().map(String::as_str));
                push(&mut href, "/dav/files/", all, *slash == TrailingSlash::Yes || segments.is_empty());
            }
        }
        href
    }

    /// A name as it stands in an href, in pieces. Behind the href of a collection it is the href of the member.
    pub fn encoded(name: &str) -> impl Iterator<Item = &str> {
        utf8_percent_encode(name, SEGMENT)
    }

    /// The path of the collection that this one lies in.
    pub fn parent(&self) -> Option<Self> {
        Some(match self {
            Self::Root => return None,
            Self::Dav => Self::Root,
            Self::Principals | Self::Homes | Self::FileRoots => Self::Dav,
            Self::Principal(_) => Self::Principals,
            Self::Home(_) => Self::Homes,
            Self::Calendar(user, _) => Self::Home(user.clone()),
            Self::Object(user, calendar, _) => Self::Calendar(user.clone(), calendar.clone()),
            Self::File(user, segments, _) => match segments.split_last() {
                None => Self::FileRoots,
                Some((_, above)) => Self::File(user.clone(), above.to_vec(), TrailingSlash::Yes),
            },
        })
    }

    /// Its last segment, where it has one of its own.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Root | Self::Dav | Self::Principals | Self::Homes | Self::FileRoots => None,
            Self::Principal(user) | Self::Home(user) => Some(user.as_str()),
            Self::Calendar(_, name) | Self::Object(_, _, name) => Some(name),
            Self::File(user, segments, _) => Some(segments.last().map_or(user.as_str(), String::as_str)),
        }
    }

    /// The member called `name` of this collection. `None` where paths have no such level (below an object) or
    /// `name` can be no user's.
    pub fn member(&self, name: &str) -> Option<Self> {
        let user = || UserName::new(name).ok();
        match self {
            Self::Principals => user().map(Self::Principal),
            Self::Homes => user().map(Self::Home),
            Self::FileRoots => user().map(|user| Self::File(user, Vec::new(), TrailingSlash::Yes)),
            Self::Home(user) => Some(Self::Calendar(user.clone(), name.to_owned())),
            Self::Calendar(user, calendar) => Some(Self::Object(user.clone(), calendar.clone(), name.to_owned())),
            Self::File(user, segments, _) => {
                let below = segments.iter().cloned().chain([name.to_owned()]).collect();
                Some(Self::File(user.clone(), below, TrailingSlash::No))
            }
            Self::Root | Self::Dav | Self::Principal(_) | Self::Object(..) => None,
        }
    }

    /// The same place written as a collection (with a slash at the end) or not; only files can be either.
    #[must_use]
    pub fn with_slash(self, slash: TrailingSlash) -> Self {
        match self {
            Self::File(user, segments, _) => Self::File(user, segments, slash),
            other => other,
        }
    }

    /// Whether `other` lies anywhere below this one.
    pub fn contains(&self, other: &Self) -> bool {
        let mut above = other.parent();
        while let Some(path) = above {
            if path.same_place(self) {
                return true;
            }
            above = path.parent();
        }
        false
    }

    /// Whether both name one place, with or without a trailing slash.
    pub fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(user, segments, _), Self::File(user2, segments2, _)) => user == user2 && segments == segments2,
            _ => self == other,
        }
    }
}

/// Decodes a segment once.
fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let decoded = if segment.contains('%') {
        let bytes = percent_decode_str(segment);
        bytes.decode_utf8().map_err(|_| PathError::Malformed("a segment is not UTF-8 after percent-decoding"))?
    } else {
        Cow::Borrowed(segment)
    };
    match decoded.as_ref() {
        "" => Err(PathError::Malformed("it has an empty segment")),
        "." | ".." => Err(PathError::Malformed("it has a `.` or `..` segment")),
        name if name.contains('/') => Err(PathError::Malformed("a segment has an encoded slash")),
        name if name.contains('\0') => Err(PathError::Malformed("a segment has a NUL")),
        _ => Ok(decoded),
    }
}

fn push<'a>(href: &mut String, root: &str, segments: impl IntoIterator<Item = &'a str>, slash: bool) {
    href.push_str(root);
    for (i, segment) in segments.into_iter().enumerate() {
        if i > 0 {
            href.push('/');
        }
        href.extend(utf8_percent_encode(segment, SEGMENT));
    }
    if slash {
        href.push('/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that clients have used, and that must survive in every href.
    #[test]
    fn names_survive_the_way_there_and_back() {
        let home = Path::parse("/dav/calendars/alice@example.com").expect("a home");
        for name in ["a b", "100%", "ä€𝄞", "line\nbreak", "a@b.ics", "%40", "semi;colon", "q?x#y", "+", "'\"<&>"]
        {
            let object = home.member("work").and_then(|calendar| calendar.member(name)).expect("an object");
            assert_eq!(Path::parse(&object.href()), Ok(object));
        }
    }

    #[test]
    fn an_escape_is_decoded_once_and_only_once() {
        let path = |text| Path::parse(text).expect("a path");
        assert_eq!(path("/dav/calendars/a%40b.c/x/"), path("/dav/calendars/a@b.c/x"));
        assert_eq!(path("/dav/calendars/a/b/c%2540").name(), Some("c%40"));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in ["", "dav", "//", "/dav//principals", "/dav/calendars/a/../b", "/dav/calendars/a/%2e%2e/b"] {
            assert!(matches!(Path::parse(bad), Err(PathError::Malformed(_))), "{bad}");
        }
        for bad in ["/dav/calendars/a/b%2Fc", "/dav/calendars/a/b%00", "/dav/calendars/a/%ff"] {
            assert!(matches!(Path::parse(bad), Err(PathError::Malformed(_))), "{bad}");
        }
        for none in ["/x", "/dav/x", "/dav/principals/a/b", "/dav/calendars/a/b/c/d", "/dav/principals/%20"] {
            assert_eq!(Path::parse(none), Err(PathError::NotFound), "{none}");
        }
    }

    #[test]
    fn parents_contain_their_members() {
        let file = Path::parse("/dav/files/a/b/c").expect("a file");
        let root = Path::parse("/dav/files/a").expect("a root");
        assert!(root.contains(&file) && !file.contains(&root) && !file.contains(&file));
        assert_eq!(file.parent().map(|p| p.href()), Some("/dav/files/a/b/".to_owned()));
    }
}
