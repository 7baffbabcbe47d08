//! CALDAV:filter and CALDAV:calendar-data as they stand in requests (RFC 4791 §9.6, §9.7), into the pure layer's values.

use crate::base::{Interval, Limits, Utc};
use crate::dav::Failure;
use crate::filter::{
    Collation, CompFilter, CompRequest, CompTest, DataRequest, NoValue, ParamFilter, PropFilter, PropTest,
    RecurrenceRequest, TextMatch, ValueMatch, check,
};
use crate::ical;
use crate::model::Precondition;
use crate::service::Error;
use crate::xml::{Element, ns};

/// CALDAV:filter.
///
/// # Errors
/// CALDAV:valid-filter if it breaks the grammar; CALDAV:supported-filter for what is no iCalendar filter, or too many of it;
/// CALDAV:supported-collation for a collation that we do not have.
pub fn filter(element: &Element, limits: &Limits) -> Result<CompFilter, Failure> {
    if more_than(limits.filter_conditions_max, element) {
        let most = limits.filter_conditions_max;
        let message = format!("the filter has more than {most} elements (limit filter_conditions_max)");
        return Err(Error::precondition(Precondition::SupportedFilter, message).into());
    }
    let mut filters = element.children().filter(|child| child.is(ns::CALDAV, "comp-filter"));
    let (Some(outermost), None) = (filters.next(), filters.next()) else {
        return Err(invalid("a filter holds exactly one comp-filter, for VCALENDAR"));
    };
    let filter = comp_filter(outermost, 0)?;
    check(&filter).map_err(|error| invalid(&error.to_string()))?;
    Ok(filter)
}

/// Whether there are more than `most` elements in `element`. It goes no deeper than bodies do (`xml_depth_max`).
fn more_than(most: u64, element: &Element) -> bool {
    fn count(element: &Element) -> u64 {
        element.children().map(|child| 1 + count(child)).sum()
    }
    count(element) > most
}

/// How deep filters and requests for data are followed: calendar objects are not deeper.
const DEPTH_MAX: u32 = 8;

fn comp_filter(element: &Element, depth: u32) -> Result<CompFilter, Failure> {
    if depth > DEPTH_MAX {
        return Err(Error::precondition(
            Precondition::SupportedFilter,
            "comp-filters are nested deeper than components",
        )
        .into());
    }
    let name = name_of(element)?;
    if element.child(ns::CALDAV, "is-not-defined").is_some() {
        alone(element)?;
        return Ok(CompFilter { name, test: CompTest::IsNotDefined });
    }
    let (mut time_range, mut props, mut comps) = (None, Vec::new(), Vec::new());
    for child in element.children() {
        match caldav(child) {
            Some("time-range") if time_range.is_none() => time_range = Some(interval(child)?),
            Some("prop-filter") => props.push(prop_filter(child)?),
            Some("comp-filter") => comps.push(comp_filter(child, depth + 1)?),
            _ => return Err(unexpected(child)),
        }
    }
    Ok(CompFilter { name, test: CompTest::All { time_range, props, comps } })
}

fn prop_filter(element: &Element) -> Result<PropFilter, Failure> {
    let name = name_of(element)?;
    if element.child(ns::CALDAV, "is-not-defined").is_some() {
        alone(element)?;
        return Ok(PropFilter { name, test: PropTest::IsNotDefined });
    }
    let (mut value, mut params) = (None, Vec::new());
    for child in element.children() {
        match caldav(child) {
            Some("time-range") if value.is_none() => value = Some(ValueMatch::TimeRange(interval(child)?)),
            Some("text-match") if value.is_none() => value = Some(ValueMatch::Text(text_match(child)?)),
            Some("param-filter") => params.push(param_filter(child)?),
            _ => return Err(unexpected(child)),
        }
    }
    Ok(PropFilter { name, test: PropTest::All { value, params } })
}

fn param_filter(element: &Element) -> Result<ParamFilter, Failure> {
    let name = name_of(element)?;
    let mut children = element.children();
    let test = match (children.next(), children.next()) {
        (None, _) => Some(None),
        (Some(child), None) if child.is(ns::CALDAV, "is-not-defined") => None,
        (Some(child), None) if child.is(ns::CALDAV, "text-match") => Some(Some(text_match(child)?)),
        (Some(child), _) => return Err(unexpected(child)),
    };
    Ok(ParamFilter { name, test })
}

fn text_match(element: &Element) -> Result<TextMatch, Failure> {
    let collation = match element.attribute("collation") {
        None | Some("i;ascii-casemap" | "default") => Collation::AsciiCasemap,
        Some("i;octet") => Collation::Octet,
        Some("i;unicode-casemap") => Collation::UnicodeCasemap,
        Some(other) => {
            let message = format!("the collation {other:?} is not one of i;ascii-casemap, i;octet, i;unicode-casemap");
            return Err(Error::precondition(Precondition::SupportedCollation, message).into());
        }
    };
    let negate = match element.attribute("negate-condition") {
        None | Some("no") => false,
        Some("yes") => true,
        Some(_) => return Err(invalid("negate-condition is yes or no")),
    };
    Ok(TextMatch { text: element.text(), collation, negate })
}

