//! Sign-in: counters of wrong secrets, PINs, devices and password hashes.

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, KeyId, ParamsBuilder, Version};
use async_graphql::MaybeUndefined::Value as Given;
use chrono::TimeDelta;
use futures_util::FutureExt;
use roster::auth::server_key::Key;
use roster::entity::user::UserFields;
use roster::entity::{credential, device, pin, session};
use roster::scalar::{Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, KEY, PASSWORD, POLICY, payload_errors};

const DJANGO: &str = "pbkdf2_sha256$1000$seasalt$JgZryXe2Ga8ysg6XbzkLpTdyPQrHqsinbL9BnnhgX4A=";

/// A user with a username and the default password.
async fn create_user(app: &App, name: &str) -> Id {
    let fields = UserFields {
        username: Given(name.to_owned()),
        email: Given(format!("{name}@x.example")),
        ..UserFields::default()
    };
    app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await.id
}

async fn login(app: &App, input: Value) -> Value {
    app.anonymous().mutate("login", "token deviceToken user { id }", input).await
}

async fn by_password(app: &App, login_name: &str, password: &str) -> Value {
    login(app, json!({ "login": login_name, "password": password })).await
}

async fn guess(app: &App, login_name: &str, times: usize) {
    for _ in 0..times {
        let payload = by_password(app, login_name, "not-the-password-at-all").await;
        assert_eq!(payload_errors(&payload), ["INVALID_CREDENTIALS input"]);
    }
}

fn with_token<'a>(app: &'a App, token: &Value) -> Caller<'a> {
    Caller { token: token.as_str().map(str::to_owned), ..app.anonymous() }
}

/// A hash of the bytes as sent, as Roster stored them before passwords were normalized.
fn hash_without_normal_form(secret: &[u8]) -> String {
    let id = KeyId::new(&Key::from(KEY).id()).unwrap();
    let params = ParamsBuilder::new().keyid(id).build().unwrap();
    let argon = Argon2::new_with_secret(&KEY, Algorithm::Argon2id, Version::V0x13, params).unwrap();
    argon.hash_password(secret).unwrap().to_string()
}

/// Moves every counter a quarter of an hour into the past.
async fn a_quarter_of_an_hour_passes(app: &App) {
    let back = now() - TimeDelta::minutes(15);
    let backend = app.db.write().get_database_backend();
    let sql = "UPDATE attempts SET since = $1";
    app.db.write().execute_raw(sea_orm::Statement::from_sql_and_values(backend, sql, [back.into()])).await.unwrap();
}

