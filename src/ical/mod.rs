//! Layer 1: iCalendar text (RFC 5545, 6868, 7986, 7953) ↔ a lossless component tree, typed views of its
//! values, the checks of RFC 4791 §4.1, partial retrieval (§9.6) and jCal (RFC 7265).
//!
//! Not here: what a TZID means (`zone`), which days a rule yields (`recur`).

mod tree;
mod value;

pub use tree::{Component, Param, Property};
pub use value::{DateOrTime, Duration, Period, PeriodEnd};
mod object;
pub use object::{CalendarObject, ComponentKind, Invalid, InvalidKind, Override};
