//! The HTTP server: authentication headers, `/graphql`, the playground and health checks; one deadline and one log line for each
//! request.

mod avatar;
mod body;
mod client_ip;
mod connections;
mod document_cache;
mod document_limits;
pub mod etag;
mod host;
pub mod introspection;
mod listener;
mod middleware;
mod request;
mod response;
pub mod selection;
mod socket;
mod spacing;
mod upload;
mod validation;
mod variables;

use std::{io::Result, net::IpAddr, sync::Arc, time::Duration};

use async_graphql::{Request as Query, Response as Outcome, parser::types::ExecutableDocument};
use ipnet::IpNet;
use poem::{
    Endpoint, Request, Response, Route, Server, endpoint,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};
use tokio::{
    net::TcpListener,
    sync::{RwLock, Semaphore},
    time::timeout,
};
use tracing::Instrument;

pub use self::{
    avatar::Picture,
    client_ip::network,
    document_limits::{TooLarge, check_text, kind, measure, selected},
    response::HttpError,
    socket::{allow_descriptors, bind, listen},
};
use self::{
    avatar::Pictures,
    client_ip::Proxies,
    connections::Limits,
    listener::{LimitedListener, Timeouts},
    middleware::{Middleware, OperationName, id_of},
    request::{Prepared, Reader},
    response::Media,
};
use crate::background;
use crate::i18n::language::Language;
use crate::scalar::Id;
use crate::share::{Share, ShareLimits, Shares, Who};

/// The path prefix of the health checks.
const HEALTH: &str = "/health/";
const IDLE: Duration = Duration::from_secs(75);
const MAX_USER_AGENT: usize = 256;
const MAX_TOKEN: usize = 1024;
/// Maximum number of requests with a file that are read or executed at once; each is kept in memory as a whole.
const MAX_UPLOADS: usize = 16;
/// The limit for the requests with a file of one user.
const UPLOADS_OF_ONE: ShareLimits = ShareLimits { at_once: 1, waiting: 0, patience: Duration::ZERO };
/// A response with more bytes than this is serialized in the background, and counted until it is read.
pub const LONG_ANSWER: usize = 64 * 1024;

/// The limits and timeouts of the server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub max_connections: usize,
    /// Maximum number of connections from one IPv4 address or one /64 of IPv6; trusted proxies are exempt.
    pub max_connections_per_address: usize,
    /// The networks of the proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The deadline for a whole request, including the reading of its body.
    pub request_deadline: Duration,
    /// The time that a shutdown waits for the requests under way.
    pub shutdown_grace: Duration,
    pub playground: bool,
}

/// The sender of a request, as far as HTTP tells. Not `Debug`, because it holds a secret.
#[derive(Clone)]
pub struct Caller {
    pub token: Option<String>,
    /// The address that the request comes from: the peer of the socket or, if that is a trusted proxy, the client behind it.
    pub address: IpAddr,
    pub user_agent: Option<String>,
    /// The language that the caller prefers, of those that Roster supports.
    pub language: Language,
    pub request_id: String,
}

/// The result of a request that was executed.
pub struct Answer {
    pub response: Outcome,
    /// Held by a response of more than [`LONG_ANSWER`] bytes until it is read.
    pub sending: Option<Share<Who>>,
}

/// A short response, which is serialized at once.
impl From<Outcome> for Answer {
    fn from(response: Outcome) -> Self {
        Self { response, sending: None }
    }
}

