//! Subscriptions to several servers on one database, and across the restart of a server.

use serde_json::{Value, json};

use crate::process::{ADMIN, Caller, Process, Sandbox};
use crate::sse::EventStream;

const FOLLOW: &str = "subscription { changes { nodeId kind } }";

async fn stream(server: &Process, caller: &Caller, last_event_id: Option<&str>) -> EventStream {
    let url = server.url("/graphql");
    EventStream::open(&url, caller.token.as_deref(), &json!({ "query": FOLLOW }), last_event_id).await
}

/// Creates a group and returns its change, as a subscriber sees it.
async fn create_group(caller: &Caller, name: &str) -> Value {
    let query = "mutation ($name: String!) { createGroup(input: { name: $name }) { group { id } } }";
    let data = caller.data(query, json!({ "name": name })).await;
    json!({ "changes": { "nodeId": data["createGroup"]["group"]["id"], "kind": "CREATED" } })
}

in_every_sandbox! {
    async fn a_change_on_one_instance_arrives_at_the_other(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
        let root = one.sign_in(ADMIN).await;
        let mut stream = stream(&two, &root, None).await;
        stream.begin().await;
        for n in 0..5 {
            let expected = create_group(&root, &format!("Ward {n}")).await;
            assert_eq!(stream.next().await.1, expected);
        }
    }

    async fn a_search_after_a_change_finds_what_the_change_left(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
        let root = one.sign_in(ADMIN).await;
        let elsewhere = two.caller(root.token.as_deref());
        let count = || async {
            let found = elsewhere.data(r#"{ searchUsers(query: "Moreau") { totalCount nodes { id } } }"#, json!({})).await;
            let found = &found["searchUsers"];
            (found["totalCount"].clone(), found["nodes"].as_array().unwrap().len())
        };
        assert_eq!(count().await, (json!(0), 0));
        let mut stream = stream(&two, &root, None).await;
        stream.begin().await;
        for n in 0..10 {
            let input = json!({ "firstName": "Bela", "lastName": "Moreau", "username": format!("bela{n}") });
            let query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }";
            let created = root.data(query, json!({ "input": input })).await;
            stream.next().await;
            assert_eq!(count().await, (json!(1), 1));
            let query = "mutation ($input: SetActiveInput!) { setActive(input: $input) { success } }";
            root.data(query, json!({ "input": { "id": created["createUser"]["user"]["id"], "active": false } })).await;
            stream.next().await;
            assert_eq!(count().await, (json!(0), 0));
        }
    }

    async fn nothing_is_lost_when_the_server_restarts(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (mut one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
        let root = two.sign_in(ADMIN).await;
        let mut first = stream(&one, &root, None).await;
        let begin = first.begin().await;
        let before = create_group(&root, "Before").await;
        let (position, seen) = first.next().await;
        assert_eq!(seen, before);
        one.signal("TERM");
        assert_eq!(first.event().await, None, "the stream ends and is not complete");
        assert_eq!(one.code().await, 0, "{}", one.err());
        let meanwhile = [create_group(&root, "Meanwhile").await, create_group(&root, "Too").await];
        let three = sandbox.serve(&[]).await;
        let after_begin: Vec<Value> = std::iter::once(before).chain(meanwhile.clone()).collect();
        for (id, expected) in [(begin, after_begin), (position, meanwhile.to_vec())] {
            let mut resumed = stream(&three, &root, Some(&id)).await;
            resumed.begin().await;
            for change in expected {
                assert_eq!(resumed.next().await.1, change);
            }
        }
    }
}
