//! Failed logins, counted per account and per address, with growing pauses (limits `login_failures_max` and
//! `login_seconds_max`). A pure structure: the time is an argument.
//!
//! An attempt is counted as failed before its password is looked at and taken back if it was right, so that a
//! thousand attempts at once are not a thousand free guesses. A login that is already known (see `auth`) is not an
//! attempt and never waits, so that nobody can lock a working device out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::base::{Limits, Utc};

/// How many accounts, and how many addresses, are remembered at most. The oldest go first.
const REMEMBERED_MAX: usize = 100_000;

/// The counters.
pub struct Throttle {
    failures_free: u64,
    pause_seconds_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: HashMap<String, Failures>,
    addresses: HashMap<IpAddr, Failures>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u64,
    last: Utc,
}

impl Throttle {
    /// Counters by the limits given.
    pub fn new(limits: &Limits) -> Self {
        Self {
            failures_free: limits.login_failures_max,
            pause_seconds_max: limits.login_seconds_max,
            state: Mutex::default(),
        }
    }

    /// Begins an attempt: counts it as failed.
    ///
    /// # Errors
    /// In how many seconds the next attempt is welcome; this one must not be looked at.
    pub fn begin(&self, account: &str, address: IpAddr, now: Utc) -> Result<(), u64> {
        let account = shortened(account);
        let mut state = self.state.lock();
        self.admit(&state, &account, address, now)?;
        self.count(&mut state.accounts, account, now);
        self.count(&mut state.addresses, address, now);
        Ok(())
    }

    /// Whether an attempt would be looked at now; counts nothing.
    ///
    /// # Errors
    /// As [`Throttle::begin`].
    pub fn look(&self, account: &str, address: IpAddr, now: Utc) -> Result<(), u64> {
        self.admit(&self.state.lock(), &shortened(account), address, now)
    }

    fn admit(&self, state: &State, account: &str, address: IpAddr, now: Utc) -> Result<(), u64> {
        let waits = [
            state.accounts.get(account).and_then(|failures| self.wait(failures, now)),
            state.addresses.get(&address).and_then(|failures| self.wait(failures, now)),
        ];
        waits.into_iter().flatten().max().map_or(Ok(()), Err)
    }

    /// The attempt was right: the account's failures are forgotten, the address's are one fewer. (All of them would let
    /// whoever has one account here guess at others.)
    pub fn succeeded(&self, account: &str, address: IpAddr) {
        let mut state = self.state.lock();
        state.accounts.remove(&shortened(account));
        if let Some(failures) = state.addresses.get_mut(&address) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    /// How long is still to wait after `failures`: nothing for the first few, then a second, two, four, …
    fn wait(&self, failures: &Failures, now: Utc) -> Option<u64> {
        let beyond = failures.count.checked_sub(self.failures_free)?;
        let pause = 1_u64.checked_shl(u32::try_from(beyond).unwrap_or(63).min(62)).unwrap_or(u64::MAX);
        let pause = pause.min(self.pause_seconds_max);
        let passed = u64::try_from(now.0.saturating_sub(failures.last.0)).unwrap_or(0);
        pause.checked_sub(passed).filter(|seconds| *seconds > 0)
    }

    fn count<K: Hash + Eq + Clone>(&self, map: &mut HashMap<K, Failures>, key: K, now: Utc) {
        let stale_after = i64::try_from(self.pause_seconds_max).unwrap_or(i64::MAX);
        let fresh = |failures: &Failures| now.0.saturating_sub(failures.last.0) <= stale_after;
        if map.len() >= REMEMBERED_MAX && !map.contains_key(&key) {
            map.retain(|_, failures| fresh(failures));
        }
        if map.len() >= REMEMBERED_MAX && !map.contains_key(&key) {
            let mut times: Vec<Utc> = map.values().map(|failures| failures.last).collect();
            times.sort_unstable();
            let median = times[times.len() / 2];
            map.retain(|_, failures| failures.last > median);
        }
        let entry = map.entry(key).or_insert(Failures { count: 0, last: now });
        if !fresh(entry) {
            entry.count = 0;
        }
        *entry = Failures { count: entry.count + 1, last: now };
    }
}

/// Names that are too long for a user are all one account.
fn shortened(account: &str) -> String {
    account.chars().take(65).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn throttle() -> Throttle {
        Throttle::new(&Limits { login_failures_max: 3, login_seconds_max: 60, ..Limits::default() })
    }

    #[test]
    fn pauses_begin_after_the_free_failures_and_grow() {
        let throttle = throttle();
        for _ in 0..3 {
            assert_eq!(throttle.begin("anna", HOME, Utc(0)), Ok(()));
        }
        assert_eq!(throttle.begin("Anna", HOME, Utc(0)), Err(1));
        assert_eq!(throttle.begin("anna", AWAY, Utc(0)), Err(1), "the account waits from everywhere");
        assert_eq!(throttle.begin("ben", HOME, Utc(0)), Err(1), "the address waits for everybody");
        assert_eq!(throttle.begin("ben", AWAY, Utc(0)), Ok(()));
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(throttle.begin("anna", HOME, Utc(now)), Err(pause));
            now += i64::try_from(pause).expect("small");
            assert_eq!(throttle.begin("anna", HOME, Utc(now)), Ok(()));
        }
    }

    #[test]
    fn a_right_password_clears_the_account_but_not_the_address() {
        let throttle = throttle();
        for account in ["anna", "ben", "anna"] {
            throttle.begin(account, HOME, Utc(0)).expect("free");
        }
        throttle.succeeded("anna", HOME);
        assert_eq!(throttle.begin("anna", HOME, Utc(0)), Ok(()));
        assert_eq!(throttle.begin("carla", HOME, Utc(0)), Err(1));
    }

    #[test]
    fn failures_are_forgotten_after_the_longest_pause() {
        let throttle = throttle();
        for _ in 0..3 {
            throttle.begin("anna", HOME, Utc(0)).expect("free");
        }
        for _ in 0..3 {
            assert_eq!(throttle.begin("anna", HOME, Utc(61)), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = throttle();
        for n in 0..u32::try_from(REMEMBERED_MAX + 10).expect("small") {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            let _ = throttle.begin(&n.to_string(), address, Utc(i64::from(n) / 100_000));
        }
        assert!(throttle.state.lock().accounts.len() <= REMEMBERED_MAX);
    }
}
