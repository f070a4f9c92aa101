//! Usernames and email addresses are one namespace: no user can have a login of another user.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::TimeDelta;
use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait};
use roster::db::Db;
use roster::entity::license::LicenseKind;
use roster::entity::link::Purpose;
use roster::entity::user::UserFields;
use roster::entity::{credential, license, link, login, registration, user};
use roster::scalar::{Date, Id, now};
use sea_orm::ActiveValue::NotSet;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryOrder};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, input_of, payload_errors};
use crate::doctor::findings;
use crate::process::{self, ADMIN, CommandOutput, Process, Sandbox, until_waiting};

const WARD: &str = "vic.tim@ward.example";

/// Ways to write the same login.
const SPELLINGS: [&str; 5] =
    [WARD, "VIC.TIM@WARD.EXAMPLE", "v\u{131}c.tim@ward.example", "\u{ff56}ic.tim@ward.example", "Vic.Tim@Ward.Example"];

fn new_user_input(given: &Value) -> Value {
    let mut input = json!({ "firstName": "Vic", "lastName": "Tim", "sendRegistrationEmail": false });
    input.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    input
}

async fn create_user(caller: &Caller<'_>, given: Value) -> Value {
    let payload = caller.mutate("createUser", "user { id version }", new_user_input(&given)).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    payload["user"].clone()
}

async fn update_user(caller: &Caller<'_>, input: Value) {
    let payload = caller.mutate("updateUser", "", input).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
}

async fn sign_in_user_id(app: &App, login: &str) -> Option<String> {
    let input = json!({ "login": login, "password": PASSWORD });
    let payload = app.anonymous().mutate("login", "user { id }", input).await;
    payload["user"]["id"].as_str().map(str::to_owned)
}

/// The license administrator of the other license.
async fn other_license_admin(app: &App) -> Caller<'_> {
    let fields = UserFields { role: Given(user::Role::LicenseAdmin), ..UserFields::default() };
    let user = app.create("Other", app.other_license, fields, Undefined).await;
    app.sign_in(user).await
}

/// Asserts that the table of logins has exactly the usernames and email addresses of the users.
async fn assert_logins_match_users(app: &App) {
    let users = user::Entity::find().all(app.db.read()).await.unwrap();
    let mut expected: Vec<(String, Id)> = users
        .into_iter()
        .flat_map(|user| [(user.username_key, user.id), (user.email_key, user.id)])
        .filter_map(|(key, id)| key.map(|key| (key, id)))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    expected.dedup();
    let logins = login::Entity::find().order_by_asc(login::Column::Key).all(app.db.read()).await.unwrap();
    let found: Vec<_> = logins.into_iter().map(|login| (login.key, login.user_id)).collect();
    assert_eq!(found, expected);
}

/// A user takes a login by an update, which waits for the external ID of another user before it is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_waits_for_whoever_takes_the_login_and_not_the_reverse() {
    let Some(app) = App::on_postgres().await else { return };
    let admin = app.license_admin().await;
    let (user, other) = (json!({ "username": "vic" }), json!({ "username": "tim" }));
    let (user, other) = (create_user(&admin, user).await, create_user(&admin, other).await);
    let holder = app.db.begin().await.unwrap();
    let hold = format!("UPDATE users SET external_id = 'V-1' WHERE id = '{}'", other["id"].as_str().unwrap());
    holder.execute_unprepared(&hold).await.unwrap();
    let update = update_user(&admin, json!({ "id": user["id"], "username": WARD, "externalId": "V-1" }));
    let create = async {
        until_waiting(&app.db, 1).await;
        admin.payload_errors("createUser", new_user_input(&json!({ "username": WARD }))).await
    };
    let release = async {
        until_waiting(&app.db, 2).await;
        holder.rollback().await.unwrap();
    };
    let ((), errors, ()) = tokio::join!(update, create, release);
    assert_eq!(errors, ["TAKEN input.username"]);
    assert_logins_match_users(&app).await;
}