/// The interface between the HTTP server and the application behind it.
pub trait Application: Clone + Send + Sync + 'static {
    /// The facts about a document that the application collects before execution.
    type DocumentInfo: Send + Sync + 'static;

    /// Analyzes a document, once for all requests that send it.
    fn read(&self, document: &ExecutableDocument) -> Self::DocumentInfo;

    /// Authenticates the caller and executes the request.
    fn answer(
        &self,
        caller: Caller,
        query: Query,
        reading: &Self::DocumentInfo,
    ) -> impl Future<Output = std::result::Result<Answer, HttpError>> + Send;

    /// Checks whether the caller may send a file at all, before any of it is kept, and returns the user's ID.
    fn admits_upload(&self, caller: &Caller) -> impl Future<Output = std::result::Result<Id, HttpError>> + Send {
        let _ = caller;
        async { Err(HttpError::unauthenticated()) }
    }

    /// Returns the avatar of the user with this ID, without its content if the caller `holds` one with the same hash.
    fn picture(
        &self,
        caller: Caller,
        id: &str,
        holds: impl Fn(&str) -> bool + Send,
    ) -> impl Future<Output = std::result::Result<Picture, HttpError>> + Send {
        let _ = (caller, id, holds);
        async { Err(HttpError::not_found()) }
    }

    /// Returns the schema in the schema definition language.
    fn sdl(&self) -> String;

    /// Returns whether requests can be answered: the database is available and migrated.
    fn ready(&self) -> impl Future<Output = bool> + Send;

    /// Adds the pages that one-time links lead to.
    fn pages(&self, route: Route) -> Route {
        route
    }

    /// Adds the pages of the playground.
    fn playground(&self, route: Route) -> Route {
        route
    }
}

/// Serves requests until `shutdown` resolves, then lets the requests under way finish.
pub async fn serve<A: Application>(
    app: A,
    listener: TcpListener,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let timeouts = Timeouts { request: settings.request_deadline, idle: IDLE };
    let limits = Limits {
        max: settings.max_connections,
        max_per_address: settings.max_connections_per_address,
        exempt: settings.trusted_proxies.clone(),
    };
    let listener = LimitedListener::new(listener, limits, timeouts)?;
    let mutations = Arc::new(RwLock::new(()));
    let graphql = GraphQl {
        app: app.clone(),
        reader: Reader::new(app.clone())?,
        proxies: Arc::new(Proxies::new(settings.trusted_proxies)),
        mutations: Arc::clone(&mutations),
        uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
        uploads_of_users: Shares::new(UPLOADS_OF_ONE),
    };
    let routes = routes(&app, graphql, settings.playground);
    let frame = Middleware { inner: routes, connections: listener.connections(), deadline: settings.request_deadline };
    Server::new_with_acceptor(listener)
        .run_with_graceful_shutdown(frame, shutdown, Some(settings.shutdown_grace))
        .await?;
    // Mutations whose callers have disconnected still hold the lock.
    if timeout(settings.shutdown_grace, mutations.write()).await.is_err() {
        tracing::warn!("a mutation was still running when the server stopped");
    }
    Ok(())
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
    let live = endpoint::make(|request| async move { health(&request, true) });
    let app_of_ready = app.clone();
    let ready = endpoint::make(move |request| {
        let app = app_of_ready.clone();
        async move { health(&request, app.ready().await) }
    });
    let pictures = Pictures { app: app.clone(), proxies: Arc::clone(&graphql.proxies) };
    let graphql = Arc::new(graphql);
    let route = app.pages(Route::new()).at("/graphql", Arc::clone(&graphql)).at("/graphql/", graphql);
    let route = route.at("/health/live", live).at("/health/ready", ready).at(avatar::ROUTE, pictures);
    if playground { app.playground(route) } else { route }
}

fn health(request: &Request, well: bool) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpError::method("GET, HEAD").into_response(Media::Json, &id_of(request));
    }
    let (status, body) = if well {
        (StatusCode::OK, r#"{"status":"ok"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"unavailable"}"#)
    };
    Response::builder().status(status).content_type("application/json; charset=utf-8").body(body)
}

struct GraphQl<A: Application> {
    app: A,
    reader: Reader<A>,
    proxies: Arc<Proxies>,
    /// Held as a shared lock by each mutation under way.
    mutations: Arc<RwLock<()>>,
    uploads: Arc<Semaphore>,
    uploads_of_users: Shares<Id>,
}

