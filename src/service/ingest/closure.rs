//! All records that can be the same meeting as some given ones, found by following keys ([`merge::keys`]); its cost is that of the
//! meeting, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{Kept, Reads, link_key};
use crate::base::PrincipalId;
use crate::merge::{self, SourceId, SourceRecord};
use crate::model::Shelf;
use crate::service::{Context, Error};
use crate::store::Write;

/// What a transaction knows of records: as they were read, and as they are to be.
pub(super) struct Records {
    owner: PrincipalId,
    /// As they were, `None` for those that are new.
    before: BTreeMap<SourceId, Option<Kept>>,
    /// As they are to be; `None` for those that are to be forgotten.
    now: BTreeMap<SourceId, Option<Kept>>,
}

impl Records {
    pub(super) fn new(owner: PrincipalId) -> Self {
        Self { owner, before: BTreeMap::new(), now: BTreeMap::new() }
    }

    /// The record, read if it was not yet.
    pub(super) async fn load(&mut self, reads: &mut Reads<'_>, source: &SourceId) -> Result<Option<&Kept>, Error> {
        if !self.before.contains_key(source) {
            let kept = reads.record(self.owner, source).await?;
            self.now.insert(source.clone(), kept.clone());
            self.before.insert(source.clone(), kept);
        }
        Ok(self.now.get(source).and_then(Option::as_ref))
    }

    /// Puts another state in place of one that was loaded.
    pub(super) fn set(&mut self, source: &SourceId, kept: Option<Kept>) {
        self.now.insert(source.clone(), kept);
    }

    /// The records there are now, in order.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.now.values().flatten()
    }

    pub(super) fn get(&self, source: &SourceId) -> Option<&Kept> {
        self.now.get(source).and_then(Option::as_ref)
    }

    pub(super) fn get_mut(&mut self, source: &SourceId) -> Option<&mut Kept> {
        self.now.get_mut(source).and_then(Option::as_mut)
    }

    /// Whether what sources have said is as it was: then no meeting can have changed.
    pub(super) fn say_the_same(&self) -> bool {
        self.before.iter().all(|(source, before)| {
            let now = self.now.get(source).and_then(Option::as_ref);
            before.as_ref().map(|kept| &kept.record) == now.map(|kept| &kept.record)
        })
    }

    /// The meetings that the records belonged to.
    pub(super) fn meetings_before(&self) -> BTreeSet<String> {
        self.before.values().flatten().filter_map(|kept| kept.meeting.clone()).collect()
    }

    /// Loads every record that can hang together with those that are loaded, as they were or as they are now.
    ///
    /// # Errors
    /// The store's, and [`Error::TooLarge`] for a tangle beyond the limit.
    pub(super) async fn close(&mut self, context: &Context, reads: &mut Reads<'_>) -> Result<(), Error> {
        let most = context.limits.ingest_group_max;
        let (mut followed, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting: Vec<SourceId> = self.now.keys().cloned().collect();
        while let Some(source) = waiting.pop() {
            if !seen.insert(source.clone()) {
                continue;
            }
            self.load(reads, &source).await?;
            for key in self.follows(&source) {
                if !followed.insert(key.clone()) {
                    continue;
                }
                waiting.extend(reads.links(self.owner, &key).await?);
            }
            if seen.len() as u64 > most {
                return Err(Error::TooLarge { what: "the tangle of records of one meeting", max: most });
            }
        }
        Ok(())
    }

    fn follows(&self, source: &SourceId) -> BTreeSet<String> {
        let states = [self.before.get(source), self.now.get(source)];
        let records = states.into_iter().flatten().flatten().map(|kept| &kept.record);
        records.flat_map(|record| merge::keys(record).follows).collect()
    }

    /// The writes that keep the index of keys right.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn index(&self, reads: &mut Reads<'_>) -> Result<Vec<Write>, Error> {
        let emits = |record: Option<&SourceRecord>| record.map(|one| merge::keys(one).emits).unwrap_or_default();
        let mut rows: BTreeMap<String, BTreeSet<SourceId>> = BTreeMap::new();
        for (source, before) in &self.before {
            let before = before.as_ref().map(|kept| &kept.record);
            let now = self.get(source).map(|kept| &kept.record);
            if before == now {
                continue;
            }
            let (old, new) = (emits(before), emits(now));
            for key in old.symmetric_difference(&new) {
                if !rows.contains_key(key) {
                    rows.insert(key.clone(), reads.links(self.owner, key).await?.into_iter().collect());
                }
                let row = rows.entry(key.clone()).or_default();
                if new.contains(key) {
                    row.insert(source.clone())
                } else {
                    row.remove(source)
                };
            }
        }
        let write = |(key, sources): (String, BTreeSet<SourceId>)| {
            let sources: Vec<SourceId> = sources.into_iter().collect();
            let row = (!sources.is_empty()).then_some(&sources);
            reads.write(Shelf::Joins, link_key(self.owner, &key), row)
        };
        Ok(rows.into_iter().filter_map(write).collect())
    }

    /// Those that are not as they were read: each with what it was and what it is.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&SourceId, Option<&Kept>, Option<&Kept>)> {
        self.before.iter().filter_map(|(source, before)| {
            let now = self.now.get(source).and_then(Option::as_ref);
            (before.as_ref() != now).then_some((source, before.as_ref(), now))
        })
    }
}
