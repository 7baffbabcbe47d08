//! The exact evaluator (RFC 4791 §9.7, §9.9).

use super::alarm::alarm_overlaps;
use super::check::{TIMED_PROPERTIES, listed};
use super::collation::Matcher;
use super::instances::Instances;
use super::times;
use super::{CompFilter, CompTest, ParamFilter, PropFilter, PropTest, ValueMatch};
use crate::base::Interval;
use crate::ical::{CalendarObject, Component, Property, available_objects};
use crate::recur::{Budget, BudgetExceeded, Series};
use crate::zone::{Zone, Zones};

/// Whether `object` passes `filter` (whose outermost name is VCALENDAR). Floating and all-day values are read in
/// `floating`.
///
/// An object whose recurrence cannot be understood overlaps no time-range.
///
/// # Errors
/// [`BudgetExceeded`] if its recurrences, or the texts to compare, are more than `budget` allows.
pub fn matches(
    filter: &CompFilter,
    object: &CalendarObject,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<bool, BudgetExceeded> {
    let series = if asks_for_time(filter) { Series::new(object, floating).ok() } else { None };
    evaluate(filter, object, series.as_ref(), floating, budget)
}

/// As [`matches`], with the object's `series` already compiled (with the same `floating`).
///
/// # Errors
/// [`BudgetExceeded`] if its recurrences are more than `budget` allows.
pub fn matches_series(
    filter: &CompFilter,
    object: &CalendarObject,
    series: &Series,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<bool, BudgetExceeded> {
    evaluate(filter, object, Some(series), floating, budget)
}

fn evaluate(
    filter: &CompFilter,
    object: &CalendarObject,
    series: Option<&Series>,
    floating: &Zone,
    budget: &mut Budget,
) -> Result<bool, BudgetExceeded> {
    let own_zones;
    let zones = match series {
        Some(series) => series.zones(),
        None => {
            own_zones = Zones::of(&object.calendar, floating);
            &own_zones
        }
    };
    let instances = series.map(|series| Instances { object, series });
    Evaluation { object, instances, zones, floating, budget, touched: None }.calendar(filter)
}

fn asks_for_time(filter: &CompFilter) -> bool {
    let CompTest::All { time_range, props, comps } = &filter.test else { return false };
    let timed = |prop: &PropFilter| matches!(prop.test, PropTest::All { value: Some(ValueMatch::TimeRange(_)), .. });
    time_range.is_some() || props.iter().any(timed) || comps.iter().any(asks_for_time)
}

/// One run over one object.
struct Evaluation<'a, 'b> {
    object: &'a CalendarObject,
    /// `None` if no time is asked for, or if the recurrence cannot be understood.
    instances: Option<Instances<'a>>,
    zones: &'a Zones,
    floating: &'a Zone,
    budget: &'b mut Budget,
    /// The range asked for last, and whether anything of the object touches it: asked once, and not for each of many
    /// overrides.
    touched: Option<(Interval, bool)>,
}

/// A component in its place.
#[derive(Clone, Copy)]
struct Place<'a> {
    component: &'a Component,
    /// Where it stands in the VCALENDAR, or the one of these that it is inside of.
    index: usize,
    /// What it stands in, if that is not the VCALENDAR.
    parent: Option<&'a Component>,
}

impl<'a> Evaluation<'a, '_> {
    fn calendar(&mut self, filter: &CompFilter) -> Result<bool, BudgetExceeded> {
        let calendar = &self.object.calendar;
        let CompTest::All { time_range: None, props, comps } = &filter.test else { return Ok(false) };
        if !calendar.is(&filter.name) || !all(props, |prop| self.plain(calendar, prop))? {
            return Ok(false);
        }
        let place = |(index, component)| Place { component, index, parent: None };
        self.charge(comps.len() as u64 * looking(calendar.components.len()))?;
        all(comps, |inner| self.among(calendar.components.iter().enumerate().map(place), inner))
    }

    /// Whether a component among `places` passes `filter`, or none is there if that is what it asks.
    fn among(&mut self, places: impl Iterator<Item = Place<'a>>, filter: &CompFilter) -> Result<bool, BudgetExceeded> {
        let mut named = places.filter(|place| place.component.is(&filter.name));
        let CompTest::All { time_range, props, comps } = &filter.test else { return Ok(named.next().is_none()) };
        any(named, |place| {
            Ok(all(props, |prop| self.property(place, prop))?
                && all(comps, |inner| self.inside(place, inner))?
                && all(time_range.as_slice(), |range| self.component_overlaps(place, *range))?)
        })
    }

    fn inside(&mut self, place: Place<'a>, filter: &CompFilter) -> Result<bool, BudgetExceeded> {
        let parent = place.component;
        let inner = parent.components.iter();
        self.charge(looking(parent.components.len()))?;
        self.among(inner.map(|component| Place { component, index: place.index, parent: Some(parent) }), filter)
    }

    fn component_overlaps(&mut self, place: Place<'_>, range: Interval) -> Result<bool, BudgetExceeded> {
        let component = place.component;
        match (component.name.to_ascii_uppercase().as_str(), place.parent) {
            ("VEVENT", None) => self.event_overlaps(place.index, range),
            ("VJOURNAL", None) if component.property("DTSTART").is_none() => Ok(false),
            ("VJOURNAL", None) => self.event_overlaps(place.index, range),
            ("VTODO", None) if times::is_undated(component) => {
                Ok(times::undated_todo_overlaps(component, range, self.zones))
            }
            ("VTODO", None) => self.any_instance(place.index, range, |i| times::todo_overlaps(component, i, range)),
            ("VFREEBUSY", None) => Ok(times::freebusy_overlaps(component, range, self.zones)),
            ("VAVAILABILITY", None) => Ok(times::availability_overlaps(component, range, self.zones)),
            ("AVAILABLE", Some(parent)) => self.available_overlaps(component, parent, range),
            ("VALARM", Some(parent)) => {
                alarm_overlaps(component, parent, place.index, range, self.instances, self.zones, self.budget)
            }
            _ => Ok(false),
        }
    }

    fn event_overlaps(&mut self, index: usize, range: Interval) -> Result<bool, BudgetExceeded> {
        if !self.touches(range)? {
            return Ok(false);
        }
        // With one component, what touches the range is an instance of it.
        let alone = self.object.overrides.is_empty() && self.object.master == Some(index);
        Ok(alone || self.any_instance(index, range, |i| times::event_overlaps(i, range))?)
    }

    fn touches(&mut self, range: Interval) -> Result<bool, BudgetExceeded> {
        let Some(instances) = self.instances else { return Ok(false) };
        if let Some((_, touched)) = self.touched.filter(|(asked, _)| *asked == range) {
            return Ok(touched);
        }
        let touched = instances.series.touches(range, self.budget)?;
        self.touched = Some((range, touched));
        Ok(touched)
    }

    fn available_overlaps(
        &mut self,
        available: &Component,
        parent: &Component,
        range: Interval,
    ) -> Result<bool, BudgetExceeded> {
        for object in available_objects(&self.object.calendar, parent) {
            let same = |c: &Component| c.properties == available.properties;
            let Some(index) = object.calendar.components.iter().position(same) else { continue };
            let Ok(series) = Series::new(&object, self.floating) else { continue };
            let instances = Instances { object: &object, series: &series };
            if instances.any(index, range, self.budget, |i| times::event_overlaps(i, range))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any_instance(
        &mut self,
        index: usize,
        window: Interval,
        test: impl FnMut(Interval) -> bool,
    ) -> Result<bool, BudgetExceeded> {
        self.instances.map_or(Ok(false), |instances| instances.any(index, window, self.budget, test))
    }

    fn property(&mut self, place: Place<'_>, filter: &PropFilter) -> Result<bool, BudgetExceeded> {
        self.charge(cost(place.component, filter))?;
        match &filter.test {
            PropTest::All { value: Some(ValueMatch::TimeRange(range)), params } if place.parent.is_none() => {
                match effective(place.component, &filter.name) {
                    Some((end, property)) => Ok(params.iter().all(|p| parameter(property, p))
                        && self.any_instance(place.index, *range, |i| times::point_in(end.of(i), *range))?),
                    None => Ok(plain_property(place.component, filter, self.zones)),
                }
            }
            _ => Ok(plain_property(place.component, filter, self.zones)),
        }
    }

    fn plain(&mut self, component: &Component, filter: &PropFilter) -> Result<bool, BudgetExceeded> {
        self.charge(cost(component, filter))?;
        Ok(plain_property(component, filter, self.zones))
    }

    fn charge(&mut self, steps: u64) -> Result<(), BudgetExceeded> {
        self.budget.steps = self.budget.steps.checked_sub(steps).ok_or(BudgetExceeded)?;
        Ok(())
    }
}

/// What it costs to find those of a name among so many properties or components, in steps of the budget: they are candidate dates,
/// and this is what takes about as long.
fn looking(among: usize) -> u64 {
    1 + among as u64 / 16
}

/// What it costs to hold `filter` against `component`.
fn cost(component: &Component, filter: &PropFilter) -> u64 {
    let looking = looking(component.properties.len());
    let PropTest::All { value, params } = &filter.test else { return looking };
    let of_property = |property: &Property| {
        let text = match value {
            Some(ValueMatch::Text(test)) => test.cost(property.value.len()),
            _ => 0,
        };
        let texts = params.iter().filter_map(|filter| match &filter.test {
            Some(Some(test)) => {
                let bytes = property.param(&filter.name)?.decoded().map(|value| value.len()).sum();
                Some(test.cost(bytes))
            }
            _ => None,
        });
        text + texts.sum::<u64>()
    };
    looking + component.properties.iter().filter(|p| p.is(&filter.name)).map(of_property).sum::<u64>()
}

/// Which end of an instance a property tells.
#[derive(Clone, Copy)]
enum End {
    Start,
    End,
}

impl End {
    fn of(self, instance: Interval) -> crate::base::Utc {
        match self {
            Self::Start => instance.start,
            Self::End => instance.end,
        }
    }
}

/// For DTSTART, DTEND and DUE of components that recur: which end of each instance holds their effective value, and the
/// property that it comes from (RFC 4791 §9.9: DURATION makes an effective DTEND or DUE).
fn effective<'a>(component: &'a Component, name: &str) -> Option<(End, &'a Property)> {
    let is = |n: &str| name.eq_ignore_ascii_case(n);
    let recurs = component.is("VEVENT") || component.is("VTODO") || component.is("VJOURNAL");
    let ends = is("DTEND") && component.is("VEVENT") || is("DUE") && component.is("VTODO");
    if recurs && is("DTSTART") {
        component.property(name).map(|p| (End::Start, p))
    } else if ends {
        component.property(name).or_else(|| component.property("DURATION")).map(|p| (End::End, p))
    } else {
        None
    }
}

/// A prop-filter on the values as they stand there.
fn plain_property(component: &Component, filter: &PropFilter, zones: &Zones) -> bool {
    let mut named = component.properties.iter().filter(|p| p.is(&filter.name));
    let PropTest::All { value, params } = &filter.test else { return named.next().is_none() };
    let matcher = match value {
        Some(ValueMatch::Text(test)) => Some(Matcher::new(test)),
        _ => None,
    };
    let holds = |property: &Property| match value {
        None => true,
        Some(ValueMatch::Text(_)) => matcher.as_ref().is_some_and(|m| m.matches(&property.text())),
        Some(ValueMatch::TimeRange(range)) => {
            let date = property.date().ok().filter(|_| listed(&TIMED_PROPERTIES, &property.name));
            date.is_some_and(|date| times::point_in(zones.to_utc(&date), *range))
        }
    };
    named.any(|property| holds(property) && params.iter().all(|p| parameter(property, p)))
}

fn parameter(property: &Property, filter: &ParamFilter) -> bool {
    match (&filter.test, property.param(&filter.name)) {
        (None, found) => found.is_none(),
        (Some(None), found) => found.is_some(),
        (Some(Some(_)), None) => false,
        (Some(Some(test)), Some(param)) => {
            let values: Vec<_> = param.decoded().collect();
            Matcher::new(test).matches_any(values.iter().map(AsRef::as_ref))
        }
    }
}

fn all<T>(items: &[T], mut test: impl FnMut(&T) -> Result<bool, BudgetExceeded>) -> Result<bool, BudgetExceeded> {
    for item in items {
        if !test(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any<T>(
    items: impl Iterator<Item = T>,
    mut test: impl FnMut(T) -> Result<bool, BudgetExceeded>,
) -> Result<bool, BudgetExceeded> {
    for item in items {
        if test(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
