//! What the commands print for people.

use super::super::command::Listing;
use super::super::output::Output;
use super::super::run::{print_json, print_table};
use crate::api::render::{self, instant, time};
use crate::base::Utc;
use crate::service::webhooks::audit::{Audited, Story, Try};
use crate::service::webhooks::listing::Told;
use crate::service::webhooks::overview::Overview;
use crate::service::webhooks::{BreakerState, EndpointState, Millis};

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn state(overview: &Overview) -> String {
    if overview.secret_locked {
        return "locked".to_owned();
    }
    match (&overview.endpoint.state, overview.breaker, overview.health.failing_since) {
        (EndpointState::Paused { .. }, ..) => "paused".to_owned(),
        (EndpointState::Disabled { .. }, ..) => "disabled".to_owned(),
        (EndpointState::Active, Some(BreakerState::Open { .. }), _) => "failing, waits".to_owned(),
        (EndpointState::Active, _, Some(_)) => "failing".to_owned(),
        (EndpointState::Active, ..) => "active".to_owned(),
    }
}

/// The endpoints, a line each.
pub(super) async fn list(found: &[Overview], output: &Output) {
    let mut rows = vec![cells(["ID", "USER", "STATE", "WAITING", "OLDEST", "DEAD", "URL"])];
    rows.extend(found.iter().map(|one| {
        vec![
            one.endpoint.id.to_string(),
            one.user.clone().unwrap_or_else(|| "-".to_owned()),
            state(one),
            one.waiting.to_string(),
            one.oldest.map_or_else(|| "-".to_owned(), time),
            one.dead.to_string(),
            one.endpoint.url.clone(),
        ]
    }));
    if found.is_empty() {
        output.note("there are no endpoints; `kalends webhook add` makes one").await;
    } else {
        print_table(&rows, output).await;
    }
}

/// One endpoint: what whoever looks after it wants to know, in that order.
pub(super) async fn one(found: &Overview, now: Utc, output: &Output) {
    let endpoint = &found.endpoint;
    let mut rows: Vec<(&str, String)> = vec![
        ("id", endpoint.id.to_string()),
        ("url", endpoint.url.clone()),
        ("user", found.user.clone().unwrap_or_else(|| "- (the administrator's: hears of all)".to_owned())),
        ("state", state(found)),
    ];
    match &endpoint.state {
        EndpointState::Disabled { since, reason } => rows.push(("disabled", format!("{}: {reason}", time(*since)))),
        EndpointState::Paused { since } => rows.push(("paused", time(*since))),
        EndpointState::Active => {}
    }
    let health = &found.health;
    if let Some(since) = health.failing_since {
        let status = health.status.map_or(String::new(), |status| format!(" (status {status})"));
        let class = health.class.map_or("", |class| class.name());
        rows.push(("failing", format!("since {}: {class}{status}", instant(since))));
        rows.push(("breaker", format!("opened {} times since the last success", health.opened)));
    }
    rows.push((
        "delivered",
        health.delivered.map_or_else(|| "never".to_owned(), |at| format!("last at {}", instant(at))),
    ));
    let age = found.oldest.map_or(String::new(), |at| {
        format!(", the oldest change of {}, {} s ago", time(at), now.0.saturating_sub(at.0).max(0))
    });
    rows.push(("waiting", format!("{}{age}", found.waiting)));
    if let Some(next) = found.next {
        rows.push(("next try", instant(next)));
    }
    rows.push(("given up", found.dead.to_string()));
    let all = |texts: String, all: &str| if texts.is_empty() { all.to_owned() } else { texts };
    rows.push(("calendars", all(found.calendars.join(", "), "all that its user may read")));
    let events: Vec<_> = endpoint.events.iter().map(|kind| kind.name()).collect();
    rows.push(("events", all(events.join(", "), "all but freebusy.changed and webhook.endpoint.*")));
    let rate = endpoint.rate;
    let text = format!("{}/s, {} at once, {} under way", rate.per_second, rate.burst, rate.in_flight_max);
    rows.push(("rate", text));
    if let Some(until) = found.former_secret_until.filter(|until| *until > now) {
        rows.push(("old secret", format!("signs as well until {}", time(until))));
    }
    if found.secret_locked {
        let text = "sealed under a key that is not here: put kalends.key back, or `kalends webhook rotate`";
        rows.push(("secret", text.to_owned()));
    }
    rows.push(("made", time(endpoint.created)));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&rows, output).await;
}

fn tried(attempt: &Try) -> String {
    let status = attempt.status.map_or(String::new(), |status| format!(" {status}"));
    let took = attempt.ended_ms.saturating_sub(attempt.began_ms).max(0);
    format!("{} {}{status} {took}ms", instant(Millis(attempt.began_ms)), attempt.class.name())
}

