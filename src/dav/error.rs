//! From a use-case's error to an answer: the status, and the precondition's element where an RFC names one, alone
//! in DAV:error (RFC 4918 §16) and followed by a text for people.

use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE};

use super::{METHODS, Response, body_of};
use crate::base::limit_named_in;
use crate::model::{Path, Precondition, Privilege};
use crate::service::{Error, StoreError};
use crate::xml::{Writer, ns};

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status.
    pub status: StatusCode,
    /// The condition that is broken, if an RFC has a name for it.
    pub condition: Option<Precondition>,
    /// What to say to a person.
    pub message: String,
    /// What stands in the way below the resource that was asked for: the answer is a multistatus then.
    pub members: Option<Box<Members>>,
}

/// What stands in the way of a request, each with its own failure.
#[derive(Debug, Clone)]
pub struct Members(pub Vec<(Path, Failure)>);

impl Failure {
    /// An error with a status and a text.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, condition: None, message: message.into(), members: None }
    }

    /// An error that breaks a condition which an RFC names.
    pub fn of_condition(status: StatusCode, condition: Precondition, message: impl Into<String>) -> Self {
        Self { condition: Some(condition), ..Self::new(status, message) }
    }

    /// 501 for a method that means nothing to us.
    pub fn method_not_implemented(method: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("the method {method} is not known here"))
    }

    /// The answer. With a condition the body is DAV:error; else a line of text.
    pub fn into_response(self) -> Response {
        self.count();
        let (media_type, body) = match (&self.members, &self.condition) {
            (Some(members), _) => ("application/xml; charset=utf-8", members_document(&members.0)),
            (None, Some(condition)) => ("application/xml; charset=utf-8", error_document(condition, &self.message)),
            (None, None) => ("text/plain; charset=utf-8", format!("{}\n", self.message).into_bytes()),
        };
        let mut response = http::Response::new(body_of(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
        if self.status == StatusCode::METHOD_NOT_ALLOWED
            && let Ok(allow) = METHODS.join(", ").parse()
        {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

impl Failure {
    /// What the metrics hear of it.
    fn count(&self) {
        if let Some(condition) = &self.condition {
            metrics::counter!("kalends_refusals_total", "condition" => name_of(condition).1).increment(1);
        }
        if let Some(limit) = limit_named_in(&self.message) {
            metrics::counter!("kalends_limit_hits_total", "limit" => limit).increment(1);
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let status = match error {
            Error::NotFound => StatusCode::NOT_FOUND,
            Error::Unauthenticated => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::Precondition { condition, .. } => {
                return Self::of_condition(status_of(&condition), *condition, message);
            }
            Error::LockGone => {
                let condition = Precondition::LockTokenMatchesRequestUri;
                return Self::of_condition(StatusCode::PRECONDITION_FAILED, condition, message);
            }
            Error::Members(members) => {
                let members = members.into_iter().map(|(path, error)| (path, Self::from(error))).collect();
                return Self {
                    members: Some(Box::new(Members(members))),
                    ..Self::new(StatusCode::MULTI_STATUS, message)
                };
            }
            Error::InsufficientStorage(_) => StatusCode::INSUFFICIENT_STORAGE,
            Error::TooManyWait(_) => StatusCode::TOO_MANY_REQUESTS,
            Error::ForeignDestination(_) => StatusCode::BAD_GATEWAY,
            Error::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Error::ParentMissing => StatusCode::CONFLICT,
            Error::StateChanged => StatusCode::PRECONDITION_FAILED,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::BadRequest(_) => StatusCode::BAD_REQUEST,
            Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::Store(error) => return Self::of_store(&error),
        };
        Self::new(status, message)
    }
}

impl Failure {
    /// The store's troubles: logged here in full, told to the client without the machine's details.
    fn of_store(error: &StoreError) -> Self {
        tracing::error!(error = %error, "store.failed");
        match error {
            StoreError::Full(_) => Self::of_condition(
                StatusCode::INSUFFICIENT_STORAGE,
                Precondition::SufficientDiskSpace,
                "the server's disk is full",
            ),
            // Refused beforehand.
            StoreError::ReadOnly(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the storage takes no writes; nothing was changed")
            }
            // What a failed flush has left is known after the next start.
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the storage is not available; ask later what is there"),
        }
    }
}

/// The status that goes with a condition, by the RFC that names it.
fn status_of(condition: &Precondition) -> StatusCode {
    use Precondition as P;
    match condition {
        P::LockTokenSubmitted(_) | P::NoConflictingLock(_) => StatusCode::LOCKED,
        P::LockTokenMatchesRequestUri | P::SyncTraversalSupported => StatusCode::CONFLICT,
        P::QuotaNotExceeded | P::SufficientDiskSpace => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::FORBIDDEN,
    }
}

/// The body: DAV:error with the condition's element, alone, for clients that take every element in it for a condition. What to
/// tell a person stands behind it as a comment.
fn error_document(condition: &Precondition, message: &str) -> Vec<u8> {
    let mut writer = Writer::document(ns::DAV, "error");
    write_condition(&mut writer, condition);
    writer.finish_with_comment(message)
}

/// The body of a multistatus with each resource that stands in the way (RFC 4918 §9.6.1, §9.8.5, §9.10.9).
fn members_document(members: &[(Path, Failure)]) -> Vec<u8> {
    let mut writer = Writer::document(ns::DAV, "multistatus");
    for (path, failure) in members {
        writer.open(ns::DAV, "response").element(ns::DAV, "href", &path.href());
        writer.element(ns::DAV, "status", &format!("HTTP/1.1 {}", status_line(failure.status)));
        if let Some(condition) = &failure.condition {
            writer.open(ns::DAV, "error");
            write_condition(&mut writer, condition);
            writer.close();
        }
        writer.close();
    }
    writer.finish()
}

fn status_line(status: StatusCode) -> String {
    format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or("Unknown"))
}

/// Writes the condition's element, as it stands in DAV:error, also inside of a multistatus.
pub fn write_condition(writer: &mut Writer, condition: &Precondition) {
    use Precondition as P;
    let (namespace, local) = name_of(condition);
    writer.open(namespace, local);
    match condition {
        P::NoUidConflict(path) | P::LockTokenSubmitted(path) | P::NoConflictingLock(path) => {
            writer.element(ns::DAV, "href", &path.href());
        }
        P::NeedPrivileges(missing) => {
            for (path, privilege) in missing {
                writer.open(ns::DAV, "resource").element(ns::DAV, "href", &path.href());
                let (namespace, local) = privilege_name(*privilege);
                writer.open(ns::DAV, "privilege").empty(namespace, local).close().close();
            }
        }
        _ => {}
    }
    writer.close();
}

/// The element's name of a condition.
fn name_of(condition: &Precondition) -> (&'static str, &'static str) {
    use Precondition as P;
    match condition {
        P::SupportedCalendarData => (ns::CALDAV, "supported-calendar-data"),
        P::ValidCalendarData | P::ValidTimezone => (ns::CALDAV, "valid-calendar-data"),
        P::ValidCalendarObjectResource => (ns::CALDAV, "valid-calendar-object-resource"),
        P::SupportedCalendarComponent => (ns::CALDAV, "supported-calendar-component"),
        P::NoUidConflict(_) => (ns::CALDAV, "no-uid-conflict"),
        P::CalendarCollectionLocationOk => (ns::CALDAV, "calendar-collection-location-ok"),
        P::MaxResourceSize => (ns::CALDAV, "max-resource-size"),
        P::MinDateTime => (ns::CALDAV, "min-date-time"),
        P::MaxDateTime => (ns::CALDAV, "max-date-time"),
        P::MaxInstances => (ns::CALDAV, "max-instances"),
        P::MaxAttendeesPerInstance => (ns::CALDAV, "max-attendees-per-instance"),
        P::SupportedRscale => (ns::CALDAV, "supported-rscale"),
        P::InitializeCalendarCollection => (ns::CALDAV, "initialize-calendar-collection"),
        P::ValidFilter => (ns::CALDAV, "valid-filter"),
        P::SupportedFilter => (ns::CALDAV, "supported-filter"),
        P::SupportedCollation => (ns::CALDAV, "supported-collation"),
        P::ValidTimezoneId => (ns::CALDAV, "valid-timezone"),
        P::ResourceMustBeNull => (ns::DAV, "resource-must-be-null"),
        P::ValidResourcetype => (ns::DAV, "valid-resourcetype"),
        P::CannotModifyProtectedProperty => (ns::DAV, "cannot-modify-protected-property"),
        P::LockTokenSubmitted(_) => (ns::DAV, "lock-token-submitted"),
        P::NoConflictingLock(_) => (ns::DAV, "no-conflicting-lock"),
        P::LockTokenMatchesRequestUri => (ns::DAV, "lock-token-matches-request-uri"),
        P::PropfindFiniteDepth => (ns::DAV, "propfind-finite-depth"),
        P::NeedPrivileges(_) => (ns::DAV, "need-privileges"),
        P::ValidSyncToken => (ns::DAV, "valid-sync-token"),
        P::SyncTraversalSupported => (ns::DAV, "sync-traversal-supported"),
        P::NumberOfMatchesWithinLimits => (ns::DAV, "number-of-matches-within-limits"),
        P::SupportedReport => (ns::DAV, "supported-report"),
        P::QuotaNotExceeded => (ns::DAV, "quota-not-exceeded"),
        P::SufficientDiskSpace => (ns::DAV, "sufficient-disk-space"),
        P::NoAceConflict => (ns::DAV, "no-ace-conflict"),
        P::NoProtectedAceConflict => (ns::DAV, "no-protected-ace-conflict"),
        P::NoInheritedAceConflict => (ns::DAV, "no-inherited-ace-conflict"),
        P::LimitedNumberOfAces => (ns::DAV, "limited-number-of-aces"),
        P::GrantOnly => (ns::DAV, "grant-only"),
        P::NoInvert => (ns::DAV, "no-invert"),
        P::NoAbstract => (ns::DAV, "no-abstract"),
        P::NotSupportedPrivilege => (ns::DAV, "not-supported-privilege"),
        P::MissingRequiredPrincipal => (ns::DAV, "missing-required-principal"),
        P::RecognizedPrincipal => (ns::DAV, "recognized-principal"),
        P::AllowedPrincipal => (ns::DAV, "allowed-principal"),
    }
}

/// The element's name of a privilege (RFC 3744 §3, RFC 4791 §6.1.1).
pub fn privilege_name(privilege: Privilege) -> (&'static str, &'static str) {
    match privilege {
        Privilege::All => (ns::DAV, "all"),
        Privilege::Read => (ns::DAV, "read"),
        Privilege::Write => (ns::DAV, "write"),
        Privilege::WriteProperties => (ns::DAV, "write-properties"),
        Privilege::WriteContent => (ns::DAV, "write-content"),
        Privilege::Bind => (ns::DAV, "bind"),
        Privilege::Unbind => (ns::DAV, "unbind"),
        Privilege::Unlock => (ns::DAV, "unlock"),
        Privilege::ReadAcl => (ns::DAV, "read-acl"),
        Privilege::ReadCurrentUserPrivilegeSet => (ns::DAV, "read-current-user-privilege-set"),
        Privilege::WriteAcl => (ns::DAV, "write-acl"),
        Privilege::ReadFreeBusy => (ns::CALDAV, "read-free-busy"),
    }
}
