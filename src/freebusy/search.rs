//! Meeting search (invariant F3): when are all of these people free? OR over masks; no object is asked. A slot that anything
//! touches is not free, so what is found is right, and only gaps shorter than two slots can go unseen.

use super::BusyType;
use super::mask::{ALL_SLOTS, CalendarMask, DAY_SECONDS, SLOT_SECONDS, day_of, each_run};
use crate::base::{Interval, Utc};

/// Whether time that is only tentatively busy, or outside of working hours, may be used for a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blocking {
    /// Every kind of busy time stands in the way.
    #[default]
    All,
    /// Only BUSY and BUSY-UNAVAILABLE do.
    TentativeIsFree,
}

/// The stretches of `window` in which nobody has anything, in whole slots of 15 minutes. What a mask does not
/// know counts as busy; with no masks all of the window is free.
pub fn free_slots(masks: &[&CalendarMask], window: Interval, blocking: Blocking) -> Vec<Interval> {
    let Some(window) = whole_slots(known_to_all(masks, window)) else { return Vec::new() };
    let free = busy_days(masks, window, blocking).into_iter().map(|bits| !bits & ALL_SLOTS);
    let mut stretches = Vec::new();
    each_run(free, day_of(window.start), |run| stretches.extend(run.intersection(window)));
    stretches
}

/// The meetings of `duration` seconds that everybody has time for, in order: each starts a whole number of `step`
/// seconds after the start of `window` (rounded up to a slot of 15 minutes). A duration or step of less than a slot
/// counts as a slot.
pub fn common_free(
    masks: &[&CalendarMask],
    window: Interval,
    duration: i64,
    step: i64,
    blocking: Blocking,
) -> Vec<Interval> {
    let (duration, step) = (duration.max(SLOT_SECONDS), step.max(SLOT_SECONDS));
    let origin = round_up(window.start.0);
    let mut found = Vec::new();
    for free in free_slots(masks, window, blocking) {
        let first = origin + (free.start.0 - origin + step - 1).div_euclid(step) * step;
        // Each step is at least a slot, so there are at most as many as the window has slots.
        let starts = (0..).map(|n| first + n * step).take_while(|start| start + duration <= free.end.0);
        found.extend(starts.map(|start| Interval { start: Utc(start), end: Utc(start + duration) }));
    }
    found
}

/// For each day of `window` the slots in which anybody is busy.
fn busy_days(masks: &[&CalendarMask], window: Interval, blocking: Blocking) -> Vec<u128> {
    let (first, last) = (day_of(window.start), day_of(Utc(window.end.0 - 1)));
    let mut busy = vec![0_u128; usize::try_from(last - first + 1).unwrap_or(0)];
    for mask in masks {
        let skip = usize::try_from(first - day_of(mask.window().start)).unwrap_or(0);
        for (all, day) in busy.iter_mut().zip(mask.days().iter().skip(skip)) {
            *all |= match blocking {
                Blocking::All => day.touched(),
                Blocking::TentativeIsFree => day.any(BusyType::Busy) | day.any(BusyType::Unavailable),
            };
        }
    }
    busy
}

/// The part of `window` that all masks know; a point if there is none.
fn known_to_all(masks: &[&CalendarMask], window: Interval) -> Interval {
    let point = Interval::new(window.start, window.start);
    masks.iter().fold(window, |known, mask| known.intersection(mask.window()).unwrap_or(point))
}

fn whole_slots(window: Interval) -> Option<Interval> {
    let (start, end) = (round_up(window.start.0), window.end.0.div_euclid(SLOT_SECONDS) * SLOT_SECONDS);
    (start < end).then_some(Interval { start: Utc(start), end: Utc(end) })
}

fn round_up(seconds: i64) -> i64 {
    debug_assert_eq!(DAY_SECONDS % SLOT_SECONDS, 0, "days begin on slots");
    (seconds + SLOT_SECONDS - 1).div_euclid(SLOT_SECONDS) * SLOT_SECONDS
}

#[cfg(test)]
mod tests {
    use super::super::BusyPeriod;
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3600;

    fn hours(start: i64, end: i64) -> Interval {
        Interval::new(Utc(start * HOUR), Utc(end * HOUR))
    }

    fn person(window: Interval, busy: &[(i64, i64, BusyType)]) -> CalendarMask {
        let period = |&(start, end, kind): &(i64, i64, BusyType)| BusyPeriod { interval: hours(start, end), kind };
        CalendarMask::build(window, busy.iter().map(period))
    }

    #[test]
    fn the_common_gap_of_two_people_is_found() {
        use BusyType::{Busy, Tentative};
        let day = hours(0, 24);
        let a = person(day, &[(0, 9, Busy), (10, 13, Busy), (14, 24, Busy)]);
        let b = person(day, &[(0, 8, Busy), (13, 15, Tentative), (17, 24, Busy)]);
        let both = [&a, &b];
        assert_eq!(free_slots(&both, day, Blocking::All), [hours(9, 10)]);
        assert_eq!(free_slots(&both, day, Blocking::TentativeIsFree), [hours(9, 10), hours(13, 14)]);
        let half_hours = common_free(&both, day, HOUR / 2, HOUR / 2, Blocking::All);
        let expected = [18, 19].map(|n| Interval::new(Utc(n * HOUR / 2), Utc((n + 1) * HOUR / 2)));
        assert_eq!(half_hours, expected);
        assert_eq!(common_free(&both, day, 2 * HOUR, HOUR, Blocking::All), []);
    }

    #[test]
    fn what_is_not_known_is_not_free() {
        let known = person(hours(24, 48), &[]);
        assert_eq!(free_slots(&[&known], hours(0, 72), Blocking::All), [hours(24, 48)]);
        assert_eq!(free_slots(&[&known], hours(72, 96), Blocking::All), []);
        assert_eq!(free_slots(&[], hours(1, 2), Blocking::All), [hours(1, 2)]);
    }

    proptest! {
        #[test]
        fn what_is_found_is_free_and_nothing_is_missed(
            busy in prop::collection::vec(prop::collection::vec((0..190_i64, 1..12_i64), 0..6), 1..5),
            from in 0..40_i64, length in 1..160_i64, duration in 1..6_i64, step in 1..5_i64,
        ) {
            let all = Interval::new(Utc(0), Utc(3 * DAY_SECONDS));
            let quarter = |(start, length): &(i64, i64)| Interval::new(Utc(start * 900), Utc((start + length) * 900));
            let people: Vec<CalendarMask> = busy.iter()
                .map(|one| CalendarMask::build(all, one.iter().map(|p| BusyPeriod { interval: quarter(p), kind: BusyType::Busy })))
                .collect();
            let masks: Vec<&CalendarMask> = people.iter().collect();
            let window = Interval::new(Utc(from * 900), Utc((from + length) * 900));
            let found = common_free(&masks, window, duration * 900, step * 900, Blocking::All);
            let free = |m: &Interval| busy.iter().flatten().all(|p| !quarter(p).overlaps(*m));
            let expected: Vec<Interval> = (0..)
                .map(|n| Interval::new(Utc((from + n * step) * 900), Utc((from + n * step + duration) * 900)))
                .take_while(|m| m.end <= window.end)
                .filter(free)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
