//! What is known of meetings, and why they are as they are.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

pub use super::kept::Dropped;

use super::apply::Person;
use super::closure::Records;
use super::kept::{Kept, MeetingRow, Reads, owner_key, read, read_record};
use super::publish;
use crate::base::{PrincipalId, Utc};
use crate::merge::{self, Explanation, SourceId, SourceRecord};
use crate::model::{Path, Principal, Shelf, UserName};
use crate::service::{Context, Error, accounts};

/// Rows read at a time.
const PAGE: usize = 500;

/// A meeting as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct MeetingView {
    /// Whose.
    pub user: UserName,
    /// What it is known by.
    pub key: String,
    /// Where its object is; `None` if it is not shown.
    pub path: Option<Path>,
    /// The fields that a person would compare.
    pub summary: Value,
}

/// A record, and what has become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The record.
    pub record: SourceRecord,
    /// When it changed last.
    pub changed: Utc,
    /// Since when it waits for another.
    pub parked: Option<Utc>,
    /// Since when it is gone at its source.
    pub gone: Option<Utc>,
    /// What came too late, the newest of it.
    pub dropped: Vec<Dropped>,
    /// How often something came too late.
    pub stale: u64,
}

/// Why a meeting is as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Whose.
    pub user: UserName,
    /// What it is known by.
    pub key: String,
    /// Where its object is.
    pub path: Option<Path>,
    /// The meeting, if there is one.
    pub summary: Option<Value>,
    /// All records of it.
    pub records: Vec<Found>,
    /// How they were joined, what decided each field, what was left out.
    pub explanation: Explanation,
}

/// Every meeting of `user`, or of all users, in a fixed order: the same state gives the same list.
///
/// # Errors
/// [`Error::NotFound`] for a user who is not there; the store's.
pub async fn show(context: &Context, user: Option<&UserName>) -> Result<Vec<MeetingView>, Error> {
    let mut views = Vec::new();
    for principal in users(context, user).await? {
        let person = Person::load(context, principal.id).await?;
        let mut range = Shelf::prefix(&owner_key(person.id));
        loop {
            let page = context.store.rows(Shelf::Meetings, range.clone(), PAGE).await?;
            for (key, row) in &page.rows {
                let row: MeetingRow = read(row, "meetings")?;
                let key = String::from_utf8_lossy(key.get(8..).unwrap_or_default()).into_owned();
                views.extend(view(context, &person, key, &row).await?);
            }
            match page.rows.last() {
                Some((key, _)) if page.more => range.start = [key.as_slice(), &[0]].concat(),
                _ => break,
            }
        }
    }
    let order = |view: &MeetingView| (view.user.to_string(), view.summary["start_local"].to_string(), view.key.clone());
    views.sort_by_cached_key(order);
    Ok(views)
}

async fn users(context: &Context, user: Option<&UserName>) -> Result<Vec<Principal>, Error> {
    match user {
        None => Ok(accounts::list(context).await?),
        Some(name) => {
            let found = context.store.principal_named(name).await?.ok_or(Error::NotFound)?;
            Ok(vec![Arc::unwrap_or_clone(found)])
        }
    }
}

async fn view(context: &Context, person: &Person, key: String, row: &MeetingRow) -> Result<Option<MeetingView>, Error> {
    let Some(first) = row.sources.first() else { return Ok(None) };
    let Some(explained) = explain_record(context, person, first, Some(&key)).await? else { return Ok(None) };
    let Some(summary) = explained.summary else { return Ok(None) };
    Ok(Some(MeetingView { user: person.name.clone(), key, path: explained.path, summary }))
}

/// Explains the meeting called `event`: the path of its object (`USER/CALENDAR/NAME` or as in a URL), its UID, its key, or
/// `PROVIDER:ID` of one of its records; of `user`, or of whoever has it.
///
/// # Errors
/// [`Error::NotFound`] if nothing of that name is known; the store's.
pub async fn explain(context: &Context, event: &str, user: Option<&UserName>) -> Result<Explained, Error> {
    if let Some(explained) = by_path(context, event).await? {
        return Ok(explained);
    }
    for principal in users(context, user).await? {
        let person = Person::load(context, principal.id).await?;
        if let Some(source) = find(context, person.id, event).await?
            && let Some(explained) = explain_record(context, &person, &source, None).await?
        {
            return Ok(explained);
        }
    }
    Err(Error::NotFound)
}

