//! The rows that nearly every request reads, decoded: principals, collections, and the objects read lately. Each is kept from its first reading to the change
//! that touches it; a collection that was changed is kept as it is now. Readers fill the cache while they hold the engine for
//! reading, and changes are applied, and followed here, while it is held for writing: so what is here is what the engine holds (a
//! grant that is taken back is gone with the change that took it).

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::StoreError;
use super::keys::{self, Key, Table};
use super::kv::{Changes, Kv};
use super::rows::{self, CollectionRow};
use crate::base::{CollectionId, PrincipalId};
use crate::model::{Object, Principal, UserName};

/// How many rows of each kind are kept.
const ROWS_MAX: usize = 8_192;

/// How many bytes of objects that were read are kept.
const CONTENT_BYTES_MAX: u64 = 4 << 20;

/// What an object's content takes in the cache.
#[derive(Clone)]
struct ContentBytes;

impl Weighter<Key, (Arc<Object>, Bytes)> for ContentBytes {
    fn weight(&self, key: &Key, (_, bytes): &(Arc<Object>, Bytes)) -> u64 {
        (2 * key.len() + size_of::<Object>() + bytes.len()) as u64
    }
}

/// The cache.
pub(super) struct RowCache {
    principals: Cache<PrincipalId, Arc<Principal>>,
    names: Cache<UserName, PrincipalId>,
    collections: Cache<CollectionId, CollectionRow>,
    /// By the key of the row.
    children: Cache<Key, CollectionId>,
    /// What was read lately, by the key of the object's row.
    contents: Cache<Key, (Arc<Object>, Bytes), ContentBytes>,
    /// Whether a collection has collections in it at all: most have none, and then no name need be looked up.
    parents: Cache<CollectionId, bool>,
}

impl Default for RowCache {
    fn default() -> Self {
        Self {
            principals: Cache::new(ROWS_MAX),
            names: Cache::new(ROWS_MAX),
            collections: Cache::new(ROWS_MAX),
            children: Cache::new(ROWS_MAX),
            contents: Cache::with_weighter(ROWS_MAX, CONTENT_BYTES_MAX, ContentBytes),
            parents: Cache::new(ROWS_MAX),
        }
    }
}

impl RowCache {
    pub(super) fn principal(&self, kv: &dyn Kv, id: PrincipalId) -> Result<Option<Arc<Principal>>, StoreError> {
        if let Some(known) = self.principals.get(&id) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&keys::principal(id))? else { return Ok(None) };
        let principal = Arc::new(rows::decode::<Principal>(&row, "principals")?);
        self.principals.insert(id, Arc::clone(&principal));
        Ok(Some(principal))
    }

    pub(super) fn principal_id(&self, kv: &dyn Kv, name: &UserName) -> Result<Option<PrincipalId>, StoreError> {
        if let Some(known) = self.names.get(name) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&keys::principal_name(name))? else { return Ok(None) };
        let id = rows::decode(&row, "principals' names")?;
        self.names.insert(name.clone(), id);
        Ok(Some(id))
    }

    pub(super) fn collection(&self, kv: &dyn Kv, id: CollectionId) -> Result<Option<CollectionRow>, StoreError> {
        if let Some(known) = self.collections.get(&id) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&keys::collection(id))? else { return Ok(None) };
        let row = rows::decode::<CollectionRow>(&row, "collections")?;
        self.collections.insert(id, row.clone());
        Ok(Some(row))
    }

    pub(super) fn child(
        &self,
        kv: &dyn Kv,
        parent: CollectionId,
        name: &str,
    ) -> Result<Option<CollectionId>, StoreError> {
        if !self.has_children(kv, parent)? {
            return Ok(None);
        }
        let key = keys::member(Table::Children, parent, name);
        if let Some(known) = self.children.get(&key) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&key)? else { return Ok(None) };
        let id = rows::decode(&row, "children")?;
        self.children.insert(key, id);
        Ok(Some(id))
    }

    /// An object with its bytes.
    pub(super) fn content(
        &self,
        kv: &dyn Kv,
        id: CollectionId,
        name: &str,
    ) -> Result<Option<(Arc<Object>, Bytes)>, StoreError> {
        let key = keys::member(Table::Objects, id, name);
        if let Some(known) = self.contents.get(&key) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&key)? else { return Ok(None) };
        let object = Arc::new(rows::decode_object(name, &row)?);
        let bytes = kv.get(&keys::member(Table::Bytes, id, name))?;
        let bytes = bytes.ok_or_else(|| rows::lost_bytes(id))?;
        self.contents.insert(key, (Arc::clone(&object), bytes.clone()));
        Ok(Some((object, bytes)))
    }

    fn has_children(&self, kv: &dyn Kv, parent: CollectionId) -> Result<bool, StoreError> {
        if let Some(known) = self.parents.get(&parent) {
            return Ok(known);
        }
        let mut any = false;
        let (from, to) = keys::within(Table::Children, parent.0);
        kv.scan(&from, &to, &mut |_, _| {
            any = true;
            Ok(ControlFlow::Break(()))
        })?;
        self.parents.insert(parent, any);
        Ok(any)
    }

    /// Keeps collections as they are since the changes that were just applied. Called while nobody reads.
    pub(super) fn remember(&self, collections: &[(CollectionId, CollectionRow)]) {
        for (id, row) in collections {
            self.collections.insert(*id, row.clone());
        }
    }

    /// Forgets what `changes` touch. Called while nobody reads.
    pub(super) fn forget(&self, changes: &Changes) {
        let of = |table| {
            let (from, to) = keys::table(table);
            changes.range(Range { start: from, end: to }).map(|(key, _)| key)
        };
        let number = |key: &Key| keys::number_of(key);
        of(Table::Principals).filter_map(number).for_each(|id| drop(self.principals.remove(&PrincipalId(id))));
        of(Table::Collections).filter_map(number).for_each(|id| drop(self.collections.remove(&CollectionId(id))));
        // An object's bytes never change without its row.
        of(Table::Objects).for_each(|key| drop(self.contents.remove(key)));
        for key in of(Table::Children) {
            self.children.remove(key);
            keys::number_of(key).map(|parent| self.parents.remove(&CollectionId(parent)));
        }
        if of(Table::PrincipalNames).next().is_some() {
            self.names.clear();
        }
    }
}
