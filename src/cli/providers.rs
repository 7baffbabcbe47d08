//! `kalends provider`: accounts at providers, as the administrator sees them.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::command::Listing;
use super::output::{Exit, Output};
use super::run::{Failure, date, print_json, print_table};
use crate::base::Secret;
use crate::model::UserName;
use crate::provider::run::hook_url;
use crate::service::Context;
use crate::service::providers::{
    self, Account, AccountKey, AccountSecrets, AccountState, Cursor, Entry, Provider, ProviderError, Status,
    provider_named,
};

/// The longest list of secrets, in bytes.
const SECRETS_BYTES_MAX: u64 = 64 * 1024;
/// Dead letters that are shown, or forgotten, at once.
const DEAD_MAX: usize = 100_000;

/// `kalends provider`
#[derive(Debug, Subcommand)]
pub enum ProviderVerb {
    /// Add an account
    ///
    /// Secrets never stand on the command line: --secrets-stdin or --secrets-file take lines NAME=VALUE with the names hook
    /// (Zoom's secret token, Slack's signing secret), refresh_token, client_secret and password. docs/providers.md says what each
    /// provider needs. Prints the address that the provider is to be given, if it needs one.
    Add(Box<Add>),
    /// List the accounts
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how accounts fare: last pull, lag, errors, next try, and what became of what they said
    Status {
        /// One account
        #[arg(value_name = "PROVIDER/NAME")]
        account: Option<AccountKey>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop asking an account; its deliveries are refused for now, so that the provider keeps them
    Pause {
        /// The account
        #[arg(value_name = "PROVIDER/NAME")]
        account: AccountKey,
    },
    /// Let a paused or broken account work again
    Resume {
        /// The account
        #[arg(value_name = "PROVIDER/NAME")]
        account: AccountKey,
        /// Read new secrets (lines NAME=VALUE) from standard input; those that are not named stay
        #[arg(long)]
        secrets_stdin: bool,
    },
    /// Read everything of an account anew
    Resync {
        /// The account
        #[arg(value_name = "PROVIDER/NAME")]
        account: AccountKey,
    },
    /// Remove an account with all it has said: its meetings go, unless another account knows them too
    Remove {
        /// The account
        #[arg(value_name = "PROVIDER/NAME")]
        account: AccountKey,
        /// Keep the meetings as they are
        #[arg(long)]
        keep_meetings: bool,
    },
    /// List deliveries that could not be used, the newest first
    Dead {
        /// Of one account
        #[arg(value_name = "PROVIDER/NAME")]
        account: Option<AccountKey>,
        /// Forget them
        #[arg(long)]
        forget: bool,
        /// As JSON, with the bodies
        #[arg(long)]
        json: bool,
    },
}

/// `kalends provider add`
#[derive(Debug, Args)]
pub struct Add {
    /// google, microsoft, zoom, slack, ics, caldav or generic
    #[arg(value_parser = |text: &str| provider_named(text))]
    pub provider: Provider,
    /// Whose meetings these are
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// The account's name here, part of its hook's URL: letters, digits and . _ - + @ [default: the user's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The user's calendar that the meetings go to
    #[arg(long, value_name = "CALENDAR", default_value = "default")]
    pub calendar: String,
    /// The person's addresses at the provider [default: those of the user]
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<String>,
    /// What to read there: a Google or Microsoft calendar's id, the URL of a feed or of a CalDAV server or collection
    #[arg(long = "source", value_name = "ID|URL")]
    pub sources: Vec<String>,
    /// Where the provider's API is, if not at its usual place
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Where tokens are refreshed, if not at the usual place
    #[arg(long, value_name = "URL")]
    pub token_url: Option<String>,
    /// The OAuth client's id, or the name to log in with
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// A setting of one provider alone; see docs/providers.md
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub options: Vec<(String, String)>,
    /// Seconds between polls
    #[arg(long, value_name = "SECONDS")]
    pub poll_seconds: Option<u64>,
    /// Read secrets from standard input, lines NAME=VALUE
    #[arg(long)]
    pub secrets_stdin: bool,
    /// Read secrets from a file, lines NAME=VALUE
    #[arg(long, value_name = "FILE", conflicts_with = "secrets_stdin")]
    pub secrets_file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// An account to be added.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewAccount {
    /// The account.
    pub account: AccountKey,
    /// Whose.
    pub user: String,
    /// The calendar.
    pub calendar: String,
    /// The person's addresses.
    pub addresses: Vec<String>,
    /// What to read.
    pub sources: Vec<String>,
    /// Where the API is.
    pub base_url: Option<String>,
    /// Where tokens are refreshed.
    pub token_url: Option<String>,
    /// The client's id.
    pub client_id: Option<String>,
    /// Settings.
    pub options: Vec<(String, String)>,
    /// Seconds between polls.
    pub poll_seconds: Option<u64>,
    /// Secrets, by name.
    pub secrets: Vec<(String, String)>,
}

/// The same as a value, with the secrets read.
#[derive(Clone, Serialize, Deserialize)]
pub enum ProviderCommand {
    /// `add`
    Add(Box<NewAccount>),
    /// `list`
    List {
        /// How to list.
        listing: Listing,
    },
    /// `status`
    Status {
        /// One, or all.
        account: Option<AccountKey>,
        /// How to list.
        listing: Listing,
    },
    /// `pause`
    Pause(AccountKey),
    /// `resume`, with new secrets by name
    Resume(AccountKey, Vec<(String, String)>),
    /// `resync`
    Resync(AccountKey),
    /// `remove`
    Remove {
        /// Which.
        account: AccountKey,
        /// Whether what it has said stays.
        keep_meetings: bool,
    },
    /// `dead`
    Dead {
        /// One, or all.
        account: Option<AccountKey>,
        /// Whether to forget them.
        forget: bool,
        /// How to list.
        listing: Listing,
    },
}

/// From the command line to the command: reads secrets.
///
/// # Errors
/// What is wrong, for the one who called.
pub(super) fn command(verb: ProviderVerb) -> Result<ProviderCommand, String> {
    Ok(match verb {
        ProviderVerb::Add(add) => of_add(*add)?,
        ProviderVerb::List { json } => ProviderCommand::List { listing: Listing::by_flag(json) },
        ProviderVerb::Status { account, json } => ProviderCommand::Status { account, listing: Listing::by_flag(json) },
        ProviderVerb::Pause { account } => ProviderCommand::Pause(account),
        ProviderVerb::Resume { account, secrets_stdin } => {
            let secrets = if secrets_stdin { read_secrets(std::io::stdin().lock())? } else { Vec::new() };
            ProviderCommand::Resume(account, secrets)
        }
        ProviderVerb::Resync { account } => ProviderCommand::Resync(account),
        ProviderVerb::Remove { account, keep_meetings } => ProviderCommand::Remove { account, keep_meetings },
        ProviderVerb::Dead { account, forget, json } => {
            ProviderCommand::Dead { account, forget, listing: Listing::by_flag(json) }
        }
    })
}

fn of_add(add: Add) -> Result<ProviderCommand, String> {
    let secrets = match &add.secrets_file {
        Some(file) => {
            let opened = std::fs::File::open(file);
            read_secrets(opened.map_err(|error| format!("cannot read {}: {error}", file.display()))?)?
        }
        None if add.secrets_stdin => read_secrets(std::io::stdin().lock())?,
        None => Vec::new(),
    };
    let name = add.name.unwrap_or_else(|| add.user.clone());
    let account = AccountKey::new(add.provider, &name).map_err(|error| error.to_string())?;
    Ok(ProviderCommand::Add(Box::new(NewAccount {
        account,
        user: add.user,
        calendar: add.calendar,
        addresses: add.addresses,
        sources: add.sources,
        base_url: add.base_url,
        token_url: add.token_url,
        client_id: add.client_id,
        options: add.options,
        poll_seconds: add.poll_seconds,
        secrets,
    })))
}

/// Lines NAME=VALUE; empty ones and those that begin with `#` are skipped. Complaints show no value.
fn read_secrets(from: impl Read) -> Result<Vec<(String, String)>, String> {
    let mut text = String::new();
    from.take(SECRETS_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read the secrets: {error}"))?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| pair(line).map_err(|_| format!("line {number} of the secrets is not NAME=VALUE")))
        .collect()
}

/// Puts named secrets over those that are there.
fn secrets_of(named: Vec<(String, String)>) -> Result<AccountSecrets, Failure> {
    let mut secrets = AccountSecrets::default();
    for (name, value) in named {
        let value = Some(Secret::new(value));
        match name.replace('-', "_").as_str() {
            "hook" => secrets.hook = value,
            "refresh_token" => secrets.refresh_token = value,
            "client_secret" => secrets.client_secret = value,
            "password" => secrets.password = value,
            _ => {
                let shown: String = name.chars().take(32).collect();
                let known = "hook, refresh_token, client_secret and password";
                return Err(Failure(Exit::Usage, format!("`{shown}` is no secret's name: there are {known}")));
            }
        }
    }
    Ok(secrets)
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let exit = match &error {
            ProviderError::Taken(_) => Exit::Conflict,
            ProviderError::NoSuchAccount(_) | ProviderError::NoSuchUser(_) | ProviderError::NoSuchCalendar { .. } => {
                Exit::NotFound
            }
            ProviderError::Setting(_) | ProviderError::Key(_) => Exit::Usage,
            ProviderError::Vault(_) | ProviderError::Changed | ProviderError::Store(_) => Exit::Failed,
        };
        Self(exit, error.to_string())
    }
}

/// The account that is asked for.
fn entry(new: NewAccount) -> Result<Entry, Failure> {
    Ok(Entry {
        key: new.account,
        user: UserName::new(&new.user)?,
        calendar: new.calendar,
        addresses: new.addresses,
        calendars: new.sources,
        base_url: new.base_url,
        token_url: new.token_url,
        client_id: new.client_id,
        options: new.options,
        poll_seconds: new.poll_seconds,
        secrets: secrets_of(new.secrets)?,
    })
}

/// Runs a command.
pub(super) async fn run(context: &Context, command: ProviderCommand, output: &Output) -> Result<(), Failure> {
    match command {
        ProviderCommand::Add(new) => add(context, entry(*new)?, output).await?,
        ProviderCommand::List { listing } => list(context, listing, output).await?,
        ProviderCommand::Status { account, listing } => status(context, account, listing, output).await?,
        ProviderCommand::Pause(account) => providers::pause(context, &account).await?,
        ProviderCommand::Resume(account, named) => {
            if !named.is_empty() {
                let given = secrets_of(named)?;
                providers::change_secrets(context, &account, |secrets| secrets.take_over(&given)).await?;
            }
            providers::resume(context, &account).await?;
        }
        ProviderCommand::Resync(account) => providers::resync(context, &account).await?,
        ProviderCommand::Remove { account, keep_meetings } => {
            let removed = providers::remove(context, &account).await?;
            if !keep_meetings {
                crate::service::ingest::forget_account(context, &removed).await?;
            }
        }
        ProviderCommand::Dead { account, forget: true, .. } => {
            let count = providers::forget_dead_letters(context, account.as_ref(), DEAD_MAX).await?;
            output.note(format!("{count} forgotten")).await;
        }
        ProviderCommand::Dead { account, listing, .. } => dead(context, account, listing, output).await?,
    }
    Ok(())
}

async fn add(context: &Context, entry: Entry, output: &Output) -> Result<(), Failure> {
    if let (Provider::Ics | Provider::Caldav, []) = (entry.key.provider, entry.calendars.as_slice()) {
        return Err(Failure(Exit::Usage, format!("{} needs the address to read: --source URL", entry.key.provider)));
    }
    let is_own_token = entry.secrets.hook.is_none();
    let (account, secrets) = providers::add(context, entry).await?;
    let key = &account.key;
    output.note(format!("{key} was added")).await;
    let url = hook_url(context, key).unwrap_or_else(|| format!("https://THIS-SERVER/hooks/{key}"));
    match key.provider {
        Provider::Zoom => output.note(format!("Give the Zoom app this event notification endpoint: {url}")).await,
        Provider::Slack => output.note(format!("Give the Slack app this request URL for events: {url}")).await,
        Provider::Generic if is_own_token => match &secrets.hook {
            // Shown once: it is how the sender proves itself.
            Some(token) => output.data(format!("{}\n", token.expose())).await,
            None => output.note("There is no key to keep a bearer token with: events are posted with a login").await,
        },
        Provider::Google | Provider::Microsoft if context.providers.settings.hook_url.is_none() => {
            output.note("Nobody said what the world calls this server ([providers] hook_url): it is polled").await;
        }
        _ => {}
    }
    Ok(())
}

fn state(account: &Account) -> &'static str {
    match account.state {
        AccountState::Active => "active",
        AccountState::Paused => "paused",
        AccountState::Broken { .. } => "broken",
    }
}

