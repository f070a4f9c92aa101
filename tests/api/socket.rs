//! A client of `graphql-transport-ws`.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::app::Caller;

/// The timeout of every wait.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The header that offers the protocol.
pub const OFFER: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// An open socket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a socket with the protocol.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[OFFER]).await.unwrap()
    }

    /// Opens a socket with headers, or returns the status with which the server refuses it.
    pub async fn open_with(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let connection = TcpStream::connect(address).await.unwrap();
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match timeout(TIMEOUT, client_async(request, connection)).await.expect("a handshake") {
            Ok((stream, response)) => {
                let protocol = response.headers().get(OFFER.0).map(|protocol| protocol.to_str().unwrap());
                assert_eq!(protocol, headers.contains(&OFFER).then_some(OFFER.1));
                Ok(Self(stream))
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a socket and initialises it with a token.
    pub async fn initialised(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address).await;
        socket.init(json!({ "Authorization": format!("Bearer {token}") })).await;
        assert_eq!(socket.receive().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn init(&mut self, payload: Value) {
        self.send(&json!({ "type": "connection_init", "payload": payload })).await;
    }

    /// Starts a subscription.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(&json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_message(Message::text(message.to_string())).await;
    }

    pub async fn send_message(&mut self, message: Message) {
        timeout(TIMEOUT, self.0.send(message)).await.expect("the server reads").unwrap();
    }

    /// The next message.
    pub async fn receive(&mut self) -> Value {
        self.next().await.unwrap_or_else(|code| panic!("closed with {code}"))
    }

    /// The data of the next event of a subscription, which must have no errors.
    pub async fn next_of(&mut self, id: &str) -> Value {
        let message = self.receive().await;
        assert!(
            message["type"] == "next" && message["id"] == id && message["payload"]["errors"].is_null(),
            "{message:#}"
        );
        message["payload"]["data"].clone()
    }

    /// The code of the error with which a subscription ends.
    pub async fn failure_of(&mut self, id: &str) -> String {
        let message = self.receive().await;
        assert!(message["type"] == "error" && message["id"] == id, "{message:#}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{message:#}")).to_owned()
    }

    /// Waits for a ping of the server, and answers it.
    pub async fn pinged(&mut self) {
        match timeout(TIMEOUT, self.0.next()).await.expect("a ping") {
            // Sends the answer, which is ready.
            Some(Ok(Message::Ping(_))) => self.0.flush().await.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The code with which the server closes the socket, after whatever it sends before.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Reads until the server closes the socket, which it must with this code; returns the number of events before.
    pub async fn events_until_closed(&mut self, expected: u16) -> usize {
        let mut events = 0;
        loop {
            match self.next().await {
                Ok(message) => {
                    assert_eq!(message["type"], "next", "{message:#}");
                    events += 1;
                }
                Err(code) => {
                    assert_eq!(code, expected);
                    return events;
                }
            }
        }
    }

    /// Initialises the socket with a token, for which the server must close it; returns the code.
    pub async fn closed_after_init(mut self, token: Option<&str>) -> u16 {
        let payload = token.map(|token| json!({ "Authorization": format!("Bearer {token}") }));
        self.init(json!(payload)).await;
        self.closed().await
    }

    /// The next message, or the code with which the server closes the socket.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(TIMEOUT, self.0.next()).await.expect("a message") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(text.as_str()).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    assert!(!frame.reason.is_empty(), "{frame:?}");
                    // Sends the confirmation, which is ready.
                    let _ = self.0.flush().await;
                    return Err(frame.code.into());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Caller<'_> {
    /// Opens a socket and initialises it.
    pub async fn socket(&self) -> Socket {
        Socket::initialised(self.app.address, self.token.as_deref().unwrap()).await
    }
}
