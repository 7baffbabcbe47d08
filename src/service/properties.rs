//! Properties that clients set (RFC 4918 §9.2): a list of instructions, applied in its order, all of it or nothing.
//!
//! An instruction carries the property as the client wrote it, to be given back so, and what it means to the server if it
//! means anything. The edge reads the markup; this module checks the meaning.

use std::sync::Arc;

use super::again::{self, ATTEMPTS_MAX};
use super::conditions::Conditions;
use super::tree::{self, Node, Resource};
use super::{Context, Error, locks};
use crate::access::Actor;
use crate::base::{Limits, Secret};
use crate::ical;
use crate::model::{
    CalendarSettings, Collection, CollectionKind, Components, EventKind, Object, Path, Precondition, Principal,
    Privilege, PropertyName, StoredProperty,
};
use crate::store::{Assert, Batch, CommitError, Draft, Write};
use crate::zone::Zone;

/// One instruction: a property, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The property.
    pub name: PropertyName,
    /// What to do with it.
    pub action: Action,
}

/// What an [`Instruction`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sets it to this element, which means that.
    Set(String, Meaning),
    /// Removes it. Removing what is not there is no error (RFC 4918 §14.23).
    Remove,
    /// Nothing: it cannot be done, as the edge has found already.
    Refuse(Refusal),
}

/// What a property means to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it is kept.
    None,
    /// DAV:displayname as plain text.
    DisplayName(String),
    /// CALDAV:calendar-timezone: a VCALENDAR text.
    Timezone(String),
    /// CALDAV:calendar-timezone-id.
    TimezoneId(String),
    /// CALDAV:schedule-calendar-transp: whether it is transparent.
    Transparent(bool),
    /// CALDAV:calendar-availability: a VCALENDAR text.
    Availability(String),
    /// CALDAV:supported-calendar-component-set, for a calendar that is being made.
    Components(Components),
    /// Something that the new collection's kind says already (DAV:resourcetype): nothing is kept.
    Kind,
}

/// Why an instruction cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A condition with a name; which status goes with it, the edge knows.
    Condition(Precondition),
    /// The value makes no sense for the property: 409.
    Conflict(String),
    /// It is too large, or one too many: 507.
    NoRoom(String),
}

/// What became of the instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of them were carried out.
    Done,
    /// None was. Those in the list are why; the others would have gone.
    Refused(Vec<(PropertyName, Refusal)>),
}

/// The properties of a resource, apart from what else it is.
struct Subject {
    properties: Vec<StoredProperty>,
    display_name: Option<String>,
    settings: Option<CalendarSettings>,
}

