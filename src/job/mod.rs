//! Layer 7: what the server does of its own accord, beside answering: each job is a task that `serve` starts and ends.

pub mod delivery;
pub mod providers;
