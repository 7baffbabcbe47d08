//! A request body as a tree.

use crate::base::Limits;

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

/// Parses a whole document.
///
/// # Errors
/// Malformed, truncated, two roots, unbound prefixes, DTDs and foreign entities, control characters, too deep, too many elements.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Element, XmlError> {
    let _ = (body, limits);
    todo!()
}

impl Element {
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
        self.attributes
            .iter()
            .find(|(name, _)| name.ns.is_empty() && name.local == local)
            .map(|(_, value)| value.as_str())
    }

    /// The element as text that stands for itself anywhere: every namespace it uses is declared on it or inside it.
    pub fn to_xml(&self) -> String {
        todo!()
    }
}
