//! The times of one day: a product of hours, minutes and seconds, each a bitmask.

/// Seconds of the day whose hour, minute and second are all in their masks, none of which is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub hours: u64,
    pub minutes: u64,
    pub seconds: u64,
}

/// All hours of a day, all minutes of an hour (or seconds of a minute).
pub(super) const ALL_HOURS: u64 = (1 << 24) - 1;
pub(super) const ALL_SIXTY: u64 = (1 << 60) - 1;

/// The lowest bit of `mask` at or above `from`, which is at most 60.
fn bit_from(mask: u64, from: i64) -> Option<i64> {
    let rest = mask >> from;
    (rest != 0).then(|| from + i64::from(rest.trailing_zeros()))
}

fn lowest(mask: u64) -> i64 {
    i64::from(mask.trailing_zeros())
}

/// The `n`th (from 0) set bit of `mask`, which has more than `n`.
fn nth_bit(mut mask: u64, n: u64) -> i64 {
    for _ in 0..n {
        mask &= mask - 1;
    }
    lowest(mask)
}

impl Times {
    /// The earliest time at or after `from`, a second of the day.
    pub fn at_or_after(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let h = bit_from(self.hours, hour)?;
        if h > hour {
            return Some(h * 3600 + lowest(self.minutes) * 60 + lowest(self.seconds));
        }
        match self.in_hour(minute, second) {
            Some(rest) => Some(h * 3600 + rest),
            None => {
                let h = bit_from(self.hours, hour + 1)?;
                Some(h * 3600 + lowest(self.minutes) * 60 + lowest(self.seconds))
            }
        }
    }

    fn in_hour(&self, minute: i64, second: i64) -> Option<i64> {
        let m = bit_from(self.minutes, minute)?;
        if m > minute {
            return Some(m * 60 + lowest(self.seconds));
        }
        match bit_from(self.seconds, second) {
            Some(s) => Some(m * 60 + s),
            None => Some(bit_from(self.minutes, minute + 1)? * 60 + lowest(self.seconds)),
        }
    }

    /// How many times there are in a day.
    pub fn per_day(&self) -> u64 {
        u64::from(self.hours.count_ones()) * self.per_hour()
    }

    /// How many times there are in an hour that has any.
    pub fn per_hour(&self) -> u64 {
        u64::from(self.minutes.count_ones()) * u64::from(self.seconds.count_ones())
    }

    /// How many times there are before `second`, a second of the day.
    pub fn rank(&self, second: i64) -> u64 {
        let below = |mask: u64, n: i64| u64::from((mask & ((1 << n) - 1)).count_ones());
        let has = |mask: u64, n: i64| mask >> n & 1;
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        let per_minute = u64::from(self.seconds.count_ones());
        let in_minute = below(self.seconds, s) * has(self.minutes, m);
        let in_hour = (below(self.minutes, m) * per_minute + in_minute) * has(self.hours, h);
        below(self.hours, h) * self.per_hour() + in_hour
    }

    /// The `n`th time of the day, from 0; `n` is less than [`Times::per_day`].
    pub fn nth(&self, n: u64) -> i64 {
        let per_minute = u64::from(self.seconds.count_ones());
        let hour = nth_bit(self.hours, n / self.per_hour());
        let minute = nth_bit(self.minutes, n % self.per_hour() / per_minute);
        hour * 3600 + minute * 60 + nth_bit(self.seconds, n % per_minute)
    }
}
