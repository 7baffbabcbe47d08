//! Doing what adapters say: pulls of one calendar, and the housekeeping of one account. One call at a time for each account;
//! when, how often and how many at once is the business of `job`.
//!
//! A pull takes its generation durably before it asks anything, applies what came in pieces, and stores the new cursor only
//! when all of it is durable. A crash in between costs a pull that is done again; records that come twice change nothing.

use std::time::Duration;

use super::{Account, AccountKey, AccountSecrets, AccountState, Adapter, Channel, Next, PullState, Task, TaskDone};
use crate::merge::{Generation, SourceRecord, Sweep};
use crate::outbound::{Answer, Client, Request};
use crate::service::providers::{self, ProviderError};
use crate::service::{Context, random_uuid};

/// Records that are gathered before they are applied. A smaller pull is applied as a whole, so that both halves of a series
/// that was split appear at once.
const GATHERED_MAX: usize = 2_000;
/// How often a token is refreshed for one page: the first one may belong to a grant that an administrator replaced meanwhile.
const REFRESHES: usize = 2;
/// How often one page is asked for when the connection breaks.
const PAGE_TRIES: u32 = 3;
/// How often a pull begins anew because its cursor is not taken.
const RESYNCS_MAX: u32 = 2;
/// Tasks of housekeeping that are done in one go.
const TASKS_MAX: usize = 32;
/// Time for one exchange with a provider.
const EXCHANGE: Duration = Duration::from_secs(60);

/// How a pull, or a round of housekeeping, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All is done; the provider may have said when to come again.
    Done {
        /// In how many seconds.
        poll_seconds: Option<u64>,
    },
    /// It failed and is to be tried again.
    Wait {
        /// Not before so many seconds, if the provider said.
        seconds: Option<u64>,
        /// Why, in our words.
        reason: String,
    },
    /// The account is paused, broken or gone.
    Idle,
}

/// What a pull works with.
struct Pull<'a> {
    context: &'a Context,
    client: &'a Client,
    adapter: &'a dyn Adapter,
    account: Account,
    secrets: AccountSecrets,
    gathered: Vec<SourceRecord>,
    /// The listings that ended on the way, one for each collection of an upstream server.
    sweeps: Vec<Sweep>,
}

/// What became of one page.
enum Page {
    On(PullState),
    Ended(Ended),
    Again,
}

/// Pulls one calendar of an account: from its cursor to the last page.
///
/// # Errors
/// The store's, and sealed secrets that cannot be opened.
pub async fn pull(
    context: &Context,
    client: &Client,
    adapter: &dyn Adapter,
    key: &AccountKey,
    calendar: &str,
) -> Result<Ended, ProviderError> {
    for _ in 0..=RESYNCS_MAX {
        let Some(account) = active(context, key).await? else { return Ok(Ended::Idle) };
        let secrets = providers::secrets(context, key).await?;
        let cursor = providers::begin_pull(context, key, calendar).await?;
        let state = PullState {
            generation: Generation(cursor.generation),
            calendar: calendar.to_owned(),
            page: 1,
            cursor: cursor.position,
            next: None,
            started: context.clock.now(),
            dates_max: context.limits.ingest_dates_max,
            series_max: context.limits.ingest_series_max,
            items_max: context.limits.ingest_items_max,
            further_bytes_max: context.limits.ingest_further_bytes_max,
        };
        let mut pull = Pull { context, client, adapter, account, secrets, gathered: Vec::new(), sweeps: Vec::new() };
        if let Some(ended) = pull.pages(state).await? {
            return Ok(ended);
        }
    }
    Ok(Ended::Wait { seconds: None, reason: "the provider takes no cursor, not even a fresh one".to_owned() })
}

