//! Reading a provider's JSON field by field: whatever is missing or of the wrong type gives an error that names the field by
//! its path (`start.dateTime`, `attendees[3].email`), never a panic, and never shows what people wrote.
//!
//! Not here: what the fields mean (each adapter), reading the bytes (`serde_json`, whose nesting is bounded).

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};

use crate::base::Utc;

/// The years that a meeting can be in: those that Exchange can store. Outside of them a date is a mistake.
const YEARS: std::ops::RangeInclusive<i32> = 1601..=4500;

/// What is wrong with which field of what a provider sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The path of the field, `start.dateTime`.
    pub field: String,
    /// What is wrong with it, for people.
    pub problem: String,
}

impl FieldError {
    /// `problem` with the field at the path `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// A JSON object and where it stands.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The outermost object.
    ///
    /// # Errors
    /// If `value` is no object.
    pub fn of(value: &'a Value) -> Result<Self, FieldError> {
        Self::at(value, String::new())
    }

    fn at(value: &'a Value, path: String) -> Result<Self, FieldError> {
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            other => Err(wrong(if path.is_empty() { "body" } else { &path }, other, "an object")),
        }
    }

    /// The path of the field `name` of this object.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The error that the field `name` has this `problem`.
    pub fn bad(&self, name: &str, problem: impl Into<String>) -> FieldError {
        FieldError::new(self.path(name), problem)
    }

    /// The value as it is; `None` if it is absent or null.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, null included.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A text; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        self.typed(name, "a text", Value::as_str)
    }

    /// A text that is not blank; `None` if it is absent, null or blank.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn filled(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        Ok(self.text(name)?.filter(|text| !text.trim().is_empty()))
    }

    /// A text that must be there and not blank.
    ///
    /// # Errors
    /// If it is missing, blank or of another type.
    pub fn required(&self, name: &str) -> Result<&'a str, FieldError> {
        self.filled(name)?.ok_or_else(|| self.bad(name, "is missing"))
    }

    /// A truth value; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, FieldError> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A whole number; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is of another type, a fraction, or beyond 64 bits.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, FieldError> {
        self.typed(name, "a whole number", Value::as_i64)
    }

    /// An inner object; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn inner(&self, name: &str) -> Result<Option<Self>, FieldError> {
        self.value(name).map(|value| Self::at(value, self.path(name))).transpose()
    }

    /// A list; empty if it is absent or null.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn list(&self, name: &str) -> Result<&'a [Value], FieldError> {
        Ok(self.typed(name, "a list", Value::as_array)?.map_or(&[], Vec::as_slice))
    }

    /// A list of objects; empty if it is absent or null.
    ///
    /// # Errors
    /// If it, or something in it, is of another type.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, FieldError> {
        let items = self.list(name)?.iter().enumerate();
        items.map(|(at, value)| Self::at(value, format!("{}[{at}]", self.path(name)))).collect()
    }

    /// A list of texts; empty if it is absent or null.
    ///
    /// # Errors
    /// If it, or something in it, is of another type.
    pub fn texts(&self, name: &str) -> Result<Vec<&'a str>, FieldError> {
        let items = self.list(name)?.iter().enumerate();
        let text = |(at, value): (usize, &'a Value)| {
            value.as_str().ok_or_else(|| wrong(&format!("{}[{at}]", self.path(name)), value, "a text"))
        };
        items.map(text).collect()
    }

    /// A point in time (RFC 3339); `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is none, or in no year that a meeting can be in.
    pub fn stamp(&self, name: &str) -> Result<Option<Stamp>, FieldError> {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        let stamp =
            Stamp::parse(text).ok_or_else(|| self.bad(name, format!("{} is no time (RFC 3339)", shown(text))))?;
        self.in_range(name, stamp.naive().year())?;
        Ok(Some(stamp))
    }

    /// A day (`2026-11-10`); `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is none, or in no year that a meeting can be in.
    pub fn day(&self, name: &str) -> Result<Option<NaiveDate>, FieldError> {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        let day = text.trim().parse::<NaiveDate>();
        let day = day.map_err(|_| self.bad(name, format!("{} is no day (YYYY-MM-DD)", shown(text))))?;
        self.in_range(name, day.year())?;
        Ok(Some(day))
    }

    /// A local time without an offset (`2026-11-10T15:00:00.0000000`); `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is none, or in no year that a meeting can be in.
    pub fn local(&self, name: &str) -> Result<Option<NaiveDateTime>, FieldError> {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        let local = local_of(text)
            .ok_or_else(|| self.bad(name, format!("{} is no local time (YYYY-MM-DDTHH:MM:SS)", shown(text))))?;
        self.in_range(name, local.year())?;
        Ok(Some(local))
    }

    fn in_range(&self, name: &str, year: i32) -> Result<(), FieldError> {
        if YEARS.contains(&year) {
            return Ok(());
        }
        Err(self.bad(name, format!("the year {year} is none that a meeting can be in")))
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(&self.path(name), value, wanted))
    }
}

