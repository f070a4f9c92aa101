//! Upgrades without stopping: a server goes on over the migrations of a newer version, unless they take away what it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use roster::startup;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::doctor::findings;
use crate::process::{ADMIN, Caller, CommandOutput, Process, Sandbox, until};

/// A migration that no version has yet.
pub const LATER: &str = "m20990101_000001_pager";
/// Another one after it.
pub const LAST: &str = "m20990101_000002_less";
/// The tasks that send requests one after another.
const AT_ONCE: usize = 3;

/// Executes statements in one transaction.
async fn execute(sandbox: &Sandbox, statements: &[&str]) {
    let db = sandbox.db().await;
    let transaction = db.begin().await.unwrap();
    for statement in statements {
        transaction.execute_unprepared(statement).await.unwrap();
    }
    transaction.commit().await.unwrap();
    db.close().await.unwrap();
}

/// The record of a migration that was applied.
fn applied(name: &str) -> String {
    format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)")
}

/// Removes the record of a migration that was applied.
fn forgotten(name: &str) -> String {
    format!("DELETE FROM seaql_migrations WHERE version = '{name}'")
}

/// The record that a migration makes of itself. It contracts if it needs another one.
fn recorded(name: &str, needs: Option<&str>) -> String {
    let (kind, needs) = needs.map_or(("EXPAND", "NULL".to_owned()), |needs| ("CONTRACT", format!("'{needs}'")));
    format!("INSERT INTO migration_kinds (version, kind, needs) VALUES ('{name}', '{kind}', {needs})")
}

/// Applies an expand step of a later version, as that version would.
pub async fn expand(sandbox: &Sandbox) {
    execute(sandbox, &["ALTER TABLE mails ADD COLUMN pager text"]).await;
    execute(sandbox, &["ALTER TABLE users ADD COLUMN pager text", &applied(LATER), &recorded(LATER, None)]).await;
}

/// Applies a contract step of a later version.
pub async fn contract(sandbox: &Sandbox, needs: &str) {
    execute(sandbox, &[&applied(LAST), &recorded(LAST, Some(needs))]).await;
}

/// Starts a server that is expected to end at once.
async fn refused(sandbox: &Sandbox) -> CommandOutput {
    sandbox.run(&["serve", "--listen", "127.0.0.1:0"]).await
}

async fn check(sandbox: &Sandbox) -> (CommandOutput, Value) {
    let text = sandbox.run(&["migrate", "--check"]).await;
    let programs = sandbox.run(&["migrate", "--check", "--format", "json"]).await;
    assert_eq!(programs.code, text.code, "{programs:?}");
    let report = serde_json::from_str(&programs.out).unwrap_or_else(|error| panic!("{error}: {programs:?}"));
    (text, report)
}

async fn wait_until_status(server: &Process, expected: u16) {
    let ready = || async { (server.status_of("/health/ready").await == expected).then_some(()) };
    until(ready).await.unwrap_or_else(|| panic!("/health/ready is not {expected}\n{}", server.err()));
}

/// Requests that create and read users until they are told to stop.
struct Load {
    stop: watch::Sender<bool>,
    rounds: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(root: &Caller) -> Self {
        let (stop, stopped) = watch::channel(false);
        let rounds = Arc::new(AtomicUsize::new(0));
        let task = |task: usize| {
            let (root, stopped, rounds) = (root.clone(), stopped.clone(), Arc::clone(&rounds));
            tokio::spawn(async move {
                let mut round = 0;
                while !*stopped.borrow() {
                    create_and_read(&root, &format!("ann{task}n{round}")).await;
                    round += 1;
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = (0..AT_ONCE).map(task).collect();
        Self { stop, rounds, tasks }
    }

    /// Waits until more requests were answered: those that are under way now, and others that begin later. A request that fails
    /// ends the wait.
    async fn goes_on(&self) {
        let enough = self.rounds.load(Ordering::Relaxed) + 3 * AT_ONCE;
        let has_more =
            || self.rounds.load(Ordering::Relaxed) >= enough || self.tasks.iter().any(JoinHandle::is_finished);
        let more = || async { has_more().then_some(()) };
        until(more).await.expect("requests are answered");
    }

    /// Stops the requests, and returns how many users were created. Fails if a request has failed.
    async fn stop(self) -> usize {
        self.stop.send(true).unwrap();
        join_all(self.tasks).await.into_iter().for_each(|task| task.unwrap());
        self.rounds.load(Ordering::Relaxed)
    }
}

/// Creates a user, changes them, and reads them back.
async fn create_and_read(root: &Caller, username: &str) {
    let create = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success user { id } } }";
    let input = json!({ "firstName": "Ann", "lastName": "Lee", "username": username });
    let created = root.data(create, json!({ "input": input })).await;
    assert_eq!(created["createUser"]["success"], json!(true), "{created:#}");
    let update = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success } }";
    let input = json!({ "id": created["createUser"]["user"]["id"], "nickname": username });
    let updated = root.data(update, json!({ "input": input })).await;
    assert_eq!(updated["updateUser"]["success"], json!(true), "{updated:#}");
    let read = "query ($filter: UserFilter) { users(filter: $filter) { nodes { username nickname } } }";
    let filter = json!({ "username": { "eq": username } });
    let users = root.data(read, json!({ "filter": filter })).await;
    assert_eq!(users["users"]["nodes"], json!([{ "username": username, "nickname": username }]));
}

