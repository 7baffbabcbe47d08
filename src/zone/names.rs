//! From the many spellings of a TZID to one zone.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use chrono_tz::TZ_VARIANTS;
use parking_lot::RwLock;
use windows_timezones::WindowsTimezone;

use super::table::Table;
use super::{Zone, iana};

/// What a spelling means.
#[derive(Clone)]
pub(super) struct Meaning {
    pub zone: Zone,
    /// Whether it is a name of a zone. Else it only looks like one or like an offset, and a VTIMEZONE that defines it knows
    /// better: one called `UTC-05:00` may well have summers.
    pub is_name: bool,
}

/// How many spellings are remembered, those that nobody knows included.
const REMEMBERED_MAX: usize = 4_096;
/// Longer ones are looked up anew each time.
const REMEMBERED_BYTES_MAX: usize = 100;

/// The zone that `tzid` is a name of.
pub(super) fn named(tzid: &str) -> Option<Zone> {
    resolve(tzid).filter(|meaning| meaning.is_name).map(|meaning| meaning.zone)
}

/// The zone that `tzid` means, if anybody knows.
pub(super) fn resolve(tzid: &str) -> Option<Meaning> {
    static KNOWN: LazyLock<RwLock<HashMap<String, Option<Meaning>>>> = LazyLock::new(RwLock::default);
    if let Some(known) = KNOWN.read().get(tzid) {
        return known.clone();
    }
    let zone = look_up(tzid);
    if tzid.len() <= REMEMBERED_BYTES_MAX {
        let mut known = KNOWN.write();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(tzid.to_owned(), zone.clone());
    }
    zone
}

fn look_up(tzid: &str) -> Option<Meaning> {
    let name = tzid.trim().trim_matches('"').trim();
    if name.is_empty() || name.len() > REMEMBERED_BYTES_MAX {
        return None;
    }
    let certain = plain(name).or_else(|| described(name)).map(|zone| Meaning { zone, is_name: true });
    certain.or_else(|| last_of_path(name)).or_else(|| guessed(name).map(|zone| Meaning { zone, is_name: false }))
}

/// What is no name of a zone.
fn guessed(name: &str) -> Option<Zone> {
    if name.eq_ignore_ascii_case("Z") { Some(Zone::utc()) } else { fixed_offset(name) }
}

/// An IANA or Windows name as such.
fn plain(name: &str) -> Option<Zone> {
    let underscored = || name.contains(' ').then(|| iana::zone(&name.replace(' ', "_"))).flatten();
    iana::zone(name).or_else(|| windows(name)).or_else(underscored)
}

fn windows(name: &str) -> Option<Zone> {
    let zone: WindowsTimezone = name.parse().ok()?;
    iana::zone(zone.tzdb_id())
}

/// What Outlook shows people: `(UTC-05:00) Eastern Time (US & Canada)`, whatever offset stands in front.
fn described(name: &str) -> Option<Zone> {
    static DESCRIPTIONS: LazyLock<HashMap<String, WindowsTimezone>> = LazyLock::new(|| {
        let zones = TZ_VARIANTS.iter().filter_map(|zone| WindowsTimezone::try_from(*zone).ok());
        zones.map(|zone| (bare_description(zone.description()).to_ascii_lowercase(), zone)).collect()
    });
    let bare = bare_description(name).to_ascii_lowercase();
    if bare == "coordinated universal time" {
        return Some(Zone::utc());
    }
    iana::zone(DESCRIPTIONS.get(&bare)?.tzdb_id())
}

/// Without `(UTC…)` or `(GMT…)` in front.
fn bare_description(text: &str) -> &str {
    match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((offset, rest)) if offset.starts_with("UTC") || offset.starts_with("GMT") => rest.trim(),
        _ => text,
    }
}

/// `/freeassociation.sourceforge.net/Europe/Berlin`, `tzone://Microsoft/Utc`: the longest end that is a name. An end of one word
/// can as well be the word for something else.
fn last_of_path(name: &str) -> Option<Meaning> {
    let ends = name.match_indices('/').take(16).map(|(at, _)| &name[at + 1..]);
    ends.into_iter().find_map(|end| Some(Meaning { zone: plain(end)?, is_name: end.contains('/') }))
}

/// `GMT+0200`, `UTC-5`, `+05:30`, `(UTC+01:00)`: east is positive, unlike in the names of `Etc/`.
fn fixed_offset(name: &str) -> Option<Zone> {
    let upper = name.trim_start_matches('(').trim_end_matches(')').to_ascii_uppercase();
    let text = upper.trim_start_matches("UTC").trim_start_matches("GMT").trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
        None => (digits, "0"),
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let seconds = sign * (hours * 3600 + minutes * 60);
    (hours <= 23 && minutes <= 59).then(|| match seconds {
        0 => Zone::utc(),
        _ => Zone(Arc::new(Table::new(None, seconds, Vec::new()))),
    })
}
