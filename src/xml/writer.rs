//! The answer, written as it is made.

use super::{escape, ns};

/// Writes XML into a buffer. The known namespaces have fixed prefixes (`D`, `C`, `CS`, `A`) declared on the root; others are
/// declared where they are used. Text and attributes are escaped, CR as `&#13;`, so that CRLF in calendar
/// data survives every parser. Characters that XML 1.0 cannot carry are dropped.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// The qualified names of the open elements, one behind the other: an element costs no allocation of its own.
    names: String,
    /// Where in `names` each begins.
    starts: Vec<usize>,
    /// Whether the innermost start tag still waits for attributes.
    in_tag: bool,
}

/// A place in a document that is being written ([`Writer::mark`]).
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    out: usize,
    names: usize,
    depth: usize,
    in_tag: bool,
}

impl Writer {
    /// A writer with the XML declaration and the root element `ns:local` opened.
    pub fn document(ns: &str, local: &str) -> Self {
        let mut writer = Self::default();
        writer.out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        writer.open(ns, local);
        for (prefix, uri) in ns::PREFIXES {
            writer.declare(prefix, uri);
        }
        writer
    }

    /// Opens an element.
    pub fn open(&mut self, ns: &str, local: &str) -> &mut Self {
        self.end_tag();
        let prefix = match ns {
            "" => "",
            ns::XML => "xml",
            _ => ns::prefix(ns).unwrap_or("X"),
        };
        let start = self.names.len();
        self.starts.push(start);
        if !prefix.is_empty() {
            self.names.push_str(prefix);
            self.names.push(':');
        }
        self.names.push_str(local);
        self.out.push('<');
        self.out.push_str(&self.names[start..]);
        self.in_tag = true;
        if prefix == "X" {
            self.declare(prefix, ns);
        }
        self
    }

    /// Adds an attribute to the element just opened.
    pub fn attribute(&mut self, local: &str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "attributes come right after their element was opened");
        if self.in_tag {
            self.out.push(' ');
            self.out.push_str(local);
            self.out.push_str("=\"");
            escape::value(&mut self.out, value);
            self.out.push('"');
        }
        self
    }

    /// Closes the innermost element.
    pub fn close(&mut self) -> &mut Self {
        debug_assert!(!self.starts.is_empty(), "an element is closed that was not opened");
        let Some(start) = self.starts.pop() else { return self };
        if std::mem::take(&mut self.in_tag) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(&self.names[start..]);
            self.out.push('>');
        }
        self.names.truncate(start);
        self
    }

    /// An element without content.
    pub fn empty(&mut self, ns: &str, local: &str) -> &mut Self {
        self.open(ns, local).close()
    }

    /// An element with text.
    pub fn element(&mut self, ns: &str, local: &str, text: &str) -> &mut Self {
        self.open(ns, local).text(text).close()
    }

    /// Character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.end_tag();
            escape::text(&mut self.out, text);
        }
        self
    }

    /// A ready, self-contained element ([`super::Element::to_xml`]), taken as it is.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        if !xml.is_empty() {
            self.end_tag();
            self.out.push_str(xml);
        }
        self
    }

    /// Where the document stands, to [`Writer::rewind`] to.
    pub fn mark(&self) -> Mark {
        Mark { out: self.out.len(), names: self.names.len(), depth: self.starts.len(), in_tag: self.in_tag }
    }

    /// Forgets what was written since `mark`. Nothing may have been taken, and nothing closed that was open then.
    pub fn rewind(&mut self, mark: Mark) {
        debug_assert!(self.out.len() >= mark.out && self.starts.len() >= mark.depth, "the mark is of another time");
        self.out.truncate(mark.out);
        self.names.truncate(mark.names);
        self.starts.truncate(mark.depth);
        self.in_tag = mark.in_tag;
    }

    /// How many bytes wait to be taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// What was written since the last call, for streaming; the document goes on.
    pub fn take(&mut self) -> Vec<u8> {
        // The next part will be about as long: growing to it step by step would copy it several times.
        let next = String::with_capacity(self.out.len() + self.out.len() / 16);
        std::mem::replace(&mut self.out, next).into_bytes()
    }

    /// Closes what is open and gives the rest.
    pub fn finish(mut self) -> Vec<u8> {
        while !self.starts.is_empty() {
            self.close();
        }
        self.out.into_bytes()
    }

    /// As [`Writer::finish`], with a comment behind the root element: for people, and for no parser. Two hyphens in a row, which
    /// would end it, are drawn apart (XML 1.0 §2.5).
    pub fn finish_with_comment(self, text: &str) -> Vec<u8> {
        let mut out = String::from("\n<!-- ");
        for c in text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
            if c == '-' && out.ends_with('-') {
                out.push(' ');
            }
            out.push(c);
        }
        out.push_str(" -->\n");
        let mut document = self.finish();
        document.extend_from_slice(out.as_bytes());
        document
    }

    fn declare(&mut self, prefix: &str, uri: &str) {
        self.out.push_str(" xmlns:");
        self.out.push_str(prefix);
        self.out.push_str("=\"");
        escape::value(&mut self.out, uri);
        self.out.push('"');
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.out.push('>');
        }
    }
}
