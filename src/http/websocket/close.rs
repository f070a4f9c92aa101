//! The reasons for which a socket closes.

use std::{borrow::Cow, io};

use poem::http::StatusCode;

use crate::http::error::HttpError;

/// The code with which a socket closes. Those from 4400 on are of the protocol, except `SLOW` and `TOO_MANY_SOCKETS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The server stops.
    GoingAway = 1001,
    /// The frames violate the `WebSocket` protocol.
    ProtocolError = 1002,
    /// A message is too large.
    TooLarge = 1009,
    /// An internal error.
    Internal = 1011,
    /// The database cannot be reached.
    TryAgain = 1013,
    /// A message that the protocol does not know.
    BadMessage = 4400,
    /// A subscription before the connection was initialised, or the end of the session or API key.
    Unauthorized = 4401,
    /// The token of `connection_init` is missing or not valid.
    Forbidden = 4403,
    /// The client does not offer the subprotocol.
    NoSubprotocol = 4406,
    /// No `connection_init` in time.
    InitTimeout = 4408,
    /// The ID of a subscription is in use.
    DuplicateId = 4409,
    /// The client does not read its events.
    Slow = 4420,
    /// The caller has as many sockets and event streams open as allowed.
    TooManySockets = 4421,
    /// A second `connection_init`.
    TooManyInits = 4429,
    /// No answer to a ping.
    NoPong = 4499,
}

/// The reason for which a socket closes.
#[derive(Debug)]
pub enum Close {
    /// The client has closed the socket, or is gone.
    ByClient,
    /// The server closes the socket.
    ByServer(CloseCode, Cow<'static, str>),
}

/// Maximum number of bytes of a reason: a control frame has 125, and the code needs two.
const MAX_REASON: usize = 123;

impl Close {
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        while reason.len() > MAX_REASON {
            reason.to_mut().pop();
        }
        Self::ByServer(code, reason)
    }

    /// Returns the reason for an error of the socket. poem passes on the text of tungstenite's errors, but not their types.
    pub fn of_error(error: &io::Error) -> Self {
        let text = error.to_string();
        if error.kind() != io::ErrorKind::Other {
            Self::ByClient
        } else if text.starts_with("Space limit exceeded") {
            Self::too_large()
        } else if text.contains("without closing handshake") {
            Self::ByClient
        } else {
            Self::new(CloseCode::ProtocolError, "The frames violate the WebSocket protocol")
        }
    }

    /// Returns the reason for an error after which the caller can have no further event; `None` for an error of one subscription.
    pub fn of_http_error(error: &HttpError) -> Option<Self> {
        match error.status {
            StatusCode::UNAUTHORIZED => Some(Self::new(CloseCode::Unauthorized, "The session has ended")),
            StatusCode::SERVICE_UNAVAILABLE => {
                Some(Self::new(CloseCode::TryAgain, "The server is busy; try again later"))
            }
            _ => None,
        }
    }

    pub fn going_away() -> Self {
        Self::new(CloseCode::GoingAway, "The server stops")
    }

    pub fn too_large() -> Self {
        Self::new(CloseCode::TooLarge, "A message may have at most 64 KiB")
    }
}
