//! Layer 2: many copies of one meeting → the meeting (invariants I1–I5). Pure: the meeting is a function of the set of the
//! newest state of each source object, so any order and any repetition of the same deliveries end in the same bytes.
//!
//! - [`SourceRecord`] is what one source object has said, field by field; [`SourceRecord::absorb`] takes a newer state in.
//! - [`Sweep`] is the end of a whole listing: what it did not name is gone.
//! - [`keys`] says under which keys a record is found and finds others; [`join`] sorts what was found into meetings.
//! - [`resolve`] computes the meeting of a group and says why; [`to_ical`] writes it, [`summary`] tells it.
//!
//! Not here: how a provider's payload becomes a record (`provider`), where records are kept (`service::ingest`).

mod content;
mod edit;
mod face;
mod further;
mod identity;
mod instances;
mod join;
mod local;
mod meeting;
mod read;
mod record;
mod resolve;
mod summary;
mod time;
mod version;
mod write;

pub use content::{
    Answer, Attachment, Attendee, AttendeeKind, Conference, Content, End, Field, FirstContent, Mention, MentionKind,
    Orphan, Part, Person, Presence, Recurrence, Response, Role, SecondContent, Status, Transparency, Visibility,
};
pub use edit::{edits, removal};
pub use face::{Face, face, unseen};
pub use further::further;
pub use identity::{join_ids, join_links, normalise_uid};
pub use join::{Group, Keys, join, keys};
pub use local::local_edit;
pub use meeting::{
    Decided, DeletePolicy, Event, Explanation, Instance, Joined, LeftOut, Meeting, Policy, Resolved, Why,
};
pub use read::{known_time, read_event};
pub use record::{Absorbed, EarlierRecord, Provider, Scope, SourceId, SourceRecord, Sweep};
pub use resolve::resolve;
pub use summary::summary;
pub use version::{Generation, Version};
pub use write::to_ical;
