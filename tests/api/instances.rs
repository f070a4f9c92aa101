//! Two servers on one database: revocations take effect on both at once, and limits are counted once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::join_all;
use roster::entity::{license, user};
use roster::scalar::Date;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::PASSWORD;
use crate::process::{ADMIN, Caller, Process, Sandbox, until};

const VIEWER: &str = "{ viewer { id } }";
/// A query that only administrators may send.
const INACTIVE: &str = "{ users(includeInactive: true) { totalCount } }";

async fn two_servers(sandbox: &Sandbox, arguments: &[&str]) -> (Process, Process, Caller) {
    let one = sandbox.serve(arguments).await;
    let two = sandbox.serve(arguments).await;
    let root = one.sign_in(ADMIN).await;
    (one, two, root)
}

/// Creates a user with the test password and returns the id.
async fn create_user(root: &Caller, name: &str, role: &str) -> String {
    let query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }";
    let input = json!({ "firstName": "Ann", "lastName": name, "username": name, "role": role, "password": PASSWORD });
    root.data(query, json!({ "input": input })).await["createUser"]["user"]["id"].as_str().unwrap().to_owned()
}

async fn mutate(caller: &Caller, mutation: &str, input: Value) {
    let mut input_type = format!("{mutation}Input!");
    input_type.get_mut(..1).unwrap().make_ascii_uppercase();
    let query = format!("mutation ($input: {input_type}) {{ {mutation}(input: $input) {{ success }} }}");
    let data = caller.data(&query, json!({ "input": input })).await;
    assert_eq!(data[mutation]["success"], json!(true), "{mutation}");
}

/// The number of requests that are sent at once, and again when they are answered.
const AT_ONCE: usize = 4;

