//! Properties of the expander over random rules and objects: it agrees with a slow oracle that walks the calendar
//! day by day, a window is a slice of the whole, and a split series has the same occurrences as before.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Weekday};
use kalends::base::{Interval, Limits, Utc};
use kalends::ical::{CalendarObject, Component};
use kalends::recur::{Budget, Series, split};
use kalends::rule::{Rule, Sequence, civil};
use kalends::zone::Zone;
use proptest::prelude::*;

/// A rule as its parts, so that the oracle need not trust our parser.
#[derive(Debug, Clone, Default)]
struct Parts {
    freq: usize,
    interval: i64,
    count: Option<usize>,
    months: Vec<i64>,
    weeks: Vec<i64>,
    year_days: Vec<i64>,
    month_days: Vec<i64>,
    weekdays: Vec<(i64, u32)>,
    hours: Vec<i64>,
    minutes: Vec<i64>,
    seconds: Vec<i64>,
    positions: Vec<i64>,
    week_start: u32,
}

const FREQS: [&str; 7] = ["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
const DAILY: usize = 3;
const WEEKLY: usize = 4;
const MONTHLY: usize = 5;
const YEARLY: usize = 6;
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Parts {
    fn text(&self) -> String {
        let list = |name: &str, numbers: &[i64]| match numbers {
            [] => String::new(),
            _ => format!(";{name}={}", numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",")),
        };
        let mut text = format!("FREQ={};INTERVAL={}", FREQS[self.freq], self.interval);
        if let Some(count) = self.count {
            text += &format!(";COUNT={count}");
        }
        text += &list("BYMONTH", &self.months);
        text += &list("BYWEEKNO", &self.weeks);
        text += &list("BYYEARDAY", &self.year_days);
        text += &list("BYMONTHDAY", &self.month_days);
        let days: Vec<String> = self
            .weekdays
            .iter()
            .map(|(n, day)| match n {
                0 => WEEKDAYS[*day as usize].to_owned(),
                n => format!("{n}{}", WEEKDAYS[*day as usize]),
            })
            .collect();
        if !days.is_empty() {
            text += &format!(";BYDAY={}", days.join(","));
        }
        text += &list("BYHOUR", &self.hours);
        text += &list("BYMINUTE", &self.minutes);
        text += &list("BYSECOND", &self.seconds);
        text += &list("BYSETPOS", &self.positions);
        text + &format!(";WKST={}", WEEKDAYS[self.week_start as usize])
    }
}

/// The oracle: every period in turn, every day of it looked at, by the words of RFC 5545 §3.3.10.
fn oracle(parts: &Parts, start: NaiveDateTime, periods: i64) -> Vec<NaiveDateTime> {
    let mut found = vec![start];
    for k in 0..periods {
        let mut set = if parts.freq >= DAILY { day_set(parts, start, k) } else { time_set(parts, start, k) };
        set.sort();
        set.dedup();
        if !parts.positions.is_empty() {
            let len = set.len() as i64;
            let at = |p: &i64| if *p > 0 { p - 1 } else { len + p };
            let chosen: BTreeSet<i64> = parts.positions.iter().map(at).filter(|i| (0..len).contains(i)).collect();
            set = chosen.into_iter().map(|i| set[i as usize]).collect();
        }
        found.extend(set.into_iter().filter(|time| *time > start));
    }
    if let Some(count) = parts.count {
        found.truncate(count);
    }
    found
}

fn or_own(list: &[i64], own: u32) -> Vec<i64> {
    if list.is_empty() { vec![i64::from(own)] } else { list.to_vec() }
}

