//! The calls on endpoints: what a request says → use-cases of [`service::webhooks`](crate::service::webhooks) → JSON.

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{Call, Fields, Problem, ROOT, Response, input, json as answer, render};
use crate::access::Actor;
use crate::base::Utc;
use crate::service::webhooks::audit::{Fate, audit};
use crate::service::webhooks::listing::{self, Wanted};
use crate::service::webhooks::overview::{Overview, overview};
use crate::service::webhooks::secret::{self, Found};
use crate::service::webhooks::{self, Endpoint, EndpointId, Owner, SigningSecrets, test_id};
use crate::service::{Context, Error};

/// The largest pages.
const PAGE_MAX: u64 = 1_000;
const LISTING_MAX: u64 = 10_000;

/// Answers a call. `segments` are those that stand for names in the path.
pub(super) async fn call(
    context: &Context,
    actor: Actor,
    call: Call,
    segments: &[String],
    fields: Fields,
) -> Result<Response, Problem> {
    match call {
        Call::OpenApi => return Ok(super::openapi()),
        Call::List => return list(context, actor, fields).await,
        Call::Create => return create(context, actor, fields).await,
        _ => {}
    }
    let id: EndpointId = segments.first().and_then(|id| id.parse().ok()).ok_or_else(Problem::not_found)?;
    // Whoever may not know of it learns nothing from the rest of the request.
    let endpoint = webhooks::endpoint(context, actor, id).await?;
    match call {
        Call::Change => {
            let changes = input::changes(context, actor, &endpoint, fields).await?;
            let endpoint = webhooks::change(context, actor, id, changes).await?;
            shown(context, endpoint).await
        }
        Call::Deliveries => deliveries(context, &endpoint, fields, None).await,
        Call::Dead => deliveries(context, &endpoint, fields, Some(Fate::Dead)).await,
        Call::Audit => told(context, endpoint, fields).await,
        Call::State => state(context, &endpoint, fields).await,
        Call::Recover => {
            let range = input::range(fields)?;
            let count = webhooks::recover(context, actor, id, range.start, range.end).await?;
            Ok(answer(StatusCode::ACCEPTED, json!({ "messages": count }).to_string()))
        }
        Call::Replay => replay(context, actor, id, fields).await,
        _ => {
            fields.end()?;
            plain(context, actor, call, endpoint, segments).await
        }
    }
}

/// The calls that take nothing but the endpoint.
async fn plain(
    context: &Context,
    actor: Actor,
    call: Call,
    endpoint: Endpoint,
    segments: &[String],
) -> Result<Response, Problem> {
    let id = endpoint.id;
    match call {
        Call::Pause => shown(context, webhooks::pause(context, actor, id).await?).await,
        Call::Resume => shown(context, webhooks::resume(context, actor, id).await?).await,
        Call::Remove => {
            webhooks::remove(context, actor, id).await?;
            let mut response = answer(StatusCode::NO_CONTENT, String::new());
            response.headers_mut().remove(http::header::CONTENT_TYPE);
            Ok(response)
        }
        Call::Rotate => {
            let secret = webhooks::rotate(context, actor, id).await?;
            let secrets = secret::secrets(context, id).await?.and_then(Found::open);
            let until = secrets.and_then(|SigningSecrets { former, .. }| former.map(|(_, until)| render::time(until)));
            let value = json!({ "id": id.to_string(), "secret": secret.expose(), "old_secret_until": until });
            Ok(answer(StatusCode::OK, value.to_string()))
        }
        Call::Test => {
            let number = webhooks::test(context, actor, id).await?;
            Ok(answer(StatusCode::ACCEPTED, json!({ "webhook_id": test_id(&endpoint, number) }).to_string()))
        }
        Call::Resend => {
            let message = segments.get(1).ok_or_else(Problem::not_found)?;
            let number = listing::find(context, &endpoint, message).await?.ok_or_else(Problem::not_found)?;
            webhooks::resend(context, actor, id, &[number]).await?;
            Ok(answer(StatusCode::ACCEPTED, json!({ "webhook_id": message }).to_string()))
        }
        _ => shown(context, endpoint).await,
    }
}

