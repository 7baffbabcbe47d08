//! A receiver that does what it is told, and remembers what it got.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was read.
    pub at: Instant,
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub raw: Vec<u8>,
}

impl Seen {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    pub fn sequence(&self) -> u64 {
        self.body["data"]["sequence"].as_u64().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.body["data"]["uid"].as_str().unwrap_or_default()
    }
}

/// What a receiver does with a request.
pub enum Act {
    /// Answers with this status and these header lines.
    Answer(u16, &'static str),
    /// Answers 200 and then lets the body drip.
    DripBody,
    /// Lets the head itself drip.
    DripHead,
    /// Answers 200 with a body without end.
    Endless,
    /// Says nothing.
    Hang,
    /// Says nothing for so long, then 200.
    Late(Duration),
    /// Closes the connection.
    Close,
    /// Says something else than HTTP.
    Babble,
}

pub const GOOD: Act = Act::Answer(204, "");

type Choice = dyn Fn(usize, &Seen) -> Act + Send + Sync;

/// A receiver.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    /// One that chooses by the number of requests before, and the request.
    pub async fn start(choice: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let receiver = Self { address, seen: Arc::default() };
        let (seen, choice) = (Arc::clone(&receiver.seen), Arc::new(choice) as Arc<Choice>);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, choice) = (Arc::clone(&seen), Arc::clone(&choice));
                tokio::spawn(async move { serve(stream, &seen, &*choice).await });
            }
        });
        receiver
    }

    pub async fn good() -> Self {
        Self::start(|_, _| GOOD).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    /// Waits until this event was told of.
    pub async fn wait_for_uid(&self, uid: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.seen.lock().iter().any(|one| one.uid() == uid) {
            assert!(Instant::now() < end, "{uid} is not told of");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let end = Instant::now() + Duration::from_secs(60);
        while self.count() < count {
            assert!(Instant::now() < end, "{} of {count} requests came", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.seen()
    }
}

async fn serve(stream: TcpStream, seen: &Mutex<Vec<Seen>>, choice: &Choice) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        let number = {
            let mut seen = seen.lock();
            seen.push(request.clone());
            seen.len() - 1
        };
        act(stream.get_mut(), choice(number, &request)).await?;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let (mut headers, mut line) = (Vec::new(), String::new());
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let header = |name: &str| {
        headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut raw = vec![0; header("content-length").parse().ok()?];
    stream.read_exact(&mut raw).await.ok()?;
    Some(Seen {
        at: Instant::now(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().unwrap_or_default(),
        signature: header("webhook-signature"),
        body: serde_json::from_slice(&raw).unwrap_or_default(),
        raw,
        headers,
    })
}

async fn act(stream: &mut TcpStream, act: Act) -> Option<()> {
    let mut say = async |text: &[u8]| stream.write_all(text).await.ok();
    match act {
        Act::Answer(status, headers) => {
            let body = if status == 204 { "" } else { "content-length: 4\r\n" };
            let text = if status == 204 { "" } else { "body" };
            say(format!("HTTP/1.1 {status} Said\r\n{headers}{body}\r\n{text}").as_bytes()).await
        }
        Act::DripBody => {
            say(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
            loop {
                say(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Act::DripHead => {
            say(b"HTTP/1.1 200 OK\r\nx-slow: ").await?;
            loop {
                say(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Act::Endless => {
            say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                say(format!("1000\r\n{}\r\n", "x".repeat(4096)).as_bytes()).await?;
            }
        }
        Act::Hang => std::future::pending().await,
        Act::Late(pause) => {
            tokio::time::sleep(pause).await;
            say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
        }
        Act::Close => None,
        Act::Babble => say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await,
    }
}
