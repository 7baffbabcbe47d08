//! `backup` and `restore` on the real binary: a backup taken under load is one state, and that state is what comes back.

mod load;
mod sockets;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use load::{Client, Place, Progress, Reader, own};

/// The revision that a sync-token names.
fn revision(token: &str) -> usize {
    token.rsplit(':').nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no revision in {token}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each client has a calendar of its own, so the calendar's revision says after which of its steps the backup was taken.
#[test]
fn a_backup_under_load_restores_to_the_listings_of_its_revisions() {
    let dir = tempfile::tempdir().expect("a directory");
    let calendars = ["w0", "w1", "w2"];
    let place = Place::make(&dir.path().join("data"), "sled", &calendars);
    let server = place.serve(&dir.path().join("log")).expect("it starts");
    let mut clients: Vec<Client> = (0..).zip(calendars).map(|(n, name)| Client::new(&place, name, n, 7)).collect();
    let (stop, progress) = (AtomicBool::new(false), Progress::default());
    let file = dir.path().join("kalends.backup");
    let before = std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| load::write(client, server.address, &stop, &progress));
        }
        while progress.total() < 60 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let before = progress.now();
        place.done(&["backup", file.to_str().expect("UTF-8")]);
        // Every one of them goes on after it.
        let after = progress.now();
        while progress.now().iter().any(|(client, (told, _))| *told < after[client].0 + 5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::SeqCst);
        before
    });
    assert!(!dir.path().join("kalends.backup.part").exists());
    drop(server);
    for engine in ["sled", "fjall"] {
        let restored = place.moved(&dir.path().join(engine), engine);
        restored.done(&["restore", file.to_str().expect("UTF-8")]);
        let server = restored.serve(&dir.path().join("log")).expect("it starts");
        let reader = Reader { address: server.address, password: &place.password };
        for client in &clients {
            let (listing, token) = reader.listing(&client.calendar);
            let at = revision(&token);
            assert_eq!(listing, client.after(at), "{} at {at}", client.calendar);
            assert!(before[&client.prefix].0 <= at && at < client.progress().1, "{at}");
            for (name, etag) in own(&listing, &client.prefix) {
                assert_eq!(reader.tag_of_bytes(&format!("{}{name}", client.calendar)), etag);
            }
        }
        assert_eq!(restored.done(&["verify"]), "");
    }
}

#[test]
fn backups_are_taken_without_a_server_and_restored_only_where_nothing_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place::make(&dir.path().join("data"), "fjall", &["work"]);
    let file = dir.path().join("one.backup");
    let name = file.to_str().expect("UTF-8");
    place.done(&["backup", name]);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);

    let refused = place.run(&["restore", name]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("has data already"), "{refused:?}");
    let occupied = place.moved(dir.path(), "sled");
    let refused = occupied.run(&["restore", name]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("is not empty"), "{refused:?}");

    let fresh = place.moved(&dir.path().join("fresh"), "sled");
    let mut bytes = std::fs::read(&file).expect("it can be read");
    bytes[200] ^= 4;
    let bad = dir.path().join("bad.backup");
    std::fs::write(&bad, &bytes).expect("written");
    let refused = fresh.run(&["restore", bad.to_str().expect("UTF-8")]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("the backup is damaged"), "{refused:?}");
    fresh.done(&["restore", name]);
    assert_eq!(
        fresh.done(&["calendar", "list", "anna", "--json"]),
        place.done(&["calendar", "list", "anna", "--json"])
    );

    // What is no backup is not replaced by one.
    let occupied = dir.path().join("data/kalends.key");
    let key = std::fs::read(&occupied).expect("it can be read");
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    for (path, why) in [(&occupied, "no backup"), (&pipe, "no ordinary file"), (&dir.path().to_owned(), "no ordinary")]
    {
        let refused = place.run(&["backup", path.to_str().expect("UTF-8")]);
        assert!(!refused.status.success() && text(&refused.stderr).contains(why), "{path:?}: {refused:?}");
    }
    assert_eq!(std::fs::read(&occupied).expect("it can be read"), key);
    place.done(&["backup", name]);
    // Where nothing could be restored no directory is left.
    let never = place.moved(&dir.path().join("never"), "sled");
    assert!(!never.run(&["restore", bad.to_str().expect("UTF-8")]).status.success());
    assert!(!dir.path().join("never").exists());

    let nowhere = dir.path().join("missing/one.backup");
    let failed = place.run(&["backup", nowhere.to_str().expect("UTF-8")]);
    assert!(!failed.status.success() && text(&failed.stderr).contains("cannot write"), "{failed:?}");
}

