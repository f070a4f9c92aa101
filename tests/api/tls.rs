//! TLS without a proxy.

use std::fs;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use roster::http::{ServerSettings, Tls};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::process::{Process, Sandbox, set_mode};
use crate::socket::OFFER;
use crate::tls_client::{certify, connect};
use crate::toy::{ToyServer, settings};
use crate::wire::{TIMEOUT, closed};

/// A certificate for localhost that was valid in January 2020.
const EXPIRED: &str = "-----BEGIN CERTIFICATE-----
MIIBWzCCAQKgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMjAxMDAwMDAwWjAUMRIwEAYDVQQDDAls
b2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS+CHWNARxtmiBHYIjr
Rj3mGHWw+uIJbM3VSztHD3uXN/TlSqhWNNcmMaTj34puge6IAar5BsOfDeq55jT3
Pd9vo0UwQzAMBgNVHRMBAf8EAjAAMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAdBgNV
HQ4EFgQU9SvHA0LWx2p/RGHJiC8wGBA9fVswCgYIKoZIzj0EAwIDRwAwRAIgfgMb
OVH3H4GnoGInubGS70XnfXQV3ZZWedDfOe7e5EICIG/qoAI8RD9coLOQoGLsCMTt
FjTh7iUY2X3tLpGFf7Gk
-----END CERTIFICATE-----
";
const HEALTHY: &str = r#"{"status":"ok"}"#;
const LISTEN: [&str; 6] = ["--listen", "127.0.0.1:0", "--tls-cert", "server.pem", "--tls-key", "server.key"];
/// The preface of HTTP/2, and an empty SETTINGS frame.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS_FRAME: u8 = 4;

