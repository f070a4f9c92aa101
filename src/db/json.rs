//! The values of columns as JSON.

use chrono::{DateTime, Utc};
use sea_orm::Value as Stored;
use serde_json::Value;

/// Returns the value of a column as JSON, an instant in the form that `instant` gives it. `None` for a missing value, and for bytes,
/// such as the hashes of tokens.
#[must_use]
pub fn json_of(stored: Stored, instant: impl FnOnce(DateTime<Utc>) -> String) -> Option<Value> {
    match stored {
        Stored::String(text) => text.map(Value::from),
        Stored::Uuid(id) => id.map(|id| id.to_string().into()),
        Stored::Bool(value) => value.map(Value::from),
        Stored::Int(number) => number.map(Value::from),
        Stored::BigInt(number) => number.map(Value::from),
        Stored::ChronoDate(date) => date.map(|date| date.to_string().into()),
        Stored::ChronoDateTimeUtc(at) => at.map(|at| instant(at).into()),
        other => {
            debug_assert!(
                matches!(other, Stored::Bytes(_)),
                "a column of this type has no form in JSON yet: {other:?}"
            );
            None
        }
    }
}
