//! A drill: many subscribers with different rights follow the changes of two processes on one database, which are
//! killed again and again. Each of them sees every change that they may see exactly once, in order, and nothing else.
//!
//! Nearly all changes are imports of a private field in one license. Two superusers see everything, and administrators
//! everything in their license. Most subscribers are users: from those of that license nearly all changes are withheld
//! one by one, and from the others as changes of another license. Nothing is deleted, because a deletion takes the
//! earlier changes of its object along.

mod change;
mod expected;
mod license;
mod log;
mod subscriber;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use roster::scalar::Id;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::change::{id_of, read_all};
use self::expected::Expected;
use self::license::{Rights, create_all};
use self::log::{Log, check};
use self::subscriber::Subscriber;
use self::writer::{Work, Writer};
use crate::process::{Process, Sandbox, env_or};

/// The number of subscribers; `ROSTER_TEST_SUBSCRIBERS` overrides it.
const SUBSCRIBERS: usize = 8;
/// The number of changes that are acknowledged; `ROSTER_TEST_CHANGES` overrides it.
const CHANGES: usize = 300;
/// The number of times that one of the processes is killed; `ROSTER_TEST_KILLS` overrides it.
const KILLS: usize = 2;
/// The number of writers of each process.
const WRITERS: usize = 2;
/// Maximum number of rows of an import. On SQLite, the other process does not write meanwhile.
const MAX_ROWS: usize = 100;
/// The number of connections to a server besides those of the subscribers.
const OTHER_CONNECTIONS: usize = 200;
/// The timeout for writers to write enough, and for subscribers to catch up.
const TIMEOUT: Duration = Duration::from_mins(30);

type Writing = Vec<JoinHandle<Writer>>;

/// Starts writers on a server.
fn start(server: &Process, writers: Vec<Writer>) -> Writing {
    writers.into_iter().map(|writer| writer.start(server)).collect()
}

/// Waits until writers have stopped.
async fn finish(writing: Writing) -> Vec<Writer> {
    join_all(writing).await.into_iter().map(|writer| writer.expect("each mutation succeeds")).collect()
}

/// Removes the rows that updates have left, as PostgreSQL does by itself outside the tests.
async fn vacuum(sandbox: &Sandbox) {
    if !sandbox.is_sqlite() {
        sandbox.db().await.write().execute_unprepared("VACUUM").await.unwrap();
    }
}

in_every_sandbox! {
    async fn every_subscriber_sees_what_they_may_see_once_although_processes_are_killed(sandbox: Sandbox) {
        let subscribers = env_or("ROSTER_TEST_SUBSCRIBERS", SUBSCRIBERS);
        let (changes, kills) = (env_or("ROSTER_TEST_CHANGES", CHANGES), env_or("ROSTER_TEST_KILLS", KILLS));
        let sandbox = sandbox.with_admin().await;
        let connections = (subscribers + OTHER_CONNECTIONS).to_string();
        let connections = connections.as_str();
        let arguments = ["--max-connections", connections, "--max-connections-per-address", connections];
        let mut servers = [sandbox.serve(&arguments).await, sandbox.serve(&arguments).await];
        let addresses = [servers[0].address(), servers[1].address()];
        let (licenses, viewers) = create_all(&sandbox, &servers[0], subscribers).await;
        let work = Arc::new(Work::new(licenses, changes));
        let root_token = work.licenses[0].admin.token.clone();
        let root = servers[0].caller(Some(&root_token));
        let (mut writers, rows) = (Vec::new(), (changes / 1_000).clamp(2, MAX_ROWS));
        for number in 0..WRITERS * servers.len() {
            writers.push(Writer::new(&work, &root, number, rows).await);
        }
        let position = root.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
        let position = position.as_str().unwrap();

        let last: Vec<watch::Sender<Option<Id>>> = work.licenses.iter().map(|_| watch::Sender::new(None)).collect();
        let client = reqwest::Client::new();
        let following: Vec<JoinHandle<Vec<u64>>> = viewers.iter().enumerate().map(|(number, viewer)| {
            // Those of one license are on both.
            let server = &servers[(number + number / last.len()) % servers.len()];
            let subscriber = Subscriber {
                client: client.clone(),
                url: server.url("/graphql"),
                token: viewer.user.token.clone(),
                types: viewer.types,
                start: position.to_owned(),
            };
            tokio::spawn(subscriber.follow(last[viewer.last_in].subscribe()))
        }).collect();

        let others = writers.split_off(WRITERS);
        let mut writing = [start(&servers[0], writers), start(&servers[1], others)];
        for number in 0..kills {
            let is_over = || {
                let is_written = writing.iter().flatten().any(JoinHandle::is_finished);
                is_written || following.iter().any(JoinHandle::is_finished)
            };
            let waited = timeout(TIMEOUT, work.wait_for(changes * (number + 1) / (kills + 1), is_over)).await;
            waited.expect("enough changes are acknowledged");
            let killed = number % servers.len();
            servers[killed].signal("KILL");
            assert_eq!(servers[killed].status().await.code(), None, "the server was killed");
            let writers = finish(std::mem::take(&mut writing[killed])).await;
            servers[killed] = sandbox.serve_at(&addresses[killed], &arguments).await;
            writing[killed] = start(&servers[killed], writers);
            vacuum(&sandbox).await;
        }
        let mut writers = Vec::new();
        for writing in writing {
            writers.extend(timeout(TIMEOUT, finish(writing)).await.expect("enough changes are acknowledged"));
        }
        let mut log = Log::default();
        for (number, (license, last)) in work.licenses.iter().zip(&last).enumerate() {
            let input = json!({ "firstName": "Eve", "lastName": "Last", "username": format!("last-{number}") });
            let admin = servers[0].caller(Some(&license.admin.token));
            let id = id_of(&admin.mutate("createUser", "user { id }", input).await["user"]["id"]);
            log.create(id);
            last.send_replace(Some(id));
        }

        let all = read_all(&servers[0].caller(Some(&root_token)), position).await;
        check(&all, writers.iter().map(|writer| &writer.log).chain([&log]));
        let recorded = all.len();
        assert!(recorded >= changes, "{recorded} of {changes} changes");
        let expected = Expected::new(&sandbox.db().await, all).await;
        let (mut seen_by_users, mut withheld) = (0, 0);
        for (number, (viewer, task)) in viewers.iter().zip(following).enumerate() {
            let seen = timeout(TIMEOUT, task).await.unwrap_or_else(|_| panic!("subscriber {number} misses changes"));
            let seen = seen.unwrap();
            withheld += expected.check(viewer, &seen);
            seen_by_users += if viewer.rights == Rights::User { seen.len() } else { 0 };
        }
        let users = viewers.iter().filter(|viewer| viewer.rights == Rights::User).count();
        assert!(users == 0 || seen_by_users > users, "users have seen only the last change of their license");
        let refused = work.refused();
        println!("{recorded} changes, {kills} kills, {refused} requests refused");
        println!("{users} of {subscribers} subscribers are users; they saw {seen_by_users}, {withheld} were withheld");
    }
}
