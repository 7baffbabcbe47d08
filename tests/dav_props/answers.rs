//! Reading answers as a client does.

use kalends::base::Limits;
use kalends::xml::{self, Element, ns};

use crate::common::Answer;

/// A multistatus, read.
pub struct Multistatus {
    pub root: Element,
}

impl Multistatus {
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = xml::parse(&answer.body, &Limits::default()).expect("the answer is well-formed");
        assert!(root.is(ns::DAV, "multistatus"));
        Self { root }
    }

    pub fn hrefs(&self) -> Vec<String> {
        self.responses().map(href).collect()
    }

    pub fn responses(&self) -> impl Iterator<Item = &Element> {
        self.root.children().filter(|child| child.is(ns::DAV, "response"))
    }

    pub fn response(&self, wanted: &str) -> &Element {
        self.responses()
            .find(|response| href(response) == wanted)
            .unwrap_or_else(|| panic!("no response for {wanted} in {:?}", self.hrefs()))
    }

    /// A property and the status of its propstat.
    pub fn find(&self, href: &str, ns: &str, local: &str) -> Option<(u16, &Element)> {
        propstats(self.response(href)).find_map(|(status, prop)| Some((status, prop.child(ns, local)?)))
    }

    /// The status of a property.
    pub fn status(&self, href: &str, ns: &str, local: &str) -> Option<u16> {
        self.find(href, ns, local).map(|(status, _)| status)
    }

    /// A property that must be there with 200.
    pub fn prop(&self, href: &str, ns: &str, local: &str) -> &Element {
        match self.find(href, ns, local) {
            Some((200, element)) => element,
            other => panic!("{local} of {href}: {other:?}"),
        }
    }

    /// Its text.
    pub fn text(&self, href: &str, ns: &str, local: &str) -> String {
        self.prop(href, ns, local).text()
    }
}

pub fn href(response: &Element) -> String {
    response.child(ns::DAV, "href").expect("a response has an href").text()
}

pub fn propstats(response: &Element) -> impl Iterator<Item = (u16, &Element)> {
    response.children().filter(|child| child.is(ns::DAV, "propstat")).map(|propstat| {
        let status = propstat.child(ns::DAV, "status").expect("a propstat has a status").text();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        (status, propstat.child(ns::DAV, "prop").expect("a propstat has a prop"))
    })
}

/// The hrefs in a property.
pub fn hrefs(property: &Element) -> Vec<String> {
    property.children().filter(|child| child.is(ns::DAV, "href")).map(Element::text).collect()
}

/// The condition in a DAV:error body.
pub fn condition(answer: &Answer) -> String {
    let root = xml::parse(&answer.body, &Limits::default()).unwrap_or_else(|e| panic!("{e}: {}", answer.text()));
    assert!(root.is(ns::DAV, "error"), "{}", answer.text());
    let mut children = root.children();
    let name = children.next().expect("an error holds its condition").name.local.clone();
    assert!(children.next().is_none(), "and no other element: {}", answer.text());
    assert!(answer.text().trim_end().ends_with("-->"), "and a text for people behind it: {}", answer.text());
    name
}

/// A PROPFIND body that asks for these; prefixes `D`, `C`, `CS`, `A`.
pub fn ask(names: &str) -> String {
    let names: String = names.split_whitespace().map(|name| format!("<{name}/>")).collect();
    document("D:propfind", &format!("<D:prop>{names}</D:prop>"))
}

/// A document with that root.
pub fn document(root: &str, inside: &str) -> String {
    let namespaces = r#"xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/""#;
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><{root} {namespaces}>{inside}</{root}>")
}
