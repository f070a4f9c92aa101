//! Working directories: private directories for whole databases, removed when they are no longer needed.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::db::{self, DatabaseSettings};
use crate::private_file;

/// The beginning of the names of working directories.
const PREFIX: &str = ".roster-work-";
/// The file in a working directory whose lock its process holds.
const LOCK: &str = "lock";
/// The age from which a working directory without a lock file is left over. A younger one may just be being created.
const MAX_AGE_WITHOUT_LOCK: Duration = Duration::from_hours(1);
/// The number of attempts to create a working directory that no other process takes for one that is left over.
const ATTEMPTS: usize = 3;

/// A working directory, which is removed with its content when it is dropped, or by the next process if this one is killed.
pub(super) struct WorkDir {
    dir: TempDir,
    _lock: File,
}

impl WorkDir {
    /// Creates a working directory in another directory, from which those of killed processes are removed first.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn new_in(parent: &Path) -> anyhow::Result<Self> {
        remove_left_over(parent);
        create_in(parent).with_context(|| parent.display().to_string())
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Returns the directory in which a database is copied for a backup. That is the directory of the backup, unless the backup is
/// encrypted: then nobody is to find a readable copy there, and the copy is made beside the database, or for PostgreSQL in the
/// directory for temporary files.
pub(super) fn parent_of_copy(database: &DatabaseSettings, backup: &Path, is_encrypted: bool) -> PathBuf {
    if !is_encrypted {
        return private_file::dir_of(backup).to_owned();
    }
    db::file_of(&database.url).map_or_else(std::env::temp_dir, |file| private_file::dir_of(&file).to_owned())
}

fn create_in(parent: &Path) -> io::Result<WorkDir> {
    for _ in 0..ATTEMPTS {
        let dir = private_file::make_temp_dir(parent, PREFIX)?;
        let path = dir.path().join(LOCK);
        let lock = private_file::make(&path)?;
        match lock.try_lock() {
            // Another process may have removed the directory before it was locked.
            Ok(()) if path.exists() => return Ok(WorkDir { dir, _lock: lock }),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("another process removes the working directories"))
}

/// Returns the working directories that killed processes have left in a directory. Each may have a readable copy of the database.
#[must_use]
pub fn left_over_in(parent: &Path) -> Vec<PathBuf> {
    find_left_over(parent).flatten().map(|left_over| left_over.dir).collect()
}

/// Removes the working directories that killed processes have left in a directory.
fn remove_left_over(parent: &Path) {
    let remove = |left_over: LeftOver| fs::remove_dir_all(&left_over.dir);
    for removed in find_left_over(parent).map(|found| found.and_then(remove)) {
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, parent = %parent.display(), "failed to remove the files of an unfinished backup");
        }
    }
}

/// A working directory that a killed process has left.
struct LeftOver {
    dir: PathBuf,
    /// Locked, so that no other process takes the directory for its own. `None` if it has no lock file.
    _lock: Option<File>,
}

fn find_left_over(parent: &Path) -> impl Iterator<Item = io::Result<LeftOver>> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)));
    named.filter_map(|entry| left_over(&entry).transpose())
}

/// Returns a directory if it is left over.
fn left_over(entry: &DirEntry) -> io::Result<Option<LeftOver>> {
    let (dir, metadata) = (entry.path(), entry.metadata()?);
    if !metadata.is_dir() || !is_own(&metadata) {
        return Ok(None);
    }
    let lock = match File::options().write(true).open(dir.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            return Ok((age > MAX_AGE_WITHOUT_LOCK).then_some(LeftOver { dir, _lock: None }));
        }
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(LeftOver { dir, _lock: Some(lock) })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns whether a file belongs to the user of this process: a directory for temporary files has those of others, too.
fn is_own(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        true
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn directories_of_killed_processes_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        let in_use = WorkDir::new_in(parent.path()).unwrap();
        for (name, has_lock) in [(".roster-work-killed", true), (".roster-work-new", false), (".other", true)] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("copy"), "personal data").unwrap();
            if has_lock {
                fs::write(path(name).join(LOCK), "").unwrap();
            }
        }
        std::os::unix::fs::symlink(path(".other"), path(".roster-work-link")).unwrap();
        let another = WorkDir::new_in(parent.path()).unwrap();
        assert!(!path(".roster-work-killed").exists());
        for kept in [in_use.path().to_owned(), another.path().to_owned(), path(".roster-work-new"), path(".other/copy")]
        {
            assert!(kept.exists(), "{}", kept.display());
        }
        let (first, second) = (in_use.path().to_owned(), another.path().to_owned());
        drop((in_use, another));
        assert!(!first.exists() && !second.exists());
    }

    #[test]
    fn the_copy_for_an_encrypted_backup_is_not_made_beside_it() {
        let sqlite = DatabaseSettings::new("sqlite:///var/lib/roster/roster.db".to_owned(), 1);
        let postgres = DatabaseSettings::new("postgres://db.example.org/roster".to_owned(), 1);
        let backup = Path::new("/backup/roster.tar.age");
        assert_eq!(parent_of_copy(&sqlite, backup, true), Path::new("/var/lib/roster"));
        assert_eq!(parent_of_copy(&postgres, backup, true), std::env::temp_dir());
        for database in [sqlite, postgres] {
            assert_eq!(parent_of_copy(&database, backup, false), Path::new("/backup"));
        }
    }
}
