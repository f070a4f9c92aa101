//! The byte stream of a connection: limits how long the connection may keep the server waiting. poem gives hyper no timer, so each
//! connection enforces its own deadlines.

use std::{
    io::{Error, ErrorKind, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    connections::{Connection, ConnectionRegistry},
    maybe_tls::MaybeTlsStream,
};
use crate::measure::UnderWay;

/// The time left to the handler to respond after the deadline of a request.
const GRACE: Duration = Duration::from_secs(1);
/// The time left to a socket of another protocol to say why it closes, after its peer has not read for too long.
const UPGRADED_GRACE: Duration = Duration::from_secs(5);
/// Maximum number of bytes that are read and discarded after the response to a request that was not read to its end.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;
const DISCARD_BUFFER: usize = 16 * 1024;
/// The bytes with which a client begins HTTP/2. It is rejected unless the peer is a trusted proxy: frames, such as pings, extend the
/// deadlines of a connection, and streams multiply its requests.
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

/// The byte stream of a connection. It ends when the peer keeps it waiting for too long, or when the connection is closed to make
/// room.
pub struct Stream {
    socket: MaybeTlsStream,
    timeouts: Timeouts,
    read_deadline: Pin<Box<Sleep>>,
    write_deadline: Pin<Box<Sleep>>,
    state: State,
    preface: &'static [u8],
    /// The number of bytes discarded after the last response; `None` while the connection is not being shut down.
    discarded: Option<usize>,
    connection: Arc<Connection>,
    connections: ConnectionRegistry,
    _held: Held,
}

/// The resources that an open connection holds until it ends: a file descriptor, and its count in the metrics.
pub type Held = (OwnedSemaphorePermit, UnderWay);

struct State {
    /// Whether bytes have been read since the last write.
    in_request: bool,
    /// Whether a write waits for the peer.
    in_write: bool,
    /// Whether the connection has changed to another protocol (WebSocket), with its own rules for which side sends when.
    upgraded: bool,
}

fn closed_to_make_room() -> Error {
    Error::new(ErrorKind::ConnectionAborted, "the connection was closed to admit another")
}

impl Stream {
    /// Creates the stream of a connection that was accepted just now.
    pub fn new(
        socket: MaybeTlsStream,
        timeouts: Timeouts,
        connection: Arc<Connection>,
        connections: ConnectionRegistry,
        held: Held,
    ) -> Self {
        Self {
            socket,
            timeouts,
            read_deadline: Box::pin(sleep(timeouts.request + GRACE)),
            write_deadline: Box::pin(sleep_until(Instant::now())),
            state: State { in_request: false, in_write: false, upgraded: false },
            preface: HTTP2_PREFACE,
            discarded: None,
            connection,
            connections,
            _held: held,
        }
    }

    fn after_read(&mut self, bytes: &[u8]) -> Result<()> {
        for byte in bytes {
            match self.preface.split_first() {
                Some((expected, rest)) if expected == byte => {
                    self.preface = rest;
                    if rest.is_empty() && !self.connection.multiplex() {
                        return Err(ErrorKind::Unsupported.into());
                    }
                }
                _ => {
                    self.preface = &[];
                    break;
                }
            }
        }
        let now = Instant::now();
        if self.state.upgraded || self.connection.is_multiplexed() {
            let idle = self.idle();
            self.read_deadline.as_mut().reset(now + idle);
        } else if !self.state.in_request {
            self.state.in_request = true;
            self.read_deadline.as_mut().reset(now + self.timeouts.request + GRACE);
            if !self.connection.bytes_read() {
                return Err(closed_to_make_room());
            }
        } else if now >= self.read_deadline.deadline() {
            return Err(ErrorKind::TimedOut.into()); // the peer sends so fast that a read never has to wait
        }
        Ok(())
    }

    /// Returns the time for which both sides may be silent. The requests of HTTP/2 have deadlines of their own, and other frames
    /// come and go in the meantime.
    fn idle(&self) -> Duration {
        if self.connection.is_multiplexed() {
            self.timeouts.idle.max(self.timeouts.request + GRACE)
        } else {
            self.timeouts.idle
        }
    }

    fn after_write(&mut self, bytes: &[u8], count: usize) {
        self.state.upgraded |= bytes.starts_with(SWITCHING_PROTOCOLS);
        self.state.in_request = false;
        self.state.in_write = false;
        let idle = self.idle();
        self.read_deadline.as_mut().reset(Instant::now() + idle);
        if count == bytes.len() && !self.socket.has_unsent() {
            self.connection.bytes_written();
        }
    }

    /// Returns ready, with the reason, when the connection is being closed or its deadline is over.
    fn poll_closed(connection: &Connection, deadline: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<Error> {
        if connection.poll_closing(cx).is_ready() {
            return Poll::Ready(closed_to_make_room());
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(ErrorKind::TimedOut.into())
    }

    /// Returns ready, with the reason, when a write has waited for the peer for too long, or the connection is being closed.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if !self.state.in_write {
            self.state.in_write = true;
            let grace = if self.state.upgraded { UPGRADED_GRACE } else { Duration::ZERO };
            self.write_deadline.as_mut().reset(Instant::now() + self.timeouts.request + grace);
            self.connection.write_blocked();
        }
        Self::poll_closed(&self.connection, &mut self.write_deadline, cx)
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
                    return Self::poll_closed(&self.connection, &mut self.read_deadline, cx).map(|_| ());
                }
            }
            if Instant::now() >= self.read_deadline.deadline() {
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
                Some(bytes) => this.after_read(bytes),
            },
            Poll::Ready(Err(error)) => Err(error),
            // The timer is polled only now, so that it wakes a task that waits.
            Poll::Pending => Err(ready!(Self::poll_closed(&this.connection, &mut this.read_deadline, cx))),
        };
        Poll::Ready(read.inspect_err(|_| this.connection.peer_gone()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        let written = match Pin::new(&mut this.socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                this.after_write(bytes, count);
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ready!(this.poll_blocked(cx))),
        };
        Poll::Ready(written.inspect_err(|_| this.connection.peer_gone()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        // Only what is encrypted may still have to be sent.
        let had_unsent = this.socket.has_unsent();
        let flushed = match Pin::new(&mut this.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                if had_unsent {
                    this.state.in_write = false;
                    this.connection.bytes_written();
                }
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ready!(this.poll_blocked(cx))),
        };
        Poll::Ready(flushed.inspect_err(|_| this.connection.peer_gone()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let discarded = if let Some(discarded) = this.discarded {
            discarded
        } else {
            match Pin::new(&mut this.socket).poll_shutdown(cx) {
                Poll::Ready(ended) => ended?,
                Poll::Pending => return this.poll_blocked(cx).map(Err),
            }
            this.read_deadline.as_mut().reset(Instant::now() + this.timeouts.request);
            0
        };
        if this.connection.has_unread() {
            ready!(this.poll_discard(discarded, cx));
        }
        Poll::Ready(Ok(()))
    }
}
