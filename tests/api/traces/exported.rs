//! What a collector receives. A collector of the test accepts everything and keeps it.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const PARENT: u64 = 0xb7ad_6b71_6920_3331;

struct Collector {
    url: String,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(receive(stream, Arc::clone(&kept)));
            }
        });
        Self { url, received }
    }

    fn has(&self, part: &[u8]) -> bool {
        self.received.lock().unwrap().windows(part.len()).any(|window| window == part)
    }
}

/// Receives the requests of a connection.
async fn receive(mut stream: TcpStream, kept: Arc<Mutex<Vec<u8>>>) {
    const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    let mut buffer = Vec::new();
    loop {
        let length = buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|end| {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let body = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            end + 4 + body.trim().parse::<usize>().unwrap()
        });
        match length {
            Some(length) if buffer.len() >= length => {
                kept.lock().unwrap().extend(buffer.drain(..length));
                stream.write_all(ACCEPTED).await.unwrap();
            }
            _ => {
                if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        }
    }
}

fn traceparent(trace: u128, flags: &str) -> String {
    format!("00-{trace:032x}-{PARENT:016x}-{flags}")
}

/// Sends a document in a trace. Returns the `traceparent` of the response.
async fn send(server: &Process, traceparent: &str, body: &serde_json::Value) -> String {
    let request = reqwest::Client::new().post(server.url("/graphql")).header("traceparent", traceparent);
    let response = request.json(body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    response.headers()["traceparent"].to_str().unwrap().to_owned()
}

async fn stop(server: &mut Process) {
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
}

in_every_sandbox! {
    async fn a_request_and_its_statements_are_exported_without_anything_that_its_caller_wrote(sandbox: Sandbox) {
        let collector = Collector::start().await;
        let sandbox = sandbox.with_admin().await;
        let mut server = sandbox.serve(&["--otlp-endpoint", &collector.url]).await;
        let query = "mutation ChosenName($input: LoginInput!) { chosenAlias: login(input: $input) { success } }";
        let body = json!({ "query": query, "variables": { "input": { "login": ADMIN, "password": PASSWORD } } });
        let answered = send(&server, &traceparent(TRACE, "01"), &body).await;
        assert!(answered.starts_with(&format!("00-{TRACE:032x}-")) && answered.ends_with("-01"), "{answered}");
        stop(&mut server).await;

        assert!(collector.has(&TRACE.to_be_bytes()) && collector.has(&PARENT.to_be_bytes()));
        let span = u64::from_str_radix(answered.split('-').nth(2).unwrap(), 16).unwrap();
        assert!(collector.has(&span.to_be_bytes()), "the span is the one of the response");
        for part in
            ["POST /v1/traces ", "service.name", "roster", "mutation", "roster.outcome", "SELECT ", "password hash"]
        {
            assert!(collector.has(part.as_bytes()), "{part} was not exported");
        }
        for chosen in [ADMIN, PASSWORD, "ChosenName", "chosenAlias", "WHERE"] {
            assert!(!collector.has(chosen.as_bytes()), "{chosen} was exported");
        }
    }
}

#[tokio::test]
async fn a_trace_that_its_caller_does_not_record_is_not_exported_and_one_that_begins_here_is() {
    let collector = Collector::start().await;
    let sandbox = Sandbox::on_sqlite();
    let mut server = sandbox.serve(&["--otlp-endpoint", &format!("{}/v1/traces/", collector.url)]).await;
    let body = json!({ "query": "{ __typename }" });
    assert_eq!(server.status_of("/health/live").await, 200);
    let unrecorded = send(&server, &traceparent(TRACE, "00"), &body).await;
    let begun = send(&server, "not a traceparent", &body).await;
    stop(&mut server).await;
    assert!(unrecorded.ends_with("-00") && begun.ends_with("-01"), "{unrecorded} {begun}");
    let trace = u128::from_str_radix(begun.split('-').nth(1).unwrap(), 16).unwrap();
    assert!(collector.has(&trace.to_be_bytes()) && collector.has(b"query"));
    assert!(!collector.has(&TRACE.to_be_bytes()) && !collector.has(b"GET"), "a health check is not exported");
}

#[tokio::test]
async fn a_collector_that_accepts_nothing_changes_no_response() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = Sandbox::on_sqlite();
    let mut server = sandbox.serve(&["--otlp-endpoint", &url]).await;
    let body = json!({ "query": "{ __typename }" });
    // More than are recorded at a time.
    for _ in 0..300 {
        send(&server, &traceparent(TRACE, "01"), &body).await;
    }
    drop(listener);
    stop(&mut server).await;
    assert!(server.err().contains("traces"), "{}", server.err());
}

#[tokio::test]
async fn the_url_of_a_collector_is_checked() {
    let sandbox = Sandbox::on_sqlite();
    for url in ["collector.example.org:4318", "ftp://collector.example.org", "http://user:word@collector.example.org"] {
        let refused = sandbox.run(&["--otlp-endpoint", url]).await;
        assert!(refused.code == 2 && refused.err.contains("--otlp-endpoint"), "{url}: {refused:?}");
        assert!(!refused.err.contains("word@"), "{refused:?}");
    }
}
