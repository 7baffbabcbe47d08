//! Kalends, a calendar server.
//!
//! The crate is one package of layers; `docs/architecture.md` is the map and `tests/layers.rs`
//! keeps it true. Layers 0–2 (`base` … `freebusy`) are pure: no async, no store, no wall clock.
//! Layer 3 holds the domain's types and the access decision, layer 4 the store, layer 5 the
//! use-cases, layer 6 the edges that speak HTTP and WebDAV, layer 7 the server around them and
//! layer 8 the commands.

pub mod access;
pub mod api;
pub mod base;
pub mod bus;
pub mod cli;
pub mod dav;
pub mod filter;
pub mod freebusy;
pub mod ical;
pub mod job;
pub mod merge;
pub mod model;
pub mod outbound;
pub mod provider;
pub mod recur;
pub mod rule;
pub mod server;
pub mod service;
pub mod store;
pub mod webhook;
pub mod xml;
pub mod zone;
