//! Connections: their timeouts, how many there may be, and how they are closed.

use std::io::ErrorKind;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use roster::http::ServerSettings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::toy::{ToyServer, settings};
use crate::wire::{TIMEOUT, closed, read_response, request};

const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn server_with_short_deadline() -> ToyServer {
    ToyServer::start_with(ServerSettings { request_deadline: Duration::from_millis(300), ..settings() }, true).await
}

fn request_bytes(query: &str) -> Vec<u8> {
    let body = json!({ "query": query }).to_string();
    request("POST", "/graphql", "Content-Type: application/json\r\n", body.as_bytes())
}

async fn until(what: impl Fn() -> bool) {
    let met = async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, met).await.expect("the condition is met");
}

#[tokio::test]
async fn connections_with_incomplete_heads_are_closed() {
    let server = server_with_short_deadline().await;
    let began = Instant::now();
    let mut stream = server.client.connect().await;
    stream.write_all(b"POST /graphql HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(closed(&mut stream).await, "");
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_with_slowly_sent_heads_are_closed() {
    let server = server_with_short_deadline().await;
    let (mut read, mut write) = server.client.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        write.write_all(b"POST /graphql HTTP/1.1\r\nX: ").await.unwrap();
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = timeout(TIMEOUT, read.read_to_end(&mut bytes)).await.expect("the connection is closed");
    timeout(TIMEOUT, dripping).await.unwrap().unwrap();
}

#[tokio::test]
async fn slow_bodies_get_504_and_are_closed() {
    let server = server_with_short_deadline().await;
    for head in [
        "Content-Length: 100\r\n\r\n{\"qu",
        "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"qu",
        "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    ] {
        let mut stream = server.client.connect().await;
        stream.write_all(format!("{POST}{head}").as_bytes()).await.unwrap();
        let text = closed(&mut stream).await;
        assert!(text.contains(" 504 ") && text.contains("DEADLINE_EXCEEDED"), "{text}");
    }
}

#[tokio::test]
async fn idle_connections_are_kept_beyond_the_request_deadline() {
    let request_deadline = Duration::from_secs(1);
    let server = ToyServer::start_with(ServerSettings { request_deadline, ..settings() }, true).await;
    let mut stream = server.client.connect().await;
    send_and_receive(&mut stream).await;
    // Longer than the deadline of a request and the time to respond after it.
    sleep(3 * request_deadline).await;
    send_and_receive(&mut stream).await;
}

#[tokio::test]
async fn connections_of_clients_that_do_not_read_are_closed() {
    let limits = ServerSettings {
        request_deadline: Duration::from_secs(2),
        shutdown_grace: Duration::from_hours(1),
        ..settings()
    };
    let mut server = ToyServer::start_with(limits, true).await;
    let mut stream = server.client.connect().await;
    stream.write_all(&request_bytes("{big(n:10000000)}")).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    // The server stops once the connection is closed.
    server.stop.take().unwrap().send(()).unwrap();
    timeout(TIMEOUT, server.task).await.expect("the connection is closed").unwrap().unwrap();
    let mut bytes = Vec::new();
    let ended = timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await.expect("the connection is closed");
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
    assert!(ended.is_err() || bytes.len() < 10_000_000, "{}", bytes.len());
}

/// Ways in which a connection is open without a complete request.
const HELD: [(&str, &str); 5] = [
    ("silent", ""),
    ("half a head", "POST /graphql HTTP/1.1\r\nHo"),
    ("half a body", "Content-Length: 100\r\n\r\n{\"qu"),
    ("half a chunk", "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"q"),
    ("a body that is waited for", "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"),
];

impl ToyServer {
    /// A connection from another address of this machine.
    pub async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(self.client.0).await.unwrap()
    }

    /// The status of the response to a request from an address.
    async fn status_for(&self, address: &str, request: &[u8]) -> u16 {
        let mut stream = self.connect_from(address).await;
        stream.write_all(request).await.unwrap();
        timeout(TIMEOUT, read_response(&mut stream, false)).await.expect("a response").unwrap().status
    }

    async fn health_for(&self, address: &str) -> u16 {
        self.status_for(address, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await
    }

    /// Releases the held requests.
    fn release(&self) {
        self.counts.is_released.send_replace(true);
    }

    /// Starts requests that run until the end of the test.
    async fn start_held_requests(&self, address: &str, count: usize) -> Vec<TcpStream> {
        let mut working = Vec::new();
        let started = self.counts.started.load(SeqCst);
        for _ in 0..count {
            let mut stream = self.connect_from(address).await;
            stream.write_all(&request_bytes("{held}")).await.unwrap();
            working.push(stream);
        }
        until(|| self.counts.started.load(SeqCst) == started + count).await;
        working
    }
}

async fn server_with_limits(max_connections: usize, max_connections_per_address: usize) -> ToyServer {
    // No connection is closed for its age, so that those that are closed make room.
    let request_deadline = Duration::from_hours(1);
    let limits = ServerSettings { max_connections, max_connections_per_address, request_deadline, ..settings() };
    ToyServer::start_with(limits, true).await
}

/// Sends a request and reads its response, after which the connection is idle.
async fn send_and_receive(stream: &mut TcpStream) {
    stream.write_all(&request_bytes("{hello}")).await.unwrap();
    assert_eq!(timeout(TIMEOUT, read_response(stream, false)).await.expect("a response").unwrap().status, 200);
}

/// Whether the server has closed a connection so far.
fn is_closed(stream: &TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

fn count_closed(streams: &[TcpStream]) -> usize {
    streams.iter().filter(|stream| is_closed(stream)).count()
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let server = server_with_limits(3, 3).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.client.connect().await;
        send_and_receive(&mut stream).await;
        streams.push(stream);
    }
    send_and_receive(&mut streams[0]).await; // now the second has been idle for the longest
    let mut fourth = server.client.connect().await;
    send_and_receive(&mut fourth).await;
    until(|| is_closed(&streams[1])).await;
    assert_eq!(count_closed(&streams), 1);
    let mut fifth = server.client.connect().await;
    send_and_receive(&mut fifth).await;
    until(|| is_closed(&streams[2])).await;
    for stream in [&mut streams[0], &mut fourth, &mut fifth] {
        send_and_receive(stream).await;
    }
}

#[tokio::test]
async fn an_address_that_holds_connections_does_not_block_others() {
    for (kind, held) in HELD {
        let server = server_with_limits(40, 20).await;
        let mut of_another = server.connect_from("127.0.0.2").await;
        send_and_receive(&mut of_another).await;
        let mut streams = Vec::new();
        for _ in 0..100 {
            let mut stream = server.client.connect().await;
            let head = if kind.contains("body") || kind.contains("chunk") { POST } else { "" };
            let _ = stream.write_all(format!("{head}{held}").as_bytes()).await; // may be closed already
            streams.push(stream);
        }
        until(|| count_closed(&streams) == 80).await;
        assert_eq!(server.status_for("127.0.0.3", &request_bytes("{hello}")).await, 200, "{kind}");
        assert_eq!(server.status_for("127.0.0.1", &request_bytes("{hello}")).await, 200, "{kind}");
        send_and_receive(&mut of_another).await;
        assert!(count_closed(&streams) <= 81, "{kind}: more connections were closed than needed");
    }
}

#[tokio::test]
async fn many_addresses_that_hold_connections_do_not_block_others() {
    for (kind, held) in HELD {
        let server = server_with_limits(20, 10).await;
        let mut streams = Vec::new();
        for number in 0..60 {
            let mut stream = server.connect_from(&format!("127.0.1.{}", number % 12)).await;
            let head = if kind.contains("body") || kind.contains("chunk") { POST } else { "" };
            let _ = stream.write_all(format!("{head}{held}").as_bytes()).await;
            streams.push(stream);
        }
        until(|| count_closed(&streams) == 40).await;
        assert_eq!(server.status_for("127.0.0.1", &request_bytes("{hello}")).await, 200, "{kind}");
        assert_eq!(server.health_for("127.0.1.1").await, 200, "{kind}");
    }
}

#[tokio::test]
async fn clients_that_do_not_read_do_not_block_others() {
    let server = server_with_limits(4, 2).await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        let mut stream = server.client.connect().await;
        stream.write_all(&request_bytes("{big(n:10000000)}")).await.unwrap();
        stream.peek(&mut [0]).await.unwrap();
        streams.push(stream);
    }
    assert_eq!(server.status_for("127.0.0.2", &request_bytes("{hello}")).await, 200);
    let is_answered = async { while server.status_for("127.0.0.1", &request_bytes("{hello}")).await != 200 {} };
    timeout(TIMEOUT, is_answered).await.expect("a connection of the address is closed");
}

#[tokio::test]
async fn running_requests_are_never_cut_off() {
    let server = server_with_limits(10, 5).await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        let mut stream = server.client.connect().await;
        stream.write_all(&request_bytes("{held}")).await.unwrap();
        busy.push(stream);
    }
    until(|| server.counts.started.load(SeqCst) == 4).await;
    let mut idle = Vec::new();
    for number in 0..60 {
        idle.push(server.connect_from(&format!("127.0.0.{}", 1 + number % 3)).await);
    }
    until(|| count_closed(&idle) >= 50).await;
    server.release();
    for stream in &mut busy {
        assert_eq!(read_response(stream, false).await.unwrap().status, 200);
    }
    assert_eq!(server.counts.dropped.load(SeqCst), 4, "each request was started and ended once");
    assert_eq!(server.counts.done.load(SeqCst), 4);
}

#[tokio::test]
async fn health_responds_when_running_requests_use_every_connection() {
    let server = server_with_limits(6, 4).await;
    let of_one = server.start_held_requests("127.0.0.1", 4).await;
    for address in ["127.0.0.1", "127.0.0.2"] {
        assert_eq!(server.health_for(address).await, 200, "{address}");
    }
    // The share of this address is used up; other addresses are not affected.
    let mut excess = server.connect_from("127.0.0.1").await;
    excess.write_all(&request_bytes("{hello}")).await.unwrap();
    let response = read_response(&mut excess, false).await.unwrap();
    assert_eq!((response.status, response.code().as_str()), (503, "UNAVAILABLE"));
    assert_eq!((response.header("retry-after"), response.header("connection")), (Some("1"), Some("close")));
    assert_eq!(server.status_for("127.0.0.2", &request_bytes("{hello}")).await, 200);

    let of_others = server.start_held_requests("127.0.0.2", 2).await;
    // Connections held beyond the limit do not block health checks, either.
    let mut held = Vec::new();
    for number in 0..100 {
        held.push(server.connect_from(&format!("127.0.0.{}", 1 + number % 20)).await);
    }
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.30"] {
        assert_eq!(server.health_for(address).await, 200, "{address}");
        let ready = server.status_for(address, b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(ready.await, 200, "{address}");
        assert_eq!(server.status_for(address, &request_bytes("{hello}")).await, 503, "{address}");
    }
    assert_eq!(count_closed(&of_one) + count_closed(&of_others), 0);
    drop((of_one, of_others));
    until(|| server.counts.dropped.load(SeqCst) == 6).await;
    assert_eq!(
        server.status_for("127.0.0.1", &request_bytes("{hello}")).await,
        200,
        "the connections were not released"
    );
}

#[tokio::test]
async fn trusted_proxies_have_no_limit_per_address() {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let limits = ServerSettings { max_connections: 10, max_connections_per_address: 2, trusted_proxies, ..settings() };
    let server = ToyServer::start_with(limits, true).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = server.client.connect().await;
        send_and_receive(&mut stream).await;
        streams.push(stream);
    }
    for stream in &mut streams {
        send_and_receive(stream).await;
    }
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut stream = server.connect_from("127.0.0.2").await;
        send_and_receive(&mut stream).await;
        others.push(stream);
    }
    until(|| count_closed(&others) == 3).await;
    assert_eq!(count_closed(&streams), 2);
}

