//! The audit trail: the events that each mutation appends, who may read them, and that they cannot be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use roster::access::{AuthMethod, SignedIn, Viewer};
use roster::audit;
use roster::audit::verify::{VerificationReport, verify};
use roster::client::Client;
use roster::db::Db;
use roster::entity::attribute_definition::MAX_DEFINITIONS;
use roster::entity::audit_event::{self, AuditAction, Column, MAX_CHANGES, SubjectType};
use roster::entity::group::GroupFields;
use roster::entity::user::UserFields;
use roster::entity::{api_key, credential, device, group, institution, license, link, pin, session, tombstone, user};
use roster::scalar::{Id, now};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, ConnectionTrait, DatabaseBackend, EntityTrait, IntoActiveModel,
    Iterable, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder, Statement,
};
use serde_json::{Value, json};

use crate::app::{App, Caller, LIFETIME, PASSWORD, database, input_of};
use crate::avatars;
use crate::definition::SCHEMA;
use crate::process::{Sandbox, until};
use crate::user_fields::{USER_FIELDS, USER_SELECTION};

const EVENT: &str = "id at action actor { id } apiKey { id } subject { __typename id } subjectId changes { field before after } requestId";

/// All committed events as stored, oldest first.
pub async fn trail(db: &Db) -> Vec<audit_event::Model> {
    audit::sealer::seal_committed(db).await.unwrap();
    audit_event::Entity::find().order_by_asc(Column::Seq).all(db.read()).await.unwrap()
}

async fn length(app: &App) -> usize {
    trail(&app.db).await.len()
}

/// The changes of an event by field, each with the values before and after.
fn changes(event: &audit_event::Model) -> BTreeMap<String, (Value, Value)> {
    let changes: Vec<Value> = serde_json::from_str(event.changes.as_deref().unwrap_or("[]")).unwrap();
    let part = |change: &Value, part: &str| change.get(part).cloned().unwrap_or_default();
    changes
        .iter()
        .map(|change| (change["field"].as_str().unwrap().to_owned(), (part(change, "before"), part(change, "after"))))
        .collect()
}

/// Sends a mutation; returns the response and the id of the request.
async fn send(caller: &Caller<'_>, mutation: &str, input: &Value) -> (Value, String) {
    let name = input_of(mutation);
    let document = if input.is_null() {
        format!("mutation {{ {mutation} {{ success errors {{ code path }} }} }}")
    } else {
        format!("mutation ($input: {name}!) {{ {mutation}(input: $input) {{ success errors {{ code path }} }} }}")
    };
    let body = json!({ "query": document, "variables": { "input": input } });
    let mut request = reqwest::Client::new().post(format!("{}/graphql", caller.app.url())).json(&body);
    if let Some(token) = &caller.token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    (response.json().await.unwrap(), id)
}

/// An effective mutation, with the event that it must append.
pub struct EffectiveCase<'a> {
    pub by: Caller<'a>,
    pub input: Value,
    action: AuditAction,
    actor: Id,
    /// The subject of the event. The id is `None` if the mutation creates the subject.
    subject: (SubjectType, Option<Id>),
    changes: Vec<(&'static str, Value, Value)>,
}

/// A signed-in user who has a password.
async fn ada(app: &App) -> Caller<'_> {
    let name = Id::new().0.simple().to_string();
    let fields = UserFields { username: Given(name.chars().skip(4).collect()), ..UserFields::default() };
    let user = app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
    app.sign_in(user).await
}

async fn username(of: &Caller<'_>) -> String {
    of.data("{ viewer { username } }", json!({})).await["viewer"]["username"].as_str().unwrap().to_owned()
}

/// Stores a device on which a user may sign in with their PIN.
async fn new_device(app: &App, of: &Caller<'_>) -> Id {
    let id = Id::new();
    let new = device::Model { id, user_id: of.id, token_hash: id.0.as_bytes().to_vec(), last_used_at: now() };
    new.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    id
}

async fn new_group(caller: &Caller<'_>) -> Id {
    let created = caller.mutate("createGroup", "group { id }", json!({ "name": "Ward 3" })).await;
    Id::parse(created["group"]["id"].as_str().unwrap()).unwrap()
}

async fn new_institution(caller: &Caller<'_>) -> Id {
    let input = json!({ "name": "St Brigid", "kind": "HOSPITAL", "country": "IE", "numBeds": 3 });
    let created = caller.mutate("createInstitution", "institution { id }", input).await;
    Id::parse(created["institution"]["id"].as_str().unwrap()).unwrap()
}

/// Creates an API key with a role; returns its id and a caller that uses it.
pub async fn new_key<'a>(caller: &Caller<'a>, role: &str) -> (Id, Caller<'a>) {
    let created = caller.mutate("createApiKey", "secret apiKey { id }", json!({ "name": "Rota", "role": role })).await;
    let id = Id::parse(created["apiKey"]["id"].as_str().unwrap()).unwrap();
    (id, Caller { token: created["secret"].as_str().map(str::to_owned), ..caller.clone() })
}

async fn define(caller: &Caller<'_>, name: &str) {
    let input = json!({ "name": name, "label": "Badge", "kind": "STRING" });
    assert_eq!(caller.mutate("defineAttribute", "", input).await["success"], json!(true));
}

/// Issues an activation link for a user; returns its token.
async fn new_link(app: &App, id: Id) -> String {
    let user = user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
    let transaction = app.db.begin().await.unwrap();
    let token = roster::auth::one_time_link::issue(&transaction, &user).await.unwrap();
    audit::commit(transaction, []).await.unwrap();
    token
}

/// Requests a password reset for a user; returns the token of the link.
async fn reset_link(app: &App, of: &Caller<'_>) -> String {
    let email = format!("{}@x.example", of.id());
    let give = user::Entity::update_many()
        .col_expr(user::Column::Email, Expr::value(Some(email.clone())))
        .col_expr(user::Column::EmailKey, Expr::value(Some(email.clone())));
    give.filter(user::Column::Id.eq(of.id)).exec(app.db.write()).await.unwrap();
    app.anonymous().mutate("requestPasswordReset", "", json!({ "email": email })).await;
    let mails = app.mails().await;
    mails.iter().find(|mail| mail.to == email).unwrap().token().to_owned()
}

