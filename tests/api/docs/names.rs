//! The values that a page calls by a name, and the comparison of responses with those of a page.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value, json};

/// Stands for any part of a text, for any value that is not composed, or for further items at the end of a list.
const ANY: &str = "…";

/// Values by their names. A page writes a name as `$USER_ID`.
pub struct Names(pub BTreeMap<String, String>);

impl Names {
    /// The variables of a request, with names replaced by their values.
    pub fn resolve(&self, variables: &Value) -> Value {
        match variables {
            Value::String(text) => match name_of(text) {
                Some(name) => self.get(name).into(),
                None => variables.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), self.resolve(member))).collect()
            }
            _ => variables.clone(),
        }
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("${name} is in no earlier response"))
    }

    /// The differences between a response and that of the page. A name that is not known yet gets its value.
    pub fn compare(&mut self, expected: &Value, actual: &Value) -> Vec<String> {
        let mut differences = Vec::new();
        self.compare_at("", expected, actual, &mut differences);
        differences
    }

    fn compare_at(&mut self, path: &str, expected: &Value, actual: &Value, differences: &mut Vec<String>) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) if have_same_names(expected, actual) => {
                for (name, member) in expected {
                    self.compare_at(&format!("{path}.{name}"), member, &actual[name], differences);
                }
            }
            (Value::Array(expected), Value::Array(actual)) if have_same_length(expected, actual) => {
                let listed = expected.iter().filter(|item| *item != ANY);
                for (index, (item, actual)) in listed.zip(actual).enumerate() {
                    self.compare_at(&format!("{path}.{index}"), item, actual, differences);
                }
            }
            (Value::String(text), Value::String(value)) if self.is_like(text, value) => {}
            (Value::String(text), Value::Number(_) | Value::Bool(_)) if text == ANY => {}
            _ if expected == actual => {}
            _ => differences.push(format!("{path}: the page has {expected}, the response {actual}")),
        }
    }

    fn is_like(&mut self, expected: &str, actual: &str) -> bool {
        if let Some(name) = name_of(expected) {
            return self.0.entry(name.to_owned()).or_insert_with(|| actual.to_owned()) == actual;
        }
        let parts: Vec<String> = expected.split(ANY).map(regex::escape).collect();
        Regex::new(&format!("(?s)^{}$", parts.join(".*"))).unwrap().is_match(actual)
    }
}

/// The name that a text consists of, without `$`.
fn name_of(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    is_name.then_some(name)
}

fn have_same_names(expected: &Map<String, Value>, actual: &Map<String, Value>) -> bool {
    expected.len() == actual.len() && expected.keys().all(|name| actual.contains_key(name))
}

fn have_same_length(expected: &[Value], actual: &[Value]) -> bool {
    match expected.split_last() {
        Some((last, listed)) if last == ANY => listed.len() <= actual.len(),
        _ => expected.len() == actual.len(),
    }
}

#[test]
fn placeholders_match_values_and_literals_do_not() {
    let expected = r#"{ "id": "$ID", "owner": "$ID", "at": "20…Z", "n": "…", "list": [1, "…"], "none": null }"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    let same = json!({ "id": "7", "owner": "7", "at": "2026Z", "n": 5, "list": [1, 2, 3], "none": null });
    let mut names = Names(BTreeMap::new());
    assert_eq!(names.compare(&expected, &same), [""; 0]);
    assert_eq!(names.resolve(&json!({ "ids": ["$ID", "$Id"] })), json!({ "ids": ["7", "$Id"] }));
    for (member, value) in [
        ("id", json!("8")),
        ("owner", json!("8")),
        ("at", json!("1926Z")),
        ("n", Value::Null),
        ("list", json!([2])),
        ("list", json!([])),
        ("none", json!(0)),
        ("more", json!(0)),
    ] {
        let mut other = same.clone();
        other[member] = value;
        assert_eq!(names.compare(&expected, &other).len(), 1, "{other}");
    }
}
