//! Layer 2: many copies of one meeting → the meeting (invariants I1–I5). Pure: the meeting is a function of the set of the
//! newest state of each source object, so any order and any repetition of the same deliveries end in the same bytes.
//!
//! - [`SourceRecord`] is what one source object has said, field by field; [`SourceRecord::absorb`] takes a newer state in.
//! - [`Sweep`] is the end of a whole listing: what it did not name is gone.
//!
//! Not here: how a provider's payload becomes a record (`provider`), where records are kept (`service::ingest`).

mod content;
mod record;
mod time;
mod version;

pub use content::{
    Answer, Attendee, AttendeeKind, Content, End, Field, Mention, MentionKind, Orphan, Part, Person, Presence,
    Recurrence, Response, Role, Status, Transparency, Visibility,
};
pub use record::{Absorbed, Provider, Scope, SourceId, SourceRecord, Sweep};
pub use version::{Generation, Version};
