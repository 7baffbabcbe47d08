//! PROPPATCH (RFC 4918 §9.2): all instructions or none, in document order. What cannot be set is told inside of a
//! multistatus, never by a bare error: one well-known client gives up for good after that.

use std::sync::Arc;

use http::HeaderValue;

use super::headers::conditions;
use super::multistatus::Multistatus;
use super::props::{Moment, Style, changes, kind_at, write_outcome};
use super::{Failure, Request, Response, empty_body};
use crate::service::properties::{self, Outcome};
use crate::service::{Context, Error};
use crate::xml::ns;

/// Answers a PROPPATCH.
///
/// # Errors
/// 400 for a body that is no DAV:propertyupdate, and those of [`properties::update`].
pub async fn proppatch(context: &Arc<Context>, mut request: Request) -> Result<Response, Failure> {
    let conditions = conditions(&request)?;
    let Some(root) = request.xml(&context.limits).await?.filter(|root| root.is(ns::DAV, "propertyupdate")) else {
        return Err(Error::BadRequest("the body of a PROPPATCH is a DAV:propertyupdate".into()).into());
    };
    let instructions = changes(&root, kind_at(&request.path), Moment::Later, &context.limits)?;
    if instructions.is_empty() {
        return Err(Error::BadRequest("the DAV:propertyupdate sets and removes nothing".into()).into());
    }
    let outcome = properties::update(context, request.actor, &request.path, &instructions, &conditions).await?;
    if outcome == Outcome::Done && Style::of(&request.headers).minimal {
        // RFC 8144 §2.2 leaves the choice between 200 and 204; clients of the older Brief header know 200 alone.
        let mut response = http::Response::new(empty_body());
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("return=minimal"));
        return Ok(response);
    }
    let href = request.path.href();
    let mut out = Multistatus::new();
    out.writer().open(ns::DAV, "response").element(ns::DAV, "href", &href);
    write_outcome(out.writer(), &instructions, &outcome);
    out.writer().close();
    Ok(out.into_response())
}
