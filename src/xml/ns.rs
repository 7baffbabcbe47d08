//! The namespaces we speak.

/// RFC 4918
pub const DAV: &str = "DAV:";
/// RFC 4791
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// CalendarServer extensions (getctag, source, proxies)
pub const CS: &str = "http://calendarserver.org/ns/";
/// Apple's iCal properties (calendar-color, calendar-order)
pub const APPLE: &str = "http://apple.com/ns/ical/";
