//! Programs for Node.js in .ci/schema, whose packages `npm ci` installs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program with arguments and input, and returns its output. None, with a note, if Node.js or the packages are
/// not installed; an error if `ROSTER_REQUIRE_ALL` is set.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/schema");
    if let Some(reason) = missing(&folder) {
        assert!(std::env::var_os("ROSTER_REQUIRE_ALL").is_none(), "{reason}");
        // Not with eprintln!, whose output the test harness captures.
        writeln!(std::io::stderr(), "{reason}: {program} is skipped").unwrap();
        return None;
    }
    let mut command = Command::new("node");
    command.current_dir(folder).arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap(); // a program that reads no input closes its end
    assert!(output.status.success(), "{program}: {}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}

fn missing(folder: &Path) -> Option<&'static str> {
    if !folder.join("node_modules/graphql").is_dir() {
        return Some("`npm ci` has not been run in .ci/schema");
    }
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.map_or(Some("Node.js is not installed"), |_| None)
}
