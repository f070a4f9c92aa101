//! Servers that execute only trusted documents.

use roster::http::hash_of;
use serde_json::{Value, json};

use super::{VIEWER, code};
use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox, until};

const LOGIN: &str = "mutation Login($input: LoginInput!) { login(input: $input) { token } }";
/// The document with which the playground signs in.
const PLAYGROUND_LOGIN: &str = "mutation SignIn($input: LoginInput!) { login(input: $input) { success message token user { fullName } errors { message } } }";
/// Logs each document that is parsed.
const COUNTING: [&str; 2] = ["--log", "info,roster::http::document_cache=trace"];
const MUTATIONS: usize = 10_000;

async fn with_documents(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.with_admin().await;
    let manifest = json!({ "me": VIEWER, "login": LOGIN });
    std::fs::write(sandbox.path("manifest.json"), manifest.to_string()).unwrap();
    let published = sandbox.run(&["documents", "publish", "manifest.json"]).await;
    assert_eq!(published.code, 0, "{published:?}");
    sandbox
}

async fn post(server: &Process, token: Option<&str>, body: String) -> (u16, String) {
    let request = reqwest::Client::new().post(server.url("/graphql")).header("content-type", "application/json");
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    let response = request.body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn json_of(server: &Process, token: Option<&str>, body: Value) -> Value {
    serde_json::from_str(&post(server, token, body.to_string()).await.1).unwrap()
}

async fn sign_in(server: &Process, document: Value) -> String {
    let mut body = document;
    body["variables"] = json!({ "input": { "login": ADMIN, "password": PASSWORD } });
    let response = json_of(server, None, body).await;
    response["data"]["login"]["token"].as_str().unwrap_or_else(|| panic!("{response:#}")).to_owned()
}

in_every_sandbox! {
    async fn nothing_but_trusted_documents_is_executed(sandbox: Sandbox) {
        let sandbox = with_documents(sandbox).await;
        let server = sandbox.serve(&["--documents", "trusted-only"]).await;
        let token = sign_in(&server, json!({ "documentId": "login" })).await;
        let token = Some(token.as_str());
        let me = json_of(&server, token, json!({ "documentId": "me" })).await;
        assert!(me["data"]["viewer"]["id"].is_string(), "{me:#}");
        // The text of a trusted document is the document.
        assert_eq!(json_of(&server, token, json!({ "query": VIEWER })).await, me);
        for body in [
            json!({ "query": "{ viewer { id } }" }),
            json!({ "query": "{ viewer" }),
            json!({ "query": "{ __schema { description } }" }),
            json!({ "documentId": "you" }),
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash_of("{ viewer { id } }") } } }),
            json!({ "query": "{ viewer { id } }", "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash_of("{ viewer { id } }") } } }),
            json!({ "query": PLAYGROUND_LOGIN }),
        ] {
            let response = json_of(&server, token, body.clone()).await;
            assert_eq!(code(&response), "DOCUMENT_NOT_TRUSTED", "{body}: {response:#}");
        }
        // Another server of the same database notices what is published later.
        let later = json!({ "kind": "query Kind { __typename }" });
        std::fs::write(sandbox.path("later.json"), later.to_string()).unwrap();
        assert_eq!(sandbox.run(&["documents", "publish", "later.json", "--set", "later"]).await.code, 0);
        let kind = json!({ "documentId": "kind" });
        let found = until(|| async { json_of(&server, token, kind.clone()).await.get("data").cloned() }).await;
        assert_eq!(found, Some(json!({ "__typename": "Query" })));
        assert!(server.err().contains("operation=\"Kind\" document=\"kind\""), "{}", server.err());
        assert_eq!(sandbox.run(&["documents", "withdraw", "--set", "later"]).await.code, 0);
        let refused = until(|| async { (code(&json_of(&server, token, kind.clone()).await) == "DOCUMENT_NOT_TRUSTED").then_some(()) }).await;
        assert!(refused.is_some());
    }

    async fn administrators_may_send_other_documents_if_the_playground_may(sandbox: Sandbox) {
        let sandbox = with_documents(sandbox).await;
        let trusted_only = ["--documents", "trusted-only", "--playground-documents", "true"];
        let server = sandbox.serve(&trusted_only).await;
        let root = sign_in(&server, json!({ "query": PLAYGROUND_LOGIN })).await;
        let root = Some(root.as_str());
        let create = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";
        let input = json!({ "firstName": "Ann", "lastName": "Moss", "username": "ann", "password": PASSWORD });
        let created = json_of(&server, root, json!({ "query": create, "variables": { "input": input } })).await;
        assert_eq!(created["data"]["createUser"]["success"], true, "{created:#}");
        let key = json_of(&server, root, json!({ "query": "mutation { createApiKey(input: { name: \"A\", role: LICENSE_ADMIN }) { secret } }" })).await;
        let key = key["data"]["createApiKey"]["secret"].as_str().unwrap().to_owned();
        let ann = json!({ "documentId": "login", "variables": { "input": { "login": "ann", "password": PASSWORD } } });
        let ann = json_of(&server, None, ann).await["data"]["login"]["token"].as_str().unwrap().to_owned();
        let other = json!({ "query": "{ viewer { id } }" });
        for token in [None, Some(ann.as_str()), Some(key.as_str())] {
            assert_eq!(code(&json_of(&server, token, other.clone()).await), "DOCUMENT_NOT_TRUSTED");
        }
        assert_eq!(post(&server, Some("ros_wrong"), other.to_string()).await.0, 401);
        let server = sandbox.serve(&[&trusted_only[..], &["--playground", "false"]].concat()).await;
        assert_eq!(code(&json_of(&server, root, other).await), "DOCUMENT_NOT_TRUSTED");
    }
}

