//! Reading answers: WebDAV multistatus XML, and the few iCalendar facts the checks need.

use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use quick_xml::Reader;
use quick_xml::events::Event;

#[derive(Default, Debug)]
pub struct Response {
    /// Path of the href: no scheme or host, percent-decoded.
    pub path: String,
    /// Status directly under response (deleted or missing members), if any.
    pub status: Option<u16>,
    /// From propstats with a 2xx status only.
    pub etag: Option<String>,
    pub data: Option<String>,
}
impl Response {
    /// The event number in the last path segment, see Corpus::uid.
    pub fn idx(&self) -> Option<usize> {
        idx_of_path(&self.path)
    }
}
pub fn idx_of_path(path: &str) -> Option<usize> {
    let seg = path.rsplit('/').next()?;
    let uid = seg.strip_suffix(".ics")?;
    idx_of_uid(uid)
}
pub fn idx_of_uid(uid: &str) -> Option<usize> {
    if uid.len() != 36 || !uid.is_ascii() {
        return None;
    }
    usize::from_str_radix(&uid[24..], 16).ok()
}

#[derive(Default, Debug)]
pub struct Multi {
    pub responses: Vec<Response>,
    pub sync_token: Option<String>,
}

pub fn percent_decode(s: &str) -> String {
    let b = s.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while i < b.len() {
        if b[i] == b'%' && i + 2 < b.len() {
            if let Ok(v) = u8::from_str_radix(std::str::from_utf8(&b[i + 1..i + 3]).unwrap_or("zz"), 16) {
                out.push(v);
                i += 3;
                continue;
            }
        }
        out.push(b[i]);
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
pub fn href_path(h: &str) -> String {
    let h = h.trim();
    let p = match h.find("://") {
        Some(i) => h[i + 3..].find('/').map(|j| &h[i + 3 + j..]).unwrap_or("/"),
        None => h,
    };
    percent_decode(p)
}
fn status_code(s: &str) -> u16 {
    s.split_whitespace().nth(1).and_then(|x| x.parse().ok()).unwrap_or(0)
}

#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Multistatus,
    Response,
    Href,
    Propstat,
    Status,
    Prop,
    Etag,
    Data,
    Token,
    Other,
}

pub fn multistatus(body: &[u8]) -> Result<Multi, String> {
    let mut rd = Reader::from_str(std::str::from_utf8(body).map_err(|_| "answer is not UTF-8")?);
    let mut m = Multi::default();
    let mut stack: Vec<Tag> = Vec::new();
    let mut text = String::new();
    let mut cur = Response::default();
    let (mut p_etag, mut p_data, mut p_status): (Option<String>, Option<String>, u16) = (None, None, 0);
    let mut seen_root = false;
    loop {
        let ev = rd.read_event().map_err(|e| format!("bad XML: {e}"))?;
        match ev {
            Event::Start(_) | Event::Empty(_) => {
                let (e, empty) = match &ev {
                    Event::Start(e) => (e, false),
                    Event::Empty(e) => (e, true),
                    _ => unreachable!(),
                };
                let parent = stack.last().copied();
                let name = e.local_name();
                let t = match (parent, name.as_ref()) {
                    (None, "multistatus") => {
                        seen_root = true;
                        Tag::Multistatus
                    }
                    (None, other) => return Err(format!("root element is {}", other)),
                    (Some(Tag::Multistatus), "response") => {
                        cur = Response::default();
                        Tag::Response
                    }
                    (Some(Tag::Multistatus), "sync-token") => Tag::Token,
                    (Some(Tag::Response), "href") => Tag::Href,
                    (Some(Tag::Response), "status") => Tag::Status,
                    (Some(Tag::Response), "propstat") => {
                        p_etag = None;
                        p_data = None;
                        p_status = 0;
                        Tag::Propstat
                    }
                    (Some(Tag::Propstat), "status") => Tag::Status,
                    (Some(Tag::Propstat), "prop") => Tag::Prop,
                    (Some(Tag::Prop), "getetag") => Tag::Etag,
                    (Some(Tag::Prop), "calendar-data") => Tag::Data,
                    _ => Tag::Other,
                };
                text.clear();
                if !empty {
                    stack.push(t);
                }
            }
            Event::Text(e) => match stack.last() {
                None | Some(Tag::Other) => {}
                _ => text.push_str(&e.into_inner()),
            },
            Event::CData(e) => text.push_str(&e.into_inner()),
            Event::GeneralRef(e) => {
                if let Some(c) = e.resolve_char_ref().map_err(|e| e.to_string())? {
                    text.push(c);
                } else {
                    let n = e.into_inner();
                    text.push_str(match n.as_ref() {
                        "lt" => "<",
                        "gt" => ">",
                        "amp" => "&",
                        "apos" => "'",
                        "quot" => "\"",
                        other => return Err(format!("unknown entity &{other};")),
                    });
                }
            }
            Event::End(_) => {
                let t = stack.pop().ok_or("unbalanced XML")?;
                let parent = stack.last().copied();
                match t {
                    Tag::Href => cur.path = href_path(&text),
                    Tag::Status if parent == Some(Tag::Propstat) => p_status = status_code(&text),
                    Tag::Status => cur.status = Some(status_code(&text)),
                    Tag::Etag => p_etag = Some(text.trim().to_string()),
                    Tag::Data => p_data = Some(std::mem::take(&mut text)),
                    Tag::Propstat => {
                        if (200..300).contains(&p_status) {
                            if p_etag.is_some() {
                                cur.etag = p_etag.take();
                            }
                            if p_data.is_some() {
                                cur.data = p_data.take();
                            }
                        }
                    }
                    Tag::Response => m.responses.push(std::mem::take(&mut cur)),
                    Tag::Token => m.sync_token = Some(text.trim().to_string()),
                    _ => {}
                }
                text.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !seen_root || !stack.is_empty() {
        return Err("truncated XML".into());
    }
    Ok(m)
}

/// Unfolded content lines.
pub fn unfold(s: &str) -> Vec<String> {
    let mut v: Vec<String> = Vec::new();
    for l in s.split('\n') {
        let l = l.strip_suffix('\r').unwrap_or(l);
        if let (Some(rest), Some(last)) = (l.strip_prefix([' ', '\t']), v.last_mut()) {
            last.push_str(rest);
        } else if !l.is_empty() {
            v.push(l.to_string());
        }
    }
    v
}
/// Name (upper case), parameters, value of a content line.
pub fn content(line: &str) -> Option<(String, &str, &str)> {
    let mut in_q = false;
    let mut colon = None;
    for (i, c) in line.char_indices() {
        match c {
            '"' => in_q = !in_q,
            ':' if !in_q => {
                colon = Some(i);
                break;
            }
            _ => {}
        }
    }
    let c = colon?;
    let (head, value) = (&line[..c], &line[c + 1..]);
    let (name, params) = match head.find(';') {
        Some(i) => (&head[..i], &head[i + 1..]),
        None => (head, ""),
    };
    Some((name.to_ascii_uppercase(), params, value))
}
fn tzid(params: &str) -> Option<String> {
    params.split(';').find_map(|p| {
        let (k, v) = p.split_once('=')?;
        k.eq_ignore_ascii_case("TZID").then(|| v.trim_matches('"').to_string())
    })
}
/// Instant of a DATE or DATE-TIME value; DATE and floating values are read as UTC.
pub fn instant(params: &str, value: &str) -> Option<i64> {
    let v = value.trim();
    if v.len() == 8 {
        return Some(NaiveDate::parse_from_str(v, "%Y%m%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp());
    }
    let (z, t) = match v.strip_suffix('Z') {
        Some(t) => (true, t),
        None => (false, v),
    };
    let n = NaiveDateTime::parse_from_str(t, "%Y%m%dT%H%M%S").ok()?;
    if z {
        return Some(n.and_utc().timestamp());
    }
    match tzid(params) {
        Some(id) => {
            let tz: chrono_tz::Tz = id.trim_start_matches('/').parse().ok()?;
            tz.from_local_datetime(&n).earliest().map(|d| d.timestamp())
        }
        None => Some(n.and_utc().timestamp()),
    }
}
/// Seconds of a DURATION value.
pub fn duration(v: &str) -> Option<i64> {
    let v = v.trim();
    let (sign, v) = match v.strip_prefix('-') {
        Some(r) => (-1, r),
        None => (1, v.strip_prefix('+').unwrap_or(v)),
    };
    let v = v.strip_prefix('P')?;
    let (mut total, mut n, mut digits) = (0i64, 0i64, false);
    for c in v.chars() {
        match c {
            '0'..='9' => {
                n = n * 10 + (c as i64 - '0' as i64);
                digits = true;
            }
            'T' => {}
            'W' | 'D' | 'H' | 'M' | 'S' if digits => {
                total += n * match c {
                    'W' => 604_800,
                    'D' => 86_400,
                    'H' => 3600,
                    'M' => 60,
                    _ => 1,
                };
                n = 0;
                digits = false;
            }
            _ => return None,
        }
    }
    Some(sign * total)
}

/// DTSTART instants of the VEVENTs in one calendar object, with whether any RRULE is left in one
/// and whether every DTSTART is in UTC (or a DATE).
pub struct Instances {
    pub starts: Vec<i64>,
    pub rrule_left: bool,
    pub all_utc: bool,
    pub unreadable: usize,
}
pub fn instances(ical: &str) -> Instances {
    let mut r = Instances { starts: vec![], rrule_left: false, all_utc: true, unreadable: 0 };
    let mut depth_event = false;
    let mut sub = 0;
    for l in unfold(ical) {
        let Some((name, params, value)) = content(&l) else { continue };
        match (name.as_str(), value) {
            ("BEGIN", "VEVENT") => depth_event = true,
            ("END", "VEVENT") => depth_event = false,
            ("BEGIN", _) if depth_event => sub += 1,
            ("END", _) if depth_event => sub -= 1,
            ("DTSTART", v) if depth_event && sub == 0 => {
                if !v.ends_with('Z') && v.len() != 8 {
                    r.all_utc = false;
                }
                match instant(params, v) {
                    Some(t) => r.starts.push(t),
                    None => r.unreadable += 1,
                }
            }
            ("RRULE", _) if depth_event => r.rrule_left = true,
            _ => {}
        }
    }
    r
}

/// Busy periods of a free-busy answer: (from FREEBUSY properties, from VFREEBUSY DTSTART/DTEND).
/// The second is only a diagnostic for servers that put periods in the wrong place.
pub struct Busy {
    pub periods: Vec<(i64, i64)>,
    pub components: usize,
    pub component_spans: Vec<(i64, i64)>,
}
pub fn freebusy(ical: &str) -> Result<Busy, String> {
    let mut b = Busy { periods: vec![], components: 0, component_spans: vec![] };
    let (mut inside, mut s, mut e) = (false, None, None);
    for l in unfold(ical) {
        let Some((name, params, value)) = content(&l) else { continue };
        match (name.as_str(), value) {
            ("BEGIN", "VFREEBUSY") => {
                inside = true;
                s = None;
                e = None;
                b.components += 1;
            }
            ("END", "VFREEBUSY") => {
                inside = false;
                if let (Some(s), Some(e)) = (s, e) {
                    b.component_spans.push((s, e));
                }
            }
            ("DTSTART", v) if inside => s = instant(params, v),
            ("DTEND", v) if inside => e = instant(params, v),
            ("FREEBUSY", v) if inside => {
                if params.to_ascii_uppercase().split(';').any(|p| p == "FBTYPE=FREE") {
                    continue;
                }
                for p in v.split(',') {
                    let (a, z) = p.split_once('/').ok_or_else(|| format!("bad period {p}"))?;
                    let a = instant("", a).ok_or_else(|| format!("bad period {p}"))?;
                    let z = match duration(z) {
                        Some(d) => a + d,
                        None => instant("", z).ok_or_else(|| format!("bad period {p}"))?,
                    };
                    b.periods.push((a, z));
                }
            }
            _ => {}
        }
    }
    if b.components == 0 {
        return Err("no VFREEBUSY in answer".into());
    }
    Ok(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn xml() {
        let x = br#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
        <d:response><d:href>http://127.0.0.1:1/a%40b/</d:href><d:propstat><d:prop><d:getetag/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>
        <d:response><d:href>/a/x.ics</d:href><d:propstat><d:prop><d:getetag>&quot;e1&quot;</d:getetag><C:calendar-data>A &amp; B&#13;
<![CDATA[<C>]]></C:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
        <d:response><d:href>/a/gone.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>
        <d:sync-token>urn:1</d:sync-token></d:multistatus>"#;
        let m = multistatus(x).unwrap();
        assert_eq!(m.responses.len(), 3);
        assert_eq!(m.responses[0].path, "/a@b/");
        assert_eq!(m.responses[0].etag, None);
        assert_eq!(m.responses[1].etag.as_deref(), Some("\"e1\""));
        assert_eq!(m.responses[1].data.as_deref(), Some("A & B\r\n<C>"));
        assert_eq!(m.responses[2].status, Some(404));
        assert_eq!(m.sync_token.as_deref(), Some("urn:1"));
        assert!(multistatus(b"<a/>").is_err());
        assert!(multistatus(&x[..200]).is_err());
    }
    #[test]
    fn ical_bits() {
        assert_eq!(duration("PT1H30M"), Some(5400));
        assert_eq!(duration("-P1W"), Some(-604_800));
        assert_eq!(instant("TZID=Europe/Berlin", "20260701T120000"), instant("", "20260701T100000Z"));
        let i = instances(
            "BEGIN:VTIMEZONE\r\nDTSTART:19960331T020000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nDTSTART:20260\r\n 701T100000Z\r\nBEGIN:VALARM\r\nDTSTART:20200101\r\nEND:VALARM\r\nEND:VEVENT\r\n",
        );
        assert_eq!(i.starts.len(), 1);
        assert!(i.all_utc && !i.rrule_left);
        let f = freebusy("BEGIN:VFREEBUSY\r\nFREEBUSY;FBTYPE=BUSY:20260101T000000Z/PT1H,20260101T020000Z/20260101T030000Z\r\nFREEBUSY;FBTYPE=FREE:20260101T100000Z/PT1H\r\nEND:VFREEBUSY\r\n").unwrap();
        assert_eq!(f.periods.len(), 2);
    }
}
