#![allow(clippy::unwrap_used)]

use chrono::NaiveDateTime;

use super::*;
use crate::ical::{DateOrTime, parse};

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").unwrap()
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap_or_else(|| panic!("{name} is not known"))
}

fn calendar(text: &str) -> Component {
    parse(text.replace('\n', "\r\n").as_bytes(), &crate::base::Limits::default()).unwrap()
}

#[test]
fn every_spelling_finds_its_zone() {
    for (spelling, name) in [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("\"Europe/Berlin\"", "Europe/Berlin"),
        ("US/Eastern", "US/Eastern"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", "Europe/Berlin"),
        ("/citadel.org/20210210_1/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/softwarestudio.org/Olson_20011030_5/Israel", "Israel"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("America/New York", "America/New_York"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
        ("Etc/UTC", "UTC"),
        ("GMT+0000", "UTC"),
        ("(UTC) Coordinated Universal Time", "UTC"),
    ] {
        assert_eq!(
            Zone::named(spelling).and_then(|z| z.iana_name().map(str::to_owned)).as_deref(),
            Some(name),
            "{spelling}"
        );
    }
    for unknown in
        ["", "Customized Time Zone", "tzone://Microsoft/Custom", "Mars/Olympus", "../../etc/passwd", "GMT+99", "+"]
    {
        assert!(Zone::named(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn fixed_offsets_count_eastward() {
    for (name, seconds) in
        [("GMT+0200", 7200), ("UTC-5", -18_000), ("+05:30", 19_800), ("(UTC+01:00)", 3600), ("GMT-3:30", -12_600)]
    {
        assert_eq!(zone(name).offset_at(Utc(0)), seconds, "{name}");
    }
}

#[test]
fn gaps_move_forward_and_overlaps_take_the_first() {
    for (name, text, utc) in [
        ("Europe/Berlin", "20260329T023000", "20260329T013000Z"),
        ("Europe/Berlin", "20260329T020000", "20260329T010000Z"),
        ("Europe/Berlin", "20260329T030000", "20260329T010000Z"),
        ("Europe/Berlin", "20261025T023000", "20261025T003000Z"),
        ("Europe/Berlin", "20261025T030000", "20261025T020000Z"),
        ("America/New_York", "20070311T023000", "20070311T073000Z"),
        ("America/New_York", "20071104T013000", "20071104T053000Z"),
        ("Australia/Lord_Howe", "20241006T021500", "20241005T154500Z"),
        ("Africa/Cairo", "20240426T003000", "20240425T223000Z"),
        ("Pacific/Apia", "20111230T120000", "20111230T220000Z"),
    ] {
        assert_eq!(zone(name).to_utc(local(text)).to_string(), utc, "{name} {text}");
    }
}

#[test]
fn conversions_agree_with_jiff_over_all_zones_and_centuries() {
    for name in chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()).step_by(5) {
        let Some(jiff) = iana::time_zone(name) else { continue };
        let ours = zone(name);
        for step in 0..400i64 {
            let utc = Utc(-5_000_000_000 + step * 39_999_983);
            let at = jiff::Timestamp::from_second(utc.0).unwrap();
            assert_eq!(ours.offset_at(utc), jiff.to_offset(at).seconds(), "{name} {utc}");
            let naive = utc.naive();
            let their = jiff.to_timestamp(naive.to_string().replace(' ', "T").parse().unwrap()).unwrap();
            assert_eq!(ours.to_utc(naive), Utc(their.as_second()), "{name} {naive}");
        }
    }
}

#[test]
fn years_beyond_the_table_follow_the_last_rule() {
    let jiff = iana::time_zone("America/New_York").unwrap();
    for year in (2100..9000).step_by(61) {
        for day in (1..365).step_by(3) {
            let utc = Utc((civil::days(year, 1, 1) + day) * civil::DAY + 3 * 3600);
            let at = jiff::Timestamp::from_second(utc.0).unwrap();
            assert_eq!(zone("America/New_York").offset_at(utc), jiff.to_offset(at).seconds(), "{utc}");
        }
    }
}

#[test]
fn a_vtimezone_written_by_us_means_the_zone_it_was_written_from() {
    for name in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Jerusalem",
        "Asia/Gaza",
        "America/Santiago",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
        "Europe/Dublin",
        "Africa/Cairo",
        "America/Nuuk",
        "Antarctica/Troll",
        "America/Havana",
        "UTC",
        "Asia/Tehran",
        "Europe/London",
    ] {
        let original = zone(name);
        for year in [1995, 2010, 2026] {
            let around = Utc(civil::days(year, 6, 1) * civil::DAY);
            let component = original.vtimezone("Written", around);
            let copy = vtimezone::zone(&component).unwrap_or_else(|| panic!("{name}: {}", component.to_ics()));
            for hour in 0..20_000 {
                let utc = around.plus(hour * 7 * 3600 - 100 * civil::DAY);
                assert_eq!(copy.offset_at(utc), original.offset_at(utc), "{name} {utc}\n{}", component.to_ics());
            }
        }
    }
    let text = zone("Europe/Berlin").vtimezone_text(Utc(civil::days(2026, 6, 1) * civil::DAY));
    assert!(text.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n") && text.contains("TZNAME:CEST\r\n"), "{text}");
}

const CUSTOM: &str = "BEGIN:VCALENDAR
BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VTIMEZONE
TZID:Europe/London
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0900
TZOFFSETTO:+0900
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
DTSTART;TZID=Customized Time Zone:20260701T090000
DTEND;TZID=Nowhere At All:20260701T100000
EXDATE;TZID=Europe/London:20260701T090000
END:VEVENT
END:VCALENDAR
";

#[test]
fn an_unknown_tzid_is_read_by_its_vtimezone_and_a_known_one_is_not() {
    let zones = Zones::of(&calendar(CUSTOM), &zone("Asia/Tokyo"));
    let utc = |text: &str, tzid: &str| zones.to_utc(&DateOrTime::Zoned(local(text), tzid.into())).to_string();
    assert_eq!(utc("20260701T090000", "Customized Time Zone"), "20260701T070000Z");
    assert_eq!(utc("20261201T090000", "Customized Time Zone"), "20261201T080000Z");
    assert_eq!(utc("29990701T090000", "Customized Time Zone"), "29990701T070000Z");
    assert_eq!(utc("20260701T090000", "Europe/London"), "20260701T080000Z");
    assert_eq!(utc("20260701T090000", "Nowhere At All"), "20260701T000000Z");
    assert_eq!(zones.warnings().len(), 1);
    assert!(zones.warnings()[0].contains("Nowhere At All"), "{:?}", zones.warnings());
    let date = DateOrTime::Date(local("20260701T000000").date());
    assert_eq!(zones.to_utc(&date).to_string(), "20260630T150000Z");
}

/// RFC 5545 §3.2.19: the TZID is what the object's VTIMEZONE says. An offset in it is a label and no zone of ours.
#[test]
fn a_vtimezone_knows_better_than_an_offset_in_its_name() {
    for tzid in ["UTC-05:00", "GMT-0500", "(GMT-05:00)", "GMT+5", "Z", "/acme/offices/EST"] {
        let eastern = zone("America/New_York").vtimezone(tzid, Utc(1_767_225_600)).to_ics();
        let event = format!("BEGIN:VEVENT\nDTSTART;TZID=\"{tzid}\":20260701T090000\nEND:VEVENT\n");
        let with = |zone: &str| calendar(&format!("BEGIN:VCALENDAR\n{}{event}END:VCALENDAR\n", zone.replace('\r', "")));
        let utc = |calendar: &Component| {
            let start = DateOrTime::Zoned(local("20260701T090000"), tzid.into());
            Zones::of(calendar, &zone("Asia/Tokyo")).to_utc(&start).to_string()
        };
        assert_eq!(utc(&with(&eastern)), "20260701T130000Z", "{tzid}");
        let empty = format!("BEGIN:VTIMEZONE\nTZID:{tzid}\nEND:VTIMEZONE\n");
        for without in [empty.as_str(), ""] {
            let guess = zone(tzid).to_utc(local("20260701T090000")).to_string();
            assert_eq!(utc(&with(without)), guess, "{tzid}");
        }
    }
}

#[test]
fn the_rfc_example_of_new_york_since_1967_is_evaluated() {
    let text = "BEGIN:VTIMEZONE
TZID:RFC 5545 New York
BEGIN:DAYLIGHT
DTSTART:19670430T020000
RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=-1SU;UNTIL=19730429T070000Z
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:19671029T020000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU;UNTIL=20061029T060000Z
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19740106T020000
RDATE:19750223T020000
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:DAYLIGHT
DTSTART:19760425T020000
RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=-1SU;UNTIL=19860427T070000Z
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:DAYLIGHT
DTSTART:19870405T020000
RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=1SU;UNTIL=20060402T070000Z
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:DAYLIGHT
DTSTART:20070311T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:20071104T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
END:VTIMEZONE
";
    let wrapped = calendar(&format!("BEGIN:VCALENDAR\n{text}END:VCALENDAR\n"));
    let own = Zone::from_vtimezone(&wrapped.components[0]).unwrap();
    assert_eq!(own.iana_name(), None);
    let iana = zone("America/New_York");
    for hours in 0..600_000 / 7 {
        let utc = Utc(civil::days(1967, 5, 1) * civil::DAY + hours * 7 * 3600);
        assert_eq!(own.offset_at(utc), iana.offset_at(utc), "{utc}");
    }
}

#[test]
fn a_vtimezone_that_makes_no_sense_is_none_and_costs_little() {
    let with_rule = |rule: &str| {
        format!(
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:X Y\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0100\n\
             TZOFFSETTO:+0200\nRRULE:{rule}\nEND:STANDARD\nEND:VTIMEZONE\nEND:VCALENDAR\n"
        )
    };
    for rule in ["FREQ=SECONDLY", "FREQ=NEVER", "FREQ=WEEKLY;BYDAY=1MO"] {
        assert!(Zone::from_vtimezone(&calendar(&with_rule(rule)).components[0]).is_none(), "{rule}");
    }
    assert!(Zone::from_vtimezone(&Component::new("VTIMEZONE")).is_none());
}

#[test]
fn the_version_of_the_data_is_told() {
    assert!(data_version().starts_with("20"), "{}", data_version());
}

#[test]
fn standard_is_what_everybody_with_zone_data_calls_so() {
    for tzid in ["Europe/Berlin", "US/Eastern", "UTC", "Etc/GMT+5", "Asia/Calcutta"] {
        assert!(is_standard(tzid), "{tzid}");
    }
    let known_to_us =
        ["W. Europe Standard Time", "europe/berlin", "/x.example/Europe/Berlin", "GMT+0200", "America/New York"];
    for tzid in known_to_us {
        assert!(Zone::named(tzid).is_some() && !is_standard(tzid), "{tzid}");
    }
    assert!(!is_standard("Nowhere") && !is_standard(""));
}

#[test]
fn what_is_written_for_an_old_series_is_right_to_this_day() {
    let since = Utc(civil::days(1981, 1, 1) * civil::DAY);
    for name in ["America/New_York", "Asia/Tehran", "Europe/Moscow", "Africa/Casablanca", "America/Sao_Paulo"] {
        let original = zone(name);
        let copy = vtimezone::zone(&original.vtimezone("Written", since)).expect("it can be read");
        for hour in 0..70_000 {
            let utc = since.plus(hour * 7 * 3600);
            assert_eq!(copy.offset_at(utc), original.offset_at(utc), "{name} {utc}");
        }
    }
}
