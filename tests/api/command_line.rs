//! The command line: commands, settings, startup and shutdown.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::app::PASSWORD;
use crate::doctor::findings;
use crate::process::{ADMIN, Caller, Process, Sandbox, mode, set_mode, until};

/// Sends the head of a request and waits until the server asks for the body.
async fn request_in_flight(server: &Process, caller: &Caller, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let token = caller.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = [0; 25];
    stream.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

async fn wait_until_port_is_closed(server: &Process) {
    let address = server.address();
    until(|| async { TcpStream::connect(&address).await.is_err().then_some(()) }).await.expect("a closed port");
}

async fn column(sandbox: &Sandbox, sql: &str) -> Vec<String> {
    let db = sandbox.db().await;
    let backend = if sandbox.is_sqlite() { DatabaseBackend::Sqlite } else { DatabaseBackend::Postgres };
    let rows = db.write().query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let column = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    db.close().await.unwrap();
    column
}

in_every_sandbox! {
    async fn a_server_starts_without_configuration_and_prints_the_next_step(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        assert_eq!(sandbox.path("roster-data/roster.db").exists(), sandbox.is_sqlite());
        assert!(server.out().contains("roster admin create --email"), "{}", server.out());
        assert_eq!(server.status_of("/health/ready").await, 200);
        assert_eq!(server.status_of("/").await, 200);
        let typename = server.caller(None).data("{ __typename }", json!({})).await;
        assert_eq!(typename, json!({ "__typename": "Query" }));
        assert_eq!(server.err().matches("ERROR").count(), 0, "{}", server.err());
    }

    async fn an_administrator_created_on_the_command_line_can_sign_in(sandbox: Sandbox) {
        let arguments = ["admin", "create", "--password-stdin", "--email", "ada@example.org", "--first-name", "Ada", "--last-name", "Byron"];
        let created = sandbox.run_with(&arguments, &format!("{PASSWORD}\r\n")).await;
        assert_eq!(created.code, 0, "{}", created.err);
        assert!(created.out.contains("Ada Byron") && created.out.contains("ada@example.org"), "{}", created.out);
        assert!(!created.out.contains(PASSWORD) && !created.err.contains(PASSWORD));
        let server = sandbox.serve(&[]).await;
        assert!(!server.out().contains("admin create"), "{}", server.out());
        let viewer = server.sign_in("ada@example.org").await;
        let data = viewer.data("{ viewer { fullName hasActivated adminRights { isSuperuser } license { number } } }", json!({})).await;
        let expected = json!({ "fullName": "Ada Byron", "hasActivated": true, "adminRights": { "isSuperuser": true }, "license": { "number": "1" } });
        assert_eq!(data["viewer"], expected);
        assert_eq!(server.login("ada@example.org", "another-password-altogether").await["success"], json!(false));
    }

    async fn the_first_administrator_can_be_created_while_a_server_runs(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        let sandbox = sandbox.with_admin().await;
        let root = server.sign_in(ADMIN).await;
        let viewer = root.try_execute("{ viewer { email } }", &json!({})).await.unwrap();
        assert_eq!(viewer["data"]["viewer"]["email"], ADMIN, "{viewer:#}\n{}", server.err());
        drop(sandbox);
    }

    async fn an_invalid_administrator_is_rejected_with_every_error(sandbox: Sandbox) {
        let arguments = ["admin", "create", "--password-stdin", "--email", "no address", "--first-name", " ", "--last-name", "Byron"];
        let failed = sandbox.run_with(&arguments, "short").await;
        assert_eq!(failed.code, 1);
        for field in ["email", "firstName", "password"] {
            assert!(failed.err.contains(field), "{field}: {}", failed.err);
        }
        let arguments = ["admin", "create", "--password-stdin", "--email", "a@example.org", "--first-name", "Ada", "--last-name", "Byron"];
        assert_eq!(sandbox.run_with(&arguments, "").await.code, 1);
        assert_eq!(sandbox.run_with(&arguments, "password1234").await.code, 1);
        assert_eq!(sandbox.run_with(&arguments, PASSWORD).await.code, 0);
        let taken = sandbox.run_with(&arguments, PASSWORD).await;
        assert_eq!(taken.code, 1);
        assert!(taken.err.contains("email: This email address is taken."), "{}", taken.err);
    }

    async fn a_second_migration_changes_nothing(sandbox: Sandbox) {
        for _ in 0..2 {
            let migrated = sandbox.run(&["migrate"]).await;
            assert_eq!((migrated.code, migrated.out.trim(), migrated.err.trim()), (0, "The tables are up to date.", ""));
        }
        assert_eq!(column(&sandbox, "SELECT version FROM seaql_migrations").await.len(), roster::startup::migrations());
    }

    async fn five_servers_that_start_at_once_migrate_once(sandbox: Sandbox) {
        let servers: Vec<Process> = (0..5).map(|_| sandbox.begin(&[])).collect();
        for server in &servers {
            server.wait_for_output("Roster listens on http://").await;
            assert_eq!(server.status_of("/health/ready").await, 200);
        }
        for server in &servers {
            assert_eq!(server.err().matches("ERROR").count() + server.err().matches("WARN").count(), 0, "{}", server.err());
        }
        let migrations = column(&sandbox, "SELECT version FROM seaql_migrations").await;
        assert!(!migrations.is_empty());
        assert_eq!(migrations.iter().collect::<BTreeSet<_>>().len(), migrations.len(), "{migrations:?}");
        assert_eq!(column(&sandbox, "SELECT number FROM licenses").await, [""; 0]);
    }

    async fn a_request_in_flight_is_answered_after_sigterm(sandbox: Sandbox) {
        let mut server = sandbox.serve(&[]).await;
        let body = r#"{"query":"{ __typename }"}"#;
        let mut stream = request_in_flight(&server, &server.caller(None), body).await;
        let idle = TcpStream::connect(server.address()).await.unwrap();
        server.signal("TERM");
        wait_until_port_is_closed(&server).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains(r#"{"__typename":"Query"}"#), "{response:?}\n{}", server.err());
        assert_eq!(server.code().await, 0, "{}", server.err());
        drop(idle);
    }

    async fn a_mutation_in_flight_is_committed_after_sigterm(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let mut server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let db = sandbox.db().await;
        let lock = db.begin().await.unwrap();
        if !sandbox.is_sqlite() {
            lock.execute_unprepared("LOCK TABLE groups").await.unwrap();
        }
        let body = r#"{"query":"mutation { createGroup(input: { name: \"Ward\" }) { success } }"}"#;
        let mut stream = request_in_flight(&server, &root, body).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        server.signal("TERM");
        wait_until_port_is_closed(&server).await;
        lock.rollback().await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with(r#"{"data":{"createGroup":{"success":true}}}"#), "{response}");
        assert_eq!(server.code().await, 0, "{}", server.err());
        assert_eq!(column(&sandbox, "SELECT name FROM groups").await, ["Ward"]);
    }

    async fn shutdown_does_not_wait_for_a_request_that_never_ends(sandbox: Sandbox) {
        // Its deadline would end the request only after five minutes.
        let mut server = sandbox.serve(&["--request-seconds", "300"]).await;
        let stuck = request_in_flight(&server, &server.caller(None), "never sent").await;
        server.signal("TERM");
        let code = timeout(Duration::from_mins(1), server.code()).await.expect("the server stops");
        assert_eq!(code, 0, "{}", server.err());
        drop(stuck);
    }

    async fn a_link_of_the_command_line_leads_to_the_server(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let link = async |arguments: &[&str]| {
            let created = sandbox.run(&[&["admin", "link", "--email", ADMIN][..], arguments].concat()).await;
            assert_eq!(created.code, 0, "{created:?}");
            let link = created.out.split_whitespace().last().unwrap().split_once("/activate#").unwrap().0.to_owned();
            (link, created.out.contains("--public-url"))
        };
        assert_eq!(link(&[]).await, ("http://127.0.0.1:8000".to_owned(), true), "the command says what to pass");
        let server = sandbox.serve(&[]).await;
        assert_eq!(link(&[]).await, (format!("http://{}", server.address()), false));
        assert_eq!(link(&["--listen", "0.0.0.0:9000"]).await, ("http://localhost:9000".to_owned(), false));
        let public = "https://people.example.org/roster";
        assert_eq!(link(&["--public-url", public]).await, (public.to_owned(), false));
        drop(server);
        let _server = sandbox.serve(&["--public-url", public]).await;
        assert_eq!(link(&[]).await, (public.to_owned(), false));
    }

    async fn doctor_prints_the_configuration(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["migrate"]).await.code, 0);
        let origins = "https://app.example.org,https://people.example.org,https://app.example.org";
        let doctor = sandbox.run(&["doctor", "--session-days", "7", "--allowed-origins", origins]).await;
        assert_eq!(findings(&doctor), [""; 0], "{doctor:?}");
        let lines: Vec<String> = doctor.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let mut expected = vec!["listen 127.0.0.1:8000", "playground true", "sessions 7 days, 12 hours without use", "migrations 0 pending"];
        expected.push("allowed origins https://app.example.org, https://people.example.org, http://127.0.0.1:8000");
        expected.extend(["public URL http://127.0.0.1:8000", "wrong secrets 100 per address within 15 minutes", "log format text"]);
        expected.extend(if sandbox.is_sqlite() {
            &["journal_mode wal", "synchronous 2", "foreign_keys 1", "database sqlite:///"][..]
        } else {
            &["statement_timeout 5s", "idle_in_transaction_session_timeout 10s", "server_encoding UTF8"][..]
        });
        for expected in expected {
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}: {}", doctor.out);
        }
    }

    async fn doctor_creates_no_database_and_no_tables(sandbox: Sandbox) {
        let doctor = sandbox.run(&["doctor"]).await;
        assert_eq!(findings(&doctor), [""; 0], "{doctor:?}");
        let pending = format!("{} pending", roster::startup::migrations());
        assert!(doctor.out.contains(&pending), "{}", doctor.out);
        assert!(!sandbox.path("roster-data/roster.db").exists());
        if !sandbox.is_sqlite() {
            let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
            assert_eq!(column(&sandbox, tables).await, [""; 0]);
        }
    }
}

