//! When providers are asked: on a notification at once, else at intervals; after a failure with growing pauses.
//!
//! One turn at a time for each account, and a bounded number of turns at once, so that a slow or broken account delays no
//! other. Notifications that come while a turn runs are one more turn after it, however many they are. Nothing here has to survive a
//! crash: a server that starts looks at every account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::base::Utc;
use crate::merge::Scope;
use crate::outbound::Client;
use crate::provider::run::{Ended, pull, upkeep};
use crate::provider::{Adapter, adapter};
use crate::service::providers::{self, AccountKey, AccountState, ProviderError, Wanted};
use crate::service::{Context, ingest};

/// How often, at most, statuses are written down.
const STATUS_PAUSE: Duration = Duration::from_secs(10);
/// How often old answers and unused connections are forgotten.
const TIDY_PAUSE: Duration = Duration::from_secs(3_600);
/// How often housekeeping is looked at where nothing else happens.
const UPKEEP_PAUSE: Duration = Duration::from_secs(60);
/// How often a calendar is listed as a whole because exceptions wait for a series of it.
const LIST_AGAIN_PAUSE: Duration = Duration::from_secs(86_400);
/// Time between two pulls of a calendar that are wished for: the first bell is heard at once, a burst behind it once.
const BURST: Duration = Duration::from_millis(250);
/// The longest pause after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(900);
/// The longest pause that a provider can ask for.
const RETRY_AFTER_MAX: u64 = 86_400;
/// Time for turns to end when the server does.
const LAST_CALL: Duration = Duration::from_secs(3);

/// What is known of an account between its turns.
struct Plan {
    /// When each calendar is pulled next.
    pulls: BTreeMap<String, Instant>,
    /// When each calendar was pulled last.
    pulled: BTreeMap<String, Instant>,
    /// When housekeeping is looked at next.
    upkeep: Instant,
    /// Failures in a row of each calendar; of housekeeping under the empty name.
    failures: BTreeMap<String, u32>,
    /// Not before this, whatever is wanted: after a failure, or because the provider said so.
    not_before: Instant,
    running: bool,
    poll: Duration,
}

/// What one turn does.
struct Turn {
    key: AccountKey,
    adapter: &'static dyn Adapter,
    calendars: Vec<String>,
    upkeep: bool,
}

/// What came of a turn.
struct Turned {
    key: AccountKey,
    /// Each calendar that was pulled; housekeeping under the empty name.
    ended: Vec<(String, Result<Ended, ProviderError>)>,
}

/// The runner's state.
struct Runner {
    context: Arc<Context>,
    client: Client,
    plans: BTreeMap<AccountKey, Plan>,
    turns: JoinSet<Turned>,
    /// Whose turn a task is, for tasks that panic.
    tasks: HashMap<Id, AccountKey>,
    /// What was listed again because a series was missing, lately.
    listed_again: BTreeMap<Scope, Instant>,
}

/// Asks providers until `stop` completes.
pub async fn run(context: Arc<Context>, client: Client, stop: impl Future<Output = ()>) {
    let mut runner = Runner {
        context,
        client,
        plans: BTreeMap::new(),
        turns: JoinSet::new(),
        tasks: HashMap::new(),
        listed_again: BTreeMap::new(),
    };
    runner.begin().await;
    let mut stop = std::pin::pin!(stop);
    let mut status_at = Instant::now() + STATUS_PAUSE;
    let mut tidy_at = Instant::now() + STATUS_PAUSE;
    loop {
        runner.start_due();
        let wake = runner.next_due().min(status_at);
        let context = Arc::clone(&runner.context);
        tokio::select! {
            () = &mut stop => break,
            () = context.providers.waiting.rung() => runner.hear().await,
            Some(done) = runner.turns.join_next_with_id(), if !runner.turns.is_empty() => match done {
                Ok((id, turned)) => { runner.tasks.remove(&id); runner.turned(turned).await }
                Err(error) => runner.panicked(error.id()),
            },
            () = sleep_until(wake) => {}
        }
        if Instant::now() >= status_at {
            status_at = Instant::now() + STATUS_PAUSE;
            runner.write_down().await;
        }
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + TIDY_PAUSE;
            runner.tidy().await;
        }
    }
    runner.end().await;
}

