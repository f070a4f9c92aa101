//! Queries that are read from a standby of PostgreSQL: never with anything stale, and never with an error of the standby.

use std::time::Duration;

use futures_util::future::join;
use roster::budget::{Budget, Limit};
use roster::db::Db;
use roster::scalar::Id;
use roster::share::Requester;
use sea_orm::{ConnectionTrait as _, Database, DatabaseBackend, Statement};
use serde_json::{Value, json};

use crate::app::{PASSWORD, database};
use crate::doctor::findings;
use crate::hosts::{on_server, primary_and_standby};
use crate::metrics::{MEASURED, scrape};
use crate::postgres::{self, Postgres};
use crate::process::{ADMIN, Caller, Process, Sandbox, until};

const LIST: &str = "{ users(first: 100) { totalCount nodes { username } } }";
const WITH_INACTIVE: &str = "{ users(first: 100, includeInactive: true) { totalCount } }";
/// Returns a row on a standby only.
const IN_RECOVERY: &str = "SELECT 1 WHERE pg_is_in_recovery()";
const ATTRIBUTES: &str = "{ users(first: 100) { nodes { username attributes { name value } } } }";

/// A primary with a standby, and a server that reads from it.
struct Replicated {
    _primary: Postgres,
    standby: Postgres,
    sandbox: Sandbox,
    server: Process,
    root: Caller,
}

impl Replicated {
    /// Starts all of it. None if PostgreSQL is not installed.
    async fn start() -> Option<Self> {
        let (primary, standby) = primary_and_standby().await?;
        Some(Self::of(primary, standby).await)
    }

    async fn of(primary: Postgres, standby: Postgres) -> Self {
        let sandbox = Sandbox::on_database(url_of(&primary)).with_admin().await;
        let server = sandbox.serve(&[&MEASURED[..], &["--read-url", &url_of(&standby)]].concat()).await;
        let root = server.sign_in(ADMIN).await;
        let replicated = Self { _primary: primary, standby, sandbox, server, root };
        replicated.until_counted("read").await;
        replicated
    }

    /// The number of queries with an outcome.
    async fn count(&self, outcome: &str) -> f64 {
        scrape(&self.server).await.value("roster_standby_queries_total", &[("outcome", outcome)])
    }

    /// Lists the users until one more list has an outcome. Every list succeeds.
    async fn until_counted(&self, outcome: &str) {
        let before = self.count(outcome).await;
        let counted = until(|| async {
            self.root.data(LIST, json!({})).await;
            (self.count(outcome).await > before).then_some(())
        });
        assert!(counted.await.is_some(), "no query is {outcome}: {}", self.server.err());
    }

    /// Keeps the standby from replaying anything.
    async fn pause(&self) {
        on_server(&self.standby, "SELECT pg_wal_replay_pause()").await;
        let is_paused = "SELECT 1 FROM pg_get_wal_replay_pause_state() AS state WHERE state = 'paused'";
        until(|| async { row_of(&self.standby, "postgres", is_paused).await.then_some(()) }).await.expect("a pause");
    }

    async fn resume(&self) {
        on_server(&self.standby, "SELECT pg_wal_replay_resume()").await;
    }
}

fn url_of(server: &Postgres) -> String {
    format!("postgres://roster@127.0.0.1:{}/roster", server.port())
}

/// Whether a statement on a database of a server returns a row.
async fn row_of(server: &Postgres, name: &str, statement: &str) -> bool {
    let url = format!("postgres://roster@127.0.0.1:{}/{name}", server.port());
    let connection = Database::connect(url).await.unwrap();
    let row = connection.query_one_raw(of_text(statement)).await.unwrap();
    connection.close().await.unwrap();
    row.is_some()
}

fn of_text(statement: &str) -> Statement {
    Statement::from_string(DatabaseBackend::Postgres, statement)
}

/// Whether a handle reads from the standby.
async fn is_on_standby(db: &Db) -> bool {
    db.read().query_one_raw(of_text(IN_RECOVERY)).await.unwrap().is_some()
}

/// The handle of a request that reads from the standby.
async fn on_standby(handle: impl Fn() -> Db) -> Db {
    let admitted = until(|| async {
        let db = handle().on_standby().await;
        is_on_standby(&db).await.then_some(db)
    });
    admitted.await.expect("a request that reads from the standby")
}

