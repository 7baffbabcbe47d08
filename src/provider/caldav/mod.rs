//! An upstream CalDAV server: discovery (RFC 6764 §6), changes by sync-collection (RFC 6578), data by calendar-multiget (RFC 4791
//! §7.9); for servers without sync-collection a listing whenever the collection's tag has changed.
//!
//! A resource is the unit: its master and overrides arrive together, with the pull as their version. A collection that is named in
//! the account's calendars is read alone; without any the server is asked which there are.
//!
//! - `state`: what a pull has done and has still to do; travels in [`PullState`].
//! - `ask`: the requests. `read`: the answers. `resource`: a resource as records.

mod ask;
mod read;
mod resource;
mod state;

use http::HeaderValue;

use crate::base::Utc;
use crate::outbound;
use crate::provider::{Account, AccountSecrets, Adapter, Channel, PullState, Pulled, Task, TaskDone, api};

/// The adapter.
pub struct Caldav;

impl Adapter for Caldav {
    fn calendars(&self, account: &Account) -> Vec<String> {
        account.urls()
    }

    fn request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        pull: &PullState,
    ) -> Result<outbound::Request, String> {
        ask::request(account, secrets, pull)
    }

    fn answer(&self, account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
        read::answer(account, pull, answer, now)
    }

    fn due(
        &self,
        _account: &Account,
        secrets: &AccountSecrets,
        _channels: &[Channel],
        _hook_url: Option<&str>,
        now: Utc,
    ) -> Option<Task> {
        api::refresh_is_due(secrets, now).then_some(Task::RefreshToken)
    }

    fn task_request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        task: &Task,
        _hook_url: Option<&str>,
        _id: &str,
        _now: Utc,
    ) -> Result<outbound::Request, String> {
        match (task, &account.token_url) {
            (Task::RefreshToken, Some(url)) => api::refresh_request(account, secrets, url, None),
            (Task::RefreshToken, None) => Err("there is no token URL: add the account again with one".to_owned()),
            _ => Err("this provider has no channels".to_owned()),
        }
    }

    fn task_answer(&self, _account: &Account, task: &Task, answer: &outbound::Answer, _id: &str, now: Utc) -> TaskDone {
        match task {
            Task::RefreshToken => api::refresh_answer(answer, now),
            _ => TaskDone::Done,
        }
    }
}

/// The credentials as a header: a bearer token, else name and password (RFC 7617), else none.
///
/// # Errors
/// In words, if they hold what no header can.
pub(super) fn basic(account: &Account, secrets: &AccountSecrets) -> Result<Option<HeaderValue>, String> {
    use base64::Engine;
    let text = match (&secrets.access_token, &secrets.password) {
        (Some((token, _)), _) => format!("Bearer {}", token.expose()),
        (None, Some(password)) => {
            let name = account.client_id.as_deref().unwrap_or(&account.key.name);
            let pair = format!("{name}:{}", password.expose());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        (None, None) => return Ok(None),
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "the credentials hold what no header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}
