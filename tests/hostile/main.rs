//! Hostile input over real sockets against the real binary: more than five hundred cases in tables.
//!
//! Of every case the same is demanded: an answer that is no 5xx (but 501 for methods and 505 for versions that nobody knows,
//! 502 for a destination on another server, and 507 for limits with that answer), or a closed connection where the bytes were no HTTP; no panic; memory within bounds;
//! and that a normal client, who works all the while, gets right answers. How long those take is printed and not tested: on an
//! idle machine, with an optimised build, all are to be within 100 ms.
//!
//! `KALENDS_BINARY=target/release/kalends cargo test --test hostile -- --nocapture --test-threads=1` prints it, with the slowest cases and
//! how many answers came later.

mod documents;
mod filters;
mod headers;
mod objects;
mod server;
mod wire;

use server::{Case, Server, attack};

/// All tables, by name.
fn tables() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("documents", documents::cases()),
        ("objects", objects::cases()),
        ("filters", filters::cases()),
        ("headers", headers::cases()),
        ("wire", wire::cases()),
    ]
}

fn run(name: &str) {
    let (_, cases) = tables().into_iter().find(|(known, _)| *known == name).expect("a table");
    let server = Server::start(&[]);
    if name == "filters" {
        filters::prepare(&server);
    }
    attack(&server, name, &cases);
}

#[test]
fn there_are_at_least_five_hundred_cases() {
    let counts: Vec<(&str, usize)> = tables().iter().map(|(name, cases)| (*name, cases.len())).collect();
    println!("{counts:?}");
    assert!(counts.iter().map(|(_, count)| count).sum::<usize>() >= 500, "{counts:?}");
    for (name, cases) in tables() {
        let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "two cases of {name} have one name");
    }
}

#[test]
fn documents_in_xml() {
    run("documents");
}

#[test]
fn calendar_objects() {
    run("objects");
}

#[test]
fn filters_and_windows() {
    run("filters");
}

#[test]
fn header_fields_of_webdav() {
    run("headers");
}

#[test]
fn bytes_on_the_wire() {
    run("wire");
}

#[test]
fn a_message_framed_twice_is_answered_once() {
    wire::two_framings();
}

#[test]
fn slow_clients_are_cut_off_and_nobody_waits_for_them() {
    wire::slow();
}

#[test]
fn thousands_of_idle_connections_leave_room_for_others() {
    wire::idle();
}
