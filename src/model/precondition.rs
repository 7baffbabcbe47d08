//! The conditions that the RFCs name, without their wire form: the edge gives each its status and element.

use super::{Path, Privilege};

/// A named pre- or postcondition that a request broke. Variants are named after the element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    // RFC 4791 §5.3.1, §5.3.2, §7.8–7.10, 5.3.2.1
    /// CALDAV:supported-calendar-data
    SupportedCalendarData,
    /// CALDAV:valid-calendar-data
    ValidCalendarData,
    /// CALDAV:valid-calendar-object-resource
    ValidCalendarObjectResource,
    /// CALDAV:supported-calendar-component
    SupportedCalendarComponent,
    /// CALDAV:no-uid-conflict, with the object that has the UID
    NoUidConflict(Path),
    /// CALDAV:calendar-collection-location-ok
    CalendarCollectionLocationOk,
    /// CALDAV:max-resource-size
    MaxResourceSize,
    /// CALDAV:min-date-time
    MinDateTime,
    /// CALDAV:max-date-time
    MaxDateTime,
    /// CALDAV:max-instances
    MaxInstances,
    /// CALDAV:max-attendees-per-instance
    MaxAttendeesPerInstance,
    /// CALDAV:supported-rscale (RFC 7529 §10)
    SupportedRscale,
    /// CALDAV:initialize-calendar-collection
    InitializeCalendarCollection,
    /// CALDAV:valid-calendar-data for a calendar-timezone (RFC 4791 §5.2.2)
    ValidTimezone,
    /// CALDAV:valid-filter
    ValidFilter,
    /// CALDAV:supported-filter
    SupportedFilter,
    /// CALDAV:supported-collation
    SupportedCollation,
    /// CALDAV:valid-timezone for a timezone-id (RFC 7809 §3.1.5, §3.1.6), or a TZID
    ValidTimezoneId,
    // RFC 4918, 3253, 3744, 4331, 5689, 5995, 6578
    /// DAV:resource-must-be-null
    ResourceMustBeNull,
    /// DAV:valid-resourcetype (RFC 5689 §3.3)
    ValidResourcetype,
    /// DAV:cannot-modify-protected-property
    CannotModifyProtectedProperty,
    /// DAV:lock-token-submitted, with the locked resource
    LockTokenSubmitted(Path),
    /// DAV:no-conflicting-lock, with the resource that holds the other lock
    NoConflictingLock(Path),
    /// DAV:lock-token-matches-request-uri
    LockTokenMatchesRequestUri,
    /// DAV:propfind-finite-depth
    PropfindFiniteDepth,
    /// DAV:need-privileges, with each resource and the privilege missing on it
    NeedPrivileges(Vec<(Path, Privilege)>),
    /// DAV:valid-sync-token
    ValidSyncToken,
    /// DAV:sync-traversal-supported
    SyncTraversalSupported,
    /// DAV:number-of-matches-within-limits
    NumberOfMatchesWithinLimits,
    /// DAV:supported-report
    SupportedReport,
    /// DAV:quota-not-exceeded
    QuotaNotExceeded,
    /// DAV:sufficient-disk-space
    SufficientDiskSpace,
    /// DAV:no-ace-conflict
    NoAceConflict,
    /// DAV:no-protected-ace-conflict
    NoProtectedAceConflict,
    /// DAV:no-inherited-ace-conflict
    NoInheritedAceConflict,
    /// DAV:limited-number-of-aces
    LimitedNumberOfAces,
    /// DAV:grant-only
    GrantOnly,
    /// DAV:no-invert
    NoInvert,
    /// DAV:no-abstract
    NoAbstract,
    /// DAV:not-supported-privilege
    NotSupportedPrivilege,
    /// DAV:missing-required-principal
    MissingRequiredPrincipal,
    /// DAV:recognized-principal
    RecognizedPrincipal,
    /// DAV:allowed-principal
    AllowedPrincipal,
}
