//! Documents that are not sent with a request: automatic persisted queries, and trusted documents of a manifest.

mod mutated_requests;
mod trusted_only;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roster::document::{self, NewDocument, Withdrawal};
use roster::http::hash_of;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::app::{App, Caller};
use crate::process::{ADMIN, Sandbox, until};
use crate::sse::EventStream;
use crate::wire::{RawClient, RawResponse};

const VIEWER: &str = "query Me { viewer { id } }";
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/graphql-response+json"];

fn persisted(query: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash_of(query) } })
}

fn code(response: &Value) -> &str {
    response.pointer("/errors/0/extensions/code").and_then(Value::as_str).unwrap_or_default()
}

/// The code of the first error of the response to a request, or an empty text.
async fn code_of(caller: &Caller<'_>, body: &Value) -> String {
    code(&caller.post(body).await.1).to_owned()
}

/// The response to a GET with the hash of a document alone, which has the accepted media type.
async fn get(app: &App, query: &str, media: &str) -> RawResponse {
    let extensions = persisted(query).to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let path = format!("/graphql?extensions={extensions}");
    let response = RawClient(app.address).send("GET", &path, &format!("Accept: {media}\r\n"), b"").await;
    assert_eq!(response.header("content-type"), Some(format!("{media}; charset=utf-8").as_str()), "{response:?}");
    response
}

fn new(id: &str, body: &str) -> NewDocument {
    NewDocument { id: id.to_owned(), name: None, body: body.to_owned() }
}

async fn publish(app: &App, set: &str, documents: Vec<NewDocument>) {
    document::publish(&app.db, &roster::schema::sdl(), set, documents).await.unwrap();
}

/// Sends a request until it has this error code; empty for none.
async fn answered_with(caller: &Caller<'_>, body: &Value, expected: &str) {
    let answered = until(|| async { (code_of(caller, body).await == expected).then_some(()) }).await;
    assert!(answered.is_some(), "{body}: {:#}", caller.post(body).await.1);
}

