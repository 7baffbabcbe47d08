//! `worker`: delivery in a process of its own. It holds no data: it claims deliveries from the server that has the store open,
//! sends them, and reports. What it held when it ended is claimed by another when its lease ends.
//!
//! With Kafka it is also a member of the group that reads the topic of changes, and tells the server which have come back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::args::{Work, Worker};
use super::config::Config;
use super::link::Link;
use super::supervise::begin;
use crate::bus::{BusError, pause};
use crate::job::delivery::log_attempt;
use crate::outbound::Client;
use crate::service::webhooks::Outcome;
use crate::webhook::{Sending, send};

/// How long to wait for deliveries before looking around.
const WAIT: Duration = Duration::from_secs(1);
/// Outcomes that are reported at once.
const REPORT_MAX: usize = 512;
/// The first wait after something failed; doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long the end waits for the last reports.
const LAST_REPORTS: Duration = Duration::from_secs(20);
/// How often connections that nobody used are closed.
const SWEEP: Duration = Duration::from_secs(60);

/// Works until a signal ends it.
///
/// # Errors
/// Why it cannot start, for the administrator.
pub(super) async fn worker(data: &Path, config: &Config, arguments: Worker) -> Result<(), String> {
    let mut stopping = begin(config, arguments.metrics_listen.as_deref(), None).await?;
    let name = arguments.instance.clone().unwrap_or_else(own_name);
    let delivering = arguments.only != Some(Work::Consume);
    let consuming = arguments.only != Some(Work::Deliver) && config.kafka.brokers.is_some();
    if arguments.only == Some(Work::Consume) && !consuming {
        return Err("there is no topic to read: [bus.kafka] brokers is not set".to_owned());
    }
    tracing::info!(worker = name, delivering, consuming, "worker.started");
    let client = Client::new(config.webhooks.policy()?).map_err(|error| format!("[webhooks] ca_file: {error}"))?;
    let deliver = async {
        match delivering {
            true => deliver(data, &name, client, arguments.in_flight.clamp(1, 10_000), stopping.receiver()).await,
            false => Ok(()),
        }
    };
    let consume = async {
        match consuming {
            true => consume(data, config, arguments.instance.clone(), stopping.receiver()).await,
            false => Ok(()),
        }
    };
    let done = tokio::try_join!(deliver, consume).map(|_| ());
    stopping.end();
    tracing::info!(worker = name, "worker.ended");
    done
}

/// A name that no other worker has.
fn own_name() -> String {
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), started.as_millis())
}

/// Claims and sends, with so many requests under way at most.
async fn deliver(
    data: &Path,
    name: &str,
    client: Client,
    in_flight: usize,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let (results, reports) = mpsc::channel(in_flight * 2);
    let reporter = tokio::spawn(report(Link::new(data), name.to_owned(), reports));
    let permits = Arc::new(Semaphore::new(in_flight));
    let mut link = Link::new(data);
    let (mut delay, mut swept) = (RETRY, tokio::time::Instant::now());
    while !*stop.borrow() {
        if swept.elapsed() >= SWEEP {
            swept = tokio::time::Instant::now();
            client.sweep();
        }
        let Ok(first) = Arc::clone(&permits).acquire_owned().await else { break };
        let max = permits.available_permits() + 1;
        // Waited for even when it is time to end: what was claimed and not taken would lie until its lease ends.
        match link.claim(name, max, WAIT).await {
            Ok(sendings) => {
                delay = RETRY;
                start(sendings, first, &permits, &client, &results);
            }
            Err(BusError::Config(why)) => return Err(why),
            Err(trouble) => {
                tracing::warn!(trouble = %trouble, again_in_ms = delay.as_millis() as u64, "worker.waiting");
                pause(delay, &mut stop).await;
                delay = (delay * 2).min(RETRY_MAX);
            }
        }
    }
    drop(results);
    // What is under way still reports; what does not come in time stays leased and is sent again by another.
    let _ = tokio::time::timeout(LAST_REPORTS, reporter).await;
    Ok(())
}

/// Sends what was claimed, each in a task of its own.
fn start(
    sendings: Vec<Sending>,
    first: OwnedSemaphorePermit,
    permits: &Arc<Semaphore>,
    client: &Client,
    results: &mpsc::Sender<Outcome>,
) {
    let mut first = Some(first);
    for sending in sendings {
        // There are as many permits as were asked for; should there be fewer, it is sent all the same.
        let permit = first.take().or_else(|| Arc::clone(permits).try_acquire_owned().ok());
        let (client, results) = (client.clone(), results.clone());
        tokio::spawn(async move {
            let outcome = send(&client, &sending).await;
            log_attempt(&outcome, &sending.webhook_id);
            metrics::counter!("kalends_worker_attempts_total", "class" => outcome.class.name()).increment(1);
            let _ = results.send(outcome).await;
            drop(permit);
        });
    }
}

/// Reports what became of deliveries, as many at once as have come.
async fn report(mut link: Link, name: String, mut results: mpsc::Receiver<Outcome>) {
    let mut outcomes = Vec::with_capacity(REPORT_MAX);
    while results.recv_many(&mut outcomes, REPORT_MAX).await > 0 {
        let mut delay = RETRY;
        let batch = std::mem::take(&mut outcomes);
        // A report that came through and was not acknowledged is made again; the server takes each attempt once.
        while let Err(trouble) = link.report(&name, batch.clone()).await {
            tracing::warn!(trouble = %trouble, outcomes = batch.len(), "worker.report_waits");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_MAX);
        }
    }
}

#[cfg(feature = "kafka")]
async fn consume(
    data: &Path,
    config: &Config,
    instance: Option<String>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let kafka = &config.kafka;
    let mut handler = Arrivals { link: Link::new(data), group: kafka.group.clone() };
    let membership = super::relay::membership(kafka, &kafka.topic, &kafka.group, instance);
    let terms = crate::bus::consume::Terms::default();
    super::relay::consume(kafka, &membership, super::relay::layout(kafka), &mut handler, terms, &mut stop).await
}

#[cfg(not(feature = "kafka"))]
async fn consume(_: &Path, config: &Config, _: Option<String>, _: watch::Receiver<bool>) -> Result<(), String> {
    config.kafka.check()
}

/// Tells the server which events have come back through the topic.
#[cfg(feature = "kafka")]
struct Arrivals {
    link: Link,
    group: String,
}

#[cfg(feature = "kafka")]
impl crate::bus::consume::Handler for Arrivals {
    async fn handle(
        &mut self,
        batch: &[crate::bus::Delivery],
    ) -> Result<Vec<crate::bus::consume::Refused>, crate::bus::consume::Later> {
        let (mut numbers, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for (index, delivery) in batch.iter().enumerate() {
            match crate::bus::record::decode(&delivery.payload) {
                Ok(event) => numbers.push(event.seq),
                Err(error) => refused.push((index, error.to_string())),
            }
        }
        match self.link.arrived(numbers).await {
            Ok(()) => Ok(refused),
            Err(error) => Err(crate::bus::consume::Later(error.to_string())),
        }
    }

    async fn paused(&mut self) -> bool {
        // A server that is not there decides nothing: what is taken waits for it.
        self.link.paused(&self.group).await.unwrap_or(false)
    }
}
