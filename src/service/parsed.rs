//! Objects parsed once: a cache by content, so that it can never be stale (invariant S5: all of it can be thrown away).

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::zones::Floating;
use crate::base::{ETag, Limits};
use crate::ical::CalendarObject;
use crate::recur::Series;

/// The content of an object that was found.
pub enum Content {
    /// Nobody asked for it.
    Unread,
    /// Its bytes, for somebody who passes them on as they are.
    Text(Bytes),
    /// As today's checks read it.
    Parsed(Arc<Parsed>),
    /// Its bytes: today's checks find them broken (invariant B2).
    Broken(Bytes),
}

/// A calendar object's content, parsed, with its compiled recurrence.
pub struct Parsed {
    /// The tree.
    pub object: CalendarObject,
    /// Its bytes as they were stored.
    content: Bytes,
    /// The series for the last zones that floating times were read in: nearly always one, the calendar's.
    series: Mutex<Vec<(u64, Arc<Series>)>>,
}

impl Parsed {
    /// The stored text. What was parsed is UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap_or_default()
    }

    /// The recurrence, floating times being read in `floating`; `None` if today's checks find it broken.
    pub fn series(&self, floating: &Floating) -> Option<Arc<Series>> {
        let mut known = self.series.lock();
        if let Some((_, series)) = known.iter().find(|(key, _)| *key == floating.key) {
            return Some(Arc::clone(series));
        }
        let series = Arc::new(Series::new(&self.object, &floating.zone).ok()?);
        if known.len() >= 4 {
            known.remove(0);
        }
        known.push((floating.key, Arc::clone(&series)));
        Some(series)
    }
}

/// Whether an object that is parsed is worth keeping so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It will be asked for again.
    Yes,
    /// It is one of very many that somebody goes through once: they would only push out what others use.
    No,
}

/// The parsed objects used last.
pub struct ParsedCache(Cache<ETag, Arc<Parsed>, BySize>);

#[derive(Clone)]
struct BySize;

impl Weighter<ETag, Arc<Parsed>> for BySize {
    fn weight(&self, _: &ETag, parsed: &Arc<Parsed>) -> u64 {
        // A tree and its text take about five times the text, measured with the corpus.
        256 + 5 * parsed.content.len() as u64
    }
}

impl ParsedCache {
    /// A cache that holds about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / 4096).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        Self(Cache::with_weighter(items, bytes_max, BySize))
    }

    /// The parsed form of `content`, whose tag is `etag`; `None` if it does not pass today's checks (invariant B2).
    pub fn get(&self, etag: ETag, content: &Bytes, limits: &Limits, keep: Keep) -> Option<Arc<Parsed>> {
        if let Some(parsed) = self.peek(etag) {
            return Some(parsed);
        }
        let object = CalendarObject::parse(content, limits).ok()?;
        let parsed = Arc::new(Parsed { object, content: content.clone(), series: Mutex::new(Vec::new()) });
        if keep == Keep::Yes {
            self.0.insert(etag, Arc::clone(&parsed));
        }
        Some(parsed)
    }

    /// How many objects are kept.
    pub fn kept(&self) -> usize {
        self.0.len()
    }

    /// The parsed form if it is there already, for those who have not read the content.
    pub fn peek(&self, etag: ETag) -> Option<Arc<Parsed>> {
        self.0.get(&etag)
    }
}