async fn by_path(context: &Context, event: &str) -> Result<Option<Explained>, Error> {
    let relative = event.trim_start_matches("/dav/calendars/").trim_start_matches('/');
    let parts: Vec<&str> = relative.split('/').collect();
    let [user, calendar, name] = parts.as_slice() else { return Ok(None) };
    let Ok(user) = UserName::new(user) else { return Ok(None) };
    let Some(principal) = context.store.principal_named(&user).await? else { return Ok(None) };
    let Some(calendar) = context.store.child(principal.home, calendar).await? else { return Ok(None) };
    let Some(row) = context.store.row(Shelf::MeetingObjects, &super::kept::object_key(calendar.id, name)).await? else {
        return Ok(None);
    };
    let (owner, key): (PrincipalId, String) = read(&row, "objects of meetings")?;
    let person = Person::load(context, owner).await?;
    let Some(row) = Reads::new(context).meeting(owner, &key).await? else { return Ok(None) };
    match row.sources.first() {
        Some(first) => explain_record(context, &person, first, Some(&key)).await,
        None => Ok(None),
    }
}

/// A record of the meeting called `event`.
async fn find(context: &Context, owner: PrincipalId, event: &str) -> Result<Option<SourceId>, Error> {
    let mut reads = Reads::new(context);
    let uid = merge::normalise_uid(event).map(|uid| format!("uid:{uid}"));
    for key in [Some(event.to_owned()), uid].into_iter().flatten() {
        if let Some(row) = reads.meeting(owner, &key).await?
            && let Some(source) = row.sources.into_iter().next()
        {
            return Ok(Some(source));
        }
        if let Some(source) = reads.links(owner, &key).await?.into_iter().next() {
            return Ok(Some(source));
        }
    }
    search(context, owner, event).await
}

/// Looks at every record: for a person who asks, not for a machine.
async fn search(context: &Context, owner: PrincipalId, event: &str) -> Result<Option<SourceId>, Error> {
    let mut range = Shelf::prefix(&owner_key(owner));
    loop {
        let page = context.store.rows(Shelf::Records, range.clone(), PAGE).await?;
        for (_, row) in &page.rows {
            let kept = read_record(row)?;
            let source = &kept.record.source;
            if source.to_string() == event || source.id == event || kept.meeting.as_deref() == Some(event) {
                return Ok(Some(source.clone()));
            }
        }
        match page.rows.last() {
            Some((key, _)) if page.more => range.start = [key.as_slice(), &[0]].concat(),
            _ => return Ok(None),
        }
    }
}

/// Explains the meeting that the record `source` belongs to: the one called `key`, or whichever it is in.
async fn explain_record(
    context: &Context,
    person: &Person,
    source: &SourceId,
    key: Option<&str>,
) -> Result<Option<Explained>, Error> {
    let (mut reads, mut records) = (Reads::new(context), Records::new(person.id));
    records.load(&mut reads, source).await?;
    records.close(context, &mut reads).await?;
    let owned: Vec<SourceRecord> = records.kept().map(|kept| kept.record.clone()).collect();
    let refs: Vec<&SourceRecord> = owned.iter().collect();
    let groups = merge::join(&refs);
    for group in &groups {
        let members: Vec<&SourceRecord> = group.members.iter().map(|(index, _)| refs[*index]).collect();
        let wanted = key.map_or_else(|| members.iter().any(|one| one.source == *source), |key| group.key == key);
        if !wanted {
            continue;
        }
        let policy = publish::policy(context, person, &members).await?;
        let resolved = merge::resolve(&refs, &groups, group, &policy);
        let found = members.iter().filter_map(|one| records.get(&one.source)).map(found).collect();
        let row = reads.meeting(person.id, &group.key).await?;
        return Ok(Some(Explained {
            user: person.name.clone(),
            path: path_of(context, person, row.as_ref()).await?,
            summary: resolved.meeting.as_ref().map(merge::summary),
            key: group.key.clone(),
            records: found,
            explanation: resolved.explanation,
        }));
    }
    Ok(None)
}

