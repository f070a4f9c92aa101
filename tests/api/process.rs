//! The built program, run as a user would run it: in its own folder and without the tests' environment variables.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use roster::db::Db;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::{Value, json};

use crate::app::{HANGS, PASSWORD, database, input_of};
use crate::postgres;

/// The address of the administrator that [`Sandbox::with_admin`] creates.
pub const ADMIN: &str = "root@alder.example.org";

/// The address of a server on a free port.
const FREE_PORT: &str = "127.0.0.1:0";

/// Runs each test on a SQLite file and, if installed, on a PostgreSQL database.
macro_rules! in_every_sandbox {
    ($($(#[$attribute:meta])* async fn $name:ident($sandbox:ident: Sandbox) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn test($sandbox: Sandbox) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                test($crate::process::Sandbox::on_sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                if let Some(sandbox) = $crate::process::Sandbox::on_postgres().await {
                    test(sandbox).await;
                }
            }
        }
    )*};
}

/// A folder to run the program in and its database, both empty.
pub struct Sandbox {
    dir: tempfile::TempDir,
    database: Option<String>,
    runs: AtomicU32,
}

impl Sandbox {
    /// With a SQLite file at the program's default path in the folder.
    pub fn on_sqlite() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), database: None, runs: AtomicU32::new(0) }
    }

    /// With an empty PostgreSQL database. None if PostgreSQL is not installed.
    pub async fn on_postgres() -> Option<Self> {
        Some(Self::on_database(postgres::maybe_pooled(postgres::server()?.fresh_database().await)))
    }

    /// With a database of PostgreSQL that exists.
    pub fn on_database(url: String) -> Self {
        Self { database: Some(url), ..Self::on_sqlite() }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether the database is a SQLite file.
    pub fn is_sqlite(&self) -> bool {
        self.database.is_none()
    }

    /// The program with arguments, to be run in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_roster"), arguments)
    }

    /// Another program, such as one of an earlier version, with arguments, to be run in the same way.
    pub fn command_of(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("ROSTER_") || name == "DATABASE_URL");
            if ours {
                command.env_remove(name);
            }
        }
        // The place of temporary files is not shared, because `roster doctor` reports what other processes have left there.
        command.args(arguments).current_dir(&self.dir).env("TMPDIR", self.dir.path());
        if let Some(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with(arguments, "").await
    }

    /// Runs the program to its end, with standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> CommandOutput {
        let mut process = self.start(&mut self.command(arguments), input);
        let code = process.code().await;
        CommandOutput::new(code, &process)
    }

    /// Starts a server on a free port and waits until it prints its address.
    pub async fn serve(&self, arguments: &[&str]) -> Process {
        self.serve_at(FREE_PORT, arguments).await
    }

    /// Starts a server on an address, such as that of one that has ended, and waits until it prints it.
    pub async fn serve_at(&self, address: &str, arguments: &[&str]) -> Process {
        let process = self.begin_at(address, arguments);
        process.wait_for_output("Roster listens on http://").await;
        process
    }

    /// Starts a server on a free port.
    pub fn begin(&self, arguments: &[&str]) -> Process {
        self.begin_at(FREE_PORT, arguments)
    }

    fn begin_at(&self, address: &str, arguments: &[&str]) -> Process {
        self.start(self.command(arguments).args(["--listen", address]), "")
    }

    /// Starts a command, which is killed when the returned process is dropped.
    pub fn start(&self, command: &mut Command, input: &str) -> Process {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.path(&format!("out-{run}")), self.path(&format!("err-{run}")));
        command.stdin(Stdio::piped()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        // A program may end without reading its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Process { child, out, err, client: reqwest::Client::new() }
    }

    /// Creates a superuser.
    pub async fn with_admin(self) -> Self {
        let names = ["--first-name", "Root", "--last-name", "Alder"];
        let output = self
            .run_with(&[&["admin", "create", "--password-stdin", "--email", ADMIN][..], &names].concat(), PASSWORD)
            .await;
        assert_eq!(output.code, 0, "{}", output.err);
        self
    }

    /// The database that the program uses.
    pub async fn db(&self) -> Db {
        let file = || format!("sqlite://{}", self.path("roster-data/roster.db").display());
        Db::connect(&database(self.database.clone().unwrap_or_else(file), 2)).await.unwrap()
    }
}

/// The exit code and output of a program.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    /// The line by which the first command of a database says that it has created the server key.
    pub key_notice: Option<String>,
    /// The standard output after it.
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    /// The output of a program that has ended.
    pub fn new(code: i32, process: &Process) -> Self {
        let (out, err) = (process.out(), process.err());
        match out.split_once('\n') {
            Some((first, rest)) if first.starts_with("Created the server key") => {
                Self { code, key_notice: Some(first.to_owned()), out: rest.to_owned(), err }
            }
            _ => Self { code, key_notice: None, out, err },
        }
    }
}

