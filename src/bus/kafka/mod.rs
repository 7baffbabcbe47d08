//! The Kafka transport (cargo feature `kafka`): a topic of changes, groups of consumers whose offsets are committed by hand,
//! a topic of dead letters, and a topic of providers' events on the way in.
//!
//! librdkafka can take its process down with it, so nothing here runs in the process that has the store open: `kalends relay`
//! and `kalends worker` do (docs/decisions/0010-kafka-in-processes-of-its-own.md).

mod client;
mod consumer;
mod producer;
mod topics;

pub use client::Settings;
pub use consumer::{KafkaConsumer, Membership};
pub use producer::{DeadLetters, KafkaPublisher};
pub use topics::{Layout, ensure};
