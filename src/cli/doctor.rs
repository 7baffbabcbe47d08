//! `doctor`: looks at everything around the server that can be wrong, and says what to do.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::json;

use super::config::Config;
use super::output::Exit;
use super::serve::tls_files;
use super::{socket, store_options};
use crate::base::{Clock as _, SystemClock, Utc};
use crate::store::{Store, StoreError, free_bytes};
use crate::zone;

/// Less free space than this is a warning, whatever the data's size.
const FREE_WARN_BYTES: u64 = 1 << 30;
/// Less than this and writes are about to be refused.
const FREE_FAIL_BYTES: u64 = 64 << 20;
/// A certificate that ends sooner is a warning: whatever renews it should have done so.
const CERTIFICATE_WARN_SECONDS: i64 = 14 * 86_400;
/// 2026-01-01: this program is not older, so a clock before it is wrong.
const CLOCK_EARLIEST: Utc = Utc(1_767_225_600);
/// Files that a server keeps open beside its connections.
const FILES_RESERVE: u64 = 200;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Fine,
    Warn,
    Fail,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warn => "warning",
            Self::Fail => "FAILED",
        }
    }
}

/// One thing that was looked at.
struct Finding {
    check: &'static str,
    level: Level,
    found: String,
    /// What to do; empty where all is well.
    advice: String,
}

/// Everything that was looked at.
#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn fine(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Level::Fine, found, "");
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(check, Level::Warn, found, advice);
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(check, Level::Fail, found, advice);
    }

    fn add(&mut self, check: &'static str, level: Level, found: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { check, level, found: found.into(), advice: advice.into() });
    }

    fn print(&self, json: bool) {
        if json {
            let row = |finding: &Finding| {
                let level = finding.level.name().to_ascii_lowercase();
                json!({ "check": finding.check, "status": level, "found": finding.found, "advice": finding.advice })
            };
            println!("{:#}", serde_json::Value::Array(self.0.iter().map(row).collect()));
            return;
        }
        for Finding { check, level, found, advice } in &self.0 {
            println!("{:8} {check:14} {found}", level.name());
            if !advice.is_empty() {
                println!("{:23} -> {advice}", "");
            }
        }
    }
}

/// Looks at everything. `config` is the configuration, or what is wrong with it. Fails if anything does.
pub(super) async fn doctor(data: &Path, config: Result<Config, String>, json: bool) -> Exit {
    let mut report = Report::default();
    report.fine("program", format!("kalends {}", env!("CARGO_PKG_VERSION")));
    let config = match config {
        Ok(config) => {
            report.fine("configuration", "it can be read");
            config
        }
        Err(why) => {
            report.fail("configuration", why, "mend it; the other checks use the defaults");
            Config::default()
        }
    };
    directory(&mut report, data);
    disk(&mut report, data);
    clock(&mut report, data);
    zones(&mut report);
    let running = socket::connect(data).await.is_some();
    store(&mut report, data, &config, running);
    listener(&mut report, &config, running);
    exposure(&mut report, &config);
    certificate(&mut report, &config);
    open_files(&mut report, data, &config, running);
    report.print(json);
    let worst = report.0.iter().map(|finding| finding.level).max();
    if worst == Some(Level::Fail) { Exit::Failed } else { Exit::Done }
}

fn directory(report: &mut Report, data: &Path) {
    let shown = data.display();
    let meta = match std::fs::metadata(data) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return report.fail("directory", format!("{shown} is no directory"), "choose another one with --data"),
        Err(error) => {
            let advice = "start the server once, restore a backup into it, or name the right one with --data";
            return report.fail("directory", format!("{shown}: {error}"), advice);
        }
    };
    let mode = meta.permissions().mode() & 0o777;
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me && me != 0 {
        let advice = "run this as the user whom the server runs as";
        report.fail("directory", format!("{shown} belongs to user {} and this is user {me}", meta.uid()), advice);
    } else if mode & 0o077 != 0 {
        let found =
            format!("{shown} can be entered by others (mode {mode:03o}), and holds calendars and password hashes");
        report.warn("directory", found, format!("chmod 700 {shown}"));
    } else {
        report.fine("directory", format!("{shown}, its owner's alone"));
    }
}

fn disk(report: &mut Report, data: &Path) {
    let free = match free_bytes(data) {
        Ok(free) => free,
        Err(error) => return report.fail("disk", error.to_string(), "see `directory`"),
    };
    let used = size_of(data, 4);
    let found = format!("{} MiB free, {} MiB of data", free >> 20, used >> 20);
    if free < FREE_FAIL_BYTES {
        report.fail("disk", found, "free some space now: writes are refused below 16 MiB");
    } else if free < FREE_WARN_BYTES.max(used) {
        report.warn("disk", found, "free some space: compaction needs as much as there is data");
    } else {
        report.fine("disk", found);
    }
}

/// The bytes of the files in and below `dir`.
fn size_of(dir: &Path, depth: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() && depth > 0 => size_of(&entry.path(), depth - 1),
        Ok(meta) => meta.blocks().saturating_mul(512),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

fn clock(report: &mut Report, data: &Path) {
    let now = SystemClock.now();
    let found = format!("{} UTC", now.naive());
    let written = std::fs::metadata(data.join("kalends.lock")).and_then(|meta| meta.modified()).ok();
    let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_secs());
    if now < CLOCK_EARLIEST {
        report.fail("clock", found, "set the clock; reminders, locks and logs depend on it");
    } else if i64::try_from(written).is_ok_and(|written| written > now.0 + 60) {
        let advice = "the data was last opened later than that: set the clock, and keep it by NTP";
        report.fail("clock", found, advice);
    } else {
        report.fine("clock", found);
    }
}

