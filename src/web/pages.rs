//! The pages that one-time links lead to. The secret of a link is behind its `#`, which browsers do not send: opening the page,
//! by a user or by an email scanner, does not use up the link.

use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Request, Response, Route, endpoint::make_sync, get};
use sea_orm::Iterable;
use url::form_urlencoded;

use crate::auth::one_time_link;
use crate::auth::password::MAX_PASSWORD_LENGTH;
use crate::entity::link::Purpose;
use crate::i18n::language::Language;
use crate::i18n::messages::Messages;

/// Adds the pages, for GET and HEAD; `shortest_password` is the minimum length of a new password.
#[must_use]
pub fn add_to(route: Route, shortest_password: usize) -> Route {
    Purpose::iter().fold(route, |route, purpose| {
        route.at(
            one_time_link::path(purpose),
            get(make_sync(move |request| respond(&request, purpose, shortest_password))),
        )
    })
}

/// Returns the prefix of the page's own messages.
fn message(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => "activate",
        Purpose::PasswordReset => "reset",
        Purpose::EmailChange => "confirm-email",
    }
}

/// Returns the mutation that the page sends when its button is pressed.
fn query(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Activation => {
            "mutation ($input: ActivateAccountInput!) \
             { done: activateAccount(input: $input) { success nextUrl token errors { code } } }"
        }
        Purpose::PasswordReset => {
            "mutation ($input: ResetPasswordInput!) \
             { done: resetPassword(input: $input) { success errors { code } } }"
        }
        Purpose::EmailChange => {
            "mutation ($input: ConfirmEmailChangeInput!) \
             { done: confirmEmailChange(input: $input) { success errors { code } } }"
        }
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct LinkPage<'a> {
    purpose: Purpose,
    messages: &'a Messages,
    shortest: usize,
    longest: usize,
    nonce: &'a str,
}

impl LinkPage<'_> {
    fn sets_password(&self) -> bool {
        match self.purpose {
            Purpose::Activation | Purpose::PasswordReset => true,
            Purpose::EmailChange => false,
        }
    }

    /// Returns whether the link may bring an email address that another user has by now: the new address, or that of a
    /// registration.
    fn brings_address(&self) -> bool {
        match self.purpose {
            Purpose::Activation | Purpose::EmailChange => true,
            Purpose::PasswordReset => false,
        }
    }

    fn query(&self) -> &'static str {
        query(self.purpose)
    }

    /// Returns a message that only this page has.
    fn own(&self, part: &str) -> String {
        self.messages.get(&format!("{}.{part}", message(self.purpose)))
    }

    /// Returns a rule for the length of passwords.
    fn rule(&self, part: &str) -> String {
        let lengths = [("shortest", self.shortest.into()), ("longest", self.longest.into())];
        self.messages.get_with(&format!("password.{part}"), lengths)
    }
}

/// Returns the response with a page. It runs only its own script and is never cached.
fn respond(request: &Request, purpose: Purpose, shortest: usize) -> Response {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let language = language(request.uri().query(), request.headers());
    let page =
        LinkPage { purpose, messages: Messages::of(language), shortest, longest: MAX_PASSWORD_LENGTH, nonce: &nonce };
    let page = match page.render() {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(%error, ?purpose, "failed to render a page");
            return Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).finish();
        }
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_LANGUAGE, language.tag())
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::VARY, header::ACCEPT_LANGUAGE)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(page)
}

/// Returns the language of the link or, without one, the language that the browser prefers.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let of_link = parameters.find(|(name, _)| name == "lang").and_then(|(_, tag)| Language::of_tag(&tag));
    of_link.or_else(|| Language::of_headers(headers)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns all pages as one text.
    pub fn all_pages_in(messages: &Messages) -> String {
        let page = |purpose| {
            LinkPage { purpose, messages, shortest: 12, longest: MAX_PASSWORD_LENGTH, nonce: "" }.render().unwrap()
        };
        Purpose::iter().map(page).collect()
    }
}
