//! Layer 2: what a TZID means (invariants T1–T3). An IANA name (aliases and Windows names included), else
//! the object's own VTIMEZONE, else floating with a warning.

use chrono::NaiveDateTime;

use crate::base::Utc;
use crate::ical::{Component, DateOrTime};

/// A zone that local times can be computed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Zone;

impl Zone {
    /// UTC itself.
    pub fn utc() -> Self {
        todo!()
    }

    /// The zone called `tzid`: an IANA name, an alias, a Windows name or one of the spellings seen in
    /// the wild. `None` if nobody knows it.
    pub fn named(tzid: &str) -> Option<Self> {
        let _ = tzid;
        todo!()
    }

    /// The zone that a VTIMEZONE component describes (RFC 5545 §3.6.5), its IANA name winning if it has one (T2).
    pub fn from_vtimezone(vtimezone: &Component) -> Option<Self> {
        let _ = vtimezone;
        todo!()
    }

    /// The absolute time of `local` (T3: a time in a gap moves forward by the gap, a time that happens twice is
    /// the first).
    pub fn to_utc(&self, local: NaiveDateTime) -> Utc {
        let _ = local;
        todo!()
    }

    /// The local time at `utc`.
    pub fn to_local(&self, utc: Utc) -> NaiveDateTime {
        let _ = utc;
        todo!()
    }

    /// The IANA name, if it has one.
    pub fn iana_name(&self) -> Option<&str> {
        todo!()
    }
}

/// The zones of one object: each of its TZIDs resolved once, and the zone that stands in for floating times.
#[derive(Debug, Clone)]
pub struct Zones;

impl Zones {
    /// The zones of `calendar` (a VCALENDAR). `floating` is what floating and all-day values are
    /// read in: the query's or the calendar's time zone, UTC where nobody said (RFC 4791 §9.9, §5.2.2).
    pub fn of(calendar: &Component, floating: &Zone) -> Self {
        let _ = (calendar, floating);
        todo!()
    }

    /// The absolute time of `value`; of a DATE, its first second.
    pub fn to_utc(&self, value: &DateOrTime) -> Utc {
        let _ = value;
        todo!()
    }
}
