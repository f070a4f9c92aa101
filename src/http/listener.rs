//! The listener: accepts a limited number of connections.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use poem::{
    Addr,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    caller::UNIX_PEER,
    connections::{Connection, ConnectionRegistry, Limits, RESERVED},
    maybe_tls::MaybeTlsStream,
    metrics::HttpMetrics,
    outcome::Bound,
    socket::{Listener, Socket},
    stream::{Stream, Timeouts},
    tls::Tls,
};
use crate::repeated::Repeated;

/// The pause after a connection cannot be accepted, most likely for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The same, if a connection was closed to make room.
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// Maximum number of connections that are being closed and have not ended yet; each ends as soon as its task runs.
const MAX_CLOSING: usize = 64;

/// A listener that accepts a limited number of connections.
pub struct LimitedListener {
    listener: Listener,
    tls: Option<Tls>,
    /// Limits the file descriptors, including those of connections that are being closed.
    descriptors: Arc<Semaphore>,
    timeouts: Timeouts,
    connections: ConnectionRegistry,
    metrics: HttpMetrics,
    failures: Repeated,
}

impl LimitedListener {
    pub fn new(listener: Listener, limits: Limits, timeouts: Timeouts, metrics: HttpMetrics) -> Self {
        let descriptors = limits.max.saturating_add(RESERVED + MAX_CLOSING).min(Semaphore::MAX_PERMITS);
        let descriptors = Arc::new(Semaphore::new(descriptors));
        let connections = ConnectionRegistry::new(limits, metrics.connections_closed());
        Self { listener, tls: None, descriptors, timeouts, connections, metrics, failures: Repeated::new() }
    }

    /// Encrypts the connections, if there is a certificate.
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    pub fn connections(&self) -> ConnectionRegistry {
        self.connections.clone()
    }

    /// Returns the next connection. poem's loop would spin on an error, so this waits instead.
    async fn next(&self) -> (Socket, Option<SocketAddr>) {
        loop {
            match self.listener.accept().await {
                Ok(connection) => return connection,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if let Some(times) = self.failures.count() {
                        tracing::warn!(%error, times, "failed to accept connections");
                    }
                    sleep(if self.connections.close_one() { SHORT_PAUSE } else { PAUSE }).await;
                }
            }
        }
    }

    /// Returns the next connection for which there is room; closes the others.
    async fn next_admitted(&self) -> (Socket, Option<SocketAddr>, Arc<Connection>) {
        loop {
            let (stream, peer) = self.next().await;
            if let Some(connection) = self.connections.admit(peer.map(|peer| peer.ip())) {
                return (stream, peer, connection);
            }
            self.metrics.count_refusal(Bound::Connections);
            tracing::debug!(?peer, "the connection limit is reached; closing a new connection");
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
        self.listener.local_addr().into_iter().map(|address| LocalAddr(address.into())).collect()
    }

    async fn accept(&mut self) -> Result<(Stream, LocalAddr, RemoteAddr, Scheme)> {
        let descriptor = Arc::clone(&self.descriptors).acquire_owned().await.map_err(Error::other)?;
        let (stream, peer, connection) = self.next_admitted().await;
        let local = connection.address();
        let held = (descriptor, self.metrics.open_connection());
        let socket = MaybeTlsStream::new(stream, self.tls.as_ref(), connection.may_multiplex());
        let stream = Stream::new(socket, self.timeouts, connection, self.connections(), held);
        let peer = peer.map_or(Addr::Custom(UNIX_PEER, "".into()), Addr::SocketAddr);
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        Ok((stream, local, RemoteAddr(peer), scheme))
    }
}
