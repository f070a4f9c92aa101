//! Guessing is stopped and does not lock out other users; the cost of a guess is counted, not timed.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::join_all;
use roster::entity::audit_event::{self, AuditAction};
use roster::entity::user::{AdminRightsInput, Role, UserFields};
use roster::scalar::{Id, now};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, POLICY, payload_errors};
use crate::process::{self, ADMIN, Process, Sandbox, until};

const WRONG: &str = "not-the-password-at-all";
/// A password for which zxcvbn takes over a second unless its work is limited.
const COSTLY: &str = "4@8({[<369&#!1/|0$5+7%24@8({[<369&#!1/|0$5+7%24@8({[<369&#!1/|0$5+7%2";

fn named(username: &str) -> UserFields {
    UserFields {
        username: Given(username.to_owned()),
        email: Given(format!("{username}@x.example")),
        ..UserFields::default()
    }
}

async fn create_user(app: &App, username: &str) -> Id {
    app.create("Ada", app.license, named(username), Given(PASSWORD.to_owned())).await.id
}

async fn by_password(app: &App, login: &str, password: &str, device: &Value) -> Value {
    let input = json!({ "login": login, "password": password, "deviceToken": device });
    app.anonymous().mutate("login", "token deviceToken", input).await
}

async fn deviceless_sign_in(app: &App, login: &str, password: &str) -> Value {
    by_password(app, login, password, &Value::Null).await
}

/// Signs in for the first time; returns the session and the device token.
async fn first_sign_in<'a>(app: &'a App, login: &str) -> (Caller<'a>, Value) {
    let payload = deviceless_sign_in(app, login, PASSWORD).await;
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    (Caller { token: payload["token"].as_str().map(str::to_owned), ..app.anonymous() }, payload["deviceToken"].clone())
}

async fn guess(app: &App, login: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(
            payload_errors(&deviceless_sign_in(app, login, WRONG).await),
            ["INVALID_CREDENTIALS input"],
            "{login}"
        );
    }
}

/// The code of the request error with which a sign-in fails.
async fn sign_in_error_code(app: &App, login: &str, device: &Value) -> String {
    let input = json!({ "login": login, "password": PASSWORD, "deviceToken": device });
    app.anonymous().mutation_error_code("login", input).await
}

/// Uses up the wrong secrets that the network address of the tests may try.
async fn exhaust_address_limit(app: &App) {
    for n in 0..POLICY.max_failures_per_address {
        guess(app, &format!("nobody{n}"), 1).await;
    }
    assert_eq!(sign_in_error_code(app, "nobody", &Value::Null).await, "RATE_LIMITED");
}

async fn a_quarter_of_an_hour_passes(app: &App) {
    let (back, backend) = (now() - TimeDelta::minutes(15), app.db.write().get_database_backend());
    let statement = Statement::from_sql_and_values(backend, "UPDATE attempts SET since = $1", [back.into()]);
    app.db.write().execute_raw(statement).await.unwrap();
}

async fn events(app: &App, action: AuditAction) -> u64 {
    app.seal().await;
    audit_event::Entity::find().filter(audit_event::Column::Action.eq(action)).count(app.db.read()).await.unwrap()
}

