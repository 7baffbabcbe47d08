//! `bus status|pause|resume|dead`.

use serde_json::json;

use super::command::Listing;
use super::output::Output;
use super::run::{Failure, date, print_json, print_table};
use crate::service::webhooks::EventType;
use crate::service::{Context, outbox};

/// Most dead letters that are listed.
const LISTED_MAX: usize = 1_000;

/// Where the groups of the outbox stand.
pub(super) async fn status(context: &Context, listing: Listing, output: &Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (name, standing) in outbox::groups(context).await? {
        let lag = outbox::lag(context, standing).await?;
        let seconds = lag.oldest.map_or(0, |oldest| (context.clock.now().0 - oldest.0).max(0));
        rows.push((name, standing, lag.events, seconds));
    }
    match listing {
        Listing::Json => {
            let row = |(name, standing, lag, seconds): &(String, outbox::Standing, u64, i64)| {
                json!({
                    "group": name, "position": standing.position, "paused": standing.paused,
                    "lag_records": lag, "lag_seconds": seconds,
                })
            };
            print_json(rows.iter().map(row).collect(), output).await;
        }
        Listing::Text => {
            let head = ["GROUP", "POSITION", "BEHIND", "SECONDS", "STATE"].map(str::to_owned).to_vec();
            let row = |(name, standing, lag, seconds): (String, outbox::Standing, u64, i64)| {
                let state = if standing.paused { "paused" } else { "running" };
                vec![name, standing.position.to_string(), lag.to_string(), seconds.to_string(), state.to_owned()]
            };
            let table: Vec<_> = std::iter::once(head).chain(rows.into_iter().map(row)).collect();
            print_table(&table, output).await;
        }
    }
    Ok(())
}

/// Pauses or resumes a group.
pub(super) async fn pause(context: &Context, group: &str, paused: bool, output: &Output) -> Result<(), Failure> {
    let known = outbox::standing(context, group).await?.is_some();
    outbox::set_paused(context, group, paused).await?;
    tracing::warn!(group, paused, "bus.paused");
    output.note(format!("{group} {}", if paused { "is paused; it keeps its place" } else { "goes on" })).await;
    if !known {
        let text =
            format!("no group of the outbox is called {group} so far; `kalends bus status` shows those there are");
        output.note(text).await;
    }
    Ok(())
}

/// What groups of the outbox could not handle.
pub(super) async fn dead(context: &Context, listing: Listing, output: &Output) -> Result<(), Failure> {
    let buried = outbox::buried(context, None, LISTED_MAX).await?;
    match listing {
        Listing::Json => {
            let row = |one: &outbox::Buried| {
                json!({
                    "group": one.group, "event": one.event.seq, "type": EventType::of(&one.event.kind).name(),
                    "tries": one.tries, "at": date(one.at), "reason": one.reason,
                })
            };
            print_json(buried.iter().map(row).collect(), output).await;
        }
        Listing::Text => {
            let row = |one: &outbox::Buried| {
                let kind = EventType::of(&one.event.kind).name().to_owned();
                vec![one.group.clone(), one.event.seq.to_string(), kind, date(one.at), one.reason.clone()]
            };
            print_table(&buried.iter().map(row).collect::<Vec<_>>(), output).await;
        }
    }
    Ok(())
}
