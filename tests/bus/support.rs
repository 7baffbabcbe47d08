//! Stores with calendars, and changes of them.

use std::sync::Arc;

use kalends::base::{CollectionId, Limits, PrincipalId, Utc};
use kalends::model::{Collection, CollectionKind, EventKind};
use kalends::service::Context;
use kalends::store::{Batch, Draft, Engine, Options, Store, Write};

/// A context over a store in memory with so many calendars.
pub async fn context(calendars: usize) -> (Arc<Context>, Vec<CollectionId>) {
    let options = Options { dir: "".into(), engine: Engine::Memory, cache_bytes: 1, tombstones_max: 10 };
    let store = Store::open(&options).expect("memory opens");
    let ids: Vec<CollectionId> = (0..calendars).map(|_| store.next_collection_id()).collect();
    let make = |id: &CollectionId| {
        let name = format!("c{}", id.0);
        Write::CreateCollection(Collection::new(*id, None, &name, PrincipalId(1), CollectionKind::Plain, Utc(0)))
    };
    let batch = Batch { writes: ids.iter().map(make).collect(), ..Batch::default() };
    store.commit(batch).await.expect("they are made");
    (Arc::new(Context::new(store, Limits::default())), ids)
}

/// Tells of `count` changes, of one calendar after the other.
pub async fn change(context: &Context, calendars: &[CollectionId], count: usize) {
    let draft = |index: usize| Draft {
        owner: PrincipalId(1),
        collection: calendars[index % calendars.len()],
        kind: EventKind::CalendarUpdated { name: format!("change {index}") },
    };
    for first in (0..count).step_by(1_000) {
        let events = (first..count.min(first + 1_000)).map(draft).collect();
        let batch = Batch { at: context.clock.now(), events, ..Batch::default() };
        context.store.commit(batch).await.expect("they are told");
    }
}
