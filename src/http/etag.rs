//! Entity tags: tell whether the caller already has a resource (RFC 9110, 8.8.3).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use poem::{
    Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use sha2::{Digest, Sha256};

/// Returns the tag of a content, with its quotation marks.
#[must_use]
pub fn of(content: &[u8]) -> String {
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content)))
}

/// Returns the value of the `ETag` header for a content that is sent in several encodings.
#[must_use]
pub fn weak(etag: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("W/{etag}")).ok()
}

/// Replaces a response by 304 if the caller already has it: it has a tag that the caller sent.
#[must_use]
pub fn revalidate(headers: &HeaderMap, response: Response) -> Response {
    let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
    if !etag.is_some_and(|etag| holds(headers, etag.trim_start_matches("W/"))) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for of_content in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        parts.headers.remove(of_content);
    }
    Response::from_parts(parts, poem::Body::empty())
}

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
