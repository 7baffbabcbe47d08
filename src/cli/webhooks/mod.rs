//! `kalends webhook …`: endpoints, and what became of their messages. Runs in the server that has the store open, like all commands.

pub mod args;
mod run;
mod show;

use serde::{Deserialize, Serialize};

use super::command::Listing;
use crate::base::Utc;
use args::{Add, Range, State, Webhook};

pub(super) use run::run;

/// A command on endpoints, as it travels to the server.
#[derive(Clone, Serialize, Deserialize)]
pub enum WebhookCommand {
    /// `add`
    Add(NewWebhook),
    /// `list`
    List {
        /// Of this user only.
        user: Option<String>,
        /// How to list.
        listing: Listing,
    },
    /// A command on one endpoint.
    On {
        /// Which.
        id: String,
        /// What to do with it.
        verb: Verb,
        /// How to print what there is to print.
        listing: Listing,
    },
    /// `dead`
    Dead {
        /// Which endpoint; all without.
        id: Option<String>,
        /// How many of each.
        limit: u64,
        /// How to list.
        listing: Listing,
    },
    /// `audit`
    Audit {
        /// Which endpoint; all without.
        id: Option<String>,
        /// Of which time, in seconds since 1970.
        range: (i64, i64),
        /// How many messages a listing names.
        limit: u64,
        /// How to print it.
        listing: Listing,
    },
}

/// What `add` makes.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewWebhook {
    url: String,
    user: Option<String>,
    calendars: Vec<String>,
    events: Vec<String>,
    in_order: bool,
    latest_only: bool,
    thin: bool,
    allow_private: bool,
    description: String,
    headers: Vec<String>,
    rate: (Option<u32>, Option<u32>, Option<u16>),
    listing: Listing,
}

/// What is done with one endpoint.
#[derive(Clone, Serialize, Deserialize)]
pub enum Verb {
    /// `show`
    Show,
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `rotate`
    Rotate,
    /// `remove`
    Remove,
    /// `test`
    Test,
    /// `deliveries`
    Deliveries {
        /// Only those in this state.
        state: Option<String>,
        /// Of which time, in seconds since 1970.
        range: (i64, i64),
        /// How many.
        limit: u64,
    },
    /// `resend`
    Resend {
        /// The message's webhook-id.
        message: String,
    },
    /// `recover`
    Recover {
        /// Of which time, in seconds since 1970.
        range: (i64, i64),
    },
    /// `replay`
    Replay {
        /// Whose messages.
        from: Option<String>,
        /// Of which time, in seconds since 1970.
        range: (i64, i64),
    },
}

fn range(range: Range) -> Result<(i64, i64), String> {
    between(range.since, range.until)
}

fn between(since: Option<Utc>, until: Option<Utc>) -> Result<(i64, i64), String> {
    let (since, until) = (since.unwrap_or(Utc::MIN), until.unwrap_or(Utc::MAX));
    if since >= until {
        return Err(format!("--until {until} is not after --since {since}"));
    }
    Ok((since.0, until.0))
}

/// The command that stands on the command line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn of_line(webhook: Webhook) -> Result<WebhookCommand, String> {
    let on = |id: String, verb: Verb, json: bool| WebhookCommand::On { id, verb, listing: Listing::by_flag(json) };
    Ok(match webhook {
        Webhook::Add(add) => WebhookCommand::Add(new(add)),
        Webhook::List { user, json } => WebhookCommand::List { user, listing: Listing::by_flag(json) },
        Webhook::Show { id, json } => on(id, Verb::Show, json),
        Webhook::Pause { id } => on(id, Verb::Pause, false),
        Webhook::Resume { id } => on(id, Verb::Resume, false),
        Webhook::Rotate { id, json } => on(id, Verb::Rotate, json),
        Webhook::Remove { id } => on(id, Verb::Remove, false),
        Webhook::Test { id } => on(id, Verb::Test, false),
        Webhook::Deliveries { id, state, range: time, limit, json } => {
            let state = state.map(|state| {
                match state {
                    State::Waiting => "waiting",
                    State::Delivered => "delivered",
                    State::Dead => "dead",
                }
                .to_owned()
            });
            on(id, Verb::Deliveries { state, range: range(time)?, limit }, json)
        }
        Webhook::Resend { id, message } => on(id, Verb::Resend { message }, false),
        Webhook::Recover { id, range: time } => on(id, Verb::Recover { range: range(time)? }, false),
        Webhook::Replay { id, from, range: time } => on(id, Verb::Replay { from, range: range(time)? }, false),
        Webhook::Dead { id, limit, json } => WebhookCommand::Dead { id, limit, listing: Listing::by_flag(json) },
        Webhook::Audit { id, since, until, limit, json } => {
            let range = between(Some(since), until)?;
            WebhookCommand::Audit { id, range, limit, listing: Listing::by_flag(json) }
        }
    })
}

fn new(add: Add) -> NewWebhook {
    NewWebhook {
        url: add.url,
        user: add.user,
        calendars: add.calendars,
        events: add.events,
        in_order: add.in_order,
        latest_only: add.latest_only,
        thin: add.thin,
        allow_private: add.allow_private,
        description: add.description.unwrap_or_default(),
        headers: add.headers,
        rate: (add.rate, add.burst, add.in_flight),
        listing: Listing::by_flag(add.json),
    }
}
