//! A round of `calendarView/delta`: pages to the delta link, then the items that a page cannot settle, one request each: what was removed
//! (deleted, or only out of the window?), and each series that was touched (for its cancelled days).
//!
//! Of a removed item delta tells no more than the id. What has been listed is remembered ([`Items`]): if it was an event of its own, nothing
//! follows, if it was an instance of a series, that one is read again. If nobody remembers, all series that are known are.
//!
//! The window lies in the token; it moves on by a full round when it is a month old. The cursor is the delta link, and behind a `#`
//! each its window, the series that are known, and the items; none of these is ever sent.

use std::collections::BTreeSet;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{self, Mailbox, Mapped};
use super::items::{Item, Items};
use super::{address, base, immutable_ids, mailbox, reason};
use crate::base::{Interval, Utc};
use crate::ical;
use crate::merge::{Provider, Scope, SourceId, SourceRecord, Sweep, Version};
use crate::outbound::{self, Target};
use crate::provider::api;
use crate::provider::fields::{FieldError, Fields};
use crate::provider::{Account, AccountSecrets, Next, PullState, Pulled};

const DAY: i64 = 86_400;
/// How far back a round looks.
const BACK_DAYS: i64 = 90;
/// How far ahead.
const AHEAD_DAYS: i64 = 400;
/// How old a window gets before another one is begun.
const WINDOW_DAYS: i64 = 30;
/// Items on a page.
const PAGE: &str = "odata.maxpagesize=50";
/// How long an account rests when Graph refuses a request that should be right.
const REFUSED_SECONDS: u64 = 3_600;
/// What a series is asked for: delta gives all of it but the last.
const SELECT: &str = "id,iCalUId,changeKey,lastModifiedDateTime,subject,body,start,end,originalStartTimeZone,isAllDay,\
    isCancelled,isDraft,isOrganizer,organizer,attendees,location,showAs,sensitivity,type,seriesMasterId,originalStart,recurrence,\
    responseStatus,onlineMeeting,onlineMeetingUrl,categories,reminderMinutesBeforeStart,isReminderOn,hideAttendees,webLink,\
    cancelledOccurrences";

/// How far a round has come; what [`PullState::next`] holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    /// The next page.
    link: Option<String>,
    /// The end of the round, once it is reached.
    delta: Option<String>,
    /// Series to be read.
    series: BTreeSet<String>,
    /// Removed items to be asked for.
    removed: BTreeSet<String>,
    /// The series that are known, as the cursor and this round name them.
    #[serde(default)]
    known: BTreeSet<String>,
    /// What the items are, as the cursor and this round name them.
    #[serde(default)]
    items: Items,
    /// The series of which this round says that they are gone.
    #[serde(default)]
    gone: BTreeSet<String>,
}

/// What is asked for next.
enum Ask {
    Page,
    Removed(String),
    Series(String),
}

impl Progress {
    fn of(pull: &PullState) -> Self {
        let kept = pull.next.as_deref().and_then(|text| serde_json::from_str(text).ok());
        kept.unwrap_or_else(|| {
            if is_full(pull) {
                return Self::default();
            }
            let mut parts = pull.cursor.as_deref().unwrap_or_default().splitn(4, '#').skip(2);
            let series: Vec<&str> = parts.next().unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect();
            let items = Items::read(series.iter().copied(), parts.next().unwrap_or_default());
            Self { known: series.into_iter().map(str::to_owned).collect(), items, ..Self::default() }
        })
    }

    /// Remembers a series, if its id can be.
    fn know(&mut self, id: &str, series_max: u64) {
        if (self.known.len() as u64) < series_max && !id.contains(['#', ',']) {
            self.known.insert(id.to_owned());
        }
    }

    /// An item is gone. An instance leaves a hole in its series; one that nobody remembers may have been one of any of them.
    fn lost(&mut self, id: &str) {
        // Its instances are told of as well, in any order: they are remembered until the round is over.
        if self.known.remove(id) {
            self.gone.insert(id.to_owned());
            return;
        }
        match self.items.take(id) {
            Item::Single => {}
            Item::Of(series) if self.gone.contains(&series) => {}
            Item::Of(series) => drop(self.series.insert(series)),
            Item::Unknown => self.series.extend(self.known.iter().cloned()),
        }
    }

