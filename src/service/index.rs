//! What queries look at before they read an object: every calendar's rows in memory, placed by the weeks that they
//! touch. Derived (invariant S5), tied to the calendar's revision, and brought up to date from the change log: a
//! query after one change costs that change, not the calendar.
//!
//! An object whose span is short stands in each week of it. A long one (a series, as a rule) is placed week by week,
//! the first time that somebody asks for a week: so a week's query on a calendar with twenty years of series expands
//! each of them once, and after that looks only at those that have something in the week. Placement errs on the safe
//! side: spans are wide, stale entries may stay; the evaluator has the last word.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use quick_cache::sync::Cache;
use tokio::sync::RwLock;

use super::parsed::{Content, Keep, Parsed};
use super::zones::Floating;
use super::{Context, Error};
use crate::base::{CollectionId, Interval, Revision, Utc};
use crate::freebusy::{BusyTime, CalendarMask};
use crate::ical::ComponentKind;
use crate::model::{ChangeKind, Collection, Object};
use crate::recur::{Budget, Span};

/// Rows read from the store at a time.
const PAGE: usize = 1024;
/// A span of at most this many weeks is short.
const SHORT_WEEKS: i64 = 9;
/// A window of more weeks than this is answered from the spans alone.
const WINDOW_WEEKS_MAX: i64 = 520;
/// Weeks placed at most before placement starts anew: a client that walks through the centuries.
const PLACED_WEEKS_MAX: usize = 2_000;
/// A calendar with more objects than this is not listed from its index.
const LISTED_MAX: u64 = 20_000;
/// Masks of busy time are kept until so many bytes of them were computed; then that starts anew, too: it is some thousand weeks of
/// people's meetings.
const BUSY_BYTES_MAX: usize = 4 << 20;
/// Windows of which the busy time is kept: clients ask for the same ones again and again.
const ANSWERS_MAX: usize = 32;
/// An answer with more periods than this is not kept.
const ANSWER_PERIODS_MAX: usize = 1_000;
/// The answers that are kept of one calendar have at most this many periods together: some 60 bytes each.
const ANSWERS_PERIODS_MAX: usize = 8_000;
/// How far a floating time can be from its reading in UTC, and then some, in seconds.
const FLOATING_SLACK: i64 = 26 * 3600;

/// The indexes of the calendars used last.
pub struct Indexes(Cache<CollectionId, Arc<RwLock<CalendarIndex>>>);

impl Indexes {
    /// Room for the indexes of about `calendars` calendars.
    pub fn new(calendars: usize) -> Self {
        Self(Cache::new(calendars))
    }

    /// Forgets the index of a calendar whose rows were computed anew, which is no change that its log tells of.
    pub fn forget(&self, collection: CollectionId) {
        self.0.remove(&collection);
    }

    /// The index of `collection`, at its present revision or a later one.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn of(&self, context: &Context, collection: &Collection) -> Result<Arc<RwLock<CalendarIndex>>, Error> {
        let slot = match self.0.get(&collection.id) {
            Some(slot) => slot,
            None => {
                let make = || Ok::<_, Error>(Arc::new(RwLock::new(CalendarIndex::empty(collection, context))));
                self.0.get_or_insert_with(&collection.id, make)?
            }
        };
        if !slot.read().await.is_current(collection) {
            slot.write().await.catch_up(context, collection).await?;
        }
        Ok(slot)
    }
}

/// One calendar's rows.
pub struct CalendarIndex {
    collection: CollectionId,
    revision: Revision,
    epoch: u64,
    loaded: bool,
    /// The zone in which floating times are read where a query does not say.
    pub floating: Floating,
    /// CALDAV:calendar-availability, which the busy time of every week depends on.
    availability: Option<Arc<str>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_name: BTreeMap<Arc<str>, u32>,
    /// Slots to look at whatever the window.
    always: BTreeSet<u32>,
    /// Slots with long spans.
    long: BTreeSet<u32>,
    weeks: HashMap<i64, Week>,
    /// The bytes of the masks that were put into the weeks since they were all thrown away.
    busy_bytes: usize,
    /// The busy time that was asked for last, by its window; none of it is older than the last change.
    answers: Vec<(Interval, Arc<BusyTime>)>,
}

struct Slot {
    name: Arc<str>,
    object: Arc<Object>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Without a time that could be outside of a window.
    Always,
    /// In the weeks from the first to the second.
    Weeks(i64, i64),
    /// From the first week on, up to the second if it ends.
    Long(i64, Option<i64>),
}

