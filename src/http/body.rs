//! The body of a request: read beyond the limit up to which it is kept, so that its sender can finish and read the response.

use std::{pin::pin, sync::Arc};

use futures_util::StreamExt;
use poem::{
    Request,
    http::{HeaderMap, StatusCode, header},
};

use super::{connections::Connection, response::HttpError, upload};

/// Maximum number of bytes of a JSON body.
pub const MAX_JSON: usize = 256 * 1024;

struct Bounds {
    /// Maximum number of bytes that are kept; a larger body is refused.
    kept: usize,
    /// Maximum number of bytes that are read, kept or not.
    read: usize,
}

const OF_JSON: Bounds = Bounds { kept: MAX_JSON, read: 1024 * 1024 };
/// A photo straight from a camera is too large; its sender should receive the error that says so.
const OF_UPLOAD: Bounds = Bounds { kept: upload::MAX_BODY, read: 16 * 1024 * 1024 };

fn bounds_of(request: &Request) -> Bounds {
    if upload::is_multipart(request) { OF_UPLOAD } else { OF_JSON }
}

/// Reads a body.
///
/// # Errors
/// 413 if it is too large, 400 if it is incomplete.
pub async fn read(request: &mut Request) -> Result<Vec<u8>, HttpError> {
    let bounds = bounds_of(request);
    let too_large = || {
        let message = format!("The body is too large: at most {} bytes are allowed", bounds.kept);
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    };
    let most = if waits(request) { bounds.kept } else { bounds.read };
    if is_longer(request, most) {
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
        if length > bounds.kept {
            body = Vec::new();
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    note_received(request);
    if length > bounds.kept { Err(too_large()) } else { Ok(body) }
}

/// Reads the rest of the body of a refused request, unless it is too large.
pub async fn drain(request: &mut Request) {
    let most = bounds_of(request).read;
    if waits(request) || is_longer(request, most) {
        return;
    }
    let mut length = 0_usize;
    let mut chunks = pin!(request.take_body().into_bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return };
        length = length.saturating_add(chunk.len());
        if length > most {
            return;
        }
    }
    note_received(request);
}

/// Returns whether a body follows these headers.
pub fn is_announced(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length.as_bytes() != b"0")
}

fn note_received(request: &Request) {
    if let Some(connection) = request.data::<Arc<Connection>>() {
        connection.body_received();
    }
}

/// Returns whether the sender waits for a response before it sends the body (`Expect`).
fn waits(request: &Request) -> bool {
    request.headers().contains_key(header::EXPECT)
}

/// Returns whether the sender announces more than this many bytes.
fn is_longer(request: &Request, most: usize) -> bool {
    let told = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    told.is_some_and(|length| length > most)
}
