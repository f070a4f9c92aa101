//! `roster backup`: backs up the directory to a file.

use std::io::IsTerminal;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use indicatif::HumanBytes;

use super::config::{Backup, Settings};
use super::interruption::until_stopped;
use super::open::{DATA_DIR, WrongSetting, keys_with};
use super::output::print_line;
use crate::backup::create::{Created, create_file};
use crate::backup::directory::BackupDir;
use crate::backup::{Manifest, SecretString};
use crate::db::DatabaseSettings;

pub async fn back_up(settings: &Settings, backup: &Backup) -> anyhow::Result<()> {
    let target = Target::of(settings, backup)?;
    let passphrase = match settings.passphrase().map_err(WrongSetting)? {
        None if backup.encrypt => Some(ask_for_new_passphrase()?),
        passphrase => passphrase,
    };
    let is_encrypted = passphrase.is_some();
    let database = settings.database(DATA_DIR);
    let created = Box::pin(until_stopped(create(&database, target, passphrase, backup.keep))).await?;
    Ok(print_created(&created, is_encrypted)?)
}

async fn create(
    database: &DatabaseSettings,
    target: Target,
    passphrase: Option<SecretString>,
    keep: Option<u32>,
) -> anyhow::Result<Created> {
    let dir = match target {
        Target::File(file) => return create_file(database, file, passphrase).await,
        Target::Dir(dir) => dir,
    };
    let rotation = dir.create(database, passphrase, keep.map(|keep| keep as usize)).await?;
    let busy = || anyhow::anyhow!("another process is making a backup in {}; try again later", dir.path().display());
    let rotation = rotation.ok_or_else(busy)?;
    for file in &rotation.removed {
        print_line!("Removed {}.", file.display())?;
    }
    Ok(rotation.created)
}

/// The place of a new backup.
enum Target {
    File(PathBuf),
    Dir(BackupDir),
}

impl Target {
    fn of(settings: &Settings, backup: &Backup) -> Result<Self, WrongSetting> {
        let names_dir = |path: &Path| path.is_dir() || path.to_string_lossy().ends_with(MAIN_SEPARATOR);
        match (&backup.path, &settings.backups.backup_dir) {
            (None, None) => Err(WrongSetting("FILE|DIR: required without --backup-dir (ROSTER_BACKUP_DIR)".to_owned())),
            (None, Some(dir)) => Ok(Self::Dir(BackupDir::new(dir.clone()))),
            (Some(path), _) if names_dir(path) => Ok(Self::Dir(BackupDir::new(path.clone()))),
            (Some(path), _) if backup.keep.is_some() => {
                Err(WrongSetting(format!("--keep: {} is not a directory of backups", path.display())))
            }
            (Some(path), _) => Ok(Self::File(path.clone())),
        }
    }
}

fn print_created(created: &Created, is_encrypted: bool) -> std::io::Result<()> {
    let Created { file, size, manifest } = created;
    let encrypted = if is_encrypted { ", encrypted" } else { "" };
    print_line!("Backed up {} to {} ({}{encrypted}).", described(manifest), file.display(), HumanBytes(*size))?;
    match manifest.needed_keys().as_slice() {
        [] => {}
        [only] => print_line!(
            "It needs the server key with the fingerprint {only}, which is not in it: keep that elsewhere."
        )?,
        several => print_line!("It needs {}, which are not in it: keep them elsewhere.", keys_with(several))?,
    }
    Ok(())
}

/// Describes what is in a backup.
pub(super) fn described(manifest: &Manifest) -> String {
    let users = manifest.count("users");
    let nouns = if users == 1 { "user" } else { "users" };
    format!("{users} {nouns} and the audit trail up to event {}", manifest.last_event)
}

fn ask_for_new_passphrase() -> anyhow::Result<SecretString> {
    let missing = "--encrypt: there is no terminal to ask at; set --passphrase-file or ROSTER_PASSPHRASE";
    if !std::io::stdin().is_terminal() {
        return Err(WrongSetting(missing.to_owned()).into());
    }
    let passphrase = rpassword::prompt_password("Passphrase of the backup: ")?;
    anyhow::ensure!(!passphrase.is_empty(), "the passphrase is empty");
    let again = rpassword::prompt_password("The same passphrase again: ")?;
    anyhow::ensure!(passphrase == again, "the two passphrases differ");
    Ok(passphrase.into())
}
