//! The namespaces we speak.

/// RFC 4918
pub const DAV: &str = "DAV:";
/// RFC 4791
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// CalendarServer extensions (getctag, source, proxies)
pub const CS: &str = "http://calendarserver.org/ns/";
/// Apple's iCal properties (calendar-color, calendar-order)
pub const APPLE: &str = "http://apple.com/ns/ical/";
/// The namespace of `xml:lang`, bound to the prefix `xml` everywhere (Namespaces in XML 1.0 §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of `xmlns`; nothing can be named in it.
pub(super) const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The namespaces with a prefix of their own in what we write.
pub(super) const PREFIXES: [(&str, &str); 4] = [("D", DAV), ("C", CALDAV), ("CS", CS), ("A", APPLE)];

/// The fixed prefix of `ns`, if it has one.
pub(super) fn prefix(ns: &str) -> Option<&'static str> {
    PREFIXES.iter().find(|(_, uri)| *uri == ns).map(|(prefix, _)| *prefix)
}
