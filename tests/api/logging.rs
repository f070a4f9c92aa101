//! The log, and what is printed beside it: its format, the lines of the start and of sign-ins, traces, and closed pipes.

use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox, until};
use crate::toy::ToyServer;

const WRONG: &str = "wrong-brass-otters-waltz";

/// The expressions of the filter for fail2ban, in the syntax of the crate `regex`.
fn fail2ban_filter() -> Vec<Regex> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/fail2ban/filter.d/roster.conf");
    let filter = std::fs::read_to_string(path).unwrap();
    let expressions = filter.split("failregex = ").nth(1).unwrap().split("ignoreregex").next().unwrap();
    let address = "(?P<host>[0-9A-Fa-f:.]+)";
    let expression = |line: &str| Regex::new(&line.trim().replace("<HOST>", address).replace("%%", "%")).unwrap();
    expressions.lines().filter(|line| !line.trim().is_empty()).map(expression).collect()
}

/// The address that fail2ban finds in a line.
fn blocked(filter: &[Regex], line: &str) -> Option<String> {
    filter.iter().find_map(|expression| Some(expression.captures(line)?["host"].to_owned()))
}

/// Signs in wrongly twice, in other ways that fail, and once rightly.
async fn sign_in_in_many_ways(server: &Process) {
    for login in [ADMIN, "nobody@example.org"] {
        assert_eq!(server.login(login, WRONG).await["success"], json!(false));
    }
    let without_secret = r#"mutation { login(input: { login: "nobody@example.org" }) { success } }"#;
    assert_eq!(server.caller(None).data(without_secret, json!({})).await["login"]["success"], json!(false));
    assert_eq!(server.login(ADMIN, PASSWORD).await["success"], json!(true));
    let forged = "query WARN { __typename }";
    server.caller(None).data(forged, json!({})).await;
}

