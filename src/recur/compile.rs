//! From a calendar object to a [`Series`]: rules parsed, zones resolved, exceptions indexed.

use super::Span;
use super::length::{Anchor, Length};
use crate::base::{Interval, Utc};
use crate::ical::{CalendarObject, Component, ComponentKind, DateOrTime, PeriodEnd};
use crate::rule::civil::{self, DAY};
use crate::rule::{Frequency, Rule, Sequence, Until};
use crate::zone::{Zone, Zones};

/// Counting a COUNT to its end for a span may take so many steps; beyond that the span is open.
const SPAN_STEPS_MAX: u64 = 20_000;
/// The same for all rules of an object together.
const SERIES_STEPS_MAX: u64 = 200_000;

/// An object's recurrence, compiled once: rules parsed, zones resolved, overrides indexed.
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) zones: Zones,
    pub(super) master: Option<Master>,
    /// In the order of their keys.
    pub(super) overrides: Vec<Exception>,
    /// The overrides with RANGE=THISANDFUTURE, in the order of their keys.
    pub(super) ranges: Vec<Regime>,
    /// What does not recur and has no start of its own: the periods of a VFREEBUSY, a VAVAILABILITY's bounds.
    pub(super) fixed: Vec<(Interval, usize)>,
}

/// The component that recurs.
#[derive(Debug, Clone)]
pub(super) struct Master {
    /// Its own start, and how its occurrences come to be where no override changes them.
    pub regime: Regime,
    pub rules: Vec<Bounded>,
    /// RDATE, in the order of their keys.
    pub extras: Vec<Extra>,
    /// The seconds of the longest PERIOD among them.
    pub extra_seconds_max: i64,
    /// EXRULE, which RFC 5545 no longer has but old data does.
    pub exrules: Vec<Bounded>,
    /// EXDATE: keys, in order.
    pub exdates: Vec<Utc>,
    /// EXDATE of type DATE: days in the master's zone, in order.
    pub exdays: Vec<i64>,
    pub is_recurring: bool,
}

/// A rule applied to DTSTART.
#[derive(Debug, Clone)]
pub(super) struct Bounded {
    pub sequence: Sequence,
    /// UNTIL where it must be compared in UTC.
    pub until: Option<Utc>,
}

/// One RDATE.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    pub key: Utc,
    /// The key as a local second in the master's zone.
    pub local: i64,
    /// The length of a PERIOD.
    pub length: Option<Length>,
}

/// One override, as an occurrence of its own.
#[derive(Debug, Clone)]
pub(super) struct Exception {
    pub key: Utc,
    pub recurrence_id: DateOrTime,
    pub start: DateOrTime,
    pub interval: Interval,
    pub component: usize,
}

/// From a key on: how instances come to be from what the rule gives.
#[derive(Debug, Clone)]
pub(super) struct Regime {
    /// The first key it holds for, as a local second in the master's zone.
    pub from: i64,
    /// What is added to the rule's time.
    pub shift: i64,
    pub anchor: Anchor,
    pub component: usize,
}

impl Series {
    /// Compiles `object`, floating and all-day values being read in `floating`.
    ///
    /// # Errors
    /// What is wrong with a rule or a date, for a person.
    pub fn new(object: &CalendarObject, floating: &Zone) -> Result<Self, String> {
        let components = &object.calendar.components;
        let master = object.master.and_then(|index| Some((index, components.get(index)?)));
        let overrides = object
            .overrides
            .iter()
            .filter_map(|o| Some((o.index, components.get(o.index)?, o.recurrence_id.clone(), o.this_and_future)));
        Self::compile(Zones::of(&object.calendar, floating), object.kind, master, overrides)
    }

    pub(super) fn compile<'a>(
        zones: Zones,
        kind: ComponentKind,
        master: Option<(usize, &Component)>,
        overrides: impl IntoIterator<Item = (usize, &'a Component, DateOrTime, bool)>,
    ) -> Result<Self, String> {
        let mut series = Self { zones, master: None, overrides: Vec::new(), ranges: Vec::new(), fixed: Vec::new() };
        if let Some((index, component)) = master {
            series.add_master(index, component, kind)?;
        }
        for (index, component, id, this_and_future) in overrides {
            series.add_override(index, component, kind, id, this_and_future)?;
        }
        series.overrides.sort_by_key(|exception| exception.key);
        series.ranges.sort_by_key(|range| range.from);
        Ok(series)
    }

