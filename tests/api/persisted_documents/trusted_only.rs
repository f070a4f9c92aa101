//! Servers that execute only trusted documents.

use roster::http::hash_of;
use serde_json::{Value, json};

use super::{VIEWER, code};
use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox, until};

pub(super) const LOGIN: &str = "mutation Login($input: LoginInput!) { login(input: $input) { token } }";
/// The document with which the playground signs in.
const PLAYGROUND_LOGIN: &str = "mutation SignIn($input: LoginInput!) { login(input: $input) { success message token user { fullName } errors { message } } }";

pub(super) async fn with_documents(sandbox: Sandbox) -> Sandbox {
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

pub(super) async fn json_of(server: &Process, token: Option<&str>, body: Value) -> Value {
    serde_json::from_str(&post(server, token, body.to_string()).await.1).unwrap()
}

pub(super) async fn sign_in(server: &Process, document: Value) -> String {
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

    async fn the_pages_of_emailed_links_send_their_own_documents(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--documents", "trusted-only"]).await;
        for (page, input) in [
            ("/activate", json!({ "token": "rol_x", "password": PASSWORD })),
            ("/reset", json!({ "token": "rol_x", "password": PASSWORD })),
            ("/confirm-email", json!({ "token": "rol_x" })),
        ] {
            let html = reqwest::get(server.url(page)).await.unwrap().text().await.unwrap();
            let attribute = |name: &str| html.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
            let (query, variables) = (attribute("data-query"), json!({ "input": input }));
            let response = json_of(&server, None, json!({ "query": query, "variables": variables })).await;
            assert_eq!(response["data"]["done"]["errors"], json!([{ "code": "EXPIRED" }]), "{page}: {response:#}");
            let logout = json_of(&server, None, json!({ "query": attribute("data-logout") })).await;
            assert_eq!(code(&logout), "UNAUTHENTICATED", "{page}: {logout:#}");
            let other = json!({ "query": format!("{query} "), "variables": variables });
            assert_eq!(code(&json_of(&server, None, other).await), "DOCUMENT_NOT_TRUSTED", "{page}");
        }
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
