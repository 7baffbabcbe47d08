//! BYSETPOS for frequencies of a day or more: each interval's set as a whole, then the positions asked for.

use super::budget::{BudgetExceeded, take};
use super::civil::{self, DAY};
use super::days::{self, Month};
use super::parse::{Frequency, Skip};
use super::sequence::Sequence;

/// Interval after interval.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    sequence: &'a Sequence,
    from: i64,
    /// The number of the next interval, counted in steps of INTERVAL from the start's.
    next: i64,
    quiet: i64,
    days: Vec<i64>,
    /// The times chosen in the interval, latest first.
    chosen: Vec<i64>,
}

impl<'a> Sets<'a> {
    pub fn new(sequence: &'a Sequence, from: i64) -> Self {
        let n = sequence.rule.interval;
        let day = from.clamp(civil::FIRST, civil::LAST).div_euclid(DAY);
        let passed = match sequence.rule.freq {
            Frequency::Yearly => Month::of_day(day).year - sequence.month.div_euclid(12),
            Frequency::Monthly => Month::of_day(day).index() - sequence.month,
            Frequency::Weekly => (day - sequence.week).div_euclid(7),
            _ => day - sequence.day,
        };
        // With SKIP=FORWARD the interval before may reach into this one.
        let back = i64::from(sequence.rule.skip == Skip::Forward);
        let next = (passed.div_euclid(n) - back).max(0);
        Self { sequence, from, next, quiet: 0, days: Vec::new(), chosen: Vec::new() }
    }

    pub fn next(&mut self, limit: i64, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        loop {
            while let Some(second) = self.chosen.pop() {
                if second >= self.from {
                    self.from = second + 1;
                    return Ok(Some(second));
                }
            }
            take(steps)?;
            let Some(begin) = self.gather() else { return Ok(None) };
            self.next += 1;
            self.choose();
            self.quiet = if self.chosen.is_empty() { self.quiet + 1 } else { 0 };
            if begin * DAY > limit || self.quiet > self.cycle() {
                return Ok(None);
            }
        }
    }

    /// After so many intervals the calendar repeats.
    fn cycle(&self) -> i64 {
        match self.sequence.rule.freq {
            Frequency::Yearly => 400,
            Frequency::Monthly => 4_800,
            Frequency::Weekly => 20_871,
            _ => 146_097,
        }
    }

    /// Collects the days of the next interval. Its first day; `None` behind the year 9999.
    fn gather(&mut self) -> Option<i64> {
        self.days.clear();
        let sequence = self.sequence;
        let passed = self.next.checked_mul(sequence.rule.interval)?;
        match sequence.rule.freq {
            Frequency::Yearly => {
                let first = sequence.month.div_euclid(12).checked_add(passed).filter(|year| *year <= 9_999)? * 12;
                (first..first + 12).for_each(|index| self.add_month(index));
                self.days.dedup();
                Some(Month::of_index(first).first)
            }
            Frequency::Monthly => {
                let index = sequence.month.checked_add(passed).filter(|index| *index < 10_000 * 12)?;
                self.add_month(index);
                Some(Month::of_index(index).first)
            }
            Frequency::Weekly => self.add_days(sequence.week.checked_add(passed.checked_mul(7)?)?, 7),
            _ => self.add_days(sequence.day.checked_add(passed)?, 1),
        }
    }

    fn add_month(&mut self, index: i64) {
        let month = Month::of_index(index);
        let mask = days::allowed(&self.sequence.rule, &month);
        self.days.extend((0..32).filter(|bit| mask & (1 << bit) != 0).map(|bit| month.first + bit));
    }

    fn add_days(&mut self, first: i64, len: i64) -> Option<i64> {
        if first > civil::LAST / DAY {
            return None;
        }
        let mut month = Month::of_day(first);
        let mut mask = days::allowed(&self.sequence.rule, &month);
        for day in first..first + len {
            if day - month.first >= i64::from(month.len) {
                month = Month::of_day(day);
                mask = days::allowed(&self.sequence.rule, &month);
            }
            if mask & (1 << (day - month.first)) != 0 {
                self.days.push(day);
            }
        }
        Some(first)
    }

    fn choose(&mut self) {
        let times = &self.sequence.times;
        let per_day = times.per_day();
        let total = self.days.len() as u64 * per_day;
        for &position in &self.sequence.rule.positions {
            if let Some(index) = index_of(position, total) {
                self.chosen.push(self.days[(index / per_day) as usize] * DAY + times.nth(index % per_day));
            }
        }
        self.chosen.sort_unstable_by(|a, b| b.cmp(a));
        self.chosen.dedup();
    }
}

/// Where in a set of `total` the BYSETPOS `position` is, from 0.
pub(super) fn index_of(position: i32, total: u64) -> Option<u64> {
    let distance = u64::from(position.unsigned_abs());
    match position {
        1.. => Some(distance - 1).filter(|index| *index < total),
        _ => total.checked_sub(distance),
    }
}
