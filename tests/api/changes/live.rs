//! Subscription `changes`: what was missed and then every other change, exactly once, with the rights of each moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::TimeDelta;
use futures_util::future::join_all;
use roster::entity::user::{Role, UserFields};
use roster::entity::{license, session};
use roster::scalar::{Date, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use super::{beginning, change, comparable, current_position, decoded, follow, new_user, summary};
use crate::app::{App, Caller};
use crate::process::env_or;
use crate::sse::EventStream;

/// The number of times that a right is withdrawn while changes flow; `ROSTER_TEST_TRIALS` overrides it.
const TRIALS: usize = 60;

const FOLLOW: &str = "subscription ($after: String, $types: [NodeType!]) { \
    changes(after: $after, types: $types) { position kind type nodeId changedFields at node { __typename id } } }";

/// The next changes of a stream.
async fn read(stream: &mut EventStream, count: usize) -> Vec<Value> {
    let mut changes = Vec::new();
    for _ in 0..count {
        let (id, data) = stream.next().await;
        assert_eq!(
            decoded(&id),
            decoded(data["changes"]["position"].as_str().unwrap()),
            "the ID of an event is its position"
        );
        changes.push(data["changes"].clone());
    }
    changes
}

async fn create_group(caller: &Caller<'_>, name: &str) -> Value {
    change(caller, "createGroup", "group", json!({ "name": name })).await
}

/// Sends a mutation that must succeed.
async fn mutate(caller: &Caller<'_>, mutation: &str, input: Value) {
    let payload = caller.mutate(mutation, "", input).await;
    assert_eq!(payload["success"], json!(true), "{mutation}: {payload:#}");
}

on_every_database! {
    async fn missed_changes_come_first_and_then_the_others(app: App) {
        let ann = app.user().await;
        let start = current_position(&ann).await;
        let ward = create_group(&ann, "Ward 7").await;
        let mut stream = ann.open_stream(FOLLOW, json!({ "after": start }), None).await;
        assert_eq!(decoded(&stream.begin().await), decoded(&start));
        let mut seen = read(&mut stream, 1).await;
        change(&ann, "updateGroup", "group", json!({ "id": ward, "description": "Nights" })).await;
        create_group(&ann, "Ward 8").await;
        seen.extend(read(&mut stream, 2).await);
        assert_eq!(comparable(&seen), comparable(&follow(&ann, &start, 100).await));
        let summaries: Vec<String> = seen.iter().map(summary).collect();
        assert_eq!(summaries, ["CREATED GROUP name", "UPDATED GROUP description", "CREATED GROUP name"]);

        // Without a position, the stream begins now; and wherever it breaks off, it resumes there.
        drop(stream);
        let mut stream = ann.open_stream(FOLLOW, json!({}), None).await;
        let begin = stream.begin().await;
        assert_eq!(decoded(&begin), decoded(&current_position(&ann).await));
        drop(stream);
        create_group(&ann, "Ward 9").await;
        create_group(&ann, "Ward 10").await;
        let expected = follow(&ann, &begin, 100).await;
        for after in [json!(null), json!(start)] {
            let mut stream = ann.open_stream(FOLLOW, json!({ "after": after }), Some(&begin)).await;
            assert_eq!(decoded(&stream.begin().await), decoded(&begin), "Last-Event-ID goes before the argument");
            assert_eq!(comparable(&read(&mut stream, 2).await), comparable(&expected));
            let position = expected[0]["position"].as_str().unwrap();
            let mut stream = ann.open_stream(FOLLOW, json!({ "after": after }), Some(position)).await;
            stream.begin().await;
            assert_eq!(comparable(&read(&mut stream, 1).await), comparable(&expected[1..]));
        }
        let mut stream = ann.stream(FOLLOW, json!({ "after": start, "types": ["USER"] })).await;
        change(&ann, "updateUser", "user", json!({ "id": ann.id(), "phone": "+61 1" })).await;
        assert_eq!(summary(&read(&mut stream, 1).await[0]), "UPDATED USER phone");
    }

    async fn subscriptions_that_cannot_start_end_with_their_errors(app: App) {
        let (ann, other) = (app.user().await, App::on_sqlite().await);
        let open = async |caller: &Caller<'_>, variables: Value| caller.open_stream(FOLLOW, variables, None).await;
        assert_eq!(open(&app.anonymous(), json!({})).await.failure().await, "UNAUTHENTICATED");
        for variables in [json!({ "after": "x" }), json!({ "types": vec!["USER"; 101] })] {
            assert_eq!(open(&ann, variables).await.failure().await, "BAD_USER_INPUT");
        }
        assert_eq!(ann.open_stream(FOLLOW, json!({}), Some("x")).await.failure().await, "BAD_USER_INPUT");
        let foreign = current_position(&other.user().await).await;
        let event = open(&ann, json!({ "after": foreign })).await.event().await.unwrap();
        let extensions = &event.data["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "SNAPSHOT_REQUIRED", "{event:#?}");
        assert_eq!(decoded(extensions["position"].as_str().unwrap()), decoded(&current_position(&ann).await));
        assert_eq!(open(&ann, json!({ "after": foreign })).await.failure().await, "SNAPSHOT_REQUIRED");
        let large = "subscription { changes { node { ... on Group { members(first: 100) { nodes { \
            groups { members(first: 20) { nodes { fullName } } } } } } } } }";
        assert_eq!(ann.open_stream(large, json!({}), None).await.failure().await, "DOCUMENT_TOO_LARGE");
    }

    async fn each_viewer_sees_what_they_may(app: App) {
        let query = "subscription ($after: String) { changes(after: $after) { \
            position kind type nodeId changedFields at node { ... on User { id mobile phone isActive } } } }";
        let (chief, ann, root) = (app.license_admin().await, app.user().await, app.superuser().await);
        let (stranger, bob) = (app.other_license_user().await, app.user().await);
        let variables = json!({ "after": current_position(&root).await });
        let mut streams = join_all([&chief, &ann, &root, &stranger].map(|caller| caller.stream(query, variables.clone()))).await;
        let [of_chief, of_ann, of_root, of_stranger] = streams.as_mut_slice() else { panic!("four streams") };
        change(&chief, "updateUser", "user", json!({ "id": bob.id(), "mobile": "+61 1" })).await;
        change(&chief, "updateUser", "user", json!({ "id": bob.id(), "phone": "+61 2", "birthDate": "1980-07-08" })).await;
        for stream in [&mut *of_chief, &mut *of_root] {
            let seen = read(stream, 2).await;
            assert_eq!(seen.iter().map(summary).collect::<Vec<_>>(), ["UPDATED USER mobile", "UPDATED USER birthDate phone"]);
            assert_eq!(seen[1]["node"], json!({ "id": bob.id(), "mobile": "+61 1", "phone": "+61 2", "isActive": true }));
        }
        let seen = read(of_ann, 1).await;
        assert_eq!(summary(&seen[0]), "UPDATED USER phone");
        assert_eq!(seen[0]["node"], json!({ "id": bob.id(), "mobile": null, "phone": "+61 2", "isActive": true }));
        mutate(&chief, "setActive", json!({ "id": bob.id(), "active": false })).await;
        assert_eq!(summary(&read(of_chief, 1).await[0]), "DEACTIVATED USER isActive");
        let removed = read(of_ann, 1).await;
        assert_eq!((summary(&removed[0]).as_str(), &removed[0]["node"]), ("REMOVED USER", &Value::Null));
        // Users of other licenses do not even notice.
        let there = app.create("There", app.other_license, UserFields::default(), Undefined).await.id;
        let seen = read(of_stranger, 1).await;
        assert_eq!((&seen[0]["kind"], &seen[0]["nodeId"]), (&json!("CREATED"), &json!(there)));
        assert_eq!(read(of_root, 2).await[1]["nodeId"], json!(there));
    }

    async fn nothing_is_lost_or_repeated_although_streams_break_off(app: App) {
        const GROUPS: usize = 10;
        const WRITERS: usize = 6;
        let reader = app.user().await;
        let writers = join_all((0..WRITERS).map(|_| app.user())).await;
        let start = current_position(&reader).await;
        let write = join_all(writers.iter().map(|writer| async move {
            for n in 0..GROUPS {
                let group = create_group(writer, &format!("Ward {n}")).await;
                change(writer, "updateGroup", "group", json!({ "id": group, "description": "Nights" })).await;
            }
        }));
        let read_all = async |events_of_stream: usize| {
            let (mut position, mut seen) = (start.clone(), Vec::new());
            while seen.len() < WRITERS * GROUPS * 2 {
                let count = events_of_stream.min(WRITERS * GROUPS * 2 - seen.len());
                let mut stream = reader.open_stream(FOLLOW, json!({}), Some(&position)).await;
                stream.begin().await;
                seen.extend(read(&mut stream, count).await);
                seen.last().unwrap()["position"].as_str().unwrap().clone_into(&mut position);
            }
            seen
        };
        let (_, short, long) = tokio::join!(write, read_all(7), read_all(usize::MAX));
        let expected = follow(&reader, &start, 100).await;
        assert_eq!(comparable(&short), comparable(&expected));
        assert_eq!(comparable(&long), comparable(&expected));
    }

    async fn changes_that_nobody_sees_delay_nothing(app: App) {
        let (ann, stranger) = (app.user().await, app.other_license_user().await);
        let mut stream = ann.stream(FOLLOW, json!({ "after": beginning(), "types": ["GROUP"] })).await;
        for n in 0..3 {
            for _ in 0..15 {
                create_group(&stranger, "There").await;
            }
            let group = create_group(&ann, &format!("Ward {n}")).await;
            assert_eq!(read(&mut stream, 1).await[0]["nodeId"], group);
        }
    }

    async fn no_event_follows_the_end_of_a_session(app: App) {
        let (chief, bob) = (app.license_admin().await, app.user().await);
        let secret = chief.mutate("createApiKey", "secret apiKey { id }", json!({ "name": "Nightly", "role": "USER" })).await;
        let key = Caller { token: Some(secret["secret"].as_str().unwrap().to_owned()), ..chief.clone() };
        let (out, ended, inactive) = (app.user().await, app.user().await, app.user().await);
        let expired = app.other_license_user().await;
        let mut streams = vec![expired.stream(FOLLOW, json!({})).await];
        for caller in [&key, &out, &ended, &inactive] {
            let mut stream = caller.stream(FOLLOW, json!({})).await;
            let group = create_group(&bob, "Ward").await;
            assert_eq!(read(&mut stream, 1).await[0]["nodeId"], group);
            streams.push(stream);
        }
        mutate(&chief, "revokeApiKey", json!({ "id": secret["apiKey"]["id"] })).await;
        out.data("mutation { logout { success } }", json!({})).await;
        mutate(&chief, "endSessions", json!({ "userId": ended.id() })).await;
        mutate(&chief, "setActive", json!({ "id": inactive.id(), "active": false })).await;
        let yesterday = Date(Date::today().0.pred_opt().unwrap());
        let expire = license::Entity::update_many().col_expr(license::Column::ExpiresOn, Expr::value(yesterday));
        expire.filter(license::Column::Id.eq(app.other_license)).exec(app.db.write()).await.unwrap();
        create_group(&bob, "Late").await;
        for (number, mut stream) in streams.into_iter().enumerate() {
            // Changes that were committed before may still come.
            let end = loop {
                let event = stream.event().await.unwrap();
                if event.data.get("errors").is_some() {
                    break event;
                }
                let change = &event.data["data"]["changes"];
                let name = chief.data("query ($id: ID!) { group(id: $id) { name } }", json!({ "id": change["nodeId"] })).await;
                assert_ne!(name["group"]["name"], "Late", "stream {number}: {event:#?}");
            };
            assert_eq!(end.data["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "stream {number}");
            stream.complete().await;
        }
    }

    async fn nothing_that_was_written_after_a_withdrawal_is_sent(app: App) {
        let query = "subscription ($after: String) { changes(after: $after) { \
            kind nodeId changedFields node { ... on User { mobile phone } } } }";
        let (root, ann) = (app.superuser().await, app.user().await);
        let viewer = app.user_with("Viewer", UserFields { role: Given(Role::Admin), ..UserFields::default() }).await;
        let update = async |id: String, field: &str, value: String| {
            change(&root, "updateUser", "user", json!({ "id": id, field: value })).await;
        };
        for trial in 0..env_or("ROSTER_TEST_TRIALS", TRIALS) {
            update(viewer.id(), "role", "ADMIN".to_owned()).await;
            let start = current_position(&root).await;
            let mut stream = viewer.stream(query, json!({ "after": start })).await;
            let (is_withdrawn, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
            let write = async {
                let next = || format!("+61 {trial} {}", begun.fetch_add(1, Ordering::AcqRel));
                while !is_withdrawn.load(Ordering::Acquire) {
                    update(ann.id(), "mobile", next()).await;
                }
                update(ann.id(), "mobile", next()).await;
                update(ann.id(), "phone", format!("+61 {trial}")).await;
            };
            let read = async {
                let mut seen = Vec::new();
                // While the changes flow, after another number of them in each trial.
                for _ in 0..=trial % 4 {
                    seen.push(stream.next().await.1["changes"].clone());
                }
                update(viewer.id(), "role", "USER".to_owned()).await;
                let begun = begun.load(Ordering::Acquire);
                is_withdrawn.store(true, Ordering::Release);
                while seen.last().is_none_or(|change| change["changedFields"] != json!(["phone"])) {
                    seen.push(stream.next().await.1["changes"].clone());
                }
                (seen, begun)
            };
            let ((), (seen, begun)) = tokio::join!(write, read);
            let recorded: Vec<String> = follow(&root, &start, 100).await.iter().map(summary).collect();
            let withdrawn = recorded.iter().position(|summary| summary == "UPDATED USER role").unwrap();
            let before = recorded.iter().take(withdrawn).filter(|summary| *summary == "UPDATED USER mobile").count();
            assert!(seen[0]["node"]["mobile"].is_string(), "{seen:#?}");
            // One more may have been under way when the right was withdrawn. On PostgreSQL, what was committed shortly before it may
            // follow it in the trail.
            let before = before + 1;
            let most = if app.db.is_postgres() { begun } else { before };
            for change in &seen {
                let Some(mobile) = change["node"]["mobile"].as_str() else { continue };
                let number: usize = mobile.rsplit(' ').next().unwrap().parse().unwrap();
                assert!(number < most, "{mobile} was written after the withdrawal: {recorded:#?}");
            }
            let with_mobile = seen.iter().filter(|change| change["changedFields"] == json!(["mobile"])).count();
            assert!(with_mobile <= before, "{with_mobile} of {before}: {recorded:#?}");
        }
    }

    async fn an_open_stream_is_no_use_of_its_session(app: App) {
        let (ann, bob) = (app.user().await, app.user().await);
        let mut stream = ann.stream(FOLLOW, json!({ "types": ["GROUP"] })).await;
        let seen_before = async |hours: i64| {
            let seen = now() - TimeDelta::hours(hours);
            let update = session::Entity::update_many().col_expr(session::Column::LastSeenAt, Expr::value(seen));
            update.filter(session::Column::UserId.eq(ann.id)).exec(app.db.write()).await.unwrap();
            seen
        };
        let seen = seen_before(11).await;
        for _ in 0..3 {
            let group = create_group(&bob, "Ward").await;
            assert_eq!(read(&mut stream, 1).await[0]["nodeId"], group);
        }
        let session = session::Entity::find().filter(session::Column::UserId.eq(ann.id));
        assert_eq!(session.one(app.db.read()).await.unwrap().unwrap().last_seen_at, seen);
        seen_before(13).await;
        create_group(&bob, "Late").await;
        assert_eq!(stream.failure().await, "UNAUTHENTICATED", "the session has expired");
    }

    async fn rights_that_are_granted_apply_to_the_next_change(app: App) {
        let (root, ann) = (app.superuser().await, app.user().await);
        let viewer = app.user().await;
        let mut stream = viewer.stream(FOLLOW, json!({})).await;
        change(&root, "updateUser", "user", json!({ "id": viewer.id(), "role": "ADMIN" })).await;
        change(&root, "updateUser", "user", json!({ "id": ann.id(), "mobile": "+61 1" })).await;
        let seen = read(&mut stream, 2).await;
        assert_eq!(summary(&seen[1]), "UPDATED USER mobile");
        // Other licenses too, once the viewer is a superuser.
        change(&root, "updateUser", "user", json!({ "id": viewer.id(), "adminRights": { "isSuperuser": true } })).await;
        change(&root, "createUser", "user", new_user("bob@x.example")).await;
        app.create("There", app.other_license, UserFields::default(), Undefined).await;
        let seen = read(&mut stream, 3).await;
        assert_eq!(seen[0]["changedFields"], json!(["adminRights.isSuperuser"]));
        assert_eq!(seen[2]["kind"], "CREATED");
    }

    async fn rights_that_are_granted_apply_to_a_subscription_that_leaves_out_users(app: App) {
        let (root, viewer, stranger) = (app.superuser().await, app.user().await, app.other_license_user().await);
        let mut stream = viewer.stream(FOLLOW, json!({ "types": ["GROUP"] })).await;
        change(&root, "updateUser", "user", json!({ "id": viewer.id(), "adminRights": { "isSuperuser": true } })).await;
        let there = create_group(&stranger, "There").await;
        assert_eq!(read(&mut stream, 1).await[0]["nodeId"], there);
    }
}
