//! A rule applied to a start: the sequence of its local times, entered at any point.

use std::sync::OnceLock;

use super::budget::{BudgetExceeded, take};
use super::civil::{self, DAY};
use super::days::{self, Month};
use super::parse::{Frequency, Rule, Skip, Until};
use super::sets::Sets;
use super::ticks::Ticks;
use super::times::{ALL_HOURS, ALL_SIXTY, Times};

/// A pattern of days repeats after 400 years. A rule silent for so many months is silent for ever.
pub(super) const CYCLE_MONTHS: u32 = 4_800;
const LAST_MONTH: i64 = 9_999 * 12 + 11;

/// A [`Rule`] with a start. DTSTART is its first time whether or not the rule yields it (RFC 5545 §3.8.5.3), and
/// COUNT counts it.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// The rule, with the parts that the start implies filled in.
    pub(super) rule: Rule,
    pub(super) start: i64,
    pub(super) times: Times,
    /// The start's day, the first day of its week, the index of its month.
    pub(super) day: i64,
    pub(super) week: i64,
    pub(super) month: i64,
    mode: Mode,
    until: i64,
    last: OnceLock<i64>,
}

/// How the next time is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Month after month, as bitmasks.
    Months,
    /// Interval after interval, because BYSETPOS needs each one's whole set.
    Sets,
    /// Hour after hour (or finer), because the interval does not divide the day.
    Ticks,
    /// Nothing but the start.
    Never,
}

impl Sequence {
    /// `rule` from the local second `start` on. UNTIL is compared with local seconds: where it is in UTC and the
    /// start in a zone, the caller gives a bound of its own instead.
    pub fn new(rule: &Rule, start: i64) -> Self {
        let day = start.div_euclid(DAY);
        let (rule, times) = with_implied(rule, start);
        let until = match rule.until {
            None => civil::LAST,
            Some(Until::Day(day)) => day.saturating_add(1).saturating_mul(DAY) - 1,
            Some(Until::Local(second) | Until::Utc(second)) => second,
        };
        let mut sequence = Self {
            week: day - i64::from((civil::weekday(day) + 7 - rule.week_start) % 7),
            month: Month::of_day(day).index(),
            mode: Mode::Months,
            until: until.min(civil::LAST),
            last: OnceLock::new(),
            rule,
            start,
            times,
            day,
        };
        sequence.mode = sequence.choose_mode();
        sequence
    }

    fn choose_mode(&mut self) -> Mode {
        if self.rule.freq >= Frequency::Daily {
            return if self.rule.positions.is_empty() { Mode::Months } else { Mode::Sets };
        }
        if self.rule.positions.is_empty() && self.fold_into_days() {
            return if self.times.per_day() == 0 { Mode::Never } else { Mode::Months };
        }
        if Ticks::can_match(self) { Mode::Ticks } else { Mode::Never }
    }

    /// Turns "every 15 minutes" and the like, whose interval divides the day, into a daily rule with many
    /// times. Whether that was possible.
    fn fold_into_days(&mut self) -> bool {
        let second = self.start.rem_euclid(DAY);
        let mut rest = self.rule.interval;
        let mut grain = self.rule.freq;
        let fields = [
            (Frequency::Secondly, second % 60, 60),
            (Frequency::Minutely, second / 60 % 60, 60),
            (Frequency::Hourly, second / 3600, 24),
        ];
        let mut masks = [u64::MAX; 3];
        for (index, (freq, value, size)) in fields.into_iter().enumerate() {
            if freq != grain {
                continue;
            }
            if size % rest == 0 {
                masks[index] = (0..size).filter(|n| n % rest == value % rest).fold(0, |mask, n| mask | 1 << n);
                break;
            }
            if rest % size != 0 || freq == Frequency::Hourly {
                return false;
            }
            masks[index] = 1 << value;
            rest /= size;
            grain = if freq == Frequency::Secondly { Frequency::Minutely } else { Frequency::Hourly };
        }
        self.times.seconds &= masks[0];
        self.times.minutes &= masks[1];
        self.times.hours &= masks[2];
        self.rule.freq = Frequency::Daily;
        self.rule.interval = 1;
        true
    }

