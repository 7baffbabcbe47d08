//! Sending to an endpoint what happened in a stretch of time, whether it was sent before or not: to fill a new receiver, or to rebuild one.

use std::ops::Range;

use super::kept::{endpoint, send_again};
use super::{EndpointId, Hearing, RESEND_MAX};
use crate::access::Actor;
use crate::base::Utc;
use crate::service::{Context, Error};

/// Events that are read at a time.
const PAGE: usize = 1_000;

/// Sends the endpoint every event made in `range` that it hears of, under the webhook-ids that they have for it: a receiver that has one takes it
/// for what it is, a repetition. With `from` only those that the other endpoint would hear of, too. Returns how many.
///
/// # Errors
/// [`Error::NotFound`] if there is no such endpoint, or the actor may not know of it. The store's.
pub async fn replay(
    context: &Context,
    actor: Actor,
    id: EndpointId,
    from: Option<EndpointId>,
    range: Range<Utc>,
) -> Result<u64, Error> {
    let to = endpoint(context, actor, id).await?;
    let from = match from {
        Some(from) if from != id => Some(endpoint(context, actor, from).await?),
        _ => None,
    };
    let mut hearing = Hearing::default();
    let (mut after, mut count, mut batch) = (0, 0, Vec::new());
    loop {
        let page = context.store.events(after, PAGE).await?;
        for event in page.rows {
            after = event.seq;
            if !(range.start..range.end).contains(&event.at) {
                continue;
            }
            let there = match &from {
                Some(from) => hearing.would_hear(context, from, &event).await?.is_some(),
                None => true,
            };
            if there && hearing.would_hear(context, &to, &event).await?.is_some() {
                batch.push(event.seq);
            }
        }
        if batch.len() >= RESEND_MAX || !page.more {
            count += batch.len() as u64;
            send_again(context, actor, id, &std::mem::take(&mut batch)).await?;
        }
        if !page.more {
            return Ok(count);
        }
    }
}
