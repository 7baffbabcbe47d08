//! Polled feeds (webcal): iCalendar streams by conditional GET (RFC 9110 §13, RFC 7986 §5.7), from producers that keep few rules.
//!
//! A feed's calendars are its URLs. Nothing of a feed can be trusted to say how new it is, so an event's version is the fetch that
//! brought it, and a fetch that says the same as the last one brings nothing. Absence is deletion only after a whole and plausible
//! download; an error, a login page, a broken download keep what was there.
//!
//! - `fetch`: HTTP: what to ask, and what the answer means for the next fetch.
//! - `events`: the stream's events as records.

mod events;
mod fetch;

pub use fetch::is_held;

use crate::base::Utc;
use crate::outbound;
use crate::provider::{Account, AccountSecrets, Adapter, PullState, Pulled};

/// The adapter.
pub struct Ics;

impl Adapter for Ics {
    fn calendars(&self, account: &Account) -> Vec<String> {
        account.urls()
    }

    fn request(
        &self,
        account: &Account,
        secrets: &AccountSecrets,
        pull: &PullState,
    ) -> Result<outbound::Request, String> {
        fetch::request(account, secrets, pull)
    }

    fn answer(&self, account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
        fetch::answer(account, pull, answer, now)
    }
}
