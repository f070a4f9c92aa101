//! Connections: how long each may keep the server waiting, how many there may be, and how they end.

use std::io::ErrorKind;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use roster::http::ServerSettings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::toy::{Site, settings};
use crate::wire::{closed, read_answer, request};

const BOUND: Duration = Duration::from_secs(5);
const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn impatient() -> Site {
    Site::start_with(ServerSettings { request_deadline: Duration::from_millis(300), ..settings() }, true).await
}

fn ask(query: &str) -> Vec<u8> {
    let body = json!({ "query": query }).to_string();
    request("POST", "/graphql", "Content-Type: application/json\r\n", body.as_bytes())
}

async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < BOUND, "it never came");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn half_sent_heads_are_closed() {
    let site = impatient().await;
    let began = Instant::now();
    let mut stream = site.wire.connect().await;
    stream.write_all(b"POST /graphql HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(closed(&mut stream, BOUND).await, "");
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn heads_that_drip_are_closed() {
    let site = impatient().await;
    let (mut read, mut write) = site.wire.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        write.write_all(b"POST /graphql HTTP/1.1\r\nX: ").await.unwrap();
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = timeout(BOUND, read.read_to_end(&mut bytes)).await.expect("closed");
    timeout(BOUND, dripping).await.unwrap().unwrap();
}

#[tokio::test]
async fn slow_bodies_get_504_and_are_closed() {
    let site = impatient().await;
    for head in [
        "Content-Length: 100\r\n\r\n{\"qu",
        "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"qu",
        "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    ] {
        let mut stream = site.wire.connect().await;
        stream.write_all(format!("{POST}{head}").as_bytes()).await.unwrap();
        let text = closed(&mut stream, BOUND).await;
        assert!(text.contains(" 504 ") && text.contains("DEADLINE_EXCEEDED"), "{text}");
    }
}

#[tokio::test]
async fn idle_connections_are_kept_for_longer_than_a_request_may_take() {
    let site = impatient().await;
    let mut stream = site.wire.connect().await;
    for _ in 0..2 {
        stream.write_all(&ask("{hello}")).await.unwrap();
        assert_eq!(read_answer(&mut stream, false).await.unwrap().status, 200);
        sleep(Duration::from_millis(1500)).await;
    }
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_closed() {
    let site = impatient().await;
    let mut stream = site.wire.connect().await;
    stream.write_all(&ask("{big(n:10000000)}")).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    sleep(Duration::from_millis(900)).await; // longer than a write may wait
    let mut bytes = Vec::new();
    let ended = timeout(BOUND, stream.read_to_end(&mut bytes)).await.expect("closed");
    assert!(ended.is_err() || bytes.len() < 10_000_000, "{}", bytes.len());
}

/// How a connection takes a place without a request that could be answered.
const HELD: [(&str, &str); 5] = [
    ("silent", ""),
    ("half a head", "POST /graphql HTTP/1.1\r\nHo"),
    ("half a body", "Content-Length: 100\r\n\r\n{\"qu"),
    ("half a chunk", "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"q"),
    ("a body that is waited for", "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"),
];

impl Site {
    /// A connection from another address of this machine.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(self.wire.0).await.unwrap()
    }

    /// The status with which a request from an address is answered.
    async fn status_for(&self, address: &str, request: &[u8]) -> u16 {
        let mut stream = self.connect_from(address).await;
        stream.write_all(request).await.unwrap();
        timeout(BOUND, read_answer(&mut stream, false)).await.expect("an answer").unwrap().status
    }

    async fn health_for(&self, address: &str) -> u16 {
        self.status_for(address, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await
    }

    /// Begins requests that are worked on until the end of the test.
    async fn work(&self, address: &str, count: usize) -> Vec<TcpStream> {
        let mut working = Vec::new();
        let begun = self.counts.begun.load(SeqCst);
        for _ in 0..count {
            let mut stream = self.connect_from(address).await;
            stream.write_all(&ask("{slow(ms:60000)}")).await.unwrap();
            working.push(stream);
        }
        until(|| self.counts.begun.load(SeqCst) == begun + count).await;
        working
    }
}

async fn limited(max_connections: usize, max_connections_per_address: usize) -> Site {
    let request_deadline = Duration::from_mins(1);
    let limits = ServerSettings { max_connections, max_connections_per_address, request_deadline, ..settings() };
    Site::start_with(limits, true).await
}

/// Sends a request and reads its answer, after which the connection is idle.
async fn answered(stream: &mut TcpStream) {
    stream.write_all(&ask("{hello}")).await.unwrap();
    assert_eq!(timeout(BOUND, read_answer(stream, false)).await.expect("an answer").unwrap().status, 200);
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

fn closed_of(streams: &[TcpStream]) -> usize {
    streams.iter().filter(|stream| is_closed(stream)).count()
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let site = limited(3, 3).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = site.wire.connect().await;
        answered(&mut stream).await;
        streams.push(stream);
    }
    answered(&mut streams[0]).await; // now the second has been idle for the longest
    let mut fourth = site.wire.connect().await;
    answered(&mut fourth).await;
    until(|| is_closed(&streams[1])).await;
    assert_eq!(closed_of(&streams), 1);
    let mut fifth = site.wire.connect().await;
    answered(&mut fifth).await;
    until(|| is_closed(&streams[2])).await;
    for stream in [&mut streams[0], &mut fourth, &mut fifth] {
        answered(stream).await;
    }
}

#[tokio::test]
async fn an_address_that_holds_connections_keeps_nobody_else_out() {
    for (kind, held) in HELD {
        let site = limited(40, 20).await;
        let mut of_another = site.connect_from("127.0.0.2").await;
        answered(&mut of_another).await;
        let mut streams = Vec::new();
        for _ in 0..100 {
            let mut stream = site.wire.connect().await;
            let head = if kind.contains("body") || kind.contains("chunk") { POST } else { "" };
            let _ = stream.write_all(format!("{head}{held}").as_bytes()).await; // it may be closed already
            streams.push(stream);
        }
        until(|| closed_of(&streams) == 80).await;
        assert_eq!(site.status_for("127.0.0.3", &ask("{hello}")).await, 200, "{kind}");
        assert_eq!(site.status_for("127.0.0.1", &ask("{hello}")).await, 200, "{kind}");
        answered(&mut of_another).await;
        assert!(closed_of(&streams) <= 81, "{kind}: more were closed than there was need for");
    }
}

#[tokio::test]
async fn many_addresses_that_hold_connections_keep_nobody_else_out() {
    for (kind, held) in HELD {
        let site = limited(20, 10).await;
        let mut streams = Vec::new();
        for number in 0..60 {
            let mut stream = site.connect_from(&format!("127.0.1.{}", number % 12)).await;
            let head = if kind.contains("body") || kind.contains("chunk") { POST } else { "" };
            let _ = stream.write_all(format!("{head}{held}").as_bytes()).await;
            streams.push(stream);
        }
        until(|| closed_of(&streams) == 40).await;
        assert_eq!(site.status_for("127.0.0.1", &ask("{hello}")).await, 200, "{kind}");
        assert_eq!(site.health_for("127.0.1.1").await, 200, "{kind}");
    }
}

#[tokio::test]
async fn readers_who_do_not_read_keep_nobody_out() {
    let site = limited(4, 2).await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        let mut stream = site.wire.connect().await;
        stream.write_all(&ask("{big(n:10000000)}")).await.unwrap();
        stream.peek(&mut [0]).await.unwrap();
        streams.push(stream);
    }
    assert_eq!(site.status_for("127.0.0.2", &ask("{hello}")).await, 200);
    let began = Instant::now();
    while site.status_for("127.0.0.1", &ask("{hello}")).await != 200 {
        assert!(began.elapsed() < BOUND, "its own are not closed");
    }
}

#[tokio::test]
async fn a_request_under_way_is_never_cut() {
    let site = limited(10, 5).await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        let mut stream = site.wire.connect().await;
        stream.write_all(&ask("{slow(ms:1500)}")).await.unwrap();
        busy.push(stream);
    }
    until(|| site.counts.begun.load(SeqCst) == 4).await;
    let mut idle = Vec::new();
    for number in 0..60 {
        idle.push(site.connect_from(&format!("127.0.0.{}", 1 + number % 3)).await);
    }
    until(|| closed_of(&idle) >= 50).await;
    for stream in &mut busy {
        assert_eq!(read_answer(stream, false).await.unwrap().status, 200);
    }
    assert_eq!(site.counts.dropped.load(SeqCst), 4, "each was begun once and ended once");
    assert_eq!(site.counts.done.load(SeqCst), 4);
}

#[tokio::test]
async fn health_is_answered_when_every_place_is_taken_by_requests_under_way() {
    let site = limited(6, 4).await;
    let of_one = site.work("127.0.0.1", 4).await;
    for address in ["127.0.0.1", "127.0.0.2"] {
        assert_eq!(site.health_for(address).await, 200, "{address}");
    }
    // Its share is used up, and nobody else is affected.
    let mut refused = site.connect_from("127.0.0.1").await;
    refused.write_all(&ask("{hello}")).await.unwrap();
    let answer = read_answer(&mut refused, false).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "UNAVAILABLE"));
    assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
    assert_eq!(site.status_for("127.0.0.2", &ask("{hello}")).await, 200);

    let of_others = site.work("127.0.0.2", 2).await;
    // What is held beyond the limit does not keep health from being answered either.
    let mut held = Vec::new();
    for number in 0..100 {
        held.push(site.connect_from(&format!("127.0.0.{}", 1 + number % 20)).await);
    }
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.30"] {
        assert_eq!(site.health_for(address).await, 200, "{address}");
        let ready = site.status_for(address, b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(ready.await, 200, "{address}");
        assert_eq!(site.status_for(address, &ask("{hello}")).await, 503, "{address}");
    }
    assert_eq!(closed_of(&of_one) + closed_of(&of_others), 0);
    drop((of_one, of_others));
    until(|| site.counts.dropped.load(SeqCst) == 6).await;
    assert_eq!(site.status_for("127.0.0.1", &ask("{hello}")).await, 200, "the places came free");
}

