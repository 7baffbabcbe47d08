//! How records and meetings are kept: rows on shelves, found by the ids of their sources and by what links them.
//!
//! | shelf | key | value |
//! |---|---|---|
//! | records | owner, source | [`Kept`] |
//! | joins | owner, link | the sources that have this link |
//! | meetings | owner, the meeting's key | [`MeetingRow`] |
//! | objects of meetings | collection, name | owner and the meeting's key |
//! | sweeps | owner, scope | the whole listings that still judge late records |
//! | waiting | kind, time, owner, source | nothing: when to look at a record again |
//!
//! Every row that a decision was made on is asserted in the batch that acts on it ([`Reads`]), so deliveries for the same
//! meeting from several tasks end as if they had come one after the other.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::{CollectionId, ETag, PrincipalId, Utc};
use crate::merge::{
    Content, EarlierRecord, Field, FirstContent, Scope, SecondContent, SourceId, SourceRecord, Sweep, Version,
};
use crate::model::Shelf;
use crate::service::rows::{decode, decode_since_older, encode};
use crate::service::{Context, StoreError};
use crate::store::{Assert, Write};

/// The version of these rows but for the records'.
const VERSION: u8 = 1;
/// The version of records. Versions 1 and 2 had fewer fields of content.
const RECORD_VERSION: u8 = 3;
/// How many stale deliveries of one source object are remembered, for whoever asks why.
const DROPPED_MAX: usize = 8;
/// How many earlier faces of a meeting are remembered, to tell what an offline client changed from what it never saw.
const FACES_MAX: usize = 6;

/// The values of an object: see [`crate::merge::Face`].
pub(super) type KeptFace = Vec<(Option<Utc>, Field, u64)>;

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The newest of everything that its source has said.
    pub record: SourceRecord,
    /// The key of the meeting that it belongs to, if there is one.
    pub meeting: Option<String>,
    /// Since when it waits for another record.
    pub parked: Option<Utc>,
    /// Since when it is gone at its source.
    pub gone: Option<Utc>,
    /// When it changed last.
    pub changed: Utc,
    /// The newest of what came too late.
    pub dropped: Vec<Dropped>,
    /// How often something came too late.
    pub stale: u64,
}

/// A record as it was kept in versions 1 and 2.
#[derive(Deserialize)]
struct Earlier<C> {
    record: EarlierRecord<C>,
    meeting: Option<String>,
    parked: Option<Utc>,
    gone: Option<Utc>,
    changed: Utc,
    dropped: Vec<Dropped>,
    stale: u64,
}

impl<C: Into<Content>> From<Earlier<C>> for Kept {
    fn from(earlier: Earlier<C>) -> Self {
        let Earlier { record, meeting, parked, gone, changed, dropped, stale } = earlier;
        Self { record: record.into(), meeting, parked, gone, changed, dropped, stale }
    }
}

/// A delivery that came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When it came.
    pub at: Utc,
    /// Its version.
    pub version: Version,
}

/// A meeting as it is kept: what was published of it, and of what it is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct MeetingRow {
    /// Where its object lies; `None` if it is not shown: nobody's calendar is there for it, or its user has deleted it.
    pub object: Option<(CollectionId, String)>,
    /// Whether a client put it there, and not the account's setting.
    pub placed: bool,
    /// The tag of the object's bytes as they were written last, by us or by a client.
    pub etag: Option<ETag>,
    /// The hash of what was published last: what has the same is no change.
    pub published: Option<ETag>,
    /// Its records.
    pub sources: Vec<SourceId>,
    /// How often clients have edited it.
    pub edits: u64,
    /// The values that it had before its last changes, the oldest first.
    pub faces: Vec<KeptFace>,
}

impl Kept {
    pub(super) fn new(record: SourceRecord, now: Utc) -> Self {
        Self { record, meeting: None, parked: None, gone: None, changed: now, dropped: Vec::new(), stale: 0 }
    }

    /// Remembers that something came too late.
    pub(super) fn drop_stale(&mut self, at: Utc, version: Version) {
        self.stale = self.stale.saturating_add(1);
        if self.dropped.iter().any(|known| known.version == version) {
            return;
        }
        self.dropped.push(Dropped { at, version });
        let surplus = self.dropped.len().saturating_sub(DROPPED_MAX);
        self.dropped.drain(..surplus);
    }
}

