//! One connection: TLS, HTTP/1.1 or HTTP/2, and a watchdog that ends it when nothing moves.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::app::{App, Peer};
use crate::base::Limits;

/// How long a connection that is told to end may take for it.
const ENDING: Duration = Duration::from_secs(1);

/// HTTP/2 requests that one connection may have open at once.
const STREAMS_MAX: u32 = 128;

/// Serves a connection until it ends, the watchdog ends it, or the server shuts down and its last answer is out.
pub(super) async fn serve(app: Arc<App>, stream: TcpStream, mut shutdown: watch::Receiver<bool>) {
    let Ok(address) = stream.peer_addr() else { return };
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let address = address.ip();
    let Some(tls) = &app.options.tls else {
        return drive(app, stream, Peer { address, tls: false }, &mut shutdown).await;
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(tls.current());
    let time_max = Duration::from_secs(app.context.limits.header_seconds_max);
    match tokio::time::timeout(time_max, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => drive(app, stream, Peer { address, tls: true }, &mut shutdown).await,
        Ok(Err(error)) => tracing::debug!(error = %error, "tls.handshake_failed"),
        Err(_) => tracing::debug!("tls.handshake_slow"),
    }
}

async fn drive<S>(app: Arc<App>, stream: S, peer: Peer, shutdown: &mut watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new(&app.context.limits);
    let io = TokioIo::new(Watched { stream, activity: activity.clone() });
    let builder = builder(&app.context.limits);
    let service = service_fn({
        let activity = activity.clone();
        move |request: http::Request<hyper::body::Incoming>| {
            let app = Arc::clone(&app);
            let in_flight = activity.begin(request.version() == http::Version::HTTP_2);
            app.answer(request, peer, in_flight)
        }
    });
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut stopping = *shutdown.borrow();
    if stopping {
        connection.as_mut().graceful_shutdown();
    }
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "connection.ended");
                }
                return;
            }
            () = activity.expired() => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(ENDING, connection.as_mut()).await;
                return;
            }
            changed = shutdown.changed(), if !stopping => {
                stopping = changed.is_err() || *shutdown.borrow();
                if stopping {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let header_bytes = usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watchdog tells an idle connection from a slow head; hyper's own timer does not.
        .header_read_timeout(None)
        .max_buf_size(header_bytes.max(8_192))
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    builder
}

/// What moves on a connection. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests whose answer is not out yet.
    in_flight: u64,
    /// Since when a head has been arriving; `None` between requests.
    head_since: Option<Instant>,
    /// When the last answer was out.
    idle_since: Instant,
    /// When a byte last went either way.
    moved: Instant,
    /// HTTP/2: bytes between requests are no head that drags on.
    multiplexed: bool,
    head_max: Duration,
    idle_max: Duration,
    stall_max: Duration,
}

/// A request whose answer is not out yet, for as long as it is kept.
pub(super) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.idle_since = Instant::now();
    }
}

impl Activity {
    fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            head_since: Some(now),
            idle_since: now,
            moved: now,
            multiplexed: false,
            head_max: Duration::from_secs(limits.header_seconds_max),
            idle_max: Duration::from_secs(limits.idle_seconds_max),
            stall_max: Duration::from_secs(limits.body_seconds_max.saturating_add(limits.handler_seconds_max)),
        })))
    }

    fn begin(&self, multiplexed: bool) -> InFlight {
        let mut state = self.0.lock();
        state.in_flight += 1;
        state.head_since = None;
        state.multiplexed = multiplexed;
        InFlight(self.clone())
    }

    fn moved(&self, bytes_in: bool) {
        let mut state = self.0.lock();
        let now = Instant::now();
        state.moved = now;
        if bytes_in && state.in_flight == 0 && !state.multiplexed {
            state.head_since.get_or_insert(now);
        }
    }

    /// Completes when the connection has been without movement for longer than the limits allow.
    async fn expired(&self) {
        loop {
            let (deadline, shortest) = {
                let state = self.0.lock();
                (state.deadline(), state.head_max.min(state.idle_max).min(state.stall_max))
            };
            let now = Instant::now();
            if now >= deadline {
                return;
            }
            // A request that begins or ends meanwhile may bring the deadline nearer, but no nearer than the shortest.
            tokio::time::sleep_until(deadline.min(now + shortest)).await;
        }
    }
}

impl State {
    fn deadline(&self) -> Instant {
        match (self.in_flight, self.head_since) {
            (0, Some(since)) => since + self.head_max,
            (0, None) => self.idle_since + self.idle_max,
            _ => self.moved + self.stall_max,
        }
    }
}

/// A stream that reports its movement.
struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.moved(true);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(written)) if written > 0) {
            self.activity.moved(false);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if matches!(polled, Poll::Ready(Ok(written)) if written > 0) {
            self.activity.moved(false);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
