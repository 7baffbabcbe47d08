//! Receivers of webhooks, good and bad ones, that write down what reaches them. A small HTTP/1.1 server of their own, so that they can
//! answer late, break off, or say nothing.

#![allow(dead_code, reason = "each binary uses its own part of this")]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    /// Answers at once.
    Prompt,
    /// Answers after 30 ms.
    Slow,
    /// For half a second in each one and a half it answers 503.
    Flapping,
    /// Answers every eighth request (in long runs fewer) with 429 and a Retry-After of one second.
    Throttling,
    /// Takes each message, and answers the first attempt of every eighth one only after the sender has lost patience.
    Late,
    /// Takes each message, and breaks the connection instead of the answer at the first attempt of every eighth one.
    Resetting,
    /// Takes connections and requests, and never answers.
    Mute,
    /// Says 500, always.
    Failing,
    /// Says 404, always.
    Missing,
    /// Redirects to a receiver that answers at once.
    Redirecting,
    /// Does not listen.
    Dead,
}

impl Manner {
    /// Whether every message must get through in the end.
    pub fn is_healthy(self) -> bool {
        !matches!(self, Self::Mute | Self::Failing | Self::Missing | Self::Redirecting | Self::Dead)
    }
}

/// What one request brought.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// When its last byte was here.
    pub at: Instant,
    /// When the answer had been handed over; `None` if there was none.
    pub answered: Option<Instant>,
    /// The webhook-id.
    pub id: String,
    /// The type of the event.
    pub kind: String,
    /// Which calendar.
    pub calendar: String,
    /// The calendar's sequence.
    pub sequence: u64,
    /// Where the object is.
    pub href: String,
    /// The object's tag.
    pub etag: Option<String>,
    /// Whether the message took effect: a request refused by its status did not.
    pub taken: bool,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    calendar: String,
    #[serde(default)]
    sequence: u64,
    #[serde(default)]
    href: String,
    etag: Option<String>,
}

