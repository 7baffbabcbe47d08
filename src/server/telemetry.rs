//! Logs and metrics: where they go.

use std::future::Future;
use std::io::IsTerminal;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::EnvFilter;

use super::families;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Whether `level` is a level, or a filter.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| {
        format!("`{level}` is no level: write \"info\", or a filter such as \"info,kalends=debug\" ({error})")
    })
}

/// Sends log lines to standard error, as JSON or as text, from `level` up. Once for the process; panics are logged
/// too, by their place alone (their text may hold what users wrote).
///
/// # Errors
/// If `level` is no filter.
pub fn start_logs(json: bool, level: &str) -> Result<(), String> {
    let filter = filter(level).map_err(|why| format!("[log] level: {why}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Where nobody reads the log any more (a closed terminal or pipe), the failure to write a line is nothing to fail of.
    let builder = builder.log_internal_errors(false);
    // A second start (in tests) leaves the first in force.
    let _ = if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
    Ok(())
}

/// Starts collecting metrics. Once for the process.
///
/// # Errors
/// If they are being collected already.
pub fn start_metrics() -> Result<PrometheusHandle, String> {
    let handle = recorder()?.install_recorder().map_err(|error| error.to_string())?;
    families::describe();
    Ok(handle)
}

/// What collects metrics, not yet in force.
pub(super) fn recorder() -> Result<PrometheusBuilder, String> {
    PrometheusBuilder::new().set_buckets(BUCKETS).map_err(|error| error.to_string())
}

/// Serves the metrics at `/metrics` of `listener` until `shutdown` completes.
pub async fn serve_metrics(handle: PrometheusHandle, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let serving = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(handle.clone(), stream))),
                Err(error) => {
                    tracing::warn!(error = %error, "metrics.connection_not_accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = shutdown => {}
    }
}

async fn answer(handle: PrometheusHandle, stream: TcpStream) {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let handle = handle.clone();
        async move {
            let found = request.uri().path() == "/metrics";
            let text = if found { handle.render() } else { "metrics are at /metrics\n".to_owned() };
            handle.run_upkeep();
            let mut response = http::Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
            let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let time_max = std::time::Duration::from_secs(30);
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(time_max, connection).await;
}
