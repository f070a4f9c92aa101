//! What can go wrong.

use std::collections::BTreeMap;
use std::fmt;

use cynic::GraphQlError;
use serde::Deserialize;

use crate::operations::MutationError;

/// An error of a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be reached, or the response to a query or mutation is not one of Roster, such as that of a proxy.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The response to a subscription is neither a stream nor an error of Roster, such as the page of a proxy.
    #[error("the response is not one of Roster (status {status}, media type {media_type:?})")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// The media type; empty if the response has none.
        media_type: String,
    },
    /// The server has accepted a subscription, or the connection for it, but sends nothing.
    #[error("the server is silent")]
    Silent,
    /// An event is not one of Roster.
    #[error(transparent)]
    Event(#[from] serde_json::Error),
    /// The server refuses the request.
    #[error("{message} ({code})")]
    Refused {
        /// The code, such as `UNAUTHENTICATED`, `FORBIDDEN` or `RATE_LIMITED`.
        code: String,
        /// The message, in English.
        message: String,
    },
    /// The input of a mutation is wrong.
    #[error("{0}")]
    Invalid(FieldErrors),
    /// The response has neither data nor errors.
    #[error("the response has no data")]
    NoData,
}

/// The part of an error's extensions that the client reads.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Extensions {
    code: Option<String>,
}

impl From<GraphQlError<Extensions>> for Error {
    fn from(error: GraphQlError<Extensions>) -> Self {
        let code = error.extensions.and_then(|extensions| extensions.code);
        Self::Refused { code: code.unwrap_or_default(), message: error.message }
    }
}

/// The errors of an input, as a form shows them.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors {
    /// By the name of the field, such as `email` or `attributes.0.value`.
    pub fields: BTreeMap<String, Vec<MutationError>>,
    /// The errors that concern no field, or several.
    pub form: Vec<MutationError>,
}

impl FieldErrors {
    /// Sorts the errors of a payload by field.
    pub(crate) fn new(errors: Vec<MutationError>) -> Self {
        let mut sorted = Self::default();
        for error in errors {
            match error.path.get(1..) {
                None | Some([]) => sorted.form.push(error),
                Some(path) => sorted.fields.entry(path.join(".")).or_default().push(error),
            }
        }
        sorted
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.iter().flat_map(|(name, errors)| errors.iter().map(move |error| (Some(name), error)));
        for (index, (name, error)) in fields.chain(self.form.iter().map(|error| (None, error))).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match name {
                Some(name) => write!(formatter, "{separator}{name}: {}", error.message)?,
                None => write!(formatter, "{separator}{}", error.message)?,
            }
        }
        Ok(())
    }
}
