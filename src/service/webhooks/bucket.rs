//! A token bucket: how fast one endpoint is told. Pure; times are milliseconds of a clock that never goes back.

use super::Rate;

/// Thousandths of a token.
const TOKEN: u64 = 1_000;

/// A bucket of tokens; a delivery takes one.
#[derive(Debug, Clone)]
pub struct Bucket {
    filled: u64,
    at: u64,
}

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: u64) -> Self {
        Self { filled: u64::from(rate.burst.max(1)) * TOKEN, at: now }
    }

    /// How many tokens there are at `now`.
    pub fn tokens(&mut self, rate: Rate, now: u64) -> usize {
        let gained = now.saturating_sub(self.at).saturating_mul(u64::from(rate.per_second.max(1)));
        self.at = self.at.max(now);
        self.filled = self.filled.saturating_add(gained).min(u64::from(rate.burst.max(1)) * TOKEN);
        usize::try_from(self.filled / TOKEN).unwrap_or(usize::MAX)
    }

    /// Takes one, if there is one.
    pub fn take(&mut self) {
        self.filled = self.filled.saturating_sub(TOKEN);
    }

    /// In how many milliseconds there is one.
    pub fn wait_ms(&self, rate: Rate) -> u64 {
        TOKEN.saturating_sub(self.filled).div_ceil(u64::from(rate.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// In any stretch of time no more goes than the burst and what the rate gives.
        #[test]
        fn no_more_goes_than_the_rate_allows(per_second in 1_u32..1_000, burst in 1_u32..100, pauses in prop::collection::vec(0_u64..500, 1..300)) {
            let rate = Rate { per_second, burst, in_flight_max: 1 };
            let (mut bucket, mut now, mut taken) = (Bucket::full(rate, 0), 0, 0_u64);
            for pause in pauses {
                now += pause;
                while bucket.tokens(rate, now) > 0 {
                    bucket.take();
                    taken += 1;
                }
                prop_assert!(taken * 1_000 <= u64::from(burst) * 1_000 + now * u64::from(per_second));
                let wait = bucket.wait_ms(rate);
                prop_assert!(bucket.clone().tokens(rate, now + wait) > 0);
            }
        }
    }
}
