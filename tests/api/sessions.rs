//! Signing in and out.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::{Days, TimeDelta, Utc};
use roster::entity::user::UserFields;
use roster::entity::{credential, license, session};
use roster::scalar::{Date, Id};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, payload_errors};
use crate::process::until;

const VIEWER: &str = "{ viewer { id } }";

/// Creates a user with a username and the test password, and returns their id.
async fn ada(app: &App, license: Id) -> Id {
    let fields = UserFields {
        username: Given("ada".to_owned()),
        email: Given("ada@x.example".to_owned()),
        ..UserFields::default()
    };
    app.create("Ada", license, fields, Given(PASSWORD.to_owned())).await.id
}

async fn login(app: &App, login: &str, password: &str) -> Value {
    app.anonymous().mutate("login", "token user { id }", json!({ "login": login, "password": password })).await
}

/// A caller who has signed in with the test password.
async fn signed_in<'a>(app: &'a App, name: &str) -> Caller<'a> {
    let payload = login(app, name, PASSWORD).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    with_token(app, payload["token"].as_str().unwrap())
}

fn with_token<'a>(app: &'a App, token: &str) -> Caller<'a> {
    Caller { token: Some(token.to_owned()), ..app.anonymous() }
}

/// The HTTP status of the response to a viewer query.
async fn status(caller: &Caller<'_>) -> u16 {
    caller.post(&json!({ "query": VIEWER })).await.0
}

async fn expire(app: &App, days_from_today: u64, back: bool) {
    let today = Date::today().0;
    let days = Days::new(days_from_today);
    let last = if back { today.checked_sub_days(days) } else { today.checked_add_days(days) };
    let set = license::Entity::update_many().col_expr(license::Column::ExpiresOn, Expr::value(Date(last.unwrap())));
    set.filter(license::Column::Id.eq(app.license)).exec(app.db.write()).await.unwrap();
}

/// The salted SHA-1 hash of [`PASSWORD`], as LDAP servers store it.
const IMPORTED_HASH: &str = "{SSHA}Ms+N7jVyAOqG8GaaZv5QWW7XBWBzYWx0c2FsdA==";

