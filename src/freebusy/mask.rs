//! Busy time as bits (invariant F1): a UTC day is 96 slots of 15 minutes, and for each kind of busy time it has two
//! masks: `any` (something touches the slot) and `full` (all of the slot is covered). Where the two are equal the
//! mask is the answer.
//!
//! What they don't tell, the ends of periods that lie inside of slots, is kept beside them: two short entries for a
//! period at most, none for the usual meeting that starts and ends on the quarter of an hour. So a calendar's
//! answer for a window is exact to the second without reading an object.

use super::periods::{BY_STRENGTH, clip, intersect, join, lay_under, merge, of_kind, union};
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};

/// Seconds in a slot.
pub const SLOT_SECONDS: i64 = 900;
/// Slots in a UTC day.
pub const DAY_SLOTS: u32 = 96;
/// Seconds in a UTC day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// A day's 96 slots, all set.
pub(super) const ALL_SLOTS: u128 = (1 << DAY_SLOTS) - 1;

/// One UTC day; bit 0 of each mask is the slot from 00:00 to 00:15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayMask {
    /// By kind: the slots that something touches.
    any: [u128; 3],
    /// By kind: the slots that are wholly covered.
    full: [u128; 3],
}

impl DayMask {
    /// The slots that something of `kind` touches.
    pub fn any(&self, kind: BusyType) -> u128 {
        self.any[plane(kind)]
    }

    /// The slots that `kind` covers wholly.
    pub fn full(&self, kind: BusyType) -> u128 {
        self.full[plane(kind)]
    }

    /// The slots that something of whatever kind touches.
    pub fn touched(&self) -> u128 {
        self.any[0] | self.any[1] | self.any[2]
    }

    /// Adds what `other` knows of the same day.
    fn add(&mut self, other: &Self) {
        (0..3).for_each(|p| self.any[p] |= other.any[p]);
        (0..3).for_each(|p| self.full[p] |= other.full[p]);
    }

    /// The slots whose kind, after the stronger ones have won, the masks alone cannot tell.
    fn unsure(&self) -> u128 {
        let mut covered = 0;
        let mut unsure = 0;
        for plane in 0..3 {
            unsure |= self.any[plane] & !self.full[plane] & !covered;
            covered |= self.full[plane];
        }
        unsure
    }

    /// The slots that are of the kind of `plane` alone, for sure.
    fn sure(&self, plane: usize) -> u128 {
        let stronger = self.full[..plane].iter().fold(0, |all, mask| all | mask);
        self.full[plane] & !stronger & !self.unsure()
    }
}

/// The days of a calendar, or of many, from the first to the last, as masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarMask {
    /// The first day, in days since 1970-01-01.
    first_day: i64,
    days: Vec<DayMask>,
    /// By kind, within the slots where its `any` and `full` differ: what of them it covers, exactly. Sorted.
    ends: [Vec<Interval>; 3],
}

/// What the masks of a window say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What is certain: merged, clipped to the window.
    pub sure: Vec<BusyPeriod>,
    /// The stretches of which the masks don't know enough: to be computed exactly.
    pub unsure: Vec<Interval>,
}

impl CalendarMask {
    /// The masks of the whole UTC days that `window` touches, filled from `periods`: what the objects contribute, in any
    /// order, overlapping or not. What lies outside of these days is left out. It takes 96 bytes a day, so the
    /// caller bounds the window (`query_window_days_max`).
    pub fn build(window: Interval, periods: impl IntoIterator<Item = BusyPeriod>) -> Self {
        let first_day = day_of(window.start);
        let count = usize::try_from((window.end.0 - 1).div_euclid(DAY_SECONDS) - first_day + 1).unwrap_or(0);
        let mut mask = Self { first_day, days: vec![DayMask::default(); count], ends: Default::default() };
        let periods = clip(periods, mask.window());
        for kind in BY_STRENGTH {
            let whole = union(of_kind(&periods, kind));
            whole.into_iter().for_each(|interval| mask.fill(interval, kind));
        }
        mask.ends.iter_mut().for_each(Vec::shrink_to_fit);
        mask
    }

