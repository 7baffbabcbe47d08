//! The answer, written as it is made.

/// Writes XML into a buffer. The known namespaces have fixed prefixes (`D`, `C`, `CS`, `A`) declared on the root; others are
/// declared where they are used. Text and attributes are escaped, CR as `&#13;`, so that CRLF in calendar
/// data survives every parser. Characters that XML 1.0 cannot carry are dropped.
#[derive(Debug, Default)]
pub struct Writer;

impl Writer {
    /// A writer with the XML declaration and the root element `ns:local` opened.
    pub fn document(ns: &str, local: &str) -> Self {
        let _ = (ns, local);
        todo!()
    }

    /// Opens an element.
    pub fn open(&mut self, ns: &str, local: &str) -> &mut Self {
        let _ = (ns, local);
        todo!()
    }

    /// Adds an attribute to the element just opened.
    pub fn attribute(&mut self, local: &str, value: &str) -> &mut Self {
        let _ = (local, value);
        todo!()
    }

    /// Closes the innermost element.
    pub fn close(&mut self) -> &mut Self {
        todo!()
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
        let _ = text;
        todo!()
    }

    /// A ready, self-contained element ([`super::Element::to_xml`]), taken as it is.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        let _ = xml;
        todo!()
    }

    /// What was written since the last call, for streaming; the document goes on.
    pub fn take(&mut self) -> Vec<u8> {
        todo!()
    }

    /// Closes what is open and gives the rest.
    pub fn finish(self) -> Vec<u8> {
        todo!()
    }
}
