//! Google Calendar and Microsoft 365: what their payloads mean, and exchanges of their adapters with fakes of their APIs.

mod exchange;
#[path = "../fakes/mod.rs"]
mod fakes;
mod google;
mod mapping;
mod microsoft;
