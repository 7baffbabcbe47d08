//! What the store's tests share: stores on every engine, and small makers of rows.

use std::path::Path;

use bytes::Bytes;
use kalends::base::{CollectionId, ETag, PrincipalId, Revision, Utc};
use kalends::ical::ComponentKind;
use kalends::model::{
    CalendarSettings, Change, Collection, CollectionKind, Index, IndexRow, Object, Principal, UserName,
};
use kalends::store::{Assert, Batch, Commit, CommitError, Engine, Options, Store, Write};

/// The one user of most tests.
pub const OWNER: PrincipalId = PrincipalId(1);

/// A data directory that can be opened again and again.
pub struct Place {
    dir: tempfile::TempDir,
    pub engine: Engine,
}

impl Place {
    pub fn new(engine: Engine) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), engine }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn options(&self) -> Options {
        options(self.path(), self.engine)
    }

    pub fn open(&self) -> Store {
        Store::open(&self.options()).unwrap()
    }
}

pub fn options(dir: &Path, engine: Engine) -> Options {
    Options { dir: dir.to_owned(), engine, cache_bytes: 8 << 20, tombstones_max: 5 }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn object(name: &str, uid: Option<&str>, bytes: &[u8]) -> Object {
    Object {
        name: name.to_owned(),
        etag: ETag::of(bytes),
        size: bytes.len() as u64,
        content_type: None,
        content_language: None,
        created: Utc(1_000),
        modified: Utc(2_000),
        revision: Revision(0),
        properties: Vec::new(),
        index: uid.map(|uid| {
            Index::Row(IndexRow {
                uid: uid.to_owned(),
                kind: ComponentKind::Event,
                span: None,
                recurring: false,
                alarms: false,
            })
        }),
    }
}

pub fn put(collection: CollectionId, name: &str, content: &str) -> Write {
    let bytes = Bytes::copy_from_slice(content.as_bytes());
    Write::PutObject(collection, object(name, Some(&format!("uid-{name}")), &bytes), bytes)
}

pub fn delete(collection: CollectionId, name: &str) -> Write {
    Write::DeleteObject(collection, name.to_owned())
}

pub fn batch(asserts: Vec<Assert>, writes: Vec<Write>) -> Batch {
    Batch { at: Utc(5_000), actor: Some(OWNER), asserts, writes, events: Vec::new() }
}

pub async fn commit(store: &Store, writes: Vec<Write>) -> Result<Commit, CommitError> {
    store.commit(batch(Vec::new(), writes)).await
}

pub fn calendar(store: &Store, parent: CollectionId, name: &str) -> Collection {
    let kind = CollectionKind::Calendar(CalendarSettings::default());
    Collection::new(store.next_collection_id(), Some(parent), name, OWNER, kind, Utc(1))
}

/// A user with a home, files and one calendar: (home, calendar).
pub async fn found(store: &Store) -> (CollectionId, CollectionId) {
    let name = UserName::new("anna").unwrap();
    let id = store.next_principal_id();
    assert_eq!(id, OWNER);
    let (home, files) = (store.next_collection_id(), store.next_collection_id());
    let calendar = calendar(store, home, "default");
    let principal = Principal {
        id,
        name: name.clone(),
        display_name: None,
        emails: vec!["anna@example.org".to_owned()],
        home,
        files,
        admin: false,
        created: Utc(1),
        properties: Vec::new(),
    };
    let calendar_id = calendar.id;
    let writes = vec![
        Write::PutPrincipal(principal),
        Write::CreateCollection(Collection::new(home, None, "anna", id, CollectionKind::Home, Utc(1))),
        Write::CreateCollection(Collection::new(files, None, "anna", id, CollectionKind::Plain, Utc(1))),
        Write::CreateCollection(calendar),
    ];
    store.commit(batch(vec![Assert::PrincipalFree(name)], writes)).await.unwrap();
    (home, calendar_id)
}

/// The whole change log behind a revision.
pub async fn all_changes(store: &Store, collection: CollectionId, since: Revision) -> Vec<Change> {
    let mut from = since;
    let mut all = Vec::new();
    loop {
        let page = store.changes(collection, from, 3).await.unwrap();
        from = page.rows.last().map_or(from, |change| change.revision);
        all.extend(page.rows);
        if !page.more {
            return all;
        }
    }
}

/// The names in a collection, by paging through the listing.
pub async fn names(store: &Store, collection: CollectionId) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = store.objects(collection, names.last().map(String::as_str), 3).await.unwrap();
        names.extend(page.rows.into_iter().map(|object| object.name));
        if !page.more {
            return names;
        }
    }
}
