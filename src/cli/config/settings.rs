//! The table of everything that can be set.

use super::raw::Value;
use super::{Config, LogFormat};
use crate::base::LIMITS;
use crate::server::Network;
use crate::store::Engine;

/// One thing that can be set.
pub struct Setting {
    /// The section of the file.
    pub section: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// What it does, for the file's comment.
    pub meaning: String,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// Takes a value over into the configuration, or says what would be right.
    set: Setter,
    get: Getter,
}

pub(super) type Set = fn(&mut Config, &Value) -> Result<(), String>;
pub(super) type Get = fn(&Config) -> Option<String>;

enum Setter {
    Of(Set),
    Limit,
}

enum Getter {
    Of(Get),
    Limit,
}

impl Setting {
    /// The environment variable that sets it: `KALENDS_LISTEN` for `[server] listen`, `KALENDS_TLS_CERT` for
    /// `[tls] cert` and so on.
    pub fn variable(&self) -> String {
        let name = match self.section {
            "server" => self.key.to_owned(),
            section => format!("{}_{}", section.replace('.', "_"), self.key),
        };
        format!("KALENDS_{}", name.to_ascii_uppercase())
    }

    /// Sets it in `config`.
    ///
    /// # Errors
    /// What is wrong with `value` and what to write instead.
    pub(super) fn set(&self, config: &mut Config, value: &Value) -> Result<(), String> {
        match self.set {
            Setter::Of(set) => set(config, value),
            Setter::Limit => {
                let number = value.number()?;
                if number == 0 {
                    return Err("must be at least 1".to_owned());
                }
                config.limits.set(self.key, number);
                Ok(())
            }
        }
    }

    /// Its value in `config` as TOML; `None` where it is unset.
    pub fn get(&self, config: &Config) -> Option<String> {
        match self.get {
            Getter::Of(get) => get(config),
            Getter::Limit => config.limits.get(self.key).map(|value| value.to_string()),
        }
    }
}

/// Everything that can be set, in the order of the file.
pub fn settings() -> Vec<Setting> {
    let mut all = general();
    all.extend(super::bus::rows());
    all.extend(super::providers::rows());
    all.extend(super::webhooks::rows());
    all.extend(LIMITS.iter().map(|limit| Setting {
        section: "limits",
        key: limit.name,
        meaning: format!("{} Unit: {}. Exceeding it: {}.", limit.meaning, limit.unit, limit.error),
        example: "",
        set: Setter::Limit,
        get: Getter::Limit,
    }));
    all
}

/// A row of the table.
pub(super) fn row(
    section: &'static str,
    key: &'static str,
    meaning: &str,
    example: &'static str,
    set: Set,
    get: Get,
) -> Setting {
    Setting { section, key, meaning: meaning.to_owned(), example, set: Setter::Of(set), get: Getter::Of(get) }
}

