//! Random histories against a plain model of what the store promises.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalends::base::{CollectionId, Revision, Utc};
use kalends::model::{ChangeKind, Collection, CollectionKind, SyncToken};
use kalends::store::{Assert, Engine, Store, Write};
use proptest::prelude::*;

use crate::support::{OWNER, Place, all_changes, batch, found, names, object, runtime};

/// How many deletions the stores of these tests remember.
const TOMBSTONES_MAX: usize = 5;

/// One step of a history. Numbers choose among the collections there are, and among few names, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, u8, String),
    PutRow(usize, u8),
    Delete(usize, u8),
    Make(usize, u8),
    Move(usize, usize, u8),
    Remove(usize),
    Update(usize),
    /// An assertion that the name is free: it fails as often as not.
    Expect(usize, u8),
}

#[derive(Debug, Clone)]
enum Event {
    Batch(Vec<Step>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (at, name) = (0..6_usize, 0..5_u8);
    prop_oneof![
        6 => (at.clone(), name.clone(), "[a-z]{0,30}").prop_map(|(at, name, content)| Step::Put(at, name, content)),
        1 => (at.clone(), name.clone()).prop_map(|(at, name)| Step::PutRow(at, name)),
        4 => (at.clone(), name.clone()).prop_map(|(at, name)| Step::Delete(at, name)),
        2 => (at.clone(), name.clone()).prop_map(|(at, name)| Step::Make(at, name)),
        1 => (at.clone(), at.clone(), name.clone()).prop_map(|(at, to, name)| Step::Move(at, to, name)),
        1 => at.clone().prop_map(Step::Remove),
        1 => at.clone().prop_map(Step::Update),
        1 => (at, name).prop_map(|(at, name)| Step::Expect(at, name)),
    ]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => prop::collection::vec(step(), 1..4).prop_map(Event::Batch),
        1 => Just(Event::Reopen),
    ];
    prop::collection::vec(event, 1..40)
}

#[derive(Debug, Clone, PartialEq)]
enum Member {
    Object(String),
    Collection(CollectionId),
}

#[derive(Debug, Clone, Default)]
struct Folder {
    place: Option<(CollectionId, String)>,
    members: BTreeMap<String, (Member, u64)>,
    gone: BTreeMap<String, u64>,
    revision: u64,
    floor: u64,
}

/// What the store should hold.
#[derive(Debug, Clone)]
struct Model {
    root: CollectionId,
    folders: BTreeMap<CollectionId, Folder>,
}

/// A step that cannot be done: the whole batch must fail. How it is asked of the store all the same.
struct Refused(Box<Write>);

impl Model {
    fn pick(&self, at: usize) -> CollectionId {
        *self.folders.keys().nth(at % self.folders.len()).unwrap()
    }

    fn folder(&mut self, id: CollectionId) -> &mut Folder {
        self.folders.get_mut(&id).unwrap()
    }

    fn bump(&mut self, id: CollectionId) -> u64 {
        let folder = self.folder(id);
        folder.revision += 1;
        folder.revision
    }

    fn climb(&mut self, mut id: CollectionId) {
        while let Some((parent, name)) = self.folders[&id].place.clone() {
            let revision = self.bump(parent);
            self.folder(parent).members.get_mut(&name).unwrap().1 = revision;
            id = parent;
        }
    }

    fn enter(&mut self, id: CollectionId, name: &str, member: Member) {
        let revision = self.bump(id);
        let folder = self.folder(id);
        folder.gone.remove(name);
        folder.members.insert(name.to_owned(), (member, revision));
        self.climb(id);
    }

    fn leave(&mut self, id: CollectionId, name: &str) {
        let revision = self.bump(id);
        let folder = self.folder(id);
        folder.members.remove(name);
        folder.gone.insert(name.to_owned(), revision);
        while folder.gone.len() > TOMBSTONES_MAX {
            let (oldest, revision) = folder.gone.iter().min_by_key(|(_, revision)| **revision).unwrap();
            folder.floor = *revision;
            let oldest = oldest.clone();
            folder.gone.remove(&oldest);
        }
        self.climb(id);
    }

    fn below(&self, id: CollectionId) -> Vec<CollectionId> {
        let mut all = vec![id];
        for (member, _) in self.folders[&id].members.values() {
            if let Member::Collection(child) = member {
                all.extend(self.below(*child));
            }
        }
        all
    }

