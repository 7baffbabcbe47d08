//! Free-busy from calendars (RFC 4791 §7.10, RFC 7953), and masks against the plain computation on random calendars.

use kalends::base::{Interval, Limits, Utc};
use kalends::freebusy::{BusyPeriod, BusyType, CalendarMask, contributions, merge, unavailable, vfreebusy};
use kalends::ical::{CalendarObject, parse_utc};
use kalends::recur::Budget;
use kalends::zone::Zone;
use proptest::prelude::*;

fn budget() -> Budget {
    Budget { steps: 10_000_000, instances: 100_000 }
}

fn range(text: &str) -> Interval {
    let (start, end) = text.split_once('/').expect("start/end");
    Interval::new(parse_utc(start).expect("a time"), parse_utc(end).expect("a time"))
}

fn calendar(lines: &str) -> CalendarObject {
    let body: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\n{body}END:VCALENDAR\r\n");
    CalendarObject::parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn event(lines: &str) -> CalendarObject {
    calendar(&format!("BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n{lines}\nEND:VEVENT"))
}

fn busy_in(object: &CalendarObject, window: &str, zone: &Zone) -> Vec<String> {
    let periods = contributions(object, range(window), zone, &mut budget()).expect("within the budget");
    told(&merge(periods))
}

fn busy(object: &CalendarObject, window: &str) -> Vec<String> {
    busy_in(object, window, &Zone::utc())
}

/// `B 20260105T100000Z/20260105T110000Z`
fn told(periods: &[BusyPeriod]) -> Vec<String> {
    let letter = |kind| match kind {
        BusyType::Busy => 'B',
        BusyType::Unavailable => 'U',
        BusyType::Tentative => 'T',
    };
    periods.iter().map(|p| format!("{} {}/{}", letter(p.kind), p.interval.start, p.interval.end)).collect()
}

const JANUARY: &str = "20260101T000000Z/20260201T000000Z";

// clause 4791/7.10-b
#[test]
fn the_table_of_transp_and_status() {
    let dates = "DTSTART:20260105T100000Z\nDTEND:20260105T110000Z";
    for (more, expected) in [
        ("", Some('B')),
        ("TRANSP:OPAQUE", Some('B')),
        ("STATUS:CONFIRMED", Some('B')),
        ("STATUS:TENTATIVE", Some('T')),
        ("STATUS:X-MAYBE", Some('B')),
        ("STATUS:CANCELLED", None),
        ("transp:transparent", None),
        ("TRANSP:TRANSPARENT\nSTATUS:TENTATIVE", None),
    ] {
        let lines = if more.is_empty() { dates.to_owned() } else { format!("{dates}\n{more}") };
        let expected: Vec<String> =
            expected.map(|kind| format!("{kind} 20260105T100000Z/20260105T110000Z")).into_iter().collect();
        assert_eq!(busy(&event(&lines), JANUARY), expected, "{more}");
    }
}

#[test]
fn events_count_for_as_long_as_they_last() {
    let new_york = Zone::named("America/New_York").expect("a zone everybody knows");
    assert_eq!(busy(&event("DTSTART:20260105T100000Z"), JANUARY), [""; 0]);
    let day = event("DTSTART;VALUE=DATE:20260105");
    assert_eq!(busy(&day, JANUARY), ["B 20260105T000000Z/20260106T000000Z"]);
    assert_eq!(busy_in(&day, JANUARY, &new_york), ["B 20260105T050000Z/20260106T050000Z"]);
    let over = event("DTSTART:20251230T000000Z\nDTEND:20260301T000000Z");
    assert_eq!(busy(&over, JANUARY), ["B 20260101T000000Z/20260201T000000Z"]);
    let todo =
        calendar("BEGIN:VTODO\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T100000Z\nDURATION:PT1H\nEND:VTODO");
    assert_eq!(busy(&todo, JANUARY), [""; 0]);
}

#[test]
fn series_count_instance_by_instance() {
    let series = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T100000Z\nDTEND:20260105T110000Z\nRRULE:FREQ=DAILY;COUNT=5
        EXDATE:20260107T100000Z\nEND:VEVENT
        BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID:20260106T100000Z\nDTSTART:20260106T150000Z\nDTEND:20260106T153000Z
        STATUS:TENTATIVE\nEND:VEVENT
        BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID:20260108T100000Z\nDTSTART:20260108T100000Z\nDTEND:20260108T110000Z
        TRANSP:TRANSPARENT\nEND:VEVENT",
    );
    assert_eq!(
        busy(&series, JANUARY),
        [
            "B 20260105T100000Z/20260105T110000Z",
            "T 20260106T150000Z/20260106T153000Z",
            "B 20260109T100000Z/20260109T110000Z",
        ]
    );
}

