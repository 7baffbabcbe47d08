//! What can become of an attempt, and what is kept of it.

use serde::{Deserialize, Serialize};

use super::{EndpointId, Held};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z, by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// This point moved by `ms`.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ms))
    }

    /// The point in whole seconds.
    pub fn utc(self) -> crate::base::Utc {
        crate::base::Utc(self.0.div_euclid(1_000))
    }
}

impl From<crate::base::Utc> for Millis {
    fn from(at: crate::base::Utc) -> Self {
        Self(at.0.saturating_mul(1_000))
    }
}

/// What became of an attempt, in the words of logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// 2xx.
    Delivered,
    /// No name, or no connection: nothing was sent.
    Unreachable,
    /// The connection broke before there was an answer. The receiver may have got it.
    Network,
    /// No answer in time. The receiver may have got it.
    Timeout,
    /// The certificate does not hold, or there is no TLS.
    Tls,
    /// 429 or 503: the endpoint wants to be left alone for a while.
    Throttled,
    /// 408, 425 or 5xx.
    ServerError,
    /// Another 4xx, or a status that makes no sense: tried three times.
    Refused,
    /// 3xx: the URL moved; nobody follows. Tried three times.
    Moved,
    /// 410: the endpoint is to be disabled.
    Gone,
    /// The address is none that may be talked to, or the URL cannot be called. Not tried again.
    Blocked,
    /// The server ended before it knew. The receiver may have got it.
    Lost,
    /// The event, or what is needed to tell of it, is no longer kept. Not tried again.
    Expired,
    /// Left out: a newer event of the same object followed (latest only). Nothing was sent.
    Superseded,
}

impl Class {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Delivered,
        Self::Unreachable,
        Self::Network,
        Self::Timeout,
        Self::Tls,
        Self::Throttled,
        Self::ServerError,
        Self::Refused,
        Self::Moved,
        Self::Gone,
        Self::Blocked,
        Self::Lost,
        Self::Expired,
        Self::Superseded,
    ];

    /// The class of an answer's status.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Moved,
            410 => Self::Gone,
            429 | 503 => Self::Throttled,
            408 | 425 | 500..=599 => Self::ServerError,
            _ => Self::Refused,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unreachable => "unreachable",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Refused => "refused",
            Self::Moved => "moved",
            Self::Gone => "gone",
            Self::Blocked => "blocked",
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }

    /// Whether the receiver may have acted on it although it does not count as delivered: why a delivery can arrive more than once.
    pub fn may_have_arrived(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Lost
                | Self::Network
                | Self::ServerError
                | Self::Throttled
                | Self::Refused
                | Self::Moved
        )
    }
}

/// What a sender reports of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// Which event: its number in the outbox, or a number of our own for a test.
    pub event: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Millis,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u32,
    /// What became of it.
    pub class: Class,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// For how long the endpoint asked to be left alone, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Why there was no answer; or the answer's status line, headers and beginning, for one that is not 2xx.
    pub detail: String,
}

impl Outcome {
    /// What became of a claim for which no request went out.
    pub fn unsent(held: Held, at: Millis, class: Class, detail: &str) -> Self {
        Self {
            endpoint: held.endpoint,
            event: held.event,
            attempt: held.attempt,
            started: at,
            elapsed_ms: 0,
            class,
            status: None,
            retry_after_ms: None,
            detail: detail.to_owned(),
        }
    }
}

/// One attempt, as it is kept in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which event.
    pub event: u64,
    /// Which attempt it was, from 1. Attempts of a delivery that was sent again go on counting.
    pub attempt: u32,
    /// When it began.
    pub started: Millis,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u32,
    /// What became of it.
    pub class: Class,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// When it is tried again; `None`: not by itself.
    pub next: Option<Millis>,
    /// Whether somebody asked for it (resend, recover, test).
    pub manual: bool,
    /// See [`Outcome::detail`]; at most 4 kB.
    pub detail: String,
}

/// Bytes of [`Attempt::detail`] that are kept.
pub const DETAIL_BYTES_MAX: usize = 4 * 1024;