/// The events of an iCalendar file, in an order that does not depend on what the objects are called.
fn events(file: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parts = text.split("BEGIN:VEVENT\r\n").skip(1);
    let mut events: Vec<String> =
        parts.map(|part| part.split("END:VEVENT").next().unwrap_or(part).to_owned()).collect();
    events.sort();
    events
}

#[test]
fn export_and_import_carry_all_calendars_over_to_a_new_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let calendars = ["w0", "w1"];
    let place = Place::make(&dir.path().join("data"), "sled", &calendars);
    let server = place.serve(&dir.path().join("log")).expect("it starts");
    let mut clients: Vec<Client> = (0..).zip(calendars).map(|(n, name)| Client::new(&place, name, n, 11)).collect();
    let (stop, progress) = (AtomicBool::new(false), Progress::default());
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| load::write(client, server.address, &stop, &progress));
        }
        while progress.total() < 60 {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::SeqCst);
    });
    let (from, back) = (dir.path().join("from"), dir.path().join("back"));
    place.done(&["export", "anna", "--out", from.to_str().expect("UTF-8")]);
    drop(server);
    let fresh = Place::make(&dir.path().join("fresh"), "fjall", &calendars);
    for calendar in calendars {
        let (to, file) = (format!("anna/{calendar}"), from.join(format!("{calendar}.ics")));
        fresh.done(&["import", &to, file.to_str().expect("UTF-8")]);
        // Once more changes nothing.
        fresh.done(&["import", &to, file.to_str().expect("UTF-8")]);
    }
    fresh.done(&["export", "anna", "--out", back.to_str().expect("UTF-8")]);
    for (client, calendar) in clients.iter().zip(calendars) {
        let file = format!("{calendar}.ics");
        let carried = events(&back.join(&file));
        assert_eq!(carried.len(), client.after(client.progress().0).len(), "{calendar}");
        assert_eq!(carried, events(&from.join(&file)), "{calendar}");
    }
    assert_eq!(fresh.done(&["verify"]), "");
}

/// A backup holds endpoints' signing secrets sealed, and not the key.
#[test]
fn a_backup_is_worth_nothing_to_whoever_has_no_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place::make(&dir.path().join("data"), "sled", &["work"]);
    let add = ["webhook", "add", "--url", "http://127.0.0.1:1/", "--user", "anna", "--allow-private", "--json"];
    let added: serde_json::Value = serde_json::from_str(&place.done(&add)).expect("JSON");
    let (id, secret) = (added["id"].as_str().expect("an id"), added["secret"].as_str().expect("a secret"));
    let raw = base64::engine::general_purpose::STANDARD.decode(&secret["whsec_".len()..]).expect("base64");
    let key = std::fs::read(dir.path().join("data/kalends.key")).expect("the key was made");
    let file = dir.path().join("one.backup");
    let name = file.to_str().expect("UTF-8");
    place.done(&["backup", name]);
    let backup = std::fs::read(&file).expect("it can be read");
    assert!(!backup.windows(raw.len()).any(|part| part == raw), "the secret stands in it openly");
    assert!(!backup.windows(40).any(|part| part == &key[..40]), "the key is in it");

    let shown = |place: &Place| place.done(&["webhook", "show", id]);
    let lost = place.moved(&dir.path().join("lost"), "fjall");
    let restored = lost.run(&["restore", name]);
    assert!(restored.status.success() && text(&restored.stderr).contains("kalends webhook rotate"), "{restored:?}");
    assert!(shown(&lost).contains("state      locked"), "{}", shown(&lost));
    lost.done(&["webhook", "rotate", id]);
    assert!(shown(&lost).contains("state      active"), "{}", shown(&lost));

    let kept = place.moved(&dir.path().join("kept"), "sled");
    std::fs::create_dir(dir.path().join("kept")).expect("made");
    std::fs::write(dir.path().join("kept/kalends.key"), &key).expect("written");
    let restored = kept.run(&["restore", name]);
    assert!(restored.status.success() && !text(&restored.stderr).contains("rotate"), "{restored:?}");
    assert!(shown(&kept).contains("state      active"), "{}", shown(&kept));
}
