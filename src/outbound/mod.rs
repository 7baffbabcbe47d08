//! Calls to other people's servers: one HTTP/1.1 client for webhooks and providers, made so that nobody who may choose a URL can
//! make Kalends talk to what he could not reach himself (server-side request forgery).
//!
//! - A URL is read by the WHATWG rules, so `0x7f.1`, `2130706433` and `[::ffff:127.0.0.1]` are addresses before anything is decided; a name
//!   or password in it is refused.
//! - A name is resolved once. **Every** address it has must be allowed (see [`Zone`]), and the connection goes to an
//!   address that was looked at: there is no second lookup that could say something else.
//! - Redirects are answers like any other. Nobody follows them.
//! - Everything is bounded: connecting, the whole exchange, the bytes of the answer that are read.
//!
//! [`Target`] is a URL, [`Policy`] what a client allows, [`Client::send`] does one exchange, [`Failure`] says why there is no
//! answer. Not here: what is sent (`webhook`, `provider`), when it is tried again, and signatures.

mod address;
mod client;
mod connect;
mod failure;
mod gzip;
mod policy;
mod pool;
mod resolve;
mod target;

pub use address::Zone;
pub use client::{Answer, Client, Request};
pub use failure::{Failure, Stage};
pub use policy::{Policy, Ports, Reach};
pub use resolve::{Resolve, Resolved, SystemResolver};
pub use target::Target;
