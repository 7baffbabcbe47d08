//! What fakes of providers' APIs share: a small HTTP/1.1 server on threads of its own that counts calls, can be told to fail, and can break
//! an answer off in the middle.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod google;
pub mod microsoft;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

/// A request as a fake sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the query, decoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// The query as it came.
    pub raw_query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The body as a form.
    pub fn form(&self, name: &str) -> Option<String> {
        pairs(&self.body).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// What a fake answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string(), cut: None }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), cut: None }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, broken off after `bytes` bytes of its body.
    pub fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }
}

/// What is to go wrong with the next request of a kind.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This instead of the true answer.
    Instead(Reply),
    /// The true answer, broken off after so many bytes of its body.
    Cut(usize),
    /// The true answer of the time at which it was asked, sent once this is set.
    Held(Arc<AtomicBool>),
}

/// What every fake keeps: the faults to come, and the calls that were made.
#[derive(Debug, Default)]
pub struct Record {
    faults: VecDeque<(&'static str, Fault)>,
    pub calls: Vec<(&'static str, Asked)>,
}

impl Record {
    /// Lets the next request of `kind` fail.
    pub fn fail(&mut self, kind: &'static str, fault: Fault) {
        self.faults.push_back((kind, fault));
    }

    /// How often `kind` was called.
    pub fn count(&self, kind: &str) -> usize {
        self.calls.iter().filter(|(known, _)| *known == kind).count()
    }

    /// Notes the call; the fault that waits for it.
    fn take(&mut self, kind: &'static str, asked: &Asked) -> Option<Fault> {
        self.calls.push((kind, asked.clone()));
        let at = self.faults.iter().position(|(known, _)| *known == kind)?;
        self.faults.remove(at).map(|(_, fault)| fault)
    }
}

/// A provider's API: its state, and what it answers.
pub trait Api: Send + 'static {
    fn record(&mut self) -> &mut Record;
    /// What kind of call it is, for counting and failing.
    fn kind(&self, asked: &Asked) -> &'static str;
    fn answer(&mut self, asked: &Asked) -> Reply;
}

/// A fake that listens.
pub struct Fake<A> {
    pub address: SocketAddr,
    state: Arc<Mutex<A>>,
}

impl<A: Api> Fake<A> {
    pub fn start(make: impl FnOnce(SocketAddr) -> A) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(make(address)));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often `kind` was called.
    pub fn count(&self, kind: &str) -> usize {
        self.state().record().count(kind)
    }

    pub fn state(&self) -> MutexGuard<'_, A> {
        self.state.lock().expect("no fake panics")
    }
}

fn serve<A: Api>(stream: TcpStream, state: &Mutex<A>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let reply = answer(state, &asked);
        let keep = reply.cut.is_none() && asked.header("connection") != Some("close");
        if write(reader.get_mut(), &reply).is_err() || !keep {
            return;
        }
    }
}

fn answer<A: Api>(state: &Mutex<A>, asked: &Asked) -> Reply {
    let lock = || state.lock().expect("no fake panics");
    let mut api = lock();
    let kind = api.kind(asked);
    let fault = api.record().take(kind, asked);
    if let Some(Fault::Held(released)) = fault {
        let reply = api.answer(asked);
        drop(api);
        while !released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        return reply;
    }
    drop(api);
    match fault {
        Some(Fault::Instead(reply)) => reply,
        Some(Fault::Cut(bytes)) => lock().answer(asked).cut(bytes),
        Some(Fault::Held(_)) | None => lock().answer(asked),
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked {
        method,
        path: decoded(path),
        query: pairs(query),
        raw_query: query.to_owned(),
        headers,
        body: String::from_utf8(body).expect("clients send UTF-8"),
    })
}

fn write(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let is_compressed = reply.headers.iter().any(|(name, value)| *name == "content-encoding" && value.contains("gzip"));
    let body = if is_compressed { gzip(&reply.body) } else { reply.body.clone().into_bytes() };
    let mut head = format!("HTTP/1.1 {} Fake\r\ncontent-length: {}\r\n", reply.status, body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body[..reply.cut.unwrap_or(body.len()).min(body.len())])?;
    stream.flush()
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes()).expect("into memory");
    encoder.finish().expect("into memory")
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// The OAuth half that Google and Microsoft have alike: refresh tokens in, access tokens out.
#[derive(Debug)]
pub struct Oauth {
    pub client_id: String,
    pub client_secret: String,
    pub refresh_token: String,
    /// Whether each refresh gives another refresh token, as Microsoft's does.
    pub rotates: bool,
    pub revoked: bool,
    pub access_token: String,
    issued: u32,
}

impl Oauth {
    pub fn new(rotates: bool) -> Self {
        Self {
            client_id: "kalends-client".to_owned(),
            client_secret: "kalends-client-secret".to_owned(),
            refresh_token: "refresh-0".to_owned(),
            rotates,
            revoked: false,
            access_token: "none-yet".to_owned(),
            issued: 0,
        }
    }

    /// From now on the access token is not taken.
    pub fn expire(&mut self) {
        self.access_token = "none-any-more".to_owned();
    }

    pub fn allows(&self, asked: &Asked) -> bool {
        asked.bearer() == Some(self.access_token.as_str())
    }

    pub fn answer(&mut self, asked: &Asked) -> Reply {
        let right = asked.form("grant_type").as_deref() == Some("refresh_token")
            && asked.form("client_id").as_ref() == Some(&self.client_id)
            && asked.form("client_secret").as_ref() == Some(&self.client_secret);
        if !right {
            return Reply::json(401, &json!({"error": "invalid_client", "error_description": "Unauthorized"}));
        }
        if self.revoked || asked.form("refresh_token").as_ref() != Some(&self.refresh_token) {
            let body = json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
            return Reply::json(400, &body);
        }
        self.issued += 1;
        self.access_token = format!("access-{}", self.issued);
        let mut body = json!({"access_token": self.access_token, "expires_in": 3599, "token_type": "Bearer"});
        if self.rotates {
            self.refresh_token = format!("refresh-{}", self.issued);
            body["refresh_token"] = json!(self.refresh_token);
        }
        Reply::json(200, &body)
    }
}

/// Sends a POST, as a provider's bell does, and returns the status.
pub fn post(url: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("tests ring over http");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out can be set");
    let mut head = format!("POST /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).expect("the bell is sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
