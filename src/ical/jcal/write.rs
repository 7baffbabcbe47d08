//! Tree → jCal (RFC 7265 §3).

use base64::Engine;
use serde_json::{Map, Number, Value, json};

use super::kind::{Shape, default_type, shape};
use crate::ical::parse::is_name;
use crate::ical::{Component, DateOrTime, Param, Period, PeriodEnd, Property};
use crate::ical::{parse_offset, rule_parts, split_raw, unescape_text};

/// `component` as jCal.
pub fn to_jcal(component: &Component) -> Value {
    let properties: Vec<Value> = component.properties.iter().map(property).collect();
    let components: Vec<Value> = component.components.iter().map(to_jcal).collect();
    json!([component.name.to_ascii_lowercase(), properties, components])
}

fn property(property: &Property) -> Value {
    let decoded = without_base64(property);
    let property = decoded.as_ref().unwrap_or(property);
    let stated = property.param_value("VALUE").map(|kind| kind.to_ascii_lowercase()).filter(|kind| is_name(kind));
    let kind = stated.or_else(|| default_type(&property.name).map(str::to_owned));
    let (kind, values) = kind
        .map(|kind| real_kind(kind, property))
        .and_then(|kind| values(&kind, property).map(|values| (kind, values)))
        .unwrap_or_else(|| ("unknown".to_owned(), vec![json!(property.value)]));
    let mut array = vec![json!(property.name.to_ascii_lowercase()), parameters(&property.params), json!(kind)];
    array.extend(values);
    Value::Array(array)
}

/// A property whose type is not BINARY must not be encoded in jCal (RFC 7265 §3.1). `None` if it is not.
fn without_base64(property: &Property) -> Option<Property> {
    if !property.param_is("ENCODING", "BASE64") || property.value_is("BINARY") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(property.value.trim()).ok()?;
    let mut decoded = property.clone();
    decoded.value = String::from_utf8(bytes).ok()?;
    decoded.remove_param("ENCODING");
    Some(decoded)
}

/// A DATE-TIME that is written as a DATE is a `date` (RFC 7265, appendix B.1).
fn real_kind(kind: String, property: &Property) -> String {
    let dates = || property.dates().is_ok_and(|dates| dates.iter().all(DateOrTime::is_date));
    if kind == "date-time" && dates() { "date".to_owned() } else { kind }
}

fn parameters(params: &[Param]) -> Value {
    let mut object: Map<String, Value> = Map::new();
    for param in params.iter().filter(|param| !param.is("VALUE")) {
        let mut values: Vec<Value> = param.decoded().map(|value| json!(value)).collect();
        if values.is_empty() {
            values.push(json!(""));
        }
        match object.get_mut(&param.name.to_ascii_lowercase()) {
            Some(Value::Array(before)) => before.extend(values),
            Some(before) => {
                values.insert(0, before.take());
                *before = Value::Array(values);
            }
            None => {
                let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
                object.insert(param.name.to_ascii_lowercase(), value);
            }
        }
    }
    Value::Object(object)
}

/// The values of `property` as JSON of type `kind`; `None` if they are not of that type.
fn values(kind: &str, property: &Property) -> Option<Vec<Value>> {
    let one = |raw: &str| value(kind, raw, property);
    match shape(&property.name) {
        Shape::Single => Some(vec![one(&property.value)?]),
        Shape::List => split_raw(&property.value, ',').map(one).collect(),
        Shape::Structured => {
            let fields: Option<Vec<Value>> = split_raw(&property.value, ';').map(one).collect();
            Some(vec![Value::Array(fields?)])
        }
    }
}

fn value(kind: &str, raw: &str, property: &Property) -> Option<Value> {
    Some(match kind {
        "text" => json!(unescape_text(raw)),
        "boolean" => json!(boolean(raw)?),
        "date" | "date-time" => json!(extended(kind, raw)?),
        "duration" => {
            crate::ical::Duration::parse(raw).ok()?;
            json!(raw.trim())
        }
        "float" => Value::Number(Number::from_f64(raw.trim().parse().ok()?)?),
        "integer" => json!(raw.trim().parse::<i64>().ok()?),
        "period" => period(&Period::parse(raw, property.tzid().as_deref()).ok()?),
        "recur" => rule(raw)?,
        "time" => json!(time(raw)?),
        "utc-offset" => json!(offset(raw)?),
        // binary, cal-address, uri and types that nobody knows yet are taken as they are.
        _ => json!(raw),
    })
}

fn boolean(raw: &str) -> Option<bool> {
    match raw.trim().to_ascii_uppercase().as_str() {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    }
}

fn extended(kind: &str, raw: &str) -> Option<String> {
    let date = DateOrTime::parse(raw, None).ok()?;
    match kind {
        // VALUE=DATE over a midnight that was written out.
        "date" if date.local().time() == chrono::NaiveTime::MIN => Some(date.date().format("%Y-%m-%d").to_string()),
        "date-time" if !date.is_date() => Some(extended_form(&date)),
        _ => None,
    }
}

fn extended_form(date: &DateOrTime) -> String {
    let format = match date {
        DateOrTime::Date(_) => "%Y-%m-%d",
        DateOrTime::Utc(_) => "%Y-%m-%dT%H:%M:%SZ",
        DateOrTime::Floating(_) | DateOrTime::Zoned(..) => "%Y-%m-%dT%H:%M:%S",
    };
    date.local().format(format).to_string()
}

fn period(period: &Period) -> Value {
    let end = match &period.end {
        PeriodEnd::At(end) => extended_form(end),
        PeriodEnd::After(length) => length.to_string(),
    };
    json!([extended_form(&period.start), end])
}

fn rule(raw: &str) -> Option<Value> {
    let mut object = Map::new();
    for (name, value) in rule_parts(raw) {
        let name = name.to_ascii_lowercase();
        if !is_name(&name) || value.contains('=') {
            return None;
        }
        let value = rule_part(&name, value)?;
        if object.insert(name, value).is_some() {
            return None;
        }
    }
    Some(Value::Object(object))
}

fn rule_part(name: &str, value: &str) -> Option<Value> {
    let number_or_text = |item: &str| item.trim().parse::<i64>().map_or_else(|_| json!(item.trim()), |n| json!(n));
    let mut items: Vec<Value> = match name {
        "until" => return DateOrTime::parse(value, None).ok().map(|until| json!(extended_form(&until))),
        "count" | "interval" => return value.parse::<i64>().ok().map(|n| json!(n)),
        "byday" => value.split(',').map(|day| json!(day.trim())).collect(),
        _ if name.starts_with("by") => value.split(',').map(number_or_text).collect(),
        _ => return Some(json!(value)),
    };
    Some(if items.len() == 1 { items.remove(0) } else { Value::Array(items) })
}

fn time(raw: &str) -> Option<String> {
    let on_a_day = format!("19700101T{}", raw.trim());
    let (DateOrTime::Floating(time) | DateOrTime::Utc(time)) = DateOrTime::parse(&on_a_day, None).ok()? else {
        return None;
    };
    let zone = if raw.trim().ends_with(['Z', 'z']) { "Z" } else { "" };
    Some(format!("{}{zone}", time.format("%H:%M:%S")))
}

fn offset(raw: &str) -> Option<String> {
    let seconds = parse_offset(raw).ok()?;
    let (sign, east) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (hours, minutes, rest) = (east / 3600, east / 60 % 60, east % 60);
    Some(match rest {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
    })
}