fn place(story: &Story) -> String {
    format!("{}#{}", story.calendar, story.sequence)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Deliveries, each with its attempts below it.
pub(super) async fn deliveries(found: &[Told], listing: Listing, output: &Output) {
    if listing == Listing::Json {
        return print_json(found.iter().map(render::delivery).collect(), output).await;
    }
    let mut rows = Vec::new();
    for told in found {
        let kind = told.kind.map_or("-", |kind| kind.name());
        let path = told.path.as_ref().map_or_else(String::new, crate::model::Path::href);
        rows.push(vec![
            told.story.webhook_id.clone(),
            kind.to_owned(),
            if told.story.calendar.is_empty() { "-".to_owned() } else { place(&told.story) },
            render::fate(told.story.fate).to_owned(),
            told.story.reason.as_deref().map_or(path, |reason| first_line(reason).to_owned()),
        ]);
        for attempt in &told.story.attempts {
            rows.push(vec![format!("  attempt {}", attempt.number), tried(attempt)]);
        }
        if let Some(next) = told.next {
            rows.push(vec!["  next try".to_owned(), instant(next)]);
        }
    }
    if rows.is_empty() {
        output.note("there are none").await;
        return;
    }
    // Columns of messages and of their attempts are of different kinds: only the first ones are aligned.
    let text: String = rows.iter().map(|row| format!("{}\n", row.join("  "))).collect();
    output.data(text).await;
}

/// What endpoints were told: a table of numbers, then the messages that were not delivered just once and in order.
pub(super) async fn audits(found: &[(Audited, Option<String>)], behind: u64, output: &Output) {
    let mut rows =
        vec![cells(["ID", "USER", "MESSAGES", "DELIVERED", "ONCE", "MORE", "LATE", "WAITING", "DEAD", "URL"])];
    for (Audited { endpoint, report }, user) in found {
        rows.push(vec![
            endpoint.id.to_string(),
            user.clone().unwrap_or_else(|| "-".to_owned()),
            report.deliveries.to_string(),
            report.delivered.to_string(),
            report.once.to_string(),
            report.more_than_once.total.to_string(),
            report.out_of_order.total.to_string(),
            report.waiting.to_string(),
            report.dead.to_string(),
            endpoint.url.clone(),
        ]);
    }
    print_table(&rows, output).await;
    if behind > 0 {
        output.data(format!("\n{behind} changes have not been handed out to endpoints yet\n")).await;
    }
    for (audited, _) in found {
        let text = exceptions(audited);
        if !text.is_empty() {
            output.data(format!("\n{} {}\n{text}", audited.endpoint.id, audited.endpoint.url)).await;
        }
    }
}

fn exceptions(Audited { report, .. }: &Audited) -> String {
    let mut text = String::new();
    let more = |text: &mut String, total: u64, shown: usize| {
        if total > shown as u64 {
            text.push_str(&format!("    and {} more (--limit)\n", total - shown as u64));
        }
    };
    let name = |story: &Story| format!("{} {}", story.webhook_id, place(story));
    let repeated = &report.more_than_once;
    if repeated.total > 0 {
        text.push_str("  more than once, or perhaps:\n");
        for found in &repeated.first {
            text.push_str(&format!(
                "    {}: {}\n",
                name(&found.story),
                why(found.taken, &found.unanswered, &found.story)
            ));
        }
        more(&mut text, repeated.total, repeated.first.len());
    }
    let late = &report.out_of_order;
    if late.total > 0 {
        text.push_str("  out of order:\n");
        for found in &late.first {
            text.push_str(&format!(
                "    {} {}#{}: {} ms or more after #{}\n",
                found.webhook_id, found.calendar, found.sequence, found.behind_ms, found.after
            ));
        }
        more(&mut text, late.total, late.first.len());
    }
    let missing = &report.not_delivered;
    if missing.total > 0 {
        text.push_str("  not delivered:\n");
        for found in &missing.first {
            let reason = found.story.reason.as_deref().map_or("not tried yet", first_line);
            let perhaps = if found.perhaps { ", and may be there all the same" } else { "" };
            let fate = render::fate(found.story.fate);
            text.push_str(&format!("    {}: {fate}, {reason}{perhaps}\n", name(&found.story)));
        }
        more(&mut text, missing.total, missing.first.len());
    }
    text
}

fn why(taken: u32, unanswered: &[u32], story: &Story) -> String {
    let mut parts = Vec::new();
    if taken > 0 {
        parts.push(format!("acknowledged {taken} times"));
    }
    for number in unanswered {
        let class = story.attempts.iter().find(|attempt| attempt.number == *number).map_or("", |a| a.class.name());
        parts.push(format!("attempt {number} got no answer ({class})"));
    }
    parts.join(", ")
}
