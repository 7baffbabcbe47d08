//! The link: how Kalends' own processes (`kalends relay`, `kalends worker`) work with the server that has the store open.
//!
//! It is a connection to the server's command socket, which only its owner can open, that begins with [`Command::Link`] and
//! then carries frames: a length (4 bytes, big-endian) and that many bytes of postcard, a [`Request`] in one direction and its
//! [`Answer`] in the other, one after the other. What an answer says was done is durable.

mod client;
mod server;

pub(super) use client::Link;
pub(super) use server::{Server, serve};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::Event;
use crate::service::webhooks::Outcome;
use crate::webhook::Sending;

/// The version of these messages: both ends are the same program, or they do not talk.
pub(super) const VERSION: u32 = 1;

/// The longest frame.
const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// What a process asks of the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// To be the one relay. The answer is [`Answer::Done`], or a refusal while another one is connected.
    Relay,
    /// Events of the outbox behind `after`, or behind what was carried over.
    Events {
        /// Behind which number.
        after: Option<u64>,
        /// How many at most.
        max: u32,
        /// How long to wait for the first.
        wait_ms: u32,
    },
    /// All events up to this one are in the topic.
    Carried(u64),
    /// These events have come back through the topic.
    Arrived(Vec<u64>),
    /// Whether this group is paused.
    Paused(String),
    /// Deliveries to send.
    Claim {
        /// Who asks.
        worker: String,
        /// How many at most.
        max: u32,
        /// How long to wait for the first.
        wait_ms: u32,
    },
    /// What became of them.
    Report {
        /// Who reports.
        worker: String,
        /// What became of them.
        outcomes: Vec<Outcome>,
    },
    /// Providers' events to take in.
    Ingest(Vec<Bytes>),
}

/// The server's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// Events in order.
    Events(Vec<Event>),
    /// Yes or no.
    Paused(bool),
    /// Deliveries to send.
    Claimed(Vec<Sending>),
    /// For each event nothing, or why it cannot be taken in.
    Ingested(Vec<Option<String>>),
    /// Not now: try again.
    Later(String),
    /// Not in this configuration, or another process does it.
    Refused(String),
}

/// Reads a frame; `None` at the end of the connection.
async fn read_frame<T: DeserializeOwned>(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<T>> {
    let length = match reader.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_BYTES_MAX {
        return Err(std::io::Error::other(format!("a frame of {length} bytes is too long")));
    }
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes).await?;
    postcard::from_bytes(&bytes).map(Some).map_err(std::io::Error::other)
}

async fn write_frame(writer: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> std::io::Result<()> {
    let mut frame = postcard::to_extend(value, vec![0; 4]).map_err(std::io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).map_err(std::io::Error::other)?;
    if let Some(head) = frame.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    writer.write_all(&frame).await?;
    writer.flush().await
}