/// Settings by flag and by environment variable, with a value that is invalid.
const INVALID_SETTINGS: &[(&str, &str, &str)] = &[
    ("--listen", "ROSTER_LISTEN", "nowhere"),
    ("--listen", "ROSTER_LISTEN", "127.0.0.1"),
    ("--listen", "ROSTER_LISTEN", "127.0.0.1:65536"),
    ("--listen", "ROSTER_LISTEN", "65536"),
    ("--listen", "ROSTER_LISTEN", "localhost"),
    ("--listen", "ROSTER_LISTEN", "localhost:http"),
    ("--listen", "ROSTER_LISTEN", "no-such-host.invalid:0"),
    ("--database-url", "DATABASE_URL", "mysql://root@127.0.0.1/roster"),
    ("--database-url", "DATABASE_URL", "roster.db"),
    ("--database-url", "DATABASE_URL", "postgres://127.0.0.1:port/roster"),
    ("--database-url", "DATABASE_URL", "postgres://127.0.0.1/roster?sslmode=perhaps"),
    ("--database-url", "DATABASE_URL", "sqlite://roster.db?mode=perhaps"),
    ("--database-url", "DATABASE_URL", "sqlite::memory:"),
    ("--database-url", "DATABASE_URL", "sqlite://roster.db?mode=memory"),
    ("--metrics-listen", "ROSTER_METRICS_LISTEN", "nowhere"),
    ("--otlp-endpoint", "ROSTER_OTLP_ENDPOINT", "nowhere"),
    ("--database-url", "DATABASE_URL", "sqlite://"),
    ("--read-url", "ROSTER_READ_URL", "sqlite:///roster.db"),
    ("--read-url", "ROSTER_READ_URL", "postgres://roster:c2VjcmV0@127.0.0.1:1,127.0.0.1:2/roster"),
    ("--read-url", "ROSTER_READ_URL", "postgres://roster:c2VjcmV0@127.0.0.1:1/roster?pooler=transaction"),
    ("--read-url", "ROSTER_READ_URL", "postgres://roster:c2VjcmV0@127.0.0.1:1/roster"),
    ("--database-connections", "ROSTER_DATABASE_CONNECTIONS", "0"),
    ("--max-connections", "ROSTER_MAX_CONNECTIONS", "0"),
    ("--max-connections-per-address", "ROSTER_MAX_CONNECTIONS_PER_ADDRESS", "0"),
    ("--database-url-file", "DATABASE_URL_FILE", "no/such/file"),
    ("--database-url-file", "DATABASE_URL_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
    ("--read-url-file", "ROSTER_READ_URL_FILE", "no/such/file"),
    ("--read-url-file", "ROSTER_READ_URL_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
    ("--smtp-url-file", "ROSTER_SMTP_URL_FILE", "no/such/file"),
    ("--smtp-url-file", "ROSTER_SMTP_URL_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
    ("--playground", "ROSTER_PLAYGROUND", "2"),
    ("--playground", "ROSTER_PLAYGROUND", "perhaps"),
    ("--documents", "ROSTER_DOCUMENTS", "some"),
    ("--playground-documents", "ROSTER_PLAYGROUND_DOCUMENTS", "perhaps"),
    ("--introspection", "ROSTER_INTROSPECTION", "some"),
    ("--search-index-file", "ROSTER_SEARCH_INDEX_FILE", "on"),
    ("--request-seconds", "ROSTER_REQUEST_SECONDS", "-1"),
    ("--playground", "ROSTER_PLAYGROUND", "maybe"),
    ("--trusted-proxies", "ROSTER_TRUSTED_PROXIES", "10.0.0.0/33"),
    ("--trusted-proxies", "ROSTER_TRUSTED_PROXIES", "127.0.0.1,proxy.example.org"),
    ("--password-length", "ROSTER_PASSWORD_LENGTH", "7"),
    ("--password-length", "ROSTER_PASSWORD_LENGTH", "65"),
    ("--key", "ROSTER_KEY", "c2VjcmV0"),
    ("--session-days", "ROSTER_SESSION_DAYS", "0"),
    ("--session-days", "ROSTER_SESSION_DAYS", "366"),
    ("--session-idle-hours", "ROSTER_SESSION_IDLE_HOURS", "many"),
    ("--public-url", "ROSTER_PUBLIC_URL", "people.example.org"),
    ("--next-urls", "ROSTER_NEXT_URLS", "*"),
    ("--next-urls", "ROSTER_NEXT_URLS", "https://app.example.org,javascript:alert(1)"),
    ("--next-urls", "ROSTER_NEXT_URLS", "https://app.example.org, https://example.org"),
    ("--next-urls", "ROSTER_NEXT_URLS", "https://app.example.org/?next"),
    ("--allowed-origins", "ROSTER_ALLOWED_ORIGINS", "*"),
    ("--allowed-origins", "ROSTER_ALLOWED_ORIGINS", "https://app.example.org,https://*.example.org"),
    ("--allowed-origins", "ROSTER_ALLOWED_ORIGINS", "https://app.example.org/"),
    ("--allowed-origins", "ROSTER_ALLOWED_ORIGINS", "app.example.org"),
    ("--listen", "ROSTER_LISTEN", "unix:"),
    ("--smtp-url", "ROSTER_SMTP_URL", "mail.example.org"),
    ("--smtp-url", "ROSTER_SMTP_URL", "http://mail.example.org"),
    ("--smtp-url", "ROSTER_SMTP_URL", "smtp://mail.example.org?tls=perhaps"),
    ("--smtp-url", "ROSTER_SMTP_URL", "smtp://ann:c2VjcmV0@mail.example.org?tls=none"),
    ("--smtp-url", "ROSTER_SMTP_URL", "smtps://ann:c2VjcmV0@mail.example.org:port"),
    ("--smtp-ca", "ROSTER_SMTP_CA", "no/such/file"),
    ("--smtp-ca", "ROSTER_SMTP_CA", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
    ("--config", "ROSTER_CONFIG", "no/such/file"),
    ("--tls-cert", "ROSTER_TLS_CERT", "no/such/file"),
    ("--tls-key", "ROSTER_TLS_KEY", "no/such/file"),
    ("--smtp-seconds", "ROSTER_SMTP_SECONDS", "0"),
    ("--smtp-seconds", "ROSTER_SMTP_SECONDS", "601"),
    ("--mail-from", "ROSTER_MAIL_FROM", "Roster"),
    ("--mail-from", "ROSTER_MAIL_FROM", "a@example.org, b@example.org"),
    ("--log", "ROSTER_LOG", "loud"),
    ("--log", "ROSTER_LOG", "roster=loud"),
    ("--log-format", "ROSTER_LOG_FORMAT", "xml"),
];

#[tokio::test]
async fn an_invalid_setting_is_named_before_anything_is_created() {
    let sandbox = Sandbox::on_sqlite();
    for &(flag, variable, value) in INVALID_SETTINGS {
        let by_flag = sandbox.run(&[&format!("{flag}={value}")]).await;
        assert_eq!(by_flag.code, 2, "{flag}={value}: {by_flag:?}");
        assert!(by_flag.err.contains(flag), "{flag}={value}: {by_flag:?}");
        let mut command = sandbox.command(&[]);
        let mut process = sandbox.start(command.env(variable, value), "");
        assert_eq!(process.code().await, 2, "{variable}={value}");
        assert!(
            process.err().contains(variable) || process.err().contains(flag),
            "{variable}={value}: {}",
            process.err()
        );
        assert!(!(by_flag.err + &process.err()).contains("c2VjcmV0"), "a key or a password was printed");
        assert_eq!((by_flag.out, process.out()), (String::new(), String::new()), "{flag}={value}");
    }
    for flag in [
        "--listen",
        "--data-dir",
        "--database-url",
        "--read-url",
        "--key",
        "--key-file",
        "--smtp-url",
        "--mail-from",
        "--next-urls",
        "--allowed-origins",
    ] {
        let empty = sandbox.run(&[&format!("{flag}=")]).await;
        assert!(empty.code == 2 && empty.err.contains(flag), "{flag}: {empty:?}");
    }
    for listen in ["0.0.0.0:0", "unix:roster.sock"] {
        let unreachable = sandbox.run(&["--listen", listen, "--smtp-url", "smtp://mail.example.org"]).await;
        assert!(unreachable.code == 2 && unreachable.err.contains("--public-url"), "{unreachable:?}");
    }
    assert!(!sandbox.path("roster-data").exists());
}

#[tokio::test]
async fn an_unknown_setting_or_a_value_out_of_range_is_rejected() {
    let sandbox = Sandbox::on_sqlite();
    assert_eq!(sandbox.run(&["--no-such-setting"]).await.code, 2);
    assert_eq!(sandbox.run(&["demo", "--users", "9"]).await.code, 2);
}

#[tokio::test]
async fn the_database_password_is_never_printed() {
    let sandbox = Sandbox::on_sqlite();
    let urls = [
        "postgres://roster:hunter-2-hunter@127.0.0.1:1/roster",
        "postgres://127.0.0.1:1/roster?user=roster&password=hunter-2-hunter",
        "postgres://roster:hunter-2-hunter@127.0.0.1:port/roster",
        "mysql://roster:hunter-2-hunter@127.0.0.1:1/roster",
    ];
    // All at the same time, since each waits a while for the unreachable database.
    let mut running = Vec::new();
    for url in urls {
        for command in ["doctor", "serve", "migrate", "help"] {
            let settings = [command, "--listen", "127.0.0.1:0", "--log", "debug"];
            running.push((url, sandbox.start(sandbox.command(&settings).env("DATABASE_URL", url), "")));
        }
        running.push((url, sandbox.start(&mut sandbox.command(&["doctor", "--database-url", url]), "")));
    }
    for (url, process) in &mut running {
        // A server waits for its database.
        let outcome = until(|| {
            let is_over = process.has_ended() || process.out().contains("Roster waits for its database");
            async move { is_over.then_some(()) }
        });
        outcome.await.expect("the program ends or waits");
        if !process.has_ended() {
            process.signal("TERM");
        }
        process.code().await;
        let said = process.out() + &process.err();
        assert!(!said.is_empty() && !said.contains("hunter"), "{url}: {said}");
    }
}

#[tokio::test]
async fn doctor_prints_the_email_settings_without_the_password() {
    let sandbox = Sandbox::on_sqlite();
    let said = async |arguments: &[&str]| {
        let doctor = sandbox.run(&[&["doctor"], arguments].concat()).await;
        assert!(findings(&doctor).iter().all(|finding| finding.starts_with("warning")), "{doctor:?}");
        assert!(!(doctor.out.clone() + &doctor.err).contains("hunter"), "{doctor:?}");
        let lines = doctor.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let of_mail = |line: &String| ["mail", "next", "registration"].iter().any(|word| line.starts_with(word));
        lines.filter(of_mail).collect::<Vec<_>>()
    };
    let unset = [
        "mail files in roster-data/mail",
        "mail from Roster <roster@localhost>",
        "next URLs http://127.0.0.1:8000",
        "registration disabled",
    ];
    assert_eq!(said(&[]).await, unset);
    let set = [
        "--smtp-url=smtps://ann:hunter-2@mail.example.org",
        "--smtp-seconds=7",
        "--public-url=https://People.example.org/roster/",
        "--registration=A-1",
    ];
    let expected = [
        "mail smtps://ann:***@mail.example.org:465, timeout 7 s",
        "mail from Roster <roster@people.example.org>",
        "next URLs https://people.example.org/roster",
        "registration A-1",
    ];
    assert_eq!(said(&set).await, expected);
    let more =
        ["--next-urls=https://a.example.org,http://localhost:3000/b/", "--mail-from=People <people@example.org>"];
    let with_more = said(&[&set[..], &more].concat()).await;
    assert_eq!(
        with_more[1..3],
        ["mail from People <people@example.org>", "next URLs https://a.example.org, http://localhost:3000/b"]
    );
}

#[tokio::test]
async fn an_unreachable_database_is_named_in_the_error() {
    let sandbox = Sandbox::on_sqlite();
    let mut command = sandbox.command(&["--listen", "127.0.0.1:0"]);
    let server = sandbox.start(command.env("DATABASE_URL", "postgres://roster@127.0.0.1:1/roster"), "");
    until(|| async { server.err().contains("DATABASE_URL").then_some(()) }).await.expect("the log names the setting");
    let mut process =
        sandbox.start(sandbox.command(&["migrate"]).env("DATABASE_URL", "postgres://roster@127.0.0.1:1/roster"), "");
    assert_eq!(process.code().await, 1);
    assert!(process.err().contains("DATABASE_URL"), "{}", process.err());
    std::fs::write(sandbox.path("file"), "").unwrap();
    let failed = sandbox.run(&["--listen", "127.0.0.1:0", "--data-dir", "file/data"]).await;
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("--data-dir") && failed.err.contains("file/data"), "{}", failed.err);
}

#[tokio::test]
async fn the_data_directory_can_have_any_name() {
    let sandbox = Sandbox::on_sqlite();
    let name = "50%20 of it? #1 \u{fc}";
    let server = sandbox.begin(&["--data-dir", name]);
    server.wait_for_output("Roster listens on").await;
    assert!(sandbox.path(name).join("roster.db").exists());
    assert!(sandbox.path(name).join("roster.lock").exists());
    let by_url = sandbox.run(&["migrate", "--database-url", "sqlite://with%20space/roster.db"]).await;
    assert_eq!(by_url.code, 0, "{by_url:?}");
    assert!(sandbox.path("with space/roster.db").exists() && !sandbox.path("with%20space").exists());
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let sandbox = Sandbox::on_sqlite();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = sandbox.run(&["--listen", &address]).await;
    assert_eq!(failed.code, 1);
    assert!(
        failed.err.contains("--listen") && failed.err.contains(&address) && failed.err.contains("in use"),
        "{}",
        failed.err
    );
    assert!(!sandbox.path("roster-data").exists());
}

#[tokio::test]
async fn flags_take_precedence_over_environment_variables() {
    let sandbox = Sandbox::on_sqlite();
    let settings = [
        ("ROSTER_LISTEN", "127.0.0.1:0"),
        ("ROSTER_DATA_DIR", "elsewhere"),
        ("ROSTER_PLAYGROUND", "true"),
        ("ROSTER_LOG_FORMAT", "json"),
        ("ROSTER_LOG", "debug"),
    ];
    let server = sandbox.start(sandbox.command(&["--playground", "false"]).envs(settings), "");
    server.wait_for_log("Roster listens on http://127.0.0.1:").await;
    assert!(sandbox.path("elsewhere/roster.db").exists());
    assert!(!sandbox.path("roster-data").exists());
    assert!(!server.err().contains("playground"), "{}", server.err());
    assert_eq!(server.status_of("/").await, 404);
    assert_eq!(server.status_of("/graphql?query=%7B__typename%7D").await, 200);
    for line in server.err().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test]
async fn the_schema_command_prints_the_committed_schema() {
    let sandbox = Sandbox::on_sqlite();
    let schema = sandbox.run(&["schema"]).await;
    assert_eq!((schema.code, schema.err.as_str()), (0, ""));
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    assert!(schema.out == committed, "schema.graphql differs from the output of `roster schema`");
    assert!(!sandbox.path("roster-data").exists());
}

/// Every setting with its variable and its default, as in `--help --all`.
const SETTINGS: [(&str, &str, &str); 42] = [
    ("--config", "ROSTER_CONFIG", "none"),
    ("--listen", "ROSTER_LISTEN", "127.0.0.1:8000"),
    ("--metrics-listen", "ROSTER_METRICS_LISTEN", "none, metrics are not served"),
    ("--otlp-endpoint", "ROSTER_OTLP_ENDPOINT", "none, traces are not exported"),
    ("--data-dir", "ROSTER_DATA_DIR", "roster-data"),
    ("--database-url", "DATABASE_URL", "a SQLite file in the data directory"),
    ("--database-url-file", "DATABASE_URL_FILE", "none"),
    ("--read-url", "ROSTER_READ_URL", "none"),
    ("--read-url-file", "ROSTER_READ_URL_FILE", "none"),
    ("--database-connections", "ROSTER_DATABASE_CONNECTIONS", "4"),
    ("--max-connections", "ROSTER_MAX_CONNECTIONS", "1000"),
    ("--max-connections-per-address", "ROSTER_MAX_CONNECTIONS_PER_ADDRESS", "half of --max-connections"),
    ("--trusted-proxies", "ROSTER_TRUSTED_PROXIES", "none"),
    ("--request-seconds", "ROSTER_REQUEST_SECONDS", "10"),
    ("--playground", "ROSTER_PLAYGROUND", "true"),
    ("--documents", "ROSTER_DOCUMENTS", "any"),
    ("--playground-documents", "ROSTER_PLAYGROUND_DOCUMENTS", "false"),
    ("--introspection", "ROSTER_INTROSPECTION", "everyone"),
    ("--session-days", "ROSTER_SESSION_DAYS", "30"),
    ("--session-idle-hours", "ROSTER_SESSION_IDLE_HOURS", "12"),
    ("--wrong-secrets-per-address", "ROSTER_WRONG_SECRETS_PER_ADDRESS", "100"),
    ("--public-url", "ROSTER_PUBLIC_URL", "http:// and the value of --listen"),
    ("--next-urls", "ROSTER_NEXT_URLS", "the public URL"),
    ("--allowed-origins", "ROSTER_ALLOWED_ORIGINS", "none"),
    ("--registration", "ROSTER_REGISTRATION", "none, registration is disabled"),
    ("--tls-cert", "ROSTER_TLS_CERT", "none, HTTP without TLS"),
    ("--tls-key", "ROSTER_TLS_KEY", "none"),
    ("--smtp-url", "ROSTER_SMTP_URL", "none, emails are written to mail in the data directory"),
    ("--smtp-url-file", "ROSTER_SMTP_URL_FILE", "none"),
    ("--smtp-ca", "ROSTER_SMTP_CA", "none"),
    ("--smtp-seconds", "ROSTER_SMTP_SECONDS", "60"),
    ("--mail-from", "ROSTER_MAIL_FROM", "Roster <roster@HOST>, with the host of the public URL"),
    ("--password-length", "ROSTER_PASSWORD_LENGTH", "12"),
    ("--key", "ROSTER_KEY", "the content of the key file"),
    ("--key-file", "ROSTER_KEY_FILE", "roster.key in the data directory"),
    ("--backup-every", "ROSTER_BACKUP_EVERY", "none"),
    ("--backup-dir", "ROSTER_BACKUP_DIR", "none"),
    ("--backup-keep", "ROSTER_BACKUP_KEEP", "28"),
    ("--passphrase-file", "ROSTER_PASSPHRASE_FILE", "none, backups are not encrypted"),
    ("--search-index-file", "ROSTER_SEARCH_INDEX_FILE", "auto"),
    ("--log", "ROSTER_LOG", "info"),
    ("--log-format", "ROSTER_LOG_FORMAT", "text"),
];

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    let sandbox = Sandbox::on_sqlite();
    let empty = SETTINGS.map(|(_, variable, _)| (variable, ""));
    let doctor = sandbox.run(&["doctor"]).await;
    let mut with_empty = sandbox.start(sandbox.command(&["doctor"]).envs(empty), "");
    assert_eq!((with_empty.code().await, with_empty.out(), with_empty.err()), (0, doctor.out, doctor.err));
    let server = sandbox.start(sandbox.command(&["--listen", "127.0.0.1:0"]).envs(empty), "");
    server.wait_for_output("Roster listens on").await;
}

#[tokio::test]
async fn booleans_are_accepted_in_all_common_spellings() {
    let sandbox = Sandbox::on_sqlite();
    let values = [
        ("1", true),
        ("TRUE", true),
        ("Yes", true),
        ("on", true),
        ("0", false),
        ("False", false),
        ("NO", false),
        ("off", false),
    ];
    for (value, expected) in values {
        let by_flag = sandbox.run(&["doctor", "--playground", value]).await;
        let variables = [("ROSTER_PLAYGROUND", value), ("ROSTER_LOG_FORMAT", "JSON")];
        let mut by_variable = sandbox.start(sandbox.command(&["doctor"]).envs(variables), "");
        assert_eq!((by_flag.code, by_variable.code().await), (0, 0), "{value}: {}", by_variable.err());
        for out in [by_flag.out, by_variable.out()] {
            assert!(out.contains(&format!("playground            {expected}\n")), "{value}: {out}");
        }
    }
}

#[tokio::test]
async fn unknown_variables_cause_a_warning() {
    let sandbox = Sandbox::on_sqlite();
    let unknown = [
        ("ROSTER_LISTNE", Some("ROSTER_LISTEN")),
        ("ROSTER_DATABASE_URL", Some("DATABASE_URL")),
        ("ROSTER_DATADIR", Some("ROSTER_DATA_DIR")),
        ("ROSTER_MAX_CONECTIONS", Some("ROSTER_MAX_CONNECTIONS")),
        ("ROSTER_SMTP_URLFILE", Some("ROSTER_SMTP_URL_FILE")),
        ("ROSTER_COLOUR_OF_THE_BAR", None),
    ];
    let mut doctor = sandbox.start(sandbox.command(&["doctor"]).envs(unknown.map(|(name, _)| (name, "x"))), "");
    assert_eq!(doctor.code().await, 3, "{}", doctor.err());
    let log = doctor.err();
    for (name, suggestion) in unknown {
        let line =
            log.lines().find(|line| line.contains(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {log}"));
        let expected =
            suggestion.map_or("roster --help".to_owned(), |suggestion| format!("did you mean {suggestion}?"));
        assert!(line.contains("WARN") && line.contains(&expected), "{line}");
    }
    let doctor = sandbox.run(&["doctor"]).await;
    assert_eq!(doctor.err, "");
}

#[tokio::test]
async fn a_server_listens_on_a_host_name_a_port_or_all_addresses() {
    let sandbox = Sandbox::on_sqlite();
    for (listen, url, everywhere) in [
        ("localhost:0", "http://127.0.0.1:", false),
        ("0", "http://127.0.0.1:", false),
        ("0.0.0.0:0", "http://localhost:", true),
        ("[::]:0", "http://localhost:", true),
    ] {
        let server = sandbox.start(&mut sandbox.command(&["--listen", listen]), "");
        server.wait_for_output(&format!("Roster listens on {url}")).await;
        assert_eq!(server.out().contains("on all addresses of this machine"), everywhere, "{}", server.out());
        assert_eq!(server.status_of("/health/live").await, 200, "{listen}");
    }
    let names = ["--email", "ada@example.org", "--first-name", "Ada", "--last-name", "Byron"];
    let created = sandbox.run(&[&["admin", "create", "--listen", "0.0.0.0:8000"][..], &names].concat()).await;
    assert!(created.out.contains("http://localhost:8000/activate#"), "{created:?}");
}

#[tokio::test]
async fn secrets_can_come_from_files_and_secrets_in_flags_cause_a_warning() {
    let sandbox = Sandbox::on_sqlite();
    let key = "A".repeat(43);
    for (name, secret) in [
        ("database", "sqlite://elsewhere/roster.db\n"),
        ("standby", "postgres://roster:hunter-2@127.0.0.1:1/roster\n"),
        ("relay", " smtps://ann:hunter-2@mail.example.org\r\n"),
        ("wrong", "mysql://roster:hunter-2@127.0.0.1/roster"),
        ("key", &key),
    ] {
        std::fs::write(sandbox.path(name), secret).unwrap();
        set_mode(&sandbox.path(name), 0o600);
    }
    let variables = [("DATABASE_URL_FILE", "database"), ("ROSTER_SMTP_URL_FILE", "relay")];
    let mut migrated = sandbox.start(sandbox.command(&["migrate"]).envs(variables), "");
    assert_eq!((migrated.code().await, migrated.err().as_str()), (0, ""));
    assert!(sandbox.path("elsewhere/roster.db").exists() && !sandbox.path("roster-data").exists());
    let doctor = sandbox.run(&["doctor", "--database-url-file", "database", "--smtp-url-file", "relay"]).await;
    assert!(doctor.out.contains("elsewhere/roster.db") && doctor.out.contains("smtps://ann:***@mail"), "{doctor:?}");
    assert_eq!((doctor.code, doctor.err.as_str()), (0, ""));

    let both =
        sandbox.run(&["doctor", "--database-url-file", "database", "--database-url", "sqlite://x/roster.db"]).await;
    assert!(both.code == 2 && both.err.contains("--database-url-file"), "{both:?}");
    let url = "postgres://roster@127.0.0.1:1/roster";
    let both = sandbox.run(&["doctor", "--read-url-file", "standby", "--read-url", url]).await;
    assert!(both.code == 2 && both.err.contains("--read-url-file"), "{both:?}");
    let arguments = ["doctor", "--database-url-file", "database", "--read-url-file", "standby"];
    let standby = sandbox.run(&arguments).await;
    assert_eq!((standby.code, standby.err.as_str()), (1, ""));
    let reason = "--read-url-file (ROSTER_READ_URL_FILE): SQLite has no standby";
    for printed in ["roster:***@127.0.0.1:1/roster; ", reason] {
        assert!(standby.out.contains(printed), "{printed}: {standby:?}");
    }
    for flag in ["--database-url-file", "--read-url-file", "--smtp-url-file"] {
        let wrong = sandbox.run(&["doctor", flag, "wrong"]).await;
        assert!(wrong.code == 2 && wrong.err.contains(flag) && wrong.err.contains("wrong: expected "), "{wrong:?}");
        assert!(!wrong.err.contains("hunter"), "{wrong:?}");
    }

    for (flag, name) in [
        ("--database-url-file", "database"),
        ("--read-url-file", "standby"),
        ("--smtp-url-file", "relay"),
        ("--key-file", "key"),
    ] {
        for (mode, is_open) in [(0o644, true), (0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
            set_mode(&sandbox.path(name), mode);
            let doctor = sandbox.run(&["doctor", flag, name]).await;
            let warning = format!("{flag} {name}: other users can read this file (mode {mode:04o})");
            assert_eq!(doctor.err.contains(&warning), is_open, "{mode:o} {doctor:?}");
        }
    }

    // As systemd shows the access list of a credential.
    set_mode(&sandbox.path("key"), 0o440);
    let warnings = async |dir: &str| {
        let mut command = sandbox.command(&["doctor", "--key-file"]);
        let command = command.arg(sandbox.path("key")).env("CREDENTIALS_DIRECTORY", sandbox.path(dir));
        let mut doctor = sandbox.start(command, "");
        doctor.code().await;
        doctor.err().matches("other users can read this file").count()
    };
    assert_eq!((warnings(".").await, warnings("elsewhere").await), (0, 1));
    set_mode(&sandbox.path("key"), 0o444);
    assert_eq!(warnings(".").await, 1, "everybody can read it");

    let shown = [
        ["--key", &key],
        ["--smtp-url", "smtps://ann:hunter-2@mail.example.org"],
        ["--database-url", "postgres://roster:hunter-2@127.0.0.1:1/roster"],
        ["--read-url", "postgres://roster:hunter-2@127.0.0.1:1/roster"],
    ];
    for [flag, value] in shown {
        for arguments in [["doctor", flag, value], [flag, value, "doctor"]] {
            let warned = sandbox.run(&arguments).await.err;
            let warning = warned.lines().find(|line| line.contains("list of processes"));
            assert!(warning.is_some_and(|line| line.contains("WARN") && line.contains(flag)), "{flag}: {warned}");
            assert!(!warned.contains("hunter") && !warned.contains(&key), "{warned}");
        }
    }
    for arguments in [["--smtp-url", "smtps://mail.example.org"], ["--database-url", "sqlite://elsewhere/roster.db"]] {
        assert_eq!(sandbox.run(&[&["doctor"][..], &arguments].concat()).await.err, "");
    }
    let mut by_variable = sandbox.start(sandbox.command(&["doctor"]).env("ROSTER_KEY", &key), "");
    assert_eq!((by_variable.code().await, by_variable.err().as_str()), (0, ""));
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_unchanged() {
    let sandbox = Sandbox::on_sqlite();
    std::fs::create_dir(sandbox.path("roster-data")).unwrap();
    let file = sandbox.path("roster-data/roster.db");
    std::fs::write(&file, "Anything but a database.\n".repeat(100)).unwrap();
    set_mode(&file, 0o644);
    let failed = sandbox.run(&["--listen", "127.0.0.1:0"]).await;
    assert!(failed.code == 1 && failed.err.contains("file is not a database"), "{failed:?}");
    assert_eq!((mode(&file), std::fs::read(&file).unwrap().len()), (0o644, 2_500));
}

#[tokio::test]
async fn help_documents_each_setting_with_its_variable_and_default() {
    let sandbox = Sandbox::on_sqlite();
    let help = sandbox.run(&["--help", "--all"]).await;
    assert_eq!(help.code, 0);
    let operations = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    for (flag, variable, default) in SETTINGS {
        let entry = help.out.split("\n      --").find(|entry| format!("--{entry}").starts_with(&format!("{flag} ")));
        let entry = entry.unwrap_or_else(|| panic!("{flag} is not documented\n{}", help.out));
        assert!(entry.contains(&format!("[env: {variable}")), "{entry}");
        assert!(entry.contains(&format!("[default: {default}")), "{entry}");
        let row = operations.lines().find(|line| line.starts_with("| `--") && line.contains(&format!("`{flag} ")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("`{variable}`"))),
            "{flag} is not in docs/operations.md: {row:?}"
        );
    }
    let named = help.out.matches("[env: ").count();
    assert_eq!(named, SETTINGS.len(), "a setting is missing in `SETTINGS`");
    let commands = [
        "serve",
        "demo",
        "schema",
        "migrate",
        "import",
        "export",
        "invite",
        "admin",
        "license",
        "audit",
        "backup",
        "restore",
        "health",
        "completions",
        "man",
        "doctor",
    ];
    for command in commands {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}");
        assert_eq!(sandbox.run(&[command, "--help"]).await.code, 0);
    }
}

#[tokio::test]
async fn help_lists_all_settings_only_if_asked() {
    let sandbox = Sandbox::on_sqlite();
    let help = async |arguments: &[&str]| {
        let printed = sandbox.run(arguments).await;
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{arguments:?}");
        printed.out
    };
    let settings = |help: &str| SETTINGS.iter().filter(|(flag, ..)| help.contains(&format!("{flag} <"))).count();
    for arguments in [&["--help"][..], &["-h"], &["help"], &["backup", "--help"], &["help", "backup"]] {
        let short = help(arguments).await;
        assert!(settings(&short) == 5 && short.contains("--data-dir <DIR>"), "{arguments:?}: {short}");
        assert!(short.contains("`--help --all`") && short.lines().count() < 70, "{arguments:?}: {short}");
        assert_eq!(short.contains("--encrypt"), arguments.contains(&"backup"), "{short}");
        let all = help(&[arguments, &["--all"]].concat()).await;
        assert!(settings(&all) == SETTINGS.len() && !all.contains("--help --all"), "{arguments:?}: {all}");
    }
    let first = help(&["--all", "backup", "--help"]).await;
    assert!(settings(&first) == SETTINGS.len() && first.contains("--encrypt"), "{first}");
    let without_help = sandbox.run(&["--all"]).await;
    assert!(without_help.code == 2 && without_help.err.contains("unexpected argument '--all'"), "{without_help:?}");
}

#[tokio::test]
async fn completions_and_the_manual_page_have_all_settings() {
    let sandbox = Sandbox::on_sqlite();
    let fish = sandbox.run(&["completions", "fish"]).await;
    let man = sandbox.run(&["man"]).await;
    assert_eq!((fish.code, man.code), (0, 0));
    for (flag, variable, _) in SETTINGS {
        let name = flag.trim_start_matches('-');
        assert!(fish.out.contains(&format!("-l {name} ")), "{flag}");
        assert!(man.out.contains(variable), "{variable}");
    }
    for shell in ["bash", "zsh", "powershell", "elvish"] {
        let script = sandbox.run(&["completions", shell]).await;
        assert!(script.code == 0 && script.out.contains("--tls-cert"), "{shell}: {script:?}");
    }
    assert_eq!(sandbox.run(&["completions", "cmd"]).await.code, 2);
}
