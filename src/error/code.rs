//! The codes of top-level errors.

use sea_orm::{EnumIter, Iterable};

/// The code of a top-level error, sent as `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum TopLevelCode {
    AnswerTooLarge,
    BadRequest,
    BadUserInput,
    DeadlineExceeded,
    DocumentNotTrusted,
    DocumentTooLarge,
    Forbidden,
    GraphqlParseFailed,
    GraphqlValidationFailed,
    Internal,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    OperationResolutionFailure,
    PayloadTooLarge,
    PersistedQueryNotFound,
    RateLimited,
    SnapshotRequired,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
}

impl TopLevelCode {
    /// Returns the code that is sent as this text; `None` if there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::iter().find(|code| code.as_str() == text)
    }

    /// Returns the code as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnswerTooLarge => "ANSWER_TOO_LARGE",
            Self::BadRequest => "BAD_REQUEST",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::DocumentTooLarge => "DOCUMENT_TOO_LARGE",
            Self::Forbidden => "FORBIDDEN",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::Internal => "INTERNAL",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::NotFound => "NOT_FOUND",
            Self::OperationResolutionFailure => "OPERATION_RESOLUTION_FAILURE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::RateLimited => "RATE_LIMITED",
            Self::SnapshotRequired => "SNAPSHOT_REQUIRED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Unavailable => "UNAVAILABLE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_text() {
        for code in TopLevelCode::iter() {
            assert_eq!(TopLevelCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(TopLevelCode::parse("OK"), None);
    }
}
