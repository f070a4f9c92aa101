//! The listener: accepts connections, and limits how long each may keep the server waiting. poem gives hyper no timer, so each
//! connection enforces its own deadlines.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::connections::{Connection, ConnectionRegistry, Limits, RESERVED};

/// The pause after a connection cannot be accepted, most likely for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The same, if a connection was closed to make room.
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// The time left to the handler to respond after the deadline of a request.
const GRACE: Duration = Duration::from_secs(1);
/// Maximum number of connections that are being closed and have not ended yet; each ends as soon as its task runs.
const MAX_CLOSING: usize = 64;
/// Maximum number of bytes that are read and discarded after the response to a request that was not read to its end.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;
const DISCARD_BUFFER: usize = 16 * 1024;
/// HTTP/2 is refused: its frames would need deadlines of another kind.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101";

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first byte of a request to the first byte of its response, and for each write to make progress.
    pub request: Duration,
    /// Between two requests, and before the first.
    pub idle: Duration,
}

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
        let mut failed = false;
        loop {
            match self.listener.accept().await {
                Ok(connection) => return connection,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !failed {
                        tracing::warn!(%error, "failed to accept connections");
                    }
                    failed = true;
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

fn is_of_one_connection(error: &Error) -> bool {
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
        let stream = Stream {
            socket: stream,
            timeouts: self.timeouts,
            read_by: Box::pin(sleep(self.timeouts.request + GRACE)),
            write_by: Box::pin(sleep_until(Instant::now())),
            state: State { in_request: false, in_write: false, upgraded: false },
            preface: HTTP2_PREFACE,
            discarded: None,
            connection,
            connections: self.connections(),
            _descriptor: descriptor,
        };
        Ok((stream, local, RemoteAddr(peer.into()), Scheme::HTTP))
    }
}

/// The byte stream of a connection. It ends when the peer keeps it waiting for too long, or when the connection is closed to make
/// room.
pub struct Stream {
    socket: TcpStream,
    timeouts: Timeouts,
    read_by: Pin<Box<Sleep>>,
    write_by: Pin<Box<Sleep>>,
    state: State,
    preface: &'static [u8],
    /// The number of bytes discarded after the last response; `None` while the connection is not being shut down.
    discarded: Option<usize>,
    connection: Arc<Connection>,
    connections: ConnectionRegistry,
    _descriptor: OwnedSemaphorePermit,
}

struct State {
    /// Whether bytes have been read since the last write.
    in_request: bool,
    /// Whether a write waits for the peer.
    in_write: bool,
    /// Whether the connection has changed to another protocol (WebSocket), with its own rules for which side sends when.
    upgraded: bool,
}

fn makes_room() -> Error {
    Error::new(ErrorKind::ConnectionAborted, "the connection was closed to admit another")
}

impl Stream {
    fn was_read(&mut self, bytes: &[u8]) -> Result<()> {
        for byte in bytes {
            match self.preface.split_first() {
                Some((expected, [])) if expected == byte => return Err(ErrorKind::Unsupported.into()),
                Some((expected, rest)) if expected == byte => self.preface = rest,
                _ => {
                    self.preface = &[];
                    break;
                }
            }
        }
        let now = Instant::now();
        if self.state.upgraded {
            self.read_by.as_mut().reset(now + self.timeouts.idle);
        } else if !self.state.in_request {
            self.state.in_request = true;
            self.read_by.as_mut().reset(now + self.timeouts.request + GRACE);
            if !self.connection.bytes_read() {
                return Err(makes_room());
            }
        } else if now >= self.read_by.deadline() {
            return Err(ErrorKind::TimedOut.into()); // the peer sends so fast that a read never has to wait
        }
        Ok(())
    }

    fn was_written(&mut self, bytes: &[u8], count: usize) {
        self.state.upgraded |= bytes.starts_with(SWITCHING_PROTOCOLS);
        self.state.in_request = false;
        self.state.in_write = false;
        self.read_by.as_mut().reset(Instant::now() + self.timeouts.idle);
        if count == bytes.len() {
            self.connection.bytes_written();
        }
    }

    /// Returns ready, with the reason, when the connection is being closed or its deadline is over.
    fn poll_end(connection: &Connection, deadline: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<Error> {
        if connection.poll_closing(cx).is_ready() {
            return Poll::Ready(makes_room());
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(ErrorKind::TimedOut.into())
    }

    /// Reads and discards what the peer still sends, for a limited time and up to a limited size. Closing a socket with unread
    /// bytes resets it, and the peer may lose a response that it has not read yet (RFC 9112, 9.6).
    fn poll_discard(&mut self, mut discarded: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; DISCARD_BUFFER];
        while discarded < MAX_DISCARDED {
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.socket).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => discarded += read.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.discarded = Some(discarded);
                    return Self::poll_end(&self.connection, &mut self.read_by, cx).map(|_| ());
                }
            }
            if Instant::now() >= self.read_by.deadline() {
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connections.remove(&self.connection);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => match buf.filled().get(before..) {
                None | Some([]) => {
                    this.connection.peer_gone();
                    Ok(())
                }
                Some(bytes) => this.was_read(bytes),
            },
            Poll::Ready(Err(error)) => Err(error),
            // The timer is polled only now, so that it wakes a task that waits.
            Poll::Pending => Err(ready!(Self::poll_end(&this.connection, &mut this.read_by, cx))),
        };
        Poll::Ready(read.inspect_err(|_| this.connection.peer_gone()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        let written = match Pin::new(&mut this.socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                this.was_written(bytes, count);
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => {
                if !this.state.in_write {
                    this.state.in_write = true;
                    this.write_by.as_mut().reset(Instant::now() + this.timeouts.request);
                    this.connection.write_blocked();
                }
                Err(ready!(Self::poll_end(&this.connection, &mut this.write_by, cx)))
            }
        };
        Poll::Ready(written.inspect_err(|_| this.connection.peer_gone()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let discarded = if let Some(discarded) = this.discarded {
            discarded
        } else {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.read_by.as_mut().reset(Instant::now() + this.timeouts.request);
            0
        };
        if this.connection.has_unread() {
            ready!(this.poll_discard(discarded, cx));
        }
        Poll::Ready(Ok(()))
    }
}
