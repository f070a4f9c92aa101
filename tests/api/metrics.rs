//! Metrics: what they count, and where they are served.

#![expect(clippy::float_cmp, reason = "the numbers are whole")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use roster::audit::sealer::SealerMetrics;
use roster::backup::metrics::BackupMetrics;
use roster::http::HttpMetrics;
use roster::mail::MailMetrics;
use roster::metrics::{Metrics, Sources};
use roster::search_index::SearchIndex;
use roster::session::SignInMetrics;
use serde_json::json;

use crate::app::{App, PASSWORD, hasher};
use crate::exposition::Exposition;
use crate::process::{ADMIN, Process, Sandbox, until};
use crate::socket::Socket;
use crate::sse::EventStream;

pub const MEASURED: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];
const FOLLOW: &str = "subscription { changes { nodeId kind } }";

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
    Metrics::new(Sources {
        backups: Some(BackupMetrics::new(Duration::from_hours(6))),
        search_index: SearchIndex::new(&db),
        db,
        hasher: hasher(),
        http: HttpMetrics::default(),
        mails: MailMetrics::default(),
        sealer: SealerMetrics::default(),
        sign_ins: SignInMetrics::default(),
    })
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

/// Labels have few values: the codes of errors, and names in the source.
#[tokio::test]
async fn labels_have_few_values() {
    let app = App::on_sqlite().await;
    let metrics = idle(app.db.clone());
    let scraped = Exposition::parse(&metrics.text());
    let names: BTreeSet<&str> = scraped.labels().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BTreeSet::from(["bound", "le", "operation", "outcome", "pool", "version"]));
    assert!(scraped.labels().len() < 60, "{:?}", scraped.labels());
}

/// `promtool`, the program of Prometheus, has no complaint, if it is installed.
#[tokio::test]
async fn promtool_accepts_the_metrics_and_the_alerts() {
    if Command::new("promtool").arg("--version").output().is_err() {
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
