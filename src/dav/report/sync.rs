//! DAV:sync-collection (RFC 6578).

use std::sync::Arc;

use http::StatusCode;

use super::query::Wanted;
use crate::dav::multistatus::Multistatus;
use crate::dav::props::{Sight, Target, respond};
use crate::dav::{Failure, Request, Response};
use crate::model::Precondition;
use crate::recur::Budget;
use crate::service::query::hit;
use crate::service::sync::{Member, Walk};
use crate::service::tree::{self, Node};
use crate::service::{Context, Error};
use crate::xml::{Element, ns};

/// DAV:sync-level (RFC 6578 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    One,
    Infinite,
}

/// Answers the report on any collection. Every Depth is accepted: clients send 0, 1 or none, and the sync-level is what
/// counts; some leave that out as well and mean 1.
///
/// # Errors
/// DAV:valid-sync-token; 400 for a malformed limit or level.
pub async fn sync_collection(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let wanted = Wanted::of(root, &request, context)?;
    let level = level(root, &request)?;
    let limit = limit(root)?;
    let node = Arc::new(tree::collection(context, request.actor, &request.path).await?);
    let token = root.child(ns::DAV, "sync-token").map(Element::text);
    let mut walk = Walk::new(context, request.actor, &node, token.as_deref(), limit)?;
    let mut sight = wanted.sight(context, request.actor).await?;
    let context = Arc::clone(context);
    Multistatus::stream(move |mut out| async move {
        let mut budget = context.budget();
        loop {
            let members = walk.next(&context, &node).await?;
            if members.is_empty() {
                break;
            }
            for member in members {
                write(&mut out, &wanted, &mut sight, &node, member, level, &mut budget).await?;
                out.flush().await?;
            }
        }
        let (token, truncated) = walk.end(&context, &node).await?;
        if truncated {
            out.truncated(&node.path);
        }
        out.writer().element(ns::DAV, "sync-token", &token.to_string());
        Ok(out)
    })
    .await
}

async fn write(
    out: &mut Multistatus,
    wanted: &Wanted,
    sight: &mut Sight,
    node: &Arc<Node>,
    member: Member,
    level: Level,
    budget: &mut Budget,
) -> Result<(), Failure> {
    match member {
        Member::Gone(path) => out.status(&path.href(), StatusCode::NOT_FOUND, None),
        Member::Object(object) if wanted.has_data() => {
            // One that is deleted since is told of with the next token.
            if let Some(hit) = hit(&sight.context, node, object).await? {
                wanted.write(out, sight, &hit, budget).await?;
            }
        }
        Member::Object(object) => {
            let target = Target::Object(node, &object);
            sight.prepare(target).await?;
            respond(out.writer(), sight, target, wanted.asked(), wanted.style(), None);
        }
        // We go one level deep; below a member that is a collection the client asks that collection itself.
        Member::Collection(child) if level == Level::Infinite => {
            let condition = Precondition::SyncTraversalSupported;
            out.status(&child.path.href(), StatusCode::FORBIDDEN, Some(&condition));
        }
        Member::Collection(child) => {
            let target = Target::Collection(&child);
            sight.prepare(target).await?;
            respond(out.writer(), sight, target, wanted.asked(), wanted.style(), None);
        }
    }
    Ok(())
}

fn level(root: &Element, request: &Request) -> Result<Level, Failure> {
    match root.child(ns::DAV, "sync-level").map(|level| level.text().trim().to_owned()).as_deref() {
        Some("1") => Ok(Level::One),
        Some("infinite" | "infinity") => Ok(Level::Infinite),
        // The draft before the RFC had no level and used the Depth.
        None if request.header("depth").is_some_and(|depth| depth.eq_ignore_ascii_case("infinity")) => {
            Ok(Level::Infinite)
        }
        None => Ok(Level::One),
        Some(other) => Err(Error::BadRequest(format!("the sync-level is 1 or infinite, not {other:?}")).into()),
    }
}

/// DAV:limit with DAV:nresults (RFC 5323 §5.17).
fn limit(root: &Element) -> Result<Option<u64>, Failure> {
    let Some(limit) = root.child(ns::DAV, "limit") else { return Ok(None) };
    let text = limit.child(ns::DAV, "nresults").map(Element::text).unwrap_or_default();
    match text.trim().parse() {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(Error::BadRequest(format!("DAV:nresults is a number above 0, not {:?}", text.trim())).into()),
    }
}