/// A receiver.
pub struct Receiver {
    pub manner: Manner,
    /// Where it listens; for a dead one, where nobody does.
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    manner: Manner,
    begun: Instant,
    /// How long the sender waits for an answer.
    patience: Duration,
    elsewhere: Option<SocketAddr>,
    /// Of how many requests a throttling one refuses one.
    throttle: u64,
    key: Mutex<Option<hmac::Key>>,
    receipts: Mutex<Vec<Receipt>>,
    seen: Mutex<HashSet<String>>,
    requests: AtomicU64,
    faults: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

/// What is done with a request.
enum Reply {
    Say(u16, &'static str, Duration),
    Reset,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

impl Receiver {
    /// Starts one. `patience`: the sender's timeout. `elsewhere`: where a redirecting one points.
    pub async fn start(manner: Manner, patience: Duration, elsewhere: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let changes =
            std::env::var("KALENDS_STORM_CHANGES").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let state = Arc::new(State {
            manner,
            begun: Instant::now(),
            patience,
            elsewhere,
            throttle: changes / 200 + 8,
            key: Mutex::default(),
            receipts: Mutex::default(),
            seen: Mutex::default(),
            requests: AtomicU64::new(0),
            faults: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        if manner != Manner::Dead {
            tokio::spawn(accept(listener, Arc::clone(&state)));
        }
        Self { manner, address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The secret with which messages must be signed from now on.
    pub fn expect_secret(&self, secret: &str) {
        let bytes = STANDARD.decode(secret.trim().strip_prefix("whsec_").expect("whsec_")).expect("base64");
        *lock(&self.state.key) = Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
    }

    /// What was wrong with requests: signatures, bodies.
    pub fn faults(&self) -> Vec<String> {
        lock(&self.state.faults).clone()
    }

    /// How many requests came, whatever they held.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub fn receipts(&self) -> Vec<Receipt> {
        lock(&self.state.receipts).clone()
    }

    /// How many different messages took effect.
    pub fn effects(&self) -> usize {
        lock(&self.state.seen).len()
    }

    /// Takes away what has been written down.
    pub fn forget(&self) {
        lock(&self.state.receipts).clear();
        lock(&self.state.seen).clear();
    }

    /// When each sequence of each calendar first came.
    pub fn arrivals(&self) -> HashMap<(String, u64), Instant> {
        let mut first = HashMap::new();
        for receipt in lock(&self.state.receipts).iter() {
            first.entry((receipt.calendar.clone(), receipt.sequence)).or_insert(receipt.at);
        }
        first
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
        tokio::spawn(converse(stream, Arc::clone(&state)));
    }
}

async fn converse(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut buffer).await {
        let number = state.requests.fetch_add(1, Ordering::SeqCst);
        let (reply, place) = state.take(number, &head, &body);
        match reply {
            Reply::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            Reply::Say(status, headers, after) => {
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
                let answer = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: 0\r\n\r\n");
                let written = stream.write_all(answer.as_bytes()).await.is_ok();
                if let (true, Some(place)) = (written, place) {
                    lock(&state.receipts)[place].answered = Some(Instant::now());
                }
                if !written {
                    return;
                }
            }
        }
    }
}

/// Head and body of the next request; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length: usize = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl State {
    /// Writes the request down, and decides what to do with it. With a receipt comes its place, for the time of the answer.
    fn take(&self, number: u64, head: &str, body: &[u8]) -> (Reply, Option<usize>) {
        let at = Instant::now();
        let receipt = match self.read(head, body) {
            Ok(receipt) => receipt,
            Err(fault) => {
                lock(&self.faults).push(fault);
                return (Reply::Say(400, "", Duration::ZERO), None);
            }
        };
        let known = lock(&self.seen).contains(&receipt.id);
        let eighth = self.eighth(&receipt.id);
        let (reply, taken) = match self.manner {
            Manner::Prompt | Manner::Dead => (Reply::Say(204, "", Duration::ZERO), true),
            Manner::Slow => (Reply::Say(200, "", Duration::from_millis(30)), true),
            Manner::Flapping if at.duration_since(self.begun).as_millis() % 1_500 < 500 => {
                (Reply::Say(503, "", Duration::ZERO), false)
            }
            Manner::Flapping => (Reply::Say(200, "", Duration::ZERO), true),
            Manner::Throttling if number % self.throttle == self.throttle - 1 => {
                (Reply::Say(429, "Retry-After: 1\r\n", Duration::ZERO), false)
            }
            Manner::Throttling => (Reply::Say(202, "", Duration::ZERO), true),
            Manner::Late if eighth && !known => (Reply::Say(200, "", self.patience.mul_f32(1.5)), true),
            Manner::Resetting if eighth && !known => (Reply::Reset, true),
            Manner::Late | Manner::Resetting => (Reply::Say(200, "", Duration::ZERO), true),
            Manner::Mute => (Reply::Say(500, "", Duration::from_secs(3_600)), false),
            Manner::Failing => (Reply::Say(500, "", Duration::ZERO), false),
            Manner::Missing => (Reply::Say(404, "", Duration::ZERO), false),
            Manner::Redirecting => return (self.redirect(), None),
        };
        if taken {
            lock(&self.seen).insert(receipt.id.clone());
        }
        let mut receipts = lock(&self.receipts);
        receipts.push(Receipt { at, taken, ..receipt });
        (reply, Some(receipts.len() - 1))
    }

    fn redirect(&self) -> Reply {
        let to = self.elsewhere.expect("a redirecting receiver knows where to");
        // One allocation a receiver and request, in a test.
        Reply::Say(301, Box::leak(format!("Location: http://{to}/hook\r\n").into_boxed_str()), Duration::ZERO)
    }

    /// Of eight messages one, by its id: the same one whenever it comes.
    fn eighth(&self, id: &str) -> bool {
        id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 8 == 0
    }

    fn read(&self, head: &str, body: &[u8]) -> Result<Receipt, String> {
        let id = header(head, "webhook-id").ok_or("no webhook-id")?;
        let timestamp = header(head, "webhook-timestamp").ok_or("no webhook-timestamp")?;
        let signatures = header(head, "webhook-signature").ok_or("no webhook-signature")?;
        if let Some(key) = lock(&self.key).as_ref() {
            let mut signed = format!("{id}.{timestamp}.").into_bytes();
            signed.extend_from_slice(body);
            let fits = signatures.split(' ').any(|signature| {
                let tag = signature.strip_prefix("v1,").and_then(|value| STANDARD.decode(value).ok());
                tag.is_some_and(|tag| hmac::verify(key, &signed, &tag).is_ok())
            });
            if !fits {
                return Err(format!("{id}: no signature fits"));
            }
        }
        let payload: Payload = serde_json::from_slice(body).map_err(|error| format!("{id}: {error}"))?;
        let Data { calendar, sequence, href, etag } = payload.data;
        let (id, kind) = (id.to_owned(), payload.kind);
        Ok(Receipt { at: Instant::now(), answered: None, id, kind, calendar, sequence, href, etag, taken: false })
    }
}
