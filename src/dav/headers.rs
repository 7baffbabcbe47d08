//! The request headers of WebDAV and of conditional requests, parsed into values (RFC 4918 §10, RFC 9110 §13, RFC 7240).

use chrono::{Datelike, NaiveDateTime, Timelike};
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use super::{Failure, Request, if_header};
use crate::base::Utc;
use crate::model::{Path, PathError};
use crate::service::Error;
use crate::service::conditions::{Conditions, Tag, Tags};
use crate::zone::Timezones;

/// A date as HTTP writes it: `Sun, 22 Nov 2026 12:00:00 GMT` (RFC 9110 §5.6.7).
pub fn http_date(time: Utc) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.naive();
    // By hand: it stands in most answers, and in long listings once for each member.
    let mut text = String::with_capacity(29);
    let pair = |text: &mut String, number: u32, behind: &str| {
        text.extend([number / 10 % 10, number % 10].into_iter().filter_map(|digit| char::from_digit(digit, 10)));
        text.push_str(behind);
    };
    let year = time.year().unsigned_abs();
    text.push_str(DAYS[time.weekday().num_days_from_monday() as usize]);
    text.push_str(", ");
    pair(&mut text, time.day(), " ");
    text.push_str(MONTHS[time.month0() as usize]);
    text.push(' ');
    pair(&mut text, year / 100, "");
    pair(&mut text, year, " ");
    pair(&mut text, time.hour(), ":");
    pair(&mut text, time.minute(), ":");
    pair(&mut text, time.second(), " GMT");
    text
}

/// Reads an HTTP date in any of its three forms. `None` for anything else: such a header is ignored.
pub fn parse_http_date(text: &str) -> Option<Utc> {
    const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let text = text.trim();
    FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(Utc::from_naive)
}

/// All values of a header that is a list, joined as RFC 9110 §5.3 allows; `None` if it is missing.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Everything in a request that makes it conditional.
///
/// # Errors
/// 400 for an If header that breaks its grammar.
pub fn conditions(request: &Request) -> Result<Conditions, Failure> {
    let headers = &request.headers;
    let date = |name: &HeaderName| parse_http_date(headers.get(name)?.to_str().ok()?);
    let state = match joined(headers, &HeaderName::from_static("if")) {
        None => None,
        Some(text) => Some(if_header::parse(&text, &request.origin)?),
    };
    Ok(Conditions {
        if_match: joined(headers, &IF_MATCH).map(|text| tags(&text)),
        if_none_match: joined(headers, &IF_NONE_MATCH).map(|text| tags(&text)),
        modified_since: date(&IF_MODIFIED_SINCE),
        unmodified_since: date(&IF_UNMODIFIED_SINCE),
        state,
    })
}

/// The value of If-Match or If-None-Match. Tags without quotes, which some clients send, are taken as they stand.
fn tags(text: &str) -> Tags {
    let mut rest = text.trim();
    if rest == "*" {
        return Tags::Any;
    }
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let (tag, behind) = tag(rest);
        if !tag.opaque.is_empty() || behind.len() < rest.len() {
            tags.extend((!tag.opaque.is_empty()).then_some(tag));
        }
        rest = match behind.find(',') {
            Some(comma) => behind[comma + 1..].trim_start(),
            None => "",
        };
    }
    Tags::Of(tags)
}

/// Reads the tag at the start of `text`; the tag and what stands behind it.
pub(super) fn tag(text: &str) -> (Tag, &str) {
    let (weak, rest) = match text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (opaque, behind) = match rest.strip_prefix('"') {
        Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
        None => {
            let end = rest.find([',', ']']).unwrap_or(rest.len());
            (rest[..end].trim_end(), &rest[end..])
        }
    };
    (Tag { weak, opaque: opaque.to_owned() }, behind)
}

/// The Depth header (RFC 4918 §10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// `0`
    Zero,
    /// `1`
    One,
    /// `infinity`
    Infinity,
}

/// The Depth header, if there is one.
///
/// # Errors
/// 400 for another value.
pub fn depth(request: &Request) -> Result<Option<Depth>, Failure> {
    let Some(text) = request.header("depth") else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "0" => Ok(Some(Depth::Zero)),
        "1" => Ok(Some(Depth::One)),
        "infinity" => Ok(Some(Depth::Infinity)),
        _ => Err(Error::BadRequest("Depth is 0, 1 or infinity".into()).into()),
    }
}

/// Whether COPY and MOVE may replace what is there (RFC 4918 §10.6).
///
/// # Errors
/// 400 for something else than T and F.
pub fn overwrite(request: &Request) -> Result<bool, Failure> {
    match request.header("overwrite") {
        None | Some("T" | "t") => Ok(true),
        Some("F" | "f") => Ok(false),
        Some(_) => Err(Error::BadRequest("Overwrite is T or F".into()).into()),
    }
}

