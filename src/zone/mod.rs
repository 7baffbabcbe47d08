//! Layer 2: what a TZID means (invariants T1–T3). An IANA name (aliases and Windows names included), else
//! the object's own VTIMEZONE (RFC 5545 §3.6.5), else floating with a warning.
//!
//! A [`Zone`] is a table of transitions, made once per process and shared; a conversion is one binary search.
//! [`Zones`] are those of one calendar object, each TZID resolved once.
//!
//! Not here: recurrence (`recur`), and how a rule is expanded (`rule`), which VTIMEZONEs need too.
//!
//! ```
//! use kalends::zone::Zone;
//! let berlin = Zone::named("W. Europe Standard Time").unwrap();
//! assert_eq!(berlin.iana_name(), Some("Europe/Berlin"));
//! let gap = "2026-03-29T02:30:00".parse().unwrap();
//! assert_eq!(berlin.to_utc(gap).to_string(), "20260329T013000Z");
//! ```

mod iana;
mod names;
mod object;
mod reference;
mod table;
#[cfg(test)]
mod tests;
mod vtimezone;
mod write;

use std::fmt;
use std::sync::{Arc, LazyLock};

use chrono::NaiveDateTime;

pub use iana::data_version;
pub use object::Zones;
pub use reference::{Timezones, is_standard, unknown_tzid, with_timezones, with_timezones_since};
use table::Table;

use crate::base::Utc;
use crate::ical::Component;
use crate::rule::civil;

/// A zone that local times can be computed in. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Table>);

impl Zone {
    /// UTC itself.
    pub fn utc() -> Self {
        static UTC: LazyLock<Zone> =
            LazyLock::new(|| Zone(Arc::new(Table::new(Some("UTC".to_owned()), 0, Vec::new()))));
        UTC.clone()
    }

    /// The zone called `tzid`: an IANA name, an alias, a Windows name or one of the spellings seen in
    /// the wild. `None` if nobody knows it.
    pub fn named(tzid: &str) -> Option<Self> {
        names::resolve(tzid).map(|meaning| meaning.zone)
    }

    /// The zone that a VTIMEZONE component describes (RFC 5545 §3.6.5), its IANA name winning if it has one (T2). What its TZID
    /// merely looks like counts where it describes nothing.
    pub fn from_vtimezone(vtimezone: &Component) -> Option<Self> {
        let named = ["TZID", "X-LIC-LOCATION"].iter().find_map(|name| names::named(&vtimezone.text(name)?));
        named.or_else(|| vtimezone::zone(vtimezone)).or_else(|| Self::named(&vtimezone.text("TZID")?))
    }

    /// The absolute time of `local` (T3: a time in a gap moves forward by the gap, a time that happens twice is
    /// the first).
    pub fn to_utc(&self, local: NaiveDateTime) -> Utc {
        self.utc_of(civil::second_of(local))
    }

    /// The local time at `utc`.
    pub fn to_local(&self, utc: Utc) -> NaiveDateTime {
        civil::naive(self.local_of(utc))
    }

    /// As [`Zone::to_utc`], from a local second (see [`crate::rule`]).
    pub fn utc_of(&self, local: i64) -> Utc {
        Utc(local).plus(-i64::from(self.0.offset_at_local(local)))
    }

    /// As [`Zone::to_local`], as a local second (see [`crate::rule`]).
    pub fn local_of(&self, utc: Utc) -> i64 {
        utc.0 + i64::from(self.0.offset_at(utc.0))
    }

    /// The offset from UTC in seconds (east is positive) at `utc`.
    pub fn offset_at(&self, utc: Utc) -> i32 {
        self.0.offset_at(utc.0)
    }

    /// The largest change of the clock that this zone has ever made, in seconds: how far local times and absolute
    /// times can be out of order.
    pub fn change_max(&self) -> i64 {
        self.0.change_max()
    }

    /// The IANA name, if it has one.
    pub fn iana_name(&self) -> Option<&str> {
        self.0.name()
    }

    /// A VTIMEZONE with the TZID `tzid` that is right from the year before `around` on.
    pub fn vtimezone(&self, tzid: &str, around: Utc) -> Component {
        write::vtimezone(self, tzid, around)
    }

    /// As [`Zone::vtimezone`], as text, with the zone's own name (UTC's where it has none).
    pub fn vtimezone_text(&self, around: Utc) -> String {
        self.vtimezone(self.iana_name().unwrap_or("UTC"), around).to_ics()
    }
}

/// Its name; the table behind it would fill pages.
impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.iana_name().unwrap_or("own VTIMEZONE")).finish()
    }
}

/// Two zones are the same if they have the same name, or none and the same transitions.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}
