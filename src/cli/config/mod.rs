//! The configuration: one TOML file, environment variables over it, flags over those.
//!
//! Raw and built are two types. [`Raw`] holds values as they were written, each with where it was written, so that
//! a complaint can name file and line; [`Config`] is what the rest of the program reads, always whole and checked.
//! The table in `settings` is the one list of what can be set: the parser, the environment, `config print-default`
//! and `examples/kalends.toml` are all made from it.

mod bus;
mod providers;
mod raw;
mod render;
mod settings;
mod webhooks;

use std::path::PathBuf;

use crate::base::Limits;
use crate::server::Network;
use crate::store::Engine;

pub use bus::{IngestConfig, KafkaConfig};
pub use providers::ProvidersConfig;
pub use raw::{ConfigError, Raw};
pub use render::print_default;
pub use settings::{Setting, settings};
pub use webhooks::{Sender, WebhooksConfig};

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[tls]`; `None` serves plain HTTP.
    pub tls: TlsConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: LogConfig,
    /// `[metrics] listen`: where metrics are served; `None` serves none.
    pub metrics_listen: Option<String>,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[bus.kafka]`
    pub kafka: KafkaConfig,
    /// The file that was read, for processes that the server starts.
    pub file: Option<PathBuf>,
    /// `[providers]`
    pub providers: ProvidersConfig,
    /// `[webhooks]`
    pub webhooks: WebhooksConfig,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Host and port to listen at.
    pub listen: String,
    /// What clients call the server (`https://cal.example.com`), where that is not the listening address.
    pub public_url: Option<String>,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// The certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The engine.
    pub engine: Engine,
    /// The page cache in MiB.
    pub cache_mb: u64,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged: a level, or a filter as `tracing` reads it.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The realm that clients show and file passwords under.
    pub realm: String,
    /// Whether passwords may come over plain HTTP from other machines.
    pub allow_plain: bool,
    /// Whether users may look up each other.
    pub open_directory: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig { listen: "127.0.0.1:8008".to_owned(), public_url: None, trusted_proxies: Vec::new() },
            tls: TlsConfig::default(),
            store: StoreConfig { engine: Engine::Sled, cache_mb: 128 },
            limits: Limits::default(),
            log: LogConfig { format: LogFormat::Text, level: "info".to_owned() },
            metrics_listen: None,
            auth: AuthConfig { realm: "Kalends".to_owned(), allow_plain: false, open_directory: false },
            kafka: KafkaConfig::default(),
            file: None,
            providers: ProvidersConfig::default(),
            webhooks: WebhooksConfig::default(),
        }
    }
}

impl Config {
    /// Builds the configuration from what was written.
    ///
    /// # Errors
    /// [`ConfigError`] names the first value that is wrong, where it stands, and what to write instead.
    pub fn build(raw: &Raw) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        raw.apply(&mut config)?;
        if config.tls.cert.is_some() != config.tls.key.is_some() {
            return Err(ConfigError("[tls] needs both `cert` and `key`, or neither".to_owned()));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
