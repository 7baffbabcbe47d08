//! As much of JSON Schema as `openapi.json` uses. A word that is not known here fails, so that nothing goes unchecked.

use serde_json::Value;

/// What is wrong with `value` by `schema`; nothing if it fits.
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let members = schema.as_object().expect("a schema is an object");
    members.iter().flat_map(|(word, rule)| word_holds(document, schema, word, rule, value, at)).collect()
}

fn word_holds(document: &Value, schema: &Value, word: &str, rule: &Value, value: &Value, at: &str) -> Vec<String> {
    let complain =
        |holds: bool| if holds { Vec::new() } else { vec![format!("{at}: {word} {rule} does not hold for {value}")] };
    match word {
        "description" | "default" => Vec::new(),
        "$ref" => {
            let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference into the document");
            let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{at}: {pointer} is not there"));
            check(document, schema, value, at)
        }
        "type" => match rule {
            Value::Array(types) => complain(types.iter().any(|name| is_a(name, value))),
            name => complain(is_a(name, value)),
        },
        "enum" => complain(rule.as_array().expect("a list").contains(value)),
        "oneOf" => {
            let fits = |schema: &&Value| check(document, schema, value, at).is_empty();
            complain(rule.as_array().expect("a list").iter().filter(fits).count() == 1)
        }
        "pattern" => {
            let prefix = rule.as_str().and_then(|text| text.strip_prefix('^')).expect("patterns here are prefixes");
            complain(value.as_str().is_none_or(|text| text.starts_with(prefix)))
        }
        "format" => {
            assert_eq!(rule, "date-time");
            let is_time = |text: &str| text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok();
            complain(value.as_str().is_none_or(is_time))
        }
        "minimum" => complain(value.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a number"))),
        "maximum" => complain(value.as_f64().is_none_or(|number| number <= rule.as_f64().expect("a number"))),
        "items" => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().enumerate().flat_map(|(n, item)| check(document, rule, item, &format!("{at}[{n}]"))).collect()
        }
        "required" => {
            let has = |name: &&Value| value.get(name.as_str().expect("a name")).is_none();
            let lacking: Vec<_> = rule.as_array().expect("a list").iter().filter(has).collect();
            if value.is_object() { complain(lacking.is_empty()) } else { Vec::new() }
        }
        "properties" => {
            let known = rule.as_object().expect("an object");
            let there = known.iter().filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
            there.flat_map(|(name, schema, value)| check(document, schema, value, &format!("{at}.{name}"))).collect()
        }
        "additionalProperties" => {
            let known = schema["properties"].as_object().expect("an object");
            let unknown = value.as_object().and_then(|members| members.keys().find(|name| !known.contains_key(*name)));
            match unknown {
                Some(name) if rule == false => vec![format!("{at}: {name} is not described")],
                _ => Vec::new(),
            }
        }
        other => panic!("{at}: the schema says {other}, which is not known here"),
    }
}

fn is_a(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

#[test]
fn it_finds_what_is_wrong() {
    let document = serde_json::json!({"x": {"type": ["string", "null"], "pattern": "^a"}});
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"$ref": "#/x"}, "b": {"type": "array", "items": {"type": "integer", "minimum": 1}}},
    });
    let wrong = |value: Value| check(&document, &schema, &value, "").len();
    assert_eq!(wrong(serde_json::json!({"a": "ab", "b": [1, 2]})), 0);
    assert_eq!(wrong(serde_json::json!({"a": null})), 0);
    assert_eq!(wrong(serde_json::json!({"a": "b"})), 1);
    assert_eq!(wrong(serde_json::json!({"b": [0, "x"], "c": 1})), 4);
    assert_eq!(wrong(serde_json::json!([])), 1);
}
