//! A window's occurrences.

use std::ops::ControlFlow;

use super::compile::{Bounded, Extra, Master, Regime, Series};
use super::length::Length;
use super::{Budget, BudgetExceeded, Occurrence};
use crate::base::{Interval, Utc};
use crate::ical::DateOrTime;
use crate::rule::civil::{self, DAY};

/// An occurrence before anybody asked for its texts.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    interval: Interval,
    component: usize,
    from: Origin<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Origin<'a> {
    /// The start in the regime's zone and the key in the master's, as local seconds.
    Rule {
        regime: &'a Regime,
        local: i64,
        keyed: i64,
    },
    Override(usize),
    Fixed,
}

/// What a rule or an RDATE gives, before any regime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub key: Utc,
    pub local: i64,
    length: Option<Length>,
}

/// Whether to go on.
pub(super) type Flow = Result<ControlFlow<()>, BudgetExceeded>;

/// More than a local time and the same in UTC, in whatever zones, and the beginning of its day can be apart, twice.
const ZONES_SLACK: i64 = 5 * DAY;

const GO_ON: Flow = Ok(ControlFlow::Continue(()));

/// Whether `interval` is seen in `window`: a point if it stands in it or at its start.
fn touches(interval: Interval, window: Interval) -> bool {
    match interval.start == interval.end {
        true => window.start <= interval.start && interval.start < window.end,
        false => interval.overlaps(window),
    }
}

