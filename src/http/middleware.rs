//! The middleware around every request: its ID and its trace, its deadline, the handling of panics, the headers of the response, and
//! a log line.

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
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{
    HEALTH,
    connections::{Connection, ConnectionRegistry},
    error::HttpError,
    host,
    media::Media,
    metrics::HttpMetrics,
    outcome::{DISCONNECTED, Outcome, kind_of},
    prepared::{RequestDescription, SharedDescription},
    response::security_headers,
};
use crate::error::TopLevelCode;
use crate::trace::{self, Current, Recorder, RequestSummary, TraceContext};

const MAX_ID: usize = 64;
const MAX_LOGGED: usize = 100;

pub struct Middleware<E> {
    pub inner: E,
    pub connections: ConnectionRegistry,
    pub deadline: Duration,
    pub metrics: HttpMetrics,
    pub traces: Recorder,
    /// Whether responses tell browsers to reach the host by HTTPS only.
    pub requires_https: bool,
}

impl<E: Endpoint<Output = Response>> Endpoint for Middleware<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let id = Uuid::now_v7().to_string();
        let media = Media::accepted(request.headers()).unwrap_or(Media::Json);
        let mut log_line = LogLine::new(&request, &id, self.metrics.clone(), &self.traces);
        host::add_of_http2(&mut request);
        request.set_data(RequestId(id.clone()));
        request.set_data(log_line.description.clone());
        let Some((connection, _under_way)) = self.connections.begin_request(&request) else {
            return Err(disconnected());
        };
        request.set_data(Arc::clone(&connection));

        let span = log_line.span();
        let call = async {
            check(&request, &connection)?;
            self.inner.call(request).await.map_err(|error| from_poem(&error, &id))
        };
        let call = AssertUnwindSafe(timeout(self.deadline, call)).catch_unwind();
        let outcome = tokio::select! {
            outcome = trace::within(log_line.recorded.clone(), call.instrument(span)) => outcome,
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
        security_headers(response.headers_mut(), &id, self.requires_https);
        log_line.trace.add_to(response.headers_mut());
        // Reading the rest of a body would cost more than another connection.
        if connection.is_reserved || connection.has_unread() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        connection.response_ready();
        log_line.finish(&response);
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

/// The log line of a request, which is also counted then; even if its caller disconnects before the response.
struct LogLine {
    method: Method,
    path: String,
    request_id: String,
    client_request_id: Option<String>,
    trace: TraceContext,
    recorded: Current,
    started: Instant,
    status: Option<StatusCode>,
    description: SharedDescription,
    /// `None` if the caller disconnected.
    outcome: Option<Outcome>,
    metrics: HttpMetrics,
}

impl LogLine {
    fn new(request: &Request, request_id: &str, metrics: HttpMetrics, traces: &Recorder) -> Self {
        let trace = TraceContext::of_headers(request.headers());
        let is_health_check = request.uri().path().starts_with(HEALTH);
        let (trace, recorded) = if is_health_check { (trace, None) } else { traces.begin(trace) };
        Self {
            method: request.method().clone(),
            path: request.uri().path().chars().take(MAX_LOGGED).collect(),
            request_id: request_id.to_owned(),
            client_request_id: client_request_id(request.headers()),
            trace,
            recorded,
            started: Instant::now(),
            status: None,
            description: SharedDescription::default(),
            outcome: None,
            metrics,
        }
    }

    /// Returns the span of the request, whose fields are in all its log lines.
    fn span(&self) -> Span {
        let Self { request_id, trace, .. } = self;
        tracing::info_span!("request", id = %request_id, trace_id = %trace.trace_id(), span_id = %trace.span_id())
    }

    /// Takes what there is to say about the request from its response.
    fn finish(&mut self, response: &Response) {
        let status = response.status();
        let outcome = response.data::<Outcome>().copied();
        (self.status, self.outcome) = (Some(status), Some(outcome.unwrap_or_else(|| Outcome::of_status(status))));
    }

    /// Returns what the span of the request shows. A name that the client chose may say anything, so it shows only names of
    /// trusted documents.
    fn summary(&self, description: RequestDescription) -> RequestSummary {
        let RequestDescription { operation_type, operation, document } = description;
        RequestSummary {
            request_id: self.request_id.clone(),
            method: name_of(&self.method),
            operation_type: operation_type.map(|operation_type| kind_of(Some(operation_type))),
            operation: operation.filter(|_| document.is_some()),
            document,
            status: self.status.map(|status| status.as_u16()),
            outcome: self.outcome.map_or(DISCONNECTED, Outcome::as_str),
            is_failure: self.outcome.is_some_and(Outcome::is_failure),
        }
    }
}

/// Returns the name of a method; `_OTHER` for one that a client may have made up.
fn name_of(method: &Method) -> &'static str {
    let known = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let shortened =
            |text: &Option<String>| text.as_ref().map(|text| text.chars().take(MAX_LOGGED).collect::<String>());
        let description = self.description.get();
        let (operation, document) = (shortened(&description.operation), shortened(&description.document));
        let duration = self.started.elapsed();
        self.metrics.count_request(kind_of(description.operation_type), self.outcome, duration);
        if document.is_some() {
            self.metrics.count_trusted_operation(operation.as_deref(), self.outcome, duration);
        }
        if let Some(recorded) = &self.recorded {
            recorded.end(self.summary(description));
        }
        tracing::info!(
            method = self.method.as_str().get(..MAX_LOGGED).unwrap_or(self.method.as_str()),
            path = self.path,
            status = self.status.map(|status| status.as_u16()), // `None` if the caller disconnected
            milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            request_id = self.request_id,
            client_request_id = self.client_request_id,
            operation,
            document,
            trace_id = self.trace.trace_id(),
            span_id = self.trace.span_id(),
            "request"
        );
    }
}