async fn path_of(context: &Context, person: &Person, row: Option<&MeetingRow>) -> Result<Option<Path>, Error> {
    let Some((id, name)) = row.and_then(|row| row.object.clone()) else { return Ok(None) };
    let calendar = context.store.collection(id).await?;
    Ok(calendar.map(|calendar| Path::Object(person.name.clone(), calendar.name.clone(), name)))
}

fn found(kept: &Kept) -> Found {
    Found {
        record: kept.record.clone(),
        changed: kept.changed,
        parked: kept.parked,
        gone: kept.gone,
        dropped: kept.dropped.clone(),
        stale: kept.stale,
    }
}

/// A point in time as people and programs read it.
fn point(at: Utc) -> String {
    at.naive().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl MeetingView {
    /// As JSON, with the fields of the summary.
    pub fn json(&self) -> Value {
        let mut value = self.summary.clone();
        value["user"] = json!(self.user.as_str());
        value["key"] = json!(self.key);
        value["path"] = json!(self.path.as_ref().map(Path::href));
        value
    }
}

impl Found {
    /// As JSON.
    pub fn json(&self) -> Value {
        let version = |version: merge::Version| json!({ "generation": version.generation.0, "stamp": version.stamp, "rank": version.rank });
        let fields: serde_json::Map<String, Value> =
            self.record.versions.iter().map(|(field, of)| (field.name().to_owned(), version(*of))).collect();
        let source = &self.record.source;
        json!({
            "provider": source.provider.name(),
            "account": source.account,
            "calendar": source.calendar,
            "id": source.id,
            "version": version(self.record.version()),
            "field_versions": fields,
            "presence": format!("{:?}", self.record.presence()).to_lowercase(),
            "changed": point(self.changed),
            "parked_since": self.parked.map(point),
            "gone_since": self.gone.map(point),
            "stale": self.stale,
            "dropped": self.dropped.iter().map(|dropped| json!({
                "at": point(dropped.at), "version": version(dropped.version),
            })).collect::<Vec<_>>(),
            "content": serde_json::to_value(&self.record.content).unwrap_or_default(),
        })
    }
}

impl Explained {
    /// As JSON.
    pub fn json(&self) -> Value {
        let explanation = &self.explanation;
        json!({
            "user": self.user.as_str(),
            "key": self.key,
            "path": self.path.as_ref().map(Path::href),
            "meeting": self.summary,
            "records": self.records.iter().map(Found::json).collect::<Vec<_>>(),
            "joined": explanation.joined.iter().map(|one| json!({
                "source": one.source.to_string(), "why": one.why,
            })).collect::<Vec<_>>(),
            "decided": explanation.decided.iter().map(|one| json!({
                "field": one.field.name(),
                "instance": one.instance.map(point),
                "source": one.source.to_string(),
                "rule": one.rule,
            })).collect::<Vec<_>>(),
            "left_out": explanation.left_out.iter().map(|one| json!({
                "source": one.source.to_string(), "why": one.why,
            })).collect::<Vec<_>>(),
            "gone": explanation.gone,
        })
    }
}

/// The object of a meeting, byte for byte, for whoever compares states.
///
/// # Errors
/// The store's.
pub async fn object_bytes(context: &Context, view: &MeetingView) -> Result<Option<Bytes>, Error> {
    let Some(Path::Object(user, calendar, name)) = &view.path else { return Ok(None) };
    let Some(principal) = context.store.principal_named(user).await? else { return Ok(None) };
    let Some(calendar) = context.store.child(principal.home, calendar).await? else { return Ok(None) };
    Ok(context.store.content(calendar.id, name).await?.map(|(_, bytes)| bytes))
}
