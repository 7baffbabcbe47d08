//! Bodies on their way in (bounded in size and time) and out (counted).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::dav::{Body, empty_body};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which bound a request's body broke, if any. Shared with whoever answers: the one who read the body only knows that it
/// ended.
#[derive(Clone, Default)]
pub(super) struct Bounds(Arc<BoundsBroken>);

#[derive(Default)]
struct BoundsBroken {
    time: AtomicBool,
    size: AtomicBool,
}

impl Bounds {
    /// Whether the client took too long to send it.
    pub(super) fn too_slow(&self) -> bool {
        self.0.time.load(Ordering::Relaxed)
    }

    /// Whether it was longer than allowed.
    pub(super) fn too_long(&self) -> bool {
        self.0.size.load(Ordering::Relaxed)
    }
}

#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the request's body took too long")]
    Slow,
    #[error("the request's body is too long")]
    Long,
}

/// A request's body: at most `bytes_max` long, and sent within `time_max` of its first read.
pub(super) fn bounded(incoming: Incoming, bytes_max: u64, time_max: Duration, bounds: Bounds) -> Body {
    if incoming.is_end_stream() {
        return empty_body();
    }
    Bounded { incoming, bytes_left: bytes_max, time_max, deadline: None, bounds }.boxed_unsync()
}

struct Bounded {
    incoming: Incoming,
    bytes_left: u64,
    time_max: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    bounds: Bounds,
}

impl Bounded {
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(frame)
            }
            None => {
                self.bounds.0.size.store(true, Ordering::Relaxed);
                Err(BodyError::Long.into())
            }
        }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            return Poll::Ready(frame.map(|result| this.count(result?)));
        }
        let time_max = this.time_max;
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_max)));
        if deadline.as_mut().poll(cx).is_ready() {
            this.bounds.0.time.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(BodyError::Slow.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response's body that tells `done` how many bytes were sent when it is finished with, completely or not.
pub(super) fn counted(body: Body, done: impl FnOnce(u64) + Send + 'static) -> Counted {
    Counted { body, bytes: 0, done: Some(Box::new(done)) }
}

/// A response's body as [`counted`] makes it.
pub(super) struct Counted {
    body: Body,
    bytes: u64,
    done: Option<Box<dyn FnOnce(u64) + Send>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.bytes);
        }
    }
}