impl Series {
    /// The occurrences that touch `window` (those of no length that stand in it or at its start as well), in
    /// order of their start.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if there are more than `budget` allows.
    pub fn occurrences(&self, window: Interval, budget: &mut Budget) -> Result<Vec<Occurrence>, BudgetExceeded> {
        let mut found = Vec::new();
        let _ = self.visit(window, budget, &mut |one| {
            found.push(one);
            ControlFlow::Continue(())
        })?;
        found.sort_by_key(|one: &Found<'_>| (one.interval.start, one.component));
        Ok(found.into_iter().map(|one| self.occurrence(one)).collect())
    }

    /// Calls `visit` with each occurrence's interval and component, in no order, until it breaks. For those who
    /// need no more than that: it allocates nothing.
    ///
    /// # Errors
    /// As [`Series::occurrences`].
    pub fn each(
        &self,
        window: Interval,
        budget: &mut Budget,
        mut visit: impl FnMut(Interval, usize) -> ControlFlow<()>,
    ) -> Result<(), BudgetExceeded> {
        self.visit(window, budget, &mut |one| visit(one.interval, one.component)).map(|_| ())
    }

    /// Whether anything touches `window`: stops at the first.
    ///
    /// # Errors
    /// As [`Series::occurrences`].
    pub fn touches(&self, window: Interval, budget: &mut Budget) -> Result<bool, BudgetExceeded> {
        Ok(self.visit(window, budget, &mut |_| ControlFlow::Break(()))?.is_break())
    }

    fn occurrence(&self, found: Found<'_>) -> Occurrence {
        let Found { interval, component, from } = found;
        let (recurrence_id, start) = match (from, &self.master) {
            (Origin::Rule { regime, local, keyed }, Some(master)) => {
                (master.form(keyed), regime.anchor.start.at(civil::naive(local)))
            }
            (Origin::Override(index), _) => {
                let exception = &self.overrides[index];
                (exception.recurrence_id.clone(), exception.start.clone())
            }
            _ => (DateOrTime::Utc(interval.start.naive()), DateOrTime::Utc(interval.start.naive())),
        };
        Occurrence { interval, recurrence_id, start, component }
    }

    fn visit<'a>(
        &'a self,
        window: Interval,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Found<'a>) -> ControlFlow<()>,
    ) -> Flow {
        let fixed = self.fixed.iter().map(|(interval, component)| (*interval, *component, Origin::Fixed));
        let ones = self.overrides.iter().enumerate();
        let ones = ones.map(|(index, one)| (one.interval, one.component, Origin::Override(index)));
        for (interval, component, from) in ones.chain(fixed) {
            if touches(interval, window) {
                budget.take_instance()?;
                if visit(Found { interval, component, from }).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        let Some(master) = &self.master else { return GO_ON };
        let mut regimes = std::iter::once(&master.regime).chain(&self.ranges).peekable();
        while let Some(regime) = regimes.next() {
            let until = regimes.peek().map_or(i64::MAX, |next| next.from.saturating_sub(1));
            if self.visit_regime(master, regime, until, window, budget, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        GO_ON
    }

    /// The instances from `regime.from` to `until` (both keys as local seconds).
    fn visit_regime<'a>(
        &'a self,
        master: &'a Master,
        regime: &'a Regime,
        until: i64,
        window: Interval,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Found<'a>) -> ControlFlow<()>,
    ) -> Flow {
        let (low, high) = key_range(master, regime, window);
        let (low, high) = (low.max(regime.from), high.min(until));
        let zone = &master.regime.anchor.zone;
        let mut place = |raw: Raw, instances: &mut u64| {
            if self.overrides.binary_search_by_key(&raw.key, |exception| exception.key).is_ok() {
                return GO_ON;
            }
            let (local, mut interval) = regime.place(zone, raw.local, raw.key);
            if let Some(length) = raw.length {
                interval.end = length.end(&regime.anchor.zone, local, interval.start);
            }
            if !touches(interval, window) {
                return GO_ON;
            }
            *instances = instances.checked_sub(1).ok_or(BudgetExceeded)?;
            let from = Origin::Rule { regime, local, keyed: raw.local };
            Ok(visit(Found { interval, component: regime.component, from }))
        };
        for extra in master.extras_near(regime, until, window) {
            let is_here = (regime.from..=until).contains(&extra.local);
            if is_here && master.is_new_extra(extra, &mut budget.steps)? {
                let raw = Raw { key: extra.key, local: extra.local, length: extra.length };
                if place(raw, &mut budget.instances)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        master.visit_raw(low, high, budget, &mut place)
    }
}

/// Which keys, as local seconds in the master's zone, can be seen in `window` under `regime`.
fn key_range(master: &Master, regime: &Regime, window: Interval) -> (i64, i64) {
    let (zone, anchor) = (&master.regime.anchor.zone, &regime.anchor);
    let mut slack = 2 * zone.change_max();
    if regime.from != i64::MIN && (anchor.zone != *zone || anchor.start.is_date()) {
        slack += 2 * anchor.zone.change_max() + 2 * DAY;
    }
    let low = zone.local_of(window.start).saturating_sub(anchor.length.seconds()) - slack - regime.shift;
    let high = zone.local_of(window.end) + slack - regime.shift;
    (low, high)
}

impl Master {
    /// The RDATEs that can be seen in `window` under `regime`, which holds up to `until`, and some beside them: a list of very
    /// many is not walked for each window.
    fn extras_near(&self, regime: &Regime, until: i64, window: Interval) -> &[Extra] {
        let longest = regime.anchor.length.seconds().max(self.extra_seconds_max);
        // An instance is moved by its regime's shift, and by what zones and dates differ.
        let low = window.start.0.saturating_sub(longest).saturating_sub(regime.shift).saturating_sub(ZONES_SLACK);
        let high = window.end.0.saturating_sub(regime.shift).saturating_add(ZONES_SLACK);
        let low = low.max(regime.from.saturating_sub(ZONES_SLACK));
        let high = high.min(until.saturating_add(ZONES_SLACK));
        let first = self.extras.partition_point(|extra| extra.key.0 < low);
        let behind = self.extras.partition_point(|extra| extra.key.0 <= high);
        &self.extras[first..behind.max(first)]
    }

    /// What the rules give from `low` to `high`, each once, EXDATEs left out.
    pub(super) fn visit_raw(
        &self,
        low: i64,
        high: i64,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Raw, &mut u64) -> Flow,
    ) -> Flow {
        let anchor = &self.regime.anchor;
        if self.rules.is_empty() {
            let own = Raw { key: anchor.utc, local: anchor.local, length: None };
            let is_here = (low..=high).contains(&own.local)
                && !self.is_given_before(0, own.local, own.key, &mut budget.steps)?
                && !self.is_excluded(own.key, own.local, &mut budget.steps)?;
            return if is_here { visit(own, &mut budget.instances) } else { GO_ON };
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let mut cursor = rule.sequence.from(low);
            while let Some(local) = cursor.next(&mut budget.steps)?.filter(|local| *local <= high) {
                let key = anchor.zone.utc_of(local);
                let is_first = local == anchor.local;
                if !is_first
                    && (rule.until.is_some_and(|until| key > until) || self.is_met(rule, local, key, budget)?)
                {
                    continue;
                }
                if self.is_given_before(index, local, key, &mut budget.steps)?
                    || self.is_excluded(key, local, &mut budget.steps)?
                {
                    continue;
                }
                if visit(Raw { key, local, length: None }, &mut budget.instances)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        GO_ON
    }

    /// Whether `local` is in a gap of the clock and its time, moved forward, is one that the rule or DTSTART gives as well: the
    /// two are one instance (RFC 5545 §3.8.5.3), though COUNT counts both. Rules of one time a day meet themselves only where
    /// the clock skipped a whole day.
    fn is_met(&self, rule: &Bounded, local: i64, key: Utc, budget: &mut Budget) -> Result<bool, BudgetExceeded> {
        let anchor = &self.regime.anchor;
        if key == anchor.utc {
            return Ok(true);
        }
        let moved = match rule.sequence.has_many_a_day() || anchor.zone.change_max() >= DAY {
            true => anchor.zone.local_of(key),
            false => local,
        };
        Ok(moved != local && rule.sequence.yields(moved, &mut budget.steps)?)
    }

    /// Whether an RDATE or one of the rules before the one numbered `index` gives the same.
    fn is_given_before(&self, index: usize, local: i64, key: Utc, steps: &mut u64) -> Result<bool, BudgetExceeded> {
        if self.extras.binary_search_by_key(&key, |extra| extra.key).is_ok() {
            return Ok(true);
        }
        let is_start = index > 0 && local == self.regime.anchor.local;
        Ok(is_start || gives_any(&self.rules[..index], local, key, steps)?)
    }

    fn is_excluded(&self, key: Utc, local: i64, steps: &mut u64) -> Result<bool, BudgetExceeded> {
        Ok(self.excludes(key, local) || gives_any(&self.exrules, local, key, steps)?)
    }

    /// Whether `extra` is neither excluded nor the second of its key.
    pub(super) fn is_new_extra(&self, extra: &Extra, steps: &mut u64) -> Result<bool, BudgetExceeded> {
        let first = self.extras.partition_point(|other| other.key < extra.key);
        let is_first = std::ptr::eq(&self.extras[first], extra);
        Ok(is_first && !self.is_excluded(extra.key, extra.local, steps)?)
    }
}

/// Whether one of `rules` gives the local second `local`.
fn gives_any(rules: &[Bounded], local: i64, key: Utc, steps: &mut u64) -> Result<bool, BudgetExceeded> {
    for rule in rules {
        if rule.until.is_none_or(|until| key <= until) && rule.sequence.yields(local, steps)? {
            return Ok(true);
        }
    }
    Ok(false)
}
