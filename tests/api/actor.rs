//! A mutation acts with the actor's rights at the time of its transaction, and no user gains rights through another.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::db::Transaction;
use roster::entity::membership::GroupRole;
use roster::entity::user::{Role, UserFields};
use roster::entity::{api_key, audit_event, device, session, user};
use roster::graphql::credential_use::ALWAYS as CREDENTIALS;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::app::{App, CONNECTIONS, Caller, PASSWORD, input_of, payload_errors};
use crate::process::until;
use crate::{audit, crowd};

/// The mutations that anonymous callers can use, and that ignore a token.
const PUBLIC: [&str; 6] =
    ["login", "activateAccount", "registerUser", "requestPasswordReset", "resetPassword", "confirmEmailChange"];

/// Ways in which a caller loses access, each as the SQL that has the same effect on the database.
const ENDINGS: [(&str, &str); 4] = [
    ("deactivated", "UPDATE users SET is_active = FALSE WHERE id = $1"),
    ("signed out", "DELETE FROM sessions WHERE user_id = $1"),
    ("session over", "UPDATE sessions SET expires_at = created_at WHERE user_id = $1"),
    (
        "license over",
        "UPDATE licenses SET starts_on = '2001-01-01', expires_on = '2001-01-02' WHERE id = (SELECT license_id FROM users WHERE id = $1)",
    ),
];

/// Sends a document while SQL changes the caller in another transaction. That transaction commits once the caller is
/// authenticated, and the mutation waits for it, because it holds the last connection or a lock.
async fn post_during(app: &App, caller: &Caller<'_>, body: &Value, sql: &str) -> (u16, Value) {
    let is_of_user = sql.starts_with("UPDATE users") || sql.starts_with("DELETE");
    let mut others = Vec::new();
    if app.db.is_postgres() && !is_of_user {
        for _ in 1..CONNECTIONS {
            others.push(app.db.begin().await.unwrap());
        }
    }
    let transaction = app.db.begin().await.unwrap();
    let has_single = !others.is_empty() && app.db.write().can_execute_once();
    let single = if has_single { occupy_single_statements(app, &transaction).await } else { Vec::new() };
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, [caller.id.into()]);
    transaction.execute_raw(statement).await.unwrap();
    let before = app.db.statements();
    let happen = async {
        while app.db.statements() == before {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        transaction.commit().await.unwrap();
    };
    let (response, ()) = tokio::join!(caller.post(body), happen);
    for statement in single {
        statement.await.unwrap();
    }
    response
}

/// Occupies all connections for single statements until a transaction ends.
async fn occupy_single_statements(app: &App, transaction: &Transaction) -> Vec<JoinHandle<()>> {
    transaction.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.unwrap();
    let wait = |_| {
        let db = app.db.clone();
        tokio::spawn(async move {
            let wait = Statement::from_string(DatabaseBackend::Postgres, "SELECT pg_advisory_xact_lock_shared(1)");
            db.write().execute_raw(wait).await.unwrap();
        })
    };
    let waiting = (0..CONNECTIONS).map(wait).collect();
    let are_in_use =
        || app.db.pools().iter().any(|pool| pool.name == "write_single" && pool.open - pool.idle == pool.max);
    until(async || are_in_use().then_some(())).await.expect("all connections wait");
    waiting
}

async fn events(app: &App) -> u64 {
    app.seal().await;
    audit_event::Entity::find().count(app.db.read()).await.unwrap()
}

fn body(mutation: &str, input: &Value) -> Value {
    let document = match input {
        Value::Null => format!("mutation {{ {mutation} {{ success }} }}"),
        _ => format!("mutation ($input: {}!) {{ {mutation}(input: $input) {{ success }} }}", input_of(mutation)),
    };
    json!({ "query": document, "variables": { "input": input } })
}

/// The outcome of each field of a document: the code of the top-level error or the validation error, or `done`.
async fn outcomes(caller: &Caller<'_>, fields: &[&str]) -> Vec<String> {
    let parts: Vec<String> = fields.iter().enumerate().map(|(n, field)| format!("a{n}: {field}")).collect();
    let (_, response) = caller.post(&json!({ "query": format!("mutation {{ {} }}", parts.join(" ")) })).await;
    let errors = response["errors"].as_array().cloned().unwrap_or_default();
    let outcome = |n: usize| {
        let alias = format!("a{n}");
        if let Some(error) = errors.iter().find(|error| error["path"][0] == json!(alias)) {
            return error["extensions"]["code"].as_str().unwrap().to_owned();
        }
        let payload = &response["data"][&alias];
        if payload["success"] == json!(true) {
            return "done".to_owned();
        }
        payload["errors"][0]["code"].as_str().unwrap_or_else(|| panic!("{response:#}")).to_owned()
    };
    (0..fields.len()).map(outcome).collect()
}

