//! External references: the ids of users, groups and institutions in other systems, each with its source.

use async_graphql::MaybeUndefined::Undefined;
use roster::entity::external_reference::{self, ExternalReference};
use roster::entity::user::{self, UserFields};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use crate::app::{App, Caller, payload_errors};
use crate::audit;
use crate::process::{ADMIN, CommandOutput, Sandbox};

const SELECTION: &str = "user { id version externalId externalReferences { source id } }";

async fn create(caller: &Caller<'_>, username: &str, references: Value) -> Value {
    let input =
        json!({ "firstName": "Ann", "lastName": "Oak", "username": username, "externalReferences": references });
    let payload = caller.mutate("createUser", SELECTION, input).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

async fn update(caller: &Caller<'_>, id: &Value, references: Value) -> Value {
    let payload = caller.mutate("updateUser", SELECTION, json!({ "id": id, "externalReferences": references })).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

fn reference(source: &str, id: &str) -> Value {
    json!({ "source": source, "id": id })
}

async fn import(sandbox: &Sandbox, file: &str, options: &[&str]) -> CommandOutput {
    std::fs::write(sandbox.path("people.csv"), file).unwrap();
    sandbox.run(&[&["import", "people.csv"][..], options].concat()).await
}

/// Every user, as the first name with the external references.
async fn users(sandbox: &Sandbox) -> Vec<String> {
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    let text = |user: &user::Model| {
        let references = external_reference::list(user.external_references.as_ref());
        let references: Vec<String> = references.iter().map(ExternalReference::text).collect();
        format!("{} {}", user.first_name, references.join(" "))
    };
    let mut texts: Vec<String> = users.iter().map(text).collect();
    texts.sort();
    texts
}

on_every_database! {
    async fn references_are_set_changed_and_removed_by_source(app: App) {
        let license_admin = app.license_admin().await;
        let query = "query ($after: String) { changes(after: $after) { position changes { changedFields } } }";
        let ann = create(&license_admin, "ann", json!([reference("most", " 1 "), reference("hr", "0017")])).await;
        assert_eq!(ann["externalReferences"], json!([reference("hr", "0017"), reference("most", "1")]));
        let after = license_admin.data(query, json!({})).await["changes"]["position"].clone();
        let updated = update(&license_admin, &ann["id"], json!([reference("hr", "18"), reference("ufdl", "1")])).await;
        assert_eq!(updated["externalReferences"], json!([reference("hr", "18"), reference("most", "1"), reference("ufdl", "1")]));
        assert_eq!(updated["version"], json!(2));
        let fewer = update(&license_admin, &ann["id"], json!([{ "source": "hr", "id": null }])).await;
        assert_eq!(fewer["externalReferences"], json!([reference("most", "1"), reference("ufdl", "1")]));
        let changes = license_admin.data(query, json!({ "after": after })).await["changes"]["changes"].clone();
        assert_eq!(changes, json!([{ "changedFields": ["externalReferences"] }, { "changedFields": ["externalReferences"] }]));
        // Nothing changes.
        assert_eq!(update(&license_admin, &ann["id"], json!([reference("most", "1")])).await["version"], json!(3));
        assert_eq!(update(&license_admin, &ann["id"], json!([])).await["externalReferences"], json!([]));
        let again = update(&license_admin, &ann["id"], json!([reference("most", "1")])).await;
        assert_eq!(update(&license_admin, &again["id"], Value::Null).await["externalReferences"], json!([]));
        assert_eq!(again["externalId"], Value::Null, "the id of the default source is another field");
        let trail = audit::trail(&app.db).await;
        let changes: Value = serde_json::from_str(trail.last().unwrap().changes.as_deref().unwrap()).unwrap();
        assert_eq!(changes, json!([{ "field": "externalReferences", "before": [reference("most", "1")] }]));
    }

    async fn a_reference_belongs_to_one_user_of_a_license(app: App) {
        let license_admin = app.license_admin().await;
        create(&license_admin, "ann", json!([reference("most", "1")])).await;
        let bo = create(&license_admin, "bo", json!([reference("ufdl", "1"), reference("Most", "1"), reference("most", "01")])).await;
        let taken = ["TAKEN input.externalReferences"];
        let input = json!({ "firstName": "Cy", "lastName": "Elm", "username": "cy", "externalReferences": [reference("most", "1")] });
        assert_eq!(license_admin.payload_errors("createUser", input.clone()).await, taken);
        for dry_run in [true, false] {
            let input = json!({ "id": bo["id"], "externalReferences": [reference("most", "1")], "dryRun": dry_run });
            assert_eq!(license_admin.payload_errors("updateUser", input).await, taken);
        }
        let with_others = json!({ "id": bo["id"], "firstName": " ", "externalReferences": [reference("most", "1")] });
        assert_eq!(license_admin.payload_errors("updateUser", with_others).await, ["REQUIRED input.firstName", taken[0]]);
        // Another license has references of its own.
        let there = app.create("Root", app.other_license, UserFields::default(), Undefined).await;
        let root = app.superuser().await;
        update(&root, &json!(there.id.0), json!([reference("most", "1")])).await;
    }

    async fn invalid_references_are_rejected(app: App) {
        let license_admin = app.license_admin().await;
        let many: Vec<Value> = (0..21).map(|n| reference(&format!("s{n}"), "1")).collect();
        for references in [
            json!([reference("a:b", "1")]), json!([reference("a;b", "1")]), json!([reference(" ", "1")]), json!([{ "source": "hr" }]),
            json!([reference("hr", "1"), reference(" hr", "2")]), json!([reference("hr", "a\nb")]), json!(many),
        ] {
            let input = json!({ "firstName": "Ann", "lastName": "Oak", "username": "ann", "externalReferences": references });
            assert_eq!(license_admin.payload_errors("createUser", input).await, ["INVALID input.externalReferences"], "{references}");
        }
        for (source, id) in [("x".repeat(51), "1".to_owned()), ("hr".to_owned(), "x".repeat(251))] {
            let input = json!({ "firstName": "Ann", "lastName": "Oak", "username": "ann", "externalReferences": [reference(&source, &id)] });
            assert_eq!(license_admin.payload_errors("createUser", input).await, ["TOO_LONG input.externalReferences"]);
        }
    }

    async fn administrators_find_users_by_their_references(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        let ann = create(&license_admin, "ann", json!([reference("most", "1")])).await;
        let bo = create(&license_admin, "bo", json!([reference("ufdl", "1"), reference("most", "2")])).await;
        let by = "query ($by: UserBy!) { user(by: $by) { id } }";
        let variables = json!({ "by": { "externalReference": reference(" most", "1 ") } });
        assert_eq!(license_admin.data(by, variables.clone()).await["user"]["id"], ann["id"]);
        assert_eq!(user.error_code(by, variables.clone()).await, "FORBIDDEN");
        assert_eq!(app.superuser().await.data(by, variables).await["user"]["id"], ann["id"]);
        let unknown = json!({ "by": { "externalReference": reference("hr", "1") } });
        assert_eq!(license_admin.data(by, unknown).await["user"], Value::Null);

        let resolve = "query ($keys: [String!]!, $source: String) { resolveUsers(keys: $keys, source: $source) { status user { id } } }";
        let variables = json!({ "keys": ["2", " 1", "3", "ann", ann["id"]], "source": "most" });
        let found = license_admin.data(resolve, variables.clone()).await["resolveUsers"].clone();
        let statuses: Vec<&Value> = found.as_array().unwrap().iter().map(|found| &found["status"]).collect();
        assert_eq!(statuses, ["MATCHED", "MATCHED", "MISSING", "MISSING", "MISSING"]);
        assert_eq!((&found[0]["user"]["id"], &found[1]["user"]["id"]), (&bo["id"], &ann["id"]));
        assert_eq!(user.error_code(resolve, variables).await, "FORBIDDEN");
        assert_eq!(license_admin.data(resolve, json!({ "keys": [], "source": "most" })).await["resolveUsers"], json!([]));

        let list = "query ($f: UserFilter) { users(filter: $f) { nodes { id } } }";
        for (filter, ids) in [
            (json!({ "source": "most", "id": "2" }), json!([{ "id": bo["id"] }])),
            (json!({ "source": "ufdl" }), json!([{ "id": bo["id"] }])),
            (json!({ "source": "hr" }), json!([])),
        ] {
            let variables = json!({ "f": { "externalReference": filter } });
            assert_eq!(license_admin.data(list, variables.clone()).await["users"]["nodes"], ids);
            assert_eq!(user.error_code(list, variables).await, "FORBIDDEN");
        }
        let long = "x".repeat(251);
        for filter in [json!({ "source": long }), json!({ "source": "hr", "id": long })] {
            let variables = json!({ "f": { "externalReference": filter } });
            assert_eq!(license_admin.error_code(list, variables).await, "BAD_USER_INPUT");
        }
        let variables = json!({ "keys": ["1"], "source": long });
        assert_eq!(license_admin.error_code(resolve, variables).await, "BAD_USER_INPUT");
    }

    async fn references_are_private_and_set_by_administrators(app: App) {
        let (license_admin, user, other) = (app.license_admin().await, app.user().await, app.user().await);
        update(&license_admin, &json!(user.id()), json!([reference("most", "1")])).await;
        let query = "query ($id: ID!) { user(by: { id: $id }) { externalReferences { source id } } }";
        let own = user.data(query, json!({ "id": user.id() })).await["user"]["externalReferences"].clone();
        assert_eq!(own, json!([reference("most", "1")]));
        let seen = other.data(query, json!({ "id": user.id() })).await["user"]["externalReferences"].clone();
        assert_eq!(seen, Value::Null);
        let input = json!({ "id": user.id(), "externalReferences": [reference("most", "2")] });
        assert_eq!(user.mutation_error_code("updateUser", input).await, "FORBIDDEN");
        let export = user.mutate("exportUser", "export", json!({ "id": user.id() })).await["export"].clone();
        assert_eq!(export["user"]["externalReferences"], json!([reference("most", "1")]));
    }

    async fn institutions_and_groups_have_references(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        let selection = "institution { id externalReferences { source id } }";
        let institution = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU", "externalReferences": [reference("most", "1")] });
        let created = license_admin.mutate("createInstitution", selection, institution.clone()).await;
        assert_eq!(created["institution"]["externalReferences"], json!([reference("most", "1")]), "{created:#}");
        let taken = ["TAKEN input.externalReferences"];
        assert_eq!(license_admin.payload_errors("createInstitution", institution).await, taken);
        let other = json!({ "name": "Home", "kind": "HOSPITAL", "country": "AU", "externalId": "1" });
        let other = license_admin.mutate("createInstitution", selection, other).await["institution"]["id"].clone();
        for dry_run in [true, false] {
            let input = json!({ "id": other, "externalReferences": [reference("most", "1")], "dryRun": dry_run });
            assert_eq!(license_admin.payload_errors("updateInstitution", input).await, taken);
        }

        let selection = "group { id externalReferences { source id } }";
        let group = json!({ "name": "Ward", "externalReferences": [reference("most", "1")] });
        assert_eq!(user.mutation_error_code("createGroup", group.clone()).await, "FORBIDDEN");
        let created = license_admin.mutate("createGroup", selection, group.clone()).await;
        assert_eq!(created["group"]["externalReferences"], json!([reference("most", "1")]), "{created:#}");
        assert_eq!(license_admin.payload_errors("createGroup", group).await, taken);
        let unnamed = json!({ "name": " ", "externalReferences": [reference("most", "1")] });
        assert_eq!(license_admin.payload_errors("createGroup", unnamed).await, ["REQUIRED input.name", taken[0]]);
        let own = user.mutate("createGroup", selection, json!({ "name": "Choir" })).await["group"]["id"].clone();
        for dry_run in [true, false] {
            let input = json!({ "id": own, "externalReferences": [reference("most", "1")], "dryRun": dry_run });
            assert_eq!(user.mutation_error_code("updateGroup", input.clone()).await, "FORBIDDEN");
            assert_eq!(license_admin.payload_errors("updateGroup", input).await, taken);
        }
        // A reference is free again after its object is deleted.
        license_admin.mutate("deleteGroup", "", json!({ "id": created["group"]["id"] })).await;
        let input = json!({ "id": own, "externalReferences": [reference("most", "1")] });
        assert_eq!(license_admin.mutate("updateGroup", "", input).await["success"], json!(true));
    }

    async fn rows_of_a_request_are_matched_by_reference(app: App) {
        let license_admin = app.license_admin().await;
        let by_hand = create(&license_admin, "ann", json!([])).await;
        let row = |source: &str, id: &str, username: &str| {
            json!({ "firstName": "Ann", "lastName": "Oak", "username": username, "externalReferences": [reference(source, id)] })
        };
        let selection = "results { outcome user { id externalReferences { source id } } errors { code path message } }";
        let import = async |rows: Value| license_admin.mutate("importUsers", selection, json!({ "rows": rows, "onError": "SKIP" })).await["results"].clone();
        // Adopted by the username, once for each source.
        let adopted = import(json!([row("most", "1", "ann")])).await;
        assert_eq!((&adopted[0]["outcome"], &adopted[0]["user"]["id"]), (&json!("UPDATED"), &by_hand["id"]), "{adopted:#}");
        let second = import(json!([row("ufdl", "1", "ann")])).await;
        assert_eq!(second[0]["user"]["externalReferences"], json!([reference("most", "1"), reference("ufdl", "1")]), "{second:#}");
        let refused = import(json!([row("most", "2", "ann")])).await;
        assert_eq!((&refused[0]["outcome"], payload_errors(&refused[0])), (&json!("REFUSED"), vec!["TAKEN input.rows.0.username".to_owned()]), "{refused:#}");
        // A match needs no login.
        let renamed = import(json!([{ "lastName": "Elm", "externalReferences": [reference("ufdl", "1")] }])).await;
        assert_eq!((&renamed[0]["outcome"], &renamed[0]["user"]["id"]), (&json!("UPDATED"), &by_hand["id"]));
        let rows = json!([row("hr", "7", "bo"), row("hr", "7", "cy")]);
        let twice = import(rows).await;
        assert_eq!((&twice[0]["outcome"], &twice[1]["outcome"]), (&json!("CREATED"), &json!("REFUSED")));
        assert_eq!(payload_errors(&twice[1]), ["TAKEN input.rows.1.externalReferences"], "{twice:#}");
    }
}

in_every_sandbox! {
    async fn two_systems_may_use_the_same_ids_for_different_users(sandbox: Sandbox) {
        let file = "externalId,firstName,lastName,email\n1,Ann,Oak,ann@example.org\n";
        assert_eq!(import(&sandbox, file, &["--source", "most"]).await.out.trim(), "1 was created, 0 changed, 0 unchanged.");
        let other = file.replace("Ann", "Bo").replace("ann@", "bo@");
        assert_eq!(import(&sandbox, &other, &["--source", "ufdl"]).await.out.trim(), "1 was created, 0 changed, 0 unchanged.");
        assert_eq!(import(&sandbox, file, &["--source", "most"]).await.out.trim(), "0 were created, 0 changed, 1 unchanged.");
        assert_eq!(users(&sandbox).await, ["Ann most:1", "Bo ufdl:1"]);
        // Both systems may have the same user.
        let same = file.replace("1,Ann", "8,Ann");
        assert_eq!(import(&sandbox, &same, &["--source", "ufdl"]).await.out.trim(), "0 were created, 1 changed, 0 unchanged.");
        assert_eq!(users(&sandbox).await, ["Ann most:1 ufdl:8", "Bo ufdl:1"]);
        let wrong = import(&sandbox, &file.replace("Ann", "Cy").replace("ann@", "cy@"), &["--source", "most"]).await;
        assert_eq!(wrong.out.trim(), "0 were created, 1 changed, 0 unchanged.", "without usernames, an address may change: {wrong:?}");
    }

    async fn references_in_a_file_are_listed_in_one_column(sandbox: Sandbox) {
        let file = "external_references,firstName,lastName,email\nmost:1;hr:0:7,Ann,Oak,ann@example.org\n,Bo,Elm,bo@example.org\n";
        assert_eq!(import(&sandbox, file, &[]).await.out.trim(), "2 were created, 0 changed, 0 unchanged.");
        assert_eq!(users(&sandbox).await, ["Ann hr:0:7 most:1", "Bo "]);
        let csv = sandbox.run(&["export", "--format", "csv"]).await;
        assert!(csv.out.contains("hr:0:7;most:1"), "{csv:?}");
        let wrong = import(&sandbox, &file.replace("most:1", "most"), &[]).await;
        assert!(wrong.code == 1 && wrong.err.contains("expected references such as hr:7;most:1"), "{wrong:?}");
        // With the separator in an item, the list is JSON.
        let quoted = "\"[{\"\"source\"\":\"\"hr\"\",\"\"id\"\":\"\"0;7\"\"}]\"";
        let row = format!("externalReferences,firstName,lastName,email\n{quoted},Cy,Ash,cy@example.org\n");
        assert_eq!(import(&sandbox, &row, &[]).await.out.trim(), "1 was created, 0 changed, 0 unchanged.");
        let csv = sandbox.run(&["export", "--format", "csv"]).await.out;
        assert_eq!(import(&sandbox, &csv, &[]).await.out.trim(), "0 were created, 0 changed, 3 unchanged.", "{csv}");
        assert_eq!(users(&sandbox).await, ["Ann hr:0:7 most:1", "Bo ", "Cy hr:0;7"]);
    }

    async fn an_erased_user_does_not_come_back_by_a_reference(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let rows = "externalId,firstName,lastName,email\n7,Ann,Oak,ann@example.org\n";
        assert_eq!(import(&sandbox, rows, &["--source", "most"]).await.code, 0);
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let by = "{ user(by: { externalReference: { source: \"most\", id: \"7\" } }) { id } }";
        let ann = root.data(by, json!({})).await["user"]["id"].clone();
        let delete = "mutation ($input: DeleteUserInput!) { deleteUser(input: $input) { success } }";
        assert_eq!(root.data(delete, json!({ "input": { "id": ann } })).await["deleteUser"]["success"], json!(true));
        let refused = import(&sandbox, rows, &["--source", "most"]).await;
        assert!(refused.code == 1 && refused.err.contains("The user with this external ID was erased."), "{refused:?}");
        assert_eq!(import(&sandbox, rows, &["--source", "ufdl"]).await.code, 0);
    }

    async fn only_users_of_the_source_may_be_missing_in_its_file(sandbox: Sandbox) {
        let row = |number: u32, name: &str| format!("{number},{name},Oak,{}@example.org\n", name.to_lowercase());
        let file = |rows: &[(u32, &str)]| {
            "externalId,firstName,lastName,email\n".to_owned() + &rows.iter().map(|(number, name)| row(*number, name)).collect::<String>()
        };
        assert_eq!(import(&sandbox, &file(&[(1, "Ann"), (2, "Bo")]), &["--source", "most"]).await.code, 0);
        assert_eq!(import(&sandbox, &file(&[(1, "Cy")]), &["--source", "ufdl"]).await.code, 0);
        let full = ["--source", "most", "--full", "--max-leavers", "50%"];
        let done = import(&sandbox, &file(&[(1, "Ann")]), &full).await;
        assert!(done.code == 0 && done.out.contains("1 user missing in the file was deactivated."), "{done:?}");
        let all = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        let mut inactive: Vec<&str> = all.iter().filter(|user| !user.is_active).map(|user| user.first_name.as_str()).collect();
        inactive.sort_unstable();
        assert_eq!(inactive, ["Bo"]);
    }

    async fn groups_and_institutions_are_matched_by_reference(sandbox: Sandbox) {
        let lines = |house: &str, ward: &str| {
            let lines = [
                json!({ "institution": { "externalId": 1, "name": house, "kind": "HOSPITAL", "country": "IE" } }),
                json!({ "group": { "externalId": 1, "name": ward } }),
                json!({ "user": { "externalId": 1, "firstName": "Ann", "lastName": "Oak", "username": "ann", "institution": "most:1", "groups": ["most:1"] } }),
            ];
            lines.map(|line| line.to_string()).join("\n")
        };
        std::fs::write(sandbox.path("all.ndjson"), lines("House", "Ward")).unwrap();
        let options = ["import", "all.ndjson", "--source", "most"];
        let created = sandbox.run(&options).await;
        assert_eq!((created.code, created.out.trim()), (0, "3 were created, 0 changed, 0 unchanged."), "{created:?}");
        assert!(sandbox.run(&options).await.out.starts_with("0 were created, 0 changed, 3 unchanged."));
        std::fs::write(sandbox.path("all.ndjson"), lines("Home", "Station")).unwrap();
        let renamed = sandbox.run(&options).await;
        assert!(renamed.out.starts_with("0 were created, 2 changed, 1 unchanged."), "{renamed:?}");
    }
}
