//! Only the selected columns of a row are read; the values of fields do not depend on the selection.

use async_graphql::MaybeUndefined::Value as Given;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use roster::entity::user::{AdminRightsInput, UserFields};
use roster::scalar::DateText;
use serde_json::{Value, json};

use crate::app::App;

/// The fields of a type, with a selection for fields that are objects.
fn fields_of(type_name: &str) -> Vec<String> {
    let document = async_graphql::parser::parse_schema(roster::schema::sdl()).unwrap();
    let object = document.definitions.into_iter().find_map(|definition| match definition {
        TypeSystemDefinition::Type(found) if found.node.name.node == type_name => match found.node.kind {
            TypeKind::Object(object) => Some(object),
            _ => None,
        },
        _ => None,
    });
    let selection = |name: &str| match name {
        "institution" | "license" | "groups" | "groupsOwned" => format!("{name} {{ name }}"),
        "memberships" => "memberships { role joinedAt group { name } }".to_owned(),
        "sites" => "sites { totalCount edges { cursor node { name } } }".to_owned(),
        "users" | "members" => format!("{name} {{ totalCount edges {{ cursor node {{ fullName }} }} }}"),
        "adminRights" => "adminRights { isSuperuser isGroupAdmin }".to_owned(),
        "attributes" => "attributes { name label value }".to_owned(),
        "externalReferences" => "externalReferences { source id }".to_owned(),
        "sessions" | "devices" => format!("{name} {{ id }}"),
        "invitation" => "invitation { state }".to_owned(),
        "viewerCan" => "viewerCan { update setActive delete seePrivate seeAdminRights }".to_owned(),
        _ => name.to_owned(),
    };
    object.unwrap().fields.iter().map(|field| selection(&field.node.name.node)).collect()
}

/// Queries each field alone and all fields at once, and compares the values.
async fn compare(app: &App, list: &str, type_name: &str) {
    let caller = app.superuser().await;
    let execute = async |selection: &str| {
        let data = caller.data(&format!("{{ {list} {{ nodes {{ {selection} }} }} }}"), json!({})).await;
        data.pointer(&format!("/{}/nodes", list.split('(').next().unwrap())).and_then(Value::as_array).cloned().unwrap()
    };
    let fields = fields_of(type_name);
    let whole = execute(&fields.join(" ")).await;
    assert!(!whole.is_empty());
    for field in fields {
        let name = field.split(' ').next().unwrap();
        let alone = execute(&field).await;
        for (alone, whole) in alone.iter().zip(&whole) {
            assert_eq!(alone[name], whole[name], "{type_name}.{name} depends on the selection");
        }
    }
}

on_every_database! {
    async fn the_value_of_a_field_does_not_depend_on_the_selection(app: App) {
        let group = app.license_admin().await.mutate("createGroup", "group { id }", json!({ "name": "Ward", "description": "Three" })).await;
        let institution = json!({ "name": "St Brigid", "kind": "HOSPITAL", "country": "IE", "city": "Cork", "numBeds": 3 });
        let institution = app.license_admin().await.mutate("createInstitution", "institution { id }", institution).await;
        let rights = AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() };
        let member = app.user_with("Full", UserFields {
            username: Given("full".to_owned()),
            birth_date: Given(DateText("1980-07-08".to_owned())),
            mobile: Given("123".to_owned()),
            website: Given("www.example.org".to_owned()),
            external_id: Given("X-1".to_owned()),
            institution_id: Given(institution["institution"]["id"].as_str().unwrap().into()),
            admin_rights: Given(rights),
            ..UserFields::default()
        }).await;
        let license_admin = app.license_admin().await;
        license_admin.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "INTEGER" })).await;
        let badge = json!({ "id": member.id(), "attributes": [{ "name": "badge", "value": 7 }], "externalReferences": [{ "source": "hr", "id": "7" }] });
        assert_eq!(license_admin.mutate("updateUser", "", badge).await["success"], json!(true));
        let membership = json!({ "groupId": group["group"]["id"], "userId": member.id(), "role": "OWNER" });
        app.superuser().await.mutate("setGroupMember", "", membership).await;
        let grant = json!({ "userId": member.id(), "institutionId": institution["institution"]["id"] });
        app.superuser().await.mutate("grantSiteAccess", "", grant).await;
        compare(&app, "users", "User").await;
        compare(&app, "groups", "Group").await;
        compare(&app, "institutions", "Institution").await;
    }
}