/// Where COPY and MOVE go (RFC 4918 §10.3). Paths in plain UTF-8, which some clients send, are taken as if they were escaped.
///
/// # Errors
/// 400 without it or for a malformed one, 502 for what is not on this server.
pub fn destination(request: &Request) -> Result<Path, Failure> {
    let header =
        request.headers.get("destination").ok_or_else(|| Error::BadRequest("Destination is missing".into()))?;
    // Letters that should have been escaped can be meant in one way only, if they are UTF-8.
    let text = std::str::from_utf8(header.as_bytes())
        .map_err(|_| Error::BadRequest("Destination is neither escaped nor UTF-8".into()))?;
    match reference(text.trim_matches([' ', '\t']), &request.origin) {
        Reference::Ours(path) => Ok(path),
        Reference::Foreign => Err(Error::ForeignDestination("its host is another one".into()).into()),
        Reference::Nowhere => Err(Error::ForeignDestination("nothing can be stored at this path".into()).into()),
        Reference::Malformed(why) => Err(Error::BadRequest(format!("Destination is malformed: {why}")).into()),
    }
}

/// What a Simple-ref (RFC 4918 §8.3) names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A path of this server.
    Ours(Path),
    /// Another host.
    Foreign,
    /// This host, but a path under which there is never anything.
    Nowhere,
    /// No reference.
    Malformed(&'static str),
}

/// Reads an absolute URL or an absolute path. The scheme is not looked at: behind a proxy the client knows a better one.
pub fn reference(text: &str, origin: &str) -> Reference {
    let path = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            let (authority, path) = match rest.find('/') {
                Some(slash) => rest.split_at(slash),
                None => (rest, "/"),
            };
            let own = origin.split_once("://").map_or(origin, |(_, host)| host);
            if host_of(authority) != host_of(own) {
                return Reference::Foreign;
            }
            path
        }
        _ => text,
    };
    let end = path.find(['?', '#']).unwrap_or(path.len());
    match Path::parse(&path[..end]) {
        Ok(path) => Reference::Ours(path),
        Err(PathError::NotFound) => Reference::Nowhere,
        Err(PathError::Malformed(why)) => Reference::Malformed(why),
    }
}

/// Host and port in lower case, without user info and without a port that goes without saying.
fn host_of(authority: &str) -> String {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split('/').next().unwrap_or("").to_ascii_lowercase();
    let stripped = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).map(str::to_owned);
    stripped.unwrap_or(host)
}

/// Timeout (RFC 4918 §10.7): the first value that is understood; `None` for as long as possible.
pub fn timeout(request: &Request) -> Option<u64> {
    let text = request.header("timeout")?;
    text.split(',').map(str::trim).find_map(|value| {
        if value.eq_ignore_ascii_case("infinite") {
            return Some(None);
        }
        let seconds = value.get(..7).filter(|name| name.eq_ignore_ascii_case("second-")).map(|_| &value[7..])?;
        seconds.bytes().all(|c| c.is_ascii_digit()).then(|| seconds.parse().ok())
    })?
}

/// What the client prefers to get back from a write (RFC 7240 §4.2, RFC 8144).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `return=minimal`
    Minimal,
    /// `return=representation`
    Representation,
}

/// The `return` preference, if there is one; the first counts (RFC 7240 §2).
pub fn prefer_return(headers: &HeaderMap) -> Option<Return> {
    let text = joined(headers, &HeaderName::from_static("prefer"))?;
    text.split(',').find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("return") {
            return None;
        }
        match value.trim().trim_matches('"').to_ascii_lowercase().as_str() {
            "minimal" => Some(Return::Minimal),
            "representation" => Some(Return::Representation),
            _ => None,
        }
    })
}

/// Which VTIMEZONEs the client wants in calendar data: CalDAV-Timezones (RFC 7809 §7.1). Without it, or with another value than
/// T and F, calendar data is what was stored.
pub fn timezones(headers: &HeaderMap) -> Timezones {
    match headers.get("caldav-timezones").map(|value| value.as_bytes().trim_ascii()) {
        Some(b"T" | b"t") => Timezones::All,
        Some(b"F" | b"f") => Timezones::NonStandard,
        _ => Timezones::AsStored,
    }
}

/// How good a media type is for the client, in thousandths (RFC 9110 §12.5.1): the most specific range counts.
/// Without Accept everything is equally good.
pub fn quality(headers: &HeaderMap, media_type: &str) -> u16 {
    let Some(accept) = joined(headers, &http::header::ACCEPT) else { return 1000 };
    let kind = media_type.split('/').next().unwrap_or("");
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("").to_ascii_lowercase();
        let specific = match name.as_str() {
            "*/*" => 1,
            name if name == media_type => 3,
            name if name.strip_suffix("/*") == Some(kind) => 2,
            _ => continue,
        };
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let q = q.and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
        if specific > best.0 {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
            let thousandths = (q * 1000.0) as u16;
            best = (specific, thousandths);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let cases = [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_795_348_800, "Sun, 22 Nov 2026 12:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (Utc::MIN.0, "Mon, 01 Jan 0001 00:00:00 GMT"),
            (Utc::MAX.0, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (seconds, text) in cases {
            assert_eq!(http_date(Utc(seconds)), text);
            assert_eq!(parse_http_date(text), Some(Utc(seconds)));
        }
    }
}
