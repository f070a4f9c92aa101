//! Metrics: what they count, and where they are served.

#![expect(clippy::float_cmp, reason = "the numbers are whole")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use roster::audit::sealer::SealerMetrics;
use roster::backup::metrics::BackupMetrics;
use roster::http::{HttpMetrics, ServerSettings, hash_of};
use roster::mail::MailMetrics;
use roster::metrics::{Metrics, Sources};
use roster::search_index::SearchIndex;
use roster::session::SignInMetrics;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::{App, PASSWORD, hasher};
use crate::exposition::Exposition;
use crate::process::{ADMIN, Process, Sandbox, until};
use crate::programs::is_installed;
use crate::socket::Socket;
use crate::sse::EventStream;
use crate::toy::{ToyServer, settings};

pub const MEASURED: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];
const FOLLOW: &str = "subscription { changes { nodeId kind } }";
const TRUSTED: &str = "roster_trusted_operations_total";

/// The URL of the metrics.
fn url(server: &Process) -> String {
    let out = server.out();
    let rest = out.split("Metrics are served on ").nth(1).unwrap_or_else(|| panic!("{out}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The text of the metrics.
async fn text(server: &Process) -> String {
    let response = reqwest::get(url(server)).await.unwrap();
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

pub async fn scrape(server: &Process) -> Exposition {
    Exposition::parse(&text(server).await)
}

/// Waits until a series has a value.
async fn until_value(server: &Process, name: &str, value: f64) {
    let reached = until(|| async { (scrape(server).await.sum(name) == value).then_some(()) }).await;
    assert!(reached.is_some(), "{name} is not {value}: {}", scrape(server).await.sum(name));
}

/// The metrics of a server that does nothing, with a schedule of backups.
fn idle(db: roster::db::Db) -> Metrics {
    with_http(db, HttpMetrics::default())
}

/// The metrics of a server whose HTTP server counts in these.
fn with_http(db: roster::db::Db, http: HttpMetrics) -> Metrics {
    Metrics::new(Sources {
        backups: Some(BackupMetrics::new(Duration::from_hours(6))),
        search_index: SearchIndex::new(&db),
        db,
        hasher: hasher(),
        http,
        mails: MailMetrics::default(),
        sealer: SealerMetrics::default(),
        sign_ins: SignInMetrics::default(),
    })
}

/// Publishes a manifest of trusted documents.
async fn publish(sandbox: &Sandbox, manifest: &Value) {
    std::fs::write(sandbox.path("manifest.json"), manifest.to_string()).unwrap();
    let published = sandbox.run(&["documents", "publish", "manifest.json"]).await;
    assert_eq!(published.code, 0, "{published:?}");
}

/// Words in a text that look like names of our metrics.
fn names_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words.filter(|word| word.starts_with("roster_") || word.starts_with("process_")).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

in_every_sandbox! {
    async fn requests_sign_ins_and_hashes_are_counted_as_they_happened(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&MEASURED).await;
        let before = scrape(&server).await;
        let root = server.sign_in(ADMIN).await;
        for _ in 0..3 {
            root.data("query Zebra { viewer { id } }", json!({})).await;
        }
        for _ in 0..2 {
            assert_eq!(server.login(ADMIN, "wrong-brass-otters-waltz").await["success"], json!(false));
            root.try_execute("{ foreign }", &json!({})).await.unwrap();
        }
        assert_eq!(server.status_of("/health/live").await, 200);
        assert_eq!(server.status_of("/nowhere").await, 404);
        let text = text(&server).await;
        let after = Exposition::parse(&text);

        let requests = "roster_requests_total";
        let increase = |name: &str, labels: &[(&str, &str)]| after.value(name, labels) - before.value(name, labels);
        let counted = |operation, outcome| increase(requests, &[("operation", operation), ("outcome", outcome)]);
        assert_eq!(counted("query", "ok"), 3.0, "{text}");
        assert_eq!(counted("mutation", "ok"), 3.0, "{text}");
        assert_eq!(counted("other", "ok"), 1.0, "{text}");
        assert_eq!(counted("other", "NOT_FOUND"), 1.0, "{text}");
        assert_eq!(counted("other", "GRAPHQL_VALIDATION_FAILED"), 2.0, "{text}");
        assert_eq!(after.sum(requests) - before.sum(requests), 10.0, "nothing else: {text}");
        let durations = "roster_request_duration_seconds_count";
        assert_eq!(after.sum(durations) - before.sum(durations), 10.0, "{text}");
        let sign_ins = |outcome| increase("roster_sign_ins_total", &[("outcome", outcome)]);
        assert_eq!((sign_ins("ok"), sign_ins("INVALID_CREDENTIALS")), (1.0, 2.0), "{text}");
        assert_eq!(increase("roster_password_hash_duration_seconds_count", &[]), 3.0, "{text}");
        assert_eq!(increase("roster_password_hash_wait_seconds_count", &[]), 3.0, "{text}");
        assert!(increase("roster_database_statements_total", &[]) > 0.0, "{text}");
        for private in ["Zebra", "zebra", "127.0.0.1", "example.org", "/nowhere"] {
            assert!(!text.contains(private), "{private}: {text}");
        }
    }

    async fn refusals_are_counted_by_their_limit(sandbox: Sandbox) {
        let server = sandbox.serve(&MEASURED).await;
        let before = scrape(&server).await;
        let client = reqwest::Client::new();
        let long = client.post(server.url("/graphql")).header("content-type", "application/json");
        assert_eq!(long.body(" ".repeat(300 * 1024)).send().await.unwrap().status(), 413);
        let after = scrape(&server).await;
        let refused = "roster_refusals_total";
        assert_eq!(after.value(refused, &[("bound", "body")]) - before.value(refused, &[("bound", "body")]), 1.0);
        assert_eq!(after.sum(refused) - before.sum(refused), 1.0);
        assert_eq!(after.value("roster_requests_total", &[("operation", "other"), ("outcome", "PAYLOAD_TOO_LARGE")]), 1.0);
    }

    async fn requests_for_trusted_documents_are_counted_by_the_names_of_their_operations(sandbox: Sandbox) {
        let me = "query Me { viewer { id } }";
        let two = "query First { __typename } query Second($id: ID!) { node(id: $id) { id } }";
        let odd = "a, \"b\" {c}=\\\n";
        let long = "x".repeat(150);
        let manifest = json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "me", "name": "Me", "body": me },
            { "id": "two", "name": "Two", "body": two },
            { "id": "unnamed", "body": "{ __typename }" },
            { "id": "odd", "name": odd, "body": "{ viewer { id } }" },
            { "id": "long", "name": long, "body": "{ viewer { __typename } }" },
        ] });
        publish(&sandbox, &manifest).await;
        let server = sandbox.serve(&MEASURED).await;
        let client = reqwest::Client::new();
        let by_hash = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash_of(me) } });
        for (body, status) in [
            (json!({ "documentId": "me" }), 200),
            (json!({ "extensions": by_hash }), 200),
            (json!({ "documentId": "two", "operationName": "First" }), 200),
            (json!({ "documentId": "two", "operationName": "Second" }), 400),
            (json!({ "documentId": "two", "operationName": "Zebra" }), 400),
            (json!({ "documentId": "unnamed" }), 200),
            (json!({ "documentId": "odd" }), 200),
            (json!({ "documentId": "long" }), 200),
            // These are not trusted.
            (json!({ "documentId": "Zebra" }), 400),
            (json!({ "query": "query Zebra { viewer { id } }" }), 200),
            (json!({ "query": me }), 200),
        ] {
            let response = client.post(server.url("/graphql")).json(&body).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{body}");
        }
        let text = text(&server).await;
        let after = Exposition::parse(&text);
        let durations = "roster_trusted_operation_duration_seconds";
        for (operation, outcome, number) in [
            ("Me", "ok", 2.0),
            ("First", "ok", 1.0),
            ("Second", "BAD_USER_INPUT", 1.0),
            ("Two", "OPERATION_RESOLUTION_FAILURE", 1.0),
            ("unnamed", "ok", 1.0),
            (odd, "ok", 1.0),
            (long.get(..100).unwrap(), "ok", 1.0),
            ("other", "ok", 0.0),
        ] {
            let labels = [("operation", operation), ("outcome", outcome)];
            assert_eq!(after.value(TRUSTED, &labels), number, "{operation}: {text}");
            assert_eq!(after.value(&format!("{durations}_count"), &labels[..1]), number, "{operation}: {text}");
        }
        assert_eq!((after.sum(TRUSTED), after.sum(&format!("{durations}_count"))), (8.0, 8.0), "{text}");
        assert!(after.sum(&format!("{durations}_sum")) > 0.0, "{text}");
        // The operation is known although its variables are wrong.
        let rejected = [("operation", "query"), ("outcome", "BAD_USER_INPUT")];
        assert_eq!(after.value("roster_requests_total", &rejected), 1.0, "{text}");
        assert!(!text.contains("Zebra"), "{text}");
    }

    async fn open_connections_sockets_and_subscriptions_are_measured(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&MEASURED).await;
        let token = server.sign_in(ADMIN).await.token.unwrap();
        let body = json!({ "query": FOLLOW });
        let mut stream = EventStream::open(&server.url("/graphql"), Some(&token), &body, None).await;
        stream.begin().await;
        let mut socket = Socket::initialised(server.address().parse().unwrap(), &token).await;
        for id in ["1", "2"] {
            socket.subscribe(id, FOLLOW, json!({})).await;
        }
        for (name, value) in [("roster_event_streams", 1.0), ("roster_websockets", 1.0), ("roster_subscriptions", 3.0)] {
            until_value(&server, name, value).await;
        }
        assert!(scrape(&server).await.sum("roster_connections") >= 2.0);
        socket.send(&json!({ "type": "complete", "id": "1" })).await;
        until_value(&server, "roster_subscriptions", 2.0).await;
        drop((stream, socket));
        for name in ["roster_event_streams", "roster_websockets", "roster_subscriptions"] {
            until_value(&server, name, 0.0).await;
        }
    }

    async fn the_search_index_is_measured(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&MEASURED).await;
        until_value(&server, "roster_search_index_users", 1.0).await;
        let root = server.sign_in(ADMIN).await;
        let input = json!({ "firstName": "Ann", "lastName": "Moss", "username": "ann", "password": PASSWORD });
        let create = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";
        let before = scrape(&server).await.value("roster_search_index_bytes", &[]);
        assert_eq!(root.data(create, json!({ "input": input })).await["createUser"]["success"], json!(true));
        until_value(&server, "roster_search_index_users", 2.0).await;
        let after = scrape(&server).await;
        assert!(after.value("roster_search_index_bytes", &[]) > before);
        assert!(after.value("roster_search_index_lag_seconds", &[]) >= 0.0);
        assert!(after.value("roster_search_index_load_seconds", &[]) > 0.0);
        assert_eq!(after.value("roster_search_index_from_file", &[]), 0.0);
    }

    async fn emails_are_counted(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&MEASURED).await;
        let root = server.sign_in(ADMIN).await;
        let create = r#"mutation { createUser(input: { firstName: "Ann", lastName: "B", email: "ann@example.org" }) { success } }"#;
        assert_eq!(root.data(create, json!({})).await["createUser"]["success"], json!(true));
        let sent = until(|| async {
            let sent = scrape(&server).await.value("roster_mails_total", &[("outcome", "sent")]);
            (sent > 0.0).then_some(sent)
        });
        assert_eq!(sent.await, Some(1.0));
    }

    async fn the_listener_of_the_metrics_answers_nothing_else(sandbox: Sandbox) {
        let server = sandbox.serve(&MEASURED).await;
        let (client, metrics) = (reqwest::Client::new(), url(&server));
        let root = metrics.strip_suffix("/metrics").unwrap();
        for path in ["/", "/graphql", "/health/live", "/metrics/", "/metrics/x", "/Metrics"] {
            assert_eq!(client.get(format!("{root}{path}")).send().await.unwrap().status(), 404, "{path}");
        }
        assert_eq!(client.post(&metrics).send().await.unwrap().status(), 405);
        let head = client.head(&metrics).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap().len()), (200, 0));
        assert_eq!(server.status_of("/metrics").await, 404);
        assert!(metrics.starts_with("http://127.0.0.1:"), "{metrics}");
    }

    async fn no_metrics_are_served_by_default(sandbox: Sandbox) {
        let server = sandbox.serve(&[]).await;
        assert!(!server.out().contains("Metrics"), "{}", server.out());
        assert_eq!(server.status_of("/metrics").await, 404);
    }
}

