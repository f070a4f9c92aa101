//! A drill: many subscribers follow the changes of two processes on one database, which are killed again and again. Each of them
//! sees every change that they can see exactly once, in order.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use roster::http::MAX_STREAMS;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::PASSWORD;
use crate::clients::{Follower, Writers, check, mutate};
use crate::process::{ADMIN, Caller, Process, Sandbox, env_or};
use crate::sse::EventStream;

/// The number of subscribers, up to 1,000; `ROSTER_TEST_SUBSCRIBERS` overrides it.
const SUBSCRIBERS: usize = 6;
/// The number of changes that are acknowledged; `ROSTER_TEST_CHANGES` overrides it.
const CHANGES: usize = 300;
/// The number of times that one of the processes is killed; `ROSTER_TEST_KILLS` overrides it.
const KILLS: usize = 2;
/// The number of connections to a server besides those of the subscribers.
const OTHER_CONNECTIONS: usize = 200;
/// The delay before a subscriber connects again.
const PAUSE: Duration = Duration::from_millis(50);
/// The timeout for subscribers to catch up.
const TIMEOUT: Duration = Duration::from_mins(30);

const FOLLOW: &str = "subscription ($types: [NodeType!]) { changes(types: $types) { kind type nodeId changedFields } }";
/// The types that the subscribers follow, each the next of them.
const TYPES: [&[&str]; 2] = [&["USER", "GROUP", "INSTITUTION", "LICENSE"], &["USER"]];

/// A change, in little memory.
fn fingerprint(change: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    change.to_string().hash(&mut hasher);
    hasher.finish()
}

/// Whoever follows the changes, and connects again to the same process when it was killed.
struct Subscriber {
    url: String,
    token: String,
    types: &'static [&'static str],
    start: String,
}

impl Subscriber {
    /// Follows until as many changes as expected have come. Returns their fingerprints.
    async fn follow(self, mut expected: watch::Receiver<usize>) -> Vec<u64> {
        let (mut position, mut seen) = (self.start.clone(), Vec::new());
        let body = json!({ "query": FOLLOW, "variables": { "types": self.types } });
        loop {
            let stream = EventStream::try_open(&self.url, Some(&self.token), &body, Some(&position)).await;
            let Some(mut stream) = stream else {
                sleep(PAUSE).await;
                continue;
            };
            loop {
                let count = *expected.borrow_and_update();
                if seen.len() >= count {
                    return seen;
                }
                let event = tokio::select! {
                    event = stream.event() => event,
                    changed = expected.changed() => {
                        changed.expect("the test goes on");
                        continue;
                    }
                };
                // The process was killed.
                let Some(event) = event else { break };
                if event.event == "next" {
                    assert!(event.data.get("errors").is_none(), "{event:#?}");
                    seen.push(fingerprint(&event.data["data"]["changes"]));
                }
                position = event.id.unwrap_or_else(|| panic!("the stream is complete after {position}"));
            }
        }
    }
}

/// Creates administrators who follow the changes, and signs them in. Returns their tokens.
async fn sign_in_followers(server: &Process, root: &Caller, count: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    for number in 0..count {
        let email = format!("follower-{number}@example.org");
        let input = json!({
            "firstName": "Ann", "lastName": "Follower", "email": email, "password": PASSWORD, "role": "LICENSE_ADMIN",
        });
        mutate(root, "createUser", "user", &input).await.expect("a response");
        tokens.extend(server.sign_in(&email).await.token);
    }
    tokens
}

in_every_sandbox! {
    async fn every_subscriber_sees_every_change_once_although_processes_are_killed(sandbox: Sandbox) {
        let subscribers = env_or("ROSTER_TEST_SUBSCRIBERS", SUBSCRIBERS);
        let (changes, kills) = (env_or("ROSTER_TEST_CHANGES", CHANGES), env_or("ROSTER_TEST_KILLS", KILLS));
        let sandbox = sandbox.with_admin().await;
        let connections = (subscribers + OTHER_CONNECTIONS).to_string();
        let arguments = ["--max-connections", connections.as_str(), "--max-connections-per-address", connections.as_str()];
        let mut servers = [sandbox.serve(&arguments).await, sandbox.serve(&arguments).await];
        let addresses = [servers[0].address(), servers[1].address()];
        let root = servers[0].sign_in(ADMIN).await;
        let tokens = sign_in_followers(&servers[0], &root, subscribers.div_ceil(MAX_STREAMS)).await;
        let follower = Follower::new(&servers[0], &root).await;
        let expected_counts = TYPES.map(|_| watch::Sender::new(usize::MAX));
        let following: Vec<_> = (0..subscribers).map(|number| {
            let (server, kind) = (number % 2, number / 2 % TYPES.len());
            let subscriber = Subscriber {
                url: servers[server].url("/graphql"),
                token: tokens[number / MAX_STREAMS].clone(),
                types: TYPES[kind],
                start: follower.start.clone(),
            };
            (kind, tokio::spawn(subscriber.follow(expected_counts[kind].subscribe())))
        }).collect();

        let mut acknowledged = Vec::new();
        let share = changes / (kills + 1) / servers.len();
        for number in 0..kills {
            let writers = servers.each_ref().map(|server| Writers::start(server, &root, share));
            for writers in &writers {
                writers.wait_for(share / 2).await;
            }
            let killed = number % servers.len();
            servers[killed].signal("KILL");
            assert_eq!(servers[killed].status().await.code(), None, "the server was killed");
            for writers in writers {
                acknowledged.extend(writers.finish().await);
            }
            servers[killed] = sandbox.serve_at(&addresses[killed], &arguments).await;
        }
        let rest = changes.saturating_sub(acknowledged.len()).div_ceil(servers.len());
        for writers in servers.each_ref().map(|server| Writers::start(server, &root, rest)) {
            acknowledged.extend(writers.finish().await);
        }

        let all = follower.changes(&servers[0]).await;
        check(&all, &acknowledged);
        assert!(all.len() >= changes, "{} of {changes} changes", all.len());
        let expected = TYPES.map(|types| -> Vec<&Value> {
            all.iter().filter(|change| types.iter().any(|node_type| change["type"] == *node_type)).collect()
        });
        for (changes, count) in expected.iter().zip(&expected_counts) {
            count.send_replace(changes.len());
        }
        for (number, (kind, task)) in following.into_iter().enumerate() {
            let seen = timeout(TIMEOUT, task).await.unwrap_or_else(|_| panic!("subscriber {number} misses changes")).unwrap();
            let expected = &expected[kind];
            let difference = seen.iter().zip(expected).position(|(seen, expected)| *seen != fingerprint(expected));
            let difference = difference.map(|at| (at, &expected[at]));
            assert_eq!((difference, seen.len()), (None, expected.len()), "subscriber {number}");
        }
        println!("{subscribers} subscribers saw {} changes, with {kills} kills", all.len());
    }
}
