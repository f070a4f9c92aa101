//! The schema as a file, `/schema.graphql`, for code generators and checks of clients, and as a page, `/docs`.

use poem::{
    Request, Response, ResponseBuilder,
    http::{StatusCode, header},
};

use super::{
    Application,
    caller::Caller,
    compression::EncodedBody,
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
        let response = revalidated(&format!("W/{}", schema.etag));
        Ok(finish(response, request, "text/plain; charset=utf-8", &schema.etag, &schema.sdl))
    }
}

/// The page. Every caller who may read the file may read it.
pub struct SchemaReference;

impl Resource for SchemaReference {
    async fn respond<A: Application>(&self, app: &A, caller: Caller, request: &Request) -> Result<Response, HttpError> {
        let schema = app.published_schema(caller).await?;
        let page = schema.reference.as_ref().ok_or_else(HttpError::internal)?;
        let response =
            revalidated(&format!("W/{}", page.etag)).header(header::CONTENT_SECURITY_POLICY, page.policy.as_str());
        Ok(finish(response, request, "text/html; charset=utf-8", &page.etag, &page.body))
    }
}

/// Adds the body to a response, in the encoding that the caller accepts; 304 if the caller already has it.
fn finish(
    response: ResponseBuilder,
    request: &Request,
    media_type: &str,
    etag: &str,
    body: &'static EncodedBody,
) -> Response {
    let response = response.header(header::VARY, "Accept-Encoding");
    if etag::holds(request.headers(), etag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    let (bytes, encoding) = body.accepted(request.headers());
    let mut response = response.content_type(media_type).body(bytes);
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding.header());
    }
    response
}
