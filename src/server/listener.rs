//! Accepting connections, and ending well.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::app::App;
use super::connection;
use super::workers::Workers;

/// How long requests in flight may take to finish after the signal to end.
const GRACE: Duration = Duration::from_secs(30);

/// How long to wait after the system refused a connection: mostly for lack of file descriptors.
const REFUSED: Duration = Duration::from_millis(100);

/// Serves connections from `listener` until `shutdown` completes, then finishes the requests in flight. Both are the
/// caller's, so that tests run real servers on port 0.
pub async fn run(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let connections_max = usize::try_from(app.context.limits.connections_max).unwrap_or(usize::MAX);
    let connections_max = connections_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let connections = Arc::new(Semaphore::new(connections_max));
    let workers = match Workers::start(app.options.threads) {
        Ok(workers) => workers,
        Err(error) => return tracing::error!(error = %error, "server.no_threads"),
    };
    let (stop, stopped) = watch::channel(false);
    let watcher = watch_certificate(&app);
    let accepting = async {
        loop {
            let permits = Arc::clone(&connections);
            let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(error = %error, "connection.not_accepted");
                    tokio::time::sleep(REFUSED).await;
                    continue;
                }
            };
            metrics::gauge!("kalends_connections").increment(1);
            let (app, stopped) = (Arc::clone(&app), stopped.clone());
            let served = workers.serve(stream, move |stream| async move {
                connection::serve(app, stream, stopped).await;
                metrics::gauge!("kalends_connections").decrement(1);
                drop(permit);
            });
            if let Err(error) = served {
                metrics::gauge!("kalends_connections").decrement(1);
                tracing::warn!(error = %error, "connection.not_accepted");
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    let _ = stop.send(true);
    if let Some(watcher) = watcher {
        watcher.abort();
    }
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("shutdown.requests_cut_off");
    }
    workers.end().await;
}

fn watch_certificate(app: &Arc<App>) -> Option<tokio::task::JoinHandle<()>> {
    app.options.tls.as_ref()?;
    let app = Arc::clone(app);
    Some(tokio::spawn(async move {
        if let Some(tls) = &app.options.tls {
            tls.watch().await;
        }
    }))
}
