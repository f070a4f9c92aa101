//! Subscription `changes` over WebSockets: the same as over event streams, and the end of a session closes the socket.

use serde_json::{Value, json};

use super::{change, comparable, current_position, follow};
use crate::app::{App, Caller};
use crate::process::{ADMIN, Sandbox};
use crate::socket::Socket;

const FOLLOW: &str = "subscription ($after: String, $types: [NodeType!]) { \
    changes(after: $after, types: $types) { position kind type nodeId changedFields at node { __typename id } } }";

async fn create_group(caller: &Caller<'_>, name: &str) -> Value {
    change(caller, "createGroup", "group", json!({ "name": name })).await
}

on_every_database! {
    async fn sockets_send_what_was_missed_and_every_other_change(app: App) {
        let ann = app.user().await;
        let start = current_position(&ann).await;
        create_group(&ann, "Ward 7").await;
        let mut socket = ann.socket().await;
        socket.subscribe("all", FOLLOW, json!({ "after": start })).await;
        socket.subscribe("users", FOLLOW, json!({ "after": start, "types": ["USER"] })).await;
        let mut seen = vec![socket.next_of("all").await["changes"].clone()];
        create_group(&ann, "Ward 8").await;
        seen.push(socket.next_of("all").await["changes"].clone());
        assert_eq!(comparable(&seen), comparable(&follow(&ann, &start, 100).await));
        socket.send(&json!({ "type": "complete", "id": "all" })).await;
        socket.send(&json!({ "type": "ping" })).await;
        assert_eq!(socket.receive().await, json!({ "type": "pong" }), "the subscription is complete by now");
        change(&ann, "updateUser", "user", json!({ "id": ann.id(), "phone": "+61 1" })).await;
        assert_eq!(socket.next_of("users").await["changes"]["changedFields"], json!(["phone"]));
        // Wherever the client stops, it resumes at the last position.
        drop(socket);
        let mut socket = ann.socket().await;
        let after = seen[0]["position"].as_str().unwrap();
        socket.subscribe("1", FOLLOW, json!({ "after": after, "types": ["GROUP"] })).await;
        let next = [socket.next_of("1").await["changes"].clone()];
        assert_eq!(comparable(&next), comparable(&seen[1..2]));
        let other = App::on_sqlite().await;
        let foreign = current_position(&other.user().await).await;
        for (after, code) in [("x", "BAD_USER_INPUT"), (foreign.as_str(), "SNAPSHOT_REQUIRED")] {
            socket.subscribe("2", FOLLOW, json!({ "after": after })).await;
            assert_eq!(socket.failure_of("2").await, code);
        }
        assert_eq!(Socket::open(app.address).await.closed_after_init(None).await, 4403);
        assert_eq!(Socket::open(app.address).await.closed_after_init(Some("ros_x")).await, 4403);
    }

    async fn a_socket_closes_before_an_event_that_follows_the_end_of_its_session(app: App) {
        let (chief, bob) = (app.license_admin().await, app.user().await);
        let (out, inactive) = (app.user().await, app.user().await);
        let mut sockets = Vec::new();
        for caller in [&out, &inactive] {
            let mut socket = caller.socket().await;
            socket.subscribe("1", FOLLOW, json!({ "after": current_position(caller).await, "types": ["GROUP"] })).await;
            let group = create_group(&bob, "Ward").await;
            assert_eq!(socket.next_of("1").await["changes"]["nodeId"], group);
            sockets.push(socket);
        }
        out.data("mutation { logout { success } }", json!({})).await;
        chief.mutate("setActive", "", json!({ "id": inactive.id(), "active": false })).await;
        create_group(&bob, "Late").await;
        let [of_out, of_inactive] = sockets.as_mut_slice() else { panic!("two sockets") };
        // The first one has seen one group, and may still see the second one.
        assert!(of_out.events_until_closed(4401).await <= 1);
        assert_eq!(of_inactive.events_until_closed(4401).await, 0);
    }
}

in_every_sandbox! {
    async fn sockets_close_when_the_process_is_stopped(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let mut server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let address = server.address().parse().unwrap();
        let mut socket = Socket::initialised(address, root.token.as_deref().unwrap()).await;
        socket.subscribe("1", FOLLOW, json!({})).await;
        server.signal("TERM");
        assert_eq!(socket.events_until_closed(1001).await, 0);
        assert_eq!(server.code().await, 0, "{}", server.err());
    }
}
