//! Calendar files as clients write them, whole and broken: each is taken, or refused with the precondition of
//! RFC 4791 §5.3.2.1 that fits, on the line that is wrong.

use std::fmt::Write;
use std::path::PathBuf;

use kalends::base::Limits;
use kalends::ical::{CalendarObject, InvalidKind, parse, parse_jcal, parse_stream, to_jcal};
use kalends::recur::Series;
use kalends::zone::Zone;

use InvalidKind::{CalendarData, CalendarObjectResource, Rscale};

/// File, and what it is refused for, with the line.
const FILES: &[(&str, Option<(InvalidKind, u32)>)] = &[
    ("01-xprops", None),
    ("02-params-quoted", None),
    ("03-rfc6868", None),
    ("04-fold-midutf8", None),
    ("05-fold-clean", None),
    ("06-lf", None),
    ("07-foldtab", None),
    ("08-vtimezone", None),
    ("09-valarm", None),
    ("10-vtodo", None),
    ("11-vjournal", None),
    ("12-vfreebusy", None),
    ("13-vavailability", None),
    ("14-sameuid", None),
    ("15-rdate-period", None),
    ("18-textescapes", None),
    ("19-lowercase", None),
    ("20-unknown-comp", None),
    ("21-nonstd-values", None),
    ("22-rscale", Some((Rscale, 8))),
    ("23-bare-params", None),
    ("24-bom", None),
    ("25-two-cals", Some((CalendarObjectResource, 11))),
    ("26-duration-etc", None),
    ("27-order", Some((CalendarObjectResource, 5))),
    ("28-latin1", Some((CalendarData, 8))),
    ("29-wintz", None),
    ("30-longline", None),
    ("31-group", None),
    ("b1", None),
    ("m01-noend", Some((CalendarData, 3))),
    ("m02-wrongend", Some((CalendarData, 6))),
    ("m03-nocolon", Some((CalendarData, 8))),
    ("m04-blank", None),
    ("m05-baddate", Some((CalendarData, 7))),
    ("m06-badrrule", Some((CalendarData, 8))),
    ("m07-nouid", Some((CalendarObjectResource, 4))),
    ("m08-empty", Some((CalendarData, 0))),
    ("m09-garbage", Some((CalendarData, 1))),
    ("m10-nul", Some((CalendarData, 8))),
    ("m11-unclosedquote", Some((CalendarData, 8))),
    ("m13-nodtstart", Some((CalendarData, 4))),
    ("m14-cr", Some((CalendarData, 1))),
    ("m15-dupuid-differ", Some((CalendarObjectResource, 10))),
    ("m16-twodtstart", Some((CalendarData, 8))),
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/ics")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(format!("{name}.ics"))).expect(name)
}

#[test]
fn every_file_is_taken_or_refused_rightly() {
    for (name, expected) in FILES {
        let got = CalendarObject::parse(&read(name), &Limits::default()).err().map(|e| (e.kind, e.line));
        assert_eq!(got, *expected, "{name}");
    }
}

#[test]
fn every_file_is_in_the_table() {
    for entry in std::fs::read_dir(directory()).expect("the directory is there") {
        let name = entry.expect("entry").file_name().into_string().expect("ASCII");
        assert!(FILES.iter().any(|(known, _)| name == format!("{known}.ics")), "{name}");
    }
}

#[test]
fn what_is_taken_survives_writing() {
    for (name, _) in FILES {
        let Ok(calendars) = parse_stream(&read(name), &Limits::default()) else { continue };
        for calendar in calendars {
            let written = calendar.to_ics();
            assert!(written.split("\r\n").all(|line| line.len() <= 75), "{name}");
            let again = parse(written.as_bytes(), &Limits::default()).expect(name);
            assert_eq!(again, calendar, "{name}");
        }
    }
}

#[test]
fn what_is_taken_survives_jcal() {
    for (name, _) in FILES {
        let Ok(object) = CalendarObject::parse(&read(name), &Limits::default()) else { continue };
        let jcal = to_jcal(&object.calendar);
        let again = parse_jcal(jcal.to_string().as_bytes(), &Limits::default()).expect(name);
        let again = CalendarObject::of(again, &Limits::default()).expect(name);
        assert_eq!(to_jcal(&again.calendar), jcal, "{name}");
        assert_eq!((again.uid, again.overrides), (object.uid, object.overrides), "{name}");
    }
}

