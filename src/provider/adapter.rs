//! The contract between a provider's adapter and whoever runs it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Account, AccountSecrets, Channel};
use crate::base::Utc;
use crate::merge::{Generation, SourceRecord, Sweep};
use crate::outbound;

/// One provider's protocol, without I/O, clock or state of its own.
pub trait Adapter: Send + Sync {
    /// Reads a delivery to the account's hook: verifies it, and says what to answer and what follows. Providers that are only
    /// asked deliver nothing.
    fn deliver(&self, _account: &Account, _secrets: &AccountSecrets, _delivery: &Delivery) -> Delivered {
        Delivered::new(404, "ignored", Effect::Nothing)
    }

    /// The provider's calendars that are pulled, one pull each. Empty for providers that are never asked.
    fn calendars(&self, _account: &Account) -> Vec<String> {
        Vec::new()
    }

    /// The next request of a pull.
    ///
    /// # Errors
    /// In words, if none can be made (a URL that is none, a missing setting): the account is broken.
    fn request(
        &self,
        _account: &Account,
        _secrets: &AccountSecrets,
        _pull: &PullState,
    ) -> Result<outbound::Request, String> {
        Err("this provider is never asked; it delivers".to_owned())
    }

    /// What the answer to [`Adapter::request`] means. Pure: `now` is when it arrived.
    fn answer(&self, _account: &Account, _pull: &PullState, _answer: &outbound::Answer, _now: Utc) -> Pulled {
        Pulled::next(Next::Done { cursor: None, poll_seconds: None })
    }

    /// The housekeeping that is due at `now`: the runner does one task after the other and asks again, until there is none.
    /// A task that fails is tried again later, with growing pauses.
    /// `hook_url` is the account's public hook; without one no channel can be opened.
    fn due(
        &self,
        _account: &Account,
        _secrets: &AccountSecrets,
        _channels: &[Channel],
        _hook_url: Option<&str>,
        _now: Utc,
    ) -> Option<Task> {
        None
    }

    /// The request that does a task. `id` is a fresh random UUID.
    ///
    /// # Errors
    /// In words, if none can be made.
    fn task_request(
        &self,
        _account: &Account,
        _secrets: &AccountSecrets,
        _task: &Task,
        _hook_url: Option<&str>,
        _id: &str,
        _now: Utc,
    ) -> Result<outbound::Request, String> {
        Err("this provider takes no housekeeping".to_owned())
    }

    /// What the answer to a task's request means. `id` is the one given to [`Adapter::task_request`].
    fn task_answer(
        &self,
        _account: &Account,
        _task: &Task,
        _answer: &outbound::Answer,
        _id: &str,
        _now: Utc,
    ) -> TaskDone {
        TaskDone::Done
    }
}

/// An HTTP request that came to an account's hook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The method: `POST`, or `GET` where a handshake asks so.
    pub method: String,
    /// The query string, without its question mark.
    pub query: Option<String>,
    /// The header fields, names in lower case, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When it arrived.
    pub at: Utc,
}

impl Delivery {
    /// The first header field of that (lower-case) name, trimmed.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// The first value of a parameter in the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref()?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| decoded(value))
        })
    }
}

/// A form value: `+` is a space, `%xx` a byte.
pub(crate) fn decoded(value: &str) -> String {
    let spaced = value.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// What a delivery gets as answer, and what follows from it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The status to answer with.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// Under what it is counted: `records`, `pull`, `handshake`, `forged`, `stale_clock`, `malformed`, `ignored`, …
    pub class: &'static str,
    /// What follows.
    pub effect: Effect,
}

impl Delivered {
    /// An answer without a body.
    pub fn new(status: u16, class: &'static str, effect: Effect) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: Bytes::new(),
            class,
            effect,
        }
    }

    /// The same with a body.
    pub fn with_body(self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { content_type, body: body.into(), ..self }
    }

    /// A delivery whose proof is wrong: 401, counted, nothing follows.
    pub fn forged() -> Self {
        Self::new(401, "forged", Effect::Nothing)
    }

    /// A delivery that cannot be read, and so cannot be proven: counted, and kept nowhere.
    pub fn unreadable(status: u16, reason: &str) -> Self {
        Self::new(status, "malformed", Effect::Nothing).with_body("text/plain; charset=utf-8", format!("{reason}\n"))
    }

    /// A true delivery that cannot be read: `status`, and a dead letter with the reason, since the provider will not send
    /// another one that is better.
    pub fn malformed(status: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let body = format!("{reason}\n");
        Self::new(status, "malformed", Effect::DeadLetter(reason)).with_body("text/plain; charset=utf-8", body)
    }
}

