//! One exchange: a request out, an answer back, within bounds.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, timeout_at};

use super::connect::{self, Connector, Sender};
use super::gzip;
use super::pool::{Key, Pool};
use super::{Failure, Policy, Reach, Resolve, Stage, SystemResolver, Target};

/// The client. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    policy: Policy,
    agent: HeaderValue,
    connector: Connector,
    pool: Pool,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Target,
    /// Header fields. `Host` and `Content-Length` are set here; `User-Agent` if it is missing.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Another reach than the policy's.
    pub reach: Option<Reach>,
    /// Another time for the whole exchange than the policy's.
    pub total_timeout: Option<Duration>,
    /// Another bound on what is read of the body than the policy's.
    pub response_bytes_max: Option<usize>,
    /// Whether the answer may come compressed; it is given back as it was before, within the same bound.
    pub gzip: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status. Redirects are answers too.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, as much as was read.
    pub body: Bytes,
    /// Whether the body went on: it was longer than the bound, came too slowly, or broke off.
    pub truncated: bool,
    /// From the call to the end of the answer.
    pub elapsed: Duration,
}

impl Request {
    /// A request without header fields of its own.
    pub fn new(method: Method, url: Target, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body,
            reach: None,
            total_timeout: None,
            response_bytes_max: None,
            gzip: false,
        }
    }

    /// The same, whose answer may come compressed.
    #[must_use]
    pub fn compressed(self) -> Self {
        Self { gzip: true, ..self }.header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
    }

    /// The same with a header field more.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Client {
    /// A client that asks the system's resolver.
    ///
    /// # Errors
    /// What is wrong with the policy: additional certificate authorities that are no PEM, a user agent that is no header value.
    pub fn new(policy: Policy) -> Result<Self, String> {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// A client that asks `resolver`.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_resolver(policy: Policy, resolver: Arc<dyn Resolve>) -> Result<Self, String> {
        let agent = HeaderValue::from_str(&policy.user_agent)
            .map_err(|_| format!("`{}` cannot be a User-Agent", policy.user_agent))?;
        let connector = Connector { resolver, tls: connect::tls(policy.extra_roots.as_deref())? };
        Ok(Self(Arc::new(Inner { policy, agent, connector, pool: Pool::default() })))
    }

    /// What it allows.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Closes connections that nobody has used for a while. Whoever keeps a client for long calls it now and then.
    pub fn sweep(&self) {
        self.0.pool.sweep();
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// Why there is no answer. Once the head of an answer is there, it is one, even if its body breaks off ([`Answer::truncated`]).
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let body_max = request.response_bytes_max.unwrap_or(self.0.policy.response_bytes_max);
        let is_compressed = request.gzip;
        let answer = self.0.exchange(request).await;
        let answer = answer.map(|answer| if is_compressed { gzip::decoded(answer, body_max) } else { answer });
        if let Err(Failure::Blocked { .. }) = &answer {
            metrics::counter!("kalends_outbound_blocked_total").increment(1);
        }
        answer
    }
}

impl Inner {
    async fn exchange(&self, request: Request) -> Result<Answer, Failure> {
        let start = Instant::now();
        let reach = request.reach.unwrap_or(self.policy.reach);
        let total = start + request.total_timeout.unwrap_or(self.policy.total_timeout);
        let body_max = request.response_bytes_max.unwrap_or(self.policy.response_bytes_max);
        request.url.check(&self.policy, reach)?;
        let key = Key::new(&request.url, reach);
        let target = request.url.clone();
        let mut message = self.message(request)?;
        // A waiting connection may have been closed by the other side just now. What never went out is sent on another.
        while let Some(mut sender) = self.pool.take(&key) {
            match answer_on(&mut sender, message, total).await {
                Ok(response) => return Ok(self.read(sender, key, response, body_max, start, total).await),
                Err(Unsent::Back(unsent)) => message = *unsent,
                Err(Unsent::Failed(failure)) => return Err(failure),
            }
        }
        let connected_by = total.min(start + self.policy.connect_timeout);
        let mut sender = self.connector.connect(&target, reach, connected_by).await?;
        match answer_on(&mut sender, message, total).await {
            Ok(response) => Ok(self.read(sender, key, response, body_max, start, total).await),
            Err(Unsent::Back(_)) => Err(Failure::Connect("the other side closed the connection at once".to_owned())),
            Err(Unsent::Failed(failure)) => Err(failure),
        }
    }

    fn message(&self, request: Request) -> Result<Message, Failure> {
        let unfit = |what: &str| Failure::BadUrl(format!("its {what} cannot be sent"));
        let path: Uri = request.url.path_and_query().parse().map_err(|_| unfit("path"))?;
        let host = HeaderValue::from_str(&request.url.authority()).map_err(|_| unfit("host"))?;
        let mut message = http::Request::new(Full::new(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = path;
        *message.headers_mut() = request.headers;
        message.headers_mut().insert(HOST, host);
        message.headers_mut().entry(USER_AGENT).or_insert_with(|| self.agent.clone());
        Ok(message)
    }

    /// Reads the body within its bounds, and keeps the connection if nothing is left on it.
    async fn read(
        &self,
        sender: Sender,
        key: Key,
        response: http::Response<Incoming>,
        body_max: usize,
        start: Instant,
        total: Instant,
    ) -> Answer {
        let (head, mut body) = response.into_parts();
        let mut read = Vec::new();
        let truncated = loop {
            match timeout_at(total, body.frame()).await {
                Ok(None) => break false,
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    let room = body_max - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                    if data.len() > room {
                        break true;
                    }
                }
                Ok(Some(Err(_))) | Err(_) => break true,
            }
        };
        if !truncated {
            self.pool.put(key, sender, self.policy.idle_timeout, self.policy.idle_connections_max);
        }
        Answer { status: head.status, headers: head.headers, body: read.into(), truncated, elapsed: start.elapsed() }
    }
}

type Message = http::Request<Full<Bytes>>;

/// Why there is no answer on a connection.
enum Unsent {
    /// Nothing went out; here is the message again.
    Back(Box<Message>),
    /// It may have gone out.
    Failed(Failure),
}

async fn answer_on(sender: &mut Sender, message: Message, total: Instant) -> Result<http::Response<Incoming>, Unsent> {
    match timeout_at(total, sender.try_send_request(message)).await {
        Err(_) => Err(Unsent::Failed(Failure::Timeout(Stage::Answering))),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut failed)) => Err(match failed.take_message() {
            Some(message) => Unsent::Back(Box::new(message)),
            None => Unsent::Failed(failure_of(failed.error())),
        }),
    }
}

fn failure_of(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_too_large() {
        Failure::Protocol(error.to_string())
    } else {
        Failure::Reset(error.to_string())
    }
}
