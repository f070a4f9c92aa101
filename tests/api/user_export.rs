//! `exportUser`: everything that the directory has about a user, without secrets and without data of others.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined::Value as Given;
use chrono::NaiveDate;
use roster::entity::user::{self, Privacy, Role, UserFields};
use roster::entity::{credential, device, link, pin, session};
use roster::scalar::Id;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _,
    Iterable as _, ModelTrait as _, QueryFilter as _, Statement, Value as Stored,
};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD};
use crate::avatars;

/// The members of the file, for the tables with rows of users.
const IN_FILE: [(&str, &str); 11] = [
    ("memberships", "/user/groups"),
    ("site_access", "/user/sites"),
    ("attribute_values", "/user/attributes"),
    ("user_references", "/user/externalReferences"),
    ("avatars", "/user/avatar"),
    ("sessions", "/sessions"),
    ("devices", "/devices"),
    ("links", "/links"),
    ("invitations", "/invitation"),
    ("mails", "/queuedEmails"),
    ("api_keys", "/apiKeys"),
];

/// The tables with rows of users that are not in the file: secrets, the logins that are in `user`, and erased users.
const NOT_IN_FILE: [&str; 4] = ["credentials", "pins", "logins", "tombstones"];

async fn export(caller: &Caller<'_>, id: &str) -> Value {
    let payload = caller.mutate("exportUser", "export", json!({ "id": id })).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["export"].clone()
}

/// Gives a user a value in every column that has none, and every right.
async fn fill(app: &App, id: Id, institution: Id) {
    let row = user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
    let mut active = row.clone().into_active_model();
    for column in user::Column::iter() {
        let filled = match row.get(column) {
            Stored::String(None) if matches!(column, user::Column::ExternalReferences) => {
                r#"[{"source":"hr","id":"7"}]"#.into()
            }
            Stored::String(None) => format!("{column:?}").to_lowercase().into(),
            Stored::Uuid(None) => institution.0.into(),
            Stored::ChronoDate(None) => NaiveDate::from_ymd_opt(1980, 7, 8).unwrap().into(),
            Stored::ChronoDateTimeUtc(None) => roster::scalar::now().into(),
            Stored::Bool(Some(false)) => true.into(),
            _ => continue,
        };
        active.set(column, filled);
    }
    active.update(app.db.write()).await.unwrap();
}

async fn new_institution(caller: &Caller<'_>) -> Id {
    let input = json!({ "name": "Alder House", "kind": "HOSPITAL", "country": "IE" });
    let created = caller.mutate("createInstitution", "institution { id }", input).await;
    Id::parse(created["institution"]["id"].as_str().unwrap()).unwrap()
}

/// A user with rows in every table.
async fn user_with_everything(app: &App) -> Caller<'_> {
    let chief = app.license_admin().await;
    let fields =
        UserFields { role: Given(Role::Admin), email: Given("ann@x.example".to_owned()), ..UserFields::default() };
    let ann = app.sign_in(app.create("Ann", app.license, fields, Given(PASSWORD.to_owned())).await).await;
    let login = json!({ "login": "ann@x.example", "password": PASSWORD });
    app.anonymous().mutate("login", "deviceToken", login).await;
    assert_eq!(ann.mutate("setPin", "", json!({ "pin": "0042" })).await["success"], json!(true));
    ann.mutate("createGroup", "", json!({ "name": "Choir" })).await;
    ann.mutate("createApiKey", "secret", json!({ "name": "Rota", "role": "USER" })).await;
    ann.mutate("requestEmailChange", "", json!({ "newEmail": "new@x.example", "currentPassword": PASSWORD })).await;
    avatars::set(&ann, ann.id, &avatars::png(3, 2)).await;
    let site = new_institution(&chief).await;
    let access = json!({ "userId": ann.id(), "institutionId": site.0 });
    assert_eq!(chief.mutate("grantSiteAccess", "", access).await["success"], json!(true));
    chief.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "INTEGER" })).await;
    let references = json!([{ "source": "hr", "id": "7" }]);
    let update =
        json!({ "id": ann.id(), "attributes": [{ "name": "badge", "value": 7 }], "externalReferences": references });
    assert_eq!(chief.mutate("updateUser", "", update).await["success"], json!(true));
    let invitation = roster::entity::invitation::Model::queued(ann.id, Id::new(), roster::scalar::now());
    invitation.put(app.db.write()).await.unwrap();
    ann
}

