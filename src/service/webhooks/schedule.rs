//! When a failed delivery is tried again, and when it is given up. Pure.

use super::{Class, EndpointId};

/// The pauses before attempts, and how far they are spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The pause before each attempt, in milliseconds; the first belongs to the first attempt. As many attempts are made as there are pauses.
    pub delays_ms: Vec<u64>,
    /// How far a pause is spread to both sides, in per cent.
    pub jitter_percent: u64,
    /// Attempts at what is refused (other 4xx, 3xx): a bad deployment of the receiver answers so for minutes.
    pub refused_max: u32,
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is tried again after this many milliseconds.
    Retry(u64),
    /// It is given up.
    Dead,
    /// The endpoint wants no more: it is disabled, the delivery waits until somebody resumes it.
    Disable,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl Default for Schedule {
    fn default() -> Self {
        Self {
            delays_ms: vec![
                0,
                5 * SECOND,
                MINUTE,
                5 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                5 * HOUR,
                10 * HOUR,
                14 * HOUR,
                20 * HOUR,
                24 * HOUR,
            ],
            jitter_percent: 20,
            refused_max: 3,
        }
    }
}

impl Schedule {
    /// How many attempts are made at a delivery that fails with `class`.
    pub fn attempts_max(&self, class: Class) -> u32 {
        let all = u32::try_from(self.delays_ms.len()).unwrap_or(u32::MAX).max(1);
        match class {
            Class::Blocked | Class::Expired => 1,
            Class::Refused | Class::Moved => self.refused_max.min(all),
            _ => all,
        }
    }

    /// What follows when attempt number `attempt` (from 1) of that delivery has failed with `class`.
    pub fn after(
        &self,
        endpoint: EndpointId,
        event: u64,
        attempt: u32,
        class: Class,
        retry_after_ms: Option<u64>,
    ) -> Verdict {
        if class == Class::Gone {
            return Verdict::Disable;
        }
        if attempt >= self.attempts_max(class) {
            return Verdict::Dead;
        }
        let index = usize::try_from(attempt).unwrap_or(usize::MAX);
        let delay = self.delays_ms.get(index).copied().unwrap_or(0);
        let delay = spread(delay, self.jitter_percent, endpoint, event, attempt);
        Verdict::Retry(retry_after_ms.map_or(delay, |asked| clamp_retry_after(asked, delay)))
    }

    /// The longest pause, spread included: no stored time is believed to be further away.
    pub fn longest_ms(&self) -> u64 {
        let longest = self.delays_ms.iter().copied().max().unwrap_or(0);
        clamp_retry_after(u64::MAX, longest.saturating_add(longest / 100 * self.jitter_percent))
    }
}

/// What an endpoint asks for, within what is sensible: not shorter than our own pause, not longer than twice that or an hour.
pub fn clamp_retry_after(asked_ms: u64, delay_ms: u64) -> u64 {
    asked_ms.clamp(delay_ms, delay_ms.saturating_mul(2).max(HOUR))
}

/// The pause spread by up to `percent` to both sides: always the same for the same attempt, different for different ones, so that
/// what failed together does not come back together.
fn spread(delay: u64, percent: u64, endpoint: EndpointId, event: u64, attempt: u32) -> u64 {
    let width = delay.saturating_mul(percent.min(100)) / 100;
    if width == 0 {
        return delay;
    }
    let mixed = mix(endpoint.0 ^ mix(event ^ mix(u64::from(attempt))));
    delay - width + mixed % (2 * width + 1)
}

