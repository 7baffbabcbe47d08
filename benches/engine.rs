//! What the pure layers cost: text, recurrence, filters and free-busy, without a server or a store.
//!
//! ```text
//! cargo bench --bench engine                     all, about a minute
//! cargo bench --bench engine -- masks            those whose name contains this
//! ```

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kalends::base::{Interval, Limits, Utc};
use kalends::filter::{Collation, CompFilter, CompTest, PropFilter, PropTest, TextMatch, ValueMatch, matches_series};
use kalends::freebusy::{
    Blocking, BusyPeriod, BusyType, CalendarMask, common_free, contributions_of_series, free_slots,
};
use kalends::ical::CalendarObject;
use kalends::recur::{Budget, Series};
use kalends::zone::Zone;

const DAY: i64 = 86_400;
/// 2026-01-05, a Monday.
const MONDAY: i64 = 1_767_571_200;
const PEOPLE: usize = 1_000;

/// The zone as clients send it along with their events.
const BERLIN: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
     TZNAME:CEST\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\n\
     TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nDTSTART:19701025T030000\r\n\
     RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";

fn event(start: &str, rule: &str) -> String {
    let mut text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//benches//EN\r\n{BERLIN}BEGIN:VEVENT\r\nUID:1\r\n"
    );
    let _ = write!(text, "DTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:{start}\r\nDURATION:PT50M\r\n{rule}");
    text.push_str("SUMMARY:Weekly review\\, with everybody\r\nLOCATION:Room 4\r\nDESCRIPTION:");
    text.push_str(&"The agenda is on the page\\n ".repeat(12));
    text.push_str("\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nDESCRIPTION:Soon\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    text
}

fn object(text: &str) -> CalendarObject {
    CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("the event is well-formed")
}

fn series(object: &CalendarObject) -> Series {
    Series::new(object, &Zone::utc()).expect("the rule is well-formed")
}

fn budget() -> Budget {
    Budget { steps: 1_000_000, instances: 100_000 }
}

fn weeks(count: i64) -> Interval {
    Interval::new(Utc(MONDAY), Utc(MONDAY + count * 7 * DAY))
}

fn text(c: &mut Criterion) {
    let text = event("20260105T090000", "RRULE:FREQ=WEEKLY\r\n");
    let tree = object(&text).calendar;
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |b| b.iter(|| object(black_box(&text))));
    group.bench_function("write", |b| b.iter(|| black_box(&tree).to_ics()));
    group.finish();
}

fn expand(c: &mut Criterion) {
    let mut group = c.benchmark_group("expand");
    // The same window for a series of this month and for one that is twenty years old.
    for (name, start, rule) in [
        ("weekly_new", "20260105T090000", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR\r\n"),
        ("weekly_20_years", "20060102T090000", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR\r\n"),
        ("monthly_20_years", "20060102T090000", "RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1\r\n"),
        ("minutely_20_years", "20060102T090000", "RRULE:FREQ=MINUTELY;INTERVAL=7;BYHOUR=9\r\n"),
        ("daily_count_20_years", "20060102T090000", "RRULE:FREQ=DAILY;COUNT=10000\r\n"),
    ] {
        let series = series(&object(&event(start, rule)));
        group.bench_function(name, |b| b.iter(|| series.occurrences(black_box(weeks(4)), &mut budget())));
    }
    let object = object(&event("20060102T090000", "RRULE:FREQ=WEEKLY\r\n"));
    group.bench_function("compile", |b| b.iter(|| series(black_box(&object))));
    group.finish();
}

/// Busy times of one person: five meetings a day, some of which begin or end within a quarter of an hour.
fn busy(person: usize, window: Interval) -> Vec<BusyPeriod> {
    let mut seed = person as i64 * 7_919 + 13;
    let mut next = |below: i64| {
        seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
        (seed >> 8) % below
    };
    let mut periods = Vec::new();
    for day in 0..window.seconds() / DAY {
        for _ in 0..5 {
            let start = window.start.plus(day * DAY + 8 * 3_600 + next(120) * 300);
            let kind = if next(10) == 0 { BusyType::Tentative } else { BusyType::Busy };
            periods.push(BusyPeriod { interval: Interval::new(start, start.plus((1 + next(12)) * 300)), kind });
        }
    }
    periods
}

fn masks(c: &mut Criterion) {
    let window = weeks(4);
    let mut group = c.benchmark_group("masks");
    let meeting = object(&event("20060102T090000", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR\r\n"));
    let compiled = series(&meeting);
    group.bench_function("contributions", |b| {
        b.iter(|| contributions_of_series(&meeting, &compiled, black_box(window), &mut budget()))
    });
    let periods = busy(0, window);
    group.bench_function("build", |b| {
        b.iter_batched(|| periods.clone(), |periods| CalendarMask::build(window, periods), BatchSize::SmallInput)
    });
    let people: Vec<CalendarMask> = (0..PEOPLE).map(|n| CalendarMask::build(window, busy(n, window))).collect();
    group.bench_function("report", |b| b.iter(|| black_box(&people[0]).periods(window)));
    group.bench_function("add", |b| {
        let add = |mut mask: CalendarMask| {
            mask.add(&people[1]);
            mask
        };
        b.iter_batched(|| people[0].clone(), add, BatchSize::SmallInput)
    });
    let masks: Vec<&CalendarMask> = people.iter().collect();
    group.bench_function("merge_1000_people", |b| b.iter(|| free_slots(black_box(&masks), window, Blocking::All)));
    group.bench_function("meeting_1000_people", |b| {
        b.iter(|| common_free(black_box(&masks), window, 1_800, 900, Blocking::All))
    });
    group.finish();
}

fn filter(c: &mut Criterion) {
    let all = |time_range, props, comps| CompTest::All { time_range, props, comps };
    let outer = |inner: CompTest| CompFilter {
        name: "VCALENDAR".into(),
        test: all(None, Vec::new(), vec![CompFilter { name: "VEVENT".into(), test: inner }]),
    };
    let title = TextMatch { text: "EVERYBODY".into(), collation: Collation::AsciiCasemap, negate: false };
    let value = Some(ValueMatch::Text(title));
    let summary = PropFilter { name: "SUMMARY".into(), test: PropTest::All { value, params: Vec::new() } };
    let object = object(&event("20060102T090000", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR\r\n"));
    let series = series(&object);
    let mut group = c.benchmark_group("filter");
    for (name, filter) in [
        ("time_range", outer(all(Some(weeks(1)), Vec::new(), Vec::new()))),
        ("text_match", outer(all(None, vec![summary], Vec::new()))),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| matches_series(black_box(&filter), &object, &series, &Zone::utc(), &mut budget()))
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
}

criterion_group! { name = benches; config = short(); targets = text, expand, masks, filter }
criterion_main!(benches);