fn zones(report: &mut Report) {
    let version = zone::data_version();
    let year: Option<i64> = version.get(..4).and_then(|year| year.parse().ok());
    let now = i64::from(chrono::Datelike::year(&SystemClock.now().naive()));
    match year {
        Some(year) if year + 1 < now => {
            let advice = "update the system's tzdata, or Kalends: governments change rules several times a year";
            report.warn("zone data", version, advice);
        }
        _ => report.fine("zone data", version),
    }
}

fn store(report: &mut Report, data: &Path, config: &Config, running: bool) {
    let engine = config.store.engine.name();
    if running {
        let who = std::fs::read_to_string(data.join("kalends.lock")).unwrap_or_default();
        return report.fine("store", format!("a server has it open ({}); `kalends verify` looks inside", who.trim()));
    }
    if !data.join("kalends.store").exists() {
        return report.warn("store", "there is no data yet", "the first start makes it");
    }
    match Store::open(&store_options(data, config)) {
        Ok(_) => report.fine("store", format!("it opens ({engine}); `kalends verify` looks inside")),
        Err(error @ StoreError::InUse(_)) => {
            let advice = "a server that takes no commands, or just starts or ends; end it before starting another";
            report.warn("store", error.to_string(), advice);
        }
        Err(error) => report.fail("store", error.to_string(), "see docs/operations.md, \"The server does not start\""),
    }
}

fn listener(report: &mut Report, config: &Config, running: bool) {
    let at = &config.server.listen;
    match TcpListener::bind(at) {
        Ok(_) if running => {
            report.warn("listener", format!("nobody listens at {at}"), "the running server has another address");
        }
        Ok(_) => report.fine("listener", format!("{at} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
            report.fine("listener", format!("{at} is served"));
        }
        Err(error) => {
            let advice = "another program has it, or it is not for us: change [server] listen";
            report.fail("listener", format!("{at}: {error}"), advice);
        }
    }
}

fn exposure(report: &mut Report, config: &Config) {
    let server = &config.server;
    let local = ["127.", "localhost:", "[::1]"].iter().any(|local| server.listen.starts_with(local));
    if config.auth.allow_plain && !local && config.tls.cert.is_none() {
        let advice = "set [tls], or allow_plain = false behind a proxy";
        report.warn("exposure", format!("passwords travel in the clear to {}", server.listen), advice);
    } else if server.public_url.is_some() && server.trusted_proxies.is_empty() && config.tls.cert.is_none() {
        let advice = "name the proxy in [server] trusted_proxies, or logins over it are refused";
        report.warn("exposure", "there is a public_url, no TLS and no trusted proxy", advice);
    } else if !local && config.tls.cert.is_none() && server.trusted_proxies.is_empty() {
        let advice = "set [tls] or trusted_proxies: logins from other machines are refused";
        report.warn("exposure", format!("{} is open to others without TLS", server.listen), advice);
    } else {
        report.fine("exposure", "passwords travel encrypted or stay on this machine");
    }
}

fn certificate(report: &mut Report, config: &Config) {
    let Some(files) = tls_files(config) else {
        return report.fine("certificate", "none: plain HTTP");
    };
    let (from, until) = match files.validity() {
        Ok(validity) => validity,
        Err(why) => return report.fail("certificate", why, "mend [tls] cert and key"),
    };
    let now = SystemClock.now();
    let found = format!("valid from {} to {} UTC", from.naive(), until.naive());
    if now < from || now > until {
        report.fail("certificate", found, "renew it: clients refuse it today");
    } else if until.0 - now.0 < CERTIFICATE_WARN_SECONDS {
        report.warn("certificate", found, "renew it; the server reads it again by itself");
    } else {
        report.fine("certificate", found);
    }
    let others = std::fs::metadata(&files.key).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0);
    if others {
        let key = files.key.display();
        report.warn("key", format!("{key} can be read by everybody here"), format!("chmod 600 {key}"));
    }
}

/// How many files the process may have open that holds the data directory, where the system tells.
fn files_of_server(data: &Path) -> Option<u64> {
    let lock = std::fs::read_to_string(data.join("kalends.lock")).ok()?;
    let process: u32 = lock.strip_prefix("process ")?.split(',').next()?.parse().ok()?;
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_whitespace().next()?.parse().ok()
}

fn open_files(report: &mut Report, data: &Path, config: &Config, running: bool) {
    let own = || rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    // A shell is allowed other numbers than a service.
    let of_server = if running { files_of_server(data) } else { None };
    let (allowed, to_whom) = of_server.map_or_else(|| (own(), "here"), |allowed| (allowed, "to the server"));
    let wanted = config.limits.connections_max.saturating_add(FILES_RESERVE);
    if allowed < wanted {
        let advice = format!("LimitNOFILE={wanted} in the unit, or a smaller [limits] connections_max");
        report.warn(
            "open files",
            format!("{allowed} are allowed {to_whom} and connections_max needs {wanted}"),
            advice,
        );
    } else {
        report.fine("open files", format!("{allowed} are allowed {to_whom}"));
    }
}
