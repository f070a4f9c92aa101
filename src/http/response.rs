//! Conversion of a result to an HTTP response, as in "GraphQL over HTTP": the media type that the caller accepts, an accurate
//! status, and a code in every error.

use std::{borrow::Cow, collections::BTreeMap, io};

use async_graphql::{ErrorExtensionValues, PathSegment, Pos, ServerError, Value};
use futures_util::stream;
use poem::{
    Response,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Serialize;

use crate::error::PATH;

/// Maximum number of errors in one response; a hostile document can cause thousands.
pub const MAX_ERRORS: usize = 20;
const MAX_MESSAGE: usize = 200;
const INTERNAL: &str = "INTERNAL";

/// The media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphQl,
    /// `application/json`: the status is 200 for every well-formed request.
    Json,
}

impl Media {
    /// Returns the media type that the caller accepts; `None` if it is none of these.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Self::GraphQl);
        }
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut graphql, mut json) = (Preference::default(), Preference::default());
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            let (for_graphql, for_json) = match name.as_str() {
                "application/graphql-response+json" => (3, 0),
                "application/json" => (0, 3),
                "application/*" => (2, 2),
                "*/*" => (1, 1),
                _ => continue,
            };
            graphql.note(for_graphql, quality);
            json.note(for_json, quality);
        }
        let json_by_name = json.precision > graphql.precision && json.quality >= graphql.quality;
        match (graphql.quality > 0.0, json.quality > 0.0) {
            (false, false) => None,
            (_, true) if json.quality > graphql.quality || json_by_name => Some(Self::Json),
            _ => Some(Self::GraphQl),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphQl => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// The preference for a media type, decided by the most precise range.
#[derive(Default)]
struct Preference {
    precision: u8,
    quality: f32,
}

impl Preference {
    fn note(&mut self, precision: u8, quality: f32) {
        if precision > 0 && precision >= self.precision {
            *self = Self { precision, quality };
        }
    }
}

/// The error of a request that is not executed: its code, status and headers.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: Cow<'static, str>,
    pub locations: Vec<Pos>,
    /// Other errors in the same document.
    pub others: Vec<Self>,
    /// Whether the error is in the document or its variables; with `application/json` its status is 200.
    pub of_document: bool,
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl HttpError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            locations: Vec::new(),
            others: Vec::new(),
            of_document: false,
            header: None,
        }
    }

    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Creates the error for a document that cannot be executed, or for variables that do not match it.
    pub fn bad_document(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { of_document: true, ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// Combines several errors into the first one, with the others attached; `None` if there are none.
    pub fn of_all(refusals: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut refusals = refusals.into_iter();
        let first = refusals.next()?;
        Some(Self { others: refusals.take(MAX_ERRORS - 1).collect(), ..first })
    }

    /// Returns the error for a token that is malformed, unknown or no longer valid. A request without a token is merely
    /// anonymous.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "The access token is not valid")
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Returns the error for a document that is given by its hash. The message, the code and the status are those of Apollo
    /// Server, which tell clients to send the document itself.
    #[must_use]
    pub fn persisted_query_not_supported() -> Self {
        Self::new(StatusCode::OK, "PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")
    }

    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no resource at this URL")
    }

    #[must_use]
    pub fn method(allow: &'static str) -> Self {
        let message = format!("This method is not allowed here; use {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
            .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// Returns the error for too much load, or for a database that is unavailable.
    #[must_use]
    pub fn overloaded(retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The server is busy; try again later")
            .with(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// Returns the error for a second request with a file while the user's first is still under way.
    #[must_use]
    pub fn one_at_a_time() -> Self {
        let message = "You are already uploading a file; a user can upload only one file at a time";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Returns the error for a caller with too many expensive requests under way.
    #[must_use]
    pub fn too_many() -> Self {
        let message = "Too many of your expensive requests are running; wait until some of them have finished";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The caller has not read earlier responses yet.
    #[must_use]
    pub fn unread(is_mutation: bool) -> Self {
        let end = if is_mutation { "; changes may still have been saved" } else { "" };
        let message = format!("Too many of your large responses are still being sent; read them first{end}");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    #[must_use]
    pub fn deadline() -> Self {
        let message = "The request took too long; changes may still have been saved";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", message)
    }

    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "Internal error")
    }

    #[must_use]
    pub fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    #[must_use]
    pub fn into_response(self, media: Media, request_id: &str) -> Response {
        let status = if self.of_document && media == Media::Json { StatusCode::OK } else { self.status };
        let errors: Vec<ServerError> =
            std::iter::once(&self).chain(&self.others).map(|refusal| refusal.error(request_id)).collect();
        let mut response = json(status, media, &Body { errors: &errors, data: None, extensions: None });
        if let Some(header) = self.header {
            response.headers_mut().insert(header.0, header.1);
        }
        response
    }

    fn error(&self, request_id: &str) -> ServerError {
        let mut error = ServerError::new(shorten(&self.message), None);
        error.locations.clone_from(&self.locations);
        set_code(&mut error, self.code, request_id);
        error
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<&'a BTreeMap<String, Value>>,
}

/// Returns the response for the result of a request that was passed to the schema.
pub fn outcome(mut outcome: async_graphql::Response, media: Media, request_id: &str) -> Response {
    // Before execution, errors have no path, and there is no data.
    let refused =
        outcome.data == Value::Null && outcome.is_err() && outcome.errors.iter().all(|error| error.path.is_empty());
    outcome.errors.truncate(MAX_ERRORS);
    for error in &mut outcome.errors {
        finalize_error(error, refused, request_id);
    }
    let body = Body {
        errors: &outcome.errors,
        data: (!refused).then_some(&outcome.data),
        extensions: (!outcome.extensions.is_empty()).then_some(&outcome.extensions),
    };
    let status = if refused && media == Media::GraphQl { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let mut response = json(status, media, &body);
    response.headers_mut().extend(outcome.http_headers);
    response
}

/// Sends a response in parts and holds `share` until all but the last parts are written, because a response that the caller does
/// not read stays in memory.
pub async fn held<T: Send + Sync + 'static>(response: Response, share: T) -> Response {
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
fn finalize_error(error: &mut ServerError, refused: bool, request_id: &str) {
    if let Some(path) = error.extensions.as_mut().and_then(path_of) {
        error.path = path;
    }
    let code = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) if code != INTERNAL => return,
        None if is_of_input(error) => "BAD_USER_INPUT",
        None if refused => code_of_validation(&error.message),
        _ => INTERNAL,
    };
    if code == INTERNAL {
        tracing::error!(request_id, path = ?error.path, error = %error.message, "a resolver failed");
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
fn path_of(extensions: &mut ErrorExtensionValues) -> Option<Vec<PathSegment>> {
    let Some(Value::List(segments)) = extensions.get(PATH).cloned() else { return None };
    extensions.unset(PATH);
    let segment = |segment| match segment {
        Value::String(name) => Some(PathSegment::Field(name)),
        Value::Number(place) => place.as_u64().and_then(|place| usize::try_from(place).ok()).map(PathSegment::Index),
        _ => None,
    };
    segments.into_iter().map(segment).collect()
}

/// Returns whether an error is about a value of the wrong type. async-graphql finds some of them during validation and some only
/// during execution, and has no type for either; an error that a resolver returns by `?` has a source.
fn is_of_input(error: &ServerError) -> bool {
    let starts = ["Invalid value for argument ", "Expected input type \"", "Failed to parse \""];
    error.source.is_none() && starts.iter().any(|start| error.message.starts_with(start))
}

fn code_of_validation(message: &str) -> &'static str {
    let too_large = ["Query is too complex", "Query is nested too deep", "The recursion depth of the query"];
    let no_operation = ["Unknown operation named ", "Operation name required"];
    if too_large.iter().any(|start| message.starts_with(start)) {
        "DOCUMENT_TOO_LARGE"
    } else if no_operation.iter().any(|start| message.starts_with(start)) {
        "OPERATION_RESOLUTION_FAILURE"
    } else {
        "GRAPHQL_VALIDATION_FAILED"
    }
}

fn set_code(error: &mut ServerError, code: &str, request_id: &str) {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    extensions.set("code", code);
    if code == INTERNAL {
        extensions.set("requestId", request_id);
    }
}

fn json(status: StatusCode, media: Media, body: &Body) -> Response {
    let (status, bytes) = serde_json::to_vec(body).map_or_else(
        |error| {
            tracing::error!(%error, "failed to serialize a response as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec())
        },
        |bytes| (status, bytes),
    );
    Response::builder().status(status).header(header::CONTENT_TYPE, media.content_type()).body(bytes)
}

/// Returns a message as one line of limited length.
pub fn shorten(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

/// Adds the headers that every response has. A page may have set a policy and caching of its own.
pub fn security_headers(headers: &mut HeaderMap, request_id: &str) {
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
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}
