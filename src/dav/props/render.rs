//! A DAV:response with its DAV:propstat elements (RFC 4918 §14.24, §14.22).

use http::StatusCode;

use super::{Asked, Change, Listing, Property, Reader, Row, Sight, Style, Target, Value, rows};
use crate::dav::multistatus::write_status;
use crate::model::{Path, Precondition, Privilege, StoredProperty};
use crate::xml::{Writer, ns};

/// Properties that a report computes by itself, written among those that were found.
pub type Extra<'a> = &'a mut (dyn FnMut(&mut Writer) + Send);

/// Properties that could not be given.
#[derive(Default)]
struct Refused<'a> {
    missing: Vec<(&'a str, &'a str)>,
    forbidden: Vec<(&'a str, &'a str)>,
}

/// Writes the response for one resource.
pub fn respond(
    writer: &mut Writer,
    sight: &Sight,
    target: Target<'_>,
    asked: &Asked,
    style: Style,
    extra: Option<Extra<'_>>,
) {
    target.write_href(writer.open(ns::DAV, "response"));
    let mut refused = Refused::default();
    let before = writer.mark();
    writer.open(ns::DAV, "propstat").open(ns::DAV, "prop");
    let empty = writer.pending();
    match asked {
        Asked::Names => names(writer, sight, target),
        Asked::All(included) => {
            all(writer, sight, target);
            let included = included.iter().filter(|property| !is_in_allprop(property, target));
            included.for_each(|property| one(writer, sight, target, property, &mut refused));
        }
        Asked::These(these) => these.iter().for_each(|property| one(writer, sight, target, property, &mut refused)),
    }
    if let Some(extra) = extra {
        extra(writer);
    }
    let nothing_else = refused.missing.is_empty() && refused.forbidden.is_empty();
    if writer.pending() == empty && !nothing_else && !style.minimal {
        writer.rewind(before);
    } else {
        writer.close();
        write_status(writer, StatusCode::OK);
        writer.close();
    }
    if !style.minimal {
        refuse(writer, target, StatusCode::NOT_FOUND, &refused.missing);
    }
    refuse(writer, target, StatusCode::FORBIDDEN, &refused.forbidden);
    writer.close();
}

/// Writes one property, or remembers why not.
fn one<'a>(writer: &mut Writer, sight: &Sight, target: Target<'_>, property: &'a Property, refused: &mut Refused<'a>) {
    match property {
        Property::Live(row) if !row.on.has(target.kind()) => dead(writer, sight, target, property, refused),
        Property::Live(row) if !may_read(sight, target, row) => refused.forbidden.push(property.name()),
        Property::Live(row) => match live(writer, sight, target, row) {
            Value::Written => {}
            Value::Missing => refused.missing.push(property.name()),
        },
        Property::Dead(_) => dead(writer, sight, target, property, refused),
    }
}

fn dead<'a>(writer: &mut Writer, sight: &Sight, target: Target<'_>, property: &'a Property, refused: &mut Refused<'a>) {
    match stored(target, property.name()) {
        Some(stored) if may_read_stored(sight, target) => {
            writer.raw(&stored.xml);
        }
        _ => refused.missing.push(property.name()),
    }
}

/// Writes a live property: as its client set it, or else the row's value.
fn live(writer: &mut Writer, sight: &Sight, target: Target<'_>, row: &Row) -> Value {
    if row.change == Change::Always
        && may_read_stored(sight, target)
        && let Some(stored) = stored(target, (row.ns, row.local))
    {
        writer.raw(&stored.xml);
        return Value::Written;
    }
    let mark = writer.mark();
    writer.open(row.ns, row.local);
    let value = (row.value)(sight, target, writer);
    match value {
        Value::Written => drop(writer.close()),
        Value::Missing => writer.rewind(mark),
    }
    value
}

/// Everything that allprop gives: what RFC 4918 defines, and all dead properties.
fn all(writer: &mut Writer, sight: &Sight, target: Target<'_>) {
    let listed = rows().filter(|row| row.listing == Listing::Allprop && row.on.has(target.kind()));
    for row in listed.filter(|row| may_read(sight, target, row)) {
        live(writer, sight, target, row);
    }
    for stored in stored_dead(sight, target) {
        writer.raw(&stored.xml);
    }
}

/// The names of all that there is.
fn names(writer: &mut Writer, sight: &Sight, target: Target<'_>) {
    for row in rows().filter(|row| row.on.has(target.kind()) && may_read(sight, target, row)) {
        // Whether there is a value is known only by asking for it.
        let mark = writer.mark();
        let value = live(writer, sight, target, row);
        writer.rewind(mark);
        if value == Value::Written {
            writer.empty(row.ns, row.local);
        }
    }
    for stored in stored_dead(sight, target) {
        writer.empty(&stored.name.namespace, &stored.name.local);
    }
}

fn refuse(writer: &mut Writer, target: Target<'_>, status: StatusCode, names: &[(&str, &str)]) {
    if names.is_empty() {
        return;
    }
    writer.open(ns::DAV, "propstat").open(ns::DAV, "prop");
    for (namespace, local) in names {
        writer.empty(namespace, local);
    }
    writer.close();
    write_status(writer, status);
    if status == StatusCode::FORBIDDEN {
        let missing: Path = target.path();
        let condition = Precondition::NeedPrivileges(vec![(missing, Privilege::Read)]);
        crate::dav::write_condition(writer.open(ns::DAV, "error"), &condition);
        writer.close();
    }
    writer.close();
}

fn may_read(sight: &Sight, target: Target<'_>, row: &Row) -> bool {
    match row.read {
        Reader::Anybody => true,
        Reader::With(privilege) => target.privileges(sight).has(privilege),
    }
}

/// What clients set is their content: read with DAV:read, and a principal's by its own user alone.
fn may_read_stored(sight: &Sight, target: Target<'_>) -> bool {
    match target {
        Target::Principal(principal) => sight.actor.principal() == Some(principal.id),
        _ => target.privileges(sight).has(Privilege::Read),
    }
}

fn stored<'a>(target: Target<'a>, (namespace, local): (&str, &str)) -> Option<&'a StoredProperty> {
    target.stored().iter().find(|stored| stored.name.local == local && stored.name.namespace == namespace)
}

/// The stored properties that are not live ones of this kind of resource.
fn stored_dead<'a>(sight: &Sight, target: Target<'a>) -> impl Iterator<Item = &'a StoredProperty> {
    let readable = may_read_stored(sight, target);
    target.stored().iter().filter(move |stored| {
        let row = super::row(&stored.name.namespace, &stored.name.local);
        readable && !row.is_some_and(|row| row.on.has(target.kind()))
    })
}

/// Whether allprop has given the property already.
fn is_in_allprop(property: &Property, target: Target<'_>) -> bool {
    match property {
        Property::Live(row) if row.on.has(target.kind()) => row.listing == Listing::Allprop,
        _ => stored(target, property.name()).is_some(),
    }
}
