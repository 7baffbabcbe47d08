//! The days of one month on which a rule can fall, as a bitmask: bit 0 is the 1st.
//!
//! Every BYxxx part that speaks of days is one AND (RFC 5545 §3.3.10's table: whether a part expands or
//! limits comes to the same once the parts that DTSTART implies are filled in).

use super::civil;
use super::parse::{Frequency, Rule, Skip};

/// A month of a year and where its days are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Month {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// The day number of its 1st.
    pub first: i64,
    pub len: u32,
}

impl Month {
    /// The month numbered `index`: twelve times its year and 0 for January.
    pub fn of_index(index: i64) -> Self {
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
        Self { year, month, first: civil::days(year, month, 1), len: civil::month_len(year, month) }
    }

    /// The month that the day numbered `day` is in.
    pub fn of_day(day: i64) -> Self {
        let (year, month, day_of_month) = civil::civil(day);
        Self { year, month, first: day - i64::from(day_of_month) + 1, len: civil::month_len(year, month) }
    }

    pub fn index(&self) -> i64 {
        self.year * 12 + i64::from(self.month) - 1
    }

    /// The mask of all its days.
    fn all(&self) -> u32 {
        u32::MAX >> (32 - self.len)
    }

    /// The mask of the days that fall on `weekday`, going on beyond its end.
    fn weekday(&self, weekday: u32) -> u32 {
        const EVERY_SEVENTH: u32 = 0b1_0000001_0000001_0000001_0000001;
        EVERY_SEVENTH << ((weekday + 7 - civil::weekday(self.first)) % 7)
    }

    /// The bit of the day numbered `day`, if that day is in it.
    fn bit(&self, day: i64) -> u32 {
        let offset = day - self.first;
        if (0..i64::from(self.len)).contains(&offset) { 1 << offset } else { 0 }
    }

    /// The bits of the days from `from` up to (and without) `to`.
    fn range(&self, from: i64, to: i64) -> u32 {
        let low = (from - self.first).clamp(0, 32) as u32;
        let high = (to - self.first).clamp(0, 32) as u32;
        let below = |n: u32| ((1u64 << n) - 1) as u32;
        below(high) & !below(low)
    }
}

/// The days of `month` that `rule` (its implied parts filled in) allows, not looking at INTERVAL. With
/// SKIP=FORWARD, the bit behind the last day stands for the 1st of the next month.
pub(super) fn allowed(rule: &Rule, month: &Month) -> u32 {
    if rule.months != 0 && rule.months & (1 << (month.month - 1)) == 0 {
        return 0;
    }
    let mut mask = month.all() | overflow_bit(rule, month);
    if rule.month_days | rule.month_days_back != 0 {
        mask &= month_days(rule, month);
    }
    if !rule.year_days.is_empty() {
        mask &= year_days(rule, month);
    }
    if !rule.weeks.is_empty() {
        mask &= weeks(rule, month);
    }
    if rule.weekdays != 0 || !rule.nth_weekdays.is_empty() {
        mask &= weekdays(rule, month);
    }
    mask
}

/// The one day beyond the end that SKIP=FORWARD can reach.
fn overflow_bit(rule: &Rule, month: &Month) -> u32 {
    let reaches = rule.skip == Skip::Forward && (rule.month_days != 0 || !rule.year_days.is_empty());
    if reaches { 1u32.checked_shl(month.len).unwrap_or(0) } else { 0 }
}

fn month_days(rule: &Rule, month: &Month) -> u32 {
    // Counting from the end is counting from the start in the reversed mask.
    let back = rule.month_days_back.reverse_bits() >> (32 - month.len);
    let mask = (rule.month_days & month.all()) | back;
    let missing = rule.month_days & !month.all() != 0;
    match rule.skip {
        Skip::Backward if missing => mask | 1 << (month.len - 1),
        Skip::Forward if missing => mask | overflow_bit(rule, month),
        _ => mask,
    }
}

fn year_days(rule: &Rule, month: &Month) -> u32 {
    let year_first = civil::days(month.year, 1, 1);
    let year_len = 365 + i32::from(civil::is_leap(month.year));
    let mut mask = 0;
    for &n in &rule.year_days {
        mask |= match (n, rule.skip) {
            (1.., Skip::Forward) if n > year_len && month.month == 12 => overflow_bit(rule, month),
            (1.., Skip::Backward) => month.bit(year_first + i64::from(n.min(year_len) - 1)),
            (1.., _) if n > year_len => 0,
            (1.., _) => month.bit(year_first + i64::from(n - 1)),
            (_, _) if -n > year_len => 0,
            (_, _) => month.bit(year_first + i64::from(year_len + n)),
        };
    }
    mask
}

/// BYWEEKNO: the days of the calendar year that lie in a week of that number, whichever year the
/// week is counted in.
fn weeks(rule: &Rule, month: &Month) -> u32 {
    let mut mask = 0;
    for year in month.year - 1..=month.year + 1 {
        let (first, next) = (week_one(year, rule.week_start), week_one(year + 1, rule.week_start));
        let count = ((next - first) / 7) as i32;
        for &n in &rule.weeks {
            let index = if n > 0 { n - 1 } else { count + n };
            if (0..count).contains(&index) {
                let from = first + i64::from(index) * 7;
                mask |= month.range(from, from + 7);
            }
        }
    }
    mask
}

/// The first day of week 1 of `year`: of the first week with at least four days in it.
fn week_one(year: i64, week_start: u32) -> i64 {
    let first = civil::days(year, 1, 1);
    let into_week = i64::from((civil::weekday(first) + 7 - week_start) % 7);
    if into_week <= 3 { first - into_week } else { first - into_week + 7 }
}

fn weekdays(rule: &Rule, month: &Month) -> u32 {
    let mut mask = (0..7).filter(|day| rule.weekdays & (1 << day) != 0).fold(0, |mask, day| mask | month.weekday(day));
    let in_year = rule.freq == Frequency::Yearly && rule.months == 0;
    let (first, len) = if in_year {
        (civil::days(month.year, 1, 1), 365 + i64::from(civil::is_leap(month.year)))
    } else {
        (month.first, i64::from(month.len))
    };
    for &(n, day) in &rule.nth_weekdays {
        if let Some(offset) = nth_weekday(first, len, n, day) {
            mask |= month.bit(first + offset);
        }
    }
    mask
}

/// Where, from 0, the `n`th `weekday` of the `len` days from `first` is; a negative `n` counts from the end.
fn nth_weekday(first: i64, len: i64, n: i32, weekday: u32) -> Option<i64> {
    let offset = i64::from((weekday + 7 - civil::weekday(first)) % 7);
    let index = if n > 0 { i64::from(n) - 1 } else { (len - 1 - offset) / 7 + 1 + i64::from(n) };
    let at = offset + index * 7;
    (index >= 0 && at < len).then_some(at)
}
