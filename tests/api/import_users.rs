//! importUsers: the rows of a request are imported by the rules of `roster import`, with the rights of the viewer.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join;
use roster::entity::audit_event::{self, AuditAction};
use roster::entity::user::{self, AdminRightsInput, Role, UserFields};
use roster::scalar::Id;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, payload_errors};
use crate::audit;

const RESULTS: &str =
    "results { index outcome user { id firstName email externalId isActive version } errors { code path message } }";

/// A row with a username that depends on its number, and more fields.
fn row(number: usize, more: Value) -> Value {
    let mut row = json!({ "firstName": "Ann", "lastName": "Moss", "username": format!("ann{number}") });
    let Value::Object(more) = more else { panic!("not the fields of a row: {more}") };
    row.as_object_mut().unwrap().extend(more);
    row
}

fn rows(count: usize, more: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..count).map(|number| row(number, more(number))).collect()
}

async fn import(caller: &Caller<'_>, input: Value) -> Value {
    caller.mutate("importUsers", RESULTS, input).await
}

/// The outcome of each row, in their order.
fn outcomes(payload: &Value) -> Vec<&str> {
    let results = payload["results"].as_array().unwrap();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], json!(index));
        assert_eq!(result["errors"].as_array().unwrap().is_empty(), result["outcome"] != "REFUSED", "{result}");
    }
    results.iter().map(|result| result["outcome"].as_str().unwrap()).collect()
}

/// Everything that an import may write: the users, and the number of events.
async fn snapshot(app: &App) -> (Vec<user::Model>, u64) {
    app.seal().await;
    let users = user::Entity::find().order_by_asc(user::Column::Id).all(app.db.read()).await.unwrap();
    (users, audit_event::Entity::find().count(app.db.read()).await.unwrap())
}

fn named(username: &str) -> UserFields {
    UserFields { username: Given(username.to_owned()), ..UserFields::default() }
}

