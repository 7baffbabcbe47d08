//! Microsoft Graph.

pub mod event;
pub mod recurrence;
