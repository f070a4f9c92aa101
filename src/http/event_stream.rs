//! Server-sent events: the protocol "GraphQL over Server-Sent Events" in its mode of distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>).
//!
//! The ID of an event is the position after it. A browser sends the last one it got as `Last-Event-ID` when it connects again.

use std::pin::pin;

use futures_util::{StreamExt, stream};
use poem::{Response, ResponseBuilder, http::StatusCode};
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at},
};
use tracing::Instrument;

use super::{
    Application,
    application::{Event, Events},
    caller::Caller,
    error::HttpError,
    media::EVENT_STREAM,
    outcome::Outcome,
    response::Body,
    subscriptions::{Subscriptions, catching_panics},
};
use crate::share::{Requester, Share};

/// The header with the ID of the last event that a client got.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// A comment, by which both sides notice that the connection is gone.
const KEEP_ALIVE: &str = ":\n\n";
/// A part of the body, and the permit of a long response, which is held until it is written.
type Chunk = (String, Option<Share<Requester>>);

/// The last event. With an empty `data`, browsers dispatch it.
const COMPLETE: &str = "event: complete\ndata:\n\n";

/// Returns the response that sends the events of a subscription, and holds the caller's slots until it ends.
pub fn of_subscription<A: Application>(
    app: A,
    caller: Caller,
    events: Events,
    subscriptions: Subscriptions,
    shares: [Share<Requester>; 2],
) -> Response {
    let keep_alive = subscriptions.timeouts.keep_alive;
    let under_way = [subscriptions.metrics.open_event_stream(), subscriptions.metrics.begin_subscription()];
    let (sender, receiver) = mpsc::channel(1);
    // A task of its own, so that no statement stops halfway, with its database connection, while the client does not read. At
    // most two events wait for the client.
    let send = async move {
        send_events(&app, &caller, events, &subscriptions, &sender).await;
        drop((shares, under_way));
    };
    tokio::spawn(send.in_current_span());
    let keep_alive = interval_at(Instant::now() + keep_alive, keep_alive);
    let body = stream::unfold((receiver, keep_alive, None), |(mut receiver, mut keep_alive, sent)| async move {
        // The chunk before is written when the next one is asked for.
        drop::<Option<Share<Requester>>>(sent);
        let (chunk, send_permit) = tokio::select! {
            chunk = receiver.recv() => chunk?,
            _ = keep_alive.tick() => (KEEP_ALIVE.to_owned(), None),
        };
        Some((Ok::<_, std::io::Error>(chunk), (receiver, keep_alive, send_permit)))
    });
    builder().body(poem::Body::from_bytes_stream(body))
}

/// Sends the events until they end, the client disconnects, its session ends, or the server stops.
async fn send_events<A: Application>(
    app: &A,
    caller: &Caller,
    events: Events,
    subscriptions: &Subscriptions,
    sender: &mpsc::Sender<Chunk>,
) {
    let mut events = catching_panics(events, caller.request_id.clone());
    let mut invalidated = pin!(subscriptions.invalidated(app, caller));
    let mut stopped = pin!(subscriptions.stopped());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            error = &mut invalidated => Some(Event::Refused(error)),
            // Without `complete`, so that the client knows that more events would follow.
            () = &mut stopped => return,
            () = sender.closed() => return,
        };
        if matches!(&event, Some(Event::Refused(error)) if error.status.is_server_error()) {
            // Without `complete`, so that the client connects again.
            return;
        }
        let is_last = !matches!(event, Some(Event::Begin { .. } | Event::Next { .. }));
        if sender.send(chunk(event, &caller.request_id)).await.is_err() || is_last {
            return;
        }
    }
}

/// Returns an event as it is sent; `None` is the end of the events.
fn chunk(event: Option<Event>, request_id: &str) -> Chunk {
    let text = match event {
        // It sets the ID from which a browser resumes, and is no event for the client.
        Some(Event::Begin { position }) => format!("id: {position}\n\n"),
        Some(Event::Next { mut response, position, send_permit }) => {
            return (next(position.as_deref(), &Body::of_response(&mut response, request_id)), send_permit);
        }
        Some(Event::Failed(response)) => single_result(response, request_id),
        Some(Event::Refused(error)) => single_error(&error, request_id),
        None => COMPLETE.to_owned(),
    };
    (text, None)
}

fn next(id: Option<&str>, body: &Body) -> String {
    let data = serde_json::to_string(body).unwrap_or_else(|error| {
        tracing::error!(%error, "failed to serialize an event as JSON");
        "{}".to_owned()
    });
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: next\ndata: {data}\n\n")
}

fn single_result(mut response: async_graphql::Response, request_id: &str) -> String {
    format!("{}{COMPLETE}", next(None, &Body::of_response(&mut response, request_id)))
}

fn single_error(error: &HttpError, request_id: &str) -> String {
    format!("{}{COMPLETE}", next(None, &Body::of_errors(&error.server_errors(request_id))))
}

/// Returns the response that sends the result of a query or a mutation.
pub fn of_result(mut response: async_graphql::Response, request_id: &str) -> Response {
    let body = Body::of_response(&mut response, request_id);
    let outcome = Outcome::of_errors(body.errors);
    builder().extension(outcome).body(format!("{}{COMPLETE}", next(None, &body)))
}

/// Returns the response that sends an error of a document: a browser tells its page nothing of a status other than 200.
pub fn of_error(error: &HttpError, request_id: &str) -> Response {
    builder().extension(Outcome::of_error(error)).body(single_error(error, request_id))
}

fn builder() -> ResponseBuilder {
    // Proxies such as nginx pass the events on at once if the header says so.
    Response::builder()
        .status(StatusCode::OK)
        .content_type(format!("{EVENT_STREAM}; charset=utf-8"))
        .header("x-accel-buffering", "no")
}
