//! Resources besides the API that callers read by GET: avatars and the schema. Pages of allowed origins may read each of them
//! (`cors.rs`).

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, ResponseBuilder, Result,
    http::{Method, header},
};

use super::{
    Application, caller::Caller, client_ip::Proxies, error::HttpError, error_response, media::Media, middleware::id_of,
};

/// A kind of resource.
pub trait Resource: Send + Sync {
    /// Returns the response to a request by GET or HEAD.
    fn respond<A: Application>(
        &self,
        app: &A,
        caller: Caller,
        request: &Request,
    ) -> impl Future<Output = std::result::Result<Response, HttpError>> + Send;
}

/// The endpoint of a kind of resource.
pub struct ResourceEndpoint<A, R> {
    pub app: A,
    pub proxies: Arc<Proxies>,
    pub resource: R,
}

impl<A: Application, R: Resource> Endpoint for ResourceEndpoint<A, R> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let request_id = id_of(&request);
        match self.response(&request, &request_id).await {
            Ok(response) => Ok(response),
            Err(error) => Ok(error_response(&mut request, error, Media::Json, &request_id).await),
        }
    }
}

impl<A: Application, R: Resource> ResourceEndpoint<A, R> {
    async fn response(&self, request: &Request, request_id: &str) -> std::result::Result<Response, HttpError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(HttpError::method_not_allowed("GET, HEAD"));
        }
        let caller = Caller::from_request(request, request_id, &self.proxies)?;
        self.resource.respond(&self.app, caller, request).await
    }
}

/// Begins the response with a resource. Only the caller may cache it, and must revalidate it each time: rights may have changed
/// meanwhile, and the request is cheap.
pub fn revalidated(etag: &str) -> ResponseBuilder {
    Response::builder()
        .header(header::ETAG, etag)
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::VARY, "Authorization")
}
