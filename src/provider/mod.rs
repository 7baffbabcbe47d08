//! Layer 6: what providers of meetings say, turned into records, and what to ask them next.
//!
//! An [`Adapter`] never does I/O: it verifies and reads what arrived, and says what to request. The runner (`run`) does the
//! HTTP with [`crate::outbound`], so that a recorded day can be replayed through the very same code. Adapters are stateless;
//! what they need to remember travels in [`PullState`], [`Channel`] and the records themselves.

mod adapter;
mod api;
pub mod caldav;
pub mod fields;
pub mod google;
pub mod html;
pub mod ics;
pub mod microsoft;
pub mod times;

pub use crate::service::providers::{Account, AccountKey, AccountSecrets, AccountState, Channel, Provider};
pub use adapter::{Adapter, Delivered, Delivery, Effect, Next, PullState, Pulled, Task, TaskDone};

/// The adapter of a provider; `None` for [`Provider::Local`], which is this server.
pub fn adapter(provider: Provider) -> Option<&'static dyn Adapter> {
    match provider {
        Provider::Google => Some(&google::Google),
        Provider::Microsoft => Some(&microsoft::Microsoft),
        Provider::Ics => Some(&ics::Ics),
        Provider::Caldav => Some(&caldav::Caldav),
        Provider::Zoom | Provider::Slack | Provider::Generic | Provider::Local => None,
    }
}