    fn add_master(&mut self, index: usize, component: &Component, kind: ComponentKind) -> Result<(), String> {
        let anchor = match kind {
            ComponentKind::Availability => None,
            _ => Anchor::of(component, kind, &self.zones).map_err(|error| error.to_string())?,
        };
        let Some(anchor) = anchor else {
            self.fixed = unanchored(component, kind, &self.zones)?.into_iter().map(|i| (i, index)).collect();
            return Ok(());
        };
        let regime = Regime { from: i64::MIN, shift: 0, anchor, component: index };
        self.master = Some(Master::new(regime, component, &self.zones)?);
        Ok(())
    }

    fn add_override(
        &mut self,
        index: usize,
        component: &Component,
        kind: ComponentKind,
        id: DateOrTime,
        this_and_future: bool,
    ) -> Result<(), String> {
        let (key, local, recurrence_id) = match &self.master {
            Some(master) => {
                let (key, local) = master.key_of(&id, &self.zones);
                (key, local, master.form(local))
            }
            None => (self.zones.to_utc(&id), civil::second_of(id.local()), id),
        };
        let is_excluded = self.master.as_ref().is_some_and(|master| master.excludes(key, local));
        let own = Anchor::of(component, kind, &self.zones).map_err(|error| error.to_string())?;
        let anchor = own.unwrap_or_else(|| {
            let length = self.master.as_ref().map_or(Length::ZERO, |master| master.regime.anchor.length);
            Anchor::at(recurrence_id.clone(), length, &self.zones)
        });
        if !is_excluded {
            self.overrides.push(Exception {
                key,
                recurrence_id,
                start: anchor.start.clone(),
                interval: Interval::new(anchor.utc, anchor.end()),
                component: index,
            });
        }
        if let (Some(master), true) = (&self.master, this_and_future) {
            let as_keyed = if anchor.zone == master.regime.anchor.zone { local } else { anchor.zone.local_of(key) };
            self.ranges.push(Regime { from: local, shift: anchor.local - as_keyed, anchor, component: index });
        }
        Ok(())
    }

    /// The span of the whole series. Never counts through a long series.
    pub fn span(&self) -> Option<Span> {
        let fixed = self.fixed.iter().map(|(interval, _)| *interval);
        let ones = self.overrides.iter().map(|exception| exception.interval).chain(fixed);
        let mut span: Option<Span> = None;
        let mut add = |start: Utc, end: Option<Utc>| {
            let before = span.unwrap_or(Span { start, end });
            span = Some(Span { start: before.start.min(start), end: before.end.zip(end).map(|(a, b)| a.max(b)) });
        };
        ones.for_each(|one| add(one.start, Some(one.end)));
        if let Some(master) = &self.master {
            let anchor = &master.regime.anchor;
            add(anchor.utc, Some(anchor.end()));
            for extra in &master.extras {
                let interval = self.place_extra(master, extra);
                add(interval.start, Some(interval.end));
            }
            let mut steps = SERIES_STEPS_MAX;
            for rule in &master.rules {
                add(anchor.utc, self.last_end(master, rule, &mut steps));
            }
            // The first of a range may be excluded, and what it moves lies behind it all the same.
            for Regime { anchor, .. } in &self.ranges {
                add(anchor.utc, Some(anchor.end()));
            }
        }
        span
    }

    fn place_extra(&self, master: &Master, extra: &Extra) -> Interval {
        let regime = self.ranges.iter().rev().find(|range| range.from <= extra.local).unwrap_or(&master.regime);
        regime.place_extra(&master.regime.anchor.zone, extra)
    }

    /// An end that nothing of `rule` passes; `None` if it is endless or too long to count. `steps` are left for all rules.
    fn last_end(&self, master: &Master, rule: &Bounded, steps: &mut u64) -> Option<Utc> {
        if rule.sequence.is_endless() {
            return None;
        }
        let given = SPAN_STEPS_MAX.min(*steps);
        let mut left = given;
        let last = rule.sequence.last(&mut left);
        *steps -= given - left;
        let last = last.ok()?.max(rule.sequence.start());
        if last >= civil::LAST {
            return None;
        }
        let zone = &master.regime.anchor.zone;
        let key = match rule.until {
            Some(until) => zone.utc_of(last).min(until.max(master.regime.anchor.utc)),
            None => zone.utc_of(last),
        };
        let ends = std::iter::once(&master.regime).chain(&self.ranges).map(|regime| {
            let (_, interval) = regime.place(zone, last.max(regime.from), key);
            interval.end
        });
        ends.max()
    }

