//! Storage that fails below a whole server: what clients are answered, what goes on, and what the log and the command line
//! say.

mod load;
mod sockets;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kalends::base::Limits;
use kalends::server::Options;
use kalends::store::kv::{Fault, Faulty, Memory};
use kalends::store::{Engine, Store, StoreError};
use load::Place;
use sockets::{Answer, Request, TestServer, request};

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\n\
                     DTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nSUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
const PASSWORD: &str = "a-long-password";

/// What was logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("whole")).into_owned()
    }
}

fn as_anna(method: &str, name: &str) -> Request {
    request(method, &format!("/dav/calendars/anna/default/{name}")).login("anna", PASSWORD)
}

fn put(server: &TestServer, name: &str) -> Answer {
    as_anna("PUT", name).body(EVENT.replace("UID:one", &format!("UID:{name}"))).send(server.address)
}

fn start(engine: &Arc<Faulty>) -> TestServer {
    let options =
        kalends::store::Options { dir: PathBuf::new(), engine: Engine::Memory, cache_bytes: 1, tombstones_max: 10 };
    let store = Store::open_on(Arc::clone(engine) as _, &options).expect("it opens");
    TestServer::over(store, Limits::default(), Options::default())
}

fn status(answer: &Answer) -> u16 {
    assert!(!answer.body.contains("sda7"), "the machine's details are for the log: {}", answer.body);
    answer.status
}

/// One test, because all of a process's log lines go to one place.
#[test]
fn failing_storage_is_told_to_clients_and_to_the_log_and_reads_go_on() {
    let log = Log::default();
    let lines = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).init();
    let cases = [
        (Fault::Ahead, StoreError::Full("writing sda7: no space left on device".to_owned()), 507),
        (Fault::Ahead, StoreError::Io("making sda7 durable: input/output error".to_owned()), 503),
        (Fault::Sync, StoreError::Full("flushing sda7: no space left on device".to_owned()), 507),
        (Fault::Sync, StoreError::Io("flushing sda7: input/output error".to_owned()), 503),
        (Fault::Apply, StoreError::Full("writing sda7: no space left on device".to_owned()), 507),
        (Fault::Apply, StoreError::Io("writing sda7: input/output error".to_owned()), 503),
    ];
    for (fault, error, expected) in cases {
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default())));
        let server = start(&engine);
        server.user("anna", PASSWORD);
        assert_eq!(put(&server, "before.ics").status, 201);
        engine.fail(fault, error.clone());
        let before = log.text().len();
        assert_eq!(status(&put(&server, "during.ics")), expected, "{fault:?} {error}");
        let said = log.text()[before..].to_owned();
        assert!(said.contains("ERROR") && said.contains("sda7") && said.contains("then restart"), "{said}");
        assert!(!said.contains("SUMMARY") && !said.contains(PASSWORD), "{said}");
        // What the disk holds after a failed flush is unknown: healed or not, writes wait for a restart.
        engine.heal();
        for method in ["DELETE", "PROPPATCH", "MKCALENDAR", "LOCK"] {
            let name = if method == "MKCALENDAR" { "../new/" } else { "before.ics" };
            let target = if method == "MKCALENDAR" {
                "/dav/calendars/anna/new/".to_owned()
            } else {
                format!("/dav/calendars/anna/default/{name}")
            };
            let body = match method {
                "PROPPATCH" => {
                    r#"<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set></D:propertyupdate>"#
                }
                "LOCK" => {
                    r#"<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>"#
                }
                _ => "",
            };
            let answer = request(method, &target).login("anna", PASSWORD).body(body).send(server.address);
            assert_eq!(status(&answer), 503, "{method} {answer:?}");
        }
        assert_eq!(status(&put(&server, "after.ics")), 503);
        let read = as_anna("GET", "before.ics").send(server.address);
        assert_eq!((read.status, read.body.contains("UID:before.ics")), (200, true));
        let listing = as_anna("PROPFIND", "").header("Depth", "1").send(server.address);
        assert!(listing.status == 207 && listing.body.contains("before.ics"), "{listing:?}");
        drop(server);
        // Opened again, it takes writes, and has what was acknowledged.
        let server = start(&engine);
        assert_eq!(as_anna("GET", "before.ics").send(server.address).status, 200);
        assert_eq!(put(&server, "after.ics").status, 201);
    }
    assert!(!log.text().contains("panic"), "{}", log.text());
    failing_reads(&log);
}