#[tokio::test]
async fn trusted_proxies_have_no_share() {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let limits = ServerSettings { max_connections: 10, max_connections_per_address: 2, trusted_proxies, ..settings() };
    let site = Site::start_with(limits, true).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = site.wire.connect().await;
        answered(&mut stream).await;
        streams.push(stream);
    }
    for stream in &mut streams {
        answered(stream).await;
    }
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut stream = site.connect_from("127.0.0.2").await;
        answered(&mut stream).await;
        others.push(stream);
    }
    until(|| closed_of(&others) == 3).await;
    assert_eq!(closed_of(&streams), 2);
}

#[tokio::test]
async fn http2_is_refused() {
    let site = impatient().await;
    for parts in [vec![&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]], vec![b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"]] {
        let mut stream = site.wire.connect().await;
        for part in parts {
            let _ = stream.write_all(part).await;
            sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        assert_eq!(closed(&mut stream, BOUND).await, "");
        assert!(began.elapsed() < Duration::from_secs(1), "it was closed by its deadline only");
    }
}

#[tokio::test]
async fn a_query_ends_at_its_deadline_and_a_mutation_is_only_no_longer_waited_for() {
    let site = impatient().await;
    let answer = site.wire.query("{slow(ms:1000)}").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "DEADLINE_EXCEEDED"));
    until(|| site.counts.dropped.load(SeqCst) == 1).await;
    assert_eq!(site.counts.done.load(SeqCst), 0);
    assert_eq!(site.wire.query("mutation{slow(ms:1000)}").await.status, 504);
    until(|| site.counts.done.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_dropped_callers_query_stops_and_his_mutation_is_finished() {
    let site = Site::start().await;
    let mut stream = site.wire.connect().await;
    stream.write_all(&ask("{slow(ms:4000)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 1).await;
    drop(stream);
    until(|| site.counts.dropped.load(SeqCst) == 1).await;
    assert_eq!(site.counts.done.load(SeqCst), 0);

    let mut stream = site.wire.connect().await;
    stream.write_all(&ask("mutation{slow(ms:500)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 2).await;
    drop(stream);
    until(|| site.counts.done.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_closes_the_idle() {
    let mut site = Site::start().await;
    let mut idle = site.wire.connect().await;
    idle.write_all(&ask("{hello}")).await.unwrap();
    read_answer(&mut idle, false).await.unwrap();
    let mut silent = site.wire.connect().await;
    let mut busy = site.wire.connect().await;
    busy.write_all(&ask("{slow(ms:1500)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 1).await;
    let mut gone = site.wire.connect().await;
    gone.write_all(&ask("mutation{slow(ms:2500)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 2).await;
    drop(gone);

    site.stop.take().unwrap().send(()).unwrap();
    closed(&mut idle, BOUND).await;
    closed(&mut silent, BOUND).await;
    assert_eq!(site.counts.done.load(SeqCst), 0, "the idle were closed only when the busy was done");
    assert_eq!(read_answer(&mut busy, false).await.unwrap().status, 200);
    timeout(BOUND, site.task).await.expect("stopped").unwrap().unwrap();
    assert_eq!(site.counts.done.load(SeqCst), 2, "the mutation of a caller who had gone was cut off");
    assert!(TcpStream::connect(site.wire.0).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut site =
        Site::start_with(ServerSettings { shutdown_grace: Duration::from_millis(300), ..settings() }, true).await;
    let mut busy = site.wire.connect().await;
    busy.write_all(&ask("{slow(ms:60000)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 1).await;
    site.stop.take().unwrap().send(()).unwrap();
    timeout(BOUND, site.task).await.expect("stopped").unwrap().unwrap();
}
