//! A feed's stream as records: one for each event and each override, whatever its producer forgot.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::base::{Limits, Utc};
use crate::ical::{Component, DateOrTime, parse_stream};
use crate::merge::{
    Content, Orphan, Part, Provider, Role, Scope, SourceId, SourceRecord, Version, further, join_ids, known_time,
    read_event,
};
use crate::provider::{Account, PullState, ranges};
use crate::recur::Stretch;
use crate::zone::{Zone, Zones};

/// A feed, read.
pub struct Feed {
    /// Its events.
    pub records: Vec<SourceRecord>,
    /// When its first event begins.
    pub first: Option<Utc>,
    /// How often it wants to be asked for.
    pub poll_seconds: Option<u64>,
    /// What each event says, as a hash.
    hashes: BTreeSet<String>,
    /// What is left for taking ranges apart.
    steps: u64,
}

/// What a feed lists. The URL may hold a secret, so that a hash stands for it.
pub fn scope(account: &Account, url: &str) -> Scope {
    Scope { provider: Provider::Ics, account: account.key.name.clone(), calendar: short_hash(url) }
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// One VEVENT on its way to a record.
struct Entry<'a> {
    event: Cow<'a, Component>,
    uid: String,
    original: Option<DateOrTime>,
    place: usize,
    /// The series whose rest it is, and from where on.
    trunk: Option<(String, DateOrTime)>,
}

impl Feed {
    /// Reads a download.
    ///
    /// # Errors
    /// In words, if it is no calendar, or not a whole one: an error, never "everything was deleted".
    pub fn read(account: &Account, pull: &PullState, body: &[u8]) -> Result<Self, String> {
        let text = decoded(body);
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        let starts = |prefix: &str| trimmed.get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix));
        if !starts("BEGIN:VCALENDAR") {
            return Err("what the feed's URL gives is no calendar; the last copy stays".to_owned());
        }
        let end = "END:VCALENDAR";
        let tail = trimmed.len().checked_sub(end.len()).and_then(|at| trimmed.get(at..));
        if !tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end)) {
            return Err("the download stops before its END:VCALENDAR; the last copy stays".to_owned());
        }
        let calendars = parse_stream(trimmed.as_bytes(), &Limits::default())
            .map_err(|error| format!("the feed cannot be read: line {}", error.line))?;
        let (hashes, steps) = (BTreeSet::new(), ranges::STEPS_MAX);
        let mut feed = Self { records: Vec::new(), first: None, poll_seconds: None, hashes, steps };
        for calendar in &calendars {
            feed.poll_seconds = feed.poll_seconds.into_iter().chain(interval(calendar)).min();
            feed.add(account, pull, calendar);
        }
        Ok(feed)
    }

    /// How many events and overrides it has.
    pub fn events(&self) -> usize {
        self.records.len()
    }

    /// A hash of what it says, whatever the order and the time of the download.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for hash in &self.hashes {
            digest.update(hash.as_bytes());
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn add(&mut self, account: &Account, pull: &PullState, calendar: &Component) {
        let floating = calendar.text("X-WR-TIMEZONE").and_then(|name| Zone::named(&name)).unwrap_or_else(Zone::utc);
        let zones = Zones::of(calendar, &floating);
        let scope = scope(account, &pull.calendar);
        let is_zooms = calendar.text("PRODID").is_some_and(|prodid| prodid.contains("zoom.us"));
        let entries = entries(calendar, is_zooms, &scope.calendar);
        self.hashes.extend(entries.iter().map(said));
        for entry in without_ranges(calendar, entries, &floating, &zones, pull.dates_max, &mut self.steps) {
            let record = record(account, &entry, &zones, &scope, pull);
            let utc = Zones::of(calendar, &Zone::utc());
            let start = record.content.start.as_ref().map(|start| utc.to_utc(start));
            self.first = self.first.into_iter().chain(start).min();
            self.records.push(record);
        }
    }
}