    /// The key of the instance that `id`, a RECURRENCE-ID in whatever form, names.
    pub fn key_of(&self, id: &DateOrTime) -> Utc {
        self.master.as_ref().map_or_else(|| self.zones.to_utc(id), |master| master.key_of(id, &self.zones).0)
    }

    /// Whether it has RRULE or RDATE.
    pub fn is_recurring(&self) -> bool {
        self.master.as_ref().is_some_and(|master| master.is_recurring)
    }

    /// The zones of the object.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }
}

impl Regime {
    /// Where the instance is whose key is `key` and the local second `local` in the master's zone: its start as a
    /// local second in the anchor's zone, and its interval.
    pub fn place(&self, master_zone: &Zone, local: i64, key: Utc) -> (i64, Interval) {
        let anchor = &self.anchor;
        if self.shift == 0 && self.from == i64::MIN {
            return (local, Interval::new(key, anchor.length.end(&anchor.zone, local, key)));
        }
        let keyed = if anchor.zone == *master_zone { local } else { anchor.zone.local_of(key) };
        let shifted = (keyed + self.shift).clamp(civil::FIRST, civil::LAST);
        let start_local = if anchor.start.is_date() { shifted.div_euclid(DAY) * DAY } else { shifted };
        let start = anchor.zone.utc_of(start_local);
        (start_local, Interval::new(start, anchor.length.end(&anchor.zone, start_local, start)))
    }
}

impl Regime {
    /// As [`Regime::place`], with the length of a PERIOD.
    pub fn place_extra(&self, master_zone: &Zone, extra: &Extra) -> Interval {
        let (local, interval) = self.place(master_zone, extra.local, extra.key);
        match extra.length {
            Some(length) => Interval::new(interval.start, length.end(&self.anchor.zone, local, interval.start)),
            None => interval,
        }
    }
}

impl Master {
    fn new(regime: Regime, component: &Component, zones: &Zones) -> Result<Self, String> {
        let mut master = Self {
            regime,
            rules: Vec::new(),
            extras: Vec::new(),
            extra_seconds_max: 0,
            exrules: Vec::new(),
            exdates: Vec::new(),
            exdays: Vec::new(),
            is_recurring: false,
        };
        for property in &component.properties {
            if property.is("RRULE") {
                let rule = master.bounded(&property.value)?;
                master.rules.push(rule);
            } else if property.is("EXRULE") {
                let rule = master.bounded(&property.value)?;
                master.exrules.push(rule);
            } else if property.is("RDATE") {
                master.add_rdate(property, zones).map_err(|error| error.to_string())?;
            } else if property.is("EXDATE") {
                for date in property.dates().map_err(|error| error.to_string())? {
                    master.exclude(&date, zones);
                }
            }
        }
        master.is_recurring = !master.rules.is_empty() || !master.extras.is_empty();
        master.extras.sort_by_key(|extra| extra.key);
        let lengths = master.extras.iter().filter_map(|extra| extra.length);
        master.extra_seconds_max = lengths.map(Length::seconds).max().unwrap_or(0);
        master.exdates.sort_unstable();
        master.exdays.sort_unstable();
        Ok(master)
    }

    fn bounded(&self, text: &str) -> Result<Bounded, String> {
        let mut rule: Rule = text.parse().map_err(|error: crate::rule::InvalidRule| error.to_string())?;
        let anchor = &self.regime.anchor;
        if anchor.start.is_date() {
            if rule.freq < Frequency::Daily {
                return Err("RRULE: a FREQ below DAILY needs a DTSTART with a time of day".to_owned());
            }
            (rule.hours, rule.minutes, rule.seconds) = (0, 0, 0);
        }
        let mut until = None;
        rule.until = match (rule.until, &anchor.start) {
            (Some(Until::Utc(second) | Until::Local(second)), DateOrTime::Date(_)) => {
                Some(Until::Day(second.div_euclid(DAY)))
            }
            (Some(Until::Utc(second)), DateOrTime::Zoned(..)) => {
                until = Some(Utc(second));
                Some(Until::Local(anchor.zone.local_of(Utc(second)) + anchor.zone.change_max()))
            }
            (other, _) => other,
        };
        Ok(Bounded { sequence: Sequence::new(&rule, anchor.local), until })
    }

