//! One subscription of a socket, in a task of its own: so no statement stops halfway, with its database connection, while the
//! socket waits for its client.

use std::panic::AssertUnwindSafe;

use async_graphql::parser::types::OperationType;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::error::TopLevelCode;
use crate::http::{
    Application, Event, Events,
    caller::Caller,
    error::HttpError,
    parameters,
    prepared::SharedDescription,
    request::{Allowed, Reader},
    subscriptions::catching_panics,
};

/// An event for the socket of its subscription.
pub struct Produced {
    pub id: String,
    /// The number of the subscription; its ID may be in use again.
    pub serial: u64,
    /// `None` if the subscription is complete.
    pub event: Option<Event>,
}

/// A subscription that is to be run.
pub struct Operation<A: Application> {
    pub app: A,
    pub reader: Reader<A>,
    pub caller: Caller,
    pub id: String,
    pub serial: u64,
    /// Whether the message is so long that it is checked in the background.
    pub is_long: bool,
}

impl<A: Application> Operation<A> {
    /// Starts the subscription with the parameters of its message, and sends its events until it ends or the socket is closed.
    pub async fn run(self, payload: Map<String, Value>, sender: mpsc::Sender<Produced>) {
        let opened = AssertUnwindSafe(self.open(payload)).catch_unwind().await;
        let opened = opened.unwrap_or_else(|_| {
            tracing::error!(request_id = self.caller.request_id, "a subscription panicked");
            Err(HttpError::internal())
        });
        let mut events = match opened {
            Ok(events) => catching_panics(events, self.caller.request_id.clone()),
            Err(error) => stream::iter([Event::Refused(error)]).boxed(),
        };
        loop {
            let event = events.next().await;
            let is_last = event.is_none();
            let produced = Produced { id: self.id.clone(), serial: self.serial, event };
            if sender.send(produced).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn open(&self, payload: Map<String, Value>) -> Result<Events, HttpError> {
        let parameters = parameters::from_object(payload)?;
        let allowed = Allowed { mutations: true, subscriptions: true };
        // A socket has no log line for each operation.
        let description = SharedDescription::default();
        let prepared = if self.is_long {
            self.reader.prepare_in_background(parameters, allowed, &self.caller, description).await?
        } else {
            self.reader.prepare(parameters, allowed, &self.caller, description).await?
        };
        match prepared.operation_type {
            Some(OperationType::Subscription) => {}
            Some(_) => return Err(HttpError::bad_request("Queries and mutations must be sent over HTTP")),
            None => {
                let message = "operationName: must name an operation of the document";
                return Err(HttpError::bad_document(TopLevelCode::OperationResolutionFailure, message));
            }
        }
        self.app.subscribe(self.caller.clone(), prepared.request, &prepared.document.info, None).await
    }
}
