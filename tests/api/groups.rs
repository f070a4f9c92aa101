//! Groups and their members.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use roster::entity::membership::GroupRole;
use roster::entity::user::{AdminRightsInput, UserFields};
use roster::scalar::Id;
use serde_json::{Value, json};

use crate::app::{App, Caller, payload_errors};
use crate::crowd;

const MEMBERS: &str = "group { id members { edges { role node { id } } } }";

/// Creates a group owned by the caller; returns its id.
async fn group_of(caller: &Caller<'_>) -> String {
    let payload = caller.mutate("createGroup", "group { id }", json!({ "name": "Ward 7" })).await;
    payload["group"]["id"].as_str().unwrap().to_owned()
}

fn member(group: &str, user: &Caller<'_>, role: &str) -> Value {
    json!({ "groupId": group, "userId": user.id(), "role": role })
}

fn member_ids(group: &str, user: &Caller<'_>) -> Value {
    json!({ "groupId": group, "userId": user.id() })
}

/// The role of a user in the group of a payload. Null if none.
fn role_of(payload: &Value, user: &Caller<'_>) -> Value {
    assert_eq!(payload["success"], json!(true), "{payload:#}");
    let edges = payload["group"]["members"]["edges"].as_array().unwrap();
    edges.iter().find(|edge| edge["node"]["id"] == json!(user.id())).map_or(Value::Null, |edge| edge["role"].clone())
}

