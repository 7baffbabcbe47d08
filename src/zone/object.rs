//! The zones of one calendar object.

use super::{Zone, names};
use crate::base::Utc;
use crate::ical::{Component, DateOrTime};
use crate::rule::civil;

/// The zones of one object: each of its TZIDs resolved once, and the zone that stands in for floating times.
#[derive(Debug, Clone)]
pub struct Zones {
    floating: Zone,
    utc: Zone,
    named: Vec<(String, Zone)>,
    warnings: Vec<String>,
}

impl Zones {
    /// The zones of `calendar` (a VCALENDAR). `floating` is what floating and all-day values are
    /// read in: the query's or the calendar's time zone, UTC where nobody said (RFC 4791 §9.9, §5.2.2).
    pub fn of(calendar: &Component, floating: &Zone) -> Self {
        let mut zones = Self { floating: floating.clone(), utc: Zone::utc(), named: Vec::new(), warnings: Vec::new() };
        for component in calendar.components.iter().filter(|c| !c.is("VTIMEZONE")) {
            zones.add_all(calendar, component);
            // Deeper than an alarm or an AVAILABLE, nothing has a time of its own.
            component.components.iter().for_each(|inner| zones.add_all(calendar, inner));
        }
        zones
    }

    fn add_all(&mut self, calendar: &Component, component: &Component) {
        for property in component.properties.iter().filter(|property| !property.params.is_empty()) {
            if let Some(tzid) = property.tzid()
                && self.known(&tzid).is_none()
            {
                let zone = self.resolve(calendar, &tzid);
                self.named.push((tzid.into_owned(), zone));
            }
        }
    }

    /// Invariant T2.
    fn resolve(&mut self, calendar: &Component, tzid: &str) -> Zone {
        if let Some(zone) = names::named(tzid) {
            return zone;
        }
        let own = calendar.children("VTIMEZONE").find(|zone| zone.text("TZID").is_some_and(|name| name == tzid));
        if let Some(zone) = own.and_then(Zone::from_vtimezone).or_else(|| Zone::named(tzid)) {
            return zone;
        }
        let why = if own.is_some() { "its VTIMEZONE cannot be read" } else { "there is no VTIMEZONE for it" };
        let shown: String = tzid.chars().take(60).collect();
        self.warnings
            .push(format!("the time zone \"{shown}\" is not known and {why}: its times are taken as floating"));
        self.floating.clone()
    }

    fn known(&self, tzid: &str) -> Option<&Zone> {
        self.named.iter().find(|(name, _)| name == tzid).map(|(_, zone)| zone)
    }

    /// The zone that `value` is to be read in.
    pub fn zone_of(&self, value: &DateOrTime) -> Zone {
        match value {
            DateOrTime::Date(_) | DateOrTime::Floating(_) => self.floating.clone(),
            DateOrTime::Utc(_) => self.utc.clone(),
            DateOrTime::Zoned(_, tzid) => self.named(tzid),
        }
    }

    /// The zone called `tzid` in this object; the floating one if nobody knows it.
    pub fn named(&self, tzid: &str) -> Zone {
        let known = self.known(tzid).cloned();
        known.or_else(|| Zone::named(tzid)).unwrap_or_else(|| self.floating.clone())
    }

    /// The zone that floating and all-day values are read in.
    pub fn floating(&self) -> &Zone {
        &self.floating
    }

    /// The absolute time of `value`; of a DATE, its first second.
    pub fn to_utc(&self, value: &DateOrTime) -> Utc {
        let local = civil::second_of(value.local());
        match value {
            DateOrTime::Date(_) | DateOrTime::Floating(_) => self.floating.utc_of(local),
            DateOrTime::Utc(_) => self.utc.utc_of(local),
            DateOrTime::Zoned(_, tzid) => match self.known(tzid) {
                Some(zone) => zone.utc_of(local),
                None => self.named(tzid).utc_of(local),
            },
        }
    }

    /// What could not be resolved, for people: each TZID that is taken as floating.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
