//! The server under attack, the cases, and the normal client beside them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;

/// No answer may take longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A normal client is to be answered within this time meanwhile.
const BOUND: Duration = Duration::from_millis(100);

/// How many of the slowest cases are named.
const SHOWN: usize = 8;

/// What the server's memory may grow by while it is attacked. Its caches have bounds of their own below this.
const GROWTH_MAX: u64 = 700 << 20;

const PASSWORD: &str = "a-password-for-tests";

/// Where the cases work.
pub const CALENDAR: &str = "/dav/calendars/mallory/default/";
/// The normal client's event.
const KEPT: &str = "/dav/calendars/mallory/default/kept.ics";

/// One hostile request.
pub struct Case {
    pub name: String,
    /// All that is sent.
    pub bytes: Vec<u8>,
    pub want: Want,
}

/// What may come of a [`Case`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Any answer that is no server's error.
    Answer,
    /// A refusal: 4xx, 501, 505 or 507.
    Refusal,
    /// A refusal, or a closed connection.
    RefusalOrClose,
    /// Anything but a server's error, or a closed connection.
    AnswerOrClose,
}

/// Credentials of the user who attacks: logged in is worse than not.
pub fn authorization() -> String {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("mallory:{PASSWORD}"));
    format!("Authorization: Basic {login}\r\n")
}

/// A request with a body, as bytes.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}", authorization());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// The real binary, serving a directory of its own.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts it, with these settings in its environment.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        // Another binary than the one just built: a release, to see how long clients wait.
        let binary = std::env::var("KALENDS_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kalends").to_owned());
        let command = || {
            let mut command = Command::new(&binary);
            command.env("KALENDS_DATA", data.path()).env_remove("KALENDS_CONFIG").env("KALENDS_LOG_LEVEL", "warn");
            command
        };
        let mut add = command()
            .args(["user", "add", "mallory", "--email", "mallory@example.com", "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        add.stdin.take().expect("a pipe").write_all(PASSWORD.as_bytes()).expect("it reads");
        assert!(add.wait().expect("it ends").success());
        let mut child = command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("it greets").expect("in UTF-8");
        let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("a URL");
        let address = address.parse().expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, stderr) = (Arc::clone(&log), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no panic");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let server = Self { child, address, log, _data: data };
        let put = server.send(&request("PUT", KEPT, &[], kept_event().as_bytes()));
        assert_eq!(status(&put), Some(201), "{}", String::from_utf8_lossy(&put));
        server
    }

    /// Sends bytes and reads what comes back until the connection is closed.
    pub fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.address);
        // Whoever is refused early may find the connection closed in the middle.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        read_all(&mut stream)
    }

    /// Its resident memory, in bytes; 0 where the system does not tell.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() << 10
    }

    /// Demands that it lives and has not panicked.
    pub fn must_be_well(&self, after: &str) {
        let log = self.log.lock().expect("no panic");
        assert!(!log.contains("panic"), "after {after}: {log}");
        let answer = self.send(&request("GET", KEPT, &[], b""));
        assert_eq!(status(&answer), Some(200), "after {after}: {}", String::from_utf8_lossy(&answer));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream
}

pub fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16_384]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("no answer, and no end of the connection")
            }
            // Closed before it took all that was sent.
            Err(_) => return bytes,
        }
    }
}

/// The status of the first answer in `bytes` that is not 100.
pub fn status(bytes: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
    text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}

/// How many answers there are in `bytes`.
pub fn answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|window| *window == b"HTTP/1.1 ").count()
}

fn kept_event() -> String {
    super::objects::event("kept", "DTSTART:20261201T090000Z\r\nDURATION:PT1H\r\n")
}

/// Whether what came back is as wanted.
fn judge(case: &Case, answer: &[u8]) -> Result<(), String> {
    let told = status(answer);
    let documented = |status: u16| matches!(status, 501 | 502 | 505 | 507);
    let good = match (case.want, told) {
        (Want::RefusalOrClose | Want::AnswerOrClose, None) => answer.is_empty(),
        (_, None) => false,
        (Want::Answer | Want::AnswerOrClose, Some(status)) => status < 500 || documented(status),
        (Want::Refusal | Want::RefusalOrClose, Some(status)) => (400..500).contains(&status) || documented(status),
    };
    let shown: String = String::from_utf8_lossy(answer).chars().take(400).collect();
    if good { Ok(()) } else { Err(format!("{}: wanted {:?}, got {told:?}: {shown}", case.name, case.want)) }
}

/// A client that goes on reading its event while the others attack.
struct Normal {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Duration>>,
}

impl Normal {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let mut stream = connect(address);
                stream.write_all(&request("GET", KEPT, &[], b"")).expect("it is sent");
                let answer = read_all(&mut stream);
                times.push(begun.elapsed());
                assert_eq!(status(&answer), Some(200), "the normal client is refused");
                assert!(answer.ends_with(kept_event().as_bytes()), "the normal client gets something else");
                std::thread::sleep(Duration::from_millis(5));
            }
            times
        });
        Self { stop, thread }
    }

    fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the normal client was served");
        times.sort_unstable();
        times
    }
}

/// How many answers of the normal client came later than they should. This depends on the machine and on the build: it is for
/// people to read.
fn waits(times: &[Duration]) -> String {
    match times.iter().filter(|time| **time > BOUND).count() {
        0 => format!("all within {BOUND:?}"),
        late => format!("{late} LATER THAN {BOUND:?}"),
    }
}

/// Sends all cases while a normal client works.
pub fn attack(server: &Server, name: &str, cases: &[Case]) {
    let before = server.memory();
    let normal = Normal::start(server.address);
    let mut wrong = Vec::new();
    let mut slowest = Vec::new();
    for case in cases {
        let begun = Instant::now();
        wrong.extend(judge(case, &server.send(&case.bytes)).err());
        slowest.push((begun.elapsed(), case.name.as_str()));
    }
    let times = normal.end();
    let after = server.memory();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    println!(
        "{name}: {} cases; memory {} MB before, {} MB after; normal client: {} answers, median {:?}, 99th {:?}, \
         last {:?}; {}",
        cases.len(),
        before >> 20,
        after >> 20,
        times.len(),
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
        times.last(),
        waits(&times),
    );
    slowest.sort_unstable();
    for (time, case) in slowest.iter().rev().take(SHOWN).filter(|(time, _)| *time > BOUND) {
        println!("{name}: took {time:?}: {case}");
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(!times.is_empty(), "the normal client was never served");
    server.must_be_well(name);
    assert!(after < before + GROWTH_MAX, "memory grew from {before} to {after} bytes");
}
