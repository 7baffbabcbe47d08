//! Layer 2: what a calendar-query asks (RFC 4791 §9.6–9.9): the filter as a value, its exact evaluator, and the
//! plan that spares objects from being read. Also the making of partial, expanded and limited calendar data.
//!
//! - [`check`] tells whether a filter means anything, [`plan`] what index rows say about it,
//!   [`matches`] and [`matches_series`] decide.
//! - [`render`] and [`render_series`] write the calendar data that was asked for.
//!
//! A comp-filter holds if one component of its name passes all of it: its time-range, its prop-filters and its inner
//! comp-filters speak of the same component. A prop-filter holds if one property of its name passes.
//!
//! Not here: XML (`xml`, `dav`), where the objects are (`service`).

use crate::base::Interval;
use crate::zone::Timezones;

mod alarm;
mod check;
mod collation;
mod evaluate;
mod expand;
mod instances;
mod limit;
mod plan;
mod render;
mod times;

pub use check::{FilterError, check};
pub use evaluate::{matches, matches_series};
pub use plan::{Plan, RowFacts, Verdict, plan};
pub use render::{render, render_series};
pub use times::{interval_of, span_of};

/// CALDAV:comp-filter (RFC 4791 §9.7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompFilter {
    /// The component's name, upper case: VCALENDAR, VEVENT, VALARM, …
    pub name: String,
    /// What must hold of it.
    pub test: CompTest,
}

/// The inside of a [`CompFilter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompTest {
    /// CALDAV:is-not-defined
    IsNotDefined,
    /// It is there, and all of these hold.
    All {
        /// CALDAV:time-range; open ends are [`crate::base::Utc::MIN`] and [`crate::base::Utc::MAX`].
        time_range: Option<Interval>,
        /// CALDAV:prop-filter
        props: Vec<PropFilter>,
        /// CALDAV:comp-filter
        comps: Vec<CompFilter>,
    },
}

/// CALDAV:prop-filter (RFC 4791 §9.7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropFilter {
    /// The property's name, upper case.
    pub name: String,
    /// What must hold of it.
    pub test: PropTest,
}

/// The inside of a [`PropFilter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropTest {
    /// CALDAV:is-not-defined
    IsNotDefined,
    /// It is there, its value passes the match, and all parameter filters hold.
    All {
        /// The value.
        value: Option<ValueMatch>,
        /// CALDAV:param-filter
        params: Vec<ParamFilter>,
    },
}

/// What a property's value is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// CALDAV:time-range
    TimeRange(Interval),
    /// CALDAV:text-match
    Text(TextMatch),
}

/// CALDAV:param-filter (RFC 4791 §9.7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamFilter {
    /// The parameter's name, upper case.
    pub name: String,
    /// `None` is CALDAV:is-not-defined; `Some(None)` asks only that it is there.
    pub test: Option<Option<TextMatch>>,
}

/// CALDAV:text-match (RFC 4791 §9.7.5): substring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    /// What to look for.
    pub text: String,
    /// How letters compare.
    pub collation: Collation,
    /// negate-condition="yes"
    pub negate: bool,
}

/// The collations of RFC 4791 §7.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collation {
    /// i;ascii-casemap, the default
    #[default]
    AsciiCasemap,
    /// i;octet
    Octet,
    /// i;unicode-casemap (RFC 5051)
    UnicodeCasemap,
}

/// CALDAV:calendar-data as a request (RFC 4791 §9.6): which parts, and what to do with recurrences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataRequest {
    /// `None` is everything.
    pub comp: Option<CompRequest>,
    /// What is done with recurring components.
    pub recurrence: RecurrenceRequest,
    /// CALDAV:limit-freebusy-set
    pub limit_freebusy: Option<Interval>,
    /// Which VTIMEZONEs are in it (RFC 7809 §3.1.3), as far as `comp` asks for any.
    pub timezones: Timezones,
    /// Whether it is wanted as jCal (RFC 7265 §7).
    pub jcal: bool,
}

/// What to do with recurring components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecurrenceRequest {
    /// Leave them as they are.
    #[default]
    Whole,
    /// CALDAV:expand: every instance in the window on its own, in UTC.
    Expand(Interval),
    /// CALDAV:limit-recurrence-set: the master and the overrides that matter in the window.
    Limit(Interval),
}

/// CALDAV:comp as a request (RFC 4791 §9.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompRequest {
    /// The component's name, upper case.
    pub name: String,
    /// `None` is CALDAV:allprop; else the properties by name, and whether without their values (novalue="yes").
    pub props: Option<Vec<(String, NoValue)>>,
    /// `None` is CALDAV:allcomp.
    pub comps: Option<Vec<CompRequest>>,
}

/// The `novalue` attribute of CALDAV:prop (RFC 4791 §9.6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoValue {
    /// Name, parameters and value.
    Whole,
    /// The name alone.
    NameOnly,
}
