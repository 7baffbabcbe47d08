//! `kalends doctor` on the real binary: what it finds, what it advises, and its exit codes.

mod load;
mod sockets;

use std::os::unix::fs::PermissionsExt as _;

use load::Place;

/// The status of a check, and what is said of it.
fn check(place: &Place, variables: &[(&str, &str)], name: &str) -> (String, String, Option<i32>) {
    let mut command = place.command();
    command
        .envs(variables.iter().copied())
        .env("KALENDS_LISTEN", variables.iter().find(|v| v.0 == "KALENDS_LISTEN").map_or("127.0.0.1:0", |v| v.1));
    let ran = command.args(["doctor", "--json"]).output().expect("it runs");
    let rows: serde_json::Value =
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let row = rows.as_array().expect("rows").iter().find(|row| row["check"] == name);
    let row = row.unwrap_or_else(|| panic!("no {name} in {rows}"));
    let text = format!("{} {}", row["found"], row["advice"]);
    (row["status"].as_str().expect("a status").to_owned(), text, ran.status.code())
}

#[test]
fn it_finds_what_is_wrong_around_a_data_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place::make(&dir.path().join("data"), "sled", &[]);
    assert_eq!(check(&place, &[], "store").0, "ok");
    assert_eq!(check(&place, &[], "clock").0, "ok");
    assert!(check(&place, &[], "zone data").1.contains("20"));

    std::fs::set_permissions(&place.data, std::fs::Permissions::from_mode(0o755)).expect("set");
    let (status, text, code) = check(&place, &[], "directory");
    assert_eq!((status.as_str(), code), ("warning", Some(0)));
    assert!(text.contains("chmod 700"), "{text}");
    std::fs::set_permissions(&place.data, std::fs::Permissions::from_mode(0o700)).expect("set");
    assert_eq!(check(&place, &[], "directory").0, "ok");

    let (status, text, code) = check(&place.moved(&place.data, "fjall"), &[], "store");
    assert_eq!((status.as_str(), code), ("failed", Some(1)));
    assert!(text.contains("kalends migrate"), "{text}");

    let (status, text, code) = check(&place, &[("KALENDS_STORE_CACHE_MB", "many")], "configuration");
    assert_eq!((status.as_str(), code), ("failed", Some(1)));
    assert!(text.contains("many"), "{text}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    assert_eq!(check(&place, &[("KALENDS_LISTEN", &address)], "listener").0, "failed");
    assert_eq!(check(&place, &[("KALENDS_LISTEN", "0.0.0.0:0")], "exposure").0, "warning");

    let nowhere = place.moved(&dir.path().join("none"), "sled");
    assert_eq!(check(&nowhere, &[], "directory").0, "failed");
    assert!(!nowhere.data.exists(), "looking makes nothing");

    let server = place.serve(&dir.path().join("log")).expect("it starts");
    let (status, text, _) = check(&place, &[], "store");
    assert_eq!(status, "ok");
    assert!(text.contains(&server.pid().to_string()), "{text}");
}

#[test]
fn it_reads_how_long_a_certificate_is_valid() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place::make(&dir.path().join("data"), "sled", &[]);
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let paths =
        [("KALENDS_TLS_CERT", cert.to_str().expect("UTF-8")), ("KALENDS_TLS_KEY", key.to_str().expect("UTF-8"))];
    assert_eq!(check(&place, &paths, "certificate").0, "failed", "there is none");
    let write = |from: i32, until: i32| {
        let mut asked = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        asked.not_before = rcgen::date_time_ymd(from, 1, 1);
        asked.not_after = rcgen::date_time_ymd(until, 1, 1);
        let pair = rcgen::KeyPair::generate().expect("a key");
        std::fs::write(&cert, asked.self_signed(&pair).expect("a certificate").pem()).expect("written");
        std::fs::write(&key, pair.serialize_pem()).expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");
    };
    write(2020, 2120);
    assert_eq!(check(&place, &paths, "certificate").0, "ok");
    write(2020, 2021);
    let (status, text, _) = check(&place, &paths, "certificate");
    assert_eq!(status, "failed");
    assert!(text.contains("renew"), "{text}");
    write(2119, 2120);
    assert_eq!(check(&place, &paths, "certificate").0, "failed", "not yet valid");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("set");
    assert_eq!(check(&place, &paths, "key").0, "warning");
}
