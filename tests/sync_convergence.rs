//! Sixteen writers on one calendar over real sockets, and readers that sync by token meanwhile: whatever the
//! interleaving, every reader ends with exactly what the server lists, and no conditional write is lost.

mod wire;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use kalends::store::Engine;
use wire::{Connection, Server};

const WRITERS: u64 = 16;
const READERS: u64 = 4;
const WRITES_EACH: usize = 40;
const NAMES: u64 = 24;
/// More pages than there can be writes while a reader follows.
const PAGES_MAX: usize = 10_000;
const CALENDAR: &str = "/dav/calendars/alice/default/";

/// Member name to entity tag: what a client believes that the calendar holds.
type Listing = BTreeMap<String, String>;

/// A seeded xorshift: the same run of choices every time, only the interleaving differs.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    bodies: AtomicUsize,
    done: AtomicBool,
    /// Entity tags that a conditional write has replaced: none can be replaced twice.
    replaced: Mutex<HashSet<String>>,
}

#[test]
fn sixteen_writers_and_every_reader_converge_in_memory() {
    converge(Engine::Memory);
}

#[test]
fn sixteen_writers_and_every_reader_converge_on_sled() {
    converge(Engine::Sled);
}

#[test]
fn sixteen_writers_and_every_reader_converge_on_fjall() {
    converge(Engine::Fjall);
}

fn converge(engine: Engine) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = start(engine, dir.path());
    let shared = Shared::default();
    let mut watcher = server.connect();
    let (empty, start_token) = sync(&mut watcher, "", None);
    assert!(empty.is_empty(), "the calendar is new");
    let readers = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|seed| {
                scope.spawn({
                    let (s, c) = (&shared, server.connect());
                    move || read(c, s, seed)
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|seed| {
                scope.spawn({
                    let (s, c) = (&shared, server.connect());
                    move || write(c, s, seed)
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        shared.done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a writer got an answer that it may not get");
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader got only answers that it may get"))
            .collect::<Vec<_>>()
    });
    let listed = propfind(&mut watcher);
    assert!(!listed.is_empty(), "the writers left something behind");
    for (n, reader) in readers.iter().enumerate() {
        assert_eq!(reader, &listed, "reader {n} did not converge");
    }
    for page in [None, Some(1), Some(5)] {
        let (replayed, _) = follow(&mut watcher, Listing::new(), start_token.clone(), page);
        assert_eq!(replayed, listed, "the whole log in pages of {page:?} is not the listing");
        let (full, _) = follow(&mut watcher, Listing::new(), String::new(), page);
        assert_eq!(full, listed, "a first sync in pages of {page:?} is not the listing");
    }
    for (name, etag) in &listed {
        let answer = watcher.send("GET", &format!("{CALENDAR}{name}"), &[], "");
        assert_eq!((answer.status, answer.header("etag")), (200, Some(etag.as_str())), "{name} is not what is listed");
    }
    server.stop();
}

fn start(engine: Engine, dir: &Path) -> Server {
    Server::start(engine, dir, &["alice"])
}

/// One writer: creates, replaces, moves and removes at random, with and without conditions.
fn write(mut connection: Connection, shared: &Shared, seed: u64) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed + 1) << 17);
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for _ in 0..WRITES_EACH {
        let name = dice.below(NAMES);
        let path = format!("{CALENDAR}e{name}.ics");
        let condition = known.get(&name).cloned();
        let conditional = condition.as_deref().map(|etag| ("If-Match", etag));
        let (answer, used) = match dice.below(10) {
            0..4 => (connection.send("PUT", &path, &ICS, &body(name, shared)), None),
            4 => (connection.send("PUT", &path, &[ICS[0], ("If-None-Match", "*")], &body(name, shared)), None),
            5..7 if conditional.is_some() => {
                let headers = [ICS[0], conditional.expect("it is some")];
                (connection.send("PUT", &path, &headers, &body(name, shared)), condition.clone())
            }
            7 if conditional.is_some() => {
                (connection.send("DELETE", &path, &[conditional.expect("it is some")], ""), condition.clone())
            }
            8 => {
                let destination = format!("{CALENDAR}e{}.ics", dice.below(NAMES));
                (connection.send("MOVE", &path, &[("Destination", &destination)], ""), None)
            }
            _ => (connection.send("DELETE", &path, &[], ""), None),
        };
        assert!(matches!(answer.status, 200 | 201 | 204 | 403 | 404 | 409 | 412), "{} {}", answer.status, answer.body);
        if let (Some(etag), 200..=299) = (used, answer.status) {
            assert!(shared.replaced.lock().expect("not poisoned").insert(etag), "an update was lost");
        }
        match answer.header("etag") {
            Some(etag) if answer.status < 300 => known.insert(name, etag.to_owned()),
            _ => known.remove(&name),
        };
    }
}

