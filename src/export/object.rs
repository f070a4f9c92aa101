//! Rows as JSON objects, with the names of the import format.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{ActiveEnum, EntityTrait, IdenStatic, Iterable, ModelTrait, Value as Stored};
use serde_json::{Map, Value, json};

use super::related::ExportedUser;
use crate::db::json_of;
use crate::entity::user::{self, Privacy, RIGHTS};
use crate::entity::{attribute_definition, avatar, external_reference, membership, site_access};
use crate::scalar::Id;
use crate::text;

/// Returns the columns of a row that have a value, without those that follow from others. Columns of bytes, such as the hashes of
/// tokens, are left out.
#[must_use]
pub fn of_row<M: ModelTrait>(row: &M) -> Map<String, Value> {
    of_columns(row, columns::<M::Entity>())
}

/// Returns the columns of a table, without those that follow from others.
pub fn columns<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::Column::iter().filter(|column| !column.as_str().ends_with("_key") && column.as_str() != "license_id")
}

/// Returns the columns of users, without those that follow from others or from other tables, and without the rights.
pub fn columns_of_user() -> impl Iterator<Item = user::Column> {
    user::Column::iter().filter(|column| {
        !matches!(column, user::Column::Avatar | user::Column::HasPin)
            && !matches!(column.privacy(), Privacy::Internal | Privacy::Right)
    })
}

fn of_columns<M: ModelTrait>(
    row: &M,
    columns: impl Iterator<Item = <M::Entity as EntityTrait>::Column>,
) -> Map<String, Value> {
    let member = |column: <M::Entity as EntityTrait>::Column| {
        let value = json_of(row.get(column), instant_text)?;
        Some((text::camel(column.as_str()), external_reference::decoded(column.as_str(), value)))
    };
    columns.filter_map(member).collect()
}

/// Returns an instant with six digits of its second.
#[must_use]
pub fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Returns a user with everything that belongs to it. `avatar` is the member for its picture.
#[must_use]
pub fn of_user(
    user: &ExportedUser,
    definitions: &BTreeMap<Id, attribute_definition::Model>,
    avatar: Option<Value>,
) -> Map<String, Value> {
    let mut object = of_columns(&user.row, columns_of_user());
    if let Some(institution) = object.remove("institutionId") {
        object.insert("institution".to_owned(), institution);
    }
    let attribute = |(id, value): (&Id, &String)| {
        let definition = definitions.get(id)?;
        Some((definition.name.clone(), definition.kind.shown(value)))
    };
    let members = [
        ("adminRights", Value::Object(rights(&user.row))),
        ("groups", groups_of(user)),
        ("sites", sites_of(user)),
        ("attributes", Value::Object(user.attributes.iter().filter_map(attribute).collect())),
        ("passwordHash", user.password_hash.clone().into()),
        ("pinHash", user.pin_hash.clone().into()),
        ("avatar", avatar.unwrap_or_default()),
    ];
    let given = members.into_iter().filter(|(_, value)| has_content(value));
    object.extend(given.map(|(name, value)| (name.to_owned(), value)));
    object
}

/// Returns the groups of a user, with the role in each.
#[must_use]
pub fn groups_of(user: &ExportedUser) -> Value {
    user.memberships.iter().map(membership).collect()
}

/// Returns the sites that a user was given access to.
#[must_use]
pub fn sites_of(user: &ExportedUser) -> Value {
    user.grants.iter().map(grant).collect()
}

/// Returns the rights that a user holds.
fn rights(row: &user::Model) -> Map<String, Value> {
    let held = RIGHTS.into_iter().filter(|right| row.get(*right) == Stored::from(true));
    held.map(|right| (text::camel(right.as_str()), Value::Bool(true))).collect()
}

fn membership(row: &membership::Model) -> Value {
    json!({ "group": row.group_id, "role": row.role.to_value(), "joinedAt": instant_text(row.joined_at) })
}

fn grant(row: &site_access::Model) -> Value {
    json!({ "site": row.institution_id, "grantedAt": instant_text(row.granted_at) })
}

/// Returns whether a value is neither null nor an empty list or object.
#[must_use]
pub fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

/// Returns a picture with its content.
#[must_use]
pub fn of_avatar(avatar: &avatar::Model) -> Value {
    json!({ "contentType": avatar.content_type.name(), "content": STANDARD.encode(&avatar.content) })
}
