//! From a request to its answer: public routes, login, dispatch, and around them time limits, panics and the log.

use std::any::Any;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::{
    CONTENT_LENGTH, HOST, HeaderName, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::auth::{self, Login, text};
use super::body::{Bounds, Counted, bounded, counted};
use super::connection::InFlight;
use super::hooks::Route;
use super::{Client, Network, Throttle, Tls, hooks, public, record};
use crate::access::Actor;
use crate::api;
use crate::dav::{self, Body, Failure, Response};
use crate::model::{Path, PathError};
use crate::service::Context;

/// How the server behaves, beside the limits.
#[derive(Default)]
pub struct Options {
    /// The realm of the password prompt; empty for `Kalends`.
    pub realm: String,
    /// Whether passwords may come over plain HTTP from other machines.
    pub allow_plain: bool,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// What clients behind a proxy call the server, without a slash at the end.
    pub public_url: Option<String>,
    /// Certificates; `None` serves plain HTTP.
    pub tls: Option<Tls>,
    /// Threads that serve connections, each with an event loop of its own; 0 serves them where [`super::run`] is called.
    pub threads: usize,
}

/// The server's state, shared by all connections.
pub struct App {
    pub(super) context: Arc<Context>,
    pub(super) options: Options,
    throttle: Throttle,
    unproven: hooks::Unproven,
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) tls: bool,
}

/// What the log says of a request, filled in on the way.
struct Seen {
    user: Option<String>,
    kind: &'static str,
}

impl App {
    /// A server over `context`.
    pub fn new(context: Arc<Context>, mut options: Options) -> Arc<Self> {
        if options.realm.is_empty() {
            "Kalends".clone_into(&mut options.realm);
        }
        let throttle = Throttle::new(&context.limits);
        Arc::new(Self { context, options, throttle, unproven: hooks::Unproven::default() })
    }

