//! The life cycle of an account: activation by a link, changes of secrets, sessions, deactivation and erasure.

use async_graphql::MaybeUndefined::Value as Given;
use chrono::{TimeDelta, Utc};
use futures_util::FutureExt;
use roster::entity::user::{Role, UserFields};
use roster::entity::{api_key, device, link, membership, session, tombstone, user};
use roster::scalar::{Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, payload_errors};

const ANOTHER: &str = "nine-copper-badgers-sing";

/// A user with a username, an email address and a password.
pub async fn ada(app: &App) -> Id {
    let fields = UserFields {
        username: Given("ada".to_owned()),
        email: Given("ada@x.example".to_owned()),
        ..UserFields::default()
    };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await.id
}

async fn by_password(app: &App, password: &str) -> Value {
    let input = json!({ "login": "ada", "password": password });
    app.anonymous().mutate("login", "token deviceToken user { id }", input).await
}

fn with_token<'a>(app: &'a App, token: &Value) -> Caller<'a> {
    Caller { token: token.as_str().map(str::to_owned), ..app.anonymous() }
}

async fn signed_in(app: &App) -> Caller<'_> {
    with_token(app, &by_password(app, PASSWORD).await["token"])
}

async fn status(caller: &Caller<'_>) -> u16 {
    caller.post(&json!({ "query": "{ viewer { id } }" })).await.0
}

async fn activate(app: &App, token: &str, password: &str) -> Value {
    let input = json!({ "token": token, "password": password });
    app.anonymous().mutate("activateAccount", "token deviceToken user { id hasActivated }", input).await
}

async fn link_of_ada(app: &App) -> String {
    roster::cli::admin::new_link(&app.db, "ADA@x.example").await.unwrap()
}

