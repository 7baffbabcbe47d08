//! What is answered to everybody, without a login: discovery, health and a line for people with a browser.

use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::app::path_of;
use super::auth::text;
use crate::api;
use crate::dav::Response;
use crate::service::Context;

/// The answer to a public route, with the kind under which the log counts it; `None` for all that takes a login.
pub(super) async fn answer(context: &Context, parts: &Parts) -> Option<(&'static str, Response)> {
    let reading = matches!(parts.method, Method::GET | Method::HEAD);
    match path_of(parts) {
        // RFC 6764 §5, for every method: clients ask with PROPFIND and with GET.
        "/.well-known/caldav" | "/.well-known/caldav/" => Some(("well-known", redirect("/dav/"))),
        "/" if reading => Some(("root", text(StatusCode::OK, "Kalends, a calendar server. CalDAV clients: /dav/\n"))),
        "/robots.txt" if reading => Some(("robots", text(StatusCode::OK, "User-agent: *\nDisallow: /dav/\n"))),
        "/api/v1/openapi.json" if reading => Some(("api", api::openapi())),
        "/healthz" if reading => Some(("health", text(StatusCode::OK, "ok\n"))),
        "/readyz" if reading => Some(("health", ready(context).await)),
        _ => None,
    }
}

/// 301: 302 and 308 are not followed by some clients.
fn redirect(to: &'static str) -> Response {
    let mut response = text(StatusCode::MOVED_PERMANENTLY, "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}

/// Whether the store can be read.
async fn ready(context: &Context) -> Response {
    match context.store.principals(None, 1).await {
        Ok(_) => text(StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(error = %error, "store.failed");
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "the storage is not available\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            response
        }
    }
}
