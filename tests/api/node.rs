//! Programs for Node.js in .ci/schema, tests/clients and clients/typescript, whose packages `npm ci` installs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::skip;

/// Runs a program of .ci/schema with arguments and input, and returns its output. None, with a note, if Node.js or the
/// packages are not installed; an error if `ROSTER_REQUIRE_ALL` is set.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    if !is_installed(".ci/schema", program) {
        return None;
    }
    let mut command = command(".ci/schema", program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap(); // a program that reads no input closes its end
    assert!(output.status.success(), "{program}: {}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A program of a folder.
pub fn command(folder: &str, program: &str) -> Command {
    let mut command = Command::new("node");
    command.current_dir(path(folder)).arg(program);
    command
}

/// Whether Node.js and the packages of a folder are installed. If not, notes what is skipped; an error if
/// `ROSTER_REQUIRE_ALL` is set.
pub fn is_installed(folder: &str, skipped: &str) -> bool {
    let Some(reason) = missing(folder) else { return true };
    skip(&format!("{skipped}: {reason}"));
    false
}

/// A folder of the repository.
pub fn path(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn missing(folder: &str) -> Option<String> {
    if !path(folder).join("node_modules/graphql").is_dir() {
        return Some(format!("`npm ci` has not been run in {folder}"));
    }
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.err().map(|_| "Node.js is not installed".to_owned())
}
