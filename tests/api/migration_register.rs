//! The check of the register of migrations, and the choice of an earlier version by it, on repositories that the tests make.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::programs::is_installed;

const SCRIPT: &str = include_str!("../../.ci/migrations");
const OLDER: &str = include_str!("../../.ci/older");
const REGISTER: &str = "migration/history.txt";

/// A repository with the check and a register.
struct Repository(TempDir);

impl Repository {
    /// None if git is not installed.
    fn new() -> Option<Self> {
        if !is_installed("git", &["--version"]) {
            return None;
        }
        let repository = Self(tempfile::tempdir().unwrap());
        for folder in [".ci", "migration"] {
            fs::create_dir(repository.path().join(folder)).unwrap();
        }
        fs::write(repository.path().join(".ci/migrations"), SCRIPT).unwrap();
        fs::write(repository.path().join(".ci/older"), OLDER).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        Some(repository)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) {
        run(git(self.path()).args(arguments));
    }

    fn write(&self, lines: &[&str]) {
        fs::write(self.path().join(REGISTER), lines.join("\n") + "\n").unwrap();
    }

    fn commit(&self, lines: &[&str]) {
        self.write(lines);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=A change"]);
    }

    /// A clone of the last commit alone.
    fn shallow_clone(&self) -> Self {
        let clone = tempfile::tempdir().unwrap();
        let url = format!("file://{}", self.path().display());
        run(git(clone.path()).args(["clone", "--quiet", "--depth=1", &url, "."]));
        Self(clone)
    }

    /// The last commit.
    fn head(&self) -> String {
        printed(git(self.path()).args(["rev-parse", "HEAD"]))
    }

    /// The commit of the earlier version.
    fn older(&self) -> String {
        printed(with_own_settings(Command::new("bash").args([".ci/older", "--print"]).current_dir(self.path())))
    }

    fn check(&self) -> Output {
        with_own_settings(Command::new("bash").arg(".ci/migrations").current_dir(self.path())).output().unwrap()
    }

    fn assert_accepted(&self) {
        let checked = self.check();
        assert!(checked.status.success(), "{checked:?}");
    }

    fn assert_refused(&self, expected: &str) {
        let checked = self.check();
        let text = String::from_utf8_lossy(&checked.stderr);
        assert!(!checked.status.success() && text.contains(expected), "{expected}: {checked:?}");
    }
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    with_own_settings(command.current_dir(folder));
    command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgSign=false"]);
    command
}

/// Keeps the settings of this machine, and the repository of a hook that runs the tests, away from a command.
fn with_own_settings(command: &mut Command) -> &mut Command {
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_line_that_was_changed_some_commits_ago_is_refused() {
    let Some(repository) = Repository::new() else { return };
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.assert_accepted();
    repository.commit(&["m1_rooms EXPAND - a a", "m2_beds EXPAND - b b"]);
    repository.assert_accepted();
    repository.commit(&["m1_rooms EXPAND - c c", "m2_beds EXPAND - b b"]);
    repository.commit(&["m1_rooms EXPAND - c c", "m2_beds EXPAND - b b", "m3_wards EXPAND - d d"]);
    repository.commit(&["m1_rooms EXPAND - c c", "m2_beds EXPAND - b b", "m3_wards EXPAND - d d"]);
    repository.assert_refused("m1_rooms was changed or removed");
}

#[test]
fn a_line_that_is_changed_before_the_commit_is_refused() {
    let Some(repository) = Repository::new() else { return };
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.write(&["m1_rooms EXPAND - b b"]);
    repository.assert_refused("m1_rooms was changed or removed");
    repository.write(&[""]);
    repository.assert_refused("m1_rooms was changed or removed");
}

#[test]
fn each_change_needs_a_line_that_says_why() {
    let Some(repository) = Repository::new() else { return };
    let reason = "Changed: m1_rooms (a comment was reworded before the first release)";
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.commit(&[reason, "m1_rooms EXPAND - b b"]);
    repository.assert_accepted();
    repository.write(&["Changed: m1_rooms ()", "m1_rooms EXPAND - b b"]);
    repository.assert_refused("m1_rooms was changed or removed");
    repository.commit(&[reason, "m1_rooms EXPAND - c c"]);
    repository.assert_refused("(changes: 2, lines: 1)");
    repository.commit(&[reason, reason, "m1_rooms EXPAND - c c"]);
    repository.assert_accepted();
}

#[test]
fn a_line_that_a_merge_has_left_out_is_refused() {
    let Some(repository) = Repository::new() else { return };
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.git(&["checkout", "--quiet", "-b", "beds"]);
    repository.commit(&["m1_rooms EXPAND - a a", "m2_beds EXPAND - b b"]);
    repository.git(&["checkout", "--quiet", "main"]);
    repository.git(&["commit", "--quiet", "--allow-empty", "--message=Another change"]);
    repository.git(&["merge", "--quiet", "--strategy=ours", "--message=A merge", "beds"]);
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.assert_refused("m2_beds was changed or removed");
}

#[test]
fn a_migration_before_the_last_one_is_refused() {
    let Some(repository) = Repository::new() else { return };
    repository.commit(&["m1_rooms EXPAND - a a", "m3_wards EXPAND - b b"]);
    repository.write(&["m1_rooms EXPAND - a a", "m2_beds EXPAND - c c", "m3_wards EXPAND - b b"]);
    repository.assert_refused("m2_beds comes before m3_wards");
}

#[test]
fn a_shallow_clone_is_checked_with_the_commits_that_can_be_fetched() {
    let Some(repository) = Repository::new() else { return };
    repository.commit(&["m1_rooms EXPAND - a a"]);
    repository.commit(&["m1_rooms EXPAND - b b"]);
    repository.shallow_clone().assert_refused("m1_rooms was changed or removed");
    let alone = repository.shallow_clone();
    alone.git(&["remote", "remove", "origin"]);
    alone.assert_accepted();
    alone.write(&["m1_rooms EXPAND - c c"]);
    alone.assert_refused("m1_rooms was changed or removed");
}

#[test]
fn the_earlier_version_is_the_last_commit_with_other_migrations() {
    let Some(repository) = Repository::new() else { return };
    let rooms = "m1_rooms EXPAND - a a";
    repository.commit(&[rooms]);
    let first = repository.head();
    assert_eq!(repository.older(), first, "no commit has other migrations");
    repository.commit(&[rooms]);
    let before = repository.head();
    assert_eq!(repository.older(), first);
    repository.write(&[rooms, "m2_beds EXPAND - b b"]);
    assert_eq!(repository.older(), before, "the migration is not committed");
    repository.commit(&[rooms, "m2_beds EXPAND - b b"]);
    assert_eq!(repository.older(), before);
    repository.commit(&["Changed: m2_beds (a comment was reworded)", rooms, "m2_beds EXPAND - c c"]);
    assert_eq!(repository.older(), before, "the names are the same");
    repository.git(&["checkout", "--quiet", "-b", "wards"]);
    repository.commit(&[
        "Changed: m2_beds (a comment was reworded)",
        rooms,
        "m2_beds EXPAND - c c",
        "m3_wards EXPAND - d d",
    ]);
    repository.git(&["checkout", "--quiet", "-"]);
    repository.git(&["commit", "--quiet", "--allow-empty", "--message=Another change"]);
    let before = repository.head();
    repository.git(&["merge", "--quiet", "--no-edit", "wards"]);
    assert_eq!(repository.older(), before, "the branch was merged");
}