impl Runner {
    /// Looks at every account, each a little later than the one before.
    async fn begin(&mut self) {
        match providers::accounts(&self.context).await {
            Ok(accounts) => {
                for (index, account) in accounts.iter().enumerate() {
                    let pause = Duration::from_millis(20 * (index as u64).min(1_500));
                    self.look(&account.key, pause).await;
                }
            }
            Err(error) => tracing::error!(error = %error, "provider.failed"),
        }
    }

    /// Plans an account anew: everything of it is due after `pause`. Forgets one that is gone or does not work.
    async fn look(&mut self, key: &AccountKey, pause: Duration) {
        let account = match providers::account(&self.context, key).await {
            Ok(account) => account,
            Err(_) => {
                self.plans.remove(key);
                return;
            }
        };
        let Some(adapter) = adapter(key.provider).filter(|_| account.state == AccountState::Active) else {
            self.plans.remove(key);
            return;
        };
        let at = Instant::now() + pause;
        let pulls = adapter.calendars(&account).into_iter().map(|calendar| (calendar, at)).collect();
        // An account that was removed and added again may still have a turn under way.
        let running = self.tasks.values().any(|running| running == key);
        let poll = Duration::from_secs(account.poll_seconds.max(1));
        let plan = Plan {
            pulls,
            pulled: BTreeMap::new(),
            upkeep: at,
            failures: BTreeMap::new(),
            not_before: at,
            running,
            poll,
        };
        self.plans.insert(key.clone(), plan);
    }

    /// Hears what is wanted.
    async fn hear(&mut self) {
        for (key, wanted) in self.context.providers.waiting.take() {
            if wanted.all || !self.plans.contains_key(&key) {
                self.look(&key, Duration::ZERO).await;
            }
            self.want(&key, &wanted);
        }
    }

    fn want(&mut self, key: &AccountKey, wanted: &Wanted) {
        let Some(plan) = self.plans.get_mut(key) else { return };
        let now = Instant::now();
        for calendar in &wanted.calendars {
            // A name that the adapter does not know is one of its own making; it would only fail.
            if let Some(at) = plan.pulls.get_mut(calendar) {
                let after_last = plan.pulled.get(calendar).map_or(now, |last| *last + BURST);
                *at = (*at).min(now.max(after_last));
            }
        }
        if wanted.upkeep {
            plan.upkeep = now;
        }
    }

    /// Starts the turns that are due, as many as may run at once.
    fn start_due(&mut self) {
        let now = Instant::now();
        let max = self.context.providers.settings.pulls_max();
        for (key, plan) in &mut self.plans {
            if self.turns.len() >= max {
                return;
            }
            let Some(turn) = plan.turn(key, now) else { continue };
            plan.running = true;
            let (context, client) = (Arc::clone(&self.context), self.client.clone());
            let handle = self.turns.spawn(async move { take_turn(&context, &client, turn).await });
            self.tasks.insert(handle.id(), key.clone());
        }
    }

    fn next_due(&self) -> Instant {
        let idle = self.plans.values().filter(|plan| !plan.running);
        let far = Instant::now() + UPKEEP_PAUSE;
        if self.turns.len() >= self.context.providers.settings.pulls_max() {
            return far;
        }
        idle.map(Plan::next_due).min().unwrap_or(far).min(far)
    }

