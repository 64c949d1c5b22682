//! Values of the masters.

use serde_json::{Map, Value};

/// A number, or the text that stands for one that JSON lacks.
pub fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{text} is no number")),
        None => value
            .as_f64()
            .unwrap_or_else(|| panic!("{value} is no number")),
    }
}

pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

/// The members of an object; none where it is missing.
pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

pub fn signed(value: &Value) -> Vec<isize> {
    let entry = |value: &Value| value.as_i64().and_then(|entry| isize::try_from(entry).ok());
    list(value)
        .iter()
        .map(|value| entry(value).unwrap_or_else(|| panic!("{value} is no stride")))
        .collect()
}

pub fn sizes(value: &Value) -> Vec<usize> {
    let entry = |value: &Value| value.as_u64().and_then(|entry| usize::try_from(entry).ok());
    list(value)
        .iter()
        .map(|value| entry(value).unwrap_or_else(|| panic!("{value} is no extent")))
        .collect()
}

/// A JSON merge patch, RFC 7396.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge_patch(members.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn patches_as_in_the_standard() {
    let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (
            r#"{"a":[1,2]}"#,
            r#"{"a":{"b":{"c":null}}}"#,
            r#"{"a":{"b":{}}}"#,
        ),
    ] {
        let mut value = parse(target);
        merge_patch(&mut value, &parse(patch));
        assert_eq!(value, parse(result));
    }
}
