//! Subscription `userChanged`: the changes of users alone, or of some of them, with the rights of each moment.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::change::Position;
use roster::entity::user::{Role, UserFields};
use roster::http::MAX_SUBSCRIPTIONS;
use roster::scalar::Id;
use serde_json::{Value, json};

use super::{change, current_position, decoded, follow, new_user};
use crate::app::{App, Caller};
use crate::sse::EventStream;

/// The number of changes for which statements are counted.
const CHANGES: usize = 40;

const FOLLOW: &str = "subscription ($ids: [ID!], $after: String) { userChanged(ids: $ids, after: $after) { \
    position kind userId changedFields at user { id mobile phone isActive } } }";

async fn update(caller: &Caller<'_>, id: &str, fields: Value) {
    let mut input = fields;
    input["id"] = json!(id);
    change(caller, "updateUser", "user", input).await;
}

/// The next changes of a stream.
async fn read(stream: &mut EventStream, count: usize) -> Vec<Value> {
    let mut changes = Vec::new();
    for _ in 0..count {
        let (id, data) = stream.next().await;
        let change = data["userChanged"].clone();
        assert_eq!(decoded(&id), decoded(change["position"].as_str().unwrap()), "the ID of an event is its position");
        changes.push(change);
    }
    changes
}

/// What a change and a change of a user have in common; `id` is the field with the ID.
fn common(changes: &[Value], id: &str) -> Vec<(Value, Option<Position>)> {
    let common = |change: &Value| {
        let position = decoded(change["position"].as_str().unwrap());
        (json!([change["kind"], change[id], change["changedFields"], change["at"]]), position)
    };
    changes.iter().map(common).collect()
}

/// The kind of a change and its fields in alphabetical order.
fn summary(change: &Value) -> String {
    let fields = change["changedFields"].as_array().unwrap().iter().map(|field| field.as_str().unwrap());
    let mut words: Vec<&str> = fields.collect();
    words.sort_unstable();
    words.insert(0, change["kind"].as_str().unwrap());
    words.join(" ")
}

/// The number of statements while a user is changed again and again, and a subscriber sees each change.
async fn count_statements(chief: &Caller<'_>, id: &str, watching: &mut EventStream) -> u64 {
    let before = chief.app.db.statements();
    for n in 0..CHANGES {
        update(chief, id, json!({ "phone": format!("+61 {n}") })).await;
        read(watching, 1).await;
    }
    chief.app.db.statements() - before
}

