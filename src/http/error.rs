//! The error of a request that is not executed.

use std::borrow::Cow;

use async_graphql::Pos;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};

use super::outcome::Bound;
use crate::error::{DOCUMENT_NOT_TRUSTED, TopLevelCode};

/// Maximum number of errors in one response; a hostile document can cause thousands.
pub const MAX_ERRORS: usize = 20;

/// The error of a request that is not executed: its code, status and headers.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpError {
    pub status: StatusCode,
    pub code: TopLevelCode,
    pub message: Cow<'static, str>,
    pub locations: Vec<Pos>,
    /// Other errors in the same document.
    pub others: Vec<Self>,
    /// Whether the error is in the document or its variables; with `application/json` its status is 200.
    pub of_document: bool,
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
    /// The limit that was reached, for the metrics, if the code does not tell it.
    pub bound: Option<Bound>,
}

impl HttpError {
    pub fn new(status: StatusCode, code: TopLevelCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            locations: Vec::new(),
            others: Vec::new(),
            of_document: false,
            header: None,
            bound: None,
        }
    }

    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, TopLevelCode::BadRequest, message)
    }

    /// Creates the error for a document that cannot be executed, or for variables that do not match it.
    pub fn bad_document(code: TopLevelCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { of_document: true, ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// Combines several errors into the first one, with the others attached; `None` if there are none.
    pub fn of_all(errors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let first = errors.next()?;
        Some(Self { others: errors.take(MAX_ERRORS - 1).collect(), ..first })
    }

    /// Returns the error for a caller who lacks a right.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, TopLevelCode::Forbidden, message)
    }

    /// Returns the error, and the others in the same document.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// Returns the error for a token that is malformed, unknown or no longer valid. A request without a token is merely
    /// anonymous.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, TopLevelCode::Unauthenticated, "The access token is not valid")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Returns the error for a hash that no document is registered under. The message, the code and the status are those of
    /// Apollo Server, which tell clients to send the document itself.
    #[must_use]
    pub fn persisted_query_not_found() -> Self {
        Self::new(StatusCode::OK, TopLevelCode::PersistedQueryNotFound, "PersistedQueryNotFound")
    }

    /// Returns the error for a document that is not among the trusted ones.
    #[must_use]
    pub fn document_not_trusted() -> Self {
        Self::bad_document(TopLevelCode::DocumentNotTrusted, DOCUMENT_NOT_TRUSTED)
    }

    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, TopLevelCode::NotFound, "There is no resource at this URL")
    }

    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("This method is not allowed here; use {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, TopLevelCode::MethodNotAllowed, message)
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// Returns the error for too much load, or for a database that is unavailable.
    #[must_use]
    pub fn overloaded(retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, TopLevelCode::Unavailable, "The server is busy; try again later")
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// Returns the error for a second request with a file while the user's first is still under way.
    #[must_use]
    pub fn one_upload_at_a_time() -> Self {
        let message = "You are already uploading a file; a user can upload only one file at a time";
        Self::too_many(Bound::Uploads, message).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Returns the error for a caller with too many expensive requests under way.
    #[must_use]
    pub fn too_many_expensive_requests() -> Self {
        let message = "Too many of your expensive requests are running; wait until some of them have finished";
        Self::too_many(Bound::ExpensiveRequests, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Returns the error for a caller who has not read earlier responses yet.
    #[must_use]
    pub fn unread_responses(is_mutation: bool) -> Self {
        let suffix = if is_mutation { "; changes may still have been saved" } else { "" };
        let message = format!("Too many of your large responses are still being sent; read them first{suffix}");
        Self::too_many(Bound::UnreadResponses, message).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Returns the error for a caller with as many subscriptions as allowed.
    #[must_use]
    pub fn too_many_subscriptions(max: usize) -> Self {
        let message = format!("A user can have at most {max} subscriptions at once; complete some of them first");
        Self::too_many(Bound::Subscriptions, message)
    }

    /// Returns the error for a caller who has as many event streams and sockets open as allowed.
    #[must_use]
    pub fn too_many_streams() -> Self {
        let message = "Too many of your event streams and sockets are open; close some of them first";
        Self::too_many(Bound::Streams, message).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    fn too_many(bound: Bound, message: impl Into<Cow<'static, str>>) -> Self {
        Self { bound: Some(bound), ..Self::new(StatusCode::TOO_MANY_REQUESTS, TopLevelCode::RateLimited, message) }
    }

    #[must_use]
    pub fn deadline_exceeded() -> Self {
        let message = "The request took too long; changes may still have been saved";
        Self::new(StatusCode::GATEWAY_TIMEOUT, TopLevelCode::DeadlineExceeded, message)
    }

    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, TopLevelCode::Internal, "Internal error")
    }

    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }
}
