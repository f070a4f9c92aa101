//! The endpoint `/graphql`: reads, executes and responds to one request.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use poem::{
    Endpoint, Request, Response,
    http::{Method, StatusCode},
};
use tokio::sync::{RwLock, Semaphore};
use tracing::Instrument;

use super::{
    application::{Application, ExecutionResult},
    caller::Caller,
    client_ip::Proxies,
    compression::Encoding,
    connections::Connection,
    error::HttpError,
    error_response, etag, event_stream,
    media::{Accepted, Media},
    middleware::id_of,
    origin::{self, Origin},
    prepared::{Prepared, UploadPermit},
    request::{self, Reader},
    response::{self, ResponseFormat},
    subscriptions::Subscriptions,
    upload, websocket,
};
use crate::background;
use crate::error::TopLevelCode;
use crate::scalar::Id;
use crate::share::Shares;
use crate::trace;

/// The endpoint of `/graphql`.
pub struct GraphQl<A: Application> {
    pub app: A,
    pub reader: Reader<A>,
    pub proxies: Arc<Proxies>,
    /// The origins, besides the server's own, whose pages may open sockets and event streams.
    pub origins: Arc<[Origin]>,
    /// Held as a shared lock by each mutation under way.
    pub mutations: Arc<RwLock<()>>,
    pub uploads: Arc<Semaphore>,
    pub uploads_per_user: Shares<Id>,
    pub subscriptions: Subscriptions,
}

impl<A: Application> Endpoint for GraphQl<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let id = id_of(&request);
        if websocket::is_requested(&request) {
            let upgraded = websocket::upgrade(self, &request, &id).await;
            return Ok(upgraded.unwrap_or_else(|error| error.into_response(Media::Json, &id)));
        }
        let Some(accepted) = Accepted::of(request.headers()) else {
            let message = "Accept: must allow application/graphql-response+json, application/json or text/event-stream";
            let error = HttpError::new(StatusCode::NOT_ACCEPTABLE, TopLevelCode::NotAcceptable, message);
            return Ok(error_response(&mut request, error, Media::Json, &id).await);
        };
        let read = match Caller::from_request(&request, &id, &self.proxies) {
            Ok(caller) => self.read(&mut request, &caller, accepted).await.map(|prepared| (caller, prepared)),
            Err(error) => Err(error),
        };
        let (caller, prepared) = match read {
            Ok(read) => read,
            Err(error) if error.of_document && accepted.only_events() => {
                return Ok(event_stream::of_error(&error, &id));
            }
            Err(error) => return Ok(error_response(&mut request, error, accepted.media(), &id).await),
        };
        Ok(match self.respond(&request, caller, prepared, accepted).await {
            Ok(response) => response,
            Err(error) if error.of_document && accepted.only_events() => event_stream::of_error(&error, &id),
            Err(error) => error.into_response(accepted.media(), &id),
        })
    }
}

impl<A: Application> GraphQl<A> {
    /// Reads and checks a request, without executing it.
    async fn read(
        &self,
        request: &mut Request,
        caller: &Caller,
        accepted: Accepted,
    ) -> Result<Prepared<A::DocumentInfo>, HttpError> {
        if !upload::is_multipart(request) {
            return request::read(request, &self.reader, caller, accepted.events).await;
        }
        upload::check(request.headers())?;
        let user_id = self.app.authorize_upload(caller).await?;
        let user_share = self.uploads_per_user.take(user_id).await.ok_or_else(HttpError::one_upload_at_a_time)?;
        let permit = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| HttpError::overloaded(1))?;
        let upload_permit = Some(UploadPermit::new(user_share, permit));
        Ok(Prepared { upload_permit, ..upload::read(request, &self.reader, caller).await? })
    }

    /// Executes a request and returns its response.
    async fn respond(
        &self,
        request: &Request,
        caller: Caller,
        prepared: Prepared<A::DocumentInfo>,
        accepted: Accepted,
    ) -> Result<Response, HttpError> {
        if prepared.operation_type == Some(OperationType::Subscription) {
            return self.subscribe(request, caller, prepared).await;
        }
        let id = caller.request_id.clone();
        let format = ResponseFormat {
            media: accepted.media(),
            encoding: Encoding::accepted(request.headers(), &Encoding::ALL),
            // A result of POST must not be kept.
            is_cacheable: *request.method() == Method::GET,
        };
        let ExecutionResult { response, send_permit } = self.execute(caller, prepared).await?;
        let respond = move || {
            if accepted.only_events() {
                event_stream::of_result(response, &id)
            } else {
                response::from_graphql(response, format, &id)
            }
        };
        let response = match send_permit {
            None => respond(),
            Some(permit) => response::stream_holding(background::run(async move { respond() }).await, permit).await,
        };
        Ok(etag::revalidate(request.headers(), response))
    }

    /// Starts a subscription and returns the response that sends its events.
    async fn subscribe(
        &self,
        request: &Request,
        caller: Caller,
        prepared: Prepared<A::DocumentInfo>,
    ) -> Result<Response, HttpError> {
        origin::check(request.headers(), &self.origins)?;
        let who = self.app.requester(&caller).await?;
        let share = self.subscriptions.take_stream(who).await.ok_or_else(HttpError::too_many_streams)?;
        let subscription = self.subscriptions.take_subscription(who).await?;
        let last_event_id = request.header(event_stream::LAST_EVENT_ID).map(str::to_owned);
        let Prepared { request: operation, document, .. } = prepared;
        let events = self.app.subscribe(caller.clone(), operation, &document.info, last_event_id).await?;
        if let Some(connection) = request.data::<Arc<Connection>>() {
            connection.stream_started();
        }
        Ok(event_stream::of_subscription(
            self.app.clone(),
            caller,
            events,
            self.subscriptions.clone(),
            [share, subscription],
        ))
    }

    /// Executes a request. A query ends when its caller disconnects. A mutation runs as a task of its own, because dropping it in
    /// the middle of sqlx's `begin` would leave an open transaction in the pool.
    async fn execute(&self, caller: Caller, prepared: Prepared<A::DocumentInfo>) -> Result<ExecutionResult, HttpError> {
        if prepared.operation_type != Some(OperationType::Mutation) {
            return self.app.execute(caller, prepared.request, &prepared.document.info).await;
        }
        let app = self.app.clone();
        let mutation_lock = Arc::clone(&self.mutations).read_owned().await;
        let request_id = caller.request_id.clone();
        let task = async move {
            let Prepared { request, document, upload_permit, .. } = prepared;
            let _held = (mutation_lock, upload_permit);
            app.execute(caller, request, &document.info).await
        };
        tokio::spawn(trace::inherit(task.in_current_span())).await.unwrap_or_else(|_| {
            tracing::error!(request_id, "a mutation panicked");
            Err(HttpError::internal())
        })
    }
}
