//! Why there is no answer.

use std::net::IpAddr;

/// Why an exchange gave no answer. Texts are for the owner of the target and hold neither headers nor bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The URL is none that may be called, whatever it resolves to.
    #[error("this URL cannot be called: {0}")]
    BadUrl(String),
    /// The address may not be talked to. Trying again is of no use.
    #[error("{host} has the address {address}, which is {what}: not a host of the public internet")]
    Blocked {
        /// The host as the URL names it.
        host: String,
        /// The first address that is not allowed.
        address: IpAddr,
        /// What is there.
        what: &'static str,
    },
    /// The name could not be resolved, or has no address.
    #[error("the name {host} could not be resolved: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody accepted the connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The TLS handshake failed: a certificate that does not hold, or no TLS at all.
    #[error("no TLS: {0}")]
    Tls(String),
    /// It took too long.
    #[error("no answer in time: {0}")]
    Timeout(Stage),
    /// The connection ended before there was an answer.
    #[error("the connection ended before there was an answer: {0}")]
    Reset(String),
    /// What came back is no HTTP/1.1.
    #[error("the answer is no HTTP: {0}")]
    Protocol(String),
}

/// How far an exchange had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The name was being resolved.
    Resolving,
    /// The connection was being made, or the TLS handshake.
    Connecting,
    /// The request was being sent, or the answer awaited.
    Answering,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolving => "the name was not resolved",
            Self::Connecting => "the connection was not made",
            Self::Answering => "the request was sent and not answered",
        })
    }
}

impl Failure {
    /// One word for logs and metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "bad_url",
            Self::Blocked { .. } => "blocked",
            Self::Dns { .. } => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Reset(_) => "reset",
            Self::Protocol(_) => "protocol",
        }
    }

    /// Whether the other side may have got the request and acted on it, although there is no answer.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Timeout(Stage::Answering) | Self::Reset(_) | Self::Protocol(_))
    }
}