on_every_database! {
    async fn an_email_cannot_equal_another_users_username_in_any_license(app: App) {
        let license_admin = app.license_admin().await;
        let victim = create_user(&license_admin, json!({ "username": WARD, "password": PASSWORD })).await;
        assert_eq!(sign_in_user_id(&app, WARD).await.as_deref(), victim["id"].as_str());
        for by in [&license_admin, &other_license_admin(&app).await] {
            let another = create_user(by, json!({ "email": format!("{}@example.org", Id::new().0) })).await;
            for email in SPELLINGS {
                for dry_run in [false, true] {
                    let input = new_user_input(&json!({ "email": email, "dryRun": dry_run }));
                    assert_eq!(by.payload_errors("createUser", input).await, ["TAKEN input.email"], "{email}");
                    let input = json!({ "id": another["id"], "email": email, "dryRun": dry_run });
                    assert_eq!(by.payload_errors("updateUser", input).await, ["TAKEN input.email"], "{email}");
                }
            }
        }
        let input = new_user_input(&json!({ "email": WARD, "username": WARD, "nickname": "x".repeat(51) }));
        assert_eq!(license_admin.payload_errors("createUser", input).await, ["TAKEN input.email", "TAKEN input.username", "TOO_LONG input.nickname"]);
        assert_eq!(sign_in_user_id(&app, WARD).await.as_deref(), victim["id"].as_str());
        assert_logins_match_users(&app).await;
    }

    async fn a_username_cannot_equal_another_users_email_in_any_license(app: App) {
        let license_admin = app.license_admin().await;
        let victim = create_user(&license_admin, json!({ "email": WARD, "password": PASSWORD })).await;
        for by in [&license_admin, &other_license_admin(&app).await] {
            let another = create_user(by, json!({ "email": format!("{}@example.org", Id::new().0) })).await;
            for username in SPELLINGS {
                for dry_run in [false, true] {
                    let input = new_user_input(&json!({ "username": username, "dryRun": dry_run }));
                    assert_eq!(by.payload_errors("createUser", input).await, ["TAKEN input.username"], "{username}");
                    let input = json!({ "id": another["id"], "username": username, "dryRun": dry_run });
                    assert_eq!(by.payload_errors("updateUser", input).await, ["TAKEN input.username"], "{username}");
                }
            }
        }
        assert_eq!(sign_in_user_id(&app, WARD).await.as_deref(), victim["id"].as_str());
        assert_logins_match_users(&app).await;
    }

    async fn domains_in_usernames_are_compared_like_those_of_emails(app: App) {
        let license_admin = app.license_admin().await;
        create_user(&license_admin, json!({ "username": "ann@münchen.example" })).await;
        for email in ["ann@xn--mnchen-3ya.example", "Ann@MÜNCHEN.example"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "email": email }))).await, ["TAKEN input.email"]);
            let query = "query ($name: String!) { user(by: { username: $name }) { username } \
                users(filter: { username: { eq: $name } }) { totalCount } resolveUsers(keys: [$name]) { status } }";
            let found = license_admin.data(query, json!({ "name": email })).await;
            let expected = json!({ "user": { "username": "ann@münchen.example" }, "users": { "totalCount": 1 }, "resolveUsers": [{ "status": "MATCHED" }] });
            assert_eq!(found, expected, "{email}");
        }
    }

    async fn the_username_and_email_of_one_user_may_be_equal(app: App) {
        let license_admin = app.license_admin().await;
        let both = create_user(&license_admin, json!({ "username": WARD, "email": "VIC.tim@ward.example", "password": PASSWORD })).await;
        assert_eq!(sign_in_user_id(&app, WARD).await.as_deref(), both["id"].as_str());
        update_user(&license_admin, json!({ "id": both["id"], "email": "vic@ward.example" })).await;
        update_user(&license_admin, json!({ "id": both["id"], "email": WARD, "username": "vic@ward.example" })).await;
        update_user(&license_admin, json!({ "id": both["id"], "email": "vic@ward.example", "username": WARD })).await;
        assert_logins_match_users(&app).await;
        update_user(&license_admin, json!({ "id": both["id"], "username": null })).await;
        update_user(&license_admin, json!({ "id": both["id"], "username": "vic@ward.example" })).await;
        assert_logins_match_users(&app).await;
        update_user(&license_admin, json!({ "id": both["id"], "email": null })).await;
        assert_logins_match_users(&app).await;
        create_user(&license_admin, json!({ "email": WARD })).await;
    }

    async fn a_changed_or_erased_login_is_free_as_username_and_as_email(app: App) {
        let license_admin = app.license_admin().await;
        let first = create_user(&license_admin, json!({ "username": WARD, "email": "vic@ward.example" })).await;
        update_user(&license_admin, json!({ "id": first["id"], "username": "vic" })).await;
        let second = create_user(&license_admin, json!({ "email": WARD })).await;
        assert_eq!(license_admin.payload_errors("updateUser", json!({ "id": first["id"], "username": WARD })).await, ["TAKEN input.username"]);
        let erased = license_admin.mutate("deleteUser", "", json!({ "id": second["id"] })).await;
        assert_eq!(erased["success"], json!(true), "{erased:#}");
        update_user(&license_admin, json!({ "id": first["id"], "username": WARD })).await;
        assert_logins_match_users(&app).await;
    }

    async fn inactive_users_keep_their_logins(app: App) {
        let license_admin = app.license_admin().await;
        create_user(&license_admin, json!({ "username": WARD, "isActive": false })).await;
        assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "email": WARD }))).await, ["TAKEN input.email"]);
    }

    async fn one_of_many_concurrent_creations_with_one_login_succeeds(app: App) {
        let license_admin = app.license_admin().await;
        let attempts = (0..40).map(|n| {
            let field = if n % 2 == 0 { "username" } else { "email" };
            let input = new_user_input(&json!({ field: SPELLINGS[n / 2 % 5] }));
            let license_admin = &license_admin;
            async move { (field, license_admin.mutate("createUser", "", input).await) }
        });
        let payloads = join_all(attempts).await;
        assert_eq!(payloads.iter().filter(|(_, payload)| payload["success"] == json!(true)).count(), 1);
        for (field, payload) in payloads.iter().filter(|(_, payload)| payload["success"] != json!(true)) {
            assert_eq!(payload_errors(payload), [format!("TAKEN input.{field}")]);
        }
        assert_logins_match_users(&app).await;
    }

    async fn one_of_many_concurrent_updates_to_one_login_succeeds(app: App) {
        let license_admin = app.license_admin().await;
        let mut users = Vec::new();
        for _ in 0..20 {
            users.push(create_user(&license_admin, json!({ "email": format!("{}@example.org", Id::new().0) })).await["id"].clone());
        }
        let attempts = users.iter().enumerate().map(|(n, id)| {
            let field = if n % 2 == 0 { "username" } else { "email" };
            let license_admin = &license_admin;
            async move { (field, license_admin.mutate("updateUser", "", json!({ "id": id, field: WARD })).await) }
        });
        let payloads = join_all(attempts).await;
        assert_eq!(payloads.iter().filter(|(_, payload)| payload["success"] == json!(true)).count(), 1);
        for (field, payload) in payloads.iter().filter(|(_, payload)| payload["success"] != json!(true)) {
            assert_eq!(payload_errors(payload), [format!("TAKEN input.{field}")]);
        }
        assert_logins_match_users(&app).await;
    }

    async fn logins_are_compared_without_case_and_invisible_characters(app: App) {
        let license_admin = app.license_admin().await;
        let strauss = create_user(&license_admin, json!({ "username": "strauß1", "email": "gregor@großfeld.example", "password": PASSWORD })).await;
        for username in ["STRAUẞ1", "STRAUSS1", "Strauß1", "strauss1"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "username": username }))).await, ["TAKEN input.username"], "{username}");
            assert_eq!(sign_in_user_id(&app, username).await.as_deref(), strauss["id"].as_str(), "{username}");
        }
        assert_eq!(sign_in_user_id(&app, "stra\u{200b}uß1").await.as_deref(), strauss["id"].as_str(), "copied from a web page");
        for email in ["GREGOR@GROẞFELD.example", "gregor@GROSSFELD.example"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "email": email }))).await, ["TAKEN input.email"], "{email}");
        }
        create_user(&license_admin, json!({ "email": "GROẞ@x.example" })).await;
        for email in ["groß@x.example", "gross@x.example", "GROSS@x.example"] {
            assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "email": email }))).await, ["TAKEN input.email"], "{email}");
        }
        create_user(&license_admin, json!({ "username": "σίσυφος" })).await;
        assert_eq!(license_admin.payload_errors("createUser", new_user_input(&json!({ "username": "ΣΊΣΥΦΟΣ" }))).await, ["TAKEN input.username"]);
    }
}

