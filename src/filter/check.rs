//! Whether a filter makes sense (RFC 4791 §7.8): the preconditions CALDAV:valid-filter and CALDAV:supported-filter.

use super::{CompFilter, CompTest, PropFilter, PropTest, ValueMatch};

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// CALDAV:valid-filter: a component stands where it cannot be.
    #[error("the component {inner} cannot be inside of {outer}; put its comp-filter directly into VCALENDAR's")]
    Nesting {
        /// The component that was asked for.
        inner: String,
        /// What it was looked for in.
        outer: String,
    },
    /// CALDAV:valid-filter: a time-range on something for which RFC 4791 §9.9 defines none.
    #[error("a time-range on {0} means nothing; use one on a component or on a date property")]
    TimeRange(String),
}

/// Components whose place is directly inside of VCALENDAR.
const TOP: [&str; 6] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "VTIMEZONE"];

/// Components that have a time-range (RFC 4791 §9.9, RFC 7953 §7.2).
const TIMED: [&str; 7] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VALARM", "VAVAILABILITY", "AVAILABLE"];

/// Properties that have a time-range (RFC 4791 §9.9).
pub(super) const TIMED_PROPERTIES: [&str; 7] =
    ["COMPLETED", "CREATED", "DTEND", "DTSTAMP", "DTSTART", "DUE", "LAST-MODIFIED"];

/// Checks `filter`, the one inside of CALDAV:filter.
///
/// # Errors
/// [`FilterError`] for the first thing that means nothing.
pub fn check(filter: &CompFilter) -> Result<(), FilterError> {
    if !filter.name.eq_ignore_ascii_case("VCALENDAR") {
        return Err(FilterError::Nesting { inner: filter.name.clone(), outer: "CALDAV:filter".into() });
    }
    inside(filter)
}

fn inside(filter: &CompFilter) -> Result<(), FilterError> {
    let CompTest::All { time_range, props, comps } = &filter.test else { return Ok(()) };
    if time_range.is_some() && !listed(&TIMED, &filter.name) {
        return Err(FilterError::TimeRange(filter.name.clone()));
    }
    props.iter().try_for_each(property)?;
    comps.iter().try_for_each(|inner| {
        if fits(&inner.name, &filter.name) {
            inside(inner)
        } else {
            Err(FilterError::Nesting { inner: inner.name.clone(), outer: filter.name.clone() })
        }
    })
}

fn property(filter: &PropFilter) -> Result<(), FilterError> {
    match &filter.test {
        PropTest::All { value: Some(ValueMatch::TimeRange(_)), .. } if !listed(&TIMED_PROPERTIES, &filter.name) => {
            Err(FilterError::TimeRange(filter.name.clone()))
        }
        _ => Ok(()),
    }
}

/// Whether `inner` can be inside of `outer` as far as the RFCs know both; what they don't know is let through.
fn fits(inner: &str, outer: &str) -> bool {
    let is = |name: &str| inner.eq_ignore_ascii_case(name);
    let inside_of = |names: &[&str]| listed(names, outer);
    if is("VCALENDAR") {
        false
    } else if listed(&TOP, inner) {
        inside_of(&["VCALENDAR"])
    } else if is("VALARM") {
        inside_of(&["VEVENT", "VTODO"])
    } else if is("STANDARD") || is("DAYLIGHT") {
        inside_of(&["VTIMEZONE"])
    } else if is("AVAILABLE") {
        inside_of(&["VAVAILABILITY"])
    } else {
        true
    }
}

pub(super) fn listed(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Interval;

    fn comp(name: &str, time_range: Option<Interval>, comps: Vec<CompFilter>) -> CompFilter {
        CompFilter { name: name.into(), test: CompTest::All { time_range, props: Vec::new(), comps } }
    }

    fn calendar(inner: CompFilter) -> CompFilter {
        comp("VCALENDAR", None, vec![inner])
    }

    #[test]
    fn nesting_follows_the_components() {
        let alarm = || comp("VALARM", Some(Interval::ALL), vec![]);
        assert_eq!(check(&calendar(comp("VEVENT", Some(Interval::ALL), vec![alarm()]))), Ok(()));
        assert_eq!(check(&calendar(comp("VTIMEZONE", None, vec![comp("DAYLIGHT", None, vec![])]))), Ok(()));
        assert_eq!(check(&calendar(comp("X-THING", None, vec![comp("X-INNER", None, vec![])]))), Ok(()));
        for wrong in [
            comp("VEVENT", None, vec![]),
            calendar(comp("VTODO", None, vec![comp("VEVENT", None, vec![])])),
            calendar(alarm()),
            calendar(comp("VJOURNAL", None, vec![alarm()])),
        ] {
            assert!(matches!(check(&wrong), Err(FilterError::Nesting { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn time_ranges_stand_where_they_mean_something() {
        let prop = |name: &str| PropFilter {
            name: name.into(),
            test: PropTest::All { value: Some(ValueMatch::TimeRange(Interval::ALL)), params: Vec::new() },
        };
        let with = |name: &str| CompFilter {
            name: "VEVENT".into(),
            test: CompTest::All { time_range: None, props: vec![prop(name)], comps: vec![] },
        };
        assert_eq!(check(&calendar(with("last-modified"))), Ok(()));
        assert_eq!(check(&calendar(with("SUMMARY"))), Err(FilterError::TimeRange("SUMMARY".into())));
        assert!(check(&comp("VCALENDAR", Some(Interval::ALL), vec![])).is_err());
    }
}
