//! What a request says of an endpoint, checked field by field. The commands check what stands on the command line with the same functions.

use std::ops::Range;
use std::str::FromStr as _;

use super::{Fields, Problem, webhooks::own};
use crate::access::Actor;
use crate::base::{CollectionId, PrincipalId, Utc};
use crate::model::{CollectionKind, Path, UserName};
use crate::outbound::{Policy, Ports, Reach, Target};
use crate::service::webhooks::audit::Fate;
use crate::service::webhooks::{Changes, Detail, Endpoint, EventType, NewEndpoint, Order, Owner, Rate};
use crate::service::{Context, Error, directory, tree};

/// A new endpoint, as the request says.
///
/// # Errors
/// Names the field that is wrong.
pub(super) async fn new(context: &Context, actor: Actor, mut fields: Fields) -> Result<NewEndpoint, Problem> {
    let owner = match fields.text("user")? {
        Some(name) => owner_named(context, actor, &name).await?,
        None => own(actor).ok_or_else(|| Problem::field("user", "whose is it to be?"))?,
    };
    let url = fields.required("url")?;
    let said = read(context, owner, Rate::default(), fields).await?;
    let mut new = NewEndpoint::new(owner, checked_url(context, &url, said.allow_private.unwrap_or(false))?);
    new.description = said.description.unwrap_or_default();
    new.calendars = said.calendars.unwrap_or_default();
    new.events = said.events.unwrap_or_default();
    new.order = said.order.unwrap_or_default();
    new.latest_only = said.latest_only.unwrap_or(false);
    new.detail = said.detail.unwrap_or_default();
    new.allow_private = said.allow_private.unwrap_or(false);
    new.headers = said.headers.unwrap_or_default();
    new.rate = said.rate.unwrap_or_default();
    Ok(new)
}

/// What is to change of an endpoint, as the request says.
///
/// # Errors
/// Names the field that is wrong.
pub(super) async fn changes(
    context: &Context,
    actor: Actor,
    endpoint: &Endpoint,
    mut fields: Fields,
) -> Result<Changes, Problem> {
    debug_assert!(actor != Actor::Anonymous, "who asks has logged in");
    let url = fields.text("url")?;
    let mut said = read(context, endpoint.owner, endpoint.rate, fields).await?;
    let private = said.allow_private.unwrap_or(endpoint.allow_private);
    // What is made stricter must hold for the address that is there already.
    let url = url.or_else(|| (endpoint.allow_private && !private).then(|| endpoint.url.clone()));
    said.url = url.map(|url| checked_url(context, &url, private)).transpose()?;
    Ok(said)
}

/// What is said, other than the URL; what is not said of the rate stays as in `rate`.
async fn read(context: &Context, owner: Owner, rate: Rate, mut fields: Fields) -> Result<Changes, Problem> {
    let changes = Changes {
        url: None,
        description: fields.text("description")?,
        calendars: match fields.list("calendars")? {
            Some(names) => Some(calendars(context, owner, &names).await?),
            None => None,
        },
        events: fields.list("events")?.map(|names| events(&names)).transpose()?,
        order: fields.flag("in_order")?.map(|on| if on { Order::InOrder } else { Order::Any }),
        latest_only: fields.flag("latest_only")?,
        detail: fields.flag("thin")?.map(|on| if on { Detail::Thin } else { Detail::Full }),
        allow_private: fields.flag("allow_private")?,
        headers: fields.pairs("headers")?,
        rate: rate_of(&mut fields, rate)?,
    };
    fields.end()?;
    Ok(changes)
}

fn rate_of(fields: &mut Fields, default: Rate) -> Result<Option<Rate>, Problem> {
    let Some(mut inner) = fields.object("rate")? else { return Ok(None) };
    let mut number = |name: &str, max: u64, default: u32| {
        let read = inner.number(name, 1, max).map_err(|problem| problem.within("rate"))?;
        Ok::<_, Problem>(read.and_then(|number| u32::try_from(number).ok()).unwrap_or(default))
    };
    let (per_second, burst) =
        (number("per_second", 100_000, default.per_second)?, number("burst", 100_000, default.burst)?);
    let in_flight = number("in_flight", 256, u32::from(default.in_flight_max))?;
    inner.end().map_err(|problem| problem.within("rate"))?;
    let in_flight_max = u16::try_from(in_flight).unwrap_or(default.in_flight_max);
    Ok(Some(Rate { per_second, burst, in_flight_max }))
}

