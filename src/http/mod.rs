//! The HTTP server: authentication headers, `/graphql`, the schema, the playground and health checks; one deadline and one log line
//! for each request.

mod application;
mod avatar;
mod body;
mod caller;
mod client_ip;
pub mod compression;
mod connections;
mod cors;
mod document_cache;
mod document_limits;
mod document_source;
mod endpoint;
mod error;
pub mod etag;
mod event_stream;
mod host;
pub mod introspection;
mod listener;
mod maybe_tls;
mod media;
mod metrics;
mod metrics_listener;
mod middleware;
mod origin;
mod outcome;
mod parameters;
mod persisted_queries;
mod prepared;
mod request;
mod resource;
mod response;
mod schema;
pub mod selection;
mod socket;
#[cfg(unix)]
mod socket_file;
mod spacing;
mod stream;
mod subscription_root;
mod subscriptions;
mod suggestion;
mod tls;
mod trusted_operations;
mod upload;
mod validation;
mod variables;
mod websocket;

use std::{io::Result, sync::Arc, time::Duration};

use ipnet::IpNet;
use poem::{
    Request, Response, Route, Server,
    endpoint::make,
    http::{Method, StatusCode},
};
use tokio::{
    sync::{RwLock, Semaphore, watch},
    time::timeout,
};

#[cfg(unix)]
pub use self::socket::bind_unix;
pub use self::{
    application::{Application, Event, Events, ExecutionResult, LONG_RESPONSE, PublishedSchema, ReferencePage},
    avatar::{Avatar, AvatarContent, PREFIX as AVATARS},
    caller::Caller,
    client_ip::network,
    document_cache::check_document,
    document_limits::{TooLarge, check_text, measure, operation_type, selected_operation},
    document_source::{DocumentPolicy, HASH_PREFIX, TrustedDocument, hash_of, trusted_document},
    error::HttpError,
    metrics::HttpMetrics,
    metrics_listener::serve_metrics,
    origin::Origin,
    socket::{BoundSocket, Listener, allow_descriptors, bind, listen},
    spacing::tidy as without_descriptions,
    subscriptions::{MAX_HANDSHAKES, MAX_STREAMS, MAX_SUBSCRIPTIONS, SubscriptionTimeouts},
    tls::{Tls, TlsError, TlsFile},
    websocket::MAX_MESSAGE,
};
use self::{
    avatar::Avatars,
    client_ip::Proxies,
    connections::Limits,
    cors::{CrossOrigin, Preflight},
    endpoint::GraphQl,
    listener::LimitedListener,
    media::Media,
    middleware::{Middleware, id_of},
    request::Reader,
    resource::ResourceEndpoint,
    schema::{SchemaFile, SchemaReference},
    stream::Timeouts,
    subscriptions::Subscriptions,
};
use crate::share::{ShareLimits, Shares};
use crate::trace::Recorder;

/// The path prefix of the health checks.
const HEALTH: &str = "/health/";
const IDLE: Duration = Duration::from_secs(75);
/// Maximum number of requests at once on one HTTP/2 connection. poem limits the streams that a client opens and resets at once.
const MAX_HTTP2_STREAMS: u32 = 100;
/// Maximum number of requests with a file that are read or executed at once; each is kept in memory as a whole.
const MAX_UPLOADS: usize = 16;
/// The limit for the requests with a file of one user.
const UPLOADS_PER_USER: ShareLimits = ShareLimits { at_once: 1, waiting: 0, max_wait: Duration::ZERO, rest: 0 };

/// The limits and timeouts of the server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub max_connections: usize,
    /// Maximum number of connections from one IPv4 address or one /64 of IPv6; trusted proxies are exempt.
    pub max_connections_per_address: usize,
    /// The networks of the proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins, besides the server's own, whose pages may use the API.
    pub allowed_origins: Vec<Origin>,
    /// The deadline for a whole request, including the reading of its body.
    pub request_deadline: Duration,
    /// The time that a shutdown waits for the requests under way.
    pub shutdown_grace: Duration,
    pub subscriptions: SubscriptionTimeouts,
    pub playground: bool,
    pub documents: DocumentPolicy,
    /// The certificate and the key; `None` for HTTP without TLS.
    pub tls: Option<Tls>,
    /// Whether responses over TLS tell browsers to reach the host by HTTPS only (HSTS). Without TLS, that is up to the proxy.
    pub requires_https: bool,
    /// The metrics of the server.
    pub metrics: HttpMetrics,
    /// Records the traces of requests.
    pub traces: Recorder,
}

