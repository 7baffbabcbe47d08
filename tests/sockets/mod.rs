//! A tiny HTTP/1.1 client, and servers on sockets of their own, for tests that go over the wire.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use kalends::base::{FixedClock, Limits, Secret, Utc};
use kalends::model::UserName;
use kalends::server::{App, Options, run};
use kalends::service::Context;
use kalends::service::accounts::{self, NewUser};
use kalends::store::{Engine, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// No answer takes longer, whatever the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send the body in chunks, without a Content-Length.
    pub chunked: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub fn request(method: &str, target: &str) -> Request {
    Request { method: method.to_owned(), target: target.to_owned(), ..Request::default() }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn login(self, user: &str, password: &str) -> Self {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {encoded}"))
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The head with the blank line behind it.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() || self.method == "PUT" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn payload(&self) -> Vec<u8> {
        if !self.chunked {
            return self.body.clone();
        }
        let mut bytes = Vec::new();
        for chunk in self.body.chunks(4_096) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    /// Sends it and reads the answer to the end.
    pub fn send(&self, address: SocketAddr) -> Answer {
        let mut stream = connect(address);
        stream.write_all(&self.head()).expect("the head is sent");
        // A server that refuses early may close before it has all: the answer says why.
        let _ = stream.write_all(&self.payload());
        read_answer(&mut stream)
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

pub fn read_answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    parse(&bytes)
}

pub fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { dechunked(body) } else { body.to_owned() };
    Answer { status: status.unwrap_or_else(|| panic!("no HTTP: {text:?}")), headers, body }
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|_| size > 0) else { break };
        whole.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A server inside of this process, with its data in memory.
pub struct TestServer {
    pub address: SocketAddr,
    pub context: Arc<Context>,
    pub clock: Arc<FixedClock>,
    pub runtime: tokio::runtime::Runtime,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<tokio::task::JoinHandle<()>>,
}

impl TestServer {
    pub fn start(limits: Limits, options: Options) -> Self {
        Self::prepared(limits, options, |_, _| {})
    }

    /// A server whose context was prepared by its address.
    pub fn prepared(limits: Limits, options: Options, prepare: impl FnOnce(&mut Context, SocketAddr)) -> Self {
        let store = Store::open(&kalends::store::Options {
            dir: std::path::PathBuf::new(),
            engine: Engine::Memory,
            cache_bytes: 1,
            tombstones_max: limits.tombstones_max,
        });
        Self::made(store.expect("memory opens"), limits, options, prepare)
    }

    /// A server over this store.
    pub fn over(store: Store, limits: Limits, options: Options) -> Self {
        Self::made(store, limits, options, |_, _| {})
    }

    fn made(store: Store, limits: Limits, options: Options, prepare: impl FnOnce(&mut Context, SocketAddr)) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let clock = Arc::new(FixedClock::new(Utc(1_800_000_000)));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut context = Context::new(store, limits);
        context.clock = Arc::clone(&clock) as _;
        prepare(&mut context, address);
        let context = Arc::new(context);
        let (stop, stopped) = oneshot::channel();
        let app = App::new(Arc::clone(&context), options);
        let ended = runtime.spawn(run(app, listener, async {
            let _ = stopped.await;
        }));
        Self { address, context, clock, runtime, stop: Some(stop), ended: Some(ended) }
    }

    pub fn user(&self, name: &str, password: &str) {
        let user = NewUser {
            name: UserName::new(name).expect("a name"),
            display_name: None,
            emails: Vec::new(),
            password: Some(Secret::new(password.to_owned())),
            admin: false,
        };
        self.runtime.block_on(accounts::create(&self.context, user)).expect("the user is made");
    }

    /// Tells the server to end.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until it has ended.
    pub fn join(&mut self) {
        if let Some(ended) = self.ended.take() {
            let ended = async { tokio::time::timeout(PATIENCE, ended).await };
            self.runtime.block_on(ended).expect("it ends").expect("it does not panic");
        }
    }
}
