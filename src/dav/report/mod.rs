//! REPORT (RFC 3253 §3.6): the root element of the body says which. A file per report.

mod expand;
mod filter;
mod freebusy;
mod principals;
mod query;
mod sync;

pub use filter::{data_request, filter};

use std::sync::Arc;

use http::StatusCode;

use super::props::{Kinds, Target};
use super::{Failure, Request, Response};
use crate::access::Actor;
use crate::model::{Path, Precondition};
use crate::service::{Context, Error, tree};
use crate::xml::{Element, ns};

/// Every report, with the kinds of resources that it can be asked of.
const REPORTS: &[(&str, &str, Kinds)] = &[
    (ns::CALDAV, "calendar-query", Kinds::CALENDAR.or(Kinds::HOME).or(Kinds::OBJECT)),
    (ns::CALDAV, "calendar-multiget", Kinds::CALENDAR.or(Kinds::HOME).or(Kinds::OBJECT)),
    (ns::CALDAV, "free-busy-query", Kinds::CALENDAR.or(Kinds::HOME)),
    (ns::DAV, "sync-collection", Kinds::COLLECTIONS),
    (ns::DAV, "expand-property", Kinds::ALL),
    (ns::DAV, "acl-principal-prop-set", Kinds::PRINCIPAL.or(Kinds::OWNED)),
    (ns::DAV, "principal-match", Kinds::FIXED.or(Kinds::PRINCIPAL).or(Kinds::COLLECTIONS)),
    (ns::DAV, "principal-property-search", Kinds::ALL),
    (ns::DAV, "principal-search-property-set", Kinds::FIXED.or(Kinds::PRINCIPAL).or(Kinds::COLLECTIONS)),
    (ns::CS, "calendarserver-principal-search", Kinds::FIXED.or(Kinds::PRINCIPAL)),
];

/// The reports that a kind of resource knows, as DAV:supported-report-set lists them.
pub fn supported(kind: Kinds) -> impl Iterator<Item = (&'static str, &'static str)> {
    let known = REPORTS.iter().filter(move |(.., on)| on.has(kind));
    known.map(|(namespace, local, _)| (*namespace, *local))
}

/// Answers a REPORT.
///
/// # Errors
/// 400 without a body, 403 `DAV:supported-report` for one that nobody knows or that is not for what is there, and what the
/// report says.
pub async fn dispatch(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let Some(root) = request.xml(&context.limits).await? else {
        return Err(Error::BadRequest("a REPORT has a body that says which".into()).into());
    };
    let (actor, path) = (request.actor, request.path.clone());
    match answer(context, request, &root).await {
        Err(failure) if matches!(failure.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            Err(refused(context, actor, &path, &root, failure).await)
        }
        answered => answered,
    }
}

async fn answer(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    match (root.name.ns.as_str(), root.name.local.as_str()) {
        (ns::CALDAV, "calendar-query") => query::calendar_query(context, request, root).await,
        (ns::CALDAV, "calendar-multiget") => query::calendar_multiget(context, request, root).await,
        (ns::CALDAV, "free-busy-query") => freebusy::free_busy_query(context, request, root).await,
        (ns::DAV, "sync-collection") => sync::sync_collection(context, request, root).await,
        (ns::DAV, "expand-property") => expand::expand_property(context, request, root).await,
        (ns::DAV, "acl-principal-prop-set") => principals::acl_principal_prop_set(context, request, root).await,
        (ns::DAV, "principal-match") => principals::principal_match(context, request, root.clone()).await,
        (ns::DAV, "principal-property-search") => principals::property_search(context, request, root).await,
        (ns::DAV, "principal-search-property-set") => principals::search_property_set(context, request).await,
        (ns::CS, "calendarserver-principal-search") => principals::token_search(context, request, root).await,
        _ => Err(unknown(root).into()),
    }
}

/// What to say instead of `failure`, if the actor may see what is at `path` and this is no report for such a thing (RFC
/// 3253 §3.6): the thing is there, and so is the method.
async fn refused(context: &Context, actor: Actor, path: &Path, root: &Element, failure: Failure) -> Failure {
    let known = REPORTS.iter().find(|(namespace, local, _)| root.is(namespace, local));
    let there = tree::resolve(context, actor, path).await;
    match (known, &there) {
        (Some((.., on)), Ok(resource)) if !on.has(Target::from(resource).kind()) => unknown(root).into(),
        _ => failure,
    }
}

fn unknown(root: &Element) -> Error {
    let name: String = root.name.local.chars().take(40).collect();
    Error::precondition(Precondition::SupportedReport, format!("there is no report `{}` here", name.escape_debug()))
}