    /// Answers a request, whatever happens.
    ///
    /// # Errors
    /// Never; the type is what connections ask for.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: Peer,
        in_flight: InFlight,
    ) -> Result<http::Response<Counted>, Infallible> {
        let started = Instant::now();
        let (parts, incoming) = request.into_parts();
        let method = record::known_method(&parts.method);
        let id = record::request_id();
        let client = Client::of(peer.address, peer.tls, &parts.headers, &self.options.trusted_proxies);
        let mut seen = Seen { user: None, kind: "none" };
        let mut response = {
            let bounds = Bounds::default();
            // Pinned here and lent from here on: each layer that took it by value would move it.
            let work = pin!(self.routed(parts, incoming, client, &mut seen, bounds.clone()));
            self.guarded(work, &bounds).await
        };
        decorate(&mut response, id.clone(), client);
        let status = response.status().as_u16();
        Ok(response.map(|body| {
            counted(body, move |bytes| {
                drop(in_flight);
                let user = seen.user.as_deref();
                record::request(&record::Record { id, user, method, kind: seen.kind, status, started, bytes });
            })
        }))
    }

    /// Waits for `work`, with panics and delays turned into answers.
    async fn guarded(&self, work: Pin<&mut (dyn Future<Output = Response> + Send)>, bounds: &Bounds) -> Response {
        let limits = &self.context.limits;
        let time_max = Duration::from_secs(limits.handler_seconds_max.saturating_add(limits.body_seconds_max));
        match in_time(time_max, unpanicked(work)).await {
            Some(Ok(_)) if bounds.too_slow() => {
                limit_hit("body_seconds_max");
                text(StatusCode::REQUEST_TIMEOUT, "the request's body took too long\n")
            }
            Some(Ok(_)) if bounds.too_long() => too_long(),
            Some(Ok(response)) => response,
            Some(Err(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, "the server made a mistake; it is in its log\n"),
            None => {
                limit_hit("handler_seconds_max");
                text(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long\n")
            }
        }
    }

    async fn routed(
        &self,
        parts: Parts,
        incoming: Incoming,
        client: Client,
        seen: &mut Seen,
        bounds: Bounds,
    ) -> Response {
        if let Err(refusal) = well_formed(&parts) {
            return *refusal;
        }
        if let Some((kind, response)) = public::answer(&self.context, &parts).await {
            seen.kind = kind;
            return response;
        }
        if let Some(route) = hooks::route(&parts) {
            return Box::pin(self.brought(route, parts, incoming, client, seen)).await;
        }
        let actor = match self.actor(&parts, &client, seen).await {
            Ok(actor) => actor,
            Err(refusal) => return *refusal,
        };
        if api::is_below(path_of(&parts)) {
            seen.kind = "api";
            let time_max = Duration::from_secs(self.context.limits.body_seconds_max);
            let bytes_max = self.context.limits.body_bytes_max;
            let request = api::Request {
                path: path_of(&parts).to_owned(),
                query: parts.uri.query().map(str::to_owned),
                actor,
                body: bounded(incoming, bytes_max, time_max, bounds),
                method: parts.method,
                headers: parts.headers,
            };
            return Box::pin(api::handle(&self.context, request)).await;
        }
        let path = match Path::parse(path_of(&parts)) {
            Ok(path) => path,
            Err(PathError::NotFound) => return text(StatusCode::NOT_FOUND, "there is nothing here\n"),
            Err(error) => return Failure::new(StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        };
        seen.kind = record::path_kind(&path);
        let bytes_max = self.body_bytes_max(&parts.method, &path);
        if declared_length(&parts) > bytes_max {
            return too_long();
        }
        let time_max = Duration::from_secs(self.context.limits.body_seconds_max);
        let request = dav::Request {
            path,
            query: parts.uri.query().map(str::to_owned),
            origin: self.origin(&parts, &client),
            actor,
            body: bounded(incoming, bytes_max, time_max, bounds),
            method: parts.method,
            headers: parts.headers,
        };
        dav::handle(&self.context, request).await
    }

    /// Answers what providers and other programs bring.
    async fn brought(
        &self,
        route: Route,
        parts: Parts,
        incoming: Incoming,
        client: Client,
        seen: &mut Seen,
    ) -> Response {
        let limits = &self.context.limits;
        let bytes_max = limits.ingest_body_bytes_max;
        if declared_length(&parts) > bytes_max {
            return brought_too_long();
        }
        let size = Bounds::default();
        let time_max = Duration::from_secs(limits.body_seconds_max);
        let body = bounded(incoming, bytes_max, time_max, size.clone());
        let response = match route {
            Route::Events => self.events(parts, body, client, seen).await,
            Route::Hook(_) | Route::NoHook => {
                seen.kind = "hook";
                let key = if let Route::Hook(key) = route { Some(key) } else { None };
                hooks::hook(&self.context, &self.unproven, key, parts, body).await
            }
        };
        if size.too_slow() {
            limit_hit("body_seconds_max");
            return text(StatusCode::REQUEST_TIMEOUT, "the request's body took too long (limit body_seconds_max)\n");
        }
        if size.too_long() { brought_too_long() } else { response }
    }

    async fn events(&self, parts: Parts, body: Body, client: Client, seen: &mut Seen) -> Response {
        seen.kind = "events";
        if parts.method != Method::POST {
            return hooks::not_allowed("POST");
        }
        let account = match hooks::bearer(&parts) {
            Some(_) if !client.private && !self.options.allow_plain => return auth::plain(),
            Some(token) => hooks::by_token(&self.context, token).await,
            None => match self.actor(&parts, &client, seen).await {
                Ok(actor) => hooks::by_login(&self.context, actor, &parts).await,
                Err(refusal) => Err(refusal),
            },
        };
        match account {
            Ok(account) => hooks::events(&self.context, &account, &parts, body).await,
            Err(refusal) => *refusal,
        }
    }

    /// On whose authority the request is. OPTIONS takes none: clients ask before they have a password.
    async fn actor(&self, parts: &Parts, client: &Client, seen: &mut Seen) -> Result<Actor, Box<Response>> {
        if parts.method == Method::OPTIONS {
            return Ok(Actor::Anonymous);
        }
        if !client.private && !self.options.allow_plain {
            return Err(Box::new(auth::plain()));
        }
        match auth::login(&self.context, &self.throttle, client, &parts.headers).await {
            Login::User { id, name } => {
                seen.user = Some(name);
                Ok(Actor::User(id))
            }
            Login::Missing | Login::Wrong => Err(Box::new(auth::challenge(&self.options.realm))),
            Login::Wait { seconds } => Err(Box::new(auth::wait(seconds))),
            Login::Failed(error) => {
                let failure = Failure::from(crate::service::Error::Store(error));
                Err(Box::new(failure.into_response()))
            }
        }
    }

    fn body_bytes_max(&self, method: &Method, path: &Path) -> u64 {
        let limits = &self.context.limits;
        match path {
            Path::File(..) if method == Method::PUT => limits.file_bytes_max,
            _ => limits.body_bytes_max,
        }
    }

    /// `scheme://host[:port]` as the client writes it.
    fn origin(&self, parts: &Parts, client: &Client) -> String {
        match &self.options.public_url {
            Some(url) if client.proxied => url.clone(),
            _ => {
                let host = host_of(parts).unwrap_or("localhost");
                format!("{}://{host}", if client.https { "https" } else { "http" })
            }
        }
    }
}

/// What comes of `work`; `None` if it takes longer than `time_max` from now. Most work never waits, and then no timer is made.
async fn in_time<T>(time_max: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let end = Instant::now() + time_max;
    let mut deadline: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end.into())));
            // Work that has used up its turn must not keep the end from being seen.
            pin!(tokio::task::unconstrained(deadline.as_mut())).poll(cx).map(|()| None)
        }
    })
    .await
}

