//! Several hosts of PostgreSQL in the URL: the one that accepts writes is used, also after the promotion of a standby.

use std::time::Duration;

use futures_util::future::join_all;
use roster::db::Db;
use roster::entity::user;
use roster::error::Error;
use sea_orm::{ConnectionTrait as _, Database, EntityTrait as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::database;
use crate::postgres::{self, Postgres};
use crate::process::{ADMIN, Caller, Sandbox, env_or, until};
use crate::wire::RawClient;

/// What a server that is killed may forget only if its machine fails as well.
const UNSAFE_WITHOUT_POWER: &str = "\nfsync = off\n";
/// The number of promotions under load; `ROSTER_TEST_PROMOTIONS` overrides it.
const PROMOTIONS: usize = 1;
const WRITERS: usize = 8;
/// The number of users that each round creates before and after the promotion.
const USERS: usize = 100;
/// The pause of a writer after a failure.
const PAUSE: Duration = Duration::from_millis(20);

const CREATE: &str = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";

/// Creates a user. Returns whether that was acknowledged.
async fn create(caller: &Caller, name: &str) -> bool {
    let input = json!({ "firstName": "Ann", "lastName": "Lee", "username": name });
    let response = caller.try_execute(CREATE, &json!({ "input": input })).await;
    response.is_some_and(|response| response["data"]["createUser"]["success"] == true)
}

/// Tries to create users until one is created, and returns the name.
async fn create_one(caller: &Caller, prefix: &str) -> String {
    let mut attempts = 0;
    let created = until(|| {
        attempts += 1;
        let name = format!("{prefix}{attempts}");
        async move { create(caller, &name).await.then_some(name) }
    });
    created.await.expect("writes succeed again")
}

/// The URL of the database `roster` on servers, of which the last one may be the primary.
fn url_of(servers: [&Postgres; 2]) -> String {
    let [one, other] = servers.map(Postgres::port);
    format!("postgres://roster@127.0.0.1:{one},127.0.0.1:{other}/roster?target_session_attrs=read-write")
}

/// Runs a statement on a server.
pub async fn on_server(server: &Postgres, statement: &str) {
    let admin = Database::connect(server.admin_url()).await.unwrap();
    admin.execute_unprepared(statement).await.unwrap();
    admin.close().await.unwrap();
}

/// Starts a server with an empty database, and a standby. None if PostgreSQL is not installed.
pub async fn primary_and_standby() -> Option<(Postgres, Postgres)> {
    postgres::server()?;
    let primary = Postgres::start_with(UNSAFE_WITHOUT_POWER).unwrap();
    on_server(&primary, "CREATE DATABASE roster").await;
    let standby = primary.start_standby(None).unwrap();
    Some((primary, standby))
}

/// Has a server acknowledge commits only when its standby has them.
async fn replicate_synchronously(primary: &Postgres) {
    on_server(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    on_server(primary, "SELECT pg_reload_conf()").await;
    let admin = Database::connect(primary.admin_url()).await.unwrap();
    let is_synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
    let statement = || sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Postgres, is_synchronous);
    until(|| async { admin.query_one_raw(statement()).await.unwrap() }).await.expect("a synchronous standby");
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_follows_the_promotion_of_a_standby_without_a_restart() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    replicate_synchronously(&primary).await;
    // The standby is the first host, and is passed over.
    let sandbox = Sandbox::on_database(url_of([&standby, &primary])).with_admin().await;
    let server = sandbox.serve(&[]).await;
    let root = server.sign_in(ADMIN).await;
    assert!(create(&root, "before").await, "{}", server.err());
    let client = RawClient(server.address().parse().unwrap());
    assert_eq!(client.get("/health/ready").await.status, 200);

    primary.stop().unwrap();
    let headers = format!("Authorization: Bearer {}\r\n", root.token.as_ref().unwrap());
    let refused = client.post(&headers, br#"{"query":"{ viewer { id } }"}"#).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"));
    assert!(refused.header("retry-after").is_some());
    let login = r#"mutation { login(input: { login: "nobody@example.org", password: "wrong" }) { success } }"#;
    let failed = client.query(login).await;
    assert_eq!((failed.status, failed.code().as_str()), (200, "UNAVAILABLE"));
    assert!(failed.header("retry-after").is_none() && failed.json().get("data").is_some(), "{failed:?}");
    assert_eq!((client.get("/health/ready").await.status, client.get("/health/live").await.status), (503, 200));

    standby.promote().unwrap();
    let after = create_one(&root, "after").await;
    root.data("{ users { totalCount } auditEvents(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!(client.get("/health/ready").await.status, 200);
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    let names: Vec<&str> = users.iter().filter_map(|user| user.username.as_deref()).collect();
    assert!(names.contains(&"before") && names.contains(&after.as_str()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_use_read_only_sessions_and_recovers_from_them() {
    let Some(postgres) = postgres::server() else { return };
    let url = postgres.fresh_database().await;
    let name = url.rsplit('/').next().unwrap();
    let sandbox = Sandbox::on_database(format!("{url}?target_session_attrs=read-write")).with_admin().await;
    let server = sandbox.serve(&[]).await;
    let root = server.sign_in(ADMIN).await;
    let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname";
    on_server(postgres, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    on_server(postgres, &format!("{terminate} = '{name}'")).await;
    let client = RawClient(server.address().parse().unwrap());
    until(|| async { (client.get("/health/ready").await.status == 503).then_some(()) }).await.expect("not ready");
    assert!(!create(&root, "meanwhile").await);
    on_server(postgres, &format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    create_one(&root, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stays_with_the_primary_while_another_host_accepts_writes() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    let sandbox = Sandbox::on_database(url_of([&standby, &primary])).with_admin().await;
    let server = sandbox.serve(&[]).await;
    let root = server.sign_in(ADMIN).await;
    standby.promote().unwrap();
    let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'roster'";
    on_server(&primary, terminate).await;
    server.wait_for_log("connecting to the database anew").await;
    let name = create_one(&root, "after").await;
    let url = format!("postgres://roster@127.0.0.1:{}/roster", primary.port());
    let db = Db::connect(&database(url, 1)).await.unwrap();
    let users = user::Entity::find().all(db.read()).await.unwrap();
    assert!(users.iter().any(|user| user.username.as_ref() == Some(&name)), "{}", server.err());
}

#[tokio::test]
async fn what_connection_poolers_and_closed_sessions_report_is_temporary() {
    let Some(postgres) = postgres::server() else { return };
    let db = Db::connect(&database(postgres.fresh_database().await, 1)).await.unwrap();
    for code in ["08P01", "08006", "25006", "25P03", "57P01", "57P05"] {
        let transaction = db.begin().await.unwrap();
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = '{code}'; END $$");
        let error = Error::from(transaction.execute_unprepared(&raise).await.unwrap_err());
        assert!(matches!(error, Error::Unavailable(_)), "{code}: {error:?}");
    }
}

/// Creates users until told to stop, and returns the names of those that were acknowledged.
async fn write(caller: Caller, name: String, stop: watch::Receiver<bool>, count: watch::Sender<usize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if *stop.borrow() {
            break;
        }
        let name = format!("{name}-{number}");
        if create(&caller, &name).await {
            acknowledged.push(name);
            count.send_modify(|count| *count += 1);
        } else {
            sleep(PAUSE).await;
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_standbys_are_promoted_under_load() {
    let Some((mut primary, mut standby)) = primary_and_standby().await else { return };
    let sandbox = Sandbox::on_database(url_of([&primary, &standby])).with_admin().await;
    let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
    let root = one.sign_in(ADMIN).await;
    let other = two.caller(root.token.as_deref());
    let (stop, stopped) = watch::channel(false);
    let (count, mut counted) = watch::channel(0);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let caller = if n.is_multiple_of(2) { root.clone() } else { other.clone() };
            tokio::spawn(write(caller, format!("writer{n}"), stopped.clone(), count.clone()))
        })
        .collect();
    for _ in 0..env_or("ROSTER_TEST_PROMOTIONS", PROMOTIONS) {
        replicate_synchronously(&primary).await;
        let enough = *counted.borrow_and_update() + USERS;
        counted.wait_for(|count| *count >= enough).await.unwrap();
        let port = primary.port();
        primary.stop().unwrap();
        standby.promote().unwrap();
        let next = standby.start_standby(Some(port)).unwrap();
        (primary, standby) = (standby, next);
        replicate_synchronously(&primary).await;
        let enough = *counted.borrow_and_update() + USERS;
        counted.wait_for(|count| *count >= enough).await.unwrap();
    }
    stop.send_replace(true);
    let acknowledged: Vec<String> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    let names: Vec<&str> = users.iter().filter_map(|user| user.username.as_deref()).collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !names.contains(&name.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    let verified = sandbox.run(&["audit", "verify"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
}
