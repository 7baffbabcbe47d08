//! Google Calendar and Microsoft 365: what their payloads mean, and whole exchanges with fakes of their APIs.

#[path = "../fakes/mod.rs"]
mod fakes;
mod mapping;
