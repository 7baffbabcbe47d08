//! Layer 7: the server around the edges: listener, TLS, limits in bytes and time, login, routing, logs and metrics.
//!
//! A request travels `listener` → `workers` → `connection` (TLS, HTTP, the watchdog) → `app` (public routes, login, dispatch to
//! [`crate::dav`]) and is recorded by `record` when its answer is out. [`run`] takes the listener and the shutdown
//! signal from its caller, so that tests run real servers on port 0.
//!
//! Not here: what a request means (`dav`), who may do what (`access`, `service`), configuration files (`cli`).

mod app;
mod auth;
mod body;
mod connection;
mod families;
mod hooks;
mod listener;
mod peer;
mod public;
mod record;
mod telemetry;
mod throttle;
mod tls;
mod validity;
mod workers;

pub use app::{App, Options};
pub use listener::run;
pub use peer::{Client, Network};
pub use telemetry::{check_level, serve_metrics, start_logs, start_metrics};
pub use throttle::Throttle;
pub use tls::{Tls, TlsFiles};
