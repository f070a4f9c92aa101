//! Limits of the cost of a request, whatever its document is.

use futures_util::future::{join_all, poll_immediate};
use roster::budget::Budget;
use roster::entity::group;
use roster::entity::membership::GroupRole;
use roster::scalar::Id;
use roster::share::Requester;
use sea_orm::sea_query::Expr;
use sea_orm::{ConnectionTrait, EntityTrait as _, Statement};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::app::{App, Caller, HANGS};
use crate::crowd;
use crate::hostile::each;
use crate::process::until;
use crate::wire::{self, RawClient};

/// The number of statements of a request, and its data.
async fn statements(caller: &Caller<'_>, query: &str) -> (u64, Value) {
    let before = caller.app.db.statements();
    let data = caller.data(query, json!({})).await;
    (caller.app.db.statements() - before, data)
}

/// Introspection queries whose results multiply, each in a different way.
fn multiplying_introspections() -> Vec<String> {
    let pairs = |count: usize| format!("{}name{}", "interfaces { possibleTypes { ".repeat(count), "} }".repeat(count));
    let types = "type { fields { ".repeat(3) + "name" + &"} }".repeat(3);
    let fragments = each(4, |n| format!("fragment T{n} on __Type {{ fields {{ name type {{ ...T{} }} }} }} ", n + 1));
    let wide = each(29, |n| format!("a{n}: types {{ ...T }} "));
    vec![
        format!("{{ __schema {{ types {{ {} }} }} }}", pairs(5)),
        format!("{{ __schema {{ types {{ {} }} }} }}", pairs(2)),
        format!("{{ __schema {{ types {{ fields {{ {types} }} }} }} }}"),
        format!("{{ __schema {{ types {{ ...T0 }} }} }} {fragments} fragment T4 on __Type {{ name }}"),
        "{ __type(name: \"Node\") { possibleTypes { interfaces { possibleTypes { interfaces { name } } } } } }"
            .to_owned(),
        "{ __schema { types { inputFields { type { inputFields { type { inputFields { type { name } } } } } } } } }"
            .to_owned(),
        format!(
            "{{ __schema {{ {wide} }} }} fragment T on __Type {{ fields {{ name args {{ name type {{ name ofType {{ name }} }} }} type {{ name ofType {{ name }} }} }} }}"
        ),
        format!("{{ {} }}", each(9, |n| format!("a{n}: __schema {{ ...S }} ")))
            + &format!(" fragment S on __Schema {{ {} }}", each(6, |n| format!("b{n}: types {{ ...T }} ")))
            + " fragment T on __Type { fields { name args { name } type { name } } }",
    ]
}

