//! HOURLY, MINUTELY and SECONDLY rules whose interval does not divide the day, or that have BYSETPOS: a
//! lattice of equal steps, from which the BYxxx parts are reached by jumps and never by counting up.

use super::budget::{BudgetExceeded, take};
use super::civil::{self, DAY};
use super::days::{self, Month};
use super::parse::Frequency;
use super::sequence::{CYCLE_MONTHS, Sequence};
use super::sets::index_of;
use super::times::{ALL_HOURS, ALL_SIXTY};

/// Step after step of the lattice.
#[derive(Debug)]
pub(super) struct Ticks<'a> {
    sequence: &'a Sequence,
    from: i64,
    /// The length of FREQ's unit and of one step, in seconds.
    unit: i64,
    step: i64,
    /// The first second of the unit the start is in.
    origin: i64,
    /// The first second of the unit looked at.
    at: i64,
    /// The month of the day looked at, and its allowed days.
    month: Month,
    mask: u32,
    /// BYSETPOS: the times chosen in the unit, latest first.
    chosen: Vec<i64>,
}

fn unit_of(freq: Frequency) -> i64 {
    match freq {
        Frequency::Secondly => 1,
        Frequency::Minutely => 60,
        _ => 3600,
    }
}

/// How many times a unit has that has any.
fn set_size(sequence: &Sequence) -> u64 {
    match sequence.rule.freq {
        Frequency::Hourly => sequence.times.per_hour(),
        Frequency::Minutely => u64::from(sequence.times.seconds.count_ones()),
        _ => 1,
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<'a> Ticks<'a> {
    pub fn new(sequence: &'a Sequence, from: i64) -> Self {
        let unit = unit_of(sequence.rule.freq);
        let month = Month::of_day(sequence.day);
        let mut ticks = Self {
            sequence,
            from,
            unit,
            step: unit * sequence.rule.interval,
            origin: sequence.start.div_euclid(unit) * unit,
            at: 0,
            month,
            mask: days::allowed(&sequence.rule, &month),
            chosen: Vec::new(),
        };
        ticks.at = ticks.on_lattice(from - unit + 1);
        ticks
    }

    /// Whether any step of the lattice can ever fall on one of the times of day asked for, and its set
    /// is large enough for one of the positions.
    pub fn can_match(sequence: &Sequence) -> bool {
        let positions = &sequence.rule.positions;
        let total = set_size(sequence);
        if !positions.is_empty() && !positions.iter().any(|position| index_of(*position, total).is_some()) {
            return false;
        }
        let unit = unit_of(sequence.rule.freq);
        let per_day = DAY / unit;
        let common = gcd(per_day, sequence.rule.interval % per_day);
        let rest = sequence.start.rem_euclid(DAY) / unit % common;
        (0..per_day).skip(rest as usize).step_by(common as usize).any(|n| {
            let second = n * unit;
            sequence.times.at_or_after(second).is_some_and(|time| time < second + unit)
        })
    }

    /// Whether nothing but the interval decides: no BYxxx part at all.
    pub fn is_even(sequence: &Sequence) -> bool {
        let rule = &sequence.rule;
        let times = &sequence.times;
        rule.months == 0
            && !rule.names_days()
            && rule.positions.is_empty()
            && times.hours == ALL_HOURS
            && (rule.freq == Frequency::Hourly || times.minutes == ALL_SIXTY)
            && (rule.freq > Frequency::Secondly || times.seconds == ALL_SIXTY)
            && times.per_day() == (DAY / unit_of(rule.freq)) as u64
    }

    /// The `n`th step of an even sequence.
    pub fn nth_even(sequence: &Sequence, n: u64) -> Option<i64> {
        let step = unit_of(sequence.rule.freq) * sequence.rule.interval;
        let passed = i64::try_from(n).ok()?.checked_mul(step)?;
        sequence.start.checked_add(passed).filter(|second| *second <= civil::LAST)
    }

    /// The first unit on the lattice that begins at or after `second`.
    fn on_lattice(&self, second: i64) -> i64 {
        let behind = (second - self.origin).max(0);
        self.origin + (behind + self.step - 1) / self.step * self.step
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
            if self.at > limit {
                return Ok(None);
            }
            match self.look(steps)? {
                Look::Jump(second) => self.at = self.on_lattice(second),
                Look::Found(second) if self.sequence.rule.positions.is_empty() => {
                    self.from = second + 1;
                    return Ok(Some(second));
                }
                Look::Found(_) => {
                    self.choose();
                    self.at += self.step;
                }
                Look::End => return Ok(None),
            }
        }
    }

    /// What the unit at `at` has, or where else to look.
    fn look(&mut self, steps: &mut u64) -> Result<Look, BudgetExceeded> {
        let day = self.at.div_euclid(DAY);
        match self.allowed_day(day, steps)? {
            None => return Ok(Look::End),
            Some(next) if next > day => return Ok(Look::Jump(next * DAY)),
            Some(_) => {}
        }
        let midnight = day * DAY;
        let whole_unit = !self.sequence.rule.positions.is_empty();
        let from = if whole_unit { self.at } else { self.at.max(self.from) };
        Ok(match self.sequence.times.at_or_after((from - midnight).min(DAY)) {
            None => Look::Jump(midnight + DAY),
            Some(time) if midnight + time < self.at + self.unit => Look::Found(midnight + time),
            Some(time) => Look::Jump(midnight + time / self.unit * self.unit),
        })
    }

    /// The first day from `day` on that the rule allows.
    fn allowed_day(&mut self, day: i64, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        if !(self.month.first..self.month.first + i64::from(self.month.len)).contains(&day) {
            self.open(Month::of_day(day));
        }
        let mut left = self.mask & (u32::MAX << (day - self.month.first));
        for _ in 0..CYCLE_MONTHS {
            if left != 0 {
                return Ok(Some(self.month.first + i64::from(left.trailing_zeros())));
            }
            take(steps)?;
            self.open(Month::of_index(self.month.index() + 1));
            left = self.mask;
        }
        Ok(None)
    }

    fn open(&mut self, month: Month) {
        self.month = month;
        self.mask = days::allowed(&self.sequence.rule, &month);
    }

    fn choose(&mut self) {
        let times = self.sequence.times;
        let total = set_size(self.sequence);
        for &position in &self.sequence.rule.positions {
            if let Some(index) = index_of(position, total) {
                // The first of an hour (or minute) is at a known place among the times of the day.
                let within = times.nth(index) - times.nth(0);
                self.chosen.push(self.first_in_unit() + within);
            }
        }
        self.chosen.sort_unstable_by(|a, b| b.cmp(a));
        self.chosen.dedup();
    }

    /// The first time in the unit at `at`, which has one.
    fn first_in_unit(&self) -> i64 {
        let midnight = self.at.div_euclid(DAY) * DAY;
        midnight + self.sequence.times.at_or_after(self.at - midnight).unwrap_or(self.at - midnight)
    }
}

enum Look {
    Found(i64),
    Jump(i64),
    End,
}
