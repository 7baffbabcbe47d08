//! Layer 5: the use-cases. Each takes a [`Context`] and the [`Actor`](crate::access::Actor) on whose authority it
//! acts, decides access in one place ([`tree`]), computes with the pure layers and writes one batch.
//! No HTTP and no XML here.

pub mod accounts;
mod again;
pub mod arrivals;
pub mod collections;
pub mod conditions;
pub mod directory;
mod error;
pub mod freebusy;
pub mod index;
pub mod ingest;
pub mod locks;
pub mod objects;
pub mod outbox;
pub mod parsed;
pub mod properties;
pub mod providers;
pub mod query;
pub mod resources;
pub mod rows;
pub mod sync;
mod together;
pub mod transfer;
pub mod tree;
pub mod verify;
pub mod webhooks;
pub mod zones;

pub use crate::store::StoreError;
pub use error::Error;
pub use together::together;

use std::sync::Arc;

use crate::base::{Clock, Limits, SystemClock};
use crate::store::Store;

/// What every use-case works with. One for a server; shared by all requests.
pub struct Context {
    /// The data.
    pub store: Store,
    /// The limits in force.
    pub limits: Limits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether users may look up each other.
    pub directory: Directory,
    /// Logins that were verified.
    pub logins: accounts::Logins,
    /// Held by whoever writes from looking at the locks until the write is done, so that no lock is granted in between.
    pub lock_gate: tokio::sync::RwLock<()>,
    /// Objects parsed lately.
    pub parsed: parsed::ParsedCache,
    /// Calendars' rows, for queries.
    pub indexes: index::Indexes,
    /// Provider accounts: settings, and what waits for their runner.
    pub providers: providers::Providers,
    /// Delivery: where management, the dispatcher and senders meet.
    pub webhooks: webhooks::Desk,
}

/// Bytes of parsed objects kept.
const PARSED_BYTES_MAX: u64 = 64 << 20;
/// Calendars whose rows are kept in memory.
const INDEXES_MAX: usize = 1_000;

/// Whether a user can find another who has granted nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Directory {
    /// Who has granted nothing cannot be found, and looks as if not there.
    #[default]
    Closed,
    /// Every logged-in user may look up every other by name and address (never their calendars).
    Open,
}

impl Context {
    /// A context over `store` with the machine's clock.
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            clock: Arc::new(SystemClock),
            directory: Directory::default(),
            logins: accounts::Logins::default(),
            lock_gate: tokio::sync::RwLock::new(()),
            parsed: parsed::ParsedCache::new(PARSED_BYTES_MAX),
            indexes: index::Indexes::new(INDEXES_MAX),
            providers: providers::Providers::default(),
            webhooks: webhooks::Desk::default(),
        }
    }
}

/// A random UUID (RFC 9562 §5.4).
pub(crate) fn random_uuid() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
