//! The requests that are sent to every place.

use crate::common::{Answer, TestApp};
use crate::event;

/// Methods, reports, and COPY and MOVE the other way round: with the place as their destination.
pub const OPS: &[&str] = &[
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "COPY",
    "MOVE",
    "COPY to",
    "COPY to, not over",
    "MOVE to",
    "MKCOL",
    "MKCALENDAR",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "ACL",
    "calendar-query",
    "calendar-multiget",
    "free-busy-query",
    "sync-collection",
    "expand-property",
    "acl-principal-prop-set",
    "principal-match",
    "principal-property-search",
    "principal-search-property-set",
    "calendarserver-principal-search",
];

/// Somewhere to send requests to.
pub struct Place {
    pub path: String,
    pub what: What,
}

/// What it is, or would be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Other,
    Calendar,
    Object,
    Folder,
    File,
}

/// The columns of the tables, in their order: the fixed collections, then what is alice's and what is not there.
pub fn places() -> Vec<Place> {
    use What::{Calendar, File, Folder, Object, Other};
    let places = [
        ("/", Other),
        ("/dav/", Other),
        ("/dav/principals/", Other),
        ("/dav/calendars/", Other),
        ("/dav/files/", Other),
        ("/dav/principals/alice/", Other),
        ("/dav/principals/alicf/", Other),
        ("/dav/calendars/alice/", Other),
        ("/dav/calendars/alicf/", Other),
        ("/dav/calendars/alice/default/", Calendar),
        ("/dav/calendars/alice/private/", Calendar),
        ("/dav/calendars/alice/privatf/", Calendar),
        ("/dav/calendars/alicf/private/", Calendar),
        ("/dav/calendars/alice/default/hidden.ics", Object),
        ("/dav/calendars/alice/default/hiddfn.ics", Object),
        ("/dav/calendars/alice/private/hidden.ics", Object),
        ("/dav/calendars/alice/private/hiddfn.ics", Object),
        ("/dav/calendars/alice/privatf/hidden.ics", Object),
        ("/dav/calendars/alicf/private/hidden.ics", Object),
        ("/dav/files/alice/", Other),
        ("/dav/files/alicf/", Other),
        ("/dav/files/alice/folder/", Folder),
        ("/dav/files/alice/foldfr/", Folder),
        ("/dav/files/alicf/folder/", Folder),
        ("/dav/files/alice/hidden.txt", File),
        ("/dav/files/alice/hiddfn.txt", File),
        ("/dav/files/alicf/hidden.txt", File),
    ];
    places.into_iter().map(|(path, what)| Place { path: path.to_owned(), what }).collect()
}

/// Whether it changes something where it is allowed.
pub fn changes(op: &str) -> bool {
    let writing = ["PUT", "POST", "DELETE", "COPY", "MOVE", "MKCOL", "MKCALENDAR", "PROPPATCH", "LOCK", "ACL"];
    writing.iter().any(|method| op.starts_with(method))
}

/// A request of the kind `op` at `place`.
pub async fn send(app: &TestApp, actor: Option<&str>, op: &str, place: &Place) -> Answer {
    send_with(app, actor, op, place, &[]).await
}

/// The same with more header fields.
pub async fn send_with(app: &TestApp, actor: Option<&str>, op: &str, place: &Place, more: &[(&str, &str)]) -> Answer {
    let own = actor.unwrap_or("stranger");
    let (method, path, destination) = match op.split_once(" to") {
        Some((method, _)) => (method, own_thing(own, place.what), place.path.clone()),
        None if changes(op) || !op.starts_with(|c: char| c.is_ascii_lowercase()) => {
            (op, place.path.clone(), own_target(own, place.what))
        }
        None => ("REPORT", place.path.clone(), String::new()),
    };
    let mut headers = Vec::from(more);
    match op {
        "COPY" | "MOVE" | "COPY to" | "MOVE to" => headers.push(("destination", destination.as_str())),
        "COPY to, not over" => headers.extend([("destination", destination.as_str()), ("overwrite", "F")]),
        "PROPFIND" => headers.push(("depth", "0")),
        "UNLOCK" => headers.push(("lock-token", "<urn:uuid:11111111-1111-1111-1111-111111111111>")),
        "calendar-query" | "free-busy-query" | "sync-collection" => headers.push(("depth", "1")),
        _ => {}
    }
    app.send(actor, method, &path, &headers, body(op, place)).await
}

