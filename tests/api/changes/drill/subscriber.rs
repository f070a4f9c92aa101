//! Subscribers who follow the changes of a process, and connect again when it was killed.

use std::time::Duration;

use roster::scalar::Id;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::change::{fingerprint, parsed};
use crate::sse::EventStream;

/// The delay before a subscriber connects again.
const PAUSE: Duration = Duration::from_millis(50);

const FOLLOW: &str = "subscription ($types: [NodeType!]) { changes(types: $types) { kind type nodeId changedFields } }";

/// A subscriber that has not begun.
pub(super) struct Subscriber {
    pub(super) client: reqwest::Client,
    pub(super) url: String,
    pub(super) token: String,
    pub(super) types: &'static [&'static str],
    pub(super) start: String,
}

impl Subscriber {
    /// Follows until the change of the last object has come. Returns the fingerprints of the changes.
    pub(super) async fn follow(self, mut last: watch::Receiver<Option<Id>>) -> Vec<u64> {
        let Self { client, url, token, types, start } = self;
        let (mut position, mut seen, mut latest) = (start, Vec::new(), None);
        let body = json!({ "query": FOLLOW, "variables": { "types": types } });
        loop {
            let stream = EventStream::try_open(&client, &url, Some(&token), &body, Some(&position)).await;
            let Some(mut stream) = stream else {
                sleep(PAUSE).await;
                continue;
            };
            loop {
                let last_id = *last.borrow_and_update();
                if last_id.is_some() && last_id == latest {
                    return seen;
                }
                let event = tokio::select! {
                    event = stream.event() => event,
                    changed = last.changed() => {
                        changed.expect("the test goes on");
                        continue;
                    }
                };
                // The process was killed.
                let Some(event) = event else { break };
                if event.event == "next" {
                    assert!(event.data.get("errors").is_none(), "{event:#?}");
                    let (id, shape) = parsed(&event.data["data"]["changes"]);
                    seen.push(fingerprint(id, &shape));
                    latest = Some(id);
                }
                position = event.id.unwrap_or_else(|| panic!("the stream is complete after {position}"));
            }
        }
    }
}
