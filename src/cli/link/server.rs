//! The server's end of the link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::{Answer, Request, read_frame, write_frame};
use crate::bus::BusError;
use crate::bus::relay::{Outbox, Source};
use crate::service::arrivals::Gate;
use crate::service::webhooks::{Class, Outcome};
use crate::service::{Context, outbox};
use crate::webhook::{Prepared, Press, now};

/// How often a waiting claim looks again.
const POLL: Duration = Duration::from_millis(10);
/// A request waits at most this long, whatever it says.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What all links of a server share.
pub(in super::super) struct Server {
    context: Arc<Context>,
    /// Where events come back from the topic; `None` without Kafka.
    gate: Option<Arc<Gate>>,
    /// The generic account of `[bus.kafka.ingest]`.
    account: Option<String>,
    press: Press,
    relay: Arc<Mutex<()>>,
}

impl Server {
    /// For the links of a server.
    pub fn new(context: Arc<Context>, gate: Option<Arc<Gate>>, account: Option<String>) -> Self {
        Self { context, gate, account, press: Press::default(), relay: Arc::default() }
    }

    async fn answer(&self, request: Request, relaying: &mut Option<OwnedMutexGuard<()>>) -> Answer {
        match request {
            Request::Relay => self.let_in(relaying),
            Request::Events { after, max, wait_ms } => {
                let mut source = Outbox::new(Arc::clone(&self.context), outbox::RELAY);
                match source.next(after, max as usize, wait(wait_ms)).await {
                    Ok(events) => Answer::Events(events),
                    Err(error) => Answer::Later(error.to_string()),
                }
            }
            Request::Carried(seq) => done(outbox::advance(&self.context, outbox::RELAY, seq).await),
            Request::Arrived(numbers) => match &self.gate {
                Some(gate) => done(gate.arrived(&numbers).await),
                None => Answer::Refused("the server has no [bus.kafka] in its configuration".to_owned()),
            },
            Request::Paused(group) => match outbox::paused(&self.context, &group).await {
                Ok(paused) => Answer::Paused(paused),
                Err(error) => Answer::Later(error.to_string()),
            },
            Request::Claim { worker, max, wait_ms } => self.claim(&worker, max as usize, wait(wait_ms)).await,
            Request::Report { worker, outcomes } => done(self.context.webhooks.report(&worker, outcomes).await),
            Request::Ingest(payloads) => self.ingest(&payloads).await,
        }
    }

    fn let_in(&self, relaying: &mut Option<OwnedMutexGuard<()>>) -> Answer {
        match Arc::clone(&self.relay).try_lock_owned() {
            Ok(guard) => {
                *relaying = Some(guard);
                Answer::Done
            }
            // One that has just died is noticed in a moment.
            Err(_) => Answer::Later("another relay is connected to the server".to_owned()),
        }
    }

    /// Claims deliveries and makes them ready to be sent; the signing secrets stay here.
    async fn claim(&self, worker: &str, max: usize, wait: Duration) -> Answer {
        let deadline = Instant::now() + wait;
        loop {
            let claims = match self.context.webhooks.claim(worker, max).await {
                Ok(claims) => claims,
                Err(closed) => return Answer::Later(closed.to_string()),
            };
            let (mut ready, mut other) = (Vec::with_capacity(claims.len()), Vec::new());
            for claim in &claims {
                match self.press.prepare(&self.context, claim).await {
                    Ok(Prepared::Ready(sending)) => ready.push(*sending),
                    Ok(Prepared::Superseded) => other.push(Outcome::unsent(claim.held, now(), Class::Superseded, "")),
                    Ok(Prepared::Expired) => {
                        other.push(Outcome::unsent(claim.held, now(), Class::Expired, "the event is no longer kept"));
                    }
                    Err(error) => {
                        tracing::error!(error = %error, "webhook.prepare.failed");
                        let why = "it could not be prepared: the server's storage failed";
                        other.push(Outcome::unsent(claim.held, now(), Class::Unreachable, why));
                    }
                }
            }
            if !other.is_empty()
                && let Err(closed) = self.context.webhooks.report(worker, other).await
            {
                // What is ready stays leased and comes again.
                return Answer::Later(closed.to_string());
            }
            if !ready.is_empty() || Instant::now() >= deadline {
                return Answer::Claimed(ready);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn ingest(&self, payloads: &[Bytes]) -> Answer {
        let Some(name) = &self.account else {
            return Answer::Refused("the server has no [bus.kafka.ingest] account in its configuration".to_owned());
        };
        let mut results = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match super::super::ingest_topic::take_in(&self.context, name, payload).await {
                Ok(refused) => results.push(refused),
                Err(BusError::Config(why)) => return Answer::Refused(why),
                Err(error) => return Answer::Later(error.to_string()),
            }
        }
        Answer::Ingested(results)
    }
}

fn wait(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis)).min(WAIT_MAX)
}

fn done<E: std::fmt::Display>(result: Result<(), E>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Later(error.to_string()),
    }
}

/// Answers the requests of one link until it ends.
pub(in super::super) async fn serve(
    server: &Server,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) {
    // Given back when the link ends, however it ends.
    let mut relaying = None;
    loop {
        let request = match read_frame::<Request>(reader).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(error = %error, "link.broken");
                return;
            }
        };
        let answer = server.answer(request, &mut relaying).await;
        if write_frame(writer, &answer).await.is_err() {
            return;
        }
    }
}
