//! The data directory: who may open it, what is refused, and rewriting it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kalends::base::{CollectionId, Revision};
use kalends::store::{Engine, Options, Store, StoreError};

use crate::support::{OWNER, Place, commit, delete, found, names, put, runtime};

const ON_DISK: [Engine; 2] = [Engine::Sled, Engine::Fjall];

fn refusal(options: &Options) -> StoreError {
    Store::open(options).err().expect("it must be refused")
}

async fn contents(store: &Store, id: CollectionId) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in names(store, id).await {
        let (_, bytes) = store.content(id, &name).await.unwrap().unwrap();
        all.insert(name, bytes.to_vec());
    }
    all
}

/// Copies a directory as a crash would leave it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    for engine in ON_DISK {
        runtime().block_on(async {
            let place = Place::new(engine);
            let store = place.open();
            let (home, id) = found(&store).await;
            commit(&store, vec![put(id, "a", "1"), put(id, "b", "2"), delete(id, "a")]).await.unwrap();
            let before = store.collection(id).await.unwrap().unwrap();
            drop(store);
            let store = place.open();
            let after = store.collection(id).await.unwrap().unwrap();
            assert_eq!(after, before);
            assert!(after.accepts(before.sync_token()));
            commit(&store, vec![put(id, "c", "3")]).await.unwrap();
            let later = store.collection(id).await.unwrap().unwrap();
            assert!(later.accepts(before.sync_token()));
            assert!(later.epoch > before.epoch);
            assert_eq!(contents(&store, id).await.into_keys().collect::<Vec<_>>(), ["b", "c"]);
            let ids = [home, id, store.principal(OWNER).await.unwrap().unwrap().files];
            assert!(ids.iter().all(|used| *used < store.next_collection_id()));
            assert!(store.next_principal_id() > OWNER);
            assert_eq!(store.check().await.unwrap(), []);
        });
    }
}

#[test]
fn a_second_opening_is_refused_and_names_the_first() {
    for engine in ON_DISK {
        let place = Place::new(engine);
        let store = place.open();
        let StoreError::InUse(text) = refusal(&place.options()) else { panic!("another error") };
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(store);
        drop(place.open());
    }
}

#[test]
fn another_engines_directory_is_refused_with_what_to_do() {
    let place = Place::new(Engine::Sled);
    drop(place.open());
    let StoreError::Format(text) = refusal(&Options { engine: Engine::Fjall, ..place.options() }) else { panic!() };
    assert!(text.contains("kalends migrate --to fjall"), "{text}");
}

#[test]
fn a_later_format_is_refused() {
    let place = Place::new(Engine::Sled);
    drop(place.open());
    let marker = place.path().join("kalends.store");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 2")).unwrap();
    let StoreError::Format(text) = refusal(&place.options()) else { panic!() };
    assert!(text.contains("format 2"), "{text}");
}

#[test]
fn a_lost_marker_or_engine_directory_is_refused_and_nothing_is_removed() {
    let place = Place::new(Engine::Sled);
    drop(place.open());
    let (marker, engine) = (place.path().join("kalends.store"), place.path().join("sled-1"));
    let text = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    assert!(matches!(refusal(&place.options()), StoreError::Corrupt(_)));
    assert!(engine.is_dir());
    fs::write(&marker, text).unwrap();
    fs::rename(&engine, place.path().join("elsewhere")).unwrap();
    assert!(matches!(refusal(&place.options()), StoreError::Corrupt(_)));
    assert!(!engine.exists());
}

/// A directory that was made before there were journals gets one, and is held to it from then on: through compaction, restoring
/// and moving between engines as well.
#[test]
fn a_journal_that_was_there_has_to_be_there() {
    let journal = |place: &Place, name: &str| place.path().join(name).join("journal");
    let lost = |place: &Place, options: &Options, name: &str| {
        let path = journal(place, name);
        for damage in ["missing", "empty"] {
            let kept = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            if damage == "empty" {
                fs::write(&path, vec![0; kept.len()]).unwrap();
            }
            let StoreError::Corrupt(text) = refusal(options) else { panic!("another error") };
            assert!(text.contains(damage) && text.contains("--without-journal"), "{text}");
            fs::write(&path, kept).unwrap();
        }
        drop(Store::open(options).unwrap());
    };
    runtime().block_on(async {
        let place = Place::new(Engine::Sled);
        drop(place.open());
        let marker = place.path().join("kalends.store");
        let before = fs::read_to_string(&marker).unwrap().replace("journal yes\n", "");
        fs::write(&marker, before).unwrap();
        fs::remove_file(journal(&place, "sled-1")).unwrap();
        drop(place.open());
        lost(&place, &place.options(), "sled-1");
        let store = place.open();
        store.compact().await.unwrap();
        let copy = Place::new(Engine::Sled);
        let mut restore = Store::restore(&copy.options()).unwrap();
        restore.add(store.snapshot().next_rows(1 << 20).unwrap()).unwrap();
        restore.finish().unwrap();
        drop(store);
        lost(&place, &place.options(), "sled-2");
        lost(&copy, &copy.options(), "sled-1");
        let moved = Place::new(Engine::Fjall);
        let store = moved.open();
        store.migrate(Engine::Sled).await.unwrap();
        drop(store);
        lost(&moved, &Options { engine: Engine::Sled, ..moved.options() }, "sled-2");
    });
}

