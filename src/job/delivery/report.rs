//! What the dispatcher tells: a line in the log for each attempt, counters and gauges. No endpoint is a label.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Events;
use crate::service::webhooks::{
    BreakerState, Class, Endpoint, EndpointId, EndpointState, Outcome, Plan, Standing, webhook_id,
};
use crate::service::{Context, Error};
use crate::webhook::now;

/// One attempt, for the log of a worker: what follows from it stands in the server's.
pub fn line(outcome: &Outcome, webhook_id: &str) {
    tracing::info!(
        webhook.id = webhook_id,
        event = outcome.event,
        endpoint = %outcome.endpoint,
        attempt = outcome.attempt,
        class = outcome.class.name(),
        status = outcome.status,
        duration_ms = outcome.elapsed_ms,
        "webhook.attempt"
    );
}

/// A line in the log for each attempt that was just taken down.
pub(super) fn lines(plan: &Plan, events: &Events) {
    for (endpoint, attempt) in plan.taken_down() {
        let event = events.peek(attempt.event);
        let id = event.map(|event| webhook_id(endpoint, &event)).unwrap_or_default();
        tracing::info!(
            webhook.id = id,
            event = attempt.event,
            %endpoint,
            attempt = attempt.attempt,
            class = attempt.class.name(),
            status = attempt.status,
            duration_ms = attempt.elapsed_ms,
            next_ms = attempt.next.map(|next| (next.0 - now().0).max(0)),
            "webhook.attempt"
        );
    }
}

/// One attempt, for the metrics.
pub(super) fn count(outcome: &Outcome) {
    let good = if outcome.class == Class::Delivered { "delivered" } else { "failed" };
    let labels = [("outcome", good), ("class", outcome.class.name())];
    metrics::counter!("kalends_webhook_attempts_total", &labels).increment(1);
    metrics::histogram!("kalends_webhook_attempt_seconds").record(f64::from(outcome.elapsed_ms) / 1_000.0);
}

/// How everything stands.
pub(super) async fn gauges(
    context: &Context,
    standings: &BTreeMap<EndpointId, Standing>,
    endpoints: &[Arc<Endpoint>],
    position: u64,
    events: &mut Events,
) -> Result<(), Error> {
    let gauge = |name: &'static str, value: f64| metrics::gauge!(name).set(value);
    let sum = |of: fn(&Standing) -> u64| standings.values().map(of).sum::<u64>() as f64;
    gauge("kalends_webhook_due", sum(|standing| standing.pending + standing.waiting));
    gauge("kalends_webhook_inflight", sum(|standing| standing.in_flight));
    let active = |id: &EndpointId| endpoints.iter().any(|one| one.id == *id && one.is_active());
    let closed = standings.iter().filter(|(id, standing)| standing.breaker == BreakerState::Closed && active(id));
    let (mut oldest, mut oldest_healthy) = (None::<u64>, None::<u64>);
    for standing in standings.values() {
        oldest = [oldest, standing.oldest].into_iter().flatten().min();
    }
    for (_, standing) in closed {
        oldest_healthy = [oldest_healthy, standing.oldest].into_iter().flatten().min();
    }
    gauge("kalends_webhook_oldest_due_seconds", age(context, events, oldest).await?);
    gauge("kalends_webhook_oldest_due_healthy_seconds", age(context, events, oldest_healthy).await?);
    let newest = *context.store.newest_event().borrow();
    gauge("kalends_webhook_outbox_lag_events", newest.saturating_sub(position) as f64);
    let lagging = (newest > position).then_some(position + 1);
    gauge("kalends_webhook_outbox_lag_seconds", age(context, events, lagging).await?);
    for state in ["active", "paused", "disabled"] {
        let count = endpoints.iter().filter(|endpoint| name(&endpoint.state) == state).count();
        metrics::gauge!("kalends_webhook_endpoints", "state" => state).set(count as f64);
    }
    let open = standings.values().filter(|standing| standing.breaker != BreakerState::Closed).count();
    gauge("kalends_webhook_breakers_open", open as f64);
    Ok(())
}

fn name(state: &EndpointState) -> &'static str {
    match state {
        EndpointState::Active => "active",
        EndpointState::Paused { .. } => "paused",
        EndpointState::Disabled { .. } => "disabled",
    }
}

/// How old an event is, in seconds.
async fn age(context: &Context, events: &mut Events, event: Option<u64>) -> Result<f64, Error> {
    let Some(number) = event else { return Ok(0.0) };
    let event = events.get(context, number).await?;
    Ok(event.map_or(0.0, |event| (now().utc().0 - event.at.0).max(0) as f64))
}
