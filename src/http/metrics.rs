//! Metrics of the HTTP server.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::outcome::{Bound, DISCONNECTED, KINDS, OK, Outcome};
use super::trusted_operations::TrustedOperations;
use crate::measure::{UnderWay, durations};

/// The metrics of the HTTP server; cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabel, Histogram>,
    trusted_operations: TrustedOperations,
    refusals: Family<BoundLabel, Counter>,
    documents_parsed: Counter,
    connections: Gauge,
    connections_closed: Counter,
    websockets: Gauge,
    event_streams: Gauge,
    subscriptions: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BoundLabel {
    bound: &'static str,
}

impl Default for HttpMetrics {
    /// Creates metrics in which nothing has happened yet. Their counters begin at 0, so that the first request is an increase.
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations as fn() -> Histogram),
            trusted_operations: TrustedOperations::default(),
            refusals: Family::default(),
            documents_parsed: Counter::default(),
            connections: Gauge::default(),
            connections_closed: Counter::default(),
            websockets: Gauge::default(),
            event_streams: Gauge::default(),
            subscriptions: Gauge::default(),
        };
        for operation in KINDS {
            drop(metrics.requests.get_or_create(&RequestLabels { operation, outcome: OK }));
            drop(metrics.durations.get_or_create(&OperationLabel { operation }));
        }
        for bound in Bound::ALL {
            drop(metrics.refusals.get_or_create(&BoundLabel { bound: bound.as_str() }));
        }
        metrics
    }
}

impl HttpMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help =
            "HTTP requests, by kind of operation, and by outcome: ok, the code of the first error, or disconnected";
        registry.register("requests", help, self.requests.clone());
        let help = "Duration of HTTP requests up to their response; of a subscription, up to its beginning";
        registry.register("request_duration_seconds", help, self.durations.clone());
        self.trusted_operations.register(registry);
        registry.register("refusals", "Refused requests and connections, by limit", self.refusals.clone());
        let help = "Documents of requests that were parsed, valid or not; those in memory are not parsed again";
        registry.register("documents_parsed", help, self.documents_parsed.clone());
        registry.register("connections", "Open HTTP connections", self.connections.clone());
        let help = "HTTP connections that were closed to make room for others";
        registry.register("connections_closed", help, self.connections_closed.clone());
        registry.register("websockets", "Open WebSockets", self.websockets.clone());
        registry.register("event_streams", "Open event streams", self.event_streams.clone());
        let help = "Subscriptions under way, over WebSockets and event streams";
        registry.register("subscriptions", help, self.subscriptions.clone());
    }

    /// Counts a request. Its outcome is `None` if its client left before the response.
    pub fn count_request(&self, operation: &'static str, outcome: Option<Outcome>, duration: Duration) {
        let name = outcome.map_or(DISCONNECTED, Outcome::as_str);
        self.requests.get_or_create(&RequestLabels { operation, outcome: name }).inc();
        self.durations.get_or_create(&OperationLabel { operation }).observe(duration.as_secs_f64());
        if let Some(bound) = outcome.and_then(|outcome| outcome.bound) {
            self.count_refusal(bound);
        }
    }

    /// Counts a request for a trusted document, by the name of its operation. The outcome is that of the request.
    pub fn count_trusted_operation(&self, name: Option<&str>, outcome: Option<Outcome>, duration: Duration) {
        self.trusted_operations.count(name, outcome.map_or(DISCONNECTED, Outcome::as_str), duration);
    }

    /// Counts something that was refused for a limit.
    pub fn count_refusal(&self, bound: Bound) {
        self.refusals.get_or_create(&BoundLabel { bound: bound.as_str() }).inc();
    }

    /// Returns the counter of documents that were parsed.
    #[must_use]
    pub fn documents_parsed(&self) -> Counter {
        self.documents_parsed.clone()
    }

    /// Returns the counter of connections that were closed to make room for others.
    #[must_use]
    pub fn connections_closed(&self) -> Counter {
        self.connections_closed.clone()
    }

    /// Counts an open connection until the returned value is dropped.
    #[must_use]
    pub fn open_connection(&self) -> UnderWay {
        UnderWay::in_gauge(&self.connections)
    }

    /// Counts an open WebSocket until the returned value is dropped.
    #[must_use]
    pub fn open_websocket(&self) -> UnderWay {
        UnderWay::in_gauge(&self.websockets)
    }

    /// Counts an open event stream until the returned value is dropped.
    #[must_use]
    pub fn open_event_stream(&self) -> UnderWay {
        UnderWay::in_gauge(&self.event_streams)
    }

    /// Counts a subscription under way until the returned value is dropped.
    #[must_use]
    pub fn begin_subscription(&self) -> UnderWay {
        UnderWay::in_gauge(&self.subscriptions)
    }
}
