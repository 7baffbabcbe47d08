//! Layer 6: deliveries on the wire: what is said ([`payload`]), signed as Standard Webhooks 1.0.0 says ([`sign`]), and sent.
//!
//! [`Press::prepare`] makes of a claim what is to be sent, [`send`] sends it and says what became of it. Both halves are apart so that a sender
//! in another process needs neither store nor secrets.
//!
//! Not here: who hears of what and when (`service::webhooks`), the connection and its checks (`outbound`), the task (`job`).

mod payload;
mod prepare;
mod send;
mod sign;

pub use payload::{PAYLOAD_BYTES_MAX, payload};
pub use prepare::{Prepared, Press, Sending};
pub use send::{now, send};
pub use sign::{sign, verify};