/// UTF-8, else Latin-1: old producers name no charset.
fn decoded(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// REFRESH-INTERVAL (RFC 7986 §5.7) and X-PUBLISHED-TTL, the shorter, in seconds.
fn interval(calendar: &Component) -> Option<u64> {
    let lengths = ["REFRESH-INTERVAL", "X-PUBLISHED-TTL"].into_iter().filter_map(|name| {
        let length = calendar.property(name)?.duration().ok()?;
        u64::try_from(length.days.saturating_mul(86_400).saturating_add(length.seconds)).ok()
    });
    lengths.filter(|seconds| *seconds > 0).min()
}

/// What an event says, but for the time of the download.
fn said(entry: &Entry<'_>) -> String {
    let mut event = entry.event.clone().into_owned();
    event.remove("DTSTAMP");
    if entry.uid.starts_with("zoom-") {
        event.remove("UID");
    }
    let digest = Sha256::digest(event.to_ics().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The events of `calendar`, each with a UID, none twice.
fn entries<'a>(calendar: &'a Component, is_zooms: bool, feed: &str) -> Vec<Entry<'a>> {
    let mut nameless: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for (place, event) in calendar.children("VEVENT").enumerate() {
        let given = event.text("UID").unwrap_or_default().trim().to_owned();
        let uid = match zooms_id(event).filter(|_| is_zooms) {
            Some(id) => format!("zoom-{id}"),
            None if given.is_empty() => {
                let (start, title) = face(event);
                let nth = nameless.entry((start.clone(), title.clone())).or_default();
                *nth += 1;
                format!("{}@feed.kalends", short_hash(&format!("{feed}\n{start}\n{title}\n{nth}")))
            }
            None => given,
        };
        let original = event.recurrence_id().ok().flatten();
        entries.push(Entry { event: Cow::Borrowed(event), uid, original, place, trunk: None });
    }
    keep_apart(&mut entries);
    newest(entries)
}

/// Start and title, as written.
fn face(event: &Component) -> (String, String) {
    let start = event.property("DTSTART").map(|p| p.value.trim().to_owned()).unwrap_or_default();
    (start, event.text("SUMMARY").unwrap_or_default().trim().to_owned())
}

/// The meeting's id in what Zoom writes: its UIDs are new at each download.
fn zooms_id(event: &Component) -> Option<String> {
    let texts = ["LOCATION", "URL", "DESCRIPTION"].into_iter().filter_map(|name| event.text(name));
    let id = texts.flat_map(|text| join_ids(&text)).find(|id| id.starts_with("zoom:"));
    id.map(|id| id.trim_start_matches("zoom:").to_owned())
}

/// Events that share a UID and nothing else (neither start nor title) get UIDs of their own.
fn keep_apart(entries: &mut [Entry<'_>]) {
    let mut faces: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.original.is_none()) {
        faces.entry(entry.uid.clone()).or_default().insert(face(&entry.event));
    }
    faces.retain(|_, faces| {
        let starts: BTreeSet<&String> = faces.iter().map(|(start, _)| start).collect();
        let titles: BTreeSet<&String> = faces.iter().map(|(_, title)| title).collect();
        starts.len() > 1 && titles.len() > 1
    });
    for entry in entries.iter_mut().filter(|entry| entry.original.is_none() && faces.contains_key(&entry.uid)) {
        let (start, title) = face(&entry.event);
        entry.uid = format!("{}-{}", entry.uid, short_hash(&format!("{start}\n{title}")));
    }
}

/// Of those with the same UID and RECURRENCE-ID the one with the highest SEQUENCE, then the latest LAST-MODIFIED or DTSTAMP, then
/// the last.
fn newest(mut entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    entries.sort_by_cached_key(|entry| {
        let sequence = entry.event.integer("SEQUENCE").ok().flatten().unwrap_or_default();
        let stamp = entry.event.property("LAST-MODIFIED").or(entry.event.property("DTSTAMP"));
        (sequence, stamp.map(|p| p.value.trim().to_owned()).unwrap_or_default(), entry.place)
    });
    let mut best: BTreeMap<(String, Option<DateOrTime>), Entry<'_>> = BTreeMap::new();
    for entry in entries {
        best.insert((entry.uid.clone(), entry.original.clone()), entry);
    }
    let mut entries: Vec<Entry<'_>> = best.into_values().collect();
    entries.sort_by_key(|entry| entry.place);
    entries
}

/// Those with ranges (RANGE=THISANDFUTURE) as several series without, as long as `steps` are left.
fn without_ranges<'a>(
    calendar: &Component,
    entries: Vec<Entry<'a>>,
    floating: &Zone,
    zones: &Zones,
    dates_max: u64,
    steps: &mut u64,
) -> Vec<Entry<'a>> {
    let is_range = |entry: &&Entry<'_>| ranges::is_range(&entry.event);
    let mut ranged: BTreeMap<&str, Vec<&Component>> =
        entries.iter().filter(is_range).map(|entry| (entry.uid.as_str(), Vec::new())).collect();
    for entry in &entries {
        if let Some(events) = ranged.get_mut(entry.uid.as_str()) {
            events.push(&entry.event);
        }
    }
    let mut apart: BTreeMap<String, Vec<Stretch>> = BTreeMap::new();
    for (uid, events) in ranged {
        let stretches = ranges::apart(calendar, &events, floating, dates_max, steps);
        if !stretches.is_empty() {
            apart.insert(uid.to_owned(), stretches);
        }
    }
    let is_whole = |entry: &Entry<'_>| !apart.contains_key(&entry.uid);
    let mut whole: Vec<Entry<'a>> = entries.into_iter().filter(is_whole).collect();
    for (trunk, stretches) in apart {
        for stretch in stretches {
            let uid = match &stretch.from {
                Some(from) => ranges::name(&trunk, from, zones),
                None => trunk.clone(),
            };
            let entry = |event: Component| {
                let original = event.recurrence_id().ok().flatten();
                let trunk = stretch.from.clone().filter(|_| original.is_none()).map(|from| (trunk.clone(), from));
                Entry { event: Cow::Owned(event), uid: uid.clone(), original, place: 0, trunk }
            };
            whole.extend(std::iter::once(stretch.master).chain(stretch.overrides).map(entry));
        }
    }
    whole
}

