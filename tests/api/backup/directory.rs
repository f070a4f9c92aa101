//! Directories of backups: their names, how many are kept, and the schedule of a server.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use super::{another, left_over};
use crate::metrics::{MEASURED, scrape};
use crate::process::{ADMIN, Sandbox, mode, until};

/// The names of the backups in a directory.
fn backups(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("roster-2") && name.ends_with("Z.tar")).collect()
}

in_every_sandbox! {
    async fn a_directory_keeps_the_newest_backups_and_all_other_files(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let dir = sandbox.path("backups");
        fs::create_dir(&dir).unwrap();
        let foreign = ["notes.txt", "roster-20200101T000000.000Z.tar.gz", "roster-old.tar", "copy of roster-20200101T000000.000Z.tar"];
        for name in foreign {
            fs::write(dir.join(name), name).unwrap();
        }
        let old = "roster-20200101T000000.000Z.tar";
        fs::write(dir.join(old), "not even a backup").unwrap();
        fs::create_dir(dir.join(".roster-work-killed")).unwrap();
        fs::write(dir.join(".roster-work-killed/lock"), "").unwrap();
        let mut seen = BTreeSet::from([old.to_owned()]);
        for round in 0..3 {
            let done = sandbox.run(&["backup", "backups", "--keep", "2"]).await;
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
            let now = backups(&dir);
            let new: Vec<_> = now.difference(&seen).cloned().collect();
            let [new] = new.as_slice() else { panic!("{round}: {now:?}") };
            assert_eq!(now.last(), Some(new), "{round}");
            assert_eq!(mode(&dir.join(new)), 0o600);
            assert_eq!(now.len(), 2, "{round}: {now:?}");
            assert_eq!(done.out.contains("Removed "), round > 0, "{round}: {done:?}");
            seen.extend(now);
        }
        assert!(foreign.iter().all(|name| dir.join(name).exists()));
        assert_eq!(left_over(&dir), [""; 0]);
    }
}

in_every_sandbox! {
    async fn the_newest_backup_of_a_directory_is_verified_and_restored(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let dir = sandbox.path("backups");
        fs::create_dir(&dir).unwrap();
        for name in ["zebra.tar", "roster-29991231T000000.000Z.tar.gz"] {
            fs::write(dir.join(name), "not a backup of the directory").unwrap();
        }
        for arguments in [&["restore", "--verify", "backups"][..], &["restore", "backups/"]] {
            let none = sandbox.run(arguments).await;
            assert!(none.code == 1 && none.err.contains("has no backup that is named by its time"), "{none:?}");
        }
        fs::write(dir.join("roster-20200101T000000.000Z.tar"), "damaged").unwrap();
        assert_eq!(sandbox.run(&["backup", "backups"]).await.code, 0);
        let newest = backups(&dir).pop_last().unwrap();
        let line = format!("The newest backup is backups/{newest}.\nBackup of 1 user ");
        let verified = sandbox.run(&["restore", "--verify", "backups"]).await;
        assert!(verified.code == 0 && verified.err.is_empty() && verified.out.starts_with(&line), "{verified:?}");

        let other = another(&sandbox).await;
        let restored = other.run(&["restore", dir.to_str().unwrap()]).await;
        assert!(restored.code == 0 && restored.out.contains(&newest) && restored.out.contains("Restored 1 user "), "{restored:?}");
        other.serve(&[]).await.sign_in(ADMIN).await;

        let damaged = "roster-29991231T000000.000Z.tar";
        fs::write(dir.join(damaged), "damaged").unwrap();
        let refused = sandbox.run(&["restore", "--verify", "backups"]).await;
        assert!(refused.code == 1 && refused.out.contains(damaged), "no older one is taken: {refused:?}");
    }
}

#[tokio::test]
async fn a_backup_that_fails_removes_no_other() {
    let sandbox = Sandbox::on_sqlite();
    let dir = sandbox.path("backups");
    fs::create_dir(&dir).unwrap();
    let old = ["roster-20200101T000000.000Z.tar", "roster-20200102T000000.000Z.tar"];
    for name in old {
        fs::write(dir.join(name), name).unwrap();
    }
    let failed = sandbox.run(&["backup", "backups", "--keep", "1"]).await;
    assert!(failed.code == 1 && failed.err.contains("roster.db does not exist"), "{failed:?}");
    assert_eq!(backups(&dir), BTreeSet::from(old.map(str::to_owned)));
    assert_eq!(left_over(&dir), [""; 0]);
}

#[tokio::test]
async fn one_process_at_a_time_backs_up_to_a_directory() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    fs::create_dir(sandbox.path("backups")).unwrap();
    let lock = File::create(sandbox.path("backups/.roster-backup.lock")).unwrap();
    lock.lock().unwrap();
    let refused = sandbox.run(&["backup", "backups/"]).await;
    assert!(refused.code == 1 && refused.err.contains("another process is making a backup"), "{refused:?}");
    drop(lock);
    assert_eq!(sandbox.run(&["backup", "backups/"]).await.code, 0);
    let refused = sandbox.run(&["backup", "file.tar", "--keep", "2"]).await;
    assert!(refused.code == 2 && refused.err.contains("file.tar is not a directory"), "{refused:?}");
    let refused = sandbox.run(&["backup"]).await;
    assert!(refused.code == 2 && refused.err.contains("--backup-dir"), "{refused:?}");
    assert_eq!(sandbox.run(&["backup", "--backup-dir", "new/dir"]).await.code, 0);
    assert_eq!(backups(&sandbox.path("new/dir")).len(), 1);
}

