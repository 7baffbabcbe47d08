//! A provider's times as they are kept: a local time in an IANA zone where the zone is known, else the point in UTC.

use chrono::NaiveDateTime;

use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::zone::Zone;

/// The point `at` as a local time in `zone`; in UTC where the zone has no name of its own.
pub fn in_zone(at: Utc, zone: Option<&Zone>) -> DateOrTime {
    match zone.map(|zone| (zone, zone.iana_name())) {
        None | Some((_, None | Some("UTC"))) => DateOrTime::Utc(at.naive()),
        Some((zone, Some(name))) => DateOrTime::Zoned(zone.to_local(at), name.to_owned()),
    }
}

/// The local time `local` of `zone`.
pub fn of_local(local: NaiveDateTime, zone: &Zone) -> DateOrTime {
    in_zone(zone.to_utc(local), Some(zone))
}

/// The point that `value` is; what has no zone is read in UTC.
pub fn instant(value: &DateOrTime) -> Utc {
    match value.tzid().and_then(Zone::named) {
        Some(zone) => zone.to_utc(value.local()),
        None => Utc::from_naive(value.local()),
    }
}
