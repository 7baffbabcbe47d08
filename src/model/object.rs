//! Objects: the members of calendars (calendar object resources) and of plain collections (files).

use serde::{Deserialize, Serialize};

use super::StoredProperty;
use crate::base::{ETag, Revision, Utc};
use crate::ical::ComponentKind;
use crate::recur::Span;

/// Everything about a resource but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its segment of the path, decoded.
    pub name: String,
    /// The tag of its bytes.
    pub etag: ETag,
    /// How many bytes.
    pub size: u64,
    /// The media type it was stored with; `None` in calendars, where it follows from the component.
    pub content_type: Option<String>,
    /// The Content-Language it was stored with (RFC 4918 §15.3).
    pub content_language: Option<String>,
    /// When it was made.
    pub created: Utc,
    /// When its bytes last changed.
    pub modified: Utc,
    /// The collection's revision at its last change. Set by the store.
    pub revision: Revision,
    /// Dead properties, in the order in which they were first set.
    pub properties: Vec<StoredProperty>,
    /// What queries need to know without reading it; `None` for files.
    pub index: Option<Index>,
}

/// What is derived from a calendar object's bytes (invariant S5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Index {
    /// The row.
    Row(IndexRow),
    /// The bytes are not right by today's checks, for this reason: served as bytes, left out of computed
    /// answers, listed by `kalends verify` (invariant B2). The UID where one could be read.
    Broken {
        /// What is wrong.
        reason: String,
        /// The UID, if any could be read.
        uid: Option<String>,
    },
}

/// The index row of a calendar object (invariant S4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRow {
    /// Its UID.
    pub uid: String,
    /// Its component kind.
    pub kind: ComponentKind,
    /// Its overall span, widened so that no reader's zone for floating times and no change of a zone's rules can
    /// move it out; `None` if it has no time at all.
    pub span: Option<Span>,
    /// Whether it recurs (RRULE, RDATE or overrides).
    pub recurring: bool,
    /// Whether any component has a VALARM: its alarms may lie outside of the span.
    pub alarms: bool,
}

impl Object {
    /// The UID, where it has one.
    pub fn uid(&self) -> Option<&str> {
        match self.index.as_ref()? {
            Index::Row(row) => Some(&row.uid),
            Index::Broken { uid, .. } => uid.as_deref(),
        }
    }

    /// The index row, if the object is fit for computed answers.
    pub fn row(&self) -> Option<&IndexRow> {
        match self.index.as_ref()? {
            Index::Row(row) => Some(row),
            Index::Broken { .. } => None,
        }
    }
}
