//! The search index file: a server starts with it, and it has nobody who was erased.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Caller, Process, Sandbox, mode, until};

const WITH_FILE: [&str; 2] = ["--search-index-file", "always"];

fn path(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("roster-data/roster.search-index")
}

/// Whether the file has a text. False if there is no file.
fn contains(sandbox: &Sandbox, text: &str) -> bool {
    has(&fs::read(path(sandbox)).unwrap_or_default(), text)
}

fn has(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Starts a server that keeps the file, and waits until its index is loaded.
async fn start(sandbox: &Sandbox) -> Process {
    let server = sandbox.serve(&WITH_FILE).await;
    server.wait_for_log("loaded the search index").await;
    server
}

async fn wait_for_file(sandbox: &Sandbox) {
    assert!(until(|| async { path(sandbox).exists().then_some(()) }).await.is_some(), "the file is not written");
}

async fn wait_for_removal(sandbox: &Sandbox) {
    assert!(until(|| async { (!path(sandbox).exists()).then_some(()) }).await.is_some(), "the file is not removed");
}

async fn stop(mut server: Process) {
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
}

/// Starts a server that writes the file, and stops it.
async fn write_file(sandbox: &Sandbox) {
    let server = start(sandbox).await;
    wait_for_file(sandbox).await;
    stop(server).await;
}

/// The source of the users, by the log.
fn source(server: &Process) -> String {
    let log = server.err();
    let line = log.lines().find(|line| line.contains("loaded the search index")).unwrap();
    line.split("source=\"").nth(1).unwrap_or_else(|| panic!("{line}")).split('"').next().unwrap().to_owned()
}

/// Creates another administrator, in a process of its own.
async fn create_admin(sandbox: &Sandbox, last_name: &str) {
    let email = format!("{}@example.org", last_name.to_lowercase());
    let arguments =
        ["admin", "create", "--password-stdin", "--email", &email, "--first-name", "Otto", "--last-name", last_name];
    let output = sandbox.run_with(&arguments, PASSWORD).await;
    assert_eq!(output.code, 0, "{}", output.err);
}

async fn found(caller: &Caller, query: &str) -> Vec<Value> {
    let document = "query ($query: String!) { searchUsers(query: $query) { nodes { id } } }";
    let data = caller.data(document, json!({ "query": query })).await;
    data["searchUsers"]["nodes"].as_array().unwrap().iter().map(|user| user["id"].clone()).collect()
}

/// Erases the only user who is found.
async fn erase(caller: &Caller, query: &str) {
    let ids = found(caller, query).await;
    assert_eq!(ids.len(), 1, "{query}");
    caller.mutate("deleteUser", "", json!({ "id": ids[0] })).await;
}

in_every_sandbox! {
    async fn a_server_starts_with_the_users_of_the_file_and_the_changes_since(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let first = start(&sandbox).await;
        assert_eq!(source(&first), "database");
        wait_for_file(&sandbox).await;
        stop(first).await;
        assert_eq!(mode(&path(&sandbox)), 0o600);
        create_admin(&sandbox, "Vexmor").await;
        let second = start(&sandbox).await;
        assert_eq!(source(&second), "file", "{}", second.err());
        let root = second.sign_in(ADMIN).await;
        assert_eq!(found(&root, "vexmor").await.len(), 1);
        assert_eq!(found(&root, "alder").await.len(), 1);
        root.mutate("updateUser", "", json!({ "id": found(&root, "vexmor").await[0], "lastName": "Tarvex" })).await;
        assert_eq!((found(&root, "vexmor").await.len(), found(&root, "tarvex").await.len()), (1, 1), "the address is the old one");
    }

    async fn the_file_is_removed_before_an_erasure_is_acknowledged(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        create_admin(&sandbox, "Vexmor").await;
        let server = start(&sandbox).await;
        wait_for_file(&sandbox).await;
        erase(&server.sign_in(ADMIN).await, "vexmor").await;
        assert!(!contains(&sandbox, "vexmor"));
        stop(server).await;
        assert!(!contains(&sandbox, "vexmor"));
    }

    async fn a_file_from_before_an_erasure_is_not_used(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        create_admin(&sandbox, "Vexmor").await;
        write_file(&sandbox).await;
        assert!(contains(&sandbox, "vexmor"));
        let before = fs::read(path(&sandbox)).unwrap();
        let server = start(&sandbox).await;
        erase(&server.sign_in(ADMIN).await, "vexmor").await;
        stop(server).await;
        fs::write(path(&sandbox), before).unwrap();
        let server = start(&sandbox).await;
        assert_eq!(source(&server), "database");
        assert!(server.err().contains("a user was erased since it was written"), "{}", server.err());
        wait_for_file(&sandbox).await;
        assert!(!contains(&sandbox, "vexmor"));
    }

    async fn the_file_is_removed_when_another_process_erases_a_user(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        create_admin(&sandbox, "Vexmor").await;
        let server = start(&sandbox).await;
        wait_for_file(&sandbox).await;
        let database = format!("sqlite://{}", sandbox.path("roster-data/roster.db").display());
        let own_directory = ["--data-dir", "other", "--key-file", "roster-data/roster.key"];
        let of_sqlite = ["--database-url", &database];
        let arguments = if sandbox.is_sqlite() { [&own_directory[..], &of_sqlite].concat() } else { own_directory.to_vec() };
        let other = sandbox.serve(&arguments).await;
        erase(&other.sign_in(ADMIN).await, "vexmor").await;
        wait_for_removal(&sandbox).await;
        stop(server).await;
        assert!(!contains(&sandbox, "vexmor"));
    }

    async fn the_file_of_another_database_is_not_used(sandbox: Sandbox) {
        let (sandbox, other) = (sandbox.with_admin().await, Sandbox::on_sqlite().with_admin().await);
        create_admin(&other, "Vexmor").await;
        write_file(&other).await;
        // More events than the other database has.
        for last_name in ["Alma", "Berta", "Clara", "Dora"] {
            create_admin(&sandbox, last_name).await;
        }
        fs::copy(path(&other), path(&sandbox)).unwrap();
        let server = start(&sandbox).await;
        assert_eq!(source(&server), "database");
        assert!(server.err().contains("its last audit event is not in the database"), "{}", server.err());
        let root = server.sign_in(ADMIN).await;
        assert_eq!((found(&root, "vexmor").await.len(), found(&root, "clara").await.len()), (0, 1));
    }

    async fn a_damaged_file_is_replaced(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        write_file(&sandbox).await;
        let whole = fs::read(path(&sandbox)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() / 3], &flipped[..], &[][..]] {
            fs::write(path(&sandbox), damaged).unwrap();
            let server = start(&sandbox).await;
            assert_eq!(source(&server), "database");
            assert!(server.err().contains("the search index file cannot be used"), "{}", server.err());
            assert_eq!(found(&server.sign_in(ADMIN).await, "alder").await.len(), 1);
            wait_for_file(&sandbox).await;
            stop(server).await;
        }
    }

    async fn a_backup_does_not_have_the_file(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        write_file(&sandbox).await;
        let output = sandbox.run(&["backup", "a.tar"]).await;
        assert_eq!(output.code, 0, "{output:?}");
        let backup = fs::read(sandbox.path("a.tar")).unwrap();
        assert!(has(&backup, "manifest.json") && !has(&backup, "roster.search-index"));
    }

    async fn a_small_directory_has_no_file_by_default(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        write_file(&sandbox).await;
        let server = sandbox.serve(&[]).await;
        server.wait_for_log("loaded the search index").await;
        assert_eq!(source(&server), "database");
        stop(server).await;
        assert!(!path(&sandbox).exists());
    }

    async fn the_file_is_removed_if_it_is_turned_off(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        write_file(&sandbox).await;
        let server = sandbox.serve(&["--search-index-file", "off"]).await;
        assert!(!path(&sandbox).exists());
        server.wait_for_log("loaded the search index").await;
        stop(server).await;
        assert!(!path(&sandbox).exists());
    }
}
