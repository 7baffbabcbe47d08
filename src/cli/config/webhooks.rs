//! `[webhooks]`: how deliveries go out.

use std::path::PathBuf;
use std::time::Duration;

use super::raw::Value;
use super::settings::{Setting, list, quote, row};
use crate::outbound::{Policy, Ports};
use crate::service::webhooks::{Schedule, WebhookSettings};

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Who sends.
    pub send: Sender,
    /// Ports of the public internet that are talked to.
    pub ports: Vec<u16>,
    /// Whether endpoints of the public internet may be plain HTTP.
    pub allow_http: bool,
    /// Certificate authorities trusted beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// Seconds to connect.
    pub connect_seconds: u64,
    /// Seconds for a whole attempt.
    pub total_seconds: u64,
    /// The pauses before attempts, in seconds.
    pub schedule: Vec<u64>,
    /// How long events, attempts and dead letters are kept.
    pub retention_days: u64,
    /// Seconds for which an endpoint that fails is left alone at first.
    pub breaker_seconds: u64,
    /// Days without a success after which an endpoint is disabled.
    pub disable_days: u64,
    /// Hours in which both secrets sign after a rotation.
    pub rotation_hours: u64,
    /// Requests at once.
    pub in_flight_max: u64,
}

/// Who sends deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The server itself.
    Server,
    /// Processes started with `kalends worker`.
    Workers,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        let settings = WebhookSettings::default();
        let policy = Policy::default();
        Self {
            send: Sender::Server,
            ports: vec![443],
            allow_http: false,
            ca_file: None,
            connect_seconds: policy.connect_timeout.as_secs(),
            total_seconds: policy.total_timeout.as_secs(),
            schedule: settings.schedule.delays_ms.iter().map(|ms| ms / 1_000).collect(),
            retention_days: settings.retention_days,
            breaker_seconds: settings.breaker_seconds,
            disable_days: settings.disable_days,
            rotation_hours: settings.rotation_seconds / 3_600,
            in_flight_max: settings.in_flight_max as u64,
        }
    }
}

impl WebhooksConfig {
    /// For the services.
    pub fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            schedule: Schedule {
                delays_ms: self.schedule.iter().map(|seconds| seconds.saturating_mul(1_000)).collect(),
                ..Schedule::default()
            },
            retention_days: self.retention_days,
            breaker_seconds: self.breaker_seconds,
            disable_days: self.disable_days,
            ports: self.ports.clone(),
            allow_http: self.allow_http,
            rotation_seconds: self.rotation_hours.saturating_mul(3_600),
            in_flight_max: usize::try_from(self.in_flight_max).unwrap_or(usize::MAX),
            // Longer than an attempt and its report can take.
            lease_seconds: self.total_seconds.saturating_mul(3).saturating_add(10),
            send: self.send == Sender::Server,
        }
    }

    /// For the client that sends.
    ///
    /// # Errors
    /// The file of certificate authorities cannot be read.
    pub fn policy(&self) -> Result<Policy, String> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|error| format!("[webhooks] ca_file: cannot read {}: {error}", path.display()))
        };
        Ok(Policy {
            https_only: !self.allow_http,
            ports: Ports::Only(self.ports.clone()),
            connect_timeout: Duration::from_secs(self.connect_seconds),
            total_timeout: Duration::from_secs(self.total_seconds),
            extra_roots: self.ca_file.as_ref().map(read).transpose()?,
            ..Policy::default()
        })
    }
}

