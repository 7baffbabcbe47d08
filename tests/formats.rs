//! Data written by every earlier format opens, and nothing in it is lost: see `tests/data/formats/README.md`.

mod load;
mod sockets;

use std::path::Path;
use std::process::Command;

use load::{Listing, Place, Reader, exchange};
use sockets::request;

/// Which file, its engine, and the sync-token that was in force in it before its last changes.
const WRITTEN: [(&str, &str, &str); 2] = [
    ("1-sled.tgz", "sled", "urn:kalends:sync:4:2:1795370710"),
    ("1-fjall.tgz", "fjall", "urn:kalends:sync:4:2:1795370715"),
];
const CALENDAR: &str = "/dav/calendars/anna/work/";

#[test]
fn data_of_every_format_opens_with_all_that_is_in_it() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats");
    let packed = std::fs::read_dir(&files).expect("a directory").map_while(Result::ok);
    let packed = packed.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "tgz")).count();
    assert_eq!(packed, WRITTEN.len(), "every file has its row in the table");
    for (file, engine, token) in WRITTEN {
        let dir = tempfile::tempdir().expect("a directory");
        let unpacked = Command::new("tar").arg("xzf").arg(files.join(file)).arg("-C").arg(dir.path()).status();
        assert!(unpacked.expect("tar").success(), "{file}");
        let password = "a-password-for-tests".to_owned();
        let place = Place { data: dir.path().to_owned(), engine, password, settings: Vec::new() };
        assert_eq!(place.done(&["verify"]), "", "{file}");
        assert!(place.done(&["user", "list"]).contains("anna@example.com"));
        assert!(place.done(&["app-password", "list", "anna"]).contains("phone"));
        assert!(place.done(&["calendar", "list", "anna"]).contains("Work of 2026"));
        let server = place.serve(&dir.path().join("log")).expect("it starts");
        let reader = Reader { address: server.address, password: &place.password };
        let (listing, _) = reader.listing(CALENDAR);
        assert_eq!(listing.keys().collect::<Vec<_>>(), ["large.ics", "one.ics"], "{file}");
        for (name, etag) in &listing {
            assert_eq!(reader.tag_of_bytes(&format!("{CALENDAR}{name}")), *etag, "{file} {name}");
        }
        let mut replica = Listing::from([("two.ics".to_owned(), "gone since".to_owned())]);
        reader.synchronise(CALENDAR, token, &mut replica).expect("it serves").expect("the token is still true");
        assert!(
            !replica.contains_key("two.ics") && replica["large.ics"] == listing["large.ics"],
            "{file}: {replica:?}"
        );
        let ask = |method: &str, path: &str, body: &str| {
            let asking = request(method, path).login("anna", &place.password).header("Depth", "0").body(body);
            exchange(server.address, &asking).expect("it serves").body
        };
        let mood = r#"<D:propfind xmlns:D="DAV:"><D:prop><x:mood xmlns:x="urn:example"/></D:prop></D:propfind>"#;
        assert!(ask("PROPFIND", &format!("{CALENDAR}one.ics"), mood).contains("calm"), "{file}");
        assert_eq!(ask("GET", "/dav/files/anna/note.txt", ""), "plain text\n", "{file}");
    }
}
