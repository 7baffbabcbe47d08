//! The answer to a free-busy-query as text (RFC 4791 §7.10, RFC 5545 §3.6.4).

use std::sync::{LazyLock, OnceLock};

use super::periods::{BY_STRENGTH, of_kind};
use super::{BusyPeriod, BusyType};
use crate::base::{Interval, Stamps, Utc};
use crate::ical::{Component, FoldedLine, Property, new_calendar};

/// What a period takes in a FREEBUSY property: a comma, two times and a slash.
const PERIOD_OCTETS: usize = 34;
/// The same with its share of the folds, and some.
const FOLDED_PERIOD_OCTETS: usize = 36;
/// More than all the rest of an answer takes.
const HEAD_OCTETS: usize = 384;

/// The VCALENDAR with one VFREEBUSY that answers a free-busy-query (RFC 4791 §7.10): DTSTAMP is `now`, and
/// one FREEBUSY property for each kind.
pub fn vfreebusy(window: Interval, periods: &[BusyPeriod], now: Utc) -> String {
    // Straight into the one text that is sent: clients ask for nothing more often, and copies of many periods cost more than the rest.
    answer(window, now, lines_octets(periods), |out| write_lines(periods, out))
}

/// Merged busy periods that are asked for again and again: the lines that tell them are written once.
#[derive(Debug)]
pub struct BusyTime {
    periods: Vec<BusyPeriod>,
    lines: OnceLock<String>,
}

impl BusyTime {
    /// The busy time of `periods`, which are merged.
    pub fn new(mut periods: Vec<BusyPeriod>) -> Self {
        // They are kept, and were put together piece by piece.
        periods.shrink_to_fit();
        Self { periods, lines: OnceLock::new() }
    }

    /// The periods.
    pub fn periods(&self) -> &[BusyPeriod] {
        &self.periods
    }

    /// [`vfreebusy`] of the periods.
    pub fn vfreebusy(&self, window: Interval, now: Utc) -> String {
        let lines = self.lines.get_or_init(|| {
            let mut lines = String::with_capacity(lines_octets(&self.periods));
            write_lines(&self.periods, &mut lines);
            lines
        });
        answer(window, now, lines.len(), |out| out.push_str(lines))
    }
}

/// The answer whose FREEBUSY lines `write` writes, at most about `octets` long.
fn answer(window: Interval, now: Utc, octets: usize, write: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(HEAD_OCTETS + octets);
    out.push_str(&BEGIN);
    write_uid(window, now, &mut out);
    for (name, time) in times(window, now) {
        out.push_str("\r\n");
        out.push_str(name);
        out.push(':');
        time.write(&mut out);
    }
    out.push_str("\r\n");
    write(&mut out);
    out.push_str("END:VFREEBUSY\r\nEND:VCALENDAR\r\n");
    out
}

/// More than the FREEBUSY lines of `periods` take.
fn lines_octets(periods: &[BusyPeriod]) -> usize {
    (periods.len() + BY_STRENGTH.len()) * FOLDED_PERIOD_OCTETS
}

/// Writes one FREEBUSY line for each kind.
fn write_lines(periods: &[BusyPeriod], out: &mut String) {
    for kind in BY_STRENGTH {
        write_freebusy(periods, kind, out);
    }
}

/// How each answer begins, up to its UID.
static BEGIN: LazyLock<String> = LazyLock::new(|| {
    let calendar = new_calendar();
    let mut begin = String::new();
    calendar.write_begin(&mut begin);
    calendar.properties.iter().for_each(|property| property.write_ics(&mut begin));
    begin + "BEGIN:VFREEBUSY\r\nUID:"
});

/// Writes the UID that follows from the question.
fn write_uid(window: Interval, now: Utc, out: &mut String) {
    now.write(out);
    for time in [window.start, window.end] {
        out.push('-');
        time.write(out);
    }
    out.push_str("@kalends");
}

