//! Avatars: the images of users, under the same access rules as the users.

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result,
    http::{Method, StatusCode, header},
};

use super::{
    Application,
    client_ip::Proxies,
    middleware::id_of,
    refuse,
    response::{HttpError, Media},
};
use crate::http::etag;

pub const ROUTE: &str = "/avatars/:id";

/// An avatar from the application.
pub struct Picture {
    /// The hash that identifies the image.
    pub hash: String,
    /// The media type and the content; `None` if the caller already has it.
    pub content: Option<(&'static str, Vec<u8>)>,
}

pub struct Pictures<A> {
    pub app: A,
    pub proxies: Arc<Proxies>,
}

impl<A: Application> Endpoint for Pictures<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let request_id = id_of(&request);
        match self.answer(&request, &request_id).await {
            Ok(response) => Ok(response),
            Err(refusal) => Ok(refuse(&mut request, refusal, Media::Json, &request_id).await),
        }
    }
}

impl<A: Application> Pictures<A> {
    async fn answer(&self, request: &Request, request_id: &str) -> std::result::Result<Response, HttpError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(HttpError::method("GET, HEAD"));
        }
        let caller = super::caller(request, request_id, &self.proxies)?;
        let id = request.raw_path_param("id").unwrap_or_default();
        let holds = |hash: &str| etag::holds(request.headers(), &quoted(hash));
        let Picture { hash, content } = self.app.picture(caller, id, holds).await?;
        // Only the caller may cache the response, and must revalidate it each time: rights may have changed meanwhile, and the
        // request is cheap.
        let response = Response::builder()
            .header(header::ETAG, quoted(&hash))
            .header(header::CACHE_CONTROL, "private, no-cache")
            .header(header::VARY, "Authorization")
            .header(header::CONTENT_DISPOSITION, "inline");
        Ok(match content {
            None => response.status(StatusCode::NOT_MODIFIED).finish(),
            Some((content_type, content)) => response.content_type(content_type).body(content),
        })
    }
}

fn quoted(hash: &str) -> String {
    format!("\"{hash}\"")
}
