//! What the records add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Attachment, Attendee, Conference, Field, Person, Recurrence, Response, SourceId, Status, Transparency, Visibility,
};
use crate::base::Utc;
use crate::ical::DateOrTime;

/// For whom, and by which of the rules that are a matter of taste.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The person's addresses, in lower case: those of all accounts.
    pub addresses: BTreeSet<String>,
    /// When a meeting goes.
    pub delete: DeletePolicy,
}

/// When a meeting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletePolicy {
    /// When the organiser's copy is gone or cancelled, or no calendar copy is left.
    #[default]
    Organiser,
    /// Only when no calendar copy is left.
    LastCopy,
}

/// A meeting: what people see once in their calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// What it is known by here; the same as long as its calendar copies have the same UID.
    pub key: String,
    /// Its UID as an object. Made from the key where no source has one.
    pub uid: String,
    /// The single event, or what the series has in common.
    pub event: Event,
    /// The rule of a series. Its EXDATEs are in `instances`.
    pub recurrence: Recurrence,
    /// It is nothing but this one instance of a series that nobody here knows (RECURRENCE-ID).
    pub alone: Option<DateOrTime>,
    /// The instances that differ, by their original start.
    pub instances: BTreeMap<Utc, Instance>,
    /// When the call really began.
    pub started: Option<Utc>,
    /// When the call really ended.
    pub ended: Option<Utc>,
    /// The records that it was made of, in order.
    pub sources: Vec<SourceId>,
    /// The channels in which it was mentioned, as `slack:mention:CHANNEL`.
    pub mentions: BTreeSet<String>,
}

/// One event or instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The title; may be empty.
    pub title: String,
    /// The text; may be empty.
    pub description: String,
    /// Where; may be empty.
    pub location: String,
    /// When it starts: local time in an IANA zone wherever the zone is known.
    pub start: DateOrTime,
    /// When it ends, in the form of the start, not before it.
    pub end: DateOrTime,
    /// Confirmed or tentative; a cancelled one is not there at all.
    pub status: Status,
    /// Whether it takes time.
    pub transparency: Transparency,
    /// CLASS.
    pub visibility: Visibility,
    /// Who organises it.
    pub organizer: Option<Person>,
    /// Who is invited. All of the person's own addresses have the person's answer.
    pub attendees: Vec<Attendee>,
    /// The person's answer; `None` if it is nobody's invitation (a feed).
    pub response: Option<Response>,
    /// Where to join.
    pub join_url: Option<String>,
    /// Minutes before the start.
    pub reminders: Vec<i64>,
    /// Its page at the provider.
    pub url: Option<String>,
    /// Labels.
    pub categories: Vec<String>,
    /// Further ways to join.
    pub conferences: Vec<Conference>,
    /// Documents.
    pub attachments: Vec<Attachment>,
    /// Where on earth (GEO).
    pub geo: Option<String>,
    /// PRIORITY, from 1 to 9.
    pub priority: Option<u8>,
    /// COLOR.
    pub color: Option<String>,
    /// What none of these has: see [`super::further`]. May be empty.
    pub further: String,
}

/// An instance that differs from the series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Instance {
    /// It is so.
    Changed(DateOrTime, Box<Event>),
    /// It does not take place.
    Cancelled(DateOrTime),
}

/// Why the meeting is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// Each record of the group and why it belongs to it.
    pub joined: Vec<Joined>,
    /// Which record decided each field, by which rule.
    pub decided: Vec<Decided>,
    /// Records that were left out, and why.
    pub left_out: Vec<LeftOut>,
    /// Why there is no meeting.
    pub gone: Option<String>,
}

/// See [`Explanation::joined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The record.
    pub source: SourceId,
    /// Why.
    pub why: String,
}

/// See [`Explanation::decided`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The field.
    pub field: Field,
    /// The instance, by its original start; `None` for the event itself.
    pub instance: Option<Utc>,
    /// Whose word counts.
    pub source: SourceId,
    /// By which rule.
    pub rule: String,
}

/// See [`Explanation::left_out`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The record.
    pub source: SourceId,
    /// Why.
    pub why: Why,
}

/// Why a record does not count (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its series is not known yet: it waits.
    Parked,
    /// Title or start is not known yet: it waits.
    Incomplete,
    /// Its series is gone.
    SeriesGone,
    /// The series has no such instance any more.
    NoSuchInstance,
    /// It is gone at its source.
    Gone,
    /// The sources have changed what this local edit changed.
    Overtaken,
    /// It is the rest of a series of which another copy is the better one.
    Overruled,
}

/// What [`super::resolve`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The meeting, if there is one.
    pub meeting: Option<Meeting>,
    /// The meeting as the sources have it, without the edits made here, if there are any: what new edits are measured against.
    pub unedited: Option<Meeting>,
    /// Why it is so.
    pub explanation: Explanation,
}

impl Resolved {
    /// The meeting as the sources have it, without the edits made here.
    pub fn sourced(&self) -> Option<&Meeting> {
        self.unedited.as_ref().or(self.meeting.as_ref())
    }

    /// The records that wait for others to arrive.
    pub fn parked(&self) -> impl Iterator<Item = &SourceId> {
        let waits = |one: &&LeftOut| matches!(one.why, Why::Parked | Why::Incomplete);
        self.explanation.left_out.iter().filter(waits).map(|one| &one.source)
    }
}

impl Meeting {
    /// Whether it is a series.
    pub fn is_series(&self) -> bool {
        !self.recurrence.is_empty()
    }

    /// The meeting without what its sources say besides ([`Event::further`]).
    pub fn plain(&self) -> Self {
        let mut plain = self.clone();
        plain.event.further.clear();
        for instance in plain.instances.values_mut() {
            if let Instance::Changed(_, event) = instance {
                event.further.clear();
            }
        }
        plain
    }
}