on_every_database! {
    async fn a_scrape_sends_no_statement(app: App) {
        app.user().await.data("{ viewer { id } }", json!({})).await;
        let metrics = idle(app.db.clone());
        let before = app.db.statements();
        for _ in 0..10 {
            let scraped = Exposition::parse(&metrics.text());
            assert_eq!(scraped.value("roster_database_statements_total", &[]), f64::from(u32::try_from(before).unwrap()));
            assert!(scraped.value("roster_database_connections", &[("pool", "read")]) >= 1.0);
            for pool in ["read", "background", "write"] {
                let value = |name: &str| scraped.value(&format!("roster_database_connections{name}"), &[("pool", pool)]);
                assert!(value("_idle") <= value("") && value("") <= value("_max") && value("_max") >= 1.0, "{pool}");
                assert_eq!(value("_waiting"), 0.0, "{pool}");
            }
        }
        assert_eq!(app.db.statements(), before);
    }
}

#[tokio::test]
async fn a_busy_port_of_the_metrics_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sandbox = Sandbox::on_sqlite();
    let failed = sandbox.run(&["--listen", "127.0.0.1:0", "--metrics-listen", &address]).await;
    assert!(failed.code == 1 && failed.err.contains("--metrics-listen") && failed.err.contains(&address), "{failed:?}");
}

