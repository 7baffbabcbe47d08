//! Failing storage and lost power.

use std::sync::Arc;

use kalends::base::{CollectionId, Revision};
use kalends::model::{EventKind, SyncToken};
use kalends::store::kv::{Fault, Faulty, Memory};
use kalends::store::{CommitError, Draft, Engine, Options, Store, StoreError};

use crate::support::{OWNER, Place, batch, commit, delete, found, names, options, put, runtime};

fn in_memory() -> Options {
    options(std::path::Path::new("unused"), Engine::Memory)
}

fn store_error(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        CommitError::Failed { assert, .. } => panic!("{assert:?} failed"),
    }
}

#[test]
fn a_failed_write_ends_writing_and_not_reading() {
    for fault in [Fault::Ahead, Fault::Apply, Fault::Sync] {
        runtime().block_on(async {
            let engine = Arc::new(Faulty::new(Arc::new(Memory::default())));
            let store = Store::open_on(engine.clone(), &in_memory()).unwrap();
            let (_, id) = found(&store).await;
            commit(&store, vec![put(id, "a", "1")]).await.unwrap();
            engine.fail(fault, StoreError::Full("no space".to_owned()));
            let error = commit(&store, vec![put(id, "b", "2")]).await.unwrap_err();
            assert!(matches!(store_error(error), StoreError::Full(_)));
            engine.heal();
            let error = commit(&store, vec![put(id, "c", "3")]).await.unwrap_err();
            assert!(matches!(store_error(error), StoreError::ReadOnly(_)));
            let (_, bytes) = store.content(id, "a").await.unwrap().unwrap();
            assert_eq!(&bytes[..], b"1");
            drop(store);
            let store = Store::open_on(engine, &in_memory()).unwrap();
            commit(&store, vec![put(id, "c", "3")]).await.unwrap();
            assert!(names(&store, id).await.contains(&"a".to_owned()));
            assert_eq!(store.check().await.unwrap(), []);
        });
    }
}

#[test]
fn a_failed_read_fails_the_batch_and_nothing_else() {
    runtime().block_on(async {
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default())));
        let store = Store::open_on(engine.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        engine.fail(Fault::Read, StoreError::Corrupt("a damaged page".to_owned()));
        assert!(store.object(id, "a").await.is_err());
        let error = commit(&store, vec![put(id, "a", "1")]).await.unwrap_err();
        assert!(matches!(store_error(error), StoreError::Corrupt(_)));
        engine.heal();
        commit(&store, vec![put(id, "a", "1")]).await.unwrap();
        assert_eq!(store.collection(id).await.unwrap().unwrap().revision, Revision(1));
        assert_eq!(store.check().await.unwrap(), []);
    });
}