async fn user_of(context: &Context, account: &Account) -> Result<String, Failure> {
    let owner = context.store.principal(account.owner).await?;
    Ok(owner.map_or_else(|| "?".to_owned(), |owner| owner.name.to_string()))
}

async fn list(context: &Context, listing: Listing, output: &Output) -> Result<(), Failure> {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for account in providers::accounts(context).await? {
        let user = user_of(context, &account).await?;
        objects.push(json!({
            "account": account.key.to_string(),
            "provider": account.key.provider.name(),
            "name": account.key.name,
            "user": user,
            "calendar": account.calendar,
            "addresses": account.addresses,
            "sources": account.calendars,
            "base_url": account.base_url,
            "client_id": account.client_id,
            "poll_seconds": account.poll_seconds,
            "state": state(&account),
            "hook": hook_url(context, &account.key),
            "created": date(account.created),
        }));
        rows.push(vec![account.key.to_string(), format!("{user}/{}", account.calendar), state(&account).to_owned()]);
    }
    match listing {
        Listing::Json => print_json(objects, output).await,
        Listing::Text => print_table(&rows, output).await,
    }
    Ok(())
}

async fn status(context: &Context, key: Option<AccountKey>, listing: Listing, output: &Output) -> Result<(), Failure> {
    let accounts = match key {
        Some(key) => vec![providers::account(context, &key).await?],
        None => providers::accounts(context).await?,
    };
    let (mut objects, mut text) = (Vec::new(), String::new());
    for account in &accounts {
        let status = providers::status(context, &account.key).await?;
        let cursors = providers::cursors(context, &account.key).await?;
        let channels = providers::channels(context, &account.key).await?;
        let now = context.clock.now();
        let lag = status.pulled.filter(|_| account.key.provider != Provider::Generic).map(|at| (now.0 - at.0).max(0));
        objects.push(as_json(account, &status, &cursors, &channels, lag));
        text.push_str(&as_text(account, &status, &cursors, lag));
    }
    match listing {
        Listing::Json => print_json(objects, output).await,
        Listing::Text => output.data(text).await,
    }
    Ok(())
}

