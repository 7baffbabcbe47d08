//! What integration tests share: a whole Kalends without a socket, in memory, with users in it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use kalends::access::Actor;
use kalends::base::{FixedClock, Limits, PrincipalId, Utc};
use kalends::dav::{self, body_of};
use kalends::model::{CalendarSettings, Collection, CollectionKind, Path, Principal, UserName};
use kalends::service::Context;
use kalends::store::{Batch, Engine, Options, Store, Write};

/// A server's inside: requests go through the real dispatcher, without a socket and without a login.
pub struct TestApp {
    pub context: Arc<Context>,
    pub clock: Arc<FixedClock>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("the body is UTF-8")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }
}

impl TestApp {
    /// An empty server at 2026-11-22T12:00:00Z.
    pub fn new() -> Self {
        Self::opened(Limits::default().tombstones_max)
    }

    /// A server with users whose change logs remember only so many deletions.
    pub async fn with_tombstones(tombstones_max: u64) -> Self {
        let app = Self::opened(tombstones_max);
        app.add_user("alice").await;
        app
    }

    fn opened(tombstones_max: u64) -> Self {
        let options =
            Options { dir: std::path::PathBuf::new(), engine: Engine::Memory, cache_bytes: 1 << 20, tombstones_max };
        let store = Store::open(&options).expect("a store in memory opens");
        let clock = Arc::new(FixedClock::new(Utc(1_795_348_800)));
        let mut context = Context::new(store, Limits::default());
        context.clock = clock.clone();
        Self { context: Arc::new(context), clock }
    }

    /// A server with the users `alice` and `bob`, each with a calendar `default`.
    pub async fn with_users() -> Self {
        let app = Self::new();
        app.add_user("alice").await;
        app.add_user("bob").await;
        app
    }

    /// Adds a user with a home, a calendar `default` and files.
    pub async fn add_user(&self, name: &str) -> PrincipalId {
        let store = &self.context.store;
        let now = self.context.clock.now();
        let id = store.next_principal_id();
        let (home, files, calendar) =
            (store.next_collection_id(), store.next_collection_id(), store.next_collection_id());
        let principal = Principal {
            id,
            name: UserName::new(name).expect("a user name"),
            display_name: None,
            emails: vec![format!("{name}@example.com")],
            home,
            files,
            admin: false,
            created: now,
            properties: Vec::new(),
        };
        let kind = CollectionKind::Calendar(CalendarSettings::default());
        let writes = vec![
            Write::PutPrincipal(principal),
            Write::CreateCollection(Collection::new(home, None, name, id, CollectionKind::Home, now)),
            Write::CreateCollection(Collection::new(files, None, name, id, CollectionKind::Plain, now)),
            Write::CreateCollection(Collection::new(calendar, Some(home), "default", id, kind, now)),
        ];
        store.commit(Batch { at: now, writes, ..Batch::default() }).await.expect("a user can be added");
        id
    }

    /// Sends a request as the user `user`, or as nobody.
    pub async fn send(
        &self,
        user: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let actor = match user {
            None => Actor::Anonymous,
            Some(name) => {
                let name = UserName::new(name).expect("a user name");
                let principal = self.context.store.principal_named(&name).await.expect("the store reads");
                Actor::User(principal.expect("the user is there").id)
            }
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        let request = dav::Request {
            method: http::Method::from_bytes(method.as_bytes()).expect("a method"),
            path: Path::parse(path).expect("a path of ours"),
            query,
            origin: "http://localhost:8008".into(),
            headers: map,
            actor,
            body: body_of(body),
        };
        let (parts, body) = dav::handle(&self.context, request).await.into_parts();
        let body = body.collect().await.expect("the body can be read").to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}
