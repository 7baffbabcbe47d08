//! What a source can say of a meeting, field by field.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::Utc;
use crate::ical::DateOrTime;

macro_rules! fields {
    (@all $($name:ident $variant:ident: $kind:ty, $meaning:literal;)*) => {
        /// What a source says of one event, one instance of a series, or one call. `None`: it does not say. An empty text or
        /// list: it says that there is none.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct Content {
            $(#[doc = $meaning] pub $name: Option<$kind>,)*
        }

        /// The fields of [`Content`], by name: each can have a version of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Field {
            $(#[doc = $meaning] $variant,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as people read it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }
        }

        impl Content {
            /// Whether it says anything of `field`.
            pub fn says(&self, field: Field) -> bool {
                match field {
                    $(Field::$variant => self.$name.is_some(),)*
                }
            }

            /// Takes `field` over from `other`, what it does not say included.
            pub fn copy(&mut self, field: Field, other: &Self) {
                match field {
                    $(Field::$variant => self.$name.clone_from(&other.$name),)*
                }
            }

            /// A hash of what it says of `field`: equal on all machines and for ever.
            pub fn hash_of(&self, field: Field) -> u64 {
                match field {
                    $(Field::$variant => hash(&self.$name),)*
                }
            }
        }
    };
    (
        $($first:ident $firsts:ident: $was:ty, $meant:literal;)*
        @second $($second:ident $seconds:ident: $became:ty, $meaning:literal;)*
        @third $($third:ident $thirds:ident: $is:ty, $means:literal;)*
    ) => {
        fields!(@all $($first $firsts: $was, $meant;)* $($second $seconds: $became, $meaning;)* $($third $thirds: $is, $means;)*);

        /// [`Content`] as it was kept at first.
        #[derive(Deserialize)]
        pub struct FirstContent {
            $($first: Option<$was>,)*
        }

        impl From<FirstContent> for Content {
            fn from(earlier: FirstContent) -> Self {
                Self { $($first: earlier.$first,)* ..Self::default() }
            }
        }

        /// [`Content`] as it was kept when it had the first two sets of its fields.
        #[derive(Deserialize)]
        pub struct SecondContent {
            $($first: Option<$was>,)*
            $($second: Option<$became>,)*
        }

        impl From<SecondContent> for Content {
            fn from(earlier: SecondContent) -> Self {
                Self { $($first: earlier.$first,)* $($second: earlier.$second,)* ..Self::default() }
            }
        }
    };
}

fields! {
    role Role: Role, "Whose copy it is: who may decide what.";
    part Part: Part, "What of a meeting it describes; `None` (a tombstone that has only an id): unknown until another state tells.";
    presence Presence: Presence, "Whether it is there at all; `None` is live.";
    uid Uid: String, "The iCalendar UID as the provider wrote it (it is normalised here). Empty or `None`: it has none.";
    title Title: String, "The title.";
    description Description: String, "The text, plain.";
    location Location: String, "Where, for people.";
    start Start: DateOrTime, "When it starts: a date for all-day. A time in UTC is shown in `zone`.";
    end End: End, "When it ends.";
    zone Zone: String, "The zone to show it and to expand it in: an IANA or Windows name.";
    recurrence Recurrence: Recurrence, "The rule of a series; `None` or empty for a single event.";
    status Status: Status, "Confirmed, tentative or cancelled by the organiser.";
    transparency Transparency: Transparency, "Whether it takes time.";
    visibility Visibility: Visibility, "Who may see its content (CLASS).";
    organizer Organizer: Person, "Who organises it.";
    attendees Attendees: Vec<Attendee>, "Who is invited, as this copy knows it.";
    attendees_partial AttendeesPartial: bool, "The list of attendees has been cut by the provider.";
    answer Answer: Answer, "The answer of the one whose copy this is.";
    join_url JoinUrl: String, "Where to join, as an URL.";
    join_ids JoinIds: BTreeSet<String>, "Join ids known beside those in `join_url`, `location` and `description` (which are found here): `zoom:84512345678`.";
    personal_room PersonalRoom: bool, "Its own join id is a personal room, which joins nothing.";
    reminders Reminders: Vec<i64>, "Minutes before the start at which to remind.";
    started Started: Utc, "When the call really began.";
    ended Ended: Utc, "When the call really ended.";
    meeting_key MeetingKey: String, "The key that a Slack team's messages have for a meeting.";
    mention Mention: Mention, "It is only a mention of a meeting: a link or a call in a message. `start` may hold the time of the message.";
    sequence Sequence: i64, "SEQUENCE (RFC 5545 §3.8.7.4).";
    url Url: String, "The event's page at the provider.";
    categories Categories: Vec<String>, "Labels.";
    @second
    conferences Conferences: Vec<Conference>, "Further ways to join, beside `join_url` (CONFERENCE, RFC 7986): by telephone, a stream to watch.";
    attachments Attachments: Vec<Attachment>, "Documents, by where they are.";
    geo Geo: String, "Where on earth: latitude and longitude as GEO has them.";
    priority Priority: u8, "PRIORITY: 1 is the highest, 9 the lowest.";
    color Color: String, "COLOR (RFC 7986): the name of a colour.";
    @third
    further Further: String, "What no other field has, as the lines of a VEVENT: see [`super::further`].";
}

