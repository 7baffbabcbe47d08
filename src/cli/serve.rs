//! `serve`: from a configuration to a running server, and down again.

use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch as channel;

use super::config::{Config, LogFormat};
use super::socket::Socket;
use super::supervise::BusSide;
use super::{open_store, watch, welcome};
use crate::job::{self, delivery};
use crate::outbound::Client;
use crate::server::{App, Options, Tls, TlsFiles, run, serve_metrics, start_logs, start_metrics};
use crate::service::{Context, Directory};

/// How often certificate files are looked at.
const CERTIFICATE_POLL: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// Why it cannot start, for the administrator.
pub async fn serve(data: &Path, config: Config) -> Result<(), String> {
    start_logs(config.log.format == LogFormat::Json, &config.log.level)?;
    let tls = tls(&config)?;
    let (listener, address) = listen(&config.server.listen, "[server] listen").await?;
    let metrics = match &config.metrics_listen {
        Some(listen_at) => Some((start_metrics()?, listen(listen_at, "[metrics] listen").await?.0)),
        None => None,
    };
    let store = open_store(data, &config).map_err(|error| error.to_string())?;
    let mut context = super::context(store, data, &config)?;
    if config.auth.open_directory {
        context.directory = Directory::Open;
    }
    let outbound = Client::new(config.webhooks.policy()?).map_err(|error| format!("[webhooks] ca_file: {error}"))?;
    let context = Arc::new(context);
    let url = config.server.public_url.clone().unwrap_or_else(|| welcome::local_url(address, tls.is_some()));
    let (stop, stopped) = channel::channel(false);
    let metrics = metrics.map(|(handle, at)| tokio::spawn(serve_metrics(handle, at, wait(stopped.clone()))));
    let socket = match Socket::open(data) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(error = %error, "no socket for commands: they will not work while the server runs");
            None
        }
    };
    let bus = BusSide::open(&context, &config).await.map_err(|error| error.to_string())?;
    let commands = socket.map(|socket| {
        let (context, links) = (Arc::clone(&context), Arc::clone(&bus.links));
        tokio::spawn(async move { socket.serve(&context, &links).await })
    });
    let client = config.providers.client()?;
    let providers = tokio::spawn(job::providers::run(Arc::clone(&context), client, wait(stopped.clone())));
    let app = App::new(Arc::clone(&context), options(&config, tls));
    let ending = tokio::spawn(signals(Signals::take(), stop));
    // Said only now: whoever reads it may use the socket, and send signals, at once.
    greet(&context, data, &url).await?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "server.started");
    watch::notify("READY=1");
    let watching = {
        let (context, config) = (Arc::clone(&context), config.clone());
        metrics.is_some().then(|| tokio::spawn(async move { watch::gauges(&context, &config).await }))
    };
    let delivering = tokio::spawn(deliver(Arc::clone(&context), outbound, stopped.clone()));
    let carrying = bus.start(data, &config, stopped.clone());
    run(app, listener, wait(stopped)).await;
    // It ends by itself, and writes down how accounts fare.
    let _ = providers.await;
    // It writes down what becomes of what is under way, so that nothing is sent twice.
    let _ = delivering.await;
    for task in carrying {
        let _ = task.await;
    }
    for task in [metrics, commands, watching, Some(ending)].into_iter().flatten() {
        task.abort();
        let _ = task.await;
    }
    tracing::info!("server.ended");
    Ok(())
}

/// Delivers what happens, until the server ends.
async fn deliver(context: Arc<Context>, client: Client, stopped: channel::Receiver<bool>) {
    if let Err(error) = delivery::run(context, client, stopped).await {
        tracing::error!(error = %error, "webhook.dispatcher.failed: nothing is delivered until the server is restarted");
    }
}

/// Completes when the server is to end.
async fn wait(mut stopped: channel::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The signals that people send to servers.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Whether the server was started from a terminal. Asked at the start: a terminal that is closed is none any more.
    terminal: bool,
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            terminal: std::io::stdin().is_terminal()
                || std::io::stdout().is_terminal()
                || std::io::stderr().is_terminal(),
        })
    }

    /// Completes when somebody wants the server to end. SIGHUP says so to a server that was started from a terminal, for that is closed;
    /// to a service it means that something is to be read again, and the certificate is, without being asked.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if self.terminal {
                        return;
                    }
                    tracing::info!("server.hangup: the certificate is read again when it changes; the rest takes a restart");
                }
            }
        }
    }
}

/// Ends the server on the first SIGTERM or SIGINT, and the process on the second.
async fn signals(signals: std::io::Result<Signals>, stop: channel::Sender<bool>) {
    let Ok(mut signals) = signals else {
        tracing::error!("signals cannot be received; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    for last in [false, true] {
        signals.end().await;
        if last {
            std::process::exit(130);
        }
        tracing::info!("server.ending");
        watch::notify("STOPPING=1");
        let _ = stop.send(true);
    }
}

pub(super) async fn listen(at: &str, setting: &str) -> Result<(TcpListener, std::net::SocketAddr), String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!(
                "{at} is in use: another server listens there. Stop it, or choose another address ({setting}, --listen)"
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("no permission to listen at {at}: choose a port from 1024 up ({setting}, --listen)")
        }
        _ => format!("cannot listen at {at} ({setting}): {error}"),
    };
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn tls(config: &Config) -> Result<Option<Tls>, String> {
    tls_files(config).map(Tls::load).transpose()
}

/// Where the certificate lies, if there is one.
pub(super) fn tls_files(config: &Config) -> Option<TlsFiles> {
    let (cert, key) = (config.tls.cert.clone()?, config.tls.key.clone()?);
    Some(TlsFiles { cert, key, poll: CERTIFICATE_POLL })
}

fn options(config: &Config, tls: Option<Tls>) -> Options {
    Options {
        realm: config.auth.realm.clone(),
        allow_plain: config.auth.allow_plain,
        trusted_proxies: config.server.trusted_proxies.clone(),
        public_url: config.server.public_url.clone(),
        tls,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Says where the server is, and at the first start how to get in.
async fn greet(context: &crate::service::Context, data: &Path, url: &str) -> Result<(), String> {
    let password = welcome::make_admin(context).await.map_err(|error| error.to_string())?;
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("Kalends {version} serves {url}/ with the data in {}\n\n", data.display());
    if let Some(password) = password {
        text.push_str(&welcome::text(url, &password, context.clock.now()));
    }
    let mut out = std::io::stdout().lock();
    // A server whose output nobody reads serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}
