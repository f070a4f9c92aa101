//! What all subscriptions have in common, however their events are sent: their limits, and the reasons for which they end.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::StreamExt;
use poem::http::StatusCode;
use tokio::{sync::watch, time::sleep};

use super::{
    Application,
    application::{Event, Events},
    caller::Caller,
    error::HttpError,
};
use crate::share::{Requester, Share, ShareLimits, Shares};

/// Maximum number of event streams and sockets that one caller has open.
pub const MAX_STREAMS: usize = 20;

/// The timeouts of subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionTimeouts {
    /// The time after which an open connection whose session has ended is closed, if there is no event before.
    pub recheck: Duration,
    /// The time between two signs of life of an event stream.
    pub keep_alive: Duration,
}

impl Default for SubscriptionTimeouts {
    fn default() -> Self {
        Self { recheck: Duration::from_secs(5), keep_alive: Duration::from_secs(12) }
    }
}

/// What the subscriptions of a server share; cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    streams: Shares<Requester>,
    pub timeouts: SubscriptionTimeouts,
    stopping: watch::Receiver<bool>,
}

impl Subscriptions {
    /// Creates the shared state of a server's subscriptions; they end when `stopping` becomes `true`.
    pub fn new(timeouts: SubscriptionTimeouts, stopping: watch::Receiver<bool>) -> Self {
        let limits = ShareLimits { at_once: MAX_STREAMS, waiting: 0, max_wait: Duration::ZERO, rest: 0 };
        Self { streams: Shares::new(limits), timeouts, stopping }
    }

    /// Takes one of the event streams and sockets of a caller; `None` if all are open.
    pub async fn take_stream(&self, who: Requester) -> Option<Share<Requester>> {
        self.streams.take(who).await
    }

    /// Returns a future that resolves when the server stops.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            // Fails if the server is dropped.
            let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
        }
    }

    /// Checks the caller's token again and again, and returns the error as soon as it is no longer valid.
    pub async fn invalidated(&self, app: &impl Application, caller: &Caller) -> HttpError {
        loop {
            sleep(self.timeouts.recheck).await;
            match app.requester(caller).await {
                // While the database cannot be reached, no event is sent either.
                Err(error) if error.status == StatusCode::UNAUTHORIZED => return error,
                _ => {}
            }
        }
    }
}

/// Returns the same events, but ends them with an internal error if a resolver panics.
pub fn catching_panics(events: Events, request_id: String) -> Events {
    let events = AssertUnwindSafe(events).catch_unwind().map(move |event| {
        event.unwrap_or_else(|_| {
            tracing::error!(request_id, "a subscription panicked");
            Event::Refused(HttpError::internal())
        })
    });
    events.boxed()
}
