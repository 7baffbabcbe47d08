//! Setting properties: from DAV:set and DAV:remove elements to instructions, and from what became of them to
//! DAV:propstat elements. PROPPATCH, MKCALENDAR and extended MKCOL share it.

use http::StatusCode;

use super::{Change, Kinds, Row, row};
use crate::base::Limits;
use crate::dav::multistatus::write_status;
use crate::dav::{Failure, write_condition};
use crate::ical::ComponentKind;
use crate::model::{Components, Path, Precondition, PropertyName};
use crate::service::Error;
use crate::service::properties::{Action, Instruction, Meaning, Outcome, Refusal};
use crate::xml::{Element, Writer, ns};

/// Whether properties are set on something that is there or that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is being made.
    Creation,
    /// It is there.
    Later,
}

/// The kind of what is, or would be, at a path. Files and plain collections have the same properties to set.
pub fn kind_at(path: &Path) -> Kinds {
    match path {
        Path::Root | Path::Dav | Path::Principals | Path::Homes | Path::FileRoots => Kinds::FIXED,
        Path::Principal(_) => Kinds::PRINCIPAL,
        Path::Home(_) => Kinds::HOME,
        Path::Calendar(..) => Kinds::CALENDAR,
        Path::Object(..) => Kinds::OBJECT,
        Path::File(..) => Kinds::FILE,
    }
}

/// Reads the DAV:set and DAV:remove elements in `root`, in document order (RFC 4918 §9.2).
///
/// # Errors
/// 400 for more properties than the limit.
pub fn changes(root: &Element, kind: Kinds, moment: Moment, limits: &Limits) -> Result<Vec<Instruction>, Error> {
    let mut all = Vec::new();
    for part in root.children() {
        let remove = part.is(ns::DAV, "remove");
        if !remove && !part.is(ns::DAV, "set") {
            continue;
        }
        for prop in part.children().filter(|child| child.is(ns::DAV, "prop")) {
            // The language in scope belongs to the value (RFC 4918 §4.3).
            let lang = prop.lang().or(part.lang()).or(root.lang());
            for element in prop.children() {
                if all.len() as u64 >= limits.properties_asked_max {
                    let most = limits.properties_asked_max;
                    return Err(Error::BadRequest(format!(
                        "more than {most} properties are set at once (limit properties_asked_max)"
                    )));
                }
                all.push(instruction(element, lang, remove, kind, moment));
            }
        }
    }
    Ok(all)
}

fn instruction(element: &Element, lang: Option<&str>, remove: bool, kind: Kinds, moment: Moment) -> Instruction {
    let name = PropertyName { namespace: element.name.ns.clone(), local: element.name.local.clone() };
    let live = row(&name.namespace, &name.local);
    let action = match live {
        Some(row) if !may_change(row, moment) => {
            Action::Refuse(Refusal::Condition(Precondition::CannotModifyProtectedProperty))
        }
        _ if remove => Action::Remove,
        _ => match meaning(element, live.filter(|row| row.on.has(kind))) {
            Ok(meaning) => {
                let mut stored = element.clone();
                stored.inherit_lang(lang);
                Action::Set(stored.to_xml(), meaning)
            }
            Err(refusal) => Action::Refuse(refusal),
        },
    };
    Instruction { name, action }
}

/// Whether clients set the property now. Those that are protected anywhere are so everywhere: nobody should take a dead
/// property for what it means elsewhere.
fn may_change(row: &Row, moment: Moment) -> bool {
    match row.change {
        Change::Protected => false,
        Change::AtCreation => moment == Moment::Creation,
        Change::Always => true,
    }
}

/// What a property means to the server.
fn meaning(element: &Element, live: Option<&Row>) -> Result<Meaning, Refusal> {
    if element.is(ns::DAV, "resourcetype") {
        return Ok(Meaning::Kind);
    }
    let Some(row) = live else { return Ok(Meaning::None) };
    Ok(match (row.ns, row.local) {
        (ns::DAV, "displayname") => Meaning::DisplayName(element.text()),
        (ns::CALDAV, "calendar-timezone") => Meaning::Timezone(element.text()),
        (ns::CALDAV, "calendar-timezone-id") => Meaning::TimezoneId(element.text()),
        (ns::CALDAV, "calendar-availability") => Meaning::Availability(element.text()),
        (ns::CALDAV, "schedule-calendar-transp") => Meaning::Transparent(transparency(element)?),
        (ns::CALDAV, "supported-calendar-component-set") => Meaning::Components(components(element)?),
        _ => Meaning::None,
    })
}

fn transparency(element: &Element) -> Result<bool, Refusal> {
    match element.children().next() {
        Some(child) if child.is(ns::CALDAV, "transparent") => Ok(true),
        Some(child) if child.is(ns::CALDAV, "opaque") => Ok(false),
        _ => Err(Refusal::Conflict("schedule-calendar-transp holds CALDAV:opaque or CALDAV:transparent".into())),
    }
}

/// The kinds that are named; those unknown here are passed over as long as one is known.
fn components(element: &Element) -> Result<Components, Refusal> {
    let names = element.children().filter(|child| child.is(ns::CALDAV, "comp"));
    let kinds: Vec<ComponentKind> =
        names.filter_map(|comp| ComponentKind::of(comp.attribute("name").unwrap_or_default())).collect();
    if kinds.is_empty() {
        return Err(Refusal::Condition(Precondition::SupportedCalendarComponent));
    }
    Ok(Components::of(&kinds))
}

/// Writes the DAV:propstat elements that tell what became of `instructions`.
pub fn write_outcome(writer: &mut Writer, instructions: &[Instruction], outcome: &Outcome) {
    let mut names: Vec<&PropertyName> = Vec::new();
    for Instruction { name, .. } in instructions {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let refused: &[(PropertyName, Refusal)] = match outcome {
        Outcome::Done => return propstat(writer, &names, StatusCode::OK, None, None),
        Outcome::Refused(refused) => refused,
    };
    let mut told: Vec<&PropertyName> = Vec::new();
    for (name, refusal) in refused {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let (status, condition, text) = status_of(refusal);
        propstat(writer, &[name], status, condition, text);
    }
    names.retain(|name| !told.contains(name));
    if !names.is_empty() {
        propstat(writer, &names, StatusCode::FAILED_DEPENDENCY, None, None);
    }
}

fn status_of(refusal: &Refusal) -> (StatusCode, Option<&Precondition>, Option<&str>) {
    match refusal {
        Refusal::Condition(condition) => {
            (Failure::from(Error::precondition(condition.clone(), "")).status, Some(condition), None)
        }
        Refusal::Conflict(text) => (StatusCode::CONFLICT, None, Some(text)),
        Refusal::NoRoom(text) => (StatusCode::INSUFFICIENT_STORAGE, None, Some(text)),
    }
}

fn propstat(
    writer: &mut Writer,
    names: &[&PropertyName],
    status: StatusCode,
    condition: Option<&Precondition>,
    text: Option<&str>,
) {
    writer.open(ns::DAV, "propstat").open(ns::DAV, "prop");
    for name in names {
        writer.empty(&name.namespace, &name.local);
    }
    writer.close();
    write_status(writer, status);
    if let Some(condition) = condition {
        write_condition(writer.open(ns::DAV, "error"), condition);
        writer.close();
    }
    if let Some(text) = text {
        writer.element(ns::DAV, "responsedescription", text);
    }
    writer.close();
}
