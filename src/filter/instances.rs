//! Looking for one instance of a component that passes a test, without expanding more than is needed.

use std::ops::ControlFlow;

use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, DateOrTime, Override};
use crate::recur::{Budget, BudgetExceeded, Occurrence, Series};

/// The first stretch of an open-ended search, in seconds: eight days, so that a week takes one step. Each further stretch is
/// four times as long.
const FIRST_STRETCH: i64 = 8 * 86_400;
/// How far a search goes on behind the start of the override that replaces a component for all the future: its instances
/// begin before that, so this only has to be more than nothing.
const MARGIN: i64 = 2 * 86_400;

/// Where instances come from: an object and its compiled series.
#[derive(Clone, Copy)]
pub(super) struct Instances<'a> {
    pub object: &'a CalendarObject,
    pub series: &'a Series,
}

impl Instances<'_> {
    /// Whether an instance that the component at `index` describes touches `window` and passes `test`. Ends that merely
    /// touch `window` are shown to `test` too.
    pub(super) fn any(
        &self,
        index: usize,
        window: Interval,
        budget: &mut Budget,
        mut test: impl FnMut(Interval) -> bool,
    ) -> Result<bool, BudgetExceeded> {
        let mut found = false;
        for part in self.parts(index, window) {
            self.series.each(part, budget, |interval, component| {
                found = component == index && test(interval);
                if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if found {
                break;
            }
        }
        Ok(found)
    }

    /// As [`Instances::any`] for a `test` that needs to know local times.
    pub(super) fn any_occurrence(
        &self,
        index: usize,
        window: Interval,
        budget: &mut Budget,
        mut test: impl FnMut(&Occurrence) -> bool,
    ) -> Result<bool, BudgetExceeded> {
        for part in self.parts(index, window) {
            if self.series.occurrences(part, budget)?.iter().any(|o| o.component == index && test(o)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The stretches to search one after the other.
    fn parts(&self, index: usize, window: Interval) -> impl Iterator<Item = Interval> + use<> {
        let search = self.search_window(index, window);
        let mut from = search.map_or(Utc::MAX, |search| search.start);
        let end = search.map_or(Utc::MIN, |search| search.end);
        let mut stretch = FIRST_STRETCH;
        std::iter::from_fn(move || {
            let part = (from < end).then(|| Interval::new(from, from.plus(stretch).min(end)))?;
            (from, stretch) = (part.end, stretch.saturating_mul(4));
            Some(part)
        })
    }

    /// The part of `window`, widened by a second on both sides, in which the component can have instances.
    fn search_window(&self, index: usize, window: Interval) -> Option<Interval> {
        let span = self.series.span()?;
        let start = window.start.plus(-1).max(span.start.plus(-1));
        let last = span.end.map_or(Utc::MAX, |end| end.plus(1));
        let mut end = window.end.plus(1).min(last);
        if let Some(single) = self.single_place(index) {
            return Some(single);
        }
        if let Some(replaced) = self.replaced_from(index) {
            end = end.min(start.max(replaced).plus(MARGIN));
        }
        (start < end).then_some(Interval { start, end })
    }

    /// Around the start of an override of one instance, wherever it ends; `None` for components that may have many.
    fn single_place(&self, index: usize) -> Option<Interval> {
        let own = self.override_at(index).filter(|o| !o.this_and_future)?;
        let component = self.object.calendar.components.get(own.index)?;
        let from = self.series.zones().to_utc(&anchor_of(component)?);
        Some(Interval::new(from.plus(-1), from.plus(2)))
    }

    /// From when on another override has replaced the component.
    fn replaced_from(&self, index: usize) -> Option<Utc> {
        let own = self.override_at(index).map_or(Utc::MIN, |o| self.series.key_of(&o.recurrence_id));
        let future = self.object.overrides.iter().filter(|o| o.this_and_future && o.index != index);
        future.map(|o| self.series.key_of(&o.recurrence_id)).filter(|from| *from > own).min()
    }

    fn override_at(&self, index: usize) -> Option<&Override> {
        self.object.overrides.iter().find(|o| o.index == index)
    }
}

/// DTSTART, or DUE of a VTODO without one.
pub(super) fn anchor_of(component: &Component) -> Option<DateOrTime> {
    let date = |name| component.date(name).ok().flatten();
    date("DTSTART").or_else(|| date("DUE"))
}