on_every_database! {
    async fn changes_of_users_alone_are_sent_missed_ones_first(app: App) {
        let (chief, ann, bob) = (app.license_admin().await, app.user().await, app.user().await);
        let start = current_position(&chief).await;
        update(&chief, &ann.id(), json!({ "phone": "+61 1" })).await;
        change(&chief, "createGroup", "group", json!({ "name": "Ward 7" })).await;
        update(&chief, &bob.id(), json!({ "phone": "+61 2" })).await;
        let mut of_all = chief.stream(FOLLOW, json!({ "after": start })).await;
        let mut of_bob = chief.stream(FOLLOW, json!({ "after": start, "ids": [bob.id(), Id::new(), bob.id()] })).await;
        let mut seen = read(&mut of_all, 2).await;
        change(&chief, "createUser", "user", new_user("cy@x.example")).await;
        change(&chief, "createGroup", "group", json!({ "name": "Ward 8" })).await;
        update(&chief, &bob.id(), json!({ "position": "Nurse" })).await;
        seen.extend(read(&mut of_all, 2).await);
        let mut expected = follow(&chief, &start, 100).await;
        expected.retain(|change| change["type"] == json!("USER"));
        assert_eq!(common(&seen, "userId"), common(&expected, "nodeId"));
        let summaries: Vec<String> = seen.iter().map(summary).collect();
        let all = ["UPDATED phone", "UPDATED phone", "CREATED email firstName lastName", "UPDATED position"];
        assert_eq!(summaries, all);
        assert!(seen.iter().all(|change| change["user"]["id"] == change["userId"]), "{seen:#?}");
        let mut expected = seen.clone();
        expected.retain(|change| change["userId"] == json!(bob.id()));
        assert_eq!(common(&read(&mut of_bob, 2).await, "userId"), common(&expected, "userId"));

        // Wherever the stream breaks off, it resumes; the positions are those of `changes`.
        let position = seen[1]["position"].as_str().unwrap();
        let mut rest = follow(&chief, position, 100).await;
        rest.retain(|change| change["type"] == json!("USER"));
        for after in [json!(null), json!(start)] {
            let mut stream = chief.open_stream(FOLLOW, json!({ "after": after }), Some(position)).await;
            assert_eq!(decoded(&stream.begin().await), decoded(position), "Last-Event-ID goes before the argument");
            assert_eq!(common(&read(&mut stream, 2).await, "userId"), common(&rest, "nodeId"));
        }
    }

    async fn invalid_arguments_end_the_subscription_with_their_errors(app: App) {
        let (ann, other) = (app.user().await, App::on_sqlite().await);
        let open = async |caller: &Caller<'_>, variables: Value| caller.open_stream(FOLLOW, variables, None).await;
        assert_eq!(open(&app.anonymous(), json!({})).await.failure().await, "UNAUTHENTICATED");
        let too_many: Vec<Id> = (0..101).map(|_| Id::new()).collect();
        let invalid =
            [json!({ "after": "x" }), json!({ "ids": [] }), json!({ "ids": too_many }), json!({ "ids": ["x"] })];
        for variables in invalid {
            assert_eq!(open(&ann, variables).await.failure().await, "BAD_USER_INPUT");
        }
        let event = open(&ann, json!({ "after": "x", "ids": [] })).await.event().await.unwrap();
        let message = event.data["errors"][0]["message"].as_str().unwrap();
        assert!(["after: ", "ids: "].iter().all(|argument| message.contains(argument)), "{message}");
        assert_eq!(ann.open_stream(FOLLOW, json!({}), Some("x")).await.failure().await, "BAD_USER_INPUT");
        let foreign = current_position(&other.user().await).await;
        assert_eq!(open(&ann, json!({ "after": foreign })).await.failure().await, "SNAPSHOT_REQUIRED");
        let large = "subscription { userChanged { user { groups { members(first: 100) { nodes { \
            groups { members(first: 20) { nodes { fullName } } } } } } } } }";
        assert_eq!(ann.open_stream(large, json!({}), None).await.failure().await, "DOCUMENT_TOO_LARGE");
    }

    async fn each_viewer_sees_the_users_whom_they_may(app: App) {
        let (chief, ann, root) = (app.license_admin().await, app.user().await, app.superuser().await);
        let (stranger, bob) = (app.other_license_user().await, app.user().await);
        let there = app.create("There", app.other_license, UserFields::default(), Undefined).await.id;
        let ids = json!({ "ids": [bob.id(), there], "after": current_position(&root).await });
        let mut streams = join_all([&chief, &ann, &root, &stranger].map(|caller| caller.stream(FOLLOW, ids.clone()))).await;
        let [of_chief, of_ann, of_root, of_stranger] = streams.as_mut_slice() else { panic!("four streams") };
        update(&chief, &bob.id(), json!({ "mobile": "+61 1" })).await;
        update(&chief, &bob.id(), json!({ "phone": "+61 2", "birthDate": "1980-07-08" })).await;
        for stream in [&mut *of_chief, &mut *of_root] {
            let seen = read(stream, 2).await;
            assert_eq!(seen.iter().map(summary).collect::<Vec<_>>(), ["UPDATED mobile", "UPDATED birthDate phone"]);
            let user = json!({ "id": bob.id(), "mobile": "+61 1", "phone": "+61 2", "isActive": true });
            assert_eq!(seen[1]["user"], user);
        }
        let seen = read(of_ann, 1).await;
        assert_eq!(summary(&seen[0]), "UPDATED phone");
        let user = json!({ "id": bob.id(), "mobile": null, "phone": "+61 2", "isActive": true });
        assert_eq!(seen[0]["user"], user);

        change(&chief, "setActive", "user", json!({ "id": bob.id(), "active": false })).await;
        for stream in [&mut *of_chief, &mut *of_root] {
            let seen = read(stream, 1).await;
            assert_eq!(summary(&seen[0]), "DEACTIVATED isActive");
            assert_eq!(seen[0]["user"]["isActive"], json!(false));
        }
        let seen = read(of_ann, 1).await;
        assert_eq!((summary(&seen[0]).as_str(), &seen[0]["user"]), ("REMOVED", &Value::Null));
        assert_eq!(seen[0]["userId"], json!(bob.id()));
        chief.mutate("deleteUser", "", json!({ "id": bob.id() })).await;
        for stream in [of_chief, of_ann, &mut *of_root] {
            let seen = read(stream, 1).await;
            assert_eq!((summary(&seen[0]).as_str(), &seen[0]["user"]), ("DELETED", &Value::Null));
        }
        // Users of other licenses do not even notice.
        update(&root, &there.0.to_string(), json!({ "phone": "+61 3" })).await;
        assert_eq!(read(of_stranger, 1).await[0]["userId"], json!(there));
        assert_eq!(read(of_root, 1).await[0]["userId"], json!(there));
    }

    async fn changes_of_other_users_cost_a_subscription_no_statement(app: App) {
        let (chief, ann, bob) = (app.license_admin().await, app.user().await, app.user().await);
        let mut watching = chief.stream(FOLLOW, json!({})).await;
        let alone = count_statements(&chief, &bob.id(), &mut watching).await;
        let mut streams = Vec::new();
        for _ in 0..MAX_SUBSCRIPTIONS {
            streams.push(ann.stream(FOLLOW, json!({ "ids": [ann.id()] })).await);
        }
        let together = count_statements(&chief, &bob.id(), &mut watching).await;
        // Looking for changes takes statements too, as often as time passes.
        let most = alone + (MAX_SUBSCRIPTIONS * CHANGES / 2) as u64;
        assert!(together < most, "{together} statements with {MAX_SUBSCRIPTIONS} subscriptions, {alone} without them");
        update(&chief, &ann.id(), json!({ "phone": "+61 1" })).await;
        for stream in &mut streams {
            assert_eq!(read(stream, 1).await[0]["userId"], json!(ann.id()));
        }
    }

    async fn rights_are_read_again_for_each_change_of_a_user(app: App) {
        let (root, ann) = (app.superuser().await, app.user().await);
        let viewer = app.user_with("Viewer", UserFields { role: Given(Role::Admin), ..UserFields::default() }).await;
        let mut stream = viewer.stream(FOLLOW, json!({ "ids": [ann.id()] })).await;
        update(&root, &ann.id(), json!({ "mobile": "+61 1" })).await;
        assert_eq!(read(&mut stream, 1).await[0]["user"]["mobile"], json!("+61 1"));
        update(&root, &viewer.id(), json!({ "role": "USER" })).await;
        update(&root, &ann.id(), json!({ "mobile": "+61 2" })).await;
        update(&root, &ann.id(), json!({ "phone": "+61 3" })).await;
        let seen = read(&mut stream, 1).await;
        assert_eq!((summary(&seen[0]).as_str(), &seen[0]["user"]["mobile"]), ("UPDATED phone", &Value::Null));
        root.mutate("endSessions", "", json!({ "userId": viewer.id() })).await;
        update(&root, &ann.id(), json!({ "phone": "+61 4" })).await;
        assert_eq!(stream.failure().await, "UNAUTHENTICATED");
    }

    async fn sockets_send_the_changes_of_users_until_the_session_ends(app: App) {
        let (chief, ann, other) = (app.license_admin().await, app.user().await, App::on_sqlite().await);
        let start = current_position(&ann).await;
        update(&chief, &ann.id(), json!({ "phone": "+61 1" })).await;
        let mut socket = ann.socket().await;
        socket.subscribe("1", FOLLOW, json!({ "ids": [ann.id()], "after": start })).await;
        let mut seen = vec![socket.next_of("1").await["userChanged"].clone()];
        change(&chief, "createUser", "user", new_user("cy@x.example")).await;
        update(&chief, &ann.id(), json!({ "phone": "+61 2" })).await;
        seen.push(socket.next_of("1").await["userChanged"].clone());
        assert_eq!(seen.iter().map(summary).collect::<Vec<_>>(), ["UPDATED phone", "UPDATED phone"]);
        drop(socket);

        let mut socket = ann.socket().await;
        let foreign = current_position(&other.user().await).await;
        for (variables, code) in [
            (json!({ "after": "x" }), "BAD_USER_INPUT"),
            (json!({ "ids": [] }), "BAD_USER_INPUT"),
            (json!({ "after": foreign }), "SNAPSHOT_REQUIRED"),
        ] {
            socket.subscribe("2", FOLLOW, variables).await;
            assert_eq!(socket.failure_of("2").await, code);
        }
        let after = &seen[0]["position"];
        socket.subscribe("3", FOLLOW, json!({ "ids": [ann.id()], "after": after })).await;
        let next = [socket.next_of("3").await["userChanged"].clone()];
        assert_eq!(common(&next, "userId"), common(&seen[1..], "userId"));
        ann.data("mutation { logout { success } }", json!({})).await;
        update(&chief, &ann.id(), json!({ "phone": "+61 3" })).await;
        assert_eq!(socket.events_until_closed(4401).await, 0);
    }

    async fn subscriptions_of_both_kinds_count_together(app: App) {
        let ann = app.user().await;
        let mut socket = ann.socket().await;
        let both = ["subscription { userChanged { kind } }", "subscription { changes { kind } }"];
        for (number, query) in both.into_iter().cycle().take(MAX_SUBSCRIPTIONS).enumerate() {
            socket.subscribe(&number.to_string(), query, json!({})).await;
        }
        for query in both {
            socket.subscribe("one more", query, json!({})).await;
            assert_eq!(socket.failure_of("one more").await, "RATE_LIMITED");
        }
    }
}
