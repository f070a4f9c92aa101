//! Requests that are almost those for a trusted document: a server that executes only trusted documents parses none of them.

#![expect(clippy::float_cmp, reason = "the numbers are whole")]

use reqwest::{Method, RequestBuilder};
use roster::http::hash_of;
use serde_json::{Map, Value, json};

use super::trusted_only::{LOGIN, json_of, sign_in, with_documents};
use super::{VIEWER, code, persisted};
use crate::hostile::Rng;
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

/// Characters that are written into texts and IDs: some of GraphQL, some that look like others, and some that are not seen.
const CHARACTERS: [char; 24] = [
    ' ', '\n', '\t', ',', '#', '{', '}', '(', ')', '!', '$', ':', '"', '\\', '%', 'A', 'a', '0', '_', '\u{435}',
    '\u{feff}', '\u{200b}', '\u{301}', '\u{ff4d}',
];
const PREFIXES: [&str; 10] =
    ["sha256:", "SHA256:", "sha256:sha256:", "sha256-", "sha512:", "sha1:", "md5:", "../", "\u{feff}", " "];

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

/// Generates requests.
struct Mutator {
    rng: Rng,
    /// The IDs and hashes by which documents are found.
    keys: Vec<String>,
}

impl Mutator {
    fn new(seed: usize) -> Self {
        let hashes = TRUSTED.map(hash_of);
        let prefixed = hashes.iter().map(|hash| format!("sha256:{hash}"));
        let keys = ["me", "login"].map(str::to_owned).into_iter().chain(prefixed).chain(hashes.clone()).collect();
        Self { rng: Rng(u64::try_from(seed).unwrap()), keys }
    }

    /// Members of a request for a document that was not published. They are well-formed.
    fn members(&mut self) -> Map<String, Value> {
        let (key, text) = (self.other_key(), self.other_text());
        let mut members = match self.rng.below(5) {
            0 => json!({ "query": text }),
            1 => json!({ "query": text, "extensions": persisted(&text) }),
            2 => json!({ "documentId": key }),
            3 => json!({ "documentId": key, "extensions": persisted(VIEWER) }),
            _ => json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": key } } }),
        };
        let more = [("operationName", "Me"), ("id", "me"), ("doc_id", "me"), ("queryId", "login"), ("hash", "me")];
        if self.rng.one_in(3) {
            let (name, value) = *self.rng.choose(&more);
            members[name] = json!(value);
        }
        members.as_object().unwrap().clone()
    }

    /// A text that is almost that of a trusted document.
    fn other_text(&mut self) -> String {
        loop {
            let text = *self.rng.choose(&TRUSTED);
            let other = match self.rng.below(9) {
                0 => format!("{text}\n"),
                1 => format!("\u{feff}{text}"),
                2 => format!("{text} query Other {{ __typename }}"),
                3 => format!("#\n{text}{text}"),
                4 => text.replace(' ', "  "),
                5 => text.replace('e', "\u{435}"),
                6 => text.to_uppercase(),
                7 => text.chars().take(1 + self.rng.below(text.len())).collect(),
                _ => self.edited(text),
            };
            if !TRUSTED.contains(&other.as_str()) {
                return other;
            }
        }
    }

    /// A text that is almost the ID or the hash of a trusted document.
    fn other_key(&mut self) -> String {
        loop {
            let key = self.rng.choose(&self.keys).clone();
            let other = match self.rng.below(7) {
                0 => key.to_uppercase(),
                1 => format!("{}{key}", self.rng.choose(&PREFIXES)),
                2 => key.chars().take(1 + self.rng.below(key.len())).collect(),
                3 => key.repeat(2),
                4 => hash_of(&key),
                5 => format!("{key}\n"),
                _ => self.edited(&key),
            };
            if !self.keys.contains(&other) {
                return other;
            }
        }
    }

    /// Changes one to three characters.
    fn edited(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.rng.below(3) {
            let (at, character) = (self.rng.below(characters.len()), *self.rng.choose(&CHARACTERS));
            match self.rng.below(3) {
                0 => characters[at] = character,
                1 if characters.len() > 1 => drop(characters.remove(at)),
                _ => characters.insert(at, character),
            }
        }
        characters.into_iter().collect()
    }

    /// A body that is not that of a request, or names two documents; and the code of the refusal.
    fn misshapen(&mut self) -> (String, &'static str) {
        let (id, text) = (*self.rng.choose(&["me", "login"]), *self.rng.choose(&TRUSTED));
        let (other_id, other) = (self.other_key(), self.other_text());
        let of_version =
            |version: Value| json!({ "persistedQuery": { "version": version, "sha256Hash": hash_of(text) } });
        let by_id = json!({ "documentId": id });
        let bodies = [
            json!([by_id]),
            json!([by_id, { "query": text }]),
            json!([[by_id]]),
            json!(text),
            json!(id),
            json!(null),
            json!({}),
            json!({ "query": text, "documentId": id }),
            json!({ "query": other, "documentId": id }),
            json!({ "query": [text] }),
            json!({ "query": { "text": text } }),
            json!({ "query": "", "documentId": "" }),
            json!({ "documentId": [id] }),
            json!({ "documentId": 1 }),
            json!({ "DocumentId": id, "Query": text }),
            json!({ "documentId": id, "operationName": 1 }),
            json!({ "documentId": id, "variables": [] }),
            json!({ "documentId": id, "extensions": [persisted(text)] }),
            json!({ "query": other, "extensions": persisted(text) }),
            json!({ "query": text, "extensions": persisted(&other) }),
            json!({ "query": text, "extensions": of_version(json!(2)) }),
            json!({ "extensions": of_version(json!("1")) }),
            json!({ "documentId": id, "extensions": { "persistedQuery": { "version": 1 } } }),
        ];
        let twice =
            |name: &str, first: &str, last: &str| format!("{{\"{name}\":{},\"{name}\":{}}}", json!(first), json!(last));
        match self.rng.below(10) {
            // The last one counts.
            0 => (twice("documentId", id, &other_id), NOT_TRUSTED),
            1 => (twice("query", text, &other), NOT_TRUSTED),
            2 => (format!("\u{feff}{by_id}"), BAD_REQUEST),
            3 => (format!("{by_id}\n{by_id}"), BAD_REQUEST),
            _ => (self.rng.choose(&bodies).to_string(), BAD_REQUEST),
        }
    }

    /// The bytes of a request for a document that was not published, some of which are changed.
    fn damaged(&mut self) -> Vec<u8> {
        loop {
            let mut bytes = Value::Object(self.members()).to_string().into_bytes();
            for _ in 0..=self.rng.below(3) {
                let (at, from) = (self.rng.below(bytes.len()), self.rng.below(bytes.len()));
                match self.rng.below(3) {
                    0 => bytes[at] = *self.rng.choose(b" {}()[]\"\\:$!.,#aQ0\x00\xff"),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, bytes[from]),
                }
            }
            if !self.is_trusted(&bytes) {
                return bytes;
            }
        }
    }

    /// Whether the bytes are a request for a trusted document after all.
    fn is_trusted(&self, body: &[u8]) -> bool {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return false };
        let is_key = |value: Option<&Value>| {
            value.and_then(Value::as_str).is_some_and(|text| self.keys.iter().any(|key| key == text))
        };
        let query = members.get("query").and_then(Value::as_str).unwrap_or_default();
        let hash = members.get("extensions").and_then(|extensions| extensions.pointer("/persistedQuery/sha256Hash"));
        TRUSTED.contains(&query) || is_key(members.get("documentId")) || is_key(hash)
    }
}

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
