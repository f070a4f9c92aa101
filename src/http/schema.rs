//! The schema as a file, `/schema.graphql`, for code generators and checks of clients.

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result,
    http::{Method, StatusCode, header},
};

use super::{
    Application, caller::Caller, client_ip::Proxies, error::HttpError, error_response, media::Media, middleware::id_of,
};
use crate::http::etag;

pub const ROUTE: &str = "/schema.graphql";

/// The endpoint of the schema.
pub struct SchemaEndpoint<A> {
    pub app: A,
    pub proxies: Arc<Proxies>,
}

impl<A: Application> Endpoint for SchemaEndpoint<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let request_id = id_of(&request);
        match self.response(&request, &request_id).await {
            Ok(response) => Ok(response),
            Err(error) => Ok(error_response(&mut request, error, Media::Json, &request_id).await),
        }
    }
}

impl<A: Application> SchemaEndpoint<A> {
    async fn response(&self, request: &Request, request_id: &str) -> std::result::Result<Response, HttpError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(HttpError::method_not_allowed("GET, HEAD"));
        }
        let caller = Caller::from_request(request, request_id, &self.proxies)?;
        let schema = self.app.published_schema(caller).await?;
        // Not every caller may read it on every server, so only the caller may cache it, and must revalidate it.
        let response = Response::builder()
            .header(header::ETAG, &schema.etag)
            .header(header::CACHE_CONTROL, "private, no-cache")
            .header(header::VARY, "Authorization");
        Ok(if etag::holds(request.headers(), &schema.etag) {
            response.status(StatusCode::NOT_MODIFIED).finish()
        } else {
            response.content_type("text/plain; charset=utf-8").body(schema.sdl.as_str())
        })
    }
}