    fn ask(&self) -> Ask {
        let item = || {
            let removed = self.removed.first().cloned().map(Ask::Removed);
            removed.or_else(|| self.series.first().cloned().map(Ask::Series))
        };
        self.delta.as_ref().and_then(|_| item()).unwrap_or(Ask::Page)
    }

    fn page(&self, pull: &PullState) -> Next {
        Next::Page(pull.onward(serde_json::to_string(self).unwrap_or_default()))
    }
}

/// The pull in which a single item is asked for, as it stands right before the answer.
pub(in crate::provider) fn asking_for(pull: &PullState, id: &str) -> PullState {
    let series = BTreeSet::from([id.to_owned()]);
    let progress = Progress { delta: Some("item".to_owned()), series, ..Progress::default() };
    PullState { next: serde_json::to_string(&progress).ok(), ..pull.clone() }
}

/// What a page says was deleted, for whoever cannot ask for the items. Older than what the same round says of an item that
/// was asked for on its own.
pub(in crate::provider) fn removed(account: &Account, pull: &PullState, body: &[u8]) -> Vec<SourceRecord> {
    let page: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = page["value"].as_array().into_iter().flatten();
    let gone = items.filter(|item| item["@removed"]["reason"] == "deleted").filter_map(|item| item["id"].as_str());
    gone.map(|id| {
        let id = SourceId::new(Provider::Microsoft, &account.key.name, id).in_calendar(&pull.calendar);
        SourceRecord::tombstone(id, Version::new(pull.generation, i64::MIN, 0))
    })
    .collect()
}

/// Where a round begins.
enum Beginning {
    /// From a delta link; its window, where the cursor says it.
    Link(String, Option<Interval>),
    /// From nothing, for a window.
    Window(Interval),
}

impl Beginning {
    fn of(pull: &PullState) -> Self {
        let oldest = pull.started.plus(-(BACK_DAYS + WINDOW_DAYS) * DAY);
        let Some(cursor) = pull.cursor.as_deref() else { return Self::Window(window_at(pull.started)) };
        let mut parts = cursor.splitn(4, '#');
        let (link, window, series) = (parts.next().unwrap_or_default(), parts.next().and_then(window_of), parts.next());
        match window {
            // Without its series it is one that an earlier version of this program has left.
            Some(window) if window.start < oldest || series.is_none() => Self::Window(window_at(pull.started)),
            window => Self::Link(link.to_owned(), window),
        }
    }
}

fn window_at(started: Utc) -> Interval {
    let today = Utc(started.0.div_euclid(DAY) * DAY);
    Interval::new(today.plus(-BACK_DAYS * DAY), today.plus(AHEAD_DAYS * DAY))
}

fn window_of(text: &str) -> Option<Interval> {
    let (start, end) = text.split_once('/')?;
    Some(Interval::new(ical::parse_utc(start).ok()?, ical::parse_utc(end).ok()?))
}

fn is_full(pull: &PullState) -> bool {
    matches!(Beginning::of(pull), Beginning::Window(_))
}

/// The next request.
pub(super) fn request(
    account: &Account,
    secrets: &AccountSecrets,
    pull: &PullState,
) -> Result<outbound::Request, String> {
    let progress = Progress::of(pull);
    let url = match (progress.ask(), progress.link) {
        (Ask::Removed(id), _) => item_url(account, pull, &id),
        (Ask::Series(id), _) => format!("{}?$select={SELECT}", item_url(account, pull, &id)),
        (Ask::Page, Some(link)) => link,
        (Ask::Page, None) => match Beginning::of(pull) {
            Beginning::Link(link, _) => link,
            Beginning::Window(window) => first_url(account, pull, window),
        },
    };
    if !is_ours(account, &url) {
        return Err("the delta link leads to another server than the API's: run `kalends provider resync`".to_owned());
    }
    Ok(immutable_ids(api::request(Method::GET, &url, secrets, None)?, Some(PAGE)))
}

