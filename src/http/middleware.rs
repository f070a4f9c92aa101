//! The middleware around every request: its ID, its deadline, the handling of panics, the headers of the response, and a log
//! line.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use poem::{
    Endpoint, Request, Response, Result,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    HEALTH,
    connections::{Connection, ConnectionRegistry},
    error::HttpError,
    host,
    media::Media,
    request::RequestDescription,
    response::security_headers,
};
use crate::error::TopLevelCode;

const MAX_ID: usize = 64;
const MAX_LOGGED: usize = 100;

pub struct Middleware<E> {
    pub inner: E,
    pub connections: ConnectionRegistry,
    pub deadline: Duration,
}

impl<E: Endpoint<Output = Response>> Endpoint for Middleware<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let id = Uuid::now_v7().to_string();
        let media = Media::accepted(request.headers()).unwrap_or(Media::Json);
        let mut log_line = LogLine::new(&request, &id);
        host::add_of_http2(&mut request);
        request.set_data(RequestId(id.clone()));
        let Some((connection, _under_way)) = self.connections.begin_request(&request) else {
            return Err(disconnected());
        };
        request.set_data(Arc::clone(&connection));

        let span = tracing::info_span!("request", %id);
        let call = async {
            check(&request, &connection)?;
            self.inner.call(request).await.map_err(|error| from_poem(&error, &id))
        };
        let call = AssertUnwindSafe(timeout(self.deadline, call)).catch_unwind();
        let outcome = tokio::select! {
            outcome = call.instrument(span) => outcome,
            () = connection.disconnected() => return Err(disconnected()),
        };
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(HttpError::deadline_exceeded()),
            Err(_) => {
                tracing::error!(request_id = id, "a request panicked");
                Err(HttpError::internal())
            }
        };
        let mut response = result.unwrap_or_else(|error| error.into_response(media, &id));
        security_headers(response.headers_mut(), &id);
        // Reading the rest of a body would cost more than another connection.
        if connection.is_reserved || connection.has_unread() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        connection.response_ready();
        log_line.status = Some(response.status());
        log_line.description = response.data::<RequestDescription>().cloned().unwrap_or_default();
        Ok(response)
    }
}

/// Returns an error for a peer that has disconnected, which is never sent.
fn disconnected() -> poem::Error {
    StatusCode::BAD_REQUEST.into()
}

/// Returns an error for a request that must not be processed further.
fn check(request: &Request, connection: &Connection) -> std::result::Result<(), HttpError> {
    if connection.is_reserved && !request.uri().path().starts_with(HEALTH) {
        return Err(HttpError::overloaded(1));
    }
    host::check(request)
}

/// Converts an error of poem, whose text is never sent.
fn from_poem(error: &poem::Error, request_id: &str) -> HttpError {
    match error.status() {
        StatusCode::NOT_FOUND => HttpError::not_found(),
        status if status.is_client_error() => {
            HttpError::new(status, TopLevelCode::BadRequest, status.canonical_reason().unwrap_or("Bad request"))
        }
        _ => {
            tracing::error!(request_id, %error, "a request failed");
            HttpError::internal()
        }
    }
}

/// The ID of a request, set by the middleware.
#[derive(Clone)]
struct RequestId(String);

pub fn id_of(request: &Request) -> String {
    request.data::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// Returns the ID that the caller gave the request. It is logged beside the server's own, because two callers may send the same.
fn client_request_id(headers: &HeaderMap) -> Option<String> {
    let mut ids = headers.get_all("x-request-id").iter();
    let id = ids.next().filter(|_| ids.next().is_none())?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (is_plain && (1..=MAX_ID).contains(&id.len())).then(|| id.to_owned())
}

/// The log line of a request, written even if its caller disconnects before the response.
struct LogLine {
    method: Method,
    path: String,
    request_id: String,
    client_request_id: Option<String>,
    started: Instant,
    status: Option<StatusCode>,
    description: RequestDescription,
}

impl LogLine {
    fn new(request: &Request, request_id: &str) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().chars().take(MAX_LOGGED).collect(),
            request_id: request_id.to_owned(),
            client_request_id: client_request_id(request.headers()),
            started: Instant::now(),
            status: None,
            description: RequestDescription::default(),
        }
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let shortened =
            |text: &Option<String>| text.as_ref().map(|text| text.chars().take(MAX_LOGGED).collect::<String>());
        tracing::info!(
            method = self.method.as_str().get(..MAX_LOGGED).unwrap_or(self.method.as_str()),
            path = self.path,
            status = self.status.map(|status| status.as_u16()), // `None` if the caller disconnected
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = self.request_id,
            client_request_id = self.client_request_id,
            operation = shortened(&self.description.operation),
            document = shortened(&self.description.document),
            "request"
        );
    }
}
