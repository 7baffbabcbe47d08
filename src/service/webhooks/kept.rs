//! Managing endpoints. Each belongs to a user or to the administrator; for everybody else it is not there.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::delivery::TEST_EVENTS;
use super::ledger::{self, Health, WaitingRow};
use super::secret;
use super::{DeadLetter, Endpoint, EndpointId, EndpointState, EventType, Millis, NewEndpoint, Owner, SigningSecrets};
use crate::access::Actor;
use crate::base::{Secret, Utc};
use crate::model::Shelf;
use crate::service::{Context, Error};
use crate::store::{Assert, Batch, CommitError, Write};

/// Bytes of a signing secret.
const SECRET_BYTES: usize = 32;
/// Tries when somebody else wrote the row in between.
const TRIES: usize = 5;
/// Endpoints of one owner.
const ENDPOINTS_MAX: usize = 100;
/// Header fields of an owner's.
const HEADERS_MAX: usize = 20;
/// Deliveries that one call sends again.
pub const RESEND_MAX: usize = 10_000;

/// Header fields that are Kalends' own.
const OWN_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
    "proxy-connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// A secret as its owner is shown it, once: `whsec_` and base64.
fn shown(secret: &[u8]) -> Secret<String> {
    Secret::new(format!("whsec_{}", STANDARD.encode(secret)))
}