fn calendar_url(account: &Account, pull: &PullState) -> String {
    let (base, mailbox) = (base(account), mailbox(account));
    match pull.calendar.as_str() {
        super::CALENDAR => format!("{base}{mailbox}"),
        calendar => format!("{base}{mailbox}/calendars/{}", api::segment(calendar)),
    }
}

fn first_url(account: &Account, pull: &PullState, window: Interval) -> String {
    let at = |utc: Utc| utc.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (from, to) = (at(window.start), at(window.end));
    format!("{}/calendarView/delta?startDateTime={from}&endDateTime={to}", calendar_url(account, pull))
}

/// Asked for in its calendar, so that what was moved to another one is not found here.
fn item_url(account: &Account, pull: &PullState, id: &str) -> String {
    let calendar = if pull.calendar == super::CALENDAR { "/calendar" } else { "" };
    format!("{}{calendar}/events/{}", calendar_url(account, pull), api::segment(id))
}

/// Whether a link leads to the API: nobody else is shown the token.
fn is_ours(account: &Account, link: &str) -> bool {
    let origin = |url: &str| Target::parse(url).ok().map(|target| target.origin());
    origin(link).is_some_and(|found| Some(found) == origin(base(account)))
}

/// What an answer means.
pub(super) fn answer(account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
    let mut progress = Progress::of(pull);
    let round = Round { account, pull };
    let ask = progress.ask();
    let is_gone = matches!(answer.status.as_u16(), 404 | 410);
    let done = match (answer.status.as_u16(), &ask) {
        (200, Ask::Page) => {
            api::body(answer).and_then(|body| round.page(&mut progress, &body).map_err(|e| e.to_string()))
        }
        (200, Ask::Removed(_) | Ask::Series(_)) => api::body(answer).map(|body| round.item(&body)),
        (404 | 410, Ask::Removed(id) | Ask::Series(id)) => Ok(Found::of(event::gone(id, &round.mailbox()))),
        // One item that is kept from us does not keep us from the others.
        (status @ (400 | 403), Ask::Removed(_) | Ask::Series(_)) => {
            Ok(Found::problem(format!("an item could not be read: {status} ({})", reason(answer))))
        }
        _ => return Pulled::next(trouble(pull, answer, now)),
    };
    match (done, ask) {
        (Err(reason), _) => Pulled::next(Next::Wait { seconds: None, reason }),
        (Ok(found), ask) => {
            match ask {
                Ask::Page => {}
                Ask::Removed(id) => {
                    progress.removed.remove(&id);
                    if is_gone {
                        progress.lost(&id);
                    }
                }
                Ask::Series(id) => {
                    progress.series.remove(&id);
                    match is_gone {
                        true => {
                            progress.known.remove(&id);
                            progress.gone.insert(id);
                        }
                        false => progress.know(&id, pull.series_max),
                    }
                }
            }
            round.onward(found, progress)
        }
    }
}

/// What one answer says.
#[derive(Default)]
struct Found {
    records: Vec<SourceRecord>,
    problems: Vec<String>,
}

impl Found {
    fn of(record: SourceRecord) -> Self {
        Self { records: vec![record], problems: Vec::new() }
    }

    fn problem(problem: String) -> Self {
        Self { records: Vec::new(), problems: vec![problem] }
    }
}

struct Round<'a> {
    account: &'a Account,
    pull: &'a PullState,
}

