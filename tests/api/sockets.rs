//! Subscriptions over WebSockets: the protocol, its close codes, and its limits.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use roster::http::{MAX_HANDSHAKES, MAX_MESSAGE, MAX_STREAMS, MAX_SUBSCRIPTIONS, ServerSettings, SubscriptionTimeouts};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::{OFFER, Socket};
use crate::toy::{ORIGIN, ToyServer, settings};

/// Never in a test, unless it is about it.
const NEVER: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);
const QUIET: SubscriptionTimeouts =
    SubscriptionTimeouts { recheck: NEVER, keep_alive: NEVER, init: NEVER, write: NEVER, ping: NEVER };
const SILENCE: &str = "subscription { silence }";

async fn server(subscriptions: SubscriptionTimeouts) -> ToyServer {
    ToyServer::start_with(ServerSettings { subscriptions, ..settings() }, true).await
}

impl ToyServer {
    async fn socket(&self) -> Socket {
        Socket::initialised(self.client.0, "ada").await
    }

    /// Waits until this many subscriptions have started.
    async fn until_started(&self, count: usize) {
        until_reached(&self.counts.started, count).await;
    }

    /// Waits until this many subscriptions have ended.
    async fn until_dropped(&self, count: usize) {
        until_reached(&self.counts.dropped, count).await;
    }
}

