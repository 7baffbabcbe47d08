//! sync-collection (RFC 6578): what changed since a token, from the change log alone.

use std::sync::Arc;

use super::tree::Node;
use super::{Context, Error, index};
use crate::access::Actor;
use crate::base::Revision;
use crate::model::{Change, ChangeKind, Object, Path, Precondition, Privilege, SyncToken};

/// How many members are read at a time.
const PAGE: usize = 1_000;
/// Up to how many members are looked up one by one.
const FEW: usize = 8;

/// A walk along a collection's change log, a page at a time, so that the answer can be written meanwhile.
pub struct Walk {
    actor: Actor,
    /// What the client knows when the walk begins; of a first synchronisation, the state of the moment, all of it
    /// still lacking.
    since: SyncToken,
    last: Revision,
    room: usize,
    more: bool,
}

/// A changed member.
pub enum Member {
    /// An object that is there.
    Object(Arc<Object>),
    /// A collection that is there.
    Collection(Box<Node>),
    /// It is gone: 404.
    Gone(Path),
}

impl Walk {
    /// A walk from the state that `token` names (from nothing if there is none), over at most `limit` members.
    ///
    /// # Errors
    /// DAV:valid-sync-token for a token that is not this collection's, from a future that never came, or older than
    /// the change log (invariant Y1).
    pub fn new(
        context: &Context,
        actor: Actor,
        node: &Node,
        token: Option<&str>,
        limit: Option<u64>,
    ) -> Result<Self, Error> {
        node.require(Privilege::Read)?;
        let since = since(node, token)?;
        let limit = limit.unwrap_or(u64::MAX).min(context.limits.sync_page_max).max(1);
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Self { actor, since, last: since.walked(), room, more: true })
    }

    /// The next members, each with its present state; empty when the walk is over.
    ///
    /// # Errors
    /// Of the store only.
    pub async fn next(&mut self, context: &Context, node: &Node) -> Result<Vec<Member>, Error> {
        let mut members = Vec::new();
        // Deletions that do not concern the client count for nothing, so a page of the log may give no member.
        while self.more && self.room > 0 && members.is_empty() {
            let (id, page_max) = (node.collection.id, self.room.min(PAGE));
            let (now, page) = context.store.delta(id, self.last, page_max).await?.ok_or(Error::NotFound)?;
            // So many deletions while the answer is written that the log has forgotten some which concern the client.
            if now.log_floor > self.since.revision {
                return Err(invalid_token());
            }
            self.more = page.more;
            // A few are looked up in the store at once; of many, the index has the rows at hand.
            let index = if page.rows.len() > FEW { index::of_listed(context, &now).await? } else { None };
            let listed = match &index {
                Some(index) => Some(index.read().await),
                None => None,
            };
            members.reserve(page.rows.len());
            for change in page.rows {
                self.last = change.revision;
                let concerned = change.revision > self.since.revision;
                let object = match (change.kind, &listed) {
                    (ChangeKind::Object, Some(listed)) => listed.object(&change.name),
                    (ChangeKind::Object, None) => context.store.object(id, &change.name).await?.map(Arc::new),
                    (ChangeKind::Collection | ChangeKind::Deleted, _) => None,
                };
                members.extend(match object {
                    Some(object) => Some(Member::Object(object)),
                    None => other(context, self.actor, node, &change, concerned).await?,
                });
            }
            self.room -= members.len();
        }
        Ok(members)
    }

    /// Where the walk ended: the token to go on from, and whether there is more behind it (507 for the
    /// collection, RFC 6578 §3.6).
    ///
    /// # Errors
    /// Of the store only.
    pub async fn end(&self, context: &Context, node: &Node) -> Result<(SyncToken, bool), Error> {
        let shown = node.collection.sync_token();
        if !self.more && self.last <= shown.revision {
            return Ok((shown, false));
        }
        if self.more && self.last < self.since.revision {
            let behind = self.since.revision.0 - self.last.0;
            return Ok((SyncToken { behind, ..self.since }, true));
        }
        // The log went on while it was read: the epoch of what was read last stands in the newest row.
        let now = context.store.collection(node.collection.id).await?.ok_or(Error::NotFound)?;
        Ok((now.token_at(self.last), self.more))
    }
}

fn since(node: &Node, token: Option<&str>) -> Result<SyncToken, Error> {
    let now = node.collection.sync_token();
    let Some(text) = token.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(SyncToken { behind: now.revision.0, ..now });
    };
    match SyncToken::parse(text) {
        Some(token) if node.collection.accepts(token) => Ok(token),
        _ => Err(invalid_token()),
    }
}

fn invalid_token() -> Error {
    Error::precondition(
        Precondition::ValidSyncToken,
        "this sync-token is not, or no longer, one of this collection; synchronise anew without a token",
    )
}

/// What became of a member that is no object that is there.
async fn other(
    context: &Context,
    actor: Actor,
    node: &Node,
    change: &Change,
    concerned: bool,
) -> Result<Option<Member>, Error> {
    let found = match change.kind {
        ChangeKind::Collection => {
            let child = context.store.child(node.collection.id, &change.name).await?;
            let child = child.and_then(|child| node.below(child, actor)).filter(Node::is_known);
            child.map(|child| Member::Collection(Box::new(child)))
        }
        ChangeKind::Object | ChangeKind::Deleted => None,
    };
    let gone = || node.path.member(&change.name).filter(|_| concerned).map(Member::Gone);
    Ok(found.or_else(gone))
}
