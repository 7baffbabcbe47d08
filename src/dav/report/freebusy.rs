//! CALDAV:free-busy-query (RFC 4791 §7.10): answered with a VFREEBUSY, not with a multistatus.

use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::filter::interval;
use super::query::reach;
use crate::base::Utc;
use crate::dav::{Failure, Request, Response, body_of};
use crate::service::{Context, Error, freebusy};
use crate::xml::{Element, ns};

/// Answers the report.
///
/// # Errors
/// 400 without a time-range; else as [`freebusy::report`].
pub async fn free_busy_query(context: &Arc<Context>, request: Request, root: &Element) -> Result<Response, Failure> {
    let range = root.child(ns::CALDAV, "time-range");
    let range = range.ok_or_else(|| Error::BadRequest("a free-busy-query has a CALDAV:time-range".into()))?;
    // There is no filter here whose precondition could be broken.
    let window = interval(range).map_err(|failure| Error::BadRequest(failure.message))?;
    let bound = |time: Utc, open: Utc| (time != open).then_some(time);
    let window = freebusy::closed_window(context, bound(window.start, Utc::MIN), bound(window.end, Utc::MAX));
    let reach = reach(&request);
    let text = freebusy::report(context, request.actor, &request.path, reach, window).await?;
    let mut response = Response::new(body_of(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    Ok(response)
}
