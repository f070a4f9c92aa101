//! Avatars: the images of users, under the same access rules as the users.

use std::sync::Arc;

use poem::{
    Endpoint, Request, Response, Result,
    http::{Method, StatusCode, header},
};

use super::{
    Application, caller::Caller, client_ip::Proxies, error::HttpError, error_response, media::Media, middleware::id_of,
};
use crate::http::etag;

pub const ROUTE: &str = "/avatars/:id";
/// The beginning of the paths of avatars.
pub const PREFIX: &str = "/avatars/";

/// An avatar from the application.
pub struct Avatar {
    /// The hash that identifies the image.
    pub hash: String,
    /// The content; `None` if the caller already has it.
    pub content: Option<AvatarContent>,
}

/// The content of an avatar.
pub struct AvatarContent {
    /// The media type.
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

/// The endpoint of the avatars.
pub struct AvatarEndpoint<A> {
    pub app: A,
    pub proxies: Arc<Proxies>,
}

impl<A: Application> Endpoint for AvatarEndpoint<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let request_id = id_of(&request);
        match self.response(&request, &request_id).await {
            Ok(response) => Ok(response),
            Err(error) => Ok(error_response(&mut request, error, Media::Json, &request_id).await),
        }
    }
}

impl<A: Application> AvatarEndpoint<A> {
    async fn response(&self, request: &Request, request_id: &str) -> std::result::Result<Response, HttpError> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(HttpError::method_not_allowed("GET, HEAD"));
        }
        let caller = Caller::from_request(request, request_id, &self.proxies)?;
        let id = request.raw_path_param("id").unwrap_or_default();
        let query = request.uri().query().unwrap_or_default();
        let is_cached = |hash: &str| etag::holds(request.headers(), &quoted(hash));
        let Avatar { hash, content } = self.app.avatar(caller, id, query, is_cached).await?;
        // Only the caller may cache the response, and must revalidate it each time: rights may have changed meanwhile, and the
        // request is cheap.
        let response = Response::builder()
            .header(header::ETAG, quoted(&hash))
            .header(header::CACHE_CONTROL, "private, no-cache")
            .header(header::VARY, "Authorization")
            .header(header::CONTENT_DISPOSITION, "inline");
        Ok(match content {
            None => response.status(StatusCode::NOT_MODIFIED).finish(),
            Some(AvatarContent { content_type, bytes }) => response.content_type(content_type).body(bytes),
        })
    }
}

fn quoted(hash: &str) -> String {
    format!("\"{hash}\"")
}
