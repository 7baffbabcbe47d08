//! What a running server tells of itself from time to time: gauges for the metrics, and to systemd that it is ready.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::config::Config;
use super::serve::tls_files;
use crate::service::Context;

/// How often the gauges are set.
const PAUSE: Duration = Duration::from_secs(10);

/// Sets the gauges for as long as it is polled.
pub(super) async fn gauges(context: &Context, config: &Config) {
    metrics::gauge!("kalends_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    loop {
        of_store(context);
        if let Some(files) = tls_files(config)
            && let Ok((_, until)) = files.validity()
        {
            gauge("kalends_certificate_expires_seconds", until.0);
        }
        if let Some(bytes) = resident_bytes() {
            gauge("kalends_process_resident_bytes", i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn of_store(context: &Context) {
    match context.store.condition() {
        Ok(condition) => {
            metrics::gauge!("kalends_store_writable").set(if condition.writable { 1 } else { 0 });
            metrics::gauge!("kalends_store_disk_bytes").set(condition.disk_bytes as f64);
            if let Some(free) = condition.free_bytes {
                metrics::gauge!("kalends_disk_free_bytes").set(free as f64);
            }
        }
        Err(error) => tracing::error!(error = %error, "store.failed"),
    }
    match context.store.outbox() {
        Ok(outbox) => {
            let now = context.clock.now();
            let (length, age) = outbox.map_or((0, 0), |(length, oldest)| (length, (now.0 - oldest.0).max(0)));
            metrics::gauge!("kalends_outbox_events").set(length as f64);
            gauge("kalends_outbox_oldest_seconds", age);
        }
        Err(error) => tracing::error!(error = %error, "store.failed"),
    }
}

fn gauge(name: &'static str, value: i64) {
    metrics::gauge!(name).set(value as f64);
}

/// The memory that this process occupies.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

/// Tells the service manager `state`, if there is one that wants to know (`sd_notify`).
pub(super) fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(error = %error, "the service manager could not be told: {state}");
    }
}
