//! Custom attributes: the values that a license defines for its users.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::attribute_values;
use roster::entity::user::{self, AdminRightsInput, Role, UserFields};
use roster::entity::{attribute_definition, attribute_value, audit_event};
use roster::scalar::Id;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::app::{App, Caller, payload_errors};
use crate::crowd;
use crate::process::{ADMIN, Sandbox};

const DEFINITION: &str = "definition { name label kind required userEditable userVisible }";

/// Defines an attribute and asserts success.
async fn define(by: &Caller<'_>, name: &str, kind: &str, more: Value) {
    let mut input = json!({ "name": name, "label": name, "kind": kind });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let payload = by.mutate("defineAttribute", "", input).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
}

fn item(name: &str, value: impl Into<Value>) -> Value {
    json!([{ "name": name, "value": value.into() }])
}

/// Sets attributes of a user and asserts success.
async fn give(by: &Caller<'_>, to: &str, attributes: Value) -> Value {
    let payload = by
        .mutate(
            "updateUser",
            "user { version attributes { name value } }",
            json!({ "id": to, "attributes": attributes }),
        )
        .await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

/// The attributes of a user that are visible to a caller.
async fn seen(by: &Caller<'_>, of: &str) -> Value {
    let query = "query ($id: ID!) { user(by: { id: $id }) { attributes { name value } } }";
    by.data(query, json!({ "id": of })).await["user"]["attributes"].clone()
}

/// The input of a new user with the given additional fields.
fn new_user(given: Value) -> Value {
    let mut input = json!({ "firstName": "Ada", "lastName": "Byron", "email": format!("{}@example.org", Id::new().0) });
    if let Value::Object(given) = given {
        input.as_object_mut().unwrap().extend(given);
    }
    input
}

async fn events(app: &App) -> u64 {
    app.seal().await;
    audit_event::Entity::find().count(app.db.read()).await.unwrap()
}

/// The changes of the newest event.
async fn last_changes(app: &App) -> Value {
    app.seal().await;
    let last = audit_event::Entity::find().order_by_desc(audit_event::Column::Seq).one(app.db.read()).await.unwrap();
    serde_json::from_str(last.unwrap().changes.as_deref().unwrap_or("[]")).unwrap()
}

/// An administrator who defines attributes.
async fn definer(app: &App) -> Caller<'_> {
    let rights = AdminRightsInput { is_attributes_admin: Given(true), ..AdminRightsInput::default() };
    let fields = UserFields { role: Given(Role::Admin), admin_rights: Given(rights), ..UserFields::default() };
    app.user_with("Definer", fields).await
}

/// Inserts attribute definitions of the first license.
async fn defined(app: &App, names: impl Iterator<Item = String>) {
    for name in names {
        let blank = attribute_definition::Model::empty(Id::new(), app.license);
        let new = attribute_definition::Model { label: name.clone(), name, ..blank };
        new.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    }
}

