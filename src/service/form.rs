//! The form in which calendar data goes out: iCalendar or jCal (RFC 7265), with the definitions of its time zones as they are
//! stored, with all of them, or without those that are known by name (RFC 7809 §3.1.3).
//!
//! What is stored never changes by it. Every form has an entity tag of its own.

use chrono::NaiveDateTime;

use crate::base::{Limits, Utc};
use crate::ical::{self, Component, DateOrTime};
use crate::zone::Zone;

/// How calendar data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// text/calendar.
    #[default]
    ICalendar,
    /// application/calendar+json.
    JCal,
}

/// Which VTIMEZONEs calendar data has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timezones {
    /// Those that were stored with it.
    #[default]
    AsStored,
    /// One for each TZID that it names.
    Included,
    /// Only those that nobody knows by name.
    LeftOut,
}

/// A form of calendar data. The default is that in which it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form {
    /// How it is written.
    pub syntax: Syntax,
    /// Which time zones it defines.
    pub timezones: Timezones,
}

/// What follows the stored bytes' entity tag in the tags of the other forms, longest first.
pub const SUFFIXES: &[&str] = &["-jcal-notz", "-jcal-tz", "-jcal", "-notz", "-tz"];

impl Form {
    /// What follows the stored bytes' entity tag in this form's.
    pub fn suffix(self) -> &'static str {
        match (self.syntax, self.timezones) {
            (Syntax::ICalendar, Timezones::AsStored) => "",
            (Syntax::ICalendar, Timezones::Included) => "-tz",
            (Syntax::ICalendar, Timezones::LeftOut) => "-notz",
            (Syntax::JCal, Timezones::AsStored) => "-jcal",
            (Syntax::JCal, Timezones::Included) => "-jcal-tz",
            (Syntax::JCal, Timezones::LeftOut) => "-jcal-notz",
        }
    }

    /// The data in this form; `None` if that is how it stands, or if it cannot be read and is given as it is.
    pub fn of(self, data: &[u8], limits: &Limits) -> Option<Vec<u8>> {
        if self == Self::default() {
            return None;
        }
        let mut calendar = ical::parse(data, limits).ok()?;
        let changed = match self.timezones {
            Timezones::AsStored => false,
            Timezones::Included => include(&mut calendar),
            Timezones::LeftOut => leave_out(&mut calendar),
        };
        match self.syntax {
            Syntax::JCal => serde_json::to_vec(&ical::to_jcal(&calendar)).ok(),
            Syntax::ICalendar => changed.then(|| calendar.to_ics().into_bytes()),
        }
    }
}

/// Puts in the zones that are named, known and not there; whether there were any.
fn include(calendar: &mut Component) -> bool {
    let mut named = Named::default();
    calendar.components.iter().for_each(|component| named.gather(component));
    let there: Vec<String> = calendar.children("VTIMEZONE").filter_map(tzid_of).collect();
    let around = named.first.map_or(Utc(0), Utc::from_naive);
    let missing = named.tzids.into_iter().filter(|tzid| !there.contains(tzid));
    let zones: Vec<Component> = missing.filter_map(|tzid| Some(Zone::named(&tzid)?.vtimezone(&tzid, around))).collect();
    let changed = !zones.is_empty();
    calendar.components.splice(0..0, zones);
    changed
}

/// Takes out the zones that are known by name; whether there were any.
fn leave_out(calendar: &mut Component) -> bool {
    let before = calendar.components.len();
    let known = |zone: &Component| tzid_of(zone).is_some_and(|tzid| Zone::named(&tzid).is_some());
    calendar.components.retain(|component| !(component.is("VTIMEZONE") && known(component)));
    calendar.components.len() < before
}

fn tzid_of(zone: &Component) -> Option<String> {
    zone.text("TZID").map(std::borrow::Cow::into_owned)
}

/// The zones that a calendar's components name, each once, and the earliest local time in one.
#[derive(Default)]
struct Named {
    tzids: Vec<String>,
    first: Option<NaiveDateTime>,
}

impl Named {
    /// Components nest no deeper than the parser let them.
    fn gather(&mut self, component: &Component) {
        for property in &component.properties {
            let Some(tzid) = property.tzid() else { continue };
            if !self.tzids.iter().any(|known| *known == tzid) {
                self.tzids.push(tzid.into_owned());
            }
            if let Ok(DateOrTime::Zoned(local, _)) = property.date() {
                self.first = Some(self.first.map_or(local, |first| first.min(local)));
            }
        }
        component.components.iter().for_each(|inner| self.gather(inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:a\r\n\
        DTSTART;TZID=Europe/Berlin:20301104T090000\r\nDTEND;TZID=Nowhere/None:20301104T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    fn written(syntax: Syntax, timezones: Timezones, text: &str) -> Option<String> {
        let bytes = Form { syntax, timezones }.of(text.as_bytes(), &Limits::default())?;
        Some(String::from_utf8(bytes).expect("it is UTF-8"))
    }

    // clause 7809/3.1.3-a
    // clause 7809/3.1.3-b
    #[test]
    fn known_zones_are_put_in_and_taken_out_again() {
        let with = written(Syntax::ICalendar, Timezones::Included, NAMED).expect("a zone is missing");
        assert_eq!(with.matches("BEGIN:VTIMEZONE").count(), 1, "{with}");
        assert!(with.find("TZID:Europe/Berlin") < with.find("BEGIN:VEVENT"), "{with}");
        assert_eq!(written(Syntax::ICalendar, Timezones::Included, &with), None);
        assert_eq!(written(Syntax::ICalendar, Timezones::LeftOut, &with).as_deref(), Some(NAMED));
        assert_eq!(written(Syntax::ICalendar, Timezones::LeftOut, NAMED), None);
    }

    #[test]
    fn zones_that_nobody_else_knows_stay() {
        let own = NAMED.replace("Europe/Berlin", "Nowhere/None").replace(
            "BEGIN:VEVENT",
            "BEGIN:VTIMEZONE\r\nTZID:Nowhere/None\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n\
             TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT",
        );
        for timezones in [Timezones::Included, Timezones::LeftOut] {
            assert_eq!(written(Syntax::ICalendar, timezones, &own), None);
        }
    }

    #[test]
    fn forms_combine_and_what_cannot_be_read_is_given_as_it_is() {
        let jcal = written(Syntax::JCal, Timezones::Included, NAMED).expect("it is another form");
        assert!(jcal.starts_with('[') && jcal.contains("vtimezone"), "{jcal}");
        assert_eq!(written(Syntax::JCal, Timezones::AsStored, "garbage"), None);
        assert_eq!(written(Syntax::ICalendar, Timezones::AsStored, NAMED), None);
    }

    #[test]
    fn no_suffix_hides_a_longer_one() {
        for syntax in [Syntax::ICalendar, Syntax::JCal] {
            for timezones in [Timezones::AsStored, Timezones::Included, Timezones::LeftOut] {
                let suffix = Form { syntax, timezones }.suffix();
                let cut = SUFFIXES.iter().find_map(|known| suffix.strip_suffix(known));
                assert_eq!(cut.unwrap_or(""), "", "{suffix}");
                assert!(suffix.is_empty() || SUFFIXES.contains(&suffix));
            }
        }
    }
}
