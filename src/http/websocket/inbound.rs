//! The messages of a client, parsed one after the other: long ones in the background, so that they block no worker.

use std::net::IpAddr;

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use poem::web::websocket::WebSocketStream;

use super::close::{Close, CloseCode};
use super::message::ClientMessage;
use crate::http::{
    Application,
    request::{LONG_BODY, Reader},
};

/// Something received from the client of a socket.
pub struct Inbound<A: Application> {
    reader: Reader<A>,
    client_address: IpAddr,
    /// The message that is parsed in the background. No frame is read meanwhile.
    parsing: Option<BoxFuture<'static, Result<ClientMessage, Close>>>,
}

impl<A: Application> Inbound<A> {
    pub fn new(reader: Reader<A>, client_address: IpAddr) -> Self {
        Self { reader, client_address, parsing: None }
    }

    /// Returns the next message; `None` for a frame without one. No message is lost if the future is dropped before it is ready.
    pub async fn next(&mut self, stream: &mut WebSocketStream) -> Result<Option<ClientMessage>, Close> {
        if self.parsing.is_none() {
            let Some(text) = ClientMessage::text_of_frame(stream.next().await)? else { return Ok(None) };
            if text.len() <= LONG_BODY {
                return ClientMessage::parse(&text).map(Some);
            }
            self.parsing = Some(self.parse_in_background(text));
        }
        let Some(parsing) = &mut self.parsing else { return Ok(None) };
        let parsed = parsing.await;
        self.parsing = None;
        parsed.map(Some)
    }

    fn parse_in_background(&self, text: String) -> BoxFuture<'static, Result<ClientMessage, Close>> {
        let (reader, client_address) = (self.reader.clone(), self.client_address);
        let parse = async move {
            let parsed = reader.in_background(client_address, async move { ClientMessage::parse(&text) }).await;
            parsed.unwrap_or_else(|_| Err(Close::new(CloseCode::TryAgain, "Too many long messages are being read")))
        };
        parse.boxed()
    }
}
