//! The clients in tests/clients, which the API guide shows: graphql-ws, graphql-sse, Apollo Client and urql follow the
//! changes while the server is killed and started again, and see every change exactly once. The packages for TypeScript,
//! Python and Rust pass their own tests.

mod codes;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roster::scalar::Id;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Caller, Process, Sandbox, until};
use crate::{node, programs};

const FOLDER: &str = "tests/clients";
const PACKAGE: &str = "clients/typescript";
const PYTHON_PACKAGE: &str = "clients/python";
const RUST_PACKAGE: &str = "clients/rust";
const CLIENTS: [&str; 4] = ["apollo", "graphql-sse", "graphql-ws", "urql"];
/// The number of times that the server is killed.
const KILLS: usize = 5;
/// The number of changes that the clients see before each time, and of those that are acknowledged just before it.
const CHANGES: usize = 100;
const WRITERS: usize = 4;
/// The timeout for clients to connect again and to catch up.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The kind and object ID of a change; the writers make none twice.
pub type Made = (String, String);

/// A program that follows the changes and prints each as a line of JSON.
struct Client {
    name: &'static str,
    process: Process,
}

impl Client {
    fn start(name: &'static str, sandbox: &Sandbox, follower: &Follower) -> Self {
        let mut command = node::command(FOLDER, &format!("{name}.js"));
        command.env("URL", format!("http://{}", follower.address));
        command.env("TOKEN", &follower.token).env("AFTER", &follower.start);
        Self { name, process: sandbox.start(&mut command, "") }
    }

