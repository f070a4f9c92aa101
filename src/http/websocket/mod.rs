//! Subscriptions over WebSockets: the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>). Queries and mutations are sent over HTTP.

mod close;
mod inbound;
mod message;
mod operation;
mod socket;

use std::sync::Arc;

use poem::{
    FromRequest, IntoResponse, Request, Response,
    http::{HeaderMap, Method, header},
    web::websocket::{WebSocket, WebSocketConfig},
};
use tracing::{Instrument, Span};

pub use self::message::MAX_MESSAGE;
use self::socket::Socket;
use super::{Application, caller::Caller, connections::Connection, endpoint::GraphQl, error::HttpError, origin};
use crate::client::client_network;

/// The name of the protocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// Maximum number of bytes of a message that is read, so that its sender learns that it is too large.
const MAX_READ: usize = 128 * 1024;
/// The memory that each socket keeps for reading.
const READ_BUFFER: usize = 4 * 1024;

/// Returns whether a request wants to change to a WebSocket.
pub fn is_requested(request: &Request) -> bool {
    let upgrade = request.headers().get_all(header::UPGRADE).iter();
    *request.method() == Method::GET
        && upgrade.filter_map(|value| value.to_str().ok()).any(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Changes the connection of a request to a WebSocket, which is served by a task of its own.
///
/// # Errors
/// 403 for another origin, 429 if too many sockets of the client are being opened, 400 for a malformed handshake.
pub async fn upgrade<A: Application>(
    graphql: &GraphQl<A>,
    request: &Request,
    request_id: &str,
) -> Result<Response, HttpError> {
    let caller = Caller::from_request(request, request_id, &graphql.proxies)?;
    origin::check(request.headers(), &graphql.origins)?;
    let malformed = |_| HttpError::bad_request("The handshake of the WebSocket is malformed");
    let websocket = WebSocket::from_request_without_body(request).await.map_err(malformed)?;
    let handshake = graphql.subscriptions.take_handshake(client_network(caller.address)).await;
    let handshake = handshake.ok_or_else(HttpError::too_many_streams)?;
    let open = (graphql.subscriptions.open_socket().await, graphql.subscriptions.metrics.open_websocket());
    if let Some(connection) = request.data::<Arc<Connection>>() {
        connection.stream_started();
    }
    let (app, reader, subscriptions) = (graphql.app.clone(), graphql.reader.clone(), graphql.subscriptions.clone());
    let offers_protocol = offers_protocol(request.headers());
    let span = Span::current();
    let upgraded = websocket.protocols([PROTOCOL]).config(config()).on_upgrade(move |stream| {
        let serve = async move {
            let socket = Socket::new(app, reader, caller, subscriptions, stream);
            socket.serve(offers_protocol, handshake).await;
            drop(open);
        };
        serve.instrument(span)
    });
    Ok(upgraded.into_response())
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_READ))
        .max_frame_size(Some(MAX_READ))
}

/// Returns whether the client offers the protocol.
fn offers_protocol(headers: &HeaderMap) -> bool {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    offered.is_some_and(|offered| offered.split(',').any(|protocol| protocol.trim() == PROTOCOL))
}
