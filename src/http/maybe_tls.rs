//! The bytes of a connection, encrypted or not.

use std::{
    io::{Error, ErrorKind, Result},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use super::{socket::Socket, tls::Tls};

/// Maximum number of encrypted bytes that wait for the peer, beside those in the buffer of the system.
const MAX_UNSENT: usize = 16 * 1024;

/// The bytes of a connection. The handshake of TLS is part of the first read, so that the deadlines of the connection hold for it.
pub enum MaybeTlsStream {
    Plain(Socket),
    Handshake(Box<Accept<Socket>>),
    Encrypted(Box<TlsStream<Socket>>),
    /// The handshake has failed.
    Closed,
}

impl MaybeTlsStream {
    pub fn new(socket: Socket, tls: Option<&Tls>, may_multiplex: bool) -> Self {
        let Some(tls) = tls else { return Self::Plain(socket) };
        let acceptor = TlsAcceptor::from(tls.config(may_multiplex));
        let accept = acceptor.accept_with(socket, |session| session.set_buffer_limit(Some(MAX_UNSENT)));
        Self::Handshake(Box::new(accept))
    }

    /// Returns whether written bytes wait to be sent until the next write or flush.
    pub fn has_unsent(&self) -> bool {
        matches!(self, Self::Encrypted(stream) if stream.get_ref().1.wants_write())
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self::Handshake(accept) = self else { return Poll::Ready(Ok(())) };
        match ready!(Pin::new(&mut **accept).poll(cx)) {
            Ok(stream) => {
                *self = Self::Encrypted(Box::new(stream));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                *self = Self::Closed;
                Poll::Ready(Err(error))
            }
        }
    }
}

fn closed() -> Error {
    ErrorKind::NotConnected.into()
}

impl AsyncRead for MaybeTlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        ready!(self.poll_handshake(cx))?;
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Self::Handshake(_) | Self::Closed => Poll::Ready(Err(closed())),
        }
    }
}

impl AsyncWrite for MaybeTlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_handshake(cx))?;
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Self::Handshake(_) | Self::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::Handshake(_) | Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Handshake(_) | Self::Closed => Poll::Ready(Ok(())),
        }
    }
}
