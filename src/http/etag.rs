//! Entity tags: tell whether the caller already has a resource (RFC 9110, 8.8.3).

use poem::http::{HeaderMap, header};

/// Returns whether the caller already has the content with this tag, which includes its quotation marks.
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
