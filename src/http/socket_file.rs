//! The file of a Unix socket.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{Error, ErrorKind, Result},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use crate::private_file;

/// The permissions of the file. Whoever may write to it can connect, and is believed for whom they ask: the user of the server, and
/// a proxy in its group.
const MODE: u32 = 0o660;

/// The file of a Unix socket, removed when it is dropped, unless another process has replaced it meanwhile.
pub struct SocketFile {
    path: PathBuf,
    /// The device and the number of the file, which tell it from another one at the same path.
    identity: (u64, u64),
    /// Locked as long as the file is in use. A socket that is bound and does not listen yet looks as if it were left behind.
    _lock: File,
}

impl SocketFile {
    /// Removes a socket that no process uses, and creates another one by `bind`.
    ///
    /// # Errors
    /// `AddrInUse` if a process uses it, `AlreadyExists` if the file is no socket; errors of the system.
    pub fn create(path: &Path, bind: impl FnOnce() -> Result<()>) -> Result<Self> {
        let lock = lock_beside(path)?;
        remove_stale(path)?;
        bind()?;
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok(Self { path: path.to_owned(), identity: identity(path)?, _lock: lock })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = identity(&self.path).is_ok_and(|identity| identity == self.identity);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "failed to remove the socket");
        }
    }
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Locks the file beside a socket, which stays when the socket is removed.
fn lock_beside(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = private_file::open_or_make(Path::new(&name))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn in_use() -> Error {
    Error::new(ErrorKind::AddrInUse, "another process listens on this socket")
}

fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket")),
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(in_use()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::bind_unix;

    #[tokio::test]
    async fn a_socket_is_not_taken_from_a_process_that_does_not_listen_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roster.sock");
        let first = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
        assert!(path.exists());
        drop(first);
        assert!(!path.exists() && bind_unix(&path).is_ok());
    }
}
