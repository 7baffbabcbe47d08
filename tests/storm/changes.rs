//! Clients that change calendars as fast as they are answered, over connections that stay open, and know what was acknowledged.

#![allow(dead_code, reason = "each binary uses its own part of this")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A change that the server acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub calendar: String,
    pub name: String,
    /// The tag after it; `None` for a deletion.
    pub etag: Option<String>,
    /// When it was sent, and when the answer was here.
    pub sent: Instant,
    pub at: Instant,
}

/// What all clients do together.
pub struct Load {
    /// Where the server is, while there is one.
    pub server: Mutex<Option<SocketAddr>>,
    pub stop: AtomicBool,
    /// How many changes are still to be made.
    pub left: AtomicU64,
    pub made: Mutex<Vec<Acknowledged>>,
    /// Sent, and not answered.
    pub unanswered: AtomicU64,
    /// The first answer that was no good one.
    fault: Mutex<Option<String>>,
    /// The user and the password.
    login: String,
}

impl Load {
    pub fn new(user: &str, password: &str, changes: u64) -> Arc<Self> {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Arc::new(Self {
            server: Mutex::default(),
            stop: AtomicBool::new(false),
            left: AtomicU64::new(changes),
            made: Mutex::default(),
            unanswered: AtomicU64::new(0),
            fault: Mutex::default(),
            login,
        })
    }

    pub fn serve_at(&self, address: Option<SocketAddr>) {
        *self.server.lock().expect("nobody panics with it") = address;
    }

    pub fn made(&self) -> Vec<Acknowledged> {
        self.made.lock().expect("nobody panics with it").clone()
    }

    pub fn count(&self) -> usize {
        self.made.lock().expect("nobody panics with it").len()
    }

    /// Whether so many were acknowledged, by a server that nobody ends.
    pub fn is_made(&self, changes: u64) -> bool {
        self.faultless();
        let unanswered = self.unanswered.load(Ordering::SeqCst);
        assert_eq!(unanswered, 0, "the server broke connections off");
        self.count() as u64 >= changes
    }

    /// No answer was a bad one.
    pub fn faultless(&self) {
        let fault = self.fault.lock().expect("nobody panics with it").clone();
        assert!(fault.is_none(), "{fault:?}");
    }

    fn address(&self) -> Option<SocketAddr> {
        *self.server.lock().expect("nobody panics with it")
    }

    /// Takes one of the changes that are left.
    fn next(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// One client of `user` with names of its own in some calendars.
pub struct Client {
    pub load: Arc<Load>,
    pub user: String,
    pub calendars: Vec<String>,
    pub number: u64,
    /// Names that it writes under in each calendar: few, so that they are written again and again.
    pub names: u64,
    /// How long one change takes at least: for a steady rate.
    pub pace: Duration,
}

impl Client {
    /// Makes changes until none is left. A server that is gone is waited for.
    pub async fn run(self) {
        let mut connection: Option<Connection> = None;
        let (mut step, mut there) = (0_u64, HashMap::new());
        let mut due = tokio::time::Instant::now();
        while self.load.next() {
            let calendar = &self.calendars[((step * 7 + self.number) % self.calendars.len() as u64) as usize];
            let name = format!("c{}-{}.ics", self.number, (step / 3) % self.names);
            let key = (calendar.clone(), name.clone());
            // Every ninth change deletes, if there is something to delete.
            let delete = step % 9 == 8 && there.get(&key).copied().unwrap_or(false);
            if !self.pace.is_zero() {
                tokio::time::sleep_until(due).await;
                due += self.pace;
            }
            let request = self.request(calendar, &name, delete, step);
            let sent = Instant::now();
            match self.exchange(&mut connection, &request).await {
                Some((status, etag)) => {
                    if !matches!(status, 201 | 204) {
                        let fault = format!("{calendar}/{name}: {status}");
                        self.load.fault.lock().expect("nobody panics with it").get_or_insert(fault);
                    }
                    there.insert(key, !delete);
                    let acknowledged =
                        Acknowledged { calendar: calendar.clone(), name, etag, sent, at: Instant::now() };
                    self.load.made.lock().expect("nobody panics with it").push(acknowledged);
                }
                // It may have been done or not. The next change to this name must do in both cases.
                None => {
                    self.load.unanswered.fetch_add(1, Ordering::SeqCst);
                    there.remove(&key);
                }
            }
            step += 1;
        }
    }

    fn request(&self, calendar: &str, name: &str, delete: bool, step: u64) -> Vec<u8> {
        let target = format!("/dav/calendars/{}/{calendar}/{name}", self.user);
        let (method, body) = if delete { ("DELETE", String::new()) } else { ("PUT", self.event(name, step)) };
        format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\nContent-Type: text/calendar\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.load.login,
            body.len()
        )
        .into_bytes()
    }

    fn event(&self, name: &str, step: u64) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//storm//EN\r\nBEGIN:VEVENT\r\nUID:{name}\r\nDTSTAMP:20260101T000000Z\r\n\
             DTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nSUMMARY:{step}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }

    async fn exchange(&self, connection: &mut Option<Connection>, request: &[u8]) -> Option<(u16, Option<String>)> {
        if connection.is_none() {
            *connection = self.connect().await;
        }
        let answer = connection.as_mut()?.exchange(request).await;
        if answer.is_none() {
            *connection = None;
        }
        answer
    }

    async fn connect(&self) -> Option<Connection> {
        while !self.load.stop.load(Ordering::SeqCst) {
            if let Some(address) = self.load.address()
                && let Ok(stream) = TcpStream::connect(address).await
            {
                let _ = stream.set_nodelay(true);
                return Some(Connection { stream, buffer: Vec::new() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request; status and tag of the answer, or `None` if the connection broke before it.
    async fn exchange(&mut self, request: &[u8]) -> Option<(u16, Option<String>)> {
        self.stream.write_all(request).await.ok()?;
        loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                let field = |name: &str| {
                    head.lines().find_map(|line| {
                        let (known, value) = line.split_once(':')?;
                        known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                    })
                };
                let length: usize = field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                if self.buffer.len() >= end + 4 + length {
                    self.buffer.drain(..end + 4 + length);
                    return Some((head.split(' ').nth(1)?.parse().ok()?, field("etag")));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}
