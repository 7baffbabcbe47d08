//! A VTIMEZONE written from a zone's table (RFC 5545 §3.6.5): one RRULE a change where the changes have
//! become regular, RDATEs for those before.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::{CYCLE_FIRST, Change};
use super::{Zone, iana};
use crate::base::Utc;
use crate::ical::{Component, Property, format_offset};
use crate::rule::civil::{self, DAY};

/// Irregular changes more years ahead than this are not foreseen by anybody,
const IRREGULAR_YEARS_MAX: i64 = 20;
/// those before this year excepted: a series that began long ago still goes on.
const IRREGULAR_UNTIL: i64 = 2050;

/// A change as its part of the VTIMEZONE needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Onset {
    before: i32,
    change: Change,
}

impl Onset {
    /// The local second by the clock before the change.
    fn local(&self) -> i64 {
        self.change.at + i64::from(self.before)
    }

    fn year(&self) -> i64 {
        civil::civil(self.local().div_euclid(DAY)).0
    }
}

/// The VTIMEZONE of `zone` under the name `tzid`, right from the year before `around` on.
pub(super) fn vtimezone(zone: &Zone, tzid: &str, around: Utc) -> Component {
    let year = civil::civil(around.0.div_euclid(DAY)).0.clamp(2, 9_000) - 1;
    let onsets: Vec<Onset> = zone.0.changes().map(|(before, change)| Onset { before, change }).collect();
    let names = Names(zone.iana_name().and_then(iana::time_zone));
    let mut parts = vec![in_force(zone, &onsets, year)];
    let coming: Vec<Onset> = onsets.into_iter().filter(|onset| onset.year() >= year).collect();
    let (regular_from, patterns) = regular(&coming);
    let irregular_until = regular_from.min(IRREGULAR_UNTIL.max(year + IRREGULAR_YEARS_MAX));
    let irregular = coming.iter().filter(|onset| onset.year() < irregular_until);
    group(irregular.copied(), &mut parts);
    let mut vtimezone = Component::new("VTIMEZONE").with(Property::with_text("TZID", tzid));
    for part in &parts {
        vtimezone = vtimezone.with_component(part.component(&names));
    }
    let first_regular = regular_from.max(year);
    for pattern in &patterns {
        if let Some(first) = coming.iter().find(|o| o.year() >= first_regular && pattern.fits(o)) {
            let part = Part { onset: *first, later: Vec::new(), rule: Some(pattern.rule()) };
            vtimezone = vtimezone.with_component(part.component(&names));
        }
    }
    vtimezone
}

/// One STANDARD or DAYLIGHT.
struct Part {
    onset: Onset,
    later: Vec<i64>,
    rule: Option<String>,
}

/// What holds when `year` begins.
fn in_force(zone: &Zone, onsets: &[Onset], year: i64) -> Part {
    let earlier = onsets.iter().rev().find(|onset| onset.year() < year).copied();
    let onset = earlier.unwrap_or_else(|| {
        let start = civil::days(year.min(1970), 1, 1) * DAY;
        let offset = zone.0.offset_at_local(start);
        Onset { before: offset, change: Change { at: start - i64::from(offset), offset } }
    });
    Part { onset, later: Vec::new(), rule: None }
}

/// Changes between the same offsets share a part.
fn group(onsets: impl Iterator<Item = Onset>, parts: &mut Vec<Part>) {
    for onset in onsets {
        let alike =
            |part: &&mut Part| part.onset.before == onset.before && part.onset.change.offset == onset.change.offset;
        match parts.iter_mut().find(alike) {
            Some(part) => part.later.push(onset.local()),
            None => parts.push(Part { onset, later: Vec::new(), rule: None }),
        }
    }
}

/// A change that comes back every year.
struct Pattern {
    before: i32,
    offset: i32,
    month: u32,
    time: i64,
    weekday: u32,
    /// The days of the month it has fallen on.
    first_day: u32,
    last_day: u32,
}

impl Pattern {
    fn of(onset: &Onset) -> Self {
        let day = onset.local().div_euclid(DAY);
        let (_, month, day_of_month) = civil::civil(day);
        Self {
            before: onset.before,
            offset: onset.change.offset,
            month,
            time: onset.local().rem_euclid(DAY),
            weekday: civil::weekday(day),
            first_day: day_of_month,
            last_day: day_of_month,
        }
    }

