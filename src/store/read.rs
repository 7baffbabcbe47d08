//! Reading. Every answer is of one state of the store. Nothing here waits for anything but the moment in which a group
//! is applied, so the calls are made where the caller runs; pages keep each of them short.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::cache::RowCache;
use super::keys::{self, Key, Table};
use super::kv::Kv;
use super::rows;
use super::{Condition, Page, Store, StoreError};
use crate::base::{CollectionId, PrincipalId, Revision, Utc};
use crate::model::{Change, ChangeKind, Collection, Credentials, Event, Lock, Object, Principal, Shelf, UserName};

impl Store {
    /// The principal with that id.
    pub async fn principal(&self, id: PrincipalId) -> Result<Option<Arc<Principal>>, StoreError> {
        let shared = &self.0.shared;
        shared.rows.principal(&**shared.read(), id)
    }

    /// The principal of that name.
    pub async fn principal_named(&self, name: &UserName) -> Result<Option<Arc<Principal>>, StoreError> {
        let shared = &self.0.shared;
        let kv = &**shared.read();
        match shared.rows.principal_id(kv, name)? {
            Some(id) => shared.rows.principal(kv, id),
            None => Ok(None),
        }
    }

    /// All principals by name, from behind `after`.
    pub async fn principals(&self, after: Option<&UserName>, limit: usize) -> Result<Page<Principal>, StoreError> {
        let kv = &**self.0.shared.read();
        let (first, to) = keys::table(Table::PrincipalNames);
        let from = after.map_or(first, |name| keys::behind(keys::principal_name(name)));
        let ids: Page<PrincipalId> = page(kv, (from, to), limit, |_, row| rows::decode(row, "principals' names"))?;
        let mut principals = Vec::with_capacity(ids.rows.len());
        for id in ids.rows {
            principals.extend(get(kv, &keys::principal(id), "principals")?);
        }
        Ok(Page { rows: principals, more: ids.more })
    }

    /// What the principal can log in with.
    pub async fn credentials(&self, id: PrincipalId) -> Result<Option<Credentials>, StoreError> {
        let kv = &**self.0.shared.read();
        get(kv, &keys::credentials(id), "credentials")
    }

    /// The bytes that a principal's collections hold together (RFC 4331).
    pub async fn usage(&self, id: PrincipalId) -> Result<u64, StoreError> {
        let kv = &**self.0.shared.read();
        Ok(get(kv, &keys::usage(id), "usage")?.unwrap_or(0))
    }

    /// The collection with that id.
    pub async fn collection(&self, id: CollectionId) -> Result<Option<Arc<Collection>>, StoreError> {
        let shared = &self.0.shared;
        collection(&shared.rows, &**shared.read(), id)
    }

    /// The collection called `name` in `parent`.
    pub async fn child(&self, parent: CollectionId, name: &str) -> Result<Option<Arc<Collection>>, StoreError> {
        let shared = &self.0.shared;
        let kv = &**shared.read();
        match shared.rows.child(kv, parent, name)? {
            Some(id) => collection(&shared.rows, kv, id),
            None => Ok(None),
        }
    }