fn as_json(
    account: &Account,
    status: &Status,
    cursors: &[(String, Cursor)],
    channels: &[providers::Channel],
    lag: Option<i64>,
) -> Value {
    let reason = match &account.state {
        AccountState::Broken { reason } => Some(reason),
        _ => None,
    };
    let counts = status.counts;
    json!({
        "account": account.key.to_string(),
        "state": state(account),
        "reason": reason,
        "last_pull": status.pulled.map(date),
        "last_delivery": status.delivered.map(date),
        "lag_seconds": lag,
        "error": status.error.as_ref().map(|(at, text)| json!({ "at": date(*at), "text": text })),
        "failures": status.failures,
        "next_try": status.next_try.map(date),
        "counts": {
            "applied": counts.applied, "stale": counts.stale, "duplicate": counts.duplicate, "parked": counts.parked,
            "tombstoned": counts.tombstoned, "noise": counts.noise, "deliveries": counts.deliveries,
            "forged": counts.forged, "malformed": counts.malformed, "pulls": counts.pulls,
        },
        // A cursor of a provider may hold what a link holds: only whether there is one.
        "calendars": cursors.iter().map(|(name, cursor)| json!({
            "calendar": name, "generation": cursor.generation, "has_cursor": cursor.position.is_some(),
        })).collect::<Vec<_>>(),
        "channels": channels.iter().map(|channel| json!({
            "calendar": channel.calendar, "expires": date(channel.expires),
        })).collect::<Vec<_>>(),
    })
}

