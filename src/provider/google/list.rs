//! `events.list`: the requests of a pull, and what the answers mean.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::event::{self, Listing, Mapped};
use super::{base, reason};
use crate::base::Utc;
use crate::merge::{Provider, Scope, Sweep};
use crate::outbound;
use crate::provider::api;
use crate::provider::fields::{FieldError, Fields};
use crate::provider::{Account, AccountSecrets, Next, PullState, Pulled};
use crate::zone::Zone;

/// Events asked for on a page: more makes answers that break off more easily.
const PAGE: u32 = 250;
/// How long an account rests whose quota is used up.
const QUOTA_SECONDS: u64 = 3_600;

/// The next page. The parameters beside the tokens stay the same for ever: a sync token stands for them too.
pub(super) fn request(
    account: &Account,
    secrets: &AccountSecrets,
    pull: &PullState,
) -> Result<outbound::Request, String> {
    let calendar = api::segment(&pull.calendar);
    let mut url =
        format!("{}/calendars/{calendar}/events?maxResults={PAGE}&showDeleted=true&singleEvents=false", base(account));
    if let Some(token) = &pull.cursor {
        url.push_str(&format!("&syncToken={}", api::segment(token)));
    }
    if let Some(token) = &pull.next {
        url.push_str(&format!("&pageToken={}", api::segment(token)));
    }
    api::request(Method::GET, &url, secrets, None)
}

/// The answer for a single item as a page that lists it alone; `None` for one that says nothing of the item.
pub(in crate::provider) fn page_of_item(id: &str, status: u16, body: &[u8]) -> Option<Bytes> {
    let item = match status {
        200 => serde_json::from_slice(body).unwrap_or_default(),
        404 | 410 => json!({ "id": id, "status": "cancelled" }),
        _ => return None,
    };
    Some(json!({ "items": [item], "nextSyncToken": "item" }).to_string().into())
}

/// What an answer means.
pub(super) fn answer(account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
    if answer.status.as_u16() != 200 {
        return Pulled::next(trouble(pull, answer, now));
    }
    let page = api::body(answer).and_then(|body| page(account, pull, &body).map_err(|error| error.to_string()));
    page.unwrap_or_else(|reason| Pulled::next(Next::Wait { seconds: None, reason }))
}

fn page(account: &Account, pull: &PullState, body: &Value) -> Result<Pulled, FieldError> {
    let fields = Fields::of(body)?;
    let listing = Listing {
        account: &account.key.name,
        calendar: &pull.calendar,
        generation: pull.generation,
        zone: fields.text("timeZone")?.and_then(Zone::named),
        reminders: fields.objects("defaultReminders").and_then(|all| event::popups(&all)).unwrap_or_default(),
    };
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    for (at, item) in fields.list("items")?.iter().enumerate() {
        match event::map(item, &listing) {
            Ok(Mapped::Record(record)) => records.push(*record),
            Ok(Mapped::Skipped(_)) => {}
            Err(error) => {
                problems.push(format!("items[{at}].{error}"));
                records.extend(event::named(item, &listing));
            }
        }
    }
    let (next, sweep) = match (fields.filled("nextPageToken")?, fields.filled("nextSyncToken")?) {
        (Some(token), _) => (Next::Page(pull.onward(token)), None),
        (None, Some(token)) => {
            (Next::Done { cursor: Some(token.to_owned()), poll_seconds: None }, sweep(account, pull))
        }
        (None, None) => return Err(fields.bad("nextSyncToken", "is missing on the last page")),
    };
    Ok(Pulled { records, sweep, problems, next })
}

/// The end of a full listing.
fn sweep(account: &Account, pull: &PullState) -> Option<Sweep> {
    if pull.cursor.is_some() {
        return None;
    }
    let (account, calendar) = (account.key.name.clone(), pull.calendar.clone());
    let scope = Scope { provider: Provider::Google, account, calendar };
    Some(Sweep { scope, generation: pull.generation, window: None })
}

/// What to do about an answer that is no page.
fn trouble(pull: &PullState, answer: &outbound::Answer, now: Utc) -> Next {
    let (status, why) = (answer.status.as_u16(), reason(answer));
    let wait = |seconds: Option<u64>| {
        let seconds = api::retry_after(answer, now).max(seconds);
        Next::Wait { seconds, reason: format!("Google answered {status} ({why})") }
    };
    match (status, why.as_str()) {
        (401, _) => Next::Refresh,
        (410, _) => Next::Resync,
        (403, "quotaExceeded" | "dailyLimitExceeded" | "dailyLimitExceededUnreg") => wait(Some(QUOTA_SECONDS)),
        (403, "rateLimitExceeded" | "userRateLimitExceeded") | (408 | 429 | 500.., _) => wait(None),
        (403, _) => Next::Broken(format!(
            "Google refuses this calendar ({why}): check that it is shared and the scopes granted"
        )),
        (404, _) => Next::Broken("Google has no such calendar (any more)".to_owned()),
        // A token that Google does not understand is no better than one that is gone.
        (400, _) if pull.cursor.is_some() || pull.next.is_some() => Next::Resync,
        _ => wait(Some(QUOTA_SECONDS)),
    }
}