fn own_thing(user: &str, what: What) -> String {
    match what {
        What::Calendar => format!("/dav/calendars/{user}/default/"),
        What::Object => format!("/dav/calendars/{user}/default/mine.ics"),
        What::Folder | What::File | What::Other => format!("/dav/files/{user}/mine.txt"),
    }
}

fn own_target(user: &str, what: What) -> String {
    match what {
        What::Calendar => format!("/dav/calendars/{user}/new/"),
        What::Object => format!("/dav/calendars/{user}/default/new.ics"),
        What::Folder => format!("/dav/files/{user}/new/"),
        What::File | What::Other => format!("/dav/files/{user}/new.txt"),
    }
}

fn body(op: &str, place: &Place) -> String {
    let prop = "<D:prop><D:displayname/><D:getetag/><D:resourcetype/><D:owner/></D:prop>";
    let with_data = "<D:prop><D:getetag/><C:calendar-data/></D:prop>";
    let (root, inside) = match op {
        "PUT" if place.what == What::Object => return event("hidden-uid-1"),
        "POST" if place.what == What::Calendar => return event("a-new-uid"),
        "PUT" | "POST" => return "text".into(),
        "PROPFIND" => ("D:propfind", prop.to_owned()),
        "PROPPATCH" => {
            let set = "<D:set><D:prop><D:displayname>New</D:displayname></D:prop></D:set>";
            ("D:propertyupdate", set.to_owned())
        }
        "LOCK" => {
            let lock = "<D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>";
            ("D:lockinfo", lock.to_owned())
        }
        "ACL" => ("D:acl", String::new()),
        "calendar-query" => {
            let filter = "<C:filter><C:comp-filter name=\"VCALENDAR\"/></C:filter>";
            ("C:calendar-query", format!("{with_data}{filter}"))
        }
        "calendar-multiget" => ("C:calendar-multiget", format!("{with_data}<D:href>{}</D:href>", place.path)),
        "free-busy-query" => {
            let range = "<C:time-range start=\"20261201T000000Z\" end=\"20261202T000000Z\"/>";
            ("C:free-busy-query", range.to_owned())
        }
        "sync-collection" => ("D:sync-collection", format!("<D:sync-token/><D:sync-level>1</D:sync-level>{with_data}")),
        "expand-property" => {
            let inside = "<D:property name=\"displayname\"/><D:property name=\"getetag\"/>";
            ("D:expand-property", format!("<D:property name=\"owner\">{inside}</D:property>{inside}"))
        }
        "acl-principal-prop-set" => ("D:acl-principal-prop-set", prop.to_owned()),
        "principal-match" => {
            ("D:principal-match", format!("<D:principal-property><D:owner/></D:principal-property>{prop}"))
        }
        "principal-property-search" => {
            let search =
                "<D:property-search><D:prop><D:displayname/></D:prop><D:match>alic</D:match></D:property-search>";
            ("D:principal-property-search", format!("{search}{prop}<D:apply-to-principal-collection-set/>"))
        }
        "principal-search-property-set" => ("D:principal-search-property-set", String::new()),
        "calendarserver-principal-search" => {
            ("S:calendarserver-principal-search", format!("<S:search-token>alic</S:search-token>{prop}"))
        }
        _ => return String::new(),
    };
    document(root, &inside)
}

/// An XML document with the usual prefixes.
pub fn document(root: &str, inside: &str) -> String {
    format!(
        "<{root} xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" \
         xmlns:S=\"http://calendarserver.org/ns/\">{inside}</{root}>"
    )
}
