//! One event in the plain form as a record.

use std::str::FromStr;

use serde_json::Value;

use crate::base::Utc;
use crate::ical::DateOrTime;
use crate::merge::{
    Attendee, AttendeeKind, Content, End, Orphan, Part, Person, Presence, Provider, Recurrence, Response, Role,
    SourceId, SourceRecord, Status, Transparency, Version,
};
use crate::provider::json::{Fields, Wrong, instant, sane};
use crate::zone::Zone;

/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 500;
/// People that one event can invite.
const ATTENDEES_MAX: usize = 5_000;
/// The fields that are known; another one is a mistake of the sender's.
const KNOWN: &[&str] = &[
    "provider",
    "op",
    "id",
    "start",
    "end",
    "title",
    "updated_at",
    "version",
    "series_id",
    "original_start",
    "uid",
    "time_zone",
    "description",
    "location",
    "join_url",
    "url",
    "organizer",
    "attendees",
    "status",
    "busy",
    "rrule",
    "exdates",
];

/// The record of the event `value`, which lies at `path`.
pub(super) fn record(account: &str, value: &Value, path: &str) -> Result<SourceRecord, Wrong> {
    read(account, value).map_err(|wrong| match path {
        "" => wrong,
        path => Wrong { field: format!("{path}.{}", wrong.field), ..wrong },
    })
}

fn read(account: &str, value: &Value) -> Result<SourceRecord, Wrong> {
    let fields = Fields::of(value)?;
    if let Some(unknown) = fields.names().find(|name| !KNOWN.contains(name)) {
        let shown: String = unknown.chars().take(64).collect();
        return Err(Wrong {
            field: shown,
            problem: format!("is no field of an event; there are {}", KNOWN.join(", ")),
        });
    }
    let provider = id(&fields, "provider")?;
    if provider.contains(':') {
        return Err(fields.wrong("provider", "must not contain a colon"));
    }
    let is_deleted = match fields.needed_text("op")?.as_str() {
        "created" | "updated" => false,
        "deleted" => true,
        _ => return Err(fields.wrong("op", "must be created, updated or deleted")),
    };
    let source = SourceId::new(Provider::Generic, account, &format!("{provider}:{}", id(&fields, "id")?));
    let version = version(&fields)?.ranked(u64::from(is_deleted));
    let part = part(&fields, &provider)?;
    if is_deleted {
        let content = Content {
            role: Some(Role::Generic),
            // An event that says nothing of a series is one of its own, or we would not know which it was.
            part,
            presence: Some(Presence::Deleted),
            ..Content::default()
        };
        return Ok(SourceRecord::partial(source, version, content));
    }
    let content = content(&fields, part.unwrap_or(Part::Event))?;
    Ok(SourceRecord::whole(source, version, content))
}

fn id(fields: &Fields<'_>, name: &str) -> Result<String, Wrong> {
    let text = match fields.get(name) {
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        _ => fields.needed_text(name)?,
    };
    if text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(fields.wrong(name, format!("must be at most {ID_BYTES_MAX} bytes, without control characters")));
    }
    Ok(text)
}

/// `version` if there is one, else `updated_at`. A sender uses one or the other.
fn version(fields: &Fields<'_>) -> Result<Version, Wrong> {
    if let Some(number) = fields.number("version")? {
        if number < 0 {
            return Err(fields.wrong("version", "must not be negative"));
        }
        fields.instant("updated_at")?;
        return Ok(Version::of_stamp(number));
    }
    let text = fields.text("updated_at")?.ok_or_else(|| fields.wrong("updated_at", "is missing, and so is version"))?;
    instant(&text).map_err(|problem| fields.wrong("updated_at", problem))?;
    let parsed = chrono::DateTime::parse_from_rfc3339(text.trim());
    let ms = parsed.map_err(|_| fields.wrong("updated_at", "must be a time as RFC 3339 writes it"))?.timestamp_millis();
    Ok(Version::of_stamp(ms))
}

