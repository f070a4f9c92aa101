//! Subscriptions as server-sent events: the protocol, its errors, and how streams end.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use roster::http::{MAX_STREAMS, ServerSettings, SubscriptionTimeouts};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::sse::EventStream;
use crate::toy::{ToyServer, settings};
use crate::wire::request;

/// Never in a test, unless it is about it.
const NEVER: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);
/// A client that drops a stream closes its connection only when it gets the next bytes.
const LIVELY: SubscriptionTimeouts = SubscriptionTimeouts { keep_alive: SHORT, ..QUIET };
const QUIET: SubscriptionTimeouts =
    SubscriptionTimeouts { recheck: NEVER, keep_alive: NEVER, init: NEVER, write: NEVER, ping: NEVER };
const ACCEPT: &str = "Accept: text/event-stream\r\n";

async fn server(subscriptions: SubscriptionTimeouts) -> ToyServer {
    ToyServer::start_with(ServerSettings { subscriptions, ..settings() }, true).await
}

impl ToyServer {
    fn url(&self) -> String {
        format!("http://{}/graphql", self.client.0)
    }

    async fn stream(&self, query: &str) -> EventStream {
        self.stream_as(Some("ada"), query).await
    }

    async fn stream_as(&self, token: Option<&str>, query: &str) -> EventStream {
        EventStream::open(&self.url(), token, &json!({ "query": query }), None).await
    }
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if what() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("the condition was not met");
}

#[tokio::test]
async fn events_are_sent_until_the_subscription_is_complete() {
    let server = server(QUIET).await;
    let mut stream = server.stream("subscription { ticks }").await;
    assert_eq!(stream.response.status(), 200);
    let headers = [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ];
    for (name, value) in headers {
        assert_eq!(stream.response.headers()[name], value);
    }
    assert_eq!(stream.begin().await, "0");
    for n in 1..=3 {
        assert_eq!(stream.next().await, (n.to_string(), json!({ "ticks": n })));
    }
    stream.complete().await;

    let get = format!("{}?query=subscription%7Bticks(count:1)%7D", server.url());
    let request = reqwest::Client::new().get(get).header("accept", "text/event-stream").header("last-event-id", "41");
    let mut stream = EventStream::of(request.send().await.unwrap());
    assert_eq!(stream.begin().await, "41");
    assert_eq!(stream.next().await, ("42".to_owned(), json!({ "ticks": 1 })));
    stream.complete().await;
}

#[tokio::test]
async fn subscriptions_may_select_their_field_in_fragments() {
    let server = server(QUIET).await;
    let fragments = "subscription A { ...F } fragment F on Ticks { ... on Ticks { ... { n: ticks(count: 1) } } }";
    let mut stream = server.stream(fragments).await;
    stream.begin().await;
    assert_eq!(stream.next().await.1, json!({ "n": 1 }));
    stream.complete().await;
    let mut stream = server.stream("subscription { ... @skip(if: true) { ticks } }").await;
    stream.begin().await;
    stream.complete().await;
}

