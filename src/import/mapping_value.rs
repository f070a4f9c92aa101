//! Values of rows of other systems: where they are, and simple conversions.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::list_items::{text_items, text_reference};
use crate::entity::external_reference::ID_SEPARATOR;

/// Returns the value of a column. A name with full stops is a path, if no column has it; columns may have names with
/// full stops themselves. Of a list, a path goes on with the item that is `primary`, or else with the first one;
/// `phones[mobile]` is that of the items whose `type` is `mobile`, and `phones[]` that of those without a type.
pub(super) fn lookup<'a>(row: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let named = |name: &str| {
        row.get(name).or_else(|| row.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    };
    let is_primary = |item: &&Value| item.get("primary") == Some(&Value::Bool(true));
    named(path).or_else(|| {
        let mut parts = path.match_indices('.').filter_map(|(end, _)| Some((path.get(..end)?, path.get(end + 1..)?)));
        parts.find_map(|(outer, inner)| match named(outer) {
            Some(Value::Object(object)) => lookup(object, inner),
            Some(Value::Array(items)) => lookup(items.iter().find(is_primary).or(items.first())?.as_object()?, inner),
            Some(_) => None,
            None => {
                let (list, kind) = outer.strip_suffix(']')?.split_once('[')?;
                let is_of_type = |item: &&Value| {
                    item.get("type").and_then(Value::as_str).unwrap_or_default().eq_ignore_ascii_case(kind)
                };
                let mut of_type = named(list)?.as_array()?.iter().filter(is_of_type);
                let first = of_type.next()?;
                let primary = std::iter::once(first).chain(of_type).find(is_primary);
                lookup(primary.unwrap_or(first).as_object()?, inner)
            }
        })
    })
}

/// Returns a text, number or boolean as text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(items) if items.len() == 1 => text_of(items.first()?),
        _ => None,
    }
}

/// Converts a text, or each text of a list.
pub(super) fn each(value: &Value, convert: impl Fn(&str) -> String) -> Value {
    let one = |value: &Value| value.as_str().map_or_else(|| value.clone(), |text| convert(text).into());
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        value => one(value),
    }
}

/// Returns the value of the first part of a distinguished name (RFC 4514).
pub(super) fn rdn(name: &str) -> String {
    let (mut value, mut chars) = (String::new(), name.split_once('=').map_or(name, |(_, rest)| rest).chars());
    while let Some(c) = chars.next() {
        match c {
            ',' | '+' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    value.trim().to_owned()
}

/// Returns texts such as `hr:7` as references.
///
/// # Errors
/// The expected form.
pub(super) fn references(value: &Value) -> Result<Value, String> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let reference = |item: &Value| {
        let (source, id) = item.as_str()?.split_once(ID_SEPARATOR)?;
        Some(json!({ "source": source, "id": id }))
    };
    let all: Option<Vec<Value>> = items.iter().map(reference).collect();
    all.map(Value::Array).ok_or_else(|| "expected references such as hr:7".to_owned())
}

/// Returns the list that a text is, such as `Ward 1;Ward 2`; other values stay as they are.
pub(super) fn list_of(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| text_items("", text).into())
}

/// Returns memberships by the key of their group: texts such as `Ward 3=OWNER`, or objects with `group` and `role`. `keys` are those
/// of the user's groups.
///
/// # Errors
/// The expected form, or a role in another group.
pub(super) fn memberships(
    roles: Option<&Value>,
    keys: &HashSet<String>,
) -> Result<HashMap<String, Map<String, Value>>, String> {
    let items = match roles {
        None | Some(Value::Null) => return Ok(HashMap::new()),
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) => text_items("groups", text),
        Some(value) => vec![value.clone()],
    };
    let membership = |item: Value| {
        let item = if let Value::String(text) = &item { text_reference("groups", text) } else { item };
        let Value::Object(membership) = item else { return None };
        Some((text_of(membership.get("group")?)?, membership))
    };
    let all: Option<HashMap<String, Map<String, Value>>> = items.into_iter().map(membership).collect();
    let all = all.ok_or_else(|| "expected the roles in groups, such as Ward 3=OWNER".to_owned())?;
    match all.keys().filter(|key| !keys.contains(*key)).min() {
        Some(other) => Err(format!("the row has a role in the group {other:?}, but does not name that group")),
        None => Ok(all),
    }
}

/// Returns a picture as a record has it.
pub(super) fn picture(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.first().map(picture).unwrap_or_default(),
        Value::Object(binary) => json!({ "content": binary.get("base64") }),
        Value::String(content) => json!({ "content": content }),
        _ => Value::Null,
    }
}
