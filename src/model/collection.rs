//! Collections: homes, calendars and plain WebDAV collections.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Ace, PropertyName, StoredProperty};
use crate::base::{CollectionId, PrincipalId, Revision, Utc};
use crate::ical::ComponentKind;

/// A collection and the properties that are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Its id and incarnation.
    pub id: CollectionId,
    /// The collection it lies in; `None` for homes and file roots.
    pub parent: Option<CollectionId>,
    /// Its segment of the path, decoded; for homes and file roots the user's name.
    pub name: String,
    /// Whose it is.
    pub owner: PrincipalId,
    /// What it is.
    pub kind: CollectionKind,
    /// When it was made.
    pub created: Utc,
    /// When it or a member last changed.
    pub modified: Utc,
    /// How often it changed. Set by the store on commit.
    pub revision: Revision,
    /// The store's opening in which it last changed. Set by the store; see [`SyncToken`].
    pub epoch: u64,
    /// In which openings of the store it changed, oldest first: (epoch, the last revision of that epoch).
    /// Set by the store, which keeps the newest.
    pub epochs: Vec<(u64, Revision)>,
    /// Tokens below this revision are refused: the change log no longer has those deletions. Set by the store.
    pub log_floor: Revision,
    /// How many deletions the change log remembers. Set by the store.
    pub tombstones: u64,
    /// How many objects lie in it (collections not counted). Set by the store.
    pub objects: u64,
    /// The bytes of those objects. Set by the store.
    pub bytes: u64,
    /// Grants on it, beside those it inherits.
    pub acl: Vec<Ace>,
    /// Properties that clients set, in the order in which they were first set. Those that the server understands are
    /// here as well (their markup is the client's), and as typed values in `display_name` and `kind`.
    pub properties: Vec<StoredProperty>,
    /// DAV:displayname as plain text.
    pub display_name: Option<String>,
}

/// What a collection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollectionKind {
    /// A calendar home: holds calendars only.
    Home,
    /// A calendar (RFC 4791 §4.2): holds calendar objects only.
    Calendar(CalendarSettings),
    /// A plain WebDAV collection.
    Plain,
}

/// What the server itself needs to know of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarSettings {
    /// CALDAV:supported-calendar-component-set.
    pub components: Components,
    /// CALDAV:calendar-timezone: the VCALENDAR text with one VTIMEZONE, if set by value.
    pub timezone: Option<String>,
    /// CALDAV:calendar-timezone-id (RFC 7809), if set by reference; the one set last wins and clears the other.
    pub timezone_id: Option<String>,
    /// CALDAV:schedule-calendar-transp is transparent: left out of free-busy.
    pub transparent: bool,
    /// CALDAV:calendar-availability: VAVAILABILITY text (RFC 7953).
    pub availability: Option<String>,
    /// Further resource types that a client gave it and wants back (CS:subscribed).
    pub extra_types: Vec<PropertyName>,
}

/// A set of component kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Components(u8);

impl Components {
    /// What a calendar takes if nobody said: VEVENT, VTODO, VJOURNAL, VFREEBUSY and VAVAILABILITY.
    pub const ALL: Self = Self(0b1_1111);

    /// The set of `kinds`.
    pub fn of(kinds: &[ComponentKind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | Self::bit(*kind)))
    }

    /// Whether `kind` is in it.
    pub fn contains(self, kind: ComponentKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// The kinds in it, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = ComponentKind> {
        use ComponentKind::{Availability, Event, FreeBusy, Journal, Todo};
        [Event, Todo, Journal, FreeBusy, Availability].into_iter().filter(move |kind| self.contains(*kind))
    }

    fn bit(kind: ComponentKind) -> u8 {
        1 << match kind {
            ComponentKind::Event => 0,
            ComponentKind::Todo => 1,
            ComponentKind::Journal => 2,
            ComponentKind::FreeBusy => 3,
            ComponentKind::Availability => 4,
        }
    }
}

