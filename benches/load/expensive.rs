//! The most expensive queries that are allowed: each costs no more than a query may, and is expensive in its own way.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::attacks::each;
use crate::http::{Connection, post};
use crate::walk::{Walk, head, spread};

/// Every field of a user that is not expensive by itself.
const USER: &str = "id username email firstName lastName fullName nickname position phone website gender role userType \
    dateJoined modifiedAt institution { name } groups { name description }";

/// Returns the requests, with the token of a user.
pub async fn requests(address: SocketAddr, token: &str, walk: &Walk) -> Result<Vec<Vec<u8>>> {
    let group = first_group(address, token).await?;
    let terms: Vec<String> = spread(&walk.users, 40).map(|user| head(&user.last, 4)).collect();
    let term: String = terms.join(" ").chars().filter(|c| c.is_alphanumeric() || *c == ' ').take(190).collect();
    let names = walk.users.iter().flat_map(|user| [Some(&user.first), Some(&user.last), user.email.as_ref()]);
    let keys: Vec<&String> = names.flatten().filter(|name| !name.is_empty()).take(1_000).collect();
    let ids: Vec<&String> = walk.users.iter().map(|user| &user.id).take(100).collect();
    let variables = json!({"keys": keys, "ids": ids});
    let queries = pages(&group).into_iter().chain(lists()).chain(searches(&term)).chain(lookups());
    let request = |query: String| {
        let variables = if query.starts_with("query (") { &variables } else { &Value::Null };
        post(address, token, &json!({"query": query, "variables": variables}).to_string())
    };
    Ok(queries.map(request).collect())
}

async fn first_group(address: SocketAddr, token: &str) -> Result<String> {
    let query = json!({"query": "{ groups(first: 1) { nodes { id } } }"}).to_string();
    let mut connection = Connection::open(address).await?;
    let response = connection.send(&post(address, token, &query)).await?;
    let group = serde_json::from_str::<Value>(response.body)?["data"]["groups"]["nodes"][0]["id"].take();
    group.as_str().map(str::to_owned).with_context(|| format!("no group: {}", response.body))
}

/// Returns queries for pages within pages.
fn pages(group: &str) -> Vec<String> {
    let windows = each(22, |n| format!("a{n}: members(first: {}) {{ totalCount }} ", n + 1));
    let both_ends = "x: members(first: 100) { totalCount nodes { id } } y: members(last: 100) { nodes { id } }";
    let groups = each(10, |n| format!("g{n}: group(id: \"{group}\") {{ {both_ends} }} "));
    let members = "members(first: 3) { totalCount nodes { id firstName lastName groups { name } } }";
    let sites = "sites(first: 10) { totalCount nodes { name users(first: 3) { totalCount } } }";
    vec![
        format!("{{ groups(first: 100) {{ nodes {{ {windows} }} }} }}"),
        format!("{{ {groups} }}"),
        format!("{{ groups(first: 100) {{ nodes {{ members(first: 16) {{ totalCount nodes {{ {USER} }} }} }} }} }}"),
        format!("{{ users(first: 100) {{ totalCount nodes {{ {USER} g: groups {{ name {members} }} }} }} }}"),
        format!("{{ users(first: 100) {{ nodes {{ {sites} }} }} }}"),
    ]
}

/// Returns a filter that no index supports.
fn filter(n: usize) -> String {
    format!(
        "{{ or: [{{ email: {{ contains: \"q{n}x\" }} }}, {{ position: {{ endsWith: \"z{n}\" }} }}, \
         {{ website: {{ contains: \"y{n}\" }} }}] }}"
    )
}

/// Returns queries for lists that are filtered and sorted without an index.
fn lists() -> Vec<String> {
    let by_position = "orderBy: [{ field: POSITION }, { field: EMAIL }]";
    let by_time = "orderBy: [{ field: MODIFIED_AT }, { field: POSITION, direction: DESC }]";
    let filtered = each(10, |n| {
        format!("u{n}: users(first: 100, filter: {}, {by_position}) {{ totalCount nodes {{ id }} }} ", filter(n))
    });
    let sorted = each(10, |n| format!("u{n}: users(first: 50, {by_time}) {{ totalCount nodes {{ {USER} }} }} "));
    vec![format!("{{ {filtered} }}"), format!("{{ {sorted} }}")]
}

/// Returns searches for many words, and for single letters.
fn searches(term: &str) -> Vec<String> {
    let words = each(4, |n| {
        let term = term.replacen(' ', &format!(" {n}"), 1);
        format!("s{n}: searchUsers(query: \"{term}\", first: 10) {{ totalCount nodes {{ id }} }} ")
    });
    let letters = ('a'..='j').zip(0..).map(|(letter, n)| {
        let filter = filter(n);
        let edges = "totalCount edges { score node { id } }";
        format!("{letter}: searchUsers(query: \"{letter}\", first: 100, filter: {filter}) {{ {edges} }} ")
    });
    vec![format!("{{ {words} }}"), format!("{{ {} }}", letters.collect::<String>())]
}

/// Returns lookups of many users by ID or name, and an introspection of the whole schema.
fn lookups() -> Vec<String> {
    let resolved = each(5, |n| format!("r{n}: resolveUsers(keys: $keys) {{ key status user {{ id }} }} "));
    let nodes = each(10, |n| format!("n{n}: nodes(ids: $ids) {{ id ... on User {{ {USER} }} }} "));
    vec![
        format!("query ($keys: [String!]!) {{ {resolved} }}"),
        format!("query ($ids: [ID!]!) {{ {nodes} }}"),
        include_str!("../../src/graphql/cost/full_introspection.graphql").to_owned(),
    ]
}