async fn run_import(sandbox: &Sandbox, lines: &[Value], arguments: &[&str]) -> CommandOutput {
    let file = lines.iter().map(|line| json!({ "user": line }).to_string()).collect::<Vec<_>>().join("\n");
    std::fs::write(sandbox.path("logins.ndjson"), file).unwrap();
    sandbox.run(&[&["import", "logins.ndjson"][..], arguments].concat()).await
}

in_every_sandbox! {
    async fn import_rejects_logins_that_are_taken_or_repeated(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let username = json!({ "firstName": "Vic", "lastName": "Tim", "username": WARD });
        let address = json!({ "firstName": "Att", "lastName": "Acker", "email": "VIC.TIM@ward.example" });
        let own = json!({ "firstName": "Own", "lastName": "Both", "username": "own@ward.example", "email": "own@ward.example" });
        for arguments in [&["--dry-run"][..], &[]] {
            for (lines, error) in [
                (vec![username.clone(), own.clone(), address.clone()], "line 3: email: This email address is taken by the row at line 1."),
                (vec![address.clone(), own.clone(), username.clone()], "line 3: username: This username is taken by the row at line 1."),
                (vec![json!({ "firstName": "Root", "lastName": "Two", "username": ADMIN })], "line 1: username: This username is taken by the user "),
            ] {
                let output = run_import(&sandbox, &lines, arguments).await;
                assert!(output.code == 1 && output.err.starts_with(error), "{error}: {output:?}");
            }
        }
        for line in [&own, &username] {
            let output = run_import(&sandbox, std::slice::from_ref(line), &[]).await;
            assert_eq!((output.code, output.out.trim()), (0, "1 was created, 0 changed, 0 unchanged."), "{output:?}");
        }
        for arguments in [&["--dry-run"][..], &[]] {
            let output = run_import(&sandbox, std::slice::from_ref(&address), arguments).await;
            assert!(output.code == 1 && output.err.starts_with("line 1: email: This email address is taken by the user "), "{output:?}");
        }
        let output = run_import(&sandbox, &[own, username], &[]).await;
        assert_eq!((output.code, output.out.trim()), (0, "0 were created, 0 changed, 2 unchanged."), "{output:?}");
    }

    async fn admin_create_rejects_a_taken_login(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let username = json!({ "firstName": "Vic", "lastName": "Tim", "username": WARD });
        assert_eq!(run_import(&sandbox, &[username], &[]).await.code, 0);
        let names = ["--first-name", "Ada", "--last-name", "Byron"];
        let created = sandbox.run(&[&["admin", "create", "--email", "Vic.Tim@ward.example"][..], &names].concat()).await;
        assert_eq!(created.code, 1, "{created:?}");
        assert!(created.err.contains("email: This email address is taken."), "{created:?}");
    }

    async fn two_servers_give_a_login_to_only_one_user(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
        let (first, second) = (one.sign_in(ADMIN).await, two.sign_in(ADMIN).await);
        let query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success errors { code path } } }";
        for round in 0..10 {
            let login = format!("both{round}@ward.example");
            let enter = |caller: &process::Caller, field: &str| {
                let (caller, input) = (caller.clone(), new_user_input(&json!({ field: login })));
                async move { caller.data(query, json!({ "input": input })).await["createUser"].clone() }
            };
            let payloads = join_all([enter(&first, "username"), enter(&second, "email"), enter(&second, "username"), enter(&first, "email")]).await;
            let (done, rejected): (Vec<_>, Vec<_>) = payloads.iter().partition(|payload| payload["success"] == json!(true));
            assert_eq!((done.len(), rejected.len()), (1, 3), "{payloads:#?}");
            assert!(rejected.iter().all(|payload| payload["errors"][0]["code"] == json!("TAKEN")), "{payloads:#?}");
        }
    }
}