/// A case in which a mutation changes something, with the event that it must append.
#[expect(clippy::too_many_lines, reason = "a table with a case for each mutation")]
pub async fn effective_case<'a>(app: &'a App, mutation: &str) -> EffectiveCase<'a> {
    let license_admin = app.license_admin().await;
    let ada = ada(app).await;
    let of_ada = (SubjectType::User, Some(ada.id));
    let (by, input, action, subject, changes): (_, _, _, _, Vec<(&'static str, Value, Value)>) = match mutation {
        "createUser" => (
            license_admin,
            json!({ "firstName": " Eve ", "lastName": "Moss", "username": "eve", "birthDate": "1980-07-08", "pin": "0042", "password": PASSWORD }),
            AuditAction::UserCreated,
            (SubjectType::User, None),
            vec![
                ("firstName", Value::Null, json!("Eve")),
                ("lastName", Value::Null, json!("Moss")),
                ("username", Value::Null, json!("eve")),
                ("birthDate", Value::Null, json!("1980-07-08")),
                ("hasPin", json!(false), json!(true)),
                ("hasActivated", json!(false), json!(true)),
                ("pin", Value::Null, Value::Null),
                ("password", Value::Null, Value::Null),
            ],
        ),
        "importUsers" => (
            license_admin,
            json!({ "rows": [{ "firstName": " Ivy ", "lastName": "Moss", "username": "ivy", "birthDate": "1980-07-08" }] }),
            AuditAction::UserCreated,
            (SubjectType::User, None),
            vec![
                ("firstName", Value::Null, json!("Ivy")),
                ("lastName", Value::Null, json!("Moss")),
                ("username", Value::Null, json!("ivy")),
                ("birthDate", Value::Null, json!("1980-07-08")),
            ],
        ),
        "updateUser" => (
            license_admin,
            json!({ "id": ada.id(), "lastName": "Moss", "mobile": "0777", "gender": "FEMALE", "adminRights": { "isGroupAdmin": true }, "password": "nine-velvet-comets-hum" }),
            AuditAction::UserUpdated,
            of_ada,
            vec![
                ("lastName", json!("Tester"), json!("Moss")),
                ("mobile", Value::Null, json!("0777")),
                ("gender", json!("UNKNOWN"), json!("FEMALE")),
                ("adminRights.isGroupAdmin", json!(false), json!(true)),
                ("password", Value::Null, Value::Null),
            ],
        ),
        "setUserAvatar" => {
            let hash = avatars::set(&license_admin, ada.id, &avatars::png(3, 2)).await;
            (
                license_admin,
                json!({ "id": ada.id(), "avatar": null }),
                AuditAction::UserUpdated,
                of_ada,
                vec![("avatar", json!(hash), Value::Null)],
            )
        }
        "setActive" => (
            license_admin,
            json!({ "id": ada.id(), "active": false, "reason": "On leave" }),
            AuditAction::UserDeactivated,
            of_ada,
            vec![("isActive", json!(true), json!(false)), ("reason", Value::Null, json!("On leave"))],
        ),
        "exportUser" => (ada.clone(), json!({ "id": ada.id() }), AuditAction::UserExported, of_ada, vec![]),
        "deleteUser" => (license_admin, json!({ "id": ada.id() }), AuditAction::UserDeleted, of_ada, vec![]),
        "unlockUser" => {
            let wrong = json!({ "login": username(&ada).await, "password": "not-the-password" });
            app.anonymous().payload_errors("login", wrong).await;
            (license_admin, json!({ "id": ada.id() }), AuditAction::UserUnlocked, of_ada, vec![])
        }
        "login" => (
            Caller { token: None, ..ada.clone() },
            json!({ "login": username(&ada).await, "password": PASSWORD }),
            AuditAction::SignedIn,
            of_ada,
            vec![("lastLogin", json!("some"), json!("some"))],
        ),
        "activateAccount" => {
            let bare = app.create("Bea", app.license, UserFields::default(), Undefined).await.id;
            (
                Caller { app, id: bare, token: None },
                json!({ "token": new_link(app, bare).await, "password": PASSWORD }),
                AuditAction::AccountActivated,
                (SubjectType::User, Some(bare)),
                vec![
                    ("password", Value::Null, Value::Null),
                    ("hasActivated", json!(false), json!(true)),
                    ("lastLogin", Value::Null, json!("some")),
                ],
            )
        }
        "resendActivation" => {
            let bare = app.create("Bea", app.license, UserFields::default(), Undefined).await.id;
            (license_admin, json!({ "id": bare.0 }), AuditAction::LinkCreated, (SubjectType::User, Some(bare)), vec![])
        }
        "resetPassword" => (
            Caller { token: None, ..ada.clone() },
            json!({ "token": reset_link(app, &ada).await, "password": "nine-velvet-comets-hum" }),
            AuditAction::PasswordReset,
            of_ada,
            vec![("password", Value::Null, Value::Null), ("emailVerified", json!(false), json!(true))],
        ),
        "requestEmailChange" => (
            ada.clone(),
            json!({ "newEmail": "new@x.example", "currentPassword": PASSWORD }),
            AuditAction::EmailChangeRequested,
            of_ada,
            vec![],
        ),
        "confirmEmailChange" => {
            let change = json!({ "newEmail": "confirmed@x.example", "currentPassword": PASSWORD });
            ada.mutate("requestEmailChange", "", change).await;
            let mails = app.mails().await;
            let token = mails.iter().find(|mail| mail.to == "confirmed@x.example").unwrap().token();
            (
                Caller { token: None, ..ada.clone() },
                json!({ "token": token }),
                AuditAction::EmailChanged,
                of_ada,
                vec![
                    ("email", Value::Null, json!("confirmed@x.example")),
                    ("emailVerified", json!(false), json!(true)),
                ],
            )
        }
        "logout" => (ada.clone(), Value::Null, AuditAction::SignedOut, of_ada, vec![]),
        "endSessions" => (
            ada.clone(),
            json!({ "includeCurrent": true }),
            AuditAction::SessionsEnded,
            of_ada,
            vec![("sessions", Value::Null, json!(1)), ("devices", Value::Null, json!(0))],
        ),
        "forgetDevice" => {
            let device = new_device(app, &ada).await;
            (ada.clone(), json!({ "id": device.0 }), AuditAction::DeviceForgotten, of_ada, vec![])
        }
        "changePassword" => (
            ada.clone(),
            json!({ "currentPassword": PASSWORD, "newPassword": "nine-velvet-comets-hum" }),
            AuditAction::PasswordChanged,
            of_ada,
            vec![("password", Value::Null, Value::Null)],
        ),
        "setPin" => (
            ada.clone(),
            json!({ "pin": "0042" }),
            AuditAction::PinChanged,
            of_ada,
            vec![("pin", Value::Null, Value::Null), ("hasPin", json!(false), json!(true))],
        ),
        "createGroup" => (
            ada.clone(),
            json!({ "name": "Ward", "description": "Third floor" }),
            AuditAction::GroupCreated,
            (SubjectType::Group, None),
            vec![("name", Value::Null, json!("Ward")), ("description", Value::Null, json!("Third floor"))],
        ),
        "setGroupMember" => {
            let group = new_group(&ada).await;
            (
                ada.clone(),
                json!({ "groupId": group.0, "userId": license_admin.id(), "role": "MANAGER" }),
                AuditAction::GroupMemberSet,
                (SubjectType::Group, Some(group)),
                vec![("userId", Value::Null, json!(license_admin.id())), ("role", Value::Null, json!("MANAGER"))],
            )
        }
        "removeGroupMember" => {
            let group = new_group(&ada).await;
            ada.mutate(
                "setGroupMember",
                "",
                json!({ "groupId": group.0, "userId": license_admin.id(), "role": "MEMBER" }),
            )
            .await;
            (
                ada.clone(),
                json!({ "groupId": group.0, "userId": license_admin.id() }),
                AuditAction::GroupMemberRemoved,
                (SubjectType::Group, Some(group)),
                vec![("userId", json!(license_admin.id()), Value::Null), ("role", json!("MEMBER"), Value::Null)],
            )
        }
        "updateGroup" => (
            ada.clone(),
            json!({ "id": new_group(&ada).await.0, "name": "Ward 4", "description": "Fourth floor" }),
            AuditAction::GroupUpdated,
            (SubjectType::Group, None),
            vec![("name", json!("Ward 3"), json!("Ward 4")), ("description", Value::Null, json!("Fourth floor"))],
        ),
        "deleteGroup" => {
            let group = new_group(&ada).await;
            let subject = (SubjectType::Group, Some(group));
            let changes = vec![("name", json!("Ward 3"), Value::Null)];
            (ada.clone(), json!({ "id": group.0 }), AuditAction::GroupDeleted, subject, changes)
        }
        "updateInstitution" => {
            let institution = new_institution(&license_admin).await;
            (
                license_admin,
                json!({ "id": institution.0, "kind": "HOSPICE", "city": "Cork", "numBeds": null, "name": "St Odile" }),
                AuditAction::InstitutionUpdated,
                (SubjectType::Institution, Some(institution)),
                vec![
                    ("name", json!("St Brigid"), json!("St Odile")),
                    ("kind", json!("HOSPITAL"), json!("HOSPICE")),
                    ("city", Value::Null, json!("Cork")),
                    ("numBeds", json!(3), Value::Null),
                ],
            )
        }
        "deleteInstitution" => {
            let institution = new_institution(&license_admin).await;
            let subject = (SubjectType::Institution, Some(institution));
            let changes = vec![
                ("name", json!("St Brigid"), Value::Null),
                ("country", json!("IE"), Value::Null),
                ("numBeds", json!(3), Value::Null),
            ];
            (license_admin, json!({ "id": institution.0 }), AuditAction::InstitutionDeleted, subject, changes)
        }
        "grantSiteAccess" => {
            let institution = new_institution(&license_admin).await.0;
            let changes = vec![("sites", Value::Null, json!(institution))];
            let input = json!({ "userId": ada.id(), "institutionId": institution });
            (license_admin, input, AuditAction::SiteAccessGranted, of_ada, changes)
        }
        "revokeSiteAccess" => {
            let institution = new_institution(&license_admin).await.0;
            let input = json!({ "userId": ada.id(), "institutionId": institution });
            license_admin.mutate("grantSiteAccess", "", input.clone()).await;
            let changes = vec![("sites", json!(institution), Value::Null)];
            (license_admin, input, AuditAction::SiteAccessRevoked, of_ada, changes)
        }
        "createInstitution" => (
            license_admin,
            json!({ "name": "St Brigid", "kind": "HOSPITAL", "country": "IE", "numBeds": 3, "externalId": "H-1" }),
            AuditAction::InstitutionCreated,
            (SubjectType::Institution, None),
            vec![
                ("name", Value::Null, json!("St Brigid")),
                ("country", Value::Null, json!("IE")),
                ("numBeds", Value::Null, json!(3)),
                ("externalId", Value::Null, json!("H-1")),
            ],
        ),
        "renameLicense" => (
            license_admin,
            json!({ "id": app.license.0, "holder": "Birch Trust" }),
            AuditAction::LicenseRenamed,
            (SubjectType::License, Some(app.license)),
            vec![("holder", json!("Alder Hospital"), json!("Birch Trust"))],
        ),
        "defineAttribute" => (
            license_admin,
            json!({ "name": "birthplace", "label": "Place of birth", "kind": "STRING", "userEditable": true, "userVisible": false }),
            AuditAction::AttributeDefined,
            (SubjectType::Attribute, None),
            vec![
                ("name", Value::Null, json!("birthplace")),
                ("label", Value::Null, json!("Place of birth")),
                ("kind", Value::Null, json!("STRING")),
                ("userEditable", json!(false), json!(true)),
                ("userVisible", json!(true), json!(false)),
            ],
        ),
        "removeAttribute" => {
            define(&license_admin, "badge").await;
            let badge = json!({ "id": ada.id(), "attributes": [{ "name": "badge", "value": "7" }] });
            license_admin.mutate("updateUser", "", badge).await;
            let id = roster::attribute_values::definitions(app.db.read(), app.license).await.unwrap()["badge"].id;
            let subject = (SubjectType::Attribute, Some(id));
            let changes = vec![("name", json!("badge"), Value::Null), ("values", json!(1), Value::Null)];
            (license_admin, json!({ "name": "badge" }), AuditAction::AttributeRemoved, subject, changes)
        }
        "createApiKey" => (
            license_admin,
            json!({ "name": "Rota", "role": "ADMIN", "expiresAt": "2126-01-01T00:00:00Z" }),
            AuditAction::ApiKeyCreated,
            (SubjectType::ApiKey, None),
            vec![
                ("name", Value::Null, json!("Rota")),
                ("role", Value::Null, json!("ADMIN")),
                ("expiresAt", Value::Null, json!("2126-01-01T00:00:00+00:00")),
            ],
        ),
        "revokeApiKey" => {
            let (key, _) = new_key(&license_admin, "USER").await;
            let subject = (SubjectType::ApiKey, Some(key));
            (license_admin, json!({ "id": key.0 }), AuditAction::ApiKeyRevoked, subject, vec![])
        }
        other => panic!("{other} has no case here: add one with the event that it must append"),
    };
    EffectiveCase { actor: by.id, by, input, action, subject, changes }
}