#[tokio::test]
async fn http2_is_refused() {
    let server = server_with_limits(100, 100).await;
    for parts in [vec![&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]], vec![b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"]] {
        let mut stream = server.client.connect().await;
        for part in parts {
            let _ = stream.write_all(part).await;
            sleep(Duration::from_millis(20)).await;
        }
        // Its deadline would close it only in an hour.
        assert_eq!(closed(&mut stream).await, "");
    }
}

#[tokio::test]
async fn the_deadline_cancels_queries_but_not_mutations() {
    // Long enough for each request to start.
    let request_deadline = Duration::from_secs(2);
    let server = ToyServer::start_with(ServerSettings { request_deadline, ..settings() }, true).await;
    let response = server.client.query("{held}").await;
    assert_eq!((response.status, response.code().as_str()), (504, "DEADLINE_EXCEEDED"));
    until(|| server.counts.dropped.load(SeqCst) == 1).await;
    assert_eq!(server.counts.done.load(SeqCst), 0);
    assert_eq!(server.client.query("mutation{held}").await.status, 504);
    server.release();
    until(|| server.counts.done.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_disconnect_cancels_queries_but_not_mutations() {
    let server = ToyServer::start().await;
    let mut of_mutation = server.client.connect().await;
    of_mutation.write_all(&request_bytes("mutation{held}")).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 1).await;
    let mut of_query = server.client.connect().await;
    of_query.write_all(&request_bytes("{held}")).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 2).await;
    drop(of_mutation);
    drop(of_query);
    until(|| server.counts.dropped.load(SeqCst) == 1).await;
    assert_eq!(server.counts.done.load(SeqCst), 0);
    server.release();
    until(|| server.counts.done.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn shutdown_finishes_requests_and_closes_idle_connections() {
    let mut server = ToyServer::start().await;
    let mut idle = server.client.connect().await;
    idle.write_all(&request_bytes("{hello}")).await.unwrap();
    read_response(&mut idle, false).await.unwrap();
    let mut silent = server.client.connect().await;
    let mut busy = server.client.connect().await;
    busy.write_all(&request_bytes("{held}")).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 1).await;
    let mut disconnected = server.client.connect().await;
    disconnected.write_all(&request_bytes("mutation{held}")).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 2).await;
    drop(disconnected);

    server.stop.take().unwrap().send(()).unwrap();
    closed(&mut idle).await;
    closed(&mut silent).await;
    assert_eq!(server.counts.done.load(SeqCst), 0, "idle connections do not wait for the running requests");
    server.release();
    assert_eq!(read_response(&mut busy, false).await.unwrap().status, 200);
    timeout(TIMEOUT, server.task).await.expect("the server stops").unwrap().unwrap();
    assert_eq!(server.counts.done.load(SeqCst), 2, "the mutation of a disconnected client was cancelled");
    assert!(TcpStream::connect(server.client.0).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_longer_than_its_grace_period() {
    let mut server =
        ToyServer::start_with(ServerSettings { shutdown_grace: Duration::from_millis(300), ..settings() }, true).await;
    let mut busy = server.client.connect().await;
    busy.write_all(&request_bytes("{held}")).await.unwrap();
    until(|| server.counts.started.load(SeqCst) == 1).await;
    server.stop.take().unwrap().send(()).unwrap();
    timeout(TIMEOUT, server.task).await.expect("the server stops").unwrap().unwrap();
}
