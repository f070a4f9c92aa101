//! PostgreSQL for the tests: one server for the whole test process, and a database for each test. It runs from the
//! installed programs and is removed with the process, however that ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

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
        // Another process may take the port before the server binds it.
        let mut attempts = 5;
        loop {
            server.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match server.start_here() {
                Err(_) if attempts > 1 => attempts -= 1,
                outcome => return outcome.map(|()| server),
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
