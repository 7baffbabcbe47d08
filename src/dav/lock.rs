//! LOCK and UNLOCK (RFC 4918 §9.10, §9.11).

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::headers::{self, Depth};
use super::multistatus::XML_TYPE;
use super::props::write_lock;
use super::{Failure, Request, Response, body_of, empty_body};
use crate::access::Actor;
use crate::base::LockToken;
use crate::model::{LockDepth, LockScope};
use crate::service::conditions::Conditions;
use crate::service::locks::{self, Held, Wanted};
use crate::service::{Context, Error};
use crate::xml::{Element, Node, Writer, ns};

/// Answers LOCK: with a body it takes a lock, without one it refreshes the one in the If header.
pub async fn lock(context: &Context, mut request: Request) -> Result<Response, Failure> {
    let conditions = headers::conditions(&request)?;
    let seconds = headers::timeout(&request);
    let Some(body) = request.xml(&context.limits).await? else {
        return refresh(context, request, &conditions, seconds).await;
    };
    let depth = match headers::depth(&request)? {
        None | Some(Depth::Infinity) => LockDepth::Infinity,
        Some(Depth::Zero) => LockDepth::Zero,
        Some(Depth::One) => return Err(Error::BadRequest("Depth is 0 or infinity here".into()).into()),
    };
    let wanted = Wanted { scope: scope(&body)?, depth, owner: owner(&body), seconds };
    let Request { actor, path, .. } = request;
    let granted = match locks::lock(context, actor, &path, &wanted, &conditions).await {
        Err(Error::Members(below)) => return Err(conflicts(Failure::from(Error::Members(below)), &path)),
        other => other?,
    };
    let mut response = discovery(actor, &granted.held);
    *response.status_mut() = if granted.created { StatusCode::CREATED } else { StatusCode::OK };
    if let Ok(token) = HeaderValue::from_str(&format!("<{}>", granted.token)) {
        response.headers_mut().insert(HeaderName::from_static("lock-token"), token);
    }
    Ok(response)
}

/// The request itself fails because of what lies below (RFC 4918 §9.10.9).
fn conflicts(mut failure: Failure, path: &crate::model::Path) -> Failure {
    let itself = Failure::new(StatusCode::FAILED_DEPENDENCY, "something below could not be locked");
    if let Some(members) = &mut failure.members {
        members.0.push((path.clone(), itself));
    }
    failure
}

async fn refresh(
    context: &Context,
    request: Request,
    conditions: &Conditions,
    seconds: Option<u64>,
) -> Result<Response, Failure> {
    let tokens = conditions.tokens();
    let [token] = tokens.as_slice() else {
        let message =
            "a LOCK without a body refreshes the one lock whose token is in the If header; to lock, send a lockinfo";
        return Err(Error::BadRequest(message.into()).into());
    };
    let Request { actor, path, .. } = request;
    let held = locks::refresh(context, actor, &path, token, seconds).await?;
    Ok(discovery(actor, &held))
}

/// Answers UNLOCK.
pub async fn unlock(context: &Context, request: Request) -> Result<Response, Failure> {
    let conditions = headers::conditions(&request)?;
    let token = request.header("lock-token").and_then(|value| value.strip_prefix('<')?.strip_suffix('>'));
    let Some(token) = token.map(|token| LockToken(token.trim().to_owned())) else {
        return Err(Error::BadRequest("Lock-Token is missing, or not of the form <token>".into()).into());
    };
    let Request { actor, path, .. } = request;
    conditions.require(context, actor, &path, &locks::show(context).await?).await?;
    locks::unlock(context, actor, &path, &token).await?;
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// DAV:lockscope of a DAV:lockinfo with a write lock.
fn scope(body: &Element) -> Result<LockScope, Failure> {
    let bad = |why: &str| Failure::from(Error::BadRequest(why.into()));
    if !body.is(ns::DAV, "lockinfo") {
        return Err(bad("the body of LOCK is a DAV:lockinfo"));
    }
    let has = |outer: &str, inner: &str| body.child(ns::DAV, outer).is_some_and(|e| e.child(ns::DAV, inner).is_some());
    if !has("locktype", "write") {
        return Err(bad("the only lock type is DAV:write"));
    }
    match (has("lockscope", "exclusive"), has("lockscope", "shared")) {
        (true, false) => Ok(LockScope::Exclusive),
        (false, true) => Ok(LockScope::Shared),
        _ => Err(bad("DAV:lockscope is either exclusive or shared")),
    }
}

/// The inside of DAV:owner, kept as it came (RFC 4918 §9.10.1).
fn owner(body: &Element) -> Option<String> {
    let owner = body.child(ns::DAV, "owner")?;
    let mut inside = String::new();
    for node in &owner.nodes {
        match node {
            Node::Element(element) => inside.push_str(&element.to_xml()),
            Node::Text(text) => inside.push_str(&super::listing::escape(text)),
        }
    }
    Some(inside)
}

/// DAV:prop with DAV:lockdiscovery.
fn discovery(actor: Actor, held: &[Held]) -> Response {
    let mut writer = Writer::document(ns::DAV, "prop");
    writer.open(ns::DAV, "lockdiscovery");
    held.iter().for_each(|held| write_lock(&mut writer, held, actor));
    writer.close();
    let mut response = http::Response::new(body_of(writer.finish()));
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response
}