#[tokio::test]
async fn queries_and_mutations_have_one_event() {
    let server = server(QUIET).await;
    for (query, data) in [("{ hello }", json!({ "hello": "world" })), ("mutation { add }", json!({ "add": 1 }))] {
        let mut stream = server.stream(query).await;
        let event = stream.event().await.unwrap();
        assert_eq!((event.event.as_str(), &event.data), ("next", &json!({ "data": data })));
        stream.complete().await;
    }
    let response = server.client.send("GET", "/graphql?query=mutation%7Badd%7D", ACCEPT, b"").await;
    assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
    // Whoever accepts JSON as well gets the stream of a subscription only.
    let both = "Accept: application/json, text/event-stream\r\n";
    let response = server.client.post(both, br#"{"query":"{hello}"}"#).await;
    assert_eq!(response.json(), json!({ "data": { "hello": "world" } }));
    let response = server.client.post(both, br#"{"query":"subscription{ticks}"}"#).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
    for accept in ["*/*", "application/json", "application/json, text/event-stream;q=0"] {
        let response =
            server.client.post(&format!("Accept: {accept}\r\n"), br#"{"query":"subscription{ticks}"}"#).await;
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{accept}");
    }
}

#[tokio::test]
async fn errors_of_the_document_are_events_and_others_have_a_status() {
    let server = server(QUIET).await;
    let table = [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { ticks silence }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ];
    for (query, code) in table {
        let mut stream = server.stream(query).await;
        assert_eq!(stream.response.status(), 200, "{query}");
        assert_eq!(stream.failure().await, code, "{query}");
    }
    let ticks = r#"{"query":"subscription{ticks}"}"#;
    for (headers, body, status) in [
        ("Content-Type: application/json\r\nAuthorization: Bearer bad\r\n", ticks, 401),
        ("Content-Type: application/json\r\nAuthorization: Bearer busy\r\n", ticks, 503),
        ("Content-Type: text/plain\r\n", ticks, 415),
        ("Content-Type: application/json\r\n", "{", 400),
    ] {
        let headers = format!("{ACCEPT}{headers}");
        let response = server.client.send("POST", "/graphql", &headers, body.as_bytes()).await;
        assert_eq!(response.status, status, "{headers}");
        assert!(response.is_http_error(), "{headers}");
    }
    let mut stream = server.stream("subscription { foreign }").await;
    stream.begin().await;
    let event = stream.event().await.unwrap();
    let error = &event.data["errors"][0];
    assert_eq!(
        (error["message"].as_str(), error["extensions"]["code"].as_str()),
        (Some("Internal error"), Some("INTERNAL"))
    );
    assert_eq!(error["extensions"]["requestId"].as_str(), stream.response.headers()["x-request-id"].to_str().ok());
    stream.complete().await;
    let mut stream = server.stream("subscription { panics }").await;
    stream.begin().await;
    assert_eq!(stream.next().await.1, json!({ "panics": 0 }));
    assert_eq!(stream.event().await, None, "not complete");
}

#[tokio::test]
async fn streams_outlive_the_deadline_and_show_signs_of_life() {
    let subscriptions = LIVELY;
    let limits = ServerSettings { request_deadline: Duration::from_secs(1), subscriptions, ..settings() };
    let server = ToyServer::start_with(limits, true).await;
    let mut stream = server.stream("subscription { silence }").await;
    stream.begin().await;
    // Longer than the deadline of a request and the time to respond after it.
    for _ in 0..120 {
        assert_eq!(stream.block().await.as_deref(), Some(":"));
    }
    assert_eq!(server.counts.dropped.load(SeqCst), 0);
    drop(stream);
    until(|| server.counts.dropped.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_session_ends() {
    let server = server(SubscriptionTimeouts { recheck: SHORT, ..LIVELY }).await;
    let mut stream = server.stream("subscription { silence }").await;
    let mut anonymous = server.stream_as(None, "subscription { silence }").await;
    stream.begin().await;
    anonymous.begin().await;
    server.counts.is_revoked.store(true, SeqCst);
    assert_eq!(stream.failure().await, "UNAUTHENTICATED");
    until(|| server.counts.dropped.load(SeqCst) == 1).await;
    drop(anonymous);
    until(|| server.counts.dropped.load(SeqCst) == 2).await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops_and_are_not_complete() {
    let mut server = server(QUIET).await;
    let mut stream = server.stream("subscription { silence }").await;
    stream.begin().await;
    server.stop.take().unwrap().send(()).unwrap();
    assert_eq!(stream.event().await, None);
    server.task.await.unwrap().unwrap();
    assert_eq!(server.counts.dropped.load(SeqCst), 1);
}

#[tokio::test]
async fn each_caller_has_a_limited_number_of_streams() {
    let server = server(LIVELY).await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = server.stream("subscription { silence }").await;
        stream.begin().await;
        streams.push(stream);
    }
    let refused = server.stream("subscription { silence }").await.response;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let error: Value = refused.json().await.unwrap();
    assert_eq!(error["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    for token in [Some("another"), None] {
        server.stream_as(token, "subscription { silence }").await.begin().await;
    }
    let dropped = server.counts.dropped.load(SeqCst);
    streams.pop();
    until(|| server.counts.dropped.load(SeqCst) > dropped).await;
    let mut stream = server.stream("subscription { ticks }").await;
    while stream.response.status() == 429 {
        stream = server.stream("subscription { ticks }").await;
    }
    stream.begin().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let server = ToyServer::start_with(
        ServerSettings { request_deadline: Duration::from_secs(2), subscriptions: QUIET, ..settings() },
        true,
    )
    .await;
    let mut stream = server.client.connect().await;
    let body = json!({ "query": "subscription { flood(n: 100000) }" }).to_string();
    let headers = format!("Content-Type: application/json\r\n{ACCEPT}");
    stream.write_all(&request("POST", "/graphql", &headers, body.as_bytes())).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 1).await;
    // The connection is open, but nothing reads from it.
    until(|| server.counts.dropped.load(SeqCst) == 1).await;
}
