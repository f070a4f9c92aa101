//! The pages that links lead to. A link's secret stands behind its `#`, which no browser sends: a look at the page, by a
//! person or a mail scanner, uses nothing up.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use poem::http::header;
use poem::{Response, Route, endpoint::make_sync, get};

/// Where a link to activate an account leads.
pub const ACTIVATE: &str = "/activate";
pub const RESET: &str = "/reset";
pub const CONFIRM_EMAIL: &str = "/confirm-email";

const ACTIVATE_PAGE: &str = include_str!("../pages/activate.html");

/// Adds the pages, by GET and HEAD.
#[must_use]
pub fn add_to(route: Route) -> Route {
    route.at(ACTIVATE, get(make_sync(|_| page(ACTIVATE_PAGE))))
}

/// The link of a token, at the server's public address.
#[must_use]
pub fn link(public_url: &str, page: &str, _: Option<crate::language::Language>, token: &str) -> String {
    format!("{}{page}#{token}", public_url.trim_end_matches('/'))
}

/// A page runs its own script and no other, and is never kept.
fn page(text: &str) -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(text.replace("{{nonce}}", &nonce))
}