on_every_database! {
    async fn a_user_signs_in_by_email_in_any_case_and_sees_themselves(app: App) {
        let login = app.anonymous().mutate("login", "token expiresAt user { email license { number } lastLogin adminRights { isSuperuser } }",
            json!({ "login": " ROOT@Alder.example.ORG ", "password": PASSWORD })).await;
        assert_eq!(login["success"], json!(true), "{login:#}");
        assert_eq!(login["user"]["license"]["number"], json!("A-1"));
        assert!(login["user"]["lastLogin"].is_string());
        let mut caller = app.anonymous();
        caller.token = login["token"].as_str().map(str::to_owned);
        let data = caller.data("{ viewer { email sessions { isCurrent } } }", json!({})).await;
        assert_eq!(data["viewer"], json!({ "email": "root@alder.example.org", "sessions": [{ "isCurrent": true }] }));
    }

    async fn a_user_signs_in_by_every_spelling_of_username_and_email(app: App) {
        let id = ada(&app, app.license).await;
        for name in ["ada", " ADA", "\u{ff41}da", "ada@x.example", "Ada@X.EXAMPLE "] {
            assert_eq!(login(&app, name, PASSWORD).await["user"]["id"], json!(id.0), "{name}");
        }
    }

    async fn wrong_credentials_get_the_same_response_in_every_case(app: App) {
        ada(&app, app.license).await;
        let no_secret = UserFields { username: Given("bare".to_owned()), ..UserFields::default() };
        app.create("Bare", app.license, no_secret, Undefined).await;
        let inactive = UserFields { username: Given("gone".to_owned()), ..UserFields::default() };
        let inactive = app.create("Gone", app.license, inactive, Given(PASSWORD.to_owned())).await;
        app.admin().await.mutate("setActive", "", json!({ "id": inactive.id.0, "active": false })).await;
        let expected = login(&app, "nobody", PASSWORD).await;
        assert_eq!(payload_errors(&expected), ["INVALID_CREDENTIALS input"]);
        let cases = [("ada", "wrong"), ("ada", ""), ("ada", " "), ("bare", PASSWORD), ("bare", ""), ("gone", "wrong"), ("", PASSWORD), ("", ""), ("%", PASSWORD), ("' OR 1=1 --", PASSWORD),
            ("ada", "Seven-brass-otters-waltz"), ("ada", "seven-brass-otters-waltz ")];
        for (name, password) in cases {
            assert_eq!(login(&app, name, password).await, expected, "{name} {password}");
        }
        assert_eq!(login(&app, "ada", &"x".repeat(20_000)).await, expected);
        assert_eq!(login(&app, &"x".repeat(20_000), PASSWORD).await, expected);
        for name in ["ada", "nobody"] {
            assert_eq!(app.anonymous().payload_errors("login", json!({ "login": name })).await, ["REQUIRED input.password"], "the same for existing and unknown users");
        }
    }

    async fn an_inactive_user_learns_it_only_with_the_right_password(app: App) {
        let id = ada(&app, app.license).await;
        let license_admin = app.license_admin().await;
        license_admin.mutate("setActive", "", json!({ "id": id.0, "active": false })).await;
        let payload = login(&app, "ada", PASSWORD).await;
        assert_eq!((payload_errors(&payload), &payload["token"], &payload["user"]), (vec!["INACTIVE input".to_owned()], &Value::Null, &Value::Null));
        assert_eq!(payload_errors(&login(&app, "ada", "wrong").await), ["INVALID_CREDENTIALS input"]);
        license_admin.mutate("setActive", "", json!({ "id": id.0, "active": true })).await;
        assert_eq!(login(&app, "ada", PASSWORD).await["success"], json!(true));
    }

    async fn the_last_sign_in_is_recorded_and_changes_nothing_else(app: App) {
        ada(&app, app.license).await;
        let selection = "user { lastLogin modifiedAt version } expiresAt";
        let first = app.anonymous().mutate("login", selection, json!({ "login": "ada", "password": PASSWORD })).await;
        let second = app.anonymous().mutate("login", selection, json!({ "login": "ada", "password": PASSWORD })).await;
        assert!(second["user"]["lastLogin"].as_str() > first["user"]["lastLogin"].as_str());
        assert_eq!((&second["user"]["modifiedAt"], &second["user"]["version"]), (&first["user"]["modifiedAt"], &json!(1)));
        let expires: chrono::DateTime<Utc> = second["expiresAt"].as_str().unwrap().parse().unwrap();
        assert!((expires - Utc::now() - TimeDelta::days(30)).abs() < TimeDelta::minutes(1));
        let caller = signed_in(&app, "ada").await;
        let before = caller.data("{ viewer { lastLogin } }", json!({})).await;
        caller.data("{ users { totalCount } }", json!({})).await;
        assert_eq!(caller.data("{ viewer { lastLogin } }", json!({})).await, before, "a query is not a sign-in");
    }

    async fn a_failed_sign_in_does_not_change_the_user(app: App) {
        let id = ada(&app, app.license).await;
        login(&app, "ada", "wrong").await;
        let data = app.admin().await.data("query ($id: ID!) { user(by: { id: $id }) { lastLogin sessions { id } version } }", json!({ "id": id.0 })).await;
        assert_eq!(data["user"], json!({ "lastLogin": null, "sessions": [], "version": 1 }));
    }

    async fn signing_out_ends_only_the_current_session(app: App) {
        ada(&app, app.license).await;
        let (one, other) = (signed_in(&app, "ada").await, signed_in(&app, "ada").await);
        let data = one.data("mutation { logout { success message errors { code } } }", json!({})).await;
        assert_eq!((&data["logout"]["success"], &data["logout"]["errors"]), (&json!(true), &json!([])));
        assert_eq!((status(&one).await, status(&other).await), (401, 200));
        let (code, response) = one.post(&json!({ "query": "mutation { logout { success } }" })).await;
        assert_eq!((code, &response["errors"][0]["extensions"]["code"]), (401, &json!("UNAUTHENTICATED")));
    }

    async fn deactivation_ends_every_session_at_once(app: App) {
        let id = ada(&app, app.license).await;
        let sessions = [signed_in(&app, "ada").await, signed_in(&app, "ada").await, signed_in(&app, "ada").await];
        let payload = app.admin().await.mutate("setActive", "sessionsEnded", json!({ "id": id.0, "active": false })).await;
        assert_eq!(payload["sessionsEnded"], json!(3));
        for session in &sessions {
            assert_eq!(status(session).await, 401);
        }
    }

    async fn a_concurrent_sign_in_does_not_survive_a_deactivation(app: App) {
        let id = ada(&app, app.license).await;
        let admin = app.admin().await;
        for pause in [0, 5, 10, 20, 40, 80] {
            let set = |active: bool| admin.mutate("setActive", "", json!({ "id": id.0, "active": active }));
            let deactivation = async {
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                set(false).await
            };
            let (payload, _) = tokio::join!(login(&app, "ada", PASSWORD), deactivation);
            set(true).await;
            if let Some(token) = payload["token"].as_str() {
                assert_eq!(status(&with_token(&app, token)).await, 401, "after {pause} ms");
            }
        }
    }

    async fn a_concurrent_sign_in_does_not_survive_a_new_password(app: App) {
        let id = ada(&app, app.license).await;
        let admin = app.admin().await;
        for pause in [0, 5, 10, 20, 40, 80] {
            let change = |password: &'static str| admin.mutate("updateUser", "", json!({ "id": id.0, "password": password }));
            let new_password = async {
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                change("nine-velvet-comets-hum").await
            };
            let removal = async {
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                admin.mutate("updateUser", "", json!({ "id": id.0, "password": null })).await
            };
            let (payload, _) = tokio::join!(login(&app, "ada", PASSWORD), new_password);
            if let Some(token) = payload["token"].as_str() {
                assert_eq!(status(&with_token(&app, token)).await, 401, "changed after {pause} ms");
            }
            change(PASSWORD).await;
            let (payload, _) = tokio::join!(login(&app, "ada", PASSWORD), removal);
            if let Some(token) = payload["token"].as_str() {
                assert_eq!(status(&with_token(&app, token)).await, 401, "removed after {pause} ms");
            }
            change(PASSWORD).await;
        }
    }

    async fn the_21st_session_ends_the_oldest(app: App) {
        let id = ada(&app, app.license).await;
        let user = roster::entity::user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
        let mut sessions = Vec::new();
        for _ in 0..20 {
            sessions.push(app.sign_in(user.clone()).await);
        }
        assert_eq!(status(&sessions[0]).await, 200);
        let newest = signed_in(&app, "ada").await;
        assert_eq!((status(&sessions[0]).await, status(&sessions[1]).await, status(&newest).await), (401, 200, 200));
        let seen = newest.data("{ viewer { sessions { isCurrent } } }", json!({})).await["viewer"]["sessions"].as_array().unwrap().clone();
        assert_eq!((seen.len(), &seen[0]["isCurrent"], &seen[1]["isCurrent"]), (20, &json!(true), &json!(false)));
    }

    async fn an_expired_license_blocks_its_users_until_it_is_extended(app: App) {
        ada(&app, app.license).await;
        let (caller, stranger) = (signed_in(&app, "ada").await, app.other_license_user().await);
        expire(&app, 0, false).await;
        assert_eq!(status(&caller).await, 200, "the last day is valid");
        let data = caller.data("{ viewer { license { isExpired name } } }", json!({})).await;
        assert_eq!(data["viewer"]["license"], json!({ "isExpired": false, "name": format!("A-1/Alder Hospital/{}", Date::today().0) }));
        expire(&app, 1, true).await;
        assert_eq!((status(&caller).await, status(&stranger).await), (401, 200));
        assert_eq!(payload_errors(&login(&app, "ada", PASSWORD).await), ["INACTIVE input"]);
        assert_eq!(payload_errors(&login(&app, "ada", "wrong").await), ["INVALID_CREDENTIALS input"]);
        expire(&app, 1, false).await;
        assert_eq!(status(&caller).await, 200);
    }

    async fn a_session_expires_after_its_lifetime_or_twelve_idle_hours(app: App) {
        ada(&app, app.license).await;
        let caller = signed_in(&app, "ada").await;
        for (column, ago, expected) in [
            (session::Column::LastSeenAt, TimeDelta::hours(11), 200),
            (session::Column::LastSeenAt, TimeDelta::hours(12) + TimeDelta::seconds(1), 401),
            (session::Column::LastSeenAt, TimeDelta::zero(), 200),
            (session::Column::ExpiresAt, TimeDelta::zero(), 401),
        ] {
            let set = session::Entity::update_many().col_expr(column, Expr::value(Utc::now() - ago));
            set.exec(app.db.write()).await.unwrap();
            assert_eq!(status(&caller).await, expected, "{column:?} {ago}");
            if expected != 200 {
                continue;
            }
            // The last use is recorded shortly after the response.
            let recorded = until(|| async {
                let seen_at = session::Entity::find().one(app.db.read()).await.unwrap().unwrap().last_seen_at;
                (seen_at > Utc::now() - TimeDelta::hours(1)).then_some(())
            });
            recorded.await.expect("the last use is recorded");
        }
        let admin = app.admin().await;
        let data = admin.data(r#"{ user(by: { username: "ada" }) { sessions { id } } }"#, json!({})).await;
        assert_eq!(data["user"]["sessions"], json!([]), "ended sessions are not shown");
    }

    async fn an_altered_token_is_rejected(app: App) {
        let caller = app.user().await;
        let session = caller.data("{ viewer { sessions { id } } }", json!({})).await["viewer"]["sessions"][0]["id"].as_str().unwrap().to_owned();
        let token = caller.token.clone().unwrap();
        let mut altered = vec![format!("{token}A"), format!("{token}="), token.to_uppercase(), token.to_lowercase(), token.replacen("ros_", "", 1), "ros_".to_owned(), "x".to_owned(),
            session, caller.id(), format!("A{token}"), "%".to_owned(), "'--".to_owned(), "x".repeat(2_000)];
        altered.extend((1..token.len()).map(|length| token.chars().take(length).collect()));
        for at in 0..token.len() {
            altered.push(token.chars().enumerate().map(|(n, c)| if n != at { c } else if c == 'A' { 'B' } else { 'A' }).collect());
        }
        for token in altered {
            let (status, response) = with_token(&app, &token).post(&json!({ "query": VIEWER })).await;
            assert_eq!((status, &response["errors"][0]["extensions"]["code"], response.get("data")), (401, &json!("UNAUTHENTICATED"), None), "{token}");
        }
        assert_eq!(status(&caller).await, 200);
    }

    async fn no_secret_is_stored_in_plain_text(app: App) {
        let id = ada(&app, app.license).await;
        let caller = signed_in(&app, "ada").await;
        let token = caller.token.unwrap();
        assert!(token.starts_with("ros_") && token.len() == "ros_".len() + 43, "256 bits");
        let session = session::Entity::find().filter(session::Column::UserId.eq(id)).one(app.db.read()).await.unwrap().unwrap();
        assert_eq!(session.token_hash.len(), 32);
        let hash = credential::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap().password_hash;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid=") && !hash.contains(PASSWORD));
    }

    async fn eighteen_concurrent_sign_ins_of_one_user_succeed(app: App) {
        let id = ada(&app, app.license).await;
        let payloads = futures_util::future::join_all((0..18).map(|_| login(&app, "ada", PASSWORD))).await;
        assert!(payloads.iter().all(|payload| payload["token"].is_string()), "{payloads:#?}");
        let sessions = session::Entity::find().filter(session::Column::UserId.eq(id)).count(app.db.read()).await.unwrap();
        assert_eq!(sessions, 18);
    }

    async fn concurrent_first_sign_ins_with_a_hash_of_another_system_succeed(app: App) {
        let id = ada(&app, app.license).await;
        let imported = credential::Model { user_id: id, password_hash: IMPORTED_HASH.to_owned() };
        credential::Entity::update(imported.into_active_model().reset_all()).exec(app.db.write()).await.unwrap();
        let payloads = futures_util::future::join_all((0..8).map(|_| login(&app, "ada", PASSWORD))).await;
        assert!(payloads.iter().all(|payload| payload["token"].is_string()), "{payloads:#?}");
        let stored = credential::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
        assert!(stored.password_hash.starts_with("$argon2id$"), "{stored:?}");
    }

    async fn a_login_response_is_resolved_as_the_user_and_empty_on_failure(app: App) {
        ada(&app, app.license).await;
        let selection = "user { mobile lastLogin license { number } sessions { isCurrent } institution { id } groups { id } }";
        let payload = app.anonymous().mutate("login", selection, json!({ "login": "ada", "password": PASSWORD })).await;
        assert_eq!(payload["user"]["sessions"], json!([{ "isCurrent": true }]));
        assert!(payload["user"]["lastLogin"].is_string());
        let payload = app.anonymous().mutate("login", selection, json!({ "login": "ada", "password": "wrong" })).await;
        assert_eq!(payload["user"], Value::Null);
    }
}