/// Cases in which a mutation changes nothing: repeated, a dry run, invalid or forbidden.
#[expect(clippy::too_many_lines, reason = "a table with cases for each mutation")]
async fn cases_without_effect<'a>(app: &'a App, mutation: &str) -> Vec<(&'static str, Caller<'a>, Value)> {
    let (license_admin, user, anonymous) = (app.license_admin().await, app.user().await, app.anonymous());
    let ada = ada(app).await;
    let nobody = Id::new().0;
    match mutation {
        "createUser" => {
            let good = json!({ "firstName": "Eve", "lastName": "Moss", "email": format!("{nobody}@x.example") });
            let tried = json!({ "firstName": "Eve", "lastName": "Moss", "email": "e@x.example", "dryRun": true });
            let taken = json!({ "firstName": "Eve", "lastName": "Moss", "username": username(&ada).await });
            vec![
                ("dryRun", license_admin.clone(), tried),
                ("bad", license_admin.clone(), json!({ "firstName": "", "lastName": "Moss" })),
                ("taken", license_admin, taken),
                ("forbidden", user, good.clone()),
                ("anonymous", anonymous, good),
            ]
        }
        "importUsers" => {
            let good = json!({ "firstName": "Eve", "lastName": "Moss", "email": format!("{nobody}@x.example") });
            let same = json!({ "username": username(&ada).await, "firstName": "Ada" });
            vec![
                ("dryRun", license_admin.clone(), json!({ "rows": [good], "dryRun": true })),
                ("the same again", license_admin.clone(), json!({ "rows": [same] })),
                ("bad", license_admin.clone(), json!({ "rows": [good, { "firstName": "" }] })),
                (
                    "too much",
                    license_admin,
                    json!({ "rows": [{ "adminRights": { "isSuperuser": true }, "firstName": "A", "lastName": "B", "username": "x" }, good] }),
                ),
                ("forbidden", user, json!({ "rows": [good] })),
                ("anonymous", anonymous, json!({ "rows": [good] })),
            ]
        }
        "updateUser" => {
            let change = |fields: Value| {
                let mut input = json!({ "id": ada.id(), "phone": "1" });
                input.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                input
            };
            let version =
                license_admin.mutate("updateUser", "user { version }", change(json!({ "nickname": "A" }))).await;
            assert_eq!(version["user"]["version"], json!(2));
            vec![
                ("the same again", license_admin.clone(), change(json!({ "nickname": "A" }))),
                (
                    "no secret to remove",
                    license_admin.clone(),
                    json!({ "id": user.id(), "password": null, "pin": null }),
                ),
                ("dryRun", license_admin.clone(), change(json!({ "nickname": "B", "dryRun": true }))),
                ("stale", license_admin.clone(), change(json!({ "nickname": "B", "expectedVersion": 1 }))),
                ("bad", license_admin.clone(), change(json!({ "nickname": "B", "birthDate": "tomorrow" }))),
                ("unknown", license_admin, json!({ "id": nobody, "nickname": "B" })),
                ("forbidden", user, change(json!({ "nickname": "B" }))),
                ("anonymous", anonymous, change(json!({ "nickname": "B" }))),
            ]
        }
        "setUserAvatar" => vec![
            ("the same again", license_admin.clone(), json!({ "id": ada.id(), "avatar": null })),
            ("no word of a picture", license_admin.clone(), json!({ "id": ada.id() })),
            ("a text", license_admin.clone(), json!({ "id": ada.id(), "avatar": "x.png" })),
            ("unknown", license_admin, json!({ "id": nobody, "avatar": null })),
            ("forbidden", user, json!({ "id": ada.id(), "avatar": null })),
            ("anonymous", anonymous, json!({ "id": ada.id(), "avatar": null })),
        ],
        "setActive" => {
            license_admin.mutate("setActive", "", json!({ "id": user.id(), "active": false, "reason": "x" })).await;
            vec![
                ("inactive again", license_admin.clone(), json!({ "id": user.id(), "active": false, "reason": "y" })),
                ("active again", license_admin.clone(), json!({ "id": ada.id(), "active": true })),
                ("themselves", license_admin.clone(), json!({ "id": license_admin.id(), "active": false })),
                ("bad", license_admin.clone(), json!({ "id": ada.id(), "active": false, "reason": "x".repeat(501) })),
                ("unknown", license_admin.clone(), json!({ "id": nobody, "active": false })),
                ("forbidden", ada, json!({ "id": license_admin.id(), "active": false })),
                ("anonymous", anonymous, json!({ "id": license_admin.id(), "active": false })),
            ]
        }
        "exportUser" => vec![
            ("unknown", license_admin.clone(), json!({ "id": nobody })),
            ("bad", license_admin, json!({ "id": "x" })),
            ("forbidden", user, json!({ "id": ada.id() })),
            ("anonymous", anonymous, json!({ "id": ada.id() })),
        ],
        "deleteUser" => {
            license_admin.mutate("deleteUser", "", json!({ "id": user.id() })).await;
            vec![
                ("again", license_admin.clone(), json!({ "id": user.id() })),
                ("themselves", license_admin.clone(), json!({ "id": license_admin.id() })),
                ("forbidden", ada.clone(), json!({ "id": license_admin.id() })),
                ("anonymous", anonymous, json!({ "id": ada.id() })),
            ]
        }
        "unlockUser" => vec![
            ("not locked", license_admin.clone(), json!({ "id": user.id() })),
            ("unknown", license_admin, json!({ "id": nobody })),
            ("forbidden", user, json!({ "id": ada.id() })),
            ("anonymous", anonymous, json!({ "id": ada.id() })),
        ],
        "login" => vec![
            ("wrong", anonymous.clone(), json!({ "login": username(&ada).await, "password": "wrong" })),
            ("unknown", anonymous.clone(), json!({ "login": "nobody", "password": PASSWORD })),
            ("bad", anonymous, json!({ "login": username(&ada).await, "pin": "1234" })),
        ],
        "activateAccount" => {
            let (token, older) = (new_link(app, ada.id).await, new_link(app, user.id).await);
            new_link(app, user.id).await;
            vec![
                ("weak", anonymous.clone(), json!({ "token": token, "password": "password1234" })),
                ("dead", anonymous.clone(), json!({ "token": older, "password": PASSWORD })),
                ("none", anonymous, json!({ "token": "x", "password": PASSWORD })),
            ]
        }
        "resendActivation" => {
            let bare = app.create("Bea", app.license, UserFields::default(), Undefined).await.id.0;
            vec![
                ("activated", license_admin.clone(), json!({ "id": ada.id() })),
                ("unknown", license_admin.clone(), json!({ "id": nobody })),
                ("bad", license_admin, json!({ "id": bare, "nextUrl": "//evil.example" })),
                ("forbidden", user, json!({ "id": bare })),
                ("anonymous", anonymous, json!({ "id": bare })),
            ]
        }
        "requestPasswordReset" => vec![("bad", anonymous, json!({ "email": "nobody" }))],
        "registerUser" => {
            vec![("bad", anonymous, json!({ "firstName": " ", "lastName": "Moss", "email": "eve@x.example" }))]
        }
        "resetPassword" => {
            let token = reset_link(app, &ada).await;
            vec![
                ("weak", anonymous.clone(), json!({ "token": token, "password": "password1234" })),
                ("none", anonymous, json!({ "token": "x", "password": PASSWORD })),
            ]
        }
        "requestEmailChange" => {
            let input = |email: &str, password: &str| json!({ "newEmail": email, "currentPassword": password });
            vec![
                ("wrong", ada.clone(), input("new@x.example", "wrong")),
                ("bad", ada, input("nobody", PASSWORD)),
                ("anonymous", anonymous, input("new@x.example", PASSWORD)),
            ]
        }
        "confirmEmailChange" => vec![("none", anonymous, json!({ "token": "x" }))],
        "logout" => vec![("anonymous", anonymous, Value::Null)],
        "endSessions" => vec![
            ("no other", ada.clone(), json!({})),
            ("none of these", ada.clone(), json!({ "sessionIds": [nobody], "includeCurrent": true })),
            ("unknown", license_admin.clone(), json!({ "userId": nobody })),
            ("forbidden", ada, json!({ "userId": license_admin.id() })),
            ("anonymous", anonymous, json!({})),
        ],
        "forgetDevice" => {
            let device = new_device(app, &ada).await;
            vec![
                ("unknown", ada, json!({ "id": nobody })),
                ("another's", user, json!({ "id": device.0 })),
                ("anonymous", anonymous, json!({ "id": device.0 })),
            ]
        }
        "changePassword" => {
            let input = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
            vec![
                ("wrong", ada.clone(), input("wrong", "nine-velvet-comets-hum")),
                ("weak", ada, input(PASSWORD, "short")),
                ("anonymous", anonymous, input(PASSWORD, "nine-velvet-comets-hum")),
            ]
        }
        "setPin" => vec![("bad", ada, json!({ "pin": "12" })), ("anonymous", anonymous, json!({ "pin": "1234" }))],
        "createGroup" => {
            vec![("bad", ada, json!({ "name": " " })), ("anonymous", anonymous, json!({ "name": "A" }))]
        }
        "setGroupMember" => {
            let group = new_group(&ada).await.0;
            let member = |id: &str, role: &str| json!({ "groupId": group, "userId": id, "role": role });
            vec![
                ("the same again", ada.clone(), member(&ada.id(), "OWNER")),
                ("the last owner", ada.clone(), member(&ada.id(), "MEMBER")),
                ("unknown", ada, member(&nobody.to_string(), "MEMBER")),
                ("forbidden", user.clone(), member(&user.id(), "MEMBER")),
                ("anonymous", anonymous, member(&user.id(), "MEMBER")),
            ]
        }
        "removeGroupMember" => {
            let group = new_group(&ada).await.0;
            vec![
                ("no member", ada.clone(), json!({ "groupId": group, "userId": user.id() })),
                ("the last owner", ada.clone(), json!({ "groupId": group, "userId": ada.id() })),
                ("forbidden", user, json!({ "groupId": group, "userId": ada.id() })),
                ("anonymous", anonymous, json!({ "groupId": group, "userId": ada.id() })),
            ]
        }
        "updateGroup" => {
            let group = new_group(&ada).await.0;
            let change = |name: &str| json!({ "id": group, "name": name });
            vec![
                ("the same again", ada.clone(), change(" Ward 3 ")),
                ("dryRun", ada.clone(), json!({ "id": group, "name": "Other", "dryRun": true })),
                ("stale", ada.clone(), json!({ "id": group, "name": "Other", "expectedVersion": 7 })),
                ("bad", ada.clone(), change(" ")),
                ("unknown", ada, json!({ "id": nobody, "name": "Other" })),
                ("forbidden", user, change("Other")),
                ("anonymous", anonymous, change("Other")),
            ]
        }
        "deleteGroup" => {
            let (group, gone) = (new_group(&ada).await.0, new_group(&ada).await.0);
            ada.mutate("deleteGroup", "", json!({ "id": gone })).await;
            vec![
                ("again", ada, json!({ "id": gone })),
                ("forbidden", user, json!({ "id": group })),
                ("anonymous", anonymous, json!({ "id": group })),
            ]
        }
        "updateInstitution" => {
            let institution = new_institution(&license_admin).await.0;
            let change = |name: &str| json!({ "id": institution, "name": name });
            license_admin
                .mutate(
                    "createInstitution",
                    "",
                    json!({ "name": "A", "kind": "HOSPITAL", "country": "AU", "externalId": "H-9" }),
                )
                .await;
            vec![
                ("the same again", license_admin.clone(), change("St Brigid ")),
                ("dryRun", license_admin.clone(), json!({ "id": institution, "name": "Other", "dryRun": true })),
                ("stale", license_admin.clone(), json!({ "id": institution, "name": "Other", "expectedVersion": 7 })),
                ("taken", license_admin.clone(), json!({ "id": institution, "externalId": "H-9" })),
                ("bad", license_admin.clone(), change(" ")),
                ("unknown", license_admin, json!({ "id": nobody, "name": "Other" })),
                ("another's", app.admin().await, change("Other")),
                ("forbidden", user, change("Other")),
                ("anonymous", anonymous, change("Other")),
            ]
        }
        "deleteInstitution" => {
            let (institution, gone, full) = (
                new_institution(&license_admin).await.0,
                new_institution(&license_admin).await.0,
                new_institution(&license_admin).await.0,
            );
            license_admin.mutate("deleteInstitution", "", json!({ "id": gone })).await;
            license_admin.mutate("updateUser", "", json!({ "id": ada.id(), "institutionId": full })).await;
            vec![
                ("again", license_admin.clone(), json!({ "id": gone })),
                ("people", license_admin, json!({ "id": full })),
                ("another's", app.admin().await, json!({ "id": institution })),
                ("forbidden", user, json!({ "id": institution })),
                ("anonymous", anonymous, json!({ "id": institution })),
            ]
        }
        "grantSiteAccess" | "revokeSiteAccess" => {
            let (institution, other) =
                (new_institution(&license_admin).await.0, new_institution(&license_admin).await.0);
            let input = |institution| json!({ "userId": ada.id(), "institutionId": institution });
            license_admin.mutate("grantSiteAccess", "", input(institution)).await;
            let again = if mutation == "grantSiteAccess" { institution } else { other };
            vec![
                ("the same again", license_admin.clone(), input(again)),
                ("bad", license_admin.clone(), json!({ "userId": "x", "institutionId": "y" })),
                ("unknown", license_admin, input(nobody)),
                ("another's", app.admin().await, input(institution)),
                ("forbidden", user, input(institution)),
                ("anonymous", anonymous, input(institution)),
            ]
        }
        "createInstitution" => {
            let institution = |id: &str| json!({ "name": "A", "kind": "HOSPITAL", "country": "AU", "externalId": id });
            license_admin.mutate("createInstitution", "", institution("H-7")).await;
            vec![
                ("taken", license_admin.clone(), institution("H-7")),
                ("bad", license_admin, json!({ "name": "A", "kind": "HOSPITAL", "country": "Nowhere" })),
                ("forbidden", user, institution("H-8")),
                ("anonymous", anonymous, institution("H-8")),
            ]
        }
        "renameLicense" => {
            let input = |holder: &str| json!({ "id": app.license.0, "holder": holder });
            vec![
                ("the same again", license_admin.clone(), input("Alder Hospital")),
                ("bad", license_admin.clone(), input(" ")),
                ("unknown", license_admin.clone(), json!({ "id": nobody, "holder": "A" })),
                ("another's", license_admin, json!({ "id": app.other_license.0, "holder": "A" })),
                ("forbidden", app.admin().await, input("A")),
                ("forbidden", user, input("A")),
                ("anonymous", anonymous, input("A")),
            ]
        }
        "defineAttribute" => {
            define(&license_admin, "badge").await;
            let badge = json!({ "name": "badge", "label": "Badge", "kind": "STRING", "required": false });
            vec![
                ("the same again", license_admin.clone(), badge.clone()),
                ("bad", license_admin, json!({ "name": "Badge", "label": "" })),
                ("forbidden", app.admin().await, badge.clone()),
                ("forbidden", user, badge.clone()),
                ("anonymous", anonymous, badge),
            ]
        }
        "removeAttribute" => vec![
            ("unknown", license_admin, json!({ "name": "nothing" })),
            ("forbidden", user, json!({ "name": "badge" })),
            ("anonymous", anonymous, json!({ "name": "badge" })),
        ],
        "createApiKey" => vec![
            ("bad", license_admin, json!({ "name": " " })),
            ("too much", app.admin().await, json!({ "name": "A", "role": "LICENSE_ADMIN" })),
            ("forbidden", user, json!({ "name": "A" })),
            ("anonymous", anonymous, json!({ "name": "A" })),
        ],
        "revokeApiKey" => {
            let (key, _) = new_key(&license_admin, "USER").await;
            let (gone, _) = new_key(&license_admin, "USER").await;
            license_admin.mutate("revokeApiKey", "", json!({ "id": gone.0 })).await;
            vec![
                ("again", license_admin, json!({ "id": gone.0 })),
                ("another's", app.admin().await, json!({ "id": key.0 })),
                ("forbidden", user, json!({ "id": key.0 })),
                ("anonymous", anonymous, json!({ "id": key.0 })),
            ]
        }
        other => panic!("{other} has no case here: add the inputs that change nothing"),
    }
}

