//! The end of the link that asks. It connects again by itself; what was asked meanwhile fails and is asked again by the one
//! who needs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "kafka")]
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::super::command::Command;
use super::super::socket;
use super::{Answer, Request, VERSION, read_frame, write_frame};
use crate::bus::BusError;
use crate::bus::relay::Source;
use crate::model::Event;
use crate::service::webhooks::Outcome;
use crate::webhook::Sending;

/// No answer takes longer, but for what the request itself waits.
const ANSWER: Duration = Duration::from_secs(60);

/// A link to the server that has `data` open.
pub(in super::super) struct Link {
    data: PathBuf,
    stream: Option<UnixStream>,
    /// Whether this is the relay's.
    relay: bool,
}

impl Link {
    /// A link that is made when something is asked.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned(), stream: None, relay: false }
    }

    /// The relay's: the server lets one in at a time.
    #[cfg(feature = "kafka")]
    pub fn of_relay(data: &Path) -> Self {
        Self { relay: true, ..Self::new(data) }
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer, BusError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let answer = exchange(&mut stream, request).await?;
        self.stream = Some(stream);
        match answer {
            Answer::Later(why) => Err(BusError::Unavailable(why)),
            Answer::Refused(why) => Err(BusError::Config(why)),
            answer => Ok(answer),
        }
    }

    async fn connect(&self) -> Result<UnixStream, BusError> {
        let lost = |error: std::io::Error| BusError::Unavailable(format!("the server is not there: {error}"));
        let mut stream = socket::connect(&self.data).await.ok_or_else(|| {
            BusError::Unavailable(format!("no server has {} open: start `kalends serve`", self.data.display()))
        })?;
        let mut line = serde_json::to_vec(&Command::Link { version: VERSION })
            .map_err(|error| BusError::Broken(error.to_string()))?;
        line.push(b'\n');
        stream.write_all(&line).await.map_err(lost)?;
        if self.relay {
            match exchange(&mut stream, &Request::Relay).await? {
                Answer::Done => {}
                Answer::Refused(why) => return Err(BusError::Config(why)),
                Answer::Later(why) => return Err(BusError::Unavailable(why)),
                _ => return Err(odd()),
            }
        }
        Ok(stream)
    }

    /// Says which events have come back through the topic.
    #[cfg(feature = "kafka")]
    pub async fn arrived(&mut self, numbers: Vec<u64>) -> Result<(), BusError> {
        done(self.ask(&Request::Arrived(numbers)).await?)
    }

    /// Whether an administrator has paused the group.
    #[cfg(feature = "kafka")]
    pub async fn paused(&mut self, group: &str) -> Result<bool, BusError> {
        match self.ask(&Request::Paused(group.to_owned())).await? {
            Answer::Paused(paused) => Ok(paused),
            _ => Err(odd()),
        }
    }

    /// Deliveries to send; waits a while for the first.
    pub async fn claim(&mut self, worker: &str, max: usize, wait: Duration) -> Result<Vec<Sending>, BusError> {
        let request = Request::Claim { worker: worker.to_owned(), max: number(max), wait_ms: millis(wait) };
        match self.ask(&request).await? {
            Answer::Claimed(sendings) => Ok(sendings),
            _ => Err(odd()),
        }
    }

    /// Says what became of deliveries. When it returns, that is durable.
    pub async fn report(&mut self, worker: &str, outcomes: Vec<Outcome>) -> Result<(), BusError> {
        done(self.ask(&Request::Report { worker: worker.to_owned(), outcomes }).await?)
    }

    /// Gives the server providers' events; for each that cannot be taken in, its index and why.
    #[cfg(feature = "kafka")]
    pub async fn ingest(&mut self, payloads: Vec<Bytes>) -> Result<Vec<(usize, String)>, BusError> {
        match self.ask(&Request::Ingest(payloads)).await? {
            Answer::Ingested(results) => {
                let refused = |(index, result): (usize, Option<String>)| result.map(|why| (index, why));
                Ok(results.into_iter().enumerate().filter_map(refused).collect())
            }
            _ => Err(odd()),
        }
    }
}

impl Source for Link {
    async fn next(&mut self, after: Option<u64>, max: usize, wait: Duration) -> Result<Vec<Event>, BusError> {
        match self.ask(&Request::Events { after, max: number(max), wait_ms: millis(wait) }).await? {
            Answer::Events(events) => Ok(events),
            _ => Err(odd()),
        }
    }

    async fn done(&mut self, seq: u64) -> Result<(), BusError> {
        done(self.ask(&Request::Carried(seq)).await?)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)
}

fn done(answer: Answer) -> Result<(), BusError> {
    match answer {
        Answer::Done => Ok(()),
        _ => Err(odd()),
    }
}

fn odd() -> BusError {
    BusError::Broken("the server gave an answer to another question".to_owned())
}

async fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Answer, BusError> {
    let exchanging = async {
        write_frame(stream, request).await?;
        read_frame(stream).await
    };
    match tokio::time::timeout(ANSWER, exchanging).await {
        Ok(Ok(Some(answer))) => Ok(answer),
        Ok(Ok(None)) => Err(BusError::Unavailable("the server has ended".to_owned())),
        Ok(Err(error)) => Err(BusError::Unavailable(format!("the link to the server broke: {error}"))),
        Err(_) => Err(BusError::Unavailable("the server does not answer".to_owned())),
    }
}
