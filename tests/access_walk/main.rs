//! Invariants A1 and F4, walked: every method and report, at every shape of path, as everybody there is.
//!
//! The tables in [`table`] say what comes of each. Beside them: a stranger cannot tell what is there from what is not, and
//! whoever may see busy time learns nothing else, from no edge.
//!
//! There are no tests of time here, since they would fail on a busy machine and prove nothing on an idle one. That time tells
//! nothing follows from how paths are resolved: `service::tree` makes the same look-ups for what is missing as for
//! what is not to be known (docs/security.md).

#[path = "../common/mod.rs"]
mod common;

mod leaks;
mod requests;
mod strangers;
mod table;

use common::TestApp;
use kalends::dav::{self, props::Kinds, report};
use kalends::model::Path;
use requests::{OPS, Place, places, send};

/// Those who ask, in the order of the tables.
pub const ACTORS: [&str; 6] = ["stranger", "busy", "reader", "writer", "full", "alice"];

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:UIDNAME\r\n\
    DTSTAMP:20261101T000000Z\r\nDTSTART:20261201T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Hidden title\r\n\
    LOCATION:Hidden place\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// An event with a UID.
pub fn event(uid: &str) -> String {
    EVENT.replace("UIDNAME", uid)
}

/// Alice, who has granted something to three users on a calendar and on her files, everything to a fourth, and nothing
/// to the stranger.
pub async fn world() -> TestApp {
    let app = TestApp::new();
    for user in ACTORS {
        app.add_user(user).await;
        let own = format!("/dav/calendars/{user}/default/mine.ics");
        made(&app, user, "PUT", &own, &event("hidden-uid-mine")).await;
        made(&app, user, "PUT", &format!("/dav/files/{user}/mine.txt"), "mine").await;
    }
    made(&app, "alice", "MKCALENDAR", "/dav/calendars/alice/private/", "").await;
    made(&app, "alice", "PUT", "/dav/calendars/alice/default/hidden.ics", &event("hidden-uid-1")).await;
    made(&app, "alice", "PUT", "/dav/calendars/alice/private/hidden.ics", &event("hidden-uid-2")).await;
    made(&app, "alice", "MKCOL", "/dav/files/alice/folder/", "").await;
    made(&app, "alice", "PUT", "/dav/files/alice/hidden.txt", "Hidden text").await;
    for path in ["/dav/calendars/alice/default/", "/dav/files/alice/"] {
        made(&app, "alice", "ACL", path, &grants()).await;
    }
    let named = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:X=\"urn:x\"><D:set><D:prop><D:displayname>Hidden name\
        </D:displayname><X:own>Hidden value</X:own></D:prop></D:set></D:propertyupdate>";
    for path in ["/dav/calendars/alice/default/", "/dav/calendars/alice/private/", "/dav/files/alice/folder/"] {
        let answer = app.send(Some("alice"), "PROPPATCH", path, &[], named).await;
        assert!(answer.text().contains("200 OK"), "{path}: {}", answer.text());
    }
    app
}

async fn made(app: &TestApp, user: &str, method: &str, path: &str, body: &str) {
    let answer = app.send(Some(user), method, path, &[], body.to_owned()).await;
    assert!(matches!(answer.status, 200 | 201), "{method} {path}: {} {}", answer.status, answer.text());
}

