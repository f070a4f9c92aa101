//! The socket that the server listens on, and the file descriptors that its connections need.

#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(windows)]
use std::os::windows::io::AsSocket;
#[cfg(unix)]
use std::path::Path;
use std::{io::Result, net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixSocket, UnixStream};
#[cfg(unix)]
use tokio_util::either::Either;

#[cfg(unix)]
use super::socket_file::SocketFile;

/// Maximum number of connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// Number of file descriptors for everything but HTTP connections.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 512;

/// A connection.
#[cfg(unix)]
pub type Socket = Either<TcpStream, UnixStream>;
#[cfg(not(unix))]
pub type Socket = TcpStream;

/// A socket that is bound and does not accept connections yet.
pub enum BoundSocket {
    Tcp(TcpSocket),
    #[cfg(unix)]
    Unix(UnixSocket, SocketFile),
}

impl BoundSocket {
    /// Returns the address and port; `None` for a Unix socket.
    ///
    /// # Errors
    /// If the system does not know them.
    pub fn local_addr(&self) -> Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Some),
            #[cfg(unix)]
            Self::Unix(..) => Ok(None),
        }
    }
}

/// A socket that connections are accepted from.
pub enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, Arc<SocketFile>),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Listener {
    /// Returns another listener on the same socket.
    ///
    /// # Errors
    /// If the process has too many open files.
    pub fn try_clone(&self) -> Result<Self> {
        match self {
            Self::Tcp(listener) => {
                #[cfg(unix)]
                let socket = listener.as_fd().try_clone_to_owned()?;
                #[cfg(windows)]
                let socket = listener.as_socket().try_clone_to_owned()?;
                TcpListener::from_std(socket.into()).map(Self::Tcp)
            }
            #[cfg(unix)]
            Self::Unix(listener, file) => {
                let socket = listener.as_fd().try_clone_to_owned()?;
                Ok(Self::Unix(UnixListener::from_std(socket.into())?, Arc::clone(file)))
            }
        }
    }

    /// Returns the address and port; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    /// Returns the next connection, and the address of its peer; `None` for a Unix socket.
    ///
    /// # Errors
    /// If the system cannot accept a connection.
    pub async fn accept(&self) -> Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "failed to set TCP_NODELAY"); // the peer has already disconnected
                }
                #[cfg(unix)]
                let stream = Either::Left(stream);
                Ok((stream, Some(peer)))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok((Either::Right(listener.accept().await?.0), None)),
        }
    }
}

/// Binds a port without accepting connections yet.
pub fn bind(address: SocketAddr) -> Result<BoundSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that restarts gets its port although connections of the previous process linger.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(BoundSocket::Tcp(socket))
}

/// Creates a Unix socket without accepting connections yet. It replaces one that a process has left behind.
///
/// # Errors
/// If another process listens on it, or there is a file of another kind.
#[cfg(unix)]
pub fn bind_unix(path: &Path) -> Result<BoundSocket> {
    let socket = UnixSocket::new_stream()?;
    let file = SocketFile::create(path, || socket.bind(path))?;
    Ok(BoundSocket::Unix(socket, file))
}

/// Starts to accept connections.
pub fn listen(socket: BoundSocket) -> Result<Listener> {
    match socket {
        BoundSocket::Tcp(socket) => socket.listen(BACKLOG).map(Listener::Tcp),
        #[cfg(unix)]
        BoundSocket::Unix(socket, file) => Ok(Listener::Unix(socket.listen(BACKLOG)?, Arc::new(file))),
    }
}

/// Raises the limit on open files of the process to what this many connections need, as far as the system allows, and logs a
/// warning if that is not enough.
pub fn allow_descriptors(max_connections: usize) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let needed = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
        let limit = getrlimit(Resource::Nofile);
        if limit.current.is_none_or(|current| current >= needed) {
            return;
        }
        let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
        if raised < needed || set.is_err() {
            let open_files = limit.maximum.unwrap_or(raised);
            tracing::warn!(open_files, needed, "the limit of open files is too low for --max-connections");
        }
    }
    #[cfg(not(unix))]
    let _ = max_connections;
}
