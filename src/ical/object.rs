//! A calendar object resource: one UID, a master and its overrides (RFC 4791 §4.1).

use super::{Component, DateOrTime};
use crate::base::Limits;

/// Which kind of component an object is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ComponentKind {
    /// VEVENT
    Event,
    /// VTODO
    Todo,
    /// VJOURNAL
    Journal,
    /// VFREEBUSY
    FreeBusy,
    /// VAVAILABILITY (RFC 7953)
    Availability,
}

/// A whole, valid calendar object resource, parsed. Its bytes are kept elsewhere (invariant S3).
#[derive(Debug, Clone, PartialEq)]
pub struct CalendarObject {
    /// The VCALENDAR.
    pub calendar: Component,
    /// The one UID of all its components, decoded.
    pub uid: String,
    /// The one kind of all its components (VTIMEZONE aside).
    pub kind: ComponentKind,
    /// Where in `calendar.components` the master stands; `None` if there are only overrides
    /// (an attendee invited to single instances).
    pub master: Option<usize>,
    /// Where the overrides stand, each with its RECURRENCE-ID.
    pub overrides: Vec<Override>,
}

/// One override of a [`CalendarObject`].
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Where in `calendar.components` it stands.
    pub index: usize,
    /// Which instance it replaces.
    pub recurrence_id: DateOrTime,
    /// Whether it holds for that and all later instances (RANGE=THISANDFUTURE, RFC 5545 §3.2.13).
    pub this_and_future: bool,
}

/// Why bytes are no calendar object. Each kind is the precondition of RFC 4791 §5.3.2.1 of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Invalid {
    /// Which precondition is broken.
    pub kind: InvalidKind,
    /// The physical line, from 1; 0 where the whole is meant.
    pub line: u32,
    /// What is wrong, with the offending name or value shortened, and what to do.
    pub message: String,
}

/// The preconditions that [`Invalid`] can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// CALDAV:valid-calendar-data: not iCalendar.
    CalendarData,
    /// CALDAV:valid-calendar-object-resource: iCalendar, but not one object (§4.1).
    CalendarObjectResource,
    /// CALDAV:supported-calendar-component: a component this server does not store on its own.
    CalendarComponent,
    /// CALDAV:max-resource-size
    ResourceSize,
    /// CALDAV:max-attendees-per-instance
    Attendees,
    /// CALDAV:max-instances, from a COUNT beyond the limit
    Instances,
}

impl CalendarObject {
    /// Parses and checks `bytes` as RFC 4791 §4.1 asks.
    ///
    /// # Errors
    /// [`Invalid`] names the precondition, the line and the reason.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Invalid> {
        let _ = (bytes, limits);
        todo!()
    }
}
