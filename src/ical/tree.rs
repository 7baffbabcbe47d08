//! The lossless tree: components, properties and parameters as they were written.
//!
//! Values stay raw (escapes and all), names keep their case, order is kept. What is not touched is
//! written back as it came, but for folding, which is done anew. Two trees are equal if they say
//! the same: the lines on which they stood do not count.
//!
//! Not here: reading bytes (`parse`), writing them (`write`), what a value means (`view`).

use super::text::{encode_param, escape_text};

/// A component: `BEGIN:NAME` … `END:NAME` (RFC 5545 §3.6). The stream's outermost one is VCALENDAR.
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone, Default)]
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
    /// Its values, in order, as written between the commas, quotes included. Empty for a bare `;NAME`.
    pub values: Vec<String>,
}

impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.properties == other.properties && self.components == other.components
    }
}

impl Eq for Component {}

impl PartialEq for Property {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.params == other.params && self.value == other.value
    }
}

impl Eq for Property {}

impl Component {
    /// An empty component called `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Whether its name is `name`, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first property called `name`.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.is(name))
    }

    /// The first property called `name`, to change it.
    pub fn property_mut(&mut self, name: &str) -> Option<&mut Property> {
        self.properties.iter_mut().find(|p| p.is(name))
    }

    /// All properties called `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |p| p.is(name))
    }

    /// The components directly inside it that are called `name`, in order.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Component> {
        self.components.iter().filter(move |c| c.is(name))
    }

    /// This component with `property` behind the others.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// This component with `component` behind the others.
    #[must_use]
    pub fn with_component(mut self, component: Component) -> Self {
        self.components.push(component);
        self
    }

    /// Puts `property` in the place of the first of its name and takes the others of that name away; behind the
    /// last property if there was none.
    pub fn set(&mut self, property: Property) {
        match self.properties.iter().position(|p| p.is(&property.name)) {
            Some(at) => {
                let name = property.name.clone();
                self.properties[at] = property;
                let mut index = 0;
                self.properties.retain(|p| {
                    index += 1;
                    index <= at + 1 || !p.is(&name)
                });
            }
            None => self.properties.push(property),
        }
    }

    /// Takes all properties called `name` away; how many they were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.properties.len();
        self.properties.retain(|p| !p.is(name));
        before - self.properties.len()
    }
}

impl Property {
    /// A property whose `value` is already in its iCalendar form: a date, a URI, an escaped text.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into(), ..Self::default() }
    }

    /// A property of type TEXT (RFC 5545 §3.3.11): `text` is what people see, escaping is done here.
    pub fn with_text(name: &str, text: &str) -> Self {
        Self::new(name, escape_text(text))
    }

    /// This property with the parameter `name`, encoded and quoted as needed (RFC 5545 §3.2, RFC 6868), behind
    /// the others.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: &str) -> Self {
        self.params.push(Param::new(name, value));
        self
    }

    /// Whether its name is `name`, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The parameter called `name`.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.is(name))
    }

    /// Gives the parameter `name` the one value `value`, encoded as needed, in its old place if there was one.
    pub fn set_param(&mut self, name: &str, value: &str) {
        let param = Param::new(name, value);
        match self.params.iter().position(|p| p.is(name)) {
            Some(at) => self.params[at] = param,
            None => self.params.push(param),
        }
    }

    /// Takes all parameters called `name` away; how many they were.
    pub fn remove_param(&mut self, name: &str) -> usize {
        let before = self.params.len();
        self.params.retain(|p| !p.is(name));
        before - self.params.len()
    }
}

impl Param {
    /// A parameter with one value, encoded and quoted as needed (RFC 5545 §3.2, RFC 6868).
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), values: vec![encode_param(value)] }
    }

    /// Whether its name is `name`, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_in_place_and_removes_the_rest() {
        let mut event = Component::new("VEVENT")
            .with(Property::new("UID", "1"))
            .with(Property::new("summary", "a"))
            .with(Property::new("X-A", "1"))
            .with(Property::new("SUMMARY", "b"));
        event.set(Property::with_text("SUMMARY", "c, d"));
        let names: Vec<_> = event.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(names, [("UID", "1"), ("SUMMARY", "c\\, d"), ("X-A", "1")]);
        event.set(Property::new("STATUS", "CONFIRMED"));
        assert_eq!(event.properties.len(), 4);
        assert_eq!(event.remove("summary"), 1);
        assert!(event.property("SUMMARY").is_none());
    }

    #[test]
    fn params_are_set_in_place() {
        let mut attendee = Property::new("ATTENDEE", "mailto:a@example.org")
            .with_param("CN", "Doe, John")
            .with_param("PARTSTAT", "NEEDS-ACTION");
        attendee.set_param("partstat", "ACCEPTED");
        attendee.set_param("CN", "A \"B\"");
        assert_eq!(attendee.params[0].values, ["A ^'B^'"]);
        assert_eq!(attendee.params[1].values, ["ACCEPTED"]);
        assert_eq!(attendee.remove_param("CN"), 1);
    }

    #[test]
    fn lines_do_not_count_for_equality() {
        let a = Property { line: 3, ..Property::new("X", "1") };
        assert_eq!(a, Property::new("X", "1"));
    }
}
