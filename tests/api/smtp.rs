//! An independent mail server that keeps the emails it accepts and fails on command. It ends with the test process,
//! however that ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::until;
use crate::programs::is_installed;

/// Debian's Python, for which aiosmtpd is packaged.
const PYTHON: &str = "/usr/bin/python3";
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/smtp/server.py");

/// When connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    #[default]
    Never,
    StartTls,
    Always,
}

/// The requirements and capabilities of the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub encryption: Encryption,
    /// The user and password that it requires.
    pub login: Option<(&'static str, &'static str)>,
    /// Whether addresses may have non-ASCII letters before the @ (SMTPUTF8).
    pub utf8: bool,
}

/// The behaviour of the server.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    Ok,
    /// Closes every connection and does not listen.
    Down,
    /// Rejects every connection with 421.
    Busy,
    /// Defers every recipient with 451.
    Refuse,
    /// Rejects every connection with 554.
    Closed,
    /// Rejects every recipient with 550.
    Reject,
    /// Rejects every email with 554 after its data.
    Spurn,
    /// Sends no greeting.
    Mute,
    /// Keeps no email and never responds to one.
    Hang,
    /// Delays each response.
    Slow(Duration),
    /// Keeps each email, and responds only once it behaves otherwise.
    Late,
}

/// An email as the server received and decoded it.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    pub from: String,
    pub recipients: Vec<String>,
    pub subject: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
    pub headers: Vec<(String, String)>,
    /// In base64.
    raw: String,
    /// The sender's name in the greeting.
    pub hello: String,
    pub encrypted: bool,
    pub signed_in: bool,
}

impl Received {
    /// A header that the email must have exactly once.
    pub fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => value,
            _ => panic!("the email does not have exactly one {name}: {:#?}", self.headers),
        }
    }

    /// Every byte between DATA and the final dot.
    pub fn raw(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.raw).unwrap()
    }
}

/// The server on a free port; dropping it ends it.
pub struct Smtp {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    port: u16,
    options: Options,
    dir: TempDir,
}

impl Smtp {
    /// Starts a server. None, with the reason printed, if it cannot run.
    pub fn start(options: Options) -> Option<Self> {
        if !is_installed(PYTHON, &["-c", "import aiosmtpd"]) || !is_installed("openssl", &["version"]) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mails")).unwrap();
        if options.encryption != Encryption::Never {
            certify(dir.path());
        }
        let mut child = command(options, dir.path()).spawn().unwrap();
        let mut pipes = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let port = read_line(&mut pipes.1).parse().unwrap();
        Some(Self { child, pipes: Mutex::new(pipes), port, options, dir })
    }

    /// The value of `--smtp-url`.
    pub fn url(&self) -> String {
        let (scheme, host, query) = match self.options.encryption {
            Encryption::Never => ("smtp", "127.0.0.1", "?tls=none"),
            Encryption::StartTls => ("smtp", "localhost", ""),
            Encryption::Always => ("smtps", "localhost", ""),
        };
        let login = self.options.login.map_or(String::new(), |(user, password)| format!("{user}:{password}@"));
        format!("{scheme}://{login}{host}:{}{query}", self.port)
    }

    /// The certificate of the CA, for `--smtp-ca`.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Changes the behaviour from now on. Pending responses are sent.
    pub fn behave(&self, behaviour: Behaviour) {
        let line = match behaviour {
            Behaviour::Ok => "ok".to_owned(),
            Behaviour::Down => "down".to_owned(),
            Behaviour::Busy => "busy".to_owned(),
            Behaviour::Closed => "closed".to_owned(),
            Behaviour::Refuse => "refuse".to_owned(),
            Behaviour::Reject => "reject".to_owned(),
            Behaviour::Spurn => "spurn".to_owned(),
            Behaviour::Mute => "mute".to_owned(),
            Behaviour::Hang => "hang".to_owned(),
            Behaviour::Slow(delay) => format!("slow {}", delay.as_millis()),
            Behaviour::Late => "late".to_owned(),
        };
        self.tell(&line);
    }

    /// Closes every connection without a response.
    pub fn close_connections(&self) {
        self.tell("close");
    }

    /// The number of connections so far, and of open ones.
    pub fn connections(&self) -> (usize, usize) {
        let counted = self.tell("connections");
        let (all, open) = counted.split_once(' ').unwrap();
        (all.parse().unwrap(), open.parse().unwrap())
    }

    /// The emails accepted so far, in their order.
    pub fn mails(&self) -> Vec<Received> {
        let files = fs::read_dir(self.dir.path().join("mails")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        files.iter().map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap()).collect()
    }

    /// Waits until `count` emails were accepted, and returns them all.
    pub async fn until(&self, count: usize) -> Vec<Received> {
        let mails = until(|| async { Some(self.mails()).filter(|mails| mails.len() >= count) }).await;
        mails.unwrap_or_else(|| panic!("{count} emails did not arrive, but {:#?}", self.mails()))
    }

    fn tell(&self, line: &str) -> String {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{line}").unwrap();
        read_line(&mut pipes.1)
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(options: Options, dir: &Path) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(PROGRAM).arg("--folder").arg(dir.join("mails")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let tls = match options.encryption {
        Encryption::Never => "none",
        Encryption::StartTls => "starttls",
        Encryption::Always => "wrapped",
    };
    command
        .args(["--tls", tls])
        .arg("--certificate")
        .arg(dir.join("server.pem"))
        .arg("--key")
        .arg(dir.join("server.key"));
    if let Some((user, password)) = options.login {
        command.args(["--user", user, "--password", password]);
    }
    if options.utf8 {
        command.arg("--utf8");
    }
    // Its warnings are about the features that the tests use.
    command.stderr(Stdio::null());
    command
}

fn read_line(pipe: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    pipe.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the mail server has ended");
    line.trim().to_owned()
}

/// Creates a CA, `ca.pem`, and the certificate of a server on this machine, `server.pem` with `server.key`.
fn certify(dir: &Path) {
    fs::write(dir.join("openssl.cnf"), "[req]\ndistinguished_name = name\n[name]\n").unwrap();
    let request = "req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch";
    let authority = "-subj /CN=Authority -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE \
                     -addext keyUsage=critical,keyCertSign";
    let server = "-subj /CN=Server -keyout server.key -out server.pem -CA ca.pem -CAkey ca.key \
                  -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    for rest in [authority, server] {
        let arguments = request.split_whitespace().chain(rest.split_whitespace());
        let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
