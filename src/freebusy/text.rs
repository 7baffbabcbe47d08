//! The answer to a free-busy-query as text (RFC 4791 §7.10, RFC 5545 §3.6.4).

use std::fmt::Write;

use super::periods::BY_STRENGTH;
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Utc};

/// RFC 5545 §3.1: lines longer than this many octets are folded.
const LINE_OCTETS: usize = 75;

/// The VCALENDAR with one VFREEBUSY that answers a free-busy-query (RFC 4791 §7.10): DTSTAMP is `now`, and
/// one FREEBUSY property for each kind.
pub fn vfreebusy(window: Interval, periods: &[BusyPeriod], now: Utc) -> String {
    let mut text = String::with_capacity(256 + periods.len() * 36);
    text.push_str("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Kalends//EN\r\n");
    text.push_str(&vfreebusy_component(window, periods, now, &[]));
    text.push_str("END:VCALENDAR\r\n");
    text
}

/// The VFREEBUSY alone, with `more` content lines (unfolded, without their ends) among its properties: the UID, ORGANIZER and
/// ATTENDEE that a scheduling answer repeats (RFC 6638 §5). Without a UID among them it gets one that follows
/// from the question.
pub fn vfreebusy_component(window: Interval, periods: &[BusyPeriod], now: Utc, more: &[String]) -> String {
    let mut text = String::from("BEGIN:VFREEBUSY\r\n");
    let has_uid = more.iter().any(|line| line.to_ascii_uppercase().starts_with("UID"));
    if !has_uid {
        push_line(&mut text, &format!("UID:{now}-{}-{}@kalends", window.start, window.end));
    }
    more.iter().for_each(|line| push_line(&mut text, line));
    push_line(&mut text, &format!("DTSTAMP:{now}"));
    push_line(&mut text, &format!("DTSTART:{}", window.start));
    push_line(&mut text, &format!("DTEND:{}", window.end));
    BY_STRENGTH.into_iter().for_each(|kind| push_kind(&mut text, periods, kind));
    text.push_str("END:VFREEBUSY\r\n");
    text
}

fn push_kind(text: &mut String, periods: &[BusyPeriod], kind: BusyType) {
    let mut line = match kind {
        BusyType::Busy => String::from("FREEBUSY"),
        BusyType::Unavailable => String::from("FREEBUSY;FBTYPE=BUSY-UNAVAILABLE"),
        BusyType::Tentative => String::from("FREEBUSY;FBTYPE=BUSY-TENTATIVE"),
    };
    let mut separator = ':';
    for period in periods.iter().filter(|p| p.kind == kind) {
        write!(line, "{separator}{}/{}", period.interval.start, period.interval.end)
            .expect("writing to a String does not fail");
        separator = ',';
    }
    if separator == ',' {
        push_line(text, &line);
    }
}

fn push_line(text: &mut String, line: &str) {
    let mut room = LINE_OCTETS;
    for c in line.chars() {
        if c.len_utf8() > room {
            text.push_str("\r\n ");
            room = LINE_OCTETS - 1;
        }
        room -= c.len_utf8();
        text.push(c);
    }
    text.push_str("\r\n");
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

    #[test]
    fn nothing_busy_is_no_freebusy_property() {
        let text = vfreebusy(Interval::new(day(0), day(1)), &[], day(0));
        assert!(!text.contains("FREEBUSY:") && text.contains("BEGIN:VFREEBUSY\r\n"));
    }

    #[test]
    fn a_scheduling_answer_repeats_what_it_was_asked_with() {
        let more = ["UID:abc".to_owned(), "ATTENDEE:mailto:ü@example.com".to_owned()];
        let text = vfreebusy_component(Interval::new(day(0), day(1)), &[], day(0), &more);
        assert!(text.starts_with("BEGIN:VFREEBUSY\r\nUID:abc\r\nATTENDEE:mailto:ü@example.com\r\nDTSTAMP:"));
    }
}
