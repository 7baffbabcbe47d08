//! Which records are the same meeting (`I5`): by UID, by a one-time join id with overlapping time, by a Slack team's meeting key.
//! Never by title and time, never by personal rooms.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::identity::{is_one_time, join_ids, normalise_uid};
use super::{Part, Provider, SourceId, SourceRecord, time};
use crate::base::Interval;
use crate::zone::Zone;

/// Under which keys a record is found, and which keys lead from it to others. Whoever keeps records needs an index from the
/// keys that each emits to the records; all that can be the same meeting as a record (or as what it was before a change) is
/// found by following keys until nothing new turns up, and goes into [`join`] together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// Others find it under these.
    pub emits: BTreeSet<String>,
    /// It finds others under these.
    pub follows: BTreeSet<String>,
}

/// Records that are one meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The meeting's key; see [`super::Meeting::key`].
    pub key: String,
    /// Indices of the records, in order, each with the reason.
    pub members: Vec<(usize, String)>,
}

/// What kind of object a record is, in the order in which meetings are built up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An entry of some calendar.
    Calendar,
    /// A meeting that lives in messages.
    Chat,
    /// A video call's meeting.
    Call,
    /// A mention in a message.
    Mention,
    /// An edit made here.
    Local,
}

impl SourceRecord {
    pub(super) fn kind(&self) -> Kind {
        match self.source.provider {
            Provider::Local => Kind::Local,
            Provider::Zoom => Kind::Call,
            Provider::Slack if self.content.mention.is_some() => Kind::Mention,
            Provider::Slack => Kind::Chat,
            Provider::Google | Provider::Microsoft | Provider::Ics | Provider::Caldav | Provider::Generic => {
                Kind::Calendar
            }
        }
    }

    /// The source object that the event or series is: its own, or that of the series it is an instance of.
    pub(super) fn series(&self) -> SourceId {
        match &self.content.part {
            Some(Part::Instance { series, .. }) => self.source.sibling(series),
            _ => self.source.clone(),
        }
    }

    /// The series whose rest it has become, if it is one.
    pub(super) fn trunk(&self) -> Option<SourceId> {
        match &self.content.part {
            Some(Part::Rest { series, .. }) => Some(self.source.sibling(series)),
            _ => None,
        }
    }

    pub(super) fn uid_key(&self) -> Option<String> {
        let uid = normalise_uid(self.content.uid.as_deref()?)?;
        (self.kind() == Kind::Calendar).then(|| format!("uid:{uid}"))
    }

    /// The join ids that it carries; none of a personal room.
    pub(super) fn joins(&self) -> BTreeSet<String> {
        let content = &self.content;
        let mut ids = content.join_ids.clone().unwrap_or_default();
        for text in [&content.join_url, &content.location, &content.description].into_iter().flatten() {
            ids.append(&mut join_ids(text));
        }
        if self.kind() == Kind::Call && content.personal_room != Some(true) {
            ids.insert(format!("zoom:{}", self.series().id));
        }
        ids
    }

    /// When it is, if it is the event itself and there.
    fn slots(&self) -> BTreeSet<String> {
        let Some(at) = time::interval(&self.content, &Zone::utc()).filter(|_| self.is_live()) else {
            return BTreeSet::new();
        };
        let is_instance = matches!(self.content.part, Some(Part::Instance { .. }));
        let ids = self.joins().into_iter().filter(|id| is_one_time(id) && !is_instance);
        ids.map(|id| format!("at:{id}@{}", at.start)).collect()
    }
}

pub(super) fn source_key(source: &SourceId) -> String {
    let part = |text: &str| text.replace('%', "%25").replace('/', "%2F");
    format!("source:{}/{}/{}/{}", source.provider, part(&source.account), part(&source.calendar), source.id)
}

/// See [`Keys`].
pub fn keys(record: &SourceRecord) -> Keys {
    if record.kind() == Kind::Local {
        let key = BTreeSet::from([record.series().id]);
        return Keys { emits: key.clone(), follows: key };
    }
    let mut both = BTreeSet::from([source_key(&record.source), source_key(&record.series())]);
    both.extend(record.uid_key());
    // Another meeting, but whether it is still there depends on the series that it was a part of.
    both.extend(record.trunk().as_ref().map(source_key));
    let (mut emits, mut follows) = (both.clone(), both);
    let kind = record.kind();
    if kind == Kind::Calendar {
        let slots = record.slots();
        emits.extend(slots.iter().cloned());
        follows.extend(slots);
    }
    for id in record.joins() {
        let (lead, attached) = (format!("lead:{id}"), format!("attached:{id}"));
        follows.insert(attached.clone());
        if matches!(kind, Kind::Calendar | Kind::Chat) {
            emits.insert(lead.clone());
        }
        if kind != Kind::Calendar {
            emits.insert(attached);
            follows.insert(lead);
        }
    }
    Keys { emits, follows }
}

