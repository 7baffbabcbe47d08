//! What an answer of the server means.

use http::header::LOCATION;

use super::ask::MEMBERS_MAX;
use super::resource::{records, source};
use super::state::{Cursor, Fetch, Mark, State, Step};
use crate::base::{Limits, Utc};
use crate::merge::{SourceRecord, Sweep, Version};
use crate::outbound::{self, Target};
use crate::provider::{Account, Next, PullState, Pulled, api};
use crate::xml::{self, Element, ns};

/// Redirects that are followed in a row.
const REDIRECTS_MAX: u32 = 5;

pub fn answer(account: &Account, pull: &PullState, answer: &outbound::Answer, now: Utc) -> Pulled {
    let state = State::of(account, pull);
    let reader = Reader { account, pull };
    let wait = |reason: String| Pulled::next(Next::Wait { seconds: api::retry_after(answer, now), reason });
    let status = answer.status.as_u16();
    match status {
        207 if answer.truncated => wait("the answer broke off".to_owned()),
        207 => match xml::parse(&answer.body, &Limits::default()) {
            Ok(document) if document.is(ns::DAV, "multistatus") => reader.multistatus(state, &document),
            _ => wait("the answer is no multistatus".to_owned()),
        },
        301 | 302 | 303 | 307 | 308 => reader.redirected(state, answer).unwrap_or_else(wait),
        401 if account.token_url.is_some() => Pulled::next(Next::Refresh),
        401 => Pulled::next(Next::Broken("the server does not take the name and password (401)".to_owned())),
        429 | 500..=599 if status != 501 => wait(format!("the server answered {status}")),
        _ => reader.refused(state, answer),
    }
}

struct Reader<'a> {
    account: &'a Account,
    pull: &'a PullState,
}

/// One response of a multistatus.
struct Response<'a> {
    href: String,
    /// The status of the whole response, if it has one.
    status: Option<u16>,
    /// The properties with 200.
    found: Vec<&'a Element>,
}

impl<'a> Response<'a> {
    fn of(element: &'a Element) -> Option<Self> {
        let href = element.child(ns::DAV, "href")?.text().trim().to_owned();
        let status = element.child(ns::DAV, "status").and_then(|status| code(&status.text()));
        let good = element
            .children()
            .filter(|child| child.is(ns::DAV, "propstat"))
            .filter(|propstat| propstat.child(ns::DAV, "status").and_then(|status| code(&status.text())) == Some(200));
        let found = good.filter_map(|propstat| propstat.child(ns::DAV, "prop")).flat_map(Element::children).collect();
        Some(Self { href, status, found })
    }

    fn property(&self, space: &str, name: &str) -> Option<&'a Element> {
        self.found.iter().copied().find(|element| element.is(space, name))
    }

    fn href_in(&self, space: &str, name: &str) -> Option<String> {
        let href = self.property(space, name)?.child(ns::DAV, "href")?;
        Some(href.text().trim().to_owned()).filter(|href| !href.is_empty())
    }

    fn is_calendar(&self) -> bool {
        self.property(ns::DAV, "resourcetype").is_some_and(|kind| kind.child(ns::CALDAV, "calendar").is_some())
    }

    /// Whether it can hold events; one that does not say can.
    fn holds_events(&self) -> bool {
        let Some(set) = self.property(ns::CALDAV, "supported-calendar-component-set") else { return true };
        set.children().any(|comp| comp.attribute("name").is_some_and(|name| name.eq_ignore_ascii_case("VEVENT")))
    }
}

/// `HTTP/1.1 404 Not Found` → 404
fn code(status: &str) -> Option<u16> {
    status.split_whitespace().nth(1)?.parse().ok()
}

fn responses(document: &Element) -> Vec<Response<'_>> {
    document.children().filter(|child| child.is(ns::DAV, "response")).filter_map(Response::of).collect()
}

/// The path that names `href` as seen from `base`.
fn path(base: &str, href: &str) -> String {
    let there = Target::parse(base).and_then(|base| base.join(href));
    there.map_or_else(|_| href.to_owned(), |there| there.path_and_query())
}

fn url(base: &str, href: &str) -> Option<String> {
    Target::parse(base).and_then(|base| base.join(href)).ok().map(|there| there.as_str().to_owned())
}

