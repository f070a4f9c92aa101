//! Instants, with one text in every response.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, OutputType, Positioned, ServerResult, Value,
    parser::types::Field, registry::Registry,
};
use chrono::{DateTime, SecondsFormat, Utc};

/// An instant in the API. It is the scalar of [`DateTime<Utc>`], whose own errors do not state the expected format, and whose texts
/// differ in length.
#[derive(Clone, Copy, Debug)]
pub struct Instant(pub DateTime<Utc>);

impl Instant {
    /// The expected format of an instant.
    pub const EXPECTED: &str = "expected a date, a time and its offset from UTC, such as \"2019-03-01T10:00:00+02:00\"";

    /// Returns an instant that may be missing.
    #[must_use]
    pub fn optional(instant: Option<DateTime<Utc>>) -> Option<Self> {
        instant.map(Self)
    }

    /// Returns the text of the instant, which always has six digits after the seconds and a `Z`.
    fn text(&self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

impl From<DateTime<Utc>> for Instant {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant)
    }
}

impl OutputType for Instant {
    fn type_name() -> Cow<'static, str> {
        <DateTime<Utc> as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <DateTime<Utc> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::String(self.text()))
    }
}

impl InputType for Instant {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        <DateTime<Utc> as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <DateTime<Utc> as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value {
            Some(Value::String(text)) => text.parse().map(Self).map_err(|_| InputValueError::custom(Self::EXPECTED)),
            other => Err(InputValueError::expected_type(other.unwrap_or_default())),
        }
    }

    fn to_value(&self) -> Value {
        <DateTime<Utc> as InputType>::to_value(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}