/// The properties of an answer that are times.
fn times(window: Interval, now: Utc) -> [(&'static str, Utc); 3] {
    [("DTSTAMP", now), ("DTSTART", window.start), ("DTEND", window.end)]
}

/// The VFREEBUSY alone, with `more` before its other properties: the UID, ORGANIZER and ATTENDEE that a scheduling answer
/// repeats (RFC 6638 §5). Without a UID among them it gets one that follows from the question.
pub fn vfreebusy_component(window: Interval, periods: &[BusyPeriod], now: Utc, more: Vec<Property>) -> Component {
    let mut component = Component { properties: more, ..Component::new("VFREEBUSY") };
    if component.property("UID").is_none() {
        let mut uid = String::new();
        write_uid(window, now, &mut uid);
        component.properties.insert(0, Property::new("UID", uid));
    }
    for (name, time) in times(window, now) {
        component.properties.push(Property::new(name, time.to_string()));
    }
    component.properties.extend(BY_STRENGTH.into_iter().filter_map(|kind| freebusy(periods, kind)));
    component
}

/// FBTYPE (RFC 5545 §3.2.9) where it has to be said: BUSY is the default.
fn fbtype(kind: BusyType) -> Option<&'static str> {
    match kind {
        BusyType::Busy => None,
        BusyType::Unavailable => Some("BUSY-UNAVAILABLE"),
        BusyType::Tentative => Some("BUSY-TENTATIVE"),
    }
}

/// The FREEBUSY property of `kind`, if there is any such time.
fn freebusy(periods: &[BusyPeriod], kind: BusyType) -> Option<Property> {
    let mut value = String::new();
    each_period(periods, kind, |period| value.push_str(period));
    if value.is_empty() {
        return None;
    }
    let property = Property::new("FREEBUSY", value);
    Some(match fbtype(kind) {
        Some(fbtype) => property.with_param("FBTYPE", fbtype),
        None => property,
    })
}

/// Writes what [`freebusy`] is.
fn write_freebusy(periods: &[BusyPeriod], kind: BusyType, out: &mut String) {
    if of_kind(periods, kind).next().is_none() {
        return;
    }
    let mut line = FoldedLine::begin(out);
    line.push("FREEBUSY");
    if let Some(fbtype) = fbtype(kind) {
        line.push(";FBTYPE=");
        line.push(fbtype);
    }
    line.push(":");
    each_period(periods, kind, |period| line.push(period));
    line.end();
}

/// Gives `push` each of the periods of `kind` as a value of FREEBUSY, all but the first with a comma before it.
fn each_period(periods: &[BusyPeriod], kind: BusyType, mut push: impl FnMut(&str)) {
    let mut stamps = Stamps::new();
    for (at, interval) in of_kind(periods, kind).enumerate() {
        let mut period = [b','; PERIOD_OCTETS];
        period[1..17].copy_from_slice(&stamps.of(interval.start));
        period[17] = b'/';
        period[18..].copy_from_slice(&stamps.of(interval.end));
        push(std::str::from_utf8(&period[usize::from(at == 0)..]).expect("stamps are ASCII"));
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

    #[test]
    fn the_text_is_that_of_the_component_however_long_its_lines_are() {
        let now = day(9);
        for count in 0..20 {
            let kind = |at| [BusyType::Busy, BusyType::Tentative, BusyType::Unavailable][at % (1 + count % 3)];
            let at = |n: usize| i64::try_from(n).unwrap() * 5_000;
            let period =
                |n| BusyPeriod { interval: Interval::new(day(0).plus(at(n)), day(0).plus(at(n) + 61)), kind: kind(n) };
            let periods: Vec<BusyPeriod> = (0..count).map(period).collect();
            let window = Interval::new(day(0), day(7));
            let mut calendar = new_calendar();
            calendar.components.push(vfreebusy_component(window, &periods, now, Vec::new()));
            assert_eq!(vfreebusy(window, &periods, now), calendar.to_ics());
            let busy = BusyTime::new(periods);
            assert_eq!([(); 2].map(|()| busy.vfreebusy(window, now)), [(); 2].map(|()| calendar.to_ics()));
        }
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
