//! `POST /ingest/events`: each event on its own, with a result of its own.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Item, event, items};
use crate::base::PrincipalId;
use crate::merge::{Provider, SourceRecord};
use crate::model::UserName;
use crate::provider::json::Wrong;
use crate::service::accounts::DEFAULT_CALENDAR;
use crate::service::ingest::Outcome;
use crate::service::providers::{
    self, Account, AccountKey, AccountState, Entry, ProviderError, Remembered, account, remember, remembered,
};
use crate::service::{Context, together};

/// The longest key of idempotency, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// The longest id that an answer repeats, in bytes.
const ID_BYTES_MAX: usize = 500;
/// Events that are applied at once.
const TOGETHER: usize = 64;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
}

impl Posted {
    /// A refusal that names the field.
    pub fn refusal(status: u16, field: &str, message: &str) -> Self {
        Self { status, body: json!({ "error": { "field": field, "message": message } }).to_string() }
    }

    fn wrong(wrong: &Wrong) -> Self {
        Self::refusal(400, &wrong.field, &wrong.to_string())
    }
}

/// The account to which a bearer token leads; it begins with the account's name.
///
/// # Errors
/// The store's; `None` for a token that is nobody's.
pub async fn bearer_account(context: &Context, token: &str) -> Result<Option<Account>, ProviderError> {
    let Some((name, _)) = token.split_once(':') else { return Ok(None) };
    let Ok(key) = AccountKey::new(Provider::Generic, name) else { return Ok(None) };
    let found = match account(context, &key).await {
        Ok(found) => found,
        Err(ProviderError::NoSuchAccount(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let secrets = providers::secrets(context, &key).await?;
    Ok(secrets.hook_is(token.as_bytes()).then_some(found))
}

/// The account into which a user posts: the one named, which must be the user's, else the user's only or first one, made on
/// first use with the calendar `default`.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`] for a name that is not the user's.
pub async fn account_of(context: &Context, user: PrincipalId, named: Option<&str>) -> Result<Account, ProviderError> {
    if let Some(name) = named {
        let key = AccountKey::new(Provider::Generic, name)?;
        let found = account(context, &key).await?;
        return if found.owner == user { Ok(found) } else { Err(ProviderError::NoSuchAccount(key)) };
    }
    let Some(principal) = context.store.principal(user).await? else {
        return Err(ProviderError::NoSuchUser("?".to_owned()));
    };
    let key = AccountKey::new(Provider::Generic, principal.name.as_str())?;
    match account(context, &key).await {
        Ok(found) if found.owner == user => return Ok(found),
        Ok(_) | Err(ProviderError::NoSuchAccount(_)) => {}
        Err(error) => return Err(error),
    }
    let all = providers::accounts(context).await?;
    if let Some(found) = all.into_iter().find(|one| one.key.provider == Provider::Generic && one.owner == user) {
        return Ok(found);
    }
    make(context, key, user, principal.name.clone()).await
}

async fn make(
    context: &Context,
    key: AccountKey,
    owner: PrincipalId,
    user: UserName,
) -> Result<Account, ProviderError> {
    let entry = Entry::new(key.clone(), user, DEFAULT_CALENDAR);
    match providers::add(context, entry).await {
        Ok((made, _)) => Ok(made),
        // Two first requests at once; or the name is somebody else's account.
        Err(ProviderError::Taken(_)) => match account(context, &key).await? {
            found if found.owner == owner => Ok(found),
            _ => Err(ProviderError::NoSuchAccount(key)),
        },
        Err(error) => Err(error),
    }
}

/// Takes in the events of `body`. `key` is the request's Idempotency-Key: a request that is sent again gets its first answer.
///
/// # Errors
/// The store's: the sender is to try again.
pub async fn post(
    context: &Context,
    account: &Account,
    key: Option<&str>,
    body: &[u8],
) -> Result<Posted, ProviderError> {
    if account.state != AccountState::Active {
        return Ok(Posted::refusal(503, "(the account)", "the account is paused; try again later"));
    }
    let request: [u8; 32] = Sha256::digest(body).into();
    if let Some(key) = key {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(Posted::refusal(400, "Idempotency-Key", "an Idempotency-Key has 1 to 255 bytes"));
        }
        if let Some(first) = remembered(context, &account.key, key).await? {
            if first.request != request {
                let message = "this Idempotency-Key was used with another body; use a new key for a new request";
                return Ok(Posted::refusal(422, "Idempotency-Key", message));
            }
            return Ok(Posted { status: first.status, body: first.body });
        }
    }
    let posted = take(context, account, body).await?;
    // A refusal is not remembered: the sender mends the body and may keep the key.
    if let Some(key) = key
        && posted.status == 200
    {
        let answer = Remembered { at: context.clock.now(), request, status: posted.status, body: posted.body.clone() };
        remember(context, &account.key, key, &answer).await?;
    }
    Ok(posted)
}

async fn take(context: &Context, account: &Account, body: &[u8]) -> Result<Posted, ProviderError> {
    let listed = match items(body, &context.limits) {
        Ok(listed) => listed,
        Err(wrong) => {
            note(context, account, &Outcome::default(), 1).await?;
            let is_long = wrong.problem.contains("ingest_events_max");
            if is_long {
                metrics::counter!("kalends_limit_hits_total", "limit" => "ingest_events_max").increment(1);
            }
            return Ok(if is_long { Posted { status: 413, ..Posted::wrong(&wrong) } } else { Posted::wrong(&wrong) });
        }
    };
    let read: Vec<Result<SourceRecord, Wrong>> =
        listed.iter().map(|item| event::record(&account.key.name, &item.value, &item.path)).collect();
    if let ([Err(wrong)], [item]) = (read.as_slice(), listed.as_slice())
        && item.path.is_empty()
    {
        note(context, account, &Outcome::default(), 1).await?;
        return Ok(Posted::wrong(wrong));
    }
    let mut results = Vec::with_capacity(read.len());
    let mut total = Outcome::default();
    let mut malformed = 0;
    let mut jobs = read.into_iter().zip(&listed).enumerate().peekable();
    while jobs.peek().is_some() {
        let chunk: Vec<_> = jobs
            .by_ref()
            .take(TOGETHER)
            .map(|(index, (read, item))| one(context, account, index, read, item))
            .collect();
        for done in together(chunk).await {
            let (result, outcome) = done?;
            malformed += u64::from(outcome.is_none());
            total.add(outcome.unwrap_or_default());
            results.push(result);
        }
    }
    note(context, account, &total, malformed).await?;
    let all_wrong = malformed > 0 && malformed == results.len() as u64;
    let body = json!({ "results": results, "errors": malformed }).to_string();
    Ok(Posted { status: if all_wrong { 400 } else { 200 }, body })
}

/// Applies one event; `None` if it cannot be read.
async fn one(
    context: &Context,
    account: &Account,
    index: usize,
    read: Result<SourceRecord, Wrong>,
    item: &Item,
) -> Result<(Value, Option<Outcome>), ProviderError> {
    // A long one is not said back: answers are kept for a day.
    let short = |id: &&Value| id.is_u64() || id.as_str().is_some_and(|text| text.len() <= ID_BYTES_MAX);
    let id = item.value.get("id").filter(short).cloned().unwrap_or(Value::Null);
    let record = match read {
        Ok(record) => record,
        Err(wrong) => {
            let error = json!({ "field": wrong.field, "message": wrong.to_string() });
            return Ok((json!({ "index": index, "id": id, "result": "error", "error": error }), None));
        }
    };
    let outcome = crate::provider::applied(context, account, vec![record]).await?;
    let result = word(&outcome);
    Ok((json!({ "index": index, "id": id, "result": result }), Some(outcome)))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome { refused: 1.., .. } => "refused",
        Outcome { parked: 1.., .. } => "parked",
        Outcome { tombstoned: 1.., .. } => "deleted",
        Outcome { applied: 1.., .. } => "applied",
        Outcome { stale: 1.., .. } => "stale",
        _ => "duplicate",
    }
}

async fn note(context: &Context, account: &Account, outcome: &Outcome, malformed: u64) -> Result<(), ProviderError> {
    let now = context.clock.now();
    providers::note(context, &account.key, |status| {
        outcome.count(&mut status.counts);
        status.counts.deliveries += 1;
        status.counts.malformed += malformed;
        status.delivered = Some(now);
    })
    .await?;
    let class = if malformed > 0 { "malformed" } else { "records" };
    metrics::counter!("kalends_ingest_deliveries_total", "provider" => "generic", "class" => class).increment(1);
    Ok(())
}
