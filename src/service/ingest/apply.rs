//! Taking in what a source says: one transaction for what hangs together.

use std::collections::{BTreeMap, BTreeSet};

use super::Outcome;
use super::closure::Records;
use super::kept::{Kept, MeetingRow, Reads, Wait, meeting_key, record_key, waiting_key};
use super::local::{self, Along, Edit, Edited, Layers};
use super::publish::{self, Plan};
use crate::base::{CollectionId, PrincipalId, Utc};
use crate::merge::{self, Absorbed, SourceId, SourceRecord, Sweep};
use crate::model::{Shelf, UserName};
use crate::service::again::{self, ATTEMPTS_MAX};
use crate::service::providers::Account;
use crate::service::{Context, Error, together};
use crate::store::{Assert, Batch, CommitError, Draft, Write};

/// Whose meetings these are.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: PrincipalId,
    pub(super) name: UserName,
    pub(super) home: CollectionId,
    /// The user's addresses, in lower case.
    pub(super) emails: BTreeSet<String>,
}

impl Person {
    /// The user with that id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none (any more).
    pub(super) async fn load(context: &Context, id: PrincipalId) -> Result<Self, Error> {
        let principal = context.store.principal(id).await?.ok_or(Error::NotFound)?;
        let emails = principal.emails.iter().map(|email| email.to_lowercase()).collect();
        Ok(Self { id, name: principal.name.clone(), home: principal.home, emails })
    }
}

/// Something that a transaction takes in.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// A source has said this.
    Said(Box<SourceRecord>),
    /// A whole listing may or may not have named this.
    Swept(SourceId, Sweep),
    /// This is to be forgotten, with its tombstone.
    Forgotten(SourceId),
}

impl Input {
    fn source(&self) -> &SourceId {
        match self {
            Self::Said(record) => &record.source,
            Self::Swept(source, _) | Self::Forgotten(source) => source,
        }
    }
}

/// Takes in what the sources of `account` have said. Everything that hangs together goes into one batch; what does not is
/// written side by side. When it returns, all of it is durable.
///
/// # Errors
/// [`Error::NotFound`] if the account's user is gone; the store's. What went wrong before that is not undone: the same records
/// can be applied again.
pub async fn apply(context: &Context, account: &Account, records: Vec<SourceRecord>) -> Result<Outcome, Error> {
    let person = Person::load(context, account.owner).await?;
    let outcome =
        settle_all(context, &person, records.into_iter().map(|record| Input::Said(Box::new(record))).collect()).await?;
    outcome.measure(account.key.provider.name());
    Ok(outcome)
}

