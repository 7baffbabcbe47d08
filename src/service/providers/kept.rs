//! Accounts as they are kept: a row for what was set up, one for the sealed secrets, one for the push channels.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::account::ByName;
use super::{Account, AccountKey, AccountSecrets, AccountState, Provider, ProviderError};
use crate::base::{Secret, Utc};
use crate::model::{EventKind, Shelf, UserName};
use crate::service::rows::{decode, decode_since, encode};
use crate::service::{Context, StoreError};
use crate::store::{Assert, Batch, CommitError, Draft, Write};

/// The version of the rows of channels and secrets.
const VERSION: u8 = 1;
/// The version of the accounts' own rows. Version 1 had the calendar by name alone.
const ACCOUNT_VERSION: u8 = 2;
/// Accounts read at a time.
const PAGE: usize = 500;

/// Which of an account's rows.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Account = 1,
    Secrets,
    Channels,
    Status,
}

/// A push channel or subscription at the provider. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Our id of it (Google), or the provider's (Graph).
    pub id: String,
    /// The provider's name of what is watched (Google's resourceId), if it has one.
    pub resource: Option<String>,
    /// The provider's calendar that it watches.
    pub calendar: String,
    /// When it was opened, or renewed last.
    pub since: Utc,
    /// When it ends.
    pub expires: Utc,
}

/// An account to be added.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub key: AccountKey,
    /// Whose meetings these are.
    pub user: UserName,
    /// The user's calendar that they go to.
    pub calendar: String,
    /// The person's addresses; empty for those of the user.
    pub addresses: Vec<String>,
    /// The provider's calendars; see [`Account::calendars`].
    pub calendars: Vec<String>,
    /// See [`Account::base_url`].
    pub base_url: Option<String>,
    /// See [`Account::token_url`].
    pub token_url: Option<String>,
    /// See [`Account::client_id`].
    pub client_id: Option<String>,
    /// See [`Account::options`].
    pub options: Vec<(String, String)>,
    /// Seconds between polls; `None` for the configured ones.
    pub poll_seconds: Option<u64>,
    /// The secrets. A hook secret is made up where the provider lets us choose it and none is given.
    pub secrets: AccountSecrets,
}

impl Entry {
    /// An account with nothing said but which, whose, and where its meetings go.
    pub fn new(key: AccountKey, user: UserName, calendar: &str) -> Self {
        Self {
            key,
            user,
            calendar: calendar.to_owned(),
            addresses: Vec::new(),
            calendars: Vec::new(),
            base_url: None,
            token_url: None,
            client_id: None,
            options: Vec::new(),
            poll_seconds: None,
            secrets: AccountSecrets::default(),
        }
    }
}

/// The key of a row of the account.
pub(super) fn row_key(key: &AccountKey, part: Part) -> Vec<u8> {
    let mut bytes = prefix(key);
    bytes.push(part as u8);
    bytes
}

/// What the keys of all of an account's rows begin with.
pub(super) fn prefix(key: &AccountKey) -> Vec<u8> {
    let mut bytes = key.to_string().into_bytes();
    bytes.push(0);
    bytes
}

