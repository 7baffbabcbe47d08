//! jCal → tree (RFC 7265 §4).

use serde_json::{Map, Value};

use super::kind::{Shape, default_type, shape};
use crate::base::Limits;
use crate::ical::parse::{is_name, shorten};
use crate::ical::text::is_forbidden;
use crate::ical::{Component, DateOrTime, Duration, Invalid, InvalidKind, Param, Property};
use crate::ical::{encode_param, escape_text, format_offset, parse_offset};

/// The tree of the jCal text `bytes`, which must be one vcalendar.
///
/// # Errors
/// [`InvalidKind::CalendarData`] where it is no jCal or breaks a bound of `limits`; the line is that of the JSON, or 0.
pub fn parse_jcal(bytes: &[u8], limits: &Limits) -> Result<Component, Invalid> {
    let json: Value = serde_json::from_slice(bytes).map_err(|e| {
        let line = u32::try_from(e.line()).unwrap_or(u32::MAX);
        Invalid::new(InvalidKind::CalendarData, line, format!("it is no JSON, from column {} on", e.column()))
    })?;
    from_jcal(&json, limits)
}

/// The tree of `jcal`, which must be one vcalendar.
///
/// # Errors
/// As [`parse_jcal`].
pub fn from_jcal(jcal: &Value, limits: &Limits) -> Result<Component, Invalid> {
    let mut bounds = Bounds { components_left: limits.components_max, parts_left: limits.parts_max };
    let calendar = component(jcal, limits.component_depth_max, &mut bounds)?;
    if calendar.is("VCALENDAR") { Ok(calendar) } else { Err(refuse("it is no vcalendar")) }
}

struct Bounds {
    components_left: u64,
    parts_left: u64,
}

fn refuse(message: impl Into<String>) -> Invalid {
    Invalid::new(InvalidKind::CalendarData, 0, message)
}

fn spend(left: &mut u64, parts: usize, name: &str) -> Result<(), Invalid> {
    *left = left
        .checked_sub(parts as u64)
        .ok_or_else(|| refuse(format!("it has more parts than the limit {name} allows")))?;
    Ok(())
}

/// Depth is what `levels` says at most, so the recursion is bounded.
fn component(jcal: &Value, levels: u64, bounds: &mut Bounds) -> Result<Component, Invalid> {
    let Some([Value::String(name), Value::Array(properties), Value::Array(components)]) =
        jcal.as_array().map(Vec::as_slice)
    else {
        return Err(refuse("a component is no array of name, properties and components"));
    };
    if levels == 0 {
        return Err(refuse("components are nested deeper than the limit component_depth_max allows"));
    }
    if !is_name(name) {
        return Err(refuse(format!("{:?} is no component name", shorten(name))));
    }
    spend(&mut bounds.components_left, 1, "components_max")?;
    let mut read = Component::new(&name.to_ascii_uppercase());
    for jcal in properties {
        read.properties.push(property(jcal, bounds)?);
    }
    for jcal in components {
        read.components.push(component(jcal, levels - 1, bounds)?);
    }
    Ok(read)
}

fn property(jcal: &Value, bounds: &mut Bounds) -> Result<Property, Invalid> {
    let Some([Value::String(name), Value::Object(params), Value::String(kind), values @ ..]) =
        jcal.as_array().map(Vec::as_slice)
    else {
        return Err(refuse("a property is no array of name, parameters, type and values"));
    };
    let name = name.to_ascii_uppercase();
    // A property with such a name would open or close a component.
    if !is_name(&name) || name == "BEGIN" || name == "END" {
        return Err(refuse(format!("{:?} is no property name", shorten(&name))));
    }
    let kind = kind.to_ascii_lowercase();
    let bad = || refuse(format!("{}: its value is not of type {}", shorten(&name), shorten(&kind)));
    if !is_name(&kind) {
        return Err(bad());
    }
    let value = joined(&name, &kind, values).filter(|v| !v.contains(is_forbidden)).ok_or_else(bad)?;
    let params = parameters(&name, &kind, params)?;
    spend(&mut bounds.parts_left, 1 + params.iter().map(|p| 1 + p.values.len()).sum::<usize>(), "parts_max")?;
    Ok(Property { name, params, value, line: 0 })
}

fn parameters(property: &str, kind: &str, object: &Map<String, Value>) -> Result<Vec<Param>, Invalid> {
    let mut params = Vec::with_capacity(object.len() + 1);
    if kind != "unknown" && default_type(property) != Some(kind) {
        params.push(Param::new("VALUE", &kind.to_ascii_uppercase()));
    }
    for (name, value) in object.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("value")) {
        let values = match value {
            Value::String(value) => Some(vec![encode_param(value)]),
            Value::Array(values) => values.iter().map(|v| v.as_str().map(encode_param)).collect(),
            _ => None,
        };
        let Some(values) = values.filter(|_| is_name(name)) else {
            return Err(refuse(format!("{}: its parameter {:?} is no text", shorten(property), shorten(name))));
        };
        params.push(Param { name: name.to_ascii_uppercase(), values });
    }
    let encoded = params.iter().any(|p| p.is("ENCODING"));
    if kind == "binary" && !encoded {
        params.push(Param::new("ENCODING", "BASE64"));
    }
    Ok(params)
}

