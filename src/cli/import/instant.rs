//! Instants in the formats of other systems.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::scalar::Instant;

/// Parses an instant with its offset from UTC: RFC 3339, also with a blank instead of the `T` or a shortened offset, as
/// PostgreSQL writes it (`2019-03-01 10:00:00+02`).
///
/// # Errors
/// The expected format.
pub(super) fn parse(value: &Value) -> Result<DateTime<Utc>, String> {
    let text = value.as_str().ok_or(Instant::EXPECTED)?.trim();
    let with_space = text.replacen(['T', 't'], " ", 1);
    let parsed = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(&with_space, "%Y-%m-%d %H:%M:%S%.f%#z"));
    parsed.map(|instant| instant.to_utc()).map_err(|_| Instant::EXPECTED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_an_offset() {
        for text in [
            "2019-03-01T10:00:00+02:00",
            "2019-03-01 10:00:00+02",
            "2019-03-01 10:00:00.000+0200",
            "2019-03-01 08:00:00Z",
            "2019-03-01t08:00:00z",
            "2019-03-01 08:00:00.000000+00:00",
            " 2019-03-01T03:00:00-05 ",
            "2019-03-01 10:00:00 +02:00",
        ] {
            let instant = parse(&Value::from(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(instant.to_rfc3339(), "2019-03-01T08:00:00+00:00", "{text}");
        }
        for text in ["", "yesterday", "2020-01-01", "2019-03-01 10:00:00", "01.03.2019 10:00", "2019-02-30T10:00:00Z"] {
            assert!(
                parse(&Value::from(text)).is_err_and(|error| error.contains("2019-03-01T10:00:00+02:00")),
                "{text}"
            );
        }
        assert!(parse(&Value::from(1_551_427_200)).is_err());
    }
}