    /// One mask made of `parts` that follow each other in time, such as the weeks of a calendar; `None` if there are
    /// none. A part that does not begin where the one before ends is left out, with all after it.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut all = parts.next()?.clone();
        for part in parts {
            if part.window().start != all.window().end {
                break;
            }
            all.days.extend_from_slice(&part.days);
            all.ends.iter_mut().zip(&part.ends).for_each(|(all, ends)| all.extend_from_slice(ends));
        }
        Some(all)
    }

    /// The whole days it knows.
    pub fn window(&self) -> Interval {
        let start = Utc(self.first_day * DAY_SECONDS);
        Interval { start, end: Utc(start.0 + i64::try_from(self.days.len()).unwrap_or(0) * DAY_SECONDS) }
    }

    /// Whether it knows all of `window`.
    pub fn covers(&self, window: Interval) -> bool {
        let own = self.window();
        own.start <= window.start && window.end <= own.end
    }

    /// Its days, the first of them being the one at [`CalendarMask::window`]'s start.
    pub fn days(&self) -> &[DayMask] {
        &self.days
    }

    /// The mask of the day that is `day` days after 1970-01-01, if it knows that day.
    pub fn day(&self, day: i64) -> Option<&DayMask> {
        self.days.get(usize::try_from(day - self.first_day).ok()?)
    }

    /// How many ends of periods are kept beside the masks: none to two for each.
    pub fn end_count(&self) -> usize {
        self.ends.iter().map(Vec::len).sum()
    }

    /// About how many bytes of memory it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.days) + self.end_count() * size_of::<Interval>()
    }

    /// Adds the busy time of `other`: afterwards this holds what either is busy with, for the days that both know.
    pub fn add(&mut self, other: &Self) {
        let (own, others) = (self.window(), other.window());
        let common = own.intersection(others).unwrap_or(Interval::new(own.start, own.start));
        let day_count = usize::try_from(common.seconds() / DAY_SECONDS).unwrap_or(0);
        let skip = |first_day: i64| usize::try_from(day_of(common.start) - first_day).unwrap_or(0);
        self.days.drain(..skip(self.first_day));
        self.days.truncate(day_count);
        self.first_day = day_of(common.start);
        let theirs = other.days.iter().skip(skip(other.first_day));
        self.days.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.add(theirs));
        for (mine, theirs) in self.ends.iter_mut().zip(&other.ends) {
            *mine = mine.iter().chain(theirs).filter_map(|end| end.intersection(common)).collect();
            // Two sorted stretches, which this sort only merges.
            mine.sort();
        }
    }

    /// What the masks alone say of `window`, cut to the days they know.
    pub fn answer(&self, window: Interval) -> Answer {
        let window = window.intersection(self.window()).unwrap_or(Interval::new(window.start, window.start));
        let mut sure = Vec::new();
        for (plane, kind) in BY_STRENGTH.into_iter().enumerate() {
            let runs = self.runs(window, |day| day.sure(plane));
            sure.extend(runs.into_iter().map(|interval| BusyPeriod { interval, kind }));
        }
        sure.sort_unstable();
        Answer { sure, unsure: self.runs(window, DayMask::unsure) }
    }

    /// The merged busy periods of `window`, cut to the days it knows. Exact to the second: whole slots are read from the masks, run
    /// by run, and the others from the kept ends.
    pub fn periods(&self, window: Interval) -> Vec<BusyPeriod> {
        let Some(window) = window.intersection(self.window()) else { return Vec::new() };
        BY_STRENGTH.into_iter().fold(Vec::new(), |merged, kind| lay_under(merged, &self.covered(kind, window), kind))
    }

    /// What `kind` covers of `window`, which is within what this knows: exact, sorted, apart from each other.
    fn covered(&self, kind: BusyType, window: Interval) -> Vec<Interval> {
        let plane = plane(kind);
        let (first_day, days) = self.days_of(window);
        if days.iter().all(|day| day.any[plane] == 0) {
            return Vec::new();
        }
        let mut covered = Vec::with_capacity(days.len() + self.ends[plane].len());
        let mut ends = self.ends[plane].iter().filter_map(|end| end.intersection(window)).peekable();
        each_run(days.iter().map(|day| day.full[plane]), first_day, |run| {
            let Some(run) = run.intersection(window) else { return };
            while let Some(end) = ends.next_if(|end| end.start < run.start) {
                join(&mut covered, end);
            }
            join(&mut covered, run);
        });
        ends.for_each(|end| join(&mut covered, end));
        covered
    }

    /// The stretches of `window` whose slots are set in what `mask` takes from a day. `window` is within what this knows.
    fn runs(&self, window: Interval, mask: impl Fn(&DayMask) -> u128) -> Vec<Interval> {
        let (first_day, days) = self.days_of(window);
        let mut runs = Vec::new();
        each_run(days.iter().map(mask), first_day, |run| runs.extend(run.intersection(window)));
        runs
    }

    /// The days that `window`, which is within what this knows, touches, and the number of the first.
    fn days_of(&self, window: Interval) -> (i64, &[DayMask]) {
        let first_day = day_of(window.start);
        let index = |day: i64| usize::try_from(day - self.first_day).unwrap_or(0);
        let to = if window.start < window.end { index(day_of(Utc(window.end.0 - 1)) + 1) } else { 0 };
        (first_day, self.days.get(index(first_day)..to).unwrap_or_default())
    }

    fn fill(&mut self, interval: Interval, kind: BusyType) {
        let plane = plane(kind);
        let (first, last) = (slot_of(interval.start), slot_of(Utc(interval.end.0 - 1)));
        let full_from = slot_of(Utc(interval.start.0 + SLOT_SECONDS - 1));
        let full_to = slot_of(interval.end);
        self.set(first, last + 1, |day, bits| day.any[plane] |= bits);
        self.set(full_from, full_to, |day, bits| day.full[plane] |= bits);
        let whole = Interval::new(slot_start(full_from), slot_start(full_to));
        let ends = if full_from < full_to {
            [Interval::new(interval.start, whole.start), Interval::new(whole.end, interval.end)]
        } else {
            [interval, Interval::new(interval.end, interval.end)]
        };
        self.ends[plane].extend(ends.into_iter().filter(|end| end.start < end.end));
    }

    /// Applies `set` to the days of the slots from `from` up to, not including, `to`; both since 1970.
    fn set(&mut self, from: i64, to: i64, set: impl Fn(&mut DayMask, u128)) {
        let slots = i64::from(DAY_SLOTS);
        let mut slot = from;
        while slot < to {
            let day = slot.div_euclid(slots);
            let day_end = (day + 1) * slots;
            let bits = range_bits(slot.rem_euclid(slots), to.min(day_end) - day * slots);
            if let Some(mask) = usize::try_from(day - self.first_day).ok().and_then(|i| self.days.get_mut(i)) {
                set(mask, bits);
            }
            slot = day_end;
        }
    }
}