/// Adds an account and wakes the runner. Returns it with its secrets, so that a bearer token can be shown once.
///
/// # Errors
/// [`ProviderError`] if the name is taken, there is no such user or calendar, or a secret is missing.
pub async fn add(context: &Context, entry: Entry) -> Result<(Account, AccountSecrets), ProviderError> {
    let user = entry.user.clone();
    let principal = context.store.principal_named(&user).await?;
    let principal = principal.ok_or_else(|| ProviderError::NoSuchUser(user.to_string()))?;
    let Some(calendar) = context.store.child(principal.home, &entry.calendar).await? else {
        return Err(ProviderError::NoSuchCalendar { user: user.to_string(), calendar: entry.calendar });
    };
    let secrets = completed(context, &entry.key, entry.secrets)?;
    let addresses = if entry.addresses.is_empty() { principal.emails.clone() } else { entry.addresses };
    let account = Account {
        owner: principal.id,
        calendar: entry.calendar,
        addresses: addresses.iter().map(|address| address.to_lowercase()).collect(),
        calendars: entry.calendars,
        base_url: entry.base_url.map(|url| url.trim_end_matches('/').to_owned()),
        token_url: entry.token_url,
        client_id: entry.client_id,
        options: entry.options.into_iter().collect(),
        poll_seconds: entry.poll_seconds.unwrap_or_else(|| context.providers.settings.poll_seconds()).max(1),
        state: AccountState::Active,
        created: context.clock.now(),
        collection: Some(calendar.id),
        key: entry.key,
    };
    let (row, sealed) = (row_key(&account.key, Part::Account), row_key(&account.key, Part::Secrets));
    let mut writes = vec![Write::PutRow(Shelf::Accounts, row.clone(), encode(ACCOUNT_VERSION, &account))];
    if secrets != AccountSecrets::default() {
        let boxed = context.providers.settings.vault()?.seal(&account.key, &secrets);
        writes.push(Write::PutRow(Shelf::Accounts, sealed, boxed.into()));
    }
    let asserts = vec![Assert::RowIs(Shelf::Accounts, row, None), Assert::PrincipalPresent(principal.id)];
    let batch = Batch { at: context.clock.now(), asserts, writes, ..Batch::default() };
    match context.store.commit(batch).await.map_err(ProviderError::from) {
        Ok(_) => {}
        Err(ProviderError::Changed) => return Err(ProviderError::Taken(account.key)),
        Err(error) => return Err(error),
    }
    context.providers.waiting.look(&account.key);
    Ok((account, secrets))
}

