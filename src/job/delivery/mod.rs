//! The dispatcher: from the outbox to endpoints.
//!
//! One task keeps the ledger. Each of its rounds takes what has come meanwhile (events, results, wishes of management, workers), lets the
//! plan say what follows, writes all of that down in one batch, and only then lets the claimed deliveries go. While a batch is made
//! durable the next round gathers by itself, so the busier it is the more each batch holds. Sending is done by tasks of their own, here
//! or in workers: an endpoint that is slow or dead delays neither the others nor the outbox.

mod events;
mod load;
mod report;

pub use report::line as log_attempt;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::events::Events;
use crate::base::CollectionId;
use crate::model::{EndpointNews, EventKind};
use crate::outbound::Client;
use crate::service::outbox;
use crate::service::webhooks::{
    self, Ask, Claim, Class, EndpointId, Entry, Hearing, Notice, Outcome, Plan, SERVER, Times, ledger,
};
use crate::service::{Context, Error};
use crate::store::{Batch, Draft, Write};
use crate::webhook::{Prepared, Press, now, send};

/// Events handed out in one round.
const EVENTS_MAX: usize = 1_000;
/// Deliveries claimed in one round.
const CLAIMS_MAX: usize = 512;
/// How long the task sleeps at most: polling is the truth, bells only wake it earlier.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the position stays unwritten while it passes events that nobody hears of. After a crash they are looked at again.
const POSITION_WRITTEN: Duration = Duration::from_secs(1);
/// How often endpoints' standings and the metrics are renewed.
const STANDINGS: Duration = Duration::from_millis(250);
/// How often what is old is removed.
const SWEEP: Duration = Duration::from_secs(600);
/// How long the end waits for what is under way.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
/// Pause after the store refused a batch.
const RETRY: Duration = Duration::from_secs(1);

/// Runs the dispatcher until `stop` says so; then waits for what is under way and writes it down.
///
/// # Errors
/// Of the store, at the start.
pub async fn run(context: Arc<Context>, client: Client, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let mut dispatcher = Dispatcher::start(context, client).await?;
    let mut bell = dispatcher.context.store.newest_event();
    while !*stop.borrow() {
        let pause = dispatcher.pause();
        let context = Arc::clone(&dispatcher.context);
        tokio::select! {
            _ = stop.changed() => {}
            Some(outcome) = dispatcher.results.recv() => dispatcher.outcomes.push(outcome),
            Some(ask) = dispatcher.asks.recv() => dispatcher.asked.push(ask),
            _ = bell.changed(), if dispatcher.somebody_hears() => {}
            () = context.webhooks.rung() => {}
            () = tokio::time::sleep(pause) => {}
        }
        dispatcher.round(Claiming::Yes).await;
    }
    dispatcher.end().await;
    Ok(())
}

/// Whether a round may claim deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claiming {
    Yes,
    No,
}

struct Dispatcher {
    context: Arc<Context>,
    client: Client,
    press: Arc<Press>,
    plan: Plan,
    events: Events,
    hearing: Hearing,
    /// The newest event that was handed out.
    position: u64,
    /// The one that the store knows of, and when it was written.
    written: (u64, Instant),
    begun: Instant,
    results: mpsc::UnboundedReceiver<Outcome>,
    sender: mpsc::UnboundedSender<Outcome>,
    asks: mpsc::Receiver<Ask>,
    /// What came since the last round.
    outcomes: Vec<Outcome>,
    asked: Vec<Ask>,
    /// The position, until the lots of what was handed out are written with it.
    handed_out: Vec<Write>,
    /// What the store has not taken yet.
    unsaved: Vec<Write>,
    /// What goes when it has.
    ready: Vec<Claim>,
    notices: VecDeque<Notice>,
    standings_at: Instant,
    swept_at: Instant,
    /// Requests under way in this process.
    under_way: usize,
    more_events: bool,
}

impl Dispatcher {
    async fn start(context: Arc<Context>, client: Client) -> Result<Self, Error> {
        let position = outbox::join(&context, outbox::WEBHOOKS).await?.position;
        let (sender, results) = mpsc::unbounded_channel();
        let asks = context.webhooks.open();
        let begun = Instant::now();
        let mut dispatcher = Self {
            plan: Plan::new(context.webhooks.settings.clone()),
            context,
            client,
            press: Arc::new(Press::default()),
            events: Events::default(),
            hearing: Hearing::default(),
            position,
            written: (position, begun),
            begun,
            results,
            sender,
            asks,
            outcomes: Vec::new(),
            asked: Vec::new(),
            handed_out: Vec::new(),
            unsaved: Vec::new(),
            ready: Vec::new(),
            notices: VecDeque::new(),
            standings_at: begun,
            swept_at: begun,
            under_way: 0,
            more_events: true,
        };
        dispatcher.load().await?;
        Ok(dispatcher)
    }

