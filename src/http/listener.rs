//! The listener: accepts a limited number of connections.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use super::{
    connections::{Connection, ConnectionRegistry, Limits, RESERVED},
    stream::{Stream, Timeouts},
};

/// The pause after a connection cannot be accepted, most likely for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The same, if a connection was closed to make room.
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// Maximum number of connections that are being closed and have not ended yet; each ends as soon as its task runs.
const MAX_CLOSING: usize = 64;

/// A listener that accepts a limited number of TCP connections.
pub struct LimitedListener {
    listener: TcpListener,
    local: SocketAddr,
    /// Limits the file descriptors, including those of connections that are being closed.
    descriptors: Arc<Semaphore>,
    timeouts: Timeouts,
    connections: ConnectionRegistry,
}

impl LimitedListener {
    pub fn new(listener: TcpListener, limits: Limits, timeouts: Timeouts) -> Result<Self> {
        let local = listener.local_addr()?;
        let descriptors = limits.max.saturating_add(RESERVED + MAX_CLOSING).min(Semaphore::MAX_PERMITS);
        let descriptors = Arc::new(Semaphore::new(descriptors));
        Ok(Self { listener, local, descriptors, timeouts, connections: ConnectionRegistry::new(limits) })
    }

    pub fn connections(&self) -> ConnectionRegistry {
        self.connections.clone()
    }

    /// Returns the next connection. poem's loop would spin on an error, so this waits instead.
    async fn next(&self) -> (TcpStream, SocketAddr) {
        let mut is_failing = false;
        loop {
            match self.listener.accept().await {
                Ok(connection) => return connection,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "failed to accept connections");
                    }
                    is_failing = true;
                    sleep(if self.connections.close_one() { SHORT_PAUSE } else { PAUSE }).await;
                }
            }
        }
    }

    /// Returns the next connection for which there is room; closes the others.
    async fn next_admitted(&self) -> (TcpStream, SocketAddr, Arc<Connection>) {
        loop {
            let (stream, peer) = self.next().await;
            if let Some(connection) = self.connections.admit(peer.ip()) {
                return (stream, peer, connection);
            }
            tracing::debug!(%peer, "the connection limit is reached; closing a new connection");
        }
    }
}

/// Returns whether an error concerns only the connection that was about to be accepted.
fn concerns_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

impl Acceptor for LimitedListener {
    type Io = Stream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> Result<(Stream, LocalAddr, RemoteAddr, Scheme)> {
        let descriptor = Arc::clone(&self.descriptors).acquire_owned().await.map_err(Error::other)?;
        let (stream, peer, connection) = self.next_admitted().await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY"); // the peer has already disconnected
        }
        let local = connection.address();
        let stream = Stream::new(stream, self.timeouts, connection, self.connections(), descriptor);
        Ok((stream, local, RemoteAddr(peer.into()), Scheme::HTTP))
    }
}
