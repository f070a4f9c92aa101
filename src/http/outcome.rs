//! The outcome of a request, as the metrics tell it. The values are few, and none is chosen by a client.

use async_graphql::{ServerError, Value, parser::types::OperationType};
use poem::http::StatusCode;

use super::error::HttpError;
use crate::error::TopLevelCode;

/// The outcome of a request without an error.
pub const OK: &str = "ok";
/// The outcome of a request whose client left before the response.
pub const DISCONNECTED: &str = "disconnected";

/// The limit for which something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The size of the response.
    Answer,
    /// The number of wrong secrets, requested emails and other attempts within a time, and the queue of password hashes.
    Attempts,
    /// The size of the body.
    Body,
    /// The number of connections.
    Connections,
    /// The duration of a request.
    Deadline,
    /// The size or the cost of the document.
    Document,
    /// The expensive requests of a caller.
    ExpensiveRequests,
    /// The event streams and sockets of a caller.
    Streams,
    /// The subscriptions of a caller.
    Subscriptions,
    /// The server as a whole, or a database that cannot be reached.
    Unavailable,
    /// The long responses that a caller has not read yet.
    UnreadResponses,
    /// The uploads of a caller.
    Uploads,
}

impl Bound {
    pub const ALL: [Self; 12] = [
        Self::Answer,
        Self::Attempts,
        Self::Body,
        Self::Connections,
        Self::Deadline,
        Self::Document,
        Self::ExpensiveRequests,
        Self::Streams,
        Self::Subscriptions,
        Self::Unavailable,
        Self::UnreadResponses,
        Self::Uploads,
    ];

    /// Returns the name of the bound in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Attempts => "attempts",
            Self::Body => "body",
            Self::Connections => "connections",
            Self::Deadline => "deadline",
            Self::Document => "document",
            Self::ExpensiveRequests => "expensive_requests",
            Self::Streams => "streams",
            Self::Subscriptions => "subscriptions",
            Self::Unavailable => "unavailable",
            Self::UnreadResponses => "unread_responses",
            Self::Uploads => "uploads",
        }
    }

    /// Returns the bound that an error code stands for, if it says nothing more precise.
    fn of_code(code: TopLevelCode) -> Option<Self> {
        match code {
            TopLevelCode::AnswerTooLarge => Some(Self::Answer),
            TopLevelCode::DeadlineExceeded => Some(Self::Deadline),
            TopLevelCode::DocumentTooLarge => Some(Self::Document),
            TopLevelCode::PayloadTooLarge => Some(Self::Body),
            TopLevelCode::RateLimited => Some(Self::Attempts),
            TopLevelCode::Unavailable => Some(Self::Unavailable),
            _ => None,
        }
    }
}

/// The outcome of a request: its first error, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    error: Option<TopLevelCode>,
    pub bound: Option<Bound>,
}

impl Outcome {
    fn of_code(code: TopLevelCode) -> Self {
        Self { error: Some(code), bound: Bound::of_code(code) }
    }

    /// Returns the outcome of a request that is not executed.
    pub fn of_error(error: &HttpError) -> Self {
        Self { bound: error.bound.or(Bound::of_code(error.code)), ..Self::of_code(error.code) }
    }

    /// Returns the outcome of a request with these errors in its response, whose codes are final.
    pub fn of_errors(errors: &[ServerError]) -> Self {
        let Some(error) = errors.first() else { return Self::default() };
        let code = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
            Some(Value::String(code)) => TopLevelCode::parse(code),
            _ => None,
        };
        Self::of_code(code.unwrap_or(TopLevelCode::Internal))
    }

    /// Returns the outcome of a response that tells nothing else.
    pub fn of_status(status: StatusCode) -> Self {
        if status.is_server_error() {
            Self::of_code(TopLevelCode::Unavailable)
        } else if status.is_client_error() {
            Self::of_code(TopLevelCode::BadRequest)
        } else {
            Self::default()
        }
    }

    /// Returns whether the server failed, rather than its caller.
    pub fn is_failure(self) -> bool {
        matches!(self.error, Some(TopLevelCode::DeadlineExceeded | TopLevelCode::Internal | TopLevelCode::Unavailable))
    }

    /// Returns the name of the outcome in the metrics: an error code, or `ok`.
    pub fn as_str(self) -> &'static str {
        self.error.map_or(OK, TopLevelCode::as_str)
    }
}

/// The names of the kinds of operations in the metrics.
pub const KINDS: [&str; 4] = ["query", "mutation", "subscription", OTHER];

/// The kind of a request that is no operation, or whose operation is not known.
pub const OTHER: &str = "other";

/// Returns the name of a kind of operation.
pub fn kind_of(operation: Option<OperationType>) -> &'static str {
    match operation {
        Some(OperationType::Query) => "query",
        Some(OperationType::Mutation) => "mutation",
        Some(OperationType::Subscription) => "subscription",
        None => OTHER,
    }
}