/// CALDAV:time-range, CALDAV:expand and their like: a `start`, an `end` or both, in UTC; a missing one is open.
///
/// # Errors
/// CALDAV:valid-filter if there is neither, one is no UTC time, or the end is not behind the start.
pub fn interval(element: &Element) -> Result<Interval, Failure> {
    let bound = |name: &str| element.attribute(name).map(utc).transpose();
    let (start, end) = (bound("start")?, bound("end")?);
    match (start, end) {
        (None, None) => Err(invalid("a time-range has a start, an end or both")),
        (Some(start), Some(end)) if end <= start => {
            Err(invalid(&format!("the time-range's end {end} is not after its start {start}")))
        }
        _ => Ok(Interval { start: start.unwrap_or(Utc::MIN), end: end.unwrap_or(Utc::MAX) }),
    }
}

/// A window that must have both ends (CALDAV:expand, limit-recurrence-set, limit-freebusy-set; RFC 4791 §9.6.5-9.6.7).
fn closed_interval(element: &Element) -> Result<Interval, Failure> {
    if element.attribute("start").is_none() || element.attribute("end").is_none() {
        return Err(invalid(&format!("{} needs a start and an end", element.name.local)));
    }
    interval(element)
}

fn utc(text: &str) -> Result<Utc, Failure> {
    ical::parse_utc(text).map_err(|_| invalid(&format!("{text:?} is not a time in UTC such as 20261122T080000Z")))
}

/// The media type of jCal (RFC 7265 §8.1).
pub const JCAL: &str = "application/calendar+json";

/// CALDAV:calendar-data in a request.
///
/// # Errors
/// CALDAV:supported-calendar-data for another type or version; CALDAV:valid-filter for a window that is none.
pub fn data_request(element: &Element) -> Result<DataRequest, Failure> {
    let content_type = element.attribute("content-type").unwrap_or("text/calendar");
    let version = element.attribute("version").unwrap_or("2.0");
    let jcal = content_type.eq_ignore_ascii_case(JCAL);
    if !(jcal || content_type.eq_ignore_ascii_case("text/calendar")) || version != "2.0" {
        let message =
            format!("calendar data comes as text/calendar 2.0 or {JCAL} 2.0, not as {content_type} {version}");
        return Err(Error::precondition(Precondition::SupportedCalendarData, message).into());
    }
    let mut request = DataRequest { jcal, ..DataRequest::default() };
    for child in element.children() {
        match caldav(child) {
            Some("comp") => request.comp = Some(comp_request(child, 0)?),
            Some("expand") => request.recurrence = RecurrenceRequest::Expand(closed_interval(child)?),
            Some("limit-recurrence-set") => request.recurrence = RecurrenceRequest::Limit(closed_interval(child)?),
            Some("limit-freebusy-set") => request.limit_freebusy = Some(closed_interval(child)?),
            _ => {}
        }
    }
    Ok(request)
}

fn comp_request(element: &Element, depth: u32) -> Result<CompRequest, Failure> {
    if depth > DEPTH_MAX {
        return Err(invalid("comp elements are nested deeper than components"));
    }
    let name = name_of(element)?;
    let of = |local: &'static str| element.children().filter(move |child| child.is(ns::CALDAV, local));
    let props = match element.child(ns::CALDAV, "allprop") {
        Some(_) => None,
        None => Some(of("prop").map(prop_request).collect::<Result<_, _>>()?),
    };
    let comps = match element.child(ns::CALDAV, "allcomp") {
        Some(_) => None,
        None => Some(of("comp").map(|comp| comp_request(comp, depth + 1)).collect::<Result<_, _>>()?),
    };
    Ok(CompRequest { name, props, comps })
}

fn prop_request(element: &Element) -> Result<(String, NoValue), Failure> {
    let no_value = match element.attribute("novalue") {
        Some("yes") => NoValue::NameOnly,
        _ => NoValue::Whole,
    };
    Ok((name_of(element)?, no_value))
}

fn name_of(element: &Element) -> Result<String, Failure> {
    match element.attribute("name").map(str::trim) {
        Some(name) if !name.is_empty() => Ok(name.to_ascii_uppercase()),
        _ => Err(invalid(&format!("{} needs a name", element.name.local))),
    }
}

/// CALDAV:is-not-defined stands alone.
fn alone(element: &Element) -> Result<(), Failure> {
    if element.children().count() == 1 { Ok(()) } else { Err(invalid("is-not-defined stands alone in its filter")) }
}

fn caldav(element: &Element) -> Option<&str> {
    (element.name.ns == ns::CALDAV).then_some(element.name.local.as_str())
}

/// Something in a filter that the grammar has no place for: what RFC 4791 knows is misplaced, all else is not supported.
fn unexpected(element: &Element) -> Failure {
    let known = ["comp-filter", "prop-filter", "param-filter", "time-range", "text-match", "is-not-defined"];
    let name = &element.name.local;
    if element.name.ns == ns::CALDAV && known.contains(&name.as_str()) {
        return invalid(&format!("{name} has no place here, or stands here twice"));
    }
    Error::precondition(Precondition::SupportedFilter, format!("the filter element {name} is not known here")).into()
}

fn invalid(message: &str) -> Failure {
    Error::precondition(Precondition::ValidFilter, message).into()
}
