//! GET and HEAD (RFC 9110 §9.3, RFC 4918 §9.4): objects and files with ranges and conditions, jCal by Accept (RFC 7265),
//! a calendar as one stream, and a plain page for people where there is nothing else to show.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE, VARY,
};
use http::{Method, StatusCode};

use super::headers::{self, http_date, parse_http_date, quality, timezones};
use super::{Body, Failure, Request, Response, body_of, empty_body, listing};
use crate::access::Actor;
use crate::ical::{self, ComponentKind};
use crate::model::{Object, Path};
use crate::service::conditions::{Conditions, Validators};
use crate::service::objects::{self, Found};
use crate::service::{Context, Error, locks};
use crate::zone::{self, Timezones};

const JCAL: &str = "application/calendar+json";
const ICALENDAR: &str = "text/calendar";

/// How many header fields an answer with an object has, those that every answer gets included.
const HEADERS: usize = 12;

/// Answers GET and HEAD.
pub async fn get(context: &Arc<Context>, request: Request) -> Result<Response, Failure> {
    let conditions = headers::conditions(&request)?;
    let Request { method, path, headers, actor, .. } = request;
    let found = objects::get(context, actor, &path).await?;
    if conditions.state.is_some() {
        conditions.check_if(context, actor, &path, &locks::show(context).await?).await?;
    }
    match found {
        Found::Object(object, bytes, _) => {
            Representation::of(context, &headers, &object, bytes).answer(&method, &headers, &conditions)
        }
        Found::Collection(node) if node.collection.calendar().is_some() => {
            listing::calendar(context, &method, &headers, &conditions, &node)
        }
        Found::Collection(node) => listing::collection(context, &method, actor, &node).await,
        Found::Principal(principal) => Ok(listing::page(&method, principal.name.as_str(), &[])),
        Found::Fixed(path) => Ok(listing::page(&method, &path.href(), &[])),
    }
}

/// The present representation of the object at `path`, whatever the request's conditions.
pub(super) async fn current(
    context: &Context,
    actor: Actor,
    asked: &HeaderMap,
    path: &Path,
) -> Result<Response, Failure> {
    match objects::get(context, actor, path).await? {
        Found::Object(object, bytes, _) => Ok(Representation::of(context, asked, &object, bytes).whole(&Method::GET)),
        _ => Err(Error::NotFound.into()),
    }
}

/// An object in the form in which it is shown.
struct Representation {
    bytes: Bytes,
    validators: Validators,
    headers: HeaderMap,
}