impl Round<'_> {
    fn mailbox(&self) -> Mailbox<'_> {
        Mailbox {
            account: &self.account.key.name,
            calendar: &self.pull.calendar,
            generation: self.pull.generation,
            address: address(self.account),
        }
    }

    fn page(&self, progress: &mut Progress, body: &Value) -> Result<Found, FieldError> {
        let fields = Fields::of(body)?;
        let mut found = Found::default();
        for (at, item) in fields.list("value")?.iter().enumerate() {
            match event::map(item, &self.mailbox()) {
                Ok(mapped) => self.note(mapped, progress, &mut found),
                Err(error) => {
                    found.problems.push(format!("value[{at}].{error}"));
                    found.records.extend(event::named(item, &self.mailbox()));
                }
            }
        }
        let (next, delta) = (fields.filled("@odata.nextLink")?, fields.filled("@odata.deltaLink")?);
        for (name, link) in [("@odata.nextLink", next), ("@odata.deltaLink", delta)] {
            if link.is_some_and(|link| !is_ours(self.account, link)) {
                return Err(fields.bad(name, "leads to another server than the API's"));
            }
        }
        if next.is_none() && delta.is_none() {
            return Err(fields.bad("@odata.deltaLink", "is missing on the last page"));
        }
        progress.link = next.map(str::to_owned);
        progress.delta = delta.filter(|_| next.is_none()).map(str::to_owned);
        Ok(found)
    }

    /// A single item: a series with its cancelled days, or what delta called removed and is still there.
    fn item(&self, body: &Value) -> Found {
        match event::map(body, &self.mailbox()) {
            Ok(Mapped::Records(records)) => Found { records, problems: Vec::new() },
            Ok(_) => Found::default(),
            Err(error) => Found::problem(error.to_string()),
        }
    }

    /// On to the next request, or the end of the round.
    fn onward(&self, found: Found, progress: Progress) -> Pulled {
        let Found { records, problems } = found;
        let is_whole = progress.removed.is_empty() && progress.series.is_empty();
        let Some(delta) = progress.delta.as_deref().filter(|_| is_whole) else {
            return Pulled { records, sweep: None, problems, next: progress.page(self.pull) };
        };
        let (window, sweep) = match Beginning::of(self.pull) {
            Beginning::Link(_, window) => (window, None),
            Beginning::Window(window) => (Some(window), Some(self.sweep(window))),
        };
        let cursor = match window {
            Some(window) => {
                let series: Vec<&str> = progress.known.iter().map(String::as_str).collect();
                let items = progress.items.text(series.iter().copied());
                format!("{delta}#{}/{}#{}#{items}", window.start, window.end, series.join(","))
            }
            None => delta.to_owned(),
        };
        let next = Next::Done { cursor: Some(cursor), poll_seconds: None };
        Pulled { records, sweep, problems, next }
    }

    /// Takes in what an item of a page is. The same item may come twice in one round: the last one counts.
    fn note(&self, mapped: Mapped, progress: &mut Progress, found: &mut Found) {
        match mapped {
            Mapped::Records(records) => {
                for record in &records {
                    progress.removed.remove(&record.source.id);
                    progress.series.extend(event::series_of(record));
                    progress.items.note(record, self.pull.items_max);
                }
                found.records.extend(records);
            }
            Mapped::Occurrence { id, series } => {
                progress.items.occurs(&id, &series, self.pull.items_max);
                progress.series.insert(series);
            }
            Mapped::Removed(id) => drop(progress.removed.insert(id)),
            Mapped::Skipped(_) => {}
        }
    }

    /// The end of a full round: what was not named is gone, as far as the window reaches.
    fn sweep(&self, window: Interval) -> Sweep {
        let (account, calendar) = (self.account.key.name.clone(), self.pull.calendar.clone());
        let scope = Scope { provider: Provider::Microsoft, account, calendar };
        Sweep { scope, generation: self.pull.generation, window: Some(window) }
    }
}

/// What to do about an answer that says nothing of events.
fn trouble(pull: &PullState, answer: &outbound::Answer, now: Utc) -> Next {
    let (status, why) = (answer.status.as_u16(), reason(answer));
    let wait = |least: Option<u64>| {
        let seconds = api::retry_after(answer, now).max(least);
        Next::Wait { seconds, reason: format!("Microsoft answered {status} ({why})") }
    };
    let lost = ["syncstate", "resync"].iter().any(|word| why.to_ascii_lowercase().contains(word));
    match status {
        401 => Next::Refresh,
        410 => Next::Resync,
        400 if lost && !is_full(pull) => Next::Resync,
        408 | 429 | 500.. => wait(None),
        403 => Next::Broken(format!("Microsoft refuses this mailbox ({why}): check the consent for Calendars.Read")),
        404 => Next::Broken(format!("Microsoft has no such mailbox or calendar ({why})")),
        _ => wait(Some(REFUSED_SECONDS)),
    }
}
