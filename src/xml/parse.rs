//! Reading. `quick-xml` finds the tags and their ends; what it lets pass and a DAV server must not (an
//! unfinished document, a second root, text beside it, prefixes that nobody declared, DTDs, entities, bad names) is
//! refused here.

use std::collections::HashSet;
use std::hash::Hash;

use quick_xml::XmlVersion;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::decode::{allowed, decode};
use super::{Element, Name, Node, XmlError, ns};
use crate::base::Limits;

/// Parses a whole document.
///
/// # Errors
/// Malformed, truncated, two roots, unbound prefixes, DTDs and foreign entities, control characters, too deep, too many elements.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Element, XmlError> {
    let text = decode(body)?;
    let mut reader = NsReader::from_str(&text);
    reader.config_mut().check_comments = true;
    let mut document = Document { limits, open: Vec::new(), root: None, elements: 0, attributes: 0, begun: false };
    loop {
        let event = reader.read_event().map_err(|e| XmlError(e.to_string()))?;
        if let Event::Eof = event {
            return document.finish();
        }
        document.take(&event, &reader)?;
    }
}

/// The document as far as it was read.
struct Document<'a> {
    limits: &'a Limits,
    /// The elements not yet closed, the outermost first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: u64,
    attributes: u64,
    /// Whether anything was read: a declaration has to be first.
    begun: bool,
}