    /// Plans the next turn after one.
    async fn turned(&mut self, turned: Turned) {
        let mut problem = None;
        let Some(plan) = self.plans.get_mut(&turned.key) else { return };
        plan.running = false;
        let mut pulled = false;
        for (calendar, ended) in turned.ended {
            let is_upkeep = calendar.is_empty();
            pulled |= !is_upkeep && matches!(ended, Ok(Ended::Done { .. }));
            match plan.ended(&calendar, ended) {
                Ok(()) => {}
                Err(reason) => problem = Some(reason),
            }
        }
        let idle = plan.pulls.is_empty() && plan.failures.is_empty();
        let wait = plan.next_due().saturating_duration_since(Instant::now());
        let next_try = self.context.clock.now().plus(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        self.note(&turned.key, problem, pulled, (!idle).then_some(next_try)).await;
    }

    async fn note(&self, key: &AccountKey, problem: Option<String>, pulled: bool, next_try: Option<Utc>) {
        let now = self.context.clock.now();
        if let Some(reason) = &problem {
            metrics::counter!("kalends_provider_failures_total", "provider" => key.provider.name()).increment(1);
            tracing::warn!(account.provider = key.provider.name(), account.name = key.name, reason, "provider.failed");
        }
        let noted = providers::note(&self.context, key, |status| {
            status.next_try = next_try;
            if pulled {
                status.pulled = Some(now);
                status.counts.pulls += 1;
            }
            match problem {
                Some(reason) => {
                    status.failures = status.failures.saturating_add(1);
                    status.error = Some((now, reason));
                }
                None if pulled => (status.failures, status.error) = (0, None),
                None => {}
            }
        });
        if let Err(error) = noted.await {
            tracing::error!(error = %error, "provider.failed");
        }
    }

    /// A turn that panicked is a failure like any other; the panic is in the log.
    fn panicked(&mut self, id: Id) {
        if let Some(plan) = self.tasks.remove(&id).and_then(|key| self.plans.get_mut(&key)) {
            plan.running = false;
            plan.not_before = Instant::now() + BACKOFF_MAX;
        }
    }

    async fn write_down(&self) {
        if let Err(error) = providers::flush_status(&self.context).await {
            tracing::error!(error = %error, "provider.failed");
        }
        self.gauges().await;
    }

    /// How far behind accounts are, and how many do not work.
    async fn gauges(&self) {
        let Ok(accounts) = providers::accounts(&self.context).await else { return };
        let now = self.context.clock.now();
        let mut broken: BTreeMap<&'static str, u32> = BTreeMap::new();
        let mut lag: BTreeMap<&'static str, i64> = BTreeMap::new();
        for account in &accounts {
            let name = account.key.provider.name();
            let is_broken = matches!(account.state, AccountState::Broken { .. });
            *broken.entry(name).or_default() += u32::from(is_broken);
            let asked = adapter(account.key.provider).is_some_and(|adapter| !adapter.calendars(account).is_empty());
            if asked && account.state == AccountState::Active {
                let pulled = providers::status(&self.context, &account.key).await.ok().and_then(|status| status.pulled);
                let behind = now.0 - pulled.unwrap_or(account.created).0;
                let worst = lag.entry(name).or_default();
                *worst = (*worst).max(behind);
            }
        }
        for (provider, count) in broken {
            metrics::gauge!("kalends_provider_accounts_broken", "provider" => provider).set(count);
        }
        for (provider, seconds) in lag {
            metrics::gauge!("kalends_provider_lag_seconds", "provider" => provider).set(seconds as f64);
        }
    }

    async fn tidy(&mut self) {
        self.client.sweep();
        if let Err(error) = providers::forget_old_answers(&self.context).await {
            tracing::error!(error = %error, "provider.failed");
        }
        if let Err(error) = self.tidy_accounts().await {
            tracing::error!(error = %error, "provider.failed");
        }
        match ingest::tidy(&self.context).await {
            Ok(tidied) => {
                for (_, scope) in tidied.fetch {
                    self.list_again(&scope).await;
                }
            }
            Err(error) => tracing::error!(error = %error, "provider.failed"),
        }
    }

    /// Removes accounts whose user was removed.
    async fn tidy_accounts(&self) -> Result<(), ProviderError> {
        for account in providers::accounts(&self.context).await? {
            if self.context.store.principal(account.owner).await?.is_none() {
                providers::remove(&self.context, &account.key).await?;
            }
        }
        Ok(())
    }

    /// Exceptions have waited long for their series: the calendar is listed as a whole.
    async fn list_again(&mut self, scope: &Scope) {
        let now = Instant::now();
        self.listed_again.retain(|_, at| now - *at < LIST_AGAIN_PAUSE);
        if self.listed_again.contains_key(scope) {
            return;
        }
        self.listed_again.insert(scope.clone(), now);
        let Ok(key) = AccountKey::new(scope.provider, &scope.account) else { return };
        let Some(plan) = self.plans.get(&key) else { return };
        let named = plan.pulls.keys().find(|calendar| **calendar == scope.calendar);
        let done = match named {
            Some(calendar) => {
                self.context.providers.waiting.pull(&key, [calendar.clone()]);
                providers::forget_cursor(&self.context, &key, calendar).await
            }
            None if plan.pulls.is_empty() => Ok(()),
            None => providers::resync(&self.context, &key).await,
        };
        if let Err(error) = done {
            tracing::error!(error = %error, "provider.failed");
        }
    }

    /// Lets turns end for a moment. What is cut off is done again after the next start.
    async fn end(mut self) {
        let _ = timeout(LAST_CALL, async { while self.turns.join_next().await.is_some() {} }).await;
        self.turns.shutdown().await;
        self.write_down().await;
    }
}

impl Plan {
    fn next_due(&self) -> Instant {
        self.pulls.values().copied().chain([self.upkeep]).min().unwrap_or(self.upkeep).max(self.not_before)
    }