/// Repeats a query concurrently until told to stop, and counts the answers. Returns when each request began and whether it
/// succeeded.
fn repeat_query(
    caller: &Caller,
    query: &'static str,
    stop: &watch::Receiver<bool>,
    answers: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<Vec<(Instant, bool)>>> {
    let send = || {
        let (caller, stop, answers) = (caller.clone(), stop.clone(), Arc::clone(answers));
        tokio::spawn(async move {
            let mut results = Vec::new();
            while !*stop.borrow() {
                let began = Instant::now();
                let response = caller.try_execute(query, &json!({})).await.expect("a response");
                results.push((began, response.get("errors").is_none()));
                answers.fetch_add(1, Ordering::Relaxed);
            }
            results
        })
    };
    (0..AT_ONCE).map(|_| send()).collect()
}

/// Makes a change on one server while a caller repeats a query on another: no request that began after the change
/// succeeds.
async fn takes_effect_at_once<F: Future<Output = ()>>(caller: &Caller, query: &'static str, what: impl FnOnce() -> F) {
    let (stop, stopped) = watch::channel(false);
    let answers = Arc::new(AtomicUsize::new(0));
    let requests = repeat_query(caller, query, &stopped, &answers);
    let until_more = async || {
        // Those that are under way now, and others that begin later.
        let enough = answers.load(Ordering::Relaxed) + 5 * AT_ONCE;
        let more = until(|| async { (answers.load(Ordering::Relaxed) >= enough).then_some(()) }).await;
        more.expect("requests are answered");
    };
    until_more().await;
    what().await;
    let done = Instant::now();
    until_more().await;
    stop.send(true).unwrap();
    let results: Vec<(Instant, bool)> = join_all(requests).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(
        results.iter().any(|(began, answered)| *began < done && *answered),
        "no request succeeded before the change"
    );
    let late = results.iter().filter(|(began, _)| *began >= done).count();
    assert!(late > 0, "no request was sent after the change");
    assert_eq!(results.iter().filter(|(began, answered)| *began >= done && *answered).count(), 0, "of {late}");
}

in_every_sandbox! {
    async fn revocations_on_one_instance_take_effect_on_the_other(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two, root) = two_servers(&sandbox, &[]).await;
        let id = create_user(&root, "ada", "ADMIN").await;

        let ada = two.sign_in("ada").await;
        let there = one.caller(ada.token.as_deref());
        takes_effect_at_once(&ada, VIEWER, || async { there.data("mutation { logout { success } }", json!({})).await; }).await;

        let ada = two.sign_in("ada").await;
        let key = ada.data("mutation { createApiKey(input: { name: \"A\", role: ADMIN }) { secret apiKey { id } } }", json!({})).await["createApiKey"].clone();
        let program = two.caller(key["secret"].as_str());
        takes_effect_at_once(&program, VIEWER, || mutate(&root, "revokeApiKey", json!({ "id": key["apiKey"]["id"] }))).await;

        takes_effect_at_once(&ada, INACTIVE, || mutate(&root, "updateUser", json!({ "id": id, "role": "USER" }))).await;
        assert!(ada.data(VIEWER, json!({})).await["viewer"].is_object());

        takes_effect_at_once(&ada, VIEWER, || mutate(&root, "setActive", json!({ "id": id, "active": false }))).await;
        mutate(&root, "setActive", json!({ "id": id, "active": true })).await;
        assert!(ada.try_execute(VIEWER, &json!({})).await.unwrap().get("errors").is_some(), "reactivation does not restore sessions");

        let ada = two.sign_in("ada").await;
        takes_effect_at_once(&ada, VIEWER, || mutate(&root, "updateUser", json!({ "id": id, "password": "nine-copper-badgers-sing" }))).await;
        mutate(&root, "updateUser", json!({ "id": id, "password": PASSWORD })).await;
        let ada = two.sign_in("ada").await;
        takes_effect_at_once(&ada, VIEWER, || mutate(&root, "deleteUser", json!({ "id": id }))).await;
    }

    async fn concurrent_writes_on_two_instances_are_one_audit_trail(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (_one, two, root) = two_servers(&sandbox, &[]).await;
        let there = two.caller(root.token.as_deref());
        let (here, there) = (&root, &there);
        let creations = (0_u32..40).map(|n| async move {
            mutate(if n.is_multiple_of(2) { here } else { there }, "createGroup", json!({ "name": format!("Ward {n}") })).await;
        });
        join_all(creations).await;
        for caller in [here, there] {
            assert_eq!(caller.data("{ groups { totalCount } }", json!({})).await["groups"]["totalCount"], json!(40));
        }
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    async fn totals_count_the_writes_of_two_instances(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (_one, two, root) = two_servers(&sandbox, &[]).await;
        let there = two.caller(root.token.as_deref());
        let group = root.data("mutation { createGroup(input: { name: \"Ward\" }) { group { id } } }", json!({})).await;
        let (here, there, group) = (&root, &there, &group["createGroup"]["group"]["id"]);
        let changes = (0_u32..20).map(|n| async move {
            let (one, other) = if n.is_multiple_of(2) { (here, there) } else { (there, here) };
            let create = "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }";
            let input = json!({ "firstName": "Ann", "lastName": "Lee", "username": format!("ann{n}") });
            let id = one.data(create, json!({ "input": input })).await["createUser"]["user"]["id"].clone();
            let join = mutate(one, "setGroupMember", json!({ "groupId": group, "userId": id, "role": "MEMBER" }));
            if n.is_multiple_of(2) {
                tokio::join!(join, mutate(other, "setActive", json!({ "id": id, "active": false })));
            } else {
                join.await;
            }
            if n % 4 == 3 {
                mutate(other, "deleteUser", json!({ "id": id })).await;
            }
        });
        join_all(changes).await;
        for caller in [here, there] {
            let totals = "{ active: users { totalCount } all: users(includeInactive: true) { totalCount } groups { nodes { members { totalCount } } } }";
            let data = caller.data(totals, json!({})).await;
            assert_eq!((&data["active"]["totalCount"], &data["all"]["totalCount"]), (&json!(6), &json!(16)), "root and every fourth are active");
            assert_eq!(data["groups"]["nodes"], json!([{ "members": { "totalCount": 6 } }]));
        }
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(doctor.out.contains("list totals           match the rows"), "{}", doctor.out);
    }

    async fn an_expired_license_ends_access_on_every_instance_at_once(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (_one, two, _) = two_servers(&sandbox, &[]).await;
        let root = two.sign_in(ADMIN).await;
        let db = sandbox.db().await;
        takes_effect_at_once(&root, VIEWER, || async {
            let yesterday = Date(Date::today().0.pred_opt().unwrap());
            let end = license::Entity::update_many().col_expr(license::Column::ExpiresOn, Expr::value(yesterday));
            end.filter(license::Column::Number.eq("1")).exec(db.write()).await.unwrap();
        }).await;
    }

    async fn ten_of_a_hundred_guesses_on_two_instances_are_checked(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two, root) = two_servers(&sandbox, &["--log", "roster::hash=debug", "--wrong-secrets-per-address", "1000"]).await;
        create_user(&root, "ada", "USER").await;
        let hashes = || [&one, &two].iter().map(|server| server.err().matches("a hash is computed").count()).sum::<usize>();
        let before = hashes();
        let (here, there) = (one.caller(None), two.caller(None));
        let guess = "mutation { login(input: { login: \"ada\", password: \"not-the-password\" }) { errors { code } } }";
        // Retries when too many sign-ins are under way, as an attacker would.
        let insist = async |caller: &Caller| loop {
            let response = caller.try_execute(guess, &json!({})).await.unwrap();
            if let Some(code) = response.pointer("/data/login/errors/0/code") {
                return code.as_str().unwrap().to_owned();
            }
            assert_eq!(response.pointer("/errors/0/extensions/code"), Some(&json!("RATE_LIMITED")), "{response:#}");
        };
        let codes = join_all((0_u32..100).map(|n| insist(if n.is_multiple_of(2) { &here } else { &there }).boxed_local())).await;
        let wrong = codes.iter().filter(|code| *code == "INVALID_CREDENTIALS").count();
        assert_eq!((wrong, codes.iter().filter(|code| *code == "LOCKED").count()), (10, 90));
        assert_eq!(hashes() - before, 10);
        assert_eq!(one.login("ada", PASSWORD).await["errors"][0]["code"], json!("LOCKED"));
        assert_eq!(two.login("ada", PASSWORD).await["errors"][0]["code"], json!("LOCKED"));
    }

    async fn forged_client_addresses_do_not_evade_the_limit(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two, _) = two_servers(&sandbox, &["--wrong-secrets-per-address", "20"]).await;
        let client = reqwest::Client::new();
        let guess = async |n: usize| {
            let server = if n.is_multiple_of(2) { &one } else { &two };
            let query = format!("mutation {{ login(input: {{ login: \"nobody{n}\", password: \"not-the-password\" }}) {{ errors {{ code }} }} }}");
            let forged = format!("203.0.{}.{}", n / 250, n % 250);
            let request = client.post(server.url("/graphql")).header("X-Forwarded-For", &forged).header("Forwarded", format!("for={forged}"));
            let response: Value = request.header("X-Real-IP", forged).json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
            response.pointer("/errors/0/extensions/code").is_none()
        };
        let mut looked_at = 0;
        for hundred in 0..10 {
            let responses = join_all((0..100).map(|n| guess(hundred * 100 + n).boxed_local())).await;
            looked_at += responses.into_iter().filter(|looked_at| *looked_at).count();
        }
        assert_eq!(looked_at, 20);
    }

    async fn a_link_works_once_across_two_instances(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two, _) = two_servers(&sandbox, &["--public-url", "https://people.example.org/roster/"]).await;
        let created = sandbox.run(&["admin", "link", "--email", ADMIN, "--public-url", "https://people.example.org/roster/"]).await;
        assert_eq!(created.code, 0, "{}", created.err);
        let link = created.out.split_whitespace().last().unwrap().to_owned();
        let token = link.strip_prefix("https://people.example.org/roster/activate#").unwrap_or_else(|| panic!("{link}")).to_owned();
        let query = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success } }";
        let input = json!({ "input": { "token": token, "password": "nine-copper-badgers-sing" } });
        let (here, there) = (one.caller(None), two.caller(None));
        let responses = join_all((0_u32..50).map(|n| (if n.is_multiple_of(2) { &here } else { &there }).try_execute(query, &input).boxed())).await;
        let won = responses.iter().flatten().filter(|response| response.pointer("/data/activateAccount/success") == Some(&json!(true))).count();
        assert_eq!(won, 1);
        assert_eq!(two.login(ADMIN, "nine-copper-badgers-sing").await["success"], json!(true));
    }

    async fn the_first_administrator_sets_their_password_by_a_link(sandbox: Sandbox) {
        let created = sandbox.run(&["admin", "create", "--email", "ada@example.org", "--first-name", "Ada", "--last-name", "Byron"]).await;
        assert_eq!(created.code, 0, "{}", created.err);
        let token = created.out.split('#').nth(1).unwrap_or_else(|| panic!("{}", created.out)).trim().to_owned();
        let server = sandbox.serve(&[]).await;
        assert_eq!(server.login("ada@example.org", PASSWORD).await["errors"][0]["code"], json!("INVALID_CREDENTIALS"), "there is no default password");
        let query = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { token user { hasActivated adminRights { isSuperuser } } } }";
        let data = server.caller(None).data(query, json!({ "input": { "token": token, "password": PASSWORD } })).await;
        assert_eq!(data["activateAccount"]["user"], json!({ "hasActivated": true, "adminRights": { "isSuperuser": true } }));
        assert_eq!(server.login("ada@example.org", PASSWORD).await["success"], json!(true));
        let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
        assert_eq!(users.len(), 1);
    }
}