fn as_text(account: &Account, status: &Status, cursors: &[(String, Cursor)], lag: Option<i64>) -> String {
    let time = |at: Option<crate::base::Utc>| at.map_or_else(|| "never".to_owned(), date);
    let counts = status.counts;
    let mut text = format!("{}: {}\n", account.key, state(account));
    if let AccountState::Broken { reason } = &account.state {
        text.push_str(&format!("  broken: {reason}\n"));
    }
    text.push_str(&format!("  last pull {}, last delivery {}", time(status.pulled), time(status.delivered)));
    if let Some(seconds) = lag {
        text.push_str(&format!(", lag {seconds} s"));
    }
    text.push('\n');
    if let Some((at, error)) = &status.error {
        text.push_str(&format!("  failed {} times, last {}: {error}\n", status.failures, date(*at)));
    }
    if let Some(at) = status.next_try {
        text.push_str(&format!("  next try {}\n", date(at)));
    }
    text.push_str(&format!(
        "  applied {}, stale {}, duplicate {}, parked {}, tombstoned {}, noise {}\n",
        counts.applied, counts.stale, counts.duplicate, counts.parked, counts.tombstoned, counts.noise
    ));
    text.push_str(&format!(
        "  deliveries {}, forged {}, malformed {}, pulls {}\n",
        counts.deliveries, counts.forged, counts.malformed, counts.pulls
    ));
    for (name, cursor) in cursors {
        let how = if cursor.position.is_some() { "continues" } else { "lists all" };
        text.push_str(&format!("  calendar {name}: pull {}, next {how}\n", cursor.generation));
    }
    text
}

async fn dead(context: &Context, key: Option<AccountKey>, listing: Listing, output: &Output) -> Result<(), Failure> {
    let letters = providers::dead_letters(context, key.as_ref(), DEAD_MAX).await?;
    match listing {
        Listing::Json => {
            let object = |letter: &providers::DeadLetter| {
                json!({
                    "account": letter.account, "first": date(letter.first), "last": date(letter.last),
                    "times": letter.times, "reason": letter.reason, "body_bytes": letter.body_bytes,
                    "body": String::from_utf8_lossy(&letter.body),
                })
            };
            print_json(letters.iter().map(object).collect(), output).await;
        }
        Listing::Text => {
            let row = |letter: &providers::DeadLetter| {
                vec![date(letter.last), letter.account.clone(), format!("{}x", letter.times), letter.reason.clone()]
            };
            print_table(&letters.iter().map(row).collect::<Vec<_>>(), output).await;
        }
    }
    Ok(())
}
