//! The search index follows every change of a user.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use roster::entity::user;
use roster::scalar::Id;
use roster::search_index::{IndexedUser, SearchIndex};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD};
use crate::process::{ADMIN, Sandbox};

/// The longest time that another process may take to find a change. The index looks for changes far more often.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The users that an index has: IDs, licenses, whether they are active, and search keys.
async fn indexed(index: &SearchIndex) -> BTreeSet<(Id, Id, bool, String)> {
    let snapshot = index.latest_snapshot().await.unwrap();
    let parts =
        |IndexedUser { id, license_id, is_active, key }: IndexedUser<'_>| (id, license_id, is_active, key.to_owned());
    snapshot.users().map(parts).collect()
}

/// Checks that an index has exactly the users of the database.
async fn check_index(app: &App, index: &SearchIndex) {
    let users = user::Entity::find().all(app.db.read()).await.unwrap();
    let expected: BTreeSet<_> =
        users.into_iter().map(|user| (user.id, user.license_id, user.is_active, user.search_key)).collect();
    assert_eq!(indexed(index).await, expected);
}

/// Checks that every user is indexed by what the user is called now.
pub async fn check(app: &App) {
    for mut user in user::Entity::find().all(app.db.read()).await.unwrap() {
        let stored = user.search_key.clone();
        user.update_derived();
        assert_eq!(user.search_key, stored);
    }
    check_index(app, &SearchIndex::new(&app.db)).await;
}

async fn found(caller: &Caller<'_>, query: &str) -> usize {
    let document = "query ($query: String!) { searchUsers(query: $query) { totalCount nodes { id } } }";
    let found = caller.data(document, json!({ "query": query })).await["searchUsers"].clone();
    let nodes = found["nodes"].as_array().unwrap().len();
    assert_eq!(found["totalCount"], json!(nodes));
    nodes
}

async fn create(admin: &Caller<'_>, first: &str, last: &str, email: &str) -> Value {
    let input = json!({ "firstName": first, "lastName": last, "email": email, "sendRegistrationEmail": false });
    admin.mutate("createUser", "user { id }", input).await["user"]["id"].clone()
}