    fn add_rdate(&mut self, property: &crate::ical::Property, zones: &Zones) -> Result<(), crate::ical::ValueError> {
        let is_period = property.value_is("PERIOD") || property.value.contains('/');
        if !is_period {
            for date in property.dates()? {
                let (key, local) = self.key_of(&date, zones);
                self.extras.push(Extra { key, local, length: None });
            }
            return Ok(());
        }
        for period in property.periods()? {
            let (key, local) = self.key_of(&period.start, zones);
            let length = match &period.end {
                PeriodEnd::At(end) => Length::Exact((self.regime.anchor.utc_of(end, zones).0 - key.0).max(0)),
                PeriodEnd::After(length) => Length::Nominal(*length),
            };
            self.extras.push(Extra { key, local, length: Some(length) });
        }
        Ok(())
    }

    fn exclude(&mut self, date: &DateOrTime, zones: &Zones) {
        match (date, &self.regime.anchor.start) {
            // Against a DATE, and as a DATE against a time, the day decides.
            (_, DateOrTime::Date(_)) | (DateOrTime::Date(_), _) => self.exdays.push(civil::day_of(date.date())),
            _ => {
                let (key, _) = self.key_of(date, zones);
                self.exdates.push(key);
            }
        }
    }

    /// The key that `id` names, and the same as a local second in the master's zone. Where one is a DATE and the
    /// other is not, the day is what both have: a DATE takes DTSTART's time of day, a time loses its own. A floating time goes by DTSTART's clock.
    pub fn key_of(&self, id: &DateOrTime, zones: &Zones) -> (Utc, i64) {
        let anchor = &self.regime.anchor;
        let written = civil::second_of(id.local()).clamp(civil::FIRST, civil::LAST);
        let day = written.div_euclid(DAY) * DAY;
        let local = match (id, &anchor.start) {
            (_, DateOrTime::Date(_)) => day,
            (DateOrTime::Date(_), _) => day + anchor.local.rem_euclid(DAY),
            // A forgotten TZID or Z: the clock that is meant is DTSTART's.
            (DateOrTime::Floating(_), _) => written,
            _ => {
                let zone = zones.zone_of(id);
                if zone == anchor.zone {
                    written
                } else {
                    let key = zone.utc_of(written);
                    return (key, anchor.zone.local_of(key));
                }
            }
        };
        (anchor.zone.utc_of(local), local)
    }

    /// The local second `local` in the form of DTSTART.
    pub fn form(&self, local: i64) -> DateOrTime {
        self.regime.anchor.start.at(civil::naive(local))
    }

    /// Whether EXDATE takes the instance away.
    pub fn excludes(&self, key: Utc, local: i64) -> bool {
        self.exdates.binary_search(&key).is_ok() || self.exdays.binary_search(&local.div_euclid(DAY)).is_ok()
    }
}

/// The intervals of a component that has no DTSTART to recur from.
fn unanchored(component: &Component, kind: ComponentKind, zones: &Zones) -> Result<Vec<Interval>, String> {
    match kind {
        ComponentKind::Availability => availability(component, zones).map(|interval| vec![interval]),
        ComponentKind::FreeBusy => {
            let mut intervals = Vec::new();
            for property in component.all("FREEBUSY") {
                for period in property.periods().map_err(|error| error.to_string())? {
                    let anchor = Anchor::at(period.start, Length::ZERO, zones);
                    let length = match &period.end {
                        PeriodEnd::At(end) => anchor.until(end, zones),
                        PeriodEnd::After(length) => Length::Nominal(*length),
                    };
                    intervals.push(Interval::new(anchor.utc, length.end(&anchor.zone, anchor.local, anchor.utc)));
                }
            }
            Ok(intervals)
        }
        _ => Ok(Vec::new()),
    }
}

/// RFC 7953 §3.1: without DTSTART it has always held, without an end it holds for ever.
fn availability(component: &Component, zones: &Zones) -> Result<Interval, String> {
    let text = |error: crate::ical::ValueError| error.to_string();
    let Some(start) = component.date("DTSTART").map_err(text)? else {
        let end = component.date("DTEND").map_err(text)?;
        return Ok(Interval::new(Utc::MIN, end.map_or(Utc::MAX, |end| zones.to_utc(&end))));
    };
    let is_open = component.property("DTEND").is_none() && component.property("DURATION").is_none();
    let anchor = Anchor::of(component, ComponentKind::Availability, zones).map_err(text)?;
    let end = anchor.filter(|_| !is_open).map_or(Utc::MAX, |anchor| anchor.end());
    Ok(Interval::new(zones.to_utc(&start), end))
}
