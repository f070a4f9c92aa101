//! Scalars: values with one Rust type in the database, in the API and in import files.

mod instant;

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, ID, InputType, InputValueError, InputValueResult, OutputType, Positioned, Scalar, ScalarType,
    ServerResult, Value, parser::types::Field, registry::Registry,
};
use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::instant::Instant;
use crate::error::{Error, ErrorCode};

/// The id of a row and its GraphQL object: a UUID of version 7 (RFC 9562), so that ids sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// Creates an id that is larger than all ids created by this process before.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses an id; `None` if the text is not a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Parses an id in a field of a mutation's input.
    ///
    /// # Errors
    /// `Rejected`, with the field, if the text is not a UUID.
    pub fn of_input(field: &str, text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| Error::rejected(field, ErrorCode::Invalid, "Must be a valid ID (a UUID)."))
    }

    /// Parses an id in an argument of a query.
    ///
    /// # Errors
    /// `BadInput`, with the argument, if the text is not a UUID.
    pub fn given(argument: &str, id: &ID) -> Result<Self, Error> {
        Self::parse(id).ok_or_else(|| Error::BadInput(format!("{argument}: must be a valid ID (a UUID).")))
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::new()
    }
}

impl TryFromU64 for Id {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Id"))
    }
}

impl From<&Id> for Id {
    fn from(id: &Id) -> Self {
        *id
    }
}

impl From<Id> for ID {
    fn from(id: Id) -> Self {
        ID(id.0.to_string())
    }
}

impl OutputType for Id {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::String(self.0.to_string()))
    }
}

impl InputType for Id {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        <ID as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value {
            Some(Value::String(text)) => Self::parse(&text).ok_or_else(|| InputValueError::custom("expected a UUID")),
            other => Err(InputValueError::expected_type(other.unwrap_or_default())),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

/// A calendar date in ISO 8601 format, such as `1980-07-08`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType)]
#[serde(transparent)]
pub struct Date(pub NaiveDate);

impl Date {
    /// Returns today's date in UTC.
    #[must_use]
    pub fn today() -> Self {
        Self(Utc::now().date_naive())
    }

    /// Parses a date of the form `YYYY-MM-DD`; `None` if it is invalid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
        well_formed.then(|| text.parse().ok().map(Self)).flatten()
    }
}

/// A calendar date in ISO 8601 format, such as `1980-07-08`.
#[Scalar(name = "Date", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => {
                Self::parse(text).ok_or_else(|| InputValueError::custom("expected a date in the format YYYY-MM-DD"))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A JSON value of any kind: string, number, boolean, list or object.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(pub serde_json::Value);

/// A JSON value of any kind: string, number, boolean, list or object.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// An absolute `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, DeriveValueType)]
#[serde(transparent)]
pub struct Url(pub String);

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// An absolute `http` or `https` URL.
#[Scalar(name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if url::Url::parse(&text).is_ok() => Ok(Self(text)),
            _ => Err(InputValueError::custom("expected an absolute URL")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A date that is not validated yet. The validator parses it, so that an invalid date is reported with the other errors of the
/// input.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct DateText(pub String);

impl InputType for DateText {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        <Date as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Date as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other.unwrap_or_default())),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

/// A file uploaded with the document. This only marks its place; the content is in the request's
/// [`crate::graphql::context::Files`]. async-graphql's own type accepts the number of a file from any client, and panics if there
/// is no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload;

impl Upload {
    /// The value that the server writes into the variables in place of the file, as async-graphql does.
    pub const MARK: &str = "#__graphql_file__:0";
}

/// A file, sent as defined by the GraphQL multipart request specification: null in the operation's variables, and the
/// file in a separate part. The request must have the header `GraphQL-Require-Preflight`, `Apollo-Require-Preflight` or
/// `X-Apollo-Operation-Name`, with any value. At most one file per request.
#[Scalar(name = "Upload", specified_by_url = "https://github.com/jaydenseric/graphql-multipart-request-spec")]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text == Self::MARK => Ok(Self),
            _ => Err(InputValueError::custom("expected a file sent as a part of a multipart request")),
        }
    }

    fn to_value(&self) -> Value {
        Value::Null
    }
}

/// Returns the current instant, truncated to microseconds so that SQLite and PostgreSQL store the same value.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
