//! Layer 1: iCalendar text (RFC 5545, 6868, 7986, 7953) ↔ a lossless component tree, typed views of its
//! values, the checks of RFC 4791 §4.1 and jCal (RFC 7265).
//!
//! - [`parse`] and [`parse_stream`] read bytes, [`Component::to_ics`] writes them.
//! - [`Component`], [`Property`], [`Param`] are the tree; their methods (`text`, `date`, `dates`, `periods`,
//!   `param_value`, …) read values, [`Property::with_text`], [`Property::with_date`] and [`Component::with`] build.
//! - [`split`] and [`join`] go from one stream to one object for each UID and back.
//! - [`to_jcal`] and [`from_jcal`] are the same tree as JSON.
//! - [`CalendarObject`] is a checked object: a UID, a master, its overrides.
//!
//! Not here: what a TZID means (`zone`), which days a rule yields (`recur`), partial retrieval (`filter`).

mod available;
mod check;
mod jcal;
mod object;
mod parse;
mod rule;
mod split;
mod text;
mod tree;
mod value;
mod view;
mod write;

pub use available::available_objects;
pub use jcal::{from_jcal, parse_jcal, to_jcal};
pub use object::{CalendarObject, ComponentKind, Invalid, InvalidKind, Override};
pub use parse::{parse, parse_stream};
pub use rule::rule_parts;
pub use split::{Joiner, PRODID, join, new_calendar, split, used_tzids};
pub use text::{decode_param, encode_param, escape_text, split_raw, unescape_text};
pub use tree::{Component, Param, Property};
pub use value::{DateOrTime, Duration, Period, PeriodEnd, ValueError, format_offset, parse_offset, parse_utc};
pub use write::FoldedLine;

#[cfg(test)]
mod tests;
