//! The limits of subscriptions and the reasons for which they end, however their events are sent.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::StreamExt;
use ipnet::IpNet;
use poem::http::StatusCode;
use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, watch},
    time::{sleep, timeout},
};

use super::{
    Application,
    application::{Event, Events},
    caller::Caller,
    error::HttpError,
    metrics::HttpMetrics,
};
use crate::share::{Requester, Share, ShareLimits, Shares};

/// Maximum number of event streams and sockets that one caller has open.
pub const MAX_STREAMS: usize = 20;
/// Maximum number of subscriptions of one caller, in all event streams and sockets together.
pub const MAX_SUBSCRIPTIONS: usize = 20;
/// Maximum number of sockets from one network that are not initialised yet.
pub const MAX_HANDSHAKES: usize = 20;

/// The timeouts of subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionTimeouts {
    /// The time after which an open connection whose session has ended is closed, if there is no event before.
    pub recheck: Duration,
    /// The time between two signs of life of an event stream.
    pub keep_alive: Duration,
    /// From the opening of a socket to its initialisation.
    pub init: Duration,
    /// For a message to be written to a socket.
    pub write: Duration,
    /// The time between two pings to a socket; whoever has not answered one by the next is disconnected.
    pub ping: Duration,
}

impl Default for SubscriptionTimeouts {
    fn default() -> Self {
        Self {
            recheck: Duration::from_secs(5),
            keep_alive: Duration::from_secs(12),
            init: Duration::from_secs(10),
            write: Duration::from_secs(10),
            ping: Duration::from_secs(30),
        }
    }
}

impl SubscriptionTimeouts {
    /// Returns the timeouts of a server with this deadline for a request, after which a connection is cut whose client does not
    /// read. A socket must be able to say before that its client is too slow.
    #[must_use]
    pub fn within(self, request_deadline: Duration) -> Self {
        Self { write: self.write.min(request_deadline), ..self }
    }
}

/// The state that the subscriptions of a server share; cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    streams: Shares<Requester>,
    under_way: Shares<Requester>,
    handshakes: Shares<IpNet>,
    pub timeouts: SubscriptionTimeouts,
    pub metrics: HttpMetrics,
    stopping: watch::Receiver<bool>,
    /// Held as a shared lock by each open socket.
    sockets: Arc<RwLock<()>>,
}

impl Subscriptions {
    /// Creates the shared state of a server's subscriptions; they end when `stopping` becomes `true`.
    pub fn new(timeouts: SubscriptionTimeouts, metrics: HttpMetrics, stopping: watch::Receiver<bool>) -> Self {
        let limits = |at_once| ShareLimits { at_once, waiting: 0, max_wait: Duration::ZERO, rest: 0 };
        Self {
            streams: Shares::new(limits(MAX_STREAMS)),
            under_way: Shares::new(limits(MAX_SUBSCRIPTIONS)),
            handshakes: Shares::new(limits(MAX_HANDSHAKES)),
            timeouts,
            metrics,
            stopping,
            sockets: Arc::default(),
        }
    }

    /// Takes one of the event streams and sockets of a caller; `None` if all are open.
    pub async fn take_stream(&self, who: Requester) -> Option<Share<Requester>> {
        self.streams.take(who).await
    }

    /// Takes one of the subscriptions of a caller.
    ///
    /// # Errors
    /// 429 if the caller has as many as allowed.
    pub async fn take_subscription(&self, who: Requester) -> Result<Share<Requester>, HttpError> {
        let share = self.under_way.take(who).await;
        share.ok_or_else(|| HttpError::too_many_subscriptions(MAX_SUBSCRIPTIONS))
    }

    /// Takes one of the slots of a network for sockets that are not initialised yet; `None` if all are taken.
    pub async fn take_handshake(&self, network: IpNet) -> Option<Share<IpNet>> {
        self.handshakes.take(network).await
    }

    /// Records that a socket is open until the guard is dropped.
    pub async fn open_socket(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.sockets).read_owned().await
    }

    /// Waits until all sockets are closed, for a limited time; returns whether they are.
    pub async fn all_closed(&self, max_wait: Duration) -> bool {
        timeout(max_wait, self.sockets.write()).await.is_ok()
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