fn day_set(parts: &Parts, start: NaiveDateTime, k: i64) -> Vec<NaiveDateTime> {
    let own = start.date();
    let into_week = (own.weekday().num_days_from_monday() + 7 - parts.week_start) % 7;
    let steps = k * parts.interval;
    let month = i64::from(own.year()) * 12 + i64::from(own.month0()) + steps;
    let (first, days) = match parts.freq {
        DAILY => (own + Days::new(steps as u64), 1),
        WEEKLY => (own - Days::new(u64::from(into_week)) + Days::new(steps as u64 * 7), 7),
        MONTHLY => month_of(month.div_euclid(12), month.rem_euclid(12) + 1),
        _ => {
            let year = i64::from(own.year()) + steps;
            let first = NaiveDate::from_ymd_opt(year as i32, 1, 1).unwrap();
            (first, if first.leap_year() { 366 } else { 365 })
        }
    };
    let mut set = Vec::new();
    for day in (0..days).map(|d| first + Days::new(d)).filter(|day| fits(parts, *day, own)) {
        for h in or_own(&parts.hours, start.hour()) {
            for m in or_own(&parts.minutes, start.minute()) {
                for s in or_own(&parts.seconds, start.second()) {
                    set.push(day.and_time(NaiveTime::from_hms_opt(h as u32, m as u32, s as u32).unwrap()));
                }
            }
        }
    }
    set
}

fn month_of(year: i64, month: i64) -> (NaiveDate, u64) {
    let first = NaiveDate::from_ymd_opt(year as i32, month as u32, 1).unwrap();
    let next = first.checked_add_months(chrono::Months::new(1)).unwrap();
    (first, (next - first).num_days() as u64)
}

fn time_set(parts: &Parts, start: NaiveDateTime, k: i64) -> Vec<NaiveDateTime> {
    let unit = [1, 60, 3600][parts.freq];
    let second = start.and_utc().timestamp().div_euclid(unit) * unit + k * parts.interval * unit;
    let at = chrono::DateTime::from_timestamp(second, 0).unwrap().naive_utc();
    let within = |list: &[i64], value: u32| list.is_empty() || list.contains(&i64::from(value));
    let mut set = Vec::new();
    if !fits(parts, at.date(), start.date()) || !within(&parts.hours, at.hour()) {
        return set;
    }
    let minutes = if parts.freq == 2 { or_own(&parts.minutes, start.minute()) } else { vec![i64::from(at.minute())] };
    let seconds = if parts.freq >= 1 { or_own(&parts.seconds, start.second()) } else { vec![i64::from(at.second())] };
    for m in minutes.into_iter().filter(|m| within(&parts.minutes, *m as u32) || parts.freq == 2) {
        for s in seconds.iter().filter(|s| within(&parts.seconds, **s as u32) || parts.freq >= 1) {
            set.push(at.date().and_time(NaiveTime::from_hms_opt(at.hour(), m as u32, *s as u32).unwrap()));
        }
    }
    set
}

/// Whether the day is one of those that the rule names; what it does not name, `own` (DTSTART's day) implies.
fn fits(parts: &Parts, day: NaiveDate, own: NaiveDate) -> bool {
    let names_days = !(parts.weeks.is_empty()
        && parts.year_days.is_empty()
        && parts.month_days.is_empty()
        && parts.weekdays.is_empty());
    let (_, month_len) = month_of(i64::from(day.year()), i64::from(day.month()));
    let year_len = if day.leap_year() { 366 } else { 365 };
    let on = |list: &[i64], n: i64, len: i64| list.is_empty() || list.contains(&n) || list.contains(&(n - len - 1));
    let implied = match parts.freq {
        WEEKLY => parts.weekdays.is_empty() && day.weekday() != own.weekday(),
        MONTHLY => !names_days && day.day() != own.day(),
        YEARLY if !names_days => day.day() != own.day() || parts.months.is_empty() && day.month() != own.month(),
        YEARLY => {
            let only_weeks = parts.year_days.is_empty() && parts.month_days.is_empty() && parts.weekdays.is_empty();
            only_weeks && day.weekday() != own.weekday()
        }
        _ => false,
    };
    !implied
        && on(&parts.months, i64::from(day.month()), 100)
        && on(&parts.year_days, i64::from(day.ordinal()), year_len)
        && on(&parts.month_days, i64::from(day.day()), month_len as i64)
        && (parts.weeks.is_empty() || parts.weeks.iter().any(|n| week_is(day, *n, parts.week_start)))
        && (parts.weekdays.is_empty() || parts.weekdays.iter().any(|w| weekday_is(parts, day, *w)))
}