impl ServerSettings {
    fn limits(&self) -> Limits {
        Limits {
            max: self.max_connections,
            max_per_address: self.max_connections_per_address,
            exempt: self.trusted_proxies.clone(),
        }
    }
}

/// Serves requests until `shutdown` resolves, then lets the requests under way finish.
pub async fn serve<A: Application>(
    app: A,
    listener: impl Into<Listener>,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let timeouts = Timeouts { request: settings.request_deadline, idle: IDLE };
    let listener = LimitedListener::new(listener.into(), settings.limits(), timeouts, settings.metrics.clone());
    let listener = listener.with_tls(settings.tls.clone());
    let mutations = Arc::new(RwLock::new(()));
    let (stop, stopping) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    let timeouts = settings.subscriptions.within(settings.request_deadline);
    let subscriptions = Subscriptions::new(timeouts, settings.metrics.clone(), stopping);
    let origins: Arc<[Origin]> = settings.allowed_origins.into();
    let graphql = GraphQl {
        app: app.clone(),
        origins: Arc::clone(&origins),
        reader: Reader::new(app.clone(), settings.documents, &settings.metrics)?,
        proxies: Arc::new(Proxies::new(settings.trusted_proxies)),
        mutations: Arc::clone(&mutations),
        uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
        uploads_per_user: Shares::new(UPLOADS_PER_USER),
        subscriptions: subscriptions.clone(),
    };
    let routes = routes(&app, graphql, settings.playground);
    let (deadline, metrics, traces) = (settings.request_deadline, settings.metrics, settings.traces);
    let inner = Preflight { inner: routes, origins: Arc::clone(&origins) };
    let requires_https = settings.requires_https && settings.tls.is_some();
    let inner = Middleware { inner, connections: listener.connections(), deadline, metrics, traces, requires_https };
    let endpoint = CrossOrigin { inner, origins };
    Server::new_with_acceptor(listener)
        .http2_max_concurrent_streams(MAX_HTTP2_STREAMS)
        .run_with_graceful_shutdown(endpoint, shutdown, Some(settings.shutdown_grace))
        .await?;
    finish(&mutations, &subscriptions, settings.shutdown_grace).await;
    Ok(())
}

/// Waits for what does not end with its connection: mutations whose callers have disconnected, and sockets.
async fn finish(mutations: &RwLock<()>, subscriptions: &Subscriptions, max_wait: Duration) {
    let (mutations, are_closed) =
        tokio::join!(timeout(max_wait, mutations.write()), subscriptions.all_closed(max_wait));
    if mutations.is_err() {
        tracing::warn!("a mutation was still running when the server stopped");
    }
    if !are_closed {
        tracing::warn!("a socket was still open when the server stopped");
    }
}

/// Starts to watch for the signals that stop the process, SIGTERM or Ctrl-C; the returned future resolves on the first one.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn routes<A: Application>(app: &A, graphql: GraphQl<A>, playground: bool) -> Route {
    let live = make(|request| async move { health(&request, true) });
    let app_for_readiness = app.clone();
    let ready = make(move |request| {
        let app = app_for_readiness.clone();
        async move { health(&request, app.is_ready().await) }
    });
    let avatars = ResourceEndpoint { app: app.clone(), proxies: Arc::clone(&graphql.proxies), resource: Avatars };
    let schema = ResourceEndpoint { app: app.clone(), proxies: Arc::clone(&graphql.proxies), resource: SchemaFile };
    let reference =
        ResourceEndpoint { app: app.clone(), proxies: Arc::clone(&graphql.proxies), resource: SchemaReference };
    let graphql = Arc::new(graphql);
    let route = app.pages(Route::new()).at("/graphql", Arc::clone(&graphql)).at("/graphql/", graphql);
    let route = route.at("/health/live", live).at("/health/ready", ready).at(avatar::ROUTE, avatars);
    let route = route.at(schema::ROUTE, schema).at(schema::REFERENCE_ROUTE, reference);
    if playground { app.playground(route) } else { route }
}

fn health(request: &Request, is_healthy: bool) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpError::method_not_allowed("GET, HEAD").into_response(Media::Json, &id_of(request));
    }
    let (status, body) = if is_healthy {
        (StatusCode::OK, r#"{"status":"ok"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"unavailable"}"#)
    };
    Response::builder().status(status).content_type("application/json; charset=utf-8").body(body)
}

/// Responds with an error to a request whose body may not have been read yet. If the body stayed unread, the caller would lose
/// the connection.
async fn error_response(request: &mut Request, error: HttpError, media: Media, request_id: &str) -> Response {
    if error.status != StatusCode::PAYLOAD_TOO_LARGE {
        body::drain(request).await;
    }
    error.into_response(media, request_id)
}
