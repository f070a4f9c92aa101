//! What is around every request: its id, its deadline, a net for panics, the headers of the answer, a line of log.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use poem::{
    Endpoint, Request, Response, Result,
    http::{HeaderMap, Method, StatusCode},
};
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    listener::Callers,
    response::{Media, Refusal, protect},
};

const MAX_ID: usize = 64;
const MAX_LOGGED: usize = 100;

pub struct Frame<E> {
    pub inner: E,
    pub callers: Callers,
    pub deadline: Duration,
}

impl<E: Endpoint<Output = Response>> Endpoint for Frame<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let id = given_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
        let media = Media::accepted(request.headers()).unwrap_or(Media::Json);
        let mut line = Line::begin(&request, &id);
        request.set_data(RequestId(id.clone()));

        let span = tracing::info_span!("request", %id);
        let gone = self.callers.gone(&request);
        let call = AssertUnwindSafe(timeout(self.deadline, self.inner.call(request))).catch_unwind();
        let outcome = tokio::select! {
            outcome = call.instrument(span) => outcome,
            () = gone => return Err(StatusCode::BAD_REQUEST.into()), // nobody reads it
        };
        let refusal = match outcome {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(error))) => Err(of_poem(&error, &id)),
            Ok(Err(_)) => Err(Refusal::deadline()),
            Err(_) => {
                tracing::error!(request_id = id, "a request panicked");
                Err(Refusal::internal())
            }
        };
        let mut response = refusal.unwrap_or_else(|refusal| refusal.into_response(media, &id));
        protect(response.headers_mut(), &id);
        line.status = Some(response.status());
        line.operation = response.data::<OperationName>().map(|name| name.0.chars().take(MAX_LOGGED).collect());
        Ok(response)
    }
}

/// poem's own errors, whose text is never shown.
fn of_poem(error: &poem::Error, request_id: &str) -> Refusal {
    match error.status() {
        StatusCode::NOT_FOUND => Refusal::not_found(),
        status if status.is_client_error() => {
            Refusal::new(status, "BAD_REQUEST", status.canonical_reason().unwrap_or("Bad request"))
        }
        _ => {
            tracing::error!(request_id, %error, "a request failed");
            Refusal::internal()
        }
    }
}

/// The request's id, as the frame writes it into the request.
#[derive(Clone)]
struct RequestId(String);

pub fn id_of(request: &Request) -> String {
    request.data::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// The name of the operation, as the answer carries it back to the log.
#[derive(Clone)]
pub struct OperationName(pub String);

fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (is_plain && (1..=MAX_ID).contains(&id.len())).then(|| id.to_owned())
}

/// The line that a request leaves in the log, also when its caller goes before the answer.
struct Line {
    method: Method,
    path: String,
    request_id: String,
    began: Instant,
    status: Option<StatusCode>,
    operation: Option<String>,
}

impl Line {
    fn begin(request: &Request, request_id: &str) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().chars().take(MAX_LOGGED).collect(),
            request_id: request_id.to_owned(),
            began: Instant::now(),
            status: None,
            operation: None,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        tracing::info!(
            method = self.method.as_str().get(..MAX_LOGGED).unwrap_or(self.method.as_str()),
            path = self.path,
            status = self.status.map(|status| status.as_u16()), // none: the caller went away
            milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = self.request_id,
            operation = self.operation,
            "request"
        );
    }
}
