//! Google Calendar API v3.

pub mod event;