/// The record of an event. One that cannot be read says only that it is still there.
fn record(account: &Account, entry: &Entry<'_>, zones: &Zones, scope: &Scope, pull: &PullState) -> SourceRecord {
    let id = match &entry.original {
        Some(original) => format!("{}#{}", entry.uid, zones.to_utc(original)),
        None => entry.uid.clone(),
    };
    let source = SourceId::new(scope.provider, &scope.account, &id).in_calendar(&scope.calendar);
    let version = Version::new(pull.generation, 0, 0);
    let part = match &entry.original {
        Some(original) => Part::Instance {
            series: entry.uid.clone(),
            original_start: known_time(original, zones),
            orphan: Orphan::Stands,
        },
        None => match &entry.trunk {
            Some((series, from)) => Part::Rest { series: series.clone(), original_start: known_time(from, zones) },
            None => Part::Event,
        },
    };
    match read_event(&entry.event, zones) {
        Ok(content) if content.start.is_some() => {
            let uid = (!entry.uid.starts_with("zoom-")).then(|| entry.uid.clone());
            let further = further(&entry.event, zones, &account.addresses, pull.further_bytes_max);
            let content = Content { role: Some(Role::Feed), part: Some(part), uid, further, ..content };
            SourceRecord::whole(source, version, content)
        }
        _ => SourceRecord::partial(source, version, Content { part: Some(part), ..Content::default() }),
    }
}
