//! Layer 6: the JSON API below `/api/v1`. [`ROUTES`] is the list of everything it understands; `openapi.json` describes it for programs, and
//! `tests/api` proves that the two agree with each other and with the answers.
//!
//! Errors are problem details (RFC 9457) that name the field. Who asks is who logged in, as for CalDAV; what is not theirs to
//! know of is answered as what is not there.

mod fields;
pub mod input;
mod problem;
pub mod render;
mod webhooks;

pub use fields::Fields;
pub use problem::Problem;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use crate::access::Actor;
use crate::service::Context;

/// A body, in or out.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer.
pub type Response = http::Response<Body>;

/// Where the API begins.
pub const ROOT: &str = "/api/v1";

/// The description of the API for programs.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The largest body that is read: nothing here needs more.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request after login.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent, from its first slash on.
    pub path: String,
    /// The query, without the question mark.
    pub query: Option<String>,
    /// The header fields.
    pub headers: HeaderMap,
    /// On whose authority.
    pub actor: Actor,
    /// The body.
    pub body: Body,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The description of the API.
    OpenApi,
    /// The endpoints of the one who asks.
    List,
    /// A new endpoint.
    Create,
    /// One endpoint.
    Show,
    /// Changes an endpoint.
    Change,
    /// Removes an endpoint.
    Remove,
    /// Sends nothing until it is resumed.
    Pause,
    /// Sends again.
    Resume,
    /// A new secret.
    Rotate,
    /// A test message.
    Test,
    /// What was sent, and is to be.
    Deliveries,
    /// Sends one message again.
    Resend,
    /// Sends again what was given up.
    Recover,
    /// Sends what another endpoint was sent.
    Replay,
    /// What was given up.
    Dead,
    /// What was delivered once, more than once, out of order, not at all.
    Audit,
    /// The state that a receiver can compare its own with.
    State,
}

/// Everything that is understood: method, path below [`ROOT`], call. `{…}` stands for one segment.
pub const ROUTES: &[(&str, &str, Call)] = &[
    ("GET", "/openapi.json", Call::OpenApi),
    ("GET", "/webhooks", Call::List),
    ("POST", "/webhooks", Call::Create),
    ("GET", "/webhooks/{id}", Call::Show),
    ("PATCH", "/webhooks/{id}", Call::Change),
    ("DELETE", "/webhooks/{id}", Call::Remove),
    ("POST", "/webhooks/{id}/pause", Call::Pause),
    ("POST", "/webhooks/{id}/resume", Call::Resume),
    ("POST", "/webhooks/{id}/rotate", Call::Rotate),
    ("POST", "/webhooks/{id}/test", Call::Test),
    ("GET", "/webhooks/{id}/deliveries", Call::Deliveries),
    ("POST", "/webhooks/{id}/deliveries/{message}/resend", Call::Resend),
    ("POST", "/webhooks/{id}/recover", Call::Recover),
    ("POST", "/webhooks/{id}/replay", Call::Replay),
    ("GET", "/webhooks/{id}/dead", Call::Dead),
    ("GET", "/webhooks/{id}/audit", Call::Audit),
    ("GET", "/webhooks/{id}/state", Call::State),
];

/// Whether a path is one of the API's, whatever it names.
pub fn is_below(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Answers a request. Failures become answers here.
pub async fn handle(context: &Arc<Context>, request: Request) -> Response {
    match answer(context, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(context: &Arc<Context>, mut request: Request) -> Result<Response, Problem> {
    let method = if request.method == Method::HEAD { Method::GET } else { request.method.clone() };
    let Some(routes) = routes_of(&request.path) else { return Err(Problem::not_found()) };
    let allowed: Vec<_> = routes.iter().map(|(method, ..)| *method).collect();
    let Some((_, call, segments)) = routes.into_iter().find(|(known, ..)| *known == method.as_str()) else {
        return Ok(not_allowed(&allowed));
    };
    same_site(&request)?;
    if call == Call::OpenApi {
        return Ok(openapi());
    }
    let mut fields = Fields::of_query(request.query.as_deref())?;
    if matches!(method.as_str(), "POST" | "PATCH") {
        fields.end()?;
        fields = Fields::of_body(&read(&mut request).await?)?;
    }
    webhooks::call(context, request.actor, call, &segments, fields).await
}

/// The calls on a path: method, call and the segments that `{…}` stood for. `None` where there is nothing.
fn routes_of(path: &str) -> Option<Vec<(&'static str, Call, Vec<String>)>> {
    let rest = path.strip_prefix(ROOT)?;
    let found = ROUTES.iter().filter_map(|(method, template, call)| Some((*method, *call, matched(template, rest)?)));
    let found: Vec<_> = found.collect();
    (!found.is_empty()).then_some(found)
}

/// The segments of `path` that stand where `template` has `{…}`.
fn matched(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut names, mut given, mut taken) = (template.split('/'), path.split('/'), Vec::new());
    loop {
        match (names.next(), given.next()) {
            (None, None) => return Some(taken),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {
                let decoded = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
                taken.push(decoded.into_owned());
            }
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

/// Refuses what another site's page makes a browser send: it would send the password that it remembers along.
fn same_site(request: &Request) -> Result<(), Problem> {
    match request.headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"cross-site" | b"same-site") => {
            Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", "requests from pages of other sites are not taken"))
        }
        _ => Ok(()),
    }
}

async fn read(request: &mut Request) -> Result<Bytes, Problem> {
    let too_long = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than 64 KiB");
    let mut bytes = BytesMut::new();
    while let Some(frame) = request.body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "invalid-json", "the request's body ended too early"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_long());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The description of the API as an answer. It needs no login: it says nothing of anybody.
pub fn openapi() -> Response {
    let mut response = json(StatusCode::OK, OPENAPI.to_owned());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn not_allowed(allowed: &[&str]) -> Response {
    let allow = allowed.join(", ");
    let detail = format!("this can be asked for with {allow}");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response();
    if let Ok(value) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// An answer of JSON.
fn json(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(body_of(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn body_of(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_segment_by_segment() {
        let one = |path: &str| routes_of(path).map(|routes| routes.into_iter().next_back());
        assert_eq!(one("/api/v1/webhooks"), Some(Some(("POST", Call::Create, vec![]))));
        assert_eq!(
            one("/api/v1/webhooks/a%2Fb/deliveries/msg_1/resend"),
            Some(Some(("POST", Call::Resend, vec!["a/b".to_owned(), "msg_1".to_owned()])))
        );
        for nothing in
            ["/api/v1", "/api/v1/", "/api/v1/webhooks/", "/api/v1/webhooks//pause", "/api/v2/webhooks", "/api"]
        {
            assert_eq!(one(nothing), None, "{nothing}");
        }
        assert!(is_below("/api/x") && is_below("/api") && !is_below("/apis"));
    }
}
