//! Layer 2: which occurrences a calendar object has in a window (RFC 5545 §3.8.5, RFC 7529): RRULE, RDATE,
//! EXDATE, overrides and THISANDFUTURE. Bounded by the window, not by the age of the series (T4).

use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, DateOrTime};
use crate::zone::{Zone, Zones};

/// One occurrence of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// From when to when. For a VEVENT by the rules of RFC 5545 §3.6.1 (a DATE without an end lasts a day, a
    /// DATE-TIME without one has no length); for a VTODO from DTSTART to DUE (or DURATION), a point at
    /// whichever of them there is; for a VJOURNAL its day or point.
    pub interval: Interval,
    /// Its RECURRENCE-ID: the start that the rule gave it, before any override moved it, in the
    /// form of the master's DTSTART.
    pub recurrence_id: DateOrTime,
    /// The start as local time in the form of its component's DTSTART.
    pub start: DateOrTime,
    /// Which component of `calendar.components` describes it: the master or an override.
    pub component: usize,
}

/// The span in which an object can have anything: from its first start to its last end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The start of the first occurrence.
    pub start: Utc,
    /// The end of the last; `None` if the series never ends.
    pub end: Option<Utc>,
}

/// How much work may still be done: shared by all objects of one request, so that a thousand
/// heavy series are as bounded as one.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Candidate dates that may still be looked at.
    pub steps: u64,
    /// Occurrences that may still be produced.
    pub instances: u64,
}

/// The budget ran out. On the wire: DAV:number-of-matches-within-limits or CALDAV:max-instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recurrences in the window are more than the limit allows; ask for a shorter window")]
pub struct BudgetExceeded;

/// An object's recurrence, compiled once: rules parsed, zones resolved, overrides indexed.
#[derive(Debug, Clone)]
pub struct Series;

impl Series {
    /// Compiles `object`, floating and all-day values being read in `floating`.
    ///
    /// # Errors
    /// What is wrong with a rule or a date, for a person.
    pub fn new(object: &CalendarObject, floating: &Zone) -> Result<Self, String> {
        let _ = (object, floating);
        todo!()
    }

    /// The occurrences that touch `window` (those of no length that stand in it or at its start as well), in
    /// order of their start.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if there are more than `budget` allows.
    pub fn occurrences(&self, window: Interval, budget: &mut Budget) -> Result<Vec<Occurrence>, BudgetExceeded> {
        let _ = (window, budget);
        todo!()
    }

    /// Whether anything touches `window`: stops at the first.
    pub fn touches(&self, window: Interval, budget: &mut Budget) -> Result<bool, BudgetExceeded> {
        let _ = (window, budget);
        todo!()
    }

    /// The span of the whole series. Never counts through a long series.
    pub fn span(&self) -> Option<Span> {
        todo!()
    }

    /// Whether it has RRULE or RDATE.
    pub fn is_recurring(&self) -> bool {
        todo!()
    }

    /// The zones of the object.
    pub fn zones(&self) -> &Zones {
        todo!()
    }
}
