//! A server with calendars, its endpoints and their receivers.

#![allow(dead_code, reason = "each binary uses its own part of this")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::load::{Place, Server};
use crate::receivers::{Manner, Receiver};

/// The sender's patience in the storm.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// Attempts at most.
pub const ATTEMPTS: usize = 12;
/// Attempts at most at what the receiver's side answers as an error of ours (404).
pub const ATTEMPTS_REFUSED: usize = 3;

/// The settings of the storm: days in seconds.
pub const STORM: &[(&str, &str)] = &[
    ("KALENDS_WEBHOOKS_SCHEDULE", "0,1,1,1,1,1,1,1,1,1,1,1"),
    ("KALENDS_WEBHOOKS_CONNECT_SECONDS", "1"),
    ("KALENDS_WEBHOOKS_TOTAL_SECONDS", "1"),
    ("KALENDS_WEBHOOKS_BREAKER_SECONDS", "1"),
    ("KALENDS_WEBHOOKS_IN_FLIGHT_MAX", "256"),
];

/// The settings for figures: no bounds but the machine's.
pub const FAST: &[(&str, &str)] = &[("KALENDS_WEBHOOKS_IN_FLIGHT_MAX", "256")];

/// An endpoint and who is behind it.
pub struct Endpoint {
    pub id: String,
    /// The calendars that it hears of.
    pub heard: Vec<String>,
    pub receiver: Receiver,
}

/// All of it.
pub struct Sea {
    pub place: Place,
    pub calendars: Vec<String>,
    pub endpoints: Vec<Endpoint>,
    pub runtime: Runtime,
    /// Lines of the log that say this are expected, errors though they are.
    pub harmless: Option<&'static str>,
    server: Option<Server>,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl Sea {
    /// A running server with these calendars and no endpoint.
    pub fn make(calendars: usize, settings: &'static [(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let calendars: Vec<String> = (0..calendars).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = calendars.iter().map(String::as_str).collect();
        let mut place = Place::make(&dir.path().join("data"), "sled", &names);
        place.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let runtime = Runtime::new().expect("a runtime");
        let log = dir.path().join("log");
        let mut sea =
            Self { place, calendars, endpoints: Vec::new(), runtime, harmless: None, server: None, log, _dir: dir };
        sea.start();
        sea
    }

    /// Starts the server.
    pub fn start(&mut self) {
        self.log_is_clean();
        let server = self.place.serve(&self.log);
        self.server = Some(server.unwrap_or_else(|| {
            panic!("it does not start: {}", std::fs::read_to_string(&self.log).unwrap_or_default())
        }));
    }

    pub fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.server.as_ref().expect("it runs").address
    }

    /// The processes that the server has started: numbers and command lines.
    pub fn children(&self) -> Vec<(i32, String)> {
        let parent = self.server.as_ref().expect("it runs").pid().to_string();
        let processes = std::fs::read_dir("/proc").expect("the kernel tells").filter_map(Result::ok);
        let child = |entry: std::fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let is_ours = status.rsplit(") ").next()?.split(' ').nth(1)? == parent;
            let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            is_ours.then_some((number, command))
        };
        processes.filter_map(child).collect()
    }

    /// The processor time that the server has used since its start.
    pub fn cpu_seconds(&self) -> f64 {
        let pid = self.server.as_ref().expect("it runs").pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the kernel counts");
        let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
        ticks / 100.0
    }

    pub fn log_is_clean(&self) {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let is_harmless = |line: &str| self.harmless.is_some_and(|harmless| line.contains(harmless));
        let bad = text.lines().find(|line| (line.contains("panic") || line.contains("ERROR")) && !is_harmless(line));
        assert!(bad.is_none(), "{bad:?} in {text}");
    }

    /// Waits until clients have no change left and the answer to the last one: what was acknowledged is known then, and nothing more
    /// is under way.
    pub fn wait_for_all(&self, clients: Vec<tokio::task::JoinHandle<()>>) {
        for client in clients {
            let ended = async { tokio::time::timeout(Duration::from_secs(300), client).await };
            self.runtime.block_on(ended).expect("every change is answered").expect("no client panics");
        }
    }

    /// Adds an endpoint of that manner that hears of these calendars.
    pub fn add(&mut self, manner: Manner, heard: &[String]) {
        let elsewhere = self.endpoints.first().map(|endpoint| endpoint.receiver.address);
        let receiver = self.runtime.block_on(Receiver::start(manner, TIMEOUT, elsewhere));
        let url = receiver.url();
        let mut arguments = vec!["webhook", "add", "--url", &url, "--user", "anna", "--allow-private", "--json"];
        arguments.extend(["--rate", "50000", "--burst", "50000", "--in-flight", "16"]);
        // What tells of calendars themselves has no place among the changes that are counted.
        ["event.created", "event.updated", "event.deleted"].iter().for_each(|kind| arguments.extend(["--event", kind]));
        heard.iter().for_each(|calendar| arguments.extend(["--calendar", calendar]));
        let said: Value = serde_json::from_str(&self.place.done(&arguments)).expect("JSON");
        receiver.expect_secret(said["secret"].as_str().expect("a secret"));
        let id = said["id"].as_str().expect("an id").to_owned();
        self.endpoints.push(Endpoint { id, heard: heard.to_vec(), receiver });
    }

    /// What a command prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.place.done(arguments);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }

    /// How many messages wait for healthy endpoints, by the server's own count.
    pub fn waiting(&self) -> u64 {
        let listed = self.json(&["webhook", "list", "--json"]);
        let listed = listed.as_array().expect("a list");
        let healthy =
            |id: &str| self.endpoints.iter().any(|endpoint| endpoint.id == id && endpoint.receiver.manner.is_healthy());
        let waiting = |row: &Value| row["waiting"].as_u64().expect("a number");
        listed.iter().filter(|row| healthy(row["id"].as_str().expect("an id"))).map(waiting).sum()
    }
}
