//! A recorded day once more: each line is a delivery to a hook or an answer of a provider's API, and goes through the very adapters
//! that met it first. No network; the clock is the caller's to set to each line's `at`.
//!
//! The format is that of `docs/providers.md`: one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::apply::failed;
use super::{
    Account, AccountKey, AccountSecrets, Adapter, Delivery, Effect, Next, PullState, Pulled, adapter, applied, google,
    ics, microsoft,
};
use crate::base::{Limits, Secret, Utc};
use crate::merge::{Generation, Provider, Scope, Sweep};
use crate::model::UserName;
use crate::outbound::Answer;
use crate::service::Context;
use crate::service::accounts::{self, AccountError, NewUser};
use crate::service::ingest::{self, Outcome};
use crate::service::providers::{self, Entry, ProviderError};

/// Items of a pull that were not recorded are passed over, so many at most.
const PASSED_OVER_MAX: usize = 10_000;

/// A recorded delivery or answer.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number in the order of arrival.
    pub number: u64,
    /// When it arrived.
    pub at: Utc,
    /// Which account it came to.
    pub account: AccountKey,
    headers: Vec<(String, String)>,
    body: Bytes,
    pull: Option<Pull>,
    /// What the fetches of a feed up to this one come to; see [`guard`].
    fetch: Option<Fetch>,
}

/// A feed's fetch among the others of its recording.
#[derive(Debug, Clone)]
struct Fetch {
    /// What it leaves to the next.
    cursor: Option<String>,
    /// It lost too much to be believed unless the next one says so too.
    is_held: bool,
}

/// What is known of the pull that an answer belongs to.
#[derive(Debug, Clone)]
struct Pull {
    status: u16,
    generation: u64,
    page: u32,
    calendar: Option<String>,
    cursor: Option<String>,
    /// The only item that was asked for (`events/{id}`).
    item: Option<String>,
}

/// For whom a day is replayed.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The user, made if there is none.
    pub user: UserName,
    /// The user's calendar.
    pub calendar: String,
    /// The user's addresses; those that accounts are called by if there are none.
    pub emails: Vec<String>,
    /// What proves deliveries, by provider.
    pub secrets: BTreeMap<Provider, String>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// The line's number.
    pub number: u64,
    /// What the hook answered; `None` for answers to our own requests.
    pub status: Option<u16>,
    /// What the delivery counts as.
    pub class: String,
    /// What became of its records.
    pub outcome: Outcome,
}

impl Pull {
    /// Where it stands among the pulls of its calendar.
    fn place(&self) -> (u64, u32) {
        (self.generation, self.page)
    }
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, by field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let word = |name: &str| value[name].as_str().ok_or_else(|| format!("`{name}` is missing or no text"));
        let provider = providers::provider_named(word("provider")?).map_err(|error| error.to_string())?;
        let account = account_key(provider, word("account")?).map_err(|error| format!("`account`: {error}"))?;
        let is_pull = value["pull"].is_object() || value["status"].is_u64();
        let body = match (&value["body_raw"], &value["body"]) {
            (Value::String(raw), _) => Bytes::from(raw.clone()),
            (_, Value::Null) => Bytes::new(),
            (_, body) => Bytes::from(body.to_string()),
        };
        Ok(Self {
            number: value["n"].as_u64().unwrap_or_default(),
            at: time(word("at")?)?,
            account,
            headers: headers(&value["headers"]),
            body,
            pull: is_pull.then(|| pull(&value)),
            fetch: None,
        })
    }
}

/// The account that a recording calls so. A feed's URL, and whatever else is no account's name here, becomes one that is the same
/// each time.
fn account_key(provider: Provider, name: &str) -> Result<AccountKey, String> {
    let made = AccountKey::new(provider, name).or_else(|_| {
        let digest = Sha256::digest(name.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        AccountKey::new(provider, &format!("recorded-{hex}"))
    });
    made.map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<Utc, String> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| format!("`at` is no time: {text:.40}"))?;
    Ok(Utc(parsed.timestamp()))
}

fn headers(value: &Value) -> Vec<(String, String)> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()))).collect()
}