    /// Takes `other` in, if it is the same change on another day of the same week of the month.
    fn widen(&mut self, other: &Self) -> bool {
        let alike = (self.before, self.offset, self.month, self.time, self.weekday)
            == (other.before, other.offset, other.month, other.time, other.weekday);
        self.first_day = self.first_day.min(other.first_day);
        self.last_day = self.last_day.max(other.last_day);
        alike && self.last_day - self.first_day < 7
    }

    fn fits(&self, onset: &Onset) -> bool {
        let mut both = Self { ..*self };
        both.widen(&Self::of(onset)) && (both.first_day, both.last_day) == (self.first_day, self.last_day)
    }

    fn rule(&self) -> String {
        const NAMES: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let (month, weekday, first) = (self.month, NAMES[self.weekday as usize], self.first_day);
        let shortest = civil::month_len(2001, month);
        if self.last_day == shortest && self.last_day - first == 6 && month != 2 {
            return format!("FREQ=YEARLY;BYMONTH={month};BYDAY=-1{weekday}");
        }
        if first % 7 == 1 {
            return format!("FREQ=YEARLY;BYMONTH={month};BYDAY={}{weekday}", first / 7 + 1);
        }
        let days: Vec<String> = (first..=self.last_day).map(|day| day.to_string()).collect();
        format!("FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={};BYDAY={weekday}", days.join(","))
    }
}

/// From which year on the changes are the same each year, and which they are. Where they never become
/// regular: a year beyond all, and none.
fn regular(coming: &[Onset]) -> (i64, Vec<Pattern>) {
    let of_year = |year: i64| coming.iter().filter(move |onset| onset.year() == year);
    let mut patterns: Vec<Pattern> = of_year(CYCLE_FIRST).map(Pattern::of).collect();
    if patterns.is_empty() {
        return (i64::MAX, patterns);
    }
    for year in CYCLE_FIRST..CYCLE_FIRST + 28 {
        let same_number = of_year(year).count() == patterns.len();
        if !same_number || !patterns.iter_mut().zip(of_year(year)).all(|(p, onset)| p.widen(&Pattern::of(onset))) {
            return (i64::MAX, Vec::new());
        }
    }
    let fits = |year: i64| {
        of_year(year).count() == patterns.len() && patterns.iter().zip(of_year(year)).all(|(p, o)| p.fits(o))
    };
    let first = coming.first().map_or(CYCLE_FIRST, Onset::year);
    let from = (first..CYCLE_FIRST).rev().take_while(|year| fits(*year)).last().unwrap_or(CYCLE_FIRST);
    (from, patterns)
}

impl Part {
    fn component(&self, names: &Names) -> Component {
        let Onset { before, change } = self.onset;
        let (is_daylight, abbreviation) = names.at(&self.onset);
        let local = |second: i64| civil::naive(second).format("%Y%m%dT%H%M%S").to_string();
        let mut part = Component::new(if is_daylight { "DAYLIGHT" } else { "STANDARD" })
            .with(Property::new("DTSTART", local(self.onset.local())))
            .with(Property::new("TZOFFSETFROM", format_offset(before)))
            .with(Property::new("TZOFFSETTO", format_offset(change.offset)));
        if let Some(name) = abbreviation {
            part = part.with(Property::with_text("TZNAME", &name));
        }
        if let Some(rule) = &self.rule {
            part = part.with(Property::new("RRULE", rule.as_str()));
        }
        for later in &self.later {
            part = part.with(Property::new("RDATE", local(*later)));
        }
        part
    }
}

/// What people call the offsets of a zone.
struct Names(Option<TimeZone>);

impl Names {
    /// Whether the time behind `onset` is daylight saving time, and its abbreviation.
    fn at(&self, onset: &Onset) -> (bool, Option<String>) {
        let info = self.0.as_ref().zip(Timestamp::from_second(onset.change.at).ok());
        match info.as_ref().map(|(zone, at)| zone.to_offset_info(*at)) {
            Some(info) => (info.dst().is_dst(), Some(info.abbreviation().to_owned())),
            None => (onset.change.offset > onset.before, None),
        }
    }
}
