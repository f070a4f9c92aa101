//! The server without file descriptors. A separate process, because it lowers the limit of the whole process.

#![cfg(test)]
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/toy.rs"]
mod toy;
#[allow(dead_code, reason = "this module is shared with other tests, which use the rest")]
#[path = "api/wire.rs"]
mod wire;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The processor time of this process so far, in hundredths of a second.
fn ticks(stat: &File) -> u64 {
    let mut bytes = [0; 1024];
    let length = stat.read_at(&mut bytes, 0).unwrap();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_file_descriptors_the_server_waits_and_recovers() {
    let server = toy::ToyServer::start().await;
    assert_eq!(server.client.query("{hello}").await.json(), json!({"data": {"hello": "world"}}));
    let stat = File::open("/proc/self/stat").unwrap();
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let limit = format!("--nofile={0}:{0}", used + 12);
    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());

    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(server.client.0).await {
        clients.push(client);
    }
    let before = ticks(&stat);
    sleep(Duration::from_secs(1)).await;
    assert!(ticks(&stat) - before < 20, "busy loop: {} ticks", ticks(&stat) - before);

    drop(clients);
    let connected = async {
        while TcpStream::connect(server.client.0).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(wire::TIMEOUT, connected).await.expect("a descriptor is freed");
    assert_eq!(server.client.query("{hello}").await.status, 200);
}
