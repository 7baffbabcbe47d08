//! Connections on which nothing moves are ended, others are kept, and metrics stay off the public listener.

mod sockets;

use std::io::{ErrorKind, Read, Write};

use kalends::base::Limits;
use kalends::server::Options;
use sockets::{TestServer, connect, parse, request};

/// Reads until the server closes; that it never does is a failure, that it cuts off is not.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(error.kind() == ErrorKind::ConnectionReset, "the server keeps the connection: {error}");
    }
    bytes
}

#[test]
fn a_head_that_drags_on_ends_the_connection() {
    let limits = Limits { header_seconds_max: 1, idle_seconds_max: 600, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    let mut silent = connect(server.address);
    let mut slow = connect(server.address);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").expect("sent");
    assert_eq!(rest(&mut silent), b"");
    assert!(!rest(&mut slow).starts_with(b"HTTP/1.1 200"));
    assert_eq!(request("GET", "/healthz").send(server.address).status, 200);
}

#[test]
fn a_connection_is_kept_between_requests_and_ended_when_idle() {
    let limits = Limits { header_seconds_max: 600, idle_seconds_max: 4, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    let mut stream = connect(server.address);
    let get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(get).expect("the connection is still open");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"ok\n") {
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        assert_eq!(parse(&answer).status, 200);
    }
    assert_eq!(rest(&mut stream), b"", "ended after some seconds of nothing");
}

#[test]
fn more_connections_than_allowed_wait_for_one_to_end() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    let first = connect(server.address);
    let mut second = connect(server.address);
    second.write_all(&request("GET", "/healthz").head()).expect("sent");
    drop(first);
    assert_eq!(parse(&rest(&mut second)).status, 200);
}

#[test]
fn a_head_larger_than_allowed_is_refused() {
    let limits = Limits { header_bytes_max: 10_000, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    let mut stream = connect(server.address);
    let flood = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Flood: {}\r\n\r\n", "x".repeat(20_000));
    let _ = stream.write_all(flood.as_bytes());
    assert_eq!(parse(&rest(&mut stream)).status, 431);
}

#[test]
fn metrics_are_not_on_the_public_listener() {
    let server = TestServer::start(Limits::default(), Options::default());
    assert_eq!(request("GET", "/metrics").send(server.address).status, 401);
}
