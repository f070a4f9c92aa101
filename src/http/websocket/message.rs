//! The messages of the protocol `graphql-transport-ws`.

use std::io;

use async_graphql::ServerError;
use poem::web::websocket::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::close::{Close, CloseCode};
use crate::http::{parameters, request::LONG_BODY, response::Body};

/// Maximum number of bytes of a message from a client.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Maximum number of bytes of the ID of a subscription.
pub const MAX_ID: usize = 128;

/// A message from a client. The payload of a ping is not kept: the pong to it has none.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    ConnectionInit {
        payload: Option<Map<String, Value>>,
    },
    Ping,
    Pong,
    Subscribe {
        id: String,
        payload: Map<String, Value>,
        /// Whether the message is so long that its payload is checked in the background.
        #[serde(skip)]
        is_long: bool,
    },
    Complete {
        id: String,
    },
}

/// A message to a client.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    ConnectionAck,
    Pong,
    Next { id: &'a str, payload: Body<'a> },
    Error { id: &'a str, payload: &'a [ServerError] },
    Complete { id: &'a str },
}

impl ClientMessage {
    /// Returns the text of the message in a frame; `None` for a frame without one.
    pub fn text_of_frame(frame: Option<io::Result<Message>>) -> Result<Option<String>, Close> {
        match frame {
            Some(Ok(Message::Text(text))) if text.len() > MAX_MESSAGE => Err(Close::too_large()),
            Some(Ok(Message::Text(text))) => Ok(Some(text)),
            Some(Ok(Message::Binary(_))) => Err(Close::new(CloseCode::BadMessage, "The message must be a text")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Close(_))) | None => Err(Close::ByClient),
            Some(Err(error)) => Err(Close::of_error(&error)),
        }
    }

    /// Parses a message.
    pub fn parse(text: &str) -> Result<Self, Close> {
        let bad_message = |reason: String| Close::new(CloseCode::BadMessage, reason);
        let value = parameters::parse_json(text, "The message").map_err(|error| bad_message(error.message.into()))?;
        let mut message: Self = serde_json::from_value(value)
            .map_err(|_| bad_message("The message is not one of the protocol".to_owned()))?;
        if let Self::Subscribe { id, is_long, .. } = &mut message {
            if id.is_empty() || id.len() > MAX_ID {
                return Err(bad_message(format!("The id of a subscription must have 1 to {MAX_ID} bytes")));
            }
            *is_long = text.len() > LONG_BODY;
        }
        Ok(message)
    }
}

/// Returns the value of `Authorization` in the payload of `connection_init`; `None` if it has none.
pub fn authorization(payload: Option<&Map<String, Value>>) -> Option<&Value> {
    let payload = payload?;
    payload.get("Authorization").or_else(|| payload.get("authorization"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_those_of_the_protocol() {
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
            r#"{"type":"connection_init","payload":{"Authorization":"Bearer x"},"more":1}"#,
            r#"{"type":"ping","payload":{"a":1}}"#,
            r#"{"type":"pong"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }"}}"#,
            r#"{"type":"complete","id":"1"}"#,
        ] {
            assert!(ClientMessage::parse(text).is_ok(), "{text}");
        }
        let long = format!(r#"{{"type":"subscribe","id":"{}","payload":{{}}}}"#, "x".repeat(MAX_ID + 1));
        for text in [
            "",
            "{",
            "[]",
            "1",
            "{}",
            r#"{"type":"start","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":[]}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"ping","id":"\u0000"}"#,
            &long,
        ] {
            let Err(Close::ByServer(code, reason)) = ClientMessage::parse(text) else { panic!("{text}") };
            assert!(code == CloseCode::BadMessage && reason.len() <= 123, "{text}: {reason}");
        }
    }

    #[test]
    fn messages_to_clients_have_their_type() {
        let text = |message: &ServerMessage| serde_json::to_value(message).unwrap();
        assert_eq!(text(&ServerMessage::ConnectionAck), json!({ "type": "connection_ack" }));
        assert_eq!(text(&ServerMessage::Complete { id: "1" }), json!({ "type": "complete", "id": "1" }));
        let payload = [ServerError::new("no", None)];
        assert_eq!(
            text(&ServerMessage::Error { id: "1", payload: &payload }),
            json!({ "type": "error", "id": "1", "payload": [{ "message": "no" }] })
        );
    }
}
