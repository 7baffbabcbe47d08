//! MKCALENDAR (RFC 4791 §5.3.1) and MKCOL, plain (RFC 4918 §9.3) and extended (RFC 5689).

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};

use super::headers::conditions;
use super::multistatus::{Multistatus, xml_response};
use super::props::{Kinds, Moment, changes, kind_at, write_outcome};
use super::{Failure, Request, Response, body_of, empty_body};
use crate::model::{CalendarSettings, Path, Precondition, PropertyName};
use crate::service::collections::{self, New, NewKind};
use crate::service::properties::{Action, Instruction, Outcome, Refusal};
use crate::service::{Context, Error};
use crate::xml::{Element, Writer, ns};

/// Answers a MKCALENDAR. The body may be missing, and a resource type in it may be.
///
/// # Errors
/// 415 for another body than CALDAV:mkcalendar; those of [`collections::create`]; a property's broken precondition, where it
/// has a name in RFC 4791 §5.3.1.
pub async fn mkcalendar(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let conditions = conditions(&request)?;
    let root = request.xml(&context.limits).await?;
    if root.as_ref().is_some_and(|root| !root.is(ns::CALDAV, "mkcalendar")) {
        return Err(Error::UnsupportedMediaType("the body of a MKCALENDAR is a CALDAV:mkcalendar".into()).into());
    }
    let mut instructions = match &root {
        Some(root) => changes(root, Kinds::CALENDAR, Moment::Creation, &context.limits)?,
        None => Vec::new(),
    };
    let wanted = root.as_ref().map(resource_types).unwrap_or_default();
    let settings = CalendarSettings { extra_types: extra_types(&wanted), ..CalendarSettings::default() };
    let right = wanted.is_empty() || is_calendar(&wanted) || only_subscribed(&wanted);
    if !right || !only_known(&wanted) {
        refuse_type(&mut instructions);
    }
    let new = New { kind: NewKind::Calendar(settings), instructions, conditions };
    match collections::create(context, request.actor, &request.path, &new).await? {
        Outcome::Done => Ok(created()),
        Outcome::Refused(refused) => {
            if let Some(condition) = named(&refused) {
                return Err(Error::precondition(condition, "a property of the new calendar is not right").into());
            }
            let mut out = Multistatus::new();
            out.writer().open(ns::DAV, "response").element(ns::DAV, "href", &request.path.href());
            write_outcome(out.writer(), &new.instructions, &Outcome::Refused(refused));
            out.writer().close();
            Ok(uncached(out.into_response()))
        }
    }
}

/// Answers a MKCOL: with a body that says so it makes a calendar, without one a plain collection.
///
/// # Errors
/// 415 for a body that is no DAV:mkcol; those of [`collections::create`].
pub async fn mkcol(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let conditions = conditions(&request)?;
    let root = body(context, &mut request).await?;
    let wanted = root.as_ref().map(resource_types).unwrap_or_default();
    let plain = wanted.is_empty() || wanted == [(ns::DAV, "collection")];
    // In a home only a calendar can be meant, so that what is wrong with the type can be told by its name.
    let calendar = is_calendar(&wanted) || (!plain && matches!(request.path, Path::Calendar(..)));
    let kind = if calendar { Kinds::CALENDAR } else { kind_at(&request.path) };
    let mut instructions = match &root {
        Some(root) => changes(root, kind, Moment::Creation, &context.limits)?,
        None => Vec::new(),
    };
    if !(plain || is_calendar(&wanted)) || !only_known(&wanted) {
        refuse_type(&mut instructions);
    }
    let settings = CalendarSettings { extra_types: extra_types(&wanted), ..CalendarSettings::default() };
    let kind = if calendar { NewKind::Calendar(settings) } else { NewKind::Plain };
    let new = New { kind, instructions, conditions };
    match collections::create(context, request.actor, &request.path, &new).await.map_err(unmapped)? {
        Outcome::Done => Ok(created()),
        refused @ Outcome::Refused(_) => {
            let mut writer = Writer::document(ns::DAV, "mkcol-response");
            write_outcome(&mut writer, &new.instructions, &refused);
            Ok(uncached(xml_response(StatusCode::FORBIDDEN, body_of(writer.finish()))))
        }
    }
}