/// The raw value behind the colon.
fn joined(name: &str, kind: &str, values: &[Value]) -> Option<String> {
    let all = |values: &[Value]| values.iter().map(|v| raw(kind, v)).collect::<Option<Vec<String>>>();
    match (shape(name), values) {
        (_, []) => None,
        (Shape::Structured, [Value::Array(fields)]) => Some(all(fields)?.join(";")),
        (_, [one]) => raw(kind, one),
        // X- properties may be lists as well: what has several values is one.
        (_, several) => Some(all(several)?.join(",")),
    }
}

/// One value of type `kind`, raw.
fn raw(kind: &str, value: &Value) -> Option<String> {
    match (kind, value) {
        ("text", Value::String(text)) => Some(escape_text(text)),
        ("boolean", Value::Bool(truth)) => Some(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
        ("date", Value::String(date)) => basic(date).filter(DateOrTime::is_date).map(|d| d.to_string()),
        ("date-time", Value::String(time)) => basic(time).filter(|t| !t.is_date()).map(|t| t.to_string()),
        ("duration", Value::String(length)) => Duration::parse(length).ok().map(|_| length.clone()),
        ("float", Value::Number(number)) => Some(number.to_string()),
        ("integer", Value::Number(number)) => whole(number).map(|n| n.to_string()),
        ("period", Value::Array(ends)) => match ends.as_slice() {
            [Value::String(start), Value::String(end)] => period(start, end),
            _ => None,
        },
        // RFC 7265's own example (B.2) has it as one string.
        ("period", Value::String(both)) => both.split_once('/').and_then(|(start, end)| period(start, end)),
        ("recur", Value::Object(parts)) => rule(parts),
        ("time", Value::String(time)) => {
            let time = time.replace(':', "");
            DateOrTime::parse(&format!("19700101T{time}"), None).ok().map(|_| time)
        }
        ("utc-offset", Value::String(offset)) => parse_offset(offset).ok().map(format_offset),
        (
            "text" | "boolean" | "date" | "date-time" | "duration" | "float" | "integer" | "period" | "recur" | "time"
            | "utc-offset",
            _,
        ) => None,
        (_, Value::String(raw)) => Some(raw.clone()),
        (_, Value::Number(number)) => Some(number.to_string()),
        (_, Value::Bool(truth)) => Some(truth.to_string().to_ascii_uppercase()),
        _ => None,
    }
}

/// A date or time in ISO 8601's extended format.
fn basic(extended: &str) -> Option<DateOrTime> {
    let date = extended.as_bytes();
    let dashed = date.get(4) == Some(&b'-') && date.get(7) == Some(&b'-');
    let colons = matches!((date.get(10), date.get(13), date.get(16)), (None, ..) | (_, Some(b':'), Some(b':')));
    if !dashed || !colons {
        return None;
    }
    DateOrTime::parse(&extended.replace(['-', ':'], ""), None).ok()
}

fn period(start: &str, end: &str) -> Option<String> {
    let start = basic(start)?;
    match Duration::parse(end) {
        Ok(length) => Some(format!("{start}/{length}")),
        Err(_) => Some(format!("{start}/{}", basic(end)?)),
    }
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    let exact = |n: f64| (n.fract() == 0.0 && n.abs() < 9e15).then_some(n as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(exact))
}

/// FREQ first, as old clients want it.
fn rule(parts: &Map<String, Value>) -> Option<String> {
    let (first, rest): (Vec<_>, Vec<_>) = parts.iter().partition(|(name, _)| name.eq_ignore_ascii_case("freq"));
    let written: Option<Vec<String>> = first.into_iter().chain(rest).map(|(n, v)| rule_part(n, v)).collect();
    Some(written?.join(";"))
}

fn rule_part(name: &str, value: &Value) -> Option<String> {
    let item = |value: &Value| match value {
        Value::Number(number) => whole(number).map(|n| n.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    let name = name.to_ascii_uppercase();
    let value = match value {
        Value::String(until) if name == "UNTIL" => basic(until)?.to_string(),
        Value::Array(items) => items.iter().map(item).collect::<Option<Vec<_>>>()?.join(","),
        single => item(single)?,
    };
    let clean = is_name(&name) && !value.contains([';', '=']);
    clean.then(|| format!("{name}={value}"))
}
