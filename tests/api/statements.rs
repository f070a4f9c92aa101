//! The number of SQL statements of a request: the same for a hundred rows as for one. That of an import: the same for any rows.

use std::io::Cursor;
use std::ops::Range;

use async_graphql::MaybeUndefined::Value as Given;
use futures_util::future::join_all;
use roster::entity::membership::GroupRole;
use roster::entity::user::UserFields;
use roster::entity::{site_access, user};
use roster::scalar::{Id, now};
use roster::session::{TokenAuthenticator, TokenUse};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, POLICY};
use crate::crowd;

/// The number of statements of a query, and its data.
async fn count_statements(caller: &Caller<'_>, query: &str, variables: Value) -> (u64, Value) {
    let before = caller.app.db.statements();
    let data = caller.data(query, variables).await;
    (caller.app.db.statements() - before, data)
}

/// The number of statements with which a write without an actor reads the end of the chain: on PostgreSQL, the sealer does that, and
/// on SQLite it is read with the actor.
fn end_of_chain(app: &App) -> u64 {
    u64::from(!app.db.is_postgres())
}

/// The number of statements more with which PostgreSQL finds that one statement for everything cannot do it. Behind a pooler that
/// shares transactions, it does not try.
fn attempt_at_once(app: &App) -> u64 {
    u64::from(app.db.write().can_execute_once())
}

/// The number of statements of an event that the database does not get together with the write.
fn event_apart(app: &App) -> u64 {
    u64::from(app.db.is_postgres()) - attempt_at_once(app)
}

/// The number of statements of an import of records, all of which are valid.
async fn count_import(app: &App, records: &[Value]) -> u64 {
    // What is sealed meanwhile would count.
    app.seal().await;
    let file: String = records.iter().map(|record| record.to_string() + "\n").collect();
    let before = app.db.statements();
    let summary = roster::import::load(&app.db, app.license, Cursor::new(file), |_| ()).await.unwrap();
    assert!(summary.invalid.is_empty() && summary.notes.is_empty(), "{summary:?}");
    app.db.statements() - before
}

/// Records of users, each with a name and an email address that depend on its number, and more.
fn user_records(numbers: Range<usize>, more: impl Fn(usize) -> Value) -> Vec<Value> {
    let user = |number: usize| {
        let email = format!("p{number}@example.org");
        let mut user = json!({ "firstName": "Ann", "lastName": "Moss", "email": email });
        user.as_object_mut().unwrap().extend(more(number).as_object().unwrap().clone());
        json!({ "user": user })
    };
    numbers.map(user).collect()
}

/// A hundred users, each in an institution and in two of twenty groups.
async fn create_hospital(app: &App) -> (Vec<Id>, Vec<Id>, Vec<Value>) {
    let license_admin = app.license_admin().await;
    let mut sites = Vec::new();
    for n in 0..10 {
        let input = json!({ "name": format!("House {n}"), "kind": "HOSPITAL", "country": "AU" });
        sites.push(
            license_admin.mutate("createInstitution", "institution { id }", input).await["institution"]["id"].clone(),
        );
    }
    let users =
        crowd::store(app, (0..100).map(|n| crowd::model(app.license, "Ann", &format!("Aa {n:03}"))).collect()).await;
    let groups = crowd::groups(app, app.license, (0..20).map(|n| format!("Ward {n}"))).await;
    for (n, user) in users.iter().enumerate() {
        crowd::memberships(app, &[*user], &[groups[n % 20], groups[(n + 1) % 20]], GroupRole::Member).await;
    }
    for (n, site) in sites.iter().enumerate() {
        let belong = user::Entity::update_many()
            .col_expr(user::Column::InstitutionId, Expr::value(Id::parse(site.as_str().unwrap()).unwrap()));
        let some = users.iter().copied().skip(n).step_by(10);
        belong.filter(user::Column::Id.is_in(some)).exec(app.db.write()).await.unwrap();
    }
    (users, groups, sites)
}