/// A password hash of another system, which does not need the server key.
const HASH: &str = "$argon2id$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$WXkrfBx1JWpuGbIzoKP4Ql+rt4mCi2cTsPWgSwFvA/o";

/// The number of migrations before logins became one namespace.
const STEPS_BEFORE: u32 = 11;

/// The key of a login before full case folding.
fn former_key(login: &str) -> String {
    login.to_uppercase().to_lowercase()
}

/// Inserts a user with a username and an email address into an earlier database.
async fn insert_earlier_user(db: &Db, license: Id, username: Option<&str>, email: Option<&str>) -> user::Model {
    let mut user = user::Model::empty(Id::new(), license);
    user.first_name = "Ann".to_owned();
    user.last_name = "Berg".to_owned();
    (user.username, user.email) = (username.map(str::to_owned), email.map(str::to_owned));
    user.update_derived();
    (user.username_key, user.email_key) = (username.map(former_key), email.map(former_key));
    let row = user::ActiveModel { external_references: NotSet, ..user.clone().into_active_model().reset_all() };
    user::Entity::insert(row).exec_without_returning(db.write()).await.unwrap();
    let password = credential::Model { user_id: user.id, password_hash: HASH.to_owned() };
    credential::Entity::insert(password.into_active_model().reset_all())
        .exec_without_returning(db.write())
        .await
        .unwrap();
    user
}

