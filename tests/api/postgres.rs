//! PostgreSQL for the tests: one server for the whole test process, and a database for each test. It runs from the
//! installed programs and is removed with the process, however that ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Database};

/// A server on a free port of 127.0.0.1 with its data folder. Dropping it removes both.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    watchdog: Child,
    databases: AtomicU32,
}

/// Waits until the test process has ended or dropped its server (the input then ends), and cleans up.
const WATCHDOG: &str = r#"
    read -r _
    if pid=$(head -n 1 "$2/data/postmaster.pid"); then
        kill -s CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
        "$1/pg_ctl" stop --silent --mode=immediate --pgdata="$2/data"
    fi
    rm -rf "$2"
"#;

const PREFIX: &str = "roster-postgres-";

/// The timeout for a connection pooler to accept connections.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 64MB
autovacuum = off
";

const FORGETFUL: &str = "
fsync = off
synchronous_commit = off
full_page_writes = off
";

/// The server that all tests of this process share. None, with a note, if PostgreSQL is not installed; an error if
/// `ROSTER_REQUIRE_ALL` is set.
pub fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Result<Option<Postgres>, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        if programs().is_some() {
            return Postgres::start_with(FORGETFUL).map(Some).map_err(|error| error.to_string());
        }
        if std::env::var_os("ROSTER_REQUIRE_ALL").is_some() {
            return Err("initdb is neither in PATH nor in /usr/lib/postgresql/*/bin".to_owned());
        }
        // Not with eprintln!, whose output the test harness captures.
        writeln!(io::stderr(), "PostgreSQL is not installed: its tests are skipped")
            .map_err(|error| error.to_string())?;
        Ok(None)
    });
    server.as_ref().unwrap_or_else(|reason| panic!("no PostgreSQL: {reason}")).as_ref()
}

