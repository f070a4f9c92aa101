//! Avatars: the images of users, under the same access rules as the users.

use poem::{
    Request, Response,
    http::{StatusCode, header},
};

use super::{
    Application,
    caller::Caller,
    error::HttpError,
    etag,
    resource::{Resource, revalidated},
};

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

/// The avatars of all users.
pub struct Avatars;

impl Resource for Avatars {
    async fn respond<A: Application>(&self, app: &A, caller: Caller, request: &Request) -> Result<Response, HttpError> {
        let id = request.raw_path_param("id").unwrap_or_default();
        let query = request.uri().query().unwrap_or_default();
        let is_cached = |hash: &str| etag::holds(request.headers(), &quoted(hash));
        let Avatar { hash, content } = app.avatar(caller, id, query, is_cached).await?;
        let response = revalidated(&quoted(&hash)).header(header::CONTENT_DISPOSITION, "inline");
        Ok(match content {
            None => response.status(StatusCode::NOT_MODIFIED).finish(),
            Some(AvatarContent { content_type, bytes }) => response.content_type(content_type).body(bytes),
        })
    }
}

fn quoted(hash: &str) -> String {
    format!("\"{hash}\"")
}
