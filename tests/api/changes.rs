//! Query `changes`: every committed change once, in the order of the commits, as far as the viewer can see it.

mod drill;
mod instances;
mod live;
mod over_sockets;
mod snapshot;
mod users;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::MaybeUndefined::Undefined;
use futures_util::future::join_all;
use roster::audit::{self, Change, Entry};
use roster::auth::server_key::Key;
use roster::change::Position;
use roster::entity::audit_event::{self, AuditAction};
use roster::entity::user::{self, UserFields};
use roster::graphql::pagination::CursorKey;
use roster::license;
use roster::scalar::{Date, Id};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::app::{App, Caller, KEY, PASSWORD};

const CHANGES: &str = "query ($after: String, $types: [NodeType!], $first: Int) { \
    changes(after: $after, types: $types, first: $first) { \
        position hasMore changes { position kind type nodeId changedFields at node { __typename id } } } }";

/// The position before everything.
pub fn beginning() -> String {
    Position::START.encode(&CursorKey::new(&Key::from(KEY).into()))
}

/// What a position means: its text is another one each time.
fn decoded(position: &str) -> Option<Position> {
    Position::decode(position, &CursorKey::new(&Key::from(KEY).into()))
}

/// The changes with what their positions mean.
fn comparable(changes: &[Value]) -> Vec<(Value, Option<Position>)> {
    let decode = |change: &Value| {
        let (mut change, position) = (change.clone(), decoded(change["position"].as_str().unwrap()));
        change["position"].take();
        (change, position)
    };
    changes.iter().map(decode).collect()
}

/// The current position.
async fn current_position(caller: &Caller<'_>) -> String {
    let page = caller.data(CHANGES, json!({})).await["changes"].clone();
    assert_eq!((&page["changes"], &page["hasMore"]), (&json!([]), &json!(false)));
    page["position"].as_str().unwrap().to_owned()
}

/// The changes after a position, read in pages of a size.
async fn follow(caller: &Caller<'_>, after: &str, size: usize) -> Vec<Value> {
    let (mut after, mut changes) = (after.to_owned(), Vec::new());
    loop {
        let page = caller.data(CHANGES, json!({ "after": after, "first": size })).await["changes"].clone();
        let found = page["changes"].as_array().unwrap();
        assert!(found.len() <= size, "{page:#}");
        changes.extend(found.iter().cloned());
        page["position"].as_str().unwrap().clone_into(&mut after);
        if page["hasMore"] == json!(false) {
            return changes;
        }
    }
}