fn failing_reads(log: &Log) {
    let engine = Arc::new(Faulty::new(Arc::new(Memory::default())));
    let server = start(&engine);
    server.user("anna", PASSWORD);
    assert_eq!(put(&server, "a.ics").status, 201);
    engine.fail(Fault::Read, StoreError::Corrupt("a damaged page in sda7".to_owned()));
    assert_eq!(status(&as_anna("GET", "a.ics").send(server.address)), 503);
    assert_eq!(status(&put(&server, "b.ics")), 503);
    assert_eq!(request("GET", "/healthz").send(server.address).status, 200, "the process lives");
    assert_eq!(request("GET", "/readyz").send(server.address).status, 503, "and cannot serve");
    assert!(log.text().contains("a damaged page in sda7"));
    engine.heal();
    assert_eq!(as_anna("GET", "a.ics").send(server.address).status, 200);
    assert_eq!(put(&server, "b.ics").status, 201, "a failed read has changed nothing");
    assert_eq!(request("GET", "/readyz").send(server.address).status, 200);
}

/// The largest file of the engine.
fn largest(dir: &Path) -> PathBuf {
    let mut found = Vec::new();
    let mut places = vec![dir.to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).expect("a directory").map_while(Result::ok) {
            let meta = entry.metadata().expect("it is there");
            if meta.is_dir() {
                places.push(entry.path());
            } else {
                found.push((meta.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().expect("a file").1
}

/// What a server and a command say of damaged files: one sentence with what to do, and no panic.
#[test]
fn damaged_files_are_told_at_the_start_with_what_to_do() {
    for engine in ["sled", "fjall"] {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::make(&dir.path().join("data"), engine, &["work"]);
        let log = dir.path().join("log");
        drop(place.serve(&log).expect("it starts"));
        let broken = |damage: &dyn Fn(&Path), expected: &str| {
            let copy = place.moved(&dir.path().join("copy"), engine);
            let _ = std::fs::remove_dir_all(&copy.data);
            let copied = std::process::Command::new("cp").arg("-r").args([&place.data, &copy.data]).status();
            assert!(copied.expect("cp").success());
            damage(&copy.data);
            for arguments in [&["user", "list"][..], &["serve", "--listen", "127.0.0.1:0"][..]] {
                let ran = copy.run(arguments);
                let said = String::from_utf8_lossy(&ran.stderr).into_owned();
                assert_eq!(ran.status.code(), Some(1), "{engine} {arguments:?}: {said}");
                assert!(said.contains(expected), "{engine} {arguments:?}: {said}");
                assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{engine}: {said}");
            }
        };
        let marker = |data: &Path| data.join("kalends.store");
        let gone = |data: &Path| std::fs::remove_file(marker(data)).expect("removed");
        broken(&gone, "restore that file or the newest backup");
        let torn = |data: &Path| std::fs::write(marker(data), "form").expect("written");
        broken(&torn, "does not say what is in the directory");
        let later = |data: &Path| {
            let text = std::fs::read_to_string(marker(data)).expect("there").replace("format 1", "format 99");
            std::fs::write(marker(data), text).expect("written");
        };
        broken(&later, "start the newer program");
        let missing = |data: &Path| std::fs::remove_dir_all(data.join(format!("{engine}-1"))).expect("removed");
        broken(&missing, "restore the newest backup");
        if engine == "sled" {
            let spoilt = |data: &Path| {
                let mut bytes = std::fs::read(data.join("sled-1/journal")).expect("there");
                bytes[9] ^= 1;
                std::fs::write(data.join("sled-1/journal"), bytes).expect("written");
            };
            broken(&spoilt, "journal is damaged at byte 0");
            let cut = |data: &Path| {
                let file = std::fs::OpenOptions::new().write(true).open(data.join("sled-1/journal")).expect("there");
                file.set_len(5_000).expect("cut");
            };
            broken(&cut, "restore the newest backup");
            let gone = |data: &Path| std::fs::remove_file(data.join("sled-1/journal")).expect("removed");
            broken(&gone, "sled-1/journal is missing: what was written last may have been in it");
            let emptied = |data: &Path| std::fs::write(data.join("sled-1/journal"), "").expect("written");
            broken(&emptied, "sled-1/journal is empty");
        }
    }
}

/// Whoever wants to go on without a journal says so once; with a whole one nobody has to.
#[test]
fn a_journal_that_is_lost_is_given_up_when_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place::make(&dir.path().join("data"), "sled", &["work"]);
    let journal = place.data.join("sled-1/journal");
    let give_up = || {
        let ran = place.run(&["verify", "--without-journal"]);
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let (code, said) = give_up();
    assert!(code == Some(1) && said.contains("is whole"), "{said}");
    place.done(&["user", "list"]);
    let aside = |name: &str| std::fs::read(place.data.join(name)).unwrap_or_default();
    for (damage, name) in [(&[][..], ""), (b"gone wrong", "journal.damaged"), (b"gone again", "journal.damaged-2")] {
        match damage {
            [] => std::fs::remove_file(&journal).expect("removed"),
            bytes => std::fs::write(&journal, bytes).expect("written"),
        }
        assert_eq!(place.run(&["user", "list"]).status.code(), Some(1));
        let (code, said) = give_up();
        assert!(code == Some(0) && said.contains("0 problems"), "{said}");
        assert!(aside(name) == damage && said.contains(name), "{said}");
        assert!(place.done(&["user", "list"]).contains("anna"));
    }
    assert_eq!(aside("journal.damaged"), b"gone wrong", "the second does not take the place of the first");
    let server = place.serve(&dir.path().join("log")).expect("it starts");
    assert!(give_up().1.contains("is held by process"), "a server has it open");
    drop(server);
}

/// Bytes changed inside of the engine's largest file: whatever the engine makes of them, it is said in words. Not every byte
/// counts, so that a start that succeeds is fine as long as nothing that is there is wrong.
#[test]
fn spoilt_bytes_never_make_a_panic() {
    for engine in ["sled", "fjall"] {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::make(&dir.path().join("data"), engine, &["work"]);
        for at in [8_usize, 100, 700, 2_000] {
            let copy = place.moved(&dir.path().join(format!("copy-{at}")), engine);
            let copied = std::process::Command::new("cp").arg("-r").args([&place.data, &copy.data]).status();
            assert!(copied.expect("cp").success());
            let file = largest(&copy.data.join(format!("{engine}-1")));
            let mut bytes = std::fs::read(&file).expect("it can be read");
            let end = bytes.len().min(at + 64);
            bytes[at.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
            std::fs::write(&file, bytes).expect("written");
            let ran = copy.run(&["verify"]);
            let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            assert!(ran.status.code().is_some(), "{engine} {at}: ended by a signal");
            assert!(!said.contains("RUST_BACKTRACE"), "{engine} {at}: {said}");
        }
    }
}

/// A file system in memory with so many bytes. Unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where this user may not mount.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        let mut command = std::process::Command::new("mount");
        let ran = command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        ran.is_ok_and(|ran| ran.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// A disk that somebody else fills: writes are refused before any is lost, reads go on, and with space there are writes again.
#[test]
fn a_full_disk_refuses_writes_until_there_is_space() {
    for engine in ["sled", "fjall"] {
        let dir = tempfile::tempdir().expect("a directory");
        let Some(small) = Small::mount(&dir.path().join("small"), "160m") else {
            return println!("skipped: mounting needs root");
        };
        let place = Place::make(&small.0.join("data"), engine, &[]);
        let log = dir.path().join("log");
        let server = place.serve(&log).expect("it starts");
        let ask = |method: &str, name: &str| {
            let asking = request(method, &format!("/dav/calendars/anna/default/{name}")).login("anna", &place.password);
            let body = if method == "PUT" { EVENT.replace("UID:one", &format!("UID:{name}")) } else { String::new() };
            asking.body(body).send(server.address)
        };
        assert_eq!(ask("PUT", "before.ics").status, 201, "{engine}");
        let ballast = small.0.join("ballast");
        let mut fill = std::fs::File::create(&ballast).expect("made");
        while std::io::Write::write_all(&mut fill, &[1; 65_536]).is_ok() {}
        drop(fill);
        let refused = ask("PUT", "during.ics");
        assert_eq!(refused.status, 507, "{engine}: {refused:?}");
        assert!(ask("GET", "before.ics").body.contains("UID:before.ics"), "{engine}");
        assert_eq!(request("GET", "/readyz").send(server.address).status, 200, "{engine}");
        let said = std::fs::read_to_string(&log).expect("a log");
        assert!(said.contains("free some space") && !said.contains("panic"), "{engine}: {said}");
        std::fs::remove_file(&ballast).expect("removed");
        assert_eq!(ask("PUT", "after.ics").status, 201, "{engine}: without a restart");
        assert_eq!(ask("GET", "during.ics").status, 404, "{engine}");
        drop(server);
        assert_eq!(place.done(&["verify"]), "", "{engine}");
        assert!(place.done(&["export", "anna/default"]).contains("UID:after.ics"), "{engine}");
    }
}
