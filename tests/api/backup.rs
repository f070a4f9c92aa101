//! Backups: made while a server serves, restored elsewhere, verified.

mod archive;
mod damage;
mod directory;
mod interrupted;
mod newer;
mod older;
mod passphrase;
mod tables;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roster::scalar::Id;
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::postgres;
use crate::process::{ADMIN, Caller, CommandOutput, Process, Sandbox, mode, until};

const CREATE: &str =
    "mutation ($input: CreateUserInput!) { createUser(input: $input) { success errors { message } user { id } } }";
/// A check of `roster restore --verify` that needs the server key.
const SIGN_IN: &str = "ok           sign-in of a new user, with the server key";
/// The administrators who write at the same time.
const WRITERS: usize = 2;
/// The number of acknowledged writes before the backup begins, and again before it may end.
const WRITES: usize = 40;

/// An empty sandbox with the same kind of database and the same server key.
async fn another(sandbox: &Sandbox) -> Sandbox {
    let other =
        if sandbox.is_sqlite() { Sandbox::on_sqlite() } else { Sandbox::on_postgres().await.expect("PostgreSQL") };
    fs::create_dir(other.path("roster-data")).unwrap();
    fs::copy(sandbox.path("roster-data/roster.key"), other.path("roster-data/roster.key")).unwrap();
    other
}

/// Backs up to a file in the sandbox, and returns its path.
async fn back_up(sandbox: &Sandbox, name: &str) -> String {
    let done = sandbox.run(&["backup", name]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    sandbox.path(name).to_str().unwrap().to_owned()
}

/// Names in a folder that a backup in progress uses.
fn left_over(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".roster-") && name != ".roster-backup.lock").collect()
}

async fn create_user(caller: &Caller, input: Value) -> String {
    let created = caller.data(CREATE, json!({ "input": input })).await;
    assert_eq!(created["createUser"]["success"], json!(true), "{created:#}");
    created["createUser"]["user"]["id"].as_str().unwrap().to_owned()
}

/// Creates users until it is told to stop; returns the IDs, of which the counter tells the number.
async fn write(caller: Caller, count: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut ids = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let email = format!("{}@example.org", Id::new().0);
        ids.push(create_user(&caller, json!({ "firstName": "Ann", "lastName": "Writer", "email": email })).await);
        count.fetch_add(1, Ordering::AcqRel);
    }
    ids
}

async fn more_writes(count: &AtomicUsize) {
    let enough = count.load(Ordering::Acquire) + WRITES;
    until(|| async { (count.load(Ordering::Acquire) >= enough).then_some(()) }).await.expect("enough writes");
}

async fn missing(caller: &Caller, ids: &[String]) -> Vec<String> {
    let mut found = HashSet::new();
    for ids in ids.chunks(100) {
        let data = caller.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids })).await;
        found
            .extend(data["nodes"].as_array().unwrap().iter().filter_map(|node| node["id"].as_str().map(str::to_owned)));
    }
    ids.iter().filter(|id| !found.contains(*id)).cloned().collect()
}

/// Makes a backup while users are created; returns those who were created before it began.
async fn back_up_under_load(sandbox: &Sandbox, server: &Process, root: &Caller) -> (CommandOutput, Vec<String>) {
    let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let name = format!("admin{number}");
        let input = json!({ "firstName": "Ann", "lastName": "Admin", "username": name, "role": "LICENSE_ADMIN", "password": PASSWORD });
        create_user(root, input).await;
        let caller = server.sign_in(&name).await;
        writers.push(tokio::spawn(write(caller, Arc::clone(&count), Arc::clone(&stop))));
    }
    more_writes(&count).await;
    let before = root.data("{ users(first: 100) { nodes { id } } }", json!({})).await;
    let done = sandbox.run(&["backup", "under-load.tar"]).await;
    more_writes(&count).await;
    stop.store(true, Ordering::Release);
    for writer in writers {
        writer.await.unwrap();
    }
    let ids = before["users"]["nodes"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned());
    (done, ids.collect())
}

