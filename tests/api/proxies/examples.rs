//! Requests through the proxies of deploy/, as their examples set them up.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use reqwest::Version;
use roster::http::{MAX_HANDSHAKES, ServerSettings, SubscriptionTimeouts};
use serde_json::{Value, json};

use super::front::{Front, Proxy, Visitor};
use crate::app::{PASSWORD, payload_errors};
use crate::avatars::{self, png};
use crate::compression::decoded;
use crate::process::{ADMIN, Process, Sandbox, until};
use crate::socket::{OFFER, Socket};
use crate::sse::EventStream;
use crate::tls_client::HOST;
use crate::toy::{ToyServer, settings};
use crate::wire::RawClient;

/// An address of this machine, other than that of the proxy.
const HOME: &str = "127.0.0.2";
const OTHER_HOME: &str = "127.0.0.3";
const FORGED: &str = "203.0.113.9";
/// Never in a test, so that nothing is flushed by the next sign of life.
const NEVER: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);
/// The largest body that Roster accepts.
const MAX_BODY: usize = 2816 * 1024;

/// Runs each test with the example for nginx and, if installed, with that for Caddy.
macro_rules! behind_every_proxy {
    ($(async fn $name:ident($proxy:ident: Proxy) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn test($proxy: Proxy) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn behind_nginx() {
                test(Proxy::Nginx).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn behind_caddy() {
                test(Proxy::Caddy).await;
            }
        }
    )*};
}

/// A toy server behind a proxy, with timeouts of subscriptions. `None` if the proxy is not installed.
async fn toy_server(proxy: Proxy, subscriptions: SubscriptionTimeouts) -> Option<(Front, ToyServer)> {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let settings = ServerSettings { trusted_proxies, subscriptions, ..settings() };
    let server = ToyServer::start_with(settings, true).await;
    let front = proxy.start(&server.client.0.to_string()).await?;
    Some((front, server))
}

/// A server with a superuser behind a proxy. `None` if the proxy is not installed.
async fn roster_server(proxy: Proxy) -> Option<(Front, Process, Sandbox)> {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let public_url = format!("https://{HOST}");
    let server = sandbox.serve(&["--public-url", &public_url, "--trusted-proxies", "127.0.0.1"]).await;
    let front = proxy.start(&server.address()).await?;
    Some((front, server, sandbox))
}

fn quiet() -> SubscriptionTimeouts {
    SubscriptionTimeouts { keep_alive: NEVER, init: NEVER, ..SubscriptionTimeouts::default() }
}

async fn open_stream(visitor: &Visitor, token: &str, query: &str) -> EventStream {
    let request = visitor.post().header("accept", "text/event-stream").bearer_auth(token);
    EventStream::of(request.json(&json!({ "query": query })).send().await.unwrap())
}

