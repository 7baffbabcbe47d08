//! Bodies on their way in (bounded in size and time) and out (counted).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::dav::Body;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether the client took too long to send a body. Shared with whoever answers.
#[derive(Clone, Default)]
pub(super) struct TimedOut(Arc<AtomicBool>);

impl TimedOut {
    /// Whether it has.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request's body took too long")]
struct BodyTimeout;

/// A request's body: at most `bytes_max` long, and sent within `time_max` of its first read.
pub(super) fn bounded(incoming: Incoming, bytes_max: u64, time_max: Duration, timed_out: TimedOut) -> Body {
    let timed = Timed { incoming, time_max, deadline: None, timed_out };
    Limited::new(timed, usize::try_from(bytes_max).unwrap_or(usize::MAX)).boxed_unsync()
}

struct Timed {
    incoming: Incoming,
    time_max: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    timed_out: TimedOut,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            return Poll::Ready(frame.map(|result| result.map_err(Into::into)));
        }
        let time_max = this.time_max;
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_max)));
        if deadline.as_mut().poll(cx).is_ready() {
            this.timed_out.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(Box::new(BodyTimeout))));
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
pub(super) fn counted(body: Body, done: impl FnOnce(u64) + Send + 'static) -> Body {
    Counted { body, bytes: 0, done: Some(Box::new(done)) }.boxed_unsync()
}

struct Counted {
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