async fn active(context: &Context, key: &AccountKey) -> Result<Option<Account>, ProviderError> {
    match providers::account(context, key).await {
        Ok(account) if account.state == AccountState::Active => Ok(Some(account)),
        Ok(_) | Err(ProviderError::NoSuchAccount(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Pull<'_> {
    /// Asks page after page. `None`: the cursor is not taken, and a new pull without one has to begin.
    async fn pages(&mut self, mut state: PullState) -> Result<Option<Ended>, ProviderError> {
        let mut refreshed = false;
        for _ in 0..self.context.limits.ingest_pages_max {
            match self.page(&state, &mut refreshed).await? {
                None => return Ok(None),
                Some(Page::Again) => {}
                Some(Page::On(next)) => (state, refreshed) = (next, false),
                Some(Page::Ended(ended)) => return Ok(Some(ended)),
            }
        }
        Ok(Some(wait("the listing has more pages than the limit ingest_pages_max allows")))
    }

    async fn page(&mut self, state: &PullState, refreshed: &mut bool) -> Result<Option<Page>, ProviderError> {
        let request = match self.adapter.request(&self.account, &self.secrets, state) {
            Ok(request) => request,
            Err(reason) => return self.broken(&reason).await.map(Some),
        };
        let answer = match ask(self.context, self.client, request).await {
            Ok(answer) => answer,
            Err(reason) => return Ok(Some(Page::Ended(wait(&reason)))),
        };
        let pulled = self.adapter.answer(&self.account, state, &answer, self.context.clock.now());
        count_answer(&self.account.key, &answer);
        for problem in &pulled.problems {
            providers::bury(self.context, &self.account.key, problem, problem.as_bytes()).await?;
        }
        self.gathered.extend(pulled.records);
        self.sweeps.extend(pulled.sweep);
        match pulled.next {
            Next::Page(next) => {
                if self.gathered.len() >= GATHERED_MAX {
                    self.apply().await?;
                }
                Ok(Some(Page::On(next)))
            }
            Next::Done { cursor, poll_seconds } => {
                // Whoever removed or paused it meanwhile wants nothing of it any more.
                if active(self.context, &self.account.key).await?.is_none() {
                    return Ok(Some(Page::Ended(Ended::Idle)));
                }
                self.apply().await?;
                for sweep in std::mem::take(&mut self.sweeps) {
                    super::apply(self.context, &self.account, Vec::new(), Some(sweep)).await?;
                }
                self.finish(state, cursor).await?;
                Ok(Some(Page::Ended(Ended::Done { poll_seconds })))
            }
            Next::Resync => {
                let Generation(generation) = state.generation;
                providers::finish_pull(self.context, &self.account.key, &state.calendar, generation, None).await?;
                metrics::counter!("kalends_provider_resyncs_total", "provider" => self.account.key.provider.name())
                    .increment(1);
                Ok(None)
            }
            Next::Refresh if *refreshed => {
                self.broken("the provider takes no access token, not even a fresh one").await.map(Some)
            }
            Next::Refresh => {
                *refreshed = true;
                self.refresh().await.map(Some)
            }
            Next::Wait { seconds, reason } => Ok(Some(Page::Ended(Ended::Wait { seconds, reason }))),
            Next::Broken(reason) => self.broken(&reason).await.map(Some),
        }
    }

    async fn apply(&mut self) -> Result<(), ProviderError> {
        let records = std::mem::take(&mut self.gathered);
        super::apply(self.context, &self.account, records, None).await?;
        Ok(())
    }

    async fn finish(&self, state: &PullState, cursor: Option<String>) -> Result<(), ProviderError> {
        let Generation(generation) = state.generation;
        let position = cursor.or_else(|| state.cursor.clone());
        providers::finish_pull(self.context, &self.account.key, &state.calendar, generation, position).await?;
        Ok(())
    }

    async fn broken(&self, reason: &str) -> Result<Page, ProviderError> {
        providers::break_account(self.context, &self.account.key, reason).await?;
        Ok(Page::Ended(Ended::Idle))
    }

    /// Gets a new access token, if there is a refresh token to get it with.
    async fn refresh(&mut self) -> Result<Page, ProviderError> {
        if self.secrets.refresh_token.is_none() {
            return self.broken("the provider takes our access no longer (401); sign in again").await;
        }
        let (context, account, task) = (self.context, &self.account, Task::RefreshToken);
        for _ in 0..REFRESHES {
            let done = do_task(context, self.client, self.adapter, account, &self.secrets, &task).await?;
            if let Done::Ended(ended) = done {
                return Ok(Page::Ended(ended));
            }
            self.secrets = providers::secrets(context, &account.key).await?;
            if self.secrets.access_token.is_some() {
                return Ok(Page::Again);
            }
        }
        Ok(Page::Ended(wait("the account's secrets change again and again")))
    }
}

fn wait(reason: &str) -> Ended {
    Ended::Wait { seconds: None, reason: reason.to_owned() }
}

fn count_answer(key: &AccountKey, answer: &Answer) {
    let labels = [("provider", key.provider.name().to_owned()), ("status", answer.status.as_u16().to_string())];
    metrics::counter!("kalends_provider_answers_total", &labels).increment(1);
    metrics::histogram!("kalends_provider_answer_seconds", &labels[..1]).record(answer.elapsed.as_secs_f64());
}

/// Sends a request; an answer that breaks off is none. Asks a few times, since connections do break.
async fn ask(context: &Context, client: &Client, mut request: Request) -> Result<Answer, String> {
    let bytes_max = usize::try_from(context.limits.ingest_answer_bytes_max).unwrap_or(usize::MAX);
    request.response_bytes_max = Some(bytes_max);
    request.total_timeout = Some(EXCHANGE);
    let mut reason = String::new();
    for attempt in 0..PAGE_TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(200 << (2 * attempt))).await;
        }
        match client.send(request.clone()).await {
            Ok(answer) if !answer.truncated => return Ok(answer),
            Ok(answer) if answer.body.len() >= bytes_max => {
                return Err("the answer is larger than the limit ingest_answer_bytes_max allows".to_owned());
            }
            Ok(_) => "the connection broke off in the middle of an answer".clone_into(&mut reason),
            Err(failure) => reason = failure.to_string(),
        }
    }
    Err(reason)
}

