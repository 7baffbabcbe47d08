//! The breaker of an endpoint: after enough failures nothing is sent for a while, then one probe. Pure; times are milliseconds of a clock
//! that never goes back.

use std::collections::VecDeque;

/// Failures in a row that open it.
const FAILURES_MAX: u32 = 10;
/// The window in which the share of failures is counted.
const WINDOW_MS: u64 = 5 * 60 * 1_000;
/// The window is kept in this many parts.
const PARTS: u64 = 10;
/// Answers in the window below which the share says nothing.
const ANSWERS_MIN: u32 = 10;
/// The share of failures that opens it, in per cent.
const SHARE_MAX: u32 = 70;
/// How long it stays open the first time, where nothing else is set; each time doubles.
const OPEN_MS: u64 = 30 * 1_000;
/// How often that long it stays open at most: a quarter of an hour.
const OPEN_TIMES_MAX: u64 = 30;

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerState {
    /// Everything goes through.
    #[default]
    Closed,
    /// Nothing goes through until then.
    Open {
        /// Until when, in milliseconds of the clock that never goes back.
        until: u64,
    },
    /// One probe may go, or is under way.
    HalfOpen {
        /// Whether it is under way.
        probing: bool,
    },
}

/// A breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// How long it stays open the first time.
    open_ms: u64,
    state: BreakerState,
    failures_in_a_row: u32,
    /// How often it has opened since it was last closed.
    opened: u32,
    /// Beginning, successes and failures of each part of the window.
    window: VecDeque<(u64, u32, u32)>,
}

/// What an answer did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It opened, or stays open for longer.
    Opened,
    /// It closed.
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            open_ms: OPEN_MS,
            state: BreakerState::default(),
            failures_in_a_row: 0,
            opened: 0,
            window: VecDeque::new(),
        }
    }
}

impl Breaker {
    /// A breaker that stays open for `open_ms` the first time, and had been open that often when the server ended: a probe comes first.
    pub fn restored(opened: u32, open_ms: u64) -> Self {
        let state = if opened == 0 { BreakerState::Closed } else { BreakerState::HalfOpen { probing: false } };
        Self { open_ms, state, opened, ..Self::default() }
    }

    /// Closed, as if nothing had failed.
    pub fn reset(&mut self) {
        *self = Self::restored(0, self.open_ms);
    }

    /// How it stands at `now`.
    pub fn state(&self, now: u64) -> BreakerState {
        match self.state {
            BreakerState::Open { until } if until <= now => BreakerState::HalfOpen { probing: false },
            state => state,
        }
    }

    /// How often it has opened since it was last closed.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// How many deliveries may be sent at `now`.
    pub fn room(&self, now: u64) -> usize {
        match self.state(now) {
            BreakerState::Closed => usize::MAX,
            BreakerState::Open { .. } | BreakerState::HalfOpen { probing: true } => 0,
            BreakerState::HalfOpen { probing: false } => 1,
        }
    }

    /// A delivery is being sent.
    pub fn sending(&mut self, now: u64) {
        if self.state(now) != BreakerState::Closed {
            self.state = BreakerState::HalfOpen { probing: true };
        }
    }

    /// One was delivered.
    pub fn succeeded(&mut self, now: u64) -> Change {
        self.count(now, true);
        self.failures_in_a_row = 0;
        if self.state == BreakerState::Closed {
            return Change::None;
        }
        (self.state, self.opened) = (BreakerState::Closed, 0);
        // What failed before says nothing about now.
        self.window.clear();
        Change::Closed
    }

    /// One failed.
    pub fn failed(&mut self, now: u64) -> Change {
        self.count(now, false);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        match self.state {
            // What was under way when it opened.
            BreakerState::Open { until } if until > now => Change::None,
            BreakerState::Closed if !self.is_too_much(now) => Change::None,
            _ => {
                let pause = self.open_ms.saturating_mul(OPEN_TIMES_MAX.min(1 << self.opened.min(10)));
                self.opened = self.opened.saturating_add(1);
                self.state = BreakerState::Open { until: now.saturating_add(pause) };
                Change::Opened
            }
        }
    }

