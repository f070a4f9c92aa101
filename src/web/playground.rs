//! The playground: `GraphiQL` and a bar for signing in, embedded in the binary.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use poem::http::{StatusCode, header};
use poem::{Endpoint, Request, Response, Result, Route, endpoint::make_sync, get};
use sha2::{Digest, Sha256};

use crate::http::etag::holds;

const PAGE: &str = include_str!("../../playground/index.html");

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The files, each with its path and content type; `playground/README.md` says where they come from.
const FILES: [(&str, &str, &[u8]); 8] = [
    ("/playground/graphiql.min.css", CSS, include_bytes!("../../playground/graphiql.min.css")),
    ("/playground/graphiql.min.js", JS, include_bytes!("../../playground/graphiql.min.js")),
    ("/playground/icon.svg", "image/svg+xml", include_bytes!("../../playground/icon.svg")),
    ("/playground/licenses.txt", "text/plain; charset=utf-8", include_bytes!("../../playground/licenses.txt")),
    ("/playground/playground.css", CSS, include_bytes!("../../playground/playground.css")),
    ("/playground/playground.js", JS, include_bytes!("../../playground/playground.js")),
    ("/playground/react-dom.production.min.js", JS, include_bytes!("../../playground/react-dom.production.min.js")),
    ("/playground/react.production.min.js", JS, include_bytes!("../../playground/react.production.min.js")),
];

/// Adds the page at `/` and its files under `/playground/`, for GET and HEAD.
#[must_use]
pub fn add_to(route: Route) -> Route {
    let route = route.at("/", get(make_sync(|_| page())));
    FILES.into_iter().fold(route, |route, (path, content_type, content)| {
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content)));
        route.at(path, get(File { content_type, content, etag }))
    })
}

struct File {
    content_type: &'static str,
    content: &'static [u8],
    etag: String,
}

impl Endpoint for File {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let response = Response::builder()
            .header(header::ETAG, &self.etag)
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        Ok(if holds(request.headers(), &self.etag) {
            response.status(StatusCode::NOT_MODIFIED).finish()
        } else {
            response.content_type(self.content_type).body(self.content)
        })
    }
}

/// Returns the page. It has no `ETag`, because its nonce is valid for one response only.
fn page() -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_SECURITY_POLICY, policy(&nonce))
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(PAGE.replace("{{nonce}}", &nonce))
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