/// Numbers by xorshift.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Changes some bytes of a request that would be valid otherwise.
fn mutated(rng: &mut Rng) -> Vec<u8> {
    let queries = [VIEWER, LOGIN, "{ viewer { id } }", "query Q($a: ID!) { node(id: $a) { id } }"];
    let query = queries[rng.below(queries.len())];
    let bodies = [
        json!({ "query": format!("{query} ") }),
        json!({ "documentId": "m", "variables": {} }),
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash_of(query) } }, "query": format!("{query}\n") }),
        json!({ "query": format!("#{}\n{query}", rng.0), "operationName": "Me" }),
    ];
    let mut bytes = bodies[rng.below(bodies.len())].to_string().into_bytes();
    for _ in 0..rng.below(4) {
        let at = rng.below(bytes.len());
        match rng.below(3) {
            0 => bytes[at] = b" {}()[]\"\\:$!.,#aQ0\x00\xff"[rng.below(20)],
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[rng.below(bytes.len())]),
        }
    }
    bytes
}

/// Whether the request asks for a trusted document after all.
fn is_trusted(body: &[u8]) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return false };
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let hash = members.get("extensions").and_then(|extensions| extensions.pointer("/persistedQuery/sha256Hash"));
    let hash = hash.and_then(Value::as_str).unwrap_or_default();
    [VIEWER, LOGIN].iter().any(|trusted| text("query") == *trusted || hash == hash_of(trusted))
        || ["me", "login"].contains(&text("documentId"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mutated_request_reaches_the_parser() {
    let sandbox = with_documents(Sandbox::on_sqlite()).await;
    let server = sandbox.serve(&[&["--documents", "trusted-only"][..], &COUNTING].concat()).await;
    let parsed = || server.err().matches("a document is parsed").count();
    let client = reqwest::Client::new();
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let mut sent = 0;
    while sent < MUTATIONS {
        let body = mutated(&mut rng);
        if is_trusted(&body) {
            continue;
        }
        sent += 1;
        let request = client.post(server.url("/graphql")).header("content-type", "application/json");
        let response = request.body(body.clone()).send().await.unwrap();
        let response: Value = response.json().await.unwrap();
        let is_refused = ["DOCUMENT_NOT_TRUSTED", "BAD_REQUEST"].contains(&code(&response));
        assert!(is_refused, "{}: {response:#}", String::from_utf8_lossy(&body));
    }
    assert_eq!(parsed(), 0);
    let me = json_of(&server, None, json!({ "documentId": "me" })).await;
    assert_eq!(me, json!({ "data": { "viewer": null } }));
    assert_eq!(parsed(), 1, "the count works");
}
