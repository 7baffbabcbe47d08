//! Records of an account, applied and counted.

use super::Account;
use crate::merge::{SourceRecord, Sweep};
use crate::service::ingest::{self, Outcome};
use crate::service::providers::{self, ProviderError};
use crate::service::{Context, Error};

/// Applies what the account says, then the end of a listing, and counts what became of it.
///
/// # Errors
/// The store's: the same records can be applied again.
pub async fn apply(
    context: &Context,
    account: &Account,
    records: Vec<SourceRecord>,
    sweep: Option<Sweep>,
) -> Result<Outcome, ProviderError> {
    let mut outcome = Outcome::default();
    if !records.is_empty() {
        outcome.add(applied(context, account, records).await?);
    }
    if let Some(sweep) = &sweep {
        outcome.add(ingest::sweep(context, account, sweep).await.map_err(failed)?);
    }
    providers::note(context, &account.key, |status| outcome.count(&mut status.counts)).await?;
    Ok(outcome)
}

/// Applies records without counting them for the account.
///
/// # Errors
/// The store's.
pub async fn applied(
    context: &Context,
    account: &Account,
    records: Vec<SourceRecord>,
) -> Result<Outcome, ProviderError> {
    ingest::apply(context, account, records).await.map_err(failed)
}

/// What it means to an account that its records could not be taken in.
pub(super) fn failed(error: Error) -> ProviderError {
    match error {
        Error::Store(error) => ProviderError::Store(error),
        Error::StateChanged => ProviderError::Changed,
        other => ProviderError::Setting(format!("its records cannot be kept: {other}")),
    }
}
