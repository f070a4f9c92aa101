//! Backups that end before they are complete: nothing readable stays behind, least of all beside an encrypted backup.

use std::fs;
use std::path::Path;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sea_orm::sqlx::{self, Connection as _};

use super::left_over;
use crate::process::{Process, Sandbox, mode, set_mode, until};

/// Locks a SQLite file against all other connections: a backup of it waits.
async fn lock_out(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).locking_mode(SqliteLockingMode::Exclusive);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    connection
}

/// Starts an encrypted backup, which waits for the database.
async fn begin_backup(sandbox: &Sandbox) -> Process {
    let arguments = ["backup", "backups/", "--passphrase-file", "secret"];
    let process = sandbox.start(&mut sandbox.command(&arguments), "");
    let data = sandbox.path("roster-data");
    let has_copy = |name: &String| data.join(name).join("copy").exists();
    let begun = || async { left_over(&data).iter().any(has_copy).then_some(()) };
    until(begun).await.unwrap_or_else(|| panic!("no copy beside the database\n{}", process.err()));
    process
}

#[tokio::test]
async fn nothing_readable_is_left_of_an_encrypted_backup() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    fs::create_dir(sandbox.path("backups")).unwrap();
    fs::write(sandbox.path("secret"), "nine-amber-kites-over-water").unwrap();
    set_mode(&sandbox.path("secret"), 0o600);
    let (data, backups) = (sandbox.path("roster-data"), sandbox.path("backups"));
    let lock = lock_out(&data.join("roster.db")).await;

    for signal in ["INT", "TERM"] {
        let mut process = begin_backup(&sandbox).await;
        for dir in [&data, &backups] {
            let work_dir = dir.join(left_over(dir).remove(0));
            assert_eq!(mode(&work_dir), 0o700);
            assert_eq!(work_dir.join("copy").exists(), dir == &data, "there is no copy beside the backup");
        }
        process.signal(signal);
        assert_eq!(process.code().await, 130, "{}", process.err());
        assert!(process.err().contains("stopped by a signal"), "{}", process.err());
        assert_eq!((left_over(&data), left_over(&backups)), (Vec::new(), Vec::new()), "{signal}");
    }

    let mut process = begin_backup(&sandbox).await;
    process.signal("KILL");
    process.status().await;
    assert!(!left_over(&data).is_empty(), "a killed process removes nothing");
    drop(lock);
    let doctor = sandbox.run(&["doctor", "--backup-dir", "backups"]).await;
    for dir in ["roster-data/.roster-work-", "backups/.roster-work-"] {
        let is_shown = |line: &str| line.starts_with("left over ") && line.contains(dir);
        assert!(doctor.out.lines().any(is_shown), "{doctor:?}");
    }
    let done = sandbox.run(&["backup", "backups/", "--passphrase-file", "secret"]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    assert_eq!((left_over(&data), left_over(&backups)), (Vec::new(), Vec::new()), "the next one does");
}

in_every_sandbox! {
    async fn a_backup_that_finds_no_room_names_the_place(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let backups = sandbox.path("backups");
        fs::create_dir(&backups).unwrap();
        // A file that grows beyond the limit is an error, as on a full disk. The shared memory of SQLite fits.
        let blocks = if sandbox.is_sqlite() { "128" } else { "8" };
        let limited = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        let program = env!("CARGO_BIN_EXE_roster");
        let mut command = sandbox.command_of("sh", &["-c", limited, "sh", blocks, program, "backup", "backups/"]);
        let mut process = sandbox.start(&mut command, "");
        assert_eq!(process.code().await, 1, "{}", process.err());
        assert!(process.err().contains("copying the database to the directory backups"), "{}", process.err());
        let is_backup = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".tar");
        let mut names = fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.any(is_backup) && left_over(&backups).is_empty(), "{}", process.err());
    }
}
