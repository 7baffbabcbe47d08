//! Times and lengths as they stand on the command line.

use chrono::DateTime;

use crate::base::Utc;
use crate::ical;

/// Lengths are at most this many seconds: ten years.
const LENGTH_MAX: i64 = 3_660 * 86_400;

/// The point in time that `text` writes as RFC 3339 does, or as iCalendar writes UTC (RFC 5545 §3.3.5, form #2).
///
/// # Errors
/// A sentence, if it is neither.
pub(super) fn point(text: &str) -> Result<Utc, String> {
    if let Ok(time) = ical::parse_utc(text) {
        return Ok(time);
    }
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "write a time with its offset, as in 2026-01-05T09:00:00+01:00, or 20260105T080000Z".to_owned())?;
    Ok(Utc::from_naive(time.naive_utc()))
}

/// The seconds that `text` writes as numbers with units (`1h30m`) or as iCalendar does (`PT1H30M`, RFC 5545 §3.3.6).
///
/// # Errors
/// A sentence, if it is neither, not positive, or more than ten years.
pub(super) fn length(text: &str) -> Result<i64, String> {
    let seconds = in_units(text).or_else(|| in_icalendar(text));
    let seconds = seconds.ok_or("write a length with units, as in 30m, 1h30m, 2d, or PT30M")?;
    match seconds {
        1..=LENGTH_MAX => Ok(seconds),
        _ => Err("a length is positive, and at most ten years".to_owned()),
    }
}

fn in_units(text: &str) -> Option<i64> {
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(seconds)
}

fn in_icalendar(text: &str) -> Option<i64> {
    let length = ical::Duration::parse(text).ok()?;
    length.days.checked_mul(86_400)?.checked_add(length.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(point("19700101T010000Z"), Ok(Utc(3_600)));
        assert_eq!(point("1970-01-01T01:00:00Z"), Ok(Utc(3_600)));
        assert_eq!(point("1970-01-01T02:30:00+01:30"), Ok(Utc(3_600)));
        for wrong in ["", "1970-01-01", "19700101T010000", "1970-01-01T01:00:00", "tomorrow"] {
            assert!(point(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_read_in_both_forms() {
        for (text, seconds) in
            [("30m", 1_800), ("1h30m", 5_400), ("2d", 172_800), ("90s", 90), ("1w", 604_800), ("PT30M", 1_800)]
        {
            assert_eq!(length(text), Ok(seconds), "{text}");
        }
        for wrong in
            ["", "30", "m", "0m", "-30m", "-PT30M", "1y", "\u{e9}", "3\u{e9}", "99999999999999999999m", "99999w"]
        {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }
}
