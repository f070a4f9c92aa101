//! Entity tags, by which a caller says what he already has (RFC 9110, 8.8.3).

use poem::http::{HeaderMap, header};

/// Whether the caller already has the content of this tag, which is written with its quotation marks.
#[must_use]
pub fn holds(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}
