//! Programs that some tests need beside the one under test.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether a program runs with arguments. If it does not, the test is to be skipped, or fails if none may be skipped.
pub fn is_installed(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) {
        return true;
    }
    skip(&format!("{program} {} does not run", arguments.join(" ")));
    false
}

/// Notes why a test is skipped. An error if `ROSTER_REQUIRE_ALL` is set.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("ROSTER_REQUIRE_ALL").is_none(), "{reason}");
    // Not with eprintln!, whose output the test harness captures.
    writeln!(std::io::stderr(), "skipped: {reason}").unwrap();
}
