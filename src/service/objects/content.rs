//! From a body to what is stored: media type, validation, index.

use bytes::Bytes;

use super::{Fidelity, row};
use crate::base::{ETag, Limits};
use crate::ical::{self, CalendarObject, Invalid, InvalidKind};
use crate::model::{CalendarSettings, Index, Precondition};
use crate::service::Error;
use crate::zone;

/// A body that may be stored.
#[derive(Debug, Clone)]
pub struct Content {
    /// What is stored.
    pub bytes: Bytes,
    /// Its tag.
    pub etag: ETag,
    /// Its media type, for files.
    pub content_type: Option<String>,
    /// Its language, for files.
    pub content_language: Option<String>,
    /// What queries need of it, for calendar objects.
    pub index: Option<Index>,
    /// Whether it is what was sent.
    pub fidelity: Fidelity,
}

/// Which form a body for a calendar is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Icalendar,
    Jcal,
}

/// Takes a body for a file.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn file_content(
    limits: &Limits,
    bytes: Bytes,
    content_type: Option<String>,
    content_language: Option<String>,
) -> Result<Content, Error> {
    if bytes.len() as u64 > limits.file_bytes_max {
        return Err(Error::TooLarge { what: "the file", max: limits.file_bytes_max });
    }
    let etag = ETag::of(&bytes);
    Ok(Content { bytes, etag, content_type, content_language, index: None, fidelity: Fidelity::AsSent })
}

/// Takes a body for a calendar with `settings`.
///
/// # Errors
/// The preconditions of RFC 4791 §5.3.2.1, and CALDAV:valid-timezone for a time in a zone that nobody can know.
pub fn calendar_content(
    limits: &Limits,
    settings: &CalendarSettings,
    bytes: Bytes,
    content_type: Option<&str>,
) -> Result<Content, Error> {
    let form = form_of(content_type)?;
    if bytes.len() as u64 > limits.resource_bytes_max {
        let message =
            format!("a calendar object has at most {} bytes (limit resource_bytes_max)", limits.resource_bytes_max);
        return Err(Error::precondition(Precondition::MaxResourceSize, message));
    }
    let (bytes, fidelity) = match form {
        Form::Icalendar => (bytes, Fidelity::AsSent),
        Form::Jcal => (from_jcal(&bytes, limits)?, Fidelity::Converted),
    };
    let object = CalendarObject::parse(&bytes, limits).map_err(invalid)?;
    if !settings.components.contains(object.kind) {
        let kinds: Vec<_> = settings.components.iter().map(|kind| kind.name()).collect();
        let message = format!("this calendar takes {} and no {}", kinds.join(", "), object.kind.name());
        return Err(Error::precondition(Precondition::SupportedCalendarComponent, message));
    }
    if let Some(tzid) = zone::unknown_tzid(&object.calendar) {
        let shown: String = tzid.chars().take(60).collect();
        let message = format!("nobody knows the time zone {shown:?}; send its VTIMEZONE with it (RFC 7809 §4)");
        return Err(Error::precondition(Precondition::ValidTimezoneId, message));
    }
    let index = Some(Index::Row(row::index_of(&object, limits)?));
    let etag = ETag::of(&bytes);
    Ok(Content { bytes, etag, content_type: None, content_language: None, index, fidelity })
}

/// What a body is by its media type. Clients send calendar data under many names, or none; what says clearly that it is
/// something else is refused.
fn form_of(content_type: Option<&str>) -> Result<Form, Error> {
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/calendar+json" => Ok(Form::Jcal),
        ""
        | "text/calendar"
        | "text/x-vcalendar"
        | "application/ics"
        | "application/calendar"
        | "text/plain"
        | "application/octet-stream"
        | "application/x-www-form-urlencoded" => Ok(Form::Icalendar),
        other => {
            let shown: String = other.chars().take(80).collect();
            let message = format!("calendars hold text/calendar or application/calendar+json, not {shown}");
            Err(Error::precondition(Precondition::SupportedCalendarData, message))
        }
    }
}

/// jCal as iCalendar (RFC 7265 §4).
fn from_jcal(bytes: &[u8], limits: &Limits) -> Result<Bytes, Error> {
    ical::parse_jcal(bytes, limits).map(|calendar| calendar.to_ics().into()).map_err(invalid)
}

/// The precondition of an invalid object.
pub(super) fn invalid(error: Invalid) -> Error {
    let condition = match error.kind {
        InvalidKind::CalendarData => Precondition::ValidCalendarData,
        InvalidKind::CalendarObjectResource => Precondition::ValidCalendarObjectResource,
        InvalidKind::CalendarComponent => Precondition::SupportedCalendarComponent,
        InvalidKind::ResourceSize => Precondition::MaxResourceSize,
        InvalidKind::Attendees => Precondition::MaxAttendeesPerInstance,
        InvalidKind::Instances => Precondition::MaxInstances,
        InvalidKind::Rscale => Precondition::SupportedRscale,
    };
    Error::precondition(condition, error.to_string())
}