/// A change as `KIND TYPE` and its fields in alphabetical order.
fn summary(change: &Value) -> String {
    let mut fields: Vec<&str> =
        change["changedFields"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
    fields.sort_unstable();
    let text = |field: &str| change[field].as_str().unwrap().to_owned();
    format!("{} {} {}", text("kind"), text("type"), fields.join(" ")).trim_end().to_owned()
}

/// The summaries of the changes that a caller sees after a position.
async fn summaries(caller: &Caller<'_>, after: &str) -> Vec<String> {
    follow(caller, after, 100).await.iter().map(summary).collect()
}

/// The summaries of the changes of one object.
async fn summaries_of(caller: &Caller<'_>, after: &str, id: Id) -> Vec<String> {
    let changes = follow(caller, after, 7).await;
    changes.iter().filter(|change| change["nodeId"] == json!(id)).map(summary).collect()
}

fn new_user(email: &str) -> Value {
    json!({ "firstName": "Bob", "lastName": "Lee", "email": email, "sendRegistrationEmail": false })
}

/// Sends a mutation that must succeed; returns the ID of the object of its payload.
async fn change(caller: &Caller<'_>, mutation: &str, object: &str, input: Value) -> Value {
    let payload = caller.mutate(mutation, &format!("{object} {{ id }}"), input).await;
    assert_eq!(payload["success"], json!(true), "{mutation}: {payload:#}");
    payload[object]["id"].clone()
}

on_every_database! {
    async fn every_change_is_returned_once_with_its_kind_and_fields(app: App) {
        let (chief, ann) = (app.license_admin().await, app.user().await);
        chief.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "STRING" })).await;
        let start = current_position(&chief).await;
        let group = change(&chief, "createGroup", "group", json!({ "name": "Ward 7" })).await;
        change(&chief, "updateGroup", "group", json!({ "id": group, "description": "Nights" })).await;
        change(&chief, "setGroupMember", "group", json!({ "groupId": group, "userId": ann.id(), "role": "MEMBER" })).await;
        change(&chief, "setGroupMember", "group", json!({ "groupId": group, "userId": ann.id(), "role": "MEMBER" })).await;
        change(&chief, "removeGroupMember", "group", json!({ "groupId": group, "userId": ann.id() })).await;
        let site = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU", "city": "Kogarah" });
        let site = change(&chief, "createInstitution", "institution", site).await;
        change(&chief, "updateInstitution", "institution", json!({ "id": site, "city": "Cork", "numBeds": 3 })).await;
        change(&chief, "grantSiteAccess", "user", json!({ "userId": ann.id(), "institutionId": site })).await;
        let input = json!({ "id": ann.id(), "position": "Nurse", "institutionId": site, "attributes": [{ "name": "badge", "value": "17" }] });
        change(&chief, "updateUser", "user", input).await;
        change(&chief, "updateUser", "user", json!({ "id": ann.id(), "position": "Nurse" })).await;
        change(&chief, "revokeSiteAccess", "user", json!({ "userId": ann.id(), "institutionId": site })).await;
        let bob = change(&chief, "createUser", "user", new_user("bob@x.example")).await;
        change(&chief, "setActive", "user", json!({ "id": bob, "active": false, "reason": "Leave" })).await;
        change(&chief, "setActive", "user", json!({ "id": bob, "active": true })).await;
        // None of these changes an object that is followed.
        app.sign_in(user::Entity::find_by_id(ann.id).one(app.db.read()).await.unwrap().unwrap()).await;
        chief.mutate("createApiKey", "", json!({ "name": "Nightly" })).await;
        chief.mutate("endSessions", "", json!({ "userId": ann.id() })).await;
        let expected = [
            ("CREATED GROUP name", &group),
            ("UPDATED GROUP description", &group),
            ("UPDATED GROUP members", &group),
            ("UPDATED GROUP members", &group),
            ("CREATED INSTITUTION city country name", &site),
            ("UPDATED INSTITUTION city numBeds", &site),
            ("UPDATED USER sites", &json!(ann.id())),
            ("UPDATED USER attributes.badge institution position", &json!(ann.id())),
            ("UPDATED USER sites", &json!(ann.id())),
            ("CREATED USER email firstName lastName", &bob),
            ("DEACTIVATED USER isActive", &bob),
            ("ACTIVATED USER isActive", &bob),
        ]
        .map(|(summary, id)| (summary.to_owned(), id.clone()));
        for size in [1, 5, 100] {
            let changes = follow(&chief, &start, size).await;
            let actual: Vec<(String, Value)> = changes.iter().map(|change| (summary(change), change["nodeId"].clone())).collect();
            assert_eq!(actual, expected, "in pages of {size}");
            assert!(changes.iter().all(|change| change["node"]["id"] == change["nodeId"]), "{changes:#?}");
            let positions: HashSet<&str> = changes.iter().map(|change| change["position"].as_str().unwrap()).collect();
            assert_eq!(positions.len(), changes.len());
            // Each change has a position to continue at.
            let rest = follow(&chief, changes[8]["position"].as_str().unwrap(), size).await;
            assert_eq!(comparable(&rest), comparable(&changes[9..]));
        }

        let start = current_position(&chief).await;
        change(&chief, "updateUser", "user", json!({ "id": ann.id(), "institutionId": null })).await;
        for (mutation, id) in [("deleteInstitution", &site), ("deleteGroup", &group), ("deleteUser", &bob)] {
            assert_eq!(chief.mutate(mutation, "", json!({ "id": id })).await["success"], json!(true));
        }
        let changes = follow(&chief, &start, 100).await;
        let expected = ["UPDATED USER institution", "DELETED INSTITUTION", "DELETED GROUP", "DELETED USER"];
        assert_eq!(changes.iter().map(summary).collect::<Vec<_>>(), expected);
        assert!(changes[1..].iter().all(|change| change["node"].is_null()));
        let ids: Vec<&Value> = changes[1..].iter().map(|change| &change["nodeId"]).collect();
        assert_eq!(ids, [&site, &group, &bob]);
    }

    async fn licenses_are_followed_from_the_beginning(app: App) {
        let (root, stranger) = (app.superuser().await, app.other_license_user().await);
        license::extend(&app.db, "A-1", Some(Date::parse("2099-12-31").unwrap())).await.unwrap();
        let licenses = |changes: Vec<Value>| -> Vec<(String, Value)> {
            let licenses = changes.into_iter().filter(|change| change["type"] == json!("LICENSE"));
            licenses.map(|change| (change["kind"].as_str().unwrap().to_owned(), change["nodeId"].clone())).collect()
        };
        let (own, other) = (json!(app.license), json!(app.other_license));
        let created = |id: &Value| ("CREATED".to_owned(), id.clone());
        let expected = vec![created(&own), created(&other), ("UPDATED".to_owned(), own)];
        assert_eq!(licenses(follow(&root, &beginning(), 100).await), expected);
        assert_eq!(licenses(follow(&stranger, &beginning(), 100).await), [created(&other)]);
        let types = json!({ "after": beginning(), "types": ["LICENSE", "LICENSE"] });
        let page = root.data(CHANGES, types).await["changes"]["changes"].clone();
        assert_eq!(page.as_array().unwrap().last().map(summary).unwrap(), "UPDATED LICENSE expiresOn");
        assert_eq!(page.as_array().unwrap().len(), 3);
        let response = root.execute(CHANGES, json!({ "after": beginning(), "types": [] })).await;
        assert_eq!(response["errors"][0]["message"], json!("types: must contain at least one type."));
    }

    async fn changed_fields_are_those_that_the_viewer_sees(app: App) {
        let (chief, root) = (app.license_admin().await, app.superuser().await);
        let (ann, bob, stranger) = (app.user().await, app.user().await, app.other_license_user().await);
        for (name, is_visible) in [("open", true), ("closed", false)] {
            chief.mutate("defineAttribute", "", json!({ "name": name, "label": name, "kind": "STRING", "userVisible": is_visible })).await;
        }
        let secret = chief.mutate("createApiKey", "secret", json!({ "name": "Nightly", "role": "USER" })).await["secret"].clone();
        let key = Caller { token: Some(secret.as_str().unwrap().to_owned()), ..chief.clone() };
        let start = current_position(&root).await;
        let update = async |fields: Value| {
            let mut input = fields;
            input["id"] = json!(ann.id());
            change(&chief, "updateUser", "user", input).await;
        };
        update(json!({ "mobile": "+61 1" })).await;
        update(json!({ "phone": "+61 2", "birthDate": "1980-07-08", "externalId": "X-1" })).await;
        update(json!({ "attributes": [{ "name": "open", "value": "a" }, { "name": "closed", "value": "b" }] })).await;
        update(json!({ "attributes": [{ "name": "closed", "value": "c" }] })).await;
        update(json!({ "adminRights": { "isProjectAdmin": true } })).await;
        let all = [
            "UPDATED USER mobile",
            "UPDATED USER birthDate externalId phone",
            "UPDATED USER attributes.closed attributes.open",
            "UPDATED USER attributes.closed",
            "UPDATED USER adminRights.isProjectAdmin",
        ];
        assert_eq!(summaries(&chief, &start).await, all);
        assert_eq!(summaries(&root, &start).await, all);
        assert_eq!(summaries(&ann, &start).await, all[..4]);
        for caller in [&bob, &key] {
            assert_eq!(summaries(caller, &start).await, ["UPDATED USER phone", "UPDATED USER attributes.open"]);
        }
        assert_eq!(summaries(&stranger, &start).await, [""; 0]);
        let anonymous = app.anonymous();
        assert_eq!(anonymous.error_code(CHANGES, json!({ "after": start })).await, "UNAUTHENTICATED");
        assert_eq!(anonymous.error_code(CHANGES, json!({})).await, "UNAUTHENTICATED");
        // The attribute is hidden from now on, and so is its name.
        chief.mutate("defineAttribute", "", json!({ "name": "open", "userVisible": false })).await;
        assert_eq!(summaries(&bob, &start).await, ["UPDATED USER phone"]);
    }

    async fn a_change_of_secrets_alone_is_not_returned(app: App) {
        let chief = app.license_admin().await;
        let start = current_position(&chief).await;
        let ann = change(&chief, "createUser", "user", new_user("ann@x.example")).await;
        change(&chief, "updateUser", "user", json!({ "id": ann, "password": PASSWORD })).await;
        change(&chief, "updateUser", "user", json!({ "id": ann, "pin": "4711" })).await;
        change(&chief, "updateUser", "user", json!({ "id": ann, "pin": "0815" })).await;
        assert_eq!(summaries(&chief, &start).await, ["CREATED USER email firstName lastName", "UPDATED USER hasPin"]);
    }

    async fn each_viewer_follows_their_own_license_and_superusers_all(app: App) {
        let (ann, root, stranger) = (app.user().await, app.superuser().await, app.other_license_user().await);
        let start = current_position(&root).await;
        let here = app.create("Here", app.license, UserFields::default(), Undefined).await.id;
        let there = app.create("There", app.other_license, UserFields::default(), Undefined).await.id;
        let ids = async |caller: &Caller<'_>| -> Vec<Value> {
            follow(caller, &start, 1).await.iter().map(|change| change["nodeId"].clone()).collect()
        };
        assert_eq!(ids(&ann).await, [json!(here)]);
        assert_eq!(ids(&stranger).await, [json!(there)]);
        assert_eq!(ids(&root).await, [json!(here), json!(there)]);
        // The position says nothing about what happens in other licenses.
        let before = current_position(&ann).await;
        app.create("There", app.other_license, UserFields::default(), Undefined).await;
        let after = current_position(&ann).await;
        assert_eq!(decoded(&after), decoded(&before));
        assert_ne!(after, before, "nor that nothing happens");
        // A position of a superuser is one of every viewer.
        let latest = current_position(&root).await;
        assert!(follow(&ann, &latest, 10).await.is_empty());
    }

    async fn users_who_are_hidden_from_the_viewer_are_removed(app: App) {
        let (chief, ann) = (app.license_admin().await, app.user().await);
        let before = current_position(&ann).await;
        let bob = app.create("Bob", app.license, UserFields::default(), Undefined).await.id;
        let start = current_position(&ann).await;
        change(&chief, "updateUser", "user", json!({ "id": bob, "phone": "+61 1" })).await;
        assert_eq!(summaries_of(&ann, &start, bob).await, ["UPDATED USER phone"]);
        change(&chief, "setActive", "user", json!({ "id": bob, "active": false })).await;
        change(&chief, "updateUser", "user", json!({ "id": bob, "phone": "+61 2" })).await;
        let all = ["UPDATED USER phone", "DEACTIVATED USER isActive", "UPDATED USER phone"];
        assert_eq!(summaries_of(&chief, &start, bob).await, all);
        assert_eq!(summaries_of(&ann, &start, bob).await, ["REMOVED USER"], "updates of hidden users are not returned");
        assert_eq!(summaries_of(&ann, &before, bob).await, ["REMOVED USER", "REMOVED USER"]);
        let removed = follow(&ann, &start, 10).await.pop().unwrap();
        assert!(removed["node"].is_null(), "{removed:#}");

        let hidden = current_position(&ann).await;
        let mut never_visible = new_user("hidden@x.example");
        never_visible["isActive"] = json!(false);
        let never_visible = Id::parse(change(&chief, "createUser", "user", never_visible).await.as_str().unwrap()).unwrap();
        change(&chief, "updateUser", "user", json!({ "id": never_visible, "phone": "+61 3" })).await;
        assert_eq!(summaries_of(&ann, &hidden, never_visible).await, [""; 0]);
        assert_eq!(summaries_of(&chief, &hidden, never_visible).await.len(), 2);

        change(&chief, "setActive", "user", json!({ "id": bob, "active": true })).await;
        assert_eq!(summaries_of(&ann, &hidden, bob).await, ["ACTIVATED USER isActive"]);
        assert_eq!(summaries_of(&ann, &start, bob).await.len(), 4, "the user is visible again");

        chief.mutate("deleteUser", "", json!({ "id": bob })).await;
        for caller in [&ann, &chief] {
            assert_eq!(summaries_of(caller, &before, bob).await, ["DELETED USER"]);
        }
    }

    async fn the_deletion_of_a_user_is_returned_to_whoever_may_have_seen_them(app: App) {
        let (chief, ann) = (app.license_admin().await, app.user().await);
        let start = current_position(&ann).await;
        let create = async |is_active: bool| {
            let mut input = new_user(&format!("{}@x.example", Id::new().0));
            input["isActive"] = json!(is_active);
            let id = change(&chief, "createUser", "user", input).await;
            change(&chief, "updateUser", "user", json!({ "id": id, "position": "\"field\":\"isActive\"" })).await;
            id
        };
        let set_active = async |id: &Value, is_active: bool| {
            change(&chief, "setActive", "user", json!({ "id": id, "active": is_active })).await;
        };
        let delete = async |id: &Value| {
            assert_eq!(chief.mutate("deleteUser", "", json!({ "id": id })).await["success"], json!(true));
        };
        let (never, once, first, always) = (create(false).await, create(false).await, create(true).await, create(true).await);
        set_active(&once, true).await;
        set_active(&once, false).await;
        set_active(&first, false).await;
        let before = current_position(&ann).await;
        for id in [&never, &once, &first, &always] {
            delete(id).await;
        }
        let deleted = async |caller: &Caller<'_>, after: &str| -> Vec<Value> {
            let changes = follow(caller, after, 100).await;
            assert!(changes.iter().all(|change| summary(change) == "DELETED USER"), "{changes:#?}");
            changes.iter().map(|change| change["nodeId"].clone()).collect()
        };
        for after in [start.as_str(), before.as_str()] {
            assert_eq!(deleted(&chief, after).await, [never.clone(), once.clone(), first.clone(), always.clone()]);
            assert_eq!(deleted(&ann, after).await, [once.clone(), first.clone(), always.clone()]);
        }

        // An event of an earlier version says nothing about it.
        let bob = app.create("Bob", app.license, UserFields::default(), Undefined).await;
        let before = current_position(&ann).await;
        let entry = Entry::new(AuditAction::UserDeleted, &bob);
        audit::commit(app.db.begin().await.unwrap(), [entry]).await.unwrap();
        assert_eq!(deleted(&ann, before.as_str()).await, [json!(bob.id)]);
        let report = audit::verify::verify(&app.db).await.unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
    }

    async fn groups_and_institutions_that_no_longer_exist_are_removed(app: App) {
        let (chief, ann) = (app.license_admin().await, app.user().await);
        let start = current_position(&ann).await;
        let group = change(&chief, "createGroup", "group", json!({ "name": "Ward 7" })).await;
        change(&chief, "updateGroup", "group", json!({ "id": group, "name": "Ward 8" })).await;
        chief.mutate("deleteGroup", "", json!({ "id": group })).await;
        assert_eq!(summaries(&ann, &start).await, ["REMOVED GROUP", "REMOVED GROUP", "DELETED GROUP"]);
    }

    async fn an_import_that_deactivates_a_user_is_a_deactivation(app: App) {
        let chief = app.license_admin().await;
        let bob = app.create("Bob", app.license, UserFields::default(), Undefined).await;
        let start = current_position(&chief).await;
        let entry = Entry::new(AuditAction::UserUpdated, &bob).with([
            Change::of("phone", None, Some("1".into())),
            Change::of("isActive", Some(true.into()), Some(false.into())),
        ]);
        audit::commit(app.db.begin().await.unwrap(), [entry]).await.unwrap();
        assert_eq!(summaries(&chief, &start).await, ["DEACTIVATED USER isActive phone"]);
    }

    async fn arguments_that_are_invalid_are_rejected_together(app: App) {
        let user = app.user().await;
        let cursor = user.data("{ users(first: 1) { pageInfo { endCursor } } }", json!({})).await;
        let cursor = cursor["users"]["pageInfo"]["endCursor"].clone();
        for after in [json!(""), json!("0"), json!("17"), json!("é"), cursor, json!("A".repeat(10_000))] {
            let response = user.execute(CHANGES, json!({ "after": after })).await;
            let error = &response["errors"][0];
            assert_eq!(error["extensions"]["code"], json!("BAD_USER_INPUT"), "{response:#}");
            assert_eq!(error["message"], json!("after: must be a position that `changes`, `userChanged` or `users` returned."));
        }
        for first in [0, -1, 101, i32::MAX] {
            let response = user.execute(CHANGES, json!({ "first": first })).await;
            assert_eq!(response["errors"][0]["message"], json!("first: must be a number from 1 to 100."));
        }
        let input = json!({ "after": "x", "first": 0, "types": vec!["USER"; 101] });
        let response = user.execute(CHANGES, input).await;
        let message = response["errors"][0]["message"].as_str().unwrap();
        assert!(["after: ", "types: ", "first: "].iter().all(|argument| message.contains(argument)), "{message}");
    }

    async fn a_position_of_another_history_requires_a_snapshot(app: App) {
        let (user, other) = (app.user().await, App::on_sqlite().await);
        let other_user = other.user().await;
        let same_number = current_position(&other_user).await;
        for _ in 0..3 {
            other.user().await;
        }
        let beyond = current_position(&other_user).await;
        for position in [same_number, beyond] {
            let response = user.execute(CHANGES, json!({ "after": position })).await;
            let extensions = &response["errors"][0]["extensions"];
            assert_eq!(extensions["code"], json!("SNAPSHOT_REQUIRED"), "{response:#}");
            assert!(response["data"].is_null());
            assert!(follow(&user, extensions["position"].as_str().unwrap(), 10).await.is_empty());
        }
    }

    async fn a_page_reads_a_limited_number_of_events(app: App) {
        let ann = app.user().await;
        let start = current_position(&ann).await;
        let row = user::Entity::find_by_id(ann.id).one(app.db.read()).await.unwrap().unwrap();
        let sign_ins = (0..2_500).map(|_| Entry::new(AuditAction::SignedIn, &row));
        audit::commit(app.db.begin().await.unwrap(), sign_ins).await.unwrap();
        let group = change(&ann, "createGroup", "group", json!({ "name": "Ward 7" })).await;
        let mut after = json!(start);
        for n in 1..=3 {
            let page = ann.data(CHANGES, json!({ "after": after, "first": 2 })).await["changes"].clone();
            let ids: Vec<&Value> = page["changes"].as_array().unwrap().iter().map(|change| &change["nodeId"]).collect();
            let expected = if n == 3 { vec![&group] } else { Vec::new() };
            assert_eq!((ids, &page["hasMore"]), (expected, &json!(n < 3)), "page {n}");
            assert_ne!(page["position"], after);
            after = page["position"].clone();
        }
    }

    async fn a_page_ends_early_after_events_with_long_values(app: App) {
        let ann = app.user().await;
        let start = current_position(&ann).await;
        let row = user::Entity::find_by_id(ann.id).one(app.db.read()).await.unwrap().unwrap();
        let mebibyte = Value::from("a".repeat(1024 * 1024));
        let update = |_| Entry::new(AuditAction::UserUpdated, &row).with([Change::of("phone", None, mebibyte.clone())]);
        audit::commit(app.db.begin().await.unwrap(), (0..10).map(update)).await.unwrap();
        app.seal().await;
        let (mut after, mut positions) = (json!(start), HashSet::new());
        for expected in [4, 4, 2] {
            let page = ann.data(CHANGES, json!({ "after": after, "first": 100 })).await["changes"].clone();
            let changes = page["changes"].as_array().unwrap();
            assert_eq!((changes.len(), &page["hasMore"]), (expected, &json!(expected == 4)));
            positions.extend(changes.iter().map(|change| decoded(change["position"].as_str().unwrap()).unwrap().seq()));
            after = page["position"].clone();
        }
        assert_eq!(positions.len(), 10, "each change once");
    }

    async fn nothing_is_missed_or_repeated_while_others_write(app: App) {
        const GROUPS: usize = 10;
        let reader = app.user().await;
        let writers = join_all((0..8).map(|_| app.user())).await;
        let start = current_position(&reader).await;
        let is_done = AtomicBool::new(false);
        let write = async {
            let work = writers.iter().map(|writer| async move {
                for n in 0..GROUPS {
                    let group = change(writer, "createGroup", "group", json!({ "name": format!("Ward {n}") })).await;
                    change(writer, "updateGroup", "group", json!({ "id": group, "description": "Nights" })).await;
                }
            });
            join_all(work).await;
            is_done.store(true, Ordering::Release);
        };
        let read = async {
            let (mut after, mut seen) = (start.clone(), Vec::new());
            loop {
                let is_last = is_done.load(Ordering::Acquire);
                let page = reader.data(CHANGES, json!({ "after": after, "first": 3 })).await["changes"].clone();
                seen.extend(page["changes"].as_array().unwrap().iter().cloned());
                page["position"].as_str().unwrap().clone_into(&mut after);
                if is_last && page["hasMore"] == json!(false) {
                    return seen;
                }
            }
        };
        let ((), seen) = tokio::join!(write, read);
        let recorded = audit_event::Entity::find()
            .filter(audit_event::Column::Action.is_in([AuditAction::GroupCreated, AuditAction::GroupUpdated]))
            .order_by_asc(audit_event::Column::Seq)
            .all(app.db.read())
            .await
            .unwrap();
        let expected: Vec<(bool, Value)> = recorded
            .iter()
            .map(|event| (event.action == AuditAction::GroupCreated, json!(event.subject_id)))
            .collect();
        let actual: Vec<(bool, Value)> =
            seen.iter().map(|change| (change["kind"] == json!("CREATED"), change["nodeId"].clone())).collect();
        assert_eq!(actual.len(), 8 * GROUPS * 2);
        assert_eq!(actual, expected);
        assert_eq!(comparable(&follow(&reader, &start, 100).await), comparable(&seen), "a later reader sees the same");
    }
}
