//! Errors as RFC 9457 problem details: what is wrong, with which field, and what to do.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{Response, body_of};
use crate::base::limit_named_in;
use crate::service::webhooks::state::StateError;
use crate::service::{Error, StoreError};

/// Texts of use-cases name the field before the first colon.
fn split(text: String) -> (Option<String>, String) {
    match text.split_once(": ") {
        Some((field, rest)) if FIELDS.contains(&field) => (Some(field.to_owned()), rest.to_owned()),
        _ => (None, text),
    }
}

/// The fields that use-cases name.
const FIELDS: &[&str] = &["url", "user", "description", "calendars", "events", "headers", "rate", "allow_private"];

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "store.failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the storage is not available; try again later")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound | Error::ParentMissing => Self::not_found(),
            Error::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "this takes a login"),
            Error::Store(error) => error.into(),
            Error::BadRequest(text) => {
                let (field, detail) = split(text);
                Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", detail) }
            }
            Error::Forbidden(text) => {
                let (field, detail) = split(text);
                Self { field, ..Self::new(StatusCode::FORBIDDEN, "forbidden", detail) }
            }
            Error::InsufficientStorage(text) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "too-many", text),
            Error::TooManyWait(text) => {
                if let Some(limit) = limit_named_in(&text) {
                    metrics::counter!("kalends_limit_hits_total", "limit" => limit).increment(1);
                }
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-wait", text)
            }
            Error::StateChanged => {
                Self::new(StatusCode::CONFLICT, "changed", "it was changed by somebody else meanwhile; try again")
            }
            other => Self::new(StatusCode::BAD_REQUEST, "invalid", other.to_string()),
        }
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Cursor => Self::field("since", error.to_string()),
            StateError::TooOld => Self::new(StatusCode::GONE, "too-old", error.to_string()),
            StateError::Other(error) => error.into(),
        }
    }
}

/// Why a request was not done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What kind of problem, for programs: the last part of the problem's `type`.
    pub code: &'static str,
    /// What is wrong, with which value, and what to do.
    pub detail: String,
    /// The field of the body, or the parameter, that is wrong.
    pub field: Option<String>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None }
    }

    /// 422: a field of the body, or a parameter, has a wrong value.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let field = Some(field.into());
        Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", detail) }
    }

    /// The same problem of a field inside of `outer`.
    pub fn within(mut self, outer: &str) -> Self {
        self.field = self.field.map(|field| format!("{outer}.{field}"));
        self
    }

    /// 404: it is not there, or is not for the one who asks to know of.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here, or you may not see it")
    }

    /// The problem as an answer.
    pub fn into_response(self) -> Response {
        let mut value = json!({
            "type": format!("urn:kalends:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some(field), Value::Object(members)) = (self.field, &mut value) {
            members.insert("field".to_owned(), Value::String(field));
        }
        let mut response = Response::new(body_of(value.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}
