//! The schema as a file, `/schema.graphql`, for code generators and checks of clients.

use poem::{Request, Response, http::StatusCode};

use super::{
    Application,
    caller::Caller,
    error::HttpError,
    etag,
    resource::{Resource, revalidated},
};

pub const ROUTE: &str = "/schema.graphql";

/// The file. Not every caller may read it on every server.
pub struct SchemaFile;

impl Resource for SchemaFile {
    async fn respond<A: Application>(&self, app: &A, caller: Caller, request: &Request) -> Result<Response, HttpError> {
        let schema = app.published_schema(caller).await?;
        let response = revalidated(&schema.etag);
        Ok(if etag::holds(request.headers(), &schema.etag) {
            response.status(StatusCode::NOT_MODIFIED).finish()
        } else {
            response.content_type("text/plain; charset=utf-8").body(schema.sdl.as_str())
        })
    }
}
