//! The schedule of backups, and what is in their directory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::findings::{Findings, NOT_STARTING};
use crate::backup::directory::{BackupDir, NamedBackup};
use crate::cli::backup_schedule::FailedBackup;
use crate::cli::config::Settings;
use crate::cli::open::DATA_DIR;
use crate::cli::output::print_line;
use crate::scalar::now;
use crate::{backup, db, private_file};

/// The number of intervals after which a backup is overdue. A failure is retried within one.
const OVERDUE_INTERVALS: u32 = 2;

/// Prints the schedule of backups, and the state of their directory.
pub(super) fn print_backups(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let backups = &settings.backups;
    let (every, keep) = (backups.backup_every.map(humantime::format_duration), backups.backup_keep);
    match (&every, &backups.backup_dir) {
        (Some(every), Some(dir)) => {
            let encrypted = describe_encryption(settings, findings);
            print_line!("backups               every {every} to {}, {keep} are kept{encrypted}", dir.display())?;
        }
        (Some(every), None) => {
            print_line!("backups               every {every}, but there is no --backup-dir")?;
            findings
                .problem("--backup-every (ROSTER_BACKUP_EVERY) has no --backup-dir (ROSTER_BACKUP_DIR)", NOT_STARTING);
        }
        (None, _) => print_line!("backups               not scheduled")?,
    }
    if let Some(dir) = &backups.backup_dir {
        let made = BackupDir::new(dir.clone()).list()?;
        match made.last() {
            Some(last) => {
                let at = last.at.format("%Y-%m-%d %H:%M:%S UTC");
                print_line!("last backup           {at}, {} bytes; {} in all", last.size, made.len())?;
                check_age(last, backups.backup_every, findings);
            }
            None => print_line!("last backup           none yet")?,
        }
    }
    if let Some(failed) = FailedBackup::read(&settings.data_dir(DATA_DIR))? {
        let FailedBackup { at, error } = failed;
        let at = at.format("%Y-%m-%d %H:%M:%S UTC");
        print_line!("failed backup         {at}: {error}")?;
        findings.problem(
            format!("the last backup of the schedule has failed, at {at}: {error}"),
            "remove the cause; the server tries again within five minutes",
        );
    }
    print_left_over(settings, findings)
}

fn describe_encryption(settings: &Settings, findings: &mut Findings) -> &'static str {
    match settings.passphrase() {
        Ok(Some(_)) => ", encrypted",
        Ok(None) => "",
        Err(reason) => {
            findings.problem(reason, NOT_STARTING);
            ""
        }
    }
}

fn check_age(last: &NamedBackup, every: Option<Duration>, findings: &mut Findings) {
    let Some(every) = every else { return };
    let age = (now() - last.at).to_std().unwrap_or_default();
    if age > every * OVERDUE_INTERVALS {
        let (at, every) = (last.at.format("%Y-%m-%d %H:%M:%S UTC"), humantime::format_duration(every));
        findings.problem(
            format!("the newest backup is from {at}, but one is due every {every}"),
            "look whether a server with this schedule runs, and what its log says about backups",
        );
    }
}

/// Prints the directories that killed processes have left in the places where copies of the database are made.
fn print_left_over(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let database = db::file_of(&settings.database(DATA_DIR).url);
    let beside_database = database.map(|file| private_file::dir_of(&file).to_owned());
    let places = [beside_database, settings.backups.backup_dir.clone(), Some(std::env::temp_dir())];
    let places: BTreeSet<PathBuf> = places.into_iter().flatten().collect();
    for dir in places.iter().flat_map(|place| backup::left_over_in(place)) {
        let advice =
            "of a command that was killed; it may have a copy of the database, and the next backup there removes it";
        print_line!("left over             {}: {advice}", dir.display())?;
        findings.warn(
            format!("a command that was killed has left {}, which may have a copy of the database", dir.display()),
            "remove it; the next backup there does so, too",
        );
    }
    Ok(())
}
