//! Arithmetic on busy periods: merging, clipping, cutting out.

use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};

/// Strongest first: where two kinds overlap, the earlier one wins.
pub(super) const BY_STRENGTH: [BusyType; 3] = [BusyType::Busy, BusyType::Unavailable, BusyType::Tentative];

/// Merges periods: within a kind overlapping and touching ones become one, and where kinds overlap the stronger one
/// wins (BUSY over BUSY-UNAVAILABLE over BUSY-TENTATIVE). Sorted by start.
pub fn merge(periods: Vec<BusyPeriod>) -> Vec<BusyPeriod> {
    let own = |kind| union(of_kind(&periods, kind));
    BY_STRENGTH.into_iter().fold(Vec::new(), |merged, kind| lay_under(merged, &own(kind), kind))
}

/// The periods `above` and what they leave of `own`, which is of a weaker `kind` than they. Both are sorted and without overlaps, and
/// so is the result; `own` is as [`union`] makes it.
pub(super) fn lay_under(above: Vec<BusyPeriod>, own: &[Interval], kind: BusyType) -> Vec<BusyPeriod> {
    if own.is_empty() {
        return above;
    }
    let mut out = Vec::with_capacity(above.len() + own.len());
    let mut above = above.into_iter().peekable();
    let mut covered = Utc::MIN;
    for whole in own {
        let mut start = whole.start.max(covered);
        while let Some(stronger) = above.next_if(|stronger| stronger.interval.start < whole.end) {
            push_nonempty(&mut out, start, stronger.interval.start, kind);
            covered = stronger.interval.end;
            start = start.max(covered);
            out.push(stronger);
        }
        push_nonempty(&mut out, start, whole.end, kind);
    }
    out.extend(above);
    out
}

fn push_nonempty(out: &mut Vec<BusyPeriod>, start: Utc, end: Utc, kind: BusyType) {
    if start < end {
        out.push(BusyPeriod { interval: Interval { start, end }, kind });
    }
}

/// The intervals of the periods of `kind`.
pub(super) fn of_kind(periods: &[BusyPeriod], kind: BusyType) -> impl Iterator<Item = Interval> {
    periods.iter().filter(move |p| p.kind == kind).map(|p| p.interval)
}

/// The periods cut to `window`; what lies outside is left out.
pub(super) fn clip(periods: impl IntoIterator<Item = BusyPeriod>, window: Interval) -> Vec<BusyPeriod> {
    let cut = |p: BusyPeriod| p.interval.intersection(window).map(|interval| BusyPeriod { interval, kind: p.kind });
    periods.into_iter().filter_map(cut).collect()
}

/// The same seconds as sorted intervals that neither overlap nor touch. Points hold no second and vanish.
pub(super) fn union(intervals: impl Iterator<Item = Interval>) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = intervals.filter(|i| i.start < i.end).collect();
    if !sorted.is_sorted() {
        sorted.sort_unstable();
    }
    let mut out: Vec<Interval> = Vec::with_capacity(sorted.len());
    sorted.into_iter().for_each(|next| join(&mut out, next));
    out
}

/// Adds `next`, which starts no earlier than the last one of `joined`, as part of that where they overlap or touch.
pub(super) fn join(joined: &mut Vec<Interval>, next: Interval) {
    match joined.last_mut() {
        Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
        _ => joined.push(next),
    }
}

/// The seconds of `from` that are in none of `holes`. Both are as [`union`] makes them, and so is the result.
pub(super) fn subtract(from: &[Interval], holes: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::with_capacity(from.len());
    let mut first_hole = 0;
    for whole in from {
        first_hole += holes[first_hole..].partition_point(|hole| hole.end <= whole.start);
        let mut start = whole.start;
        for hole in holes[first_hole..].iter().take_while(|hole| hole.start < whole.end) {
            out.extend((start < hole.start).then_some(Interval { start, end: hole.start }));
            start = hole.end;
        }
        out.extend((start < whole.end).then_some(Interval { start, end: whole.end }));
    }
    out
}

/// The seconds that both have. Both are as [`union`] makes them, and so is the result.
pub(super) fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        out.extend(x.intersection(*y));
        if x.end < y.end { i += 1 } else { j += 1 }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn busy(start: i64, end: i64, kind: BusyType) -> BusyPeriod {
        BusyPeriod { interval: Interval::new(Utc(start), Utc(end)), kind }
    }

    /// The strongest kind at each second, the slow way.
    fn painted(periods: &[BusyPeriod], seconds: i64) -> Vec<Option<BusyType>> {
        let covers = |p: &&BusyPeriod, s| p.interval.start.0 <= s && s < p.interval.end.0;
        (0..seconds).map(|s| periods.iter().filter(|p| covers(p, s)).map(|p| p.kind).min()).collect()
    }

    fn periods() -> impl Strategy<Value = Vec<BusyPeriod>> {
        let one = (0..60_i64, 0..20_i64, 0..3_usize).prop_map(|(s, len, k)| busy(s, (s + len).min(70), BY_STRENGTH[k]));
        prop::collection::vec(one, 0..20)
    }

    #[test]
    fn stronger_kinds_win_and_touching_periods_join() {
        use BusyType::{Busy, Tentative, Unavailable};
        let merged = merge(vec![
            busy(50, 60, Tentative),
            busy(0, 40, Unavailable),
            busy(10, 20, Busy),
            busy(20, 25, Busy),
            busy(5, 45, Tentative),
            busy(70, 70, Busy),
        ]);
        let expected = [
            busy(0, 10, Unavailable),
            busy(10, 25, Busy),
            busy(25, 40, Unavailable),
            busy(40, 45, Tentative),
            busy(50, 60, Tentative),
        ];
        assert_eq!(merged, expected);
    }

    proptest! {
        #[test]
        fn merging_paints_each_second_with_its_strongest_kind(periods in periods()) {
            let merged = merge(periods.clone());
            prop_assert_eq!(painted(&merged, 80), painted(&periods, 80));
            for pair in merged.windows(2) {
                prop_assert!(pair[0].interval.end <= pair[1].interval.start);
                prop_assert!(pair[0].kind != pair[1].kind || pair[0].interval.end < pair[1].interval.start);
            }
            prop_assert_eq!(merge(merged.clone()), merged);
        }

        #[test]
        fn cutting_out_and_keeping_are_each_others_rest(a in periods(), b in periods()) {
            let (a, b) = (union(a.iter().map(|p| p.interval)), union(b.iter().map(|p| p.interval)));
            let inside = |set: &[Interval], s| set.iter().any(|i| i.start.0 <= s && s < i.end.0);
            let (rest, both) = (subtract(&a, &b), intersect(&a, &b));
            for s in 0..80 {
                prop_assert_eq!(inside(&rest, s), inside(&a, s) && !inside(&b, s));
                prop_assert_eq!(inside(&both, s), inside(&a, s) && inside(&b, s));
            }
        }
    }
}