on_every_database! {
    async fn an_index_follows_users_who_are_created_changed_and_erased(app: App) {
        let license_admin = app.license_admin().await;
        let index = SearchIndex::new(&app.db);
        check_index(&app, &index).await;
        let mut ids = Vec::new();
        for (first, last, email) in [("Xavier", "Quorn", "xq1@example.org"), ("Xénia", "Quorn-Ödman", "xenia@quorn.example")] {
            ids.push(create(&license_admin, first, last, email).await);
            check_index(&app, &index).await;
        }
        license_admin.mutate("updateUser", "", json!({ "id": ids[0], "lastName": "Qvorn", "certifiedEmail": "x@pec.example" })).await;
        check_index(&app, &index).await;
        license_admin.mutate("updateUser", "", json!({ "id": ids[0], "phone": "1" })).await;
        license_admin.mutate("setActive", "", json!({ "id": ids[0], "active": false })).await;
        check_index(&app, &index).await;
        license_admin.mutate("deleteUser", "", json!({ "id": ids[1] })).await;
        check_index(&app, &index).await;
        assert!(!indexed(&index).await.iter().any(|(.., key)| key.contains("odman")));
        check(&app).await;
    }

    async fn an_index_follows_users_who_are_imported_in_several_chunks(app: App) {
        let index = SearchIndex::new(&app.db);
        for last_name in ["Qvale", "Quorn-Ödman", "Qvale"] {
            let user = |n: usize| {
                let own = if n.is_multiple_of(100) { letters(n) } else { last_name.to_owned() };
                json!({ "user": { "firstName": "Ann", "lastName": own, "username": format!("a{n}"), "externalId": format!("P-{n}") } })
            };
            let file: String = (0..2_400).map(|n| user(n).to_string() + "\n").collect();
            let summary = roster::import::load(&app.db, app.license, Cursor::new(file), |_| ()).await.unwrap();
            assert!(summary.invalid.is_empty(), "{:?}", summary.invalid);
            check_index(&app, &index).await;
        }
    }

    async fn a_search_finds_what_was_changed_before(app: App) {
        let license_admin = app.license_admin().await;
        assert_eq!(found(&license_admin, "vexmor").await, 0);
        let id = create(&license_admin, "Otto", "Vexmor", "otto@example.org").await;
        assert_eq!(found(&license_admin, "vexmor").await, 1);
        for round in 0..20 {
            let name = format!("Rare{}", letters(round));
            license_admin.mutate("updateUser", "", json!({ "id": id, "lastName": name })).await;
            assert_eq!(found(&license_admin, &name).await, 1, "{name}");
        }
        license_admin.mutate("setActive", "", json!({ "id": id, "active": false })).await;
        assert_eq!(found(&license_admin, "rare").await, 0);
        license_admin.mutate("deleteUser", "", json!({ "id": id })).await;
        let document = "{ searchUsers(query: \"rare\", includeInactive: true) { totalCount } }";
        assert_eq!(license_admin.data(document, json!({})).await["searchUsers"]["totalCount"], json!(0));
    }

    async fn parts_of_texts_are_found_by_filters_as_soon_as_they_are_written(app: App) {
        let license_admin = app.license_admin().await;
        let id = create(&license_admin, "Otto", "Vexmor", "otto@example.org").await;
        let document = "query ($filter: UserFilter!) { users(filter: $filter) { totalCount } }";
        let count = async |filter: Value| license_admin.data(document, json!({ "filter": filter })).await["users"]["totalCount"].clone();
        for filter in [json!({ "lastName": { "contains": "EXMO" } }), json!({ "lastName": { "endsWith": "xmor" } }), json!({ "or": [{ "username": { "contains": "vexmor" } }, { "lastName": { "contains": "vexmor" } }] })] {
            assert_eq!(count(filter.clone()).await, json!(1), "{filter}");
        }
        license_admin.mutate("updateUser", "", json!({ "id": id, "lastName": "Tarvex" })).await;
        assert_eq!(count(json!({ "lastName": { "contains": "exmo" } })).await, json!(0));
        assert_eq!(count(json!({ "lastName": { "contains": "arve" } })).await, json!(1));
        assert_eq!(count(json!({ "not": { "lastName": { "contains": "arve" } }, "firstName": { "contains": "tto" } })).await, json!(0));
    }

    async fn users_exchanging_their_names_concurrently_do_not_deadlock(app: App) {
        let license_admin = app.license_admin().await;
        let index = SearchIndex::new(&app.db);
        let ids: Vec<String> = join_all((0..4).map(|_| app.user())).await.iter().map(|user| user.id().clone()).collect();
        for round in 0..10 {
            let rename = |(n, id): (usize, &String)| license_admin.mutate("updateUser", "", json!({ "id": id, "lastName": format!("Swap{}", letters((n + round) % 4)) })).boxed();
            join_all(ids.iter().enumerate().map(rename)).await;
            check_index(&app, &index).await;
        }
    }
}

in_every_sandbox! {
    async fn a_search_finds_what_another_process_changes(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (one, two) = (sandbox.serve(&[]).await, sandbox.serve(&[]).await);
        let (writer, reader) = (one.sign_in(ADMIN).await, two.sign_in(ADMIN).await);
        let total = async |query: &str| {
            let document = "query ($query: String!) { searchUsers(query: $query) { totalCount } }";
            reader.data(document, json!({ "query": query })).await["searchUsers"]["totalCount"].clone()
        };
        assert_eq!(total("vexmor").await, json!(0));
        for number in 1..=5 {
            let document = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success } }";
            let input = json!({ "firstName": "Otto", "lastName": "Vexmor", "username": format!("otto{number}"), "password": PASSWORD });
            assert_eq!(writer.data(document, json!({ "input": input })).await["createUser"]["success"], json!(true));
            let begun = Instant::now();
            while total("vexmor").await != json!(number) {
                assert!(begun.elapsed() < MAX_DELAY, "user {number} is not found");
            }
        }
        let parts = "{ users(filter: { lastName: { contains: \"exmo\" } }) { totalCount } }";
        assert_eq!(reader.data(parts, json!({})).await["users"]["totalCount"], json!(5));
        let rename = "mutation ($input: UpdateUserInput!) { updateUser(input: $input) { success } }";
        let user = reader.data("{ users(filter: { username: { eq: \"otto1\" } }) { nodes { id } } }", json!({})).await;
        let input = json!({ "id": user["users"]["nodes"][0]["id"], "lastName": "Tarvex" });
        assert_eq!(writer.data(rename, json!({ "input": input })).await["updateUser"]["success"], json!(true));
        assert_eq!(reader.data(parts, json!({})).await["users"]["totalCount"], json!(4));
        let renamed = "{ users(filter: { lastName: { contains: \"arve\" } }) { totalCount } }";
        assert_eq!(reader.data(renamed, json!({})).await["users"]["totalCount"], json!(1));
    }
}

/// A number in letters.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'k')).collect()
}
