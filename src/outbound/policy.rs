//! What a client allows.

use std::time::Duration;

/// What a client allows, and how long and how much it waits for.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which addresses it talks to, where a request does not say otherwise.
    pub reach: Reach,
    /// Whether `http:` is refused. Targets reached as [`Reach::Private`] may be `http:` all the same.
    pub https_only: bool,
    /// The ports it talks to. Targets reached as [`Reach::Private`] may have any.
    pub ports: Ports,
    /// Time for the lookup, the connection and the TLS handshake together.
    pub connect_timeout: Duration,
    /// Time for the whole exchange.
    pub total_timeout: Duration,
    /// How many bytes of an answer's body are read; what is behind them is not waited for.
    pub response_bytes_max: usize,
    /// `User-Agent` where the request has none.
    pub user_agent: String,
    /// Certificate authorities trusted beside the public ones, PEM.
    pub extra_roots: Option<String>,
    /// Connections that are kept open for the next request, for each target.
    pub idle_connections_max: usize,
    /// How long such a connection is kept.
    pub idle_timeout: Duration,
}

/// Which addresses may be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reach {
    /// Hosts of the public internet alone.
    #[default]
    Public,
    /// This machine and one's own network as well. For whoever runs the server, never for whoever uses it.
    Private,
}

/// Which ports may be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Any.
    Any,
    /// These.
    Only(Vec<u16>),
}

impl Default for Policy {
    /// For webhooks of strangers: the public internet, https, port 443, 5 s to connect and 15 s in all, 64 KiB read.
    fn default() -> Self {
        Self {
            reach: Reach::Public,
            https_only: true,
            ports: Ports::Only(vec![443]),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            response_bytes_max: 64 * 1024,
            user_agent: concat!("Kalends/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_roots: None,
            idle_connections_max: 8,
            idle_timeout: Duration::from_secs(20),
        }
    }
}

impl Ports {
    /// Whether `port` is one of them.
    pub fn contain(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ports) => ports.contains(&port),
        }
    }
}