impl Representation {
    fn of(context: &Context, asked: &HeaderMap, object: &Object, bytes: Bytes) -> Self {
        let mut validators = Validators::of_object(object);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        let mut shown = bytes;
        if object.index.is_some() {
            headers.insert(VARY, HeaderValue::from_static(CALENDAR_VARY));
            let variant = Variant::of(asked);
            let mut media_type = ICALENDAR;
            // One that cannot be parsed is shown as it is (invariant B2).
            if let Some((bytes, name)) = variant.show(context, &shown) {
                (shown, media_type) = (bytes, variant.media_type());
                validators = validators.of_variant(&name);
            }
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(calendar_type(media_type == JCAL, object)));
        } else {
            put(&mut headers, CONTENT_TYPE, object.content_type.as_deref().unwrap_or("application/octet-stream"));
            // Users' files are shown by browsers under this server's name; nothing in them may act in it (RFC 4918 §20.8).
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
        }
        if let Some(language) = &object.content_language {
            put(&mut headers, CONTENT_LANGUAGE, language);
        }
        validator_headers(&mut headers, &validators);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Self { bytes: shown, validators, headers }
    }

    fn answer(self, method: &Method, asked: &HeaderMap, conditions: &Conditions) -> Result<Response, Failure> {
        if let Some(response) = unchanged(conditions, &self.validators, &self.headers)? {
            return Ok(response);
        }
        match self.range(method, asked) {
            None => Ok(self.whole(method)),
            Some(Ok((from, to))) => Ok(self.part(from, to)),
            Some(Err(())) => Ok(self.unsatisfiable()),
        }
    }

    fn whole(self, method: &Method) -> Response {
        let length = self.bytes.len();
        respond(StatusCode::OK, self.headers, method, length, self.bytes)
    }

    fn part(mut self, from: usize, to: usize) -> Response {
        put(&mut self.headers, CONTENT_RANGE, format!("bytes {from}-{}/{}", to - 1, self.bytes.len()));
        respond(StatusCode::PARTIAL_CONTENT, self.headers, &Method::GET, to - from, self.bytes.slice(from..to))
    }

    fn unsatisfiable(mut self) -> Response {
        self.headers.remove(CONTENT_TYPE);
        put(&mut self.headers, CONTENT_RANGE, format!("bytes */{}", self.bytes.len()));
        respond(StatusCode::RANGE_NOT_SATISFIABLE, self.headers, &Method::GET, 0, Bytes::new())
    }

    /// The range that is asked for, end excluded; `Err` if nothing of it is there, `None` for the whole. Several ranges
    /// are answered with the whole, as RFC 9110 §14.2 allows.
    fn range(&self, method: &Method, asked: &HeaderMap) -> Option<Result<(usize, usize), ()>> {
        if method != Method::GET || !self.if_range(asked) {
            return None;
        }
        let spec = asked.get(RANGE)?.to_str().ok()?.trim().strip_prefix("bytes=")?;
        range(spec, self.bytes.len())
    }

    /// If-Range (RFC 9110 §13.1.5): the strong tag, or exactly the date.
    fn if_range(&self, asked: &HeaderMap) -> bool {
        let Some(value) = asked.get(IF_RANGE).and_then(|value| value.to_str().ok()).map(str::trim) else {
            return !asked.contains_key(IF_RANGE);
        };
        match parse_http_date(value) {
            Some(date) => date == self.validators.modified,
            None => self.validators.tag.as_ref().is_some_and(|tag| value == format!("\"{tag}\"")),
        }
    }
}