async fn until_reached(counter: &AtomicUsize, count: usize) {
    for _ in 0..12_000 {
        if counter.load(SeqCst) >= count {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{} of {count}", counter.load(SeqCst));
}

fn complete(id: &str) -> Value {
    json!({ "type": "complete", "id": id })
}

#[tokio::test]
async fn events_are_sent_until_the_subscription_is_complete() {
    let server = server(QUIET).await;
    let mut socket = server.socket().await;
    for _ in 0..2 {
        socket.subscribe("1", "subscription ($n: Int!) { ticks(count: $n) }", json!({ "n": 2 })).await;
        for n in 1..=2 {
            let message = json!({ "type": "next", "id": "1", "payload": { "data": { "ticks": n } } });
            assert_eq!(socket.receive().await, message);
        }
        // Its ID can be used again.
        assert_eq!(socket.receive().await, complete("1"));
    }
    socket.send(&json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
    socket.send(&json!({ "type": "pong" })).await;
    socket.subscribe("a", SILENCE, json!({})).await;
    socket.subscribe("b", "subscription { ...A } fragment A on Ticks { ticks(count: 1) }", json!({})).await;
    assert_eq!(socket.next_of("b").await, json!({ "ticks": 1 }));
    assert_eq!(socket.receive().await, complete("b"));
    server.until_started(1).await;
    socket.send(&complete("a")).await;
    server.until_dropped(1).await;
    socket.send(&complete("unknown")).await;
    socket.subscribe("a", SILENCE, json!({})).await;
    server.until_started(2).await;
    drop(socket);
    server.until_dropped(2).await;
}

#[tokio::test]
async fn errors_end_one_subscription_and_not_the_socket() {
    let server = server(QUIET).await;
    let mut socket = server.socket().await;
    for (query, code) in [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { ticks silence }", "GRAPHQL_VALIDATION_FAILED"),
        ("", "BAD_REQUEST"),
        ("{ hello }", "BAD_REQUEST"),
        ("mutation { add }", "BAD_REQUEST"),
    ] {
        socket.subscribe("1", query, json!({})).await;
        assert_eq!(socket.failure_of("1").await, code, "{query}");
    }
    socket.subscribe("1", "subscription ($n: Int!) { ticks(count: $n) }", json!({ "n": "x" })).await;
    assert_eq!(socket.failure_of("1").await, "BAD_USER_INPUT");
    let payload = json!({ "query": "subscription A { ticks }", "operationName": "B" });
    socket.send(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    assert_eq!(socket.failure_of("1").await, "OPERATION_RESOLUTION_FAILURE");
    socket.subscribe("1", "subscription { panics }", json!({})).await;
    assert_eq!(socket.next_of("1").await, json!({ "panics": 0 }));
    assert_eq!(socket.failure_of("1").await, "INTERNAL");
    socket.subscribe("1", "subscription { foreign }", json!({})).await;
    let event = socket.receive().await;
    assert_eq!(event["payload"]["errors"][0]["message"], "Internal error", "{event:#}");
    assert_eq!(socket.receive().await, complete("1"));
}

#[tokio::test]
async fn violations_of_the_protocol_close_the_socket_with_its_codes() {
    let server = server(QUIET).await;
    let address = server.client.0;
    let mut socket = Socket::open(address).await;
    socket.subscribe("1", "subscription { ticks }", json!({})).await;
    assert_eq!(socket.closed().await, 4401, "a subscription before the acknowledgement");
    for payload in [
        json!(null),
        json!({}),
        json!({ "Authorization": null }),
        json!({ "Authorization": "Bearer bad" }),
        json!({ "authorization": "ada" }),
    ] {
        let mut socket = Socket::open(address).await;
        socket.init(payload.clone()).await;
        assert_eq!(socket.closed().await, 4403, "{payload}");
    }
    let mut socket = Socket::open(address).await;
    socket.init(json!({ "Authorization": "Bearer busy" })).await;
    assert_eq!(socket.closed().await, 1013);
    let mut socket = Socket::open_with(address, &[]).await.ok().unwrap();
    assert_eq!(socket.closed().await, 4406);

    let mut socket = server.socket().await;
    socket.init(json!({ "Authorization": "Bearer ada" })).await;
    assert_eq!(socket.closed().await, 4429, "a second initialisation");
    let mut socket = server.socket().await;
    socket.subscribe("1", SILENCE, json!({})).await;
    socket.subscribe("1", SILENCE, json!({})).await;
    assert_eq!(socket.closed().await, 4409, "an ID in use");
    let long_id = "x".repeat(200);
    let bad =
        ["", "{", "[]", r#"{"type":"start","id":"1","payload":{}}"#, r#"{"type":"subscribe","id":1,"payload":{}}"#];
    let bad = bad.map(str::to_owned).into_iter();
    for text in bad.chain([json!({ "type": "subscribe", "id": long_id, "payload": {} }).to_string()]) {
        let mut socket = server.socket().await;
        socket.send_message(Message::text(text.clone())).await;
        assert_eq!(socket.closed().await, 4400, "{text}");
        let mut socket = Socket::open(address).await;
        socket.send_message(Message::text(text.clone())).await;
        assert_eq!(socket.closed().await, 4400, "{text}");
    }
    let mut socket = server.socket().await;
    socket.send_message(Message::binary(r#"{"type":"ping"}"#.as_bytes().to_vec())).await;
    assert_eq!(socket.closed().await, 4400, "a binary message");
}

#[tokio::test]
async fn messages_have_a_maximum_size() {
    let server = server(QUIET).await;
    let mut socket = server.socket().await;
    let message = |length: usize| {
        let empty = json!({ "type": "ping", "payload": { "x": "" } }).to_string();
        json!({ "type": "ping", "payload": { "x": "x".repeat(length - empty.len()) } }).to_string()
    };
    socket.send_message(Message::text(message(MAX_MESSAGE))).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
    socket.send_message(Message::text(message(MAX_MESSAGE + 1))).await;
    assert_eq!(socket.closed().await, 1009);
    let mut socket = Socket::open(server.client.0).await;
    socket.send_message(Message::text(message(10 * MAX_MESSAGE))).await;
    assert_eq!(socket.closed().await, 1009);
}

#[tokio::test]
async fn long_messages_are_read_in_the_background_and_in_order() {
    let server = server(QUIET).await;
    let mut socket = server.socket().await;
    let padding = "x".repeat(20 * 1024);
    let long = |id: &str, query: &str| {
        let payload = json!({ "query": query, "extensions": { "padding": padding } });
        json!({ "type": "subscribe", "id": id, "payload": payload })
    };
    let long_document = format!("subscription {{ ticks(count: 1) }} # {}", "x".repeat(3 * 1024));
    let messages = [
        (0, json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription A { ticks(count: 1) }" } })),
        (1, json!({ "type": "subscribe", "id": "1", "payload": { "query": long_document } })),
        (2, long("1", "subscription B { ticks(count: 1) }")),
        (2, long("1", "subscription B { ticks(count: 1) }")),
    ];
    for (analyzed_in_background, message) in messages {
        socket.send(&message).await;
        assert_eq!(socket.next_of("1").await, json!({ "ticks": 1 }));
        assert_eq!(socket.receive().await, complete("1"));
        assert_eq!(server.counts.analyzed_in_background.load(SeqCst), analyzed_in_background, "{message}");
    }
    // A short message does not overtake a long one: when the subscription has ended, its ID can be used again.
    socket.send(&long("2", SILENCE)).await;
    socket.send(&complete("2")).await;
    socket.send(&json!({ "type": "ping" })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
    socket.send(&long("2", "subscription { ticks(count: 1) }")).await;
    assert_eq!(socket.next_of("2").await, json!({ "ticks": 1 }));
    assert_eq!(socket.receive().await, complete("2"));
    socket.send(&json!({ "type": "start", "id": "3", "payload": padding })).await;
    assert_eq!(socket.closed().await, 4400);
}

#[tokio::test]
async fn sockets_that_are_not_initialised_are_closed_and_limited() {
    let server = server(SubscriptionTimeouts { init: SHORT, ..QUIET }).await;
    let mut socket = Socket::open(server.client.0).await;
    assert_eq!(socket.closed().await, 4408);

    let server = self::server(QUIET).await;
    let mut sockets = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        sockets.push(Socket::open(server.client.0).await);
    }
    assert_eq!(Socket::open_with(server.client.0, &[OFFER]).await.err(), Some(429));
    // An initialised socket is one of its user instead.
    let mut socket = sockets.pop().unwrap();
    socket.init(json!({ "Authorization": "Bearer ada" })).await;
    assert_eq!(socket.receive().await, json!({ "type": "connection_ack" }));
    server.socket().await;
}

#[tokio::test]
async fn sockets_and_subscriptions_have_a_maximum_number() {
    let server = server(QUIET).await;
    let mut sockets = Vec::new();
    for _ in 0..MAX_STREAMS {
        sockets.push(server.socket().await);
    }
    let mut socket = Socket::open(server.client.0).await;
    socket.init(json!({ "Authorization": "Bearer ada" })).await;
    assert_eq!(socket.closed().await, 4421);
    Socket::initialised(server.client.0, "another").await;

    let mut socket = sockets.pop().unwrap();
    for n in 0..MAX_SUBSCRIPTIONS {
        socket.subscribe(&n.to_string(), SILENCE, json!({})).await;
    }
    socket.subscribe("more", SILENCE, json!({})).await;
    assert_eq!(socket.failure_of("more").await, "RATE_LIMITED");
    let other = sockets.last_mut().unwrap();
    other.subscribe("more", SILENCE, json!({})).await;
    assert_eq!(other.failure_of("more").await, "RATE_LIMITED");
    socket.send(&complete("0")).await;
    socket.subscribe("more", "subscription { ticks(count: 1) }", json!({})).await;
    assert_eq!(socket.next_of("more").await, json!({ "ticks": 1 }));
}

#[tokio::test]
async fn only_pages_of_the_server_and_of_allowed_origins_open_sockets() {
    let server = server(QUIET).await;
    let address = server.client.0;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "https://app.example.org:8443"] {
        assert_eq!(Socket::open_with(address, &[OFFER, ("origin", origin)]).await.err(), Some(403), "{origin}");
    }
    let own = format!("http://{address}");
    let headers = [OFFER, ("origin", own.as_str()), ("authorization", "Bearer ada")];
    let mut socket = Socket::open_with(address, &headers).await.ok().unwrap();
    // Programs may send the token as a header.
    socket.init(json!({})).await;
    assert_eq!(socket.receive().await, json!({ "type": "connection_ack" }));
    let allowed = [OFFER, ("origin", ORIGIN)];
    assert!(Socket::open_with(address, &allowed).await.is_ok(), "a page of an allowed origin");
    let status = Socket::open_with(address, &[OFFER, ("authorization", "Basic x")]).await.err();
    assert_eq!(status, Some(401));
    let malformed = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    let response = server.client.send("GET", "/graphql", malformed, b"").await;
    assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"));
}

#[tokio::test]
async fn a_socket_closes_when_its_session_ends() {
    let server = server(SubscriptionTimeouts { recheck: SHORT, ..QUIET }).await;
    let (mut idle, mut busy) = (server.socket().await, server.socket().await);
    busy.subscribe("1", SILENCE, json!({})).await;
    server.counts.is_revoked.store(true, SeqCst);
    assert_eq!(idle.closed().await, 4401);
    assert_eq!(busy.closed().await, 4401);
}

#[tokio::test]
async fn sockets_close_when_the_server_stops() {
    let mut server = server(QUIET).await;
    let mut socket = server.socket().await;
    let mut silent = Socket::open(server.client.0).await;
    socket.subscribe("1", SILENCE, json!({})).await;
    server.stop.take().unwrap().send(()).unwrap();
    assert_eq!(socket.closed().await, 1001);
    assert_eq!(silent.closed().await, 1001);
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_disconnected() {
    let server = server(SubscriptionTimeouts { ping: Duration::from_secs(1), ..QUIET }).await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { ticks(count: 1) }", json!({})).await;
    assert_eq!(socket.next_of("1").await, json!({ "ticks": 1 }));
    assert_eq!(socket.receive().await, complete("1"));
    // Pings are answered while the client reads.
    for _ in 0..3 {
        socket.pinged().await;
    }
    socket.send(&json!({ "type": "ping" })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
    socket.subscribe("2", SILENCE, json!({})).await;
    server.until_dropped(1).await;
    assert_eq!(socket.closed().await, 4499);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let write = Duration::from_secs(1);
    let server = server(SubscriptionTimeouts { write, ..QUIET }).await;
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { flood(n: 100000) }", json!({})).await;
    server.until_dropped(1).await;
    // The events that were sent before are still there; then the client learns why there are no more.
    assert_eq!(socket.closed().await, 4420);
}