fn grants() -> String {
    let ace = |user: &str, granted: &str| {
        format!(
            "<D:ace><D:principal><D:href>/dav/principals/{user}/</D:href></D:principal><D:grant><D:privilege>{granted}\
             </D:privilege></D:grant></D:ace>"
        )
    };
    let writer = "<D:read/></D:privilege><D:privilege><D:write/>";
    let aces = [
        ace("busy", "<C:read-free-busy/>"),
        ace("reader", "<D:read/>"),
        ace("writer", writer),
        ace("full", "<D:all/>"),
    ];
    format!("<D:acl xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">{}</D:acl>", aces.concat())
}

/// One letter for what became of a request.
fn outcome(status: u16, body: &str) -> char {
    match status {
        207 if !body.contains("HTTP/1.1 200") && body.contains("HTTP/1.1 403") => 'f',
        200..=299 => '+',
        400 => 'b',
        401 => '1',
        403 if body.contains("need-privileges") => '3',
        403 => 'f',
        404 => '4',
        405 => 'm',
        409 => 'c',
        412 => 'p',
        423 => 'l',
        _ => '?',
    }
}

#[tokio::test]
async fn nobody_is_asked_to_log_in_everywhere() {
    let app = world().await;
    for op in OPS {
        for place in places() {
            let answer = send(&app, None, op, &place).await;
            let wanted = if *op == "OPTIONS" { '+' } else { '1' };
            assert_eq!(outcome(answer.status, &answer.text()), wanted, "{op} {}", place.path);
        }
    }
}

async fn row(actor: &str, op: &str, shared: &TestApp) -> String {
    let mut row = String::new();
    for place in places() {
        let answer = send(shared, Some(actor), op, &place).await;
        let letter = outcome(answer.status, &answer.text());
        row.push(letter);
    }
    row
}

async fn walk(actor: &str) {
    let (mut wrong, mut found) = (Vec::new(), String::new());
    let wanted = table::of(actor);
    for op in OPS {
        let got =
            if requests::changes(op) { changing_row(actor, op).await } else { row(actor, op, &world().await).await };
        found.push_str(&format!("    (\"{op}\", \"{got}\"),\n"));
        match wanted.iter().find(|(of, _)| of == op) {
            Some((_, row)) if *row == got => {}
            other => wrong.push(format!("{op}: {got} and not {:?}", other.map(|(_, row)| row))),
        }
    }
    assert!(wrong.is_empty(), "{actor}:\n{}\nfound:\n{found}", wrong.join("\n"));
}

/// Each request in a world of its own if the one before has changed something.
async fn changing_row(actor: &str, op: &str) -> String {
    let (mut app, mut row) = (world().await, String::new());
    for place in places() {
        let answer = send(&app, Some(actor), op, &place).await;
        let letter = outcome(answer.status, &answer.text());
        row.push(letter);
        if letter == '+' {
            app = world().await;
        }
    }
    row
}

#[tokio::test]
async fn a_stranger_finds_only_what_is_the_server_s() {
    walk("stranger").await;
}

#[tokio::test]
async fn a_free_busy_only_grantee_asks_for_busy_time_and_for_nothing_else() {
    walk("busy").await;
}

#[tokio::test]
async fn a_reader_reads() {
    walk("reader").await;
}

#[tokio::test]
async fn a_writer_reads_and_writes() {
    walk("writer").await;
}

#[tokio::test]
async fn a_full_grantee_does_everything_in_there() {
    walk("full").await;
}

#[tokio::test]
async fn the_owner_does_everything() {
    walk("alice").await;
}

/// What is added to the server must be added here.
#[test]
fn nothing_is_left_out() {
    for method in dav::METHODS.iter().filter(|method| **method != "REPORT") {
        assert!(OPS.contains(method), "no request of the method {method} is walked");
    }
    for kind in Kinds::EACH {
        assert!(report::supported(kind).all(|(_, local)| OPS.contains(&local)), "a report is not walked");
    }
    let mut shapes: Vec<usize> = places().iter().map(|Place { path, .. }| shape(path)).collect();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes, (0..SHAPES).collect::<Vec<_>>(), "a shape of path is not walked");
    for actor in ACTORS {
        let table = table::of(actor);
        assert_eq!(table.iter().map(|(op, _)| *op).collect::<Vec<_>>(), OPS, "{actor}");
        assert!(table.iter().all(|(_, row)| row.len() == places().len()), "{actor}");
    }
}

const SHAPES: usize = 10;

/// A number for each shape. It has no arm for the rest, so a new shape does not compile until it has its place here.
fn shape(path: &str) -> usize {
    match Path::parse(path).expect("a path of ours") {
        Path::Root => 0,
        Path::Dav => 1,
        Path::Principals => 2,
        Path::Principal(_) => 3,
        Path::Homes => 4,
        Path::Home(_) => 5,
        Path::Calendar(..) => 6,
        Path::Object(..) => 7,
        Path::FileRoots => 8,
        Path::File(..) => 9,
    }
}
