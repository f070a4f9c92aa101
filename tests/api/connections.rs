//! Connections: how long each may keep the server waiting, how many there may be, and how they end.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use roster::server::Settings;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::toy::{Site, settings};
use crate::wire::{closed, read_answer, request};

const BOUND: Duration = Duration::from_secs(5);
const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn impatient() -> Site {
    Site::start_with(Settings { request_deadline: Duration::from_millis(300), ..settings() }, true).await
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

#[tokio::test]
async fn the_number_of_connections_is_bounded_and_a_place_comes_free() {
    let bounded = Settings { max_connections: 2, request_deadline: Duration::from_millis(300), ..settings() };
    let site = Site::start_with(bounded, true).await;
    let (mut a, mut b, mut c) = (site.wire.connect().await, site.wire.connect().await, site.wire.connect().await);
    for stream in [&mut a, &mut b] {
        stream.write_all(&ask("{hello}")).await.unwrap();
        assert_eq!(read_answer(stream, false).await.unwrap().status, 200);
    }
    c.write_all(&ask("{hello}")).await.unwrap();
    assert!(timeout(Duration::from_millis(300), c.peek(&mut [0])).await.is_err(), "a third was served");
    drop(a);
    assert_eq!(timeout(BOUND, read_answer(&mut c, false)).await.unwrap().unwrap().status, 200);
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
    let mut site = Site::start_with(Settings { shutdown_grace: Duration::from_millis(300), ..settings() }, true).await;
    let mut busy = site.wire.connect().await;
    busy.write_all(&ask("{slow(ms:60000)}")).await.unwrap();
    until(|| site.counts.begun.load(SeqCst) == 1).await;
    site.stop.take().unwrap().send(()).unwrap();
    timeout(BOUND, site.task).await.expect("stopped").unwrap().unwrap();
}
