//! Layer 7: the listener around the edges.
mod peer;
mod throttle;
mod tls;
pub use peer::{Client, Network};
pub use throttle::Throttle;
pub use tls::{Tls, TlsFiles};