#[test]
fn stored_free_busy_counts_by_its_type() {
    let stored = calendar(
        "BEGIN:VFREEBUSY\nUID:1\nDTSTAMP:20260101T000000Z\nFREEBUSY:20260105T100000Z/PT1H,20260301T100000Z/PT1H
        FREEBUSY;FBTYPE=FREE:20260106T100000Z/PT1H\nFREEBUSY;FBTYPE=BUSY-TENTATIVE:20260107T100000Z/20260107T110000Z
        FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20260108T100000Z/PT1H\nFREEBUSY;FBTYPE=X-LUNCH:20260109T100000Z/PT1H\nEND:VFREEBUSY",
    );
    assert_eq!(
        busy(&stored, JANUARY),
        [
            "B 20260105T100000Z/20260105T110000Z",
            "T 20260107T100000Z/20260107T110000Z",
            "U 20260108T100000Z/20260108T110000Z",
            "B 20260109T100000Z/20260109T110000Z",
        ]
    );
}

// clause 4791/7.10-a
/// RFC 4791 §7.10.1, over the calendar of Appendix B.
#[test]
fn the_example_of_rfc_4791() {
    let window = range("20060104T140000Z/20060105T220000Z");
    let mut periods = Vec::new();
    for n in 1..=7 {
        let path = format!("{}/tests/data/rfc4791/abcd{n}.ics", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("the file is part of the repository");
        let object = CalendarObject::parse(&bytes, &Limits::default()).expect("valid");
        periods.extend(contributions(&object, window, &Zone::utc(), &mut budget()).expect("within the budget"));
    }
    let text = vfreebusy(window, &merge(periods), parse_utc("20050125T090000Z").expect("a time"));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("FREEBUSY") || line.starts_with("DT")).collect();
    // The RFC's answer shows 4 January only; its question runs to the 5th, when Event #2 happens once more.
    assert_eq!(
        lines,
        [
            "DTSTAMP:20050125T090000Z",
            "DTSTART:20060104T140000Z",
            "DTEND:20060105T220000Z",
            "FREEBUSY:20060104T190000Z/20060104T200000Z,20060105T170000Z/20060105T180000",
            "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20060104T150000Z/20060104T160000Z",
        ]
    );
}

const OFFICE: &str = "BEGIN:VAVAILABILITY\nUID:1\nDTSTAMP:20260101T000000Z
    DTSTART;TZID=America/Montreal:20260101T000000
    BEGIN:AVAILABLE\nUID:2\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=America/Montreal:20260105T080000
    DTEND;TZID=America/Montreal:20260105T180000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\nEND:AVAILABLE
    BEGIN:AVAILABLE\nUID:2\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;TZID=America/Montreal:20260106T080000
    DTSTART;TZID=America/Montreal:20260106T120000\nDTEND;TZID=America/Montreal:20260106T140000\nEND:AVAILABLE\nEND:VAVAILABILITY";

/// The example of draft-daboo-calendar-availability §4.1.1, and an override beside it.
#[test]
fn outside_of_availability_one_is_unavailable() {
    let office = calendar(OFFICE);
    assert_eq!(
        busy(&office, "20260105T050000Z/20260107T050000Z"),
        [
            "U 20260105T050000Z/20260105T130000Z",
            "U 20260105T230000Z/20260106T170000Z",
            "U 20260106T190000Z/20260107T050000Z",
        ]
    );
    assert_eq!(busy(&office, "20251201T000000Z/20251202T000000Z"), [""; 0]);
    // Events lie over it.
    let lunch = event("DTSTART:20260105T170000Z\nDTEND:20260105T190000Z");
    let late = event("DTSTART:20260106T010000Z\nDTEND:20260106T020000Z");
    let window = range("20260105T120000Z/20260106T050000Z");
    let all = [&office, &lunch, &late]
        .map(|o| contributions(o, window, &Zone::utc(), &mut budget()).expect("within the budget"));
    assert_eq!(
        told(&merge(all.concat())),
        [
            "U 20260105T120000Z/20260105T130000Z",
            "B 20260105T170000Z/20260105T190000Z",
            "U 20260105T230000Z/20260106T010000Z",
            "B 20260106T010000Z/20260106T020000Z",
            "U 20260106T020000Z/20260106T050000Z",
        ]
    );
}

