//! COPY and MOVE (RFC 4918 §9.8, §9.9).

use http::StatusCode;
use http::header::{ETAG, HeaderValue, LOCATION};

use super::headers::{self, Depth};
use super::{Failure, Request, Response, empty_body};
use crate::service::resources::{self, Overwrite, Transfer, Transferred};
use crate::service::{Context, Error};

/// Answers COPY.
pub async fn copy(context: &Context, request: Request) -> Result<Response, Failure> {
    let transfer = transfer(&request)?;
    let Request { actor, path, origin, .. } = request;
    let done = resources::copy(context, actor, &path, &transfer).await?;
    Ok(answer(&origin, &done))
}

/// Answers MOVE.
pub async fn relocate(context: &Context, request: Request) -> Result<Response, Failure> {
    let transfer = transfer(&request)?;
    if transfer.depth == resources::Depth::Zero && is_collection(&request) {
        return Err(Error::BadRequest("a collection moves with all that is in it: Depth infinity".into()).into());
    }
    let Request { actor, path, origin, .. } = request;
    let done = resources::relocate(context, actor, &path, &transfer).await?;
    Ok(answer(&origin, &done))
}

/// Whether the path can only be a collection's (RFC 4918 §9.9.2).
fn is_collection(request: &Request) -> bool {
    request.path.href().ends_with('/')
}

fn transfer(request: &Request) -> Result<Transfer, Failure> {
    let depth = match headers::depth(request)? {
        None | Some(Depth::Infinity) => resources::Depth::Infinity,
        Some(Depth::Zero) => resources::Depth::Zero,
        Some(Depth::One) => return Err(Error::BadRequest("Depth is 0 or infinity here".into()).into()),
    };
    let overwrite = if headers::overwrite(request)? { Overwrite::Allowed } else { Overwrite::Refused };
    let (to, conditions) = (headers::destination(request)?, headers::conditions(request)?);
    Ok(Transfer { to, depth, overwrite, conditions })
}

fn answer(origin: &str, done: &Transferred) -> Response {
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = if done.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("{origin}{}", done.path.href())) {
        headers.insert(LOCATION, location);
    }
    if let Some(tag) = done.etag.and_then(|tag| HeaderValue::from_str(&tag.to_string()).ok()) {
        headers.insert(ETAG, tag);
    }
    response
}