/// A database from before logins became one namespace.
async fn earlier_database(sandbox: &Sandbox) -> Db {
    DirBuilder::new().mode(0o700).create(sandbox.path("roster-data")).unwrap();
    let db = sandbox.db().await;
    let transaction = db.begin().await.unwrap();
    Migrator::up(&transaction, Some(STEPS_BEFORE)).await.unwrap();
    transaction.commit().await.unwrap();
    db
}

async fn insert_earlier_license(db: &Db, number: &str) -> Id {
    let license = license::Model {
        id: Id::new(),
        number: number.to_owned(),
        kind: LicenseKind::Commercial,
        holder: "Alder".to_owned(),
        starts_on: Date::today(),
        expires_on: None,
    };
    let row = license.clone().into_active_model().reset_all();
    license::Entity::insert(row).exec_without_returning(db.write()).await.unwrap();
    license.id
}

/// Inserts a registration into an earlier database; each needs its own number.
async fn insert_earlier_registration(db: &Db, license_id: Id, number: u8, email: &str) {
    let registration = registration::Model {
        email_key: former_key(email),
        license_id,
        email: email.to_owned(),
        first_name: "Ann".to_owned(),
        last_name: "Berg".to_owned(),
        token_hash: vec![number],
        next_url: None,
        expires_at: now() + TimeDelta::days(1),
    };
    let row = registration.into_active_model().reset_all();
    registration::Entity::insert(row).exec_without_returning(db.write()).await.unwrap();
}

/// The id of the user who signs in with a login.
async fn server_sign_in_user_id(server: &Process, login: &str) -> Option<String> {
    server.login(login, PASSWORD).await["user"]["id"].as_str().map(str::to_owned)
}

fn id_of(user: &user::Model) -> String {
    user.id.0.to_string()
}

/// The errors of a mutation, each as `CODE field`; none if it succeeds.
async fn errors_of(caller: &process::Caller, mutation: &str, input: Value) -> Vec<String> {
    let input_type = input_of(mutation);
    let query = format!(
        "mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ success errors {{ code path }} }} }}"
    );
    payload_errors(&caller.data(&query, json!({ "input": input })).await[mutation])
}

