//! DELETE (RFC 4918 §9.6). Depth is not looked at: everything below always goes too, and clients send what they like.

use http::StatusCode;

use super::{Failure, Request, Response, empty_body, headers};
use crate::service::{Context, resources};

/// Answers DELETE.
pub async fn delete(context: &Context, request: Request) -> Result<Response, Failure> {
    let conditions = headers::conditions(&request)?;
    let Request { actor, path, .. } = request;
    resources::delete(context, actor, &path, &conditions).await?;
    let mut response = http::Response::new(empty_body());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
