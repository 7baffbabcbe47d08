//! What happens when something comes to an account's hook: verified, counted, and applied or noted before it is answered.

use super::{Account, AccountKey, AccountState, Delivered, Delivery, Effect, apply};
use crate::base::Utc;
use crate::service::Context;
use crate::service::providers::{self, ProviderError};

/// Answers a delivery to the hook of the account `key`.
pub async fn receive(context: &Context, key: &AccountKey, delivery: &Delivery) -> Delivered {
    let delivered = match received(context, key, delivery).await {
        Ok(delivered) => delivered,
        Err(error) => failed(key, &error),
    };
    let labels = [("provider", key.provider.name()), ("class", delivered.class)];
    metrics::counter!("kalends_ingest_deliveries_total", &labels).increment(1);
    delivered
}

/// 503: the provider is to send it again.
fn failed(key: &AccountKey, error: &ProviderError) -> Delivered {
    if let ProviderError::NoSuchAccount(_) = error {
        // These are named after users: a stranger is told the same as of one that is there.
        if key.provider == crate::merge::Provider::Generic {
            return Delivered::forged();
        }
        return Delivered::new(404, "no_account", Effect::Nothing);
    }
    tracing::error!(account.provider = key.provider.name(), account.name = key.name, error = %error, "provider.failed");
    let mut delivered = Delivered::new(503, "failed", Effect::Nothing);
    delivered.headers.push(("retry-after", "30".to_owned()));
    delivered
}

async fn received(context: &Context, key: &AccountKey, delivery: &Delivery) -> Result<Delivered, ProviderError> {
    let account = providers::account(context, key).await?;
    let Some(adapter) = super::adapter(key.provider) else {
        return Err(ProviderError::NoSuchAccount(key.clone()));
    };
    let secrets = providers::secrets(context, key).await?;
    let delivered = adapter.deliver(&account, &secrets, delivery);
    providers::note(context, key, |status| {
        status.counts.deliveries += 1;
        match delivered.class {
            "forged" => status.counts.forged += 1,
            "malformed" => status.counts.malformed += 1,
            // No proof that it came from the provider.
            "handshake" => {}
            _ => status.delivered = Some(delivery.at),
        }
    })
    .await?;
    if delivered.class == "forged" {
        tracing::warn!(account.provider = key.provider.name(), account.name = key.name, "provider.forged");
    }
    // A handshake works for a paused account too; what it would miss is asked for again.
    if account.state == AccountState::Paused && !matches!(delivered.effect, Effect::Nothing) {
        let mut refused = Delivered::new(503, "paused", Effect::Nothing);
        refused.headers.push(("retry-after", "600".to_owned()));
        return Ok(refused);
    }
    follow(context, &account, delivery, delivered).await
}

async fn follow(
    context: &Context,
    account: &Account,
    delivery: &Delivery,
    mut delivered: Delivered,
) -> Result<Delivered, ProviderError> {
    let key = &account.key;
    match std::mem::replace(&mut delivered.effect, Effect::Nothing) {
        Effect::Nothing => {}
        Effect::Records(records) => {
            apply(context, account, records, None).await?;
        }
        Effect::Pull(calendars) => context.providers.waiting.pull(key, calendars),
        Effect::Upkeep => context.providers.waiting.upkeep(key),
        Effect::Channels { lost, ending, pull } => {
            channels(context, key, &lost, &ending).await?;
            context.providers.waiting.upkeep(key);
            context.providers.waiting.pull(key, pull);
        }
        Effect::Broken(reason) => providers::break_account(context, key, &reason).await?,
        Effect::DeadLetter(reason) => providers::bury(context, key, &reason, &delivery.body).await?,
    }
    Ok(delivered)
}

/// What the provider says of our channels: lost ones are forgotten, ending ones are as good as ended, so that housekeeping
/// opens or renews them.
async fn channels(
    context: &Context,
    key: &AccountKey,
    lost: &[String],
    ending: &[String],
) -> Result<(), ProviderError> {
    let change = |kept: &mut Vec<providers::Channel>| {
        kept.retain(|channel| !lost.contains(&channel.id));
        for channel in kept.iter_mut().filter(|channel| ending.contains(&channel.id)) {
            channel.expires = Utc(channel.expires.0.min(context.clock.now().0));
        }
    };
    providers::change_channels(context, key, change).await
}