/// The response to a request for the health of the server, after which the connection stays open.
async fn health(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(HEALTHY.as_bytes()) {
        let read = timeout(TIMEOUT, stream.read_buf(&mut answer)).await.expect("an answer").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

async fn is_live(stream: &mut TlsStream<TcpStream>) -> bool {
    health(stream).await.starts_with("HTTP/1.1 200 ")
}

/// The value of the header by which a response demands HTTPS; `None` if it does not.
fn strict_transport(response: &str) -> Option<&str> {
    response.lines().find_map(|line| line.strip_prefix("strict-transport-security: "))
}

/// Starts a server with the certificate `server.pem`, and returns its address.
async fn serve(sandbox: &Sandbox, arguments: &[&str]) -> (Process, String) {
    let server = sandbox.start(sandbox.command(&LISTEN).args(arguments), "");
    server.wait_for_output("Roster listens on https://").await;
    let out = server.out();
    let address = out.split("Roster listens on https://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    (server, address.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_certificate_speaks_tls_and_nothing_else() {
    let sandbox = Sandbox::on_sqlite();
    if !certify(&sandbox.path(""), "server") {
        return;
    }
    let (mut server, address) = serve(&sandbox, &[]).await;
    let certificate = sandbox.path("server.pem");
    let mut stream = connect(&address, &certificate, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "only trusted proxies speak HTTP/2");
    assert!(is_live(&mut stream).await);
    assert!(is_live(&mut connect(&address, &certificate, &[]).await.unwrap()).await);
    assert!(connect(&address, &certificate, &["h2"]).await.is_err());
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(!closed(&mut plain).await.contains("HTTP/"));
    let health = ["health", "--listen", &address, "--tls-cert", "server.pem", "--tls-key", "server.key"];
    let healthy = sandbox.run(&health).await;
    assert_eq!((healthy.code, healthy.out.as_str()), (0, "/health/ready 200\n"), "{healthy:?}");
    let without_tls = sandbox.run(&health[..3]).await;
    assert_eq!(without_tls.code, 1, "{without_tls:?}");
    server.signal("TERM");
    assert_eq!(server.code().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_speaks_http2() {
    let sandbox = Sandbox::on_sqlite();
    if !certify(&sandbox.path(""), "server") {
        return;
    }
    let (_server, address) = serve(&sandbox, &["--trusted-proxies", "127.0.0.1"]).await;
    let mut stream = connect(&address, &sandbox.path("server.pem"), &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(HTTP2).await.unwrap();
    let mut frame = [0; 9];
    timeout(TIMEOUT, stream.read_exact(&mut frame)).await.expect("a frame").unwrap();
    assert_eq!(frame[3], SETTINGS_FRAME, "{frame:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_read_on_a_signal_and_connections_stay_open() {
    let sandbox = Sandbox::on_sqlite();
    if !certify(&sandbox.path(""), "server") || !certify(&sandbox.path(""), "second") {
        return;
    }
    fs::copy(sandbox.path("server.pem"), sandbox.path("first.pem")).unwrap();
    let (first, second) = (sandbox.path("first.pem"), sandbox.path("second.pem"));
    let (server, address) = serve(&sandbox, &[]).await;
    let mut open = connect(&address, &first, &[]).await.unwrap();
    assert!(is_live(&mut open).await);

    fs::copy(&second, sandbox.path("server.pem")).unwrap();
    fs::copy(sandbox.path("second.key"), sandbox.path("server.key")).unwrap();
    server.signal("HUP");
    server.wait_for_log("reloaded the TLS certificate").await;
    assert!(is_live(&mut connect(&address, &second, &[]).await.unwrap()).await);
    assert!(connect(&address, &first, &[]).await.is_err());
    assert!(is_live(&mut open).await, "an open connection was lost");

    fs::write(sandbox.path("server.key"), "not a key").unwrap();
    server.signal("HUP");
    server.wait_for_log("the previous one stays in use").await;
    assert!(server.err().contains("--tls-key server.key (ROSTER_TLS_KEY): expected a private key"), "{}", server.err());
    assert!(is_live(&mut connect(&address, &second, &[]).await.unwrap()).await);
    assert!(is_live(&mut open).await, "an open connection was lost");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_before_anything_is_created() {
    let sandbox = Sandbox::on_sqlite();
    if !certify(&sandbox.path(""), "server") || !certify(&sandbox.path(""), "other") {
        return;
    }
    fs::write(sandbox.path("old.pem"), EXPIRED).unwrap();
    for (certificate, key, expected) in [
        ("none.pem", "server.key", "--tls-cert none.pem (ROSTER_TLS_CERT): No such file"),
        ("server.pem", "none.key", "--tls-key none.key (ROSTER_TLS_KEY): No such file"),
        ("server.key", "server.key", "--tls-cert server.key (ROSTER_TLS_CERT): expected certificates in PEM"),
        ("server.pem", "server.pem", "--tls-key server.pem (ROSTER_TLS_KEY): expected a private key in PEM"),
        ("server.pem", "other.key", "(ROSTER_TLS_KEY): not the key of the certificate in server.pem"),
        ("old.pem", "server.key", "--tls-cert old.pem (ROSTER_TLS_CERT): expired at 2020-02-01 00:00:00 UTC"),
    ] {
        let refused = sandbox.run(&["--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key]).await;
        assert!(refused.code == 2 && refused.err.contains(expected), "{expected}: {refused:?}");
        assert_eq!(refused.out, "");
    }
    for (arguments, expected) in [
        (&["--tls-cert", "server.pem"][..], "--tls-cert (ROSTER_TLS_CERT): requires --tls-key"),
        (&["--tls-key", "server.key"], "--tls-key (ROSTER_TLS_KEY): requires --tls-cert"),
        (&["--listen", "unix:s", "--tls-cert", "server.pem", "--tls-key", "server.key"], "Unix socket"),
    ] {
        let refused = sandbox.run(arguments).await;
        assert!(refused.code == 2 && refused.err.contains(expected), "{expected}: {refused:?}");
    }
    assert!(!sandbox.path("roster-data").exists());
    set_mode(&sandbox.path("server.key"), 0o644);
    let doctor = sandbox.run(&["doctor", "--tls-cert", "server.pem", "--tls-key", "server.key"]).await;
    assert!(doctor.out.contains("TLS                   certificate server.pem\n"), "{doctor:?}");
    assert!(doctor.err.contains("--tls-key server.key: other users can read this file (mode 0644)"), "{doctor:?}");
}

/// A toy server with TLS, and the directory with its certificate. None if there is none here.
async fn toy(settings: ServerSettings) -> Option<(ToyServer, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    if !certify(dir.path(), "server") {
        return None;
    }
    let tls = Tls::read(&dir.path().join("server.pem"), &dir.path().join("server.key"));
    let tls = tls.unwrap_or_else(|error| panic!("{error}"));
    Some((ToyServer::start_with(ServerSettings { tls: Some(tls), ..settings }, true).await, dir))
}

#[tokio::test]
async fn slow_handshakes_end_at_the_deadline_of_a_request() {
    let limits = ServerSettings { request_deadline: Duration::from_millis(300), ..settings() };
    let Some((server, _dir)) = toy(limits).await else { return };
    // Nothing, and the beginning of a record with a handshake.
    for sent in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = server.client.connect().await;
        stream.write_all(sent).await.unwrap();
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn handshakes_count_to_the_share_of_their_address() {
    let limits = ServerSettings { max_connections_per_address: 2, ..settings() };
    let Some((server, dir)) = toy(limits).await else { return };
    let (mut oldest, _other) = (server.client.connect().await, server.client.connect().await);
    let address = server.client.0.to_string();
    let mut stream = connect(&address, &dir.path().join("server.pem"), &[]).await.unwrap();
    assert!(is_live(&mut stream).await);
    closed(&mut oldest).await;
}

#[tokio::test]
async fn handshakes_count_to_the_limit_of_all_connections() {
    let limits = ServerSettings { max_connections: 2, ..settings() };
    let Some((server, dir)) = toy(limits).await else { return };
    let (mut oldest, _other) = (server.connect_from("127.0.0.2").await, server.connect_from("127.0.0.3").await);
    let address = server.client.0.to_string();
    let mut stream = connect(&address, &dir.path().join("server.pem"), &[]).await.unwrap();
    assert!(is_live(&mut stream).await);
    closed(&mut oldest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_tls_at_a_public_url_with_https_demands_https() {
    let sandbox = Sandbox::on_sqlite();
    if !certify(&sandbox.path(""), "server") {
        return;
    }
    let public = ["--public-url", "https://people.example.org"];
    for (arguments, expected) in [
        (&public[..], Some("max-age=31536000")),
        (&["--public-url", "http://people.example.org"], None),
        (&["--public-url", "https://192.0.2.1"], None),
        // The public URL is https://localhost, by default.
        (&[], None),
    ] {
        let (_server, address) = serve(&sandbox, arguments).await;
        let mut stream = connect(&address, &sandbox.path("server.pem"), &[]).await.unwrap();
        assert_eq!(strict_transport(&health(&mut stream).await), expected, "{arguments:?}");
    }
    let server = sandbox.serve(&public).await;
    let response = reqwest::get(server.url("/health/live")).await.unwrap();
    assert!(response.headers().get("strict-transport-security").is_none(), "a response without TLS");
}

#[tokio::test]
async fn errors_demand_https_as_well() {
    let Some((server, dir)) = toy(ServerSettings { requires_https: true, ..settings() }).await else { return };
    let address = server.client.0.to_string();
    for (request, status) in [("GET /none", 404), ("DELETE /graphql", 405), ("GET /graphql?query=%7Bpanics%7D", 500)] {
        let mut stream = connect(&address, &dir.path().join("server.pem"), &[]).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        timeout(TIMEOUT, stream.read_to_string(&mut response)).await.expect("a response").unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert_eq!(strict_transport(&response), Some("max-age=31536000"), "{response}");
    }
}

#[tokio::test]
async fn web_sockets_work_over_tls() {
    let Some((server, dir)) = toy(settings()).await else { return };
    let address = server.client.0.to_string();
    let stream = connect(&address, &dir.path().join("server.pem"), &["http/1.1"]).await.unwrap();
    let mut request = "ws://localhost/graphql".into_client_request().unwrap();
    request.headers_mut().insert(OFFER.0, OFFER.1.parse().unwrap());
    let (mut socket, _) = timeout(TIMEOUT, client_async(request, stream)).await.expect("a handshake").unwrap();
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription { ticks }" } });
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer ada" } });
    for message in [init, subscribe] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "complete") {
        match timeout(TIMEOUT, socket.next()).await.expect("a message") {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                kinds.push(message["type"].as_str().unwrap().to_owned());
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?} after {kinds:?}"),
        }
    }
    assert_eq!(kinds, ["connection_ack", "next", "next", "next", "complete"]);
}

#[tokio::test]
async fn long_answers_are_sent_to_their_end() {
    const LENGTH: usize = 1_000_000;
    let Some((server, dir)) = toy(settings()).await else { return };
    let address = server.client.0.to_string();
    let mut stream = connect(&address, &dir.path().join("server.pem"), &[]).await.unwrap();
    let body = json!({ "query": format!("{{ big(n: {LENGTH}) }}") }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    assert!(answer.len() > LENGTH && answer.starts_with(b"HTTP/1.1 200 "), "{} bytes", answer.len());
}
