//! A request as the methods see it, and the shapes of answers.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

use super::Failure;
use crate::access::Actor;
use crate::base::Limits;
use crate::model::Path;
use crate::service::Error;
use crate::xml::{self, Element};

/// A body, in or out. Boxed once; streams without being held in memory.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer.
pub type Response = http::Response<Body>;

/// A request after login and routing.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub path: Path,
    /// The query string, without the question mark.
    pub query: Option<String>,
    /// `scheme://host[:port]` by which the client reaches us, for absolute URLs in Location and for reading Destination.
    pub origin: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// On whose authority.
    pub actor: Actor,
    /// The body. Take it with [`Request::bytes`] or [`Request::xml`].
    pub body: Body,
}

/// A body of these bytes.
pub fn body_of(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of nothing.
pub fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

impl Request {
    /// A header field as text; `None` if it is missing or is not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// Reads the whole body, at most `max` bytes of it.
    ///
    /// # Errors
    /// 413 if it is longer, 400 if the client stops in the middle, 415 if it is encoded (RFC 9110 §8.4): what is stored and read is
    /// the text itself.
    pub async fn bytes(&mut self, max: u64) -> Result<Bytes, Failure> {
        if let Some(coding) = self.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            let coding = coding.chars().take(40).collect::<String>();
            let message = format!("the body is encoded with {coding:?}; send it as it is, without Content-Encoding");
            return Err(Error::UnsupportedMediaType(message).into());
        }
        // Frame by frame rather than with `Limited`: the compiler cannot tell that that one's future is Send.
        let mut body = std::mem::replace(&mut self.body, empty_body());
        let max_len = usize::try_from(max).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::BadRequest("the request's body ended too early".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > max_len {
                return Err(Error::TooLarge { what: "the request's body", max }.into());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }

    /// Reads the body as XML, whatever its Content-Type; `None` if it is empty.
    ///
    /// # Errors
    /// As [`Request::bytes`], and 400 if it is not well-formed.
    pub async fn xml(&mut self, limits: &Limits) -> Result<Option<Element>, Failure> {
        let body = self.bytes(limits.body_bytes_max).await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        xml::parse(&body, limits).map(Some).map_err(|error| Error::BadRequest(error.to_string()).into())
    }
}
