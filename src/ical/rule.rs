//! The form of a RECUR value (RFC 5545 §3.3.10, RFC 7529): its parts, and whether each can be read. Which days
//! it yields, and which parts go together, is for `recur`.

use super::parse::shorten;
use super::{DateOrTime, Invalid, InvalidKind, Property};

const FREQUENCIES: &[&str] = &["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
const WEEKDAYS: &[&str] = &["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
const SKIPS: &[&str] = &["OMIT", "BACKWARD", "FORWARD"];

/// The parts of the RECUR value `value` as (name, value); a part without `=` has an empty value. Empty parts, as
/// behind a semicolon at the end, are skipped.
pub fn rule_parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = value.trim().split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Checks the form of an RRULE and returns its COUNT.
pub(super) fn check_rule(rule: &Property) -> Result<Option<u64>, Invalid> {
    let bad = |message: String| Invalid::new(InvalidKind::CalendarData, rule.line, format!("RRULE: {message}"));
    check_scale(rule)?;
    let mut seen: Vec<String> = Vec::new();
    let mut count = None;
    for (name, value) in rule_parts(&rule.value) {
        let name = name.to_ascii_uppercase();
        if !is_readable(&name, value) {
            return Err(bad(format!("{}={} is not understood", shorten(&name), shorten(value))));
        }
        if name == "COUNT" {
            count = value.parse().ok();
        }
        if !name.starts_with("X-") {
            if seen.contains(&name) {
                return Err(bad(format!("{} stands twice", shorten(&name))));
            }
            seen.push(name);
        }
    }
    if !seen.iter().any(|name| name == "FREQ") {
        return Err(bad("it has no FREQ".to_owned()));
    }
    Ok(count)
}

/// Comes first: the other parts of a rule in another calendar would only look wrong.
fn check_scale(rule: &Property) -> Result<(), Invalid> {
    let mut scales = rule_parts(&rule.value).filter(|(name, _)| name.eq_ignore_ascii_case("RSCALE"));
    match scales.find(|(_, scale)| !scale.eq_ignore_ascii_case("GREGORIAN")) {
        None => Ok(()),
        Some((_, scale)) => {
            let message = format!("RRULE: RSCALE={} cannot be computed, only GREGORIAN", shorten(scale));
            Err(Invalid::new(InvalidKind::Rscale, rule.line, message))
        }
    }
}

fn is_readable(name: &str, value: &str) -> bool {
    let one_of = |choices: &[&str]| choices.iter().any(|c| value.eq_ignore_ascii_case(c));
    match name {
        "FREQ" => one_of(FREQUENCIES),
        "WKST" => one_of(WEEKDAYS),
        "SKIP" => one_of(SKIPS),
        "RSCALE" => true,
        "UNTIL" => DateOrTime::parse(value, None).is_ok(),
        "COUNT" | "INTERVAL" => value.parse::<u64>().is_ok_and(|n| n > 0),
        "BYSECOND" => list(value, |n| (0..=60).contains(&n)),
        "BYMINUTE" => list(value, |n| (0..=59).contains(&n)),
        "BYHOUR" => list(value, |n| (0..=23).contains(&n)),
        "BYMONTHDAY" => list(value, |n| n != 0 && n.abs() <= 31),
        "BYYEARDAY" | "BYSETPOS" => list(value, |n| n != 0 && n.abs() <= 366),
        "BYWEEKNO" => list(value, |n| n != 0 && n.abs() <= 53),
        "BYMONTH" => list(value, |n| (1..=12).contains(&n)),
        "BYDAY" => value.split(',').all(is_day),
        _ => name.starts_with("X-"),
    }
}

fn list(value: &str, fits: impl Fn(i32) -> bool) -> bool {
    value.split(',').all(|item| item.trim().parse().is_ok_and(&fits))
}

/// A weekday with or without a position before it: `MO`, `+1MO`, `-53SU`.
fn is_day(item: &str) -> bool {
    let item = item.trim();
    let Some((position, day)) = item.len().checked_sub(2).and_then(|at| item.split_at_checked(at)) else {
        return false;
    };
    let known = WEEKDAYS.iter().any(|d| day.eq_ignore_ascii_case(d));
    known && (position.is_empty() || position.parse::<i32>().is_ok_and(|n| n != 0 && n.abs() <= 53))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str) -> Result<Option<u64>, Invalid> {
        check_rule(&Property::new("RRULE", value))
    }

    #[test]
    fn rules_that_are_read() {
        for value in [
            "FREQ=DAILY;COUNT=10",
            "FREQ=YEARLY;INTERVAL=2;BYMONTH=1;BYDAY=SU;BYHOUR=8,9;BYMINUTE=30",
            "FREQ=MONTHLY;BYDAY=-1FR,+2MO;BYSETPOS=-1;WKST=SU",
            "freq=weekly;byday=mo;until=19971224T000000z;",
            "FREQ=WEEKLY;X-FOO=1;BYDAY=MO",
            "RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=FORWARD",
            "FREQ=MINUTELY;INTERVAL=100000;BYSECOND=60",
        ] {
            check(value).expect(value);
        }
        assert_eq!(check("FREQ=DAILY;COUNT=10"), Ok(Some(10)));
    }

    #[test]
    fn rules_that_are_not() {
        for value in [
            "",
            "COUNT=3",
            "FREQ=FORTNIGHTLY",
            "FREQ=DAILY;COUNT=0",
            "FREQ=DAILY;INTERVAL=0",
            "FREQ=DAILY;UNTIL=tomorrow",
            "FREQ=DAILY;BYMONTH=14",
            "FREQ=WEEKLY;BYDAY=XX",
            "FREQ=WEEKLY;BYDAY=é",
            "FREQ=WEEKLY;BYDAY=0MO",
            "FREQ=DAILY;FREQ=WEEKLY",
            "FREQ=DAILY;BYEASTER=1",
            "FREQ",
        ] {
            assert_eq!(check(value).expect_err(value).kind, InvalidKind::CalendarData);
        }
        for value in ["RSCALE=CHINESE;FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=5L;RSCALE=HEBREW"] {
            assert_eq!(check(value).expect_err(value).kind, InvalidKind::Rscale);
        }
    }
}
