//! A directory of backups that are named by their times.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDateTime, Utc};

use super::SecretString;
use super::create::{Created, create_file};
use crate::db::DatabaseSettings;
use crate::private_file;
use crate::scalar::now;

/// The file whose lock a process holds while it makes a backup in the directory.
const LOCK: &str = ".roster-backup.lock";
/// The names of backups: `roster-20270131T031500.000Z.tar`, with `.age` if encrypted.
const PREFIX: &str = "roster-";
const TIME_FORMAT: &str = "%Y%m%dT%H%M%S%.3fZ";
const SUFFIX: &str = ".tar";
const ENCRYPTED_SUFFIX: &str = ".tar.age";

/// A directory of backups.
#[derive(Clone, Debug)]
pub struct BackupDir(PathBuf);

/// A backup in a directory, by its name.
#[derive(Clone, Debug)]
pub struct NamedBackup {
    pub file: PathBuf,
    pub at: DateTime<Utc>,
    /// The length of the file in bytes.
    pub size: u64,
}

/// The result of a backup into a directory.
#[derive(Debug)]
pub struct Rotation {
    pub created: Created,
    /// The older backups that were removed.
    pub removed: Vec<PathBuf>,
}

impl BackupDir {
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Returns the path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the backups in the directory by their names, the oldest first. Other files are not backups, whatever they contain.
    ///
    /// # Errors
    /// That the directory cannot be read. One that does not exist has no backups.
    pub fn list(&self) -> anyhow::Result<Vec<NamedBackup>> {
        if !self.0.exists() {
            return Ok(Vec::new());
        }
        let mut backups = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(|| self.0.display().to_string())? {
            let entry = entry?;
            let Some(at) = entry.file_name().to_str().and_then(time_in_name) else { continue };
            let metadata = match entry.metadata() {
                // Another process may have removed the oldest ones meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_file() {
                backups.push(NamedBackup { file: entry.path(), at, size: metadata.len() });
            }
        }
        backups.sort_by_key(|backup| backup.at);
        Ok(backups)
    }

    /// Returns the newest backup in the directory by its name, if there is one.
    ///
    /// # Errors
    /// That the directory cannot be read.
    pub fn newest(&self) -> anyhow::Result<Option<NamedBackup>> {
        Ok(self.list()?.pop())
    }

    /// Makes a backup in the directory, which is created if needed. Afterwards only the `keep` newest are left, with the new one,
    /// which has been read again by then. Returns `None` if another process is making one.
    ///
    /// # Errors
    /// That no backup could be made; none is removed then.
    pub async fn create(
        &self,
        database: &DatabaseSettings,
        passphrase: Option<SecretString>,
        keep: Option<usize>,
    ) -> anyhow::Result<Option<Rotation>> {
        private_file::make_dir(&self.0).with_context(|| self.0.display().to_string())?;
        let Some(_lock) = self.lock().with_context(|| self.0.display().to_string())? else { return Ok(None) };
        let suffix = if passphrase.is_some() { ENCRYPTED_SUFFIX } else { SUFFIX };
        let file = self.0.join(format!("{PREFIX}{}{suffix}", now().format(TIME_FORMAT)));
        let created = create_file(database, file, passphrase).await?;
        let removed = match keep {
            Some(keep) => self.remove_all_but(keep, &created.file)?,
            None => Vec::new(),
        };
        Ok(Some(Rotation { created, removed }))
    }

    /// Locks the directory; `None` if another process has locked it. The lock is held until the returned file is dropped.
    fn lock(&self) -> std::io::Result<Option<File>> {
        let lock = private_file::open_or_make(&self.0.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn remove_all_but(&self, keep: usize, newest: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for backup in self.list()?.into_iter().rev().skip(keep) {
            // The clock may have been set back: the new backup is the only one known to be good.
            if backup.file != newest {
                fs::remove_file(&backup.file).with_context(|| backup.file.display().to_string())?;
                removed.push(backup.file);
            }
        }
        Ok(removed)
    }
}

/// Returns the time in the name of a backup; `None` for any other name.
fn time_in_name(name: &str) -> Option<DateTime<Utc>> {
    let time = name.strip_prefix(PREFIX)?;
    let time = time.strip_suffix(ENCRYPTED_SUFFIX).or_else(|| time.strip_suffix(SUFFIX))?;
    let at = NaiveDateTime::parse_from_str(time, TIME_FORMAT).ok()?.and_utc();
    // Any other spelling is that of somebody else's file.
    (at.format(TIME_FORMAT).to_string() == time).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_backups() {
        let at = time_in_name("roster-20270131T031500.123Z.tar").unwrap();
        assert_eq!(at.to_rfc3339(), "2027-01-31T03:15:00.123+00:00");
        assert_eq!(time_in_name("roster-20270131T031500.123Z.tar.age"), Some(at));
        for name in [
            "roster.tar",
            "roster-20270131T031500.123Z",
            "roster-20270131T031500.123Z.tar.gz",
            "roster-20270131T031500Z.tar",
            "roster-2027013T031500.123Z.tar",
            "roster-20271331T031500.123Z.tar",
            "copy of roster-20270131T031500.123Z.tar",
            ".roster-work-x",
        ] {
            assert_eq!(time_in_name(name), None, "{name}");
        }
    }
}
