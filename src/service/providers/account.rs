//! What is kept of one provider account: whose it is, where its meetings go, and (apart, sealed) its secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, PrincipalId, Secret, Utc};
use crate::merge::Provider;

/// A text names no provider, or no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such provider.
    #[error("`{0}` is no provider: there are google, microsoft, zoom, slack, ics, caldav and generic")]
    Provider(String),
    /// The name has characters that it cannot have.
    #[error(
        "`{0}` is no account's name: use 1 to 200 letters, digits and the signs . _ - + @, beginning with a letter or digit"
    )]
    Name(String),
    /// It is not written PROVIDER/NAME.
    #[error("`{0}` names no account: write PROVIDER/NAME, as in google/anna@example.com")]
    Shape(String),
}

/// The provider of that name, one of those that can have accounts.
///
/// # Errors
/// [`KeyError::Provider`] names them all.
pub fn provider_named(text: &str) -> Result<Provider, KeyError> {
    Provider::of(text)
        .filter(|provider| *provider != Provider::Local)
        .ok_or_else(|| KeyError::Provider(text.chars().take(64).collect()))
}

/// Which account: its provider, and a name that is unique there. Written `google/anna@example.com`; the same two segments
/// stand in the URL of its hook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey {
    /// The provider.
    pub provider: Provider,
    /// The name; by default what the provider calls the account. Records carry it as their account.
    pub name: String,
}

impl AccountKey {
    /// The key of `provider`'s account `name`.
    ///
    /// # Errors
    /// If the name has characters that do not fit into a URL's segment.
    pub fn new(provider: Provider, name: &str) -> Result<Self, KeyError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || name.len() > 200 || !name.chars().all(allowed) {
            return Err(KeyError::Name(name.chars().take(200).collect()));
        }
        Ok(Self { provider, name: name.to_owned() })
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

impl FromStr for AccountKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (provider, name) = text.split_once('/').ok_or_else(|| KeyError::Shape(text.chars().take(200).collect()))?;
        Self::new(provider_named(provider)?, name)
    }
}

/// One provider account, as it was set up. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which.
    pub key: AccountKey,
    /// The user whose meetings these are.
    pub owner: PrincipalId,
    /// The name of the user's calendar that the meetings go to: its present one, for people.
    pub calendar: String,
    /// The person's own addresses, lower-case, the preferred one first: whose answer is "my answer".
    pub addresses: Vec<String>,
    /// The provider's calendars that are read: Google calendar ids, a feed's URL, an upstream collection's URL. Empty for
    /// the provider's default (`primary`).
    pub calendars: Vec<String>,
    /// Where the provider's API is, without a slash at the end; `None` for the configured or usual place.
    pub base_url: Option<String>,
    /// Where tokens are refreshed; `None` for the configured or usual place.
    pub token_url: Option<String>,
    /// The OAuth client's id, or the name to log in with.
    pub client_id: Option<String>,
    /// What only one adapter knows, by name (`tenant` for microsoft, …).
    pub options: BTreeMap<String, String>,
    /// Seconds between polls.
    pub poll_seconds: u64,
    /// Whether it works.
    pub state: AccountState,
    /// When it was added.
    pub created: Utc,
    /// The calendar that the meetings go to, whatever it is called by now. `None` if it has not been found yet; without it, or
    /// when it is gone, one of its name takes its place.
    pub collection: Option<CollectionId>,
}

/// An account as it was kept in version 1: its calendar by name alone.
#[derive(Deserialize)]
pub(super) struct ByName {
    key: AccountKey,
    owner: PrincipalId,
    calendar: String,
    addresses: Vec<String>,
    calendars: Vec<String>,
    base_url: Option<String>,
    token_url: Option<String>,
    client_id: Option<String>,
    options: BTreeMap<String, String>,
    poll_seconds: u64,
    state: AccountState,
    created: Utc,
}

impl From<ByName> for Account {
    fn from(old: ByName) -> Self {
        Self {
            key: old.key,
            owner: old.owner,
            calendar: old.calendar,
            addresses: old.addresses,
            calendars: old.calendars,
            base_url: old.base_url,
            token_url: old.token_url,
            client_id: old.client_id,
            options: old.options,
            poll_seconds: old.poll_seconds,
            state: old.state,
            created: old.created,
            collection: None,
        }
    }
}

impl Account {
    /// The provider's calendars to read; `default` where none are named.
    pub fn calendars_or(&self, default: &str) -> Vec<String> {
        if self.calendars.is_empty() { vec![default.to_owned()] } else { self.calendars.clone() }
    }

    /// The URLs to read, for providers whose calendars are URLs; the one of the provider where none are named.
    pub fn urls(&self) -> Vec<String> {
        if self.calendars.is_empty() { self.base_url.iter().cloned().collect() } else { self.calendars.clone() }
    }

    /// Where the provider's API is, without a slash at the end; `usual` where nothing else is said.
    pub fn base_or<'a>(&'a self, usual: &'a str) -> &'a str {
        self.base_url.as_deref().unwrap_or(usual).trim_end_matches('/')
    }
}

/// Whether an account works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountState {
    /// It is read.
    Active,
    /// The administrator stopped it; deliveries are refused with 503, so that the provider keeps them.
    Paused,
    /// The provider refuses us for good (a grant revoked, a calendar gone); somebody has to act, then `resume`.
    Broken {
        /// What the provider said, in our words.
        reason: String,
    },
}

/// An account's secrets. Stored sealed (see [`super::Vault`]); never logged (invariant A2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSecrets {
    /// What proves that a delivery is the provider's: Zoom's secret token, Slack's signing secret, Google's channel token,
    /// Graph's clientState, a generic account's bearer token.
    pub hook: Option<Secret<String>>,
    /// The OAuth refresh token.
    pub refresh_token: Option<Secret<String>>,
    /// The OAuth access token, and when it ends.
    pub access_token: Option<(Secret<String>, Utc)>,
    /// The OAuth client's secret.
    pub client_secret: Option<Secret<String>>,
    /// The password of an upstream server or feed.
    pub password: Option<Secret<String>>,
}

impl AccountSecrets {
    /// The access token, if it is good for at least `margin` seconds more.
    pub fn access_token_at(&self, now: Utc, margin: i64) -> Option<&Secret<String>> {
        self.access_token.as_ref().filter(|(_, until)| until.0 - margin > now.0).map(|(token, _)| token)
    }

    /// Puts those that are given in place of its own. An access token goes with the grant that it belongs to.
    pub fn take_over(&mut self, given: &Self) {
        if given.refresh_token.is_some() || given.access_token.is_some() {
            self.access_token.clone_from(&given.access_token);
        }
        let own = [&mut self.hook, &mut self.refresh_token, &mut self.client_secret, &mut self.password];
        let given = [&given.hook, &given.refresh_token, &given.client_secret, &given.password];
        for (own, given) in own.into_iter().zip(given).filter(|(_, given)| given.is_some()) {
            own.clone_from(given);
        }
    }

    /// Whether a delivery's `token` is the hook secret; compared in constant time. `false` if there is no secret.
    pub fn hook_is(&self, token: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.hook.as_ref().is_some_and(|hook| bool::from(hook.expose().as_bytes().ct_eq(token)))
    }
}