/// What can be set.
pub(super) fn rows() -> Vec<Setting> {
    let row = |key, meaning, example, set, get| row("webhooks", key, meaning, example, set, get);
    vec![
        row(
            "send",
            "Who sends webhooks: \"server\" itself, or \"workers\", which are processes started with `kalends worker`.",
            "",
            |config, value| sender(value).map(|send| config.webhooks.send = send),
            |config| Some(quote(if config.webhooks.send == Sender::Server { "server" } else { "workers" })),
        ),
        row(
            "ports",
            "Ports of endpoints on the public internet. Others are refused; endpoints added with --allow-private may have any.",
            "",
            |config, value| ports(value).map(|ports| config.webhooks.ports = ports),
            |config| Some(list(config.webhooks.ports.iter().map(u16::to_string))),
        ),
        row(
            "allow_http",
            "Whether endpoints on the public internet may be plain http:, where everybody on the way can read and change what is sent.",
            "",
            |config, value| value.flag().map(|flag| config.webhooks.allow_http = flag),
            |config| Some(config.webhooks.allow_http.to_string()),
        ),
        row(
            "ca_file",
            "Certificate authorities (PEM) that endpoints' certificates may come from, beside the public ones.",
            "\"/etc/kalends/own-ca.pem\"",
            |config, value| value.text().map(|path| config.webhooks.ca_file = Some(path.into())),
            |config| config.webhooks.ca_file.as_ref().map(|path| quote(&path.to_string_lossy())),
        ),
        row(
            "connect_seconds",
            "How long an attempt may take to connect, lookup and TLS included.",
            "",
            |config, value| seconds(value).map(|seconds| config.webhooks.connect_seconds = seconds),
            |config| Some(config.webhooks.connect_seconds.to_string()),
        ),
        row(
            "total_seconds",
            "How long an attempt may take in all.",
            "",
            |config, value| seconds(value).map(|seconds| config.webhooks.total_seconds = seconds),
            |config| Some(config.webhooks.total_seconds.to_string()),
        ),
        row(
            "schedule",
            "The pauses before the attempts at a delivery, in seconds: as many attempts are made as there are pauses, then it is a \
             dead letter. Each is spread by a fifth to both sides.",
            "",
            |config, value| schedule(value).map(|schedule| config.webhooks.schedule = schedule),
            |config| Some(list(config.webhooks.schedule.iter().map(u64::to_string))),
        ),
        row(
            "retention_days",
            "How long events, attempts and dead letters are kept, for looking back, resending and replaying.",
            "",
            |config, value| between(value, 1, 3_650).map(|days| config.webhooks.retention_days = days),
            |config| Some(config.webhooks.retention_days.to_string()),
        ),
        row(
            "breaker_seconds",
            "For how long an endpoint that failed ten times in a row is left alone before one message is tried; each time twice as long, \
             at most thirty times.",
            "",
            |config, value| between(value, 1, 3_600).map(|seconds| config.webhooks.breaker_seconds = seconds),
            |config| Some(config.webhooks.breaker_seconds.to_string()),
        ),
        row(
            "disable_days",
            "After how many days without a single success an endpoint is disabled.",
            "",
            |config, value| between(value, 1, 365).map(|days| config.webhooks.disable_days = days),
            |config| Some(config.webhooks.disable_days.to_string()),
        ),
        row(
            "rotation_hours",
            "For how long the old and the new secret both sign after a rotation.",
            "",
            |config, value| between(value, 0, 24 * 365).map(|hours| config.webhooks.rotation_hours = hours),
            |config| Some(config.webhooks.rotation_hours.to_string()),
        ),
        row(
            "in_flight_max",
            "Requests begun in the last moment that may be under way at once, all endpoints together.",
            "",
            |config, value| between(value, 1, 2_048).map(|max| config.webhooks.in_flight_max = max),
            |config| Some(config.webhooks.in_flight_max.to_string()),
        ),
    ]
}

fn sender(value: &Value) -> Result<Sender, String> {
    match value.text()?.as_str() {
        "server" => Ok(Sender::Server),
        "workers" => Ok(Sender::Workers),
        other => Err(format!("`{other}` sends nothing: use \"server\" or \"workers\"")),
    }
}

fn between(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let number = value.number()?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("must be between {min} and {max}")) }
}

fn seconds(value: &Value) -> Result<u64, String> {
    between(value, 1, 300)
}

fn ports(value: &Value) -> Result<Vec<u16>, String> {
    let read = |text: &String| text.parse::<u16>().ok().filter(|port| *port > 0);
    let ports: Option<Vec<u16>> = value.list()?.iter().map(read).collect();
    ports
        .filter(|ports| !ports.is_empty())
        .ok_or_else(|| "must be a list of ports, as in [\"443\", \"8443\"]".to_owned())
}

fn schedule(value: &Value) -> Result<Vec<u64>, String> {
    let read = |text: &String| text.parse::<u64>().ok().filter(|seconds| *seconds <= 30 * 86_400);
    let pauses: Option<Vec<u64>> = value.list()?.iter().map(read).collect();
    pauses.filter(|pauses| (1..=50).contains(&pauses.len())).ok_or_else(|| {
        "must be a list of 1 to 50 pauses in seconds, as in [\"0\", \"5\", \"60\"], none longer than 30 days".to_owned()
    })
}
