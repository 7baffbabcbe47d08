//! `[providers]`: what accounts at providers need.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::raw::Value;
use super::settings::{Setting, quote, row, url};
use super::{Config, ConfigError};
use crate::base::Secret;
use crate::merge::{DeletePolicy, Provider};
use crate::outbound::{Client, Policy, Ports, Reach};
use crate::service::providers::{ProviderSettings, Vault};

/// `[providers]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidersConfig {
    /// The key that seals secrets, in base64.
    pub key: Option<Secret<String>>,
    /// The file with the key.
    pub key_file: Option<PathBuf>,
    /// What the world calls this server, for hooks; else `[server] public_url`.
    pub hook_url: Option<String>,
    /// Seconds between polls of new accounts.
    pub poll_seconds: u64,
    /// Turns of accounts at once.
    pub pulls_max: u64,
    /// Whether providers may lie in one's own network, and be reached by http.
    pub allow_private: bool,
    /// When a meeting goes.
    pub delete: DeletePolicy,
    /// Other places of APIs.
    pub base_urls: BTreeMap<Provider, String>,
    /// Other places where tokens are refreshed.
    pub token_urls: BTreeMap<Provider, String>,
}

impl Default for ProvidersConfig {
    fn default() -> Self {
        Self {
            key: None,
            key_file: None,
            hook_url: None,
            poll_seconds: 300,
            pulls_max: 8,
            allow_private: false,
            delete: DeletePolicy::Organiser,
            base_urls: BTreeMap::new(),
            token_urls: BTreeMap::new(),
        }
    }
}

impl ProvidersConfig {
    /// What the services work with. Reads the key's file.
    ///
    /// # Errors
    /// If the key cannot be read or is none.
    pub fn build(&self, public_url: Option<&str>) -> Result<ProviderSettings, ConfigError> {
        let key = match (&self.key, &self.key_file) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    ConfigError(format!("[providers] key_file: cannot read {}: {error}", file.display()))
                })?;
                Some(Secret::new(text))
            }
            (None, None) => None,
        };
        let vault = key.as_ref().map(Vault::new).transpose();
        Ok(ProviderSettings {
            vault: vault.map_err(|error| ConfigError(format!("[providers] key: {error}")))?,
            hook_url: self.hook_url.clone().or_else(|| public_url.map(str::to_owned)),
            base_urls: self.base_urls.clone(),
            token_urls: self.token_urls.clone(),
            poll_seconds: self.poll_seconds,
            pulls_max: usize::try_from(self.pulls_max).unwrap_or(usize::MAX),
            delete: self.delete,
        })
    }

    /// The client that asks providers.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn client(&self) -> Result<Client, String> {
        let reach = if self.allow_private { Reach::Private } else { Reach::Public };
        Client::new(Policy { reach, https_only: !self.allow_private, ports: Ports::Any, ..Policy::default() })
    }
}

