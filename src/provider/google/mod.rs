//! Google Calendar API v3: `events.list` with sync tokens, push channels as a bell, OAuth.
//!
//! A push says only that something changed, so that everything comes from pulls; deletions have no version of their own and take the
//! pull's. How it is set up: `docs/providers.md`.

mod channel;
pub mod event;
mod list;

use crate::base::Utc;
use crate::outbound;

pub(super) use list::page_of_item;

use super::{Account, AccountSecrets, Adapter, Channel, Delivered, Delivery, PullState, Pulled, Task, TaskDone, api};

/// Where the API is.
const BASE_URL: &str = "https://www.googleapis.com/calendar/v3";
/// Where tokens are refreshed.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// The calendar that is read where the account names none.
const CALENDAR: &str = "primary";

/// The adapter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Google;

impl Adapter for Google {
    fn deliver(&self, account: &Account, secrets: &AccountSecrets, delivery: &Delivery) -> Delivered {
        channel::deliver(account, secrets, delivery)
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
        list::request(account, secrets, pull)
    }

    fn answer(&self, account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
        list::answer(account, pull, answer, now)
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
        channel::due(account, channels, hook_url, now)
    }

    fn task_request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        task: &Task,
        hook_url: Option<&str>,
        id: &str,
        _now: Utc,
    ) -> Result<outbound::Request, String> {
        match task {
            Task::RefreshToken => api::refresh_request(account, secrets, TOKEN_URL, None),
            Task::Open { calendar } => channel::open(account, secrets, calendar, hook_url, id),
            Task::Renew(channel) => channel::open(account, secrets, &channel.calendar, hook_url, id),
            Task::Close(channel) => channel::close(account, secrets, channel),
        }
    }

    fn task_answer(&self, _account: &Account, task: &Task, answer: &outbound::Answer, _id: &str, now: Utc) -> TaskDone {
        match task {
            Task::RefreshToken => api::refresh_answer(answer, now),
            Task::Open { calendar } => channel::opened(calendar, answer, now),
            Task::Renew(channel) => channel::opened(&channel.calendar, answer, now),
            Task::Close(_) => channel::closed(answer, now),
        }
    }
}

fn base(account: &Account) -> &str {
    account.base_or(BASE_URL)
}

/// Google's word for what is wrong.
fn reason(answer: &outbound::Answer) -> String {
    api::word(answer, &["error", "errors", "0", "reason"])
        .or_else(|| api::word(answer, &["error", "status"]))
        .unwrap_or_else(|| "no reason given".to_owned())
}