fn new_secret() -> Vec<u8> {
    let mut bytes = vec![0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Whether the actor is the administrator.
pub(super) async fn is_admin(context: &Context, actor: Actor) -> Result<bool, Error> {
    match actor {
        Actor::System => Ok(true),
        Actor::Anonymous => Err(Error::Unauthenticated),
        Actor::User(id) => Ok(context.store.principal(id).await?.is_some_and(|principal| principal.admin)),
    }
}

/// Whether the actor may manage every endpoint.
///
/// # Errors
/// [`Error::Unauthenticated`] for nobody; the store's.
pub async fn administers(context: &Context, actor: Actor) -> Result<bool, Error> {
    is_admin(context, actor).await
}

async fn may_manage(context: &Context, actor: Actor, owner: Owner) -> Result<bool, Error> {
    let own = actor.principal().is_some_and(|id| owner == Owner::User(id));
    Ok(own || is_admin(context, actor).await?)
}

/// Adds an endpoint. Returns it with its signing secret, which is shown this once.
///
/// # Errors
/// [`Error::Forbidden`] for an owner other than the actor, or `allow_private`, where the actor is no administrator;
/// [`Error::BadRequest`] names the field that is wrong. Nothing was changed.
pub async fn add(context: &Context, actor: Actor, new: NewEndpoint) -> Result<(Endpoint, Secret<String>), Error> {
    if !may_manage(context, actor, new.owner).await? {
        return Err(Error::Forbidden(
            "an endpoint is added by the user whom it belongs to, or by the administrator".to_owned(),
        ));
    }
    if new.allow_private && !is_admin(context, actor).await? {
        return Err(Error::Forbidden(
            "allow_private: endpoints in one's own network are added by the administrator alone".to_owned(),
        ));
    }
    check(context, &new).await?;
    let owned = endpoints(context, Actor::System).await?.iter().filter(|one| one.owner == new.owner).count();
    if owned >= ENDPOINTS_MAX {
        return Err(Error::InsufficientStorage(format!(
            "{ENDPOINTS_MAX} endpoints are enough for one owner; remove one first"
        )));
    }
    let mut id = [0_u8; 8];
    getrandom::fill(&mut id).expect("the operating system gives random bytes");
    let endpoint = Endpoint {
        id: EndpointId(u64::from_be_bytes(id)),
        owner: new.owner,
        url: new.url,
        description: new.description,
        calendars: new.calendars,
        events: new.events,
        order: new.order,
        latest_only: new.latest_only,
        detail: new.detail,
        payload_version: 1,
        allow_private: new.allow_private,
        headers: new.headers,
        rate: new.rate,
        state: EndpointState::Active,
        created: context.clock.now(),
        after: *context.store.newest_event().borrow(),
    };
    let secrets = SigningSecrets { current: Secret::new(new_secret()), former: None };
    let mut asserts = vec![Assert::RowIs(Shelf::Endpoints, ledger::endpoint_key(endpoint.id), None)];
    if let Owner::User(user) = endpoint.owner {
        asserts.push(Assert::PrincipalPresent(user));
    }
    let batch = Batch {
        at: context.clock.now(),
        actor: actor.principal(),
        asserts,
        writes: vec![ledger::put_endpoint(&endpoint), secret::put(context, endpoint.id, &secrets)],
        events: Vec::new(),
    };
    context.store.commit(batch).await?;
    context.webhooks.changed(endpoint.id);
    let secret = shown(secrets.current.expose());
    Ok((endpoint, secret))
}

/// Whether what somebody says of an endpoint makes sense. The URL was read by the caller.
pub(super) async fn check(context: &Context, new: &NewEndpoint) -> Result<(), Error> {
    let bad = |text: String| Err(Error::BadRequest(text));
    if new.description.len() > 200 || new.description.chars().any(char::is_control) {
        return bad("description: at most 200 bytes of plain text".to_owned());
    }
    if new.calendars.len() > 1_000 {
        return bad("calendars: at most 1000; leave it out to hear of all".to_owned());
    }
    if new.events.contains(&EventType::Test) {
        return bad("events: webhook.test cannot be asked for; it comes on demand".to_owned());
    }
    let rate = new.rate;
    if !(1..=100_000).contains(&rate.per_second) || !(1..=100_000).contains(&rate.burst) {
        return bad("rate: per_second and burst must be between 1 and 100000".to_owned());
    }
    if !(1..=256).contains(&rate.in_flight_max) {
        return bad("rate: in_flight_max must be between 1 and 256".to_owned());
    }
    check_headers(&new.headers)?;
    if let Owner::User(id) = new.owner
        && context.store.principal(id).await?.is_none()
    {
        return bad("user: there is no such user".to_owned());
    }
    Ok(())
}

fn check_headers(headers: &[(String, String)]) -> Result<(), Error> {
    let bad = |text: String| Err(Error::BadRequest(text));
    if headers.len() > HEADERS_MAX {
        return bad(format!("headers: at most {HEADERS_MAX}"));
    }
    for (name, value) in headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
            return bad("headers: a name is 1 to 100 letters, digits and hyphens".to_owned());
        }
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return bad(format!("headers: {name} is set by Kalends and cannot be chosen"));
        }
        if value.len() > 1_000 || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return bad(format!("headers: the value of {name} is at most 1000 printable ASCII characters"));
        }
    }
    Ok(())
}

/// An endpoint.
///
/// # Errors
/// [`Error::NotFound`] if there is none, or the actor may not know of it.
pub async fn endpoint(context: &Context, actor: Actor, id: EndpointId) -> Result<Endpoint, Error> {
    let found = ledger::read_endpoint(context, id).await?.map(|(endpoint, _)| endpoint);
    let found = found.ok_or(Error::NotFound)?;
    if may_manage(context, actor, found.owner).await? { Ok(found) } else { Err(Error::NotFound) }
}

/// The endpoints that the actor may manage, oldest first.
///
/// # Errors
/// The store's.
pub async fn endpoints(context: &Context, actor: Actor) -> Result<Vec<Endpoint>, Error> {
    let all = is_admin(context, actor).await?;
    let mut found = ledger::all_endpoints(context).await?;
    found.retain(|one| all || actor.principal().is_some_and(|id| one.owner == Owner::User(id)));
    found.sort_by_key(|one| (one.created, one.id));
    Ok(found)
}

/// Sends nothing to an endpoint until it is resumed. What happens meanwhile waits.
///
/// # Errors
/// As [`endpoint`].
pub async fn pause(context: &Context, actor: Actor, id: EndpointId) -> Result<Endpoint, Error> {
    let since = context.clock.now();
    edit(context, actor, id, move |endpoint| {
        if endpoint.is_active() {
            endpoint.state = EndpointState::Paused { since };
        }
        Vec::new()
    })
    .await
}

