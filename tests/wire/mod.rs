//! What tests over real sockets share: a whole server in this process, and a small HTTP/1.1 client that blocks.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use kalends::base::{Limits, Secret};
use kalends::model::UserName;
use kalends::server::{self, App};
use kalends::service::Context;
use kalends::service::accounts::{self, NewUser};
use kalends::store::{Engine, Options, Store};
use kalends::xml::{self, Element};

/// The password of every user.
pub const PASSWORD: &str = "a-password-for-tests";

/// A running server.
pub struct Server {
    address: SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts a server with these users on a free port.
    pub fn start(engine: Engine, dir: &Path, users: &'static [&'static str]) -> Self {
        let options = Options {
            dir: dir.join("store"),
            engine,
            cache_bytes: 16 << 20,
            tombstones_max: Limits::default().tombstones_max,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async move {
                let store = Store::open(&options).expect("the store opens");
                let context = Arc::new(Context::new(store, Limits::default()));
                for user in users {
                    add_user(&context, user).await;
                }
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                ready.send(listener.local_addr().expect("its address")).expect("somebody waits");
                let app = App::new(context, server::Options::default());
                server::run(app, listener, async { drop(stopped.await) }).await;
            });
        });
        Self { address: address.recv().expect("the server starts"), stop, thread }
    }

    /// A connection of alice's.
    pub fn connect(&self) -> Connection {
        Connection::new(self.address, "alice")
    }

    /// Ends the server and waits for it.
    pub fn stop(self) {
        self.stop.send(()).expect("the server runs");
        self.thread.join().expect("the server ends well");
    }
}

async fn add_user(context: &Context, name: &str) {
    let user = NewUser {
        name: UserName::new(name).expect("a user name"),
        display_name: None,
        emails: vec![format!("{name}@example.com")],
        password: Some(Secret::new(PASSWORD.to_owned())),
        admin: false,
    };
    accounts::create(context, user).await.expect("a user can be added");
}

/// A connection that is kept open, with one request at a time.
pub struct Connection {
    stream: BufReader<TcpStream>,
    authorization: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Connection {
    fn new(address: SocketAddr, user: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out can be set");
        stream.set_nodelay(true).expect("the delay can be turned off");
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{PASSWORD}"));
        Self { stream: BufReader::new(stream), authorization: format!("Basic {login}") }
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n", self.authorization);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        let status = self.line().split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        answer.body = self.body(&answer);
        answer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the answer goes on");
        line.trim_end().to_owned()
    }

    fn body(&mut self, answer: &Answer) -> String {
        let mut bytes = Vec::new();
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).expect("a chunk's size");
                self.take(size, &mut bytes);
                self.line();
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length") {
            self.take(length.parse().expect("a length"), &mut bytes);
        }
        String::from_utf8(bytes).expect("the body is UTF-8")
    }

    fn take(&mut self, size: usize, bytes: &mut Vec<u8>) {
        let read = (&mut self.stream).take(size as u64).read_to_end(bytes).expect("the body goes on");
        assert_eq!(read, size, "the body is cut off");
    }
}

impl Answer {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as XML.
    pub fn xml(&self) -> Element {
        let limits = Limits { xml_elements_max: u64::MAX, ..Limits::default() };
        xml::parse(self.body.as_bytes(), &limits).expect("the body is XML")
    }
}

/// One DAV:response.
pub struct Response {
    /// The last segment of its href; empty for the collection.
    pub name: String,
    /// Its own status, if it has no propstats.
    pub status: Option<u16>,
    /// The entity tag among its properties.
    pub etag: Option<String>,
}

/// The responses of a multistatus.
pub fn responses(multistatus: &Element) -> impl Iterator<Item = Response> {
    multistatus.children().filter(|child| child.is("DAV:", "response")).map(|response| {
        let href = response.child("DAV:", "href").expect("a response has an href").text();
        let status = response.child("DAV:", "status").map(Element::text);
        let prop = response.child("DAV:", "propstat").and_then(|propstat| propstat.child("DAV:", "prop"));
        Response {
            name: href.rsplit('/').next().unwrap_or_default().to_owned(),
            status: status.and_then(|line| line.split(' ').nth(1)?.parse().ok()),
            etag: prop.and_then(|prop| prop.child("DAV:", "getetag")).map(Element::text),
        }
    })
}