    /// Whether there can be several times on one day.
    pub fn has_many_a_day(&self) -> bool {
        self.mode == Mode::Ticks || self.times.per_day() > 1
    }

    /// The local second at which it starts.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Its times at or after the local second `from`, in order.
    pub fn from(&self, from: i64) -> Cursor<'_> {
        Cursor {
            sequence: self,
            start_is_due: from <= self.start,
            limit: None,
            walk: self.walk(from.max(self.start + 1)),
        }
    }

    fn walk(&self, from: i64) -> Walk<'_> {
        match self.mode {
            Mode::Months => Walk::Months(Months::new(self, from)),
            Mode::Sets => Walk::Sets(Sets::new(self, from)),
            Mode::Ticks => Walk::Ticks(Ticks::new(self, from)),
            Mode::Never => Walk::Never,
        }
    }

    /// Whether the rule itself yields `second`: the start only if it fits the rule.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if finding out takes more than `steps`.
    pub fn yields(&self, second: i64, steps: &mut u64) -> Result<bool, BudgetExceeded> {
        if second < self.start || second > self.last(steps)? {
            return Ok(false);
        }
        let mut cursor = Cursor { sequence: self, start_is_due: false, limit: Some(second), walk: self.walk(second) };
        Ok(cursor.next(steps)? == Some(second))
    }

    /// Whether it goes on to the end of the calendar, having neither COUNT nor UNTIL.
    pub fn is_endless(&self) -> bool {
        self.rule.count.is_none() && self.until == civil::LAST
    }

    /// A local second behind which it has nothing: with COUNT its last time, else UNTIL. Computed once.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if counting takes more than `steps`.
    pub fn last(&self, steps: &mut u64) -> Result<i64, BudgetExceeded> {
        let Some(count) = self.rule.count else { return Ok(self.until) };
        if let Some(last) = self.last.get() {
            return Ok(*last);
        }
        let last = self.nth_after_start(count - 1, steps)?.unwrap_or(civil::LAST).min(self.until);
        Ok(*self.last.get_or_init(|| last))
    }

    /// The `n`th time after the start, which itself is number 0; `None` if there are not so many.
    fn nth_after_start(&self, n: u64, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        match (n, self.mode) {
            (0, _) => return Ok(Some(self.start)),
            (_, Mode::Never) => return Ok(None),
            (_, Mode::Months) if self.rule.skip != Skip::Forward => {
                return Months::new(self, self.start + 1).nth(n, steps);
            }
            (_, Mode::Ticks) if Ticks::is_even(self) => return Ok(Ticks::nth_even(self, n)),
            _ => {}
        }
        let mut cursor = Cursor { limit: Some(self.until), ..self.from(self.start + 1) };
        for _ in 1..n {
            if cursor.next(steps)?.is_none() {
                return Ok(None);
            }
        }
        cursor.next(steps)
    }

    /// The days of `month` that the rule yields, INTERVAL included.
    fn days_of(&self, month: &Month) -> u32 {
        match self.in_step(month) {
            0 => 0,
            in_step => in_step & days::allowed(&self.rule, month),
        }
    }

    /// The days of `month` that INTERVAL reaches.
    fn in_step(&self, month: &Month) -> u32 {
        let n = self.rule.interval;
        let whole = |steps: i64| if steps % n == 0 { u32::MAX } else { 0 };
        match self.rule.freq {
            Frequency::Yearly => whole(month.year - self.month.div_euclid(12)),
            Frequency::Monthly => whole(month.index() - self.month),
            _ if n == 1 => u32::MAX,
            Frequency::Weekly => every_nth_week(self.week, n, month),
            _ => {
                let first = (self.day - month.first).rem_euclid(n);
                (first..32).step_by(n.min(32) as usize).fold(0, |mask, bit| mask | 1 << bit)
            }
        }
    }

    /// The first month from the one numbered `index` on that BYMONTH and INTERVAL do not rule out at once.
    fn next_month(&self, index: i64) -> i64 {
        let n = self.rule.interval;
        let index = match self.rule.freq {
            Frequency::Yearly => match (index.div_euclid(12) - self.month.div_euclid(12)).rem_euclid(n) {
                0 => index,
                over => (index.div_euclid(12) + n - over) * 12,
            },
            Frequency::Monthly => match (index - self.month).rem_euclid(n) {
                0 => index,
                over => index + n - over,
            },
            _ => index,
        };
        if self.rule.months == 0 || self.rule.freq == Frequency::Monthly && n > 1 {
            return index;
        }
        let month = index.rem_euclid(12);
        let later = self.rule.months >> month;
        if later != 0 {
            return index + i64::from(later.trailing_zeros());
        }
        // Where INTERVAL leaves out the next year, `days_of` says so.
        index - month + 12 + i64::from(self.rule.months.trailing_zeros())
    }
}

