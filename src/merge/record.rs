//! One source's newest view of one object, and how two states of it become one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::content::hash;
use super::{Content, Field, Generation, Presence, Version};
use crate::base::Interval;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Google Calendar.
    Google,
    /// Microsoft 365.
    Microsoft,
    /// Zoom.
    Zoom,
    /// Slack.
    Slack,
    /// A polled feed.
    Ics,
    /// An upstream CalDAV server.
    Caldav,
    /// Anybody else, in the plain form.
    Generic,
    /// A client of this server.
    Local,
}

/// A source object: nothing from another one ever changes its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// The provider.
    pub provider: Provider,
    /// The account at the provider.
    pub account: String,
    /// The calendar in the account; empty where ids are unique in the account (Microsoft's immutable ids, Zoom, Slack).
    pub calendar: String,
    /// The id at the provider. For a mention: channel and message.
    pub id: String,
}

/// A part of a provider that is listed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The provider.
    pub provider: Provider,
    /// The account.
    pub account: String,
    /// The calendar, as in [`SourceId`].
    pub calendar: String,
}

/// The end of a whole listing, every page of it applied: what it did not name is gone. It needs no list of names, because
/// whatever was listed has the listing's generation now. Kept, so that what comes late is met by it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was listed.
    pub scope: Scope,
    /// The pull that listed it.
    pub generation: Generation,
    /// The only time that was listed; what lies wholly outside of it is not judged. `None`: all of it.
    pub window: Option<Interval>,
}

/// What a source has said of one object: the newest of each field.
///
/// A whole state gives all fields one version; a partial one (Zoom, a tombstone that has only an id, a local edit) gives a
/// version only to those it names. Either way [`SourceRecord::absorb`] takes the newer of each field, so that the order and
/// the number of arrivals do not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Whose.
    pub source: SourceId,
    /// The version of all fields that have none in `versions`; `None` if only those have been said.
    pub whole: Option<Version>,
    /// The fields that have another version.
    pub versions: BTreeMap<Field, Version>,
    /// For an edit made here: the hash of the value that it replaced ([`Content::hash_of`]); when the sources say something
    /// else by now, the edit is older than that and gives way.
    pub over: BTreeMap<Field, u64>,
    /// The newest of each field.
    pub content: Content,
}

/// A [`SourceRecord`] as it was kept before its content had all of today's fields: `C` is the content of that time.
#[derive(Deserialize)]
pub struct EarlierRecord<C> {
    source: SourceId,
    whole: Option<Version>,
    versions: BTreeMap<Field, Version>,
    over: BTreeMap<Field, u64>,
    content: C,
}

impl<C: Into<Content>> From<EarlierRecord<C>> for SourceRecord {
    fn from(earlier: EarlierRecord<C>) -> Self {
        let EarlierRecord { source, whole, versions, over, content } = earlier;
        Self { source, whole, versions, over, content: content.into() }
    }
}

/// What absorbing a state did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absorbed {
    /// Something is newer now.
    Applied,
    /// It is newer, and says that the object is gone.
    Tombstoned,
    /// It says what was known, of the same or a later version.
    Duplicate,
    /// It is older than what is known (at most it has filled fields that nobody had set).
    Stale,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Google, Self::Microsoft, Self::Zoom, Self::Slack, Self::Ics, Self::Caldav, Self::Generic, Self::Local];

    /// Its name in configuration, paths and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Zoom => "zoom",
            Self::Slack => "slack",
            Self::Ics => "ics",
            Self::Caldav => "caldav",
            Self::Generic => "generic",
            Self::Local => "local",
        }
    }

    /// The provider called `name`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SourceId {
    /// The object called `id` of `account`; see [`SourceId::in_calendar`].
    pub fn new(provider: Provider, account: &str, id: &str) -> Self {
        Self { provider, account: account.to_owned(), calendar: String::new(), id: id.to_owned() }
    }

    /// The same in `calendar`.
    #[must_use]
    pub fn in_calendar(mut self, calendar: &str) -> Self {
        calendar.clone_into(&mut self.calendar);
        self
    }

    /// Where it lies.
    pub fn scope(&self) -> Scope {
        Scope { provider: self.provider, account: self.account.clone(), calendar: self.calendar.clone() }
    }

    /// Another object in the same place.
    pub fn sibling(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }
}

