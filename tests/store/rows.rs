//! Rows of services: kept, asserted, listed, counted, and taken along wherever all rows go.

use std::io::Cursor;

use bytes::Bytes;
use kalends::model::Shelf;
use kalends::store::{Assert, CommitError, Engine, Store, Write, restore_backup};

use crate::support::{Place, batch, commit, found, put, runtime};

const ENGINES: [Engine; 3] = [Engine::Memory, Engine::Sled, Engine::Fjall];

fn keep(shelf: Shelf, key: &[u8], row: &str) -> Write {
    Write::PutRow(shelf, key.to_vec(), Bytes::copy_from_slice(row.as_bytes()))
}

async fn all(store: &Store, shelf: Shelf) -> Vec<(Vec<u8>, Bytes)> {
    store.rows(shelf, Shelf::whole(), 1_000).await.unwrap().rows
}

fn row(key: &[u8], value: &str) -> (Vec<u8>, Bytes) {
    (key.to_vec(), Bytes::copy_from_slice(value.as_bytes()))
}

#[test]
fn rows_are_kept_listed_and_deleted_with_the_rest_of_the_batch() {
    for engine in ENGINES {
        let place = Place::new(engine);
        let mut store = place.open();
        runtime().block_on(async {
            let (_, id) = found(&store).await;
            let writes = vec![
                put(id, "a.ics", "x"),
                keep(Shelf::Records, b"b1", "one"),
                keep(Shelf::Records, b"b2", "two"),
                keep(Shelf::Records, b"c", "three"),
                keep(Shelf::Records, &[u8::MAX, u8::MAX], "last"),
                keep(Shelf::Meetings, b"b1", "other"),
            ];
            commit(&store, writes).await.unwrap();
            let revision = store.collection(id).await.unwrap().unwrap().revision;
            if engine != Engine::Memory {
                drop(store);
                store = place.open();
            }
            assert_eq!(store.row(Shelf::Records, b"b1").await.unwrap().as_deref(), Some(&b"one"[..]));
            assert_eq!(store.row(Shelf::Records, b"b").await.unwrap(), None);
            let found = store.rows_at(Shelf::Records, &[b"c", b"x"]).await.unwrap();
            assert_eq!(found, [Some(Bytes::from_static(b"three")), None]);
            let page = store.rows(Shelf::Records, Shelf::prefix(b"b"), 1).await.unwrap();
            assert_eq!((page.rows, page.more), (vec![row(b"b1", "one")], true));
            let page = store.rows(Shelf::Records, b"b1\0".to_vec()..Vec::new(), 9).await.unwrap();
            let rest = vec![row(b"b2", "two"), row(b"c", "three"), row(&[u8::MAX, u8::MAX], "last")];
            assert_eq!((page.rows, page.more), (rest, false));
            assert_eq!(all(&store, Shelf::Meetings).await, [row(b"b1", "other")]);
            let gone = vec![
                Write::DeleteRow(Shelf::Records, b"b1".to_vec()),
                Write::DeleteRow(Shelf::Records, b"nothing".to_vec()),
                keep(Shelf::Records, b"c", "3"),
            ];
            assert_eq!(commit(&store, gone).await.unwrap().collections, []);
            assert_eq!(store.row(Shelf::Records, b"b1").await.unwrap(), None);
            let calendar = store.collection(id).await.unwrap().unwrap();
            assert_eq!(calendar.revision, revision, "rows are no change of a calendar");
            assert_eq!(store.check().await.unwrap(), []);
        });
    }
}

#[test]
fn a_row_that_is_not_what_its_reader_saw_stops_the_batch_and_is_not_told() {
    for engine in ENGINES {
        let place = Place::new(engine);
        let store = place.open();
        runtime().block_on(async {
            let (_, id) = found(&store).await;
            let is = |row: Option<&'static str>| {
                Assert::RowIs(Shelf::Cursors, b"k".to_vec(), row.map(|row| Bytes::from_static(row.as_bytes())))
            };
            let writes = |row: &str| vec![put(id, "a.ics", row), keep(Shelf::Cursors, b"k", row)];
            store.commit(batch(vec![is(None)], writes("1"))).await.unwrap();
            store.commit(batch(vec![is(Some("1"))], writes("2"))).await.unwrap();
            for seen in [None, Some("1")] {
                let error = store.commit(batch(vec![is(seen)], writes("3"))).await.unwrap_err();
                let CommitError::Failed { assert, .. } = error else { panic!("{error}") };
                assert_eq!(assert, is(None), "the row's bytes stay out of errors");
            }
            assert_eq!(store.row(Shelf::Cursors, b"k").await.unwrap().as_deref(), Some(&b"2"[..]));
            assert_eq!(&store.content(id, "a.ics").await.unwrap().unwrap().1[..], b"2");
            store
                .commit(batch(vec![is(Some("2"))], vec![Write::DeleteRow(Shelf::Cursors, b"k".to_vec())]))
                .await
                .unwrap();
            store.commit(batch(vec![is(None)], Vec::new())).await.unwrap();
            assert_eq!(store.check().await.unwrap(), []);
        });
    }
}

#[test]
fn rows_go_along_in_backups_compaction_and_migration() {
    let place = Place::new(Engine::Sled);
    let store = place.open();
    runtime().block_on(async {
        found(&store).await;
        let writes: Vec<Write> = (0..500_u32).map(|n| keep(Shelf::Deliveries, &n.to_be_bytes(), "row")).collect();
        commit(&store, writes).await.unwrap();
        let before = all(&store, Shelf::Deliveries).await;
        let (mut backup, mut file) = (store.backup(), Vec::new());
        commit(&store, vec![keep(Shelf::Deliveries, b"later", "row")]).await.unwrap();
        while let Some(piece) = backup.next_piece().unwrap() {
            file.extend(piece);
        }
        let other = Place::new(Engine::Fjall);
        restore_backup(&mut Cursor::new(file), &other.options()).unwrap();
        let restored = other.open();
        assert_eq!(all(&restored, Shelf::Deliveries).await, before);
        assert_eq!(restored.check().await.unwrap(), []);
        let now = all(&store, Shelf::Deliveries).await;
        store.compact().await.unwrap();
        assert_eq!(all(&store, Shelf::Deliveries).await, now);
        store.migrate(Engine::Fjall).await.unwrap();
        assert_eq!(all(&store, Shelf::Deliveries).await, now);
        assert_eq!(store.check().await.unwrap(), []);
    });
}