in_every_sandbox! {
    async fn a_backup_under_load_restores_what_was_acknowledged_before_it(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let (done, before) = back_up_under_load(&sandbox, &server, &root).await;
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
        assert!(done.out.contains(" users and the audit trail up to event ") && done.out.contains("server key with the fingerprint"), "{done:?}");
        let file = sandbox.path("under-load.tar");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(left_over(&sandbox.path("")), [""; 0]);
        assert!(before.len() > WRITES);
        let position = root.data("{ users(first: 1) { position } }", json!({})).await["users"]["position"].clone();
        assert!(!server.err().contains("ERROR") && !server.err().contains("locked"), "{}", server.err());

        let other = another(&sandbox).await;
        let restored = other.run(&["restore", file.to_str().unwrap()]).await;
        assert_eq!((restored.code, restored.err.as_str()), (0, ""), "{restored:?}");
        assert_eq!(left_over(&other.path("roster-data")), [""; 0]);
        let verified = other.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");

        let server = other.serve(&[]).await;
        let old = server.caller(root.token.as_deref());
        let viewer = old.try_execute("{ viewer { id } }", &json!({})).await.expect("a response");
        assert!(viewer["data"]["viewer"].is_null(), "sessions have ended: {viewer:#}");
        let root = server.sign_in(ADMIN).await;
        assert_eq!(missing(&root, &before).await, [""; 0]);
        let query = "query ($after: String) { changes(after: $after) { position } }";
        let changes = root.try_execute(query, &json!({ "after": position })).await.expect("a response");
        assert_eq!(changes["errors"][0]["extensions"]["code"], json!("SNAPSHOT_REQUIRED"), "{changes:#}");
        let events = root.data("{ auditEvents(first: 5) { nodes { action changes { field after } } } }", json!({})).await;
        let events = events["auditEvents"]["nodes"].as_array().unwrap().clone();
        let event = events.iter().find(|event| event["action"] == json!("DIRECTORY_RESTORED"));
        assert_eq!(event.unwrap_or_else(|| panic!("{events:#?}"))["changes"][0]["field"], json!("backup"));
        let searched = root.data("{ searchUsers(query: \"writer ann\", first: 1) { nodes { lastName } } }", json!({})).await;
        assert_eq!(searched["searchUsers"]["nodes"][0]["lastName"], json!("Writer"));
    }

    async fn one_time_links_do_not_survive_a_restoration(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let linked = sandbox.run(&["admin", "link", "--email", ADMIN]).await;
        let token = linked.out.split_once('#').unwrap_or_else(|| panic!("{linked:?}")).1.trim().to_owned();
        let file = back_up(&sandbox, "a.tar").await;
        let other = another(&sandbox).await;
        assert_eq!(other.run(&["restore", &file]).await.code, 0);
        let activate = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success errors { code } } }";
        let input = json!({ "input": { "token": token, "password": "eleven-quiet-lanterns-drift" } });
        let server = other.serve(&[]).await;
        let used = server.caller(None).data(activate, input.clone()).await;
        assert_eq!(used["activateAccount"], json!({ "success": false, "errors": [{ "code": "EXPIRED" }] }));
        let server = sandbox.serve(&[]).await;
        assert_eq!(server.caller(None).data(activate, input).await["activateAccount"]["success"], json!(true));
    }

    async fn a_backup_is_restored_only_where_no_database_is(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = back_up(&sandbox, "a.tar").await;
        let refused = sandbox.run(&["restore", &file]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        let expected = if sandbox.is_sqlite() { "roster.db exists" } else { "only into an empty schema" };
        assert!(refused.err.contains(expected), "{refused:?}");
        let server = sandbox.serve(&[]).await;
        server.sign_in(ADMIN).await;
        let again = sandbox.run(&["backup", "a.tar"]).await;
        assert!(again.code == 1 && again.err.contains("a.tar exists"), "{again:?}");
    }

    async fn a_backup_is_refused_with_another_key(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = back_up(&sandbox, "a.tar").await;
        let other = another(&sandbox).await;
        fs::write(other.path("roster-data/roster.key"), "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\n").unwrap();
        let refused = other.run(&["restore", &file]).await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("needs the server key with the fingerprint") && refused.err.contains("--key-file"), "{refused:?}");
        fs::remove_file(other.path("roster-data/roster.key")).unwrap();
        let restored = other.run(&["restore", &file]).await;
        assert_eq!(restored.code, 0, "{restored:?}");
        assert!(restored.out.contains("Before the start, put the server key with the fingerprint"), "{restored:?}");
    }

    async fn a_backup_from_before_a_rotation_needs_the_old_key(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = back_up(&sandbox, "a.tar").await;
        fs::copy(sandbox.path("roster-data/roster.key"), sandbox.path("old.key")).unwrap();
        let rotated = sandbox.run(&["key", "rotate"]).await;
        assert_eq!(rotated.code, 0, "{rotated:?}");
        let during = back_up(&sandbox, "during.tar").await;
        let both = another(&sandbox).await;
        assert_eq!(both.run(&["restore", &during]).await.code, 0);
        both.serve(&[]).await.sign_in(ADMIN).await;
        let retired = sandbox.run(&["key", "retire", "--force"]).await;
        assert_eq!(retired.code, 0, "{retired:?}");
        let other = another(&sandbox).await;
        for file in [&file, &during] {
            let refused = other.run(&["restore", file]).await;
            assert!(refused.code == 2 && refused.err.contains("the backup needs the server key"), "{refused:?}");
        }
        fs::copy(sandbox.path("old.key"), other.path("roster-data/roster.key")).unwrap();
        let restored = other.run(&["restore", &file]).await;
        assert_eq!(restored.code, 0, "{restored:?}");
        other.serve(&[]).await.sign_in(ADMIN).await;
    }

    async fn a_backup_is_verified_in_a_temporary_place(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file = back_up(&sandbox, "a.tar").await;
        let verified = sandbox.run(&["restore", "--verify", &file]).await;
        assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{verified:?}");
        assert!(verified.out.contains("Backup of 1 user and the audit trail up to event 2"), "{verified:?}");
        if sandbox.is_sqlite() {
            for check in ["integrity of the database file", "foreign keys", "counts", "audit trail of 2 events", SIGN_IN] {
                assert!(verified.out.contains(check), "{check}: {verified:?}");
            }
            let without_key = sandbox.run(&["restore", "--verify", "--key-file", "none", &file]).await;
            assert!(without_key.code == 0 && !without_key.out.contains(SIGN_IN), "{without_key:?}");
            assert!(without_key.out.contains("not checked  sign-in: it needs the server key with the fingerprint"), "{without_key:?}");
        } else {
            assert!(verified.out.contains("not checked  rows, counts and the audit trail"), "{verified:?}");
            let scratch = postgres::server().unwrap().fresh_database().await;
            let mut command = sandbox.command(&["restore", "--verify", &file]);
            let mut process = sandbox.start(command.env("ROSTER_SCRATCH_URL", &scratch), "");
            assert_eq!(process.code().await, 0, "{}", process.err());
            assert!(process.out().contains("audit trail of 2 events") && process.out().contains(SIGN_IN), "{}", process.out());
            assert!(!process.out().contains("not checked"), "{}", process.out());
            let full = sandbox.run(&["restore", "--verify", "--scratch-url", &scratch, &file]).await;
            assert!(full.code == 1 && full.err.contains("empty schema"), "{full:?}");
        }
    }
}
