//! Objects that today's checks find broken, over every route (invariant B2): they are served as bytes, left out of what is
//! computed, stand in nobody's way, and nothing answers with a 5xx because of them.

mod sockets;

use bytes::Bytes;
use kalends::base::{ETag, Limits};
use kalends::ical::ComponentKind;
use kalends::model::{Index, IndexRow, Object, UserName};
use kalends::server::Options;
use kalends::service::accounts;
use kalends::service::verify::{ProblemKind, Repair, verify};
use kalends::store::{Batch, Write};
use sockets::{Answer, TestServer, request};

const HOME: &str = "/dav/calendars/anna/";
const CALENDAR: &str = "/dav/calendars/anna/default/";
const SOUND: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:sound\r\n\
    DTSTAMP:20260101T000000Z\r\nDTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// What a store may hold: what no check ever let in, and what an older one did.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let event = |inside: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:broken\r\nDTSTAMP:20260101T000000Z\r\n\
             {inside}END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
        .into_bytes()
    };
    vec![
        ("empty", Vec::new()),
        ("junk", b"this is no calendar".to_vec()),
        ("binary", vec![0xff, 0xfe, 0x00, 0x80]),
        ("control", event("DTSTART:20260105T100000Z\r\nSUMMARY:a\u{1}b\r\n")),
        ("latin", {
            let mut bytes = event("DTSTART:20260105T100000Z\r\nSUMMARY:?\r\n");
            let at = bytes.iter().position(|byte| *byte == b'?').expect("it is there");
            bytes[at] = 0xe4;
            bytes
        }),
        ("no-start", event("")),
        ("bad-date", event("DTSTART:20261399T990000Z\r\n")),
        ("bad-rule", event("DTSTART:20260105T100000Z\r\nRRULE:FREQ=SOMETIMES\r\n")),
        ("cut-off", event("DTSTART:20260105T100000Z\r\n")[..120].to_vec()),
        ("two-masters", {
            let one = "BEGIN:VEVENT\r\nUID:broken\r\nDTSTART:20260105T100000Z\r\nEND:VEVENT\r\n";
            format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{one}{one}END:VCALENDAR\r\n").into_bytes()
        }),
        ("card", b"BEGIN:VCARD\r\nFN:x\r\nEND:VCARD\r\n".to_vec()),
    ]
}

/// What the store may say of them: that they are broken, nothing, or what was right once.
fn indexes() -> Vec<(&'static str, Option<Index>)> {
    let row =
        IndexRow { uid: "broken".to_owned(), kind: ComponentKind::Event, span: None, recurring: false, alarms: false };
    let known = Index::Broken { reason: "made up".to_owned(), uid: Some("broken".to_owned()) };
    vec![
        ("known", Some(known)),
        ("nameless", Some(Index::Broken { reason: "made up".to_owned(), uid: None })),
        ("none", None),
        ("stale", Some(Index::Row(IndexRow { recurring: true, ..row.clone() }))),
        ("timeless", Some(Index::Row(row))),
    ]
}

fn send(server: &TestServer, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let start = request(method, target).login("anna", "secret").body(body);
    let asked = headers.iter().fold(start, |asked, (name, value)| asked.header(name, value));
    asked.send(server.address)
}

/// A calendar with one sound object and a broken one, `b.ics`.
fn filled(body: &[u8], index: Option<Index>) -> TestServer {
    let server = TestServer::start(Limits::default(), Options::default());
    server.user("anna", "secret");
    assert_eq!(send(&server, "PUT", &format!("{CALENDAR}a.ics"), &[], SOUND.as_bytes()).status, 201);
    server.runtime.block_on(async {
        let user = UserName::new("anna").expect("a name");
        let calendar = accounts::calendar(&server.context, &user, "default").await.expect("it is there");
        let right = server.context.store.object(calendar.id, "a.ics").await.expect("read").expect("it is there");
        let bytes = Bytes::copy_from_slice(body);
        let size = bytes.len() as u64;
        let broken = Object { name: "b.ics".to_owned(), etag: ETag::of(&bytes), size, index, ..right };
        let writes = vec![Write::PutObject(calendar.id, broken, bytes)];
        server.context.store.commit(Batch { writes, ..Batch::default() }).await.expect("written");
    });
    server
}

