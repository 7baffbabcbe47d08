//! When alarms go off (RFC 5545 §3.8.6, RFC 4791 §9.9).

use super::instances::{Instances, anchor_of};
use super::times::{after, point_in, seconds_of};
use crate::base::{Interval, Utc};
use crate::ical::{Component, DateOrTime, Duration};
use crate::recur::{Budget, BudgetExceeded, Occurrence};
use crate::zone::Zones;

/// By how much a day by the calendar can differ from 24 hours, with plenty to spare.
const DAY_SLACK: i64 = 2 * 86_400;

/// When an alarm goes off for the first time.
enum Trigger {
    /// Once, at this time, whatever its event does.
    At(Utc),
    /// So much after an end of each instance.
    After(Duration, Related),
}

/// RELATED (RFC 5545 §3.2.14).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Related {
    Start,
    End,
}

/// REPEAT and DURATION: so many times more, so many seconds apart.
#[derive(Clone, Copy)]
struct Repeats {
    count: i64,
    every: i64,
}

/// Whether `alarm` of `parent` (the component at `index`) goes off in `range`: for any instance of the parent, at its trigger or
/// at one of its repetitions.
pub(super) fn alarm_overlaps(
    alarm: &Component,
    parent: &Component,
    index: usize,
    range: Interval,
    instances: Option<Instances<'_>>,
    zones: &Zones,
    budget: &mut Budget,
) -> Result<bool, BudgetExceeded> {
    let repeats = Repeats::of(alarm);
    match (Trigger::of(alarm, zones), instances) {
        (Some(Trigger::At(at)), _) => Ok(repeats.overlap(at, range)),
        (Some(Trigger::After(offset, related)), Some(instances)) => {
            let window = repeats.window_of_anchors(offset, range);
            let fires = |o: &Occurrence| repeats.overlap(trigger_of(o, parent, offset, related, zones), range);
            instances.any_occurrence(index, window, budget, fires)
        }
        _ => Ok(false),
    }
}

impl Trigger {
    fn of(alarm: &Component, zones: &Zones) -> Option<Self> {
        let property = alarm.property("TRIGGER")?;
        if let Ok(offset) = property.duration() {
            let related = if property.param_is("RELATED", "END") { Related::End } else { Related::Start };
            return Some(Self::After(offset, related));
        }
        property.date().ok().map(|date| Self::At(zones.to_utc(&date)))
    }
}

impl Repeats {
    /// Both or neither are there (RFC 5545 §3.6.6); what is broken repeats nothing.
    fn of(alarm: &Component) -> Self {
        let count = alarm.integer("REPEAT").ok().flatten().unwrap_or(0).clamp(0, i64::from(u32::MAX));
        let every = alarm.duration("DURATION").ok().flatten().map_or(0, seconds_of);
        if every > 0 { Self { count, every } } else { Self { count: 0, every: 0 } }
    }

    fn length(self) -> i64 {
        self.count.saturating_mul(self.every)
    }

    /// Whether one of the times from `first` on is in `range`: the first of them that is not before its start, if there
    /// is one, decides.
    fn overlap(self, first: Utc, range: Interval) -> bool {
        if first >= range.start || self.every == 0 {
            return point_in(first, range);
        }
        let missed = range.start.0 - first.0;
        let n = missed / self.every + i64::from(missed % self.every != 0);
        n <= self.count && point_in(first.plus(n.saturating_mul(self.every)), range)
    }

    /// Where the start or end of an instance can be if its alarm goes off in `range`.
    fn window_of_anchors(self, offset: Duration, range: Interval) -> Interval {
        let slack = if offset.days == 0 { 0 } else { DAY_SLACK };
        let offset = seconds_of(offset);
        let earliest = offset.saturating_add(self.length()).saturating_add(slack);
        Interval::new(range.start.plus(earliest.saturating_neg()), range.end.plus(slack.saturating_sub(offset)))
    }
}

/// The first time that an alarm goes off for an instance. RFC 5545 §3.8.6.3 wants a DTSTART for RELATED=START; the examples of
/// RFC 4791 §7.8.5 have to-dos without one, whose alarm is meant from their DUE.
fn trigger_of(o: &Occurrence, parent: &Component, offset: Duration, related: Related, zones: &Zones) -> Utc {
    if related == Related::End && o.interval.start != o.interval.end {
        return after(&end_of(o, zones), offset, zones);
    }
    match parent.property("DTSTART") {
        Some(_) => after(&o.start, offset, zones),
        None => anchor_of(parent).map_or(o.interval.start, |due| after(&due, offset, zones)),
    }
}

/// The end of an instance as local time. Its zone is that of its start: two zones in one event, and a length of days in a
/// trigger, and a change of the clock between the two would all have to meet for this to matter.
fn end_of(o: &Occurrence, zones: &Zones) -> DateOrTime {
    let seconds = o.interval.end.0 - zones.to_utc(&o.start).0;
    let guess = chrono::TimeDelta::try_seconds(seconds).and_then(|d| o.start.local().checked_add_signed(d));
    let local = match &o.start {
        DateOrTime::Date(date) => DateOrTime::Floating(date.and_time(chrono::NaiveTime::MIN)),
        other => other.clone(),
    };
    let guess = local.at(guess.unwrap_or(o.start.local()));
    // A change of the clock between start and end shows as a difference, which is then taken out again.
    let wrong = o.interval.end.0 - zones.to_utc(&guess).0;
    let right = chrono::TimeDelta::try_seconds(wrong).and_then(|d| guess.local().checked_add_signed(d));
    guess.at(right.unwrap_or(guess.local()))
}
