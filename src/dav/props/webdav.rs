//! The properties of RFC 4918 §15, and those of its small companions: RFC 3253 §3.1.5 (reports), RFC 4331 (quota), RFC 5842
//! (resource-id), RFC 5995 (add-member), RFC 6578 (sync-token).

use super::Value::{Missing, Written};
use super::{Change, Kinds, Needs, Reader, Row, Sight, Target, Value};
use crate::access::Actor;
use crate::dav::get::content_type;
use crate::dav::headers::http_date;
use crate::dav::report;
use crate::model::{CollectionKind, LockDepth, LockScope, Path, Privilege};
use crate::service::locks::Held;
use crate::xml::{Writer, ns};

/// The table.
pub const ROWS: &[Row] = &[
    Row::new(ns::DAV, "creationdate", Kinds::PRINCIPAL.or(Kinds::OWNED), creationdate).in_allprop(),
    Row::new(ns::DAV, "displayname", Kinds::ALL, displayname).in_allprop().change(Change::Always).read(Reader::Anybody),
    Row::new(ns::DAV, "getcontentlanguage", Kinds::FILE, getcontentlanguage).in_allprop(),
    Row::new(ns::DAV, "getcontentlength", Kinds::CONTENT, getcontentlength).in_allprop(),
    Row::new(ns::DAV, "getcontenttype", Kinds::CONTENT, getcontenttype).in_allprop(),
    Row::new(ns::DAV, "getetag", Kinds::CONTENT, getetag).in_allprop(),
    Row::new(ns::DAV, "getlastmodified", Kinds::OWNED, getlastmodified).in_allprop(),
    Row::new(ns::DAV, "lockdiscovery", Kinds::OWNED, lockdiscovery).in_allprop().needs(Needs::Locks),
    Row::new(ns::DAV, "resourcetype", Kinds::ALL, resourcetype)
        .in_allprop()
        .change(Change::AtCreation)
        .read(Reader::Anybody),
    Row::new(ns::DAV, "supportedlock", Kinds::OWNED, supportedlock).in_allprop(),
    Row::new(ns::DAV, "supported-report-set", Kinds::ALL, supported_report_set).read(Reader::Anybody),
    Row::new(ns::DAV, "supported-live-property-set", Kinds::ALL, supported_live_property_set).read(Reader::Anybody),
    Row::new(ns::DAV, "quota-available-bytes", Kinds::COLLECTIONS, quota_available).needs(Needs::Usage),
    Row::new(ns::DAV, "quota-used-bytes", Kinds::COLLECTIONS, quota_used).needs(Needs::Usage),
    Row::new(ns::DAV, "resource-id", Kinds::PRINCIPAL.or(Kinds::COLLECTIONS), resource_id),
    Row::new(ns::DAV, "add-member", Kinds::CALENDAR.or(Kinds::PLAIN), add_member),
    Row::new(ns::DAV, "sync-token", Kinds::COLLECTIONS, sync_token),
    Row::new(ns::CS, "getctag", Kinds::COLLECTIONS, sync_token),
];

fn creationdate(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let created = match target {
        Target::Fixed(_) => return Missing,
        Target::Principal(principal) => principal.created,
        Target::Collection(node) => node.collection.created,
        Target::Object(_, object) => object.created,
    };
    // RFC 3339's form of ISO 8601.
    writer.text(&created.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string());
    Written
}

/// What stands in for a display name that nobody has set: clients drop collections that have none. To one who may not read
/// the collection it is the segment of its path, which that one knows already.
fn displayname(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match target {
        Target::Fixed(Path::Root | Path::Dav) => writer.text("Kalends"),
        Target::Fixed(Path::Principals) => writer.text("Principals"),
        Target::Fixed(Path::Homes) => writer.text("Calendars"),
        Target::Fixed(_) => writer.text("Files"),
        Target::Principal(principal) => {
            writer.text(principal.display_name.as_deref().unwrap_or(principal.name.as_str()))
        }
        Target::Collection(node) if node.privileges.has(Privilege::Read) => {
            writer.text(node.collection.display_name.as_deref().unwrap_or(&node.collection.name))
        }
        Target::Collection(node) => writer.text(&node.collection.name),
        Target::Object(..) => return Missing,
    };
    Written
}

fn getcontentlanguage(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    text_of(target.object().and_then(|object| object.content_language.as_deref()), writer)
}

fn getcontentlength(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    text_of(target.object().map(|object| object.size.to_string()).as_deref(), writer)
}

fn getcontenttype(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match target {
        Target::Object(_, object) => text_of(Some(&content_type(object)), writer),
        _ => Missing,
    }
}