/// Reads one `a-b`, `a-` or `-n` against a length.
fn range(spec: &str, length: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| -> Option<usize> {
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let (from, to) = match (number(first.trim()), last.trim()) {
        (Some(from), "") => (from, length),
        (Some(from), last) => {
            let last = number(last)?;
            if last < from {
                return None;
            }
            (from, length.min(last.saturating_add(1)))
        }
        (None, last) if first.trim().is_empty() => (length.saturating_sub(number(last)?), length),
        (None, _) => return None,
    };
    Some(if from < to { Ok((from, to)) } else { Err(()) })
}

/// The answer if the client's conditions say that no body is needed (RFC 9110 §13.2.2).
pub(super) fn unchanged(
    conditions: &Conditions,
    validators: &Validators,
    headers: &HeaderMap,
) -> Result<Option<Response>, Failure> {
    if !conditions.still(Some(validators)) {
        return Err(Error::StateChanged.into());
    }
    if !conditions.is_fresh(validators) {
        return Ok(None);
    }
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [ETAG, LAST_MODIFIED, VARY, CACHE_CONTROL] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(Some(response))
}

/// ETag, Last-Modified, and that whoever keeps it asks again before using it.
pub(super) fn validator_headers(headers: &mut HeaderMap, validators: &Validators) {
    if let Some(tag) = &validators.tag {
        let mut quoted = String::with_capacity(tag.len() + 2);
        quoted.extend(["\"", tag, "\""]);
        put(headers, ETAG, quoted);
    }
    put(headers, LAST_MODIFIED, http_date(validators.modified));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

/// An answer with a body of known length, left out for HEAD.
pub(super) fn respond(
    status: StatusCode,
    mut headers: HeaderMap,
    method: &Method,
    length: usize,
    bytes: impl Into<Bytes>,
) -> Response {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let body: Body = if method == Method::HEAD { empty_body() } else { body_of(bytes) };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Sets a header whose value may have come from a client: what no header can carry is left out.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}

/// The media type that an object is served with to whoever asks for no other, and DAV:getcontenttype.
pub(super) fn content_type(object: &Object) -> String {
    match (&object.index, &object.content_type) {
        (Some(_), _) => calendar_type(false, object).to_owned(),
        (None, Some(stored)) => stored.clone(),
        (None, None) => "application/octet-stream".to_owned(),
    }
}

/// The media type of calendar data, with the component that is in it (RFC 5545 §8.1, RFC 7265 §6).
fn calendar_type(jcal: bool, object: &Object) -> &'static str {
    match (jcal, object.row().map(|row| row.kind)) {
        (false, None) => "text/calendar; charset=utf-8",
        (false, Some(ComponentKind::Event)) => "text/calendar; charset=utf-8; component=vevent",
        (false, Some(ComponentKind::Todo)) => "text/calendar; charset=utf-8; component=vtodo",
        (false, Some(ComponentKind::Journal)) => "text/calendar; charset=utf-8; component=vjournal",
        (false, Some(ComponentKind::FreeBusy)) => "text/calendar; charset=utf-8; component=vfreebusy",
        (false, Some(ComponentKind::Availability)) => "text/calendar; charset=utf-8; component=vavailability",
        (true, None) => JCAL,
        (true, Some(ComponentKind::Event)) => "application/calendar+json; component=vevent",
        (true, Some(ComponentKind::Todo)) => "application/calendar+json; component=vtodo",
        (true, Some(ComponentKind::Journal)) => "application/calendar+json; component=vjournal",
        (true, Some(ComponentKind::FreeBusy)) => "application/calendar+json; component=vfreebusy",
        (true, Some(ComponentKind::Availability)) => "application/calendar+json; component=vavailability",
    }
}

/// What the representation of calendar data depends on.
pub(super) const CALENDAR_VARY: &str = "Accept, CalDAV-Timezones";

/// The form in which a client wants calendar data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// Whether jCal is better for it than iCalendar.
    pub jcal: bool,
    /// The VTIMEZONEs that it wants.
    pub timezones: Timezones,
}

impl Variant {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepts = headers.contains_key(http::header::ACCEPT);
        let jcal = accepts && quality(headers, JCAL) > quality(headers, ICALENDAR);
        Self { jcal, timezones: timezones(headers) }
    }

    pub(super) fn media_type(self) -> &'static str {
        if self.jcal { JCAL } else { ICALENDAR }
    }

    /// The name in tags. What is written for a TZID depends on the zone data, so its version is in it.
    pub(super) fn name(self) -> String {
        let version = zone::data_version().split(' ').next().unwrap_or_default();
        let zones = match self.timezones {
            Timezones::AsStored => String::new(),
            Timezones::All => format!("T{version}"),
            Timezones::NonStandard => format!("F{version}"),
        };
        let parts = [if self.jcal { "jcal" } else { "" }, &zones];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }

    /// The stored `bytes` in this form, and the form's name, empty if these are the stored bytes themselves; `None` if they
    /// cannot be parsed.
    fn show(self, context: &Context, bytes: &Bytes) -> Option<(Bytes, String)> {
        if self == (Self { jcal: false, timezones: Timezones::AsStored }) {
            return Some((bytes.clone(), String::new()));
        }
        let stored = ical::parse(bytes, &context.limits).ok()?;
        let calendar = zone::with_timezones(&stored, self.timezones);
        let is_whole = matches!(calendar, Cow::Borrowed(_));
        let timezones = if is_whole { Timezones::AsStored } else { self.timezones };
        let shown = match self.jcal {
            true => serde_json::to_vec(&ical::to_jcal(&calendar)).ok()?.into(),
            false if is_whole => bytes.clone(),
            false => calendar.to_ics().into(),
        };
        Some((shown, Self { timezones, ..self }.name()))
    }
}