#[test]
fn damage_in_the_engines_files_is_an_error_and_no_panic() {
    for engine in ON_DISK {
        let place = Place::new(engine);
        let runtime = runtime();
        runtime.block_on(async {
            let store = place.open();
            let (_, id) = found(&store).await;
            for n in 0..50 {
                commit(&store, vec![put(id, &format!("{n}"), &"x".repeat(2_000))]).await.unwrap();
            }
        });
        let torn = tempfile::tempdir().unwrap();
        for (number, damage) in [0_usize, 1, 2].into_iter().enumerate() {
            let dir = torn.path().join(number.to_string());
            copy(place.path(), &dir);
            spoil(&dir, damage);
            // Opening may succeed (what is damaged may be free space) or fail; reading may find it. It must not panic.
            let Ok(store) = Store::open(&Options { dir, ..place.options() }) else { continue };
            runtime.block_on(async {
                if let Err(error) = store.check().await {
                    assert!(!error.to_string().is_empty());
                }
            });
        }
    }
}

/// Damages every large file below: zeroes in the middle, or cut off there, or its beginning overwritten.
fn spoil(dir: &Path, damage: usize) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path, damage);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        if bytes.len() < 4_096 || path.file_name().is_some_and(|name| name == "kalends.store") {
            continue;
        }
        match damage {
            0 => bytes[middle..middle + 1_000].fill(0),
            1 => bytes.truncate(middle),
            _ => bytes[..512].fill(0xa5),
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn compaction_gives_space_back_and_keeps_everything() {
    runtime().block_on(async {
        let place = Place::new(Engine::Sled);
        let store = place.open();
        let (_, id) = found(&store).await;
        // Enough that what is out of date fills some of sled's segments: files that were just opened have an empty one.
        for round in 0..60 {
            let writes = (0..40).map(|n| put(id, &format!("{n}"), &format!("{round}").repeat(2_000))).collect();
            commit(&store, writes).await.unwrap();
        }
        let before = contents(&store, id).await;
        let collection = store.collection(id).await.unwrap().unwrap();
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for n in 0..30 {
                    commit(&store, vec![put(id, &format!("during-{n}"), "x")]).await.unwrap();
                }
            }
        });
        let done = store.compact().await.unwrap();
        assert!(done.bytes_after < done.bytes_before, "{done:?}");
        writer.await.unwrap();
        let mut after = contents(&store, id).await;
        let during = after.split_off("during-");
        assert_eq!(during.len(), 30);
        assert_eq!(after, before);
        assert_eq!(store.check().await.unwrap(), []);
        drop(store);
        assert!(!place.path().join("sled-1").exists());
        let store = place.open();
        assert_eq!(contents(&store, id).await.len(), 70);
        assert_eq!(store.collection(id).await.unwrap().unwrap().revision, Revision(collection.revision.0 + 30));
        assert_eq!(store.check().await.unwrap(), []);
    });
}

#[test]
fn a_store_moves_between_engines_with_everything() {
    runtime().block_on(async {
        for (from, to) in [(Engine::Sled, Engine::Fjall), (Engine::Fjall, Engine::Sled)] {
            let place = Place::new(from);
            let store = place.open();
            let (_, id) = found(&store).await;
            commit(&store, vec![put(id, "a", "1"), put(id, "b", &"2".repeat(100_000))]).await.unwrap();
            let (before, collection) = (contents(&store, id).await, store.collection(id).await.unwrap());
            store.migrate(to).await.unwrap();
            commit(&store, vec![put(id, "c", "3")]).await.unwrap();
            drop(store);
            assert!(matches!(refusal(&place.options()), StoreError::Format(_)));
            let store = Store::open(&Options { engine: to, ..place.options() }).unwrap();
            let mut after = contents(&store, id).await;
            assert!(after.remove("c").is_some());
            assert_eq!(after, before);
            let token = collection.unwrap().sync_token();
            assert!(store.collection(id).await.unwrap().unwrap().accepts(token));
            assert_eq!(store.check().await.unwrap(), []);
        }
    });
}

