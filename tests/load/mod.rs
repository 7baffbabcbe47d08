//! The real binary under load: servers as processes, clients that write and know what must be there, and the comparison.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kalends::base::{ETag, Limits};
use kalends::xml::{self, Element};

use crate::sockets::{Answer, Request, parse, request};

/// No answer takes longer, whatever the machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Names that one client writes under.
const NAMES: u64 = 40;
const DAV: &str = "DAV:";

/// Names and tags: what a listing shows.
pub type Listing = BTreeMap<String, String>;

/// A data directory with one user, and how to run the binary on it.
#[derive(Clone)]
pub struct Place {
    pub data: PathBuf,
    pub engine: &'static str,
    pub password: String,
    /// Settings, as environment variables.
    pub settings: Vec<(String, String)>,
}

impl Place {
    /// Makes the data directory with a user `anna` and these calendars beside `default`.
    pub fn make(data: &Path, engine: &'static str, calendars: &[&str]) -> Self {
        let mut place = Self { data: data.to_owned(), engine, password: String::new(), settings: Vec::new() };
        let mut adding = place
            .command()
            .args(["user", "add", "anna", "--password-stdin"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("it runs");
        adding.stdin.take().expect("a pipe").write_all(b"a-long-password\n").expect("it reads");
        assert!(adding.wait().expect("it ends").success());
        for calendar in calendars {
            place.done(&["calendar", "create", &format!("anna/{calendar}")]);
        }
        place.password = place.done(&["app-password", "add", "anna", "--name", "load"]).trim().to_owned();
        place
    }

    /// The same user and data in another directory.
    pub fn moved(&self, data: &Path, engine: &'static str) -> Self {
        Self { data: data.to_owned(), engine, password: self.password.clone(), settings: self.settings.clone() }
    }

    pub fn command(&self) -> Command {
        // Another binary than the one just built: a release, for long runs.
        let binary = std::env::var("KALENDS_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kalends").to_owned());
        let mut command = Command::new(binary);
        command.env("KALENDS_DATA", &self.data).env("KALENDS_STORE_ENGINE", self.engine);
        command.env("KALENDS_LOG_LEVEL", "warn").env_remove("KALENDS_CONFIG").stdin(Stdio::null());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("it runs")
    }

    /// Runs a command that must succeed; what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// Starts a server; `None` for one that does not come up. What it logs goes to the file `log`.
    pub fn serve(&self, log: &Path) -> Option<Server> {
        let mut child = self
            .command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(File::create(log).expect("a log can be written"))
            .spawn()
            .expect("it runs");
        let mut greeting = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let address = greeting.next().and_then(|line| line.split("http://").nth(1)?.split('/').next()?.parse().ok());
        // The rest of the greeting is read so that writing it does not fail.
        std::thread::spawn(move || greeting.for_each(drop));
        let mut server = Server { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        server.address = address?;
        Some(server)
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("it lives");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Random numbers that can be had again (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Sends a request; `None` if the server is gone before the whole head of the answer has come.
pub fn exchange(address: SocketAddr, request: &Request) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&request.head()).ok()?;
    let _ = stream.write_all(&request.body);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let whole = bytes.windows(4).any(|part| part == b"\r\n\r\n");
    whole.then(|| parse(&bytes))
}

/// What a client does to one object.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    /// The tag it is to have; `None` deletes it.
    etag: Option<String>,
}

/// A client that writes one object after the other, and knows what must be there.
pub struct Client {
    pub calendar: String,
    pub prefix: String,
    password: String,
    dice: Dice,
    /// Objects before `steps`.
    base: Listing,
    /// What it sent since, in order; the last one may be unanswered.
    steps: VecDeque<Step>,
    acknowledged: AtomicUsize,
    sent: AtomicUsize,
    /// All steps ever, confirmed ones alone.
    pub total: u64,
}

impl Client {
    pub fn new(place: &Place, calendar: &str, number: u64, seed: u64) -> Self {
        Self {
            calendar: format!("/dav/calendars/anna/{calendar}/"),
            prefix: format!("c{number}-"),
            password: place.password.clone(),
            dice: Dice(seed.wrapping_mul(1_000).wrapping_add(number)),
            base: Listing::new(),
            steps: VecDeque::new(),
            acknowledged: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            total: 0,
        }
    }

    /// How many of the steps of this round were answered, and how many were sent.
    pub fn progress(&self) -> (usize, usize) {
        (self.acknowledged.load(Ordering::SeqCst), self.sent.load(Ordering::SeqCst))
    }

    /// What must be there after so many steps of this round.
    pub fn after(&self, steps: usize) -> Listing {
        let mut listing = self.base.clone();
        for step in self.steps.iter().take(steps) {
            match &step.etag {
                Some(etag) => drop(listing.insert(step.name.clone(), etag.clone())),
                None => drop(listing.remove(&step.name)),
            }
        }
        listing
    }

    /// Begins a round with what was found at the end of the last one.
    pub fn settle(&mut self, found: Listing) {
        self.total += self.acknowledged.swap(0, Ordering::SeqCst) as u64;
        self.sent.store(0, Ordering::SeqCst);
        self.steps.clear();
        self.base = found;
    }

    fn next(&mut self) -> (Step, Vec<u8>) {
        let name = format!("{}{}.ics", self.prefix, self.dice.below(NAMES));
        let there = self.after(self.steps.len()).contains_key(&name);
        if there && self.dice.below(4) == 0 {
            return (Step { name, etag: None }, Vec::new());
        }
        let body = self.event(&name);
        (Step { name, etag: Some(ETag::of(&body).to_string()) }, body)
    }

    /// An event of 1 KB to 300 KB, most of them small.
    fn event(&mut self, name: &str) -> Vec<u8> {
        let size = match self.dice.below(10) {
            0 => 1_000 + self.dice.below(299_000),
            1..4 => 1_000 + self.dice.below(30_000),
            _ => 1_000 + self.dice.below(3_000),
        };
        let mut text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//load//EN\r\nBEGIN:VEVENT\r\nUID:{name}\r\nDTSTAMP:20260101T000000Z\r\n\
             DTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nSUMMARY:{}\r\nDESCRIPTION:",
            self.dice.below(u64::MAX)
        );
        while (text.len() as u64) < size {
            text.push_str(&format!("{:020}\\n{:040}\r\n ", self.dice.below(u64::MAX), self.dice.below(u64::MAX)));
        }
        text.push_str("\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
        text.into_bytes()
    }
}

/// Lets the client write until `stop` says so or the server is gone. An answer that says anything but done is a failure.
pub fn write(client: &mut Client, address: SocketAddr, stop: &AtomicBool, progress: &Progress) {
    while !stop.load(Ordering::SeqCst) {
        let (step, body) = client.next();
        let method = if step.etag.is_some() { "PUT" } else { "DELETE" };
        let target = format!("{}{}", client.calendar, step.name);
        let sending = request(method, &target).login("anna", &client.password).body(body);
        client.steps.push_back(step.clone());
        client.sent.fetch_add(1, Ordering::SeqCst);
        progress.sent(client);
        let Some(answer) = exchange(address, &sending) else { return };
        assert!(matches!(answer.status, 201 | 204), "{method} {target}: {answer:?}");
        if step.etag.is_some() {
            assert_eq!(answer.header("etag"), step.etag.as_deref(), "{target}: stored unchanged");
        }
        client.acknowledged.fetch_add(1, Ordering::SeqCst);
        progress.acknowledged(client);
    }
}

/// How far the clients are, for those who look on while they write: by prefix (acknowledged, sent).
#[derive(Default)]
pub struct Progress(std::sync::Mutex<BTreeMap<String, (usize, usize)>>);

impl Progress {
    fn sent(&self, client: &Client) {
        self.0.lock().expect("nobody panics with it").entry(client.prefix.clone()).or_default().1 = client.progress().1;
    }

    fn acknowledged(&self, client: &Client) {
        self.0.lock().expect("nobody panics with it").entry(client.prefix.clone()).or_default().0 = client.progress().0;
    }

    pub fn now(&self) -> BTreeMap<String, (usize, usize)> {
        self.0.lock().expect("nobody panics with it").clone()
    }

    pub fn total(&self) -> usize {
        self.now().values().map(|(acknowledged, _)| acknowledged).sum()
    }
}

fn element(answer: &Answer) -> Element {
    xml::parse(answer.body.as_bytes(), &Limits::default()).expect("the answer is XML")
}

/// The members of a multistatus: names, each with its tag, or none where it is gone.
fn members(root: &Element, calendar: &str) -> Vec<(String, Option<String>)> {
    let responses = root.children().filter(|child| child.is(DAV, "response"));
    let member = |response: &Element| {
        let href = response.child(DAV, "href").expect("an href").text();
        let name = href.trim().strip_prefix(calendar)?.to_owned();
        let gone = response.child(DAV, "status").is_some_and(|status| status.text().contains(" 404"));
        let etag = || response.child(DAV, "propstat")?.child(DAV, "prop")?.child(DAV, "getetag").map(Element::text);
        (!name.is_empty()).then(|| (name, if gone { None } else { etag() }))
    };
    responses.filter_map(member).collect()
}

/// A reader of one place.
pub struct Reader<'a> {
    pub address: SocketAddr,
    pub password: &'a str,
}

impl Reader<'_> {
    fn ask(&self, method: &str, path: &str, depth: &str, body: &str) -> Option<Answer> {
        let asking = request(method, path).login("anna", self.password).header("Depth", depth);
        exchange(self.address, &asking.header("Content-Type", "application/xml").body(body))
    }