/// How a task went.
enum Done {
    /// Look at what is due again.
    Again,
    /// The round is over.
    Ended(Ended),
}

/// Does all the housekeeping of the account that is due.
///
/// # Errors
/// The store's, and sealed secrets that cannot be opened.
pub async fn upkeep(
    context: &Context,
    client: &Client,
    adapter: &dyn Adapter,
    key: &AccountKey,
) -> Result<Ended, ProviderError> {
    for _ in 0..TASKS_MAX {
        let Some(account) = active(context, key).await? else { return Ok(Ended::Idle) };
        let secrets = providers::secrets(context, key).await?;
        let channels = providers::channels(context, key).await?;
        let hook_url = hook_url(context, key);
        let due = adapter.due(&account, &secrets, &channels, hook_url.as_deref(), context.clock.now());
        let Some(task) = due else { return Ok(Ended::Done { poll_seconds: None }) };
        if let Done::Ended(ended) = do_task(context, client, adapter, &account, &secrets, &task).await? {
            return Ok(ended);
        }
    }
    Ok(wait("the housekeeping finds no end"))
}

/// What the world calls the account's hook; `None` if nobody said what the world calls this server.
pub fn hook_url(context: &Context, key: &AccountKey) -> Option<String> {
    let base = context.providers.settings.hook_url.as_deref()?;
    Some(format!("{base}/hooks/{key}"))
}

