//! The reconciliation feed: what is where in the calendars that an endpoint hears of, for a receiver to compare its own state with. It is the
//! change logs' walk, as for sync-collection; messages have no part in it, so it is true whatever became of them.

use std::collections::HashMap;

use super::{Endpoint, Owner};
use crate::access::Actor;
use crate::base::{CollectionId, ETag, Revision};
use crate::model::{ChangeKind, CollectionKind, Path, Privilege, SyncToken, TrailingSlash};
use crate::service::tree::{self, Node};
use crate::service::{Context, Error, accounts};

/// How many changes are read at a time.
const PAGE: usize = 1_000;
/// What stands before the numbers in a sync-token, and is left out of cursors.
const PREFIX: &str = "urn:kalends:sync:";

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The calendar it lies in.
    pub calendar: Path,
    /// Where it is.
    pub path: Path,
    /// The calendar's sequence of the last change to it.
    pub sequence: Revision,
    /// Its tag; `None` if it is gone.
    pub etag: Option<ETag>,
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePage {
    /// The calendars that the endpoint hears of now.
    pub calendars: Vec<Path>,
    /// The objects.
    pub entries: Vec<Entry>,
    /// Where to go on, now or later.
    pub next: String,
    /// Whether there is more now.
    pub more: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The cursor is none of ours.
    #[error("this is not the `next` of an earlier page")]
    Cursor,
    /// The change log does not go back as far as the cursor.
    #[error("this is too long ago, or from before the data was restored: begin anew, without `since`")]
    TooOld,
    /// Something else.
    #[error(transparent)]
    Other(#[from] Error),
}

/// What is where in the calendars that `endpoint` hears of, behind `cursor` (all, if it is empty), at most `limit` objects. What is not
/// its owner's to read is not in it.
///
/// # Errors
/// [`StateError`].
pub async fn feed(context: &Context, endpoint: &Endpoint, cursor: &str, limit: usize) -> Result<StatePage, StateError> {
    let actor = match endpoint.owner {
        Owner::User(id) => Actor::User(id),
        Owner::Server => Actor::System,
    };
    let mut nodes = match endpoint.calendars.as_slice() {
        [] => all_calendars(context, actor).await?,
        ids => named_calendars(context, actor, ids).await?,
    };
    nodes.sort_by_key(|node| node.collection.id);
    page(context, &nodes, cursor, limit).await
}

/// The objects of `nodes` that changed behind `cursor` (all, if it is empty), at most `limit`.
///
/// # Errors
/// [`StateError`].
async fn page(context: &Context, nodes: &[Node], cursor: &str, limit: usize) -> Result<StatePage, StateError> {
    // As many as are written, and some that are gone since.
    let most = usize::try_from(context.limits.collections_max).unwrap_or(usize::MAX).saturating_add(nodes.len());
    let mut tokens = read(cursor, most)?;
    let mut page = StatePage { calendars: Vec::new(), entries: Vec::new(), next: String::new(), more: false };
    let mut next = Vec::new();
    for node in nodes.iter().filter(|node| node.require(Privilege::Read).is_ok()) {
        page.calendars.push(node.path.clone().with_slash(TrailingSlash::Yes));
        let known = tokens.remove(&node.collection.id);
        if page.entries.len() >= limit {
            page.more = true;
            next.extend(known);
            continue;
        }
        let (token, more) = walk(context, node, known, limit, &mut page.entries).await?;
        page.more |= more;
        next.push(token);
    }
    page.next = written(&next);
    Ok(page)
}

/// Every calendar that the actor may read, whosever it is: one look at each user's home.
async fn all_calendars(context: &Context, actor: Actor) -> Result<Vec<Node>, Error> {
    let mut found = Vec::new();
    for user in accounts::list(context).await? {
        let home = match tree::collection(context, actor, &Path::Home(user.name)).await {
            Ok(home) => home,
            Err(Error::NotFound) => continue,
            Err(error) => return Err(error),
        };
        found.extend(tree::children(context, actor, &home).await?);
    }
    found.retain(|node| matches!(node.collection.kind, CollectionKind::Calendar(_)));
    Ok(found)
}

async fn named_calendars(context: &Context, actor: Actor, ids: &[CollectionId]) -> Result<Vec<Node>, Error> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(collection) = context.store.collection(*id).await? else { continue };
        let node = match tree::path_of(context, &collection).await {
            Ok(path) => tree::collection(context, actor, &path).await,
            Err(error) => Err(error),
        };
        match node {
            Ok(node) => found.push(node),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Adds what changed in one calendar, and gives the place where it ended and whether there is more.
async fn walk(
    context: &Context,
    node: &Node,
    known: Option<SyncToken>,
    limit: usize,
    entries: &mut Vec<Entry>,
) -> Result<(SyncToken, bool), StateError> {
    let shown = node.collection.sync_token();
    let since = match known {
        Some(token) if node.collection.accepts(token) => token,
        Some(_) => return Err(StateError::TooOld),
        // A first walk: all that is there at this moment is lacking, and what was deleted before does not matter.
        None => SyncToken { behind: shown.revision.0, ..shown },
    };
    let (id, mut last, mut more) = (node.collection.id, since.walked(), true);
    while more && entries.len() < limit {
        let room = (limit - entries.len()).min(PAGE);
        let delta = context.store.delta(id, last, room).await.map_err(Error::from)?;
        let Some((now, changes)) = delta else { return Ok((since, false)) };
        if now.log_floor > since.revision {
            return Err(StateError::TooOld);
        }
        more = changes.more;
        for change in changes.rows {
            last = change.revision;
            let Some(path) = node.path.member(&change.name) else { continue };
            let object = match change.kind {
                ChangeKind::Object => context.store.object(id, &change.name).await.map_err(Error::from)?,
                ChangeKind::Collection => continue,
                ChangeKind::Deleted => None,
            };
            if object.is_none() && change.revision <= since.revision {
                continue;
            }
            let etag = object.map(|object| object.etag);
            entries.push(Entry { calendar: node.path.clone(), path, sequence: change.revision, etag });
        }
    }
    Ok((ended(context, id, shown, since, last, more).await?, more))
}

/// The place where a walk from `since` ended.
async fn ended(
    context: &Context,
    id: CollectionId,
    shown: SyncToken,
    since: SyncToken,
    last: Revision,
    more: bool,
) -> Result<SyncToken, StateError> {
    if !more && last <= shown.revision {
        return Ok(shown);
    }
    if more && last < since.revision {
        return Ok(SyncToken { behind: since.revision.0 - last.0, ..since });
    }
    // The log went on while it was read.
    let now = context.store.collection(id).await.map_err(Error::from)?;
    Ok(now.map_or(since, |now| now.token_at(last)))
}

fn written(tokens: &[SyncToken]) -> String {
    let parts: Vec<String> =
        tokens.iter().map(|token| token.to_string().trim_start_matches(PREFIX).replace(':', "-")).collect();
    // A feed of no calendar has a cursor, too.
    format!("s{}", parts.join("_"))
}

fn read(cursor: &str, most: usize) -> Result<HashMap<CollectionId, SyncToken>, StateError> {
    if cursor.is_empty() {
        return Ok(HashMap::new());
    }
    let rest = cursor.strip_prefix('s').ok_or(StateError::Cursor)?;
    let mut tokens = HashMap::new();
    for part in rest.split('_').filter(|part| !part.is_empty()) {
        let token = SyncToken::parse(&format!("{PREFIX}{}", part.replace('-', ":"))).ok_or(StateError::Cursor)?;
        tokens.insert(token.collection, token);
        if tokens.len() > most {
            return Err(StateError::Cursor);
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_were_written() {
        let token = |id, behind| SyncToken { collection: CollectionId(id), revision: Revision(9), epoch: 2, behind };
        let tokens = [token(1, 0), token(2, 4)];
        let read = read(&written(&tokens), 5).expect("our own");
        assert_eq!((read[&CollectionId(1)], read[&CollectionId(2)], read.len()), (tokens[0], tokens[1], 2));
        assert_eq!(super::read("s", 5).expect("our own").len(), 0);
        for wrong in ["x", "s1", "s1-2-3-4-5", "s1-2-x", "2026-01-01T00:00:00Z", "s1-9-2_2-9-2_3-9-2"] {
            assert!(super::read(wrong, 2).is_err(), "{wrong}");
        }
    }
}