#[derive(Default)]
struct Week {
    short: Vec<u32>,
    /// The long ones that have something in this week; `None` until somebody asks.
    long: Option<Vec<u32>>,
    /// Long ones that came later and have not been placed yet.
    pending: Vec<u32>,
    /// The busy time of this week, if it was computed.
    busy: Option<Arc<CalendarMask>>,
}

impl CalendarIndex {
    fn empty(collection: &Collection, context: &Context) -> Self {
        let floating = collection
            .calendar()
            .map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
        Self {
            collection: collection.id,
            revision: Revision(0),
            epoch: 0,
            loaded: false,
            floating,
            availability: None,
            slots: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            always: BTreeSet::new(),
            long: BTreeSet::new(),
            weeks: HashMap::new(),
            busy_bytes: 0,
            answers: Vec::new(),
        }
    }

    fn is_current(&self, collection: &Collection) -> bool {
        self.loaded && self.revision >= collection.revision && self.epoch >= collection.epoch
    }

    /// Brings the index to the collection's revision: by the change log, or by reading all rows the first time.
    async fn catch_up(&mut self, context: &Context, collection: &Collection) -> Result<(), Error> {
        if self.is_current(collection) {
            return Ok(());
        }
        // What is read from here on is at least as new as this row.
        let now = context.store.collection(self.collection).await?.ok_or(Error::NotFound)?;
        let floating =
            now.calendar().map_or_else(Floating::utc, |settings| Floating::of_calendar(settings, &context.limits));
        // Behind the floor the log has forgotten deletions, and rows would stay here for ever.
        if !self.loaded || floating.key != self.floating.key || self.revision < now.log_floor {
            *self = Self::empty(&now, context);
            self.read_all(context).await?;
        } else {
            self.read_changes(context).await?;
        }
        self.floating = floating;
        let availability = now.calendar().and_then(|settings| settings.availability.as_deref());
        if self.availability.as_deref() != availability {
            self.availability = availability.map(Arc::from);
            self.weeks.values_mut().for_each(|week| week.busy = None);
            self.answers.clear();
        }
        (self.revision, self.epoch, self.loaded) = (now.revision, now.epoch, true);
        Ok(())
    }

