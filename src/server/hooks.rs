//! What providers and other programs bring: `POST /hooks/{provider}/{account}` (and GET, where a handshake asks so), proven
//! by signature or token, and `POST /ingest/events`, with a bearer token or a login. No cookies, no forms.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use super::app::path_of;
use super::auth::text;
use crate::access::Actor;
use crate::base::Utc;
use crate::dav::{Body, Response, body_of};
use crate::provider::generic::{self, Posted};
use crate::provider::{AccountKey, Delivery, receive};
use crate::service::Context;
use crate::service::providers::{Account, ProviderError};

/// The part of a body that needs no room: nearly all notifications are smaller, so whoever takes all the room keeps none of them out.
/// The number of connections bounds it.
const FREE_BYTES: u64 = 16 * 1024;

/// The bytes of bodies in memory that nobody has proven yet, all hooks together, beyond [`FREE_BYTES`] of each: whoever has no secret can
/// send as many as there are connections.
#[derive(Default)]
pub(super) struct Unproven(AtomicU64);

/// What one body holds of it, until it is dropped.
struct Held<'a> {
    all: &'a Unproven,
    /// What has come.
    came: u64,
    /// What of it is counted.
    bytes: u64,
}

impl Held<'_> {
    /// Takes so many more; `false` if that is more than `most`, all together.
    fn take(&mut self, bytes: u64, most: u64) -> bool {
        self.came += bytes;
        let more = self.came.saturating_sub(FREE_BYTES).saturating_sub(self.bytes);
        self.bytes += more;
        more == 0 || self.all.0.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= most
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A route of this kind.
pub(super) enum Route {
    /// An account's hook.
    Hook(AccountKey),
    /// A hook that is nobody's.
    NoHook,
    /// The plain form.
    Events,
}

/// Which route the request takes, if one of these.
pub(super) fn route(parts: &Parts) -> Option<Route> {
    let path = path_of(parts);
    if path == "/ingest/events" {
        return Some(Route::Events);
    }
    let name = path.strip_prefix("/hooks/")?;
    let decoded = percent_encoding::percent_decode_str(name).decode_utf8().ok();
    Some(decoded.and_then(|name| name.parse().ok()).map_or(Route::NoHook, Route::Hook))
}

/// Answers a delivery to a hook.
pub(super) async fn hook(
    context: &Context,
    unproven: &Unproven,
    key: Option<AccountKey>,
    parts: Parts,
    body: Body,
) -> Response {
    if parts.method != Method::POST && parts.method != Method::GET {
        return not_allowed("GET, POST");
    }
    let Some(key) = key else { return text(StatusCode::NOT_FOUND, "there is nothing here\n") };
    let (mut held, most) = (Held { all: unproven, came: 0, bytes: 0 }, context.limits.ingest_unproven_bytes_max);
    let body = match read(body, |bytes| held.take(bytes, most)).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    let delivery = delivery(context.clock.now(), &parts, body);
    let delivered = receive(context, &key, &delivery).await;
    let status = StatusCode::from_u16(delivered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(body_of(delivered.body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(delivered.content_type));
    for (name, value) in delivered.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn delivery(at: Utc, parts: &Parts, body: Bytes) -> Delivery {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Delivery {
        method: parts.method.as_str().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.iter().map(field).collect(),
        body,
        at,
    }
}

/// The bearer token of a request, if it has one.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    generic::bearer(parts.headers.get(AUTHORIZATION)?.to_str().ok()?)
}

/// Whose events these are: the account's by its token.
pub(super) async fn by_token(context: &Context, token: &str) -> Result<Account, Box<Response>> {
    match generic::bearer_account(context, token).await {
        Ok(Some(account)) => Ok(account),
        Ok(None) => {
            let labels = [("provider", "generic"), ("class", "forged")];
            metrics::counter!("kalends_ingest_deliveries_total", &labels).increment(1);
            let posted = Posted::refusal(401, "Authorization", "this bearer token is no account's");
            Err(Box::new(json(&posted)))
        }
        Err(error) => Err(Box::new(failed(&error))),
    }
}

/// Whose events these are: the user's who has logged in.
pub(super) async fn by_login(context: &Context, actor: Actor, parts: &Parts) -> Result<Account, Box<Response>> {
    let Some(user) = actor.principal() else {
        return Err(Box::new(json(&Posted::refusal(401, "Authorization", "this takes a login or a bearer token"))));
    };
    let named = parts.uri.query().and_then(|query| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("account="))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    });
    generic::account_of(context, user, named.as_deref()).await.map_err(|error| Box::new(failed(&error)))
}

/// Answers `POST /ingest/events` for `account`.
pub(super) async fn events(context: &Context, account: &Account, parts: &Parts, body: Body) -> Response {
    // Whose they are is known before they are read.
    let body = match read(body, |_| true).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    let key = parts.headers.get("idempotency-key").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match generic::post(context, account, key.as_deref(), &body).await {
        Ok(posted) => json(&posted),
        Err(error) => failed(&error),
    }
}

/// 405.
pub(super) fn not_allowed(methods: &'static str) -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this address\n");
    response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(methods));
    response
}

fn failed(error: &ProviderError) -> Response {
    let (status, message) = match error {
        ProviderError::NoSuchAccount(_) | ProviderError::Key(_) => (404, "you have no such account".to_owned()),
        ProviderError::Setting(_) | ProviderError::NoSuchCalendar { .. } => (409, error.to_string()),
        _ => {
            tracing::error!(error = %error, "provider.failed");
            (503, "the events could not be stored; send them again".to_owned())
        }
    };
    let mut response = json(&Posted::refusal(status, "account", &message));
    if status == 503 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

fn json(posted: &Posted) -> Response {
    let mut response = Response::new(body_of(format!("{}\n", posted.body)));
    *response.status_mut() = StatusCode::from_u16(posted.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 503: the provider is to send it again.
fn no_room() -> Response {
    metrics::counter!("kalends_limit_hits_total", "limit" => "ingest_unproven_bytes_max").increment(1);
    let told = "too much is being received at once; send it again (limit ingest_unproven_bytes_max)\n";
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, told);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

/// The whole body, which is bounded already. `has_room` is asked before each piece is kept.
async fn read(mut body: Body, mut has_room: impl FnMut(u64) -> bool) -> Result<Bytes, Box<Response>> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Box::new(text(StatusCode::BAD_REQUEST, "the request's body ended too early\n")));
        };
        if let Ok(data) = frame.into_data() {
            if !has_room(data.len() as u64) {
                return Err(Box::new(no_room()));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}