/// The rows of the table of settings.
pub(super) fn rows() -> Vec<Setting> {
    let mut rows = vec![
        row(
            "providers",
            "key_file",
            "A file with the key that seals secrets (providers' tokens, what signs webhooks) in the data: 32 random bytes in \
             base64, as `openssl rand -base64 32` writes. Without it: kalends.key in the data directory, made at the first \
             start. Backups hold neither: keep a copy.",
            "\"/etc/kalends/providers.key\"",
            |config, value| value.text().map(|path| config.providers.key_file = Some(path.into())),
            |config| config.providers.key_file.as_ref().map(|path| quote(&path.to_string_lossy())),
        ),
        row(
            "providers",
            "key",
            "The key itself, where a file is not at hand; better in the environment than here. Wins over key_file.",
            "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
            |config, value| value.text().map(|key| config.providers.key = Some(Secret::new(key))),
            // Never shown.
            |_| None,
        ),
        row(
            "providers",
            "hook_url",
            "What providers call this server to bring news: https, reachable from the internet. Else [server] public_url. \
             Without either Google and Microsoft are polled and send nothing.",
            "\"https://calendar.example.com\"",
            |config, value| url(value).map(|url| config.providers.hook_url = Some(url)),
            |config| config.providers.hook_url.as_deref().map(quote),
        ),
        row(
            "providers",
            "poll_seconds",
            "Seconds between polls of an account where nothing else is said when it is added.",
            "",
            |config, value| value.number().map(|seconds| config.providers.poll_seconds = seconds.max(1)),
            |config| Some(config.providers.poll_seconds.to_string()),
        ),
        row(
            "providers",
            "pulls_max",
            "How many accounts are asked at the same time.",
            "",
            |config, value| value.number().map(|number| config.providers.pulls_max = number.max(1)),
            |config| Some(config.providers.pulls_max.to_string()),
        ),
        row(
            "providers",
            "allow_private",
            "Whether feeds and other servers may lie in one's own network (private addresses, any port, plain http).",
            "",
            |config, value| value.flag().map(|flag| config.providers.allow_private = flag),
            |config| Some(config.providers.allow_private.to_string()),
        ),
        row(
            "providers",
            "delete",
            "When a meeting goes: \"organiser\": when its organiser's copy is gone or cancelled, or no calendar copy is left; \
             \"last-copy\": only when no calendar copy is left.",
            "",
            |config, value| delete(value).map(|policy| config.providers.delete = policy),
            |config| {
                Some(quote(match config.providers.delete {
                    DeletePolicy::Organiser => "organiser",
                    DeletePolicy::LastCopy => "last-copy",
                }))
            },
        ),
    ];
    rows.extend(places());
    rows
}

fn places() -> Vec<Setting> {
    let place = |key, meaning: &str, example, set, get| row("providers", key, meaning, example, set, get);
    vec![
        place(
            "google_base_url",
            "Where Google's Calendar API is, if not at its usual place.",
            "\"https://www.googleapis.com/calendar/v3\"",
            |config: &mut Config, value: &Value| {
                address(value).map(|url| drop(config.providers.base_urls.insert(Provider::Google, url)))
            },
            |config: &Config| config.providers.base_urls.get(&Provider::Google).map(|url| quote(url)),
        ),
        place(
            "google_token_url",
            "Where Google's tokens are refreshed, if not at the usual place.",
            "\"https://oauth2.googleapis.com/token\"",
            |config, value| address(value).map(|url| drop(config.providers.token_urls.insert(Provider::Google, url))),
            |config| config.providers.token_urls.get(&Provider::Google).map(|url| quote(url)),
        ),
        place(
            "microsoft_base_url",
            "Where Microsoft Graph is, if not at its usual place (national clouds).",
            "\"https://graph.microsoft.com/v1.0\"",
            |config, value| address(value).map(|url| drop(config.providers.base_urls.insert(Provider::Microsoft, url))),
            |config| config.providers.base_urls.get(&Provider::Microsoft).map(|url| quote(url)),
        ),
        place(
            "microsoft_token_url",
            "Where Microsoft's tokens are refreshed, if not at the usual place.",
            "\"https://login.microsoftonline.com/common/oauth2/v2.0/token\"",
            |config, value| {
                address(value).map(|url| drop(config.providers.token_urls.insert(Provider::Microsoft, url)))
            },
            |config| config.providers.token_urls.get(&Provider::Microsoft).map(|url| quote(url)),
        ),
    ]
}

fn delete(value: &Value) -> Result<DeletePolicy, String> {
    match value.text()?.as_str() {
        "organiser" => Ok(DeletePolicy::Organiser),
        "last-copy" => Ok(DeletePolicy::LastCopy),
        other => Err(format!("`{other}` is no way to delete: use \"organiser\" or \"last-copy\"")),
    }
}

/// A URL with a path.
fn address(value: &Value) -> Result<String, String> {
    let text = value.text()?;
    crate::outbound::Target::parse(&text).map_err(|failure| failure.to_string())?;
    Ok(text.trim_end_matches('/').to_owned())
}
