//! RANGE=THISANDFUTURE (RFC 5545 §3.2.13) taken apart: a series whose rule changes on the way, as several plain ones.
//!
//! Few programs know the parameter; one that does not would show every instance after the first at its old time. So
//! each range becomes a series of its own: its rule is the old one, moved. Where no rule says what the moved instances
//! are (the second Tuesday, a day later) they are written out one by one.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::compile::{Bounded, Master, Regime, Series};
use super::length::{Anchor, Length};
use super::{Budget, BudgetExceeded};
use crate::base::Utc;
use crate::ical::{CalendarObject, Component, ComponentKind, DateOrTime, Property, rule_parts};
use crate::rule::civil::{self, DAY};
use crate::zone::Zone;

/// Taking one object apart may take so many steps.
const STEPS_MAX: u64 = 500_000;
/// So many items looked through count as a step.
const STEP: usize = 16;
/// How far ahead instances are looked for: a power of two, in days.
const DAYS_MAX: i64 = 1 << 18;
/// The days of the month that every month has.
const COMMON_DAYS: std::ops::RangeInclusive<i64> = 1..=28;
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// A part of a series that has one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// The original start with which it begins (RECURRENCE-ID of the range); `None` for the first.
    pub from: Option<DateOrTime>,
    /// Its series, or its only event.
    pub master: Component,
    /// The single instances that differ, each with the RECURRENCE-ID that it has in this stretch.
    pub overrides: Vec<Component>,
}

/// The stretches of `object`, which together have the same occurrences and no RANGE; none if it has no RANGE. Floating and
/// all-day values are read in `floating`; a stretch that no rule describes has at most `dates_max` instances. `steps` are left for this
/// object and those that follow; what it takes of them is subtracted.
///
/// # Errors
/// Why it cannot be taken apart, for a person.
pub fn stretches(
    object: &CalendarObject,
    floating: &Zone,
    dates_max: usize,
    steps: &mut u64,
) -> Result<Vec<Stretch>, String> {
    let series = Series::new(object, floating)?;
    let Some(master) =
        series.master.as_ref().filter(|_| !series.ranges.is_empty() && object.kind == ComponentKind::Event)
    else {
        return Ok(Vec::new());
    };
    let given = STEPS_MAX.min(*steps);
    let work = Work { series: &series, master, object, max: dates_max.max(1), steps: Cell::new(given) };
    let found = work.stretches();
    *steps -= given - work.steps.get().min(given);
    found
}

/// A regime and the keys for which it holds, as local seconds in the master's zone.
struct Reign<'a> {
    regime: &'a Regime,
    low: i64,
    high: i64,
}

impl Reign<'_> {
    fn is_own(&self) -> bool {
        self.regime.from == i64::MIN
    }
}

/// Where one instance is.
#[derive(Debug, Clone, Copy)]
struct Placed {
    /// Its start as a local second in the regime's zone.
    local: i64,
    start: Utc,
}

/// The zone and the form in which a stretch is written.
struct Frame<'a> {
    regime: &'a Regime,
    anchor: &'a Anchor,
}

impl Frame<'_> {
    fn local(&self, placed: Placed) -> i64 {
        match self.anchor.zone == self.regime.anchor.zone {
            true => placed.local,
            false => self.anchor.zone.local_of(placed.start),
        }
    }

    fn form(&self, placed: Placed) -> DateOrTime {
        self.anchor.start.at(civil::naive(self.local(placed)))
    }
}

struct Work<'a> {
    series: &'a Series,
    master: &'a Master,
    object: &'a CalendarObject,
    max: usize,
    /// What is left of those it may take.
    steps: Cell<u64>,
}

impl<'a> Work<'a> {
    fn stretches(&self) -> Result<Vec<Stretch>, String> {
        let mut found: Vec<Stretch> = Vec::new();
        for reign in self.reigns() {
            found.extend(self.stretch(&reign, found.is_empty())?);
        }
        Ok(found)
    }

    /// Takes the steps for looking through `among` items.
    fn charge(&self, among: usize) -> Result<(), String> {
        let left = self.steps.get().checked_sub(1 + (among / STEP) as u64);
        self.steps.set(left.unwrap_or_default());
        left.map(drop).ok_or_else(|| BudgetExceeded.to_string())
    }

