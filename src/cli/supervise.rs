//! Processes of our own beside the server: how they begin and end, and how the server keeps the relay running.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{Config, LogFormat};
use super::link;
use super::serve::listen;
use crate::bus::pause;
use crate::server::{serve_metrics, start_logs, start_metrics};
use crate::service::arrivals::Gate;
use crate::service::{Context, StoreError, outbox};

/// The first wait before the relay is started again; doubled up to [`RESTART_MAX`].
const RESTART: Duration = Duration::from_millis(500);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// A relay that ran for so long had started well.
const WELL: Duration = Duration::from_secs(60);
/// How often a child looks whether its parent lives.
const PARENT_POLL: Duration = Duration::from_millis(500);
/// How often gaps are looked after.
const GAP_POLL: Duration = Duration::from_secs(1);
/// How long a relay may take to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Says when a process is to end.
pub(super) struct Stopping {
    sender: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Stopping {
    /// A receiver that becomes true when it is time.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.sender.subscribe()
    }

    /// The process ends: so do its helpers.
    pub fn end(&mut self) {
        let _ = self.sender.send(true);
        self.tasks.drain(..).for_each(|task| task.abort());
    }
}

/// Starts what every process needs: logs, metrics, and a watch on signals and on the parent.
///
/// # Errors
/// Why it cannot start, for the administrator.
pub(super) async fn begin(
    config: &Config,
    metrics_listen: Option<&str>,
    parent: Option<u32>,
) -> Result<Stopping, String> {
    start_logs(config.log.format == LogFormat::Json, &config.log.level)?;
    let (sender, mut stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    if let Some(at) = metrics_listen {
        let (listener, _) = listen(at, "--metrics-listen").await?;
        let ending = async move { pause(Duration::MAX, &mut stopped).await };
        tasks.push(tokio::spawn(serve_metrics(start_metrics()?, listener, ending)));
    }
    let failed = |error: std::io::Error| format!("signals cannot be received: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = sender.clone();
    tasks.push(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = orphaned(parent) => tracing::warn!("the server that started this process is gone"),
        }
        let _ = stop.send(true);
    }));
    Ok(Stopping { sender, tasks })
}

/// Completes when `parent` is no longer the parent of this process.
async fn orphaned(parent: Option<u32>) {
    let Some(parent) = parent else { return std::future::pending().await };
    let lives =
        || rustix::process::getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    while lives() {
        tokio::time::sleep(PARENT_POLL).await;
    }
}

/// What the server does for the bus: links to processes of our own, and with Kafka the gate and the relay.
pub(super) struct BusSide {
    /// Where links are answered.
    pub links: Arc<link::Server>,
    gate: Option<Arc<Gate>>,
}

impl BusSide {
    /// Before anything is delivered: with Kafka, nothing that has not come back through it.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(context: &Arc<Context>, config: &Config) -> Result<Self, StoreError> {
        let kafka = &config.kafka;
        let mut gate = None;
        if kafka.brokers.is_some() {
            outbox::keep_only(context, &[outbox::WEBHOOKS, outbox::RELAY]).await?;
            outbox::join(context, outbox::RELAY).await?;
            let gap_max = Duration::from_secs(kafka.gap_seconds);
            gate = Some(Arc::new(Gate::open(Arc::clone(context), gap_max).await?));
        } else {
            // Nobody waits for a relay that is not configured any more.
            outbox::keep_only(context, &[outbox::WEBHOOKS]).await?;
        }
        let links = link::Server::new(Arc::clone(context), gate.clone(), kafka.ingest.account.clone());
        Ok(Self { links: Arc::new(links), gate })
    }

    /// Starts what runs for as long as the server does. They end by themselves.
    pub fn start(&self, data: &Path, config: &Config, stop: watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let Some(gate) = self.gate.clone() else { return Vec::new() };
        let mut tasks = vec![tokio::spawn(tend(gate, stop.clone()))];
        if config.kafka.supervise {
            tasks.push(tokio::spawn(keep_relay(data.to_owned(), config.clone(), stop)));
        }
        tasks
    }
}

/// Looks after gaps until `stop` says so.
async fn tend(gate: Arc<Gate>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        pause(GAP_POLL, &mut stop).await;
        if let Err(error) = gate.tend().await {
            tracing::error!(error = %error, "store.failed");
        }
    }
}

/// Keeps a relay running until `stop` says so.
pub(super) async fn keep_relay(data: PathBuf, config: Config, mut stop: watch::Receiver<bool>) {
    let mut delay = RESTART;
    while !*stop.borrow() {
        let started = tokio::time::Instant::now();
        match start_relay(&data, &config) {
            Ok(mut child) => {
                tracing::info!(pid = child.id(), "relay.started");
                tokio::select! {
                    ended = child.wait() => {
                        let status = ended.map(|status| status.to_string()).unwrap_or_default();
                        tracing::error!(status, again_in_ms = delay.as_millis() as u64, "relay.ended");
                        metrics::counter!("kalends_bus_relay_restarts_total").increment(1);
                    }
                    () = pause(Duration::MAX, &mut stop) => return end(child).await,
                }
            }
            Err(error) => tracing::error!(error = %error, "relay.not_started"),
        }
        if started.elapsed() >= WELL {
            delay = RESTART;
        }
        pause(delay, &mut stop).await;
        delay = (delay * 2).min(RESTART_MAX);
    }
}

fn start_relay(data: &Path, config: &Config) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--data").arg(data);
    if let Some(file) = &config.file {
        command.arg("--config").arg(file);
    }
    command.args(["relay", "--parent", &std::process::id().to_string()]);
    if let Some(listen) = &config.kafka.relay_metrics_listen {
        command.args(["--metrics-listen", listen]);
    }
    // The service manager's socket is the server's own.
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn()
}

async fn end(mut child: Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(LAST_WORDS, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