on_every_database! {
    async fn multiplying_introspections_are_rejected_for_every_caller(app: App) {
        let users = [app.anonymous(), app.user().await, app.superuser().await];
        for bomb in multiplying_introspections() {
            assert!(bomb.len() < 2_000);
            for caller in &users {
                let (status, response) = caller.post(&json!({ "query": bomb })).await;
                assert_eq!((status, &response["errors"][0]["extensions"]["code"]), (400, &json!("DOCUMENT_TOO_LARGE")), "{bomb}: {response}");
            }
            let query: String = url::form_urlencoded::byte_serialize(bomb.as_bytes()).collect();
            let response = RawClient(app.address).get(&format!("/graphql?query={query}")).await;
            assert_eq!((response.status, &response.json()["errors"][0]["extensions"]["code"]), (400, &json!("DOCUMENT_TOO_LARGE")), "{bomb}");
        }
        assert_eq!(RawClient(app.address).get("/health/live").await.status, 200);
    }

    async fn introspections_of_common_tools_are_accepted(app: App) {
        let full = include_str!("../../src/graphql/cost/full_introspection.graphql");
        let data = app.anonymous().data(full, json!({})).await;
        assert!(data["__schema"]["types"].as_array().unwrap().len() > 40);
        // Also together with the largest page.
        let user = app.user().await;
        let page = full.replacen("query IntrospectionQuery {", "query IntrospectionQuery { users(first: 100) { totalCount edges { cursor node { ...User } } }", 1);
        let everything = "fragment User on User { id username email firstName lastName fullName nickname position phone mobile website birthDate externalId \
            gender role userType isActive isStaff dateJoined modifiedAt version avatarUrl orcidId googleScholar institution { id name displayName license { number } } \
            license { number } groups { id name description } groupsOwned { name } attributes { name label value } sites(first: 3) { nodes { name } } viewerCan { __typename } }";
        user.data(&format!("{page} {everything}"), json!({})).await;
        user.data("{ __type(name: \"User\") { name fields { name type { name kind ofType { name kind } } } } }", json!({})).await;
    }

    async fn pages_of_one_list_share_a_statement_and_a_count(app: App) {
        let user = app.user().await;
        let users = crowd::users(&app, &[("Ann", "Lee"); 30]).await;
        let groups = crowd::groups(&app, app.license, (0..5).map(|n| format!("Ward {n}"))).await;
        crowd::memberships(&app, &users, &groups, GroupRole::Member).await;
        let windows = |kind: &str, first: usize| each(14, |n| format!("{kind}{n}: members({kind}: {}) {{ totalCount nodes {{ id }} edges {{ cursor }} pageInfo {{ hasNextPage hasPreviousPage }} }} ", n + first));
        let (one, all) = statements(&user, "{ groups { nodes { members(first: 30) { totalCount edges { cursor node { id } } } } } }").await;
        assert_eq!(one, 4, "the token, the groups, their members, the counts");
        let (many, data) = statements(&user, &format!("{{ groups(first: 10) {{ nodes {{ {} {} }} }} }}", windows("first", 1), windows("last", 20))).await;
        assert_eq!(many, 5, "the token, the groups, their members from both ends, the counts");
        for (group, all) in data["groups"]["nodes"].as_array().unwrap().iter().zip(all["groups"]["nodes"].as_array().unwrap()) {
            let all = all["members"]["edges"].as_array().unwrap();
            let ids = |edges: &[Value]| edges.iter().map(|edge| json!({ "id": edge["node"]["id"] })).collect::<Vec<_>>();
            let cursors = |edges: &[Value]| edges.iter().map(|edge| json!({ "cursor": edge["cursor"] })).collect::<Vec<_>>();
            for n in 0..14 {
                let (first, last) = (&group[format!("first{n}")], &group[format!("last{n}")]);
                assert_eq!(first["nodes"], json!(ids(&all[..=n])));
                assert_eq!(first["edges"], json!(cursors(&all[..=n])));
                assert_eq!(first["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
                let rest = all.len().saturating_sub(n + 20);
                assert_eq!(last["nodes"], json!(ids(&all[rest..])));
                assert_eq!(last["edges"], json!(cursors(&all[rest..])));
                assert_eq!(last["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": rest > 0 }));
                assert_eq!((&first["totalCount"], &last["totalCount"]), (&json!(30), &json!(30)));
            }
        }
    }

    async fn a_response_that_grows_too_large_is_an_error(app: App) {
        let user = app.user().await;
        let users = crowd::users(&app, &[("Ann", "Lee"); 100]).await;
        let groups = crowd::groups(&app, app.license, (0..150).map(|n| format!("Ward {n:03} {}", "x".repeat(80)))).await;
        crowd::memberships(&app, &users, &groups, GroupRole::Member).await;
        let names = |count: usize| each(count, |n| format!("n{n}: name "));
        for query in [
            format!("{{ users(first: 100) {{ nodes {{ groups {{ {} }} }} }} }}", names(12)),
            format!("{{ users(first: 100) {{ nodes {{ groups {{ {0} }} again: groups {{ {0} }} }} }} }}", each(7, |n| format!("n{n}: id "))),
        ] {
            let (status, response) = user.post(&json!({ "query": query })).await;
            assert_eq!((status, &response["errors"][0]["extensions"]["code"]), (400, &json!("ANSWER_TOO_LARGE")), "{}", response["errors"]);
            assert!(response.get("data").is_none() && response.to_string().len() < 1_000, "no part of the data is sent");
        }
        user.data(&format!("{{ users(first: 100) {{ nodes {{ groups {{ {} }} }} }} }}", names(2)), json!({})).await;
    }

    async fn a_request_executes_a_limited_number_of_statements(app: App) {
        let admin = app.admin().await;
        let deep = "institution { name license { number } } license { number } groups { name members(first: 2) { nodes { groups { name } sites(first: 1) { totalCount } } } } sessions { id } attributes { name } sites(first: 1) { totalCount nodes { name } }";
        let roots = each(10, |n| format!("r{n}: users(first: 2, filter: {{ firstName: {{ startsWith: \"{n}\" }} }}) {{ totalCount nodes {{ {deep} }} }} "));
        let before = app.db.statements();
        let response = admin.execute(&format!("{{ {roots} }}"), json!({})).await;
        let code = response.pointer("/errors/0/extensions/code");
        assert!(code.is_none_or(|code| code == "ANSWER_TOO_LARGE" || code == "DOCUMENT_TOO_LARGE"), "{response}");
        let limit = roster::budget::Limit::Statements.maximum() as u64;
        assert!(app.db.statements() - before <= limit + 2);
    }

    async fn expensive_requests_are_limited_per_caller_and_delay_no_others(app: App) {
        let (ann, bob) = (app.user().await, app.admin().await);
        let users = crowd::users(&app, &[("Ann", "Lee"); 30]).await;
        let groups = crowd::groups(&app, app.license, (0..20).map(|n| format!("Ward {n}"))).await;
        crowd::memberships(&app, &users, &groups, GroupRole::Member).await;
        let dear = "{ groups(first: 40) { nodes { members(first: 60) { nodes { id firstName lastName email position groups { id } } } } } }";
        let asked = (0..96).map(|_| ann.execute(dear, json!({})));
        let light = async {
            for _ in 0..20 {
                bob.data("{ viewer { id } users(first: 5) { nodes { id } } }", json!({})).await;
            }
        };
        let (responses, ()) = tokio::join!(join_all(asked), light);
        let codes: Vec<&str> = responses.iter().filter_map(|response| response.pointer("/errors/0/extensions/code").and_then(Value::as_str)).collect();
        assert!(codes.iter().all(|code| *code == "RATE_LIMITED"), "{codes:?}");
        assert!((1..96).contains(&codes.len()), "one runs, some wait, the others are rejected: {}", codes.len());
        bob.data(dear, json!({})).await;
    }

    async fn unread_large_responses_are_limited_per_caller(app: App) {
        let (ann, bob) = (app.user().await, app.admin().await);
        crowd::groups(&app, app.license, (0..100).map(|n| format!("Ward {n}"))).await;
        let long = group::Entity::update_many().col_expr(group::Column::Description, Expr::value("é".repeat(1_000)));
        long.exec(app.db.write()).await.unwrap();
        let query = format!("{{ groups(first: 100) {{ nodes {{ {} }} }} }}", each(29, |n| format!("a{n}: description ")));
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {}\r\n", ann.token.clone().unwrap());
        let request = wire::request("POST", "/graphql", &headers, json!({ "query": query }).to_string().as_bytes());
        let mut unread = Vec::new();
        for _ in 0..12 {
            let mut stream = RawClient(app.address).connect().await;
            stream.write_all(&request).await.unwrap();
            unread.push(stream);
        }
        let is_rejected = async || ann.execute(&query, json!({})).await.pointer("/errors/0/extensions/code") == Some(&json!("RATE_LIMITED"));
        assert!(until(async || is_rejected().await.then_some(())).await.is_some(), "unread responses are kept in memory");
        bob.data(&query, json!({})).await;
        drop(unread);
        assert!(until(async || (!is_rejected().await).then_some(())).await.is_some(), "the limit ends when the connections are closed");
    }

    async fn a_busy_caller_leaves_database_connections_to_others(app: App) {
        const SLOW: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) FROM n";
        let read = |who: Requester, sql: &str| {
            let db = app.db.within(Budget::default(), who);
            let statement = Statement::from_string(db.read().get_database_backend(), sql);
            async move { db.read().query_one_raw(statement).await.unwrap().unwrap() }
        };
        let (ann, bob) = (Requester::User(Id::new()), Requester::User(Id::new()));
        let mut slow: Vec<_> = (0..16).map(|_| Box::pin(read(ann, SLOW))).collect();
        // Each takes a connection or waits for one; none goes on, and none gives its connection back, before it is polled again.
        for statement in &mut slow {
            poll_immediate(statement).await;
        }
        timeout(HANGS, read(bob, "SELECT 1")).await.expect("the caller with 16 statements uses every connection");
        assert_eq!(join_all(slow).await.len(), 16, "every statement returns");
    }
}
