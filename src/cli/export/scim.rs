//! A `ListResponse` of SCIM 2.0 (RFC 7644) with users and groups (RFC 7643).

use std::io::Write;

use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::entity::external_reference::{self, FIELD, StoredReferences};
use crate::entity::group;
use crate::error::Error;
use crate::export::{ExportedUser, instant_text};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The schemas of what the core schemas have no attribute for: the external references.
const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:roster:2.0:User";
const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:roster:2.0:Group";

/// Writes the groups and users of a license.
pub(in crate::cli) async fn write_scim(snapshot: &Snapshot, output: &mut impl Write) -> Result<(), Error> {
    let total = snapshot.count().await?;
    let head = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":{total},\"startIndex\":1,\
         \"itemsPerPage\":{total},\"Resources\":["
    );
    output.write_all(head.as_bytes()).map_err(Error::internal)?;
    let mut separator = "\n";
    let mut write = |resource: Value| {
        let text = format!("{separator}{resource}");
        separator = ",\n";
        output.write_all(text.as_bytes()).map_err(Error::internal)
    };
    snapshot.for_each_group(|group| write(of_group(group))).await?;
    snapshot.for_each_user(|user| write(of_user(user))).await?;
    output.write_all(b"\n]}\n").map_err(Error::internal)
}

/// Returns a group. Its members are named by the users, because a group may have any number of them.
fn of_group(group: &group::Model) -> Value {
    let meta = meta("Group", group.created_at, group.modified_at);
    let mut resource = json!({ "schemas": [GROUP], "id": group.id, "displayName": group.name, "meta": meta });
    add_references(&mut resource, GROUP_EXTENSION, group.external_references.as_ref());
    resource
}

fn of_user(user: &ExportedUser) -> Value {
    let row = &user.row;
    let of_type = |value: &Option<String>, kind: &str| {
        value.as_ref().map(|value| json!({ "value": value, "type": kind, "primary": kind == "work" }))
    };
    let phones: Vec<Value> =
        [of_type(&row.phone, "work"), of_type(&row.mobile, "mobile")].into_iter().flatten().collect();
    let groups: Vec<Value> = user.memberships.iter().map(|row| json!({ "value": row.group_id })).collect();
    let mut resource = json!({
        "schemas": [USER],
        "id": row.id,
        "externalId": row.external_id,
        "userName": row.username.as_ref().or(row.email.as_ref()),
        "name": { "givenName": row.first_name, "familyName": row.last_name, "formatted": row.name() },
        "displayName": row.name(),
        "nickName": row.nickname,
        "profileUrl": row.website.as_ref().map(|url| &url.0),
        "title": row.position,
        "active": row.is_active,
        "emails": row.email.as_ref().map(|email| json!([{ "value": email, "type": "work", "primary": true }])),
        "phoneNumbers": phones,
        "groups": groups,
        "meta": meta("User", row.date_joined, row.modified_at),
    });
    if let Value::Object(members) = &mut resource {
        members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()));
    }
    add_references(&mut resource, USER_EXTENSION, row.external_references.as_ref());
    resource
}

/// Adds the references of a resource by an extension of its schema, if it has any.
fn add_references(resource: &mut Value, extension: &str, references: Option<&StoredReferences>) {
    let references = external_reference::list(references);
    let Value::Object(members) = resource else { return };
    if references.is_empty() {
        return;
    }
    if let Some(Value::Array(schemas)) = members.get_mut("schemas") {
        schemas.push(extension.into());
    }
    members.insert(extension.to_owned(), json!({ FIELD: references }));
}

fn meta(kind: &str, created: chrono::DateTime<chrono::Utc>, modified: chrono::DateTime<chrono::Utc>) -> Value {
    json!({ "resourceType": kind, "created": instant_text(created), "lastModified": instant_text(modified) })
}
