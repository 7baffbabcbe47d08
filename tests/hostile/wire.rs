//! HTTP itself: targets, smuggling, floods, slow and idle clients.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::server::{CALENDAR, Case, Server, Want, answers, authorization, connect, read_all, request, status};

/// Targets that lead nowhere.
const TARGETS: &[&str] = &[
    "/..",
    "/../",
    "/dav/..",
    "/dav/../etc/passwd",
    "/dav/calendars/mallory/../bob/",
    "/dav/calendars/mallory/default/../../bob/default/",
    "/dav/calendars/mallory/%2e%2e/bob/",
    "/dav/calendars/mallory/%2E%2E%2Fbob/",
    "/dav/calendars/mallory/default/%2e",
    "/dav/calendars/mallory/default/.%2e/x",
    "/dav/calendars/mallory/default/..%2f..%2fx",
    "/dav/calendars/mallory/default/..%5c..%5cx",
    "/dav/calendars/mallory/default/..\\..\\x",
    "/dav/calendars/mallory/default/a%2fb",
    "/dav/calendars/mallory/default/a%00b",
    "/dav/calendars/mallory/default/%00",
    "/dav/calendars/mallory/default/%ff%fe",
    "/dav/calendars/mallory/default/%c0%af",
    "/dav/calendars/mallory/default/%ed%a0%80",
    "/dav/calendars/mallory/default/%",
    "/dav/calendars/mallory/default/%zz",
    "/dav/calendars/mallory/default/%2",
    "/dav/calendars/mallory/default/%252e%252e",
    "/dav/calendars/mallory/default/a;b=c",
    "/dav/calendars/mallory%40x%40y/",
    "/dav/calendars/mallory%2540x/",
    "/dav/calendars/mallory@x@y/",
    "/dav/calendars/%6dallory%00/",
    "/dav/calendars//mallory/default/",
    "/dav/calendars/mallory//default/",
    "//dav/calendars/mallory/",
    "/dav//",
    "/dav/calendars/mallory/default/x/y/z",
    "/dav/calendars/ mallory/",
    "/dav/calendars/mallory/default/\u{202e}x",
    "/dav/calendars/MALLORY/default/",
    "/DAV/calendars/mallory/",
    "/.well-known/../dav/",
    "/.well-known/caldav/%2e%2e/",
    "/.git/config",
    "/metrics",
    "/admin",
    "/dav/calendars/mallory/default/?a=b&c=%00",
    "/dav/calendars/mallory/default/x?export",
    "*",
    "http://localhost/dav/",
    "http://evil.example/dav/calendars/mallory/",
    "http://evil.example:99999/dav/",
    "https://user:pass@localhost/dav/",
    "ftp://localhost/dav/",
    "localhost:80",
    "dav/calendars/",
    "",
];