/// The days of every `n`th week, counted from the one that begins on the day `week`, that are in `month`.
fn every_nth_week(week: i64, n: i64, month: &Month) -> u32 {
    let since = (month.first - week).div_euclid(7);
    let mut begin = week + (since + (-since).rem_euclid(n)) * 7;
    let mut mask = 0u32;
    while begin < month.first + 32 {
        for day in begin.max(month.first)..(begin + 7).min(month.first + 32) {
            mask |= 1 << (day - month.first);
        }
        begin += 7 * n;
    }
    mask
}

/// `rule` with what DTSTART implies (RFC 5545 §3.3.10: "information, not contained in the rule").
fn with_implied(rule: &Rule, start: i64) -> (Rule, Times) {
    let mut rule = rule.clone();
    let (day, second) = (start.div_euclid(DAY), start.rem_euclid(DAY));
    let (_, month, day_of_month) = civil::civil(day);
    let names_days = rule.names_days();
    match rule.freq {
        Frequency::Yearly if !names_days => {
            rule.month_days = 1 << (day_of_month - 1);
            if rule.months == 0 {
                rule.months = 1 << (month - 1);
            }
        }
        Frequency::Yearly if only_weeks(&rule) => rule.weekdays = 1 << civil::weekday(day),
        Frequency::Monthly if !names_days => rule.month_days = 1 << (day_of_month - 1),
        Frequency::Weekly if rule.weekdays == 0 => rule.weekdays = 1 << civil::weekday(day),
        _ => {}
    }
    if rule.freq < Frequency::Monthly {
        rule.skip = Skip::Omit;
    }
    let implied = |given: u64, finer: bool, value: i64, all: u64| match given {
        0 if finer => 1 << value,
        0 => all,
        given => given,
    };
    let times = Times {
        hours: implied(rule.hours, rule.freq > Frequency::Hourly, second / 3600, ALL_HOURS),
        minutes: implied(rule.minutes, rule.freq > Frequency::Minutely, second / 60 % 60, ALL_SIXTY),
        seconds: implied(rule.seconds, rule.freq > Frequency::Secondly, second % 60, ALL_SIXTY),
    };
    (rule, times)
}

fn only_weeks(rule: &Rule) -> bool {
    let others = rule.weekdays | rule.month_days | rule.month_days_back;
    !rule.weeks.is_empty() && others == 0 && rule.nth_weekdays.is_empty() && rule.year_days.is_empty()
}

/// Walks a [`Sequence`] from a point on.
#[derive(Debug)]
pub struct Cursor<'a> {
    sequence: &'a Sequence,
    start_is_due: bool,
    limit: Option<i64>,
    walk: Walk<'a>,
}