impl MeetingRow {
    /// Remembers what it looked like.
    pub(super) fn remember(&mut self, face: KeptFace) {
        self.faces.retain(|known| *known != face);
        self.faces.push(face);
        let surplus = self.faces.len().saturating_sub(FACES_MAX);
        self.faces.drain(..surplus);
    }
}

fn owned(owner: PrincipalId, rest: &[&[u8]]) -> Vec<u8> {
    let mut key = owner.0.to_be_bytes().to_vec();
    rest.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The key of a record. Scopes come before ids, so that all records of a scope lie together; what is chosen outside of
/// this server (the id) stands last, so that nothing has to be escaped.
pub(super) fn record_key(owner: PrincipalId, source: &SourceId) -> Vec<u8> {
    let mut key = scope_key(owner, &source.scope());
    key.extend_from_slice(source.id.as_bytes());
    key
}

/// What the keys of all records of a scope begin with; also the key of its sweeps.
pub(super) fn scope_key(owner: PrincipalId, scope: &Scope) -> Vec<u8> {
    let (provider, account, calendar) = (scope.provider.name(), clean(&scope.account), clean(&scope.calendar));
    owned(owner, &[provider.as_bytes(), &[0], account.as_bytes(), &[0], calendar.as_bytes(), &[0]])
}

/// What the keys of all records of an account begin with.
pub(super) fn account_key(owner: PrincipalId, provider: crate::merge::Provider, account: &str) -> Vec<u8> {
    owned(owner, &[provider.name().as_bytes(), &[0], clean(account).as_bytes(), &[0]])
}

/// Names of accounts and calendars are the administrator's and hold no zero byte.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

pub(super) fn link_key(owner: PrincipalId, link: &str) -> Vec<u8> {
    owned(owner, &[link.as_bytes()])
}

pub(super) fn meeting_key(owner: PrincipalId, key: &str) -> Vec<u8> {
    owned(owner, &[key.as_bytes()])
}

/// What the keys of all of an owner's rows begin with.
pub(super) fn owner_key(owner: PrincipalId) -> Vec<u8> {
    owned(owner, &[])
}

pub(super) fn object_key(collection: CollectionId, name: &str) -> Vec<u8> {
    let mut key = collection.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

/// Why a record is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wait {
    /// It waits for another record.
    Parked = b'p',
    /// It is gone at its source.
    Gone = b't',
}

/// The key that brings a record up again: those of a kind by time.
pub(super) fn waiting_key(kind: Wait, since: Utc, owner: PrincipalId, source: &SourceId) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend_from_slice(&since.0.max(0).to_be_bytes());
    key.extend_from_slice(&record_key(owner, source));
    key
}

/// The end of the keys of a kind up to and including `until`.
pub(super) fn waiting_end(kind: Wait, until: Utc) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend_from_slice(&until.0.saturating_add(1).max(0).to_be_bytes());
    key
}

/// Rows as they were read, each once: what is decided on them is asserted with it.
pub(super) struct Reads<'a> {
    context: &'a Context,
    rows: BTreeMap<(Shelf, Vec<u8>), Option<Bytes>>,
}