on_every_database! {
    async fn the_creator_of_a_group_owns_it(app: App) {
        let user = app.user().await;
        let input = json!({ "name": " Ward 7 ", "description": "Nights" });
        let selection = "group { name description version members { totalCount edges { role node { id } } } }";
        let payload = user.mutate("createGroup", selection, input).await;
        assert_eq!(payload["group"], json!({ "name": "Ward 7", "description": "Nights", "version": 1,
            "members": { "totalCount": 1, "edges": [{ "role": "OWNER", "node": { "id": user.id() } }] } }));
        let viewer = user.data("{ viewer { groups { name } groupsOwned { name } } }", json!({})).await;
        assert_eq!(viewer["viewer"], json!({ "groups": [{ "name": "Ward 7" }], "groupsOwned": [{ "name": "Ward 7" }] }));
    }

    async fn names_and_descriptions_of_groups_are_validated(app: App) {
        let user = app.user().await;
        let cases = [
            (json!({ "name": " " }), vec!["REQUIRED input.name"]),
            (json!({ "name": "é".repeat(101), "description": null }), vec!["NULL_NOT_ALLOWED input.description", "TOO_LONG input.name"]),
            (json!({ "name": "A\u{1}", "description": "x".repeat(1_001) }), vec!["INVALID input.name", "TOO_LONG input.description"]),
        ];
        for (input, errors) in cases {
            assert_eq!(user.payload_errors("createGroup", input).await, errors);
        }
        let payload = user.mutate("createGroup", "group { description }", json!({ "name": "é".repeat(100), "description": " " })).await;
        assert_eq!(payload["group"], json!({ "description": null }));
    }

    async fn owners_and_administrators_can_set_every_role(app: App) {
        let (owner, member_, admin) = (app.user().await, app.user().await, app.admin().await);
        let rights = AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() };
        let group_admin = app.user_with("Groups", UserFields { admin_rights: Given(rights), ..UserFields::default() }).await;
        let group = group_of(&owner).await;
        for caller in [&owner, &admin, &group_admin] {
            for role in ["MEMBER", "MANAGER", "OWNER"] {
                let payload = caller.mutate("setGroupMember", MEMBERS, member(&group, &member_, role)).await;
                assert_eq!(role_of(&payload, &member_), json!(role));
            }
            let payload = caller.mutate("removeGroupMember", MEMBERS, member_ids(&group, &member_)).await;
            assert_eq!(role_of(&payload, &member_), Value::Null);
        }
    }

    async fn managers_can_set_members_and_managers_but_not_owners(app: App) {
        let (owner, manager, somebody) = (app.user().await, app.user().await, app.user().await);
        let group = group_of(&owner).await;
        owner.mutate("setGroupMember", "", member(&group, &manager, "MANAGER")).await;
        for role in ["MEMBER", "MANAGER"] {
            let payload = manager.mutate("setGroupMember", MEMBERS, member(&group, &somebody, role)).await;
            assert_eq!(role_of(&payload, &somebody), json!(role));
        }
        for input in [member(&group, &somebody, "OWNER"), member(&group, &manager, "OWNER"), member(&group, &owner, "MEMBER")] {
            assert_eq!(manager.mutation_error_code("setGroupMember", input).await, "FORBIDDEN");
        }
        assert_eq!(manager.mutation_error_code("removeGroupMember", member_ids(&group, &owner)).await, "FORBIDDEN");
        let payload = manager.mutate("removeGroupMember", MEMBERS, member_ids(&group, &somebody)).await;
        assert_eq!(role_of(&payload, &somebody), Value::Null);
    }

    async fn members_and_other_users_cannot_set_or_remove_members(app: App) {
        let (owner, member_, other) = (app.user().await, app.user().await, app.user().await);
        let group = group_of(&owner).await;
        owner.mutate("setGroupMember", "", member(&group, &member_, "MEMBER")).await;
        for caller in [&member_, &other] {
            assert_eq!(caller.mutation_error_code("setGroupMember", member(&group, caller, "MANAGER")).await, "FORBIDDEN");
            assert_eq!(caller.mutation_error_code("removeGroupMember", member_ids(&group, &owner)).await, "FORBIDDEN");
        }
        assert_eq!(app.anonymous().mutation_error_code("setGroupMember", member(&group, &other, "MEMBER")).await, "UNAUTHENTICATED");
    }

    async fn a_group_keeps_its_last_owner(app: App) {
        let (owner, other, admin) = (app.user().await, app.user().await, app.admin().await);
        let group = group_of(&owner).await;
        for caller in [&owner, &admin] {
            assert_eq!(caller.payload_errors("setGroupMember", member(&group, &owner, "MEMBER")).await, ["NOT_ALLOWED input.userId"]);
            assert_eq!(caller.payload_errors("removeGroupMember", member_ids(&group, &owner)).await, ["NOT_ALLOWED input.userId"]);
        }
        admin.mutate("setGroupMember", "", member(&group, &other, "OWNER")).await;
        let payload = owner.mutate("setGroupMember", MEMBERS, member(&group, &owner, "MEMBER")).await;
        assert_eq!(role_of(&payload, &owner), json!("MEMBER"));
        assert_eq!(admin.payload_errors("removeGroupMember", member_ids(&group, &other)).await, ["NOT_ALLOWED input.userId"]);
        assert_eq!(role_of(&other.mutate("removeGroupMember", MEMBERS, member_ids(&group, &other)).await, &owner), json!("OWNER"));
    }

    async fn one_of_two_owners_who_leave_at_once_stays(app: App) {
        let (one, other) = (app.user().await, app.user().await);
        for _ in 0..5 {
            let group = group_of(&one).await;
            for role in ["MEMBER", "OWNER"] {
                one.mutate("setGroupMember", "", member(&group, &other, role)).await;
            }
            tokio::join!(one.mutate("removeGroupMember", "", member_ids(&group, &one)), other.mutate("removeGroupMember", "", member_ids(&group, &other)));
            let data = one.data("query ($id: ID!) { group(id: $id) { members { totalCount } } }", json!({ "id": group })).await;
            assert_eq!(data["group"]["members"]["totalCount"], json!(1));
        }
    }

    async fn setting_and_removing_a_member_are_idempotent(app: App) {
        let (owner, other) = (app.user().await, app.user().await);
        let group = group_of(&owner).await;
        let selection = "group { version members { edges { role joinedAt node { id } } } }";
        let first = owner.mutate("setGroupMember", selection, member(&group, &other, "MEMBER")).await;
        assert_eq!(owner.mutate("setGroupMember", selection, member(&group, &other, "MEMBER")).await, first);
        let promoted = owner.mutate("setGroupMember", selection, member(&group, &other, "MANAGER")).await;
        let joined = |payload: &Value| payload["group"]["members"]["edges"].as_array().unwrap().iter()
            .find(|edge| edge["node"]["id"] == json!(other.id())).unwrap()["joinedAt"].clone();
        assert_eq!(joined(&promoted), joined(&first));
        for _ in 0..2 {
            assert_eq!(owner.mutate("removeGroupMember", "", member_ids(&group, &other)).await["success"], json!(true));
        }
    }

    async fn every_unknown_id_is_reported(app: App) {
        let (owner, stranger, root) = (app.user().await, app.other_license_user().await, app.superuser().await);
        let group = group_of(&owner).await;
        let nothing = Id::new().0.to_string();
        let ids = |group: &str, user: &str| json!({ "groupId": group, "userId": user });
        for mutation in ["setGroupMember", "removeGroupMember"] {
            let input = |group: &str, user: &str| {
                let mut input = ids(group, user);
                if mutation == "setGroupMember" {
                    input["role"] = json!("MEMBER");
                }
                input
            };
            assert_eq!(owner.payload_errors(mutation, input("1", "2")).await, ["INVALID input.groupId", "INVALID input.userId"]);
            assert_eq!(owner.payload_errors(mutation, input(&nothing, &nothing)).await, ["NOT_FOUND input.groupId", "NOT_FOUND input.userId"]);
            for caller in [&owner, &root] {
                assert_eq!(caller.payload_errors(mutation, input(&group, &stranger.id())).await, ["NOT_FOUND input.userId"]);
            }
            assert_eq!(stranger.payload_errors(mutation, input(&group, &owner.id())).await, ["NOT_FOUND input.groupId", "NOT_FOUND input.userId"]);
        }
    }

    async fn a_user_belongs_to_at_most_200_groups(app: App) {
        let (owner, busy) = (app.user().await, app.user().await);
        let group = group_of(&owner).await;
        let groups = crowd::groups(&app, app.license, (0..200).map(|n| format!("Group {n:03}"))).await;
        crowd::memberships(&app, &[busy.id], &groups, GroupRole::Owner).await;
        assert_eq!(owner.payload_errors("setGroupMember", member(&group, &busy, "MEMBER")).await, ["NOT_ALLOWED input.userId"]);
        let payload = busy.mutate("createGroup", "", json!({ "name": "One more" })).await;
        assert_eq!(payload["errors"][0]["code"], json!("NOT_ALLOWED"), "{payload:#}");
        let data = busy.data("{ viewer { groups { id } groupsOwned { id } } groups(nameContains: \"more\") { totalCount } }", json!({})).await;
        assert_eq!(data["viewer"]["groups"].as_array().unwrap().len(), 200);
        assert_eq!(data["viewer"]["groupsOwned"].as_array().unwrap().len(), 200);
        assert_eq!(data["groups"]["totalCount"], json!(0), "a group that was not created leaves no rows");

        let first = groups[0].0.to_string();
        app.admin().await.mutate("setGroupMember", "", member(&first, &owner, "OWNER")).await;
        assert_eq!(busy.mutate("setGroupMember", "", member(&first, &busy, "MEMBER")).await["success"], json!(true));
        assert_eq!(owner.mutate("removeGroupMember", "", member_ids(&first, &busy)).await["success"], json!(true));
        assert_eq!(owner.mutate("setGroupMember", "", member(&group, &busy, "MEMBER")).await["success"], json!(true));
    }

    async fn a_response_has_a_limited_number_of_groups_of_users(app: App) {
        let caller = app.user().await;
        let groups = crowd::groups(&app, app.license, (0..200).map(|n| format!("Group {n:03}"))).await;
        let users = crowd::users(&app, &[("Ann", "One"), ("Ben", "Two"), ("Cid", "Three"), ("Dot", "Four")]).await;
        crowd::memberships(&app, &users, &groups, GroupRole::Member).await;
        let query = |first: u32| format!("{{ groups(first: {first}) {{ nodes {{ members(first: 80) {{ nodes {{ groups {{ id }} }} }} }} }} }}");
        let data = caller.data(&query(50), json!({})).await;
        assert_eq!(data["groups"]["nodes"][49]["members"]["nodes"][1]["groups"].as_array().unwrap().len(), 200);
        assert_eq!(caller.error_code(&query(80), json!({})).await, "BAD_USER_INPUT");
    }

    async fn one_of_many_concurrent_200th_memberships_succeeds(app: App) {
        let (admin, busy) = (app.admin().await, app.user().await);
        let groups = crowd::groups(&app, app.license, (0..209).map(|n| format!("Group {n:03}"))).await;
        crowd::memberships(&app, &[busy.id], &groups[..199], GroupRole::Member).await;
        let additions = groups[199..].iter().map(|group| admin.mutate("setGroupMember", "", member(&group.0.to_string(), &busy, "MEMBER")));
        let payloads = join_all(additions).await;
        assert_eq!(payloads.iter().filter(|payload| payload["success"] == json!(true)).count(), 1);
        assert_eq!(payloads.iter().filter(|payload| payload_errors(payload) == ["NOT_ALLOWED input.userId"]).count(), 9);
    }

    async fn inactive_members_are_neither_listed_nor_counted(app: App) {
        let (owner, license_admin) = (app.user().await, app.license_admin().await);
        let gone = app.create("Gone", app.license, UserFields::default(), Undefined).await;
        let group = group_of(&owner).await;
        owner.mutate("setGroupMember", "", json!({ "groupId": group, "userId": gone.id.0, "role": "MEMBER" })).await;
        license_admin.mutate("setActive", "", json!({ "id": gone.id.0, "active": false })).await;
        for caller in [&owner, &license_admin] {
            let data = caller.data("query ($id: ID!) { group(id: $id) { members { totalCount nodes { id } } } }", json!({ "id": group })).await;
            assert_eq!(data["group"]["members"], json!({ "totalCount": 1, "nodes": [{ "id": owner.id() }] }));
        }
        assert_eq!(owner.payload_errors("setGroupMember", json!({ "groupId": group, "userId": gone.id.0, "role": "MANAGER" })).await, ["NOT_FOUND input.userId"]);
    }

    async fn updates_keep_omitted_fields_and_null_clears_a_field(app: App) {
        let owner = app.user().await;
        let group = group_of(&owner).await;
        let selection = "group { name description version createdAt modifiedAt }";
        let first = owner.mutate("updateGroup", selection, json!({ "id": group, "description": "Nights" })).await["group"].clone();
        assert_eq!((&first["name"], &first["description"], &first["version"]), (&json!("Ward 7"), &json!("Nights"), &json!(2)));
        assert!(first["modifiedAt"].as_str() > first["createdAt"].as_str());
        for nothing_new in [json!({ "id": group }), json!({ "id": group, "name": " Ward 7", "description": "Nights" })] {
            assert_eq!(owner.mutate("updateGroup", selection, nothing_new).await["group"], first);
        }
        let tried = owner.mutate("updateGroup", selection, json!({ "id": group, "name": "Other", "dryRun": true })).await;
        assert_eq!((&tried["success"], &tried["group"]), (&json!(true), &first));
        let second = owner.mutate("updateGroup", selection, json!({ "id": group, "name": "Étage 8", "description": null, "expectedVersion": 2 })).await["group"].clone();
        assert_eq!((&second["name"], &second["description"], &second["version"]), (&json!("Étage 8"), &Value::Null, &json!(3)));
        let found = owner.data("{ groups(nameContains: \"etage\") { nodes { id name } } }", json!({})).await;
        assert_eq!(found["groups"]["nodes"], json!([{ "id": group, "name": "Étage 8" }]));
    }

    async fn updates_of_groups_are_validated_and_report_every_error(app: App) {
        let owner = app.user().await;
        let group = group_of(&owner).await;
        let cases = [
            (json!({ "id": group, "name": null, "description": "x".repeat(1_001) }), vec!["NULL_NOT_ALLOWED input.name", "TOO_LONG input.description"]),
            (json!({ "id": group, "name": " ", "dryRun": true }), vec!["REQUIRED input.name"]),
            (json!({ "id": group, "name": "é".repeat(101), "expectedVersion": 9 }), vec!["TOO_LONG input.name"]),
            (json!({ "id": "7", "name": "A" }), vec!["INVALID input.id"]),
            (json!({ "id": Id::new().0, "name": "A" }), vec!["NOT_FOUND input.id"]),
        ];
        for (input, errors) in cases {
            assert_eq!(owner.payload_errors("updateGroup", input).await, errors);
        }
    }

    async fn one_of_many_concurrent_updates_of_one_version_succeeds(app: App) {
        let owner = app.user().await;
        let group = group_of(&owner).await;
        let changes = (0..10).map(|n| owner.mutate("updateGroup", "group { name version }", json!({ "id": group, "name": format!("Ward {n}x"), "expectedVersion": 1 })));
        let payloads = join_all(changes).await;
        let done: Vec<&Value> = payloads.iter().filter(|payload| payload["success"] == json!(true)).collect();
        assert_eq!(done.len(), 1);
        for payload in payloads.iter().filter(|payload| payload["success"] == json!(false)) {
            assert_eq!(payload_errors(payload), ["CONFLICT input.expectedVersion"]);
            assert_eq!(payload["group"], done[0]["group"], "the conflict returns the current group");
        }
    }

    async fn only_owners_and_administrators_rename_and_delete_groups(app: App) {
        let (owner, manager, member_, other, stranger) = (app.user().await, app.user().await, app.user().await, app.user().await, app.other_license_user().await);
        let rights = AdminRightsInput { is_group_admin: Given(true), ..AdminRightsInput::default() };
        let group_admin = app.user_with("Groups", UserFields { admin_rights: Given(rights), ..UserFields::default() }).await;
        let group = group_of(&owner).await;
        owner.mutate("setGroupMember", "", member(&group, &manager, "MANAGER")).await;
        owner.mutate("setGroupMember", "", member(&group, &member_, "MEMBER")).await;
        let renamed = json!({ "id": group, "name": "Other" });
        for caller in [&manager, &member_, &other] {
            assert_eq!(caller.mutation_error_code("updateGroup", renamed.clone()).await, "FORBIDDEN");
            assert_eq!(caller.mutation_error_code("updateGroup", json!({ "id": group, "name": " " })).await, "FORBIDDEN", "rights are checked before the input");
            assert_eq!(caller.mutation_error_code("deleteGroup", json!({ "id": group })).await, "FORBIDDEN");
        }
        assert_eq!(stranger.payload_errors("updateGroup", renamed.clone()).await, ["NOT_FOUND input.id"]);
        assert_eq!(stranger.payload_errors("deleteGroup", json!({ "id": group })).await, ["NOT_FOUND input.id"]);
        assert_eq!(app.anonymous().mutation_error_code("deleteGroup", json!({ "id": group })).await, "UNAUTHENTICATED");
        for caller in [owner.clone(), app.admin().await, group_admin, app.license_admin().await, app.superuser().await] {
            let another = group_of(&owner).await;
            assert_eq!(caller.mutate("updateGroup", "", json!({ "id": another, "name": "Other" })).await["success"], json!(true));
            assert_eq!(caller.mutate("deleteGroup", "deletedGroupId", json!({ "id": another })).await["deletedGroupId"], json!(another));
        }
    }

    async fn owners_hand_over_a_group_by_making_another_user_an_owner(app: App) {
        let (old, new) = (app.user().await, app.user().await);
        let group = group_of(&old).await;
        for role in ["MEMBER", "OWNER"] {
            old.mutate("setGroupMember", "", member(&group, &new, role)).await;
        }
        assert_eq!(role_of(&old.mutate("setGroupMember", MEMBERS, member(&group, &old, "MANAGER")).await, &old), json!("MANAGER"));
        let input = json!({ "id": group, "name": "Other" });
        assert_eq!(old.mutation_error_code("updateGroup", input.clone()).await, "FORBIDDEN");
        assert_eq!(old.mutation_error_code("setGroupMember", member(&group, &old, "OWNER")).await, "FORBIDDEN");
        assert_eq!(new.mutate("updateGroup", "", input).await["success"], json!(true));
    }

    async fn deleting_a_group_deletes_its_memberships_and_keeps_its_users(app: App) {
        let (owner, other) = (app.user().await, app.user().await);
        let group = group_of(&owner).await;
        app.admin().await.mutate("setGroupMember", "", member(&group, &other, "OWNER")).await;
        let payload = owner.mutate("deleteGroup", "deletedGroupId", json!({ "id": group })).await;
        assert_eq!(payload["deletedGroupId"], json!(group));
        let seen = "query ($id: ID!, $user: ID!) { group(id: $id) { id } node(id: $id) { id } groups { totalCount } user(by: { id: $user }) { groups { id } groupsOwned { id } } }";
        let data = owner.data(seen, json!({ "id": group, "user": other.id() })).await;
        assert_eq!(data, json!({ "group": null, "node": null, "groups": { "totalCount": 0 }, "user": { "groups": [], "groupsOwned": [] } }));
        for (mutation, input) in [
            ("deleteGroup", json!({ "id": group })),
            ("updateGroup", json!({ "id": group, "name": "Again" })),
        ] {
            assert_eq!(owner.payload_errors(mutation, input).await, ["NOT_FOUND input.id"]);
        }
        assert_eq!(owner.payload_errors("setGroupMember", member(&group, &other, "MEMBER")).await, ["NOT_FOUND input.groupId"]);
        assert_eq!(app.admin().await.mutate("deleteUser", "", json!({ "id": owner.id() })).await["success"], json!(true));
    }

    async fn joining_a_group_while_it_is_deleted_leaves_no_membership(app: App) {
        let (owner, admin, other) = (app.user().await, app.admin().await, app.user().await);
        for _ in 0..10 {
            let group = group_of(&owner).await;
            let (deleted, joined) = tokio::join!(
                owner.mutate("deleteGroup", "", json!({ "id": group })),
                admin.mutate("setGroupMember", "", member(&group, &other, "OWNER")),
            );
            assert_eq!(deleted["success"], json!(true));
            assert!(joined["success"] == json!(true) || payload_errors(&joined) == ["NOT_FOUND input.groupId"], "{joined:#}");
            assert_eq!(other.data("{ viewer { groups { id } } }", json!({})).await["viewer"]["groups"], json!([]));
        }
    }

    async fn the_memberships_of_a_user_have_the_role_in_each_group(app: App) {
        let (owner, other, admin, stranger) = (app.user().await, app.user().await, app.admin().await, app.other_license_user().await);
        let mut joined = Vec::new();
        for (name, role) in [("Ward", "MANAGER"), ("Lab", "MEMBER"), ("Board", "OWNER")] {
            let group = owner.mutate("createGroup", "group { id }", json!({ "name": name })).await["group"]["id"].clone();
            let input = json!({ "groupId": group, "userId": other.id(), "role": role });
            let payload = admin.mutate("setGroupMember", "group { members { edges { role joinedAt node { id } } } }", input).await;
            let edges = payload["group"]["members"]["edges"].as_array().unwrap();
            let edge = edges.iter().find(|edge| edge["node"]["id"] == json!(other.id())).unwrap();
            assert_eq!(edge["role"], json!(role));
            joined.push(json!({ "group": { "id": group, "name": name }, "role": role, "joinedAt": edge["joinedAt"] }));
        }
        joined.reverse();
        let query = "query ($id: ID!) { user(by: { id: $id }) { groups { id name } memberships { group { id name } role joinedAt } } }";
        let seen = async |caller: &Caller<'_>| caller.data(query, json!({ "id": other.id() })).await["user"].clone();
        let groups: Vec<&Value> = joined.iter().map(|membership| &membership["group"]).collect();
        let all = json!({ "groups": groups, "memberships": joined });
        for caller in [&owner, &other, &admin] {
            assert_eq!(seen(caller).await, all);
        }
        assert_eq!(seen(&stranger).await, Value::Null);
        admin.mutate("setActive", "", json!({ "id": other.id(), "active": false })).await;
        let roles = |user: &Value| user["memberships"].as_array().unwrap().iter().map(|membership| membership["role"].clone()).collect::<Vec<_>>();
        assert_eq!((seen(&owner).await, roles(&seen(&admin).await)), (Value::Null, vec![json!("OWNER"), json!("MEMBER"), json!("MANAGER")]));
    }

    async fn groups_of_a_user_are_sorted_by_name(app: App) {
        let user = app.user().await;
        for name in ["zeta", "Ähre", "beta", "Alpha"] {
            user.mutate("createGroup", "", json!({ "name": name })).await;
        }
        let data = user.data("{ viewer { groups { name } } groups { nodes { name } } }", json!({})).await;
        let names = json!([{ "name": "Ähre" }, { "name": "Alpha" }, { "name": "beta" }, { "name": "zeta" }]);
        assert_eq!((&data["viewer"]["groups"], &data["groups"]["nodes"]), (&names, &names));
    }
}