on_every_database! {
    async fn changing_the_password_requires_the_old_one_and_ends_other_sessions(app: App) {
        ada(&app).await;
        let (here, elsewhere) = (signed_in(&app).await, signed_in(&app).await);
        for (current, new, error) in [
            ("not-the-password", ANOTHER, "INVALID_CREDENTIALS input.currentPassword"),
            (PASSWORD, "short", "TOO_SHORT input.newPassword"),
            (PASSWORD, "password1234", "INVALID input.newPassword"),
            (PASSWORD, "ada@x.example", "INVALID input.newPassword"),
        ] {
            let input = json!({ "currentPassword": current, "newPassword": new });
            assert_eq!(here.payload_errors("changePassword", input).await, [error]);
        }
        let input = json!({ "currentPassword": PASSWORD, "newPassword": ANOTHER });
        assert_eq!(here.mutate("changePassword", "", input).await["success"], json!(true));
        assert_eq!((status(&here).await, status(&elsewhere).await), (200, 401));
        assert_eq!(payload_errors(&by_password(&app, PASSWORD).await), ["INVALID_CREDENTIALS input"]);
        assert_eq!(by_password(&app, ANOTHER).await["success"], json!(true));
    }

    async fn guessing_the_current_password_in_a_session_locks_its_change(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        for _ in 0..10 {
            let input = json!({ "currentPassword": "not-the-password", "newPassword": ANOTHER });
            assert_eq!(me.payload_errors("changePassword", input).await, ["INVALID_CREDENTIALS input.currentPassword"]);
        }
        let input = json!({ "currentPassword": PASSWORD, "newPassword": ANOTHER });
        assert_eq!(me.payload_errors("changePassword", input.clone()).await, ["LOCKED input.currentPassword"]);
        assert_eq!(by_password(&app, PASSWORD).await["success"], json!(true), "sign-in has its own counter");
        app.admin().await.mutate("unlockUser", "", json!({ "id": me.data("{ viewer { id } }", json!({})).await["viewer"]["id"] })).await;
        assert_eq!(me.mutate("changePassword", "", input).await["success"], json!(true));
    }

    async fn a_locked_login_does_not_prevent_changing_the_password(app: App) {
        ada(&app).await;
        let me = signed_in(&app).await;
        for _ in 0..10 {
            assert_eq!(payload_errors(&by_password(&app, "not-the-password").await), ["INVALID_CREDENTIALS input"]);
        }
        assert_eq!(payload_errors(&by_password(&app, PASSWORD).await), ["LOCKED input"]);
        let input = json!({ "currentPassword": PASSWORD, "newPassword": ANOTHER });
        assert_eq!(me.mutate("changePassword", "", input).await["success"], json!(true));
    }

    async fn expired_sessions_are_not_listed_and_displace_no_others(app: App) {
        let id = ada(&app).await;
        let me = signed_in(&app).await;
        for _ in 0..19 {
            signed_in(&app).await;
        }
        let dead = session::Entity::update_many().col_expr(session::Column::LastSeenAt, Expr::value(now() - TimeDelta::hours(13)));
        let others = session::Column::TokenHash.ne(roster::auth::token::hash(me.token.as_deref().unwrap()));
        dead.filter(session::Column::UserId.eq(id)).filter(others).exec(app.db.write()).await.unwrap();
        assert_eq!(me.data("{ viewer { sessions { isCurrent } } }", json!({})).await["viewer"]["sessions"], json!([{ "isCurrent": true }]));
        signed_in(&app).await;
        assert_eq!(status(&me).await, 200);
        assert_eq!(session::Entity::find().filter(session::Column::UserId.eq(id)).count(app.db.read()).await.unwrap(), 2);
    }

    async fn administrators_cannot_change_their_own_rank(app: App) {
        let admin = app.admin().await;
        for input in [json!({ "isStaff": true }), json!({ "adminRights": { "isAdmin": true } }), json!({ "role": "USER" })] {
            let mut input = input;
            input["id"] = json!(admin.id());
            assert_eq!(admin.mutation_error_code("updateUser", input.clone()).await, "FORBIDDEN", "{input}");
        }
        assert_eq!(admin.mutate("updateUser", "", json!({ "id": admin.id(), "role": "ADMIN", "isStaff": false, "nickname": "A" })).await["success"], json!(true));
    }

    async fn site_access_that_comes_with_a_role_ends_with_it(app: App) {
        let (root, license_admin) = (app.superuser().await, app.license_admin().await);
        app.license_admin().await;
        let demoted = root.mutate("updateUser", "user { fullSiteAccess }", json!({ "id": license_admin.id(), "role": "ADMIN" })).await;
        assert_eq!(demoted["user"]["fullSiteAccess"], json!(false));
        let license_admin = app.license_admin().await;
        let demoted = root.mutate("updateUser", "user { fullSiteAccess }", json!({ "id": license_admin.id(), "role": "ADMIN", "fullSiteAccess": true })).await;
        assert_eq!(demoted["user"]["fullSiteAccess"], json!(true));
    }

    async fn users_and_administrators_can_end_sessions(app: App) {
        let id = ada(&app).await;
        let [one, two, three] = [signed_in(&app).await, signed_in(&app).await, signed_in(&app).await];
        let sessions = one.data("{ viewer { sessions { id isCurrent } } }", json!({})).await["viewer"]["sessions"].clone();
        let other: Vec<&Value> = sessions.as_array().unwrap().iter().filter(|session| session["isCurrent"] == json!(false)).map(|session| &session["id"]).collect();
        assert_eq!(other.len(), 2);
        assert_eq!(one.mutate("endSessions", "sessionsEnded", json!({ "sessionIds": [other[0]] })).await["sessionsEnded"], json!(1));
        assert_eq!(one.mutate("endSessions", "sessionsEnded", json!({})).await["sessionsEnded"], json!(1));
        assert_eq!((status(&one).await, status(&two).await, status(&three).await), (200, 401, 401));
        assert_eq!(one.mutate("endSessions", "sessionsEnded", json!({ "includeCurrent": true })).await["sessionsEnded"], json!(1));
        assert_eq!(status(&one).await, 401);

        let me = signed_in(&app).await;
        let user = app.user().await;
        assert_eq!(user.mutation_error_code("endSessions", json!({ "userId": id.0 })).await, "FORBIDDEN");
        assert_eq!(app.other_license_user().await.payload_errors("endSessions", json!({ "userId": id.0 })).await, ["NOT_FOUND input.userId"]);
        let foreign = user.data("{ viewer { sessions { id } } }", json!({})).await["viewer"]["sessions"][0]["id"].clone();
        assert_eq!(me.mutate("endSessions", "sessionsEnded", json!({ "sessionIds": [foreign] })).await["sessionsEnded"], json!(0));
        let admin = app.admin().await;
        assert_eq!(admin.mutation_error_code("endSessions", json!({ "userId": app.license_admin().await.id() })).await, "FORBIDDEN");
        assert_eq!(admin.mutate("endSessions", "sessionsEnded", json!({ "userId": id.0 })).await["sessionsEnded"], json!(1));
        assert_eq!((status(&me).await, status(&user).await, status(&admin).await), (401, 200, 200));
        let too_many: Vec<Id> = (0..101).map(|_| Id::new()).collect();
        assert_eq!(admin.payload_errors("endSessions", json!({ "sessionIds": too_many, "userId": "x" })).await, ["INVALID input.userId", "TOO_LONG input.sessionIds"]);
    }

    async fn deactivating_a_user_revokes_all_access_and_returns_the_counts(app: App) {
        let license_admin = app.license_admin().await;
        let fields = UserFields { username: Given("ada".to_owned()), email: Given("ada@x.example".to_owned()), role: Given(Role::Admin), ..UserFields::default() };
        let id = app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await.id;
        let (one, two) = (signed_in(&app).await, signed_in(&app).await);
        let key = one.mutate("createApiKey", "secret", json!({ "name": "Import" })).await["secret"].clone();
        let key = with_token(&app, &key);
        let link = link_of_ada(&app).await;
        assert_eq!((status(&one).await, status(&two).await, status(&key).await), (200, 200, 200));

        let selection = "user { isActive version } sessionsEnded keysRevoked linksRevoked";
        let receipt = license_admin.mutate("setActive", selection, json!({ "id": id.0, "active": false, "reason": "Has left the house." })).await;
        assert_eq!((&receipt["sessionsEnded"], &receipt["keysRevoked"], &receipt["linksRevoked"]), (&json!(2), &json!(1), &json!(1)), "{receipt:#}");
        assert_eq!((status(&one).await, status(&two).await, status(&key).await), (401, 401, 401));
        assert_eq!(payload_errors(&activate(&app, &link, ANOTHER).await), ["EXPIRED input.token"]);
        assert_eq!(payload_errors(&by_password(&app, PASSWORD).await), ["INACTIVE input"]);
        let again = license_admin.mutate("setActive", selection, json!({ "id": id.0, "active": false })).await;
        assert_eq!((&again["sessionsEnded"], &again["user"]["version"]), (&json!(0), &receipt["user"]["version"]), "deactivating twice has no effect");

        let back = license_admin.mutate("setActive", selection, json!({ "id": id.0, "active": true })).await;
        assert_eq!((&back["user"]["isActive"], &back["sessionsEnded"]), (&json!(true), &json!(0)));
        assert_eq!((status(&one).await, status(&two).await, status(&key).await), (401, 401, 401), "activating restores no session or key");
        assert_eq!(payload_errors(&activate(&app, &link, ANOTHER).await), ["EXPIRED input.token"]);
        assert_eq!(by_password(&app, PASSWORD).await["success"], json!(true), "the password works again");
        assert_eq!(license_admin.payload_errors("setActive", json!({ "id": id.0, "active": true, "reason": "x".repeat(501) })).await, ["TOO_LONG input.reason"]);
    }

    async fn erasing_a_user_leaves_a_tombstone_and_frees_their_logins(app: App) {
        let id = ada(&app).await;
        let me = signed_in(&app).await;
        me.mutate("setPin", "", json!({ "pin": "1234" })).await;
        let group = app.user().await.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        let license_admin = app.license_admin().await;
        license_admin.mutate("setGroupMember", "", json!({ "groupId": group, "userId": id.0, "role": "MEMBER" })).await;
        assert_eq!(me.mutation_error_code("deleteUser", json!({ "id": app.user().await.id() })).await, "FORBIDDEN");
        assert_eq!(license_admin.mutate("deleteUser", "deletedUserId", json!({ "id": id.0 })).await["deletedUserId"], json!(id.0));
        assert_eq!(status(&me).await, 401);
        assert_eq!(license_admin.payload_errors("deleteUser", json!({ "id": id.0 })).await, ["NOT_FOUND input.id"]);

        let db = app.db.read();
        let grave = tombstone::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
        assert_eq!((grave.license_id, grave.deleted_by), (app.license, Some(license_admin.id)));
        assert!(user::Entity::find_by_id(id).one(db).await.unwrap().is_none());
        assert_eq!(membership::Entity::find().filter(membership::Column::UserId.eq(id)).count(db).await.unwrap(), 0);
        assert_eq!(session::Entity::find().filter(session::Column::UserId.eq(id)).count(db).await.unwrap(), 0);
        assert_eq!(device::Entity::find().filter(device::Column::UserId.eq(id)).count(db).await.unwrap(), 0);
        let again = json!({ "firstName": "Ada", "lastName": "Other", "username": "ADA", "email": "Ada@X.example" });
        assert_eq!(license_admin.mutate("createUser", "", again).await["success"], json!(true));
    }

    async fn a_link_activates_an_account_once(app: App) {
        let fields = UserFields { username: Given("ada".to_owned()), email: Given("ada@x.example".to_owned()), ..UserFields::default() };
        let id = app.create("Ada", app.license, fields, async_graphql::MaybeUndefined::Undefined).await.id;
        let token = link_of_ada(&app).await;
        assert!(token.starts_with("rol_") && token.len() == "rol_".len() + 43);
        assert_eq!(payload_errors(&activate(&app, &token, "short").await), ["TOO_SHORT input.password"]);
        let payload = activate(&app, &token, PASSWORD).await;
        assert_eq!(payload["user"], json!({ "id": id.0, "hasActivated": true }), "{payload:#}");
        assert_eq!(status(&with_token(&app, &payload["token"])).await, 200);
        assert_eq!(payload_errors(&activate(&app, &token, ANOTHER).await), ["EXPIRED input.token"]);
        assert_eq!(by_password(&app, PASSWORD).await["success"], json!(true));
    }

    async fn one_of_fifty_concurrent_uses_of_a_link_succeeds(app: App) {
        ada(&app).await;
        let token = link_of_ada(&app).await;
        let document = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success errors { code } } }";
        let input = json!({ "input": { "token": token, "password": ANOTHER } });
        let anonymous = app.anonymous();
        let responses = futures_util::future::join_all((0..50).map(|_| anonymous.execute(document, input.clone()).boxed())).await;
        let won = responses.iter().filter(|response| response.pointer("/data/activateAccount/success") == Some(&json!(true))).count();
        assert_eq!(won, 1, "{responses:#?}");
        assert_eq!(session::Entity::find().count(app.db.read()).await.unwrap(), 1);
    }

    async fn links_end_with_a_newer_link_email_or_password_and_when_they_expire(app: App) {
        let id = ada(&app).await;
        let admin = app.admin().await;
        let dead = async |token: &str| assert_eq!(payload_errors(&activate(&app, token, ANOTHER).await), ["EXPIRED input.token"]);
        let older = link_of_ada(&app).await;
        let newer = link_of_ada(&app).await;
        dead(&older).await;
        admin.mutate("updateUser", "", json!({ "id": id.0, "email": "ada@y.example" })).await;
        dead(&newer).await;
        admin.mutate("updateUser", "", json!({ "id": id.0, "email": "ada@x.example" })).await;
        dead(&newer).await;
        let token = link_of_ada(&app).await;
        admin.mutate("updateUser", "", json!({ "id": id.0, "password": ANOTHER })).await;
        dead(&token).await;
        let token = link_of_ada(&app).await;
        link::Entity::update_many().col_expr(link::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        dead(&token).await;
        let token = link_of_ada(&app).await;
        for altered in [format!("{token}A"), token.to_uppercase(), token.replacen("rol_", "ros_", 1), token.chars().skip(1).collect(), String::new(), "x".repeat(5_000)] {
            dead(&altered).await;
        }
        assert_eq!(status(&with_token(&app, &json!(token))).await, 401, "a link is not a bearer token");
        assert_eq!(activate(&app, &token, PASSWORD).await["success"], json!(true));
    }

    async fn opening_the_page_of_a_link_does_not_use_the_link(app: App) {
        ada(&app).await;
        let token = link_of_ada(&app).await;
        let client = reqwest::Client::new();
        for _ in 0..3 {
            let page = client.get(format!("{}/activate#{token}", app.url())).send().await.unwrap();
            assert_eq!(page.status(), 200);
            let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
            assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'nonce-"));
            assert_eq!((header("cache-control"), header("referrer-policy")), ("no-store".to_owned(), "no-referrer".to_owned()));
            assert!(page.text().await.unwrap().contains("<form"));
            client.head(format!("{}/activate", app.url())).send().await.unwrap();
        }
        assert_eq!(activate(&app, &token, PASSWORD).await["success"], json!(true));
    }

    async fn an_api_key_acts_for_its_creator_up_to_its_role(app: App) {
        let admin = app.admin().await;
        let created = admin.mutate("createApiKey", "secret apiKey { id name role prefix lastUsedAt expiresAt createdBy { id } }", json!({ "name": " Import ", "role": "ADMIN" })).await;
        let secret = created["secret"].as_str().unwrap();
        assert!(secret.starts_with("rok_") && secret.len() == "rok_".len() + 43);
        let expected = json!({ "id": created["apiKey"]["id"], "name": "Import", "role": "ADMIN", "prefix": secret.get(..9), "lastUsedAt": null, "expiresAt": null, "createdBy": { "id": admin.id() } });
        assert_eq!(created["apiKey"], expected);
        let key = with_token(&app, &created["secret"]);
        assert_eq!(key.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(admin.id()));
        let entered = key.mutate("createUser", "user { id }", json!({ "firstName": "Bo", "lastName": "Nobel", "username": "bo" })).await;
        assert_eq!(entered["success"], json!(true));
        let user_key = with_token(&app, &admin.mutate("createApiKey", "secret", json!({ "name": "Read", "role": "USER" })).await["secret"]);
        assert_eq!(user_key.mutation_error_code("createUser", json!({ "firstName": "Bo", "lastName": "Nobel", "username": "bob" })).await, "FORBIDDEN");
        assert_eq!(user_key.mutation_error_code("updateUser", json!({ "id": entered["user"]["id"], "nickname": "B" })).await, "FORBIDDEN");
        for (mutation, input) in [
            ("createApiKey", json!({ "name": "Another" })),
            ("revokeApiKey", json!({ "id": created["apiKey"]["id"] })),
            ("setPin", json!({ "pin": "0000" })),
            ("changePassword", json!({ "currentPassword": PASSWORD, "newPassword": ANOTHER })),
            ("endSessions", json!({})),
        ] {
            assert_eq!(key.mutation_error_code(mutation, input).await, "FORBIDDEN", "{mutation}");
        }
        assert_eq!(admin.mutation_error_code("createApiKey", json!({ "name": "Above", "role": "LICENSE_ADMIN" })).await, "FORBIDDEN");
        assert_eq!(app.user().await.mutation_error_code("createApiKey", json!({ "name": "Mine", "role": "USER" })).await, "FORBIDDEN");
    }

    async fn an_api_key_never_exceeds_the_current_rank_of_its_creator(app: App) {
        let admin = app.admin().await;
        let key = with_token(&app, &admin.mutate("createApiKey", "secret", json!({ "name": "Import", "role": "ADMIN" })).await["secret"]);
        assert!(key.data("{ users(includeInactive: true) { totalCount } }", json!({})).await.is_object());
        app.license_admin().await.mutate("updateUser", "", json!({ "id": admin.id(), "role": "USER" })).await;
        assert_eq!(key.error_code("{ users(includeInactive: true) { totalCount } }", json!({})).await, "FORBIDDEN");
        let root = app.superuser().await;
        let key = with_token(&app, &root.mutate("createApiKey", "secret", json!({ "name": "Root", "role": "LICENSE_ADMIN" })).await["secret"]);
        let stranger = app.other_license_user().await;
        let found = json!({ "id": stranger.id() });
        assert!(root.data("query ($id: ID!) { user(by: { id: $id }) { id } }", found.clone()).await["user"].is_object());
        assert_eq!(key.data("query ($id: ID!) { user(by: { id: $id }) { id } }", found).await["user"], Value::Null);
    }

    async fn creators_and_license_administrators_list_and_revoke_api_keys(app: App) {
        let (admin, other, license_admin) = (app.admin().await, app.admin().await, app.license_admin().await);
        let created = admin.mutate("createApiKey", "secret apiKey { id }", json!({ "name": "Import" })).await;
        let id = created["apiKey"]["id"].clone();
        let key = with_token(&app, &created["secret"]);
        let names = async |caller: &Caller<'_>| caller.data("{ apiKeys { name lastUsedAt } }", json!({})).await["apiKeys"].as_array().unwrap().len();
        assert_eq!((names(&admin).await, names(&other).await, names(&license_admin).await), (1, 0, 1));
        assert_eq!(names(&app.superuser().await).await, 1);
        assert_eq!(app.user().await.error_code("{ apiKeys { id } }", json!({})).await, "FORBIDDEN");
        let of_license = "query ($id: ID!) { apiKeys(license: $id) { id } }";
        assert_eq!(license_admin.data(of_license, json!({ "id": app.other_license.0 })).await["apiKeys"], json!([]));
        assert_eq!(app.superuser().await.data(of_license, json!({ "id": app.other_license.0 })).await["apiKeys"], json!([]));
        assert_eq!(other.payload_errors("revokeApiKey", json!({ "id": id })).await, ["NOT_FOUND input.id"]);
        assert_eq!(status(&key).await, 200);
        let used = crate::process::until(|| async { admin.data("{ apiKeys { lastUsedAt } }", json!({})).await["apiKeys"][0]["lastUsedAt"].as_str().map(str::to_owned) }).await;
        assert!(used.is_some(), "the last use is recorded");
        assert_eq!(license_admin.mutate("revokeApiKey", "apiKey { id }", json!({ "id": id })).await["apiKey"]["id"], id);
        assert_eq!(status(&key).await, 401);
        assert_eq!(license_admin.payload_errors("revokeApiKey", json!({ "id": id })).await, ["NOT_FOUND input.id"]);
    }

    async fn api_keys_expire_and_a_license_has_at_most_a_hundred(app: App) {
        let admin = app.admin().await;
        for expires_at in ["2020-01-01T00:00:00Z", "+012345-01-01T00:00:00Z"] {
            assert_eq!(admin.execute("mutation ($i: CreateApiKeyInput!) { createApiKey(input: $i) { success } }", json!({ "i": { "name": "A", "expiresAt": expires_at } })).await.pointer("/data/createApiKey/success"), Some(&json!(false)), "{expires_at}");
        }
        assert_eq!(admin.payload_errors("createApiKey", json!({ "name": " " })).await, ["REQUIRED input.name"]);
        let soon = Utc::now() + TimeDelta::hours(1);
        let key = with_token(&app, &admin.mutate("createApiKey", "secret", json!({ "name": "A", "expiresAt": soon.to_rfc3339() })).await["secret"]);
        assert_eq!(status(&key).await, 200);
        api_key::Entity::update_many().col_expr(api_key::Column::ExpiresAt, Expr::value(now())).exec(app.db.write()).await.unwrap();
        assert_eq!(status(&key).await, 401);
        for n in 1..100 {
            assert_eq!(admin.mutate("createApiKey", "", json!({ "name": format!("Key {n}") })).await["success"], json!(true));
        }
        assert_eq!(admin.payload_errors("createApiKey", json!({ "name": "One more" })).await, ["NOT_ALLOWED input.name"]);
    }

    async fn a_dry_run_reports_every_error_and_changes_nothing(app: App) {
        let admin = app.admin().await;
        let new = json!({ "firstName": "Bo", "lastName": "Nobel", "email": "bo@x.example", "password": PASSWORD, "dryRun": true });
        let payload = admin.mutate("createUser", "user { id }", new.clone()).await;
        assert_eq!((&payload["success"], &payload["user"]), (&json!(true), &Value::Null));
        let id = ada(&app).await;
        let bad = json!({ "firstName": "Bo", "lastName": "Nobel", "email": "ADA@x.example", "pin": "1", "dryRun": true });
        assert_eq!(admin.payload_errors("createUser", bad).await, ["INVALID input.pin", "TAKEN input.email"]);
        let taken = json!({ "firstName": "Bo", "lastName": "Nobel", "email": "ADA@x.example", "dryRun": true });
        assert_eq!(admin.payload_errors("createUser", taken).await, ["TAKEN input.email"]);
        assert_eq!(admin.mutation_error_code("createUser", json!({ "firstName": "Bo", "lastName": "Nobel", "username": "b", "role": "LICENSE_ADMIN", "dryRun": true })).await, "FORBIDDEN");
        let before = admin.data("{ users { totalCount nodes { version nickname } } }", json!({})).await;
        let payload = admin.mutate("updateUser", "user { nickname version }", json!({ "id": id.0, "nickname": "A", "password": ANOTHER, "dryRun": true })).await;
        assert_eq!((&payload["success"], &payload["user"]), (&json!(true), &json!({ "nickname": null, "version": 1 })));
        assert_eq!(admin.payload_errors("updateUser", json!({ "id": id.0, "email": admin_email(&admin).await, "dryRun": true })).await, ["TAKEN input.email"]);
        assert_eq!(admin.data("{ users { totalCount nodes { version nickname } } }", json!({})).await, before);
        assert_eq!(by_password(&app, PASSWORD).await["success"], json!(true));
    }

    async fn a_stale_version_is_a_conflict_that_returns_the_current_user(app: App) {
        let id = ada(&app).await;
        let admin = app.admin().await;
        assert_eq!(admin.mutate("updateUser", "", json!({ "id": id.0, "expectedVersion": 1, "nickname": "A" })).await["success"], json!(true));
        for dry_run in [false, true] {
            let payload = admin.mutate("updateUser", "user { nickname version }", json!({ "id": id.0, "expectedVersion": 1, "nickname": "B", "dryRun": dry_run })).await;
            assert_eq!(payload_errors(&payload), ["CONFLICT input.expectedVersion"]);
            assert_eq!(payload["user"], json!({ "nickname": "A", "version": 2 }));
        }
        let document = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success } }";
        let responses = futures_util::future::join_all((0..20).map(|n| {
            admin.execute(document, json!({ "input": { "id": id.0, "expectedVersion": 2, "nickname": format!("N{n}") } })).boxed()
        })).await;
        assert_eq!(responses.iter().filter(|response| response.pointer("/data/updateUser/success") == Some(&json!(true))).count(), 1);
    }
}

async fn admin_email(admin: &Caller<'_>) -> Value {
    admin.data("{ viewer { email } }", json!({})).await["viewer"]["email"].clone()
}
