//! When a component starts and how long it lasts (RFC 5545 §3.6.1–§3.6.4, §3.8.2.5).

use crate::base::Utc;
use crate::ical::{Component, ComponentKind, DateOrTime, Duration, ValueError};
use crate::rule::civil::{self, DAY};
use crate::zone::{Zone, Zones};

/// How long each occurrence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many seconds: what DTEND or DUE of a timed component mean for all occurrences (§3.8.5.3).
    Exact(i64),
    /// So many days by the clock and then so many seconds: DURATION, and everything of a DATE.
    Nominal(Duration),
}

impl Length {
    pub const ZERO: Self = Self::Exact(0);
    const ONE_DAY: Self = Self::Nominal(Duration { days: 1, seconds: 0 });

    /// The end of what starts at the local second `local`, which is `start`, in `zone`.
    pub fn end(self, zone: &Zone, local: i64, start: Utc) -> Utc {
        let end = match self {
            Self::Exact(seconds) => start.plus(seconds),
            Self::Nominal(Duration { days: 0, seconds }) => start.plus(seconds),
            Self::Nominal(length) => {
                let days = length.days.saturating_mul(DAY);
                zone.utc_of(local.saturating_add(days).clamp(civil::FIRST, civil::LAST)).plus(length.seconds)
            }
        };
        end.max(start)
    }

    /// Its length in seconds, but for what a change of the clock adds or takes.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Exact(seconds) => seconds,
            Self::Nominal(length) => length.days.saturating_mul(DAY).saturating_add(length.seconds),
        }
    }
}

/// Where a component stands in time.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    /// Its start as written: DTSTART, or DUE of a VTODO that has nothing else.
    pub start: DateOrTime,
    pub zone: Zone,
    /// The start as a local second in `zone`.
    pub local: i64,
    pub utc: Utc,
    pub length: Length,
}

impl Anchor {
    /// That of `component`; `None` if it has no start.
    pub fn of(component: &Component, kind: ComponentKind, zones: &Zones) -> Result<Option<Self>, ValueError> {
        let start = match (component.date("DTSTART")?, kind) {
            (Some(start), _) => start,
            (None, ComponentKind::Todo) => match component.date("DUE")? {
                Some(due) => return Ok(Some(Self::at(due, Length::ZERO, zones))),
                None => return Ok(None),
            },
            (None, _) => return Ok(None),
        };
        let mut anchor = Self::at(start, Length::ZERO, zones);
        anchor.length = anchor.length_of(component, kind, zones)?;
        Ok(Some(anchor))
    }

    pub fn at(start: DateOrTime, length: Length, zones: &Zones) -> Self {
        let zone = zones.zone_of(&start);
        let local = civil::second_of(start.local()).clamp(civil::FIRST, civil::LAST);
        Self { utc: zone.utc_of(local), zone, local, length, start }
    }

    fn length_of(&self, component: &Component, kind: ComponentKind, zones: &Zones) -> Result<Length, ValueError> {
        let end = match kind {
            ComponentKind::Todo => component.date("DUE")?,
            ComponentKind::Journal => None,
            _ => component.date("DTEND")?,
        };
        if let Some(end) = end {
            return Ok(self.until(&end, zones));
        }
        let duration = if kind == ComponentKind::Journal { None } else { component.duration("DURATION")? };
        Ok(match (duration, kind) {
            (Some(length), _) => Length::Nominal(Duration { days: length.days.max(0), seconds: length.seconds.max(0) }),
            (None, ComponentKind::Event | ComponentKind::Journal) if self.start.is_date() => Length::ONE_DAY,
            (None, _) => Length::ZERO,
        })
    }

    /// The length from the start to `end`.
    pub fn until(&self, end: &DateOrTime, zones: &Zones) -> Length {
        if self.start.is_date() && end.is_date() {
            let days = (end.date() - self.start.date()).num_days().max(0);
            return Length::Nominal(Duration { days, seconds: 0 });
        }
        Length::Exact((self.utc_of(end, zones).0 - self.utc.0).max(0))
    }

    /// The absolute time of `value`, which stands beside this start.
    pub fn utc_of(&self, value: &DateOrTime, zones: &Zones) -> Utc {
        let local = civil::second_of(value.local()).clamp(civil::FIRST, civil::LAST);
        self.zone_of(value, zones).utc_of(local)
    }

    /// The zone that `value`, which stands beside this start, is read in.
    pub fn zone_of(&self, value: &DateOrTime, zones: &Zones) -> Zone {
        zones.zone_of(&value.beside(&self.start))
    }

    /// The end of the occurrence that is the component's own.
    pub fn end(&self) -> Utc {
        self.length.end(&self.zone, self.local, self.utc)
    }
}