impl Answer {
    /// The merged periods, the stretches of which the masks were not sure being computed from `contributions`: those of
    /// all objects that touch them.
    pub fn refine(self, contributions: impl IntoIterator<Item = BusyPeriod>) -> Vec<BusyPeriod> {
        let contributions: Vec<BusyPeriod> = contributions.into_iter().collect();
        let mut all = self.sure;
        for kind in BY_STRENGTH {
            let own = union(of_kind(&contributions, kind));
            all.extend(intersect(&own, &self.unsure).into_iter().map(|interval| BusyPeriod { interval, kind }));
        }
        merge(all)
    }
}

/// The merged busy periods of `window` that `parts` know: masks that follow each other in time, such as the weeks of a calendar.
pub fn periods_of<'a>(parts: impl IntoIterator<Item = &'a CalendarMask>, window: Interval) -> Vec<BusyPeriod> {
    let mut all: Vec<BusyPeriod> = Vec::new();
    for part in parts {
        let mut more = part.periods(window).into_iter().peekable();
        if let Some(last) = all.last_mut()
            && let Some(next) = more.next_if(|next| next.kind == last.kind && next.interval.start == last.interval.end)
        {
            last.interval.end = next.interval.end;
        }
        all.extend(more);
    }
    all
}

/// Gives `found` each run of set bits in `days`, the first of which is `first_day`, in order; a run goes on over midnight.
pub(super) fn each_run(days: impl Iterator<Item = u128>, first_day: i64, mut found: impl FnMut(Interval)) {
    let mut midnight = Utc(first_day * DAY_SECONDS);
    let mut last_slot = 0;
    let mut open = None;
    for bits in days {
        // Where a slot differs from the one before it: a run begins or ends there.
        let edges = (bits ^ (bits << 1 | last_slot)) & ALL_SLOTS;
        last_slot = bits >> (DAY_SLOTS - 1) & 1;
        for (first_slot, mut word) in [(0, edges as u64), (64, (edges >> 64) as u64)] {
            while word != 0 {
                let slot = first_slot + i64::from(word.trailing_zeros());
                word &= word - 1;
                let at = Utc(midnight.0 + slot * SLOT_SECONDS);
                match open.take() {
                    None => open = Some(at),
                    Some(start) => found(Interval { start, end: at }),
                }
            }
        }
        midnight.0 += DAY_SECONDS;
    }
    if let Some(start) = open {
        found(Interval { start, end: midnight });
    }
}