async fn list(context: &Context, actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let user = fields.text("user")?;
    fields.end()?;
    let mut rows = Vec::new();
    for endpoint in webhooks::endpoints(context, actor).await? {
        let overview = overview(context, endpoint).await?;
        if user.is_none() || overview.user == user {
            rows.push(render::webhook(&overview));
        }
    }
    Ok(answer(StatusCode::OK, Value::Array(rows).to_string()))
}

async fn create(context: &Context, actor: Actor, fields: Fields) -> Result<Response, Problem> {
    let new = input::new(context, actor, fields).await?;
    let (endpoint, secret) = webhooks::add(context, actor, new).await?;
    let location = format!("{ROOT}/webhooks/{}", endpoint.id);
    let mut value = render::webhook(&overview(context, endpoint).await?);
    if let Value::Object(members) = &mut value {
        members.insert("secret".to_owned(), Value::String(secret.expose().clone()));
    }
    let mut response = answer(StatusCode::CREATED, value.to_string());
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, value);
    }
    Ok(response)
}

async fn shown(context: &Context, endpoint: Endpoint) -> Result<Response, Problem> {
    let overview: Overview = overview(context, endpoint).await?;
    Ok(answer(StatusCode::OK, render::webhook(&overview).to_string()))
}

async fn deliveries(
    context: &Context,
    endpoint: &Endpoint,
    mut fields: Fields,
    fate: Option<Fate>,
) -> Result<Response, Problem> {
    let limit = fields.number("limit", 1, PAGE_MAX)?.unwrap_or(50);
    let before = match fields.text("before")? {
        Some(text) => {
            Some(text.parse().map_err(|_| Problem::field("before", "it is not the `next` of an earlier page"))?)
        }
        None => None,
    };
    let fate = match fate {
        Some(fate) => Some(fate),
        None => input::fate(&mut fields)?,
    };
    let (since, until) = (fields.time("since")?, fields.time("until")?);
    fields.end()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = Wanted { fate, since, until, before, limit };
    let (found, next) = listing::deliveries(context, endpoint, &wanted).await?;
    let value = json!({
        "deliveries": found.iter().map(render::delivery).collect::<Vec<_>>(),
        "next": next.map(|next| next.to_string()),
    });
    Ok(answer(StatusCode::OK, value.to_string()))
}

async fn told(context: &Context, endpoint: Endpoint, mut fields: Fields) -> Result<Response, Problem> {
    let since = fields.time("since")?.ok_or_else(|| Problem::field("since", "it is missing: from when on?"))?;
    let until = fields.time("until")?.unwrap_or(Utc::MAX);
    let limit = fields.number("limit", 1, LISTING_MAX)?.unwrap_or(20);
    fields.end()?;
    let user = overview(context, endpoint.clone()).await?.user;
    let found = audit(context, endpoint, since..until, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    Ok(answer(StatusCode::OK, render::audit(&found, user.as_deref()).to_string()))
}

async fn state(context: &Context, endpoint: &Endpoint, mut fields: Fields) -> Result<Response, Problem> {
    let since = fields.text("since")?.unwrap_or_default();
    let limit = fields.number("limit", 1, LISTING_MAX)?.unwrap_or(1_000);
    fields.end()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = webhooks::state::feed(context, endpoint, &since, limit).await?;
    Ok(answer(StatusCode::OK, render::state(&page).to_string()))
}

async fn replay(context: &Context, actor: Actor, id: EndpointId, mut fields: Fields) -> Result<Response, Problem> {
    let from = match fields.text("from")? {
        Some(text) => {
            let unknown = || Problem::field("from", "there is no such endpoint, or you may not see it");
            let from: EndpointId = text.parse().map_err(|_| unknown())?;
            match webhooks::endpoint(context, actor, from).await {
                Ok(found) => Some(found.id),
                Err(Error::NotFound) => return Err(unknown()),
                Err(error) => return Err(error.into()),
            }
        }
        None => None,
    };
    let range = input::range(fields)?;
    let count = webhooks::replay(context, actor, id, from, range).await?;
    Ok(answer(StatusCode::ACCEPTED, json!({ "messages": count }).to_string()))
}

/// On whose authority the one who asks may make endpoints, if nothing is said.
pub(super) fn own(actor: Actor) -> Option<Owner> {
    actor.principal().map(Owner::User)
}
