//! The items of the lists in an import file: references to groups and sites.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::record::GroupReference;
use crate::entity::external_reference::LIST_SEPARATOR;
use crate::entity::membership::GroupRole;

/// The separator of a group and the role in it.
const ROLE_SEPARATOR: char = '=';
const EXPECTED_SITE: &str = "expected the ID, name or external ID of an institution";

/// Returns the item of a list that a part of a text stands for: a group may have a role, as in `Ward 3=OWNER`.
pub(super) fn text_reference(list: &str, part: &str) -> Value {
    let role = part.rsplit_once(ROLE_SEPARATOR).filter(|(_, role)| list == "groups" && parse_role(role).is_some());
    match role {
        Some((group, role)) => serde_json::json!({ "group": group.trim(), "role": role }),
        None => part.into(),
    }
}

/// Returns the items of the list that a text is: those of a list in JSON, or its parts.
pub(super) fn text_items(list: &str, text: &str) -> Vec<Value> {
    json_list(text).unwrap_or_else(|| {
        let parts = text.split(LIST_SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| text_reference(list, part)).collect()
    })
}

/// Returns the items of a list in JSON, as an export writes a list of which an item contains the separator.
pub(super) fn json_list(text: &str) -> Option<Vec<Value>> {
    text.trim_start().starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

pub(super) fn group_reference(item: Value) -> Result<GroupReference, String> {
    const EXPECTED: &str = "expected the ID or name of a group, or an object with group and role";
    let mut item = match item {
        Value::String(group) => return Ok(GroupReference { group, role: GroupRole::Member, joined_at: None }),
        Value::Number(number) => {
            return Ok(GroupReference { group: number.to_string(), role: GroupRole::Member, joined_at: None });
        }
        Value::Object(item) => item,
        _ => return Err(EXPECTED.to_owned()),
    };
    if let Some(role) = item.get("role").and_then(Value::as_str) {
        let known =
            parse_role(role).ok_or_else(|| format!("expected the role OWNER, MANAGER or MEMBER, not {role:?}"))?;
        item.insert("role".to_owned(), known.into());
    }
    serde_json::from_value(Value::Object(item)).map_err(|error| format!("{EXPECTED}: {error}"))
}

/// Returns the name of a role in any case.
fn parse_role(text: &str) -> Option<&'static str> {
    ["OWNER", "MANAGER", "MEMBER"].into_iter().find(|role| role.eq_ignore_ascii_case(text.trim()))
}

pub(super) fn site_reference(item: Value) -> Result<(String, Option<DateTime<Utc>>), String> {
    match item {
        Value::String(site) => Ok((site, None)),
        Value::Number(number) => Ok((number.to_string(), None)),
        Value::Object(mut item) => {
            let Some(Value::String(site)) = item.remove("site") else { return Err(EXPECTED_SITE.to_owned()) };
            let granted_at = item.remove("grantedAt").unwrap_or_default();
            let granted_at = serde_json::from_value(granted_at).map_err(|error| format!("grantedAt: {error}"))?;
            Ok((site, granted_at))
        }
        _ => Err(EXPECTED_SITE.to_owned()),
    }
}
