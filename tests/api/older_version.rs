//! A drill: a program that was built from an earlier commit serves the same database as the program under test, which migrates
//! it. On PostgreSQL both serve at once, unless a contract step is pending; on SQLite, one after the other, because several
//! servers need PostgreSQL. `.ci/older` builds the earlier program and runs the drill.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use futures_util::future::join_all;
use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::PASSWORD;
use crate::clients::Follower;
use crate::process::{ADMIN, Caller, CommandOutput, Process, Sandbox, env_or, until};

/// The environment variable with the absolute path of the earlier program.
const OLDER_PROGRAM: &str = "ROSTER_TEST_OLDER_BINARY";
/// The number of users that each load writes before something else happens; `ROSTER_TEST_USERS` overrides it.
const USERS: usize = 30;
/// The tasks of a load, which send requests one after another.
const AT_ONCE: usize = 3;
/// Of this number of users, one has a password and signs in.
const USERS_PER_SIGN_IN: usize = 10;
/// The changes of each user that is written.
const KINDS: [&str; 2] = ["CREATED", "UPDATED"];

/// The earlier program. None, with a note, if none is named.
fn older_program() -> Option<OsString> {
    let program = std::env::var_os(OLDER_PROGRAM).filter(|program| !program.is_empty());
    if program.is_none() {
        // Not with eprintln!, whose output the test harness captures.
        writeln!(std::io::stderr(), "not run: {OLDER_PROGRAM} names no program; .ci/older builds one").unwrap();
    }
    program
}

/// Runs the earlier program to its end.
async fn run_older(sandbox: &Sandbox, program: &OsStr, arguments: &[&str], input: &str) -> CommandOutput {
    let mut process = sandbox.start(&mut sandbox.command_of(program, arguments), input);
    let code = process.code().await;
    CommandOutput::new(code, &process)
}

/// Starts a server of the earlier program on a free port and waits until it prints its address.
async fn serve_older(sandbox: &Sandbox, program: &OsStr) -> Process {
    let process = sandbox.start(&mut sandbox.command_of(program, &["--listen", "127.0.0.1:0"]), "");
    process.wait_for_output("Roster listens on http://").await;
    process
}

/// Stops a server, which must have logged no error.
async fn stop(mut server: Process) {
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    assert!(!server.err().contains("ERROR"), "{}", server.err());
}

