//! What a delivery says: `{"type": …, "timestamp": …, "data": {…}}`, at most 16 KiB.
//!
//! `data.sequence` grows with every change of the calendar: whoever has seen a larger one for the same object need not look at a smaller one.
//! `data.sync_token` names the calendar's state right after the change, so that a receiver can fetch the rest by
//! sync-collection (RFC 6578). Fields of the event itself are there only where the stored object is the one the event is
//! about, where nothing in it is private (CLASS, RFC 5545 §3.8.1.3), and where the whole is short enough; else the receiver follows `href`.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::base::ETag;
use crate::ical::{CalendarObject, Component};
use crate::model::{Event, EventKind, Path};
use crate::service::parsed::Keep;
use crate::service::webhooks::{Detail, EventType};
use crate::service::{Context, Error, tree};

/// The longest payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// The longest field of an event that is told, in bytes.
const FIELD_BYTES_MAX: usize = 1_024;

/// The payload of `event` for one who hears of it as `kind`.
///
/// # Errors
/// The store's.
pub async fn payload(context: &Context, event: &Event, kind: EventType, detail: Detail) -> Result<Bytes, Error> {
    let mut data = common(context, event).await?;
    if kind != EventType::FreebusyChanged {
        about(context, event, &mut data).await?;
        if detail == Detail::Full {
            let thin = data.clone();
            details(context, event, &mut data).await?;
            let full = encode(event, kind, data);
            return Ok(if full.len() <= PAYLOAD_BYTES_MAX { full } else { encode(event, kind, thin) });
        }
    }
    Ok(encode(event, kind, data))
}

/// The payload of a test.
pub(super) fn test_payload(endpoint: &str, timestamp: &str) -> Bytes {
    let data = json!({"endpoint": endpoint, "message": "a test: whoever asked for it can stop waiting"});
    json!({"type": EventType::Test.name(), "timestamp": timestamp, "data": data}).to_string().into()
}

fn encode(event: &Event, kind: EventType, data: Map<String, Value>) -> Bytes {
    let timestamp = rfc3339(event.at);
    json!({"type": kind.name(), "timestamp": timestamp, "data": data}).to_string().into()
}

/// A time as RFC 3339 writes it.
pub(super) fn rfc3339(at: crate::base::Utc) -> String {
    at.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What everybody may know who hears of the event at all.
async fn common(context: &Context, event: &Event) -> Result<Map<String, Value>, Error> {
    let mut data = Map::new();
    if matches!(event.kind, EventKind::AccountBroken { .. } | EventKind::EndpointNews { .. }) {
        return Ok(data);
    }
    data.insert("calendar_id".into(), event.collection.to_string().into());
    data.insert("sequence".into(), event.revision.0.into());
    if let Some(path) = calendar_path(context, event).await? {
        data.insert("calendar".into(), path.href().into());
    }
    Ok(data)
}

async fn calendar_path(context: &Context, event: &Event) -> Result<Option<Path>, Error> {
    if let Some(collection) = context.store.collection(event.collection).await? {
        return match tree::path_of(context, &collection).await {
            Ok(path) => Ok(Some(path)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        };
    }
    let EventKind::CalendarDeleted { name } = &event.kind else { return Ok(None) };
    let owner = context.store.principal(event.owner).await?;
    Ok(owner.map(|owner| Path::Calendar(owner.name.clone(), name.clone())))
}

/// What those may know who may read the calendar.
async fn about(context: &Context, event: &Event, data: &mut Map<String, Value>) -> Result<(), Error> {
    let (name, uid, etag) = match &event.kind {
        EventKind::ObjectCreated { name, uid, etag } => (name, uid, Some(etag)),
        EventKind::ObjectUpdated { name, uid, etag, before } => {
            data.insert("previous_etag".into(), before.to_string().into());
            (name, uid, Some(etag))
        }
        EventKind::ObjectDeleted { name, uid, before } => {
            data.insert("previous_etag".into(), before.to_string().into());
            (name, uid, None)
        }
        EventKind::CalendarCreated { name }
        | EventKind::CalendarUpdated { name }
        | EventKind::CalendarDeleted { name } => {
            data.insert("name".into(), name.as_str().into());
            return add_token(context, event, data).await;
        }
        EventKind::AccountBroken { account, reason } => {
            data.insert("account".into(), account.as_str().into());
            data.insert("reason".into(), reason.as_str().into());
            return Ok(());
        }
        EventKind::EndpointNews { endpoint, reason, .. } => {
            data.insert("endpoint".into(), endpoint.as_str().into());
            data.insert("reason".into(), reason.as_str().into());
            return Ok(());
        }
    };
    data.insert("uid".into(), uid.as_deref().into());
    data.insert("etag".into(), etag.map(ToString::to_string).into());
    if let Some(path) = calendar_path(context, event).await?.and_then(|path| path.member(name)) {
        data.insert("href".into(), path.href().into());
    }
    add_token(context, event, data).await
}

async fn add_token(context: &Context, event: &Event, data: &mut Map<String, Value>) -> Result<(), Error> {
    if let Some(collection) = context.store.collection(event.collection).await? {
        data.insert("sync_token".into(), collection.token_at(event.revision).to_string().into());
    }
    Ok(())
}

/// A few fields of the event, if they may be told.
async fn details(context: &Context, event: &Event, data: &mut Map<String, Value>) -> Result<(), Error> {
    let (name, etag) = match &event.kind {
        EventKind::ObjectCreated { name, etag, .. } | EventKind::ObjectUpdated { name, etag, .. } => (name, *etag),
        _ => return Ok(()),
    };
    let Some(parsed) = parsed(context, event, name, etag).await? else { return Ok(()) };
    let object = &parsed.object;
    if is_private(object) {
        return Ok(());
    }
    let Some(component) = object.master().or_else(|| object.members().next()) else { return Ok(()) };
    for (field, property) in [("summary", "SUMMARY"), ("location", "LOCATION"), ("status", "STATUS")] {
        if let Some(text) = component.text(property) {
            data.insert(field.into(), shortened(&text).into());
        }
    }
    for (field, property) in [("start", "DTSTART"), ("end", "DTEND"), ("due", "DUE")] {
        if let Some(found) = component.property(property) {
            let zone = found.tzid().map(|zone| shortened(&zone));
            data.insert(field.into(), json!({"value": shortened(&found.text()), "tzid": zone}));
        }
    }
    data.insert("recurring".into(), component.property("RRULE").is_some().into());
    Ok(())
}

async fn parsed(
    context: &Context,
    event: &Event,
    name: &str,
    etag: ETag,
) -> Result<Option<std::sync::Arc<crate::service::parsed::Parsed>>, Error> {
    if let Some(known) = context.parsed.peek(etag) {
        return Ok(Some(known));
    }
    let stored = context.store.content(event.collection, name).await?;
    let stored = stored.filter(|(object, _)| object.etag == etag);
    Ok(stored.and_then(|(_, content)| context.parsed.get(etag, &content, &context.limits, Keep::Yes)))
}

/// Whether any part of the object is not for everybody: what is not understood is taken for private (RFC 5545 §3.8.1.3).
fn is_private(object: &CalendarObject) -> bool {
    let public =
        |component: &Component| component.all("CLASS").all(|class| class.text().trim().eq_ignore_ascii_case("PUBLIC"));
    !object.members().all(public)
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(FIELD_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