on_every_database! {
    async fn a_document_is_registered_by_signed_in_callers_and_found_by_its_hash(app: App) {
        let (ann, anonymous) = (app.user().await, app.anonymous());
        let by_hash = json!({ "extensions": persisted(VIEWER) });
        let both = json!({ "query": VIEWER, "extensions": persisted(VIEWER) });
        let not_found = json!({ "errors": [{ "message": "PersistedQueryNotFound", "extensions": { "code": "PERSISTED_QUERY_NOT_FOUND" } }] });
        assert_eq!(ann.post(&by_hash).await, (200, not_found.clone()));
        assert_eq!(anonymous.post(&both).await, (200, json!({ "data": { "viewer": null } })));
        assert_eq!(ann.post(&by_hash).await, (200, not_found), "anonymous callers register nothing");
        let expected = json!({ "data": { "viewer": { "id": ann.id() } } });
        assert_eq!(ann.post(&both).await, (200, expected.clone()));
        for body in [by_hash.clone(), json!({ "query": "", "extensions": persisted(VIEWER) }), json!({ "query": null, "extensions": persisted(VIEWER) })] {
            assert_eq!(ann.post(&body).await, (200, expected.clone()));
            assert_eq!(anonymous.post(&body).await.1, json!({ "data": { "viewer": null } }));
        }
    }

    async fn a_hash_is_enough_for_get_but_not_for_a_mutation(app: App) {
        let ann = app.user().await;
        let logout = "mutation Out { logout { success } }";
        for media in MEDIA_TYPES {
            let unknown = get(&app, VIEWER, media).await;
            assert_eq!((unknown.status, unknown.code().as_str()), (200, "PERSISTED_QUERY_NOT_FOUND"));
            assert_eq!(unknown.header("cache-control"), Some("no-store"), "found as soon as it is registered");
        }
        for query in [VIEWER, logout] {
            // Signed out by the second one.
            assert_eq!(code_of(&ann, &json!({ "query": query, "extensions": persisted(query) })).await, "");
        }
        for media in MEDIA_TYPES {
            let found = get(&app, VIEWER, media).await;
            assert_eq!((found.status, found.json()), (200, json!({ "data": { "viewer": null } })));
            let refused = get(&app, logout, media).await;
            assert_eq!((refused.status, refused.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
        }
    }

    async fn wrong_hashes_and_documents_with_secrets_are_not_registered(app: App) {
        let ann = app.user().await;
        for extensions in [
            persisted("{ viewer { id } }"),
            json!({ "persistedQuery": { "version": 1, "sha256Hash": hash_of(VIEWER).to_uppercase() } }),
            json!({ "persistedQuery": { "version": 2, "sha256Hash": hash_of(VIEWER) } }),
            json!({ "persistedQuery": { "sha256Hash": hash_of(VIEWER) } }),
            json!({ "persistedQuery": { "version": 1 } }),
            json!({ "persistedQuery": { "version": 1, "sha256Hash": 1 } }),
            json!({ "persistedQuery": 1 }),
        ] {
            let body = json!({ "query": VIEWER, "extensions": extensions });
            assert_eq!(code_of(&ann, &body).await, "BAD_REQUEST", "{body}");
        }
        for broken in ["{ viewer", "{ nothing }", "{ searchUsers(query: \"ann@example.org\") { totalCount } }", "mutation { changePassword(input: { currentPassword: \"a\", newPassword: \"b\" }) { success } }"] {
            ann.post(&json!({ "query": broken, "extensions": persisted(broken) })).await;
            assert_eq!(code_of(&ann, &json!({ "extensions": persisted(broken) })).await, "PERSISTED_QUERY_NOT_FOUND", "{broken}");
        }
        for empty in [json!({}), json!({ "extensions": {} }), json!({ "extensions": { "persistedQuery": null } })] {
            assert_eq!(code_of(&ann, &empty).await, "BAD_REQUEST");
        }
    }

    async fn a_trusted_document_is_executed_by_its_id_or_its_hash(app: App) {
        let ann = app.user().await;
        let by_id = "query ById($id: ID!) { node(id: $id) { id } }";
        publish(&app, "web", vec![new("me", VIEWER), new(&format!("sha256:{}", hash_of(by_id)), by_id)]).await;
        let expected = json!({ "data": { "viewer": { "id": ann.id() } } });
        for body in [
            json!({ "documentId": "me" }),
            json!({ "documentId": format!("sha256:{}", hash_of(VIEWER)), "query": null }),
            json!({ "extensions": persisted(VIEWER) }),
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "me" } } }),
        ] {
            assert_eq!(ann.post(&body).await, (200, expected.clone()), "{body}");
        }
        let with_variables = json!({ "documentId": format!("sha256:{}", hash_of(by_id)), "operationName": "ById", "variables": { "id": ann.id() } });
        assert_eq!(ann.post(&with_variables).await.1, json!({ "data": { "node": { "id": ann.id() } } }));
        assert_eq!(RawClient(app.address).get("/graphql?documentId=me").await.json(), json!({ "data": { "viewer": null } }));
        assert_eq!(code_of(&ann, &json!({ "documentId": "me", "query": VIEWER })).await, "BAD_REQUEST");
        for wrong in [json!(""), json!(1), json!({})] {
            assert_eq!(code_of(&ann, &json!({ "documentId": wrong })).await, "BAD_REQUEST");
        }
        for unknown in ["you", "sha256:", &hash_of("{ a }"), &"x".repeat(10_000), "\u{1f600}"] {
            assert_eq!(code_of(&ann, &json!({ "documentId": unknown })).await, "DOCUMENT_NOT_TRUSTED", "{unknown}");
        }
    }

    async fn a_trusted_document_obeys_the_limits_of_cost(app: App) {
        let ann = app.user().await;
        let expensive = "{ users(first: 100) { nodes { groups { members(first: 100) { nodes { groups { members(first: 100) { totalCount } } } } } } } }";
        publish(&app, "web", vec![new("expensive", expensive)]).await;
        assert_eq!(code_of(&ann, &json!({ "documentId": "expensive" })).await, "DOCUMENT_TOO_LARGE");
        assert_eq!(ann.error_code(expensive, json!({})).await, "DOCUMENT_TOO_LARGE");
    }

    async fn subscriptions_take_the_id_of_a_document(app: App) {
        let ann = app.user().await;
        let follow = "subscription Follow($after: String) { changes(after: $after, types: [GROUP]) { type nodeId } }";
        publish(&app, "web", vec![new("follow", follow), new("me", VIEWER)]).await;
        let after = ann.data("{ users { position } }", json!({})).await["users"]["position"].clone();
        let by_id = json!({ "documentId": "follow", "variables": { "after": after } });
        let mut socket = ann.socket().await;
        socket.send(&json!({ "type": "subscribe", "id": "1", "payload": { "documentId": "unknown" } })).await;
        assert_eq!(socket.failure_of("1").await, "DOCUMENT_NOT_TRUSTED");
        let url = format!("{}/graphql", app.url());
        let mut stream = EventStream::open(&url, ann.token.as_deref(), &by_id, None).await;
        stream.begin().await;
        let group = ann.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        socket.send(&json!({ "type": "subscribe", "id": "2", "payload": by_id })).await;
        assert_eq!(socket.next_of("2").await["changes"]["nodeId"], group);
        assert_eq!(stream.next().await.1["changes"]["nodeId"], group);
        document::withdraw(&app.db, &Withdrawal::Set("web".to_owned())).await.unwrap();
        // The server has noticed it.
        answered_with(&ann, &json!({ "documentId": "me" }), "DOCUMENT_NOT_TRUSTED").await;
        ann.mutate("createGroup", "", json!({ "name": "Secret ward" })).await;
        assert_eq!((socket.failure_of("2").await, stream.failure().await), ("DOCUMENT_NOT_TRUSTED".to_owned(), "DOCUMENT_NOT_TRUSTED".to_owned()));
        let mut unknown = EventStream::open(&url, ann.token.as_deref(), &json!({ "documentId": "unknown" }), None).await;
        assert_eq!(unknown.failure().await, "DOCUMENT_NOT_TRUSTED");
    }

    async fn a_subscription_with_a_withdrawn_document_ends_though_nothing_changes(app: App) {
        let ann = app.user().await;
        publish(&app, "web", vec![new("follow", "subscription { changes(types: [GROUP]) { type } }")]).await;
        let (url, follow) = (format!("{}/graphql", app.url()), json!({ "documentId": "follow" }));
        let mut stream = EventStream::open(&url, ann.token.as_deref(), &follow, None).await;
        stream.begin().await;
        document::withdraw(&app.db, &Withdrawal::Set("web".to_owned())).await.unwrap();
        let failure = timeout(Duration::from_secs(30), stream.failure()).await;
        assert_eq!(failure.expect("the stream ends"), "DOCUMENT_NOT_TRUSTED");
    }

    async fn withdrawn_documents_are_refused_and_new_ones_found_without_a_restart(app: App) {
        let ann = app.user().await;
        let (me, other) = (json!({ "documentId": "me" }), json!({ "documentId": "other" }));
        assert_eq!(code_of(&ann, &me).await, "DOCUMENT_NOT_TRUSTED");
        publish(&app, "web", vec![new("me", VIEWER), new("other", "{ __typename }")]).await;
        answered_with(&ann, &me, "").await;
        assert_eq!(code_of(&ann, &other).await, "");
        document::withdraw(&app.db, &Withdrawal::Document("me".to_owned())).await.unwrap();
        answered_with(&ann, &me, "DOCUMENT_NOT_TRUSTED").await;
        assert_eq!(code_of(&ann, &other).await, "");
        document::withdraw(&app.db, &Withdrawal::Set("web".to_owned())).await.unwrap();
        answered_with(&ann, &other, "DOCUMENT_NOT_TRUSTED").await;
    }

    async fn documents_in_memory_are_executed_while_they_cannot_be_read(app: App) {
        if !app.db.is_postgres() {
            return;
        }
        let (ann, me) = (app.user().await, json!({ "documentId": "me" }));
        publish(&app, "web", vec![new("me", VIEWER)]).await;
        assert_eq!(code_of(&ann, &me).await, "");
        let transaction = app.db.begin().await.unwrap();
        transaction.execute_unprepared("LOCK TABLE document_revision IN ACCESS EXCLUSIVE MODE").await.unwrap();
        // Several looks begin meanwhile, and wait for the lock.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(3) {
            let bodies = [&me; 20].map(|body| code_of(&ann, body));
            assert_eq!(join_all(bodies).await, [""; 20]);
        }
        transaction.rollback().await.unwrap();
        document::withdraw(&app.db, &Withdrawal::Document("me".to_owned())).await.unwrap();
        answered_with(&ann, &me, "DOCUMENT_NOT_TRUSTED").await;
    }

    async fn an_api_key_that_is_bound_to_a_set_executes_nothing_else(app: App) {
        let admin = app.admin().await;
        publish(&app, "wards", vec![new("me", VIEWER)]).await;
        publish(&app, "web", vec![new("a", VIEWER), new("me", VIEWER), new("kind", "query Kind { __typename }")]).await;
        let created = admin.mutate("createApiKey", "secret apiKey { documentSet }", json!({ "name": "Display", "documentSet": "wards" })).await;
        assert_eq!(created["apiKey"]["documentSet"], "wards");
        let mut key = app.anonymous();
        key.token = created["secret"].as_str().map(str::to_owned);
        assert_eq!(key.post(&json!({ "documentId": "me" })).await.1, json!({ "data": { "viewer": { "id": admin.id() } } }));
        assert_eq!(code_of(&key, &json!({ "extensions": persisted(VIEWER) })).await, "");
        // The text has another ID in another set.
        assert_eq!(code_of(&key, &json!({ "documentId": "a" })).await, "DOCUMENT_NOT_TRUSTED");
        for body in [json!({ "documentId": "kind" }), json!({ "query": VIEWER }), json!({ "query": "{ __schema { description } }" })] {
            assert_eq!(code_of(&key, &body).await, "DOCUMENT_NOT_TRUSTED", "{body}");
        }
        let follow = json!({ "query": "subscription { changes { type } }" });
        let mut stream = EventStream::open(&format!("{}/graphql", app.url()), key.token.as_deref(), &follow, None).await;
        assert_eq!(stream.failure().await, "DOCUMENT_NOT_TRUSTED");
        let unbound = admin.mutate("createApiKey", "secret apiKey { documentSet }", json!({ "name": "Other", "documentSet": null })).await;
        assert_eq!(unbound["apiKey"]["documentSet"], Value::Null);
        for wrong in ["a b", "é", &"x".repeat(101)] {
            assert_eq!(admin.payload_errors("createApiKey", json!({ "name": "A", "documentSet": wrong })).await, ["INVALID input.documentSet"]);
        }
    }
}

