//! Requests that are almost those for a trusted document: a server that executes only trusted documents parses none of them.

#![expect(clippy::float_cmp, reason = "the numbers are whole")]

mod mutator;

use reqwest::{Method, RequestBuilder};
use roster::http::hash_of;
use serde_json::{Map, Value, json};

use self::mutator::Mutator;
use super::trusted_only::{LOGIN, json_of, sign_in, with_documents};
use super::{VIEWER, code};
use crate::metrics::{MEASURED, scrape};
use crate::process::{Process, Sandbox, env_or};
use crate::socket::Socket;

/// The number of mutated requests; `ROSTER_TEST_MUTATED_REQUESTS` overrides it.
const REQUESTS: usize = 600;
/// The seed of the random choices; `ROSTER_TEST_SEED` overrides it.
const SEED: usize = 20_270_131;
/// The number of requests between two looks at the number of parsed documents.
const LOOK_EVERY: usize = 100;

/// A document that is published under its hash.
const NODE: &str = "query Node($id: ID!) { node(id: $id) { id } }";
const TRUSTED: [&str; 3] = [VIEWER, LOGIN, NODE];
const NOT_TRUSTED: &str = "DOCUMENT_NOT_TRUSTED";
const BAD_REQUEST: &str = "BAD_REQUEST";

/// The ways in which the same members are sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    Post,
    Get,
    Form,
    EventStream,
    Socket,
}

const WAYS: [Way; 5] = [Way::Post, Way::Get, Way::Form, Way::EventStream, Way::Socket];

