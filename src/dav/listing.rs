//! GET of collections (RFC 4918 §9.4): a calendar is one iCalendar stream, the others a small page for people.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};

use super::get::{CALENDAR_VARY, Variant, respond, unchanged, validator_headers};
use super::{Failure, Response, empty_body};
use crate::access::Actor;
use crate::model::{Path, Privilege};
use crate::service::conditions::{Conditions, Validators};
use crate::service::objects::CalendarStream;
use crate::service::tree::Node;
use crate::service::{Context, Error, resources};

/// Members that a page lists.
const LISTED_MAX: usize = 1_000;

/// The calendar as one stream.
pub(super) fn calendar(
    context: &Arc<Context>,
    method: &Method,
    asked: &HeaderMap,
    conditions: &Conditions,
    node: &Node,
) -> Result<Response, Failure> {
    node.require(Privilege::Read)?;
    let variant = Variant::of(asked);
    let validators = Validators::of_collection(&node.collection).of_variant(&variant.name());
    let mut headers = HeaderMap::new();
    let media_type = if variant.jcal { variant.media_type() } else { "text/calendar; charset=utf-8" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(VARY, HeaderValue::from_static(CALENDAR_VARY));
    validator_headers(&mut headers, &validators);
    if let Some(response) = unchanged(conditions, &validators, &headers)? {
        return Ok(response);
    }
    let body = if method == Method::HEAD {
        empty_body()
    } else {
        let stream = CalendarStream::new(Arc::clone(context), &node.collection, variant.jcal, variant.timezones);
        Chunks::Idle(Box::new(stream)).boxed_unsync()
    };
    let mut response = http::Response::new(body);
    *response.headers_mut() = headers;
    Ok(response)
}

type Step = (Box<CalendarStream>, Result<Option<Bytes>, Error>);

/// A stream as a body: the next piece is made when the last has been taken.
enum Chunks {
    Idle(Box<CalendarStream>),
    Running(Pin<Box<dyn Future<Output = Step> + Send>>),
    Done,
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(this, Self::Done) {
                Self::Done => return Poll::Ready(None),
                Self::Idle(mut stream) => {
                    *this = Self::Running(Box::pin(async move {
                        let piece = stream.next().await;
                        (stream, piece)
                    }));
                }
                Self::Running(mut running) => {
                    let polled = running.as_mut().poll(cx);
                    if polled.is_pending() {
                        *this = Self::Running(running);
                        return Poll::Pending;
                    }
                    let (stream, piece) = ready!(polled);
                    let frame = piece.map(|piece| piece.map(Frame::data)).map_err(Into::into).transpose();
                    if matches!(frame, Some(Ok(_))) {
                        *this = Self::Idle(stream);
                    }
                    return Poll::Ready(frame);
                }
            }
        }
    }
}

/// A page with the members that the actor may know of.
pub(super) async fn collection(
    context: &Context,
    method: &Method,
    actor: Actor,
    node: &Node,
) -> Result<Response, Failure> {
    let members = resources::members(context, actor, node, LISTED_MAX).await?;
    Ok(page(method, &node.path.href(), &members))
}

/// A page with a title and links.
pub(super) fn page(method: &Method, title: &str, members: &[Path]) -> Response {
    let title = escape(title);
    let mut html =
        format!("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n");
    for member in members {
        let name = escape(member.name().unwrap_or_default());
        html.push_str(&format!("<li><a href=\"{}\">{name}</a></li>\n", escape(&member.href())));
    }
    html.push_str("</ul>\n");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    respond(StatusCode::OK, headers, method, html.len(), html)
}

/// Text as it stands in HTML and XML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
