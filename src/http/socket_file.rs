//! The file of a Unix socket.

use std::{
    fs::{self, Permissions},
    io::{Error, ErrorKind, Result},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// The permissions of the file. Whoever may write to it can connect, and is believed for whom they ask: the user of the server, and
/// a proxy in its group.
const MODE: u32 = 0o660;

/// The file of a Unix socket, removed when it is dropped, unless another process has replaced it meanwhile.
pub struct SocketFile {
    path: PathBuf,
    /// The device and the number of the file, which tell it from another one at the same path.
    identity: (u64, u64),
}

impl SocketFile {
    /// Removes a socket that no process listens on, and creates another one by `bind`.
    ///
    /// # Errors
    /// `AddrInUse` if a process listens, `AlreadyExists` if the file is no socket; errors of the system.
    pub fn create(path: &Path, bind: impl FnOnce() -> Result<()>) -> Result<Self> {
        remove_stale(path)?;
        bind()?;
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
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
        Ok(_) => Err(Error::new(ErrorKind::AddrInUse, "another process listens on this socket")),
    }
}
