//! Microsoft Graph v1.0: `calendarView/delta` with immutable ids, change notifications as a bell, OAuth with rotating refresh tokens.
//!
//! Series are kept as series: bare occurrences give nothing, and each series that a round touched is read once more for the days that
//! were cancelled, which delta does not tell. How it is set up: `docs/providers.md`.

mod delta;
pub mod event;
mod items;
pub mod recurrence;
mod subscription;

use http::HeaderValue;

use super::{Account, AccountSecrets, Adapter, Channel, Delivered, Delivery, PullState, Pulled, Task, TaskDone, api};
use crate::base::Utc;
use crate::outbound;

pub(super) use delta::{asking_for, removed};

/// Where the API is.
const BASE_URL: &str = "https://graph.microsoft.com/v1.0";
/// The calendar that is read where the account names none: the mailbox's default.
const CALENDAR: &str = "primary";
/// What may be asked with our tokens.
const SCOPE: &str = "offline_access https://graph.microsoft.com/Calendars.Read";

/// The adapter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Microsoft;

impl Adapter for Microsoft {
    fn deliver(&self, account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
        subscription::deliver(account, secrets, delivery)
    }

    fn calendars(&self, account: &Account) -> Vec<String> {
        account.calendars_or(CALENDAR)
    }

    fn request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        pull: &PullState,
    ) -> Result<outbound::Request, String> {
        delta::request(account, secrets, pull)
    }

    fn answer(&self, account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
        delta::answer(account, pull, answer, now)
    }

    fn due(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        channels: &[Channel],
        hook_url: Option<&str>,
        now: Utc,
    ) -> Option<Task> {
        if api::refresh_is_due(secrets, now) {
            return Some(Task::RefreshToken);
        }
        subscription::due(account, channels, hook_url, now)
    }

    fn task_request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        task: &Task,
        hook_url: Option<&str>,
        _id: &str,
        now: Utc,
    ) -> Result<outbound::Request, String> {
        match task {
            Task::RefreshToken => api::refresh_request(account, secrets, &token_url(account), Some(SCOPE)),
            Task::Open { .. } => subscription::open(account, secrets, hook_url, now),
            Task::Renew(channel) => subscription::renew(account, secrets, channel, now),
            Task::Close(channel) => subscription::close(account, secrets, channel),
        }
    }

    fn task_answer(&self, _account: &Account, task: &Task, answer: &outbound::Answer, _id: &str, now: Utc) -> TaskDone {
        match task {
            Task::RefreshToken => api::refresh_answer(answer, now),
            Task::Open { .. } => subscription::opened(answer, now),
            Task::Renew(channel) => subscription::renewed(channel, answer, now),
            Task::Close(_) => subscription::closed(answer, now),
        }
    }
}

fn base(account: &Account) -> &str {
    account.base_or(BASE_URL)
}

/// The tenant's endpoint; `common` where the account names no tenant.
fn token_url(account: &Account) -> String {
    let tenant = account.options.get("tenant").map_or("common", String::as_str);
    format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", api::segment(tenant))
}

/// Whose mailbox: that of the token, or the one that the option `user` names.
fn mailbox(account: &Account) -> String {
    account.options.get("user").map_or_else(|| "/me".to_owned(), |user| format!("/users/{}", api::segment(user)))
}

/// The mailbox's address: what the option `user` or the account's name says, else the person's preferred one.
fn address(account: &Account) -> Option<&str> {
    let named = account.options.get("user").map(String::as_str).filter(|user| user.contains('@'));
    let name = Some(account.key.name.as_str()).filter(|name| name.contains('@'));
    named.or(name).or(account.addresses.first().map(String::as_str))
}

/// Ids that stay when an item moves between folders.
fn immutable_ids(request: outbound::Request, more: Option<&str>) -> outbound::Request {
    let wish = match more {
        Some(more) => format!("IdType=\"ImmutableId\", {more}"),
        None => "IdType=\"ImmutableId\"".to_owned(),
    };
    match HeaderValue::from_str(&wish) {
        Ok(value) => request.header(http::HeaderName::from_static("prefer"), value),
        Err(_) => request,
    }
}

/// Microsoft's word for what is wrong.
fn reason(answer: &outbound::Answer) -> String {
    api::word(answer, &["error", "code"]).unwrap_or_else(|| "no reason given".to_owned())
}