/// Start and end stand on one clock (RFC 5545 §3.8.2.2), as those of events do.
#[test]
fn a_floating_end_of_availability_is_one_of_the_clock_of_its_start() {
    let new_york = Zone::named("America/New_York").expect("a zone everybody knows");
    for (times, expected) in [
        ("DTSTART;TZID=Asia/Tokyo:20260105T090000\nDTEND:20260105T180000", "20260105T000000Z/20260105T090000Z"),
        ("DTSTART:20260105T090000Z\nDTEND:20260105T180000", "20260105T090000Z/20260105T180000Z"),
        ("DTSTART:20260105T090000\nDTEND:20260105T180000", "20260105T140000Z/20260105T230000Z"),
        ("DTSTART:20260105T090000\nDTEND:20260105T180000Z", "20260105T140000Z/20260105T180000Z"),
    ] {
        let away = format!("BEGIN:VAVAILABILITY\nUID:1\nDTSTAMP:20260101T000000Z\n{times}\nEND:VAVAILABILITY");
        assert_eq!(busy_in(&calendar(&away), JANUARY, &new_york), [format!("U {expected}")], "{times}");
        assert_eq!(busy_in(&event(times), JANUARY, &new_york), [format!("B {expected}")], "{times}");
    }
}

#[test]
fn a_higher_priority_replaces_and_equals_add_up() {
    let block = |priority: u8, kind: &str, range: (u8, u8), available: (u8, u8)| {
        calendar(&format!(
            "BEGIN:VAVAILABILITY\nUID:{priority}{kind}\nDTSTAMP:20260101T000000Z\nPRIORITY:{priority}\nBUSYTYPE:{kind}
            DTSTART:20260105T{:02}0000Z\nDTEND:20260105T{:02}0000Z
            BEGIN:AVAILABLE\nUID:2\nDTSTAMP:20260101T000000Z\nDTSTART:20260105T{:02}0000Z\nDTEND:20260105T{:02}0000Z\nEND:AVAILABLE
            END:VAVAILABILITY",
            range.0, range.1, available.0, available.1
        ))
    };
    let window = range("20260105T000000Z/20260106T000000Z");
    let all = |objects: &[&CalendarObject]| {
        told(&merge(unavailable(objects, window, &Zone::utc(), &mut budget()).expect("within the budget")))
    };
    let low = block(0, "BUSY-UNAVAILABLE", (0, 23), (10, 12));
    let high = block(1, "BUSY", (9, 15), (13, 14));
    let expected = [
        "U 20260105T000000Z/20260105T090000Z",
        "B 20260105T090000Z/20260105T130000Z",
        "B 20260105T140000Z/20260105T150000Z",
        "U 20260105T150000Z/20260105T230000Z",
    ];
    assert_eq!(all(&[&low, &high]), expected);
    assert_eq!(all(&[&high, &low]), expected);
    let equal = block(0, "BUSY-TENTATIVE", (9, 15), (13, 14));
    assert_eq!(
        all(&[&low, &equal]),
        [
            "U 20260105T000000Z/20260105T100000Z",
            "U 20260105T120000Z/20260105T130000Z",
            "U 20260105T140000Z/20260105T230000Z",
        ]
    );
}

/// How a random event is written.
#[derive(Debug, Clone)]
struct Written {
    zone: &'static str,
    year: u32,
    /// Day of March, hour, minute, second.
    start: (u32, u32, u32, u32),
    /// In seconds; `None` is a whole day.
    length: Option<i64>,
    rule: &'static str,
    more: &'static str,
    exception: Exception,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Exception {
    None,
    Moved,
    Future,
}

impl Written {
    /// The start, `days` later and two hours off if asked, with what stands before it.
    fn at(&self, days: u32, hours: u32) -> String {
        let (day, hour, minute, second) = self.start;
        let (day, hour) = (day + days, (hour + hours) % 24);
        let local = format!("{}03{day:02}T{hour:02}{minute:02}{second:02}", self.year);
        match self.zone {
            "" => format!(":{local}"),
            "Z" => format!(":{local}Z"),
            zone => format!(";TZID={zone}:{local}"),
        }
    }

