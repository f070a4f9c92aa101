//! `roster restore`: restores a backup where no database is, or verifies one.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::backup_command::described;
use super::config::{Restore, Settings};
use super::interruption::until_stopped;
use super::open::{DATA_DIR, WrongSetting, keys_with, unusable_key};
use super::output::{print_error, print_line};
use super::trial::{self, Trial};
use crate::auth::server_key::Key;
use crate::backup::directory::BackupDir;
use crate::backup::read::is_encrypted;
use crate::backup::restore::Backup;
use crate::backup::verify::{self, Verification};
use crate::backup::{Manifest, SecretString};
use crate::db::DatabaseSettings;
use crate::text::counted;

pub async fn restore(settings: &Settings, options: Restore) -> anyhow::Result<()> {
    let file = find_backup(&options.path)?;
    let passphrase = passphrase(settings, &file)?;
    Box::pin(until_stopped(restore_file(settings, options, file, passphrase))).await
}

/// Returns the file that is meant: the path, or the newest backup if it is a directory, which is named.
fn find_backup(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let newest = BackupDir::new(path.to_owned()).newest()?;
    let missing = || {
        anyhow::anyhow!(
            "{} has no backup that is named by its time, such as roster-20270131T031500.000Z.tar; name a file",
            path.display()
        )
    };
    let file = newest.ok_or_else(missing)?.file;
    print_line!("The newest backup is {}.", file.display())?;
    Ok(file)
}

async fn restore_file(
    settings: &Settings,
    options: Restore,
    file: PathBuf,
    passphrase: Option<SecretString>,
) -> anyhow::Result<()> {
    let backup = Backup::open(file, passphrase).await?;
    if options.verify {
        let scratch_url = options.scratch_url.or(options.scratch_url_in_file);
        return print_verification(settings, &backup, scratch_url).await;
    }
    let manifest = backup.manifest();
    let key = check_key(settings, manifest)?;
    backup.restore(&settings.database(DATA_DIR)).await?;
    let at = manifest.created_at.format("%Y-%m-%d %H:%M:%S UTC");
    print_line!("Restored {} as of {at}.", described(manifest))?;
    print_line!(
        "Nobody is signed in, and no link is valid. API keys are as they were: revoke those that must not work."
    )?;
    if let Some(advice) = key {
        print_line!("{advice}")?;
    }
    Ok(())
}

/// Returns the passphrase of a backup, and asks for it at a terminal if none is set.
fn passphrase(settings: &Settings, file: &Path) -> anyhow::Result<Option<SecretString>> {
    let set = settings.passphrase().map_err(WrongSetting)?;
    if set.is_some() || !is_encrypted(file)? || !std::io::stdin().is_terminal() {
        return Ok(set);
    }
    Ok(Some(rpassword::prompt_password("Passphrase of the backup: ")?.into()))
}

/// Checks that the configured key is the one that a backup needs. Returns advice if there is no key yet.
fn check_key(settings: &Settings, manifest: &Manifest) -> anyhow::Result<Option<String>> {
    let needed = manifest.needed_keys();
    if needed.is_empty() {
        return Ok(None);
    }
    let source = settings.key_source(DATA_DIR);
    let held = source.find().map_err(|error| unusable_key(&source, error))?;
    let Some(held) = held else {
        return Ok(Some(format!("Before the start, put {} in place: {source}.", keys_with(&needed))));
    };
    if needed.iter().all(|fingerprint| held.find(fingerprint).is_some()) {
        return Ok(None);
    }
    let actual: Vec<String> = held.all().map(Key::fingerprint_text).collect();
    Err(unusable_key(
        &source,
        format!(
            "the backup needs {}, but the fingerprint here is {}; put a copy of the key that belongs to the backup there, or \
             name it with --key-file (ROSTER_KEY_FILE)",
            keys_with(&needed),
            actual.join(" and ")
        ),
    )
    .into())
}

/// Tries to sign in to a restored database that has no problems so far.
async fn try_out(settings: &Settings, verification: &mut Verification) {
    let Some(db) = verification.db().filter(|_| verification.report.problems.is_empty()) else { return };
    let tried = trial::try_out(settings, db).await;
    match tried {
        Ok(Trial::Passed) => verification.report.note("sign-in of a new user, with the server key", Vec::new()),
        Ok(Trial::WithoutKey(reason)) => verification.report.skipped.push(format!("sign-in: {reason}")),
        Err(error) => verification.report.problems.push(format!("sign-in of a new user: {error:#}")),
    }
}

async fn print_verification(settings: &Settings, backup: &Backup, scratch_url: Option<String>) -> anyhow::Result<()> {
    let manifest = backup.manifest();
    let scratch = scratch_url.filter(|url| !url.is_empty());
    let scratch = scratch.map(|url| DatabaseSettings::new(url, settings.database_connections));
    print_line!(
        "Backup of {} ({}) as of {}, by Roster {}.",
        described(manifest),
        manifest.database.name(),
        manifest.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.roster
    )?;
    let mut verification = verify::verify(backup, scratch.as_ref()).await?;
    Box::pin(try_out(settings, &mut verification)).await;
    let report = verification.finish().await?;
    for check in &report.passed {
        print_line!("ok           {check}")?;
    }
    for check in &report.skipped {
        print_line!("not checked  {check}")?;
    }
    let needed = manifest.needed_keys();
    if !needed.is_empty() {
        print_line!("It needs {}.", keys_with(&needed))?;
    }
    report.problems.iter().for_each(|problem| print_error(settings.log_format, problem));
    anyhow::ensure!(
        report.problems.is_empty(),
        "verification of the backup failed: {}",
        counted(report.problems.len(), "problem", "problems")
    );
    Ok(())
}
