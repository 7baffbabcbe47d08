//! Many writers at once.

use std::collections::BTreeMap;

use kalends::base::{CollectionId, ETag, Revision};
use kalends::model::ChangeKind;
use kalends::store::{Assert, CommitError, Engine, Store};
use tokio::task::JoinSet;

use crate::support::{Place, all_changes, batch, found, names, put, runtime};

const WRITERS: u64 = 16;
const ROUNDS: u64 = 30;

/// A writer that changes few names, each time on the condition that nobody was faster.
async fn write(store: Store, id: CollectionId, writer: u64) -> u64 {
    let mut done = 0;
    for round in 0..ROUNDS {
        let name = format!("{}", (writer * 7 + round * 5) % 11);
        let before = store.object(id, &name).await.unwrap();
        let condition = match &before {
            Some(object) => Assert::ObjectIs(id, name.clone(), object.etag),
            None => Assert::NameFree(id, name.clone()),
        };
        let change = match before {
            Some(_) if round % 3 == 0 => crate::support::delete(id, &name),
            _ => put(id, &name, &format!("{writer} {round}")),
        };
        match store.commit(batch(vec![condition], vec![change])).await {
            Ok(_) => done += 1,
            Err(CommitError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    done
}

/// A client that syncs by token all the while, and has at the end what it was told.
async fn follow(store: Store, id: CollectionId, until: tokio::sync::watch::Receiver<bool>) -> BTreeMap<String, ETag> {
    let mut known = BTreeMap::new();
    let mut since = Revision(0);
    loop {
        let last = *until.borrow();
        let (collection, page) = store.delta(id, since, usize::MAX - 1).await.unwrap().unwrap();
        for change in page.rows {
            known.remove(&change.name);
            if change.kind == ChangeKind::Object
                && let Some(object) = store.object(id, &change.name).await.unwrap()
            {
                known.insert(change.name, object.etag);
            }
        }
        since = collection.revision;
        if last {
            return known;
        }
        tokio::task::yield_now().await;
    }
}

fn story(engine: Engine) {
    runtime().block_on(async {
        let place = Place::new(engine);
        let options = kalends::store::Options { tombstones_max: 1_000, ..place.options() };
        let store = Store::open(&options).unwrap();
        let (_, id) = found(&store).await;
        let (ended, until) = tokio::sync::watch::channel(false);
        let follower = tokio::spawn(follow(store.clone(), id, until));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(store.clone(), id, writer));
        }
        let done: u64 = writers.join_all().await.into_iter().sum();
        ended.send(true).unwrap();
        let known = follower.await.unwrap();
        // Every success is one revision, and no failure is any.
        assert_eq!(store.collection(id).await.unwrap().unwrap().revision.0, done);
        let mut listing = BTreeMap::new();
        for name in names(&store, id).await {
            let etag = store.object(id, &name).await.unwrap().unwrap().etag;
            listing.insert(name, etag);
        }
        assert_eq!(known, listing);
        let replayed: Vec<String> = all_changes(&store, id, Revision(0))
            .await
            .into_iter()
            .filter(|change| change.kind == ChangeKind::Object)
            .map(|change| change.name)
            .collect();
        let mut replayed = replayed;
        replayed.sort();
        assert_eq!(replayed, listing.into_keys().collect::<Vec<_>>());
        assert_eq!(store.check().await.unwrap(), []);
    });
}

#[test]
fn sixteen_writers_leave_a_true_log_in_memory() {
    story(Engine::Memory);
}

#[test]
fn sixteen_writers_leave_a_true_log_on_sled() {
    story(Engine::Sled);
}

#[test]
fn sixteen_writers_leave_a_true_log_on_fjall() {
    story(Engine::Fjall);
}