/// Bytes that are no request, or two requests at once for someone who reads badly.
fn raw() -> Vec<(&'static str, String, Want)> {
    use Want::{AnswerOrClose, RefusalOrClose};
    let auth = authorization();
    let head = |line: &str, rest: &str| format!("{line}\r\nHost: localhost\r\n{auth}{rest}");
    let put = |rest: &str| head(&format!("PUT {CALENDAR}smuggled.ics HTTP/1.1"), rest);
    let get = |rest: &str| head("GET /dav/ HTTP/1.1", rest);
    let inner = "GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    vec![
        ("length twice", put("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), RefusalOrClose),
        ("length twice in one", put("Content-Length: 5, 6\r\n\r\nhello!"), RefusalOrClose),
        ("length with a sign", put("Content-Length: +5\r\n\r\nhello"), RefusalOrClose),
        ("length below zero", put("Content-Length: -1\r\n\r\n"), RefusalOrClose),
        ("length in hex", put("Content-Length: 0x5\r\n\r\nhello"), RefusalOrClose),
        ("length beyond numbers", put("Content-Length: 99999999999999999999\r\n\r\n"), RefusalOrClose),
        ("length of letters", put("Content-Length: five\r\n\r\nhello"), RefusalOrClose),
        ("length of a terabyte", put("Content-Length: 1099511627776\r\n\r\nx"), RefusalOrClose),
        (
            "chunked and a length",
            put(&format!("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}")),
            AnswerOrClose,
        ),
        (
            "a length and chunked",
            put(&format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{inner}")),
            AnswerOrClose,
        ),
        (
            "chunked twice",
            put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            AnswerOrClose,
        ),
        ("chunked and something", put("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), RefusalOrClose),
        ("chunked below something", put("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), RefusalOrClose),
        ("something for chunked", put("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), RefusalOrClose),
        ("chunked behind a tab", put("Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"), AnswerOrClose),
        ("chunked with a blank before the colon", put("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), RefusalOrClose),
        (
            "chunked in HTTP/1.0",
            format!("PUT {CALENDAR}x HTTP/1.0\r\nHost: localhost\r\n{auth}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            RefusalOrClose,
        ),
        ("chunk size of letters", put("Transfer-Encoding: chunked\r\n\r\nevil\r\n\r\n"), RefusalOrClose),
        ("chunk size below zero", put("Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"), RefusalOrClose),
        ("chunk size beyond numbers", put("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"), RefusalOrClose),
        ("chunk size with 0x", put("Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"), RefusalOrClose),
        ("chunk longer than said", put("Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"), RefusalOrClose),
        (
            "chunk extension of a megabyte",
            put(&format!("Transfer-Encoding: chunked\r\n\r\n1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(1_000_000))),
            RefusalOrClose,
        ),
        (
            "trailers by the thousand",
            put(&format!("Transfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n", "X: y\r\n".repeat(10_000))),
            RefusalOrClose,
        ),
        ("bare LF", get("Connection: close\r\n\r\n").replace("\r\n", "\n"), AnswerOrClose),
        ("bare CR", get("Connection: close\r\n\r\n").replace("\r\n", "\r"), RefusalOrClose),
        ("LF in a value", get("X: a\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"), AnswerOrClose),
        ("CR in a value", get("X: a\rb\r\n\r\n"), RefusalOrClose),
        ("NUL in a value", get("X: a\0b\r\n\r\n"), RefusalOrClose),
        ("NUL in a name", get("X\0: a\r\n\r\n"), RefusalOrClose),
        ("NUL in the target", head("GET /dav/\0 HTTP/1.1", "\r\n"), RefusalOrClose),
        ("folded header", get("X: a\r\n b\r\n\r\n"), RefusalOrClose),
        ("header without a colon", get("evil\r\n\r\n"), RefusalOrClose),
        ("header without a name", get(": evil\r\n\r\n"), RefusalOrClose),
        (
            "blank before the first header",
            format!("GET /dav/ HTTP/1.1\r\n Host: localhost\r\n{auth}\r\n"),
            RefusalOrClose,
        ),
        ("no Host", format!("GET /dav/ HTTP/1.1\r\nConnection: close\r\n{auth}\r\n"), RefusalOrClose),
        ("two Hosts", get("Host: evil.example\r\nConnection: close\r\n\r\n"), RefusalOrClose),
        ("Host of nothing", format!("GET /dav/ HTTP/1.1\r\nHost:\r\nConnection: close\r\n{auth}\r\n"), AnswerOrClose),
        (
            "Host of markup",
            format!("GET /dav/ HTTP/1.1\r\nHost: <script>\r\nConnection: close\r\n{auth}\r\n"),
            AnswerOrClose,
        ),
        (
            "Host of another",
            format!("PROPFIND /dav/ HTTP/1.1\r\nHost: evil.example\r\nDepth: 0\r\nConnection: close\r\n{auth}\r\n"),
            AnswerOrClose,
        ),
        (
            "a hundred and one headers",
            get(&format!("{}\r\n", (0..101).map(|i| format!("X-{i}: y\r\n")).collect::<String>())),
            RefusalOrClose,
        ),
        (
            "ten thousand headers",
            get(&format!("{}\r\n", (0..10_000).map(|i| format!("X-{i}: y\r\n")).collect::<String>())),
            RefusalOrClose,
        ),
        ("a header of a megabyte", get(&format!("X: {}\r\n\r\n", "y".repeat(1_000_000))), RefusalOrClose),
        ("a name of a megabyte", get(&format!("{}: y\r\n\r\n", "y".repeat(1_000_000))), RefusalOrClose),
        (
            "a target of a megabyte",
            head(&format!("GET /dav/{} HTTP/1.1", "y".repeat(1_000_000)), "\r\n"),
            RefusalOrClose,
        ),
        (
            "a target of sixty thousand",
            head(&format!("GET /dav/{} HTTP/1.1", "y/".repeat(25_000)), "Connection: close\r\n\r\n"),
            RefusalOrClose,
        ),
        ("a method of a megabyte", head(&format!("{} /dav/ HTTP/1.1", "M".repeat(1_000_000)), "\r\n"), RefusalOrClose),
        ("a method that nobody knows", head("EVIL /dav/ HTTP/1.1", "Connection: close\r\n\r\n"), RefusalOrClose),
        ("a method of signs", head("<script> /dav/ HTTP/1.1", "\r\n"), RefusalOrClose),
        ("a method in small letters", head("get /dav/ HTTP/1.1", "Connection: close\r\n\r\n"), RefusalOrClose),
        ("CONNECT", head("CONNECT evil.example:80 HTTP/1.1", "Connection: close\r\n\r\n"), RefusalOrClose),
        ("TRACE", head("TRACE /dav/ HTTP/1.1", "Connection: close\r\n\r\n"), RefusalOrClose),
        ("HTTP/0.9", "GET /dav/\r\n".into(), RefusalOrClose),
        ("HTTP/3", head("GET /dav/ HTTP/3.0", "\r\n"), RefusalOrClose),
        ("HTTP/1.9", head("GET /dav/ HTTP/1.9", "\r\n"), RefusalOrClose),
        ("HTTP of letters", head("GET /dav/ HTTP/x.y", "\r\n"), RefusalOrClose),
        ("TLS on a plain port", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}evil".into(), RefusalOrClose),
        ("SSH", "SSH-2.0-OpenSSH_9.9\r\n".into(), RefusalOrClose),
        ("a megabyte of line breaks", "\r\n".repeat(500_000), RefusalOrClose),
        ("a megabyte of NULs", "\0".repeat(1_000_000), RefusalOrClose),
        ("a megabyte of letters", "A".repeat(1_000_000), RefusalOrClose),
        ("a body that is not announced", get("Connection: close\r\n\r\nGET /dav/ HTTP/1.1\r\n\r\n"), AnswerOrClose),
        ("a body cut short", put("Content-Length: 100\r\n\r\nshort"), RefusalOrClose),
        ("a chunk cut short", put("Transfer-Encoding: chunked\r\n\r\n64\r\nshort"), RefusalOrClose),
        (
            "a body larger than the limit",
            put(&format!("Content-Length: 30000000\r\n\r\n{}", "x".repeat(30_000_000))),
            RefusalOrClose,
        ),
        (
            "chunks larger than the limit",
            put(&format!("Transfer-Encoding: chunked\r\n\r\n1c9c380\r\n{}\r\n0\r\n\r\n", "x".repeat(30_000_000))),
            RefusalOrClose,
        ),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for target in TARGETS {
        for method in ["GET", "PUT", "PROPFIND", "MKCOL"] {
            // A DELETE would be one that works on some of them, and the normal client needs its event.
            let bytes = request(method, target, &[("Depth", "1")], b"");
            cases.push(Case { name: format!("{method} {target:?}"), bytes, want: Want::AnswerOrClose });
        }
    }
    let raw = raw().into_iter().map(|(name, text, want)| Case { name: name.into(), bytes: text.into_bytes(), want });
    cases.extend(raw);
    cases
}

/// RFC 9112 §6.3: a message with both a length and chunks is answered once and its connection closed, so that what a
/// reader of the other framing takes for a second request is never answered.
pub fn two_framings() {
    let server = Server::start(&[]);
    for framing in
        ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let bytes = format!(
            "PUT {CALENDAR}smuggled.ics HTTP/1.1\r\nHost: localhost\r\n{}{framing}\r\n\r\n0\r\n\r\n\
             GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
            authorization()
        );
        let mut stream = connect(server.address);
        stream.write_all(bytes.as_bytes()).expect("it is sent");
        // To the end of the connection, which must come by itself.
        let answer = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
        assert!(answer.matches("HTTP/1.1 ").count() == 1, "{framing}: {answer}");
    }
    server.must_be_well("two framings");
}

/// Clients who send a byte now and then: each is cut off when the time for a head or a body is over.
pub fn slow() {
    let limits = [("KALENDS_LIMITS_HEADER_SECONDS_MAX", "2"), ("KALENDS_LIMITS_BODY_SECONDS_MAX", "2")];
    let server = Server::start(&limits);
    let before = server.memory();
    let body = request("PUT", &format!("{CALENDAR}slow.ics"), &[], &[b'x'; 1_000]);
    let (head, body) = body.split_at(body.len() - 1_000);
    let starts: [(&str, &[u8]); 3] = [("nothing", b""), ("half a head", &head[..head.len() - 10]), ("a head", head)];
    let clients: Vec<(&str, TcpStream)> = starts
        .iter()
        .flat_map(|(name, start)| {
            (0..50).map(|_| {
                let mut stream = connect(server.address);
                stream.write_all(start).expect("it is sent");
                (*name, stream)
            })
        })
        .collect();
    let mut clients = clients;
    for byte in body.iter().take(8) {
        for (name, client) in &mut clients {
            // The half head stays one: no line ends here. Whoever is cut off already is no error.
            if *name != "nothing" {
                let _ = client.write_all(&[*byte]);
            }
        }
        server.must_be_well("a byte of each slow client");
        std::thread::sleep(Duration::from_millis(400));
    }
    for (name, client) in &mut clients {
        let answer = read_all(client);
        assert!(matches!(status(&answer), None | Some(400 | 408)), "{name}: {}", String::from_utf8_lossy(&answer));
    }
    println!("slow: memory {} MB before, {} MB after", before >> 20, server.memory() >> 20);
    server.must_be_well("slow clients");
}

/// As many connections as the system lets this process and the server have, up to ten thousand, with nothing on them.
pub fn idle() {
    let server = Server::start(&[]);
    let before = server.memory();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let count = usize::try_from(files.saturating_sub(300).min(10_000)).unwrap_or(0);
    let idle: Vec<TcpStream> = (0..count).map(|_| connect(server.address)).collect();
    for _ in 0..20 {
        server.must_be_well("opening idle connections");
    }
    let during = server.memory();
    println!(
        "idle: {count} connections; memory {} MB before, {} MB with them: {} bytes each",
        before >> 20,
        during >> 20,
        during.saturating_sub(before) / (count as u64).max(1)
    );
    assert!(during < before + (count as u64) * (64 << 10) + (64 << 20), "an idle connection costs too much");
    drop(idle);
    server.must_be_well("closing idle connections");
    // Requests one behind the other on one connection are all answered, in order, and as many as there are.
    let one = request("GET", &format!("{CALENDAR}kept.ics"), &[], b"");
    let one = String::from_utf8(one).expect("ASCII").replace("Connection: close\r\n", "");
    let last = request("GET", &format!("{CALENDAR}kept.ics"), &[], b"");
    let answer = server.send(&[one.repeat(50).into_bytes(), last].concat());
    assert_eq!(answers(&answer), 51);
}
