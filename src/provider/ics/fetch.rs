//! One fetch of a feed: the request, and what its answer means.

use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::events::{self, Feed};
use crate::base::{Interval, Utc};
use crate::merge::Sweep;
use crate::outbound::{self, Target};
use crate::provider::{Account, AccountSecrets, Next, PullState, Pulled, api};

/// How often at least, and at most, a feed may be asked for.
const POLL_SECONDS: std::ops::RangeInclusive<u64> = 900..=86_400;
/// Redirects that are followed in one fetch.
const REDIRECTS_MAX: u32 = 5;
/// A good copy with at least so many events that loses more than half of them is believed only when it says so twice.
const GUARDED_EVENTS_MIN: usize = 10;
/// So often, over a day, a feed that was good may refuse us before somebody is told.
const REFUSALS_MAX: u32 = 3;

/// How much of a feed is understood: what was read by another one is fetched and read again, changed or not.
const READING: u32 = 2;

/// What one fetch leaves to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// Where the feed has moved for good.
    url: Option<String>,
    etag: Option<String>,
    modified: Option<String>,
    /// What the last good copy said, as a hash.
    hash: Option<String>,
    /// How many events it had.
    events: usize,
    /// A copy that lost too much, waiting to be confirmed: its hash.
    held: Option<String>,
    /// Refusals since the last good answer.
    refusals: u32,
    /// Which [`READING`] the last good copy was read by.
    reading: u32,
}

/// Where a fetch has been sent to.
#[derive(Debug, Serialize, Deserialize)]
struct Hop {
    url: String,
    /// All hops so far were for good.
    for_good: bool,
}

impl Cursor {
    pub fn of(pull: &PullState) -> Self {
        let cursor: Self = pull.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        match cursor.reading {
            READING => cursor,
            _ => Self { etag: None, modified: None, hash: cursor.hash.map(|_| String::new()), ..cursor },
        }
    }

    fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// Whether what a fetch left says that a copy waits to be confirmed.
pub fn is_held(cursor: &str) -> bool {
    serde_json::from_str::<Cursor>(cursor).is_ok_and(|cursor| cursor.held.is_some())
}

/// `webcal://` is https by another name.
fn url_of(pull: &PullState, cursor: &Cursor) -> String {
    let hop = pull.next.as_deref().and_then(|text| serde_json::from_str::<Hop>(text).ok());
    let url = hop.map(|hop| hop.url).or_else(|| cursor.url.clone()).unwrap_or_else(|| pull.calendar.clone());
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("webcal") || scheme.eq_ignore_ascii_case("webcals") => {
            format!("https://{rest}")
        }
        _ => url,
    }
}

pub fn request(account: &Account, secrets: &AccountSecrets, pull: &PullState) -> Result<outbound::Request, String> {
    let cursor = Cursor::of(pull);
    let target = Target::parse(&url_of(pull, &cursor)).map_err(|failure| failure.to_string())?;
    let same_host = Target::parse(&url_of(&PullState { next: None, ..pull.clone() }, &Cursor::default()))
        .is_ok_and(|own| own.origin() == target.origin());
    let mut request = outbound::Request::new(Method::GET, target, Vec::new())
        .compressed()
        .header(ACCEPT, HeaderValue::from_static("text/calendar, */*;q=0.1"));
    for (name, value) in [(IF_NONE_MATCH, &cursor.etag), (IF_MODIFIED_SINCE, &cursor.modified)] {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            request = request.header(name, value);
        }
    }
    match crate::provider::caldav::basic(account, secrets)?.filter(|_| same_host) {
        Some(value) => Ok(request.header(AUTHORIZATION, value)),
        None => Ok(request),
    }
}

pub fn answer(account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
    let cursor = Cursor::of(pull);
    let wait = |reason: String| Pulled::next(Next::Wait { seconds: api::retry_after(answer, now), reason });
    match answer.status.as_u16() {
        304 => {
            let cursor = Cursor { refusals: 0, held: None, ..cursor };
            Pulled::next(Next::Done { cursor: cursor.text(), poll_seconds: max_age(answer) })
        }
        200 => whole(account, pull, answer, cursor, now).unwrap_or_else(wait),
        301 | 302 | 303 | 307 | 308 => redirected(pull, answer).unwrap_or_else(wait),
        401 | 403 | 404 => refused(answer.status.as_u16(), cursor),
        410 => Pulled::next(Next::Broken("the feed is gone for good (410); what it brought stays".to_owned())),
        status => wait(format!("the feed's server answered {status}")),
    }
}

fn header(answer: &outbound::Answer, name: HeaderName) -> Option<String> {
    answer.headers.get(name)?.to_str().ok().map(|text| text.trim().to_owned())
}

