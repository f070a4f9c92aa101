//! Cross-origin resource sharing: which pages of other origins may send requests and read the responses
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Credentials that a browser adds by itself, such as cookies, are never allowed, and Roster uses none: a page must have the token.

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result,
    http::{HeaderValue, Method, StatusCode, header},
};

use super::{
    avatar,
    media::Media,
    middleware::id_of,
    origin::{self, Origin},
    schema,
};

const METHODS: &str = "GET, HEAD, POST";
/// The headers of requests that Roster reads, and those by which clients name themselves.
const REQUEST_HEADERS: &str = "Accept, Accept-Language, Authorization, Content-Type, If-None-Match, Last-Event-ID, \
                               GraphQL-Require-Preflight, Apollo-Require-Preflight, X-Apollo-Operation-Name, \
                               apollographql-client-name, apollographql-client-version, X-Request-Id, traceparent, tracestate";
/// The headers of responses that a page may read, besides those that every page may.
const RESPONSE_HEADERS: &str = "Allow, ETag, Retry-After, WWW-Authenticate, X-Request-Id";
/// The seconds for which a browser remembers the response to a preflight request; Chromium allows no more.
const MAX_AGE: &str = "7200";

/// Returns whether pages of other origins may use a path: the API, and the resources that belong to it. They need no others: links
/// lead to the pages of the server themselves, and health checks are for the operator.
fn is_shared(path: &str) -> bool {
    matches!(path, "/graphql" | "/graphql/" | schema::ROUTE) || path.starts_with(avatar::PREFIX)
}

/// Answers preflight requests.
pub struct Preflight<E> {
    pub inner: E,
    pub origins: Arc<[Origin]>,
}

impl<E: Endpoint<Output = Response>> Endpoint for Preflight<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let headers = request.headers();
        let is_preflight = *request.method() == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight || !is_shared(request.uri().path()) {
            return self.inner.call(request).await;
        }
        if origin::allowed(headers, &self.origins).is_none() {
            return Ok(origin::forbidden().into_response(Media::Json, &id_of(&request)));
        }
        let response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Ok(response.finish())
    }
}

/// Lets pages of allowed origins read every response, errors included.
pub struct CrossOrigin<E> {
    pub inner: E,
    pub origins: Arc<[Origin]>,
}

impl<E: Endpoint<Output = Response>> Endpoint for CrossOrigin<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if self.origins.is_empty() || !is_shared(request.uri().path()) {
            return self.inner.call(request).await;
        }
        let origin = origin::allowed(request.headers(), &self.origins).cloned();
        let mut response = self.inner.call(request).await?;
        let headers = response.headers_mut();
        // For pages of other origins too, so that no cache takes their response for that of an allowed one.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
        Ok(response)
    }
}
