//! The door: how many may be connected at once, and how long each may keep us waiting. poem gives hyper no timer, so
//! the deadlines are kept here, by the connection itself.

use std::{
    collections::HashMap,
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use poem::{
    Addr, Request,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// How long to wait when a connection cannot be accepted, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);
/// Left to the answer that the handler gives when the deadline of a request is over.
const GRACE: Duration = Duration::from_secs(1);
/// HTTP/2 is refused: its frames would need deadlines of another kind.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101";

/// How long a connection may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a request to the first of its answer, and for each write to make progress.
    pub request: Duration,
    /// Between two requests, and before the first.
    pub idle: Duration,
}

/// Who is still connected. poem runs a request to its end when its caller has gone (it polls the connection again after
/// hyper gave it up), so a request has to ask.
#[derive(Clone, Default)]
pub struct Callers(Arc<Mutex<HashMap<String, watch::Receiver<()>>>>);

impl Callers {
    /// Resolves when the caller of a request has gone.
    pub fn gone(&self, request: &Request) -> impl Future<Output = ()> + use<> {
        let connection = match &**request.local_addr() {
            Addr::Custom(_, key) => self.lock().get(key.as_ref()).cloned(),
            _ => None,
        };
        async move {
            match connection {
                Some(mut open) => while open.changed().await.is_ok() {},
                None => std::future::pending().await,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts TCP connections, a bounded number at once; the others wait in the queue of the system.
pub struct Door {
    listener: TcpListener,
    local: SocketAddr,
    places: Arc<Semaphore>,
    patience: Patience,
    callers: Callers,
    accepted: u64,
}

impl Door {
    pub fn new(listener: TcpListener, max_connections: usize, patience: Patience) -> Result<Self> {
        let local = listener.local_addr()?;
        let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { listener, local, places, patience, callers: Callers::default(), accepted: 0 })
    }

    pub fn callers(&self) -> Callers {
        self.callers.clone()
    }

    /// The next connection. poem's loop would spin on an error, so it is waited out here.
    async fn next(&self) -> (TcpStream, SocketAddr) {
        let mut failed = false;
        loop {
            match self.listener.accept().await {
                Ok(connection) => return connection,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !failed {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    failed = true;
                    sleep(PAUSE).await;
                }
            }
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

impl Acceptor for Door {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(Error::other)?;
        let (stream, peer) = self.next().await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY is not set"); // the peer has gone already
        }
        self.accepted = self.accepted.wrapping_add(1);
        let key = self.accepted.to_string();
        let (open, watched) = watch::channel(());
        self.callers.lock().insert(key.clone(), watched);
        // The local address is of no use to us; in its stead the request is told its connection.
        let local = LocalAddr(Addr::Custom("connection", key.clone().into()));
        let connection = Connection {
            stream,
            patience: self.patience,
            read_by: Box::pin(sleep(self.patience.request + GRACE)),
            write_by: Box::pin(sleep_until(Instant::now())),
            state: State { in_request: false, in_write: false, upgraded: false },
            preface: HTTP2_PREFACE,
            open: Some(open),
            key,
            callers: self.callers(),
            _place: place,
        };
        Ok((connection, local, RemoteAddr(peer.into()), Scheme::HTTP))
    }
}

/// A connection that ends itself when its peer keeps it waiting. It holds its place until it is dropped.
pub struct Connection {
    stream: TcpStream,
    patience: Patience,
    read_by: Pin<Box<Sleep>>,
    write_by: Pin<Box<Sleep>>,
    state: State,
    preface: &'static [u8],
    /// Dropped as soon as the peer has gone.
    open: Option<watch::Sender<()>>,
    key: String,
    callers: Callers,
    _place: OwnedSemaphorePermit,
}

struct State {
    /// Bytes were read since the last were written.
    in_request: bool,
    /// A write waits for the peer.
    in_write: bool,
    /// The connection speaks another protocol now (WebSocket), which has its own rules of who speaks when.
    upgraded: bool,
}

impl Connection {
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
            self.read_by.as_mut().reset(now + self.patience.idle);
        } else if !self.state.in_request {
            self.state.in_request = true;
            self.read_by.as_mut().reset(now + self.patience.request + GRACE);
        } else if now >= self.read_by.deadline() {
            return Err(ErrorKind::TimedOut.into()); // a peer so eager that a read never has to wait
        }
        Ok(())
    }

    fn was_written(&mut self, bytes: &[u8]) {
        self.state.upgraded |= bytes.starts_with(SWITCHING_PROTOCOLS);
        self.state.in_request = false;
        self.state.in_write = false;
        self.read_by.as_mut().reset(Instant::now() + self.patience.idle);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.callers.lock().remove(&self.key);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => match buf.filled().get(before..) {
                None | Some([]) => {
                    self.open = None;
                    Ok(())
                }
                Some(bytes) => self.was_read(bytes),
            },
            Poll::Ready(Err(error)) => Err(error),
            // The clock is asked only now, so that whoever waits is woken by it.
            Poll::Pending => {
                ready!(self.read_by.as_mut().poll(cx));
                Err(ErrorKind::TimedOut.into())
            }
        };
        Poll::Ready(read.inspect_err(|_| self.open = None))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.was_written(bytes);
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => {
                if !self.state.in_write {
                    self.state.in_write = true;
                    let deadline = Instant::now() + self.patience.request;
                    self.write_by.as_mut().reset(deadline);
                }
                ready!(self.write_by.as_mut().poll(cx));
                Err(ErrorKind::TimedOut.into())
            }
        };
        Poll::Ready(written.inspect_err(|_| self.open = None))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
