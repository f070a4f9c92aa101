//! A `ListResponse` of SCIM 2.0 (RFC 7644) with users and groups (RFC 7643), and institutions.

use std::io::Write;

use serde_json::{Value, json};

use super::snapshot::Snapshot;
use crate::entity::external_reference::{self, FIELD};
use crate::entity::{group, institution};
use crate::error::Error;
use crate::export::{ExportedUser, groups_of, has_content, instant_text, of_row, sites_of};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The extension for users of organizations. Its `organization` is the name of the institution.
const ENTERPRISE_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The schemas of what the schemas of the standard have no attribute for: institutions, and what users and groups have besides.
const INSTITUTION: &str = "urn:ietf:params:scim:schemas:extension:roster:2.0:Institution";
const USER_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:roster:2.0:User";
const GROUP_EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:roster:2.0:Group";

/// Writes the institutions, groups and users of a license.
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
    snapshot.for_each_institution(|institution| write(of_institution(institution))).await?;
    snapshot.for_each_group(|group| write(of_group(group))).await?;
    snapshot.for_each_user(|user| write(of_user(user))).await?;
    output.write_all(b"\n]}\n").map_err(Error::internal)
}

/// Returns an institution, with the fields that an import reads.
fn of_institution(row: &institution::Model) -> Value {
    let mut resource = of_row(row);
    for name in ["createdAt", "modifiedAt", "version"] {
        resource.remove(name);
    }
    resource.insert("schemas".to_owned(), json!([INSTITUTION]));
    resource.insert("meta".to_owned(), meta("Institution", row.created_at, row.modified_at));
    Value::Object(resource)
}

/// Returns a group. Its members are named by the users, because a group may have any number of them.
fn of_group(group: &group::Model) -> Value {
    let meta = meta("Group", group.created_at, group.modified_at);
    let mut resource = json!({ "schemas": [GROUP], "id": group.id, "displayName": group.name, "meta": meta });
    let references = external_reference::list(group.external_references.as_ref());
    add_extension(&mut resource, GROUP_EXTENSION, json!({ FIELD: references }));
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
        members.retain(|_, value| has_content(value));
    }
    add_extension(&mut resource, ENTERPRISE_EXTENSION, json!({ "organization": user.institution_name }));
    add_extension(&mut resource, USER_EXTENSION, own_attributes(user));
    resource
}

/// Returns the values of a user that the standard has no attributes for, in the form in which an import reads them.
fn own_attributes(user: &ExportedUser) -> Value {
    let row = &user.row;
    json!({
        FIELD: external_reference::list(row.external_references.as_ref()),
        "institution": row.institution_id,
        "fullSiteAccess": row.has_own_full_site_access().then_some(true),
        "sites": sites_of(user),
        "groups": groups_of(user),
    })
}

/// Adds an extension of its schema to a resource, if it has a value of it.
fn add_extension(resource: &mut Value, extension: &str, values: Value) {
    let Value::Object(members) = resource else { return };
    let Value::Object(mut values) = values else { return };
    values.retain(|_, value| has_content(value));
    if values.is_empty() {
        return;
    }
    if let Some(Value::Array(schemas)) = members.get_mut("schemas") {
        schemas.push(extension.into());
    }
    members.insert(extension.to_owned(), Value::Object(values));
}

fn meta(kind: &str, created: chrono::DateTime<chrono::Utc>, modified: chrono::DateTime<chrono::Utc>) -> Value {
    json!({ "resourceType": kind, "created": instant_text(created), "lastModified": instant_text(modified) })
}