/// Sends again to an endpoint that was paused or disabled. What waits is sent, oldest first.
///
/// # Errors
/// As [`endpoint`].
pub async fn resume(context: &Context, actor: Actor, id: EndpointId) -> Result<Endpoint, Error> {
    edit(context, actor, id, move |endpoint| {
        endpoint.state = EndpointState::Active;
        vec![ledger::put_health(id, &Health::default())]
    })
    .await
}

/// Kalends gives up on an endpoint.
///
/// # Errors
/// The store's.
pub async fn disable(context: &Context, id: EndpointId, reason: &str) -> Result<Endpoint, Error> {
    let since = context.clock.now();
    edit(context, Actor::System, id, move |endpoint| {
        endpoint.state = EndpointState::Disabled { since, reason: reason.to_owned() };
        Vec::new()
    })
    .await
}

pub(super) async fn edit(
    context: &Context,
    actor: Actor,
    id: EndpointId,
    change: impl Fn(&mut Endpoint) -> Vec<Write>,
) -> Result<Endpoint, Error> {
    endpoint(context, actor, id).await?;
    for _ in 0..TRIES {
        let (mut endpoint, seen) = ledger::read_endpoint(context, id).await?.ok_or(Error::NotFound)?;
        let mut writes = change(&mut endpoint);
        writes.push(ledger::put_endpoint(&endpoint));
        let asserts = vec![Assert::RowIs(Shelf::Endpoints, ledger::endpoint_key(id), Some(seen))];
        let batch = Batch { at: context.clock.now(), actor: actor.principal(), asserts, writes, events: Vec::new() };
        match context.store.commit(batch).await {
            Ok(_) => {
                context.webhooks.changed(id);
                return Ok(endpoint);
            }
            Err(CommitError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::StateChanged)
}

/// Gives an endpoint a new signing secret, shown this once. Both sign for a while (24 hours, where nothing else is configured).
///
/// # Errors
/// As [`endpoint`].
pub async fn rotate(context: &Context, actor: Actor, id: EndpointId) -> Result<Secret<String>, Error> {
    endpoint(context, actor, id).await?;
    let (found, seen) = secret::read(context, id).await?.ok_or(Error::NotFound)?;
    let keep = i64::try_from(context.webhooks.settings.rotation_seconds).unwrap_or(i64::MAX);
    let next = SigningSecrets {
        current: Secret::new(new_secret()),
        // A secret that cannot be opened signs nothing more.
        former: found.open().map(|secrets| (secrets.current, context.clock.now().plus(keep))),
    };
    // Of two at once one fails: whoever is shown a secret has the one that signs.
    let asserts = vec![Assert::RowIs(Shelf::Endpoints, ledger::secrets_key(id), Some(seen))];
    let writes = vec![secret::put(context, id, &next)];
    let batch = Batch { at: context.clock.now(), actor: actor.principal(), asserts, writes, events: Vec::new() };
    match context.store.commit(batch).await {
        Ok(_) => {}
        Err(CommitError::Failed { .. }) => return Err(Error::StateChanged),
        Err(CommitError::Store(error)) => return Err(error.into()),
    }
    context.webhooks.changed(id);
    Ok(shown(next.current.expose()))
}

/// Sends the endpoint an event of the type `webhook.test`. Returns its number, under which it is in the attempt log.
///
/// # Errors
/// As [`endpoint`]; [`Error::TooManyWait`] if as many wait already as may (limit `webhook_tests_max`).
pub async fn test(context: &Context, actor: Actor, id: EndpointId) -> Result<u64, Error> {
    endpoint(context, actor, id).await?;
    let _counted = context.webhooks.tests.lock().await;
    let most = usize::try_from(context.limits.webhook_tests_max).unwrap_or(usize::MAX);
    if waiting_tests(context, id, most).await? >= most {
        return Err(Error::TooManyWait(format!(
            "{most} test messages wait for this endpoint already (limit webhook_tests_max); they are sent when it is active and answers"
        )));
    }
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let event = TEST_EVENTS | u64::from_be_bytes(random) >> 1;
    send_again(context, actor, id, &[event]).await?;
    Ok(event)
}

/// How many tests are to be sent to an endpoint, or are being sent; `most` if there are more.
async fn waiting_tests(context: &Context, id: EndpointId, most: usize) -> Result<usize, Error> {
    let (waiting, _) = ledger::waiting(context, id, TEST_EVENTS, most).await?;
    let mut events: BTreeSet<u64> = waiting.into_iter().map(|(event, _)| event).collect();
    for (_, lease) in ledger::leases(context).await? {
        let tests = lease.held.iter().filter(|held| held.endpoint == id && held.event >= TEST_EVENTS);
        events.extend(tests.map(|held| held.event));
    }
    Ok(events.len())
}

/// Sends events to an endpoint again, with the same `webhook-id`, whatever became of them before. At most [`RESEND_MAX`] at a time.
///
/// # Errors
/// As [`endpoint`]; [`Error::BadRequest`] if there are too many. What is no longer kept is taken down as a dead letter when its turn comes.
pub async fn resend(context: &Context, actor: Actor, id: EndpointId, events: &[u64]) -> Result<usize, Error> {
    endpoint(context, actor, id).await?;
    if events.len() > RESEND_MAX {
        return Err(Error::BadRequest(format!("at most {RESEND_MAX} deliveries can be sent again at a time")));
    }
    send_again(context, actor, id, events).await?;
    Ok(events.len())
}

/// Sends an endpoint's dead letters again: those given up from `since` to `until`, at most [`RESEND_MAX`]. Returns how many.
///
/// # Errors
/// As [`endpoint`].
pub async fn recover(context: &Context, actor: Actor, id: EndpointId, since: Utc, until: Utc) -> Result<usize, Error> {
    endpoint(context, actor, id).await?;
    let (mut events, mut first) = (Vec::new(), 0);
    while events.len() < RESEND_MAX {
        let (letters, more) = ledger::dead_letters(context, id, first, ledger::PAGE).await?;
        let Some((last, _)) = letters.last() else { break };
        first = last.saturating_add(1);
        let within = |letter: &DeadLetter| letter.at >= Millis::from(since) && letter.at < Millis::from(until);
        events.extend(letters.iter().filter(|(_, letter)| within(letter)).map(|(event, _)| *event));
        if !more {
            break;
        }
    }
    events.truncate(RESEND_MAX);
    send_again(context, actor, id, &events).await?;
    Ok(events.len())
}

/// Puts deliveries into the queue anew and rings the dispatcher's bell.
pub(super) async fn send_again(context: &Context, actor: Actor, id: EndpointId, events: &[u64]) -> Result<(), Error> {
    let now = Millis::from(context.clock.now());
    let mut writes = Vec::with_capacity(2 * events.len());
    for event in events {
        // The number of attempts goes on, so that no two attempts of a delivery have the same.
        let waiting = ledger::waiting_row(context, id, *event).await?;
        let dead = ledger::dead_letter(context, id, *event).await?;
        let made = waiting.map(|row| row.attempts).or(dead.map(|letter| letter.attempts)).unwrap_or(0);
        let row = WaitingRow { attempts: made, before: made, next: now, class: None, status: None, manual: true };
        writes.push(ledger::put_waiting(id, *event, &row));
        writes.push(ledger::delete_dead(id, *event));
    }
    if !writes.is_empty() {
        write(context, actor, writes).await?;
    }
    context.webhooks.changed(id);
    Ok(())
}

pub(super) async fn write(context: &Context, actor: Actor, writes: Vec<Write>) -> Result<(), Error> {
    let batch = Batch { at: context.clock.now(), actor: actor.principal(), writes, ..Batch::default() };
    context.store.commit(batch).await?;
    Ok(())
}
