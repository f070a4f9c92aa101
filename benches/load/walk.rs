//! The users of the directory, as far as requests need to know them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::workload::request;

/// A user found by the walk.
pub struct Person {
    pub id: String,
    pub first: String,
    pub last: String,
    pub username: Option<String>,
    pub email: Option<String>,
}

impl Person {
    /// Returns the login of the user.
    pub fn login(&self) -> &str {
        self.email.as_deref().or(self.username.as_deref()).unwrap_or_default()
    }
}

/// The result of walking through the list of users.
pub struct Walk {
    pub people: Vec<Person>,
    /// The number of the deep page, and the cursor before it.
    pub deep: (usize, String),
}

impl Walk {
    /// Returns the last user before the deep page.
    pub fn before_deep(&self) -> Result<&Person> {
        let (page, _) = self.deep;
        self.people.get(((page - 1) * PAGE).saturating_sub(1)).context("there is nobody before the deep page")
    }
}

/// The number of users of a page.
pub const PAGE: usize = 50;
/// The number of the deep page.
const DEEP: usize = 1_000;

/// Walks through the list of users up to the deep page, or to the end of the list.
pub async fn walk(connection: &mut Connection, address: SocketAddr, token: &str) -> Result<Walk> {
    let query = "query($first: Int, $after: String) { users(first: $first, after: $after) {
        nodes { id firstName lastName username email } pageInfo { endCursor hasNextPage } } }";
    let (mut people, mut cursors, mut after) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let left = (DEEP - 1) * PAGE - people.len();
        let first = if left == 0 { PAGE } else { left.min(100) };
        let asked = request(address, token, query, &json!({"first": first, "after": after}), "");
        let answer = connection.ask(&asked.bytes).await?;
        let users: Value = serde_json::from_str::<Value>(answer.body)?["data"]["users"].take();
        let nodes = users["nodes"].as_array().with_context(|| answer.body.to_owned())?;
        people.extend(nodes.iter().map(|node| {
            let optional = |name: &str| node[name].as_str().map(str::to_owned);
            let text = |name: &str| optional(name).unwrap_or_default();
            let (username, email) = (optional("username"), optional("email"));
            Person { id: text("id"), first: text("firstName"), last: text("lastName"), username, email }
        }));
        if left == 0 || users["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = users["pageInfo"]["endCursor"].clone();
        cursors.push((people.len(), after.as_str().unwrap_or_default().to_owned()));
    }
    let deep = cursors.into_iter().rfind(|(before, _)| before + PAGE <= people.len());
    let (before, cursor) = deep.context("there are too few people: --users 1000 or more")?;
    Ok(Walk { people, deep: (before / PAGE + 1, cursor) })
}

/// Returns as many items as are wanted, from all over the list and not in its order.
pub fn spread<T>(list: &[T], wanted: usize) -> impl Iterator<Item = &T> {
    // A prime that divides no length of a list here, so that each item comes once before any comes again.
    (0..wanted.min(list.len())).filter_map(|n| list.get(n * 1_000_003 % list.len()))
}

pub fn head(text: &str, letters: usize) -> String {
    text.chars().take(letters).collect()
}