fn weekday_is(parts: &Parts, day: NaiveDate, (n, weekday): (i64, u32)) -> bool {
    if day.weekday().num_days_from_monday() != weekday {
        return false;
    }
    let in_year = parts.freq == YEARLY && parts.months.is_empty();
    let same = |other: NaiveDate| other.year() == day.year() && (in_year || other.month() == day.month());
    let weeks_away = |sign: i64| {
        (1i64..)
            .map_while(|k| day.checked_add_signed(chrono::TimeDelta::weeks(sign * k)).filter(|other| same(*other)))
            .count() as i64
    };
    match n {
        0 => true,
        1.. => weeks_away(-1) + 1 == n,
        _ => weeks_away(1) + 1 == -n,
    }
}

/// Whether `day` lies in week `n` of any year, weeks beginning on `week_start`: week 1 is the first with four days.
fn week_is(day: NaiveDate, n: i64, week_start: u32) -> bool {
    let into = |d: NaiveDate| (d.weekday().num_days_from_monday() + 7 - week_start) % 7;
    let begin = day - Days::new(u64::from(into(day)));
    let year_of_week = (begin + Days::new(3)).year();
    let number = (begin + Days::new(3)).ordinal0() / 7 + 1;
    let last_thursday =
        (22..=31).rev().map(|d| NaiveDate::from_ymd_opt(year_of_week, 12, d).unwrap()).find(|d| into(*d) == 3);
    let count = last_thursday.unwrap().ordinal0() / 7 + 1;
    i64::from(number) == n || n < 0 && i64::from(number) == i64::from(count) + n + 1
}

#[test]
fn the_oracle_knows_iso_weeks() {
    for day in (0..4000).map(|d| NaiveDate::from_ymd_opt(2020, 1, 1).unwrap() + Days::new(d)) {
        assert!(week_is(day, i64::from(day.iso_week().week()), Weekday::Mon.num_days_from_monday()));
    }
}

fn list(low: i64, high: i64, negative: bool) -> BoxedStrategy<Vec<i64>> {
    let one = (low..=high, any::<bool>()).prop_map(move |(n, minus)| if minus && negative { -n } else { n });
    let some = prop::collection::btree_set(one, 1..4).prop_map(|set| set.into_iter().collect());
    prop_oneof![3 => Just(Vec::new()), 1 => some].boxed()
}

prop_compose! {
    fn parts()(
        freq in 0usize..7,
        interval in prop_oneof![4 => Just(1i64), 3 => 2i64..8, 1 => 8i64..100],
        count in prop::option::of(1usize..30),
        months in list(1, 12, false),
        weeks in list(1, 53, true),
        year_days in list(1, 366, true),
        month_days in list(1, 31, true),
        weekdays in prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec((-5i64..6, 0u32..7), 1..4)],
        (hours, minutes, seconds) in (list(0, 23, false), list(0, 59, false), list(0, 59, false)),
        positions in prop_oneof![3 => Just(Vec::new()), 1 => list(1, 8, true)],
        week_start in 0u32..7,
    ) -> Parts {
        let mut parts = Parts { freq, interval, count, months, weeks, year_days, month_days, weekdays, hours, minutes, seconds, positions, week_start };
        if freq != YEARLY {
            parts.weeks.clear();
        }
        if [DAILY, WEEKLY, MONTHLY].contains(&freq) {
            parts.year_days.clear();
        }
        if freq == WEEKLY {
            parts.month_days.clear();
        }
        if freq < MONTHLY || !parts.weeks.is_empty() {
            parts.weekdays.iter_mut().for_each(|day| day.0 = 0);
        }
        parts
    }
}

