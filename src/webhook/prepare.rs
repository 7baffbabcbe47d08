//! From a claim to what is sent.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::payload::{self, payload};
use super::send::now;
use super::sign::sign;
use crate::model::{Event, EventKind};
use crate::service::webhooks::{Claim, Detail, Endpoint, EventType, Hearing, Held, Millis, TEST_EVENTS, webhook_id};
use crate::service::{Context, Error};

/// Bytes of payloads that are kept for the next endpoint.
const CACHE_BYTES: u64 = 32 << 20;

/// All that it takes to send one delivery: neither the store nor a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sending {
    /// What was claimed.
    pub held: Held,
    /// Where to.
    pub url: String,
    /// Whether it may lie in one's own network.
    pub allow_private: bool,
    /// Its `webhook-id`.
    pub webhook_id: String,
    /// The header fields, signature included.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What became of preparing a delivery.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// It is to be sent.
    Ready(Box<Sending>),
    /// It is left out: a newer event of the same object follows.
    Superseded,
    /// The event is no longer kept.
    Expired,
}

type Key = (u64, EventType, Detail);

/// Makes deliveries. Keeps the payloads it made last: the same event goes to many.
pub struct Press(Cache<Key, Bytes, BySize>);

#[derive(Clone)]
struct BySize;

impl Weighter<Key, Bytes> for BySize {
    fn weight(&self, _: &Key, body: &Bytes) -> u64 {
        64 + body.len() as u64
    }
}

impl Default for Press {
    fn default() -> Self {
        Self(Cache::with_weighter(50_000, CACHE_BYTES, BySize))
    }
}

impl Press {
    /// Makes of a claim what is to be sent: payload, id, timestamp, signature.
    ///
    /// # Errors
    /// The store's.
    pub async fn prepare(&self, context: &Context, claim: &Claim) -> Result<Prepared, Error> {
        let at = now();
        let (id, body) = match &claim.event {
            Some(event) => {
                if claim.endpoint.latest_only && is_superseded(context, &claim.endpoint, event).await? {
                    return Ok(Prepared::Superseded);
                }
                (webhook_id(claim.endpoint.id, event), self.body(context, &claim.endpoint, event).await?)
            }
            None if claim.held.event >= TEST_EVENTS => test(claim, at),
            None => return Ok(Prepared::Expired),
        };
        let timestamp = at.utc();
        let signature = sign(&claim.secrets, timestamp, &id, timestamp.0, &body);
        let mut headers = claim.endpoint.headers.clone();
        headers.extend([
            ("content-type".to_owned(), "application/json".to_owned()),
            ("webhook-id".to_owned(), id.clone()),
            ("webhook-timestamp".to_owned(), timestamp.0.to_string()),
            ("webhook-signature".to_owned(), signature),
        ]);
        Ok(Prepared::Ready(Box::new(Sending {
            held: claim.held,
            url: claim.endpoint.url.clone(),
            allow_private: claim.endpoint.allow_private,
            webhook_id: id,
            headers,
            body,
        })))
    }

    async fn body(&self, context: &Context, endpoint: &Endpoint, event: &Event) -> Result<Bytes, Error> {
        // What its owner may read now decides how much is said: the content told is that of now.
        let heard = Hearing::default().would_hear(context, endpoint, event).await?;
        let (kind, detail) = match heard {
            Some(kind) => (kind, endpoint.detail),
            None if endpoint.wants(EventType::of(&event.kind)) => (EventType::of(&event.kind), Detail::Thin),
            None => (EventType::FreebusyChanged, Detail::Thin),
        };
        let key = (event.seq, kind, detail);
        if let Some(body) = self.0.get(&key) {
            return Ok(body);
        }
        let body = payload(context, event, kind, detail).await?;
        self.0.insert(key, body.clone());
        Ok(body)
    }
}

/// A test's id and body.
fn test(claim: &Claim, at: Millis) -> (String, Bytes) {
    let endpoint = claim.endpoint.id;
    // A test is no event; what makes its id is its number alone, so that it is the same at each attempt.
    let event = Event {
        seq: claim.held.event,
        at: claim.endpoint.created,
        actor: None,
        owner: crate::base::PrincipalId(0),
        collection: crate::base::CollectionId(0),
        revision: crate::base::Revision(0),
        kind: EventKind::CalendarUpdated { name: String::new() },
    };
    (webhook_id(endpoint, &event), payload::test_payload(&endpoint.to_string(), &payload::rfc3339(at.utc())))
}

/// Whether the object has changed since, and the endpoint will hear of that.
async fn is_superseded(context: &Context, endpoint: &Endpoint, event: &Event) -> Result<bool, Error> {
    let (name, etag) = match &event.kind {
        EventKind::ObjectCreated { name, etag, .. } | EventKind::ObjectUpdated { name, etag, .. } => {
            (name, Some(*etag))
        }
        EventKind::ObjectDeleted { name, .. } => (name, None),
        _ => return Ok(false),
    };
    let stands = context.store.object(event.collection, name).await?.map(|object| object.etag);
    let follows = match (stands, etag) {
        (None, _) => endpoint.wants(EventType::EventDeleted),
        (Some(_), None) => endpoint.wants(EventType::EventCreated),
        (Some(_), Some(_)) => endpoint.wants(EventType::EventUpdated),
    };
    Ok(stands != etag && follows)
}
