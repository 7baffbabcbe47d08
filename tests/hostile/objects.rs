//! iCalendar and jCal: what is stored, or refused by name, and never expanded without end.

use super::server::{CALENDAR, Case, Want, request};

/// A VCALENDAR around components.
pub fn calendar(inside: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{inside}END:VCALENDAR\r\n")
}

/// A VEVENT with these lines.
pub fn component(uid: &str, lines: &str) -> String {
    format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n{lines}END:VEVENT\r\n")
}

/// A calendar with one event.
pub fn event(uid: &str, lines: &str) -> String {
    calendar(&component(uid, lines))
}

const START: &str = "DTSTART:20260101T000000Z\r\n";

fn listed(property: &str, count: u32) -> String {
    let values: Vec<String> = (0..count)
        .map(|i| format!("{}{:02}{:02}T{:02}0000Z", 1970 + i / 8_064, i / 672 % 12 + 1, i / 24 % 28 + 1, i % 24))
        .collect();
    format!("{property}:{}\r\n", values.join(","))
}

/// Rules, each on a start of its own kind: the second table of the product.
const RULES: &[&str] = &[
    "FREQ=SECONDLY",
    "FREQ=SECONDLY;COUNT=100000000",
    "FREQ=SECONDLY;COUNT=18446744073709551615",
    "FREQ=SECONDLY;UNTIL=99991231T235959Z",
    "FREQ=SECONDLY;INTERVAL=4294967295",
    "FREQ=SECONDLY;INTERVAL=18446744073709551616",
    "FREQ=MINUTELY;BYSECOND=0,1,2,3,4,5,6,7,8,9,10,59",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;BYHOUR=3;BYMINUTE=7;BYSECOND=9",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31",
    "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU;INTERVAL=7",
    "FREQ=YEARLY;INTERVAL=100000",
    "FREQ=YEARLY;BYEASTER=0",
    "FREQ=YEARLY;BYSETPOS=366;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYMINUTE=0,15,30,45;BYSECOND=0,30",
    "FREQ=MONTHLY;BYDAY=53MO",
    "FREQ=MONTHLY;BYDAY=-5FR;BYMONTHDAY=13;BYSETPOS=-1",
    "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;INTERVAL=-1",
    "FREQ=DAILY;COUNT=0",
    "FREQ=DAILY;COUNT=-5",
    "FREQ=DAILY;COUNT=5;UNTIL=20300101T000000Z",
    "FREQ=DAILY;UNTIL=00010101T000000Z",
    "FREQ=DAILY;UNTIL=20269999T000000Z",
    "FREQ=DAILY;FREQ=SECONDLY",
    "FREQ=NEVER",
    "COUNT=3",
    "",
    ";;;;=;=",
    "FREQ=DAILY;BYHOUR=24",
    "FREQ=DAILY;BYMONTHDAY=0",
    "FREQ=DAILY;BYSECOND=61",
    "FREQ=DAILY;WKST=XX",
    "FREQ=DAILY;RSCALE=CHINESE;SKIP=FORWARD",
    "FREQ=DAILY;X-EVIL=1",
    "FREQ=WEEKLY;BYDAY=1MO",
];

const STARTS: &[&str] = &[
    "DTSTART:20260101T000000Z\r\n",
    "DTSTART;TZID=Europe/Berlin:19700101T023000\r\n",
    "DTSTART;VALUE=DATE:00010101\r\n",
];

fn folded(text: &str, every: usize) -> String {
    let pieces: Vec<&str> =
        text.as_bytes().chunks(every).map(|piece| std::str::from_utf8(piece).unwrap_or("")).collect();
    pieces.join("\r\n ")
}