async fn open_socket(visitor: &Visitor, header: (&'static str, &str)) -> Result<Socket, u16> {
    Socket::open_with(visitor.entrance, &[OFFER, ("host", HOST), header]).await
}

/// Initialises a socket with a token.
async fn initialise(socket: &mut Socket, token: &str) {
    socket.init(json!({ "Authorization": format!("Bearer {token}") })).await;
    assert_eq!(socket.receive().await, json!({ "type": "connection_ack" }));
}

impl Visitor {
    async fn execute(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let mut request = self.post().header("x-forwarded-for", FORGED);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.json(&json!({ "query": query, "variables": variables })).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// Signs in as the superuser; returns the token and the user.
    async fn sign_in(&self) -> (String, Value) {
        let query = "mutation ($input: LoginInput!) { login(input: $input) { token user { id sessions { isCurrent ipAddress } } } }";
        let input = json!({ "login": ADMIN, "password": PASSWORD });
        let response = self.execute(None, query, json!({ "input": input })).await;
        let login = &response["data"]["login"];
        (login["token"].as_str().unwrap_or_else(|| panic!("{response:#}")).to_owned(), login["user"].clone())
    }

    /// Uploads a picture; returns the response.
    async fn upload(&self, token: &str, body: Vec<u8>) -> reqwest::Response {
        let request = self.post().bearer_auth(token).header("graphql-require-preflight", "1");
        let request = request.header("content-type", "multipart/form-data; boundary=line");
        request.body(body).send().await.unwrap()
    }
}

behind_every_proxy! {
    async fn queries_are_answered_over_https_by_both_versions_of_http(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        for (visitor, version) in [
            (front.visitor(HOME).await, Version::HTTP_11),
            (front.http2_visitor(HOME).await, Version::HTTP_2),
        ] {
            let response = visitor.post().json(&json!({ "query": "{ hello }" })).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, version));
            let strict: Vec<_> = response.headers().get_all("strict-transport-security").iter().collect();
            assert_eq!(strict, ["max-age=31536000"]);
            assert_eq!(response.json::<Value>().await.unwrap(), json!({ "data": { "hello": "world" } }));
        }
    }

    async fn responses_stay_as_the_server_compresses_them(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        for visitor in [front.visitor(HOME).await, front.http2_visitor(HOME).await] {
            for accepted in ["zstd", "gzip", "identity"] {
                let request = visitor.post().header("accept-encoding", accepted);
                let response = request.json(&json!({ "query": "{ big(n: 100000) }" })).send().await.unwrap();
                let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
                assert_eq!(encoding.as_deref(), Some(accepted).filter(|name| *name != "identity"));
                assert_eq!(response.headers()["vary"], "Accept-Encoding");
                let body = response.bytes().await.unwrap().to_vec();
                let content = encoding.map_or_else(|| body.clone(), |encoding| decoded(&encoding, &body));
                assert_eq!(serde_json::from_slice::<Value>(&content).unwrap()["data"]["big"], "x".repeat(100_000));
            }
        }
    }

    async fn an_event_stream_arrives_before_it_ends(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        for visitor in [front.visitor(HOME).await, front.http2_visitor(HOME).await] {
            let mut endless = open_stream(&visitor, "ada", "subscription { silence }").await;
            assert_eq!(endless.begin().await, "0");
            let mut stream = open_stream(&visitor, "ada", "subscription { ticks(count: 2) }").await;
            stream.begin().await;
            for n in 1..=2 {
                assert_eq!(stream.next().await.1, json!({ "ticks": n }));
            }
            stream.complete().await;
        }
    }

    async fn a_stream_that_its_reader_leaves_ends_at_the_server(proxy: Proxy) {
        let Some((front, server)) = toy_server(proxy, SubscriptionTimeouts { keep_alive: SHORT, ..quiet() }).await else { return };
        let visitor = front.visitor(HOME).await;
        let mut stream = open_stream(&visitor, "ada", "subscription { silence }").await;
        stream.begin().await;
        drop(stream);
        until(|| async { (server.counts.dropped.load(SeqCst) == 1).then_some(()) }).await.expect("the end of the stream");
    }

    async fn sockets_pass(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        let visitor = front.visitor(HOME).await;
        let mut socket = open_socket(&visitor, ("x-forwarded-for", FORGED)).await.ok().unwrap();
        initialise(&mut socket, "ada").await;
        socket.subscribe("1", "subscription { ticks(count: 2) }", json!({})).await;
        for n in 1..=2 {
            assert_eq!(socket.next_of("1").await, json!({ "ticks": n }));
        }
        assert_eq!(socket.receive().await, json!({ "type": "complete", "id": "1" }));
    }

    async fn the_address_of_a_client_is_not_the_one_that_it_claims(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        for visitor in [front.visitor(HOME).await, front.http2_visitor(HOME).await] {
            let request = visitor.post().json(&json!({ "query": "{ address }" }));
            let request = request.header("x-forwarded-for", FORGED).header("x-real-ip", FORGED);
            let response = request.header("forwarded", format!("for={FORGED}")).send().await.unwrap();
            assert_eq!(response.json::<Value>().await.unwrap()["data"]["address"], HOME);
        }
    }

    async fn limits_count_each_client_by_its_address(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        let (visitor, other) = (front.visitor(HOME).await, front.visitor(OTHER_HOME).await);
        let mut sockets = Vec::new();
        for n in 0..MAX_HANDSHAKES {
            let forged = format!("203.0.113.{n}");
            sockets.push(open_socket(&visitor, ("x-forwarded-for", forged.as_str())).await.ok().unwrap());
        }
        assert_eq!(open_socket(&visitor, ("x-forwarded-for", FORGED)).await.err(), Some(429));
        assert!(open_socket(&other, ("x-forwarded-for", HOME)).await.is_ok());
    }

    async fn the_server_says_why_a_query_is_too_large(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        for visitor in [front.visitor(HOME).await, front.http2_visitor(HOME).await] {
            let request = visitor.post().header("content-type", "application/json").body(vec![b' '; 300_000]);
            let refused = request.send().await.unwrap();
            assert_eq!(refused.status(), 413);
            let refused: Value = refused.json().await.unwrap();
            assert_eq!(refused["errors"][0]["extensions"]["code"], "PAYLOAD_TOO_LARGE");
        }
    }

    async fn pages_of_the_same_host_may_subscribe(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        let visitor = front.visitor(HOME).await;
        let own = format!("https://{HOST}");
        for (origin, status) in [(own.as_str(), 200_u16), ("https://people.example.com", 403)] {
            let request = visitor.post().header("origin", origin).header("accept", "text/event-stream");
            let response = request.json(&json!({ "query": "subscription { ticks }" })).send().await.unwrap();
            assert_eq!(response.status(), status, "{origin}");
            let refusal = open_socket(&visitor, ("origin", origin)).await.err();
            assert_eq!(refusal, Some(status).filter(|status| *status != 200), "{origin}");
        }
    }

    async fn http_leads_to_https_and_health_is_not_public(proxy: Proxy) {
        let Some((front, _server)) = toy_server(proxy, quiet()).await else { return };
        let request = format!("GET /graphql?query=x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let redirect = RawClient(front.http()).raw(request.as_bytes()).await;
        assert!(matches!(redirect.status, 301 | 308), "{redirect:?}");
        assert_eq!(redirect.header("location"), Some(&*format!("https://{HOST}/graphql?query=x")));
        let visitor = front.visitor(HOME).await;
        for path in ["/health/live", "/health/ready"] {
            assert_eq!(visitor.get(path).send().await.unwrap().status(), 404, "{path}");
        }
    }

    async fn pictures_are_uploaded_and_served_at_the_public_url(proxy: Proxy) {
        let Some((front, _server, _sandbox)) = roster_server(proxy).await else { return };
        let visitor = front.visitor(HOME).await;
        let (token, user) = visitor.sign_in().await;
        assert_eq!(user["sessions"], json!([{ "isCurrent": true, "ipAddress": HOME }]));
        let id = user["id"].as_str().unwrap();
        let set = visitor.upload(&token, avatars::body(id, &png(30, 20))).await;
        let set: Value = set.json().await.unwrap();
        let url = set.pointer("/data/setUserAvatar/user/avatarUrl").and_then(Value::as_str);
        let path = url.and_then(|url| url.strip_prefix(&format!("https://{HOST}"))).unwrap_or_else(|| panic!("{set:#}"));
        for visitor in [&visitor, &front.http2_visitor(OTHER_HOME).await] {
            let picture = visitor.get(path).send().await.unwrap();
            assert_eq!(picture.status(), 200);
            assert_eq!(picture.headers()["content-type"], "image/png");
        }

        // Roster itself says that a picture is too large, up to the largest body.
        let around = avatars::body(id, &[]).len();
        let largest = visitor.upload(&token, avatars::body(id, &vec![0_u8; MAX_BODY - around])).await;
        let largest: Value = largest.json().await.unwrap();
        assert_eq!(payload_errors(&largest["data"]["setUserAvatar"]), ["TOO_LONG input.avatar"], "{largest:#}");
        // Roster or the proxy.
        let refused = visitor.upload(&token, avatars::body(id, &vec![0_u8; MAX_BODY - around + 1])).await;
        assert_eq!(refused.status(), 413);
    }

    async fn changes_arrive_while_they_happen(proxy: Proxy) {
        let Some((front, _server, _sandbox)) = roster_server(proxy).await else { return };
        let (visitor, reader) = (front.visitor(HOME).await, front.http2_visitor(OTHER_HOME).await);
        let (token, _) = visitor.sign_in().await;
        let follow = "subscription { changes(types: [GROUP]) { nodeId kind } }";
        let mut stream = open_stream(&reader, &token, follow).await;
        let start = stream.begin().await;
        let own = format!("https://{HOST}");
        let mut socket = open_socket(&visitor, ("origin", own.as_str())).await.ok().unwrap();
        initialise(&mut socket, &token).await;
        let follow = "subscription ($after: String) { changes(after: $after, types: [GROUP]) { nodeId kind } }";
        socket.subscribe("1", follow, json!({ "after": start })).await;
        let create = "mutation ($input: CreateGroupInput!) { createGroup(input: $input) { group { id } } }";
        let created = visitor.execute(Some(&token), create, json!({ "input": { "name": "Ward" } })).await;
        let group = created.pointer("/data/createGroup/group/id").unwrap_or_else(|| panic!("{created:#}"));
        let change = json!({ "changes": { "nodeId": group, "kind": "CREATED" } });
        assert_eq!(stream.next().await.1, change);
        assert_eq!(socket.next_of("1").await, change);
    }
}