fn create_user_field(role: &str) -> String {
    let address = roster::scalar::Id::new().0;
    format!(
        "createUser(input: {{ firstName: \"New\", lastName: \"Person\", email: \"{address}@x.example\", role: {role} }}) {{ success errors {{ code }} }}"
    )
}

const WARD: &str = "createGroup(input: { name: \"Ward\" }) { success errors { code } }";

async fn new_site(license_admin: &Caller<'_>) -> Value {
    let input = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" });
    license_admin.mutate("createInstitution", "institution { id }", input).await["institution"]["id"].clone()
}

async fn grant(license_admin: &Caller<'_>, user: &str, institution: &Value) {
    let done =
        license_admin.mutate("grantSiteAccess", "", json!({ "userId": user, "institutionId": institution })).await;
    assert_eq!(done["success"], json!(true));
}

async fn key_of<'a>(caller: &Caller<'a>, role: &str) -> Caller<'a> {
    let created = caller.mutate("createApiKey", "secret", json!({ "name": "Nightly", "role": role })).await;
    Caller { token: created["secret"].as_str().map(str::to_owned), ..caller.clone() }
}

/// Creates a user with a password, a PIN and a username. Returns the caller and a device token.
async fn known_on_a_device<'a>(app: &'a App, name: &str, role: Role) -> (Caller<'a>, Value) {
    let fields = UserFields { username: Given(name.to_owned()), role: Given(role), ..UserFields::default() };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
    let (caller, device) = sign_in_by_password(app, name).await;
    caller.mutate("setPin", "", json!({ "pin": "0417" })).await;
    (caller, device)
}

async fn sign_in_by_password<'a>(app: &'a App, name: &str) -> (Caller<'a>, Value) {
    let input = json!({ "login": name, "password": PASSWORD });
    let login = app.anonymous().mutate("login", "token deviceToken user { id }", input).await;
    let id = roster::scalar::Id::parse(login["user"]["id"].as_str().unwrap()).unwrap();
    (Caller { app, id, token: login["token"].as_str().map(str::to_owned) }, login["deviceToken"].clone())
}

async fn signs_in_by_pin(app: &App, name: &str, device: &Value) -> bool {
    let input = json!({ "login": name, "pin": "0417", "deviceToken": device });
    app.anonymous().mutate("login", "", input).await["success"] == json!(true)
}

async fn devices_of(caller: &Caller<'_>, of: &str) -> Vec<Value> {
    let query = "query ($id: ID!) { user(by: { id: $id }) { devices { id createdAt lastUsedAt } } }";
    caller.data(query, json!({ "id": of })).await["user"]["devices"].as_array().cloned().unwrap_or_default()
}

fn member(group: &Value, user: &str, role: &str) -> Value {
    json!({ "groupId": group, "userId": user, "role": role })
}

fn leaving(group: &Value, user: &str) -> Value {
    json!({ "groupId": group, "userId": user })
}

async fn new_group(owner: &Caller<'_>) -> Value {
    owner.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone()
}

/// The role of a user in a group.
async fn role_in(caller: &Caller<'_>, group: &Value, user: &str) -> Value {
    let query = "query ($id: ID!) { group(id: $id) { members(first: 100) { edges { role node { id } } } } }";
    let data = caller.data(query, json!({ "id": group })).await;
    let edges = data["group"]["members"]["edges"].as_array().cloned().unwrap_or_default();
    edges.iter().find(|edge| edge["node"]["id"] == json!(user)).map_or(Value::Null, |edge| edge["role"].clone())
}

