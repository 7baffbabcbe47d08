//! The lossless tree: components, properties and parameters as they were written.
//!
//! Values stay raw (escapes and all), names keep their case, order is kept. What is not touched is
//! written back as it came, but for folding, which is done anew.

/// A component: `BEGIN:NAME` … `END:NAME` (RFC 5545 §3.6). The stream's outermost one is VCALENDAR.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Component {
    /// Its name as written; compare with [`Component::is`].
    pub name: String,
    /// Its properties in the order in which they were written.
    pub properties: Vec<Property>,
    /// The components inside it, in order.
    pub components: Vec<Component>,
    /// The physical line (from 1) of its BEGIN; 0 for one that was built. For error messages.
    pub line: u32,
}

/// A content line: `NAME;PARAM=value:value` (RFC 5545 §3.1), unfolded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Property {
    /// Its name as written (a vCard-style `group.` prefix stays in it); compare with [`Property::is`].
    pub name: String,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// What stands behind the colon, raw: TEXT is still escaped.
    pub value: String,
    /// The physical line (from 1) on which it began; 0 for one that was built.
    pub line: u32,
}

/// A parameter (RFC 5545 §3.2). Values are decoded from quotes and RFC 6868 carets only on demand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Param {
    /// Its name as written; compare without case.
    pub name: String,
    /// Its values, in order, as written between the commas, quotes included.
    pub values: Vec<String>,
}

impl Component {
    /// Whether its name is `name`, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first property called `name`.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.is(name))
    }

    /// All properties called `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |p| p.is(name))
    }
}

impl Property {
    /// Whether its name is `name`, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The parameter called `name`.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }
}