    /// Does a step here, and says how it is asked of the store.
    fn step(&mut self, store: &Store, step: &Step) -> Result<Option<Write>, Refused> {
        match step {
            Step::Put(at, name, content) => {
                let (id, name) = (self.pick(*at), format!("{name}"));
                let bytes = Bytes::copy_from_slice(content.as_bytes());
                let uid = format!("{id}-{name}");
                let write = Write::PutObject(id, object(&name, Some(&uid), &bytes), bytes);
                if let Some((Member::Collection(_), _)) = self.folders[&id].members.get(&name) {
                    return Err(Refused(Box::new(write)));
                }
                self.enter(id, &name, Member::Object(content.clone()));
                Ok(Some(write))
            }
            Step::PutRow(at, name) => {
                let (id, name) = (self.pick(*at), format!("{name}"));
                let write = Write::PutObjectRow(id, object(&name, Some(&format!("{id}-{name}")), b"ignored"));
                match self.folders[&id].members.get(&name).cloned() {
                    Some((member @ Member::Object(_), _)) => self.enter(id, &name, member),
                    _ => return Err(Refused(Box::new(write))),
                }
                Ok(Some(write))
            }
            Step::Delete(at, name) => {
                let (id, name) = (self.pick(*at), format!("{name}"));
                if let Some((Member::Object(_), _)) = self.folders[&id].members.get(&name) {
                    self.leave(id, &name);
                }
                Ok(Some(Write::DeleteObject(id, name)))
            }
            Step::Make(at, name) => {
                let (parent, name) = (self.pick(*at), format!("{name}"));
                let id = store.next_collection_id();
                let new = Collection::new(id, Some(parent), &name, OWNER, CollectionKind::Plain, Utc(1));
                let write = Write::CreateCollection(new);
                if self.folders[&parent].members.contains_key(&name) {
                    return Err(Refused(Box::new(write)));
                }
                self.folders.insert(id, Folder { place: Some((parent, name.clone())), ..Folder::default() });
                self.enter(parent, &name, Member::Collection(id));
                Ok(Some(write))
            }
            Step::Move(at, to, name) => self.relocate(self.pick(*at), self.pick(*to), format!("{name}")),
            Step::Remove(at) => {
                let id = self.pick(*at);
                let Some((parent, name)) = self.folders[&id].place.clone() else { return Ok(None) };
                for gone in self.below(id) {
                    self.folders.remove(&gone);
                }
                self.leave(parent, &name);
                Ok(Some(Write::DeleteCollection(id)))
            }
            Step::Update(at) => {
                let id = self.pick(*at);
                self.bump(id);
                self.climb(id);
                let mut new = Collection::new(id, None, "ignored", OWNER, CollectionKind::Plain, Utc(1));
                new.display_name = Some("a name".to_owned());
                Ok(Some(Write::UpdateCollection(new)))
            }
            Step::Expect(..) => Ok(None),
        }
    }

    fn relocate(&mut self, id: CollectionId, to: CollectionId, name: String) -> Result<Option<Write>, Refused> {
        let Some((parent, old)) = self.folders[&id].place.clone() else { return Ok(None) };
        let write = Write::MoveCollection(id, to, name.clone());
        if self.folders[&to].members.contains_key(&name) || self.below(id).contains(&to) {
            return Err(Refused(Box::new(write)));
        }
        self.leave(parent, &old);
        self.folder(id).place = Some((to, name.clone()));
        self.enter(to, &name, Member::Collection(id));
        Ok(Some(write))
    }
}

/// Does a batch in both, and keeps the model as it was if it must fail.
async fn run(store: &Store, model: &mut Model, steps: &[Step]) {
    let mut after = model.clone();
    let (mut asserts, mut writes, mut fails) = (Vec::new(), Vec::new(), false);
    for step in steps {
        if let Step::Expect(at, name) = step {
            let (id, name) = (model.pick(*at), format!("{name}"));
            fails |= model.folders[&id].members.contains_key(&name);
            asserts.push(Assert::NameFree(id, name));
            continue;
        }
        match after.step(store, step) {
            Ok(write) => writes.extend(write),
            Err(Refused(write)) => {
                writes.push(*write);
                fails = true;
                break;
            }
        }
    }
    let done = store.commit(batch(asserts, writes)).await;
    assert_eq!(done.is_err(), fails, "{done:?} after {steps:?}");
    if !fails {
        *model = after;
    }
}

