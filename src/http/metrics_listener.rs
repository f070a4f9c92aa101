//! The listener of the metrics, apart from the public one. It answers `/metrics` and nothing else.

use std::{io::Result, time::Duration};

use poem::{
    Request, Response, Server,
    endpoint::make_sync,
    http::{Method, StatusCode, header},
};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

use super::{
    IDLE, connections::Limits, listener::LimitedListener, metrics::HttpMetrics, socket::Listener, stream::Timeouts,
};

const PATH: &str = "/metrics";
/// Maximum number of connections: of some servers that scrape, and of people who look.
const MAX_CONNECTIONS: usize = 16;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a shutdown waits for a scrape under way.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Serves the metrics that `render` returns, in the text format of Prometheus, until `shutdown` resolves.
///
/// # Errors
/// An I/O error of the listener.
pub async fn serve_metrics(
    listener: impl Into<Listener>,
    render: impl Fn() -> String + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let limits = Limits { max: MAX_CONNECTIONS, max_per_address: MAX_CONNECTIONS, exempt: Vec::new() };
    let timeouts = Timeouts { request: REQUEST_TIMEOUT, idle: IDLE };
    // No metric has what this listener does.
    let listener = LimitedListener::new(listener.into(), limits, timeouts, HttpMetrics::default());
    let connections = listener.connections();
    let endpoint = make_sync(move |request: Request| {
        let _under_way = connections.begin_request(&request);
        respond(&request, &render)
    });
    Server::new_with_acceptor(listener).run_with_graceful_shutdown(endpoint, shutdown, Some(SHUTDOWN_GRACE)).await
}

fn respond(request: &Request, render: impl Fn() -> String) -> Response {
    let response = Response::builder().header(header::CACHE_CONTROL, "no-store");
    if request.uri().path() != PATH {
        return response.status(StatusCode::NOT_FOUND).finish();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response.status(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, "GET, HEAD").finish();
    }
    response.content_type(CONTENT_TYPE).body(render())
}