    fn reigns(&self) -> Vec<Reign<'a>> {
        let regimes: Vec<&Regime> = std::iter::once(&self.master.regime).chain(&self.series.ranges).collect();
        let until = |index: usize| regimes.get(index + 1).map_or(i64::MAX, |next| next.from.saturating_sub(1));
        let reigns = regimes.iter().enumerate();
        let reigns = reigns.map(|(index, regime)| Reign { regime, low: regime.from, high: until(index) });
        reigns.filter(|reign| reign.low <= reign.high).collect()
    }

    fn place(&self, regime: &Regime, local: i64, key: Utc) -> Placed {
        let (local, interval) = regime.place(&self.master.regime.anchor.zone, local, key);
        Placed { local, start: interval.start }
    }

    /// Where the instance with the local key `local` is.
    fn place_local(&self, regime: &Regime, local: i64) -> Placed {
        self.place(regime, local, self.master.regime.anchor.zone.utc_of(local))
    }

    fn stretch(&self, reign: &Reign<'_>, is_first: bool) -> Result<Option<Stretch>, String> {
        let keys = self.keys(reign)?;
        let Some(first) = keys.first() else { return Ok(None) };
        let regime = reign.regime;
        let own = Frame { regime, anchor: &regime.anchor };
        let masters = Frame { regime, anchor: &self.master.regime.anchor };
        let is_timed = !own.anchor.start.is_date() && !masters.anchor.start.is_date();
        let frames = [Some(own), (is_timed && regime.anchor.zone != masters.anchor.zone).then_some(masters)];
        let mut placed: Vec<Placed> = keys.iter().map(|(local, key)| self.place(regime, *local, *key)).collect();
        placed.sort_by_key(|one| one.start);
        placed.dedup_by_key(|one| one.start);
        // A rule counts its INTERVAL from DTSTART, also if that is left out.
        let begin = if reign.is_own() { self.master.regime.anchor.local } else { first.0 };
        for frame in frames.iter().flatten() {
            let by_rule = if placed.len() == 1 { None } else { self.by_rule(reign, frame, begin)? };
            if let Some(master) = by_rule
                && self.gives(&master, &placed)?
            {
                return self.with_overrides(reign, frame, master, is_first).map(Some);
            }
        }
        let frame = Frame { regime, anchor: &regime.anchor };
        let listed = self.listed(&frame, &placed);
        self.with_overrides(reign, &frame, listed, is_first).map(Some)
    }

    fn with_overrides(
        &self,
        reign: &Reign<'_>,
        frame: &Frame<'_>,
        master: Component,
        is_first: bool,
    ) -> Result<Stretch, String> {
        self.charge(self.series.overrides.len())?;
        let low = if is_first { i64::MIN } else { reign.low };
        let mut overrides = Vec::new();
        for one in &self.series.overrides {
            let local = civil::second_of(one.recurrence_id.local());
            if !(low..=reign.high).contains(&local) || one.component == reign.regime.component {
                continue;
            }
            let mut component = self.object.calendar.components[one.component].clone();
            let placed = self.place(reign.regime, local, one.key);
            let id = if reign.is_own() { one.recurrence_id.clone() } else { frame.form(placed) };
            component.set(Property::with_date("RECURRENCE-ID", &id));
            overrides.push(component);
        }
        let from = (!is_first).then(|| self.master.form(reign.low));
        Ok(Stretch { from, master, overrides })
    }

    /// The keys of its instances, those that overrides replace included, the first `max` of them.
    fn keys(&self, reign: &Reign<'_>) -> Result<Vec<(i64, Utc)>, String> {
        let mut keys = self.keys_between(self.master, reign.low, reign.high)?;
        self.charge(self.series.overrides.len())?;
        // The range's own instance is there whether the rule gives it or not.
        let own = self.series.overrides.iter().find(|one| !reign.is_own() && one.component == reign.regime.component);
        if let Some(own) = own
            && !keys.iter().any(|(_, key)| *key == own.key)
        {
            keys.insert(0, (reign.low, own.key));
            keys.truncate(self.max);
        }
        Ok(keys)
    }

    /// The regime's component at its first instance, without anything that recurs.
    fn bare(&self, frame: &Frame<'_>, first: Placed) -> Component {
        let mut component = self.object.calendar.components[frame.regime.component].clone();
        for name in ["RECURRENCE-ID", "RRULE", "EXRULE", "RDATE", "EXDATE", "DTEND", "DURATION"] {
            component.remove(name);
        }
        let start = frame.form(first);
        component.set(Property::with_date("DTSTART", &start));
        match frame.regime.anchor.length {
            Length::Nominal(length) if start.is_date() && length.seconds == 0 => {
                let days = chrono::Days::new(length.days.unsigned_abs());
                let end = start.local().checked_add_days(days).unwrap_or_else(|| start.local());
                component.properties.push(Property::with_date("DTEND", &start.at(end)));
            }
            Length::Nominal(length) => component.properties.push(Property::new("DURATION", length.to_string())),
            Length::Exact(seconds) => component.properties.push(Property::new("DURATION", format!("PT{seconds}S"))),
        }
        component
    }

    /// The stretch as the moved rule says it; `None` if the rule cannot be moved so.
    fn by_rule(&self, reign: &Reign<'_>, frame: &Frame<'_>, begin: i64) -> Result<Option<Component>, String> {
        let first = self.place_local(frame.regime, begin);
        let days = frame.local(first).div_euclid(DAY) - begin.div_euclid(DAY);
        let mut component = self.bare(frame, first);
        let rules = [("RRULE", &self.master.rules), ("EXRULE", &self.master.exrules)];
        let own = &self.object.calendar.components[self.master.regime.component];
        let dates_len = self.master.extras.len() + self.master.exdates.len() + self.master.exdays.len();
        self.charge(own.properties.len() + dates_len)?;
        for (name, compiled) in rules {
            for (property, rule) in own.all(name).zip(compiled) {
                let until = self.bound(rule, reign.high)?.map(|last| self.until(frame, last));
                let Some(value) = moved(&property.value, days, until.as_deref()) else { return Ok(None) };
                component.properties.push(Property::new(name, value));
            }
        }
        let here = |local: &i64| (reign.low..=reign.high).contains(local);
        let zone = &self.master.regime.anchor.zone;
        let extras = self.master.extras.iter().filter(|extra| here(&extra.local) && extra.local != begin);
        let extras = extras.map(|extra| self.place(frame.regime, extra.local, extra.key));
        component.properties.extend(dates("RDATE", frame, extras));
        let excluded = self.master.exdates.iter().map(|key| (zone.local_of(*key), *key));
        let time_of_day = self.master.regime.anchor.local.rem_euclid(DAY);
        let days_off = self.master.exdays.iter().map(|day| day.saturating_mul(DAY) + time_of_day);
        let excluded = excluded.chain(days_off.map(|local| (local, zone.utc_of(local))));
        let excluded = excluded.filter(|(local, _)| here(local));
        let excluded = excluded.map(|(local, key)| self.place(frame.regime, local, key));
        component.properties.extend(dates("EXDATE", frame, excluded));
        Ok(Some(component))
    }

    /// The last local key that `rule` can have up to `high`; `None` if there is no end.
    fn bound(&self, rule: &Bounded, high: i64) -> Result<Option<i64>, String> {
        let cut = (high < i64::MAX).then_some(high);
        if rule.sequence.is_endless() {
            return Ok(cut);
        }
        let mut left = self.steps.get();
        let last = rule.sequence.last(&mut left);
        self.steps.set(left);
        let last = last.map_err(|error| error.to_string())?;
        let until = rule.until.map(|until| self.master.regime.anchor.zone.local_of(until));
        Ok([Some(last), until, cut].into_iter().flatten().min())
    }

    /// UNTIL where the local key `last` has been moved to (RFC 5545 §3.3.10).
    fn until(&self, frame: &Frame<'_>, last: i64) -> String {
        let placed = self.place_local(frame.regime, last);
        match &frame.anchor.start {
            DateOrTime::Zoned(..) | DateOrTime::Utc(_) => placed.start.to_string(),
            start => start.at(civil::naive(frame.local(placed))).to_string(),
        }
    }

    /// Whether `master` has the instances `wanted`, as far as those were counted.
    fn gives(&self, master: &Component, wanted: &[Placed]) -> Result<bool, String> {
        let kind = self.object.kind;
        let zones = self.series.zones.clone();
        let Ok(series) = Series::compile(zones, kind, Some((0, master)), []) else { return Ok(false) };
        let Some(own) = &series.master else { return Ok(false) };
        let keys = self.keys_between(own, i64::MIN, i64::MAX)?;
        Ok(keys.iter().map(|(_, key)| *key).eq(wanted.iter().map(|one| one.start)))
    }

    /// The stretch as a list of its instances.
    fn listed(&self, frame: &Frame<'_>, placed: &[Placed]) -> Component {
        let Some((first, others)) = placed.split_first() else { return Component::new("VEVENT") };
        let mut component = self.bare(frame, *first);
        component.properties.extend(dates("RDATE", frame, others.iter().copied()));
        component
    }

    /// The first `max` keys of `master` from `low` to `high`, in order, each with its local second.
    fn keys_between(&self, master: &Master, low: i64, high: i64) -> Result<Vec<(i64, Utc)>, String> {
        self.charge(master.extras.len())?;
        let first = master.extras.iter().map(|extra| extra.local).chain([master.regime.anchor.local]).min();
        let low = low.max(first.unwrap_or(low));
        let high = high.min(civil::LAST);
        let mut days = 1;
        loop {
            let end = high.min(low.saturating_add(days * DAY));
            self.charge(master.extras.len())?;
            let mut found = self.all_between(master, low, end).map_err(|error| error.to_string())?;
            if found.len() >= self.max || end >= high || days >= DAYS_MAX {
                found.truncate(self.max);
                return Ok(found);
            }
            days *= 2;
        }
    }

    fn all_between(&self, master: &Master, low: i64, high: i64) -> Result<Vec<(i64, Utc)>, BudgetExceeded> {
        let mut budget = Budget { steps: self.steps.get(), instances: self.steps.get() };
        // What fails has taken all of it.
        self.steps.set(0);
        let mut found = Vec::new();
        for extra in master.extras.iter().filter(|extra| (low..=high).contains(&extra.local)) {
            if master.is_new_extra(extra, &mut budget.steps)? {
                found.push((extra.local, extra.key));
            }
        }
        let mut take = |raw: super::expand::Raw, instances: &mut u64| {
            *instances = instances.checked_sub(1).ok_or(BudgetExceeded)?;
            found.push((raw.local, raw.key));
            Ok(ControlFlow::Continue(()))
        };
        let _ = master.visit_raw(low, high, &mut budget, &mut take)?;
        self.steps.set(budget.steps);
        found.sort_by_key(|(_, key)| *key);
        found.dedup();
        Ok(found)
    }
}