in_every_sandbox! {
    async fn a_server_goes_on_while_a_newer_version_expands_the_tables(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let load = Load::start(&root);
        load.goes_on().await;
        expand(&sandbox).await;
        load.goes_on().await;
        assert_eq!(server.status_of("/health/ready").await, 200);
        let beside = sandbox.serve(&[]).await;
        assert_eq!(beside.status_of("/health/ready").await, 200);
        create_and_read(&beside.caller(root.token.as_deref()), "beside").await;
        load.goes_on().await;
        let created = load.stop().await;
        let data = beside.caller(root.token.as_deref()).data("{ users { totalCount } }", json!({})).await;
        assert_eq!(data["users"]["totalCount"], json!(created + 2), "with the administrator and one created on the other server");
        drop((server, beside));

        let migrated = sandbox.run(&["migrate"]).await;
        assert_eq!((migrated.code, migrated.out.trim()), (0, "The tables are up to date."), "{migrated:?}");
        let anew = sandbox.serve(&[]).await;
        create_and_read(&anew.caller(root.token.as_deref()), "anew").await;
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(findings(&doctor).is_empty() && doctor.out.contains("0 pending, 1 newer"), "{doctor:?}");
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    async fn no_server_works_after_a_contract_step_that_it_does_not_know(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        expand(&sandbox).await;
        contract(&sandbox, LATER).await;
        wait_until_status(&server, 503).await;
        server.wait_for_log(LAST).await;
        let refused = refused(&sandbox).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        let sentence = format!("the migration {LAST} of a newer version of Roster, after which only versions that know {LATER} work");
        assert!(refused.err.contains(&sentence), "{}", refused.err);
        for command in [&["migrate"][..], &["license", "list"], &["audit", "verify"]] {
            let refused = sandbox.run(command).await;
            assert!(refused.code == 1 && refused.err.contains(&sentence), "{command:?}: {refused:?}");
        }
        let (text, report) = check(&sandbox).await;
        assert!(text.code == 1 && text.err.contains(&sentence), "{text:?}");
        assert_eq!(report["status"], json!("INCOMPATIBLE"));
        let newer = json!([
            { "name": LATER, "kind": "EXPAND", "needs": null },
            { "name": LAST, "kind": "CONTRACT", "needs": LATER },
        ]);
        assert_eq!(report["newer"], newer);
    }

    async fn a_server_works_after_a_contract_step_that_needs_what_it_knows(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        contract(&sandbox, startup::last_known()).await;
        assert_eq!(server.status_of("/health/ready").await, 200);
        let anew = sandbox.serve(&[]).await;
        assert_eq!(anew.status_of("/health/ready").await, 200);
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, &report["status"]), (0, &json!("UP_TO_DATE")), "{text:?}");
    }

    async fn no_server_works_after_a_migration_that_does_not_say_what_it_means(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        execute(&sandbox, &[&applied(LATER)]).await;
        let refused = refused(&sandbox).await;
        assert!(refused.code == 1 && refused.err.contains("does not say whether this version works"), "{refused:?}");
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, &report["newer"][0]["kind"]), (1, &Value::Null), "{text:?}");
    }

    async fn a_check_of_a_new_database_creates_nothing(sandbox: Sandbox) {
        let (text, report) = check(&sandbox).await;
        assert_eq!(text.code, 3, "{text:?}");
        assert!(text.out.contains("The database has no tables yet."), "{text:?}");
        assert_eq!((&report["status"], &report["lastApplied"]), (&json!("EXPAND"), &Value::Null));
        assert_eq!(report["pending"].as_array().unwrap().len(), startup::migrations());
        assert!(!sandbox.path("roster-data").exists());
        let (again, _) = check(&sandbox).await;
        assert_eq!(again.out, text.out);
    }

    async fn a_check_says_whether_servers_keep_working(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, text.out.trim(), text.err.trim()), (0, "The tables are up to date.", ""));
        let expected = json!({ "status": "UP_TO_DATE", "lastApplied": startup::last_known(), "needs": null, "pending": [], "newer": [] });
        assert_eq!(report, expected);

        let added = "m20261122_000009_avatars";
        execute(&sandbox, &[&forgotten(added)]).await;
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, text.err.trim()), (3, "error: 1 migration is pending"));
        assert!(text.out.contains(added) && text.out.contains("Servers that run keep working."), "{text:?}");
        assert_eq!((&report["status"], &report["needs"]), (&json!("EXPAND"), &Value::Null));
        assert_eq!(report["pending"], json!([{ "name": added, "kind": "EXPAND", "needs": null }]));

        let folded = "m20261129_000014_folding";
        execute(&sandbox, &[&forgotten(folded)]).await;
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, text.err.trim()), (4, "error: 2 migrations are pending; stop old servers first"));
        assert!(text.out.contains("Stop all servers first"), "{text:?}");
        assert_eq!((&report["status"], &report["needs"]), (&json!("CONTRACT"), &json!(folded)));

        execute(&sandbox, &[&applied(added), &applied(folded), &applied(LATER), &recorded(LATER, None)]).await;
        let (text, report) = check(&sandbox).await;
        assert_eq!((text.code, text.err.trim()), (0, ""));
        assert!(text.out.contains("This version works with them."), "{text:?}");
        assert_eq!(report["newer"], json!([{ "name": LATER, "kind": "EXPAND", "needs": null }]));
    }
}

#[tokio::test]
async fn the_format_is_that_of_a_check() {
    let sandbox = Sandbox::on_sqlite();
    assert_eq!(sandbox.run(&["migrate", "--format", "json"]).await.code, 2);
    assert!(!sandbox.path("roster-data").exists());
}