    /// The calendar's listing and its sync-token.
    pub fn listing(&self, calendar: &str) -> (Listing, String) {
        let body = r#"<D:propfind xmlns:D="DAV:"><D:prop><D:getetag/><D:sync-token/></D:prop></D:propfind>"#;
        let answer = self.ask("PROPFIND", calendar, "1", body).expect("the server serves");
        assert_eq!(answer.status, 207, "{answer:?}");
        let root = element(&answer);
        let listing = members(&root, calendar).into_iter().filter_map(|(name, etag)| Some((name, etag?))).collect();
        let own = root.children().find(|child| child.child(DAV, "href").is_some_and(|href| href.text() == calendar));
        let props = own.and_then(|own| own.child(DAV, "propstat")?.child(DAV, "prop"));
        let token = props.and_then(|prop| prop.child(DAV, "sync-token")).expect("a token").text();
        (listing, token)
    }

    /// Brings `replica` from the state that `token` names to the present one. `Err` where the token is refused, `None` where
    /// the server is gone.
    pub fn synchronise(&self, calendar: &str, token: &str, replica: &mut Listing) -> Option<Result<String, ()>> {
        let body = format!(
            r#"<D:sync-collection xmlns:D="DAV:"><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"#
        );
        let answer = self.ask("REPORT", calendar, "0", &body)?;
        if answer.status == 403 && answer.body.contains("valid-sync-token") {
            return Some(Err(()));
        }
        if !answer.body.contains("</") || xml::parse(answer.body.as_bytes(), &Limits::default()).is_err() {
            return None;
        }
        assert_eq!(answer.status, 207, "{answer:?}");
        let root = element(&answer);
        for (name, etag) in members(&root, calendar) {
            match etag {
                Some(etag) => drop(replica.insert(name, etag)),
                None => drop(replica.remove(&name)),
            }
        }
        Some(Ok(root.child(DAV, "sync-token").expect("a token").text()))
    }