/// What follows from a delivery.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing: a handshake, a duplicate notification, something that is not for us.
    Nothing,
    /// These records, to be applied before the answer goes out.
    Records(Vec<SourceRecord>),
    /// These calendars of the provider (as [`Adapter::calendars`] names them) are to be pulled soon.
    Pull(Vec<String>),
    /// Housekeeping is to look again now: a channel ends early, a subscription was removed.
    Upkeep,
    /// The provider speaks of our channels, by their ids: housekeeping is to look again, and what was missed is to be pulled.
    Channels {
        /// They are gone: to be forgotten, so that others are opened.
        lost: Vec<String>,
        /// They end soon: to be renewed now.
        ending: Vec<String>,
        /// These calendars are to be pulled.
        pull: Vec<String>,
    },
    /// The provider has ended our access; the reason in our words.
    Broken(String),
    /// It cannot be read and will not be sent again: kept for a person to look at; the reason, without content.
    DeadLetter(String),
}

/// A pull in progress: one calendar, from a cursor to the last page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullState {
    /// Our number of it, taken when it started: per account and calendar, growing by one. Later ones win.
    pub generation: Generation,
    /// The provider's calendar.
    pub calendar: String,
    /// The page that is asked for next, from 1 on.
    pub page: u32,
    /// What the last finished pull left to continue from (sync token, delta link, ETag and hash of a feed); `None` lists all.
    pub cursor: Option<String>,
    /// Where the next page is, as the adapter left it; `None` for the first.
    pub next: Option<String>,
    /// When it started.
    pub started: Utc,
    /// The limit `ingest_dates_max`.
    pub dates_max: u64,
    /// The limit `ingest_series_max`.
    pub series_max: u64,
    /// The limit `ingest_items_max`.
    pub items_max: u64,
    /// The limit `ingest_further_bytes_max`.
    pub further_bytes_max: u64,
}

impl PullState {
    /// The same pull, one page on.
    #[must_use]
    pub fn onward(&self, next: impl Into<String>) -> Self {
        Self { page: self.page.saturating_add(1), next: Some(next.into()), ..self.clone() }
    }
}

/// What one answer of a pull means.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What it says of events.
    pub records: Vec<SourceRecord>,
    /// Set with the last page of a full listing: what no page of it named is gone.
    pub sweep: Option<Sweep>,
    /// The items that could not be read, each with the field that is wrong; the others stand. For the dead letters.
    pub problems: Vec<String>,
    /// How the pull goes on.
    pub next: Next,
}

impl Pulled {
    /// An answer without records.
    pub fn next(next: Next) -> Self {
        Self { records: Vec::new(), sweep: None, problems: Vec::new(), next }
    }
}

/// How a pull goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// There is another page: go on with this state.
    Page(PullState),
    /// It is whole. The cursor for the next one is stored when all of its records are durable.
    Done {
        /// From where the next pull continues; `None` keeps the cursor that was.
        cursor: Option<String>,
        /// When the provider wants to be asked next (REFRESH-INTERVAL, max-age); `None` for the account's interval.
        poll_seconds: Option<u64>,
    },
    /// The cursor is no longer taken (410, valid-sync-token): list all, as a new generation.
    Resync,
    /// The access token is not taken (401): refresh it and ask again; a second time in a row breaks the account.
    Refresh,
    /// Try again later: throttled, or the provider is down. Growing pauses, at least this long.
    Wait {
        /// Retry-After in seconds, if the provider said.
        seconds: Option<u64>,
        /// Why, in our words.
        reason: String,
    },
    /// It will not work until somebody acts (grant revoked, calendar gone, no permission).
    Broken(String),
}

/// A piece of housekeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Get a new access token with the refresh token.
    RefreshToken,
    /// Open a channel for the provider's calendar.
    Open {
        /// The calendar.
        calendar: String,
    },
    /// Let a channel live longer.
    Renew(Channel),
    /// Close a channel.
    Close(Channel),
}

/// What came of a task.
#[derive(Debug, Clone)]
pub enum TaskDone {
    /// It is done, and there is nothing to remember (a channel that was to be closed is forgotten).
    Done,
    /// New tokens. A refresh token only if the provider gave another one.
    Tokens {
        /// The access token.
        access: crate::base::Secret<String>,
        /// When it ends.
        expires: Utc,
        /// The new refresh token.
        refresh: Option<crate::base::Secret<String>>,
    },
    /// The channel is there, or lives longer: it replaces the one of that id.
    Channel(Channel),
    /// The channel to be renewed is gone at the provider: forget it (the next look opens another).
    Gone,
    /// The access token is not taken.
    Refresh,
    /// Try again later.
    Wait {
        /// Retry-After in seconds, if the provider said.
        seconds: Option<u64>,
        /// Why.
        reason: String,
    },
    /// It will not work until somebody acts.
    Broken(String),
}