/// The documentation has every metric, with its type; the dashboard and the alerts use no others.
#[tokio::test]
async fn the_documentation_the_dashboard_and_the_alerts_name_metrics_that_exist() {
    let app = App::on_sqlite().await;
    let scraped = Exposition::parse(&idle(app.db.clone()).text());
    let documented: BTreeSet<(String, String)> = file("docs/operations.md")
        .lines()
        .filter(|line| line.starts_with("| `roster_") || line.starts_with("| `process_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`').split('{').next().unwrap();
            (name.to_owned(), cells[2].to_owned())
        })
        .collect();
    let actual: BTreeSet<(String, String)> = scraped.types.clone().into_iter().collect();
    assert_eq!(documented, actual, "docs/operations.md");
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/roster.json"] {
        let text = file(path);
        let used = names_in(&text);
        assert!(used.len() > 10, "{path}: {used:?}");
        for name in used {
            let is_part = |suffix: &str| {
                name.strip_suffix(suffix)
                    .is_some_and(|family| scraped.types.get(family).is_some_and(|kind| kind == "histogram"))
            };
            let exists = scraped.types.contains_key(name) || ["_bucket", "_sum", "_count"].into_iter().any(is_part);
            assert!(exists, "{path}: {name}");
        }
    }
    serde_json::from_str::<serde_json::Value>(&file("deploy/grafana/roster.json")).unwrap();
}