/// Methods and headers that are wrong for a request for a trusted document: the method, the content type, another header, and the
/// code of the refusal.
const WRONG_HEADERS: [(&str, &str, (&str, &str), &str); 9] = [
    ("POST", "text/plain", ("x-test", "1"), "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "application/graphql", ("x-test", "1"), "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "application/x-www-form-urlencoded", ("x-test", "1"), "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "application/json; charset=utf-16", ("x-test", "1"), "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "application/json", ("content-encoding", "gzip"), "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "application/json", ("accept", "text/html"), "NOT_ACCEPTABLE"),
    ("POST", "multipart/form-data; boundary=line", ("x-test", "1"), BAD_REQUEST),
    ("PUT", "application/json", ("x-test", "1"), "METHOD_NOT_ALLOWED"),
    ("PATCH", "application/json", ("x-test", "1"), "METHOD_NOT_ALLOWED"),
];

/// A server that executes only trusted documents, and its clients.
struct Target {
    server: Process,
    client: reqwest::Client,
    token: String,
    socket: Socket,
    /// The number of subscriptions that were sent over the socket.
    subscriptions: usize,
    _sandbox: Sandbox,
}

impl Target {
    async fn start() -> Self {
        let sandbox = with_documents(Sandbox::on_sqlite()).await;
        let manifest = json!({ (format!("sha256:{}", hash_of(NODE))): NODE });
        std::fs::write(sandbox.path("node.json"), manifest.to_string()).unwrap();
        let published = sandbox.run(&["documents", "publish", "node.json"]).await;
        assert_eq!(published.code, 0, "{published:?}");
        let server = sandbox.serve(&[&["--documents", "trusted-only"][..], &MEASURED].concat()).await;
        let token = sign_in(&server, json!({ "documentId": "login" })).await;
        let socket = Socket::initialised(server.address().parse().unwrap(), &token).await;
        Self { server, client: reqwest::Client::new(), token, socket, subscriptions: 0, _sandbox: sandbox }
    }

    /// The number of documents that the server has parsed.
    async fn parsed(&self) -> f64 {
        scrape(&self.server).await.value("roster_documents_parsed_total", &[])
    }

    fn request(&self, method: Method, query: &str) -> RequestBuilder {
        self.client.request(method, self.server.url(&format!("/graphql{query}")))
    }

    fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "").header("content-type", content_type).body(body)
    }

    fn form(&self, operations: &str) -> RequestBuilder {
        let part = |name: &str, text: &str| {
            format!("--the-line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let body = format!("{}{}--the-line--\r\n", part("operations", operations), part("map", "{}"));
        let request = self.post("multipart/form-data; boundary=the-line", body).bearer_auth(&self.token);
        request.header("graphql-require-preflight", "1")
    }

    fn get(&self, members: &Map<String, Value>) -> RequestBuilder {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in members {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            query.append_pair(name, &text);
        }
        self.request(Method::GET, &format!("?{}", query.finish()))
    }

    /// Sends a request, and returns the code of the error of the response.
    async fn send(&mut self, way: Way, members: &Map<String, Value>) -> String {
        let body = Value::Object(members.clone()).to_string();
        let request = match way {
            Way::Post => self.post("application/json", body).bearer_auth(&self.token),
            Way::Get => self.get(members),
            Way::Form => self.form(&body),
            Way::EventStream => self.post("application/json", body).header("accept", "text/event-stream"),
            Way::Socket => {
                self.subscriptions += 1;
                let id = self.subscriptions.to_string();
                self.socket.send(&json!({ "type": "subscribe", "id": id, "payload": members })).await;
                return self.socket.failure_of(&id).await;
            }
        };
        code_of(request).await
    }

    /// Sends a mutated request, and returns it with the code of the response and those of the refusals that are right.
    async fn attack(&mut self, mutator: &mut Mutator) -> (String, String, Vec<&'static str>) {
        match mutator.rng.below(8) {
            0 => {
                let (body, expected) = mutator.misshapen();
                let is_form = mutator.rng.one_in(3);
                let request = if is_form { self.form(&body) } else { self.post("application/json", body.clone()) };
                (body, code_of(request).await, vec![expected])
            }
            1 => {
                let body = mutator.damaged();
                let sent = String::from_utf8_lossy(&body).into_owned();
                (sent, code_of(self.post("application/json", body)).await, vec![NOT_TRUSTED, BAD_REQUEST])
            }
            2 => {
                let wrong = *mutator.rng.choose(&WRONG_HEADERS);
                let (method, content_type, (name, value), expected) = wrong;
                let request = self.request(method.parse().unwrap(), "").header("content-type", content_type);
                let request = request.header(name, value).body(json!({ "documentId": "me" }).to_string());
                (format!("{wrong:?}"), code_of(request).await, vec![expected])
            }
            _ => {
                let (way, members) = (*mutator.rng.choose(&WAYS), mutator.members());
                let actual = self.send(way, &members).await;
                (format!("{way:?} {}", Value::Object(members)), actual, vec![NOT_TRUSTED])
            }
        }
    }
}

/// The code of the error of a response, which has no data.
async fn code_of(request: RequestBuilder) -> String {
    let text = request.send().await.unwrap().text().await.unwrap();
    let json = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&text);
    let response: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(response.get("data").is_none(), "{response:#}");
    code(&response).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mutated_request_reaches_the_parser() {
    let (seed, requests) = (env_or("ROSTER_TEST_SEED", SEED), env_or("ROSTER_TEST_MUTATED_REQUESTS", REQUESTS));
    println!("{requests} mutated requests from the seed {seed}");
    let (mut target, mut mutator) = (Target::start().await, Mutator::new(seed));
    let before = target.parsed().await;
    for number in 0..requests {
        let (sent, actual, expected) = target.attack(&mut mutator).await;
        assert!(expected.contains(&actual.as_str()), "request {number} of the seed {seed} is {actual:?}: {sent}");
        if number % LOOK_EVERY == 0 {
            assert_eq!(target.parsed().await, before, "up to request {number} of the seed {seed}: {sent}");
        }
    }
    assert_eq!(target.parsed().await, before, "seed {seed}");
    for _ in 0..2 {
        let me = json_of(&target.server, None, json!({ "documentId": "me" })).await;
        assert_eq!(me, json!({ "data": { "viewer": null } }));
        assert_eq!(
            target.parsed().await,
            before + 1.0,
            "the count works, and a document in memory is not parsed again"
        );
    }
}
