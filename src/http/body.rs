//! The body of a request: read beyond the limit up to which it is kept, so that its sender can finish and read the response.

use std::{pin::pin, sync::Arc};

use futures_util::StreamExt;
use poem::{
    Request,
    http::{HeaderMap, StatusCode, header},
};

use super::{connections::Connection, error::HttpError, upload};
use crate::error::TopLevelCode;

/// Maximum number of bytes of a JSON body.
pub const MAX_JSON: usize = 256 * 1024;

struct Bounds {
    /// Maximum number of bytes of a body that is accepted.
    accepted: usize,
    /// Maximum number of bytes that are read, accepted or not.
    read: usize,
}

const JSON_BOUNDS: Bounds = Bounds { accepted: MAX_JSON, read: 1024 * 1024 };
/// A photo straight from a camera is too large; its sender should receive the error that says so.
const UPLOAD_BOUNDS: Bounds = Bounds { accepted: upload::MAX_BODY, read: 16 * 1024 * 1024 };

fn bounds_of(request: &Request) -> Bounds {
    if upload::is_multipart(request) { UPLOAD_BOUNDS } else { JSON_BOUNDS }
}

/// Reads a body.
///
/// # Errors
/// 413 if it is too large, 400 if it is incomplete.
pub async fn read(request: &mut Request) -> Result<Vec<u8>, HttpError> {
    let bounds = bounds_of(request);
    let too_large = || {
        let message = format!("The body is too large: at most {} bytes are allowed", bounds.accepted);
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, TopLevelCode::PayloadTooLarge, message)
    };
    let max = if expects_continue(request) { bounds.accepted } else { bounds.read };
    if is_longer(request, max) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    let mut length = 0_usize;
    let mut chunks = pin!(request.take_body().into_bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| HttpError::bad_request("The body is incomplete or malformed"))?;
        length = length.saturating_add(chunk.len());
        if length > bounds.read {
            return Err(too_large());
        }
        if length > bounds.accepted {
            body = Vec::new();
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    mark_received(request);
    if length > bounds.accepted { Err(too_large()) } else { Ok(body) }
}

/// Reads the rest of the body of a rejected request, unless it is too large.
pub async fn drain(request: &mut Request) {
    let max = bounds_of(request).read;
    if expects_continue(request) || is_longer(request, max) {
        return;
    }
    let mut length = 0_usize;
    let mut chunks = pin!(request.take_body().into_bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return };
        length = length.saturating_add(chunk.len());
        if length > max {
            return;
        }
    }
    mark_received(request);
}

/// Returns whether a body follows these headers.
pub fn is_announced(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length.as_bytes() != b"0")
}

fn mark_received(request: &Request) {
    if let Some(connection) = request.data::<Arc<Connection>>() {
        connection.body_received();
    }
}

/// Returns whether the sender waits for a response before it sends the body (`Expect`).
fn expects_continue(request: &Request) -> bool {
    request.headers().contains_key(header::EXPECT)
}

/// Returns whether the sender announces more than this many bytes.
fn is_longer(request: &Request, max: usize) -> bool {
    let announced = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    announced.is_some_and(|length| length > max)
}