/// A point in time as providers give it: finer than a second, which only orders versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub nanoseconds: i128,
}

impl Stamp {
    /// The point that `text` names (RFC 3339, up to nine digits of a fraction).
    pub fn parse(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text.trim()).ok()?;
        let nanoseconds = i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos());
        Some(Self { nanoseconds })
    }

    /// The second that it lies in.
    pub fn utc(self) -> Utc {
        let seconds = self.nanoseconds.div_euclid(1_000_000_000);
        Utc(i64::try_from(seconds).unwrap_or(i64::MAX)).clamp(Utc::MIN, Utc::MAX)
    }

    /// The microsecond that it lies in, since 1970.
    pub fn micros(self) -> i64 {
        i64::try_from(self.nanoseconds.div_euclid(1_000)).unwrap_or(i64::MAX)
    }

    /// The tenth of a microsecond that it lies in, since 1970.
    pub fn ticks(self) -> i64 {
        i64::try_from(self.nanoseconds.div_euclid(100)).unwrap_or(i64::MAX)
    }

    fn naive(self) -> NaiveDateTime {
        self.utc().naive()
    }
}

/// The local time that `text` names, its fraction of a second cut off.
fn local_of(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    let whole = text
        .split_once('.')
        .map_or(text, |(whole, fraction)| if fraction.bytes().all(|b| b.is_ascii_digit()) { whole } else { text });
    whole.parse().ok()
}

fn wrong(path: &str, found: &Value, wanted: &str) -> FieldError {
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    FieldError::new(path, format!("is {kind}, not {wanted}"))
}

/// The value in quotes if it can be shown: what looks like a time or a number, and nothing that people wrote.
fn shown(text: &str) -> String {
    let harmless = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b"TZtz:+-. ".contains(&b));
    if harmless { format!("{text:?}") } else { "the value".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_field() {
        let value = json!({"id": 7, "start": {"dateTime": "2026-02-30T10:00:00Z"}, "attendees": [{}, {"email": []}, 3],
            "far": "9999-12-31", "title": "Salaries of everybody", "none": null});
        let fields = Fields::of(&value).expect("an object");
        let text = |error: FieldError| error.to_string();
        assert_eq!(text(fields.required("id").expect_err("a number")), "id: is a number, not a text");
        assert_eq!(text(fields.required("uid").expect_err("absent")), "uid: is missing");
        assert_eq!(fields.text("none"), Ok(None));
        let start = fields.inner("start").expect("an object").expect("there");
        let error = start.stamp("dateTime").expect_err("no such day");
        assert_eq!(text(error), "start.dateTime: \"2026-02-30T10:00:00Z\" is no time (RFC 3339)");
        assert_eq!(
            text(fields.objects("attendees").expect_err("a number")),
            "attendees[2]: is a number, not an object"
        );
        let far = fields.day("far").expect_err("too far");
        assert_eq!(text(far), "far: the year 9999 is none that a meeting can be in");
        let title = fields.day("title").expect_err("no day");
        assert_eq!(text(title), "title: the value is no day (YYYY-MM-DD)");
        assert_eq!(text(Fields::of(&json!([])).expect_err("a list")), "body: is a list, not an object");
    }

    #[test]
    fn times_finer_than_a_second() {
        let stamp = Stamp::parse("2026-11-06T10:00:00.1234567Z").expect("a time");
        assert_eq!(stamp.utc().to_string(), "20261106T100000Z");
        assert!(stamp > Stamp::parse("2026-11-06T11:00:00.123+01:00").expect("a time"));
        assert_eq!(local_of("2026-11-11T08:00:00.0000000").expect("a time").to_string(), "2026-11-11 08:00:00");
        assert_eq!(local_of("2026-11-11T08:00:00.00Z"), None);
    }
}
