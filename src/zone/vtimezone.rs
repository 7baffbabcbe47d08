//! The meaning of a VTIMEZONE (RFC 5545 §3.6.5): its STANDARD and DAYLIGHT parts as a table of changes.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;

use super::Zone;
use super::table::{Change, TABLE_END, Table};
use crate::ical::{Component, DateOrTime, parse_offset};
use crate::rule::{Rule, Sequence, Until, civil};

/// Looking at more candidates than this is no time zone but an attack.
const STEPS_MAX: u64 = 50_000;
/// How many different VTIMEZONEs are remembered.
const REMEMBERED_MAX: usize = 1_024;
/// Longer ones are computed anew each time.
const REMEMBERED_BYTES_MAX: usize = 16 * 1024;

/// The zone that `vtimezone` describes by itself, whatever its TZID is. `None` if it makes no sense.
pub(super) fn zone(vtimezone: &Component) -> Option<Zone> {
    static KNOWN: LazyLock<RwLock<HashMap<String, Option<Zone>>>> = LazyLock::new(RwLock::default);
    let key = key(vtimezone);
    if let Some(known) = KNOWN.read().get(&key) {
        return known.clone();
    }
    let zone = evaluate(vtimezone).map(|table| Zone(Arc::new(table)));
    if key.len() <= REMEMBERED_BYTES_MAX {
        let mut known = KNOWN.write();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(key, zone.clone());
    }
    zone
}

/// All that decides the meaning. Two with the same key are the same zone.
fn key(vtimezone: &Component) -> String {
    let mut key = String::with_capacity(512);
    for property in vtimezone.components.iter().flat_map(|part| &part.properties) {
        key.push_str(&property.name);
        key.push(':');
        key.push_str(&property.value);
        key.push('\n');
    }
    key
}

/// A change, with the offset that its part claims to hold before it.
struct Onset {
    change: Change,
    before: i32,
}

fn evaluate(vtimezone: &Component) -> Option<Table> {
    let mut onsets = Vec::new();
    let mut steps = STEPS_MAX;
    for part in vtimezone.components.iter().filter(|part| part.is("STANDARD") || part.is("DAYLIGHT")) {
        add_onsets(part, &mut onsets, &mut steps)?;
    }
    onsets.sort_by_key(|onset: &Onset| onset.change.at);
    let initial = onsets.first()?.before;
    Some(Table::new(None, initial, onsets.into_iter().map(|onset| onset.change).collect()))
}

/// The onsets of one part. `None` if it cannot be read or has far too many.
fn add_onsets(part: &Component, onsets: &mut Vec<Onset>, steps: &mut u64) -> Option<()> {
    let before = parse_offset(&part.property("TZOFFSETFROM")?.value).ok()?;
    let offset = parse_offset(&part.property("TZOFFSETTO")?.value).ok()?;
    let start = civil::second_of(part.date("DTSTART").ok()??.local());
    let mut add = |at: i64| onsets.push(Onset { change: Change { at, offset }, before });
    add(start - i64::from(before));
    for value in part.all("RRULE") {
        let mut rule: Rule = value.value.parse().ok()?;
        if let Some(Until::Utc(until)) = rule.until {
            rule.until = Some(Until::Local(until + i64::from(before)));
        }
        let sequence = Sequence::new(&rule, start);
        let mut cursor = sequence.from(start + 1);
        while let Some(local) = cursor.next(steps).ok()?.filter(|local| *local < TABLE_END) {
            add(local - i64::from(before));
        }
    }
    for value in part.all("RDATE") {
        for date in value.dates().ok()? {
            *steps = steps.checked_sub(1)?;
            let second = civil::second_of(date.local());
            add(if let DateOrTime::Utc(_) = date { second } else { second - i64::from(before) });
        }
    }
    Some(())
}