on_every_database! {
    async fn a_page_of_users_with_groups_and_institutions_takes_four_statements(app: App) {
        create_hospital(&app).await;
        let user = app.user().await;
        let query = "query ($first: Int) { users(first: $first) { pageInfo { hasNextPage } edges { cursor node { fullName groups { name } institution { name displayName } } } } }";
        for first in [1, 2, 50, 100] {
            let (statements, data) = count_statements(&user, query, json!({ "first": first })).await;
            let edges = data["users"]["edges"].as_array().unwrap();
            assert_eq!(edges.len(), first);
            assert!(edges.iter().all(|edge| edge["node"]["groups"].as_array().unwrap().len() == 2 && edge["node"]["institution"].is_object()));
            assert_eq!(statements, 4, "{first}: the token, the users, their groups, their institutions");
        }
    }

    async fn requests_that_arrive_at_the_same_time_share_the_statement_that_reads_their_tokens(app: App) {
        let callers = [app.user().await, app.admin().await, app.license_admin().await];
        let authenticator = TokenAuthenticator::new(&app.db, POLICY.lifetime);
        let before = app.db.statements();
        let signed_in = join_all((0..16).map(|n| {
            let token = callers[n % 3].token.as_deref().unwrap();
            authenticator.authenticate(token, TokenUse::OpenConnection, None)
        }));
        for (n, signed_in) in signed_in.await.into_iter().enumerate() {
            assert_eq!(signed_in.unwrap().user_id, callers[n % 3].id, "{n}");
        }
        assert_eq!(app.db.statements() - before, 1);
    }

    async fn every_link_of_a_page_takes_one_statement(app: App) {
        create_hospital(&app).await;
        let admin = app.admin().await;
        let query = "query ($first: Int) { users(first: $first) { nodes { license { name } institution { name license { name } } groups { name } groupsOwned { name } memberships { role joinedAt group { name } } sessions { id } adminRights { isAdmin } } } }";
        let one = count_statements(&admin, query, json!({ "first": 1 })).await.0;
        let hundred = count_statements(&admin, query, json!({ "first": 100 })).await.0;
        assert_eq!((one, hundred), (7, 7), "token, users, licenses, institutions, their licenses, groups, sessions");
    }

    async fn a_total_count_takes_one_statement_and_only_if_selected(app: App) {
        create_hospital(&app).await;
        let user = app.user().await;
        for list in ["users", "groups", "institutions"] {
            let without = count_statements(&user, &format!("{{ {list} {{ nodes {{ id }} }} }}"), json!({})).await.0;
            let with = count_statements(&user, &format!("{{ {list} {{ totalCount nodes {{ id }} }} }}"), json!({})).await.0;
            assert_eq!((without, with), (2, 3), "{list}");
        }
    }

    async fn a_search_takes_at_most_two_statements_whatever_it_finds(app: App) {
        create_hospital(&app).await;
        let user = app.user().await;
        crowd::users(&app, &vec![("Crowd", "Quorum"); 120]).await;
        // The first search loads the index.
        app.seal().await;
        user.data("{ searchUsers(query: \"nobody\") { totalCount } }", json!({})).await;
        let cases = [("quorum", 2, "the token, the users of the page"), ("nobody else", 1, "the token"),
            ("qourum", 2, "the token, the users of the page"), ("crod quroum test anna e x", 1, "the token"), ("ann", 2, "the token, the users of the page")];
        for (query, expected, why) in cases {
            for first in [1, 100] {
                let document = "query ($query: String!, $first: Int) { searchUsers(query: $query, first: $first) { totalCount edges { score matchedFields node { id } } } }";
                let statements = count_statements(&user, document, json!({ "query": query, "first": first })).await.0;
                assert_eq!(statements, expected, "{query}: {why}");
            }
        }
    }

    async fn members_of_many_groups_are_paged_in_one_statement(app: App) {
        create_hospital(&app).await;
        let user = app.user().await;
        let query = "query ($first: Int) { groups(first: $first) { nodes { members(first: 3) { pageInfo { hasNextPage } edges { cursor role node { lastName } } } } } }";
        for first in [1, 20] {
            let (statements, data) = count_statements(&user, query, json!({ "first": first })).await;
            assert_eq!(statements, 3, "{first}: the token, the groups, the members");
            for group in data["groups"]["nodes"].as_array().unwrap() {
                assert_eq!(group["members"]["edges"].as_array().unwrap().len(), 3);
                assert_eq!(group["members"]["pageInfo"]["hasNextPage"], json!(true));
            }
        }
        let totals = "query ($first: Int) { groups(first: $first) { nodes { members(last: 2) { totalCount nodes { groups { name } institution { name } } } } } }";
        for first in [1, 20] {
            let (statements, data) = count_statements(&user, totals, json!({ "first": first })).await;
            assert_eq!(statements, 6, "{first}: the token, the groups, the members, the counts, their groups, their institutions");
            assert!(data["groups"]["nodes"].as_array().unwrap().iter().all(|group| group["members"]["totalCount"] == json!(10)));
        }
        let admin = app.admin().await;
        let both = "query ($first: Int) { groups(first: $first) { nodes { members(first: 2) { totalCount nodes { id } } all: members(first: 2, includeInactive: true) { totalCount nodes { id } } } } }";
        for first in [1, 20] {
            let (statements, data) = count_statements(&admin, both, json!({ "first": first })).await;
            assert_eq!(statements, 6, "{first}: the token, the groups, the active members, all members, the counts of both");
            assert!(data["groups"]["nodes"].as_array().unwrap().iter().all(|group| group["all"]["totalCount"] == json!(10)));
        }
    }

    async fn users_of_many_institutions_are_paged_in_one_statement(app: App) {
        create_hospital(&app).await;
        let user = app.user().await;
        let query = "query ($first: Int) { institutions(first: $first) { nodes { users(first: 3) { totalCount pageInfo { hasNextPage } nodes { lastName } } } } }";
        for first in [1, 10] {
            let (statements, data) = count_statements(&user, query, json!({ "first": first })).await;
            assert_eq!(statements, 4, "{first}: the token, the institutions, the users, the counts");
            for site in data["institutions"]["nodes"].as_array().unwrap() {
                assert_eq!((&site["users"]["totalCount"], site["users"]["nodes"].as_array().unwrap().len()), (&json!(10), 3));
            }
        }
    }

    async fn sites_of_a_page_of_users_take_two_statements_and_their_counts_two(app: App) {
        let (users, _, sites) = create_hospital(&app).await;
        let everywhere = user::Entity::update_many().col_expr(user::Column::FullSiteAccess, Expr::value(true));
        everywhere.filter(user::Column::Id.is_in(users.iter().copied().step_by(2))).exec(app.db.write()).await.unwrap();
        let site = |n: usize| Id::parse(sites[n % 10].as_str().unwrap()).unwrap();
        let grants = users.iter().enumerate().flat_map(|(n, id)| [n, n + 1, n + 2].map(|n| (*id, site(n))));
        let grants = grants.map(|(user_id, institution_id)| site_access::Model { user_id, institution_id, granted_at: now() }.into_active_model().reset_all());
        site_access::Entity::insert_many(grants).exec_without_returning(app.db.write()).await.unwrap();
        let user = app.user().await;
        let query = "query ($first: Int) { users(first: $first) { nodes { fullSiteAccess sites(first: 2) { pageInfo { hasNextPage } nodes { name license { name } } } } } }";
        let totals = "query ($first: Int) { users(first: $first) { nodes { fullSiteAccess sites(first: 2) { totalCount nodes { name } } } } }";
        for (first, lists) in [(1, 1), (2, 2), (50, 2), (100, 2)] {
            let (statements, data) = count_statements(&user, query, json!({ "first": first })).await;
            assert_eq!(statements, 3 + lists, "{first}: the token, the users, their sites (all or granted), the licenses");
            assert!(data["users"]["nodes"].as_array().unwrap().iter().all(|node| node["sites"]["nodes"].as_array().unwrap().len() == 2));
            let (statements, data) = count_statements(&user, totals, json!({ "first": first })).await;
            assert_eq!(statements, 2 + 2 * lists, "{first}: the token, the users, their sites and the counts (all or granted)");
            for node in data["users"]["nodes"].as_array().unwrap() {
                let total = if node["fullSiteAccess"] == json!(true) { 10 } else { 3 };
                assert_eq!(node["sites"]["totalCount"], json!(total));
            }
        }
    }

    async fn fifty_groups_with_their_members_take_as_many_statements_as_one(app: App) {
        let (users, _, sites) = create_hospital(&app).await;
        // A third of the users have every site, a third some, a third none.
        let everywhere = user::Entity::update_many().col_expr(user::Column::FullSiteAccess, Expr::value(true));
        everywhere.filter(user::Column::Id.is_in(users.iter().copied().step_by(3))).exec(app.db.write()).await.unwrap();
        let grants = users.iter().skip(1).step_by(3).flat_map(|id| sites.iter().take(7).map(|site| (*id, Id::parse(site.as_str().unwrap()).unwrap())));
        let grants = grants.map(|(user_id, institution_id)| site_access::Model { user_id, institution_id, granted_at: now() }.into_active_model().reset_all());
        site_access::Entity::insert_many(grants).exec_without_returning(app.db.write()).await.unwrap();
        let groups = crowd::groups(&app, app.license, (0..50).map(|n| format!("A ward {n:02}"))).await;
        for (n, group) in groups.iter().enumerate() {
            let members: Vec<Id> = users.iter().copied().cycle().skip(2 * n).take(25).collect();
            crowd::memberships(&app, &members, &[*group], GroupRole::Member).await;
        }
        let user = app.user().await;
        let query = "query ($first: Int) { groups(first: $first) { nodes { name members(first: 20) { nodes { \
            institution { name } groups { name } sites(first: 5) { nodes { name } } attributes { name value } } } } } }";
        for first in [1, 50] {
            let (statements, data) = count_statements(&user, query, json!({ "first": first })).await;
            let groups = data["groups"]["nodes"].as_array().unwrap();
            assert_eq!(groups.len(), first);
            for group in groups {
                let members = group["members"]["nodes"].as_array().unwrap();
                assert!(group["name"].as_str().unwrap().starts_with("A ward"));
                assert_eq!(members.len(), 20);
                let with_sites = members.iter().filter(|member| member["sites"]["nodes"].as_array().unwrap().len() == 5).count();
                assert!((13..=14).contains(&with_sites), "{group:#}");
                assert!(members.iter().all(|member| member["institution"].is_object() && member["groups"].as_array().unwrap().len() > 2));
            }
            println!("{first} groups: {statements} statements");
            assert_eq!(statements, 8, "{first}: the token, the groups, the members, their institutions, groups and attributes, their sites (all or granted)");
        }
    }

    async fn each_parent_has_its_own_page(app: App) {
        let (users, groups, _) = create_hospital(&app).await;
        let user = app.user().await;
        let last = |n: usize| format!("Aa {n:03}");
        let data = user.data("query ($id: ID!) { group(id: $id) { members(first: 100) { nodes { id lastName } } } }", json!({ "id": groups[3].0 })).await;
        let expected: Vec<Value> = (0..5).flat_map(|n| [2 + 20 * n, 3 + 20 * n]).map(|n| json!({ "id": users[n].0, "lastName": last(n) })).collect();
        assert_eq!(data["group"]["members"]["nodes"], json!(expected));
        let two = "query ($a: ID!, $b: ID!) { a: group(id: $a) { members(first: 2) { nodes { lastName } } } b: group(id: $b) { members(last: 2) { nodes { lastName } } } }";
        let data = user.data(two, json!({ "a": groups[3].0, "b": groups[5].0 })).await;
        assert_eq!(data["a"]["members"]["nodes"], json!([{ "lastName": last(2) }, { "lastName": last(3) }]));
        assert_eq!(data["b"]["members"]["nodes"], json!([{ "lastName": last(84) }, { "lastName": last(85) }]));
    }

    async fn a_hundred_nodes_take_as_many_statements_as_one(app: App) {
        let (users, groups, sites) = create_hospital(&app).await;
        let user = app.user().await;
        let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { groups { name } institution { name } } } }";
        let one = count_statements(&user, query, json!({ "ids": [users[0].0] })).await;
        let mut ids: Vec<Value> = users[..70].iter().chain(&groups).map(|id| json!(id.0)).collect();
        ids.extend(sites.iter().cloned());
        let hundred = count_statements(&user, query, json!({ "ids": ids })).await;
        assert_eq!(one.0, hundred.0);
        let found: Vec<Value> = hundred.1["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
        assert_eq!(found, ids, "in the order of the ids");
        assert_eq!(count_statements(&user, "query ($id: ID!) { node(id: $id) { id } }", json!({ "id": users[0].0 })).await.0, 8, "the token and seven tables");
    }

    async fn a_page_of_changes_takes_as_many_statements_for_a_hundred_as_for_one(app: App) {
        let (user, admin) = (app.user().await, app.license_admin().await);
        // PostgreSQL is asked whether there are events to be sealed.
        let sealing = u64::from(app.db.is_postgres());
        let start = user.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
        let query = "query ($after: String, $first: Int) { changes(after: $after, first: $first, types: [USER]) { position hasMore \
            changes { position kind type nodeId changedFields at node { id ... on User { fullName groups { name } } } } } }";
        let (statements, _) = count_statements(&user, query, json!({ "after": null, "first": 100 })).await;
        assert_eq!(statements, 2 + sealing, "the token, the position");
        let (statements, _) = count_statements(&user, query, json!({ "after": start, "first": 100 })).await;
        assert_eq!(statements, 2 + sealing, "the token, the positions: nothing is new");
        for n in 0..30 {
            admin.mutate("createUser", "", json!({ "firstName": "Ann", "lastName": format!("Aa {n:03}"), "email": format!("a{n}@x.example"), "sendRegistrationEmail": false })).await;
        }
        app.seal().await;
        for first in [1, 30] {
            let (statements, data) = count_statements(&user, query, json!({ "after": start, "first": first })).await;
            assert_eq!(data["changes"]["changes"].as_array().unwrap().len(), first);
            assert_eq!(statements, 6 + sealing, "{first}: the token, the positions, the events, the visible users, the users, their groups");
        }
    }

    async fn a_user_by_id_and_the_viewer_take_two_statements_each(app: App) {
        let (users, ..) = create_hospital(&app).await;
        let user = app.user().await;
        assert_eq!(count_statements(&user, "query ($id: ID!) { user(by: { id: $id }) { fullName } }", json!({ "id": users[0].0 })).await.0, 2);
        assert_eq!(count_statements(&user, "{ viewer { fullName } }", json!({})).await.0, 2);
        let aliases = "query ($a: ID!, $b: ID!) { a: user(by: { id: $a }) { fullName } b: user(by: { id: $b }) { fullName } viewer { fullName } }";
        assert_eq!(count_statements(&user, aliases, json!({ "a": users[0].0, "b": users[1].0 })).await.0, 2);
    }

    async fn a_new_user_takes_few_statements(app: App) {
        let admin = app.license_admin().await;
        let mutation = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success user { id version } } }";
        let new = |username: &str, email: &str| json!({ "input": { "firstName": "Ann", "lastName": "Lee", "username": username, "email": email,
            "position": "Nurse", "sendRegistrationEmail": false } });
        let (statements, data) = count_statements(&admin, mutation, new("ann.lee", "ann@x.example")).await;
        assert_eq!(data["createUser"]["success"], json!(true), "{data:#}");
        let expected = 3 + event_apart(&app) - attempt_at_once(&app);
        assert_eq!(statements, expected, "the token, the actor, the user with the event; PostgreSQL gets the last three at once");
        admin.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "STRING", "required": true })).await;
        let (statements, data) = count_statements(&admin, mutation, new("ann_lee", "ann_lee@x.example")).await;
        assert_eq!(data["createUser"]["success"], json!(false), "{data:#}");
        assert_eq!(statements, 6 + attempt_at_once(&app), "the token, the actor, the definitions, no other user with this username or address, the viewer's limit");
        assert_eq!(admin.payload_errors("createUser", new("ann.lee", "ann_lee@x.example")["input"].clone()).await,
            ["REQUIRED input.attributes", "TAKEN input.username"], "all errors at once");
    }

    async fn an_update_of_a_user_takes_one_statement_besides_the_actor_and_the_event(app: App) {
        let (_, _, sites) = create_hospital(&app).await;
        let (admin, user) = (app.license_admin().await, app.user().await);
        let mutation = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success user { id position } } }";
        let moved = json!({ "id": user.id(), "institutionId": sites[0] });
        assert_eq!(admin.mutate("updateUser", "", moved).await["success"], json!(true));
        for (caller, position) in [(&admin, "Nurse"), (&user, "Doctor")] {
            let input = json!({ "input": { "id": user.id(), "position": position } });
            let (statements, data) = count_statements(caller, mutation, input).await;
            assert_eq!(data["updateUser"]["user"]["position"], json!(position), "{data:#}");
            assert_eq!(statements, 3 + event_apart(&app), "the token, the actor and the user, the update with the event");
            // The same again changes nothing.
            let input = json!({ "input": { "id": user.id(), "position": position } });
            let expected = 2 + attempt_at_once(&app);
            assert_eq!(count_statements(caller, mutation, input).await.0, expected, "the token, the actor and the user");
        }
        let stranger = app.other_license_user().await;
        let unknown = json!({ "input": { "id": stranger.id(), "position": "Nurse" } });
        let expected = 3 + attempt_at_once(&app);
        assert_eq!(count_statements(&admin, mutation, unknown).await.0, expected, "the token, both, the actor");
        let other = json!({ "input": { "id": admin.id(), "position": "Nurse" } });
        let before = app.db.statements();
        assert_eq!(user.error_code(mutation, other).await, "FORBIDDEN");
        assert_eq!(app.db.statements() - before, 2, "the token, the user, without a lock");
    }

    async fn a_new_member_takes_few_statements(app: App) {
        let (admin, user) = (app.license_admin().await, app.user().await);
        let group = admin.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        let mutation = "mutation ($input: SetGroupMemberInput!) { setGroupMember(input: $input) { success } }";
        let input = |role: &str| json!({ "input": { "groupId": group, "userId": user.id(), "role": role } });
        assert_eq!(count_statements(&admin, mutation, input("MEMBER")).await.0, 7,
            "the token, the actor and the user, the group, both memberships, the number of groups, the new one, the event");
        assert_eq!(count_statements(&admin, mutation, input("MANAGER")).await.0, 6);
    }

    async fn a_sign_in_takes_few_statements(app: App) {
        let fields = UserFields { username: Given("ada".to_owned()), ..UserFields::default() };
        app.create("Ada", app.license, fields, Given(PASSWORD.to_owned())).await;
        let mutation = "mutation ($input: LoginInput!) { login(input: $input) { success user { id } } }";
        // Three looks at the account and the counters, four counts and two deletions of expired ones; the user, the password; the
        // device, the session, the deletions of older ones, the user, the event.
        let expected = 17 + end_of_chain(&app);
        for _ in 0..2 {
            let input = json!({ "input": { "login": "ada", "password": PASSWORD } });
            let (statements, data) = count_statements(&app.anonymous(), mutation, input).await;
            assert_eq!(data["login"]["success"], json!(true), "{data:#}");
            assert_eq!(statements, expected);
        }
    }

    async fn a_mutation_takes_one_statement_for_its_event(app: App) {
        let user = app.user().await;
        let (statements, _) = count_statements(&user, "mutation { logout { success } }", json!({})).await;
        assert_eq!(statements, 4, "the token, the actor, the session, the event");
    }

    async fn an_import_takes_as_many_statements_whatever_its_five_hundred_rows(app: App) {
        let attribute = json!({ "name": "badge", "label": "Badge", "kind": "INTEGER" });
        app.license_admin().await.mutate("defineAttribute", "", attribute).await;
        let organisation = |n: usize| {
            let institution = json!({ "name": format!("House {n}"), "kind": "HOSPITAL", "country": "AU" });
            [json!({ "institution": institution }), json!({ "group": { "name": format!("Ward {n}") } })]
        };
        let organisation: Vec<Value> = (0..250).flat_map(organisation).collect();
        let expect = |postgres: u64, sqlite: u64| if app.db.is_postgres() { postgres } else { sqlite };
        let names = 2;
        // Each the existing rows, the insertion, the events.
        let expected = names + expect(2 * (1 + 1 + 4), 2 * (1 + 1 + 2));
        assert_eq!(count_import(&app, &organisation).await, expected, "250 institutions and 250 groups");

        // Users by four keys, holders of logins, erased users, attributes; of users that exist, groups, sites and passwords.
        // PostgreSQL locks users who exist, and the groups and sites of users, by ID.
        let (looked_up, related, referenced) = (names + 7, expect(4, 3), expect(2, 0));
        // The lock of the sealer, its inbox; the end of the chain, the events.
        let events = expect(2 + 2, 2);
        let users = expect(1, 2);
        let create = looked_up + users + events;
        let plain = |_: usize| json!({});
        assert_eq!(count_import(&app, &user_records(1_000..1_500, plain)).await, create);
        let with_fields = |n: usize| json!({ "position": "Nurse", "phone": "123", "externalId": format!("P-{n}"), "isActive": n.is_multiple_of(3), "birthDate": "1980-07-08" });
        assert_eq!(count_import(&app, &user_records(2_000..2_500, with_fields)).await, create, "more fields");

        let hash = "pbkdf2_sha256$29000$seasalt$MqiyVFTP6UUpjrpvJsxVXBlF/shrLYjOh7Qw2l+VN0I=";
        let house = |n: usize| format!("House {}", n % 250);
        let groups = |n: usize| json!([{ "group": format!("Ward {}", n % 250) }, { "group": format!("Ward {}", (n + 1) % 250), "role": "OWNER" }]);
        let with_all = |n: usize| json!({ "institution": "House 7", "groups": groups(n), "sites": [house(n)], "passwordHash": hash, "attributes": { "badge": n } });
        let all = user_records(3_000..3_500, with_all);
        assert_eq!(count_import(&app, &all).await, create + referenced + 4, "also groups, sites, passwords, attributes");
        assert_eq!(count_import(&app, &all).await, looked_up + related + 1, "nothing changes; also the values of attributes");

        let moved = |n: usize| json!({ "position": format!("Ward {n}") });
        let update = looked_up + related + users + events;
        assert_eq!(count_import(&app, &user_records(1_000..1_500, moved)).await, update);
        assert_eq!(count_import(&app, &user_records(5_000..5_001, plain)).await, names + 7 + 1 + events, "one user");
    }

    async fn anonymous_requests_take_no_statements(app: App) {
        let before = app.db.statements();
        app.anonymous().data("{ viewer { id } __typename }", json!({})).await;
        assert_eq!(app.anonymous().error_code("{ users { totalCount } }", json!({})).await, "UNAUTHENTICATED");
        assert_eq!(app.db.statements(), before);
    }
}