const ICS: [(&str, &str); 1] = [("Content-Type", "text/calendar; charset=utf-8")];

/// An object whose bytes were never sent before, under the UID of its name.
fn body(name: u64, shared: &Shared) -> String {
    let n = shared.bodies.fetch_add(1, Ordering::Relaxed);
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Test//EN\r\nBEGIN:VEVENT\r\nUID:uid-{name}\r\n\
         DTSTAMP:20301101T000000Z\r\nDTSTART:20301104T090000Z\r\nSUMMARY:{n}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// One reader: syncs from where it was, in pages of random size, until the writers are done and nothing is new.
fn read(mut connection: Connection, shared: &Shared, seed: u64) -> Listing {
    let mut dice = Dice(0xD1B5_4A32_D192_ED03 ^ (seed + 1) << 21);
    let (mut listing, mut token) = (Listing::new(), String::new());
    loop {
        let last = shared.done.load(Ordering::SeqCst);
        let page = (dice.below(3) > 0).then(|| 1 + dice.below(6));
        (listing, token) = follow(&mut connection, listing, token, page);
        if last {
            return listing;
        }
    }
}

/// Syncs page by page until the server says that nothing is left.
fn follow(
    connection: &mut Connection,
    mut listing: Listing,
    mut token: String,
    page: Option<u64>,
) -> (Listing, String) {
    for _ in 0..PAGES_MAX {
        let (changes, next) = sync(connection, &token, page);
        let more = changes.iter().any(|(name, change)| name.is_empty() && *change == Change::More);
        for (name, change) in changes {
            match change {
                Change::Now(etag) => {
                    listing.insert(name, etag);
                }
                Change::Gone => {
                    listing.remove(&name);
                }
                Change::More => {}
            }
        }
        assert!(!more || next != token, "a page that is cut off must lead on");
        token = next;
        if !more {
            return (listing, token);
        }
    }
    panic!("the pages do not end");
}

#[derive(PartialEq)]
enum Change {
    Now(String),
    Gone,
    More,
}

fn sync(connection: &mut Connection, token: &str, page: Option<u64>) -> (Vec<(String, Change)>, String) {
    let limit = page.map_or(String::new(), |n| format!("<limit><nresults>{n}</nresults></limit>"));
    let body = format!(
        "<sync-collection xmlns=\"DAV:\"><sync-token>{token}</sync-token><sync-level>1</sync-level>{limit}\
         <prop><getetag/></prop></sync-collection>"
    );
    let answer = connection.send("REPORT", CALENDAR, &[("Content-Type", "application/xml")], &body);
    assert_eq!(answer.status, 207, "{}", answer.body);
    let multistatus = answer.xml();
    let next = multistatus.child("DAV:", "sync-token").expect("a sync answer has a token").text();
    let mut names = HashSet::new();
    let changes = wire::responses(&multistatus).map(|response| {
        assert!(names.insert(response.name.clone()), "{} comes twice in one answer", response.name);
        let change = match (response.status, response.etag) {
            (Some(507), _) => Change::More,
            (Some(404), None) => Change::Gone,
            (None, Some(etag)) => Change::Now(etag),
            other => panic!("{}: neither changed nor removed: {other:?}", response.name),
        };
        (response.name, change)
    });
    (changes.collect(), next)
}

fn propfind(connection: &mut Connection) -> Listing {
    let body = "<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";
    let answer = connection.send("PROPFIND", CALENDAR, &[("Depth", "1"), ("Content-Type", "application/xml")], body);
    assert_eq!(answer.status, 207, "{}", answer.body);
    let listed = answer.xml();
    wire::responses(&listed)
        .filter(|r| !r.name.is_empty())
        .map(|r| (r.name, r.etag.expect("a member has an etag")))
        .collect()
}