impl Document<'_> {
    fn take(&mut self, event: &Event<'_>, reader: &NsReader<&[u8]>) -> Result<(), XmlError> {
        let first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Start(start) => {
                let element = self.element(start, reader)?;
                self.open.push(element);
                Ok(())
            }
            Event::Empty(start) => {
                let element = self.element(start, reader)?;
                self.put(element)
            }
            Event::End(_) => match self.open.pop() {
                Some(element) => self.put(element),
                None => refuse("an end tag without a start tag"),
            },
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) if self.open.is_empty() => {
                refuse(&format!("{} characters of CDATA outside of the root", text.len()))
            }
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => self.reference(reference),
            Event::Decl(declaration) if first => check_declaration(declaration),
            Event::Decl(_) => refuse("an XML declaration that is not at the beginning"),
            Event::DocType(_) => refuse("a document type declaration, which WebDAV has no use for"),
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn finish(self) -> Result<Element, XmlError> {
        match (self.open.last(), self.root) {
            (Some(open), _) => refuse(&format!("it ends inside of <{}>", shorten(&open.name.local))),
            (None, Some(root)) => Ok(root),
            (None, None) => refuse("it has no element"),
        }
    }

    /// Puts a closed element to its parent.
    fn put(&mut self, element: Element) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(parent) => parent.nodes.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    /// Adds character data; neighbouring pieces become one.
    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => return refuse("text outside of the root element"),
            Some(_) if text.is_empty() => {}
            Some(parent) => match parent.nodes.last_mut() {
                Some(Node::Text(before)) => before.push_str(text),
                _ => parent.nodes.push(Node::Text(text.to_owned())),
            },
        }
        Ok(())
    }

    /// A character reference or one of the five entities that XML itself knows.
    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlError> {
        if self.open.is_empty() {
            return refuse("a reference outside of the root element");
        }
        match reference.resolve_char_ref().map_err(|e| XmlError(e.to_string()))? {
            Some(c) if allowed(c) => self.text(c.encode_utf8(&mut [0; 4])),
            Some(c) => {
                refuse(&format!("a reference to the character U+{:04X}, which XML does not allow", u32::from(c)))
            }
            None => match resolve_predefined_entity(reference) {
                Some(text) => self.text(text),
                None => refuse(&format!("the unknown entity `{}`", shorten(reference))),
            },
        }
    }

    /// The element that `start` opens.
    fn element(&mut self, start: &BytesStart<'_>, reader: &NsReader<&[u8]>) -> Result<Element, XmlError> {
        self.elements += 1;
        if self.open.is_empty() && self.root.is_some() {
            return refuse("a second root element");
        }
        if self.elements > self.limits.xml_elements_max {
            return refuse(&format!("more than {} elements (limit xml_elements_max)", self.limits.xml_elements_max));
        }
        if self.open.len() as u64 >= self.limits.xml_depth_max {
            return refuse(&format!("elements nested deeper than {} (limit xml_depth_max)", self.limits.xml_depth_max));
        }
        let (namespace, _) = reader.resolver().resolve_element(start.name());
        let name = self.name(start.name(), namespace)?;
        let attributes = self.attributes(start, reader)?;
        Ok(Element { name, attributes, nodes: Vec::new() })
    }

    /// Its attributes without the namespace declarations, which are checked.
    fn attributes(
        &mut self,
        start: &BytesStart<'_>,
        reader: &NsReader<&[u8]>,
    ) -> Result<Vec<(Name, String)>, XmlError> {
        let mut attributes: Vec<(Name, String)> = Vec::new();
        let mut bound: Vec<&str> = Vec::new();
        // The reader would hold each against each: what stands there twice is found below.
        for (count, attribute) in start.attributes().with_checks(false).enumerate() {
            self.attributes += 1;
            if self.attributes > self.limits.xml_elements_max {
                let most = self.limits.xml_elements_max;
                return refuse(&format!("more than {most} attributes in all (limit xml_elements_max)"));
            }
            if count as u64 >= self.limits.xml_attributes_max {
                let most = self.limits.xml_attributes_max;
                return refuse(&format!("an element with more than {most} attributes (limit xml_attributes_max)"));
            }
            let attribute = attribute.map_err(|e| XmlError(e.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| XmlError(e.to_string()))?;
            if !value.chars().all(allowed) {
                return refuse("an attribute with characters that XML does not allow");
            }
            if let Some(declaration) = attribute.key.as_namespace_binding() {
                self.check_binding(declaration, &value)?;
                bound.push(attribute.key.into_inner());
                continue;
            }
            let (namespace, _) = reader.resolver().resolve_attribute(attribute.key);
            let name = self.name(attribute.key, namespace)?;
            attributes.push((name, value.into_owned()));
        }
        if let Some(name) = repeated(&attributes, |(name, _)| name) {
            return refuse(&format!("the attribute `{}` twice in one element", shorten(&name.local)));
        }
        if repeated(&bound, |key| key).is_some() {
            return refuse("a namespace declaration twice in one element");
        }
        Ok(attributes)
    }

    /// Checks a namespace declaration (Namespaces in XML 1.0 §2.2, §3).
    fn check_binding(&self, declaration: PrefixDeclaration<'_>, uri: &str) -> Result<(), XmlError> {
        if uri.len() as u64 > self.limits.xml_namespace_bytes_max {
            let most = self.limits.xml_namespace_bytes_max;
            return refuse(&format!("a namespace's name longer than {most} bytes (limit xml_namespace_bytes_max)"));
        }
        match declaration {
            PrefixDeclaration::Named("xml") => Ok(()),
            PrefixDeclaration::Named(prefix) if uri.is_empty() => {
                refuse(&format!("the prefix `{}` is declared for no namespace", shorten(prefix)))
            }
            PrefixDeclaration::Named(prefix) => check_ncname(prefix),
            PrefixDeclaration::Default if uri == ns::XML => refuse("the xml namespace as the default one"),
            PrefixDeclaration::Default => Ok(()),
        }
    }

    fn name(&self, name: QName<'_>, namespace: ResolveResult<'_>) -> Result<Name, XmlError> {
        let (local, prefix) = name.decompose();
        check_ncname(local.into_inner())?;
        let uri = match namespace {
            ResolveResult::Unbound => return Ok(Name::new("", local.into_inner())),
            ResolveResult::Bound(uri) => unescape(uri.into_inner()).map_err(|e| XmlError(e.to_string()))?,
            ResolveResult::Unknown(prefix) => {
                return refuse(&format!("the prefix `{}` is not declared", shorten(&prefix)));
            }
        };
        if prefix.is_some_and(|prefix| prefix.is_xmlns()) || uri == ns::XMLNS {
            return refuse("a name in the namespace of declarations");
        }
        Ok(Name::new(&uri, local.into_inner()))
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    match declaration.version() {
        Ok(version) if version.starts_with("1.") => Ok(()),
        _ => refuse("it is not XML 1.0"),
    }
}

/// Checks a name without a colon (Namespaces in XML 1.0, production NCName). Beyond ASCII all is let through
/// but blanks and signs that could not be written back.
fn check_ncname(name: &str) -> Result<(), XmlError> {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || is_letterlike(c);
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | '\u{B7}');
    match name.starts_with(begins) && name.chars().all(goes_on) {
        true => Ok(()),
        false => refuse(&format!("`{}` is no name", shorten(name))),
    }
}

/// The characters beyond ASCII of the production NameStartChar, and the few more of NameChar.
fn is_letterlike(c: char) -> bool {
    matches!(c,
        '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}'
        | '\u{200C}'..='\u{200D}' | '\u{203F}'..='\u{2040}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn refuse<T>(reason: &str) -> Result<T, XmlError> {
    Err(XmlError(reason.to_owned()))
}

/// The beginning of a name, fit for an error message.
fn shorten(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Up to so many are compared each with each, which is cheaper than hashing them.
const FEW: usize = 8;

/// What comes a second time.
fn repeated<T, K: Eq + Hash + ?Sized>(items: &[T], key: impl Fn(&T) -> &K) -> Option<&K> {
    let mut keys = items.iter().map(&key);
    if items.len() <= FEW {
        return keys
            .enumerate()
            .find(|(at, one)| items[..*at].iter().any(|other| key(other) == *one))
            .map(|(_, one)| one);
    }
    let mut seen = HashSet::new();
    keys.find(|key| !seen.insert(*key))
}
