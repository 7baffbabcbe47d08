//! Reading JSON of strangers: every complaint names the field, with its path, and never its value.

use serde_json::{Map, Value};

use crate::base::Utc;

/// What is wrong with a payload: the field, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Wrong {
    /// The path of the field: `payload.object.start_time`.
    pub field: String,
    /// What it should be.
    pub problem: String,
}

/// The earliest and the latest year that a meeting can be in.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2200;

/// An object, and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The fields of the whole payload.
    pub(super) fn of(value: &'a Value) -> Result<Self, Wrong> {
        match value {
            Value::Object(map) => Ok(Self { map, path: String::new() }),
            _ => Err(Wrong { field: "(the body)".to_owned(), problem: "must be a JSON object".to_owned() }),
        }
    }

    /// The path of one of its fields.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A complaint about one of its fields.
    pub(super) fn wrong(&self, name: &str, problem: impl Into<String>) -> Wrong {
        Wrong { field: self.path(name), problem: problem.into() }
    }

    /// A field; `None` if it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The names of all its fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// An object in it; `None` if it is missing.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Wrong> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, path: self.path(name) })),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// An object that must be there.
    pub(super) fn needed_object(&self, name: &str) -> Result<Self, Wrong> {
        self.object(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// A list of objects; empty if it is missing.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, Wrong> {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong(name, "must be a list")),
        };
        let object = |(index, item): (usize, &'a Value)| match item {
            Value::Object(map) => Ok(Self { map, path: format!("{}[{index}]", self.path(name)) }),
            _ => Err(self.wrong(&format!("{name}[{index}]"), "must be an object")),
        };
        items.iter().enumerate().map(object).collect()
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Wrong> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "must be a text")),
        }
    }

    /// A text that must be there and not empty.
    pub(super) fn needed_text(&self, name: &str) -> Result<String, Wrong> {
        let text = self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))?;
        if text.is_empty() { Err(self.wrong(name, "is empty")) } else { Ok(text) }
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Wrong> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong(name, "must be a whole number")),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Wrong> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A whole number, or a text of digits; as text.
    pub(super) fn digits(&self, name: &str) -> Result<Option<String>, Wrong> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
            Some(Value::String(text)) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(self.wrong(name, "must be a number, or a text of digits")),
        }
    }

    /// A point in time, RFC 3339 with its offset.
    pub(super) fn instant(&self, name: &str) -> Result<Option<Utc>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        instant(&text).map(Some).map_err(|problem| self.wrong(name, problem))
    }
}

/// Reads RFC 3339.
pub(super) fn instant(text: &str) -> Result<Utc, &'static str> {
    use chrono::Datelike;
    let parsed = chrono::DateTime::parse_from_rfc3339(text.trim())
        .map_err(|_| "must be a time as RFC 3339 writes it, 2026-11-10T13:00:00Z")?
        .naive_utc();
    sane(parsed.year())?;
    Ok(Utc::from_naive(parsed))
}

/// Refuses years that no meeting is in.
pub(super) fn sane(year: i32) -> Result<(), &'static str> {
    if YEARS.contains(&year) { Ok(()) } else { Err("names a year outside of 1970 to 2200") }
}

/// Parses a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Wrong> {
    serde_json::from_slice(body).map_err(|error| Wrong {
        field: "(the body)".to_owned(),
        problem: format!("is no JSON: line {} column {}", error.line(), error.column()),
    })
}
