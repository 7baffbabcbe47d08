//! In which zone a reader takes floating and all-day values (RFC 4791 §5.2.2, §7.3; RFC 7809 §4).

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Error;
use crate::base::Limits;
use crate::ical;
use crate::model::{CalendarSettings, Precondition};
use crate::zone::Zone;

/// A zone for floating values, with a key by which results computed in it can be kept.
#[derive(Debug, Clone)]
pub struct Floating {
    /// The zone.
    pub zone: Zone,
    /// Equal for equal sources of the zone; 0 for UTC.
    pub key: u64,
}

impl Floating {
    /// UTC: where neither the query nor the calendar says anything.
    pub fn utc() -> Self {
        Self { zone: Zone::utc(), key: 0 }
    }

    /// The zone of a calendar: its timezone-id, else its calendar-timezone, else UTC.
    pub fn of_calendar(settings: &CalendarSettings, limits: &Limits) -> Self {
        let by_name = settings.timezone_id.as_deref().and_then(Self::named);
        let by_value = || Self::of_text(settings.timezone.as_deref()?, limits).ok();
        by_name.or_else(by_value).unwrap_or_else(Self::utc)
    }

    /// The zone called `tzid` (CALDAV:timezone-id).
    pub fn named(tzid: &str) -> Option<Self> {
        Zone::named(tzid.trim()).map(|zone| Self { zone, key: key_of(tzid.trim()) })
    }

    /// The zone in a VCALENDAR with one VTIMEZONE (CALDAV:timezone, CALDAV:calendar-timezone).
    ///
    /// # Errors
    /// CALDAV:valid-calendar-data if it is none.
    pub fn of_text(text: &str, limits: &Limits) -> Result<Self, Error> {
        let invalid = |why: String| Error::precondition(Precondition::ValidTimezone, why);
        let calendar = ical::parse(text.trim().as_bytes(), limits).map_err(|error| invalid(error.to_string()))?;
        let mut zones = calendar.components.iter().filter(|component| component.is("VTIMEZONE"));
        let (Some(vtimezone), None) = (zones.next(), zones.next()) else {
            return Err(invalid("a time zone is a VCALENDAR with exactly one VTIMEZONE in it".into()));
        };
        let zone = Zone::from_vtimezone(vtimezone).ok_or_else(|| {
            invalid("the VTIMEZONE has no TZID, or no STANDARD or DAYLIGHT that can be understood".into())
        })?;
        Ok(Self { zone, key: key_of(text) })
    }
}

/// Never 0, which stands for UTC.
fn key_of(source: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish().max(1)
}
