//! Who gets in, over real sockets: Basic, app passwords, pauses after wrong passwords, and the routes that take no login.

mod sockets;

use std::io::{Read, Write};

use kalends::base::{Limits, Secret, Utc};
use kalends::model::UserName;
use kalends::server::{Network, Options};
use kalends::service::accounts;
use sockets::{Answer, Request, TestServer, connect, read_answer, request};

const PROPFIND: &str = "<propfind xmlns=\"DAV:\"><prop><current-user-principal/></prop></propfind>";

fn server() -> TestServer {
    TestServer::start(Limits::default(), Options::default())
}

fn who() -> Request {
    request("PROPFIND", "/dav/").header("Depth", "0").body(PROPFIND)
}

fn login(server: &TestServer, user: &str, password: &str) -> Answer {
    who().login(user, password).send(server.address)
}

fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

#[test]
fn a_request_without_credentials_is_challenged_and_never_throttled() {
    let server = server();
    for _ in 0..50 {
        let answer = who().send(server.address);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Kalends\", charset=\"UTF-8\""));
    }
    let garbled = who().header("Authorization", "Basic !!!").send(server.address);
    assert_eq!(garbled.status, 401);
}

#[test]
fn what_clients_ask_before_they_have_a_password_is_answered() {
    let server = server();
    for method in ["GET", "PROPFIND", "OPTIONS", "HEAD", "POST"] {
        let answer = request(method, "/.well-known/caldav").send(server.address);
        assert_eq!((answer.status, answer.header("location")), (301, Some("/dav/")), "{method}");
    }
    for path in ["/", "/dav/", "/dav/calendars/nobody/", "/dav/principals/nobody/"] {
        let answer = request("OPTIONS", path).send(server.address);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("dav").is_some_and(|dav| dav.contains("calendar-access")), "{path}");
    }
    for path in ["/", "/healthz", "/readyz", "/robots.txt"] {
        assert_eq!(request("GET", path).send(server.address).status, 200, "{path}");
    }
    for path in ["/dav/", "/principals/", "/calendar/dav/anna/user/", "/nothing"] {
        assert_eq!(request("GET", path).send(server.address).status, 401, "{path}");
    }
}

#[test]
fn the_right_password_gets_in_and_others_do_not() {
    let server = server();
    server.user("anna@example.com", "pässword: with a colon");
    let answer = login(&server, "Anna@Example.com", "pässword: with a colon");
    assert_eq!(answer.status, 207);
    assert!(answer.body.contains("/dav/principals/anna"), "{}", answer.body);
    assert_eq!(login(&server, "anna@example.com", "password").status, 401);
    assert_eq!(login(&server, "ben", "pässword: with a colon").status, 401);
    assert_eq!(login(&server, "", "").status, 401);
}

#[test]
fn wrong_passwords_bring_pauses_that_grow_and_end() {
    let limits = Limits { login_failures_max: 3, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    server.user("anna", "secret");
    assert_eq!(login(&server, "anna", "secret").status, 207, "this login is known from now on");
    for _ in 0..3 {
        assert_eq!(login(&server, "anna", "wrong").status, 401);
    }
    let answer = login(&server, "anna", "wrong");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(login(&server, "anna", "secret").status, 207, "a known login never waits");
    assert_eq!(who().send(server.address).status, 401, "nor does a request without credentials");
    server.clock.set(Utc(1_800_000_001));
    assert_eq!(login(&server, "anna", "wrong").status, 401);
    let answer = login(&server, "anna", "wrong");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));
}

#[test]
fn a_user_that_does_not_exist_is_throttled_like_one_that_does() {
    let limits = Limits { login_failures_max: 3, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    server.user("anna", "secret");
    let statuses = |user: &str| -> Vec<u16> { (0..5).map(|_| login(&server, user, "wrong").status).collect() };
    let real = statuses("anna");
    server.clock.set(Utc(1_800_100_000));
    assert_eq!(statuses("nobody"), real);
    assert_eq!(real, [401, 401, 401, 429, 429]);
}

#[test]
fn changed_and_removed_credentials_stop_working_at_once() {
    let server = server();
    server.user("anna", "first");
    assert_eq!(login(&server, "anna", "first").status, 207);
    let second = Secret::new("second".to_owned());
    tokio_block(&server, accounts::set_password(&server.context, &name("anna"), &second));
    assert_eq!(login(&server, "anna", "first").status, 401);
    assert_eq!(login(&server, "anna", "second").status, 207);
    let app = tokio_block(&server, accounts::add_app_password(&server.context, &name("anna"), "phone"));
    assert_eq!(login(&server, "anna", app.expose()).status, 207);
    assert_eq!(login(&server, "anna", &app.expose().to_uppercase()).status, 207, "however it is typed");
    tokio_block(&server, accounts::revoke_app_password(&server.context, &name("anna"), "phone"));
    assert_eq!(login(&server, "anna", app.expose()).status, 401);
    assert_eq!(login(&server, "anna", "second").status, 207);
    tokio_block(&server, accounts::remove(&server.context, &name("anna")));
    assert_eq!(login(&server, "anna", "second").status, 401);
}

fn tokio_block<T, E: std::fmt::Debug>(server: &TestServer, work: impl Future<Output = Result<T, E>>) -> T {
    server.runtime.block_on(work).expect("it is done")
}

#[test]
fn many_first_requests_at_once_all_get_in() {
    let server = server();
    server.user("anna", "secret");
    let address = server.address;
    let threads: Vec<_> =
        (0..24).map(|_| std::thread::spawn(move || who().login("anna", "secret").send(address).status)).collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), 207);
    }
}

