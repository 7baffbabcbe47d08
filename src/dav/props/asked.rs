//! What a PROPFIND or REPORT asks for, and how it wants to be told.

use http::HeaderMap;

use super::Property;
use crate::base::Limits;
use crate::model::Precondition;
use crate::service::Error;
use crate::xml::{Element, ns};

/// Which properties are asked for (RFC 4918 §9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// DAV:propname: the names of all there are.
    Names,
    /// DAV:allprop, and those included by name.
    All(Vec<Property>),
    /// DAV:prop: these, each once.
    These(Vec<Property>),
}

/// How the answer should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Leave out what is missing (RFC 8144 §2: `Prefer: return=minimal`; `Brief: t` says the same).
    pub minimal: bool,
    /// Leave out the collection itself of a Depth 1 (`Prefer: depth-noroot`, RFC 8144 §3).
    pub noroot: bool,
}

impl Asked {
    /// Reads a PROPFIND's body; none at all is allprop.
    ///
    /// # Errors
    /// 400 if it is no DAV:propfind or asks for nothing.
    pub fn of_propfind(body: Option<&Element>, limits: &Limits) -> Result<Self, Error> {
        let Some(root) = body else { return Ok(Self::All(Vec::new())) };
        if !root.is(ns::DAV, "propfind") {
            return Err(Error::BadRequest("the body of a PROPFIND is a DAV:propfind".into()));
        }
        Self::of_children(root, limits)?
            .ok_or_else(|| Error::BadRequest("a DAV:propfind holds DAV:prop, DAV:allprop or DAV:propname".into()))
    }

    /// Reads the DAV:prop, DAV:allprop or DAV:propname in a report's root element; one without asks for no property.
    ///
    /// # Errors
    /// 400 if it asks for several at once, or for more properties than the limit.
    pub fn of_report(root: &Element, limits: &Limits) -> Result<Self, Error> {
        Ok(Self::of_children(root, limits)?.unwrap_or_else(|| Self::These(Vec::new())))
    }

    fn of_children(root: &Element, limits: &Limits) -> Result<Option<Self>, Error> {
        let mut found = root
            .children()
            .filter(|e| e.name.ns == ns::DAV && matches!(e.name.local.as_str(), "prop" | "allprop" | "propname"));
        let Some(first) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Error::BadRequest(
                "only one of DAV:prop, DAV:allprop and DAV:propname can be asked for".into(),
            ));
        }
        Ok(Some(match first.name.local.as_str() {
            "propname" => Self::Names,
            "allprop" => {
                let include = root.child(ns::DAV, "include").map(|e| properties(e, limits)).transpose()?;
                Self::All(include.unwrap_or_default())
            }
            _ => Self::These(properties(first, limits)?),
        }))
    }

    /// The same, where each member of a listing is asked for it: each tells of every name, if only that there is no such property.
    ///
    /// # Errors
    /// DAV:number-of-matches-within-limits for more names than the limits.
    pub fn of_each(self, limits: &Limits) -> Result<Self, Error> {
        let (Self::All(names) | Self::These(names)) = &self else { return Ok(self) };
        let bytes: usize = names.iter().map(Property::name).map(|(ns, local)| ns.len() + local.len()).sum();
        let over = match () {
            () if names.len() as u64 > limits.properties_listed_max => "properties_listed_max",
            () if bytes as u64 > limits.property_names_bytes_max => "property_names_bytes_max",
            () => return Ok(self),
        };
        let message = format!(
            "more properties are named than each member of a listing can be asked for (limit {over}); ask for fewer, or of one"
        );
        Err(Error::precondition(Precondition::NumberOfMatchesWithinLimits, message))
    }

    /// Whether the property of that name is asked for by name.
    pub fn names(&self, ns: &str, local: &str) -> bool {
        match self {
            Self::Names => false,
            Self::All(properties) | Self::These(properties) => properties.iter().any(|p| p.name() == (ns, local)),
        }
    }

    /// The same without that property: for one that a report writes by itself, like CALDAV:calendar-data.
    #[must_use]
    pub fn without(self, ns: &str, local: &str) -> Self {
        let left = |properties: Vec<Property>| properties.into_iter().filter(|p| p.name() != (ns, local)).collect();
        match self {
            Self::Names => Self::Names,
            Self::All(properties) => Self::All(left(properties)),
            Self::These(properties) => Self::These(left(properties)),
        }
    }
}

/// The properties that an element's children name, each once.
pub fn properties(prop: &Element, limits: &Limits) -> Result<Vec<Property>, Error> {
    let mut properties: Vec<Property> = Vec::new();
    for name in prop.children().map(|child| &child.name) {
        let property = Property::of(name);
        if properties.contains(&property) {
            continue;
        }
        if properties.len() as u64 >= limits.properties_asked_max {
            let most = limits.properties_asked_max;
            return Err(Error::BadRequest(format!(
                "more than {most} properties are asked for at once (limit properties_asked_max)"
            )));
        }
        properties.push(property);
    }
    Ok(properties)
}

impl Style {
    /// What the header fields say.
    pub fn of(headers: &HeaderMap) -> Self {
        let prefers = |wanted: &[&str]| {
            let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split([',', ';'])).any(|preference| {
                let preference: String = preference.chars().filter(|c| !matches!(c, ' ' | '\t' | '"')).collect();
                wanted.iter().any(|wanted| preference.eq_ignore_ascii_case(wanted))
            })
        };
        let is = |name: &str, wanted: &str| {
            headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(|v| v.trim().eq_ignore_ascii_case(wanted))
        };
        Self {
            // The draft before RFC 7240 wrote `return-minimal`, and clients of its time still do.
            minimal: prefers(&["return=minimal", "return-minimal"]) || is("brief", "t"),
            noroot: prefers(&["depth-noroot"]) || is("depth", "1,noroot") || is("depth", "1, noroot"),
        }
    }

    /// The preferences that were honoured, for the header field Preference-Applied (RFC 7240 §3).
    pub fn applied(self) -> Option<&'static str> {
        match (self.minimal, self.noroot) {
            (true, true) => Some("return=minimal, depth-noroot"),
            (true, false) => Some("return=minimal"),
            (false, true) => Some("depth-noroot"),
            (false, false) => None,
        }
    }
}