on_every_database! {
    async fn mutations_fail_if_the_caller_loses_access_while_they_wait(app: App) {
        for mutation in audit::mutations().iter().filter(|mutation| !PUBLIC.contains(&mutation.as_str())) {
            for (ending, sql) in ENDINGS {
                let mut done = audit::effective_case(&app, mutation).await;
                if mutation == "requestEmailChange" {
                    // A new address each time, because repeated requests for one address are rate-limited.
                    done.input["newEmail"] = json!(format!("{}@x.example", roster::scalar::Id::new().0));
                }
                let before = events(&app).await;
                let (status, response) = post_during(&app, &done.by, &body(mutation, &done.input), sql).await;
                let code = &response["errors"][0]["extensions"]["code"];
                assert_eq!((status, code), (200, &json!("UNAUTHENTICATED")), "{mutation}, {ending}: {response:#}");
                assert_eq!(events(&app).await, before, "{mutation}, {ending}");
                app.db.write().execute_unprepared("UPDATE licenses SET expires_on = NULL").await.unwrap();
            }
        }
    }

    async fn mutations_fail_if_the_api_key_is_revoked_or_expires_while_they_wait(app: App) {
        let endings = [
            "DELETE FROM api_keys WHERE user_id = $1",
            "UPDATE api_keys SET expires_at = created_at WHERE user_id = $1",
            "UPDATE users SET is_active = FALSE WHERE id = $1",
        ];
        for sql in endings {
            let user = app.user().await;
            for (mutation, input) in [
                ("createGroup", json!({ "name": "Ward" })),
                ("createUser", json!({ "firstName": "A", "lastName": "B", "username": "abc" })),
                ("importUsers", json!({ "rows": [{ "firstName": "A", "lastName": "B", "username": "abc" }] })),
                ("updateUser", json!({ "id": user.id(), "nickname": "A" })),
                ("setActive", json!({ "id": user.id(), "active": false })),
                ("deleteUser", json!({ "id": user.id() })),
            ] {
                let key = key_of(&app.admin().await, "ADMIN").await;
                let before = events(&app).await;
                let (_, response) = post_during(&app, &key, &body(mutation, &input), sql).await;
                assert_eq!(response["errors"][0]["extensions"]["code"], json!("UNAUTHENTICATED"), "{mutation}, {sql}: {response:#}");
                assert_eq!(events(&app).await, before);
            }
        }
    }

    async fn mutations_use_the_rights_that_the_actor_has_when_they_begin(app: App) {
        let user = app.user().await;
        for (mutation, input) in [
            ("createUser", json!({ "firstName": "A", "lastName": "B", "username": "abc" })),
            ("createUser", json!({ "firstName": "A", "lastName": "B", "username": "abc", "dryRun": true })),
            ("importUsers", json!({ "rows": [{ "firstName": "A", "lastName": "B", "username": "abc" }] })),
            ("updateUser", json!({ "id": user.id(), "externalId": "A" })),
            ("setActive", json!({ "id": user.id(), "active": false })),
            ("deleteUser", json!({ "id": user.id() })),
            ("unlockUser", json!({ "id": user.id() })),
            ("exportUser", json!({ "id": user.id() })),
            ("endSessions", json!({ "userId": user.id() })),
            ("createInstitution", json!({ "name": "A", "kind": "HOSPITAL", "country": "AU" })),
            ("renameLicense", json!({ "id": app.license.0, "holder": "A" })),
            ("defineAttribute", json!({ "name": "a", "label": "A" })),
            ("createApiKey", json!({ "name": "A", "role": "ADMIN" })),
        ] {
            let license_admin = app.license_admin().await;
            let before = events(&app).await;
            let demote = "UPDATE users SET role = 'USER', full_site_access = FALSE WHERE id = $1";
            let (_, response) = post_during(&app, &license_admin, &body(mutation, &input), demote).await;
            assert_eq!(response["errors"][0]["extensions"]["code"], json!("FORBIDDEN"), "{mutation}: {response:#}");
            assert_eq!(events(&app).await, before, "{mutation}");
        }
    }

    async fn no_field_of_a_document_creates_users_after_the_caller_is_deactivated(app: App) {
        let admin = app.admin().await;
        let parts: Vec<String> = (0..10).map(|n| format!("a{n}: {}", create_user_field("ADMIN"))).collect();
        let users = user::Entity::find().count(app.db.read()).await.unwrap();
        let body = json!({ "query": format!("mutation {{ {} }}", parts.join(" ")) });
        let (_, response) = post_during(&app, &admin, &body, ENDINGS[0].1).await;
        let errors = response["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 10, "{response:#}");
        assert!(errors.iter().all(|error| error["extensions"]["code"] == json!("UNAUTHENTICATED")), "{response:#}");
        assert_eq!(user::Entity::find().count(app.db.read()).await.unwrap(), users);
    }

    async fn mutations_after_a_sign_out_in_the_same_document_fail(app: App) {
        for ending in ["logout { success errors { code } }", "endSessions(input: { includeCurrent: true }) { success errors { code } }"] {
            let admin = app.admin().await;
            let new = create_user_field("USER");
            let codes = outcomes(&admin, &[WARD, ending, WARD, &new, ending]).await;
            assert_eq!(codes, ["done", "done", "UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED"], "{ending}");
        }
    }

    async fn a_lowered_own_role_applies_to_the_rest_of_the_document(app: App) {
        app.license_admin().await;
        let license_admin = app.license_admin().await;
        let lower = format!("updateUser(input: {{ id: \"{}\", role: USER }}) {{ success errors {{ code }} }}", license_admin.id());
        let parts = [create_user_field("LICENSE_ADMIN"), lower.clone(), create_user_field("USER"), lower.replace("USER", "LICENSE_ADMIN")];
        let codes = outcomes(&license_admin, &[&parts[0], &parts[1], &parts[2], &parts[3], WARD]).await;
        assert_eq!(codes, ["done", "done", "FORBIDDEN", "FORBIDDEN", "done"]);
    }

    async fn two_administrators_can_change_each_other_at_the_same_time(app: App) {
        let (one, other) = (app.admin().await, app.admin().await);
        for round in 0..20 {
            let change = |who: &Caller<'_>| json!({ "id": who.id(), "nickname": format!("N{round}") });
            let responses = join_all([
                one.mutate("updateUser", "", change(&other)),
                other.mutate("updateUser", "", change(&one)),
                one.mutate("updateUser", "", change(&one)),
                other.mutate("updateUser", "", change(&other)),
            ]).await;
            assert!(responses.iter().all(|response| response["success"] == json!(true)), "{responses:#?}");
        }
    }

    async fn deactivating_a_user_stops_concurrent_writes_with_their_api_key(app: App) {
        let (license_admin, admin) = (app.license_admin().await, app.admin().await);
        let key = key_of(&admin, "ADMIN").await;
        let write = async |n: usize| {
            let mut done = 0;
            for m in 0.. {
                let input = json!({ "firstName": "New", "lastName": "Person", "username": format!("n{n}.{m}") });
                let (status, response) = key.post(&body("createUser", &input)).await;
                match (status, &response["errors"][0]["extensions"]["code"]) {
                    (200, Value::Null) => done += 1,
                    (401, _) => break,
                    (200, code) if *code == json!("UNAUTHENTICATED") => break,
                    _ => panic!("{response:#}"),
                }
            }
            done
        };
        let stop = async {
            while user::Entity::find().count(app.db.read()).await.unwrap() < 40 {
                tokio::task::yield_now().await;
            }
            let stopped = license_admin.mutate("setActive", "", json!({ "id": admin.id(), "active": false })).await;
            assert_eq!(stopped["success"], json!(true), "{stopped:#}");
        };
        let (done, ()) = tokio::join!(join_all((0..16).map(write)), stop);
        assert!(done.iter().sum::<i32>() >= 30, "{done:?}");
        app.seal().await;
        let trail = audit_event::Entity::find().filter(audit_event::Column::ApiKeyId.is_not_null());
        let last = trail.all(app.db.read()).await.unwrap().iter().map(|event| event.seq).max().unwrap();
        let off = audit_event::Entity::find().filter(audit_event::Column::Action.eq("USER_DEACTIVATED"));
        assert!(last < off.one(app.db.read()).await.unwrap().unwrap().seq, "an API key wrote after its user was deactivated");
    }

    async fn changing_credentials_requires_access_to_the_sites_of_the_user(app: App) {
        let license_admin = app.license_admin().await;
        let (institution, other) = (new_site(&license_admin).await, new_site(&license_admin).await);
        let everywhere = UserFields { role: Given(Role::Admin), full_site_access: Given(true), ..UserFields::default() };
        let (without, with, elsewhere, full) =
            (app.admin().await, app.admin().await, app.admin().await, app.user_with("Full", everywhere).await);
        grant(&license_admin, &with.id(), &institution).await;
        grant(&license_admin, &elsewhere.id(), &other).await;
        for role in [Role::User, Role::Admin] {
            let fields = UserFields { role: Given(role), ..UserFields::default() };
            let target = app.create("Victim", app.license, fields, Undefined).await.id.0.to_string();
            grant(&license_admin, &target, &institution).await;
            let email = roster::scalar::Id::new().0;
            for (mutation, input) in [
                ("updateUser", json!({ "id": target, "password": "nine-velvet-comets-hum" })),
                ("updateUser", json!({ "id": target, "password": null })),
                ("updateUser", json!({ "id": target, "pin": "0417" })),
                ("updateUser", json!({ "id": target, "nickname": "A", "email": format!("{email}@evil.example") })),
                ("updateUser", json!({ "id": target, "password": "nine-velvet-comets-hum", "dryRun": true })),
                ("resendActivation", json!({ "id": target })),
            ] {
                for caller in [&without, &elsewhere] {
                    assert_eq!(caller.mutation_error_code(mutation, input.clone()).await, "FORBIDDEN", "{input}");
                }
                for caller in [&with, &full, &license_admin] {
                    let tried = if mutation == "updateUser" { let mut tried = input.clone(); tried["dryRun"] = json!(true); tried } else { input.clone() };
                    assert_eq!(caller.mutate(mutation, "", tried).await["success"], json!(true), "{input}");
                }
            }
            // Other fields can change, and the input can contain an unchanged email address.
            let address = user::Entity::find().filter(user::Column::Id.eq(roster::scalar::Id::parse(&target).unwrap())).one(app.db.read()).await.unwrap().unwrap().email;
            let plain = json!({ "id": target, "nickname": "A", "email": address });
            assert_eq!(without.mutate("updateUser", "", plain).await["success"], json!(true));
        }
    }

    async fn site_access_cannot_be_gained_indirectly(app: App) {
        let license_admin = app.license_admin().await;
        let institution = new_site(&license_admin).await;
        let attacker = app.admin().await;
        let victim = app.admin().await;
        grant(&license_admin, &victim.id(), &institution).await;
        // Setting the password, granting access, doing either as a user created for it or with an API key, and revoking
        // the other user's access first.
        let password = json!({ "id": victim.id(), "password": "nine-velvet-comets-hum" });
        assert_eq!(attacker.mutation_error_code("updateUser", password.clone()).await, "FORBIDDEN");
        let site = json!({ "userId": attacker.id(), "institutionId": institution });
        assert_eq!(attacker.mutation_error_code("grantSiteAccess", site.clone()).await, "FORBIDDEN");
        let input = json!({ "firstName": "A", "lastName": "B", "username": "creature", "role": "ADMIN", "password": PASSWORD });
        attacker.mutate("createUser", "", input).await;
        let (creature, _) = sign_in_by_password(&app, "creature").await;
        assert_eq!(creature.mutation_error_code("updateUser", password.clone()).await, "FORBIDDEN");
        assert_eq!(creature.mutation_error_code("grantSiteAccess", site.clone()).await, "FORBIDDEN");
        let key = key_of(&attacker, "ADMIN").await;
        assert_eq!(key.mutation_error_code("updateUser", password.clone()).await, "FORBIDDEN");
        let taken = json!({ "userId": victim.id(), "institutionId": institution });
        assert_eq!(attacker.mutation_error_code("revokeSiteAccess", taken).await, "FORBIDDEN");
        // Once the user holds no more access than the attacker, there is nothing to gain.
        license_admin.mutate("revokeSiteAccess", "", json!({ "userId": victim.id(), "institutionId": institution })).await;
        assert_eq!(attacker.mutate("updateUser", "", password).await["success"], json!(true));
        assert_eq!(attacker.mutation_error_code("grantSiteAccess", site).await, "FORBIDDEN");
    }

    async fn api_keys_cannot_set_credentials_or_send_invitations(app: App) {
        for maker in [app.admin().await, app.license_admin().await, app.superuser().await] {
            let key = key_of(&maker, "ADMIN").await;
            let user = app.user().await;
            for (mutation, input, field) in [
                ("updateUser", json!({ "id": user.id(), "password": PASSWORD }), "password"),
                ("updateUser", json!({ "id": user.id(), "password": null }), "password"),
                ("updateUser", json!({ "id": user.id(), "nickname": "A", "pin": "0417" }), "pin"),
                ("updateUser", json!({ "id": user.id(), "email": "evil@x.example" }), "email"),
                ("updateUser", json!({ "id": user.id(), "email": "evil@x.example", "dryRun": true }), "email"),
                ("createUser", json!({ "firstName": "A", "lastName": "B", "username": "abc", "password": PASSWORD }), "password"),
                ("createUser", json!({ "firstName": "A", "lastName": "B", "username": "abc", "pin": "0417" }), "pin"),
                ("createUser", json!({ "firstName": "A", "lastName": "B", "email": "a@x.example", "sendRegistrationEmail": true }), "sendRegistrationEmail"),
                ("resendActivation", json!({ "id": user.id() }), ""),
                ("createApiKey", json!({ "name": "A" }), ""),
                ("changePassword", json!({ "currentPassword": PASSWORD, "newPassword": "nine-velvet-comets-hum" }), ""),
            ] {
                let (_, response) = key.post(&body(mutation, &input)).await;
                assert_eq!(response["errors"][0]["extensions"]["code"], json!("FORBIDDEN"), "{mutation} {input}: {response:#}");
                assert!(response["errors"][0]["message"].as_str().unwrap().contains(field), "{response:#}");
            }
        }
    }

    async fn users_created_with_an_api_key_get_no_email_and_cannot_sign_in(app: App) {
        let key = key_of(&app.admin().await, "ADMIN").await;
        app.mails().await;
        let input = json!({ "firstName": "A", "lastName": "B", "email": "evil@x.example" });
        let created = key.mutate("createUser", "user { id }", input).await;
        assert_eq!(created["success"], json!(true), "{created:#}");
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "evil@x.example" })).await;
        assert!(app.mails().await.is_empty());
        // An administrator with a session sends the invitation.
        let admin = app.admin().await;
        admin.mutate("resendActivation", "", json!({ "id": created["user"]["id"] })).await;
        assert_eq!(app.mails().await.len(), 1);
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "evil@x.example" })).await;
        assert_eq!(app.mails().await.len(), 1);
    }

    async fn changing_the_password_can_revoke_the_users_api_keys(app: App) {
        let (ada, _) = known_on_a_device(&app, "ada", Role::Admin).await;
        let other = key_of(&app.admin().await, "USER").await;
        key_of(&ada, "USER").await;
        let keys = async || api_key::Entity::find().filter(api_key::Column::UserId.eq(ada.id)).count(app.db.read()).await.unwrap();
        ada.mutate("changePassword", "", json!({ "currentPassword": PASSWORD, "newPassword": "nine-velvet-comets-hum" })).await;
        assert_eq!(keys().await, 1, "by default, keys stay valid");
        let key = key_of(&ada, "ADMIN").await;
        let input = json!({ "currentPassword": "nine-velvet-comets-hum", "newPassword": PASSWORD, "revokeApiKeys": true });
        let done = ada.mutate("changePassword", "message", input).await;
        assert!(done["message"].as_str().unwrap().contains('2'), "{done:#}");
        assert_eq!(keys().await, 0);
        assert_eq!(key.post(&json!({ "query": "{ viewer { id } }" })).await.0, 401);
        assert_eq!(other.post(&json!({ "query": "{ viewer { id } }" })).await.0, 200);
        app.seal().await;
        let revoked = audit_event::Entity::find().filter(audit_event::Column::Action.eq("API_KEY_REVOKED"));
        assert_eq!(revoked.count(app.db.read()).await.unwrap(), 2);
    }

    async fn ending_sessions_forgets_devices(app: App) {
        let license_admin = app.license_admin().await;
        for (n, by_chief) in [false, true, false, true].into_iter().enumerate() {
            let name = format!("ada{n}");
            let (ada, device) = known_on_a_device(&app, &name, Role::User).await;
            assert!(signs_in_by_pin(&app, &name, &device).await);
            let caller = if by_chief { &license_admin } else { &ada };
            let mut input = json!({ "userId": ada.id() });
            if n > 1 {
                let session = session::Entity::find().filter(session::Column::UserId.eq(ada.id)).one(app.db.read()).await.unwrap().unwrap();
                input["sessionIds"] = json!([session.id.0]);
                input["includeCurrent"] = json!(true);
            }
            let done = caller.mutate("endSessions", "sessionsEnded devicesForgotten", input).await;
            assert_eq!(done["devicesForgotten"], json!(1), "{done:#}");
            assert!(!signs_in_by_pin(&app, &name, &device).await);
            let (_, device) = sign_in_by_password(&app, &name).await;
            assert!(signs_in_by_pin(&app, &name, &device).await);
        }
        let (ada, device) = known_on_a_device(&app, "ada", Role::User).await;
        session::Entity::delete_many().filter(session::Column::UserId.eq(ada.id)).exec(app.db.write()).await.unwrap();
        let done = license_admin.mutate("endSessions", "sessionsEnded devicesForgotten", json!({ "userId": ada.id() })).await;
        assert_eq!((&done["sessionsEnded"], &done["devicesForgotten"]), (&json!(0), &json!(1)), "devices exist without sessions");
        assert!(!signs_in_by_pin(&app, "ada", &device).await);
    }

    async fn devices_are_listed_and_can_be_forgotten_individually(app: App) {
        let (ada, first) = known_on_a_device(&app, "ada", Role::User).await;
        let (_, second) = sign_in_by_password(&app, "ada").await;
        let (license_admin, admin, user) = (app.license_admin().await, app.admin().await, app.user().await);
        let listed = devices_of(&ada, &ada.id()).await;
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|device| device["createdAt"].as_str() <= device["lastUsedAt"].as_str()), "{listed:#?}");
        assert_eq!(devices_of(&license_admin, &ada.id()).await, listed);
        assert!(devices_of(&user, &ada.id()).await.is_empty());
        let (newer, older) = (json!({ "id": listed[0]["id"] }), json!({ "id": listed[1]["id"] }));
        assert_eq!(user.payload_errors("forgetDevice", newer.clone()).await, ["NOT_FOUND input.id"]);
        assert_eq!(ada.payload_errors("forgetDevice", json!({ "id": "x" })).await, ["INVALID input.id"]);
        assert_eq!(ada.mutate("forgetDevice", "", newer.clone()).await["success"], json!(true));
        assert!(signs_in_by_pin(&app, "ada", &first).await && !signs_in_by_pin(&app, "ada", &second).await);
        assert_eq!(ada.payload_errors("forgetDevice", newer).await, ["NOT_FOUND input.id"]);
        assert_eq!(admin.mutate("forgetDevice", "", older).await["success"], json!(true));
        assert!(!signs_in_by_pin(&app, "ada", &first).await);
        assert_eq!(device::Entity::find().filter(device::Column::UserId.eq(ada.id)).count(app.db.read()).await.unwrap(), 0);
        let (boss, _) = known_on_a_device(&app, "boss", Role::LicenseAdmin).await;
        let of_boss = devices_of(&admin, &boss.id()).await;
        assert_eq!(admin.mutation_error_code("forgetDevice", json!({ "id": of_boss[0]["id"] })).await, "FORBIDDEN");
        let key = key_of(&license_admin, "LICENSE_ADMIN").await;
        assert_eq!(key.mutation_error_code("forgetDevice", json!({ "id": of_boss[0]["id"] })).await, "FORBIDDEN");
    }

    async fn every_user_can_leave_every_group(app: App) {
        let (owner, user, license_admin) = (app.user().await, app.user().await, app.license_admin().await);
        for role in ["MEMBER", "MANAGER", "OWNER"] {
            let group = new_group(&owner).await;
            owner.mutate("setGroupMember", "", member(&group, &user.id(), "MEMBER")).await;
            owner.mutate("setGroupMember", "", member(&group, &user.id(), role)).await;
            for _ in 0..2 {
                assert_eq!(user.mutate("removeGroupMember", "", leaving(&group, &user.id())).await["success"], json!(true));
            }
            assert_eq!(role_in(&license_admin, &group, &user.id()).await, Value::Null);
            // A user who was made the last owner can leave, too.
            owner.mutate("setGroupMember", "", member(&group, &user.id(), "MEMBER")).await;
            owner.mutate("setGroupMember", "", member(&group, &user.id(), "OWNER")).await;
            owner.mutate("setGroupMember", "", member(&group, &owner.id(), "MEMBER")).await;
            assert_eq!(user.mutate("removeGroupMember", "", leaving(&group, &user.id())).await["success"], json!(true));
            assert_eq!(role_in(&license_admin, &group, &owner.id()).await, json!("OWNER"));
            assert_eq!(owner.payload_errors("removeGroupMember", leaving(&group, &owner.id())).await, ["NOT_ALLOWED input.userId"]);
            assert_eq!(owner.mutate("deleteGroup", "", json!({ "id": group })).await["success"], json!(true));
        }
    }

    async fn only_administrators_give_ownership_to_users_who_are_not_members(app: App) {
        let (owner, user, admin) = (app.user().await, app.user().await, app.admin().await);
        let (one, other) = (new_group(&owner).await, new_group(&owner).await);
        assert_eq!(owner.mutation_error_code("setGroupMember", member(&one, &user.id(), "OWNER")).await, "FORBIDDEN");
        owner.mutate("setGroupMember", "", member(&one, &user.id(), "MEMBER")).await;
        assert_eq!(owner.mutate("setGroupMember", "", member(&one, &user.id(), "OWNER")).await["success"], json!(true));
        assert_eq!(admin.mutate("setGroupMember", "", member(&other, &user.id(), "OWNER")).await["success"], json!(true));
    }

    async fn only_administrators_can_own_more_than_50_groups(app: App) {
        let (owner, other, admin) = (app.user().await, app.user().await, app.admin().await);
        for caller in [&owner, &admin] {
            let groups = crowd::groups(&app, app.license, (0..49).map(|n| format!("Group {n:03}"))).await;
            crowd::memberships(&app, &[caller.id], &groups, GroupRole::Owner).await;
            assert_eq!(caller.mutate("createGroup", "", json!({ "name": "50" })).await["success"], json!(true));
        }
        let payload = owner.mutate("createGroup", "errors { message }", json!({ "name": "51" })).await;
        assert_eq!(payload_errors(&payload), ["NOT_ALLOWED input.name"]);
        assert!(payload["errors"][0]["message"].as_str().unwrap().contains("50"), "{payload:#}");
        assert_eq!(admin.mutate("createGroup", "", json!({ "name": "51" })).await["success"], json!(true));
        // Other users cannot exceed the limit either.
        let group = new_group(&other).await;
        other.mutate("setGroupMember", "", member(&group, &owner.id(), "MEMBER")).await;
        assert_eq!(other.payload_errors("setGroupMember", member(&group, &owner.id(), "OWNER")).await, ["NOT_ALLOWED input.userId"]);
        let leaving = json!({ "groupId": group, "userId": other.id() });
        assert_eq!(other.payload_errors("removeGroupMember", leaving.clone()).await, ["NOT_ALLOWED input.userId"], "leaving cannot exceed the limit either");
        other.mutate("setGroupMember", "", member(&group, &admin.id(), "MEMBER")).await;
        assert_eq!(other.mutate("removeGroupMember", "", leaving).await["success"], json!(true));
        assert_eq!(role_in(&admin, &group, &admin.id()).await, json!("OWNER"));
        assert_eq!(admin.mutate("setGroupMember", "", member(&group, &owner.id(), "OWNER")).await["success"], json!(true));
    }

    async fn groups_of_deleted_or_deactivated_users_get_another_owner(app: App) {
        for (mutation, more) in [("deleteUser", json!({})), ("setActive", json!({ "active": false }))] {
            let (license_admin, owner, first, second) = (app.license_admin().await, app.user().await, app.user().await, app.user().await);
            let admin = app.admin().await;
            let groups = [new_group(&owner).await, new_group(&owner).await, new_group(&owner).await, new_group(&owner).await];
            let [managed, administered, plain, alone] = &groups;
            for (group, user, role) in [
                (managed, &first, "MEMBER"), (managed, &admin, "MEMBER"), (managed, &second, "MANAGER"),
                (administered, &first, "MEMBER"), (administered, &admin, "MEMBER"),
                (plain, &first, "MEMBER"), (plain, &second, "MEMBER"),
            ] {
                owner.mutate("setGroupMember", "", member(group, &user.id(), role)).await;
            }
            let mut input = json!({ "id": owner.id() });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let done = license_admin.mutate(mutation, "message groupsPassedOn { id }", input).await;
            assert_eq!(done["success"], json!(true), "{done:#}");
            let mut passed_on: Vec<Value> = done["groupsPassedOn"].as_array().unwrap().iter().map(|group| group["id"].clone()).collect();
            passed_on.sort_by_key(ToString::to_string);
            let is_erased = mutation == "deleteUser";
            assert_eq!(passed_on, groups[..if is_erased { 4 } else { 3 }], "{done:#}");
            for (group, successor) in [(managed, &second), (administered, &admin), (plain, &license_admin)] {
                assert_eq!(role_in(&license_admin, group, &successor.id()).await, json!("OWNER"), "{mutation}");
            }
            // Deactivation is reversible, so a group without other members keeps its owner.
            let role = if is_erased { json!("OWNER") } else { Value::Null };
            assert_eq!(role_in(&license_admin, alone, &license_admin.id()).await, role);
            app.seal().await;
            let passed = audit_event::Entity::find()
                .filter(audit_event::Column::Action.eq("GROUP_MEMBER_SET"))
                .filter(audit_event::Column::ActorId.eq(license_admin.id));
            assert_eq!(passed.count(app.db.read()).await.unwrap(), if is_erased { 4 } else { 3 });
        }
    }

    async fn a_user_who_owns_two_hundred_groups_can_be_deleted(app: App) {
        let (license_admin, spammer, victim) = (app.license_admin().await, app.user().await, app.user().await);
        let groups = crowd::groups(&app, app.license, (0..200).map(|n| format!("Group {n:03}"))).await;
        crowd::memberships(&app, &[spammer.id], &groups, GroupRole::Owner).await;
        crowd::memberships(&app, &[victim.id], &groups[..100], GroupRole::Member).await;
        let busy = crowd::groups(&app, app.license, (0..190).map(|n| format!("Busy {n:03}"))).await;
        crowd::memberships(&app, &[license_admin.id], &busy, GroupRole::Member).await;
        let done = license_admin.mutate("deleteUser", "groupsPassedOn { id }", json!({ "id": spammer.id() })).await;
        assert_eq!(done["success"], json!(true), "{done:#}");
        let ownerless = "SELECT COUNT(*) AS n FROM groups g WHERE g.name LIKE 'Group%' AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = g.id AND m.role = 'OWNER')";
        let statement = sea_orm::Statement::from_string(app.db.read().get_database_backend(), ownerless);
        assert_eq!(app.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap(), 0);
    }
}

#[test]
fn every_mutation_is_public_or_has_an_actor() {
    let all = audit::mutations();
    for public in PUBLIC {
        assert!(all.iter().any(|mutation| mutation == public), "{public}");
    }
    assert!(CREDENTIALS.iter().all(|mutation| all.iter().any(|known| known == mutation)));
}