#[test]
fn passwords_in_the_clear_are_refused_unless_the_administrator_allows_them() {
    let trusted = || vec![Network::parse("127.0.0.1").expect("a network")];
    let options = Options { trusted_proxies: trusted(), ..Options::default() };
    let server = TestServer::start(Limits::default(), options);
    server.user("anna", "secret");
    let from = |proto: &str| {
        let request = who().header("X-Forwarded-For", "203.0.113.7").header("X-Forwarded-Proto", proto);
        request.login("anna", "secret").send(server.address)
    };
    assert_eq!(from("http").status, 403);
    let behind_tls = from("https");
    assert_eq!(behind_tls.status, 207);
    assert!(behind_tls.header("strict-transport-security").is_some());
    let options = Options { trusted_proxies: trusted(), allow_plain: true, ..Options::default() };
    let open = TestServer::start(Limits::default(), options);
    open.user("anna", "secret");
    let answer = who().header("X-Forwarded-For", "203.0.113.7").header("X-Forwarded-Proto", "http");
    assert_eq!(answer.login("anna", "secret").send(open.address).status, 207);
}

#[test]
fn bodies_are_bounded_in_size_and_in_time() {
    let limits = Limits { body_bytes_max: 10_000, body_seconds_max: 1, ..Limits::default() };
    let server = TestServer::start(limits, Options::default());
    server.user("anna", "secret");
    let big = request("PROPFIND", "/dav/").login("anna", "secret").body(vec![b' '; 10_001]);
    assert_eq!(big.send(server.address).status, 413);
    assert_eq!(big.chunked().send(server.address).status, 413);
    let fits = request("PROPFIND", "/dav/").header("Depth", "0").login("anna", "secret");
    assert_eq!(fits.body(format!("{PROPFIND}{}", " ".repeat(5_000))).chunked().send(server.address).status, 207);
    let slow = who().login("anna", "secret");
    let mut stream = connect(server.address);
    stream.write_all(&slow.head()).expect("the head is sent");
    stream.write_all(b"<propfind").expect("a piece is sent");
    assert_eq!(read_answer(&mut stream).status, 408);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_only_if_its_body_is_wanted() {
    let server = server();
    server.user("anna", "secret");
    let mut stream = connect(server.address);
    let request = who().login("anna", "secret").header("Expect", "100-continue");
    stream.write_all(&request.head()).expect("the head is sent");
    let mut first = [0; 25];
    stream.read_exact(&mut first).expect("the server says to go on");
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(PROPFIND.as_bytes()).expect("the body is sent");
    assert_eq!(read_answer(&mut stream).status, 207);
    let mut stream = connect(server.address);
    let request = who().header("Expect", "100-continue");
    stream.write_all(&request.head()).expect("the head is sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("the server answers");
    assert_eq!(&first, b"HTTP/1.1 401");
}

#[test]
fn requests_in_flight_are_finished_when_the_server_ends() {
    let mut server = server();
    server.user("anna", "secret");
    let request = who().login("anna", "secret").header("Expect", "100-continue");
    let mut stream = connect(server.address);
    stream.write_all(&request.head()).expect("the head is sent");
    let mut first = [0; 25];
    stream.read_exact(&mut first).expect("the request is being worked on");
    let idle = connect(server.address);
    server.stop();
    stream.write_all(PROPFIND.as_bytes()).expect("the body is sent");
    assert_eq!(read_answer(&mut stream).status, 207);
    server.join();
    drop(idle);
}

#[test]
fn answers_name_the_request_and_not_the_software() {
    let server = server();
    let one = request("GET", "/healthz").send(server.address);
    let two = request("GET", "/healthz").send(server.address);
    assert!(one.header("x-request-id").is_some() && one.header("x-request-id") != two.header("x-request-id"));
    assert_eq!(one.header("server"), None);
    assert!(one.header("date").is_some());
    assert_eq!(one.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn requests_with_no_host_or_two_are_refused() {
    let server = server();
    let raw = |text: &str| {
        let mut stream = connect(server.address);
        stream.write_all(text.as_bytes()).expect("sent");
        read_answer(&mut stream).status
    };
    assert_eq!(raw("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"), 400);
    assert_eq!(raw("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"), 400);
    assert_eq!(raw("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 501);
}