    /// A probe came to nothing that says anything about the endpoint: the next may go.
    pub fn forget_probe(&mut self) {
        if let BreakerState::HalfOpen { probing } = &mut self.state {
            *probing = false;
        }
    }

    fn is_too_much(&self, now: u64) -> bool {
        let (good, bad) = self
            .window
            .iter()
            .filter(|(begun, ..)| begun.saturating_add(WINDOW_MS) > now)
            .fold((0_u32, 0_u32), |(good, bad), part| (good.saturating_add(part.1), bad.saturating_add(part.2)));
        let all = good.saturating_add(bad);
        self.failures_in_a_row >= FAILURES_MAX
            || all >= ANSWERS_MIN && u64::from(bad) * 100 >= u64::from(all) * u64::from(SHARE_MAX)
    }

    fn count(&mut self, now: u64, good: bool) {
        let part = WINDOW_MS / PARTS;
        if self.window.back().is_none_or(|(begun, ..)| begun.saturating_add(part) <= now) {
            self.window.push_back((now, 0, 0));
        }
        if self.window.len() as u64 > PARTS {
            self.window.pop_front();
        }
        if let Some((_, successes, failures)) = self.window.back_mut() {
            let counter = if good { successes } else { failures };
            *counter = counter.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_failures_open_it_and_it_opens_for_longer_each_time() {
        let mut breaker = Breaker::default();
        for n in 0..9 {
            assert_eq!(breaker.failed(n), Change::None);
        }
        assert_eq!(breaker.failed(9), Change::Opened);
        let mut now = 9;
        for pause in [30, 60, 120, 240, 480, 900, 900, 900] {
            assert_eq!(breaker.room(now + pause * 1_000 - 1), 0);
            now += pause * 1_000;
            assert_eq!(breaker.room(now), 1, "one probe");
            breaker.sending(now);
            assert_eq!(breaker.room(now), 0, "and no second");
            assert_eq!(breaker.failed(now), Change::Opened);
        }
        breaker.sending(now + 900_000);
        assert_eq!(breaker.succeeded(now + 900_001), Change::Closed);
        assert_eq!((breaker.room(now + 900_002), breaker.opened()), (usize::MAX, 0));
        for n in 0..9 {
            assert_eq!(breaker.failed(now + 900_010 + n), Change::None, "it begins anew");
        }
    }

    #[test]
    fn seven_of_ten_in_the_window_open_it() {
        let mut breaker = Breaker::default();
        for n in 0..3 {
            breaker.succeeded(n);
        }
        for n in 0..6 {
            assert_eq!(breaker.failed(n), Change::None);
        }
        assert_eq!(breaker.failed(7), Change::Opened);
        let mut old = Breaker::default();
        for n in 0..30 {
            // Two failures for each success, but five minutes apart.
            old.succeeded(n * 3 * WINDOW_MS);
            assert_eq!(old.failed(n * 3 * WINDOW_MS + WINDOW_MS), Change::None);
            assert_eq!(old.failed(n * 3 * WINDOW_MS + 2 * WINDOW_MS), Change::None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever comes: while it is open nothing goes, and it never stays open for good.
        #[test]
        fn it_always_lets_a_probe_through_again(answers in prop::collection::vec((any::<bool>(), 0_u64..2_000_000), 1..200)) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (good, pause) in answers {
                now += pause;
                if breaker.room(now) > 0 {
                    breaker.sending(now);
                    if good { breaker.succeeded(now) } else { breaker.failed(now) };
                }
                prop_assert!(breaker.room(now + OPEN_MS * OPEN_TIMES_MAX) > 0);
            }
        }
    }
}