/// Whether servers of the earlier program keep working, as the program under test says before it migrates.
async fn keeps_working(sandbox: &Sandbox) -> bool {
    let check = sandbox.run(&["migrate", "--check", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&check.out).unwrap_or_else(|error| panic!("{error}: {check:?}"));
    assert_ne!(report["status"], json!("INCOMPATIBLE"), "{check:?}");
    println!("{} with {}", report["status"], report["pending"]);
    // What is pending is what the earlier program does not know.
    report["pending"].as_array().unwrap().iter().all(|step| step["name"] != report["needs"])
}

/// A user whose creation and update were acknowledged.
struct Written {
    username: String,
    id: String,
}

/// Requests to one or two servers until they are told to stop. Each of them must succeed.
struct Load {
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    tasks: Vec<JoinHandle<Vec<Written>>>,
}

impl Load {
    fn start(name: &str, writer: &Caller, reader: &Caller) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (counter, count) = watch::channel(0);
        let task = |task: usize| {
            let callers = [writer.clone(), reader.clone()];
            tokio::spawn(write(format!("{name}{task}"), callers, stopped.clone(), counter.clone()))
        };
        Self { tasks: (0..AT_ONCE).map(task).collect(), stop, count }
    }

    /// Waits until more users are written.
    async fn goes_on(&mut self) {
        let enough = *self.count.borrow_and_update() + env_or("ROSTER_TEST_USERS", USERS);
        self.count.wait_for(|count| *count >= enough).await.expect("requests succeed");
    }

    /// Stops the requests, and returns what each task has written, in its order.
    async fn stop(self) -> Vec<Vec<Written>> {
        self.stop.send_replace(true);
        join_all(self.tasks).await.into_iter().map(|task| task.expect("each request succeeds")).collect()
    }

    /// Lets each of some loads go on, stops them, and returns what they have written.
    async fn finish<const N: usize>(mut loads: [Self; N]) -> Vec<Vec<Written>> {
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
async fn search(caller: &Caller, words: &str) -> Value {
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

/// Waits until a server has as many changes as were acknowledged, and checks that it has each once, and those of each task in
/// their order.
async fn check_changes(follower: &Follower, server: &Process, written: &[Vec<Written>]) -> Vec<Value> {
    let expected = KINDS.len() * written.iter().map(Vec::len).sum::<usize>();
    let all = || async {
        let changes = follower.changes(server).await;
        (changes.len() >= expected).then_some(changes)
    };
    let changes = until(all).await.expect("every acknowledged change is returned");
    check_order(&changes, written);
    assert_eq!(changes.len(), expected, "no other change is returned");
    changes
}

fn check_order(changes: &[Value], written: &[Vec<Written>]) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let places: HashMap<(String, String), usize> = changes
        .iter()
        .enumerate()
        .map(|(place, change)| ((text(&change["kind"]), text(&change["nodeId"])), place))
        .collect();
    assert_eq!(places.len(), changes.len(), "each change is returned once");
    for users in written {
        let made = users.iter().flat_map(|user| KINDS.map(|kind| (kind.to_owned(), user.id.clone())));
        let found: Vec<Option<usize>> = made.map(|change| places.get(&change).copied()).collect();
        assert!(found.iter().all(Option::is_some), "an acknowledged change is not returned: {found:?}");
        assert!(found.is_sorted(), "the changes of a task are out of order: {found:?}");
    }
}

/// Checks that everything that was acknowledged is in the database, and that servers find it.
async fn check_users(sandbox: &Sandbox, callers: &[&Caller], written: &[Vec<Written>]) {
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    let nicknames: HashMap<Option<&str>, Option<&str>> =
        users.iter().map(|user| (user.username.as_deref(), user.nickname.as_deref())).collect();
    for Written { username, id } in written.iter().flatten() {
        assert_eq!(nicknames.get(&Some(username.as_str())), Some(&Some(username.as_str())), "{username} is lost");
        for caller in callers {
            // A search finds the changes of other servers a moment later.
            let is_found = || async { (search(caller, username).await == json!(id)).then_some(()) };
            until(is_found).await.unwrap_or_else(|| panic!("{username} is not found"));
        }
    }
    let count = written.iter().map(Vec::len).sum::<usize>();
    assert_eq!(users.len(), count + 1, "with the administrator");
    println!("{count} users were written");
}

async fn verify_audit_trail(sandbox: &Sandbox) {
    let verified = sandbox.run(&["audit", "verify"]).await;
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// Both programs serve while the one under test migrates, and afterwards; then it serves alone, and beside an earlier one that
/// starts again.
async fn serve_beside(sandbox: &Sandbox, program: &OsStr) {
    let older = serve_older(sandbox, program).await;
    let root = older.sign_in(ADMIN).await;
    let follower = Follower::new(&older, &root).await;
    let mut load = Load::start("before", &root, &root);
    load.goes_on().await;
    let newer = sandbox.serve(&[]).await;
    let mut written = Load::finish([load]).await;

    let there = newer.caller(root.token.as_deref());
    let loads = [Load::start("older", &root, &there), Load::start("newer", &there, &root)];
    written.extend(Load::finish(loads).await);
    for server in [&older, &newer] {
        assert_eq!(server.status_of("/health/ready").await, 200, "{}", server.err());
    }
    let changes = check_changes(&follower, &older, &written).await;
    assert_eq!(check_changes(&follower, &newer, &written).await, changes);
    check_users(sandbox, &[&root, &there], &written).await;
    let verified = run_older(sandbox, program, &["audit", "verify"], "").await;
    assert_eq!(verified.code, 0, "{verified:?}");
    verify_audit_trail(sandbox).await;

    stop(older).await;
    let again = serve_older(sandbox, program).await;
    let here = again.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("again", &here, &there)]).await);
    stop(again).await;
    written.extend(Load::finish([Load::start("after", &there, &there)]).await);
    check_changes(&follower, &newer, &written).await;
    check_users(sandbox, &[&there], &written).await;
    stop(newer).await;
    verify_audit_trail(sandbox).await;
}

/// The programs serve one after the other. The earlier one serves once more if it keeps working, and is refused otherwise.
async fn serve_in_turn(sandbox: &Sandbox, program: &OsStr, keeps_working: bool) {
    let older = serve_older(sandbox, program).await;
    let root = older.sign_in(ADMIN).await;
    let follower = Follower::new(&older, &root).await;
    let mut written = Load::finish([Load::start("before", &root, &root)]).await;
    stop(older).await;

    let newer = sandbox.serve(&[]).await;
    let there = newer.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("newer", &there, &there)]).await);
    check_changes(&follower, &newer, &written).await;
    stop(newer).await;
    if keeps_working {
        let again = serve_older(sandbox, program).await;
        let here = again.caller(root.token.as_deref());
        written.extend(Load::finish([Load::start("again", &here, &here)]).await);
        check_changes(&follower, &again, &written).await;
        check_users(sandbox, &[&here], &written).await;
        stop(again).await;
    } else {
        let refused = run_older(sandbox, program, &["serve", "--listen", "127.0.0.1:0"], "").await;
        assert!(refused.code == 1 && refused.err.contains("newer version"), "{refused:?}");
    }

    let last = sandbox.serve(&[]).await;
    let there = last.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("after", &there, &there)]).await);
    check_changes(&follower, &last, &written).await;
    check_users(sandbox, &[&there], &written).await;
    stop(last).await;
    verify_audit_trail(sandbox).await;
}

in_every_sandbox! {
    async fn an_older_program_loses_nothing_and_fails_nowhere_beside_this_one(sandbox: Sandbox) {
        let Some(program) = older_program() else { return };
        let create = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
        let created = run_older(&sandbox, &program, &create, PASSWORD).await;
        assert_eq!(created.code, 0, "{created:?}");
        let keeps_working = keeps_working(&sandbox).await;
        if keeps_working && !sandbox.is_sqlite() {
            serve_beside(&sandbox, &program).await;
        } else {
            serve_in_turn(&sandbox, &program, keeps_working).await;
        }
    }
}