on_every_database! {
    async fn responses_do_not_reveal_that_two_logins_identify_one_user(app: App) {
        create_user(&app, "ada").await;
        create_user(&app, "bob").await;
        create_user(&app, "eve").await;
        let pairs = [["ada@x.example", "ada"], ["bob@x.example", "eve"], ["nobody@x.example", "nobody"], ["eve@x.example", "noone"]];
        for turns in [&[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1][..], &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]] {
            let mut seen = Vec::new();
            for pair in pairs {
                let mut responses = Vec::new();
                for turn in turns {
                    responses.push(deviceless_sign_in(&app, pair[*turn], WRONG).await);
                }
                seen.push(responses);
            }
            let codes: Vec<Vec<String>> = seen[0].iter().map(payload_errors).collect();
            assert_eq!(codes.iter().filter(|codes| **codes == ["INVALID_CREDENTIALS input"]).count(), 20, "{codes:?}");
            for (pair, responses) in pairs.iter().zip(&seen) {
                assert_eq!(responses, &seen[0], "{pair:?}");
            }
            a_quarter_of_an_hour_passes(&app).await;
        }
    }

    async fn a_guess_takes_the_same_statements_for_known_and_unknown_logins(app: App) {
        create_user(&app, "ada").await;
        app.create("Bare", app.license, named("bare"), Undefined).await;
        // Starting a counter deletes the expired ones, such as the one of this network address.
        guess(&app, "somebody", 1).await;
        let mut costs = Vec::new();
        for pair in [["ada", "ada@x.example"], ["bare", "bare@x.example"], ["nobody", "nobody@x.example"]] {
            let mut cost = Vec::new();
            for login in [pair[0], pair[0], pair[1], pair[1], pair[0]] {
                let before = app.db.statements();
                guess(&app, login, 1).await;
                cost.push(app.db.statements() - before);
            }
            for device in ["rod_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "rod_x", "x"] {
                let before = app.db.statements();
                let payload = by_password(&app, pair[0], WRONG, &json!(device)).await;
                assert_eq!(payload_errors(&payload), ["INVALID_CREDENTIALS input"], "{device}");
                cost.push(app.db.statements() - before);
            }
            costs.push(cost);
        }
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    }

    async fn guesses_by_several_logins_of_a_user_lock_all_of_them_silently(app: App) {
        let id = create_user(&app, "ada").await;
        let (_, device) = first_sign_in(&app, "ada").await;
        let before = events(&app, AuditAction::SignInLocked).await;
        guess(&app, "ada", 5).await;
        guess(&app, "ADA@x.example", 5).await;
        let wrong = deviceless_sign_in(&app, "ada", WRONG).await;
        for login in ["ada", "ada@x.example"] {
            assert_eq!(deviceless_sign_in(&app, login, PASSWORD).await, wrong, "the right password as well: {login}");
        }
        assert_eq!(payload_errors(&wrong), ["INVALID_CREDENTIALS input"]);
        until(|| async { (events(&app, AuditAction::SignInLocked).await == before + 1).then_some(()) }).await.expect("the audit event of the lock");
        assert_eq!(by_password(&app, "ada@x.example", PASSWORD, &device).await["success"], json!(true), "a known device signs in");
        app.admin().await.mutate("unlockUser", "", json!({ "id": id.0 })).await;
        assert_eq!(deviceless_sign_in(&app, "ada", PASSWORD).await["success"], json!(true), "an administrator unlocks");
        guess(&app, "ada", 5).await;
        guess(&app, "ada@x.example", 5).await;
        a_quarter_of_an_hour_passes(&app).await;
        assert_eq!(deviceless_sign_in(&app, "ada", PASSWORD).await["success"], json!(true), "the lock expires");
    }

    async fn unlocking_a_user_or_resetting_the_password_unlocks_every_login(app: App) {
        let id = create_user(&app, "ada").await;
        let (me, device) = first_sign_in(&app, "ada").await;
        let lock_everything = async || {
            for login in ["ada", "ada@x.example"] {
                guess(&app, login, 10).await;
                assert_eq!(payload_errors(&deviceless_sign_in(&app, login, PASSWORD).await), ["LOCKED input"]);
            }
        };
        lock_everything().await;
        for _ in 0..10 {
            by_password(&app, "ada", WRONG, &device).await;
            me.payload_errors("changePassword", json!({ "currentPassword": WRONG, "newPassword": "nine-copper-badgers-sing" })).await;
        }
        assert_eq!(payload_errors(&by_password(&app, "ada", PASSWORD, &device).await), ["LOCKED input"]);
        assert_eq!(me.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(id.0), "sessions stay valid");
        app.admin().await.mutate("unlockUser", "", json!({ "id": id.0 })).await;
        for (login, device) in [("ada", &Value::Null), ("ada@x.example", &Value::Null), ("ada", &device)] {
            assert_eq!(by_password(&app, login, PASSWORD, device).await["success"], json!(true), "{login}");
        }
        assert_eq!(me.payload_errors("changePassword", json!({ "currentPassword": WRONG, "newPassword": "nine-copper-badgers-sing" })).await, ["INVALID_CREDENTIALS input.currentPassword"]);
        lock_everything().await;
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "ada@x.example" })).await;
        let mail = app.mails().await.pop().unwrap();
        let new = json!({ "token": mail.token(), "password": "nine-copper-badgers-sing" });
        assert_eq!(app.anonymous().mutate("resetPassword", "", new).await["success"], json!(true));
        for login in ["ada", "ada@x.example"] {
            assert_eq!(deviceless_sign_in(&app, login, "nine-copper-badgers-sing").await["success"], json!(true), "{login}");
        }
    }

    async fn known_devices_and_sessions_ignore_the_limit_of_their_address(app: App) {
        create_user(&app, "ada").await;
        create_user(&app, "bob").await;
        let (me, device) = first_sign_in(&app, "ada").await;
        me.mutate("setPin", "", json!({ "pin": "0042" })).await;
        exhaust_address_limit(&app).await;
        assert_eq!(sign_in_error_code(&app, "ada", &Value::Null).await, "RATE_LIMITED");
        assert_eq!(sign_in_error_code(&app, "bob", &device).await, "RATE_LIMITED", "the device is known for another user only");
        assert_eq!(sign_in_error_code(&app, "ada", &json!("rod_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).await, "RATE_LIMITED");
        assert_eq!(by_password(&app, "ada", PASSWORD, &device).await["success"], json!(true));
        let by_pin = async |pin: &str| app.anonymous().mutate("login", "", json!({ "login": "ada", "pin": pin, "deviceToken": device })).await;
        assert_eq!(by_pin("0042").await["success"], json!(true));
        assert_eq!(payload_errors(&by_pin("0043").await), ["INVALID_CREDENTIALS input"], "a wrong PIN is not rate limited");
        assert_eq!(me.mutate("requestEmailChange", "", json!({ "newEmail": "a@y.example", "currentPassword": PASSWORD })).await["success"], json!(true));
        assert_eq!(me.mutate("setPin", "", json!({ "pin": "0044" })).await["success"], json!(true));
        let new = json!({ "currentPassword": PASSWORD, "newPassword": "nine-copper-badgers-sing" });
        assert_eq!(me.mutate("changePassword", "", new).await["success"], json!(true));
    }

    async fn guesses_on_known_devices_do_not_count_against_their_address(app: App) {
        create_user(&app, "ada").await;
        let (me, device) = first_sign_in(&app, "ada").await;
        let (_, other) = first_sign_in(&app, "ada").await;
        for _ in 0..10 {
            assert_eq!(payload_errors(&by_password(&app, "ada", WRONG, &device).await), ["INVALID_CREDENTIALS input"]);
            let wrong = json!({ "currentPassword": WRONG, "newPassword": "nine-copper-badgers-sing" });
            assert_eq!(me.payload_errors("changePassword", wrong).await, ["INVALID_CREDENTIALS input.currentPassword"]);
        }
        assert_eq!(payload_errors(&by_password(&app, "ada", PASSWORD, &device).await), ["LOCKED input"]);
        let right = json!({ "currentPassword": PASSWORD, "newPassword": "nine-copper-badgers-sing" });
        assert_eq!(me.payload_errors("changePassword", right).await, ["LOCKED input.currentPassword"]);
        assert_eq!(by_password(&app, "ada", PASSWORD, &other).await["success"], json!(true), "each device has its own counter");
        assert_eq!(deviceless_sign_in(&app, "ada", PASSWORD).await["success"], json!(true));
        exhaust_address_limit(&app).await;
    }

    async fn known_devices_sign_in_while_the_login_is_locked(app: App) {
        create_user(&app, "ada").await;
        let (_, device) = first_sign_in(&app, "ada").await;
        guess(&app, "ada", 10).await;
        assert_eq!(payload_errors(&deviceless_sign_in(&app, "ada", PASSWORD).await), ["LOCKED input"]);
        assert_eq!(by_password(&app, "ada", PASSWORD, &device).await["success"], json!(true));
        assert_eq!(payload_errors(&deviceless_sign_in(&app, "ada", PASSWORD).await), ["LOCKED input"], "unknown devices stay locked out");
    }

    async fn a_user_requests_at_most_ten_emails_per_quarter_hour(app: App) {
        create_user(&app, "ada").await;
        let (me, _) = first_sign_in(&app, "ada").await;
        let input = |n: usize| json!({ "newEmail": format!("a{n}@y.example"), "currentPassword": PASSWORD });
        for n in 0..10 {
            assert_eq!(me.mutate("requestEmailChange", "", input(n)).await["success"], json!(true));
        }
        assert_eq!(me.mutation_error_code("requestEmailChange", input(10)).await, "RATE_LIMITED");
    }

    async fn a_viewer_finds_at_most_twenty_logins_of_other_licenses(app: App) {
        let admin = app.admin().await;
        for n in 0..25 {
            let place = if n < 12 { app.other_license } else { app.license };
            app.create("Bob", place, named(&format!("bob{n}")), Undefined).await;
        }
        let target = app.create("Cy", app.license, named("cy"), Undefined).await;
        let new = |login: Value| {
            let mut input = json!({ "firstName": "A", "lastName": "B", "dryRun": true });
            input.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
            input
        };
        for n in 12..25 {
            assert_eq!(admin.payload_errors("createUser", new(json!({ "username": format!("bob{n}") }))).await, ["TAKEN input.username"], "of the same license");
        }
        let mut found = 0;
        for n in 0..10 {
            let (username, email) = (format!("BOB{n}"), format!(" Bob{n}@X.example"));
            assert_eq!(admin.payload_errors("createUser", new(json!({ "username": username }))).await, ["TAKEN input.username"]);
            let update = json!({ "id": target.id.0, "email": email, "dryRun": n % 2 == 0 });
            assert_eq!(admin.payload_errors("updateUser", update).await, ["TAKEN input.email"]);
            found += 2;
            assert_eq!(events(&app, AuditAction::ForeignLoginFound).await, found);
        }
        let logins = [json!({ "username": "bob10" }), json!({ "username": "free" }), json!({ "email": "free@x.example" })];
        for (login, dry_run) in logins.iter().flat_map(|login| [(login, true), (login, false)]) {
            for nickname in [json!("Bobby"), json!("x".repeat(51))] {
                let mut input = new(login.clone());
                input.as_object_mut().unwrap().extend([("dryRun".to_owned(), json!(dry_run)), ("nickname".to_owned(), nickname)]);
                assert_eq!(admin.mutation_error_code("createUser", input.clone()).await, "RATE_LIMITED", "{input}");
            }
        }
        assert_eq!(events(&app, AuditAction::ForeignLoginFound).await, found, "no more are found");
        assert_eq!(admin.mutation_error_code("updateUser", json!({ "id": target.id.0, "username": "free" })).await, "RATE_LIMITED");
        assert_eq!(admin.mutate("updateUser", "", json!({ "id": target.id.0, "position": "Chief" })).await["success"], json!(true), "updates without a login are not limited");
        app.seal().await;
        let recorded = audit_event::Entity::find().filter(audit_event::Column::Action.eq(AuditAction::ForeignLoginFound));
        let recorded = recorded.all(app.db.read()).await.unwrap();
        assert!(recorded.iter().all(|event| (event.subject_id, event.actor_id, event.license_id, &event.changes) == (admin.id, Some(admin.id), app.license, &None)));
        let other = app.admin().await;
        assert_eq!(other.payload_errors("createUser", new(json!({ "username": "bob11" }))).await, ["TAKEN input.username"], "each viewer has their own counter");
        a_quarter_of_an_hour_passes(&app).await;
        assert_eq!(admin.mutate("createUser", "", new(json!({ "username": "free" }))).await["success"], json!(true));
        let rights = AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() };
        let root = app.user_with("Root", UserFields { admin_rights: Given(rights), role: Given(Role::LicenseAdmin), ..UserFields::default() }).await;
        let before = events(&app, AuditAction::ForeignLoginFound).await;
        for _ in 0..25 {
            assert_eq!(root.payload_errors("createUser", new(json!({ "username": "bob1" }))).await, ["TAKEN input.username"], "superusers see every license and are not limited");
        }
        assert_eq!(events(&app, AuditAction::ForeignLoginFound).await, before);
    }

    async fn concurrent_probes_for_logins_of_other_licenses_are_limited(app: App) {
        for n in 0..100 {
            app.create("Bob", app.other_license, named(&format!("bob{n}")), Undefined).await;
        }
        let admin = app.admin().await;
        let trial = async |n: usize| {
            let login = if n.is_multiple_of(2) { format!("bob{n}") } else { format!("free{n}") };
            let input = json!({ "firstName": "A", "lastName": "B", "username": login, "dryRun": true });
            admin.execute("mutation ($i: CreateUserInput!) { createUser(input: $i) { success } }", json!({ "i": input })).await
        };
        let responses = join_all((0..100).map(trial)).await;
        let answered = responses.iter().filter(|response| response.get("errors").is_none()).count();
        // Twenty taken logins, as many free ones, and those in progress when the last one was counted.
        assert!((20..=60).contains(&answered), "{answered} of 100");
    }

    async fn a_request_sets_at_most_one_password_or_pin(app: App) {
        let admin = app.admin().await;
        let user = r#"firstName: "A", lastName: "B""#;
        let create = |n: usize, rest: &str| format!(r#"a{n}: createUser(input: {{ {user}, username: "a{n}", dryRun: true {rest} }}) {{ success }}"#);
        let literal = format!(r"mutation {{ {} {} }}", create(1, r#", password: "x""#), create(2, r#", pin: "0000""#));
        let mixed = format!(r#"mutation {{ {} setPin(input: {{ pin: "0000" }}) {{ success }} }}"#, create(1, r#", password: "x""#));
        let nested = format!("mutation ($p: String) {{ {} {} }}", create(1, ", password: $p"), create(2, ", password: $p"));
        let whole = "mutation ($i: CreateUserInput!, $u: UpdateUserInput!) { a: createUser(input: $i) { success } b: updateUser(input: $u) { success } }";
        let default = format!(r#"mutation ($p: String = "x") {{ {} {} }}"#, create(1, ", password: $p"), create(2, ", pin: $p"));
        let spread = format!("mutation ($p: String) {{ ...F ... on Mutation {{ {} }} }} fragment F on Mutation {{ {} }}", create(1, ", password: $p"), create(2, ", password: $p"));
        let input = json!({ "firstName": "A", "lastName": "B", "username": "a", "dryRun": true, "password": COSTLY });
        let inputs = json!({ "i": input, "u": { "id": admin.id(), "pin": "0000", "dryRun": true } });
        for (document, variables) in [
            (literal.as_str(), json!({})), (&mixed, json!({})), (&nested, json!({ "p": COSTLY })), (whole, inputs), (&default, json!({})), (&spread, json!({ "p": COSTLY })),
        ] {
            assert_eq!(admin.error_code(document, variables).await, "BAD_USER_INPUT", "{document}");
        }
        let without = format!("mutation ($p: String) {{ {} {} {} }}", create(1, ""), create(2, ", password: $p"), create(3, r#", password: "seven-brass-otters-waltz""#));
        let data = admin.data(&without, json!({})).await;
        assert_eq!(data, json!({ "a1": { "success": true }, "a2": { "success": true }, "a3": { "success": true } }), "only one of them sets a secret");
    }

    async fn a_link_checks_at_most_twenty_passwords_per_quarter_hour(app: App) {
        create_user(&app, "ada").await;
        app.anonymous().mutate("requestPasswordReset", "", json!({ "email": "ada@x.example" })).await;
        let mail = app.mails().await.pop().unwrap();
        let reset = |password: &str| json!({ "token": mail.token(), "password": password });
        for _ in 0..25 {
            assert_eq!(app.anonymous().payload_errors("resetPassword", reset("short")).await, ["TOO_SHORT input.password"], "short passwords are not counted");
        }
        for _ in 0..20 {
            assert_eq!(app.anonymous().payload_errors("resetPassword", reset("password1234")).await, ["INVALID input.password"]);
        }
        assert_eq!(app.anonymous().mutation_error_code("resetPassword", reset("nine-copper-badgers-sing")).await, "RATE_LIMITED");
        a_quarter_of_an_hour_passes(&app).await;
        assert_eq!(app.anonymous().mutate("resetPassword", "", reset("nine-copper-badgers-sing")).await["success"], json!(true));
    }
}

/// The numbers of hashes and of strengths that a server has computed.
fn computed_counts(server: &Process) -> (usize, usize) {
    let log = server.err();
    (log.matches("a hash is computed").count(), log.matches("a strength is computed").count())
}

async fn execute(caller: &process::Caller, mutation: &str, input: Value) -> Value {
    let mut input_type = format!("{mutation}Input!");
    input_type.get_mut(..1).unwrap().make_ascii_uppercase();
    let query =
        format!("mutation ($input: {input_type}) {{ {mutation}(input: $input) {{ success errors {{ code path }} }} }}");
    caller.try_execute(&query, &json!({ "input": input })).await.unwrap()
}

fn code(response: &Value, mutation: &str) -> String {
    let code =
        response.pointer(&format!("/data/{mutation}/errors/0/code")).or(response.pointer("/errors/0/extensions/code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}

in_every_sandbox! {
    async fn hashes_and_strengths_are_computed_only_after_cheaper_checks(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--log", "roster::hash=debug"]).await;
        let (root, nobody) = (server.sign_in(ADMIN).await, server.caller(None));
        let user = json!({ "firstName": "A", "lastName": "B", "username": "ada", "password": PASSWORD });
        execute(&root, "createUser", user).await;
        let ada = server.sign_in("ada").await;
        let costs = async |caller: &process::Caller, mutation: &str, input: Value| {
            let before = computed_counts(&server);
            let response = execute(caller, mutation, input).await;
            let after = computed_counts(&server);
            (code(&response, mutation), after.0 - before.0, after.1 - before.1)
        };
        let change = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
        let create = |rest: Value| {
            let mut input = json!({ "firstName": "A", "lastName": "B", "username": "new", "dryRun": true });
            input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            input
        };
        let (long, link) = ("x".repeat(129), format!("rol_{}", "A".repeat(43)));
        for (caller, mutation, input, expected) in [
            (&ada, "changePassword", change(PASSWORD, "short"), ("TOO_SHORT", 0, 0)),
            (&ada, "changePassword", change(PASSWORD, &long), ("TOO_LONG", 0, 0)),
            (&ada, "changePassword", change(WRONG, COSTLY), ("INVALID_CREDENTIALS", 1, 0)),
            (&ada, "changePassword", change(PASSWORD, "password1234"), ("INVALID", 1, 1)),
            (&ada, "setPin", json!({ "pin": "12345" }), ("INVALID", 0, 0)),
            (&ada, "createUser", create(json!({ "password": COSTLY })), ("FORBIDDEN", 0, 0)),
            (&nobody, "createUser", create(json!({ "password": COSTLY })), ("UNAUTHENTICATED", 0, 0)),
            (&nobody, "changePassword", change(PASSWORD, COSTLY), ("UNAUTHENTICATED", 0, 0)),
            (&nobody, "activateAccount", json!({ "token": link, "password": COSTLY }), ("EXPIRED", 0, 0)),
            (&nobody, "resetPassword", json!({ "token": link, "password": COSTLY }), ("EXPIRED", 0, 0)),
            (&root, "createUser", create(json!({ "password": "short", "pin": "0000" })), ("TOO_SHORT", 0, 0)),
            (&root, "createUser", create(json!({ "password": COSTLY, "pin": "0000" })), ("", 0, 1)),
            (&root, "createUser", create(json!({ "password": PASSWORD, "role": "NONE" })), ("BAD_USER_INPUT", 0, 0)),
        ] {
            let (code, hashes, strengths) = costs(caller, mutation, input).await;
            assert!(code == expected.0 || expected.0 == "BAD_USER_INPUT", "{mutation} {code} {expected:?}");
            assert_eq!((hashes, strengths), (expected.1, expected.2), "{mutation} {expected:?}");
        }
        for _ in 0..10 {
            execute(&ada, "changePassword", change(WRONG, COSTLY)).await;
        }
        for _ in 0..5 {
            assert_eq!(costs(&ada, "changePassword", change(PASSWORD, COSTLY)).await, ("LOCKED".to_owned(), 0, 0));
        }
        for n in 0..11 {
            let expected = if n < 10 { ("INVALID_CREDENTIALS".to_owned(), 1, 0) } else { ("LOCKED".to_owned(), 0, 0) };
            assert_eq!(costs(&nobody, "login", json!({ "login": "nobody", "password": WRONG })).await, expected);
        }
    }

    async fn concurrent_strength_checks_are_limited_and_do_not_block_sign_in(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--log", "roster::hash=debug"]).await;
        let root = server.sign_in(ADMIN).await;
        let input = |n: usize| json!({ "firstName": "A", "lastName": "B", "username": format!("a{n}"), "password": COSTLY, "dryRun": true });
        let flood = join_all((0..100).map(|n| execute(&root, "createUser", input(n)).boxed_local()));
        let (responses, signed_in) = tokio::join!(flood, server.login(ADMIN, PASSWORD));
        assert_eq!(signed_in["success"], json!(true), "{signed_in}");
        let rate_limited = responses.iter().filter(|response| code(response, "createUser") == "RATE_LIMITED").count();
        assert!(responses.iter().all(|response| ["", "RATE_LIMITED"].contains(&code(response, "createUser").as_str())));
        assert_eq!(computed_counts(&server).1, 100 - rate_limited);
    }

    async fn an_address_with_too_many_wrong_secrets_is_logged_once(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--wrong-secrets-per-address", "3"]).await;
        for n in 0..8 {
            server.caller(None).try_execute("mutation ($l: String!) { login(input: { login: $l, password: \"wrong\" }) { success } }", &json!({ "l": format!("nobody{n}") })).await.unwrap();
        }
        let log = server.err();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("too many wrong passwords or PINs from a network address")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains("RATE_LIMITED") && lines[0].contains("127.0.0.1"), "{lines:?}");
    }

    async fn an_untrusted_proxy_is_logged_once(sandbox: Sandbox) {
        let warnings = |server: &Process| server.err().matches("add it to --trusted-proxies").count();
        for (arguments, expected) in [(&[][..], 1), (&["--trusted-proxies", "127.0.0.1"], 0)] {
            let server = sandbox.serve(arguments).await;
            for n in 0..5 {
                let request = reqwest::Client::new().post(server.url("/graphql")).header("X-Forwarded-For", format!("203.0.113.{n}"));
                request.json(&json!({ "query": "{ __typename }" })).send().await.unwrap();
            }
            assert_eq!(warnings(&server), expected, "{arguments:?}");
        }
    }
}
