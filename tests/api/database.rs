//! Real-world databases: closed connections, other defaults, other encodings, other tenants.

use std::net::SocketAddr;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Database, DatabaseTransaction, TransactionTrait as _};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::app::{App, Caller, PASSWORD, payload_errors};
use crate::postgres;
use crate::process::{ADMIN, Sandbox, until, until_waiting};
use crate::wire::RawClient;

const CREATE: &str = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success user { id } } }";

async fn create(caller: &Caller<'_>, name: &str) -> Value {
    let input = json!({ "firstName": "Ann", "lastName": name, "username": name });
    caller.execute(CREATE, json!({ "input": input })).await
}

fn is_created(response: &Value) -> bool {
    response["data"]["createUser"]["success"] == true
}

/// Creates `count` users concurrently.
async fn create_at_once(caller: &Caller<'_>, prefix: &str, count: usize) {
    let all =
        join_all((0..count).map(|number| async move { create(caller, &format!("{prefix}{number}")).await })).await;
    assert!(all.iter().all(is_created), "{all:#?}");
}

/// Runs a statement on the database of an app over a separate connection.
async fn on_database(app: &App, statement: &str) {
    let name: String = app
        .db
        .read()
        .query_one_raw(sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Postgres, "SELECT current_database()"))
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap();
    let admin = Database::connect(postgres::server().unwrap().admin_url()).await.unwrap();
    admin.execute_unprepared(&statement.replace("{database}", &name)).await.unwrap();
    admin.close().await.unwrap();
}

const DROP_CONNECTIONS: &str =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_after_the_database_dropped_its_connections() {
    let Some(app) = App::on_postgres().await else { return };
    let root = app.superuser().await;
    for round in 0..3 {
        create_at_once(&root, &format!("warm{round}-"), 8).await;
        on_database(&app, DROP_CONNECTIONS).await;
        for number in 0..8 {
            let created = create(&root, &format!("after{round}-{number}")).await;
            assert!(is_created(&created), "{created:#}");
            root.data("{ users { totalCount } auditEvents(first: 1) { nodes { id } } }", json!({})).await;
        }
        on_database(&app, DROP_CONNECTIONS).await;
        create_at_once(&root, &format!("again{round}-"), 8).await;
    }
}

/// The lost statement may have been saved: that cannot be known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_connection_is_lost_is_not_repeated() {
    const DROP_WAITING: &str = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                                WHERE datname = '{database}' AND wait_event_type = 'Lock'";
    let Some(app) = App::on_postgres().await else { return };
    let root = app.superuser().await;
    assert!(is_created(&create(&root, "first").await));
    let holder = app.db.begin().await.unwrap();
    let hold = format!("SELECT 1 FROM users WHERE id = '{}' FOR UPDATE", root.id());
    holder.execute_unprepared(&hold).await.unwrap();
    let drop_connection = async {
        until_waiting(&app.db, 1).await;
        on_database(&app, DROP_WAITING).await;
        holder.rollback().await.unwrap();
    };
    let (response, ()) = tokio::join!(create(&root, "second"), drop_connection);
    assert_eq!(response["errors"][0]["extensions"]["code"], json!("UNAVAILABLE"), "{response:#}");
    assert!(is_created(&create(&root, "second").await), "nothing was saved");
}

