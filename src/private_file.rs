//! Files and directories with data about people: nobody but their owner reads them, whatever the umask is.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Who may read a file that is private.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
/// Everybody but the owner.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Makes a directory, and those above it, if there is none.
///
/// # Errors
/// What the system says.
pub fn make_dir(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// Makes a file, which must not be there yet, and opens it for writing.
///
/// # Errors
/// What the system says.
pub fn make(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options.open(path)
}

/// Opens a file for writing; it is made if there is none.
///
/// # Errors
/// What the system says.
pub fn open_or_make(path: &Path) -> Result<File> {
    match make(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            narrow(path);
            File::options().write(true).open(path)
        }
        made => made,
    }
}

/// Takes away from everybody but its owner what they may do with a file, if there is one, and says so in the log.
pub fn narrow(path: &Path) {
    #[cfg(unix)]
    if let Some(mode) = mode_for_others(path) {
        let narrowed = std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE));
        let (file, mode) = (path.display(), format!("{mode:04o}"));
        match narrowed {
            Ok(()) => tracing::warn!(%file, mode, "other users could read this file; changed its mode to 0600"),
            Err(error) => tracing::warn!(%file, mode, %error, "other users can read this file"),
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The mode of a file or directory of which others than its owner may do anything; none if they may not.
#[must_use]
pub fn mode_for_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        let permissions = std::fs::metadata(path).ok()?.permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o7777;
        (mode & OTHERS != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}
