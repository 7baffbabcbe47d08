//! A collection once more, under new ids, with all that is in it (RFC 4918 §9.8.3).

use std::sync::Arc;

use super::{Depth, Removal, calendar_event};
use crate::base::{CollectionId, PrincipalId, Revision, Utc};
use crate::model::{Collection, CollectionKind, EventKind, Object, Path, Precondition};
use crate::service::{Context, Error};
use crate::store::{Assert, Draft, Write};

/// Objects read at a time.
const PAGE: usize = 256;

/// How a collection is copied.
pub(super) struct Duplicate<'a> {
    pub(super) context: &'a Context,
    pub(super) depth: Depth,
    pub(super) at: Utc,
}

impl Duplicate<'_> {
    /// Adds a copy of `source` called `name` in `parent`.
    pub(super) async fn add(
        &self,
        source: &Collection,
        parent: &Collection,
        name: &str,
        removal: &mut Removal,
    ) -> Result<(), Error> {
        // Every change below a collection is a change of it: this holds for the whole tree.
        removal.asserts.push(Assert::CollectionAt(source.id, source.revision));
        let below = match self.depth {
            Depth::Zero => 0,
            Depth::Infinity => count_below(self.context, source.id, self.context.limits.collections_max).await?,
        };
        room_for_collections(self.context, parent, 1 + below).await?;
        let mut bytes_left = self.context.limits.copy_bytes_max;
        let mut waiting = vec![(Arc::new(source.clone()), parent.id, name.to_owned())];
        while let Some((source, parent_id, name)) = waiting.pop() {
            let made = self.collection(&source, parent_id, &name, parent.owner);
            let id = made.id;
            removal.events.extend(calendar_event(&made, |name| EventKind::CalendarCreated { name }));
            removal.writes.push(Write::CreateCollection(made));
            if self.depth == Depth::Zero {
                break;
            }
            self.objects(&source, id, parent.owner, &mut bytes_left, removal).await?;
            let children = self.context.store.children(source.id).await?;
            waiting.extend(children.into_iter().map(|child| (Arc::clone(&child), id, child.name.clone())));
        }
        Ok(())
    }

    fn collection(&self, source: &Collection, parent: CollectionId, name: &str, owner: PrincipalId) -> Collection {
        let id = self.context.store.next_collection_id();
        Collection {
            properties: source.properties.clone(),
            display_name: source.display_name.clone(),
            ..Collection::new(id, Some(parent), name, owner, source.kind.clone(), self.at)
        }
    }

    async fn objects(
        &self,
        source: &Collection,
        into: CollectionId,
        owner: PrincipalId,
        bytes_left: &mut u64,
        removal: &mut Removal,
    ) -> Result<(), Error> {
        let store = &self.context.store;
        let mut after: Option<String> = None;
        loop {
            let page = store.objects(source.id, after.as_deref(), PAGE).await?;
            for object in &page.rows {
                let Some((object, bytes)) = store.content(source.id, &object.name).await? else { continue };
                // What a member takes beside its bytes is counted as well, so that many small ones are bounded too.
                let cost = bytes.len() as u64 + 512;
                *bytes_left = bytes_left.checked_sub(cost).ok_or_else(|| self.too_large())?;
                let copy = Object { created: self.at, modified: self.at, revision: Revision(0), ..object };
                removal.events.extend(created(&copy, into, owner));
                removal.writes.push(Write::PutObject(into, copy, bytes));
            }
            after = page.rows.last().map(|object| object.name.clone());
            if !page.more {
                return Ok(());
            }
        }
    }

    fn too_large(&self) -> Error {
        let max = self.context.limits.copy_bytes_max;
        Error::InsufficientStorage(format!(
            "one request copies at most {max} bytes (limit copy_bytes_max); copy it in parts"
        ))
    }
}

/// Whether there is room for `added` more collections in `parent`: counted in the whole home, or in all of the user's files.
///
/// # Errors
/// DAV:quota-not-exceeded if there is not.
pub(in crate::service) async fn room_for_collections(
    context: &Context,
    parent: &Collection,
    added: u64,
) -> Result<(), Error> {
    let max = context.limits.collections_max;
    let (mut top, mut above) = (parent.id, parent.parent);
    while let Some(id) = above {
        let collection = context.store.collection(id).await?.ok_or(Error::ParentMissing)?;
        (top, above) = (id, collection.parent);
    }
    if count_below(context, top, max).await? + added > max {
        let message = format!("a user has at most {max} collections of a kind (limit collections_max)");
        return Err(Error::precondition(Precondition::QuotaNotExceeded, message));
    }
    Ok(())
}

fn created(object: &Object, collection: CollectionId, owner: PrincipalId) -> Option<Draft> {
    object.index.as_ref()?;
    let (name, uid, etag) = (object.name.clone(), object.uid().map(str::to_owned), object.etag);
    Some(Draft { owner, collection, kind: EventKind::ObjectCreated { name, uid, etag } })
}

/// How many collections lie below `id`; counted up to a little more than `max`.
async fn count_below(context: &Context, id: CollectionId, max: u64) -> Result<u64, Error> {
    let (mut count, mut waiting) = (0, vec![id]);
    while let Some(id) = waiting.pop() {
        let children = context.store.children(id).await?;
        count += children.len() as u64;
        if count > max {
            break;
        }
        waiting.extend(children.into_iter().map(|child| child.id));
    }
    Ok(count)
}

/// Whether a plain collection with all below it is not too deep at `path`.
pub(super) async fn deep_enough(context: &Context, collection: &Collection, path: &Path) -> Result<(), Error> {
    let Path::File(_, segments, _) = path else { return Ok(()) };
    if collection.kind != CollectionKind::Plain {
        return Ok(());
    }
    let max = context.limits.path_depth_max;
    let mut level = vec![collection.id];
    for depth in segments.len() as u64.. {
        let mut next = Vec::new();
        for id in level {
            next.extend(context.store.children(id).await?.into_iter().map(|child| child.id));
        }
        if next.is_empty() {
            return Ok(());
        }
        if depth >= max {
            break;
        }
        level = next;
    }
    Err(Error::Forbidden(format!("its members would have paths of more than {max} segments")))
}
