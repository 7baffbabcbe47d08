//! RRULE and EXRULE as a stored object may have them (RFC 5545 §3.3.10, RFC 7529 §10). What a rule means is for `rule`.

use super::parse::shorten;
use super::{Invalid, InvalidKind, Property};
use crate::rule::Rule;

/// The parts of the RECUR value `value` as (name, value); a part without `=` has an empty value. Empty parts, as
/// behind a semicolon at the end, are skipped.
pub fn rule_parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = value.trim().split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Checks that an RRULE can be followed, and returns its COUNT.
pub(super) fn check_rule(rule: &Property) -> Result<Option<u64>, Invalid> {
    check_scale(rule)?;
    match rule.value.parse::<Rule>() {
        Ok(parsed) => Ok(parsed.count),
        Err(why) => Err(Invalid::new(InvalidKind::CalendarData, rule.line, why.to_string())),
    }
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