/// A hash that is the same on all machines and for ever: the first bytes of SHA-256 over the stored form.
pub(super) fn hash<T: Serialize>(value: &T) -> u64 {
    let bytes = postcard::to_stdvec(value).unwrap_or_default();
    let digest = Sha256::digest(&bytes);
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Whose copy a record is. In the order in which their content is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The organiser's own calendar.
    Organiser,
    /// An attendee's calendar, by the provider's API.
    Attendee,
    /// A collection of an upstream CalDAV server.
    Caldav,
    /// Anybody who posts events in the plain form.
    Generic,
    /// A published feed.
    Feed,
    /// A Zoom meeting.
    Zoom,
    /// A Slack message.
    Slack,
    /// An edit made here by a client.
    Local,
}

/// What of a meeting a record describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// A single event or a whole series.
    Event,
    /// One instance of a series.
    Instance {
        /// The native id of the series, in the same account and calendar.
        series: String,
        /// The start that the rule gave it (RECURRENCE-ID), before anything moved it.
        original_start: DateOrTime,
        /// What becomes of it where the series is unknown.
        orphan: Orphan,
    },
    /// The rest of a series from one of its instances on, which has become a series of its own (RANGE=THISANDFUTURE, RFC
    /// 5545 §3.2.13). It is there as long as the series is, and gone when a newer state of that does not bring it again.
    Rest {
        /// The native id of the series that it was, in the same account and calendar.
        series: String,
        /// The start that the old rule gave its first instance (RECURRENCE-ID).
        original_start: DateOrTime,
    },
}

/// What becomes of an instance whose series is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Orphan {
    /// It waits for the series (Google, Microsoft, Zoom).
    Waits,
    /// It stands on its own: its source says that there is no more (feeds, CalDAV; an invitation to one instance).
    Stands,
}

/// Whether a source object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Presence {
    /// It is there.
    #[default]
    Live,
    /// The provider said that it is deleted. An instance: that this instance is cancelled.
    Deleted,
    /// A whole listing did not name it. An instance: that there is no exception any more.
    Unlisted,
}

/// When something ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum End {
    /// Then; exclusive, a date for all-day.
    At(DateOrTime),
    /// So many seconds after the start.
    After(i64),
}

/// The rule of a series (RFC 5545 §3.8.5): values without names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Recurrence {
    /// RRULE values.
    pub rules: Vec<String>,
    /// EXRULE values.
    pub exrules: Vec<String>,
    /// RDATE, each start.
    pub rdates: Vec<DateOrTime>,
    /// EXDATE, each start that is left out.
    pub exdates: Vec<DateOrTime>,
}

/// STATUS of an event (RFC 5545 §3.8.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It takes place.
    Confirmed,
    /// It may take place.
    Tentative,
    /// The organiser has cancelled it.
    Cancelled,
}

/// TRANSP (RFC 5545 §3.8.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transparency {
    /// Takes time.
    Opaque,
    /// Takes none.
    Transparent,
}

/// CLASS (RFC 5545 §3.8.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// For whoever sees the calendar.
    Public,
    /// Private.
    Private,
    /// Confidential.
    Confidential,
}

/// Somebody with an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Person {
    /// The e-mail address, without `mailto:`. Compared without regard to case.
    pub email: String,
    /// The name to show; may be empty.
    pub name: String,
}

/// Somebody who is invited.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attendee {
    /// Who.
    pub person: Person,
    /// The answer.
    pub response: Response,
    /// In what way.
    pub kind: AttendeeKind,
}

/// In what way somebody or something is invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum AttendeeKind {
    /// Needed.
    #[default]
    Required,
    /// Welcome.
    Optional,
    /// A room or a thing.
    Resource,
    /// Organises it.
    Chair,
}

/// PARTSTAT (RFC 5545 §3.2.12). In the order in which answers of one person's addresses count: the greatest is the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// None yet.
    #[default]
    NeedsAction,
    /// No.
    Declined,
    /// Perhaps.
    Tentative,
    /// Yes. Who organises a meeting has accepted it.
    Accepted,
}

/// The answer of the one whose copy it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Whose address.
    pub address: String,
    /// The answer.
    pub response: Response,
}

/// A way to join (CONFERENCE, RFC 7986 §5.11).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Conference {
    /// Where: `https:`, `tel:`, `sip:`, …
    pub uri: String,
    /// What it can do (FEATURE): AUDIO, PHONE, …
    pub features: Vec<String>,
    /// What to call it; may be empty.
    pub label: String,
}

/// A document (ATTACH, RFC 5545 §3.8.1.1), by where it is and never by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// Where.
    pub uri: String,
    /// Its media type; may be empty.
    pub kind: String,
    /// Its file's name; may be empty.
    pub name: String,
}

/// A meeting mentioned in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mention {
    /// The channel.
    pub channel: String,
    /// In what way.
    pub kind: MentionKind,
}

/// In what way a message mentions a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MentionKind {
    /// A person's link.
    Link,
    /// A call block of an app, which mirrors the call's own provider: it links, and is no source of its own.
    Call,
}

impl Recurrence {
    /// Whether nothing recurs.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.rdates.is_empty()
    }
}

impl Response {
    /// Its PARTSTAT value.
    pub fn partstat(self) -> &'static str {
        match self {
            Self::NeedsAction => "NEEDS-ACTION",
            Self::Declined => "DECLINED",
            Self::Tentative => "TENTATIVE",
            Self::Accepted => "ACCEPTED",
        }
    }

    /// The answer that a PARTSTAT value is; what is unknown is none yet.
    pub fn of_partstat(value: &str) -> Self {
        let all = [Self::Declined, Self::Tentative, Self::Accepted];
        all.into_iter().find(|one| one.partstat().eq_ignore_ascii_case(value.trim())).unwrap_or_default()
    }
}

impl Person {
    /// Somebody with this address and no name.
    pub fn of(email: &str) -> Self {
        Self { email: email.to_owned(), name: String::new() }
    }
}
