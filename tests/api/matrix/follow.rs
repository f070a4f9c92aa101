//! The subscriptions: who may follow changes, and whose creation each viewer is told of.

use serde_json::{Value, json};

use super::cell::SEEN;
use super::reads::check_user;
use super::seat::{Known, ViewerCase, World};
use crate::changes::beginning;

/// The shortest document of each subscription.
pub const SUBSCRIPTIONS: [&str; 2] = ["subscription { changes { kind } }", "subscription { userChanged { kind } }"];

impl ViewerCase<'_> {
    /// Follows the targets from the beginning to the last user, whom every viewer finds.
    pub async fn follow(&mut self, world: &World) {
        self.summary.fields.extend(["changes", "userChanged"]);
        if let Err(error_code) = self.open("userChanged") {
            for query in SUBSCRIPTIONS {
                let code = self.caller.open_stream(query, json!({}), None).await.failure().await;
                self.summary.expect(|| format!("{}: {query}", self.name), &json!(error_code), &json!(code));
            }
            return;
        }
        let targets: Vec<Known> = self.known.iter().filter(|known| !known.target.is_self).cloned().collect();
        let ids: Vec<_> = targets.iter().map(|known| known.id).chain([world.last]).collect();
        let query = format!(
            "subscription ($ids: [ID!], $after: String) {{ userChanged(ids: $ids, after: $after) {{ \
                kind userId user {{ id ...Seen }} }} }} {}",
            SEEN.as_str()
        );
        let mut stream = self.caller.stream(&query, json!({ "ids": ids, "after": beginning() })).await;
        let mut changes: Vec<Value> = Vec::new();
        while changes.last().is_none_or(|change| change["userId"] != json!(world.last)) {
            changes.push(stream.next().await.1["userChanged"].clone());
        }
        let way = format!("{}: userChanged", self.name);
        let mut expected = 1;
        for known in &targets {
            let is_found = self.viewer.finds(&known.target);
            expected += usize::from(is_found);
            let change = changes.iter().find(|change| change["userId"] == json!(known.id));
            if let Some(change) = change {
                let what = || format!("{way} -> {}: kind", known.label);
                self.summary.expect(what, &json!("CREATED"), &change["kind"]);
            }
            let seen = change.map(|change| &change["user"]);
            check_user(&mut self.summary, &way, &self.viewer, known, seen, is_found);
        }
        self.summary.expect(|| format!("{way}: number of changes"), &json!(expected), &json!(changes.len()));
    }
}
