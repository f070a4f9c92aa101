//! The playground: `GraphiQL` with panels of our own and a bar for signing in, embedded in the binary.

use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::read::GzDecoder;
use poem::error::InternalServerError;
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result, Route, endpoint::make_sync, get};

use crate::http::compression::Encoding;
use crate::http::etag;

const PAGE: &str = include_str!("../../playground/index.html");

/// The documents that the page itself sends, such as the one that signs in.
pub const DOCUMENTS: [&str; 3] = [
    "query Viewer { viewer { id fullName role isStaff adminRights { isSuperuser isAdmin } } }",
    "mutation SignIn($input: LoginInput!) { login(input: $input) { success message token user { fullName } errors { message } } }",
    "mutation SignOut { logout { success } }",
];

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The encodings in which files are embedded, the smallest first.
const ENCODINGS: [Encoding; 2] = [Encoding::Brotli, Encoding::Gzip];

/// A file, compressed by `playground/compress.mjs`.
struct File {
    path: &'static str,
    content_type: &'static str,
    brotli: &'static [u8],
    gzip: &'static [u8],
}

macro_rules! file {
    ($name:literal, $content_type:expr) => {
        File {
            path: concat!("/playground/", $name),
            content_type: $content_type,
            brotli: include_bytes!(concat!("../../playground/", $name, ".br")),
            gzip: include_bytes!(concat!("../../playground/", $name, ".gz")),
        }
    };
}

/// The files; `playground/README.md` says where they come from.
static FILES: [File; 16] = [
    file!("examples.js", JS),
    file!("explorer.css", CSS),
    file!("explorer.umd.js", JS),
    file!("export.js", JS),
    file!("graphiql.min.css", CSS),
    file!("graphiql.min.js", JS),
    file!("icon.svg", "image/svg+xml"),
    file!("licenses.txt", "text/plain; charset=utf-8"),
    file!("panels.css", CSS),
    file!("panels.js", JS),
    file!("playground.css", CSS),
    file!("playground.js", JS),
    file!("react-dom.production.min.js", JS),
    file!("react.production.min.js", JS),
    file!("server.js", JS),
    file!("upload.js", JS),
];

/// The link to the reference of the schema.
const REFERENCE: &str = r#"<a href="docs">Schema reference</a>"#;

/// Adds the page at `/` and its files under `/playground/`, for GET and HEAD. The page links to the reference of the schema if
/// `has_reference`: a browser sends no token when it opens a link.
#[must_use]
pub fn add_to(route: Route, has_reference: bool) -> Route {
    let html = PAGE.replace("{{reference}}", if has_reference { REFERENCE } else { "" });
    let html = FILES.iter().fold(html, |html, file| html.replace(&file.link(""), &file.link(&file.version())));
    let route = route.at("/", get(make_sync(move |_| page(&html))));
    FILES.iter().fold(route, |route, file| {
        let (etag, query) = (etag::of(file.gzip), file.version());
        route.at(file.path, get(FileEndpoint { file, etag, query }))
    })
}

impl File {
    /// Returns the query string that tells this version of the file from others.
    fn version(&self) -> String {
        format!("?v={}", etag::of(self.gzip).trim_matches('"'))
    }

    /// Returns the end of an attribute of the page that names the file, with a query string.
    fn link(&self, query: &str) -> String {
        format!("{}{query}\"", self.path.trim_start_matches('/'))
    }

    /// Returns the content as the client likes it best.
    fn content(&self, headers: &HeaderMap) -> std::io::Result<(Body, Option<Encoding>)> {
        let encoding = Encoding::accepted(headers, &ENCODINGS);
        let body = match encoding {
            Some(Encoding::Brotli) => self.brotli.into(),
            Some(_) => self.gzip.into(),
            None => {
                let mut content = Vec::new();
                GzDecoder::new(self.gzip).read_to_end(&mut content)?;
                content.into()
            }
        };
        Ok((body, encoding))
    }
}

struct FileEndpoint {
    file: &'static File,
    etag: String,
    query: String,
}

impl Endpoint for FileEndpoint {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        // The page names the version, so that a browser need not ask again until there is another.
        let is_version = request.uri().query().is_some_and(|query| self.query.strip_prefix('?') == Some(query));
        let caching = if is_version { "public, max-age=31536000, immutable" } else { "no-cache" };
        let response = Response::builder()
            .header(header::ETAG, format!("W/{}", self.etag))
            .header(header::CACHE_CONTROL, caching)
            .header(header::VARY, "Accept-Encoding")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if etag::holds(request.headers(), &self.etag) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        let (body, encoding) = self.file.content(request.headers()).map_err(InternalServerError)?;
        let mut response = response.content_type(self.file.content_type).body(body);
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, encoding.header());
        }
        Ok(response)
    }
}

/// Returns the page. It has no `ETag`, because its nonce is valid for one response only.
fn page(html: &str) -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_SECURITY_POLICY, policy(&nonce))
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(html.replace("{{nonce}}", &nonce))
}

/// Returns the content security policy. It allows only the server's own files; the nonce lets the menus of `GraphiQL` add the
/// `<style>` that stops the page behind them from scrolling.
fn policy(nonce: &str) -> String {
    [
        "default-src 'none'",
        "script-src 'self'",
        &format!("style-src 'self' 'nonce-{nonce}'"),
        "img-src 'self' data:",
        "font-src 'self' data:",
        // The WebSocket of the same host too (Content Security Policy Level 3, 6.7.2.8).
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_files_are_up_to_date() {
        for file in &FILES {
            let path = format!("{}{}", env!("CARGO_MANIFEST_DIR"), file.path);
            let content = std::fs::read(path).unwrap();
            let (mut brotli, mut gzip) = (Vec::new(), Vec::new());
            brotli::BrotliDecompress(&mut { file.brotli }, &mut brotli).unwrap();
            GzDecoder::new(file.gzip).read_to_end(&mut gzip).unwrap();
            let is_current = brotli == content && gzip == content;
            assert!(is_current, "{}: run `node playground/compress.mjs`", file.path);
            assert!(PAGE.contains(&file.link("")), "{}", file.path);
        }
    }

    #[test]
    fn the_documents_are_those_of_the_page() {
        let script = include_str!("../../playground/playground.js");
        let sent = script.lines().filter_map(|line| {
            let value = line.trim().strip_prefix("const ")?.split_once(" = \"")?.1.strip_suffix("\";")?;
            (value.starts_with("query ") || value.starts_with("mutation ")).then_some(value)
        });
        assert_eq!(sent.collect::<Vec<_>>(), DOCUMENTS);
    }
}
