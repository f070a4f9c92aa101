//! Files and directories with personal data or secrets: only their owner can read them, whatever the umask is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write as _};
use std::path::Path;

use tempfile::TempDir;

/// The mode of a private file.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
/// The mode of a private directory.
#[cfg(unix)]
const DIR_MODE: u32 = 0o700;
/// The permission bits of all users but the owner.
#[cfg(unix)]
const OTHERS: u32 = 0o077;
/// The permission bits of all users but the owner and the group.
#[cfg(unix)]
const OUTSIDE_GROUP: u32 = 0o007;
/// The variable with the directory of the credentials that systemd gives to a service.
#[cfg(unix)]
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Returns whether an error says that a file, or its directory, does not exist.
#[must_use]
pub fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Creates a directory and its missing parents.
///
/// # Errors
/// Those of the file system.
pub fn make_dir(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIR_MODE);
    builder.recursive(true).create(dir)
}

/// Creates a temporary directory in another one, which is removed with its content when it is dropped.
///
/// # Errors
/// Those of the file system.
pub fn make_temp_dir(parent: &Path, prefix: &str) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(DIR_MODE));
    builder.tempdir_in(parent)
}

/// Returns the directory of a file.
#[must_use]
pub fn dir_of(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name of a new file durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_dir_of(file: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(dir_of(file))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Replaces the content of a file, or creates it. After a power failure, the file has the old content or the new one.
///
/// # Errors
/// Those of the file system.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    // Private, whatever the umask is.
    let mut file = tempfile::NamedTempFile::new_in(dir_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir_of(path)
}

/// Creates a file, which must not exist, and opens it for writing.
///
/// # Errors
/// `AlreadyExists`, and others of the file system.
pub fn make(path: &Path) -> Result<File> {
    write_options().create_new(true).open(path)
}

/// Returns options for writing. A file that they create is private.
fn write_options() -> OpenOptions {
    let mut options = File::options();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options
}

/// Writes a file; creates it if it does not exist, and replaces its content otherwise.
///
/// # Errors
/// Those of the file system, also if the access of other users to an existing file cannot be removed. Nothing is written then.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = write_options().create(true).truncate(true).open(path)?;
    #[cfg(unix)]
    if path.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE))?;
    }
    file.write_all(content)
}

/// Opens a file for writing; creates it if it does not exist. If the access of other users to an existing file cannot be removed,
/// this only logs a warning, because some file systems have no modes.
///
/// # Errors
/// Those of the file system.
pub fn open_or_make(path: &Path) -> Result<File> {
    match make(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            restrict(path);
            write_options().open(path)
        }
        result => result,
    }
}

/// Removes the access of users other than the owner from a file, if it exists, and logs a warning. Devices such as `/dev/null` belong
/// to everybody.
pub fn restrict(path: &Path) {
    #[cfg(unix)]
    if let Some(mode) = mode_for_others(path).filter(|_| path.is_file()) {
        let restricted = std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE));
        let (file, mode) = (path.display(), format!("{mode:04o}"));
        match restricted {
            Ok(()) => tracing::warn!(%file, mode, "other users could read this file; changed its mode to 0600"),
            Err(error) => tracing::warn!(%file, mode, %error, "other users can read this file"),
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Returns the mode of a file or directory if users other than its owner have any access; otherwise `None`.
#[must_use]
pub fn mode_for_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        let permissions = std::fs::metadata(path).ok()?.permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o7777;
        // Credentials belong to root, and the service reads them by an access list, which a mode shows in the place of the group.
        let others = if is_credential(path) { OUTSIDE_GROUP } else { OTHERS };
        (mode & others != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Returns whether a file is a credential that systemd gives to this process.
#[cfg(unix)]
fn is_credential(path: &Path) -> bool {
    let dir = std::env::var_os(CREDENTIALS_DIRECTORY).filter(|dir| !dir.is_empty());
    dir.is_some_and(|dir| path.starts_with(dir))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_mode_of_a_file_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Command::new("mkfifo").args(["-m", "644"]).arg(&pipe).status().unwrap().success());
        restrict(&file);
        restrict(&pipe);
        let modes = [&file, &pipe].map(|path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o600, 0o644]);
    }
}
