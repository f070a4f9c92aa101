//! Conversion of a result to an HTTP response, as in "GraphQL over HTTP": an accurate status, and a code in every error.

use std::{collections::BTreeMap, io};

use async_graphql::{ErrorExtensionValues, PathSegment, ServerError, Value};
use futures_util::stream;
use poem::{
    Response,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Serialize;

use super::{
    compression::{self, Encoding},
    error::{HttpError, MAX_ERRORS},
    etag,
    media::Media,
    outcome::Outcome,
};
use crate::error::{PATH, TopLevelCode};

const MAX_MESSAGE: usize = 200;
/// For a year, which each response begins anew, browsers reach the host by HTTPS only. Subdomains are left out: they may be other
/// servers.
const HTTPS_ONLY: &str = "max-age=31536000";

impl HttpError {
    /// Returns the response that reports the error.
    #[must_use]
    pub fn into_response(self, media: Media, request_id: &str) -> Response {
        let status = if self.of_document { media.status_of_rejected(self.status) } else { self.status };
        let errors = self.server_errors(request_id);
        let mut response = json(status, media, &Body::of_errors(&errors));
        response.set_data(Outcome::of_error(&self));
        if let Some(header) = self.header {
            response.headers_mut().insert(header.0, header.1);
        }
        response
    }

    /// Returns the errors as they are sent.
    #[must_use]
    pub fn server_errors(&self, request_id: &str) -> Vec<ServerError> {
        self.all().map(|error| error.to_server_error(request_id)).collect()
    }

    fn to_server_error(&self, request_id: &str) -> ServerError {
        let mut error = ServerError::new(shorten(&self.message), None);
        error.locations.clone_from(&self.locations);
        set_code(&mut error, self.code, request_id);
        error
    }
}

/// The result of a request, as it is sent.
#[derive(Serialize)]
pub struct Body<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<&'a BTreeMap<String, Value>>,
}

impl<'a> Body<'a> {
    /// Creates the body for the result of a request that was passed to the schema, and sets the codes of its errors.
    pub fn of_response(response: &'a mut async_graphql::Response, request_id: &str) -> Self {
        // Before execution, errors have no path, and there is no data.
        let is_rejected = response.data == Value::Null
            && response.is_err()
            && response.errors.iter().all(|error| error.path.is_empty());
        response.errors.truncate(MAX_ERRORS);
        for error in &mut response.errors {
            finalize_error(error, is_rejected, request_id);
        }
        Self {
            errors: &response.errors,
            data: (!is_rejected).then_some(&response.data),
            extensions: (!response.extensions.is_empty()).then_some(&response.extensions),
        }
    }

    /// Creates the body for errors of a request that is not executed.
    pub fn of_errors(errors: &'a [ServerError]) -> Self {
        Self { errors, data: None, extensions: None }
    }
}

/// How the result of a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct ResponseFormat {
    pub media: Media,
    /// The encoding of a long body; `None` leaves it as it is.
    pub encoding: Option<Encoding>,
    /// Whether the caller may keep the result, and revalidate it before each use.
    pub is_cacheable: bool,
}

/// Returns the response for the result of a request that was passed to the schema.
pub fn from_graphql(mut response: async_graphql::Response, format: ResponseFormat, request_id: &str) -> Response {
    let ResponseFormat { media, encoding, is_cacheable } = format;
    let body = Body::of_response(&mut response, request_id);
    let is_rejected = body.data.is_none();
    let is_cacheable = is_cacheable && body.errors.is_empty();
    let status = if is_rejected { media.status_of_rejected(StatusCode::BAD_REQUEST) } else { StatusCode::OK };
    let outcome = Outcome::of_errors(body.errors);
    let (status, bytes) = serialize(status, &body);
    let etag = is_cacheable.then(|| etag::of(&bytes)).and_then(|etag| etag::weak(&etag));
    let is_long = bytes.len() >= compression::MIN_LENGTH;
    let (bytes, encoding) = compression::encode(bytes, encoding);
    let mut http_response =
        Response::builder().status(status).header(header::CONTENT_TYPE, media.content_type(status)).body(bytes);
    http_response.set_data(outcome);
    let headers = http_response.headers_mut();
    headers.extend(response.http_headers);
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("Authorization, Accept, Accept-Encoding"));
    } else if is_long {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, encoding.header());
    }
    http_response
}

