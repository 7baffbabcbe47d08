//! RECURRENCE-ID and EXDATE that are written in another form than DTSTART: a day for a time, a time for a day, without the zone. Producers
//! do all of it; the instance that is meant is the same.

use kalends::base::{Interval, Limits, Utc};
use kalends::ical::CalendarObject;
use kalends::merge::to_ical;
use kalends::recur::{Budget, Series};
use kalends::zone::Zone;

use crate::told::told;

/// Titles and starts of all occurrences that a feed of these events shows, in UTC.
fn shown(events: &[String]) -> Vec<String> {
    let (_fake, puller) = told(&events.concat());
    let mut shown = Vec::new();
    for meeting in puller.world.meetings() {
        let text = to_ical(&meeting);
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("an object");
        let series = Series::new(&object, &Zone::utc()).expect("it compiles");
        let mut budget = Budget { steps: 100_000, instances: 1_000 };
        for one in series.occurrences(Interval::new(Utc::MIN, Utc::MAX), &mut budget).expect("few") {
            let title = object.calendar.components[one.component].text("SUMMARY").unwrap_or_default().into_owned();
            shown.push(format!("{} {title}", &one.interval.start.to_string()[4..13]));
        }
    }
    shown.sort();
    shown
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:a\n{lines}\nEND:VEVENT\n")
}

#[test]
fn an_override_finds_its_instance_in_whatever_form_it_is_named() {
    let berlin = "DTSTART;TZID=Europe/Berlin:20261109T100000\nSUMMARY:S\nRRULE:FREQ=WEEKLY;COUNT=3";
    let moved = "DTSTART;TZID=Europe/Berlin:20261117T150000\nSUMMARY:M";
    for id in [
        ";TZID=Europe/Berlin:20261116T100000",
        ":20261116T090000Z",
        ":20261116T100000",
        ";VALUE=DATE:20261116",
        ";TZID=America/New_York:20261116T040000",
    ] {
        let events = [event(berlin), event(&format!("RECURRENCE-ID{id}\n{moved}"))];
        assert_eq!(shown(&events), ["1109T0900 S", "1117T1400 M", "1123T0900 S"], "{id}");
    }
    let days = "DTSTART;VALUE=DATE:20261109\nSUMMARY:S\nRRULE:FREQ=WEEKLY;COUNT=3";
    let moved = "DTSTART;VALUE=DATE:20261118\nSUMMARY:M";
    for id in [
        ";VALUE=DATE:20261116",
        ":20261116T000000Z",
        ":20261116T000000",
        ";TZID=Europe/Berlin:20261116T000000",
        ";TZID=America/New_York:20261116T000000",
    ] {
        let events = [event(days), event(&format!("RECURRENCE-ID{id}\n{moved}"))];
        assert_eq!(shown(&events), ["1109T0000 S", "1118T0000 M", "1123T0000 S"], "{id}");
    }
}

#[test]
fn an_exdate_finds_its_instance_in_whatever_form_it_is_written() {
    let berlin = "DTSTART;TZID=Europe/Berlin:20261109T100000\nSUMMARY:S\nRRULE:FREQ=WEEKLY;COUNT=3";
    for date in [
        ";TZID=Europe/Berlin:20261116T100000",
        ":20261116T090000Z",
        ":20261116T100000",
        ";VALUE=DATE:20261116",
        ":20261116",
    ] {
        assert_eq!(shown(&[event(&format!("{berlin}\nEXDATE{date}"))]), ["1109T0900 S", "1123T0900 S"], "{date}");
    }
    let days = "DTSTART;VALUE=DATE:20261109\nSUMMARY:S\nRRULE:FREQ=WEEKLY;COUNT=3";
    for date in [":20261116", ":20261116T000000Z", ":20261116T000000", ";TZID=Europe/Berlin:20261116T000000"] {
        assert_eq!(shown(&[event(&format!("{days}\nEXDATE{date}"))]), ["1109T0000 S", "1123T0000 S"], "{date}");
    }
}

#[test]
fn an_override_may_stand_where_another_instance_was() {
    let berlin = "DTSTART;TZID=Europe/Berlin:20261109T100000\nSUMMARY:S\nRRULE:FREQ=WEEKLY;COUNT=3";
    let first =
        "RECURRENCE-ID;TZID=Europe/Berlin:20261116T100000\nDTSTART;TZID=Europe/Berlin:20261123T100000\nSUMMARY:A";
    let second =
        "RECURRENCE-ID;TZID=Europe/Berlin:20261123T100000\nDTSTART;TZID=Europe/Berlin:20261116T100000\nSUMMARY:B";
    for events in [[berlin, first, second], [second, first, berlin]] {
        assert_eq!(shown(&events.map(event)), ["1109T0900 S", "1116T0900 B", "1123T0900 A"]);
    }
}