/// `series_id` and `original_start` go together: an exception of a series.
fn part(fields: &Fields<'_>, provider: &str) -> Result<Option<Part>, Wrong> {
    match (fields.get("series_id"), fields.get("original_start")) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(fields.wrong("original_start", "is missing, and series_id is there")),
        (None, Some(_)) => Err(fields.wrong("series_id", "is missing, and original_start is there")),
        (Some(_), Some(_)) => {
            let series = format!("{provider}:{}", id(fields, "series_id")?);
            let original =
                time(fields, "original_start")?.ok_or_else(|| fields.wrong("original_start", "is missing"))?;
            Ok(Some(Part::Instance { series, original_start: original, orphan: Orphan::Waits }))
        }
    }
}

fn content(fields: &Fields<'_>, part: Part) -> Result<Content, Wrong> {
    let start = time(fields, "start")?.ok_or_else(|| fields.wrong("start", "is missing"))?;
    let end = time(fields, "end")?;
    if let Some(end) = &end {
        if matches!(end, DateOrTime::Date(_)) != matches!(start, DateOrTime::Date(_)) {
            return Err(fields.wrong("end", "must be a date if start is one, and a time if start is one"));
        }
        if naive(end) < naive(&start) && kind(end) == kind(&start) {
            return Err(fields.wrong("end", "is before the start"));
        }
    }
    let zone = fields.text("time_zone")?.filter(|zone| !zone.is_empty());
    if zone.as_deref().is_some_and(|zone| Zone::named(zone).is_none()) {
        return Err(fields.wrong("time_zone", "is no zone that is known; write one as in Europe/Berlin"));
    }
    let status = match fields.text("status")?.as_deref() {
        None => None,
        Some("confirmed") => Some(Status::Confirmed),
        Some("tentative") => Some(Status::Tentative),
        Some("cancelled") => Some(Status::Cancelled),
        Some(_) => return Err(fields.wrong("status", "must be confirmed, tentative or cancelled")),
    };
    let busy = fields.flag("busy")?;
    Ok(Content {
        role: Some(Role::Generic),
        recurrence: recurrence(fields, &part)?,
        part: Some(part),
        presence: Some(Presence::Live),
        uid: fields.text("uid")?,
        title: fields.text("title")?,
        description: fields.text("description")?,
        location: fields.text("location")?,
        start: Some(start),
        end: end.map(End::At),
        zone,
        status,
        transparency: busy.map(|busy| if busy { Transparency::Opaque } else { Transparency::Transparent }),
        organizer: person(fields, "organizer")?,
        attendees: attendees(fields)?,
        join_url: fields.text("join_url")?.filter(|url| !url.is_empty()),
        url: fields.text("url")?.filter(|url| !url.is_empty()),
        ..Content::default()
    })
}

/// A date (`2026-11-10`), a time with its offset, or a local time (`2026-11-10T14:00:00`) in `time_zone`.
fn time(fields: &Fields<'_>, name: &str) -> Result<Option<DateOrTime>, Wrong> {
    use chrono::Datelike;
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let text = text.trim();
    let wrong = |problem: &str| fields.wrong(name, problem);
    if let Ok(date) = chrono::NaiveDate::from_str(text)
        && text.len() == 10
    {
        sane(date.year()).map_err(wrong)?;
        return Ok(Some(DateOrTime::Date(date)));
    }
    if let Ok(local) = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
        sane(local.year()).map_err(wrong)?;
        let zone = fields.text("time_zone")?.filter(|zone| !zone.is_empty());
        return Ok(Some(match zone {
            Some(zone) => DateOrTime::Zoned(local, zone),
            None => return Err(wrong("has no offset, and there is no time_zone")),
        }));
    }
    let problem = "must be a date (2026-11-10), a time (2026-11-10T14:00:00Z), or a local time beside time_zone";
    match instant(text) {
        Ok(at) => Ok(Some(DateOrTime::Utc(at.naive()))),
        Err(year) if year.contains("year") => Err(wrong(year)),
        Err(_) => Err(wrong(problem)),
    }
}

