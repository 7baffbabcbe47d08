//! Header fields of WebDAV and of conditions, with every kind of nonsense in them.

use super::server::{CALENDAR, Case, Want, request};

/// Values for each header: too long, unfinished, of wrong kinds.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        "PROPFIND",
        "Depth",
        &["infinity", "Infinity,0", "-1", "2", "99999999999999999999", "", "one", "1,noroot", "0, 1", "\u{7f}"],
    ),
    ("DELETE", "If", IFS),
    ("PUT", "If", IFS),
    ("PUT", "If-Match", TAGS),
    ("PUT", "If-None-Match", TAGS),
    ("GET", "If-None-Match", TAGS),
    ("GET", "If-Modified-Since", DATES),
    ("PUT", "If-Unmodified-Since", DATES),
    ("GET", "If-Range", &["\"", "W/\"x\"", "Thu, 99 Foo 2026 99:99:99 GMT"]),
    (
        "GET",
        "Range",
        &[
            "bytes=",
            "bytes=-",
            "bytes=9-1",
            "bytes=0-99999999999999999999999",
            "bytes=--5",
            "bytes=-0",
            "lines=1-2",
            "bytes=0-0,0-0,0-0,0-0",
            "bytes=18446744073709551615-18446744073709551616",
        ],
    ),
    (
        "GET",
        "Accept",
        &[
            "*/*;q=nan",
            "*/*;q=-1",
            "text/calendar;q=1e999",
            ";;;;,,,,",
            "application/calendar+json;q=1.0000000000000000000000001",
        ],
    ),
    ("COPY", "Destination", DESTINATIONS),
    ("MOVE", "Destination", DESTINATIONS),
    ("COPY", "Overwrite", &["X", "TT", "", "true"]),
    ("LOCK", "Timeout", &["Second-99999999999999999999", "Second--1", "Second-", "Infinite, Second-0", "Second-1é"]),
    ("UNLOCK", "Lock-Token", &["", "<", "<>", "urn:uuid:x", "<urn:uuid:x> <urn:uuid:y>", "<\">"]),
    (
        "PUT",
        "Content-Type",
        &[
            "",
            "/",
            "text/calendar; charset=\"utf-8",
            "text/calendar; charset=utf-7",
            "multipart/form-data; boundary=x",
            "text/calendar;;;;=;=",
        ],
    ),
    ("PUT", "Content-Encoding", &["gzip", "identity, gzip", "evil"]),
    ("PUT", "Content-Range", &["bytes 0-5/10", "bytes */*", "evil"]),
    ("PUT", "Content-Language", &["xx-evil-xx", "\"", ",,,,"]),
    ("POST", "Slug", &["../../../evil", "%00", "%2e%2e%2f", "%ff%fe", ".", "..", "", "CON", "a/b\\c"]),
    ("PROPFIND", "Prefer", &["return=", "return=evil", ";;;;", "return=minimal, return=representation", "=", "\""]),
    ("GET", "X-Forwarded-For", &["127.0.0.1", "evil", "::1, ::1, ::1", "999.999.999.999"]),
    ("GET", "X-Forwarded-Proto", &["https", "gopher"]),
    ("GET", "Forwarded", &["for=\"[::1]\";proto=https", "for=;;;=", "\""]),
    (
        "GET",
        "Authorization",
        &[
            "Basic",
            "Basic !!!",
            "Basic Og==",
            "Basic AAAA",
            "Basic bWFsbG9yeQ==",
            "Bearer x",
            "Digest username=\"x\"",
            "",
            "Basic bWFsbG9yeTpcAA==",
            "Negotiate TlRMTVNTUA==",
        ],
    ),
    ("GET", "Expect", &["100-continue", "200-ok"]),
    ("GET", "Upgrade", &["h2c", "websocket", "TLS/1.0"]),
    ("GET", "Cookie", &["a=b; c", "\"", ";;;;"]),
    ("GET", "Origin", &["null", "http://evil.example"]),
];

