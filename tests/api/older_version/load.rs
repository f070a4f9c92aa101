//! Users that are written and found while the programs serve.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::PASSWORD;
use crate::process::{Caller, env_or};

/// The number of users that each load writes before something else happens; `ROSTER_TEST_USERS` overrides it.
const USERS: usize = 30;
/// The tasks of a load, which send requests one after another.
const AT_ONCE: usize = 3;
/// Of this number of users, one has a password and signs in.
const USERS_PER_SIGN_IN: usize = 10;

/// A user whose creation and update were acknowledged.
pub(super) struct Written {
    pub(super) username: String,
    pub(super) id: String,
}

/// Requests to one or two servers until they are told to stop. Each of them must succeed.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    tasks: Vec<JoinHandle<Vec<Written>>>,
}

impl Load {
    pub(super) fn start(name: &str, writer: &Caller, reader: &Caller) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (counter, count) = watch::channel(0);
        let task = |task: usize| {
            let callers = [writer.clone(), reader.clone()];
            tokio::spawn(write(format!("{name}{task}"), callers, stopped.clone(), counter.clone()))
        };
        Self { tasks: (0..AT_ONCE).map(task).collect(), stop, count }
    }

    /// Waits until more users are written.
    pub(super) async fn goes_on(&mut self) {
        let enough = *self.count.borrow_and_update() + env_or("ROSTER_TEST_USERS", USERS);
        self.count.wait_for(|count| *count >= enough).await.expect("requests succeed");
    }

    /// Stops the requests, and returns what each task has written, in its order.
    async fn stop(self) -> Vec<Vec<Written>> {
        self.stop.send_replace(true);
        join_all(self.tasks).await.into_iter().map(|task| task.expect("each request succeeds")).collect()
    }

    /// Lets each of some loads go on, stops them, and returns what they have written.
    pub(super) async fn finish<const N: usize>(mut loads: [Self; N]) -> Vec<Vec<Written>> {
        for load in &mut loads {
            load.goes_on().await;
        }
        let mut written = Vec::new();
        for load in loads {
            written.extend(load.stop().await);
        }
        written
    }
}

/// Writes users one after another by one server, and reads them and the changes by the other as well.
async fn write(
    name: String,
    [writer, reader]: [Caller; 2],
    stop: watch::Receiver<bool>,
    counter: watch::Sender<usize>,
) -> Vec<Written> {
    let mut position = writer.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
    let mut written = Vec::new();
    while !*stop.borrow() {
        let username = format!("{name}n{}", written.len());
        let signs_in = written.len().is_multiple_of(USERS_PER_SIGN_IN);
        let id = write_user(&username, &writer, &reader, signs_in).await;
        if signs_in {
            sign_in(&username, &reader, &writer).await;
        }
        for caller in [&reader, &writer] {
            let query = "query ($after: String) { changes(after: $after, first: 100) { position changes { nodeId } } }";
            position = caller.data(query, json!({ "after": position })).await["changes"]["position"].clone();
        }
        written.push(Written { username, id });
        counter.send_modify(|count| *count += 1);
    }
    written
}

/// Creates, updates and finds a user. Returns their ID.
async fn write_user(username: &str, writer: &Caller, reader: &Caller, has_password: bool) -> String {
    let mut input = json!({ "firstName": "Ann", "lastName": "Lee", "username": username });
    if has_password {
        input["password"] = json!(PASSWORD);
    }
    let created = writer.mutate("createUser", "user { id }", input).await;
    let id = created["user"]["id"].as_str().unwrap().to_owned();
    writer.mutate("updateUser", "", json!({ "id": id, "nickname": username })).await;
    let query = "query ($filter: UserFilter) { users(filter: $filter) { nodes { username nickname } } }";
    let filter = json!({ "username": { "eq": username } });
    for caller in [reader, writer] {
        let users = caller.data(query, json!({ "filter": filter })).await;
        assert_eq!(users["users"]["nodes"], json!([{ "username": username, "nickname": username }]));
    }
    assert_eq!(search(writer, username).await, json!(id), "{username}");
    id
}

/// The ID of the first user that a search finds.
pub(super) async fn search(caller: &Caller, words: &str) -> Value {
    let query = "query ($words: String!) { searchUsers(query: $words, first: 1) { nodes { id } } }";
    let found = caller.data(query, json!({ "words": words })).await;
    found["searchUsers"]["nodes"][0]["id"].clone()
}

/// Signs in by one server. The session is that of the user on the other one as well.
async fn sign_in(username: &str, here: &Caller, there: &Caller) {
    let (mut guest, mut user) = (here.clone(), there.clone());
    guest.token = None;
    let payload = guest.mutate("login", "token", json!({ "login": username, "password": PASSWORD })).await;
    user.token = payload["token"].as_str().map(str::to_owned);
    let data = user.data("{ viewer { username } }", json!({})).await;
    assert_eq!(data["viewer"]["username"], json!(username));
}