/// As people see it: provider and id.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.id)
    }
}

impl SourceRecord {
    /// A state that says all there is: fields that are `None` are empty at this version.
    pub fn whole(source: SourceId, version: Version, content: Content) -> Self {
        let version = Version { tie: hash(&content), ..version };
        Self { source, whole: Some(version), versions: BTreeMap::new(), over: BTreeMap::new(), content }
    }

    /// A state that says only the fields that are set.
    pub fn partial(source: SourceId, version: Version, content: Content) -> Self {
        let fields: Vec<Field> = Field::ALL.iter().copied().filter(|field| content.says(*field)).collect();
        Self::of_fields(source, version, content, &fields)
    }

    /// A state that says `fields`: those of them that are `None` are cleared.
    pub fn of_fields(source: SourceId, version: Version, content: Content, fields: &[Field]) -> Self {
        let version = |field: &Field| Version { tie: content.hash_of(*field), ..version };
        let versions = fields.iter().map(|field| (*field, version(field))).collect();
        Self { source, whole: None, versions, over: BTreeMap::new(), content }
    }

    /// A state that says only that the object is gone.
    pub fn tombstone(source: SourceId, version: Version) -> Self {
        Self::partial(source, version, Content { presence: Some(Presence::Deleted), ..Content::default() })
    }

    /// The version of `field`; `None` if nobody has said it.
    pub fn version_of(&self, field: Field) -> Option<Version> {
        self.versions.get(&field).copied().or(self.whole)
    }

    /// The newest version of any field.
    pub fn version(&self) -> Version {
        self.versions.values().copied().chain(self.whole).max().unwrap_or_default()
    }

    /// The pull that last named it.
    pub fn generation(&self) -> Generation {
        self.version().generation
    }

    /// Whether it is there.
    pub fn presence(&self) -> Presence {
        self.content.presence.unwrap_or_default()
    }

    /// Whether it is there.
    pub fn is_live(&self) -> bool {
        self.presence() == Presence::Live
    }

    /// Takes the newer of each field over from `other`, a state of the same source object. Commutative, associative and
    /// idempotent.
    pub fn absorb(&mut self, other: &Self) -> Absorbed {
        let before = self.clone();
        for field in Field::ALL {
            let (mine, theirs) = (before.version_of(*field), other.version_of(*field));
            if theirs > mine {
                self.content.copy(*field, &other.content);
                match other.over.get(field) {
                    Some(over) => self.over.insert(*field, *over),
                    None => self.over.remove(field),
                };
            }
        }
        self.whole = before.whole.max(other.whole);
        self.versions = Field::ALL
            .iter()
            .filter_map(|field| Some((*field, before.version_of(*field).max(other.version_of(*field))?)))
            .filter(|(_, version)| Some(*version) != self.whole)
            .collect();
        self.outcome(&before, other)
    }

    fn outcome(&self, before: &Self, other: &Self) -> Absorbed {
        if other.version() < before.version() && self.is_older_everywhere(before, other) {
            return Absorbed::Stale;
        }
        if self.content == before.content {
            return Absorbed::Duplicate;
        }
        match other.content.presence.unwrap_or_default() {
            Presence::Live => Absorbed::Applied,
            Presence::Deleted | Presence::Unlisted => Absorbed::Tombstoned,
        }
    }

    /// Whether `other` was the newer one in no field that `before` had.
    fn is_older_everywhere(&self, before: &Self, other: &Self) -> bool {
        Field::ALL.iter().all(|field| match before.version_of(*field) {
            Some(mine) => other.version_of(*field) <= Some(mine),
            None => !before.is_live() || !other.content.says(*field),
        })
    }

    /// What `sweep` makes of it: a state to absorb if the listing should have named it and did not.
    pub fn swept(&self, sweep: &Sweep) -> Option<Self> {
        let is_judged = self.source.scope() == sweep.scope && self.generation() < sweep.generation && self.is_live();
        let is_inside = sweep.window.is_none_or(|window| super::time::may_touch(self, window));
        if !is_judged || !is_inside {
            return None;
        }
        let content = Content { presence: Some(Presence::Unlisted), ..Content::default() };
        // Newer than any older pull, older than whatever the listing itself names: so a page of it may still come later.
        let version = Version::new(sweep.generation, i64::MIN, 0);
        Some(Self::partial(self.source.clone(), version, content))
    }
}
