//! `PgBouncer` between Roster and PostgreSQL.

use futures_util::future::join_all;
use roster::db::Db;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use serde_json::{Value, json};

use crate::app::database;
use crate::doctor::findings;
use crate::postgres::{self, Pooler};
use crate::process::{ADMIN, Caller, Sandbox, until};
use crate::programs::is_installed;
use crate::sse::EventStream;

/// Fewer than the servers would open, so that in transaction mode they take turns with the same connections.
const SHARED_CONNECTIONS: usize = 3;
/// Enough for each connection of the servers to have its own.
const SESSIONS: usize = 60;
const USERS: usize = 40;

/// Starts `PgBouncer` and creates a database. None if it or PostgreSQL is not installed.
async fn behind_pooler(mode: &str, connections: usize) -> Option<(Pooler, String)> {
    let server = postgres::server()?;
    if !is_installed("pgbouncer", &["--version"]) {
        return None;
    }
    let pooler = Pooler::start(server, mode, connections).unwrap();
    let url = pooler.url(&server.fresh_database().await);
    Some((pooler, url))
}

/// Creates users on two servers at once, each of whom joins a group and is renamed.
async fn create_users(callers: [&Caller; 2], group: &Value) {
    let all = (0..USERS).map(|n| async move {
        let (one, other) = (callers[n % 2], callers[(n + 1) % 2]);
        let input = json!({ "firstName": "Ann", "lastName": format!("Quill{n}"), "username": format!("ann{n}") });
        let user = one.mutate("createUser", "user { id }", input).await["user"]["id"].clone();
        let member = json!({ "groupId": group, "userId": user, "role": "MEMBER" });
        other.mutate("setGroupMember", "", member).await;
        one.mutate("updateUser", "", json!({ "id": user, "nickname": format!("Annie {n}") })).await;
    });
    join_all(all).await;
}

/// Uses two servers as front ends do every day.
async fn use_every_day(sandbox: Sandbox) {
    let sandbox = sandbox.with_admin().await;
    let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
    let root = one.sign_in(ADMIN).await;
    let other = two.caller(root.token.as_deref());
    let follow = json!({ "query": "subscription { changes(types: [GROUP]) { nodeId kind } }" });
    let mut stream = EventStream::open(&two.url("/graphql"), root.token.as_deref(), &follow, None).await;
    stream.begin().await;
    let group = root.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
    assert_eq!(stream.next().await.1, json!({ "changes": { "nodeId": group, "kind": "CREATED" } }));

    create_users([&root, &other], &group).await;
    for caller in [&root, &other] {
        let data = caller.data("{ users { totalCount } groups { nodes { members { totalCount } } } }", json!({})).await;
        assert_eq!(data["users"]["totalCount"], json!(USERS + 1));
        assert_eq!(data["groups"]["nodes"], json!([{ "members": { "totalCount": USERS + 1 } }]));
        let found = || caller.data("{ searchUsers(query: \"quill7\", first: 1) { nodes { nickname } } }", json!({}));
        let expected = json!([{ "nickname": "Annie 7" }]);
        until(|| async { (found().await["searchUsers"]["nodes"] == expected).then_some(()) }).await.expect("a user");
        caller.data("{ auditEvents(first: 50) { totalCount nodes { id action } } }", json!({})).await;
    }
    // A server that starts later loads the search index from one snapshot.
    let three = sandbox.serve(&[]).await;
    let late = three.caller(root.token.as_deref());
    let data = late.data("{ searchUsers(query: \"ann\") { totalCount } }", json!({})).await;
    assert_eq!(data["searchUsers"]["totalCount"], json!(USERS));
    for command in [&["audit", "verify"][..], &["export", "--output", "users.ndjson"]] {
        let done = sandbox.run(command).await;
        assert_eq!(done.code, 0, "{command:?}: {}{}", done.out, done.err);
    }
    let doctor = sandbox.run(&["doctor"]).await;
    assert_eq!(findings(&doctor), [""; 0], "{doctor:?}");
    let backup = sandbox.run(&["backup", "roster.backup"]).await;
    assert!(backup.code == 1 && backup.err.contains("use the URL of the database itself"), "{backup:?}");
}

/// The value of a setting in a transaction, or in a statement that only reads.
async fn setting(connection: &impl ConnectionTrait, name: &str) -> String {
    let statement = Statement::from_string(DatabaseBackend::Postgres, format!("SELECT current_setting('{name}')"));
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn check_settings(url: String) {
    let mut settings = database(url, 4);
    settings.timeouts.statement = std::time::Duration::from_secs(7);
    let db = Db::open(&settings).await.unwrap();
    for _ in 0..2 * SHARED_CONNECTIONS {
        let (transaction, snapshot) = (db.begin().await.unwrap(), db.snapshot().await.unwrap());
        assert_eq!(setting(&transaction, "statement_timeout").await, "7s");
        assert_eq!(setting(&transaction, "transaction_isolation").await, "read committed");
        assert_eq!(setting(&snapshot, "statement_timeout").await, "7s");
        assert_eq!(setting(&snapshot, "transaction_isolation").await, "repeatable read");
        assert_eq!(setting(&snapshot, "transaction_read_only").await, "on");
        snapshot.rollback().await.unwrap();
        transaction.rollback().await.unwrap();
        for connection in
            [setting(db.read(), "statement_timeout").await, setting(db.write(), "statement_timeout").await]
        {
            assert_eq!(connection, "7s");
        }
    }
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_share_connections_in_transaction_mode() {
    let Some((_pooler, url)) = behind_pooler("transaction", SHARED_CONNECTIONS).await else { return };
    use_every_day(Sandbox::on_database(url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_have_connections_of_their_own_in_session_mode() {
    let Some((_pooler, url)) = behind_pooler("session", SESSIONS).await else { return };
    use_every_day(Sandbox::on_database(url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_the_database_through_a_pooler() {
    for (mode, connections) in [("transaction", SHARED_CONNECTIONS), ("session", SESSIONS)] {
        let Some((_pooler, url)) = behind_pooler(mode, connections).await else { return };
        check_settings(url).await;
    }
}

#[tokio::test]
async fn a_pooler_that_the_url_does_not_mention_is_reported() {
    let Some((_pooler, url)) = behind_pooler("transaction", SHARED_CONNECTIONS).await else { return };
    let sandbox = Sandbox::on_database(url.replace("?pooler=transaction", ""));
    let failed = sandbox.run(&["migrate"]).await;
    assert!(failed.code == 1 && failed.err.contains("pooler=session or pooler=transaction"), "{failed:?}");
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_that_the_url_takes_for_session_mode_is_reported() {
    let Some((_pooler, url)) = behind_pooler("transaction", SHARED_CONNECTIONS).await else { return };
    let sandbox = Sandbox::on_database(url.replace("pooler=transaction", "pooler=session"));
    let failed = sandbox.run(&["migrate"]).await;
    assert!(failed.code == 1 && failed.err.contains("set pooler=transaction in the URL"), "{failed:?}");
}