fn naive(value: &DateOrTime) -> chrono::NaiveDateTime {
    match value {
        DateOrTime::Date(date) => date.and_time(chrono::NaiveTime::MIN),
        DateOrTime::Floating(at) | DateOrTime::Utc(at) | DateOrTime::Zoned(at, _) => *at,
    }
}

fn kind(value: &DateOrTime) -> std::mem::Discriminant<DateOrTime> {
    std::mem::discriminant(value)
}

fn recurrence(fields: &Fields<'_>, part: &Part) -> Result<Option<Recurrence>, Wrong> {
    let Some(rule) = fields.text("rrule")?.filter(|rule| !rule.is_empty()) else { return Ok(None) };
    if *part != Part::Event {
        return Err(fields.wrong("rrule", "cannot stand in an exception of a series"));
    }
    let rule = rule.strip_prefix("RRULE:").unwrap_or(&rule).to_owned();
    crate::recur::check_rule(&rule).map_err(|problem| fields.wrong("rrule", problem))?;
    let exdates = match fields.get("exdates") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(|item| exdate(fields, item)).collect::<Result<_, _>>()?,
        Some(_) => return Err(fields.wrong("exdates", "must be a list of times")),
    };
    Ok(Some(Recurrence { rules: vec![rule], exdates, ..Recurrence::default() }))
}

fn exdate(fields: &Fields<'_>, item: &Value) -> Result<DateOrTime, Wrong> {
    let wrong = || fields.wrong("exdates", "must hold dates, or times as RFC 3339 writes them");
    let text = item.as_str().ok_or_else(wrong)?;
    if let Ok(date) = chrono::NaiveDate::from_str(text) {
        return Ok(DateOrTime::Date(date));
    }
    let at: Utc = instant(text).map_err(|_| wrong())?;
    Ok(DateOrTime::Utc(at.naive()))
}

/// An address, or `{"email", "name"}`.
fn person(fields: &Fields<'_>, name: &str) -> Result<Option<Person>, Wrong> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(email)) => address(fields, name, email).map(Some),
        Some(Value::Object(_)) => {
            let inner = fields.needed_object(name)?;
            let mut person = address(&inner, "email", &inner.needed_text("email")?)?;
            person.name = inner.text("name")?.unwrap_or_default();
            Ok(Some(person))
        }
        Some(_) => Err(fields.wrong(name, "must be an address, or an object with email and name")),
    }
}

fn address(fields: &Fields<'_>, name: &str, email: &str) -> Result<Person, Wrong> {
    let is_one = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if is_one && !email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(Person::of(email))
    } else {
        Err(fields.wrong(name, "must be a mail address"))
    }
}

fn attendees(fields: &Fields<'_>) -> Result<Option<Vec<Attendee>>, Wrong> {
    if fields.get("attendees").is_none() {
        return Ok(None);
    }
    let listed = fields.objects("attendees")?;
    if listed.len() > ATTENDEES_MAX {
        return Err(fields.wrong("attendees", format!("has more than {ATTENDEES_MAX} entries")));
    }
    listed.iter().map(attendee).collect::<Result<Vec<_>, _>>().map(Some)
}

fn attendee(fields: &Fields<'_>) -> Result<Attendee, Wrong> {
    let mut person = address(fields, "email", &fields.needed_text("email")?)?;
    person.name = fields.text("name")?.unwrap_or_default();
    let response = match fields.text("response")?.as_deref() {
        None | Some("needs-action") => Response::NeedsAction,
        Some("accepted") => Response::Accepted,
        Some("declined") => Response::Declined,
        Some("tentative") => Response::Tentative,
        Some(_) => return Err(fields.wrong("response", "must be accepted, declined, tentative or needs-action")),
    };
    let kind = if fields.flag("optional")?.unwrap_or(false) { AttendeeKind::Optional } else { AttendeeKind::Required };
    Ok(Attendee { person, response, kind })
}
