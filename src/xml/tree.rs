//! A request body as a tree.

use super::{escape, ns};

/// An expanded name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The namespace URI; empty for none.
    pub ns: String,
    /// The local part.
    pub local: String,
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: Name,
    /// Its attributes, namespace declarations left out; `xml:lang` has the namespace
    /// `http://www.w3.org/XML/1998/namespace`.
    pub attributes: Vec<(Name, String)>,
    /// What is in it, in order.
    pub nodes: Vec<Node>,
}

/// Something in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Character data, decoded; CDATA as well.
    Text(String),
}

/// Why a body is no XML for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body is not well-formed XML, or more than the limits allow: {0}")]
pub struct XmlError(pub String);

impl Name {
    /// The name `local` in the namespace `ns`.
    pub fn new(ns: &str, local: &str) -> Self {
        Self { ns: ns.to_owned(), local: local.to_owned() }
    }
}

impl Element {
    /// An element without attributes and content.
    pub fn new(ns: &str, local: &str) -> Self {
        Self { name: Name::new(ns, local), attributes: Vec::new(), nodes: Vec::new() }
    }

    /// Whether it has this name.
    pub fn is(&self, ns: &str, local: &str) -> bool {
        self.name.ns == ns && self.name.local == local
    }

    /// Its child elements, in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child element of that name.
    pub fn child(&self, ns: &str, local: &str) -> Option<&Element> {
        self.children().find(|element| element.is(ns, local))
    }

    /// Its own character data put together, untrimmed.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// The attribute of that name without a namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attribute_in("", local)
    }

    /// The language that is declared on this very element (`xml:lang`).
    pub fn lang(&self) -> Option<&str> {
        self.attribute_in(ns::XML, "lang")
    }

    /// The attribute of that name in the namespace `ns`.
    pub fn attribute_in(&self, ns: &str, local: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find(|(name, _)| name.ns == ns && name.local == local).map(|(_, value)| value.as_str())
    }

    /// Declares `lang` on it, unless it declares a language of its own: for an element that is taken out of the scope
    /// of an `xml:lang` (RFC 4918 §4.3).
    pub fn inherit_lang(&mut self, lang: Option<&str>) {
        if let (Some(lang), None) = (lang, self.lang()) {
            self.attributes.push((Name::new(ns::XML, "lang"), lang.to_owned()));
        }
    }

    /// The element as text that stands for itself anywhere: every namespace it uses is declared on it or inside it.
    pub fn to_xml(&self) -> String {
        let mut namespaces = Vec::new();
        self.gather(&mut namespaces);
        let mut out = String::new();
        self.write(&mut out, &namespaces, Place::Root);
        out
    }

    /// Collects the namespaces used in it, each once.
    fn gather<'a>(&'a self, namespaces: &mut Vec<&'a str>) {
        for name in std::iter::once(&self.name).chain(self.attributes.iter().map(|(name, _)| name)) {
            let known = name.ns.is_empty() || name.ns == ns::XML || namespaces.contains(&name.ns.as_str());
            if !known && namespaces.len() < DECLARATIONS_MAX {
                namespaces.push(&name.ns);
            }
        }
        self.children().for_each(|child| child.gather(namespaces));
    }

    fn write(&self, out: &mut String, namespaces: &[&str], place: Place) {
        // Namespaces that found no room on the outermost element are declared where they are used.
        let mut own = Vec::new();
        let names = std::iter::once(&self.name).chain(self.attributes.iter().map(|(name, _)| name));
        for name in names.filter(|name| prefix_of(&name.ns, namespaces).is_none()) {
            if !own.contains(&name.ns.as_str()) {
                own.push(name.ns.as_str());
            }
        }
        let tag = |out: &mut String, name: &Name| match prefix_of(&name.ns, namespaces) {
            Some(prefix) => push_name(out, &prefix, &name.local),
            None => push_name(out, &local_prefix(&name.ns, &own), &name.local),
        };
        out.push('<');
        tag(out, &self.name);
        if place == Place::Root {
            let shared = namespaces.iter().filter_map(|ns| Some((prefix_of(ns, namespaces)?, *ns)));
            shared.for_each(|(prefix, ns)| declare(out, &prefix, ns));
        }
        own.iter().for_each(|ns| declare(out, &local_prefix(ns, &own), ns));
        for (name, value) in &self.attributes {
            out.push(' ');
            tag(out, name);
            out.push_str("=\"");
            escape::value(out, value);
            out.push('"');
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write(out, namespaces, Place::Inside),
                Node::Text(text) => escape::text(out, text),
            }
        }
        out.push_str("</");
        tag(out, &self.name);
        out.push('>');
    }
}

/// How many namespaces the outermost element declares: parsers, ours too, bound what is in scope at once.
const DECLARATIONS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Inside,
}

/// The prefix of `ns` in all of the element; `None` if it has to be declared where it is used.
fn prefix_of(ns: &str, namespaces: &[&str]) -> Option<String> {
    match ns {
        "" => Some(String::new()),
        ns::XML => Some("xml".to_owned()),
        _ => {
            let at = namespaces.iter().position(|known| *known == ns)?;
            Some(ns::prefix(ns).map_or_else(|| format!("n{at}"), str::to_owned))
        }
    }
}

/// The prefix of a namespace that is declared on the element that uses it.
fn local_prefix(ns: &str, own: &[&str]) -> String {
    format!("l{}", own.iter().position(|known| *known == ns).unwrap_or_default())
}

fn push_name(out: &mut String, prefix: &str, local: &str) {
    if !prefix.is_empty() {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(local);
}

fn declare(out: &mut String, prefix: &str, ns: &str) {
    out.push_str(" xmlns:");
    out.push_str(prefix);
    out.push_str("=\"");
    escape::value(out, ns);
    out.push('"');
}