/// The bits from `from` up to, not including, `to`; both at most 96.
pub(super) fn range_bits(from: i64, to: i64) -> u128 {
    (ALL_SLOTS >> (i64::from(DAY_SLOTS) - to)) & (ALL_SLOTS << from)
}

pub(super) fn day_of(utc: Utc) -> i64 {
    utc.0.div_euclid(DAY_SECONDS)
}

pub(super) fn slot_of(utc: Utc) -> i64 {
    utc.0.div_euclid(SLOT_SECONDS)
}

fn slot_start(slot: i64) -> Utc {
    Utc(slot * SLOT_SECONDS)
}

fn plane(kind: BusyType) -> usize {
    match kind {
        BusyType::Busy => 0,
        BusyType::Unavailable => 1,
        BusyType::Tentative => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_0: i64 = 20_000;

    fn at(day: i64, hour: i64, minute: i64, second: i64) -> Utc {
        Utc((DAY_0 + day) * DAY_SECONDS + hour * 3600 + minute * 60 + second)
    }

    fn busy(start: Utc, end: Utc, kind: BusyType) -> BusyPeriod {
        BusyPeriod { interval: Interval::new(start, end), kind }
    }

    fn days(count: i64) -> Interval {
        Interval::new(at(0, 0, 0, 0), at(count, 0, 0, 0))
    }

    #[test]
    fn a_meeting_on_the_quarter_needs_no_ends() {
        let meeting = busy(at(0, 9, 15, 0), at(0, 10, 0, 0), BusyType::Busy);
        let mask = CalendarMask::build(days(1), [meeting]);
        assert_eq!(mask.days()[0].any(BusyType::Busy), 0b111 << 37);
        assert_eq!(mask.days()[0].full(BusyType::Busy), 0b111 << 37);
        assert_eq!(mask.answer(days(1)), Answer { sure: vec![meeting], unsure: vec![] });
    }

    #[test]
    fn a_meeting_inside_of_a_slot_is_listed_as_unsure_and_still_known() {
        let meeting = busy(at(0, 9, 20, 0), at(0, 9, 25, 1), BusyType::Tentative);
        let mask = CalendarMask::build(days(1), [meeting]);
        let answer = mask.answer(days(1));
        assert_eq!(answer.sure, []);
        assert_eq!(answer.unsure, [Interval::new(at(0, 9, 15, 0), at(0, 9, 30, 0))]);
        assert_eq!(answer.refine([meeting]), [meeting]);
        assert_eq!(mask.periods(days(1)), [meeting]);
    }

    #[test]
    fn periods_over_midnight_and_over_many_days_are_one() {
        let long = busy(at(0, 22, 7, 0), at(3, 1, 0, 5), BusyType::Busy);
        let mask = CalendarMask::build(days(5), [long]);
        assert_eq!(mask.days()[1].full(BusyType::Busy), ALL_SLOTS);
        assert_eq!(mask.periods(days(5)), [long]);
        let part = Interval::new(at(1, 3, 1, 0), at(2, 4, 0, 59));
        assert_eq!(mask.periods(part), [busy(part.start, part.end, BusyType::Busy)]);
    }

    #[test]
    fn a_slot_covered_by_a_stronger_kind_needs_no_refinement() {
        let periods = [
            busy(at(0, 9, 0, 0), at(0, 9, 15, 0), BusyType::Busy),
            busy(at(0, 9, 5, 0), at(0, 9, 10, 0), BusyType::Tentative),
        ];
        let mask = CalendarMask::build(days(1), periods);
        assert_eq!(mask.answer(days(1)), Answer { sure: vec![periods[0]], unsure: vec![] });
    }

    #[test]
    fn an_empty_window_and_an_empty_calendar_are_free() {
        let mask = CalendarMask::build(days(0), []);
        assert_eq!(mask.periods(days(3)), []);
        let mask = CalendarMask::build(days(2), []);
        assert_eq!(mask.periods(Interval::new(at(1, 0, 0, 0), at(1, 0, 0, 0))), []);
        assert!(mask.covers(days(2)) && !mask.covers(days(3)));
    }

    fn periods() -> impl Strategy<Value = Vec<BusyPeriod>> {
        let minutes = prop::sample::select(vec![0_i64, 900, 1800, 450, 60, 899, 1]);
        let one = (0..60_i64, minutes, 0..400_i64, prop::sample::select(vec![900_i64, 60, 1, 0, 3600]), 0..3_usize);
        let one = one.prop_map(|(hour, offset, units, unit, kind)| {
            let start = Utc(at(0, 0, 0, 0).0 - 6 * 3600 + hour * 3600 + offset);
            busy(start, Utc(start.0 + units * unit), BY_STRENGTH[kind])
        });
        prop::collection::vec(one, 0..25)
    }

    fn windows() -> impl Strategy<Value = Interval> {
        (0..DAY_SECONDS, 1..DAY_SECONDS).prop_map(|(from, length)| {
            let start = Utc(at(0, 0, 0, 0).0 + from);
            Interval::new(start, Utc(start.0 + length))
        })
    }

    proptest! {
        #[test]
        fn masks_say_what_intervals_say(periods in periods(), window in windows()) {
            let plain = merge(clip(periods.clone(), window));
            let mask = CalendarMask::build(days(2), periods.clone());
            prop_assert_eq!(mask.periods(window), plain.clone());
            prop_assert_eq!(mask.answer(window).refine(clip(periods, window)), plain);
        }

        #[test]
        fn masks_that_follow_each_other_say_what_one_says(periods in periods(), window in windows(), cut in 1..2_i64) {
            let whole = CalendarMask::build(days(3), periods.clone());
            let days_from = |from, to| Interval::new(at(from, 0, 0, 0), at(to, 0, 0, 0));
            let parts = [days_from(0, cut), days_from(cut, 3)].map(|part| CalendarMask::build(part, periods.clone()));
            prop_assert_eq!(periods_of(&parts, window), whole.periods(window));
        }

        #[test]
        fn adding_masks_adds_calendars(a in periods(), b in periods(), window in windows()) {
            let mut mask = CalendarMask::build(days(2), a.clone());
            mask.add(&CalendarMask::build(Interval::new(at(-3, 0, 0, 0), at(7, 0, 0, 0)), b.clone()));
            let both: Vec<BusyPeriod> = a.into_iter().chain(b).collect();
            prop_assert_eq!(mask.periods(window), merge(clip(both, window)));
        }

        #[test]
        fn joined_days_are_what_was_built_in_one(periods in periods(), window in windows()) {
            let day = |n| CalendarMask::build(Interval::new(at(n, 0, 0, 0), at(n + 1, 0, 0, 0)), periods.clone());
            let joined = CalendarMask::join(&[day(0), day(1)]).expect("two parts");
            prop_assert_eq!(joined.window(), days(2));
            let whole = CalendarMask::build(days(2), periods.clone());
            prop_assert_eq!(joined.periods(window), whole.periods(window));
            prop_assert_eq!(CalendarMask::join(&[day(0), day(2)]).expect("a part").window(), days(1));
        }

        #[test]
        fn full_is_part_of_any(periods in periods()) {
            for day in CalendarMask::build(days(2), periods).days() {
                for kind in BY_STRENGTH {
                    prop_assert_eq!(day.full(kind) & !day.any(kind), 0);
                    prop_assert_eq!(day.any(kind) & !ALL_SLOTS, 0);
                }
            }
        }
    }
}
