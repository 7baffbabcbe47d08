//! PUT (RFC 4918 §9.7, RFC 4791 §5.3.2) and POST to add a member (RFC 5995), with Prefer (RFC 8144).

use http::StatusCode;
use http::header::{CONTENT_LOCATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION};

use super::headers::{self, Return};
use super::{Failure, Request, Response, empty_body, get};
use crate::access::Actor;
use crate::model::Path;
use crate::service::objects::{self, Fidelity, Put, PutOutcome};
use crate::service::{Context, Error};

/// Answers PUT.
pub async fn put(context: &Context, mut request: Request) -> Result<Response, Failure> {
    if request.headers.contains_key(CONTENT_RANGE) {
        return Err(Error::BadRequest("a PUT of a part is not possible (RFC 9110 §14.5)".into()).into());
    }
    let put = body(context, &mut request).await?;
    let Request { actor, path, headers, .. } = request;
    match objects::put(context, actor, &path, put).await {
        Ok(outcome) => answer(context, actor, &headers, &outcome).await,
        Err(Error::StateChanged) if headers::prefer_return(&headers) == Some(Return::Representation) => {
            represent(context, actor, &headers, &path, StatusCode::PRECONDITION_FAILED).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Answers POST on a collection: adds a member under a name of the server's choice.
pub async fn add_member(context: &Context, mut request: Request) -> Result<Response, Failure> {
    let put = body(context, &mut request).await?;
    let slug = request.header("slug").map(|slug| percent_encoding::percent_decode_str(slug).decode_utf8_lossy());
    let slug = slug.map(std::borrow::Cow::into_owned);
    let Request { actor, path, headers, origin, .. } = request;
    let outcome = objects::add(context, actor, &path, put, slug.as_deref()).await?;
    let mut response = answer(context, actor, &headers, &outcome).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("{origin}{}", outcome.path.href())) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn body(context: &Context, request: &mut Request) -> Result<Put, Failure> {
    let conditions = headers::conditions(request)?;
    let limits = &context.limits;
    let max = if matches!(request.path, Path::File(..)) { limits.file_bytes_max } else { limits.body_bytes_max };
    let (content_type, content_language) = (text(request, "content-type"), text(request, "content-language"));
    Ok(Put { bytes: request.bytes(max).await?, content_type, content_language, conditions })
}

fn text(request: &Request, name: &str) -> Option<String> {
    request.header(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

async fn answer(context: &Context, actor: Actor, asked: &HeaderMap, outcome: &PutOutcome) -> Result<Response, Failure> {
    if headers::prefer_return(asked) == Some(Return::Representation) {
        let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
        return represent(context, actor, asked, &outcome.path, status).await;
    }
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = if outcome.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    if outcome.stored == Fidelity::AsSent
        && let Ok(tag) = HeaderValue::from_str(&outcome.etag.to_string())
    {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// What is stored at `path` now (RFC 8144 §3): saves the client a GET.
async fn represent(
    context: &Context,
    actor: Actor,
    asked: &HeaderMap,
    path: &Path,
    status: StatusCode,
) -> Result<Response, Failure> {
    let mut response = match get::current(context, actor, asked, path).await {
        Ok(response) => response,
        // Gone in the meantime, or not readable: then there is nothing to show.
        Err(_) => http::Response::new(empty_body()),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&path.href()) {
        headers.insert(CONTENT_LOCATION, location);
    }
    let applied = HeaderValue::from_static("return=representation");
    headers.insert(HeaderName::from_static("preference-applied"), applied);
    Ok(response)
}