/// Takes in `inputs`, each cluster as a transaction of its own.
pub(super) async fn settle_all(context: &Context, person: &Person, inputs: Vec<Input>) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let (usable, refused): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(|input| fits(context, input));
    outcome.refused += refused.len() as u64;
    let clusters = clusters(usable);
    let settled = together(clusters.iter().map(|cluster| settle(context, person, cluster)).collect()).await;
    for (cluster, settled) in clusters.iter().zip(settled) {
        match settled {
            Ok(one) => outcome.add(one),
            Err(Error::TooLarge { what, max }) => {
                tracing::warn!(what, max, "ingest.refused");
                outcome.refused += cluster.len() as u64;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Whether its ids can be kept.
fn fits(context: &Context, input: &Input) -> bool {
    let Input::Said(record) = input else { return true };
    let max = usize::try_from(context.limits.uid_bytes_max).unwrap_or(usize::MAX);
    let source = &record.source;
    let uid = record.content.uid.as_ref().map_or(0, String::len);
    let longest = [source.id.len(), source.account.len(), source.calendar.len(), uid].into_iter().max();
    longest.unwrap_or(0) <= max && !source.id.is_empty()
}

/// Puts inputs together that share a key, in their order: a series and its exceptions are one change.
fn clusters(inputs: Vec<Input>) -> Vec<Vec<Input>> {
    let mut parents: Vec<usize> = (0..inputs.len()).collect();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (index, input) in inputs.iter().enumerate() {
        for key in keys_of(input) {
            let other = *first.entry(key).or_insert(index);
            let (a, b) = (root(&parents, index), root(&parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut clusters: BTreeMap<usize, Vec<Input>> = BTreeMap::new();
    for (index, input) in inputs.into_iter().enumerate() {
        clusters.entry(root(&parents, index)).or_default().push(input);
    }
    clusters.into_values().collect()
}

fn root(parents: &[usize], mut index: usize) -> usize {
    while parents[index] != index {
        index = parents[index];
    }
    index
}

fn keys_of(input: &Input) -> BTreeSet<String> {
    let mut keys = BTreeSet::from([format!("id:{}:{:?}", input.source(), input.source().scope())]);
    if let Input::Said(record) = input {
        let found = merge::keys(record);
        keys.extend(found.emits);
        keys.extend(found.follows);
    }
    keys
}

/// Takes in what hangs together, as often as it takes until nobody else comes in between.
pub(super) async fn settle(context: &Context, person: &Person, inputs: &[Input]) -> Result<Outcome, Error> {
    for attempt in 0..ATTEMPTS_MAX {
        again::before(attempt).await;
        let Some(ready) = Transaction::new(context, person).run(inputs).await? else { return Err(Error::StateChanged) };
        let (batch, outcome) = ready.batch(context);
        if batch.writes.is_empty() {
            return Ok(outcome);
        }
        match context.store.commit(batch).await {
            Ok(_) => return Ok(outcome),
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(CommitError::Failed {
                assert: assert @ (Assert::ObjectsBelow(..) | Assert::UsageAtMost(..)), ..
            }) => {
                return Err(Error::InsufficientStorage(format!("the user's quota is used up: {assert:?}")));
            }
            Err(CommitError::Failed { .. }) => {
                metrics::counter!("kalends_ingest_retries_total").increment(1);
            }
        }
    }
    Err(Error::StateChanged)
}

/// A transaction in the making.
pub(super) struct Transaction<'a> {
    context: &'a Context,
    person: &'a Person,
    reads: Reads<'a>,
    records: Records,
    outcome: Outcome,
    now: Utc,
}

/// What a transaction comes to.
pub(super) struct Ready {
    pub(super) asserts: Vec<Assert>,
    pub(super) writes: Vec<Write>,
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
}

impl Ready {
    /// All of it as one batch of the server's own.
    pub(super) fn batch(self, context: &Context) -> (Batch, Outcome) {
        let Plan { asserts, writes, events, .. } = self.plan;
        let events: Vec<Draft> = events;
        let batch = Batch {
            at: context.clock.now(),
            actor: None,
            asserts: self.asserts.into_iter().chain(asserts).collect(),
            writes: self.writes.into_iter().chain(writes).collect(),
            events,
        };
        (batch, self.outcome)
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(context: &'a Context, person: &'a Person) -> Self {
        let now = context.clock.now();
        let (reads, records) = (Reads::new(context), Records::new(person.id));
        Self { context, person, reads, records, outcome: Outcome::default(), now }
    }

    /// Reads what is there and works out what follows.
    pub(super) async fn run(mut self, inputs: &[Input]) -> Result<Option<Ready>, Error> {
        for input in inputs {
            self.take(input).await?;
        }
        let mut plan = Plan::default();
        if !self.records.say_the_same() {
            self.records.close(self.context, &mut self.reads).await?;
            plan = self.resolve().await?;
        }
        self.count(inputs, &plan);
        let mut writes = self.records.index(&mut self.reads).await?;
        writes.extend(self.record_writes());
        self.outcome.changes = std::mem::take(&mut plan.changes);
        let asserts = self.reads.asserts().collect();
        Ok(Some(Ready { asserts, writes, plan, outcome: self.outcome }))
    }

    async fn take(&mut self, input: &Input) -> Result<(), Error> {
        match input {
            Input::Said(record) => self.absorb(record).await,
            Input::Swept(source, sweep) => {
                self.records.load(&mut self.reads, source).await?;
                self.sweep(source, std::slice::from_ref(sweep));
                Ok(())
            }
            Input::Forgotten(source) => {
                self.records.load(&mut self.reads, source).await?;
                self.records.set(source, None);
                Ok(())
            }
        }
    }

    async fn absorb(&mut self, record: &SourceRecord) -> Result<(), Error> {
        let source = &record.source;
        let known = self.records.load(&mut self.reads, source).await?.cloned();
        let sweeps = self.reads.sweeps(self.person.id, &source.scope()).await?;
        let is_new = known.is_none();
        let mut kept = known.unwrap_or_else(|| Kept::new(record.clone(), self.now));
        let absorbed = if is_new { first(record) } else { kept.record.absorb(record) };
        // A listing that was whole has judged it already: what comes now is late. It is kept as gone all the same, since its
        // role and its UID decide whether other copies still count, in whatever order all of this arrives.
        if is_new && sweeps.iter().any(|sweep| record.swept(sweep).is_some()) {
            self.outcome.stale += 1;
            for unlisted in sweeps.iter().filter_map(|sweep| record.swept(sweep)) {
                kept.record.absorb(&unlisted);
            }
            self.records.set(source, Some(kept));
            return Ok(());
        }
        match absorbed {
            Absorbed::Applied => self.outcome.applied += 1,
            Absorbed::Tombstoned => self.outcome.tombstoned += 1,
            Absorbed::Duplicate => self.outcome.duplicate += 1,
            Absorbed::Stale => {
                self.outcome.stale += 1;
                kept.drop_stale(self.now, record.version());
            }
        }
        self.records.set(source, Some(kept));
        self.sweep(source, &sweeps);
        Ok(())
    }

    fn sweep(&mut self, source: &SourceId, sweeps: &[Sweep]) {
        let Some(kept) = self.records.get_mut(source) else { return };
        for sweep in sweeps {
            if let Some(unlisted) = kept.record.swept(sweep)
                && kept.record.absorb(&unlisted) == Absorbed::Tombstoned
            {
                self.outcome.tombstoned += 1;
            }
        }
    }

    /// Joins the records, resolves each meeting, and plans what is to be published of it.
    async fn resolve(&mut self) -> Result<Plan, Error> {
        let owned: Vec<SourceRecord> = self.records.kept().map(|kept| kept.record.clone()).collect();
        let refs: Vec<&SourceRecord> = owned.iter().collect();
        let mut meetings = Vec::new();
        let mut parked = BTreeSet::new();
        let mut homes: BTreeMap<SourceId, String> = BTreeMap::new();
        let groups = merge::join(&refs);
        for group in &groups {
            let members: Vec<&SourceRecord> = group.members.iter().map(|(index, _)| refs[*index]).collect();
            let policy = publish::policy(self.context, self.person, &members).await?;
            let resolved = merge::resolve(&refs, &groups, group, &policy);
            parked.extend(resolved.parked().cloned());
            if let Some(meeting) = resolved.meeting {
                homes.extend(members.iter().map(|record| (record.source.clone(), meeting.key.clone())));
                let members = members.into_iter().cloned().collect();
                meetings.push(publish::Resolved { meeting, members });
            }
        }
        let before = self.records.meetings_before();
        let plan = publish::plan(self.context, self.person, &mut self.reads, before, meetings).await?;
        self.settle_records(&homes, &parked);
        Ok(plan)
    }

    fn settle_records(&mut self, homes: &BTreeMap<SourceId, String>, parked: &BTreeSet<SourceId>) {
        let sources: Vec<SourceId> = self.records.kept().map(|kept| kept.record.source.clone()).collect();
        for source in sources {
            let now = self.now;
            let Some(kept) = self.records.get_mut(&source) else { continue };
            kept.meeting = homes.get(&source).cloned();
            kept.parked = parked.contains(&source).then(|| kept.parked.unwrap_or(now));
            kept.gone = (!kept.record.is_live()).then(|| kept.gone.unwrap_or(now));
        }
    }

    fn count(&mut self, inputs: &[Input], plan: &Plan) {
        let said: BTreeSet<&SourceId> = inputs.iter().map(Input::source).collect();
        let waiting = said.iter().filter(|source| self.records.get(source).is_some_and(|kept| kept.parked.is_some()));
        let newer = self.outcome.applied + self.outcome.tombstoned;
        self.outcome.parked = (waiting.count() as u64).min(newer);
        self.outcome.applied = self.outcome.applied.saturating_sub(self.outcome.parked);
        if plan.changes.is_empty() {
            self.outcome.noise = newer;
        }
    }

    fn record_writes(&mut self) -> Vec<Write> {
        let (owner, now) = (self.person.id, self.now);
        let changed: Vec<SourceId> = self.records.changed().map(|(source, _, _)| source.clone()).collect();
        let mut writes = Vec::new();
        for source in &changed {
            if let Some(kept) = self.records.get_mut(source) {
                kept.changed = now;
            }
        }
        for (source, before, kept) in self.records.changed() {
            writes.extend(self.reads.write(Shelf::Records, record_key(owner, source), kept));
            let marks = |kept: Option<&Kept>| kept.map_or([None; 2], |kept| [kept.parked, kept.gone]);
            let changes = marks(before).into_iter().zip(marks(kept));
            for (kind, (old, new)) in [Wait::Parked, Wait::Gone].into_iter().zip(changes) {
                if old != new {
                    writes.extend(old.map(|at| Write::DeleteRow(Shelf::Parked, waiting_key(kind, at, owner, source))));
                    let row =
                        |at| Write::PutRow(Shelf::Parked, waiting_key(kind, at, owner, source), bytes::Bytes::new());
                    writes.extend(new.map(row));
                }
            }
        }
        writes
    }
}

/// What the first state of a source object counts as.
fn first(record: &SourceRecord) -> Absorbed {
    if record.is_live() { Absorbed::Applied } else { Absorbed::Tombstoned }
}

/// What a client does to a meeting's object.
impl Transaction<'_> {
    /// Loads the meeting called `key` with all that hangs together with it.
    async fn open(&mut self, key: &str) -> Result<Option<MeetingRow>, Error> {
        let Some(row) = self.reads.meeting(self.person.id, key).await? else { return Ok(None) };
        for source in &row.sources {
            self.records.load(&mut self.reads, source).await?;
        }
        self.records.close(self.context, &mut self.reads).await?;
        Ok(Some(row))
    }

    async fn layers(&self, key: &str) -> Result<Option<Layers>, Error> {
        let refs: Vec<&SourceRecord> = self.records.kept().map(|kept| &kept.record).collect();
        let groups = merge::join(&refs);
        let Some(group) = groups.iter().find(|group| group.key == key) else { return Ok(None) };
        let members: Vec<&SourceRecord> = group.members.iter().map(|(index, _)| refs[*index]).collect();
        let policy = publish::policy(self.context, self.person, &members).await?;
        let resolved = merge::resolve(&refs, &groups, group, &policy);
        let sourced = resolved.sourced().cloned();
        Ok(resolved.meeting.zip(sourced).map(|(shown, sourced)| Layers { sourced, shown, policy }))
    }

    /// A client's PUT; `None` if there is no such meeting any more.
    pub(super) async fn edit(mut self, edit: &Edit<'_>) -> Result<Option<Edited>, Error> {
        let Some(mut row) = self.open(edit.key).await? else { return Ok(None) };
        let Some(before) = self.layers(edit.key).await? else { return Ok(None) };
        row.edits = row.edits.saturating_add(1);
        for record in edit.records(&before, &row, self.now) {
            self.edited(&mut row, edit.key, &record).await?;
        }
        row.remember(merge::face(&before.shown).into_iter().collect());
        // An edit can cancel the meeting as a whole; then the client's own bytes say so.
        let after = self.layers(edit.key).await?.unwrap_or(before);
        let content = edit.stored(&after, &mut row);
        let along = self.along(edit.key, Some(&row)).await?;
        Ok(Some(Edited { content, along }))
    }

    /// Takes an edit in.
    async fn edited(&mut self, row: &mut MeetingRow, key: &str, record: &SourceRecord) -> Result<(), Error> {
        let source = &record.source;
        let mut kept = match self.records.load(&mut self.reads, source).await? {
            Some(known) => known.clone(),
            None => Kept::new(record.clone(), self.now),
        };
        kept.record.absorb(record);
        (kept.meeting, kept.changed) = (Some(key.to_owned()), self.now);
        kept.gone = (!kept.record.is_live()).then(|| kept.gone.unwrap_or(self.now));
        if !row.sources.contains(source) {
            row.sources.push(source.clone());
        }
        self.records.set(source, Some(kept));
        Ok(())
    }

    /// A client's DELETE.
    pub(super) async fn delete(mut self, key: &str) -> Result<Along, Error> {
        let Some(mut row) = self.open(key).await? else { return Ok(Along::default()) };
        if let Some(layers) = self.layers(key).await? {
            row.edits = row.edits.saturating_add(1);
            let record = merge::removal(&layers.sourced, None, local::version(&row, self.now));
            self.edited(&mut row, key, &record).await?;
        }
        let sources: Vec<SourceId> = row.sources.clone();
        for source in sources {
            if let Some(kept) = self.records.get_mut(&source) {
                kept.meeting = None;
            }
        }
        self.along(key, None).await
    }

    /// A client's MOVE to another place.
    pub(super) async fn relocate(mut self, key: &str, place: (CollectionId, String)) -> Result<Along, Error> {
        let Some(row) = self.reads.meeting(self.person.id, key).await? else { return Ok(Along::default()) };
        let row = MeetingRow { object: Some(place), placed: true, ..row };
        self.along(key, Some(&row)).await
    }

    async fn along(mut self, key: &str, row: Option<&MeetingRow>) -> Result<Along, Error> {
        let mut writes = self.records.index(&mut self.reads).await?;
        writes.extend(self.record_writes());
        writes.extend(self.reads.write(Shelf::Meetings, meeting_key(self.person.id, key), row));
        Ok(Along { asserts: self.reads.asserts().collect(), writes })
    }
}
