//! Each promise of the contract by an example, on every engine.

use kalends::base::{CollectionId, ETag, LockToken, PrincipalId, Revision, Secret, Utc};
use kalends::model::{
    ChangeKind, Collection, CollectionKind, Credentials, EventKind, Lock, LockDepth, LockScope, Principal, UserName,
};
use kalends::store::{Assert, CommitError, Draft, Engine, Write};

use crate::support::{OWNER, Place, all_changes, batch, calendar, commit, delete, found, names, object, put, runtime};

/// Makes one test of `$body` for each engine.
macro_rules! on_every_engine {
    ($($(#[$doc:meta])* fn $name:ident($place:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn story($place: Place) $body

            #[test]
            fn on_memory() {
                runtime().block_on(story(Place::new(Engine::Memory)));
            }

            #[test]
            fn on_sled() {
                runtime().block_on(story(Place::new(Engine::Sled)));
            }

            #[test]
            fn on_fjall() {
                runtime().block_on(story(Place::new(Engine::Fjall)));
            }
        }
    )*};
}

fn failure(error: CommitError) -> (Assert, Option<String>) {
    match error {
        CommitError::Failed { assert, found } => (assert, found),
        CommitError::Store(error) => panic!("{error}"),
    }
}

on_every_engine! {
    fn an_object_comes_back_as_it_went(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        commit(&store, vec![put(id, "a.ics", "BEGIN:VCALENDAR")]).await.unwrap();
        let (object, bytes) = store.content(id, "a.ics").await.unwrap().unwrap();
        assert_eq!(&bytes[..], b"BEGIN:VCALENDAR");
        assert_eq!(object.etag, ETag::of(&bytes));
        assert_eq!((object.size, object.revision, object.uid()), (15, Revision(1), Some("uid-a.ics")));
        assert_eq!(store.name_of_uid(id, "uid-a.ics").await.unwrap().as_deref(), Some("a.ics"));
        assert_eq!(store.usage(OWNER).await.unwrap(), 15);
        let calendar = store.collection(id).await.unwrap().unwrap();
        assert_eq!((calendar.objects, calendar.bytes, calendar.modified), (1, 15, Utc(5_000)));
        assert!(store.content(id, "b.ics").await.unwrap().is_none());
        assert!(store.object(CollectionId(99), "a.ics").await.unwrap().is_none());
    }

    fn large_values_come_back(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        let large = "x".repeat(3 << 20);
        commit(&store, vec![put(id, "large", &large)]).await.unwrap();
        drop(store);
        if place.engine != Engine::Memory {
            let (_, bytes) = place.open().content(id, "large").await.unwrap().unwrap();
            assert_eq!(bytes.len(), large.len());
        }
    }

    fn assertions_stop_a_batch_whole(place) {
        let store = place.open();
        let (home, id) = found(&store).await;
        let before = Collection::clone(&store.collection(id).await.unwrap().unwrap());
        let retitled = Collection { display_name: Some("Other".into()), ..before.clone() };
        let renamed = Collection { name: "other".into(), ..before.clone() };
        commit(&store, vec![put(id, "a", "one")]).await.unwrap();
        let tag = ETag::of(b"one");
        let anna = store.principal(OWNER).await.unwrap().unwrap();
        let other = Principal { admin: !anna.admin, ..Principal::clone(&anna) };
        let locked = Credentials { password: Some("x".into()), ..Credentials::default() };
        let holding = vec![
            Assert::ObjectIs(id, "a".into(), tag),
            Assert::ObjectAt(id, "a".into(), Revision(1)),
            Assert::ObjectPresent(id, "a".into()),
            Assert::NameFree(id, "b".into()),
            Assert::UidFree(id, "uid-a".into(), Some("a".into())),
            Assert::UidFree(id, "uid-b".into(), None),
            Assert::CollectionPresent(id),
            Assert::CollectionAt(id, Revision(1)),
            // A member came since.
            Assert::CollectionIs(Secret::new(Box::new(before))),
            Assert::ObjectsBelow(id, 2),
            Assert::UsageAtMost(OWNER, 3),
            Assert::PrincipalPresent(OWNER),
            Assert::PrincipalIs(Secret::new(Box::new(Principal::clone(&anna)))),
            Assert::CredentialsAre(OWNER, Credentials::default()),
            Assert::PrincipalFree(UserName::new("bert").unwrap()),
        ];
        store.commit(batch(holding, Vec::new())).await.unwrap();
        let failing = vec![
            (Assert::ObjectIs(id, "a".into(), ETag::of(b"two")), None),
            (Assert::ObjectIs(id, "b".into(), tag), None),
            (Assert::ObjectAt(id, "a".into(), Revision(2)), None),
            (Assert::ObjectAt(id, "b".into(), Revision(1)), None),
            (Assert::PrincipalIs(Secret::new(Box::new(other))), None),
            (Assert::CredentialsAre(OWNER, locked), None),
            (Assert::CredentialsAre(PrincipalId(99), Credentials::default()), None),
            (Assert::ObjectPresent(id, "b".into()), None),
            (Assert::NameFree(id, "a".into()), None),
            (Assert::NameFree(home, "default".into()), None),
            (Assert::UidFree(id, "uid-a".into(), Some("b".into())), Some("a".to_owned())),
            (Assert::CollectionPresent(CollectionId(99)), None),
            (Assert::CollectionAt(id, Revision(0)), None),
            (Assert::CollectionIs(Secret::new(Box::new(retitled))), None),
            (Assert::CollectionIs(Secret::new(Box::new(renamed))), None),
            (Assert::CollectionEmpty(id), None),
            (Assert::CollectionEmpty(home), None),
            (Assert::ObjectsBelow(id, 1), None),
            (Assert::UsageAtMost(OWNER, 5), None),
            (Assert::PrincipalFree(UserName::new("Anna").unwrap()), None),
        ];
        for (assert, finding) in failing {
            let writes = vec![put(id, "b", "six"), delete(id, "nothing")];
            let error = store.commit(batch(vec![assert.clone()], writes)).await.unwrap_err();
            assert_eq!(failure(error), (assert, finding));
        }
        assert_eq!(names(&store, id).await, ["a"]);
        assert_eq!(store.collection(id).await.unwrap().unwrap().revision, Revision(1));
        assert_eq!(store.usage(OWNER).await.unwrap(), 3);
    }

    fn writes_that_cannot_be_done_fail_whole(place) {
        let store = place.open();
        let (home, id) = found(&store).await;
        let gone = CollectionId(99);
        let error = commit(&store, vec![put(id, "a", "1"), put(gone, "b", "2")]).await.unwrap_err();
        assert_eq!(failure(error).0, Assert::CollectionPresent(gone));
        let error = commit(&store, vec![put(home, "default", "1")]).await.unwrap_err();
        assert_eq!(failure(error).0, Assert::NameFree(home, "default".into()));
        let error = commit(&store, vec![Write::PutObjectRow(id, object("a", None, b""))]).await.unwrap_err();
        assert_eq!(failure(error).0, Assert::ObjectPresent(id, "a".into()));
        let again = calendar(&store, home, "default");
        let error = commit(&store, vec![Write::CreateCollection(again)]).await.unwrap_err();
        assert_eq!(failure(error).0, Assert::NameFree(home, "default".into()));
        assert!(names(&store, id).await.is_empty());
    }

    fn the_log_tells_of_each_member_once(place) {
        let store = place.open();
        let (home, id) = found(&store).await;
        for name in ["a", "b", "c"] {
            commit(&store, vec![put(id, name, "1")]).await.unwrap();
        }
        commit(&store, vec![put(id, "a", "2"), delete(id, "b"), delete(id, "c"), put(id, "c", "3")]).await.unwrap();
        let kinds = |changes: Vec<kalends::model::Change>| -> Vec<(u64, String, ChangeKind)> {
            changes.into_iter().map(|change| (change.revision.0, change.name, change.kind)).collect()
        };
        let expected = vec![
            (4, "a".to_owned(), ChangeKind::Object),
            (5, "b".to_owned(), ChangeKind::Deleted),
            (7, "c".to_owned(), ChangeKind::Object),
        ];
        assert_eq!(kinds(all_changes(&store, id, Revision(1)).await), expected);
        assert_eq!(kinds(all_changes(&store, id, Revision(0)).await), expected);
        assert_eq!(kinds(all_changes(&store, id, Revision(5)).await), expected[2..]);
        assert!(all_changes(&store, id, Revision(7)).await.is_empty());
        let above = kinds(all_changes(&store, home, Revision(0)).await);
        assert_eq!(above, [(8, "default".to_owned(), ChangeKind::Collection)]);
    }

    fn forgotten_deletions_raise_the_floor(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        for n in 0..8 {
            commit(&store, vec![put(id, &format!("{n}"), "1")]).await.unwrap();
        }
        let before = store.collection(id).await.unwrap().unwrap().sync_token();
        for n in 0..7 {
            commit(&store, vec![delete(id, &format!("{n}"))]).await.unwrap();
        }
        let calendar = store.collection(id).await.unwrap().unwrap();
        // Revisions 9 to 15 are deletions, and five are remembered: 11 to 15.
        assert_eq!((calendar.log_floor, calendar.tombstones), (Revision(10), 5));
        assert!(!calendar.accepts(before));
        let at = |revision| kalends::model::SyncToken { revision: Revision(revision), ..before };
        assert!(!calendar.accepts(at(9)));
        assert!(calendar.accepts(at(10)));
        assert!(!calendar.accepts(at(16)));
        assert_eq!(all_changes(&store, id, Revision(10)).await.len(), 5);
        commit(&store, vec![put(id, "6", "again")]).await.unwrap();
        assert_eq!(store.collection(id).await.unwrap().unwrap().tombstones, 4);
    }

    fn collections_move_and_go_with_all_in_them(place) {
        let store = place.open();
        let (home, id) = found(&store).await;
        let files = store.principal(OWNER).await.unwrap().unwrap().files;
        let plain = |parent, name: &str| kalends::model::Collection::new(
            store.next_collection_id(), Some(parent), name, OWNER, CollectionKind::Plain, Utc(1),
        );
        let (one, two) = (plain(files, "one"), plain(files, "two"));
        let inner = plain(one.id, "inner");
        let (one_id, two_id, inner_id) = (one.id, two.id, inner.id);
        let makes = [one, two, inner].into_iter().map(Write::CreateCollection).collect();
        commit(&store, makes).await.unwrap();
        commit(&store, vec![put(inner_id, "file", "12345"), put(id, "event", "123")]).await.unwrap();
        assert_eq!(store.usage(OWNER).await.unwrap(), 8);
        commit(&store, vec![Write::MoveCollection(one_id, two_id, "eins".into())]).await.unwrap();
        assert!(store.child(files, "one").await.unwrap().is_none());
        let moved = store.child(two_id, "eins").await.unwrap().unwrap();
        assert_eq!((moved.id, moved.parent), (one_id, Some(two_id)));
        let error = commit(&store, vec![Write::MoveCollection(two_id, inner_id, "x".into())]).await.unwrap_err();
        assert_eq!(failure(error).0, Assert::NameFree(inner_id, "x".into()));
        let changes = all_changes(&store, files, Revision(0)).await;
        let told: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.kind)).collect();
        assert_eq!(told, [("one", ChangeKind::Deleted), ("two", ChangeKind::Collection)]);
        let lock = Lock {
            token: LockToken("urn:uuid:1".into()), principal: OWNER, collection: inner_id, member: None,
            scope: LockScope::Exclusive, depth: LockDepth::Zero, owner: None, expires: Utc(9),
        };
        commit(&store, vec![Write::PutLock(lock.clone())]).await.unwrap();
        assert_eq!(store.locks().await.unwrap(), [lock]);
        commit(&store, vec![Write::DeleteCollection(two_id)]).await.unwrap();
        for gone in [one_id, two_id, inner_id] {
            assert!(store.collection(gone).await.unwrap().is_none());
        }
        assert!(store.children(files).await.unwrap().is_empty());
        assert!(store.locks().await.unwrap().is_empty());
        assert_eq!(store.usage(OWNER).await.unwrap(), 3);
        let token = store.collection(id).await.unwrap().unwrap().sync_token();
        commit(&store, vec![Write::DeleteCollection(id)]).await.unwrap();
        assert_eq!(store.usage(OWNER).await.unwrap(), 0);
        let again = calendar(&store, home, "default");
        let again_id = again.id;
        commit(&store, vec![Write::CreateCollection(again)]).await.unwrap();
        assert_ne!(again_id, id);
        let fresh = store.collection(again_id).await.unwrap().unwrap();
        assert!(!fresh.accepts(token));
        assert!(fresh.accepts(fresh.sync_token()));
    }

    fn events_are_read_in_order_and_trimmed(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        for n in 0..5 {
            let mut batch = batch(Vec::new(), vec![put(id, &format!("{n}"), "1")]);
            let kind = EventKind::ObjectCreated { name: format!("{n}"), uid: None, etag: ETag::of(b"1") };
            batch.events.push(Draft { owner: OWNER, collection: id, kind });
            store.commit(batch).await.unwrap();
        }
        let page = store.events(1, 3).await.unwrap();
        assert!(page.more);
        let numbers: Vec<_> = page.rows.iter().map(|event| (event.seq, event.revision.0)).collect();
        assert_eq!(numbers, [(2, 2), (3, 3), (4, 4)]);
        commit(&store, vec![Write::TrimEvents(5)]).await.unwrap();
        assert!(store.events(0, 10).await.unwrap().rows.is_empty());
        let mut last = batch(Vec::new(), vec![Write::DeleteCollection(id)]);
        let kind = EventKind::CalendarDeleted { name: "default".into() };
        last.events.push(Draft { owner: OWNER, collection: id, kind });
        store.commit(last).await.unwrap();
        let page = store.events(5, 10).await.unwrap();
        assert_eq!((page.rows[0].seq, page.rows[0].revision), (6, Revision(6)));
    }

    fn a_rename_keeps_the_uid_findable(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        let with_uid = |name: &str| Write::PutObject(id, object(name, Some("uid"), b"x"), "x".into());
        commit(&store, vec![with_uid("old")]).await.unwrap();
        commit(&store, vec![with_uid("new"), delete(id, "old")]).await.unwrap();
        assert_eq!(store.name_of_uid(id, "uid").await.unwrap().as_deref(), Some("new"));
        commit(&store, vec![delete(id, "new"), with_uid("newer")]).await.unwrap();
        assert_eq!(store.name_of_uid(id, "uid").await.unwrap().as_deref(), Some("newer"));
    }

    fn pages_of_content_end_by_count_and_bytes(place) {
        let store = place.open();
        let (_, id) = found(&store).await;
        let writes = (0..6).map(|n| put(id, &format!("{n}"), "12345")).collect();
        commit(&store, writes).await.unwrap();
        let page = store.objects_with_content(id, None, 4, 1_000).await.unwrap();
        assert_eq!((page.rows.len(), page.more), (4, true));
        let page = store.objects_with_content(id, Some("3"), 4, 1_000).await.unwrap();
        assert_eq!((page.rows.len(), page.more), (2, false));
        let page = store.objects_with_content(id, None, 6, 7).await.unwrap();
        assert_eq!((page.rows.len(), page.more), (2, true));
        let some = store.contents(id, &["5", "nothing", "0"]).await.unwrap();
        assert_eq!(some.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }
}
