//! The socket that the server listens on, and the file descriptors that its connections need.

use std::{io::Result, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Maximum number of connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// Number of file descriptors for everything but HTTP connections.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 512;

/// Binds a port without accepting connections yet.
pub fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that restarts gets its port although connections of the previous process linger.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Starts to accept connections.
pub fn listen(socket: TcpSocket) -> Result<TcpListener> {
    socket.listen(BACKLOG)
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
