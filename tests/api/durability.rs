//! Acknowledged writes are durable and complete, however the server ends.

#[cfg(target_os = "linux")]
mod power_cuts;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roster::scalar::Id;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Caller, Process, Sandbox, until};

const ROUNDS: usize = 5;
/// The administrators who write: the server takes only a few inputs with logins of one user at once.
const ADMINS: usize = 4;
/// Enough for several to wait for their turn to write.
const WRITERS: usize = 16;
/// The number of acknowledged writes in a round before the server is killed.
const WRITES: usize = 60;

/// An acknowledged write.
enum Done {
    User { id: String, email: String, has_password: bool },
    Group { id: String },
}

/// Creates the administrators who write.
async fn create_admins(server: &Process) {
    let root = server.sign_in(ADMIN).await;
    for number in 0..ADMINS {
        let input = json!({ "firstName": "Ann", "lastName": "Admin", "username": format!("admin{number}"), "role": "LICENSE_ADMIN", "password": PASSWORD });
        let query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";
        let created = root.data(query, json!({ "input": input })).await;
        assert_eq!(created["createUser"]["success"], json!(true), "{created:#}");
    }
}

/// Creates users and groups until the server is gone.
async fn write(caller: Caller, writer: usize, count: Arc<AtomicUsize>) -> Vec<Done> {
    const PERSON: &str = "mutation ($input: CreateUserInput!) { done: createUser(input: $input) { success errors { message } thing: user { id } } }";
    const GROUP: &str = "mutation ($input: CreateGroupInput!) { done: createGroup(input: $input) { success errors { message } thing: group { id } } }";
    let mut done = Vec::new();
    for turn in writer.. {
        let email = format!("{}@example.org", Id::new().0);
        // Administrators own the groups they create, and a user belongs to at most 200 groups.
        let (is_group, has_password) = (turn % 17 == 0, turn % 5 == 0);
        let response = if is_group {
            caller.try_execute(GROUP, &json!({ "input": { "name": email } })).await
        } else {
            let mut input = json!({ "firstName": "Ann", "lastName": "Writer", "email": email });
            if has_password {
                input["password"] = PASSWORD.into();
            }
            caller.try_execute(PERSON, &json!({ "input": input })).await
        };
        let Some(response) = response else { break };
        let payload = &response["data"]["done"];
        assert_eq!(payload["success"], json!(true), "{response:#}");
        let id = payload["thing"]["id"].as_str().unwrap().to_owned();
        done.push(if is_group { Done::Group { id } } else { Done::User { id, email, has_password } });
        count.fetch_add(1, Ordering::Relaxed);
    }
    done
}

/// Rows without the rows that belong to them.
async fn incomplete_rows(sandbox: &Sandbox) -> Vec<String> {
    let db = sandbox.db().await;
    let backend = if sandbox.is_sqlite() { DatabaseBackend::Sqlite } else { DatabaseBackend::Postgres };
    let mut halves = Vec::new();
    let mut statements = vec![
        "SELECT email FROM users WHERE has_activated AND id NOT IN (SELECT user_id FROM credentials)",
        "SELECT email FROM users WHERE NOT has_activated AND id IN (SELECT user_id FROM credentials)",
        "SELECT name FROM groups WHERE id NOT IN (SELECT group_id FROM memberships WHERE role = 'OWNER')",
    ];
    if sandbox.is_sqlite() {
        statements.push("SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'");
        statements.push("SELECT \"table\" FROM pragma_foreign_key_check");
    }
    statements.push(if sandbox.is_sqlite() {
        "SELECT email FROM users WHERE id NOT IN (SELECT subject_id FROM audit_events)"
    } else {
        "SELECT email FROM users WHERE id NOT IN (SELECT subject_id FROM audit_events UNION SELECT subject_id FROM audit_inbox)"
    });
    for sql in statements {
        let rows = db.write().query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        halves.extend(rows.iter().map(|row| format!("{sql}: {}", row.try_get_by_index::<String>(0).unwrap())));
    }
    db.close().await.unwrap();
    halves
}

async fn ids_of(caller: &Caller, connection: &str, ids: &[&str]) -> HashSet<String> {
    let mut found = HashSet::new();
    for ids in ids.chunks(100) {
        let query = format!("query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {connection} {{ id }} }} }}");
        let data = caller.data(&query, json!({ "ids": ids })).await;
        found
            .extend(data["nodes"].as_array().unwrap().iter().filter_map(|node| node["id"].as_str().map(str::to_owned)));
    }
    found
}