    async fn read_all(&mut self, context: &Context) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = context.store.objects(self.collection, after.as_deref(), PAGE).await?;
            after = page.rows.last().map(|object| object.name.clone());
            page.rows.into_iter().for_each(|object| self.put(object));
            if !page.more {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn read_changes(&mut self, context: &Context) -> Result<(), Error> {
        let mut since = self.revision;
        loop {
            let page = context.store.changes(self.collection, since, PAGE).await?;
            for change in &page.rows {
                since = change.revision;
                let object = match change.kind {
                    ChangeKind::Object => context.store.object(self.collection, &change.name).await?,
                    ChangeKind::Collection | ChangeKind::Deleted => None,
                };
                match object {
                    Some(object) => self.put(object),
                    None => self.remove(&change.name),
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    fn put(&mut self, object: Object) {
        self.remove(&object.name);
        let place = place_of(&object);
        let name: Arc<str> = object.name.as_str().into();
        let slot = Slot { name: Arc::clone(&name), object: Arc::new(object), place };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(slot);
                id
            }
            None => {
                self.slots.push(Some(slot));
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_name.insert(name, id);
        self.insert_place(id, place);
    }

    fn insert_place(&mut self, id: u32, place: Place) {
        match place {
            Place::Always => {
                self.always.insert(id);
                self.weeks.values_mut().for_each(|week| week.busy = None);
            }
            Place::Weeks(first, last) => {
                for week in first..=last {
                    let week = self.weeks.entry(week).or_default();
                    week.short.push(id);
                    week.busy = None;
                }
            }
            Place::Long(first, last) => {
                self.long.insert(id);
                for (_, week) in self.weeks.iter_mut().filter(|(week, _)| in_span(**week, first, last)) {
                    week.busy = None;
                    if week.long.is_some() {
                        week.pending.push(id);
                    }
                }
            }
        }
    }

    fn remove(&mut self, name: &str) {
        self.answers.clear();
        let Some(id) = self.by_name.remove(name) else { return };
        let Some(slot) = self.slots[id as usize].take() else { return };
        self.free.push(id);
        match slot.place {
            Place::Always => {
                self.always.remove(&id);
                self.weeks.values_mut().for_each(|week| week.busy = None);
            }
            Place::Weeks(first, last) => {
                for week in first..=last {
                    if let Some(week) = self.weeks.get_mut(&week) {
                        week.short.retain(|other| *other != id);
                        week.busy = None;
                    }
                }
            }
            Place::Long(first, last) => {
                self.long.remove(&id);
                for (_, week) in self.weeks.iter_mut().filter(|(week, _)| in_span(**week, first, last)) {
                    week.busy = None;
                    week.pending.retain(|other| *other != id);
                    week.long.iter_mut().for_each(|long| long.retain(|other| *other != id));
                }
            }
        }
    }

    /// The objects that may have something in `window` (all of them if there is none), by name.
    pub(super) fn look(&self, window: Option<Interval>) -> Look {
        let Some(window) = window else {
            return Look::Ready(self.listed());
        };
        let (first, last) = weeks_of(window);
        if last - first > WINDOW_WEEKS_MAX {
            let touched = self.slots.iter().enumerate().filter(|(_, slot)| {
                slot.as_ref().is_some_and(|slot| match slot.place {
                    Place::Always => true,
                    Place::Weeks(from, to) => from <= last && to >= first,
                    Place::Long(from, to) => from <= last && to.is_none_or(|to| to >= first),
                })
            });
            return Look::Ready(self.objects(touched.map(|(id, _)| u32::try_from(id).unwrap_or(u32::MAX)).collect()));
        }
        let unplaced =
            |week: i64| self.weeks.get(&week).is_none_or(|week| week.long.is_none() || !week.pending.is_empty());
        if !self.long.is_empty() && (first..=last).any(unplaced) {
            return Look::Unplaced(first, last);
        }
        let mut ids: Vec<u32> = self.always.iter().copied().collect();
        for week in (first..=last).filter_map(|week| self.weeks.get(&week)) {
            ids.extend(&week.short);
            ids.extend(week.long.iter().flatten());
        }
        Look::Ready(self.objects(ids))
    }

    /// All objects, by name.
    pub(super) fn listed(&self) -> Vec<Arc<Object>> {
        let slots = self.by_name.values().filter_map(|id| self.slots.get(*id as usize)?.as_ref());
        slots.map(|slot| Arc::clone(&slot.object)).collect()
    }

    fn objects(&self, mut ids: Vec<u32>) -> Vec<Arc<Object>> {
        ids.sort_unstable();
        ids.dedup();
        let slots = ids.into_iter().filter_map(|id| self.slots.get(id as usize)?.as_ref());
        let mut objects: Vec<_> = slots.map(|slot| Arc::clone(&slot.object)).collect();
        objects.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        objects
    }

    /// Finds out which long objects have something in the weeks from `first` to `last`.
    pub(super) async fn place(&mut self, context: &Context, first: i64, last: i64) -> Result<(), Error> {
        if self.weeks.values().filter(|week| week.long.is_some()).count() > PLACED_WEEKS_MAX {
            self.weeks.values_mut().for_each(|week| (week.long, week.pending) = (None, Vec::new()));
            self.forget_empty_weeks();
        }
        let mut asked: HashMap<u32, Vec<i64>> = HashMap::new();
        for number in first..=last {
            let ids: Vec<u32> = match self.weeks.get(&number) {
                Some(Week { long: Some(_), pending, .. }) => pending.clone(),
                _ => self.long.iter().copied().collect(),
            };
            ids.into_iter().for_each(|id| asked.entry(id).or_default().push(number));
        }
        let mut found = Vec::new();
        for (done, (id, weeks)) in asked.into_iter().enumerate() {
            let touched = self.weeks_touched(context, id, &weeks).await?;
            found.extend(touched.into_iter().map(|number| (number, id)));
            if done % PAGE == PAGE - 1 {
                tokio::task::yield_now().await;
            }
        }
        // Only now, and in one go: the request may be dropped or the store fail at any point above, and a week that is
        // marked as placed and lacks some would lack them for good.
        for number in first..=last {
            let week = self.weeks.entry(number).or_default();
            week.long.get_or_insert_default();
            week.pending.clear();
        }
        for (number, id) in found {
            if let Some(long) = self.weeks.get_mut(&number).and_then(|week| week.long.as_mut()) {
                long.push(id);
            }
        }
        Ok(())
    }

    /// In which of `weeks` the long object `id` may have something. In all of them if that cannot be told.
    async fn weeks_touched(&self, context: &Context, id: u32, weeks: &[i64]) -> Result<Vec<i64>, Error> {
        let Some(slot) = self.slots.get(id as usize).and_then(Option::as_ref) else { return Ok(Vec::new()) };
        let Place::Long(from, to) = slot.place else { return Ok(Vec::new()) };
        let in_span: Vec<i64> = weeks.iter().copied().filter(|week| in_span(*week, from, to)).collect();
        let (Some(first), Some(last)) = (in_span.first(), in_span.last()) else { return Ok(Vec::new()) };
        // The periods of the one and the bounds of the other are not what a series knows.
        if matches!(slot.object.row().map(|row| row.kind), Some(ComponentKind::FreeBusy | ComponentKind::Availability))
        {
            return Ok(in_span);
        }
        let Some(parsed) = context.parsed_object(self.collection, &slot.object).await? else { return Ok(in_span) };
        let Some(series) = parsed.series(&self.floating) else { return Ok(in_span) };
        let window = Interval::new(week_start(*first).plus(-FLOATING_SLACK), week_start(last + 1).plus(FLOATING_SLACK));
        let mut budget = Budget { steps: 100_000, instances: 5_000 };
        let Ok(occurrences) = series.occurrences(window, &mut budget) else { return Ok(in_span) };
        let mut touched = BTreeSet::new();
        for occurrence in occurrences {
            let slack = Interval::new(
                occurrence.interval.start.plus(-FLOATING_SLACK),
                occurrence.interval.end.plus(FLOATING_SLACK),
            );
            let (from, to) = weeks_of(slack);
            touched.extend((from.max(*first)..=to.min(*last)).filter(|week| in_span.binary_search(week).is_ok()));
        }
        Ok(touched.into_iter().collect())
    }

    /// An object's row.
    pub fn object(&self, name: &str) -> Option<Arc<Object>> {
        let slot = self.slots.get(*self.by_name.get(name)? as usize)?.as_ref()?;
        debug_assert_eq!(&*slot.name, name);
        Some(Arc::clone(&slot.object))
    }

    /// The busy time of week `week` computed earlier, if nothing has changed in it since.
    pub(super) fn busy(&self, week: i64) -> Option<Arc<CalendarMask>> {
        self.weeks.get(&week)?.busy.clone()
    }

    /// Keeps the busy time of week `week`, computed at `revision`.
    pub(super) fn keep_busy(&mut self, week: i64, revision: Revision, busy: Arc<CalendarMask>) {
        if revision != self.revision {
            return;
        }
        self.busy_bytes += busy.bytes();
        if self.busy_bytes > BUSY_BYTES_MAX {
            self.busy_bytes = busy.bytes();
            self.weeks.values_mut().for_each(|week| week.busy = None);
            self.forget_empty_weeks();
        }
        self.weeks.entry(week).or_default().busy = Some(busy);
    }

    fn forget_empty_weeks(&mut self) {
        self.weeks.retain(|_, week| {
            !week.short.is_empty() || week.long.is_some() || !week.pending.is_empty() || week.busy.is_some()
        });
    }

    /// The busy time in `window` computed earlier, if nothing has changed since.
    pub(super) fn answer(&self, window: Interval) -> Option<Arc<BusyTime>> {
        self.answers.iter().find(|(asked, _)| *asked == window).map(|(_, busy)| Arc::clone(busy))
    }

    /// Keeps the busy time in `window`, computed at `revision`.
    pub(super) fn keep_answer(&mut self, window: Interval, revision: Revision, busy: &Arc<BusyTime>) {
        if revision != self.revision || busy.periods().len() > ANSWER_PERIODS_MAX || self.answer(window).is_some() {
            return;
        }
        self.answers.push((window, Arc::clone(busy)));
        let periods =
            |answers: &[(Interval, Arc<BusyTime>)]| answers.iter().map(|(_, busy)| busy.periods().len()).sum::<usize>();
        while self.answers.len() > ANSWERS_MAX || periods(&self.answers) > ANSWERS_PERIODS_MAX {
            self.answers.remove(0);
        }
    }

    /// CALDAV:calendar-availability, as it was set.
    pub(super) fn availability(&self) -> Option<Arc<str>> {
        self.availability.clone()
    }

    /// The revision that it is at.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

/// What [`CalendarIndex::look`] found.
pub(super) enum Look {
    /// The objects.
    Ready(Vec<Arc<Object>>),
    /// The weeks from the first to the second must be placed before.
    Unplaced(i64, i64),
}

/// The index of `collection` for a listing of all of it: that of a calendar which is not so large that its rows were better read
/// from the store, a page at a time.
///
/// # Errors
/// Of the store only.
pub(super) async fn of_listed(
    context: &Context,
    collection: &Collection,
) -> Result<Option<Arc<RwLock<CalendarIndex>>>, Error> {
    if collection.calendar().is_none() || collection.objects > LISTED_MAX {
        return Ok(None);
    }
    match context.indexes.of(context, collection).await {
        Ok(index) => Ok(Some(index)),
        // Deleted since: the store says so.
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects of `collection` that may have something in `window`, by name.
///
/// # Errors
/// Of the store only.
pub async fn candidates(
    context: &Context,
    collection: &Collection,
    window: Option<Interval>,
) -> Result<(Floating, Vec<Arc<Object>>), Error> {
    let index = context.indexes.of(context, collection).await?;
    // Between placing and looking again another change can come in; placing is what a few rounds are for.
    loop {
        let unplaced = {
            let index = index.read().await;
            match index.look(window) {
                Look::Ready(objects) => return Ok((index.floating.clone(), objects)),
                Look::Unplaced(first, last) => (first, last),
            }
        };
        index.write().await.place(context, unplaced.0, unplaced.1).await?;
    }
}

impl Context {
    /// `object` with its content. If it was replaced since it was read, the one that is there now with that one's
    /// content: both are always of one state. `None` if it is gone. `keep` is whether it stays parsed.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn present(
        &self,
        collection: CollectionId,
        object: Arc<Object>,
        keep: Keep,
    ) -> Result<Option<(Arc<Object>, Content)>, Error> {
        let known = object.row().and_then(|_| self.parsed.peek(object.etag));
        if let Some(parsed) = known {
            return Ok(Some((object, Content::Parsed(parsed))));
        }
        let Some((found, bytes)) = self.store.content(collection, &object.name).await? else { return Ok(None) };
        let object = if found.etag == object.etag { object } else { Arc::new(found) };
        let parsed = object.row().and_then(|_| self.parsed.get(object.etag, &bytes, &self.limits, keep));
        Ok(Some((object, parsed.map_or(Content::Broken(bytes), Content::Parsed))))
    }

    /// The parsed content of `object`; `None` if it is gone, replaced, or broken.
    ///
    /// # Errors
    /// Of the store only.
    async fn parsed_object(&self, collection: CollectionId, object: &Object) -> Result<Option<Arc<Parsed>>, Error> {
        if object.row().is_none() {
            return Ok(None);
        }
        if let Some(parsed) = self.parsed.peek(object.etag) {
            return Ok(Some(parsed));
        }
        let Some((found, content)) = self.store.content(collection, &object.name).await? else { return Ok(None) };
        Ok((found.etag == object.etag)
            .then(|| self.parsed.get(found.etag, &content, &self.limits, Keep::Yes))
            .flatten())
    }
}

fn place_of(object: &Object) -> Place {
    let span = object.row().map(|row| row.span);
    match span {
        Some(Some(Span { start, end })) => {
            let first = week_of(start);
            match end.map(week_of) {
                Some(last) if last - first < SHORT_WEEKS => Place::Weeks(first, last),
                last => Place::Long(first, last),
            }
        }
        // No row: a broken object, which no query matches, but which stands in the listing.
        Some(None) | None => Place::Always,
    }
}

fn in_span(week: i64, first: i64, last: Option<i64>) -> bool {
    week >= first && last.is_none_or(|last| week <= last)
}

/// The number of the UTC week, from Monday, that `time` lies in. Week 0 has the epoch in it.
pub(super) fn week_of(time: Utc) -> i64 {
    (time.0 + 3 * 86_400).div_euclid(7 * 86_400)
}

/// When week `week` starts.
pub(super) fn week_start(week: i64) -> Utc {
    Utc(week * 7 * 86_400 - 3 * 86_400).clamp(Utc::MIN, Utc::MAX)
}

/// The first and last week that `window` touches; a window that ends when a week starts touches that week as
/// well, for events of no length.
pub(super) fn weeks_of(window: Interval) -> (i64, i64) {
    (week_of(window.start), week_of(window.end))
}