impl Reader<'_> {
    fn page(&self, state: &State, records: Vec<SourceRecord>, sweep: Option<Sweep>) -> Pulled {
        match serde_json::to_string(state) {
            Ok(next) => Pulled { records, sweep, problems: Vec::new(), next: Next::Page(self.pull.onward(next)) },
            Err(error) => Pulled::next(Next::Broken(error.to_string())),
        }
    }

    /// Goes on with another step.
    fn step(&self, state: State, step: Step) -> Pulled {
        self.page(&State { step, hops: 0, ..state }, Vec::new(), None)
    }

    fn multistatus(&self, state: State, document: &Element) -> Pulled {
        let responses = responses(document);
        match state.step.clone() {
            Step::Principal { url, well_known } => self.principal(state, &url, well_known, &responses),
            Step::Home { url } => self.home(state, &url, &responses),
            Step::List { url } => self.list(state, &url, &responses),
            Step::Sync { url, full, .. } => {
                let token = document.child(ns::DAV, "sync-token").map(|token| token.text().trim().to_owned());
                self.changes(state, &url, full, token, &responses)
            }
            Step::Tag { url } => self.tag(state, url, &responses),
            Step::Members { url, tag } => {
                let is_member = |r: &&Response<'_>| r.property(ns::DAV, "getetag").is_some() && !is_collection(r);
                let hrefs = responses.iter().filter(is_member).map(|r| path(&url, &r.href)).collect();
                let fetch = Fetch { url, hrefs, mark: Mark::Tag(tag), more: false, full: true };
                self.fetch_or_finish(state, fetch, Vec::new())
            }
            Step::Fetch(fetch) => self.fetched(state, fetch, &responses),
        }
    }

    fn principal(&self, mut state: State, base: &str, well_known: bool, responses: &[Response<'_>]) -> Pulled {
        if responses.iter().any(Response::is_calendar) {
            state.todo = vec![base.to_owned()];
            return self.next_collection(state, Vec::new(), None);
        }
        let home = responses.iter().find_map(|r| r.href_in(ns::CALDAV, "calendar-home-set"));
        if let Some(there) = home.and_then(|href| url(base, &href)) {
            return self.step(state, Step::List { url: there });
        }
        let principal = responses.iter().find_map(|r| r.href_in(ns::DAV, "current-user-principal"));
        match principal.and_then(|href| url(base, &href)) {
            Some(there) => self.step(state, Step::Home { url: there }),
            None => self.well_known(state, base, well_known),
        }
    }

    /// RFC 6764 §5
    fn well_known(&self, state: State, base: &str, was_asked: bool) -> Pulled {
        match url(base, "/.well-known/caldav").filter(|_| !was_asked) {
            Some(there) => self.step(state, Step::Principal { url: there, well_known: true }),
            None => Pulled::next(Next::Broken("the server does not say who we are: is it a CalDAV server?".to_owned())),
        }
    }

    fn home(&self, state: State, base: &str, responses: &[Response<'_>]) -> Pulled {
        let home = responses.iter().find_map(|r| r.href_in(ns::CALDAV, "calendar-home-set"));
        match home.and_then(|href| url(base, &href)) {
            Some(there) => self.step(state, Step::List { url: there }),
            None => Pulled::next(Next::Broken("the server does not say where our calendars are".to_owned())),
        }
    }

    fn list(&self, mut state: State, base: &str, responses: &[Response<'_>]) -> Pulled {
        let calendars = responses.iter().filter(|r| r.is_calendar() && r.holds_events());
        state.todo = calendars.filter_map(|r| url(base, &r.href)).collect();
        state.todo.sort();
        state.todo.dedup();
        let gone: Vec<String> =
            self.cursor().collections.into_keys().filter(|known| !state.todo.contains(known)).collect();
        // One sweep an answer: what other collections brought goes when they are asked for and found gone.
        state.todo.extend(gone);
        self.next_collection(state, Vec::new(), None)
    }

    fn cursor(&self) -> Cursor {
        self.pull.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn changes(
        &self,
        mut state: State,
        base: &str,
        full: bool,
        token: Option<String>,
        responses: &[Response<'_>],
    ) -> Pulled {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Pulled::next(Next::Wait { seconds: None, reason: "the answer has no sync-token".to_owned() });
        };
        let own = path(base, "");
        let (mut hrefs, mut more) = (Vec::new(), false);
        for response in responses {
            let href = path(base, &response.href);
            match response.status {
                Some(507) => more = true,
                _ if href.trim_end_matches('/') == own.trim_end_matches('/') => {}
                Some(404 | 410) => state.removed.push((own.clone(), href)),
                _ if response.property(ns::DAV, "getetag").is_some() => hrefs.push(href),
                _ => {}
            }
        }
        let fetch = Fetch { url: base.to_owned(), hrefs, mark: Mark::Token(token), more, full };
        self.fetch_or_finish(state, fetch, Vec::new())
    }

    fn tag(&self, mut state: State, url: String, responses: &[Response<'_>]) -> Pulled {
        let tag = responses.iter().find_map(|r| r.property(ns::CS, "getctag")).map(Element::text).unwrap_or_default();
        let mark = Mark::Tag(tag.clone());
        if !tag.is_empty() && self.cursor().mark(&url) == Some(&mark) {
            state.done.insert(url, mark);
            return self.next_collection(state, Vec::new(), None);
        }
        self.step(state, Step::Members { url, tag })
    }

    fn fetched(&self, state: State, mut fetch: Fetch, responses: &[Response<'_>]) -> Pulled {
        let collection = path(&fetch.url, "");
        let asked: Vec<String> = fetch.hrefs.drain(..fetch.hrefs.len().min(MEMBERS_MAX)).collect();
        let mut found = Vec::new();
        let mut state = state;
        for response in responses {
            let href = path(&fetch.url, &response.href);
            // Servers escape paths in more ways than one: what was asked for is what counts.
            let href = asked.iter().find(|one| same_path(one, &href)).cloned().unwrap_or(href);
            match response.property(ns::CALDAV, "calendar-data") {
                Some(data) => found.extend(records(self.account, self.pull, &collection, &href, &data.text())),
                None if matches!(response.status, Some(404 | 410)) => state.removed.push((collection.clone(), href)),
                None => {}
            }
        }
        self.fetch_or_finish(state, fetch, found)
    }

    fn fetch_or_finish(&self, mut state: State, fetch: Fetch, found: Vec<SourceRecord>) -> Pulled {
        if !fetch.hrefs.is_empty() {
            state.step = Step::Fetch(fetch);
            return self.page(&state, found, None);
        }
        if let (true, Mark::Token(token)) = (fetch.more, &fetch.mark) {
            state.step = Step::Sync { url: fetch.url, token: Some(token.clone()), full: fetch.full };
            return self.page(&state, found, None);
        }
        let sweep = fetch.full.then(|| self.sweep(&fetch.url));
        state.done.insert(fetch.url, fetch.mark);
        self.next_collection(state, found, sweep)
    }

    fn sweep(&self, collection: &str) -> Sweep {
        let own = source(self.account, &path(collection, ""), "");
        Sweep { scope: own.scope(), generation: self.pull.generation, window: None }
    }

    fn next_collection(&self, mut state: State, mut found: Vec<SourceRecord>, sweep: Option<Sweep>) -> Pulled {
        state.hops = 0;
        if state.advance(&self.cursor()) {
            return self.page(&state, found, sweep);
        }
        let gone = Version::of_generation(self.pull.generation);
        let is_here = |href: &str, found: &[SourceRecord]| found.iter().any(|record| record.source.id == href);
        for (collection, href) in &state.removed {
            if !is_here(href, &found) {
                found.push(SourceRecord::tombstone(source(self.account, collection, href), gone));
            }
        }
        Pulled {
            records: found,
            sweep,
            problems: Vec::new(),
            next: Next::Done { cursor: state.cursor(), poll_seconds: None },
        }
    }

    fn redirected(&self, state: State, answer: &outbound::Answer) -> Result<Pulled, String> {
        if state.hops >= REDIRECTS_MAX {
            return Err(format!("the server redirects more than {REDIRECTS_MAX} times"));
        }
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or("the server redirects to nowhere")?;
        let there = url(state.step.url(), location).ok_or("the server redirects to what is no URL")?;
        if state.step.url().starts_with("https:") && !there.starts_with("https:") {
            return Err("the server redirects from https: to http:, which is not followed".to_owned());
        }
        let step = state.step.at(&there);
        let hops = state.hops + 1;
        Ok(self.page(&State { step, hops, ..state }, Vec::new(), None))
    }

    /// 4xx and 501 to a step.
    fn refused(&self, mut state: State, answer: &outbound::Answer) -> Pulled {
        let status = answer.status.as_u16();
        let says = |name: &str| {
            let document = xml::parse(&answer.body, &Limits::default());
            document.is_ok_and(|error| error.child(ns::DAV, name).is_some())
        };
        match state.step.clone() {
            Step::Principal { url, well_known } if !matches!(status, 403) => self.well_known(state, &url, well_known),
            Step::Sync { url, token: Some(_), .. } if says("valid-sync-token") || matches!(status, 409 | 412) => {
                self.step(state, Step::Sync { url, token: None, full: true })
            }
            Step::Sync { url, .. } if matches!(status, 400 | 405 | 415 | 422 | 501) || says("supported-report") => {
                self.step(state, Step::Tag { url })
            }
            step if matches!(status, 404 | 410) && !self.account.calendars.contains(&self.pull.calendar) => {
                let sweep = Some(self.sweep(step.url()));
                state.hops = 0;
                self.next_collection(state, Vec::new(), sweep)
            }
            Step::Sync { .. } | Step::Tag { .. } | Step::Members { .. } if matches!(status, 404 | 410) => {
                Pulled::next(Next::Broken(format!("the calendar is not there any more ({status})")))
            }
            _ => Pulled::next(Next::Broken(format!("the server refuses us ({status})"))),
        }
    }
}

fn is_collection(response: &Response<'_>) -> bool {
    response.property(ns::DAV, "resourcetype").is_some_and(|kind| kind.child(ns::DAV, "collection").is_some())
}

fn same_path(a: &str, b: &str) -> bool {
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    a == b || plain(a) == plain(b)
}
