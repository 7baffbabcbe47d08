//! The answer to a free-busy-query as text (RFC 4791 §7.10, RFC 5545 §3.6.4).

use super::periods::BY_STRENGTH;
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};
use crate::ical::{Component, Property, new_calendar};

/// The VCALENDAR with one VFREEBUSY that answers a free-busy-query (RFC 4791 §7.10): DTSTAMP is `now`, and
/// one FREEBUSY property for each kind.
pub fn vfreebusy(window: Interval, periods: &[BusyPeriod], now: Utc) -> String {
    let mut calendar = new_calendar();
    calendar.components.push(vfreebusy_component(window, periods, now, Vec::new()));
    calendar.to_ics()
}

/// The VFREEBUSY alone, with `more` before its other properties: the UID, ORGANIZER and ATTENDEE that a scheduling answer
/// repeats (RFC 6638 §5). Without a UID among them it gets one that follows from the question.
pub fn vfreebusy_component(window: Interval, periods: &[BusyPeriod], now: Utc, more: Vec<Property>) -> Component {
    let mut component = Component { properties: more, ..Component::new("VFREEBUSY") };
    if component.property("UID").is_none() {
        let uid = format!("{now}-{}-{}@kalends", window.start, window.end);
        component.properties.insert(0, Property::new("UID", uid));
    }
    for (name, time) in [("DTSTAMP", now), ("DTSTART", window.start), ("DTEND", window.end)] {
        component.properties.push(Property::new(name, time.to_string()));
    }
    component.properties.extend(BY_STRENGTH.into_iter().filter_map(|kind| freebusy(periods, kind)));
    component
}

/// The FREEBUSY property of `kind`, if there is any such time.
fn freebusy(periods: &[BusyPeriod], kind: BusyType) -> Option<Property> {
    let mut value = String::new();
    for period in periods.iter().filter(|p| p.kind == kind) {
        if !value.is_empty() {
            value.push(',');
        }
        period.interval.start.write(&mut value);
        value.push('/');
        period.interval.end.write(&mut value);
    }
    let property = Property::new("FREEBUSY", value);
    match kind {
        _ if property.value.is_empty() => None,
        BusyType::Busy => Some(property),
        BusyType::Unavailable => Some(property.with_param("FBTYPE", "BUSY-UNAVAILABLE")),
        BusyType::Tentative => Some(property.with_param("FBTYPE", "BUSY-TENTATIVE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(d: i64) -> Utc {
        Utc(1_136_073_600 + d * 86_400)
    }

    #[test]
    fn each_kind_is_one_property_and_long_ones_are_folded() {
        let busy = |d, kind| BusyPeriod { interval: Interval::new(day(d), Utc(day(d).0 + 3600)), kind };
        let periods =
            [busy(0, BusyType::Tentative), busy(1, BusyType::Busy), busy(2, BusyType::Busy), busy(3, BusyType::Busy)];
        let text = vfreebusy(Interval::new(day(0), day(7)), &periods, day(9));
        assert_eq!(
            text,
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Kalends//EN\r\nBEGIN:VFREEBUSY\r\n\
             UID:20060110T000000Z-20060101T000000Z-20060108T000000Z@kalends\r\n\
             DTSTAMP:20060110T000000Z\r\nDTSTART:20060101T000000Z\r\nDTEND:20060108T000000Z\r\n\
             FREEBUSY:20060102T000000Z/20060102T010000Z,20060103T000000Z/20060103T010000\r\n \
             Z,20060104T000000Z/20060104T010000Z\r\n\
             FREEBUSY;FBTYPE=BUSY-TENTATIVE:20060101T000000Z/20060101T010000Z\r\n\
             END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
        );
    }

    // clause 4791/7.10-c
    #[test]
    fn nothing_busy_is_no_freebusy_property() {
        let text = vfreebusy(Interval::new(day(0), day(1)), &[], day(0));
        assert!(!text.contains("FREEBUSY:") && text.contains("BEGIN:VFREEBUSY\r\n"));
    }

    #[test]
    fn a_scheduling_answer_repeats_what_it_was_asked_with() {
        let more = vec![Property::new("UID", "abc"), Property::new("ATTENDEE", "mailto:ü@example.com")];
        let text = vfreebusy_component(Interval::new(day(0), day(1)), &[], day(0), more).to_ics();
        assert!(text.starts_with("BEGIN:VFREEBUSY\r\nUID:abc\r\nATTENDEE:mailto:ü@example.com\r\nDTSTAMP:"));
    }
}
