//! What a pull of an upstream server has done, and what comes next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::provider::{Account, PullState};

/// How many rounds go by before the server is asked again which calendars there are.
const ROUNDS_BETWEEN_DISCOVERIES: u32 = 20;

/// How much of an object is understood: what was read by another one is read again, changed or not.
const READING: u32 = 2;

/// What one pull leaves to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// The collections' URLs, each with what tells its changes.
    pub collections: BTreeMap<String, Mark>,
    /// Pulls since the last discovery.
    pub rounds: u32,
    /// Which [`READING`] they were read by.
    pub reading: u32,
}

impl Cursor {
    /// How far the collection `url` is known, if it was read as it would be today.
    pub fn mark(&self, url: &str) -> Option<&Mark> {
        self.collections.get(url).filter(|_| self.reading == READING)
    }
}

/// How far a collection is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// By its sync-token.
    Token(String),
    /// By its tag (CS:getctag), where there is no sync-collection.
    Tag(String),
}

/// A pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What is asked next.
    pub step: Step,
    /// Redirects in a row.
    pub hops: u32,
    /// Collections that are still to be read.
    pub todo: Vec<String>,
    /// Those that were, and how far.
    pub done: BTreeMap<String, Mark>,
    /// Members that are gone, by collection: told when everything else is, so that a move is no deletion for a moment.
    pub removed: Vec<(String, String)>,
    /// Pulls since the last discovery.
    pub rounds: u32,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Who we are there.
    Principal { url: String, well_known: bool },
    /// Where our calendars are.
    Home { url: String },
    /// Which calendars there are.
    List { url: String },
    /// What has changed since the token; without one, all there is.
    Sync { url: String, token: Option<String>, full: bool },
    /// The collection's tag.
    Tag { url: String },
    /// All members, where there is no sync-collection.
    Members { url: String, tag: String },
    /// The next members' data.
    Fetch(Fetch),
}

/// Members to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The collection.
    pub url: String,
    /// Their paths.
    pub hrefs: Vec<String>,
    /// How far the collection is known when they are here.
    pub mark: Mark,
    /// The listing was cut off: there is more behind the mark.
    pub more: bool,
    /// The listing began from nothing.
    pub full: bool,
}

impl State {
    /// Where the pull stands.
    pub fn of(account: &Account, pull: &PullState) -> Self {
        let kept = pull.next.as_deref().and_then(|text| serde_json::from_str(text).ok());
        kept.unwrap_or_else(|| Self::first(account, pull))
    }

    fn first(account: &Account, pull: &PullState) -> Self {
        let cursor: Cursor =
            pull.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let is_named = account.calendars.contains(&pull.calendar);
        let is_known = !cursor.collections.is_empty() && cursor.rounds < ROUNDS_BETWEEN_DISCOVERIES;
        let url = pull.calendar.clone();
        let step = Step::Principal { url: url.clone(), well_known: false };
        let mut state = Self {
            step,
            hops: 0,
            todo: Vec::new(),
            done: BTreeMap::new(),
            removed: Vec::new(),
            rounds: cursor.rounds.saturating_add(1),
        };
        if is_named || is_known {
            state.todo = if is_named { vec![url] } else { cursor.collections.keys().cloned().collect() };
            state.advance(&cursor);
        } else {
            state.rounds = 0;
        }
        state
    }

    /// Turns to the next collection. `false` if there is none.
    pub fn advance(&mut self, cursor: &Cursor) -> bool {
        if self.todo.is_empty() {
            return false;
        }
        let url = self.todo.remove(0);
        self.step = match cursor.mark(&url) {
            Some(Mark::Token(token)) => Step::Sync { url, token: Some(token.clone()), full: false },
            Some(Mark::Tag(_)) => Step::Tag { url },
            None => Step::Sync { url, token: None, full: true },
        };
        true
    }

    /// What the next pull starts from.
    pub fn cursor(&self) -> Option<String> {
        serde_json::to_string(&Cursor { collections: self.done.clone(), rounds: self.rounds, reading: READING }).ok()
    }
}

impl Step {
    /// The URL that is asked.
    pub fn url(&self) -> &str {
        match self {
            Self::Principal { url, .. }
            | Self::Home { url }
            | Self::List { url }
            | Self::Sync { url, .. }
            | Self::Tag { url }
            | Self::Members { url, .. } => url,
            Self::Fetch(fetch) => &fetch.url,
        }
    }

    /// The same at another URL.
    pub fn at(&self, there: &str) -> Self {
        let mut step = self.clone();
        match &mut step {
            Self::Principal { url, .. }
            | Self::Home { url }
            | Self::List { url }
            | Self::Sync { url, .. }
            | Self::Tag { url }
            | Self::Members { url, .. } => there.clone_into(url),
            Self::Fetch(fetch) => there.clone_into(&mut fetch.url),
        }
        step
    }
}
