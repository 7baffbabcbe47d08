//! What makes two source objects the same meeting: UIDs, normalised, and the ids that join links carry.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

/// Begins every UID that Exchange makes (MS-OXOCAL, PidLidGlobalObjectId).
const EXCHANGE: &str = "040000008200E00074C5B7101A82E008";
/// The shortest one: header, date, time, nothing, size, a byte of data.
const EXCHANGE_DIGITS_MIN: usize = 82;
/// Where the instance's date stands.
const DATE: std::ops::Range<usize> = 32..40;
/// Where the data begin.
const DATA: usize = 80;
/// `vCal-Uid`, then the number 1: a UID from elsewhere follows.
const WRAPPED: &str = "7643616C2D55696401000000";
/// Links looked at in one text.
const LINKS_MAX: usize = 50;
/// The longest link looked at.
const LINK_BYTES_MAX: usize = 4_096;

/// A UID as it is compared (RFC 5545 §3.8.4.7): one of Exchange's without the date of an instance and without regard to case, one
/// from elsewhere that Exchange has wrapped as it was, any other as it is. `None` for an empty one.
pub fn normalise_uid(uid: &str) -> Option<String> {
    let uid = uid.trim();
    if uid.is_empty() {
        return None;
    }
    if !is_exchange(uid) {
        return Some(uid.to_owned());
    }
    let mut digits = uid.to_ascii_uppercase();
    digits.replace_range(DATE, "00000000");
    Some(unwrapped(&digits[DATA..]).unwrap_or(digits))
}

/// Whether Exchange made it.
pub(super) fn is_exchange(uid: &str) -> bool {
    uid.len() >= EXCHANGE_DIGITS_MIN
        && uid.bytes().all(|b| b.is_ascii_hexdigit())
        && uid[..EXCHANGE.len()].eq_ignore_ascii_case(EXCHANGE)
}

fn unwrapped(data: &str) -> Option<String> {
    let hex = data.strip_prefix(WRAPPED)?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = hex.chunks_exact(2).map(byte).collect::<Option<_>>()?;
    let text = String::from_utf8(bytes).ok()?;
    let uid = text.trim_end_matches('\0').trim();
    (!uid.is_empty() && !uid.contains('\0')).then(|| uid.to_owned())
}

/// The join links in `text`, each with its id, in order: `zoom:84512345678`, `meet:abc-defg-hij`, `teams:19:meeting_…`. Links to
/// personal rooms by name have none and are left out.
pub fn join_links(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    for _ in 0..LINKS_MAX {
        let Some(at) = next_link(rest) else { break };
        let link = link_at(&rest[at..]);
        let url = link.replace("&amp;", "&");
        if let Some(id) = join_id(&url) {
            found.push((id, url));
        }
        rest = &rest[at + link.len()..];
    }
    found
}

/// The ids of the join links in `text`.
pub fn join_ids(text: &str) -> BTreeSet<String> {
    join_links(text).into_iter().map(|(id, _)| id).collect()
}

fn next_link(text: &str) -> Option<usize> {
    ["https://", "http://", "zoommtg://"].iter().filter_map(|scheme| text.find(scheme)).min()
}

fn link_at(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || "<>\"'|)]}\\".contains(c)).unwrap_or(text.len());
    let mut end = end.min(LINK_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let link = text[..end].trim_end_matches(['.', ',', ';']);
    // Never nothing: the scheme itself is at least that long.
    if link.is_empty() { &text[..end.max(1)] } else { link }
}

/// The join id that one URL carries.
fn join_id(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.split(':').next().unwrap_or(authority).to_ascii_lowercase();
    if authority.contains('@') {
        return None;
    }
    if is_of(&host, "zoom.us") || is_of(&host, "zoom.com") || is_of(&host, "zoomgov.com") {
        return zoom_id(scheme, path);
    }
    match host.as_str() {
        "meet.google.com" => meet_id(path),
        "teams.microsoft.com" => teams_id(path),
        _ => None,
    }
}

fn is_of(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
}

fn zoom_id(scheme: &str, path: &str) -> Option<String> {
    let number = match scheme {
        "zoommtg" => query_value(path, "confno")?,
        _ => ["/j/", "/w/", "/s/", "/wc/join/"].iter().find_map(|prefix| path.strip_prefix(prefix))?,
    };
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    (9..=11).contains(&digits.len()).then(|| format!("zoom:{digits}"))
}

fn query_value<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let query = path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
}

/// `/abc-defg-hij`
fn meet_id(path: &str) -> Option<String> {
    let code = path.trim_start_matches('/').split(['?', '#', '/']).next()?.to_ascii_lowercase();
    let parts: Vec<&str> = code.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_code = lengths == [3, 4, 3] && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_lowercase()));
    is_code.then(|| format!("meet:{code}"))
}

/// `/l/meetup-join/19%3ameeting_…%40thread.v2/0`
fn teams_id(path: &str) -> Option<String> {
    let thread = path.strip_prefix("/l/meetup-join/")?.split(['/', '?', '#']).next()?;
    let thread = percent_decode_str(thread).decode_utf8().ok()?;
    (!thread.is_empty()).then(|| format!("teams:{thread}"))
}

/// Whether a join id is made for one meeting. Zoom's personal rooms have ten digits, and older ones nine; what it makes for a
/// meeting has eleven.
pub(super) fn is_one_time(id: &str) -> bool {
    id.strip_prefix("zoom:").is_none_or(|digits| digits.len() == 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_as_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/providers/vectors/uid_normalise.json")).expect("JSON");
        for case in vectors.as_array().expect("a list") {
            // Nothing given is nothing found: there is no UID to compare.
            let given = case["in"].as_str().unwrap_or_default();
            assert_eq!(normalise_uid(given).as_deref(), case["out"].as_str(), "{}", case["why"]);
        }
        assert_eq!(normalise_uid("  "), None);
    }

    #[test]
    fn join_ids_as_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/providers/vectors/join_ids.json")).expect("JSON");
        for case in vectors.as_array().expect("a list") {
            let text = case["text"].as_str().expect("text");
            let found = join_links(text).into_iter().next().map(|(id, _)| id);
            assert_eq!(found.as_deref(), case["id"].as_str(), "{text}");
        }
    }

    #[test]
    fn odd_texts_end() {
        for text in
            ["https://", "http://https://zoom.us/j/1", "zoommtg://\u{e9}", "https://zoom.us@evil.example/j/84512345678"]
        {
            assert_eq!(join_links(text), [], "{text}");
        }
    }
}