prop_compose! {
    fn start()(day in 0u64..20_000, second in prop_oneof![Just(32_400u32), 0u32..86_400]) -> NaiveDateTime {
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap();
        (NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + Days::new(day)).and_time(time)
    }
}

/// How many periods the oracle walks: enough to see something, few enough to wait for.
const PERIODS: [i64; 7] = [20_000, 20_000, 10_000, 2_000, 400, 100, 12];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_agree_with_the_oracle(parts in parts(), start in start(), skip in 0usize..40) {
        let want = oracle(&parts, start, PERIODS[parts.freq]);
        let rule: Rule = parts.text().parse().unwrap();
        let sequence = Sequence::new(&rule, civil::second_of(start));
        let mut steps = 5_000_000;
        let mut cursor = sequence.from(civil::second_of(start));
        for time in &want {
            let found = cursor.next(&mut steps).unwrap().map(civil::naive);
            prop_assert_eq!(found, Some(*time), "{} from {}", parts.text(), start);
        }
        if parts.count == Some(want.len()) {
            prop_assert_eq!(cursor.next(&mut steps).unwrap(), None);
        }
        if let Some(from) = want.get(skip) {
            let mut late = sequence.from(civil::second_of(*from));
            let found = late.next(&mut steps).unwrap().map(civil::naive);
            prop_assert_eq!(found, Some(*from), "{} from {}, entered later", parts.text(), start);
        }
    }
}

/// A random object: a master with a rule that has something to show within a year, exceptions, and overrides, some of them
/// with RANGE=THISANDFUTURE.
#[derive(Debug, Clone)]
struct Story {
    ics: String,
    zone: &'static str,
    rule: String,
}

const ZONES: [&str; 5] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"];
const RULES: [&str; 10] = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3;COUNT=50",
    "FREQ=WEEKLY;BYDAY=MO,WE,SA",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;COUNT=40;WKST=SU",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYDAY=-1FR,2MO",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1",
    "FREQ=DAILY;BYHOUR=6,18",
    "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD",
    "FREQ=HOURLY;INTERVAL=37",
];

#[derive(Debug, Clone)]
struct Change {
    nth: usize,
    shift_hours: i64,
    hours: i64,
    range: bool,
}

prop_compose! {
    fn change()(nth in 0usize..40, shift_hours in -60i64..60, hours in 0i64..50, range in prop::bool::weighted(0.3)) -> Change {
        Change { nth, shift_hours, hours, range }
    }
}

fn form(local: i64) -> String {
    civil::naive(local).format("%Y%m%dT%H%M%S").to_string()
}