fn pull(value: &Value) -> Pull {
    let (pull, request) = (&value["pull"], &value["pull"]["request"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Pull {
        status: value["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200),
        generation: pull["generation"].as_u64().unwrap_or(1),
        page: pull["page"].as_u64().and_then(|page| u32::try_from(page).ok()).unwrap_or(1),
        calendar: ["calendarId", "calendar", "url"].into_iter().find_map(|name| text(&request[name])),
        cursor: text(&request["syncToken"]).or_else(|| text(&request["token"])),
        item: item(value),
    }
}

/// The id of the only item that was asked for: as the request, the transport or else the answer says it.
fn item(value: &Value) -> Option<String> {
    let written = value["transport"].as_str()?.strip_prefix("events/")?;
    let request = &value["pull"]["request"];
    let field = |names: [&str; 2]| names.into_iter().find_map(|name| request[name].as_str());
    let last = |url: &str| url.split('?').next().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let named = field(["id", "eventId"]).or(Some(written).filter(|id| !id.is_empty() && !id.starts_with('{')));
    let named = named.or_else(|| value["body"]["id"].as_str()).map(str::to_owned);
    named.or_else(|| field(["url", "path"]).and_then(last))
}

/// The answer for a single item in the form in which its adapter reads one. The cursor keeps it from being taken for a whole
/// listing.
fn single(provider: Provider, state: PullState, id: &str, status: u16, body: &Bytes) -> (PullState, u16, Bytes) {
    let state = PullState { cursor: Some("item".to_owned()), ..state };
    match provider {
        Provider::Microsoft => (microsoft::asking_for(&state, id), status, body.clone()),
        _ => match google::page_of_item(id, status, body) {
            Some(page) => (state, 200, page),
            None => (state, status, body.clone()),
        },
    }
}

/// Makes the user and the accounts that `lines` came to, as far as they are not there.
///
/// # Errors
/// The store's, and what the setup lacks.
pub async fn prepare(context: &Context, setup: &Setup, lines: &[Line]) -> Result<(), ProviderError> {
    let keys: BTreeSet<&AccountKey> = lines.iter().map(|line| &line.account).collect();
    if let Err(AccountError::NoSuchUser(_)) = accounts::find(context, &setup.user).await {
        let named = keys.iter().map(|key| key.name.clone()).filter(|name| name.contains('@'));
        let emails = if setup.emails.is_empty() { named.collect() } else { setup.emails.clone() };
        let user = NewUser { name: setup.user.clone(), display_name: None, emails, password: None, admin: false };
        accounts::create(context, user).await.map_err(of_account)?;
    }
    for key in keys {
        match providers::account(context, key).await {
            Ok(_) => {}
            Err(ProviderError::NoSuchAccount(_)) => drop(providers::add(context, entry(setup, key)).await?),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn of_account(error: AccountError) -> ProviderError {
    match error {
        AccountError::Store(error) => ProviderError::Store(error),
        other => ProviderError::Setting(other.to_string()),
    }
}

fn entry(setup: &Setup, key: &AccountKey) -> Entry {
    let hook = setup.secrets.get(&key.provider).map(|secret| secret.replace("{account}", &key.name));
    let token = matches!(key.provider, Provider::Google | Provider::Microsoft);
    Entry {
        addresses: if key.name.contains('@') { vec![key.name.clone()] } else { Vec::new() },
        secrets: AccountSecrets {
            hook: hook.map(Secret::new),
            refresh_token: token.then(|| Secret::new("recorded".to_owned())),
            ..AccountSecrets::default()
        },
        ..Entry::new(key.clone(), setup.user.clone(), &setup.calendar)
    }
}

/// Finds the fetches of feeds among `lines` that are not to be believed, as a pull would: a good copy that loses most of its events
/// must say so twice. Goes by the order in which the fetches began, whatever the order of `lines`; what was fetched before them
/// counts too. To be called after [`prepare`] and before any line is played.
///
/// # Errors
/// The store's.
pub async fn guard(context: &Context, lines: &mut [Line]) -> Result<(), ProviderError> {
    let mut fetches: BTreeMap<(AccountKey, String), Vec<usize>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if let (Some(pull), Provider::Ics) = (&line.pull, line.account.provider) {
            fetches.entry((line.account.clone(), pull.calendar.clone().unwrap_or_default())).or_default().push(index);
        }
    }
    for ((key, _), mut order) in fetches {
        let account = providers::account(context, &key).await?;
        order.sort_by_key(|index| (lines[*index].pull.as_ref().map(Pull::place), lines[*index].number));
        let mut before: Option<(Option<(u64, u32)>, Fetch)> = None;
        for index in order {
            let line = &lines[index];
            let Some(pull) = &line.pull else { continue };
            let place = Some(pull.place());
            let fetch = match before.take() {
                Some((known, fetch)) if known == place => fetch,
                Some((_, fetch)) => fetched(&context.limits, &account, line, pull, fetch.cursor),
                None => {
                    let kept = providers::cursor(
                        context,
                        &key,
                        &state(&context.limits, &account, &ics::Ics, line, pull).calendar,
                    )
                    .await?;
                    let is_earlier = kept.position_generation < pull.generation;
                    fetched(&context.limits, &account, line, pull, kept.position.filter(|_| is_earlier))
                }
            };
            lines[index].fetch = Some(fetch.clone());
            before = Some((place, fetch));
        }
    }
    Ok(())
}

/// What the fetch of `line` comes to behind one that left `before`.
fn fetched(limits: &Limits, account: &Account, line: &Line, pull: &Pull, before: Option<String>) -> Fetch {
    let state = PullState { cursor: before.clone(), ..state(limits, account, &ics::Ics, line, pull) };
    let pulled = ics::Ics.answer(account, &state, &answer(pull.status, &line.headers, &line.body), line.at);
    let cursor = match pulled.next {
        Next::Done { cursor, .. } => cursor.or(before),
        _ => before,
    };
    Fetch { is_held: pull.status == 200 && cursor.as_deref().is_some_and(ics::is_held), cursor }
}

/// The pull that a line belongs to.
fn state(limits: &Limits, account: &Account, adapter: &dyn Adapter, line: &Line, pull: &Pull) -> PullState {
    let calendar = pull.calendar.clone().or_else(|| adapter.calendars(account).into_iter().next());
    PullState {
        generation: Generation(pull.generation),
        calendar: calendar.unwrap_or_default(),
        page: pull.page,
        cursor: pull.cursor.clone(),
        next: None,
        started: line.at,
        dates_max: limits.ingest_dates_max,
        series_max: limits.ingest_series_max,
        items_max: limits.ingest_items_max,
        further_bytes_max: limits.ingest_further_bytes_max,
    }
}

/// Plays a line.
///
/// # Errors
/// The store's: the line can be played again.
pub async fn play(context: &Context, line: &Line) -> Result<Played, ProviderError> {
    let key = &line.account;
    let account = providers::account(context, key).await?;
    let adapter = adapter(key.provider).ok_or_else(|| ProviderError::NoSuchAccount(key.clone()))?;
    let played = match &line.pull {
        None => delivered(context, &account, adapter, line).await?,
        Some(pull) => pulled(context, &account, adapter, line, pull).await?,
    };
    providers::note(context, key, |status| played.outcome.count(&mut status.counts)).await?;
    Ok(played)
}

async fn delivered(
    context: &Context,
    account: &Account,
    adapter: &dyn Adapter,
    line: &Line,
) -> Result<Played, ProviderError> {
    let secrets = providers::secrets(context, &account.key).await?;
    let delivery = Delivery {
        method: "POST".to_owned(),
        query: None,
        headers: line.headers.clone(),
        body: line.body.clone(),
        at: line.at,
    };
    let delivered = adapter.deliver(account, &secrets, &delivery);
    let mut outcome = Outcome::default();
    match delivered.effect {
        Effect::Records(records) => outcome = applied(context, account, records).await?,
        Effect::DeadLetter(reason) => providers::bury(context, &account.key, &reason, &line.body).await?,
        // What would have been asked for is in the recording.
        _ => {}
    }
    let class = delivered.class.to_owned();
    Ok(Played { number: line.number, status: Some(delivered.status), class, outcome })
}

async fn pulled(
    context: &Context,
    account: &Account,
    adapter: &dyn Adapter,
    line: &Line,
    pull: &Pull,
) -> Result<Played, ProviderError> {
    let state = state(&context.limits, account, adapter, line, pull);
    let (number, generation) = (line.number, pull.generation);
    if let Some(Fetch { cursor, is_held: true }) = &line.fetch {
        providers::finish_pull(context, &account.key, &state.calendar, generation, cursor.clone()).await?;
        return Ok(Played { number, status: None, class: "held".to_owned(), outcome: Outcome::default() });
    }
    let (state, status, body) = match &pull.item {
        Some(id) => single(account.key.provider, state, id, pull.status, &line.body),
        None => (state, pull.status, line.body.clone()),
    };
    let Pulled { mut records, sweep, problems, next } =
        whole(account, adapter, &state, answer(status, &line.headers, &body), line.at);
    if account.key.provider == Provider::Microsoft && pull.item.is_none() && status == 200 {
        records.extend(microsoft::removed(account, &state, &body));
    }
    for problem in problems {
        providers::bury(context, &account.key, &problem, problem.as_bytes()).await?;
    }
    let mut outcome = applied(context, account, records).await?;
    outcome.add(swept(context, account, &state, sweep.as_ref()).await?);
    let (class, cursor) = match next {
        Next::Page(_) => ("page", None),
        Next::Done { cursor, .. } => ("pulled", Some(cursor)),
        Next::Resync => ("resync", Some(None)),
        Next::Refresh => ("refresh", None),
        Next::Wait { .. } => ("wait", None),
        Next::Broken(_) => ("broken", None),
    };
    if let Some(cursor) = cursor.filter(|_| pull.item.is_none()) {
        providers::finish_pull(context, &account.key, &state.calendar, generation, cursor).await?;
    }
    Ok(Played { number, status: None, class: class.to_owned(), outcome })
}

/// What an answer means, and the end of its pull if only single items are still wanted that nobody recorded.
fn whole(account: &Account, adapter: &dyn Adapter, state: &PullState, answer: Answer, now: Utc) -> Pulled {
    let mut pulled = adapter.answer(account, state, &answer, now);
    let is_last = String::from_utf8_lossy(&answer.body).contains("@odata.deltaLink");
    for _ in 0..PASSED_OVER_MAX {
        let Next::Page(onward) = &pulled.next else { break };
        if !is_last {
            break;
        }
        let denied = self::answer(403, &[], &Bytes::from_static(b"{}"));
        let then = adapter.answer(account, onward, &denied, now);
        (pulled.sweep, pulled.next) = (then.sweep, then.next);
    }
    pulled
}

fn answer(status: u16, headers: &[(String, String)], body: &Bytes) -> Answer {
    let field = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    Answer {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
        headers: headers.iter().filter_map(field).collect::<HeaderMap>(),
        body: body.clone(),
        truncated: is_cut_off(headers, body),
        elapsed: Duration::ZERO,
    }
}

/// Whether less came than was announced. What was compressed on the way is recorded as it was read.
fn is_cut_off(headers: &[(String, String)], body: &Bytes) -> bool {
    let value = |name: &str| headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim());
    let announced = value("content-length").and_then(|length| length.parse::<usize>().ok());
    value("content-encoding").is_none() && announced.is_some_and(|length| length > body.len())
}

/// Pages may come in any order here: a listing ends when all of its pages are there.
async fn swept(
    context: &Context,
    account: &Account,
    state: &PullState,
    sweep: Option<&Sweep>,
) -> Result<Outcome, ProviderError> {
    if state.cursor.is_some() {
        return Ok(Outcome::default());
    }
    let scope =
        Scope { provider: account.key.provider, account: account.key.name.clone(), calendar: state.calendar.clone() };
    let whole = ingest::page(context, account, &scope, state.generation, state.page, sweep).await.map_err(failed)?;
    match whole {
        Some(sweep) => ingest::sweep(context, account, &sweep).await.map_err(failed),
        None => Ok(Outcome::default()),
    }
}

/// The lines in another order that depends on `seed` alone (Fisher-Yates over SplitMix64).
pub fn shuffle<T>(lines: &mut [T], mut seed: u64) {
    let mut next = move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for at in (1..lines.len()).rev() {
        let other = usize::try_from(next() % (at as u64 + 1)).unwrap_or(at);
        lines.swap(at, other);
    }
}