/// Carries out `instructions` on the resource at `path`.
///
/// # Errors
/// Conditions and locks, missing DAV:write-properties, resources that have no properties of their own to set.
pub async fn update(
    context: &Context,
    actor: Actor,
    path: &Path,
    instructions: &[Instruction],
    conditions: &Conditions,
) -> Result<Outcome, Error> {
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let locks = locks::read(context).await?;
        conditions.require(context, actor, path, &locks).await?;
        let resource = tree::resolve(context, actor, path).await?;
        if let Resource::Collection(node) | Resource::Object(node, _) = &resource {
            // First this: that something is locked is told to those alone who could change it otherwise.
            node.require(Privilege::WriteProperties)?;
            let member = match &resource {
                Resource::Object(_, object) => Some(object.name.as_str()),
                _ => None,
            };
            locks.check(actor, node, member, &conditions.tokens())?;
        }
        let batch = match batch_of(context, actor, resource, instructions, conditions)? {
            Ok(batch) => batch,
            Err(refused) => return Ok(Outcome::Refused(refused)),
        };
        match context.store.commit(batch).await {
            Ok(_) => return Ok(Outcome::Done),
            // Somebody else changed the collection in between: look again.
            Err(CommitError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::StateChanged)
}

type Refused = Vec<(PropertyName, Refusal)>;

/// The batch that carries out the instructions on what `resource` is now.
fn batch_of(
    context: &Context,
    actor: Actor,
    resource: Resource,
    instructions: &[Instruction],
    conditions: &Conditions,
) -> Result<Result<Batch, Refused>, Error> {
    let batch = Batch { at: context.clock.now(), actor: actor.principal(), ..Batch::default() };
    Ok(match resource {
        Resource::Fixed(_) => return Err(Error::Forbidden("this collection is the server's own".into())),
        Resource::Principal(principal) => {
            let before = Secret::new(Box::new(Principal::clone(&principal)));
            of_principal(context, actor, Arc::unwrap_or_clone(principal), instructions)?.map(|principal| Batch {
                asserts: vec![Assert::PrincipalIs(before)],
                writes: vec![Write::PutPrincipal(principal)],
                ..batch
            })
        }
        Resource::Collection(node) => {
            let before = conditions.hold_on(&node.collection);
            let events = updated(&node.collection).into_iter().collect();
            of_collection(context, &node, instructions).map(|collection| Batch {
                asserts: before,
                writes: vec![Write::UpdateCollection(collection)],
                events,
                ..batch
            })
        }
        Resource::Object(node, object) => {
            let id = node.collection.id;
            of_object(context, *object, instructions).map(|object| Batch {
                asserts: vec![
                    Assert::CollectionPresent(id),
                    Assert::ObjectAt(id, object.name.clone(), object.revision),
                ],
                writes: vec![Write::PutObjectRow(id, object)],
                ..batch
            })
        }
    })
}

/// The event of a calendar whose properties or grants change; nobody is told of other collections.
pub(super) fn updated(collection: &Collection) -> Option<Draft> {
    collection.calendar()?;
    let kind = EventKind::CalendarUpdated { name: collection.name.clone() };
    Some(Draft { owner: collection.owner, collection: collection.id, kind })
}

fn of_principal(
    context: &Context,
    actor: Actor,
    principal: Principal,
    instructions: &[Instruction],
) -> Result<Result<Principal, Refused>, Error> {
    if actor != Actor::System && actor.principal() != Some(principal.id) {
        return Err(Error::needs(Privilege::WriteProperties, &Path::Principal(principal.name)));
    }
    let draft = Subject {
        properties: principal.properties.clone(),
        display_name: principal.display_name.clone(),
        settings: None,
    };
    Ok(apply(&context.limits, draft, instructions).map(|draft| Principal {
        properties: draft.properties,
        display_name: draft.display_name,
        ..principal
    }))
}

fn of_collection(context: &Context, node: &Node, instructions: &[Instruction]) -> Result<Collection, Refused> {
    set_on(&context.limits, Collection::clone(&node.collection), instructions)
}

/// The collection with the instructions carried out; for one that is being made as well.
pub(super) fn set_on(
    limits: &Limits,
    collection: Collection,
    instructions: &[Instruction],
) -> Result<Collection, Refused> {
    let draft = Subject {
        properties: collection.properties.clone(),
        display_name: collection.display_name.clone(),
        settings: collection.calendar().cloned(),
    };
    apply(limits, draft, instructions).map(|draft| Collection {
        kind: draft.settings.map_or(collection.kind, CollectionKind::Calendar),
        properties: draft.properties,
        display_name: draft.display_name,
        ..collection
    })
}

fn of_object(context: &Context, object: Object, instructions: &[Instruction]) -> Result<Object, Refused> {
    let draft = Subject { properties: object.properties.clone(), display_name: None, settings: None };
    apply(&context.limits, draft, instructions).map(|draft| Object { properties: draft.properties, ..object })
}

fn apply(limits: &Limits, mut draft: Subject, instructions: &[Instruction]) -> Result<Subject, Refused> {
    let mut refused = Vec::new();
    for Instruction { name, action } in instructions {
        let done = match action {
            Action::Set(xml, meaning) => draft.set(limits, name, xml, meaning),
            Action::Remove => {
                draft.remove(name);
                Ok(())
            }
            Action::Refuse(refusal) => Err(refusal.clone()),
        };
        refused.extend(done.err().map(|refusal| (name.clone(), refusal)));
    }
    if refused.is_empty() { Ok(draft) } else { Err(refused) }
}

impl Subject {
    fn set(&mut self, limits: &Limits, name: &PropertyName, xml: &str, meaning: &Meaning) -> Result<(), Refusal> {
        if xml.len() as u64 > limits.property_bytes_max {
            let most = limits.property_bytes_max;
            return Err(Refusal::NoRoom(format!("a property takes {most} bytes at most (limit property_bytes_max)")));
        }
        self.understand(limits, meaning)?;
        if matches!(meaning, Meaning::Kind | Meaning::Components(_)) {
            return Ok(());
        }
        let property = StoredProperty { name: name.clone(), xml: xml.to_owned() };
        let known = self.properties.iter().position(|stored| stored.name == *name);
        match known {
            Some(at) => self.properties[at] = property,
            None if self.properties.len() as u64 >= limits.properties_max => {
                let most = limits.properties_max;
                return Err(Refusal::NoRoom(format!(
                    "a resource takes {most} properties at most (limit properties_max)"
                )));
            }
            None => self.properties.push(property),
        }
        Ok(())
    }

    /// Takes in what the property means to the server.
    fn understand(&mut self, limits: &Limits, meaning: &Meaning) -> Result<(), Refusal> {
        if let Meaning::DisplayName(name) = meaning {
            self.display_name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        }
        if let Meaning::Availability(text) = meaning {
            check_availability(text, limits)?;
        }
        let Some(settings) = &mut self.settings else { return Ok(()) };
        match meaning {
            Meaning::None | Meaning::Kind | Meaning::DisplayName(_) => {}
            Meaning::Transparent(transparent) => settings.transparent = *transparent,
            Meaning::Availability(text) => settings.availability = Some(text.clone()),
            Meaning::Components(components) => settings.components = *components,
            Meaning::Timezone(text) => {
                check_timezone(text, limits)?;
                settings.timezone = Some(text.clone());
                settings.timezone_id = None;
                self.forget(CALENDAR_TIMEZONE_ID);
            }
            Meaning::TimezoneId(id) => {
                if Zone::named(id.trim()).is_none() {
                    return Err(Refusal::Condition(Precondition::ValidTimezoneId));
                }
                settings.timezone_id = Some(id.trim().to_owned());
                settings.timezone = None;
                self.forget(CALENDAR_TIMEZONE);
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &PropertyName) {
        self.properties.retain(|stored| stored.name != *name);
        if (name.namespace.as_str(), name.local.as_str()) == ("DAV:", "displayname") {
            self.display_name = None;
        }
        let Some(settings) = &mut self.settings else { return };
        if name.namespace != CALDAV {
            return;
        }
        match name.local.as_str() {
            CALENDAR_TIMEZONE | CALENDAR_TIMEZONE_ID => {
                (settings.timezone, settings.timezone_id) = (None, None);
                self.forget(CALENDAR_TIMEZONE);
                self.forget(CALENDAR_TIMEZONE_ID);
            }
            "schedule-calendar-transp" => settings.transparent = false,
            "calendar-availability" => settings.availability = None,
            _ => {}
        }
    }

    /// Drops the stored form of the other of the two properties that say one thing (RFC 7809 §3.1.5).
    fn forget(&mut self, local: &str) {
        self.properties.retain(|stored| stored.name.namespace != CALDAV || stored.name.local != local);
    }
}

const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
const CALENDAR_TIMEZONE: &str = "calendar-timezone";
const CALENDAR_TIMEZONE_ID: &str = "calendar-timezone-id";

/// RFC 4791 §5.2.2: an iCalendar object with exactly one VTIMEZONE.
fn check_timezone(text: &str, limits: &Limits) -> Result<(), Refusal> {
    let invalid = Refusal::Condition(Precondition::ValidTimezone);
    let Ok(calendar) = ical::parse(text.trim().as_bytes(), limits) else { return Err(invalid) };
    match calendar.components.as_slice() {
        [zone] if calendar.is("VCALENDAR") && zone.is("VTIMEZONE") && zone.property("TZID").is_some() => Ok(()),
        _ => Err(invalid),
    }
}

/// RFC 7953 §7.2.4: an iCalendar object with VAVAILABILITY components, and the zones that they name.
fn check_availability(text: &str, limits: &Limits) -> Result<(), Refusal> {
    let invalid = Refusal::Condition(Precondition::ValidCalendarData);
    let Ok(calendar) = ical::parse(text.trim().as_bytes(), limits) else { return Err(invalid) };
    let fits = calendar.components.iter().all(|component| component.is("VAVAILABILITY") || component.is("VTIMEZONE"));
    let any = calendar.components.iter().any(|component| component.is("VAVAILABILITY"));
    let series: usize = calendar.components.iter().map(|component| component.children("AVAILABLE").count()).sum();
    let few = series as u64 <= limits.availables_max;
    if calendar.is("VCALENDAR") && fits && any && few { Ok(()) } else { Err(invalid) }
}
