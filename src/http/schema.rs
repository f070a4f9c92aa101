//! The schema as a file, `/schema.graphql`, for code generators and checks of clients, and as a page, `/docs`.

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

pub const ROUTE: &str = "/schema.graphql";
pub const REFERENCE_ROUTE: &str = "/docs";

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

/// The page. Every caller who may read the file may read it.
pub struct SchemaReference;

impl Resource for SchemaReference {
    async fn respond<A: Application>(&self, app: &A, caller: Caller, request: &Request) -> Result<Response, HttpError> {
        let schema = app.published_schema(caller).await?;
        let page = schema.reference.as_ref().ok_or_else(HttpError::internal)?;
        let response = revalidated(&format!("W/{}", page.etag))
            .header(header::VARY, "Accept-Encoding")
            .header(header::CONTENT_SECURITY_POLICY, page.policy.as_str());
        if etag::holds(request.headers(), &page.etag) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        let (body, encoding) = page.body.accepted(request.headers());
        let mut response = response.content_type("text/html; charset=utf-8").body(body);
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, encoding.header());
        }
        Ok(response)
    }
}