fn getetag(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    text_of(target.object().map(|object| object.etag.to_string()).as_deref(), writer)
}

fn getlastmodified(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let modified = match target {
        Target::Collection(node) => node.collection.modified,
        Target::Object(_, object) => object.modified,
        _ => return Missing,
    };
    text_of(Some(&http_date(modified)), writer)
}

fn resourcetype(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    match target {
        Target::Fixed(_) => drop(writer.empty(ns::DAV, "collection")),
        Target::Principal(_) => drop(writer.empty(ns::DAV, "principal")),
        Target::Object(..) => {}
        Target::Collection(node) => {
            writer.empty(ns::DAV, "collection");
            if let CollectionKind::Calendar(settings) = &node.collection.kind {
                writer.empty(ns::CALDAV, "calendar");
                for extra in &settings.extra_types {
                    writer.empty(&extra.namespace, &extra.local);
                }
            }
        }
    }
    Written
}

fn supportedlock(_: &Sight, _: Target<'_>, writer: &mut Writer) -> Value {
    for scope in ["exclusive", "shared"] {
        writer.open(ns::DAV, "lockentry");
        writer.open(ns::DAV, "lockscope").empty(ns::DAV, scope).close();
        writer.open(ns::DAV, "locktype").empty(ns::DAV, "write").close();
        writer.close();
    }
    Written
}

fn lockdiscovery(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    for held in sight.locks_on(target) {
        write_lock(writer, &held, sight.actor);
    }
    Written
}

/// Writes a DAV:activelock (RFC 4918 §14.1). The token is shown to its owner alone: no other can use it.
pub fn write_lock(writer: &mut Writer, held: &Held, actor: Actor) {
    let Held { lock, root, seconds } = held;
    let own = actor == Actor::System || actor.principal() == Some(lock.principal);
    let scope = match lock.scope {
        LockScope::Exclusive => "exclusive",
        LockScope::Shared => "shared",
    };
    let depth = match lock.depth {
        LockDepth::Zero => "0",
        LockDepth::Infinity => "infinity",
    };
    writer.open(ns::DAV, "activelock");
    writer.open(ns::DAV, "locktype").empty(ns::DAV, "write").close();
    writer.open(ns::DAV, "lockscope").empty(ns::DAV, scope).close();
    writer.element(ns::DAV, "depth", depth);
    if let Some(owner) = &lock.owner {
        writer.open(ns::DAV, "owner").raw(owner).close();
    }
    writer.element(ns::DAV, "timeout", &format!("Second-{seconds}"));
    if own {
        writer.open(ns::DAV, "locktoken").element(ns::DAV, "href", &lock.token.0).close();
    }
    writer.open(ns::DAV, "lockroot").element(ns::DAV, "href", &root.href()).close();
    writer.close();
}

fn supported_report_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    for (namespace, local) in report::supported(target.kind()) {
        writer.open(ns::DAV, "supported-report").open(ns::DAV, "report").empty(namespace, local).close().close();
    }
    Written
}

/// RFC 3253 §3.1.4.
fn supported_live_property_set(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    for row in super::rows().filter(|row| row.on.has(target.kind())) {
        writer.open(ns::DAV, "supported-live-property").open(ns::DAV, "prop").empty(row.ns, row.local).close().close();
    }
    Written
}

fn quota_available(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let Some(node) = target.node() else { return Missing };
    let left = sight.context.limits.quota_bytes_max.saturating_sub(sight.used(node.collection.owner));
    text_of(Some(&left.to_string()), writer)
}

fn quota_used(sight: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let Some(node) = target.node() else { return Missing };
    text_of(Some(&sight.used(node.collection.owner).to_string()), writer)
}

fn resource_id(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    let id = match target {
        Target::Principal(principal) => format!("urn:kalends:principal:{}", principal.id),
        Target::Collection(node) => format!("urn:kalends:collection:{}", node.collection.id),
        _ => return Missing,
    };
    writer.element(ns::DAV, "href", &id);
    Written
}

/// RFC 5995 §3.2: POST to the collection itself adds a member.
fn add_member(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    writer.element(ns::DAV, "href", &target.path().href());
    Written
}

/// DAV:sync-token, and CS:getctag as well: it moves with every change and never comes back to what it was.
fn sync_token(_: &Sight, target: Target<'_>, writer: &mut Writer) -> Value {
    text_of(target.node().map(|node| node.collection.sync_token().to_string()).as_deref(), writer)
}

/// Writes a text, if there is one.
pub(super) fn text_of(text: Option<&str>, writer: &mut Writer) -> Value {
    match text {
        Some(text) => {
            writer.text(text);
            Written
        }
        None => Missing,
    }
}