/// The secrets with what we may make up, or a complaint about what we may not.
fn completed(
    context: &Context,
    key: &AccountKey,
    mut secrets: AccountSecrets,
) -> Result<AccountSecrets, ProviderError> {
    let random = || {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    match key.provider {
        Provider::Zoom | Provider::Slack if secrets.hook.is_none() => {
            let what = if key.provider == Provider::Zoom { "secret token" } else { "signing secret" };
            return Err(ProviderError::Setting(format!(
                "{} signs what it sends: give the app's {what} as `hook=...` (--secrets-stdin)",
                key.provider
            )));
        }
        Provider::Google | Provider::Microsoft if secrets.refresh_token.is_none() && secrets.access_token.is_none() => {
            return Err(ProviderError::Setting(format!(
                "{} takes an OAuth refresh token as `refresh_token=...` (--secrets-stdin); docs/providers.md says how to get one",
                key.provider
            )));
        }
        Provider::Google | Provider::Microsoft if secrets.hook.is_none() => secrets.hook = Some(Secret::new(random())),
        // The name goes with it, so that a request with this token alone leads to the account. Without a key to keep it with,
        // events are posted with a login.
        Provider::Generic if secrets.hook.is_none() && context.providers.settings.vault.is_some() => {
            secrets.hook = Some(Secret::new(format!("{}:{}", key.name, random())));
        }
        _ => {}
    }
    Ok(secrets)
}

/// The account. One whose user was removed is none any more.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`], or the store's.
pub async fn account(context: &Context, key: &AccountKey) -> Result<Account, ProviderError> {
    let (account, seen) = read(context, key).await?;
    if context.store.principal(account.owner).await?.is_none() {
        return Err(ProviderError::NoSuchAccount(key.clone()));
    }
    Ok(placed(context, account, seen).await?)
}

/// With its calendar as it is now, and with the configured places where the account names none.
async fn placed(context: &Context, account: Account, seen: Bytes) -> Result<Account, StoreError> {
    let mut account = with_collection(context, account, seen).await?;
    let settings = &context.providers.settings;
    let provider = account.key.provider;
    account.base_url = account.base_url.or_else(|| settings.base_urls.get(&provider).cloned());
    account.token_url = account.token_url.or_else(|| settings.token_urls.get(&provider).cloned());
    Ok(account)
}

/// An account keeps its calendar and the name that it has now. One whose calendar is not there (any more) takes that of the same name:
/// therefore the name may not be that of earlier.
async fn with_collection(context: &Context, mut account: Account, seen: Bytes) -> Result<Account, StoreError> {
    let Some(owner) = context.store.principal(account.owner).await? else { return Ok(account) };
    let living = match account.collection {
        Some(id) => context.store.collection(id).await?.filter(|found| found.parent == Some(owner.home)),
        None => None,
    };
    let found = match living {
        Some(found) => Some(found),
        None => context.store.child(owner.home, &account.calendar).await?,
    };
    let Some(calendar) = found else { return Ok(account) };
    if account.collection == Some(calendar.id) && account.calendar == calendar.name {
        return Ok(account);
    }
    (account.collection, account.calendar) = (Some(calendar.id), calendar.name.clone());
    let row = row_key(&account.key, Part::Account);
    let batch = Batch {
        at: context.clock.now(),
        asserts: vec![Assert::RowIs(Shelf::Accounts, row.clone(), Some(seen))],
        writes: vec![Write::PutRow(Shelf::Accounts, row, encode(ACCOUNT_VERSION, &account))],
        ..Batch::default()
    };
    match context.store.commit(batch).await {
        Err(CommitError::Store(error)) => Err(error),
        // Whoever was faster has found it too, or the next one will.
        Ok(_) | Err(CommitError::Failed { .. }) => Ok(account),
    }
}

/// Has the accounts remember the names that their calendars have now, after one was renamed: it may be gone, and its earlier name
/// taken, before anybody asks for them. What fails here is done when they are asked for.
pub(in crate::service) async fn note_names(context: &Context) {
    if let Err(error) = accounts(context).await {
        tracing::warn!(error = %error, "provider.failed");
    }
}

fn decoded(row: &[u8]) -> Result<Account, StoreError> {
    decode_since::<ByName, Account>(ACCOUNT_VERSION, row, "accounts")
}

async fn read(context: &Context, key: &AccountKey) -> Result<(Account, Bytes), ProviderError> {
    let row = context.store.row(Shelf::Accounts, &row_key(key, Part::Account)).await?;
    let row = row.ok_or_else(|| ProviderError::NoSuchAccount(key.clone()))?;
    Ok((decoded(&row)?, row))
}

/// All accounts, in the order of their keys.
///
/// # Errors
/// The store's.
pub async fn accounts(context: &Context) -> Result<Vec<Account>, StoreError> {
    let (mut found, mut from) = (Vec::new(), Vec::new());
    loop {
        let page = context.store.rows(Shelf::Accounts, from..Vec::new(), PAGE).await?;
        for (key, row) in &page.rows {
            if key.last() == Some(&(Part::Account as u8)) {
                found.push(placed(context, decoded(row)?, row.clone()).await?);
            }
        }
        match page.rows.last() {
            Some((last, _)) if page.more => from = [last.as_slice(), &[0]].concat(),
            _ => return Ok(found),
        }
    }
}

/// The account's secrets; none are stored for accounts that need none.
///
/// # Errors
/// [`ProviderError::Vault`] if they cannot be opened.
pub async fn secrets(context: &Context, key: &AccountKey) -> Result<AccountSecrets, ProviderError> {
    match context.store.row(Shelf::Accounts, &row_key(key, Part::Secrets)).await? {
        None => Ok(AccountSecrets::default()),
        Some(row) => Ok(context.providers.settings.vault()?.open(key, &row)?),
    }
}

/// Changes the account's secrets. A refreshed token and an administrator's new password may come at the same time: `change` is
/// asked again where somebody else was faster, with what is there then.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`] if it was removed meanwhile, [`ProviderError::Vault`], [`ProviderError::Changed`] if others were
/// faster again and again.
pub async fn change_secrets(
    context: &Context,
    key: &AccountKey,
    change: impl Fn(&mut AccountSecrets),
) -> Result<(), ProviderError> {
    let vault = context.providers.settings.vault()?;
    let changed = |row: Option<&Bytes>| {
        let before = row.map_or(Ok(AccountSecrets::default()), |row| vault.open(key, row))?;
        let mut secrets = before.clone();
        change(&mut secrets);
        Ok((secrets != before).then(|| vault.seal(key, &secrets).into()))
    };
    change_part(context, key, Part::Secrets, changed).await
}

/// The account's push channels.
///
/// # Errors
/// The store's.
pub async fn channels(context: &Context, key: &AccountKey) -> Result<Vec<Channel>, ProviderError> {
    match context.store.row(Shelf::Accounts, &row_key(key, Part::Channels)).await? {
        None => Ok(Vec::new()),
        Some(row) => Ok(decode(VERSION, &row, "channels")?),
    }
}

/// Changes the list of the account's push channels. Notifications and housekeeping change it at the same time: `change` is asked again
/// where somebody else was faster, with what is there then.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`] if it was removed meanwhile, [`ProviderError::Changed`] if others were faster again and again.
pub async fn change_channels(
    context: &Context,
    key: &AccountKey,
    change: impl Fn(&mut Vec<Channel>),
) -> Result<(), ProviderError> {
    let changed = |row: Option<&Bytes>| {
        let before: Vec<Channel> = row.map_or(Ok(Vec::new()), |row| decode(VERSION, row, "channels"))?;
        let mut channels = before.clone();
        change(&mut channels);
        Ok((channels != before).then(|| encode(VERSION, channels.as_slice())))
    };
    change_part(context, key, Part::Channels, changed).await
}

/// Puts what `change` makes of one of the rows beside the account's own, if it is another one, in its place.
async fn change_part(
    context: &Context,
    key: &AccountKey,
    part: Part,
    change: impl Fn(Option<&Bytes>) -> Result<Option<Bytes>, ProviderError>,
) -> Result<(), ProviderError> {
    let row = row_key(key, part);
    for _ in 0..TRIES {
        let (_, account) = read(context, key).await?;
        let seen = context.store.row(Shelf::Accounts, &row).await?;
        let Some(changed) = change(seen.as_ref())? else { return Ok(()) };
        let asserts = vec![
            Assert::RowIs(Shelf::Accounts, row_key(key, Part::Account), Some(account)),
            Assert::RowIs(Shelf::Accounts, row.clone(), seen),
        ];
        let writes = vec![Write::PutRow(Shelf::Accounts, row.clone(), changed)];
        match context.store.commit(Batch { at: context.clock.now(), asserts, writes, ..Batch::default() }).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Failed { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
    }
    Err(ProviderError::Changed)
}

/// Writes one of the rows beside the account's own, if the account is still there.
pub(super) async fn put_part(context: &Context, key: &AccountKey, part: Part, row: Bytes) -> Result<(), ProviderError> {
    let (_, seen) = read(context, key).await?;
    let asserts = vec![Assert::RowIs(Shelf::Accounts, row_key(key, Part::Account), Some(seen))];
    let writes = vec![Write::PutRow(Shelf::Accounts, row_key(key, part), row)];
    context.store.commit(Batch { at: context.clock.now(), asserts, writes, ..Batch::default() }).await?;
    Ok(())
}

/// Stops asking the account; its deliveries are refused until it is resumed, so that the provider keeps them.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`], or the store's.
pub async fn pause(context: &Context, key: &AccountKey) -> Result<(), ProviderError> {
    set_state(context, key, AccountState::Paused).await
}

/// Makes a paused or broken account work again.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`], or the store's.
pub async fn resume(context: &Context, key: &AccountKey) -> Result<(), ProviderError> {
    set_state(context, key, AccountState::Active).await?;
    super::status::mended(context, key).await;
    Ok(())
}

/// Reads everything of the account again, as new generations.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`], or the store's.
pub async fn resync(context: &Context, key: &AccountKey) -> Result<(), ProviderError> {
    account(context, key).await?;
    super::forget_cursors(context, key).await?;
    context.providers.waiting.look(key);
    Ok(())
}

/// Marks the account as broken and puts that into the outbox, once, whoever else finds it broken at the same time. `reason` is in our
/// words and holds no content.
///
/// # Errors
/// The store's; an account that is gone, or whose user is, is none.
pub async fn break_account(context: &Context, key: &AccountKey, reason: &str) -> Result<(), ProviderError> {
    for _ in 0..TRIES {
        let is_done = match break_once(context, key, reason).await {
            Err(ProviderError::NoSuchAccount(_)) => true,
            other => other?,
        };
        if is_done {
            return Ok(());
        }
    }
    Err(ProviderError::Changed)
}

/// `false` if somebody else wrote the row in between: then everything is looked at again.
async fn break_once(context: &Context, key: &AccountKey, reason: &str) -> Result<bool, ProviderError> {
    // Finds the account's calendar as it is now, and notes it.
    account(context, key).await?;
    let (found, seen) = read(context, key).await?;
    let owner = context.store.principal(found.owner).await?;
    let Some(owner) = owner.filter(|_| !matches!(found.state, AccountState::Broken { .. })) else { return Ok(true) };
    let calendar = match found.collection {
        Some(id) => context.store.collection(id).await?,
        None => None,
    };
    let event = Draft {
        owner: owner.id,
        collection: calendar.map_or(owner.home, |calendar| calendar.id),
        kind: EventKind::AccountBroken { account: key.to_string(), reason: reason.to_owned() },
    };
    let account = Account { state: AccountState::Broken { reason: reason.to_owned() }, ..found };
    let is_done = put_account(context, &account, seen, vec![event]).await?;
    if is_done {
        let (provider, name) = (key.provider.name(), key.name.as_str());
        tracing::warn!(account.provider = provider, account.name = name, reason, "provider.account_broken");
    }
    Ok(is_done)
}

/// How often it is tried again when somebody else wrote the row in between.
const TRIES: usize = 5;

async fn set_state(context: &Context, key: &AccountKey, state: AccountState) -> Result<(), ProviderError> {
    for _ in 0..TRIES {
        let (account, seen) = read(context, key).await?;
        let account = Account { state: state.clone(), ..account };
        if put_account(context, &account, seen, Vec::new()).await? {
            return Ok(());
        }
    }
    Err(ProviderError::Changed)
}

/// Writes the account's row, which was `seen` so, and wakes the runner. `false` if somebody else wrote it in between.
async fn put_account(
    context: &Context,
    account: &Account,
    seen: Bytes,
    events: Vec<Draft>,
) -> Result<bool, ProviderError> {
    let row = row_key(&account.key, Part::Account);
    let batch = Batch {
        at: context.clock.now(),
        asserts: vec![Assert::RowIs(Shelf::Accounts, row.clone(), Some(seen))],
        writes: vec![Write::PutRow(Shelf::Accounts, row, encode(ACCOUNT_VERSION, account))],
        events,
        ..Batch::default()
    };
    match context.store.commit(batch).await.map_err(ProviderError::from) {
        Err(ProviderError::Changed) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => {
            context.providers.waiting.look(&account.key);
            Ok(true)
        }
    }
}

/// Removes the account, its secrets, channels and cursors' places. The numbers of its generations stay: an account of the
/// same name goes on counting. What its records say is `service::ingest`'s.
///
/// # Errors
/// [`ProviderError::NoSuchAccount`], or the store's.
pub async fn remove(context: &Context, key: &AccountKey) -> Result<Account, ProviderError> {
    let (account, seen) = read(context, key).await?;
    let row = row_key(key, Part::Account);
    let parts = [Part::Account, Part::Secrets, Part::Channels, Part::Status];
    let writes = parts.map(|part| Write::DeleteRow(Shelf::Accounts, row_key(key, part))).to_vec();
    let asserts = vec![Assert::RowIs(Shelf::Accounts, row, Some(seen))];
    context.store.commit(Batch { at: context.clock.now(), asserts, writes, ..Batch::default() }).await?;
    super::forget_cursors(context, key).await?;
    super::status::forget(context, key);
    context.providers.waiting.look(key);
    Ok(account)
}
