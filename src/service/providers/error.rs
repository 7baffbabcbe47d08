//! Why something cannot be done with an account.

use super::{AccountKey, KeyError, VaultError};
use crate::store::{CommitError, StoreError};

/// Why something cannot be done with an account.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// There is one of that name.
    #[error("there is an account {0} already")]
    Taken(AccountKey),
    /// There is none of that name.
    #[error("there is no account {0}; `kalends provider list` shows them")]
    NoSuchAccount(AccountKey),
    /// There is no such user.
    #[error("there is no user `{0}`")]
    NoSuchUser(String),
    /// The user has no such calendar.
    #[error("`{user}` has no calendar `{calendar}`")]
    NoSuchCalendar {
        /// The user.
        user: String,
        /// The calendar.
        calendar: String,
    },
    /// A setting is wrong or missing.
    #[error("{0}")]
    Setting(String),
    /// The account's key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its secrets cannot be kept or read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Somebody else changed it at the same moment.
    #[error("the account was changed by somebody else at the same moment; try again")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommitError> for ProviderError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed { .. } => Self::Changed,
            CommitError::Store(error) => Self::Store(error),
        }
    }
}