    /// The collections in `parent`, by name.
    pub async fn children(&self, parent: CollectionId) -> Result<Vec<Arc<Collection>>, StoreError> {
        let shared = &self.0.shared;
        let kv = &**shared.read();
        let mut ids: Vec<CollectionId> = Vec::new();
        let (from, to) = keys::within(Table::Children, parent.0);
        kv.scan(&from, &to, &mut |_, row| {
            ids.push(rows::decode(row, "children")?);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut children = Vec::with_capacity(ids.len());
        for id in ids {
            children.extend(collection(&shared.rows, kv, id)?);
        }
        Ok(children)
    }

    /// An object without its bytes.
    pub async fn object(&self, collection: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
        let kv = &**self.0.shared.read();
        object(kv, collection, name)
    }

    /// An object with its bytes, of one and the same state.
    pub async fn content(&self, collection: CollectionId, name: &str) -> Result<Option<(Object, Bytes)>, StoreError> {
        let kv = &**self.0.shared.read();
        content(kv, collection, name)
    }

    /// The same, kept in memory for whoever asks next: for what clients ask for one by one.
    pub async fn kept_content(
        &self,
        collection: CollectionId,
        name: &str,
    ) -> Result<Option<(Arc<Object>, Bytes)>, StoreError> {
        let shared = &self.0.shared;
        shared.rows.content(&**shared.read(), collection, name)
    }

    /// Several objects with their bytes, all of one and the same state, in the order of `names`; `None` for those that
    /// are not there. The caller bounds how many it asks for at once.
    pub async fn contents(
        &self,
        collection: CollectionId,
        names: &[&str],
    ) -> Result<Vec<Option<(Object, Bytes)>>, StoreError> {
        let kv = &**self.0.shared.read();
        names.iter().map(|name| content(kv, collection, name)).collect()
    }

    /// The objects of a collection by name, from behind `after`, without their bytes.
    pub async fn objects(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Object>, StoreError> {
        let kv = &**self.0.shared.read();
        objects(kv, collection, after, limit)
    }

    /// Like [`Store::objects`], with their bytes: a page ends early where its bytes come to more than `bytes_max`.
    pub async fn objects_with_content(
        &self,
        collection: CollectionId,
        after: Option<&str>,
        limit: usize,
        bytes_max: u64,
    ) -> Result<Page<(Object, Bytes)>, StoreError> {
        let kv = &**self.0.shared.read();
        let listed = objects(kv, collection, after, limit)?;
        let mut page = Page { rows: Vec::with_capacity(listed.rows.len()), more: listed.more };
        let mut wanted = listed.rows.into_iter();
        let mut sum = 0;
        for object in wanted.by_ref() {
            sum += object.size;
            let bytes = bytes_of(kv, collection, &object.name)?;
            page.rows.push((object, bytes));
            if sum > bytes_max {
                break;
            }
        }
        page.more |= wanted.next().is_some();
        Ok(page)
    }

    /// The name of the object that has `uid`.
    pub async fn name_of_uid(&self, collection: CollectionId, uid: &str) -> Result<Option<String>, StoreError> {
        let kv = &**self.0.shared.read();
        get(kv, &keys::member(Table::Uids, collection, uid), "UIDs")
    }

    /// The change log of a collection behind `since`, oldest first: each member once, with its last change (Y2).
    /// Costs what changed, not what is there (Y3). From revision 0 it lists every member, and the deletions still known:
    /// whoever saw the collection when it was new may have seen what was deleted since.
    pub async fn changes(
        &self,
        collection: CollectionId,
        since: Revision,
        limit: usize,
    ) -> Result<Page<Change>, StoreError> {
        let kv = &**self.0.shared.read();
        changes(kv, collection, since, limit)
    }

    /// A collection and its changes behind `since`, of one and the same state. `None` if there is no such collection.
    pub async fn delta(
        &self,
        id: CollectionId,
        since: Revision,
        limit: usize,
    ) -> Result<Option<(Arc<Collection>, Page<Change>)>, StoreError> {
        let shared = &self.0.shared;
        let kv = &**shared.read();
        match collection(&shared.rows, kv, id)? {
            Some(collection) => Ok(Some((collection, changes(kv, id, since, limit)?))),
            None => Ok(None),
        }
    }

    /// Every lock there is, expired ones too until they are removed. Few, and kept in memory.
    pub async fn locks(&self) -> Result<Vec<Lock>, StoreError> {
        let _gate = self.0.shared.read();
        Ok(self.0.shared.locks())
    }

    /// How many durable events wait in the outbox, and since when the oldest; `None` if none does.
    ///
    /// # Errors
    /// If the storage fails or is damaged.
    pub fn outbox(&self) -> Result<Option<(u64, Utc)>, StoreError> {
        let kv = &**self.0.shared.read();
        let newest = self.0.shared.durable_events();
        let range = (keys::event(0), keys::behind(keys::event(newest)));
        let oldest: Page<Event> = page(kv, range, 1, |_, row| rows::decode(row, "events"))?;
        let oldest = oldest.rows.first();
        // Numbers are given out one after the other, and trimmed from the front.
        Ok(oldest.map(|event| (newest.saturating_sub(event.seq).saturating_add(1), event.at)))
    }

    /// How the store is: what a monitor asks.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn condition(&self) -> Result<Condition, StoreError> {
        let shared = &self.0.shared;
        let disk_bytes = shared.engine().disk_bytes()?;
        Ok(Condition { disk_bytes, free_bytes: shared.free_bytes()?, writable: shared.takes_writes().is_ok() })
    }

    /// A service's row.
    pub async fn row(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let kv = &**self.0.shared.read();
        kv.get(&keys::row(shelf, key))
    }

    /// Several rows of a shelf, all of one and the same state, in the order of `keys`; `None` for those that are not
    /// there. The caller bounds how many it asks for at once.
    pub async fn rows_at(&self, shelf: Shelf, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let kv = &**self.0.shared.read();
        keys.iter().map(|key| kv.get(&keys::row(shelf, key))).collect()
    }

    /// The rows of a shelf by key, from `range.start` (included) to `range.end` (excluded; empty: to the end of the
    /// shelf), at most `limit`. To go on, start behind the last key: the key with a zero byte appended.
    pub async fn rows(
        &self,
        shelf: Shelf,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(Vec<u8>, Bytes)>, StoreError> {
        let kv = &**self.0.shared.read();
        let to = if range.end.is_empty() { keys::shelf_end(shelf) } else { keys::row(shelf, &range.end) };
        page(kv, (keys::row(shelf, &range.start), to), limit, |key, row| {
            Ok((keys::service_key(key).to_vec(), Bytes::copy_from_slice(row)))
        })
    }

    /// The number of the newest durable event; it changes with each commit that has events. A bell, not a queue: whoever
    /// hears it reads on from where it was.
    pub fn newest_event(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.shared.listen()
    }

    /// Durable events behind `after`, in order.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page<Event>, StoreError> {
        let kv = &**self.0.shared.read();
        let Some(from) = after.checked_add(1) else { return Ok(Page { rows: Vec::new(), more: false }) };
        let range = (keys::event(from), keys::behind(keys::event(self.0.shared.durable_events())));
        page(kv, range, limit, |_, row| rows::decode(row, "events"))
    }
}

fn get<T: DeserializeOwned>(kv: &dyn Kv, key: &[u8], what: &str) -> Result<Option<T>, StoreError> {
    kv.get(key)?.map(|row| rows::decode(&row, what)).transpose()
}

fn collection(rows: &RowCache, kv: &dyn Kv, id: CollectionId) -> Result<Option<Arc<Collection>>, StoreError> {
    Ok(rows.collection(kv, id)?.map(|row| row.collection))
}

fn object(kv: &dyn Kv, id: CollectionId, name: &str) -> Result<Option<Object>, StoreError> {
    let row = kv.get(&keys::member(Table::Objects, id, name))?;
    row.map(|row| rows::decode_object(name, &row)).transpose()
}

fn content(kv: &dyn Kv, id: CollectionId, name: &str) -> Result<Option<(Object, Bytes)>, StoreError> {
    match object(kv, id, name)? {
        Some(object) => Ok(Some((object, bytes_of(kv, id, name)?))),
        None => Ok(None),
    }
}

fn bytes_of(kv: &dyn Kv, id: CollectionId, name: &str) -> Result<Bytes, StoreError> {
    kv.get(&keys::member(Table::Bytes, id, name))?.ok_or_else(|| rows::lost_bytes(id))
}

fn objects(kv: &dyn Kv, id: CollectionId, after: Option<&str>, limit: usize) -> Result<Page<Object>, StoreError> {
    let (first, to) = keys::within(Table::Objects, id.0);
    let from = after.map_or(first, |name| keys::behind(keys::member(Table::Objects, id, name)));
    page(kv, (from, to), limit, |key, row| {
        rows::decode_object(keys::name_of(key).ok_or_else(|| rows::bad_key("objects"))?, row)
    })
}

/// The first `limit` rows of a range, and whether there are more.
fn page<T>(
    kv: &dyn Kv,
    (from, to): (Key, Key),
    limit: usize,
    read: impl Fn(&[u8], &[u8]) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let mut page = Page { rows: Vec::new(), more: false };
    kv.scan(&from, &to, &mut |key, row| {
        page.more = page.rows.len() == limit;
        if page.more {
            return Ok(ControlFlow::Break(()));
        }
        page.rows.push(read(key, row)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// What is there and what is gone are logs of their own (so that the oldest deletion is found at once); here they
/// are merged.
fn changes(kv: &dyn Kv, id: CollectionId, since: Revision, limit: usize) -> Result<Page<Change>, StoreError> {
    let present = log_page(kv, Table::Log, id, since, limit, rows::decode_entry)?;
    let gone = log_page(kv, Table::Tombstones, id, since, limit, |row| {
        Ok((ChangeKind::Deleted, rows::decode(row, "deletions")?))
    })?;
    let mut rows = present.rows;
    rows.extend(gone.rows);
    rows.sort_unstable_by_key(|change| change.revision);
    let more = present.more || gone.more || rows.len() > limit;
    rows.truncate(limit);
    Ok(Page { rows, more })
}

fn log_page(
    kv: &dyn Kv,
    table: Table,
    id: CollectionId,
    since: Revision,
    limit: usize,
    read: impl Fn(&[u8]) -> Result<(ChangeKind, String), StoreError>,
) -> Result<Page<Change>, StoreError> {
    let range = (keys::behind(keys::log(table, id, since)), keys::within(table, id.0).1);
    page(kv, range, limit, |key, row| {
        let revision = keys::revision_of(key).ok_or_else(|| rows::bad_key("a change log"))?;
        let (kind, name) = read(row)?;
        Ok(Change { revision, name, kind })
    })
}
