//! What the configuration says of providers, and what the running server keeps of them in memory.

use std::collections::BTreeMap;

use super::status::Statuses;
use super::{Provider, Vault, VaultError, Waiting};

/// `[providers]` of the configuration, built.
#[derive(Debug, Clone, Default)]
pub struct ProviderSettings {
    /// Seals secrets; `None` without a key.
    pub vault: Option<Vault>,
    /// What the world calls this server's hooks, without a slash at the end; `None`: no push channels can be opened.
    pub hook_url: Option<String>,
    /// Where a provider's API is, if not at the usual place.
    pub base_urls: BTreeMap<Provider, String>,
    /// Where a provider's tokens are refreshed, if not at the usual place.
    pub token_urls: BTreeMap<Provider, String>,
    /// Seconds between polls where an account says nothing; 0 means 300.
    pub poll_seconds: u64,
    /// When a meeting goes whose copies are not gone at once.
    pub delete: crate::merge::DeletePolicy,
    /// Pulls at once, all accounts together; 0 means 8.
    pub pulls_max: usize,
}

impl ProviderSettings {
    /// The vault.
    ///
    /// # Errors
    /// [`VaultError::NoKey`] says how to make a key.
    pub fn vault(&self) -> Result<&Vault, VaultError> {
        self.vault.as_ref().ok_or(VaultError::NoKey)
    }

    /// Seconds between polls for new accounts.
    pub fn poll_seconds(&self) -> u64 {
        if self.poll_seconds == 0 { 300 } else { self.poll_seconds }
    }

    /// Pulls at once.
    pub fn pulls_max(&self) -> usize {
        if self.pulls_max == 0 { 8 } else { self.pulls_max }
    }
}

/// Providers as the running server has them: settings, what waits to be pulled, how accounts fare.
#[derive(Debug, Default)]
pub struct Providers {
    /// The configuration.
    pub settings: ProviderSettings,
    /// What waits for the runner.
    pub waiting: Waiting,
    /// How accounts fare, not yet written down.
    pub(super) statuses: Statuses,
}

impl Providers {
    /// With these settings.
    pub fn new(settings: ProviderSettings) -> Self {
        Self { settings, ..Self::default() }
    }
}