/// Every line of a log as JSON.
fn parsed(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

in_every_sandbox! {
    async fn failed_sign_ins_are_logged_for_fail2ban(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let filter = fail2ban_filter();
        for format in ["text", "json"] {
            let server = sandbox.begin(&["--log-format", format]);
            until(|| async { (server.out() + &server.err()).contains("Roster listens on http://").then_some(()) }).await.unwrap();
            sign_in_in_many_ways(&server).await;
            let log = server.err();
            let failed: Vec<&str> = log.lines().filter(|line| line.contains("sign-in failed")).collect();
            assert_eq!(failed.len(), 3, "{log}");
            let found: Vec<&str> = log.lines().filter(|line| blocked(&filter, line).is_some()).collect();
            assert_eq!(found.len(), 2, "{log}");
            for line in found {
                assert_eq!(blocked(&filter, line).as_deref(), Some("127.0.0.1"), "{line}");
                // As fail2ban sees it: without its date, or in the journal.
                let (date, rest) = line.split_once('Z').unwrap();
                let without_date = date.replace(|c: char| c.is_ascii_digit() || "-:.T".contains(c), "") + rest;
                assert!(format == "json" || blocked(&filter, &without_date).is_some(), "{without_date}");
                assert!(blocked(&filter, &format!("host roster[42]: {line}")).is_some(), "{line}");
            }
            assert!(!log.contains(ADMIN) && !log.contains("nobody") && !log.contains(WRONG), "{log}");
        }
    }

    async fn a_login_is_logged_as_the_same_pseudonym_each_time(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        for login in [ADMIN, "nobody@example.org", ADMIN, "ROOT@alder.example.org"] {
            server.login(login, WRONG).await;
        }
        let log = server.err();
        let pseudonyms: Vec<&str> =
            log.lines().filter(|line| line.contains("sign-in failed")).map(|line| line.split("login=").nth(1).unwrap()).collect();
        assert_eq!(pseudonyms.len(), 4, "{log}");
        assert!(pseudonyms[0] == pseudonyms[2] && pseudonyms[0] == pseudonyms[3], "{pseudonyms:?}");
        assert_ne!(pseudonyms[0], pseudonyms[1]);
    }

    async fn start_and_stop_are_logged(sandbox: Sandbox) {
        let mut server = sandbox.serve(&[]).await;
        server.signal("TERM");
        assert_eq!(server.code().await, 0);
        let log = server.err();
        let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {log}")).to_owned();
        let started = line("started version=");
        let database = if sandbox.is_sqlite() { "sqlite://" } else { "postgres://" };
        for part in [env!("CARGO_PKG_VERSION"), "listen=127.0.0.1:", database] {
            assert!(started.contains(part), "{part}: {started}");
        }
        line("stopping");
        line("stopped");
    }

    async fn with_a_log_of_json_nothing_else_is_printed(sandbox: Sandbox) {
        let mut server = sandbox.begin(&["--log-format", "json", "--metrics-listen", "127.0.0.1:0"]);
        server.wait_for_log("Roster listens on http://").await;
        assert_eq!(server.status_of("/health/ready").await, 200);
        server.signal("TERM");
        assert_eq!((server.code().await, server.out().as_str()), (0, ""));
        let lines = parsed(&server.err());
        let messages: Vec<&str> = lines.iter().filter_map(|line| line["fields"]["message"].as_str()).collect();
        for text in ["There is no administrator yet", "--holder \"Your organization\"", "Roster listens on", "Metrics are served on", "emails are written to", "started", "stopped"] {
            assert!(messages.iter().any(|message| message.contains(text)), "{text}: {messages:?}");
        }
        let failed = sandbox.run(&["--log-format", "json", "--registration", "unknown", "--listen", "127.0.0.1:0"]).await;
        assert_eq!((failed.code, failed.out.as_str()), (2, ""));
        let error = parsed(&failed.err).into_iter().find(|line| line["level"] == "ERROR").unwrap();
        assert!(error["fields"]["message"].as_str().unwrap().contains("--registration unknown"), "{error}");
    }

    async fn commands_end_well_if_nobody_reads_their_output(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        for arguments in [&["doctor"][..], &["schema"], &["migrate"], &["license", "list"], &["audit", "verify"], &["--help"]] {
            let expected = sandbox.run(arguments).await;
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = sandbox.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
            assert!(output.status.code() == Some(expected.code) && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        }
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = sandbox.command(&["schema"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "a full disk is an error: {output:?}");
    }

    async fn a_server_runs_on_if_nobody_reads_its_output(sandbox: Sandbox) {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let [(out, stdout), (err, stderr)] = [std::io::pipe().unwrap(), std::io::pipe().unwrap()];
        drop((out, err));
        let mut command: Command = sandbox.command(&["--listen", &address]);
        let mut server = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        let url = format!("http://{address}/graphql?query=%7B__typename%7D");
        let answer = until(|| async { Some(reqwest::get(&url).await.ok()?.status().as_u16()) }).await;
        let again = reqwest::get(&url).await.map(|response| response.status().as_u16());
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!((answer, again.ok()), (Some(200), Some(200)));
    }
}

#[test]
fn no_line_of_the_log_has_an_error_as_rust_prints_it_for_debugging() {
    let debugged = Regex::new(r"tracing::\w+!\([^;]*\?(?:\w+\.)*(?:cause|errors?)\b").unwrap();
    assert!(debugged.is_match("tracing::warn!(?error, times, \"failed\")"));
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            read += 1;
            let found = debugged.find(&text).map(|found| found.as_str());
            assert_eq!(found, None, "{}: log error.for_log()", path.display());
        }
    }
    assert!(read > 150, "only {read} files were read");
}

/// The parts of a `traceparent`.
fn parts(traceparent: &str) -> Vec<&str> {
    traceparent.split('-').collect()
}

#[tokio::test]
async fn a_trace_is_continued_or_begun() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let server = ToyServer::start().await;
    let body = br#"{"query":"{hello}"}"#;
    let continued = server.client.post(&format!("traceparent: {PARENT}\r\n"), body).await;
    let continued = continued.header("traceparent").unwrap().to_owned();
    let (sent, given) = (parts(PARENT), parts(&continued));
    assert_eq!((given[0], given[1], given[3]), (sent[0], sent[1], sent[3]), "{continued}");
    assert!(given[2] != sent[2] && given[2].len() == 16, "{continued}");

    let mut begun = Vec::new();
    for headers in
        ["", "traceparent: 00-x-y-01\r\n", "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n"]
    {
        let response = server.client.post(headers, body).await;
        let traceparent = response.header("traceparent").unwrap().to_owned();
        assert!(parts(&traceparent)[1].len() == 32 && traceparent.ends_with("-00"), "{traceparent}");
        begun.push(parts(&traceparent)[1].to_owned());
    }
    assert!(begun[0] != begun[1] && begun[1] != begun[2] && !begun[2].contains("0000000000000000"), "{begun:?}");
    assert!(server.client.get("/nowhere").await.header("traceparent").is_some(), "errors have one, too");
}