fn dates(name: &str, frame: &Frame<'_>, placed: impl Iterator<Item = Placed>) -> Option<Property> {
    let values: Vec<DateOrTime> = placed.map(|one| frame.form(one)).collect();
    let text = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    values.first().map(|first| Property { value: text, ..Property::with_date(name, first) })
}

/// The rule `value` moved by whole days, ending at `until` instead of wherever it ended; `None` if days of it cannot be
/// moved. Whether the moved rule says the same is for the caller to see.
fn moved(value: &str, days: i64, until: Option<&str>) -> Option<String> {
    let mut parts: Vec<(String, String)> =
        rule_parts(value).map(|(name, value)| (name.to_ascii_uppercase(), value.to_ascii_uppercase())).collect();
    parts.retain(|(name, _)| !matches!(name.as_str(), "UNTIL" | "COUNT"));
    if days != 0 {
        let counts_weeks = parts.iter().any(|(name, value)| name == "FREQ" && value == "WEEKLY");
        if counts_weeks && !parts.iter().any(|(name, _)| name == "WKST") {
            parts.push(("WKST".to_owned(), "MO".to_owned()));
        }
        for (name, value) in &mut parts {
            match name.as_str() {
                "BYDAY" | "WKST" => *value = each(value, |day| weekday(day, days))?,
                "BYMONTHDAY" => *value = each(value, |day| month_day(day, days))?,
                "BYYEARDAY" | "BYWEEKNO" => return None,
                _ => {}
            }
        }
    }
    parts.extend(until.map(|until| ("UNTIL".to_owned(), until.to_owned())));
    Some(parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";"))
}

fn each(value: &str, of: impl Fn(&str) -> Option<String>) -> Option<String> {
    value.split(',').map(|item| of(item.trim())).collect::<Option<Vec<_>>>().map(|items| items.join(","))
}

/// The weekday so many days later; `None` for one that is counted in its month.
fn weekday(day: &str, days: i64) -> Option<String> {
    let at = WEEKDAYS.iter().position(|name| *name == day)?;
    let moved = (i64::try_from(at).ok()? + days).rem_euclid(7);
    WEEKDAYS.get(usize::try_from(moved).ok()?).map(|name| (*name).to_owned())
}

/// The day of the month so many days later, if both are days of every month.
fn month_day(day: &str, days: i64) -> Option<String> {
    let day: i64 = day.parse().ok()?;
    let moved = day.checked_add(days)?;
    (COMMON_DAYS.contains(&day) && COMMON_DAYS.contains(&moved)).then(|| moved.to_string())
}
