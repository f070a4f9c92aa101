//! Behind a proxy: a Unix socket, and HTTP/2 without TLS.

use std::fs;

use futures_util::future::join_all;
use reqwest::Version;
use roster::http::ServerSettings;
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox, mode};
use crate::toy::{ToyServer, settings};

const LISTEN: [&str; 2] = ["--listen", "unix:roster.sock"];

async fn serve(sandbox: &Sandbox) -> Process {
    let server = sandbox.start(&mut sandbox.command(&LISTEN), "");
    server.wait_for_output("Roster listens on unix:roster.sock").await;
    server
}

fn client(sandbox: &Sandbox) -> reqwest::Client {
    reqwest::Client::builder().unix_socket(sandbox.path("roster.sock")).build().unwrap()
}

async fn health(client: &reqwest::Client) -> u16 {
    client.get("http://people.example.org/health/ready").send().await.unwrap().status().as_u16()
}

in_every_sandbox! {
    async fn a_proxy_connects_through_a_unix_socket(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let mut server = serve(&sandbox).await;
        let client = client(&sandbox);
        assert_eq!(health(&client).await, 200);
        assert_eq!(mode(&sandbox.path("roster.sock")), 0o660);
        let query = "mutation ($input: LoginInput!) { login(input: $input) { user { sessions { isCurrent ipAddress } } } }";
        let body = json!({ "query": query, "variables": { "input": { "login": ADMIN, "password": PASSWORD } } });
        for (forwarded, address) in [("6.6.6.6, 203.0.113.9", "203.0.113.9"), ("", "127.0.0.1")] {
            let request = client.post("http://people.example.org/graphql").header("x-forwarded-for", forwarded).json(&body);
            let response: Value = request.send().await.unwrap().json().await.unwrap();
            let sessions = response["data"]["login"]["user"]["sessions"].as_array().unwrap_or_else(|| panic!("{response:#}"));
            let current = sessions.iter().find(|session| session["isCurrent"] == true).unwrap();
            assert_eq!(current["ipAddress"], address, "{forwarded}");
            assert_eq!(server.err().contains("has no valid X-Forwarded-For"), forwarded.is_empty(), "{}", server.err());
        }
        server.signal("TERM");
        assert_eq!(server.code().await, 0);
        assert!(!sandbox.path("roster.sock").exists(), "the socket was left behind");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_was_left_behind_is_replaced() {
    let sandbox = Sandbox::on_sqlite();
    let mut killed = serve(&sandbox).await;
    killed.signal("KILL");
    killed.status().await;
    assert!(sandbox.path("roster.sock").exists());
    let server = serve(&sandbox).await;
    assert_eq!(health(&client(&sandbox)).await, 200);
    let second = sandbox.run(&LISTEN).await;
    assert!(second.code != 0 && second.err.contains("another process listens on this socket"), "{second:?}");
    assert!(second.err.contains("--listen unix:roster.sock"), "{second:?}");
    assert_eq!(health(&client(&sandbox)).await, 200, "the second server took the socket away");
    drop(server);
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_kept() {
    let sandbox = Sandbox::on_sqlite();
    fs::write(sandbox.path("roster.sock"), "a file").unwrap();
    let refused = sandbox.run(&LISTEN).await;
    assert!(refused.code != 0 && refused.err.contains("a file that is not a socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(sandbox.path("roster.sock")).unwrap(), "a file");
    let missing = sandbox.run(&["--listen", "unix:no/such/folder/roster.sock"]).await;
    assert!(missing.code != 0 && missing.err.contains("unix:no/such/folder/roster.sock"), "{missing:?}");
}

fn http2() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

async fn trusting() -> (ToyServer, String) {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let server = ToyServer::start_with(ServerSettings { trusted_proxies, ..settings() }, true).await;
    let url = format!("http://{}/graphql", server.client.0);
    (server, url)
}

#[tokio::test]
async fn a_trusted_proxy_sends_many_requests_at_once_on_one_connection() {
    let (_server, url) = trusting().await;
    let client = http2();
    let (client, url) = (&client, &url);
    let send = |n: usize| async move {
        let query = format!("{{ address echo(text: \"{n}\") }}");
        let request = client.post(url).header("x-forwarded-for", format!("203.0.113.{n}"));
        let response = request.json(&json!({ "query": query })).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert!(response.headers().get("connection").is_none());
        let data = response.json::<Value>().await.unwrap()["data"].clone();
        assert_eq!(data, json!({ "address": format!("203.0.113.{n}"), "echo": format!("{n}0") }));
    };
    join_all((0..200).map(send)).await;
}

#[tokio::test]
async fn http2_has_the_same_errors_and_event_streams() {
    let (_server, url) = trusting().await;
    let client = http2();
    let large = client.post(&url).header("content-type", "application/json").body(vec![b'x'; 300_000]);
    assert_eq!(large.send().await.unwrap().status(), 413);
    let post = |query: &str| client.post(&url).json(&json!({ "query": query }));
    assert_eq!(post("{hello}").bearer_auth("bad").send().await.unwrap().status(), 401);
    assert_eq!(post("{panics}").send().await.unwrap().status(), 500);
    let stream = post("subscription { ticks }").header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.text().await.unwrap().ends_with("event: complete\ndata:\n\n"));
    assert_eq!(post("{hello}").send().await.unwrap().status(), 200, "the connection was lost");
}

#[tokio::test]
async fn only_trusted_proxies_speak_http2() {
    let server = ToyServer::start().await;
    assert!(http2().get(format!("http://{}/health/live", server.client.0)).send().await.is_err());
}
