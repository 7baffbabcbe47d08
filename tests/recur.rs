//! The corpus of adjudicated recurrence rules (`tests/data/rrule.json`), through whole calendar objects: every
//! case from its start, and again through windows in its middle.
//!
//! A case's `local` are the first 20 times of the rule by itself. Where DTSTART does not fit its rule it is the
//! first occurrence all the same, and COUNT counts it (RFC 5545 §3.3.10).

use kalends::base::{Interval, Limits, Utc};
use kalends::ical::{CalendarObject, DateOrTime};
use kalends::recur::{Budget, Occurrence, Series};
use kalends::zone::Zone;
use serde_json::Value;

/// The corpus was made with zone data 2025b. Morocco has changed its clocks since: after Ramadan 2026 its
/// UTC times no longer hold, and an UNTIL in UTC that was computed from a local time is an hour early.
const CHANGED: (&str, &str) = ("Africa/Casablanca", "20260323");

struct Case {
    id: String,
    ics: String,
    count: Option<usize>,
    local: Vec<String>,
    utc: Vec<String>,
    complete: bool,
    horizon: String,
    tzid: String,
}

fn cases() -> Vec<Case> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rrule.json")).expect("it is there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    cases.iter().map(case).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|v| v.as_str().expect("a text").to_owned()).collect()
}

/// `rule` with the UNTIL that the same local time has under today's zone data.
fn today(rule: &str, tzid: &str) -> String {
    let until = rule.split(';').find_map(|part| part.strip_prefix("UNTIL=")?.strip_suffix('Z'));
    match until {
        Some(until) if tzid == CHANGED.0 && until >= CHANGED.1 => {
            rule.replace(&format!("{until}Z"), &point(until).plus(3600).to_string())
        }
        _ => rule.to_owned(),
    }
}

fn case(value: &Value) -> Case {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let start = text("dtstart");
    let param = match (start.len(), value["tzid"].as_str()) {
        (8, _) => ";VALUE=DATE".to_owned(),
        (_, Some(tzid)) => format!(";TZID={tzid}"),
        _ => String::new(),
    };
    let lines: Vec<String> = [
        format!("DTSTART{param}:{start}"),
        format!("RRULE:{}", today(&text("rrule"), &text("tzid"))),
        text("exdate"),
        text("rdate"),
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .collect();
    let ics = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n{}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        lines.join("\r\n")
    );
    let count = text("rrule").split(';').find_map(|part| part.strip_prefix("COUNT=")?.parse().ok());
    let (mut local, mut utc) = (texts(&value["local"]), texts(&value["utc"]));
    let own = start.trim_end_matches('Z').to_owned();
    let is_excluded = text("exdate").contains(&own);
    if local.first() != Some(&own) && !is_excluded {
        if value["complete"] == true && count.is_some_and(|count| count <= local.len()) {
            local.pop();
            utc.pop();
        }
        local.insert(0, own);
        if text("dtstart").ends_with('Z') {
            utc.insert(0, start);
        } else if value["tzid"].is_string() {
            utc.insert(0, String::new());
        }
        local.truncate(20);
        utc.truncate(20);
    }
    Case {
        id: text("id"),
        ics,
        count,
        local,
        utc,
        complete: value["complete"] == true,
        horizon: text("horizon"),
        tzid: text("tzid"),
    }
}

fn series(case: &Case) -> Series {
    let object =
        CalendarObject::parse(case.ics.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", case.id));
    Series::new(&object, &Zone::utc()).unwrap_or_else(|error| panic!("{}: {error}", case.id))
}

fn budget() -> Budget {
    Budget { steps: 3_000_000, instances: 1_000_000 }
}

fn point(text: &str) -> Utc {
    let DateOrTime::Utc(at) = DateOrTime::parse(&format!("{text}Z"), None).expect("a time") else { panic!("{text}") };
    Utc::from_naive(at)
}

fn local(occurrence: &Occurrence) -> String {
    occurrence.start.to_string().trim_end_matches('Z').to_owned()
}

/// The first 20, found through windows that double until there are enough.
fn first(case: &Case, series: &Series) -> Vec<Occurrence> {
    let start = series.span().expect("it has a start").start;
    let mut length = 86_400;
    loop {
        let end = start.plus(length).min(point(&case.horizon));
        let window = Interval::new(start.plus(-86_400), end);
        let mut found = series.occurrences(window, &mut budget()).unwrap_or_else(|e| panic!("{}: {e}", case.id));
        if found.len() >= case.local.len().max(1) && !case.complete || found.len() >= 20 || end == point(&case.horizon)
        {
            found.truncate(20);
            return found;
        }
        length *= 2;
    }
}

#[test]
fn the_corpus_passes_whole() {
    let mut wrong = Vec::new();
    for case in cases() {
        let series = series(&case);
        let mut found = first(&case, &series);
        if !case.complete {
            found.truncate(case.local.len());
        }
        let have: Vec<String> = found.iter().map(local).collect();
        if have != case.local {
            wrong.push(format!("{}\n{}  want {:?}\n  have {have:?}", case.id, case.ics, case.local));
            continue;
        }
        for (occurrence, want) in found.iter().zip(&case.utc).filter(|(_, want)| !want.is_empty()) {
            let have = occurrence.interval.start.to_string();
            let holds = CHANGED.0 != case.tzid || have.as_str() < CHANGED.1;
            if holds && have != *want {
                wrong.push(format!("{}: {} is {have}, not {want}", case.id, local(occurrence)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(8)].join("\n"));
}

#[test]
fn a_window_in_the_middle_is_a_slice_of_the_whole() {
    for case in cases() {
        let series = series(&case);
        let all = first(&case, &series);
        for (from, to) in [(0, 1), (3, 9), (10, 19), (15, 16)] {
            let (Some(a), Some(b)) = (all.get(from), all.get(to)) else { continue };
            let window = Interval::new(a.interval.start, b.interval.start);
            let found = series.occurrences(window, &mut budget()).unwrap_or_else(|e| panic!("{}: {e}", case.id));
            let slice: Vec<Occurrence> = all
                .iter()
                .filter(|o| window.start <= o.interval.start && o.interval.start < window.end)
                .cloned()
                .collect();
            assert_eq!(found, slice, "{} {window:?}\n{}", case.id, case.ics);
            assert!(series.touches(window, &mut budget()).expect("within the budget"));
        }
    }
}

#[test]
fn no_case_has_more_occurrences_than_its_count_says() {
    for case in cases() {
        let Some(count) = case.count else { continue };
        let series = series(&case);
        let window = Interval::new(Utc::MIN, point("24000101T000000"));
        let found = series.occurrences(window, &mut budget()).unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let extra = case.ics.matches("RDATE").count();
        assert!(found.len() <= count + extra, "{}", case.id);
        let span = series.span().expect("it has a span");
        assert!(
            found.iter().all(|o| span.start <= o.interval.start && span.end.is_none_or(|end| o.interval.end <= end)),
            "{}",
            case.id
        );
    }
}