in_every_sandbox! {
    async fn no_acknowledged_write_is_lost_when_the_server_is_killed(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let mut acknowledged = Vec::new();
        for round in 0..ROUNDS {
            let mut server = sandbox.serve(&[]).await;
            if round == 0 {
                create_admins(&server).await;
            }
            let mut admins = Vec::new();
            for number in 0..ADMINS {
                admins.push(server.sign_in(&format!("admin{number}")).await);
            }
            let count = Arc::new(AtomicUsize::new(0));
            // Each writer has its own connection, as clients have.
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let caller = server.caller(admins[writer % ADMINS].token.as_deref());
                    tokio::spawn(write(caller, writer * 31 + round, Arc::clone(&count)))
                })
                .collect();
            until(|| async { (count.load(Ordering::Relaxed) >= WRITES).then_some(()) }).await.expect("enough writes are acknowledged");
            server.signal("KILL");
            assert_eq!(server.status().await.code(), None, "the server was killed");
            let log = server.err();
            assert!(!log.contains("ERROR") && !log.contains("locked"), "{log}");
            for writer in writers {
                acknowledged.extend(writer.await.unwrap());
            }
            assert_eq!(incomplete_rows(&sandbox).await, [""; 0], "round {round}");
        }
        assert!(acknowledged.len() >= ROUNDS * WRITES);

        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let users: Vec<&str> = acknowledged.iter().filter_map(|done| match done { Done::User { id, .. } => Some(id.as_str()), Done::Group { .. } => None }).collect();
        let groups: Vec<&str> = acknowledged.iter().filter_map(|done| match done { Done::Group { id } => Some(id.as_str()), Done::User { .. } => None }).collect();
        assert!(!groups.is_empty());
        let found = ids_of(&root, "User", &users).await;
        let lost: Vec<_> = users.iter().filter(|id| !found.contains(**id)).collect();
        assert!(lost.is_empty(), "{} of {} users are lost", lost.len(), users.len());
        let found = ids_of(&root, "Group", &groups).await;
        assert!(groups.iter().all(|id| found.contains(*id)), "groups are lost");
        let mut signed_in = 0;
        for done in &acknowledged {
            if let Done::User { email, has_password: true, id } = done && signed_in < 5 {
                let response = server.login(email, PASSWORD).await;
                assert_eq!(response["user"], json!({ "id": id, "hasActivated": true }), "{response:#}");
                signed_in += 1;
            }
        }
        assert_eq!(signed_in, 5);
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
        let searched = root.data("{ searchUsers(query: \"writer ann\", first: 100) { nodes { id } } }", json!({})).await;
        assert_eq!(searched["searchUsers"]["nodes"].as_array().map(Vec::len), Some(100));
        assert_eq!(Value::Null, root.data("{ user(by: { email: \"nobody@example.org\" }) { id } }", json!({})).await["user"]);
    }

    async fn an_import_completes_after_it_was_killed(sandbox: Sandbox) {
        let users: String = (0..4_000)
            .map(|number| json!({ "user": { "firstName": "A", "lastName": "B", "email": format!("p{number}@example.org") } }).to_string() + "\n")
            .collect();
        std::fs::write(sandbox.path("people.ndjson"), users).unwrap();
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let db = sandbox.db().await;
        let backend = if sandbox.is_sqlite() { DatabaseBackend::Sqlite } else { DatabaseBackend::Postgres };
        let count = async || -> i64 {
            let statement = Statement::from_string(backend, "SELECT count(*) FROM users");
            db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
        };
        let mut import = sandbox.start(&mut sandbox.command(&["import", "people.ndjson"]), "");
        until(|| async { (count().await > 0).then_some(()) }).await.expect("the import creates users");
        import.signal("KILL");
        import.status().await;
        let again = sandbox.run(&["import", "people.ndjson"]).await;
        assert_eq!(again.code, 0, "{again:?}");
        assert_eq!(count().await, 4_000);
        let again = sandbox.run(&["import", "people.ndjson"]).await;
        assert_eq!(again.out.trim(), "0 were created, 0 changed, 4000 unchanged.");
    }
}