#[test]
fn leftovers_of_a_rewriting_that_was_cut_off_do_no_harm() {
    runtime().block_on(async {
        let place = Place::new(Engine::Sled);
        let store = place.open();
        let (_, id) = found(&store).await;
        commit(&store, vec![put(id, "a", "1")]).await.unwrap();
        drop(store);
        let old = tempfile::tempdir().unwrap();
        copy(place.path(), old.path());
        // Cut off before the rename: a half-written copy beside the truth.
        fs::create_dir(place.path().join("sled-2")).unwrap();
        fs::write(place.path().join("sled-2/db"), b"half").unwrap();
        fs::write(place.path().join("kalends.store.new"), b"half").unwrap();
        let store = place.open();
        assert_eq!(names(&store, id).await, ["a"]);
        assert!(!place.path().join("sled-2").exists());
        // Cut off after the rename: the old files still there.
        store.compact().await.unwrap();
        drop(store);
        copy(&old.path().join("sled-1"), &place.path().join("sled-1"));
        let store = place.open();
        assert_eq!(names(&store, id).await, ["a"]);
        assert!(!place.path().join("sled-1").exists());
    });
}

#[test]
fn an_opening_that_was_cut_off_costs_nothing() {
    runtime().block_on(async {
        let place = Place::new(Engine::Sled);
        let store = place.open();
        let (_, id) = found(&store).await;
        commit(&store, vec![put(id, "a", "1")]).await.unwrap();
        drop(store);
        // A full disk, or a kill, while sled sums up its log at an opening: a file that never got its name.
        for half in [&b""[..], b"half of it, and more than twelve bytes"] {
            fs::write(place.path().join("sled-1/snap.00000000FFFFFFFF.generating"), half).unwrap();
            let store = place.open();
            assert_eq!(names(&store, id).await, ["a"]);
            assert_eq!(store.check().await.unwrap(), []);
        }
    });
}

#[test]
fn a_first_start_that_was_cut_off_begins_again() {
    let place = Place::new(Engine::Sled);
    fs::write(place.path().join("kalends.store"), "format 1\nengine sled\ndirectory sled-1\nstate new\n").unwrap();
    fs::create_dir(place.path().join("sled-1")).unwrap();
    fs::write(place.path().join("sled-1/db"), b"half").unwrap();
    runtime().block_on(async {
        let store = place.open();
        found(&store).await;
        assert_eq!(store.check().await.unwrap(), []);
    });
}

#[test]
fn a_snapshot_is_one_state_while_writers_go_on_and_can_be_restored() {
    for engine in [Engine::Memory, Engine::Sled, Engine::Fjall] {
        runtime().block_on(async {
            let place = Place::new(engine);
            let store = place.open();
            let (_, id) = found(&store).await;
            for n in 0..60 {
                commit(&store, vec![put(id, &format!("{n:02}"), &"old ".repeat(100))]).await.unwrap();
            }
            let (before, collection) = (contents(&store, id).await, store.collection(id).await.unwrap());
            let mut snapshot = store.snapshot();
            let copy = Place::new(if engine == Engine::Memory { Engine::Sled } else { engine });
            let mut restore = Store::restore(&copy.options()).unwrap();
            for n in 0.. {
                let rows = snapshot.next_rows(3_000).unwrap();
                if rows.is_empty() {
                    break;
                }
                restore.add(rows).unwrap();
                commit(&store, vec![put(id, &format!("{:02}", 59 - n % 60), "new"), put(id, &format!("x{n}"), "new")])
                    .await
                    .unwrap();
                commit(&store, vec![delete(id, &format!("{:02}", n * 7 % 60))]).await.unwrap();
            }
            restore.finish().unwrap();
            let restored = copy.open();
            assert_eq!(contents(&restored, id).await, before);
            assert_eq!(restored.collection(id).await.unwrap(), collection);
            assert_eq!(restored.check().await.unwrap(), []);
            assert_eq!(store.check().await.unwrap(), []);
            assert!(Store::restore(&copy.options()).is_err());
        });
    }
}

#[test]
fn a_restore_that_was_cut_off_leaves_nothing() {
    runtime().block_on(async {
        let place = Place::new(Engine::Sled);
        let store = place.open();
        found(&store).await;
        let copy = Place::new(Engine::Sled);
        let mut restore = Store::restore(&copy.options()).unwrap();
        restore.add(store.snapshot().next_rows(1).unwrap()).unwrap();
        drop(restore);
        let fresh = copy.open();
        assert!(fresh.principals(None, 10).await.unwrap().rows.is_empty());
    });
}
