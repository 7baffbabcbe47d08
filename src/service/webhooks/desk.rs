//! What the running server keeps of delivery in memory, and where everybody who has to do with it meets: management rings the bell,
//! the dispatcher says how endpoints stand, senders claim and report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::breaker::BreakerState;
use super::ledger::{Health, Held};
use super::{Endpoint, EndpointId, Millis, Outcome, Schedule, SigningSecrets};
use crate::model::Event;

/// `[webhooks]` of the configuration, built.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// When failed deliveries are tried again.
    pub schedule: Schedule,
    /// How long attempts, dead letters and the events themselves are kept, in days.
    pub retention_days: u64,
    /// Requests younger than a moment that are under way at once, all endpoints together.
    pub in_flight_max: usize,
    /// How long a sender outside of the server may keep what it claimed, in seconds.
    pub lease_seconds: u64,
    /// For how long both secrets sign after a rotation, in seconds.
    pub rotation_seconds: u64,
    /// How long an endpoint that fails again and again is left alone at first, in seconds; at most thirty times that.
    pub breaker_seconds: u64,
    /// Days without a success after which an endpoint is disabled.
    pub disable_days: u64,
    /// Ports of the public internet that endpoints may have.
    pub ports: Vec<u16>,
    /// Whether endpoints of the public internet may be plain HTTP.
    pub allow_http: bool,
    /// Whether the server sends itself; if not, `kalends worker` processes do.
    pub send: bool,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            retention_days: 30,
            in_flight_max: 64,
            lease_seconds: 90,
            rotation_seconds: 24 * 60 * 60,
            breaker_seconds: 30,
            disable_days: 5,
            ports: vec![443],
            allow_http: false,
            send: true,
        }
    }
}

/// How an endpoint stands right now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Deliveries that wait in lots: not tried yet.
    pub pending: u64,
    /// Deliveries that failed and are tried again, or that somebody asked for.
    pub waiting: u64,
    /// Deliveries that are claimed: under way, or about to be.
    pub in_flight: u64,
    /// Dead letters that were made since the server started.
    pub dead: u64,
    /// The oldest event that is neither delivered nor given up.
    pub oldest: Option<u64>,
    /// When something is tried next; `None`: nothing waits, or now.
    pub next: Option<Millis>,
    /// The breaker.
    pub breaker: BreakerState,
    /// How it has been answering.
    pub health: Health,
}

/// A claimed delivery with all that it takes to send it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What was claimed.
    pub held: Held,
    /// Where to.
    pub endpoint: Arc<Endpoint>,
    /// What to sign with.
    pub secrets: Arc<SigningSecrets>,
    /// The event; `None` for a test, or if it is no longer kept.
    pub event: Option<Arc<Event>>,
}

/// What a sender asks the dispatcher for.
pub enum Ask {
    /// To claim deliveries.
    Claim {
        /// Who asks.
        worker: String,
        /// How many at most.
        max: usize,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<Claim>>,
    },
    /// To take down what became of claimed ones.
    Report {
        /// Who reports.
        worker: String,
        /// What became of them.
        outcomes: Vec<Outcome>,
        /// Told when it is durable.
        answer: oneshot::Sender<()>,
    },
}

/// Nobody hands out deliveries: the server is starting or ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no deliveries are handed out now: the server is starting or ending; try again in a moment")]
pub struct DeskClosed;

/// Where everybody meets.
#[derive(Default)]
pub struct Desk {
    /// The configuration.
    pub settings: WebhookSettings,
    bell: Notify,
    changed: Mutex<BTreeSet<EndpointId>>,
    standings: Mutex<BTreeMap<EndpointId, Standing>>,
    asks: Mutex<Option<mpsc::Sender<Ask>>>,
    ceiling: Mutex<Option<u64>>,
    /// Held by whoever counts the tests that wait until one more does.
    pub(super) tests: tokio::sync::Mutex<()>,
}

impl Desk {
    /// With these settings.
    pub fn new(settings: WebhookSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Something about this endpoint was changed in the store: its row, its secrets, or what waits for it.
    pub fn changed(&self, id: EndpointId) {
        self.changed.lock().insert(id);
        self.bell.notify_one();
    }

    /// Takes what was changed.
    pub fn take_changed(&self) -> BTreeSet<EndpointId> {
        std::mem::take(&mut *self.changed.lock())
    }

    /// Waits until something was changed.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// How an endpoint stands, as the dispatcher last said; `None` if no dispatcher runs here or it has not seen it yet.
    pub fn standing(&self, id: EndpointId) -> Option<Standing> {
        self.standings.lock().get(&id).cloned()
    }

    /// The dispatcher says how endpoints stand.
    pub fn set_standings(&self, standings: BTreeMap<EndpointId, Standing>) {
        *self.standings.lock() = standings;
    }

    /// Events behind this one are not handed out yet: they have not come back through the bus. `None`: all may be.
    pub fn set_ceiling(&self, ceiling: Option<u64>) {
        *self.ceiling.lock() = ceiling;
        self.bell.notify_one();
    }

    /// See [`Desk::set_ceiling`].
    pub fn ceiling(&self) -> u64 {
        self.ceiling.lock().unwrap_or(u64::MAX)
    }

    /// The dispatcher opens the desk to senders.
    pub fn open(&self) -> mpsc::Receiver<Ask> {
        let (sender, asks) = mpsc::channel(64);
        *self.asks.lock() = Some(sender);
        asks
    }

    /// Claims up to `max` deliveries for `worker`; none if there are none now. They are its own until it reports, or until its lease ends.
    ///
    /// # Errors
    /// [`DeskClosed`].
    pub async fn claim(&self, worker: &str, max: usize) -> Result<Vec<Claim>, DeskClosed> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Claim { worker: worker.to_owned(), max, answer }).await?;
        answered.await.map_err(|_| DeskClosed)
    }

    /// Reports what became of claimed deliveries. When it returns, that is durable.
    ///
    /// # Errors
    /// [`DeskClosed`]: nothing was taken down.
    pub async fn report(&self, worker: &str, outcomes: Vec<Outcome>) -> Result<(), DeskClosed> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Report { worker: worker.to_owned(), outcomes, answer }).await?;
        answered.await.map_err(|_| DeskClosed)
    }

    async fn ask(&self, ask: Ask) -> Result<(), DeskClosed> {
        let sender = self.asks.lock().clone().ok_or(DeskClosed)?;
        sender.send(ask).await.map_err(|_| DeskClosed)
    }
}