/// Sorts `records` into meetings. A function of the set: their order does not matter.
pub fn join(records: &[&SourceRecord]) -> Vec<Group> {
    let mut sets = Sets::new(records);
    sets.bind();
    sets.bind_slots();
    for kind in [Kind::Chat, Kind::Call, Kind::Mention] {
        sets.attach(kind);
    }
    sets.attach_local();
    sets.groups()
}

/// Disjoint sets of records.
struct Sets<'a> {
    records: &'a [&'a SourceRecord],
    parents: Vec<usize>,
    /// Why the set with this root became part of another.
    reasons: BTreeMap<usize, String>,
    joins: Vec<BTreeSet<String>>,
}

/// What a set offers to those that look for their meeting.
struct Lead {
    root: usize,
    key: String,
    is_live: bool,
    joins: BTreeSet<String>,
    spans: Vec<Interval>,
}

impl<'a> Sets<'a> {
    fn new(records: &'a [&'a SourceRecord]) -> Self {
        let personal: BTreeSet<String> = records
            .iter()
            .filter(|record| record.content.personal_room == Some(true))
            .map(|record| format!("zoom:{}", record.series().id))
            .collect();
        let joins = records.iter().map(|record| record.joins().difference(&personal).cloned().collect()).collect();
        Self { records, parents: (0..records.len()).collect(), reasons: BTreeMap::new(), joins }
    }

    fn root(&self, mut index: usize) -> usize {
        while self.parents[index] != index {
            index = self.parents[index];
        }
        index
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// Unites all records that share one of the keys that `of` gives.
    fn unite_by(&mut self, of: impl Fn(usize, &SourceRecord) -> Vec<String>) {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (index, record) in self.records.iter().enumerate() {
            for key in of(index, record) {
                let other = *first.entry(key).or_insert(index);
                self.unite(index, other);
            }
        }
    }

    /// Instances with their series, and equal UIDs.
    fn bind(&mut self) {
        self.unite_by(|_, record| match record.kind() {
            Kind::Local => Vec::new(),
            _ => std::iter::once(source_key(&record.series())).chain(record.uid_key()).collect(),
        });
    }

    /// Calendar entries with the same one-time join id and the same start.
    fn bind_slots(&mut self) {
        let joins = self.joins.clone();
        self.unite_by(|index, record| {
            let slots = if record.kind() == Kind::Calendar { record.slots() } else { BTreeSet::new() };
            let is_allowed = |slot: &String| {
                let id = slot.strip_prefix("at:").and_then(|rest| rest.rsplit_once('@')).map_or("", |(id, _)| id);
                joins[index].contains(id)
            };
            slots.into_iter().filter(is_allowed).collect()
        });
    }

    fn by_root(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in 0..self.records.len() {
            sets.entry(self.root(index)).or_default().push(index);
        }
        sets
    }

    /// The kind of a set is the first kind of its members.
    fn kind_of(&self, members: &[usize]) -> Kind {
        members.iter().map(|index| self.records[*index].kind()).min().unwrap_or(Kind::Local)
    }

    fn lead(&self, root: usize, members: &[usize]) -> Lead {
        let kind = self.kind_of(members);
        let own = |index: &&usize| self.records[**index].kind() == kind;
        let live = members.iter().filter(own).filter(|index| self.records[**index].is_live());
        let is_live = live.clone().next().is_some();
        let counted: Vec<usize> = if is_live { live.copied().collect() } else { members.to_vec() };
        let spans = counted.iter().filter_map(|index| time::span(&self.records[*index].content, &Zone::utc()));
        Lead {
            root,
            key: self.key_of(members),
            is_live,
            spans: spans.collect(),
            joins: counted.iter().flat_map(|index| self.joins[*index].iter().cloned()).collect(),
        }
    }

    /// Gives each set of `kind` to the meeting it belongs to, if there is one.
    fn attach(&mut self, kind: Kind) {
        let sets = self.by_root();
        let (seekers, leads): (Vec<_>, Vec<_>) = sets
            .iter()
            .filter(|(_, members)| self.kind_of(members) <= kind)
            .map(|(root, members)| (self.kind_of(members), self.lead(*root, members)))
            .partition(|(own, _)| *own == kind);
        let mut found = Vec::new();
        for (_, seeker) in &seekers {
            if let Some((lead, why)) = choose(kind, seeker, &leads) {
                found.push((seeker.root, lead.root, why));
            }
        }
        for (seeker, lead, why) in found {
            self.reasons.insert(seeker, why);
            let (from, to) = (self.root(seeker), self.root(lead));
            self.parents[from] = to;
        }
    }

    /// Edits made here go where their key leads.
    fn attach_local(&mut self) {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (index, record) in self.records.iter().enumerate().filter(|(_, record)| record.kind() != Kind::Local) {
            for key in record.uid_key().into_iter().chain([source_key(&record.series())]) {
                places.entry(key).or_insert(index);
            }
        }
        for index in 0..self.records.len() {
            if self.records[index].kind() == Kind::Local {
                let key = self.records[index].series().id;
                let place = *places.entry(key).or_insert(index);
                let (from, to) = (self.root(index), self.root(place));
                self.parents[from] = to;
            }
        }
    }

    /// The key of a meeting made of `members`.
    fn key_of(&self, members: &[usize]) -> String {
        let candidates = members.iter().map(|index| {
            let record = self.records[*index];
            let key = record.uid_key().unwrap_or_else(|| source_key(&record.series()));
            (record.kind(), record.uid_key().is_none(), record.content.role, key)
        });
        candidates.min().map(|(_, _, _, key)| key).unwrap_or_default()
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.by_root().values().map(|members| self.group(members)).collect();
        groups.sort_by(|a, b| a.key.cmp(&b.key));
        groups
    }

    fn group(&self, members: &[usize]) -> Group {
        let key = self.key_of(members);
        let mut members: Vec<usize> = members.to_vec();
        members.sort_by_key(|index| (self.records[*index].kind(), &self.records[*index].source));
        let members = members.into_iter().map(|index| (index, self.why(index, &key))).collect();
        Group { key, members }
    }

    fn why(&self, index: usize, key: &str) -> String {
        let record = self.records[index];
        if record.kind() == Kind::Local {
            return "an edit made here".to_owned();
        }
        let attached = self.path(index).into_iter().find_map(|root| self.reasons.get(&root));
        if let Some(why) = attached {
            return why.clone();
        }
        if record.uid_key().as_deref() == Some(key) {
            return "its UID is the meeting's (4a)".to_owned();
        }
        match &record.content.part {
            Some(Part::Instance { .. }) => "an instance of its series".to_owned(),
            _ if source_key(&record.source) == key => "the meeting itself".to_owned(),
            _ => "a one-time join id and the start are the meeting's (4b)".to_owned(),
        }
    }

    /// The record and all above it.
    fn path(&self, mut index: usize) -> Vec<usize> {
        let mut path = vec![index];
        while self.parents[index] != index {
            index = self.parents[index];
            path.push(index);
        }
        path
    }
}

