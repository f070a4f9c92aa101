//! The errors of requests that are not executed, or whose response is not sent.

use async_graphql::{Pos, Response, ServerError};

use crate::error::{Error, TopLevelCode, log_unavailable};
use crate::graphql::credential_use;
use crate::http::{Caller, HttpError};
use crate::repeated::Repeated;

/// Returns the error for a request with several mutations that use secrets.
pub fn too_many_credential_uses() -> Error {
    let with_secret = credential_use::WITH_SECRET.map(|mutation| format!("{mutation} with a password or PIN"));
    let mutations = credential_use::ALWAYS.map(str::to_owned).into_iter().chain(with_secret);
    Error::BadInput(format!(
        "{}: at most one of these mutations is allowed per request.",
        mutations.collect::<Vec<_>>().join(", ")
    ))
}

/// Returns the HTTP error for a document, or its response, that is too large.
pub fn http_error(error: Error) -> HttpError {
    match error {
        Error::DocumentTooLarge(message) => HttpError::bad_document(TopLevelCode::DocumentTooLarge, message),
        Error::AnswerTooLarge(message) => HttpError::bad_document(TopLevelCode::AnswerTooLarge, message),
        _ => HttpError::internal(),
    }
}

/// Logs an error that the caller did not cause, and returns the HTTP error for it.
pub fn log(error: Error, caller: &Caller, what: &str) -> HttpError {
    if let Error::Unavailable(cause) = error {
        log_unavailable(&*cause);
        return HttpError::overloaded(1);
    }
    tracing::error!(error = error.for_log(), request_id = caller.request_id, "{what}");
    HttpError::internal()
}

/// Logs an error of the application itself, and returns the HTTP error for it.
pub fn log_without_caller(error: Error) -> HttpError {
    if let Error::Unavailable(cause) = error {
        log_unavailable(&*cause);
        return HttpError::overloaded(1);
    }
    tracing::error!(error = error.for_log(), "failed to read the trusted documents");
    HttpError::internal()
}

/// Logs a readiness check that failed, at most once a minute.
pub fn log_not_ready(error: &Error) {
    static NOT_READY: Repeated = Repeated::new();
    if let Some(times) = NOT_READY.count() {
        tracing::warn!(error = error.for_log(), times, "the readiness check failed");
    }
}

/// Returns the response to a document of which nothing was executed.
pub fn error_response(error: Error) -> Response {
    let error = async_graphql::Error::from(error).into_server_error(Pos::default());
    Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }])
}