in_every_sandbox! {
    async fn a_server_backs_up_by_itself(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let arguments = ["--backup-every", "6h", "--backup-dir", "backups", "--backup-keep", "3"];
        let mut server = sandbox.serve(&arguments).await;
        until(|| async { server.err().contains("created a backup").then_some(()) }).await.expect("a backup");
        server.signal("TERM");
        assert_eq!(server.code().await, 0, "{}", server.err());
        assert_eq!(backups(&sandbox.path("backups")).len(), 1);
        let doctor = sandbox.run(&[&["doctor"][..], &arguments].concat()).await;
        assert!(doctor.out.contains("every 6h to backups, 3 are kept") && doctor.out.contains("1 in all"), "{doctor:?}");
        assert!(!doctor.out.contains("failed backup"), "{doctor:?}");

        // None is due yet.
        let mut server = sandbox.serve(&arguments).await;
        server.signal("TERM");
        assert_eq!(server.code().await, 0, "{}", server.err());
        assert_eq!(backups(&sandbox.path("backups")).len(), 1);
    }

    async fn the_backups_of_a_schedule_are_measured(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let measured = [&MEASURED[..], &["--backup-every", "6h", "--backup-dir", "backups"]].concat();
        for made in [1.0, 0.0] {
            // The second server finds the backup of the first one.
            let mut server = sandbox.serve(&measured).await;
            let found = until(|| async {
                let found = scrape(&server).await;
                (found.value("roster_backup_last_success_timestamp_seconds", &[]) > 1.7e9).then_some(found)
            });
            let found = found.await.expect("the time of a backup");
            let counted = |outcome| found.value("roster_backups_total", &[("outcome", outcome)]);
            assert!((counted("success") - made).abs() < f64::EPSILON, "{found:?}");
            assert!(counted("failure").abs() < f64::EPSILON, "{found:?}");
            assert!((found.value("roster_backup_interval_seconds", &[]) - 21_600.0).abs() < f64::EPSILON, "{found:?}");
            let newest = sandbox.path("backups").join(backups(&sandbox.path("backups")).pop_last().unwrap());
            let size = f64::from(u32::try_from(fs::metadata(newest).unwrap().len()).unwrap());
            assert!((found.value("roster_backup_last_success_size_bytes", &[]) - size).abs() < f64::EPSILON, "{found:?}");
            server.signal("TERM");
            assert_eq!(server.code().await, 0, "{}", server.err());
        }
        let server = sandbox.serve(&MEASURED).await;
        let found = scrape(&server).await;
        assert!(!found.types.keys().any(|name| name.contains("backup")), "{found:?}");
    }
}

#[tokio::test]
async fn a_failed_backup_of_the_schedule_is_logged_and_shown() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    fs::write(sandbox.path("backups"), "a file where the directory should be").unwrap();
    let scheduled = ["--backup-every", "1m", "--backup-dir", "backups/below"];
    let mut server = sandbox.serve(&[&MEASURED[..], &scheduled].concat()).await;
    until(|| async { server.err().contains("failed to create a backup").then_some(()) }).await.expect("a failure");
    let noted = sandbox.path("roster-data/roster.failed-backup");
    until(|| async { noted.exists().then_some(()) }).await.expect("a note");
    let found = scrape(&server).await;
    assert!(found.value("roster_backups_total", &[("outcome", "failure")]) > 0.0, "{found:?}");
    assert!(found.value("roster_backup_last_success_timestamp_seconds", &[]).abs() < f64::EPSILON, "{found:?}");
    assert_eq!(server.status_of("/health/ready").await, 200);
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    let doctor = sandbox.run(&["doctor"]).await;
    assert!(doctor.code == 1 && doctor.out.contains("failed backup "), "{doctor:?}");
    fs::remove_file(sandbox.path("backups")).unwrap();
    let server = sandbox.serve(&scheduled).await;
    until(|| async { server.err().contains("created a backup").then_some(()) }).await.expect("a backup");
    until(|| async { (!noted.exists()).then_some(()) }).await.expect("no note");
}

#[tokio::test]
async fn a_schedule_without_a_directory_is_rejected() {
    let sandbox = Sandbox::on_sqlite();
    for arguments in [&["--backup-every", "6h"][..], &["--backup-every", "soon"], &["--backup-every", "1s"]] {
        let refused = sandbox.run(&[arguments, &["--listen", "127.0.0.1:0"]].concat()).await;
        assert!(refused.code == 2 && refused.err.contains("--backup-every"), "{refused:?}");
    }
    assert!(!sandbox.path("roster-data").exists());
}