/// Creates a user, and returns their ID.
async fn create(caller: &Caller, username: &str, role: &str) -> Value {
    let input =
        json!({ "firstName": "Ann", "lastName": "Lee", "username": username, "role": role, "password": PASSWORD });
    caller.mutate("createUser", "user { id }", input).await["user"]["id"].clone()
}

/// The usernames that a list shows.
async fn usernames(caller: &Caller) -> Vec<String> {
    let data = caller.data(LIST, json!({})).await;
    let nodes = data["users"]["nodes"].as_array().unwrap();
    assert_eq!(data["users"]["totalCount"], json!(nodes.len()));
    nodes.iter().filter_map(|node| node["username"].as_str().map(str::to_owned)).collect()
}

/// The code of the first error of a query.
async fn code(caller: &Caller, query: &str) -> Value {
    caller.try_execute(query, &json!({})).await.unwrap()["errors"][0]["extensions"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_from_a_standby_that_has_everything() {
    let Some(replicated) = Replicated::start().await else { return };
    let read_there = r#"SELECT 1 FROM pg_stat_activity
        WHERE application_name = 'roster' AND datname = 'roster' AND query ~ '"(users|list_totals)"'"#;
    assert!(row_of(&replicated.standby, "postgres", read_there).await, "{}", replicated.server.err());
    let before = replicated.count("read").await;
    replicated.root.data("{ viewer { id } }", json!({})).await;
    replicated.root.data("{ viewer { id } users { totalCount } }", json!({})).await;
    replicated.root.data("{ auditEvents(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!(code(&replicated.server.caller(None), LIST).await, json!("UNAUTHENTICATED"));
    assert!((replicated.count("read").await - before).abs() < f64::EPSILON, "only the directory is read there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_in_the_next_list_of_every_instance() {
    let Some(replicated) = Replicated::start().await else { return };
    let other = replicated.sandbox.serve(&["--read-url", &url_of(&replicated.standby)]).await;
    let there = other.caller(replicated.root.token.as_deref());
    for round in 0..20 {
        let name = format!("ann{round}");
        create(&replicated.root, &name, "USER").await;
        for caller in [&there, &replicated.root] {
            let names = usernames(caller).await;
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_behind_is_not_used() {
    let Some(replicated) = Replicated::start().await else { return };
    replicated.pause().await;
    create(&replicated.root, "ann", "USER").await;
    let (before, behind) = (replicated.count("read").await, replicated.count("behind").await);
    assert!(usernames(&replicated.root).await.contains(&"ann".to_owned()));
    assert!((replicated.count("read").await - before).abs() < f64::EPSILON);
    assert!(replicated.count("behind").await > behind, "{}", replicated.server.err());
    assert!(replicated.server.err().contains("the standby is behind"), "{}", replicated.server.err());
    replicated.resume().await;
    replicated.until_counted("read").await;
    assert!(usernames(&replicated.root).await.contains(&"ann".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_ended_is_refused_while_the_standby_is_behind() {
    let Some(replicated) = Replicated::start().await else { return };
    let id = create(&replicated.root, "ann", "USER").await;
    let (ann, again) = (replicated.server.sign_in("ann").await, replicated.server.sign_in("ann").await);
    replicated.until_counted("read").await;
    replicated.pause().await;
    assert!(usernames(&ann).await.contains(&"ann".to_owned()));
    ann.data("mutation { logout { success } }", json!({})).await;
    assert_eq!(code(&ann, LIST).await, json!("UNAUTHENTICATED"));
    replicated.root.mutate("setActive", "", json!({ "id": id, "active": false })).await;
    assert_eq!(code(&again, LIST).await, json!("UNAUTHENTICATED"));
    assert!(!usernames(&replicated.root).await.contains(&"ann".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_was_withdrawn_is_gone_while_the_standby_is_behind() {
    let Some(replicated) = Replicated::start().await else { return };
    let root = &replicated.root;
    let definition = json!({ "name": "badge", "label": "Badge", "kind": "STRING" });
    root.mutate("defineAttribute", "", definition).await;
    let ann = create(root, "ann", "ADMIN").await;
    let bob = create(root, "bob", "USER").await;
    let attributes = json!([{ "name": "badge", "value": "7" }]);
    root.mutate("updateUser", "", json!({ "id": ann, "attributes": attributes })).await;
    let (ann_signed_in, bob_signed_in) =
        (replicated.server.sign_in("ann").await, replicated.server.sign_in("bob").await);
    replicated.until_counted("read").await;
    ann_signed_in.data(WITH_INACTIVE, json!({})).await;
    let shown = bob_signed_in.data(ATTRIBUTES, json!({})).await.to_string();
    assert!(shown.contains("badge"), "{shown} for {bob}");

    replicated.pause().await;
    root.mutate("updateUser", "", json!({ "id": ann, "role": "USER" })).await;
    assert_eq!(code(&ann_signed_in, WITH_INACTIVE).await, json!("FORBIDDEN"));
    root.mutate("defineAttribute", "", json!({ "name": "badge", "userVisible": false })).await;
    let shown = bob_signed_in.data(ATTRIBUTES, json!({})).await.to_string();
    assert!(!shown.contains("badge"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_dies_is_not_missed() {
    let Some(replicated) = Replicated::start().await else { return };
    replicated.standby.stop().unwrap();
    replicated.until_counted("unreachable").await;
    create(&replicated.root, "ann", "USER").await;
    assert!(usernames(&replicated.root).await.contains(&"ann".to_owned()));
    assert!(replicated.server.err().contains("the standby cannot be"), "{}", replicated.server.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_promoted_is_no_longer_used() {
    let Some(replicated) = Replicated::start().await else { return };
    replicated.standby.promote().unwrap();
    create(&replicated.root, "ann", "USER").await;
    for _ in 0..5 {
        assert!(usernames(&replicated.root).await.contains(&"ann".to_owned()));
    }
    replicated.until_counted("failed").await;
}

/// The standby follows another one, which is promoted while the primary still accepts writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_follows_another_history_is_not_used() {
    let Some((primary, other)) = primary_and_standby().await else { return };
    let replicated = Replicated::of(primary, other.start_standby(None).unwrap()).await;
    other.promote().unwrap();
    // Its position is beyond that of the primary.
    on_server(&other, "CREATE TABLE longer AS SELECT generate_series(1, 200000) AS number").await;
    let has_followed = "SELECT 1 FROM pg_tables WHERE tablename = 'longer'";
    let followed = until(|| async { row_of(&replicated.standby, "postgres", has_followed).await.then_some(()) });
    followed.await.expect("the standby follows the other server");
    create(&replicated.root, "ann", "USER").await;
    let before = replicated.count("read").await;
    assert!(usernames(&replicated.root).await.contains(&"ann".to_owned()));
    replicated.until_counted("failed").await;
    assert!((replicated.count("read").await - before).abs() < f64::EPSILON, "{}", replicated.server.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_standby_is_not_used() {
    let Some((_primary, standby)) = primary_and_standby().await else { return };
    let Some(own) = postgres::server() else { return };
    let sandbox = Sandbox::on_database(own.fresh_database().await).with_admin().await;
    let server = sandbox.serve(&[&MEASURED[..], &["--read-url", &url_of(&standby)]].concat()).await;
    let root = server.sign_in(ADMIN).await;
    let outcome = |outcome: &'static str| {
        let server = &server;
        async move { scrape(server).await.value("roster_standby_queries_total", &[("outcome", outcome)]) }
    };
    let failed = until(|| async {
        root.data(LIST, json!({})).await;
        (outcome("failed").await > 0.0).then_some(())
    });
    assert!(failed.await.is_some(), "{}", server.err());
    assert!(outcome("read").await.abs() < f64::EPSILON);
    let doctor = sandbox.run(&["doctor", "--read-url", &url_of(&standby)]).await;
    assert!(doctor.out.contains("it is no standby of it"), "{doctor:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_of_the_same_standby_is_not_used() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    on_server(&primary, "CREATE DATABASE other").await;
    let sandbox = Sandbox::on_database(url_of(&primary)).with_admin().await;
    let other = format!("postgres://roster@127.0.0.1:{}/other", standby.port());
    let refused = until(|| async {
        let doctor = sandbox.run(&["doctor", "--read-url", &other]).await;
        doctor.out.contains("it is no standby of it").then_some(())
    });
    assert!(refused.await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_whether_the_standby_can_be_used() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    let (sandbox, url) = (Sandbox::on_database(url_of(&primary)).with_admin().await, url_of(&standby));
    let found = until(|| async {
        let doctor = sandbox.run(&["doctor", "--read-url", &url]).await;
        (findings(&doctor).is_empty() && doctor.out.contains("has replayed everything")).then_some(())
    });
    assert!(found.await.is_some());
    standby.stop().unwrap();
    let doctor = sandbox.run(&["doctor", "--read-url", &url]).await;
    assert_eq!(findings(&doctor), ["warning: the standby cannot be reached; queries are read from the primary"]);
}

#[tokio::test]
async fn sqlite_has_no_standby() {
    let sandbox = Sandbox::on_sqlite();
    let refused = sandbox.run(&["--read-url", "postgres://roster@127.0.0.1:1/roster"]).await;
    assert!(refused.code == 2 && refused.err.contains("--read-url"), "{refused:?}");
    assert!(refused.err.contains("SQLite has no standby"), "{refused:?}");
}

/// A statement that fails on the standby in the middle of a request is run on the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_on_with_the_primary_when_the_standby_ends() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    let mut settings = database(url_of(&primary), 2);
    settings.read_url = Some(url_of(&standby));
    let db = Db::open(&settings).await.unwrap();
    let in_request = on_standby(|| db.clone()).await;
    assert!(in_request.read_primary().query_one_raw(of_text(IN_RECOVERY)).await.unwrap().is_none());
    standby.stop().unwrap();
    assert!(!is_on_standby(&in_request).await);
    db.close().await.unwrap();
}

/// A statement that is slow on the standby alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_keeps_no_other_request_from_the_standby() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    let mut settings = database(url_of(&primary), 2);
    settings.read_url = Some(url_of(&standby));
    settings.timeouts.caller = Duration::from_secs(4);
    let db = Db::open(&settings).await.unwrap();
    let in_request = on_standby(|| db.clone()).await;
    // The next request finds an open connection.
    join(is_on_standby(&in_request), is_on_standby(&in_request)).await;
    let slow = "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT 1 FROM pg_sleep(60)) ELSE 2 END";
    let row = in_request.read().query_one_raw(of_text(slow)).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), 2, "it is run on the primary");
    assert!(!is_on_standby(&in_request).await);
    assert!(is_on_standby(&db.clone().on_standby().await).await);
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_exceeds_the_budget_is_not_run_on_the_primary() {
    let Some((primary, standby)) = primary_and_standby().await else { return };
    let mut settings = database(url_of(&primary), 2);
    settings.read_url = Some(url_of(&standby));
    let db = Db::open(&settings).await.unwrap();
    let requester = Requester::User(Id::new());
    let in_request = on_standby(|| db.within(Budget::default(), requester)).await;
    // On the primary, it divides by zero.
    let rows = format!("generate_series(1, {})", Limit::Values.maximum() + 1);
    let large = format!("SELECT 1 / CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END FROM {rows}");
    let error = in_request.read().query_all_raw(of_text(&large)).await.unwrap_err();
    assert!(error.to_string().contains("too many values"), "{error}");
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_read_from_a_standby_that_can_be_used() {
    let Some(replicated) = Replicated::start().await else { return };
    create(&replicated.root, "ann", "USER").await;
    let url = url_of(&replicated.standby);
    let arguments = ["export", "--output", "there.ndjson", "--read-url", &url];
    let exported = replicated.sandbox.run(&arguments).await;
    assert!(exported.code == 0 && exported.err.contains("reading from the standby"), "{exported:?}");
    replicated.standby.stop().unwrap();
    let exported = replicated.sandbox.run(&["export", "--output", "here.ndjson", "--read-url", &url]).await;
    assert!(exported.code == 0 && exported.err.contains("reading from the primary"), "{exported:?}");
    for file in ["there.ndjson", "here.ndjson"] {
        let text = std::fs::read_to_string(replicated.sandbox.path(file)).unwrap();
        assert!(text.contains("\"ann\""), "{file}: {text}");
    }
}