    /// The tag of an object's bytes as they come back.
    pub fn tag_of_bytes(&self, path: &str) -> String {
        let getting = request("GET", path).login("anna", self.password);
        let answer = exchange(self.address, &getting).expect("the server serves");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        ETag::of(answer.body.as_bytes()).to_string()
    }
}

/// What of a listing one client wrote.
pub fn own(listing: &Listing, prefix: &str) -> Listing {
    listing.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, e)| (n.clone(), e.clone())).collect()
}

/// Compares what is there with what the client was told: all that was acknowledged by step `from` must be there, and nothing
/// beyond what was sent by step `to`. Gives what was found.
pub fn compare(client: &Client, listing: &Listing, from: usize, to: usize) -> Result<Listing, String> {
    let found = own(listing, &client.prefix);
    if (from..=to).any(|steps| client.after(steps) == found) {
        return Ok(found);
    }
    let told = client.after(from);
    let differing = |name: &&String| told.get(*name) != found.get(*name);
    let names: Vec<_> = told.keys().chain(found.keys()).filter(differing).collect();
    let near: Vec<_> = client.steps.iter().skip(from.saturating_sub(4)).collect();
    Err(format!(
        "{}{}: after {from} to {to} steps these differ: {names:?}; last steps {near:?}",
        client.calendar, client.prefix
    ))
}