impl<'a> Reads<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, rows: BTreeMap::new() }
    }

    /// The row's bytes, as they were when they were first asked for.
    async fn bytes(&mut self, shelf: Shelf, key: Vec<u8>) -> Result<Option<&Bytes>, StoreError> {
        let place = (shelf, key);
        if !self.rows.contains_key(&place) {
            let row = self.context.store.row(shelf, &place.1).await?;
            self.rows.insert(place.clone(), row);
        }
        Ok(self.rows.get(&place).and_then(Option::as_ref))
    }

    /// The row, as it was when it was first asked for.
    pub(super) async fn row<T: DeserializeOwned>(
        &mut self,
        shelf: Shelf,
        key: Vec<u8>,
        what: &str,
    ) -> Result<Option<T>, StoreError> {
        self.bytes(shelf, key).await?.map(|row| decode(VERSION, row, what)).transpose()
    }

    pub(super) async fn record(&mut self, owner: PrincipalId, source: &SourceId) -> Result<Option<Kept>, StoreError> {
        let row = self.bytes(Shelf::Records, record_key(owner, source)).await?;
        row.map(|row| read_record(row)).transpose()
    }

    pub(super) async fn links(&mut self, owner: PrincipalId, link: &str) -> Result<Vec<SourceId>, StoreError> {
        Ok(self.row(Shelf::Joins, link_key(owner, link), "joins").await?.unwrap_or_default())
    }

    pub(super) async fn meeting(&mut self, owner: PrincipalId, key: &str) -> Result<Option<MeetingRow>, StoreError> {
        self.row(Shelf::Meetings, meeting_key(owner, key), "meetings").await
    }

    pub(super) async fn sweeps(&mut self, owner: PrincipalId, scope: &Scope) -> Result<Vec<Sweep>, StoreError> {
        Ok(self.row(Shelf::Sweeps, scope_key(owner, scope), "sweeps").await?.unwrap_or_default())
    }

    /// The write that makes a row so, if it is not so already; and what was read of it is asserted either way.
    pub(super) fn write<T: Serialize>(&self, shelf: Shelf, key: Vec<u8>, row: Option<&T>) -> Option<Write> {
        let version = if shelf == Shelf::Records { RECORD_VERSION } else { VERSION };
        let row = row.map(|row| encode(version, row));
        let place = (shelf, key);
        let known = self.rows.get(&place);
        if known == Some(&row) {
            return None;
        }
        let (shelf, key) = place;
        Some(match row {
            Some(row) => Write::PutRow(shelf, key, row),
            None => Write::DeleteRow(shelf, key),
        })
    }

    /// That all of it is still so.
    pub(super) fn asserts(self) -> impl Iterator<Item = Assert> {
        self.rows.into_iter().map(|((shelf, key), row)| Assert::RowIs(shelf, key, row))
    }
}

/// Reads a record's row.
pub(super) fn read_record(row: &[u8]) -> Result<Kept, StoreError> {
    decode_since_older::<Earlier<FirstContent>, Earlier<SecondContent>, Kept>(RECORD_VERSION, row, "records")
}

/// Reads a row that was listed.
pub(super) fn read<T: DeserializeOwned>(row: &[u8], what: &str) -> Result<T, StoreError> {
    decode(VERSION, row, what)
}

/// Writes a record's row.
pub(super) fn written_record(kept: &Kept) -> Bytes {
    encode(RECORD_VERSION, kept)
}

/// Writes a row.
pub(super) fn written<T: Serialize>(row: &T) -> Bytes {
    encode(VERSION, row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{Generation, Provider};

    /// The fields of content that versions 1 and 2 did not have.
    const LATER: [(u8, usize); 2] = [(1, 6), (2, 1)];

    #[test]
    fn records_of_earlier_versions_are_read() {
        let content = Content { title: Some("Plan".to_owned()), sequence: Some(3), ..Content::default() };
        let source = SourceId::new(Provider::Google, "anna", "e1").in_calendar("primary");
        let record = SourceRecord::whole(source, Version::new(Generation(4), 5, 6), content);
        let kept = Kept { meeting: Some("uid:1".to_owned()), stale: 2, ..Kept::new(record.clone(), Utc(7)) };
        let bytes = |part: Result<Vec<u8>, postcard::Error>| part.expect("plain data");
        for (version, later) in LATER {
            let mut content = bytes(postcard::to_stdvec(&record.content));
            assert!(
                content.split_off(content.len() - later).iter().all(|byte| *byte == 0),
                "the later ones stand last"
            );
            let before = bytes(postcard::to_stdvec(&(&record.source, record.whole, &record.versions, &record.over)));
            let behind = bytes(postcard::to_stdvec(&(&kept.meeting, kept.parked, kept.gone, kept.changed)));
            let rest = bytes(postcard::to_stdvec(&(&kept.dropped, kept.stale)));
            let row = [vec![version], before, content, behind, rest].concat();
            assert_eq!(read_record(&row).expect("it is read"), kept);
        }
        assert_eq!(read_record(&written_record(&kept)).expect("it is read"), kept);
    }
}
