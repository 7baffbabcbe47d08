//! Calendar data as it was asked for (RFC 4791 §9.6): which components and properties, and which recurrences.

use std::borrow::Cow;

use super::expand::{expanded, expanded_text};
use super::limit::{limited_freebusy, limited_overrides};
use super::{CompRequest, DataRequest, NoValue, RecurrenceRequest};
use crate::ical::{CalendarObject, Component, Property, to_jcal};
use crate::recur::{Budget, BudgetExceeded, Series};
use crate::zone::{Zone, with_timezones};

/// The text that answers `request` for `object`, whose stored bytes are `stored`. Returns `stored` itself where the
/// request is for everything.
///
/// An object whose recurrence cannot be understood is neither expanded nor limited.
///
/// # Errors
/// [`BudgetExceeded`] if expanding takes more than `budget` allows.
pub fn render(
    request: &DataRequest,
    object: &CalendarObject,
    stored: &str,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<String, BudgetExceeded> {
    let needed = request.recurrence != RecurrenceRequest::Whole || request.limit_freebusy.is_some();
    let series = if needed { Series::new(object, floating).ok() } else { None };
    write(request, object, series.as_ref(), stored, floating, budget)
}

/// As [`render`], with the object's `series` already compiled (with the same `floating`).
///
/// # Errors
/// [`BudgetExceeded`] if expanding takes more than `budget` allows.
pub fn render_series(
    request: &DataRequest,
    object: &CalendarObject,
    series: &Series,
    stored: &str,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<String, BudgetExceeded> {
    write(request, object, Some(series), stored, floating, budget)
}

fn write(
    request: &DataRequest,
    object: &CalendarObject,
    series: Option<&Series>,
    stored: &str,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<String, BudgetExceeded> {
    let only_timezones = DataRequest { timezones: request.timezones, ..DataRequest::default() };
    if *request == only_timezones {
        let calendar = with_timezones(&object.calendar, request.timezones);
        return Ok(if matches!(calendar, Cow::Borrowed(_)) { stored.to_owned() } else { calendar.to_ics() });
    }
    if let (Some(series), RecurrenceRequest::Expand(window)) = (series, request.recurrence)
        && *request == (DataRequest { recurrence: request.recurrence, ..DataRequest::default() })
    {
        return expanded_text(object, series, window, budget);
    }
    let mut calendar = Cow::Borrowed(&object.calendar);
    if let Some(series) = series {
        match request.recurrence {
            RecurrenceRequest::Whole => {}
            RecurrenceRequest::Expand(window) => calendar = Cow::Owned(expanded(object, series, window, budget)?),
            RecurrenceRequest::Limit(window) => {
                calendar = Cow::Owned(limited_overrides(object, series, window, floating, budget)?);
            }
        }
        if let Some(window) = request.limit_freebusy {
            limited_freebusy(calendar.to_mut(), window, series.zones());
        }
    }
    let calendar = with_timezones(&calendar, request.timezones);
    let calendar = match &request.comp {
        Some(comp) if calendar.is(&comp.name) => Cow::Owned(partial(&calendar, comp)),
        _ => calendar,
    };
    Ok(if request.jcal { to_jcal(&calendar).to_string() } else { calendar.to_ics() })
}

/// The parts of `component` that `request` names. A request that names nothing at all is one for everything: RFC 4791
/// §7.8.1 asks for `<C:comp name="VTIMEZONE"/>` and gets a whole time zone.
fn partial(component: &Component, request: &CompRequest) -> Component {
    let names_nothing =
        |r: &CompRequest| r.props.as_ref().is_some_and(Vec::is_empty) && r.comps.as_ref().is_some_and(Vec::is_empty);
    if names_nothing(request) {
        return component.clone();
    }
    let properties = match &request.props {
        None => component.properties.clone(),
        Some(names) => component.properties.iter().filter_map(|p| asked_for(p, names)).collect(),
    };
    let components = match &request.comps {
        None => component.components.clone(),
        Some(inner) => {
            let pick = |c: &Component| inner.iter().find(|r| c.is(&r.name)).map(|r| partial(c, r));
            component.components.iter().filter_map(pick).collect()
        }
    };
    Component { name: component.name.clone(), properties, components, line: component.line }
}

/// The property if it is among `names`; without its value, but with its parameters, if that is what is asked (§9.6.4).
fn asked_for(property: &Property, names: &[(String, NoValue)]) -> Option<Property> {
    let (_, novalue) = names.iter().find(|(name, _)| property.is(name))?;
    Some(match novalue {
        NoValue::Whole => property.clone(),
        NoValue::NameOnly => Property { value: String::new(), ..property.clone() },
    })
}