/// The mutations of anonymous callers whose events have no actor.
const OF_STRANGERS: [&str; 2] = ["registerUser", "requestPasswordReset"];

/// The names of all mutations of the schema.
pub fn mutations() -> Vec<String> {
    SCHEMA.fields("Mutation").iter().map(|field| field.name.node.to_string()).collect()
}

/// A page of the events that a caller sees.
async fn page(caller: &Caller<'_>, arguments: &str) -> Value {
    let query = format!(
        "{{ auditEvents{arguments} {{ totalCount pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} edges {{ cursor node {{ {EVENT} }} }} nodes {{ id }} }} }}"
    );
    caller.data(&query, json!({})).await["auditEvents"].clone()
}

/// The ids of all events that a caller sees, newest first.
async fn seen(caller: &Caller<'_>) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), Value::Null);
    loop {
        let query = "query ($after: String) { auditEvents(first: 100, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } } }";
        let page = caller.data(query, json!({ "after": after })).await["auditEvents"].clone();
        ids.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            assert_eq!(page["totalCount"], json!(ids.len()));
            return ids;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// The ids of the events that meet a condition, newest first.
async fn expected(app: &App, is_seen: impl Fn(&audit_event::Model) -> bool) -> Vec<String> {
    trail(&app.db).await.iter().rev().filter(|event| is_seen(event)).map(|event| event.id.0.to_string()).collect()
}

/// The whole table as text, with bytes both as they are and in hexadecimal.
pub async fn raw(db: &Db) -> String {
    let mut text = String::new();
    for event in trail(db).await {
        let bytes = [event.salt.as_ref(), event.changes_hash.as_ref(), Some(&event.previous), Some(&event.hash)];
        for bytes in bytes.into_iter().flatten() {
            writeln!(text, "{} {}", String::from_utf8_lossy(bytes), hex::encode(bytes)).unwrap();
        }
        writeln!(text, "{event:?} {}", event.changes.as_deref().unwrap_or_default()).unwrap();
    }
    text
}

pub async fn sql(app: &App, sql: &str) {
    app.db.write().execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn text_of(app: &App, sql: &str) -> String {
    let statement = Statement::from_string(app.db.read().get_database_backend(), sql);
    app.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Drops the triggers that make the table append-only.
async fn drop_triggers(app: &App) {
    let on = if app.db.is_postgres() { " ON audit_events" } else { "" };
    for trigger in ["audit_events_insert", "audit_events_update", "audit_events_delete"] {
        sql(app, &format!("DROP TRIGGER {trigger}{on}")).await;
    }
    if !app.db.is_postgres() {
        sql(app, "DROP TRIGGER audit_events_order").await;
    }
}

/// The statement that inserts a tombstone of a user.
fn tombstone_of(app: &App, id: Id) -> String {
    let uuid = |id: Id| if app.db.is_postgres() { format!("'{}'", id.0) } else { format!("x'{}'", id.0.simple()) };
    let (id, license) = (uuid(id), uuid(app.license));
    format!("INSERT INTO tombstones VALUES ({id}, {license}, '2026-01-01T00:00:00+00:00', NULL)")
}

/// Writes a trail with an event in the middle that has a value in every column; returns its `seq`.
async fn with_full_event(app: &App) -> i64 {
    let license_admin = app.license_admin().await;
    let user = app.user().await;
    let (_, program) = new_key(&license_admin, "LICENSE_ADMIN").await;
    let payload = program
        .mutate("updateUser", "", json!({ "id": user.id(), "nickname": "Nick", "birthDate": "1980-07-08" }))
        .await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    let full = trail(&app.db).await.pop().unwrap();
    assert!(full.actor_id.is_some() && full.api_key_id.is_some() && full.request_id.is_some() && full.salt.is_some());
    license_admin.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    license_admin.mutate("setActive", "", json!({ "id": user.id(), "active": false })).await;
    full.seq
}

/// Values that a column of an event, other than its number, can be changed to from the given value.
pub fn other_values(column: impl ColumnTrait, value: &sea_orm::Value) -> Vec<SimpleExpr> {
    use sea_orm::Value::{Bytes, ChronoDateTimeUtc, String as Text, Uuid};
    let mut values = match (column.as_str(), value) {
        ("action", _) => ["USER_DELETED", "USER_UPDATED ", "NONSENSE"].map(Expr::value).to_vec(),
        ("subject_type", _) => ["GROUP", "user"].map(Expr::value).to_vec(),
        (_, Uuid(Some(_))) => vec![Expr::value(Id::new())],
        (_, ChronoDateTimeUtc(Some(at))) => {
            vec![Expr::value(*at + TimeDelta::microseconds(1)), Expr::value(*at - TimeDelta::days(1))]
        }
        (_, Text(Some(text))) => vec![Expr::value(format!("{text} ")), Expr::value(String::new())],
        (_, Bytes(Some(bytes))) => {
            let mut changed = bytes.clone();
            *changed.last_mut().unwrap() ^= 1;
            vec![Expr::value(changed), Expr::value(vec![0_u8; 3])]
        }
        (name, value) => panic!("{name}: {value:?}"),
    };
    if column.def().is_null() {
        values.push(match column.def().get_column_type() {
            ColumnType::Uuid => Expr::value(None::<uuid::Uuid>),
            ColumnType::VarBinary(_) => Expr::value(None::<Vec<u8>>),
            _ => Expr::value(None::<String>),
        });
    }
    values
}

pub async fn verified(app: &App) -> VerificationReport {
    verify(&app.db).await.unwrap()
}

pub async fn assert_intact(app: &App) {
    let report = verified(app).await;
    assert!(report.errors.is_empty() && report.error_count == 0, "{:?}", report.errors);
    assert_eq!(report.events, length(app).await as u64);
    assert_eq!(report.hash, trail(&app.db).await.pop().map(|event| hex::encode(event.hash)).unwrap_or_default());
}

/// Opens other connections to the same database.
pub async fn another_handle(app: &App) -> Db {
    let url = if app.db.is_postgres() {
        let port = text_of(app, "SELECT inet_server_port()::text").await;
        format!("postgres://roster@127.0.0.1:{port}/{}", text_of(app, "SELECT current_database()::text").await)
    } else {
        format!("sqlite://{}", file_of(app).await)
    };
    Db::connect(&database(url, 4)).await.unwrap()
}

/// The path of the file of a SQLite database.
async fn file_of(app: &App) -> String {
    text_of(app, "SELECT file FROM pragma_database_list WHERE name = 'main'").await
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

on_every_database! {
    async fn each_effective_mutation_appends_one_event_with_its_changes(app: App) {
        let license_admin = app.license_admin().await;
        for mutation in mutations().into_iter().filter(|mutation| !OF_STRANGERS.contains(&mutation.as_str())) {
            let EffectiveCase { by, input, action, actor, subject, changes: expected } = effective_case(&app, &mutation).await;
            let before = length(&app).await;
            let (response, request_id) = send(&by, &mutation, &input).await;
            assert_eq!(response.pointer(&format!("/data/{mutation}/success")), Some(&json!(true)), "{mutation}: {response:#}");
            let trail = trail(&app.db).await;
            let [event] = &trail[before..] else { panic!("{mutation}: {:?}", &trail[before..]) };
            assert_eq!((event.action, event.actor_id, event.subject_type), (action, Some(actor), subject.0), "{mutation}");
            assert_eq!(event.request_id.as_deref(), Some(request_id.as_str()), "{mutation}");
            assert_eq!((event.license_id, event.api_key_id), (app.license, None), "{mutation}");
            if let Some(id) = subject.1 {
                assert_eq!(event.subject_id, id, "{mutation}");
            }
            assert!((Utc::now() - event.at).abs() < TimeDelta::minutes(1));
            let mut recorded = changes(event);
            for (field, (before, after)) in &mut recorded {
                if field == "lastLogin" {
                    for value in [before, after] {
                        *value = if value.as_str().is_some_and(|at| at.parse::<DateTime<Utc>>().is_ok()) { json!("some") } else { Value::Null };
                    }
                }
            }
            let expected: BTreeMap<String, (Value, Value)> = expected.into_iter().map(|(field, before, after)| (field.to_owned(), (before, after))).collect();
            assert_eq!(recorded, expected, "{mutation}");

            let shown = page(&license_admin, "(first: 1)").await["edges"][0]["node"].clone();
            assert_eq!((&shown["id"], &shown["requestId"]), (&json!(event.id.0), &json!(request_id)));
            assert_eq!((&shown["subjectId"], &shown["changes"].as_array().unwrap().len()), (&json!(event.subject_id.0), &expected.len()));
            let is_gone = ["deleteUser", "deleteGroup", "deleteInstitution", "revokeApiKey", "removeAttribute"].contains(&mutation.as_str());
            let kind = match subject.0 {
                SubjectType::User => "User", SubjectType::Group => "Group", SubjectType::Institution => "Institution",
                SubjectType::ApiKey => "ApiKey", SubjectType::License => "License", SubjectType::Attribute => "AttributeDefinition",
            };
            let subject = if is_gone { Value::Null } else { json!({ "__typename": kind, "id": event.subject_id.0 }) };
            assert_eq!((&shown["subject"], &shown["actor"]["id"]), (&subject, &json!(actor.0)), "{mutation}: {shown:#}");
            assert_intact(&app).await;
        }
    }

    async fn each_field_of_a_user_is_recorded_with_its_values(app: App) {
        let superuser = app.superuser().await;
        let institution = json!(new_institution(&superuser).await.0);
        let id = app.create("Bea", app.license, UserFields::default(), Undefined).await.id;
        let state = async || {
            let query = format!("query ($id: ID!) {{ user(by: {{ id: $id }}) {{ {} }} }}", *USER_SELECTION);
            superuser.data(&query, json!({ "id": id.0 })).await["user"].clone()
        };
        for field in USER_FIELDS.iter() {
            let value = field.example().unwrap_or(&institution);
            let (old, length) = (state().await, length(&app).await);
            let (response, _) = send(&superuser, "updateUser", &json!({ "id": id.0, field.name: value })).await;
            assert_eq!(response["data"]["updateUser"]["success"], json!(true), "{}: {response:#}", field.name);
            let (new, trail) = (state().await, trail(&app.db).await);
            let [event] = &trail[length..] else { panic!("{}: {:?}", field.name, &trail[length..]) };
            let expected: BTreeMap<String, (Value, Value)> = match field.name {
                "institutionId" => BTreeMap::from([("institutionId".to_owned(), (Value::Null, institution.clone()))]),
                "adminRights" => {
                    let rights = value.as_object().unwrap().keys();
                    rights.map(|right| (format!("adminRights.{right}"), (old["adminRights"][right].clone(), new["adminRights"][right].clone()))).collect()
                }
                name => BTreeMap::from([(name.to_owned(), (old[name].clone(), new[name].clone()))]),
            };
            assert_eq!(changes(event), expected, "{}", field.name);
            assert!(expected.values().all(|(before, after)| before != after), "{}: {expected:?}", field.name);
        }
        assert_intact(&app).await;
    }

    async fn registrations_and_password_resets_are_recorded_without_an_actor(app: App) {
        let ada = ada(&app).await;
        let give = json!({ "id": ada.id(), "email": "ada@x.example" });
        app.license_admin().await.mutate("updateUser", "", give).await;
        app.mails().await;
        let before = length(&app).await;
        let stranger = json!({ "firstName": "Eve", "lastName": "Moss", "email": "eve@x.example" });
        let (_, request_id) = send(&app.anonymous(), "registerUser", &stranger).await;
        send(&app.anonymous(), "requestPasswordReset", &json!({ "email": "nobody@x.example" })).await;
        send(&app.anonymous(), "requestPasswordReset", &json!({ "email": "ada@x.example" })).await;
        app.mails().await;
        let trail = trail(&app.db).await;
        let [registration, link] = &trail[before..] else { panic!("{:?}", &trail[before..]) };
        assert_eq!((registration.action, registration.subject_id, registration.actor_id), (AuditAction::RegistrationRequested, app.license, None));
        assert_eq!((registration.request_id.as_deref(), &registration.changes), (Some(request_id.as_str()), &None));
        assert_eq!((link.action, link.subject_id, link.actor_id), (AuditAction::LinkCreated, ada.id, None));
    }

    async fn mutations_that_change_nothing_append_no_event(app: App) {
        for mutation in mutations() {
            let cases = cases_without_effect(&app, &mutation).await;
            assert!(!cases.is_empty());
            for (case, by, input) in cases {
                let before = length(&app).await;
                let (response, _) = send(&by, &mutation, &input).await;
                assert_eq!(length(&app).await, before, "{mutation}, {case}: {response:#}");
                let text = response.to_string();
                assert!(!text.contains("INTERNAL"), "{mutation}, {case}: {text}");
                let succeeds = ["not locked", "no secret to remove", "dryRun", "the same again", "inactive again", "active again", "no other", "none of these", "no member"];
                let success = response.pointer(&format!("/data/{mutation}/success")) == Some(&json!(true));
                assert_eq!(success, succeeds.contains(&case), "{mutation}, {case}: {text}");
            }
        }
        assert_intact(&app).await;
    }

    async fn a_lock_is_recorded_once_with_its_request_and_without_an_actor(app: App) {
        let ada = ada(&app).await;
        let name = username(&ada).await;
        ada.mutate("setPin", "", json!({ "pin": "0042" })).await;
        let device = app.anonymous().mutate("login", "deviceToken", json!({ "login": name, "password": PASSWORD })).await["deviceToken"].clone();
        let cases = [
            (12, json!({ "login": name, "pin": "9999", "deviceToken": device }), AuditAction::PinLocked, 5),
            (12, json!({ "login": name, "password": "wrong" }), AuditAction::SignInLocked, 10),
        ];
        for (attempts, input, action, last) in cases {
            let before = length(&app).await;
            let mut requests = Vec::new();
            for _ in 0..attempts {
                requests.push(send(&app.anonymous(), "login", &input).await.1);
            }
            // A lock is recorded after the answer, which shows nothing of it.
            let recorded = || async { Some(trail(&app.db).await).filter(|trail| trail.len() > before) };
            let trail = until(recorded).await.expect("the event of the lock");
            let [event] = &trail[before..] else { panic!("{:?}", &trail[before..]) };
            assert_eq!((event.action, event.actor_id, event.subject_id), (action, None, ada.id));
            assert_eq!(event.request_id.as_ref(), Some(&requests[last - 1]), "the request of the attempt that locked");
        }
    }

    async fn events_of_a_program_name_its_api_key(app: App) {
        let license_admin = app.license_admin().await;
        let (key, program) = new_key(&license_admin, "ADMIN").await;
        let user = app.user().await;
        program.mutate("updateUser", "", json!({ "id": user.id(), "nickname": "A" })).await;
        let event = trail(&app.db).await.pop().unwrap();
        assert_eq!((event.actor_id, event.api_key_id), (Some(license_admin.id), Some(key)));
        let shown = async |caller: &Caller<'_>| page(caller, &format!("(first: 1, filter: {{ subject: \"{}\" }})", user.id())).await["edges"][0]["node"].clone();
        let node = shown(&license_admin).await;
        assert_eq!((&node["actor"]["id"], &node["apiKey"]["id"]), (&json!(license_admin.id()), &json!(key.0)));
        for caller in [&user, &app.admin().await, &program] {
            assert_eq!(shown(caller).await["apiKey"], Value::Null, "viewers who may not see the API key");
        }
        license_admin.mutate("revokeApiKey", "", json!({ "id": key.0 })).await;
        let node = shown(&license_admin).await;
        assert_eq!((&node["actor"]["id"], &node["apiKey"]), (&json!(license_admin.id()), &Value::Null), "the API key was revoked");
    }

    async fn the_trail_contains_no_secrets(app: App) {
        let license_admin = app.license_admin().await;
        let ada = ada(&app).await;
        let name = username(&ada).await;
        let login = app.anonymous().mutate("login", "token deviceToken", json!({ "login": name, "password": PASSWORD })).await;
        let mut secrets: Vec<String> = [&login["token"], &login["deviceToken"]].iter().map(|token| token.as_str().unwrap().to_owned()).collect();
        secrets.push(ada.token.clone().unwrap());
        ada.mutate("setPin", "", json!({ "pin": "4711" })).await;
        ada.mutate("changePassword", "", json!({ "currentPassword": PASSWORD, "newPassword": "nine-velvet-comets-hum" })).await;
        let by_pin = json!({ "login": name, "pin": "4711", "deviceToken": login["deviceToken"] });
        app.anonymous().mutate("login", "", by_pin).await;
        license_admin.mutate("updateUser", "", json!({ "id": ada.id(), "password": "four-amber-kettles-sing", "pin": "8142" })).await;
        let eve = json!({ "firstName": "Eve", "lastName": "Moss", "username": "eve", "password": "six-copper-lanterns-drift", "pin": "9053" });
        license_admin.mutate("createUser", "", eve).await;
        let created = license_admin.mutate("createApiKey", "secret", json!({ "name": "Rota" })).await;
        secrets.push(created["secret"].as_str().unwrap().to_owned());
        let bare = app.create("Bea", app.license, UserFields::default(), Undefined).await.id;
        let token = new_link(&app, bare).await;
        app.anonymous().mutate("activateAccount", "", json!({ "token": token, "password": "two-silent-herons-argue" })).await;
        new_link(&app, ada.id).await;
        secrets.push(token);
        secrets.extend([PASSWORD, "nine-velvet-comets-hum", "four-amber-kettles-sing", "six-copper-lanterns-drift", "two-silent-herons-argue"].map(str::to_owned));
        secrets.extend(["\"4711\"", "\"8142\"", "\"9053\""].map(str::to_owned));
        let db = app.db.read();
        secrets.extend(credential::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.password_hash));
        secrets.extend(pin::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.pin_hash));
        let mut hashes: Vec<Vec<u8>> = session::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.token_hash).collect();
        hashes.extend(device::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.token_hash));
        hashes.extend(link::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.token_hash));
        hashes.extend(api_key::Entity::find().all(db).await.unwrap().into_iter().map(|row| row.token_hash));
        assert!(secrets.len() > 15 && hashes.len() >= 5, "{} {}", secrets.len(), hashes.len());
        secrets.extend(hashes.iter().map(hex::encode));
        secrets.extend(hashes.iter().map(|hash| format!("{hash:?}")));
        let trail = raw(&app.db).await;
        assert!(trail.contains("password") && trail.contains("\"pin\""), "the changes must be recorded without values");
        for secret in secrets {
            assert!(!trail.contains(&secret), "{secret}");
        }
    }

    async fn users_see_events_about_themselves_and_administrators_their_license(app: App) {
        let (root, license_admin, admin, ada, bob, stranger) =
            (app.superuser().await, app.license_admin().await, app.admin().await, app.user().await, app.user().await, app.other_license_user().await);
        for (subject, by) in [(&ada, &license_admin), (&bob, &license_admin), (&ada, &ada), (&stranger, &root), (&ada, &root)] {
            let input = json!({ "id": subject.id(), "nickname": format!("N{}", length(&app).await) });
            assert_eq!(by.mutate("updateUser", "", input).await["success"], json!(true));
        }
        new_group(&ada).await;
        assert_eq!(app.anonymous().error_code("{ auditEvents { totalCount } }", json!({})).await, "UNAUTHENTICATED");
        for user in [&ada, &bob, &stranger] {
            let own = expected(&app, |event| event.subject_id == user.id).await;
            assert!(own.len() >= 3);
            assert_eq!(seen(user).await, own);
        }
        let of_license = expected(&app, |event| event.license_id == app.license).await;
        for administrator in [&license_admin, &admin] {
            assert_eq!(seen(administrator).await, of_license);
        }
        let all = expected(&app, |_| true).await;
        assert_eq!(seen(&root).await, all);
        assert!(all.len() > of_license.len());

        let (_, program) = new_key(&license_admin, "USER").await;
        assert_eq!(seen(&program).await, expected(&app, |event| event.subject_id == license_admin.id).await, "a program has the rank of its key");

        let of_bob = expected(&app, |event| event.subject_id == bob.id).await[0].clone();
        let node = "query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }";
        let there = json!({ "node": { "__typename": "AuditEvent", "id": of_bob }, "nodes": [{ "id": of_bob }] });
        let nothing = json!({ "node": null, "nodes": [null] });
        for (caller, expected) in [(&bob, &there), (&license_admin, &there), (&admin, &there), (&root, &there), (&ada, &nothing), (&stranger, &nothing)] {
            assert_eq!(caller.data(node, json!({ "id": of_bob })).await, *expected);
        }
        assert_eq!(app.anonymous().error_code("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": of_bob })).await, "UNAUTHENTICATED");

        let of = |caller: &Caller<'_>| format!("(filter: {{ subject: \"{}\" }})", caller.id());
        for (caller, subject, is_seen) in [(&ada, &bob, false), (&ada, &ada, true), (&stranger, &ada, false), (&license_admin, &bob, true), (&license_admin, &stranger, false), (&root, &stranger, true)] {
            let total = page(caller, &of(subject)).await["totalCount"].as_i64().unwrap();
            assert_eq!(total > 0, is_seen);
        }
        for (caller, actor, is_seen) in [(&bob, &license_admin, true), (&license_admin, &root, true), (&stranger, &license_admin, false)] {
            let total = page(caller, &format!("(filter: {{ actor: \"{}\" }})", actor.id())).await["totalCount"].as_i64().unwrap();
            assert_eq!(total > 0, is_seen);
        }

        let by_root = page(&stranger, "").await["edges"].as_array().unwrap().iter().map(|edge| edge["node"].clone()).find(|node| node["action"] == json!("USER_UPDATED")).unwrap();
        assert_eq!((&by_root["actor"], &by_root["subject"]["id"]), (&Value::Null, &json!(stranger.id())), "an actor of another license must be hidden");

        let cursor = page(&ada, "(first: 1)").await["pageInfo"]["endCursor"].clone();
        let of_license = page(&license_admin, "(first: 1)").await["pageInfo"]["endCursor"].clone();
        for (caller, cursor) in [(&bob, &cursor), (&license_admin, &cursor), (&ada, &of_license), (&root, &of_license), (&stranger, &cursor)] {
            assert_eq!(caller.error_code("query ($after: String) { auditEvents(after: $after) { totalCount } }", json!({ "after": cursor })).await, "BAD_USER_INPUT");
        }
        page(&admin, &format!("(after: {of_license})")).await;
    }

    async fn private_changes_are_shown_only_to_viewers_who_may_see_the_field(app: App) {
        let (license_admin, ada) = (app.license_admin().await, app.user().await);
        let rights = json!({ "isGroupAdmin": true, "isProjectAdmin": true });
        let input = json!({ "id": ada.id(), "birthDate": "1980-07-08", "mobile": "0777", "externalId": "E-1", "phone": "1", "adminRights": rights });
        assert_eq!(license_admin.mutate("updateUser", "", input).await["success"], json!(true));
        let shown = async |caller: &Caller<'_>| {
            let node = page(caller, &format!("(first: 1, filter: {{ subject: \"{}\", action: [USER_UPDATED] }})", ada.id())).await["edges"][0]["node"].clone();
            let changes = node["changes"].as_array().unwrap().iter().map(|change| (change["field"].as_str().unwrap().to_owned(), change["after"].clone()));
            (node["id"].as_str().unwrap().to_owned(), changes.collect::<BTreeMap<_, _>>())
        };
        let all = json!({ "birthDate": "1980-07-08", "mobile": "0777", "externalId": "E-1", "phone": "1", "adminRights.isGroupAdmin": true, "adminRights.isProjectAdmin": true });
        let mut own = all.clone();
        (own["adminRights.isGroupAdmin"], own["adminRights.isProjectAdmin"]) = (Value::Null, Value::Null);
        let (id, seen) = shown(&ada).await;
        assert_eq!(json!(seen), own, "own values, and of administrative rights only the names of the fields");
        for caller in [&license_admin, &app.admin().await, &app.superuser().await] {
            assert_eq!(json!(shown(caller).await.1), all);
        }
        let by_node = ada.data("query ($id: ID!) { node(id: $id) { ... on AuditEvent { changes { field before after } } } }", json!({ "id": id })).await;
        let rights: Vec<&Value> = by_node["node"]["changes"].as_array().unwrap().iter().filter(|change| change["field"].as_str().unwrap().starts_with("adminRights")).collect();
        assert!(rights.len() == 2 && rights.iter().all(|change| change["before"].is_null() && change["after"].is_null()), "{rights:?}");
    }

    async fn api_keys_are_nodes_for_viewers_who_may_list_them(app: App) {
        let (license_admin, admin, user, stranger, root) = (app.license_admin().await, app.admin().await, app.user().await, app.other_license_user().await, app.superuser().await);
        let (of_chief, program) = new_key(&license_admin, "LICENSE_ADMIN").await;
        let (of_admin, _) = new_key(&admin, "ADMIN").await;
        let node = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on ApiKey { name role } } }";
        let shown = |key: Id, role: &str| json!({ "__typename": "ApiKey", "id": key.0, "name": "Rota", "role": role });
        let (one, other) = (shown(of_chief, "LICENSE_ADMIN"), shown(of_admin, "ADMIN"));
        let cases = [
            (&license_admin, json!([one, other])), (&root, json!([one, other])), (&admin, json!([null, other])),
            (&user, json!([null, null])), (&stranger, json!([null, null])), (&program, json!([null, null])),
        ];
        for (caller, expected) in cases {
            assert_eq!(caller.data(node, json!({ "ids": [of_chief.0, of_admin.0] })).await["nodes"], expected);
        }
    }

    async fn the_database_refuses_to_change_or_delete_events(app: App) {
        with_full_event(&app).await;
        let before = trail(&app.db).await;
        let columns = "seq, id, license_id, at, action, actor_id, api_key_id, subject_type, subject_id, request_id, changes, salt, changes_hash, previous, hash";
        let copy = |seq: &str, id: &str| {
            let values = columns.replacen("seq, id", &format!("{seq}, {id}"), 1);
            format!("INTO audit_events ({columns}) SELECT {values} FROM audit_events WHERE seq = 3")
        };
        let mut attempts = vec![
            "DELETE FROM audit_events".to_owned(),
            "DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)".to_owned(),
            "UPDATE audit_events SET changes = NULL, salt = NULL".to_owned(),
            "UPDATE audit_events SET changes = NULL, salt = NULL WHERE seq = 5".to_owned(),
            format!("INSERT {}", copy("0", "license_id")),
            format!("INSERT {}", copy("-1", "subject_id")),
        ];
        attempts.extend(Column::iter().map(|column| format!("UPDATE audit_events SET {0} = {0}", sea_orm::IdenStatic::as_str(&column))));
        if app.db.is_postgres() {
            attempts.push("TRUNCATE audit_events".to_owned());
            attempts.push("TRUNCATE audit_events, licenses CASCADE".to_owned());
            attempts.push(format!("INSERT {} ON CONFLICT (seq) DO UPDATE SET action = 'SIGNED_IN'", copy("seq", "license_id")));
        } else {
            attempts.push(format!("INSERT OR REPLACE {}", copy("seq", "license_id")));
            attempts.push(format!("REPLACE {}", copy("seq + 1", "license_id")));
            attempts.push(format!("REPLACE {}", copy("1000", "id")));
            attempts.push("UPDATE OR REPLACE audit_events SET seq = 2 WHERE seq = 3".to_owned());
            attempts.push(format!("INSERT {} ON CONFLICT (seq) DO UPDATE SET action = 'SIGNED_IN'", copy("seq", "license_id")));
        }
        for attempt in attempts {
            let error = app.db.write().execute_unprepared(&attempt).await.expect_err(&attempt).to_string();
            assert!(error.contains("audit_events is append-only"), "{attempt}: {error}");
            assert_eq!(trail(&app.db).await, before, "{attempt}");
        }
        assert_intact(&app).await;
    }

    async fn erasing_a_user_removes_their_data_from_the_trail_and_keeps_the_chain(app: App) {
        let license_admin = app.license_admin().await;
        let personal = json!({
            "firstName": "Zephyrinella", "lastName": "Quartermainly", "username": "zephq77", "email": "zephyrinella@quartermainly.example",
            "nickname": "Zephylein", "certifiedEmail": "zeph.certified@quartermainly.example", "phone": "+61255501234", "mobile": "+61455598765",
            "birthDate": "1983-11-29", "website": "https://quartermainly.example/zeph", "externalId": "QZ-770011", "position": "Perfusionistin",
        });
        let mut input = personal.clone();
        input["password"] = json!(PASSWORD);
        let id = license_admin.mutate("createUser", "user { id }", input.clone()).await["user"]["id"].as_str().unwrap().to_owned();
        let other = license_admin.mutate("createUser", "user { id }", json!({ "firstName": "Other", "lastName": "Tester", "username": "other" })).await;
        let login = app.anonymous().mutate("login", "token", json!({ "login": "zephq77", "password": PASSWORD })).await;
        let herself = Caller { app: &app, id: Id::parse(&id).unwrap(), token: login["token"].as_str().map(str::to_owned) };
        herself.mutate("updateUser", "", json!({ "id": id, "nickname": "Zephyrchen" })).await;
        let group = new_group(&herself).await.0;
        herself.mutate("setGroupMember", "", json!({ "groupId": group, "userId": license_admin.id(), "role": "MEMBER" })).await;
        license_admin.mutate("setActive", "", json!({ "id": id, "active": false, "reason": "Unauffindbarkeit" })).await;
        let values: Vec<String> = personal.as_object().unwrap().values().map(|value| value.as_str().unwrap().to_owned())
            .chain(["Zephyrchen", "Unauffindbarkeit"].map(str::to_owned)).collect();
        let before = raw(&app.db).await;
        for value in &values {
            assert!(before.contains(value), "{value}");
        }
        let hashes: Vec<Vec<u8>> = trail(&app.db).await.into_iter().map(|event| event.hash).collect();

        let (response, request_id) = send(&license_admin, "deleteUser", &json!({ "id": id })).await;
        assert_eq!(response["data"]["deleteUser"]["success"], json!(true), "{response:#}");
        let after = raw(&app.db).await;
        for value in &values {
            assert!(!after.contains(value), "{value}");
        }
        let events = trail(&app.db).await;
        assert!(events.iter().zip(&hashes).all(|(event, hash)| event.hash == *hash), "a hash of the chain changed");
        let subject = Id::parse(&id).unwrap();
        let of_her: Vec<&audit_event::Model> = events.iter().filter(|event| event.subject_id == subject).collect();
        assert_eq!(of_her.iter().map(|event| event.action).collect::<Vec<_>>(),
            [AuditAction::UserCreated, AuditAction::SignedIn, AuditAction::UserUpdated, AuditAction::UserDeactivated, AuditAction::UserDeleted]);
        assert!(of_her.iter().all(|event| event.changes.is_none() && event.salt.is_none()));
        let others = Id::parse(other["user"]["id"].as_str().unwrap()).unwrap();
        assert!(events.iter().filter(|event| event.subject_id == others).all(|event| event.changes.is_some()), "changes of another user were erased");
        let stone = tombstone::Entity::find_by_id(subject).one(app.db.read()).await.unwrap().unwrap();
        assert_eq!((stone.license_id, stone.deleted_by), (app.license, Some(license_admin.id)));
        assert!((Utc::now() - stone.deleted_at).abs() < TimeDelta::minutes(1));
        assert_intact(&app).await;

        let shown = page(&license_admin, &format!("(filter: {{ subject: \"{id}\" }})")).await;
        assert_eq!((&shown["totalCount"], &shown["edges"][0]["node"]["action"], &shown["edges"][0]["node"]["requestId"]), (&json!(5), &json!("USER_DELETED"), &json!(request_id)));
        assert!(shown["edges"].as_array().unwrap().iter().all(|edge| edge["node"]["changes"] == json!([]) && edge["node"]["subject"].is_null()));
        let deeds = page(&license_admin, &format!("(filter: {{ actor: \"{id}\" }})")).await;
        assert_eq!(deeds["totalCount"], json!(4), "events with the erased user as actor must remain");
        assert!(deeds["edges"].as_array().unwrap().iter().all(|edge| edge["node"]["actor"].is_null()));

        let again = license_admin.mutate("createUser", "user { id }", input).await;
        assert_eq!(again["success"], json!(true), "email, username and external ID must be available again: {again:#}");
        let error = app.db.write().execute_unprepared("UPDATE audit_events SET changes = 'x' WHERE changes IS NULL").await;
        assert!(error.unwrap_err().to_string().contains("append-only"), "events of an erased user must not get changes");
    }

    async fn verification_finds_any_single_change(app: App) {
        let middle = with_full_event(&app).await;
        assert_intact(&app).await;
        drop_triggers(&app).await;
        for table in ["audit_events", "audit_head"] {
            sql(&app, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
        let columns: Vec<String> = Column::iter().map(|column| sea_orm::IdenStatic::as_str(&column).to_owned()).collect();
        let columns = columns.join(", ");
        let restore = async || {
            sql(&app, &format!("DELETE FROM audit_events; INSERT INTO audit_events ({columns}) SELECT {columns} FROM kept_audit_events")).await;
            sql(&app, "DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_audit_head").await;
            assert_intact(&app).await;
        };
        let finds = async |what: String, seq: Option<i64>| {
            let report = verified(&app).await;
            assert!(report.error_count > 0, "{what} is not found");
            assert_eq!(report.error_count, report.errors.len() as u64);
            if let Some(seq) = seq {
                assert!(report.errors.iter().any(|error| error.seq.is_some_and(|at| (seq..=seq + 1).contains(&at))), "{what}: {:?}", report.errors);
            }
            restore().await;
        };

        let full = audit_event::Entity::find_by_id(middle).one(app.db.read()).await.unwrap().unwrap();
        for column in Column::iter() {
            let values = match column {
                Column::Seq => vec![Expr::value(middle + 1_000), Expr::value(-middle)],
                column => other_values(column, &full.get(column)),
            };
            for value in values {
                let what = format!("{column:?} = {value:?}");
                let changed = audit_event::Entity::update_many().col_expr(column, value).filter(Column::Seq.eq(middle));
                assert_eq!(changed.exec(app.db.write()).await.unwrap().rows_affected, 1);
                finds(what, (!matches!(column, Column::Seq)).then_some(middle)).await;
            }
        }

        let last = full.seq.max(i64::try_from(length(&app).await).unwrap());
        let swapped = format!(
            "UPDATE audit_events SET seq = 1000000 WHERE seq = {middle}; UPDATE audit_events SET seq = {middle} WHERE seq = {middle} + 1; UPDATE audit_events SET seq = {middle} + 1 WHERE seq = 1000000"
        );
        let relinked = format!(
            "{swapped}; UPDATE audit_events SET previous = (SELECT hash FROM audit_events AS other WHERE other.seq = audit_events.seq - 1) WHERE seq IN ({middle}, {middle} + 1, {middle} + 2)"
        );
        let erased = format!("UPDATE audit_events SET changes = NULL, salt = NULL WHERE seq = {middle}");
        let mut cases = vec![
            ("the first event deleted", "DELETE FROM audit_events WHERE seq = 1".to_owned()),
            ("a middle event deleted", format!("DELETE FROM audit_events WHERE seq = {middle}")),
            ("a middle event deleted and those after it moved up", format!("DELETE FROM audit_events WHERE seq = {middle}; UPDATE audit_events SET seq = -seq WHERE seq > {middle}; UPDATE audit_events SET seq = -seq - 1 WHERE seq < 0")),
            ("the last event deleted", format!("DELETE FROM audit_events WHERE seq = {last}")),
            ("every event deleted", "DELETE FROM audit_events".to_owned()),
            ("two events swapped", swapped),
            ("two events swapped and linked", relinked),
            ("another seq in the head", "UPDATE audit_head SET seq = seq - 1".to_owned()),
            ("another hash in the head", "UPDATE audit_head SET hash = (SELECT hash FROM audit_events WHERE seq = 1)".to_owned()),
            ("the head deleted", "DELETE FROM audit_head".to_owned()),
            ("changes erased of nobody who was", erased.clone()),
            ("changes erased with their hash", format!("UPDATE audit_events SET changes = NULL, salt = NULL, changes_hash = NULL WHERE seq = {middle}")),
        ];
        if !app.db.is_postgres() {
            cases.push(("digits that an instant has not", format!("UPDATE audit_events SET at = replace(at, '+00:00', '1+00:00') WHERE seq = {middle}")));
            cases.push(("an instant of another zone", format!("UPDATE audit_events SET at = replace(at, '+00:00', 'Z') WHERE seq = {middle}")));
            cases.push(("no id", format!("UPDATE audit_events SET id = x'00' WHERE seq = {middle}")));
        }
        for (what, change) in cases {
            sql(&app, &change).await;
            finds(what.to_owned(), None).await;
        }
        // Erased changes are valid only with a tombstone of the subject itself, and only if the subject is deleted.
        sql(&app, &erased).await;
        sql(&app, &tombstone_of(&app, full.actor_id.unwrap())).await;
        assert_eq!(verified(&app).await.error_count, 1);
        sql(&app, &tombstone_of(&app, full.subject_id)).await;
        assert_eq!(verified(&app).await.error_count, 1);
        user::Entity::delete_by_id(full.subject_id).exec(app.db.write()).await.unwrap();
        assert_eq!(verified(&app).await.error_count, 0);
    }

    async fn verification_reads_the_whole_trail_and_lists_at_most_100_problems(app: App) {
        let mut records = String::new();
        for n in 0..2_300 {
            writeln!(records, "{}", json!({ "user": { "firstName": "Ann", "lastName": "Moss", "username": format!("ann{n}") } })).unwrap();
        }
        let file = std::io::Cursor::new(records);
        roster::import::load(&app.db, app.license, file, |_| ()).await.unwrap();
        assert_intact(&app).await;
        drop_triggers(&app).await;
        sql(&app, "UPDATE audit_events SET request_id = 'x' WHERE seq = 2201").await;
        let report = verified(&app).await;
        assert_eq!((report.error_count, report.errors[0].seq), (1, Some(2201)));
        sql(&app, "UPDATE audit_events SET request_id = 'x'").await;
        let report = verified(&app).await;
        assert_eq!((report.error_count, report.errors.len()), (report.events, 100));
        assert!(report.events > 2_300);
        assert!(report.errors.iter().map(|error| error.seq).eq((1..=100).map(Some)));
    }

    async fn parallel_writes_of_two_instances_make_one_chain(app: App) {
        let other = another_handle(&app).await;
        let users: Vec<user::Model> = join_all((0..8).map(|_| app.create("Writer", app.license, UserFields::default(), Undefined))).await;
        let before = length(&app).await;
        let tasks = users.iter().enumerate().map(|(n, user)| {
            let db = if n % 2 == 0 { app.db.clone() } else { other.clone() };
            let user = user.clone();
            tokio::spawn(async move {
                let opened = roster::session::start(&db, LIFETIME, &Client::default(), &user).await.unwrap();
                let viewer = SignedIn::new(&(&user).into(), AuthMethod::Session(opened.id), Some(format!("task-{n}")));
                let viewer = Viewer::SignedIn(viewer);
                for m in 0..10 {
                    let fields = GroupFields { name: Given(format!("Ward {n}.{m}")), ..GroupFields::default() };
                    roster::group::create(&db, &viewer, fields).await.unwrap();
                }
            })
        });
        let checks = async {
            for _ in 0..5 {
                let report = verified(&app).await;
                assert!(report.errors.is_empty(), "during parallel writes: {:?}", report.errors);
            }
        };
        let (tasks, ()) = tokio::join!(join_all(tasks.collect::<Vec<_>>()), checks);
        assert!(tasks.iter().all(Result::is_ok), "{tasks:?}");
        let trail = trail(&app.db).await;
        assert_eq!(trail.len(), before + 88);
        let mut last = BTreeMap::new();
        for event in trail.iter().skip(before) {
            let before = last.insert(event.actor_id, event.at);
            assert!(before.is_none_or(|before| before <= event.at), "the events of an actor must be ordered by time");
        }
        assert_intact(&app).await;
        assert!(verify(&other).await.unwrap().errors.is_empty());
        other.close().await.unwrap();
    }

    async fn uncommitted_changes_leave_no_event(app: App) {
        let before = length(&app).await;
        let license_admin = app.license_admin().await;
        let length_before = length(&app).await;
        assert!(length_before > before);
        let user = user::Entity::find_by_id(license_admin.id).one(app.db.read()).await.unwrap().unwrap();
        let transaction = app.db.begin().await.unwrap();
        roster::auth::one_time_link::issue(&transaction, &user).await.unwrap();
        drop(transaction);
        assert_eq!((length(&app).await, link::Entity::find().count(app.db.read()).await.unwrap()), (length_before, 0));
        assert_intact(&app).await;
    }

    async fn events_are_paged_newest_first(app: App) {
        let (license_admin, user) = (app.license_admin().await, app.user().await);
        for n in 0..23 {
            user.mutate("updateUser", "", json!({ "id": user.id(), "nickname": format!("N{n}") })).await;
        }
        for caller in [&license_admin, &user] {
            let all = expected(&app, |event| caller.id == license_admin.id && event.license_id == app.license || event.subject_id == caller.id).await;
            let (mut ids, mut arguments) = (Vec::new(), "(first: 7)".to_owned());
            loop {
                let page = page(caller, &arguments).await;
                assert_eq!(page["totalCount"], json!(all.len()));
                assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!ids.is_empty()));
                let edges = page["edges"].as_array().unwrap();
                assert_eq!(page["nodes"].as_array().unwrap().len(), edges.len());
                assert_eq!((&page["pageInfo"]["startCursor"], &page["pageInfo"]["endCursor"]), (&edges[0]["cursor"], &edges[edges.len() - 1]["cursor"]));
                ids.extend(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
                if page["pageInfo"]["hasNextPage"] == json!(false) {
                    break;
                }
                // An event that is appended meanwhile comes before the first page and does not shift the others.
                caller.mutate("updateUser", "", json!({ "id": caller.id(), "nickname": "same" })).await;
                arguments = format!("(first: 7, after: {})", page["pageInfo"]["endCursor"]);
                if ids.len() == 7 {
                    break;
                }
            }
            let rest = page(caller, arguments.replace("first: 7", "first: 100").as_str()).await;
            ids.extend(rest["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
            assert_eq!(ids, all);
            assert_eq!(page(caller, "").await["edges"].as_array().unwrap().len(), (all.len() + 1).min(50));
        }
    }

    async fn events_are_filtered_by_any_combination_of_fields(app: App) {
        let (license_admin, admin, ada, bob) = (app.license_admin().await, app.admin().await, app.user().await, app.user().await);
        for (by, of, nickname) in [(&license_admin, &ada, "A"), (&admin, &ada, "B"), (&license_admin, &bob, "C"), (&ada, &ada, "D")] {
            by.mutate("updateUser", "", json!({ "id": of.id(), "nickname": nickname })).await;
        }
        let group = new_group(&ada).await;
        license_admin.mutate("deleteUser", "", json!({ "id": bob.id() })).await;
        let events = trail(&app.db).await;
        let at = |n: usize| events[events.len() - 1 - n].at;
        let ids = async |filter: Value| -> Vec<String> {
            let data = license_admin.data("query ($filter: AuditFilter) { auditEvents(filter: $filter, first: 100) { totalCount nodes { id } } }", json!({ "filter": filter })).await;
            let ids: Vec<String> = data["auditEvents"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(data["auditEvents"]["totalCount"], json!(ids.len()));
            ids
        };
        let expect = async |is_match: &dyn Fn(&audit_event::Model) -> bool| expected(&app, |event| event.license_id == app.license && is_match(event)).await;
        assert_eq!(ids(Value::Null).await, expect(&|_| true).await);
        assert_eq!(ids(json!({})).await, expect(&|_| true).await);
        assert_eq!(ids(json!({ "subject": ada.id() })).await, expect(&|event| event.subject_id == ada.id).await);
        assert_eq!(ids(json!({ "subject": group.0 })).await.len(), 1);
        assert_eq!(ids(json!({ "subject": bob.id() })).await, expect(&|event| event.subject_id == bob.id).await, "a deleted subject");
        assert_eq!(ids(json!({ "subject": app.license.0 })).await.len(), 1);
        assert_eq!(ids(json!({ "actor": license_admin.id() })).await, expect(&|event| event.actor_id == Some(license_admin.id)).await);
        assert_eq!(ids(json!({ "actor": license_admin.id(), "subject": ada.id(), "action": ["USER_UPDATED"] })).await.len(), 1);
        let actions = ids(json!({ "action": ["USER_DELETED", "GROUP_CREATED"] })).await;
        assert_eq!(actions, expect(&|event| matches!(event.action, AuditAction::UserDeleted | AuditAction::GroupCreated)).await);
        assert_eq!(actions.len(), 2);
        assert_eq!(ids(json!({ "action": vec!["USER_DELETED"; 100] })).await.len(), 1);
        assert_eq!(ids(json!({ "action": [] })).await.len(), 0, "an empty list must match nothing");
        assert_eq!(ids(json!({ "since": at(2), "until": at(0) })).await, expect(&|event| event.at >= at(2) && event.at < at(0)).await);
        assert_eq!(ids(json!({ "since": at(0) })).await.len(), 1, "`since` must be inclusive");
        assert_eq!(ids(json!({ "until": at(0) })).await.len() + 1, ids(json!({})).await.len(), "`until` must be exclusive");
        let elsewhere = at(2).with_timezone(&chrono::FixedOffset::east_opt(5 * 3600 + 1800).unwrap());
        assert_eq!(ids(json!({ "since": elsewhere })).await.len(), 3, "in any time zone");
        assert_eq!(ids(json!({ "since": "9999-12-31T23:59:59Z" })).await.len(), 0);
        assert_eq!(ids(json!({ "until": "0001-01-01T00:00:00Z" })).await.len(), 0);
        assert_eq!(ids(json!({ "subject": Id::new().0 })).await.len(), 0);
    }

    async fn an_invalid_filter_is_rejected_with_every_error(app: App) {
        let license_admin = app.license_admin().await;
        let query = "query ($filter: AuditFilter, $first: Int, $after: String) { auditEvents(filter: $filter, first: $first, after: $after) { totalCount } }";
        let cases = [
            (json!({ "filter": { "subject": "7" } }), vec!["filter.subject"]),
            (json!({ "filter": { "actor": "" } }), vec!["filter.actor"]),
            (json!({ "filter": { "action": vec!["SIGNED_IN"; 101] } }), vec!["filter.action"]),
            (json!({ "filter": { "since": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:00:00Z" } }), vec!["filter.until"]),
            (json!({ "filter": { "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z" } }), vec!["filter.until"]),
            (json!({ "filter": { "since": "+200000-01-02T00:00:00Z" } }), vec!["filter.since"]),
            (json!({ "filter": { "until": "-0001-01-02T00:00:00Z" } }), vec!["filter.until"]),
            (json!({ "filter": { "subject": "x", "actor": "y", "action": vec!["SIGNED_IN"; 101], "since": "2026-01-02T00:00:00Z", "until": "2025-01-01T00:00:00Z" } }),
                vec!["filter.subject", "filter.actor", "filter.action", "filter.until"]),
            (json!({ "first": 0 }), vec!["first"]),
            (json!({ "first": 101 }), vec!["first"]),
            (json!({ "after": "x" }), vec!["after"]),
            (json!({ "filter": { "action": ["SIGNED_UP"] } }), vec![]),
            (json!({ "filter": { "since": "yesterday" } }), vec![]),
        ];
        for (mut variables, named) in cases {
            for argument in ["filter", "first", "after"] {
                variables[argument] = variables[argument].take();
            }
            let response = license_admin.execute(query, variables.clone()).await;
            let error = &response["errors"][0];
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            assert!(code == "BAD_USER_INPUT" || named.is_empty() && !code.is_empty() && code != "INTERNAL", "{variables}: {response:#}");
            for name in named {
                assert!(error["message"].as_str().unwrap().contains(&format!("{name}:")), "{variables}: {response:#}");
            }
        }
        let cursor = page(&license_admin, "(first: 1)").await["pageInfo"]["endCursor"].clone();
        let users = license_admin.data("{ users(first: 1) { pageInfo { endCursor } } }", json!({})).await["users"]["pageInfo"]["endCursor"].clone();
        let filter = json!({ "action": ["SIGNED_IN"] });
        assert_eq!(license_admin.error_code(query, json!({ "after": cursor, "filter": filter, "first": 1 })).await, "BAD_USER_INPUT", "a cursor of another filter");
        assert_eq!(license_admin.error_code(query, json!({ "after": users, "first": 1 })).await, "BAD_USER_INPUT", "a cursor of another list");
    }

    async fn a_page_costs_statements_per_kind_of_subject_not_per_event(app: App) {
        let license_admin = app.license_admin().await;
        let (_, program) = new_key(&license_admin, "ADMIN").await;
        for n in 0..6 {
            let user = app.user().await;
            license_admin.mutate("updateUser", "", json!({ "id": user.id(), "nickname": format!("N{n}") })).await;
            program.mutate("updateUser", "", json!({ "id": user.id(), "nickname": "P" })).await;
            new_group(&user).await;
            license_admin.mutate("createInstitution", "", json!({ "name": format!("H{n}"), "kind": "HOSPITAL", "country": "AU" })).await;
        }
        new_key(&license_admin, "USER").await;
        app.seal().await;
        let check = u64::from(app.db.is_postgres());
        let cost = async |caller: &Caller<'_>, first: u32| {
            let query = format!("{{ auditEvents(first: {first}) {{ edges {{ node {{ {EVENT} }} }} }} }}");
            let before = app.db.statements();
            let edges = caller.data(&query, json!({})).await["auditEvents"]["edges"].as_array().unwrap().clone();
            assert_eq!(edges.len(), first as usize);
            let kinds: BTreeSet<String> = edges.iter().map(|edge| edge["node"]["subject"]["__typename"].to_string()).collect();
            (app.db.statements() - before, kinds.len())
        };
        assert_eq!(cost(&license_admin, 1).await.0, 4 + check, "the session, the inbox, the event, its actor and its API key");
        let all = expected(&app, |event| event.license_id == app.license).await.len();
        assert_eq!(cost(&license_admin, 20).await, (6 + check, 4), "also users, groups and institutions");
        assert_eq!(cost(&license_admin, u32::try_from(all).unwrap()).await, (7 + check, 5), "also the license");
    }

    async fn an_event_field_has_the_same_value_alone_and_with_all_others(app: App) {
        let license_admin = app.license_admin().await;
        with_full_event(&app).await;
        let fields = ["id", "at", "action", "actor { id }", "apiKey { id }", "subject { id }", "subjectId", "changes { field before after }", "requestId"];
        let named: BTreeSet<String> = SCHEMA.fields("AuditEvent").iter().map(|field| field.name.node.to_string()).collect();
        assert_eq!(named, fields.iter().map(|field| field.split(' ').next().unwrap().to_owned()).collect());
        let execute = async |fields: &str| license_admin.data(&format!("{{ auditEvents {{ nodes {{ {fields} }} }} }}"), json!({})).await["auditEvents"]["nodes"].as_array().unwrap().clone();
        let whole = execute(&fields.join(" ")).await;
        assert!(whole.iter().any(|event| event.as_object().unwrap().values().all(|value| !value.is_null())), "{whole:#?}");
        for field in fields {
            let name = field.split(' ').next().unwrap();
            for (alone, whole) in execute(field).await.iter().zip(&whole) {
                assert_eq!(alone[name], whole[name], "{field}");
            }
        }
    }
}

#[test]
fn an_event_has_no_more_changes_than_are_shown() {
    let columns = [user::Column::iter().count(), group::Column::iter().count(), institution::Column::iter().count()];
    let others = [license::Column::iter().count(), api_key::Column::iter().count()];
    // Besides its columns, a subject has at most: password, pin, reason, groups, sessions.
    assert!(columns.into_iter().chain(others).all(|columns| columns + 5 <= MAX_CHANGES));
    // A user also has every attribute that the license defines.
    assert!(columns[0] as u64 + 5 + MAX_DEFINITIONS <= MAX_CHANGES as u64);
}

#[tokio::test]
async fn erasing_users_removes_their_data_from_the_sqlite_file() {
    let app = App::on_sqlite().await;
    let license_admin = app.license_admin().await;
    let mut ids = Vec::new();
    for n in 0..60 {
        let input = json!({
            "firstName": format!("Zephyrinella{n}"), "lastName": format!("Quartermainly{n}"), "username": format!("zephq{n}"), "email": format!("zeph{n}@quartermainly.example"),
            "mobile": format!("+614555987{n}"), "position": "Perfusionistin", "externalId": format!("QZ-7700{n}"), "certifiedEmail": format!("cert{n}@quartermainly.example"),
        });
        let created = license_admin.mutate("createUser", "user { id }", input).await;
        let id = created["user"]["id"].clone();
        license_admin
            .mutate(
                "updateUser",
                "",
                json!({ "id": id, "nickname": format!("Zephylein{n}"), "lastName": format!("Quartermainlee{n}") }),
            )
            .await;
        ids.push(id);
    }
    let file = file_of(&app).await;
    app.db.analyze().await.unwrap();
    let traces = [
        "Zephyrinella",
        "Quartermainl",
        "zephq",
        "quartermainly",
        "+614555987",
        "Perfusionistin",
        "QZ-7700",
        "Zephylein",
    ];
    let bytes = std::fs::read(&file).unwrap();
    assert!(traces.iter().all(|trace| contains(&bytes, trace)));
    for id in ids {
        assert_eq!(license_admin.mutate("deleteUser", "", json!({ "id": id })).await["success"], json!(true));
    }
    app.db.write().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    for file in [file.clone(), format!("{file}-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let left: Vec<&str> = traces.into_iter().filter(|trace| contains(&bytes, trace)).collect();
        assert!(left.is_empty(), "{file}: {left:?}");
    }
    assert_intact(&app).await;
}

in_every_sandbox! {
    async fn events_of_the_command_line_have_no_actor(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let users = [
            json!({ "institution": { "name": "St Brigid", "kind": "HOSPITAL", "country": "IE" } }),
            json!({ "group": { "name": "Ward 3" } }),
            json!({ "user": { "firstName": "Fred", "lastName": "Moss", "username": "fred", "mobile": "0777", "groups": [{ "group": "Ward 3", "role": "OWNER" }] } }),
        ];
        let file = |users: &[Value]| users.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        std::fs::write(sandbox.path("people.ndjson"), file(&users)).unwrap();
        let dry = sandbox.run(&["import", "people.ndjson", "--dry-run"]).await;
        assert_eq!(dry.code, 0, "{dry:?}");
        let db = sandbox.db().await;
        let created = [AuditAction::LicenseCreated, AuditAction::UserCreated];
        assert_eq!(trail(&db).await.iter().map(|event| event.action).collect::<Vec<_>>(), created, "a dry run must append no event");
        for _ in 0..2 {
            let loaded = sandbox.run(&["import", "people.ndjson"]).await;
            assert_eq!(loaded.code, 0, "{loaded:?}");
        }
        let mut changed = users.clone();
        changed[0]["institution"]["numBeds"] = json!(9);
        changed[2]["user"]["mobile"] = json!("0888");
        std::fs::write(sandbox.path("people.ndjson"), file(&changed)).unwrap();
        assert_eq!(sandbox.run(&["import", "people.ndjson"]).await.code, 0);
        let events = trail(&db).await;
        let actions = [AuditAction::InstitutionCreated, AuditAction::GroupCreated, AuditAction::UserCreated, AuditAction::InstitutionUpdated, AuditAction::UserUpdated];
        assert_eq!(events.iter().map(|event| event.action).collect::<Vec<_>>(), [&created[..], &actions].concat());
        assert!(events.iter().all(|event| event.actor_id.is_none() && event.api_key_id.is_none() && event.request_id.is_none()));
        let of = |n: usize, field: &str| changes(&events[n]).remove(field).unwrap_or_else(|| panic!("{field}: {:?}", events[n]));
        assert_eq!(of(0, "number"), (Value::Null, json!("1")));
        assert_eq!(of(1, "adminRights.isSuperuser"), (json!(false), json!(true)));
        assert_eq!(of(1, "password"), (Value::Null, Value::Null));
        assert_eq!(of(4, "groups").1, json!([{ "groupId": events[3].subject_id.0, "role": "OWNER" }]));
        assert_eq!(of(5, "numBeds"), (Value::Null, json!(9)));
        assert_eq!(of(6, "mobile"), (json!("0777"), json!("0888")));
        assert_eq!(changes(&events[6]).len(), 1);
        db.close().await.unwrap();
    }

    async fn audit_verify_checks_the_trail_while_a_server_runs(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        server.sign_in(crate::process::ADMIN).await;
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!((verified.code, verified.err.as_str()), (0, ""));
        let db = sandbox.db().await;
        let last = trail(&db).await.pop().unwrap();
        assert_eq!(verified.out.trim(), format!("Verified 3 events. Hash of the last event: {}", hex::encode(&last.hash)));
        let (on, backend) = if sandbox.is_sqlite() { ("", DatabaseBackend::Sqlite) } else { (" ON audit_events", DatabaseBackend::Postgres) };
        for change in [format!("DROP TRIGGER audit_events_update{on}"), "UPDATE audit_events SET request_id = 'forged' WHERE seq = 2".to_owned()] {
            db.write().execute_raw(Statement::from_string(backend, change)).await.unwrap();
        }
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!((verified.code, verified.out.as_str()), (1, ""));
        assert!(verified.err.contains("event 2: ") && verified.err.contains("failed: 1 problem\n"), "{}", verified.err);
        server.sign_in(crate::process::ADMIN).await;
        db.close().await.unwrap();
    }

    async fn audit_verify_rejects_a_database_with_pending_migrations(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let empty = sandbox.run(&["audit", "verify"]).await;
        assert_eq!((empty.code, empty.out.trim()), (0, "The audit trail has no events."));
        let db = sandbox.db().await;
        db.write().execute_unprepared("DELETE FROM seaql_migrations WHERE version LIKE '%_trail'").await.unwrap();
        db.close().await.unwrap();
        let old = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(old.code, 1);
        assert!(old.err.contains("1 migration is pending"), "{}", old.err);
    }
}

#[tokio::test]
async fn audit_verify_creates_no_database_file() {
    let sandbox = Sandbox::on_sqlite();
    let verified = sandbox.run(&["audit", "verify"]).await;
    assert_eq!(verified.code, 1);
    assert!(verified.err.contains("roster.db"), "{}", verified.err);
    assert!(!sandbox.path("roster-data").exists());
    assert!(sandbox.run(&["audit", "--help"]).await.out.contains("verify"));
}