/// Sends a response in parts and holds `share` until all but the last parts are written, because a response that the caller does
/// not read stays in memory.
pub async fn stream_holding<T: Send + Sync + 'static>(response: Response, share: T) -> Response {
    const PART: usize = 64 * 1024;
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = body.into_bytes().await else { return HttpError::internal().into_response(Media::Json, "") };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let stream = stream::unfold((bytes, share), |(mut bytes, share)| async move {
        let part = bytes.split_to(bytes.len().min(PART));
        (!part.is_empty()).then_some((Ok::<_, io::Error>(part), (bytes, share)))
    });
    Response::from_parts(parts, poem::Body::from_bytes_stream(stream))
}

/// Sets the path of an error to the one in its extensions, and sets its code. An internal error keeps nothing but the code
/// `INTERNAL` and the request ID.
fn finalize_error(error: &mut ServerError, is_rejected: bool, request_id: &str) {
    if let Some(path) = error.extensions.as_mut().and_then(take_path) {
        error.path = path;
    }
    let code = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) if code != TopLevelCode::Internal.as_str() => return,
        None if is_input_error(error) => TopLevelCode::BadUserInput,
        None if is_rejected => validation_code(&error.message),
        _ => TopLevelCode::Internal,
    };
    if code == TopLevelCode::Internal {
        let path = error.path.iter().map(|segment| match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        });
        let path = path.collect::<Vec<_>>().join(".");
        tracing::error!(request_id, path, error = %error.message, "a resolver failed");
        "Internal error".clone_into(&mut error.message);
        error.extensions = None;
    } else {
        // The rest would repeat the value, which may be a secret.
        let end = error.message.find(", found ").unwrap_or(error.message.len());
        error.message = shorten(error.message.get(..end).unwrap_or_default());
    }
    set_code(error, code, request_id);
}

/// Removes the path that a field has put into the extensions of its error, and returns it.
fn take_path(extensions: &mut ErrorExtensionValues) -> Option<Vec<PathSegment>> {
    let Some(Value::List(segments)) = extensions.get(PATH).cloned() else { return None };
    extensions.unset(PATH);
    let segment = |segment| match segment {
        Value::String(name) => Some(PathSegment::Field(name)),
        Value::Number(index) => index.as_u64().and_then(|index| usize::try_from(index).ok()).map(PathSegment::Index),
        _ => None,
    };
    segments.into_iter().map(segment).collect()
}

/// Returns whether an error is about a value of the wrong type. async-graphql finds some of them during validation and some only
/// during execution, and has no type for either; an error that a resolver returns by `?` has a source.
fn is_input_error(error: &ServerError) -> bool {
    let prefixes = ["Invalid value for argument ", "Expected input type \"", "Failed to parse \""];
    error.source.is_none() && prefixes.iter().any(|prefix| error.message.starts_with(prefix))
}

/// Returns the code of an error of async-graphql's validation, by the beginning of its message.
fn validation_code(message: &str) -> TopLevelCode {
    let too_large = ["Query is too complex", "Query is nested too deep", "The recursion depth of the query"];
    let no_operation = ["Unknown operation named ", "Operation name required"];
    if too_large.iter().any(|prefix| message.starts_with(prefix)) {
        TopLevelCode::DocumentTooLarge
    } else if no_operation.iter().any(|prefix| message.starts_with(prefix)) {
        TopLevelCode::OperationResolutionFailure
    } else {
        TopLevelCode::GraphqlValidationFailed
    }
}

fn set_code(error: &mut ServerError, code: TopLevelCode, request_id: &str) {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    extensions.set("code", code.as_str());
    if code == TopLevelCode::Internal {
        extensions.set("requestId", request_id);
    }
}

fn json(status: StatusCode, media: Media, body: &Body) -> Response {
    let (status, bytes) = serialize(status, body);
    Response::builder().status(status).header(header::CONTENT_TYPE, media.content_type(status)).body(bytes)
}

fn serialize(status: StatusCode, body: &Body) -> (StatusCode, Vec<u8>) {
    serde_json::to_vec(body).map_or_else(
        |error| {
            tracing::error!(%error, "failed to serialize a response as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec())
        },
        |bytes| (status, bytes),
    )
}

/// Returns a message as one line of limited length.
pub fn shorten(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

/// Adds the headers that every response has. A page may have set a policy and caching of its own.
pub fn security_headers(headers: &mut HeaderMap, request_id: &str, requires_https: bool) {
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let unless_set = [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_SECURITY_POLICY, "default-src 'none'")];
    for (name, value) in unless_set {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if requires_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HTTPS_ONLY));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}
