//! Whether the rows agree with each other: listings with logs, UIDs and counts, names with what they name. What is in the
//! bytes is not looked at here beyond their checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::keys::{self, MEMBER_TABLES, Table};
use super::kv::Kv;
use super::rows::{self, CollectionRow};
use super::{Store, StoreError};
use crate::base::{CollectionId, ETag, PrincipalId, Revision};
use crate::model::{ChangeKind, Object, Principal, Shelf};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The collection in which it is, where it is in one.
    pub collection: Option<CollectionId>,
    /// The member's name, where it is about one.
    pub name: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.collection, &self.name) {
            (Some(id), Some(name)) => write!(f, "collection {id}, member `{name}`: {}", self.what),
            (Some(id), None) => write!(f, "collection {id}: {}", self.what),
            (None, _) => f.write_str(&self.what),
        }
    }
}

impl Store {
    /// Looks for rows that contradict each other. Each collection is looked at in one state; writers wait for that long,
    /// readers do not.
    ///
    /// # Errors
    /// If the storage fails. Rows that cannot be read are findings, not errors.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        let committer = &self.0.committer;
        let mut findings = committer.look(check_names).await?;
        let mut after = None;
        while let Some(id) = committer.look(move |kv| next_collection(kv, after)).await? {
            findings.extend(committer.look(move |kv| check_collection(kv, id)).await?);
            after = Some(id);
        }
        findings.extend(committer.look(check_orphans).await?);
        findings.extend(committer.look(check_services).await?);
        Ok(findings)
    }

    /// The collections behind `after`, in the order of their ids: a walk over all there are.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn collection_behind(&self, after: Option<CollectionId>) -> Result<Option<CollectionId>, StoreError> {
        next_collection(&**self.0.shared.read(), after)
    }
}

/// Gathers findings of one collection.
struct Findings {
    collection: Option<CollectionId>,
    all: Vec<Finding>,
}

impl Findings {
    fn new(collection: Option<CollectionId>) -> Self {
        Self { collection, all: Vec::new() }
    }

    fn add(&mut self, name: Option<&str>, what: impl Into<String>) {
        self.all.push(Finding { collection: self.collection, name: name.map(str::to_owned), what: what.into() });
    }

    fn expect(&mut self, holds: bool, name: Option<&str>, what: &str) {
        if !holds {
            self.add(name, what);
        }
    }

    /// The row, if it can be read.
    fn read<T>(&mut self, name: Option<&str>, row: Result<T, StoreError>) -> Option<T> {
        row.map_err(|error| self.add(name, error.to_string())).ok()
    }
}