/// What MKCALENDAR has a condition for is a status with MKCOL (RFC 4918 §9.3.1): 405 if something is there.
fn unmapped(error: Error) -> Error {
    match error {
        Error::Precondition { condition, .. } if *condition == Precondition::ResourceMustBeNull => {
            Error::MethodNotAllowed("what is there already")
        }
        other => other,
    }
}

/// The body of a MKCOL. One that is not XML, or another document, is a kind of body that nobody knows: 415.
async fn body(context: &Context, request: &mut Request) -> Result<Option<Element>, Failure> {
    let is_xml = request.header("content-type").is_none_or(|value| value.to_ascii_lowercase().contains("xml"));
    let root = match request.xml(&context.limits).await {
        Err(failure) if failure.status == StatusCode::BAD_REQUEST && !is_xml => {
            return Err(Error::UnsupportedMediaType("the body of a MKCOL is a DAV:mkcol".into()).into());
        }
        other => other?,
    };
    match root {
        Some(root) if !root.is(ns::DAV, "mkcol") => {
            Err(Error::UnsupportedMediaType("the body of a MKCOL is a DAV:mkcol".into()).into())
        }
        root => Ok(root),
    }
}

/// The resource types that the body asks for.
fn resource_types(root: &Element) -> Vec<(&str, &str)> {
    let props = root.children().filter(|part| part.is(ns::DAV, "set")).flat_map(Element::children);
    let types = props.flat_map(Element::children).filter(|property| property.is(ns::DAV, "resourcetype"));
    types.flat_map(Element::children).map(|child| (child.name.ns.as_str(), child.name.local.as_str())).collect()
}

fn is_calendar(types: &[(&str, &str)]) -> bool {
    types.contains(&(ns::DAV, "collection")) && types.contains(&(ns::CALDAV, "calendar"))
}

/// A subscription, as one client makes it: a collection of type CS:subscribed and nothing else.
fn only_subscribed(types: &[(&str, &str)]) -> bool {
    types.contains(&(ns::DAV, "collection")) && types.contains(&(ns::CS, "subscribed"))
}

fn only_known(types: &[(&str, &str)]) -> bool {
    let known = [(ns::DAV, "collection"), (ns::CALDAV, "calendar"), (ns::CS, "subscribed")];
    types.iter().all(|wanted| known.contains(wanted))
}

/// What is kept of the types beyond those of a calendar.
fn extra_types(types: &[(&str, &str)]) -> Vec<PropertyName> {
    let extra = types.iter().filter(|wanted| **wanted == (ns::CS, "subscribed"));
    extra.map(|(ns, local)| PropertyName { namespace: (*ns).to_owned(), local: (*local).to_owned() }).take(1).collect()
}

/// Marks the resource type as what cannot be made (RFC 5689 §3.3).
fn refuse_type(instructions: &mut [Instruction]) {
    let types = instructions.iter_mut().filter(|one| one.name.namespace == ns::DAV && one.name.local == "resourcetype");
    types.for_each(|one| one.action = Action::Refuse(Refusal::Condition(Precondition::ValidResourcetype)));
}

/// The first broken condition that RFC 4791 or RFC 7809 gives a name.
fn named(refused: &[(PropertyName, Refusal)]) -> Option<Precondition> {
    use Precondition as P;
    refused.iter().find_map(|(_, refusal)| match refusal {
        Refusal::Condition(condition)
            if matches!(
                condition,
                P::ValidTimezone | P::ValidTimezoneId | P::ValidCalendarData | P::SupportedCalendarComponent
            ) =>
        {
            Some(condition.clone())
        }
        _ => None,
    })
}

fn created() -> Response {
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = StatusCode::CREATED;
    uncached(response)
}

/// RFC 4791 §5.3.1 and RFC 5689 §3 demand it.
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
