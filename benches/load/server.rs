//! The release binary, the bare server or the peer, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The place where Roster keeps its data.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub folder: &'a Path,
    /// The URL of PostgreSQL. None for SQLite in the folder.
    pub url: Option<&'a str>,
}

/// A server that listens. It is killed when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    /// The time from the start of the process until it listened.
    pub took: Duration,
    process: Child,
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a command of the binary that serves, and waits for its address.
    pub fn start(place: Place<'_>, arguments: &[&str]) -> Result<Self> {
        Self::wait_for(command(place, arguments).args(["--listen", "127.0.0.1:0"]))
    }

    /// Starts the bare server, on the same database as Roster.
    pub fn start_bare(place: Place<'_>) -> Result<Self> {
        let url = place.url.map_or_else(|| roster::db::url_of(&place.folder.join("roster.db")), str::to_owned);
        let mut command = Command::new(std::env::current_exe()?);
        Self::wait_for(command.args(["--bench", "--bare", &url]).stdin(Stdio::piped()))
    }

    /// Starts the peer, on the same PostgreSQL database as Roster.
    pub fn start_peer(url: &str) -> Result<Self> {
        let mut command = Command::new(peer_runtime()?);
        command.arg("server.js").current_dir(peer_folder()).env("DATABASE_URL", url).env("NODE_ENV", "production");
        Self::wait_for(command.stdin(Stdio::piped()))
    }

    fn wait_for(command: &mut Command) -> Result<Self> {
        let began = Instant::now();
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(process.stdout.take().context("no output")?);
        let address = loop {
            let mut line = String::new();
            ensure!(output.read_line(&mut line)? > 0, "{command:?} ended before it listened");
            if let Some((_, rest)) = line.split_once(" listens on http://") {
                break rest.split('/').next().unwrap_or_default().parse()?;
            }
        };
        Ok(Self { address, took: began.elapsed(), process, _output: output })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Terminates the server, and waits until it has shut down successfully.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-s", "TERM"]).arg(self.pid().to_string()).status()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "roster ended with {status}");
        Ok(())
    }
}

/// Returns a command of the binary, without the settings of the environment.
pub fn command(place: Place<'_>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roster"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("ROSTER_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.args(arguments).args(["--log", "warn", "--data-dir"]).arg(place.folder).stdin(Stdio::null());
    if let Some(url) = place.url {
        command.env("DATABASE_URL", url);
    }
    command
}

/// Returns the Node.js that runs the peer.
///
/// # Errors
/// The command that installs it, if it is missing.
pub fn peer_runtime() -> Result<PathBuf> {
    let node = peer_folder().join("node_modules/.bin/node");
    ensure!(node.exists(), "{} does not exist; install it with `npm ci` in benches/peers", node.display());
    Ok(node)
}

fn peer_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