    fn turn(&mut self, key: &AccountKey, now: Instant) -> Option<Turn> {
        if self.running || self.next_due() > now {
            return None;
        }
        let due: BTreeSet<String> =
            self.pulls.iter().filter(|(_, at)| **at <= now).map(|(calendar, _)| calendar.clone()).collect();
        for calendar in &due {
            // A wish that comes while the turn runs sets it back to now.
            self.pulls.insert(calendar.clone(), now + self.poll);
            self.pulled.insert(calendar.clone(), now);
        }
        let upkeep = self.upkeep <= now || !due.is_empty();
        self.upkeep = now + UPKEEP_PAUSE;
        Some(Turn { key: key.clone(), adapter: adapter(key.provider)?, calendars: due.into_iter().collect(), upkeep })
    }

    /// Plans a calendar's next pull by how the last one ended.
    ///
    /// # Errors
    /// What failed, in words.
    fn ended(&mut self, calendar: &str, ended: Result<Ended, ProviderError>) -> Result<(), String> {
        let (seconds, reason) = match ended {
            Ok(Ended::Done { poll_seconds }) => {
                self.failures.remove(calendar);
                if let (Some(seconds), Some(at)) = (poll_seconds, self.pulls.get_mut(calendar)) {
                    let poll = self.poll.max(Duration::from_secs(seconds.min(RETRY_AFTER_MAX)));
                    // Unless it is wanted before.
                    if *at > Instant::now() + BURST {
                        *at = Instant::now() + poll;
                    }
                }
                return Ok(());
            }
            Ok(Ended::Idle) => return Ok(()),
            Ok(Ended::Wait { seconds, reason }) => (seconds, reason),
            Err(error) => (None, error.to_string()),
        };
        let failures = self.failures.entry(calendar.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        let pause = pause_after(*failures, seconds);
        let at = Instant::now() + pause;
        if calendar.is_empty() {
            self.upkeep = at;
        } else {
            self.pulls.insert(calendar.to_owned(), at);
            if seconds.is_some() {
                // The provider meant the account, whatever the calendar.
                self.not_before = at;
            }
        }
        Err(reason)
    }
}

/// 1, 2, 4 … seconds with a spread of a quarter, at least what the provider asked for.
fn pause_after(failures: u32, asked: Option<u64>) -> Duration {
    let grown = Duration::from_secs(1_u64 << failures.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    let spread = f64::from(getrandom::u32().unwrap_or_default() % 1_000) / 4_000.0;
    let asked = Duration::from_secs(asked.unwrap_or(0).min(RETRY_AFTER_MAX));
    grown.mul_f64(1.0 + spread).max(asked)
}

/// Housekeeping, then the pulls that are due, one after the other.
async fn take_turn(context: &Context, client: &Client, turn: Turn) -> Turned {
    let mut ended = Vec::new();
    if turn.upkeep {
        ended.push((String::new(), upkeep(context, client, turn.adapter, &turn.key).await));
    }
    for calendar in turn.calendars {
        let pulled = pull(context, client, turn.adapter, &turn.key, &calendar).await;
        ended.push((calendar, pulled));
    }
    Turned { key: turn.key, ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_heed_the_provider() {
        let between = |failures, asked, low: u64, high: u64| {
            let pause = pause_after(failures, asked);
            assert!(pause >= Duration::from_secs(low) && pause <= Duration::from_secs(high), "{failures}: {pause:?}");
        };
        between(1, None, 1, 2);
        between(4, None, 8, 10);
        between(60, None, 900, 1_125);
        between(1, Some(120), 120, 120);
        between(1, Some(u64::MAX), 86_400, 86_400);
    }
}
