//! Reading what a request says: a JSON object's members, a query's parameters. Each complaint names the field; whatever nobody asked for is
//! refused, so that a misspelt field is not taken for one left out.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::Problem;
use crate::base::Utc;

/// The members of a request's JSON object, or the parameters of its query, until they are taken.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The members of the JSON object in `body`; none of an empty body.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn of_body(body: &[u8]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        let broken = |why: String| Problem::new(http::StatusCode::BAD_REQUEST, "invalid-json", why);
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(broken("the body must be a JSON object".to_owned())),
            Err(error) => Err(broken(format!("the body is no JSON: line {}, column {}", error.line(), error.column()))),
        }
    }

    /// The parameters of a query string.
    ///
    /// # Errors
    /// If one stands there twice or is not UTF-8.
    pub fn of_query(query: Option<&str>) -> Result<Self, Problem> {
        let mut members = Map::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name, part)?, decoded(value, part)?);
            if members.insert(name.clone(), Value::String(value)).is_some() {
                return Err(Problem::field(name, "it is there more than once"));
            }
        }
        Ok(Self(members))
    }

    /// A text.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::field(name, "it must be a text")),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// If it is missing or something else.
    pub fn required(&mut self, name: &str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| Problem::field(name, "it is missing"))
    }

    /// True or false.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(Problem::field(name, "it must be true or false")),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let wrong = || Problem::field(name, "it must be a list of texts");
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => {
                let texts = items.into_iter().map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(wrong()),
                });
                texts.collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A whole number between `min` and `max`.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Problem> {
        let number = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let wrong = || Problem::field(name, format!("it must be a whole number from {min} to {max}"));
        number.filter(|number| (min..=max).contains(number)).ok_or_else(wrong).map(Some)
    }

    /// A point in time as RFC 3339 writes it.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn time(&mut self, name: &str) -> Result<Option<Utc>, Problem> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        // In a query, a plus that nobody encoded arrives as it is, or as a space.
        let read = chrono::DateTime::parse_from_rfc3339(&text.replace(' ', "+"));
        let wrong = |_| Problem::field(name, "it must be a time with its offset, as in 2026-01-05T08:00:00Z");
        read.map(|time| Some(Utc::from_naive(time.naive_utc()))).map_err(wrong)
    }

    /// An object of texts, as pairs.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn pairs(&mut self, name: &str) -> Result<Option<Vec<(String, String)>>, Problem> {
        let Some(Self(members)) = self.object(name)? else { return Ok(None) };
        let pairs = members.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            _ => Err(Problem::field(name, "its values must be texts")),
        });
        pairs.collect::<Result<_, _>>().map(Some)
    }

    /// An object.
    ///
    /// # Errors
    /// If the field is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members))),
            Some(_) => Err(Problem::field(name, "it must be an object")),
        }
    }

    /// Refuses what was not taken.
    ///
    /// # Errors
    /// If anything is left.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::field(name, "there is no such field here")),
        }
    }
}

fn decoded(text: &str, part: &str) -> Result<String, Problem> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| Problem::field(part, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(field: &str, result: Result<impl std::fmt::Debug, Problem>) {
        assert_eq!(result.expect_err("it is wrong").field.as_deref(), Some(field));
    }

    #[test]
    fn members_are_taken_by_what_they_must_be() {
        let body = br#"{"url": "https://a", "in_order": true, "events": ["a", "b"], "limit": 7, "since": "1970-01-01T01:00:00+01:00"}"#;
        let mut fields = Fields::of_body(body).expect("an object");
        assert_eq!(fields.required("url"), Ok("https://a".to_owned()));
        assert_eq!(fields.flag("in_order"), Ok(Some(true)));
        assert_eq!(fields.list("events"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(fields.number("limit", 1, 10), Ok(Some(7)));
        assert_eq!(fields.time("since"), Ok(Some(Utc(0))));
        assert_eq!(fields.text("nothing"), Ok(None));
        assert_eq!(fields.end(), Ok(()));
    }

    #[test]
    fn complaints_name_the_field() {
        let mut fields =
            Fields::of_body(br#"{"a": 1, "b": "x", "c": [1], "d": 11, "e": "now", "f": 0}"#).expect("an object");
        wrong("url", fields.required("url"));
        wrong("a", fields.text("a"));
        wrong("b", fields.flag("b"));
        wrong("c", fields.list("c"));
        wrong("d", fields.number("d", 1, 10));
        wrong("e", fields.time("e"));
        wrong("f", fields.end());
        for body in ["[]", "1", "{", "{\"a\":1"] {
            assert!(Fields::of_body(body.as_bytes()).is_err(), "{body}");
        }
        wrong("a", Fields::of_query(Some("a=1&a=2")).map(|_| ()));
    }

    #[test]
    fn parameters_are_decoded() {
        let mut fields = Fields::of_query(Some("since=2026-01-05T09:00:00%2B01:00&limit=5&x=%C3%A9")).expect("a query");
        assert_eq!(fields.time("since"), Ok(Some(Utc(1_767_600_000))));
        assert_eq!(fields.number("limit", 1, 10), Ok(Some(5)));
        assert_eq!(fields.text("x"), Ok(Some("\u{e9}".to_owned())));
    }
}