async fn do_task(
    context: &Context,
    client: &Client,
    adapter: &dyn Adapter,
    account: &Account,
    secrets: &AccountSecrets,
    task: &Task,
) -> Result<Done, ProviderError> {
    let (key, now, id) = (&account.key, context.clock.now(), random_uuid());
    let hook_url = hook_url(context, key);
    let request = match adapter.task_request(account, secrets, task, hook_url.as_deref(), &id, now) {
        Ok(request) => request,
        Err(reason) => return failed(context, key, secrets, task, reason).await,
    };
    let answer = match ask(context, client, request).await {
        Ok(answer) => answer,
        Err(reason) => return Ok(Done::Ended(wait(&reason))),
    };
    count_answer(key, &answer);
    match adapter.task_answer(account, task, &answer, &id, context.clock.now()) {
        TaskDone::Done => forget_channel(context, key, task).await,
        TaskDone::Gone => forget_channel(context, key, task).await,
        TaskDone::Tokens { access, expires, refresh } => {
            let fresh = |now: &mut AccountSecrets| {
                // An administrator who gave others meanwhile knows better.
                if same_grant(now, secrets) {
                    now.access_token = Some((access.clone(), expires));
                    now.refresh_token = refresh.clone().or(now.refresh_token.take());
                }
            };
            providers::change_secrets(context, key, fresh).await?;
            Ok(Done::Again)
        }
        TaskDone::Channel(channel) => keep_channel(context, key, task, channel).await,
        // A token that is not taken although it is not old: it is thrown away, and the next look gets another.
        TaskDone::Refresh if *task != Task::RefreshToken && secrets.access_token.is_some() => {
            let thrown = |now: &mut AccountSecrets| {
                now.access_token.take_if(|token| secrets.access_token.as_ref() == Some(token))
            };
            providers::change_secrets(context, key, |now| drop(thrown(now))).await?;
            Ok(Done::Again)
        }
        TaskDone::Refresh => {
            failed(context, key, secrets, task, "the provider takes our access no longer".to_owned()).await
        }
        TaskDone::Wait { seconds, reason } => Ok(Done::Ended(Ended::Wait { seconds, reason })),
        TaskDone::Broken(reason) => failed(context, key, secrets, task, reason).await,
    }
}

/// Whether nobody gave the account another grant meanwhile.
fn same_grant(now: &AccountSecrets, used: &AccountSecrets) -> bool {
    (&now.refresh_token, &now.client_secret) == (&used.refresh_token, &used.client_secret)
}

/// A task cannot be done. Without a token nothing works, so the account is broken; without a channel there are polls.
async fn failed(
    context: &Context,
    key: &AccountKey,
    used: &AccountSecrets,
    task: &Task,
    reason: String,
) -> Result<Done, ProviderError> {
    if *task == Task::RefreshToken {
        if !same_grant(&providers::secrets(context, key).await?, used) {
            return Ok(Done::Again);
        }
        providers::break_account(context, key, &reason).await?;
        return Ok(Done::Ended(Ended::Idle));
    }
    Ok(Done::Ended(Ended::Wait { seconds: Some(600), reason }))
}

async fn forget_channel(context: &Context, key: &AccountKey, task: &Task) -> Result<Done, ProviderError> {
    if let Task::Close(gone) | Task::Renew(gone) = task {
        providers::change_channels(context, key, |channels| channels.retain(|channel| channel.id != gone.id)).await?;
    }
    Ok(Done::Again)
}

/// Keeps what was opened or renewed. What the provider called lost while it was renewed is gone all the same: the next look opens another.
async fn keep_channel(context: &Context, key: &AccountKey, task: &Task, new: Channel) -> Result<Done, ProviderError> {
    let renewed = if let Task::Renew(old) = task { Some(&old.id) } else { None };
    let change = |channels: &mut Vec<Channel>| {
        let is_lost = renewed == Some(&new.id) && channels.iter().all(|channel| channel.id != new.id);
        channels.retain(|channel| channel.id != new.id && Some(&channel.id) != renewed);
        if !is_lost {
            channels.push(new.clone());
        }
    };
    providers::change_channels(context, key, change).await?;
    Ok(Done::Again)
}