/// The URL as it was understood, if messages may be sent there.
///
/// # Errors
/// Says why not.
pub fn checked_url(context: &Context, text: &str, allow_private: bool) -> Result<String, Problem> {
    let settings = &context.webhooks.settings;
    let policy =
        Policy { https_only: !settings.allow_http, ports: Ports::Only(settings.ports.clone()), ..Policy::default() };
    let reach = if allow_private { Reach::Private } else { Reach::Public };
    let target = Target::parse(text).and_then(|target| target.check(&policy, reach).map(|()| target));
    target.map(|target| target.as_str().to_owned()).map_err(|failure| Problem::field("url", failure.to_string()))
}

/// The user called `name` as an owner: oneself, or anybody for an administrator.
async fn owner_named(context: &Context, actor: Actor, name: &str) -> Result<Owner, Problem> {
    let unknown = || Problem::field("user", "there is no such user");
    let user = UserName::new(name).map_err(|_| unknown())?;
    let found = match tree::principal(context, &user).await {
        Ok(found) => Some(found.id),
        Err(Error::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    if found.is_some() && found == actor.principal() {
        return Ok(Owner::User(found.unwrap_or(PrincipalId(0))));
    }
    if !crate::service::webhooks::administers(context, actor).await? {
        return Err(Problem {
            field: Some("user".to_owned()),
            ..Problem::new(
                http::StatusCode::FORBIDDEN,
                "forbidden",
                "only an administrator can make one for another user",
            )
        });
    }
    found.map(Owner::User).ok_or_else(unknown)
}

/// The types called so.
///
/// # Errors
/// Names the first that is none.
pub fn events(names: &[String]) -> Result<Vec<EventType>, Problem> {
    let read = |name: &String| EventType::from_str(name).map_err(|error| Problem::field("events", error.to_string()));
    names.iter().map(read).collect()
}

/// The calendars called `CALENDAR` or `USER/CALENDAR`, which `owner` must be able to read.
///
/// # Errors
/// Names the first that is not there, or that the owner may not read.
pub async fn calendars(context: &Context, owner: Owner, names: &[String]) -> Result<Vec<CollectionId>, Problem> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        found.push(calendar(context, owner, name).await?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

async fn calendar(context: &Context, owner: Owner, name: &str) -> Result<CollectionId, Problem> {
    let shown: String = name.chars().take(100).collect();
    let unknown =
        || Problem::field("calendars", format!("there is no calendar `{shown}` that the endpoint's user may read"));
    let (user, calendar) = match (name.split_once('/'), owner) {
        (Some((user, calendar)), _) => (UserName::new(user).map_err(|_| unknown())?, calendar),
        (None, Owner::User(id)) => (user_of(context, id).await?, name),
        (None, Owner::Server) => return Err(Problem::field("calendars", "write USER/CALENDAR, as in anna/default")),
    };
    let actor = match owner {
        Owner::User(id) => Actor::User(id),
        Owner::Server => Actor::System,
    };
    let path = Path::Calendar(user, calendar.to_owned());
    match tree::collection(context, actor, &path).await {
        Ok(node) if matches!(node.collection.kind, CollectionKind::Calendar(_)) => Ok(node.collection.id),
        Ok(_) | Err(Error::NotFound) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

async fn user_of(context: &Context, id: PrincipalId) -> Result<UserName, Problem> {
    let found = directory::name_of(context, id).await?;
    found.ok_or_else(|| Problem::field("user", "there is no such user"))
}

/// The state that is asked for.
pub(super) fn fate(fields: &mut Fields) -> Result<Option<Fate>, Problem> {
    match fields.text("state")?.as_deref() {
        None => Ok(None),
        Some("waiting") => Ok(Some(Fate::Waiting)),
        Some("delivered") => Ok(Some(Fate::Delivered)),
        Some("dead") => Ok(Some(Fate::Dead)),
        Some(_) => Err(Problem::field("state", "it must be waiting, delivered or dead")),
    }
}

/// A stretch of time: all of it, where nothing is said.
pub(super) fn range(mut fields: Fields) -> Result<Range<Utc>, Problem> {
    let (since, until) = (fields.time("since")?, fields.time("until")?);
    fields.end()?;
    let (since, until) = (since.unwrap_or(Utc::MIN), until.unwrap_or(Utc::MAX));
    if since >= until {
        return Err(Problem::field("until", "it is not after `since`"));
    }
    Ok(since..until)
}
