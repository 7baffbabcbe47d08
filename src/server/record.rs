//! What is recorded of each request: one structured log line and a few metrics. Never a path's content, never a body.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method};
use metrics::{Counter, Histogram};
use parking_lot::RwLock;

use crate::dav::METHODS;
use crate::model::Path;

/// What is recorded of a request.
pub(super) struct Record<'a> {
    pub(super) id: HeaderValue,
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
        request.id = record.id.to_str().unwrap_or_default(),
        user = record.user,
        method = record.method,
        path.kind = record.kind,
        status = record.status,
        duration_us,
        bytes = record.bytes,
        "request"
    );
    Meters::with((record.method, record.kind, record.status), |meters| {
        meters.requests.increment(1);
        meters.seconds.record(elapsed.as_secs_f64());
        meters.bytes.increment(record.bytes);
    });
}

/// Method, kind and status: what requests are told apart by in metrics. All are ours, so there are few.
type Sort = (&'static str, &'static str, u16);

/// Where requests of one sort are counted.
struct Meters {
    requests: Counter,
    seconds: Histogram,
    bytes: Counter,
}

impl Meters {
    /// Finding them by their labels costs more than counting does, so they are kept. Metrics are started before the first
    /// request is served.
    fn with(sort: Sort, count: impl Fn(&Self)) {
        static KEPT: LazyLock<RwLock<HashMap<Sort, Meters>>> = LazyLock::new(RwLock::default);
        if let Some(meters) = KEPT.read().get(&sort) {
            return count(meters);
        }
        count(KEPT.write().entry(sort).or_insert_with(|| Self::of(sort)));
    }

    fn of((method, kind, status): Sort) -> Self {
        let labels = [("method", method.to_owned()), ("kind", kind.to_owned()), ("status", status.to_string())];
        Self {
            requests: metrics::counter!("kalends_requests_total", &labels),
            seconds: metrics::histogram!("kalends_request_seconds", &labels[..2]),
            bytes: metrics::counter!("kalends_response_bytes_total"),
        }
    }
}

/// A name for a request: random for the process, counted within it.
pub(super) fn request_id() -> HeaderValue {
    static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{:08x}-", getrandom::u32().unwrap_or_default()));
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = String::with_capacity(PROCESS.len() + 20);
    id.push_str(&PROCESS);
    // Writing into a string never fails.
    let _ = write!(id, "{}", NEXT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::from_maybe_shared(Bytes::from(id)).expect("digits and a hyphen are visible ASCII")
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