fn next_collection(kv: &dyn Kv, after: Option<CollectionId>) -> Result<Option<CollectionId>, StoreError> {
    let (first, to) = keys::table(Table::Collections);
    let from = after.map_or(first, |id| keys::behind(keys::collection(id)));
    let mut next = None;
    kv.scan(&from, &to, &mut |key, _| {
        next = keys::number_of(key).map(CollectionId);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(next)
}

fn get<T: DeserializeOwned>(kv: &dyn Kv, key: &[u8], what: &str) -> Result<Option<T>, StoreError> {
    kv.get(key)?.map(|row| rows::decode(&row, what)).transpose()
}

/// All rows of a member table of a collection: what follows the collection in the key, and the row.
fn member_rows(kv: &dyn Kv, table: Table, id: CollectionId) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
    let mut all = Vec::new();
    let (from, to) = keys::within(table, id.0);
    kv.scan(&from, &to, &mut |key, row| {
        // The bytes' rows are large, and read one by one where they are needed.
        let row = if table == Table::Bytes { Bytes::new() } else { Bytes::copy_from_slice(row) };
        all.push((key.to_vec(), row));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(all)
}

fn check_collection(kv: &dyn Kv, id: CollectionId) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Findings::new(Some(id));
    let Some(row) = kv.get(&keys::collection(id))? else { return Ok(Vec::new()) };
    let Some(row) = findings.read::<CollectionRow>(None, rows::decode(&row, "collections")) else {
        return Ok(findings.all);
    };
    // What the log must say: (revision, kind, name) for each member there is.
    let mut expected: BTreeSet<(Revision, bool, String)> = BTreeSet::new();
    check_objects(kv, &row, &mut expected, &mut findings)?;
    check_children(kv, id, &mut expected, &mut findings)?;
    check_log(kv, &row, expected, &mut findings)?;
    check_deletions(kv, &row, &mut findings)?;
    check_place(kv, &row, &mut findings)?;
    Ok(findings.all)
}

fn check_objects(
    kv: &dyn Kv,
    row: &CollectionRow,
    expected: &mut BTreeSet<(Revision, bool, String)>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let collection = &row.collection;
    let (mut objects, mut bytes) = (0, 0);
    let mut uids: BTreeMap<String, String> = BTreeMap::new();
    for (key, row) in member_rows(kv, Table::Objects, collection.id)? {
        objects += 1;
        let Some(name) = keys::name_of(&key) else {
            findings.add(None, "an object's name is no UTF-8");
            continue;
        };
        let Some(object) = findings.read(Some(name), rows::decode_object(name, &row)) else { continue };
        bytes += object.size;
        check_bytes(kv, collection.id, &object, findings)?;
        if let Some(uid) = object.uid()
            && let Some(other) = uids.insert(uid.to_owned(), name.to_owned())
        {
            findings.add(Some(name), format!("it has the UID of `{other}`"));
        }
        expected.insert((object.revision, false, object.name));
    }
    findings.expect(objects == collection.objects, None, "its count of objects is wrong");
    findings.expect(bytes == collection.bytes, None, "its count of bytes is wrong");
    for (key, row) in member_rows(kv, Table::Uids, collection.id)? {
        let Some(holder) = findings.read::<String>(None, rows::decode(&row, "UIDs")) else { continue };
        let found = keys::name_of(&key).and_then(|uid| uids.remove(uid));
        findings.expect(found.as_ref() == Some(&holder), Some(&holder), "its UID's row leads elsewhere");
    }
    uids.values().for_each(|name| findings.add(Some(name), "its UID's row is missing"));
    let stored = member_rows(kv, Table::Bytes, collection.id)?.len() as u64;
    findings.expect(stored == objects, None, "it holds bytes of no object");
    Ok(())
}

fn check_bytes(kv: &dyn Kv, id: CollectionId, object: &Object, findings: &mut Findings) -> Result<(), StoreError> {
    match kv.get(&keys::member(Table::Bytes, id, &object.name))? {
        None => findings.add(Some(&object.name), "its bytes are missing: restore it from a backup, or delete it"),
        Some(bytes) => {
            let intact = bytes.len() as u64 == object.size && ETag::of(&bytes) == object.etag;
            let what = "its bytes are not those that were stored: restore it from a backup, or delete it";
            findings.expect(intact, Some(&object.name), what);
        }
    }
    Ok(())
}

fn check_children(
    kv: &dyn Kv,
    id: CollectionId,
    expected: &mut BTreeSet<(Revision, bool, String)>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    for (key, row) in member_rows(kv, Table::Children, id)? {
        let name = keys::name_of(&key).unwrap_or_default();
        let Some(child) = findings.read::<CollectionId>(Some(name), rows::decode(&row, "children")) else { continue };
        let row = findings.read::<Option<CollectionRow>>(Some(name), get(kv, &keys::collection(child), "collections"));
        match row.flatten() {
            Some(row) => {
                let there = row.collection.parent == Some(id) && row.collection.name == name;
                findings.expect(there, Some(name), "it leads to a collection that lies elsewhere");
                expected.insert((row.entry, true, name.to_owned()));
            }
            None => findings.add(Some(name), "it leads to a collection that is not there"),
        }
        let both = kv.get(&keys::member(Table::Objects, id, name))?.is_some();
        findings.expect(!both, Some(name), "it is an object and a collection at once");
    }
    Ok(())
}

fn check_log(
    kv: &dyn Kv,
    row: &CollectionRow,
    mut expected: BTreeSet<(Revision, bool, String)>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let newest = row.collection.revision;
    for (key, row) in member_rows(kv, Table::Log, row.collection.id)? {
        let Some((kind, name)) = findings.read(None, rows::decode_entry(&row)) else { continue };
        let revision = keys::revision_of(&key).unwrap_or(Revision(0));
        findings.expect(revision <= newest, Some(&name), "the change log is ahead of the collection");
        let known = expected.remove(&(revision, kind == ChangeKind::Collection, name.clone()));
        findings.expect(known, Some(&name), "the change log tells of something that is not so");
    }
    expected.iter().for_each(|(_, _, name)| findings.add(Some(name), "the change log does not tell of it"));
    Ok(())
}

fn check_deletions(kv: &dyn Kv, row: &CollectionRow, findings: &mut Findings) -> Result<(), StoreError> {
    let collection = &row.collection;
    let mut by_name: BTreeMap<String, Revision> = BTreeMap::new();
    for (key, row) in member_rows(kv, Table::Deleted, collection.id)? {
        let name = keys::name_of(&key).unwrap_or_default().to_owned();
        if let Some(revision) = findings.read(Some(&name), rows::decode(&row, "deletions")) {
            by_name.insert(name, revision);
        }
    }
    let tombstones = member_rows(kv, Table::Tombstones, collection.id)?;
    findings.expect(tombstones.len() as u64 == collection.tombstones, None, "its count of deletions is wrong");
    for (key, row) in tombstones {
        let Some(name) = findings.read::<String>(None, rows::decode(&row, "deletions")) else { continue };
        let revision = keys::revision_of(&key).unwrap_or(Revision(0));
        let known = by_name.remove(&name) == Some(revision) && revision <= collection.revision;
        findings.expect(known, Some(&name), "its deletion is logged wrongly");
        let there = kv.get(&keys::member(Table::Objects, collection.id, &name))?.is_some()
            || kv.get(&keys::member(Table::Children, collection.id, &name))?.is_some();
        findings.expect(!there, Some(&name), "it is there and logged as deleted");
    }
    by_name.keys().for_each(|name| findings.add(Some(name), "its deletion is not in the log"));
    Ok(())
}

/// Whether a collection is where it says, and its openings end with the present.
fn check_place(kv: &dyn Kv, row: &CollectionRow, findings: &mut Findings) -> Result<(), StoreError> {
    let collection = &row.collection;
    if let Some(parent) = collection.parent {
        let key = keys::member(Table::Children, parent, &collection.name);
        let found = findings.read::<Option<CollectionId>>(None, get(kv, &key, "children")).flatten();
        findings.expect(found == Some(collection.id), None, "its parent does not know it");
    }
    let last = collection.epochs.last();
    findings.expect(last == Some(&(collection.epoch, collection.revision)), None, "its openings are recorded wrongly");
    let ascending = collection.epochs.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
    findings.expect(ascending, None, "its openings are out of order");
    Ok(())
}

/// Principals, their names, what they own and how much they use.
fn check_names(kv: &dyn Kv) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Findings::new(None);
    let mut names: BTreeMap<Vec<u8>, PrincipalId> = BTreeMap::new();
    let (from, to) = keys::table(Table::Principals);
    kv.scan(&from, &to, &mut |_, row| {
        if let Some(principal) = findings.read::<Principal>(None, rows::decode(row, "principals")) {
            names.insert(keys::principal_name(&principal.name), principal.id);
            for id in [principal.home, principal.files] {
                if kv.get(&keys::collection(id))?.is_none() {
                    findings.add(None, format!("principal {} has lost collection {id}", principal.id));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let (from, to) = keys::table(Table::PrincipalNames);
    kv.scan(&from, &to, &mut |key, row| {
        let id = findings.read::<PrincipalId>(None, rows::decode(row, "principals' names"));
        if names.remove(key) != id {
            findings.add(None, "a user name leads to no principal, or to another one");
        }
        Ok(ControlFlow::Continue(()))
    })?;
    names.values().for_each(|id| findings.add(None, format!("principal {id} is not found by its name")));
    check_usage(kv, &mut findings)?;
    Ok(findings.all)
}

fn check_usage(kv: &dyn Kv, findings: &mut Findings) -> Result<(), StoreError> {
    let mut used: BTreeMap<u64, u64> = BTreeMap::new();
    let (from, to) = keys::table(Table::Collections);
    kv.scan(&from, &to, &mut |_, row| {
        // One that cannot be read is found when its turn comes.
        if let Ok(row) = rows::decode::<CollectionRow>(row, "collections") {
            *used.entry(row.collection.owner.0).or_default() += row.collection.bytes;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let (from, to) = keys::table(Table::Usage);
    kv.scan(&from, &to, &mut |key, row| {
        let stored = findings.read::<u64>(None, rows::decode(row, "usage"));
        let owner = keys::number_of(key).unwrap_or(0);
        if stored != Some(used.remove(&owner).unwrap_or(0)) {
            findings.add(None, format!("the bytes counted for principal {owner} are wrong"));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for owner in used.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(owner, _)| owner) {
        findings.add(None, format!("the bytes of principal {owner} are not counted"));
    }
    Ok(())
}

/// Rows of collections that are not there, and not waiting to be removed either.
fn check_orphans(kv: &dyn Kv) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Findings::new(None);
    for table in MEMBER_TABLES.into_iter().chain([Table::Children]) {
        let (mut from, to) = keys::table(table);
        while let Some(id) = first_number(kv, &from, &to)? {
            let known = kv.get(&keys::collection(CollectionId(id)))?.is_some()
                || kv.get(&keys::garbage(CollectionId(id)))?.is_some();
            findings.expect(known, None, &format!("there are rows of collection {id}, which is not there"));
            from = keys::within(table, id).1;
        }
    }
    Ok(findings.all)
}

/// Rows of services: what they mean is theirs to know; here they are on a shelf that is known, and counted.
fn check_services(kv: &dyn Kv) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Findings::new(None);
    let (mut bytes, mut unknown) = (0_u64, BTreeSet::new());
    let (from, to) = keys::table(Table::Rows);
    kv.scan(&from, &to, &mut |key, row| {
        bytes += (key.len() + row.len()) as u64;
        if Shelf::of_byte(keys::shelf_byte(key)).is_none() {
            unknown.insert(keys::shelf_byte(key));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for byte in unknown {
        findings.add(None, format!("there are rows on the shelf {byte:#04x}, which no service knows"));
    }
    let counted: Option<u64> = get(kv, &keys::meta(keys::SERVICE_BYTES), "counters")?;
    findings.expect(counted.unwrap_or(0) == bytes, None, "the bytes counted for the rows of services are wrong");
    Ok(findings.all)
}

fn first_number(kv: &dyn Kv, from: &[u8], to: &[u8]) -> Result<Option<u64>, StoreError> {
    let mut first = None;
    kv.scan(from, to, &mut |key, _| {
        first = keys::number_of(key);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}