/// Compares everything that can be read.
async fn compare(store: &Store, model: &Model) {
    let mut used = 0;
    for (id, folder) in &model.folders {
        let collection = store.collection(*id).await.unwrap().expect("the model has it");
        assert_eq!(collection.revision.0, folder.revision);
        assert_eq!(collection.log_floor.0, folder.floor);
        assert_eq!(collection.tombstones, folder.gone.len() as u64);
        let mut bytes = 0;
        let mut objects = Vec::new();
        let mut children = Vec::new();
        assert!(store.child(*id, "never there").await.unwrap().is_none());
        for (name, (member, revision)) in &folder.members {
            let child = store.child(*id, name).await.unwrap().map(|child| child.id);
            assert_eq!(child, if let Member::Collection(child) = member { Some(*child) } else { None });
            match member {
                Member::Object(content) => {
                    let (object, stored) = store.content(*id, name).await.unwrap().expect("the model has it");
                    assert_eq!(&stored[..], content.as_bytes());
                    assert_eq!(object.revision.0, *revision);
                    // Asked for after each change, so that what was kept before it is what would be found now.
                    let kept = store.kept_content(*id, name).await.unwrap().expect("the model has it");
                    assert_eq!((&*kept.0, kept.1), (&object, stored));
                    let uid = object.uid().expect("all have one").to_owned();
                    assert_eq!(store.name_of_uid(*id, &uid).await.unwrap().as_ref(), Some(name));
                    bytes += content.len() as u64;
                    objects.push(name.clone());
                }
                Member::Collection(child) => children.push((name.clone(), *child)),
            }
        }
        for name in folder.gone.keys() {
            assert!(store.child(*id, name).await.unwrap().is_none());
            assert!(store.kept_content(*id, name).await.unwrap().is_none());
        }
        assert_eq!(names(store, *id).await, objects);
        let listed: Vec<_> =
            store.children(*id).await.unwrap().into_iter().map(|child| (child.name.clone(), child.id)).collect();
        assert_eq!(listed, children);
        assert_eq!((collection.objects, collection.bytes), (objects.len() as u64, bytes));
        used += bytes;
        compare_log(store, *id, folder, &collection).await;
    }
    assert_eq!(store.usage(OWNER).await.unwrap(), used);
    assert_eq!(store.check().await.unwrap(), []);
}

/// The changes behind every revision: each member once, with its last state.
async fn compare_log(store: &Store, id: CollectionId, folder: &Folder, collection: &Collection) {
    let mut log: BTreeMap<u64, (String, ChangeKind)> = BTreeMap::new();
    for (name, (member, revision)) in &folder.members {
        let kind = if matches!(member, Member::Object(_)) { ChangeKind::Object } else { ChangeKind::Collection };
        log.insert(*revision, (name.clone(), kind));
    }
    for (name, revision) in &folder.gone {
        log.insert(*revision, (name.clone(), ChangeKind::Deleted));
    }
    for since in 0..=folder.revision {
        let expected: Vec<_> =
            log.range(since + 1..).map(|(revision, (name, kind))| (*revision, name.clone(), *kind)).collect();
        let found: Vec<_> = all_changes(store, id, Revision(since))
            .await
            .into_iter()
            .map(|change| (change.revision.0, change.name, change.kind))
            .collect();
        assert_eq!(found, expected, "since {since}");
        let token = collection.token_at(Revision(since));
        assert_eq!(collection.accepts(token), since >= folder.floor, "token of {since}");
    }
    let ahead = SyncToken { revision: Revision(folder.revision + 1), ..collection.sync_token() };
    assert!(!collection.accepts(ahead));
}

fn history_holds(engine: Engine, events: &[Event]) {
    runtime().block_on(async {
        let place = Place::new(engine);
        let mut store = place.open();
        found(&store).await;
        let root = store.principal(OWNER).await.unwrap().unwrap().files;
        let mut model = Model { root, folders: BTreeMap::from([(root, Folder::default())]) };
        assert_eq!(model.root, root);
        for event in events {
            match event {
                Event::Batch(steps) => run(&store, &mut model, steps).await,
                Event::Reopen if engine == Engine::Memory => {}
                Event::Reopen => {
                    drop(store);
                    store = place.open();
                }
            }
        }
        compare(&store, &model).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_kept_in_memory(events in history()) {
        history_holds(Engine::Memory, &events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_kept_by_sled(events in history()) {
        history_holds(Engine::Sled, &events);
    }

    #[test]
    fn any_history_is_kept_by_fjall(events in history()) {
        history_holds(Engine::Fjall, &events);
    }
}
