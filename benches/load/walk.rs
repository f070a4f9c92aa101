//! The users of the directory, as far as requests need to know them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::workload::request;

/// A user found by the walk.
pub struct User {
    pub id: String,
    pub first: String,
    pub last: String,
    pub username: Option<String>,
    pub email: Option<String>,
}

impl User {
    /// Returns the login of the user.
    pub fn login(&self) -> &str {
        self.email.as_deref().or(self.username.as_deref()).unwrap_or_default()
    }
}

/// The result of walking through the list of users.
pub struct Walk {
    pub users: Vec<User>,
    /// The number of the deep page, and the cursor before it.
    pub deep: (usize, String),
}

impl Walk {
    /// Returns the last user before the deep page.
    pub fn before_deep(&self) -> Result<&User> {
        let (page, _) = self.deep;
        self.users.get(((page - 1) * PAGE).saturating_sub(1)).context("no user is before the deep page")
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
    let (mut users, mut cursors, mut after) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let left = (DEEP - 1) * PAGE - users.len();
        let first = if left == 0 { PAGE } else { left.min(100) };
        let request = request(address, token, query, &json!({"first": first, "after": after}), "");
        let response = connection.send(&request.bytes).await?;
        let page: Value = serde_json::from_str::<Value>(response.body)?["data"]["users"].take();
        let nodes = page["nodes"].as_array().with_context(|| response.body.to_owned())?;
        users.extend(nodes.iter().map(|node| {
            let optional = |name: &str| node[name].as_str().map(str::to_owned);
            let text = |name: &str| optional(name).unwrap_or_default();
            let (username, email) = (optional("username"), optional("email"));
            User { id: text("id"), first: text("firstName"), last: text("lastName"), username, email }
        }));
        if left == 0 || page["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
        cursors.push((users.len(), after.as_str().unwrap_or_default().to_owned()));
    }
    let deep = cursors.into_iter().rfind(|(before, _)| before + PAGE <= users.len());
    let (before, cursor) = deep.context("too few users: pass --users 1000 or more")?;
    Ok(Walk { users, deep: (before / PAGE + 1, cursor) })
}

/// Returns up to `count` items from all over the list, not in its order.
pub fn spread<T>(list: &[T], count: usize) -> impl Iterator<Item = &T> {
    // A prime that divides no length of a list here, so that each item comes once before any comes again.
    (0..count.min(list.len())).filter_map(|n| list.get(n * 1_000_003 % list.len()))
}

pub fn head(text: &str, letters: usize) -> String {
    text.chars().take(letters).collect()
}
