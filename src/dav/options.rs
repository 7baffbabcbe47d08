//! OPTIONS (RFC 9110 §9.3.7; RFC 4918 §10.1; RFC 4791 §5.1; RFC 7809 §3.1.1). Answered without a login, because clients ask
//! before they have one, and from the shape of the path alone, so that nobody learns what is there.

use http::header::{ALLOW, CONTENT_LENGTH, HeaderValue};

use super::{METHODS, Request, Response, empty_body};
use crate::model::Path;

/// The compliance classes that hold for every resource: what is really there.
const DAV: &str = "1, 2, 3, access-control, calendar-access, calendar-no-timezone, extended-mkcol";

/// Answers OPTIONS.
pub fn options(request: &Request) -> Response {
    let mut response = http::Response::new(empty_body());
    let headers = response.headers_mut();
    headers.insert("dav", HeaderValue::from_static(DAV));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    // Windows looks for it before it speaks WebDAV at all.
    headers.insert("ms-author-via", HeaderValue::from_static("DAV"));
    headers.insert("accept-ranges", HeaderValue::from_static("bytes"));
    if let Ok(allow) = allowed(&request.path).join(", ").parse() {
        headers.insert(ALLOW, allow);
    }
    response
}

/// The methods that can do something at a path of this shape.
pub fn allowed(path: &Path) -> &'static [&'static str] {
    match path {
        Path::Root | Path::Dav | Path::Principals | Path::Homes | Path::FileRoots => {
            &["OPTIONS", "GET", "HEAD", "PROPFIND", "REPORT"]
        }
        Path::Principal(_) => &["OPTIONS", "GET", "HEAD", "PROPFIND", "PROPPATCH", "REPORT"],
        Path::Home(_) => &["OPTIONS", "GET", "HEAD", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "REPORT", "ACL"],
        // PUT is for its members; Evolution takes a calendar without it as one that cannot be written.
        Path::Calendar(..) => METHODS,
        Path::Object(..) => &[
            "OPTIONS",
            "GET",
            "HEAD",
            "PUT",
            "DELETE",
            "COPY",
            "MOVE",
            "PROPFIND",
            "PROPPATCH",
            "LOCK",
            "UNLOCK",
            "REPORT",
        ],
        Path::File(..) => &[
            "OPTIONS",
            "GET",
            "HEAD",
            "PUT",
            "POST",
            "DELETE",
            "COPY",
            "MOVE",
            "MKCOL",
            "PROPFIND",
            "PROPPATCH",
            "LOCK",
            "UNLOCK",
            "REPORT",
            "ACL",
        ],
    }
}
