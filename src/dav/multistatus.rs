//! 207 Multi-Status (RFC 4918 §13), written while the listing is read: a page at a time, and no further ahead than
//! the client takes it. Short answers are kept whole, so that they have a length and their errors a status.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc;

use super::{Body, Failure, Response, body_of, write_condition};
use crate::model::{Path, Precondition};
use crate::xml::{Writer, ns};

/// How much is gathered before it is handed to the connection.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks may wait for a slow client.
const CHUNKS_WAITING: usize = 2;
/// The media type of what we say in XML.
pub const XML_TYPE: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");

/// What a writing task hands over.
enum Piece {
    /// More is to come.
    Part(Bytes),
    /// The end.
    Last(Bytes),
    /// It failed.
    Failed(Failure),
}

/// A DAV:multistatus on its way.
pub struct Multistatus {
    writer: Writer,
    sender: Option<mpsc::Sender<Piece>>,
    /// Whether a part of it has been handed on, so that it cannot become an error any more.
    started: bool,
}

/// The client has gone away in the middle of the answer; nothing more needs to be computed.
#[derive(Debug, Clone, Copy)]
pub struct Gone;

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the client did not wait for the answer")
    }
}

impl Multistatus {
    /// One that is kept whole in memory: for answers known to be short.
    pub fn new() -> Self {
        Self { writer: Writer::document(ns::DAV, "multistatus"), sender: None, started: false }
    }

    /// Where responses are written.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// A DAV:response with a status of its own: a resource that is missing, or that something could not be done with.
    pub fn status(&mut self, href: &str, status: StatusCode, condition: Option<&Precondition>) {
        let writer = self.writer.open(ns::DAV, "response").element(ns::DAV, "href", href);
        write_status(writer, status);
        if let Some(condition) = condition {
            write_condition(writer.open(ns::DAV, "error"), condition);
            writer.close();
        }
        writer.close();
    }

    /// That the listing of the collection ends here although there is more (RFC 6578 §3.6).
    pub fn truncated(&mut self, collection: &Path) {
        self.status(
            &collection.href(),
            StatusCode::INSUFFICIENT_STORAGE,
            Some(&Precondition::NumberOfMatchesWithinLimits),
        );
    }

    /// Whether a part of the answer is on its way already: a failure can no longer take its place.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// Hands on what was written, if it is enough to be worth it and the answer streams. Call it after each response.
    ///
    /// # Errors
    /// [`Gone`] if nobody reads it any more.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        match &self.sender {
            Some(sender) if self.writer.pending() >= CHUNK_BYTES => {
                self.started = true;
                sender.send(Piece::Part(self.writer.take().into())).await.map_err(|_| Gone)
            }
            _ => Ok(()),
        }
    }

    /// The whole answer, of one that does not stream.
    pub fn into_response(self) -> Response {
        multistatus_response(body_of(self.writer.finish()))
    }

    /// Answers with what `produce` writes, while it writes. If it ends or fails before the first chunk is full, the answer has a
    /// length, or is the error itself; if it fails later, the connection breaks off, so that nobody takes a part
    /// for the whole.
    ///
    /// # Errors
    /// Those of `produce`, as said.
    pub async fn stream<P, F>(produce: P) -> Result<Response, Failure>
    where
        P: FnOnce(Self) -> F,
        F: Future<Output = Result<Self, Failure>> + Send + 'static,
    {
        let (sender, mut pieces) = mpsc::channel(CHUNKS_WAITING);
        let writer = Writer::document(ns::DAV, "multistatus");
        let writing = produce(Self { writer, sender: Some(sender.clone()), started: false });
        tokio::spawn(async move {
            let written = tokio::select! {
                written = writing => written,
                // The request was given up: nothing more is computed for it.
                () = sender.closed() => return,
            };
            let last = match written {
                Ok(done) => Piece::Last(done.writer.finish().into()),
                Err(failure) => Piece::Failed(failure),
            };
            // Whoever no longer listens has no use for the end either.
            let _ = sender.send(last).await;
        });
        match pieces.recv().await {
            Some(Piece::Last(whole)) => Ok(multistatus_response(body_of(whole))),
            Some(Piece::Part(first)) => {
                Ok(multistatus_response(Streaming { first: Some(first), pieces, ended: false }.boxed_unsync()))
            }
            Some(Piece::Failed(failure)) => Err(failure),
            None => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made")),
        }
    }
}

impl Default for Multistatus {
    fn default() -> Self {
        Self::new()
    }
}

/// The body of an answer that is still being written.
struct Streaming {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(poller));
        self.ended = !matches!(piece, Some(Piece::Part(_)));
        Poll::Ready(Some(match piece {
            Some(Piece::Part(bytes) | Piece::Last(bytes)) => Ok(Frame::data(bytes)),
            Some(Piece::Failed(failure)) => Err(failure.message.into()),
            None => Err("the answer could not be finished".into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// Writes a DAV:status element.
pub fn write_status(writer: &mut Writer, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    writer.open(ns::DAV, "status").text("HTTP/1.1 ").text(status.as_str()).text(" ").text(reason).close();
}

fn multistatus_response(body: Body) -> Response {
    xml_response(StatusCode::MULTI_STATUS, body)
}

/// An answer in XML.
pub fn xml_response(status: StatusCode, body: Body) -> Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response
}
