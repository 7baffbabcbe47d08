//! What an event looks like in a topic: one JSON object, for Kalends' own workers and for anybody else who reads the topic.
//! It holds ids, names and tags, and nothing of what is in a calendar object: who wants that asks the server for it, as
//! somebody who may read it. `docs/kafka.md` has the table of the fields.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, ETag, PrincipalId, Revision, Utc};
use crate::model::{EndpointNews, Event, EventKind};
use crate::service::webhooks::EventType;

/// The version of this shape. Fields may be added within a version.
const SHAPE: u32 = 1;

/// The wire's form of an event.
#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    shape: u32,
    /// The number of the event: it grows over all calendars, and is the same however often the event comes.
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    /// Seconds since 1970.
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<u64>,
    owner: u64,
    calendar: u64,
    /// The calendar's revision after the change: later changes of a calendar have larger ones.
    sequence: u64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// Of an account that broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Why a record is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON object with the fields of an event.
    #[error("the record is no event: {0}")]
    Shape(String),
    /// It was written by a later version.
    #[error("the record has the shape {0}, and this program knows {SHAPE} alone; start the newer program")]
    Version(u32),
}

/// The key of an event's record: the calendar's id, so that one calendar's events stay in order.
pub fn key(event: &Event) -> String {
    event.collection.0.to_string()
}

