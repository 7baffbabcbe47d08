//! The JSON of answers, as `openapi.json` describes it. The commands with `--json` print the same.

use serde_json::{Value, json};

use crate::base::Utc;
use crate::model::Path;
use crate::service::webhooks::audit::{Audited, Fate, Late, Listing, Missing, Repeated, Story, Try};
use crate::service::webhooks::listing::Told;
use crate::service::webhooks::overview::Overview;
use crate::service::webhooks::state::StatePage;
use crate::service::webhooks::{BreakerState, Detail, EndpointState, Millis, Order};

/// A time as RFC 3339 writes it.
pub fn time(at: Utc) -> String {
    at.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time with its milliseconds.
pub fn instant(at: Millis) -> String {
    let ms = at.0.rem_euclid(1_000);
    format!("{}.{ms:03}Z", at.utc().naive().format("%Y-%m-%dT%H:%M:%S"))
}

/// An endpoint.
pub fn webhook(overview: &Overview) -> Value {
    let endpoint = &overview.endpoint;
    let (state, reason) = match &endpoint.state {
        EndpointState::Active => ("active", None),
        EndpointState::Paused { .. } => ("paused", None),
        EndpointState::Disabled { reason, .. } => ("disabled", Some(reason)),
    };
    let health = &overview.health;
    json!({
        "id": endpoint.id.to_string(),
        "user": overview.user,
        "url": endpoint.url,
        "description": endpoint.description,
        "calendars": overview.calendars,
        "events": endpoint.events.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "in_order": endpoint.order == Order::InOrder,
        "latest_only": endpoint.latest_only,
        "thin": endpoint.detail == Detail::Thin,
        "allow_private": endpoint.allow_private,
        "rate": {
            "per_second": endpoint.rate.per_second,
            "burst": endpoint.rate.burst,
            "in_flight": endpoint.rate.in_flight_max,
        },
        "state": state,
        "reason": reason,
        "created": time(endpoint.created),
        "failing": health.failing_since.map(|since| json!({
            "since": instant(since),
            "class": health.class.map(|class| class.name()),
            "status": health.status,
            "breaker_opened": health.opened,
        })),
        "breaker": overview.breaker.map(|breaker| match breaker {
            BreakerState::Closed => "closed",
            BreakerState::Open { .. } => "open",
            BreakerState::HalfOpen { .. } => "half_open",
        }),
        "last_delivered": health.delivered.map(instant),
        "waiting": overview.waiting,
        "oldest_waiting": overview.oldest.map(time),
        "next_try": overview.next.map(instant),
        "dead": overview.dead,
        "old_secret_until": overview.former_secret_until.map(time),
        "secret_locked": overview.secret_locked,
    })
}

fn attempt(attempt: &Try) -> Value {
    json!({
        "number": attempt.number,
        "at": instant(Millis(attempt.began_ms)),
        "duration_ms": attempt.ended_ms.saturating_sub(attempt.began_ms).max(0),
        "class": attempt.class.name(),
        "status": attempt.status,
        "detail": attempt.detail,
    })
}

fn attempts(story: &Story) -> Vec<Value> {
    story.attempts.iter().map(attempt).collect()
}

/// The name of what became of a delivery.
pub fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::Waiting => "waiting",
        Fate::Dead => "dead",
        Fate::Superseded => "superseded",
    }
}

/// A delivery.
pub fn delivery(told: &Told) -> Value {
    json!({
        "webhook_id": told.story.webhook_id,
        "type": told.kind.map(|kind| kind.name()),
        "calendar": Some(&told.story.calendar).filter(|calendar| !calendar.is_empty()),
        "sequence": told.story.sequence,
        "href": told.path.as_ref().map(Path::href),
        "changed": told.changed.map(time),
        "state": fate(told.story.fate),
        "reason": told.story.reason,
        "next_try": told.next.map(instant),
        "attempts": attempts(&told.story),
    })
}

fn listing<T>(found: &Listing<T>, render: impl Fn(&T) -> Value) -> Value {
    json!({ "total": found.total, "first": found.first.iter().map(render).collect::<Vec<_>>() })
}

fn story(story: &Story) -> Value {
    json!({
        "webhook_id": story.webhook_id,
        "calendar": story.calendar,
        "sequence": story.sequence,
        "state": fate(story.fate),
        "attempts": attempts(story),
    })
}

fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut value, more) {
        members.extend(more);
    }
    value
}

/// What an endpoint was told.
pub fn audit(found: &Audited, user: Option<&str>) -> Value {
    let Audited { endpoint, report } = found;
    let state = match endpoint.state {
        EndpointState::Active => "active",
        EndpointState::Paused { .. } => "paused",
        EndpointState::Disabled { .. } => "disabled",
    };
    let repeated =
        |found: &Repeated| with(story(&found.story), json!({ "taken": found.taken, "unanswered": found.unanswered }));
    let late = |late: &Late| {
        json!({
            "webhook_id": late.webhook_id,
            "calendar": late.calendar,
            "sequence": late.sequence,
            "after": late.after,
            "behind_ms": late.behind_ms,
        })
    };
    let missing =
        |found: &Missing| with(story(&found.story), json!({ "reason": found.story.reason, "perhaps": found.perhaps }));
    json!({
        "id": endpoint.id.to_string(),
        "user": user,
        "url": endpoint.url,
        "state": state,
        "deliveries": report.deliveries,
        "attempts": report.attempts,
        "delivered": report.delivered,
        "once": report.once,
        "more_than_once": listing(&report.more_than_once, repeated),
        "out_of_order": listing(&report.out_of_order, late),
        "overlapping": report.overlapping,
        "waiting": report.waiting,
        "dead": report.dead,
        "superseded": report.superseded,
        "not_delivered": listing(&report.not_delivered, missing),
    })
}

/// A page of the reconciliation feed.
pub fn state(page: &StatePage) -> Value {
    let entries = page.entries.iter().map(|entry| {
        json!({
            "calendar": entry.calendar.href(),
            "href": entry.path.href(),
            "sequence": entry.sequence.0,
            "etag": entry.etag.as_ref().map(ToString::to_string),
            "deleted": entry.etag.is_none(),
        })
    });
    json!({
        "calendars": page.calendars.iter().map(Path::href).collect::<Vec<_>>(),
        "entries": entries.collect::<Vec<_>>(),
        "next": page.next,
        "more": page.more,
    })
}