impl<A: Application> Endpoint for GraphQl<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let id = id_of(&request);
        let Some(media) = Media::accepted(request.headers()) else {
            let message = "Accept: must allow application/graphql-response+json or application/json";
            let refusal = HttpError::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message);
            return Ok(refuse(&mut request, refusal, Media::Json, &id).await);
        };
        let read = match caller(&request, &id, &self.proxies) {
            Ok(caller) => self.read(&mut request, &caller).await.map(|prepared| (caller, prepared)),
            Err(refusal) => Err(refusal),
        };
        let (caller, mut prepared) = match read {
            Ok(read) => read,
            Err(refusal) => return Ok(refuse(&mut request, refusal, media, &id).await),
        };
        let operation = prepared.operation.take();
        let mut response = match self.run(caller, prepared).await {
            Ok(Answer { response, sending: Some(sending) }) => {
                let response = background::run(async move { response::outcome(response, media, &id) }).await;
                response::held(response, sending).await
            }
            Ok(Answer { response, .. }) => response::outcome(response, media, &id),
            Err(refusal) => refusal.into_response(media, &id),
        };
        if let Some(name) = operation {
            response.set_data(OperationName(name));
        }
        Ok(response)
    }
}

impl<A: Application> GraphQl<A> {
    async fn read(
        &self,
        request: &mut Request,
        caller: &Caller,
    ) -> std::result::Result<Prepared<A::DocumentInfo>, HttpError> {
        if !upload::is_multipart(request) {
            return request::read(request, &self.reader, caller.address).await;
        }
        upload::check(request.headers())?;
        let user = self.app.admits_upload(caller).await?;
        let share = self.uploads_of_users.take(user).await.ok_or_else(HttpError::one_at_a_time)?;
        let turn = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| HttpError::overloaded(1))?;
        Ok(Prepared { turn: Some((share, turn)), ..upload::read(request, &self.reader, caller.address).await? })
    }

    /// Executes a request. A query ends when its caller disconnects. A mutation runs as a task of its own, because dropping it in
    /// the middle of sqlx's `begin` would leave an open transaction in the pool.
    async fn run(&self, caller: Caller, prepared: Prepared<A::DocumentInfo>) -> std::result::Result<Answer, HttpError> {
        if !prepared.is_mutation {
            return self.app.answer(caller, prepared.request, &prepared.document.reading).await;
        }
        let app = self.app.clone();
        let under_way = Arc::clone(&self.mutations).read_owned().await;
        let request_id = caller.request_id.clone();
        let task = async move {
            let Prepared { request, document, turn, .. } = prepared;
            let _held = (under_way, turn);
            app.answer(caller, request, &document.reading).await
        };
        tokio::spawn(task.in_current_span()).await.unwrap_or_else(|_| {
            tracing::error!(request_id, "a mutation panicked");
            Err(HttpError::internal())
        })
    }
}

/// Responds with an error to a request whose body may not have been read yet. If the body stayed unread, the caller would lose
/// the connection.
async fn refuse(request: &mut Request, refusal: HttpError, media: Media, request_id: &str) -> Response {
    if refusal.status != StatusCode::PAYLOAD_TOO_LARGE {
        body::drain(request).await;
    }
    refusal.into_response(media, request_id)
}

fn caller(request: &Request, request_id: &str, proxies: &Proxies) -> std::result::Result<Caller, HttpError> {
    let peer = request.remote_addr().as_socket_addr().ok_or_else(HttpError::internal)?;
    let user_agent = request.header(header::USER_AGENT).map(|text| text.chars().take(MAX_USER_AGENT).collect());
    Ok(Caller {
        token: token(request.headers())?,
        address: proxies.address(peer.ip(), request.headers()),
        user_agent,
        language: Language::of_headers(request.headers()).unwrap_or_default(),
        request_id: request_id.to_owned(),
    })
}

/// Returns the bearer token. `None` if the Authorization header is missing or empty; an error if it is anything but one
/// well-formed token.
fn token(headers: &HeaderMap) -> std::result::Result<Option<String>, HttpError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if is_empty(value) && headers.get_all(header::AUTHORIZATION).iter().count() == 1 {
        return Ok(None);
    }
    let is_well_formed =
        |token: &str| (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
        .filter(|token| is_well_formed(token) && values.next().is_none());
    token.map(|token| Some(token.to_owned())).ok_or_else(HttpError::unauthenticated)
}

/// Returns whether the Authorization header is what a front end without a token sends: nothing, or the scheme alone.
fn is_empty(authorization: &HeaderValue) -> bool {
    let value = authorization.as_bytes().trim_ascii();
    value.is_empty() || value.eq_ignore_ascii_case(b"bearer")
}