/// A token of a state that was seen and then lost in a power cut names no state of the time after it.
#[test]
fn tokens_of_lost_states_are_refused() {
    runtime().block_on(async {
        let memory = Arc::new(Memory::default());
        let engine = Arc::new(Faulty::new(memory.clone()));
        let store = Store::open_on(engine.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        commit(&store, vec![put(id, "a", "1")]).await.unwrap();
        let durable = store.collection(id).await.unwrap().unwrap().sync_token();
        engine.fail(Fault::Sync, StoreError::Io("the disk is gone".to_owned()));
        commit(&store, vec![put(id, "lost", "2")]).await.unwrap_err();
        let lost = store.collection(id).await.unwrap().unwrap().sync_token();
        assert_eq!(lost.revision, Revision(2));
        drop(store);
        engine.heal();
        memory.power_cut();
        let store = Store::open_on(engine, &in_memory()).unwrap();
        assert_eq!(names(&store, id).await, ["a"]);
        assert!(accepts(&store, id, durable).await);
        assert!(!accepts(&store, id, lost).await);
        commit(&store, vec![put(id, "other", "3")]).await.unwrap();
        assert_eq!(store.collection(id).await.unwrap().unwrap().revision, lost.revision);
        assert!(accepts(&store, id, durable).await);
        assert!(!accepts(&store, id, lost).await);
        assert_eq!(store.check().await.unwrap(), []);
    });
}

async fn accepts(store: &Store, id: CollectionId, token: SyncToken) -> bool {
    store.collection(id).await.unwrap().unwrap().accepts(token)
}

/// A client that missed a deletion is never told that it missed nothing, however often the server restarts.
#[test]
fn openings_beyond_those_remembered_are_refused() {
    runtime().block_on(async {
        let memory = Arc::new(Memory::default());
        let mut store = Store::open_on(memory.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        let mut tokens = Vec::new();
        for n in 0..80 {
            commit(&store, vec![put(id, "a", &format!("{n}"))]).await.unwrap();
            tokens.push(store.collection(id).await.unwrap().unwrap().sync_token());
            drop(store);
            store = Store::open_on(memory.clone(), &in_memory()).unwrap();
        }
        let collection = store.collection(id).await.unwrap().unwrap();
        assert_eq!(collection.epochs.len(), 64);
        let accepted: Vec<bool> = tokens.iter().map(|token| collection.accepts(*token)).collect();
        assert_eq!(accepted, (0..80).map(|n| n >= 16).collect::<Vec<_>>());
    });
}

#[test]
fn power_cuts_leave_whole_batches() {
    runtime().block_on(async {
        let memory = Arc::new(Memory::default());
        let engine = Arc::new(Faulty::new(memory.clone()));
        let mut store = Store::open_on(engine.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        let mut acknowledged = 0;
        for n in 0..40_u64 {
            if n % 5 == 4 {
                engine.fail(Fault::Sync, StoreError::Io("power".to_owned()));
            }
            let both = vec![put(id, &format!("{n}-one"), "1"), put(id, &format!("{n}-two"), "2")];
            match commit(&store, both).await {
                Ok(_) => acknowledged += 2,
                Err(_) => {
                    drop(store);
                    memory.power_cut();
                    engine.heal();
                    store = Store::open_on(engine.clone(), &in_memory()).unwrap();
                }
            }
            assert_eq!(names(&store, id).await.len(), acknowledged);
            assert_eq!(store.check().await.unwrap(), []);
        }
    });
}

/// A copy that was begun before would hold the part of the failed group that it had yet to copy.
#[test]
fn a_failed_write_ends_the_rewriting_under_way() {
    let place = Place::new(Engine::Sled);
    drop(place.open());
    runtime().block_on(async {
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default())).posing_as(Engine::Sled));
        let store = Store::open_on(engine.clone(), &place.options()).unwrap();
        let (_, id) = found(&store).await;
        let text = "x".repeat(20_000);
        for n in 0..40 {
            commit(&store, (0..25).map(|m| put(id, &format!("{n}-{m}"), &text)).collect()).await.unwrap();
        }
        engine.fail(Fault::Sync, StoreError::Io("the disk is gone".to_owned()));
        // Both wait in the queue before the first piece is copied.
        let (rewritten, written) = tokio::join!(store.compact(), commit(&store, vec![put(id, "new", "1")]));
        assert!(written.is_err());
        assert!(rewritten.is_err(), "{rewritten:?}");
    });
    let store = place.open();
    assert_eq!(runtime().block_on(store.check()).unwrap(), [], "the old files are still the truth");
}

/// Nobody hears of what might still be lost.
#[test]
fn events_are_told_when_they_are_durable() {
    runtime().block_on(async {
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default())));
        let store = Store::open_on(engine.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        let created = |name: &str| {
            let mut batch = batch(Vec::new(), vec![put(id, name, "1")]);
            let kind = EventKind::CalendarUpdated { name: name.to_owned() };
            batch.events.push(Draft { owner: OWNER, collection: id, kind });
            batch
        };
        store.commit(created("a")).await.unwrap();
        engine.fail(Fault::Sync, StoreError::Io("the disk is gone".to_owned()));
        store.commit(created("b")).await.unwrap_err();
        let page = store.events(0, 10).await.unwrap();
        assert_eq!((page.rows.len(), page.more), (1, false));
    });
}

/// Deleting a large calendar leaves its rows to be removed step by step, over a restart too.
#[test]
fn the_rows_of_a_deleted_collection_go_away() {
    runtime().block_on(async {
        let memory = Arc::new(Memory::default());
        let store = Store::open_on(memory.clone(), &in_memory()).unwrap();
        let (_, id) = found(&store).await;
        let empty = row_count(&store).await;
        let writes = (0..1_500).map(|n| put(id, &format!("{n}"), "x")).collect();
        commit(&store, writes).await.unwrap();
        commit(&store, (0..10).map(|n| delete(id, &format!("{n}"))).collect()).await.unwrap();
        commit(&store, vec![kalends::store::Write::DeleteCollection(id)]).await.unwrap();
        drop(store);
        let store = Store::open_on(memory, &in_memory()).unwrap();
        for _ in 0..12_000 {
            if row_count(&store).await <= empty + 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // One collection less, one child less; a deletion in the home's log more.
        assert!(row_count(&store).await <= empty + 2);
        assert_eq!(store.check().await.unwrap(), []);
    });
}

async fn row_count(store: &Store) -> usize {
    let mut snapshot = store.snapshot();
    let mut count = 0;
    loop {
        let rows = snapshot.next_rows(1 << 20).unwrap();
        if rows.is_empty() {
            return count;
        }
        count += rows.len();
    }
}
