//! What is recorded of each request: one structured log line and a few metrics. Never a path's content, never a body.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::Method;

use crate::dav::METHODS;
use crate::model::Path;

/// What is recorded of a request.
pub(super) struct Record<'a> {
    pub(super) id: String,
    pub(super) user: Option<&'a str>,
    pub(super) method: &'static str,
    pub(super) kind: &'static str,
    pub(super) status: u16,
    pub(super) started: Instant,
    pub(super) bytes: u64,
}

/// Records a request whose answer is out.
pub(super) fn request(record: &Record<'_>) {
    let elapsed = record.started.elapsed();
    let duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        request.id = record.id,
        user = record.user,
        method = record.method,
        path.kind = record.kind,
        status = record.status,
        duration_us,
        bytes = record.bytes,
        "request"
    );
    let labels =
        [("method", record.method.to_owned()), ("kind", record.kind.to_owned()), ("status", record.status.to_string())];
    metrics::counter!("kalends_requests_total", &labels).increment(1);
    metrics::histogram!("kalends_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    metrics::counter!("kalends_response_bytes_total").increment(record.bytes);
}

/// A name for a request: random for the process, counted within it.
pub(super) fn request_id() -> String {
    static PROCESS: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or_default());
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:08x}-{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The method's name if it is one of ours: logs and metrics take no names that clients make up.
pub(super) fn known_method(method: &Method) -> &'static str {
    METHODS.iter().copied().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// What kind of thing a path names.
pub(super) fn path_kind(path: &Path) -> &'static str {
    match path {
        Path::Root => "root",
        Path::Dav => "dav",
        Path::Principals => "principals",
        Path::Principal(_) => "principal",
        Path::Homes => "homes",
        Path::Home(_) => "home",
        Path::Calendar(..) => "calendar",
        Path::Object(..) => "object",
        Path::FileRoots => "file-roots",
        Path::File(..) => "file",
    }
}