    fn times(&self) -> Times {
        // Never zero: a time of zero means long ago.
        Times { now: 1 + u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1), wall: now() }
    }

    /// Whether an event can be of use to anybody. While it cannot, events are passed by the clock and not by the bell: no change waits for it,
    /// and each would pay for a round.
    fn somebody_hears(&self) -> bool {
        self.plan.endpoints().next().is_some()
    }

    /// For how long there is nothing to do unless something comes.
    fn pause(&mut self) -> Duration {
        if self.more_events {
            return Duration::ZERO;
        }
        if !self.context.webhooks.settings.send {
            // Workers ask when they want something.
            return PAUSE_MAX;
        }
        let now = self.times().now;
        let wake = self.plan.wakes_at(now).map_or(PAUSE_MAX, |at| Duration::from_millis(at.saturating_sub(now)));
        wake.min(PAUSE_MAX)
    }

    /// One round. An error of the store ends it; the next one goes on where it was.
    async fn round(&mut self, claiming: Claiming) {
        while let Ok(outcome) = self.results.try_recv() {
            self.outcomes.push(outcome);
        }
        while let Ok(ask) = self.asks.try_recv() {
            self.asked.push(ask);
        }
        if let Err(error) = self.try_round(claiming).await {
            tracing::error!(error = %error, "webhook.dispatcher.failed: it tries again");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_round(&mut self, claiming: Claiming) -> Result<(), Error> {
        self.save(Vec::new()).await?;
        self.let_go().await?;
        // Read before the endpoints are: none that was there before an event is passed over with it.
        let newest = *self.context.store.newest_event().borrow();
        self.follow_changes().await?;
        let position = self.hand_out(newest).await?;
        self.handed_out.extend(position);
        self.take_outcomes();
        let told = self.take_reports();
        let times = self.times();
        self.plan.end_leases(times);
        let mut wanted = Vec::new();
        if claiming == Claiming::Yes {
            self.read_lots(times.now).await?;
            wanted = self.claim_for_workers(times);
            if self.context.webhooks.settings.send {
                self.ready = self.plan.claim(SERVER, CLAIMS_MAX, times);
            }
        } else {
            self.asked.clear();
        }
        self.notices.extend(self.plan.notices());
        report::lines(&self.plan, &self.events);
        // The position goes with the lots: after an error in between, both wait for the next round.
        let mut writes = std::mem::take(&mut self.handed_out);
        writes.extend(self.plan.writes(times.wall));
        self.save(writes).await?;
        for answer in told {
            // Whoever no longer waits has gone away.
            let _ = answer.send(());
        }
        for (answer, claims) in wanted {
            let claims = self.with_events(claims).await?;
            let _ = answer.send(claims);
        }
        self.let_go().await?;
        self.now_and_then().await
    }

    /// What was claimed goes, and owners are told, now that it is written down.
    async fn let_go(&mut self) -> Result<(), Error> {
        while let Some(mut claim) = self.ready.pop() {
            match self.events.get(&self.context, claim.held.event).await {
                Ok(event) => claim.event = event,
                Err(error) => {
                    self.ready.push(claim);
                    return Err(error.into());
                }
            }
            self.send(claim);
        }
        // In their order: the last word about an endpoint is the one that holds.
        while let Some(notice) = self.notices.pop_front() {
            if let Err(error) = self.tell(&notice).await {
                self.notices.push_front(notice);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes down, after what could not be written down before.
    async fn save(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        self.unsaved.extend(writes);
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let batch = Batch { at: self.context.clock.now(), writes: self.unsaved.clone(), ..Batch::default() };
        self.context.store.commit(batch).await?;
        self.unsaved.clear();
        Ok(())
    }

    /// Writes new events, up to `newest`, into the lots of those who hear of them.
    async fn hand_out(&mut self, newest: u64) -> Result<Vec<Write>, Error> {
        let paused = outbox::paused(&self.context, outbox::WEBHOOKS).await?;
        // What has not come back through the bus is not handed out yet.
        let newest = newest.min(self.context.webhooks.ceiling());
        self.more_events = false;
        let mut owed = false;
        if !paused && newest > self.position {
            owed = if self.somebody_hears() { self.owe_events(newest).await? } else { self.pass_events(newest) };
        }
        Ok(self.position_written(owed).into_iter().collect())
    }

    /// Owes the next events to those who hear of them. Says whether anybody does.
    async fn owe_events(&mut self, newest: u64) -> Result<bool, Error> {
        let mut page = self.context.store.events(self.position, EVENTS_MAX).await?;
        page.rows.retain(|event| event.seq <= newest);
        let Some(last) = page.rows.last().map(|event| event.seq) else { return Ok(false) };
        self.more_events = page.more && last < newest;
        self.hearing.refresh();
        let events: Vec<Arc<_>> = page.rows.into_iter().map(Arc::new).collect();
        let endpoints: Vec<_> = self.plan.endpoints().cloned().collect();
        let mut heard: Vec<(EndpointId, Vec<Entry>)> = Vec::new();
        for endpoint in endpoints {
            let mut entries: Vec<Entry> = Vec::new();
            for event in &events {
                if self.hearing.hears(&self.context, &endpoint, event).await?.is_some() {
                    entries.push((event.seq, event.collection));
                }
            }
            heard.push((endpoint.id, entries));
        }
        // Only now that nothing can fail any more: an error in between would owe the first ones the same again.
        let owed = heard.iter().any(|(_, entries)| !entries.is_empty());
        for (id, entries) in &heard {
            self.plan.owe(*id, entries);
        }
        for event in events {
            self.events.keep(event);
        }
        self.position = last;
        Ok(owed)
    }

    /// Nobody hears of anything.
    fn pass_events(&mut self, newest: u64) -> bool {
        self.position = newest;
        false
    }

    /// The write of the position, if it is time for it: at once with what is owed, or that would be owed twice after a crash.
    fn position_written(&mut self, owed: bool) -> Option<Write> {
        let (written, at) = self.written;
        if !owed && (written == self.position || at.elapsed() < POSITION_WRITTEN) {
            return None;
        }
        self.written = (self.position, Instant::now());
        Some(outbox::put(outbox::WEBHOOKS, self.position))
    }

    /// What our own requests came to.
    fn take_outcomes(&mut self) {
        let outcomes = std::mem::take(&mut self.outcomes);
        self.under_way = self.under_way.saturating_sub(outcomes.len());
        let times = self.times();
        outcomes.iter().for_each(report::count);
        self.plan.report(SERVER, outcomes, times);
    }

    /// What workers say their requests came to.
    fn take_reports(&mut self) -> Vec<oneshot::Sender<()>> {
        let times = self.times();
        let mut told = Vec::new();
        let (reports, claims) =
            std::mem::take(&mut self.asked).into_iter().partition(|ask| matches!(ask, Ask::Report { .. }));
        self.asked = claims;
        for ask in Vec::from_iter::<Vec<Ask>>(reports) {
            if let Ask::Report { worker, outcomes, answer } = ask {
                outcomes.iter().for_each(report::count);
                self.plan.report(&worker, outcomes, times);
                told.push(answer);
            }
        }
        told
    }

    fn claim_for_workers(&mut self, times: Times) -> Vec<(oneshot::Sender<Vec<Claim>>, Vec<Claim>)> {
        let asked = std::mem::take(&mut self.asked);
        let mut wanted = Vec::new();
        for ask in asked {
            if let Ask::Claim { worker, max, answer } = ask
                && !answer.is_closed()
            {
                wanted.push((answer, self.plan.claim(&worker, max.min(CLAIMS_MAX), times)));
            }
        }
        wanted
    }

    async fn with_events(&mut self, mut claims: Vec<Claim>) -> Result<Vec<Claim>, Error> {
        for claim in &mut claims {
            claim.event = self.events.get(&self.context, claim.held.event).await?;
        }
        Ok(claims)
    }

    /// Sends one delivery in a task of its own.
    fn send(&mut self, claim: Claim) {
        self.under_way += 1;
        let (context, client, press) = (Arc::clone(&self.context), self.client.clone(), Arc::clone(&self.press));
        let answer = Answer {
            results: self.sender.clone(),
            outcome: Some(Outcome::unsent(claim.held, now(), Class::Lost, "the sender broke off")),
        };
        tokio::spawn(async move {
            let mut answer = answer;
            answer.outcome = Some(attempt(&context, &client, &press, &claim).await);
        });
    }

    /// Owners are told: a line in the log, a count, and an event that their other endpoints may hear of.
    async fn tell(&mut self, notice: &Notice) -> Result<(), Error> {
        let (id, event, news, why) = match notice {
            Notice::Failing(id, class, event) => {
                tracing::warn!(endpoint = %id, class = class.name(), "webhook.endpoint.failing");
                (*id, *event, EndpointNews::Failing, class.name().to_owned())
            }
            Notice::Recovered(id, event) => {
                tracing::info!(endpoint = %id, "webhook.endpoint.recovered");
                (*id, *event, EndpointNews::Recovered, String::new())
            }
            Notice::Exhausted(id, class, event) => {
                tracing::warn!(endpoint = %id, class = class.name(), "webhook.endpoint.exhausted");
                (*id, *event, EndpointNews::Exhausted, class.name().to_owned())
            }
            Notice::Disable(id, reason, event) => match webhooks::disable(&self.context, *id, reason).await {
                Ok(_) => {
                    tracing::warn!(endpoint = %id, reason, "webhook.endpoint.disabled");
                    (*id, *event, EndpointNews::Disabled, reason.clone())
                }
                // Removed meanwhile.
                Err(Error::NotFound) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        self.announce(id, event, news, why).await?;
        metrics::counter!("kalends_webhook_notices_total", "kind" => name_of(news)).increment(1);
        Ok(())
    }

    /// Puts the news into the outbox. That something fails is left out if the delivery that showed it was of such news itself: two
    /// endpoints that fail would go on telling of each other for ever. Its end, and that an endpoint was disabled, is always told.
    async fn announce(&mut self, id: EndpointId, event: u64, news: EndpointNews, reason: String) -> Result<(), Error> {
        if matches!(news, EndpointNews::Failing | EndpointNews::Exhausted) {
            let cause = self.events.get(&self.context, event).await?;
            if cause.is_some_and(|event| matches!(event.kind, EventKind::EndpointNews { .. })) {
                return Ok(());
            }
        }
        let Some(endpoint) = ledger::endpoint(&self.context, id).await? else { return Ok(()) };
        let owner = endpoint.owner.principal();
        let kind = EventKind::EndpointNews { endpoint: id.to_string(), news, reason };
        let events = vec![Draft { owner, collection: CollectionId(0), kind }];
        self.context.store.commit(Batch { at: self.context.clock.now(), events, ..Batch::default() }).await?;
        Ok(())
    }

    async fn now_and_then(&mut self) -> Result<(), Error> {
        if self.standings_at.elapsed() >= STANDINGS || self.under_way == 0 && !self.more_events {
            self.standings_at = Instant::now();
            let times = self.times();
            let standings = self.plan.standings(times);
            let endpoints: Vec<_> = self.plan.endpoints().cloned().collect();
            report::gauges(&self.context, &standings, &endpoints, self.position, &mut self.events).await?;
            self.context.webhooks.set_standings(standings);
        }
        if self.swept_at.elapsed() >= SWEEP {
            self.swept_at = Instant::now();
            self.client.sweep();
            load::sweep(&self.context).await?;
        }
        Ok(())
    }

    /// Claims nothing more, and writes down what becomes of what is under way.
    async fn end(&mut self) {
        let last = Instant::now() + LAST_ANSWERS;
        self.round(Claiming::No).await;
        while self.under_way > 0 {
            match tokio::time::timeout_at(last, self.results.recv()).await {
                Ok(Some(outcome)) => self.outcomes.push(outcome),
                _ => break,
            }
            self.round(Claiming::No).await;
        }
        if self.written.0 != self.position {
            self.unsaved.push(outbox::put(outbox::WEBHOOKS, self.position));
            self.round(Claiming::No).await;
        }
    }
}

fn name_of(news: EndpointNews) -> &'static str {
    match news {
        EndpointNews::Failing => "failing",
        EndpointNews::Recovered => "recovered",
        EndpointNews::Disabled => "disabled",
        EndpointNews::Exhausted => "exhausted",
    }
}

/// Tells the dispatcher what became of an attempt, whatever happens to the task that makes it.
struct Answer {
    results: mpsc::UnboundedSender<Outcome>,
    outcome: Option<Outcome>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            // A dispatcher that is gone has left a lease that says the same.
            let _ = self.results.send(outcome);
        }
    }
}

/// One attempt from preparing to what became of it.
async fn attempt(context: &Context, client: &Client, press: &Press, claim: &Claim) -> Outcome {
    match press.prepare(context, claim).await {
        Ok(Prepared::Ready(sending)) => send(client, &sending).await,
        Ok(Prepared::Superseded) => Outcome::unsent(claim.held, now(), Class::Superseded, ""),
        Ok(Prepared::Expired) => Outcome::unsent(claim.held, now(), Class::Expired, "the event is no longer kept"),
        Err(error) => {
            tracing::error!(error = %error, "webhook.prepare.failed");
            Outcome::unsent(
                claim.held,
                now(),
                Class::Unreachable,
                "it could not be prepared: the server's storage failed",
            )
        }
    }
}

/// The calendars of events, for endpoints that are told in order.
async fn calendars(
    context: &Context,
    events: &mut Events,
    numbers: &[u64],
) -> Result<HashMap<u64, CollectionId>, Error> {
    let mut found = HashMap::new();
    for number in numbers {
        let event = events.get(context, *number).await?;
        found.insert(*number, event.map_or(CollectionId(0), |event| event.collection));
    }
    Ok(found)
}