on_every_database! {
    async fn ten_wrong_passwords_lock_sign_in_until_an_administrator_unlocks_it(app: App) {
        let id = create_user(&app, "ada").await;
        let session = with_token(&app, &by_password(&app, "ada", PASSWORD).await["token"]);
        guess(&app, "ada", 5).await;
        guess(&app, " \u{ff21}DA ", 5).await;
        let payload = by_password(&app, "ada", PASSWORD).await;
        assert_eq!(payload_errors(&payload), ["LOCKED input"], "every spelling of a login counts");
        assert_eq!(payload["token"], Value::Null);
        assert_eq!(session.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(id.0), "sessions stay valid");
        let admin = app.admin().await;
        assert_eq!(admin.mutate("unlockUser", "user { id }", json!({ "id": id.0 })).await["user"]["id"], json!(id.0));
        assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
    }

    async fn a_lock_ends_after_a_quarter_of_an_hour(app: App) {
        create_user(&app, "ada").await;
        guess(&app, "ada", 10).await;
        assert_eq!(payload_errors(&by_password(&app, "ada", PASSWORD).await), ["LOCKED input"]);
        a_quarter_of_an_hour_passes(&app).await;
        assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
    }

    async fn the_right_password_resets_the_count_of_wrong_ones(app: App) {
        create_user(&app, "ada").await;
        for _ in 0..2 {
            guess(&app, "ada", 9).await;
            assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
        }
    }

    async fn unknown_logins_lock_like_known_ones(app: App) {
        create_user(&app, "ada").await;
        guess(&app, "ada", 10).await;
        guess(&app, "bob", 10).await;
        let locked = by_password(&app, "ada", "still-not-the-password").await;
        assert_eq!(locked, by_password(&app, "BOB ", "still-not-the-password").await);
        assert_eq!(payload_errors(&locked), ["LOCKED input"]);
    }

    async fn at_most_ten_of_a_hundred_concurrent_guesses_are_checked(app: App) {
        let id = create_user(&app, "ada").await;
        let anonymous = app.anonymous();
        let responses = futures_util::future::join_all((0..100).map(|_| {
            anonymous.execute("mutation { login(input: { login: \"ada\", password: \"not-the-password\" }) { errors { code } } }", json!({})).boxed()
        })).await;
        let looked_at = responses.iter().filter(|response| response.pointer("/data/login/errors/0/code") == Some(&json!("INVALID_CREDENTIALS"))).count();
        assert!(looked_at <= 10, "{looked_at}");
        guess(&app, "ada", 10 - looked_at).await;
        assert_eq!(payload_errors(&by_password(&app, "ada", PASSWORD).await), ["LOCKED input"]);
        app.admin().await.mutate("unlockUser", "", json!({ "id": id.0 })).await;
        assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
    }

    async fn too_many_wrong_secrets_from_one_address_are_rate_limited(app: App) {
        create_user(&app, "ada").await;
        for n in 0..POLICY.max_failures_per_address {
            assert_eq!(payload_errors(&by_password(&app, &format!("nobody{n}"), "not-the-password").await), ["INVALID_CREDENTIALS input"]);
        }
        let document = "mutation { login(input: { login: \"ada\", password: \"seven-brass-otters-waltz\" }) { success } }";
        assert_eq!(app.anonymous().error_code(document, json!({})).await, "RATE_LIMITED");
        a_quarter_of_an_hour_passes(&app).await;
        assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
    }

    async fn right_passwords_do_not_count_against_their_address(app: App) {
        create_user(&app, "ada").await;
        for _ in 0..POLICY.max_failures_per_address / 4 {
            assert_eq!(by_password(&app, "ada", PASSWORD).await["success"], json!(true));
        }
        let wrong = app.db.read().query_one_raw(sea_orm::Statement::from_string(app.db.read().get_database_backend(), "SELECT COALESCE(SUM(wrong), 0) AS n FROM attempts")).await.unwrap().unwrap();
        assert_eq!(wrong.try_get::<i64>("", "n").unwrap(), 0);
    }

    async fn a_request_tries_at_most_one_secret_whatever_its_aliases_are(app: App) {
        create_user(&app, "ada").await;
        let one = "login(input: { login: \"ada\", password: \"wrong-wrong-wrong\" }) { success }";
        let documents = [
            format!("mutation {{ a: {one} b: {one} }}"),
            format!("mutation {{ ...F ... on Mutation {{ b: {one} }} }} fragment F on Mutation {{ a: {one} }}"),
            format!("mutation {{ ...F ...G }} fragment F on Mutation {{ a: {one} }} fragment G on Mutation {{ b: {one} }}"),
            format!("mutation {{ {one} setPin(input: {{ pin: \"0000\" }}) {{ success }} }}"),
            format!("mutation {{ {one} changePassword(input: {{ currentPassword: \"a\", newPassword: \"b\" }}) {{ success }} }}"),
            format!("mutation {{ {one} activateAccount(input: {{ token: \"a\", password: \"b\" }}) {{ success }} }}"),
        ];
        for document in documents {
            assert_eq!(app.anonymous().error_code(&document, json!({})).await, "BAD_USER_INPUT", "{document}");
        }
        guess(&app, "ada", 10).await;
    }

    async fn a_pin_signs_in_on_a_device_that_has_used_the_password(app: App) {
        let id = create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        let me = with_token(&app, &first["token"]);
        assert_eq!(me.mutate("setPin", "user { hasPin }", json!({ "pin": "0042" })).await["user"]["hasPin"], json!(true));
        let device = first["deviceToken"].as_str().unwrap();
        assert!(device.starts_with("rod_") && device.len() == "rod_".len() + 43);
        let payload = login(&app, json!({ "login": "ada", "pin": "0042", "deviceToken": device })).await;
        assert_eq!((&payload["user"]["id"], &payload["deviceToken"]), (&json!(id.0), &Value::Null), "{payload:#}");
        assert_eq!(with_token(&app, &payload["token"]).data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(id.0));
        for (input, error) in [
            (json!({ "login": "ada", "pin": "42", "deviceToken": device }), "INVALID_CREDENTIALS input"),
            (json!({ "login": "ada", "pin": "0042", "deviceToken": first["token"] }), "INVALID_CREDENTIALS input"),
            (json!({ "login": "ada", "pin": "0042", "deviceToken": format!("{device}A") }), "INVALID_CREDENTIALS input"),
            (json!({ "login": "nobody", "pin": "0042", "deviceToken": device }), "INVALID_CREDENTIALS input"),
            (json!({ "login": "ada", "pin": "0042" }), "REQUIRED input.deviceToken"),
            (json!({ "login": "ada", "pin": "0042", "password": PASSWORD, "deviceToken": device }), "INVALID input.pin"),
            (json!({ "login": "ada" }), "REQUIRED input.password"),
        ] {
            assert_eq!(payload_errors(&login(&app, input.clone()).await), [error], "{input}");
        }
        // A device token is not a bearer token, and works for one user only.
        let (status, _) = with_token(&app, &first["deviceToken"]).post(&json!({ "query": "{ viewer { id } }" })).await;
        assert_eq!(status, 401);
        create_user(&app, "bob").await;
        let bob = with_token(&app, &by_password(&app, "bob", PASSWORD).await["token"]);
        bob.mutate("setPin", "", json!({ "pin": "0042" })).await;
        let payload = login(&app, json!({ "login": "bob", "pin": "0042", "deviceToken": device })).await;
        assert_eq!(payload_errors(&payload), ["INVALID_CREDENTIALS input"]);
    }

    async fn five_wrong_pins_lock_the_pin_until_the_next_password_sign_in(app: App) {
        create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        with_token(&app, &first["token"]).mutate("setPin", "", json!({ "pin": "1234" })).await;
        let by_pin = async |pin: &str| login(&app, json!({ "login": "ada", "pin": pin, "deviceToken": first["deviceToken"] })).await;
        for pin in ["0000", "1111", "2222", "3333"] {
            assert_eq!(payload_errors(&by_pin(pin).await), ["INVALID_CREDENTIALS input"]);
        }
        assert_eq!(by_pin("1234").await["success"], json!(true));
        for pin in ["0000", "1111", "2222", "3333", "4444"] {
            assert_eq!(payload_errors(&by_pin(pin).await), ["INVALID_CREDENTIALS input"]);
        }
        assert_eq!(payload_errors(&by_pin("1234").await), ["LOCKED input"]);
        let me = with_token(&app, &first["token"]);
        for pin in [json!("5678"), Value::Null] {
            assert_eq!(me.payload_errors("setPin", json!({ "pin": pin })).await, ["LOCKED input.pin"], "another PIN does not unlock it");
        }
        let again = login(&app, json!({ "login": "ada", "password": PASSWORD, "deviceToken": first["deviceToken"] })).await;
        assert_eq!(again["deviceToken"], first["deviceToken"], "a known device keeps its token");
        assert_eq!(by_pin("1234").await["success"], json!(true));
    }

    async fn at_most_five_of_fifty_concurrent_pins_are_checked(app: App) {
        let id = create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        with_token(&app, &first["token"]).mutate("setPin", "", json!({ "pin": "1234" })).await;
        futures_util::future::join_all((0..50).map(|n| {
            let input = json!({ "login": "ada", "pin": format!("9{n:03}"), "deviceToken": first["deviceToken"] });
            let app = &app;
            async move {
                app.anonymous().execute("mutation ($input: LoginInput!) { login(input: $input) { success } }", json!({ "input": input })).await
            }.boxed()
        })).await;
        assert!(pin::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap().wrong <= 5);
    }

    async fn devices_are_forgotten_after_thirty_unused_days_or_a_new_password(app: App) {
        let id = create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        let me = with_token(&app, &first["token"]);
        me.mutate("setPin", "", json!({ "pin": "1234" })).await;
        let by_pin = async |device: &Value| login(&app, json!({ "login": "ada", "pin": "1234", "deviceToken": device })).await;
        let used = async |days: i64| {
            let used = device::Entity::update_many().col_expr(device::Column::LastUsedAt, Expr::value(now() - TimeDelta::days(days)));
            used.filter(device::Column::UserId.eq(id)).exec(app.db.write()).await.unwrap();
        };
        used(29).await;
        assert_eq!(by_pin(&first["deviceToken"]).await["success"], json!(true), "the sign-in counts as a use");
        used(31).await;
        assert_eq!(payload_errors(&by_pin(&first["deviceToken"]).await), ["INVALID_CREDENTIALS input"]);
        let second = by_password(&app, "ada", PASSWORD).await;
        assert_eq!(by_pin(&second["deviceToken"]).await["success"], json!(true));
        let changed = json!({ "currentPassword": PASSWORD, "newPassword": "nine-copper-badgers-sing" });
        assert_eq!(me.mutate("changePassword", "", changed).await["success"], json!(true));
        assert_eq!(payload_errors(&by_pin(&second["deviceToken"]).await), ["INVALID_CREDENTIALS input"]);
    }

    async fn the_least_recently_used_of_twenty_one_devices_is_forgotten(app: App) {
        let id = create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        with_token(&app, &first["token"]).mutate("setPin", "", json!({ "pin": "1234" })).await;
        for _ in 0..20 {
            by_password(&app, "ada", PASSWORD).await;
        }
        let devices = device::Entity::find().filter(device::Column::UserId.eq(id)).all(app.db.read()).await.unwrap();
        assert_eq!(devices.len(), 20);
        let payload = login(&app, json!({ "login": "ada", "pin": "1234", "deviceToken": first["deviceToken"] })).await;
        assert_eq!(payload_errors(&payload), ["INVALID_CREDENTIALS input"]);
    }

    async fn a_pin_is_exactly_four_digits_and_can_be_removed(app: App) {
        create_user(&app, "ada").await;
        let me = with_token(&app, &by_password(&app, "ada", PASSWORD).await["token"]);
        for bad in ["", "042", "00421", "abcd", " 042", "\u{ff14}\u{ff12}\u{ff14}\u{ff12}", "-042"] {
            assert_eq!(me.payload_errors("setPin", json!({ "pin": bad })).await, ["INVALID input.pin"], "{bad:?}");
        }
        assert_eq!(me.mutate("setPin", "user { hasPin }", json!({ "pin": "0000" })).await["user"]["hasPin"], json!(true));
        assert_eq!(me.payload_errors("setPin", json!({})).await, ["REQUIRED input.pin"]);
        let viewer = me.data("{ viewer { hasPin } }", json!({})).await["viewer"].clone();
        assert_eq!(viewer["hasPin"], json!(true));
        assert_eq!(me.mutate("setPin", "user { hasPin }", json!({ "pin": null })).await["user"]["hasPin"], json!(false));
        let admin = app.admin().await;
        let new = json!({ "firstName": "Bo", "lastName": "Nobel", "username": "bo", "password": PASSWORD, "pin": "0007" });
        assert_eq!(admin.mutate("createUser", "user { hasPin }", new).await["user"]["hasPin"], json!(true));
        let device = by_password(&app, "bo", PASSWORD).await["deviceToken"].clone();
        assert_eq!(login(&app, json!({ "login": "bo", "pin": "0007", "deviceToken": device })).await["success"], json!(true));
    }

    async fn a_password_is_compared_in_its_normal_form(app: App) {
        let (composed, decomposed) = ("Br\u{fc}ckenpfeiler-\u{c4}pfel-19", "Bru\u{308}ckenpfeiler-A\u{308}pfel-19");
        let (wide, plain) = ("nine\u{3000}slate\u{a0}herons tango", "nine slate herons tango");
        for (n, (set, sent)) in [(composed, decomposed), (decomposed, composed), (wide, plain), (plain, wide)].into_iter().enumerate() {
            let name = format!("person{n}");
            let fields = UserFields { username: Given(name.clone()), ..UserFields::default() };
            app.create("Ada", app.license, fields, Given(set.to_owned())).await;
            for password in [sent, set] {
                assert_eq!(by_password(&app, &name, password).await["success"], json!(true), "{set:?} {password:?}");
            }
            let changed = json!({ "currentPassword": sent, "newPassword": "four-amber-badgers-polka" });
            let me = with_token(&app, &by_password(&app, &name, set).await["token"]);
            assert_eq!(me.mutate("changePassword", "", changed).await["success"], json!(true), "{set:?}");
        }
        let admin = app.admin().await;
        let new = |password: String| json!({ "firstName": "Bo", "lastName": "Nobel", "username": "bo", "password": password, "dryRun": true });
        assert_eq!(admin.payload_errors("createUser", new(format!("{plain}\u{7}"))).await, ["INVALID input.password"]);
        assert_eq!(admin.payload_errors("createUser", new("a\u{308}".repeat(11))).await, ["TOO_SHORT input.password"], "it has eleven characters");
    }

    async fn hashes_of_passwords_not_in_normal_form_are_replaced_at_sign_in(app: App) {
        let id = create_user(&app, "ada").await;
        let hash = async || credential::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap().password_hash;
        let (composed, decomposed) = ("Br\u{fc}ckenpfeiler-\u{c4}pfel-19", "Bru\u{308}ckenpfeiler-A\u{308}pfel-19");
        let old = hash_without_normal_form(decomposed.as_bytes());
        let set = credential::Entity::update_many().col_expr(credential::Column::PasswordHash, Expr::value(old.as_str()));
        set.filter(credential::Column::UserId.eq(id)).exec(app.db.write()).await.unwrap();
        assert_eq!(by_password(&app, "ada", composed).await["success"], json!(true));
        let replaced = hash().await;
        assert_ne!(replaced, old);
        assert_eq!(by_password(&app, "ada", decomposed).await["success"], json!(true));
        assert_eq!(hash().await, replaced, "it is replaced only once");
    }

    async fn pins_are_not_normalized(app: App) {
        create_user(&app, "ada").await;
        let first = by_password(&app, "ada", PASSWORD).await;
        with_token(&app, &first["token"]).mutate("setPin", "", json!({ "pin": "0042" })).await;
        for pin in ["\u{ff10}\u{ff10}\u{ff14}\u{ff12}", "0042 ", "\u{660}\u{660}\u{664}\u{662}"] {
            let payload = login(&app, json!({ "login": "ada", "pin": pin, "deviceToken": first["deviceToken"] })).await;
            assert_eq!(payload_errors(&payload), ["INVALID_CREDENTIALS input"], "{pin:?}");
        }
    }

    async fn hashes_of_other_systems_are_replaced_at_the_next_sign_in(app: App) {
        let id = create_user(&app, "ada").await;
        let set = credential::Entity::update_many().col_expr(credential::Column::PasswordHash, Expr::value(DJANGO));
        set.filter(credential::Column::UserId.eq(id)).exec(app.db.write()).await.unwrap();
        guess(&app, "ada", 1).await;
        let hash = async || credential::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap().password_hash;
        assert_eq!(hash().await, DJANGO, "a wrong password replaces nothing");
        assert_eq!(by_password(&app, "ada", "l\u{e8}tmein").await["success"], json!(true));
        let ours = hash().await;
        assert!(ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{ours}");
        assert_eq!(by_password(&app, "ada", "l\u{e8}tmein").await["success"], json!(true));
        assert_eq!(hash().await, ours, "it is replaced only once");
        let sessions = session::Entity::find().filter(session::Column::UserId.eq(id)).all(app.db.read()).await.unwrap();
        assert_eq!(sessions.len(), 2);
    }
}