fn max_age(answer: &outbound::Answer) -> Option<u64> {
    let control = header(answer, CACHE_CONTROL)?;
    let mut parts = control.split(',').filter_map(|part| part.trim().split_once('='));
    let age = parts.find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?.1.trim_matches('"').parse::<u64>().ok()?;
    Some(age.clamp(*POLL_SECONDS.start(), *POLL_SECONDS.end()))
}

/// The feed is elsewhere: goes there, and remembers it if every hop was for good.
fn redirected(pull: &PullState, answer: &outbound::Answer) -> Result<Pulled, String> {
    if pull.page > REDIRECTS_MAX {
        return Err(format!("the feed redirects more than {REDIRECTS_MAX} times"));
    }
    let location = header(answer, LOCATION).ok_or("the feed redirects to nowhere")?;
    let here = Target::parse(&url_of(pull, &Cursor::of(pull))).map_err(|failure| failure.to_string())?;
    let there = here.join(&location).map_err(|failure| format!("the feed redirects to what is no URL: {failure}"))?;
    if here.is_https() && !there.is_https() {
        return Err("the feed redirects from https: to http:, which is not followed".to_owned());
    }
    let so_far = pull.next.as_deref().and_then(|text| serde_json::from_str::<Hop>(text).ok());
    let for_good = matches!(answer.status.as_u16(), 301 | 308) && so_far.is_none_or(|hop| hop.for_good);
    let hop = Hop { url: there.as_str().to_owned(), for_good };
    let next = serde_json::to_string(&hop).map_err(|error| error.to_string())?;
    Ok(Pulled::next(Next::Page(pull.onward(next))))
}

/// A feed that was never good is broken at once; one that was gets three tries over a day.
fn refused(status: u16, cursor: Cursor) -> Pulled {
    let cursor = Cursor { refusals: cursor.refusals + 1, ..cursor };
    if cursor.hash.is_none() || cursor.refusals >= REFUSALS_MAX {
        let reason = match status {
            401 | 403 => "the feed wants other credentials, or none of ours are good",
            _ => "there is no feed at this URL",
        };
        return Pulled::next(Next::Broken(format!("{reason} ({status}); what it brought stays")));
    }
    Pulled::next(Next::Done { cursor: cursor.text(), poll_seconds: Some(*POLL_SECONDS.end() / 3) })
}

/// A download: whether it is whole and plausible, and what it says.
fn whole(
    account: &Account,
    pull: &PullState,
    answer: &outbound::Answer,
    old: Cursor,
    now: Utc,
) -> Result<Pulled, String> {
    if answer.truncated {
        return Err("the download broke off; the last copy stays".to_owned());
    }
    let feed = Feed::read(account, pull, &answer.body)?;
    let hash = feed.hash();
    let poll_seconds = feed.poll_seconds.into_iter().chain(max_age(answer)).min();
    let poll_seconds = poll_seconds.map(|seconds| seconds.clamp(*POLL_SECONDS.start(), *POLL_SECONDS.end()));
    let hop = pull.next.as_deref().and_then(|text| serde_json::from_str::<Hop>(text).ok());
    let moved = hop.filter(|hop| hop.for_good).map(|hop| hop.url);
    let new = Cursor {
        url: moved.or_else(|| old.url.clone()),
        etag: header(answer, ETAG),
        modified: header(answer, LAST_MODIFIED),
        hash: Some(hash.clone()),
        events: feed.events(),
        held: None,
        refusals: 0,
        reading: READING,
    };
    if old.hash.as_deref() == Some(hash.as_str()) {
        return Ok(Pulled::next(Next::Done { cursor: new.text(), poll_seconds }));
    }
    let lost_much = old.events >= GUARDED_EVENTS_MIN && feed.events() * 2 < old.events;
    if lost_much && old.held.as_deref() != Some(hash.as_str()) {
        // Without validators, so that the confirming fetch brings a body again.
        let held = Cursor { held: Some(hash), etag: None, modified: None, refusals: 0, ..old };
        return Ok(Pulled::next(Next::Done { cursor: held.text(), poll_seconds: Some(*POLL_SECONDS.start()) }));
    }
    // What ended before the feed begins was left out, not deleted.
    let from = feed.first.unwrap_or(now).min(now);
    let window = Some(Interval::new(from, Utc::MAX));
    let sweep = Some(Sweep { scope: events::scope(account, &pull.calendar), generation: pull.generation, window });
    Ok(Pulled {
        records: feed.records,
        sweep,
        problems: Vec::new(),
        next: Next::Done { cursor: new.text(), poll_seconds },
    })
}
