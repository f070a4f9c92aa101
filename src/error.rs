//! Errors: their codes, and the only conversion into GraphQL errors.

mod code;
mod database;

use std::sync::Arc;

use async_graphql::{Context, Enum, EnumType, ErrorExtensionValues, PathSegment, ServerError, SimpleObject, Value};
use sea_orm::{DbErr, SqlErr};

pub use self::code::TopLevelCode;
pub use self::database::{
    cannot_work, database_code, describe, is_disconnect, is_lock_conflict, is_read_only, unavailability,
};
use crate::repeated::Repeated;

/// Requests that failed because the database does not serve.
static UNAVAILABLE: Repeated = Repeated::new();

/// The reason why an input was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ErrorCode {
    /// The value is required but is missing or blank.
    Required,
    /// The field can be omitted but must not be null.
    NullNotAllowed,
    /// The value is too long or too large.
    TooLong,
    /// The value is too short or too small.
    TooShort,
    /// The value breaks a rule of its field, such as its format.
    Invalid,
    /// The value is already in use.
    Taken,
    /// Nothing with this ID or name exists, or the viewer cannot see it.
    NotFound,
    /// The object has changed since the viewer read it: its version is not `expectedVersion`.
    Conflict,
    /// The username, email address, password or PIN is wrong.
    InvalidCredentials,
    /// Too many wrong passwords or PINs were sent. Passwords are accepted again after 15 minutes, and the PIN after the
    /// next sign-in with the password.
    Locked,
    /// The account is deactivated, or its license has expired or has not started yet.
    Inactive,
    /// The link has expired, was used or invalidated, or never existed.
    Expired,
    /// A rule of the directory forbids the change, regardless of the viewer's rights.
    NotAllowed,
}

/// An error in the input of a mutation. A payload lists all errors at once.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct MutationError {
    /// The error code, for programs.
    pub code: ErrorCode,
    /// The path from the mutation's arguments to the invalid value, such as `["input", "email"]`. List indexes are strings, as
    /// in `["input", "attributes", "0", "value"]`. `["input"]` if the error concerns several fields.
    pub path: Vec<String>,
    /// The error message, in English, for users.
    pub message: String,
}

impl MutationError {
    /// Creates an error of one field of the argument `input`. The name of a nested field is `outer.inner`.
    pub fn at(field: &str, code: ErrorCode, message: impl Into<String>) -> Self {
        let path = std::iter::once("input").chain(field.split('.')).map(str::to_owned).collect();
        Self { code, path, message: message.into() }
    }
}

/// An error of an operation. It is not `Display`, so that only the conversion below turns it into a GraphQL error.
#[derive(Clone, Debug)]
pub enum Error {
    /// The caller is not signed in.
    Unauthenticated,
    /// The viewer lacks a right; the text names it.
    Forbidden(String),
    /// Too many requests, or too much work at once.
    RateLimited(String),
    /// The document exceeds a limit; the text names it.
    DocumentTooLarge(String),
    /// The response exceeds a limit; the text names it.
    AnswerTooLarge(String),
    /// An argument of a query is invalid; the text names the argument and the rule.
    BadInput(String),
    /// The document of a subscription is no longer trusted.
    DocumentNotTrusted,
    /// The changes after a position are unknown. `position` is the current one, to continue at after reading everything.
    SnapshotRequired { position: String },
    /// The input of a mutation is invalid; the payload lists these errors.
    Rejected(Vec<MutationError>),
    /// The database cannot be reached or cannot do its work at present.
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
    /// An internal error; its cause is written only to the log.
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Creates an error of one field of a mutation's input.
    pub fn rejected(field: &str, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected(vec![MutationError::at(field, code, message)])
    }

    /// Creates the error for an id of an object that does not exist or that the viewer cannot see.
    #[must_use]
    pub fn not_found(field: &str, what: &str) -> Self {
        Self::rejected(field, ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// Returns the mapping of a failed write: `TAKEN` at a field if it violates a unique constraint, of which there is one.
    pub fn taken(field: &str, message: &str) -> impl Fn(DbErr) -> Self {
        move |error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::rejected(field, ErrorCode::Taken, message),
            _ => error.into(),
        }
    }

    /// Returns the error for a line of the log: what has failed, and its cause.
    #[must_use]
    pub fn for_log(&self) -> String {
        format!("{:#}", anyhow::Error::from(self.clone()))
    }

    /// Creates an internal error.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }
}

impl ErrorCode {
    /// Returns the code as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::items().iter().find(|item| item.value == self).map_or("", |item| item.name)
    }
}