#[derive(Debug)]
enum Walk<'a> {
    Months(Months<'a>),
    Sets(Sets<'a>),
    Ticks(Ticks<'a>),
    Never,
}

impl Cursor<'_> {
    /// The next time, `None` at the end. Takes from `steps` for each month, interval and time it looks at.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if `steps` ran out.
    pub fn next(&mut self, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        take(steps)?;
        if std::mem::take(&mut self.start_is_due) {
            return Ok(Some(self.sequence.start));
        }
        let limit = match self.limit {
            Some(limit) => limit,
            None => *self.limit.insert(self.sequence.last(steps)?),
        };
        let found = match &mut self.walk {
            Walk::Months(months) => months.next(limit, steps)?,
            Walk::Sets(sets) => sets.next(limit, steps)?,
            Walk::Ticks(ticks) => ticks.next(limit, steps)?,
            Walk::Never => None,
        };
        Ok(found.filter(|second| *second <= limit))
    }
}

/// Month after month: the days as a bitmask, and on each day its times.
#[derive(Debug)]
struct Months<'a> {
    sequence: &'a Sequence,
    from: i64,
    month: Month,
    /// The days of the month that are still to come.
    mask: u32,
    quiet: u32,
}

impl<'a> Months<'a> {
    fn new(sequence: &'a Sequence, from: i64) -> Self {
        let day = from.clamp(civil::FIRST, civil::LAST).div_euclid(DAY);
        // The 1st of a month may belong to the month before it.
        let reached = if sequence.rule.skip == Skip::Forward { day - 1 } else { day };
        let month = Month::of_day(reached);
        let passed = (reached - month.first) as u32;
        let mask = sequence.days_of(&month) & (u32::MAX << passed);
        Self { sequence, from, month, mask, quiet: 0 }
    }

    fn next(&mut self, limit: i64, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        loop {
            while self.mask != 0 {
                let midnight = (self.month.first + i64::from(self.mask.trailing_zeros())) * DAY;
                if let Some(time) = self.sequence.times.at_or_after((self.from - midnight).clamp(0, DAY)) {
                    self.from = midnight + time + 1;
                    return Ok(Some(midnight + time));
                }
                self.mask &= self.mask - 1;
            }
            if !self.turn_page(limit, steps)? {
                return Ok(None);
            }
        }
    }

    /// Goes to the next month. `false` if there is nothing more.
    fn turn_page(&mut self, limit: i64, steps: &mut u64) -> Result<bool, BudgetExceeded> {
        take(steps)?;
        let index = self.sequence.next_month(self.month.index() + 1);
        if index > LAST_MONTH {
            return Ok(false);
        }
        self.month = Month::of_index(index);
        self.mask = self.sequence.days_of(&self.month);
        self.quiet = if self.mask == 0 { self.quiet + 1 } else { 0 };
        let is_silent = self.quiet > CYCLE_MONTHS && self.sequence.rule.interval == 1;
        Ok(!is_silent && self.month.first * DAY <= limit)
    }

    /// The `n`th of what is to come, from 1: whole months are counted by their bits.
    fn nth(mut self, mut n: u64, steps: &mut u64) -> Result<Option<i64>, BudgetExceeded> {
        let times = self.sequence.times;
        let (day, second) = (self.from.div_euclid(DAY), self.from.rem_euclid(DAY));
        if self.mask != 0 && self.month.first + i64::from(self.mask.trailing_zeros()) == day {
            n = n.saturating_add(times.rank(second));
        }
        loop {
            let here = u64::from(self.mask.count_ones()) * times.per_day();
            if n <= here {
                let days_passed = (n - 1) / times.per_day();
                (0..days_passed).for_each(|_| self.mask &= self.mask - 1);
                let day = self.month.first + i64::from(self.mask.trailing_zeros());
                return Ok(Some(day * DAY + times.nth((n - 1) % times.per_day())));
            }
            n -= here;
            if !self.turn_page(self.sequence.until, steps)? {
                return Ok(None);
            }
        }
    }
}