/// Bodies that may be stored or refused.
fn bodies() -> Vec<(String, String)> {
    let params = |count: usize| (0..count).map(|i| format!(";X-P{i}=v")).collect::<String>();
    let zone = |lines: &str| {
        let zone = format!("BEGIN:VTIMEZONE\r\nTZID:Evil\r\n{lines}END:VTIMEZONE\r\n");
        calendar(&format!("{zone}{}", component("zone", "DTSTART;TZID=Evil:20260101T000000\r\n")))
    };
    let observance = |lines: &str| {
        let times = "DTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n";
        format!("BEGIN:STANDARD\r\n{times}{lines}END:STANDARD\r\n")
    };
    let related: String = (0..1_000)
        .map(|i| format!("BEGIN:VTODO\r\nUID:cycle\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID:2026010{}T000000Z\r\nRELATED-TO:cycle\r\nEND:VTODO\r\n", i % 9 + 1))
        .collect();
    let over = |uid: &str, id: &str| component(uid, &format!("RECURRENCE-ID:{id}\r\n{START}"));
    let many_overrides: String = (0..5_000)
        .map(|i| over("many", &format!("2026{:02}{:02}T{:02}0000Z", i / 672 % 12 + 1, i / 24 % 28 + 1, i % 24)))
        .collect();
    let alarms = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nREPEAT:4294967295\r\nDURATION:PT1S\r\nDESCRIPTION:x\r\nEND:VALARM\r\n";
    let nested = format!("{}{}", "BEGIN:VEVENT\r\n".repeat(10_000), "END:VEVENT\r\n".repeat(10_000));
    let attendees: String = (0..20_000).map(|i| format!("ATTENDEE:mailto:a{i}@example.com\r\n")).collect();
    let forever = "RRULE:FREQ=DAILY\r\n";
    let mut bodies = vec![
        ("folded, one character a line", event("f1", &format!("{START}SUMMARY:{}\r\n", folded(&"x".repeat(300_000), 1)))),
        ("folded, empty lines", event("f2", &format!("{START}SUMMARY:x{}\r\n", "\r\n ".repeat(1_000_000)))),
        ("a line of nine megabytes", event("f3", &format!("{START}DESCRIPTION:{}\r\n", "x".repeat(9_000_000)))),
        ("folded begin", calendar(&component("f4", START)).replace("BEGIN", "BE\r\n GIN")),
        ("ends in a fold", event("f5", START) + " "),
        ("begins with a fold", String::from(" ") + &event("f6", START)),
        ("parameters by the thousand", event("p1", &format!("{START}SUMMARY{}:x\r\n", params(50_000)))),
        ("a parameter of a megabyte", event("p2", &format!("{START}SUMMARY;X-P={}:x\r\n", "v".repeat(1_000_000)))),
        ("a parameter with many values", event("p3", &format!("{START}SUMMARY;X-P={}:x\r\n", "v,".repeat(500_000)))),
        ("quotes unclosed", event("p4", &format!("{START}SUMMARY;X-P=\"open:x\r\n"))),
        ("a property name of a megabyte", event("p5", &format!("{START}X-{}:x\r\n", "N".repeat(1_000_000)))),
        ("half a million properties", event("p6", &format!("{START}{}", "X-A:1\r\n".repeat(500_000)))),
        ("two million properties", event("p7", &format!("{START}{}", "X:\r\n".repeat(2_000_000)))),
        ("NUL in a value", event("n1", &format!("{START}SUMMARY:a\0b\r\n"))),
        ("NUL in a UID", event("n\0", START)),
        ("NULs alone", "\0".repeat(100_000)),
        ("control characters", event("n3", &format!("{START}SUMMARY:\u{1}\u{7}\u{1b}[2J\r\n"))),
        ("bare CR", event("n4", START).replace("\r\n", "\r")),
        ("UID of a megabyte", event(&"u".repeat(1_000_000), START)),
        ("UID empty", event("", START)),
        ("UID like a path", event("../../../etc/passwd", START)),
        ("UID with an escape bomb", event(&"\\\\".repeat(1_000), START)),
        ("related to itself", event("r1", &format!("{START}RELATED-TO:r1\r\n"))),
        ("related in circles", calendar(&related)),
        ("related by the thousand", event("r3", &format!("{START}{}", "RELATED-TO;RELTYPE=PARENT:r3\r\n".repeat(20_000)))),
        ("override without a master", calendar(&over("o1", "20260101T000000Z"))),
        ("two masters", calendar(&(component("o2", START) + &component("o2", START)))),
        ("two overrides of one instance", calendar(&(component("o3", &format!("{START}{forever}")) + &over("o3", "20260102T000000Z").repeat(2)))),
        ("override of what is no instance", calendar(&(component("o4", START) + &over("o4", "19990101T000000Z")))),
        ("override as a date of times", calendar(&(component("o5", &format!("{START}{forever}")) + &component("o5", &format!("RECURRENCE-ID;VALUE=DATE:20260102\r\n{START}"))))),
        ("this and future, again and again", calendar(&(component("o6", &format!("{START}{forever}")) + &(1..28).map(|d| component("o6", &format!("RECURRENCE-ID;RANGE=THISANDFUTURE:202601{d:02}T000000Z\r\nDTSTART:202601{d:02}T010000Z\r\n"))).collect::<String>()))),
        ("overrides by the thousand", calendar(&(component("many", &format!("{START}RRULE:FREQ=HOURLY\r\n")) + &many_overrides))),
        ("overrides beyond the limit", calendar(&over("o8", "20260101T000000Z").repeat(25_000))),
        ("two UIDs", calendar(&(component("a", START) + &component("b", START)))),
        ("RDATEs by the ten thousand", event("d1", &format!("{START}{}", listed("RDATE", 50_000)))),
        ("RDATEs on lines of their own", event("d2", &format!("{START}{}", listed("RDATE", 1).repeat(50_000)))),
        ("EXDATEs by the ten thousand", event("d3", &format!("{START}RRULE:FREQ=HOURLY\r\n{}", listed("EXDATE", 50_000)))),
        ("EXDATE of all", event("d4", &format!("{START}RRULE:FREQ=DAILY;COUNT=3\r\nEXDATE:20260101T000000Z,20260102T000000Z,20260103T000000Z\r\n"))),
        ("RDATE periods that go back", event("d5", &format!("{START}RDATE;VALUE=PERIOD:20260102T000000Z/20250101T000000Z\r\n"))),
        ("RRULEs by the hundred", event("d6", &format!("{START}{}", "RRULE:FREQ=SECONDLY\r\n".repeat(500)))),
        ("ends before it starts", event("t1", &format!("{START}DTEND:19990101T000000Z\r\n"))),
        ("lasts for ever", event("t2", &format!("{START}DURATION:P999999999999W\r\n"))),
        ("lasts less than nothing", event("t3", &format!("{START}DURATION:-P1D\r\n"))),
        ("long and often", event("t4", &format!("{START}DURATION:P3650D\r\nRRULE:FREQ=MINUTELY\r\n"))),
        ("the 31st of February", event("t5", "DTSTART:20260231T000000Z\r\n")),
        ("the year 0", event("t6", "DTSTART:00000101T000000Z\r\n")),
        ("the year 9999", event("t7", "DTSTART:99991231T235959Z\r\nDURATION:P10000W\r\n")),
        ("the hour 25", event("t8", "DTSTART:20260101T250000Z\r\n")),
        ("the second 60", event("t9", "DTSTART:20261231T235960Z\r\n")),
        ("no start", event("t10", "")),
        ("two starts", event("t11", &START.repeat(2))),
        ("a start of letters", event("t12", "DTSTART:tomorrow\r\n")),
        ("digits beyond ASCII", event("t13", "DTSTART:２０２６０１０１\r\n")),
        ("a start of a megabyte", event("t14", &format!("DTSTART:{}\r\n", "2".repeat(1_000_000)))),
        ("zone that nobody knows", event("z1", "DTSTART;TZID=Nowhere/Atlantis:20260101T000000\r\n")),
        ("zone like a path", event("z2", "DTSTART;TZID=../../../../etc/passwd:20260101T000000\r\n")),
        ("zone of a megabyte", event("z3", &format!("DTSTART;TZID={}:20260101T000000\r\n", "z".repeat(1_000_000)))),
        ("zone without observances", zone("")),
        ("zone that changes every second", zone(&observance("RRULE:FREQ=SECONDLY\r\n"))),
        ("zone that changes on each of many dates", zone(&observance(&listed("RDATE", 20_000)))),
        ("zone of thousands of observances", zone(&observance("RRULE:FREQ=YEARLY\r\n").repeat(5_000))),
        ("zone with absurd offsets", zone(&observance("").replace("+0200", "+9999"))),
        ("zone with offsets of letters", zone(&observance("").replace("+0200", "evil"))),
        ("zone twice", zone(&observance("")).replace("BEGIN:VEVENT", "BEGIN:VTIMEZONE\r\nTZID:Evil\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT")),
        ("alarms by the thousand", event("a1", &format!("{START}{}", alarms.repeat(10_000)))),
        ("alarm that repeats for ever", event("a2", &format!("{START}{alarms}"))),
        ("alarm in an alarm", event("a3", &format!("{START}{}", alarms.replace("END:VALARM", &format!("{alarms}END:VALARM"))))),
        ("attendees by the ten thousand", event("a4", &format!("{START}{attendees}"))),
        ("events in events", calendar(&nested)),
        ("unclosed", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n".into()),
        ("closed twice", event("c1", START) + "END:VCALENDAR\r\n"),
        ("closed in the wrong order", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\nEND:VEVENT\r\n".into()),
        ("two calendars", event("c3", START).repeat(2)),
        ("a thousand calendars", event("c4", START).repeat(1_000)),
        ("a calendar of nothing", calendar("")),
        ("with a METHOD", event("c6", START).replace("VERSION", "METHOD:REQUEST\r\nVERSION")),
        ("a component that nobody knows", calendar("BEGIN:X-EVIL\r\nEND:X-EVIL\r\n")),
        ("empty", String::new()),
        ("lines without a colon", calendar("EVIL\r\n")),
        ("attached megabytes", event("m1", &format!("{START}ATTACH;ENCODING=BASE64;VALUE=BINARY:{}\r\n", "QUFB".repeat(1_500_000)))),
        ("attached from a file", event("m2", &format!("{START}ATTACH:file:///etc/passwd\r\n"))),
        ("markup in a title", event("m3", &format!("{START}SUMMARY:]]><script>alert(1)</script>&evil;\r\n"))),
        ("availability of many", calendar(&format!("BEGIN:VAVAILABILITY\r\nUID:v\r\nDTSTAMP:20260101T000000Z\r\n{}END:VAVAILABILITY\r\n", "BEGIN:AVAILABLE\r\nUID:w\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nRRULE:FREQ=SECONDLY\r\nEND:AVAILABLE\r\n".repeat(1_000)))),
        ("free and busy by the thousand", calendar(&format!("BEGIN:VFREEBUSY\r\nUID:b\r\nDTSTAMP:20260101T000000Z\r\n{}END:VFREEBUSY\r\n", "FREEBUSY:20260101T000000Z/PT1H\r\n".repeat(50_000)))),
    ]
    .into_iter()
    .map(|(name, body): (&str, String)| (name.to_owned(), body))
    .collect::<Vec<_>>();
    for (at, start) in STARTS.iter().enumerate() {
        for (number, rule) in RULES.iter().enumerate() {
            let shown: String = rule.chars().take(60).collect();
            bodies.push((
                format!("rule {number} {shown}, start {at}"),
                event("rule", &format!("{start}RRULE:{rule}\r\n")),
            ));
        }
    }
    bodies
}

/// jCal, which is read by another parser.
fn jcal() -> Vec<(&'static str, String)> {
    let one =
        |inside: &str| format!("[\"vcalendar\",[[\"version\",{{}},\"text\",\"2.0\"]],[[\"vevent\",[{inside}],[]]]]");
    vec![
        ("deep arrays", "[".repeat(100_000)),
        ("deep arrays, closed", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("deep objects", "{\"a\":".repeat(100_000)),
        ("not an array", "{}".into()),
        ("null", "null".into()),
        ("empty", "[]".into()),
        ("a number", "1e999999".into()),
        ("lone surrogate", one("[\"summary\",{},\"text\",\"\\ud800\"]")),
        ("NUL", one("[\"summary\",{},\"text\",\"\\u0000\"]")),
        ("line breaks in a name", one("[\"summary\\r\\nEND:VEVENT\",{},\"text\",\"x\"]")),
        ("line breaks in a parameter", one("[\"summary\",{\"x\":\"\\r\\nEND:VEVENT\"},\"text\",\"x\"]")),
        ("line breaks in a value", one("[\"dtstart\",{},\"date-time\",\"2026\\r\\nEND:VEVENT\"]")),
        ("rule of objects", one("[\"rrule\",{},\"recur\",{\"freq\":{\"freq\":\"DAILY\"}}]")),
        (
            "rule of many",
            one(&format!("[\"rrule\",{{}},\"recur\",{{\"freq\":\"DAILY\",\"byhour\":[{}0]}}]", "0,".repeat(500_000))),
        ),
        ("property of nothing", one("[]")),
        ("property of numbers", one("[1,2,3,4]")),
        ("components nested", format!("{}{}", "[\"vevent\",[],[".repeat(1_000), "]]".repeat(1_000))),
        ("many values", one(&format!("[\"exdate\",{{}},\"date\"{}]", ",\"2026-01-01\"".repeat(200_000)))),
    ]
}

const EXPANDED: &str = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><C:calendar-data>\
    <C:expand start=\"20260101T000000Z\" end=\"20260101T003000Z\"/></C:calendar-data></D:prop><C:filter>\
    <C:comp-filter name=\"VCALENDAR\"/></C:filter></C:calendar-query>";

const BUSY: &str = "<C:free-busy-query xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
    <C:time-range start=\"20260101T000000Z\" end=\"20260102T000000Z\"/></C:free-busy-query>";

pub fn cases() -> Vec<Case> {
    let target = format!("{CALENDAR}hostile.ics");
    let mut cases: Vec<Case> = Vec::new();
    for (name, body) in bodies() {
        let bytes = request("PUT", &target, &[("Content-Type", "text/calendar")], body.as_bytes());
        cases.push(Case { name: name.clone(), bytes, want: Want::Answer });
        // And what was stored is read in ways that compute with it.
        let bytes = request("REPORT", CALENDAR, &[("Depth", "1")], EXPANDED.as_bytes());
        cases.push(Case { name: format!("{name}, expanded"), bytes, want: Want::Answer });
        let bytes = request("REPORT", CALENDAR, &[("Depth", "1")], BUSY.as_bytes());
        cases.push(Case { name: format!("{name}, as busy time"), bytes, want: Want::Answer });
        let bytes = request("DELETE", &target, &[], b"");
        cases.push(Case { name: format!("{name}, taken away"), bytes, want: Want::Answer });
    }
    for (name, bytes) in [
        ("UTF-8 broken", &b"BEGIN:VCALENDAR\r\n\xff\xfe\r\nEND:VCALENDAR\r\n"[..]),
        ("UTF-16", b"\xff\xfeB\0E\0G\0I\0N\0"),
        ("a fold inside of a character", b"BEGIN:VCALENDAR\r\nX:\xc3\r\n \xa4\r\nEND:VCALENDAR\r\n"),
    ] {
        let bytes = request("PUT", &target, &[("Content-Type", "text/calendar")], bytes);
        cases.push(Case { name: name.into(), bytes, want: Want::Answer });
    }
    for (name, body) in jcal() {
        let bytes = request("PUT", &target, &[("Content-Type", "application/calendar+json")], body.as_bytes());
        cases.push(Case { name: format!("jCal: {name}"), bytes, want: Want::Refusal });
    }
    cases
}