/// Reports that compute, and such that list; all of them have the sound object.
fn reports() -> Vec<(&'static str, String)> {
    let data = |inside: &str, filter: &str| {
        format!(
            "<C:calendar-query xmlns:C='urn:ietf:params:xml:ns:caldav' xmlns='DAV:'><prop><getetag/><C:calendar-data>\
             {inside}</C:calendar-data></prop><C:filter><C:comp-filter name='VCALENDAR'>{filter}</C:comp-filter>\
             </C:filter></C:calendar-query>"
        )
    };
    let window = "start='20260101T000000Z' end='20260201T000000Z'";
    let timed = format!("<C:comp-filter name='VEVENT'><C:time-range {window}/></C:comp-filter>");
    let alarms = format!(
        "<C:comp-filter name='VEVENT'><C:comp-filter name='VALARM'><C:time-range {window}/></C:comp-filter></C:comp-filter>"
    );
    let text = "<C:comp-filter name='VEVENT'><C:prop-filter name='UID'><C:text-match>o</C:text-match></C:prop-filter></C:comp-filter>";
    let none = "<C:comp-filter name='VTODO'><C:is-not-defined/></C:comp-filter>";
    let multiget = format!(
        "<C:calendar-multiget xmlns:C='urn:ietf:params:xml:ns:caldav' xmlns='DAV:'><prop><getetag/><C:calendar-data>\
         <C:expand {window}/></C:calendar-data></prop><href>{CALENDAR}a.ics</href><href>{CALENDAR}b.ics</href>\
         </C:calendar-multiget>"
    );
    let sync = "<sync-collection xmlns='DAV:'><sync-token/><sync-level>1</sync-level><prop><getetag/></prop></sync-collection>";
    vec![
        ("all", data("", "")),
        ("window", data("", &timed)),
        ("expand", data(&format!("<C:expand {window}/>"), &timed)),
        ("limit", data(&format!("<C:limit-recurrence-set {window}/>"), &timed)),
        ("part", data("<C:comp name='VCALENDAR'><C:prop name='VERSION'/></C:comp>", &timed)),
        ("alarms", data("", &alarms)),
        ("text", data("", text)),
        ("without", data("", none)),
        ("multiget", multiget),
        (
            "multiget-plain",
            format!(
                "<C:calendar-multiget xmlns:C='urn:ietf:params:xml:ns:caldav' xmlns='DAV:'><prop><C:calendar-data/></prop>\
             <href>{CALENDAR}a.ics</href><href>{CALENDAR}b.ics</href></C:calendar-multiget>"
            ),
        ),
        ("sync", sync.to_owned()),
        (
            "busy",
            format!(
                "<C:free-busy-query xmlns:C='urn:ietf:params:xml:ns:caldav'><C:time-range {window}/></C:free-busy-query>"
            ),
        ),
    ]
}

/// Whether XML can hold the text.
fn in_xml(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| !text.contains(['\u{0}', '\u{1}']))
}

#[test]
fn broken_objects_stand_in_nobodys_way() {
    for (kind, body) in bodies() {
        for (state, index) in indexes() {
            if !(["known", "stale"].contains(&state) || kind == "bad-date") {
                continue;
            }
            let at = format!("{kind}, {state}");
            let server = filled(&body, index);
            reading(&server, &at, &body);
            changing(&server, &at);
        }
    }
}

fn reading(server: &TestServer, at: &str, body: &[u8]) {
    let broken = format!("{CALENDAR}b.ics");
    let got = send(server, "GET", &broken, &[], b"");
    assert_eq!((got.status, got.body.as_str()), (200, &*String::from_utf8_lossy(body)), "{at}");
    assert_eq!(send(server, "HEAD", &broken, &[], b"").status, 200, "{at}");
    for accept in ["application/calendar+json", "application/calendar+xml", "text/calendar;q=0"] {
        let got = send(server, "GET", &broken, &[("Accept", accept)], b"");
        assert!(got.status < 500, "{at}: {accept}: {got:?}");
    }
    for (target, depth) in [(broken.as_str(), "0"), (CALENDAR, "1"), (HOME, "1")] {
        for asked in ["<propfind xmlns='DAV:'><allprop/></propfind>", "<propfind xmlns='DAV:'><propname/></propfind>"] {
            let got = send(server, "PROPFIND", target, &[("Depth", depth)], asked.as_bytes());
            assert_eq!(got.status, 207, "{at}: {target}: {got:?}");
        }
    }
    for (name, report) in reports() {
        for (target, depth) in [(CALENDAR, "1"), (HOME, "infinity"), (broken.as_str(), "0")] {
            let got = send(server, "REPORT", target, &[("Depth", depth)], report.as_bytes());
            assert!(got.status < 500, "{at}: {name} at {target}: {got:?}");
            if target != CALENDAR {
                continue;
            }
            let expected = if name == "busy" { 200 } else { 207 };
            assert_eq!(got.status, expected, "{at}: {name}: {got:?}");
            match name {
                "busy" => assert!(got.body.contains("20260105T100000Z/"), "{at}: {got:?}"),
                "alarms" => {}
                _ => assert!(got.body.contains("a.ics"), "{at}: {name}: {got:?}"),
            }
            match name {
                "window" | "expand" | "limit" | "part" | "alarms" | "text" | "without" => {
                    assert!(!got.body.contains("b.ics"), "{at}: {name}: {got:?}");
                }
                "sync" | "multiget" => assert!(got.body.contains("b.ics"), "{at}: {name}: {got:?}"),
                "multiget-plain" if in_xml(body) && !body.is_empty() => {
                    let word = if body.starts_with(b"this") { "this is no calendar" } else { "BEGIN:V" };
                    let behind = got.body.split("b.ics").nth(1).expect("it is named");
                    assert!(behind.contains(word), "{at}: {got:?}");
                }
                _ => {}
            }
        }
    }
    let found = server.runtime.block_on(verify(&server.context, Repair::Nothing, |_, _| {})).expect("verified");
    let named = |problem: &&kalends::service::verify::Problem| {
        problem.path.as_str() == broken && problem.kind == ProblemKind::Broken
    };
    assert_eq!(found.problems.iter().filter(named).count(), 1, "{at}: {:?}", found.problems);
}