/// A number that looks nothing like `value` (the finalizer of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// `Retry-After` (RFC 9110 §10.2.3) in milliseconds from `now`: seconds, or an HTTP date. `None` for what is neither; a date in
/// the past is no pause at all.
pub fn retry_after(text: &str, now: super::Millis) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(SECOND));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(u64::try_from(at.timestamp_millis().saturating_sub(now.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::Millis;
    use super::*;

    const ENDPOINT: EndpointId = EndpointId(7);

    #[test]
    fn every_attempt_keeps_to_the_schedule_and_there_is_an_end() {
        let schedule = Schedule::default();
        for event in 1..200_u64 {
            for attempt in 1..11 {
                let delay = schedule.delays_ms[attempt as usize];
                let Verdict::Retry(after) = schedule.after(ENDPOINT, event, attempt, Class::Timeout, None) else {
                    panic!("attempt {attempt} is not the last");
                };
                assert!(after >= delay * 8 / 10 && after <= delay * 12 / 10, "attempt {attempt}: {after} for {delay}");
            }
            assert_eq!(schedule.after(ENDPOINT, event, 11, Class::Timeout, None), Verdict::Dead);
            assert_eq!(schedule.after(ENDPOINT, event, 99, Class::Network, Some(5)), Verdict::Dead);
        }
    }

    #[test]
    fn classes_have_their_own_ends() {
        let schedule = Schedule::default();
        let tries =
            |class| (1..100).find(|attempt| schedule.after(ENDPOINT, 1, *attempt, class, None) == Verdict::Dead);
        for (class, end) in [
            (Class::Network, Some(11)),
            (Class::Timeout, Some(11)),
            (Class::Tls, Some(11)),
            (Class::Throttled, Some(11)),
            (Class::ServerError, Some(11)),
            (Class::Lost, Some(11)),
            (Class::Refused, Some(3)),
            (Class::Moved, Some(3)),
            (Class::Blocked, Some(1)),
            (Class::Expired, Some(1)),
            (Class::Gone, None),
        ] {
            assert_eq!(tries(class), end, "{class:?}");
        }
        assert_eq!(schedule.after(ENDPOINT, 1, 1, Class::Gone, None), Verdict::Disable);
    }

    #[test]
    fn pauses_are_spread() {
        let schedule = Schedule::default();
        let pauses: std::collections::BTreeSet<_> =
            (0..100).map(|event| format!("{:?}", schedule.after(ENDPOINT, event, 3, Class::Timeout, None))).collect();
        assert!(pauses.len() > 90, "{}", pauses.len());
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_within_bounds() {
        for (asked, delay, granted) in [
            (0, 5 * SECOND, 5 * SECOND),
            (7 * SECOND, 5 * SECOND, 7 * SECOND),
            (HOUR, 5 * SECOND, HOUR),
            (2 * HOUR, 5 * SECOND, HOUR),
            (u64::MAX, 5 * HOUR, 10 * HOUR),
            (u64::MAX, 0, HOUR),
        ] {
            assert_eq!(clamp_retry_after(asked, delay), granted, "{asked} at {delay}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_or_nothing() {
        // 2026-11-22T12:00:00Z
        let now = Millis(1_795_348_800_000);
        for (text, meant) in [
            ("120", Some(120 * SECOND)),
            (" 1 ", Some(SECOND)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 22 Nov 2026 12:01:00 GMT", Some(MINUTE)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1.5", None),
            ("+3", None),
            ("Sun, 99 Nov 2026 12:01:00 GMT", None),
            ("12 0", None),
            ("\u{0661}", None),
        ] {
            assert_eq!(retry_after(text, now), meant, "{text:?}");
        }
    }

    #[test]
    fn statuses_have_classes() {
        for (status, class) in [
            (200, Class::Delivered),
            (204, Class::Delivered),
            (299, Class::Delivered),
            (301, Class::Moved),
            (304, Class::Moved),
            (400, Class::Refused),
            (401, Class::Refused),
            (404, Class::Refused),
            (408, Class::ServerError),
            (410, Class::Gone),
            (425, Class::ServerError),
            (429, Class::Throttled),
            (500, Class::ServerError),
            (502, Class::ServerError),
            (503, Class::Throttled),
            (504, Class::ServerError),
            (101, Class::Refused),
            (600, Class::Refused),
            (0, Class::Refused),
        ] {
            assert_eq!(Class::of_status(status), class, "{status}");
        }
    }
}