impl Collection {
    /// Whether this has the other's own fields: what and where it is, who may see it, its properties. What the store counts is
    /// none of them.
    pub fn is_itself_like(&self, other: &Self) -> bool {
        (self.id, self.parent, &self.name, self.owner) == (other.id, other.parent, &other.name, other.owner)
            && (&self.kind, &self.acl) == (&other.kind, &other.acl)
            && (&self.properties, &self.display_name) == (&other.properties, &other.display_name)
    }

    /// A new, empty collection. The store fills in what is its own to count.
    pub fn new(
        id: CollectionId,
        parent: Option<CollectionId>,
        name: &str,
        owner: PrincipalId,
        kind: CollectionKind,
        now: Utc,
    ) -> Self {
        Self {
            id,
            parent,
            name: name.to_owned(),
            owner,
            kind,
            created: now,
            modified: now,
            revision: Revision(0),
            epoch: 0,
            epochs: Vec::new(),
            log_floor: Revision(0),
            tombstones: 0,
            objects: 0,
            bytes: 0,
            acl: Vec::new(),
            properties: Vec::new(),
            display_name: None,
        }
    }

    /// The calendar's settings, if it is a calendar.
    pub fn calendar(&self) -> Option<&CalendarSettings> {
        match &self.kind {
            CollectionKind::Calendar(settings) => Some(settings),
            CollectionKind::Home | CollectionKind::Plain => None,
        }
    }

    /// The token that names its present state.
    pub fn sync_token(&self) -> SyncToken {
        SyncToken { collection: self.id, revision: self.revision, epoch: self.epoch, behind: 0 }
    }

    /// The token of an earlier revision: the epoch is the one in which that revision was made.
    pub fn token_at(&self, revision: Revision) -> SyncToken {
        let epoch = self.epochs.iter().find(|(_, last)| *last >= revision).map_or(self.epoch, |(epoch, _)| *epoch);
        SyncToken { collection: self.id, revision, epoch, behind: 0 }
    }

    /// Whether `token` names a state that this collection was in and from which the change log still goes on
    /// (invariant Y1).
    pub fn accepts(&self, token: SyncToken) -> bool {
        let reached = |(epoch, last): &(u64, Revision)| *epoch == token.epoch && token.revision <= *last;
        token.collection == self.id && self.epochs.iter().any(reached) && token.revision >= self.log_floor
    }
}

impl Default for CalendarSettings {
    fn default() -> Self {
        Self {
            components: Components::ALL,
            timezone: None,
            timezone_id: None,
            transparent: false,
            availability: None,
            extra_types: Vec::new(),
        }
    }
}

/// What a client's sync-token says (RFC 6578 §4; invariant Y1).
///
/// `epoch` counts the openings of the store. A read may see a write that is applied and not yet durable; if the power
/// then fails, that revision's number is used again for another write. The epoch tells the two apart: a token
/// is good only if its revision was reached in its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncToken {
    /// The collection's incarnation.
    pub collection: CollectionId,
    /// Its revision.
    pub revision: Revision,
    /// The opening of the store in which that revision was made.
    pub epoch: u64,
    /// How many revisions its holder still lacks of what was there at `revision`: more than 0 in the middle of a first
    /// synchronisation that comes in pages. Deletions up to `revision` do not concern the holder, so the change log may
    /// have forgotten them.
    pub behind: u64,
}

impl SyncToken {
    const PREFIX: &'static str = "urn:kalends:sync:";

    /// Reads a token. `None` if it is not one of ours, whatever else it may be.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix(Self::PREFIX)?.split(':').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (collection, revision, epoch) = (CollectionId(next()?), Revision(next()?), next()?);
        let token = Self { collection, revision, epoch, behind: next().unwrap_or(0) };
        (token.to_string() == text.trim() && token.behind <= revision.0).then_some(token)
    }

    /// Up to which revision its holder knows the change log.
    pub fn walked(self) -> Revision {
        Revision(self.revision.0.saturating_sub(self.behind))
    }
}

/// The URI form: `urn:kalends:sync:{collection}:{revision}:{epoch}`, and `:{behind}` where that is not 0.
impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}:{}", Self::PREFIX, self.collection, self.revision, self.epoch)?;
        if self.behind > 0 { write!(f, ":{}", self.behind) } else { Ok(()) }
    }
}
