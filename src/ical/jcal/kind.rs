//! Which value type a property has where VALUE does not say (RFC 5545 §3.7, §3.8, RFC 7953, 7986, 9073, 9074).

/// The default type of the property `name`, in lower case as jCal writes it; `None` if it has none or nobody knows it.
pub(super) fn default_type(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_uppercase().as_str() {
        "CALSCALE" | "METHOD" | "PRODID" | "VERSION" | "CATEGORIES" | "CLASS" | "COMMENT" | "DESCRIPTION"
        | "LOCATION" | "RESOURCES" | "STATUS" | "SUMMARY" | "TRANSP" | "TZID" | "TZNAME" | "CONTACT" | "RELATED-TO"
        | "UID" | "ACTION" | "REQUEST-STATUS" | "NAME" | "COLOR" | "BUSYTYPE" | "PROXIMITY" | "LOCATION-TYPE"
        | "PARTICIPANT-TYPE" | "RESOURCE-TYPE" => "text",
        "ATTACH" | "TZURL" | "URL" | "SOURCE" => "uri",
        "ATTENDEE" | "ORGANIZER" | "CALENDAR-ADDRESS" => "cal-address",
        "COMPLETED" | "DTEND" | "DUE" | "DTSTART" | "RECURRENCE-ID" | "EXDATE" | "RDATE" | "CREATED" | "DTSTAMP"
        | "LAST-MODIFIED" | "ACKNOWLEDGED" | "TZUNTIL" => "date-time",
        "DURATION" | "TRIGGER" => "duration",
        "FREEBUSY" => "period",
        "GEO" => "float",
        "PERCENT-COMPLETE" | "PRIORITY" | "REPEAT" | "SEQUENCE" => "integer",
        "TZOFFSETFROM" | "TZOFFSETTO" => "utc-offset",
        "RRULE" | "EXRULE" => "recur",
        _ => return None,
    })
}

/// How the text behind the colon falls into values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value.
    Single,
    /// Values between commas, each an element of the property (RFC 7265 §3.4).
    List,
    /// Values between semicolons, together one array (RFC 7265 §3.4.1).
    Structured,
}

/// The shape of the property `name`.
pub(super) fn shape(name: &str) -> Shape {
    match name.to_ascii_uppercase().as_str() {
        "CATEGORIES" | "RESOURCES" | "EXDATE" | "RDATE" | "FREEBUSY" => Shape::List,
        "GEO" | "REQUEST-STATUS" => Shape::Structured,
        _ => Shape::Single,
    }
}