/// Runs `work`, and gives a panic in it back as an error. The panic itself was logged by the hook.
async fn unpanicked<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// The demands of RFC 9112 §3.2 on Host, and methods that are not for servers like this one.
fn well_formed(parts: &Parts) -> Result<(), Box<Response>> {
    let hosts = parts.headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Box::new(text(StatusCode::BAD_REQUEST, "the request must have one Host\n")));
    }
    // RFC 9112 §6.1. What is under the chunks would be taken for what is meant.
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Box::new(text(StatusCode::NOT_IMPLEMENTED, "of transfer codings only chunked is known here\n")));
    }
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Box::new(text(StatusCode::NOT_IMPLEMENTED, "the method is not known here\n")));
    }
    Ok(())
}

fn host_of(parts: &Parts) -> Option<&str> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| parts.headers.get(HOST)?.to_str().ok()).filter(|host| !host.is_empty())
}

/// The path of the target; `*` (OPTIONS) stands for the root.
pub(super) fn path_of(parts: &Parts) -> &str {
    match parts.uri.path() {
        "*" | "" => "/",
        path => path,
    }
}

fn declared_length(parts: &Parts) -> u64 {
    parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn too_long() -> Response {
    limit_hit("body_bytes_max");
    text(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is larger than the server takes\n")
}

/// The same for what providers and other programs bring.
fn brought_too_long() -> Response {
    limit_hit("ingest_body_bytes_max");
    let told = "the request's body is larger than the server takes (limit ingest_body_bytes_max)\n";
    text(StatusCode::PAYLOAD_TOO_LARGE, told)
}

fn limit_hit(limit: &'static str) {
    metrics::counter!("kalends_limit_hits_total", "limit" => limit).increment(1);
}

/// Header fields that every answer has.
fn decorate(response: &mut Response, id: HeaderValue, client: Client) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-request-id"), id);
    if client.https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_is_cheap_to_move_about() {
        let bytes = size_of_future(App::answer);
        assert!(bytes <= 4_096, "{bytes} bytes");
    }

    #[test]
    fn a_panic_costs_its_own_request_alone() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let panicking = async {
            tokio::task::yield_now().await;
            assert!(path_of_nothing().is_some(), "on purpose");
        };
        assert!(runtime.block_on(unpanicked(panicking)).is_err());
        assert!(matches!(runtime.block_on(unpanicked(async { 7 })), Ok(7)));
    }

    #[test]
    fn work_that_never_ends_is_given_up_when_its_time_is_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let time_max = Duration::from_millis(1);
        assert_eq!(runtime.block_on(in_time(time_max, std::future::pending::<()>())), None);
        assert_eq!(runtime.block_on(in_time(time_max, async { 7 })), Some(7));
        let waiting = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(runtime.block_on(in_time(Duration::from_secs(60), waiting)), Some(7));
    }

    fn path_of_nothing() -> Option<()> {
        None
    }
}
