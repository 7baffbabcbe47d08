//! Layer 6: HTTP ↔ WebDAV and CalDAV. A file per method, per report and per property group; this one only says which
//! method goes where. Nothing here touches the store: use-cases in `service` do.

mod acl;
mod error;
mod get;
mod headers;
pub mod if_header;
mod listing;
mod lock;
mod mkcol;
pub mod multistatus;
mod options;
mod propfind;
mod proppatch;
pub mod props;
mod put;
mod remove;
pub mod report;
mod request;
mod transfer;

pub use error::{Failure, privilege_name, write_condition};
pub use request::{Body, Request, Response, body_of, empty_body};

use crate::service::Context;

/// The methods that are understood anywhere, in the order in which OPTIONS lists them.
pub const METHODS: &[&str] = &[
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "COPY",
    "MOVE",
    "MKCOL",
    "MKCALENDAR",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "ACL",
];

/// Answers a request. Failures become answers here; only a panic gets past.
pub async fn handle(context: &std::sync::Arc<Context>, request: Request) -> Response {
    let (allowed, method) = (options::allowed(&request.path), request.method.clone());
    match route(context, request).await {
        Ok(response) => response,
        Err(failure) => {
            let mut response = failure.into_response();
            let others: Vec<_> = allowed.iter().copied().filter(|allowed| *allowed != method.as_str()).collect();
            if response.status() == http::StatusCode::METHOD_NOT_ALLOWED
                && let Ok(allow) = others.join(", ").parse()
            {
                response.headers_mut().insert(http::header::ALLOW, allow);
            }
            response
        }
    }
}

/// Each method's work stands on the heap by itself: all of them in one future would make that as large as the largest, and
/// every request would be moved about with it.
async fn route(context: &std::sync::Arc<Context>, request: Request) -> Result<Response, Failure> {
    match request.method.as_str() {
        "PROPFIND" => Box::pin(propfind::propfind(context, request)).await,
        "PROPPATCH" => Box::pin(proppatch::proppatch(context, request)).await,
        "MKCOL" => Box::pin(mkcol::mkcol(context, request)).await,
        "MKCALENDAR" => Box::pin(mkcol::mkcalendar(context, request)).await,
        "ACL" => Box::pin(acl::acl(context, request)).await,
        "REPORT" => Box::pin(report::dispatch(context, request)).await,
        "OPTIONS" => Ok(options::options(&request)),
        "GET" | "HEAD" => Box::pin(get::get(context, request)).await,
        "PUT" => Box::pin(put::put(context, request)).await,
        "POST" => Box::pin(put::add_member(context, request)).await,
        "DELETE" => Box::pin(remove::delete(context, request)).await,
        "COPY" => Box::pin(transfer::copy(context, request)).await,
        "LOCK" => Box::pin(lock::lock(context, request)).await,
        "UNLOCK" => Box::pin(lock::unlock(context, request)).await,
        "MOVE" => Box::pin(transfer::relocate(context, request)).await,
        _ => Err(Failure::method_not_implemented(request.method.as_str())),
    }
}