/// Requests whose response, if any, is not that of the operation.
#[tokio::test]
async fn trusted_operations_that_do_not_end_are_counted_by_their_names() {
    let (app, http) = (App::on_sqlite().await, HttpMetrics::default());
    let metrics = with_http(app.db.clone(), http.clone());
    let counted = |outcome: &str| {
        let scraped = Exposition::parse(&metrics.text());
        let by = |operation| [("operation", operation), ("outcome", outcome)];
        (scraped.value(TRUSTED, &by("Held")), scraped.value("roster_requests_total", &by("query")))
    };
    let path = "/graphql?documentId=held";
    let server = ToyServer::start_with(ServerSettings { metrics: http.clone(), ..settings() }, true).await;
    let mut client = server.client.connect().await;
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let started = until(|| async { (server.counts.started.load(SeqCst) == 1).then_some(()) }).await;
    assert!(started.is_some());
    drop(client);
    let left = until(|| async { (counted("disconnected") == (1.0, 1.0)).then_some(()) }).await;
    assert!(left.is_some(), "{:?}", counted("disconnected"));

    // Long enough for the request to start.
    let request_deadline = Duration::from_secs(2);
    let server = ToyServer::start_with(ServerSettings { request_deadline, metrics: http, ..settings() }, true).await;
    assert_eq!(server.client.get(path).await.status, 504);
    assert_eq!(counted("DEADLINE_EXCEEDED"), (1.0, 1.0));
}