fn changing(server: &TestServer, at: &str) {
    let broken = format!("{CALENDAR}b.ics");
    let to = |name: &str| format!("http://localhost{CALENDAR}{name}");
    let calm = |what: &str, got: Answer| assert!(got.status < 500, "{at}: {what}: {got:?}");
    let patch = b"<propertyupdate xmlns='DAV:'><set><prop><x xmlns='urn:x'>1</x></prop></set></propertyupdate>";
    assert_eq!(send(server, "PROPPATCH", &broken, &[], patch).status, 207, "{at}");
    let lock = b"<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
    let locked = send(server, "LOCK", &broken, &[("Timeout", "Second-60")], lock);
    assert_eq!(locked.status, 200, "{at}: {locked:?}");
    let token = locked.header("lock-token").expect("a token").to_owned();
    assert_eq!(send(server, "UNLOCK", &broken, &[("Lock-Token", &token)], b"").status, 204, "{at}");
    calm("COPY", send(server, "COPY", &broken, &[("Destination", &to("c.ics"))], b""));
    calm("COPY out", send(server, "COPY", &broken, &[("Destination", "http://localhost/dav/files/anna/c.ics")], b""));
    calm(
        "COPY all",
        send(server, "COPY", CALENDAR, &[("Destination", "http://localhost/dav/calendars/anna/copy/")], b""),
    );
    let moved = send(server, "MOVE", &broken, &[("Destination", &to("d.ics"))], b"");
    calm("MOVE", moved);
    for name in ["b.ics", "c.ics", "d.ics"] {
        let target = format!("{CALENDAR}{name}");
        let put = send(server, "PUT", &target, &[], SOUND.replace("sound", "mended").as_bytes());
        calm("PUT over", put);
        let gone = send(server, "DELETE", &target, &[], b"").status;
        assert!([204, 404].contains(&gone), "{at}: DELETE {name}: {gone}");
    }
    let mended = SOUND.replace("sound", "broken");
    let put = send(server, "PUT", &format!("{CALENDAR}e.ics"), &[], mended.as_bytes());
    assert_eq!(put.status, 201, "{at}: its UID is free again: {put:?}");
    calm("DELETE all", send(server, "DELETE", CALENDAR, &[], b""));
}

#[test]
fn a_sound_object_takes_the_place_of_a_broken_one() {
    for (kind, body) in bodies() {
        for (state, index) in indexes() {
            if !(state == "stale" || kind == "bad-date") {
                continue;
            }
            let server = filled(&body, index);
            let broken = format!("{CALENDAR}b.ics");
            let tag = send(&server, "GET", &broken, &[], b"").header("etag").expect("a tag").to_owned();
            for uid in ["broken", "other"] {
                let fresh = SOUND.replace("sound", uid);
                let tag = if uid == "broken" { tag.as_str() } else { "*" };
                let put = send(&server, "PUT", &broken, &[("If-Match", tag)], fresh.as_bytes());
                assert!([204, 403, 409].contains(&put.status), "{kind}, {state}: {uid}: {put:?}");
                if uid == "broken" {
                    assert_eq!(put.status, 204, "{kind}, {state}: {put:?}");
                }
            }
            let rest = server.runtime.block_on(verify(&server.context, Repair::Nothing, |_, _| {})).expect("verified");
            assert_eq!(rest.problems, [], "{kind}, {state}");
        }
    }
}