on_every_database! {
    async fn every_column_of_a_user_is_exported(app: App) {
        let (superuser, user) = (app.superuser().await, app.user().await);
        avatars::set(&user, user.id, &avatars::png(3, 2)).await;
        fill(&app, user.id, new_institution(&superuser).await).await;
        let file = export(&superuser, &user.id()).await;
        for column in user::Column::iter().filter(|column| column.privacy() != Privacy::Internal) {
            let member = match column {
                user::Column::InstitutionId => "institution".to_owned(),
                column => column.field(),
            };
            let place = format!("/user/{}", member.replace('.', "/"));
            assert!(file.pointer(&place).is_some_and(|value| !value.is_null()), "{column:?} is not at {place}: {file:#}");
        }
        assert_eq!(file["user"]["institutionName"], json!("Alder House"));
    }

    async fn every_table_with_rows_of_users_is_exported(app: App) {
        let ann = user_with_everything(&app).await;
        let file = export(&app.superuser().await, &ann.id()).await;
        let sql = if app.db.is_postgres() {
            "SELECT table_name::text AS name FROM information_schema.columns WHERE column_name = 'user_id' AND table_schema = current_schema()"
        } else {
            "SELECT m.name AS name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'user_id'"
        };
        let read = app.db.read();
        let rows = read.query_all_raw(Statement::from_string(read.get_database_backend(), sql)).await.unwrap();
        let tables: BTreeSet<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        let known: BTreeSet<String> = IN_FILE.iter().map(|(table, _)| *table).chain(NOT_IN_FILE).map(str::to_owned).collect();
        assert_eq!(tables, known, "a table with rows of users is either in the file or named as left out");
        for (table, place) in IN_FILE {
            let value = file.pointer(place).unwrap_or_else(|| panic!("{table} is not in the file: {file:#}"));
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty);
            assert!(!is_empty, "{table}: {file:#}");
        }
        assert_eq!(file["user"]["groups"][0]["name"], json!("Choir"));
        assert_eq!(file["user"]["sites"][0]["name"], json!("Alder House"));
        assert_eq!(file["user"]["attributes"], json!({ "badge": 7 }));
        assert_eq!(file["license"]["number"], json!("A-1"));
    }

    async fn no_secret_is_exported(app: App) {
        let ann = user_with_everything(&app).await;
        let text = export(&app.superuser().await, &ann.id()).await.to_string();
        let own_text = export(&ann, &ann.id()).await.to_string();
        let read = app.db.read();
        let password = credential::Entity::find_by_id(ann.id).one(read).await.unwrap().unwrap().password_hash;
        let pin = pin::Entity::find_by_id(ann.id).one(read).await.unwrap().unwrap().pin_hash;
        for text in [&text, &own_text] {
            assert!(!text.contains(&password) && !text.contains(&pin) && !text.contains(PASSWORD), "{text}");
            for member in ["Hash\"", "\"seed\"", "\"salt\"", "\"token"] {
                assert!(!text.contains(member), "{member}: {text}");
            }
        }
        let sessions = session::Entity::find().filter(session::Column::UserId.eq(ann.id)).all(read).await.unwrap();
        let devices = device::Entity::find().filter(device::Column::UserId.eq(ann.id)).all(read).await.unwrap();
        let links = link::Entity::find().filter(link::Column::UserId.eq(ann.id)).all(read).await.unwrap();
        let hashes = sessions.iter().map(|row| &row.token_hash).chain(devices.iter().map(|row| &row.token_hash));
        let hashes: Vec<String> = hashes.chain(links.iter().map(|row| &row.token_hash)).map(hex::encode).collect();
        assert!(hashes.len() >= 4, "{hashes:?}");
        assert!(hashes.iter().all(|hash| !text.contains(hash)));
    }

    async fn an_export_has_no_values_of_other_users(app: App) {
        let (chief, user) = (app.license_admin().await, app.user().await);
        chief.mutate("updateUser", "", json!({ "id": user.id(), "nickname": "Moss Troll" })).await;
        let of_chief = export(&chief, &chief.id()).await;
        let actions = of_chief["actions"]["events"].as_array().unwrap();
        assert!(actions.iter().any(|event| event["action"] == json!("USER_UPDATED")), "{of_chief:#}");
        assert!(!of_chief.to_string().contains("Moss Troll") && !of_chief.to_string().contains(&user.id()), "{of_chief:#}");
        let of_user = export(&user, &user.id()).await;
        let events = of_user["auditEvents"]["events"].as_array().unwrap();
        let updated = events.iter().find(|event| event["action"] == json!("USER_UPDATED")).unwrap();
        assert_eq!((&updated["isByUser"], &updated["changes"][0]["after"]), (&json!(false), &json!("Moss Troll")));
        assert!(!of_user.to_string().contains(&chief.id()), "{of_user:#}");
        assert_eq!(events[0]["action"], json!("USER_EXPORTED"), "the newest event is that of the export");
        assert_eq!((&of_user["auditEvents"]["isComplete"], &of_user["actions"]["events"]), (&json!(true), &json!([])));
    }

    async fn an_export_has_the_latest_events_that_fit_into_a_response(app: App) {
        let (chief, user) = (app.license_admin().await, app.user().await);
        chief.mutate("defineAttribute", "", json!({ "name": "note", "label": "Note", "kind": "STRING" })).await;
        // Two of them are almost eight thousand bytes, and the changes of a hundred and forty events more than a response holds.
        let notes: Vec<String> = (100..240).map(|number| "\u{20000}".repeat(990) + &number.to_string()).collect();
        for note in &notes {
            let attributes = json!([{ "name": "note", "value": note }]);
            let updated = chief.mutate("updateUser", "", json!({ "id": user.id(), "attributes": attributes })).await;
            assert_eq!(updated["success"], json!(true), "{updated:#}");
        }
        let file = export(&chief, &user.id()).await;
        assert_eq!(file["auditEvents"]["isComplete"], json!(false));
        let events = file["auditEvents"]["events"].as_array().unwrap();
        let updates = events.iter().filter(|event| event["action"] == json!("USER_UPDATED"));
        let found: Vec<&str> = updates.map(|event| event["changes"][0]["after"].as_str().unwrap()).collect();
        assert!((101..140).contains(&found.len()), "{}", found.len());
        assert!(found.iter().eq(notes.iter().rev().take(found.len())), "the latest first, and none left out");
    }

    async fn an_export_has_only_what_its_viewer_sees(app: App) {
        let ann = user_with_everything(&app).await;
        let chief = app.license_admin().await;
        let rights = json!({ "id": ann.id(), "role": "USER", "adminRights": { "isGroupAdmin": true } });
        assert_eq!(chief.mutate("updateUser", "", rights).await["success"], json!(true));
        let (own, by_chief) = (export(&ann, &ann.id()).await, export(&chief, &ann.id()).await);
        assert_eq!((&own["user"]["adminRights"], &by_chief["user"]["adminRights"]), (&json!({}), &json!({ "isGroupAdmin": true })));
        assert!(own["invitation"].is_null() && by_chief["invitation"].is_object());
        assert_eq!((&own["apiKeys"], own["apiKeys"].as_array().unwrap().len()), (&by_chief["apiKeys"], 1));
        let right_of = |file: &Value| {
            let events = file["auditEvents"]["events"].as_array().unwrap().clone();
            let changes = events.iter().flat_map(|event| event["changes"].as_array().unwrap().clone());
            changes.into_iter().find(|change| change["field"] == json!("adminRights.isGroupAdmin")).unwrap()["after"].clone()
        };
        assert_eq!((right_of(&own), right_of(&by_chief)), (Value::Null, json!(true)));
    }
}