in_every_sandbox! {
    async fn upgrades_keep_and_report_logins_that_identify_two_users(sandbox: Sandbox) {
        let db = earlier_database(&sandbox).await;
        let (here, there) = (insert_earlier_license(&db, "1").await, insert_earlier_license(&db, "2").await);
        let by_username = insert_earlier_user(&db, here, Some(WARD), Some("vic@x.example")).await;
        let by_address = insert_earlier_user(&db, there, None, Some("Vic.Tim@ward.example")).await;
        let small = insert_earlier_user(&db, here, Some("strauß1"), None).await;
        let capital = insert_earlier_user(&db, here, Some("STRAUẞ1"), None).await;
        let capital_address = insert_earlier_user(&db, here, None, Some("GROẞ@x.example")).await;
        let small_address = insert_earlier_user(&db, there, None, Some("groß@x.example")).await;
        let alone = insert_earlier_user(&db, here, Some("ΣΑΣ"), Some("ΣΑΣ@x.example")).await;
        let own = insert_earlier_user(&db, here, Some("own@x.example"), Some("Own@x.example")).await;
        assert_eq!(alone.email_key.as_deref(), Some("σας@x.example"));
        link::Entity::insert(roster::auth::one_time_link::build(&alone, Purpose::Activation, "rol_x").into_active_model().reset_all())
            .exec_without_returning(db.write()).await.unwrap();
        for (n, email) in ["ΣΟΣ@x.example", "GROẞER@x.example", "großer@x.example"].into_iter().enumerate() {
            insert_earlier_registration(&db, here, n.try_into().unwrap(), email).await;
        }
        db.close().await.unwrap();

        let migrated = sandbox.run(&["migrate"]).await;
        assert_eq!(migrated.code, 0, "{migrated:?}");
        let lines = |expected: &[(&user::Model, &str, &user::Model)]| -> Vec<String> {
            expected.iter().map(|(user, what, holder)| format!("{what} of user {} belongs to user {}", user.id.0, holder.id.0)).collect()
        };
        let expected = lines(&[
            (&by_username, r#"username "vic.tim@ward.example""#, &by_address),
            (&capital, r#"username "STRAUẞ1""#, &small),
            (&capital_address, r#"email "GROẞ@x.example""#, &small_address),
        ]);
        let doctor = sandbox.run(&["doctor"]).await;
        assert_eq!(findings(&doctor), ["warning: 3 logins identify two users each"], "{doctor:?}");
        for text in [&migrated.out, &migrated.err, &doctor.out] {
            let found: Vec<&str> = text.lines().filter(|line| line.contains("of user")).collect();
            assert_eq!(found.len(), expected.len(), "{found:#?}");
            assert!(found.iter().zip(&expected).all(|(line, expected)| line.trim().ends_with(expected.as_str())), "{found:#?}");
        }
        assert!(doctor.out.contains("duplicate logins      3"), "{}", doctor.out);

        let db = sandbox.db().await;
        let keys = registration::Entity::find().order_by_asc(registration::Column::EmailKey).all(db.read()).await.unwrap();
        let keys: Vec<_> = keys.into_iter().map(|row| (row.email_key, row.email)).collect();
        assert_eq!(keys, [("grosser@x.example".to_owned(), "großer@x.example".to_owned()), ("σοσ@x.example".to_owned(), "ΣΟΣ@x.example".to_owned())]);
        let bound = link::Entity::find().one(db.read()).await.unwrap().unwrap();
        assert_eq!(bound.email_key.as_deref(), Some("σασ@x.example"));

        let names = ["--license", "1", "--first-name", "Root", "--last-name", "Alder"];
        let created = sandbox.run_with(&[&["admin", "create", "--password-stdin", "--email", ADMIN][..], &names].concat(), PASSWORD).await;
        assert_eq!(created.code, 0, "{created:?}");
        let server = sandbox.serve(&[]).await;
        for (login, user) in [
            (WARD, &by_address),
            ("VIC@x.example", &by_username),
            ("strauß1", &small),
            ("STRAUSS1", &small),
            ("STRAUẞ1", &capital),
            ("GROẞ@x.example", &capital_address),
            ("groß@x.example", &small_address),
            ("ΣΑΣ", &alone),
            ("σας", &alone),
            ("σασ@x.example", &alone),
            ("OWN@x.example", &own),
        ] {
            assert_eq!(server_sign_in_user_id(&server, login).await, Some(id_of(user)), "{login}");
        }

        let root = server.sign_in(ADMIN).await;
        for user in [&by_username, &by_address, &small, &capital, &capital_address, &small_address] {
            for dry_run in [true, false] {
                let input = json!({ "id": user.id.0, "nickname": "Nick", "dryRun": dry_run });
                assert!(errors_of(&root, "updateUser", input).await.is_empty());
            }
            let long = json!({ "id": user.id.0, "nickname": "x".repeat(51) });
            assert_eq!(errors_of(&root, "updateUser", long).await, ["TOO_LONG input.nickname"]);
            let same = json!({ "id": user.id.0, "username": user.username, "email": user.email, "nickname": "Same" });
            assert!(errors_of(&root, "updateUser", same).await.is_empty());
        }
        for (field, login) in [("username", WARD), ("email", WARD), ("username", "STRAUẞ1"), ("email", "gross@x.example")] {
            assert_eq!(errors_of(&root, "createUser", new_user_input(&json!({ field: login }))).await, [format!("TAKEN input.{field}")], "{login}");
        }

        for user in [&capital, &small] {
            let line = json!({ "username": user.username, "position": format!("Doctor {:?}", user.username) });
            let output = run_import(&sandbox, &[line], &["--license", "1"]).await;
            assert_eq!((output.code, output.out.trim()), (0, "0 were created, 1 changed, 0 unchanged."), "{output:?}");
            let row = user::Entity::find_by_id(user.id).one(db.read()).await.unwrap().unwrap();
            assert_eq!(row.position, Some(format!("Doctor {:?}", user.username)));
        }

        // Changing a login or erasing a user resolves a duplicate; the login then belongs to the other user.
        assert!(errors_of(&root, "updateUser", json!({ "id": by_address.id.0, "email": "tim@ward.example" })).await.is_empty());
        assert_eq!(server_sign_in_user_id(&server, WARD).await, Some(id_of(&by_username)));
        assert_eq!(errors_of(&root, "createUser", new_user_input(&json!({ "email": WARD }))).await, ["TAKEN input.email"]);
        assert_eq!(errors_of(&root, "updateUser", json!({ "id": by_address.id.0, "email": WARD })).await, ["TAKEN input.email"]);
        assert!(errors_of(&root, "updateUser", json!({ "id": capital.id.0, "username": "strauss2" })).await.is_empty());
        assert_eq!(server_sign_in_user_id(&server, "STRAUẞ1").await, Some(id_of(&small)));
        assert!(errors_of(&root, "deleteUser", json!({ "id": small_address.id.0 })).await.is_empty());
        assert_eq!(server_sign_in_user_id(&server, "GROẞ@x.example").await, Some(id_of(&capital_address)));
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(doctor.out.contains("duplicate logins      0\n"), "{}", doctor.out);
    }

    async fn only_the_first_twenty_duplicate_logins_are_listed(sandbox: Sandbox) {
        let db = earlier_database(&sandbox).await;
        let license = insert_earlier_license(&db, "1").await;
        for n in 0..25 {
            let login = format!("both{n}@x.example");
            insert_earlier_user(&db, license, Some(&login), None).await;
            insert_earlier_user(&db, license, None, Some(&login)).await;
        }
        db.close().await.unwrap();
        let server = sandbox.serve(&[]).await;
        assert!(server.err().contains("25 logins identify two users each"), "{}", server.err());
        assert_eq!(server.err().matches("belongs to user").count(), 20);
        assert!(server.err().contains("and 5 more"), "{}", server.err());
        drop(server);
        let again = sandbox.run(&["migrate"]).await;
        assert!(again.out.contains("and 5 more"), "{again:?}");
    }
}