/// The payload of an event's record.
pub fn encode(event: &Event) -> Bytes {
    let (name, uid, etag, before) = match &event.kind {
        EventKind::ObjectCreated { name, uid, etag } => (name, uid.clone(), Some(*etag), None),
        EventKind::ObjectUpdated { name, uid, etag, before } => (name, uid.clone(), Some(*etag), Some(*before)),
        EventKind::ObjectDeleted { name, uid, before } => (name, uid.clone(), None, Some(*before)),
        EventKind::CalendarCreated { name }
        | EventKind::CalendarUpdated { name }
        | EventKind::CalendarDeleted { name } => (name, None, None, None),
        EventKind::AccountBroken { account: name, .. } | EventKind::EndpointNews { endpoint: name, .. } => {
            (name, None, None, None)
        }
    };
    let reason = match &event.kind {
        EventKind::AccountBroken { reason, .. } | EventKind::EndpointNews { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let wire = Wire {
        shape: SHAPE,
        id: event.seq,
        kind: EventType::of(&event.kind).name().to_owned(),
        at: event.at.0,
        actor: event.actor.map(|id| id.0),
        owner: event.owner.0,
        calendar: event.collection.0,
        sequence: event.revision.0,
        name: name.clone(),
        uid,
        etag: etag.map(hex),
        before: before.map(hex),
        reason,
    };
    serde_json::to_vec(&wire).expect("plain data is always encodable").into()
}

/// The event of a record.
///
/// # Errors
/// What is wrong with it.
pub fn decode(payload: &[u8]) -> Result<Event, RecordError> {
    let wire: Wire = serde_json::from_slice(payload).map_err(|error| RecordError::Shape(place(&error)))?;
    if wire.shape != SHAPE {
        return Err(RecordError::Version(wire.shape));
    }
    Ok(Event {
        seq: wire.id,
        at: Utc(wire.at),
        actor: wire.actor.map(PrincipalId),
        owner: PrincipalId(wire.owner),
        collection: CollectionId(wire.calendar),
        revision: Revision(wire.sequence),
        kind: kind(wire)?,
    })
}

/// Where it went wrong, without what stands there.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of another type",
        serde_json::error::Category::Eof => "it is cut off",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is no JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

fn kind(wire: Wire) -> Result<EventKind, RecordError> {
    let tag = |text: Option<String>, field: &str| {
        text.as_deref().and_then(unhex).ok_or_else(|| RecordError::Shape(format!("`{field}` is no tag")))
    };
    let (name, uid) = (wire.name, wire.uid);
    let reason = wire.reason.unwrap_or_default();
    let news = |news| EventKind::EndpointNews { endpoint: name.clone(), news, reason: reason.clone() };
    Ok(match wire.kind.as_str() {
        "event.created" => EventKind::ObjectCreated { name, uid, etag: tag(wire.etag, "etag")? },
        "event.updated" => {
            EventKind::ObjectUpdated { name, uid, etag: tag(wire.etag, "etag")?, before: tag(wire.before, "before")? }
        }
        "event.deleted" => EventKind::ObjectDeleted { name, uid, before: tag(wire.before, "before")? },
        "calendar.created" => EventKind::CalendarCreated { name },
        "calendar.updated" => EventKind::CalendarUpdated { name },
        "calendar.deleted" => EventKind::CalendarDeleted { name },
        "ingest.account_broken" => EventKind::AccountBroken { account: name, reason },
        "webhook.endpoint.failing" => news(EndpointNews::Failing),
        "webhook.endpoint.recovered" => news(EndpointNews::Recovered),
        "webhook.endpoint.disabled" => news(EndpointNews::Disabled),
        "webhook.endpoint.exhausted" => news(EndpointNews::Exhausted),
        _ => return Err(RecordError::Shape("its type is unknown".to_owned())),
    })
}

fn hex(tag: ETag) -> String {
    tag.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<ETag> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut tag = [0; 16];
    for (byte, pair) in tag.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(ETag(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event {
            seq: 7,
            at: Utc(1_800_000_000),
            actor: Some(PrincipalId(3)),
            owner: PrincipalId(2),
            collection: CollectionId(11),
            revision: Revision(40),
            kind,
        }
    }

    fn news(news: EndpointNews) -> EventKind {
        EventKind::EndpointNews { endpoint: "ep_5XBP26PVZB9ZE".to_owned(), news, reason: "timeout".to_owned() }
    }

    fn kinds() -> Vec<EventKind> {
        let name = || "a.ics".to_owned();
        let (etag, before) = (ETag([0xab; 16]), ETag([0x01; 16]));
        vec![
            EventKind::ObjectCreated { name: name(), uid: Some("u".to_owned()), etag },
            EventKind::ObjectUpdated { name: name(), uid: None, etag, before },
            EventKind::ObjectDeleted { name: name(), uid: Some("u".to_owned()), before },
            EventKind::CalendarCreated { name: name() },
            EventKind::CalendarUpdated { name: name() },
            EventKind::CalendarDeleted { name: name() },
            EventKind::AccountBroken { account: "zoom/a".to_owned(), reason: "revoked".to_owned() },
            news(EndpointNews::Failing),
            news(EndpointNews::Recovered),
            news(EndpointNews::Disabled),
            news(EndpointNews::Exhausted),
        ]
    }

    #[test]
    fn an_event_comes_back_from_its_record() {
        for kind in kinds() {
            let event = event(kind);
            assert_eq!(decode(&encode(&event)), Ok(event));
        }
    }

    #[test]
    fn the_shape_is_what_the_manual_says() {
        let text = encode(&event(kinds().remove(0)));
        assert_eq!(
            String::from_utf8_lossy(&text),
            r#"{"shape":1,"id":7,"type":"event.created","at":1800000000,"actor":3,"owner":2,"calendar":11,"sequence":40,"name":"a.ics","uid":"u","etag":"abababababababababababababababab"}"#
        );
        assert_eq!(key(&event(kinds().remove(0))), "11");
    }

    #[test]
    fn what_is_no_event_is_refused_without_repeating_it() {
        let good = String::from_utf8(encode(&event(kinds().remove(0))).to_vec()).expect("JSON is text");
        let cases = [
            ("secret{".to_owned(), "it is no JSON"),
            (good[..20].to_owned(), "it is cut off"),
            (good.replace("\"id\":7", "\"id\":\"secret\""), "a field is missing or of another type"),
            (good.replace("event.created", "secret"), "its type is unknown"),
            (good.replace("abab", "secr"), "`etag` is no tag"),
            (good.replace("\"shape\":1", "\"shape\":2"), "has the shape 2"),
        ];
        for (text, why) in cases {
            let error = decode(text.as_bytes()).expect_err("it is none").to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }
}
