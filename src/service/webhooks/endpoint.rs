//! Endpoints: who wants to hear of what, and where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, PrincipalId, Secret, Utc};
use crate::model::{EndpointNews, EventKind};

/// An endpoint's id, random. Written `ep_` and 13 digits of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId(pub u64);

/// The digits of Crockford's base 32.
pub(super) const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ep_")?;
        (0..13_u32).rev().try_for_each(|digit| {
            let value = (self.0 >> (5 * digit)) & 31;
            write!(f, "{}", char::from(DIGITS[value as usize]))
        })
    }
}

/// A text that is no endpoint's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no endpoint's id: those look like ep_03Y5Z1KQ8W2C7 (`kalends webhook list` shows them)")]
pub struct EndpointIdError(String);

impl FromStr for EndpointId {
    type Err = EndpointIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || EndpointIdError(text.chars().take(64).collect());
        let digits = text.strip_prefix("ep_").filter(|digits| digits.len() == 13).ok_or_else(bad)?;
        digits
            .bytes()
            .try_fold(0_u128, |value, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase()).ok_or_else(bad)?;
                Ok(value << 5 | digit as u128)
            })
            .and_then(|value| u64::try_from(value).map(Self).map_err(|_| bad()))
    }
}

/// On whose authority an endpoint hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A user's: it hears of what that user may read, then and there.
    User(PrincipalId),
    /// The administrator's, made at the command line: it hears of every calendar.
    Server,
}

impl Owner {
    /// Whose it is in the outbox. The administrator's command line is nobody's.
    pub fn principal(self) -> PrincipalId {
        match self {
            Self::User(id) => id,
            Self::Server => PrincipalId(0),
        }
    }
}

/// A kind of event as receivers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// `event.created`
    EventCreated,
    /// `event.updated`
    EventUpdated,
    /// `event.deleted`
    EventDeleted,
    /// `calendar.created`
    CalendarCreated,
    /// `calendar.updated`
    CalendarUpdated,
    /// `calendar.deleted`
    CalendarDeleted,
    /// `freebusy.changed`: something in the calendar changed. All that one who may read busy time alone is told.
    FreebusyChanged,
    /// `ingest.account_broken`
    AccountBroken,
    /// `webhook.test`, sent on demand to whoever asked for it.
    Test,
    /// `webhook.endpoint.failing`: another endpoint of the same owner fails.
    EndpointFailing,
    /// `webhook.endpoint.recovered`: it works again.
    EndpointRecovered,
    /// `webhook.endpoint.disabled`: nothing is sent to it any more.
    EndpointDisabled,
    /// `webhook.endpoint.exhausted`: a message to it was given up.
    EndpointExhausted,
}

impl EventType {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::EventCreated,
        Self::EventUpdated,
        Self::EventDeleted,
        Self::CalendarCreated,
        Self::CalendarUpdated,
        Self::CalendarDeleted,
        Self::FreebusyChanged,
        Self::AccountBroken,
        Self::EndpointFailing,
        Self::EndpointRecovered,
        Self::EndpointDisabled,
        Self::EndpointExhausted,
        Self::Test,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventCreated => "event.created",
            Self::EventUpdated => "event.updated",
            Self::EventDeleted => "event.deleted",
            Self::CalendarCreated => "calendar.created",
            Self::CalendarUpdated => "calendar.updated",
            Self::CalendarDeleted => "calendar.deleted",
            Self::FreebusyChanged => "freebusy.changed",
            Self::AccountBroken => "ingest.account_broken",
            Self::EndpointFailing => "webhook.endpoint.failing",
            Self::EndpointRecovered => "webhook.endpoint.recovered",
            Self::EndpointDisabled => "webhook.endpoint.disabled",
            Self::EndpointExhausted => "webhook.endpoint.exhausted",
            Self::Test => "webhook.test",
        }
    }

    /// The type of an event in the outbox.
    pub fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::ObjectCreated { .. } => Self::EventCreated,
            EventKind::ObjectUpdated { .. } => Self::EventUpdated,
            EventKind::ObjectDeleted { .. } => Self::EventDeleted,
            EventKind::CalendarCreated { .. } => Self::CalendarCreated,
            EventKind::CalendarUpdated { .. } => Self::CalendarUpdated,
            EventKind::CalendarDeleted { .. } => Self::CalendarDeleted,
            EventKind::AccountBroken { .. } => Self::AccountBroken,
            EventKind::EndpointNews { news, .. } => match news {
                EndpointNews::Failing => Self::EndpointFailing,
                EndpointNews::Recovered => Self::EndpointRecovered,
                EndpointNews::Disabled => Self::EndpointDisabled,
                EndpointNews::Exhausted => Self::EndpointExhausted,
            },
        }
    }

    /// Whether it is about an endpoint itself: heard of by those that ask for it alone.
    pub fn is_of_endpoint(self) -> bool {
        matches!(
            self,
            Self::EndpointFailing | Self::EndpointRecovered | Self::EndpointDisabled | Self::EndpointExhausted
        )
    }

    /// Whether it is about an object in a calendar.
    pub fn is_of_object(self) -> bool {
        matches!(self, Self::EventCreated | Self::EventUpdated | Self::EventDeleted)
    }
}

/// A text that names no type of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no type of event: use event.created, event.updated, event.deleted, calendar.created, calendar.updated, calendar.deleted, freebusy.changed, ingest.account_broken, webhook.endpoint.failing, webhook.endpoint.recovered, webhook.endpoint.disabled or webhook.endpoint.exhausted"
)]
pub struct EventTypeError(String);

impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|one| one.name() == text);
        found.ok_or_else(|| EventTypeError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In which order an endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Order {
    /// As it comes; `sequence` says what is newer.
    #[default]
    Any,
    /// One at a time for each calendar, oldest first. What cannot be delivered holds up all that comes after it in the same
    /// calendar, until it is delivered or given up.
    InOrder,
}

/// How much an endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Detail {
    /// Where, which state, and a few fields of the event (never of a private one).
    #[default]
    Full,
    /// Where and which state alone.
    Thin,
}

/// How fast an endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Deliveries a second, on the long run.
    pub per_second: u32,
    /// Deliveries at once, after a pause.
    pub burst: u32,
    /// Requests without an answer yet, at once.
    pub in_flight_max: u16,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 10, burst: 20, in_flight_max: 4 }
    }
}

/// Whether an endpoint is told anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointState {
    /// It is.
    Active,
    /// Its owner, or the administrator, paused it. What happens meanwhile waits.
    Paused {
        /// When.
        since: Utc,
    },
    /// Kalends gave up on it: it answered 410, or nothing good for days. What happens meanwhile waits, until somebody resumes it.
    Disabled {
        /// When.
        since: Utc,
        /// Why, in our words.
        reason: String,
    },
}

/// An endpoint. Its secrets are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// On whose authority it hears.
    pub owner: Owner,
    /// Where it is.
    pub url: String,
    /// What its owner calls it; may be empty.
    pub description: String,
    /// The calendars it wants to hear of; empty: all that its owner may read.
    pub calendars: Vec<CollectionId>,
    /// The types it wants to hear of; empty: all but `freebusy.changed` and those about endpoints.
    pub events: Vec<EventType>,
    /// In which order.
    pub order: Order,
    /// Whether an event that a newer one of the same object follows already is left out.
    pub latest_only: bool,
    /// How much it is told.
    pub detail: Detail,
    /// The version of the payload.
    pub payload_version: u8,
    /// Whether it may lie in one's own network, over plain HTTP and at any port.
    pub allow_private: bool,
    /// Header fields of its owner's, sent with every request. Values are no secrets.
    pub headers: Vec<(String, String)>,
    /// How fast.
    pub rate: Rate,
    /// Whether it is told anything.
    pub state: EndpointState,
    /// When it was made.
    pub created: Utc,
    /// The newest event when it was made: it hears of later ones.
    pub after: u64,
}

impl Endpoint {
    /// Whether it asked for events of this type.
    pub fn wants(&self, kind: EventType) -> bool {
        match (self.events.as_slice(), kind) {
            ([], EventType::FreebusyChanged) => false,
            ([], kind) if kind.is_of_endpoint() => false,
            ([], _) | (_, EventType::Test) => true,
            (events, _) => events.contains(&kind),
        }
    }

    /// Whether it asked for this calendar.
    pub fn hears_of(&self, calendar: CollectionId) -> bool {
        self.calendars.is_empty() || self.calendars.contains(&calendar)
    }

    /// Whether anything is sent to it.
    pub fn is_active(&self) -> bool {
        self.state == EndpointState::Active
    }
}

/// What somebody who adds an endpoint says.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// On whose authority it is to hear.
    pub owner: Owner,
    /// Where it is. The caller has read and checked it as a URL.
    pub url: String,
    /// See [`Endpoint::description`].
    pub description: String,
    /// See [`Endpoint::calendars`].
    pub calendars: Vec<CollectionId>,
    /// See [`Endpoint::events`].
    pub events: Vec<EventType>,
    /// See [`Endpoint::order`].
    pub order: Order,
    /// See [`Endpoint::latest_only`].
    pub latest_only: bool,
    /// See [`Endpoint::detail`].
    pub detail: Detail,
    /// See [`Endpoint::allow_private`]: for the administrator alone.
    pub allow_private: bool,
    /// See [`Endpoint::headers`].
    pub headers: Vec<(String, String)>,
    /// See [`Endpoint::rate`].
    pub rate: Rate,
}

impl NewEndpoint {
    /// One that hears of everything its owner may read.
    pub fn new(owner: Owner, url: impl Into<String>) -> Self {
        Self {
            owner,
            url: url.into(),
            description: String::new(),
            calendars: Vec::new(),
            events: Vec::new(),
            order: Order::default(),
            latest_only: false,
            detail: Detail::default(),
            allow_private: false,
            headers: Vec::new(),
            rate: Rate::default(),
        }
    }
}

/// What an endpoint's deliveries are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    /// The one in force, raw bytes.
    pub current: Secret<Vec<u8>>,
    /// The one before it, and until when both are used.
    pub former: Option<(Secret<Vec<u8>>, Utc)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [0, 1, 31, 32, 0x0123_4567_89ab_cdef, u64::MAX] {
            let text = EndpointId(id).to_string();
            assert_eq!((text.len(), text.parse()), (16, Ok(EndpointId(id))), "{text}");
        }
        for text in ["", "ep_", "ep_0", "xx_0000000000000", "ep_000000000000U", "ep_ZZZZZZZZZZZZZ", "ep_00000000000000"]
        {
            assert!(text.parse::<EndpointId>().is_err(), "{text}");
        }
    }

    #[test]
    fn types_are_read_as_they_are_written() {
        for kind in EventType::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert!("event.exploded".parse::<EventType>().is_err());
    }
}