impl Postgres {
    /// Starts a server; the given lines of postgresql.conf override the defaults.
    pub fn start_with(lines: &str) -> io::Result<Self> {
        let programs = programs().ok_or_else(|| io::Error::other("PostgreSQL is not installed"))?;
        let folder = new_folder(&programs)?;
        let watchdog = watchdog(&programs, &folder).stdin(Stdio::piped()).spawn()?;
        let mut server = Self { programs, folder, port: 0, watchdog, databases: AtomicU32::new(0) };
        run(as_user(server.programs.join("initdb"))
            .args(["--username=roster", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("--pgdata")
            .arg(server.data()))?;
        let mut settings = fs::OpenOptions::new().append(true).open(server.data().join("postgresql.conf"))?;
        settings.write_all(SETTINGS.as_bytes())?;
        settings.write_all(lines.as_bytes())?;
        server.start_on_free_port()?;
        Ok(server)
    }

    /// Starts a standby that follows this server, on a port that is free, or that of a server that has ended.
    #[allow(dead_code, reason = "only the tests of several hosts use it")]
    pub fn start_standby(&self, port: Option<u16>) -> io::Result<Self> {
        let programs = self.programs.clone();
        let folder = new_folder(&programs)?;
        let watchdog = watchdog(&programs, &folder).stdin(Stdio::piped()).spawn()?;
        let mut standby = Self { programs, folder, port: 0, watchdog, databases: AtomicU32::new(0) };
        run(as_user(standby.programs.join("pg_basebackup"))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync", "--no-password"])
            .arg(format!("--dbname={}", self.admin_url()))
            .arg("--pgdata")
            .arg(standby.data()))?;
        match port {
            Some(port) => {
                standby.port = port;
                standby.start_here()?;
            }
            None => standby.start_on_free_port()?,
        }
        Ok(standby)
    }

    /// Makes a standby a server that accepts writes.
    #[allow(dead_code, reason = "only the tests of several hosts use it")]
    pub fn promote(&self) -> io::Result<()> {
        self.pg_ctl(&["promote", "--wait"])
    }

    /// Ends the server at once, as a crash would.
    #[allow(dead_code, reason = "only the tests of several hosts use it")]
    pub fn stop(&self) -> io::Result<()> {
        self.pg_ctl(&["stop", "--mode=immediate"])
    }

    /// The port of the server.
    #[allow(dead_code, reason = "only the tests of several hosts use it")]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn start_on_free_port(&mut self) -> io::Result<()> {
        // Another process may take the port before the server binds it.
        let mut attempts = 5;
        loop {
            self.port = free_port()?;
            match self.start_here() {
                Err(_) if attempts > 1 => attempts -= 1,
                outcome => return outcome,
            }
        }
    }

    /// The URL of a database that always exists.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// Creates an empty database and returns its URL.
    pub async fn fresh_database(&self) -> String {
        self.fresh_database_from("template1").await
    }

    /// Copies a database, which must have no connections, and returns the URL of the copy.
    pub async fn fresh_database_from(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let admin = Database::connect(self.admin_url()).await.unwrap();
        admin.execute_unprepared(&format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#)).await.unwrap();
        admin.close().await.unwrap();
        self.url(&name)
    }

    /// Starts the server on its port and data folder.
    fn start_here(&self) -> io::Result<()> {
        let log = self.folder.join("log");
        let start =
            self.pg_ctl(&["start", "--wait", "-o", &format!("-p {}", self.port), "--log", &log.to_string_lossy()]);
        start.map_err(|error| io::Error::other(format!("{error}\n{}", fs::read_to_string(log).unwrap_or_default())))
    }

    /// The id of the server's main process.
    #[allow(dead_code, reason = "only the benchmark uses it")]
    pub fn process(&self) -> io::Result<u32> {
        let pid_file = fs::read_to_string(self.data().join("postmaster.pid"))?;
        pid_file.lines().next().unwrap_or_default().parse().map_err(io::Error::other)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://roster@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn pg_ctl(&self, arguments: &[&str]) -> io::Result<()> {
        run(as_user(self.programs.join("pg_ctl")).arg("--pgdata").arg(self.data()).args(arguments))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// `PgBouncer` in front of a server, on a free port of 127.0.0.1. Dropping it ends it.
pub struct Pooler {
    mode: String,
    port: u16,
    watchdog: Child,
}

/// Runs `PgBouncer` until the test process has ended or dropped it (the input then ends).
const POOLER_WATCHDOG: &str = r#"
    PATH=$PATH:/usr/sbin
    pgbouncer --quiet "$1/pgbouncer.ini" &
    read -r _
    kill "$!"
    wait
    rm -rf "$1"
"#;

impl Pooler {
    /// Starts it in a mode, `session` or `transaction`, with up to `connections` to each database.
    pub fn start(server: &Postgres, mode: &str, connections: usize) -> io::Result<Self> {
        let (folder, port) = (new_folder(&server.programs)?, free_port()?);
        fs::write(folder.join("users"), "\"roster\" \"\"\n")?;
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
             default_pool_size = {connections}\nmax_client_conn = 1000\nserver_idle_timeout = 5\n",
            server.port,
            folder.join("users").display()
        );
        fs::write(folder.join("pgbouncer.ini"), settings)?;
        let mut watchdog = as_user("sh");
        watchdog.args(["-c", POOLER_WATCHDOG, "sh"]).arg(&folder);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let pooler = Self { mode: mode.to_owned(), port, watchdog: watchdog.spawn()? };
        let end = Instant::now() + STARTS_WITHIN;
        while let Err(error) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            if Instant::now() > end {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(pooler)
    }

    /// The URL of a database of the server, through the pooler.
    pub fn url(&self, url: &str) -> String {
        let database = url.rsplit('/').next().unwrap_or_default();
        format!("postgres://roster@127.0.0.1:{}/{database}?pooler={}", self.port, self.mode)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// The URL of a database of the shared server: through `PgBouncer` if `ROSTER_TEST_POOLER` names its mode.
pub fn maybe_pooled(url: String) -> String {
    static POOLER: OnceLock<Option<Pooler>> = OnceLock::new();
    let pooler = POOLER.get_or_init(|| {
        let mode = std::env::var("ROSTER_TEST_POOLER").ok()?;
        let connections = if mode == "session" { 30 } else { 4 };
        Some(Pooler::start(server()?, &mode, connections).unwrap_or_else(|error| panic!("no PgBouncer: {error}")))
    });
    match pooler {
        Some(pooler) => pooler.url(&url),
        None => url,
    }
}

/// A port of 127.0.0.1 that is free at the moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The folder of initdb, `pg_ctl` and postgres: the one in PATH, or Debian's newest.
fn programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|entry| entry.path()).max_by_key(version).map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(newest);
    folders.find_map(|folder| Some(folder.join("initdb").canonicalize().ok()?.parent()?.to_owned()))
}

/// Creates the folder of a server, accessible to its user.
fn new_folder(programs: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let make = |parent: &Path| {
        remove_stale(programs, parent)?;
        run(as_user("mkdir").args(["-m", "700"]).arg(parent.join(&name)))?;
        Ok(parent.join(&name))
    };
    make(&std::env::temp_dir()).or_else(|_| make(Path::new("/tmp")))
}

/// Removes the servers of test processes that ended together with their keepers.
fn remove_stale(programs: &Path, parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| run(Command::new("sh").args(["-c", r#"kill -0 "$1""#, "sh", pid])).is_err()) {
            watchdog(programs, &entry.path()).stdin(Stdio::null()).status()?;
        }
    }
    Ok(())
}

/// In its own process group, so that an interrupt of the test process does not stop it.
fn watchdog(programs: &Path, folder: &Path) -> Command {
    let mut watchdog = as_user("sh");
    watchdog.args(["-c", WATCHDOG, "sh"]).args([programs, folder]);
    watchdog.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    watchdog
}

/// A command that runs as `nobody` if the tests run as root, which PostgreSQL rejects.
fn as_user(program: impl AsRef<OsStr>) -> Command {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = Command::new(if root { OsStr::new("setpriv") } else { program.as_ref() });
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    }
    command.current_dir("/").env("LC_ALL", "C");
    command
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}