in_every_sandbox! {
    async fn documents_are_published_listed_and_withdrawn_on_the_command_line(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let plain = json!({ "me": VIEWER, "kind": "{ __typename }" });
        let apollo = json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "me", "name": "Me", "type": "query", "body": VIEWER },
            { "id": "me", "name": "Me", "type": "query", "body": VIEWER },
        ] });
        std::fs::write(sandbox.path("plain.json"), plain.to_string()).unwrap();
        std::fs::write(sandbox.path("apollo.json"), apollo.to_string()).unwrap();
        let published = sandbox.run(&["documents", "publish", "plain.json"]).await;
        assert_eq!((published.code, published.out.trim()), (0, "Published 2 documents in the set default; 0 were there already."), "{published:?}");
        for expected in ["Published 1 document in the set web; 0 were there already.", "Published 0 documents in the set web; 1 was there already."] {
            let published = sandbox.run(&["documents", "publish", "apollo.json", "--set", "web"]).await;
            assert_eq!((published.code, published.out.trim()), (0, expected), "{published:?}");
        }
        let list = sandbox.run(&["documents", "list"]).await.out;
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(rows, [["default", "kind", "14"], ["default", "me", "Me"], ["web", "me", "Me"]], "{list}");

        let unknown = sandbox.run(&["documents", "withdraw", "unknown"]).await;
        assert!(unknown.code == 1 && unknown.err.contains("unknown"), "{unknown:?}");
        for usage in [&["documents", "withdraw"][..], &["documents", "withdraw", "me", "--set", "web"], &["documents", "publish"]] {
            assert_eq!(sandbox.run(usage).await.code, 2, "{usage:?}");
        }
        assert_eq!(sandbox.run(&["documents", "withdraw", "me"]).await.out.trim(), "Withdrew the document me from 2 sets.");
        assert_eq!(sandbox.run(&["documents", "withdraw", "--set", "default"]).await.out.trim(), "Withdrew 1 document of the set default.");
        let query = "{ auditEvents(filter: { action: [DOCUMENTS_PUBLISHED, DOCUMENTS_WITHDRAWN] }) { nodes { action actor { id } subject { __typename } changes { field before after } } } }";
        let events = root.data(query, json!({})).await["auditEvents"]["nodes"].clone();
        let actions: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["DOCUMENTS_WITHDRAWN", "DOCUMENTS_WITHDRAWN", "DOCUMENTS_PUBLISHED", "DOCUMENTS_PUBLISHED"], "{events:#}");
        let changes = json!([{ "field": "documentSet", "before": null, "after": "web" }, { "field": "documents", "before": null, "after": 1 }]);
        assert_eq!(events[2], json!({ "action": "DOCUMENTS_PUBLISHED", "actor": null, "subject": { "__typename": "License" }, "changes": changes }));
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    async fn a_manifest_with_an_invalid_document_publishes_nothing(sandbox: Sandbox) {
        let publish = async |manifest: Value| {
            std::fs::write(sandbox.path("manifest.json"), manifest.to_string()).unwrap();
            sandbox.run(&["documents", "publish", "manifest.json"]).await
        };
        let invalid = publish(json!({ "good": VIEWER, "bad": "query Bad {\n  viewer { nothing }\n}", "worse": "{" })).await;
        assert_eq!(invalid.code, 1);
        assert!(invalid.err.contains("bad (Bad): line 2, column 12: ") && invalid.err.contains("worse: line 1, column 2: "), "{}", invalid.err);
        for id in ["sha256:00", &hash_of("{ viewer { id } }")] {
            let wrong_hash = publish(json!({ id: VIEWER })).await;
            assert!(wrong_hash.code == 1 && wrong_hash.err.contains("not the SHA-256 hash"), "{wrong_hash:?}");
        }
        let wrong_id = publish(json!({ "a b": VIEWER })).await;
        assert!(wrong_id.code == 1 && wrong_id.err.contains("the ID must have"), "{wrong_id:?}");
        assert_eq!(sandbox.run(&["documents", "list"]).await.out.lines().count(), 1);
        assert_eq!(publish(json!({ "me": VIEWER })).await.code, 0);
        let other_text = publish(json!({ "me": "{ viewer { id } }" })).await;
        assert!(other_text.code == 1 && other_text.err.contains("me: another document has this ID"), "{other_text:?}");
        let set = sandbox.run(&["documents", "publish", "manifest.json", "--set", "a b"]).await;
        assert!(set.code == 1 && set.err.contains("--set"), "{set:?}");
        let missing = sandbox.run(&["documents", "publish", "missing.json"]).await;
        assert!(missing.code == 1 && missing.err.contains("missing.json"), "{missing:?}");
    }
}