    fn object(&self) -> CalendarObject {
        const HEAD: &str = "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z";
        let dates = match self.length {
            None => format!("DTSTART;VALUE=DATE:{}03{:02}", self.year, self.start.0),
            Some(length) => format!("DTSTART{}\nDURATION:PT{length}S", self.at(0, 0)),
        };
        let exception = match self.exception {
            _ if self.length.is_none() || self.rule != "RRULE:FREQ=DAILY" => String::new(),
            Exception::None => String::new(),
            Exception::Moved => {
                format!("{HEAD}\nRECURRENCE-ID{}\nDTSTART:20260325T101000Z\nDURATION:PT25M\nEND:VEVENT", self.at(1, 0))
            }
            Exception::Future => format!(
                "{HEAD}\nRECURRENCE-ID;RANGE=THISANDFUTURE{}\nDTSTART{}\nDURATION:PT25M\nSTATUS:TENTATIVE\nEND:VEVENT",
                self.at(1, 0),
                self.at(1, 2)
            ),
        };
        let text = format!("{HEAD}\n{dates}\n{}\n{}\nEND:VEVENT\n{exception}", self.rule, self.more);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        calendar(&lines.join("\n"))
    }
}

/// Random events, around changes of the clock, in zones of odd offsets.
fn events() -> impl Strategy<Value = CalendarObject> {
    use prop::sample::select;
    let zone = select(vec!["", "Z", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]);
    let rules = vec![
        "",
        "RRULE:FREQ=DAILY",
        "RRULE:FREQ=DAILY",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,SU",
        "RRULE:FREQ=YEARLY",
        "RRULE:FREQ=HOURLY;INTERVAL=7;COUNT=40",
    ];
    let more = select(vec!["", "", "STATUS:TENTATIVE", "STATUS:CANCELLED", "TRANSP:TRANSPARENT"]);
    let length = prop_oneof![
        Just(None),
        select(vec![900_i64, 3600, 31_000_000]).prop_map(Some),
        (0..10_000_i64).prop_map(Some),
        (80_000..400_000_i64).prop_map(Some),
    ];
    let start = (20..31_u32, 0..24_u32, select(vec![0_u32, 15, 30, 7, 59]), select(vec![0_u32, 0, 1]));
    let exception = select(vec![Exception::None, Exception::Moved, Exception::Future]);
    (zone, select(vec![2026_u32, 2026, 1998]), start, length, select(rules), more, exception).prop_map(
        |(zone, year, start, length, rule, more, exception)| {
            // A year long every day would be a calendar of nothing else.
            let length = length.filter(|length| *length < 1_000_000 || rule.is_empty());
            Written { zone, year, start, length, rule, more, exception }.object()
        },
    )
}

proptest! {
    /// Free-busy from masks is free-busy from intervals, to the second.
    #[test]
    fn masks_answer_as_intervals_do(
        calendars in prop::collection::vec(prop::collection::vec(events(), 0..6), 1..4),
        from in 0..1_000_000_i64, length in 1..1_500_000_i64,
    ) {
        let zone = Zone::named("Pacific/Chatham").expect("a zone everybody knows");
        let start = parse_utc("20260318T000000Z").expect("a time").0 + from;
        let window = Interval::new(Utc(start), Utc(start + length));
        let of = |object: &CalendarObject, window| contributions(object, window, &zone, &mut budget()).expect("within the budget");
        let days = range("20260318T000000Z/20260425T000000Z");
        let mut mask = CalendarMask::build(days, []);
        let mut plain = Vec::new();
        for objects in &calendars {
            mask.add(&CalendarMask::build(days, objects.iter().flat_map(|o| of(o, days))));
            plain.extend(objects.iter().flat_map(|o| of(o, window)));
        }
        let plain = merge(plain);
        prop_assert_eq!(mask.periods(window), plain.clone());
        // And with the objects asked only for what the bits do not tell.
        let answer = mask.answer(window);
        let refined: Vec<BusyPeriod> =
            answer.unsure.iter().flat_map(|part| calendars.iter().flatten().flat_map(|o| of(o, *part))).collect();
        prop_assert_eq!(answer.refine(refined), plain);
    }
}