on_every_database! {
    async fn attributes_are_defined_and_changed_by_name(app: App) {
        let (license_admin, user, stranger) = (app.license_admin().await, app.user().await, app.other_license_user().await);
        let input = json!({ "name": "birthplace", "label": " Place of birth ", "kind": "STRING" });
        let created = license_admin.mutate("defineAttribute", DEFINITION, input).await;
        let mut expected = json!({ "name": "birthplace", "label": "Place of birth", "kind": "STRING", "required": false, "userEditable": false, "userVisible": true });
        assert_eq!(created["definition"], expected);
        let input = json!({ "name": "birthplace", "label": "Born in", "userEditable": true });
        let changed = license_admin.mutate("defineAttribute", DEFINITION, input).await;
        (expected["label"], expected["userEditable"]) = (json!("Born in"), json!(true));
        assert_eq!(changed["definition"], expected, "absent fields stay unchanged");
        assert_eq!(license_admin.mutate("defineAttribute", DEFINITION, json!({ "name": "birthplace", "kind": "DATE" })).await["definition"]["kind"], json!("DATE"));
        define(&license_admin, "address_city", "STRING", json!({})).await;
        define(&license_admin, "badge", "INTEGER", json!({})).await;
        for caller in [&license_admin, &user] {
            let data = caller.data("{ attributeDefinitions { name } }", json!({})).await;
            assert_eq!(data["attributeDefinitions"], json!([{ "name": "address_city" }, { "name": "badge" }, { "name": "birthplace" }]));
        }
        assert_eq!(stranger.data("{ attributeDefinitions { name } }", json!({})).await["attributeDefinitions"], json!([]));
    }

    async fn attribute_definitions_are_validated(app: App) {
        let license_admin = app.license_admin().await;
        let of = |name: &str| json!({ "name": name, "label": "A", "kind": "STRING" });
        for name in ["a", "a_1", "preferredUsername", "z9", &"a".repeat(50)] {
            assert_eq!(license_admin.mutate("defineAttribute", "", of(name)).await["success"], json!(true), "{name}");
        }
        for (name, code) in [("", "REQUIRED"), (" ", "REQUIRED"), ("A", "INVALID"), ("1a", "INVALID"), ("_a", "INVALID"), ("a-b", "INVALID"),
            ("a.b", "INVALID"), ("a b", "INVALID"), ("é", "INVALID"), ("aé", "INVALID"), ("a\u{1}", "INVALID"), (&"a".repeat(51), "TOO_LONG")] {
            assert_eq!(license_admin.payload_errors("defineAttribute", of(name)).await, [format!("{code} input.name")], "{name:?}");
        }
        let cases = [
            (json!({ "name": "B" }), vec!["INVALID input.name", "REQUIRED input.kind", "REQUIRED input.label"]),
            (json!({ "name": "b", "label": " ", "kind": null, "required": null, "userEditable": null, "userVisible": null }), vec![
                "NULL_NOT_ALLOWED input.kind", "NULL_NOT_ALLOWED input.required", "NULL_NOT_ALLOWED input.userEditable",
                "NULL_NOT_ALLOWED input.userVisible", "REQUIRED input.label"]),
            (json!({ "name": "b", "label": "é".repeat(101), "kind": "DATE" }), vec!["TOO_LONG input.label"]),
            (json!({ "name": "a", "label": null, "kind": null }), vec!["NULL_NOT_ALLOWED input.kind", "NULL_NOT_ALLOWED input.label"]),
        ];
        for (input, errors) in cases {
            assert_eq!(license_admin.payload_errors("defineAttribute", input.clone()).await, errors, "{input}");
        }
        for name in ["nothing", "A", "", "a\u{1}b"] {
            assert_eq!(license_admin.payload_errors("removeAttribute", json!({ "name": name })).await, ["NOT_FOUND input.name"], "{name:?}");
        }
    }

    async fn attribute_administrators_define_attributes_in_their_own_license(app: App) {
        let input = json!({ "name": "badge", "label": "Badge", "kind": "INTEGER" });
        let rights = AdminRightsInput { is_attributes_admin: Given(true), ..AdminRightsInput::default() };
        let flagged = app.user_with("Flagged", UserFields { admin_rights: Given(rights), ..UserFields::default() }).await;
        let definer = definer(&app).await;
        let created = definer.mutate("createApiKey", "secret", json!({ "name": "Nightly", "role": "ADMIN" })).await;
        let program = Caller { token: created["secret"].as_str().map(str::to_owned), ..definer.clone() };
        for caller in [&app.user().await, &app.admin().await, &flagged, &program] {
            assert_eq!(caller.mutation_error_code("defineAttribute", input.clone()).await, "FORBIDDEN");
            assert_eq!(caller.mutation_error_code("removeAttribute", json!({ "name": "badge" })).await, "FORBIDDEN");
        }
        let root = app.create("Root", app.other_license, UserFields {
            admin_rights: Given(AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() }), ..UserFields::default()
        }, Undefined).await;
        let root = app.sign_in(root).await;
        for caller in [&definer, &app.license_admin().await, &root] {
            assert_eq!(caller.mutate("defineAttribute", "", input.clone()).await["success"], json!(true));
        }
        let root_sees = root.data("{ attributeDefinitions { name } }", json!({})).await;
        assert_eq!(root_sees["attributeDefinitions"], json!([{ "name": "badge" }]), "the superuser sees only the attributes of their own license");
        for caller in [&definer, &root] {
            assert_eq!(caller.mutate("removeAttribute", DEFINITION, json!({ "name": "badge" })).await["definition"]["label"], json!("Badge"));
            assert_eq!(caller.payload_errors("removeAttribute", json!({ "name": "badge" })).await, ["NOT_FOUND input.name"]);
        }
    }

    async fn the_kind_of_an_attribute_with_values_cannot_change(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        define(&license_admin, "badge", "INTEGER", json!({})).await;
        give(&license_admin, &user.id(), item("badge", 7)).await;
        let other = json!({ "name": "badge", "kind": "STRING", "label": "" });
        assert_eq!(license_admin.payload_errors("defineAttribute", other).await, ["NOT_ALLOWED input.kind", "REQUIRED input.label"]);
        define(&license_admin, "badge", "INTEGER", json!({ "label": "The badge" })).await;
        give(&license_admin, &user.id(), item("badge", Value::Null)).await;
        define(&license_admin, "badge", "STRING", json!({})).await;
        assert_eq!(give(&license_admin, &user.id(), item("badge", "x")).await["attributes"], item("badge", "x"));
    }

    async fn concurrent_requests_cannot_exceed_100_attributes(app: App) {
        let license_admin = app.license_admin().await;
        defined(&app, (0..99).map(|n| format!("a{n}"))).await;
        let inputs = (0..8).map(|n| json!({ "name": format!("b{n}"), "label": "B", "kind": "DATE" }));
        let payloads = join_all(inputs.map(|input| license_admin.mutate("defineAttribute", "", input))).await;
        assert_eq!(payloads.iter().filter(|payload| payload["success"] == json!(true)).count(), 1);
        assert_eq!(payloads.iter().filter(|payload| payload_errors(payload) == ["NOT_ALLOWED input.name"]).count(), 7);
        let listed = license_admin.data("{ attributeDefinitions { name } }", json!({})).await;
        assert_eq!(listed["attributeDefinitions"].as_array().unwrap().len(), 100);
        define(&license_admin, "a7", "STRING", json!({ "label": "Still changed" })).await;
        license_admin.mutate("removeAttribute", "", json!({ "name": "a7" })).await;
        define(&license_admin, "b", "STRING", json!({})).await;
        let same = (0..6).map(|_| license_admin.mutate("removeAttribute", "", json!({ "name": "b" })));
        let removed = join_all(same).await;
        assert_eq!(removed.iter().filter(|payload| payload["success"] == json!(true)).count(), 1);
        let input = json!({ "name": "c", "label": "C", "kind": "DATE" });
        let twice = join_all((0..6).map(|_| license_admin.mutate("defineAttribute", "", input.clone()))).await;
        assert!(twice.iter().all(|payload| payload["success"] == json!(true)), "one request creates the attribute, the others change it");
    }

    async fn values_of_each_kind_are_validated(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        for (name, kind) in [("text", "STRING"), ("truth", "BOOLEAN"), ("day", "DATE"), ("number", "INTEGER")] {
            define(&license_admin, name, kind, json!({})).await;
        }
        let largest = 9_007_199_254_740_991_i64;
        let good = [
            ("text", json!("  Épinal "), json!("Épinal")), ("text", json!("é".repeat(1_000)), json!("é".repeat(1_000))),
            ("text", json!("\u{fdfa}".repeat(1_000)), json!("\u{fdfa}".repeat(1_000))), ("text", json!("false"), json!("false")),
            ("text", json!("'; DROP TABLE users; -- %_\\"), json!("'; DROP TABLE users; -- %_\\")), ("text", json!("e\u{301}"), json!("e\u{301}")),
            ("truth", json!(true), json!(true)), ("truth", json!(false), json!(false)),
            ("day", json!(" 1980-07-08"), json!("1980-07-08")), ("day", json!("2000-02-29"), json!("2000-02-29")), ("day", json!("0001-01-01"), json!("0001-01-01")), ("day", json!("9999-12-31"), json!("9999-12-31")),
            ("number", json!(0), json!(0)), ("number", json!(-7), json!(-7)), ("number", json!(largest), json!(largest)), ("number", json!(-largest), json!(-largest)),
        ];
        for (name, given, shown) in good {
            assert_eq!(give(&license_admin, &user.id(), item(name, given.clone())).await["attributes"].as_array().unwrap().iter()
                .find(|one| one["name"] == json!(name)).unwrap()["value"], shown, "{name} {given}");
        }
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        let bad = [
            ("text", json!(7), "INVALID"), ("text", json!(true), "INVALID"), ("text", json!(["a"]), "INVALID"), ("text", json!({ "a": 1 }), "INVALID"),
            ("text", json!("a\nb"), "INVALID"), ("text", json!("a\u{1}"), "INVALID"), ("text", json!("x".repeat(1_001)), "TOO_LONG"), ("text", deep, "INVALID"),
            ("truth", json!("true"), "INVALID"), ("truth", json!(1), "INVALID"), ("truth", json!([]), "INVALID"),
            ("day", json!("1980-02-30"), "INVALID"), ("day", json!("1980-7-8"), "INVALID"), ("day", json!("08.07.1980"), "INVALID"), ("day", json!("-999-01-01"), "INVALID"),
            ("day", json!("+999-01-01"), "INVALID"), ("day", json!("1980-07-08T00:00:00Z"), "INVALID"), ("day", json!(19_800_708), "INVALID"),
            ("number", json!("7"), "INVALID"), ("number", json!(7.5), "INVALID"), ("number", json!(7.0), "INVALID"), ("number", json!(largest + 1), "INVALID"),
            ("number", json!(-largest - 1), "INVALID"), ("number", json!(i64::MIN), "INVALID"), ("number", json!(u64::MAX), "INVALID"), ("number", json!(1e300), "INVALID"), ("number", json!(true), "INVALID"),
        ];
        for (name, given, code) in bad {
            let input = json!({ "id": user.id(), "attributes": item(name, given.clone()) });
            assert_eq!(license_admin.payload_errors("updateUser", input).await, [format!("{code} input.attributes.0.value")], "{name} {given}");
        }
        for (name, blank) in [("text", " \u{200b}"), ("text", "\u{301}"), ("text", "\u{2800}"), ("day", " ")] {
            let left = give(&license_admin, &user.id(), item(name, blank)).await;
            assert!(left["attributes"].as_array().unwrap().iter().all(|one| one["name"] != json!(name)), "blank text is treated as null");
        }
        let literal = format!("mutation {{ updateUser(input: {{ id: \"{}\", attributes: [{{ name: \"number\", value: 42 }}, {{ name: \"truth\", value: null }}] }}) {{ user {{ attributes {{ label value }} }} }} }}", user.id());
        assert_eq!(license_admin.data(&literal, json!({})).await["updateUser"]["user"]["attributes"], json!([{ "label": "number", "value": 42 }]));
    }

    async fn attribute_errors_are_reported_together_with_all_others(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        define(&license_admin, "badge", "INTEGER", json!({ "required": true })).await;
        define(&license_admin, "birthplace", "STRING", json!({ "required": true })).await;
        define(&license_admin, "nickname", "STRING", json!({})).await;
        let attributes = json!([
            { "name": "badge", "value": "x" }, { "name": "nothing", "value": 1 }, { "name": "nickname", "value": "a" }, { "name": "nickname", "value": "b" },
            { "name": "a\u{1}", "value": 1 }, { "name": "x".repeat(9_000), "value": 1 },
        ]);
        let input = new_user(json!({ "firstName": " ", "email": "nobody", "attributes": attributes }));
        assert_eq!(license_admin.payload_errors("createUser", input).await, [
            "INVALID input.attributes.0.value", "INVALID input.attributes.3.name", "INVALID input.email", "NOT_FOUND input.attributes.1.name",
            "NOT_FOUND input.attributes.4.name", "NOT_FOUND input.attributes.5.name", "REQUIRED input.attributes", "REQUIRED input.firstName",
        ]);
        let input = json!({ "id": user.id(), "nickname": "é".repeat(51), "attributes": [{ "name": "badge", "value": null }, { "name": "nickname" }, { "name": "Badge", "value": 1 }] });
        assert_eq!(license_admin.payload_errors("updateUser", input).await, [
            "NOT_FOUND input.attributes.2.name", "NULL_NOT_ALLOWED input.attributes.0.value", "REQUIRED input.attributes.1.value", "TOO_LONG input.nickname",
        ]);
        let many: Vec<Value> = (0..101).map(|n| json!({ "name": format!("a{n}"), "value": n })).collect();
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": user.id(), "attributes": many })).await, ["TOO_LONG input.attributes"]);
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": user.id(), "attributes": null })).await, ["NULL_NOT_ALLOWED input.attributes"]);
        assert_eq!(seen(&license_admin, &user.id()).await, json!([]));
        let all: Vec<Value> = (0..100).map(|n| json!({ "name": format!("a{n}"), "value": n })).collect();
        let payload = license_admin.mutate("createUser", "", new_user(json!({ "lastName": "", "attributes": all }))).await;
        assert_eq!(payload["errors"].as_array().unwrap().len(), 100, "at most 100 errors are returned");
    }

    async fn new_users_have_required_attributes(app: App) {
        let (license_admin, root) = (app.license_admin().await, app.superuser().await);
        let (old, other) = (app.user().await, app.other_license_user().await);
        define(&license_admin, "badge", "INTEGER", json!({ "required": true })).await;
        define(&license_admin, "birthplace", "STRING", json!({ "required": true })).await;
        for missing in [json!({}), json!({ "attributes": [] }), json!({ "attributes": item("birthplace", " ") })] {
            let payload = license_admin.mutate("createUser", "", new_user(missing)).await;
            assert_eq!(payload_errors(&payload), ["REQUIRED input.attributes", "REQUIRED input.attributes"]);
            let errors = payload["errors"].to_string();
            assert!(errors.contains("badge") && errors.contains("birthplace"), "{errors}");
        }
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "dryRun": true, "attributes": item("birthplace", "Cork") }))).await, ["REQUIRED input.attributes"]);
        let nulls = json!([{ "name": "badge", "value": null }, { "name": "birthplace", "value": null }]);
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "attributes": nulls }))).await,
            ["NULL_NOT_ALLOWED input.attributes.0.value", "NULL_NOT_ALLOWED input.attributes.1.value"]);
        assert_eq!(license_admin.payload_errors("createUser", new_user(json!({ "attributes": null }))).await,
            ["NULL_NOT_ALLOWED input.attributes", "REQUIRED input.attributes", "REQUIRED input.attributes"]);
        let both = json!([{ "name": "birthplace", "value": "Cork" }, { "name": "badge", "value": 7 }]);
        let created = license_admin.mutate("createUser", "user { id version attributes { name value } }", new_user(json!({ "attributes": both }))).await;
        assert_eq!(created["user"]["attributes"], json!([{ "name": "badge", "value": 7 }, { "name": "birthplace", "value": "Cork" }]), "attributes are sorted by name");
        assert_eq!(created["user"]["version"], json!(1));
        let id = created["user"]["id"].as_str().unwrap();
        for cleared in [item("birthplace", Value::Null), item("birthplace", " ")] {
            assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": id, "attributes": cleared })).await, ["NULL_NOT_ALLOWED input.attributes.0.value"]);
        }
        let changed = license_admin.mutate("updateUser", "", json!({ "id": old.id(), "nickname": "Old" })).await;
        assert_eq!(changed["success"], json!(true), "existing users can lack required attributes");
        let elsewhere = json!({ "id": other.id(), "attributes": item("badge", 1) });
        assert_eq!(root.payload_errors("updateUser", elsewhere).await, ["NOT_FOUND input.attributes.0.name"], "attributes belong to one license");
    }

    async fn all_users_see_visible_attributes_and_only_some_see_private_ones(app: App) {
        let (license_admin, admin, root) = (app.license_admin().await, app.admin().await, app.superuser().await);
        let (ada, bob, stranger) = (app.user().await, app.user().await, app.other_license_user().await);
        define(&license_admin, "open", "STRING", json!({})).await;
        define(&license_admin, "closed", "INTEGER", json!({ "userVisible": false })).await;
        give(&license_admin, &ada.id(), json!([{ "name": "open", "value": "a" }, { "name": "closed", "value": 1 }])).await;
        let (all, visible) = (json!([{ "name": "closed", "value": 1 }, { "name": "open", "value": "a" }]), json!([{ "name": "open", "value": "a" }]));
        for (caller, expected) in [(&ada, &all), (&admin, &all), (&license_admin, &all), (&root, &all), (&bob, &visible)] {
            assert_eq!(seen(caller, &ada.id()).await, *expected);
        }
        let data = stranger.data("query ($id: ID!) { user(by: { id: $id }) { attributes { value } } }", json!({ "id": ada.id() })).await;
        assert_eq!(data["user"], Value::Null);
        let created = admin.mutate("createApiKey", "secret", json!({ "name": "Nightly", "role": "USER" })).await;
        let program = Caller { token: created["secret"].as_str().map(str::to_owned), ..admin.clone() };
        assert_eq!(seen(&program, &ada.id()).await, visible, "an API key has the rank of its role");
        define(&license_admin, "open", "STRING", json!({ "userVisible": false })).await;
        assert_eq!(seen(&bob, &ada.id()).await, json!([]));

        let query = "query ($id: ID!) { auditEvents(filter: { subject: $id, action: [USER_UPDATED] }) { nodes { changes { field before after } } } }";
        let changes = json!([{ "field": "attributes.open", "before": null, "after": "a" }, { "field": "attributes.closed", "before": null, "after": 1 }]);
        for caller in [&ada, &admin, &root] {
            assert_eq!(caller.data(query, json!({ "id": ada.id() })).await["auditEvents"]["nodes"][0]["changes"], changes);
        }
        let data = license_admin.data("{ auditEvents(filter: { action: [ATTRIBUTE_DEFINED, ATTRIBUTE_CHANGED] }) { nodes { action subject { ... on AttributeDefinition { name } } changes { field before after } } } }", json!({})).await;
        assert_eq!(data["auditEvents"]["nodes"][0], json!({ "action": "ATTRIBUTE_CHANGED", "subject": { "name": "open" }, "changes": [{ "field": "userVisible", "before": true, "after": false }] }));
        assert_eq!(data["auditEvents"]["nodes"].as_array().unwrap().len(), 3);
    }

    async fn users_change_their_own_editable_attributes(app: App) {
        let (license_admin, admin, ada, bob) = (app.license_admin().await, app.admin().await, app.user().await, app.user().await);
        define(&license_admin, "mine", "STRING", json!({ "userEditable": true, "userVisible": false })).await;
        define(&license_admin, "theirs", "STRING", json!({})).await;
        assert_eq!(give(&ada, &ada.id(), item("mine", "a")).await["attributes"], item("mine", "a"));
        let query = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success } }";
        let both = json!([{ "name": "mine", "value": "b" }, { "name": "theirs", "value": null }]);
        let response = ada.execute(query, json!({ "input": { "id": ada.id(), "role": "ADMIN", "attributes": both } })).await;
        assert_eq!(response["errors"][0]["extensions"]["code"], json!("FORBIDDEN"), "{response:#}");
        let message = response["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("role, attributes.theirs") && !message.contains("mine"), "{message}");
        assert_eq!(ada.payload_errors("updateUser", json!({ "id": ada.id(), "attributes": item("nothing", 1) })).await, ["NOT_FOUND input.attributes.0.name"]);
        assert_eq!(ada.mutation_error_code("updateUser", json!({ "id": bob.id(), "attributes": item("mine", "x") })).await, "FORBIDDEN");
        assert_eq!(admin.mutation_error_code("updateUser", json!({ "id": license_admin.id(), "attributes": item("mine", "x") })).await, "FORBIDDEN");
        for (by, to) in [(&admin, &ada), (&admin, &admin), (&license_admin, &admin)] {
            give(by, &to.id(), item("theirs", "x")).await;
        }
        let created = admin.mutate("createApiKey", "secret", json!({ "name": "Nightly", "role": "USER" })).await;
        let program = Caller { token: created["secret"].as_str().map(str::to_owned), ..admin.clone() };
        give(&program, &admin.id(), item("mine", "by a program")).await;
        assert_eq!(program.mutation_error_code("updateUser", json!({ "id": admin.id(), "attributes": item("theirs", "x") })).await, "FORBIDDEN");
    }

    async fn attribute_changes_count_as_changes_of_the_user(app: App) {
        let (license_admin, ada) = (app.license_admin().await, app.user().await);
        define(&license_admin, "badge", "INTEGER", json!({})).await;
        define(&license_admin, "vip", "BOOLEAN", json!({})).await;
        let before = user::Entity::find_by_id(ada.id).one(app.db.read()).await.unwrap().unwrap();
        let count = events(&app).await;
        let input = json!({ "id": ada.id(), "nickname": "A", "expectedVersion": 1, "attributes": [{ "name": "badge", "value": 7 }, { "name": "vip", "value": false }] });
        let selection = "user { version attributes { name value } }";
        let changed = license_admin.mutate("updateUser", selection, input).await;
        assert_eq!(changed["user"]["version"], json!(2), "{changed:#}");
        assert_eq!(events(&app).await, count + 1, "one update writes one event");
        assert_eq!(last_changes(&app).await, json!([{ "field": "nickname", "after": "A" }, { "field": "attributes.badge", "after": 7 }, { "field": "attributes.vip", "after": false }]));
        let after = user::Entity::find_by_id(ada.id).one(app.db.read()).await.unwrap().unwrap();
        assert!(after.modified_at > before.modified_at);

        let stale = license_admin.mutate("updateUser", selection, json!({ "id": ada.id(), "expectedVersion": 1, "attributes": item("badge", 8) })).await;
        assert_eq!((payload_errors(&stale), &stale["user"]), (vec!["CONFLICT input.expectedVersion".to_owned()], &changed["user"]));
        let tried = license_admin.mutate("updateUser", selection, json!({ "id": ada.id(), "dryRun": true, "attributes": item("badge", 8) })).await;
        assert_eq!((&tried["success"], &tried["user"]), (&json!(true), &changed["user"]));
        for same in [item("badge", 7), json!([]), item("vip", false)] {
            assert_eq!(give(&license_admin, &ada.id(), same).await, changed["user"]);
        }
        define(&license_admin, "empty", "DATE", json!({})).await;
        assert_eq!(give(&license_admin, &ada.id(), item("empty", Value::Null)).await, changed["user"], "clearing a missing value changes nothing");
        assert_eq!(events(&app).await, count + 2, "only the definition wrote another event");

        let left = give(&license_admin, &ada.id(), json!([{ "name": "badge", "value": null }, { "name": "vip", "value": true }])).await;
        assert_eq!(left, json!({ "version": 3, "attributes": [{ "name": "vip", "value": true }] }));
        assert_eq!(last_changes(&app).await, json!([{ "field": "attributes.badge", "before": 7 }, { "field": "attributes.vip", "before": false, "after": true }]));
        let twenty = (0..20).map(|n| license_admin.mutate("updateUser", "", json!({ "id": ada.id(), "expectedVersion": 3, "attributes": item("badge", n) })));
        let won = join_all(twenty).await.iter().filter(|payload| payload["success"] == json!(true)).count();
        assert_eq!(won, 1);
    }

    async fn administrators_filter_users_by_attribute(app: App) {
        let (license_admin, ada, bob) = (app.license_admin().await, app.user().await, app.user().await);
        let stranger = app.other_license_user().await;
        define(&license_admin, "badge", "INTEGER", json!({})).await;
        define(&license_admin, "birthplace", "STRING", json!({ "userVisible": false })).await;
        define(&license_admin, "since", "DATE", json!({})).await;
        define(&license_admin, "vip", "BOOLEAN", json!({})).await;
        let of_ada = json!([{ "name": "badge", "value": 7 }, { "name": "birthplace", "value": "Épinal" }, { "name": "vip", "value": true }]);
        give(&license_admin, &ada.id(), of_ada).await;
        give(&license_admin, &bob.id(), json!([{ "name": "badge", "value": 70 }, { "name": "since", "value": "2020-02-29" }])).await;
        let query = "query ($filter: UserFilter) { users(filter: $filter) { totalCount nodes { id } } }";
        let found = async |filter: Value| {
            let data = license_admin.data(query, json!({ "filter": filter })).await;
            let nodes = data["users"]["nodes"].as_array().unwrap();
            nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let is = |name: &str, value: Value| json!({ "attribute": { "name": name, "value": value } });
        for (filter, expected) in [
            (is("badge", json!(7)), vec![ada.id()]),
            (is("birthplace", json!(" EPINAL ")), vec![ada.id()]),
            (is("birthplace", json!("Epina")), vec![]),
            (is("since", json!("2020-02-29")), vec![bob.id()]),
            (is("vip", json!(true)), vec![ada.id()]),
            (is("vip", json!(false)), vec![]),
            (json!({ "or": [is("badge", json!(70)), is("badge", json!(7))], "not": is("vip", json!(true)) }), vec![bob.id()]),
            (json!({ "and": [is("vip", Value::Null), { "not": is("badge", Value::Null) }] }), vec![bob.id()]),
        ] {
            assert_eq!(found(filter.clone()).await, expected, "{filter}");
        }
        for (filter, message) in [
            (is("nothing", json!(1)), "filter.attribute.name: there is no such attribute."),
            (is("badge", json!("7")), "filter.attribute.value: Must be an integer from -9007199254740991 to 9007199254740991."),
            (json!({ "not": { "attribute": { "name": "badge" } } }), "filter.not.attribute.value: must be a value or null."),
        ] {
            let response = license_admin.execute(query, json!({ "filter": filter })).await;
            assert_eq!(response["errors"][0]["message"], json!(message));
        }
        assert_eq!(ada.error_code(query, json!({ "filter": is("badge", json!(7)) })).await, "FORBIDDEN");
        assert_eq!(ada.error_code(query, json!({ "filter": { "or": [{ "not": is("vip", json!(true)) }] } })).await, "FORBIDDEN");
        assert_eq!(stranger.error_code(query, json!({ "filter": is("badge", json!(7)) })).await, "FORBIDDEN");
    }

    async fn removing_an_attribute_removes_its_values(app: App) {
        let (license_admin, ada, bob) = (app.license_admin().await, app.user().await, app.user().await);
        for name in ["badge", "floor"] {
            define(&license_admin, name, "INTEGER", json!({ "required": true })).await;
        }
        give(&license_admin, &ada.id(), json!([{ "name": "badge", "value": 7 }, { "name": "floor", "value": 3 }])).await;
        give(&license_admin, &bob.id(), item("floor", 4)).await;
        let count = events(&app).await;
        license_admin.mutate("removeAttribute", "", json!({ "name": "badge" })).await;
        assert_eq!(events(&app).await, count + 1);
        assert_eq!(seen(&ada, &ada.id()).await, item("floor", 3));
        let query = "query ($id: ID!) { user(by: { id: $id }) { version } }";
        for (caller, version) in [(&ada, 2), (&bob, 2)] {
            assert_eq!(license_admin.data(query, json!({ "id": caller.id() })).await["user"]["version"], json!(version));
        }
        define(&license_admin, "badge", "STRING", json!({})).await;
        assert_eq!(seen(&ada, &ada.id()).await, item("floor", 3), "a new attribute of the same name has no old values");
        let payload = license_admin.mutate("deleteUser", "", json!({ "id": bob.id() })).await;
        assert_eq!(payload["success"], json!(true));
        assert_eq!(attribute_value::Entity::find().count(app.db.read()).await.unwrap(), 1, "deleting a user deletes their values");
    }

    async fn values_written_while_an_attribute_changes_match_its_kind(app: App) {
        let (license_admin, ada) = (app.license_admin().await, app.user().await);
        let users: Vec<Caller<'_>> = join_all((0..3).map(|_| app.user())).await;
        for round in 0..12 {
            let kind = if round % 2 == 0 { "INTEGER" } else { "STRING" };
            define(&license_admin, "badge", if round % 2 == 0 { "STRING" } else { "INTEGER" }, json!({})).await;
            let updates = users.iter().enumerate().map(|(n, user)| {
                let value = if n % 2 == 0 { json!("x") } else { json!(7) };
                license_admin.mutate("updateUser", "", json!({ "id": user.id(), "attributes": item("badge", value) }))
            });
            let creation = license_admin.mutate("createUser", "", new_user(json!({ "attributes": item("badge", "x") })));
            let change = license_admin.mutate("defineAttribute", "", json!({ "name": "badge", "kind": kind }));
            let remove = async {
                if round % 3 == 2 {
                    license_admin.mutate("removeAttribute", "", json!({ "name": "badge" })).await;
                }
            };
            let mine = license_admin.mutate("updateUser", "", json!({ "id": ada.id(), "nickname": format!("N{round}") }));
            tokio::join!(join_all(updates), creation, change, remove, mine);
            let definitions = attribute_values::definitions(app.db.read(), app.license).await.unwrap();
            let values = attribute_value::Entity::find().all(app.db.read()).await.unwrap();
            for value in values {
                let kind = definitions["badge"].kind;
                assert_eq!(kind.canonical(&kind.shown(&value.value)).ok().flatten(), Some(value.value), "{kind:?}");
            }
            license_admin.mutate("removeAttribute", "", json!({ "name": "badge" })).await;
        }
    }

    async fn the_attributes_of_a_page_are_loaded_with_one_statement(app: App) {
        let users = crowd::store(&app, (0..60).map(|n| crowd::model(app.license, "Ann", &format!("Aa {n:03}"))).collect()).await;
        defined(&app, (0..40).map(|n| format!("a{n:02}"))).await;
        crowd::attributes(&app, &users, app.license, "Cork").await;
        let user = app.user().await;
        let cost = async |first: usize, more: &str| {
            let before = app.db.statements();
            let data = user.data(&format!("{{ users(first: {first}) {{ nodes {{ id {more} }} }} }}"), json!({})).await;
            (app.db.statements() - before, data["users"]["nodes"].clone())
        };
        for first in [1, 50] {
            let (statements, nodes) = cost(first, "attributes { name label value }").await;
            assert_eq!(statements, cost(first, "").await.0 + 1);
            let names = |node: &Value| node["attributes"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
            assert!(nodes.as_array().unwrap().iter().all(|node| names(node).len() == 40 && names(node).is_sorted_by_key(ToString::to_string)));
        }
    }

    async fn the_number_of_attributes_in_a_response_is_limited(app: App) {
        let users = crowd::store(&app, (0..100).map(|n| crowd::model(app.license, "Ann", &format!("Aa {n:03}"))).collect()).await;
        defined(&app, (0..100).map(|n| format!("a{n:02}"))).await;
        crowd::attributes(&app, &users, app.license, "Cork").await;
        let user = app.user().await;
        let query = |times: usize| {
            let pages = (0..times).map(|n| format!("p{n}: users(first: 100) {{ nodes {{ attributes {{ value }} }} }}"));
            format!("{{ {} }}", pages.collect::<Vec<_>>().join(" "))
        };
        user.data(&query(2), json!({})).await;
        assert_eq!(user.error_code(&query(3), json!({})).await, "BAD_USER_INPUT");
    }

    async fn users_are_found_by_attribute_value(app: App) {
        let (license_admin, ada, bob) = (app.license_admin().await, app.user().await, app.user().await);
        define(&license_admin, "birthplace", "STRING", json!({})).await;
        define(&license_admin, "badge", "INTEGER", json!({ "userVisible": false })).await;
        give(&license_admin, &ada.id(), json!([{ "name": "birthplace", "value": "Épinal" }, { "name": "badge", "value": 7 }])).await;
        give(&license_admin, &bob.id(), item("birthplace", "é".repeat(1_000))).await;
        let definitions = attribute_values::definitions(app.db.read(), app.license).await.unwrap();
        let found = async |name: &str, value: Value| {
            let condition = attribute_values::equals(&definitions[name], &value).ok().unwrap();
            let found = user::Entity::find().filter(condition).all(app.db.read()).await.unwrap();
            found.into_iter().map(|user| user.id).collect::<Vec<Id>>()
        };
        assert_eq!(found("birthplace", json!(" EPINAL ")).await, [ada.id]);
        assert_eq!(found("birthplace", json!("E".repeat(1_000))).await, [bob.id]);
        assert_eq!(found("birthplace", json!("e".repeat(999))).await, []);
        assert_eq!(found("badge", json!(7)).await, [ada.id]);
        assert_eq!(found("badge", json!(70)).await, []);
        let user_count = user::Entity::find().count(app.db.read()).await.unwrap();
        assert_eq!(found("badge", Value::Null).await.len() as u64, user_count - 1, "null finds users without a value");
        assert!(attribute_values::equals(&definitions["badge"], &json!("7")).is_err());
    }
}

/// An import file with the given users.
fn file(users: &[Value]) -> String {
    users.iter().map(|user| json!({ "user": user }).to_string() + "\n").collect()
}

in_every_sandbox! {
    async fn imported_attributes_follow_the_same_rules(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let define = "mutation ($input: DefineAttributeInput!) { defineAttribute(input: $input) { success } }";
        for (name, kind, required) in [("badge", "INTEGER", true), ("birthplace", "STRING", false)] {
            let input = json!({ "name": name, "label": name, "kind": kind, "required": required });
            root.data(define, json!({ "input": input })).await;
        }
        let import = async |text: String| {
            std::fs::write(sandbox.path("people.ndjson"), text).unwrap();
            sandbox.run(&["import", "people.ndjson"]).await
        };
        let user = |n: usize, attributes: Value| json!({ "firstName": "A", "lastName": "B", "username": format!("a{n}"), "externalId": format!("P-{n}"), "attributes": attributes });
        let good = file(&[user(1, json!({ "badge": 7, "birthplace": " Cork " })), user(2, json!({ "badge": 8, "birthplace": null })), user(3, json!({ "badge": 9, "birthplace": " " }))]);
        assert_eq!(import(good.clone()).await.out.trim(), "3 were created, 0 changed, 0 unchanged.");
        assert_eq!(import(good.clone()).await.out.trim(), "0 were created, 0 changed, 3 unchanged.");
        let query = "{ a: user(by: { externalId: \"P-1\" }) { version attributes { name value } } b: user(by: { externalId: \"P-2\" }) { version attributes { name value } } }";
        assert_eq!(root.data(query, json!({})).await, json!({
            "a": { "version": 1, "attributes": [{ "name": "badge", "value": 7 }, { "name": "birthplace", "value": "Cork" }] },
            "b": { "version": 1, "attributes": [{ "name": "badge", "value": 8 }] },
        }));
        let changed = file(&[
            json!({ "externalId": "P-1", "attributes": { "birthplace": null } }), json!({ "externalId": "P-2", "attributes": { "birthplace": "Épinal" } }),
            json!({ "externalId": "P-3", "position": "Nurse" }),
        ]);
        assert_eq!(import(changed.clone()).await.out.trim(), "0 were created, 3 changed, 0 unchanged.");
        assert_eq!(import(changed).await.out.trim(), "0 were created, 0 changed, 3 unchanged.");
        assert_eq!(root.data(query, json!({})).await, json!({
            "a": { "version": 2, "attributes": [{ "name": "badge", "value": 7 }] },
            "b": { "version": 2, "attributes": [{ "name": "badge", "value": 8 }, { "name": "birthplace", "value": "Épinal" }] },
        }));
        let trail = "query { auditEvents(filter: { action: [USER_UPDATED] }) { nodes { changes { field before after } } } }";
        let nodes = root.data(trail, json!({})).await["auditEvents"]["nodes"].clone();
        assert_eq!(nodes[2]["changes"], json!([{ "field": "attributes.birthplace", "before": "Cork", "after": null }]));

        let bad = file(&[
            user(4, json!({})), user(5, json!({ "badge": "x", "shoe": 7 })), json!({ "externalId": "P-1", "attributes": { "badge": null } }),
            user(6, json!({ "badge": null })), user(7, json!(["badge"])), user(8, json!({ "badge": 1, "birthplace": "x".repeat(1_001) })),
        ]);
        let failed = import(bad).await;
        assert_eq!(failed.code, 1);
        let found: Vec<&str> = failed.err.lines().filter(|line| line.starts_with("line ")).collect();
        let expected = ["line 1: attributes: The attribute badge", "line 2: attributes.shoe: There is no", "line 2: attributes.badge: Must be an integer",
            "line 4: attributes: The attribute badge", "line 5: attributes: ", "line 6: attributes.birthplace: Must be at most"];
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{found:#?}");
        assert_eq!(import(good).await.out.trim(), "0 were created, 2 changed, 1 unchanged.");
    }
}
