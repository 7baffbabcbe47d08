#![allow(clippy::unwrap_used)]

use super::*;

fn at(text: &str) -> i64 {
    civil::second_of(chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").unwrap())
}

fn list(rule: &str, start: &str, from: &str, n: usize) -> Vec<String> {
    let sequence = Sequence::new(&rule.parse().unwrap(), at(start));
    let mut cursor = sequence.from(at(from));
    let mut steps = 1_000_000;
    std::iter::from_fn(|| cursor.next(&mut steps).unwrap_or_else(|_| panic!("{rule} takes too long")))
        .take(n)
        .map(|s| civil::naive(s).format("%Y%m%dT%H%M%S").to_string())
        .collect()
}

fn refusal(rule: &str) -> String {
    rule.parse::<Rule>().unwrap_err().to_string()
}

#[test]
fn civil_days_go_there_and_back() {
    for day in (civil::FIRST / civil::DAY..=civil::LAST / civil::DAY).step_by(97) {
        let (y, m, d) = civil::civil(day);
        assert_eq!(civil::days(y, m, d), day);
        assert_eq!(civil::day_of(civil::date(day)), day);
    }
    assert_eq!(civil::FIRST, at("00010101T000000"));
    assert_eq!(civil::LAST, at("99991231T235959"));
}

#[test]
fn what_cannot_be_followed_is_refused_with_a_reason() {
    for (rule, why) in [
        ("BYDAY=MO", "no FREQ"),
        ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY"),
        ("FREQ=WEEKLY;BYDAY=1MO", "needs FREQ=MONTHLY"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "BYWEEKNO"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0"),
        ("FREQ=DAILY;COUNT=-1", "COUNT=-1"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY=0"),
        ("FREQ=WEEKLY;BYDAY=M\u{d6}", "no weekday"),
        ("FREQ=WEEKLY;BYDAY=\u{1F600}", "BYDAY"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=DAILY;UNTIL=20231345", "UNTIL"),
        ("RSCALE=HEBREW;FREQ=YEARLY", "RSCALE=HEBREW"),
        ("FREQ=DAILY;MOON=FULL", "MOON"),
    ] {
        assert!(refusal(rule).contains(why), "{rule}: {}", refusal(rule));
    }
}

#[test]
fn what_is_seen_in_the_wild_is_understood() {
    for rule in [
        "freq=daily;until=20300101t000000z;",
        "FREQ=DAILY;X-FOO=1;INTERVAL=70000",
        "FREQ=MONTHLY;BYDAY=-5FR",
        "FREQ=YEARLY;BYDAY=-53MO",
        "FREQ=MINUTELY;BYSECOND=60",
        "RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=FORWARD",
        "FREQ=DAILY;INTERVAL=99999999999999999999999",
        "FREQ=DAILY;COUNT=99999999999999999999999",
        "FREQ=MONTHLY;BYMONTHDAY=+5, -1",
    ] {
        rule.parse::<Rule>().unwrap();
    }
    let last = list("FREQ=DAILY;INTERVAL=99999999999999999999999", "20200101T000000", "20200101T000000", 3);
    assert_eq!(last, ["20200101T000000"]);
}

#[test]
fn skip_fills_in_the_leap_day() {
    let from = |rule| list(rule, "20160229T000000", "20160229T000000", 5);
    assert_eq!(
        from("RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=FORWARD"),
        ["20160229T000000", "20170301T000000", "20180301T000000", "20190301T000000", "20200229T000000"]
    );
    assert_eq!(
        from("RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=BACKWARD"),
        ["20160229T000000", "20170228T000000", "20180228T000000", "20190228T000000", "20200229T000000"]
    );
    assert_eq!(
        list("RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=1,31;SKIP=FORWARD", "20260331T090000", "20260401T000000", 4),
        ["20260401T090000", "20260501T090000", "20260531T090000", "20260601T090000"]
    );
}

#[test]
fn rules_that_never_match_end_within_few_steps() {
    for rule in [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=5",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=60;BYSECOND=30",
        "FREQ=MINUTELY;INTERVAL=90;BYMINUTE=15",
        "FREQ=HOURLY;INTERVAL=168;BYDAY=TU",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=3",
        "FREQ=DAILY;BYSETPOS=2",
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=300",
        "FREQ=HOURLY;BYMINUTE=0;BYSETPOS=-2;BYMONTH=1",
        "FREQ=DAILY;INTERVAL=99999999999;BYDAY=TU;BYSETPOS=1",
        "FREQ=SECONDLY;INTERVAL=604800;BYDAY=TU;BYSETPOS=1",
    ] {
        let sequence = Sequence::new(&rule.parse().unwrap(), at("20260105T000000"));
        let mut cursor = sequence.from(at("20260105T000001"));
        let mut steps = 1_500_000;
        match cursor.next(&mut steps) {
            Ok(None) => {}
            other => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn a_window_far_from_the_start_costs_what_a_near_one_costs() {
    for rule in [
        "FREQ=DAILY",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE",
        "FREQ=MINUTELY;INTERVAL=7",
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;INTERVAL=7;BYHOUR=3",
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=HOURLY;INTERVAL=5;BYMINUTE=0,20;BYSETPOS=-1",
    ] {
        let sequence = Sequence::new(&rule.parse().unwrap(), at("19950102T090000"));
        let cost = |from: &str| {
            let mut steps = 10_000;
            let mut cursor = sequence.from(at(from));
            for _ in 0..10 {
                cursor.next(&mut steps).unwrap().unwrap();
            }
            10_000 - steps
        };
        assert!(cost("95000101T000000") <= 3 * cost("19950102T090000") + 3, "{rule}");
    }
}

#[test]
fn counting_a_million_is_counting_months() {
    for (rule, seconds) in [
        ("FREQ=DAILY;COUNT=1000000", 999_999 * civil::DAY),
        ("FREQ=SECONDLY;COUNT=1000000", 999_999),
        ("FREQ=MINUTELY;INTERVAL=7;COUNT=1000000", 999_999 * 420),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=1000000", 999_999 * civil::DAY),
    ] {
        let sequence = Sequence::new(&rule.parse().unwrap(), at("20260105T140000"));
        let mut steps = 50_000;
        assert_eq!(sequence.last(&mut steps).unwrap(), at("20260105T140000") + seconds, "{rule}");
    }
}

#[test]
fn a_weekly_ordinal_count_is_exact() {
    let all = list("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=100", "20260105T090000", "20260101T000000", 1_000);
    assert_eq!(all.len(), 100);
    let late = list("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=100", "20260105T090000", "20261101T000000", 1_000);
    assert_eq!(late, all[all.len() - late.len()..]);
}

/// The corpus on the plain calendar: local times of the rule alone. `tests/recur.rs` has it with zones, dates and exceptions.
#[test]
fn the_corpus_passes_on_the_plain_calendar() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rrule.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for case in
        cases.iter().filter(|c| c["exdate"] == "" && c["rdate"] == "" && c["utc"].as_array().unwrap().is_empty())
    {
        let start = case["dtstart"].as_str().unwrap().trim_end_matches('Z');
        let start = if start.len() == 8 { format!("{start}T000000") } else { start.to_string() };
        let rule = case["rrule"].as_str().unwrap();
        let full = |t: &serde_json::Value| {
            let t = t.as_str().unwrap();
            if t.len() == 8 { format!("{t}T000000") } else { t.to_string() }
        };
        let mut expect: Vec<String> = case["local"].as_array().unwrap().iter().map(full).collect();
        if expect.first() != Some(&start) {
            expect.insert(0, start.clone());
        }
        let count = rule.parse::<Rule>().unwrap().count.unwrap_or(u64::MAX);
        expect.truncate(count.min(20) as usize);
        let complete = case["complete"] == true && expect.len() < 20;
        let mut found = list(rule, &start, &start, expect.len() + usize::from(complete));
        if complete {
            let horizon = case["horizon"].as_str().unwrap().to_string();
            found.retain(|f| *f < horizon);
        }
        if found != expect {
            wrong.push(format!("{} {rule} {start}\n  want {expect:?}\n  have {found:?}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}