prop_compose! {
    fn story()(
        zone in prop::sample::select(&ZONES[..]),
        rule in prop::sample::select(&RULES[..]),
        day in 0i64..800,
        second in prop::sample::select(vec![9_000i64, 7_200, 32_400, 84_600, 0]),
        hours in prop_oneof![0i64..5, 20i64..60],
        nominal in any::<bool>(),
        exdates in prop::collection::vec(0usize..40, 0..3),
        rdates in prop::collection::vec(0i64..200, 0..3),
        changes in prop::collection::vec(change(), 0..4),
    ) -> Story {
        let start = (civil::days(2023, 1, 1) + day) * civil::DAY + second;
        let sequence = Sequence::new(&rule.parse().unwrap(), start);
        let mut steps = 100_000;
        let mut cursor = sequence.from(start);
        let keys: Vec<i64> = std::iter::from_fn(|| cursor.next(&mut steps).unwrap()).take(40).collect();
        let mut head = vec![format!("DTSTART;TZID={zone}:{}", form(start)), format!("RRULE:{rule}")];
        head.push(if nominal { format!("DURATION:P{}DT1H", hours / 24) } else { format!("DTEND;TZID={zone}:{}", form(start + hours * 3600)) });
        let on = |nth: usize| keys[nth % keys.len()];
        head.extend(exdates.iter().map(|nth| format!("EXDATE;TZID={zone}:{}", form(on(*nth)))));
        head.extend(rdates.iter().map(|days| format!("RDATE;TZID={zone}:{}", form(start + days * civil::DAY + 1_800))));
        let event = |lines: &[String]| format!("BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
{}
END:VEVENT
", lines.join("
"));
        let mut text = event(&head);
        let mut seen = BTreeSet::new();
        for change in changes.iter().filter(|change| seen.insert(on(change.nth))) {
            let (key, range) = (on(change.nth), if change.range { "RANGE=THISANDFUTURE;" } else { "" });
            text += &event(&[
                format!("RECURRENCE-ID;{range}TZID={zone}:{}", form(key)),
                format!("DTSTART;TZID={zone}:{}", form(key + change.shift_hours * 3600)),
                format!("DURATION:PT{}H", change.hours),
            ]);
        }
        Story { ics: format!("BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//x//y
{text}END:VCALENDAR
"), zone, rule: rule.to_owned() }
    }
}

fn parse(ics: &str) -> CalendarObject {
    CalendarObject::parse(ics.as_bytes(), &Limits::default()).unwrap_or_else(|error| {
        panic!(
            "{error}
{ics}"
        )
    })
}

fn budget() -> Budget {
    Budget { steps: 1_000_000, instances: 100_000 }
}

fn touches(interval: Interval, window: Interval) -> bool {
    interval.overlaps(window)
        || interval.start == interval.end && window.start <= interval.start && interval.start < window.end
}

fn at(year: i64, day: i64) -> Utc {
    Utc((civil::days(year, 1, 1) + day) * civil::DAY)
}

fn intervals(calendar: Component, window: Interval) -> Vec<Interval> {
    let object = CalendarObject::of(calendar, &Limits::default()).unwrap();
    let series = Series::new(&object, &Zone::utc()).unwrap();
    let found = series.occurrences(window, &mut budget()).unwrap();
    found.into_iter().map(|occurrence| occurrence.interval).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_window_is_a_slice_of_the_whole(story in story(), day in 0i64..1_500, days in 0i64..60, hour in 0i64..24) {
        let series = Series::new(&parse(&story.ics), &Zone::utc()).unwrap();
        let whole = Interval::new(at(2022, 0), at(2031, 0));
        let all = series.occurrences(whole, &mut budget()).unwrap();
        let from = at(2022, 300 + day).plus(hour * 3600);
        let window = Interval::new(from, from.plus(days * civil::DAY + 3600));
        let slice: Vec<_> = all.iter().filter(|one| touches(one.interval, window)).cloned().collect();
        prop_assert_eq!(&series.occurrences(window, &mut budget()).unwrap(), &slice, "{}", story.ics);
        prop_assert_eq!(series.touches(window, &mut budget()).unwrap(), !slice.is_empty());
        let span = series.span().unwrap();
        for one in &all {
            prop_assert!(span.start <= one.interval.start && span.end.is_none_or(|end| one.interval.end <= end), "{}", story.ics);
        }
    }

    #[test]
    fn a_split_series_has_the_same_occurrences(story in story(), nth in 0usize..60) {
        let object = parse(&story.ics);
        let series = Series::new(&object, &Zone::utc()).unwrap();
        let whole = Interval::new(at(2022, 0), at(2029, 0));
        let all = series.occurrences(whole, &mut budget()).unwrap();
        prop_assume!(!all.is_empty());
        let cut = &all[nth % all.len()];
        match split(&object, &cut.recurrence_id, "second", &Zone::utc()) {
            Ok((first, second)) => {
                let mut both = intervals(first, whole);
                both.extend(intervals(second.clone(), whole));
                both.sort();
                let mut want: Vec<Interval> = all.iter().map(|one| one.interval).collect();
                want.sort();
                prop_assert_eq!(both, want, "{} split at {} in {}
{}
{}", story.rule, cut.recurrence_id, story.zone, story.ics, second.to_ics());
            }
            Err(why) => prop_assert!(why.contains("nothing of the series"), "{why}
{}", story.ics),
        }
    }
}