/// Counters and emails are written by single statements outside of a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_statements_succeed_after_the_database_dropped_its_connections() {
    let Some(app) = App::on_postgres().await else { return };
    let nobody = app.anonymous();
    let sign_in = async |number: usize| {
        let input = json!({ "login": format!("nobody{number}"), "password": PASSWORD });
        payload_errors(&nobody.mutate("login", "", input).await)
    };
    let reset = async |number: usize| {
        nobody.mutate("requestPasswordReset", "", json!({ "email": format!("nobody{number}@x.example") })).await
    };
    for round in 0..3 {
        // All connections were used a moment ago.
        join_all((0..8).map(|number| reset(8 * round + number))).await;
        on_database(&app, DROP_CONNECTIONS).await;
        let responses = join_all((0..4).map(|number| reset(100 + 8 * round + number))).await;
        assert!(responses.iter().all(|response| response["success"] == true), "{responses:#?}");
        on_database(&app, DROP_CONNECTIONS).await;
        for number in 0..4 {
            assert_eq!(sign_in(8 * round + number).await, ["INVALID_CREDENTIALS input"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_succeed_under_any_default_isolation_level() {
    for isolation in ["serializable", "repeatable read"] {
        let setting = format!("default_transaction_isolation = '{isolation}'");
        let Some(app) = App::on_postgres_with(&[&setting]).await else { return };
        let root = app.superuser().await;
        let group = root.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        for round in 0..4 {
            create_at_once(&root, &format!("round{round}-"), 6).await;
            let update = |number| {
                root.mutate("updateGroup", "success", json!({ "id": group, "name": format!("Ward {number}") }))
            };
            join_all((0..6).map(update)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_not_ready_but_serves_reads() {
    let Some(app) = App::on_postgres().await else { return };
    let root = app.superuser().await;
    let status = async |path: &str| RawClient(app.address).get(path).await.status;
    create_at_once(&root, "before", 1).await;
    on_database(&app, "ALTER DATABASE {database} SET default_transaction_read_only = on").await;
    on_database(&app, DROP_CONNECTIONS).await;
    let failed = create(&root, "meanwhile").await;
    assert_eq!(failed["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{failed:#}");
    // The latest events cannot be sealed; those before are shown.
    root.data("{ users { totalCount } auditEvents(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!((status("/health/ready").await, status("/health/live").await), (503, 200));
    on_database(&app, "ALTER DATABASE {database} RESET default_transaction_read_only").await;
    on_database(&app, DROP_CONNECTIONS).await;
    create_at_once(&root, "after", 1).await;
    assert_eq!(status("/health/ready").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_for_lack_of_resources_may_be_sent_again() {
    let Some(app) = App::on_postgres().await else { return };
    let root = app.superuser().await;
    let execute = async |statement: &str| {
        let transaction = app.db.begin().await.unwrap();
        transaction.execute_unprepared(statement).await.unwrap();
        transaction.commit().await.unwrap();
    };
    // A full disk, no memory, no connections, an error of the disk, a lock. A limit of the configuration stays exceeded.
    for (code, expected) in [
        ("53100", "UNAVAILABLE"),
        ("53200", "UNAVAILABLE"),
        ("53300", "UNAVAILABLE"),
        ("58030", "UNAVAILABLE"),
        ("55P03", "UNAVAILABLE"),
        ("53400", "INTERNAL"),
    ] {
        execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await;
        let failed = create(&root, &format!("full-{code}")).await;
        assert_eq!(failed["errors"][0]["extensions"]["code"], expected, "{code}: {failed:#}");
        execute("DROP FUNCTION refuse() CASCADE").await;
        let created = create(&root, &format!("full-{code}")).await;
        assert!(is_created(&created), "{code}: {created:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_the_log_tell_a_full_disk_from_a_database_that_cannot_be_reached() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let sandbox = sandbox.with_admin().await;
    let server = sandbox.serve(&[]).await;
    let root = server.sign_in(ADMIN).await;
    let db = sandbox.db().await;
    let transaction = db.begin().await.unwrap();
    transaction
        .execute_unprepared(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let input = json!({ "input": { "firstName": "Ann", "lastName": "Moss", "username": "ann" } });
    let failed = root.try_execute(CREATE, &input).await.unwrap();
    assert_eq!(failed["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{failed:#}");
    server.wait_for_log("the database cannot do its work at present").await;
    let names = ["--first-name", "Ann", "--last-name", "Moss", "--email", "ann@alder.example.org"];
    let failed = sandbox.run_with(&[&["admin", "create", "--password-stdin"][..], &names].concat(), PASSWORD).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("the database cannot do its work at present"), "{failed:?}");
    assert!(!format!("{}{}", failed.err, server.err()).contains("cannot be reached"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_on_which_sqlite_cannot_write_is_logged_as_such_once_a_minute() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    // No file can become longer than 512 KiB. The signal that says so would end the program.
    let limited = r#"trap "" XFSZ; ulimit -f 1024; exec "$@""#;
    let arguments = ["-c", limited, "sh", env!("CARGO_BIN_EXE_roster"), "--listen", "127.0.0.1:0"];
    let server = sandbox.start(&mut sandbox.command_of("sh", &arguments), "");
    server.wait_for_output("Roster listens on http://").await;
    let root = server.sign_in(ADMIN).await;
    let (mut failed, mut number) = (0, 0);
    while failed < 5 {
        assert!(number < 500, "the file has room: {}", server.err());
        number += 1;
        let input = json!({ "firstName": "Ann", "lastName": "Moss", "username": format!("ann{number}") });
        let response = root.try_execute(CREATE, &json!({ "input": input })).await.unwrap();
        if !is_created(&response) {
            assert_eq!(response["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{response:#}");
            failed += 1;
        }
    }
    let log = server.err();
    assert!(!log.contains("cannot be reached"), "{log}");
    for message in ["the database cannot do its work at present", "a group of writes was rolled back"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(message)).collect();
        assert_eq!(lines.len(), 1, "{message}: {log}");
        assert!(lines[0].contains("disk I/O error") && lines[0].contains("times=1"), "{message}: {log}");
    }
}

/// Creates a database with the given options and returns its URL.
async fn database_with(name: &str, options: &str) -> Option<String> {
    let url = postgres::server()?.admin_url();
    let admin = Database::connect(url.clone()).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name} {options}")).await.unwrap();
    admin.close().await.unwrap();
    Some(format!("{}/{name}", url.strip_suffix("/postgres").unwrap()))
}

#[tokio::test]
async fn a_database_without_utf8_is_rejected() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        let name = format!("with_{}", encoding.to_lowercase());
        let Some(url) = database_with(&name, &options).await else { return };
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["doctor"]] {
            let failed = Sandbox::on_sqlite().run(&[command, &["--database-url", &url]].concat()).await;
            assert_eq!(failed.code, 1, "{command:?}: {failed:?}");
            assert!(failed.err.contains(encoding) && failed.err.contains("expected UTF8"), "{failed:?}");
        }
    }
}

/// Runs commands on a database that they cannot use; each must fail and say why.
async fn refuse_database(sandbox: &Sandbox, url: &str, reasons: &[&str]) {
    for command in [&["migrate"][..], &["migrate", "--check"], &["doctor"], &["serve", "--listen", "127.0.0.1:0"]] {
        let failed = sandbox.run(&[command, &["--database-url", url]].concat()).await;
        assert_eq!(failed.code, 1, "{command:?}: {failed:?}");
        assert!(reasons.iter().all(|reason| failed.err.contains(reason)), "{command:?}: {failed:?}");
        assert!(!failed.err.contains("at line"), "{command:?}: {failed:?}");
    }
}

#[tokio::test]
async fn tables_of_another_program_are_left_alone() {
    let sandbox = Sandbox::on_sqlite();
    let Some(postgres) = database_with("of_another_program", "").await else { return };
    let file = format!("sqlite://{}", sandbox.path("other.db").display());
    let everywhere = [
        ("CREATE TABLE users (id int)", "DROP TABLE users", "users"),
        ("CREATE TABLE Users (id int)", "DROP TABLE Users", "users"),
        ("CREATE VIEW groups AS SELECT 7 AS id", "DROP VIEW groups", "groups"),
        // A later migration creates it.
        ("CREATE TABLE audit_events (id int)", "DROP TABLE audit_events", "audit_events"),
        ("CREATE TABLE t (id int); CREATE INDEX api_keys_of_user ON t (id)", "DROP TABLE t", "api_keys_of_user"),
    ];
    let on_postgres = [
        ("CREATE TYPE users AS ENUM ('one')", "DROP TYPE users", "type \"users\""),
        ("CREATE SEQUENCE memberships", "DROP SEQUENCE memberships", "memberships"),
    ];
    let objects_there = everywhere.iter().chain(&on_postgres).map(|object| (&postgres, "", object));
    let objects_in_file = everywhere.iter().map(|object| (&file, "?mode=rwc", object));
    for (url, options, (create, drop, name)) in objects_there.chain(objects_in_file) {
        let other = Database::connect(format!("{url}{options}")).await.unwrap();
        other.execute_unprepared(create).await.unwrap();
        refuse_database(&sandbox, url, &[name, "already", "another program uses this database"]).await;
        other.execute_unprepared(drop).await.unwrap();
        other.close().await.unwrap();
    }
    let other = Database::connect(&postgres).await.unwrap();
    other.execute_unprepared("CREATE TABLE users (id int); INSERT INTO users VALUES (7)").await.unwrap();
    let by_schema = format!("{postgres}?options[search_path]=roster");
    other.execute_unprepared("CREATE SCHEMA roster; CREATE EXTENSION pg_trgm SCHEMA roster").await.unwrap();
    let migrated = sandbox.run(&["migrate", "--database-url", &by_schema]).await;
    assert_eq!(migrated.code, 0, "{migrated:?}");
    assert_eq!(other.execute_unprepared("DELETE FROM public.users WHERE id = 7").await.unwrap().rows_affected(), 1);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_database_owner_without_superuser_rights_imports_without_warnings() {
    let Some(url) = database_with("of_an_owner", "").await else { return };
    let admin = Database::connect(&url).await.unwrap();
    // The owner may create trusted extensions; this one already exists.
    admin
        .execute_unprepared(
            "CREATE ROLE owner LOGIN; ALTER DATABASE of_an_owner OWNER TO owner; GRANT ALL ON SCHEMA public TO owner",
        )
        .await
        .unwrap();
    admin.execute_unprepared("CREATE TABLE of_somebody_else (id int)").await.unwrap();
    admin.close().await.unwrap();
    let sandbox = Sandbox::on_sqlite();
    let line = json!({ "user": { "firstName": "Ann", "lastName": "Lee", "username": "ann" } });
    std::fs::write(sandbox.path("people.ndjson"), line.to_string()).unwrap();
    let url = url.replace("roster@", "owner@");
    let imported = sandbox.run(&["import", "people.ndjson", "--database-url", &url, "--log", "warn"]).await;
    assert_eq!(imported.code, 0, "{imported:?}");
    assert!(!imported.err.contains("WARN"), "{imported:?}");
}

#[tokio::test]
async fn a_user_who_does_not_own_the_database_cannot_migrate_it_and_is_told_why() {
    let Some(url) = database_with("of_somebody_else", "").await else { return };
    let admin = Database::connect(&url).await.unwrap();
    admin.execute_unprepared("CREATE ROLE lodger LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC").await.unwrap();
    admin.close().await.unwrap();
    let url = url.replace("roster@", "lodger@");
    let reasons = ["the user must own the database", "and the schema if it is not public"];
    refuse_database(&Sandbox::on_sqlite(), &url, &reasons).await;
}

#[tokio::test]
async fn a_search_path_without_a_schema_of_the_user_is_told() {
    let Some(url) = database_with("without_a_schema", "").await else { return };
    let admin = Database::connect(&url).await.unwrap();
    admin
        .execute_unprepared("CREATE ROLE stranger LOGIN; CREATE SCHEMA closed; CREATE EXTENSION pg_trgm")
        .await
        .unwrap();
    admin.close().await.unwrap();
    let url = url.replace("roster@", "stranger@");
    for schema in ["missing", "closed"] {
        let url = format!("{url}?options[search_path]={schema}");
        let reasons =
            ["search_path names no schema that exists and that the user may use", "GRANT USAGE, CREATE ON SCHEMA"];
        refuse_database(&Sandbox::on_sqlite(), &url, &reasons).await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_reported_as_a_timeout() {
    let sandbox = Sandbox::on_sqlite();
    for command in ["migrate", "doctor"] {
        let failed = sandbox.run(&[command, "--database-url", "postgres://roster@127.0.0.1:1/roster"]).await;
        assert_eq!(failed.code, 1, "{command:?}: {failed:?}");
        assert!(failed.err.contains("refused") && !failed.err.contains("timed out"), "{failed:?}");
    }
}

/// The number of connections that are closed at once before the database can be reached.
const CLOSED_CONNECTIONS: usize = 4;

/// Closes a few connections, and forwards those after them.
async fn forward(listener: TcpListener, to: SocketAddr) {
    for _ in 0..CLOSED_CONNECTIONS {
        listener.accept().await.unwrap();
    }
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut database = TcpStream::connect(to).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut database).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_before_its_database_waits_for_it() {
    let Some(postgres) = postgres::server() else { return };
    let mut url = url::Url::parse(&postgres.fresh_database().await).unwrap();
    let database = SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()));
    // A port that is bound and not open refuses connections, and nobody else gets it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    url.set_port(Some(socket.local_addr().unwrap().port())).unwrap();

    let sandbox = Sandbox::on_sqlite();
    let mut server = sandbox.begin(&["--database-url", url.as_str()]);
    server.wait_for_output("Roster waits for its database").await;
    let address = server.out().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let client = RawClient(address.parse().unwrap());
    assert_eq!((client.get("/health/live").await.status, client.get("/health/ready").await.status), (200, 503));
    let refused = client.query("{ viewer { id } }").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"));
    let by_hash = "/graphql?extensions=%7B%22persistedQuery%22:%7B%22version%22:1,%22sha256Hash%22:%22a%22%7D%7D";
    for path in ["/graphql?documentId=me", by_hash, "/schema.graphql", "/docs"] {
        let refused = client.get(path).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"), "{path}");
    }
    until(|| async { server.err().contains("refused").then_some(()) }).await.expect("the log says why it waits");
    assert!(!server.out().contains("Roster listens on"));

    tokio::spawn(forward(socket.listen(64).unwrap(), database));
    server.wait_for_output("Roster listens on").await;
    assert_eq!(server.address(), address);
    assert_eq!(client.get("/health/ready").await.status, 200);
    server.caller(None).data("{ __typename }", json!({})).await;
    let logged = server.err().matches("the database cannot be reached").count();
    assert!(logged < CLOSED_CONNECTIONS, "not every attempt is logged: {}", server.err());
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
}

/// Starts a server whose preparation of the database is blocked, ends it, starts another one, and lets that one go on.
async fn check_preparation<T>(sandbox: &Sandbox, arguments: &[&str], lock: T, unlock: impl AsyncFnOnce(T)) {
    let mut stopped = sandbox.begin(arguments);
    stopped.wait_for_output("Roster prepares its database").await;
    stopped.signal("TERM");
    assert_eq!(stopped.code().await, 0, "{}", stopped.err());

    let server = sandbox.begin(arguments);
    server.wait_for_output("Roster prepares its database").await;
    let address = server.out().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let client = RawClient(address.parse().unwrap());
    assert_eq!((client.get("/health/live").await.status, client.get("/health/ready").await.status), (200, 503));
    assert_eq!(client.query("{ viewer { id } }").await.status, 503);
    unlock(lock).await;
    server.wait_for_output("Roster listens on").await;
    assert_eq!(server.address(), address);
    assert_eq!(client.get("/health/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_live_while_another_process_prepares_its_sqlite_file() {
    let sandbox = Sandbox::on_sqlite();
    std::fs::create_dir(sandbox.path("roster-data")).unwrap();
    let lock = std::fs::File::create(sandbox.path("roster-data/roster.lock")).unwrap();
    lock.lock().unwrap();
    check_preparation(&sandbox, &[], lock, async |lock| drop(lock)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_live_while_its_tables_on_postgres_are_migrated() {
    let Some(postgres) = postgres::server() else { return };
    let url = postgres.fresh_database().await;
    let database = Database::connect(&url).await.unwrap();
    let migration = database.begin().await.unwrap();
    migration.execute_unprepared("SELECT pg_advisory_xact_lock(7305804402)").await.unwrap();
    let sandbox = Sandbox::on_sqlite();
    let unlock = async |migration: DatabaseTransaction| migration.rollback().await.unwrap();
    check_preparation(&sandbox, &["--database-url", &url], migration, unlock).await;
}

#[tokio::test]
async fn a_server_that_waits_for_its_database_can_be_stopped() {
    let sandbox = Sandbox::on_sqlite();
    let mut server = sandbox.begin(&["--database-url", "postgres://roster@127.0.0.1:1/roster"]);
    server.wait_for_output("Roster waits for its database").await;
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
}

#[tokio::test]
async fn a_server_does_not_wait_for_a_database_that_refuses_it() {
    let Some(postgres) = postgres::server() else { return };
    let url = postgres.admin_url().replace("/postgres", "/nowhere");
    let failed = Sandbox::on_sqlite().run(&["--listen", "127.0.0.1:0", "--database-url", &url]).await;
    assert!(failed.code == 1 && failed.err.ends_with("database \"nowhere\" does not exist\n"), "{failed:?}");
}

#[tokio::test]
async fn an_invalid_database_url_is_rejected_without_showing_the_password() {
    let sandbox = Sandbox::on_sqlite();
    for command in ["serve", "doctor", "migrate"] {
        let url = "postgres://roster:p@ss/w:rd%1@127.0.0.1:1/roster";
        let failed = sandbox.run(&[command, "--database-url", url]).await;
        assert_eq!(failed.code, 2, "{failed:?}");
        assert!(failed.err.contains("--database-url") && failed.err.contains("percent-encode"), "{failed:?}");
        assert!(!format!("{}{}", failed.out, failed.err).contains("w:rd"), "{failed:?}");
    }
}

fn files_of(dir: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().contains("roster.db"));
    files.flat_map(|file| std::fs::read(file.path()).unwrap()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_most_stays_short_under_constant_reads() {
    /// The limit is 16 MiB; writes that began before it was reached add to it.
    const LONGEST: u64 = 32 << 20;
    const READERS: usize = 3;
    const BATCHES: usize = 40;
    /// Slow enough that there is always a reader.
    const SLOW: &str = "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 20000) \
                        SELECT count(*) FROM counted, (SELECT 1 FROM users LIMIT 1)";
    let app = App::on_sqlite().await;
    let root = app.superuser().await;
    let log = app.dir().join("roster.db-wal");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let readers = (0..READERS).map(|_| {
        let (db, stopped) = (app.db.clone(), stopped.clone());
        tokio::spawn(async move {
            while !*stopped.borrow() {
                let slow = sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Sqlite, SLOW);
                db.read().query_one_raw(slow).await.unwrap();
            }
        })
    });
    let readers = join_all(readers.collect::<Vec<_>>());
    let writer = async {
        let mut longest = 0;
        for batch in 0..BATCHES {
            create_at_once(&root, &format!("batch{batch}-"), 8).await;
            longest = longest.max(std::fs::metadata(&log).unwrap().len());
        }
        stop.send_replace(true);
        longest
    };
    let longest = writer.await;
    assert!(readers.await.iter().all(Result::is_ok));
    println!("the write-ahead log had {longest} bytes at most");
    assert!(longest <= LONGEST, "{longest}");
}

#[tokio::test]
async fn an_erased_user_is_not_in_the_files_of_sqlite() {
    let app = App::on_sqlite().await;
    let root = app.superuser().await;
    let id = create(&root, "quaxolotlfrix").await["data"]["createUser"]["user"]["id"].clone();
    assert!(has(&files_of(app.dir()), "quaxolotlfrix"));
    // A concurrent reader does not keep the data either: the next write removes it.
    let moment = app.db.snapshot().await.unwrap();
    moment
        .query_one_raw(sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Sqlite, "SELECT 1 FROM users"))
        .await
        .unwrap();
    root.mutate("deleteUser", "success", json!({ "id": id })).await;
    drop(moment);
    root.mutate("createGroup", "success", json!({ "name": "Ward" })).await;
    assert!(!has(&files_of(app.dir()), "quaxolotlfrix"));

    let id = create(&root, "quaxolotlfrox").await["data"]["createUser"]["user"]["id"].clone();
    root.mutate("deleteUser", "success", json!({ "id": id })).await;
    assert!(!has(&files_of(app.dir()), "quaxolotlfrox"));
}
