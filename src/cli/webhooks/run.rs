//! Running the commands on an open store.

use std::ops::Range;

use serde_json::{Value, json};

use super::super::command::Listing;
use super::super::output::{Exit, Output};
use super::super::run::{Failure, print_json};
use super::{NewWebhook, Verb, WebhookCommand, show};
use crate::access::Actor;
use crate::api::{Problem, input, render};
use crate::base::Utc;
use crate::model::UserName;
use crate::service::webhooks::audit::{Fate, audit};
use crate::service::webhooks::listing::{self, Wanted};
use crate::service::webhooks::overview::overview;
use crate::service::webhooks::{self, Detail, Endpoint, NewEndpoint, Order, Owner, test_id};
use crate::service::{Context, accounts};

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let text = match problem.field {
            Some(field) => format!("{field}: {}", problem.detail),
            None => problem.detail,
        };
        Self(Exit::Usage, text)
    }
}

/// Runs a command.
///
/// # Errors
/// Why it could not be done; nothing was changed.
pub(in super::super) async fn run(context: &Context, command: WebhookCommand, output: &Output) -> Result<(), Failure> {
    match command {
        WebhookCommand::Add(new) => add(context, new, output).await,
        WebhookCommand::List { user, listing } => list(context, user.as_deref(), listing, output).await,
        WebhookCommand::On { id, verb, listing } => {
            let endpoint = find(context, &id).await?;
            on(context, endpoint, verb, listing, output).await
        }
        WebhookCommand::Dead { id, limit, listing } => {
            let wanted = Wanted { fate: Some(Fate::Dead), limit: size(limit), ..Wanted::default() };
            let mut found = Vec::new();
            for endpoint in chosen(context, id.as_deref()).await? {
                found.extend(listing::deliveries(context, &endpoint, &wanted).await?.0);
            }
            show::deliveries(&found, listing, output).await;
            Ok(())
        }
        WebhookCommand::Audit { id, range, limit, listing } => {
            let endpoints = chosen(context, id.as_deref()).await?;
            tell(context, endpoints, of(range), size(limit), listing, output).await
        }
    }
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn of((since, until): (i64, i64)) -> Range<Utc> {
    Utc(since)..Utc(until)
}

async fn find(context: &Context, id: &str) -> Result<Endpoint, Failure> {
    let parsed = id.parse().map_err(|error: webhooks::EndpointIdError| Failure(Exit::Usage, error.to_string()))?;
    match webhooks::endpoint(context, Actor::System, parsed).await {
        Err(crate::service::Error::NotFound) => {
            Err(Failure(Exit::NotFound, format!("there is no endpoint {id}; `kalends webhook list` shows them")))
        }
        found => Ok(found?),
    }
}

async fn chosen(context: &Context, id: Option<&str>) -> Result<Vec<Endpoint>, Failure> {
    match id {
        Some(id) => Ok(vec![find(context, id).await?]),
        None => Ok(webhooks::endpoints(context, Actor::System).await?),
    }
}

async fn add(context: &Context, new: NewWebhook, output: &Output) -> Result<(), Failure> {
    let owner = match &new.user {
        Some(name) => Owner::User(accounts::find(context, &UserName::new(name)?).await?.id),
        None => Owner::Server,
    };
    let mut endpoint = NewEndpoint::new(owner, input::checked_url(context, &new.url, new.allow_private)?);
    endpoint.calendars = input::calendars(context, owner, &new.calendars).await?;
    endpoint.events = input::events(&new.events)?;
    endpoint.order = if new.in_order { Order::InOrder } else { Order::Any };
    endpoint.detail = if new.thin { Detail::Thin } else { Detail::Full };
    endpoint.latest_only = new.latest_only;
    endpoint.allow_private = new.allow_private;
    endpoint.description = new.description;
    endpoint.headers = headers(&new.headers)?;
    let (per_second, burst, in_flight) = new.rate;
    endpoint.rate.per_second = per_second.unwrap_or(endpoint.rate.per_second);
    endpoint.rate.burst = burst.unwrap_or_else(|| endpoint.rate.burst.max(per_second.unwrap_or(0)));
    endpoint.rate.in_flight_max = in_flight.unwrap_or(endpoint.rate.in_flight_max);
    let (endpoint, secret) = webhooks::add(context, Actor::System, endpoint).await?;
    match new.listing {
        Listing::Json => {
            let mut value = render::webhook(&overview(context, endpoint).await?);
            if let Value::Object(members) = &mut value {
                members.insert("secret".to_owned(), Value::String(secret.expose().clone()));
            }
            print(&value, output).await;
        }
        Listing::Text => {
            output.data(format!("{}\n{}\n", endpoint.id, secret.expose())).await;
            output.note("the second line is the secret that signs messages: it is shown this once").await;
        }
    }
    Ok(())
}

fn headers(lines: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let read = |line: &String| {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Failure(Exit::Usage, format!("--header {line}: write NAME: VALUE, as in \"X-Team: calendar\""))
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.iter().map(read).collect()
}

async fn print(value: &Value, output: &Output) {
    output.data(format!("{value:#}\n")).await;
}

async fn list(context: &Context, user: Option<&str>, listing: Listing, output: &Output) -> Result<(), Failure> {
    let mut found = Vec::new();
    for endpoint in webhooks::endpoints(context, Actor::System).await? {
        let overview = overview(context, endpoint).await?;
        if user.is_none() || overview.user.as_deref() == user {
            found.push(overview);
        }
    }
    match listing {
        Listing::Json => print_json(found.iter().map(render::webhook).collect(), output).await,
        Listing::Text => show::list(&found, output).await,
    }
    Ok(())
}

async fn on(
    context: &Context,
    endpoint: Endpoint,
    verb: Verb,
    listing: Listing,
    output: &Output,
) -> Result<(), Failure> {
    let (id, actor) = (endpoint.id, Actor::System);
    match verb {
        Verb::Show => {
            let overview = overview(context, endpoint).await?;
            match listing {
                Listing::Json => print(&render::webhook(&overview), output).await,
                Listing::Text => show::one(&overview, context.clock.now(), output).await,
            }
        }
        Verb::Pause => drop(webhooks::pause(context, actor, id).await?),
        Verb::Resume => drop(webhooks::resume(context, actor, id).await?),
        Verb::Remove => webhooks::remove(context, actor, id).await?,
        Verb::Rotate => {
            let secret = webhooks::rotate(context, actor, id).await?;
            match listing {
                Listing::Json => print(&json!({ "id": id.to_string(), "secret": secret.expose() }), output).await,
                Listing::Text => {
                    output.data(format!("{}\n", secret.expose())).await;
                    output.note("for a while messages are signed with the old secret as well").await;
                }
            }
        }
        Verb::Test => {
            let number = webhooks::test(context, actor, id).await?;
            output.data(format!("{}\n", test_id(&endpoint, number))).await;
        }
        Verb::Deliveries { state, range, limit } => {
            let fate = state.as_deref().map(|state| match state {
                "delivered" => Fate::Delivered,
                "dead" => Fate::Dead,
                _ => Fate::Waiting,
            });
            let range = of(range);
            let since = Some(range.start).filter(|since| *since > Utc::MIN);
            let until = Some(range.end).filter(|until| *until < Utc::MAX);
            let wanted = Wanted { fate, since, until, before: None, limit: size(limit) };
            let (found, _) = listing::deliveries(context, &endpoint, &wanted).await?;
            show::deliveries(&found, listing, output).await;
        }
        Verb::Resend { message } => {
            let unknown =
                || Failure(Exit::NotFound, format!("there is no message {message}, or its event is no longer kept"));
            let number = listing::find(context, &endpoint, &message).await?.ok_or_else(unknown)?;
            webhooks::resend(context, actor, id, &[number]).await?;
        }
        Verb::Recover { range } => {
            let range = of(range);
            let count = webhooks::recover(context, actor, id, range.start, range.end).await?;
            output.data(format!("{count} messages are sent again\n")).await;
        }
        Verb::Replay { from, range } => {
            let from = match from {
                Some(from) => Some(find(context, &from).await?.id),
                None => None,
            };
            let count = webhooks::replay(context, actor, id, from, of(range)).await?;
            output.data(format!("{count} messages are sent\n")).await;
        }
    }
    Ok(())
}

async fn tell(
    context: &Context,
    endpoints: Vec<Endpoint>,
    range: Range<Utc>,
    limit: usize,
    listing: Listing,
    output: &Output,
) -> Result<(), Failure> {
    let mut found = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let user = overview(context, endpoint.clone()).await?.user;
        found.push((audit(context, endpoint, range.clone(), limit).await?, user));
    }
    let behind = webhooks::audit::behind(context).await?;
    match listing {
        Listing::Json => {
            let rows: Vec<Value> = found.iter().map(|(found, user)| render::audit(found, user.as_deref())).collect();
            let until = Some(range.end).filter(|until| *until < Utc::MAX).map(render::time);
            let value = json!({
                "since": render::time(range.start),
                "until": until,
                "not_handed_out": behind,
                "endpoints": rows,
            });
            print(&value, output).await;
        }
        Listing::Text => show::audits(&found, behind, output).await,
    }
    Ok(())
}