/// An operator may publish any number of documents over time.
#[tokio::test]
async fn at_most_500_trusted_operations_have_labels_of_their_own() {
    let sandbox = Sandbox::on_sqlite();
    let name = |document: usize, number: usize| format!("Many{document}x{number}");
    let text = |document: usize| {
        let operations = (0..85).map(|number| format!("query {} {{ __typename }}", name(document, number)));
        operations.collect::<Vec<_>>().join(" ")
    };
    let mut manifest: BTreeMap<String, String> =
        (0..6_usize).map(|document| (document.to_string(), text(document))).collect();
    manifest.insert("unnamed".to_owned(), "{ __typename }".to_owned());
    publish(&sandbox, &json!(manifest)).await;
    let server = sandbox.serve(&MEASURED).await;
    let all = (0..6_usize).flat_map(|document| (0..85).map(move |number| (document, number)));
    for (document, number) in all.chain([(0, 0)]) {
        let path = format!("/graphql?documentId={document}&operationName={}", name(document, number));
        assert_eq!(server.status_of(&path).await, 200, "{path}");
    }
    assert_eq!(server.status_of("/graphql?documentId=unnamed").await, 200);
    let scraped = scrape(&server).await;
    let counted = |operation| scraped.value(TRUSTED, &[("operation", operation), ("outcome", "ok")]);
    assert_eq!((counted("Many0x0"), counted("Many5x0"), counted("Many5x84")), (2.0, 1.0, 0.0));
    assert_eq!((counted("other"), counted("unnamed"), scraped.sum(TRUSTED)), (10.0, 1.0, 512.0));
    let labels = scraped.labels().into_iter().filter(|(_, value)| value.starts_with("Many"));
    assert_eq!(labels.count(), 500);
}

/// Labels have few values: the codes of errors, and names in the source. The names of trusted operations, whose number
/// is limited, come with requests.
#[tokio::test]
async fn labels_have_few_values() {
    let app = App::on_sqlite().await;
    let metrics = idle(app.db.clone());
    let scraped = Exposition::parse(&metrics.text());
    let names: BTreeSet<&str> = scraped.labels().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BTreeSet::from(["bound", "le", "operation", "outcome", "pool", "version"]));
    assert!(scraped.labels().len() < 60, "{:?}", scraped.labels());
}

/// `promtool`, the program of Prometheus, has no complaint.
#[tokio::test]
async fn promtool_accepts_the_metrics_and_the_alerts() {
    if !is_installed("promtool", &["--version"]) {
        return;
    }
    let app = App::on_sqlite().await;
    let mut promtool = Command::new("promtool");
    let mut check = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(idle(app.db.clone()).text().as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(alerts).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
