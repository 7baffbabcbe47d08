//! Layer 6: what providers of meetings say, turned into records, and what to ask them next.
//!
//! An [`Adapter`] never does I/O: it verifies and reads what arrived, and says what to request. The runner (`run`) does the
//! HTTP with [`crate::outbound`], so that a recorded day can be replayed through the very same code. Adapters are stateless;
//! what they need to remember travels in [`PullState`], [`Channel`] and the records themselves.

mod adapter;
mod api;
mod apply;
pub mod caldav;
pub mod fields;
pub mod generic;
pub mod google;
mod hook;
pub mod html;
pub mod ics;
mod json;
pub mod microsoft;
mod ranges;
pub mod replay;
pub mod run;
#[cfg(test)]
mod samples;
mod signature;
pub mod slack;
pub mod times;
pub mod zoom;

pub use crate::service::providers::{Account, AccountKey, AccountSecrets, AccountState, Channel, Provider};
pub use adapter::{Adapter, Delivered, Delivery, Effect, Next, PullState, Pulled, Task, TaskDone};
pub use apply::{applied, apply};
pub use hook::receive;

/// The adapter of a provider; `None` for [`Provider::Local`], which is this server.
pub fn adapter(provider: Provider) -> Option<&'static dyn Adapter> {
    match provider {
        Provider::Google => Some(&google::Google),
        Provider::Microsoft => Some(&microsoft::Microsoft),
        Provider::Ics => Some(&ics::Ics),
        Provider::Caldav => Some(&caldav::Caldav),
        Provider::Zoom => Some(&zoom::Zoom),
        Provider::Slack => Some(&slack::Slack),
        Provider::Generic => Some(&generic::Generic),
        Provider::Local => None,
    }
}