/// Which of `leads` the seeker belongs to: of those that share a join id with it the one that overlaps and starts nearest; without
/// any that overlaps, the only one (a Slack meeting has an identity of its own and would rather stand alone). Those that
/// are there come before those that are gone.
fn choose<'a>(kind: Kind, seeker: &Lead, leads: &'a [(Kind, Lead)]) -> Option<(&'a Lead, String)> {
    let sharing = leads.iter().map(|(_, lead)| lead).filter(|lead| !lead.joins.is_disjoint(&seeker.joins));
    let (live, gone): (Vec<&Lead>, Vec<&Lead>) = sharing.partition(|lead| lead.is_live);
    let id = |lead: &Lead| lead.joins.intersection(&seeker.joins).next().cloned().unwrap_or_default();
    let nearest = |among: &[&'a Lead], anywhere: bool| {
        let overlapping = among.iter().filter(|lead| anywhere || overlap(lead, seeker));
        overlapping.min_by_key(|lead| (distance(lead, seeker), lead.key.clone())).copied()
    };
    if let Some(lead) = nearest(&live, kind == Kind::Mention) {
        return Some((lead, format!("the join id {} and an overlapping time (4b)", id(lead))));
    }
    if let ([lead], true) = (live.as_slice(), kind != Kind::Chat) {
        return Some((lead, format!("the only meeting with the join id {} (4b)", id(lead))));
    }
    // What was a deleted meeting's call is no meeting of its own now, also if the two had drifted apart.
    let lead = nearest(&gone, live.is_empty() && kind != Kind::Chat)?;
    Some((lead, format!("the join id {} of a meeting that is gone (4b)", id(lead))))
}

fn overlap(a: &Lead, b: &Lead) -> bool {
    let touch = |a: &Interval, b: &Interval| a.overlaps(*b) || a.start == b.start;
    a.spans.iter().any(|one| b.spans.iter().any(|other| touch(one, other)))
}

/// How far apart the nearest starts are; far, if one of them has none.
fn distance(a: &Lead, b: &Lead) -> (u64, Reverse<bool>) {
    let pairs = a.spans.iter().flat_map(|one| b.spans.iter().map(move |other| one.start.0.abs_diff(other.start.0)));
    (pairs.min().unwrap_or(u64::MAX), Reverse(a.is_live))
}