on_every_database! {
    async fn rows_create_change_and_leave_users_as_they_are(app: App) {
        let license_admin = app.license_admin().await;
        let all = json!({ "rows": [
            row(1, json!({ "externalId": "E-1", "email": "ann1@example.org", "birthDate": "1980-07-08", "role": "ADMIN" })),
            row(2, json!({ "isActive": false })),
        ] });
        let created = import(&license_admin, all.clone()).await;
        assert_eq!((&created["success"], &created["message"]), (&json!(true), &json!("The rows were imported: 2 created.")), "{created:#}");
        assert_eq!(outcomes(&created), ["CREATED", "CREATED"]);
        assert_eq!(created["results"][1]["user"]["isActive"], json!(false));
        assert!(app.mails().await.is_empty(), "an import sends no invitations");
        let before = snapshot(&app).await;

        let again = import(&license_admin, all).await;
        assert_eq!(outcomes(&again), ["UNCHANGED", "UNCHANGED"]);
        assert_eq!(again["results"][0]["user"], created["results"][0]["user"]);
        assert_eq!(snapshot(&app).await, before, "a second import changes nothing");

        let changed = import(&license_admin, json!({ "rows": [{ "externalId": "E-1", "firstName": "Anna", "phone": null }, row(2, json!({ "isActive": true })), row(3, json!({}))] })).await;
        assert_eq!(outcomes(&changed), ["UPDATED", "UNCHANGED", "CREATED"]);
        let anna = &changed["results"][0]["user"];
        assert_eq!((&anna["id"], &anna["firstName"], &anna["version"]), (&created["results"][0]["user"]["id"], &json!("Anna"), &json!(2)));
        assert_eq!(changed["results"][1]["user"]["isActive"], json!(false), "an import does not activate");
        assert_eq!(import(&license_admin, json!({ "rows": [] })).await["success"], json!(true));
    }

    async fn a_thousand_rows_take_a_bounded_number_of_statements(app: App) {
        let license_admin = app.license_admin().await;
        let count = async |input: Value| {
            app.seal().await;
            let before = app.db.statements();
            let payload = license_admin.mutate("importUsers", "results { outcome }", input).await;
            assert_eq!(payload["success"], json!(true), "{payload:#}");
            let outcome = payload["results"][999]["outcome"].as_str().unwrap().to_owned();
            (app.db.statements() - before, outcome)
        };
        let external = |number: usize| json!({ "externalId": format!("E-{number}") });
        let moved = |number: usize| json!({ "externalId": format!("E-{number}"), "position": "Nurse", "email": format!("a{number}@example.org") });
        let [new, changed] = [rows(1_000, external), rows(1_000, moved)];
        for (rows, expected) in [(&new, "CREATED"), (&new, "UNCHANGED"), (&changed, "UPDATED")] {
            let (statements, outcome) = count(json!({ "rows": rows })).await;
            assert_eq!(outcome, expected);
            assert!(statements <= 80, "{expected}: {statements}");
        }
        let too_many = json!({ "rows": rows(1_001, |_| json!({})) });
        assert_eq!(license_admin.payload_errors("importUsers", too_many).await, ["TOO_LONG input.rows"]);
    }

    async fn a_dry_run_writes_nothing(app: App) {
        let license_admin = app.license_admin().await;
        import(&license_admin, json!({ "rows": [row(1, json!({ "position": "Nurse" }))] })).await;
        let before = snapshot(&app).await;
        let input = json!({ "dryRun": true, "rows": [row(1, json!({ "position": "Doctor" })), row(2, json!({}))] });
        let tried = import(&license_admin, input).await;
        assert_eq!((&tried["success"], &tried["message"]), (&json!(true), &json!("Dry run: nothing was saved; the rows would be: 1 created, 1 updated.")));
        assert_eq!(outcomes(&tried), ["UPDATED", "CREATED"]);
        assert_eq!((&tried["results"][0]["user"]["version"], &tried["results"][1]["user"]), (&json!(1), &Value::Null));
        assert_eq!(snapshot(&app).await, before);
    }

    async fn all_errors_of_all_rows_are_returned_at_once_and_nothing_is_saved(app: App) {
        let license_admin = app.license_admin().await;
        license_admin.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "INTEGER" })).await;
        let before = snapshot(&app).await;
        let payload = import(&license_admin, json!({ "rows": [
            row(0, json!({})),
            { "firstName": " ", "email": "ann@", "birthDate": "tomorrow", "institutionId": Id::new().0 },
            row(2, json!({ "attributes": [{ "name": "badge", "value": "x" }, { "name": "shoe", "value": 1 }] })),
            row(0, json!({ "externalId": "E-0" })),
            row(4, json!({ "externalId": "E-4" })),
            row(5, json!({ "externalId": "E-4" })),
            row(6, json!({ "email": "ANN4@example.org" })),
            row(7, json!({ "email": "ann4@example.org" })),
        ] })).await;
        assert_eq!((&payload["success"], &payload["message"]), (&json!(false), &json!("Nothing was saved: 3 skipped, 5 refused.")), "{payload:#}");
        assert_eq!(outcomes(&payload), ["SKIPPED", "REFUSED", "REFUSED", "REFUSED", "SKIPPED", "REFUSED", "SKIPPED", "REFUSED"]);
        assert_eq!(payload_errors(&payload), [
            "INVALID input.rows.1.birthDate",
            "INVALID input.rows.1.email",
            "INVALID input.rows.2.attributes.0.value",
            "NOT_FOUND input.rows.1.institutionId",
            "NOT_FOUND input.rows.2.attributes.1.name",
            "REQUIRED input.rows.1.firstName",
            "REQUIRED input.rows.1.lastName",
            "TAKEN input.rows.3.username",
            "TAKEN input.rows.5.externalId",
            "TAKEN input.rows.7.email",
        ]);
        for (index, other) in [(3, "row 0"), (5, "row 4"), (7, "row 6")] {
            let message = payload["results"][index]["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(other), "{index}: {message}");
        }
        assert_eq!(snapshot(&app).await, before);
    }

    async fn two_rows_about_one_user_are_an_error_of_the_second(app: App) {
        let license_admin = app.license_admin().await;
        import(&license_admin, json!({ "rows": [row(1, json!({ "externalId": "E-1" }))] })).await;
        let input = json!({ "onError": "SKIP", "rows": [{ "externalId": "E-1", "position": "Nurse" }, row(1, json!({ "position": "Doctor" }))] });
        let payload = import(&license_admin, input).await;
        assert_eq!(outcomes(&payload), ["UPDATED", "REFUSED"]);
        let error = &payload["results"][1]["errors"][0];
        assert_eq!((&error["code"], &error["path"]), (&json!("TAKEN"), &json!(["input", "rows", "1"])), "{error}");
        assert!(error["message"].as_str().unwrap().contains("row 0"), "{error}");
    }

    async fn valid_rows_are_saved_if_invalid_ones_are_skipped(app: App) {
        let license_admin = app.license_admin().await;
        let input = json!({ "onError": "SKIP", "rows": [row(0, json!({})), row(1, json!({ "phone": "none" })), row(2, json!({}))] });
        let payload = import(&license_admin, input.clone()).await;
        assert_eq!((&payload["success"], &payload["errors"]), (&json!(true), &json!([])));
        assert_eq!(payload["message"], json!("The rows were imported: 2 created, 1 refused."));
        assert_eq!(outcomes(&payload), ["CREATED", "REFUSED", "CREATED"]);
        assert_eq!(payload["results"][1]["errors"][0]["path"], json!(["input", "rows", "1", "phone"]));
        assert_eq!(outcomes(&import(&license_admin, input).await), ["UNCHANGED", "REFUSED", "UNCHANGED"]);
    }

    async fn a_row_changes_only_what_the_viewer_may_change(app: App) {
        let (license_admin, admin, user) = (app.license_admin().await, app.admin().await, app.user().await);
        let chief = app.create("Chief", app.license, UserFields { role: Given(Role::LicenseAdmin), ..named("chief") }, Undefined).await;
        let chief_before = stored(&app, chief.id).await;
        import(&license_admin, json!({ "rows": [row(1, json!({ "externalId": "E-1" }))] })).await;
        let (_, key) = audit::new_key(&license_admin, "ADMIN").await;
        let before = snapshot(&app).await;
        for on_error in ["STOP", "SKIP"] {
            for (caller, row, code) in [
                (&app.anonymous(), row(2, json!({})), "UNAUTHENTICATED"),
                (&user, row(2, json!({})), "FORBIDDEN"),
                (&admin, row(2, json!({ "role": "LICENSE_ADMIN" })), "FORBIDDEN"),
                (&admin, row(2, json!({ "fullSiteAccess": true })), "FORBIDDEN"),
                (&admin, row(2, json!({ "adminRights": { "isAttributesAdmin": true } })), "FORBIDDEN"),
                (&license_admin, row(2, json!({ "adminRights": { "isSuperuser": true } })), "FORBIDDEN"),
                (&admin, json!({ "username": "chief", "position": "Nurse" }), "FORBIDDEN"),
                (&key, json!({ "externalId": "E-1", "email": "new@example.org" }), "FORBIDDEN"),
            ] {
                let input = json!({ "onError": on_error, "rows": [self::row(3, json!({})), row] });
                assert_eq!(caller.mutation_error_code("importUsers", input.clone()).await, code, "{input}");
            }
        }
        assert_eq!(snapshot(&app).await, before, "not even the other row is saved");
        for fields in ["password: \"seven-brass-otters-waltz\"", "pin: \"0417\"", "passwordHash: \"!\"", "dateJoined: \"2020-01-01T00:00:00Z\"", "emailVerified: true"] {
            let document = format!("mutation {{ importUsers(input: {{ rows: [{{ username: \"ann2\", {fields} }}] }}) {{ success }} }}");
            assert_eq!(license_admin.error_code(&document, json!({})).await, "GRAPHQL_VALIDATION_FAILED", "{fields}");
        }
        let own = app.user_with("Own", UserFields { role: Given(Role::Admin), email: Given("own@example.org".to_owned()), ..named("own") }).await;
        let unchanged = json!({ "rows": [{ "username": "own", "email": "own@example.org", "position": "Nurse" }, { "username": "chief", "firstName": "Chief" }] });
        assert_eq!(outcomes(&import(&own, unchanged).await), ["UPDATED", "UNCHANGED"], "what stays the same needs no right");
        for change in [json!({ "username": "own", "email": "other@example.org" }), json!({ "username": "own", "role": "USER" })] {
            assert_eq!(own.mutation_error_code("importUsers", json!({ "rows": [change] })).await, "FORBIDDEN");
        }
        assert_eq!(stored(&app, chief.id).await, chief_before);
        assert_eq!(key.mutate("importUsers", "", json!({ "rows": [row(9, json!({}))] })).await["success"], json!(true));
    }

    async fn rows_do_not_reach_other_licenses(app: App) {
        let license_admin = app.license_admin().await;
        let foreign = app.create("Bob", app.other_license, UserFields { external_id: Given("E-1".to_owned()), email: Given("bob@example.org".to_owned()), ..named("bob") }, Undefined).await;
        let before = stored(&app, foreign.id).await;
        let payload = import(&license_admin, json!({ "onError": "SKIP", "rows": [
            { "firstName": "A", "lastName": "B", "email": "BOB@example.org", "position": "Nurse" },
            { "firstName": "A", "lastName": "B", "username": "bob@example.org" },
            row(3, json!({ "externalId": "E-1" })),
        ] })).await;
        assert_eq!(outcomes(&payload), ["REFUSED", "REFUSED", "CREATED"], "{payload:#}");
        for (index, field) in [(0, "email"), (1, "username")] {
            let error = &payload["results"][index]["errors"][0];
            assert_eq!((&error["code"], &error["path"]), (&json!("TAKEN"), &json!(["input", "rows", index.to_string(), field])));
            assert!(!error["message"].as_str().unwrap().contains(&foreign.id.0.to_string()), "{error}");
        }
        assert_eq!(stored(&app, foreign.id).await, before);
    }

    async fn an_import_finds_at_most_twenty_logins_of_other_licenses(app: App) {
        for number in 0..30 {
            app.create("Bob", app.other_license, named(&format!("ann{number}")), Undefined).await;
        }
        let license_admin = app.license_admin().await;
        let before = snapshot(&app).await.0;
        let first = import(&license_admin, json!({ "onError": "SKIP", "dryRun": true, "rows": rows(15, |_| json!({})) })).await;
        assert!(outcomes(&first).iter().all(|outcome| *outcome == "REFUSED"));
        let more = json!({ "onError": "SKIP", "rows": rows(30, |_| json!({})) });
        assert_eq!(license_admin.mutation_error_code("importUsers", more).await, "RATE_LIMITED");
        let free = json!({ "rows": [row(40, json!({}))] });
        assert_eq!(license_admin.mutation_error_code("importUsers", free.clone()).await, "RATE_LIMITED");
        assert_eq!(snapshot(&app).await.0, before);
        let found = audit_event::Entity::find().filter(audit_event::Column::Action.eq(AuditAction::ForeignLoginFound));
        assert_eq!(found.count(app.db.read()).await.unwrap(), 2, "one for each request that found some");
        let rights = AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() };
        let root = app.user_with("Root", UserFields { admin_rights: Given(rights), role: Given(Role::LicenseAdmin), ..UserFields::default() }).await;
        let every = import(&root, json!({ "onError": "SKIP", "rows": rows(31, |_| json!({})) })).await;
        assert_eq!(outcomes(&every).iter().filter(|outcome| **outcome == "CREATED").count(), 1, "superusers see every license and are not limited");
    }

    async fn nobody_is_deactivated_or_demoted_by_a_row(app: App) {
        let license_admin = app.license_admin().await;
        app.create("Ada", app.license, named("ada"), Undefined).await;
        app.create("Chief", app.license, UserFields { role: Given(Role::LicenseAdmin), ..named("chief") }, Undefined).await;
        let input = json!({ "rows": [{ "username": "ada", "isActive": false }, { "username": "chief", "role": "USER" }] });
        assert_eq!(license_admin.payload_errors("importUsers", input).await, ["NOT_ALLOWED input.rows.0.isActive", "NOT_ALLOWED input.rows.1.role"]);
    }

    async fn each_change_is_an_event_and_a_new_address_is_told_to_the_old_one(app: App) {
        let license_admin = app.license_admin().await;
        let ada = app.create("Ada", app.license, UserFields { email: Given("ada@example.org".to_owned()), ..named("ada") }, Given(PASSWORD.to_owned())).await;
        app.mails().await;
        let (_, before) = snapshot(&app).await;
        let input = json!({ "rows": [{ "username": "ada", "email": "new@example.org" }, row(1, json!({})), { "username": "ada2", "firstName": "Ada" }], "onError": "SKIP" });
        assert_eq!(outcomes(&import(&license_admin, input).await), ["UPDATED", "CREATED", "REFUSED"]);
        app.seal().await;
        let events = audit_event::Entity::find().order_by_asc(audit_event::Column::Seq).all(app.db.read()).await.unwrap();
        let new: Vec<_> = events[usize::try_from(before).unwrap()..].iter().collect();
        assert_eq!(new.iter().map(|event| event.action).collect::<Vec<_>>(), [AuditAction::UserUpdated, AuditAction::UserCreated]);
        assert!(new.iter().all(|event| event.actor_id == Some(license_admin.id) && event.request_id.is_some() && event.license_id == app.license));
        assert!(new[0].subject_id == ada.id && new[0].changes.as_deref().unwrap().contains("new@example.org"));
        assert_eq!(app.mails().await.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["ada@example.org"]);
    }

    async fn concurrent_imports_of_the_same_rows_create_each_user_once(app: App) {
        let (one, other) = (app.license_admin().await, app.license_admin().await);
        for round in 1..=8 {
            let username = |number| json!({ "username": format!("ann.{round}.{number}") });
            let input = || json!({ "rows": rows(40, username) });
            let (first, second) = join(import(&one, input()), import(&other, input())).await;
            assert_eq!((&first["success"], &second["success"]), (&json!(true), &json!(true)), "{first:#}\n{second:#}");
            let created = [&first, &second].map(|payload| outcomes(payload).iter().filter(|outcome| **outcome == "CREATED").count());
            assert_eq!(created.iter().sum::<usize>(), 40, "{created:?}");
        }
        let users = user::Entity::find().filter(user::Column::Username.starts_with("ann"));
        assert_eq!(users.count(app.db.read()).await.unwrap(), 8 * 40);
    }
}

async fn stored(app: &App, id: Id) -> user::Model {
    user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap()
}