/// What a client wrote unfolded, in the usual order and with CRLF, is written back byte for byte.
#[test]
fn tidy_files_come_back_as_they_were() {
    for name in ["01-xprops", "08-vtimezone", "09-valarm", "14-sameuid", "18-textescapes", "27-order"] {
        let calendar = parse(&read(name), &Limits::default()).expect(name);
        let mut unfolded = String::from_utf8(read(name)).expect(name).replace("\r\n ", "");
        unfolded.truncate(unfolded.trim_end().len());
        assert_eq!(calendar.to_ics().replace("\r\n ", "").trim_end(), unfolded, "{name}");
    }
}

fn with_attachment(line_octets: usize) -> String {
    let base64 = "QUJD".repeat(350_000);
    let mut text = String::from(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\nBEGIN:VEVENT\r\nUID:u1\r\nDTSTAMP:20240101T000000Z\r\n\
         DTSTART:20240110T090000Z\r\nATTACH;ENCODING=BASE64;VALUE=BINARY:",
    );
    for chunk in base64.as_bytes().chunks(line_octets) {
        let _ = write!(text, "{}\r\n ", String::from_utf8_lossy(chunk));
    }
    text.truncate(text.len() - 1);
    text + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

#[test]
fn an_attachment_of_a_megabyte_is_taken_folded_or_not() {
    for octets in [74, usize::MAX] {
        let object = CalendarObject::parse(with_attachment(octets).as_bytes(), &Limits::default()).expect("attachment");
        let attach = object.master().and_then(|m| m.property("ATTACH")).expect("ATTACH");
        assert_eq!(attach.value.len(), 1_400_000);
        assert_eq!(parse(object.calendar.to_ics().as_bytes(), &Limits::default()), Ok(object.calendar));
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    let deep = "BEGIN:VCALENDAR\r\n".to_owned() + &"BEGIN:VEVENT\r\n".repeat(200_000);
    let refused = CalendarObject::parse(deep.as_bytes(), &Limits::default()).expect_err("too deep");
    assert_eq!((refused.kind, refused.line), (CalendarData, 9));
}

#[test]
fn a_thousand_events_are_a_stream_and_no_object() {
    let event = |n: u32| format!("BEGIN:VEVENT\r\nUID:{n}\r\nDTSTART:20240110T090000Z\r\nEND:VEVENT\r\n");
    let events: String = (0..1000).map(event).collect();
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n");
    let refused = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect_err("1000 UIDs");
    assert_eq!((refused.kind, refused.line), (CalendarObjectResource, 7));
    assert_eq!(parse_stream(text.as_bytes(), &Limits::default()).expect("stream")[0].components.len(), 1000);
}

/// Bytes that are almost right reach deeper than random ones. The sequence is the same in every run. What is still taken
/// can be computed with.
#[test]
fn damaged_files_never_panic() {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    const SPICES: &[&[u8]] =
        &[b";", b":", b",", b"\"", b"\r\n", b"\n ", b"=", b"\\", b"^", b"\xF0", b"T", b"-", b"9", b"/"];
    for (name, _) in FILES {
        let bytes = read(name);
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..=random(3) {
                let at = random(damaged.len());
                let end = (at + random(8)).min(damaged.len());
                damaged.splice(at..end, SPICES[random(SPICES.len())].iter().copied());
            }
            if let Ok(object) = CalendarObject::parse(&damaged, &Limits::default()) {
                let series = Series::new(&object, &Zone::utc()).expect(name);
                let _ = series.span();
            }
            for calendar in parse_stream(&damaged, &Limits::default()).unwrap_or_default() {
                let again = parse(calendar.to_ics().as_bytes(), &Limits::default());
                assert_eq!(again.as_ref(), Ok(&calendar), "{name}");
                parse_jcal(to_jcal(&calendar).to_string().as_bytes(), &Limits::default()).expect(name);
            }
        }
    }
}
