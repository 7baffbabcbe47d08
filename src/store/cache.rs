//! The rows that nearly every request reads, decoded: principals and collections. Each is kept from its first reading to the change
//! that touches it. Readers fill the cache while they hold the engine for reading, and changes are applied, and taken
//! out of it, while it is held for writing: so what is here is what the engine holds (a grant that is taken back is
//! gone with the change that took it).

use std::ops::Range;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::StoreError;
use super::keys::{self, Key, Table};
use super::kv::{Changes, Kv};
use super::rows::{self, CollectionRow};
use crate::base::{CollectionId, PrincipalId};
use crate::model::{Principal, UserName};

/// How many rows of each kind are kept.
const ROWS_MAX: usize = 8_192;

/// The cache.
pub(super) struct RowCache {
    principals: Cache<PrincipalId, Arc<Principal>>,
    names: Cache<UserName, PrincipalId>,
    collections: Cache<CollectionId, Arc<CollectionRow>>,
    /// By the key of the row.
    children: Cache<Key, CollectionId>,
}

impl Default for RowCache {
    fn default() -> Self {
        Self {
            principals: Cache::new(ROWS_MAX),
            names: Cache::new(ROWS_MAX),
            collections: Cache::new(ROWS_MAX),
            children: Cache::new(ROWS_MAX),
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

    pub(super) fn collection(&self, kv: &dyn Kv, id: CollectionId) -> Result<Option<Arc<CollectionRow>>, StoreError> {
        if let Some(known) = self.collections.get(&id) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&keys::collection(id))? else { return Ok(None) };
        let row = Arc::new(rows::decode::<CollectionRow>(&row, "collections")?);
        self.collections.insert(id, Arc::clone(&row));
        Ok(Some(row))
    }

    pub(super) fn child(
        &self,
        kv: &dyn Kv,
        parent: CollectionId,
        name: &str,
    ) -> Result<Option<CollectionId>, StoreError> {
        let key = keys::member(Table::Children, parent, name);
        if let Some(known) = self.children.get(&key) {
            return Ok(Some(known));
        }
        let Some(row) = kv.get(&key)? else { return Ok(None) };
        let id = rows::decode(&row, "children")?;
        self.children.insert(key, id);
        Ok(Some(id))
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
        of(Table::Children).for_each(|key| drop(self.children.remove(key)));
        if of(Table::PrincipalNames).next().is_some() {
            self.names.clear();
        }
    }
}