const IFS: &[&str] = &[
    "",
    "(",
    ")",
    "()",
    "(<)",
    "(<>)",
    "([)",
    "([])",
    "([\"])",
    "([\"]\"])",
    "(Not)",
    "(Not Not <a>)",
    "(NotNot<a>)",
    "<",
    "<>",
    "<a>",
    "<a> (",
    "<a> ()",
    "<a> <b> (<c>)",
    "(<a>) <b> (<c>)",
    "(<urn:x>)(<urn:y>)",
    "(Not <DAV:no-lock>)",
    "<http://evil.example/> (Not <a>)",
    "<../../x> (<a>)",
    "<%00> (<a>)",
    "<%ff> (Not <a>)",
    "((((((((((",
    ",,,,",
    "(<a>),,,(<b>)",
    "(é)",
];

const TAGS: &[&str] = &[
    "",
    "*",
    "**",
    "*, \"a\"",
    "\"",
    "\"\"",
    "W/",
    "W/\"",
    "w/\"a\"",
    "\"a\" \"b\"",
    "\"a\",,,,\"b\"",
    "a",
    "\"a\\\"b\"",
    ",",
    "[\"a\"]",
];

const DATES: &[&str] = &[
    "",
    "0",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Thu, 99 Foo 9999 99:99:99 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sat, 01 Jan 0000 00:00:00 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "99999999999999999999",
];

const DESTINATIONS: &[&str] = &[
    "",
    "/",
    "//",
    "http://",
    "http:///",
    "http://evil.example/dav/calendars/mallory/default/x.ics",
    "http://localhost@evil.example/dav/calendars/mallory/default/x.ics",
    "http://evil.example@localhost:1/x",
    "/dav/calendars/mallory/default/../../bob/default/x.ics",
    "/dav/calendars/mallory/default/%2e%2e/x.ics",
    "/dav/calendars/mallory/default/a%2fb.ics",
    "/dav/calendars/mallory/default/a%00b.ics",
    "/dav/calendars/mallory/default/%ff.ics",
    "/dav/calendars/mallory/default/\u{fc}/../../../bob/default/x.ics",
    "/dav/calendars/mallory/default/\u{fc}%2f..%2fx.ics",
    "/dav/calendars/mallory/default/\u{2025}/\u{ff0e}\u{ff0e}/x.ics",
    "/dav/calendars/mallory/default/\u{85}\u{202e}\u{fffe}.ics",
    "http://\u{e9}vil.example/dav/calendars/mallory/default/x.ics",
    "/dav/calendars/mallory/default/",
    "/dav/calendars/mallory/",
    "/dav/calendars/bob/default/x.ics",
    "/dav/principals/mallory/",
    "/etc/passwd",
    "relative",
    "ftp://localhost/x",
    "javascript:alert(1)",
    "http://[::1/x",
    "http://localhost:99999999/x",
    "%2fdav%2fcalendars%2fmallory%2fdefault%2fx.ics",
    "?query",
    "#fragment",
];

fn one(method: &str, header: &str, value: &str, shown: &str) -> Case {
    let target = match method {
        "GET" => format!("{CALENDAR}kept.ics"),
        "PROPFIND" | "POST" => CALENDAR.to_owned(),
        "LOCK" | "UNLOCK" => "/dav/files/mallory/locked".into(),
        _ => format!("{CALENDAR}not-there.ics"),
    };
    let body = match method {
        "LOCK" => {
            "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>"
        }
        _ => "",
    };
    let bytes = request(method, &target, &[(header, value)], body.as_bytes());
    Case { name: format!("{method} with {header}: {shown}"), bytes, want: Want::AnswerOrClose }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (method, header, values) in TABLE {
        cases.extend(values.iter().map(|value| one(method, header, value, value)));
        // As long as one header may just be, and longer than all may be.
        for length in [30_000, 200_000] {
            cases.push(one(method, header, &"(<a>) ".repeat(length / 6), &format!("{length} bytes of lists")));
        }
    }
    let again: Vec<(&str, &str)> = (0..90).map(|_| ("If-None-Match", "\"a\"")).collect();
    let bytes = request("GET", &format!("{CALENDAR}kept.ics"), &again, b"");
    cases.push(Case { name: "ninety times If-None-Match".into(), bytes, want: Want::AnswerOrClose });
    cases
}