/// Logs why the database does not serve, at most once a minute, with the number of requests that failed for it meanwhile.
pub fn log_unavailable(cause: &(dyn std::error::Error + Send + Sync + 'static)) {
    if let Some(times) = UNAVAILABLE.count() {
        tracing::warn!(cause = describe(cause), times, "{}", unavailability(cause));
    }
}

/// The message of [`Error::DocumentNotTrusted`], and of requests with such a document.
pub const DOCUMENT_NOT_TRUSTED: &str =
    "The document is not trusted: it was not published on this server, or was withdrawn";

/// The message of [`Error::SnapshotRequired`].
const SNAPSHOT_REQUIRED: &str = "after: the directory does not know this position, because it was restored from a \
                                 backup; read everything again, and follow the changes after the position in the \
                                 extensions of this error.";

/// For the command line, which shows the cause.
impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated => Self::msg("not signed in"),
            Error::Forbidden(what)
            | Error::RateLimited(what)
            | Error::DocumentTooLarge(what)
            | Error::AnswerTooLarge(what)
            | Error::BadInput(what) => Self::msg(what),
            Error::DocumentNotTrusted => Self::msg(DOCUMENT_NOT_TRUSTED),
            Error::SnapshotRequired { .. } => Self::msg(SNAPSHOT_REQUIRED),
            Error::Rejected(errors) => {
                // A path begins with the name of an argument, which a command does not have.
                let text = |error: MutationError| match error.path.get(1..) {
                    None | Some([]) => error.message,
                    Some(path) => format!("{}: {}", path.join("."), error.message),
                };
                let texts: Vec<String> = errors.into_iter().map(text).collect();
                Self::msg(texts.join("; "))
            }
            Error::Unavailable(cause) => Self::msg(describe(&*cause)).context(unavailability(&*cause)),
            Error::Internal(cause) => Self::msg(describe(&*cause)),
        }
    }
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        let (code, message) = match error {
            Error::Unauthenticated => (TopLevelCode::Unauthenticated, "Sign in first.".to_owned()),
            Error::Forbidden(what) => (TopLevelCode::Forbidden, what),
            Error::RateLimited(what) => (TopLevelCode::RateLimited, what),
            Error::DocumentTooLarge(what) => (TopLevelCode::DocumentTooLarge, what),
            Error::AnswerTooLarge(what) => (TopLevelCode::AnswerTooLarge, what),
            Error::BadInput(what) => (TopLevelCode::BadUserInput, what),
            Error::DocumentNotTrusted => (TopLevelCode::DocumentNotTrusted, DOCUMENT_NOT_TRUSTED.to_owned()),
            Error::SnapshotRequired { position } => {
                extensions.set("position", position);
                (TopLevelCode::SnapshotRequired, SNAPSHOT_REQUIRED.to_owned())
            }
            Error::Unavailable(cause) => {
                log_unavailable(&*cause);
                let message = "The service is temporarily unavailable; try again later.".to_owned();
                (TopLevelCode::Unavailable, message)
            }
            Error::Rejected(errors) => {
                let texts: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
                (TopLevelCode::BadUserInput, texts.join(" "))
            }
            // No code: the server masks and logs errors without one.
            Error::Internal(cause) => return Self::new(cause.to_string()),
        };
        extensions.set("code", code.as_str());
        Self { message, source: None, extensions: Some(extensions) }
    }
}

/// The error extension that holds the path of the field until the error is part of a response.
pub const PATH: &str = "path";

/// Runs the work of a field inside an object, and records the field's path in its errors. async-graphql sets the path of an error
/// anew in each field that it propagates through, up to the outermost list; so the path of this field would be lost.
///
/// # Errors
/// Those of the work.
pub async fn located<T>(
    ctx: &Context<'_>,
    work: impl Future<Output = async_graphql::Result<T>>,
) -> async_graphql::Result<T> {
    work.await.map_err(|mut error| {
        let path = ctx.set_error_path(ServerError::new("", None)).path;
        let segments = path.into_iter().map(|segment| match segment {
            PathSegment::Field(name) => Value::String(name),
            PathSegment::Index(index) => Value::from(index),
        });
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        extensions.set(PATH, Value::List(segments.collect()));
        error
    })
}