/// A running program; dropping it kills it.
pub struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    client: reqwest::Client,
}

impl Process {
    /// The standard output so far.
    pub fn out(&self) -> String {
        read(&self.out)
    }

    /// The standard error so far, which is the log.
    pub fn err(&self) -> String {
        read(&self.err)
    }

    /// Waits until a text is in the standard output.
    pub async fn wait_for_output(&self, text: &str) {
        until(|| async { self.out().contains(text).then_some(()) })
            .await
            .unwrap_or_else(|| panic!("{text:?} is not in the output\n{}\n{}", self.out(), self.err()));
    }

    /// Waits until a text is in the log.
    pub async fn wait_for_log(&self, text: &str) {
        until(|| async { self.err().contains(text).then_some(()) })
            .await
            .unwrap_or_else(|| panic!("{text:?} is not in the log\n{}\n{}", self.out(), self.err()));
    }

    /// Waits until it ends, and returns its exit code.
    pub async fn code(&mut self) -> i32 {
        self.status().await.code().unwrap()
    }

    /// Waits until it ends.
    pub async fn status(&mut self) -> ExitStatus {
        let end = Instant::now() + HANGS;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the program does not end\n{}\n{}", self.out(), self.err());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as TERM.
    pub fn signal(&self, signal: &str) {
        let kill = r#"kill -s "$1" "$2""#;
        let pid = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", kill, "sh", signal, &pid]).status().unwrap().success());
    }

    /// `127.0.0.1:port`, as it prints it, or logs it as JSON.
    pub fn address(&self) -> String {
        let out = self.out() + &self.err();
        let rest = out.split("Roster listens on http://").nth(1).unwrap_or_else(|| panic!("{out}\n{}", self.err()));
        rest.split('/').next().unwrap().to_owned()
    }

    /// A caller over HTTP, optionally with a token.
    pub fn caller(&self, token: Option<&str>) -> Caller {
        let (url, log) = (self.url("/graphql"), self.err.clone());
        Caller { client: self.client.clone(), url, log, token: token.map(str::to_owned) }
    }

    /// A caller who has signed in with the test password.
    pub async fn sign_in(&self, login: &str) -> Caller {
        let response = self.login(login, PASSWORD).await;
        let token = response["token"].as_str().unwrap_or_else(|| panic!("{response:#}"));
        self.caller(Some(token))
    }

    /// The payload of a sign-in.
    pub async fn login(&self, login: &str, password: &str) -> Value {
        let query = "mutation ($input: LoginInput!) { login(input: $input) { success token errors { code } user { id hasActivated } } }";
        let data = self.caller(None).data(query, json!({ "input": { "login": login, "password": password } })).await;
        data["login"].clone()
    }

    /// The URL of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The status code of a page.
    pub async fn status_of(&self, path: &str) -> u16 {
        self.client.get(self.url(path)).send().await.unwrap().status().as_u16()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of a server.
#[derive(Clone)]
pub struct Caller {
    client: reqwest::Client,
    url: String,
    log: PathBuf,
    pub token: Option<String>,
}

impl Caller {
    /// The response to a document. None if there was none: the server may be killed at any moment.
    pub async fn try_execute(&self, query: &str, variables: &Value) -> Option<Value> {
        let body = json!({ "query": query, "variables": variables });
        let mut request = self.client.post(&self.url).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.ok()?.json().await.ok()
    }

    /// The data of a response, which must have no errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let response = self.try_execute(query, &variables).await.expect("a response");
        assert!(response.get("errors").is_none(), "{query}\n{response:#}\n{}", read(&self.log));
        response["data"].clone()
    }

    /// The payload of a mutation, which must succeed.
    pub async fn mutate(&self, mutation: &str, selection: &str, input: Value) -> Value {
        let kind = input_of(mutation);
        let query =
            format!("mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ success message {selection} }} }}");
        let payload = self.data(&query, json!({ "input": input })).await[mutation].clone();
        assert_eq!(payload["success"], json!(true), "{mutation}: {payload:#}");
        payload
    }
}

/// The permissions of a file or directory.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Polls until there is a value. None after the timeout.
pub async fn until<T, F: Future<Output = Option<T>>>(mut poll: impl FnMut() -> F) -> Option<T> {
    let end = Instant::now() + HANGS;
    while Instant::now() < end {
        if let Some(value) = poll().await {
            return Some(value);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Waits until so many statements wait for locks of other transactions of PostgreSQL.
pub async fn until_waiting(db: &Db, statements: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let are_waiting = async || {
        let count = Statement::from_string(DatabaseBackend::Postgres, waiting);
        let row = db.write().query_one_raw(count).await.unwrap().unwrap();
        (row.try_get_by_index::<i64>(0).unwrap() == statements).then_some(())
    };
    until(are_waiting).await.expect("the statements wait");
}

/// A number from an environment variable, by which a long test is made longer.
pub fn env_or(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name}: not a number")))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