fn general() -> Vec<Setting> {
    vec![
        row(
            "server",
            "listen",
            "Host and port to listen at. \"0.0.0.0:8008\" or \"[::]:8008\" listens to other machines as well.",
            "",
            |config, value| address(value).map(|listen| config.server.listen = listen),
            |config| Some(quote(&config.server.listen)),
        ),
        row(
            "server",
            "public_url",
            "What clients call the server, where that is not the listening address (behind a proxy).",
            "\"https://calendar.example.com\"",
            |config, value| url(value).map(|url| config.server.public_url = Some(url)),
            |config| config.server.public_url.as_deref().map(quote),
        ),
        row(
            "server",
            "trusted_proxies",
            "Addresses or networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
            "",
            |config, value| networks(value).map(|list| config.server.trusted_proxies = list),
            |config| Some(list(config.server.trusted_proxies.iter().map(Network::to_string))),
        ),
        row(
            "tls",
            "cert",
            "The certificate chain (PEM) to serve HTTPS with. Read again when the file changes.",
            "\"/etc/kalends/fullchain.pem\"",
            |config, value| value.text().map(|path| config.tls.cert = Some(path.into())),
            |config| config.tls.cert.as_ref().map(|path| quote(&path.to_string_lossy())),
        ),
        row(
            "tls",
            "key",
            "The certificate's private key (PEM).",
            "\"/etc/kalends/privkey.pem\"",
            |config, value| value.text().map(|path| config.tls.key = Some(path.into())),
            |config| config.tls.key.as_ref().map(|path| quote(&path.to_string_lossy())),
        ),
        row(
            "store",
            "engine",
            "The storage engine of a new data directory: \"sled\" or \"fjall\". `kalends migrate` moves an old one.",
            "",
            |config, value| engine(value).map(|engine| config.store.engine = engine),
            |config| Some(quote(config.store.engine.name())),
        ),
        row(
            "store",
            "cache_mb",
            "Memory for the engine's page cache, in MiB.",
            "",
            |config, value| value.number().map(|number| config.store.cache_mb = number.max(1)),
            |config| Some(config.store.cache_mb.to_string()),
        ),
        row(
            "log",
            "format",
            "How log lines look: \"text\" for people, \"json\" for programs. They go to standard error.",
            "",
            |config, value| log_format(value).map(|format| config.log.format = format),
            |config| Some(quote(log_format_name(config.log.format))),
        ),
        row(
            "log",
            "level",
            "What is logged: \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a filter such as \"info,kalends=debug\".",
            "",
            |config, value| value.text().and_then(log_level).map(|level| config.log.level = level),
            |config| Some(quote(&config.log.level)),
        ),
        row(
            "metrics",
            "listen",
            "Host and port at which Prometheus metrics are served (/metrics). Never on the public listener.",
            "\"127.0.0.1:9108\"",
            |config, value| address(value).map(|listen| config.metrics_listen = Some(listen)),
            |config| config.metrics_listen.as_deref().map(quote),
        ),
        row(
            "auth",
            "realm",
            "The realm of the password prompt. Clients file passwords under it: keep it as it is.",
            "",
            |config, value| realm(value).map(|realm| config.auth.realm = realm),
            |config| Some(quote(&config.auth.realm)),
        ),
        row(
            "auth",
            "open_directory",
            "Whether users can look up each other by name and address; else only whoever has granted them something, \
             and by the whole mail address. Nobody's calendars are shown by it.",
            "",
            |config, value| value.flag().map(|flag| config.auth.open_directory = flag),
            |config| Some(config.auth.open_directory.to_string()),
        ),
        row(
            "auth",
            "allow_plain",
            "Whether passwords may come over plain HTTP from other machines, where everybody on the way can read them.",
            "",
            |config, value| value.flag().map(|flag| config.auth.allow_plain = flag),
            |config| Some(config.auth.allow_plain.to_string()),
        ),
    ]
}

fn engine(value: &Value) -> Result<Engine, String> {
    match value.text()?.as_str() {
        "sled" => Ok(Engine::Sled),
        "fjall" => Ok(Engine::Fjall),
        other => Err(format!("`{other}` is no engine: use \"sled\" or \"fjall\"")),
    }
}

fn log_level(level: String) -> Result<String, String> {
    crate::server::check_level(&level).map(|()| level)
}

fn log_format(value: &Value) -> Result<LogFormat, String> {
    match value.text()?.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("`{other}` is no log format: use \"text\" or \"json\"")),
    }
}

fn log_format_name(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

pub(super) fn address(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    let shaped = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if shaped { Ok(text) } else { Err(format!("`{text}` is no address: write host:port, as in \"127.0.0.1:8008\"")) }
}

pub(super) fn url(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.trim_end_matches('/').contains('/') && !rest.is_empty() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("`{text}` is no address of a server: write \"https://calendar.example.com\", without a path")),
    }
}

fn realm(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') && !text.contains(['"', '\\']) {
        Ok(text)
    } else {
        Err("may hold plain letters, digits and spaces only".to_owned())
    }
}

fn networks(value: &Value) -> Result<Vec<Network>, String> {
    value.list()?.iter().map(|text| Network::parse(text)).collect()
}

pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.map(|text| quote(&text)).collect();
    format!("[{}]", quoted.join(", "))
}