    /// Waits until it has seen this many changes.
    async fn wait_for(&mut self, count: usize) {
        let wait = async {
            while self.process.out().matches('\n').count() < count {
                assert!(!self.process.has_ended(), "{} has ended\n{}", self.name, self.process.err());
                sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(TIMEOUT, wait).await;
        let seen = self.process.out().matches('\n').count();
        assert!(waited.is_ok(), "{} has seen {seen} of {count} changes\n{}", self.name, self.process.err());
    }

    /// The changes that it has seen.
    fn changes(&self) -> Vec<Value> {
        let out = self.process.out();
        let mut changes: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for change in &mut changes {
            // Apollo selects the type everywhere, and the text of a position is another one in each response.
            for field in ["__typename", "position"] {
                change.as_object_mut().unwrap().remove(field);
            }
        }
        changes
    }
}

/// An API key that follows the changes, and where it begins.
pub struct Follower {
    address: String,
    token: String,
    pub start: String,
}

impl Follower {
    pub async fn new(server: &Process, root: &Caller) -> Self {
        let query = "mutation { createApiKey(input: { name: \"Follower\", role: LICENSE_ADMIN }) { secret } }";
        let data = root.data(query, json!({})).await;
        let token = data["createApiKey"]["secret"].as_str().unwrap().to_owned();
        let data = server.caller(Some(&token)).data("{ changes { position } }", json!({})).await;
        let start = data["changes"]["position"].as_str().unwrap().to_owned();
        Self { address: server.address(), token, start }
    }

    /// The changes since the start, read page by page.
    pub async fn changes(&self, server: &Process) -> Vec<Value> {
        let query = "query ($after: String) { changes(after: $after, first: 100) { \
            position hasMore changes { kind type nodeId changedFields } } }";
        let (caller, mut after) = (server.caller(Some(&self.token)), json!(self.start));
        let mut changes = Vec::new();
        loop {
            let page = caller.data(query, json!({ "after": after })).await["changes"].clone();
            changes.extend(page["changes"].as_array().unwrap().iter().cloned());
            if page["hasMore"] == json!(false) {
                return changes;
            }
            after = page["position"].clone();
        }
    }
}

/// Tasks that make changes at the same time.
struct Writers {
    acknowledged: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<Made>>>,
}

impl Writers {
    /// Starts writers, which stop when `enough` changes are acknowledged or the server is gone.
    fn start(server: &Process, root: &Caller, enough: usize) -> Self {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let caller = || server.caller(root.token.as_deref());
        let tasks = (0..WRITERS).map(|_| tokio::spawn(write(caller(), Arc::clone(&acknowledged), enough))).collect();
        Self { acknowledged, tasks }
    }

    /// Waits until this many changes are acknowledged.
    async fn wait_for(&self, count: usize) {
        let is_reached = || async { (self.acknowledged.load(Ordering::Relaxed) >= count).then_some(()) };
        until(is_reached).await.expect("enough changes are acknowledged");
    }

    /// Waits until they have stopped. Returns the acknowledged changes.
    async fn finish(self) -> Vec<Made> {
        let mut made = Vec::new();
        for task in self.tasks {
            made.extend(task.await.unwrap());
        }
        made
    }
}

/// Makes one change after another.
async fn write(caller: Caller, acknowledged: Arc<AtomicUsize>, enough: usize) -> Vec<Made> {
    let (mut made, mut user) = (Vec::new(), String::new());
    for turn in 0_usize.. {
        if acknowledged.load(Ordering::Relaxed) >= enough {
            break;
        }
        let unique = format!("{}@example.org", Id::new().0);
        let (mutation, object, kind, input) = match turn % 4 {
            0 => {
                let input = json!({
                    "firstName": "Ann", "lastName": "Writer", "email": unique, "sendRegistrationEmail": false,
                });
                ("createUser", "user", "CREATED", input)
            }
            1 => ("updateUser", "user", "UPDATED", json!({ "id": user, "position": "Nurse" })),
            2 => ("setActive", "user", "DEACTIVATED", json!({ "id": user, "active": false })),
            _ => {
                let input = json!({ "name": unique, "kind": "HOSPITAL", "country": "AU" });
                ("createInstitution", "institution", "CREATED", input)
            }
        };
        let Some(id) = mutate(&caller, mutation, object, &input).await else { break };
        if mutation == "createUser" {
            user.clone_from(&id);
        }
        made.push((kind.to_owned(), id));
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    made
}

/// Sends a mutation, which must succeed. Returns the ID of its object; none if there is no response.
pub async fn mutate(caller: &Caller, mutation: &str, object: &str, input: &Value) -> Option<String> {
    let mut input_type = format!("{mutation}Input!");
    input_type.get_mut(..1).unwrap().make_ascii_uppercase();
    let query = format!(
        "mutation ($input: {input_type}) {{ \
            done: {mutation}(input: $input) {{ success errors {{ code message }} object: {object} {{ id }} }} }}"
    );
    let response = caller.try_execute(&query, &json!({ "input": input })).await?;
    let payload = &response["data"]["done"];
    assert_eq!(payload["success"], json!(true), "{mutation}: {response:#}");
    Some(payload["object"]["id"].as_str().unwrap().to_owned())
}

/// Checks that these are changes made by the writers, each once, and all the acknowledged ones among them.
fn check(changes: &[Value], acknowledged: &[Made]) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let recorded: HashSet<Made> =
        changes.iter().map(|change| (text(&change["kind"]), text(&change["nodeId"]))).collect();
    assert_eq!(recorded.len(), changes.len(), "each change is recorded once");
    assert!(acknowledged.iter().all(|made| recorded.contains(made)), "every acknowledged change is recorded");
}

in_every_sandbox! {
    async fn clients_see_every_change_once_although_the_server_is_killed(sandbox: Sandbox) {
        if !node::is_installed(FOLDER, "following changes with the usual clients") {
            return;
        }
        let sandbox = sandbox.with_admin().await;
        let mut server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let follower = Follower::new(&server, &root).await;
        let mut clients = CLIENTS.map(|name| Client::start(name, &sandbox, &follower));
        let mut acknowledged = Vec::new();
        for killed in 0..=KILLS {
            acknowledged.extend(Writers::start(&server, &root, CHANGES).finish().await);
            // More than a client has seen before, so all are connected again.
            for client in &mut clients {
                client.wait_for(acknowledged.len()).await;
            }
            if killed < KILLS {
                let writers = Writers::start(&server, &root, usize::MAX);
                writers.wait_for(CHANGES).await;
                server.signal("KILL");
                assert_eq!(server.status().await.code(), None, "the server was killed");
                acknowledged.extend(writers.finish().await);
                server = sandbox.serve_at(&follower.address, &[]).await;
            }
        }
        let expected = follower.changes(&server).await;
        check(&expected, &acknowledged);
        assert!(expected.len() >= 1_000, "{}", expected.len());
        for client in &mut clients {
            client.wait_for(expected.len()).await;
            let seen = client.changes();
            let difference = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
            assert_eq!((difference, seen.len()), (None, expected.len()), "{}\n{}", client.name, client.process.err());
        }
    }
}

#[test]
fn the_api_guide_shows_the_clients() {
    let guide = fs::read_to_string(node::path("docs/api-guide.md")).unwrap();
    for name in CLIENTS.iter().chain(&["changes"]) {
        let program = fs::read_to_string(node::path(FOLDER).join(format!("{name}.js"))).unwrap();
        assert!(guide.contains(&format!("\n```js\n{program}```\n")), "{name}.js is not in docs/api-guide.md as it is");
    }
}

#[test]
fn the_package_for_typescript_passes_its_tests() {
    if !node::is_installed(PACKAGE, "testing the package for TypeScript") {
        return;
    }
    let mut npm = Command::new("npm");
    npm.arg("test").current_dir(node::path(PACKAGE)).env("ROSTER_BINARY", env!("CARGO_BIN_EXE_roster"));
    let output = npm.stdin(Stdio::null()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

#[tokio::test]
async fn the_package_for_python_is_generated_and_passes_its_tests() {
    let folder = node::path(PYTHON_PACKAGE);
    let [codegen, python] = ["ariadne-codegen", "python"].map(|name| folder.join(".venv/bin").join(name));
    if !programs::is_installed(codegen.to_str().unwrap(), &["--version"]) {
        return;
    }
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let server = sandbox.serve(&[]).await;
    let run = async |command: &mut Command| {
        let mut process = sandbox.start(command.current_dir(&folder), "");
        assert_eq!(process.code().await, 0, "{}\n{}", process.out(), process.err());
    };
    run(&mut Command::new(codegen)).await;
    let mut tests = Command::new(python);
    tests.args(["-m", "unittest"]).env("URL", server.url("")).env("LOGIN", ADMIN).env("PASSWORD", PASSWORD);
    run(&mut tests).await;
}

#[tokio::test]
async fn the_package_for_rust_passes_its_tests() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let server = sandbox.serve(&[]).await;
    // Two folders above the program: the target folder, which has most of what the package needs.
    let target = Path::new(env!("CARGO_BIN_EXE_roster")).ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--locked"]).current_dir(node::path(RUST_PACKAGE)).env("CARGO_TARGET_DIR", target);
    cargo.env("URL", server.url("")).env("LOGIN", ADMIN).env("PASSWORD", PASSWORD);
    let mut process = sandbox.start(&mut cargo, "");
    assert_eq!(process.code().await, 0, "{}\n{}", process.out(), process.err());
}
