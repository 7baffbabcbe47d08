//! Google Calendar and Microsoft 365: what their payloads mean, exchanges of their adapters with fakes of their APIs, and the whole way from a
//! provider's bell to a CalDAV client.

mod exchange;
#[path = "../fakes/mod.rs"]
mod fakes;
mod google;
mod mapping;
mod microsoft;
#[path = "../sockets/mod.rs"]
mod sockets;
mod whole;
